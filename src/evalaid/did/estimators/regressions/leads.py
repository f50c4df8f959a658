"""Coefficients before treatment from untreated observations only: the pre-trend test of Borusyak, Jaravel and Spiess (2024)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from evalaid.did.effects.effects import Effects
from evalaid.did.effects.influence import Influence
from evalaid.did.estimators.common.method import Method, cell_frame, cohort_slices, population_of
from evalaid.did.estimators.common.regression import Regression, fit_regression, observed_cells
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.design import Design

REFERENCE = "reference period: zero by construction"


def with_leads(effects: Effects, design: Design, method: Method, early: int, covariates: tuple[str, ...]) -> Effects:
    """Put the coefficients of leads, from untreated observations, before the effects of an imputation.

    Notes
    -----
    ``y_it = a_i + l_t + sum_{e < -1} 1{t - g_i = e} b_e + x_it' c + u_it`` over untreated observations. Every cohort's cell of an
    event time holds the one coefficient of that event time, so that ``aggregate("event_time")`` gives it.
    """
    leads = _fit_leads(design, method, early, covariates)
    order = np.lexsort((
        np.concatenate([leads.cells["period"], effects.cells["period"]]),
        np.concatenate([leads.cells["cohort"], effects.cells["cohort"]]),
    ))  # fmt: skip
    place, n_leads = np.eye(len(order))[:, order], len(leads)
    return replace(
        effects,
        cells=pd.concat([leads.cells, effects.cells], ignore_index=True).iloc[order].reset_index(drop=True),
        value=np.concatenate([leads.value, effects.value])[order],
        influence=leads.influence.combine(place[:n_leads]).plus(effects.influence.combine(place[n_leads:])),
        size=np.concatenate([leads.size, effects.size])[order],
        estimand=f"{effects.estimand}; before treatment the coefficients of leads, common to all cohorts, from untreated observations",
        leave_out=None,
    )


def _fit_leads(design: Design, method: Method, early: int, covariates: tuple[str, ...]) -> Effects:
    """Regress untreated outcomes on event times before the last one in which nobody reacts; one cell by cohort and period."""
    matrices = design.matrices
    distance = matrices.event_time
    reacts = distance >= -early
    base = base_columns(matrices, early)
    measured = np.arange(matrices.n_periods) != base[:, None]
    cohort, period = np.nonzero(observed_cells(matrices) & ~reacts)
    time, free = distance[cohort, period], measured[cohort, period]
    estimated = np.unique(time[free])
    columns = ((distance[:, :, None] == estimated) & (measured & ~reacts)[:, :, None]).astype(float)
    never = np.zeros((1, *columns.shape[1:]))
    left_out = np.concatenate([reacts, np.zeros((1, matrices.n_periods), dtype=bool)])
    by_time = pd.DataFrame({"event_time": estimated, "reason": ""})
    regression = Regression(
        np.concatenate([columns, never]), by_time, np.arange(len(estimated)), np.ones(len(estimated)), left_out
    )
    fit = fit_regression(design, method, regression, covariates)
    seen = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
    count = np.array([seen[rows].sum(axis=0) for rows in cohort_slices(matrices)[:-1]])[cohort, period]
    spread = ((estimated[:, None] == time) & free).astype(float)
    reason = spread.T.astype(bool) @ fit.cells["reason"].to_numpy(dtype=object) if len(estimated) else [""] * len(time)
    value = np.where(np.isnan(fit.value), 0.0, fit.value) @ spread
    lost = (np.isnan(fit.value).astype(float) @ spread) > 0
    untreated = seen & ~np.repeat(left_out, np.diff(matrices.starts), axis=0)
    cells = cell_frame(
        population_of(matrices),
        count,
        untreated.sum(axis=0)[period] - count,
        np.where(free, reason, REFERENCE),
        cohort=matrices.cohorts[cohort],
        period=matrices.periods[period],
        event_time=time,
    )
    influence = fit.influence.combine(spread)
    # The reference's errors before treatment are those of fixest: its small-sample factor stands on the influence.
    n, k, clusters = fit.convention.observations, fit.convention.parameters, matrices.n_clusters
    factor = np.sqrt(clusters / max(clusters - 1, 1) * (n - 1) / max(n - k, 1)) - 1
    own = tuple(replace(block, right=factor * block.right, reference_only=True) for block in influence.blocks)
    return replace(
        fit,
        cells=cells,
        value=np.where(lost, np.nan, value),
        influence=influence.plus(Influence(*influence.shape, own)),
        size=count.astype(float),
        contrasts=None,
    )
