"""The Guangdong roll-out: 14 early pairs in 2018, all other counties from 2020Q1, with published aggregates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.simulate import county, levels
from evalaid.simulate.county import ORDINALS, QUARTERS, YEARS, Background, Draft, Drawn, Programme
from evalaid.simulate.noise import draw_from
from evalaid.simulate.province import PUBLISHED
from evalaid.simulate.simulated_panel import SimulatedPanel, check_choice, check_number, check_seed, generator_of
from evalaid.simulate.solve import count_changes
from evalaid.simulate.target import Target, hold_against
from evalaid.simulate.truth import SHAPES, event_times, summarise_truth, unfold

Floats = NDArray[np.float64]

N_EARLY, N_BOTH = 14, 21
N_GENERAL, N_TCM = 37, 17
EARLY_STARTS = tuple(f"2018Q{quarter}" for quarter in range(1, 5))
LATE_START = "2020Q1"  # launched on 2019-12-17: the last two weeks of 2019Q4 are not counted as treated
NOTES = (
    "Simulated. The 14 early pairs are not public except Yunan: the others are drawn, low shares first.",
    "Quarterly values, sizes, covariates, supporting hospitals and experts are drawn; no source has them.",
    "No county is untreated from 2020Q1 on: effects after 2019Q4 are in the panel and cannot be told from it.",
    "Episodes move from outside to inside the county; the programme adds none.",
)


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

    Returns
    -------
    SimulatedPanel
        ``frame`` columns: ``adcode`` (text), ``county``, ``prefecture``, ``region``, ``quarter``, ``share`` (fraction),
        ``n_inside``, ``n_total``, ``n_city`` (outside the county, inside the prefecture), ``share_city`` (both, of all),
        ``population`` (10,000 persons), ``cohort`` (quarter), ``dose`` (experts posted), ``hospitals`` (1 or 2), ``supporter``
        (of the general hospital), ``supporters`` (all), covariates,
        ``neighbours`` (codes), ``neighbours_treated`` (fraction), ``base`` (resident, insured), ``true_effect`` and
        ``true_spillover`` (fractions).

    Raises
    ------
    SimulationError
        For impossible parameters, and for effects that the published figures rule out.

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

    def choose(rng: np.random.Generator, draft: Draft) -> Programme:
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
    return finish("guangdong", seed, choose, options, parameters, NOTES)


def draw_rollout(
    rng: np.random.Generator, draft: Draft, early_start: str, targeting: float
) -> tuple[Floats, dict[str, Any]]:
    """Draw the 14 early pairs, the 21 counties with a second (Chinese medicine) pair, supporters and experts.

    Assumes that low recent shares come first; Yunan is early, as published.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    draft : Draft
        The counties.
    early_start : str
        Quarter of the early start.
    targeting : float
        See `evalaid.simulate.county.Background`.

    Returns
    -------
    tuple
        (N,) cohorts as ordinals, and the columns ``dose``, ``hospitals``, ``supporter``, ``supporters``.
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
    """Give the effect of every county and quarter.

    Parameters
    ----------
    effect_pp : float
        Full effect in percentage points.
    shape, build_up : str, int
        See `simulate_guangdong`.
    cohort, dose, room : numpy.ndarray
        (N,) ordinals (NaN = never); experts; headroom in (0, 1].

    Returns
    -------
    numpy.ndarray
        (N, T) fractions.
    """
    size = room * (dose / dose[~np.isnan(cohort)].mean() if shape == "dose" else 1.0)
    return effect_pp / 100 * size[:, None] * unfold(shape, event_times(cohort, ORDINALS), build_up)


def finish(
    name: str,
    seed: int,
    choose: Callable[[np.random.Generator, Draft], Programme],
    background: Background,
    parameters: Mapping[str, Any],
    notes: tuple[str, ...],
    extra_targets: Callable[[Drawn], list[Target]] | None = None,
) -> SimulatedPanel:
    """Draw the counties of Guangdong for a programme and put the result together.

    Parameters
    ----------
    name : str
        Name of the generator.
    seed : int
        Checked seed.
    choose : callable
        Gives the programme, see `evalaid.simulate.county.draw_counties`.
    background : Background
        What else happens.
    parameters : mapping
        For the record.
    notes : tuple of str
        For the reader.
    extra_targets : callable, optional
        Published figures beyond those of the roll-out.

    Returns
    -------
    SimulatedPanel
        With the columns that `simulate_guangdong` lists.
    """
    rng = generator_of(seed)
    drawn = county.draw_counties(rng, choose, background)
    targets = list_targets(drawn, background) + (extra_targets(drawn) if extra_targets else [])
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
    return SimulatedPanel(name, frame, truth, dict(parameters), hold_against(targets), roles, notes, solved)


def lay_out_frame(rng: np.random.Generator, drawn: Drawn) -> pd.DataFrame:
    """Lay the draw out as a long frame and add drawn covariates.

    Assumes that richer, younger counties with more beds keep more of their patients; covariates do not cause the share
    here, except through the buildings and communities.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    drawn : Drawn
        From `evalaid.simulate.county.draw_counties`.

    Returns
    -------
    pandas.DataFrame
        57 x 40 rows, counties in the order of their codes.
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


def list_targets(drawn: Drawn, background: Background) -> list[Target]:
    """List the published figures of the 57 counties with their simulated values, from the counts of the panel.

    Parameters
    ----------
    drawn : Drawn
        The draw.
    background : Background
        With ``named="free"`` the county figures of other years than 2018 are left out.

    Returns
    -------
    list of Target
    """
    inside, total = drawn.inside, drawn.draft.episodes

    def share(quarters: tuple[str, ...], rows: Any = slice(None)) -> Any:
        when = np.isin(QUARTERS, quarters)
        return 100 * inside[rows][..., when].sum() / total[rows][..., when].sum()

    def by_county(quarters: tuple[str, ...]) -> Floats:
        when = np.isin(QUARTERS, quarters)
        return 100 * inside[:, when].sum(axis=1) / total[:, when].sum(axis=1)

    def year(number: int) -> tuple[str, ...]:
        return tuple(f"{number}Q{quarter}" for quarter in range(1, 5))

    targets = [
        Target(f"share, 57 counties, {item.name}", "%", item.share, share(item.quarters), item.tolerance, item.facts)
        for item in PUBLISHED
    ]
    in_2018 = YEARS == 2018
    outside = int((total - inside)[:, in_2018].sum())
    targets += [
        Target("episodes, 2018", "episodes", levels.EPISODES_2018, int(total[:, in_2018].sum()), 0, "F085"),
        Target("episodes outside the county, 2018", "episodes", levels.OUTSIDE_2018, outside, 0, "F086"),
    ]
    of_2018 = by_county(year(2018))
    for name, low, high, size in levels.TIERS:
        found = int(((of_2018 >= low) & (of_2018 < high)).sum())
        facts = {"> 90": "F092", "85-90": "F093", "80-85": "F094", "70-80": "F096"}[name]
        targets.append(Target(f"counties with a share of {name} % in 2018", "counties", size, found, 0, facts))
    below = int((of_2018 < 70).sum())
    named = int((of_2018[drawn.draft.counties["above_90"].to_numpy()] > 90).sum())
    rising, falling, flat = count_changes((of_2018 - by_county(year(2017))) / 100)
    liannan, yunan = drawn.draft.find(levels.LIANNAN), drawn.draft.find(levels.YUNAN)
    gaozhou, lianzhou = drawn.draft.find(levels.GAOZHOU), drawn.draft.find(levels.LIANZHOU)
    targets += [
        Target("counties with a share below 70 % in 2018", "counties", levels.N_BELOW_70, below, 0, "F095"),
        Target(
            "counties named above 90 % that are above it, 2018",
            "counties",
            9,
            named,
            0,
            "F092 F101 F102 F103 F104 F105 F106 F107 F108 F109",
        ),
        Target("counties rising, 2018 against 2017", "counties", 47, rising, 0, "F097"),
        Target("counties falling, 2018 against 2017", "counties", 9, falling, 0, "F097b"),
        Target("counties unchanged, 2018 against 2017", "counties", 1, flat, 0, "F097c"),
        Target("Liannan, 2018", "%", 71, of_2018[liannan], 0.5, "F036"),
        Target("Liannan, rank 2018", "rank", 46, int((of_2018 > of_2018[liannan]).sum()) + 1, 0, "F037"),
        Target("Yunan, 2018", "%", 77.7, of_2018[yunan], 0.05, "F112"),
        Target("Gaozhou, 2018 (about)", "%", 95, of_2018[gaozhou], 0.5, "F130"),
    ]
    if background.named == "published":
        counted = by_county(("2019Q1", "2019Q2", "2019Q3"))
        rank = int((counted > counted[liannan]).sum()) + 1
        targets += [
            Target("Liannan, 2019Q1-Q3 cumulative", "%", 80.1, counted[liannan], 0.05, "F038"),
            Target("Liannan, rank 2019Q1-Q3", "rank", 29, rank, 0, "F039"),
            Target("Yunan, 2019", "%", 83.3, by_county(year(2019))[yunan], 0.05, "F111"),
            Target("Gaozhou, 2016 (about)", "%", 95, by_county(year(2016))[gaozhou], 0.5, "F130"),
            Target("Gaozhou, 2017 (about)", "%", 95, by_county(year(2017))[gaozhou], 0.5, "F130"),
            Target("Lianzhou, 2025H1", "%", 92.0, by_county(("2025Q1", "2025Q2"))[lianzhou], 0.05, "F128"),
        ]
        lowest = min(float(by_county(year(number))[lianzhou]) for number in range(int(YEARS[0]), int(YEARS[-1]) + 1))
        always = int(lowest > 90)
        targets.append(Target("Lianzhou above 90 % in every year (1 = yes)", "yes", 1, always, 0, "F129"))
    return targets
