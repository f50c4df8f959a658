"""The serial process of untreated outcomes: what of a unit's deviation lasts, what fades, what is gone a period later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import DesignError
from evalaid.did.effects.linear import PanelData
from evalaid.did.estimators.common.method import cohort_slices
from evalaid.did.estimators.regressions.imputation import fit_untreated
from evalaid.did.panel.matrices import Matrices

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Grid of the autoregressive coefficient. From about 0.98 on a fading shock cannot be told from a permanent level in the
# ten to forty periods of a panel, below 0.02 not from one that is gone at once.
GRID = np.linspace(0.02, 0.98, 193)


@dataclass(frozen=True)
class Process:
    """Variances of the parts of a deviation from unit-free period means.

    ``level``: variance of what is permanent, in squared units of the outcome. ``fading``: variance of what fades as
    ``rho^k`` over k periods. ``rho``: in [0, 1). ``transitory``: variance of what is gone after one period. ``slope``:
    variance of a unit's own linear trend, per squared period.

    Examples
    --------
    >>> Process(3.0, 0.0, 0.0, 1.0).reliability(5)
    0.75
    """

    level: float
    fading: float
    rho: float
    transitory: float
    slope: float = 0.0

    @property
    def variance(self) -> float:
        """The sum of the first three."""
        return self.level + self.fading + self.transitory

    def reliability(self, lag: float) -> float:
        """Return the correlation of two deviations ``lag`` periods apart; NaN when nothing varies."""
        if lag == 0:
            return 1.0
        return (self.level + self.fading * self.rho**lag) / self.variance if self.variance > 0 else np.nan

    def half_square(self, lag: float) -> float:
        """Return half the mean squared difference of two deviations ``lag`` periods apart."""
        return 0.0 if lag == 0 else self.fading * (1 - self.rho**lag) + self.transitory + self.slope * lag**2 / 2

    def covariance(self, periods: NDArray[np.int64]) -> Floats:
        """Return the (T, T) covariance of the deviations of one unit in these periods, trends left out."""
        lag = np.abs(np.subtract.outer(periods, periods)).astype(float)
        return np.asarray(self.level + self.fading * self.rho**lag + self.transitory * (lag == 0))

    def draw(self, generator: np.random.Generator, n_units: int, periods: NDArray[np.int64]) -> Floats:
        """Draw (n_units, T) Gaussian paths."""
        n_periods = len(periods)
        lag = np.abs(np.subtract.outer(periods, periods)).astype(float)
        root = np.linalg.cholesky(self.rho**lag + 1e-12 * np.eye(n_periods))  # the ridge keeps rho near 1 factorable
        path = np.sqrt(self.level) * generator.standard_normal((n_units, 1))
        path = path + np.sqrt(self.fading) * generator.standard_normal((n_units, n_periods)) @ root.T
        path = path + np.sqrt(self.transitory) * generator.standard_normal((n_units, n_periods))
        if self.slope > 0:
            path = path + np.sqrt(self.slope) * generator.standard_normal((n_units, 1)) * (periods - periods.mean())
        return np.asarray(path)


def untreated(matrices: Matrices, anticipation: int = 0) -> Bools:
    """Mark the observations before a unit reacts to its treatment, (N, T)."""
    before = matrices.periods < matrices.unit_reaction(anticipation)[:, None]
    return before if matrices.observed is None else before & matrices.observed


def untreated_paths(matrices: Matrices, anticipation: int = 0) -> tuple[Floats, Floats]:
    """Split outcomes into unit plus period effects, fitted on untreated observations, and what is left.

    Shape: expected, residual (N, T).
    """
    data = PanelData(matrices.outcome, None, np.zeros((0, *matrices.outcome.shape)), cohort_slices(matrices))
    gap = fit_untreated(data, untreated(matrices, anticipation).astype(float)).gap
    residual = gap if matrices.observed is None else np.where(matrices.observed, gap, 0.0)
    return matrices.outcome - gap, residual


def deviations(matrices: Matrices, anticipation: int = 0) -> Floats:
    """Return outcomes less the period effects of untreated observations, centred over units, (N, T)."""
    expected, residual = untreated_paths(matrices, anticipation)
    return np.asarray(residual + (expected - expected.mean(axis=0)).mean(axis=1, keepdims=True))


@dataclass(frozen=True)
class Semivariogram:
    """How far deviations of the same unit move apart, by distance in time.

    ``lags`` (L,): distances that occur, ascending from 1. ``half_squares`` (L,): half the mean squared difference of
    two deviations that far apart (the semivariogram). ``count`` (L,): pairs behind each, over all units. ``variance``:
    mean square of the deviations themselves; NaN where it is of no interest.
    """

    lags: Floats
    half_squares: Floats
    count: Floats
    variance: float


def moments_of(values: Floats, seen: Bools, periods: NDArray[np.int64], group: NDArray[np.int64]) -> Semivariogram:
    """Average squared differences of the deviations of a unit by their distance in time.

    Assumes that deviations have mean zero over units in each period; the degree of freedom lost by that is given back by
    ``G / (G - 1)`` with G independent groups of units. Differences leave out what is permanent: units that are seen for a
    part of the time and differ in level from the others do not disturb them.

    Shapes: values (N, T), seen (N, T), periods (T,), group (N,).
    """
    kept, there = np.where(seen, values, 0.0), seen.astype(float)
    cross = (kept**2).T @ there
    lags, half, count = by_lag((cross + cross.T) / 2 - kept.T @ kept, there.T @ there, periods)
    groups = len(np.unique(group[seen.any(axis=1)]))
    factor = groups / max(groups - 1, 1)
    return Semivariogram(lags, factor * half, count, float(factor * (kept**2).sum() / there.sum()))


def by_lag(sums: Floats, pairs: Floats, periods: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Average (T, T) sums over the pairs of periods that are equally far apart, at least one step."""
    distance = np.abs(np.subtract.outer(periods, periods))
    lags = np.array([lag for lag in np.unique(distance) if lag > 0 and pairs[distance == lag].sum() > 0], dtype=float)
    if not len(lags):
        raise DesignError(
            "The serial process of the outcome needs untreated observations of the same units in at least two periods; "
            "there are none. Add earlier periods."
        )
    top, count = (np.array([table[distance == lag].sum() for lag in lags]) for table in (sums, pairs))
    return lags, top / count, count / 2


def fit_process(moments: Semivariogram, *, trends: bool = False) -> Process:
    """Fit the parts of the process to the moments.

    ``half the mean squared difference = fading (1 - rho^k) + transitory + slope k^2 / 2``: least squares over the distances k,
    weights ``pairs / moment^2`` (Cressie 1985, doi:10.1007/BF01032109), variances at least zero, fading and transitory together at most
    ``variance`` (where it is known), rho on a grid (`GRID`); what is left of the variance is permanent. ``slope`` only with
    ``trends``. With one distance (two periods) all that moves counts as transitory, with two all as fading.
    """
    every = ("transitory", "fading", "slope") if trends else ("transitory", "fading")
    names = {1: ("transitory",), 2: ("fading",)}.get(len(moments.lags), every)
    mean = float(moments.count @ moments.half_squares / moments.count.sum())
    weight = (
        moments.count / np.maximum(moments.half_squares, 1e-3 * mean or 1.0) ** 2
    )  # the floor keeps exact zeros finite
    weight = weight / weight.sum()
    best, found = np.inf, {"transitory": float(np.fmin(mean, moments.variance))}
    for size in range(1, len(names) + 1):
        for chosen in combinations(names, size):
            loss, fitted = _fit_parts(chosen, moments, weight)
            if loss < best * (1 - 1e-9):  # a part is added only when it fits better
                best, found = loss, fitted
    fading, transitory = found.get("fading", 0.0), found.get("transitory", 0.0)
    level = float(np.fmax(moments.variance - fading - transitory, 0.0))
    return Process(level, fading, found.get("rho", 0.0), transitory, found.get("slope", 0.0))


def _fit_parts(chosen: Sequence[str], moments: Semivariogram, weight: Floats) -> tuple[float, dict[str, float]]:
    """Fit some of the parts for every coefficient of the grid; give the smallest loss, the parts and rho."""
    target = moments.half_squares
    grid = GRID if "fading" in chosen else GRID[:1]
    power = grid[:, None] ** moments.lags
    ones = np.ones_like(power)
    shapes = {"fading": 1 - power, "transitory": ones, "slope": ones * moments.lags**2 / 2}
    design = np.stack([shapes[name] for name in chosen], axis=-1)  # (R, L, p)
    gram = np.einsum("rlp,l,rlq->rpq", design, weight, design)
    ridge = 1e-14 * np.trace(gram, axis1=1, axis2=2)[:, None, None] * np.eye(len(chosen))
    parts = np.linalg.solve(gram + ridge, np.einsum("rlp,l,l->rp", design, weight, target)[..., None])[..., 0]
    loss = ((target - np.einsum("rlp,rp->rl", design, parts)) ** 2) @ weight
    scale = float(np.abs(target).max())
    stationary = parts[:, [name != "slope" for name in chosen]]
    too_much = stationary.sum(axis=1) > moments.variance * (1 + 1e-9)  # never where the variance is NaN
    loss = np.where((parts < -1e-12 * scale).any(axis=1) | too_much, np.inf, loss)
    best = int(loss.argmin())
    fitted = {name: float(value) for name, value in zip(chosen, np.maximum(parts[best], 0.0), strict=True)}
    if "fading" in chosen:
        fitted["rho"] = float(grid[best])
    return float(loss[best]) + 1e-20 * scale**2, fitted
