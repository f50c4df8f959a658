"""The pages of a report in one language: what they are called, what stands on them, and what a notebook's output becomes there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape, unescape
from typing import Any

from evalaid.base.project import PUBLISHED, find_words, project_root, study_file
from evalaid.report.display.fonts import count_columns, fold
from evalaid.report.site.answer import Answer, read_rows
from evalaid.report.wording.language import ENGLISH, Catalogue, list_languages, load_catalogue, read_yaml
from evalaid.report.wording.translation import Pair, Translation, load_translation, pair_words

FRONT = ("index", "answer")  # pages of a language whose catalogue covers no others
_TEXT_OF_SPEC = ("title", "programme", "caution", "outcome_label", "unit_label", "cluster_label", "sources")
_PUBLISHED = ("claims", "literature", "programmes")  # files of published figures whose texts a report shows
_SVG = re.compile(r"(<svg\b.*?</svg>)", re.DOTALL)
_LINES = re.compile(r"(?:<text\b[^>]*>[^<]*</text>\s*)+")
_LINE = re.compile(r"(<text\b[^>]*>)([^<]*)(</text>\s*)")
_NODE = re.compile(r">([^<>]+)<")
_SPOKEN = re.compile(r'\b(alt|aria-label)="([^"]*)"')
_LATIN, _HAN = re.compile(r"[A-Za-z]{2,}"), re.compile(r"[\u4e00-\u9fff]+")


@dataclass(frozen=True)
class Edition:
    """A report in one language; ``plain`` is the language whose files have no ending of their own, ``turn`` None where texts stay."""

    words: Catalogue
    plain: str
    turn: Translation | None
    files: frozenset[str] = frozenset()

    @property
    def language(self) -> str:
        """Its language, as HTML names it."""
        return self.words.language

    def covers(self, page: str) -> bool:
        """Return whether there is a page of this kind in the language."""
        return page in FRONT or not self.words.has("covers")

    def file(self, name: str) -> str:
        """Return the name of a page's file without ``.html``."""
        return name if self.language == self.plain else f"{name}.{self.language}"

    def link(self, name: str) -> str:
        """Return the file that a link to a page leads to: in this language, else in English."""
        page = "index" if name == "index" else name.partition("_")[0]
        return self.file(name) if self.covers(page) else name if self.plain == ENGLISH else f"{name}.{ENGLISH}"

    def say(self, text: str) -> str:
        """Return a text of the report in this language."""
        return text if self.turn is None else self.turn(text)

    def spec(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Return the words of a study that its first page shows in this language."""
        said = {
            name: [self.say(str(one)) for one in spec[name]] if name == "sources" else self.say(str(spec[name]))
            for name in _TEXT_OF_SPEC
            if spec.get(name)
        }
        return {**spec, **said}

    def answer(self, answer: Answer) -> Answer:
        """Return an answer with its words in this language."""
        if self.turn is None:
            return answer
        say = self.say
        threats = [
            replace(row, threat=say(row.threat), tried=say(row.tried), result=say(row.result), answer=say(row.answer))
            for row in answer.threats
        ]
        return replace(answer, threats=tuple(threats))

    def switch(self, editions: Sequence[Edition], page: str, name: str) -> list[tuple[str, str, str]]:
        """Return language, name and file of this page in every language that has it; the first file of the page where it is cut elsewhere."""
        there = [one for one in editions if one.covers(page)]
        return [
            (one.language, one.words("language"), one.file(name if name in FRONT or name in one.files else page))
            for one in sorted(there, key=lambda one: (one.words.has("covers"), one.language))
        ]


def open_editions(studies: Iterable[str], plain: str = ENGLISH) -> list[Edition]:
    """Open pages about studies in every language that has a catalogue, that of the plain names first."""
    order = sorted(list_languages(), key=lambda language: language != plain)
    return [_open(language, tuple(studies), plain) for language in order]


def language_of(study: str) -> str:
    """Return the language that a study's file asks for."""
    path = study_file(study)
    return str(read_yaml(path).get("language", ENGLISH)) if path.is_file() else ENGLISH


def _open(language: str, studies: Sequence[str], plain: str) -> Edition:
    source = (
        plain if language == ENGLISH else ENGLISH
    )  # notebooks write English; figures of a Chinese study are Chinese
    turn = load_translation(language, source)
    return Edition(
        load_catalogue(language),
        plain,
        turn and turn.with_words(pair for name in (*studies, PUBLISHED.name) for pair in _own_words(language, name)),
    )


def _own_words(language: str, name: str) -> Iterator[Pair]:
    for path in find_words(name, language):
        stored = read_published() if name == PUBLISHED.name else read_yaml(study_file(name))
        yield from pair_words(stored, read_yaml(path))


def read_published() -> dict[str, dict[str, dict[str, str]]]:
    """Return the published claims, programmes and literature: file -> row -> column -> text."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for path in sorted((project_root() / PUBLISHED).glob("*.csv")):
        rows = read_rows(path)
        if path.stem in _PUBLISHED and rows:
            found[path.stem] = {next(iter(row.values())): row for row in rows}
    return found


def turn_html(html: str, turn: Translation) -> str:
    """Turn the texts of a table or a figure, as a notebook shows it; tags, ids and numbers stay."""
    done = []
    for part in _SVG.split(html):
        drawn = part.startswith("<svg")
        said = _LINES.sub(lambda found: _turn_lines(found.group(), turn), part) if drawn else _turn_nodes(part, turn)
        done.append(_SPOKEN.sub(lambda found: f'{found[1]}="{escape(turn(unescape(found[2])))}"', said))
    return "".join(done)


def _turn_nodes(html: str, turn: Translation) -> str:
    return _NODE.sub(lambda found: f">{escape(turn(unescape(found[1])), quote=False)}<", html)


def _turn_lines(drawn: str, turn: Translation) -> str:
    """Turn a text of a drawing, which is broken into lines: as a whole where a template fits it, else line by line."""
    tags = _LINE.findall(drawn)
    lines = [unescape(text.strip()) for _, text, _ in tags]
    whole, each = turn(" ".join(lines)), [turn(line) for line in lines]
    left = _HAN if turn.language == ENGLISH else _LATIN
    if len(left.findall(whole)) < len(left.findall(" ".join(each))) or each == lines:
        fewest = min(len(lines), len(fold(whole, max(map(count_columns, lines))).split("\n")))
        width = count_columns(whole) // fewest  # lines of like length: none holds the end of a word alone
        while len(each := fold(whole, width).split("\n")) > fewest:
            width += 2
    each += [""] * (len(tags) - len(each))
    return "".join(
        f"{tag}{escape(text, quote=False)}{end}" for (tag, _, end), text in zip(tags, each, strict=True) if text
    )
