"""From a study's files to its design: read, join, keep, place the starts in periods, diagnose.

The data files are read only. Their hashes are held against the data package beside them by a run, before and after.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from evalaid.claims.table import Claims
from evalaid.cohorts import assign_cohorts
from evalaid.design import Design, diagnose
from evalaid.errors import EvalaidError, StudyError
from evalaid.manifest import NUMBERS_FILE, hash_file, hash_value, read_manifest
from evalaid.periods import parse_periods
from evalaid.project import LAYOUTS, PUBLISHED, REPORTS, project_root
from evalaid.reading.decisions import show
from evalaid.reading.rosters import Partnerships, read_partnerships
from evalaid.reading.tables import Reading, read_table
from evalaid.recovery import choose_trials
from evalaid.roster import Roster, roster_of
from evalaid.simulate.panel import LABEL, SimulatedPanel
from evalaid.simulate.table import simulate
from evalaid.study.spec import StudySpec

DATA_PACKAGE = Path("data") / "datapackage.json"
COHORT = "first_treated"
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
    frame = load_untreated(spec)
    roster = load_roster(spec)
    if roster is None:
        return treat(frame, spec, None)
    return treat(frame, spec, assign_cohorts(roster, period_kind(frame, spec), spec.start_rule).cohort_by_unit)


def load_untreated(spec: StudySpec) -> pd.DataFrame:
    """Read and join a study's files as `load_frame` does, without the cohorts and before any cohort is left out.

    Parameters
    ----------
    spec : StudySpec

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    StudyError
        As `load_frame`.
    """
    frame, panel = _read_panel(spec)
    need_columns(
        frame, panel, [spec.unit, spec.period, spec.outcome, *(name for name in (spec.inside, spec.total) if name)]
    )
    if spec.link is not None:
        frame = _join(frame, _read_beside(spec.link, spec.unit, spec), spec)
    need_columns(frame, "the joined panel", [*spec.keep, *spec.baseline, *([spec.cluster] if spec.cluster else [])])
    frame = _within_periods(frame, spec)
    frame = _keep(frame, spec)
    return _without_events(frame, spec)


def treat(frame: pd.DataFrame, spec: StudySpec, cohorts: pd.Series | None) -> pd.DataFrame:
    """Give every row the cohort of its unit, and leave out the cohorts that the study leaves out.

    Parameters
    ----------
    frame : pandas.DataFrame
        From `load_untreated`.
    spec : StudySpec
    cohorts : pandas.Series or None
        Cohort by the roster's unit; None: the panel has them in a column.

    Returns
    -------
    pandas.DataFrame
        With the column ``first_treated``.

    Raises
    ------
    StudyError
        If a column is missing or nothing stays in the sample.
    """
    if cohorts is None:
        need_columns(frame, "the panel", [str(spec.cohort)])
        frame = frame.assign(**{COHORT: frame[str(spec.cohort)]})
    else:
        frame = frame.assign(**{COHORT: roster_units(frame, spec).map(cohorts)})
    if spec.only_cohorts:
        named = {str(cohort) for cohort in spec.only_cohorts}
        frame = frame[frame[COHORT].isna() | frame[COHORT].map(_name).isin(named)]
    if frame.empty:
        raise StudyError(
            f"Nothing stays in the sample of '{spec.study}': check keep, leave_out_events and the periods."
        )
    return frame.reset_index(drop=True)


def roster_units(frame: pd.DataFrame, spec: StudySpec) -> pd.Series:
    """Give the roster's unit of every row of the panel; of a roster that was read with a layout it is text."""
    need_columns(frame, "the joined panel", [str(spec.roster_unit)])
    units = frame[str(spec.roster_unit)]
    return units.map(show) if spec.roster_layout is not None else units


def load_roster(spec: StudySpec) -> Roster | None:
    """Read a study's roster; None when its panel has the cohorts in a column.

    Raises
    ------
    StudyError, RosterError, ReadingError
        If the file or a column is missing, or the roster has faults.
    """
    if spec.roster is None:
        return None
    if spec.roster_layout is not None:
        return roster_of(read_partnerships_file(spec.roster, spec.roster_layout), str(spec.start_column))
    table = _read_beside(spec.roster, spec.roster_unit, spec)
    need_columns(table, spec.roster, [str(spec.roster_unit), str(spec.start_column)])
    return Roster.read(table, str(spec.roster_unit), str(spec.start_column), hospital=spec.roster_hospital)


def period_kind(frame: pd.DataFrame, spec: StudySpec) -> str:
    """Tell what one period of a study's panel is: year, quarter, month."""
    return str(parse_periods(frame[spec.period]).kind)


def load_simulation(simulation: Mapping[str, Any]) -> SimulatedPanel:
    """Make the simulated panel of a study; the same parameters give the same panel.

    Parameters
    ----------
    simulation : mapping
        ``generator``, ``seed`` and what the generator takes.

    Returns
    -------
    SimulatedPanel

    Raises
    ------
    SimulationError
        For an unknown generator or parameter, and for effects that the published figures rule out.

    Examples
    --------
    >>> load_simulation({"generator": "xinjiang", "seed": 1, "effect_pp": 4.0}).label
    'simulated'
    """
    return _simulate(json.dumps(dict(simulation), sort_keys=True))


def check_sources(spec: StudySpec) -> None:
    """Hold what a study names against what exists, before anything runs: generators, their columns, programmes, trials.

    Raises
    ------
    StudyError
        With all faults at once.
    """
    faults = []
    for simulation in spec.simulations():
        try:
            panel = load_simulation(simulation)
            need_columns(panel.frame, simulated_name(simulation), [spec.unit, spec.period, spec.outcome])
        except EvalaidError as error:
            faults.append(str(error))
    if spec.recovery:
        try:
            choose_trials(str(spec.simulation["generator"]), spec.recovery.get("methods"))
        except EvalaidError as error:
            faults.append(f"recovery.methods: {error}")
    if spec.claims is not None:
        try:
            Claims.read(project_root() / PUBLISHED).of(spec.claims)
        except EvalaidError as error:
            faults.append(f"claims: {error}")
    if faults:
        raise StudyError(f"The study '{spec.study}' cannot be run: " + " ".join(faults))


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
    return diagnose_frame(load_frame(spec), spec)


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
        cohort=COHORT,
        covariates=spec.covariates,
        weight=spec.weight,
        weight_kind=spec.weight_kind,
        cluster=spec.cluster,
        outcome_unit=spec.outcome_unit,
        inside=spec.inside,
        total=spec.total,
        anticipation=spec.anticipation,
    )


def hash_inputs(spec: StudySpec) -> dict[str, str]:
    """Return the sha256 of what a study reads: its data files, and the content of its simulated panels.

    A simulated panel is hashed as csv with nine significant digits, so that the last digits of another processor's
    arithmetic leave the hash alone.
    """
    hashes = hash_data(spec.data_files())
    for simulation in spec.simulations():
        text = load_simulation(simulation).frame.to_csv(index=False, float_format="%.9g", lineterminator="\n")
        hashes[simulated_name(simulation)] = hashlib.sha256(text.encode("utf-8")).hexdigest()
    return hashes


def simulated_name(simulation: Mapping[str, Any]) -> str:
    """Name a simulated panel where data files are listed: generator and parameters."""
    given = ", ".join(f"{name}={value}" for name, value in sorted(simulation.items()) if name != "generator")
    return f"{LABEL} {simulation.get('generator')}({given})"


def hash_data(files: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of data files, by their path relative to the project.

    Raises
    ------
    StudyError
        If a file is missing.
    """
    root = project_root()
    files = list(files)
    missing = [name for name in files if not (root / name).is_file()]
    if missing:
        raise StudyError(f"Data file(s) not found: {', '.join(missing)}. Restore them or correct the study's file.")
    return {
        name: _hash_numbers(root / name) if name.endswith(NUMBERS_FILE) else hash_file(root / name) for name in files
    }


def _hash_numbers(path: Path) -> str:
    """Hash reported numbers by key and value, with nine significant digits: another processor's last digits do not count."""
    numbers = read_manifest(path).numbers
    return hash_value({key: None if one.value is None else f"{float(one.value):.9g}" for key, one in numbers.items()})


def data_faults(hashes: Mapping[str, str]) -> list[str]:
    """Hold the hashes of data files against the data package that is nearest above each, and name each file that differs.

    That is ``data/datapackage.json``, or that of a study's own folder of data. A file that its data package does not list is a
    fault, too: data without a recorded hash cannot be verified.
    """
    faults = []
    packages: dict[Path, dict[str, str]] = {}
    for name, digest in hashes.items():
        if name.startswith((LABEL, REPORTS.as_posix(), LAYOUTS.as_posix())):  # made by a run, or a choice: not raw data
            continue
        path = _data_package(name)
        if path not in packages:
            packages[path] = _recorded_hashes(path)
        recorded, package = packages[path].get(name), path.as_posix()
        if not (project_root() / path).is_file():
            faults.append(f"{package} is missing: there is no recorded hash to hold {name} against")
        elif recorded is None:
            faults.append(f"{name} is not listed in {package}")
        elif digest != recorded:
            faults.append(f"{name} has changed: sha256 {digest[:12]}... where {package} records {recorded[:12]}...")
    return faults


def _data_package(name: str) -> Path:
    """Find the data package that records a file: the nearest above it, else that of all data."""
    for folder in Path(name).parents:
        if folder.parts and (project_root() / folder / DATA_PACKAGE.name).is_file():
            return folder / DATA_PACKAGE.name
    return DATA_PACKAGE


def _recorded_hashes(path: Path) -> dict[str, str]:
    """Read the hashes that a data package records, by the files' paths relative to the project."""
    if not (project_root() / path).is_file():
        return {}
    resources = json.loads((project_root() / path).read_text(encoding="utf-8")).get("resources", [])
    return {
        f"{path.parent.as_posix()}/{one.get('path', '')}": str(one.get("hash", "")).removeprefix("sha256:")
        for one in resources
    }


def _read_panel(spec: StudySpec) -> tuple[pd.DataFrame, str]:
    """Return the panel of a study and how to call it."""
    if spec.simulation:
        return load_simulation(spec.simulation).frame.copy(), simulated_name(spec.simulation)
    if spec.panel is None:
        raise StudyError(
            f"The study '{spec.study}' has neither panel nor simulation: there are no outcome data to compare. It can "
            "examine published claims (notebook 1_claims), nothing else."
        )
    if spec.layout is not None:
        return load_reading(spec).frame.copy(), spec.panel
    return read_file(spec.panel), spec.panel


def load_reading(spec: StudySpec) -> Reading:
    """Read the panel of a study that has a layout, with every decision taken about its file.

    Assumes that ``panel`` and ``layout`` are given. The same files give the same reading; it is kept while they do not change.

    Parameters
    ----------
    spec : StudySpec

    Returns
    -------
    Reading

    Raises
    ------
    StudyError
        If a file is missing.
    ReadingError
        With all faults of the file, or of its layout, at once.
    """
    return read_panel_file(str(spec.panel), str(spec.layout))


def read_panel_file(name: str, layout: str | None) -> Reading:
    """Read a table of the project by its layout (None: as detected), by paths relative to it; the same content is read once."""
    return _read_table(*_paths(name, layout))


def read_partnerships_file(name: str, layout: str | None) -> Partnerships:
    """Read a roster of the project by its layout (None: as detected), by paths relative to it; the same content is read once."""
    return _read_partnerships(*_paths(name, layout))


def _paths(name: str, layout: str | None) -> tuple[str, ...]:
    """Give the paths of a file and its layout, and their hashes: what a cached reading depends on."""
    names = [name, *([layout] if layout else [])]
    hashes = hash_data(names)
    root = project_root()
    return (str(root / name), str(root / layout) if layout else "", *hashes.values())


def _read_beside(name: str, column: str | None, spec: StudySpec) -> pd.DataFrame:
    """Read a file that is matched with the panel by a column; beside a panel with a layout its codes are text."""
    table = read_file(name)
    if spec.layout is None or column not in table:
        return table
    codes = table[column]
    whole = pd.api.types.is_float_dtype(codes) and bool((codes.dropna() % 1 == 0).all())
    return table.assign(**{str(column): (codes.astype("Int64") if whole else codes).astype("string").astype(object)})


@lru_cache(maxsize=8)
def _read_table(path: str, layout: str, *_: str) -> Reading:
    return read_table(path, layout or None)


@lru_cache(maxsize=8)
def _read_partnerships(path: str, layout: str, *_: str) -> Partnerships:
    return read_partnerships(path, layout or None)


@lru_cache(maxsize=32)
def _simulate(parameters: str) -> SimulatedPanel:
    given = json.loads(parameters)
    return simulate(given.pop("generator"), **given)


def read_file(name: str) -> pd.DataFrame:
    """Read a csv file of the project, by its path relative to it."""
    path = project_root() / name
    if not path.is_file():
        raise StudyError(
            f"The file {name} does not exist in the project. Correct the study's file or restore the data."
        )
    try:
        return pd.read_csv(path, encoding="utf-8-sig")
    except (ValueError, UnicodeDecodeError) as error:
        raise StudyError(f"{name} cannot be read as UTF-8 csv: {error}.") from None


def need_columns(frame: pd.DataFrame, where: str, columns: Iterable[str]) -> None:
    """Raise a `StudyError` that names all columns which a table lacks."""
    missing = [column for column in dict.fromkeys(columns) if column not in frame]
    if missing:
        raise StudyError(f"{where} has no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}.")


def _join(frame: pd.DataFrame, link: pd.DataFrame, spec: StudySpec) -> pd.DataFrame:
    need_columns(link, str(spec.link), [spec.unit])
    twice = link[link[spec.unit].duplicated(keep=False)]
    if len(twice):
        raise StudyError(
            f"{spec.link} has {twice[spec.unit].nunique()} unit(s) in more than one row; one is expected.", rows=twice
        )
    new = [spec.unit, *(column for column in link.columns if column not in frame)]
    joined = frame.merge(link[new], on=spec.unit, how="left", validate="many_to_one", indicator="_found")
    without = joined[joined["_found"] == "left_only"]
    if len(without):
        some = ", ".join(map(str, without[spec.unit].unique()[:3]))
        raise StudyError(
            f"{without[spec.unit].nunique()} unit(s) of the panel are not in {spec.link}: {some}, ...", rows=without
        )
    return joined.drop(columns="_found")


def _within_periods(frame: pd.DataFrame, spec: StudySpec) -> pd.DataFrame:
    periods = parse_periods(frame[spec.period])
    ordinal = pd.Series(periods.ordinal, index=frame.index)
    for limit, outside in ((spec.first_period, ordinal.lt), (spec.last_period, ordinal.gt)):
        if limit is not None:
            bound = parse_periods(pd.Series([limit]), kind=str(periods.kind)).ordinal[0]
            frame = frame[~outside(bound).loc[frame.index]]
    return frame


def _keep(frame: pd.DataFrame, spec: StudySpec) -> pd.DataFrame:
    for column, allowed in spec.keep.items():
        unknown = set(allowed) - set(frame[column])
        if unknown:
            known = ", ".join(sorted(map(str, frame[column].unique())))
            raise StudyError(f"keep: {column} has no value {', '.join(map(repr, unknown))}; its values are {known}.")
        frame = frame[frame[column].isin(allowed)]
    return frame


def _without_events(frame: pd.DataFrame, spec: StudySpec) -> pd.DataFrame:
    """Leave out the groups that saw an event of the named kinds; events of all groups leave out none."""
    if not spec.leave_out_events:
        return frame
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
