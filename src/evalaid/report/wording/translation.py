"""Texts that a report wrote in English, in another language: sentences are templates, and their numbers stay as they are.

A report computes, draws and records once. Its other languages are made from the same texts: what the catalogue words by key in both
languages, what its part ``phrases`` says, and what a study's own words say, turned sentence by sentence. A text that no template
fits stays English, so that it can be found (`tests/report/test_languages.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

from evalaid.report.display.fonts import count_columns
from evalaid.report.wording.language import ENGLISH, PHRASES, load_catalogue, read_catalogue

Pair = tuple[str, str]  # a text or template in the language that it is written in, and in the other
_PLACE = re.compile(r"\{([^{}]+)\}")
_NUMERIC = frozenset(
    ("level", "value", *"ijklmn")
)  # places that hold a number, a period or the dash of a missing one; others hold any words
_NUMBER = r"(?:[+\u2212-]?\d[\d,]*(?:\.\d+)?(?:[QHqh]\d|-\d\d)?%?|\u2013)"
_WORDS = r"(?:(?!(?<!No)[.!?。！？] ).)+?"  # within one sentence
_SENTENCES = r".+?"  # of a place with a capital letter
_LETTER = re.compile(r"[^\W\d_]")
_SENTENCE = re.compile(r"(?<!No\.)(?<! al\.)(?<=[.!?])\s+|(?<=[.!?]\*\*)\s+")
_LIST = re.compile(r"; ")
_COLON = re.compile(r": ")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_HEADED = re.compile(r"\*\*([^*]+?)([.:])\*\* (.+)", re.DOTALL)
_MARKED = re.compile("[，；：]")
_FIRST = re.compile(r"[^\s{]+")
_BLOCK = re.compile(r"\n\s*\n|\n(?=[-#>] )")
_MARK = re.compile(r"#+ |- |> ")
_FEWEST = 6  # letters of a keyed template that is recognised: with fewer it would fit anything
_LONG = 9  # letters and marks of a template that is tried before a text is cut into its parts
_ENDS = {".": "。", ":": "："}


@dataclass(frozen=True)
class Template:
    """A sentence with places, and what it becomes; ``names`` are those of the places in their order.

    ``within`` is its longest piece between places: a text without it need not be compared.
    """

    text: str
    said: str
    names: tuple[str, ...]
    size: int
    within: str

    @property
    def exact(self) -> bool:
        """Whether its places hold numbers alone."""
        return _NUMERIC.issuperset(self.names)

    def values(self, text: str) -> tuple[str, ...] | None:
        """Return what stands at the places of a text that it fits as a whole."""
        found = _pattern(self.text).fullmatch(text)
        return None if found is None else found.groups()


@dataclass(frozen=True)
class Translation:
    """What turns texts of one language into another; ``pairs`` in the order of their rank where several fit."""

    language: str
    pairs: tuple[Pair, ...]
    done: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __call__(self, text: str) -> str:
        """Return a text in the other language; what no template fits stays as it is."""
        plain = " ".join(text.split())
        if not _LETTER.search(plain):  # numbers, or a list of them
            return text.replace(", ", "、") if self.language == "zh" else text
        found = self.done.get(plain)
        if found is None:
            found = self.done[plain] = self._turn(plain)
        return (
            text if found == plain else f"{text[: len(text) - len(text.lstrip())]}{found}{text[len(text.rstrip()) :]}"
        )

    def with_words(self, own: Iterable[Pair]) -> Translation:
        """Return the translation with words of a study, which go before all others."""
        return Translation(self.language, (*own, *self.pairs))

    def markdown(self, text: str) -> str:
        """Turn Markdown block by block: paragraphs, headings and entries of lists."""
        said = ""
        for block in cut_blocks(text):
            mark = found.group() if (found := _MARK.match(block)) else ""
            rest = block[len(mark) :]
            between = "\n" if mark == "- " else "\n\n"
            said += between + mark + self(" ".join(rest.split()))
        return said.strip("\n")

    @cached_property
    def _plain(self) -> Mapping[str, str]:
        plain: dict[str, str] = {}
        for text, said in self.pairs:
            if not _PLACE.search(text):
                ends = (said, text), (said.removesuffix("。").removesuffix("."), text.removesuffix("."))
                for words, one in ends:
                    plain.setdefault(one, words)
                    plain.setdefault(_flip(one), words)
        return plain

    @cached_property
    def _placed(self) -> Mapping[str, Sequence[Template]]:
        """Templates by their first word; those that begin with a place under ""; the longest first."""
        placed: dict[str, list[Template]] = {}
        for text, said in self.pairs:
            if _PLACE.search(text):
                first = _FIRST.match(text)
                placed.setdefault(first.group() if first and text[first.end() :][:1] == " " else "", []).append(
                    _template(text, said)
                )
        return {word: sorted(own, key=lambda one: -one.size) for word, own in placed.items()}

    def _turn(self, text: str) -> str:
        chinese = self.language == "zh"
        if text[-1] in _ENDS and text not in self._plain and (whole := self._fit(text[:-1], _LONG)) is not None:
            return whole + (_ENDS[text[-1]] if chinese else text[-1])
        if (whole := self._fit(text, _LONG)) is not None:
            return whole
        if headed := _HEADED.fullmatch(text):
            return self._headed(*headed.groups())
        for cut, between, there in ((_SENTENCE, " ", ""), (_LIST, "; ", "；")):
            pieces = cut.split(text)
            if len(pieces) > 1:
                return self._joined(pieces, between, there if chinese else between)
        if text[-1] in _ENDS and (said := self(text[:-1])) != text[:-1]:
            return said + (_ENDS[text[-1]] if chinese else text[-1])
        if bold := _BOLD.fullmatch(text):
            return f"**{self(bold[1])}**"
        return self._in_brackets(text) or self._fit(text) or self._begun(text) or self._labelled(text) or text

    def _joined(self, pieces: Sequence[str], between: str, there: str) -> str:
        """Return pieces in the other language, with the marks of the first one between two that stay as they are."""
        turned = list(map(self, pieces))
        left = [one == piece for one, piece in zip(turned, pieces, strict=True)]
        marks = [between if all(pair) else there for pair in pairwise(left)]
        return "".join(one + mark for one, mark in zip(turned, [*marks, ""], strict=True))

    def _headed(self, head: str, end: str, rest: str) -> str:
        """Return a bold head with what follows; in Chinese a sentence keeps its stop, and a label has a colon."""
        said = self(head)
        stop = "。" if end == "." and _MARKED.search(said) else "："
        return f"**{said}**{stop if self.language == 'zh' else end + ' '}{self(rest)}"

    def _in_brackets(self, text: str) -> str | None:
        """Return a known text with what stands behind it in brackets."""
        if not text.endswith(")") or not (at := _open_bracket(text)):
            return None
        head, inside = text[:at].rstrip(), text[at + 1 : -1]
        said, more = self(head), self(inside)
        if said == head and (more == inside or _LETTER.search(head)):
            return None
        return f"{said}（{more}）" if self.language == "zh" else f"{said} ({more})"

    def _begun(self, text: str) -> str | None:
        """Return the one known text that begins so, of a label that a figure cut short, cut to the same width."""
        if not text.endswith("…") or len(text) < _LONG:
            return None
        found = {said.removesuffix("。") for known, said in self._plain.items() if known.startswith(text[:-1])}
        if len(found) != 1:
            return None
        (said,) = found
        if count_columns(said) <= len(text):
            return said
        while count_columns(said) >= len(text):
            said = said[:-1]
        return f"{said}…"

    def _labelled(self, text: str) -> str | None:
        """Return a known label with what stands behind a colon, or a list of known labels."""
        chinese = self.language == "zh"
        for found in reversed(list(_COLON.finditer(text))):
            if (said := self._fit(text[: found.start()], _LONG)) is not None:
                return said + ("：" if chinese else ": ") + self(text[found.end() :])
        names: list[str] = []
        parts = text.split(", ")
        while parts and len(parts) + len(names) > 1:
            longest = next((n for n in range(len(parts), 0, -1) if self._known(parts[:n])), 0)
            if not longest:
                return None
            names.append(self(", ".join(parts[:longest])))
            parts = parts[longest:]
        return ("、" if chinese else ", ").join(names) if names else None

    def _known(self, parts: Sequence[str]) -> bool:
        name = ", ".join(parts)
        return name in self._plain or (len(parts) == 1 and (not _LETTER.search(name) or self._fit(name) is not None))

    def _fit(self, text: str, least: int = 0) -> str | None:
        """Return a text by a template that fits the whole of it and has so many letters and marks of its own."""
        if text in self._plain:
            return self._plain[text]
        first = text.split(" ", 1)[0]
        for word in (first, _flip(first), ""):
            for template in self._placed.get(word, ()):
                if template.within not in text or not (template.size >= least or template.exact):
                    continue
                if (found := template.values(text)) is not None:
                    values = dict(zip(template.names, map(self, found), strict=True))
                    return _PLACE.sub(lambda place, values=values: values[place.group(1)], template.said)  # type: ignore[misc]
        return None


@cache
def load_translation(language: str, source: str = ENGLISH) -> Translation | None:
    """Return what turns texts of reports into a language; None where they are in it already."""
    if language == source:
        return None
    here, there = load_catalogue(source), load_catalogue(language)
    keyed = [
        (text.strip(), there.words[key].strip())
        for key, text in here.words.items()
        if there.has(key) and _is_said(text)
    ]
    if source == ENGLISH:
        return Translation(language, (*read_catalogue(language).get(PHRASES, {}).items(), *keyed))
    back = [(said, text) for text, said in read_catalogue(source).get(PHRASES, {}).items()]
    return Translation(language, (*back, *keyed))


def cut_blocks(markdown: str) -> list[str]:
    """Cut Markdown into paragraphs, headings and entries of lists."""
    return [block.strip("\n") for block in _BLOCK.split(markdown) if block.strip()]


def pair_words(stored: Any, said: Any) -> Iterator[Pair]:
    """Pair the texts of a study with its words in another language, which stand at the same places of a file of the same shape."""
    if isinstance(said, Mapping):
        for name, part in said.items():
            if isinstance(stored, Mapping) and name in stored:
                yield from pair_words(stored[name], part)
    elif isinstance(said, list):
        for one, part in zip(stored or (), said, strict=False):
            yield from pair_words(one, part)
    elif isinstance(stored, str) and isinstance(said, str):
        yield " ".join(stored.split()), said.strip()


def _is_said(text: str) -> bool:
    return len(_LETTER.findall(_PLACE.sub("", text))) >= (_FEWEST if _PLACE.search(text) else 1)


def _template(text: str, said: str) -> Template:
    parts = _PLACE.split(text)  # words, name of a place, words, ...
    words = parts[::2]
    return Template(text, said, tuple(parts[1::2]), len("".join(words)), max(words, key=len))


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Return the pattern of a template: only a few are ever compared with a text."""
    pattern = "".join(
        f"({_NUMBER if part in _NUMERIC else _SENTENCES if part.isupper() else _WORDS})" if at % 2 else re.escape(part)
        for at, part in enumerate(_PLACE.split(text))
    )
    return re.compile(pattern, re.DOTALL)


def _open_bracket(text: str) -> int:
    """Return the place of the bracket that the last one closes; 0 where it stands first or is missing."""
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if not depth:
            return at
    return 0


def _flip(text: str) -> str:
    """Return a text with its first letter small where it was large, and the other way round."""
    return text[:1].swapcase() + text[1:]
