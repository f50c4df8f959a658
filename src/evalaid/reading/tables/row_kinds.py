"""What a row of a table is, by what it says: data of one unit, a total, a heading, a repeated header, a note."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from evalaid.reading.journal.layouts import TableLayout
from evalaid.reading.places.counties import bare, is_total
from evalaid.reading.values.kinds import plain
from evalaid.reading.words.vocabulary import pattern_of


class RowKind(Enum):
    """Kinds of rows below a header."""

    EMPTY = "nothing stands in it"
    LEFT_OUT = "the layout leaves it out"
    HEADER = "the header again"
    NUMBERING = "numbers of the columns"
    HEADING = "a heading or a note: one text and nothing else"
    TOTAL = "a total or average, by its name"
    PERIOD_TOTAL = "a total over periods"
    OTHER_BASE = "another base than the layout's"
    IN_HEADER = "figures of the counties that the columns name"
    CONTINUED = "figures of the unit above it"
    NAMELESS = "figures without a unit"
    NOTE = "a note: no unit and no figure"
    DATA = "figures of the unit that it names"


@dataclass(frozen=True)
class RowTexts:
    """Hold what one row says; every text as `plain` writes it."""

    number: int  # as a spreadsheet shows it
    texts: tuple[str, ...]  # of all its filled cells
    shown: str
    code: str
    name: str
    near: str  # its prefecture or province
    dates: tuple[str, ...]
    base: str
    dated: bool  # whether it has a period, a year or an indicator
    figures: bool
    numbering: bool


def kind_of_row(row: RowTexts, table: TableLayout, headers: Collection[str], *, follows: bool, across: bool) -> RowKind:
    """Return what a row is: ``follows`` whether a unit stands above it, ``across`` whether the columns are counties.

    Examples
    --------
    >>> row = RowTexts(7, ("合计", "9800"), "合计; 9800", "", "合计", "", (), "", dated=False, figures=True, numbering=False)
    >>> kind_of_row(row, TableLayout(), set(), follows=True, across=False).name
    'TOTAL'
    """
    if (kind := _kind_by_form(row, table, headers)) is not None:
        return kind
    key = row.name or row.code
    if any(is_total(text, table) for text in (row.name, row.code, row.near) if text) and bare(key) not in table.keep:
        return RowKind.TOTAL
    if any(pattern_of("total_row").fullmatch(text) for text in row.dates):
        return RowKind.PERIOD_TOTAL
    if row.base and table.base is not None and row.base != plain(table.base):
        return RowKind.OTHER_BASE
    if across and row.dated:
        return RowKind.IN_HEADER
    if bare(key):
        return RowKind.DATA
    if follows and row.dated:
        return RowKind.CONTINUED
    return RowKind.NAMELESS if row.figures else RowKind.NOTE


def _kind_by_form(row: RowTexts, table: TableLayout, headers: Collection[str]) -> RowKind | None:
    """Return what a row is that is none of units, by its place and its form."""
    if not row.texts:
        return RowKind.EMPTY
    if row.number in table.leave_out:
        return RowKind.LEFT_OUT
    if len(row.texts) > 1 and all(text in headers for text in row.texts):
        return RowKind.HEADER
    if row.numbering:
        return RowKind.NUMBERING
    if len(set(row.texts)) == 1:
        return RowKind.HEADING
    return None
