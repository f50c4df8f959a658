"""Influence of units on estimates, held in factored blocks.

The influence of unit i on estimate k is ``psi[i, k]``, scaled so that ``estimate_k - truth_k`` is approximately
``sum_i psi[i, k]``: the cluster-robust variance without any small-sample factor (CR0) is the sum over clusters of
the squared cluster sums. Most estimates touch few units (a cohort and its comparison units), so influence is kept as
blocks ``psi[rows] += left @ right`` and the full matrix is formed only when somebody asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = slice | NDArray[np.intp]


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

    Parameters
    ----------
    n_units, n_cells : int
        Shape of the full matrix.
    blocks : tuple of Block
        The parts; rows may overlap, their contributions add up.

    Examples
    --------
    >>> import numpy as np
    >>> psi = Influence.dense(np.array([[1.0, 0.0], [-1.0, 2.0]]))
    >>> psi.combine(np.array([[1.0], [0.5]])).matrix().ravel().tolist()
    [1.0, 0.0]
    """

    n_units: int
    n_cells: int
    blocks: tuple[Block, ...]

    @classmethod
    def dense(cls, values: Floats) -> Influence:
        """Hold a full (units, cells) matrix as one block."""
        n_units, n_cells = values.shape
        return cls(n_units, n_cells, (Block(slice(None), values, np.eye(n_cells)),))

    @property
    def shape(self) -> tuple[int, int]:
        """Give (units, cells)."""
        return self.n_units, self.n_cells

    def combine(self, weights: Floats) -> Influence:
        """Give the influence of ``weights.T @ estimates`` without forming any matrix of units."""
        blocks = tuple(replace(block, right=block.right @ weights) for block in self.blocks)
        return Influence(self.n_units, weights.shape[1], blocks)

    def plus(self, other: Influence) -> Influence:
        """Add the influence of another source on the same units and cells."""
        return replace(self, blocks=self.blocks + other.blocks)

    def matrix(self, *, as_reference: bool = False) -> Floats:
        """Form the full (units, cells) matrix, with ``as_reference`` including what the reference adds."""
        # One row a cell: a block adds to a run of cells and of units, which then lie side by side in memory.
        full = np.zeros((self.n_cells, self.n_units))
        for block in self.blocks:
            used = np.flatnonzero(block.right.any(axis=0))
            if used.size and (as_reference or not block.reference_only):
                cells = slice(used[0], used[-1] + 1)
                full[cells][:, block.rows] += block.right[:, cells].T @ block.left.T
        return full.T
