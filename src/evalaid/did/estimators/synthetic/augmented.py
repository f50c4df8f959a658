"""The augmented synthetic control: what a synthetic control leaves unbalanced is taken off by a ridge regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.effects import Effects
from evalaid.did.estimators.common.method import Method, Needs, chosen_covariates
from evalaid.did.estimators.synthetic.counterfactuals import SHORT, measure_gaps
from evalaid.did.estimators.synthetic.synthetic import UNIQUE, solve_simplex, without_covariates
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.design import Design

Floats = NDArray[np.float64]

# The reference's grid of penalties: twenty-one steps from above the largest squared singular value down to 1e-8 of it.
STEPS, SMALLEST = 20, 1e-8
# A direction with less than this of the largest is rounding.
NOTHING = 1e-15


@dataclass(frozen=True)
class AugmentedOptions:
    """Options of ``augmented_synthetic_control``."""

    # Ridge penalty on the outcomes before; None = the largest whose error in periods left out is within one standard error
    # of the smallest
    penalty: float | None = None
    # Time-varying covariates, taken out first as for ``synthetic_control``; None = all of the design's
    covariates: tuple[str, ...] | None = None


def fit_augmented(design: Design, options: AugmentedOptions) -> Effects:
    """Compare each cohort with a synthetic control, corrected for what it does not reproduce before the start.

    Assumes that outcomes after the start are a linear function of those before, the same for all units, plus noise. Where a
    synthetic control fits well before the start, the two are the same; where it does not, weights may be negative. Needs a
    balanced panel, never-treated units, and two periods before.

    Notes
    -----
    ``w = w_sc + X0' (X0 X0' + penalty I)^-1 (x1 - X0 w_sc)`` with outcomes before the start net of the comparison units' means.
    Inference by placebo (:func:`evalaid.placebo` in space, :func:`evalaid.randomize`). Ben-Michael, Feller and Rothstein (2021),
    doi:10.1080/01621459.2021.1929245.
    """
    matrices = without_covariates(design, chosen_covariates(AUGMENTED.name, design, options.covariates))
    # Weights sum to one, up to rounding: a level that all units share is taken out first.
    level = matrices.outcome[matrices.never].mean(axis=0)
    comparison = matrices.outcome[matrices.never] - level
    gaps = np.full((len(matrices.cohorts), matrices.n_periods), np.nan)
    reasons = [""] * len(matrices.cohorts)
    for number, base in enumerate(base_columns(matrices, design.anticipation).tolist()):
        if base < 1:
            reasons[number] = SHORT
            continue
        mean = matrices.outcome[matrices.block(number)].mean(axis=0) - level
        weights = weigh_augmented(comparison[:, : base + 1].T, mean[: base + 1], options.penalty)
        gaps[number] = mean - weights @ comparison
    return measure_gaps(design, AUGMENTED, gaps, reasons)


def weigh_augmented(before: Floats, target: Floats, penalty: float | None) -> Floats:
    """Solve for the weights of comparison units, (n0,); shapes: ``before`` (T0, n0), ``target`` (T0,)."""
    centre = before.mean(axis=1)
    before, target = before - centre[:, None], target - centre
    ridge = _choose_penalty(before, target) if penalty is None else penalty
    return _augment(before, target, _synthetic(before, target), ridge)


def _synthetic(before: Floats, target: Floats) -> Floats:
    noise = float(np.std(np.diff(before, axis=0))) if len(before) > 1 else 0.0
    return solve_simplex(before, target, UNIQUE * noise, intercept=False)


def _augment(before: Floats, target: Floats, weights: Floats, ridge: float) -> Floats:
    gram = before @ before.T + ridge * np.eye(len(before))
    return np.asarray(weights + np.linalg.lstsq(gram, target - before @ weights, rcond=None)[0] @ before)


def _choose_penalty(before: Floats, target: Floats) -> float:
    """Return the largest penalty within one standard error of the best at predicting periods left out one by one.

    As in the reference the last period before the start is never left out.
    """
    grid = np.linalg.svd(before, compute_uv=False)[0] ** 2 * SMALLEST ** ((np.arange(STEPS + 1) - 1) / STEPS)
    count = len(before) - 1
    errors = np.empty((count, len(grid)))
    for left in range(count):
        x, y = np.delete(before, left, axis=0), np.delete(target, left)
        weights = _synthetic(x, y)
        values, vectors = np.linalg.eigh(x @ x.T)
        loads = ((y - x @ weights) @ vectors) * ((x @ before[left]) @ vectors)
        ridged = values[:, None] + grid
        inverse = np.divide(1.0, ridged, out=np.zeros_like(ridged), where=ridged > NOTHING * ridged.max(initial=0.0))
        errors[left] = (target[left] - before[left] @ weights - loads @ inverse) ** 2
    mean = errors.mean(axis=0)
    best = int(mean.argmin())
    spread = errors[:, best].std(ddof=1) / np.sqrt(count) if count > 1 else 0.0
    return float(grid[mean <= mean[best] + spread].max())


AUGMENTED = Method(
    name="augmented_synthetic_control",
    fit=fit_augmented,
    options=AugmentedOptions,
    needs=Needs(comparison="never_treated", pre_periods=2, balanced=True, weights="none"),
    estimand="average effect on each cohort in each period against a synthetic control corrected by ridge regression",
    reference="pysyncon 1.7.0, AugSynth (as R augsynth, progfunc='Ridge')",
    source="Ben-Michael, Feller and Rothstein (2021), doi:10.1080/01621459.2021.1929245",
    test="tests/did/estimators/test_factor_models.py::test_california_by_augmented_synthetic_control_equals_the_reference",
    tolerance="0.001 packs of 20, where the reference's optimiser stops",
)
