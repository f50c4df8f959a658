"""The default intervals and bands on many panels at once, with clusters of unequal sizes.

All panels of a block share the sizes of their clusters, and every estimate is a sum of means by cohort and period times weights that
depend on these sizes alone: estimates, what they are without each cluster, and influence are products of small arrays. A test holds
the intervals and bands against those of `evalaid.infer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from coverage_panels import PERIODS, START, Floats
from numpy.typing import NDArray

import evalaid as ea
from evalaid.did.inference.default_rule import band_critical_values
from evalaid.did.inference.intervals import Errors, pointwise
from evalaid.did.inference.shares import Shares, degrees_behind, effective_clusters
from evalaid.did.inference.variance.jackknife import SMALL_SHARE

SCENARIOS = ("equal sizes", "log-normal sizes", "giant treated", "giant comparison", "treated vary more")
SIZES = ((6, 3), (10, 5), (20, 6), (20, 15), (40, 3), (40, 10), (40, 20), (40, 36), (100, 50))
PANELS, TOGETHER = 500, 25
SEED = 20_260_202
LEVEL, DRAWS, EFFECT = 0.95, 999, 1.0
# Standard deviation of the logarithm of the number of units, and its mean; the share of all units in a giant; units of an equal cluster.
SPREAD, MEAN, GIANT, UNITS = 0.8, 1.0, 0.3, 3
# Errors of units and of clusters are autoregressive; where treated clusters vary more, their variance is so many times larger.
LASTING, MORE = 0.8, 8.0
TWO_STARTS = (4, 6)
# Influence is the derivative of the estimate with respect to the mass of a cluster.
STEP = 1e-5
NORMAL = 2 * 1.959964


@dataclass(frozen=True)
class Block:
    """Panels with the same clusters: cohort (position) and units of each, (G,), and errors (panels, units, T) of all units."""

    cohort: NDArray[np.intp]
    units: NDArray[np.int64]
    error: Floats

    @property
    def cluster(self) -> NDArray[np.intp]:
        """Give the cluster of each unit."""
        return np.repeat(np.arange(len(self.units)), self.units)

    def sums(self, starts: tuple[int, ...]) -> Floats:
        """Give outcomes summed by cluster, (panels, G, T)."""
        first = np.flatnonzero(np.diff(self.cluster, prepend=-1))
        treated = np.arange(1, PERIODS + 1) >= np.append(starts, np.inf)[self.cohort][:, None]
        return np.add.reduceat(self.error, first, axis=1) + EFFECT * self.units[:, None] * treated

    def frame(self, panel: int, starts: tuple[int, ...]) -> pd.DataFrame:
        """Give one panel in rows."""
        start = np.append(starts, np.nan)[self.cohort][self.cluster]
        unit, period = (grid.ravel() for grid in np.mgrid[: len(start), 1 : PERIODS + 1])
        outcome = self.error[panel].ravel() + EFFECT * (period >= start[unit])
        return pd.DataFrame(
            {"unit": unit, "period": period, "y": outcome, "start": start[unit], "cluster": self.cluster[unit]}
        )


def draw(scenario: str, n_clusters: int, n_treated: int, block: int, starts: int) -> Block:
    """Draw the panels of a block; treated clusters come first and take turns between the starts."""
    rng = np.random.default_rng([SEED, SCENARIOS.index(scenario), n_clusters, n_treated, block])
    count = np.full(n_clusters, UNITS)
    if scenario == "log-normal sizes":
        count = np.clip(np.exp(rng.normal(MEAN, SPREAD, n_clusters)).round(), 1, 30).astype(int)
    if scenario.startswith("giant"):
        giant = 0 if scenario == "giant treated" else n_clusters - 1
        count[giant] = round(GIANT / (1 - GIANT) * (count.sum() - count[giant]))
    number = np.arange(n_clusters)
    cohort = np.where(number < n_treated, number % starts, starts)
    cluster = np.repeat(number, count)
    own, shared = (_lasting(rng.normal(size=(TOGETHER, size, PERIODS))) for size in (len(cluster), n_clusters))
    scale = np.where((scenario == "treated vary more") & (number < n_treated), np.sqrt(MORE), 1.0)
    return Block(cohort, count, (own + shared[:, cluster]) * scale[cluster, None])


def _lasting(values: Floats) -> Floats:
    for t in range(1, PERIODS):
        values[..., t] = LASTING * values[..., t - 1] + np.sqrt(1 - LASTING**2) * values[..., t]
    return values


# Weights of means by cohort and period, (rows, C + 1, T), and the shares W (rows, C) and Q (rows, C + 1) of cohorts. Sizes are (C + 1,), `fixed`
# those by which cells are averaged.

Weights = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class Estimator:
    """Rows of an estimator: event times, then the overall effect; the weights of its means, and the cells of each row."""

    name: str
    starts: tuple[int, ...]
    times: tuple[int, ...]
    weights: Weights
    fixed: bool
    first: int = 1

    def cells(self, time: int | None) -> list[tuple[int, int]]:
        """List cohort (position) and period of the cells in a row; None = all that is treated."""
        found = [(c, s + time) for c, s in enumerate(self.starts)] if time is not None else []
        found = found or [(c, t) for c, s in enumerate(self.starts) for t in range(s, PERIODS + 1)]
        return [(c, t) for c, t in found if self.first <= t <= PERIODS]

    @property
    def rows(self) -> tuple[int | None, ...]:
        """Event times, and None for the overall effect."""
        return (*self.times, None)


def compared(starts: tuple[int, ...], cohort: int, period: int) -> list[int]:
    """List the cohorts that a cell is compared with: those that start later, and the never-treated."""
    return [c for c, s in enumerate((*starts, np.inf)) if s > max(period, starts[cohort] - 1) and c != cohort]


def callaway_santanna(starts: tuple[int, ...], times: tuple[int, ...]) -> Estimator:
    """Give group-time effects against the not yet treated, from the period before."""

    def cell(sizes: Floats, cohort: int, period: int) -> Floats:
        base = starts[cohort] - 1 if period >= starts[cohort] else period - 1
        others = [c for c, s in enumerate((*starts, np.inf)) if s > max(period, base) and c != cohort]
        part = np.zeros((len(starts) + 1, PERIODS))
        for c, share in ((cohort, 1.0), *((c, -sizes[c] / sizes[others].sum()) for c in others)):
            part[c, period - 1] += share
            part[c, base - 1] -= share
        return part

    found = Estimator(
        "callaway_santanna", starts, times, lambda sizes, fixed: _average(found, cell, sizes, fixed), False, 2
    )
    return found


def imputation(starts: tuple[int, ...], times: tuple[int, ...]) -> Estimator:
    """Give gaps to effects of units and periods that are fitted to what is untreated."""
    u = (np.arange(1, PERIODS + 1) < np.append(starts, np.inf)[:, None]).astype(float)
    length = u.sum(axis=1)
    net = u[:, :, None] * np.eye(PERIODS) - u[:, :, None] * u[:, None, :] / length[:, None, None]

    def fit(sizes: Floats) -> Floats:
        """Give the period effects as weights of means, (T, C + 1, T)."""
        gram = np.einsum("c,cts->ts", sizes, net)
        return np.einsum("ts,csr->tcr", np.linalg.pinv(gram, hermitian=True), sizes[:, None, None] * net)

    def weights(sizes: Floats, fixed: Floats) -> Floats:
        effects = fit(sizes)

        def cell(_: Floats, cohort: int, period: int) -> Floats:
            part = np.zeros((len(starts) + 1, PERIODS))
            part[cohort, period - 1] += 1.0
            part[cohort] -= u[cohort] / length[cohort]
            return part - effects[period - 1] + np.einsum("t,tcr->cr", u[cohort] / length[cohort], effects)

        return _average(found, cell, sizes, fixed)

    found = Estimator("imputation", starts, times, weights, fixed=True)
    return found


def two_way(starts: tuple[int, ...]) -> Estimator:
    """Give the coefficient of treatment on effects of units and periods."""
    treated = (np.arange(1, PERIODS + 1) >= np.append(starts, np.inf)[:, None]).astype(float)

    def weights(sizes: Floats, _: Floats) -> Floats:
        share = sizes / sizes.sum()
        mean = share @ treated
        left = treated - treated.mean(axis=1, keepdims=True) - mean + mean.mean()
        weighted = share[:, None] * left
        return (weighted / (weighted * treated).sum())[None]

    return Estimator("twfe", starts, (), weights, fixed=True)


def event_study() -> Estimator:
    """Give the difference of mean paths from the period before one start."""
    times = tuple(t - START for t in range(1, PERIODS + 1) if t != START - 1)

    def weights(sizes: Floats, _: Floats) -> Floats:  # noqa: ARG001 (the means of two cohorts have no sizes)
        rows = np.zeros((len(times) + 1, 2, PERIODS))
        for row, time in enumerate(times):
            for cohort, sign in ((0, 1.0), (1, -1.0)):
                rows[row, cohort, START + time - 1] += sign
                rows[row, cohort, START - 2] -= sign
        rows[-1] = rows[: len(times)][[time >= 0 for time in times]].mean(axis=0)
        return rows

    return Estimator("event_study", (START,), times, weights, fixed=True)


def _average(own: Estimator, cell: Callable[[Floats, int, int], Floats], sizes: Floats, fixed: Floats) -> Floats:
    rows = []
    for time in own.rows:
        cells = own.cells(time)
        mass = np.array([fixed[c] for c, _ in cells])
        parts = np.array([cell(sizes, c, t) for c, t in cells if fixed[c] > 0])
        rows.append(
            np.tensordot(mass[mass > 0] / mass.sum(), parts, 1)
            if mass.sum() > 0
            else np.full((len(sizes), PERIODS), np.nan)
        )
    return np.array(rows)


EVENT_TIMES = tuple(range(2 - max(TWO_STARTS), PERIODS - min(TWO_STARTS) + 1))
ESTIMATORS = (
    callaway_santanna(TWO_STARTS, EVENT_TIMES),
    imputation(TWO_STARTS, tuple(t for t in EVENT_TIMES if t >= 0)),
    two_way(TWO_STARTS),
    event_study(),
)


@dataclass(frozen=True)
class Found:
    """Estimates (panels, rows), changes d_g (panels, G, rows), influence (panels, G, rows) and the shares of the clusters."""

    estimate: Floats
    changes: Floats
    influence: Floats
    shares: Shares


def estimate(own: Estimator, block: Block) -> Found:
    """Estimate on all panels of a block, without each cluster where its share is above the limit of the rule, in one step elsewhere."""
    width = len(own.starts) + 1
    member = (block.cohort[:, None] == np.arange(width)) * block.units[:, None]
    sizes, sums = member.sum(axis=0).astype(float), block.sums(own.starts)
    total = np.array([sums[:, block.cohort == c].sum(axis=1) for c in range(width)]).transpose(1, 0, 2)

    def at(left: Floats, outcome: Floats, *, fixed: bool) -> Floats:
        mean = outcome / np.where(left > 0, left, np.nan)[:, None]
        weights = own.weights(left, sizes if fixed else left)
        return np.einsum("kct,pct->pk", weights, np.where(np.isnan(mean), 0.0, mean))

    value = at(sizes, total, fixed=False)
    shares = _shares(own, member, sizes)
    psi, changes = (np.empty((len(sums), len(member), value.shape[1])) for _ in range(2))
    for g in range(len(member)):
        moved = np.zeros_like(total)
        moved[:, block.cohort[g]] = sums[:, g]
        up, down = (at(sizes + s * STEP * member[g], total + s * STEP * moved, fixed=own.fixed) for s in (1, -1))
        psi[:, g] = (up - down) / (2 * STEP)
        wanted = shares.largest[g] > SMALL_SHARE
        step = -psi[:, g] / np.maximum(1 - shares.largest[g], 1e-9)
        if wanted.any():
            exact = at(sizes - member[g], total - moved, fixed=False) - value
            step = np.where(wanted & ~np.isnan(exact), exact, step)
        changes[:, g] = step
    return Found(value, changes, psi, shares)


def _shares(own: Estimator, member: Floats, sizes: Floats) -> Shares:
    part = member / sizes
    treated, comparison = np.zeros((2, len(member), len(own.rows) if own.times else 1))
    for row, time in enumerate(own.rows if own.times else (None,)):
        for cohort, period in own.cells(time):
            others = compared(own.starts, cohort, period)
            treated[:, row] += sizes[cohort] * part[:, cohort]
            comparison[:, row] += sizes[cohort] * member[:, others].sum(axis=1) / sizes[others].sum()
    return Shares(treated / treated.sum(axis=0), comparison / comparison.sum(axis=0), np.arange(len(member)))


def intervals(own: Estimator, block: Block, block_number: int) -> Iterator[tuple[int, str, Floats, Floats, Floats]]:
    """Give by panel and kind of interval the estimates, the lower and the upper ends, (rows,) each; a band leaves out the overall effect."""
    found = estimate(own, block)
    count = len(block.units)
    alone = (found.shares.treated.max(axis=0) > 1 - 1e-9) | (found.shares.comparison.max(axis=0) > 1 - 1e-9)
    for panel in range(len(found.estimate)):
        value, changes = found.estimate[panel], found.changes[panel]
        degrees = degrees_behind(effective_clusters(found.shares, changes))
        error = np.where(alone, np.nan, np.sqrt((changes**2).sum(axis=0) * (count - 1) / count))
        errors = Errors(error, degrees, "CR3", [""] * len(value), changes * np.sqrt((count - 1) / count))
        yield panel, "default", value, *_ends(value, pointwise(errors, LEVEL) * error)
        plain = np.where(alone, np.nan, np.sqrt((found.influence[panel] ** 2).sum(axis=0) * count / (count - 1)))
        yield (
            panel,
            "CR1, t(G - 1)",
            value,
            *_ends(value, pointwise(Errors(plain, count - 1, "CR1", []), LEVEL) * plain),
        )
        if own.times and not np.isnan(error[:-1]).all():
            part = Errors(error[:-1], degrees[:-1], "CR3", [""] * (len(value) - 1), errors.changes[:, :-1])
            critical = band_critical_values(part, LEVEL, DRAWS, "normal", block_number * TOGETHER + panel)
            yield panel, "band", value[:-1], *_ends(value[:-1], critical * error[:-1])


def _ends(value: Floats, width: Floats) -> tuple[Floats, Floats]:
    return value - width, value + width


def simulate(scenario: str, n_clusters: int, n_treated: int) -> pd.DataFrame:
    """Give one row per kind of interval: coverage over panels (and rows), median length relative to the normal one, what is missing."""
    rows = []
    for own in ESTIMATORS:
        kept: dict[str, list[tuple[Floats, Floats, Floats]]] = {}
        for number in range(PANELS // TOGETHER):
            block = draw(scenario, n_clusters, n_treated, number, len(own.starts))
            for _, kind, *ends in intervals(own, block, number):
                kept.setdefault(kind, []).append(tuple(ends))
        truth = np.array([EFFECT if time is None or time >= 0 else 0.0 for time in own.rows])[
            -(1 if not own.times else len(own.rows)) :
        ]
        for kind, found in kept.items():
            value, low, high = (np.array(part) for part in zip(*found, strict=True))
            rows += [
                {"scenario": scenario, "n_clusters": n_clusters, "n_treated": n_treated, "estimator": own.name, **row}
                for row in _summarise(kind, value, low, high, truth[: value.shape[1]])
            ]
    return pd.DataFrame(rows)


def _summarise(kind: str, value: Floats, low: Floats, high: Floats, truth: Floats) -> Iterator[dict[str, object]]:
    inside = (low <= truth) & (truth <= high)
    known = ~np.isnan(low)
    relative = (high - low) / (NORMAL * value.std(axis=0, ddof=1))
    if kind == "band":
        shown = known.any(axis=1)
        held = (inside | ~known).all(axis=1)[shown]
        length = float(np.nanmedian(relative[shown])) if shown.any() else np.nan
        yield {
            "interval": "band",
            "panels": len(value),
            "intervals": int(shown.sum()),
            "held": int(held.sum()),
            "length": length,
        }
        return
    parts = {"overall": slice(-1, None), "event times": slice(0, -1)}
    for name, part in parts.items():
        if value[:, part].shape[1] == 0 or (kind != "default" and name != "overall"):
            continue
        seen = known[:, part]
        yield {
            "interval": f"{name}, {kind}" if kind != "default" else name,
            "panels": len(value),
            "intervals": int(seen.sum()),
            "held": int((inside[:, part] & seen).sum()),
            "length": float(np.nanmedian(relative[:, part])) if seen.any() else np.nan,
        }


def tables(block: Block, own: Estimator, panel: int) -> pd.DataFrame:
    """Give what the package says of the same panel: the intervals of all rows, and the band."""
    design = ea.diagnose(
        block.frame(panel, own.starts), "unit", "period", "y", "start", cluster="cluster", outcome_unit="number"
    )
    effects = ea.estimate(design, own.name)
    if not own.times:
        return ea.infer(effects)
    event = effects.aggregate("event_time")
    return pd.concat(
        [
            ea.infer(event),
            ea.infer(event.aggregate("overall") if own.name == "event_study" else effects.aggregate("overall")),
        ]
    )
