"""The units in which effects are reported, and the one place where a fraction becomes percentage points."""

from __future__ import annotations

import pandas as pd

from evalaid.effects import Effects

IN_UNIT = ("estimate", "std_error", "conf_low", "conf_high")
_UNITS = {"share": ("pp", 100.0), "relative": ("%", 100.0), "number": ("number", 1.0)}


def unit_of(scale: str) -> tuple[str, float]:
    """Give the unit in which effects of a scale are reported, and what they are multiplied with.

    Examples
    --------
    >>> unit_of("share"), unit_of("relative")
    (('pp', 100.0), ('%', 100.0))
    """
    return _UNITS[scale]


def in_unit(frame: pd.DataFrame, effects: Effects) -> pd.DataFrame:
    """Turn the effect columns of an inference table into percentage points or per cent, once."""
    unit, factor = unit_of(effects.scale)
    return frame.assign(**{column: frame[column] * factor for column in IN_UNIT}, unit=unit)
