"""Means of the treated and of their comparison before and after, for every cohort and period of a design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.periods import label
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import Matrices

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CellMeans:
    """The means of one cohort in its base period and in one period after its start.

    ``cohort``, ``period``: labels. ``n_treated``: units of the cohort that are observed in both periods. ``periods``:
    steps on the time axis from the base period to this one. ``before``, ``after``: mean outcome of these units,
    weighted by their weight in the base period. ``comparison_change``: change of the mean of the comparison units
    (never treated, else not yet treated); None when there is none. ``trend``: mean change per period of the cohort
    from the first period to the base period; None when that is one period. ``reason``: why there is no comparison, or
    empty. ``n_comparison``: comparison units that are observed in both periods. ``cohort_ordinal``,
    ``period_ordinal``: the labels as ordinals. ``influence``: of ``after``, ``change`` (after less before),
    ``comparison_change`` and ``trend``, where there are: how each unit, in matrix order, moves them; they sum to zero.
    ``share``: the share of each unit in these means.
    """

    cohort: str
    period: str
    n_treated: int
    periods: int
    before: float
    after: float
    comparison_change: float | None
    trend: float | None
    reason: str
    n_comparison: int
    cohort_ordinal: int
    period_ordinal: int
    influence: Mapping[str, Floats] = field(compare=False, repr=False)
    share: Mapping[str, Floats] = field(compare=False, repr=False)


def cell_means(design: Design) -> list[CellMeans]:
    """Take the means behind every cohort and period from its start on.

    Assumes nothing beyond the design: units count when they are observed in both periods.

    Examples
    --------
    >>> import pandas as pd
    >>> from evalaid.did.panel.design import diagnose
    >>> table = pd.DataFrame({"unit": ["a", "a", "b", "b"], "year": [2019, 2020] * 2, "y": [1.0, 4.0, 1.0, 2.0],
    ...                       "start": [2020.0, 2020.0, None, None]})
    >>> cell = cell_means(diagnose(table, "unit", "year", "y", "start"))[0]
    >>> cell.before, cell.after, cell.comparison_change
    (1.0, 4.0, 1.0)
    """
    matrices, cells = design.matrices, []
    bases = base_columns(matrices, design.anticipation)
    for number, base in enumerate(bases):
        if base < 0:
            continue
        treated = np.arange(matrices.n_units)[matrices.block(number)]
        for column in range(int(matrices.start_column[number]), matrices.n_periods):
            cell = _one_cell(design, number, treated, int(base), column)
            if cell is not None:
                cells.append(cell)
    return cells


def _one_cell(design: Design, number: int, treated: np.ndarray, base: int, column: int) -> CellMeans | None:
    matrices = design.matrices
    rows = _observed(matrices, treated, base, column)
    if not len(rows):
        return None
    comparison = _untreated(design, number, base, column)
    kind = matrices.period_kind
    reason = "" if len(comparison) else "no unit is untreated in this period: no comparison"
    trend = None
    after, of_after = _mean(matrices, rows, column, base), _pull(matrices, rows, column, base)
    influence = {"after": of_after, "change": of_after - _pull(matrices, rows, base, base)}
    share = dict.fromkeys(influence, _share(matrices, rows, base))
    whole = _observed(matrices, treated, 0, base)
    if base > 0 and len(whole):
        steps = int(matrices.periods[base] - matrices.periods[0])
        trend = (_mean(matrices, whole, base, base) - _mean(matrices, whole, 0, base)) / steps
        influence["trend"] = (_pull(matrices, whole, base, base) - _pull(matrices, whole, 0, base)) / steps
        share["trend"] = _share(matrices, whole, base)
    if not reason:
        share["comparison_change"] = _share(matrices, comparison, base)
        influence["comparison_change"] = _pull(matrices, comparison, column, base) - _pull(
            matrices, comparison, base, base
        )
    return CellMeans(
        cohort=label(kind, matrices.cohorts[number]),
        period=label(kind, matrices.periods[column]),
        n_treated=len(rows),
        periods=int(matrices.periods[column] - matrices.periods[base]),
        before=_mean(matrices, rows, base, base),
        after=after,
        comparison_change=None
        if reason
        else _mean(matrices, comparison, column, base) - _mean(matrices, comparison, base, base),
        trend=trend,
        reason=reason,
        n_comparison=len(comparison),
        cohort_ordinal=int(matrices.cohorts[number]),
        period_ordinal=int(matrices.periods[column]),
        influence=influence,
        share=share,
    )


def _observed(matrices: Matrices, rows: np.ndarray, *columns: int) -> np.ndarray:
    """Keep the rows that are observed in all of the columns."""
    if matrices.observed is None:
        return rows
    return np.asarray(rows[matrices.observed[rows][:, list(columns)].all(axis=1)])


def _mean(matrices: Matrices, rows: np.ndarray, column: int, base: int) -> float:
    weight = None if matrices.importance is None else matrices.importance[rows, base]
    return float(np.average(matrices.outcome[rows, column], weights=weight))


def _pull(matrices: Matrices, rows: np.ndarray, column: int, base: int) -> Floats:
    """Return the influence of every unit on the mean that `_mean` takes."""
    pull = _share(matrices, rows, base)
    values = matrices.outcome[rows, column]
    pull[rows] *= values - np.average(values, weights=pull[rows])
    return pull


def _share(matrices: Matrices, rows: np.ndarray, base: int) -> Floats:
    """Return the share of every unit in the weight of the mean that `_mean` takes."""
    weight = np.ones(len(rows)) if matrices.importance is None else matrices.importance[rows, base]
    share = np.zeros(matrices.n_units)
    share[rows] = weight / weight.sum()
    return share


def variation_before(design: Design) -> pd.DataFrame:
    """Measure how much the outcome of each cohort moved from period to period before its treatment.

    Assumes nothing; it says which limits on the change without the programme the past would have kept.

    Examples
    --------
    >>> import pandas as pd
    >>> from evalaid.did.panel.design import diagnose
    >>> table = pd.DataFrame({"unit": [*"aaabbb"], "year": [2018, 2019, 2020] * 2, "y": [1.0, 4.0, 9.0, 1.0, 2.0, 2.0],
    ...                       "start": [2020.0] * 3 + [None] * 3})
    >>> seen = variation_before(diagnose(table, "unit", "year", "y", "start"))
    >>> seen[["assumption", "largest"]].values.tolist()
    [['time_variation', 3.0], ['difference_variation', 2.0], ['time_and_difference', 3.0]]
    """
    matrices = design.matrices
    rows: list[tuple[str, str, int, float, float]] = []
    for number, base in enumerate(base_columns(matrices, design.anticipation)):
        own, gaps = [], []
        treated = np.arange(matrices.n_units)[matrices.block(number)]
        for column in range(1, int(base) + 1):
            both = _observed(matrices, treated, column - 1, column)
            if not len(both):
                continue
            steps = int(matrices.periods[column] - matrices.periods[column - 1])
            change = (_mean(matrices, both, column, column - 1) - _mean(matrices, both, column - 1, column - 1)) / steps
            own.append(change)
            others = _untreated(design, number, column - 1, column)
            if len(others):
                other = _mean(matrices, others, column, column - 1) - _mean(matrices, others, column - 1, column - 1)
                gaps.append(change - other / steps)
        name = label(matrices.period_kind, matrices.cohorts[number])
        kinds = {
            "time_variation": np.abs(own),
            "trend_continued": np.abs(np.array(own) - np.mean(own)) if len(own) > 1 else np.zeros(0),
            "difference_variation": np.abs(gaps),
            "time_and_difference": np.maximum(np.abs(own), np.abs(gaps)) if len(own) == len(gaps) else np.zeros(0),
        }
        rows += [
            (name, kind, len(values), float(np.max(values)), float(np.mean(values)))
            for kind, values in kinds.items()
            if len(values)
        ]
    return pd.DataFrame(rows, columns=["cohort", "assumption", "changes", "largest", "mean"])


def _untreated(design: Design, number: int, *columns: int) -> np.ndarray:
    """Return the comparison units of a cohort in some periods: never treated, else another cohort that starts later."""
    matrices = design.matrices
    never = _observed(matrices, np.arange(matrices.n_units)[matrices.never], *columns)
    if len(never):
        return never
    later = (matrices.unit_reaction(design.anticipation) > matrices.periods[max(columns)]) & (
        matrices.cohort != matrices.cohorts[number]
    )
    return _observed(matrices, np.flatnonzero(later), *columns)
