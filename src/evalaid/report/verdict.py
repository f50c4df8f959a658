"""The verdict on a finding, by one rule for every page: what its interval and the threats to it allow to be said."""

from __future__ import annotations

import math

# Keys of the words in the catalogue of every language (``verdict.shown``, ...).
SHOWN = "shown"
FRAGILE = "fragile"
TOO_SMALL = "too_small"
NOT_TOLD = "not_told"
NOT_IDENTIFIED = "not_identified"
NO_INTERVAL = "no_interval"
# What would matter where a study does not say it: two percentage points of a share.
SMALLEST = {"pp": 2.0}


def smallest_effect(own: float | None, unit: str) -> float:
    """Return the smallest effect of interest in the unit of the report; missing where none is stated and none is usual."""
    return own if own is not None else SMALLEST.get(unit, math.nan)


def judge_interval(
    estimate: float, low: float, high: float, smallest: float = math.nan, *, fragile: bool = False
) -> str:
    """Return the verdict on an estimate with its interval.

    An effect is shown when the interval leaves out zero; ``fragile`` says that a threat takes its sign or most of its size. It is
    too small to matter when the whole interval lies within the smallest effect of interest on either side of zero, which is two
    one-sided tests at half the error rate of the interval each (Schuirmann 1987, doi:10.1007/BF01068419).

    Examples
    --------
    >>> judge_interval(0.8, -0.6, 2.2, 2.0), judge_interval(0.2, -1.1, 1.5, 2.0), judge_interval(3.0, 1.8, 4.2, 2.0)
    ('not_told', 'too_small', 'shown')
    """
    if math.isnan(estimate):
        return NOT_IDENTIFIED
    if math.isnan(low) or math.isnan(high):
        return NO_INTERVAL
    if low > 0 or high < 0:
        return FRAGILE if fragile else SHOWN
    return TOO_SMALL if -smallest < low and high < smallest else NOT_TOLD
