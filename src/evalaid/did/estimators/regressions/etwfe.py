"""Extended two-way fixed effects (Wooldridge 2021, 2023): linear, fractional logit and Poisson."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError
from evalaid.base.periods import label
from evalaid.did.effects.contrasts import Contrasts, LeastSquares
from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Block, Influence, Rows
from evalaid.did.effects.likelihood import Family, fit_cells
from evalaid.did.effects.linear import PanelData, standardise
from evalaid.did.estimators.common.cohort_sums import LeaveOut, constant_weights, gaps_without, sums_without
from evalaid.did.estimators.common.method import (
    Method,
    Needs,
    cell_frame,
    check_cells,
    choice,
    chosen_covariates,
    cohort_slices,
    observation_mass,
    population_of,
    scale_of,
)
from evalaid.did.estimators.common.regression import NOT_IDENTIFIED, beside, observed_cells
from evalaid.did.estimators.common.strata import columns_by_part, divide_units
from evalaid.did.estimators.regressions.etwfe_covariates import InteractedData, InteractedFit, fit_interacted
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import STRATA, Matrices

Floats = NDArray[np.float64]
BASE = "base period: zero by construction"

GAPS = "; where observations are missing, a cohort is whoever of it is observed in a period: who comes and goes is part of the effect"


@dataclass(frozen=True)
class EtwfeOptions:
    """Options of ``etwfe``."""

    # Linear; fractional logit for a share (with its denominators as weights of the design, if they are at hand);
    # Poisson for counts and other outcomes that are not negative
    family: str = choice("gaussian", "binomial", "poisson")
    # Dummies only for cells in which units are treated or may already react, or for all cells of treated cohorts but
    # the last period before that
    comparison: str = choice("not_yet_treated", "never_treated")
    # Covariates; each interacts with cohorts, periods and treated cells. None = all of the design's
    covariates: tuple[str, ...] | None = None


def fit_etwfe(design: Design, options: EtwfeOptions) -> Effects:
    """Regress the outcome on cohort effects, period effects and a dummy for each treated cohort and period.

    Assumes parallel trends of the linear index: of the outcome itself (gaussian), its log-odds (binomial) or its log
    (poisson). These are three different assumptions; a share near one cannot satisfy the first and another at once.

    One cell per cohort and period: the average effect on the scale of the outcome, ``h(index) - h(index - dummy)``.

    Covariates interact with cohorts, with periods and with the treated cells: trends may differ by covariate, and effects, too.
    The effect of a cell is the average over the covariates of its units. An offset is no covariate: give the outcome per
    denominator, and the denominator as weight.

    Notes
    -----
    ``h^-1(E y_it) = a_g + l_t + d_gt + x_i'(b_g + m_t + c_gt)`` with d and c in treated cells only; within strata s ``a_gs + l_st`` in place
    of ``a_g + l_t``, and the effect of a cell is the average over its units of all strata.
    Without covariates all regressors are functions of cohort and period, so the likelihood depends on the data through cohort x period sums
    only; units enter through their scores: ``psi_i = H^-1 sum_t w_it (y_it - mu_ct) B_ct`` and the delta method. Errors as R
    fixest's CR1 with cohort and period effects counted (they are not nested in units), normal quantiles as
    ``etwfe::emfx``, which has no such errors when fixed effects are absorbed. Wooldridge (2021), doi:10.2139/ssrn.3906345;
    Wooldridge (2023), doi:10.1093/ectj/utad016.
    """
    matrices = design.matrices
    family = Family(options.family)
    mass = observation_mass(matrices)
    mass = np.ones_like(matrices.outcome) if mass is None else mass
    _check_range(matrices.outcome, mass, family)
    blocks = [rows for rows in cohort_slices(matrices) if rows.stop > rows.start]
    total = np.array([mass[rows].sum(axis=0) for rows in blocks])
    summed = np.array([(mass[rows] * matrices.outcome[rows]).sum(axis=0) for rows in blocks])
    seen = observed_cells(matrices)
    event_time = matrices.event_time
    cohort, period = np.nonzero(
        seen if options.comparison == "never_treated" else seen & (event_time >= -design.anticipation)
    )
    base = period == base_columns(matrices, design.anticipation)[cohort]
    n_cells, n_groups, n_periods = len(cohort), len(blocks), matrices.n_periods
    check_cells(METHOD.name, n_cells, matrices)
    columns = np.zeros((n_groups, n_periods, n_cells + n_groups + n_periods - 1))
    columns[cohort, period, np.arange(n_cells)] = ~base
    columns[np.arange(n_groups), :, n_cells + np.arange(n_groups)] = 1.0
    columns[:, np.arange(1, n_periods), n_cells + n_groups + np.arange(n_periods - 1)] = 1.0
    names = chosen_covariates(METHOD.name, design, options.covariates)
    rows: tuple[Rows, ...] = tuple(blocks)
    within = STRATA in matrices.covariates
    if names or (within and family.name != "gaussian"):
        fit = _fit_units(matrices, mass, columns, (cohort, period), names, family)
    elif within:
        rows, columns, place = _within_strata(matrices, columns[:, :, :n_cells], cohort)
        sums = [np.array([values[part].sum(axis=0) for part in rows]) for values in (mass, mass * matrices.outcome)]
        fit = _fit_means(matrices, mass, columns, (sums[0], sums[1]), (place, period, base), family, rows)
    else:
        fit = _fit_means(matrices, mass, columns, (total, summed), (cohort, period, base), family, rows)
    if fit is None:
        raise EstimationError(_tell_separation(matrices, names, family, total, summed))
    population = population_of(matrices)
    count = np.array([(mass[rows] > 0).sum(axis=0) for rows in blocks])
    size = total if matrices.weight_kind == "analytic" else count.astype(float)
    reacts = matrices.periods >= matrices.unit_reaction(design.anticipation)[:, None]
    untreated = (mass > 0).sum(axis=0) - ((mass > 0) & reacts).sum(axis=0)
    cells = cell_frame(
        population,
        count[cohort, period],
        untreated[period],
        _reasons(matrices, base, fit.known, untreated[period], period),
        cohort=matrices.cohorts[cohort],
        period=matrices.periods[period],
        event_time=event_time[cohort, period],
    )
    observations = int(np.count_nonzero(mass))
    contrasts, leave_out = None, None
    if options.family == "gaussian" and not names:
        data = PanelData(matrices.outcome, observation_mass(matrices), np.empty((0, *matrices.outcome.shape)), rows)
        contrasts = Contrasts(LeastSquares(data, columns, "none"), np.eye(columns.shape[2], n_cells) * ~base)
        leave_out = None if within else _leave_out(matrices, cohort, period, base)
    return Effects(
        cells=cells,
        value=fit.value,
        influence=Influence(matrices.n_units, n_cells, fit.blocks),
        population=population,
        size=size[cohort, period],
        method=METHOD.name,
        estimand=f"{METHOD.estimand} ({options.family}){beside(design)}{GAPS if matrices.observed is not None else ''}",
        scale=scale_of(design),
        convention=Convention("regression", "normal", observations, fit.rank),
        aggregation="fixed",
        contrasts=contrasts,
        leave_out=leave_out,
    )


def _leave_out(
    matrices: Matrices, cohort: NDArray[np.intp], period: NDArray[np.intp], base: NDArray[np.bool_]
) -> LeaveOut | None:
    """Return the estimates without some units from sums by cohort and period; None where units are missing or weights change.

    A dummy takes its cell out of the fit, so that cohort and period effects are those of the cells without one.
    """
    if not constant_weights(matrices):
        return None
    untreated = np.ones((len(matrices.cohorts) + 1, matrices.n_periods), dtype=bool)
    untreated[cohort[~base], period[~base]] = False

    def leave_out(codes: NDArray[np.int64], count: int) -> Floats:
        values = gaps_without(sums_without(matrices, codes, count), untreated, cohort, period)
        return np.where(base, 0.0, values)

    return leave_out


def _fit_means(
    matrices: Matrices,
    mass: Floats,
    columns: Floats,
    sums: tuple[Floats, Floats],
    cells: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]],
    family: Family,
    blocks: tuple[Rows, ...],
) -> InteractedFit | None:
    """Fit without covariates: from the sums of weights and of weighted outcomes by cohort and period alone."""
    (total, summed), (cohort, period, base) = sums, cells
    (n_groups, n_periods), n_cells = total.shape, len(cohort)
    fit = fit_cells(columns.reshape(n_groups * n_periods, -1), total.ravel(), summed.ravel(), family)
    if fit is None:
        return None
    index = fit.index.reshape(n_groups, n_periods)[cohort, period]
    without = index - fit.coefficients[:n_cells]
    known = fit.identified[:n_cells]
    value = np.where(known | base, family.mean(index) - family.mean(without), np.nan)
    gradient = columns[cohort, period] * (family.slope(index) - family.slope(without))[:, None]
    gradient[np.arange(n_cells), np.arange(n_cells)] = np.where(base, 0.0, family.slope(index))
    right = fit.inverse @ gradient.T
    mean = family.mean(fit.index).reshape(n_groups, n_periods)
    parts = tuple(
        Block(rows, mass[rows] * (matrices.outcome[rows] - mean[group]), columns[group] @ right)
        for group, rows in enumerate(blocks)
    )
    return InteractedFit(value, known, parts, fit.rank)


def _fit_units(
    matrices: Matrices,
    mass: Floats,
    columns: Floats,
    cells: tuple[NDArray[np.intp], NDArray[np.intp]],
    names: tuple[str, ...],
    family: Family,
) -> InteractedFit | None:
    """Fit with an index of each unit: covariates interact with all columns but those of strata."""
    z = _with_covariates(matrices, names, mass)
    counted = mass if matrices.weight_kind == "analytic" else (mass > 0).astype(float)
    if STRATA not in matrices.covariates:
        blocks = [rows for rows in cohort_slices(matrices) if rows.stop > rows.start]
        every = np.ones((columns.shape[2], z.shape[2]), dtype=bool)
        data = InteractedData(matrices.outcome, mass, counted, z, tuple(blocks), np.arange(len(blocks)), columns, every)
        return fit_interacted(data, *cells, family)
    n_cells, n_periods = len(cells[0]), matrices.n_periods
    parts = divide_units(matrices)
    n_groups, n_parts = int(parts.cohort.max()) + 1, len(parts.rows)
    of_cohort = np.zeros((n_parts, n_periods, n_groups))
    of_cohort[np.arange(n_parts), :, parts.cohort] = 1.0
    own, wide, _ = _within_strata(matrices, columns[:, :, :n_cells], cells[0])
    wide = np.concatenate([wide, of_cohort], axis=2)
    interacts = np.zeros((wide.shape[2], z.shape[2]), dtype=bool)
    interacts[: wide.shape[2] - n_groups, 0] = True
    by_period = n_cells + n_parts + np.arange(n_periods - 1)
    interacts[np.r_[:n_cells, by_period, wide.shape[2] - n_groups : wide.shape[2]], 1:] = True
    data = InteractedData(matrices.outcome, mass, counted, z, own, parts.cohort, wide, interacts)
    return fit_interacted(data, *cells, family)


def _within_strata(
    matrices: Matrices, dummies: Floats, cohort: NDArray[np.intp]
) -> tuple[tuple[Rows, ...], Floats, NDArray[np.intp]]:
    """Return the parts of the units by cohort and stratum, the columns with effects of each and of periods by stratum, and a part of each cell."""
    parts, n_periods = divide_units(matrices), matrices.n_periods
    effects = np.zeros((len(parts.rows), n_periods, len(parts.rows) + n_periods - 1))
    effects[np.arange(len(parts.rows)), :, np.arange(len(parts.rows))] = 1.0
    effects[:, :, len(parts.rows) :] = np.eye(n_periods)[:, 1:]
    by_cohort = np.zeros((len(matrices.cohorts) + 1, *dummies.shape[1:]))
    by_cohort[: len(dummies)] = dummies
    return parts.rows, columns_by_part(matrices, parts, by_cohort, effects), np.searchsorted(parts.cohort, cohort)


def _with_covariates(matrices: Matrices, names: tuple[str, ...], mass: Floats) -> Floats:
    """Return one and the standardised covariates, (N, T, 1 + p)."""
    values = np.array([matrices.covariates[name] for name in names]).reshape(len(names), *mass.shape)
    scaled = np.zeros_like(values)
    scaled[:, mass > 0] = standardise(values[:, mass > 0].T).T
    return np.concatenate([np.ones((1, *mass.shape)), scaled]).transpose(1, 2, 0)


def _reasons(
    matrices: Matrices,
    base: NDArray[np.bool_],
    known: NDArray[np.bool_],
    untreated: NDArray[np.int64],
    period: NDArray[np.intp],
) -> NDArray[np.object_]:
    """Find which cells are zero by construction, and why others are missing."""
    reason = np.where(base, BASE, np.where(known, "", NOT_IDENTIFIED)).astype(object)
    for k in np.flatnonzero(~base & ~known & (untreated == 0)):
        reason[k] = f"no unit is untreated in {label(matrices.period_kind, int(matrices.periods[period[k]]))}"
    return reason


def _tell_separation(matrices: Matrices, names: tuple[str, ...], family: Family, total: Floats, summed: Floats) -> str:
    """Find in which cohorts and periods all outcomes lie on the edge of what the family takes: their index is infinite."""
    edges = (summed <= 0) | ((summed >= total) & (family.name == "binomial"))
    cohorts = [label(matrices.period_kind, int(g)) for g in matrices.cohorts] + ["never treated"]
    found = [
        f"{cohorts[row]} in {label(matrices.period_kind, int(matrices.periods[column]))}"
        for row, column in np.argwhere(edges & (total > 0))
    ]
    what = "zeros or only ones" if family.name == "binomial" else "zeros"
    advice = "Use family='gaussian'"
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        where = f"; only {what} are observed for {', '.join(found[:3])}{more}"
        advice += ", or leave these cohorts out"
    elif STRATA in matrices.covariates:
        where = f"; in some stratum, cohort and period only {what} may be observed"
        advice += ", or name larger strata"
    elif names:
        where = f"; at some values of {', '.join(map(repr, names))} only {what} may be observed"
        advice += ", or leave covariates out"
    else:
        where = ""
    return f"etwfe: the {family.name} fit did not converge{where}. {advice}."


def _check_range(outcome: Floats, mass: Floats, family: Family) -> None:
    low, high = family.range
    outside = ((outcome < low) | (outcome > high)) & (mass > 0)
    if outside.any():
        span = f"of {low:g} or more" if np.isinf(high) else f"from {low:g} to {high:g}"
        raise EstimationError(
            f"etwfe: family={family.name!r} needs outcomes {span}; {int(outside.sum())} lie outside, for "
            f"example {outcome[outside][0]:g}. Use family='gaussian', or give the share as a fraction."
        )


METHOD = Method(
    name="etwfe",
    fit=fit_etwfe,
    options=EtwfeOptions,
    needs=Needs(comparison="not_yet_treated", strata=True),
    estimand="average effect on each cohort in each period, on the scale of the outcome",
    reference="R etwfe 0.4.0 (fixest 0.14.2), etwfe() and emfx()",
    source="Wooldridge (2023), doi:10.1093/ectj/utad016",
    test="tests/did/estimators/test_golden.py::test_average_effects_on_the_share_scale_equal_emfx",
    tolerance="relative 1e-8, absolute 1e-9; errors 5e-5, as emfx differentiates numerically; with covariates -0.0506 to its four digits, and dense regression 1e-8",
)
