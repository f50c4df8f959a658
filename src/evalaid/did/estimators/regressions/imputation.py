"""The imputation estimator of Borusyak, Jaravel and Spiess (2024)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from evalaid.base.errors import EstimationError
from evalaid.base.periods import label
from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Block, Influence
from evalaid.did.effects.linear import PanelData, Solver, unit_products, within, within_gram, without_absorbed
from evalaid.did.effects.subsets import Subsets
from evalaid.did.estimators.common.cohort_kernel import CohortKernel, kernel_covariates, moments
from evalaid.did.estimators.common.cohort_sums import CohortSums, constant_weights, gaps_without, sums_without
from evalaid.did.estimators.common.gap_kernel import has_gaps, seen_gaps
from evalaid.did.estimators.common.method import (
    Method,
    Needs,
    averaging_mass,
    cell_frame,
    choice,
    chosen_covariates,
    cohort_slices,
    effective_anticipation,
    observation_mass,
    population_of,
    scale_of,
)
from evalaid.did.estimators.common.regression import panel_data
from evalaid.did.estimators.common.strata import average_strata
from evalaid.did.estimators.regressions.leads import with_leads
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import STRATA, Matrices

Floats = NDArray[np.float64]

# A covariate residual below this share of the covariate's own size is rounding error of the residualisation.
ABSORBED = 1e-9
# A cell loads on a direction without information when more than this share of the direction's size lies in it: directions
# come from normal equations, which keep half of the digits.
COLLINEAR = 1e-7


@dataclass(frozen=True)
class ImputationOptions:
    """Options of ``imputation``: anticipation in periods and time-varying covariates (None = the design's)."""

    anticipation: int | None = None
    covariates: tuple[str, ...] | None = None
    # Coefficients before treatment: none, or those of leads in a regression on untreated observations, measured from the
    # last period before units may react, as ``pretrends=TRUE`` of the reference
    pretrends: str = choice("none", "leads")


@dataclass(frozen=True)
class UntreatedFit:
    """Unit effects, period effects and slopes fitted on untreated observations, applied to all observations."""

    gap: Floats  # (N, T): Outcome minus imputed untreated outcome; zero where not observed
    covariates: Floats  # (p, N, T): Covariates net of unit and period effects (of the untreated observations)
    periods: Solver  # Period equations with unit effects eliminated
    slopes: Solver  # Covariate equations with both effects eliminated
    coefficients: Floats  # (p,): Slopes of the covariates; zero where they do not vary beyond the effects


def fit_imputation(design: Design, options: ImputationOptions) -> Effects:
    """Impute untreated outcomes from untreated observations and average the gaps by cohort and period.

    Assumes parallel trends in all periods (unit plus period effects, plus covariates, describe every untreated outcome)
    and no anticipation beyond the stated periods; efficient when errors are homoskedastic and serially uncorrelated.

    One cell per cohort and treated period. Observations whose unit or period has no untreated observation are left out; a
    cell of only such observations is missing with the reason. Average with ``aggregate``: every treated observation has
    the same weight (times its analytic weight).

    ``pretrends="leads"`` adds the paper's test: coefficients before treatment from a regression on untreated observations only,
    so that effects do not enter the test nor the test the effects. They are deviations from the last period before treatment,
    effects are measured from all periods before it.

    Notes
    -----
    ``tau_it = y_it - a_i - l_t - x_it' b; pretrends="leads": b_e of y_it = a_i + l_t + sum_{e < -1} 1{t - g_i = e} b_e + x_it' c``,
    all but ``tau_it`` from untreated observations. Variance: their conservative
    estimator (equation 8) with gaps recentred by cohort and period, averages weighted by squared weights. With sampling
    weights the influence is that of the weighted estimator (its numerical derivative); R ``didimputation`` 0.5.0 applies
    the weights twice in its standard error. A cohort with a single untreated period is kept.
    Borusyak, Jaravel and Spiess (2024), doi:10.1093/restud/rdae007.
    """
    names = chosen_covariates(METHOD.name, design, options.covariates)
    if STRATA in design.matrices.covariates:
        alone = replace(options, pretrends="none")
        effects = average_strata(design, lambda inside: fit_imputation(inside, alone))
    else:
        plan = _plan(design, options)
        effects = _to_effects(design, plan, fit_untreated(panel_data(design.matrices, names), plan.untreated), names)
    if options.pretrends == "none":
        return effects
    return with_leads(effects, design, METHOD, effective_anticipation(design, options), names)


def fit_imputation_subsets(design: Design, options: ImputationOptions) -> Subsets:
    """Impute the outcome and each covariate without covariates, for all subsets of the covariates."""
    plan = _plan(design, options)
    names = chosen_covariates(METHOD.name, design, options.covariates)
    data = panel_data(design.matrices, names)
    periods, net = _take_out(data, plan.untreated)
    plain = UntreatedFit(net[0], net[:0], periods, Solver(np.zeros((0, 0))), np.zeros(0))
    raw = np.array([data.outcome, *data.covariates])
    return Subsets(
        effects=tuple(_to_effects(design, plan, replace(plain, gap=values)) for values in net),
        products=unit_products(net, plan.untreated),
        size=np.sqrt([(within(x, plan.mass) ** 2).mean() for x in raw]),
    )


def imputation_kernel(design: Design, options: ImputationOptions) -> CohortKernel | None:
    """Return the cells as a function of sums by cohort; None with covariates, leads or weights that change."""
    matrices = design.matrices
    names = chosen_covariates(METHOD.name, design, options.covariates)
    if names or options.pretrends != "none":
        return None
    early = matrices.reaction(effective_anticipation(design, options))
    untreated = np.vstack([matrices.periods < early[:, None], np.ones((1, matrices.n_periods), dtype=bool)])
    cohort, period = np.nonzero(~untreated)
    averaged = matrices.event_time[cohort, period] >= 0
    if has_gaps(matrices):
        return seen_gaps(matrices, untreated, cohort, period, averaged)
    alone = kernel_covariates(matrices, names)
    if alone is None:
        return None

    def values(sums: Floats) -> Floats:
        return gaps_without(CohortSums(sums[:, :, 0], sums[:, :, 1:]), untreated, cohort, period)

    return CohortKernel(moments(matrices, alone), values, cohort, averaged)


@dataclass(frozen=True)
class _Plan:
    """What does not depend on the outcome.

    ``mass`` and ``untreated`` (N, T) are weights of all and of untreated observations, ``share`` (N, T) the weight of an
    observation in its cell; a cell is a cohort ``rows`` and a period ``columns``, with its total weight ``size``.
    """

    mass: Floats
    untreated: Floats
    share: Floats
    slices: tuple[slice, ...]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    size: Floats
    cells: pd.DataFrame


def _plan(design: Design, options: ImputationOptions) -> _Plan:
    """Find the cells, their weights and the reasons of those that cannot be estimated."""
    matrices = design.matrices
    anticipation = effective_anticipation(design, options)
    if anticipation < 0:
        raise EstimationError(f"imputation: anticipation={anticipation} found, 0 or more periods expected.")
    observed = observation_mass(matrices)
    mass = np.ones_like(matrices.outcome) if observed is None else observed
    treated = matrices.periods >= matrices.unit_reaction(anticipation)[:, None]
    untreated = np.where(treated, 0.0, mass)
    identified = _connected(untreated)
    slices = cohort_slices(matrices)[:-1]
    rows_c, columns_t = np.nonzero(matrices.event_time >= -anticipation)
    averaged = mass if matrices.importance is matrices.weight else averaging_mass(matrices)
    usable = np.where(treated & identified, averaged, 0.0)
    size = np.array([usable[rows].sum(axis=0) for rows in slices])
    share = np.zeros_like(usable)
    for cohort, rows in enumerate(slices):
        share[rows] = np.divide(usable[rows], size[cohort], out=share[rows], where=size[cohort] > 0)
    cells = cell_frame(
        population_of(matrices),
        (np.array([(usable[rows] > 0).sum(axis=0) for rows in slices]))[rows_c, columns_t],
        (untreated > 0).sum(axis=0)[columns_t],
        _reasons(matrices, mass, untreated, size, rows_c, columns_t),
        cohort=matrices.cohorts[rows_c],
        period=matrices.periods[columns_t],
        event_time=matrices.event_time[rows_c, columns_t],
    )
    return _Plan(mass, untreated, share, slices, rows_c, columns_t, size[rows_c, columns_t], cells)


def _to_effects(design: Design, plan: _Plan, fit: UntreatedFit, names: tuple[str, ...] = ()) -> Effects:
    """Average the gaps by cohort and period."""
    mean = np.array([np.einsum("it,it->t", plan.share[rows], fit.gap[rows]) for rows in plan.slices])
    value = np.where(plan.size > 0, mean[plan.rows, plan.columns], np.nan)
    cells = plan.cells
    if not fit.slopes.identified.all():
        blocked = _blocked_by_covariates(fit, plan.share, plan.slices)[plan.rows, plan.columns]
        value = np.where(blocked, np.nan, value)
        unknown = ", ".join(repr(name) for name, known in zip(names, fit.slopes.identified, strict=True) if not known)
        reason = (
            f"no slope of {unknown} among untreated observations (no variation beyond unit and period effects), while it moves "
            "in this cell; leave it out"
        )
        cells = cells.assign(reason=np.where(blocked, reason, cells["reason"]))
    return Effects(
        cells=cells,
        value=value,
        influence=_influence(fit, plan.untreated, plan.share, plan.slices, (plan.rows, plan.columns)),
        population=population_of(design.matrices),
        size=plan.size,
        method=METHOD.name,
        estimand=METHOD.estimand,
        scale=scale_of(design),
        convention=Convention("none", "normal"),
        aggregation="fixed",
        leave_out=None if len(fit.covariates) else _leave_out(design.matrices, plan),
    )


def _leave_out(matrices: Matrices, plan: _Plan) -> Callable[[NDArray[np.int64], int], Floats] | None:
    """Return the estimates without some units from sums by cohort and period; None where units are missing or weights change."""
    if not constant_weights(matrices) or matrices.importance is not matrices.weight:
        return None
    first = np.minimum(matrices.starts[:-1], len(matrices.units) - 1)  # a cohort without units is in no sum
    untreated = np.asarray(plan.untreated[first] > 0)

    def leave_out(codes: NDArray[np.int64], count: int) -> Floats:
        return gaps_without(sums_without(matrices, codes, count), untreated, plan.rows, plan.columns)

    return leave_out


def fit_untreated(data: PanelData, mass: Floats) -> UntreatedFit:
    """Fit unit effects, period effects and covariates on the observations with ``mass`` and apply them to all."""
    periods, net = _take_out(data, mass)
    gap, covariates = net[0], net[1:]
    weighted = covariates * mass
    slopes = Solver(np.einsum("pit,qit->pq", weighted, covariates))
    coefficients = slopes(np.einsum("pit,it->p", weighted, gap))
    for coefficient, x in zip(coefficients, covariates, strict=True):
        gap = gap - coefficient * x
    return UntreatedFit(gap, covariates, periods, slopes, coefficients)


def _take_out(data: PanelData, mass: Floats) -> tuple[Solver, Floats]:
    """Take unit and period effects, fitted with ``mass``, out of the outcome and each covariate: (1 + p, N, T)."""
    gram = within_gram(PanelData(data.outcome, mass, data.covariates, data.slices)).sum(axis=0)
    periods = Solver(without_absorbed(gram, mass.sum(axis=0)))
    net = np.array([residualise(x, mass, periods) for x in (data.outcome, *data.covariates)])
    if data.mass is not None:
        net *= data.mass > 0
    for x, raw in zip(net[1:], data.covariates, strict=True):
        rounding = ABSORBED * np.abs(raw).max(initial=0.0)
        if np.abs(x).max(initial=0.0) < rounding:
            x[:] = 0.0
        elif np.abs(x[mass > 0]).max(initial=0.0) < rounding:
            x[mass > 0] = 0.0
    return periods, net


def residualise(values: Floats, mass: Floats, periods: Solver) -> Floats:
    """Subtract unit and period effects fitted with ``mass``; rows without mass keep their values."""
    total = mass.sum(axis=1)
    safe = np.where(total > 0, total, 1.0)
    unit_mean = np.einsum("it,it->i", mass, values) / safe
    period_effect = periods(np.einsum("it,it->t", mass, values) - mass.T @ unit_mean)
    unit_effect = unit_mean - (mass @ period_effect) / safe
    return np.asarray(values - unit_effect[:, None] - period_effect)


def _connected(mass: Floats) -> NDArray[np.bool_]:
    """Find for each unit and period whether untreated observations connect them (their effects can be compared)."""
    present = mass > 0
    linked = present.astype(np.float32)
    _, component = connected_components(linked.T @ linked > 0, directed=False)
    has_unit = np.asarray(present.any(axis=1))
    of_unit = component[present.argmax(axis=1)]
    return np.asarray((of_unit[:, None] == component) & has_unit[:, None] & present.any(axis=0))


def _influence(
    fit: UntreatedFit,
    mass: Floats,
    share: Floats,
    slices: tuple[slice, ...],
    cells: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> Influence:
    """Return unit influence: treated gaps, recentred, minus what the fit on untreated observations contributes.

    The weights of equation 6 are ``v0_it = -m_it (a_i + l_t + x_it' c)``; the unit part never matters because untreated
    residuals sum to zero by unit, ``l`` solves the period equations and ``c`` the covariate equations for all cells at
    once.
    """
    rows_c, columns_t = cells
    n_periods, n_cells = mass.shape[1], len(rows_c)
    total = mass.sum(axis=1, keepdims=True)
    scaled = mass / np.where(total > 0, total, 1.0)
    right = np.zeros((n_periods, n_cells))
    right_x = np.zeros((len(fit.covariates), n_cells))
    blocks = []
    for cohort, rows in enumerate(slices):
        here = np.flatnonzero(rows_c == cohort)
        periods = columns_t[here]
        squared = share[rows] ** 2
        mass_squared = squared.sum(axis=0)
        centre = np.einsum("it,it->t", squared, fit.gap[rows]) / np.where(mass_squared > 0, mass_squared, 1.0)
        pick = np.zeros((len(here), n_cells))
        pick[np.arange(len(here)), here] = 1.0
        blocks.append(Block(rows, (share[rows] * (fit.gap[rows] - centre))[:, periods], pick))
        right[:, here] = -(scaled[rows].T @ share[rows])[:, periods]
        right[periods, here] += share[rows].sum(axis=0)[periods]
        right_x[:, here] = np.einsum("pit,it->pt", fit.covariates[:, rows], share[rows])[:, periods]
    residual = mass * fit.gap
    blocks.append(Block(slice(None), residual, -fit.periods(right)))
    if len(fit.covariates):
        scores = np.einsum("pit,it->ip", fit.covariates, residual)
        blocks.append(Block(slice(None), scores, -fit.slopes(right_x)))
    return Influence(len(mass), n_cells, tuple(blocks))


def _reasons(
    matrices: Matrices,
    mass: Floats,
    untreated_mass: Floats,
    size: Floats,
    rows_c: NDArray[np.intp],
    columns_t: NDArray[np.intp],
) -> NDArray[np.object_]:
    """Explain why cells are missing or leave observations out."""
    empty_period = np.asarray(~(untreated_mass > 0).any(axis=0))
    reason = np.full(len(rows_c), "", dtype=object)
    for k in np.flatnonzero(size[rows_c, columns_t] == 0):
        cohort, period = rows_c[k], columns_t[k]
        rows = cohort_slices(matrices)[cohort]
        name = label(matrices.period_kind, int(matrices.periods[period]))
        if not (mass[rows, period] > 0).any():
            reason[k] = f"no observation of the cohort in {name}"
        elif empty_period[period]:
            reason[k] = f"no untreated observation in {name}: its period effect is not identified"
        else:
            who = f"cohort {label(matrices.period_kind, int(matrices.cohorts[cohort]))}"
            if not (untreated_mass[rows] > 0).any():
                reason[k] = f"{who} has no untreated observation: its unit effects are not identified"
            else:
                reason[k] = f"no untreated observation connects the units of {who} with {name}"
    return reason


def _blocked_by_covariates(fit: UntreatedFit, share: Floats, slices: tuple[slice, ...]) -> NDArray[np.bool_]:
    """Find which cells load on a combination of covariates whose slope untreated observations do not identify.

    Covariates that are collinear in all observations have no slopes of their own; their joint part in a cell is known.
    """
    null = fit.slopes.null
    means = np.array([np.einsum("pit,it->pt", fit.covariates[:, rows], share[rows]) for rows in slices])
    loads = np.abs(np.einsum("pm,cpt->cmt", null, means))
    size = np.abs(fit.covariates).max(axis=(1, 2), initial=0.0)
    scale = (np.abs(null) * size[:, None]).sum(axis=0)
    return np.asarray((loads > COLLINEAR * np.maximum(scale, 1e-300)[:, None]).any(axis=1))


METHOD = Method(
    name="imputation",
    fit=fit_imputation,
    subsets=fit_imputation_subsets,
    kernel=imputation_kernel,
    options=ImputationOptions,
    needs=Needs(comparison="not_yet_treated", strata=True),
    estimand="average effect on each cohort in each treated period",
    reference="R didimputation 0.5.0, did_imputation()",
    source="Borusyak, Jaravel and Spiess (2024), doi:10.1093/restud/rdae007",
    test="tests/did/estimators/test_golden.py::test_imputation_equals_didimputation",
    tolerance="relative 1e-6, absolute 2e-7, as fixest iterates; errors relative 1e-6",
)
