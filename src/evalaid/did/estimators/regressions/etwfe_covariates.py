"""Extended two-way fixed effects with covariates: every column of cohort and period interacts with every covariate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.influence import Block, Rows
from evalaid.did.effects.likelihood import (
    HALVINGS,
    LOGIT_ITERATIONS,
    LOGIT_TOLERANCE,
    ROUNDING,
    SCORE_TOLERANCE,
    Family,
)
from evalaid.did.effects.linear import NULL_TOLERANCE, Solver

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class InteractedData:
    """Units by cohort, or parts of one, with the columns of part and period that interact with their covariates."""

    outcome: Floats  # (N, T)
    mass: Floats  # (N, T): Weights in the fit, zero where not observed
    counted: Floats  # (N, T): Weights in averages over the units of a cell
    covariates: Floats  # (N, T, q): One, then the covariates, standardised
    rows: tuple[Rows, ...]  # Units of each part
    cohort: NDArray[np.intp]  # (P,): Position of the cohort of each part
    columns: Floats  # (P, T, K): B_pt
    interacts: NDArray[np.bool_]  # (K, q): Which columns go with one and with each covariate

    def index(self, coefficients: Floats) -> Floats:
        """Return the linear index ``z_it' (B_pt' b)`` of (K, q) coefficients, (N, T)."""
        slopes = np.einsum("ptk,kq->ptq", self.columns, coefficients)
        index = np.empty_like(self.outcome)
        for part, rows in enumerate(self.rows):
            index[rows] = np.einsum("itq,tq->it", self.covariates[rows], slopes[part])
        return index

    def moments(self, weight: Floats) -> Floats:
        """Return the sums ``sum_i v_it z_it z_it'`` by part and period, (P, T, q, q)."""
        return np.array(
            [
                np.einsum("it,itp,itq->tpq", weight[rows], self.covariates[rows], self.covariates[rows])
                for rows in self.rows
            ]
        )

    def products(self, values: Floats) -> Floats:
        """Return ``sum_it v_it (B_pt x z_it)``, (K, q)."""
        sums = np.array([np.einsum("it,itq->tq", values[rows], self.covariates[rows]) for rows in self.rows])
        return np.asarray(np.einsum("ptk,ptq->kq", self.columns, sums))

    def gram(self, weight: Floats) -> Floats:
        """Return ``sum_it v_it (B_pt x z_it) (B_pt x z_it)'``, (K q, K q)."""
        moments = self.moments(weight)
        n_columns, q = self.columns.shape[2], self.covariates.shape[2]
        flat = self.columns.reshape(-1, n_columns)
        gram = np.empty((n_columns, q, n_columns, q))
        for p in range(q):
            for r in range(p + 1):
                gram[:, p, :, r] = gram[:, r, :, p] = flat.T @ (flat * moments[:, :, p, r].reshape(-1, 1))
        return gram.reshape(n_columns * q, n_columns * q)

    def solver(self, weight: Floats) -> tuple[Solver, NDArray[np.intp]]:
        """Return the solver of the normal equations of the columns that there are, and their places among all K q."""
        kept = np.flatnonzero(self.interacts)
        return Solver(self.gram(weight)[np.ix_(kept, kept)]), kept


@dataclass(frozen=True)
class InteractedFit:
    """Average effects of the first cells' columns, with what each unit does to them."""

    value: Floats  # (cells,): NaN where not identified
    known: NDArray[np.bool_]  # (cells,): Whether the average effect is identified
    blocks: tuple[Block, ...]
    rank: int


def fit_interacted(
    data: InteractedData, cohort: NDArray[np.intp], period: NDArray[np.intp], family: Family
) -> InteractedFit | None:
    """Fit ``E y = h((B_pt x z_it)' b)`` and average ``h(index) - h(index without the cell's column)`` over each cell.

    Cell k is column k of ``data.columns``; None where the fit does not converge. The average over the covariates of a cell
    adds ``w_i (effect_i - average)``, which the reference takes as fixed.
    """
    coefficients = _maximise(data, family)
    if coefficients is None:
        return None
    n_columns, q = coefficients.shape
    index = data.index(coefficients)
    solver, kept = data.solver(data.mass * family.slope(index))
    null = np.zeros((n_columns * q, solver.null.shape[1]))
    null[kept] = solver.null
    null = null.reshape(n_columns, q, -1)
    n_cells = len(cohort)
    value, known = np.empty(n_cells), np.ones(n_cells, dtype=bool)
    gradient = np.zeros((n_columns, q, n_cells))
    spread = np.zeros((len(data.outcome), n_cells))
    for k, (group, when) in enumerate(zip(cohort, period, strict=True)):
        parts = np.flatnonzero(data.cohort == group)
        total, load = sum(float(data.counted[data.rows[part], when].sum()) for part in parts), np.zeros(q)
        effects = []
        for part in parts:
            rows, own = data.rows[part], data.columns[part, when]
            share, z = data.counted[rows, when] / total, data.covariates[rows, when]
            without = index[rows, when] - own[k] * (z @ coefficients[k])
            effects.append((rows, share, family.mean(index[rows, when]) - family.mean(without)))
            slope, slope_without = family.slope(index[rows, when]), family.slope(without)
            change = np.outer(own, (share * (slope - slope_without)) @ z)
            change[k] = own[k] * ((share * slope) @ z)
            gradient[:, :, k] += change
            load += own[k] * (share @ z)
        value[k] = sum(share @ effect for _, share, effect in effects)
        for rows, share, effect in effects:
            spread[rows, k] = share * (effect - value[k])
        if null.size:
            loads = np.abs(np.einsum("q,qm->m", load, null[k]))
            known[k] = bool((loads <= NULL_TOLERANCE * np.linalg.norm(null, axis=(0, 1))).all())
    right = np.zeros((n_columns * q, n_cells))
    right[kept] = solver(gradient.reshape(n_columns * q, n_cells)[kept])
    right = right.reshape(n_columns, q, n_cells)
    residual = data.mass * (data.outcome - family.mean(index))
    blocks = [
        Block(slice(None), spread, np.eye(n_cells)),
        Block(slice(None), -spread, np.eye(n_cells), reference_only=True),
    ]
    for group, rows in enumerate(data.rows):
        scores = residual[rows][:, :, None] * data.covariates[rows]
        turned = np.einsum("tk,kqm->tqm", data.columns[group], right)
        blocks.append(Block(rows, scores.reshape(len(scores), -1), turned.reshape(-1, n_cells)))
    return InteractedFit(np.where(known, value, np.nan), known, tuple(blocks), solver.rank)


def _maximise(data: InteractedData, family: Family) -> Floats | None:
    """Climb to the maximum of the quasi-likelihood by Newton's method with halved steps; None where there is none."""
    mass, summed = data.mass.ravel(), (data.mass * data.outcome).ravel()
    shape = data.columns.shape[2], data.covariates.shape[2]
    index = family.start(data.outcome)
    coefficients: Floats = np.zeros(shape)
    for step in range(LOGIT_ITERATIONS):
        weight = data.mass * family.slope(index)
        working = weight * index + data.mass * (data.outcome - family.mean(index))
        solver, kept = data.solver(weight)
        new = np.zeros(shape[0] * shape[1])
        new[kept] = solver(data.products(working).ravel()[kept])
        new = new.reshape(shape)
        moved = data.index(new)
        if step:
            before = family.likelihood(index.ravel(), mass, summed)
            for _ in range(HALVINGS):
                if family.likelihood(moved.ravel(), mass, summed) >= before - ROUNDING * abs(before):
                    break
                new = (coefficients + new) / 2
                moved = data.index(new)
        change = float(np.abs((moved - index)[data.mass > 0]).max())
        coefficients, index = new, moved
        if family.name == "gaussian" or (step and change < LOGIT_TOLERANCE * max(1.0, float(np.abs(index).max()))):
            break
    else:
        return None
    score = np.abs(data.products(data.mass * (data.outcome - family.mean(index))))[data.interacts]
    size = float((data.mass * (np.abs(data.outcome) + np.abs(family.mean(index)))).sum())
    return None if (score > SCORE_TOLERANCE * size).any() else coefficients
