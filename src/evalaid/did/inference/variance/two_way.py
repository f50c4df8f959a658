"""Clustering by two groupings of the units at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import InferenceError
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.variance.cluster import Clusters, clusters_of, robust_variance, small_sample_factor

Floats = NDArray[np.float64]

NO_PERIODS = (
    "Clustering by period is not possible: the influence of a unit is its sum over all periods. Both groupings must hold "
    "whole units, for example prefecture and supporting hospital"
)


def two_way_variance(effects: Effects, first: Clusters, second: Clusters) -> tuple[Floats, list[str]]:
    """Return the variance that allows for dependence within each of two groupings of the units.

    ``V = V_1 + V_2 - V_12``, with V_12 clustered by the pairs of groups (Cameron, Gelbach and Miller 2011,
    doi:10.1198/jbes.2010.07136). All three carry the small-sample factor of the grouping with fewer groups, as R fixest does by
    default. Such a V need not be positive: where it is not, the larger of V_1 and V_2 is given instead.

    Shape: variance (cells,).
    """
    both = first.codes * len(second) + second.codes
    codes, labels = pd.factorize(both, sort=True)
    pairs = Clusters(codes.astype(np.int64), pd.Index(labels))
    alone, other, crossed = (robust_variance(effects, clusters, corrected=False) for clusters in (first, second, pairs))
    variance = alone + other - crossed
    larger = np.maximum(alone, other)
    # Identical groupings leave rounding error; what is as small as that against its parts is not a variance.
    negative = (variance <= np.finfo(float).eps * (alone + other)) & (larger > 0)
    factor = small_sample_factor(effects, min(len(first), len(second)))
    replaced = "two-way variance not positive: the larger of the two one-way variances is used"
    return np.where(negative, larger, variance) * factor, [replaced if bad else "" for bad in negative]


def two_groupings(effects: Effects, cluster: pd.Series | Sequence[pd.Series] | None) -> tuple[Clusters, Clusters]:
    """Read the two groupings."""
    given = [] if cluster is None else [cluster] if isinstance(cluster, pd.Series) else list(cluster)
    if len(given) != 2 or not all(isinstance(one, pd.Series) for one in given):
        raise InferenceError(
            f"vcov='two_way' needs cluster=(one, other), two Series indexed by unit; {len(given)} found. {NO_PERIODS}."
        )
    found = []
    for number, one in enumerate(given, start=1):
        where = f"Grouping {number} ({one.name!r})" if one.name is not None else f"Grouping {number}"
        if isinstance(one.index, pd.MultiIndex):
            raise InferenceError(f"{where} is indexed by {one.index.nlevels} labels, not by unit. {NO_PERIODS}.")
        if not one.index.isin(effects.population.units).any():
            raise InferenceError(
                f"{where} names no unit of the design, for example {one.index[:1].tolist()}. {NO_PERIODS}."
            )
        found.append(clusters_of(effects, one))
    return found[0], found[1]
