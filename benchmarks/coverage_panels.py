"""Simulated county panels whose effect is known, for the coverage of intervals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import evalaid as ea

Floats = NDArray[np.float64]

PERIODS = 8
START = 5
STAGGERED = (4, 6)
EFFECT = 1.0
# Correlation of a unit's errors from one period to the next.
PERSISTENCE = 0.5
# Clusters hold one, two or three units.
UNITS = (1, 2, 3)
# Logarithm of the size of a cluster: mean of treated clusters (of the others: zero) and standard deviation.
SMALLER, SPREAD = np.log(0.5), 0.6
SCENARIOS = ("equal", "by size")
SEED = 20260101


@dataclass(frozen=True)
class Cell:
    """One kind of panel.

    Parameters
    ----------
    scenario : {"equal", "by size"}
        Whether all errors have one variance, or one that falls with the size of the cluster, treated ones being half as large.
    n_clusters, n_treated : int
        Clusters, and treated ones among them.
    effect : float
        The same for all treated units and periods.
    """

    scenario: str
    n_clusters: int
    n_treated: int
    effect: float = EFFECT

    def draw(self, replication: int) -> Sample:
        """Draw the errors of one replication; the same for every interval type."""
        key = [SEED, SCENARIOS.index(self.scenario), self.n_clusters, self.n_treated, replication]
        rng = np.random.default_rng(key)
        count = rng.permutation(np.resize(UNITS, self.n_clusters))
        cluster = np.repeat(np.arange(self.n_clusters), count)
        mean = np.where(np.arange(self.n_clusters) < self.n_treated, SMALLER, 0.0)
        size = np.exp(rng.normal(mean, SPREAD)) if self.scenario == "by size" else np.ones(self.n_clusters)
        own = rng.normal(size=(len(cluster), PERIODS))
        for t in range(1, PERIODS):
            own[:, t] = PERSISTENCE * own[:, t - 1] + np.sqrt(1 - PERSISTENCE**2) * own[:, t]
        shared = rng.normal(size=(self.n_clusters, PERIODS))
        error = (own + shared[cluster]) / np.sqrt(size[cluster])[:, None]
        group = rng.permutation(np.resize(np.arange(self.n_clusters // 2), len(cluster)))
        across = rng.normal(size=(self.n_clusters // 2, PERIODS))[group]
        return Sample(self, replication, cluster, size, error, group, across)


@dataclass(frozen=True)
class Sample:
    """One simulated panel.

    Parameters
    ----------
    cell : Cell
    replication : int
    cluster, group : (units,) array of int
        Cluster of each unit, and its group in a second grouping that cuts across clusters.
    size : (clusters,) array
        Mean size of a cluster's units; the first clusters are treated.
    error, across : (units, periods) arrays
        Errors, and the shock that a second grouping adds where it is asked for.
    """

    cell: Cell
    replication: int
    cluster: NDArray[np.intp]
    size: Floats
    error: Floats
    group: NDArray[np.intp]
    across: Floats

    def frame(self, start: Floats, error: Floats, violation: Floats | None = None) -> pd.DataFrame:
        """Lay the panel out in rows, with a constant effect from each unit's start on."""
        unit, period = (grid.ravel() for grid in np.mgrid[: len(error), 1 : PERIODS + 1])
        level = np.linspace(0, 1, len(error))[unit] + 0.2 * period
        treated = ~np.isnan(start[unit])
        drift = 0.0 if violation is None else np.where(treated, violation[period - 1], 0.0)
        return pd.DataFrame(
            {
                "unit": unit,
                "period": period,
                "y": level + error.ravel() + self.cell.effect * (period >= start[unit]) + drift,
                "start": start[unit],
                "cluster": self.cluster[unit],
            }
        )

    def design(self, frame: pd.DataFrame, cluster: str | None = "cluster") -> ea.Design:
        """Diagnose a panel of this layout."""
        return ea.diagnose(frame, "unit", "period", "y", "start", cluster=cluster, outcome_unit="number")

    @cached_property
    def starts(self) -> Floats:
        """Give the single start by unit."""
        return np.where(self.cluster < self.cell.n_treated, float(START), np.nan)

    @cached_property
    def single(self) -> ea.Design:
        """Give the panel in which all treated clusters start together."""
        return self.design(self.frame(self.starts, self.error))

    @cached_property
    def staggered(self) -> ea.Design:
        """Give the panel in which every other treated cluster starts later."""
        later = np.where(self.cluster % 2 == 0, *(float(start) for start in STAGGERED))
        return self.design(self.frame(np.where(np.isnan(self.starts), np.nan, later), self.error))

    @cached_property
    def crossed(self) -> ea.Design:
        """Give the panel with a shock by group and period on top."""
        return self.design(self.frame(self.starts, self.error + self.across))

    def bent(self, violation: Floats) -> ea.Design:
        """Give the panel in which treated clusters would have drifted away by so much in each period."""
        return self.design(self.frame(self.starts, self.error, violation))

    @cached_property
    def aggregated(self) -> ea.Design:
        """Give the panel of one row per cluster and period, of means over its units."""
        members = self.cluster == np.arange(self.cell.n_clusters)[:, None]
        error = members @ self.error / members.sum(axis=1)[:, None]
        start = np.where(np.arange(self.cell.n_clusters) < self.cell.n_treated, float(START), np.nan)
        alone = Sample(self.cell, self.replication, np.arange(len(error)), self.size, error, self.group, self.across)
        return alone.design(alone.frame(start, error), None)

    @cached_property
    def inhabitants(self) -> pd.Series:
        """Give the size of all units of a cluster together."""
        return pd.Series(np.bincount(self.cluster) * self.size)

    @cached_property
    def places(self) -> pd.DataFrame:
        """Give coordinates: clusters on a square grid of one degree at the equator, their units a few km apart."""
        wide = int(np.ceil(np.sqrt(self.cell.n_clusters)))
        rank = np.arange(len(self.cluster)) - np.searchsorted(self.cluster, self.cluster)
        order = np.random.default_rng([SEED, self.replication]).permutation(self.cell.n_clusters)[self.cluster]
        return pd.DataFrame({"lat": order // wide + 0.05 * rank, "lon": (order % wide).astype(float)})
