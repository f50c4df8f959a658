"""Where the header of a roster is and what its columns hold, by their headers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from evalaid.base.names import (
    AGREED,
    ANNOUNCED,
    ARRIVED,
    CITY,
    CODE,
    END,
    NAME,
    NOTHING,
    PROVINCE,
    RECIPIENT,
    SERIAL,
    SPELL,
    START,
)
from evalaid.reading.files.cells import column_letters, column_number
from evalaid.reading.journal.decisions import Journal
from evalaid.reading.journal.layouts import ColumnLayout, TableLayout
from evalaid.reading.tables.headers import TableBlock, fill_down, find_block
from evalaid.reading.values.kinds import CellKind, classify, plain
from evalaid.reading.words.vocabulary import patterns

STARTS = (START, SPELL, ARRIVED, AGREED, ANNOUNCED)
"""Columns that say when a partnership began; where there are several, the first of these is the start."""

SEARCHED_ROWS = 30
"""A header stands among the first rows of its sheet."""

_HEADER_ROWS = 3
_BRACKET = re.compile(r"[(\[](?:单位[:：])?[^()\[\]]{0,8}[)\]]$")


def find_roster_role(path: Sequence[str]) -> str:
    """Find what a column of a roster holds.

    Assumes texts as `evalaid.reading.tables.headers.plain` gives them, from the top row of the header to the bottom row.

    Examples
    --------
    >>> find_roster_role(["帮扶时间", "开始"]), find_roster_role(["支援医院"]), find_roster_role(["派驻人数(人)"])
    ('start', 'hospital', 'experts')
    """
    joined = ["".join(path[start:]) for start in range(len(path))]
    for text in [*joined, "".join(reversed(path)), *reversed(path)]:
        bare = re.sub(r"[、,·:*]", "", text).lower()
        for candidate in (bare, _BRACKET.sub("", bare)):
            for name, pattern in _patterns():
                if pattern.fullmatch(candidate):
                    return name
    return ""


def _patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Yield the roles of a roster's columns, its own words before those of any table."""
    yield from patterns("roster").items()
    yield from ((key, patterns("keys")[key]) for key in (CODE, CITY, PROVINCE, NAME, SERIAL))


def detect_roster(given: TableLayout | None, journal: Journal) -> tuple[TableLayout, TableBlock] | None:
    """Complete the layout of a sheet of a roster."""
    grid = journal.grid
    given = given or TableLayout()
    cells = fill_down(grid)
    header = (given.header_rows[0] - 1, given.header_rows[1] - 1) if given.header_rows else _find_header(cells)
    if header is None:
        return None
    data = (given.data_rows[0] - 1, given.data_rows[1] - 1) if given.data_rows else _find_body(cells, header[1])
    block = None if data is None else find_block(grid, header, data)
    if block is None:
        journal.fault(header[1], "", "", "no row stands below the header", "one row for each partnership")
        return None
    rows = f"{header[0] + 1}" if header[0] == header[1] else f"{header[0] + 1} to {header[1] + 1}"
    because = (
        "the layout says so"
        if given.header_rows
        else "the first rows whose texts name a unit (or a hospital that is helped) and a date or a hospital"
    )
    journal.decide(f"A{header[0] + 1}", "header", f"row {rows}; data below it to row {block.data[1] + 1}", because)
    columns = _read_columns(given, block, journal)
    table = replace(
        given,
        file=grid.file if given.file is None else given.file,
        sheet=grid.sheet,
        header_rows=(header[0] + 1, header[1] + 1),
        data_rows=(block.data[0] + 1, block.data[1] + 1),
        columns=tuple(columns),
    )
    return table, block


def _find_header(cells: np.ndarray) -> tuple[int, int] | None:
    """Find the rows whose columns have the most different roles; of equals the fewest and the first."""
    best: tuple[int, int, int] | None = None
    found = None
    for top in range(min(len(cells), SEARCHED_ROWS)):
        for height in range(1, _HEADER_ROWS + 1):
            if top + height >= len(cells):
                break
            roles = {find_roster_role(_path(cells[top : top + height, column])) for column in range(cells.shape[1])}
            roles -= {"", SERIAL}
            if not roles & {NAME, CODE, RECIPIENT} or not roles & {*STARTS, "hospital"} or len(roles) < 2:
                continue
            rank = (len(roles), -height, -top)
            if best is None or rank > best:
                best, found = rank, (top, top + height - 1)
    return found


def _path(values: Iterable[object]) -> list[str]:
    path: list[str] = []
    for value in values:
        text = plain(value)
        if text and text not in path[-1:]:
            path.append(text)
    return path


def _find_body(cells: np.ndarray, header: int) -> tuple[int, int] | None:
    """Rows below the header up to the last with more than one filled cell; notes below it stand in one."""
    filled = [
        row
        for row in range(header + 1, len(cells))
        if len({plain(value) for value in cells[row] if classify(value) != CellKind.BLANK}) > 1
    ]
    return (header + 1, filled[-1]) if filled else None


def _read_columns(given: TableLayout, block: TableBlock, journal: Journal) -> list[ColumnLayout]:
    fixed = {column_number(column.column): column for column in given.columns}
    columns = []
    for number, path in enumerate(block.paths):
        letters, text = column_letters(number), " / ".join(path)
        where = journal.grid.address(block.header[0], number)
        if number in fixed:
            columns.append(replace(fixed[number], header=text))
            journal.decide(where, f"column {letters}", fixed[number].read, "the layout says so")
        elif path:
            read = find_roster_role(path)
            because = f"its header is {text!r}"
            if not read:
                read, because = NOTHING, f"its header {text!r} is none of a roster; to read it, name it in the layout"
            columns.append(ColumnLayout(letters, read, header=text))
            journal.decide(where, f"column {letters}", read, because)
    _check_columns(columns, block, journal)
    return columns


def _check_columns(columns: Sequence[ColumnLayout], block: TableBlock, journal: Journal) -> None:
    places: dict[str, list[ColumnLayout]] = {}
    for column in columns:
        places.setdefault(column.read, []).append(column)
    headers = ", ".join(f"{column.column} {column.header!r}" for column in columns[:10])
    top = block.header[0]
    if not {NAME, CODE, RECIPIENT} & places.keys():
        example = "the column in the layout, for example 'B: {read: name}', or of the hospitals that are helped, 'B: {read: recipient}'"
        journal.fault(top, "", "", f"no column of units (names or codes) was found among {headers}", example)
    if not set(STARTS) & places.keys():
        example = "the column in the layout, for example 'D: {read: start}'"
        journal.fault(top, "", "", f"no column of starts was found among {headers}", example)
    for role in (NAME, CODE, END, *STARTS, "hospital"):
        if len(group := places.get(role, [])) > 1:
            which = ", ".join(f"{column.column} {column.header!r}" for column in group)
            fault = f"several columns are read as {role}: {which}"
            expected = f"one of them as {{read: {role}}} in the layout, the others as {{read: nothing}}"
            journal.fault(top, f"{group[0].column}{top + 1}", group[0].header, fault, expected)
