"""Sampling error of bounds from a panel: intervals that hold the effect, wherever it lies between its bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.sparse import csr_array
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, DISTRIBUTION, ENDS, ESTIMATE, STD_ERROR, VCOV
from evalaid.base.errors import EstimationError, InferenceError
from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Influence
from evalaid.did.estimators.common.method import cell_frame, population_of, scale_of
from evalaid.did.inference.infer import infer
from evalaid.did.inference.intervals import degrees_of
from evalaid.did.panel.design import Design
from evalaid.did.sensitivity.bounds.group_means import CellMeans, cell_means

Floats = NDArray[np.float64]

CENTRES = {
    "after": ("after",),
    "time_variation": ("change",),
    "trend_continued": ("change", "trend"),
    "difference_variation": ("change", "comparison_change"),
}
"""What bounds are drawn around: the mean after the start, and the change under each limit at M = 0, less what belongs to it."""
# The bounds of `both` are the ends of two intervals; each then has half of the error (Bonferroni), as ends that are a
# maximum have no normal distribution (Chernozhukov, Lee and Rosen 2013, doi:10.3982/ECTA8718).
BOTH = "time_and_difference"
_NOTHING = 1e-9  # a share of units, up to rounding


def widen(
    lower: float, upper: float, std_error: float, level: float, freedom: float | None = None
) -> tuple[float, float]:
    """Return the interval that holds an effect between two bounds with the stated probability.

    Assumes that both bounds are one estimate, less and plus a number that is known: their distance has no sampling error.

    Notes
    -----
    ``[lower - C s, upper + C s]`` with ``F(C + (upper - lower) / s) - F(-C) = level``: the two-sided critical value where the
    bounds meet, the one-sided one where they lie far apart, as the effect is at one of them only. Imbens and Manski (2004),
    doi:10.1111/j.1468-0262.2004.00555.x. What Stoye (2009), doi:10.3982/ECTA7347, shows to be missing there, an
    error of the distance, is absent here.

    Examples
    --------
    >>> [round(end, 2) for bounds in ((1.0, 1.0), (0.0, 9.0)) for end in widen(*bounds, 1.0, 0.95)]
    [-0.96, 2.96, -1.64, 10.64]
    """
    if np.isnan([lower, upper, std_error]).any():
        return np.nan, np.nan
    if std_error == 0:
        return lower, upper
    apart = (upper - lower) / std_error

    def excess(critical: float) -> float:
        ends = np.array([critical + apart, -critical])
        below = ndtr(ends) if freedom is None else stdtr(freedom, ends)
        return float(below[0] - below[1]) - level

    tails = np.array([level, (1 + level) / 2])
    least, most = ndtri(tails) if freedom is None else stdtrit(freedom, tails)
    critical = float(brentq(excess, least - 1e-9, most + 1e-9) if excess(least) < 0 else least)
    return lower - critical * std_error, upper + critical * std_error


def add_intervals(frame: pd.DataFrame, design: Design, cells: Sequence[CellMeans], level: float) -> pd.DataFrame:
    """Add ``conf_low``, ``conf_high``, ``level`` and ``vcov`` to bounds by cohort and period and to their average."""
    errors = _errors(design, cells, level)
    lengths = {(cell.cohort, cell.period): float(cell.periods) for cell in cells}
    weight = [cell.n_treated for cell in cells]
    lengths["all", "all"] = float(np.average([cell.periods for cell in cells], weights=weight))
    rows = []
    for row in frame.to_dict("records"):
        where = row["cohort"], row["period"]
        found = errors.get(where, {})
        ends, vcov, note = _interval(row["assumption"], row["m"] * lengths[where], found, level)
        said = "; ".join(part for part in (row["note"], note) if part)
        rows.append(row | {CONF_LOW: ends[0], CONF_HIGH: ends[1], "level": level, VCOV: vcov, "note": said})
    return pd.DataFrame(rows, columns=[*frame.columns, *ENDS, "level", VCOV])


def _interval(
    assumption: str, reach: float, errors: dict[str, dict[str, Any]], level: float
) -> tuple[tuple[float, float], str, str]:
    """Return the interval of one row, the error behind it, and why there is none."""
    parts = ("time_variation", "difference_variation") if assumption == BOTH else (assumption,)
    names = ["after" if part == "logical" else part for part in parts]
    known = [errors[name] for name in names if name in errors]
    if len(known) < len(names) or any(np.isnan(one[STD_ERROR]) for one in known):
        return (np.nan, np.nan), "none", next((one["note"] for one in known if np.isnan(one[STD_ERROR])), "")
    own = 1 - (1 - level) / len(known)
    low, high = -np.inf, np.inf
    for one in known:
        # A share lies between 0 and 1, so that the effect lies between the share after less one and this share.
        around = (one[ESTIMATE] - 1, one[ESTIMATE]) if assumption == "logical" else (
            one[ESTIMATE] - reach, one[ESTIMATE] + reach,
        )  # fmt: skip
        ends = widen(*around, one[STD_ERROR], own, degrees_of(one[DISTRIBUTION]))
        low, high = max(low, ends[0]), min(high, ends[1])
    if low > high:
        return (np.nan, np.nan), known[0][VCOV], "the two limits contradict each other by more than sampling error"
    return (low, high), known[0][VCOV], ""


def _errors(design: Design, cells: Sequence[CellMeans], level: float) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the row of `evalaid.infer` of every centre, by cohort, period and name."""
    effects = centres(design)
    cells_of = [(cell.cohort, cell.period) for cell in cells]
    places = [(*cells_of[k // len(CENTRES)], name) for k, name in enumerate(effects.cells["parameter"])]
    size = np.repeat([float(cell.n_treated) for cell in cells], len(CENTRES))
    missing = np.isnan(effects.value)
    names = [
        name for name in CENTRES if not missing[[place[2] == name for place in places]].any()
    ]  # an average is over all cells
    found: dict[tuple[str, str], dict[str, Any]] = {}
    weights = np.stack(
        [np.where([place[2] == name for place in places], size, 0.0) / sum(size[:: len(CENTRES)]) for name in names],
        axis=1,
    )
    labels = pd.DataFrame({"parameter": names})
    for part, where in (
        (effects, places),
        (effects.combine(weights, labels), [("all", "all", name) for name in names]),
    ):
        try:
            table = infer(part, level).to_dict("records")
        except InferenceError as refusal:
            why = str(refusal).split("\n")[0]
            table = [{ESTIMATE: value, STD_ERROR: np.nan, "note": why} for value in part.value]
        for (cohort, period, name), row in zip(where, table, strict=True):
            found.setdefault((cohort, period), {})[name] = row
    return found


def centres(design: Design) -> Effects:
    """Return the centres of the bounds of every cohort and period, with the influence of every unit."""
    matrices, cells = design.matrices, cell_means(design)
    if not cells:
        raise EstimationError("no cohort with a treated period is left: there is nothing to bound")
    values, columns = [], []
    for cell in cells:
        for parts in CENTRES.values():
            known = set(parts) <= set(cell.influence)
            values.append(
                _put_together(cell, parts, {**vars(cell), "change": cell.after - cell.before}) if known else np.nan
            )
            columns.append(_put_together(cell, parts, cell.influence) if known else np.zeros(matrices.n_units))
    population = population_of(matrices)
    n_treated = np.repeat([cell.n_treated for cell in cells], len(CENTRES))
    frame = cell_frame(
        population,
        n_treated,
        np.repeat([cell.n_comparison for cell in cells], len(CENTRES)),
        ["not there" if np.isnan(value) else "" for value in values],
        cohort=np.repeat([cell.cohort_ordinal for cell in cells], len(CENTRES)),
        period=np.repeat([cell.period_ordinal for cell in cells], len(CENTRES)),
        parameter=list(CENTRES) * len(cells),
    )
    return Effects(
        cells=frame,
        value=np.array(values),
        influence=Influence.dense(np.stack(columns, axis=1)),
        population=population,
        size=n_treated.astype(float),
        method="bounds",
        estimand="centres of bounds",
        scale=scale_of(design),
        convention=Convention("none", "normal"),
        refit=lambda keep: centres(design.subset(keep)).align(frame),
        leave_out=lambda codes, count: _without_groups(cells, np.array(values), codes, count),
    )


def _put_together(cell: CellMeans, parts: Sequence[str], of: Mapping[str, Any]) -> Any:
    """Return a centre from its first part, less the others: the cell's own change, less what is expected without the programme."""
    first, *others = (of[part] for part in parts)
    return first - sum(
        cell.periods * other if part == "trend" else other for part, other in zip(parts[1:], others, strict=True)
    )


def _without_groups(cells: Sequence[CellMeans], values: Floats, codes: NDArray[np.int64], count: int) -> Floats | None:
    """Return the centres without each group of units, (groups, cells): a mean moves by ``-psi_g / (1 - p_g)``.

    None where a group is all there is of a mean: another comparison or first period would take its place.
    """
    chosen = codes < count
    member = csr_array((np.ones(chosen.sum()), (codes[chosen], np.flatnonzero(chosen))), shape=(count, len(codes)))
    found = []
    for cell in cells:
        moved = {}
        for part, influence in cell.influence.items():
            rest = 1 - member @ cell.share[part]
            if (rest < _NOTHING).any():
                return None
            moved[part] = -(member @ influence) / rest
        found += [
            _put_together(cell, parts, moved) if set(parts) <= set(moved) else np.full(count, np.nan)
            for parts in CENTRES.values()
        ]
    return np.asarray(values + np.stack(found, axis=1))
