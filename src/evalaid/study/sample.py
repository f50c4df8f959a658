"""From the sources of a study to its design: join, keep, place the starts in periods, diagnose."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar, cast

import pandas as pd

from evalaid.base.errors import StudyError
from evalaid.base.names import FIRST_TREATED, PARTLY_TREATED, TREATED_PART
from evalaid.base.periods import parse_periods
from evalaid.base.project import project_root
from evalaid.base.texts import counted
from evalaid.did.panel.design import Design, diagnose
from evalaid.programme.cohorts import Assignment, assign_cohorts
from evalaid.programme.roster import Roster, roster_of
from evalaid.reading.values.comparable_names import comparable, name_text
from evalaid.study.inspection.tidy_panel import without_gaps
from evalaid.study.inspection.treatment_columns import first_treated, read_treated
from evalaid.study.manifest import hash_file, hash_value
from evalaid.study.sources import (
    load_reading,
    load_simulation,
    need_columns,
    read_file,
    read_partnerships_file,
    simulated_name,
    tidy_layout,
)
from evalaid.study.spec import StudySpec

# Of tables and designs that a process made: the study as it is and the last ones with something changed, so many at least, and more as
# long as they have no more rows than this together.
_KEPT, _KEPT_ROWS = 4, 200_000
_TABLES: dict[str, _Tables] = {}
_ASSIGNED: dict[str, Assignment] = {}
_FRAMES: dict[str, pd.DataFrame] = {}
_DESIGNS: dict[tuple[str, str], Design] = {}
_Key = TypeVar("_Key")
_Made = TypeVar("_Made")
# Fields that are read after the table is made.
_LATER = {
    "anticipation", "covariates", "dose", "draws", "estimands", "event_window", "level", "main", "methods", "outcomes", "placebo",
    "recovery", "robustness", "scenarios", "seed", "smallest_effect", "weight", "weight_kind",
}  # fmt: skip
_SHOWN = 12
ALL_GROUPS = "all"  # an event that concerns every group, such as a national strike


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

    return _remember(_FRAMES, _content(spec), make).copy()


def _remember(kept: dict[_Key, _Made], key: _Key, make: Callable[[], _Made]) -> _Made:
    """Return what was made of the same before, or make it; those that were used last are kept."""
    made = kept.pop(key, None)
    made = make() if made is None else made
    kept[key] = made
    while len(kept) > _KEPT and sum(map(_count_rows, list(kept.values()))) > _KEPT_ROWS:
        kept.pop(next(iter(kept)), None)
    return made


def _count_rows(made: Any) -> int:
    return int(made.matrices.outcome.size) if isinstance(made, Design) else len(getattr(made, "frame", made))


def _content(spec: StudySpec) -> str:
    """Return a hash of what decides on a study's table: its files, and every field but those that only what follows reads."""
    files = _hash_named(spec.panel, spec.layout, spec.link, spec.roster, spec.roster_layout, spec.events)
    return hash_value([*files, {name: value for name, value in spec.to_dict().items() if name not in _LATER}])


def _hash_named(*names: str | None) -> list[str]:
    """Return the project's folder, and names of files with the hashes of what is there."""
    root = project_root()
    given = [name for name in names if name]
    return [str(root), *given, *(hash_file(root / name) if (root / name).is_file() else "" for name in given)]


def load_untreated(spec: StudySpec) -> pd.DataFrame:
    """Read and join a study's files as `load_frame` does, without the cohorts and before any cohort is left out."""
    *_, (_, frame) = list_steps(spec)
    return frame


def list_steps(spec: StudySpec) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the joined table of a study, and what is left of it after each rule of the study's file; rows keep their index."""
    key = hash_value(
        [*_hash_named(spec.panel, spec.layout, spec.link), spec.link, spec.unit, dict(spec.simulation or {})]
    )
    tables = _remember(_TABLES, key, lambda: _read_tables(spec))
    _need_roles(tables.panel, tables.name, spec)
    frame = tables.frame.copy(deep=False)  # whoever changes it changes a copy
    named = [*spec.keep, *(name for entry in spec.leave_out for name in entry), *spec.baseline]
    roles = [name for name in (spec.cluster, spec.stratum, spec.exposure) if name]
    need_columns(frame, "the joined panel", [*named, *roles])
    yield "", frame
    frame, gaps = without_gaps(frame, spec.outcome)
    if gaps:
        yield f"gaps: {spec.outcome}", frame
    left_out = [
        _rows_of(frame, entry) for entry in spec.leave_out
    ]  # of the whole table: a value that it lacks is a slip
    for entry, gone in zip(spec.leave_out, left_out, strict=True):
        frame = frame[~gone.loc[frame.index]]
        said = "; ".join(f"{column} is {', '.join(map(str, values))}" for column, values in entry.items())
        yield f"leave_out: {said}", frame
    if spec.first_period is not None:
        frame = frame[~_ordinals(frame, spec).lt(_ordinal(spec.first_period, frame, spec))]
        yield f"first_period: {spec.first_period}", frame
    if spec.last_period is not None:
        frame = frame[~_ordinals(frame, spec).gt(_ordinal(spec.last_period, frame, spec))]
        yield f"last_period: {spec.last_period}", frame
    for column, allowed in spec.keep.items():
        frame = frame[_has_one_of(frame[column], allowed, "keep")]
        yield f"keep: {column} is {', '.join(map(str, allowed))}", frame
    if spec.leave_out_events:
        frame = _without_events(frame, spec)
        yield f"leave_out_events: {', '.join(spec.leave_out_events)}", frame


class _Tables(NamedTuple):
    """The panel of a study, what it is called, and the panel joined with the link file."""

    panel: pd.DataFrame
    name: str
    frame: pd.DataFrame


def _read_tables(spec: StudySpec) -> _Tables:
    panel, name = _read_panel(spec)
    if spec.link is None:
        return _Tables(panel, name, panel)
    _need_roles(panel, name, spec)
    return _Tables(panel, name, _join(panel, _read_beside(spec.link, spec.unit, spec), spec))


def _need_roles(panel: pd.DataFrame, name: str, spec: StudySpec) -> None:
    need_columns(
        panel, name, [spec.unit, spec.period, spec.outcome, *(role for role in (spec.inside, spec.total) if role)]
    )


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
    return _remember(_ASSIGNED, hash_value([*_hash_named(spec.roster, spec.layout), spec.layout, *read_by]), make)


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
    table = _read_beside(spec.roster, spec.roster_unit, spec)
    need_columns(table, spec.roster, [str(spec.roster_unit), str(spec.start_column), *spec.roster_keep])
    for column, allowed in spec.roster_keep.items():
        table = table[_has_one_of(table[column], allowed, "roster_keep")]
    return Roster.read(table, str(spec.roster_unit), str(spec.start_column), hospital=spec.roster_hospital)


def period_kind(frame: pd.DataFrame, spec: StudySpec) -> str:
    """Return what one period of a study's panel is: year, quarter, month."""
    return str(parse_periods(frame[spec.period]).kind)


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
    return _remember(_DESIGNS, key, lambda: diagnose_frame(load_frame(spec), spec))


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


def _read_panel(spec: StudySpec) -> tuple[pd.DataFrame, str]:
    """Return the panel of a study and how to call it."""
    if spec.simulation:
        return load_simulation(spec.simulation).frame.copy(), simulated_name(spec.simulation)
    if spec.panel is None:
        raise StudyError(
            f"The study '{spec.study}' has neither panel nor simulation: there are no outcome data to compare. It can "
            "examine published claims (notebook 1_claims), nothing else."
        )
    layout = tidy_layout(spec)
    frame = load_reading(spec).frame.copy() if layout is None else read_file(spec.panel, layout)
    return frame, spec.panel


def _read_beside(name: str, column: str | None, spec: StudySpec) -> pd.DataFrame:
    """Read a file that is matched with the panel by a column; beside a panel with a layout its codes are text."""
    table = read_file(name)
    if tidy_layout(spec) is not None or column not in table:
        return table
    codes = table[column]
    whole = pd.api.types.is_float_dtype(codes) and bool((codes.dropna() % 1 == 0).all())
    return table.assign(**{str(column): (codes.astype("Int64") if whole else codes).astype("string").astype(object)})


def _join(frame: pd.DataFrame, link: pd.DataFrame, spec: StudySpec) -> pd.DataFrame:
    need_columns(link, str(spec.link), [spec.unit])
    twice = link[link[spec.unit].duplicated(keep=False)]
    if len(twice):
        raise StudyError(
            f"{spec.link} has {counted(twice[spec.unit].nunique(), 'unit')} in more than one row; one is expected.",
            rows=twice,
        )
    new = [spec.unit, *(column for column in link.columns if column not in frame)]
    joined = frame.merge(link[new], on=spec.unit, how="left", validate="many_to_one", indicator="_found")
    without = joined[joined["_found"] == "left_only"]
    if len(without):
        some = ", ".join(map(str, without[spec.unit].unique()[:3]))
        raise StudyError(
            f"{counted(without[spec.unit].nunique(), 'unit of the panel is', 'units of the panel are')} not in {spec.link}: {some}, ...",
            rows=without,
        )
    return joined.drop(columns="_found")


def _ordinals(frame: pd.DataFrame, spec: StudySpec) -> pd.Series:
    return pd.Series(parse_periods(frame[spec.period]).ordinal, index=frame.index)


def _ordinal(period: int | str, frame: pd.DataFrame, spec: StudySpec) -> int:
    return int(parse_periods(pd.Series([period]), kind=period_kind(frame, spec)).ordinal[0])


def _rows_of(frame: pd.DataFrame, entry: Mapping[str, Sequence[Any]]) -> pd.Series:
    """Return which rows have one of an entry's values in every column that it names."""
    met = [_has_one_of(frame[column], values, "leave_out") for column, values in entry.items()]
    return pd.concat(met, axis=1).all(axis=1)


def _has_one_of(column: pd.Series, values: Sequence[Any], field: str) -> pd.Series:
    """Return which rows have one of the values; every value must occur."""
    unknown = [value for value in values if not (column == value).any()]
    if unknown:
        known = list(dict.fromkeys(map(str, column.dropna())))
        near = difflib.get_close_matches(str(unknown[0]), known, n=1)
        shown = ", ".join(sorted(known)[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
        meant = f" Did you mean {near[0]!r}?" if near else ""
        named = ", ".join(map(repr, unknown))
        raise StudyError(f"{field}: {column.name} has no value {named}; its values are {shown}.{meant}")
    return column.isin(list(values))


def _without_events(frame: pd.DataFrame, spec: StudySpec) -> pd.DataFrame:
    """Leave out the groups that saw an event of the named kinds; events of all groups leave out none."""
    if spec.events is None or spec.cluster is None:
        raise StudyError("leave_out_events needs events (a file) and cluster (the column that the events name).")
    events = read_file(spec.events)
    need_columns(events, spec.events, ["kind", spec.cluster])
    unknown = set(spec.leave_out_events) - set(events["kind"])
    if unknown:
        known = ", ".join(sorted(events["kind"].unique()))
        raise StudyError(
            f"leave_out_events: {spec.events} has no kind {', '.join(map(repr, unknown))}; kinds are {known}."
        )
    named = events[events["kind"].isin(spec.leave_out_events)][spec.cluster].str.split(";").explode().str.strip()
    return frame[~frame[spec.cluster].isin(set(named) - {ALL_GROUPS})]


def _name(cohort: object) -> str:
    return f"{cohort:g}" if isinstance(cohort, float) else str(cohort)
