"""Units that end where others begin: a change of codes or names, with the likely pairs: `find_successions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from evalaid.base.periods import recognise_periods
from evalaid.base.texts import counted
from evalaid.reading.values.comparable_names import comparable, name_text, nearest_names

MOST = 0.5
"""Where a larger part of all units ends or begins at once, the panel is a patchwork and no change of codes."""


BY_NAME = "by name"


@dataclass(frozen=True)
class Succession:
    """Units that end in one period, as many that begin in the next, and which may be which."""

    last: object  # last period of the old ones, as written
    first: object  # first period of the new ones
    pairs: Mapping[str, str]  # old unit -> the likely new one
    because: str

    def text(self) -> str:
        """Describe it in a sentence."""
        shown = ", ".join(f"{old!r}: {new!r}" for old, new in list(self.pairs.items())[:4])
        more = "" if len(self.pairs) <= 4 else ", ..."
        count = len(self.pairs)
        return (
            f"{counted(count, 'unit ends', 'units end')} in {self.last} and {counted(count, 'other begins', 'others begin')} in "
            f"{self.first}: were their codes or names changed? Likely pairs ({self.because}): {shown}{more}"
        )


def find_successions(
    frame: pd.DataFrame, unit: str, period: str, values: Sequence[str] = (), *, names: str | None = None
) -> tuple[Succession, ...]:
    """Find periods after which some units are gone and as many others there, with the likely pairs by name, else by their figures.

    Examples
    --------
    >>> years = [2020, 2021, 2022, 2023]
    >>> rows = [(u, y) for u in ("a", "b", "c") for y in years] + [("X 1", 2020), ("X 1", 2021), ("X-01", 2022), ("X-01", 2023)]
    >>> [one.pairs for one in find_successions(pd.DataFrame(rows, columns=["u", "y"]), "u", "y")]
    [{'X 1': 'X-01'}]
    """
    periods, unreadable = recognise_periods(frame[period])
    if unreadable.any():
        return ()
    shown = frame[unit].map({value: name_text(value) for value in frame[unit].unique()})
    table = pd.DataFrame({"unit": shown, "at": periods.ordinal, "shown": frame[period]})
    first = table.drop_duplicates("at")
    label = dict(zip(first["at"], first["shown"], strict=True))
    steps = sorted(label)
    limits = table.groupby("unit")["at"].agg(["min", "max"])
    found = []
    for before, after in pairwise(steps):
        old = limits.index[(limits["max"] == before) & (limits["max"] < steps[-1])]
        new = limits.index[(limits["min"] == after) & (limits["min"] > steps[0])]
        if len(old) and len(old) == len(new) and len(old) <= MOST * len(limits):
            pairs, because = _pair(list(old), list(new), frame, unit, values, names)
            if len(pairs) > 1 or because == BY_NAME:  # one unit may end, and another begin, by chance
                found.append(Succession(label[before], label[after], pairs, because))
    return tuple(found)


def _pair(
    old: list[str], new: list[str], frame: pd.DataFrame, unit: str, values: Sequence[str], names: str | None
) -> tuple[dict[str, str], str]:
    """Pair units by their names where these are alike, else by how near the last figure of one is to the first of the other."""
    shown = frame[unit].map(name_text)
    called = dict(zip(shown, frame[names].map(name_text), strict=True)) if names else {}
    by_name: dict[str, str] = {}
    free = {comparable(called.get(one, one)): [one] for one in new}
    for one in old:
        key = comparable(called.get(one, one))
        near = free.get(key) or list(nearest_names(called.get(one, one), free))[:1]
        if near:
            by_name[one] = near[0]
            free = {other: units for other, units in free.items() if units != near}
    if len(by_name) == len(old):
        return by_name, BY_NAME
    numeric = next((name for name in values if pd.api.types.is_numeric_dtype(frame[name])), None)
    if numeric is None:
        return dict(zip(sorted(old), sorted(new), strict=True)), "in their order"
    figures = {one: float(frame.loc[shown == one, numeric].dropna().iloc[-1:].mean()) for one in old}
    figures |= {one: float(frame.loc[shown == one, numeric].dropna().iloc[:1].mean()) for one in new}
    ranks = [sorted(group, key=lambda one: (np.isnan(figures[one]), figures[one])) for group in (old, new)]
    return dict(zip(*ranks, strict=True)), f"by the rank of their {numeric}"
