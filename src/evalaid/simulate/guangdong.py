"""The Guangdong roll-out: 14 early pairs in 2018, all other counties from 2020Q1, with published aggregates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.simulate import county, levels
from evalaid.simulate.county import ORDINALS, QUARTERS, YEARS, Background, CountyDraft, Programme, SimulatedCounties
from evalaid.simulate.noise import draw_from
from evalaid.simulate.province import PROVINCE
from evalaid.simulate.simulated_panel import SimulatedPanel, check_choice, check_number, check_seed, generator_of
from evalaid.simulate.solve import count_changes
from evalaid.simulate.truth import SHAPES, event_times, summarise_truth, unfold

Floats = NDArray[np.float64]

FIGURES = levels.FIGURES
N_EARLY, N_BOTH, N_GENERAL, N_TCM = (
    FIGURES.programme[key] for key in ("early_pairs", "counties_with_two", "general_supporters", "tcm_supporters")
)
EARLY_STARTS = tuple(f"2018Q{quarter}" for quarter in range(1, 5))
LATE_START: str = FIGURES.programme["late_start"]


def simulate_guangdong(
    effect_pp: float = 2.0,
    seed: int = 1,
    *,
    shape: str = "constant",
    build_up: int = 6,
    early_start: str = "2018Q3",
    **background: Any,
) -> SimulatedPanel:
    """Simulate the 57 counties of Guangdong, 2016Q1-2025Q4, with a known effect and the published aggregates.

    Assumes one quarter for all early pairs (published: 2018), one for all others (published: 2019-12-17), no
    anticipation, and effects that shrink with the headroom where a county has less than 12 points left. Calibrated: every
    row of ``calibration``. Assumed: everything else, see `evalaid.simulate.county.Background`.

    Parameters
    ----------
    effect_pp : float
        Full effect on the share of a county with headroom, in percentage points, -10 to 10. The published aggregates hold
        for every value that a panel can be made for: they do not tell an effect of 0 from one of 4.
    seed : int
        Of the random draws; recorded.
    shape : {"constant", "gradual", "none", "dose"}
        How the effect unfolds; "dose" is constant in time and proportional to the experts posted (mean effect
        ``effect_pp`` before headroom).
    build_up : int
        Quarters until the full effect, for "gradual".
    early_start : {"2018Q1", "2018Q2", "2018Q3", "2018Q4"}
        Start of the 14 early pairs.
    **background
        See `evalaid.simulate.county.Background`.

    Notes
    -----
    ``share_it = a_i + l_i b_t + s u_it + other_it + spillover_it + effect_it``; see
    `evalaid.simulate.county.draw_counties`.

    Examples
    --------
    >>> small, large = (simulate_guangdong(effect_pp, seed=1).calibration for effect_pp in (0.0, 4.0))
    >>> small["simulated"].iloc[:4].round(1).tolist(), large["simulated"].iloc[:4].round(1).tolist()
    ([82.4, 83.5, 82.2, 86.9], [82.4, 83.5, 82.2, 86.9])
    """
    effect_pp = check_number("effect_pp", effect_pp, -10, 10)
    check_choice("shape", shape, SHAPES)
    build_up = int(check_number("build_up", build_up, 1, 40))
    check_choice("early_start", early_start, EARLY_STARTS)
    options, seed = Background.read(background), check_seed(seed)

    def choose(rng: np.random.Generator, draft: CountyDraft) -> Programme:
        cohort, columns = draw_rollout(rng, draft, early_start, options.targeting)
        effect = unfold_effect(effect_pp, shape, build_up, cohort, columns["dose"], draft.room)
        return Programme(cohort, effect, np.zeros_like(effect), columns)

    parameters = {
        "effect_pp": effect_pp,
        "seed": seed,
        "shape": shape,
        "build_up": build_up,
        "early_start": early_start,
        **options.to_dict(),
    }
    return finish("guangdong", seed, choose, options, parameters)


def draw_rollout(
    rng: np.random.Generator, draft: CountyDraft, early_start: str, targeting: float
) -> tuple[Floats, dict[str, Any]]:
    """Draw the 14 early pairs, the 21 counties with a second (Chinese medicine) pair, supporters and experts.

    Assumes that low recent shares come first; Yunan is early, as published.
    """
    n_units = len(draft.share_2018)
    chance = -targeting * draft.score / 0.06
    chance[draft.find(levels.YUNAN)] = np.inf
    early = draw_from(rng, chance, N_EARLY)
    cohort = np.full(n_units, float(ORDINALS[QUARTERS.index(LATE_START)]))
    cohort[early] = ORDINALS[QUARTERS.index(early_start)]
    both = draw_from(rng, 0.5 * targeting * -draft.score / 0.06, N_BOTH)
    hospitals = np.ones(n_units, dtype=int)
    hospitals[both] = 2
    general = np.concatenate([rng.permutation(N_GENERAL), rng.integers(0, N_GENERAL, n_units - N_GENERAL)])
    tcm = np.concatenate([rng.permutation(N_TCM), rng.integers(0, N_TCM, N_BOTH - N_TCM)])
    supporter = [f"general {number + 1:02d}" for number in general]
    supporters = list(supporter)
    for position, number in zip(both, tcm, strict=True):
        supporters[position] += f"; TCM {number + 1:02d}"
    experts = 4.0 + rng.binomial(6, 0.5, n_units) + (hospitals == 2) * (2 + rng.binomial(4, 0.5, n_units))
    names = {
        "supporter": np.array(supporter, dtype=object),
        "supporters": np.array(supporters, dtype=object),
    }
    return cohort, {"dose": experts, "hospitals": hospitals, **names}


def unfold_effect(effect_pp: float, shape: str, build_up: int, cohort: Floats, dose: Floats, room: Floats) -> Floats:
    """Compute the effect of every county and quarter."""
    size = room * (dose / dose[~np.isnan(cohort)].mean() if shape == "dose" else 1.0)
    return effect_pp / 100 * size[:, None] * unfold(shape, event_times(cohort, ORDINALS), build_up)


def finish(
    name: str,
    seed: int,
    choose: Callable[[np.random.Generator, CountyDraft], Programme],
    background: Background,
    parameters: Mapping[str, Any],
    extra: Callable[[SimulatedCounties], dict[str, float]] | None = None,
) -> SimulatedPanel:
    """Draw the counties of Guangdong for a programme and put the result together."""
    rng = generator_of(seed)
    drawn = county.draw_counties(rng, choose, background)
    met = count_published(drawn, background) | (extra(drawn) if extra else {})
    frame = lay_out_frame(rng, drawn)
    weight = frame["population"].to_numpy().reshape(drawn.share.shape)[:, 0]
    roles = {
        "unit": "adcode",
        "period": "quarter",
        "outcome": "share",
        "cohort": "cohort",
        "inside": "n_inside",
        "total": "n_total",
    }
    truth = summarise_truth(drawn.programme.effect, drawn.programme.cohort, ORDINALS, "quarter", weight)
    solved = {"shock_scale": drawn.shock_scale, "size_gradient": drawn.gradient, "attempts": drawn.attempts}
    return SimulatedPanel(
        name, frame, truth, dict(parameters), FIGURES.compare(met), roles, FIGURES.notes[name], solved
    )


def lay_out_frame(rng: np.random.Generator, drawn: SimulatedCounties) -> pd.DataFrame:
    """Lay the draw out as a long frame and add drawn covariates.

    Assumes that richer, younger counties with more beds keep more of their patients; covariates do not cause the share
    here, except through the buildings and communities.
    """
    draft, programme = drawn.draft, drawn.programme
    n_units, n_periods = drawn.share.shape
    standing = (draft.share_2018 - draft.share_2018.mean()) / draft.share_2018.std()
    noise = rng.standard_normal((4, n_units))
    year = (YEARS - 2018)[None, :]
    log_gdp = (10.5 + 0.2 * standing + 0.2 * noise[0])[:, None] + 0.06 * year
    share_65 = (12 - 0.5 * standing + 1.5 * noise[1])[:, None] + 0.4 * year
    population = draft.episodes[:, YEARS == 2018].sum(axis=1) / 1e4 / (0.115 * np.exp(0.05 * noise[2]))
    beds = (4.0 + 0.4 * standing + 0.5 * noise[3])[:, None] + 0.12 * year + 0.5 * drawn.building
    poverty = (-0.5 * standing - 0.5 * noise[0]).round(2)
    untreated = drawn.share - programme.effect - drawn.spillover
    in_city = 0.69 + 0.06 * rng.standard_normal((n_units, 1))
    n_city = draft.episodes * ((1 - untreated) * in_city - 0.8 * (programme.effect + drawn.spillover))
    outside = draft.episodes - drawn.inside
    in_the_city = np.clip(np.round(n_city), 0, outside).astype(np.int64)
    treated = np.nan_to_num(event_times(programme.cohort, ORDINALS), nan=-1.0) >= 0
    bordering = np.maximum(draft.neighbours.sum(axis=1), 1)[:, None]
    codes = draft.counties["adcode"].to_numpy()

    def each_unit(values: Any) -> Any:
        return np.repeat(np.asarray(values), n_periods)

    def cells(values: Any) -> Any:
        return np.broadcast_to(values, (n_units, n_periods)).ravel()

    labels = {float(ordinal): text for ordinal, text in zip(ORDINALS, QUARTERS, strict=True)}
    columns = {
        "adcode": each_unit(codes),
        "county": each_unit(draft.counties["name_zh"]),
        "county_en": each_unit(draft.counties["name_pinyin"]),
        "prefecture": each_unit(draft.counties["prefecture_zh"]),
        "region": each_unit(draft.counties["region_group"]),
        "quarter": np.tile(QUARTERS, n_units),
        "share": (drawn.inside / draft.episodes).ravel(),
        "n_inside": drawn.inside.ravel(),
        "n_total": draft.episodes.ravel(),
        "n_city": in_the_city.ravel(),
        "share_city": ((drawn.inside + in_the_city) / draft.episodes).ravel(),
        "population": each_unit(population.round(2)),
        "cohort": each_unit([labels.get(value) for value in programme.cohort]),
        "log_gdp": cells(log_gdp),
        "share_65": cells(share_65),
        "beds_per_1000": cells(beds),
        "poverty": each_unit(poverty),
        "new_building": cells(drawn.building),
        "tight_community": cells(drawn.community),
        "neighbours": each_unit([" ".join(codes[row]) for row in draft.neighbours]),
        "neighbours_treated": cells(draft.neighbours @ treated / bordering),
        "base": np.tile(np.where(YEARS >= 2024, "insured", "resident"), n_units),
        "true_effect": programme.effect.ravel(),
        "true_spillover": drawn.spillover.ravel() + 0.0,
    }
    for name, values in programme.columns.items():
        columns[name] = each_unit(values) if np.ndim(values) == 1 else cells(values)
    return pd.DataFrame(columns)


def count_published(drawn: SimulatedCounties, background: Background) -> dict[str, float]:
    """Compute the simulated values of the published figures; with ``named="free"`` county figures of 2018 only."""
    inside, total = drawn.inside, drawn.draft.episodes

    def share(quarters: tuple[str, ...], rows: Any = slice(None)) -> Any:
        when = np.isin(QUARTERS, quarters)
        return 100 * inside[rows][..., when].sum() / total[rows][..., when].sum()

    def by_county(quarters: tuple[str, ...]) -> Floats:
        when = np.isin(QUARTERS, quarters)
        return 100 * inside[:, when].sum(axis=1) / total[:, when].sum(axis=1)

    def year(number: int) -> tuple[str, ...]:
        return tuple(f"{number}Q{quarter}" for quarter in range(1, 5))

    def rank(values: Floats, county: int) -> int:
        return int((values > values[county]).sum()) + 1

    in_2018, of_2018 = YEARS == 2018, by_county(year(2018))
    rising, falling, flat = count_changes((of_2018 - by_county(year(2017))) / 100)
    codes = (levels.LIANNAN, levels.YUNAN, levels.GAOZHOU, levels.LIANZHOU)
    liannan, yunan, gaozhou, lianzhou = (drawn.draft.find(code) for code in codes)
    tiers = {key: FIGURES.published[key] for key in levels.TIERS}
    met: dict[str, float] = {item.key: share(item.quarters) for item in PROVINCE}
    met |= {
        "episodes": int(total[:, in_2018].sum()),
        "outside": int((total - inside)[:, in_2018].sum()),
        **{key: int(((of_2018 >= t["low"]) & (of_2018 < t["high"])).sum()) for key, t in tiers.items()},
        "below_70": int((of_2018 < 70).sum()),
        "named_above_90": int((of_2018[drawn.draft.counties["above_90"].to_numpy()] > 90).sum()),
        "rising": rising,
        "falling": falling,
        "flat": flat,
        "liannan_2018": of_2018[liannan],
        "liannan_rank_2018": rank(of_2018, liannan),
        "yunan_2018": of_2018[yunan],
        "gaozhou_2018": of_2018[gaozhou],
    }
    if background.named == "published":
        counted = by_county(("2019Q1", "2019Q2", "2019Q3"))
        lowest = min(float(by_county(year(number))[lianzhou]) for number in range(int(YEARS[0]), int(YEARS[-1]) + 1))
        met |= {
            "liannan_2019": counted[liannan],
            "liannan_rank_2019": rank(counted, liannan),
            "yunan_2019": by_county(year(2019))[yunan],
            "gaozhou_2016": by_county(year(2016))[gaozhou],
            "gaozhou_2017": by_county(year(2017))[gaozhou],
            "lianzhou_2025H1": by_county(("2025Q1", "2025Q2"))[lianzhou],
            "lianzhou_always": int(lowest > 90),
        }
    return met
