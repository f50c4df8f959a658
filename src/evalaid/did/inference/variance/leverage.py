"""Which clusters carry an estimate: leverage, partial leverage, influence and what the estimate is without them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import InferenceError
from evalaid.did.effects.contrasts import Contrasts
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.options import check_effects
from evalaid.did.inference.variance.cluster import Clusters, clusters_of
from evalaid.did.inference.variance.hat import ALONE, hats_of

Floats = NDArray[np.float64]


def leverage(effects: Effects, cluster: pd.Series | None = None, *, row: int | None = None) -> pd.DataFrame:
    """Compute by cluster how much it could move an estimate (leverage) and how much it does (influence).

    Parameters
    ----------
    effects : Effects
        One estimate, or several of which ``row`` chooses one.
    cluster : pandas.Series, optional
        Coarser clusters, indexed by unit; the design's by default.
    row : int, optional
        Position of the estimate in ``effects.cells``.

    Returns
    -------
    pandas.DataFrame
        One row per cluster, the most influential first: ``cluster``; ``n_units``; ``leverage`` (trace of its hat matrix, unit
        effects included: the sum over clusters is the number of coefficients); ``partial_leverage`` (its share of the
        variation that identifies this estimate; sums to one); ``influence_share`` (its share of the CR0 variance; sums to
        one); ``change`` (estimate without the cluster minus estimate, exact for a regression, with the weights of an average as
        they are) and ``first_order`` (the same from the influence), both in the scale of the effects;
        ``effective_clusters`` (the number of equal clusters that partial leverage is worth, the same in all rows); ``note``.
        What needs a regression is missing for other methods, and the note says so.

    Raises
    ------
    InferenceError
        When no row is chosen among several, the row does not exist or has no estimate, or for clusters as in `infer`.

    Notes
    -----
    ``L_g = tr(X_g (X'X)^-1 X_g')``; with ``c`` the combination of coefficients, partial leverage is ``c'(X'X)^-1 X_g'X_g (X'X)^-1 c``
    over its sum; ``change = -c'(X'X - X_g'X_g)^-1 X_g'e_g``, of which the jackknife (CR3) is made. MacKinnon, Nielsen and Webb
    (2023), doi:10.1177/1536867X231212433. The effective number of clusters is ``G / (1 + Gamma)`` of Carter, Schnepel and
    Steigerwald (2017), doi:10.1162/REST_a_00639, for independent errors: one over the sum of squared partial leverages.

    Examples
    --------
    >>> import evalaid as ea
    >>> import pandas as pd
    >>> frame = pd.DataFrame({
    ...     "county": [*"aabbccdd"], "year": [2019, 2020] * 4,
    ...     "share": [0.80, 0.86, 0.80, 0.82, 0.70, 0.74, 0.70, 0.76], "first_treated": [2020] * 2 + [None] * 6,
    ... })
    >>> effects = ea.estimate(ea.diagnose(frame, "county", "year", "share", "first_treated"), "twfe")
    >>> found = ea.leverage(effects).set_index("cluster")
    >>> round(float(found.loc["a", "partial_leverage"]), 2), found.loc["a", "note"]
    (0.75, 'no estimate without this cluster')
    """
    check_effects(effects)
    chosen = _choose(effects, row)
    clusters = clusters_of(chosen, cluster)
    sums = clusters.sums(chosen.influence.matrix())[:, 0]
    total = float(sums @ sums)
    count = len(clusters)
    if chosen.contrasts is not None:
        parts = _from_regression(chosen.contrasts, clusters)
        notes = ["no estimate without this cluster" if missing else "" for missing in np.isnan(parts.change)]
    else:
        missing = np.full(count, np.nan)
        parts = _Parts(missing, missing, missing)
        notes = [
            f"{chosen.method} carries no regression here: influence only, see evalaid.leave_out for exact changes"
        ] * count
    table = pd.DataFrame({
        "cluster": clusters.labels,
        "n_units": np.bincount(clusters.codes, minlength=count),
        "leverage": parts.leverage,
        "partial_leverage": parts.partial,
        "influence_share": sums**2 / total if total > 0 else np.full(count, np.nan),
        "change": parts.change,
        "first_order": -sums,
        "effective_clusters": 1.0 / (parts.partial**2).sum(),
        "note": notes,
    })  # fmt: skip
    return table.sort_values("influence_share", ascending=False, kind="stable", ignore_index=True)


@dataclass(frozen=True)
class _Parts:
    """Leverage, partial leverage and exact change by cluster, (G,) each."""

    leverage: Floats
    partial: Floats
    change: Floats


def _choose(effects: Effects, row: int | None) -> Effects:
    """Take one estimate."""
    listed = f"the cells are:\n{effects.cells.drop(columns='reason').to_string()}"
    if row is None and len(effects) > 1:
        raise InferenceError(
            f"Leverage belongs to one estimate, and there are {len(effects)}. Choose one by row=..., aggregate('overall') or "
            f"select(...); {listed}"
        )
    place = 0 if row is None else row
    if not 0 <= place < len(effects):
        raise InferenceError(f"row={row} found; a position from 0 to {len(effects) - 1} is expected; {listed}")
    if np.isnan(effects.value[place]):
        raise InferenceError(f"This estimate is missing: {effects.cells['reason'].iloc[place]}.")
    return effects.select(np.arange(len(effects)) == place)


def _from_regression(contrasts: Contrasts, clusters: Clusters) -> _Parts:
    """Read leverage and leave-one-out changes from the hat matrices of the clusters."""
    count = len(clusters)
    full, partial, change = np.zeros(count), np.zeros(count), np.zeros(count)
    if contrasts.problem.absorbed == "unit":
        full += np.bincount(clusters.codes, minlength=count)
    size = float(contrasts.directions[:, 0] @ contrasts.problem.inverse @ contrasts.directions[:, 0])
    for hats in hats_of(contrasts, clusters):
        ua, here = hats.ua[:, :, 0], hats.clusters
        full[here] += hats.q.sum(axis=1)
        partial[here] = (ua**2).sum(axis=1)
        rest = 1.0 - hats.q
        alone = rest <= ALONE
        moved = -(ua / np.where(alone, 1.0, rest) * ~alone * hats.ue).sum(axis=1)
        # Without the cluster a direction that it fits alone is gone, and with it every estimate that loads on it.
        lost = (ua**2 * alone).sum(axis=1) > ALONE * size
        change[here] = np.where(lost, np.nan, moved)
    known = partial.sum()
    return _Parts(full, partial / known if known > 0 else np.full(count, np.nan), change)
