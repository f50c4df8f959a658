"""Shortest intervals of fixed length around a linear estimator when second differences of the violation are at most m.

The estimator is ``weights' b_post`` less a linear extrapolation of the coefficients before treatment. With u_s the
cumulated weights before treatment, its largest bias is ``m (fixed + sum |u_s|)`` and its variance is quadratic in u: for each
trade-off between the two a lasso, whose solutions form a path of straight pieces that does not depend on m.
Rambachan and Roth (2023), section 3.1, doi:10.1093/restud/rdad018; Armstrong and Kolesar (2018), doi:10.3982/ECTA14434;
the path: Osborne, Presnell and Turlach (2000), doi:10.1093/imanum/20.3.389.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]

NEWTON_STEPS = 50
EXACT = 1e-12
# The length is flat around its minimum: a position along the path to 1e-9 gives the length to about 1e-16.
POSITION = 1e-9
SCAN = 9


@dataclass(frozen=True)
class Interval:
    """The shortest interval at one m: centre, half length, largest bias, standard error, and the weights on all coefficients."""

    centre: float
    half_length: float
    bias: float
    std_error: float
    weights: Floats


@dataclass(frozen=True)
class Path:
    """The estimators that trade bias for variance best, from the least biased to the least variable one.

    ``corners`` (points, n): weights on the coefficients at the corners of the path; in between they are linear.
    ``bias`` (points,): largest bias divided by m.
    """

    corners: Floats
    bias: Floats

    def at(self, position: float) -> tuple[Floats, float]:
        """Return weights and bias at a position from 0 to ``points - 1``."""
        before = min(int(position), max(len(self.bias) - 2, 0))
        part = position - before
        after = min(before + 1, len(self.bias) - 1)
        weights = (1 - part) * self.corners[before] + part * self.corners[after]
        return weights, float((1 - part) * self.bias[before] + part * self.bias[after])


def folded_quantile(level: float, mean: Floats) -> Floats:
    """Return the quantile at ``level`` of ``|N(mean, 1)|``, exact to rounding.

    Newton's method on ``Phi(c - mean) - Phi(-c - mean) = level`` from ``mean + z``, which lies below the root of a function
    that is concave from there on.

    Examples
    --------
    >>> folded_quantile(0.95, np.array([0.0, 2.0])).round(4).tolist()
    [1.96, 3.6449]
    """
    mean = np.abs(np.asarray(mean, dtype=float))
    found = mean + max(float(ndtri(level)), 0.0)
    for _ in range(NEWTON_STEPS):
        short = level - (ndtr(found - mean) - ndtr(-found - mean))
        density = (np.exp(-0.5 * (found - mean) ** 2) + np.exp(-0.5 * (found + mean) ** 2)) / np.sqrt(2 * np.pi)
        step = short / density
        found = found + step
        if np.abs(step).max(initial=0.0) < EXACT * (1 + np.abs(found).max(initial=0.0)):
            break
    return found


def trace(n_pre: int, weights: Floats, covariance: Floats) -> Path:
    """Trace the estimators of ``weights' tau`` that no other beats in both bias and variance.

    A linear violation causes no bias in any of them.

    Shapes: weights (n_post,).
    """
    n_post = len(weights)
    times = np.arange(1, n_post + 1)
    hinge = np.maximum(times[None, :] - np.arange(n_post)[:, None], 0)
    fixed = float(np.abs(hinge @ weights).sum())
    # u_s for s = -n_pre+1 .. -1 is free, u_0 balances the trend after treatment; a weight is a second difference of u.
    before = _second_differences(n_pre)
    start = np.concatenate([before[:, -1] * float(times @ weights), weights])
    free = np.vstack([before[:, :-1], np.zeros((n_post, n_pre - 1))])
    points = _lasso_path(free.T @ covariance @ free, free.T @ covariance @ start)
    return Path(start + points @ free.T, fixed + np.abs(points).sum(axis=1))


def _second_differences(n_pre: int) -> Floats:
    """Return the weights before treatment, t = -n_pre .. -1, as functions of u_s, s = -n_pre+1 .. 0."""
    return np.eye(n_pre) - 2 * np.eye(n_pre, k=-1) + np.eye(n_pre, k=-2)


def _lasso_path(gram: Floats, gradient: Floats) -> Floats:
    """Return the corners of ``argmin u'gram u / 2 + gradient'u + penalty sum |u|`` from the largest penalty to none."""
    size = len(gradient)
    current = np.zeros(size)
    corners = [current]
    if not size:
        return np.zeros((1, 0))
    penalty = float(np.abs(gradient).max())
    active = np.abs(gradient) >= penalty * (1 - EXACT)
    sign = -np.sign(gradient)
    while penalty > 0:
        chosen = np.flatnonzero(active)
        inside = gram[np.ix_(chosen, chosen)]
        direction = np.zeros(size)
        direction[chosen] = np.linalg.solve(inside, sign[chosen])
        slope = gram @ direction
        residual = gradient + gram @ current
        # Going down by d: u moves by d direction; an idle residual meets the penalty, or a used u meets zero.
        with np.errstate(divide="ignore", invalid="ignore"):
            meets = np.concatenate([(penalty - residual) / (1 + slope), (penalty + residual) / (1 - slope)])
            zeros = -current / direction
        idle = np.tile(~active, 2)
        meets = np.where(idle & (meets > EXACT * penalty), meets, np.inf)
        zeros = np.where(active & (zeros > EXACT * penalty), zeros, np.inf)
        step = min(float(meets.min()), float(zeros.min()), penalty)
        current = current + step * direction
        penalty -= step
        if step == zeros.min():
            left = int(zeros.argmin())
            active[left], current[left] = False, 0.0
        elif step == meets.min():
            new = int(meets.argmin())
            active[new % size] = True
            sign[new % size] = -np.sign((residual + step * slope)[new % size])
        else:
            penalty = 0.0
        corners.append(current)
    return np.array(corners)


def shortest(path: Path, estimate: Floats, covariance: Floats, m: float, level: float) -> Interval:
    """Find the shortest interval on the path at m."""

    def half_length(position: float) -> float:
        weights, bias = path.at(position)
        spread = np.sqrt(weights @ covariance @ weights)
        return float(folded_quantile(level, np.array(m * bias / spread)) * spread)

    last = len(path.bias) - 1
    places = np.linspace(0, last, SCAN * last + 1)
    lengths = np.array([half_length(place) for place in places])
    best = int(lengths.argmin())
    position = places[best]
    if last:
        low, high = places[max(best - 1, 0)], places[min(best + 1, len(places) - 1)]
        refined = minimize_scalar(half_length, bounds=(low, high), method="bounded", options={"xatol": POSITION})
        position = refined.x if refined.fun < lengths[best] else position
    weights, bias = path.at(position)
    return Interval(
        centre=float(weights @ estimate),
        half_length=half_length(position),
        bias=m * bias,
        std_error=float(np.sqrt(weights @ covariance @ weights)),
        weights=weights,
    )
