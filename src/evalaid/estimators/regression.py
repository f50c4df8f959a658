"""What the two-way regressions share: handing a layout to the engine and a fit to the result type."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.design import Design
from evalaid.effects import Convention, Effects
from evalaid.estimators.method import cohort_slices, observation_mass, population_of, scale_of
from evalaid.influence import Influence
from evalaid.layout import Layout
from evalaid.linear import PanelData, PanelFit, fit_panel


def panel_data(layout: Layout, covariates: tuple[str, ...]) -> PanelData:
    """Hand the layout, with the named covariates, to the least-squares engine."""
    stacked = np.array([layout.covariates[name] for name in covariates]).reshape(-1, *layout.outcome.shape)
    return PanelData(layout.outcome, observation_mass(layout), stacked, cohort_slices(layout))


def regress(design: Design, columns: NDArray[np.float64], covariates: tuple[str, ...]) -> PanelFit:
    """Fit cohort x period ``columns`` (C + 1, T, K) and covariates with unit and period effects."""
    return fit_panel(panel_data(design.layout, covariates), columns)


def regression_effects(
    design: Design,
    method: str,
    estimand: str,
    cells: pd.DataFrame,
    value: NDArray[np.float64],
    influence: Influence,
    fit: PanelFit,
    size: NDArray[np.float64] | None = None,
) -> Effects:
    """Wrap a fit as Effects with the error convention of R fixest; cells of equal size unless ``size`` says otherwise."""
    return Effects(
        cells=cells,
        value=value,
        influence=influence,
        population=population_of(design.layout),
        size=np.ones(len(cells)) if size is None else size,
        method=method,
        estimand=estimand,
        scale=scale_of(design),
        convention=Convention("regression", "t", fit.observations, fit.parameters),
        aggregation="fixed",
    )


NOT_IDENTIFIED = "not identified: collinear with the fixed effects"


def observed_cells(layout: Layout) -> NDArray[np.bool_]:
    """Say which (cohort, period) hold an observation; never-treated units are not a cohort."""
    if layout.observed is None:
        return np.ones((len(layout.cohorts), len(layout.periods)), dtype=bool)
    return np.array([layout.observed[rows].any(axis=0) for rows in cohort_slices(layout)[:-1]])
