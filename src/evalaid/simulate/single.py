"""One county with an outcome of its own: the fund balance of Yangxi, the fund outflow of Xinyi."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.simulate import levels
from evalaid.simulate.geography import read_counties
from evalaid.simulate.noise import condition, correlate, draw_ar1
from evalaid.simulate.programme_figures import read_figures
from evalaid.simulate.simulated_panel import SimulatedPanel, check_choice, check_number, check_seed, generator_of
from evalaid.simulate.truth import SHAPES, event_times, summarise_truth, unfold

Floats = NDArray[np.float64]
FIGURES = read_figures("funds")
FIRST, LAST = FIGURES.assumed["years"]


def yangxi(
    effect_pp: float = 8.0, seed: int = 1, *, shape: str = "gradual", build_up: int = 3, start: int = 2019
) -> SimulatedPanel:
    """Simulate the yearly fund balance rate of 57 counties, Yangxi treated from 2019 on.

    Assumes a common path with the epidemic's surplus in 2020, county levels and serially correlated shocks; no other
    county is treated by this programme. Published: Yangxi -10.26 in 2018 and 6.68 in 2023, presented in 2019-09 (so begun
    by then). The other 56 counties are assumed altogether. What the effect does not explain of the 16.94 points is a
    shock of that county.

    Parameters
    ----------
    effect_pp : float
        Full effect on the fund balance rate (balance / revenue), percentage points.
    seed : int
        Recorded.
    shape, build_up : {"constant", "gradual", "none"}, int
        How the effect unfolds (years).
    start : int
        First treated year, 2016 to 2019 (by 2019-09 it had begun).
    """
    effect_pp = check_number("effect_pp", effect_pp, -40, 40)
    check_choice("shape", shape, SHAPES[:3])
    build_up = int(check_number("build_up", build_up, 1, 20))
    start = int(check_number("start", start, 2016, 2019))
    seed = check_seed(seed)
    rng = generator_of(seed)
    counties, years = read_counties(), np.arange(FIRST, LAST + 1)
    here = int(np.flatnonzero(counties["adcode"] == levels.YANGXI)[0])
    cohort = np.where(np.arange(len(counties)) == here, float(start), np.nan)
    effect = effect_pp * unfold(shape, event_times(cohort, years), build_up)
    size, path = FIGURES.assumed["balance"], FIGURES.assumed["balance_path"]
    level = rng.normal(size["mean"], size["sd"], len(counties))
    common = np.interp(years, list(path), list(path.values())) + rng.normal(0, size["common_sd"], len(years))
    shock = size["shock"] * draw_ar1(rng, len(counties), len(years), size["persistence"])
    rate = level[:, None] + common + shock + effect
    rate = _meet(rate, here, years, {year: FIGURES.value(f"yangxi_{year}") for year in (2018, 2023)}, effect)
    met = {f"yangxi_{year}": rate[here, years == year][0] for year in (2018, 2023)}
    parameters = {"effect_pp": effect_pp, "seed": seed, "shape": shape, "build_up": build_up, "start": start}
    return _finish("yangxi", rng, counties, years, "fund_balance", rate, cohort, effect, parameters, met)


def xinyi(effect_pp: float = -20.0, seed: int = 1, *, shape: str = "constant", build_up: int = 2) -> SimulatedPanel:
    """Simulate the yearly insurance fund outflow of 57 counties, Xinyi treated from 2023 on (plaque of 2023-02-08).

    Assumes outflow that follows a common path (low in the epidemic, a rebound in 2023) with county shocks, as an index
    with 2022 = 100 in every county. Published: the plaque's date, and Xinyi's outflow about 50 per cent lower than in 2022
    ("2023 or later": here 2023). The rank of 2022 precedes the plaque and is no outcome here.

    Parameters
    ----------
    effect_pp : float
        Full effect in points of the index, that is per cent of the outflow of 2022; negative = less outflow.
    seed : int
        Recorded.
    shape, build_up : {"constant", "gradual", "none"}, int
        How the effect unfolds (years).
    """
    effect_pp = check_number("effect_pp", effect_pp, -90, 90)
    check_choice("shape", shape, SHAPES[:3])
    build_up = int(check_number("build_up", build_up, 1, 20))
    seed = check_seed(seed)
    rng = generator_of(seed)
    counties, years = read_counties(), np.arange(FIRST, LAST + 1)
    here = int(np.flatnonzero(counties["adcode"] == levels.XINYI)[0])
    cohort = np.where(np.arange(len(counties)) == here, 2023.0, np.nan)
    effect = effect_pp * unfold(shape, event_times(cohort, years), build_up)
    size, path = FIGURES.assumed["outflow"], FIGURES.assumed["outflow_path"]
    common = np.interp(years, list(path), list(path.values()))
    index = common + size["shock"] * draw_ar1(rng, len(counties), len(years), size["persistence"]) + effect
    index += (100 - index[:, years == 2022]) * size["return"] ** np.abs(
        years - 2022
    )  # the base year of the index is 2022
    aim = FIGURES.published["xinyi_2023"]["aim"]
    half = 100 + FIGURES.value("xinyi_2023") + rng.uniform(-aim, aim)
    index = _meet(index, here, years, {2022: 100.0, 2023: half}, effect)
    met = {"xinyi_2023": index[here, years == 2023][0] - 100}
    parameters = {"effect_pp": effect_pp, "seed": seed, "shape": shape, "build_up": build_up}
    return _finish("xinyi", rng, counties, years, "fund_outflow_index", index, cohort, effect, parameters, met)


def _meet(values: Floats, here: int, years: NDArray[np.int64], published: dict[int, float], effect: Floats) -> Floats:
    """Move one county's untreated path, given that its published years come true."""
    wanted = np.array([np.isin(years, [year]) for year in published], dtype=float)
    untreated = np.array(list(published.values())) - wanted @ effect[here]
    moved = values.copy()
    path = condition(values[here] - effect[here], correlate(len(years), 0.5), wanted, untreated)
    moved[here] = path + effect[here]
    return moved


def _finish(
    name: str,
    rng: np.random.Generator,
    counties: pd.DataFrame,
    years: NDArray[np.int64],
    outcome: str,
    values: Floats,
    cohort: Floats,
    effect: Floats,
    parameters: dict[str, object],
    met: dict[str, float],
) -> SimulatedPanel:
    n_units, n_years = values.shape

    def each(items: object) -> NDArray:
        return np.repeat(np.asarray(items), n_years)

    frame = pd.DataFrame(
        {
            "adcode": each(counties["adcode"]),
            "county": each(counties["name_zh"]),
            "prefecture": each(counties["prefecture_zh"]),
            "year": np.tile(years, n_units),
            outcome: values.ravel(),
            "cohort": each(cohort),
            "log_gdp": (rng.normal(10.6, 0.25, (n_units, 1)) + 0.06 * (years - 2018)).ravel(),
            "share_65": (rng.normal(12, 1.5, (n_units, 1)) + 0.4 * (years - 2018)).ravel(),
            "true_effect": effect.ravel(),
        }
    )
    roles = {"unit": "adcode", "period": "year", "outcome": outcome, "cohort": "cohort", "outcome_unit": "number"}
    truth = summarise_truth(effect, cohort, years, "year")
    return SimulatedPanel(name, frame, truth, parameters, FIGURES.compare(met), roles, FIGURES.notes[name])
