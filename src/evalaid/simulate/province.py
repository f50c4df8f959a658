"""The province's quarterly path: drawn, given every published aggregate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.simulate.levels import EPISODES_2018, OUTSIDE_2018
from evalaid.simulate.noise import condition, correlate, draw_ar1

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Published:
    """One published aggregate of the 57 counties.

    Parameters
    ----------
    name : str
        The period in words.
    quarters : tuple of str
        The quarters it covers.
    share : float
        Per cent.
    tolerance : float
        In percentage points: half the last digit, or 0.5 for "about".
    drawn : float
        Half the width within which the value that the panel aims at is drawn.
    facts : str
        Numbers of the facts.
    """

    name: str
    quarters: tuple[str, ...]
    share: float
    tolerance: float
    drawn: float
    facts: str


def _year(year: int) -> tuple[str, ...]:
    return tuple(f"{year}Q{quarter}" for quarter in range(1, 5))


SHARE_2018 = 100 * (EPISODES_2018 - OUTSIDE_2018) / EPISODES_2018
PUBLISHED = (
    Published("2017", _year(2017), 82.4, 0.05, 0.0, "F089"),
    Published("2018", _year(2018), SHARE_2018, 0.0005, 0.0, "F085 F086 F087 F088"),
    Published("2018H1", _year(2018)[:2], 82.2, 0.05, 0.03, "F003"),
    Published("2020H1", _year(2020)[:2], 86.9, 0.05, 0.03, "F001"),
    Published("2022 (about)", _year(2022), 85.0, 0.5, 0.4, "F123"),
    Published("2024 (about)", _year(2024), 85.0, 0.5, 0.4, "F048"),
    Published("2025 (about)", _year(2025), 85.0, 0.5, 0.4, "F131"),
)

# Assumed where nothing is published: yearly level in per cent, season by quarter, lockdown, spread of common shocks.
YEARLY = {
    2016: 81.4,
    2017: 82.4,
    2018: 83.5,
    2019: 84.2,
    2020: 84.8,
    2021: 85.0,
    2022: 85.0,
    2023: 85.5,
    2024: 85.0,
    2025: 85.0,
}
SEASON = np.array([-1.3, -0.8, 0.8, 1.3])
LOCKDOWN = {"2020Q1": 4.2, "2020Q2": 2.4, "2020Q3": 0.6, "2022Q4": 0.5}
SPREAD = 0.35
PERSISTENCE = 0.7


def draw_province(rng: np.random.Generator, quarters: tuple[str, ...], episodes: NDArray[np.int64]) -> Floats:
    """Draw the aggregate share of every quarter, given the published ones.

    Assumes a smooth yearly level, a season (first half-years are lower: 82.2 in 2018H1 against 83.5 in all of 2018), a
    lockdown jump in 2020H1 and serially correlated common shocks; then moves the draw to the published values.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    quarters : tuple of str
        (T,) names.
    episodes : numpy.ndarray
        (N, T) episodes, the weights of quarters within a year.

    Returns
    -------
    numpy.ndarray
        (T,) fractions.
    """
    years = np.array(sorted(YEARLY))
    middle = np.array([int(name[:4]) + (int(name[5]) - 0.5) / 4 for name in quarters])
    level = np.interp(middle, years + 0.5, [YEARLY[year] for year in years])
    season = SEASON[[int(name[5]) - 1 for name in quarters]]
    lockdown = np.array([LOCKDOWN.get(name, 0.0) for name in quarters])
    path = level + season + lockdown + SPREAD * draw_ar1(rng, 1, len(quarters), PERSISTENCE)[0]
    weight = episodes.sum(axis=0)
    rows = np.array([np.isin(quarters, item.quarters) * weight for item in PUBLISHED], dtype=float)
    rows /= rows.sum(axis=1, keepdims=True)
    values = np.array([item.share + rng.uniform(-item.drawn, item.drawn) for item in PUBLISHED])
    return condition(path, correlate(len(quarters), PERSISTENCE), rows, values) / 100
