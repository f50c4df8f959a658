"""The only likelihoods of the package: a logit on units, and quasi-likelihoods on the sums of cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.linear import RANK_TOLERANCE, Solver, inverse_grams

Floats = NDArray[np.float64]

# Newton's method stops after a step that changes no linear predictor by more than this: it converges quadratically, so
# what is left is below rounding. R's glm stops at 1e-8 of the deviance.
LOGIT_TOLERANCE = 1e-9
# The largest change of any linear predictor in one Newton step; longer steps run away near separation.
LOGIT_STEP = 8.0
LOGIT_ITERATIONS = 100
# A step may overshoot the maximum along its line by this share of the slope it started with; beyond, the likelihood itself
# is asked, and the step is halved until it rises by the share of Armijo's rule.
OVERSHOOT = 0.01
ARMIJO = 1e-4
HALVINGS = 50
# What the likelihood may fall by in a step, as a share of itself: rounding of its sum.
ROUNDING = 1e-12
# A fit counts as converged when no element of its score exceeds this share of the sum of weights: regressors have mean
# zero and variance one, and Newton's method leaves 1e-12 or less where there is a maximum.
SCORE_TOLERANCE = 1e-7


@dataclass(frozen=True)
class LogitFits:
    """Several logits, fitted at once."""

    probability: Floats  # (g, n): Fitted; NaN throughout where the regressors are collinear
    inverse: Floats  # (g, k, k): (Generalised) inverse of X' diag(w p (1-p)) X
    converged: NDArray[
        np.bool_
    ]  # (g,) bool: Whether the score is zero, in the limit where the maximum lies at infinity


def fit_logits(regressors: Floats, treated: Floats, weights: Floats) -> LogitFits:
    """Maximise several weighted logit likelihoods by Newton's method with halved steps, all at once.

    Shapes: ``regressors`` (g, k, n), ``treated`` (g, n), ``weights`` (g, n).

    The likelihood is concave: a step along which it rises brings every fit to its maximum. Units that the regressors
    predict perfectly have fitted probabilities of zero or one in the limit; the others are fitted as without them.
    """
    share = (weights * treated).sum(axis=1) / weights.sum(axis=1)
    share = np.where((share > 0) & (share < 1), share, np.nan)
    fitted = np.full(weights.shape, np.nan)
    linear = np.repeat(np.log(share / (1 - share))[:, None], weights.shape[1], axis=1)
    active, x, y, w = np.arange(len(weights)), regressors, treated, weights
    probability = _logistic(linear)
    error = w * (y - probability)
    for _ in range(LOGIT_ITERATIONS):
        score = x @ error[:, :, None]
        step = inverse_grams(_hessian(probability, x, w)) @ score
        change = (step.transpose(0, 2, 1) @ x)[:, 0]
        largest = np.abs(change).max(axis=1, keepdims=True)
        going = largest[:, 0] >= LOGIT_TOLERANCE  # not where the Hessian is singular: there the step is not a number
        if not going.all():
            last = np.where(np.isnan(change), 0.0, change)
            fitted[active[~going]] = (linear + last)[~going]
            if not going.any():
                break
            active, linear, x, y, w = (each[going] for each in (active, linear, x, y, w))
            change, largest, score, step = (each[going] for each in (change, largest, score, step))
        length = np.minimum(1.0, LOGIT_STEP / largest)
        slope = (step * score).sum(axis=(1, 2))
        probability = _logistic(linear + length * change)
        error = w * (y - probability)
        beyond = np.einsum("gn,gn->g", change, error) < -OVERSHOOT * slope
        if beyond.any():
            length[beyond] = _shorten(
                length[beyond], linear[beyond], change[beyond], slope[beyond], y[beyond], w[beyond]
            )
            probability[beyond] = _logistic(linear[beyond] + length[beyond] * change[beyond])
            error[beyond] = w[beyond] * (y[beyond] - probability[beyond])
        linear = linear + length * change
    else:
        fitted[active] = linear
    probability = _logistic(fitted)
    score = np.abs((regressors @ (weights * (treated - probability))[:, :, None])[:, :, 0])
    converged = (score <= SCORE_TOLERANCE * weights.sum(axis=1, keepdims=True)).all(axis=1)
    hessian = _hessian(probability, regressors, weights)
    inverse = inverse_grams(hessian)
    singular = np.isnan(inverse[:, 0, 0])
    if singular.any():
        collinear = np.isnan(inverse_grams((regressors * weights[:, None]) @ regressors.transpose(0, 2, 1))[:, 0, 0])
        probability[collinear] = np.nan
        limit = singular & converged & ~collinear
        inverse[limit] = np.linalg.pinv(hessian[limit], rcond=np.sqrt(RANK_TOLERANCE), hermitian=True)
    return LogitFits(probability, inverse, converged)


def _logistic(linear: Floats) -> Floats:
    with np.errstate(over="ignore"):  # a probability of zero
        return np.asarray(1.0 / (1.0 + np.exp(-linear)))


def _hessian(probability: Floats, regressors: Floats, weights: Floats) -> Floats:
    curvature = weights * probability * (1 - probability)
    return np.asarray((regressors * curvature[:, None]) @ regressors.transpose(0, 2, 1))


def _shorten(length: Floats, linear: Floats, change: Floats, slope: Floats, treated: Floats, weights: Floats) -> Floats:
    """Halve the steps, (g, 1), of those logits whose likelihood does not rise enough."""

    def likelihood(index: Floats) -> Floats:
        return np.asarray((weights * (treated * index - np.logaddexp(0.0, index))).sum(axis=1, keepdims=True))

    before = likelihood(linear)
    for _ in range(HALVINGS):
        short = likelihood(linear + length * change) < before + ARMIJO * length * slope[:, None] - ROUNDING * np.abs(
            before
        )
        if not short.any():
            break
        length = np.where(short, length / 2, length)
    return length


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

    def likelihood(self, index: Floats, mass: Floats, summed: Floats) -> float:
        """Return the quasi-log-likelihood of cell sums at an index, up to a constant."""
        if self.name == "gaussian":
            return float(summed @ index - mass @ index**2 / 2)
        exponent = np.exp(np.minimum(index, 700)) if self.name == "poisson" else np.logaddexp(0.0, index)
        return float(summed @ index - mass @ exponent)

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
        updated = solver(columns.T @ (weight * index + (summed - mass * family.mean(index))))
        if step:  # the index to start from is no combination of the columns
            updated = _ascend(coefficients, updated, columns, mass, summed, family)
        change = columns @ updated - index
        coefficients, index = updated, columns @ updated
        if step and float(np.abs(change[mass > 0]).max()) < LOGIT_TOLERANCE * max(1.0, float(np.abs(index).max())):
            break
    else:
        return None
    weight = mass * family.slope(index)
    solver = Solver((columns * weight[:, None]).T @ columns)
    score = np.abs(columns.T @ (summed - mass * family.mean(index)))
    size = np.abs(mean) + np.abs(family.mean(index))
    if (
        family.name == "gaussian"
    ):  # nothing is at an edge: where all outcomes are zero the fit is zero up to rounding of the others
        size = np.full_like(size, size.max(initial=0.0))
    if (score > SCORE_TOLERANCE * (np.abs(columns).T @ (mass * size))).any():
        return None
    return CellFit(coefficients, solver.identified, index, solver(np.eye(len(coefficients))), solver.rank)


def _ascend(old: Floats, new: Floats, columns: Floats, mass: Floats, summed: Floats, family: Family) -> Floats:
    """Halve the way to new coefficients until the likelihood does not fall."""
    before = family.likelihood(columns @ old, mass, summed)
    least = before - ROUNDING * abs(before)
    for _ in range(HALVINGS):
        if family.likelihood(columns @ new, mass, summed) >= least:
            break
        new = (old + new) / 2
    return new
