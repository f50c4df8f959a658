"""Group-time average treatment effects of Callaway and Sant'Anna (2021)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError
from evalaid.base.periods import label
from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Block, Influence
from evalaid.did.estimators.common.cohort_kernel import CohortKernel, changes, kernel_covariates, moments
from evalaid.did.estimators.common.cohort_sums import LeaveOut, changes_without, constant_weights, sums_without
from evalaid.did.estimators.common.method import (
    Method,
    Needs,
    cell_frame,
    choice,
    chosen_covariates,
    cohort_slices,
    effective_anticipation,
    population_of,
    scale_of,
)
from evalaid.did.estimators.common.separation import explain_adjustment
from evalaid.did.estimators.common.strata import average_strata
from evalaid.did.estimators.common.two_by_two_scores import PanelSample, adjusted_scores
from evalaid.did.estimators.common.unbalanced import (
    BASE_PERIOD,
    Comparison,
    compare_changes,
    compare_sections,
    keep_seen_twice,
)
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import STRATA, Matrices

Floats = NDArray[np.float64]
# Rows whose logits are fitted at once: enough for the fixed cost of a fit, few enough for the cache.
BATCH = 8_192


@dataclass(frozen=True)
class CallawaySantannaOptions:
    """Options of ``callaway_santanna``."""

    # Units not treated by the later of the two periods (plus anticipation), or never-treated units only
    comparison: str = choice("not_yet_treated", "never_treated")
    # How covariates enter; all are the plain comparison of means when there are none
    adjustment: str = choice("doubly_robust", "regression", "ipw", "none")
    # For periods before treatment: the period just before, or the last one before treatment (and anticipation)
    base_period: str = choice("varying", "universal")
    # Periods before the start in which behaviour may already respond; None = the design's
    anticipation: int | None = None
    # Baseline covariates, read in the earlier period of each comparison; None = all of the design's
    covariates: tuple[str, ...] | None = None
    # Where units are not observed in every period: compare changes of the units that are observed in both periods of a
    # cell, or means of all observations of each period, as R ``did`` does with ``allow_unbalanced_panel=TRUE``. The
    # second takes a change in who is observed for an effect: it is for samples drawn anew in each period, not for
    # counties
    unbalanced: str = choice("same_units", "cross_sections")


@dataclass(frozen=True, slots=True)
class GroupTime:
    """One comparison: a cohort in a period against its base period; column indices into the periods."""

    cohort: int
    now: int
    base: int
    comparison_from: int
    reason: str = ""


def fit_callaway_santanna(design: Design, options: CallawaySantannaOptions) -> Effects:
    """Estimate the average effect on each cohort in each period against units that are untreated in both.

    Assumes parallel trends between a cohort and its comparison units (given the covariates, when there are any), no
    anticipation beyond the stated number of periods, and overlap: no covariate value at which all units are treated.

    Notes
    -----
    ``ATT(g, t) = E[(G_g / E[G_g] - odds(X) C / E[odds(X) C]) (Y_t - Y_b - m(X))]`` (their equation 2.4: doubly robust;
    ``m`` = 0 is ipw, odds = 0 with regression only). Comparison weights are normalised to sum to one (Hajek), fitted
    probabilities above 0.995 are trimmed, and a cell with a fitted probability of 0.999 or more is missing, as in R
    ``DRDID`` and ``did``. On an unbalanced panel each cell compares the units that are observed in both of its periods (R
    ``did`` by default drops every unit that is not observed throughout); averages weigh a cell by its cohort, however many of its
    units are observed in it. With ``unbalanced="cross_sections"`` it uses all
    observations of its two periods and sums influence by unit, as ``allow_unbalanced_panel=TRUE`` does; there the doubly
    robust errors of R hold a sign error (see `section_scores`), which only ``infer(vcov="reference")`` repeats.
    Callaway and Sant'Anna (2021), doi:10.1016/j.jeconom.2020.12.001; Sant'Anna and Zhao (2020),
    doi:10.1016/j.jeconom.2020.06.003.
    """
    matrices = design.matrices
    if STRATA in matrices.covariates:
        return average_strata(design, lambda inside: fit_callaway_santanna(inside, options), by_units=True)
    covariates = chosen_covariates(METHOD.name, design, options.covariates) if options.adjustment != "none" else ()
    anticipation = effective_anticipation(design, options)
    if anticipation < 0:
        raise EstimationError(f"callaway_santanna: anticipation={anticipation} found, 0 or more periods expected.")
    cells = list(list_group_times(matrices, options.comparison, options.base_period, anticipation))
    adjustment = options.adjustment if covariates else "none"
    starts = matrices.starts.tolist()
    treated = [starts[cell.cohort + 1] - starts[cell.cohort] for cell in cells]
    untreated = [_comparison_size(starts, cell) for cell in cells]
    leave_out: LeaveOut | None = None
    if matrices.observed is not None:
        pairs, weights = _with_gaps(matrices, cells), weights_by_side(matrices)
        if options.unbalanced == "same_units":
            pairs = [keep_seen_twice(matrices.observed, pair) for pair in pairs]
            treated, untreated = ([len(getattr(pair, side)) for pair in pairs] for side in ("treated", "untreated"))
            value, influence, reasons = compare_changes(matrices, pairs, covariates, weights, adjustment)
        else:
            value, influence, reasons = compare_sections(matrices, pairs, covariates, weights, adjustment)
    elif adjustment == "none" and matrices.importance is matrices.weight:
        value, influence, reasons = _unadjusted(matrices, cells)
        leave_out = _leave_out(matrices, cells)
    else:  # on a constant alone, regression takes off the mean change of the comparison
        alone = adjustment == "none"
        value, influence, reasons = _adjusted(matrices, cells, covariates, "regression" if alone else adjustment)
    population = population_of(matrices)
    cohort, now = [cell.cohort for cell in cells], [cell.now for cell in cells]
    frame = cell_frame(
        population,
        treated,
        untreated,
        reasons,
        cohort=matrices.cohorts[cohort],
        period=matrices.periods[now],
        event_time=matrices.event_time[cohort, now],
    )
    return Effects(
        cells=frame,
        value=value,
        influence=influence,
        population=population,
        size=population.shares[cohort],
        method=METHOD.name,
        estimand=METHOD.estimand,
        scale=scale_of(design),
        convention=Convention("none", "normal"),
        aggregation="estimated",
        leave_out=leave_out,
    )


def callaway_santanna_kernel(design: Design, options: CallawaySantannaOptions) -> CohortKernel | None:
    """Return the cells as a function of sums by cohort; None where they take odds, gaps, or what changes within units."""
    matrices = design.matrices
    names = chosen_covariates(METHOD.name, design, options.covariates) if options.adjustment != "none" else ()
    x = kernel_covariates(matrices, names)
    if x is None or (names and options.adjustment != "regression"):
        return None
    cells = list(
        list_group_times(matrices, options.comparison, options.base_period, effective_anticipation(design, options))
    )
    cohort, now, base, compared = _positions(matrices, cells)
    known = np.array([not cell.reason for cell in cells])
    contrast = np.eye(matrices.n_periods)[now] - np.eye(matrices.n_periods)[base]
    solve = changes(len(names), cohort[known], compared[known], contrast[known])

    def values(sums: Floats) -> Floats:
        found = np.full((len(sums), len(cells)), np.nan)
        found[:, known] = solve(sums)
        return found

    averaged = (matrices.event_time[cohort, now] >= 0) & known
    return CohortKernel(moments(matrices, x), values, cohort, averaged)


def _positions(
    matrices: Matrices, cells: list[GroupTime]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return cohort, period and base period of cells (K,) and the cohorts they are compared with (K, C + 1)."""
    position = np.arange(len(matrices.cohorts) + 1)
    cohort, now, base, first = np.array([(c.cohort, c.now, c.base, c.comparison_from) for c in cells]).T
    return cohort, now, base, (position >= first[:, None]) & (position != cohort[:, None])


def _leave_out(matrices: Matrices, cells: list[GroupTime]) -> LeaveOut | None:
    """Return the estimates without some units from sums by cohort and period; None where units are missing or weights change."""
    if not cells or not constant_weights(matrices):
        return None
    cohort, now, base, compared = _positions(matrices, cells)
    fixed, lost = (
        np.array([bool(c.reason) and (c.reason == BASE_PERIOD) is same for c in cells]) for same in (True, False)
    )

    def leave_out(codes: NDArray[np.int64], count: int) -> Floats:
        values = changes_without(sums_without(matrices, codes, count), cohort, compared, now, base)
        return np.where(lost, np.nan, np.where(fixed, 0.0, values))

    return leave_out


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
            if _comparison_size(starts, cell) == 0:
                where = label(matrices.period_kind, periods[max(now, base)])
                missing = "never-treated" if comparison == "never_treated" else "untreated"
                cell = GroupTime(number, now, base, start, f"no unit is {missing} in {where}")
            yield cell


def _comparison_rows(matrices: Matrices, cell: GroupTime) -> tuple[slice, ...]:
    """Return the rows of the comparison units: the tail of the matrices without the cohort itself."""
    start, n_units = int(matrices.starts[cell.comparison_from]), len(matrices.units)
    if cell.cohort < cell.comparison_from:
        return (slice(start, n_units),)
    own = cohort_slices(matrices)[cell.cohort]
    return slice(start, own.start), slice(own.stop, n_units)


def _comparison_size(starts: list[int], cell: GroupTime) -> int:
    """Count the comparison units of a cell from the first rows of the cohorts."""
    own = starts[cell.cohort + 1] - starts[cell.cohort]
    return starts[-1] - starts[cell.comparison_from] - own * (cell.cohort >= cell.comparison_from)


def weights_by_side(matrices: Matrices) -> tuple[Floats | None, Floats | None]:
    """Return the weights of treated and of comparison units; precision has mean one, so that its unit does not matter."""
    if matrices.weight is None or matrices.weight_kind != "precision":
        return matrices.weight, matrices.weight
    seen = matrices.weight.size if matrices.observed is None else np.count_nonzero(matrices.observed)
    return None, matrices.weight * (seen / matrices.weight.sum())


def _unadjusted(matrices: Matrices, cells: list[GroupTime]) -> tuple[Floats, Influence, list[str]]:
    """Estimate all cells of a balanced panel from the means of each cohort in each period.

    A unit of mass ``w`` in a group of mass ``W`` moves the group's mean change by ``w / W`` times the deviation of its own
    change. All cells share the deviations of a cohort's units from the cohort's period means, so that its influence is one
    block, whatever the number of cells.
    """
    value = np.array([0.0 if cell.reason == BASE_PERIOD else np.nan for cell in cells])
    constant = matrices.weight is None or _constant(matrices.weight)
    by_period: dict[int, list[int]] = {}
    for number, cell in enumerate(cells):
        if not cell.reason:
            by_period.setdefault(0 if constant else min(cell.now, cell.base), []).append(number)
    slices = cohort_slices(matrices)
    groups = np.arange(len(slices))
    n_periods = matrices.n_periods
    blocks: list[Block] = []
    for period, members in by_period.items():
        now, base, own, first = np.array(
            [(cells[k].now, cells[k].base, cells[k].cohort, cells[k].comparison_from) for k in members]
        ).T
        mass = np.ones(matrices.n_units) if matrices.weight is None else matrices.weight[:, period]
        total = np.array([mass[rows].sum() for rows in slices])
        mean = np.array([mass[rows] @ matrices.outcome[rows] for rows in slices])
        mean /= np.where(total > 0, total, 1.0)[:, None]
        change = (mean[:, now] - mean[:, base]).T
        compared = (groups >= first[:, None]) & (groups != own[:, None])
        share = compared * total
        behind = share.sum(axis=1)
        each = np.arange(len(members))
        treated, untreated = change[each, own], (share * change).sum(axis=1) / behind
        value[members] = treated - untreated
        pull = -(compared / behind[:, None])
        pull[each, own] = 1.0 / total[own]
        shift = pull * (change - untreated[:, None])
        shift[each, own] = 0.0
        for group, rows in enumerate(slices):
            left = np.empty((rows.stop - rows.start, n_periods + 1))
            np.subtract(matrices.outcome[rows], mean[group], out=left[:, :-1])
            left[:, -1] = 1.0
            if matrices.weight is not None:
                left *= mass[rows, None]
            right = np.zeros((n_periods + 1, len(cells)))
            right[now, members] = pull[:, group]
            right[base, members] = -pull[:, group]
            right[-1, members] = shift[:, group]
            blocks.append(Block(rows, left, right))
    return value, Influence(matrices.n_units, len(cells), tuple(blocks)), [cell.reason for cell in cells]


def _adjusted(
    matrices: Matrices, cells: list[GroupTime], covariates: tuple[str, ...], adjustment: str
) -> tuple[Floats, Influence, list[str]]:
    """Estimate all cells of one cohort with one comparison group (and covariate period) together.

    The fits depend on the cohort, its comparison units and the period in which covariates and weights are read; cells
    that share these are columns of one matrix of outcome changes.
    """
    outcome, weights = matrices.outcome, weights_by_side(matrices)
    chosen = [matrices.covariates[name] for name in covariates]
    constant = all(map(_constant, (*chosen, *(weight for weight in weights if weight is not None))))
    groups: dict[tuple[int, int, int], list[int]] = {}
    for number, cell in enumerate(cells):
        if not cell.reason:
            period = 0 if constant else min(cell.now, cell.base)
            groups.setdefault((cell.cohort, cell.comparison_from, period), []).append(number)
    value = np.array([0.0 if cell.reason == BASE_PERIOD else np.nan for cell in cells])
    reasons = [cell.reason for cell in cells]
    rows_of = cohort_slices(matrices)
    ones = np.ones(matrices.n_units)
    regressors = {period: np.array([ones, *(x[:, period] for x in chosen)]) for *_, period in groups}
    blocks: list[Block] = []
    for batch in _batches(matrices, cells, groups):
        runs_of, samples = [], []
        for (cohort, _, period), members in batch:
            now, base = [cells[k].now for k in members], [cells[k].base for k in members]
            runs = (rows_of[cohort], *_comparison_rows(matrices, cells[members[0]]))
            of_treated, of_others = (ones if weight is None else weight[:, period] for weight in weights)
            change = np.concatenate([outcome[rows][:, now] - outcome[rows][:, base] for rows in runs])
            x = np.concatenate([regressors[period][:, rows] for rows in runs], axis=1)
            mass = np.concatenate([of_treated[runs[0]], *(of_others[rows] for rows in runs[1:])])
            samples.append(PanelSample(change, x, mass, _length(runs[0])))
            runs_of.append(runs)
        for (_, members), runs, sample, scores in zip(
            batch, runs_of, samples, adjusted_scores(samples, adjustment), strict=True
        ):
            if scores.reason:
                x, n = sample.regressors[1:].T, sample.n_treated
                named = label(matrices.period_kind, int(matrices.cohorts[cells[members[0]].cohort]))
                reason = explain_adjustment(scores.reason, named, covariates, x[:n], x[n:])
                for k in members:
                    reasons[k] = reason
                continue
            value[members] = scores.value
            pick = np.zeros((len(members), len(cells)))
            pick[np.arange(len(members)), members] = 1.0
            blocks.append(Block(runs[0], scores.treated, pick))
            done = 0
            for rows in runs[1:]:
                blocks.append(Block(rows, scores.comparison[done : done + _length(rows)], pick))
                done += _length(rows)
    return value, Influence(matrices.n_units, len(cells), tuple(blocks)), reasons


def _batches(
    matrices: Matrices, cells: list[GroupTime], groups: dict[tuple[int, int, int], list[int]]
) -> Iterator[list[tuple[tuple[int, int, int], list[int]]]]:
    """Put groups of about the same size together, until they hold many rows: their small fits are made at once."""
    starts = matrices.starts.tolist()

    def size(item: tuple[tuple[int, int, int], list[int]]) -> int:
        cell = cells[item[1][0]]
        return int(_comparison_size(starts, cell) + starts[cell.cohort + 1] - starts[cell.cohort])

    batch: list[tuple[tuple[int, int, int], list[int]]] = []
    for item in sorted(groups.items(), key=size):
        if batch and size(item) * (len(batch) + 1) > BATCH:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _length(rows: slice) -> int:
    return int(rows.stop - rows.start)


def _with_gaps(matrices: Matrices, cells: list[GroupTime]) -> list[Comparison]:
    """List the units of each cell, for panels in which not every unit is observed in every period."""
    everyone = np.arange(matrices.n_units)
    rows_of = cohort_slices(matrices)
    return [
        Comparison(
            now=cell.now,
            base=cell.base,
            treated=everyone[rows_of[cell.cohort]],
            untreated=np.concatenate([everyone[rows] for rows in _comparison_rows(matrices, cell)]),
            cohort=label(matrices.period_kind, int(matrices.cohorts[cell.cohort])),
            reason=cell.reason,
        )
        for cell in cells
    ]


def _constant(matrix: Floats) -> bool:
    """Return whether nothing changes within units."""
    return bool((matrix == matrix[:, :1]).all())


METHOD = Method(
    name="callaway_santanna",
    fit=fit_callaway_santanna,
    kernel=callaway_santanna_kernel,
    options=CallawaySantannaOptions,
    needs=Needs(comparison="not_yet_treated", strata=True),
    estimand="average effect on each cohort in each period, ATT(g, t)",
    reference="R did 2.5.1, att_gt(bstrap=FALSE)",
    source="Callaway and Sant'Anna (2021), doi:10.1016/j.jeconom.2020.12.001",
    test="tests/did/estimators/test_golden.py::test_group_time_effects_and_their_aggregates_equal_did",
    tolerance="relative 1e-8, absolute 1e-9 (R's logit stops at 1e-8 of the deviance)",
)
