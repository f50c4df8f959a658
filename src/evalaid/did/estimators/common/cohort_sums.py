"""Estimates without each of some groups of units, from the sums of outcomes by cohort and period: no estimator runs again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.did.panel.matrices import Matrices

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Bools = NDArray[np.bool_]
# ``leave_out(codes, n)``: the estimates without each of the groups 0 to n of the units, (n, cells); None where sums do not tell
LeaveOut = Callable[[Codes, int], Floats | None]

# Groups are worked on in batches of about this many numbers.
BATCH = 4_000_000
# Eigenvalues below this share of the largest carry no information (as in the engine of the regressions).
NULL = 1e-10


@dataclass(frozen=True)
class CohortSums:
    """Weighted units ``mass`` (n, C + 1) and sums of outcomes (n, C + 1, T) without each of n groups; never-treated last."""

    mass: Floats
    outcome: Floats


def constant_weights(matrices: Matrices) -> bool:
    """Return whether all units are observed throughout, with weights that do not change: sums by cohort and period are enough."""
    weight = matrices.weight
    return matrices.observed is None and (weight is None or bool((weight == weight[:, :1]).all()))


def sums_without(matrices: Matrices, codes: Codes, count: int) -> CohortSums:
    """Subtract groups 0 to ``count`` of the units from all sums."""
    own = np.ones(len(codes)) if matrices.weight is None else matrices.weight[:, 0]
    width = len(matrices.starts) - 1
    cohort = np.repeat(np.arange(width), np.diff(matrices.starts))
    place = codes * width + cohort
    mass = np.bincount(place, weights=own, minlength=(count + 1) * width)[: (count + 1) * width].reshape(-1, width)
    order = np.argsort(place, kind="stable")
    found, first = np.unique(place[order], return_index=True)
    outcome = np.zeros(((count + 1) * width, matrices.n_periods))
    outcome[found] = np.add.reduceat((matrices.outcome * own[:, None])[order], first, axis=0)
    sums = outcome.reshape(count + 1, width, -1)
    left = mass.sum(axis=0) - mass[:count]
    # What subtraction leaves of a cohort that is gone is rounding.
    left[left <= np.finfo(float).eps * len(codes) * mass.sum(axis=0)] = 0.0
    return CohortSums(left, sums.sum(axis=0) - sums[:count])


def changes_without(sums: CohortSums, cohort: Codes, compared: Bools, now: Codes, base: Codes) -> Floats:
    """Compute differences in mean changes from ``base`` to ``now`` of cells (K,) and of the cohorts they are compared with (K, C + 1): (n, K)."""
    n_groups, width = sums.mass.shape
    values = np.empty((n_groups, len(cohort)))
    step = max(1, BATCH // (width * max(len(cohort), 1)))
    for start in range(0, n_groups, step):
        rows = slice(start, start + step)
        mass, change = sums.mass[rows], sums.outcome[rows][:, :, now] - sums.outcome[rows][:, :, base]
        with np.errstate(invalid="ignore", divide="ignore"):
            treated = change[:, cohort, np.arange(len(cohort))] / mass[:, cohort]
            values[rows] = treated - np.einsum("gck,kc->gk", change, compared) / (mass @ compared.T)
    return np.where(np.isfinite(values), values, np.nan)


def gaps_without(sums: CohortSums, untreated: Bools, cohort: Codes, period: Codes) -> Floats:
    """Compute mean gaps of cohorts (K,) in periods to unit and period effects fitted on cohorts' untreated periods (C + 1, T): (n, K).

    Period effects solve ``sum_c n_c (diag(u_c) - u_c u_c' / |u_c|) l = sum_c (u_c * S_c - u_c u_c'S_c / |u_c|)``.
    """
    u = untreated.astype(float)
    length = np.maximum(u.sum(axis=1), 1.0)
    grams = u[:, :, None] * np.eye(u.shape[1]) - u[:, :, None] * u[:, None, :] / length[:, None, None]
    patterns, which = np.unique(sums.mass, axis=0, return_inverse=True)
    inverse = np.linalg.pinv(np.einsum("pc,ctu->ptu", patterns, grams), rcond=NULL, hermitian=True)
    net = sums.outcome * u - u * (np.einsum("gct,ct->gc", sums.outcome, u) / length)[:, :, None]
    effect = np.einsum("gtu,gu->gt", inverse[which.ravel()], net.sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums.outcome / sums.mass[:, :, None]
    gap = mean - effect[:, None, :]
    gap = gap - (np.einsum("gct,ct->gc", gap, u) / length)[:, :, None]
    seen = np.einsum("gc,ct->gt", sums.mass, u) > 0
    known = seen[:, period] & (sums.mass[:, cohort] > 0) & (u[cohort].sum(axis=1) > 0)
    return np.where(known, gap[:, cohort, period], np.nan)
