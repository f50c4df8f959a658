"""The validated unit x period panel: canonical columns, one unit of measurement, one hash of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.columns import as_indicator, as_numbers, covariate_key, find_columns
from evalaid.base.errors import PanelError
from evalaid.base.faults import SHOWN, Faults
from evalaid.base.months import read_kind
from evalaid.base.names import (
    CLUSTER,
    INSIDE,
    OUTCOME,
    PANEL_COLUMNS,
    PARTIAL,
    PERIOD,
    STRATUM,
    TOTAL,
    TREATED,
    UNIT,
    WEIGHT,
    names_a_share,
)
from evalaid.base.periods import is_fiscal, labels
from evalaid.base.texts import counted
from evalaid.did.panel.any_frame import as_frame
from evalaid.did.panel.clock import read_clock
from evalaid.did.panel.keys import Keys, code_labels, is_text, read_keys, spelt_twice
from evalaid.did.panel.panel_schema import check_columns

OUTCOME_UNITS = ("fraction", "percent", "number")
WEIGHT_KINDS = {
    "analytic": "they say how much a unit counts, in every fit and every average",
    "precision": "they say how exactly an outcome is measured; averages count every treated observation once",
}
"""What weights may be: importance, which changes what is estimated, or precision, which changes only how exactly."""
COUNT_TOLERANCE = 0.005
"""A share may differ from inside / total by this much (rounding to whole per cent) before a note is written."""


@dataclass(frozen=True, eq=False, repr=False)
class Panel:
    """Hold a validated panel with one row for each unit and period.

    Parameters
    ----------
    keys : Keys
        Which unit and period each row belongs to.
    columns : mapping of str to numpy.ndarray
        (n,) float64 each, under canonical names and `evalaid.base.columns.covariate_key`; a share is a fraction.
    clusters : pandas.Index or None
        Labels of the clusters, None when no cluster was named.
    cluster : numpy.ndarray or None
        (n,) code of the cluster of each row.
    names : mapping of str to str
        Canonical name -> the caller's column.
    outcome_unit : str
        "fraction" or "number".
    covariates : tuple of str
        The caller's names of the covariates.
    notes : tuple of str
        What was converted, and what is unusual but no fault.
    weight_kind : str or None
        A name in ``WEIGHT_KINDS``; None when there are no weights or their kind was not stated.
    """

    keys: Keys
    columns: Mapping[str, np.ndarray]
    clusters: pd.Index | None
    cluster: np.ndarray | None
    names: Mapping[str, str]
    outcome_unit: str
    covariates: tuple[str, ...]
    notes: tuple[str, ...]
    weight_kind: str | None = None

    def __repr__(self) -> str:
        return f"<Panel: {len(self)} rows, {len(self.keys.units)} units x {len(self.keys.periods)} periods>"

    @property
    def period_kind(self) -> str:
        """What one step on the time axis is."""
        return self.keys.kind

    def __len__(self) -> int:
        return len(self.keys.unit)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Canonical columns in the caller's row order: unit, period (ordinal), outcome, those given, covariates.

        Covariates stand under their own names, one that is named as a canonical column with "covariate: " before it.
        """
        data: dict[str, Any] = {
            UNIT: self.keys.units.take(self.keys.unit),
            PERIOD: self.keys.periods[self.keys.period],
            **self.columns,
        }
        if self.clusters is not None and self.cluster is not None:
            data[CLUSTER] = self.clusters.take(self.cluster)
        shown = {name: data[name] for name in PANEL_COLUMNS if name in data}
        for name in self.covariates:
            key = covariate_key(name)
            shown[key if name in shown else name] = data[key]
        return pd.DataFrame(shown)

    @cached_property
    def observed(self) -> np.ndarray | None:
        """(N, T) bool, units in label order; None when every unit is observed in every period."""
        shape = (len(self.keys.units), len(self.keys.periods))
        if len(self) == shape[0] * shape[1]:
            return None
        seen = np.zeros(shape[0] * shape[1], dtype=bool)
        seen[self.keys.cell] = True
        return seen.reshape(shape)

    @cached_property
    def gaps(self) -> pd.DataFrame:
        """Unobserved periods between the first and the last observation of a unit: columns ``unit``, ``period``."""
        if self.observed is None:
            return pd.DataFrame({UNIT: self.keys.units[:0], PERIOD: self.keys.periods[:0]})
        begun = np.maximum.accumulate(self.observed, axis=1)
        to_come = np.maximum.accumulate(self.observed[:, ::-1], axis=1)[:, ::-1]
        unit, period = np.nonzero(begun & to_come & ~self.observed)
        return pd.DataFrame({UNIT: self.keys.units.take(unit), PERIOD: self.keys.periods[period]})

    @cached_property
    def singletons(self) -> pd.DataFrame:
        """Units that are observed once only: columns ``unit``, ``period``."""
        once = np.bincount(self.keys.unit, minlength=len(self.keys.units))[self.keys.unit] == 1
        frame = pd.DataFrame(
            {UNIT: self.keys.units.take(self.keys.unit[once]), PERIOD: self.keys.periods[self.keys.period[once]]}
        )
        return frame.iloc[np.argsort(self.keys.unit[once])].reset_index(drop=True)

    @cached_property
    def content_hash(self) -> str:
        """sha256 of the canonical content; independent of row order and of the raw columns' names and order."""
        digest = hashlib.sha256()

        def put(name: str, content: bytes) -> None:
            digest.update(f"{name}:{len(content)}\n".encode())
            digest.update(content)

        def put_labels(name: str, index: pd.Index) -> None:
            put(name, pd.api.types.infer_dtype(index).encode())
            put(name, "\0".join(map(str, index)).encode())

        cell = self.keys.cell
        order = None if np.all(cell[1:] > cell[:-1]) else np.argsort(cell, kind="stable")

        def put_rows(name: str, values: np.ndarray) -> None:
            rows = np.ascontiguousarray(values if order is None else values[order])
            put(name, memoryview(rows.astype(rows.dtype.newbyteorder("<"), copy=False)).cast("B"))  # type: ignore[arg-type]

        put("kind", self.period_kind.encode())
        put("outcome_unit", self.outcome_unit.encode())
        if self.weight_kind is not None:
            put("weight_kind", self.weight_kind.encode())
        put_labels("units", self.keys.units)
        put("periods", self.keys.periods.astype("<i8").tobytes())
        put_rows("cell", cell)
        named = [(name, self.columns[name]) for name in self.columns if name in PANEL_COLUMNS]
        named += [(name, self.columns[covariate_key(name)]) for name in self.covariates]
        for name, values in sorted(named, key=itemgetter(0)):
            put_rows(name, values + 0.0)  # -0.0 and 0.0 are one number
        if self.clusters is not None and self.cluster is not None:
            put_labels(CLUSTER, self.clusters)
            put_rows(CLUSTER, self.cluster)
        return digest.hexdigest()


def read_panel(
    frame: Any,
    unit: str,
    period: str,
    outcome: str,
    *,
    outcome_unit: str | None = None,
    inside: str | None = None,
    total: str | None = None,
    weight: str | None = None,
    weight_kind: str | None = None,
    cluster: str | None = None,
    covariates: Sequence[str] = (),
) -> Panel:
    """Validate a long frame as a panel and bring it to canonical form.

    Assumes one row for each unit and period. The caller's frame is not changed. Nothing is guessed: a column whose name
    says that it is a share must lie in [0, 1] unless ``outcome_unit`` says what 86.9 means.

    Parameters
    ----------
    frame : pandas.DataFrame or any other data frame
        Long table; of polars, pyarrow, ibis, duckdb and every library with the Arrow or dataframe interchange protocol.
    unit, period, outcome : str
        Its columns. Periods are years, quarters, months or whole numbers (see `evalaid.base.periods.parse_periods`).
    outcome_unit : {"fraction", "percent", "number"}, optional
        Unit of ``outcome``. Per cent is converted once to a fraction, and a note says so. Default: a fraction when the
        column's name says share, rate, per cent, 率, 占比 or 이용률 and the values lie in [0, 1]; else a number.
    inside, total : str, optional
        Columns of counts (episodes inside, all episodes); >= 0, and inside <= total.
    weight : str, optional
        Column of weights, > 0 and finite.
    weight_kind : {"analytic", "precision"}, optional
        What the weights are (see `evalaid.diagnose`).
    cluster : str, optional
        Column of the clusters; constant within a unit.
    covariates : sequence of str, optional
        Numeric columns without missing values.

    Returns
    -------
    Panel
        The validated panel.

    Raises
    ------
    PanelError
        With all faults of the table at once; ``rows`` has the columns row (index label), column, value, fault, expected.

    Examples
    --------
    >>> table = pd.DataFrame({"county": ["A", "A"], "year": [2019, 2020], "share_pct": [82.2, 86.9]})
    >>> panel = read_panel(table, "county", "year", "share_pct", outcome_unit="percent")
    >>> panel.frame["outcome"].round(3).tolist(), panel.notes
    ([0.822, 0.869], ("outcome 'share_pct' converted once from per cent to a fraction",))
    """
    faults = Faults()
    roles = {
        UNIT: unit,
        PERIOD: period,
        OUTCOME: outcome,
        INSIDE: inside,
        TOTAL: total,
        WEIGHT: weight,
        CLUSTER: cluster,
    }
    panel = gather_panel(read_frame(frame), roles, covariates, outcome_unit, faults, weight_kind)
    faults.raise_if_any(PanelError, "panel")
    assert panel is not None  # noqa: S101  (without faults there is a panel)
    return panel


def read_frame(data: Any) -> pd.DataFrame:
    """Return a table of any library as a pandas frame; refuse what is no table."""
    frame = as_frame(data)
    if frame is None:
        raise PanelError(
            f"Found a {type(data).__name__}; expected a data frame with one row per unit and period: of pandas, polars, pyarrow, "
            "ibis, duckdb, or any other that offers the Arrow or the dataframe interchange protocol."
        )
    return frame


def gather_panel(
    frame: pd.DataFrame,
    roles: Mapping[str, str | None],
    covariates: Sequence[str],
    outcome_unit: str | None,
    faults: Faults,
    weight_kind: str | None = None,
) -> Panel | None:
    """Bring a frame to canonical form and add what is wrong with it to ``faults``.

    Assumes that the caller raises the faults before the panel is used.
    """
    if outcome_unit is not None and outcome_unit not in OUTCOME_UNITS:
        raise PanelError(f"Found outcome_unit={outcome_unit!r}; expected one of {OUTCOME_UNITS} or None (undeclared).")
    if weight_kind is not None and weight_kind not in WEIGHT_KINDS:
        raise PanelError(
            f"Found weight_kind={weight_kind!r}; expected one of {tuple(WEIGHT_KINDS)} or None (not stated)."
        )
    if weight_kind is not None and roles.get(WEIGHT) is None:
        raise PanelError(f"Found weight_kind={weight_kind!r} and no weight; name the column with weight=....")
    covariates = (covariates,) if isinstance(covariates, str) else tuple(covariates)
    if other := [name for name in covariates if not isinstance(name, Hashable)]:
        raise PanelError(f"Found a {type(other[0]).__name__} among the covariates; expected names of columns.")
    covariates = tuple(dict.fromkeys(covariates))
    names = {role: name for role, name in roles.items() if name is not None}
    found = find_columns(frame, names, covariates, faults)
    labelled = (UNIT, PERIOD, CLUSTER, STRATUM)
    numeric = {
        name: (as_indicator if name in (TREATED, PARTIAL) else as_numbers)(values)
        for name, values in found.items()
        if name not in labelled
    }
    strata, stratum = code_labels(found[STRATUM]) if STRATUM in found else (None, None)
    if stratum is not None:
        numeric[STRATUM] = stratum.astype(np.float64)
    shown = names | {covariate_key(name): name for name in covariates}
    keys = read_keys(found[UNIT], found[PERIOD]) if UNIT in found and PERIOD in found else None
    clusters, cluster = code_labels(found[CLUSTER]) if CLUSTER in found else (None, None)
    for role, labels_of in ((UNIT, None if keys is None else keys.units), (CLUSTER, clusters), (STRATUM, strata)):
        if labels_of is not None:
            _report_spellings(found[role], names[role], labels_of, faults)
    unit_of_outcome = outcome_unit or ("fraction" if names_a_share(names[OUTCOME]) else "number")
    check_columns(found, shown, numeric, keys, cluster, unit_of_outcome, outcome_unit, faults)
    if keys is None or faults:
        return None if keys is None else Panel(keys, numeric, clusters, cluster, names, unit_of_outcome, covariates, ())
    notes = [
        f"column {shown[name]!r} held numbers as text; they were read as numbers"
        for name in numeric
        if name != STRATUM and is_text(found[name])
    ]
    if unit_of_outcome == "percent":
        notes += _percent_notes(numeric[OUTCOME], names[OUTCOME])
        numeric[OUTCOME] = numeric[OUTCOME] / 100
        unit_of_outcome = "fraction"
    if unit_of_outcome == "fraction" and INSIDE in numeric and TOTAL in numeric:
        notes += _count_notes(numeric, names)
    if is_fiscal(found[PERIOD]):
        notes.append(
            f"periods such as {found[PERIOD].iloc[0]!r} are read as fiscal years, named by the year in which they begin"
        )
    notes += _time_notes(keys)
    return Panel(keys, numeric, clusters, cluster, names, unit_of_outcome, covariates, tuple(notes), weight_kind)


def _report_spellings(column: pd.Series, name: str, present: pd.Index, faults: Faults) -> None:
    """Add the labels that look alike and differ: two spellings of a unit are one unit to a reader and two here."""
    twice = spelt_twice(present)
    if twice:
        rows = np.flatnonzero(column.isin([label for found in twice for label in found]))
        faults.add(
            name,
            f"{counted(len(twice), 'label')} in more than one spelling",
            "one spelling of each label (without spaces around it, in one type and one Unicode form)",
            rows=column.index[rows],
            values=column.iloc[rows].tolist(),
            detail="; ".join(" and ".join(map(repr, found)) for found in twice[:SHOWN])
            + ("; ..." if twice[SHOWN:] else ""),
        )


def _percent_notes(values: np.ndarray, name: str) -> list[str]:
    notes = [f"outcome {name!r} converted once from per cent to a fraction"]
    if values.max() <= 1:
        notes.append(
            f"outcome {name!r} is declared per cent, but its largest value is {values.max():g}: it was read as "
            f"{values.max():g} per cent; declare outcome_unit='fraction' if it is a fraction already"
        )
    return notes


def _count_notes(numeric: Mapping[str, np.ndarray], names: Mapping[str, str]) -> list[str]:
    known = numeric[TOTAL] > 0
    gap = np.abs(numeric[OUTCOME][known] * numeric[TOTAL][known] - numeric[INSIDE][known])
    unlike = int(np.count_nonzero(gap > COUNT_TOLERANCE * numeric[TOTAL][known]))
    if not unlike:
        return []
    return [
        (
            f"in {unlike:,} rows {names[OUTCOME]!r} differs from {names[INSIDE]!r} / {names[TOTAL]!r} by more than "
            f"{COUNT_TOLERANCE:g}: are numerator and denominator of the same base and period?"
        )
    ]


def _time_notes(keys: Keys) -> list[str]:
    """Note when periods are missing from the calendar, and when numbers look like dates."""
    periods = keys.periods
    if keys.kind == "number" and len(periods) > 1 and np.all((periods >= 190001) & (periods <= 210012)):
        return [
            (
                f"periods such as {periods[0]} look like year and month or quarter written as one number; they are "
                "counted as plain numbers: write 2019-09 or 2019Q3 if they are dates"
            )
        ]
    clock = read_clock(periods)
    said = [text for text in (clock.describe(str(read_kind(keys.kind)[0])),) if text]
    jumps = np.flatnonzero(np.diff(periods) > clock.step)
    if clock.observed or not len(jumps):
        return said
    after = ", ".join(labels(keys.kind, periods[jumps[:5]])) + (", ..." if len(jumps) > 5 else "")
    steps = "calendar steps" if clock.step == 1 else "the missing waves, too"
    return [
        *said,
        f"no unit is observed in some {keys.kind}s of the calendar (after {after}); event times count {steps}",
    ]
