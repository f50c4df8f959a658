"""How untreated outcomes change with covariates: slopes of first differences among units whose treatment is unchanged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.linear import CONSTANT_TOLERANCE, Solver, standardise

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Slopes:
    """The slopes of each unit's baseline treatment."""

    values: Floats  # (p, N, T): Covariates, scaled so that slopes do not depend on their units
    slope: Floats  # (p, N)
    influence: Floats  # (N, p): What each unit does to the slopes of its own baseline
    collinear: int  # Baselines of changing units of whose covariates some do not move among unchanged units, or only with others

    @property
    def n_covariates(self) -> int:
        """Number of covariates p."""
        return len(self.values)

    def adjust(self, outcome: Floats) -> Floats:
        """Subtract what the slopes attribute to covariates."""
        return np.asarray(outcome - np.einsum("pn,pnt->nt", self.slope, self.values))


def fit_slopes(
    values: Floats, seen: Bools, unchanged: Bools, baseline: NDArray[np.intp], group: NDArray[np.intp], weight: Floats
) -> Slopes:
    """Regress changes of the outcome on changes of covariates and effects of group and period, by baseline treatment.

    Of each unit the changes between periods that follow one another, up to the last before its treatment changes.

    Shapes: ``values`` (1 + p, N, T), the outcome first; ``seen``, ``unchanged`` (N, T); ``baseline``, ``group`` (codes of units that are
    compared with each other: parts of a baseline) and ``weight`` (N,).

    Notes
    -----
    ``theta_d = (sum_it w_i dX_it~ dX_it~')^-1 sum_it w_i dX_it~ dY_it``, X~ net of the mean of the unchanged units of the group in t. De Chaisemartin
    and D'Haultfoeuille (2024), web appendix; as the option ``controls`` of ``did_multiplegt_dyn``.
    """
    outcome, covariates = values[0], values[1:]
    n_covariates, n_units = covariates.shape[:2]
    scaled = np.zeros_like(covariates)
    if n_covariates and seen.any():
        scaled[:, seen] = standardise(covariates[:, seen].T).T
    slope, influence = np.zeros((n_covariates, n_units)), np.zeros((n_units, n_covariates))
    collinear = 0
    used = unchanged & seen
    used[:, 1:] &= seen[:, :-1]
    used[:, 0] = False
    change = np.diff(np.array([outcome, *scaled]), axis=2, prepend=0.0) * used
    net = np.zeros_like(change)
    for code in np.unique(group) if n_covariates else ():
        rows = np.flatnonzero(group == code)
        mass = weight[rows, None] * used[rows]
        total = mass.sum(axis=0)
        mean = np.einsum("pit,it->pt", change[:, rows], mass) / np.where(total > 0, total, 1.0)
        net[:, rows] = (change[:, rows] - mean[:, None, :]) * used[rows]
    for code in np.unique(baseline) if n_covariates else ():
        rows = np.flatnonzero(baseline == code)
        y, x, mass = net[0, rows], net[1:, rows], weight[rows, None] * used[rows]
        moved, left = (np.einsum("pit,pit,it->p", part, part, mass) for part in (change[1:, rows], x))
        moving = left > CONSTANT_TOLERANCE**2 * moved
        x[~moving] = 0.0
        gram = np.einsum("pit,qit,it->pq", x, x, mass)
        solve = Solver(gram)
        found = solve(np.einsum("pit,it->p", x, mass * y))
        residual = mass * (y - np.einsum("p,pit->it", found, x))
        slope[:, rows] = found[:, None]
        influence[rows] = np.einsum("pit,it->ip", x, residual) @ solve(np.eye(n_covariates))
        collinear += int(solve.rank < n_covariates and not unchanged[rows].all())
    return Slopes(scaled, slope, influence, collinear)
