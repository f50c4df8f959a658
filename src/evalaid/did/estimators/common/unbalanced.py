"""Comparisons of two periods in panels with gaps: of the same units, or of all observations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evalaid.base.periods import label
from evalaid.did.effects.influence import Block, Influence
from evalaid.did.estimators.common.separation import explain_adjustment
from evalaid.did.estimators.common.two_by_two_scores import panel_scores, section_scores
from evalaid.did.panel.matrices import Matrices

Floats = NDArray[np.float64]
Weights = tuple[Floats | None, Floats | None]  # of treated and of comparison units, (N, T)
Found = tuple[Floats, Influence, list[str]]  # value, influence and reason of each comparison
BASE_PERIOD = "base period: zero by construction"


@dataclass(frozen=True)
class Comparison:
    """A cohort against other units, in a period and its base period."""

    now: int  # Columns of the panel
    base: int
    treated: NDArray[np.intp]  # Rows of the cohort and of its comparison
    untreated: NDArray[np.intp]
    cohort: str  # Its label
    reason: str = ""  # Why there is nothing to estimate; "" where there is


def keep_seen_twice(observed: NDArray[np.bool_], comparison: Comparison) -> Comparison:
    """Leave out the units that are not observed in both periods."""
    twice = observed[:, comparison.now] & observed[:, comparison.base]
    treated, untreated = (rows[twice[rows]] for rows in (comparison.treated, comparison.untreated))
    return replace(comparison, treated=treated, untreated=untreated)


def compare_changes(
    matrices: Matrices,
    comparisons: Sequence[Comparison],
    covariates: tuple[str, ...],
    weights: Weights,
    adjustment: str,
) -> Found:
    """Compare the outcome changes of treated and other units that are all observed in both periods.

    Covariates and weights are read in the earlier period.
    """
    value, reasons = _start(comparisons)
    psi = np.zeros((matrices.n_units, len(comparisons)))
    for number, pair in _open(comparisons):
        if not (len(pair.treated) and len(pair.untreated)):
            reasons[number] = _nobody_twice(matrices, pair)
            continue
        earlier = min(pair.now, pair.base)
        sides = []
        for rows, weight in zip((pair.treated, pair.untreated), weights, strict=True):
            change = matrices.outcome[rows, pair.now] - matrices.outcome[rows, pair.base]
            mass = np.ones(len(rows)) if weight is None else weight[rows, earlier]
            sides.append((change[:, None], _values(matrices, covariates, rows, earlier), mass))
        scores = panel_scores(*sides[0], *sides[1], adjustment)
        if scores.reason:
            reasons[number] = explain_adjustment(scores.reason, pair.cohort, covariates, sides[0][1], sides[1][1])
            continue
        value[number] = scores.value[0]
        psi[pair.treated, number] = scores.treated[:, 0]
        psi[pair.untreated, number] = scores.comparison[:, 0]
    return value, Influence.dense(psi), reasons


def changes_left(
    matrices: Matrices, comparisons: Sequence[Comparison], codes: NDArray[np.int64], count: int
) -> Floats | None:
    """Compare mean outcome changes without each of the groups 0 to ``count`` of the units, (count, cells).

    None where a period goes with a group: then other periods are compared.
    """
    if matrices.observed is None or not (_left(matrices.observed.astype(float), codes, count) > 0).all():
        return None
    value, _ = _start(comparisons)
    mass, change = np.zeros((2, 2, matrices.n_units, len(comparisons)))
    for number, pair in _open(comparisons):
        moved = matrices.outcome[:, pair.now] - matrices.outcome[:, pair.base]
        for side, rows in enumerate((pair.treated, pair.untreated)):
            weight = 1.0 if matrices.weight is None else matrices.weight[rows, min(pair.now, pair.base)]
            mass[side, rows, number], change[side, rows, number] = weight, weight * moved[rows]
    left = [_left(one, codes, count) for one in mass]
    for one in left:  # what subtraction leaves of a side that is gone is rounding
        one[one <= np.finfo(float).eps * len(codes) * one.max(initial=0.0)] = 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        treated, untreated = (_left(each, codes, count) / one for each, one in zip(change, left, strict=True))
    gaps = np.where(np.isfinite(treated - untreated), treated - untreated, np.nan)
    closed = np.array([bool(pair.reason) for pair in comparisons])
    return np.where(closed, value, gaps)


def _left(values: Floats, codes: NDArray[np.int64], count: int) -> Floats:
    """Sum values (N, columns) over the units without each of the groups, (count, columns)."""
    own = np.zeros((count + 1, values.shape[1]))
    np.add.at(own, codes, values)
    return np.asarray(own.sum(axis=0) - own[:count])


def compare_sections(
    matrices: Matrices,
    comparisons: Sequence[Comparison],
    covariates: tuple[str, ...],
    weights: Weights,
    adjustment: str,
) -> Found:
    """Compare all observations of the two periods, whoever they are of, and sum influence by unit."""
    value, reasons = _start(comparisons)
    psi = np.zeros((matrices.n_units, len(comparisons)))
    slip = np.zeros_like(psi)
    observed = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
    for number, pair in _open(comparisons):
        units = np.concatenate([pair.treated, pair.untreated])
        ends = np.array([pair.now, pair.base])
        row, side = np.nonzero(observed[np.ix_(units, ends)])
        unit, period, treated = units[row], ends[side], row < len(pair.treated)
        regressors = _values(matrices, covariates, unit, period)
        of_treated, of_untreated = (
            np.ones(len(unit)) if weight is None else weight[unit, period] for weight in weights
        )
        mass = np.where(treated, of_treated, of_untreated)
        scores = section_scores(
            matrices.outcome[unit, period], regressors, mass, treated, period == pair.now, adjustment
        )
        sides = regressors[treated], regressors[~treated]
        reasons[number] = explain_adjustment(scores.reason, pair.cohort, covariates, *sides, "observations")
        value[number] = scores.value
        if not scores.reason:
            psi[:, number] = np.bincount(unit, weights=scores.rows, minlength=matrices.n_units)
        if scores.slip is not None:
            slip[:, number] = np.bincount(unit, weights=scores.slip, minlength=matrices.n_units)
    in_reference = Block(slice(None), slip, np.eye(len(comparisons)), reference_only=True)
    return value, Influence.dense(psi).plus(Influence(*psi.shape, (in_reference,))), reasons


def _start(comparisons: Sequence[Comparison]) -> tuple[Floats, list[str]]:
    """Return the values and reasons that are known beforehand: zero in the base period."""
    value = np.array([0.0 if pair.reason == BASE_PERIOD else np.nan for pair in comparisons])
    return value, [pair.reason for pair in comparisons]


def _open(comparisons: Sequence[Comparison]) -> Iterator[tuple[int, Comparison]]:
    return ((number, pair) for number, pair in enumerate(comparisons) if not pair.reason)


def _values(
    matrices: Matrices, covariates: tuple[str, ...], rows: NDArray[np.intp], period: NDArray[np.intp] | int
) -> Floats:
    """Return covariates of rows in a period, (n, k)."""
    return (
        np.array([matrices.covariates[name][rows, period] for name in covariates]).reshape(len(covariates), len(rows)).T
    )


def _nobody_twice(matrices: Matrices, pair: Comparison) -> str:
    who = "unit of the cohort" if not len(pair.treated) else "comparison unit"
    first, last = (label(matrices.period_kind, matrices.periods[k]) for k in sorted((pair.base, pair.now)))
    return f"no {who} is observed in both {first} and {last}"
