"""Tests of an effect under moment inequalities with nuisance parameters: conditional, and least favourable first.

The statistic for the value t of the effect is ``max over corners of u_v(t)``, ``u_v(t) = (g_v'(rows b - right) - k_v t) /
g_v'sd``, where ``sd`` holds the standard deviations of the rows: the value of a linear programme by its dual. Where all
corners are known (see :mod:`evalaid.did.sensitivity.trends.corners`) no programme is solved and a whole grid of t is one array. Where they
are too many, those that matter at the data are found by programmes at few values of t: as functions of t the statistic and the
ends of its truncation are straight between the values where their corners change.
Andrews, Roth and Pakes (2023), doi:10.1093/restud/rdad004; Rambachan and Roth (2023), doi:10.1093/restud/rdad018.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri

from evalaid.did.sensitivity.trends.corners import Corners
from evalaid.did.sensitivity.trends.inequalities import Inequalities

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
# Truncation so many standard deviations away is none.
FAR = 40.0
# Draws at which corners are looked for at a time, until those known fall short of the largest by less than this share. The
# critical value falls short by less, about a tenth of what its simulation leaves.
SEARCHED = 64
SHORTFALL = 1e-3


@dataclass(frozen=True, eq=False)
class MomentProblem:
    """One polyhedron of violations, ready to test.

    ``value`` (corners,) or (corners, draws): standardised ``g'(rows b - right)``. ``slope`` (corners,): what one unit
    of the effect takes off. ``covariance`` (corners, corners): of ``value``. ``loading`` (corners, coefficients):
    ``value`` as a function of the coefficients. ``offset`` (corners,): ``loading b - offset = value``. ``estimate``
    (coefficients,) or (coefficients, draws): b. ``multipliers`` (corners, rows): standardised. ``corners``.
    ``inequalities``. ``critical``: least favourable critical value; infinite without a first stage.
    """

    value: Floats
    slope: Floats
    covariance: Floats
    loading: Floats
    offset: Floats
    estimate: Floats
    multipliers: Floats
    corners: Corners
    inequalities: Inequalities
    critical: float = np.inf

    def at(self, estimate: Floats) -> MomentProblem:
        """Take other estimates with the same covariance; (coefficients,) or (coefficients, draws)."""
        offset = self.offset if estimate.ndim == 1 else self.offset[:, None]
        return replace(self, value=self.loading @ estimate - offset, estimate=estimate)

    def joined(self, multipliers: Floats) -> MomentProblem:
        """Add the corners with these multipliers, (corners, rows)."""
        corners = self.corners.joined(multipliers)
        return replace(pose(self.inequalities, corners, self.estimate), critical=self.critical)


@dataclass(frozen=True)
class FirstStage:
    """A fixed-length interval that is tried before the conditional test: ``|weights b - t| <= half_length``.

    ``covariance`` is that of ``weights b`` with the coefficients, (coefficients,).
    """

    covariance: Floats
    value: float
    half_length: float


def pose(inequalities: Inequalities, corners: Corners, estimate: Floats) -> MomentProblem:
    """Standardise the inequalities at the corners."""
    scale = corners.matrix @ inequalities.spread
    used = scale > 0
    multipliers = corners.matrix[used] / scale[used, None]
    loading, offset = multipliers @ inequalities.rows, multipliers @ inequalities.right
    return MomentProblem(
        value=loading @ estimate - (offset if estimate.ndim == 1 else offset[:, None]),
        slope=corners.slopes[used] / scale[used],
        covariance=loading @ inequalities.covariance @ loading.T,
        loading=loading,
        offset=offset,
        estimate=estimate,
        multipliers=multipliers,
        corners=corners,
        inequalities=inequalities,
    )


@dataclass(frozen=True, eq=False)
class _Largest:
    """The largest corner at each hypothesised effect, and between which values of it no other corner is larger, (values,).

    ``corners`` are the three that decide: the largest, and those that take over below and above; (3, values).
    """

    statistic: Floats
    variance: Floats
    low: Floats
    high: Floats
    corners: NDArray[np.intp]


def _find_largest(problem: MomentProblem, effects: Floats) -> _Largest:
    value = problem.value if problem.value.ndim > 1 else problem.value[:, None]
    every = value - problem.slope[:, None] * effects
    best = every.argmax(axis=0)
    place = np.arange(every.shape[1])
    statistic = every[best, place]
    variance = np.diag(problem.covariance)[best]
    ratio = problem.covariance[:, best] / np.where(variance < NO_VARIANCE, 1.0, variance)
    gap = 1 - ratio
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = (every - ratio * statistic) / gap
    below, above = np.where(gap > SAME, crossing, -np.inf), np.where(gap < -SAME, crossing, np.inf)
    under, over = below.argmax(axis=0), above.argmin(axis=0)
    return _Largest(statistic, variance, below[under, place], above[over, place], np.stack([best, under, over]))


def accepts(problem: MomentProblem, effects: Floats, size: float, first: FirstStage | None = None) -> NDArray[np.bool_]:
    """Compute which values of the effect the conditional test of this size does not reject, by the corners of the problem.

    Given which corner is largest, the statistic is a normal truncated to an interval that the rest of the data fixes; it
    rejects when positive and in the upper ``size`` of that distribution. A first stage rejects beyond ``critical`` (or
    outside the fixed-length interval) and cuts the interval there.

    Shapes: effects (values,).
    """
    return _decide(problem, _find_largest(problem, effects), effects, size, first)


def settle(
    problem: MomentProblem, effects: Floats, size: float, first: FirstStage | None = None
) -> tuple[NDArray[np.bool_], MomentProblem]:
    """Test as `accepts` with all corners that matter at these effects, in order of size; give the problem with them, too."""
    found = _find_largest(problem, effects)
    while not problem.corners.complete:
        larger = _search_along(problem, found, effects)
        if not len(larger):
            break
        known, problem = len(problem.slope), problem.joined(larger)
        found = _find_largest(problem, effects)
        if len(problem.slope) == known:
            break
    return _decide(problem, found, effects, size, first), problem


def _search_along(problem: MomentProblem, found: _Largest, effects: Floats) -> Floats:
    """Find the multipliers of corners that are larger than those known, (corners, rows).

    At the effects where the largest corner or one of those that cut its range change: there, and at both ends of the range.
    """
    changes = (np.diff(found.corners) != 0).any(axis=0)
    knots = np.r_[True, changes] | np.r_[changes, True]
    given, best = problem.inequalities, problem.multipliers[found.corners[0, knots]]
    statistic, variance = found.statistic[knots], np.maximum(found.variance[knots], NO_VARIANCE)
    reach = FAR * np.sqrt(variance)
    at = (given.rows @ problem.estimate - given.right)[:, None] - given.shift[:, None] * effects[knots]
    along = given.rows @ (given.covariance @ (given.rows.T @ best.T)) / variance
    ends = (
        np.maximum(found.low[knots], statistic - reach),
        np.clip(np.minimum(found.high[knots], problem.critical), statistic, statistic + reach),
    )
    moments = np.concatenate([at, *(at + along * (end - statistic) for end in ends)], axis=1)
    known = np.concatenate([statistic, *ends])
    larger = given.largest(moments)
    return np.asarray(larger[(larger * moments.T).sum(axis=1) > known + SAME * np.maximum(1.0, np.abs(known))])


def _decide(
    problem: MomentProblem, found: _Largest, effects: Floats, size: float, first: FirstStage | None
) -> NDArray[np.bool_]:
    statistic, fixed = found.statistic, found.variance < NO_VARIANCE
    variance = np.where(fixed, 1.0, found.variance)
    low, high = found.low, np.minimum(found.high, problem.critical)
    outside = statistic > problem.critical
    if first is not None:
        deviation = first.value - effects
        outside = outside | (np.abs(deviation) > first.half_length)
        low, high = _cut(problem, first, found.corners[0], variance, deviation, statistic, low, high)
    spread = np.sqrt(variance)
    beyond = _upper_share(statistic / spread, np.minimum(low, statistic) / spread, np.maximum(high, statistic) / spread)
    rejected = np.where(fixed, statistic > SAME, outside | ((statistic > 0) & (beyond < size)))
    return ~rejected


def _cut(
    problem: MomentProblem,
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
    """Return ``P(Z > statistic | low <= Z <= high)`` for a standard normal, by logarithms of upper tails."""
    top, end, start = log_ndtr(-statistic), log_ndtr(-high), log_ndtr(-low)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.exp(top - start) * np.expm1(end - top) / np.expm1(end - start)
    return np.where(np.isfinite(share), share, 1.0)


def least_favourable(problem: MomentProblem, size: float, draws: Floats, picks: Floats) -> float:
    """Return the value that the largest corner exceeds with probability ``size`` when all inequalities bind.

    ``P(any Z_v > c)`` by sampling a corner in proportion to ``P(Z_v > c)`` and the others given that it exceeds c: the sum
    of these probabilities divided by the number that exceed. Exact when no two can exceed c together. Owen, Maximov and
    Chertkov (2019), arXiv:1710.06965.

    Shapes: draws (n, coefficients), picks (n, 2).

    Notes
    -----
    Where corners are missing, those that are largest at one of the draws are looked for first.
    """
    problem = _search_around(problem, draws)
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


def _search_around(problem: MomentProblem, draws: Floats) -> MomentProblem:
    """Add corners that are largest at draws of the coefficients, until hardly any is missing."""
    if problem.corners.complete:
        return problem
    given = problem.inequalities
    for start in range(0, len(draws), SEARCHED):
        moments = given.rows @ draws[start : start + SEARCHED].T
        larger = given.largest(moments)
        reached = (problem.multipliers @ moments).max(axis=0) / (larger * moments.T).sum(axis=1)
        problem = problem.joined(larger)
        if 1 - reached.mean() < SHORTFALL:
            break
    return problem


def _towards(critical: float, size: float, spread: Floats, covariance: Floats, normal: Floats, picks: Floats) -> float:
    """Return the step from a critical value to a better one: Newton's on the logarithm of the tail, which is nearly straight."""
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
