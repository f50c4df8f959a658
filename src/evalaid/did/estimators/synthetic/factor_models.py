"""Factor models for long panels: matrix completion and interactive fixed effects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.effects import Effects
from evalaid.did.effects.linear import PanelData, Solver, within_gram
from evalaid.did.estimators.common.method import Method, Needs, chosen_covariates, cohort_slices
from evalaid.did.estimators.regressions.imputation import residualise
from evalaid.did.estimators.synthetic.counterfactuals import SHORT, measure_gaps
from evalaid.did.estimators.synthetic.synthetic import without_covariates
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.design import Design

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Penalties that cross-validation tries: from the one that leaves no factor down to a hundredth of it.
PENALTIES = np.geomspace(1.0, 1e-2, 13)
FOLDS = 5
# So many penalties in a row with more error than the best so far end the search: the error falls, then rises.
WORSE = 3
# The low-rank part has converged when a step moves it by less than this share of the outcome's variation within units.
CONVERGED, NEARLY = 1e-7, 1e-5  # the second while penalties are compared
MOST_STEPS = 5_000
NOT_CONVERGED = f"the low-rank part has not converged in {MOST_STEPS:,} steps: name a larger penalty"
MOST_FACTORS = 5


@dataclass(frozen=True)
class CompletionOptions:
    """Options of ``matrix_completion``."""

    # Penalty on the nuclear norm, as a share of the smallest that leaves no factor; None = by cross-validation
    penalty: float | None = None
    # Time-varying covariates, taken out first as for ``synthetic_control``; None = all of the design's
    covariates: tuple[str, ...] | None = None


@dataclass(frozen=True)
class FactorOptions:
    """Options of ``interactive_effects``."""

    factors: int | None = (
        None  # Number of factors; None = by cross-validation over periods before the start, at most five
    )
    covariates: tuple[str, ...] | None = None  # As for ``matrix_completion``


def fit_completion(design: Design, options: CompletionOptions) -> Effects:
    """Complete the matrix of untreated outcomes by unit effects, period effects and a part of low rank.

    Assumes that untreated outcomes are unit and period effects plus a matrix of low rank plus noise, and that which outcomes are
    treated does not depend on the noise. Gaps before the start are those of the fit itself. Takes panels with gaps. The penalty
    shrinks the low-rank part: some of what it should take off remains.

    Notes
    -----
    ``min |Y - a - l - L|^2 / n + penalty |L|_*`` over untreated observations, unit and period effects not penalised; proximal
    gradient descent on L. The penalty has the least error on fifths of the untreated observations, left out in diagonals of the
    matrix (unit + 2 period modulo 5), so that nothing is drawn; over 40 draws of folds the published case, California, moves from -19.83 to
    -20.00 and is -19.92 here. Inference by placebo (:func:`evalaid.placebo` in space).
    Athey, Bayati, Doudchenko, Imbens and Khosravi (2021), doi:10.1080/01621459.2021.1891924.
    """
    matrices = without_covariates(design, chosen_covariates(COMPLETION.name, design, options.covariates))
    seen = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
    untreated = seen & ~(matrices.periods >= matrices.unit_reaction(design.anticipation)[:, None])
    share = _choose_share(matrices.outcome, untreated) if options.penalty is None else options.penalty
    gap = complete(matrices.outcome, untreated, np.array([share]))[0]
    known = seen & untreated.any(axis=0) & untreated.any(axis=1, keepdims=True)
    gaps = np.full((len(matrices.cohorts), matrices.n_periods), np.nan)
    for number, rows in enumerate(cohort_slices(matrices)[:-1]):
        count = known[rows].sum(axis=0)
        total = np.where(known[rows], gap[rows], 0.0).sum(axis=0)
        gaps[number] = np.divide(total, count, out=gaps[number], where=count > 0)
    lost = NOT_CONVERGED if np.isnan(gap).any() else ""
    return measure_gaps(design, COMPLETION, gaps, [lost] * len(gaps))


def complete(outcome: Floats, observed: Bools, shares: Floats, tolerance: float = CONVERGED) -> Floats:
    """Return outcomes minus completed ones for penalties that fall, as shares of the one that leaves no factor: (P, N, T); NaN from the first that does not converge."""
    return np.array(list(_follow(outcome, observed, shares, tolerance)))


def _follow(outcome: Floats, observed: Bools, shares: Floats, tolerance: float) -> Iterator[Floats]:
    """Yield outcomes minus completed ones, (N, T), each penalty from where the one before ended."""
    mass = observed.astype(float)
    data = PanelData(outcome, mass, np.empty((0, *outcome.shape)), (slice(None),))
    periods = Solver(within_gram(data).sum(axis=0))

    def left_by(low: Floats) -> Floats:
        return residualise(outcome - low, mass, periods)

    low = np.zeros_like(outcome)
    gap = left_by(low)
    size = max(float(np.linalg.norm(gap * mass)), np.finfo(float).tiny)
    largest = float(np.linalg.norm(gap * mass, 2))
    for number, share in enumerate(shares):
        momentum, ahead = 1.0, low
        for _ in range(MOST_STEPS):
            new = _shrink(ahead + left_by(ahead) * mass, share * largest)
            step = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            moved = float(np.linalg.norm(new - low))
            # Nesterov's step, begun anew when it points uphill
            uphill = float(np.vdot(ahead - new, new - low)) > 0
            ahead = new if uphill else new + (momentum - 1) / step * (new - low)
            momentum, low = (1.0 if uphill else step), new
            if moved <= tolerance * size:
                break
        else:
            yield from [np.full_like(outcome, np.nan)] * (len(shares) - number)
            return
        yield left_by(low)


def _shrink(matrix: Floats, by: float) -> Floats:
    """Make every singular value smaller by a number, at most to zero."""
    wide = matrix.shape[0] < matrix.shape[1]
    tall = matrix.T if wide else matrix
    squares, vectors = np.linalg.eigh(tall.T @ tall)
    values = np.sqrt(np.maximum(squares, 0.0))
    kept = np.maximum(values - by, 0.0) / np.where(values > 0, values, 1.0)
    low = tall @ ((vectors * kept) @ vectors.T)
    return np.asarray(low.T if wide else low)


def _choose_share(outcome: Floats, observed: Bools) -> float:
    """Return the share of the largest penalty that predicts untreated observations best when a fifth of them is left out."""
    unit, period = np.indices(outcome.shape)
    fold = (unit + 2 * period) % FOLDS
    paths, tested = [], []
    for left in range(FOLDS):
        kept = observed & (fold != left)
        paths.append(_follow(outcome, kept, PENALTIES, NEARLY))
        tested.append(observed & (fold == left) & kept.any(axis=0) & kept.any(axis=1, keepdims=True))
    errors: list[float] = []
    for gaps in zip(*paths, strict=True):
        error = sum(float((gap[rows] ** 2).sum()) for gap, rows in zip(gaps, tested, strict=True))
        if np.isnan(error) or len(errors) - 1 - int(np.argmin(errors or [0.0])) >= WORSE:
            break
        errors.append(error)
    return float(PENALTIES[int(np.argmin(errors or [0.0]))])


def fit_interactive(design: Design, options: FactorOptions) -> Effects:
    """Project each cohort, by its periods before the start, on factors estimated from never-treated units.

    Assumes that untreated outcomes are unit and period effects plus factors with loadings of each unit, and that treated units
    have loadings on the same factors. Needs a balanced panel, never-treated units, and two periods more before the start than
    factors.

    Notes
    -----
    ``y_it = a_i + l_t + f_t' b_i + e_it``: effects and factors from never-treated units (principal components), ``a_i`` and ``b_i`` of
    treated units from their periods before. The number of factors, one for all cohorts as in R ``gsynth`` (a cohort with fewer periods before has
    as many as can be told apart), has the least error in periods before the start that are left out one by one. Inference by placebo (:func:`evalaid.placebo` in space). Xu (2017), doi:10.1017/pan.2016.2.
    """
    matrices = without_covariates(design, chosen_covariates(INTERACTIVE.name, design, options.covariates))
    comparison = matrices.outcome[matrices.never]
    period = comparison.mean(axis=0)
    net = comparison - period - comparison.mean(axis=1, keepdims=True) + period.mean()
    factors = np.linalg.svd(net, full_matrices=False)[2].T
    most = min(len(comparison) - 1, matrices.n_periods - 1)
    before = base_columns(matrices, design.anticipation) + 1
    highest = np.minimum(most, before - 2)
    own = [matrices.outcome[matrices.block(number)] - period for number in range(len(before))]
    long = np.flatnonzero(before >= 2)
    wanted = options.factors
    if wanted is None:
        tried = range(min(MOST_FACTORS, int(highest[long].max(initial=0))) + 1)
        fits = [[(own[k][:, : before[k]], factors[: before[k], : min(r, highest[k])]) for k in long] for r in tried]
        wanted = int(np.argmin([sum(_error_left_out(*one) for one in fit) for fit in fits]))
    gaps = np.full((len(before), matrices.n_periods), np.nan)
    reasons = [SHORT if end < 2 else "" for end in before]
    for k in long:
        if options.factors is not None and wanted > highest[k]:
            reasons[k] = (
                f"{wanted} factors found, at most {highest[k]} can be told apart with {before[k]} periods before the start and "
                f"{len(comparison)} comparison units"
            )
            continue
        x = _with_constant(factors[:, : min(wanted, highest[k])])
        loadings = np.linalg.lstsq(x[: before[k]], own[k][:, : before[k]].T, rcond=None)[0]
        gaps[k] = (own[k].T - x @ loadings).mean(axis=1)
    return measure_gaps(design, INTERACTIVE, gaps, reasons)


def _with_constant(factors: Floats) -> Floats:
    return np.column_stack([np.ones(len(factors)), factors])


def _error_left_out(own: Floats, factors: Floats) -> float:
    """Return the sum of squared errors of each period when loadings come from the others: ``e_s / (1 - h_ss)``."""
    x = _with_constant(factors)
    hat = x @ np.linalg.pinv(x)
    left = 1 - np.diag(hat)
    residual = own - own @ hat.T
    return (
        float(((residual / np.where(left > CONVERGED, left, np.nan)) ** 2).sum())
        if (left > CONVERGED).all()
        else np.inf
    )


COMPLETION = Method(
    name="matrix_completion",
    fit=fit_completion,
    options=CompletionOptions,
    needs=Needs(comparison="not_yet_treated", weights="none"),
    estimand="average effect on each cohort in each period against a completed matrix of low rank",
    reference="R MCPanel, mcnnm_cv(), done again: the published estimate for California (-20.2: Arkhangelsky et al. 2021, table 1); a solver by dummies",
    source="Athey, Bayati, Doudchenko, Imbens and Khosravi (2021), doi:10.1080/01621459.2021.1891924",
    test="tests/did/estimators/test_factor_models.py::test_the_published_estimate_for_california_is_of_this_penalty_left_before_it_has_converged",
    tolerance="1e-8 of 20 packs at the same penalty; -20.2 is left at 1e-5 of the objective and -19.94 when it has converged, -19.92 with the folds here",
)
INTERACTIVE = Method(
    name="interactive_effects",
    fit=fit_interactive,
    options=FactorOptions,
    needs=Needs(comparison="never_treated", pre_periods=2, balanced=True, weights="none"),
    estimand="average effect on each cohort in each period against its projection on factors of never-treated units",
    reference="alternating least squares on California and on the turnout data of R gsynth 1.3.1, and its 4.90 with covariates; panels that are factors exactly",
    source="Xu (2017), doi:10.1017/pan.2016.2",
    test="tests/did/estimators/test_factor_models.py::test_turnout_without_covariates_is_that_of_alternating_least_squares",
    tolerance="1e-6, where the iteration stops; 0.2 of 4.90 with covariates, whose slopes are estimated before the factors here",
)
