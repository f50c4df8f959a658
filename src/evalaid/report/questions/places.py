"""Where the units of a study lie, what they are called, and what a map of them shows."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from evalaid.base.errors import StudyError
from evalaid.base.periods import label
from evalaid.did.panel.design import Design
from evalaid.study.sources import need_columns, read_file
from evalaid.study.spec import StudySpec
from evalaid.study.surroundings import load_neighbours

_COLUMNS = ("name", "name_zh", "shape")
_CODE = re.compile(r"\b\d{6}\b")
_SPELT = ("label", "cluster", "left_out", "result", "who", "reason", "note")


def load_places(spec: StudySpec) -> pd.DataFrame | None:
    """Read the places of a study's map; None when it names none.

    Returns
    -------
    pandas.DataFrame or None
        ``place`` (unit or cluster, as text), ``name`` (in the language of the report), ``shape``.

    Raises
    ------
    StudyError
        If the file or one of its columns is missing.
    """
    if spec.map is None:
        return None
    table = read_file(spec.map)
    need_columns(table, spec.map, list(_COLUMNS))
    first = next((column for column in table if column not in _COLUMNS), None)
    if first is None:
        raise StudyError(f"map: {spec.map} has no column of units beside {', '.join(_COLUMNS)}.")
    names = table["name_zh" if spec.language == "zh" else "name"].fillna(table["name_zh"])
    return pd.DataFrame({"place": table[first].astype(str), "name": names, "shape": table["shape"]})


def map_places(spec: StudySpec, design: Design) -> pd.DataFrame:
    """Return what a map of the study shows, one row per place; no rows for a study without a map.

    ``place`` (its name), ``unit`` (its label in the panel), ``shape``, ``in_sample``, ``share`` (mean of the first period, per cent
    of a share), ``period_label``, ``cohort`` (first treated period, "" never treated), ``neighbours`` (those that are treated earlier;
    missing when no pairs are known).
    """
    places = load_places(spec)
    if places is None:
        return pd.DataFrame()
    m = design.matrices
    units = pd.Series(m.units).astype(str)
    clusters = pd.Series([str(m.clusters[code]) for code in m.cluster])
    here = units if units.isin(places["place"]).any() else clusters
    share = 100.0 if design.outcome_unit == "fraction" else 1.0
    observed = np.where(m.observed[:, 0], m.outcome[:, 0], np.nan) if m.observed is not None else m.outcome[:, 0]
    own = pd.DataFrame({"place": here, "share": observed * share, "start": m.cohort}).groupby("place").agg(
        share=("share", "mean"), start=("start", "min")
    )  # fmt: skip
    found = places.merge(own, how="left", left_on="place", right_index=True)
    cohort = ["" if np.isnan(start) else label(m.period_kind, start) for start in found["start"]]
    frame = pd.DataFrame(
        {
            "place": found["name"],
            "unit": found["place"],
            "shape": found["shape"],
            "in_sample": found["share"].notna(),
            "share": found["share"],
            "period_label": label(m.period_kind, m.periods[0]),
            "cohort": cohort,
        }
    )
    pairs = load_neighbours(spec)
    if pairs is not None:
        frame["neighbours"] = _earlier(frame["unit"], own["start"], pairs)
    return frame


def _earlier(units: pd.Series, start: pd.Series, pairs: pd.DataFrame) -> pd.Series:
    """Count the neighbours of each unit in the sample that are treated earlier than itself."""
    both = pd.concat([pairs, pairs.rename(columns={"unit": "neighbour", "neighbour": "unit"})]).astype(str)
    both = both.drop_duplicates()
    own, other = both["unit"].map(start), both["neighbour"].map(start)
    earlier = both[(other < own.fillna(np.inf)) & both["unit"].isin(start.index)]
    counted = earlier["unit"].value_counts()
    return units.map(counted).fillna(0).where(units.isin(start.index))


def name_places(frame: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Write the names of places where the text columns of a frame have their codes."""
    if not names:
        return frame
    spelt = {
        column: frame[column].map(lambda text: _CODE.sub(lambda code: names.get(code.group(), code.group()), str(text)))
        for column in _SPELT
        if column in frame and not pd.api.types.is_numeric_dtype(frame[column])
    }
    return frame.assign(**spelt) if spelt else frame
