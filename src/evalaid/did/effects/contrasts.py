"""The least-squares problem behind estimates that are linear combinations of regression coefficients.

Influence is enough for errors of the CR0 and CR1 kind. The wild cluster bootstrap, CR2 and leverage need more: residuals
under a null hypothesis, hat matrices within clusters, leave-one-cluster-out coefficients. They follow from what is held here,
still without a dummy: regressors are functions of cohort and period, and covariates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.influence import Rows
from evalaid.did.effects.linear import PanelData, Solver, squares_of, within, within_gram, without_absorbed

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class LeastSquares:
    """A weighted regression ``y_it = [unit effect] + B_ct' b + x_it' c + e_it``; everything but the data is computed on demand.

    Throughout, X is the (observations, J) matrix of regressors, net of unit means where unit effects are absorbed, and M
    the diagonal matrix of observation weights; J counts the ``columns`` and then the covariates. Neither is ever formed.
    """

    data: PanelData  # Outcome, observation weights (``mass``), the covariates in use; units sorted by cohort
    # (C, T, K): Columns by cohort and period. With ``absorbed="unit"`` the period effects are added behind them; with
    # ``absorbed="none"`` these are all columns there are
    design: Floats
    absorbed: Literal["unit", "none"] = "unit"  # Whether unit effects are taken out of everything

    @cached_property
    def columns(self) -> Floats:
        """All columns by cohort and period, (C, T, J - p): the design, and period effects where units are absorbed."""
        if self.absorbed == "none":
            return self.design
        n_cohorts, n_periods = self.design.shape[:2]
        periods = np.broadcast_to(np.eye(n_periods)[:, 1:], (n_cohorts, n_periods, n_periods - 1))
        return np.concatenate([self.design, periods], axis=2)

    @cached_property
    def covariates(self) -> Floats:
        """The covariates, (p, N, T), net of unit means where unit effects are absorbed; zero where not observed."""
        return np.array([self._net(x) for x in self.data.covariates]).reshape(self.data.covariates.shape)

    @cached_property
    def solve(self) -> Solver:
        """The solver of the normal equations ``X'MX b = r``, (J, J)."""
        return Solver(self._gram())

    @cached_property
    def inverse(self) -> Floats:
        """The (generalised) inverse of ``X'MX``, (J, J)."""
        return self.solve(np.eye(self.columns.shape[2] + len(self.covariates)))

    @cached_property
    def coefficient(self) -> Floats:
        """All coefficients, (J,)."""
        return self.solve(self.products(self._net(self.data.outcome)))

    @cached_property
    def residual(self) -> Floats:
        """Residuals ``e``, (N, T), not weighted; zero where not observed."""
        return self._net(self.data.outcome) - self.fitted(self.coefficient)

    def same_as(self, other: LeastSquares) -> bool:
        """Return whether the other regression has the same outcome, weights, regressors and rows."""
        if self is other:
            return True
        one, two = self.data, other.data
        return (
            self.absorbed == other.absorbed
            and len(one.slices) == len(two.slices)
            and all(map(np.array_equal, map(_rows, one.slices), map(_rows, two.slices)))
            and np.array_equal(self.design, other.design)
            and np.array_equal(one.outcome, two.outcome)
            and np.array_equal(one.covariates, two.covariates)
            and (one.mass is None) == (two.mass is None)
            and (one.mass is None or two.mass is None or np.array_equal(one.mass, two.mass))
        )

    def weighted(self, values: Floats) -> Floats:
        """Multiply (N, T) values by the observation weights."""
        return values if self.data.mass is None else values * self.data.mass

    def fitted(self, coefficient: Floats) -> Floats:
        """Return ``X b`` as an (N, T) array, zero where not observed."""
        n_columns = self.columns.shape[2]
        index = self.columns @ coefficient[:n_columns]
        fitted = np.empty_like(self.data.outcome)
        for cohort, rows in enumerate(self.data.slices):
            fitted[rows] = index[cohort]
        fitted = self._net(fitted)
        for slope, x in zip(coefficient[n_columns:], self.covariates, strict=True):
            fitted += slope * x
        return fitted

    def products(self, values: Floats) -> Floats:
        """Return ``X'M v`` of (N, T) values net of unit means: (J,)."""
        weighted = self.weighted(values)
        sums = np.array([weighted[rows].sum(axis=0) for rows in self.data.slices])
        return np.concatenate([
            np.einsum("ctw,ct->w", self.columns, sums),
            np.array([np.vdot(x, weighted) for x in self.covariates]).reshape(-1),
        ])  # fmt: skip

    def counts(self, clusters: Codes, n_clusters: int) -> Codes:
        """Count the units of each cohort in each cluster, (C, G)."""
        return np.array([np.bincount(clusters[rows], minlength=n_clusters) for rows in self.data.slices])

    def _net(self, values: Floats) -> Floats:
        """Take unit means out where unit effects are absorbed."""
        if self.absorbed == "unit":
            return within(values, self.data.mass)
        return values if self.data.mass is None else values * (self.data.mass > 0)

    def _gram(self) -> Floats:
        n_columns, width = self.columns.shape[2], self.columns.shape[2] + len(self.covariates)
        gram = np.zeros((width, width))
        for cohort, mass in enumerate(self._mass_grams()):
            used = np.flatnonzero(self.columns[cohort].any(axis=0))
            active = self.columns[cohort][:, used]
            gram[np.ix_(used, used)] += active.T @ mass @ active
        gram[:n_columns, :n_columns] = without_absorbed(
            gram[:n_columns, :n_columns], squares_of(self.data, self.columns)
        )
        for k, x in enumerate(self.covariates):
            gram[n_columns + k] = gram[:, n_columns + k] = self.products(x)
        return gram

    def _mass_grams(self) -> Floats:
        """Return each cohort's Gram matrix of period dummies, (C, T, T), net of unit means where these are absorbed."""
        if self.absorbed == "unit":
            return within_gram(self.data)
        return np.array(
            [np.diag(self.weighted(np.ones_like(self.data.outcome))[rows].sum(axis=0)) for rows in self.data.slices]
        )


def _rows(rows: Rows) -> NDArray[np.int64]:
    """Return what tells two sets of rows apart."""
    return np.array([rows.start, rows.stop]) if isinstance(rows, slice) else rows


@dataclass(frozen=True, eq=False, repr=False)
class Contrasts:
    """Linear combinations of the coefficients of a regression: ``estimate_k = sum_j weights[j, k] b_j``.

    What an :class:`evalaid.did.effects.effects.Effects` carries in ``contrasts`` when its estimates are such combinations, with weights
    that do not depend on the outcome. ``select``, ``combine``, ``aggregate`` with fixed weights and the difference of two sets
    from one regression keep it; JSON, other scales (:func:`evalaid.did.estimators.scales.report_back`) and averages with estimated weights do not.
    """

    problem: LeastSquares  # The regression, shared by all combinations
    # (K, cells): Of the first K coefficients (those of ``problem.design``) in each estimate; a column of zeros for an
    # estimate that is fixed by construction. An estimate that is not identified has a column, too: its value is NaN
    weights: Floats

    def combine(self, matrix: Floats) -> Contrasts:
        """Return the combinations in the columns of a (cells, combinations) matrix."""
        return replace(self, weights=self.weights @ matrix)

    def minus(self, other: Contrasts) -> Contrasts | None:
        """Subtract other combinations of the same regression, column by column; None when theirs is another one."""
        if not self.problem.same_as(other.problem):
            return None
        return replace(self, weights=self.weights - other.weights)

    @cached_property
    def directions(self) -> Floats:
        """The combinations over all coefficients of the regression, (J, cells): ``estimate = directions' coefficient``."""
        width = self.problem.columns.shape[2] + len(self.problem.data.covariates)
        full = np.zeros((width, self.weights.shape[1]))
        full[: len(self.weights)] = self.weights
        return full

    @cached_property
    def solved(self) -> Floats:
        """``(X'MX)^- c`` of the combinations, (J, cells)."""
        return np.asarray(self.problem.inverse @ self.directions)
