"""The wild cluster bootstrap of one linear combination, reduced to a few numbers a cluster.

With ``p = (X'MX)^-1 r`` the estimate r'b moves by ``p's_g`` when cluster g's scores move by ``s_g = X_g'M u_g``. A draw
multiplies the scores of every cluster by its weight v_g, and the score of cluster g in the regression on the drawn outcome is
``v_g p_g's_g - l_g' (X'MX)^-1 sum_h v_h s_h`` with ``l_g = X_g'MX_g p_g``. Here p_g = p for the usual variance (CV1) and
``(X'MX - X_g'MX_g)^-1 r`` for the jackknife (CV3). Under the null hypothesis r'b = theta the residuals, and all of this, are
linear in ``shift = (estimate - theta) / r'p``: nothing is drawn again for another theta. Unit by unit nothing is left but a
matrix of a few columns, and a draw is one product with it (Roodman et al. 2019, doi:10.1177/1536867X19830877; MacKinnon,
Nielsen and Webb 2023, doi:10.1002/jae.2969).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.contrasts import ClusterGrams, Codes, LeastSquares
from evalaid.inference.hat import ALONE, matrix_root
from evalaid.linear import RANK_TOLERANCE

Floats = NDArray[np.float64]

# Directions below this share of the largest singular value are rounding error of the products that made them.
NEGLIGIBLE = 1e-13
# Sums over clusters are linearly dependent where clusters are alike, and then few; among more no basis is looked for.
WIDEST = 100
# Eigenvalues from 0 to 1 are none below their product: matrices with a determinant above this are far from singular.
REGULAR = 1e-3


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


KINDS = {
    kind.name: kind for kind in (Kind(restricted, a, b) for restricted in (True, False) for a in "13" for b in "13")
}


@dataclass(frozen=True)
class WildScores:
    """What the draws of one combination need.

    Parameters
    ----------
    basis : (G, m) array
        Cluster by cluster; the draws' products with it, ``z = v'basis``, hold all that a draw changes.
    expand : (m, n) array or None
        Turns z into the n sums behind numerator and variance, a group for shift^0 and, under a null hypothesis, one for shift^1:
        numerators, ``sum_g v_g a_g U_g`` and ``sum_g v_g W R s_g``, where ``l_g = U_g W``. None = z holds them already.
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

    basis: Floats
    expand: Floats | None
    squares: Floats
    scale: float
    std_error: float
    share: Floats
    lost: int = -1

    def moments(self, products: Floats, squared: Floats) -> Floats:
        """Give numerator and variance of every draw as polynomials of the shift.

        Parameters
        ----------
        products : (B, m) array
            ``v'basis`` of the draws.
        squared : (B, 3) or (3,) array
            ``v^2'squares``.

        Returns
        -------
        (5, B) array
            n_0, n_1, q_0, q_1, q_2: ``t = (n_0 + shift n_1) / sqrt(q_0 + 2 shift q_1 + shift^2 q_2)``.
        """
        sums = products if self.expand is None else products @ self.expand
        powers = 2 if self.squares[:, 2].any() else 1
        crossed, fitted = sums[:, powers:].reshape(len(sums), 2, powers, -1).transpose(1, 2, 0, 3)
        moments = np.zeros((5, len(sums)))
        moments[:powers] = sums[:, :powers].T
        moments[2:] = np.atleast_2d(squared).T
        for place, (i, j) in enumerate(((0, 0), (0, 1), (1, 1))[: 2 * powers - 1]):
            moments[2 + place] += _dot(fitted[i], fitted[j]) - _dot(crossed[i], fitted[j]) - _dot(crossed[j], fitted[i])
        return moments


def _dot(one: Floats, other: Floats) -> Floats:
    return np.asarray(np.einsum("bi,bi->b", one, other))


def wild_scores(problem: LeastSquares, direction: Floats, clusters: Codes, n_clusters: int, kind: Kind) -> WildScores:
    """Reduce the bootstrap of ``direction'coefficient`` to a few columns.

    Parameters
    ----------
    problem : LeastSquares
        The regression.
    direction : (J,) array
        r.
    clusters : (N,) array of int
        Cluster codes of the units.
    n_clusters : int
        G.
    kind : Kind
        Which bootstrap.

    Returns
    -------
    WildScores
    """
    inverse = problem.inverse
    slope = inverse @ direction
    scale = float(direction @ slope)
    scores = [problem.scores(values, clusters, n_clusters) for values in (problem.residual, problem.fitted(slope))]
    loads, lost = scores[1], -1
    jackknife = kind.variance == "3"
    plain = scores
    if jackknife or kind.residual == "3":
        restricted = inverse - np.outer(slope, slope) / scale if kind.restricted else inverse
        loads = scores[1].copy()
        modified = [values.copy() for values in scores]
        for batch in problem.grams(clusters, n_clusters):
            here = np.ix_(batch.clusters, batch.active)
            if jackknife:
                core, singular = without_cluster(batch, inverse)
                loads[here] = _times(core, loads[here])
                lost = _lost(batch, singular, direction, inverse) if lost < 0 else lost
            if kind.residual == "3":
                core, _ = without_cluster(batch, restricted)
                for values in modified:
                    values[here] = _times(core, values[here])
        scores = modified if kind.residual == "3" else scores
    own_slopes = slope + loads @ inverse if jackknife else np.broadcast_to(slope, loads.shape)
    share = plain[1] @ slope / scale
    scores = scores if kind.restricted else scores[:1]
    numerators = [values @ slope for values in scores]
    own = [np.einsum("gj,gj->g", own_slopes, values) for values in scores]
    std_error = float(np.linalg.norm(np.einsum("gj,gj->g", own_slopes, plain[0])))
    left, right = _by_kind(loads, problem.alike(clusters, n_clusters))
    projected = [values @ (inverse @ right.T) for values in scores]
    basis, expand = _compress([*numerators, *(values[:, None] * left for values in own), *projected])
    zero = np.zeros(n_clusters)
    squares = [own[0] ** 2, own[0] * own[1], own[1] ** 2] if kind.restricted else [own[0] ** 2, zero, zero]
    return WildScores(basis, expand, np.column_stack(squares), scale, std_error, share, lost)


def without_cluster(batch: ClusterGrams, inverse: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Give the matrices that turn a cluster's scores into those at the coefficients estimated without it.

    ``(I - A_g R)^-1 = I + A_g F (I - F'A_g F)^-1 F'`` with ``R = F F'``, over the active regressors. Where the regression
    without the cluster does not identify a direction the scores are zero in it and stay so (generalised inverse).

    Parameters
    ----------
    batch : ClusterGrams
        Some clusters.
    inverse : (J, J) array
        R: (generalised) inverse of X'MX, of the restricted regression if a restriction holds.

    Returns
    -------
    core : (n, E, E) or (1, E, E) array
        The matrices.
    singular : (n,) or (1,) array of bool
        Where a direction is lost.
    """
    root = matrix_root(inverse[np.ix_(batch.active, batch.active)])
    left = batch.gram @ root
    rest = np.eye(root.shape[1]) - root.T @ left
    solved, singular = _invert((rest + rest.swapaxes(1, 2)) / 2)
    return np.eye(len(root)) + left @ solved @ root.T, singular


def _invert(rest: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Invert symmetric matrices (n, E, E) with eigenvalues from 0 to 1, generalised where some are zero; say where."""
    solved, singular = np.empty_like(rest), np.zeros(len(rest), dtype=bool)
    regular = np.linalg.det(rest) > REGULAR
    solved[regular] = np.linalg.inv(rest[regular])
    eigenvalues, directions = np.linalg.eigh(rest[~regular])
    alive = eigenvalues > ALONE
    inverted = np.divide(1.0, eigenvalues, out=np.zeros_like(eigenvalues), where=alive)
    solved[~regular] = (directions * inverted[:, None, :]) @ directions.swapaxes(1, 2)
    singular[~regular] = (~alive).any(axis=1)
    return solved, singular


def _times(core: Floats, scores: Floats) -> Floats:
    """Multiply the matrices with the scores of their clusters; a single one serves all."""
    return scores @ core[0].T if len(core) == 1 else np.einsum("gij,gj->gi", core, scores)


def _lost(batch: ClusterGrams, singular: NDArray[np.bool_], direction: Floats, inverse: Floats) -> int:
    """Give a cluster without which the combination is not identified, or -1."""
    for g in np.flatnonzero(singular):
        active = batch.active
        left = np.zeros_like(inverse)
        left[np.ix_(active, active)] = batch.gram[g]
        rest = np.eye(len(inverse)) - left @ inverse
        # identified without the cluster when r lies in the span of X'MX - X_g'MX_g
        solution = np.linalg.lstsq(rest, direction, rcond=RANK_TOLERANCE)[0]
        if np.abs(rest @ solution - direction).max() > np.sqrt(RANK_TOLERANCE) * np.abs(direction).max():
            return int(batch.clusters[g])
    return -1


def _by_kind(loads: Floats, kind: Codes) -> tuple[Floats, Floats]:
    """Factor loads that are equal within kinds of clusters: (G, q) orthonormal columns times (q, J)."""
    _, first, place, count = np.unique(kind, return_index=True, return_inverse=True, return_counts=True)
    if len(first) > min(loads.shape):
        return _factor(loads)
    left = np.zeros((len(loads), len(first)))
    left[np.arange(len(loads)), place] = 1 / np.sqrt(count[place])
    return left, loads[first] * np.sqrt(count)[:, None]


def _factor(loads: Floats) -> tuple[Floats, Floats]:
    """Write the loads (G, J) as orthonormal columns (G, q) times (q, J), q their rank."""
    left, values, right = np.linalg.svd(loads, full_matrices=False)
    kept = values > NEGLIGIBLE * max(values.max(initial=0.0), 1e-300)
    return left[:, kept], values[kept, None] * right[kept]


def _compress(columns: list[Floats]) -> tuple[Floats, Floats | None]:
    """Write columns in a basis of what they span, if they are few enough for that to be worth it."""
    stacked = np.column_stack(columns)
    if stacked.shape[1] > WIDEST:
        return stacked, None
    size = np.linalg.norm(stacked, axis=0)
    size = np.where(size > 0, size, 1.0)
    basis, right = _factor(stacked / size)
    return basis, right * size
