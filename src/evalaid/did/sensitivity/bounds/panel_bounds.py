"""Bounds on the effects in a panel: every cohort and period, their average, and what the periods before treatment showed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.errors import EstimationError
from evalaid.base.rounding import Figure
from evalaid.did.panel.design import Design
from evalaid.did.panel.level import without_level
from evalaid.did.sensitivity.bounds.assumptions import (
    ASSUMPTIONS,
    COLUMNS,
    BoundProblem,
    Grid,
    find_breakdown,
    sign_of,
    tabulate,
)
from evalaid.did.sensitivity.bounds.bound_errors import add_intervals
from evalaid.did.sensitivity.bounds.group_means import CellMeans, cell_means, variation_before


def bound_cells(
    design: Design, m: tuple[float, ...] | None, *, with_trend: bool, level: float
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Bound the effect in every cohort and period, and on average over treated units and periods."""
    share = design.outcome_unit == "fraction"
    unit = "fraction" if share else "number"
    limits: dict[str, Any] = {"floor": 0.0, "ceiling": 1.0} if share else {"floor": None, "ceiling": None}
    design = design if share else without_level(design)
    cells = cell_means(design)
    if not cells:
        raise EstimationError("No cohort has a period before and a period after its start; nothing can be bounded.")
    seen = variation_before(design)
    largest = {name: float(seen.loc[seen["assumption"] == name, "largest"].max()) for name in ASSUMPTIONS}
    grid = _grid(m, largest)
    tables, breakdowns = [], []
    for cell in cells:
        problem = _cell_problem(cell, with_trend=with_trend, **limits)
        table, breakdown = tabulate(problem, grid, unit), find_breakdown(problem, unit)
        if cell.reason:
            table["note"] = [f"{note}; {cell.reason}".lstrip("; ") for note in table["note"]]
        tables.append(_placed(table, cell.cohort, cell.period).assign(n_treated=cell.n_treated))
        breakdowns.append(_placed(breakdown, cell.cohort, cell.period))
    every = pd.concat(tables, ignore_index=True)
    frame = pd.concat([_average(every), every], ignore_index=True).drop(columns="n_treated")
    frame = add_intervals(frame, design, cells, level)
    overall = _placed(find_breakdown(_average_problem(cells, with_trend=with_trend), unit), "all", "all")
    breakdown = pd.concat([overall, *breakdowns], ignore_index=True)
    breakdown["seen"] = [largest.get(name, np.nan) for name in breakdown["assumption"]]
    breakdown["times_seen"] = breakdown["value"] / breakdown["seen"].where(breakdown["seen"] > 0)
    return frame, breakdown, seen.assign(unit=unit)


def _grid(m: tuple[float, ...] | None, largest: dict[str, float]) -> Grid:
    if m is not None:
        return dict.fromkeys(ASSUMPTIONS, m)
    if np.isnan(largest["time_variation"]):
        raise EstimationError(
            "m='before' takes M from the periods before treatment, and no cohort has two of them; give numbers for M."
        )
    return {name: (0.0,) if np.isnan(value) else tuple(sorted({0.0, value})) for name, value in largest.items()}


def _placed(table: pd.DataFrame, cohort: str, period: str) -> pd.DataFrame:
    where = "all." if cohort == "all" else f"{cohort}.{period}."
    return table.assign(key=where + table["key"], cohort=cohort, period=period)


def _cell_problem(cell: CellMeans, *, with_trend: bool, floor: float | None, ceiling: float | None) -> BoundProblem:
    return BoundProblem(
        change=Figure.exact(cell.after - cell.before),
        after=Figure.exact(cell.after),
        comparison=None if cell.comparison_change is None else Figure.exact(cell.comparison_change),
        trend=Figure.exact(cell.trend) if with_trend and cell.trend is not None else None,
        periods=float(cell.periods),
        floor=floor,
        ceiling=ceiling,
    )


def _average_problem(cells: list[CellMeans], *, with_trend: bool) -> BoundProblem:
    """Average change, comparison, trend and length over treated units and periods: bounds are linear in them."""
    weight = [cell.n_treated for cell in cells]
    periods = float(np.average([cell.periods for cell in cells], weights=weight))
    comparison = [cell.comparison_change for cell in cells]
    trend = [None if cell.trend is None else cell.periods * cell.trend for cell in cells]

    def mean(values: list[float | None]) -> Figure | None:
        known = [value for value in values if value is not None]
        return Figure.exact(float(np.average(known, weights=weight))) if len(known) == len(values) else None

    change = Figure.exact(float(np.average([cell.after - cell.before for cell in cells], weights=weight)))
    total = mean(trend) if with_trend else None
    return BoundProblem(
        change=change,
        after=None,
        comparison=mean(comparison),
        trend=None if total is None else total / Figure.exact(periods),
        periods=periods,
        floor=None,
        ceiling=None,
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
        sign = "contradiction" if np.isnan(lower) else sign_of(lower, upper, "")
        rows.append(
            (f"all.{key}", assumption, label, m, lower, upper, sign, unit, note, "all", "all", int(weight.sum()))
        )
    return pd.DataFrame(rows, columns=[*COLUMNS, "cohort", "period", "n_treated"])
