"""The layout of one sheet: what the given layout leaves open is detected, and every choice is noted."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from evalaid.base.names import (
    BASE,
    CITY,
    CODE,
    EDITION,
    FIGURE,
    INDICATOR,
    INSIDE,
    MEASURE,
    NAME,
    NOTHING,
    OUTSIDE,
    PERIOD,
    PROVINCE,
    SHARE,
    TOTAL,
    YEAR,
)
from evalaid.reading.files.cells import column_letters, column_number
from evalaid.reading.files.grids import Grid
from evalaid.reading.journal.decisions import Journal
from evalaid.reading.journal.layouts import ColumnLayout, FileLayout, TableLayout
from evalaid.reading.places.counties import PlacedUnit
from evalaid.reading.places.whose_units import COUNTIES
from evalaid.reading.tables.across import find_content, is_other, place_columns, place_table, stated_places
from evalaid.reading.tables.column_roles import Header, choose_unit, is_value, read_header
from evalaid.reading.tables.headers import TableBlock, fill_down, find_block, find_unit
from evalaid.reading.tables.titles import find_edition, find_period, find_variable, say_cumulative, say_whose
from evalaid.reading.values.comparable_names import looks_like_code
from evalaid.reading.values.kinds import CellKind, classify, find_role, plain, split_period
from evalaid.reading.values.measures import measure_of
from evalaid.reading.words.vocabulary import pattern_of


@dataclass(frozen=True)
class Detected:
    """Hold what is known about a sheet before its figures are read."""

    table: TableLayout  # the complete layout, except for units and cumulative counts that only the figures tell
    block: TableBlock  # where the table stands
    units: dict[str, str]  # letters of a column -> the unit that its header or a note states
    unit_note: str  # unit or units that a note states for the whole table
    period: str  # period of the whole table as written, empty when rows or columns have their own
    year: int | None  # year for periods that have none
    # letters of a column -> the county of its figures, in a table with a column for each county; else empty
    placed: dict[str, PlacedUnit]


def detect(given: TableLayout | None, journal: Journal, layout: FileLayout) -> Detected | None:
    """Complete the layout of a sheet."""
    grid = journal.grid
    given = given or TableLayout()
    if _outside(given, journal):
        return None
    block = find_block(grid, _from_zero(given.header_rows), _from_zero(given.data_rows))
    if block is None and given.header_rows is None and not _has_figures(grid):
        journal.decide("", "sheet", "not read", "it has no row with a text and a figure")
        return None
    if block is None:
        journal.fault(
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
    places = stated_places(given, block, layout)
    headers = {
        column: read_header(
            [text for text in path if text != places[column] and not is_other(text)] if column in places else path
        )
        for column, path in enumerate(block.paths)
    }
    columns, stated, unnamed = _read_columns(given, block, headers, places, journal, layout.units)
    if layout.units != COUNTIES:
        columns = _with_names(columns, block, fill_down(grid), journal)
    if any(column.place for column in columns) and (keys := [c for c in columns if c.read in {NAME, CODE}]):
        journal.fault(
            first,
            f"{keys[0].column}{first + 1}",
            keys[0].header,
            "counties stand in the rows and in the columns, as in a matrix of residence and hospital",
            "count_matrix for a matrix of episodes; else in the layout {read: nothing} for the columns of one of them",
        )
        return None
    columns, whole = place_table(given, columns, block, layout, journal)
    _check_columns(columns, block, journal, unnamed=unnamed)
    columns, placed = place_columns(columns, block, layout, given, journal)
    period, year = find_period(given, block, columns, journal)
    cumulative = given.cumulative if given.cumulative is not None else say_cumulative(block, journal)
    edition = given.edition if given.edition is not None else find_edition(block, journal)
    say_whose(block, columns, journal)
    table = replace(
        given,
        file=grid.file if given.file is None else given.file,
        sheet=grid.sheet,
        header_rows=(first + 1, last + 1),
        data_rows=(block.data[0] + 1, block.data[1] + 1),
        columns=tuple(columns),
        place=whole or given.place,
        period=period or None,
        cumulative=cumulative,
        edition=edition,
    )
    note = find_unit(block.above + block.below)
    return Detected(table, block, stated, note.text if note else "", period, year, placed)


def _with_names(
    columns: list[ColumnLayout], block: TableBlock, cells: np.ndarray, journal: Journal
) -> list[ColumnLayout]:
    """Where no column names units, those are the larger places that a column does name, else the first column of texts."""
    reads = {column.read for column in columns}
    if NAME in reads:
        return columns
    larger = next((column for role in (CITY, PROVINCE) for column in columns if column.read == role), None)
    because = "no other column names units"
    if larger is None or CODE in reads:
        texts = (column for column in columns if column.read == NOTHING and _holds_texts(column, block, cells))
        larger = next(texts, None)
        because = "it is the first column of texts, and no header that is known names units"
    if larger is None:
        return columns
    journal.decide(f"{larger.column}{block.header[0] + 1}", f"column {larger.column}", NAME, because)
    return [replace(column, read=NAME) if column is larger else column for column in columns]


def _holds_texts(column: ColumnLayout, block: TableBlock, cells: np.ndarray) -> bool:
    """Return whether nearly every cell of a column is a text, and hardly one stands twice."""
    body = [value for value in cells[block.data[0] : block.data[1] + 1, column_number(column.column)] if plain(value)]
    texts = [value for value in body if classify(value) == CellKind.TEXT]
    return len(texts) >= MOST_NUMBERS * len(body) > 0 and len({plain(value) for value in texts}) > len(texts) / 2


def is_tidy(grid: Grid) -> bool:
    """Return whether a sheet has one row for each unit and period below a first row of names, and nothing around it."""
    if len(grid.cells) < 2 or grid.merged:
        return False
    header = [plain(value) for value in grid.cells[0]]
    named = [text for text in header if text]
    roles = [find_role(text) for text in named]
    whole = all(isinstance(value, str) for value in grid.cells[0] if value is not None) and len(set(named)) == len(
        named
    )
    filled = max(sum(bool(plain(value)) for value in grid.cells[row]) for row in (1, -1))
    return (
        whole
        and len(named) > 2
        and bool({PERIOD, YEAR} & set(roles))
        and filled > 2
        and not any(map(_has_period, named))
    )


def _has_period(text: str) -> bool:
    return bool(split_period(text)[0])


def refuse_tidy(journal: Journal) -> None:
    """Record that a sheet is a tidy table, which is read by its columns."""
    fault = "a tidy table of units that are no counties of China: one row for each unit and period, all columns of equal rank"
    journal.fault(1, "A2", "", fault, "its columns named (--unit, --period, --outcome), or columns in a layout")


def _outside(given: TableLayout, journal: Journal) -> bool:
    """Find rows and columns of the layout that lie outside the sheet."""
    height, width = journal.grid.cells.shape
    end = f"{column_letters(width - 1)}{height}" if height and width else "nothing"
    stated = {
        "header_rows": max(given.header_rows or (0,)),
        "data_rows": max(given.data_rows or (0,)),
        "leave_out": max(given.leave_out or (0,)),
    }
    wrong = [f"{name} names row {row}" for name, row in stated.items() if row > height]
    wrong += [f"columns names column {c.column}" for c in given.columns if column_number(c.column) >= width]
    for found in wrong:
        journal.fault(None, "", "", f"the layout's {found}, outside the sheet", f"rows and columns within A1:{end}")
    return bool(wrong)


def _has_figures(grid: Grid) -> bool:
    """Return whether any row holds a figure beside something else."""
    kinds = np.array([[classify(value) for value in row] for row in grid.cells]).reshape(grid.cells.shape)
    return bool(((kinds == CellKind.NUMBER).any(axis=1) & ((kinds != CellKind.BLANK).sum(axis=1) > 1)).any())


def _from_zero(rows: tuple[int, int] | None) -> tuple[int, int] | None:
    return None if rows is None else (rows[0] - 1, rows[1] - 1)


def _read_columns(
    given: TableLayout,
    block: TableBlock,
    headers: dict[int, Header],
    places: dict[int, str],
    journal: Journal,
    units: str,
) -> tuple[list[ColumnLayout], dict[str, str], bool]:
    fixed = {column_number(column.column): column for column in given.columns}
    cells = fill_down(journal.grid)
    contents = _read_contents(block, headers, {*places, *fixed}, cells, units, across=bool(places))
    reads = {column: contents.get(column, header.read) for column, header in headers.items() if column not in fixed}
    named = {*reads.values(), *(column.read for column in fixed.values())}
    columns: list[ColumnLayout] = []
    stated: dict[str, str] = {}
    unnamed = False
    lone, dated = _lone(headers), _any_dated(headers)
    for column, header in headers.items():
        letters = column_letters(column)
        text = " / ".join(block.paths[column])
        if column in fixed:
            columns.append(_completed(fixed[column], header, text, places.get(column)))
            stated[letters] = header.unit or _unit_of_note(fixed[column].read, block, journal)[0]
            decided, because = fixed[column].read, "the layout says so"
        else:
            body = cells[block.data[0] : block.data[1] + 1, column]
            blank = not any(map(plain, body))
            if blank and not header.words:
                continue
            found = _Found(reads[column], header.unit, f"its header is {text!r}")
            if column in contents:
                found = replace(found, because=f"what stands in it (its header is {text!r})")
            if header.part and columns and _belongs(columns[-1], header):
                found = replace(found, read=header.part, because=f"{found.because}, of the total before it")
            found = _as_figures(found, header, text, in_county=column in places, named=named, lone=lone)
            if found.read == FIGURE and INDICATOR not in named:
                found = _named_by_title(found, given, block, journal)
                unnamed |= not found.read and units == COUNTIES
            if units != COUNTIES:
                found = _anything(found, header, body, block, dated=dated)
            found = _with_unit(_as_nothing(found, text, blank=blank), block, journal)
            columns.append(_column_of(letters, found.read, header, places.get(column), text))
            stated[letters] = found.unit
            decided, because = _shown(found, columns[-1].period), found.because
        journal.decide(journal.grid.address(block.header[0], column), f"column {letters}", decided, because)
    return columns, stated, unnamed


def _any_dated(headers: dict[int, Header]) -> bool:
    return any(header.period for header in headers.values())


def _shown(found: _Found, period: str | None) -> str:
    """What was decided about a column, in words."""
    parts = (found.read, is_value(found.read) and found.unit, period)
    return ", ".join(str(part) for part in parts if part)


@dataclass(frozen=True)
class _Found:
    """What a column was found to hold, its unit, and why."""

    read: str
    unit: str
    because: str


def _as_figures(found: _Found, header: Header, text: str, *, in_county: bool, named: set[str], lone: bool) -> _Found:
    """Take a column without a variable of its own for figures of the variable that its row or a title names."""
    by_period = bool(header.period) and (INDICATOR in named or lone)
    if not found.read and not header.words and (in_county or by_period):
        what = "county" if in_county else "period"
        return replace(found, read=FIGURE, because=f"its header is a {what}, {text!r}")
    if not found.read and INDICATOR in named and pattern_of("figure").fullmatch(header.words.lower()):
        return replace(found, read=FIGURE)
    return found


def _named_by_title(found: _Found, given: TableLayout, block: TableBlock, journal: Journal) -> _Found:
    read, unit = (given.variable, "") if given.variable else find_variable(block, journal)
    who = "the layout" if given.variable else "a title"
    return _Found(read, found.unit or unit, f"{found.because}, and {who} names the variable")


def _belongs(before: ColumnLayout, header: Header) -> bool:
    """Return whether the column before one is a total, or another part of it, of the same period."""
    return before.read in {TOTAL, INSIDE, OUTSIDE} and (before.period or "") == header.period


def _anything(found: _Found, header: Header, body: np.ndarray, block: TableBlock, *, dated: bool) -> _Found:
    """Read figures of any kind: those of a whole table by its title, a column of numbers by its header."""
    if dated and not header.period and pattern_of("total_row").fullmatch(header.words):
        return replace(found, read=NOTHING, because="a total over the periods, by its header")
    if found.read or (header.period and not header.words):
        return _by_measure(found, block) if not found.read and header.period else found
    if any(isinstance(value, str) and looks_like_code(value.strip()) for value in body):
        return replace(found, read=CODE, because=f"{found.because}, and what stands in it begins with zeros")
    kinds = [classify(value) for value in body if plain(value)]
    if (
        header.words
        and sum(kind in {CellKind.NUMBER, CellKind.MISSING} for kind in kinds) >= MOST_NUMBERS * len(kinds) > 0
    ):
        name = re.sub(r"\W+", "_", header.words).strip("_").lower()
        return replace(
            found,
            read=name if not name[:1].isdigit() else f"n_{name}",
            because=f"{found.because}, and numbers stand in it",
        )
    return found


MOST_NUMBERS = 0.8
"""Share of the cells of a column that are figures before a column of an unknown name is taken to hold figures."""


def _by_measure(found: _Found, block: TableBlock) -> _Found:
    """Call the figures of a table by what its title and its notes say that they are."""
    notes = [note.text for note in block.above + block.below]
    measure = measure_of("", notes)
    title = notes[0] if notes else ""
    said = f", and the title is {title!r}" if title else ", and no title says what they are"
    return replace(found, read=SHARE if measure.kind == SHARE else VALUE, because=found.because + said)


VALUE = "value"
"""The variable of figures that no title names in known words."""


def _as_nothing(found: _Found, text: str, *, blank: bool) -> _Found:
    if blank:
        return replace(found, read=NOTHING, because=f"nothing stands in it (header {text!r})")
    if not found.read:
        because = f"its header {text!r} is no known variable; to read it, name it in the layout"
        return replace(found, read=NOTHING, because=because)
    return found


def _with_unit(found: _Found, block: TableBlock, journal: Journal) -> _Found:
    """Complete figures with the unit that a note states."""
    if not is_value(found.read) or found.unit:
        return found
    unit, because = _unit_of_note(found.read, block, journal)
    return replace(found, unit=unit, because=found.because + because)


def _unit_of_note(read: str, block: TableBlock, journal: Journal) -> tuple[str, str]:
    """Return the unit that a note states for a variable, and where it stands; both empty when none does."""
    note = find_unit(block.above + block.below)
    unit = choose_unit(note.text, read) if note is not None and read != FIGURE else ""
    if note is None or not unit:
        return "", ""
    return unit, f"; the unit is that of the note {note.text!r} in {journal.grid.address(note.row, note.column)}"


def _column_of(letters: str, read: str, header: Header, place: str | None, text: str) -> ColumnLayout:
    if not is_value(read):
        return ColumnLayout(letters, read, None, None, None, place, text)
    return ColumnLayout(letters, read, None, header.period or None, header.cumulative, place, text)


def _lone(headers: dict[int, Header]) -> bool:
    """Return whether the columns of figures say periods and no variable."""
    return not any(is_value(header.read) for header in headers.values())


def _read_contents(
    block: TableBlock, headers: dict[int, Header], known: set[int], cells: np.ndarray, units: str, *, across: bool
) -> dict[int, str]:
    """Find what columns hold by what stands in them, where their headers do not say it or say 单位 (a county, or a measure)."""
    names = [column for column, header in headers.items() if header.read == NAME]
    keyed = bool({NAME, CODE} & {header.read for header in headers.values()})
    contents = {}
    for column, header in headers.items():
        if column in known or header.read not in {"", NAME, CODE} or header.period:
            continue
        found = find_content(cells[block.data[0] : block.data[1] + 1, column], counties=units == "counties")
        if header.read:
            wanted = {MEASURE} | ({PERIOD, INDICATOR} if across else set()) | ({CITY} if len(names) > 1 else set())
        elif across:
            wanted = {MEASURE, PERIOD, INDICATOR, NAME, CODE, EDITION}
        else:
            wanted = {EDITION} if keyed else {NAME, CODE, EDITION}
        if found in wanted:
            contents[column] = found
            keyed |= found in {NAME, CODE}
    return contents


def _completed(fixed: ColumnLayout, header: Header, text: str, place: str | None) -> ColumnLayout:
    """Complete what the layout says about a column with the period that its header names."""
    if not is_value(fixed.read):
        return replace(fixed, header=text)
    cumulative = header.cumulative if fixed.cumulative is None else fixed.cumulative
    return replace(
        fixed,
        header=text,
        period=fixed.period or header.period or None,
        cumulative=cumulative,
        place=fixed.place or place,
    )


def _check_columns(columns: list[ColumnLayout], block: TableBlock, journal: Journal, *, unnamed: bool) -> None:
    reads = [column.read for column in columns]
    top = block.header[0]
    across = any(column.place for column in columns)
    if across and not {PERIOD, YEAR, INDICATOR} & set(reads):
        journal.fault(
            top,
            "",
            "",
            "the columns are counties, and no column says what the rows are",
            "a column of periods or of indicators, for example 'A: {read: period}' in the layout",
        )
    if not across and not {NAME, CODE} & set(reads):
        headers = ", ".join(f"{column.column} {column.header!r}" for column in columns[:8])
        journal.fault(
            top,
            "",
            "",
            f"no column of units (names or codes) was found among {headers}",
            "the column in the layout, for example 'B: {read: name}', or a line 'place: 440222' for a table of one county",
        )
    if not any(is_value(read) for read in reads):
        headers = ", ".join(f"{column.column} {column.header!r}" for column in columns[:8])
        journal.fault(
            top,
            "",
            "",
            f"the columns are periods or counties, and nothing names their variable: {headers}"
            if unnamed
            else f"no column of figures was found among {headers}",
            "a line 'variable: total' (or share, inside, ...) in this table of the layout"
            if unnamed
            else "the columns in the layout, for example 'D: {read: share, unit: percent}'",
        )
    _check_repeated(columns, block, journal)


def _check_repeated(columns: list[ColumnLayout], block: TableBlock, journal: Journal) -> None:
    """Refuse several columns of one role, or of one variable, period and county."""
    top = block.header[0]
    for role in (NAME, CODE, INDICATOR, MEASURE, BASE):
        places = [column.column for column in columns if column.read == role]
        if len(places) > 1:
            journal.fault(
                top,
                "",
                "",
                f"several columns are read as {role}: {', '.join(places)}",
                f"one column with {{read: {role}}} in the layout, the others with {{read: nothing}}",
            )
    groups = defaultdict(list)
    for column in columns:
        if is_value(column.read) and column.read != FIGURE:
            groups[column.read, column.period, column.cumulative, plain(column.place)].append(column)
    for (read, period, _, _), group in groups.items():
        if len(group) > 1:
            which = ", ".join(f"{column.column} {column.header!r}" for column in group)
            when = f" of {period}" if period else ""
            journal.fault(
                top,
                f"{group[0].column}{top + 1}",
                group[0].header,
                f"several columns are read as {read}{when}: {which}",
                f"one of them as {{read: {read}}} in the layout, the others as {{read: nothing}}",
            )
