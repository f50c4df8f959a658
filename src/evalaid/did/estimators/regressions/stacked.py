"""Stacked difference-in-differences with corrective weights (Wing, Freedman and Hollingsworth 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError
from evalaid.base.periods import label
from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Block, Influence
from evalaid.did.estimators.common.method import Method, Needs, cell_frame, population_of, scale_of
from evalaid.did.estimators.common.two_by_two_scores import panel_scores
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import Matrices

Floats = NDArray[np.float64]
BASE = "base period: zero by construction"


@dataclass(frozen=True)
class StackedOptions:
    """Options of ``stacked``."""

    # Event times from ``-before`` to ``after`` that every cohort in the stack must have; with anticipation the window
    # starts as many periods earlier, so that ``before`` counts periods in which nobody reacts
    before: int = 2
    after: int = 1


def fit_stacked(design: Design, options: StackedOptions) -> Effects:
    """Compare each cohort, in one window of event times, with units untreated through the end of its window.

    Assumes parallel trends within each window. Cohorts without the whole window are left out, so that every event time
    averages the same cohorts: differences between event times are not differences between cohorts.

    Notes
    -----
    The weighted stacked regression with corrective weights equals ``sum_g (N_g / N) [(ybar_g,g+e - ybar_g,g-1) -
    (ybar_C,g+e - ybar_C,g-1)]``, computed here cohort by cohort. Wing, Freedman and Hollingsworth (2024),
    doi:10.3386/w32054; Cengiz, Dube, Lindner and Zipperer (2019), doi:10.1093/qje/qjz014.
    """
    matrices = design.matrices
    before, after = int(options.before), int(options.after)
    if before < 1 or after < 0:
        raise EstimationError(f"stacked: window -{before} to {after} found; at least -1 to 0 is expected.")
    population = population_of(matrices)
    early = design.anticipation
    times = np.arange(-before - early, after + 1)
    stacks = [_stack(matrices, number, times, early) for number in range(len(matrices.cohorts))]
    total = len(stacks) * len(times)
    value, blocks = np.full((len(stacks), len(times)), np.nan), []
    nothing = np.empty((0, 0))
    for number, stack in enumerate(stacks):
        if stack.reason:
            continue
        treated, comparison = (matrices.outcome[rows][:, stack.columns] for rows in (stack.treated, stack.comparison))
        scores = panel_scores(
            treated - treated[:, [before - 1]],
            nothing,
            population.weight[stack.treated],
            comparison - comparison[:, [before - 1]],
            nothing,
            population.weight[stack.comparison],
            "none",
        )
        value[number] = scores.value
        pick = np.eye(total)[number * len(times) + np.arange(len(times))]
        blocks += [Block(stack.treated, scores.treated, pick), Block(stack.comparison, scores.comparison, pick)]
    if not blocks:
        why = "; ".join(
            f"{label(matrices.period_kind, int(g))}: {stack.reason}"
            for g, stack in zip(matrices.cohorts, stacks, strict=True)
        )
        raise EstimationError(
            f"stacked: no cohort has the whole window from {times[0]} to {after} with a clean comparison ({why}); choose a "
            "shorter one with before=... and after=...."
        )
    cohort = np.repeat(matrices.cohorts, len(times))
    event_time = np.tile(times, len(stacks))
    count = matrices.clock.count(cohort) + event_time
    reason = [stack.reason or (BASE if time == -1 - early else "") for stack in stacks for time in times]
    return Effects(
        cells=cell_frame(
            population,
            np.repeat([len(stack.treated) for stack in stacks], len(times)),
            np.repeat([len(stack.comparison) for stack in stacks], len(times)),
            reason,
            cohort=cohort,
            period=matrices.clock.ordinal(count),
            event_time=event_time,
        ),
        value=value.ravel(),
        influence=Influence(matrices.n_units, total, tuple(blocks)),
        population=population,
        size=np.repeat([population.weight[stack.treated].sum() for stack in stacks], len(times)),
        method=METHOD.name,
        estimand=METHOD.estimand,
        scale=scale_of(design),
        convention=Convention("none", "normal"),
        aggregation="fixed",
    )


@dataclass(frozen=True)
class _Stack:
    """One cohort's window: its columns, the rows of the cohort and of the clean comparison, or why there is none."""

    columns: NDArray[np.intp]
    treated: NDArray[np.intp]
    comparison: NDArray[np.intp]
    reason: str = ""


def _stack(matrices: Matrices, number: int, times: NDArray[np.int64], early: int) -> _Stack:
    """Find a cohort's window and the units observed in all of it that do not react by its end."""
    time = matrices.event_time[number]
    columns = np.searchsorted(time, times)
    none = np.empty(0, dtype=np.intp)
    if columns.max() >= matrices.n_periods or (time[columns] != times).any():
        missing = f"the panel does not hold event times {times[0]} to {times[-1]} of this cohort"
        return _Stack(none, none, none, missing)
    seen = (
        np.ones((matrices.n_units, len(times)), dtype=bool)
        if matrices.observed is None
        else matrices.observed[:, columns]
    )
    whole = np.flatnonzero(seen.all(axis=1))
    first = matrices.starts[np.searchsorted(matrices.reaction(early), matrices.periods[columns[-1]], side="right")]
    own = matrices.block(number)
    treated, comparison = whole[(whole >= own.start) & (whole < own.stop)], whole[whole >= first]
    reason = "" if len(comparison) else "no unit is untreated through the end of the cohort's window"
    return _Stack(columns, treated, comparison, reason if len(treated) else "no unit is observed in the whole window")


METHOD = Method(
    name="stacked",
    fit=fit_stacked,
    options=StackedOptions,
    needs=Needs(comparison="not_yet_treated", weights="analytic"),
    estimand="average effect on each cohort in a window that all cohorts of the stack share",
    reference="hand-computed differences of means",
    source="Wing, Freedman and Hollingsworth (2024), doi:10.3386/w32054",
    test="tests/did/estimators/test_windows.py::test_a_stack_is_the_size_weighted_difference_of_means_against_clean_units",
    tolerance="1e-11: two ways through the same sums",
)
