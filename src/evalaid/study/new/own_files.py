"""The files of a new study: the panel and the roster as they were given, held against each other, and the design that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from evalaid.base.errors import EvalaidError, ReadingError, StudyError
from evalaid.base.names import (
    CLUSTER,
    COHORT,
    EXPOSURE,
    FIRST_TREATED,
    INSIDE,
    NAME,
    OUTCOME,
    PERIOD,
    SHARE,
    STRATUM,
    TOTAL,
    UNIT,
    WEIGHT,
    names_a_share,
)
from evalaid.base.periods import parse_periods
from evalaid.base.texts import counted
from evalaid.did.panel.design import Design, diagnose
from evalaid.programme.cohorts import assign_cohorts, possible_cohorts
from evalaid.programme.roster import roster_of
from evalaid.reading.files.snapshot import readable_name
from evalaid.reading.journal.decisions import show
from evalaid.reading.journal.layouts import FileLayout
from evalaid.reading.records.tallies import county_number
from evalaid.reading.rosters.rosters import Partnerships, read_partnerships
from evalaid.reading.tables.tidy import read_tidy
from evalaid.reading.values.comparable_names import NameMatch, comparable, match_names, name_text
from evalaid.reading.values.measures import measure_of
from evalaid.study.inspection.anything import inspect_any
from evalaid.study.inspection.headings import read_headings, title_of
from evalaid.study.inspection.office_roster import RosterInspection, name_columns
from evalaid.study.inspection.office_table import TableInspection, table_roles
from evalaid.study.inspection.tidy_panel import Inspection, without_gaps
from evalaid.study.inspection.treatment_columns import TREATED, TreatmentColumn, first_treated
from evalaid.study.new.person_means import N_ROWS, aggregate_rows
from evalaid.study.sample import spell_as

_TIDY_ONLY = dict.fromkeys(
    (COHORT, TREATED, WEIGHT, CLUSTER, STRATUM, EXPOSURE)
).keys()  # roles that only a tidy panel has columns for


@dataclass
class StudyDraft:
    """What is known about the study while its files lie in the temporary folder."""

    name: str
    panel: str = ""
    roster: str = ""
    tidy: bool = False
    roles: dict[str, str] = field(default_factory=dict)
    outcome_unit: str = "number"
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)
    treatment: tuple[TreatmentColumn, ...] = ()
    never: tuple[int | float | str, ...] = ()
    covariates: tuple[str, ...] = ()
    not_in_panel: tuple[str, ...] = ()
    absent: list[str] = field(default_factory=list)
    words: dict[str, str] = field(default_factory=dict)
    totals: dict[Any, str] = field(default_factory=dict)
    fiscal: str = ""  # how fiscal years are called; empty where there are none
    headings: tuple[str, ...] = ()
    panel_layout: str = ""
    roster_layout: str = ""
    panel_text: str = ""
    decisions: list[pd.DataFrame] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    starts_inside: bool = False  # whether a unit of the roster starts inside a period


def ask_for_starts(draft: StudyDraft) -> str:
    """Ask what says when units start, with the columns that look like it."""
    seen = [f"{column.text()}: give --{column.role} {column.column}" for column in draft.treatment]
    found = " ".join(f"{text}." for text in seen)
    return (
        f"When do units start? {found} " * bool(found)
        + "When do units start? " * (not found)
        + "Give --roster FILE (units and dates), --cohort COLUMN (the first treated period of each unit; empty for never treated) or "
        "--treated COLUMN (0 and 1 by period). Nothing was written."
    )


def aggregate_file(
    path: Path, data: Path, given: dict[str, str], covariates: Sequence[str]
) -> tuple[str, dict[str, str], list[str]]:
    """Write the means of a file of persons in place of the file, which stays where it is; return name, columns and notes."""
    missing = [f"--{role}" for role in (UNIT, PERIOD, OUTCOME) if role not in given]
    if missing:
        raise StudyError(
            f"Of a file of persons the columns are named: {', '.join(missing)} is missing. Nothing was written."
        )
    table = read_tidy(path).frame
    made = aggregate_rows(
        table, given[UNIT], given[PERIOD], [given[OUTCOME], *covariates],
        [given[role] for role in (CLUSTER, COHORT, TREATED) if role in given],
    )  # fmt: skip
    name = f"{readable_name(path.stem)}_by_unit_and_period.csv"
    made.frame.to_csv(data / name, index=False)
    return name, {**given, WEIGHT: N_ROWS}, [made.text]


def read_own_panel(
    draft: StudyDraft,
    path: Path,
    layout: Path | str | None,
    named: Mapping[str, Any],
    *,
    of_whom: str,
    year_begins: int | None,
) -> None:
    """Read the panel as a table of units, or as a tidy panel."""
    given = FileLayout() if layout is None else FileLayout.read(layout)
    given = given if year_begins is None else replace(given, year_begins=year_begins)
    found = _inspect(path, given, named)
    if isinstance(found, RosterInspection):
        raise StudyError(
            f"{found.file} is a roster of partnerships, not a panel: were --panel and --roster exchanged? Nothing was written."
        )
    if found.panel is None:
        raise ReadingError(f"{found.message}\n{_advice(found, of_whom)} Nothing was written.", found.faults)
    draft.panel_text = found.text()
    draft.decisions.append(found.decisions)
    told = found.decisions[["decided", "because"]].astype(str).agg(" ".join, axis=1)
    draft.fiscal = next(iter(told.str.extract(r"(Fiscal years: [^.]+\.)", expand=False).dropna()), "")
    if isinstance(found, Inspection):
        _take_tidy(draft, found, named)
        draft.panel_layout = "" if given == FileLayout() else replace(given, tidy=True).to_yaml()
    else:
        _take_table(draft, found, named, path)


def _take_tidy(draft: StudyDraft, found: Inspection, named: Mapping[str, Any]) -> None:
    starts = {column.role: column.column for column in found.treatment if column.column in named.values()}
    draft.tidy, draft.frame, draft.outcome_unit = True, found.frame, found.outcome_unit
    draft.roles, draft.treatment = {**found.columns, **starts}, found.treatment
    draft.totals = dict(found.totals)
    draft.frame = draft.frame[~draft.frame[draft.roles[UNIT]].isin(list(draft.totals))]
    if found.measure:
        draft.words = {"outcome_measure": found.measure} | draft.words
    missing = [column for column in draft.covariates if column not in found.frame]
    if missing:
        columns = ", ".join(map(str, found.frame.columns))
        raise StudyError(f"The panel has no column {', '.join(missing)} (--covariates); it has {columns}.")


def _take_table(draft: StudyDraft, found: TableInspection, named: Mapping[str, Any], path: Path) -> None:
    unfit = [f"--{role}" for role in _TIDY_ONLY if role in named] + ["--covariates"] * bool(draft.covariates)
    if unfit:
        raise StudyError(
            f"{', '.join(unfit)} names a column of a tidy panel (one row for each unit and period), and {found.file} is another kind of "
            "table. Put such columns into a csv with one row per unit and name it as `link` in the study's file. Nothing was written."
        )
    assert found.reading is not None  # noqa: S101 (there is a panel)
    draft.frame, draft.panel_layout = found.reading.frame, found.layout.to_yaml()
    draft.roles = table_roles(found.reading)
    variables = _variables(draft.frame)
    outcome = named.get(OUTCOME, draft.roles[OUTCOME])
    if outcome not in variables or (OUTCOME not in named and SHARE not in variables and len(variables) > 1):
        what = f"has no variable '{outcome}'" if outcome not in variables else "has several variables and no share"
        raise StudyError(
            f"The panel {what}: it has {', '.join(variables)}. Name the outcome with --outcome VARIABLE. Nothing was written."
        )
    if outcome != draft.roles[OUTCOME]:
        draft.roles = {UNIT: UNIT, PERIOD: PERIOD, OUTCOME: outcome}
    draft.notes += _to_look_at(found.faults, "panel")
    # a reading holds shares as fractions
    draft.outcome_unit = "fraction" if names_a_share(outcome) else "number"
    draft.headings = read_headings(path, found.layout)
    measure = measure_of(outcome, draft.headings)
    words = {"outcome_measure": measure.unit} if draft.outcome_unit == "number" and measure.unit else {}
    if outcome not in (SHARE, INSIDE, TOTAL) and (title := title_of(draft.headings, found.decisions)):
        words["outcome_label"] = title
    draft.words = words | draft.words


def _inspect(
    path: Path, layout: FileLayout, named: Mapping[str, Any]
) -> Inspection | TableInspection | RosterInspection:
    """Inspect the panel as it is, with its columns named only where it is no table that has the outcome."""
    if not layout.open:
        return inspect_any(path, layout=layout)
    if named.keys() <= {OUTCOME}:
        try:
            found = inspect_any(path, layout=layout)
        except EvalaidError:
            if not named:
                raise
        else:
            if not named or (isinstance(found, TableInspection) and found.reading is not None):
                return found
    try:
        return inspect_any(path, layout=layout, **named)
    except EvalaidError:
        if not named.keys() & _TIDY_ONLY:
            raise
        found = inspect_any(path, layout=layout)
        if not isinstance(found, TableInspection) or found.reading is None:
            raise
        return found


def _variables(frame: pd.DataFrame) -> list[str]:
    return [name.removesuffix("_cell") for name in map(str, frame) if name.endswith("_cell")]


def _advice(found: Inspection | TableInspection, file: str) -> str:
    """Return what to do about a panel with faults."""
    if isinstance(found, Inspection):
        return "Correct the file, or name its columns: --unit, --period, --outcome, --outcome-unit, --inside, --total."
    return (
        f"Correct the file, or what is read: evalaid check {file} --write-layout LAYOUT, edit LAYOUT, and give it with "
        "--panel-layout."
    )


def _to_look_at(faults: pd.DataFrame, what: str) -> list[str]:
    return [f"{len(faults)} things to look at in the {what}'s file, listed in the report"] if len(faults) else []


def read_own_roster(
    draft: StudyDraft,
    path: Path,
    layout: Path | str | None,
    year_begins: int | None,
    named: tuple[str | None, str | None] = (None, None),
) -> Partnerships:
    """Read the roster, and hold its units against those of the panel; one that is not there stops unless it is listed."""
    units = draft.frame[draft.roles[UNIT]].map(show)
    coded = units.map(county_number).notna().all()
    given = FileLayout.read(layout) if layout is not None else FileLayout(units="counties" if coded else "as_written")
    if any(named):
        given = name_columns(path, *named, given)
    if year_begins is not None:
        given = replace(given, year_begins=year_begins)
    try:
        found = read_partnerships(path, given)
    except ReadingError as error:
        asked = " (or give --year-begins MONTH)" if "year_begins" in str(error) else ""
        advice = (
            "Correct the file, or name its columns (--roster-unit COLUMN, --roster-start COLUMN), or give a layout with "
            f"--roster-layout{asked}. Nothing was written."
        )
        raise ReadingError(f"{error}\n{advice}", error.rows) from None
    if draft.fiscal and found.layout.year_begins is None:
        raise StudyError(
            "The panel has fiscal years and the roster has dates: in which month do the years begin? Give --year-begins MONTH, for "
            "example --year-begins 4 for April to March. Nothing was written."
        )
    draft.roster_layout = found.layout.to_yaml()
    draft.decisions.append(found.decisions)
    draft.absent = _hold_against(draft, found, units)
    draft.notes += _to_look_at(found.faults, "roster")
    return found


def _hold_against(draft: StudyDraft, found: Partnerships, units: pd.Series) -> list[str]:
    """Return the roster's units that are not in the panel and listed as such; raise for any other, with the nearest names."""
    match = match_names(found.frame["unit"], units)
    names = dict(zip(found.frame["unit"].map(name_text), found.frame["name"].map(name_text), strict=True))
    labels = draft.frame[NAME if NAME in draft.frame and not draft.tidy else draft.roles[UNIT]]
    listed = {comparable(name) for name in draft.not_in_panel}
    absent = [unit for unit in match.unknown if {comparable(unit), comparable(names[unit])} & listed]
    missing = [unit for unit in match.unknown if unit not in absent]
    if missing or match.ambiguous:
        about = match_names([names[unit] for unit in missing], labels)
        near = {
            name: about.unknown.get(name, (about.found.get(name, ""),)) for name in (names[unit] for unit in missing)
        }
        message = NameMatch({}, near, match.ambiguous).message("of the roster", "the panel")
        here = ", ".join(sorted(set(labels.map(name_text)))[:3])
        none = f"No unit of the roster is in the panel, which has {here}, ....\n" * (not match.found)
        flags = " ".join(f'--not-in-panel "{names[unit]}"' for unit in missing[:3])
        raise StudyError(
            f"{none}{message}\nWrite them alike in both files, or, for units that the panel rightly lacks, add: {flags}. Nothing was "
            "written."
        )
    return [names[unit] for unit in absent]


def diagnose_draft(draft: StudyDraft, partnerships: Partnerships | None, start: str) -> Design:
    """Place the starts in the panel's periods, and return the design."""
    frame, roles = draft.frame, draft.roles
    if partnerships is not None:
        units = frame[roles[UNIT]].map(name_text)
        roster = spell_as(roster_of(partnerships, start), units)
        kind = str(parse_periods(frame[roles[PERIOD]]).kind)
        assigned = assign_cohorts(roster, kind)
        draft.notes += assigned.notes
        open_starts = possible_cohorts(roster, kind)
        if len(open_starts):
            draft.notes.append(
                f"{counted(len(open_starts), 'unit')} may start in one of several {kind}s: the report repeats the "
                "estimate over all of them"
            )
        cohort = units.map(assigned.cohort_by_unit)
        draft.starts_inside = bool(
            (assign_cohorts(roster, kind, "first_full_period").frame["ordinal"] > assigned.frame["ordinal"]).any()
        )
    elif COHORT in roles:
        never = draft.treatment[0].never
        draft.never = never
        cohort = frame[roles[COHORT]].mask(frame[roles[COHORT]].isin(never))
    else:
        cohort = first_treated(frame, roles[TREATED], roles[UNIT], roles[PERIOD])
    observed, gaps = without_gaps(frame, roles[OUTCOME])
    if gaps:
        draft.notes.append(f"rows without a value of {roles[OUTCOME]}: {gaps}; they are gaps of the panel")
    return diagnose(
        observed.assign(**{FIRST_TREATED: cohort}), unit=roles[UNIT], period=roles[PERIOD], outcome=roles[OUTCOME],
        cohort=FIRST_TREATED, outcome_unit=draft.outcome_unit, inside=roles.get(INSIDE), total=roles.get(TOTAL),
        cluster=roles.get(CLUSTER), weight=roles.get(WEIGHT), stratum=roles.get(STRATUM), exposure=roles.get(EXPOSURE),
        covariates=draft.covariates,
    )  # fmt: skip
