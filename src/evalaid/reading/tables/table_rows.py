"""The rows of data of a table: their units, periods and indicators, some from a heading or a row above."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evalaid.base.errors import ReadingError
from evalaid.base.names import BASE, CITY, CODE, EDITION, INDICATOR, MEASURE, NAME, PERIOD, PROVINCE, YEAR
from evalaid.reading.files.grids import Grid
from evalaid.reading.journal.decisions import Journal, show
from evalaid.reading.journal.layouts import TableLayout
from evalaid.reading.places.counties import PlacedUnit, bare, place_unit, read_heading
from evalaid.reading.places.whose_units import COUNTIES, language_of_sheet
from evalaid.reading.tables.headers import TableBlock, fill_down, is_numbering
from evalaid.reading.tables.row_kinds import RowKind, RowTexts, kind_of_row
from evalaid.reading.values.calendar_words import NO_YEAR
from evalaid.reading.values.kinds import CellKind, classify, plain, spaced, split_period
from evalaid.reading.values.spans import Span, read_spans
from evalaid.reading.values.total_words import totals_by_name
from evalaid.reading.words.vocabulary import patterns


@dataclass
class Rows:
    """Hold the rows of data of a table, in their order."""

    position: list[int] = field(default_factory=list)  # row in the grid, from zero
    unit: list[str] = field(default_factory=list)  # code and name of the unit
    name: list[str] = field(default_factory=list)  # code and name of the unit
    span: list[Span | None] = field(default_factory=list)  # period of the row; None when columns or the table have it
    period: list[str] = field(default_factory=list)  # the period as written
    indicator: list[str] = field(default_factory=list)  # variable of the row, where rows hold indicators; else empty
    edition: list[int | None] = field(default_factory=list)  # order of the edition that the row says it is


_LEFT_OUT = {RowKind.LEFT_OUT, RowKind.HEADER, RowKind.NUMBERING, RowKind.NOTE}
_OF_A_BASE = {RowKind.IN_HEADER, RowKind.CONTINUED, RowKind.NAMELESS, RowKind.NOTE, RowKind.DATA}
_NOWHERE = PlacedUnit()


@dataclass(frozen=True)
class _Above:
    """What the rows above a row leave for it: the heading that they stand under, and the unit of the last."""

    heading: str | None = None
    unit: PlacedUnit = _NOWHERE


@dataclass(frozen=True)
class _Sheet:
    block: TableBlock
    table: TableLayout
    roles: Mapping[str, Sequence[int]]
    journal: Journal
    cells: np.ndarray
    headers: Collection[str]
    within: str | None
    units: str
    across: bool
    seen: dict[tuple[str, str, str], PlacedUnit] = field(default_factory=dict)

    def first_text(self, row: int, *roles: str) -> str:
        """The first text in the columns of these roles."""
        texts = (plain(self.cells[row, column]) for role in roles for column in self.roles.get(role, ()))
        return next((text for text in texts if text), "")

    def first_name(self, row: int, *roles: str) -> str:
        """The first name or code in the columns of these roles; with its blanks where units are taken as they are written."""
        if self.units == COUNTIES:
            return self.first_text(row, *roles)
        texts = (spaced(self.cells[row, column]) for role in roles for column in self.roles.get(role, ()))
        return next((text for text in texts if text), "")

    def joined(self, row: int, role: str) -> str:
        """The text in the first column of a role."""
        return "".join(plain(self.cells[row, column]) for column in self.roles.get(role, ())[:1])

    def read(self, row: int) -> RowTexts:
        """Collect what a row says."""
        cells = self.cells[row]
        filled = np.flatnonzero([classify(value) != CellKind.BLANK for value in cells])
        dates = [plain(cells[column]) for role in (PERIOD, YEAR) for column in self.roles.get(role, ())]
        return RowTexts(
            row + 1,
            tuple(plain(cells[column]) for column in filled),
            "; ".join(show(cells[column]) for column in filled[:3]),
            self.first_name(row, CODE),
            self.first_name(row, NAME),
            self.first_name(row, CITY, PROVINCE),
            tuple(text for text in dates if text),
            self.joined(row, BASE),
            bool(self.first_text(row, PERIOD, YEAR, INDICATOR)),
            any(classify(cells[column]) == CellKind.NUMBER for column in filled),
            is_numbering(cells),
        )

    def place(self, row: int, said: RowTexts, above: _Above) -> PlacedUnit:
        """Find the unit that a row names, once for each name."""
        key = (said.code, said.name, said.near or above.heading or "")
        if key not in self.seen:
            self.seen[key] = place_unit(row, *key, self.within, self.units, self.table, self.journal)
        return self.seen[key]

    def key_address(self, row: int) -> str:
        """Where the name or the code of a row's unit stands."""
        return _address(self.journal.grid, row, [*self.roles.get(NAME, ()), *self.roles.get(CODE, ())])


_IN_HEADER = PlacedUnit("in the header")


def read_rows(
    block: TableBlock,
    table: TableLayout,
    roles: Mapping[str, Sequence[int]],
    journal: Journal,
    *,
    year: int | None,
    within: str | None,
    units: str,
    across: bool = False,
) -> Rows:
    """Separate data from what is not, and find unit, period, indicator and edition of every row.

    Assumes that every row of data says its unit by code or name; a blank name below a name belongs to it when the row has a
    period of its own. With ``across`` the columns are counties: rows say their period or indicator, and no unit.
    """
    cells = fill_down(journal.grid)
    headers = {plain(value) for row in range(block.header[0], block.header[1] + 1) for value in cells[row]} - {""}
    if units != COUNTIES:
        cells = fill_blocks(
            cells, block.data, [column for role in (CITY, PROVINCE) for column in roles.get(role, ())], journal
        )
    sheet = _Sheet(block, table, roles, journal, cells, headers, within, units, across)
    if units != COUNTIES:
        sheet = replace(sheet, table=replace(table, totals=(*table.totals, *_totals(sheet))))
    table = sheet.table
    above = _Above()
    kinds: dict[int, tuple[RowKind, RowTexts]] = {}
    placed: dict[int, PlacedUnit] = {}
    for row in range(block.data[0], block.data[1] + 1):
        said = sheet.read(row)
        kind = kind_of_row(said, table, headers, follows=above.unit != _NOWHERE, across=across)
        kinds[row] = kind, said
        above, unit = _step(sheet, above, row, kind, said)
        if unit.code:
            placed[row] = unit
    rows = _collect(sheet, placed)
    _check_bases(sheet, kinds)
    blanks = [row for row, (kind, _) in kinds.items() if kind == RowKind.CONTINUED]
    if blanks:
        where = f"{sheet.key_address(blanks[0])} and below" if sheet.key_address(blanks[0]) else ""
        because = f"{len(blanks)} rows have a period or an indicator and no name"
        journal.decide(where, "blank names", "the unit above them", because)
    _tell_blank_indicators(sheet, rows)
    step = table.step or _step_of_header(block, [*roles.get(PERIOD, ()), *roles.get(YEAR, ())])
    _read_periods(cells, rows, roles, year, step, journal)
    return rows


def fill_blocks(cells: np.ndarray, data: tuple[int, int], columns: Sequence[int], journal: Journal) -> np.ndarray:
    """Write the name of a larger place, given once for the rows below it, into each of them; returns new cells."""
    filled = cells.copy()
    for column in columns:
        blanks = 0
        for row in range(data[0] + 1, data[1] + 1):
            others = any(plain(value) for at, value in enumerate(filled[row]) if at != column)
            if not plain(filled[row, column]) and plain(filled[row - 1, column]) and others:
                filled[row, column] = filled[row - 1, column]
                blanks += 1
        if blanks:
            where = f"{journal.grid.address(data[0], column)} and below"
            journal.decide(
                where, "blank cells of larger places", "the place above them", f"{blanks} rows name a unit and none"
            )
    return filled


def _totals(sheet: _Sheet) -> list[str]:
    """The names of rows that are totals of the others: as the only nation among many units."""
    rows = range(sheet.block.data[0], sheet.block.data[1] + 1)
    names = [sheet.first_name(row, NAME, CODE) or sheet.first_name(row, PROVINCE, CITY) for row in rows]
    found = totals_by_name(names)
    for name, why in found.items():
        sheet.journal.decide("", f"unit {name!r}", "left out", why)
    return list(found)


def _step(sheet: _Sheet, above: _Above, row: int, kind: RowKind, said: RowTexts) -> tuple[_Above, PlacedUnit]:
    """Take one row: record what is left out, and return what the next row finds above it and the unit of this one."""
    journal = sheet.journal
    key = said.name or said.code
    if kind in _LEFT_OUT:
        journal.leave(row, "", said.shown, kind.value)
    elif kind == RowKind.HEADING:
        return replace(above, heading=_read_heading(sheet, row, said, above.heading)), _NOWHERE
    elif kind == RowKind.TOTAL:
        journal.leave(row, "", key or said.near, kind.value)
        return replace(above, unit=PlacedUnit(left_out=kind.value)), _NOWHERE
    elif kind in {RowKind.PERIOD_TOTAL, RowKind.OTHER_BASE}:
        of_base = kind == RowKind.OTHER_BASE
        shown = said.base if of_base else "; ".join(text for text in (key, *said.dates) if text)
        journal.leave(row, "", shown, f"{kind.value} {sheet.table.base}" if of_base else kind.value)
        return (replace(above, unit=sheet.place(row, said, above)) if bare(key) else above), _NOWHERE
    elif kind == RowKind.NAMELESS:
        fault, expected = _NAMELESS_ACROSS if sheet.across else _NAMELESS
        journal.fault(row, sheet.key_address(row), said.shown, fault, f"{expected}, or the row in leave_out")
    elif kind == RowKind.IN_HEADER:
        return above, _IN_HEADER
    elif kind == RowKind.CONTINUED:
        return above, _noted(sheet, row, said, above.unit)
    elif kind == RowKind.DATA:
        unit = sheet.place(row, said, above)
        return replace(above, unit=unit), _noted(sheet, row, said, unit)
    return above, _NOWHERE


_NAMELESS = ("a row with figures and without a unit", "a county's name or code")
_NAMELESS_ACROSS = ("a row with figures and without a period or an indicator", "a period or an indicator")


def _noted(sheet: _Sheet, row: int, said: RowTexts, unit: PlacedUnit) -> PlacedUnit:
    """Record what is wrong with the unit of a row, or why it is left out."""
    if unit.fault:
        sheet.journal.fault(
            row,
            sheet.key_address(row),
            said.name or said.code,
            unit.fault,
            "a county's name or code, the row in leave_out, or in the layout 'within: 广东省' where several have the name, or 'units: as_written' where "
            "units are no counties of China",
        )
    if unit.left_out:
        sheet.journal.leave(row, "", said.name or said.code, unit.left_out)
    return unit


def _read_heading(sheet: _Sheet, row: int, said: RowTexts, heading: str | None) -> str | None:
    """Take a row with one text as a heading; a title of another year inside a table without periods is a fault."""
    text, journal = said.texts[0], sheet.journal
    period = split_period(text)[0]
    column = next(column for column, value in enumerate(sheet.cells[row]) if classify(value) != CellKind.BLANK)
    noted = classify(sheet.cells[row, column]) == CellKind.NOTE
    elsewhere = bool(sheet.roles.get(PERIOD) or sheet.roles.get(YEAR)) or noted or text in sheet.headers
    if re.search(r"\d{4}", period) and not elsewhere and period not in plain(sheet.table.period):
        journal.fault(
            row,
            journal.grid.address(row, column),
            text,
            f"a title inside the table names {period}: figures below it would get the period of the header or the title above",
            "one table per sheet: the rows below it on a sheet of their own, or a column of periods",
        )
    return read_heading(row, text, heading, sheet.within, sheet.units, journal)


def _collect(sheet: _Sheet, placed: Mapping[int, PlacedUnit]) -> Rows:
    """Build the rows of data; a blank indicator below one of the same unit is the same indicator."""
    rows = Rows()
    for row, unit in placed.items():
        code = "" if sheet.across else unit.code
        indicator, measure = sheet.joined(row, INDICATOR), sheet.joined(row, MEASURE)
        if not indicator and rows.indicator and rows.indicator[-1] and code == rows.unit[-1]:
            indicator = rows.indicator[-1]
        elif indicator and measure:
            indicator += f"({measure})"
        editions = " ".join(plain(sheet.cells[row, column]) for column in sheet.roles.get(EDITION, ()))
        rows.position.append(row)
        rows.unit.append(code)
        rows.name.append(unit.name)
        rows.indicator.append(indicator)
        rows.edition.append(rank_edition(editions))
    return rows


def _check_bases(sheet: _Sheet, kinds: Mapping[int, tuple[RowKind, RowTexts]]) -> None:
    """Refuse rows of several populations."""
    bases: dict[str, int] = {}
    for row, (kind, said) in kinds.items():
        if said.base and kind in _OF_A_BASE:
            bases.setdefault(said.base, row)
    if len(bases) > 1:
        name, row = next(iter(bases.items()))
        fault = f"the rows have several bases: {', '.join(bases)}; figures of two populations make no share"
        where = _address(sheet.journal.grid, row, sheet.roles[BASE])
        sheet.journal.fault(row, where, name, fault, f"a line 'base: {name}' in this table of the layout")


def _tell_blank_indicators(sheet: _Sheet, rows: Rows) -> None:
    follows = [
        at for at, name in zip(rows.position, rows.indicator, strict=True) if name and not sheet.joined(at, INDICATOR)
    ]
    if follows:
        where = f"{sheet.journal.grid.address(follows[0], sheet.roles[INDICATOR][0])} and below"
        because = f"{len(follows)} rows of data have none"
        sheet.journal.decide(where, "blank indicators", "the indicator above them", because)


def rank_edition(text: str) -> int | None:
    """Return the order of an edition of a figure by its words.

    Assumes that preliminary figures come before official ones, these before revised and final ones.

    Examples
    --------
    >>> rank_edition("初步数"), rank_edition("修订数"), rank_edition("二次修订"), rank_edition("2019年")
    (0, 20, 22, None)
    """
    found = [rank for rank, words in patterns("editions").items() if words.search(text)]
    if not found:
        return None
    again = re.search(r"第?([二三四五2-5])次", text)
    return 10 * max(found) + (
        "二三四五".find(again[1]) % 10 + 2 if again and not again[1].isdigit() else int(again[1]) if again else 0
    )


def _address(grid: Grid, row: int, columns: Sequence[int]) -> str:
    return grid.address(row, columns[0]) if columns else ""


def _read_periods(
    cells: np.ndarray,
    rows: Rows,
    roles: Mapping[str, Sequence[int]],
    year: int | None,
    step: str | None,
    journal: Journal,
) -> None:
    """Read the periods of all rows together: a column is one series."""
    part, whole = roles.get(PERIOD, ()), roles.get(YEAR, ())
    if not part and not whole:
        rows.span = [None] * len(rows.position)
        rows.period = [""] * len(rows.position)
        return
    column = (part or whole)[0]
    filled = _fill(cells, rows.position, column, journal)
    years = _fill(cells, rows.position, whole[0], journal) if part and whole else None
    pairs = [(repr(value), plain(of)) for value, of in zip(filled, years or [None] * len(filled), strict=True)]
    places: dict[tuple[str, str], int] = {}
    for at, pair in enumerate(pairs):
        places.setdefault(pair, at)  # every period once: a column has few
    firsts = list(places.values())
    each = [None] * len(firsts) if years is None else [years[at] for at in firsts]
    try:
        read = read_spans(
            [filled[at] for at in firsts],
            year=year if years is None else each,
            step=step,
            language=language_of_sheet(journal.grid),
            reckoning=journal.reckoning,
        )
    except ReadingError as error:
        journal.fault(rows.position[0], journal.grid.address(rows.position[0], column), filled[0], *ask_for_step(error))
        rows.span, rows.period = [None] * len(filled), [str(value).strip() for value in filled]
        return
    number = {pair: place for place, pair in enumerate(places)}
    wrong = {at: (text, why) for at, text, why in read.faults}
    for row, pair in zip(rows.position, pairs, strict=True):
        if found := wrong.get(number[pair]):
            where = journal.grid.address(row, column)
            journal.fault(row, where, *found, _dated(found[1], "2019年第三季度, 2019Q3, 2019年1-9月 or 2019"))
    top = rows.position[0] if rows.position else 0
    journal.decide(journal.grid.address(top, column), "periods of the rows", read.evidence, "read as one column")
    rows.span = [read.spans[number[pair]] for pair in pairs]
    rows.period = [str(value).strip() for value in filled]


def _step_of_header(block: TableBlock, columns: Sequence[int]) -> str | None:
    """Decide by its header what dates or plain numbers in a column of periods stand for (季度, 月份)."""
    header = "".join(block.paths[columns[0]]).lower() if columns else ""
    found = [step for step, words in patterns("steps").items() if words.search(header)]
    return found[0] if len(found) == 1 else None


def ask_for_step(error: ReadingError) -> tuple[str, str]:
    """Return what is wrong with periods that may be several things, and what settles it."""
    why, _, expected = str(error).partition(" Expected one: ")
    step = "a line 'step: quarter' (or month, half-year, year) in this table of the layout"
    return why.rstrip("."), step if expected.startswith("say step=") else expected.rstrip(".")


def _dated(why: str, examples: str) -> str:
    year = ", or a line 'period: 2019' in this table of the layout, which gives the year" if why == NO_YEAR else ""
    return f"a period such as {examples}{year}"


def _fill(cells: np.ndarray, position: Sequence[int], column: int, journal: Journal) -> list[object]:
    """Return the periods of all rows; a blank one is that of the row above."""
    filled: list[object] = []
    blank = []
    for row in position:
        if plain(cells[row, column]):
            filled.append(cells[row, column])
        else:
            filled.append(filled[-1] if filled else None)
            blank.append(row)
    if blank:
        where = f"{journal.grid.address(blank[0], column)} and below"
        journal.decide(where, "blank periods", "the period above them", f"{len(blank)} rows of data have none")
    return filled
