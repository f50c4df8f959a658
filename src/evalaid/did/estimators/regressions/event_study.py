"""The two-way fixed-effects regression on event-time dummies."""

from __future__ import annotations

import numpy as np

from evalaid.base.effect_columns import TREATED_CLUSTERS
from evalaid.base.errors import EstimationError
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.subsets import Subsets
from evalaid.did.estimators.common.cohort_kernel import CohortKernel
from evalaid.did.estimators.common.method import Method, Needs, cell_frame, population_of
from evalaid.did.estimators.common.regression import (
    EventTimeOptions,
    Regression,
    fit_regression,
    fit_subsets,
    observed_cells,
    reference_times,
    regression_kernel,
)
from evalaid.did.panel.design import Design


def fit_event_study(design: Design, options: EventTimeOptions) -> Effects:
    """Regress the outcome on event-time dummies, unit effects and period effects.

    Assumes parallel trends and, with several cohorts, effects by event time that are the same for all cohorts
    (otherwise a coefficient also holds effects of other event times: Sun and Abraham 2021). Needs never-treated units:
    without them event-time effects are identified only up to a linear trend.

    Notes
    -----
    ``y_it = a_i + l_t + sum_{e != r} 1{t - g_i = e} b_e + x_it' c + u_it``. Errors as in :func:`evalaid.did.estimators.regressions.twfe.fit_twfe`.
    Sun and Abraham (2021), doi:10.1016/j.jeconom.2020.09.006.
    """
    return fit_regression(design, METHOD, _plan(design, options), options.covariates)


def fit_event_study_subsets(design: Design, options: EventTimeOptions) -> Subsets:
    """Fit the regression of :func:`fit_event_study` for all subsets of the covariates."""
    return fit_subsets(design, METHOD, _plan(design, options), options.covariates)


def event_study_kernel(design: Design, options: EventTimeOptions) -> CohortKernel | None:
    """Return the regression of :func:`fit_event_study` as a function of sums by cohort.

    None where some event time is not observed: with other units in the cohorts it may be, and the regression has a dummy more.
    """
    matrices = design.matrices
    measured = matrices.event_time != reference_times(METHOD.name, design, options.reference)[:, None]
    seen = matrices.event_time[measured & observed_cells(matrices)]
    if not np.isin(matrices.event_time[measured], seen).all():
        return None
    return regression_kernel(design, METHOD, _plan(design, options), options.covariates)


def _plan(design: Design, options: EventTimeOptions) -> Regression:
    matrices = design.matrices
    distance = matrices.event_time
    seen = observed_cells(matrices)
    times = np.unique(distance[seen])
    reference = reference_times(METHOD.name, design, options.reference)
    measured = distance != reference[:, None]
    if not (seen & ~measured).any():
        raise EstimationError(
            f"event_study: no cohort is observed at the reference event time {reference[0]}; observed are "
            f"{times.min()} to {times.max()}. Choose reference=... among them."
        )
    estimated = np.unique(distance[seen & measured])
    dummies = ((distance[:, :, None] == estimated) & measured[:, :, None]).astype(float)
    columns = np.concatenate([dummies, np.zeros((1, *dummies.shape[1:]))])
    population = population_of(matrices)
    sizes = np.diff(matrices.starts)[:-1]
    at_time = [(distance == e) & seen for e in times]
    n_treated = [int(sizes[rows.any(axis=1)].sum()) for rows in at_time]
    clusters = [population.count_clusters(rows.any(axis=1)) for rows in at_time]
    reason = np.where(~np.isin(times, estimated), "reference period: zero by construction", "").astype(object)
    cells = cell_frame(population, n_treated, len(matrices.units) - int(matrices.starts[-2]), reason, event_time=times)
    cells[TREATED_CLUSTERS] = clusters
    return Regression(columns, cells, np.searchsorted(times, estimated), np.ones(len(times)))


METHOD = Method(
    name="event_study",
    fit=fit_event_study,
    subsets=fit_event_study_subsets,
    kernel=event_study_kernel,
    options=EventTimeOptions,
    needs=Needs(comparison="never_treated", strata=True, exposure=True),
    estimand="effect by event time, common to all cohorts",
    reference="R fixest 0.14.2, feols(y ~ i(rel, ever, ref) | id + t)",
    source="Sun and Abraham (2021), doi:10.1016/j.jeconom.2020.09.006",
    test="tests/did/estimators/test_golden.py::test_two_way_regressions_equal_fixest",
    tolerance="relative 1e-8, absolute 1e-9",
    by_cohort=False,
)
