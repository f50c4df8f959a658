"""How event time and anticipation count: calendar steps, waves of equal length, or observed periods where steps are unequal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from evalaid.base.periods import labels

SHOWN = 4


@dataclass(frozen=True)
class Clock:
    """Count the periods of a panel.

    ``step`` is the number of calendar steps from one wave to the next; ``observed`` holds the panel's periods (ordinals) where
    their steps are unequal, and is empty otherwise.
    """

    step: int = 1
    origin: int = 0
    observed: tuple[int, ...] = ()

    def count(self, ordinals: Any) -> Any:
        """Return the position of periods (ordinals, NaN = none) on the clock.

        Examples
        --------
        >>> [int(read_clock(np.array(years)).count(years[-1])) for years in ([2000, 2002, 2004], [2015, 2017, 2018])]
        [2, 2]
        """
        if self.observed:
            found = np.searchsorted(self.observed, ordinals)
            return np.where(np.isnan(ordinals), np.nan, found) if np.asarray(ordinals).dtype.kind == "f" else found
        return ordinals if self.step == 1 else (ordinals - self.origin) // self.step

    def ordinal(self, count: Any) -> Any:
        """Return the period (ordinal) at a position of the clock, one calendar step each beyond the observed ones."""
        if self.observed:
            seen = np.array(self.observed)
            known = np.where(np.isnan(count), 0, count).astype(np.int64)
            inside = np.clip(known, 0, len(seen) - 1)
            found = seen[inside] + known - inside
            return np.where(np.isnan(count), np.nan, found) if np.asarray(count).dtype.kind == "f" else found
        return count if self.step == 1 else count * self.step + self.origin

    def describe(self, kind: str) -> str:
        """Return, for periods of a plain kind, what a reader must know of it; "" where it is the calendar."""
        if self.observed:
            shown = ", ".join(labels(kind, self.observed[:SHOWN])) + ("" if len(self.observed) <= SHOWN else ", ...")
            return f"steps between the observed {kind}s are unequal ({shown}): event times and anticipation count observed {kind}s, so that the last one before the start is -1"
        if self.step == 1:
            return ""
        return f"waves are {self.step} {kind}s apart: event times and anticipation count waves"


CALENDAR_STEPS = Clock()
"""The clock of a panel in which one period follows the other."""


def read_clock(periods: np.ndarray) -> Clock:
    """Find how the observed periods (ascending ordinals) follow each other.

    A step counts as the panel's own when all are multiples of it and more than half are no longer: what is left are holes.

    Examples
    --------
    >>> [read_clock(np.array(years)).step for years in ([2000, 2002, 2004, 2008], [2010, 2011, 2012, 2014])]
    [2, 1]
    """
    steps = np.diff(periods)
    if not len(steps):
        return CALENDAR_STEPS
    shortest = int(steps.min())
    if (steps % shortest).any() or 2 * np.count_nonzero(steps == shortest) <= len(steps):
        return Clock(observed=tuple(periods.tolist()))
    return CALENDAR_STEPS if shortest == 1 else Clock(shortest, int(periods[0]))
