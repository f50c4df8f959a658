"""What is left of a change when the change without the programme is only known to lie in a stated interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from evalaid.design import Design
from evalaid.errors import EstimationError
from evalaid.facts.rounding import Figure, as_figure
from evalaid.sensitivity.means import CellMeans, cell_means

Number = Figure | float

ASSUMPTIONS = {
    "logical": "nothing but the range of the outcome",
    "time_variation": "without the programme at most M a period, up or down",
    "trend_continued": "without the programme the earlier trend, give or take M a period",
    "difference_variation": "without the programme as the comparison, give or take M a period",
    "time_and_difference": "both: at most M a period, and as the comparison give or take M",
}
"""What each assumption says about the change without the programme."""

_COLUMNS = ["key", "assumption", "label", "m", "lower", "upper", "sign", "unit", "note"]


@dataclass(frozen=True, eq=False, repr=False)
class Bounds:
    """Hold the bounds on an effect under each assumption and each M.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row an assumption and M: ``key``, ``assumption``, ``label``, ``m`` (per period), ``lower``, ``upper``, ``sign``
        ("positive", "negative", "open", "contradiction", "no figure"), ``unit``, ``note``. From a Design also ``cohort``
        and ``period`` (labels; "all" = the average over treated units and periods).
    breakdown : pandas.DataFrame
        What it takes for nothing to be left: ``key``, ``assumption``, ``label``, ``value``, ``low``, ``high`` (rounding),
        ``unit``, ``note``.
    """

    frame: pd.DataFrame
    breakdown: pd.DataFrame

    def __repr__(self) -> str:
        return f"<Bounds: {len(self.frame)} intervals>"

    def scaled(self, factor: float, unit: str) -> Bounds:
        """Express everything in another unit, for example fractions in percentage points.

        Parameters
        ----------
        factor : float
            Above 0.
        unit : str
            Name of the new unit.

        Returns
        -------
        Bounds

        Examples
        --------
        >>> bound_effect(0.822, 0.869, unit="fraction").scaled(100, "pp").frame["upper"].round(1).tolist()
        [4.7]
        """
        frame = self.frame.assign(**{name: self.frame[name] * factor for name in ("m", "lower", "upper")}, unit=unit)
        own = self.breakdown["assumption"] != "trend_multiple"
        shown = self.breakdown.copy()
        for name in ("value", "low", "high"):
            shown[name] = shown[name].where(~own, shown[name] * factor)
        return replace(self, frame=frame, breakdown=shown.assign(unit=shown["unit"].where(~own, unit)))


@dataclass(frozen=True)
class _Problem:
    """One before-after change and what is known beside it."""

    change: Figure
    after: Figure | None
    comparison: Figure | None
    trend: Figure | None
    periods: float
    floor: float | None
    ceiling: float | None


def bound_effect(
    source: Design | Number | None = None,
    after: Number | None = None,
    *,
    change: Number | None = None,
    comparison: tuple[Number, Number] | Number | None = None,
    trend: Number | Literal["before"] | None = None,
    m: Sequence[float] | float = (0.0,),
    periods: float = 1.0,
    floor: float | None = None,
    ceiling: float | None = None,
    unit: str = "pp",
) -> Bounds:
    """Bound an effect by assumptions on how much the outcome could have changed without the programme.

    Assumes no more than each row of the result says: that the change without the programme lies in an interval. The
    interval of the effect is then exact, not a confidence interval: sampling error is not in it (published shares are
    counts of all episodes). Rounding is: every figure stands for the whole interval that its digits leave open.

    ::

        effect = change - d,   d the change without the programme over k periods
        time_variation         -k M <= d <= k M
        trend_continued        k (trend - M) <= d <= k (trend + M)
        difference_variation   comparison change - k M <= d <= comparison change + k M
        time_and_difference    the first and the third
        always                 floor <= outcome without the programme <= ceiling, hence effect >= after - ceiling

    Parameters
    ----------
    source : Design, Figure or float
        A design, or the outcome before. A plain number is taken as exact; `Figure.rounded(86.9, 1)` carries its rounding.
    after : Figure or float, optional
        The outcome after; not with a design.
    change : Figure or float, optional
        The change as published, when its own rounding says more than the difference of the two levels.
    comparison : tuple of two, or one, Figure or float, optional
        The comparison's outcome before and after, or its change. A design brings its own comparison.
    trend : Figure, float or "before", optional
        Earlier change per period; ``"before"`` (designs) takes the cohort's mean change up to the last period before the
        start.
    m : float or sequence of float
        Largest deviation per period, >= 0, in the unit of the outcome.
    periods : float
        Length of the change in periods, > 0. A design counts its own.
    floor, ceiling : float, optional
        Range of the outcome (0 and 100 for a share in per cent). A design of a share uses 0 and 1.
    unit : str
        Unit of the change, for the result. A design of a share gives fractions (see `Bounds.scaled`).

    Returns
    -------
    Bounds
        An assumption appears when what it needs was given.

    Raises
    ------
    EstimationError
        When neither two levels nor a change is given, M is negative, or arguments do not go together.

    Source
    ------
    Manski and Pepper (2018), Review of Economics and Statistics 100(2), 232-244; https://doi.org/10.1162/REST_a_00689

    Examples
    --------
    >>> bounds = bound_effect(82.2, 86.9, trend=1.1, m=[0, 0.5], periods=2)
    >>> bounds.frame[["assumption", "m", "lower", "upper", "sign"]].round(2)
            assumption    m  lower  upper      sign
    0   time_variation  0.0    4.7    4.7  positive
    1   time_variation  0.5    3.7    5.7  positive
    2  trend_continued  0.0    2.5    2.5  positive
    3  trend_continued  0.5    1.5    3.5  positive
    """
    grid = _check_grid(m)
    if isinstance(source, Design):
        if after is not None or change is not None or comparison is not None or isinstance(trend, (float, int, Figure)):
            raise EstimationError(
                "A design brings its own figures; give after, change, comparison and trend only with published figures "
                "(for the trend of a design: trend='before')."
            )
        return _bound_cells(source, grid, with_trend=trend == "before")
    if isinstance(trend, str):
        raise EstimationError(f"Found trend={trend!r}; published figures need a number, for example 1.1 a year.")
    if not periods > 0:
        raise EstimationError(f"Found periods={periods!r}; expected the length of the change in periods, above 0.")
    problem = _Problem(
        change=_find_change(source, after, change),
        after=None if after is None else as_figure(after),
        comparison=_comparison_change(comparison),
        trend=None if trend is None else as_figure(trend),
        periods=float(periods),
        floor=floor,
        ceiling=ceiling,
    )
    return Bounds(_table(problem, grid, unit), _breakdown(problem, unit))


def _check_grid(m: Sequence[float] | float) -> tuple[float, ...]:
    grid = tuple(float(value) for value in (m if isinstance(m, Iterable) else [m]))
    if not grid or not all(math.isfinite(value) and value >= 0 for value in grid):
        raise EstimationError(f"Found m={m!r}; expected one or more finite numbers, 0 or above.")
    return tuple(sorted(set(grid)))


def _find_change(before: Number | None, after: Number | None, change: Number | None) -> Figure:
    levels = None if before is None or after is None else as_figure(after) - as_figure(before)
    if change is None:
        if levels is None:
            raise EstimationError("Found no change; expected the outcome before and after, or change=.")
        return levels
    stated = as_figure(change)
    if levels is None:
        return stated
    low, high = max(stated.low, levels.low), min(stated.high, levels.high)
    if low > high + 1e-9:
        raise EstimationError(
            f"The change {stated.value:g} ({stated.low:g} to {stated.high:g}) and the levels, which differ by "
            f"{levels.value:g} ({levels.low:g} to {levels.high:g}), contradict each other; check the figures."
        )
    return Figure(min(max(stated.value, low), high), min(low, high), high)


def _comparison_change(comparison: tuple[Number, Number] | Number | None) -> Figure | None:
    if comparison is None:
        return None
    if isinstance(comparison, tuple):
        before, after = (as_figure(number) for number in comparison)
        return after - before
    return as_figure(comparison)


def _table(problem: _Problem, grid: tuple[float, ...], unit: str) -> pd.DataFrame:
    rows = []
    for assumption in _applicable(problem):
        for m in (math.nan,) if assumption == "logical" else grid:
            lower, upper, note = _interval(problem, assumption, m)
            key = assumption if math.isnan(m) else f"{assumption}.m_{f'{m:g}'.replace('.', '_')}"
            sign = _sign(lower, upper, note)
            rows.append((key, assumption, ASSUMPTIONS[assumption], m, lower, upper, sign, unit, note))
    return pd.DataFrame(rows, columns=_COLUMNS)


def _applicable(problem: _Problem) -> list[str]:
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


def _interval(problem: _Problem, assumption: str, m: float) -> tuple[float, float, str]:
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


def _sign(lower: float, upper: float, note: str) -> str:
    if math.isnan(lower):
        return "contradiction" if note else "no figure"
    return "positive" if lower > 0 else "negative" if upper < 0 else "open"


def _breakdown(problem: _Problem, unit: str) -> pd.DataFrame:
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
    """Give the interval of an absolute value."""
    ends = abs(figure.low), abs(figure.high)
    low = 0.0 if figure.low <= 0 <= figure.high else min(ends)
    return Figure(min(max(abs(figure.value), low), max(ends)), low, max(ends))


def _bound_cells(design: Design, grid: tuple[float, ...], *, with_trend: bool) -> Bounds:
    """Bound the effect in every cohort and period, and on average over treated units and periods."""
    share = design.outcome_unit == "fraction"
    unit = "fraction" if share else "number"
    limits: dict[str, Any] = {"floor": 0.0, "ceiling": 1.0} if share else {"floor": None, "ceiling": None}
    cells = cell_means(design)
    if not cells:
        raise EstimationError("No cohort has a period before and a period after its start; nothing can be bounded.")
    tables, breakdowns = [], []
    for cell in cells:
        problem = _cell_problem(cell, with_trend=with_trend, **limits)
        where = {"cohort": cell.cohort, "period": cell.period}
        table = _table(problem, grid, unit).assign(**where, n_treated=cell.n_treated)
        if cell.reason:
            table["note"] = [f"{note}; {cell.reason}".lstrip("; ") for note in table["note"]]
        tables.append(table.assign(key=f"{cell.cohort}.{cell.period}." + table["key"]))
        breakdown = _breakdown(problem, unit).assign(**where)
        breakdowns.append(breakdown.assign(key=f"{cell.cohort}.{cell.period}." + breakdown["key"]))
    every = pd.concat(tables, ignore_index=True)
    frame = pd.concat([_average(every), every], ignore_index=True).drop(columns="n_treated")
    return Bounds(frame, pd.concat(breakdowns, ignore_index=True))


def _cell_problem(cell: CellMeans, *, with_trend: bool, floor: float | None, ceiling: float | None) -> _Problem:
    return _Problem(
        change=Figure.exact(cell.after - cell.before),
        after=Figure.exact(cell.after),
        comparison=None if cell.comparison_change is None else Figure.exact(cell.comparison_change),
        trend=Figure.exact(cell.trend) if with_trend and cell.trend is not None else None,
        periods=float(cell.periods),
        floor=floor,
        ceiling=ceiling,
    )


def _average(every: pd.DataFrame) -> pd.DataFrame:
    """Average lower and upper ends over cells by their treated units; only where every cell has the assumption."""
    cells = every.groupby(["cohort", "period"]).ngroups
    rows = []
    for (assumption, m), group in every.groupby(["assumption", "m"], sort=False, dropna=False):
        if len(group) < cells:
            continue
        weight = group["n_treated"].to_numpy(dtype=float)
        lower, upper = (float(np.average(group[end], weights=weight)) for end in ("lower", "upper"))
        note = "average over treated units and periods"
        label, unit, key = group["label"].iloc[0], group["unit"].iloc[0], group["key"].iloc[0].split(".", 2)[2]
        contradiction = math.isnan(lower)
        sign = "contradiction" if contradiction else _sign(lower, upper, "")
        rows.append(
            (f"all.{key}", assumption, label, m, lower, upper, sign, unit, note, "all", "all", int(weight.sum()))
        )
    return pd.DataFrame(rows, columns=[*_COLUMNS, "cohort", "period", "n_treated"])
