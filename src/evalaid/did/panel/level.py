"""The level that all outcomes share: digits that it takes up are lost to the changes, so it is taken out before anything is estimated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import Matrices

# A level below about so many times the spread of the outcomes costs a digit at most.
MUCH = 16.0


def common_level(matrices: Matrices) -> float:
    """Return a number near the middle of the outcomes, zero where their level is not large beside their spread.

    It is a multiple of a power of two above the spread, so that subtracting it rounds next to nothing.
    """
    low, high = matrices.ends
    step = float(np.ldexp(MUCH, np.frexp(high - low)[1]))
    return step * float(np.rint((low + high) / 2 / step))


def without_level(design: Design) -> Design:
    """Subtract the level that all outcomes share; assumes that none is reported and that no effect depends on it."""
    matrices = design.matrices
    level = common_level(matrices)
    if level == 0:
        return design
    moved = matrices.outcome - level
    moved = moved if matrices.observed is None else np.where(matrices.observed, moved, 0.0)
    return replace(design, matrices=replace(matrices, outcome=moved))
