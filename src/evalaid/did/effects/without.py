"""What estimates are without each of some clusters, carried through selections, combinations and averages without a refit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.aggregation import Groups

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Without:
    """Estimates without each of n groups of units: ``value`` and ``size`` (n, cells); NaN where there is none.

    ``kept`` (n, C) is the share of each cohort that remains. ``size`` is None where sizes do not follow from it. ``codes`` (N,) is the
    group of each unit.
    """

    value: Floats
    size: Floats | None
    kept: Floats
    codes: NDArray[np.int64]


Step = Callable[..., Without | None]


def combined(matrix: Floats) -> Step:
    """Return the step of fixed weights (cells, combinations)."""

    def step(one: Without) -> Without:
        value = np.where(np.isnan(one.value), 0.0, one.value) @ matrix
        lost = np.isnan(one.value).astype(float) @ (matrix != 0) > 0
        size = None if one.size is None else np.abs(one.size @ matrix)
        return replace(one, value=np.where(lost, np.nan, value), size=size)

    return step


def averaged(groups: Groups, place: NDArray[np.intp] | None) -> Step:
    """Return the step of averages by size over the cells that have an estimate; ``place`` is the cohort of each average."""

    def step(one: Without) -> Without | None:
        if one.size is None and not groups.plain:
            return None
        used = ~np.isnan(one.value)
        mass = used * (1.0 if groups.plain or one.size is None else one.size)
        total = mass @ groups.members
        value = (np.where(used, one.value, 0.0) * mass) @ groups.members
        with np.errstate(invalid="ignore", divide="ignore"):
            value = np.where(used.astype(float) @ groups.members > 0, value / total, np.nan)
        size = np.ones_like(value) if place is None else one.kept[:, place]
        return replace(one, value=value, size=size)

    return step


def subtracted(spread_a: Floats, spread_b: Floats) -> Step:
    """Return the step of a difference of two sets of estimates; the sizes are those of the first."""

    def step(one: Without, other: Without) -> Without:
        first, second = combined(spread_a)(one), combined(spread_b)(other)
        assert first is not None  # noqa: S101 (a combination always exists)
        assert second is not None  # noqa: S101
        return replace(first, value=first.value - second.value)

    return step
