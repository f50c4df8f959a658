"""The province's quarterly path: drawn, given every published aggregate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalaid.simulate.noise import condition, correlate, draw_ar1
from evalaid.simulate.programme_figures import read_figures

Floats = NDArray[np.float64]


FIGURES = read_figures("guangdong")


@dataclass(frozen=True)
class ProvinceFigure:
    """One published aggregate of the 57 counties, in per cent; the panel aims at a value within ``aim`` of it."""

    key: str
    quarters: tuple[str, ...]
    share: float
    aim: float


def _quarters(entry: Mapping[str, Any]) -> tuple[str, ...]:
    whole = [f"{year}Q{quarter}" for year in entry.get("years", ()) for quarter in range(1, 5)]
    return (*whole, *entry.get("quarters", ()))


PROVINCE = tuple(
    ProvinceFigure(key, _quarters(entry), entry["value"], entry["aim"])
    for key, entry in FIGURES.published.items()
    if "aim" in entry
)


def draw_province(rng: np.random.Generator, quarters: tuple[str, ...], episodes: NDArray[np.int64]) -> Floats:
    """Draw the aggregate share of every quarter, given the published ones.

    Assumes a smooth yearly level, a season (first half-years are lower: 82.2 in 2018H1 against 83.5 in all of 2018), a
    lockdown jump in 2020H1 and serially correlated common shocks; then moves the draw to the published values.
    """
    assumed = FIGURES.assumed
    yearly, persistence = assumed["yearly"], assumed["persistence"]
    years = np.array(sorted(yearly))
    middle = np.array([int(name[:4]) + (int(name[5]) - 0.5) / 4 for name in quarters])
    level = np.interp(middle, years + 0.5, [yearly[year] for year in years])
    season = np.array(assumed["season"])[[int(name[5]) - 1 for name in quarters]]
    lockdown = np.array([assumed["lockdown"].get(name, 0.0) for name in quarters])
    path = level + season + lockdown + assumed["spread"] * draw_ar1(rng, 1, len(quarters), persistence)[0]
    weight = episodes.sum(axis=0)
    rows = np.array([np.isin(quarters, item.quarters) * weight for item in PROVINCE], dtype=float)
    rows /= rows.sum(axis=1, keepdims=True)
    values = np.array([item.share + rng.uniform(-item.aim, item.aim) for item in PROVINCE])
    return condition(path, correlate(len(quarters), persistence), rows, values) / 100
