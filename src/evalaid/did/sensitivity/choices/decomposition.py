"""What the two-way fixed-effects coefficient is an average of (Goodman-Bacon 2021)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import ESTIMATE
from evalaid.base.errors import NotIdentifiedError
from evalaid.base.texts import counted
from evalaid.did.estimators.common.method import Needs, unmet
from evalaid.did.panel.design import Design, check_design
from evalaid.did.panel.level import without_level

KINDS = ("treated vs never treated", "earlier vs later treated", "later vs earlier treated")


def bacon(design: Design) -> pd.DataFrame:
    """Decompose the two-way fixed-effects coefficient into two-by-two comparisons and their weights.

    Assumes a balanced panel without weights and covariates. The comparisons "later vs earlier treated" use units that are
    already treated as comparison: where effects grow over time they enter with the wrong sign.

    Parameters
    ----------
    design : Design
        Balanced panel with at least one comparison.

    Returns
    -------
    pandas.DataFrame
        One row per comparison: ``treated``, ``comparison`` (ordinals; missing = never treated), ``kind``, ``estimate``,
        ``weight``. Weights sum to one and the weighted estimates to the coefficient of ``twfe``, exactly.

    Raises
    ------
    NotIdentifiedError
        When the panel is unbalanced or weighted, holds no comparison, or the design states anticipation.

    Notes
    -----
    With shares n_k and treated shares of periods D_k, weights are proportional to ``n_k n_u D_k (1 - D_k)`` for k against
    never treated, to ``n_k n_l (D_k - D_l)(1 - D_k)`` for earlier k against later l, and to ``n_k n_l D_l (D_k - D_l)``
    for later l against earlier k. Goodman-Bacon (2021), theorem 1, doi:10.1016/j.jeconom.2021.03.014.

    Examples
    --------
    >>> import evalaid as ea
    >>> frame = pd.DataFrame({
    ...     "county": ["a"] * 3 + ["b"] * 3 + ["c"] * 3, "year": [2019, 2020, 2021] * 3,
    ...     "share": [0.80, 0.84, 0.85, 0.80, 0.81, 0.86, 0.70, 0.71, 0.72],
    ...     "first_treated": [2020.0] * 3 + [2021.0] * 3 + [None] * 3,
    ... })
    >>> table = bacon(ea.diagnose(frame, "county", "year", "share", "first_treated"))
    >>> table["kind"].nunique(), round(float(table["weight"].sum()), 12)
    (3, 1.0)
    """
    check_design(design)
    matrices = design.matrices
    reasons = unmet(Needs(balanced=True, weights="none"), design)
    if design.anticipation:
        why = (
            f"units may react {counted(design.anticipation, 'period')} before the start: twfe leaves these observations out, and on what is "
            "left its coefficient is no weighted average of two-by-two comparisons; state no anticipation to decompose the "
            "coefficient that uses them"
        )
        reasons = (*reasons, why)
    if reasons:
        listed = "".join(f"\n  - {reason}" for reason in reasons)
        raise NotIdentifiedError(f"The decomposition does not apply to this design:{listed}", reasons, ())
    matrices = without_level(design).matrices
    sizes = np.diff(matrices.starts)
    means = np.array([matrices.outcome[matrices.block(k)].mean(axis=0) for k in range(len(sizes)) if sizes[k]])
    starts = matrices.start_column
    cohorts, n_periods = matrices.cohorts, matrices.n_periods
    share, treated = sizes / sizes.sum(), 1 - starts / n_periods
    rows = []

    def compare(own: int, other: int, before: slice, after: slice) -> float:
        change = means[:, after].mean(axis=1) - means[:, before].mean(axis=1)
        return float(change[own] - change[other])

    never = len(cohorts)
    for k, start in enumerate(starts):
        if sizes[never]:
            weight = share[k] * share[never] * treated[k] * (1 - treated[k])
            estimate = compare(k, never, slice(0, start), slice(start, None))
            rows.append((cohorts[k], None, KINDS[0], estimate, weight))
        for j in range(k + 1, never):
            later, gap = starts[j], treated[k] - treated[j]
            both = share[k] * share[j] * gap
            early = compare(k, j, slice(0, start), slice(start, later))
            late = compare(j, k, slice(start, later), slice(later, None))
            rows.append((cohorts[k], cohorts[j], KINDS[1], early, both * (1 - treated[k])))
            rows.append((cohorts[j], cohorts[k], KINDS[2], late, both * treated[j]))
    table = pd.DataFrame(rows, columns=["treated", "comparison", "kind", ESTIMATE, "weight"])
    table["comparison"] = table["comparison"].astype("Int64")
    return table.assign(weight=table["weight"] / table["weight"].sum())
