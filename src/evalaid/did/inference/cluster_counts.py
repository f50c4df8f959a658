"""What few clusters and few treated clusters allow, and how the table says so."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evalaid.base.effect_columns import TREATED_CLUSTERS
from evalaid.base.errors import InferenceError
from evalaid.base.few import FEW_CLUSTERS, FEW_TREATED, VERY_FEW_CLUSTERS, WILD_FAILS
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.intervals import FIXED
from evalaid.did.inference.variance.cluster import Clusters

ONE_TREATED = "one treated cluster: no error can be seen from it; use placebo in space"
RESAMPLE = "report the wild bootstrap (for regressions) or randomisation inference beside it"
REASSIGN = "report randomisation inference or evalaid.few_treated beside it (the wild bootstrap fails here)"


def treated_clusters(effects: Effects, clusters: Clusters) -> NDArray[np.int64]:
    """Count treated clusters behind each cell; with coarser clusters than the design's never more than hold its cohort."""
    people, cells = effects.population, effects.cells
    stated = cells[TREATED_CLUSTERS].to_numpy(dtype=np.int64)
    treated = ~np.isnan(people.cohort)
    if "cohort" not in cells:
        return np.asarray(np.minimum(stated, len(np.unique(clusters.codes[treated]))))
    pairs = np.unique(np.stack([people.cohort[treated], clusters.codes[treated].astype(float)]), axis=1)
    cohorts, counts = np.unique(pairs[0], return_counts=True)
    place = np.searchsorted(cohorts, cells["cohort"].to_numpy(dtype=float))
    return np.asarray(np.minimum(stated, counts[np.minimum(place, len(counts) - 1)]))


def say_few(count: int, treated: int) -> str:
    """Return which counts are too small for the usual intervals, in words; "" when none is."""
    counts = ((count, FEW_CLUSTERS, "clusters"), (treated, FEW_TREATED, "treated clusters"))
    found = [f"{number} {what}" for number, enough, what in counts if number < enough]
    if not found:
        return ""
    advice = REASSIGN if treated < WILD_FAILS else RESAMPLE
    return f"only {' and '.join(found)}: {say_very_few(count) or advice}"


def careful_degrees(count: int, treated: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the degrees of freedom of each row: G - 1, or the number of treated clusters where fewer than ten are treated.

    Where few are treated the variance is that of their few changes, and so are its degrees of freedom: those of Bell and
    McCaffrey come down to about this number (Imbens and Kolesar 2016, doi:10.1162/REST_a_00552). With CR3 and t(G-1)
    intervals hold the effect in 84% to 97% of panels with three treated clusters and in 90% to 93% with six; with these
    degrees of freedom in 93% to 99% and 95% to 98% (docs/coverage.md). Two treated clusters leave one degree.
    """
    few = (treated > 1) & (treated < FEW_TREATED)
    own = np.where(treated == 2, 1, treated)
    return np.where(few, np.minimum(own, count - 1), count - 1).astype(np.float64)


def say_very_few(count: int) -> str:
    """Return what fewer than six clusters allow, in words; "" for more."""
    if count >= VERY_FEW_CLUSTERS:
        return ""
    return (
        f"no error is reliable, and the wild bootstrap gives no p-value below {2.0 ** (1 - count):g}; "
        "report randomisation inference over what was assigned"
    )


def refuse_one_treated(
    effects: Effects, clusters: Clusters, vcov: str, std_error: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Mark the rows that rest on one treated cluster, or refuse when all do.

    The residual of the only treated cluster is zero by construction, so that an interval from the comparison clusters alone is
    far too short (Conley and Taber 2011, doi:10.1162/REST_a_00049).

    Shape: (cells,).
    """
    fixed = (std_error <= FIXED) & (effects.cells["reason"] != "").to_numpy()
    shown = ~(np.isnan(effects.value) | np.isnan(std_error) | fixed)
    alone = shown & (treated_clusters(effects, clusters) == 1)
    if alone.any() and (alone == shown).all():
        raise InferenceError(
            f"{vcov} sees how treated clusters differ, and every estimate here rests on one treated cluster of "
            f"{len(clusters)}: its residual is zero by construction, and the interval would be far too short. What applies: placebo "
            "in space (evalaid.placebo), randomisation inference (evalaid.randomize), or Conley and Taber and Ferman and Pinto "
            "(evalaid.few_treated). vcov='reference' repeats what the method's reference implementation would print."
        )
    return np.asarray(alone)
