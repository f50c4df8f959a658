"""The only least squares of the package: two-way panel regressions without dummies, and weighted cross-sections.

Every regressor of a two-way difference-in-differences regression is a function of cohort and period. Unit effects are
eliminated by hand, period effects are columns like any other, and the normal equations are sums over cohorts of small
period x period matrices: the cost is one pass over the data and one solve of the size of the coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from evalaid.did.effects.influence import Block, Influence, Rows

Floats = NDArray[np.float64]

# Below this ratio of eigenvalues a direction of the normal equations carries no information: float64 keeps about
# sixteen digits and squaring the design in the normal equations leaves half of them.
RANK_TOLERANCE = 1e-10
# A coefficient counts as not identified when this much of it lies in a direction without information.
NULL_TOLERANCE = 1e-8
# Numbers whose deviations from their mean are a smaller share of them than this are constant up to rounding.
CONSTANT_TOLERANCE = 1e-13
# A sum of squares about unit means below this share of the sum of squares itself is rounding: the unit effects absorb the column.
ABSORBED = 1e-12


@dataclass(frozen=True)
class PanelData:
    """The part of a panel that a regression sees, units sorted by cohort."""

    outcome: Floats  # (N, T): Zero where not observed
    mass: Floats | None  # (N, T) or None: Observation weights, zero where not observed; None = balanced and unweighted
    covariates: Floats  # (p, N, T): Time-varying regressors, zero where not observed
    slices: tuple[Rows, ...]  # Rows of each cohort, or part of one, in the order of the design's first axis


@dataclass(frozen=True)
class PanelFit:
    """A least-squares fit with unit effects."""

    value: Floats  # (K,): Coefficients of the treatment columns; NaN where not identified
    influence: Influence  # Of units on the coefficients
    covariate_value: Floats  # (p,): Coefficients of the covariates; NaN where absorbed by the fixed effects
    residual: Floats  # (N, T): Residuals times observation weights
    observations: int  # n and the number of identified columns including one constant, unit effects not counted
    parameters: int


def within(values: Floats, mass: Floats | None) -> Floats:
    """Subtract each unit's (weighted) mean over its observed periods; zero where nothing is observed."""
    if mass is None:
        return np.asarray(values - values.mean(axis=1, keepdims=True))
    total = mass.sum(axis=1, keepdims=True)
    mean = np.einsum("it,it->i", mass, values)[:, None] / np.where(total > 0, total, 1.0)
    return np.asarray((values - mean) * (mass > 0))


def standardise(values: Floats, like: Floats | None = None) -> Floats:
    """Scale columns, (n, k), to mean zero and variance one, so that no result depends on the unit of a covariate.

    Mean and variance are those of the rows ``like``, where these vary. Columns that are constant up to rounding become zero.
    """
    like = values if like is None or not len(like) else like
    centre, spread, size = like.mean(axis=0), like.std(axis=0), np.abs(values).max(axis=0, initial=0.0)
    flat = spread <= CONSTANT_TOLERANCE * size
    if flat.any():
        centre, spread = np.where(flat, values.mean(axis=0), centre), np.where(flat, values.std(axis=0), spread)
    flat = spread <= CONSTANT_TOLERANCE * size
    return np.asarray(np.where(flat, 0.0, (values - centre) / np.where(flat, 1.0, spread)))


def within_gram(data: PanelData) -> Floats:
    """Return each cohort's period x period Gram matrix of period dummies with unit means taken out.

    ``S_c = diag(sum_i m_i) - sum_i m_i m_i' / sum_t m_it``; on a balanced panel ``N_c (I - 11'/T)``.
    """
    n_periods = data.outcome.shape[1]
    if data.mass is None:
        sizes = np.array([len(data.outcome[rows]) for rows in data.slices], dtype=float)
        gram: Floats = sizes[:, None, None] * (np.eye(n_periods) - 1.0 / n_periods)
        return gram
    total = data.mass.sum(axis=1, keepdims=True)
    scaled = data.mass / np.sqrt(np.where(total > 0, total, 1.0))
    grams = [np.diag(data.mass[rows].sum(axis=0)) - scaled[rows].T @ scaled[rows] for rows in data.slices]
    return np.array(grams)


@dataclass(frozen=True)
class Projection:
    """Outcome and covariates, each net of unit effects, period effects and cohort x period columns.

    By Frisch, Waugh and Lovell a regression on any of the covariates follows from these.
    """

    data: PanelData  # The panel
    # (1 + p, K): Of the treatment columns, in the regression of the outcome and of each covariate on all columns
    coefficient: Floats
    # (1 + p, N, T): Of the same regressions, not weighted; zero where not observed and for covariates that the columns
    # absorb
    residual: Floats
    size: Floats  # (1 + p,): Root of the sum of squares within units
    weights: Floats  # (C, T, K): Weight of an observation's residual in the influence of its unit on each coefficient
    identified: NDArray[np.bool_]  # (K,) bool: Which coefficients the columns alone identify
    column_size: Floats  # (K,): Root of the sum of squares of the treatment columns within units
    rank: int  # Number of identified columns

    def fit(self, target: int = 0, covariates: Sequence[int] = ()) -> PanelFit:
        """Regress a variable (0 = the outcome, k = the k-th covariate) on the columns and on the given covariates."""
        data, chosen = self.data, list(covariates)
        net = self.residual[chosen]
        weighted = self.residual[target] if data.mass is None else self.residual[target] * data.mass
        gram = np.array([[self._product(k, j) for j in chosen] for k in chosen]).reshape(len(chosen), len(chosen))
        solve = Solver(gram)
        slopes = solve(np.einsum("pit,it->p", net, weighted))
        value = self.coefficient[target] - slopes @ self.coefficient[chosen]
        residual = weighted
        for slope, x in zip(slopes, net, strict=True):
            residual = residual - slope * (x if data.mass is None else x * data.mass)
        blocks = [Block(rows, residual[rows], self.weights[cohort]) for cohort, rows in enumerate(data.slices)]
        if chosen:
            scores = np.einsum("pit,it->ip", net, residual)
            blocks.append(Block(slice(None), scores, -solve(self.coefficient[chosen])))
        # A combination of covariates that the columns absorb leaves no coefficient identified on which it loads.
        null = solve.null
        loads = np.abs(self.coefficient[chosen].T @ null) * self.column_size[:, None]
        known = self.identified & (
            loads <= NULL_TOLERANCE * np.linalg.norm(self.size[chosen, None] * null, axis=0)
        ).all(1)
        return PanelFit(
            value=np.where(known, value, np.nan),
            influence=Influence(len(residual), len(value), tuple(blocks)),
            covariate_value=np.where(solve.identified, slopes, np.nan),
            residual=residual,
            observations=residual.size if data.mass is None else int(np.count_nonzero(data.mass)),
            parameters=self.rank + solve.rank + 1,
        )

    def products(self) -> Floats:
        """Return the (weighted) products of residuals summed over the periods of each unit, (N, 1 + p, 1 + p)."""
        return unit_products(self.residual, self.data.mass)

    def _product(self, one: int, other: int) -> float:
        weighted = self.residual[one] if self.data.mass is None else self.residual[one] * self.data.mass
        return float(np.vdot(weighted, self.residual[other]))


def unit_products(residual: Floats, mass: Floats | None) -> Floats:
    """Sum the (weighted) products of variables (1 + p, N, T) over the periods of each unit: (N, 1 + p, 1 + p)."""
    n_variables, n_units = residual.shape[:2]
    products = np.empty((n_units, n_variables, n_variables))
    for k in range(n_variables):
        weighted = residual[k] if mass is None else residual[k] * mass
        for j in range(k + 1):
            products[:, k, j] = products[:, j, k] = np.einsum("it,it->i", weighted, residual[j])
    return products


def fit_panel(data: PanelData, design: Floats) -> PanelFit:
    """Regress the outcome on cohort x period columns, all covariates, unit effects and period effects.

    Shapes: ``design`` (C, T, K).
    """
    return project(data, design).fit(0, range(1, 1 + len(data.covariates)))


def project(data: PanelData, design: Floats) -> Projection:
    """Take unit effects, period effects and cohort x period columns out of the outcome and of each covariate.

    Shapes: ``design`` (C, T, K).

    Notes
    -----
    Unit effects are eliminated, period effects enter as T - 1 columns, the normal equations are solved directly, once for
    all variables. The influence of unit i is ``A^-1 B_c' (m_i e_i)``; its cluster sums give CR0.
    """
    n_cohorts, n_periods, n_columns = design.shape
    period_columns = np.broadcast_to(np.eye(n_periods)[:, 1:], (n_cohorts, n_periods, n_periods - 1))
    columns = np.concatenate([design, period_columns], axis=2)
    variables = [data.outcome, *data.covariates]
    net = np.empty((len(variables), *data.outcome.shape))
    sums = np.empty((len(variables), n_cohorts, n_periods))
    for k, values in enumerate(variables):
        net[k] = within(values, data.mass)
        if k and np.abs(net[k]).max(initial=0.0) <= CONSTANT_TOLERANCE * np.abs(values).max(initial=0.0):
            net[k] = 0.0
        weighted = net[k] if data.mass is None else net[k] * data.mass
        sums[k] = [weighted[rows].sum(axis=0) for rows in data.slices]
    size = np.sqrt([_square(x, data.mass) for x in net])
    gram = _gram(data, columns)
    solve = Solver(gram)
    solution = solve(np.einsum("ctw,kct->wk", columns, sums))
    for k, x in enumerate(net):
        for cohort, rows in enumerate(data.slices):
            fitted = columns[cohort] @ solution[:, k]
            mass = None if data.mass is None else data.mass[rows]
            x[rows] -= fitted - fitted.mean() if mass is None else within(np.broadcast_to(fitted, mass.shape), mass)
        if k and _square(x, data.mass) <= RANK_TOLERANCE * size[k] ** 2:
            x[:] = 0.0
    inverse = solve(np.eye(len(gram))[:, :n_columns])
    return Projection(
        data=data,
        coefficient=solution[:n_columns].T,
        residual=net,
        size=size,
        weights=columns @ inverse,
        identified=solve.identified[:n_columns],
        column_size=np.sqrt(np.diag(gram)[:n_columns]),
        rank=solve.rank,
    )


def _square(values: Floats, mass: Floats | None) -> float:
    return float(np.vdot(values, values) if mass is None else np.einsum("it,it,it->", mass, values, values))


def _gram(data: PanelData, columns: Floats) -> Floats:
    """Sum the normal equations over cohorts; only the non-zero columns of each cohort are touched."""
    width = columns.shape[2]
    gram = np.zeros((width, width))
    within_cohort = within_gram(data)
    for cohort in range(len(data.slices)):
        used = np.flatnonzero(columns[cohort].any(axis=0))
        active = columns[cohort][:, used]
        gram[np.ix_(used, used)] += active.T @ within_cohort[cohort] @ active
    return without_absorbed(gram, squares_of(data, columns))


def squares_of(data: PanelData, columns: Floats) -> Floats:
    """Return the sum of squares of each column by cohort and period, (K,), unit means not taken out."""
    if data.mass is None:
        mass = np.array([np.full(columns.shape[1], len(data.outcome[rows])) for rows in data.slices])
    else:
        mass = np.array([data.mass[rows].sum(axis=0) for rows in data.slices])
    return np.asarray(np.einsum("ctk,ct->k", columns**2, mass.reshape(columns.shape[:2])))


def without_absorbed(gram: Floats, squares: Floats) -> Floats:
    """Empty the rows and columns of a Gram matrix net of unit means in which rounding of the ``squares`` is all that is left."""
    kept = np.diag(gram) > ABSORBED * squares
    return gram if kept.all() else np.where(kept[:, None] & kept, gram, 0.0)


class Solver:
    """Solve symmetric positive semi-definite equations and say which unknowns are identified.

    ``identified`` marks the unknowns, ``rank`` counts the directions with information, and the columns of ``null`` span
    those without.
    """

    def __init__(self, gram: Floats) -> None:
        scale = np.sqrt(np.maximum(np.diag(gram), 0.0))
        # A column whose variation is rounding error (a covariate that is constant within units) carries nothing; covariates
        # come here standardised, so that columns can be compared.
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
            self.null = np.zeros((len(gram), 0))
            return
        eigenvalues, vectors = np.linalg.eigh(correlation)
        informative = eigenvalues > RANK_TOLERANCE * max(eigenvalues.max(initial=0.0), 1e-300)
        self.identified = (np.abs(vectors[:, ~informative]) < NULL_TOLERANCE).all(axis=1) & (scale > 0)
        self.rank = int(informative.sum())
        self.null = vectors[:, ~informative] * np.where(scale > 0, self._scale, 1.0)[:, None]
        self._inverse = (vectors[:, informative] / eigenvalues[informative]) @ vectors[:, informative].T

    def __call__(self, right: Floats) -> Floats:
        """Solve for one or several right-hand sides; directions without information get the shortest solution."""
        scale = self._scale if right.ndim == 1 else self._scale[:, None]
        scaled = right * scale
        solved = (
            self._inverse @ scaled
            if self._factor is None
            else cho_solve((self._factor, True), scaled, check_finite=False)
        )
        return np.asarray(solved * scale)


def inverse_gram(regressors: Floats, weights: Floats) -> Floats | None:
    """Invert ``X'WX``; None when the regressors are collinear in this sample."""
    inverse = inverse_grams(((regressors * weights[:, None]).T @ regressors)[None])[0]
    return None if np.isnan(inverse).any() else inverse


def inverse_grams(grams: Floats) -> Floats:
    """Invert many small symmetric matrices at once, (g, k, k); not-a-number throughout where one has no full rank."""
    scale = np.sqrt(np.maximum(np.diagonal(grams, axis1=1, axis2=2), 0.0))
    regular = np.isfinite(grams).all(axis=(1, 2))
    regular &= (scale > RANK_TOLERANCE * np.maximum(scale.max(axis=1, keepdims=True), 1e-300)).all(axis=1)
    scale = np.where(regular[:, None], scale, 1.0)
    both = scale[:, :, None] * scale[:, None, :]
    correlation = np.where(regular[:, None, None], grams / both, np.eye(grams.shape[1]))
    try:
        pivots = np.diagonal(np.linalg.cholesky(correlation), axis1=1, axis2=2).min(axis=1) ** 2
    except np.linalg.LinAlgError:
        pivots = np.zeros(len(grams))
    doubtful = pivots <= RANK_TOLERANCE
    if doubtful.any():
        eigenvalues = np.linalg.eigvalsh(correlation[doubtful])
        regular[doubtful] &= eigenvalues[:, 0] > RANK_TOLERANCE * eigenvalues[:, -1]
        correlation[~regular] = np.eye(grams.shape[1])
    inverse: Floats = np.linalg.inv(correlation) / both
    inverse[~regular] = np.nan
    return inverse
