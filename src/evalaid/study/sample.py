"""From the rows of a study to its design: place the starts in periods, diagnose."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pandas as pd

from evalaid.base.errors import StudyError
from evalaid.base.names import FIRST_TREATED, PARTLY_TREATED, TREATED_PART
from evalaid.did.panel.design import Design, diagnose
from evalaid.programme.cohorts import Assignment, assign_cohorts
from evalaid.programme.roster import Roster, roster_of
from evalaid.reading.values.comparable_names import comparable, name_text
from evalaid.study.inspection.treatment_columns import first_treated, read_treated
from evalaid.study.manifest import hash_value
from evalaid.study.sample_rows import has_one_of, hash_named, load_untreated, period_kind, read_beside, remember
from evalaid.study.sources import (
    need_columns,
    read_partnerships_file,
)
from evalaid.study.spec import StudySpec

_ASSIGNED: dict[str, Assignment] = {}
_FRAMES: dict[str, pd.DataFrame] = {}
_DESIGNS: dict[tuple[str, str], Design] = {}
# Fields that are read after the table is made.
_LATER = {
    "anticipation", "covariates", "dose", "draws", "estimands", "event_window", "level", "main", "methods", "outcomes", "placebo",
    "recovery", "robustness", "scenarios", "seed", "smallest_effect", "weight", "weight_kind",
}  # fmt: skip


def load_frame(spec: StudySpec) -> pd.DataFrame:
    """Read and join a study's files into one long table with the cohort of every row.

    Assumes one row for each unit and period in the panel, and one row for each unit in the link file. Text after the
    date of a start is ignored.

    Parameters
    ----------
    spec : StudySpec

    Returns
    -------
    pandas.DataFrame
        The panel's columns, those of the link file that it lacks, and ``first_treated`` (missing = never treated), for
        the units and periods that stay in the sample.

    Raises
    ------
    StudyError
        If a file or column is missing, a unit has no row in the link file, a value to keep does not exist, or nothing
        stays in the sample.
    RosterError
        If the roster has faults.

    Examples
    --------
    >>> frame = load_frame(StudySpec(study="korea_responsible_hospitals"))
    >>> sorted(frame["first_treated"].dropna().unique().astype(int).tolist())
    [2021, 2022, 2024]
    """

    def make() -> pd.DataFrame:
        frame = load_untreated(spec)
        return treat(frame, spec, _assign(frame, spec))

    return remember(_FRAMES, _content(spec), make).copy()


def _content(spec: StudySpec) -> str:
    """Return a hash of what decides on a study's table: its files, and every field but those that only what follows reads."""
    files = hash_named(spec.panel, spec.layout, spec.link, spec.roster, spec.roster_layout, spec.events)
    return hash_value([*files, {name: value for name, value in spec.to_dict().items() if name not in _LATER}])


def treat(frame: pd.DataFrame, spec: StudySpec, assigned: Assignment | None) -> pd.DataFrame:
    """Assign to every row of `load_untreated` the cohort of its unit, and leave out the cohorts that the study leaves out.

    ``assigned`` is by the roster's unit; None: the panel has the cohorts in a column. By the study's rule ``partly_treated`` marks the
    row of the period in which a start falls, or ``treated_part`` holds the part of each period. Raises a `StudyError` when nothing stays.
    """
    cohorts = None if assigned is None else assigned.cohort_by_unit
    frame = only_cohorts(place_cohorts(frame, spec, cohorts), spec)
    if frame.empty:
        raise StudyError(
            f"Nothing stays in the sample of '{spec.study}': check keep, leave_out_events and the periods."
        )
    if assigned is not None:
        units, periods = roster_units(frame, spec), frame[spec.period]
        if len(assigned.partial_by_unit):
            frame = frame.assign(**{PARTLY_TREATED: assigned.partial(units, periods)})
        if spec.start_rule == "part_of_period":
            frame = frame.assign(**{TREATED_PART: assigned.exposure(units, periods)})
    return frame.reset_index(drop=True)


def place_cohorts(frame: pd.DataFrame, spec: StudySpec, cohorts: pd.Series | None) -> pd.DataFrame:
    """Return the table with the column ``first_treated``: from the roster, else from a column of the panel."""
    if cohorts is not None:
        return frame.assign(**{FIRST_TREATED: roster_units(frame, spec).map(cohorts)})
    if spec.treated is not None:
        need_columns(frame, "the panel", [spec.treated])
        try:
            read_treated(frame, spec.treated, spec.unit, spec.period)
        except ValueError as error:
            raise StudyError(f"treated: {error}.") from None
        return frame.assign(**{FIRST_TREATED: first_treated(frame, spec.treated, spec.unit, spec.period)})
    need_columns(frame, "the panel", [str(spec.cohort)])
    stated = frame[str(spec.cohort)]
    return frame.assign(**{FIRST_TREATED: stated.mask(stated.isin(spec.never)) if spec.never else stated})


def spell_as(roster: Roster, units: pd.Series) -> Roster:
    """Return a roster whose units are spelt as the panel spells them, compared without case, blanks and punctuation."""
    known: dict[str, list[str]] = {}
    for text in dict.fromkeys(units.map(name_text)):
        known.setdefault(comparable(text), []).append(text)

    def spell(unit: object) -> str:
        text = name_text(unit)
        same = known.get(comparable(text), [])
        return same[0] if text not in same and len(same) == 1 else text

    return replace(roster, frame=roster.frame.assign(unit=roster.frame["unit"].map(spell)))


def only_cohorts(frame: pd.DataFrame, spec: StudySpec) -> pd.DataFrame:
    """Return the never treated and, where the study names cohorts, these alone."""
    if not spec.only_cohorts:
        return frame
    named = {str(cohort) for cohort in spec.only_cohorts}
    return frame[frame[FIRST_TREATED].isna() | frame[FIRST_TREATED].map(_name).isin(named)]


def load_cohorts(frame: pd.DataFrame, spec: StudySpec) -> pd.Series | None:
    """Return the cohort of each unit of the roster; None when the panel has the cohorts in a column."""
    assigned = _assign(frame, spec)
    return None if assigned is None else assigned.cohort_by_unit


def _assign(frame: pd.DataFrame, spec: StudySpec) -> Assignment | None:
    if spec.roster is None:
        return None
    kind = period_kind(frame, spec)

    def make() -> Assignment:
        return assign_cohorts(cast("Roster", load_roster(spec, frame)), kind, spec.start_rule)

    if spec.roster_layout is not None:  # its units are spelt as those of the table
        return make()
    read_by = spec.roster_unit, spec.start_column, spec.roster_hospital, dict(spec.roster_keep), kind, spec.start_rule
    return remember(_ASSIGNED, hash_value([*hash_named(spec.roster, spec.layout), spec.layout, *read_by]), make)


def roster_units(frame: pd.DataFrame, spec: StudySpec) -> pd.Series:
    """Return the roster's unit of every row of the panel; of a roster that was read with a layout it is text."""
    need_columns(frame, "the joined panel", [str(spec.roster_unit)])
    units = frame[str(spec.roster_unit)]
    return units.map(name_text) if spec.roster_layout is not None else units


def load_roster(spec: StudySpec, frame: pd.DataFrame) -> Roster | None:
    """Read a study's roster, its units spelt as in the panel's table; None when the panel has the cohorts in a column.

    Raises
    ------
    StudyError, RosterError, ReadingError
        If the file or a column is missing, or the roster has faults.
    """
    if spec.roster is None:
        return None
    if spec.roster_layout is not None:
        roster = roster_of(read_partnerships_file(spec.roster, spec.roster_layout), str(spec.start_column))
        return spell_as(roster, roster_units(frame, spec))
    table = read_beside(spec.roster, spec.roster_unit, spec)
    need_columns(table, spec.roster, [str(spec.roster_unit), str(spec.start_column), *spec.roster_keep])
    for column, allowed in spec.roster_keep.items():
        table = table[has_one_of(table[column], allowed, "roster_keep")]
    return Roster.read(table, str(spec.roster_unit), str(spec.start_column), hospital=spec.roster_hospital)


def load_design(spec: StudySpec) -> Design:
    """Turn a study's files into its design: validated panel, cohorts, admissible comparisons.

    Parameters
    ----------
    spec : StudySpec

    Returns
    -------
    Design

    Raises
    ------
    StudyError, RosterError, PanelError
        As `load_frame` and `evalaid.diagnose`.

    Examples
    --------
    >>> load_design(StudySpec(study="korea_responsible_hospitals")).n_clusters
    41
    """
    key = (
        _content(spec),
        repr([getattr(spec, name) for name in ("anticipation", "covariates", "weight", "weight_kind")]),
    )
    return remember(_DESIGNS, key, lambda: diagnose_frame(load_frame(spec), spec))


def diagnose_frame(frame: pd.DataFrame, spec: StudySpec) -> Design:
    """Diagnose a study's frame with the columns that its file names.

    Parameters
    ----------
    frame : pandas.DataFrame
        From `load_frame`.
    spec : StudySpec

    Returns
    -------
    Design

    Raises
    ------
    PanelError
        As `evalaid.diagnose`.
    """
    return diagnose(
        frame,
        unit=spec.unit,
        period=spec.period,
        outcome=spec.outcome,
        cohort=FIRST_TREATED,
        partial=PARTLY_TREATED if PARTLY_TREATED in frame else None,
        covariates=spec.covariates,
        weight=spec.weight,
        weight_kind=spec.weight_kind,
        cluster=spec.cluster,
        stratum=spec.stratum,
        exposure=TREATED_PART if TREATED_PART in frame else spec.exposure,
        outcome_unit=spec.outcome_unit,
        inside=spec.inside,
        total=spec.total,
        anticipation=spec.anticipation,
    )


def _name(cohort: object) -> str:
    return f"{cohort:g}" if isinstance(cohort, float) else str(cohort)
