"""Estimators as functions of sums by cohort where units are not observed in every period: each unit brings sums of its own.

What a unit adds depends on the periods in which it is observed, and on the cohort that it counts in; both go into its features.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evalaid.did.effects.linear import inverse_grams, without_absorbed
from evalaid.did.estimators.common.cohort_kernel import Bools, Codes, CohortKernel, Floats
from evalaid.did.estimators.common.method import observation_mass, population_of
from evalaid.did.panel.matrices import PART, PARTLY, STRATA, Matrices

LARGEST = 20_000_000  # numbers that all units' features may be


def has_gaps(matrices: Matrices) -> bool:
    """Return whether gaps are all that keeps an estimator without covariates from being a function of sums by cohort."""
    special = {STRATA, PART, PARTLY} & set(matrices.covariates)
    return matrices.observed is not None and matrices.importance is matrices.weight and not special


def compare_seen(
    matrices: Matrices, mass: Floats, change: Floats, contrast: Codes, cohort: Codes, compared: Bools, averaged: Bools
) -> CohortKernel:
    """Return the kernel of differences in mean changes between cohorts (K,) and those they are compared with (K, C + 1).

    A unit's changes (N, P) count with ``mass`` (N, P), zero where it is not seen on both sides; a cell takes column ``contrast`` (K,).
    """
    n_contrasts = mass.shape[1]
    features = np.concatenate([population_of(matrices).weight[:, None], mass, mass * change], axis=1)
    others = compared.T.astype(float)

    def values(sums: Floats) -> Floats:
        count, total = (part[:, :, contrast] for part in np.split(sums[:, :, 1:], [n_contrasts], axis=2))
        cell = np.arange(len(cohort))
        with np.errstate(invalid="ignore", divide="ignore"):
            own = total[:, cohort, cell] / count[:, cohort, cell]
            found = own - np.einsum("nck,ck->nk", total, others) / np.einsum("nck,ck->nk", count, others)
        return np.where(np.isfinite(found), found, np.nan)

    return CohortKernel(features, values, cohort, averaged)


def seen_coefficients(
    matrices: Matrices, columns: Floats, cells: Callable[[Floats], Floats], averaged: Bools
) -> CohortKernel | None:
    """Return the kernel of coefficients of columns (C + 1, T, K) in a regression with unit and period effects.

    ``A = sum_c B_c' (sum_i M_i) B_c``, ``r = sum_c B_c' sum_i M_i y_i`` with ``M_i = diag(m_i) - m_i m_i' / |m_i|``; ``cells`` puts
    coefficients (n, K) into the cells of the estimator, which count alike in averages.
    """
    squares, products = _net(np.asarray(observation_mass(matrices)), matrices.outcome)
    n_units, n_periods = matrices.outcome.shape
    if squares.size > LARGEST:
        return None
    dummies = np.broadcast_to(np.eye(n_periods)[:, 1:], (len(columns), n_periods, n_periods - 1))
    every = np.concatenate([columns, dummies], axis=2)

    def values(sums: Floats) -> Floats:
        square, product = np.split(sums[:, :, 1:], [n_periods**2], axis=2)
        turned = np.matmul(square.reshape(*square.shape[:2], n_periods, n_periods), every)
        grams = np.einsum("ctk,nctl->nkl", every, turned, optimize=True)
        own = np.einsum("ctk,nct->nk", every**2, square[:, :, :: n_periods + 1])
        inverse = inverse_grams(np.array([without_absorbed(*both) for both in zip(grams, own, strict=True)]))
        return cells(np.einsum("nkl,ctl,nct->nk", inverse[:, : columns.shape[2]], every, product, optimize=True))

    weight = population_of(matrices).weight[:, None]
    features = np.concatenate([weight, squares.reshape(n_units, -1), products], axis=1)
    return CohortKernel(features, values, None, averaged)


def seen_gaps(
    matrices: Matrices, untreated: Bools, cohort: Codes, period: Codes, averaged: Bools
) -> CohortKernel | None:
    """Return the kernel of mean gaps of cohorts (K,) in periods (K,) to effects fitted on the cohorts' untreated periods (C + 1, T).

    Period effects solve ``sum_i M_i l = sum_i M_i y_i`` over untreated observations; a unit's gaps are measured from its own mean
    residual there. A cell weighs what is observed of it.
    """
    mass = np.asarray(observation_mass(matrices))
    n_units, n_periods = matrices.outcome.shape
    width = 1 + len(untreated) * (n_periods**2 + n_periods) + len(cohort) * (n_periods + 2)
    if n_units * width > LARGEST:
        return None
    parts: list[Floats] = [population_of(matrices).weight[:, None]]
    fitted: list[Floats] = []  # the share of each period in the mean residual of a unit, by cohort: (N, T)
    for here in untreated:
        squares, products = _net(mass * here, matrices.outcome)
        parts += [squares.reshape(n_units, -1), products]
        total = (mass * here).sum(axis=1, keepdims=True)
        fitted.append(np.divide(mass * here, total, out=np.zeros_like(mass), where=total > 0))
    for group, now in zip(cohort, period, strict=True):
        share = fitted[group]
        count = mass[:, now] * (share.sum(axis=1) > 0)
        gap = matrices.outcome[:, now] - (share * matrices.outcome).sum(axis=1)
        parts += [count[:, None], (count * gap)[:, None], count[:, None] * share]
    known = np.asarray(untreated[np.diff(matrices.starts) > 0].any(axis=0))  # of the cohorts that have units
    solved = np.flatnonzero(known)[1:]  # the effect of the first period is zero: units have their own

    def values(sums: Floats) -> Floats:
        n, size = len(sums), n_periods**2 + n_periods
        rows = [sums[:, c, 1 + c * size : 1 + (c + 1) * size] for c in range(len(untreated))]
        square, product = np.split(np.sum(rows, axis=0), [n_periods**2], axis=1)
        inverse = inverse_grams(square.reshape(n, n_periods, n_periods)[:, solved][:, :, solved])
        effect = np.zeros((n, n_periods))
        effect[:, solved] = np.einsum("ntu,nu->nt", inverse, product[:, solved])
        start = 1 + len(untreated) * size
        own = sums[:, :, start:].reshape(n, len(untreated), len(cohort), n_periods + 2)
        own = own[:, cohort, np.arange(len(cohort))]
        count, gap, share = own[:, :, 0], own[:, :, 1], own[:, :, 2:]
        with np.errstate(invalid="ignore", divide="ignore"):
            found = (gap + np.einsum("nkt,nt->nk", share, effect)) / count - effect[:, period]
        return np.where((count > 0) & known[period], found, np.nan)

    columns = 1 + len(untreated) * (n_periods**2 + n_periods) + (n_periods + 2) * np.arange(len(cohort))
    return CohortKernel(np.concatenate(parts, axis=1), values, cohort, averaged, columns)


def _net(mass: Floats, outcome: Floats) -> tuple[Floats, Floats]:
    """Return ``diag(m_i) - m_i m_i' / |m_i|`` (N, T, T) of each unit, and its product with the unit's outcomes (N, T)."""
    total = mass.sum(axis=1)
    scaled = mass / np.where(total > 0, total, 1.0)[:, None]
    squares = mass[:, :, None] * np.eye(mass.shape[1]) - mass[:, :, None] * scaled[:, None, :]
    return squares, mass * (outcome - (scaled * outcome).sum(axis=1, keepdims=True))
