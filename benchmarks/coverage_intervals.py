"""Every interval type on one simulated panel: whether it holds the effect, and how long it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from coverage_panels import PERIODS, START, Floats, Sample

import evalaid as ea

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
    effects = ea.estimate(sample.single, "twfe")
    for vcov in ("CR0", "CR1", "CR2", "CR3", "reference", "multiplier"):
        yield read("twfe", vcov, ea.infer(effects, vcov=vcov, draws=DRAWS), sample.cell.effect)
    for kernel, reach in (("uniform", NEAR_KM), ("bartlett", FAR_KM)):
        table = ea.infer_spatial(effects, sample.places, cutoff_km=reach, kernel=kernel)
        yield read("twfe", f"Conley, {kernel}, {reach} km", table, sample.cell.effect)
    event = ea.estimate(sample.single, "event_study")
    for vcov in ("multiplier", "CR1"):
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
    """Give the wild bootstrap of averages of staggered effects, and CR2 beside it."""
    for method in ("sun_abraham", "etwfe"):
        effects = ea.estimate(sample.staggered, method).aggregate("overall")
        for kind in WILD:
            yield read(
                method, f"{kind}, rademacher", ea.wild_bootstrap(effects, kind=kind, draws=DRAWS), sample.cell.effect
            )
        yield read(method, "CR2", ea.infer(effects, vcov="CR2"), sample.cell.effect)


def staggered(sample: Sample) -> Iterator[Found]:
    """Give errors of a staggered estimator that is no regression, and of its difference from one that is."""
    cells = ea.estimate(sample.staggered, "callaway_santanna", comparison="not_yet_treated")
    effects = cells.aggregate("overall")
    for vcov in ("CR0", "CR1", "CR3", "reference", "multiplier"):
        yield read("callaway_santanna", vcov, ea.infer(effects, vcov=vcov, draws=DRAWS), sample.cell.effect)
    gap = ea.difference(effects, ea.estimate(sample.staggered, "twfe"))
    yield read("difference", "CR1", ea.infer(gap, vcov="CR1"), 0.0)


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


def study_paths(sample: Sample) -> ea.EventStudy:
    """Give the event study that `evalaid.honest` makes of these effects."""
    return ea.honest(ea.estimate(sample.single, "event_study"), m=0, draws=LEAST_FAVOURABLE, points=POINTS).study


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
