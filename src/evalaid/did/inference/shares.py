"""How much of an estimate rests on each cluster, and the number of equal clusters that are worth as much.

An estimate k averages cells (cohort c, period t) with weights w_ct; W_c is the weight of all cells of cohort c, n_gc counts the (weighted)
units of cohort c in cluster g, n_c all of them, and C(c, t) are the cohorts that cell (c, t) is compared with::

    p_g = sum_c W_c n_gc / n_c                                   treated share of cluster g, sum_g p_g = 1
    q_g = sum_ct w_ct n_g,C(c,t) / n_C(c,t)                      comparison share, sum_g q_g = 1
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.did.effects.aggregation import Population
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.variance.cluster import Clusters

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Shares:
    """``treated`` p_g and ``comparison`` q_g of every estimate, (kinds, cells) each: clusters with the same units are of one kind.

    ``kind`` (G,): the kind of each cluster, numbered by first appearance. Without comparison units (only doses differ, say) q_g is
    zero; where no cohort is known, p_g is the cluster's share of all units.
    """

    treated: Floats
    comparison: Floats
    kind: Codes

    @property
    def largest(self) -> Floats:
        """The larger of the two shares of each kind of cluster, (kinds, cells)."""
        return np.maximum(self.treated, self.comparison)

    @property
    def count(self) -> Codes:
        """The number of clusters of each kind, (kinds,)."""
        return np.bincount(self.kind, minlength=len(self.treated))


def shares_of(effects: Effects, clusters: Clusters) -> Shares:
    """Compute the shares of the clusters in every estimate."""
    people = effects.population
    everyone = np.bincount(clusters.codes, weights=people.weight, minlength=len(clusters)).astype(np.float64)
    parts, weights = [everyone[:, None]], []
    for source, own, other in _by_cohort(effects):
        rows = people.units.get_indexer(source.units) if source is not people else slice(None)
        parts.append(count_units(source, clusters.codes[rows], len(clusters)))
        weights.append((own, other))
    kind, first = _kinds(np.concatenate(parts, axis=1))
    treated, comparison = np.zeros((2, len(first), len(effects)))
    for counts, (own, other) in zip(parts[1:], weights, strict=True):
        part = counts[first] / np.maximum(counts.sum(axis=0), 1e-300)
        treated += part[:, :-1] @ own.T
        comparison += part @ other.T
    treated = np.where(treated.any(axis=0), treated, parts[0][first])
    count = np.bincount(kind)
    return Shares(_normalise(treated, count), _normalise(comparison, count), kind)


def _kinds(counts: Floats) -> tuple[Codes, Codes]:
    """Number equal rows by first appearance, (G,), and give the first row of each number."""
    # Any weights do: where the sums of unequal rows are equal, every row is a kind of its own.
    code = pd.factorize((counts * np.sin(np.arange(1, counts.shape[1] + 1))).sum(axis=1))[0]
    first = np.unique(code, return_index=True)[1]
    if (counts[first[code]] != counts).any():
        code = first = np.arange(len(counts))
    return code, first


def largest_part(effects: Effects, clusters: Clusters) -> float:
    """Bound the largest share of a cohort, of the never-treated or of all units that is one cluster: no share of an estimate is larger."""
    own = effects.population
    if len(clusters) == len(own.units) and all(people is own for people in _populations(effects)):
        never = own.weight[np.isnan(own.cohort)].sum()
        smallest = min(*(own.shares * len(own.units)), never or np.inf, own.weight.sum())
        if own.weight.max() < 0.5 * smallest:
            return float(own.weight.max() / smallest)
    found = [np.bincount(clusters.codes, weights=own.weight) / own.weight.sum()]
    for people in {id(people): people for people in _populations(effects)}.values():
        rows = own.units.get_indexer(people.units) if people is not own else slice(None)
        counts = count_units(people, clusters.codes[rows], len(clusters))
        found.append(counts.max(axis=0, initial=0.0) / np.maximum(counts.sum(axis=0), 1e-300))
    return max(float(part.max(initial=0.0)) for part in found)


def _populations(effects: Effects) -> list[Population]:
    """List the populations whose clusters the estimates rest on, as :func:`shares_of` takes them."""
    if effects.derivation is None:
        return [effects.population]
    parents = effects.derivation.parents
    found = [(people, parent) for parent in parents for people in _populations(parent)]
    alone = len(parents) == 1
    return [effects.population if alone and people is parent.population else people for people, parent in found]


def count_units(people: Population, codes: Codes, n_clusters: int) -> Floats:
    """Count the (weighted) units of each cohort in each cluster, never-treated last, (G, C + 1)."""
    cohort = np.where(np.isnan(people.cohort), np.inf, people.cohort)
    place = np.minimum(np.searchsorted(people.cohorts, cohort), len(people.cohorts))
    width = len(people.cohorts) + 1
    counts = np.bincount(codes * width + place, weights=people.weight, minlength=n_clusters * width)
    return np.asarray(counts.reshape(n_clusters, width), dtype=np.float64)


def effective_clusters(shares: Shares, changes: Floats | None = None) -> Floats:
    """Compute the effective number of clusters behind every estimate, (cells,).

    ``E(a, b) = (a + b)^2 / sum_g (a p_g + b q_g)^2`` is the number of Carter, Schnepel and Steigerwald (2017, doi:10.1162/REST_a_00639)
    with variance parts ``a p_g + b q_g``: of the design, ``a = sum_g p_g^2`` and ``b = sum_g q_g^2``; seen in the jackknife changes d_g (G,
    cells), ``a = sum_g d_g^2 s_g`` and ``b = sum_g d_g^2 (1 - s_g)`` with ``s_g = a p_g / (a p_g + b q_g)``. The smaller of both counts.
    """
    p, q, count = shares.treated, shares.comparison, shares.count
    products = tuple(np.einsum("g,gk,gk->k", count, one, other) for one, other in ((p, p), (p, q), (q, q)))
    a, b = products[0], products[2]
    number = _number(a, b, *products)
    if changes is None:
        return number
    part, square = a * p, np.where(np.isnan(changes), 0.0, changes)
    whole = part + b * q
    square *= square
    if len(p) < len(square):
        square = Clusters(shares.kind, pd.Index(count)).sums(square)
    s = np.divide(part, whole, out=np.full_like(part, 0.5), where=whole > 0)
    own = np.einsum("gk,gk->k", square, s)
    return np.fmin(number, _number(own, np.einsum("gk,gk->k", square, 1 - s), *products))


def degrees_behind(number: Floats) -> Floats:
    """Return the degrees of freedom of so many effective clusters: one less, at least one, in two decimals as they are stated."""
    return np.asarray(np.fmax(1.0, np.round(number - 1, 2)))


def _number(a: Floats, b: Floats, pp: Floats, pq: Floats, qq: Floats) -> Floats:
    """Return ``(a + b)^2 / sum_g (a p_g + b q_g)^2`` from the sums of products of the shares."""
    # Scaled first: variances of a share in rare events may underflow when squared.
    size = np.maximum(a + b, 1e-300)
    a, b = a / size, b / size
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (a + b) ** 2 / (a * a * pp + 2 * a * b * pq + b * b * qq)
    return np.where(np.isfinite(found), found, np.nan)


def _normalise(values: Floats, count: Codes | None = None) -> Floats:
    """Divide columns by their sums, each row taken as often as is counted."""
    total = values.sum(axis=0) if count is None else count @ values
    return np.asarray(values / np.where(total > 0, total, 1.0))


Part = tuple[Population, Floats, Floats]


def _by_cohort(effects: Effects) -> list[Part]:
    """Compute by population the weights of its cohorts in every estimate: W (cells, C) and those of comparisons (cells, C + 1)."""
    if effects.derivation is None:
        return [(effects.population, *_of_cells(effects.cells, effects.population))]
    found: list[Part] = []
    for parent, weights in zip(effects.derivation.parents, effects.derivation.weights, strict=True):
        for people, own, other in _by_cohort(parent):
            mine = (
                people if people is not parent.population or len(effects.derivation.parents) > 1 else effects.population
            )
            found.append((mine, np.abs(weights).T @ own, np.abs(weights).T @ other))
    return found


def _of_cells(cells: pd.DataFrame, people: Population) -> tuple[Floats, Floats]:
    """Read the cohorts behind cells by their labels: one cohort and period, one event time, or all that is treated."""
    cohorts, n_cells = people.cohorts, len(cells)
    counts = count_units(people, np.zeros(len(people.units), dtype=np.int64), 1)[0]
    units = count_units(_unweighted(people), np.zeros(len(people.units), dtype=np.int64), 1)[0]
    row, cohort, period, weight = _pairs(cells, people, counts)
    own = np.zeros((n_cells, len(cohorts)))
    np.add.at(own, (row, cohort), weight)
    start = np.append(cohorts, np.inf)
    compared = start > np.maximum(period, cohorts[cohort] - 1)[:, None]
    compared[np.arange(len(row)), cohort] = False
    if "cohort" in cells:
        # Comparison units start last: the cell counts how many of them it uses.
        others = np.where(compared, units, 0.0)
        later = others[:, ::-1].cumsum(axis=1)[:, ::-1] - others
        compared &= later < np.maximum(cells["n_comparison"].to_numpy()[row], 1)[:, None]
    mass = compared * counts
    total = mass.sum(axis=1, keepdims=True)
    other = np.zeros((n_cells, len(start)))
    np.add.at(other, row, weight[:, None] * mass / np.where(total > 0, total, 1.0))
    return _normalise(own.T).T, _normalise(other.T).T


def _pairs(cells: pd.DataFrame, people: Population, counts: Floats) -> tuple[Codes, Codes, Floats, Floats]:
    """List the treated cells behind each estimate: row, cohort (position), period, weight."""
    cohorts, n_cells = people.cohorts, len(cells)
    if "cohort" in cells:
        when = cells["period" if "period" in cells else "cohort"].to_numpy(dtype=np.float64)
        return np.arange(n_cells), people.place(cells["cohort"]).astype(np.int64), when, np.ones(n_cells)
    if "event_time" in cells:
        row, cohort = (grid.ravel() for grid in np.mgrid[:n_cells, : len(cohorts)])
        time = cells["event_time"].to_numpy(dtype=float)[row]
        period = people.clock.ordinal(people.clock.count(cohorts)[cohort] + time)
        seen = np.isin(period, people.periods) if people.periods is not None else np.ones(len(row), dtype=bool)
        row, cohort, period = row[seen], cohort[seen], period[seen]
        return row, cohort, period, counts[cohort]
    periods = cohorts if people.periods is None else np.asarray(people.periods, dtype=float)
    cohort, at = np.nonzero(periods >= cohorts[:, None])
    if people.periods is None:
        cohort = at = np.arange(len(cohorts))
    row = np.repeat(np.arange(n_cells), len(cohort))
    cohort, period = np.tile(cohort, n_cells), np.tile(periods[at], n_cells)
    return row, cohort, period, counts[cohort]


def _unweighted(people: Population) -> Population:
    return replace(people, weight=np.ones(len(people.units)))
