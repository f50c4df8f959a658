"""County levels of 2018 as published: nine counties above 90 per cent, 6 / 14 / 18 / 10 below, Liannan at rank 46."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import SimulationError
from evalaid.simulate.noise import round_to_total
from evalaid.simulate.programme_figures import read_figures

Floats = NDArray[np.float64]

FIGURES = read_figures("guangdong")
EPISODES_2018, OUTSIDE_2018 = FIGURES.value("episodes"), FIGURES.value("outside")
"""Residents' episodes in 2018 and those outside the county, published in units of 10,000 (563.1 and 92.7)."""

GAOZHOU, LIANZHOU, LIANNAN, YUNAN, XINYI, YANGXI = (
    FIGURES.codes[name] for name in ("gaozhou", "lianzhou", "liannan", "yunan", "xinyi", "yangxi")
)
TIERS = ("above_90", "from_85", "from_80", "from_70")
"""Published tiers of the share of 2018, by the keys of their figures; the remaining counties lie below 70."""


@dataclass(frozen=True)
class Levels:
    """Shares and volumes of 2018.

    Parameters
    ----------
    share : numpy.ndarray
        (N,) share of 2018, fraction.
    episodes : numpy.ndarray
        (N,) residents' episodes in 2018; their sum is the published one.
    gradient : float
        How much larger (in logs) a county is per ten points of share: solved, not chosen.
    """

    share: Floats
    episodes: Floats
    gradient: float


def draw_levels(rng: np.random.Generator, counties: pd.DataFrame) -> Levels:
    """Draw the share of 2018 and the size of every county.

    Assumes that counties which no source names are spread at random over the tiers, evenly within a tier. The plain mean
    of the published distribution is near 79 and the aggregate is 83.54, so larger counties keep more of their patients;
    how much larger they are is solved for.

    Notes
    -----
    ``episodes_i ~ exp(type_i + e_i + g share_i)`` with g such that ``sum(episodes share) = 4,704,000``.
    """
    code = counties["adcode"].to_numpy()
    share = np.full(len(code), np.nan)
    share[counties["above_90"].to_numpy()] = rng.uniform(90.4, 93.8, int(counties["above_90"].sum()))
    share[code == GAOZHOU] = rng.uniform(94.7, 95.3)
    share[code == LIANZHOU] = rng.uniform(92.4, 93.2)
    share[code == YUNAN] = FIGURES.value("yunan_2018")
    share[code == LIANNAN] = liannan = rng.uniform(70.6, 71.4)
    open_places = rng.permutation(np.flatnonzero(np.isnan(share)))
    assumed, margin = FIGURES.assumed, FIGURES.assumed["margin"]
    tiers = [FIGURES.published[key] for key in TIERS[1:3]]
    drawn = [rng.uniform(tier["low"] + margin, tier["high"] - margin, tier["value"]) for tier in tiers]
    drawn.append(rng.uniform(70 + margin, liannan - margin, 1))  # rank 46 of 57 with 47 counties at 70 or more
    drawn.append(rng.uniform(liannan + margin, 80 - margin, FIGURES.value("from_70") - 3))
    drawn.append(rng.uniform(assumed["lowest"], 70 - margin, FIGURES.value("below_70")))
    share[open_places] = np.concatenate(drawn)
    size = counties["type"].str.split(" ").str[0].map(assumed["size_by_type"]).to_numpy() + rng.normal(
        0, 0.4, len(code)
    )
    goal = 100 * (EPISODES_2018 - OUTSIDE_2018) / EPISODES_2018
    low, high = -3.0, 6.0
    if not _mean(share, size, low) < goal < _mean(share, size, high):
        raise SimulationError("No relation of county size and share gives the published aggregate of 2018.")
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _mean(share, size, middle) < goal else (low, middle)
    weight = np.exp(size + low * (share - 80) / 10)
    return Levels(share / 100, EPISODES_2018 * weight / weight.sum(), low)


def draw_episodes(rng: np.random.Generator, levels: Levels, quarters: tuple[str, ...]) -> NDArray[np.int64]:
    """Spread the episodes of every county over the quarters.

    Assumes 2.5 per cent growth a year, a mild season, fewer episodes in the epidemic and a level 6 per cent lower from
    2024 on, when the base changes from residents to the insured. The programme moves episodes, it does not add any.
    """
    year = np.array([int(name[:4]) for name in quarters])
    assumed = FIGURES.assumed
    season = np.array(assumed["episodes_season"])[np.array([int(name[5]) - 1 for name in quarters])]
    epidemic = np.array([assumed["epidemic"].get(name, 1.0) for name in quarters])
    insured = np.where(year >= 2024, assumed["insured"], 1.0)
    common = season * (1 + assumed["growth"]) ** (year - 2018) * epidemic * insured
    spread = common * np.exp(rng.normal(0, 0.02, (len(levels.share), len(quarters))))
    in_2018 = year == 2018
    spread /= spread[:, in_2018].sum(axis=1, keepdims=True)
    episodes = levels.episodes[:, None] * spread
    whole = np.round(episodes).astype(np.int64)
    whole[:, in_2018] = round_to_total(episodes[:, in_2018], EPISODES_2018)
    return whole


def _mean(share: Floats, size: Floats, gradient: float) -> float:
    return float(np.average(share, weights=np.exp(size + gradient * (share - 80) / 10)))
