"""The default errors, intervals and bands: the cluster jackknife with as many degrees of freedom as there are effective clusters.

Few clusters, few treated or few comparison clusters, and clusters of unequal size are one thing: few effective clusters. The rule is
the same at any count and continuous in the sizes of the clusters. Coverage: docs/coverage.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from evalaid.base.texts import join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.cluster_counts import REASSIGN, RESAMPLE, alone_on_a_side, say_very_few, treated_clusters
from evalaid.did.inference.intervals import Errors
from evalaid.did.inference.shares import Shares, effective_clusters, largest_part, shares_of
from evalaid.did.inference.variance.cluster import Clusters
from evalaid.did.inference.variance.jackknife import Jackknife, careful_jackknife
from evalaid.did.inference.variance.multiplier import bootstrap, simultaneous_critical_value
from evalaid.did.panel.few import FEW_EFFECTIVE, WILD_FAILS

Floats = NDArray[np.float64]

# Bands move from sup-t to Sidak's value by this over the degrees of freedom and one: all the way up to five degrees. Of 0, 2, 4 and 6
# the least that keeps 93% where treated clusters vary eight times as much; 1% of the length with 40 clusters (docs/coverage.md).
SHIFT = 6.0
# A cluster with a larger share of one side is named.
LARGE_SHARE = 1 / 3
IN_ONE_STEP = (
    "in one step for large clusters, too (within about 1% of leaving them out): this estimate is not made again"
)
# So large a share of the degrees of freedom given is near enough.
KEPT = 0.8
OF_EQUAL_CLUSTERS = (
    "{} clusters count as {:.1f}: the interval is likely too short (the default, vcov='auto', allows for it)"
)
IN_EFFECT_ONE = "the interval is valid but says little, as in effect one cluster {}; randomisation inference or placebo in space is the better guide"


def automatic_errors(effects: Effects, clusters: Clusters) -> Errors:
    """Compute the jackknife errors and the degrees of freedom of every row, and what the effective number of clusters means.

    A row that rests on one treated or one comparison cluster has none: nothing shows how such clusters vary (Conley and
    Taber 2011, doi:10.1162/REST_a_00049).
    """
    count, convention = len(clusters), effects.convention
    if convention.caution:
        return Errors(np.full(len(effects), np.nan), count - 1, "none", [convention.caution] * len(effects))
    found = careful_jackknife(effects, clusters)
    degrees = found.degrees_of_freedom
    varies = found.variance > 0
    alone = [
        text if moved else ""
        for text, moved in zip(alone_on_a_side(effects, clusters, found.shares), varies, strict=True)
    ]
    treated = treated_clusters(effects, clusters)
    notes = [
        text or ("" if np.isnan(found.variance[k]) else _describe(found, clusters, k, int(treated[k])))
        for k, text in enumerate(alone)
    ]
    spent = convention.correction == "regression" and convention.observations <= convention.parameters
    known = [not text and not spent for text in alone]
    std_error = np.where(known, np.sqrt(found.variance), np.nan)
    return Errors(std_error, degrees, "CR3", notes, found.changes * np.sqrt((count - 1) / count))


def _describe(found: Jackknife, clusters: Clusters, row: int, treated: int) -> str:
    degrees, number = found.degrees_of_freedom[row], float(found.number[row])
    head = f"CR3, t({degrees:.1f}): {len(clusters)} clusters count as {number:.1f}"
    stepped = IN_ONE_STEP if found.stepped[row] else ""
    return join_texts((head, stepped, _explain(found.shares, clusters, row, number, treated)))


def say_few_effective(effects: Effects, clusters: Clusters, degrees: float | None) -> list[str]:
    """Return for every row of errors that count clusters, not effective ones, that these are few; "" where they are not.

    ``degrees``: of the t distribution that the rows are given; None = normal.
    """
    quiet = [""] * len(effects)
    # No effective number is below one over the largest share.
    if largest_part(effects, clusters) * FEW_EFFECTIVE < 1:
        return quiet
    shares = shares_of(effects, clusters)
    treated, alone = treated_clusters(effects, clusters), alone_on_a_side(effects, clusters, shares)
    numbers = effective_clusters(shares)
    return [
        join_texts((OF_EQUAL_CLUSTERS.format(len(clusters), number), _explain(shares, clusters, row, number, few)))
        if number < FEW_EFFECTIVE and not alone[row] and (degrees is None or number - 1 < KEPT * degrees)
        else ""
        for row, (number, few) in enumerate(zip(numbers.tolist(), treated.tolist(), strict=True))
    ]


def _explain(shares: Shares, clusters: Clusters, row: int, number: float, treated: int) -> str:
    """Return what few effective clusters come from and what to report beside the interval; "" where they are not few."""
    if not number < FEW_EFFECTIVE:
        return ""
    sides = {"treated": shares.treated[:, row], "comparison": shares.comparison[:, row]}
    side = max(sides, key=lambda name: sides[name].max(initial=0.0))
    largest = float(sides[side].max(initial=0.0))
    named = f"cluster {clusters.labels[int((shares.kind == sides[side].argmax()).argmax())]} holds {largest:.0%} of the {side} units"
    if very_few := say_very_few(len(clusters)):
        said = f"only {len(clusters)} clusters: {very_few}"
    elif number < 2:
        said = IN_EFFECT_ONE.format("is treated" if side == "treated" else "serves as comparison")
    else:
        advice = REASSIGN if treated < WILD_FAILS else RESAMPLE
        said = f"fewer than {FEW_EFFECTIVE} effective clusters: {advice}"
    return join_texts((named if largest > LARGE_SHARE else "", said))


def band_critical_values(
    errors: Errors, level: float, draws: int, kind: str, seed: int | np.random.Generator
) -> Floats:
    """Compute critical values that hold all rows with an error at once, (cells,).

    With draws ``Z_k = sum_g v_g d_gk sqrt((G-1)/G) / se_k`` and c the ``level`` quantile of their largest size (sup-t, Montiel Olea and
    Plagborg-Moller 2019, doi:10.1002/jae.2656), ``c_S = Phi^-1(1 - (1 - level^(1/K))/2)`` Sidak's value for K rows as if independent::

        c_k = c + min(1, 6/(nu_k + 1)) max(c_S - c, 0),    critical value t^-1_(nu_k)(Phi(c_k))

    A correlation seen in few clusters counts for less, and every row keeps its own degrees of freedom.
    """
    known = ~np.isnan(errors.std_error)
    critical = np.full(len(known), np.nan)
    assert errors.changes is not None  # noqa: S101 (the jackknife has them)
    drawn = bootstrap(errors.changes[:, known], draws, kind, seed)
    joint = simultaneous_critical_value(drawn, errors.std_error[known], level)
    apart = float(ndtri(1 - (1 - level ** (1 / int(known.sum()))) / 2))
    degrees = np.broadcast_to(np.asarray(errors.degrees_of_freedom, dtype=float), known.shape)[known]
    shifted = joint + shift_of(degrees) * max(apart - joint, 0.0)
    critical[known] = stdtrit(degrees, ndtr(shifted))
    return critical


def shift_of(degrees: Floats) -> Floats:
    """Return how far the critical value of a band moves from sup-t to that of independent rows, from 0 to 1."""
    return np.asarray(np.minimum(1.0, SHIFT / (degrees + 1)))
