"""What a test for trends before treatment would have found, and what it leaves in the effect when it finds nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtri, chndtr, fdtri

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ENDS, ESTIMATE, VCOV
from evalaid.base.errors import InferenceError
from evalaid.base.texts import join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.notebook_view import NotebookView
from evalaid.did.sensitivity.trends.coefficients import EventStudy, JointVcov, Weights, gather
from evalaid.did.sensitivity.trends.rectangle import inside_rectangle, uniform_points

Floats = NDArray[np.float64]

# The slope is found to this share of itself, far below the error of the probabilities.
SLOPE_PRECISION = 1e-10


@dataclass(frozen=True, eq=False, repr=False)
class PretrendPower(NotebookView):
    """The linear violations that a pre-test misses, and what they would do to the effect.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per test and a power (or given slope): ``test`` ("individual": some coefficient before treatment is significant;
        "joint": all together are), ``power``, ``slope`` (per period), ``bias`` (in the effect), ``conditional_bias`` (given
        that the test found nothing), ``bias_share`` (of the estimated effect), ``size`` (how often the test finds something
        when there is nothing), ``likelihood_ratio`` (of the coefficients before treatment, this slope against none),
        ``bayes_factor`` (probability of passing, this slope against none), ``power_error``, ``conditional_bias_error``
        (standard errors of the integration, of the bias at most this; 0 = exact), ``level``, ``vcov``, ``note``.
    paths : pandas.DataFrame
        By row of the table and event time, the reference included: ``test``, ``power``, ``slope``, ``event_time``,
        ``estimate``, ``conf_low``, ``conf_high``, ``violation``, ``violation_if_passed`` (mean of the coefficient without
        effect, given that the test found nothing).
    original : pandas.DataFrame
        The row of `infer` for the effect.
    weights : pandas.Series
        Of the effects, by event time.
    study : EventStudy
        Coefficients and covariance.
    points, seed : int
        Of the integration.
    """

    table: pd.DataFrame
    paths: pd.DataFrame
    original: pd.DataFrame
    weights: pd.Series
    study: EventStudy
    points: int
    seed: int

    def __repr__(self) -> str:
        return f"<PretrendPower: {len(self.table)} violations of {self.study!r}>"

    def curve(self, test: Literal["individual", "joint"] = "individual", factor: float = 1.0) -> pd.DataFrame:
        """Return the paths of one test as one frame to draw, in another unit if wanted (100 = percentage points)."""
        frame = self.paths[self.paths["test"] == test].reset_index(drop=True)
        outcome = [name for name in _PATH if name not in {"test", "power", "event_time"}]
        return frame.assign(**{name: frame[name] * factor for name in outcome})


@dataclass(frozen=True)
class _Test:
    """A pre-test: the probability of passing and the mean of the coefficients given that, by their expectation."""

    name: str
    passing: Callable[[Floats], float]
    mean_if_passed: Callable[[Floats], tuple[Floats, Floats]]
    error: Callable[[Floats], float]


def pretrend_power(
    event: Effects | EventStudy,
    *,
    power: Sequence[float] | float = (0.5, 0.8),
    slopes: Sequence[float] | float = (),
    weights: Weights | None = None,
    level: float = 0.95,
    vcov: JointVcov = "auto",
    cluster: pd.Series | None = None,
    points: int = 8192,
    seed: int = 1,
) -> PretrendPower:
    """Find the linear trend that the usual pre-test would detect with a given power, and the bias it would leave.

    Passing a test that had little chance of failing says little: the trend it would have missed half of the time may be
    as large as the effect, and having passed can make the bias larger. Assumes that the coefficients are jointly normal
    with the given covariance and that the violation is a straight line through the reference period.

    Parameters
    ----------
    event : Effects or EventStudy
        As for `honest`.
    power : float or sequence of float
        Probabilities of detection, above the size of the test and below 1.
    slopes : float or sequence of float
        Slopes whose power is asked for, in units of the outcome per period, beside those found for ``power``.
    weights : array, Series or mapping, optional
        Of the effects, as for `honest`; by default the average over event times 0 and later.
    level : float
        One minus the size of a single test, in (0.5, 1).
    vcov, cluster
        As for `honest`.
    points, seed : int
        Points of the integration over the coefficients before treatment, and the seed of their scrambling.

    Returns
    -------
    PretrendPower
        Slopes found have the sign of the estimated effect: the trend that could be taken for it.

    Raises
    ------
    InferenceError
        For a power that no slope has, and in the cases of `honest`.

    Notes
    -----
    Individual: some ``|b_t| > c se_t`` before treatment, c of the distribution in the note of the estimates; its
    probability is one minus that of a rectangle (Genz 1992), integrated with the standard error in the table. Joint:
    ``b' V^-1 b > c``, chi-squared or K F(K, G-1); exact. Given b before treatment, coefficients after it move by
    ``V_post,pre V_pre^-1``. Roth (2022), "Pretest with caution", doi:10.1257/aeri.20210236.

    Examples
    --------
    >>> study = EventStudy([-3, -2, 0, 1], [0.1, -0.2, 1.0, 1.4], np.diag([0.04, 0.03, 0.05, 0.06]))
    >>> pretrend_power(study, power=0.8).table[["test", "power", "slope", "bias"]].round(2)
             test  power  slope  bias
    0  individual    0.8   0.25  0.38
    1       joint    0.8   0.27  0.40
    """
    known = gather(event, weights, level, vcov, cluster)
    study = known.study
    wanted, given = _numbers(power), _numbers(slopes)
    estimate = float(known.original[ESTIMATE].iloc[0])
    line = (study.event_time - study.reference).astype(float)
    before = line[: study.n_pre]
    sign = -1.0 if estimate < 0 else 1.0
    # The slope that moves the steepest coefficient by one standard error is where the search begins.
    start = float((np.sqrt(np.diag(study.covariance))[: study.n_pre] / np.abs(before)).min())
    rows, paths = [], []
    for test in (_individual(study, level, points, seed), _joint(study, level)):
        size = 1 - test.passing(0 * before)
        _check_power(wanted, size, test.name)
        found = [sign * _slope_for(test, before, target, start) for target in wanted]
        for slope in [*found, *given]:
            row, path = _describe(study, known.weights, test, slope, line, size, level)
            rows.append(row)
            paths.append(path)
    table = pd.DataFrame(rows).assign(level=level, vcov=study.vcov, note=join_texts(study.notes))
    table["bias_share"] = table["bias"] / estimate
    return PretrendPower(
        table=table[_COLUMNS],
        paths=pd.concat(paths, ignore_index=True),
        original=known.original,
        weights=pd.Series(known.weights, index=pd.Index(study.event_time[study.n_pre :], name="event_time")),
        study=study,
        points=points,
        seed=seed,
    )


_COLUMNS = [
    "test",
    "power",
    "slope",
    "bias",
    "conditional_bias",
    "bias_share",
    "size",
    "likelihood_ratio",
    "bayes_factor",
    "power_error",
    "conditional_bias_error",
    "level",
    VCOV,
    "note",
]

_PATH = [
    "test",
    "power",
    "slope",
    "event_time",
    ESTIMATE,
    *ENDS,
    "violation",
    "violation_if_passed",
]


def _numbers(given: Sequence[float] | float) -> tuple[float, ...]:
    return tuple(float(number) for number in (given if isinstance(given, Iterable) else [given]))


def _check_power(wanted: tuple[float, ...], size: float, test: str) -> None:
    wrong = [f"{target:g}" for target in wanted if not size < target < 1]
    if wrong:
        raise InferenceError(
            f"power={', '.join(wrong)} found; numbers between {size:.3g} and 1 are expected: the {test} test finds something "
            f"with probability {size:.3g} when there is nothing."
        )


def _individual(study: EventStudy, level: float, points: int, seed: int) -> _Test:
    covariance = study.covariance[: study.n_pre, : study.n_pre]
    half_width = study.critical_value(level) * np.sqrt(np.diag(covariance))
    uniform = uniform_points(study.n_pre - 1, points, seed)

    def mean_if_passed(mean: Floats) -> tuple[Floats, Floats]:
        found = inside_rectangle(mean, covariance, half_width, uniform)
        return found.mean, found.mean_error

    return _Test(
        "individual",
        lambda mean: inside_rectangle(mean, covariance, half_width, uniform).probability,
        mean_if_passed,
        lambda mean: inside_rectangle(mean, covariance, half_width, uniform).probability_error,
    )


def _joint(study: EventStudy, level: float) -> _Test:
    size, freedom = study.n_pre, study.degrees_of_freedom
    inverse = np.linalg.inv(study.covariance[:size, :size])
    limit = float(chdtri(size, 1 - level) if freedom is None else size * fdtri(size, freedom, level))

    def passing(mean: Floats, extra: int = 0) -> float:
        return float(chndtr(limit, size + extra, mean @ inverse @ mean))

    def mean_if_passed(mean: Floats) -> tuple[Floats, Floats]:
        # For x ~ N(mu, I): E(x; |x|^2 <= c) = mu P(chi2(K+2, |mu|^2) <= c).
        return mean * passing(mean, 2) / passing(mean), 0 * mean

    return _Test("joint", passing, mean_if_passed, lambda _: 0.0)


def _slope_for(test: _Test, before: Floats, target: float, start: float) -> float:
    """Find the slope that the test detects with this probability, which grows with the slope."""

    def short(slope: float) -> float:
        return 1 - test.passing(slope * before) - target

    high = start
    while short(high) < 0:
        high *= 2
    return float(brentq(short, 0.0, high, xtol=SLOPE_PRECISION * high, rtol=SLOPE_PRECISION))


def _describe(
    study: EventStudy, weights: Floats, test: _Test, slope: float, line: Floats, size: float, level: float
) -> tuple[dict[str, float | str], pd.DataFrame]:
    """Describe what a violation of this slope does to the test and to the effect."""
    n_pre = study.n_pre
    violation = slope * line
    before, estimate = violation[:n_pre], study.estimate[:n_pre]
    covariance = study.covariance
    move = np.linalg.solve(covariance[:n_pre, :n_pre], covariance[:n_pre, n_pre:]).T
    passed, error = test.mean_if_passed(before)
    passed = np.concatenate([passed, violation[n_pre:] + move @ (passed - before)])
    precision = np.linalg.inv(covariance[:n_pre, :n_pre])
    fit = estimate @ precision @ estimate - (estimate - before) @ precision @ (estimate - before)
    passing = test.passing(before)
    row: dict[str, float | str] = {
        "test": test.name,
        "power": 1 - passing,
        "slope": slope,
        "bias": float(weights @ violation[n_pre:]),
        "conditional_bias": float(weights @ passed[n_pre:]),
        "size": size,
        "likelihood_ratio": float(np.exp(fit / 2)),
        "bayes_factor": passing / (1 - size),
        "power_error": test.error(before),
        "conditional_bias_error": float(np.abs(weights @ move) @ error),
    }
    half = study.critical_value(level) * np.sqrt(np.diag(covariance))
    path = pd.DataFrame({
        "event_time": study.event_time,
        ESTIMATE: study.estimate,
        CONF_LOW: study.estimate - half,
        CONF_HIGH: study.estimate + half,
        "violation": violation,
        "violation_if_passed": passed,
    })  # fmt: skip
    path.loc[len(path)] = {"event_time": study.reference, ESTIMATE: 0.0, "violation": 0.0, "violation_if_passed": 0.0}
    path = path.sort_values("event_time").assign(test=test.name, power=1 - passing, slope=slope)
    return row, path[_PATH].astype({"event_time": np.int64})
