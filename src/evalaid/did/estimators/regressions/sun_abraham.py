"""The interaction-weighted estimator of Sun and Abraham (2021)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.subsets import Subsets
from evalaid.did.estimators.common.cohort_kernel import CohortKernel, kernel_covariates
from evalaid.did.estimators.common.cohort_sums import LeaveOut, changes_without, sums_without
from evalaid.did.estimators.common.method import (
    Method,
    Needs,
    averaging_mass,
    cell_frame,
    check_cells,
    chosen_covariates,
    cohort_slices,
    population_of,
)
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


def fit_sun_abraham(design: Design, options: EventTimeOptions) -> Effects:
    """Regress the outcome on a dummy for each cohort and event time, unit effects and period effects.

    Assumes parallel trends between each cohort and the never-treated units; effects may differ by cohort. Without
    covariates on a balanced panel a cell is the plain difference of mean changes from the reference period.

    Notes
    -----
    ``y_it = a_i + l_t + sum_g sum_{e != r} 1{G_i = g, t - g = e} b_ge + x_it' c + u_it``. Errors as R fixest's ``sunab``:
    CR1, observation shares taken as known. Sun and Abraham (2021), doi:10.1016/j.jeconom.2020.09.006.
    """
    plan = _plan(design, options)
    effects = fit_regression(design, METHOD, plan, options.covariates)
    # Covariates that are constant within units are absorbed by the unit effects.
    absorbed = kernel_covariates(design.matrices, chosen_covariates(METHOD.name, design, options.covariates))
    if absorbed is None or plan.left_out is not None:
        return effects
    return replace(effects, leave_out=_leave_out(design, plan, options))


def _leave_out(design: Design, plan: Regression, options: EventTimeOptions) -> LeaveOut:
    """Return the estimates without some units of a balanced panel without covariates: differences of mean changes from the reference."""
    matrices = design.matrices
    cohort, now = (
        np.searchsorted(labels, plan.cells[name])
        for labels, name in ((matrices.cohorts, "cohort"), (matrices.periods, "period"))
    )
    reference = reference_times(METHOD.name, design, options.reference)
    base = (matrices.event_time == reference[:, None]).argmax(axis=1)[cohort]
    compared = np.tile(np.arange(len(matrices.starts) - 1) == len(matrices.cohorts), (len(cohort), 1))

    def leave_out(codes: NDArray[np.int64], count: int) -> NDArray[np.float64]:
        return changes_without(sums_without(matrices, codes, count), cohort, compared, now, base)

    return leave_out


def fit_sun_abraham_subsets(design: Design, options: EventTimeOptions) -> Subsets:
    """Fit the regression of :func:`fit_sun_abraham` for all subsets of the covariates."""
    return fit_subsets(design, METHOD, _plan(design, options), options.covariates)


def sun_abraham_kernel(design: Design, options: EventTimeOptions) -> CohortKernel | None:
    """Return the regression of :func:`fit_sun_abraham` as a function of sums by cohort."""
    return regression_kernel(design, METHOD, _plan(design, options), options.covariates)


def _plan(design: Design, options: EventTimeOptions) -> Regression:
    matrices = design.matrices
    seen = observed_cells(matrices)
    distance = matrices.event_time
    reference = reference_times(METHOD.name, design, options.reference)
    if not (distance[seen] == np.broadcast_to(reference[:, None], seen.shape)[seen]).any():
        raise EstimationError(
            f"sun_abraham: no cohort is observed at the reference event time {reference[0]}; observed are "
            f"{distance[seen].min()} to {distance[seen].max()}. Choose reference=... among them."
        )
    cohort, period = np.nonzero(seen)
    event_time = distance[cohort, period]
    estimated = np.flatnonzero(event_time != reference[cohort])
    check_cells(METHOD.name, len(estimated), matrices)
    columns = np.zeros((len(matrices.cohorts) + 1, matrices.n_periods, len(estimated)))
    columns[cohort[estimated], period[estimated], np.arange(len(estimated))] = 1.0
    reason = np.where(event_time == reference[cohort], "reference period: zero by construction", "").astype(object)
    mass = averaging_mass(matrices)
    rows = cohort_slices(matrices)[:-1]
    size = np.array([mass[block].sum(axis=0) for block in rows])[cohort, period]
    count = np.array([(mass[block] > 0).sum(axis=0) for block in rows])[cohort, period]
    cells = cell_frame(
        population_of(matrices),
        count,
        matrices.n_units - int(matrices.starts[-2]),
        reason,
        cohort=matrices.cohorts[cohort],
        period=matrices.periods[period],
        event_time=event_time,
    )
    return Regression(columns, cells, estimated, size)


METHOD = Method(
    name="sun_abraham",
    fit=fit_sun_abraham,
    subsets=fit_sun_abraham_subsets,
    kernel=sun_abraham_kernel,
    options=EventTimeOptions,
    needs=Needs(comparison="never_treated", strata=True, exposure=True),
    estimand="average effect on each cohort in each period",
    reference="R fixest 0.14.2, feols(y ~ sunab(g, t) | id + t)",
    source="Sun and Abraham (2021), doi:10.1016/j.jeconom.2020.09.006",
    test="tests/did/estimators/test_golden.py::test_interaction_weighted_effects_equal_fixest",
    tolerance="relative 1e-8, absolute 1e-9",
)
