"""The two-way fixed-effects regression on one treatment dummy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalaid.did.effects.effects import Effects
from evalaid.did.effects.subsets import Subsets
from evalaid.did.estimators.common.cohort_kernel import CohortKernel
from evalaid.did.estimators.common.method import Method, Needs, cell_frame, population_of
from evalaid.did.estimators.common.regression import Regression, fit_regression, fit_subsets, regression_kernel
from evalaid.did.panel.design import Design


@dataclass(frozen=True)
class TwfeOptions:
    """Options of ``twfe``: the covariates to use, None = all that the design names."""

    covariates: tuple[str, ...] | None = None


def fit_twfe(design: Design, options: TwfeOptions) -> Effects:
    """Regress the outcome on a treatment dummy, unit effects and period effects.

    Assumes parallel trends and an effect that is the same for all cohorts and event times; otherwise the coefficient
    is a weighted average of two-by-two comparisons in which treated units also serve as comparisons, with weights
    that may be negative.

    Notes
    -----
    ``y_it = a_i + l_t + D_it b + x_it' c + e_it``, least squares with the panel's weights. Errors by the convention of
    R fixest: CR1 with ``G/(G-1) (n-1)/(n-k)``, unit effects nested in the clusters not counted in k, t with G-1
    degrees of freedom. Goodman-Bacon (2021), doi:10.1016/j.jeconom.2021.03.014.
    """
    return fit_regression(design, METHOD, _plan(design), options.covariates)


def fit_twfe_subsets(design: Design, options: TwfeOptions) -> Subsets:
    """Fit the regression of :func:`fit_twfe` for all subsets of the covariates."""
    return fit_subsets(design, METHOD, _plan(design), options.covariates)


def twfe_kernel(design: Design, options: TwfeOptions) -> CohortKernel | None:
    """Return the regression of :func:`fit_twfe` as a function of sums by cohort."""
    return regression_kernel(design, METHOD, _plan(design), options.covariates)


def _plan(design: Design) -> Regression:
    matrices = design.matrices
    treated = np.array(
        [matrices.periods >= cohort for cohort in matrices.cohorts] + [np.zeros(len(matrices.periods), bool)]
    )
    early = (
        np.array([matrices.periods >= start for start in matrices.reaction(design.anticipation)] + [treated[-1]])
        & ~treated
    )
    n_treated = int(matrices.starts[-2])
    cells = cell_frame(population_of(matrices), n_treated, len(matrices.units) - n_treated)
    return Regression(treated[:, :, None].astype(float), cells, np.array([0]), np.ones(1), early)


METHOD = Method(
    name="twfe",
    fit=fit_twfe,
    subsets=fit_twfe_subsets,
    kernel=twfe_kernel,
    options=TwfeOptions,
    needs=Needs(comparison="not_yet_treated", strata=True, exposure=True),
    estimand="one effect common to all cohorts and periods (a weighted average with possibly negative weights otherwise)",
    reference="R fixest 0.14.2, feols(y ~ D | id + t)",
    source="Goodman-Bacon (2021), doi:10.1016/j.jeconom.2021.03.014",
    test="tests/did/estimators/test_golden.py::test_two_way_regressions_equal_fixest",
    tolerance="relative 1e-8, absolute 1e-9",
    by_cohort=False,
)
