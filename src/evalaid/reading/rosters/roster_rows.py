"""One row of a roster as partnerships: its hospitals, dates, mechanism, departments and experts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evalaid.base.errors import ReadingError
from evalaid.base.names import (
    AGREED,
    ANNOUNCED,
    ARRIVED,
    DEPARTMENTS,
    END,
    HOSPITAL,
    MECHANISM,
    RECIPIENT,
    SPELL,
    START,
)
from evalaid.reading.journal.decisions import Fault, Journal, show
from evalaid.reading.journal.layouts import TableLayout
from evalaid.reading.places.counties import PlacedUnit
from evalaid.reading.rosters.roster_headers import STARTS
from evalaid.reading.tables.headers import TableBlock
from evalaid.reading.values.dates import (
    ASK_NAMED,
    EXPECTED,
    FISCAL,
    FISCAL_YEAR,
    NAMED_ONCE,
    StatedDate,
    read_date,
    read_spell,
    says_no_end,
)
from evalaid.reading.values.kinds import CellKind, classify, plain
from evalaid.reading.values.numbers import read_numbers
from evalaid.reading.values.spans import ASK_YEAR
from evalaid.reading.words.vocabulary import patterns

DATES = (START, ANNOUNCED, AGREED, ARRIVED, END)
_ASIDE = re.compile(r"(?<=[\d人名位个科])[(（][^()（）]*[)）]$")
_AND_MORE = re.compile(r"^\D+等(?:共|合计)?(\d+)[个名人位]?(?:专?科室?|专家|人员)?$")
_VAGUE = {"about", "part", "range"}


@dataclass
class RosterSheet:
    """Hold a sheet of a roster while it is read: its layout, cells, columns by role, and the partnerships found."""

    table: TableLayout
    journal: Journal
    cells: np.ndarray
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)
    columns: Mapping[str, int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def split_names(value: object) -> tuple[str, ...]:
    """Take a cell with several names apart.

    Assumes that names are set apart by 、；;/ or line breaks; what stands in brackets stays together.

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

    Examples
    --------
    >>> find_mechanism("整体托管"), find_mechanism("紧密型医共体"), find_mechanism("义诊")
    ('trusteeship', 'tight county medical community', '')
    """
    return next((kind for kind, words in patterns("mechanisms").items() if words.search(text)), "")


def value_of(sheet: RosterSheet, role: str, row: int) -> object:
    """Return the cell of a role in a row; None where no column has the role."""
    column = sheet.columns.get(role)
    return None if column is None else sheet.cells[row, column]


def read_amounts(sheet: RosterSheet, role: str, rows: Sequence[int]) -> list[float | None]:
    """Read a column of numbers; names of departments are counted."""
    if role not in sheet.columns or not rows:
        return [None] * len(rows)
    cells = [value_of(sheet, role, row) for row in rows]
    names = [role == DEPARTMENTS and _names_departments(value) for value in cells]
    counted = [len(split_names(value)) or None if named else None for value, named in zip(cells, names, strict=True)]
    where = sheet.journal.grid.address(rows[0], sheet.columns[role])
    if any(counted):
        sheet.journal.decide(
            where, f"{role} given by name", "they are counted", f"{sum(map(bool, counted))} cells name them"
        )
    try:
        read = read_numbers(
            [None if named else _bare_amount(v) for v, named in zip(cells, names, strict=True)],
            name=sheet.headers[role],
        )
    except ReadingError as error:
        sheet.notes.append(
            Fault(sheet.journal.grid.file, sheet.journal.grid.sheet, None, where, "", str(error), "numbers in one unit")
        )
        return [float(number) if number else None for number in counted]
    sheet.journal.decide(where, f"numbers of {role}", read.unit, read.evidence)
    for row, value, named in zip(rows, cells, names, strict=True):
        if not named and (bare := _bare_amount(value)) != value:
            cell = sheet.journal.grid.address(row, sheet.columns[role])
            sheet.journal.decide(
                cell, f"{role} {show(value)!r}", str(bare), "what stands beside the number is left out"
            )
    for at, text, why in read.faults:
        cell = sheet.journal.grid.address(rows[at], sheet.columns[role])
        grid = sheet.journal.grid
        sheet.notes.append(
            Fault(grid.file, grid.sheet, rows[at] + 1, cell, text, f"{role}: {why}", "a number; it is missing")
        )
    return [number or value for number, value in zip(counted, read.values.tolist(), strict=True)]


def _names_departments(value: object) -> bool:
    text = plain(value)
    return (
        isinstance(value, str)
        and classify(value) == CellKind.TEXT
        and not re.search(r"\d|^[一二三四五六七八九十两]+个", text)
    )


def _bare_amount(value: object) -> object:
    """Take the number out of 5人(含2名主任) and 心内、骨科等5个."""
    if not isinstance(value, str):
        return value
    text = _ASIDE.sub("", plain(value))
    whole = _AND_MORE.search(text)
    return whole[1] if whole else text or value


def tell_start(sheet: RosterSheet, block: TableBlock) -> None:
    """Record which column of dates is the start, where there are several or it is none of starts."""
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


def read_row(
    sheet: RosterSheet, row: int, unit: PlacedUnit, numbers: Mapping[str, float | None]
) -> list[dict[str, Any]]:
    """Read one row: a partnership for each hospital, with its own date where there are as many dates as hospitals."""
    grid = sheet.journal.grid
    hospitals = split_names(value_of(sheet, HOSPITAL, row)) or (None,)
    start_role = next(role for role in STARTS if role in sheet.columns)
    where = grid.address(row, sheet.columns[start_role])
    pieces = _pieces(value_of(sheet, start_role, row), len(hospitals))
    dates = {role: _checked(sheet, role, row) for role in DATES if role in sheet.columns and role != start_role}
    spells = []
    for piece in pieces:
        spell = read_spell(piece, sheet.journal.reckoning)
        is_term = start_role == SPELL or (spell.end.text and spell.start.precision in {"day", "month"})
        start = spell.start if is_term else read_date(piece, sheet.journal.reckoning)
        spells.append((start, dates.get(END) or (spell.end if is_term and spell.end.text else None)))
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
    text = show(value_of(sheet, MECHANISM, row))
    kind = find_mechanism(text)
    if text and text.lower() != kind:
        known = f"{text!r} names it" if kind else "the word is not known; it is kept"
        sheet.journal.decide(grid.address(row, sheet.columns[MECHANISM]), "mechanism", kind or text, known)
    departments = value_of(sheet, DEPARTMENTS, row)
    result = []
    for place, hospital in enumerate(hospitals):
        start, end = spells[place if len(spells) > 1 else 0]
        entry = {role: _plain(date) for role, date in dates.items()}
        entry |= {start_role: _plain(start)} if start_role != SPELL else {}
        result.append({
            **entry, "unit": unit.code, "name": unit.name, HOSPITAL: hospital, RECIPIENT: show(value_of(sheet, RECIPIENT, row)) or None,
            START: _plain(start), END: _plain(end), MECHANISM: kind or text or None, "mechanism_text": text or None,
            "department_names": departments if _names_departments(departments) or _AND_MORE.search(plain(departments)) else None, **numbers,
            "file": grid.file, "sheet": grid.sheet, "row": row + 1, "cell": where,
        })  # fmt: skip
    return result


def _pieces(value: object, hospitals: int) -> tuple[object, ...]:
    """Take a cell of dates apart when it has as many as there are hospitals."""
    if not isinstance(value, str) or hospitals < 2:
        return (value,)
    parts = tuple(part for part in re.split(r"[、；;\n]+", value) if part.strip())
    return parts if len(parts) == hospitals else (value,)


def _checked(sheet: RosterSheet, role: str, row: int) -> StatedDate | None:
    value = value_of(sheet, role, row)
    if role == END and says_no_end(value):
        return None
    date = read_date(value, sheet.journal.reckoning)
    if date.fault:
        sheet.journal.fault(
            row, sheet.journal.grid.address(row, sheet.columns[role]), value, f"{role}: {date.fault}", EXPECTED
        )
    return date if date.earliest is not None else None


def _check_start(sheet: RosterSheet, row: int, where: str, start: StatedDate, end: StatedDate | None) -> None:
    journal = sheet.journal
    if start.fault:
        expected = ASK_YEAR if start.fault == FISCAL else ASK_NAMED if start.fault == NAMED_ONCE else EXPECTED
        journal.fault(row, where, start.text, f"start: {start.fault}", expected)
    elif start.earliest is None:
        journal.fault(row, where, start.text, "the start is missing", f"{EXPECTED}, or the row in leave_out")
    else:
        if end is not None and end.latest is not None and end.latest < start.earliest:
            found = f"{start.text} to {end.text}"
            journal.fault(row, where, found, "the end is before the start", "a start that is not after the end")
        if start.precision in _VAGUE or start.note:
            decided = f"{start.earliest} to {start.latest}" + (f" ({start.note})" if start.note else "")
            because = {
                "about": "'about' reaches half the stated time to either side, a convention of this package",
                "part": "early, middle and late are thirds, a convention of this package",
                "range": "one day within the range",
            }.get(start.precision, "as it stands")
            journal.decide(where, f"start {start.text!r}", decided, because)


def tell_precision(sheet: RosterSheet) -> None:
    """Record how many starts are exact to the day, the month, the year."""
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
    if date.precision == FISCAL_YEAR:
        return f"{date.earliest} to {date.latest}"
    return date.text
