"""What the two-way regressions share: handing a design to the engine and a fit to the result type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError
from evalaid.base.names import EXPOSURE, STRATUM
from evalaid.base.texts import counted
from evalaid.did.effects.contrasts import Contrasts, LeastSquares
from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.linear import CONSTANT_TOLERANCE, PanelData, PanelFit, fit_panel, project, within
from evalaid.did.effects.subsets import Subsets
from evalaid.did.estimators.common.cohort_kernel import CohortKernel, coefficients, kernel_covariates, moments
from evalaid.did.estimators.common.gap_kernel import has_gaps, seen_coefficients
from evalaid.did.estimators.common.method import (
    Method,
    chosen_covariates,
    cohort_slices,
    observation_mass,
    population_of,
    scale_of,
)
from evalaid.did.estimators.common.strata import columns_by_part, divide_units
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import PART, STRATA, Matrices

NOT_IDENTIFIED = "not identified: collinear with the fixed effects"


@dataclass(frozen=True)
class EventTimeOptions:
    """Options of the regressions on event times."""

    # Event time whose effect is set to zero; None = the last before units may react (-1 without anticipation)
    reference: int | None = None
    covariates: tuple[str, ...] | None = None  # Covariates; None = all of the design's


@dataclass(frozen=True)
class Regression:
    """A two-way regression before any fit: its columns, and the cells that its coefficients fill."""

    columns: NDArray[np.float64]  # (C + 1, T, K): Treatment columns by cohort and period
    cells: pd.DataFrame  # Of the effects, with the reason of those that are zero by construction
    place: NDArray[np.intp]  # (K,) int: The cell of each coefficient
    size: NDArray[np.float64]  # (cells,): Weights of the cells in averages
    # (C + 1, T) bool: Observations that the fit does not see, by cohort and period
    left_out: NDArray[np.bool_] | None = None


def panel_data(matrices: Matrices, covariates: Sequence[str]) -> PanelData:
    """Hand the matrices, with the named covariates, to the least-squares engine."""
    stacked = np.array([_standardised(matrices, name) for name in covariates]).reshape(-1, *matrices.outcome.shape)
    return PanelData(matrices.outcome, observation_mass(matrices), stacked, cohort_slices(matrices))


def _standardised(matrices: Matrices, name: str) -> NDArray[np.float64]:
    """Measure a covariate from its mean in standard deviations within units: no result depends on its level or unit."""
    values = matrices.covariates[name]
    seen = None if matrices.observed is None else matrices.observed.astype(float)
    net = within(values, seen)
    spread = float(np.sqrt(np.vdot(net, net) / net.size))
    if spread <= CONSTANT_TOLERANCE * max(float(values.max()), -float(values.min())):
        return np.zeros_like(values)
    return np.asarray((values - np.average(values, weights=seen)) / spread * (1.0 if seen is None else seen))


def fit_regression(design: Design, method: Method, regression: Regression, covariates: Sequence[str] | None) -> Effects:
    """Fit the columns and the covariates (None = the design's) with unit and period effects."""
    names = chosen_covariates(method.name, design, covariates)
    data, columns = _problem(design, regression, names)
    effects = _to_effects(design, method, regression, fit_panel(data, columns), names)
    contrasts = Contrasts(LeastSquares(data, columns), _spread(regression))
    return replace(effects, contrasts=contrasts)


def fit_subsets(design: Design, method: Method, regression: Regression, covariates: Sequence[str] | None) -> Subsets:
    """Fit the columns to the outcome and to each covariate, for all subsets of the covariates."""
    names = chosen_covariates(method.name, design, covariates)
    projection = project(*_problem(design, regression, names))
    variables = range(1 + len(names))
    return Subsets(
        effects=tuple(_to_effects(design, method, regression, projection.fit(k)) for k in variables),
        products=projection.products(),
        size=projection.size / np.sqrt(projection.data.outcome.size),
    )


def regression_kernel(
    design: Design, method: Method, regression: Regression, covariates: Sequence[str] | None
) -> CohortKernel | None:
    """Return the coefficients as a function of sums by cohort; None with covariates or weights that change.

    None with gaps, too, where observations are left out or a cell weighs what is observed of it.
    """
    matrices, cells, count = design.matrices, regression.cells, len(regression.cells)
    names = chosen_covariates(method.name, design, covariates)
    out = np.zeros(regression.columns.shape[:2], dtype=bool) if regression.left_out is None else regression.left_out
    treated = cells["event_time"].to_numpy() >= 0 if "event_time" in cells else np.ones(count, dtype=bool)

    def fill(solved: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.zeros((len(solved), count))
        found[:, regression.place] = solved
        return found

    if has_gaps(matrices) and not names and not out.any() and "cohort" not in cells:
        return seen_coefficients(matrices, regression.columns, fill, treated)
    alone = kernel_covariates(matrices, names)
    if alone is None or alone.shape[1]:
        return None
    solve = coefficients(regression.columns, (~out).astype(float))
    by_cohort = np.searchsorted(matrices.cohorts, cells["cohort"]) if "cohort" in cells else None
    return CohortKernel(moments(matrices, alone), lambda sums: fill(solve(sums)), by_cohort, treated)


def _problem(design: Design, regression: Regression, names: Sequence[str]) -> tuple[PanelData, NDArray[np.float64]]:
    """Return data and columns by part of the units: cohorts, unless the design has strata or parts of a period."""
    data = _data(design, regression, names)
    if not {PART, STRATA} & set(design.matrices.covariates):
        return data, regression.columns
    parts = divide_units(design.matrices)
    return replace(data, slices=parts.rows), columns_by_part(design.matrices, parts, regression.columns)


def _data(design: Design, regression: Regression, names: Sequence[str]) -> PanelData:
    """Hand over the matrices without the observations that the regression leaves out."""
    data = panel_data(design.matrices, names)
    if regression.left_out is None or not regression.left_out.any():
        return data
    kept = np.repeat(~regression.left_out, np.diff(design.matrices.starts), axis=0)
    mass = kept.astype(float) if data.mass is None else data.mass * kept
    return replace(data, outcome=data.outcome * kept, mass=mass, covariates=data.covariates * kept)


def _to_effects(
    design: Design, method: Method, regression: Regression, fit: PanelFit, names: tuple[str, ...] = ()
) -> Effects:
    """Put coefficients into their cells, with the error convention of R fixest."""
    value, count = np.zeros(len(regression.cells)), len(regression.place)
    value[regression.place] = fit.value[:count]
    more = f" and the covariates ({', '.join(map(str, names))})" if names else ""
    reason = np.where(np.isnan(value), NOT_IDENTIFIED + more, regression.cells["reason"].to_numpy(dtype=object))
    return Effects(
        cells=regression.cells.assign(reason=reason),
        value=value,
        influence=fit.influence.combine(np.pad(_spread(regression), ((0, len(fit.value) - count), (0, 0)))),
        population=population_of(design.matrices),
        size=regression.size,
        method=method.name,
        estimand=method.estimand + beside(design),
        scale=scale_of(design),
        convention=Convention("regression", "t", fit.observations, fit.parameters),
        aggregation="fixed",
    )


def beside(design: Design) -> str:
    """Return in words what the design's strata and parts of a period make of the estimand."""
    named, hidden = design.panel.names, design.matrices.covariates
    within_ = f"; period effects of each stratum ({named[STRATUM]})" if STRATA in hidden else ""
    return within_ + (f"; the first treated period counts by its part ({named[EXPOSURE]})" if PART in hidden else "")


def _spread(regression: Regression) -> NDArray[np.float64]:
    """Return the (K, cells) matrix that puts coefficients into cells."""
    spread = np.zeros((len(regression.place), len(regression.cells)))
    spread[np.arange(len(regression.place)), regression.place] = 1.0
    return spread


def observed_cells(matrices: Matrices) -> NDArray[np.bool_]:
    """Find which (cohort, period) hold an observation; never-treated units are not a cohort."""
    if matrices.observed is None:
        return np.ones((len(matrices.cohorts), len(matrices.periods)), dtype=bool)
    return np.array([matrices.observed[rows].any(axis=0) for rows in cohort_slices(matrices)[:-1]])


def reference_times(method: str, design: Design, reference: int | None) -> NDArray[np.int64]:
    """Return the event time that each cohort is measured from, (C,): of its last period before units may react, unless named."""
    matrices = design.matrices
    common = np.full(len(matrices.cohorts), reference_time(method, design, reference))
    if reference is not None:
        return common
    base = base_columns(matrices, design.anticipation)
    return np.where(base >= 0, matrices.event_time[np.arange(len(base)), base], common)


def reference_time(method: str, design: Design, reference: int | None) -> int:
    """Return the event time that effects are measured from: the last before units may react, unless another is named."""
    last = -1 - design.anticipation
    if reference is None:
        return last
    if last < reference < 0:
        raise EstimationError(
            f"{method}: reference={reference} is one of the {counted(design.anticipation, 'period')} before the start in which units may "
            f"already react, as the design states; choose {last} or earlier, leave reference out for {last}, or state less "
            "anticipation in diagnose."
        )
    return int(reference)
