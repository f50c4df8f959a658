"""What is summed with the multipliers of every draw of a wild bootstrap, and how the sums are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evalaid.did.inference.variance.by_cluster import Group
from evalaid.did.inference.variance.hat import matrix_root

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

# Directions below this share of the largest singular value are rounding error of the products that made them.
NEGLIGIBLE = 1e-13
# DrawnSums over clusters are linearly dependent where clusters are alike, and then few; among more no basis is looked for.
WIDEST = 100
# The multipliers of some of the clusters are gathered first: a product with them takes so many times longer.
GATHERED = 1.2


@dataclass(frozen=True, eq=False, repr=False)
class DrawnColumns:
    """Columns to be summed with the multipliers.

    ``clusters`` (n,): whose columns they are. ``columns`` (n, m): by cluster. ``place`` (m,): where their sums go
    among all sums of a draw.
    """

    clusters: Codes | slice
    columns: Floats
    place: Codes | slice


@dataclass(frozen=True, eq=False, repr=False)
class DrawnSums:
    """All that is summed in a draw.

    ``blocks``: the columns, cluster by cluster. ``heads``: how many of the sums are over scores, power by power of the
    shift; the others are ``sum_g v_g a_g U_g``, power by power. ``powers``: two (shift^0, shift^1) under a null
    hypothesis, otherwise one. ``expand`` (m, n): makes the n sums from those of the blocks. None = they are these.
    ``project`` (scores, 1 + q): makes the numerator and ``W (X'MX)^-1 sum_g v_g s_g`` from the sums over scores. None
    = they are these.
    """

    blocks: tuple[DrawnColumns, ...]
    heads: int
    powers: int
    expand: Floats | None = None
    project: Floats | None = None

    def read(self, found: Floats) -> list[tuple[Floats, Floats, Floats]]:
        """Return numerators (B,), ``W (X'MX)^-1 sum_g v_g s_g`` and ``sum_g v_g a_g U_g``, (B, q) each, of every power of the shift."""
        sums = found if self.expand is None else found @ self.expand
        heads, tails = (np.split(part, self.powers, axis=1) for part in np.split(sums, [self.heads], axis=1))
        if self.project is not None:
            heads = [head @ self.project for head in heads]
        return [(head[:, 0], head[:, 1:], tail) for head, tail in zip(heads, tails, strict=True)]


@dataclass(frozen=True, eq=False, repr=False)
class WildPart:
    """What a group of clusters brings.

    ``group``: the clusters. ``scores`` (n, powers, E): s_g by power of the shift. ``a`` (n, powers): a_g. ``ell`` (n,
    E) or (1, E): l_g; one for all n where they are the same.
    """

    group: Group
    scores: Floats
    a: Floats
    ell: Floats

    @cached_property
    def factors(self) -> tuple[Floats, Floats]:
        """The l_g as orthonormal columns (n, q) times (q, E)."""
        count = len(self.a)
        if len(self.ell) < count:
            return np.full((count, 1), count**-0.5), self.ell * count**0.5
        return _factor(self.ell)


def sums_of(parts: Sequence[WildPart], inverse: Floats, slope: Floats, n_clusters: int) -> DrawnSums:
    """Choose what is summed in every draw: the scores group by group, or already ``W (X'MX)^-1`` of them, if that is less.

    Shapes: inverse (J, J), slope (J,).
    """
    factors = [part.factors for part in parts]
    reach = np.vstack([right @ part.group.T for part, (_, right) in zip(parts, factors, strict=True)])
    rank, width = len(reach), len(inverse)
    lengths = [part.scores.shape[2] for part in parts]
    apart = sum(left.size + part.group.scores.size for part, (left, _) in zip(parts, factors, strict=True))
    if GATHERED * apart + sum(lengths) * (1 + rank) < n_clusters * (1 + 2 * min(rank, width)):
        return _apart(parts, np.column_stack([slope, inverse @ reach.T]))
    mix, target = np.eye(rank), inverse @ reach.T
    if rank > width:
        root = matrix_root(inverse)
        mix, reach = _factor(reach @ root)
        target = root @ reach.T
    return _together(parts, np.column_stack([slope, target]), mix, n_clusters)


def _apart(parts: Sequence[WildPart], target: Floats) -> DrawnSums:
    """Sum ``s_g`` and ``a_g U_g``, each group of clusters in its own columns."""
    powers = parts[0].scores.shape[1]
    widths = np.array([(part.scores.shape[2], part.factors[0].shape[1]) for part in parts])
    ends, heads = np.cumsum(widths, axis=0), powers * int(widths[:, 0].sum())
    blocks = []
    for part, width, end in zip(parts, widths, ends, strict=True):
        place = [
            first + end[k] - width[k] + np.arange(width[k]) + power * ends[-1, k]
            for k, first in enumerate((0, heads))
            for power in range(powers)
        ]
        blocks.append(
            DrawnColumns(part.group.clusters, _beside(part, part.scores, part.factors[0]), np.concatenate(place))
        )
    project = np.vstack([part.group.T @ target for part in parts])
    return DrawnSums(tuple(blocks), heads, powers, project=project)


def _together(parts: Sequence[WildPart], target: Floats, mix: Floats, n_clusters: int) -> DrawnSums:
    """Sum numerators and ``W (X'MX)^-1 s_g``, and ``a_g U_g``, in columns that all clusters share; in fewer if there are."""
    powers = parts[0].scores.shape[1]
    heads = powers * target.shape[1]
    columns = np.empty((n_clusters, heads + powers * mix.shape[1]))
    rows = np.split(mix, np.cumsum([part.factors[0].shape[1] for part in parts])[:-1])
    for part, mixed in zip(parts, rows, strict=True):
        scores = part.scores @ (part.group.T @ target)
        columns[part.group.clusters] = _beside(part, scores, part.factors[0] @ mixed)
    expand = None
    if columns.shape[1] <= WIDEST:
        columns, expand = _compress(columns)
    return DrawnSums((DrawnColumns(slice(None), columns, slice(None)),), heads, powers, expand)


def _beside(part: WildPart, scores: Floats, left: Floats) -> Floats:
    """Put scores (n, powers, m) and ``a_g U_g`` side by side, power by power."""
    both = scores, part.a[:, :, None] * left[:, None, :]
    return np.hstack([values.reshape(len(left), -1) for values in both])


def _factor(ell: Floats) -> tuple[Floats, Floats]:
    """Write rows l_g (G, J) as orthonormal columns (G, q) times (q, J), q their rank."""
    left, values, right = np.linalg.svd(ell, full_matrices=False)
    kept = values > NEGLIGIBLE * max(values.max(initial=0.0), 1e-300)
    return left[:, kept], values[kept, None] * right[kept]


def _compress(columns: Floats) -> tuple[Floats, Floats]:
    """Write columns in a basis of what they span."""
    size = np.linalg.norm(columns, axis=0)
    size = np.where(size > 0, size, 1.0)
    basis, right = _factor(columns / size)
    return basis, right * size
