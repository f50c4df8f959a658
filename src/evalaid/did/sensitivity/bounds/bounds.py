"""What is left of a change when the change without the programme is only known to lie in a stated interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from evalaid.base.effect_columns import ENDS
from evalaid.base.errors import EstimationError
from evalaid.base.rounding import Figure, as_figure
from evalaid.did.effects.notebook_view import NotebookView
from evalaid.did.inference.options import check_options
from evalaid.did.panel.design import Design
from evalaid.did.sensitivity.bounds.assumptions import ASSUMPTIONS, BoundProblem, find_breakdown, tabulate
from evalaid.did.sensitivity.bounds.panel_bounds import bound_cells

Number = Figure | float

NOTHING_SEEN = pd.DataFrame(columns=["cohort", "assumption", "changes", "largest", "mean", "unit"])


@dataclass(frozen=True, eq=False, repr=False)
class Bounds(NotebookView):
    """The bounds on an effect under each assumption and each M.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per assumption and M: ``key``, ``assumption``, ``label``, ``m`` (per period), ``lower``, ``upper``, ``sign``
        ("positive", "negative", "open", "contradiction", "no figure"), ``unit``, ``note``. From a Design also ``cohort``
        and ``period`` (labels; "all" = the average over treated units and periods), and ``conf_low``, ``conf_high``, ``level``,
        ``vcov``: the interval that holds the effect with that probability. Bounds from published figures have none: no
        sampling error is known of them, and rounding is in the bounds themselves.
    breakdown : pandas.DataFrame
        What it takes for nothing to be left: ``key``, ``assumption``, ``label``, ``value``, ``low``, ``high`` (rounding),
        ``unit``, ``note``. From a Design also ``cohort`` and ``period``, ``seen`` (the largest deviation of this kind from one
        period to the next before treatment) and ``times_seen`` (``value / seen``: below one, nothing is left under a deviation
        that has happened before).
    seen : pandas.DataFrame
        From a Design: how much each cohort moved before treatment, see `evalaid.did.sensitivity.bounds.group_means.variation_before`; without
        rows for published figures.
    """

    frame: pd.DataFrame
    breakdown: pd.DataFrame
    seen: pd.DataFrame

    def __repr__(self) -> str:
        return f"<Bounds: {len(self.frame)} intervals>"

    def scaled(self, factor: float, unit: str) -> Bounds:
        """Express everything in another unit, for example fractions in percentage points.

        Examples
        --------
        >>> bound_effect(0.822, 0.869, unit="fraction").scaled(100, "pp").frame["upper"].round(1).tolist()
        [4.7]
        """
        scaled = [name for name in ("m", "lower", "upper", *ENDS) if name in self.frame]
        frame = self.frame.assign(**{name: self.frame[name] * factor for name in scaled}, unit=unit)
        own = self.breakdown["assumption"] != "trend_multiple"
        shown = self.breakdown.copy()
        for name in [name for name in ("value", "low", "high", "seen") if name in shown]:
            shown[name] = shown[name].where(~own, shown[name] * factor)
        seen = self.seen
        if len(seen):
            seen = seen.assign(**{name: seen[name] * factor for name in ("largest", "mean")}, unit=unit)
        return replace(self, frame=frame, breakdown=shown.assign(unit=shown["unit"].where(~own, unit)), seen=seen)


def bound_effect(
    source: Design | Number | None = None,
    after: Number | None = None,
    *,
    change: Number | None = None,
    comparison: tuple[Number, Number] | Number | None = None,
    trend: Number | Literal["before"] | None = None,
    m: Sequence[float] | float | Literal["before"] = (0.0,),
    periods: float = 1.0,
    floor: float | None = None,
    ceiling: float | None = None,
    unit: str = "pp",
    level: float = 0.95,
) -> Bounds:
    """Bound an effect by assumptions on how much the outcome could have changed without the programme.

    Assumes no more than each row of the result says: that the change without the programme lies in an interval. From
    published figures the interval of the effect is then exact, not a confidence interval: sampling error is not in it
    (published shares are counts of all episodes). Rounding is: every figure stands for the whole interval that its digits
    leave open. From a design it is estimated, and an interval beside it holds the effect with a stated probability.

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
    m : float, sequence of float or "before"
        Largest deviation per period, >= 0, in the unit of the outcome; ``"before"`` (designs) takes 0 and, for each
        assumption, the largest deviation of its kind that was seen before treatment.
    periods : float
        Length of the change in periods, > 0. A design counts its own.
    floor, ceiling : float, optional
        Range of the outcome (0 and 100 for a share in per cent). A design of a share uses 0 and 1.
    unit : str
        Unit of the change, for the result. A design of a share gives fractions (see `Bounds.scaled`).
    level : float
        Coverage of the intervals of a design, with errors as :func:`evalaid.infer` chooses them.

    Returns
    -------
    Bounds
        An assumption appears when what it needs was given.

    Raises
    ------
    EstimationError
        When neither two levels nor a change is given, M is negative, or arguments do not go together.

    Notes
    -----
    Intervals of a design are those of Imbens and Manski (2004), doi:10.1111/j.1468-0262.2004.00555.x: the bounds are one
    estimate less and plus k M, so that they lie apart by a number without sampling error (see
    `evalaid.did.sensitivity.bounds.bound_errors.widen`). M is taken as given, also when it is the largest deviation seen before. Floor and
    ceiling narrow the bounds and not these intervals, which hold without them; with two limits each has half of the error.

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
    if isinstance(source, Design):
        if after is not None or change is not None or comparison is not None or isinstance(trend, (float, int, Figure)):
            raise EstimationError(
                "A design brings its own figures; give after, change, comparison and trend only with published figures "
                "(for the trend of a design: trend='before')."
            )
        grid = None if m == "before" else _check_grid(m)
        check_options(level=level)
        return Bounds(*bound_cells(source, grid, with_trend=trend == "before", level=level))
    if isinstance(trend, str):
        raise EstimationError(f"Found trend={trend!r}; published figures need a number, for example 1.1 a year.")
    if not periods > 0:
        raise EstimationError(f"Found periods={periods!r}; expected the length of the change in periods, above 0.")
    grid = _check_grid(m)
    problem = BoundProblem(
        change=_find_change(source, after, change),
        after=None if after is None else as_figure(after),
        comparison=_comparison_change(comparison),
        trend=None if trend is None else as_figure(trend),
        periods=float(periods),
        floor=floor,
        ceiling=ceiling,
    )
    return Bounds(
        tabulate(problem, dict.fromkeys(ASSUMPTIONS, grid), unit), find_breakdown(problem, unit), NOTHING_SEEN
    )


def _check_grid(m: Sequence[float] | float | str) -> tuple[float, ...]:
    if isinstance(m, str):
        raise EstimationError(
            f"Found m={m!r}; published figures need numbers, for example 0.5; a design also takes 'before'."
        )
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
