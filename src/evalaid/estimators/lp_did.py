"""Local projections difference-in-differences (Dube, Girardi, Jorda and Taylor 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.design import Design
from evalaid.effects import Convention, Effects
from evalaid.estimators.method import Method, Needs, cell_frame, choice, observation_mass, population_of, scale_of
from evalaid.influence import Influence
from evalaid.layout import Layout

Floats = NDArray[np.float64]
REFERENCE = "reference period: zero by construction"


@dataclass(frozen=True)
class LpDidOptions:
    """Options of ``lp_did``.

    Parameters
    ----------
    comparison : {"not_yet_treated", "never_treated"}
        Units untreated at the horizon, or never-treated units only.
    weighting : {"variance", "equal"}
        How cohorts are averaged at a horizon: as least squares does (by the variance of treatment among cohort and
        comparison), or every treated unit equally.
    """

    comparison: str = choice("not_yet_treated", "never_treated")
    weighting: str = choice("variance", "equal")


def fit_lp_did(design: Design, options: LpDidOptions) -> Effects:
    """Regress long differences on the start of treatment, horizon by horizon, among starters and clean comparisons.

    Assumes parallel trends and no anticipation; cohorts may have different effects. With ``variance`` weights all are
    positive but larger where the comparison is larger.

    Parameters
    ----------
    design : Design
        The panel; sampling weights weigh units.
    options : LpDidOptions
        Comparison and weighting.

    Returns
    -------
    Effects
        One cell an event time; the period before the start is zero by construction. Horizons without a clean comparison
        are missing with the reason.

    Notes
    -----
    ``y_{t+h} - y_{t-1} = b_h dD_it + d_t + e`` over units that start in t and units untreated through ``max(t, t+h)``. With
    ``equal`` the coefficient is the average of the cohorts' differences, weighted by their treated units. Influence
    under ``variance`` is that of least squares, weights estimated; under ``equal`` weights are taken as known. Dube, Girardi, Jorda and Taylor (2023), doi:10.3386/w31184.
    """
    layout = design.layout
    population = population_of(layout)
    mass = observation_mass(layout)
    seen = np.ones_like(layout.outcome, dtype=bool) if mass is None else mass > 0
    horizons = np.unique(layout.periods - layout.cohorts[:, None])
    psi = np.zeros((layout.n_units, len(horizons)))
    value, reasons = np.full(len(horizons), np.nan), [""] * len(horizons)
    counts = np.zeros((3, len(horizons)), dtype=int)
    for k, horizon in enumerate(horizons):
        if horizon == -1:
            value[k], reasons[k] = 0.0, REFERENCE
            counts[:, k] = design.n_treated, design.n_never, design.n_treated_clusters
            continue
        blocks = _clean_blocks(layout, seen, int(horizon), options.comparison)
        if not blocks:
            reasons[k] = "no unit is untreated at this horizon and observed in both periods"
            continue
        value[k], psi[:, k] = _fit_horizon(layout, blocks, population.weight, options.weighting)
        cohorts = np.isin(population.cohorts, [layout.periods[block.column] for block in blocks])
        counts[:, k] = (
            sum(len(block.treated) for block in blocks),
            min(len(block.comparison) for block in blocks),
            population.count_clusters(cohorts),
        )
    cells = cell_frame(population, counts[0], counts[1], reasons, event_time=horizons)
    cells["treated_clusters"] = counts[2]
    return Effects(
        cells=cells,
        value=value,
        influence=Influence.dense(psi),
        population=population,
        size=np.ones(len(horizons)),
        method=METHOD.name,
        estimand=METHOD.estimand,
        scale=scale_of(design),
        convention=Convention("none", "t"),
        aggregation="fixed",
    )


@dataclass(frozen=True)
class _Block:
    """One starting period: its column, the rows that start and the clean comparison rows, and both ends."""

    column: int
    end: int
    treated: NDArray[np.intp]
    comparison: NDArray[np.intp]


def _clean_blocks(layout: Layout, seen: NDArray[np.bool_], horizon: int, comparison: str) -> list[_Block]:
    """Find, for each cohort, the units that start and those untreated through the horizon, observed at both ends."""
    blocks = []
    for number, cohort in enumerate(layout.cohorts):
        start = int(layout.start_column[number])
        end = int(np.searchsorted(layout.periods, cohort + horizon))
        if end >= layout.n_periods or layout.periods[end] != cohort + horizon:
            continue
        both = seen[:, end] & seen[:, start - 1]
        own = layout.block(number)
        last = max(layout.periods[end], cohort)
        first = layout.never.start if comparison == "never_treated" else layout.starts[
            np.searchsorted(layout.cohorts, last, side="right")
        ]  # fmt: skip
        treated = np.flatnonzero(both[own]) + own.start
        clean = np.flatnonzero(both[first:]) + int(first)
        if len(treated) and len(clean):
            blocks.append(_Block(start, end, treated, clean))
    return blocks


def _fit_horizon(layout: Layout, blocks: list[_Block], weight: Floats, weighting: str) -> tuple[float, Floats]:
    """Give the coefficient of one horizon and the influence of every unit on it."""
    parts = []
    for block in blocks:
        rows = np.concatenate([block.treated, block.comparison])
        change = layout.outcome[rows, block.end] - layout.outcome[rows, block.column - 1]
        treated = np.arange(len(rows)) < len(block.treated)
        mass = weight[rows]
        share = mass[treated].sum() / mass.sum()
        residual = treated - share
        scale = (mass * residual**2).sum()
        difference = float((mass * residual * change).sum() / scale)
        own_weight = scale if weighting == "variance" else mass[treated].sum()
        parts.append((rows, change, mass, residual, scale, difference, own_weight))
    weights = np.array([part[-1] for part in parts])
    weights = weights / weights.sum()
    coefficient = float(weights @ [part[5] for part in parts])
    psi = np.zeros(layout.n_units)
    for (rows, change, mass, residual, scale, difference, _), share in zip(parts, weights, strict=True):
        # Least squares fits one coefficient: the gap between a cohort's difference and it stays in the residual.
        slope = coefficient if weighting == "variance" else difference
        centred = change - (mass @ change) / mass.sum()
        np.add.at(psi, rows, share * mass * residual * (centred - slope * residual) / scale)
    return coefficient, psi


METHOD = Method(
    name="lp_did",
    fit=fit_lp_did,
    options=LpDidOptions,
    needs=Needs(comparison="not_yet_treated", weights="analytic"),
    estimand="effect by event time, averaged over cohorts",
    reference="hand-computed differences; Callaway-Sant'Anna cells with the same weights",
    source="Dube, Girardi, Jorda and Taylor (2023), doi:10.3386/w31184",
    test="tests/test_windows.py::test_a_local_projection_is_the_regression_of_long_differences_with_its_cluster_errors",
)
