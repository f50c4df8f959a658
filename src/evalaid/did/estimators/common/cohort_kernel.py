"""An estimator as a function of sums over the units of each cohort: any number of samples in a few matrix products, no frames.

Whatever moves units between cohorts, or takes some away, changes nothing but these sums: another assignment of treatment, a
sample without a cluster, units that are pretended treated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.linear import inverse_grams, standardise
from evalaid.did.panel.matrices import PART, STRATA, Matrices

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Samples are worked on in batches of about this many numbers.
BATCH = 2_000_000


@dataclass(frozen=True)
class CohortKernel:
    """The cells of an estimator, and their overall average, from sums over units by cohort, (n, C + 1, V); never-treated last."""

    features: Floats  # (N, V): What is summed over units; the first column is the unit's weight
    values: Callable[[Floats], Floats]  # Sums (n, C + 1, V) to estimates (n, cells); NaN where there is none
    cohort: Codes | None  # (cells,): The cohort whose units weigh a cell in averages; None = cells count alike
    averaged: Bools  # (cells,): Whether a cell enters the overall average
    column: Codes | None = None  # (cells,): Which sum of its cohort weighs a cell; None = the first, its units

    def overall(self, member: Floats) -> Floats:
        """Compute the overall average of samples with ``member`` (n, C + 1, N) units in each cohort: (n,)."""
        return self.average(member @ self.features)

    def average(self, sums: Floats) -> Floats:
        """Compute the average of the cells with an estimate, weighted by the units of their cohorts, (n,)."""
        width = sums.shape[1] * sums.shape[2] + len(self.averaged) ** 2
        step = max(1, BATCH // width)
        return np.concatenate([self._average(sums[at : at + step]) for at in range(0, max(len(sums), 1), step)])

    def _average(self, sums: Floats) -> Floats:
        value = self.values(sums)[:, self.averaged]
        column = 0 if self.column is None else self.column[self.averaged]
        mass = np.ones_like(value) if self.cohort is None else sums[:, self.cohort[self.averaged], column]
        mass = np.where(np.isnan(value), 0.0, mass)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((np.where(np.isnan(value), 0.0, value) * mass).sum(axis=1) / mass.sum(axis=1))


def kernel_covariates(matrices: Matrices, names: tuple[str, ...]) -> Floats | None:
    """Return covariates that are constant within units, standardised, (N, p); None where sums by cohort are not enough."""
    weight = matrices.weight
    if matrices.observed is not None or matrices.importance is not weight or {STRATA, PART} & set(matrices.covariates):
        return None
    chosen = [matrices.covariates[name] for name in names]
    if not all((x == x[:, :1]).all() for x in (*chosen, *(() if weight is None else (weight,)))):
        return None
    return standardise(np.array([x[:, 0] for x in chosen]).reshape(len(chosen), matrices.n_units).T)


def moments(matrices: Matrices, x: Floats) -> Floats:
    """Return the products of (1, x) with (1, x, outcome) of each unit times its weight, (N, (1 + p)(1 + p + T))."""
    one = np.column_stack([np.ones(len(x)), x])
    weight = np.ones(len(x)) if matrices.weight is None else matrices.weight[:, 0]
    every = np.concatenate([one, matrices.outcome], axis=1)
    return np.asarray(((one * weight[:, None])[:, :, None] * every[:, None, :]).reshape(len(x), -1))


def changes(n_covariates: int, cohort: Codes, compared: Bools, contrast: Floats) -> Callable[[Floats], Floats]:
    """Return the kernel of differences in mean outcomes by ``contrast`` (K, T) between cohorts (K,) and those they are compared with.

    ``compared`` is (K, C + 1). With covariates the comparison's outcomes are predicted at the cohort's means of them: least squares
    among its units (regression adjustment; without covariates their mean).
    """
    patterns, which = np.unique(compared, axis=0, return_inverse=True)
    which, q = which.ravel(), 1 + n_covariates

    def values(sums: Floats) -> Floats:
        n, width, _ = sums.shape
        parts = sums.reshape(n, width, q, -1)
        pooled = np.einsum("pc,ncqv->npqv", patterns.astype(float), parts)
        inverse = inverse_grams(pooled[..., :q].reshape(-1, q, q)).reshape(n, -1, q, q)
        slopes = inverse @ pooled[..., q:]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = parts[:, :, 0] / parts[:, :, 0, :1]
        own, fitted = mean[:, cohort], slopes[:, which]
        return np.asarray(
            np.einsum("nkt,kt->nk", own[..., q:], contrast)
            - np.einsum("nkq,nkqt,kt->nk", own[..., :q], fitted, contrast, optimize=True)
        )

    return values


def coefficients(columns: Floats, seen: Floats) -> Callable[[Floats], Floats]:
    """Return the kernel of coefficients of columns (C + 1, T, K) in a regression with unit and period effects; ``seen`` (C + 1, T).

    ``A = sum_c n_c B_c' M_c B_c``, ``r = sum_c B_c' M_c S_c`` with ``M_c = diag(u_c) - u_c u_c' / |u_c|``.
    """
    n_cohorts, n_periods, n_columns = columns.shape
    dummies = np.broadcast_to(np.eye(n_periods)[:, 1:], (n_cohorts, n_periods, n_periods - 1))
    every = np.concatenate([columns, dummies], axis=2)
    length = np.maximum(seen.sum(axis=1), 1.0)
    within = seen[:, :, None] * np.eye(n_periods) - seen[:, :, None] * seen[:, None, :] / length[:, None, None]
    turned = within @ every
    grams = every.transpose(0, 2, 1) @ turned

    def values(sums: Floats) -> Floats:
        inverse = inverse_grams(np.tensordot(sums[:, :, 0], grams, axes=1))
        right = np.einsum("ctk,nct->nk", turned, sums[:, :, 1:])
        return np.asarray(np.einsum("nkl,nl->nk", inverse[:, :n_columns], right))

    return values
