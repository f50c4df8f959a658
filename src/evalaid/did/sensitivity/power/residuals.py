"""Panels without an effect: fitted levels plus residuals that keep the correlation over time and within clusters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import Matrices
from evalaid.did.sensitivity.power.process import (
    Bools,
    Process,
    Semivariogram,
    by_lag,
    deviations,
    fit_process,
    moments_of,
    untreated,
    untreated_paths,
)

Floats = NDArray[np.float64]
Source = Callable[[np.random.Generator], Floats]
Residuals = Literal["auto", "paths", "model"]

# Below this many clusters whose untreated path is known in full, drawing from them repeats too few; a process is fitted.
ENOUGH_PATHS = 20


def residual_source(design: Design, residuals: Residuals = "auto") -> tuple[Source, str]:
    """Return a function that draws (N, T) residuals of untreated outcomes, and say in words what it does."""
    if residuals not in get_args(Residuals):
        raise EstimationError(f"residuals={residuals!r} is not a choice; choose {', '.join(get_args(Residuals))}.")
    matrices = design.matrices
    donors = _donors(matrices)
    if residuals == "paths" and len(donors) < 2:
        raise EstimationError(
            f"residuals='paths' needs clusters whose units are never treated and observed in every period; there are "
            f"{len(donors)}. Use residuals='model'."
        )
    if residuals == "paths" or (residuals == "auto" and len(donors) >= ENOUGH_PATHS):
        said = f"residual paths of {len(donors)} never-treated clusters, drawn with replacement and random sign"
        return _draw_paths(design, donors), said
    own, shared = fit_residual_process(design)
    said = (
        f"fitted process: per unit {_describe(own)}; shared in a cluster {_describe(shared)}"
        if shared
        else (f"fitted process: {_describe(own)}")
    )
    return _draw_model(matrices, own, shared), said


def _describe(process: Process) -> str:
    return (
        f"sd {np.sqrt(process.fading):.3g} fading (rho {process.rho:.2f}), {np.sqrt(process.transitory):.3g} transitory, "
        f"{np.sqrt(process.slope):.3g} a period of own trend"
    )


def _donors(matrices: Matrices) -> list[NDArray[np.intp]]:
    """List the rows of each cluster whose units are all never treated and always observed."""
    usable = np.isnan(matrices.cohort)
    if matrices.observed is not None:
        usable &= matrices.observed.all(axis=1)
    spoiled = np.bincount(matrices.cluster[~usable], minlength=matrices.n_clusters) > 0
    rows = np.flatnonzero(~spoiled[matrices.cluster])
    order = rows[np.argsort(matrices.cluster[rows], kind="stable")]
    cuts = np.flatnonzero(np.diff(matrices.cluster[order])) + 1
    return [part for part in np.split(order, cuts) if len(part)]


def _draw_paths(design: Design, donors: list[NDArray[np.intp]]) -> Source:
    """Return every cluster the residual paths of a drawn cluster; units of large clusters take paths of small ones in turn."""
    matrices = design.matrices
    _, residual = untreated_paths(matrices, design.anticipation)
    # Period effects are fitted, mostly on these clusters: their residuals have lost one degree of freedom.
    pool = np.concatenate(donors)
    paths = (residual[pool] - residual[pool].mean(axis=0)) * np.sqrt(len(donors) / (len(donors) - 1))
    sizes = np.array([len(rows) for rows in donors])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    order = np.argsort(matrices.cluster, kind="stable")
    first = np.searchsorted(matrices.cluster[order], np.arange(matrices.n_clusters))
    rank = np.empty(matrices.n_units, dtype=np.int64)
    rank[order] = np.arange(matrices.n_units) - first[matrices.cluster[order]]

    def draw(generator: np.random.Generator) -> Floats:
        chosen = generator.integers(0, len(sizes), matrices.n_clusters)
        sign = generator.integers(0, 2, matrices.n_clusters) * 2.0 - 1
        shift = generator.integers(0, 1 << 30, matrices.n_clusters)
        donor = chosen[matrices.cluster]
        within = (rank + shift[matrices.cluster]) % sizes[donor]
        return np.asarray(sign[matrices.cluster][:, None] * paths[starts[donor] + within])

    return draw


def fit_residual_process(design: Design) -> tuple[Process, Process | None]:
    """Fit the process of units and, where clusters hold several units, the part that the units of a cluster share.

    Assumes that untreated observations of treated units vary as those of the others do. Permanent levels cancel in every
    difference-in-differences and are left out.
    """
    matrices = design.matrices
    seen = untreated(matrices, design.anticipation)
    values = deviations(matrices, design.anticipation)
    total = moments_of(values, seen, matrices.periods, matrices.cluster)
    total = replace(total, variance=np.nan)
    if matrices.clustered_by_unit:
        return fit_process(total, trends=True), None
    together = _shared_moments(np.where(seen, values, 0.0), seen, matrices)
    shared = fit_process(together, trends=True)
    rest = np.array([shared.half_square(lag) for lag in total.lags])
    own = replace(total, half_squares=np.maximum(total.half_squares - rest, 0.0))
    return fit_process(own, trends=True), shared


def _shared_moments(kept: Floats, seen: Bools, matrices: Matrices) -> Semivariogram:
    """Average products of the differences over time of two units of one cluster."""
    n_periods = matrices.n_periods
    products, pairs = np.zeros((2, n_periods, n_periods))
    for early, late in combinations(range(n_periods), 2):
        both = seen[:, early] & seen[:, late]
        change = (kept[:, late] - kept[:, early]) * both
        sums, counts = (np.bincount(matrices.cluster, weights=x) for x in (change, both))
        products[early, late] = products[late, early] = (sums**2).sum() - (change**2).sum()
        pairs[early, late] = pairs[late, early] = (counts**2).sum() - counts.sum()
    lags, half, count = by_lag(products / 2, np.maximum(pairs, 1e-9), matrices.periods)
    return Semivariogram(lags, np.maximum(half, 0.0), count, np.nan)


def _draw_model(matrices: Matrices, own: Process, shared: Process | None) -> Source:
    def draw(generator: np.random.Generator) -> Floats:
        path = own.draw(generator, matrices.n_units, matrices.periods)
        if shared is not None:
            path = path + shared.draw(generator, matrices.n_clusters, matrices.periods)[matrices.cluster]
        return path

    return draw
