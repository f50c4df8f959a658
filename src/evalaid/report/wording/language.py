"""The catalogue of one language: what the pages of a report say around the numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_FOLDER = Path(__file__).parent / "catalogue"
ENGLISH = "en"
PHRASES = "phrases"  # English texts of frames, which no key names
_PLACE = re.compile(r"\{([a-z])\}")


@dataclass(frozen=True)
class Catalogue:
    """Words by dotted key, in one language."""

    language: str
    words: Mapping[str, str]

    def __call__(self, key: str, **names: object) -> str:
        """Return the words of a key with their places filled in."""
        return self.words[key].format(**names)

    def part(self, name: str) -> dict[str, str]:
        """Return the words of a part by the rest of their keys."""
        return {key.removeprefix(f"{name}."): text for key, text in self.words.items() if key.startswith(f"{name}.")}

    def phrase(self, text: str) -> str:
        """Return an English text in this language, by the part ``phrases``; a text that is not there stays as it is.

        ``{a}`` in a phrase stands for anything, which is turned over itself: "Cohort {a}" serves every cohort.
        """
        if self.language == ENGLISH or not text.strip():
            return text
        return _turn(self.language, text)

    def has(self, key: str) -> bool:
        """Return whether the catalogue has a key."""
        return key in self.words


@cache
def load_catalogue(language: str = ENGLISH) -> Catalogue:
    """Read the catalogue of a language (``en``, ``zh``)."""
    text = (_FOLDER / f"{language}.yaml").read_text(encoding="utf-8")
    return Catalogue(
        language, dict(_flatten({name: part for name, part in yaml.safe_load(text).items() if name != PHRASES}))
    )


@cache
def _phrases(language: str) -> tuple[Mapping[str, str], tuple[tuple[re.Pattern[str], str], ...]]:
    """Return the phrases of a language: those without places, and those with some as patterns, the longest first."""
    found = yaml.safe_load((_FOLDER / f"{language}.yaml").read_text(encoding="utf-8")).get(PHRASES, {})
    plain = {text: said for text, said in found.items() if not _PLACE.search(text)}
    placed = sorted((text for text in found if text not in plain), key=lambda text: -len(_PLACE.sub("", text)))
    return plain, tuple((re.compile(_pattern(text), re.DOTALL), str(found[text])) for text in placed)


def _pattern(text: str) -> str:
    parts = _PLACE.split(text)  # words, name of a place, words, ...
    return "".join(f"(?P<{part}>.+?)" if at % 2 else re.escape(part) for at, part in enumerate(parts))


@cache
def _turn(language: str, text: str) -> str:
    plain, placed = _phrases(language)
    if text in plain:
        return str(plain[text])
    for pattern, said in placed:
        if found := pattern.fullmatch(text):
            return said.format(**{name: _turn(language, value) for name, value in found.groupdict().items()})
    return text


def list_languages() -> tuple[str, ...]:
    """List the languages that have a catalogue, English first."""
    found = sorted(path.stem for path in _FOLDER.glob("*.yaml"))
    return (ENGLISH, *(language for language in found if language != ENGLISH))


def _flatten(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", str(value)
