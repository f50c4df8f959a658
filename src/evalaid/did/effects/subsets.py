"""Every subset of covariates from the outcome and each covariate, estimated once.

A linear estimator whose covariates enter by least squares can be applied to the outcome and to each covariate without any
covariates; what a regression on some of them gives follows from these few results and one small matrix a unit (Frisch,
Waugh and Lovell).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.did.effects.aggregation import average_weights, group_cells
from evalaid.did.effects.effects import Derivation, Effects
from evalaid.did.effects.influence import Influence
from evalaid.did.effects.linear import NULL_TOLERANCE, Solver

Floats = NDArray[np.float64]

# Influence of this many subsets is formed at a time: it bounds memory when there are many units and covariates.
AT_A_TIME = 64


@dataclass(frozen=True)
class Subsets:
    """A linear estimator on the outcome and, in its place, on each covariate."""

    # Without covariates: of the outcome, then of each covariate, (1 + p,); the same cells, averaged with fixed weights
    effects: tuple[Effects, ...]
    # (N, 1 + p, 1 + p): By unit: (weighted) sums of products of the residuals of the equation in which the covariates'
    # slopes are fitted
    products: Floats
    size: Floats  # (1 + p,): Root mean square of each variable within units; what is small against it is rounding error

    def overall(self, chosen: Sequence[Sequence[int]]) -> Iterator[tuple[list[int], Effects]]:
        """Return the overall effect with each chosen subset of covariates.

        Yields positions in ``chosen`` (those that are not identified appear in none) and their effects, one cell each.

        Notes
        -----
        With slopes ``b = G_JJ^-1 G_J0`` and loads ``d = G_JJ^-1 a_J``, where a_k is the estimate with variable k as outcome,
        u_ik its influence and ``G = sum_i V_i`` the products: ``a = a_0 - a_J b`` and
        ``psi_i = u_i0 - u_iJ b - (V_iJ0 - V_iJJ b)' d``. Both are linear in (u_i, V_i), so one matrix product serves all
        subsets.
        """
        first = self.effects[0]
        average = first.aggregate("overall")
        groups = group_cells(first.cells, first.value, "overall", first.method)
        weights = average_weights(groups, first.size) * (1.0 if groups.used.any() else np.nan)
        values = np.array([np.where(groups.used[:, 0], effects.value, 0.0) @ weights[:, 0] for effects in self.effects])
        n_units, width = self.products.shape[:2]
        gram = self.products.sum(axis=0)
        by_rank: dict[int, list[tuple[int, Floats, Floats]]] = {}
        for position, subset in enumerate(chosen):
            own = 1 + np.asarray(subset, dtype=np.intp)
            linear = np.zeros(width)
            linear[0] = 1.0
            quadratic = np.zeros((width, width))
            rank = 0
            if own.size:
                solve = Solver(gram[np.ix_(own, own)])
                null = solve.null
                rounding = NULL_TOLERANCE * np.linalg.norm(self.size[own, None] * null, axis=0)
                if (np.abs(values[own] @ null) > rounding).any():
                    continue
                slopes, loads = solve(gram[own, 0]), solve(values[own])
                linear[own] = -slopes
                quadratic[own, 0] = -loads
                quadratic[np.ix_(own, own)] = np.outer(loads, slopes)
                rank = solve.rank
            if not np.isnan(values @ linear):
                by_rank.setdefault(rank, []).append((position, linear, quadratic.ravel()))
        own_influence = np.column_stack([effects.influence.combine(weights).matrix()[:, 0] for effects in self.effects])
        flat = self.products.reshape(n_units, width * width)
        for rank, found in by_rank.items():
            for start in range(0, len(found), AT_A_TIME):
                positions, linears, quadratics = zip(*found[start : start + AT_A_TIME], strict=True)
                psi = own_influence @ np.array(linears).T + flat @ np.array(quadratics).T
                yield list(positions), _stack(average, np.array(linears) @ values, psi, rank)


def _stack(average: Effects, values: Floats, psi: Floats, rank: int) -> Effects:
    """Put the estimates of several subsets into the cells of one result; ``rank`` covariates count as parameters."""
    convention = replace(average.convention, parameters=average.convention.parameters + rank)
    cells = pd.concat([average.cells] * len(values), ignore_index=True)
    size = np.repeat(average.size, len(values))
    influence = Influence.dense(psi)
    return replace(
        average,
        cells=cells,
        value=values,
        influence=influence,
        size=size,
        convention=convention,
        refit=None,
        contrasts=None,
        derivation=Derivation((average,), (np.ones((1, len(values))),), lambda _: None),
    )
