"""Where every number of a page comes from: a note that opens on hover and focus, and a link to the cell that made it.

A link to something of the report is written ``@name`` and resolved when it is known which page the name stands on
(`evalaid.report.site.chapters.resolve`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from evalaid.base.effect_columns import BAND_HIGH, BAND_LOW, CONF_HIGH, CONF_LOW, ESTIMATE, P_VALUE, STD_ERROR
from evalaid.report.display.formatted_tables import PAIRS

_TABLE = re.compile(
    r'<div class="table" id="table-([^"]+)">(.*?)</table></div>((?:<p class="note">.*?</p>)*)</div>', re.DOTALL
)
_FIGURE = re.compile(r'(<figure\b[^>]*id="figure-([^"]+)">.*?)</figure>', re.DOTALL)
_COLUMN = re.compile(r'<t[hd][^>]*data-column="([^"]+)"')
_ROW = re.compile(r'<tr data-row="([^"]*)">(.*?)</tr>', re.DOTALL)
_CELL = re.compile(r"<(t[hd])([^>]*)>(.*?)</\1>", re.DOTALL)
_CAPTION = re.compile(r"<(caption|figcaption)>(.*?)</\1>", re.DOTALL)
_ALT = re.compile(r'(?:alt|aria-label)="([^"]*)"')
FIGURE_BYTES = 200_000  # of a drawing on a page; a larger one is shown as a picture
_CLUSTERED = (ESTIMATE, STD_ERROR, CONF_LOW, CONF_HIGH, BAND_LOW, BAND_HIGH, P_VALUE)
_DIGITS = re.compile(r"\d")
_PROSE = frozenset({"result"})  # columns of sentences with numbers, which stand in the row's cell
# A number of a sentence, which Chinese words may touch.
_WRITTEN = re.compile(r"(?<![A-Za-z0-9_.,#-])[+\N{MINUS SIGN}]?\d[\d,]*(?:\.\d+)?(?: points|%)?(?![A-Za-z0-9_]|[.,]\d)")


@dataclass
class Notes:
    """The recorded numbers of a report, and the notes that its pages need so far (``made``)."""

    numbers: Mapping[str, Mapping[str, Any]]
    clusters: str
    folder: Path
    made: dict[tuple[str, str], int] = field(default_factory=dict)

    def link(self, key: str, text: str, *, named: bool = True) -> str:
        """Return a number as a link to its cell; ``text`` alone where it was not recorded, or is no number."""
        number = self.numbers.get(key)
        if number is None or not _DIGITS.search(text):
            return text
        clusters = self.clusters if key.rpartition(".")[2] in _CLUSTERED else ""
        place = self.made.setdefault((str(number["method"]), clusters), len(self.made))
        own = f' data-k="{escape(key)}"' if named else ""
        return f'<a class="v" href="@{anchor_of(number)}" data-n="{place}"{own}>{text}</a>'

    def in_sentence(self, html: str, *parts: str) -> str:
        """Link every number of a sentence to the cell that recorded the first number whose key begins with one of ``parts``."""
        key = next((key for part in parts for key in self.numbers if key.startswith(part)), "")
        return _WRITTEN.sub(lambda found: self.link(key, found.group(), named=False), html)

    def in_prose(self, html: str, told: Iterable[Any]) -> str:
        """Link the numbers of a text; ``told`` are the phrases in it, in order, each with its numbers as written and their keys."""
        done, at = [], 0
        for phrase, written in told:
            start = html.find(escape(phrase, quote=False), at)
            if start < 0:
                continue
            end = start + len(escape(phrase, quote=False))
            done += [html[at:start], self.in_phrase(html[start:end], written)]
            at = end
        return "".join([*done, html[at:]])

    def in_phrase(self, phrase: str, written: Iterable[Sequence[str]]) -> str:
        """Link numbers in HTML; ``written`` are they as they stand there, with their keys."""
        found: list[tuple[int, int, str]] = []
        for text, key in dict.fromkeys((text, key) for text, key in written):
            match = re.search(rf"(?<![\d.,]){re.escape(escape(text, quote=False))}(?![\d])", phrase)
            if match and not any(start < match.end() and match.start() < end for start, end, _ in found):
                found.append((match.start(), match.end(), key))
        done, at = [], 0
        for start, end, key in sorted(found):
            done += [phrase[at:start], self.link(key, phrase[start:end])]
            at = end
        return "".join([*done, phrase[at:]])

    def in_exhibits(self, html: str) -> str:
        """Link the numbers of tables, and add the files of tables and figures."""
        return _FIGURE.sub(self._figure, _TABLE.sub(self._table, html))

    def _table(self, match: re.Match[str]) -> str:
        name, table, below = match.groups()
        columns = _COLUMN.findall(table)

        def one(row: re.Match[str]) -> str:
            cells = []
            for column, cell in zip(columns, _CELL.finditer(row.group(2)), strict=False):
                tag, attributes, text = cell.groups()
                key = f"{name}.{row.group(1)}" + ("" if column == "value" else f".{column}")
                linked = self.link(key, text, named=False) if attributes.strip() == 'class="n"' else text
                if column in _PROSE:
                    linked = self.in_sentence(text, f"{name}.{row.group(1)}.")
                cells.append(f"<{tag}{attributes}>{linked}</{tag}>")
            return f'<tr data-row="{row.group(1)}">{"".join(cells)}</tr>'

        table = _ROW.sub(one, table)
        files = self._files("tables", name, table)
        return f'<div class="table" id="table-{name}">{table}</table></div>{below}{files}</div>'

    def _figure(self, match: re.Match[str]) -> str:
        html, name = match.groups()
        files = self._files("figures", name, html)
        picture = self.folder / "figures" / f"{name}.png"
        if (
            len(html.encode()) > FIGURE_BYTES and picture.is_file()
        ):  # drawn of so many parts that a page could not hold it
            alt = _ALT.search(html)
            data = base64.b64encode(picture.read_bytes()).decode("ascii")
            caption = _CAPTION.search(html)
            html = (
                f'<figure id="figure-{name}"><img src="data:image/png;base64,{data}" alt="{alt.group(1) if alt else name}">'
                f"{caption.group() if caption else ''}"
            )
        return f"{html}{files}</figure>"

    def _files(self, kind: str, name: str, html: str) -> str:
        found = _CAPTION.search(html)
        caption = re.sub(r"<[^>]+>", "", found.group(2)) if found else name
        links = [
            f'<a href="{kind}/{path.name}" aria-label="{path.suffix[1:]}: {caption}">{path.suffix[1:]}</a>'
            for path in sorted((self.folder / kind).glob(f"{name}.*"))
        ]
        return f'<p class="files">{" ".join(links)}</p>' if links else ""

    def to_data(self) -> dict[str, Any]:
        """Return what the script of a page needs to write the notes."""
        return {"made": [list(pair) for pair in self.made], "pairs": {low: high for low, (high, _) in PAIRS.items()}}


def anchor_of(number: Mapping[str, Any]) -> str:
    """Return the name of the cell that recorded a number."""
    return f"in-{number['notebook']}-{_cell_number(str(number['cell']))}"


def _cell_number(cell: str) -> str:
    found = re.search(r"\d+", cell)
    return found.group() if found else "0"
