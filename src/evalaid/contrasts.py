"""The least-squares problem behind estimates that are linear combinations of regression coefficients.

Influence is enough for errors of the CR0 and CR1 kind. The wild cluster bootstrap, CR2 and leverage need more: residuals
under a null hypothesis, hat matrices within clusters, leave-one-cluster-out coefficients. They follow from what is held here,
still without a dummy: regressors are functions of cohort and period, and covariates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from evalaid.linear import PanelData, Solver, within, within_gram

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

# Clusters' Gram matrices are made in batches of about this many numbers.
BATCH = 2_000_000


@dataclass(frozen=True, eq=False, repr=False)
class LeastSquares:
    """A weighted regression ``y_it = [unit effect] + B_ct' b + x_it' c + e_it``; everything but the data is computed on demand.

    Throughout, X is the (observations, J) matrix of regressors, net of unit means where unit effects are absorbed, and M
    the diagonal matrix of observation weights; J counts the ``columns`` and then the covariates. Neither is ever formed.

    Parameters
    ----------
    data : PanelData
        Outcome, observation weights (``mass``), the covariates in use; units sorted by cohort.
    design : (C, T, K) array
        Columns by cohort and period. With ``absorbed="unit"`` the period effects are added behind them; with
        ``absorbed="none"`` these are all columns there are.
    absorbed : {"unit", "none"}
        Whether unit effects are taken out of everything.
    """

    data: PanelData
    design: Floats
    absorbed: Literal["unit", "none"] = "unit"

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
        """Say whether the other regression has the same outcome, weights, regressors and rows."""
        if self is other:
            return True
        one, two = self.data, other.data
        return (
            self.absorbed == other.absorbed
            and one.slices == two.slices
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
        """Give ``X b`` as an (N, T) array, zero where not observed."""
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
        """Give ``X'M v`` of (N, T) values net of unit means: (J,)."""
        weighted = self.weighted(values)
        sums = np.array([weighted[rows].sum(axis=0) for rows in self.data.slices])
        return np.concatenate([
            np.einsum("ctw,ct->w", self.columns, sums),
            np.array([np.vdot(x, weighted) for x in self.covariates]).reshape(-1),
        ])  # fmt: skip

    def sums(self, values: Floats, clusters: Codes) -> Iterator[tuple[int, Codes, Floats]]:
        """Sum (N, T) values over the units of each cluster, cohort by cohort.

        Parameters
        ----------
        values : (N, T) array
            By unit, rows as in ``data``.
        clusters : (N,) array of int
            Cluster codes of the units.

        Yields
        ------
        cohort : int
            Position on the first axis of the columns.
        here : (n,) array of int
            The clusters with units of this cohort, ascending.
        sums : (n, T) array
            Theirs; a view of ``values`` where every unit is a cluster and codes ascend.
        """
        for cohort, rows in enumerate(self.data.slices):
            codes = clusters[rows]
            if not len(codes):
                continue
            if (codes[1:] > codes[:-1]).all():
                yield cohort, codes, values[rows]
                continue
            here, place = np.unique(codes, return_inverse=True)
            member = csr_array((np.ones(len(codes)), (place, np.arange(len(codes)))), shape=(len(here), len(codes)))
            yield cohort, here, member @ values[rows]

    def scores(self, values: Floats, clusters: Codes, n_clusters: int) -> Floats:
        """Give ``X_g'M v_g`` of (N, T) values for every cluster: (G, J). With residuals, the clusters' scores."""
        weighted = self.weighted(values)
        n_columns = self.columns.shape[2]
        scores = np.zeros((n_clusters, n_columns + len(self.covariates)))
        for cohort, here, sums in self.sums(weighted, clusters):
            used = np.flatnonzero(self.columns[cohort].any(axis=0))
            scores[np.ix_(here, used)] += sums @ self.columns[cohort][:, used]
        for k, x in enumerate(self.covariates):
            own = np.einsum("it,it->i", x, weighted)
            scores[:, n_columns + k] = np.bincount(clusters, weights=own, minlength=n_clusters)
        return scores

    def presence(self, clusters: Codes, n_clusters: int) -> NDArray[np.bool_]:
        """Say which clusters hold units of which cohort, (C, G)."""
        return self._counts(clusters, n_clusters) > 0

    def alike(self, clusters: Codes, n_clusters: int) -> Codes:
        """Number the clusters so that those with one number are known to have the same Gram matrix: (G,)."""
        if not self._balanced:
            return np.arange(n_clusters)
        return _number(self._counts(clusters, n_clusters))

    def grams(self, clusters: Codes, n_clusters: int) -> Iterator[ClusterGrams]:
        """Give ``X_g'MX_g`` of every cluster, over the regressors that are not zero in it.

        Parameters
        ----------
        clusters : (N,) array of int
            Cluster codes of the units.
        n_clusters : int
            G.

        Yields
        ------
        ClusterGrams
            Clusters with units of the same cohorts, some at a time; each cluster once. Balanced, unweighted and without
            covariates: clusters with the same number of units of each cohort, at once, with their one matrix.
        """
        n_columns, n_periods = self.columns.shape[2], self.columns.shape[1]
        counts, alike = self._counts(clusters, n_clusters), self._balanced
        kind = _number(counts if alike else (counts > 0).astype(np.int64))
        covariates = n_columns + np.arange(len(self.covariates))
        order = np.argsort(clusters, kind="stable")
        for number in range(kind.max() + 1):
            members = np.flatnonzero(kind == number)
            cohorts = counts[:, members[0]] > 0
            used = np.flatnonzero(self.columns[cohorts].any(axis=(0, 1)))
            active = np.append(used, covariates)
            step = len(members) if alike else max(1, BATCH // max(len(active), n_periods) ** 2)
            for start in range(0, len(members), step):
                here = members[start : start + step]
                chosen = here[:1] if alike else here
                wanted = np.zeros(n_clusters, dtype=bool)
                wanted[chosen] = True
                units = order[wanted[clusters[order]]]
                yield ClusterGrams(here, active, self._cluster_grams(chosen, counts, clusters, units, cohorts, used))

    @property
    def _balanced(self) -> bool:
        """Whether the regressors of a unit depend on nothing but its cohort."""
        return self.data.mass is None and not len(self.data.covariates)

    def _counts(self, clusters: Codes, n_clusters: int) -> Codes:
        """Count the units of each cohort in each cluster, (C, G)."""
        return np.array([np.bincount(clusters[rows], minlength=n_clusters) for rows in self.data.slices])

    def _cluster_grams(
        self, here: Codes, counts: Codes, clusters: Codes, units: Codes, cohorts: NDArray[np.bool_], used: Codes
    ) -> Floats:
        """Give the Gram matrices of some clusters with units of the same cohorts, (n, E, E)."""
        n_used, p = len(used), len(self.covariates)
        place = np.searchsorted(here, clusters[units])
        grams = np.zeros((len(here), n_used + p, n_used + p))
        for cohort in np.flatnonzero(cohorts):
            rows = self.data.slices[cohort]
            own = (units >= rows.start) & (units < rows.stop)
            columns = self.columns[cohort][:, used]
            mass = self._period_grams(units[own], place[own], counts[cohort, here].astype(np.float64))
            grams[:, :n_used, :n_used] += columns.T @ mass @ columns
            for k, x in enumerate(self.covariates):
                sums = np.zeros((len(here), len(columns)))
                np.add.at(sums, place[own], self._of(units[own], x))
                grams[:, :n_used, n_used + k] += sums @ columns
        for k, x in enumerate(self.covariates):
            grams[:, n_used + k, :n_used] = grams[:, :n_used, n_used + k]
            weighted = self._of(units, x)
            for j in range(k + 1):
                own_products = np.einsum("it,it->i", weighted, self.covariates[j][units])
                both = np.bincount(place, weights=own_products, minlength=len(here))
                grams[:, n_used + k, n_used + j] = grams[:, n_used + j, n_used + k] = both
        return grams

    def _of(self, units: Codes, values: Floats) -> Floats:
        """Give the rows of some units, times the observation weights."""
        return values[units] if self.data.mass is None else values[units] * self.data.mass[units]

    def _period_grams(self, units: Codes, place: Codes, counts: Floats) -> Floats:
        """Give the Gram matrix of period dummies of each cluster from its units of one cohort, (n, T, T)."""
        n_periods = self.data.outcome.shape[1]
        if self.data.mass is None:
            one = np.eye(n_periods) - (1.0 / n_periods if self.absorbed == "unit" else 0.0)
            return counts[:, None, None] * one
        mass = self.data.mass[units]
        sums = np.zeros((len(counts), n_periods))
        np.add.at(sums, place, mass)
        grams = sums[:, :, None] * np.eye(n_periods)
        if self.absorbed == "unit":
            total = mass.sum(axis=1, keepdims=True)
            scaled = mass / np.sqrt(np.where(total > 0, total, 1.0))
            if len(units) == len(counts):
                return grams - scaled[:, :, None] * scaled[:, None, :]
            bounds = np.append(0, np.cumsum(counts)).astype(np.int64)
            for g, (start, end) in enumerate(pairwise(bounds)):
                grams[g] -= scaled[start:end].T @ scaled[start:end]
        return grams

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
        for k, x in enumerate(self.covariates):
            gram[n_columns + k] = gram[:, n_columns + k] = self.products(x)
        return gram

    def _mass_grams(self) -> Floats:
        """Give each cohort's Gram matrix of period dummies, (C, T, T), net of unit means where these are absorbed."""
        if self.absorbed == "unit":
            return within_gram(self.data)
        return np.array(
            [np.diag(self.weighted(np.ones_like(self.data.outcome))[rows].sum(axis=0)) for rows in self.data.slices]
        )


@dataclass(frozen=True, eq=False, repr=False)
class ClusterGrams:
    """``X_g'MX_g`` of some clusters over the regressors in use there; all other rows and columns are zero.

    Parameters
    ----------
    clusters : (n,) array of int
        Cluster codes.
    active : (E,) array of int
        Positions of the regressors among the J.
    gram : (n, E, E) or (1, E, E) array
        One matrix a cluster; a single one where all of these clusters have the same.
    """

    clusters: Codes
    active: Codes
    gram: Floats


def _number(table: Codes) -> Codes:
    """Number the distinct columns of a table of small counts from 0: (columns,)."""
    codes = np.zeros(table.shape[1], dtype=np.int64)
    for row in table:
        codes = np.unique(codes * (row.max(initial=0) + 1) + row, return_inverse=True)[1].ravel()
    return codes


@dataclass(frozen=True, eq=False, repr=False)
class Contrasts:
    """Linear combinations of the coefficients of a regression: ``estimate_k = sum_j weights[j, k] b_j``.

    What an :class:`evalaid.effects.Effects` carries in ``contrasts`` when its estimates are such combinations, with weights
    that do not depend on the outcome. ``select``, ``combine``, ``aggregate`` with fixed weights and the difference of two sets
    from one regression keep it; JSON, other scales (:func:`evalaid.scales.report_back`) and averages with estimated weights do not.

    Parameters
    ----------
    problem : LeastSquares
        The regression, shared by all combinations.
    weights : (K, cells) array
        Of the first K coefficients (those of ``problem.design``) in each estimate; a column of zeros for an estimate that is
        fixed by construction. An estimate that is not identified has a column, too: its value is NaN.
    """

    problem: LeastSquares
    weights: Floats

    def combine(self, matrix: Floats) -> Contrasts:
        """Give the combinations in the columns of a (cells, combinations) matrix."""
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
