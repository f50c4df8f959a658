"""Bounds from limits to the change without the programme: the arithmetic, for one before-after change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from evalaid.base.rounding import Figure

Grid = Mapping[str, tuple[float, ...]]

ASSUMPTIONS = {
    "logical": "nothing but the range of the outcome",
    "time_variation": "without the programme at most M a period, up or down",
    "trend_continued": "without the programme the earlier trend, give or take M a period",
    "difference_variation": "without the programme as the comparison, give or take M a period",
    "time_and_difference": "both: at most M a period, and as the comparison give or take M",
}
"""What each assumption says about the change without the programme."""

COLUMNS = ["key", "assumption", "label", "m", "lower", "upper", "sign", "unit", "note"]


@dataclass(frozen=True)
class BoundProblem:
    """One before-after change and what is known beside it."""

    change: Figure
    after: Figure | None
    comparison: Figure | None
    trend: Figure | None
    periods: float
    floor: float | None
    ceiling: float | None


def tabulate(problem: BoundProblem, grid: Grid, unit: str) -> pd.DataFrame:
    """Bound the effect under every assumption for which everything is there and each M of its grid."""
    rows = []
    for assumption in _applicable(problem):
        for m in (math.nan,) if assumption == "logical" else grid[assumption]:
            lower, upper, note = _interval(problem, assumption, m)
            key = assumption if math.isnan(m) else f"{assumption}.m_{f'{m:g}'.replace('.', '_')}"
            sign = sign_of(lower, upper, note)
            rows.append((key, assumption, ASSUMPTIONS[assumption], m, lower, upper, sign, unit, note))
    return pd.DataFrame(rows, columns=COLUMNS)


def _applicable(problem: BoundProblem) -> list[str]:
    """List the assumptions for which everything is there."""
    bounded = problem.after is not None and (problem.floor is not None or problem.ceiling is not None)
    given = {
        "logical": bounded,
        "time_variation": True,
        "trend_continued": problem.trend is not None,
        "difference_variation": problem.comparison is not None,
        "time_and_difference": problem.comparison is not None,
    }
    return [name for name in ASSUMPTIONS if given[name]]


def _interval(problem: BoundProblem, assumption: str, m: float) -> tuple[float, float, str]:
    """Bound the effect: the change less the interval of the change without the programme, cut at floor and ceiling."""
    reach = problem.periods * m
    low, high = -math.inf, math.inf
    if assumption in {"time_variation", "time_and_difference"}:
        low, high = -reach, reach
    if assumption == "trend_continued" and problem.trend is not None:
        low = problem.periods * problem.trend.low - reach
        high = problem.periods * problem.trend.high + reach
    if assumption in {"difference_variation", "time_and_difference"} and problem.comparison is not None:
        low, high = max(low, problem.comparison.low - reach), min(high, problem.comparison.high + reach)
    if low > high:
        return math.nan, math.nan, "the comparison itself changed by more than this M allows"
    lower, upper, note = problem.change.low - high, problem.change.high - low, ""
    if problem.after is not None and problem.ceiling is not None and problem.after.low - problem.ceiling > lower:
        lower, note = problem.after.low - problem.ceiling, "the ceiling binds"
    if problem.after is not None and problem.floor is not None and problem.after.high - problem.floor < upper:
        upper, note = problem.after.high - problem.floor, f"{note}; the floor binds".lstrip("; ")
    if lower > upper:
        return math.nan, math.nan, "no outcome between floor and ceiling agrees with this M"
    return lower, upper, note


def sign_of(lower: float, upper: float, note: str) -> str:
    """Return the sign of an interval in words; a missing one is a contradiction when a note says so."""
    if math.isnan(lower):
        return "contradiction" if note else "no figure"
    return "positive" if lower > 0 else "negative" if upper < 0 else "open"


def find_breakdown(problem: BoundProblem, unit: str) -> pd.DataFrame:
    """Find the change without the programme, and the M of each assumption, at which the effect may be nothing."""
    k, change = Figure.exact(problem.periods), problem.change
    rows: list[tuple[str, str, Figure, str, str]] = [
        ("counterfactual_change", "change without the programme at which nothing is left", change, unit, ""),
        ("per_period", "the same, per period", change / k, unit, ""),
    ]
    rows.append(("time_variation", "M at which bounded time variation reaches zero", _magnitude(change / k), unit, ""))
    if problem.trend is not None:
        gap = _magnitude((change - k * problem.trend) / k)
        rows.append(("trend_continued", "M beside the earlier trend at which zero is reached", gap, unit, ""))
        if problem.trend.low > 0 or problem.trend.high < 0:
            multiple = change / (k * problem.trend)
            label = "how many times the earlier trend would leave nothing"
            rows.append(("trend_multiple", label, multiple, "number", ""))
    if problem.comparison is not None:
        gap = _magnitude((change - problem.comparison) / k)
        rows.append(("difference_variation", "M beside the comparison at which zero is reached", gap, unit, ""))
    return pd.DataFrame(
        [(key, key, label, f.value, f.low, f.high, shown, note) for key, label, f, shown, note in rows],
        columns=["key", "assumption", "label", "value", "low", "high", "unit", "note"],
    )


def _magnitude(figure: Figure) -> Figure:
    """Return the interval of an absolute value."""
    ends = abs(figure.low), abs(figure.high)
    low = 0.0 if figure.low <= 0 <= figure.high else min(ends)
    return Figure(min(max(abs(figure.value), low), max(ends)), low, max(ends))
