"""The only likelihoods of the package: a logit on units, and quasi-likelihoods on the sums of cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.linear import Solver, inverse_grams

Floats = NDArray[np.float64]

# Newton's method stops after a step that changes no linear predictor by more than this: it converges quadratically, so
# what is left is below rounding. R's glm stops at 1e-8 of the deviance.
LOGIT_TOLERANCE = 1e-9
# The largest change of any linear predictor in one Newton step; longer steps run away near separation.
LOGIT_STEP = 8.0
LOGIT_ITERATIONS = 60


def fit_logits(regressors: Floats, treated: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Fit several weighted logits by Newton's method, all at once.

    Shapes: ``regressors`` (g, k, n), ``treated`` (g, n), ``weights`` (g, n).

    Returns the fitted probabilities (g, n) and the inverse (g, k, k) of ``X' diag(w p (1-p)) X``. Both are not-a-number
    throughout for a logit whose regressors are collinear, or whose treated and untreated units are perfectly separated.
    """
    share = (weights * treated).sum(axis=1) / weights.sum(axis=1)
    inside = (share > 0) & (share < 1)
    fitted = np.full(weights.shape, np.nan)
    share = np.where(inside, share, np.nan)
    linear = np.repeat(np.log(share / (1 - share))[:, None], weights.shape[1], axis=1)
    active, x, y, w = np.arange(len(weights)), regressors, treated, weights
    for _ in range(LOGIT_ITERATIONS):
        probability, hessian = _at(linear, x, w)
        step = inverse_grams(hessian) @ (x @ (w * (y - probability))[:, :, None])
        change = (step.transpose(0, 2, 1) @ x)[:, 0]
        largest = np.abs(change).max(axis=1, keepdims=True)
        linear = linear + change * np.minimum(1.0, LOGIT_STEP / np.maximum(largest, 1e-300))
        going = largest[:, 0] >= LOGIT_TOLERANCE  # not where a fit failed: there the step is not a number
        if not going.all():
            fitted[active[~going]] = linear[~going]
            if not going.any():
                break
            active, linear, x, y, w = (each[going] for each in (active, linear, x, y, w))
    else:
        fitted[active] = linear
    probability, hessian = _at(fitted, regressors, weights)
    inverse = inverse_grams(hessian)
    probability[np.isnan(inverse[:, 0, 0])] = np.nan
    return probability, inverse


def _at(linear: Floats, regressors: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return probabilities (g, n) and the Hessian (g, k, k) at a linear predictor (g, n)."""
    probability = 1.0 / (1.0 + np.exp(-linear))
    curvature = weights * probability * (1 - probability)
    return probability, (regressors * curvature[:, None]) @ regressors.transpose(0, 2, 1)


@dataclass(frozen=True)
class Family:
    """A quasi-likelihood with its canonical link: identity, logit or log."""

    name: str  # {"gaussian", "binomial", "poisson"}: The family

    @property
    def range(self) -> tuple[float, float]:
        """Return the smallest and largest outcome that the family takes."""
        return {"gaussian": (-np.inf, np.inf), "binomial": (0.0, 1.0), "poisson": (0.0, np.inf)}[self.name]

    def mean(self, index: Floats) -> Floats:
        """Return the mean at a linear index."""
        if self.name == "gaussian":
            return index
        exponential = np.exp(np.clip(index, -700, 700))
        return exponential if self.name == "poisson" else exponential / (1 + exponential)

    def slope(self, index: Floats) -> Floats:
        """Return the derivative of the mean with respect to the index (with a canonical link also the variance)."""
        mean = self.mean(index)
        return {"gaussian": np.ones_like(index), "binomial": mean * (1 - mean), "poisson": mean}[self.name]

    def start(self, mean: Floats) -> Floats:
        """Return an index to start from, near the observed means."""
        if self.name == "gaussian":
            return mean
        if self.name == "poisson":
            return np.log(np.maximum(mean, 1e-3))
        inside = np.clip(mean, 0.005, 0.995)
        return np.log(inside / (1 - inside))


@dataclass(frozen=True)
class CellFit:
    """A quasi-likelihood fit on cell sums."""

    coefficients: Floats  # (k,): Of the columns; those that are not identified hold the shortest solution
    identified: NDArray[np.bool_]  # (k,) bool: Which coefficients are identified
    index: Floats  # (cells,): Linear index
    inverse: Floats  # (k, k): Inverse Hessian
    rank: int  # Number of identified directions


def fit_cells(columns: Floats, mass: Floats, summed: Floats, family: Family) -> CellFit | None:
    """Fit a quasi-likelihood whose regressors are constant within cells, from the cells' weights and weighted sums.

    Shapes: ``columns`` (cells, k), ``mass``, ``summed`` (cells,).
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
