"""The catalogue of one language: what the pages of a report say around the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_FOLDER = Path(__file__).parent / "catalogue"
ENGLISH = "en"
PHRASES = "phrases"  # English texts that no key names, for `evalaid.report.wording.translation`


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

    def has(self, key: str) -> bool:
        """Return whether the catalogue has a key."""
        return key in self.words


@cache
def read_catalogue(language: str) -> Mapping[str, Any]:
    """Read the file of a language as it stands."""
    return read_yaml(_FOLDER / f"{language}.yaml")


def read_yaml(path: Path) -> Mapping[str, Any]:
    """Read a file of words."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return dict(yaml.load(path.read_text(encoding="utf-8"), Loader=loader) or {})  # noqa: S506 (both are safe)


@cache
def load_catalogue(language: str = ENGLISH) -> Catalogue:
    """Read the catalogue of a language (``en``, ``zh``, ``ko``)."""
    parts = {name: part for name, part in read_catalogue(language).items() if name != PHRASES}
    return Catalogue(language, dict(_flatten(parts)))


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
