"""The amount of divergence at which an effect loses its sign."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

BREAKDOWN_PRECISION = 1e-4
LARGEST = 2.0**20


@dataclass(frozen=True)
class Breakdown:
    """The largest m at which the interval leaves out zero.

    Parameters
    ----------
    m : float
        NaN when zero is inside at m = 0 already; infinite when it is still outside at the largest m tried.
    precision : float
        Half the width of the bracket in which it was found.
    sign : int
        Of the effect below it: 1, -1, or 0 when there is none.
    note : str
        In words.
    """

    m: float
    precision: float
    sign: int
    note: str


def break_down(contains_zero: Callable[[float], bool], unit: float, estimate: float) -> Breakdown:
    """Find by doubling and halving the m from which zero is inside."""
    if contains_zero(0.0):
        return Breakdown(np.nan, 0.0, 0, "zero is inside at m = 0 already")
    sign = int(np.sign(estimate))
    low, high = 0.0, unit
    while not contains_zero(high):
        low, high = high, 2 * high
        if high > LARGEST * unit:
            return Breakdown(np.inf, 0.0, sign, f"zero is still outside at m = {low:g}")
    while high - low > 2 * BREAKDOWN_PRECISION * max(high, BREAKDOWN_PRECISION * unit):
        middle = (low + high) / 2
        low, high = (low, middle) if contains_zero(middle) else (middle, high)
    return Breakdown((low + high) / 2, (high - low) / 2, sign, "")
