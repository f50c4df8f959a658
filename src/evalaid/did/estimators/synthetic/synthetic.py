"""Synthetic control and synthetic difference-in-differences, cohort by cohort against never-treated units."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls

from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Block, Influence
from evalaid.did.estimators.common.method import Method, Needs, cell_frame, chosen_covariates, population_of, scale_of
from evalaid.did.estimators.common.regression import panel_data
from evalaid.did.estimators.regressions.imputation import fit_untreated
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import Matrices

Floats = NDArray[np.float64]

# Arkhangelsky et al.: a penalty this small only makes period weights (and synthetic-control weights) unique.
UNIQUE = 1e-6
# How far, relative to the data, a direction may still promise a lower objective at weights that count as optimal.
OPTIMAL = 1e-13
# Signs settle within a handful of switches; a cycle is left to the other route.
SWITCHES = 100
CAUTION = "the jackknife of a synthetic control can be many times its true error: placebo in space is the better guide"
ONE_WEIGHT = "one comparison unit carries all the weight: no standard error from leaving it out; placebo in space takes its place"
ONE_UNIT = "one treated unit: no standard error from variation between units; placebo in space takes its place"


@dataclass(frozen=True)
class SyntheticOptions:
    """Options of the synthetic methods (penalties follow the paper)."""

    # Time-varying covariates whose part in the outcome is taken out first, with slopes from untreated observations
    # (unit and period effects included); None = all of the design's. Baseline covariates have no part to take out
    covariates: tuple[str, ...] | None = None


@dataclass(frozen=True)
class SyntheticWeights:
    """Weights of the comparison units, (n0,), and of the periods before, (T0,), for one cohort."""

    units: Floats
    periods: Floats


def fit_synthetic_did(design: Design, options: SyntheticOptions) -> Effects:
    """Compare each cohort with a weighted average of never-treated units, before and after, with weighted periods.

    Assumes that the weighted comparison would have moved in parallel with the cohort; weights are chosen so that it did
    before the start. Needs a balanced panel, never-treated units, and two periods before.

    One cell per cohort and period; periods before are the fit (their weighted mean is zero), periods from the start on
    are effects. Average with ``aggregate``.

    Notes
    -----
    Unit weights minimise ``sum_t (w0 + sum_i w_i Y_it - Ybar_t)^2 + zeta^2 T0 sum w_i^2`` over the simplex,
    ``zeta = (N1 T1)^(1/4) sd(dY)``; period weights likewise with a penalty that only makes them unique. Both are solved
    exactly; R ``synthdid`` stops its descent early by default. Influence is the jackknife with fixed weights (their
    algorithm 3): its squared sum is their jackknife variance. With one treated unit there is none: use placebo in space.
    Arkhangelsky, Athey, Hirshberg, Imbens and Wager (2021), doi:10.1257/aer.20190159.
    """
    return _fit(design, SYNTHETIC_DID, options, difference=True)


def fit_synthetic_control(design: Design, options: SyntheticOptions) -> Effects:
    """Compare each cohort with the weighted average of never-treated units that resembled it before.

    Assumes that the weights that reproduce the cohort's outcomes before the start also reproduce what would have been.
    Needs a balanced panel, never-treated units, and two periods before; with a poor fit before, do not use it.

    Notes
    -----
    Unit weights minimise ``sum_t (sum_i w_i Y_it - Ybar_t)^2`` over the simplex, with a penalty that only makes them
    unique, as R ``synthdid::sc_estimate`` without early stopping. Errors by the jackknife are given on request only
    (``infer(vcov="reference")``): leaving out a unit with a large weight moves the estimate by far more than sampling does. Abadie, Diamond and Hainmueller (2010),
    doi:10.1198/jasa.2009.ap08746.
    """
    return _fit(design, SYNTHETIC_CONTROL, options, difference=False)


def weigh(outcome: Floats, treated: Floats, n_before: int, n_treated: int, *, difference: bool) -> SyntheticWeights:
    """Solve for the unit and period weights of one cohort.

    Shapes: ``outcome`` (n0, T), ``treated`` (T,), ``difference`` (intercepts, ridge, period weights).
    """
    before = outcome[:, :n_before]
    steps = np.diff(before, axis=1)
    noise = float(np.std(steps, ddof=1)) if steps.size > 1 else 0.0  # one step of one unit shows no noise
    n_after = outcome.shape[1] - n_before
    if not difference:
        # Weights sum to one: a level that all units share changes nothing but the rounding.
        level = before.mean(axis=0)
        units = solve_simplex((before - level).T, treated[:n_before] - level, UNIQUE * noise, intercept=False)
        return SyntheticWeights(units, np.zeros(n_before))
    penalty = (n_treated * n_after) ** 0.25 * noise
    units = solve_simplex(before.T, treated[:n_before], penalty, intercept=True)
    periods = solve_simplex(before, outcome[:, n_before:].mean(axis=1), UNIQUE * noise, intercept=True)
    return SyntheticWeights(units, periods)


def solve_simplex(regressors: Floats, target: Floats, penalty: float, *, intercept: bool) -> Floats:
    """Minimise ``|A w - b|^2 / n + penalty^2 |w|^2`` over weights that are non-negative and sum to one, exactly.

    Shapes: ``regressors`` (n, k), ``target`` (n,).

    Notes
    -----
    The weights are ``w = max(A'p - u, 0)`` with one p for each row of A and one u for the sum: n + 1 unknowns however many
    weights, found by switching weights on and off until their signs agree (semi-smooth Newton). Where the penalty is near
    rounding and no weights fit exactly, p is too large for double precision; the optimality conditions then fail and the
    non-negative least-squares route takes over: on the simplex ``|A w - b|^2 = |(A - b 1') w|^2`` is homogeneous in w, so
    the solution of ``[A - b 1'; sqrt(n) penalty I; c 1'] y = [0; 0; c]`` is a multiple of the answer for any c > 0.

    Examples
    --------
    >>> import numpy as np
    >>> solve_simplex(np.array([[1.0, 3.0], [1.0, 5.0]]), np.array([2.0, 3.0]), 0.0, intercept=False).round(6)
    array([0.5, 0.5])
    """
    if intercept:
        regressors, target = regressors - regressors.mean(axis=0), target - target.mean()
    n_rows, n_columns = regressors.shape
    weights = _switch_weights(regressors, target, n_rows * penalty**2) if n_rows < n_columns else None
    if weights is not None:
        return weights
    gap = regressors - target[:, None]
    ridge = np.sqrt(n_rows) * penalty * np.eye(n_columns)
    size = max(float(np.sqrt((gap**2).sum(axis=0)).mean()), np.sqrt(n_rows) * penalty, np.finfo(float).tiny)
    stacked = np.concatenate([gap / size, ridge / size, np.ones((1, n_columns))])
    right = np.zeros(len(stacked))
    right[-1] = 1.0
    solution, _ = nnls(stacked, right, maxiter=30 * n_columns)
    return np.asarray(solution / solution.sum())


def _switch_weights(regressors: Floats, target: Floats, ridge: float) -> Floats | None:
    """Switch weights on and off until their signs agree; None when they do not or the conditions for an optimum fail."""
    n_rows, n_columns = regressors.shape
    on = np.ones(n_columns, dtype=bool)
    for _ in range(SWITCHES):
        active = regressors[:, on]
        total = active.sum(axis=1)
        system = np.block([[ridge * np.eye(n_rows) + active @ active.T, -total[:, None]], [total[None], -on.sum()]])
        try:
            solution = np.linalg.solve(system, np.append(target, 1.0))
        except np.linalg.LinAlgError:
            return None
        index = regressors.T @ solution[:-1] - solution[-1]
        if ((index > 0) == on).all():
            weights = np.maximum(index, 0.0) / np.maximum(index, 0.0).sum()
            gradient = regressors.T @ (regressors @ weights - target) + ridge * weights
            short = (gradient - gradient @ weights).min()
            return weights if short >= -OPTIMAL * np.abs(regressors).max() ** 2 else None
        on = index > 0
        if not on.any():
            return None
    return None


def synthetic_weights(design: Design, method: str = "synthetic_did") -> pd.DataFrame:
    """List which comparison units and periods a synthetic method leans on, by cohort.

    Columns ``cohort`` (ordinal), ``kind`` (unit or period), ``label``, ``weight``; weights of zero included.
    """
    matrices = without_covariates(design, tuple(design.covariates))
    bases = base_columns(matrices, design.anticipation)
    rows = []
    comparison = matrices.outcome[matrices.never]
    names = matrices.units[matrices.never]
    for number, cohort in enumerate(matrices.cohorts):
        n_before = int(bases[number]) + 1
        own = matrices.outcome[matrices.block(number)]
        early = slice(n_before, matrices.start_column[number])
        others, mean = np.delete(comparison, early, axis=1), np.delete(own.mean(axis=0), early)
        found = weigh(others, mean, n_before, len(own), difference=method == SYNTHETIC_DID.name)
        rows += [(cohort, "unit", unit, weight) for unit, weight in zip(names, found.units, strict=True)]
        periods = matrices.periods[:n_before]
        rows += [(cohort, "period", period, weight) for period, weight in zip(periods, found.periods, strict=True)]
    return pd.DataFrame(rows, columns=["cohort", "kind", "label", "weight"])


def _fit(design: Design, method: Method, options: SyntheticOptions, *, difference: bool) -> Effects:
    matrices = without_covariates(design, chosen_covariates(method.name, design, options.covariates))
    never = matrices.never
    comparison = matrices.outcome[never]
    n_periods, n_cohorts = matrices.n_periods, len(matrices.cohorts)
    bases = base_columns(matrices, design.anticipation)
    value = np.full((n_cohorts, n_periods), np.nan)
    reason = np.full((n_cohorts, n_periods), "", dtype=object)
    blocks = []
    for number in range(n_cohorts):
        rows, n_before = matrices.block(number), int(bases[number]) + 1
        own = matrices.outcome[rows]
        if n_before < 2:
            when = "units may react" if design.anticipation else "the start"
            reason[number] = f"fewer than two periods before {when}: no synthetic comparison can be fitted"
            continue
        early = slice(n_before, matrices.start_column[number])
        others, mean = np.delete(comparison, early, axis=1), np.delete(own.mean(axis=0), early)
        weights = weigh(others, mean, n_before, len(own), difference=difference)
        gap = own.mean(axis=0) - weights.units @ comparison
        value[number] = gap - weights.periods @ gap[:n_before]
        columns = np.arange(n_periods) + number * n_periods
        pick = np.zeros((n_periods, n_cohorts * n_periods))
        pick[np.arange(n_periods), columns] = 1.0
        if len(own) == 1:
            reason[number] = ONE_UNIT
            blocks.append(Block(rows, np.full((1, n_periods), np.nan), pick))
            continue
        psi_own, psi_comparison = _jackknife(own, comparison, weights, n_before)
        if np.isnan(psi_own).any():
            reason[number] = ONE_WEIGHT
        blocks += [Block(rows, psi_own, pick), Block(never, psi_comparison, pick)]
    population = population_of(matrices)
    cohorts = np.repeat(matrices.cohorts, n_periods)
    periods = np.tile(matrices.periods, n_cohorts)
    sizes = np.diff(matrices.starts)
    cells = cell_frame(
        population,
        np.repeat(sizes[:-1], n_periods),
        len(comparison),
        reason.ravel(),
        cohort=cohorts,
        period=periods,
        event_time=matrices.event_time.ravel(),
    )
    return Effects(
        cells=cells,
        value=value.ravel(),
        influence=Influence(matrices.n_units, value.size, tuple(blocks)),
        population=population,
        size=np.repeat(sizes[:-1].astype(float), n_periods),
        method=method.name,
        estimand=method.estimand,
        scale=scale_of(design),
        convention=Convention("none", "normal", caution="" if difference else CAUTION),
        aggregation="fixed",
    )


def without_covariates(design: Design, names: tuple[str, ...]) -> Matrices:
    """Take the part of the covariates out of the outcome, with slopes fitted on untreated observations.

    Kranz (2022) shows why slopes from all observations would absorb part of the effect.
    """
    matrices = design.matrices
    if not names:
        return matrices
    data = panel_data(matrices, names)
    untreated = ~(matrices.periods >= matrices.unit_reaction(design.anticipation)[:, None])
    slopes = fit_untreated(data, untreated.astype(float)).coefficients
    return replace(matrices, outcome=matrices.outcome - np.einsum("p,pit->it", slopes, data.covariates))


def _jackknife(own: Floats, comparison: Floats, weights: SyntheticWeights, n_before: int) -> tuple[Floats, Floats]:
    """Return influence from leaving out one unit with the weights of the others kept (rescaled to sum to one).

    ``psi_i = -sqrt((n-1)/n) (theta_(i) - mean)``, so that the sum of squares is the jackknife variance.
    """
    without_own = (own.sum(axis=0) - own) / (len(own) - 1) - weights.units @ comparison
    kept = 1.0 - weights.units
    synthetic = weights.units @ comparison
    share = np.divide(1.0, kept, out=np.zeros_like(kept), where=kept > 0)
    without = (synthetic - weights.units[:, None] * comparison) * share[:, None]
    without_comparison = own.mean(axis=0) - without
    changed = np.concatenate([without_own, without_comparison])
    changed = changed - (changed[:, :n_before] @ weights.periods)[:, None]
    count = len(changed)
    psi = -np.sqrt((count - 1) / count) * (changed - changed.mean(axis=0))
    if (kept <= 0).any():
        psi = np.full_like(psi, np.nan)
    return psi[: len(own)], psi[len(own) :]


SYNTHETIC_DID = Method(
    name="synthetic_did",
    fit=fit_synthetic_did,
    options=SyntheticOptions,
    needs=Needs(comparison="never_treated", pre_periods=2, balanced=True, weights="none"),
    estimand="average effect on each cohort in each period against a weighted comparison in weighted periods",
    reference="R synthdid 0.0.9, synthdid_estimate(), converged",
    source="Arkhangelsky et al. (2021), doi:10.1257/aer.20190159",
    test="tests/did/estimators/test_synthetic.py::test_one_county_equals_the_converged_reference",
    tolerance="estimates 1e-6, weights 1e-5, where R stops descending",
)
SYNTHETIC_CONTROL = Method(
    name="synthetic_control",
    fit=fit_synthetic_control,
    options=SyntheticOptions,
    needs=Needs(comparison="never_treated", pre_periods=2, balanced=True, weights="none"),
    estimand="average effect on each cohort in each period against the units that resembled it before",
    reference="R synthdid 0.0.9, sc_estimate(), converged",
    source="Abadie, Diamond and Hainmueller (2010), doi:10.1198/jasa.2009.ap08746",
    test="tests/did/estimators/test_synthetic.py::test_synthetic_control_fits_better_than_the_reference_that_stopped_early",
    tolerance="estimates 1e-6, weights 1e-5, where R stops descending",
)
