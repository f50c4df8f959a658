"""The comparison of group means before and after."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError
from evalaid.base.periods import label
from evalaid.base.texts import noun
from evalaid.did.effects.contrasts import Contrasts, LeastSquares
from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Block, Influence
from evalaid.did.effects.linear import PanelData
from evalaid.did.estimators.common.cohort_kernel import CohortKernel, changes, kernel_covariates, moments
from evalaid.did.estimators.common.gap_kernel import compare_seen, has_gaps
from evalaid.did.estimators.common.method import (
    Method,
    Needs,
    cell_frame,
    choice,
    chosen_covariates,
    cohort_slices,
    population_of,
    scale_of,
)
from evalaid.did.estimators.common.separation import explain_adjustment
from evalaid.did.estimators.common.two_by_two_scores import PanelSample, adjusted_scores, make_sample, values_without
from evalaid.did.panel.comparisons import partly_treated
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import PARTLY, Matrices

Floats = NDArray[np.float64]
_Sample = tuple[int, PanelSample, NDArray[np.intp]]  # number of the cohort, its comparison, the units compared

GAPS = "; where observations are missing, units' means are over other periods, and changes that all units share do not cancel"
NO_UNIT = "no {who} unit is observed both before and after"


@dataclass(frozen=True)
class TwoByTwoOptions:
    """Options of ``two_by_two``."""

    # Periods that are averaged, as they are labelled (2019, "2019Q3", ...); None = all periods before the cohort may
    # react (its start, earlier by the design's anticipation), and all from the start on
    before: tuple[Any, ...] | None = None
    after: tuple[Any, ...] | None = None
    # How covariates enter; all are the plain comparison of means when there are none
    adjustment: str = choice("doubly_robust", "regression", "ipw", "none")
    covariates: tuple[str, ...] | None = (
        None  # Covariates, averaged over the periods before; None = all of the design's
    )


def fit_two_by_two(design: Design, options: TwoByTwoOptions) -> Effects:
    """Compare each cohort's change of the mean outcome with that of never-treated units.

    Assumes parallel trends between a cohort and the never-treated units (with the same covariates, when there are any) from the
    periods before to the periods after.
    Each unit's change is its mean after minus its mean before; a unit without observations on both sides is left out. Where
    observations are missing, units' means are over other periods, and changes that all units share do not cancel: the estimand says so.

    Notes
    -----
    ``(ybar_after - ybar_before | cohort) - (ybar_after - ybar_before | never treated)``. Ashenfelter and Card (1985),
    doi:10.2307/1924810.
    """
    matrices = design.matrices
    _check_before(design, options)
    population = population_of(matrices)
    slices = cohort_slices(matrices)
    comparison = slices[-1]
    n_cohorts = len(matrices.cohorts)
    value, reasons = np.full(n_cohorts, np.nan), [""] * n_cohorts
    treated_count, comparison_count = np.zeros(n_cohorts, dtype=int), np.zeros(n_cohorts, dtype=int)
    blocks, samples = [], list[_Sample]()
    names = chosen_covariates(METHOD.name, design, options.covariates) if options.adjustment != "none" else ()
    adjustment = options.adjustment if names else "none"
    reacts = matrices.reaction(design.anticipation)
    for number, (cohort, rows) in enumerate(zip(matrices.cohorts, slices[:-1], strict=True)):
        before = _columns(matrices, options.before, matrices.periods < reacts[number])
        before = before & ~partly_treated(matrices, number)
        after = _columns(matrices, options.after, matrices.periods >= cohort)
        sides = [_changes(matrices, part, before, after) for part in (rows, comparison)]
        treated_count[number], comparison_count[number] = (len(index) for index, _ in sides)
        short = [who for who, (index, _) in zip(("treated", "never-treated"), sides, strict=True) if not len(index)]
        if short:
            reasons[number] = NO_UNIT.format(who=short[0])
            continue
        (treated_rows, treated_change), (comparison_rows, comparison_change) = sides
        baseline = [_baselines(matrices, names, index, before) for index in (treated_rows, comparison_rows)]
        seen = np.concatenate([treated_rows, comparison_rows])
        sample = make_sample(
            np.concatenate([treated_change, comparison_change]),
            np.concatenate(baseline),
            population.weight[seen],
            len(treated_rows),
        )
        samples.append((number, sample, seen))
        (scores,) = adjusted_scores([sample], adjustment)
        if scores.reason:
            named = label(matrices.period_kind, int(cohort))
            reasons[number] = explain_adjustment(scores.reason, named, names, baseline[0], baseline[1])
            continue
        value[number] = scores.value[0]
        pick = np.eye(n_cohorts)[[number]]
        blocks += [Block(treated_rows, scores.treated, pick), Block(comparison_rows, scores.comparison, pick)]
    return Effects(
        cells=cell_frame(population, treated_count, comparison_count, reasons, cohort=matrices.cohorts),
        value=value,
        influence=Influence(len(matrices.units), n_cohorts, tuple(blocks)),
        population=population,
        size=population.shares,
        method=METHOD.name,
        estimand=METHOD.estimand + (GAPS if matrices.observed is not None else ""),
        scale=scale_of(design),
        convention=Convention("none", "normal"),
        aggregation="estimated",
        contrasts=None if names else _contrasts(design, options, slices),
        # Without some units another period may be the last in which none of a cohort is partly treated.
        leave_out=None if PARTLY in matrices.covariates else partial(_without, samples, n_cohorts, adjustment),
    )


def _without(samples: list[_Sample], n_cohorts: int, adjustment: str, codes: NDArray[np.int64], count: int) -> Floats:
    """Compare without each of the groups 0 to ``count`` of the units, (count, cohorts); NaN where there is no comparison."""
    value = np.full((count, n_cohorts), np.nan)
    for number, sample, rows in samples:
        value[:, number] = values_without(sample, codes[rows], count, adjustment)[:, 0]
    return value


def two_by_two_kernel(design: Design, options: TwoByTwoOptions) -> CohortKernel | None:
    """Return the comparisons as a function of sums by cohort; None where they take odds, or what changes within units."""
    matrices, n_cohorts = design.matrices, len(design.matrices.cohorts)
    names = chosen_covariates(METHOD.name, design, options.covariates) if options.adjustment != "none" else ()
    gaps, x = has_gaps(matrices) and not names, kernel_covariates(matrices, names)
    if not gaps and (x is None or (names and options.adjustment != "regression")):
        return None
    reacts, sides = matrices.reaction(design.anticipation), []
    for number, cohort in enumerate(matrices.cohorts):
        before = _columns(matrices, options.before, matrices.periods < reacts[number])
        sides.append((before, _columns(matrices, options.after, matrices.periods >= cohort)))
    if not all(side.any() for both in sides for side in both):
        return None
    compared = np.tile(np.arange(n_cohorts + 1) == n_cohorts, (n_cohorts, 1))
    every, whole = np.arange(n_cohorts), np.ones(n_cohorts, dtype=bool)
    if x is None:
        mass, changed = np.zeros((2, matrices.n_units, n_cohorts))
        for number, both in enumerate(sides):
            rows, change = _changes(matrices, slice(0, matrices.n_units), *both)
            mass[rows, number], changed[rows, number] = population_of(matrices).weight[rows], change[:, 0]
        return compare_seen(matrices, mass, changed, every, every, compared, whole)
    contrast = np.array([after / after.sum() - before / before.sum() for before, after in sides])
    values = changes(len(names), every, compared, contrast)
    return CohortKernel(moments(matrices, x), values, every, whole)


def _baselines(
    matrices: Matrices, names: tuple[str, ...], rows: NDArray[np.intp], before: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Average each covariate of the rows over their observed periods before, (n, k)."""
    if not names:
        return np.empty((len(rows), 0))
    seen = np.ones((len(rows), matrices.n_periods)) if matrices.observed is None else matrices.observed[rows]
    weight = seen * before
    weight = weight / weight.sum(axis=1, keepdims=True)
    return (
        np.array([(matrices.covariates[name][rows] * weight).sum(axis=1) for name in names])
        .reshape(len(names), len(rows))
        .T
    )


def _columns(matrices: Matrices, wanted: tuple[Any, ...] | None, default: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Turn named periods into a mask of columns."""
    if wanted is None:
        return default
    labels = [label(matrices.period_kind, int(period)) for period in matrices.periods]
    names = [str(period) for period in wanted]
    unknown = [name for name in names if name not in labels]
    if unknown:
        raise EstimationError(
            f"two_by_two: {noun(len(unknown), 'period')} {', '.join(unknown)} {noun(len(unknown), 'is', 'are')} not in the panel, which has {', '.join(labels)}."
        )
    return np.isin(labels, names)


def _check_before(design: Design, options: TwoByTwoOptions) -> None:
    """Refuse named periods before the start in which some cohort may already react."""
    matrices = design.matrices
    if options.before is None or not design.anticipation:
        return
    time = matrices.event_time
    early = np.asarray(((time < 0) & (time >= -design.anticipation)).any(axis=0))
    found = _columns(matrices, options.before, early) & early
    if found.any():
        names = ", ".join(label(matrices.period_kind, int(period)) for period in matrices.periods[found])
        raise EstimationError(
            f"two_by_two: before=... names {names}, in which units may already react (anticipation of {design.anticipation}, as "
            "the design states); leave these periods out, or state less anticipation in diagnose."
        )


def _contrasts(design: Design, options: TwoByTwoOptions, slices: tuple[slice, ...]) -> Contrasts | None:
    """Return the two-way regression that the comparison is: one cohort, a balanced panel, no weights, every period used."""
    matrices = design.matrices
    if len(matrices.cohorts) != 1 or matrices.observed is not None or matrices.weight is not None:
        return None
    post, reacts = (
        matrices.periods >= matrices.cohorts[0],
        matrices.event_time[0] >= -design.anticipation,
    )
    after, before = _columns(matrices, options.after, post), _columns(matrices, options.before, ~reacts)
    used = post | ~reacts
    if (before == after)[used].any() or (before | after)[~used].any():
        return None
    columns = np.stack([after, np.zeros(matrices.n_periods)])[:, used, None]
    outcome = np.ascontiguousarray(matrices.outcome[:, used])
    data = PanelData(outcome, None, np.empty((0, *outcome.shape)), slices)
    return Contrasts(LeastSquares(data, columns), np.ones((1, 1)))


def _changes(
    matrices: Matrices, rows: slice, before: NDArray[np.bool_], after: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the units seen on both sides and their change of means as a column."""
    outcome = matrices.outcome[rows]
    seen = np.ones_like(outcome) if matrices.observed is None else matrices.observed[rows].astype(float)
    n_before, n_after = seen @ before, seen @ after
    both = (n_before > 0) & (n_after > 0)
    total = outcome * seen
    change = (total[both] @ after) / n_after[both] - (total[both] @ before) / n_before[both]
    return np.arange(rows.start, rows.stop)[both], change[:, None]


METHOD = Method(
    name="two_by_two",
    fit=fit_two_by_two,
    kernel=two_by_two_kernel,
    options=TwoByTwoOptions,
    needs=Needs(comparison="never_treated", weights="analytic"),
    estimand="change of a cohort's mean outcome minus that of never-treated units",
    reference="group means by hand; R fixest 0.14.2 twfe with one cohort",
    source="Ashenfelter and Card (1985), doi:10.2307/1924810",
    test="tests/did/estimators/test_estimators.py::test_one_cohort_balanced_two_by_two_is_the_two_way_coefficient",
    tolerance="1e-11: two ways through the same sums",
)
