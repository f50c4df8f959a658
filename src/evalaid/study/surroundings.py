"""What a study knows beside its panel: which units are neighbours, which share a hospital, what else happened to them."""

from __future__ import annotations

import pandas as pd

from evalaid.base.errors import StudyError
from evalaid.did.panel.design import Design
from evalaid.study.sample import ALL_GROUPS, load_frame, roster_units
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
    column = spec.robustness.groups
    if column is None:
        return None
    frame = load_frame(spec)
    need_columns(frame, "the joined panel", [column])
    found = frame[[spec.unit, column]].dropna().drop_duplicates()
    twice = found[found[spec.unit].duplicated(keep=False)]
    if len(twice):
        raise StudyError(
            f"robustness.groups: {twice[spec.unit].nunique()} unit(s) have several values of '{column}'; one is expected.",
            rows=twice,
        )
    return found.set_index(spec.unit)[column].reindex(design.matrices.units)


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
