"""The hat matrices of clusters, in coordinates in which they are diagonal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.contrasts import Contrasts, LeastSquares
from evalaid.inference.cluster import Clusters

Floats = NDArray[np.float64]

# Directions in which a cluster has less leverage than this change nothing that double precision shows.
NO_LEVERAGE = 1e-12
# A direction with leverage this close to one is fitted by the cluster alone: without the cluster it is not identified.
ALONE = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class Hats:
    """The hat matrices ``H_g = X_g (X'MX)^- X_g' M_g`` of some clusters, ``H_g u_j = q_j u_j``.

    Everything is in the metric of the observation weights (rows times their root), where H_g is symmetric. With unit effects
    absorbed X_g is net of unit means, and H_g lacks the part of the unit effects: one for each unit.

    Parameters
    ----------
    clusters : (n,) array of int
        Cluster codes.
    active : (E,) array of int
        Positions of the regressors in use in these clusters.
    gram : (m, E, E) array
        ``X_g'MX_g``; here and below m is n, or 1 where all n clusters have the same hat matrix.
    leverage : (m, E) array
        The q_j, in [0, 1].
    directions : (m, E, E) array
        ``X_g'u_j``, regressor by j.
    loads : (m, E, cells) array
        ``u_j'X_g (X'MX)^- c_k`` for the combination c_k behind each estimate: how it loads on the direction.
    residual : (n, E) array
        ``u_j'e_g``: the residuals in these directions.
    """

    clusters: NDArray[np.int64]
    active: NDArray[np.int64]
    gram: Floats
    leverage: Floats
    directions: Floats
    loads: Floats
    residual: Floats


def hats_of(contrasts: Contrasts, clusters: Clusters) -> Iterator[Hats]:
    """Diagonalise the hat matrices of all clusters, some at a time.

    Parameters
    ----------
    contrasts : Contrasts
        A regression and the combinations of its coefficients.
    clusters : Clusters
        Groups of whole units.

    Yields
    ------
    Hats
        Each cluster once.

    Notes
    -----
    With ``(X'MX)^- = L L'`` the matrix ``L'X_g'MX_g L`` has the eigenvalues of H_g, and ``u_j = X_g L v_j / sqrt(q_j)``: nothing has
    the size of the observations of a cluster, and on a balanced panel clustered by unit there is one matrix a cohort.
    """
    problem = contrasts.problem
    scores = cluster_scores(problem, clusters)
    weights = problem.inverse @ contrasts.directions
    for batch in problem.grams(clusters.codes, len(clusters)):
        active = batch.active
        root = matrix_root(problem.inverse[np.ix_(active, active)])
        values, vectors = np.linalg.eigh(root.T @ batch.gram @ root)
        moves = values > NO_LEVERAGE
        length = np.sqrt(np.where(moves, values, 1.0))[:, None, :]
        turned = np.where(moves[:, None, :], root @ vectors / length, 0.0)
        directions = batch.gram @ turned
        yield Hats(
            clusters=batch.clusters,
            active=active,
            gram=batch.gram,
            leverage=np.where(moves, np.clip(values, 0.0, 1.0), 0.0),
            directions=directions,
            loads=directions.transpose(0, 2, 1) @ weights[active],
            residual=(scores[np.ix_(batch.clusters, active)][:, None, :] @ turned)[:, 0, :],
        )


def cluster_scores(problem: LeastSquares, clusters: Clusters) -> Floats:
    """Give ``X_g'M e_g`` of every cluster, (G, J)."""
    return problem.scores(problem.residual, clusters.codes, len(clusters))


def matrix_root(matrix: Floats) -> Floats:
    """Give L with ``L L' = matrix``, symmetric positive semi-definite; columns are scaled first, as units of measurement differ."""
    scale = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    safe = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(matrix / safe[:, None] / safe)
    return scale[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))
