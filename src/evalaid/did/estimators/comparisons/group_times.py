"""The comparisons behind group-time effects: a cohort in a period against its base period and units that are untreated in both."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from evalaid.base.periods import label
from evalaid.did.estimators.common.method import cohort_slices
from evalaid.did.estimators.common.unbalanced import BASE_PERIOD
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.matrices import Matrices


@dataclass(frozen=True, slots=True)
class GroupTime:
    """One comparison: a cohort in a period against its base period; column indices into the periods."""

    cohort: int
    now: int
    base: int
    comparison_from: int
    reason: str = ""


def list_group_times(matrices: Matrices, comparison: str, base_period: str, anticipation: int) -> Iterator[GroupTime]:
    """List the cells in the order cohort, period, with their base period and their comparison units."""
    periods, starts = matrices.periods.tolist(), matrices.starts.tolist()
    reacts = matrices.reaction(anticipation).tolist()
    first = 0 if base_period == "universal" else 1
    never = len(reacts)
    for number, last in enumerate(base_columns(matrices, anticipation).tolist()):
        for now in range(first, len(periods)):
            reacting = periods[now] >= reacts[number]
            if last < 0:
                reason = f"no period before the cohort starts (with anticipation of {anticipation})"
                yield GroupTime(number, now, now, never, reason)
                continue
            base = last if reacting or base_period == "universal" else now - 1
            if base == now:
                yield GroupTime(number, now, base, never, BASE_PERIOD)
                continue
            cutoff = periods[max(now, base)]
            start = never if comparison == "never_treated" else bisect_right(reacts, cutoff)
            cell = GroupTime(number, now, base, start)
            if comparison_size(starts, cell) == 0:
                where = label(matrices.period_kind, periods[max(now, base)])
                missing = "never-treated" if comparison == "never_treated" else "untreated"
                cell = GroupTime(number, now, base, start, f"no unit is {missing} in {where}")
            yield cell


def comparison_rows(matrices: Matrices, cell: GroupTime) -> tuple[slice, ...]:
    """Return the rows of the comparison units: the tail of the matrices without the cohort itself."""
    start, n_units = int(matrices.starts[cell.comparison_from]), len(matrices.units)
    if cell.cohort < cell.comparison_from:
        return (slice(start, n_units),)
    own = cohort_slices(matrices)[cell.cohort]
    return slice(start, own.start), slice(own.stop, n_units)


def comparison_size(starts: list[int], cell: GroupTime) -> int:
    """Count the comparison units of a cell from the first rows of the cohorts."""
    own = starts[cell.cohort + 1] - starts[cell.cohort]
    return starts[-1] - starts[cell.comparison_from] - own * (cell.cohort >= cell.comparison_from)
