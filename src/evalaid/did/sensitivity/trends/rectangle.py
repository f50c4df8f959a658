"""A normal vector inside a rectangle: how probable that is, and its mean given that it is inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

Floats = NDArray[np.float64]

REPLICATES = 8
TINY = 1e-300


@dataclass(frozen=True)
class Inside:
    """Probability of the rectangle, the mean given the rectangle, and standard errors of both from the replicates.

    Where the probability is below the smallest number there is no mean (NaN).
    """

    probability: float
    mean: Floats
    probability_error: float
    mean_error: Floats


def uniform_points(dimension: int, points: int, seed: int) -> Floats:
    """Return independently scrambled Sobol sequences, (replicates, points, dimension); ``points`` is rounded up to a power of two."""
    if dimension == 0:
        return np.zeros((1, 1, 0))
    generator = np.random.default_rng(seed)
    exponent = max(int(np.ceil(np.log2(points / REPLICATES))), 0)
    return np.stack([qmc.Sobol(dimension, rng=generator).random_base2(exponent) for _ in range(REPLICATES)])


def inside_rectangle(mean: Floats, covariance: Floats, half_width: Floats, uniform: Floats) -> Inside:
    """Integrate a normal density over ``|x| <= half_width``.

    One coordinate after the other is drawn inside its interval given the earlier ones; the widths of these intervals in
    probability multiply to the integral. Exact in one dimension. Genz (1992), doi:10.1080/10618600.1992.10477010.

    Shapes: mean, half_width (n,), covariance (n, n), uniform (replicates, points, n - 1).

    Examples
    --------
    >>> found = inside_rectangle(np.zeros(1), np.eye(1), np.array([1.96]), uniform_points(0, 1, 1))
    >>> round(found.probability, 4), found.mean.tolist()
    (0.95, [0.0])
    """
    size = len(mean)
    root = np.linalg.cholesky(covariance)
    shape = uniform.shape[:2]
    scores = np.zeros((*shape, size))
    weight = np.ones(shape)
    for k in range(size):
        centre = mean[k] + scores[:, :, :k] @ root[k, :k]
        low, high = (-half_width[k] - centre) / root[k, k], (half_width[k] - centre) / root[k, k]
        # Upper tails are lost to rounding: mirror intervals that lie above zero.
        turn = np.where(low > 0, -1.0, 1.0)
        low, high = np.where(turn < 0, -high, low), np.where(turn < 0, -low, high)
        below, above = ndtr(low), ndtr(high)
        width = np.maximum(above - below, TINY)
        weight = weight * width
        if k < size - 1:
            scores[:, :, k] = turn * ndtri(np.clip(below + uniform[:, :, k] * width, TINY, 1 - 1e-16))
        else:
            density = (np.exp(-0.5 * low**2) - np.exp(-0.5 * high**2)) / np.sqrt(2 * np.pi)
            scores[:, :, k] = turn * density / width
    probability = weight.mean(axis=1)
    total = float(probability.mean())
    if total <= TINY:
        return Inside(total, np.full(size, np.nan), 0.0, np.full(size, np.nan))
    average = (weight[:, :, None] * scores).mean(axis=1) @ root.T
    pooled = average.mean(axis=0) / total
    off = (average - pooled * probability[:, None]) / total
    return Inside(total, mean + pooled, float(_error(probability)), _error(off))


def _error(replicates: Floats) -> Floats:
    count = len(replicates)
    return replicates.std(axis=0, ddof=1) / np.sqrt(count) if count > 1 else np.zeros(replicates.shape[1:])
