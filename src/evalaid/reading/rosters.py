"""A roster of partnerships as an office keeps it, read as one row for each partnership: `read_partnerships`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalaid.errors import ReadingError
from evalaid.names import (
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
    MECHANISMS,
    NAME,
    PROVINCE,
    RECIPIENT,
    SPELL,
    START,
    TOTAL_ROW,
)
from evalaid.reading.cells import column_number
from evalaid.reading.dates import EXPECTED, StatedDate, read_date, read_spell, says_no_end
from evalaid.reading.decisions import DECISION_COLUMNS, LEFT_OUT_COLUMNS, Finding, Journal, LeftOut, show, tabulate
from evalaid.reading.grids import Grid, open_grids
from evalaid.reading.headers import Block, fill_down
from evalaid.reading.kinds import plain
from evalaid.reading.layouts import Layout, TableLayout
from evalaid.reading.numbers import read_numbers
from evalaid.reading.placing import PlacedUnit, place_unit, read_heading
from evalaid.reading.roster_headers import STARTS, detect_roster
from evalaid.reading.snapshot import FAULT_COLUMNS
from evalaid.reading.tables import LayoutError, describe_findings

PARTNERSHIP_COLUMNS = [
    "unit", "name", HOSPITAL, RECIPIENT, START, END, ANNOUNCED, AGREED, ARRIVED, MECHANISM, "mechanism_text",
    DEPARTMENTS, "department_names", EXPERTS, "file", "sheet", "row", "cell",
]  # fmt: skip
"""Columns of `Partnerships.frame`; ``row`` and ``cell`` are those of the start."""

_DATES = (START, ANNOUNCED, AGREED, ARRIVED, END)
_TOTAL = re.compile(TOTAL_ROW, re.IGNORECASE)
_VAGUE = {"about", "part", "range"}


@dataclass(frozen=True)
class Partnerships:
    """Hold the partnerships of a file, one row each.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns of `PARTNERSHIP_COLUMNS`. Dates are as they are stated (texts or dates; `evalaid.roster.Roster.read` reads them),
        None where none is stated; ``mechanism`` is a kind of `evalaid.names.MECHANISMS`, or the text; ``departments`` and
        ``experts`` are numbers.
    decisions : pandas.DataFrame
        Everything that was decided: ``file``, ``sheet``, ``cell``, ``what``, ``decided``, ``because``.
    left_out : pandas.DataFrame
        Rows that are no partnership: ``file``, ``sheet``, ``row``, ``cell``, ``value``, ``reason``.
    faults : pandas.DataFrame
        What a person should look at although the file could be read: ``file``, ``sheet``, ``row``, ``cell``, ``value``,
        ``fault``, ``expected``.
    layout : Layout
        The layout that was used, complete.
    files : dict
        sha256 of the file by its name.
    """

    frame: pd.DataFrame
    decisions: pd.DataFrame
    left_out: pd.DataFrame
    faults: pd.DataFrame
    layout: Layout
    files: dict[str, str]

    @property
    def dates(self) -> tuple[str, ...]:
        """The columns of starts that the file has: start, announced, agreed, arrived."""
        return tuple(name for name in (START, ANNOUNCED, AGREED, ARRIVED) if self.frame[name].notna().any())


def read_partnerships(path: Path | str, layout: Layout | Path | str | None = None) -> Partnerships:
    r"""Read a roster of partnerships from a workbook or a text file.

    Assumes one header a sheet and below it a row for each partnership, or for each county with its hospitals in one cell (set
    apart by 、；;/ or line breaks). A blank or merged county cell belongs to the county above it. Where a file has several
    columns of dates, ``start`` is the stated start, else the arrival, else the agreement, else the announcement.

    Parameters
    ----------
    path : Path or str
        xlsx, xlsm, xls, ods, csv, tsv or txt.
    layout : Layout, Path or str, optional
        What is known about the file, or the YAML file that says it. Columns are read as name, code, city, province, hospital,
        recipient, start, end, spell (start and end in one cell), announced, agreed, arrived, mechanism, departments, experts.

    Returns
    -------
    Partnerships

    Raises
    ------
    ReadingError
        When the file cannot be opened, or with all its faults at once: ``rows`` has the columns file, sheet, row, cell, value,
        fault, expected, and ``layout`` what was detected.

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
    given = layout if isinstance(layout, Layout) else Layout() if layout is None else Layout.read(layout)
    grids = open_grids(path)
    sheets = [_read_sheet(grid, given) for grid in grids]
    found = [sheet for sheet in sheets if sheet is not None]
    decisions = [entry for sheet in sheets for entry in sheet.journal.decisions]
    findings = [entry for sheet in sheets for entry in sheet.journal.findings]
    complete = replace(given, tables=tuple(sheet.table for sheet in found))
    rows = [row for sheet in found for row in sheet.rows]
    if not rows and not findings:
        fault = "no roster was found: no row of headers that names a county and a date or a hospital"
        findings.append(
            Finding(path.name, "", None, "", "", fault, "'header_rows: [first, last]' and columns in a layout")
        )
    rows, left = _without_repetitions(rows)
    left_out = tabulate([entry for sheet in sheets for entry in sheet.journal.left_out] + left, LEFT_OUT_COLUMNS)
    decided = tabulate(decisions, DECISION_COLUMNS)
    if findings:
        message, faults = describe_findings(findings, "rows of the roster"), tabulate(findings, FAULT_COLUMNS)
        raise LayoutError(message, faults, complete, decided, left_out, len({row["unit"] for row in rows}))
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


def split_names(value: object) -> tuple[str, ...]:
    """Take a cell with several names apart.

    Assumes that names are set apart by 、；;/ or line breaks; what stands in brackets stays together.

    Parameters
    ----------
    value : object
        A cell.

    Returns
    -------
    tuple of str
        Empty for a blank cell.

    Examples
    --------
    >>> split_names("省人民医院（东病区、惠福分院）；南方医院"), split_names(None)
    (('省人民医院(东病区、惠福分院)', '南方医院'), ())
    """
    text = "" if value is None else unicodedata.normalize("NFKC", show(value))
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([【") - (character in ")]】")
        if depth <= 0 and character in "、;/\n\r":
            parts.append("")
        else:
            parts[-1] += character
    return tuple(part.strip() for part in parts if part.strip())


def find_mechanism(text: str) -> str:
    """Find the kind of partnership that words name.

    Parameters
    ----------
    text : str
        For example ``"组团式帮扶"``.

    Returns
    -------
    str
        A kind of `evalaid.names.MECHANISMS`; empty when none is known.

    Examples
    --------
    >>> find_mechanism("整体托管"), find_mechanism("紧密型医共体"), find_mechanism("义诊")
    ('trusteeship', 'tight county medical community', '')
    """
    return next((kind for kind, words in MECHANISMS if re.search(words, text, re.IGNORECASE)), "")


@dataclass
class _Sheet:
    table: TableLayout
    journal: Journal
    cells: np.ndarray
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    columns: Mapping[str, int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def _read_sheet(grid: Grid, layout: Layout) -> _Sheet:
    journal = Journal(grid)
    for note in grid.notes:
        journal.decide("", "opening", note, "found while the file was opened")
    given = layout.find(grid.file, grid.sheet)
    sheet = _Sheet(replace(given or TableLayout(), file=grid.file, sheet=grid.sheet), journal, fill_down(grid))
    if given is not None and not given.read:
        journal.decide("", "sheet", "not read", "the layout says so")
        return sheet
    detected = detect_roster(given, journal)
    if detected is None:
        if not journal.findings:
            sheet.table = replace(sheet.table, read=False)
            journal.decide("", "sheet", "not read", "no row names a county and a date or a hospital")
        return sheet
    sheet.table, block = detected
    sheet.columns = {column.read: column_number(column.column) for column in reversed(sheet.table.columns)}
    sheet.headers = {column.read: column.header for column in sheet.table.columns}
    if not {NAME, CODE} & sheet.columns.keys() or not set(STARTS) & sheet.columns.keys():
        return sheet
    kept = _read_units(sheet, block, layout)
    numbers = {role: _read_amounts(sheet, role, [row for row, _ in kept]) for role in (EXPERTS, DEPARTMENTS)}
    _tell_start(sheet, block)
    for place, (row, unit) in enumerate(kept):
        sheet.rows += _read_row(sheet, row, unit, {role: values[place] for role, values in numbers.items()})
    _tell_precision(sheet)
    return sheet


def _value(sheet: _Sheet, role: str, row: int) -> object:
    column = sheet.columns.get(role)
    return None if column is None else sheet.cells[row, column]


def _read_units(sheet: _Sheet, block: Block, layout: Layout) -> list[tuple[int, PlacedUnit]]:
    """Tell partnerships from headings, totals and notes, and find the county or counties of each."""
    journal, grid, table = sheet.journal, sheet.journal.grid, sheet.table
    cells = sheet.cells
    key = next(sheet.columns[role] for role in (NAME, CODE) if role in sheet.columns)
    kept: list[tuple[int, PlacedUnit]] = []
    last: tuple[PlacedUnit, ...] = ()
    heading: str | None = None
    blanks = []
    for row in range(block.data[0], block.data[1] + 1):
        texts = [text for value in cells[row] if (text := plain(value))]
        if not texts:
            continue
        shown = "; ".join(show(value) for value in cells[row] if plain(value))[:80]
        name, code = (plain(_value(sheet, role, row)) for role in (NAME, CODE))
        if row + 1 in table.leave_out:
            journal.leave(row, "", shown, "the layout leaves it out")
        elif len(set(texts)) == 1:
            heading = read_heading(row, texts[0], heading, layout.within, layout.units, journal)
        elif any(_TOTAL.fullmatch(text) for text in (name, code, texts[0]) if text):
            journal.leave(row, "", name or code or texts[0], "a total, by its name")
        elif not name and not code:
            if last and any(plain(_value(sheet, role, row)) for role in (HOSPITAL, *STARTS)):
                kept += [(row, unit) for unit in last]
                blanks.append(row)
            else:
                journal.leave(row, "", shown, "a note: no county")
        else:
            near = next((text for r in (CITY, PROVINCE) if (text := plain(_value(sheet, r, row)))), heading or "")
            last = tuple(_place(row, code, name, near, layout, sheet))
            for unit in last:
                if unit.fault or unit.left_out:
                    what = unit.fault or f"{name or code}: {unit.left_out}"
                    journal.find(
                        row,
                        grid.address(row, key),
                        name or code,
                        what,
                        "a county's name or code, or the row in leave_out",
                    )
            last = tuple(unit for unit in last if unit.code)
            kept += [(row, unit) for unit in last]
    if blanks:
        where = ", ".join(grid.address(row, key) for row in blanks[:8]) + (", ..." if len(blanks) > 8 else "")
        journal.decide(
            where, "blank county", "the county above it", f"{len(blanks)} rows name a hospital or a date and no county"
        )
    repeated = [(t, b) for t, left, b, right in grid.merged if left <= key <= right and b > t >= block.data[0]]
    if repeated:
        where = ", ".join(f"{grid.address(t, key)}:{grid.address(b, key)}" for t, b in repeated[:8])
        journal.decide(
            where, "merged county cells", "the county holds for every row of them", f"{len(repeated)} merged cells"
        )
    return kept


def _place(row: int, code: str, name: str, near: str, layout: Layout, sheet: _Sheet) -> list[PlacedUnit]:
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


def _read_amounts(sheet: _Sheet, role: str, rows: Sequence[int]) -> list[float | None]:
    """Read a column of numbers; names of departments are counted."""
    if role not in sheet.columns or not rows:
        return [None] * len(rows)
    cells = [_value(sheet, role, row) for row in rows]
    names = [
        role == DEPARTMENTS
        and isinstance(value, str)
        and not re.search(r"\d|^[一二三四五六七八九十两]+个", plain(value))
        for value in cells
    ]
    counted = [len(split_names(value)) or None if named else None for value, named in zip(cells, names, strict=True)]
    where = sheet.journal.grid.address(rows[0], sheet.columns[role])
    if any(counted):
        sheet.journal.decide(
            where, f"{role} given by name", "they are counted", f"{sum(map(bool, counted))} cells name them"
        )
    try:
        read = read_numbers(
            [None if named else v for v, named in zip(cells, names, strict=True)], name=sheet.headers[role]
        )
    except ReadingError as error:
        sheet.notes.append(
            Finding(
                sheet.journal.grid.file, sheet.journal.grid.sheet, None, where, "", str(error), "numbers in one unit"
            )
        )
        return [float(number) if number else None for number in counted]
    sheet.journal.decide(where, f"numbers of {role}", read.unit, read.evidence)
    for at, text, why in read.faults:
        cell = sheet.journal.grid.address(rows[at], sheet.columns[role])
        grid = sheet.journal.grid
        sheet.notes.append(
            Finding(grid.file, grid.sheet, rows[at] + 1, cell, text, f"{role}: {why}", "a number; it is missing")
        )
    return [number or value for number, value in zip(counted, read.values.tolist(), strict=True)]


def _tell_start(sheet: _Sheet, block: Block) -> None:
    there = [role for role in STARTS if role in sheet.columns]
    if len(there) > 1 or there[0] not in (START, SPELL):
        where = sheet.journal.grid.address(block.header[0], sheet.columns[there[0]])
        others = f"; the others ({', '.join(there[1:])}) are kept beside it" if there[1:] else ""
        sheet.journal.decide(
            where,
            "start",
            f"column {sheet.headers[there[0]]!r}",
            f"stated start before arrival, agreement, announcement{others}",
        )


def _read_row(sheet: _Sheet, row: int, unit: PlacedUnit, numbers: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Read one row: a partnership for each hospital, with its own date where there are as many dates as hospitals."""
    grid = sheet.journal.grid
    hospitals = split_names(_value(sheet, HOSPITAL, row)) or (None,)
    start_role = next(role for role in STARTS if role in sheet.columns)
    where = grid.address(row, sheet.columns[start_role])
    pieces = _pieces(_value(sheet, start_role, row), len(hospitals))
    dates = {role: _checked(sheet, role, row) for role in _DATES if role in sheet.columns and role != start_role}
    spells = []
    for piece in pieces:
        spell = read_spell(piece) if start_role == SPELL else None
        start = spell.start if spell is not None else read_date(piece)
        spells.append((start, dates.get(END) or (spell.end if spell is not None and spell.end.text else None)))
    if len(hospitals) > 1:
        how = "each with its own date" if len(pieces) > 1 else "all with the date of the row"
        cell = grid.address(row, sheet.columns[HOSPITAL])
        sheet.journal.decide(
            cell,
            "several hospitals in one cell",
            f"{len(hospitals)} partnerships, {how}",
            ", ".join(map(str, hospitals)),
        )
    for start, end in spells:
        _check_start(sheet, row, where, start, end)
    text = show(_value(sheet, MECHANISM, row))
    kind = find_mechanism(text)
    if text and text.lower() != kind:
        known = f"{text!r} names it" if kind else "the word is not known; it is kept"
        sheet.journal.decide(grid.address(row, sheet.columns[MECHANISM]), "mechanism", kind or text, known)
    departments = _value(sheet, DEPARTMENTS, row)
    result = []
    for place, hospital in enumerate(hospitals):
        start, end = spells[place if len(spells) > 1 else 0]
        entry = {role: _plain(date) for role, date in dates.items()}
        entry |= {start_role: _plain(start)} if start_role != SPELL else {}
        result.append({
            **entry, "unit": unit.code, "name": unit.name, HOSPITAL: hospital, RECIPIENT: show(_value(sheet, RECIPIENT, row)) or None,
            START: _plain(start), END: _plain(end), MECHANISM: kind or text or None, "mechanism_text": text or None,
            "department_names": departments if isinstance(departments, str) else None, **numbers,
            "file": grid.file, "sheet": grid.sheet, "row": row + 1, "cell": where,
        })  # fmt: skip
    return result


def _pieces(value: object, hospitals: int) -> tuple[object, ...]:
    """Take a cell of dates apart when it has as many as there are hospitals."""
    if not isinstance(value, str) or hospitals < 2:
        return (value,)
    parts = tuple(part for part in re.split(r"[、；;\n]+", value) if part.strip())
    return parts if len(parts) == hospitals else (value,)


def _checked(sheet: _Sheet, role: str, row: int) -> StatedDate | None:
    value = _value(sheet, role, row)
    if role == END and says_no_end(value):
        return None
    date = read_date(value)
    if date.fault:
        sheet.journal.find(
            row, sheet.journal.grid.address(row, sheet.columns[role]), value, f"{role}: {date.fault}", EXPECTED
        )
    return date if date.earliest is not None else None


def _check_start(sheet: _Sheet, row: int, where: str, start: StatedDate, end: StatedDate | None) -> None:
    journal = sheet.journal
    if start.fault:
        journal.find(row, where, start.text, f"start: {start.fault}", EXPECTED)
    elif start.earliest is None:
        journal.find(row, where, start.text, "the start is missing", f"{EXPECTED}, or the row in leave_out")
    else:
        if end is not None and end.latest is not None and end.latest < start.earliest:
            found = f"{start.text} to {end.text}"
            journal.find(row, where, found, "the end is before the start", "a start that is not after the end")
        if start.precision in _VAGUE or start.note:
            decided = f"{start.earliest} to {start.latest}" + (f" ({start.note})" if start.note else "")
            because = {
                "about": "'about' reaches half the stated time to either side, a convention of this package",
                "part": "early, middle and late are thirds, a convention of this package",
                "range": "one day within the range",
            }.get(start.precision, "as it stands")
            journal.decide(where, f"start {start.text!r}", decided, because)


def _tell_precision(sheet: _Sheet) -> None:
    exact: dict[str, int] = {}
    for entry in sheet.rows:
        precision = read_date(entry[START]).precision
        exact[precision] = exact.get(precision, 0) + 1
    said = ", ".join(f"{name}: {count}" for name, count in exact.items() if name)
    if said:
        sheet.journal.decide(
            "",
            "how exact the starts are",
            said,
            "as they are written; an estimate is repeated over what they leave open",
        )


def _plain(date: StatedDate | None) -> object:
    """Write a date so that it is read again to the same days."""
    if date is None or date.earliest is None:
        return None
    if date.precision == "day":
        return str(date.earliest)
    if date.precision == "month":
        return f"{date.earliest:%Y-%m}"
    return date.text


def _without_repetitions(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[LeftOut]]:
    kept, left = [], []
    seen: dict[tuple[Any, ...], str] = {}
    for row in rows:
        key = tuple(row.get(name) for name in ("unit", HOSPITAL, *_DATES))
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
