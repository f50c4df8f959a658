"""Power: the smallest effect that a design, a method and its inference would have found, from the design's own residuals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, DISTRIBUTION, ESTIMATE, STD_ERROR
from evalaid.base.errors import EstimationError
from evalaid.base.shared_out import do_parts
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.notebook_view import NotebookView
from evalaid.did.estimators.estimation import estimate, level_free
from evalaid.did.inference.infer import infer
from evalaid.did.inference.intervals import degrees_of
from evalaid.did.panel.design import Design, check_design
from evalaid.did.sensitivity.power.process import untreated_paths
from evalaid.did.sensitivity.power.residuals import Residuals, Source, residual_source

Floats = NDArray[np.float64]
Progress = Callable[[int, int], object]

# An estimator counts as linear when an effect put in moves estimate and interval as it should, up to rounding.
LINEAR = 1e-8
# Effects shown, and those at which an estimator that is not linear is simulated again, in standard deviations of the estimate.
SHOWN = tuple(np.linspace(0.0, 4.0, 9))
STEPS = (1.0, 2.0, 2.5, 3.0, 4.0)
# The curve is read off up to here, in the same unit: beyond it any test with a usable interval finds the effect.
REACH, POINTS = 6.0, 601


@dataclass(frozen=True)
class DetectableEffect(NotebookView):
    """What the design could have found.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per effect: ``effect``, ``power`` (share of draws whose interval excludes zero), ``monte_carlo_error``. The
        row of effect 0 is the size of the test.
    effect, monte_carlo_error : float
        The smallest effect found with the stated power, interpolated, and its simulation error; NaN with a ``note`` when no
        such effect exists. In the scale of the outcome (fractions for a share).
    size : float
        Share of draws without an effect in which one is found; ``1 - level`` when the intervals are right.
    corrected : float
        The same effect when the intervals are widened or narrowed until their size is ``1 - level``; NaN for estimators
        that are not linear in the outcome.
    analytic : float
        ``(t(1 - alpha / 2) + t(power)) x standard error`` of the estimate on the data themselves, for comparison: it takes
        this standard error as right, and it has the noise of one sample.
    power, level : float
        As asked for.
    method, process, note : str
        The estimator, where the residuals come from, and what to keep in mind.
    draws, seed : int
    """

    table: pd.DataFrame
    effect: float
    monte_carlo_error: float
    size: float
    corrected: float
    analytic: float
    power: float
    level: float
    method: str
    process: str
    note: str
    draws: int
    seed: int

    def text(self) -> str:
        """Describe it in a few sentences."""
        if np.isnan(self.effect):
            return f"No minimum detectable effect of {self.method}: {self.note}."
        said = (
            f"With {self.method}, an effect of {self.effect:.4g} (simulation error {self.monte_carlo_error:.2g}) would be found "
            f"in {self.power:.0%} of samples like this one; without any effect one is found in {self.size:.1%} "
            f"({1 - self.level:.0%} when intervals are right). The formula from one standard error gives {self.analytic:.4g}."
        )
        return f"{said} Note: {self.note}." if self.note else said


def minimum_detectable_effect(
    design: Design,
    method: str,
    *,
    power: float = 0.8,
    level: float = 0.95,
    draws: int = 499,
    seed: int = 1,
    effects: Sequence[float] | None = None,
    residuals: Residuals = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> DetectableEffect:
    """Simulate the smallest effect that this design would have found with this method and its default inference.

    Panels without an effect are drawn: unit and period effects as fitted on untreated observations, plus residuals of whole
    clusters, which keeps the correlation over time and within clusters. Each is estimated and passed to `evalaid.infer`
    (``vcov="auto"``); an effect counts as found when the interval of the overall estimate excludes zero. Assumes that
    treated units vary as untreated ones do and that the effect is the same for all treated observations.

    Parameters
    ----------
    design : Design
        Units, cohorts and untreated outcomes.
    method : str
        A registered method whose cells can be averaged; ``options`` are passed on.
    power : float
        Share of samples in which the effect has to be found, in (0, 1).
    level : float
        Of the intervals.
    draws : int
        Simulated panels, at least 20. Below 30 clusters each is estimated once more without each cluster (CR3).
    seed : int
        Of the draws.
    effects : sequence of float, optional
        Effects of the table, in the scale of the outcome. Default: 0 to 4 standard deviations of the estimate.
    residuals : {"auto", "paths", "model"}
        ``paths``: residual paths of never-treated clusters, drawn with replacement, each cluster with a random sign; keeps
        whatever they hold. ``model``: Gaussian draws from a fitted process with a fading (autoregressive) and a transitory
        part and a linear trend of its own, for units and, beside it, for clusters. ``auto``: paths
        when 20 clusters have complete ones.
    progress : callable, optional
        Called with finished and all draws.

    Returns
    -------
    DetectableEffect

    Raises
    ------
    EstimationError
        When an argument is out of range, paths are asked for and there are none, or the method's overall estimate does not
        move with the effect.
    NotIdentifiedError
        When the method does not apply to the design.

    Notes
    -----
    Bloom (1995), doi:10.1177/0193841X9501900504, for the formula; Burlig, Preonas and Woerman (2020),
    doi:10.1016/j.jdeveco.2020.102458, for why serial correlation must be kept. An estimator that is linear in the outcome
    moves by the effect itself and its interval keeps its length, so one pass of draws gives the whole curve; this is
    checked on the first draw, and other estimators are simulated again, with the same draws, at each effect.

    Examples
    --------
    >>> import evalaid as ea
    >>> rng = np.random.default_rng(1)
    >>> frame = pd.DataFrame({
    ...     "county": np.repeat(np.arange(40), 6), "year": np.tile(np.arange(2015, 2021), 40),
    ...     "number": rng.normal(size=240), "first_treated": np.repeat([2018.0] * 15 + [np.nan] * 25, 6),
    ... })
    >>> design = ea.diagnose(frame, "county", "year", "number", "first_treated")
    >>> found = minimum_detectable_effect(design, "twfe", draws=99)
    >>> bool(0.4 < found.effect < 1.2), found.table["power"].is_monotonic_increasing
    (True, True)
    """
    check_design(design)
    _check(power, level, draws)
    actual = infer(estimate(design, method, **options).aggregate("overall"), level=level).iloc[0]
    design = level_free(design, options)
    source, process = residual_source(design, residuals)
    simulation = _Simulation(design, method, options, level, source)
    generator = np.random.default_rng(seed)
    states, pairs = [], []

    def drawn() -> Iterator[Floats]:
        for _ in range(draws):
            states.append(generator.bit_generator.state)
            yield source(generator)

    for done, pair in enumerate(do_parts(simulation.estimate_on, drawn()), start=1):
        pairs.append(pair)
        if progress is not None:
            progress(done, draws)
    outcomes = np.array(pairs)
    known = ~np.isnan(outcomes).any(axis=1)
    freedom = degrees_of(str(actual[DISTRIBUTION])) or np.inf
    analytic = float((stdtrit(freedom, (1 + level) / 2) + stdtrit(freedom, power)) * actual[STD_ERROR])
    common: dict[str, Any] = {
        "analytic": analytic,
        "power": power,
        "level": level,
        "method": method,
        "process": process,
    }
    common |= {"draws": draws, "seed": seed}
    if known.mean() < 0.5:
        note = f"{int((~known).sum())} of {draws} draws have no interval ({actual['note'] or 'no reason given'})"
        return DetectableEffect(_table([], [], 1), np.nan, np.nan, np.nan, np.nan, note=note, **common)
    notes = [
        *simulation.notes,
        *[f"{int((~known).sum())} of {draws} draws without an interval are left out"] * (not known.all()),
    ]
    spread = float(outcomes[known, 0].std()) / abs(simulation.slope)
    start = int(known.argmax())
    if simulation.linear(states[start], 2 * spread, outcomes[start]):
        curve = _shifted_curve(outcomes[known], simulation.slope, spread)
        shown = np.array(SHOWN) * spread if effects is None else np.asarray(effects, dtype=float)
        corrected = _shifted_curve(_resized(outcomes[known], level), simulation.slope, spread).first(power)
        points = np.unique(np.append(0.0, shown))
        table = _table(
            points, [_rejections(outcomes[known], simulation.slope * tau) for tau in points], int(known.sum())
        )
    else:
        notes.append("not linear in the outcome: simulated again at each effect")
        shown = np.array(STEPS) * spread if effects is None else np.asarray(effects, dtype=float)
        points = np.unique(np.append(0.0, shown))
        again = [np.array([simulation.replay(state, tau) for state in states]) for tau in points]
        table = _table(
            points, [_rejections(pair[~np.isnan(pair).any(axis=1)], 0.0) for pair in again], int(known.sum())
        )
        curve, corrected = _Curve(points, table["power"].to_numpy()), np.nan
    size = float(table.loc[table["effect"] == 0, "power"].iloc[0])
    if size > 1 - level + 3 * np.sqrt(level * (1 - level) / known.sum()):
        notes.append(f"the intervals exclude zero in {size:.1%} of draws without an effect: the power is overstated")
    found = curve.first(power)
    if np.isnan(found):
        notes.append(f"no effect of the table reaches a power of {power:g}")
    error = curve.error(found, power, int(known.sum()))
    return DetectableEffect(table, found, error, size, corrected, note="; ".join(notes), **common)


class _Simulation:
    """Simulated panels, each estimated and given its interval."""

    def __init__(self, design: Design, method: str, options: dict[str, Any], level: float, source: Source) -> None:
        matrices = design.matrices
        self._design, self._method, self._options, self._level, self._source = design, method, options, level, source
        self._expected, _ = untreated_paths(matrices, design.anticipation)
        start = np.where(np.isnan(matrices.cohort), np.inf, matrices.cohort)
        self._treated = (matrices.periods >= start[:, None]).astype(float)
        seen = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
        self._range = float(matrices.outcome[seen].min()), float(matrices.outcome[seen].max())
        self._cut = False
        self.notes: list[str] = []
        self.slope = self._find_slope(float(matrices.outcome[seen].std()) / 100)

    def estimate_on(self, residual: Floats, effect: float = 0.0) -> tuple[float, float]:
        """Return the estimate with these residuals and half the length of its interval; NaN where there is none."""
        try:
            found = self._estimate(self._expected + residual + effect * self._treated)
            row = infer(found, level=self._level).iloc[0]
        except EstimationError:
            return np.nan, np.nan
        return float(row[ESTIMATE]), float(row[CONF_HIGH] - row[CONF_LOW]) / 2

    def replay(self, state: Any, effect: float) -> tuple[float, float]:
        """Make one draw again, with an effect."""
        generator = np.random.default_rng()
        generator.bit_generator.state = state
        return self.estimate_on(self._source(generator), effect)

    def linear(self, state: Any, effect: float, without: Floats) -> bool:
        """Return whether an effect moves the estimate by its size and leaves the interval's length."""
        if self._cut:
            return False
        value, half = self.replay(state, effect)
        scale = abs(effect) + np.abs(without).sum()
        moved = abs(value - without[0] - self.slope * effect) < LINEAR * scale
        return bool(moved and abs(half - without[1]) < LINEAR * scale)

    def _find_slope(self, effect: float) -> float:
        """How much the overall estimate moves with an effect of one."""
        own = self._design.matrices.outcome
        try:
            self._estimate(self._expected)
        except EstimationError:
            self._cut = True
            self.notes.append("draws are cut at the range of the data, which this method needs")
        base = own if self._cut else self._expected
        found = [float(self._estimate(base + tau * self._treated).value[0]) for tau in (effect, 0.0)]
        slope = (found[0] - found[1]) / effect if effect > 0 else 0.0
        if not abs(slope) > LINEAR:
            raise EstimationError(
                f"{self._method}: an effect put into all treated observations does not move the overall estimate, so its power "
                "cannot be told in this way. Use a method that estimates the average effect on the treated, and an outcome "
                "that varies."
            )
        return slope

    def _estimate(self, outcome: Floats) -> Effects:
        matrices = self._design.matrices
        if self._cut:
            outcome = np.clip(outcome, *self._range)
        if matrices.observed is not None:
            outcome = np.where(matrices.observed, outcome, 0.0)
        drawn = replace(self._design, matrices=replace(matrices, outcome=outcome))
        return estimate(drawn, self._method, **self._options).aggregate("overall")


@dataclass(frozen=True)
class _Curve:
    """Power by effect, effects ascending from 0."""

    effect: Floats
    power: Floats

    def first(self, power: float) -> float:
        """Interpolate the first effect at which the curve reaches the power; NaN when it never does."""
        above = np.flatnonzero((self.power >= power) & (self.effect > 0))
        if not len(above) or above[0] == 0:
            return np.nan
        k = above[0]
        low, high = self.power[k - 1], self.power[k]
        share = np.clip((power - low) / (high - low), 0, 1) if high > low else 1.0
        return float(self.effect[k - 1] + share * (self.effect[k] - self.effect[k - 1]))

    def error(self, found: float, power: float, draws: int) -> float:
        """Turn the binomial error of the power into one of the effect, by the slope of the curve around it."""
        if np.isnan(found):
            return np.nan
        ends = np.interp([0.8 * found, 1.2 * found], self.effect, self.power)
        slope = (ends[1] - ends[0]) / (0.4 * found)
        return float(np.sqrt(power * (1 - power) / draws) / slope) if slope > 0 else np.nan


def _check(power: float, level: float, draws: int) -> None:
    faults = [
        f"{name}={value!r} found; a number between 0 and 1 is expected"
        for name, value in (("power", power), ("level", level))
        if not 0 < value < 1
    ]
    if isinstance(draws, bool) or draws < 20:
        faults.append(f"draws={draws!r} found; at least 20 are expected (499 is usual)")
    if faults:
        raise EstimationError("Minimum detectable effect: " + "; ".join(faults) + ".")


def _shifted_curve(outcomes: Floats, slope: float, spread: float) -> _Curve:
    """Move the estimates of a linear method by each effect of a fine grid."""
    grid = np.linspace(0.0, REACH * spread, POINTS)
    return _Curve(grid, np.array([_rejections(outcomes, slope * tau) for tau in grid]))


def _rejections(outcomes: Floats, shift: float) -> float:
    return float((np.abs(outcomes[:, 0] + shift) > outcomes[:, 1]).mean())


def _resized(outcomes: Floats, level: float) -> Floats:
    """Stretch the intervals until a share ``level`` of them holds zero."""
    value, half = outcomes.T
    return np.column_stack([value, half * np.quantile(np.abs(value) / half, level)])


def _table(effects: Sequence[float] | Floats, power: Sequence[float], draws: int) -> pd.DataFrame:
    frame = pd.DataFrame({"effect": np.asarray(effects, dtype=float), "power": np.asarray(power, dtype=float)})
    return frame.assign(monte_carlo_error=np.sqrt(frame["power"] * (1 - frame["power"]) / draws))
