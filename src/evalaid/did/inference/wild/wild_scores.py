"""The wild cluster bootstrap of one linear combination, reduced to a few numbers a cluster.

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
from evalaid.did.inference.wild.wild_columns import Part, Sums, sums_of

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """A wild cluster bootstrap.

    Parameters
    ----------
    restricted : bool
        Whether the null hypothesis is imposed on the residuals (WCR) or not (WCU).
    residual : {"1", "3"}
        Plain residuals, or those of the regression without the cluster.
    variance : {"1", "3"}
        CV1, or the jackknife CV3, in every t statistic.
    """

    restricted: bool
    residual: str
    variance: str

    @property
    def name(self) -> str:
        """Give its usual name, for example WCR31."""
        return f"WC{'R' if self.restricted else 'U'}{self.residual}{self.variance}"

    @property
    def powers(self) -> int:
        """Of how many powers of the shift a drawn numerator consists."""
        return 2 if self.restricted else 1


KINDS = {
    kind.name: kind for kind in (Kind(restricted, a, b) for restricted in (True, False) for a in "13" for b in "13")
}


@dataclass(frozen=True)
class WildScores:
    """What the draws of one combination need.

    Parameters
    ----------
    sums : Sums
        What is summed with the multipliers, cluster by cluster.
    squares : (G, 3) array
        Of ``v_g^2`` in the drawn variance, for shift^0, 2 shift^1 and shift^2.
    scale : float
        ``r'p``: the estimate minus theta is ``scale * shift``.
    std_error : float
        Root of the sum of squared scores of the sample, without small-sample factor.
    share : (G,) array
        Of each cluster in ``scale``, the variation of the combination's regressor (partial leverage); they sum to one.
    lost : int
        A cluster without which the estimate does not exist, -1 if there is none; a jackknife variance needs none.
    """

    sums: Sums
    squares: Floats
    scale: float
    std_error: float
    share: Floats
    lost: int = -1

    def moments(self, found: Floats, squared: Floats) -> Floats:
        """Give numerator and variance of every draw as polynomials of the shift.

        Parameters
        ----------
        found : (B, m) array
            The sums.
        squared : (B, 3) or (1, 3) array
            ``v^2'squares``.

        Returns
        -------
        (5, B) array
            n_0, n_1, q_0, q_1, q_2: ``t = (n_0 + shift n_1) / sqrt(q_0 + 2 shift q_1 + shift^2 q_2)``.
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
    problem: LeastSquares, groups: Sequence[Group], direction: Floats, n_clusters: int, kind: Kind
) -> WildScores:
    """Reduce the bootstrap of ``direction'coefficient`` to a few columns.

    Parameters
    ----------
    problem : LeastSquares
        The regression.
    groups : sequence of Group
        Its clusters, see :func:`evalaid.did.inference.variance.by_cluster.group_clusters`.
    direction : (J,) array
        r.
    n_clusters : int
        G.
    kind : Kind
        Which bootstrap.

    Returns
    -------
    WildScores
    """
    slope = problem.inverse @ direction
    scale, fitted = float(direction @ slope), problem.fitted(slope)
    parts, own, lost = [], np.zeros((n_clusters, 2)), -1
    error, share = np.zeros(n_clusters), np.zeros(n_clusters)
    for group in groups:
        here, loads = group.clusters, group.products(fitted)[: 1 if group.same else None]
        inverse, own_slope = group.turn @ problem.inverse @ group.turn.T, group.turn @ slope
        share[here] = loads @ own_slope / scale
        powers = group.scores, loads
        if "3" in (kind.residual, kind.variance):
            free, held, without = _without_clusters(group, inverse, own_slope, scale, loads)
            if kind.residual == "3":
                powers = held if kind.restricted else free
            if kind.variance == "3":
                loads, lost = free[1], max([lost, *without])
                own_slope = own_slope + loads @ inverse
        slopes = np.broadcast_to(own_slope, group.scores.shape)
        error[here] = _dot(group.scores, slopes)
        scores = np.stack([np.broadcast_to(found, slopes.shape) for found in powers[: kind.powers]], axis=1)
        own[here, : kind.powers] = np.einsum("gie,ge->gi", scores, slopes)
        parts.append(Part(group, scores, own[here, : kind.powers], loads))
    return WildScores(
        sums=sums_of(parts, problem.inverse, slope, n_clusters),
        squares=np.column_stack([own[:, 0] ** 2, own[:, 0] * own[:, 1], own[:, 1] ** 2]),
        scale=scale,
        std_error=float(np.linalg.norm(error)),
        share=share,
        lost=lost,
    )


def _without_clusters(
    group: Group, inverse: Floats, slope: Floats, scale: float, loads: Floats
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats], Codes]:
    """Give scores and loads at the coefficients without each cluster, free and under the restriction, and the clusters that r'b needs."""
    batches = [
        without_cluster(gram, inverse, slope, scale, group.scores[rows], loads[rows]) for rows, gram in group.grams()
    ]
    free, free_loads, held, held_loads, lost = (np.concatenate(found) for found in zip(*batches, strict=True))
    return (free, free_loads), (held, held_loads), group.clusters[: len(loads)][lost]
