"""What few clusters and few treated clusters allow, and how the table says so."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evalaid.base.effect_columns import TREATED_CLUSTERS
from evalaid.base.errors import InferenceError
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.intervals import FIXED
from evalaid.did.inference.shares import Shares, count_units, largest_part, shares_of
from evalaid.did.inference.variance.cluster import Clusters
from evalaid.did.panel.few import VERY_FEW_CLUSTERS

ONE_TREATED = "one treated cluster: no error can be seen from it; placebo in space takes its place"
ONE_COMPARISON = "one comparison cluster: no error can be seen from it; add comparison units, or bound the effect"
# The share of a cluster that is one side of an estimate alone, up to rounding.
WHOLE = 1 - 1e-9
RESAMPLE = "the wild bootstrap (for regressions) or randomisation inference is a better guide than this interval"
REASSIGN = "randomisation inference or evalaid.few_treated is a better guide than this interval (the wild bootstrap fails here)"


def treated_clusters(effects: Effects, clusters: Clusters) -> NDArray[np.int64]:
    """Count treated clusters behind each cell; with coarser clusters than the design's never more than hold its cohort."""
    people, cells = effects.population, effects.cells
    stated = cells[TREATED_CLUSTERS].to_numpy(dtype=np.int64)
    held = count_units(people, clusters.codes, len(clusters))[:, :-1] > 0
    if "cohort" not in cells:
        return np.asarray(np.minimum(stated, int(held.any(axis=1).sum())))
    return np.asarray(np.minimum(stated, held.sum(axis=0)[people.place(cells["cohort"])]))


def say_very_few(count: int) -> str:
    """Return what fewer than six clusters allow, in words; "" for more."""
    if count >= VERY_FEW_CLUSTERS:
        return ""
    return (
        f"no error is reliable, and the wild bootstrap gives no p-value below {2.0 ** (1 - count):g}; "
        "randomisation inference over what was assigned is the better guide"
    )


def alone_on_a_side(effects: Effects, clusters: Clusters, shares: Shares | None = None) -> list[str]:
    """Return for every row why it can have no error: one treated or one comparison cluster; "" where there are more."""
    treated = treated_clusters(effects, clusters) == 1
    compared = np.zeros(len(effects), dtype=bool)
    if shares is not None or largest_part(effects, clusters) >= WHOLE:
        shares = shares_of(effects, clusters) if shares is None else shares
        treated |= shares.treated.max(axis=0, initial=0.0) >= WHOLE
        compared = shares.comparison.max(axis=0, initial=0.0) >= WHOLE
    return [
        ONE_TREATED if one else ONE_COMPARISON if other else "" for one, other in zip(treated, compared, strict=True)
    ]


def refuse_alone(effects: Effects, clusters: Clusters, vcov: str, std_error: NDArray[np.float64]) -> list[str]:
    """Return why rows can have no error, or refuse when none can.

    The residual of the only treated (or comparison) cluster is zero by construction, so that an interval from the other clusters
    alone is far too short (Conley and Taber 2011, doi:10.1162/REST_a_00049).
    """
    fixed = (std_error <= FIXED) & (effects.cells["reason"] != "").to_numpy()
    shown = ~(np.isnan(effects.value) | np.isnan(std_error) | fixed)
    reasons = alone_on_a_side(effects, clusters)
    alone = [reason if here else "" for reason, here in zip(reasons, shown, strict=True)]
    if any(alone) and all(text for text, here in zip(alone, shown, strict=True) if here):
        side = "treated" if ONE_TREATED in alone else "comparison"
        instead = " (evalaid.placebo), randomisation inference (evalaid.randomize), or Conley and Taber and Ferman and Pinto (evalaid.few_treated)"
        raise InferenceError(
            f"{vcov} sees how {side} clusters differ, and every estimate here rests on one {side} cluster of {len(clusters)}: its residual "
            "is zero by construction, and the interval would be far too short. What applies: "
            + (
                "placebo in space" + instead
                if side == "treated"
                else "bounds (evalaid.bound_effect), or more comparison units"
            )
            + ". vcov='reference' repeats what the method's reference implementation would print."
        )
    return alone
