"""The wild cluster bootstrap of one linear combination, reduced to a few numbers per cluster.

With ``p = (X'MX)^-1 r`` the estimate r'b moves by ``p's_g`` when cluster g's scores move by ``s_g = X_g'M u_g``. A draw
multiplies the scores of every cluster by its weight v_g, and the score of cluster g in the regression on the drawn outcome is
``v_g p_g's_g - l_g' (X'MX)^-1 sum_h v_h s_h`` with ``l_g = X_g'MX_g p_g``. Here p_g = p for the usual variance (CV1) and
``(X'MX - X_g'MX_g)^-1 r`` for the jackknife (CV3). Under the null hypothesis r'b = theta the residuals, and all of this, are
linear in ``shift = (estimate - theta) / r'p``: nothing is drawn again for another theta. With ``l_g = U_g W``, U having orthonormal
columns, the sum of squared scores needs no more of a draw than ``sum_g v_g a_g U_g`` (a_g = p_g's_g) and ``W (X'MX)^-1 sum_g v_g s_g``:
a draw is one product with a few columns (Roodman et al. 2019, doi:10.1177/1536867X19830877; MacKinnon, Nielsen and Webb 2023,
doi:10.1002/jae.2969).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.contrasts import Codes, LeastSquares
from evalaid.did.inference.variance.by_cluster import Group
from evalaid.did.inference.variance.hat import without_cluster
from evalaid.did.inference.wild.wild_columns import DrawnSums, WildPart, sums_of

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WildKind:
    """A wild cluster bootstrap.

    ``restricted``: whether the null hypothesis is imposed on the residuals (WCR) or not (WCU). ``residual``, {"1",
    "3"}: plain residuals, or those of the regression without the cluster. ``variance``, {"1", "3"}: CV1, or the
    jackknife CV3, in every t statistic.
    """

    restricted: bool
    residual: str
    variance: str

    @property
    def name(self) -> str:
        """Return its usual name, for example WCR31."""
        return f"WC{'R' if self.restricted else 'U'}{self.residual}{self.variance}"

    @property
    def powers(self) -> int:
        """Of how many powers of the shift a drawn numerator consists."""
        return 2 if self.restricted else 1


KINDS = {
    kind.name: kind for kind in (WildKind(restricted, a, b) for restricted in (True, False) for a in "13" for b in "13")
}


@dataclass(frozen=True)
class WildScores:
    """What the draws of one combination need.

    ``sums``: what is summed with the multipliers, cluster by cluster. ``squares`` (G, 3): of ``v_g^2`` in the drawn
    variance, for shift^0, 2 shift^1 and shift^2. ``scale``: ``r'p``: the estimate minus theta is ``scale * shift``.
    ``std_error``: root of the sum of squared scores of the sample, without small-sample factor. ``share`` (G,): of
    each cluster in ``scale``, the variation of the combination's regressor (partial leverage); they sum to one.
    ``lost``: a cluster without which the estimate does not exist, -1 if there is none; a jackknife variance needs
    none.
    """

    sums: DrawnSums
    squares: Floats
    scale: float
    std_error: float
    share: Floats
    lost: int = -1

    def moments(self, found: Floats, squared: Floats) -> Floats:
        """Return numerator and variance of every draw as polynomials of the shift.

        Shapes: found (B, m), squared (B, 3) or (1, 3); returns (5, B).
        """
        moments = np.zeros((5, len(found)))
        moments[2:] = squared.T
        powers = self.sums.read(found)
        for i, (numerator, fitted, crossed) in enumerate(powers):
            moments[i] = numerator
            for j, (_, other, others) in enumerate(powers[: i + 1]):
                moments[2 + i + j] += _dot(fitted, other) - _dot(crossed, other) - _dot(others, fitted)
        return moments


def _dot(one: Floats, other: Floats) -> Floats:
    return np.asarray(np.einsum("bi,bi->b", one, other))


def wild_scores(
    problem: LeastSquares, groups: Sequence[Group], direction: Floats, n_clusters: int, kind: WildKind
) -> WildScores:
    """Reduce the bootstrap of ``direction'coefficient`` to a few columns.

    Shapes: direction (J,).
    """
    slope = problem.inverse @ direction
    scale, fitted = float(direction @ slope), problem.fitted(slope)
    parts, a, lost = [], np.zeros((n_clusters, 2)), -1
    error, share = np.zeros(n_clusters), np.zeros(n_clusters)
    for group in groups:
        here, ell = group.clusters, group.products(fitted)[: 1 if group.same else None]
        inverse, p = group.T @ problem.inverse @ group.T.T, group.T @ slope
        share[here] = ell @ p / scale
        powers = group.scores, ell
        if "3" in (kind.residual, kind.variance):
            free, held, without = _without_clusters(group, inverse, p, scale, ell)
            if kind.residual == "3":
                powers = held if kind.restricted else free
            if kind.variance == "3":
                ell, lost = free[1], max([lost, *without])
                p = p + ell @ inverse
        slopes = np.broadcast_to(p, group.scores.shape)
        error[here] = _dot(group.scores, slopes)
        scores = np.stack([np.broadcast_to(found, slopes.shape) for found in powers[: kind.powers]], axis=1)
        a[here, : kind.powers] = np.einsum("gie,ge->gi", scores, slopes)
        parts.append(WildPart(group, scores, a[here, : kind.powers], ell))
    return WildScores(
        sums=sums_of(parts, problem.inverse, slope, n_clusters),
        squares=np.column_stack([a[:, 0] ** 2, a[:, 0] * a[:, 1], a[:, 1] ** 2]),
        scale=scale,
        std_error=float(np.linalg.norm(error)),
        share=share,
        lost=lost,
    )


def _without_clusters(
    group: Group, inverse: Floats, slope: Floats, scale: float, ell: Floats
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats], Codes]:
    """Return scores and loads at the coefficients without each cluster, free and under the restriction, and the clusters that r'b needs."""
    batches = [
        without_cluster(gram, inverse, slope, scale, group.scores[rows], ell[rows]) for rows, gram in group.grams()
    ]
    free, free_loads, held, held_loads, lost = (np.concatenate(found) for found in zip(*batches, strict=True))
    return (free, free_loads), (held, held_loads), group.clusters[: len(ell)][lost]
