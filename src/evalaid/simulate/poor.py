"""Pairings that follow poverty: 834 poor counties of the nation, and the counties of Guizhou."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import SimulationError
from evalaid.simulate.noise import draw_ar1, draw_from
from evalaid.simulate.programme_figures import read_figures
from evalaid.simulate.simulated_panel import SimulatedPanel, check_choice, check_number, check_seed, generator_of
from evalaid.simulate.truth import SHAPES, event_times, summarise_truth, unfold

Floats = NDArray[np.float64]
FIGURES = read_figures("pairings")
N_POOR, N_HOSPITALS, N_SUPPORTERS = (FIGURES.value(key) for key in ("poor", "hospitals", "supporters"))
N_COUNTIES, N_PROVINCES, NATION, ROOM = (FIGURES.assumed[key] for key in ("counties", "provinces", "nation", "room"))
N_GUIZHOU, N_ZHEJIANG = FIGURES.assumed["guizhou_counties"], FIGURES.value("zhejiang")
YEARS = np.arange(2012, 2021)


def national_pairing(
    effect_pp: float = 1.5,
    seed: int = 1,
    *,
    shape: str = "gradual",
    build_up: int = 3,
    catch_up: float = 0.4,
    targeting: float = 1.0,
) -> SimulatedPanel:
    """Simulate about 2,800 counties, 2012-2020, of which 834 poor ones are paired with a tertiary hospital from 2016 on.

    Assumes selection on poverty and on the share of 2014-15 with its passing shocks; poor counties and counties with a low
    share catch up, programme or not, so that trends are parallel only given poverty and the share of 2013 (both are
    columns). Published: 834 counties, 1,180 hospitals, 963 supporters (end of 2018), start in 2016, visit share in the
    nation 80.4 (2016) and 82.5 (2017H1, here held against the year), above 80 in the poor counties (end of 2018).
    Everything else is assumed: the number of counties, the spread, sizes, covariates, other years.

    Parameters
    ----------
    effect_pp : float
        Full effect on the visit share of a county with headroom, percentage points.
    seed : int
        Recorded.
    shape, build_up : {"constant", "gradual", "none", "dose"}, int
        How the effect unfolds (years); "dose" is proportional to the number of paired hospitals.
    catch_up : float
        Percentage points that a county one standard deviation poorer gains a year.
    targeting : float
        How strongly low recent shares attract the programme beside poverty.

    Notes
    -----
    ``share_it = a_i + room_i (b_t + (t - 2016) (c poverty_i - d share_i,2013) + effect_it) + u_it``; b and the
    slope of a in poverty solve the published aggregates.

    Examples
    --------
    >>> len(national_pairing(1.5, 1).frame)
    25200
    """
    effect_pp = check_number("effect_pp", effect_pp, -10, 10)
    check_choice("shape", shape, SHAPES)
    build_up = int(check_number("build_up", build_up, 1, 20))
    catch_up, targeting = check_number("catch_up", catch_up, -2, 2), check_number("targeting", targeting, 0, 10)
    seed = check_seed(seed)
    rng = generator_of(seed)
    poverty = rng.standard_normal(N_COUNTIES)
    level = np.minimum(0.90, 0.50 + 0.43 * rng.beta(6, 2.2, N_COUNTIES) - 0.025 * poverty)
    population = np.exp(rng.normal(3.6 - 0.25 * poverty, 0.6))
    shock = 0.015 * np.minimum(1, (1 - level) / 0.25)[:, None] * draw_ar1(rng, N_COUNTIES, len(YEARS), 0.6)
    recent = (level[:, None] + shock)[:, np.isin(YEARS, (2014, 2015))].mean(axis=1)
    poor = np.zeros(N_COUNTIES, dtype=bool)
    poor[draw_from(rng, poverty - 6 * targeting * (recent - recent.mean()), N_POOR)] = True
    hospitals = poor.astype(int)
    hospitals[draw_from(rng, np.where(poor, 0.5 * np.log(population), -np.inf), N_HOSPITALS - N_POOR)] += 1
    supporter = np.concatenate([np.arange(N_SUPPORTERS), rng.integers(0, N_SUPPORTERS, N_HOSPITALS - N_SUPPORTERS)])
    room = np.minimum(1.0, (1 - level) / ROOM)
    cohort = np.where(poor, 2016.0, np.nan)
    size = room * (hospitals / hospitals[poor].mean() if shape == "dose" else 1.0)
    effect = effect_pp / 100 * size[:, None] * unfold(shape, event_times(cohort, YEARS), build_up)
    baseline = level + shock[:, YEARS == 2013][:, 0]
    trend = catch_up / 100 * poverty - 0.02 * (baseline - baseline.mean())
    given = level[:, None] + shock + room[:, None] * trend[:, None] * (YEARS - 2016) + effect
    weight = population / population.sum()
    aim = np.interp(YEARS, list(NATION), list(NATION.values())) / 100
    aim += np.where(np.isin(YEARS, (2016, 2017)), 0.0, rng.normal(0, 0.002, len(YEARS)))
    poor_aim = 0.8 + rng.uniform(0.003, 0.012)
    share, slope = _meet(given, weight, room, (1 - level) * np.clip(poverty, -2, 2), poor, aim, poor_aim)
    if share.min() < 0.1 or share.max() >= 1:
        raise SimulationError(
            f"An effect of {effect_pp:g} points drives shares beyond 10 to 100 per cent: choose less."
        )
    total = np.round(population * 1e4 * 5)[:, None].astype(np.int64) * np.ones(len(YEARS), dtype=np.int64)
    inside = np.round(share * total).astype(np.int64)

    def mean(year: int, rows: NDArray[np.bool_]) -> float:
        column = year == YEARS
        return float(100 * inside[rows][:, column].sum() / total[rows][:, column].sum())

    everyone = np.ones(N_COUNTIES, dtype=bool)
    above = float(mean(2018, poor) > 80)
    met = {
        "poor": int(poor.sum()),
        "hospitals": int(hospitals.sum()),
        "supporters": len(np.unique(supporter)),
        "visits_2016": mean(2016, everyone),
        "visits_2017": mean(2017, everyone),
        "poor_above_80": above,
    }
    columns = {
        "county": np.char.add("C", np.char.zfill(np.arange(N_COUNTIES).astype(str), 4)),
        "province": np.char.add("P", np.char.zfill(_provinces(rng, poverty).astype(str), 2)),
        "population": population.round(2),
        "cohort": cohort,
        "dose": hospitals.astype(float),
        "hospitals": hospitals,
        "poverty": poverty,
        "log_gdp": 10.4 - 0.35 * poverty + rng.normal(0, 0.2, N_COUNTIES),
        "share_2013": inside[:, YEARS == 2013][:, 0] / total[:, YEARS == 2013][:, 0],
    }
    frame = _lay_out(columns, YEARS, {"n_inside": inside, "n_total": total, "true_effect": effect})
    frame.insert(3, "visit_share", frame["n_inside"] / frame["n_total"])
    roles: dict[str, Any] = {"unit": "county", "period": "year", "outcome": "visit_share", "cohort": "cohort"}
    roles |= {"inside": "n_inside", "total": "n_total", "covariates": ["poverty", "share_2013"]}
    parameters = {
        "effect_pp": effect_pp,
        "seed": seed,
        "shape": shape,
        "build_up": build_up,
        "catch_up": catch_up,
        "targeting": targeting,
    }
    truth = summarise_truth(effect, cohort, YEARS, "year", population)
    solved = {"level_by_poverty": slope}
    notes = FIGURES.notes["national_pairing"]
    return SimulatedPanel("national_pairing", frame, truth, parameters, FIGURES.compare(met), roles, notes, solved)


def zhejiang_guizhou(
    effect_pp: float = 2.0, seed: int = 1, *, shape: str = "gradual", build_up: int = 3, others_pp: float = 1.0
) -> SimulatedPanel:
    """Simulate the 88 counties of Guizhou, 2012-2020: 43 paired with Zhejiang from 2017 on, 45 with other provinces.

    Assumes one county for each of the 43 county-level hospitals, the first full year as the start, and that every county of
    Guizhou is paired with somebody at the same time: the effect is that of Zhejiang's pairing over the others'.
    Published: 43 county-level hospitals, the meeting of 2016-12-12. No rate of Guizhou is published: all shares are assumed.

    Parameters
    ----------
    effect_pp : float
        Full effect of Zhejiang's pairing beyond the others', percentage points of the inpatient share.
    seed : int
        Recorded.
    shape, build_up : {"constant", "gradual", "none"}, int
        How the effect unfolds (years).
    others_pp : float
        Effect of being paired at all, in every county from 2017 on: part of the untreated path.

    Examples
    --------
    >>> zhejiang_guizhou(2.0, 1).frame["county"].nunique()
    88
    """
    effect_pp, others_pp = check_number("effect_pp", effect_pp, -10, 10), check_number("others_pp", others_pp, -10, 10)
    check_choice("shape", shape, SHAPES[:3])
    build_up = int(check_number("build_up", build_up, 1, 20))
    seed = check_seed(seed)
    rng = generator_of(seed)
    poverty = rng.standard_normal(N_GUIZHOU)
    prefecture = np.arange(N_GUIZHOU) // 10  # nine prefectures of about ten counties
    favoured = rng.standard_normal(prefecture.max() + 1)[prefecture]
    paired = draw_from(rng, 2.0 * favoured + 0.5 * poverty, N_ZHEJIANG)
    cohort = np.full(N_GUIZHOU, np.nan)
    cohort[paired] = 2017.0
    size, path = FIGURES.assumed["guizhou_share"], FIGURES.assumed["guizhou_path"]
    level = rng.normal(size["mean"], size["sd"], N_GUIZHOU) + size["by_poverty"] * poverty
    level = np.clip(level, size["low"], size["high"])
    effect = effect_pp / 100 * unfold(shape, event_times(cohort, YEARS), build_up)
    common = np.interp(YEARS, list(path), list(path.values())) + others_pp / 100 * (YEARS >= 2017)
    common = common + rng.normal(0, size["common_sd"], len(YEARS))
    shock = size["shock"] * draw_ar1(rng, N_GUIZHOU, len(YEARS), size["persistence"])
    share = level[:, None] + common + shock + effect
    if share.max() > 0.995 or share.min() < 0.2:
        raise SimulationError(
            f"An effect of {effect_pp:g} points drives shares beyond 20 to 99.5 per cent: choose less."
        )
    columns = {
        "county": np.char.add("G", np.char.zfill(np.arange(N_GUIZHOU).astype(str), 2)),
        "prefecture": np.char.add("P", prefecture.astype(str)),
        "cohort": cohort,
        "poverty": poverty,
        "log_gdp": 10.2 - 0.3 * poverty + rng.normal(0, 0.2, N_GUIZHOU),
    }
    frame = _lay_out(columns, YEARS, {"share": share, "true_effect": effect})
    roles = {"unit": "county", "period": "year", "outcome": "share", "cohort": "cohort"}
    parameters = {"effect_pp": effect_pp, "seed": seed, "shape": shape, "build_up": build_up, "others_pp": others_pp}
    truth, calibration = summarise_truth(effect, cohort, YEARS, "year"), FIGURES.compare({"zhejiang": len(paired)})
    notes = FIGURES.notes["zhejiang_guizhou"]
    return SimulatedPanel("zhejiang_guizhou", frame, truth, parameters, calibration, roles, notes)


def _meet(
    given: Floats, weight: Floats, room: Floats, tilt: Floats, poor: NDArray[np.bool_], aim: Floats, poor_aim: float
) -> tuple[Floats, float]:
    """Add a common path and a tilt of levels by poverty, so that the nation's years and the poor of 2018 come true."""

    def spread(array: Floats) -> Floats:
        """Subtract the common path that brings the nation to zero."""
        return array - room[:, None] * (weight @ array / (weight @ room))

    column = int(np.flatnonzero(YEARS == 2018)[0])
    direction = spread(np.repeat(tilt[:, None], len(YEARS), axis=1))
    start = spread(given) + room[:, None] * (aim / (weight @ room))
    of_poor = weight[poor] / weight[poor].sum()
    slope = (poor_aim - of_poor @ start[poor, column]) / (of_poor @ direction[poor, column])
    return start + slope * direction, float(slope)


def _provinces(rng: np.random.Generator, poverty: Floats) -> NDArray[np.int64]:
    """Group counties so that poverty differs between provinces, too."""
    order = np.argsort(np.argsort(poverty + rng.normal(0, 1.5, len(poverty))))
    return order * N_PROVINCES // len(poverty) + 1


def _lay_out(columns: dict[str, NDArray], years: NDArray, cells: dict[str, NDArray]) -> pd.DataFrame:
    n_units = len(next(iter(columns.values())))
    frame = {name: np.repeat(values, len(years)) for name, values in columns.items()}
    frame["year"] = np.tile(years, n_units)
    frame |= {name: values.ravel() for name, values in cells.items()}
    first = [*list(columns)[:2], "year"]
    return pd.DataFrame(frame)[[*first, *(name for name in frame if name not in first)]]
