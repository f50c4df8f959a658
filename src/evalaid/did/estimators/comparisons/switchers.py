"""Changes of units whose treatment has changed against units with the same baseline treatment, not changed yet."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.base.periods import label
from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Influence
from evalaid.did.estimators.common.method import cell_frame, population_of
from evalaid.did.estimators.common.unbalanced import BASE_PERIOD
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.matrices import Matrices

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
DIRECTIONS = {"all": (1.0, -1.0), "on": (1.0,), "off": (-1.0,)}


@dataclass(frozen=True)
class _Paths:
    """What is known of the treatment of each unit."""

    baseline: Floats  # (N,): In the first observed period
    sign: Floats  # (N,): 1 where the first change is a rise, -1 where it is a fall, 0 without a change
    crossed: Bools  # (N, T): Whether treatment has been above and below the baseline by this period
    received: Floats  # (N, T): Sum of the differences from the baseline so far, in the direction of the first change
    seen: Bools  # (N, T)

    @classmethod
    def read(cls, matrices: Matrices, path: Floats, baseline: Floats) -> _Paths:
        """Compare a path, known in every period, with its baseline."""
        difference = path - baseline[:, None]
        start = np.searchsorted(matrices.periods, np.where(np.isnan(matrices.cohort), np.inf, matrices.cohort))
        changes = np.flatnonzero(start < matrices.n_periods)
        sign = np.zeros(len(path))
        sign[changes] = np.sign(difference[changes, start[changes]])
        above, below = (np.logical_or.accumulate(side, axis=1) for side in (difference > 0, difference < 0))
        seen = np.ones(path.shape, dtype=bool) if matrices.observed is None else matrices.observed
        return cls(baseline, sign, above & below, sign[:, None] * np.cumsum(difference, axis=1), seen)


@dataclass
class _Cell:
    """One cohort and period: the value, its influence by unit, and who stands behind it."""

    value: float = np.nan
    size: float = 0.0
    n_treated: int = 0
    n_comparison: int = 0
    reason: str = ""
    lost: int = 0


def compare_switchers(
    matrices: Matrices,
    path: Floats,
    baseline: Floats,
    *,
    anticipation: int,
    switchers: str,
    normalised: bool,
) -> tuple[Effects, str]:
    """Compare each unit's change since the period before its treatment changed with that of unchanged units of its baseline.

    Changes of units whose treatment fell first count with the other sign: effects are those of more treatment. A unit is left out
    from the period on in which its treatment has been on both sides of its baseline. Also returns who is never compared, in words.

    Notes
    -----
    With a_i the share of unit i among those compared, ``theta = sum_i a_i S_i (dY_i - m_d(i))``, m_d the mean change of the comparison
    with baseline d; influence ``a_i (S_i (dY_i - m_d) - theta)`` and ``-(sum_{i: d} a_i S_i) w_j / W_d (dY_j - m_d)``.
    """
    paths, population = _Paths.read(matrices, path, baseline), population_of(matrices)
    n_cohorts, n_periods = len(matrices.cohorts), matrices.n_periods
    psi = np.zeros((matrices.n_units, n_cohorts * n_periods))
    compared = np.zeros(matrices.n_units, dtype=bool)
    wanted = np.isin(paths.sign, DIRECTIONS[switchers])
    cells = []
    for number, base in enumerate(base_columns(matrices, anticipation).tolist()):
        for now in range(n_periods):
            own = psi[:, number * n_periods + now]
            cells.append(
                _one_cell(
                    matrices,
                    paths,
                    population.weight,
                    number,
                    (base, now, anticipation),
                    wanted,
                    compared,
                    own,
                    normalised=normalised,
                )
            )
    changed = ~np.isnan(matrices.cohort) & wanted
    lost = int((changed & ~compared).sum())
    said = (
        f"{lost} of {int(changed.sum())} units whose treatment changes are in no comparison: no unchanged unit with their baseline "
        "treatment is observed in the same periods"
        if lost
        else ""
    )
    cohort, period = np.repeat(np.arange(n_cohorts), n_periods), np.tile(np.arange(n_periods), n_cohorts)
    return Effects(
        cells=cell_frame(
            population,
            [cell.n_treated for cell in cells],
            [cell.n_comparison for cell in cells],
            [cell.reason for cell in cells],
            cohort=matrices.cohorts[cohort],
            period=matrices.periods[period],
            event_time=matrices.event_time[cohort, period],
        ),
        value=np.array([cell.value for cell in cells]),
        influence=Influence.dense(psi),
        population=population,
        size=np.array([cell.size for cell in cells]),
        method="",
        estimand="",
        scale="number",
        convention=Convention("none", "normal"),
        aggregation="fixed",
    ), said


def _one_cell(
    matrices: Matrices,
    paths: _Paths,
    weight: Floats,
    number: int,
    when: tuple[int, int, int],
    wanted: Bools,
    compared: Bools,
    psi: Floats,
    *,
    normalised: bool,
) -> _Cell:
    """Compute one cell; fills ``psi`` (N,) and marks who is compared."""
    base, now, anticipation = when
    block = matrices.block(number)
    everyone = np.arange(matrices.n_units)
    own = everyone[block][wanted[block]]
    if base < 0:
        return _Cell(reason=f"no period before the change (with anticipation of {anticipation})")
    if now == base:
        return _Cell(0.0, float(weight[own].sum()), len(own), 0, BASE_PERIOD)
    both = paths.seen[:, now] & paths.seen[:, base]
    own = own[both[own] & ~paths.crossed[own, now]]
    first = bisect_right(matrices.reaction(anticipation).tolist(), int(matrices.periods[max(now, base)]))
    others = everyone[matrices.starts[first] :]
    others = others[both[others] & ((others < block.start) | (others >= block.stop))]
    change = matrices.outcome[:, now] - matrices.outcome[:, base]
    groups = list(_by_baseline(paths.baseline, own, others))
    treated = np.concatenate([one for one, _ in groups]) if groups else own[:0]
    lost = len(own) - len(treated)
    if not len(treated):
        where = label(matrices.period_kind, int(matrices.periods[max(now, base)]))
        who = (
            "unit of the cohort with treatment on one side of its baseline"
            if not len(own)
            else "unchanged unit with the same baseline treatment"
        )
        return _Cell(reason=f"no {who} is observed in {where} and in the period before the change", lost=lost)
    total = float(weight[treated].sum())
    dose = paths.received[treated, now] if normalised else np.ones(len(treated))
    mean_dose = float(weight[treated] @ dose) / total
    if normalised and mean_dose <= 0:
        return _Cell(reason="no treatment received so far", lost=lost)
    gap = np.zeros(matrices.n_units)
    for one, other in groups:
        mean = float(weight[other] @ change[other] / weight[other].sum())
        gap[one] = paths.sign[one] * (change[one] - mean)
        pull = float(weight[one] @ paths.sign[one]) / total
        psi[other] -= pull * weight[other] / weight[other].sum() * (change[other] - mean) / mean_dose
    theta = float(weight[treated] @ gap[treated]) / total
    value = theta / mean_dose
    psi[treated] += weight[treated] / total * (gap[treated] - value * dose) / mean_dose
    compared[treated] |= now > base
    n_comparison = sum(len(other) for _, other in groups)
    return _Cell(value, total * mean_dose, len(treated), n_comparison, lost=lost)


def _by_baseline(
    baseline: Floats, own: NDArray[np.intp], others: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Pair the units of a cohort with the comparison units of the same baseline treatment, where there are both."""
    for value in np.unique(baseline[own]):
        one, other = (rows[baseline[rows] == value] for rows in (own, others))
        if len(one) and len(other):
            yield one, other
