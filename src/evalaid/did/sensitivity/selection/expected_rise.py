"""The rise that a low baseline lets expect without any effect: by a process fitted before treatment, and by regression."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import STD_ERROR
from evalaid.base.errors import DesignError
from evalaid.base.periods import label
from evalaid.base.texts import counted
from evalaid.did.effects.linear import CONSTANT_TOLERANCE
from evalaid.did.panel.matrices import Matrices
from evalaid.did.sensitivity.power.process import Process, fit_process, moments_of
from evalaid.did.sensitivity.selection.selection import ChosenPanel, Floats

# The jackknife leaves out this many groups of units at most.
GROUPS = 50
# Fewer units than this do not show how changes depend on levels, or are too few to choose among.
FEW = 5
EXPECTED = [
    "cohort", "label", "event_time", "n_treated", "n_comparison", "baseline_gap", "reliability", "expected", STD_ERROR,
    "expected_regression", "std_error_regression", "note",
]  # fmt: skip


def find_process(data: ChosenPanel) -> tuple[Process | None, str]:
    """Fit the process to the periods before any unit reacts, in which nobody has been chosen yet."""
    common = int(data.bases.min()) + 1
    if common < 2:
        return None, (
            f"{counted(common, 'period comes', 'periods come')} before the first cohort reacts, and the process needs two in which nobody is treated"
        )
    seen = data.seen[:, :common]
    count = np.maximum(seen.sum(axis=0), 1)
    values = np.where(seen, data.outcome[:, :common], 0.0)
    centred = np.where(seen, values - values.sum(axis=0) / count, 0.0)
    try:
        process = fit_process(moments_of(centred, seen, data.periods[:common], np.arange(len(seen))))
    except DesignError as fault:
        return None, str(fault).rstrip(".")
    return (process, "") if process.variance > 0 else (None, "the outcome does not vary before treatment")


def expect_rise(data: ChosenPanel, matrices: Matrices) -> pd.DataFrame:
    """Return the rise expected in each cohort and period, with delete-a-group jackknife errors."""
    n_units = len(data.outcome)
    cells, values = _expected_values(data)
    # Shuffled once by a fixed seed: matrix order groups cohorts, and every group should hold units of each.
    group = np.random.default_rng(0).permutation(n_units) % min(GROUPS, n_units)
    again = [_expected_values(data.subset(group != k))[1] for k in range(int(group.max()) + 1)]
    with np.errstate(invalid="ignore"):
        spread = np.stack([part - values for part in again])
        error = np.sqrt((spread**2).mean(axis=0) * (len(again) - 1))
    common = int(data.bases.min())
    rows = []
    for k, cell in enumerate(cells):
        note = []
        lag = 0 if cell is None else int(data.periods[cell[1]] - data.periods[data.bases[cell[0]]])
        seen = int(data.periods[common] - data.periods[0]) if common >= 0 else 0
        if cell is not None and lag > seen and not np.isnan(values[k, 3]):
            note.append(f"{lag} periods apart: beyond the {seen} seen before treatment, extrapolated")
        if cell is None and len(cells) == 1:
            note.append("no treated period has a comparison")
        elif np.isnan(values[k, 4]) and cell is not None:
            note.append(f"fewer than {FEW} comparison units: no regression")
        rows.append(
            {
                "cohort": pd.NA if cell is None else int(data.cohorts[cell[0]]),
                "label": "all" if cell is None else label(matrices.period_kind, data.cohorts[cell[0]]),
                "event_time": pd.NA if cell is None else int(data.event_time[cell]),
                "n_treated": int(values[k, 0]), "n_comparison": int(values[k, 1]), "baseline_gap": values[k, 2],
                "reliability": np.nan if cell is None else values[k, 5], "expected": values[k, 3], STD_ERROR: error[k, 3],
                "expected_regression": values[k, 4], "std_error_regression": error[k, 4], "note": "; ".join(note),
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=EXPECTED).astype({"cohort": "Int64", "event_time": "Int64"})


def _expected_values(data: ChosenPanel) -> tuple[list[tuple[int, int] | None], Floats]:
    """Return the cells (cohort number, column; None = all) and for each: n, n, gap, expected, by regression, reliability."""
    process, _ = find_process(data)
    covariance = None if process is None else process.covariance(data.periods)
    cells: list[tuple[int, int] | None] = []
    rows = []
    for number, (cohort, base) in enumerate(zip(data.cohorts, data.bases, strict=True)):
        if base < 0:
            continue
        baseline = data.baseline(int(base))
        window = np.zeros(len(data.periods))
        window[data.columns(int(base))] = 1 / (data.columns(int(base)).stop - data.columns(int(base)).start)
        for column in np.flatnonzero(data.periods >= cohort):
            known = ~np.isnan(baseline) & data.seen[:, column] & data.seen[:, base]
            own = known & (data.cohort == cohort)
            others = known & (data.reacts > data.periods[column])
            gap = baseline[own].mean() - baseline[others].mean() if own.any() and others.any() else np.nan
            by_process = reliability = np.nan
            if covariance is not None:
                seen_variance = window @ covariance @ window
                by_process = gap * float((covariance[column] - covariance[base]) @ window / seen_variance)
                reliability = float(covariance[column] @ window / np.sqrt(seen_variance * covariance[column, column]))
            change = data.outcome[others, column] - data.outcome[others, base]
            by_regression = gap * _slope(baseline[others], change)
            cells.append((number, int(column)))
            rows.append((own.sum(), others.sum(), gap, by_process, by_regression, reliability))
    table = np.array(rows, dtype=float).reshape(-1, 6)
    weight = np.where(np.isnan(table[:, 2]), 0.0, table[:, 0])
    overall = np.full(6, np.nan)
    overall[:2] = table[:, 0].max(initial=0), table[:, 1].max(initial=0)
    for k in (2, 3, 4):
        there = (weight > 0) & ~np.isnan(table[:, k])
        overall[k] = np.average(table[there, k], weights=weight[there]) if there.any() else np.nan
    return [*cells, None], np.vstack([table, overall])


def _slope(baseline: Floats, change: Floats) -> float:
    if len(baseline) < FEW or baseline.std() <= CONSTANT_TOLERANCE * max(np.abs(baseline).max(), 1e-300):
        return np.nan
    centred = baseline - baseline.mean()
    return float(centred @ change / (centred @ centred))
