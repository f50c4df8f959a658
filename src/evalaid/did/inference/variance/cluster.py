"""Clusters of the units, and cluster-robust variances from influence: CR0 and CR1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from evalaid.base.errors import InferenceError
from evalaid.base.texts import counted
from evalaid.did.effects.effects import Effects
from evalaid.did.panel.by_unit import fault_of_index

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Clusters:
    """Cluster codes 0..G-1 of the units, (units,), and the cluster labels, (G,)."""

    codes: NDArray[np.int64]
    labels: pd.Index

    def __len__(self) -> int:
        return len(self.labels)

    def sums(self, psi: Floats) -> Floats:
        """Sum rows by cluster: (units, cells) -> (G, cells)."""
        if len(self) == len(psi):
            units = np.arange(len(psi))
            if (self.codes == units).all():
                return psi
            order = np.empty(len(psi), dtype=np.intp)
            order[self.codes] = units
            return psi[order]
        units = np.arange(len(psi))
        member = csr_array((np.ones(len(psi)), (self.codes, units)), shape=(len(self), len(psi)))
        return np.asarray(member @ psi)


def clusters_of(effects: Effects, cluster: pd.Series | Sequence[pd.Series] | None = None) -> Clusters:
    """Return the design's clusters, or coarser ones from a Series indexed by unit."""
    population = effects.population
    if cluster is None:
        found = Clusters(population.cluster, population.clusters)
    else:
        if not isinstance(cluster, pd.Series):
            raise InferenceError(
                f"cluster is a {type(cluster).__name__}; one Series of labels indexed by unit is expected (two of them with "
                "vcov='two_way' of infer). A column of the panel is named in diagnose(..., cluster=...). Clusters hold whole units, "
                "not periods: the influence of a unit is its sum over all of them."
            )
        if fault := fault_of_index(cluster.index, population.units):
            raise InferenceError(f"cluster is not a Series by unit: {fault}.")
        aligned = _one_label_a_unit(cluster).reindex(population.units)
        if aligned.isna().any():
            missing = [str(unit) for unit in population.units[aligned.isna().to_numpy()]]
            raise InferenceError(
                f"{counted(len(missing), 'unit has', 'units have')} no cluster label, for example {', '.join(missing[:5])}; pass a Series "
                "indexed by unit that covers all units of the design."
            )
        codes, labels = pd.factorize(aligned, sort=True)
        found = Clusters(codes.astype(np.int64), pd.Index(labels))
    found = _by_appearance(found)
    if len(found) < 2:
        raise InferenceError(
            "Only one cluster: no variance between clusters can be seen. Use a finer cluster or report no interval."
        )
    return found


def _by_appearance(clusters: Clusters) -> Clusters:
    """Number the clusters by their first unit, so that random draws do not depend on the type or the spelling of labels."""
    if len(clusters) == len(clusters.codes) and (clusters.codes == np.arange(len(clusters))).all():
        return clusters
    found, first, code = np.unique(clusters.codes, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    if len(found) == len(clusters) and (found[order] == np.arange(len(found))).all():
        return clusters
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return Clusters(place[code.ravel()], clusters.labels[found[order]])


def _one_label_a_unit(series: pd.Series) -> pd.Series:
    """Take the repeated labels of a long table once."""
    if series.index.is_unique:
        return series
    pairs = pd.DataFrame({"unit": series.index, "cluster": series.to_numpy()}).drop_duplicates()
    moved = pairs[pairs["unit"].duplicated(keep=False)]
    if len(moved):
        unit = moved["unit"].iloc[0]
        held = ", ".join(map(str, moved.loc[moved["unit"] == unit, "cluster"]))
        raise InferenceError(
            f"{counted(moved['unit'].nunique(), 'unit has', 'units have')} several cluster labels, for example {unit}: {held}. A cluster holds whole "
            "units: give every unit one label.",
            moved,
        )
    return pairs.set_index("unit")["cluster"]


def robust_variance(effects: Effects, clusters: Clusters, *, corrected: bool, as_reference: bool = False) -> Floats:
    """Return the CR0 variance of each estimate, or CR1 when ``corrected``.

    CR0 is ``sum_g (sum_{i in g} psi_ik)^2``; CR1 multiplies it by ``G/(G-1)``, for regressions also by ``(n-1)/(n-k)``
    (Liang and Zeger 1986; R fixest's default). ``as_reference`` includes what the method's reference adds in error.

    Shape: (cells,).
    """
    if len(clusters) == len(clusters.codes):
        variance = effects.influence.sum_of_squares(as_reference=as_reference)
    else:
        sums = clusters.sums(effects.influence.matrix(as_reference=as_reference))
        variance = np.asarray(np.einsum("gk,gk->k", sums, sums))
    return variance * small_sample_factor(effects, len(clusters)) if corrected else variance


def small_sample_factor(effects: Effects, n_clusters: int) -> float:
    """Return the CR1 factor of the effects' convention; not a number when a regression has no observation to spare."""
    factor = n_clusters / (n_clusters - 1)
    convention = effects.convention
    if convention.correction == "regression":
        if convention.observations <= convention.parameters:
            return float("nan")
        factor *= (convention.observations - 1) / (convention.observations - convention.parameters)
    return factor
