"""Regressions without each cluster in fewer equations: those of the design, net of period effects.

On a balanced panel without weights or covariates the equations of the period effects have a solution in closed form. What is left
has one unknown for each column of the design, however many periods there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.contrasts import LeastSquares
from evalaid.did.effects.linear import Solver
from evalaid.did.inference.variance.by_cluster import BATCH, Group
from evalaid.did.inference.variance.hat import scores_without

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def pays(problem: LeastSquares, group: Group) -> bool:
    """Return whether a group of clusters has more coordinates than the design has columns, and period effects in closed form."""
    return (
        problem.absorbed == "unit"
        and group.parts is not None
        and not group.same
        and problem.design.shape[2] < len(group.T)
    )


@dataclass(frozen=True, eq=False, repr=False)
class NetOfPeriods:
    """The equations of the design net of unit and period effects.

    With n_c units of cohort c, B_c its columns and Q = I - 11'/T they are ``S = sum_c n_c B_c'Q B_c - M'M / n`` with
    ``M = sum_c n_c Q B_c``; without a cluster, n_c are the units that stay.

    ``counts`` (C, G): units by cohort and cluster. ``directions`` (K, cells): combinations of the coefficients of the design.
    """

    problem: LeastSquares
    counts: Codes
    directions: Floats

    def changes(self, group: Group) -> Floats:
        """Compute the changes of the combinations without each cluster of a group, (n, cells); NaN where one is lost."""
        whole, width = self.whole, len(self.whole)
        combined, total = self.inverse @ self.directions, self.counts.sum(axis=1)
        size = np.einsum("jk,jk->k", self.directions, combined)
        scores = group.scores @ group.T
        changes, step = np.empty((len(scores), len(size))), max(1, BATCH // width**2)
        for start in range(0, len(changes), step):
            rows = slice(start, start + step)
            stay = (total[:, None] - self.counts[:, group.clusters[rows]]).T.astype(np.float64)
            left = self._gram(stay)
            # The scores of all periods add up to zero: the first one's follows from the others.
            late = scores[rows, width:]
            period = np.concatenate([-late.sum(axis=1, keepdims=True), late], axis=1)
            means = np.tensordot(stay / stay.sum(axis=1, keepdims=True), self.net, axes=1)
            own = scores[rows, :width] - (period[:, None, :] @ means)[:, 0]
            kernel = np.eye(width) - left @ self.inverse
            free, lost = scores_without(kernel, partial(_grams, whole, left), self.inverse, own, combined, size)
            changes[rows] = np.where(lost, np.nan, -free @ combined)
        return changes

    @cached_property
    def net(self) -> Floats:
        """The columns net of their means over the periods, (C, T, K)."""
        return np.asarray(self.problem.design - self.problem.design.mean(axis=1, keepdims=True))

    @cached_property
    def whole(self) -> Floats:
        """S with all clusters, (K, K)."""
        return np.asarray(self._gram(self.counts.sum(axis=1)[None].astype(np.float64))[0])

    @cached_property
    def inverse(self) -> Floats:
        """The (generalised) inverse of S, (K, K)."""
        return np.asarray(Solver(self.whole)(np.eye(len(self.whole))))

    @cached_property
    def _of_units(self) -> Floats:
        return np.asarray(self.net.swapaxes(1, 2) @ self.net)

    def _gram(self, counts: Floats) -> Floats:
        """Return S for (n, C) numbers of units, (n, K, K)."""
        means, number = np.tensordot(counts, self.net, axes=1), np.maximum(counts.sum(axis=1), 1.0)
        return np.asarray(
            np.tensordot(counts, self._of_units, axes=1) - means.swapaxes(1, 2) @ means / number[:, None, None]
        )


def _grams(whole: Floats, left: Floats, which: NDArray[np.bool_]) -> Floats:
    """Return what some clusters take away from S, (n, K, K)."""
    return np.asarray(whole - left[which])
