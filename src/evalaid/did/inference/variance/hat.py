"""The hat matrices of clusters, in coordinates in which they are diagonal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.contrasts import Contrasts
from evalaid.did.inference.variance.by_cluster import group_clusters
from evalaid.did.inference.variance.cluster import Clusters

Floats = NDArray[np.float64]

# Directions in which a cluster has less leverage than this change nothing that double precision shows.
NO_LEVERAGE = 1e-12
# A direction with leverage this close to one is fitted by the cluster alone: without the cluster it is not identified.
ALONE = 1e-9
# The leverages of a cluster are at most the norm of its hat matrix: below this, none is near one.
REGULAR = 0.99


@dataclass(frozen=True, eq=False, repr=False)
class Hats:
    """The hat matrices ``H_g = X_g (X'MX)^- X_g' M_g`` of some clusters, ``H_g u_j = q_j u_j``.

    Everything is in the metric of the observation weights (rows times their root), where H_g is symmetric. With unit effects
    absorbed X_g is net of unit means, and H_g lacks the part of the unit effects: one for each unit. ``X_g = Z_g T``.

    ``clusters`` (n,): cluster codes. ``T`` (E, J): from the coordinates of these clusters to the regressors. ``gram``
    (m, E, E): ``Z_g'MZ_g``; here and below m is n, or 1 where all n clusters have the same hat matrix. ``scores`` (n,
    E): ``Z_g'M e_g``. ``q`` (m, E): the leverage of the directions, in [0, 1]. ``Zu`` (m, E, E): ``Z_g'u_j``,
    coordinate by j. ``ua`` (m, E, cells): ``u_j'X_g (X'MX)^- c_k`` for the combination c_k behind each estimate: a_g
    without adjustment. ``ue`` (n, E): ``u_j'e_g``: the residuals in these directions.
    """

    clusters: NDArray[np.int64]
    T: Floats
    gram: Floats
    scores: Floats
    q: Floats
    Zu: Floats
    ua: Floats
    ue: Floats


def hats_of(contrasts: Contrasts, clusters: Clusters) -> Iterator[Hats]:
    """Diagonalise the hat matrices of all clusters, some at a time.

    Notes
    -----
    With ``(X'MX)^- = L L'`` the matrix ``L'X_g'MX_g L`` has the eigenvalues of H_g, and ``u_j = X_g L v_j / sqrt(q_j)``: nothing has
    the size of the observations of a cluster, and on a balanced panel clustered by unit there is one matrix per cohort.
    """
    problem = contrasts.problem
    for group in group_clusters(problem, clusters.codes, len(clusters)):
        inverse = group.T @ problem.inverse @ group.T.T
        for rows, gram in group.grams():
            q, turned = diagonalise(gram, inverse)
            Zu = gram @ turned
            scores = group.scores[rows]
            yield Hats(
                clusters=group.clusters[rows],
                T=group.T,
                gram=gram,
                scores=scores,
                q=q,
                Zu=Zu,
                ua=Zu.swapaxes(1, 2) @ (group.T @ contrasts.solved),
                ue=(scores[:, None, :] @ turned)[:, 0, :],
            )


def diagonalise(gram: Floats, inverse: Floats) -> tuple[Floats, Floats]:
    """Return the leverage of the directions u_j in which hat matrices are diagonal, and these: ``u_j = Z_g turned_j``.

    Shapes: gram (m, E, E), inverse (E, E); returns leverage (m, E), turned (m, E, E).
    """
    root = matrix_root(inverse)
    values, vectors = np.linalg.eigh(root.T @ gram @ root)
    moves = values > NO_LEVERAGE
    length = np.sqrt(np.where(moves, values, 1.0))[:, None, :]
    turned = np.where(moves[:, None, :], root @ vectors / length, 0.0)
    return np.where(moves, np.clip(values, 0.0, 1.0), 0.0), turned


def without_cluster(
    gram: Floats, inverse: Floats, slope: Floats, scale: float, scores: Floats, loads: Floats
) -> tuple[Floats, Floats, Floats, Floats, NDArray[np.bool_]]:
    """Return scores and loads of clusters at the coefficients estimated without them: ``(I - A_g R)^-1`` times these.

    A_g is the Gram matrix of a cluster, R the inverse of that of the regression, or ``R - p p' / r'p`` of the regression under
    a restriction on r'b. The second follows from the first (Sherman and Morrison). Where the regression without the cluster does
    not identify a direction the scores are zero in it and stay so (generalised inverse).

    Shapes: gram (n, E, E) or (1, E, E), inverse (E, E), slope (E,), scores (n, E), loads (as many as matrices, E);
    returns lost (as many as matrices,).
    """
    count, width = len(gram), gram.shape[1]
    right = np.concatenate([scores.reshape(count, -1, width), loads[:, None, :]], axis=1)
    kernel = gram @ inverse
    regular = np.einsum("gij,gji->g", kernel, kernel) < REGULAR**2
    free, lost = np.empty_like(right), np.zeros(count, dtype=bool)
    free[regular] = np.linalg.solve(np.eye(width) - kernel[regular], right[regular].swapaxes(1, 2)).swapaxes(1, 2)
    others = gram[~regular], right[~regular]
    free[~regular], lost[~regular] = _solve_by_direction(*others, inverse, slope, scale)
    load = free[:, -1]
    ratio = free @ slope / (scale + load @ slope)[:, None]
    held = free - load[:, None, :] * ratio[:, :, None]
    restricted = inverse - np.outer(slope, slope) / scale
    held[~regular], _ = _solve_by_direction(*others, restricted, slope, scale)
    return free[:, :-1].reshape(scores.shape), load, held[:, :-1].reshape(scores.shape), held[:, -1], lost


def scores_without(
    kernel: Floats,
    gram: Callable[[NDArray[np.bool_]], Floats],
    inverse: Floats,
    scores: Floats,
    c: Floats,
    size: Floats,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return scores of clusters at the coefficients estimated without them, ``(I - A_g R)^-1 s_g``, and the combinations lost with them.

    Shapes: kernel ``A_g R`` (n, E, E) or (1, E, E), gram A_g of some of these, inverse (E, E), scores (n, E), c (E, cells): ``R`` times
    the combinations, size (cells,): their variation in the whole regression; returns (n, E), (as many as matrices, cells).
    """
    count, width = len(kernel), kernel.shape[1]
    right = scores.reshape(count, -1, width)
    regular = _none_near_one(kernel)
    free, lost = np.empty_like(right), np.zeros((count, c.shape[1]), dtype=bool)
    rest = -kernel if regular.all() else -kernel[regular]
    np.einsum("gii->gi", rest)[:] += 1.0
    free[regular] = np.linalg.solve(rest, right[regular].swapaxes(1, 2)).swapaxes(1, 2)
    if not regular.all():
        grams = gram(~regular)
        leverage, turned = diagonalise(grams, inverse)
        directions = grams @ turned
        alone = 1.0 - leverage <= ALONE
        factor = np.where(alone, 0.0, leverage / np.where(alone, 1.0, 1.0 - leverage))
        free[~regular] = right[~regular] + (right[~regular] @ turned * factor[:, None, :]) @ directions.swapaxes(1, 2)
        loads = directions.swapaxes(1, 2) @ c
        lost[~regular] = np.einsum("gek,ge->gk", loads**2, alone.astype(float)) > ALONE * size
    return free.reshape(scores.shape), lost


def _none_near_one(kernel: Floats) -> NDArray[np.bool_]:
    """Bound the leverages of clusters, the eigenvalues of ``A_g R``, by the sum of their squares, or of their fourth powers."""
    below = np.asarray(np.einsum("gij,gji->g", kernel, kernel) < REGULAR**2)
    unclear = np.flatnonzero(~below)
    squared = kernel[unclear] @ kernel[unclear]
    below[unclear] = np.einsum("gij,gji->g", squared, squared) < REGULAR**4
    return below


def _solve_by_direction(
    gram: Floats, right: Floats, inverse: Floats, slope: Floats, scale: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """Multiply rows (n, k, E) by the generalised inverses of ``I - A_g R``; say where the slope loads on what is lost."""
    leverage, turned = diagonalise(gram, inverse)
    directions = gram @ turned
    alone = 1.0 - leverage <= ALONE
    factor = np.where(alone, 0.0, leverage / np.where(alone, 1.0, 1.0 - leverage))
    loads = directions.swapaxes(1, 2) @ slope
    lost = (loads**2 * alone).sum(axis=1) > ALONE * scale
    return right + (right @ turned * factor[:, None, :]) @ directions.swapaxes(1, 2), lost


def matrix_root(matrix: Floats) -> Floats:
    """Return L with ``L L' = matrix``, symmetric positive semi-definite; columns are scaled first, as units of measurement differ."""
    scale = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    safe = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(matrix / safe[:, None] / safe)
    return np.asarray(scale[:, None] * vectors * np.sqrt(np.maximum(values, 0.0)))
