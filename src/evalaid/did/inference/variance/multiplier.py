"""Multiplier bootstrap of influence: standard errors and simultaneous critical values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from evalaid.base.errors import InferenceError

Floats = NDArray[np.float64]

# Draws are made in blocks of about this many weights, so that memory does not grow with draws x clusters.
BLOCK = 4_000_000
WEIGHTS = ("rademacher", "mammen", "webb", "normal")


def draw_weights(kind: str, shape: tuple[int, int], generator: np.random.Generator) -> Floats:
    """Draw multipliers with mean zero and variance one.

    Examples
    --------
    >>> import numpy as np
    >>> sorted(set(draw_weights("rademacher", (4, 8), np.random.default_rng(1)).ravel().tolist()))
    [-1.0, 1.0]
    """
    if kind == "rademacher":
        return generator.integers(0, 2, shape).astype(np.float64) * 2 - 1
    if kind == "mammen":
        root = np.sqrt(5.0)
        return np.asarray(np.where(generator.random(shape) < (root + 1) / (2 * root), (1 - root) / 2, (1 + root) / 2))
    if kind == "normal":
        return generator.standard_normal(shape)
    if kind == "webb":
        points = np.sqrt(np.array([0.5, 1.0, 1.5]))
        return np.concatenate([-points, points])[generator.integers(0, 6, shape)]
    raise InferenceError(f"weights={kind!r} is not a choice; choose {', '.join(WEIGHTS)}.")


def bootstrap(sums: Floats, draws: int, kind: str, seed: int | np.random.Generator) -> Floats:
    """Draw ``sum_g v_g psi_gk`` for random multipliers v.

    Shapes: sums (G, cells); returns (draws, cells).
    """
    generator = np.random.default_rng(seed)
    return np.concatenate([draw_weights(kind, (b, len(sums)), generator) @ sums for b in _blocks(draws, len(sums))])


def spread(draws: Floats) -> Floats:
    """Estimate the standard deviation of each column by its interquartile range, as R ``did`` does.

    ``(q75 - q25) / (z75 - z25)``: not moved by the rare large draws of unequal clusters.
    """
    low, high = np.quantile(draws, [0.25, 0.75], axis=0)
    return np.asarray((high - low) / (ndtri(0.75) - ndtri(0.25)))


def pointwise_critical_values(draws: Floats, std_error: Floats, level: float) -> Floats:
    """Return for each column the quantile of ``|draw| / std_error`` at ``level``."""
    return np.quantile(np.abs(draws) / std_error, level, axis=0, method="higher")


def simultaneous_critical_value(draws: Floats, std_error: Floats, level: float) -> float:
    """Return the quantile at ``level`` of the largest ``|draw| / std_error`` over the columns (sup-t).

    Intervals of this width hold all true effects at once with probability ``level``. Montiel Olea and
    Plagborg-Moller (2019), doi:10.1002/jae.2656.
    """
    return float(np.quantile((np.abs(draws) / std_error).max(axis=1), level, method="higher"))


def _blocks(draws: int, clusters: int) -> Iterator[int]:
    size = max(1, BLOCK // clusters)
    for start in range(0, draws, size):
        yield min(size, draws - start)
