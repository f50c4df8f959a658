"""The effect that is put into a panel, and its averages under the estimands that methods target."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.periods import label

Floats = NDArray[np.float64]
SHAPES = ("constant", "gradual", "none", "dose")
"""How an effect unfolds: at once, over the first periods, not at all, or at once in proportion to the dose."""


def unfold(shape: str, event_time: Floats, build_up: int) -> Floats:
    """Compute the fraction of the full effect that is reached at each event time.

    Assumes no anticipation: before the start the effect is zero.

    Notes
    -----
    gradual: ``min(1, (e + 1) / build_up)`` for ``e >= 0``.

    Examples
    --------
    >>> unfold("gradual", np.array([-1.0, 0.0, 1.0, 9.0, np.nan]), 4).tolist()
    [0.0, 0.25, 0.5, 1.0, 0.0]
    """
    started = np.nan_to_num(event_time, nan=-1.0) >= 0
    if shape == "none":
        return np.zeros(event_time.shape)
    if shape == "gradual":
        return np.where(started, np.minimum(1.0, (np.where(started, event_time, 0.0) + 1) / build_up), 0.0)
    return started.astype(float)


def event_times(cohort: Floats, periods: NDArray[np.int64]) -> Floats:
    """Compute the periods since each unit's start.

    Examples
    --------
    >>> event_times(np.array([2.0, np.nan]), np.array([1, 2])).tolist()
    [[-1.0, 0.0], [nan, nan]]
    """
    return periods[None, :] - cohort[:, None]


def summarise_truth(
    effect: Floats, cohort: Floats, periods: NDArray[np.int64], kind: str, weight: Floats | None = None
) -> pd.DataFrame:
    """Average the true effects under the estimands that methods target.

    Examples
    --------
    >>> effect = np.array([[0.0, 0.04], [0.0, 0.0]])
    >>> table = summarise_truth(effect, np.array([2020.0, np.nan]), np.array([2019, 2020]), "year")
    >>> table.loc[table["estimand"] == "overall", "effect"].tolist()
    [0.04]
    """
    since = event_times(cohort, periods)
    treated = np.nan_to_num(since, nan=-1.0) >= 0
    rows: list[tuple[str, str, str, float, int, float]] = []

    def add(name: str, of: str, when: str, step: float, where: NDArray[np.bool_], by: Floats | None = None) -> None:
        units = int(where.any(axis=1).sum())
        if units:
            chances = np.ones(effect.shape) if by is None else np.repeat(by[:, None], effect.shape[1], axis=1)
            rows.append((name, of, when, step, units, float(np.average(effect[where], weights=chances[where]))))

    for start in np.unique(cohort[~np.isnan(cohort)]):
        mine = (cohort == start)[:, None] & treated
        for column in np.flatnonzero(mine.any(axis=0)):
            only = np.zeros_like(mine)
            only[:, column] = mine[:, column]
            step = float(periods[column] - start)
            add("cohort_period", label(kind, start), label(kind, periods[column]), step, only)
        add("cohort", label(kind, start), "", np.nan, mine)
    for step in np.unique(since[treated]):
        add("event_time", "", "", float(step), treated & (since == step))
    add("overall", "", "", np.nan, treated)
    add("overall_compared", "", "", np.nan, treated & ~treated.all(axis=0))
    if weight is not None:
        add("overall_weighted", "", "", np.nan, treated, weight)
    columns = ["estimand", "cohort", "period", "event_time", "n_units", "effect"]
    return pd.DataFrame(rows, columns=columns)
