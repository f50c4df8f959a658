"""A linear estimator as fixed contrasts of cohort paths, read off its influence.

On a balanced panel without covariates many estimators are ``sum_c k_c' m_c``: m_c is the mean outcome path of cohort c and
the contrast k_c depends on nothing but the sizes of the cohorts. The influence of a unit of cohort c is then
``k_c' (y_i - m_c) / N_c``. An artificial panel whose units have unit vectors as paths shows k_c entry by entry, in one fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import EvalaidError
from evalaid.did.effects.effects import Effects
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import PART, STRATA, Matrices, arrange

Floats = NDArray[np.float64]
Estimator = Callable[[Design], Effects]

# Two routes to one number differ by rounding of sums over at most some 1e6 observations; anything above is another number.
SAME = 1e-8


def read_contrasts(design: Design, estimator: Estimator, sizes: Floats | None = None) -> Floats | None:
    """Read the contrasts of an estimator for cohorts of given sizes.

    Shapes: sizes (C + 1,); returns (cells, C + 1, T).
    """
    matrices = design.matrices
    if matrices.observed is not None or matrices.weight is not None or {STRATA, PART} & set(matrices.covariates):
        return None
    sizes = np.diff(matrices.starts).astype(float) if sizes is None else sizes
    probe = _unit_paths(matrices, sizes)
    try:
        effects = estimator(replace(design, matrices=probe, covariates=(), outcome_unit="number"))
    except EvalaidError:
        return None
    if np.isnan(effects.value).any():
        return None
    psi = effects.influence.matrix()
    contrasts = np.zeros((psi.shape[1], len(sizes), matrices.n_periods))
    for number in np.flatnonzero(sizes):
        own = psi[probe.block(int(number))] if number < len(matrices.cohorts) else psi[probe.never]
        contrasts[:, number] = (own[1:] - own[:1]).T * len(own)
    return contrasts


def _unit_paths(matrices: Matrices, sizes: Floats) -> Matrices:
    """Build a layout with, in each cohort, a unit with outcome zero and one for each period that is 1 in that period only."""
    n_periods = matrices.n_periods
    paths = np.vstack([np.zeros(n_periods), np.eye(n_periods)])
    used = np.flatnonzero(sizes)
    starts = np.append(matrices.cohorts.astype(float), np.nan)[used]
    count = len(used) * len(paths)
    return arrange(
        units=pd.RangeIndex(count),
        periods=matrices.periods,
        period_kind=matrices.period_kind,
        outcome=np.tile(paths, (len(used), 1)),
        cohort=np.repeat(starts, len(paths)),
        weight=np.repeat(sizes[used] / len(paths), len(paths))[:, None] * np.ones(n_periods),
        weight_kind="analytic",
    )


def score_paths(contrasts: Floats, outcome: Floats, sizes: Floats) -> Floats:
    """Return what each unit would add to one estimate in each cohort: ``k_c' y_i / N_c``.

    Shapes: contrasts (C + 1, T), outcome (units, T), sizes (C + 1,); returns (units, C + 1).
    """
    return np.asarray(outcome @ (contrasts / np.where(sizes > 0, sizes, 1.0)[:, None]).T)


def apply_contrasts(contrasts: Floats, matrices: Matrices) -> Floats:
    """Return the estimates, (cells,), that contrasts (cells, C + 1, T) make of the matrices."""
    means = [
        matrices.outcome[first:last].mean(axis=0) if last > first else np.zeros(matrices.n_periods)
        for first, last in zip(matrices.starts[:-1], matrices.starts[1:], strict=True)
    ]
    return np.asarray(np.einsum("kct,ct->k", contrasts, np.array(means)))


def agree(one: Floats | float, other: Floats | float, scale: float) -> bool:
    """Return whether numbers of the size of ``scale`` differ by rounding only."""
    return bool(np.all(np.abs(np.asarray(one) - np.asarray(other)) <= SAME * max(scale, 1e-300)))
