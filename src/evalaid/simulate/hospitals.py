"""Prefecture hospitals and departments: Xinjiang, Tibet, and the departments that Shanghai took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import SimulationError
from evalaid.simulate.noise import draw_ar1, draw_from, round_to_total
from evalaid.simulate.programme_figures import read_figures
from evalaid.simulate.simulated_panel import SimulatedPanel, check_choice, check_number, check_seed, generator_of
from evalaid.simulate.truth import SHAPES, event_times, summarise_truth, unfold

Floats = NDArray[np.float64]
FIGURES = read_figures("hospitals")
N_AIDED, N_OTHERS = FIGURES.value("xinjiang_aided"), FIGURES.assumed["comparison_hospitals"]
N_TAKEN, N_DEPARTMENTS = FIGURES.value("departments_taken"), FIGURES.assumed["departments"]


def xinjiang(
    effect_pp: float = 4.0, seed: int = 1, *, shape: str = "gradual", build_up: int = 3, n_others: int = N_OTHERS
) -> SimulatedPanel:
    """Simulate prefecture hospitals of Xinjiang, 2011-2019: 8 aided from 2016 on, some others not.

    Assumes the year that contains 2016-04 as the first treated one, and a common rise of difficult surgery in all
    hospitals that takes what the effect leaves of the published rise. Published: 8 hospitals, start 2016-04, 315
    experts by the end of 2018, level 3-4 surgery 35.70 per cent of operations in 2016 and 48.85 in 2018 over the aided
    hospitals. The comparison hospitals, their number, and every single hospital are assumed.

    Parameters
    ----------
    effect_pp : float
        Full effect on the share of level 3-4 surgery, percentage points.
    seed : int
        Recorded.
    shape, build_up : {"constant", "gradual", "none"}, int
        How the effect unfolds (years).
    n_others : int
        Comparison hospitals, 2 to 60.

    Examples
    --------
    >>> xinjiang(4.0, 1).calibration["simulated"].round(2).tolist()
    [8.0, 315.0, 35.7, 48.85]
    """
    effect_pp = check_number("effect_pp", effect_pp, -20, 20)
    check_choice("shape", shape, SHAPES[:3])
    build_up, n_others = int(check_number("build_up", build_up, 1, 20)), int(check_number("n_others", n_others, 2, 60))
    seed = check_seed(seed)
    rng, years, n_units = generator_of(seed), np.arange(2011, 2020), N_AIDED + n_others
    aided = np.arange(n_units) < N_AIDED
    cohort = np.where(aided, 2016.0, np.nan)
    effect = effect_pp / 100 * unfold(shape, event_times(cohort, years), build_up)
    surgery, volume, path = (FIGURES.assumed[key] for key in ("surgery", "operations", "surgery_path"))
    level = rng.normal(surgery["mean"], surgery["sd"], n_units)[:, None]
    given = level + surgery["shock"] * draw_ar1(rng, n_units, len(years), surgery["persistence"]) + effect
    operations = np.exp(rng.normal(volume["log_mean"], volume["log_sd"], n_units))[:, None]
    operations = operations * volume["growth"] ** (years - 2016)
    total = np.round(operations).astype(np.int64)
    weight = total[:N_AIDED] / total[:N_AIDED].sum(axis=0)
    aim = np.interp(years, list(path), list(path.values()))
    aim += np.where(np.isin(years, (2016, 2018)), 0.0, rng.normal(0, surgery["path_sd"], len(years)))
    # Only 2016 and 2018 are published; elsewhere the common path follows the aim without the effect.
    common = aim - (weight * (given - effect)[:N_AIDED]).sum(axis=0)
    lift = (weight * effect[:N_AIDED]).sum(axis=0)
    published = np.isin(years, (2016, 2018))
    common -= np.where(years >= 2016, np.interp(years, years[published], lift[published]), 0.0)
    share = given + common
    if share.min() < 0.02 or share.max() > 0.98:
        raise SimulationError(f"An effect of {effect_pp:g} points drives shares beyond 2 to 98 per cent: choose less.")
    inside = np.round(share * total).astype(np.int64)

    def mean(year: int) -> float:
        return float(100 * inside[:N_AIDED, years == year].sum() / total[:N_AIDED, years == year].sum())

    experts = np.zeros(n_units, dtype=int)
    experts[:N_AIDED] = _share_out(rng, FIGURES.value("xinjiang_experts"))
    met = {
        "xinjiang_aided": int(aided.sum()),
        "xinjiang_experts": int(experts.sum()),
        "surgery_2016": mean(2016),
        "surgery_2018": mean(2018),
    }
    frame = _lay_out(
        {
            "hospital": _number("X", n_units),
            "cohort": cohort,
            "experts": experts,
            "beds": rng.integers(400, 1500, n_units),
        },
        years,
        {"surgery_share": inside / total, "n_inside": inside, "n_total": total, "true_effect": effect},
    )
    roles = {"unit": "hospital", "period": "year", "outcome": "surgery_share", "cohort": "cohort"}
    roles |= {"inside": "n_inside", "total": "n_total"}
    parameters = {"effect_pp": effect_pp, "seed": seed, "shape": shape, "build_up": build_up, "n_others": n_others}
    return _finish("xinjiang", frame, effect, cohort, years, parameters, met, roles)


def tibet(effect_pp: float = 60.0, seed: int = 1, *, shape: str = "gradual", build_up: int = 5) -> SimulatedPanel:
    """Simulate the eight aided hospitals of Tibet, 2010-2021: all treated from 2015 on, so that nothing is compared.

    Assumes a rise of what hospitals can treat, programme or not. Published: 8 hospitals (1 + 7), start 2015-06, 699
    experts by the end of 2018. The outcome is assumed altogether: the published numbers of disease types are sums over the
    region, not over hospitals.

    Parameters
    ----------
    effect_pp : float
        Full effect in disease types that a hospital treats (a number, no percentage; the name is that of every generator).
    seed : int
        Recorded.
    shape, build_up : {"constant", "gradual", "none"}, int
        How the effect unfolds (years).

    Examples
    --------
    >>> tibet(60.0, 1).frame["cohort"].unique().tolist()
    [2015.0]
    """
    effect_pp = check_number("effect_pp", effect_pp, -200, 200)
    check_choice("shape", shape, SHAPES[:3])
    build_up = int(check_number("build_up", build_up, 1, 20))
    seed = check_seed(seed)
    rng, years = generator_of(seed), np.arange(2010, 2022)
    cohort = np.full(N_AIDED, 2015.0)
    effect = effect_pp * unfold(shape, event_times(cohort, years), build_up)
    size = FIGURES.assumed["disease_types"]
    level = rng.normal(size["mean"], size["sd"], N_AIDED)[:, None] + size["per_year"] * (years - 2010)
    types = level + rng.normal(0, size["common_sd"], len(years))
    types = types + size["shock"] * draw_ar1(rng, N_AIDED, len(years), size["persistence"]) + effect
    experts = _share_out(rng, FIGURES.value("tibet_experts"))
    met = {"tibet_aided": N_AIDED, "tibet_experts": int(experts.sum())}
    frame = _lay_out(
        {"hospital": _number("T", N_AIDED), "cohort": cohort, "experts": experts},
        years,
        {"disease_types": types, "true_effect": effect},
    )
    roles = {"unit": "hospital", "period": "year", "outcome": "disease_types", "cohort": "cohort"}
    roles |= {"outcome_unit": "number"}
    parameters = {"effect_pp": effect_pp, "seed": seed, "shape": shape, "build_up": build_up}
    return _finish("tibet", frame, effect, cohort, years, parameters, met, roles)


def shanghai_departments(
    effect_pp: float = 12.0,
    seed: int = 1,
    *,
    shape: str = "gradual",
    build_up: int = 2,
    start: int = 2016,
    within: float = 0.1,
) -> SimulatedPanel:
    """Simulate departments of two hospitals, 2011-2019: 20 taken by a Shanghai hospital each, 16 not.

    Assumes the start ("by the end of 2018" is published), 18 departments a hospital, that larger departments are taken
    first, and that taken departments draw beds and staff from the others of the same hospital. Published: 20 supporting
    hospitals, 2 hospitals, one department each. All volumes are assumed.

    Parameters
    ----------
    effect_pp : float
        Full effect on the discharge index (2015 = 100), points: per cent of the volume of 2015.
    seed : int
        Recorded.
    shape, build_up : {"constant", "gradual", "none"}, int
        How the effect unfolds (years).
    start : int
        First treated year, 2014 to 2018.
    within : float
        Loss of departments that were not taken, as a fraction of the mean effect in their hospital.

    Examples
    --------
    >>> panel = shanghai_departments(12.0, 1)
    >>> int(panel.frame.drop_duplicates("department")["cohort"].notna().sum())
    20
    """
    effect_pp, within = check_number("effect_pp", effect_pp, -80, 80), check_number("within", within, 0, 1)
    check_choice("shape", shape, SHAPES[:3])
    build_up, start = int(check_number("build_up", build_up, 1, 20)), int(check_number("start", start, 2014, 2018))
    seed = check_seed(seed)
    rng, years = generator_of(seed), np.arange(2011, 2020)
    hospital = np.arange(N_DEPARTMENTS) % 2
    beds = rng.integers(15, 60, N_DEPARTMENTS)
    taken = np.concatenate(
        [np.flatnonzero(hospital == h)[draw_from(rng, beds[hospital == h] / 20.0, N_TAKEN // 2)] for h in (0, 1)]
    )
    cohort = np.full(N_DEPARTMENTS, np.nan)
    cohort[taken] = start
    effect = effect_pp * unfold(shape, event_times(cohort, years), build_up)
    loss = np.zeros_like(effect)
    for one in (0, 1):
        free = (hospital == one) & np.isnan(cohort)
        loss[free] = -within * effect[hospital == one].mean(axis=0)
    size = FIGURES.assumed["discharges"]
    common = np.array(size["per_year"])[hospital][:, None] * (years - 2015)
    common = common + rng.normal(0, size["common_sd"], (2, len(years)))[hospital]
    index = 100 + common + size["shock"] * draw_ar1(rng, N_DEPARTMENTS, len(years), size["persistence"]) + effect + loss
    met = {"departments_taken": len(taken), "recipients": len(np.unique(hospital))}
    frame = _lay_out(
        {
            "department": _number("D", N_DEPARTMENTS),
            "hospital": np.array(["Kashgar No. 2", "Shigatse"])[hospital],
            "cohort": cohort,
            "beds": beds,
        },
        years,
        {"discharge_index": index, "true_effect": effect, "true_spillover": loss},
    )
    roles = {"unit": "department", "period": "year", "outcome": "discharge_index", "cohort": "cohort"}
    roles |= {"outcome_unit": "number"}
    parameters = {
        "effect_pp": effect_pp,
        "seed": seed,
        "shape": shape,
        "build_up": build_up,
        "start": start,
        "within": within,
    }
    return _finish("shanghai_departments", frame, effect, cohort, years, parameters, met, roles)


def _share_out(rng: np.random.Generator, experts: int) -> NDArray[np.int64]:
    """Share experts out among the aided hospitals, at random but not far from evenly."""
    return round_to_total(experts * rng.dirichlet(np.full(N_AIDED, 20.0)), experts)


def _number(letter: str, size: int) -> NDArray:
    return np.array([f"{letter}{number:02d}" for number in range(1, size + 1)], dtype=object)


def _lay_out(columns: dict[str, NDArray], years: NDArray, cells: dict[str, NDArray]) -> pd.DataFrame:
    n_units = len(next(iter(columns.values())))
    frame = {name: np.repeat(values, len(years)) for name, values in columns.items()}
    frame["year"] = np.tile(years, n_units)
    return pd.DataFrame(frame | {name: values.ravel() for name, values in cells.items()})


def _finish(
    name: str,
    frame: pd.DataFrame,
    effect: Floats,
    cohort: Floats,
    years: NDArray,
    parameters: dict[str, Any],
    met: Mapping[str, float],
    roles: dict[str, str],
) -> SimulatedPanel:
    truth = summarise_truth(effect, cohort, years, "year")
    return SimulatedPanel(name, frame, truth, parameters, FIGURES.compare(met), roles, FIGURES.notes[name])
