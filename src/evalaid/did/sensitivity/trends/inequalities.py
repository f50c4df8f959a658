"""The inequalities of one polyhedron of violations, and the linear programme that finds the corner that violates them most."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import null_space
from scipy.optimize import linprog

from evalaid.base.errors import InferenceError
from evalaid.did.sensitivity.trends.restrictions import Restriction

Floats = NDArray[np.float64]

# Programmes solved side by side as one: the set-up of a call costs as much as ten of them.
BLOCK = 50
SOLVED = 0  # status of scipy.optimize.linprog


@dataclass(frozen=True, eq=False)
class Inequalities:
    """``rows d <= right`` for the violation d in the coefficients, whose part after the reference is ``b - tau``.

    ``rows`` (rows, coefficients). ``right`` (rows,). ``spread`` (rows,): standard deviations of ``rows b``.
    ``covariance`` (coefficients, coefficients): of the coefficients b. ``weights`` (n_post,): of the effects tau; what
    varies with ``weights' tau`` fixed is a nuisance.
    """

    rows: Floats
    right: Floats
    spread: Floats
    covariance: Floats
    weights: Floats

    @cached_property
    def shift(self) -> Floats:
        """What one unit of the effect takes off ``rows b - right``, up to the nuisance, (rows,)."""
        return self.rows[:, -len(self.weights) :] @ self.weights / (self.weights @ self.weights)

    def largest(self, moments: Floats) -> Floats:
        """Find for each column y of ``moments`` the multipliers g >= 0, ``g'spread = 1``, without nuisance, of largest ``g'y``.

        They are the dual solution of ``min e: y <= nuisance x + spread e``, (columns, rows).

        Shapes: moments (rows, columns).
        """
        block = self._block
        n_rows, n_free = block.shape
        scaled = -(moments / self.spread[:, None]).T
        found = np.empty_like(scaled)
        for start in range(0, len(scaled), BLOCK):
            right = scaled[start : start + BLOCK]
            matrix = self._blocks[: n_rows * len(right), : n_free * len(right)]
            cost = np.tile(np.append(np.zeros(n_free - 1), 1.0), len(right))
            solved = linprog(cost, matrix, right.ravel(), bounds=(None, None), method="highs-ds")
            if solved.status != SOLVED:
                raise InferenceError(
                    f"The inequalities of this restriction were not solved: {solved.message} Check that the covariance of "
                    "the coefficients is not close to singular, or leave out the shape."
                )
            found[start : start + BLOCK] = -solved.ineqlin.marginals.reshape(right.shape)
        return np.maximum(found, 0) / self.spread

    @cached_property
    def _block(self) -> Floats:
        """One programme: the nuisance in units in which its columns are of the order of one, and the bound."""
        free = self.rows[:, -len(self.weights) :] @ null_space(self.weights[None])
        standardised = free / self.spread[:, None]
        return np.column_stack([-standardised / np.abs(standardised).max(initial=1e-300), -np.ones(len(free))])

    @cached_property
    def _blocks(self) -> sparse.csc_array:
        return sparse.csc_array(sparse.block_diag([self._block] * BLOCK))


def state(restriction: Restriction, m: float, problem: int, covariance: Floats, weights: Floats) -> Inequalities:
    """Write down the inequalities of one problem at m."""
    rows, right = restriction.rows(m, problem)
    spread = np.sqrt(((rows @ covariance) * rows).sum(axis=1))
    return Inequalities(rows, right, spread, covariance, weights)
