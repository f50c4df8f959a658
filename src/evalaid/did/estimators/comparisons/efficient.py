"""The efficient estimator for randomly timed roll-outs (Roth and Sant'Anna 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.base.effect_columns import TREATED_CLUSTERS
from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Block, Influence
from evalaid.did.estimators.common.method import (
    Method,
    Needs,
    cell_frame,
    choice,
    cohort_slices,
    population_of,
    scale_of,
)
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import Matrices

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EfficientOptions:
    """Options of ``efficient``."""

    # By event time; or one average over treated unit-periods, over cohorts of their own averages, over periods. The
    # adjustment is chosen for the estimand, so it cannot be averaged afterwards
    estimand: str = choice("event_time", "overall", "cohort", "calendar")


def fit_efficient(design: Design, options: EfficientOptions) -> Effects:
    """Compare outcomes of treated and not-yet-treated units, adjusted for their difference before by the best multiple.

    Assumes that the timing of treatment is as good as random (not only parallel trends) and no anticipation. The difference
    before the start then has mean zero, and subtracting ``beta`` times it is unbiased for every ``beta``: one is
    difference-in-differences (Callaway and Sant'Anna), zero the plain difference of means.

    Notes
    -----
    ``theta = sum_g A_g Ybar_g - beta sum_g A0_g Ybar_g``, ``beta = Cov / Var`` of the two sums with
    ``sum_g A_g S_g A0_g' / N_g``, S_g the covariance of outcomes within cohort g. The influence gives the conservative
    (Neyman) variance; its factors ``N_g / (N_g - 1)`` are those of ``infer(vcov="reference")``. Roth and Sant'Anna (2023), doi:10.1086/726581.
    """
    matrices = design.matrices
    sizes = np.diff(matrices.starts).astype(float)
    early = design.anticipation
    cohort, period = _cells(matrices, early, early if options.estimand == "event_time" else 0)
    event_time = matrices.event_time[cohort, period]
    labels, weights = _weights(options.estimand, cohort, period, event_time, sizes)
    after, before = _coefficients(matrices, cohort, period, weights, sizes, early)
    groups = [rows for rows in cohort_slices(matrices) if rows.stop > rows.start]
    means = np.array([matrices.outcome[rows].mean(axis=0) for rows in groups])
    n_estimands = weights.shape[1]
    psi = np.zeros((matrices.n_units, n_estimands))
    factor = np.concatenate([np.full(int(sizes[g]), sizes[g] / max(sizes[g] - 1, 1)) for g in range(len(groups))])
    value, reasons = np.full(n_estimands, np.nan), [""] * n_estimands
    for k in range(n_estimands):
        coefficients = after[:, :, k], before[:, :, k]
        used = np.abs(after[:, :, k]).sum(axis=1) > 0
        if any(used[g] and sizes[g] < 2 for g in range(len(groups))):
            reasons[k] = "a cohort of one unit has no variance to choose the adjustment by"
            continue
        own = [
            np.concatenate([(matrices.outcome[rows] - means[g]) @ a[g] / sizes[g] for g, rows in enumerate(groups)])
            for a in coefficients
        ]
        variance = (factor * own[1] ** 2).sum()
        beta = (factor * own[0] * own[1]).sum() / variance if variance > 0 else 0.0
        value[k] = (coefficients[0] * means).sum() - beta * (coefficients[1] * means).sum()
        psi[:, k] = own[0] - beta * own[1]
    # R divides by N_g - 1 within cohorts: a small-sample factor of its own, not part of the influence.
    unbiased = Block(slice(None), psi * (np.sqrt(factor) - 1)[:, None], np.eye(n_estimands), reference_only=True)
    population = population_of(matrices)
    chosen = weights > 0
    cohorts = [np.unique(cohort[column]) for column in chosen.T]
    cells = cell_frame(
        population,
        [int(sizes[c].sum()) for c in cohorts],
        [int(sizes[c.max() + 1 :].sum()) for c in cohorts],
        reasons,
        **labels,
    )
    cells[TREATED_CLUSTERS] = [population.count_clusters(np.isin(np.arange(len(matrices.cohorts)), c)) for c in cohorts]
    return Effects(
        cells=cells,
        value=value,
        influence=Influence.dense(psi).plus(Influence(*psi.shape, (unbiased,))),
        population=population,
        size=np.ones(n_estimands),
        method=METHOD.name,
        estimand=f"{METHOD.estimand} ({options.estimand.replace('_', ' ')})",
        scale=scale_of(design),
        convention=Convention("none", "normal"),
        aggregation="fixed",
    )


def _cells(matrices: Matrices, early: int = 0, shown: int = 0) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """List the treated cells, and those ``shown`` periods before, that have a comparison: some unit does not react yet."""
    last = (
        matrices.n_periods if matrices.never.stop > matrices.never.start else int(base_columns(matrices, early)[-1]) + 1
    )
    inside = np.arange(matrices.n_periods) < last
    cohort, period = np.nonzero((matrices.event_time >= -shown) & inside)
    return cohort, period


def _weights(
    estimand: str,
    cohort: NDArray[np.intp],
    period: NDArray[np.intp],
    event_time: NDArray[np.int64],
    sizes: Floats,
) -> tuple[dict[str, NDArray[np.int64]], Floats]:
    """Return the labels of the estimands and the weight of each cell in them, (cells, estimands)."""
    size = sizes[cohort]
    if estimand == "event_time":
        levels = np.unique(event_time)
        mass = (event_time[:, None] == levels) * size[:, None]
        return {"event_time": levels}, mass / mass.sum(axis=0)
    if estimand == "overall":
        return {}, (size / size.sum())[:, None]
    key = cohort if estimand == "cohort" else period
    within = np.array([1.0 if estimand == "cohort" else s for s in size])
    total = np.array([within[key == level].sum() for level in key])
    levels, first = np.unique(key, return_index=True)
    across = size[first] / size[first].sum() if estimand == "cohort" else np.full(len(levels), 1 / len(levels))
    return {}, (within / total * across[np.searchsorted(levels, key)])[:, None]


def _coefficients(
    matrices: Matrices,
    cohort: NDArray[np.intp],
    period: NDArray[np.intp],
    weights: Floats,
    sizes: Floats,
    early: int = 0,
) -> tuple[Floats, Floats]:
    """Return the coefficients of cohort means, (groups, T, estimands): in the cells, and in the last period before any reaction."""
    base = base_columns(matrices, early)
    n_groups = len(sizes) if sizes[-1] else len(sizes) - 1
    after = np.zeros((n_groups, matrices.n_periods, weights.shape[1]))
    before = np.zeros_like(after)
    for k, (own, now) in enumerate(zip(cohort, period, strict=True)):
        first = int(np.searchsorted(matrices.reaction(early), matrices.periods[now], side="right"))
        contrast = np.zeros(n_groups)
        contrast[first:] = -sizes[first:n_groups] / sizes[first:n_groups].sum()
        contrast[own] += 1.0
        after[:, now] += contrast[:, None] * weights[k]
        before[:, base[own]] += contrast[:, None] * weights[k]
    return after, before


METHOD = Method(
    name="efficient",
    fit=fit_efficient,
    options=EfficientOptions,
    needs=Needs(comparison="not_yet_treated", balanced=True, weights="none"),
    estimand="average effect when timing is as good as random",
    reference="R staggered 1.2.3, staggered(), on its own data (not in the tests); Callaway-Sant'Anna at a multiple of one",
    source="Roth and Sant'Anna (2023), doi:10.1086/726581",
    test="tests/did/estimators/test_paths.py::test_with_a_multiple_of_one_it_is_callaway_santanna",
    tolerance="1e-11: two ways through the same sums",
    by_cohort=False,
)
