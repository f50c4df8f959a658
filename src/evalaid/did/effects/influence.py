"""Influence of units on estimates, held in factored blocks.

The influence of unit i on estimate k is ``psi[i, k]``, scaled so that ``estimate_k - truth_k`` is approximately
``sum_i psi[i, k]``: the cluster-robust variance without any small-sample factor (CR0) is the sum over clusters of
the squared cluster sums. Most estimates touch few units (a cohort and its comparison units), so influence is kept as
blocks ``psi[rows] += left @ right`` and the full matrix is formed only when somebody asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = slice | NDArray[np.intp]

# Rows that are worked on together: what they fill stays in the cache.
PIECE = 2048
# Below this many multiplications one product with many zeros is quicker than a product for each block.
SMALL = 1_000_000


@dataclass(frozen=True)
class Block:
    """The influence of the units in ``rows``: ``left @ right``, shapes (n, m) and (m, cells).

    ``reference_only`` marks what the method's reference implementation adds and the derivative of the estimator does not
    hold (an error of the reference, or a small-sample factor of its own); it counts only when the reference's own numbers
    are asked for.
    """

    rows: Rows
    left: Floats
    right: Floats
    reference_only: bool = False


@dataclass(frozen=True)
class Influence:
    """Influence as a sum of factored blocks; linear in the estimates, so combinations only touch ``right``.

    Examples
    --------
    >>> import numpy as np
    >>> psi = Influence.dense(np.array([[1.0, 0.0], [-1.0, 2.0]]))
    >>> psi.combine(np.array([[1.0], [0.5]])).matrix().ravel().tolist()
    [1.0, 0.0]
    """

    n_units: int  # Shape of the full matrix
    n_cells: int
    blocks: tuple[Block, ...]  # The parts; rows may overlap, their contributions add up

    @classmethod
    def dense(cls, values: Floats) -> Influence:
        """Hold a full (units, cells) matrix as one block."""
        n_units, n_cells = values.shape
        return cls(n_units, n_cells, (Block(slice(None), values, np.eye(n_cells)),))

    @property
    def shape(self) -> tuple[int, int]:
        """Return (units, cells)."""
        return self.n_units, self.n_cells

    def combine(self, weights: Floats) -> Influence:
        """Return the influence of ``weights.T @ estimates`` without forming any matrix of units."""
        shared = {id(block.right): block.right for block in self.blocks}
        right = {key: matrix @ weights for key, matrix in shared.items()}
        blocks = tuple(replace(block, right=right[id(block.right)]) for block in self.blocks)
        return Influence(self.n_units, weights.shape[1], blocks)

    def plus(self, other: Influence) -> Influence:
        """Add the influence of another source on the same units and cells."""
        return replace(self, blocks=self.blocks + other.blocks)

    def matrix(self, *, as_reference: bool = False) -> Floats:
        """Form the full (units, cells) matrix, with ``as_reference`` including what the reference adds."""
        runs, scattered = self._split(as_reference=as_reference)
        full = np.zeros(self.shape)
        for rows in _pieces(self.n_units):
            _fill(full[rows], rows.start, runs)
        for block in scattered:
            full[block.rows] += block.left @ block.right
        return full

    def sum_of_squares(self, *, as_reference: bool = False) -> Floats:
        """Sum the squares over units, (cells,), without forming the full matrix where blocks are runs of rows."""
        runs, scattered = self._split(as_reference=as_reference)
        if scattered:
            full = self.matrix(as_reference=as_reference)
            return np.asarray(np.einsum("ik,ik->k", full, full))
        total = np.zeros(self.n_cells)
        for rows in _pieces(self.n_units):
            part = np.zeros((rows.stop - rows.start, self.n_cells))
            _fill(part, rows.start, runs)
            total += np.einsum("ik,ik->k", part, part)
        return total

    def _split(self, *, as_reference: bool) -> tuple[list[_Run], list[Block]]:
        """Separate the blocks that are runs of rows from the others."""
        runs, scattered = [], []
        for block in self.blocks:
            if block.reference_only and not as_reference:
                continue
            if isinstance(block.rows, slice):
                start, stop, _ = block.rows.indices(self.n_units)
                runs.append((start, stop, block))
            else:
                scattered.append(block)
        return runs, scattered


_Run = tuple[int, int, Block]


def _pieces(n_units: int) -> list[slice]:
    return [slice(start, min(start + PIECE, n_units)) for start in range(0, n_units, PIECE)]


def _fill(part: Floats, first: int, runs: list[_Run]) -> None:
    """Add the influence of the units from row ``first`` on, cut where blocks begin or end."""
    end = first + len(part)
    inside = [(max(start, first), min(stop, end), start, block) for start, stop, block in runs]
    inside = [run for run in inside if run[0] < run[1]]
    for start, stop in pairwise(sorted({edge for run in inside for edge in run[:2]})):
        here = [
            (run[3].left[start - run[2] : stop - run[2]], run[3].right) for run in inside if run[0] <= start < run[1]
        ]
        if here:
            _add_up(part[start - first : stop - first], here)


def _add_up(part: Floats, factors: list[tuple[Floats, Floats]]) -> None:
    """Add products to ``part``: as one where that is small, else each on the run of cells that it touches."""
    if part.size * sum(len(right) for _, right in factors) <= SMALL:
        lefts, rights = zip(*factors, strict=True)
        part += np.concatenate(lefts, axis=1) @ np.concatenate(rights)
        return
    for left, right in factors:
        used = np.flatnonzero(right.any(axis=0))
        if used.size:
            cells = slice(used[0], used[-1] + 1)
            part[:, cells] += left @ right[:, cells]
