"""A roster of partnerships as an office keeps it, read as one row for each partnership: `read_partnerships`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.names import (
    AGREED,
    ANNOUNCED,
    ARRIVED,
    CITY,
    CODE,
    DEPARTMENTS,
    END,
    EXPERTS,
    HOSPITAL,
    MECHANISM,
    NAME,
    PROVINCE,
    RECIPIENT,
    START,
)
from evalaid.reading.files.cells import column_number
from evalaid.reading.files.grids import Grid, open_grids
from evalaid.reading.files.snapshot import FAULT_COLUMNS
from evalaid.reading.journal.decisions import (
    DECISION_COLUMNS,
    LEFT_OUT_COLUMNS,
    Fault,
    Journal,
    LeftOut,
    show,
    tabulate,
)
from evalaid.reading.journal.layouts import FileLayout, TableLayout
from evalaid.reading.places.counties import PlacedUnit, place_unit, read_heading
from evalaid.reading.places.own_divisions import OwnDivisions
from evalaid.reading.places.regions import Region, find_region
from evalaid.reading.places.whose_units import COUNTIES
from evalaid.reading.rosters.roster_headers import STARTS, detect_roster
from evalaid.reading.rosters.roster_rows import (
    DATES,
    RosterSheet,
    read_amounts,
    read_row,
    split_names,
    tell_precision,
    tell_start,
    value_of,
)
from evalaid.reading.tables.headers import TableBlock, fill_down
from evalaid.reading.tables.table_rows import fill_blocks
from evalaid.reading.tables.tables import LayoutError, describe_faults, with_units
from evalaid.reading.values.day_order import ASK, in_order, is_day_first, is_open
from evalaid.reading.values.kinds import plain, spaced
from evalaid.reading.words.vocabulary import pattern_of

PARTNERSHIP_COLUMNS = [
    "unit", "name", HOSPITAL, RECIPIENT, START, END, ANNOUNCED, AGREED, ARRIVED, MECHANISM, "mechanism_text",
    DEPARTMENTS, "department_names", EXPERTS, "file", "sheet", "row", "cell",
]  # fmt: skip
"""Columns of `Partnerships.frame`; ``row`` and ``cell`` are those of the start."""

_INSTITUTION = re.compile(r"(人民|中医|中西医|妇幼|第[一二三四五]|中心|综合|县|市|区)")


@dataclass(frozen=True)
class Partnerships:
    """Hold the partnerships of a file, one row each."""

    # columns of `PARTNERSHIP_COLUMNS`. Dates are as they are stated (texts or dates;
    # `evalaid.programme.roster.Roster.read` reads them), None where none is stated; ``mechanism`` is a kind of
    # the words' "mechanisms", or the text; ``departments`` and ``experts`` are numbers
    frame: pd.DataFrame
    # everything that was decided: ``file``, ``sheet``, ``cell``, ``what``, ``decided``, ``because``
    decisions: pd.DataFrame
    # rows that are no partnership: ``file``, ``sheet``, ``row``, ``cell``, ``value``, ``reason``
    left_out: pd.DataFrame
    # what a person should look at although the file could be read: ``file``, ``sheet``, ``row``, ``cell``,
    # ``value``, ``fault``, ``expected``
    faults: pd.DataFrame
    layout: FileLayout  # the layout that was used, complete
    files: dict[str, str]  # sha256 of the file by its name

    @property
    def dates(self) -> tuple[str, ...]:
        """The columns of starts that the file has: start, announced, agreed, arrived."""
        return tuple(name for name in (START, ANNOUNCED, AGREED, ARRIVED) if self.frame[name].notna().any())


def read_partnerships(path: Path | str, layout: FileLayout | Path | str | None = None) -> Partnerships:
    r"""Read a roster of partnerships from a workbook or a text file.

    Assumes one header per sheet and below it a row for each partnership, or for each county with its hospitals in one cell (set
    apart by 、；;/ or line breaks). A blank or merged county cell belongs to the county above it; without a
    column of counties the county is the one that the name of the helped hospital begins with. Where a file has several
    columns of dates, ``start`` is the stated start, else the arrival, else the agreement, else the announcement.

    Examples
    --------
    >>> import tempfile
    >>> text = "受援县,支援医院,开始时间\n连南县,省人民医院；南方医院,约2014年\n连山县,省中医院,2018年下半年\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "roster.csv"
    ...     _ = file.write_text(text, encoding="gb18030")
    ...     found = read_partnerships(file)
    >>> found.frame[["unit", "hospital", "start"]].values.tolist()
    [['441826', '省人民医院', '约2014年'], ['441826', '南方医院', '约2014年'], ['441825', '省中医院', '2018年下半年']]
    """
    path = Path(path)
    given = layout if isinstance(layout, FileLayout) else FileLayout() if layout is None else FileLayout.read(layout)
    given, grids = with_units(given, list(open_grids(path, **given.text_options(path.name))))
    sheets = [_read_sheet(grid, given) for grid in grids]
    found = [sheet for sheet in sheets if sheet is not None]
    decisions = [entry for sheet in sheets for entry in sheet.journal.decisions]
    faults = [entry for sheet in sheets for entry in sheet.journal.faults]
    complete = replace(given, tables=tuple(sheet.table for sheet in found))
    rows = [row for sheet in found for row in sheet.rows]
    if not rows and not faults:
        fault = "no roster was found: no row of headers that names a county and a date or a hospital"
        faults.append(Fault(path.name, "", None, "", "", fault, "'header_rows: [first, last]' and columns in a layout"))
    if given.divisions is not None:
        faults += _look_up(rows, OwnDivisions.read(given.divisions))
    rows, left = _without_repetitions(rows)
    left_out = tabulate([entry for sheet in sheets for entry in sheet.journal.left_out] + left, LEFT_OUT_COLUMNS)
    decided = tabulate(decisions, DECISION_COLUMNS)
    if faults:
        message, table = describe_faults(faults, "rows of the roster"), tabulate(faults, FAULT_COLUMNS)
        raise LayoutError(message, table, complete, decided, left_out, len({row["unit"] for row in rows}))
    notes = [entry for sheet in sheets for entry in sheet.notes]
    frame = pd.DataFrame(rows, columns=PARTNERSHIP_COLUMNS, dtype=object)
    frame = frame.where(frame.notna(), None).astype({DEPARTMENTS: float, EXPERTS: float, "row": int})
    return Partnerships(
        frame,
        decided,
        left_out,
        tabulate(notes, FAULT_COLUMNS),
        complete,
        {grid.file: grid.sha256 for grid in grids},
    )


def _look_up(rows: list[dict[str, Any]], listed: OwnDivisions) -> list[Fault]:
    """Call the units of partnerships by the codes and names of a list of divisions; return those that are not in it."""
    faults = []
    for row in rows:
        found = listed.find(str(row["unit"]), str(row["name"]))
        if isinstance(found, str):
            expected = "a unit of the list, the row in leave_out, or another list in 'divisions' of the layout"
            faults.append(Fault(row["file"], row["sheet"], row["row"], row["cell"], str(row["name"]), found, expected))
        else:
            row["unit"], row["name"] = found.code, found.name
    return faults


def _read_sheet(grid: Grid, layout: FileLayout) -> RosterSheet:
    journal = Journal(grid, reckoning=layout.reckoning)
    for note in grid.notes:
        journal.decide("", "opening", note, "found while the file was opened")
    given = layout.find(grid.file, grid.sheet)
    sheet = RosterSheet(
        replace(given or TableLayout(), file=grid.file, sheet=grid.sheet),
        journal,
        fill_down(grid),
    )
    if given is not None and not given.read:
        journal.decide("", "sheet", "not read", "the layout says so")
        return sheet
    detected = detect_roster(given, journal)
    if detected is None:
        if not journal.faults:
            sheet.table = replace(sheet.table, read=False)
            journal.decide("", "sheet", "not read", "no row names a county and a date or a hospital")
        return sheet
    sheet.table, block = detected
    sheet.columns = {column.read: column_number(column.column) for column in reversed(sheet.table.columns)}
    sheet.headers = {column.read: column.header for column in sheet.table.columns}
    if not {NAME, CODE, RECIPIENT} & sheet.columns.keys() or not set(STARTS) & sheet.columns.keys():
        return sheet
    _order_days(sheet, block, layout)
    if layout.units != COUNTIES:
        larger = [sheet.columns[role] for role in (CITY, PROVINCE) if role in sheet.columns]
        sheet.cells = fill_blocks(sheet.cells, block.data, larger, journal)
    kept = _read_units(sheet, block, layout)
    numbers = {role: read_amounts(sheet, role, [row for row, _ in kept]) for role in (EXPERTS, DEPARTMENTS)}
    tell_start(sheet, block)
    for place, (row, unit) in enumerate(kept):
        sheet.rows += read_row(sheet, row, unit, {role: values[place] for role, values in numbers.items()})
    tell_precision(sheet)
    return sheet


def _order_days(sheet: RosterSheet, block: TableBlock, layout: FileLayout) -> None:
    """Write dates such as 3/15/2018 with the year first, in the order that their column shows; ask where none does."""
    rows = range(block.data[0], block.data[1] + 1)
    for role in (*STARTS, END):
        column = sheet.columns.get(role)
        dates = [] if column is None else [row for row in rows if is_open(sheet.cells[row, column])]
        if column is None or not dates:
            continue
        found = layout.day_first if layout.day_first is not None else is_day_first(sheet.cells[dates, column])
        where = sheet.journal.grid.address(dates[0], column)
        if found is None:
            fault = f"{role}: the day or the month first?"
            sheet.journal.fault(dates[0], where, sheet.cells[dates[0], column], fault, ASK)
            continue
        because = "the layout says so" if layout.day_first is not None else "a number above 12 shows it"
        sheet.journal.decide(where, f"dates of {role}", "day first" if found else "month first", because)
        cells = sheet.cells.copy()
        cells[dates, column] = [in_order(cells[row, column], day_first=found) for row in dates]
        sheet.cells = cells


def _read_units(sheet: RosterSheet, block: TableBlock, layout: FileLayout) -> list[tuple[int, PlacedUnit]]:
    """Separate partnerships from headings, totals and notes, and find the county or counties of each."""
    journal, grid, cells = sheet.journal, sheet.journal.grid, sheet.cells
    by_hospital = not {NAME, CODE} & sheet.columns.keys()
    key = next(sheet.columns[role] for role in (NAME, CODE, RECIPIENT) if role in sheet.columns)
    if by_hospital:
        where = grid.address(block.header[0], key)
        journal.decide(where, "county", "by the name of the hospital that is helped", "no column names counties")
    kept: list[tuple[int, PlacedUnit]] = []
    last: tuple[PlacedUnit, ...] = ()
    heading: str | None = None
    blanks = []
    for row in range(block.data[0], block.data[1] + 1):
        texts = [text for value in cells[row] if (text := plain(value))]
        text_of = plain if layout.units == COUNTIES else spaced
        name, code = (text_of(value_of(sheet, role, row)) for role in (RECIPIENT if by_hospital else NAME, CODE))
        if not texts:
            continue
        if (reason := _left_out(sheet, row, texts, name, code)) is not None:
            journal.leave(row, "", *reason)
        elif len(set(texts)) == 1:
            heading = read_heading(row, texts[0], heading, layout.within, layout.units, journal)
        elif name or code:
            near = next((text for r in (CITY, PROVINCE) if (text := text_of(value_of(sheet, r, row)))), heading or "")
            last = _counties_of(sheet, row, name, code, near, layout)
            kept += [(row, unit) for unit in last]
        elif last and any(plain(value_of(sheet, role, row)) for role in (HOSPITAL, *STARTS)):
            kept += [(row, unit) for unit in last]
            blanks.append(row)
        else:
            journal.leave(row, "", _shown(cells[row]), "a note: no county")
    _tell_blank_counties(sheet, block, key, blanks)
    return kept


def _shown(cells: np.ndarray) -> str:
    return "; ".join(show(value) for value in cells if plain(value))[:80]


def _left_out(sheet: RosterSheet, row: int, texts: list[str], name: str, code: str) -> tuple[str, str] | None:
    """What is shown of a row that is no partnership by its own words or the layout, and why it is none."""
    if row + 1 in sheet.table.leave_out:
        return _shown(sheet.cells[row]), "the layout leaves it out"
    if len(set(texts)) > 1 and any(pattern_of("total_row").fullmatch(text) for text in (name, code, texts[0]) if text):
        return name or code or texts[0], "a total, by its name"
    return None


def _counties_of(
    sheet: RosterSheet, row: int, name: str, code: str, near: str, layout: FileLayout
) -> tuple[PlacedUnit, ...]:
    """Find the counties of a row, by their names or by those of the hospitals that are helped; what is none is a fault."""
    by_hospital = not {NAME, CODE} & sheet.columns.keys()
    if by_hospital:
        units = _place_hospitals(row, name, near, layout, sheet)
        expected = (
            "a hospital whose name begins with that of its county, a column 'county' beside it, or the row in leave_out"
        )
    else:
        units = _place(row, code, name, near, layout, sheet)
        expected = "a county's name or code, or the row in leave_out"
    key = next(sheet.columns[role] for role in (NAME, CODE, RECIPIENT) if role in sheet.columns)
    for unit in units:
        if unit.fault or unit.left_out:
            what = unit.fault or f"{name or code}: {unit.left_out}"
            sheet.journal.fault(row, sheet.journal.grid.address(row, key), name or code, what, expected)
    return tuple(unit for unit in units if unit.code)


def _tell_blank_counties(sheet: RosterSheet, block: TableBlock, key: int, blanks: list[int]) -> None:
    """Record which rows belong to the county above them, because their cell is blank or merged with it."""
    journal, grid = sheet.journal, sheet.journal.grid
    if blanks:
        where = ", ".join(grid.address(row, key) for row in blanks[:8]) + (", ..." if len(blanks) > 8 else "")
        because = f"{len(blanks)} rows name a hospital or a date and no county"
        journal.decide(where, "blank county", "the county above it", because)
    merged = [(t, b) for t, left, b, right in grid.merged if left <= key <= right and b > t >= block.data[0]]
    if merged:
        where = ", ".join(f"{grid.address(t, key)}:{grid.address(b, key)}" for t, b in merged[:8])
        because = f"{len(merged)} merged cells"
        journal.decide(where, "merged county cells", "the county holds for every row of them", because)


def _place_hospitals(row: int, name: str, near: str, layout: FileLayout, sheet: RosterSheet) -> list[PlacedUnit]:
    """Find the counties that the hospitals of a cell lie in, by the names that theirs begin with."""
    units = []
    for hospital in split_names(name):
        county = find_county(hospital, near or layout.within)
        units.append(
            place_unit(row, "", county, near, layout.within, layout.units, sheet.table, sheet.journal)
            if county
            else PlacedUnit(fault=f"{hospital}: its name begins with no county's")
        )
    where = sheet.journal.grid.address(row, sheet.columns[RECIPIENT])
    found = list(dict.fromkeys(unit for unit in units if unit.code))
    for unit in found:
        sheet.journal.decide(where, f"county of {name}", unit.name, "the name of the hospital begins with it")
    return found + [unit for unit in units if not unit.code]


def find_county(hospital: str, within: str | None) -> str:
    """Find the name of the county that a hospital's name begins with.

    Examples
    --------
    >>> find_county("韶关市始兴县人民医院", None), find_county("高州市人民医院", None), find_county("第三人民医院", None)
    ('韶关市始兴县', '高州市', '')
    """
    ends = [place + 1 for place, character in enumerate(hospital) if character in "县市区旗"]
    ends += [match.start() for match in _INSTITUTION.finditer(hospital)]
    for end in sorted(set(ends), reverse=True):
        found = find_region(hospital[:end], within=within) if end > 1 else None
        if isinstance(found, Region) and found.level == "county":
            return hospital[:end]
    return ""


def _place(row: int, code: str, name: str, near: str, layout: FileLayout, sheet: RosterSheet) -> list[PlacedUnit]:
    """Find the county of a row; several names in one cell are several counties when each of them is one."""
    before = len(sheet.journal.decisions)
    unit = place_unit(row, code, name, near, layout.within, layout.units, sheet.table, sheet.journal)
    parts = split_names(name)
    if unit.code or len(parts) < 2 or code:
        return [unit]
    several = [
        place_unit(row, "", plain(part), near, layout.within, layout.units, sheet.table, sheet.journal)
        for part in parts
    ]
    if not all(one.code for one in several):
        del sheet.journal.decisions[before:]
        return [unit]
    where = sheet.journal.grid.address(row, sheet.columns[NAME])
    sheet.journal.decide(where, "several counties in one cell", ", ".join(one.name for one in several), f"{name!r}")
    return several


def _without_repetitions(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[LeftOut]]:
    kept, left = [], []
    seen: dict[tuple[Any, ...], str] = {}
    for row in rows:
        key = tuple(row.get(name) for name in ("unit", HOSPITAL, *DATES))
        if key in seen:
            text = f"{row['name']}; {row[HOSPITAL] or ''}"
            left.append(
                LeftOut(
                    row["file"], row["sheet"], row["row"], row["cell"], text, f"the same partnership as in {seen[key]}"
                )
            )
        else:
            seen[key] = row["cell"]
            kept.append(row)
    return kept, left
