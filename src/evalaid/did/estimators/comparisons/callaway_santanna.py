"""Group-time average treatment effects of Callaway and Sant'Anna (2021)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError
from evalaid.base.periods import label
from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Block, Influence
from evalaid.did.estimators.common.cohort_kernel import CohortKernel, changes, kernel_covariates, moments
from evalaid.did.estimators.common.cohort_sums import LeaveOut, changes_without, constant_weights, sums_without
from evalaid.did.estimators.common.gap_kernel import compare_seen, has_gaps
from evalaid.did.estimators.common.method import (
    Method,
    Needs,
    cell_frame,
    check_cells,
    choice,
    chosen_covariates,
    cohort_slices,
    effective_anticipation,
    observation_mass,
    population_of,
    scale_of,
)
from evalaid.did.estimators.common.strata import average_strata
from evalaid.did.estimators.common.unbalanced import (
    BASE_PERIOD,
    Comparison,
    changes_left,
    compare_changes,
    compare_sections,
    keep_seen_twice,
)
from evalaid.did.estimators.comparisons.adjusted_changes import (
    adjust_changes,
    adjust_without,
    is_constant,
    weights_by_side,
)
from evalaid.did.estimators.comparisons.group_times import (
    GroupTime,
    comparison_rows,
    comparison_size,
    list_group_times,
)
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import PARTLY, STRATA, Matrices

Floats = NDArray[np.float64]


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
        early = effective_anticipation(design, options)
        behind = partial(_behind, options=options, anticipation=early)
        return average_strata(design, lambda inside: fit_callaway_santanna(inside, options), behind)
    covariates = chosen_covariates(METHOD.name, design, options.covariates) if options.adjustment != "none" else ()
    anticipation = effective_anticipation(design, options)
    if anticipation < 0:
        raise EstimationError(f"callaway_santanna: anticipation={anticipation} found, 0 or more periods expected.")
    cells = list(list_group_times(matrices, options.comparison, options.base_period, anticipation))
    check_cells("callaway_santanna", len(cells), matrices)
    adjustment = options.adjustment if covariates else "none"
    starts = matrices.starts.tolist()
    treated = [starts[cell.cohort + 1] - starts[cell.cohort] for cell in cells]
    untreated = [comparison_size(starts, cell) for cell in cells]
    same_units: list[Comparison] = []
    if matrices.observed is not None:
        pairs, weights = _with_gaps(matrices, cells), weights_by_side(matrices)
        if options.unbalanced == "same_units":
            same_units = pairs = [keep_seen_twice(matrices.observed, pair) for pair in pairs]
            treated, untreated = ([len(getattr(pair, side)) for pair in pairs] for side in ("treated", "untreated"))
            value, influence, reasons = compare_changes(matrices, pairs, covariates, weights, adjustment)
        else:
            value, influence, reasons = compare_sections(matrices, pairs, covariates, weights, adjustment)
    elif adjustment == "none" and matrices.importance is matrices.weight:
        value, influence, reasons = _unadjusted(matrices, cells)
    else:  # on a constant alone, regression takes off the mean change of the comparison
        adjustment = "regression" if adjustment == "none" else adjustment
        value, influence, reasons = adjust_changes(matrices, cells, covariates, adjustment)
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
        leave_out=_find_leave_out(matrices, cells, same_units, covariates, adjustment),
    )


def callaway_santanna_kernel(design: Design, options: CallawaySantannaOptions) -> CohortKernel | None:
    """Return the cells as a function of sums by cohort; None where they take odds, or what changes within units."""
    matrices = design.matrices
    names = chosen_covariates(METHOD.name, design, options.covariates) if options.adjustment != "none" else ()
    gaps = has_gaps(matrices) and not names and options.unbalanced == "same_units"
    x = kernel_covariates(matrices, names)
    if not gaps and (x is None or (names and options.adjustment != "regression")):
        return None
    cells = list(
        list_group_times(matrices, options.comparison, options.base_period, effective_anticipation(design, options))
    )
    cohort, now, base, compared = _positions(matrices, cells)
    known = np.array([not cell.reason for cell in cells])
    averaged = (matrices.event_time[cohort, now] >= 0) & known
    if x is None:
        (later, earlier), pair = np.unique(np.stack([now, base]), axis=1, return_inverse=True)
        change = matrices.outcome[:, later] - matrices.outcome[:, earlier]
        seen = np.asarray(observation_mass(matrices))
        mass = seen[:, np.minimum(later, earlier)] * (seen[:, np.maximum(later, earlier)] > 0)
        return compare_seen(matrices, mass, change, pair.ravel(), cohort, compared, averaged)
    contrast = np.eye(matrices.n_periods)[now] - np.eye(matrices.n_periods)[base]
    solve = changes(len(names), cohort[known], compared[known], contrast[known])

    def values(sums: Floats) -> Floats:
        found = np.full((len(sums), len(cells)), np.nan)
        found[:, known] = solve(sums)
        return found

    return CohortKernel(moments(matrices, x), values, cohort, averaged)


def _positions(
    matrices: Matrices, cells: list[GroupTime]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return cohort, period and base period of cells (K,) and the cohorts they are compared with (K, C + 1)."""
    position = np.arange(len(matrices.cohorts) + 1)
    cohort, now, base, first = np.array([(c.cohort, c.now, c.base, c.comparison_from) for c in cells]).T
    return cohort, now, base, (position >= first[:, None]) & (position != cohort[:, None])


def _behind(matrices: Matrices, *, options: CallawaySantannaOptions, anticipation: int) -> NDArray[np.bool_]:
    """Return which treated units are behind each cell, (N, cells)."""
    cohort, now, base, _ = _positions(
        matrices, list(list_group_times(matrices, options.comparison, options.base_period, anticipation))
    )
    own = matrices.cohort[:, None] == matrices.cohorts[cohort]
    if matrices.observed is not None and options.unbalanced == "same_units":
        own &= matrices.observed[:, now] & matrices.observed[:, base]
    return np.asarray(own)


def _find_leave_out(
    matrices: Matrices,
    cells: list[GroupTime],
    same_units: list[Comparison],
    covariates: tuple[str, ...],
    adjustment: str,
) -> LeaveOut | None:
    """Return the estimates without some units from sums or from fits made at once; None where only estimating again tells.

    Without some units precision is scaled anew, and another period may be the last in which none of a cohort is partly treated.
    """
    if matrices.importance is not matrices.weight:
        return None
    if matrices.observed is None and adjustment == "none":
        return _leave_out(matrices, cells)
    if PARTLY in matrices.covariates:
        return None
    if matrices.observed is None:
        return partial(adjust_without, matrices, cells, covariates, adjustment)
    return partial(changes_left, matrices, same_units) if same_units and adjustment == "none" else None


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


def _unadjusted(matrices: Matrices, cells: list[GroupTime]) -> tuple[Floats, Influence, list[str]]:
    """Estimate all cells of a balanced panel from the means of each cohort in each period.

    A unit of mass ``w`` in a group of mass ``W`` moves the group's mean change by ``w / W`` times the deviation of its own
    change. All cells share the deviations of a cohort's units from the cohort's period means, so that its influence is one
    block, whatever the number of cells.
    """
    value = np.array([0.0 if cell.reason == BASE_PERIOD else np.nan for cell in cells])
    constant = matrices.weight is None or is_constant(matrices.weight)
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


def _with_gaps(matrices: Matrices, cells: list[GroupTime]) -> list[Comparison]:
    """List the units of each cell, for panels in which not every unit is observed in every period."""
    everyone = np.arange(matrices.n_units)
    rows_of = cohort_slices(matrices)
    return [
        Comparison(
            now=cell.now,
            base=cell.base,
            treated=everyone[rows_of[cell.cohort]],
            untreated=np.concatenate([everyone[rows] for rows in comparison_rows(matrices, cell)]),
            cohort=label(matrices.period_kind, int(matrices.cohorts[cell.cohort])),
            reason=cell.reason,
        )
        for cell in cells
    ]


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
