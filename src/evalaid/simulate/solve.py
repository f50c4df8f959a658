"""County and quarter levels that make observed shares meet every published figure, whatever effect is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import SimulationError
from evalaid.simulate.programme_figures import read_figures

Floats = NDArray[np.float64]
N_FALLING, N_FLAT, N_RISING = (read_figures("guangdong").value(key) for key in ("falling", "flat", "rising"))
"""Counties whose share fell, stayed and rose from 2017 to 2018, as published."""

FLAT = 0.0002  # 0.02 points: a change below it counts as none, the others must lie beyond it
LEAST_SCALE, MOST_SCALE = 0.5, 2.5  # of the county shocks; beyond these the published 47 / 9 / 1 is no plausible draw


@dataclass(frozen=True)
class Pin:
    """A published county figure.

    Parameters
    ----------
    county : int
        Position of the county.
    columns : numpy.ndarray
        Positions of the quarters it covers.
    share : float
        Fraction.
    fades : float
        What remains, a quarter later, of the shock that makes the figure come true; before the first of its quarters
        there is none.
    """

    county: int
    columns: NDArray[np.intp]
    share: float
    fades: float


@dataclass(frozen=True)
class Problem:
    """What is given: volumes, loadings, levels of 2018, the province's path, pins.

    Parameters
    ----------
    episodes : numpy.ndarray
        (N, T).
    loading : numpy.ndarray
        (N,) how strongly a county follows the common path.
    share_2018, in_2018 : numpy.ndarray
        (N,) observed shares of 2018; (T,) bool, its quarters.
    province : numpy.ndarray
        (T,) observed aggregate.
    """

    episodes: NDArray[np.int64]
    loading: Floats
    share_2018: Floats
    in_2018: NDArray[np.bool_]
    province: Floats


def solve_levels(problem: Problem, added: Sequence[Floats], pins: Sequence[Pin]) -> list[Floats]:
    """Find the county and quarter levels for which the observed shares meet all equations.

    Assumes ``share_it = a_i + l_i b_t + sum_k d_k m_kt [i = i_k] + r_it``, linear in the unknown a, b, d.
    """
    episodes = problem.episodes
    n_units, n_periods = episodes.shape
    share_of_quarter = episodes / episodes.sum(axis=0)
    within = episodes * problem.in_2018
    within = within / within.sum(axis=1, keepdims=True)
    paths = np.zeros((len(pins), n_periods))
    for row, pin in enumerate(pins):
        after = np.arange(n_periods) - pin.columns.max()
        paths[row] = np.where(after > 0, pin.fades ** np.maximum(after, 0), 0.0)
        paths[row, pin.columns] = 1.0
    where = [pin.county for pin in pins]
    matrix = np.zeros((n_units + n_periods + len(pins),) * 2)
    counties, quarters, shocks = np.split(np.arange(matrix.shape[1]), [n_units, n_units + n_periods])
    matrix[np.ix_(counties, counties)] = np.eye(n_units)
    matrix[np.ix_(counties, quarters)] = problem.loading[:, None] * within
    matrix[where, shocks] = [within[i] @ path for i, path in zip(where, paths, strict=True)]
    matrix[np.ix_(quarters, counties)] = share_of_quarter.T
    matrix[quarters, quarters] = problem.loading @ share_of_quarter
    matrix[np.ix_(quarters, shocks)] = (share_of_quarter[where] * paths).T
    by_pin = np.zeros((len(pins), n_periods))
    for row, pin in enumerate(pins):
        by_pin[row, pin.columns] = episodes[pin.county, pin.columns] / episodes[pin.county, pin.columns].sum()
        same = [other for other, county in enumerate(where) if county == pin.county]
        matrix[shocks[row], pin.county] = 1.0
        matrix[shocks[row], quarters] = problem.loading[pin.county] * by_pin[row]
        matrix[shocks[row], shocks[same]] = paths[same] @ by_pin[row]
    right = np.zeros((matrix.shape[0], len(added)))
    right[:, 0] = np.concatenate([problem.share_2018, problem.province, [pin.share for pin in pins]])
    for column, array in enumerate(added):
        right[counties, column] -= (within * array).sum(axis=1)
        right[quarters, column] -= (share_of_quarter * array).sum(axis=0)
        right[shocks, column] -= (by_pin * array[where]).sum(axis=1)
    # County levels imply the aggregate of 2018, so one quarter's equation is spare: the common path is zero there instead.
    spare = n_units + int(np.flatnonzero(problem.in_2018)[0])
    matrix[spare], right[spare] = 0.0, 0.0
    matrix[spare, spare] = 1.0
    found = np.linalg.solve(matrix, right)
    results = []
    for column, array in enumerate(added):
        level, common, size = np.split(found[:, column], [n_units, n_units + n_periods])
        total = level[:, None] + problem.loading[:, None] * common + array
        np.add.at(total, where, size[:, None] * paths)
        results.append(total)
    return results


def find_shock_scale(episodes: NDArray[np.int64], fixed: Floats, shocks: Floats, years: NDArray[np.int64]) -> float:
    """Find how large the county shocks must be for 47 counties to rise, 9 to fall and 1 to stay in 2018.

    Assumes observed shares ``fixed + s shocks``. The published count is what fixes s: without shocks all counties would
    rise, with large ones half of them.
    """

    def change(array: Floats) -> Floats:
        yearly = [np.average(array, axis=1, weights=episodes * (years == year)) for year in (2017, 2018)]
        return yearly[1] - yearly[0]

    base, slope = change(fixed), change(shocks)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = np.where(slope == 0, np.nan, -base / slope)
    crossings = crossings[(crossings >= LEAST_SCALE) & (crossings <= MOST_SCALE)]
    for scale in crossings[np.argsort(np.abs(np.log(crossings)))]:
        if count_changes(base + scale * slope) == (N_RISING, N_FALLING, N_FLAT):
            return float(scale)
    raise SimulationError("No size of county shocks gives 47 rising and 9 falling counties in 2018.")


def count_changes(change: Floats) -> tuple[int, int, int]:
    """Count the counties that rose, fell and stayed (within 0.02 points).

    Examples
    --------
    >>> count_changes(np.array([0.01, -0.01, 0.0001]))
    (1, 1, 1)
    """
    flat = np.abs(change) < FLAT
    return int((~flat & (change > 0)).sum()), int((~flat & (change < 0)).sum()), int(flat.sum())
