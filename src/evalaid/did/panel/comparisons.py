"""Who can be compared with whom: counts and reasons for every cohort, period and comparison group of a panel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import N_CLUSTERS, TREATED_CLUSTERS
from evalaid.base.periods import label
from evalaid.did.panel.matrices import PARTLY, Matrices

NEVER_TREATED = "never_treated"
NOT_YET_TREATED = "not_yet_treated"

CELLS: dict[str, type] = {
    "cohort": np.int64,
    "period": np.int64,
    "event_time": np.int64,
    "comparison": object,
    "n_treated": np.int64,
    "n_comparison": np.int64,
    TREATED_CLUSTERS: np.int64,
    "comparison_clusters": np.int64,
    "admissible": bool,
    "reason": object,
}
"""Columns of the frame of cells, and what they hold."""


def base_columns(matrices: Matrices, anticipation: int = 0) -> np.ndarray:
    """Find the last period before each cohort reacts to the treatment.

    (C,) column of the last observed period before ``anticipation`` periods before the start in which no unit of the cohort is partly treated; -1
    where there is none.

    Examples
    --------
    >>> from evalaid.did.panel.matrices import arrange
    >>> matrices = arrange(units=pd.Index(["a", "b"]), periods=np.arange(2019, 2023), period_kind="year",
    ...                  outcome=np.zeros((2, 4)), cohort=np.array([2021.0, 2022.0]))
    >>> base_columns(matrices).tolist(), base_columns(matrices, anticipation=2).tolist()
    ([1, 2], [-1, 0])
    """
    base = np.searchsorted(matrices.periods, matrices.reaction(anticipation)) - 1
    if PARTLY in matrices.covariates:
        for number in range(len(base)):
            hidden = partly_treated(matrices, number)
            while base[number] >= 0 and hidden[base[number]]:
                base[number] -= 1
    return np.asarray(base)


def partly_treated(matrices: Matrices, number: int) -> np.ndarray:
    """Find the periods, (T,) bool, in which a unit of one cohort is treated for a part of the period only."""
    if PARTLY not in matrices.covariates:
        return np.zeros(matrices.n_periods, dtype=bool)
    return np.asarray((matrices.covariates[PARTLY][matrices.block(number)] > 0).any(axis=0))


def list_cells(matrices: Matrices, anticipation: int = 0) -> pd.DataFrame:
    """List every cohort, period and comparison group, with counts, and say why some are no comparison.

    A unit counts when it is observed both in the period and in the base period of the cohort, which is the last one before
    ``cohort - anticipation``. Not-yet-treated units of cohort g in period t are never treated, or of another cohort later
    than ``max(t, base period) + anticipation``, as in R ``did``. With a varying base period, pre-treatment cells compare t
    with the period before it: more of them may then have a comparison, and on unbalanced panels their counts may differ.

    Columns ``cohort``, ``period`` (ordinals), ``event_time``, ``comparison`` ("never_treated" or "not_yet_treated"),
    ``n_treated``, ``n_comparison``, ``treated_clusters``, ``comparison_clusters``, ``admissible``, ``reason``.

    Source
    ------
    Callaway and Sant'Anna (2021), Journal of Econometrics 225(2), section 2; https://doi.org/10.1016/j.jeconom.2020.12.001

    Examples
    --------
    >>> from evalaid.did.panel.matrices import arrange
    >>> matrices = arrange(units=pd.Index(["a", "b"]), periods=np.arange(2019, 2022), period_kind="year",
    ...                  outcome=np.zeros((2, 3)), cohort=np.array([2020.0, 2021.0]))
    >>> cells = list_cells(matrices)
    >>> cells.loc[cells["admissible"], ["cohort", "period", "comparison", "n_comparison"]].to_dict("records")
    [{'cohort': 2020, 'period': 2020, 'comparison': 'not_yet_treated', 'n_comparison': 1}]
    """
    bases = base_columns(matrices, anticipation)
    parts = []
    for number, base in enumerate(bases):
        pairs = matrices.observed
        if pairs is not None and base >= 0:
            pairs = pairs & pairs[:, [base]]
        treated = _count(matrices, np.arange(matrices.n_units)[matrices.block(number)], pairs)
        for comparison in (NEVER_TREATED, NOT_YET_TREATED):
            if comparison == NEVER_TREATED:
                others = _count(matrices, np.arange(matrices.n_units)[matrices.never], pairs)
            else:
                others = _count_not_yet_treated(matrices, number, int(base), anticipation, pairs)
            parts.append(_describe_cells(matrices, number, int(base), comparison, treated, others))
    columns = {
        name: np.concatenate([np.empty(0, dtype), *(part[name] for part in parts)]) for name, dtype in CELLS.items()
    }
    return pd.DataFrame(columns).astype({"comparison": str, "reason": str})


def _count_not_yet_treated(
    matrices: Matrices, number: int, base: int, anticipation: int, pairs: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Count units and clusters that are not yet treated, period by period, the cohort itself left out."""
    latest = np.maximum(matrices.periods, matrices.periods[max(base, 0)])
    first = np.searchsorted(matrices.reaction(anticipation), latest, side="right")
    units, clusters = np.zeros((2, matrices.n_periods), dtype=np.int64)
    own = matrices.block(number)
    for later in np.unique(first):
        rows = np.arange(matrices.starts[later], matrices.n_units)
        rows = rows[(rows < own.start) | (rows >= own.stop)]
        columns = np.flatnonzero(first == later)
        units[columns], clusters[columns] = _count(
            matrices, rows, None if pairs is None else pairs[:, columns], len(columns)
        )
    return units, clusters


def _count(
    matrices: Matrices, rows: np.ndarray, pairs: np.ndarray | None, width: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Count the units among ``rows`` and their clusters, in each column of ``pairs``."""
    if pairs is None:
        width = matrices.n_periods if width is None else width
        present = np.zeros(matrices.n_clusters, dtype=bool)
        present[matrices.cluster[rows]] = True
        return np.full(width, len(rows)), np.full(width, np.count_nonzero(present))
    chosen = pairs[rows]
    units = np.count_nonzero(chosen, axis=0)
    if matrices.clustered_by_unit:
        return units, units
    row, column = np.nonzero(chosen)
    seen = np.zeros((matrices.n_clusters, pairs.shape[1]), dtype=bool)
    seen[matrices.cluster[rows][row], column] = True
    return units, np.count_nonzero(seen, axis=0)


def _describe_cells(
    matrices: Matrices,
    number: int,
    base: int,
    comparison: str,
    treated: tuple[np.ndarray, np.ndarray],
    others: tuple[np.ndarray, np.ndarray],
) -> dict[str, np.ndarray]:
    """Write the rows of one cohort and comparison group, each with its reason when it is no comparison."""
    if base < 0:
        reason: Any = np.full(matrices.n_periods, "the cohort has no period before it reacts")
    else:
        if comparison == NEVER_TREATED:
            nobody = "no unit is never treated" if matrices.never.start == matrices.never.stop else ""
        else:
            nobody = "every other unit is treated by then"
        unseen = "no {} unit is observed both in this period and in the base period"
        if matrices.observed is not None and comparison == NOT_YET_TREATED:
            nobody = "every other unit is treated by then or not observed in both periods"
        reason = np.select(
            [np.arange(matrices.n_periods) == base, treated[0] == 0, others[0] == 0],
            [
                "base period: the other periods are compared with it",
                unseen.format("treated"),
                nobody or unseen.format("comparison"),
            ],
            default="",
        )
    return {
        "cohort": np.full(matrices.n_periods, matrices.cohorts[number]),
        "period": matrices.periods,
        "event_time": matrices.event_time[number],
        "comparison": np.full(matrices.n_periods, comparison, dtype=object),
        "n_treated": treated[0],
        "n_comparison": others[0],
        TREATED_CLUSTERS: treated[1],
        "comparison_clusters": others[1],
        "admissible": reason == "",
        "reason": reason.astype(object),
    }


def count_available(matrices: Matrices) -> pd.DataFrame:
    """Count observed units by treatment status in each period.

    Columns ``period`` (ordinal), ``label``, ``never_treated``, ``not_yet_treated`` (treated later within the panel),
    ``treated``.

    Examples
    --------
    >>> from evalaid.did.panel.matrices import arrange
    >>> matrices = arrange(units=pd.Index(["a", "b"]), periods=np.array([2019, 2020]), period_kind="year",
    ...                  outcome=np.zeros((2, 2)), cohort=np.array([2020.0, np.nan]))
    >>> count_available(matrices).to_dict("list")
    {'period': [2019, 2020], 'label': ['2019', '2020'], 'never_treated': [1, 1], 'not_yet_treated': [1, 0], 'treated': [0, 1]}
    """
    sizes = np.diff(matrices.starts)
    if matrices.observed is None:
        counts = np.repeat(sizes[:, None], matrices.n_periods, axis=1)
    else:
        counts = np.stack([np.count_nonzero(matrices.observed[matrices.block(c)], axis=0) for c in range(len(sizes))])
    treated = matrices.cohorts[:, None] <= matrices.periods
    return pd.DataFrame(
        {
            "period": matrices.periods,
            "label": [label(matrices.period_kind, period) for period in matrices.periods],
            "never_treated": counts[-1],
            "not_yet_treated": (counts[:-1] * ~treated).sum(axis=0),
            "treated": (counts[:-1] * treated).sum(axis=0),
        }
    )


def describe_cohorts(matrices: Matrices, anticipation: int = 0) -> pd.DataFrame:
    """Describe the cohorts, and in a last row the never-treated units.

    Columns ``cohort`` (ordinal, missing = never treated), ``label``, ``n_units``, ``n_clusters``, ``pre_periods``,
    ``post_periods`` and ``baseline_mean`` (mean outcome over the periods before the first cohort reacts, the same
    periods in every row; weighted by analytic weights).

    Examples
    --------
    >>> from evalaid.did.panel.matrices import arrange
    >>> matrices = arrange(units=pd.Index(["a", "b"]), periods=np.array([2019, 2020]), period_kind="year",
    ...                  outcome=np.array([[0.7, 0.8], [0.6, 0.6]]), cohort=np.array([2020.0, np.nan]))
    >>> describe_cohorts(matrices)[["label", "n_units", "pre_periods", "post_periods", "baseline_mean"]]
               label  n_units  pre_periods  post_periods  baseline_mean
    0           2020        1            1             1            0.7
    1  never treated        1            2             0            0.6
    """
    pre = base_columns(matrices, anticipation) + 1
    common = int(pre.min()) if len(pre) else matrices.n_periods
    weight: Any = 1.0 if matrices.importance is None else matrices.importance[:, :common]
    mass = weight * (
        np.ones((matrices.n_units, common)) if matrices.observed is None else matrices.observed[:, :common]
    )
    total = (mass * matrices.outcome[:, :common]).sum(axis=1)
    blocks = [matrices.block(number) for number in range(len(matrices.cohorts) + 1)]
    means = [total[rows].sum() / mass[rows].sum() if mass[rows].sum() > 0 else np.nan for rows in blocks]
    return pd.DataFrame(
        {
            "cohort": pd.array([*matrices.cohorts, None], dtype="Int64"),
            "label": [*(label(matrices.period_kind, cohort) for cohort in matrices.cohorts), "never treated"],
            "n_units": np.diff(matrices.starts),
            N_CLUSTERS: [len(np.unique(matrices.cluster[rows])) for rows in blocks],
            "pre_periods": [*pre, matrices.n_periods],
            "post_periods": [*(matrices.n_periods - matrices.start_column), 0],
            "baseline_mean": means,
        }
    )
