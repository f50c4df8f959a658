"""What a study knows beside its panel: which units are neighbours, which share a hospital, what else happened to them."""

from __future__ import annotations

import pandas as pd

from evalaid.base.errors import StudyError
from evalaid.base.names import FIRST_TREATED
from evalaid.base.periods import parse_periods
from evalaid.base.texts import counted
from evalaid.did.panel.design import Design
from evalaid.study.sample import load_frame, roster_units
from evalaid.study.sample_rows import ALL_GROUPS, period_kind
from evalaid.study.sources import need_columns, read_file
from evalaid.study.spec import StudySpec

KIND, EVENT, START, END = "kind", "event", "date", "end"


def load_neighbours(spec: StudySpec) -> pd.DataFrame | None:
    """Read the pairs of neighbouring units that a study names.

    Returns
    -------
    pandas.DataFrame or None
        ``unit``, ``neighbour`` in the labels of the panel; None when the study names no such file.

    Raises
    ------
    StudyError
        If the file or one of its columns is missing.

    Examples
    --------
    >>> pairs = load_neighbours(StudySpec(study="guangdong_cluster"))
    >>> pairs.columns.tolist()
    ['unit', 'neighbour']
    """
    named = spec.robustness.neighbours
    if named is None:
        return None
    columns = list(named.columns)
    table = read_file(named.file)
    need_columns(table, named.file, columns)
    pairs = table[columns].set_axis(["unit", "neighbour"], axis=1)
    frame = load_frame(spec)
    labels = frame[spec.unit]
    if spec.roster_layout is not None and spec.roster_unit != spec.unit:  # the file names units as the roster does
        called = dict(zip(roster_units(frame, spec), labels, strict=True))
        shown: pd.DataFrame = pairs.astype(str).apply(lambda column: column.map(called)).dropna()
        return shown
    # Codes are numbers to a csv reader and text in a panel that keeps their zeros.
    return pairs if pd.api.types.is_numeric_dtype(labels) else pairs.astype(str)


def load_groups(spec: StudySpec, design: Design) -> pd.Series | None:
    """Return the group of every unit that a study names for spillovers; None when it names none.

    Raises
    ------
    StudyError
        If the panel has no such column or a unit is in several groups.
    """
    found = load_all_groups(spec)
    return None if found is None else found.reindex(design.matrices.units)


def load_all_groups(spec: StudySpec) -> pd.Series | None:
    """Return the group of every unit of a study's files, of those that the sample leaves out, too."""
    column = spec.robustness.groups
    if column is None:
        return None
    frame = load_frame(_whole(spec))
    need_columns(frame, "the joined panel", [column])
    found = frame[[spec.unit, column]].dropna().drop_duplicates()
    twice = found[found[spec.unit].duplicated(keep=False)]
    if len(twice):
        raise StudyError(
            f"robustness.groups: {counted(twice[spec.unit].nunique(), 'unit has', 'units have')} several values of '{column}'; one is expected.",
            rows=twice,
        )
    return found.set_index(spec.unit)[column]


def _whole(spec: StudySpec) -> StudySpec:
    """Return the study without its rules on who stays in the sample."""
    return spec.change({"keep": {}, "leave_out_events": [], "only_cohorts": []})


def load_starts_elsewhere(spec: StudySpec, design: Design) -> pd.Series:
    """Return the ordinal of the start by unit of every unit that is treated and not in the design.

    These are units that the rules of the study leave out, with the starts of its roster, or of ``robustness.elsewhere`` where the
    roster does not name them.
    """
    whole = _whole(spec)
    frame = load_frame(whole)
    kind = period_kind(frame, whole)
    starts = frame.groupby(spec.unit)[FIRST_TREATED].first()
    named = spec.robustness.elsewhere
    if named is not None:
        table = read_file(named.file)
        need_columns(table, named.file, [str(spec.roster_unit), named.start])
        other = table.set_index(str(spec.roster_unit))[named.start]
        units = frame.assign(at=roster_units(frame, whole)).groupby(spec.unit)["at"].first()
        starts = starts.where(starts.notna(), units.map(other))
    starts = starts[~starts.index.isin(design.matrices.units)].dropna()
    ordinals = parse_periods(starts.astype("Int64") if kind == "year" else starts, kind=kind).ordinal
    return pd.Series(ordinals, index=starts.index, dtype=float)


def load_flows(spec: StudySpec, design: Design) -> pd.DataFrame | None:
    """Return the share of each unit's residents that goes to each other unit treated within the panel, by ``unit`` and ``neighbour``.

    From ``robustness.exposure``; what residents use in their own unit counts in the whole and not as exposure. A unit without such
    a share has a row without a neighbour. None when the study names no such file.
    """
    named = spec.robustness.exposure
    if named is None:
        return None
    table = read_file(named.file)
    need_columns(table, named.file, [named.home, named.where, named.count])
    matrices = design.matrices
    starts = pd.concat([pd.Series(matrices.cohort, index=matrices.units), load_starts_elsewhere(spec, design)])
    treated = set(starts.index[starts <= matrices.periods[-1]])
    home, count = table[named.home], table[named.count].astype(float)
    away = table[named.where].isin(treated) & (table[named.where] != home)
    found = pd.DataFrame({
        "unit": home, "neighbour": table[named.where].where(away),
        "share": count.where(away, 0.0) / count.groupby(home).transform("sum"),
    })  # fmt: skip
    return found.groupby(["unit", "neighbour"], dropna=False)["share"].sum().reset_index()


def map_flows(spec: StudySpec) -> pd.DataFrame | None:
    """Return where the residents of each unit go, by area, from ``robustness.exposure``; None without a file of areas.

    One row per unit and area that receives some of its residents: ``home``, ``home_region``, ``home_area``, ``area``, ``region``,
    ``count``, ``share`` (of all that the file counts for the unit, per cent). Regions stand in the order of what they receive.
    """
    named = spec.robustness.exposure
    if named is None or named.areas is None:
        return None
    table, places = read_file(named.file), read_file(named.areas.file)
    need_columns(table, named.file, [named.home, named.where, named.count])
    need_columns(places, named.areas.file, [named.areas.unit, named.areas.area, named.areas.region])
    area, region = (
        places.set_index(named.areas.unit)[column].to_dict() for column in (named.areas.area, named.areas.region)
    )
    of = dict(zip(places[named.areas.area], places[named.areas.region], strict=True))
    found = pd.DataFrame({
        "home": table[named.home], "area": table[named.where].map(area), "count": table[named.count].astype(float),
    })  # fmt: skip
    found = found.groupby(["home", "area"])["count"].sum().reset_index()
    found["share"] = 100 * found["count"] / found.groupby("home")["count"].transform("sum")
    found["home_region"], found["home_area"] = found["home"].map(region), found["home"].map(area)
    found["region"] = found["area"].map(of)
    order = list(found.groupby("region")["count"].sum().sort_values(ascending=False).index)
    place = {name: at for at, name in enumerate(order)}
    found = found.assign(row=found["home_region"].map(place), column=found["region"].map(place))
    return found.sort_values(["row", "home_area", "home", "column", "area"], ignore_index=True)[
        ["home", "home_region", "home_area", "area", "region", "count", "share"]
    ]


def load_events(spec: StudySpec, design: Design) -> pd.DataFrame | None:
    """Read what else happened to the units of a design, one row for each event and group.

    Returns
    -------
    pandas.DataFrame or None
        ``unit`` (a cluster of the design; missing = all), ``start``, ``end`` (missing = it lasts), ``programme`` (its kind);
        events of groups outside the design are left out. None when the study has no events.

    Raises
    ------
    StudyError
        If a column is missing.

    Examples
    --------
    >>> from evalaid.study.sample import load_design
    >>> spec = StudySpec(study="korea_responsible_hospitals")
    >>> sorted(load_events(spec, load_design(spec))["programme"].unique())[:2]
    ['covid_dedicated', 'hospital_closes']
    """
    if spec.events is None:
        return None
    group = spec.cluster or spec.unit
    table = read_file(spec.events)
    need_columns(table, spec.events, [START, END, KIND, group])
    named = table.assign(unit=table[group].astype(str).str.split(";")).explode("unit", ignore_index=True)
    named["unit"] = named["unit"].str.strip()
    known = {str(label): label for label in design.matrices.clusters}
    everyone = named["unit"] == ALL_GROUPS
    kept = named[everyone | named["unit"].isin(known)]
    return pd.DataFrame(
        {
            "unit": kept["unit"].map(known).astype(object),  # missing for what concerns all groups
            "start": kept[START].astype("string"),
            "end": kept[END].astype("string"),
            # One kind may hold events of some groups and of all: the latter are programmes of their own.
            "programme": kept[KIND].where(~everyone[kept.index] | (EVENT not in table), kept.get(EVENT)),
        }
    ).reset_index(drop=True)
