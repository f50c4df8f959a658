"""County-quarter panels of Guangdong for any programme: levels, shocks, other programmes, and the effect on top."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import SimulationError
from evalaid.base.periods import parse_periods
from evalaid.simulate import levels, solve
from evalaid.simulate.geography import read_counties, read_neighbours
from evalaid.simulate.noise import draw_ar1, draw_from
from evalaid.simulate.province import draw_province
from evalaid.simulate.simulated_panel import check_choice, check_number

Floats = NDArray[np.float64]

QUARTERS = tuple(f"{year}Q{quarter}" for year in range(2016, 2026) for quarter in range(1, 5))
ORDINALS = parse_periods(QUARTERS).ordinal
YEARS = np.array([int(name[:4]) for name in QUARTERS])
SHOCK, SHARED, FULL_ROOM = (levels.FIGURES.assumed[key] for key in ("shock", "shared", "full_room"))
ATTEMPTS = 60
HIGHEST, LOWEST = 0.992, 0.25
COUNTED = np.array([QUARTERS.index(f"2019Q{quarter}") for quarter in (1, 2, 3)])
LIANNAN_2019, LIANZHOU_2025 = (levels.FIGURES.fraction(key) for key in ("liannan_2019", "lianzhou_2025H1"))
ABOVE_LIANNAN = levels.FIGURES.value("liannan_rank_2019") - 1


@dataclass(frozen=True)
class Background:
    """What happens in Guangdong beside the programme under study. All of it is assumed.

    Parameters
    ----------
    trend : {"share", "log_odds"}
        The scale on which untreated counties move in parallel: on the share (damped only near the ceiling of 100 per
        cent), or on the log-odds, where counties with low shares move more.
    concurrent_pp : float
        Effect of a new hospital building (2017-2019), in percentage points; a tight community adds half of it. Both
        come earlier to counties that are also paired earlier.
    spillover : float
        Loss of share of a county, as a fraction of the mean effect in its neighbours, which now treat its residents.
    targeting : float
        How strongly low recent shares attract the programme; 0 = not at all. Recent shares hold passing shocks, so
        targeting brings regression to the mean.
    rho : float
        Correlation of the lasting shocks from one quarter to the next.
    break_pp : float
        Mean and standard deviation (over counties) of the shift of the share in 2024, when the base changes from
        residents to the insured, in percentage points; the mean is part of the province's path.
    named : {"published", "free"}
        Whether Liannan (80.1 in 2019Q1-Q3, rank 29), Yunan (83.3 in 2019), Gaozhou (95 in 2016-17) and Lianzhou (92.0
        in 2025H1) meet their published figures, or only their levels of 2018. Figures are published because they are
        high: "published" puts this selection into the panel.

    Examples
    --------
    >>> Background(spillover=0.0).trend
    'share'
    """

    trend: str = "share"
    concurrent_pp: float = 0.6
    spillover: float = 0.1
    targeting: float = 1.0
    rho: float = 0.8
    break_pp: float = 0.8
    named: str = "published"

    def __post_init__(self) -> None:
        check_choice("trend", self.trend, ("share", "log_odds"))
        check_choice("named", self.named, ("published", "free"))
        check_number("concurrent_pp", self.concurrent_pp, -5, 5)
        check_number("spillover", self.spillover, 0, 1)
        check_number("targeting", self.targeting, 0, 10)
        check_number("rho", self.rho, 0, 0.99)
        check_number("break_pp", self.break_pp, 0, 5)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Background:
        """Read options by name."""
        known = [item.name for item in fields(cls)]
        for name in given:
            if name not in known:
                close = get_close_matches(name, known, n=1)
                hint = f" (did you mean {close[0]!r}?)" if close else ""
                raise SimulationError(
                    f"Unknown parameter {name!r}{hint}; of the background there are {', '.join(known)}."
                )
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """Return all options for the record."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class CountyDraft:
    """What is known of the counties before a programme chooses among them.

    Parameters
    ----------
    counties : pandas.DataFrame
        57 rows.
    neighbours : numpy.ndarray
        (N, N) bool.
    share_2018, score : numpy.ndarray
        (N,) fractions: the share of 2018, and what a selector saw just before (with that year's passing shock).
    episodes : numpy.ndarray
        (N, T).
    room : numpy.ndarray
        (N,) in (0, 1]: headroom below 100 per cent, one from 12 points on.
    """

    counties: pd.DataFrame
    neighbours: NDArray[np.bool_]
    share_2018: Floats
    score: Floats
    episodes: NDArray[np.int64]
    room: Floats

    def find(self, adcode: str) -> int:
        """Return the position of a county."""
        return int(np.flatnonzero(self.counties["adcode"] == adcode)[0])


@dataclass(frozen=True, eq=False)
class Programme:
    """A programme among the counties.

    Parameters
    ----------
    cohort : numpy.ndarray
        (N,) ordinals, NaN = never.
    effect : numpy.ndarray
        (N, T) its effect on the share, fraction.
    other : numpy.ndarray
        (N, T) effects of further programmes of the same kind: part of the untreated path.
    columns : mapping
        (N,) or (N, T) further columns of the panel.
    """

    cohort: Floats
    effect: Floats
    other: Floats
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SimulatedCounties:
    """A finished draw: observed shares with everything that is in them (all (N, T) fractions unless said otherwise)."""

    draft: CountyDraft
    programme: Programme
    share: Floats
    spillover: Floats
    inside: NDArray[np.int64]
    building: Floats
    community: Floats
    gradient: float
    shock_scale: float
    attempts: int


def draw_counties(
    rng: np.random.Generator,
    programme: Callable[[np.random.Generator, CountyDraft], Programme],
    background: Background,
) -> SimulatedCounties:
    """Draw observed shares that meet every published figure, with the programme's effect in them.

    Assumes that the untreated path takes what the effect leaves: the larger the effect, the smaller the common rise.
    Draws are repeated (at most 60 times) until the counts that no equation can force hold, too.

    Notes
    -----
    ``share_it = a_i + l_i b_t + s u_it + other_it + spillover_it + effect_it``; a, b and the shocks behind county figures
    solve linear equations, s is set by the published 47 rising and 9 falling counties.
    """
    counties = read_counties()
    neighbours = read_neighbours(tuple(counties["adcode"]))
    reasons: dict[str, int] = {}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            drawn = _attempt(rng, counties, neighbours, programme, background)
        except SimulationError as error:
            reasons[str(error)] = reasons.get(str(error), 0) + 1
            continue
        return replace(drawn, attempts=attempt)
    often = max(reasons, key=lambda reason: reasons[reason])
    raise SimulationError(
        f"None of {ATTEMPTS} draws meets the published figures with this effect. Most often: {often} "
        "Choose a smaller effect, or a smaller concurrent_pp or break_pp."
    )


def _attempt(
    rng: np.random.Generator,
    counties: pd.DataFrame,
    neighbours: NDArray[np.bool_],
    choose: Callable[[np.random.Generator, CountyDraft], Programme],
    background: Background,
) -> SimulatedCounties:
    level = levels.draw_levels(rng, counties)
    episodes = levels.draw_episodes(rng, level, QUARTERS)
    share = level.share
    room = np.minimum(1.0, (1 - share) / FULL_ROOM)
    shocks = _draw_shocks(rng, share, episodes, background.rho)
    in_2018 = YEARS == 2018
    score = share - _mean(shocks, episodes, in_2018) + _mean(shocks, episodes, YEARS == 2017)
    draft = CountyDraft(counties, neighbours, share, score, episodes, room)
    programme = choose(rng, draft)
    building, community = _draw_concurrent(rng, draft, programme, background)
    total_effect = programme.effect + programme.other
    mean_of_neighbours = neighbours @ total_effect / np.maximum(neighbours.sum(axis=1), 1)[:, None]
    spillover = -background.spillover * mean_of_neighbours
    shift = np.where(YEARS >= 2024, rng.normal(0, background.break_pp / 100, (len(share), 1)), 0.0)
    season = 0.0025 * rng.standard_normal((len(share), 4))[:, np.arange(len(QUARTERS)) % 4]
    concurrent = background.concurrent_pp / 100 * (building + 0.5 * community)
    given = total_effect + spillover + room[:, None] * (shift + season + concurrent)
    loading = room if background.trend == "share" else share * (1 - share) / np.average(share * (1 - share))
    province = draw_province(rng, QUARTERS, episodes)
    problem = solve.Problem(episodes, loading, share, in_2018, province)
    pins = _published_pins(rng, draft) if background.named == "published" else []
    fixed, moving = solve.solve_levels(problem, [given, shocks], pins)
    scale = solve.find_shock_scale(episodes, fixed, moving, YEARS)
    observed = fixed + scale * moving
    if background.named == "published":
        observed = _rank_liannan(rng, draft, problem, given + scale * shocks, pins, observed)
    _check_range(observed, observed - programme.effect - spillover)
    inside = _count_inside(observed, episodes, in_2018)
    drawn = SimulatedCounties(
        draft, programme, observed, spillover, inside, building, community, level.gradient, scale, 0
    )
    _check_counts(drawn, background)
    return drawn


def _draw_shocks(rng: np.random.Generator, share: Floats, episodes: NDArray[np.int64], rho: float) -> Floats:
    """Draw county shocks: a lasting and a passing part, smaller near the ceiling, and binomial noise below both."""
    n_units, n_periods = episodes.shape
    size = SHOCK * np.clip(np.sqrt(share * (1 - share) / 0.1375), 0.4, 1.3)[:, None]
    lasting = draw_ar1(rng, n_units, n_periods, rho)
    passing = rng.standard_normal((n_units, n_periods))
    binomial = np.sqrt((share * (1 - share))[:, None] / episodes) * rng.standard_normal((n_units, n_periods))
    return size * (np.sqrt(SHARED) * lasting + np.sqrt(1 - SHARED) * passing) + binomial


def _draw_concurrent(
    rng: np.random.Generator, draft: CountyDraft, programme: Programme, background: Background
) -> tuple[Floats, Floats]:
    """Draw when a new building opens (2017-2019) and a tight community starts (15 counties in 2019Q3, all by 2022)."""
    n_units = len(draft.share_2018)
    early = np.nan_to_num(programme.cohort, nan=np.inf) < QUARTERS.index("2020Q1") + ORDINALS[0]
    eager = 0.6 * early - 4 * background.targeting * (draft.score - draft.score.mean())
    first, last = QUARTERS.index("2017Q1"), QUARTERS.index("2019Q4")
    late = 1 / (1 + np.exp(eager + rng.logistic(size=n_units)))
    opens = first + np.floor(late * (last - first + 1)).astype(int)
    pilots = draw_from(rng, 1.5 * eager, 15)
    starts = rng.integers(QUARTERS.index("2020Q1"), QUARTERS.index("2022Q2") + 1, n_units)
    starts[pilots] = QUARTERS.index("2019Q3")
    column = np.arange(len(QUARTERS))
    return (column >= opens[:, None]).astype(float), (column >= starts[:, None]).astype(float)


def _published_pins(rng: np.random.Generator, draft: CountyDraft) -> list[solve.Pin]:
    """Return the county figures that are published for years other than 2018."""
    near = rng.uniform(-0.003, 0.003, 2)
    gaozhou, about_95 = draft.find(levels.GAOZHOU), levels.FIGURES.fraction("gaozhou_2016")
    in_2019 = np.flatnonzero(YEARS == 2019)
    in_2025h1 = np.array([QUARTERS.index("2025Q1"), QUARTERS.index("2025Q2")])
    return [
        solve.Pin(draft.find(levels.LIANNAN), COUNTED, LIANNAN_2019, 0.98),
        solve.Pin(draft.find(levels.YUNAN), in_2019, levels.FIGURES.fraction("yunan_2019"), 0.98),
        solve.Pin(gaozhou, np.flatnonzero(YEARS == 2016), about_95 + near[0], 0.3),
        solve.Pin(gaozhou, np.flatnonzero(YEARS == 2017), about_95 + near[1], 0.3),
        solve.Pin(draft.find(levels.LIANZHOU), in_2025h1, LIANZHOU_2025, 0.9),
    ]


def _rank_liannan(
    rng: np.random.Generator,
    draft: CountyDraft,
    problem: solve.Problem,
    given: Floats,
    pins: list[solve.Pin],
    observed: Floats,
) -> Floats:
    """Bring Liannan to rank 29 in 2019Q1-Q3 by moving the counties nearest to it; shares before 2019 stay as they are."""
    named = [pin.county for pin in pins]
    weight = draft.episodes[:, COUNTED]
    moved = dict[int, float]()
    for _ in range(4):
        value = (observed[:, COUNTED] * weight).sum(axis=1) / weight.sum(axis=1)
        excess = int((np.delete(value, named[0]) > LIANNAN_2019).sum()) - ABOVE_LIANNAN
        if excess == 0:
            return observed
        order = np.argsort(value if excess > 0 else -value, kind="stable")
        beyond = [i for i in order if (value[i] > LIANNAN_2019) == (excess > 0) and i not in named and i not in moved]
        for county in beyond[: abs(excess)]:
            moved[int(county)] = LIANNAN_2019 - np.sign(excess) * rng.uniform(0.001, 0.004)
        extra = [solve.Pin(county, COUNTED, share, 0.7) for county, share in moved.items()]
        (observed,) = solve.solve_levels(problem, [given], [*pins, *extra])
    raise SimulationError("Liannan does not reach rank 29 in 2019Q1-Q3.")


def _check_range(observed: Floats, untreated: Floats) -> None:
    if min(observed.min(), untreated.min()) < LOWEST or max(observed.max(), untreated.max()) > HIGHEST:
        raise SimulationError("shares leave the range from 25 to 99.2 per cent.")


def _count_inside(share: Floats, episodes: NDArray[np.int64], in_2018: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Round to episodes; what is rounded is carried over within a county, and 2018 adds up to the published count."""
    running = np.cumsum(share * episodes, axis=1)
    inside = np.diff(np.round(running), axis=1, prepend=0.0).astype(np.int64)
    short = levels.EPISODES_2018 - levels.OUTSIDE_2018 - int(inside[:, in_2018].sum())
    largest = np.argsort(-episodes[:, in_2018].sum(axis=1), kind="stable")[: abs(short)]
    inside[largest, np.flatnonzero(in_2018)[1]] += np.sign(short)
    return inside


def _check_counts(drawn: SimulatedCounties, background: Background) -> None:
    """Check the counts of counties against those published; a draw that misses one is thrown away."""
    share, episodes = drawn.inside / drawn.draft.episodes, drawn.draft.episodes
    by_year = {year: _mean(share, episodes, year == YEARS) for year in np.unique(YEARS)}
    if solve.count_changes(by_year[2018] - by_year[2017]) != (solve.N_RISING, solve.N_FALLING, solve.N_FLAT):
        raise SimulationError("rounding to episodes moves a county across the line between rising and falling.")
    if background.named == "published":
        counted = _mean(share, episodes, np.isin(np.arange(len(QUARTERS)), COUNTED))
        if (counted > counted[drawn.draft.find(levels.LIANNAN)]).sum() != ABOVE_LIANNAN:
            raise SimulationError("rounding to episodes moves a county past Liannan.")
        lianzhou = drawn.draft.find(levels.LIANZHOU)
        if min(values[lianzhou] for values in by_year.values()) <= 0.90:
            raise SimulationError("Lianzhou falls below 90 per cent in some year.")


def _mean(values: Floats, episodes: NDArray[np.int64], when: NDArray[np.bool_]) -> Floats:
    return np.average(values, axis=1, weights=episodes * when)
