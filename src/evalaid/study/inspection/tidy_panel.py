"""Is this file a usable tidy panel? Read it, find its columns, and list every fault with its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from evalaid.base.errors import PanelError, ReadingError
from evalaid.base.faults import FAULT_COLUMNS
from evalaid.base.names import (
    COHORT,
    EXPOSURE,
    OUTCOME,
    PERIOD,
    STRATUM,
    UNIT,
    names_a_share,
)
from evalaid.base.periods import label
from evalaid.did.panel.panel import Panel, read_panel
from evalaid.reading.files.snapshot import readable_name
from evalaid.reading.journal.decisions import DECISION_COLUMNS
from evalaid.reading.journal.layouts import FileLayout
from evalaid.reading.tables.tidy import TidyTable, read_tidy
from evalaid.reading.tables.typed_columns import TEXT
from evalaid.reading.values.comparable_names import name_text
from evalaid.reading.values.measures import Measure, measure_of
from evalaid.reading.values.numbers import read_numbers
from evalaid.reading.values.successions import find_successions
from evalaid.reading.values.total_words import find_totals
from evalaid.study.inspection.panel_columns import find_panel_columns
from evalaid.study.inspection.treatment_columns import (
    TREATED,
    TreatmentColumn,
    find_treatment,
    read_cohorts,
    read_treated,
)

SEVERAL = 2
"""With so many rows for each unit and period on average a file holds persons, not a panel with rows that stand twice."""


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
    measure : str
        How the unit of an outcome that is no share stands in a sentence ("per 1,000"); empty where nothing says it.
    totals : dict
        Units that are totals of the others, left out of the panel, each with its evidence.
    treatment : tuple of TreatmentColumn
        The columns that say when units are treated: the one that was named, else those that look like it.
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
    measure: str = ""
    treatment: tuple[TreatmentColumn, ...] = ()
    totals: Mapping[Any, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether there is a panel."""
        return self.panel is not None

    def text(self) -> str:
        """Describe what the file holds, the verdict first, or why it cannot be used."""
        roles = ", ".join(
            f"{role} = {column!r}{' (found)' * (role in self.found)}" for role, column in self.columns.items()
        )
        if self.panel is None:
            return "\n".join([f"{self.file}: not usable as it stands. {roles}", self.message])
        keys = self.panel.keys
        span = f"{label(keys.kind, keys.periods[0])} to {label(keys.kind, keys.periods[-1])}"
        measure = {"fraction": "a share, as a fraction", "percent": "a share in per cent, held as a fraction"}.get(
            self.outcome_unit, f"a number {self.measure}".strip()
        )
        lines = [
            f"Usable panel: {len(keys.units):,} units, {len(keys.periods)} periods ({span}), {len(self.panel):,} rows.",
            f"{self.file}: {roles}",
            f"Outcome: {measure}. Gaps: {len(self.panel.gaps):,}. Units seen once only: {len(self.panel.singletons):,}.",
        ]
        lines += [f"Note: {note}." for note in self.panel.notes]
        lines += [f"Left out: {unit!r}: {why}." for unit, why in self.totals.items()]
        for column in self.treatment:
            lines.append(f"{column.text()}: evalaid new NAME --panel {self.file} --{column.role} {column.column}")
        if not self.treatment:
            lines.append(f"With a file of starts: evalaid new NAME --panel {self.file} --roster ROSTER")
        return "\n".join([*lines, f"Content hash: {self.panel.content_hash}"])


def inspect_file(
    path: Path,
    *,
    sheet: str | None = None,
    encoding: str | None = None,
    outcome_unit: str | None = None,
    layout: FileLayout | None = None,
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
        ``unit``, ``period``, ``outcome``, ``inside``, ``total``, ``weight``, ``cluster``, ``stratum``, ``exposure``, ``cohort``, ``treated``: column names.

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
    layout = layout or FileLayout()
    table = read_tidy(path, sheet=sheet, encoding=encoding, layout=layout)
    frame = table.frame.set_axis(pd.RangeIndex(table.first_line, table.first_line + len(table.frame), name="line"))
    named = {role: column for role, column in roles.items() if column is not None}
    starts = {role: named.pop(role) for role in (COHORT, TREATED) if role in named}
    file = readable_name(path.name)
    columns = {**_find_or_ask(table, frame, {**named, **starts}, file), **named}
    found = tuple(role for role in columns if role not in named)
    measure = measure_of(columns[OUTCOME], [table.labels.get(columns[OUTCOME], "")])
    unit, because = (outcome_unit, "it was named") if outcome_unit else _unit_of(frame, columns[OUTCOME], measure, file)
    treatment = _treatment(frame, columns, starts, file)
    how = dict.fromkeys(columns, "it was named") | dict.fromkeys(found, "found by its name or content")
    rows = [(file, "", "", f"column {column!r}", role, how[role]) for role, column in columns.items()]
    rows += [(file, "", "", f"column {column!r}", role, treatment[0].evidence) for role, column in starts.items()]
    rows += [(file, "", "", f"unit of {columns[OUTCOME]!r}", unit, because)] if unit else []
    observed, totals, left = _observe(frame, columns)
    rows += [(file, "", "", *one) for one in left]
    decisions = pd.concat([table.decisions, pd.DataFrame(rows, columns=DECISION_COLUMNS)], ignore_index=True)
    panel, message, faults = None, "", pd.DataFrame(columns=FAULT_COLUMNS)
    try:
        panel = read_panel(observed, outcome_unit=unit, **_of_panel(columns))
        message = _ask_for_successors(observed, columns, layout)
        panel = None if message else panel
    except PanelError as error:
        message = str(error).replace("outcome_unit='percent'", "outcome_unit='percent' (--outcome-unit percent)")
        message += _about_repeats(frame, columns)
        faults = error.rows if error.rows is not None else faults
    held = "" if panel is None else panel.outcome_unit
    said = measure.unit if (unit or held) == "number" else ""
    return Inspection(
        file, columns, found, panel, faults, frame, decisions, unit or held, message, said, treatment, totals
    )


def _of_panel(columns: Mapping[str, str]) -> dict[str, str]:
    """Return the columns that a panel has by itself, without those that only a design reads."""
    return {role: column for role, column in columns.items() if role not in (STRATUM, EXPOSURE)}


def _find_or_ask(table: TidyTable, frame: pd.DataFrame, named: dict[str, str], file: str) -> dict[str, str]:
    """Find the columns; where one is not clear, ask with what kept columns from being numbers or periods."""
    try:
        return find_panel_columns(frame, named, file)
    except PanelError as error:
        open_ = table.decisions[table.decisions["decided"] == TEXT]
        doubts = "".join(f"\n{what}: {why}" for what, why in zip(open_["what"], open_["because"], strict=True))
        raise PanelError(f"{error}{doubts}", error.rows) from None


def _observe(
    frame: pd.DataFrame, columns: Mapping[str, str]
) -> tuple[pd.DataFrame, dict[Any, str], list[tuple[str, str, str]]]:
    """Return the rows with an outcome of units that are no totals, the totals, and what was decided about both."""
    observed, gaps = without_gaps(frame, columns[OUTCOME])
    totals = _find_totals(observed, columns)
    said = [(f"rows: {gaps}", "gaps", f"{columns[OUTCOME]!r} has no value in them")] * (gaps > 0)
    said += [(f"unit {unit!r}", "left out", why) for unit, why in totals.items()]
    return observed[~observed[columns[UNIT]].isin(list(totals))] if totals else observed, totals, said


def _find_totals(frame: pd.DataFrame, columns: Mapping[str, str]) -> dict[Any, str]:
    """Return the units that are totals of the others by their codes or figures, as the file writes them, each with its evidence."""
    if not {columns[UNIT], columns[PERIOD], columns[OUTCOME]} <= set(frame):
        return {}
    found = find_totals(frame, columns[UNIT], columns[PERIOD], [columns[OUTCOME]])
    return (
        {unit: found[text] for unit in frame[columns[UNIT]].unique() if (text := name_text(unit)) in found}
        if found
        else {}
    )


def _ask_for_successors(frame: pd.DataFrame, columns: Mapping[str, str], layout: FileLayout) -> str:
    """Ask whether units that end are those that begin, once as many end as begin; empty where the layout says it."""
    if layout.former is not None:
        return ""
    found = find_successions(frame, columns[UNIT], columns[PERIOD], [columns[OUTCOME]])
    pairs = ", ".join(f"{old!r}: {new!r}" for one in found for old, new in one.pairs.items())
    return (
        f"{' '.join(one.text() + '.' for one in found)} Expected a line 'former: {{{pairs}}}' in a layout (--layout, --panel-layout), or "
        "'former: {}' when they are other units."
        if found
        else ""
    )


def without_gaps(frame: pd.DataFrame, outcome: str) -> tuple[pd.DataFrame, int]:
    """Return the rows in which an outcome is observed, and how many are not: they are gaps of the panel."""
    missing = frame[outcome].isna() if outcome in frame else pd.Series(False, index=frame.index)
    return frame[~missing], int(missing.sum())


def _about_repeats(frame: pd.DataFrame, columns: Mapping[str, str]) -> str:
    """Return what to do with a file of one row per person: make means of them."""
    keys = [columns[UNIT], columns[PERIOD]]
    if not set(keys) <= set(frame) or (cells := len(frame[keys].drop_duplicates())) * SEVERAL > len(frame):
        return ""
    return (
        f"\nThere are {len(frame) / cells:.1f} rows for each unit and period: one per person, it seems. With --aggregate mean they "
        "become a panel: means by unit and period, weighted by the number of rows, small cells left out."
    )


def _treatment(
    frame: pd.DataFrame, columns: Mapping[str, str], starts: Mapping[str, str], file: str
) -> tuple[TreatmentColumn, ...]:
    """Read the column of the treatment that was named, else find those that look like one."""
    unit, period = columns[UNIT], columns[PERIOD]
    if not starts:
        free = [column for column in frame.columns if column not in columns.values() or column in (unit, period)]
        return find_treatment(frame[free], unit, period)
    read = {COHORT: read_cohorts, TREATED: read_treated}
    need = [column for column in (unit, period, *starts.values()) if column not in frame]
    if need:
        raise PanelError(
            f"{file} has no column {', '.join(need)}; its columns are {', '.join(map(str, frame.columns))}."
        )
    try:
        return tuple(read[role](frame, column, unit, period) for role, column in starts.items())
    except ValueError as error:
        raise PanelError(f"{file}: {error}.") from None


def _unit_of(frame: pd.DataFrame, outcome: str, measure: Measure, file: str) -> tuple[str | None, str]:
    """Return the unit of an outcome: what its name says, per cent for a share whose numbers are all percentages; else asked.

    None where the panel's own check decides by the name.
    """
    if measure.kind in {"rate", "count", "money", "log"}:
        return "number", f"{measure.evidence} is {measure.unit or 'a ' + measure.kind}"
    if measure.unit == "per cent" and outcome in frame and pd.to_numeric(frame[outcome], errors="coerce").max() > 1:
        return "percent", f"{measure.evidence} is in per cent"
    if outcome not in frame or not names_a_share(outcome) or not pd.api.types.is_numeric_dtype(frame[outcome]):
        return None, ""
    if measure.kind == "unclear" and frame[outcome].max() > 1:
        raise PanelError(
            f"{file}: is {outcome!r} in per cent, or per 1,000, per 100,000, or another number? Its name says a rate and no base; the "
            f"values are {frame[outcome].min():g} to {frame[outcome].max():g}. Say it with --outcome-unit percent or --outcome-unit number."
        )
    values = frame[outcome].tolist()
    try:
        column = read_numbers([None if pd.isna(value) else value for value in values], name=outcome)
    except ReadingError:  # two units fit: the panel's own check says where
        return None, ""
    return ("percent", column.evidence) if column.unit == "percent" and not column.notes else (None, "")
