"""The only least squares of the package: two-way panel regressions without dummies, and weighted cross-sections.

Every regressor of a two-way difference-in-differences regression is a function of cohort and period. Unit effects are
eliminated by hand, period effects are columns like any other, and the normal equations are sums over cohorts of small
period x period matrices: the cost is one pass over the data and one solve of the size of the coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from evalaid.influence import Block, Influence

Floats = NDArray[np.float64]

# Below this ratio of eigenvalues a direction of the normal equations carries no information: float64 keeps about
# sixteen digits and squaring the design in the normal equations leaves half of them.
RANK_TOLERANCE = 1e-10
# A coefficient counts as not identified when this much of it lies in a direction without information.
NULL_TOLERANCE = 1e-8
# Newton's method for the logit stops at this change of the largest linear predictor: R's glm stops at 1e-8.
LOGIT_TOLERANCE = 1e-12
# The largest change of any linear predictor in one Newton step; longer steps run away near separation.
LOGIT_STEP = 8.0
LOGIT_ITERATIONS = 60


@dataclass(frozen=True)
class PanelData:
    """The part of a panel that a regression sees, units sorted by cohort.

    Parameters
    ----------
    outcome : (N, T) array
        Zero where not observed.
    mass : (N, T) array or None
        Observation weights, zero where not observed; None = balanced and unweighted.
    covariates : (p, N, T) array
        Time-varying regressors, zero where not observed.
    slices : tuple of slice
        Rows of each cohort, in the order of the design's first axis.
    """

    outcome: Floats
    mass: Floats | None
    covariates: Floats
    slices: tuple[slice, ...]


@dataclass(frozen=True)
class PanelFit:
    """A least-squares fit with unit effects.

    Parameters
    ----------
    value : (K,) array
        Coefficients of the treatment columns; NaN where not identified.
    influence : Influence
        Of units on the coefficients.
    covariate_value : (p,) array
        Coefficients of the covariates; NaN where absorbed by the fixed effects.
    residual : (N, T) array
        Residuals times observation weights.
    observations, parameters : int
        n and the number of identified columns including one constant, unit effects not counted.
    """

    value: Floats
    influence: Influence
    covariate_value: Floats
    residual: Floats
    observations: int
    parameters: int


def within(values: Floats, mass: Floats | None) -> Floats:
    """Subtract each unit's (weighted) mean over its observed periods; zero where nothing is observed."""
    if mass is None:
        return values - values.mean(axis=1, keepdims=True)
    total = mass.sum(axis=1, keepdims=True)
    mean = np.einsum("it,it->i", mass, values)[:, None] / np.where(total > 0, total, 1.0)
    return (values - mean) * (mass > 0)


def within_gram(data: PanelData) -> Floats:
    """Give each cohort's period x period Gram matrix of period dummies with unit means taken out.

    ``S_c = diag(sum_i m_i) - sum_i m_i m_i' / sum_t m_it``; on a balanced panel ``N_c (I - 11'/T)``.

    Returns
    -------
    (C, T, T) array
    """
    n_periods = data.outcome.shape[1]
    if data.mass is None:
        sizes = np.array([rows.stop - rows.start for rows in data.slices], dtype=float)
        return sizes[:, None, None] * (np.eye(n_periods) - 1.0 / n_periods)
    total = data.mass.sum(axis=1, keepdims=True)
    scaled = data.mass / np.sqrt(np.where(total > 0, total, 1.0))
    grams = [np.diag(data.mass[rows].sum(axis=0)) - scaled[rows].T @ scaled[rows] for rows in data.slices]
    return np.array(grams)


def fit_panel(data: PanelData, design: Floats) -> PanelFit:
    """Regress the outcome on cohort x period columns, covariates, unit effects and period effects.

    Parameters
    ----------
    data : PanelData
        The panel.
    design : (C, T, K) array
        Treatment columns by cohort and period.

    Returns
    -------
    PanelFit

    Notes
    -----
    Unit effects are eliminated, period effects enter as T - 1 columns, the normal equations are solved directly.
    The influence of unit i is ``A^-1 B_c' (m_i e_i)``; its cluster sums give CR0.
    """
    n_cohorts, n_periods, n_columns = design.shape
    mass, n_covariates = data.mass, len(data.covariates)
    outcome = within(data.outcome, mass)
    covariates = np.array([within(x, mass) for x in data.covariates]).reshape(n_covariates, *outcome.shape)
    weighted = covariates if mass is None else covariates * mass
    period_columns = np.broadcast_to(np.eye(n_periods)[:, 1:], (n_cohorts, n_periods, n_periods - 1))
    columns = np.concatenate([design, period_columns], axis=2)
    width = columns.shape[2]

    gram, moment = _normal_equations(data, columns, outcome, covariates, weighted)
    solve = Solver(gram)
    solution = solve(moment)
    targets = np.eye(len(gram))[:, :n_columns]
    inverse = solve(targets)

    coefficients, slopes = solution[:width], solution[width:]
    fitted = np.zeros_like(outcome)
    for cohort, rows in enumerate(data.slices):
        fitted[rows] = columns[cohort] @ coefficients
    residual = outcome - (within(fitted, mass) if mass is not None else fitted - fitted.mean(axis=1, keepdims=True))
    for slope, x in zip(slopes, covariates, strict=True):
        residual -= slope * x
    residual = residual if mass is None else residual * mass

    blocks = [Block(rows, residual[rows], columns[cohort] @ inverse[:width]) for cohort, rows in enumerate(data.slices)]
    if n_covariates:
        scores = np.einsum("pit,it->ip", covariates, residual)
        blocks.append(Block(slice(None), scores, inverse[width:]))
    n_units = len(outcome)
    observations = outcome.size if mass is None else int(np.count_nonzero(mass))
    return PanelFit(
        value=np.where(solve.identified[:n_columns], solution[:n_columns], np.nan),
        influence=Influence(n_units, n_columns, tuple(blocks)),
        covariate_value=np.where(solve.identified[width:], slopes, np.nan),
        residual=residual,
        observations=observations,
        parameters=solve.rank + 1,
    )


def _normal_equations(
    data: PanelData, columns: Floats, outcome: Floats, covariates: Floats, weighted: Floats
) -> tuple[Floats, Floats]:
    """Sum the normal equations over cohorts; only the non-zero columns of each cohort are touched."""
    width, n_covariates = columns.shape[2], len(covariates)
    gram = np.zeros((width + n_covariates, width + n_covariates))
    moment = np.zeros(width + n_covariates)
    within_cohort = within_gram(data)
    weighted_outcome = outcome if data.mass is None else outcome * data.mass
    for cohort, rows in enumerate(data.slices):
        used = np.flatnonzero(columns[cohort].any(axis=0))
        active = columns[cohort][:, used]
        gram[np.ix_(used, used)] += active.T @ within_cohort[cohort] @ active
        moment[used] += active.T @ weighted_outcome[rows].sum(axis=0)
        for p in range(n_covariates):
            cross = active.T @ weighted[p, rows].sum(axis=0)
            gram[used, width + p] += cross
            gram[width + p, used] += cross
    gram[width:, width:] = np.einsum("pit,qit->pq", weighted, covariates)
    moment[width:] = np.einsum("pit,it->p", weighted, outcome)
    return gram, moment


class Solver:
    """Solve symmetric positive semi-definite equations and say which unknowns are identified."""

    def __init__(self, gram: Floats) -> None:
        scale = np.sqrt(np.maximum(np.diag(gram), 0.0))
        # A column whose variation is rounding error (a covariate that is constant within units) carries nothing.
        scale = np.where(scale > RANK_TOLERANCE * max(scale.max(initial=0.0), 1e-300), scale, 0.0)
        self._scale = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
        correlation = gram * self._scale[:, None] * self._scale
        self._factor: Floats | None = None
        if (scale > 0).all():
            factor: Floats | None
            try:
                factor = np.asarray(np.linalg.cholesky(correlation), dtype=np.float64)
            except np.linalg.LinAlgError:
                factor = None
            if factor is not None and np.diag(factor).min(initial=1.0) ** 2 > RANK_TOLERANCE:
                self._factor = factor
        if self._factor is not None:
            self.identified = np.ones(len(gram), dtype=bool)
            self.rank = len(gram)
            return
        eigenvalues, vectors = np.linalg.eigh(correlation)
        informative = eigenvalues > RANK_TOLERANCE * max(eigenvalues.max(initial=0.0), 1e-300)
        self.identified = (np.abs(vectors[:, ~informative]) < NULL_TOLERANCE).all(axis=1) & (scale > 0)
        self.rank = int(informative.sum())
        self._inverse = (vectors[:, informative] / eigenvalues[informative]) @ vectors[:, informative].T

    def __call__(self, right: Floats) -> Floats:
        """Solve for one or several right-hand sides; directions without information get the shortest solution."""
        scale = self._scale if right.ndim == 1 else self._scale[:, None]
        scaled = right * scale
        solved = self._inverse @ scaled if self._factor is None else cho_solve((self._factor, True), scaled)
        return solved * scale


def fit_logit(regressors: Floats, treated: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """Fit a weighted logit by Newton's method.

    Parameters
    ----------
    regressors : (n, k) array
        With the constant.
    treated : (n,) array of bool
        The binary outcome.
    weights : (n,) array
        Non-negative weights.

    Returns
    -------
    probability : (n,) array
        Fitted probabilities.
    inverse_hessian : (k, k) array
        Inverse of ``X' diag(w p (1-p)) X``. Not-a-number throughout when the regressors are collinear or treated and
        untreated units are perfectly separated.
    """
    n_regressors = regressors.shape[1]
    failed = np.full(len(regressors), np.nan), np.full((n_regressors, n_regressors), np.nan)
    share = float(weights[treated].sum() / weights.sum())
    if not 0 < share < 1:
        return failed
    linear = np.full(len(regressors), np.log(share / (1 - share)))
    for _ in range(LOGIT_ITERATIONS):
        probability = 1.0 / (1.0 + np.exp(-linear))
        score = regressors.T @ (weights * (treated - probability))
        hessian = (regressors * (weights * probability * (1 - probability))[:, None]).T @ regressors
        solver = Solver(hessian)
        if not solver.identified.all():
            return failed
        change = regressors @ solver(score)
        largest = float(np.abs(change).max())
        linear = linear + change * min(1.0, LOGIT_STEP / max(largest, 1e-300))
        if largest < LOGIT_TOLERANCE:
            break
    probability = 1.0 / (1.0 + np.exp(-linear))
    hessian = (regressors * (weights * probability * (1 - probability))[:, None]).T @ regressors
    return probability, Solver(hessian)(np.eye(n_regressors))


def inverse_gram(regressors: Floats, weights: Floats) -> Floats | None:
    """Invert ``X'WX``; None when the regressors are collinear in this sample."""
    solver = Solver((regressors * weights[:, None]).T @ regressors)
    return solver(np.eye(regressors.shape[1])) if solver.identified.all() else None


@dataclass(frozen=True)
class Family:
    """A quasi-likelihood with its canonical link: identity, logit or log.

    Parameters
    ----------
    name : {"gaussian", "binomial", "poisson"}
        The family.
    """

    name: str

    @property
    def range(self) -> tuple[float, float]:
        """Give the smallest and largest outcome that the family takes."""
        return {"gaussian": (-np.inf, np.inf), "binomial": (0.0, 1.0), "poisson": (0.0, np.inf)}[self.name]

    def mean(self, index: Floats) -> Floats:
        """Give the mean at a linear index."""
        if self.name == "gaussian":
            return index
        exponential = np.exp(np.clip(index, -700, 700))
        return exponential if self.name == "poisson" else exponential / (1 + exponential)

    def slope(self, index: Floats) -> Floats:
        """Give the derivative of the mean with respect to the index (with a canonical link also the variance)."""
        mean = self.mean(index)
        return {"gaussian": np.ones_like(index), "binomial": mean * (1 - mean), "poisson": mean}[self.name]

    def start(self, mean: Floats) -> Floats:
        """Give an index to start from, near the observed means."""
        if self.name == "gaussian":
            return mean
        if self.name == "poisson":
            return np.log(np.maximum(mean, 1e-3))
        inside = np.clip(mean, 0.005, 0.995)
        return np.log(inside / (1 - inside))


@dataclass(frozen=True)
class CellFit:
    """A quasi-likelihood fit on cell sums.

    Parameters
    ----------
    coefficients : (k,) array
        Of the columns; those that are not identified hold the shortest solution.
    identified : (k,) array of bool
        Which coefficients are identified.
    index : (cells,) array
        Linear index.
    inverse : (k, k) array
        Inverse Hessian.
    rank : int
        Number of identified directions.
    """

    coefficients: Floats
    identified: NDArray[np.bool_]
    index: Floats
    inverse: Floats
    rank: int


def fit_cells(columns: Floats, mass: Floats, summed: Floats, family: Family) -> CellFit | None:
    """Fit a quasi-likelihood whose regressors are constant within cells, from the cells' weights and weighted sums.

    Parameters
    ----------
    columns : (cells, k) array
        Regressors.
    mass, summed : (cells,) arrays
        Sum of weights and of weighted outcomes; cells without observations have mass zero.
    family : Family
        Family and link.

    Returns
    -------
    CellFit or None
        None when Newton's method does not converge (separation).
    """
    mean = np.divide(summed, mass, out=np.zeros_like(summed), where=mass > 0)
    index = family.start(mean)
    coefficients = np.zeros(columns.shape[1])
    for step in range(LOGIT_ITERATIONS):
        weight = mass * family.slope(index)
        solver = Solver((columns * weight[:, None]).T @ columns)
        working = weight * index + (summed - mass * family.mean(index))
        updated = solver(columns.T @ working)
        change = columns @ updated - index
        coefficients, index = updated, columns @ updated
        if step and float(np.abs(change[mass > 0]).max()) < LOGIT_TOLERANCE * max(1.0, float(np.abs(index).max())):
            break
    else:
        return None
    solver = Solver((columns * (mass * family.slope(index))[:, None]).T @ columns)
    return CellFit(coefficients, solver.identified, index, solver(np.eye(len(coefficients))), solver.rank)
