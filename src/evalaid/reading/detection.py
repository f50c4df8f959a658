"""The layout of one sheet: what the given layout leaves open is detected, and every choice is noted."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from evalaid.names import (
    BASE,
    CODE,
    FIGURE,
    INDICATOR,
    NAME,
    NOTHING,
)
from evalaid.reading.cells import cell_address
from evalaid.reading.columns import Header, choose_unit, is_value, read_header
from evalaid.reading.grids import Grid
from evalaid.reading.headers import Block, fill_down, find_block, find_unit
from evalaid.reading.kinds import Kind, classify, plain
from evalaid.reading.layouts import ColumnLayout, TableLayout
from evalaid.reading.regions import Region, find_region
from evalaid.reading.rows import Journal
from evalaid.reading.titles import find_edition, find_period, find_variable, say_cumulative

PLACES = 0.6
"""Share of the texts of a column without a known header that must be counties before it is taken for the column of names."""


@dataclass(frozen=True)
class Detected:
    """Hold what is known about a sheet before its figures are read.

    Parameters
    ----------
    table : TableLayout
        The complete layout, except for units and cumulative counts that only the figures tell.
    block : Block
        Where the table stands.
    units : dict
        Letters of a column -> the unit that its header or a note states.
    unit_note : str
        Unit or units that a note states for the whole table.
    period : str
        Period of the whole table as written, empty when rows or columns have their own.
    year : int or None
        Year for periods that have none.
    """

    table: TableLayout
    block: Block
    units: dict[str, str]
    unit_note: str
    period: str
    year: int | None


def column_letters(column: int) -> str:
    """Name a column, counted from zero, by its letters.

    Examples
    --------
    >>> column_letters(0), column_letters(27)
    ('A', 'AB')
    """
    return cell_address(0, column).rstrip("0123456789")


def column_number(letters: str) -> int:
    """Count a column from zero by its letters.

    Examples
    --------
    >>> column_number("A"), column_number("AB")
    (0, 27)
    """
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number - 1


def detect(given: TableLayout | None, journal: Journal, units: str) -> Detected | None:
    """Complete the layout of a sheet.

    Parameters
    ----------
    given : TableLayout or None
        What is fixed.
    journal : Journal
        The sheet; receives decisions and faults.
    units : {"counties", "as_written"}
        Whether units are looked up among the divisions.

    Returns
    -------
    Detected or None
        None when no table was found (listed as a fault).
    """
    grid = journal.grid
    given = given or TableLayout()
    block = find_block(grid, _from_zero(given.header_rows), _from_zero(given.data_rows))
    if block is None and given.header_rows is None and not _has_figures(grid):
        journal.decide("", "sheet", "not read", "it has no row with a text and a figure")
        return None
    if block is None:
        journal.find(
            None,
            "",
            "",
            "no table was found: no row of headers above rows with figures",
            "'header_rows: [first, last]' in the layout, or 'read: false' for a sheet without a table",
        )
        return None
    first, last = block.header
    rows = f"{first + 1}" if first == last else f"{first + 1} to {last + 1}"
    journal.decide(
        f"A{first + 1}",
        "header",
        f"row {rows}; data below it to row {block.data[1] + 1}",
        "the layout says so" if given.header_rows else "the last rows of texts above the first row with a figure",
    )
    if block.filled:
        journal.decide(
            block.filled[0],
            "blank cells of the header",
            "the cell on their left",
            f"{len(block.filled)} cells above a header are blank and nothing is merged",
        )
    headers = {column: read_header(path) for column, path in enumerate(block.paths)}
    columns, stated = _read_columns(given, block, headers, journal, units)
    period, year = find_period(given, block, columns, journal)
    cumulative = given.cumulative if given.cumulative is not None else say_cumulative(block, journal)
    edition = given.edition if given.edition is not None else find_edition(block, journal)
    table = replace(
        given,
        file=grid.file if given.file is None else given.file,
        sheet=grid.sheet,
        header_rows=(first + 1, last + 1),
        data_rows=(block.data[0] + 1, block.data[1] + 1),
        columns=tuple(columns),
        period=period or None,
        cumulative=cumulative,
        edition=edition,
    )
    note = find_unit(block.above + block.below)
    return Detected(table, block, stated, note.text if note else "", period, year)


def _has_figures(grid: Grid) -> bool:
    """Tell whether any row holds a figure beside something else."""
    kinds = np.array([[classify(value) for value in row] for row in grid.cells]).reshape(grid.cells.shape)
    return bool(((kinds == Kind.NUMBER).any(axis=1) & ((kinds != Kind.BLANK).sum(axis=1) > 1)).any())


def _from_zero(rows: tuple[int, int] | None) -> tuple[int, int] | None:
    return None if rows is None else (rows[0] - 1, rows[1] - 1)


def _read_columns(
    given: TableLayout, block: Block, headers: dict[int, Header], journal: Journal, units: str
) -> tuple[list[ColumnLayout], dict[str, str]]:
    fixed = {column_number(column.column): column for column in given.columns}
    cells = fill_down(journal.grid)
    note = find_unit(block.above + block.below)
    columns: list[ColumnLayout] = []
    stated: dict[str, str] = {}
    unnamed = False
    named = {header.read for header in headers.values()} | {column.read for column in fixed.values()}
    for column, header in headers.items():
        where = journal.grid.address(block.header[0], column)
        text = " / ".join(block.paths[column])
        body = cells[block.data[0] : block.data[1] + 1, column]
        blank = all(value is None or not plain(value) for value in body)
        if column in fixed:
            columns.append(_completed(fixed[column], header, text))
            stated[column_letters(column)] = header.unit or (
                choose_unit(note.text, fixed[column].read) if note and fixed[column].read != FIGURE else ""
            )
            journal.decide(where, f"column {column_letters(column)}", fixed[column].read, "the layout says so")
            continue
        if blank and not header.words:
            continue
        read, because = header.read, f"its header is {text!r}"
        if not read and not header.words and header.period and (INDICATOR in named or _lone(headers)):
            read, because = FIGURE, f"its header is a period, {text!r}"
        if not read and not {NAME, CODE} & named and (found := _by_content(body, units)):
            read, because = found, f"what stands in it: counties (its header is {text!r})"
            named.add(read)
        if read == FIGURE and INDICATOR not in named:
            read = given.variable or find_variable(block, journal)
            because = f"its header is a period, {text!r}, and {'the layout' if given.variable else 'a title'} names the variable"
            unnamed |= not read
        if not read or blank:
            read = NOTHING
            because = (
                f"nothing stands in it (header {text!r})"
                if blank
                else f"its header {text!r} is no known variable; to read it, name it in the layout"
            )
        unit = header.unit
        if is_value(read) and read != FIGURE and not unit and note and (unit := choose_unit(note.text, read)):
            because += f"; the unit is that of the note {note.text!r} in {journal.grid.address(note.row, note.column)}"
        stated[column_letters(column)] = unit
        columns.append(
            ColumnLayout(
                column_letters(column),
                read,
                None,
                (header.period or None) if is_value(read) else None,
                header.cumulative if is_value(read) else None,
                text,
            )
        )
        decided = ", ".join(str(part) for part in (read, is_value(read) and unit, columns[-1].period) if part)
        journal.decide(where, f"column {column_letters(column)}", decided, because)
    _check_columns(columns, block, journal, unnamed=unnamed)
    return columns, stated


def _lone(headers: dict[int, Header]) -> bool:
    """Tell whether the columns of figures say periods and no variable."""
    return not any(is_value(header.read) for header in headers.values())


def _by_content(body: np.ndarray, units: str) -> str:
    texts = [plain(value) for value in body if plain(value)]
    if not texts or units != "counties":
        return ""
    sample = texts[:40]
    found = [find_region(text) for text in sample]
    hits = sum(isinstance(one, Region) for one in found)
    if hits < PLACES * len(sample):
        return ""
    return CODE if sum(text.replace(".0", "").isdigit() for text in sample) > len(sample) / 2 else NAME


def _completed(fixed: ColumnLayout, header: Header, text: str) -> ColumnLayout:
    """Complete what the layout says about a column with the period that its header names."""
    if not is_value(fixed.read):
        return replace(fixed, header=text)
    cumulative = header.cumulative if fixed.cumulative is None else fixed.cumulative
    return replace(fixed, header=text, period=fixed.period or header.period or None, cumulative=cumulative)


def _check_columns(columns: list[ColumnLayout], block: Block, journal: Journal, *, unnamed: bool) -> None:
    reads = [column.read for column in columns]
    top = block.header[0]
    if not {NAME, CODE} & set(reads):
        headers = ", ".join(f"{column.column} {column.header!r}" for column in columns[:8])
        journal.find(
            top,
            "",
            "",
            f"no column of counties (names or codes) was found among {headers}",
            "the column in the layout, for example 'B: {read: name}'",
        )
    if not any(is_value(read) for read in reads):
        headers = ", ".join(f"{column.column} {column.header!r}" for column in columns[:8])
        journal.find(
            top,
            "",
            "",
            f"the columns are periods, and nothing names their variable: {headers}"
            if unnamed
            else f"no column of figures was found among {headers}",
            "a line 'variable: total' (or share, inside, ...) in this table of the layout"
            if unnamed
            else "the columns in the layout, for example 'D: {read: share, unit: percent}'",
        )
    for role in (NAME, CODE, INDICATOR, BASE):
        places = [column.column for column in columns if column.read == role]
        if len(places) > 1:
            journal.find(
                top,
                "",
                "",
                f"several columns are read as {role}: {', '.join(places)}",
                f"one column with {{read: {role}}} in the layout, the others with {{read: nothing}}",
            )
    groups = defaultdict(list)
    for column in columns:
        if is_value(column.read) and column.read != FIGURE:
            groups[column.read, column.period, column.cumulative].append(column)
    for (read, period, _), group in groups.items():
        if len(group) > 1:
            which = ", ".join(f"{column.column} {column.header!r}" for column in group)
            when = f" of {period}" if period else ""
            journal.find(
                top,
                f"{group[0].column}{top + 1}",
                group[0].header,
                f"several columns are read as {read}{when}: {which}",
                f"one of them as {{read: {read}}} in the layout, the others as {{read: nothing}}",
            )
