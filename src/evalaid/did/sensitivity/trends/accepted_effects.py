"""The effects that a test does not reject: a search over a window that is known to hold them, refined at both ends."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evalaid.did.sensitivity.trends.conditional import FirstStage, MomentProblem, settle

Floats = NDArray[np.float64]

# Both ends are refined between grid points this often, each time by this factor: 1,000 points become 4 million.
ROUNDS, FINER = 3, 16
# Without a first stage a set may be long: looked for up to so many standard deviations from the bounds.
WINDOW, WIDEST = 10.0, 10_240.0


def invert(
    problems: list[MomentProblem], first: FirstStage | None, size: float, points: int
) -> tuple[float, float, str]:
    """Return the smallest and largest effect that some problem does not reject."""
    problems = list(problems)

    def accepted(effects: Floats) -> NDArray[np.bool_]:
        found = np.zeros(len(effects), dtype=bool)
        for number, problem in enumerate(problems):
            left = np.flatnonzero(~found)
            if left.size:
                found[left], problems[number] = settle(problem, effects[left], size, first)
        return found

    reach = WINDOW
    while True:
        low, high, closed = _window(problems, first, reach)
        grid = np.linspace(low, high, points)
        inside = accepted(grid)
        if closed or not (inside[0] or inside[-1]) or reach >= WIDEST:
            break
        reach *= 2
    if not inside.any():
        return np.nan, np.nan, "the data reject every effect under this restriction: none of its violations fits them"
    chosen = np.flatnonzero(inside)
    ends = [
        _refine(accepted, grid[chosen[0]], grid[max(chosen[0] - 1, 0)]),
        _refine(accepted, grid[chosen[-1]], grid[min(chosen[-1] + 1, points - 1)]),
    ]
    notes = []
    if not closed:
        for place, outermost, limit in ((0, inside[0], -np.inf), (1, inside[-1], np.inf)):
            if outermost:
                ends[place] = limit
                notes.append("no end was found on one side")
    if chosen[-1] - chosen[0] + 1 > len(chosen):
        notes.append("some effects between the ends are rejected, too")
    return ends[0], ends[1], "; ".join(dict.fromkeys(notes))


def _window(problems: list[MomentProblem], first: FirstStage | None, reach: float) -> tuple[float, float, bool]:
    """Return a range outside which every problem rejects, and whether a first stage makes that certain."""
    if first is not None:
        return first.value - first.half_length, first.value + first.half_length, True
    lows, highs = [], []
    for problem in problems:
        limit = problem.critical if np.isfinite(problem.critical) else reach
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = (problem.value - limit) / problem.slope
        lows.append(ends[problem.slope > 0].max())
        highs.append(ends[problem.slope < 0].min())
    some = [(low, high) for low, high in zip(lows, highs, strict=True) if low <= high]
    if not some:
        return min(lows), max(highs), True
    return min(low for low, _ in some), max(high for _, high in some), np.isfinite(problems[0].critical)


def _refine(accepted: Callable[[Floats], NDArray[np.bool_]], inside: float, outside: float) -> float:
    """Move an end from the last accepted grid point towards the first rejected one."""
    for _ in range(ROUNDS):
        between = np.linspace(inside, outside, FINER + 1)
        good = np.flatnonzero(accepted(between))
        last = int(good.max(initial=0))
        inside, outside = float(between[last]), float(between[min(last + 1, FINER)])
    return inside
