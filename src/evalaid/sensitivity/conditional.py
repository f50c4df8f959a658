"""Tests of an effect under moment inequalities with nuisance parameters: conditional, and least favourable first.

The statistic for the value t of the effect is ``max over corners of u_v(t)``, ``u_v(t) = (g_v'(rows b - right) - k_v t) /
g_v'sd``, where ``sd`` holds the standard deviations of the rows: the value of a linear programme by its dual. The corners are
known (see :mod:`evalaid.sensitivity.restrictions`), so that no programme is solved and a whole grid of t is one array.
Andrews, Roth and Pakes (2023), doi:10.1093/restud/rdad004; Rambachan and Roth (2023), doi:10.1093/restud/rdad018.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri

from evalaid.sensitivity.restrictions import Corners, Restriction

Floats = NDArray[np.float64]

# Statistics are in standard deviations: variances and slopes below these are rounding.
NO_VARIANCE = 1e-20
SAME = 1e-9
# A critical value is found with this part of the draws first; the steps with all of them are then few.
FIRST_PASS = 8
NEWTON_STEPS = 6
# Far below the sampling error of a critical value.
CLOSE = 1e-4
# Corners that exceed the critical value more rarely than this share of its size are left out of its simulation.
NEGLIGIBLE = 1e-6


@dataclass(frozen=True)
class Problem:
    """One polyhedron of violations, ready to test.

    Parameters
    ----------
    value : (corners,) or (corners, draws) array
        Standardised ``g'(rows b - right)``.
    slope : (corners,) array
        What one unit of the effect takes off.
    covariance : (corners, corners) array
        Of ``value``.
    loading : (corners, coefficients) array
        ``value`` as a function of the coefficients.
    offset : (corners,) array
        ``loading b - offset = value``.
    critical : float
        Least favourable critical value; infinite without a first stage.
    """

    value: Floats
    slope: Floats
    covariance: Floats
    loading: Floats
    offset: Floats
    critical: float = np.inf

    def at(self, estimate: Floats) -> Problem:
        """Take other estimates with the same covariance; (coefficients,) or (coefficients, draws)."""
        offset = self.offset if estimate.ndim == 1 else self.offset[:, None]
        return replace(self, value=self.loading @ estimate - offset)


@dataclass(frozen=True)
class FirstStage:
    """A fixed-length interval that is tried before the conditional test: ``|weights b - t| <= half_length``.

    ``covariance`` is that of ``weights b`` with the coefficients, (coefficients,).
    """

    covariance: Floats
    value: float
    half_length: float


def pose(
    restriction: Restriction, corners: Corners, m: float, problem: int, estimate: Floats, covariance: Floats
) -> Problem:
    """Standardise the inequalities of one problem at m."""
    rows, right = restriction.rows(m, problem)
    spread = np.sqrt(((rows @ covariance) * rows).sum(axis=1))
    multipliers = corners.matrix
    scale = multipliers @ spread
    used = scale > 0
    multipliers = multipliers[used] / scale[used, None]
    loading, offset = multipliers @ rows, multipliers @ right
    return Problem(
        value=loading @ estimate - offset,
        slope=corners.slope[used] / scale[used],
        covariance=loading @ covariance @ loading.T,
        loading=loading,
        offset=offset,
    )


def accepts(problem: Problem, effects: Floats, size: float, first: FirstStage | None = None) -> NDArray[np.bool_]:
    """Say which values of the effect the conditional test of this size does not reject.

    Given which corner is largest, the statistic is a normal truncated to an interval that the rest of the data fixes; it
    rejects when positive and in the upper ``size`` of that distribution. A first stage rejects beyond ``critical`` (or
    outside the fixed-length interval) and cuts the interval there.

    Parameters
    ----------
    problem : Problem
    effects : (values,) array
        Hypothesised effects; with ``value`` of several draws one a draw.
    size : float
        Of the second stage.
    first : FirstStage, optional
    """
    value = problem.value if problem.value.ndim > 1 else problem.value[:, None]
    every = value - problem.slope[:, None] * effects
    best = every.argmax(axis=0)
    place = np.arange(every.shape[1])
    statistic = every[best, place]
    variance = np.diag(problem.covariance)[best]
    fixed = variance < NO_VARIANCE
    variance = np.where(fixed, 1.0, variance)
    ratio = problem.covariance[:, best] / variance
    gap = 1 - ratio
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = (every - ratio * statistic) / gap
    low = np.where(gap > SAME, crossing, -np.inf).max(axis=0)
    high = np.minimum(np.where(gap < -SAME, crossing, np.inf).min(axis=0), problem.critical)
    outside = statistic > problem.critical
    if first is not None:
        deviation = first.value - effects
        outside = outside | (np.abs(deviation) > first.half_length)
        low, high = _cut(problem, first, best, variance, deviation, statistic, low, high)
    spread = np.sqrt(variance)
    beyond = _upper_share(statistic / spread, np.minimum(low, statistic) / spread, np.maximum(high, statistic) / spread)
    rejected = np.where(fixed, statistic > SAME, outside | ((statistic > 0) & (beyond < size)))
    return ~rejected


def _cut(
    problem: Problem,
    first: FirstStage,
    best: NDArray[np.intp],
    variance: Floats,
    deviation: Floats,
    statistic: Floats,
    low: Floats,
    high: Floats,
) -> tuple[Floats, Floats]:
    """Add to the truncation that the first stage did not reject."""
    move = (problem.loading @ first.covariance)[best] / variance
    rest = deviation - move * statistic
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.sort(np.stack([(-first.half_length - rest) / move, (first.half_length - rest) / move]), axis=0)
    moves = np.abs(move) > SAME * first.half_length
    return np.where(moves, np.maximum(low, ends[0]), low), np.where(moves, np.minimum(high, ends[1]), high)


def _upper_share(statistic: Floats, low: Floats, high: Floats) -> Floats:
    """Give ``P(Z > statistic | low <= Z <= high)`` for a standard normal, by logarithms of upper tails."""
    top, end, start = log_ndtr(-statistic), log_ndtr(-high), log_ndtr(-low)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.exp(top - start) * np.expm1(end - top) / np.expm1(end - start)
    return np.where(np.isfinite(share), share, 1.0)


def least_favourable(problem: Problem, size: float, draws: Floats, picks: Floats) -> float:
    """Give the value that the largest corner exceeds with probability ``size`` when all inequalities bind.

    ``P(any Z_v > c)`` by sampling a corner in proportion to ``P(Z_v > c)`` and the others given that it exceeds c: the sum
    of these probabilities divided by the number that exceed. Exact when no two can exceed c together. Owen, Maximov and
    Chertkov (2019), arXiv:1710.06965.

    Parameters
    ----------
    problem : Problem
    size : float
        Probability of exceeding, below one half.
    draws : (n, coefficients) array
        Normal draws with the covariance of the coefficients.
    picks : (n, 2) array
        Uniform draws: which corner, and how far it exceeds.
    """
    spread = np.sqrt(np.diag(problem.covariance))
    critical = float(spread.max() * ndtri(1 - size))
    with np.errstate(divide="ignore"):
        moving = ndtr(-critical / spread) > NEGLIGIBLE * size
    spread, covariance = spread[moving], problem.covariance[np.ix_(moving, moving)]
    normal = draws @ problem.loading[moving].T
    for used in (len(draws) // FIRST_PASS, len(draws)):
        for _ in range(NEWTON_STEPS):
            step = _towards(critical, size, spread, covariance, normal[:used], picks[:used])
            critical += step
            if abs(step) < CLOSE * critical:
                break
    return critical


def _towards(critical: float, size: float, spread: Floats, covariance: Floats, normal: Floats, picks: Floats) -> float:
    """Give the step from a critical value to a better one: Newton's on the logarithm of the tail, which is nearly straight."""
    tails = ndtr(-critical / spread)
    total = tails.sum()
    chosen = np.searchsorted(np.cumsum(tails) / total, picks[:, 0]).clip(max=len(tails) - 1)
    exceeding = -ndtri(tails[chosen] * (1 - picks[:, 1])) * spread[chosen]
    own = normal[np.arange(len(normal)), chosen]
    shift = (exceeding - own) / spread[chosen] ** 2
    count = (normal + covariance[chosen] * shift[:, None] > critical).sum(axis=1)
    found = total * (1 / np.maximum(count, 1)).mean()
    density = (np.exp(-0.5 * (critical / spread) ** 2) / spread).sum() / np.sqrt(2 * np.pi)
    return float(np.log(found / size) * total / density)
