"""The bias-reduced cluster-robust variance CR2 and its degrees of freedom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import InferenceError
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.variance.cluster import Clusters
from evalaid.did.inference.variance.hat import ALONE, hats_of

Floats = NDArray[np.float64]


def bias_reduced_variance(effects: Effects, clusters: Clusters) -> tuple[Floats, Floats]:
    """Give the CR2 variance and the Satterthwaite degrees of freedom of each estimate.

    Residuals of a cluster are multiplied by ``(I - H_g)^(-1/2)``, which makes the variance unbiased when errors are independent
    with variances inverse to the observation weights (the working model). A direction that a cluster fits alone has no
    residual, and no part in the variance.

    Parameters
    ----------
    effects : Effects
        Linear combinations of the coefficients of a regression.
    clusters : Clusters
        Groups of whole units.

    Returns
    -------
    variance : (cells,) array
    degrees_of_freedom : (cells,) array
        NaN where the variance is zero by construction.

    Raises
    ------
    InferenceError
        When the effects carry no regression.

    Notes
    -----
    Bell and McCaffrey (2002), Survey Methodology 28(2); Pustejovsky and Tipton (2018), doi:10.1080/07350015.2016.1247004. With
    a_g the weights of the residuals of cluster g in the estimate and ``p_g = (I - H)_g a_g``, the degrees of freedom are
    ``(sum_g p_g'p_g)^2 / sum_g sum_h (p_g'p_h)^2``, where ``p_g'p_h = 1{g = h} a_g'a_g - a_g'H_gh a_h``: no matrix of clusters by
    clusters is formed. Unit effects lie within clusters and may be absorbed: a_g is orthogonal to them, so that neither the
    residuals nor the degrees of freedom differ from those with dummies (their theorem 2, for ordinary least squares, which this
    is once rows are scaled by the roots of their weights).
    """
    if effects.contrasts is None:
        raise InferenceError(
            f"CR2 adjusts the residuals of a regression, and these effects of {effects.method} carry none: the method is not a "
            "regression, or they were read from a file, averaged with estimated weights, subtracted from those of another "
            "regression, or come from another scale. CR3 (vcov='CR3') re-estimates without each cluster and holds for every method."
        )
    contrasts = effects.contrasts
    problem = contrasts.problem
    inverse = problem.inverse
    weights = inverse @ contrasts.directions
    width, n_cells = weights.shape
    adjusted = np.zeros((len(clusters), n_cells))
    own = np.zeros(n_cells)
    squares, outer = np.zeros(n_cells), np.zeros((n_cells, width, width))
    for hats in hats_of(contrasts, clusters):
        rest = 1.0 - hats.leverage
        factor = np.where(rest > ALONE, 1.0 / np.sqrt(np.where(rest > ALONE, rest, 1.0)), 0.0) - 1.0
        change = factor[:, :, None] * hats.loads
        here = hats.turn @ weights
        adjusted[hats.clusters] = hats.scores @ here + (hats.residual[:, None, :] @ change)[:, 0, :]
        # a_g'a_g and Z_g'a_g: those without the adjustment, and what it adds in the directions with leverage.
        plain = hats.gram @ here
        length = np.einsum("ek,mek->mk", here, plain)
        length += np.einsum("mjk,mjk->mk", change * (factor + 2.0)[:, :, None], hats.loads)
        weight = plain + hats.directions @ change
        inner = np.einsum("mek,mek->mk", weight, hats.turn @ inverse @ hats.turn.T @ weight)
        times = len(hats.clusters) / len(length)
        own += times * (length - inner).sum(axis=0)
        squares += times * (length**2 - 2 * length * inner).sum(axis=0)
        by_cell = weight.transpose(2, 1, 0)
        outer += times * (hats.turn.T @ (by_cell @ by_cell.swapaxes(1, 2)) @ hats.turn)
    turned = inverse @ outer
    spread = squares + np.einsum("kij,kji->k", turned, turned)
    variance = np.einsum("gk,gk->k", adjusted, adjusted)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = np.where(own > 0, own**2 / spread, np.nan)
    return variance, np.asarray(freedom)
