"""Every interval type on one simulated panel: whether it holds the effect, and how long it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from coverage_panels import PERIODS, START, Floats, Sample
from numpy.typing import NDArray

import evalaid as ea
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.intervals import degrees_of
from evalaid.did.inference.variance.cluster import clusters_of, joint_covariance

# Draws of the bootstraps, assignments, grid points and draws behind intervals under limited violations: fewer than by default.
DRAWS, ASSIGNMENTS, POINTS, LEAST_FAVOURABLE = 999, 199, 60, 200
WILD = ("WCR11", "WCR31", "WCU31")
NEAR_KM, FAR_KM = 50, 250
# Drift of treated clusters by event time: as large after treatment as once before it; a line; a parabola.
JUMP, SLOPE, BEND = 20.0, 1.0, 0.5
EVENT_TIME = np.arange(1, PERIODS + 1) - START
JUMPS = JUMP * np.where(EVENT_TIME >= 0, EVENT_TIME + 1, np.where(EVENT_TIME.min() == EVENT_TIME, -1, 0))
LINE, PARABOLA = SLOPE * (EVENT_TIME + 1), BEND * (EVENT_TIME + 1.0) ** 2 / 2


@dataclass(frozen=True)
class Found:
    """One interval (or several that must hold at once, of which the last is measured)."""

    estimator: str
    interval: str
    held: bool
    missing: bool
    length: float
    estimate: float


def read(estimator: str, interval: str, table: pd.DataFrame, truth: float | Floats) -> Found:
    """Hold the intervals of a table against the truth; one row without interval makes it missing."""
    low, high = table["conf_low"].to_numpy(), table["conf_high"].to_numpy()
    held = bool(((low <= truth) & (truth <= high)).all())
    missing = bool((np.isnan(low) | np.isnan(high)).any())
    last = table.iloc[-1]
    return Found(
        estimator, interval, held, missing, float(last["conf_high"] - last["conf_low"]), float(last["estimate"])
    )


def regression(sample: Sample) -> Iterator[Found]:
    """Give errors of two-way fixed effects with one start, alone and of several periods at once."""
    effects = light(ea.estimate(sample.single, "twfe"), sample, did)
    for vcov in ("CR0", "CR1", "CR2", "CR3", "auto", "reference", "multiplier"):
        yield read("twfe", vcov, ea.infer(effects, vcov=vcov, draws=DRAWS), sample.cell.effect)
    for kernel, reach in (("uniform", NEAR_KM), ("bartlett", FAR_KM)):
        table = ea.infer_spatial(effects, sample.places, cutoff_km=reach, kernel=kernel)
        yield read("twfe", f"Conley, {kernel}, {reach} km", table, sample.cell.effect)
    event = light(ea.estimate(sample.single, "event_study"), sample, paths)
    for vcov in ("multiplier", "CR1", "auto"):
        table = ea.infer(event, vcov=vcov, simultaneous=True, draws=DRAWS)
        table = table[table["event_time"] != -1]
        truth = np.where(table["event_time"] >= 0, sample.cell.effect, 0.0)
        yield read("event_study", f"{vcov}, all periods at once", table, truth)


def wild(sample: Sample) -> Iterator[Found]:
    """Give the wild bootstrap of two-way fixed effects, with both distributions of its multipliers."""
    effects = ea.estimate(sample.single, "twfe")
    for weights in ("rademacher", "webb"):
        for kind in WILD:
            table = ea.wild_bootstrap(effects, kind=kind, weights=weights, draws=DRAWS)
            yield read("twfe", f"{kind}, {weights}", table, sample.cell.effect)


def wild_averages(sample: Sample) -> Iterator[Found]:
    """Give the wild bootstrap of averages of staggered effects, CR2 and the default beside it."""
    for method in ("sun_abraham", "etwfe"):
        effects = ea.estimate(sample.staggered, method).aggregate("overall")
        for kind in WILD:
            yield read(
                method, f"{kind}, rademacher", ea.wild_bootstrap(effects, kind=kind, draws=DRAWS), sample.cell.effect
            )
        for vcov in ("CR2", "auto"):
            yield read(method, vcov, ea.infer(effects, vcov=vcov), sample.cell.effect)


def staggered(sample: Sample) -> Iterator[Found]:
    """Give errors of a staggered estimator that is no regression, and of its difference from one that is."""
    cells = ea.estimate(sample.staggered, "callaway_santanna", comparison="not_yet_treated")
    effects = light(cells.aggregate("overall"), sample, group_time)
    for vcov in ("CR0", "CR1", "CR3", "auto", "reference", "multiplier"):
        yield read("callaway_santanna", vcov, ea.infer(effects, vcov=vcov, draws=DRAWS), sample.cell.effect)
    gap = light(ea.difference(effects, ea.estimate(sample.staggered, "twfe")), sample, gap_of_both)
    for vcov in ("CR1", "auto"):
        yield read("difference", vcov, ea.infer(gap, vcov=vcov), 0.0)


def reassigned(sample: Sample) -> Iterator[Found]:
    """Give randomisation and the residuals of comparison clusters, on one row per cluster and period."""
    design = sample.aggregated
    for statistic in ("estimate", "studentised"):
        found = ea.randomize(design, "twfe", draws=ASSIGNMENTS, statistic=statistic, seed=sample.replication)
        yield read("twfe by cluster", f"randomisation, {statistic}", found.tidy(), sample.cell.effect)
    for kind in ("conley_taber", "ferman_pinto"):
        size = sample.inhabitants if kind == "ferman_pinto" else None
        yield read(
            "twfe by cluster", kind, ea.few_treated(design, kind=kind, size=size, draws=DRAWS), sample.cell.effect
        )


def crossed(sample: Sample) -> Iterator[Found]:
    """Give two-way errors, and those by cluster, where a second grouping has shocks of its own."""
    effects = ea.estimate(sample.crossed, "twfe")
    both = (pd.Series(sample.cluster), pd.Series(sample.group))
    yield read("twfe, crossed", "two_way", ea.infer(effects, vcov="two_way", cluster=both), sample.cell.effect)
    yield read("twfe, crossed", "CR1", ea.infer(effects, vcov="CR1"), sample.cell.effect)


def bounded(sample: Sample) -> Iterator[Found]:
    """Give intervals under limited violations where the limit is the true one."""
    cases = (
        ("relative m = 0, C-LF", None, "relative_magnitude", 0.0, "C-LF"),
        ("relative m = 1, C-LF", JUMPS, "relative_magnitude", 1.0, "C-LF"),
        ("smooth m = 0, C-LF", LINE, "smoothness", 0.0, "C-LF"),
        ("smooth m = 0, FLCI", LINE, "smoothness", 0.0, "FLCI"),
        ("smooth m = true, FLCI", PARABOLA, "smoothness", BEND, "FLCI"),
    )
    study = study_paths(sample)
    for name, drift, restriction, m, method in cases:
        options = {"method": method, "points": POINTS, "draws": LEAST_FAVOURABLE}
        moved = replace(study, estimate=study.estimate + (0.0 if drift is None else drift[EVENT_TIME != -1]))
        bounds = ea.honest(moved, restriction, m, **options)
        average = float(moved.weigh(None) @ study.estimate[study.n_pre :])
        yield read("event_study", name, bounds.table.assign(estimate=average), sample.cell.effect)


# Estimates without a cluster: what `refit` gives, from means alone and many times faster. They are held against it in the tests.


def light(effects: Effects, sample: Sample, values: Callable[[Sample, NDArray[np.bool_]], Floats]) -> Effects:
    """Let the jackknife re-estimate by a short formula."""
    return replace(effects, refit=lambda keep: replace(effects, value=values(sample, keep)))


def study_paths(sample: Sample) -> ea.EventStudy:
    """Give the event study that `evalaid.honest` makes of these effects."""
    event = light(ea.estimate(sample.single, "event_study"), sample, paths)
    table = ea.infer(event)
    kept = np.flatnonzero(table["event_time"] != -1)
    covariance = joint_covariance(event, clusters_of(event, None), str(table["vcov"].iloc[0]))
    return ea.EventStudy(
        table["event_time"].to_numpy()[kept],
        event.value[kept],
        covariance[np.ix_(kept, kept)],
        degrees_of_freedom=int(degrees_of(str(table["distribution"].iloc[-1])) or 0),
    )


def did(sample: Sample, keep: NDArray[np.bool_]) -> Floats:
    """Give the difference-in-differences of means."""
    outcome, start = _rows(sample.single, keep)
    change = outcome[:, START - 1 :].mean(axis=1) - outcome[:, : START - 1].mean(axis=1)
    return np.array([change[~np.isnan(start)].mean() - change[np.isnan(start)].mean()])


def paths(sample: Sample, keep: NDArray[np.bool_]) -> Floats:
    """Give the difference of mean paths from the period before the start."""
    outcome, start = _rows(sample.single, keep)
    change = outcome - outcome[:, [START - 2]]
    return np.asarray(change[~np.isnan(start)].mean(axis=0) - change[np.isnan(start)].mean(axis=0))


def group_time(sample: Sample, keep: NDArray[np.bool_]) -> Floats:
    """Give the average of group-time effects against all who are not yet treated."""
    outcome, start = _rows(sample.staggered, keep)
    total, weight = 0.0, 0
    for cohort in np.unique(start[~np.isnan(start)]).astype(int):
        own = start == cohort
        for period in range(cohort, PERIODS + 1):
            change = outcome[:, period - 1] - outcome[:, cohort - 2]
            total += own.sum() * (change[own].mean() - change[~(start <= period)].mean())
            weight += own.sum()
    return np.array([total / weight])


def two_way(sample: Sample, keep: NDArray[np.bool_]) -> Floats:
    """Give the coefficient of treatment on unit and period effects."""
    outcome, start = _rows(sample.staggered, keep)
    treated = (np.arange(1, PERIODS + 1) >= start[:, None]).astype(float)
    left = treated - treated.mean(axis=1, keepdims=True) - treated.mean(axis=0) + treated.mean()
    return np.array([(left * outcome).sum() / (left * treated).sum()])


def gap_of_both(sample: Sample, keep: NDArray[np.bool_]) -> Floats:
    """Give the difference between the two."""
    return group_time(sample, keep) - two_way(sample, keep)


def _rows(design: ea.Design, keep: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    matrices = design.matrices
    start = np.full(matrices.n_units, np.nan)
    for number, cohort in enumerate(matrices.cohorts):
        start[matrices.starts[number] : matrices.starts[number + 1]] = cohort
    return matrices.outcome[keep], start[keep]


@dataclass(frozen=True)
class Family:
    """Interval types that are computed together, and how often."""

    find: Callable[[Sample], Iterator[Found]]
    replications: int


FAMILIES = {
    "regression": Family(regression, 150),
    "wild": Family(wild, 150),
    "wild_averages": Family(wild_averages, 150),
    "staggered": Family(staggered, 150),
    "reassigned": Family(reassigned, 150),
    "crossed": Family(crossed, 150),
    "bounded": Family(bounded, 100),
}
