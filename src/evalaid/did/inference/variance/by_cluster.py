"""A regression as its clusters see it: their scores and Gram matrices, in as few coordinates as their units need.

A regressor is a function of cohort and period, or a covariate. In a cluster with units of one cohort all regressors of the first
kind are combinations of the dummies of the periods, however many there are; in a cluster with units of many cohorts they may be
fewer than cohorts times periods. Each group of clusters with units of the same cohorts is held in the fewer of the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.contrasts import LeastSquares

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

# Gram matrices are made in batches of about this many numbers.
BATCH = 2_000_000
# Clusters are told apart by their numbers of units, too, where that makes no more than this many kinds of each.
MOST_KINDS = 4
# Without the first of the periods there would be one coordinate fewer, which is not worth a product with the columns.
SPARE = 1


@dataclass(frozen=True, eq=False, repr=False)
class Group:
    """Clusters with units of the same cohorts, ``X_g = Z_g T``.

    X_g are the regressors of a cluster, net of unit means where unit effects are absorbed, M its observation weights. Z_g
    are dummies of cohort and period or the regressors in use, and then covariates over their root mean square.

    ``clusters`` (n,): cluster codes, ascending. ``T`` (E, J): from the coordinates to the regressors. ``same``:
    whether all n clusters have the same Gram matrix. ``members``: their units, cohort by cohort. ``data``: what is
    known of the units.
    """

    clusters: Codes
    T: Floats
    same: bool
    members: tuple[Members, ...]
    data: Data

    @cached_property
    def scores(self) -> Floats:
        """The scores ``Z_g'M e_g``, (n, E)."""
        return self.products(self.data.residual)

    def products(self, values: Floats) -> Floats:
        """Return ``Z_g'M v_g`` of (N, T) values net of unit means, (n, E)."""
        products = np.zeros((len(self.clusters), len(self.T)))
        first = len(self.T) - len(self.data.covariates)
        for cohort in self.members:
            weighted = self.data.weighted(values, cohort.units)
            products[:, cohort.at] += cohort.turned(cohort.sums(weighted))
            for k, x in enumerate(self.data.covariates, first):
                products[:, k] += cohort.sums(np.einsum("it,it->i", x[cohort.units], weighted))
        return products

    @cached_property
    def parts(self) -> tuple[Floats, Floats] | None:
        """Units by cluster and cohort (n, cohorts), and ``Z_i'Z_i`` of one unit of each cohort (cohorts, E, E); None with weights or covariates."""
        data, width = self.data, len(self.T)
        if data.mass is not None or len(data.covariates):
            return None
        one = np.eye(data.n_periods) - data.absorbed / data.n_periods
        grams = np.zeros((len(self.members), width, width))
        for gram, cohort in zip(grams, self.members, strict=True):
            gram[cohort.at, cohort.at] = cohort.turned(cohort.turned(one).T)
        return np.array([np.diff(cohort.bounds) for cohort in self.members], dtype=np.float64).T, grams

    def grams(self) -> Iterator[tuple[slice, Floats]]:
        """Return ``Z_g'MZ_g``, some clusters at a time.

        Shape: gram (rows, E, E) or (1, E, E).
        """
        count, width = len(self.clusters), len(self.T)
        if self.same:
            yield slice(0, count), self._gram(0, 1)
            return
        step = max(1, BATCH // width**2)
        for start in range(0, count, step):
            stop = min(start + step, count)
            yield slice(start, stop), self._gram(start, stop)

    def kernels(self, inverse: Floats) -> Iterator[tuple[slice, Floats, Floats | None]]:
        """Return ``Z_g'MZ_g`` times ``inverse`` (E, E), some clusters at a time, and the first factor where it was made for that."""
        if self.same or self.parts is None:
            yield from ((rows, gram @ inverse, gram) for rows, gram in self.grams())
            return
        counts, each = self.parts
        turned, step = each @ inverse, max(1, BATCH // len(self.T) ** 2)
        for start in range(0, len(counts), step):
            rows = slice(start, min(start + step, len(counts)))
            yield rows, np.tensordot(counts[rows], turned, axes=1), None

    def _gram(self, start: int, stop: int) -> Floats:
        if self.parts is not None:
            counts, each = self.parts
            return np.asarray(np.tensordot(counts[start:stop], each, axes=1))
        grams = np.zeros((stop - start, len(self.T), len(self.T)))
        first = len(self.T) - len(self.data.covariates)
        for members in self.members:
            cohort = members.of(start, stop)
            grams[:, cohort.at, cohort.at] += cohort.turned(
                cohort.turned(self.data.period_grams(cohort)).swapaxes(1, 2)
            )
            for k, x in enumerate(self.data.covariates, first):
                weighted = self.data.weighted(x, cohort.units)
                grams[:, cohort.at, k] += cohort.turned(cohort.sums(weighted))
                for j, other in enumerate(self.data.covariates[: k - first + 1], first):
                    grams[:, k, j] += cohort.sums(np.einsum("it,it->i", weighted, other[cohort.units]))
        for k in range(first, len(self.T)):
            grams[:, k, :k] += grams[:, :k, k]
            grams[:, :k, k] = grams[:, k, :k]
        return grams


@dataclass(frozen=True, eq=False, repr=False)
class Members:
    """Units of one cohort, in clusters 0, 1, ... that all hold some.

    ``units`` (m,): rows of the data, cluster by cluster. ``place`` (m,): their clusters, ascending. ``at``: the
    coordinates that are not zero for this cohort. ``columns`` (T, coordinates): these by period; None = dummies of the
    periods.
    """

    units: Codes
    place: Codes
    at: slice
    columns: Floats | None

    def of(self, start: int, stop: int) -> Members:
        """Return the units of the clusters from ``start`` to ``stop``, numbered from 0."""
        first, last = np.searchsorted(self.place, (start, stop))
        return Members(self.units[first:last], self.place[first:last] - start, self.at, self.columns)

    @property
    def bounds(self) -> Codes:
        """Where the units of each cluster begin, and where the last one's end."""
        return np.append(np.flatnonzero(np.diff(self.place, prepend=-1)), len(self.place))

    def sums(self, values: Floats) -> Floats:
        """Sum rows by cluster: (m, ...) -> (clusters, ...)."""
        return np.add.reduceat(values, self.bounds[:-1], axis=0)

    def turned(self, values: Floats) -> Floats:
        """Return the last axis, sums by period, in the coordinates."""
        return values if self.columns is None else values @ self.columns


@dataclass(frozen=True, eq=False, repr=False)
class Data:
    """Residuals (N, T), observation weights (None = all one), covariates (p, N, T) net of unit means, the number of periods, and
    whether unit effects are absorbed.
    """

    residual: Floats
    mass: Floats | None
    covariates: Floats
    n_periods: int
    absorbed: bool

    def weighted(self, values: Floats, units: Codes) -> Floats:
        """Return the rows of some units, times the observation weights."""
        return values[units] if self.mass is None else values[units] * self.mass[units]

    def period_grams(self, cohort: Members) -> Floats:
        """Return the Gram matrices of the dummies of the periods, (clusters, T, T)."""
        one = np.eye(self.n_periods)
        if self.mass is None:
            counts = np.diff(cohort.bounds).astype(np.float64)
            return counts[:, None, None] * (one - 1.0 / self.n_periods if self.absorbed else one)
        mass = self.mass[cohort.units]
        total = mass.sum(axis=1, keepdims=True)
        scaled = mass / np.sqrt(np.where(total > 0, total, 1.0)) * self.absorbed
        if len(mass) == len(cohort.bounds) - 1:
            grams = -scaled[:, :, None] * scaled[:, None, :]
        else:
            grams = -np.array([part.T @ part for part in np.split(scaled, cohort.bounds[1:-1])])
        np.einsum("gtt->gt", grams)[:] += cohort.sums(mass)
        return grams


def group_clusters(problem: LeastSquares, clusters: Codes, n_clusters: int) -> list[Group]:
    """Group the clusters by the cohorts of their units.

    Shapes: clusters (N,).
    """
    size = np.sqrt((problem.covariates**2).mean(axis=(1, 2)))
    size = np.where(size > 0, size, 1.0)
    data = Data(
        residual=problem.residual,
        mass=problem.data.mass,
        covariates=problem.covariates / size[:, None, None],
        n_periods=problem.columns.shape[1],
        absorbed=problem.absorbed == "unit",
    )
    same = data.mass is None and not len(size)
    counts = problem.counts(clusters, n_clusters)
    kind = _number((counts > 0).astype(np.int64))
    if same:
        by_count = _number(counts)
        same = bool(by_count.max() < MOST_KINDS * (kind.max() + 1))
        kind = by_count if same else kind
    groups = []
    for number in range(kind.max() + 1):
        here = np.flatnonzero(kind == number)
        groups.append(_group(problem, data, size, clusters, here, np.flatnonzero(counts[:, here[0]]), same=same))
    return groups


def _group(
    problem: LeastSquares,
    data: Data,
    size: Floats,
    clusters: Codes,
    here: Codes,
    cohorts: Codes,
    *,
    same: bool,
) -> Group:
    place = np.full(clusters.max() + 1, -1)
    place[here] = np.arange(len(here))
    stacked = problem.columns[cohorts].reshape(-1, problem.columns.shape[2])
    used = np.flatnonzero(stacked.any(axis=0))
    by_period = len(stacked) <= len(used) + SPARE
    members, everyone = [], np.arange(len(clusters))
    for number, cohort in enumerate(cohorts):
        rows = problem.data.slices[cohort]
        codes = place[clusters[rows]]
        units = np.flatnonzero(codes >= 0)
        units = units[np.argsort(codes[units], kind="stable")]
        at = slice(number * data.n_periods, (number + 1) * data.n_periods) if by_period else slice(0, len(used))
        columns = None if by_period else problem.columns[cohort][:, used]
        members.append(Members(everyone[rows][units], codes[units], at, columns))
    width, p = len(stacked) if by_period else len(used), len(size)
    T = np.zeros((width + p, stacked.shape[1] + p))
    T[:width, : stacked.shape[1]] = stacked if by_period else np.eye(stacked.shape[1])[used]
    T[width:, stacked.shape[1] :] = np.diag(size)
    return Group(here, T, same, tuple(members), data)


def _number(table: Codes) -> Codes:
    """Number the distinct columns of a table of small counts from 0: (columns,)."""
    codes = np.zeros(table.shape[1], dtype=np.int64)
    for row in table:
        codes = np.unique(codes * (row.max(initial=0) + 1) + row, return_inverse=True)[1].ravel()
    return codes
