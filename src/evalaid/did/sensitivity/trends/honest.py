"""Intervals for an effect when trends may diverge by no more than a stated amount (Rambachan and Roth 2023)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from evalaid.base.effect_columns import DISTRIBUTION, ENDS, ESTIMATE, N_CLUSTERS, STD_ERROR, VCOV
from evalaid.base.errors import InferenceError
from evalaid.base.texts import join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.notebook_view import NotebookView
from evalaid.did.sensitivity.trends.accepted_effects import invert
from evalaid.did.sensitivity.trends.breakdown import Breakdown, break_down
from evalaid.did.sensitivity.trends.coefficients import EventStudy, JointVcov, Weights, gather
from evalaid.did.sensitivity.trends.conditional import FirstStage, MomentProblem, least_favourable, pose, settle
from evalaid.did.sensitivity.trends.corners import Corners, find_corners
from evalaid.did.sensitivity.trends.flci import Interval, Path, shortest, trace
from evalaid.did.sensitivity.trends.inequalities import state
from evalaid.did.sensitivity.trends.restrictions import Kind, Restriction, Shape, identify, restrict

Floats = NDArray[np.float64]
HonestMethod = Literal["FLCI", "C-LF", "C-F", "conditional"]

RELATIVE = (0.0, 0.5, 1.0, 1.5, 2.0)
IN_STD_ERRORS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Share of the error rate that the first stage of a hybrid test may use (Rambachan and Roth 2023, section 3.4).
FIRST_STAGE = 0.1
FEWEST_DRAWS = 16


_CURVE = [
    "kind",
    "m",
    ESTIMATE,
    *ENDS,
    "identified_low",
    "identified_high",
    "restriction",
    "breakdown",
]


@dataclass(frozen=True, eq=False, repr=False)
class HonestBounds(NotebookView):
    """The intervals of an effect by how far trends may diverge.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per m: ``m``, ``conf_low``, ``conf_high``, ``identified_low``, ``identified_high`` (the effects that agree with
        the restriction if the coefficients were known without error; missing when none does), ``method``, ``level``,
        ``vcov``, ``distribution``, ``n_clusters``, ``note``.
    original : pandas.DataFrame
        The row of `infer` under exactly parallel trends.
    breakdown : Breakdown
        The largest m at which the effect still has a sign.
    restriction, shape, method
        As asked for; ``method`` is the one used.
    weights : pandas.Series
        Of the effects, by event time.
    study : EventStudy
        Coefficients and covariance.
    m_before : float
        For ``smoothness``: the largest change of slope that the estimates before treatment do not rule out (upper limit,
        one-sided at ``level``); a smaller m assumes more smoothness after treatment than they show. NaN otherwise, and with
        one coefficient before the reference.
    points, draws, seed : int
        Grid points searched, draws behind the least favourable critical values, and their seed; 0 where none were used.
    """

    table: pd.DataFrame
    original: pd.DataFrame
    breakdown: Breakdown
    restriction: str
    shape: str | None
    method: str
    weights: pd.Series
    study: EventStudy
    m_before: float
    points: int
    draws: int
    seed: int

    def __repr__(self) -> str:
        shape = f", {self.shape}" if self.shape else ""
        return f"<HonestBounds: {self.restriction}{shape}, {self.method}, {len(self.table)} values of m>"

    def curve(self, factor: float = 1.0) -> pd.DataFrame:
        """Return the intervals with the usual one as one frame to draw, in another unit if wanted (100 = percentage points)."""
        usual = self.original[[ESTIMATE, *ENDS]].assign(kind="usual")
        bounds = self.table[["m", *ENDS, "identified_low", "identified_high"]].assign(kind="bounds")
        frame = pd.concat([usual, bounds], ignore_index=True).assign(breakdown=self.breakdown.m)
        relative = {"m", "breakdown"} if self.restriction != "smoothness" else set()
        outcome = [name for name in _CURVE if name not in {"kind", "restriction", *relative}]
        scaled = frame.assign(**{name: frame[name] * factor for name in outcome})
        return scaled.assign(restriction=self.restriction)[_CURVE]


def honest(
    event: Effects | EventStudy,
    restriction: Kind = "relative_magnitude",
    m: Sequence[float] | float | None = None,
    *,
    weights: Weights | None = None,
    shape: Shape | None = None,
    method: HonestMethod | None = None,
    level: float = 0.95,
    vcov: JointVcov = "auto",
    cluster: pd.Series | None = None,
    points: int = 1000,
    draws: int = 1000,
    seed: int = 1,
    progress: Callable[[int, int], object] | None = None,
) -> HonestBounds:
    """Bound an effect when trends after treatment may diverge by no more than a stated amount.

    Instead of parallel trends, assumes that the difference in trends between treated and comparison units after treatment
    is limited by what is seen before it, m times, or is smooth up to m. Assumes further that the coefficients are jointly
    normal with the given covariance (with a t distribution, the covariance is scaled by the squared ratio of the t and the
    normal critical value, so that m = 0 agrees with the usual interval).

    Parameters
    ----------
    event : Effects or EventStudy
        Estimates by event time that are deviations from one reference period: ``effects.aggregate("event_time")``, method
        ``event_study``, or published coefficients with their covariance.
    restriction : {"relative_magnitude", "smoothness", "relative_smoothness"}
        ``relative_magnitude``: from one period to the next the violation changes by at most m times its largest change
        before treatment. ``smoothness``: its slope changes by at most m (unit of the outcome) from one period to the next; m =
        0 is a linear trend. ``relative_smoothness``: its slope changes by at most m times the largest change of slope before.
    m : float or sequence of float, optional
        0 or above; by default 0 to 2, for smoothness 0 to one standard error of the effect.
    weights : array, Series or mapping, optional
        Of the effects at event times 0 and later: one a period, or by event time; by default their plain average.
    shape : {"positive", "negative", "increasing", "decreasing"}, optional
        What is known of the violation (not of the effect) after the reference period: its sign, or that it does not fall or
        rise. Before it nothing is imposed.
    method : {"FLCI", "C-LF", "C-F", "conditional"}, optional
        ``FLCI``: shortest interval of fixed length; smoothness without shape, where it is the default unless clusters are
        few (below 30, or below 10 treated). ``C-LF``: conditional test after a least favourable one; the default elsewhere.
        ``C-F``: conditional test after an FLCI (smoothness). ``conditional``: the conditional test alone, without simulation.
    level : float
        Coverage, in (0.5, 1).
    vcov, cluster
        Covariance from the influence of clusters, as in `infer`; ``auto``, ``reference``, ``CR0``, ``CR1`` or ``CR3``.
    points : int
        Values of the effect tested at each m before both ends are refined.
    draws, seed : int
        Of the least favourable critical value. With 1,000 draws ends move by about 0.01 standard errors between seeds.
    progress : callable, optional
        Called with (values of m done, all).

    Returns
    -------
    HonestBounds

    Raises
    ------
    InferenceError
        For a negative m, event times with gaps, no periods before treatment, estimates that are no deviations from one
        reference period, a singular covariance, or a method that does not apply.

    Notes
    -----
    Moment inequalities that hold no coefficient after treatment are not used by the tests, as in R ``HonestDiD``. There,
    critical values are simulated with 1,000 draws and intervals are read off the grid. With few clusters the covariance is
    itself noisy: in simulations with five coefficients C-LF held the effect in 94% of samples with 20 clusters, 6 of them
    treated, and the FLCI, whose weights are fitted to that covariance, in 89%; with 40 clusters, 20 treated, both in 94%. With a
    shape that adds rows to the inequalities (all but a monotone one under ``relative_magnitude``) and more than six periods
    after treatment, the corners that matter are found by linear programmes (HiGHS): about 2 seconds for each m with 12
    periods after and 8 before. Rambachan and Roth
    (2023), "A more credible approach to parallel trends", doi:10.1093/restud/rdad018.

    Examples
    --------
    >>> import numpy as np
    >>> study = EventStudy([-3, -2, 0, 1], [0.1, -0.2, 1.0, 1.4], np.diag([0.04, 0.03, 0.05, 0.06]))
    >>> bounds = honest(study, "smoothness", m=[0, 0.1])
    >>> bounds.table[["m", "conf_low", "conf_high", "method"]].round(2)
         m  conf_low  conf_high method
    0  0.0      0.77       1.59   FLCI
    1  0.1      0.54       1.74   FLCI
    """
    known = gather(event, weights, level, vcov, cluster)
    study = known.study
    limits = restrict(restriction, shape, study.n_pre, study.n_post)
    used, remark = _choose_method(method, limits, known.few)
    values = _check_m(m, limits, float(known.original[STD_ERROR].iloc[0]))
    if points < 2 or draws < FEWEST_DRAWS:
        raise InferenceError(
            f"points={points}, draws={draws} found; at least 2 points and {FEWEST_DRAWS} draws are expected."
        )
    inflation = study.critical_value(level) / float(ndtri((1 + level) / 2))
    covariance = study.covariance * inflation**2
    analysis = _Analysis(limits, known.weights, study.estimate, covariance, used, level, points, draws, seed)
    rows = []
    for value in values:
        low, high, note = analysis.interval(value)
        inside = identify(limits, study.estimate, known.weights, value)
        rows.append((value, low, high, inside.low, inside.high, join_texts((note, inside.reason))))
        if progress is not None:
            progress(len(rows), len(values))
    table = pd.DataFrame(rows, columns=["m", *ENDS, "identified_low", "identified_high", "note"])
    described = {
        "method": used,
        "level": level,
        VCOV: study.vcov,
        DISTRIBUTION: known.original[DISTRIBUTION].iloc[0],
        N_CLUSTERS: study.n_clusters,
        "note": [join_texts((note, remark, *study.notes)) for note in table["note"]],
    }
    unit = float(known.original[STD_ERROR].iloc[0]) if restriction == "smoothness" else 1.0
    return HonestBounds(
        table=table.drop(columns="note").assign(**described),
        original=known.original,
        breakdown=break_down(analysis.contains_zero, unit, float(known.original[ESTIMATE].iloc[0])),
        restriction=restriction,
        shape=shape,
        method=used,
        weights=pd.Series(known.weights, index=pd.Index(study.event_time[study.n_pre :], name="event_time")),
        study=study,
        m_before=_limit_before(limits, study.estimate, covariance, level),
        points=0 if used == "FLCI" else points,
        draws=draws if used == "C-LF" else 0,
        seed=seed if used == "C-LF" else 0,
    )


def _limit_before(limits: Restriction, estimate: Floats, covariance: Floats, level: float) -> float:
    """Return the largest upper limit, each one-sided, of a change of slope before treatment (R's ``DeltaSD_upperBound_Mpre``)."""
    steps = limits.pre_steps
    if limits.kind != "smoothness" or not len(steps):
        return float("nan")
    spread = np.sqrt(((steps @ covariance) * steps).sum(axis=1))
    return float((np.abs(steps @ estimate) + ndtri(level) * spread).max())


def _choose_method(method: HonestMethod | None, limits: Restriction, few: str) -> tuple[HonestMethod, str]:
    """Take the method asked for, or the default; say what few clusters mean for it."""
    plain = limits.kind == "smoothness" and limits.shape is None
    if method is None:
        if plain and few:
            return "C-LF", f"C-LF, because the weights of an FLCI would follow the noise of a covariance from {few}"
        return ("FLCI" if plain else "C-LF"), ""
    if method not in get_args(HonestMethod):
        raise InferenceError(f"method={method!r} is not a choice; choose {', '.join(get_args(HonestMethod))}.")
    if method == "FLCI" and not plain:
        why = "would be as long as without the shape" if limits.kind == "smoothness" else "would have infinite length"
        raise InferenceError(
            f"An interval of fixed length {why} under {limits.kind} with shape={limits.shape!r}; use method='C-LF' or "
            "'conditional'."
        )
    if method == "C-F" and limits.kind != "smoothness":
        raise InferenceError(f"method='C-F' starts from an FLCI, which {limits.kind} has not; use method='C-LF'.")
    fitted = method in {"FLCI", "C-F"}
    return method, f"covers less than stated: weights fitted to a covariance from {few}" if fitted and few else ""


def _check_m(m: Sequence[float] | float | None, limits: Restriction, std_error: float) -> tuple[float, ...]:
    if m is None:
        return tuple(std_error * share for share in IN_STD_ERRORS) if limits.kind == "smoothness" else RELATIVE
    values = tuple(float(value) for value in (m if isinstance(m, Iterable) else [m]))
    if not values or not all(np.isfinite(value) and value >= 0 for value in values):
        raise InferenceError(f"m={m!r} found; one or more finite numbers, 0 or above, are expected.")
    return tuple(sorted(set(values)))


@dataclass(frozen=True, eq=False)
class _Analysis:
    """Everything that is the same for all m."""

    limits: Restriction
    weights: Floats
    estimate: Floats
    covariance: Floats
    method: HonestMethod
    level: float
    points: int
    draws: int
    seed: int

    @cached_property
    def corners(self) -> Corners:
        return find_corners(self.limits, self.weights)

    @cached_property
    def path(self) -> Path:
        return trace(len(self.estimate) - len(self.weights), self.weights, self.covariance)

    @cached_property
    def first_size(self) -> float:
        return 0.0 if self.method == "conditional" else FIRST_STAGE * (1 - self.level)

    @cached_property
    def second_size(self) -> float:
        return (1 - self.level - self.first_size) / (1 - self.first_size)

    @cached_property
    def normal(self) -> tuple[Floats, Floats]:
        generator = np.random.default_rng(self.seed)
        root = np.linalg.cholesky(self.covariance)
        half = generator.standard_normal((-(-self.draws // 2), len(root))) @ root.T
        return np.concatenate([half, -half])[: self.draws], generator.random((self.draws, 2))

    def interval(self, m: float) -> tuple[float, float, str]:
        """Return both ends at m and what there is to say."""
        if self.method == "FLCI":
            found = self.shortest_at(m, self.level)
            return found.centre - found.half_length, found.centre + found.half_length, ""
        return invert(self.pose_all(m), self.first_stage(m), self.second_size, self.points)

    def contains_zero(self, m: float) -> bool:
        """Return whether an effect of zero agrees with the restriction at m."""
        if self.method == "FLCI":
            found = self.shortest_at(m, self.level)
            return abs(found.centre) <= found.half_length
        zero, first = np.zeros(1), self.first_stage(m)
        for number in range(len(self.limits.bounds)):
            problem = self.pose_one(m, number)
            # The first stage only rejects more: it is computed where the conditional test does not reject by itself.
            accepted, problem = settle(problem, zero, self.second_size, first)
            if accepted[0]:
                if self.method != "C-LF":
                    return True
                problem = replace(problem, critical=self.critical_value(problem))
                if settle(problem, zero, self.second_size)[0][0]:
                    return True
        return False

    def shortest_at(self, m: float, level: float) -> Interval:
        return shortest(self.path, self.estimate, self.covariance, m, level)

    def pose_one(self, m: float, number: int) -> MomentProblem:
        inequalities = state(self.limits, m, number, self.covariance, self.weights)
        return pose(inequalities, self.corners, self.estimate)

    def critical_value(self, problem: MomentProblem) -> float:
        return least_favourable(problem, self.first_size, *self.normal)

    def first_stage(self, m: float) -> FirstStage | None:
        if self.method != "C-F":
            return None
        found = self.shortest_at(m, 1 - self.first_size)
        return FirstStage(self.covariance @ found.weights, found.centre, found.half_length)

    def pose_all(self, m: float) -> list[MomentProblem]:
        """Return every problem of the union at m, ready to test."""
        problems: list[MomentProblem] = []
        for number in range(len(self.limits.bounds)):
            problem = self.pose_one(m, number)
            if self.method == "C-LF":
                # The other sign of the same bound has the same distribution when rows come in pairs.
                twin = number % 2 and self.limits.mirrored
                critical = problems[-1].critical if twin else self.critical_value(problem)
                problem = replace(problem, critical=critical)
            problems.append(problem)
        return problems
