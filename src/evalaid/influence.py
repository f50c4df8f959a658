"""Influence of units on estimates, held in factored blocks.

The influence of unit i on estimate k is ``psi[i, k]``, scaled so that ``estimate_k - truth_k`` is approximately
``sum_i psi[i, k]``: the cluster-robust variance without any small-sample factor (CR0) is the sum over clusters of
the squared cluster sums. Most estimates touch few units (a cohort and its comparison units), so influence is kept as
blocks ``psi[rows] += left @ right`` and the full matrix is formed only when somebody asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = slice | NDArray[np.intp]


class Influence(Protocol):
    """What every influence offers: its shape, linear combinations of its columns, and the full matrix."""

    @property
    def shape(self) -> tuple[int, int]:
        """Give (units, cells)."""
        ...

    def combine(self, weights: Floats) -> LinearInfluence:
        """Give the influence of ``weights.T @ estimates``; ``weights`` is (cells, combinations)."""
        ...

    def matrix(self) -> Floats:
        """Form the full (units, cells) matrix."""
        ...


@dataclass(frozen=True)
class Block:
    """The influence of the units in ``rows``: ``left @ right``, shapes (n, m) and (m, cells)."""

    rows: Rows
    left: Floats
    right: Floats


@dataclass(frozen=True)
class LinearInfluence:
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
    >>> psi = LinearInfluence.dense(np.array([[1.0, 0.0], [-1.0, 2.0]]))
    >>> psi.combine(np.array([[1.0], [0.5]])).matrix().ravel().tolist()
    [1.0, 0.0]
    """

    n_units: int
    n_cells: int
    blocks: tuple[Block, ...]

    @classmethod
    def dense(cls, values: Floats) -> LinearInfluence:
        """Hold a full (units, cells) matrix as one block."""
        n_units, n_cells = values.shape
        return cls(n_units, n_cells, (Block(slice(None), values, np.eye(n_cells)),))

    @property
    def shape(self) -> tuple[int, int]:
        """Give (units, cells)."""
        return self.n_units, self.n_cells

    def combine(self, weights: Floats) -> LinearInfluence:
        """Give the influence of ``weights.T @ estimates`` without forming any matrix of units."""
        blocks = tuple(replace(block, right=block.right @ weights) for block in self.blocks)
        return LinearInfluence(self.n_units, weights.shape[1], blocks)

    def plus(self, other: LinearInfluence) -> LinearInfluence:
        """Add the influence of another source on the same units and cells."""
        return replace(self, blocks=self.blocks + other.blocks)

    def matrix(self) -> Floats:
        """Form the full (units, cells) matrix."""
        full = np.zeros((self.n_units, self.n_cells))
        for block in self.blocks:
            full[block.rows] += block.left @ block.right
        return full
