"""Is this file a usable tidy panel? Read it, find its columns, and list every fault with its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evalaid.base.errors import PanelError, ReadingError
from evalaid.base.faults import FAULT_COLUMNS
from evalaid.base.months import PeriodKind
from evalaid.base.names import INSIDE, OUTCOME, PERIOD, TOTAL, UNIT, names_a_share
from evalaid.base.periods import label, recognise_periods
from evalaid.did.panel.panel import Panel, read_panel
from evalaid.reading.files.snapshot import readable_name
from evalaid.reading.journal.decisions import DECISION_COLUMNS
from evalaid.reading.tables.tidy import read_tidy
from evalaid.reading.values.kinds import find_role
from evalaid.reading.values.numbers import read_numbers

_SHOWN = 12
ROUNDING = 0.006
"""A share in whole per cent is off by half a point."""


@dataclass(frozen=True)
class Inspection:
    """What was found in a file.

    Parameters
    ----------
    file : str
        Its name.
    columns : dict
        Role (unit, period, outcome, ...) -> column.
    found : tuple of str
        Roles whose column was found by its name or content, not named by the caller.
    panel : Panel or None
        The panel, None when there are faults.
    faults : pandas.DataFrame
        Every failing row: ``row`` (line of the file, the header is line 1), ``column``, ``value``, ``fault``, ``expected``.
    frame : pandas.DataFrame
        The table as it was read, rows numbered as the file shows them.
    decisions : pandas.DataFrame
        ``file``, ``sheet``, ``cell``, ``what``, ``decided``, ``because``.
    outcome_unit : str
        Unit of the outcome in the file.
    message : str
        The faults in words.
    """

    file: str
    columns: dict[str, str]
    found: tuple[str, ...]
    panel: Panel | None
    faults: pd.DataFrame
    frame: pd.DataFrame
    decisions: pd.DataFrame
    outcome_unit: str
    message: str = ""

    @property
    def usable(self) -> bool:
        """Whether there is a panel."""
        return self.panel is not None

    def text(self) -> str:
        """Describe what the file holds, or why it cannot be used."""
        roles = ", ".join(
            f"{role} = {column!r}{' (found)' * (role in self.found)}" for role, column in self.columns.items()
        )
        lines = [f"{self.file}: {roles}"]
        if self.panel is None:
            return "\n".join([*lines, self.message])
        keys = self.panel.keys
        span = f"{label(keys.kind, keys.periods[0])} to {label(keys.kind, keys.periods[-1])}"
        measure = {"fraction": "a share, as a fraction", "percent": "a share in per cent, held as a fraction"}.get(
            self.outcome_unit, "a number"
        )
        lines.append(
            f"Usable panel: {len(keys.units):,} units, {len(keys.periods)} periods ({span}), {len(self.panel):,} rows."
        )
        lines.append(
            f"Outcome: {measure}. Gaps: {len(self.panel.gaps):,}. Units seen once only: {len(self.panel.singletons):,}."
        )
        lines += [f"Note: {note}." for note in self.panel.notes]
        return "\n".join([*lines, f"Content hash: {self.panel.content_hash}"])


def inspect_file(
    path: Path,
    *,
    sheet: str | None = None,
    encoding: str | None = None,
    outcome_unit: str | None = None,
    **roles: str | None,
) -> Inspection:
    """Read a tidy table of any file and validate it as a panel.

    Columns that are not named are looked for: the period is the first column that reads as years, quarters or months, the
    outcome the only numeric column whose name says that it is a share, the unit the first text column that names each row
    once a period; two columns of counts are those behind the share when they give it. What is not clear is asked for, not guessed. A share whose numbers are all percentages is one in per cent.

    Parameters
    ----------
    path : Path
        As in `evalaid.reading.tables.tidy.read_tidy`.
    sheet : str, optional
        Sheet of a workbook; default: the first.
    encoding : str, optional
        Of a text file; default: detected.
    outcome_unit : {"fraction", "percent", "number"}, optional
        Default: decided from the outcome's name and numbers.
    **roles
        ``unit``, ``period``, ``outcome``, ``inside``, ``total``, ``weight``, ``cluster``: column names.

    Returns
    -------
    Inspection

    Raises
    ------
    ReadingError
        If the file cannot be read.
    PanelError
        If a needed column is not clear.
    """
    table = read_tidy(path, sheet=sheet, encoding=encoding)
    frame = table.frame.set_axis(pd.RangeIndex(table.first_line, table.first_line + len(table.frame), name="line"))
    named = {role: column for role, column in roles.items() if column is not None}
    file = readable_name(path.name)
    columns = {**_find(frame, named, file), **named}
    found = tuple(role for role in columns if role not in named)
    unit, because = (outcome_unit, "it was named") if outcome_unit else _unit_of(frame, columns[OUTCOME])
    rows = [
        (file, "", "", f"column {column!r}", role, "found by its name or content" if role in found else "it was named")
        for role, column in columns.items()
    ]
    rows += [(file, "", "", f"unit of {columns[OUTCOME]!r}", unit, because)] if unit else []
    decisions = pd.concat([table.decisions, pd.DataFrame(rows, columns=DECISION_COLUMNS)], ignore_index=True)
    try:
        panel, message, faults = (
            read_panel(frame, outcome_unit=unit, **columns),
            "",
            pd.DataFrame(columns=FAULT_COLUMNS),
        )
    except PanelError as error:
        panel, message = (
            None,
            str(error).replace("outcome_unit='percent'", "outcome_unit='percent' (--outcome-unit percent)"),
        )
        faults = error.rows if error.rows is not None else pd.DataFrame(columns=FAULT_COLUMNS)
    held = "" if panel is None else panel.outcome_unit
    return Inspection(file, columns, found, panel, faults, frame, decisions, unit or held, message)


def _unit_of(frame: pd.DataFrame, outcome: str) -> tuple[str | None, str]:
    """Return per cent for a share whose numbers are all percentages; of any other its name decides."""
    if outcome not in frame or not names_a_share(outcome) or not pd.api.types.is_numeric_dtype(frame[outcome]):
        return None, ""
    values = frame[outcome].tolist()
    try:
        column = read_numbers([None if pd.isna(value) else value for value in values], name=outcome)
    except ReadingError:  # two units fit: the panel's own check says where
        return None, ""
    return ("percent", column.evidence) if column.unit == "percent" and not column.notes else (None, "")


def _find(frame: pd.DataFrame, named: dict[str, str], file: str) -> dict[str, str]:
    """Find the columns of unit, period and outcome that the caller did not name, and the counts behind a share."""
    known = dict(named)
    for role, wanted, candidates in (
        (PERIOD, "a column of years, quarters or months", _dated),
        (OUTCOME, "a numeric column that is named as a share", _shares),
        (UNIT, "a text column that names each row once a period", _names),
    ):
        if role not in known:
            free = [column for column in frame.columns if column not in known.values()]
            known[role] = _first(candidates(frame[free], known, frame), role, wanted, frame, file)
    known |= _counts(frame, known)
    return {role: known[role] for role in (UNIT, PERIOD, OUTCOME, INSIDE, TOTAL) if role in known and role not in named}


def _dated(free: pd.DataFrame, *_: Any) -> list[str]:
    return [column for column in free.columns if _is_period(free[column])][:1]


def _shares(free: pd.DataFrame, *_: Any) -> list[str]:
    return [column for column in free.columns if names_a_share(column) and pd.api.types.is_numeric_dtype(free[column])]


def _names(free: pd.DataFrame, known: Mapping[str, str], frame: pd.DataFrame) -> list[str]:
    """Return the first text column that stands once a period, else all text columns."""
    text = [column for column in free.columns if not pd.api.types.is_numeric_dtype(free[column])]
    if known[PERIOD] not in frame:
        return text
    return [column for column in text if not frame.duplicated([column, known[PERIOD]]).any()][:1] or text


def _counts(frame: pd.DataFrame, known: Mapping[str, str]) -> dict[str, str]:
    """Return the columns of the counts behind a share: one of each, whose ratio it is."""
    if {INSIDE, TOTAL} & set(known) or not names_a_share(known[OUTCOME]):
        return {}
    counts = {role: [column for column in frame.columns if find_role(str(column)) == role] for role in (INSIDE, TOTAL)}
    if any(len(columns) != 1 for columns in counts.values()):
        return {}
    both = {role: column for role, (column,) in counts.items()}
    return both if _is_ratio(frame, both, known[OUTCOME]) else {}


def _is_ratio(frame: pd.DataFrame, counts: Mapping[str, str], outcome: str) -> bool:
    """Check whether a share is that of two counts, up to the rounding of published shares."""
    if outcome not in frame:
        return False
    numbers = [pd.to_numeric(frame[column], errors="coerce") for column in (counts[INSIDE], counts[TOTAL], outcome)]
    inside, total, share = (values.where(values >= 0) for values in numbers)
    ratio = inside / total.where(total > 0)
    known = ratio.notna() & share.notna()
    off = pd.concat([(ratio - share / factor).abs() for factor in (1, 100)], axis=1)[known].max()
    return bool(known.any() and off.min() < ROUNDING)


def _first(candidates: list[str], role: str, wanted: str, frame: pd.DataFrame, file: str) -> str:
    """Take the only candidate, else ask."""
    if len(candidates) == 1:
        return candidates[0]
    columns = [str(column) for column in (candidates or frame.columns)]
    listed = ", ".join(columns[:_SHOWN]) + (", ..." if len(columns) > _SHOWN else "")
    what = f"several could be: {listed}" if candidates else f"none is {wanted}; the columns are {listed}"
    raise PanelError(f"{file}: which column is the {role}? Of those not named, {what}. Name it with --{role} COLUMN.")


def _is_period(values: pd.Series) -> bool:
    if pd.api.types.is_float_dtype(values) and not (values.dropna() % 1 == 0).all():
        return False
    periods, unreadable = recognise_periods(values)
    return periods.kind != PeriodKind.NUMBER and not unreadable.any()
