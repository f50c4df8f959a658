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
    """Compute the CR2 variance of each estimate and its Satterthwaite degrees of freedom, (cells,) each.

    ``V = sum_g (c'(X'MX)^- X_g'M_g A_g e_g)^2`` with ``A_g = (I - H_g)^(-1/2)``, which is unbiased when errors are independent with
    variances inverse to the observation weights (the working model). A direction that a cluster fits alone has no residual, and
    no part in V. Degrees of freedom are NaN where V is zero by construction.

    Notes
    -----
    Bell and McCaffrey (2002), Survey Methodology 28(2); Pustejovsky and Tipton (2018), doi:10.1080/07350015.2016.1247004. With
    ``a_g = A_g X_g (X'MX)^- c`` and ``p_g = (I - H)_g a_g``, the degrees of freedom are ``(sum_g p_g'p_g)^2 / sum_gh (p_g'p_h)^2``, where
    ``p_g'p_h = 1{g = h} a_g'a_g - a_g'H_gh a_h``: no matrix of clusters by clusters is formed. Unit effects lie within clusters and may
    be absorbed: a_g is orthogonal to them, so that neither the residuals nor the degrees of freedom differ from those with
    dummies (their theorem 2, for ordinary least squares, which this is once rows are scaled by the roots of their weights).
    """
    if effects.contrasts is None:
        raise InferenceError(
            f"CR2 adjusts the residuals of a regression, and these effects of {effects.method} carry none: the method is not a "
            "regression, or they were read from a file, averaged with estimated weights, subtracted from those of another "
            "regression, or come from another scale. CR3 (vcov='CR3') re-estimates without each cluster and holds for every method."
        )
    contrasts = effects.contrasts
    inverse = contrasts.problem.inverse
    c = inverse @ contrasts.directions
    width, n_cells = c.shape
    scores = np.zeros((len(clusters), n_cells))  # a_g'e_g
    trace, diagonal = (
        np.zeros(n_cells),
        np.zeros(n_cells),
    )  # sums of p_g'p_g, and of its square without (a_g'H_gg a_g)^2
    outer = np.zeros((n_cells, width, width))  # sum_g X_g'a_g a_g'X_g
    for hats in hats_of(contrasts, clusters):
        rest = 1.0 - hats.q
        A = (
            np.where(rest > ALONE, 1.0 / np.sqrt(np.where(rest > ALONE, rest, 1.0)), 0.0) - 1.0
        )  # eigenvalues of A_g - I
        change = A[:, :, None] * hats.ua
        c_g = hats.T @ c
        scores[hats.clusters] = hats.scores @ c_g + (hats.ue[:, None, :] @ change)[:, 0, :]
        plain = hats.gram @ c_g
        aa = np.einsum("ek,mek->mk", c_g, plain)
        aa += np.einsum("mjk,mjk->mk", change * (A + 2.0)[:, :, None], hats.ua)
        Za = plain + hats.Zu @ change
        aHa = np.einsum("mek,mek->mk", Za, hats.T @ inverse @ hats.T.T @ Za)
        times = len(hats.clusters) / len(aa)
        trace += times * (aa - aHa).sum(axis=0)
        diagonal += times * (aa**2 - 2 * aa * aHa).sum(axis=0)
        by_cell = Za.transpose(2, 1, 0)
        outer += times * (hats.T.T @ (by_cell @ by_cell.swapaxes(1, 2)) @ hats.T)
    H = inverse @ outer
    spread = diagonal + np.einsum("kij,kji->k", H, H)
    variance = np.einsum("gk,gk->k", scores, scores)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = np.where(trace > 0, trace**2 / spread, np.nan)
    return variance, np.asarray(freedom)
