"""Documented identities: numbers that two methods must share on a balanced panel without covariates and weights.

The package computes each number one way; here it is computed again from group means alone, with nothing of the
estimators. A difference beyond rounding would be an error in the package.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.did.effects.effects import Effects
from evalaid.did.estimators.estimation import estimate
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import PART, STRATA, Matrices

# Sums of some hundred shares in double precision differ by less than this when added in another order.
ROUNDING = 1e-9

Floats = NDArray[np.float64]


def check_identities(design: Design) -> pd.DataFrame:
    """Compare estimates with the closed forms that they must equal.

    Assumes nothing about trends: these are identities of arithmetic. They hold on balanced panels without weights and
    covariates; on any other design the rows say so.

    ``key``, ``label``, ``cells`` (numbers compared), ``largest_gap`` (largest absolute difference, percentage points
    for a share), ``unit``, ``reason``, ``made_by``.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from evalaid.did.panel.design import diagnose
    >>> frame = pd.DataFrame({
    ...     "county": np.repeat(["A", "B", "C", "D"], 3), "year": [2019, 2020, 2021] * 4,
    ...     "share": np.linspace(0.6, 0.9, 12) ** 2, "start": np.repeat([2020, 2021, np.nan, np.nan], 3),
    ... })
    >>> frame = check_identities(diagnose(frame, "county", "year", "share", "start"))
    >>> len(frame), bool((frame["largest_gap"] < ROUNDING).all())
    (6, True)
    """
    unit = "pp" if design.outcome_unit == "fraction" else "number"
    plain = (
        design.matrices.weight is None
        and not design.covariates
        and not {STRATA, PART} & set(design.matrices.covariates)
    )
    usable = design.balanced and plain and design.n_never > 0
    rows = []
    for key, name, pair in _identities(design) if usable else ():
        by_package, by_hand = pair
        gap = float(np.abs(np.asarray(by_package) - np.asarray(by_hand)).max()) * (100 if unit == "pp" else 1)
        rows.append((key, name, len(np.atleast_1d(by_package)), gap, ""))
    if not usable:
        reason = "the identities need a balanced panel with never-treated units, without weights and covariates"
        if {STRATA, PART} & set(design.matrices.covariates):
            reason += ", strata and a first period that counts by its part"
        rows = [("none", "No identity applies", 0, np.nan, reason)]
    frame = pd.DataFrame(rows, columns=["key", "label", "cells", "largest_gap", "reason"])
    return frame.assign(unit=unit, made_by="estimate by the package minus closed form from group means")


def _identities(design: Design) -> Iterator[tuple[str, str, tuple[Floats, Floats]]]:
    matrices = design.matrices
    means = _means(matrices)
    never = estimate(
        design, "callaway_santanna", comparison="never_treated", adjustment="none", base_period="universal"
    )
    later = estimate(
        design, "callaway_santanna", comparison="not_yet_treated", adjustment="none", base_period="universal"
    )
    imputed = estimate(design, "imputation")
    yield (
        "difference_of_means",
        "Callaway-Sant'Anna, never-treated comparison = difference of mean changes",
        _cells(never, [_four_means(matrices, means, c, t, later=False) for c, t in _pairs(never)]),
    )
    yield (
        "not_yet_treated",
        "Callaway-Sant'Anna, not-yet-treated comparison = difference of mean changes",
        _cells(later, [_four_means(matrices, means, c, t, later=True) for c, t in _pairs(later)]),
    )
    yield (
        "saturated",
        "Imputation = regression of cohort means on cohort, period and a dummy for each treated cell",
        _cells(imputed, _saturated(matrices, means, _pairs(imputed))),
    )
    yield (
        "event_time",
        "Event-time effect = mean of its cells, weighted by cohort size",
        _by_event_time(later, matrices),
    )
    yield "overall", "Overall effect = mean of the treated cells, weighted by cohort size", _overall(later, matrices)
    first = design.subset((matrices.cohort == matrices.cohorts[0]) | np.isnan(matrices.cohort))
    yield (
        "one_cohort",
        "One cohort: two-way fixed effects = before and after against the never treated",
        (estimate(first, "twfe").value, estimate(first, "two_by_two").aggregate("overall").value),
    )


def _means(matrices: Matrices) -> Floats:
    """Mean outcome by cohort (never treated last) and period. (C + 1, T)"""
    return np.stack(
        [matrices.outcome[matrices.block(number)].mean(axis=0) for number in range(len(matrices.cohorts) + 1)]
    )


def _pairs(effects: Effects) -> list[tuple[int, int]]:
    return list(zip(effects.cells["cohort"].astype(int), effects.cells["period"].astype(int), strict=True))


def _cells(effects: Effects, by_hand: list[float]) -> tuple[Floats, Floats]:
    there = ~np.isnan(effects.value)
    return effects.value[there], np.asarray(by_hand)[there]


def _four_means(matrices: Matrices, means: Floats, cohort: int, period: int, *, later: bool) -> float:
    """Change of a cohort's mean since its last untreated period minus that of the comparison units' mean."""
    own = int(np.searchsorted(matrices.cohorts, cohort))
    now, base = int(np.searchsorted(matrices.periods, period)), int(np.searchsorted(matrices.periods, cohort)) - 1
    groups = [len(matrices.cohorts)]
    if later:
        groups += [n for n, c in enumerate(matrices.cohorts) if n != own and c > max(period, matrices.periods[base])]
    sizes = np.diff(matrices.starts)[groups]
    change = np.average(means[groups, now] - means[groups, base], weights=sizes)
    return float(means[own, now] - means[own, base] - change)


def _saturated(matrices: Matrices, means: Floats, cells: list[tuple[int, int]]) -> list[float]:
    """Coefficients of the treated cells in a weighted regression on cohort and period effects."""
    n_groups, n_periods = means.shape
    group, time = (index.ravel() for index in np.indices(means.shape))
    columns = [*(group == number for number in range(n_groups)), *(time == number for number in range(1, n_periods))]
    for cohort, period in cells:
        own, now = np.searchsorted(matrices.cohorts, cohort), np.searchsorted(matrices.periods, period)
        columns.append((group == own) & (time == now))
    weights = np.sqrt(np.diff(matrices.starts)[group])
    matrix = np.stack(columns, axis=1).astype(float)
    coefficients, *_ = np.linalg.lstsq(matrix * weights[:, None], means.ravel() * weights, rcond=None)
    return list(coefficients[-len(cells) :])


def _by_event_time(effects: Effects, matrices: Matrices) -> tuple[Floats, Floats]:
    event = effects.aggregate("event_time")
    sizes = dict(zip(matrices.cohorts, np.diff(matrices.starts)[:-1], strict=True))
    weights = effects.cells["cohort"].map(sizes).to_numpy(dtype=float)
    times = effects.cells["event_time"].to_numpy()
    known = ~np.isnan(effects.value)
    estimated = known & effects.cells["reason"].eq("").to_numpy()
    by_hand = []
    for time in event.cells["event_time"]:
        # The zero of a reference period counts only where no cohort has an estimate at that event time.
        there = known & (times == time)
        there = there & estimated if (there & estimated).any() else there
        by_hand.append(np.average(effects.value[there], weights=weights[there]))
    return event.value, np.asarray(by_hand)


def _overall(effects: Effects, matrices: Matrices) -> tuple[Floats, Floats]:
    sizes = dict(zip(matrices.cohorts, np.diff(matrices.starts)[:-1], strict=True))
    weights = effects.cells["cohort"].map(sizes).to_numpy(dtype=float)
    there = (effects.cells["event_time"].to_numpy() >= 0) & ~np.isnan(effects.value)
    by_hand = np.average(effects.value[there], weights=weights[there])
    return effects.aggregate("overall").value, np.asarray([by_hand])
