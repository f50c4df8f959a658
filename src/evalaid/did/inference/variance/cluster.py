"""Cluster-robust variances from influence: CR0, CR1 and the jackknife CR3."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from evalaid.base.errors import EstimationError, InferenceError
from evalaid.did.effects.effects import Effects

Floats = NDArray[np.float64]
JOINT = ("reference", "CR0", "CR1", "CR3")


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
        aligned = _one_label_a_unit(cluster).reindex(population.units)
        if aligned.isna().any():
            missing = [str(unit) for unit in population.units[aligned.isna().to_numpy()]]
            raise InferenceError(
                f"{len(missing)} unit(s) have no cluster label, for example {', '.join(missing[:5])}; pass a Series "
                "indexed by unit that covers all units of the design."
            )
        codes, labels = pd.factorize(aligned, sort=True)
        found = Clusters(codes.astype(np.int64), pd.Index(labels))
    if len(found) < 2:
        raise InferenceError(
            "Only one cluster: no variance between clusters can be seen. Use a finer cluster or report no interval."
        )
    return found


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
            f"{moved['unit'].nunique()} unit(s) have several cluster labels, for example {unit}: {held}. A cluster holds whole "
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


def jackknife_variance(effects: Effects, clusters: Clusters) -> tuple[Floats, list[str]]:
    """Return the CR3 variance: the estimates are recomputed without each cluster in turn.

    ``(G-1)/G sum_g (estimate_without_g - estimate)^2`` (MacKinnon, Nielsen and Webb 2023,
    doi:10.1016/j.jeconom.2022.04.001, their CV3). Conservative with few or unequal clusters.

    Shape: variance (cells,).
    """
    changes, reasons = jackknife_changes(effects, clusters)
    count = len(clusters)
    return (changes**2).sum(axis=0) * (count - 1) / count, reasons


def jackknife_changes(effects: Effects, clusters: Clusters) -> tuple[Floats, list[str]]:
    """Return how each estimate changes without each cluster, (G, cells), and by cell a cluster without which it is lost."""
    if effects.refit is None:
        raise InferenceError(
            "CR3 re-estimates without each cluster, and these effects carry no estimator (they were read from JSON or "
            "built by hand). Estimate them in this session, or use CR1 or multiplier."
        )
    changes = np.full((len(clusters), len(effects)), np.nan)
    reasons = [""] * len(effects)
    for code, name in enumerate(clusters.labels):
        with suppress(EstimationError):
            changes[code] = effects.refit(clusters.codes != code).value - effects.value
        for k in np.flatnonzero(np.isnan(changes[code]) & ~np.isnan(effects.value)):
            reasons[k] = reasons[k] or f"no estimate without cluster {name}"
    return changes, reasons


def joint_covariance(effects: Effects, clusters: Clusters, vcov: str) -> Floats:
    """Return the covariance of the estimates, (cells, cells), whose diagonal is the variance that `infer` uses."""
    if vcov not in JOINT:
        raise InferenceError(f"vcov={vcov!r} gives no covariance between estimates; choose {', '.join(JOINT)}.")
    if vcov == "CR3":
        sums, reasons = jackknife_changes(effects, clusters)
        if any(reasons):
            raise InferenceError(f"CR3 gives no covariance here: {next(filter(None, reasons))}. Use CR1.")
        factor = (len(clusters) - 1) / len(clusters)
    else:
        reference = vcov == "reference"
        sums = clusters.sums(effects.influence.matrix(as_reference=reference))
        corrected = vcov == "CR1" or (reference and effects.convention.correction == "regression")
        factor = small_sample_factor(effects, len(clusters)) if corrected else 1.0
    return np.asarray(sums.T @ sums * factor)
