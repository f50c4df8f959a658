"""Random parts that the generators share: serially correlated shocks, and counts that add up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def draw_ar1(rng: np.random.Generator, n_units: int, n_periods: int, rho: float) -> Floats:
    """Draw stationary first-order autoregressive paths with variance one.

    Notes
    -----
    ``u_t = rho u_{t-1} + sqrt(1 - rho^2) e_t``, ``u_0 ~ N(0, 1)``.

    Examples
    --------
    >>> draw_ar1(np.random.default_rng(1), 2, 3, 0.5).shape
    (2, 3)
    """
    path = rng.standard_normal((n_units, n_periods))
    step = np.sqrt(1 - rho**2)
    for period in range(1, n_periods):
        path[:, period] = rho * path[:, period - 1] + step * path[:, period]
    return path


def correlate(n_periods: int, rho: float) -> Floats:
    """Return the correlation matrix of a first-order autoregressive path.

    Examples
    --------
    >>> correlate(3, 0.5)[0].tolist()
    [1.0, 0.5, 0.25]
    """
    lag = np.abs(np.subtract.outer(np.arange(n_periods), np.arange(n_periods)))
    return rho ** lag.astype(float)


def condition(path: Floats, covariance: Floats, constraints: Floats, values: Floats) -> Floats:
    """Move a draw of a Gaussian path so that linear constraints hold exactly.

    Assumes that ``path`` is a draw with this covariance; the result is then a draw given the constraints.

    Notes
    -----
    ``x + S C' (C S C')^-1 (v - C x)``, known as conditioning by kriging. Journel and Huijbregts (1978), Mining
    Geostatistics.

    Examples
    --------
    >>> condition(np.zeros(2), np.eye(2), np.array([[0.5, 0.5]]), np.array([1.0])).tolist()
    [1.0, 1.0]
    """
    spread = covariance @ constraints.T
    return path + spread @ np.linalg.solve(constraints @ spread, values - constraints @ path)


def round_to_total(values: Floats, total: int) -> NDArray[np.int64]:
    """Round to whole numbers that add up to a given total, moving those with the largest remainders.

    Assumes that the values add up to the total within their number.

    Examples
    --------
    >>> round_to_total(np.array([1.4, 1.4, 1.2]), 4).tolist()
    [2, 1, 1]
    """
    flat = values.ravel()
    whole = np.floor(flat)
    short = int(total - whole.sum())
    if not 0 <= short <= len(flat):
        whole += np.round((total - whole.sum()) / len(flat))
        short = int(total - whole.sum())
    order = np.argsort(-(flat - whole), kind="stable") if short >= 0 else np.argsort(flat - whole, kind="stable")
    whole[order[: abs(short)]] += np.sign(short)
    return whole.astype(np.int64).reshape(values.shape)


def draw_from(rng: np.random.Generator, score: Floats, size: int) -> NDArray[np.intp]:
    """Draw units without replacement, with chances that rise with a score.

    Notes
    -----
    The largest of ``score + Gumbel``, which is sampling without replacement with chances ``exp(score)``.

    Examples
    --------
    >>> draw_from(np.random.default_rng(1), np.array([-np.inf, 0.0, np.inf]), 2).tolist()
    [1, 2]
    """
    return np.sort(np.argsort(-(score + rng.gumbel(size=len(score))), kind="stable")[:size])
