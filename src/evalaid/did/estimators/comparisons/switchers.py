"""Changes of units whose treatment has changed against units with the same baseline treatment, not changed yet."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.base.periods import label
from evalaid.base.texts import counted, noun
from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Influence
from evalaid.did.estimators.common.method import cell_frame, population_of
from evalaid.did.estimators.common.strata import stratum_of
from evalaid.did.estimators.common.unbalanced import BASE_PERIOD
from evalaid.did.estimators.comparisons.slopes import Slopes, fit_slopes
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.matrices import Matrices

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]
DIRECTIONS = {"all": (1.0, -1.0), "on": (1.0,), "off": (-1.0,)}


@dataclass(frozen=True)
class Treatments:
    """What is known of the treatment of each unit."""

    path: Floats  # (N, T)
    baseline: Floats  # (N,): In the first observed period
    known: Bools  # (N, T): Whether the path is stated, not carried forward


@dataclass(frozen=True)
class Switching:
    """What is to be compared, and how."""

    anticipation: int
    switchers: str  # A key of ``DIRECTIONS``
    normalised: bool  # Effects for each unit of treatment received
    linear: bool  # Each unit may have a linear trend of its own
    covariates: tuple[str, ...]  # Whose changes over time are adjusted for


@dataclass(frozen=True)
class _Paths:
    """The panel as it is compared: outcomes, groups of units that are compared with each other, and what they received."""

    outcome: Floats  # (N, T): Or its change from the period before, by calendar step, net of the slopes of covariates
    seen: Bools  # (N, T)
    slopes: Slopes
    level: NDArray[np.intp]  # (N,): Code of the baseline treatment
    group: NDArray[np.intp]  # (N,): Code of the units that are compared with each other: of both, baseline and stratum
    sign: Floats  # (N,): 1 where the first change is a rise, -1 where it is a fall, 0 without a change
    crossed: Bools  # (N, T): Whether treatment has been above and below the baseline by this period
    received: Floats  # (N, T): Sum of the differences from the baseline so far, in the direction of the first change
    unknown: Bools  # (N, T): Whether what was received so far is not known
    weight: Floats  # (N,)

    @classmethod
    def read(cls, matrices: Matrices, treatments: Treatments, weight: Floats, asked: Switching) -> _Paths:
        """Compare each path with its baseline, and take the slopes of covariates out of the outcome."""
        baseline = treatments.baseline
        difference = treatments.path - baseline[:, None]
        start = np.searchsorted(matrices.periods, np.where(np.isnan(matrices.cohort), np.inf, matrices.cohort))
        since = np.arange(matrices.n_periods) >= start[:, None]
        first = np.argmax(since & (difference != 0), axis=1)  # the first that is seen, where the start falls into a gap
        sign = np.sign(np.where(since, difference, 0.0)[np.arange(len(first)), first])
        above, below = (np.logical_or.accumulate(side, axis=1) for side in (difference > 0, difference < 0))
        seen = np.ones(difference.shape, dtype=bool) if matrices.observed is None else matrices.observed
        values = np.array([matrices.outcome, *(matrices.covariates[name] for name in asked.covariates)])
        if asked.linear:
            values[:, :, 1:] = np.diff(values, axis=2) / np.diff(matrices.periods)
            seen = seen & np.roll(seen, 1, axis=1)
            seen[:, 0] = False
        level = np.unique(baseline, return_inverse=True)[1].ravel()
        group = np.unique(np.column_stack([level, stratum_of(matrices)]), axis=0, return_inverse=True)[1].ravel()
        unchanged = matrices.periods < matrices.unit_reaction(asked.anticipation)[:, None]
        slopes = fit_slopes(values, seen, unchanged, level, group, weight)
        return cls(
            outcome=slopes.adjust(values[0]),
            seen=seen,
            slopes=slopes,
            level=level,
            group=group,
            sign=sign,
            crossed=above & below,
            received=sign[:, None] * np.cumsum(difference, axis=1),
            unknown=np.logical_or.accumulate(since & ~treatments.known, axis=1),
            weight=weight,
        )


@dataclass
class _Cell:
    """One cohort and period: the value, its influence by unit, and who stands behind it."""

    value: float = np.nan
    size: float = 0.0
    n_treated: int = 0
    n_comparison: int = 0
    reason: str = ""
    unknown: int = 0  # Treated units without what they have received


@dataclass(frozen=True)
class _Step:
    """A change from the base to a period, and how often it counts."""

    now: int
    factor: float


def compare_switchers(matrices: Matrices, treatments: Treatments, asked: Switching) -> tuple[Effects, tuple[str, ...]]:
    """Compare each unit's change since the period before its treatment changed with that of unchanged units of its baseline.

    Changes of units whose treatment fell first count with the other sign: effects are those of more treatment. A unit is left out
    from the period on in which its treatment has been on both sides of its baseline. Also returns what is to be said of them, in words.

    Notes
    -----
    With a_i the share of unit i among those compared, ``theta = sum_i a_i S_i (dY_i - m_d(i))``, m_d the mean change of the comparison
    with baseline d; influence ``a_i (S_i (dY_i - m_d) - theta)`` and ``-(sum_{i: d} a_i S_i) w_j / W_d (dY_j - m_d)``. With linear trends dY is
    the sum of such changes of the outcome's slope over the steps from the base, each with the units that are unchanged until then.
    """
    population = population_of(matrices)
    paths = _Paths.read(matrices, treatments, population.weight, asked)
    n_cohorts, n_periods = len(matrices.cohorts), matrices.n_periods
    psi = np.zeros((matrices.n_units, n_cohorts * n_periods))
    compared = np.zeros(matrices.n_units, dtype=bool)
    wanted = np.isin(paths.sign, DIRECTIONS[asked.switchers])
    cells = []
    for number, base in enumerate(base_columns(matrices, asked.anticipation).tolist()):
        for now in range(n_periods):
            own = psi[:, number * n_periods + now]
            cells.append(_one_cell(matrices, paths, asked, number, (base, now), wanted, compared, own))
    changed = ~np.isnan(matrices.cohort) & wanted
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
    ), _remarks(
        int((changed & ~compared).sum()),
        int(changed.sum()),
        sum(cell.unknown for cell in cells),
        paths.slopes.collinear,
    )


def _remarks(lost: int, changed: int, unknown: int, collinear: int) -> tuple[str, ...]:
    said = []
    if collinear:
        said.append(
            f"for {counted(collinear, 'baseline treatment')} the changes of unchanged units do not tell all covariates apart: only what they tell is "
            "adjusted for"
        )
    if lost:
        said.append(
            f"{lost} of {changed} units whose treatment changes are in no comparison: no unchanged unit with their baseline "
            "treatment is observed in the same periods"
        )
    if unknown:
        said.append(
            f"{counted(unknown, 'outcome')} after a change {noun(unknown, 'is', 'are')} left out: what the unit has received until then is not known, because its treatment "
            "is missing in a period since the change"
        )
    return tuple(said)


def _steps(matrices: Matrices, base: int, now: int, *, linear: bool) -> list[_Step]:
    """List the changes from the base that add up to a cell; none where the cell is zero by construction."""
    if not linear:
        return [_Step(now, 1.0)] if now != base else []
    spacing = np.diff(matrices.periods, prepend=0)
    later = [_Step(k, float(spacing[k])) for k in range(base + 1, now + 1)]
    return later + [_Step(k, -float(spacing[k])) for k in range(now + 1, base)]


def _one_cell(
    matrices: Matrices,
    paths: _Paths,
    asked: Switching,
    number: int,
    when: tuple[int, int],
    wanted: Bools,
    compared: Bools,
    psi: Floats,
) -> _Cell:
    """Compute one cell; fills ``psi`` (N,) and marks who is compared."""
    base, now = when
    block = matrices.block(number)
    own = np.arange(matrices.n_units)[block][wanted[block]]
    if base < int(asked.linear):
        short = "two periods" if asked.linear else "period"
        return _Cell(reason=f"no {short} before the change (with anticipation of {asked.anticipation})")
    steps = _steps(matrices, base, now, linear=asked.linear)
    if not steps:
        return _Cell(0.0, float(paths.weight[own].sum()), len(own), 0, BASE_PERIOD)
    own = own[~paths.crossed[own, now] & paths.seen[own, base]]
    own = own[paths.seen[np.ix_(own, [step.now for step in steps])].all(axis=1)]
    hidden = paths.unknown[own, now] & asked.normalised
    own, unknown = own[~hidden], int(hidden.sum())
    others = [_unchanged(matrices, paths, asked, number, base, step.now) for step in steps]
    groups = list(_by_group(paths.group, own, others))
    if not groups:
        where = label(matrices.period_kind, int(matrices.periods[max(now, base)]))
        who = "unchanged unit with the same baseline treatment" if len(own) else _MISSING[unknown > 0]
        return _Cell(reason=f"no {who} is observed in {where} and in the period before the change", unknown=unknown)
    treated = np.concatenate([one for one, _ in groups])
    total = float(paths.weight[treated].sum())
    dose = paths.received[treated, now] if asked.normalised else np.ones(len(treated))
    mean_dose = float(paths.weight[treated] @ dose) / total
    if asked.normalised and mean_dose <= 0:
        return _Cell(reason="no treatment received so far", unknown=unknown)
    gap = np.zeros(matrices.n_units)
    for one, comparisons in groups:
        share = paths.weight[one] / total * paths.sign[one]
        slope = np.zeros(paths.slopes.n_covariates)
        for step, other in zip(steps, comparisons, strict=True):
            change = step.factor * (paths.outcome[:, step.now] - paths.outcome[:, base])
            mass = paths.weight[other] / paths.weight[other].sum()
            mean = float(mass @ change[other])
            gap[one] += paths.sign[one] * (change[one] - mean)
            psi[other] -= float(share.sum()) * mass * (change[other] - mean) / mean_dose
            moved = step.factor * (paths.slopes.values[:, :, step.now] - paths.slopes.values[:, :, base])
            slope += moved[:, one] @ share - float(share.sum()) * (moved[:, other] @ mass)
        same = paths.level == paths.level[one[0]]
        psi[same] -= paths.slopes.influence[same] @ slope / mean_dose
    theta = float(paths.weight[treated] @ gap[treated]) / total
    value = theta / mean_dose
    psi[treated] += paths.weight[treated] / total * (gap[treated] - value * dose) / mean_dose
    compared[treated] |= now > base
    n_comparison = sum(len(comparisons[-1]) for _, comparisons in groups)
    return _Cell(value, total * mean_dose, len(treated), n_comparison, unknown=unknown)


_MISSING = {
    False: "unit of the cohort with treatment on one side of its baseline",
    True: "unit of the cohort whose treatment is known since its change",
}


def _unchanged(matrices: Matrices, paths: _Paths, asked: Switching, number: int, base: int, now: int) -> Rows:
    """List the units of other cohorts that are seen in both periods and unchanged until the later one."""
    first = bisect_right(matrices.reaction(asked.anticipation).tolist(), int(matrices.periods[max(now, base)]))
    block, others = matrices.block(number), np.arange(matrices.n_units)[matrices.starts[first] :]
    both = paths.seen[others, now] & paths.seen[others, base]
    return np.asarray(others[both & ((others < block.start) | (others >= block.stop))])


def _by_group(group: NDArray[np.intp], own: Rows, others: list[Rows]) -> Iterator[tuple[Rows, list[Rows]]]:
    """Pair the units of a cohort with the comparison units of the same group, where there are both in every step."""
    for value in np.unique(group[own]):
        one, comparisons = own[group[own] == value], [rows[group[rows] == value] for rows in others]
        if all(map(len, comparisons)):
            yield one, comparisons
