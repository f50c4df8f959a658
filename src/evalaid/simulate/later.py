"""Later programmes in the same 57 counties: the second round, doctors sent down, and one county by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import SimulationError
from evalaid.simulate import levels
from evalaid.simulate.county import ORDINALS, QUARTERS, YEARS, Background, CountyDraft, Programme, SimulatedCounties
from evalaid.simulate.guangdong import draw_rollout, finish, unfold_effect
from evalaid.simulate.noise import draw_from, round_to_total
from evalaid.simulate.simulated_panel import SimulatedPanel, check_choice, check_number, check_seed
from evalaid.simulate.truth import SHAPES

Floats = NDArray[np.float64]

N_HOSPITALS_FIRST, N_HOSPITALS_SECOND, PERSON_TIMES = (
    levels.FIGURES.value(key) for key in ("hospitals_first", "hospitals_second", "person_times")
)
LIANNAN_STARTS: dict[str, str | None] = levels.FIGURES.programme["liannan_starts"]
"""Candidate dates of Liannan: trusteeship, pilot, branches, community; the first lies before the panel."""


def second_round(
    effect_pp: float = 1.0,
    seed: int = 1,
    *,
    shape: str = "gradual",
    build_up: int = 4,
    first_round_pp: float = 2.0,
    start: str = "2022Q3",
    **background: Any,
) -> SimulatedPanel:
    """Simulate the second round: 78 paired hospitals in 57 counties become 113.

    Assumes that all 35 added hospitals are second hospitals of counties with one (36 counties), so that 35 counties
    change and 22 do not: 21 had two already, one keeps one. Published: 57 counties, 78 and 113 hospitals, "by
    2022-07-05" for the date, and all aggregates of `evalaid.simulate.guangdong.simulate_guangdong`. The quarter of the
    start, the first round's effect and which county stays behind are assumed.

    Parameters
    ----------
    effect_pp : float
        Full effect of the second hospital on the share, percentage points.
    seed : int
        Recorded.
    shape, build_up : {"constant", "gradual", "none", "dose"}, int
        How the effect unfolds (quarters).
    first_round_pp : float
        Effect of the first round: part of the untreated path.
    start : str
        Quarter from 2020Q2 to 2023Q4.
    **background
        See `evalaid.simulate.county.Background`.

    Examples
    --------
    >>> int(second_round(1.0, 1).frame.drop_duplicates("adcode")["cohort"].notna().sum())
    35
    """
    effect_pp = check_number("effect_pp", effect_pp, -10, 10)
    first_round_pp = check_number("first_round_pp", first_round_pp, -10, 10)
    check_choice("shape", shape, SHAPES)
    check_choice("start", start, QUARTERS[QUARTERS.index("2020Q2") : QUARTERS.index("2024Q1")])
    build_up = int(check_number("build_up", build_up, 1, 40))
    options, seed = Background.read(background), check_seed(seed)

    def choose(rng: np.random.Generator, draft: CountyDraft) -> Programme:
        first, columns = draw_rollout(rng, draft, "2018Q3", options.targeting)
        one = columns["hospitals"] == 1
        chance = np.where(one, -options.targeting * draft.score / 0.06, -np.inf)
        added = draw_from(rng, chance, N_HOSPITALS_SECOND - N_HOSPITALS_FIRST)
        cohort = np.full(len(first), np.nan)
        cohort[added] = ORDINALS[QUARTERS.index(start)]
        other = unfold_effect(first_round_pp, "constant", 1, first, columns["dose"], draft.room)
        effect = unfold_effect(effect_pp, shape, build_up, cohort, columns["dose"], draft.room)
        begun = (first[:, None] <= ORDINALS) * columns["hospitals"][:, None]
        hospitals = begun + (np.nan_to_num(cohort, nan=np.inf)[:, None] <= ORDINALS)
        labels = np.array([QUARTERS[int(value - ORDINALS[0])] for value in first], dtype=object)
        return Programme(cohort, effect, other, {**columns, "hospitals": hospitals, "first_cohort": labels})

    def count(drawn: SimulatedCounties) -> dict[str, float]:
        hospitals = drawn.programme.columns["hospitals"].sum(axis=0)
        return {"hospitals_first": hospitals[QUARTERS.index("2020Q1")], "hospitals_second": hospitals[-1]}

    parameters = {
        "effect_pp": effect_pp,
        "seed": seed,
        "shape": shape,
        "build_up": build_up,
        "first_round_pp": first_round_pp,
        "start": start,
        **options.to_dict(),
    }
    return finish("second_round", seed, choose, options, parameters, count)


def ten_thousand_doctors(
    effect_pp: float = 1.5,
    seed: int = 1,
    *,
    first_round_pp: float = 2.0,
    without: int = 8,
    **background: Any,
) -> SimulatedPanel:
    """Simulate doctors sent down to counties: a continuous dose from 2024Q1 on.

    Assumes a start in 2024Q1 (published: "in 2024"; the start is unknown), a dose that stays the same, an effect
    proportional to it, and a few counties that get none. 2024Q1 is also when the base of the indicator changes: each
    county's shift then is independent of its dose. Published: 12,000 person-times in 2024 and all aggregates of
    `evalaid.simulate.guangdong.simulate_guangdong`.

    Parameters
    ----------
    effect_pp : float
        Effect at the mean dose of the counties that get one, percentage points.
    seed : int
        Recorded.
    first_round_pp : float
        Effect of the roll-out: part of the untreated path.
    without : int
        Counties without a doctor sent, 0 to 40.
    **background
        See `evalaid.simulate.county.Background`.

    Notes
    -----
    ``effect_i = effect_pp dose_i / mean(dose)``, times the headroom.
    """
    effect_pp = check_number("effect_pp", effect_pp, -10, 10)
    first_round_pp = check_number("first_round_pp", first_round_pp, -10, 10)
    without = int(check_number("without", without, 0, 40))
    options, seed = Background.read(background), check_seed(seed)

    def choose(rng: np.random.Generator, draft: CountyDraft) -> Programme:
        first, columns = draw_rollout(rng, draft, "2018Q3", options.targeting)
        persons = draft.episodes[:, YEARS == 2018].sum(axis=1) / 0.115
        wanted = np.exp(rng.normal(0, 0.5, len(first)) - options.targeting * (draft.score - draft.score.mean()) / 0.2)
        wanted[draw_from(rng, options.targeting * draft.score / 0.06, without)] = 0
        times = round_to_total(PERSON_TIMES * wanted * persons / (wanted * persons).sum(), PERSON_TIMES)
        dose = 1e4 * times / persons
        cohort = np.where(dose > 0, float(ORDINALS[QUARTERS.index("2024Q1")]), np.nan)
        other = unfold_effect(first_round_pp, "constant", 1, first, columns["dose"], draft.room)
        effect = unfold_effect(effect_pp, "dose", 1, cohort, dose, draft.room)
        return Programme(cohort, effect, other, {**columns, "dose": dose, "person_times": times})

    def count(drawn: SimulatedCounties) -> dict[str, float]:
        return {"person_times": int(drawn.programme.columns["person_times"].sum())}

    parameters = {
        "effect_pp": effect_pp,
        "seed": seed,
        "first_round_pp": first_round_pp,
        "without": without,
        **options.to_dict(),
    }
    return finish("ten_thousand_doctors", seed, choose, options, parameters, count)


def liannan(
    effect_pp: float = 4.0,
    seed: int = 1,
    *,
    date: str = "2018-12",
    shape: str = "constant",
    build_up: int = 4,
    rollout_pp: float = 1.0,
    **background: Any,
) -> SimulatedPanel:
    """Simulate Liannan among the 57 counties: one treated county and four candidate dates.

    Assumes that one of the dates is the true one; the province-wide roll-out goes on beside it. Published: Liannan 71 in
    2018 (rank 46), 80.1 in 2019Q1-Q3 (rank 29), and all aggregates of
    `evalaid.simulate.guangdong.simulate_guangdong`. What the effect does not explain of the 9.1 points is a shock of
    that county, so a single county cannot show its effect however it is estimated.

    Parameters
    ----------
    effect_pp : float
        Full effect in Liannan, percentage points.
    seed : int
        Recorded.
    date : {"2017-07", "2018-12", "2020-01"}
        The true date. The trusteeship of 2014 lies before the panel and cannot be taken.
    shape, build_up : {"constant", "gradual", "none", "dose"}, int
        How the effect unfolds (quarters).
    rollout_pp : float
        Effect of the province-wide programme on every county, part of the untreated path.
    **background
        See `evalaid.simulate.county.Background`.
    """
    if date == "2014":
        raise SimulationError(
            "Found date='2014': the panel begins in 2016Q1, so a start in 2014 leaves Liannan treated throughout and "
            "nothing to compare. Choose '2017-07', '2018-12' or '2020-01'."
        )
    starts = {name: start for name, start in LIANNAN_STARTS.items() if start is not None}
    check_choice("date", date, tuple(starts))
    effect_pp = check_number("effect_pp", effect_pp, -20, 20)
    rollout_pp = check_number("rollout_pp", rollout_pp, -10, 10)
    check_choice("shape", shape, SHAPES)
    build_up = int(check_number("build_up", build_up, 1, 40))
    options, seed = Background.read(background), check_seed(seed)

    def choose(rng: np.random.Generator, draft: CountyDraft) -> Programme:
        first, columns = draw_rollout(rng, draft, "2018Q3", options.targeting)
        here = draft.find(levels.LIANNAN)
        cohort = np.full(len(first), np.nan)
        cohort[here] = ORDINALS[QUARTERS.index(starts[date])]
        effect = unfold_effect(effect_pp, shape, build_up, cohort, columns["dose"], draft.room)
        other = unfold_effect(rollout_pp, "constant", 1, first, columns["dose"], draft.room)
        for name, start in starts.items():
            candidate = np.full(len(first), None, dtype=object)
            candidate[here] = start
            columns[f"cohort_{name.replace('-', '_')}"] = candidate
        return Programme(cohort, effect, other, columns)

    parameters = {
        "effect_pp": effect_pp,
        "seed": seed,
        "date": date,
        "shape": shape,
        "build_up": build_up,
        "rollout_pp": rollout_pp,
        **options.to_dict(),
    }
    return finish("liannan", seed, choose, options, parameters)
