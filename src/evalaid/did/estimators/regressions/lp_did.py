"""Local projections difference-in-differences (Dube, Girardi, Jorda and Taylor 2023)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.base.effect_columns import TREATED_CLUSTERS
from evalaid.base.errors import EstimationError
from evalaid.base.periods import label
from evalaid.base.texts import counted
from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Influence, Rows
from evalaid.did.effects.linear import NULL_TOLERANCE, RANK_TOLERANCE, Solver, standardise
from evalaid.did.estimators.common.method import (
    Method,
    Needs,
    cell_frame,
    choice,
    chosen_covariates,
    observation_mass,
    population_of,
    scale_of,
)
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import Matrices

Floats = NDArray[np.float64]
NOT_IDENTIFIED = "the covariates explain who starts: nothing is left to compare"
REFERENCE = "reference period: zero by construction"


@dataclass(frozen=True)
class LpDidOptions:
    """Options of ``lp_did``."""

    # Units untreated at the horizon, or never-treated units only
    comparison: str = choice("not_yet_treated", "never_treated")
    # How cohorts are averaged at a horizon: as least squares does (by the variance of treatment among cohort and
    # comparison), or every treated unit equally
    weighting: str = choice("variance", "equal")
    # Covariates, in the last period before units may react; with "equal" weights their slopes are those of the comparison.
    # None = all of the design's
    covariates: tuple[str, ...] | None = None
    # One estimate per event time; or one of the mean outcome of the event times 0 to ``window``, or of the ``window`` periods
    # before the one that everything is measured from
    horizons: str = choice("each", "pooled_post", "pooled_pre")
    # Event times of a pooled estimate; None = as many as every cohort has
    window: int | None = None


def fit_lp_did(design: Design, options: LpDidOptions) -> Effects:
    """Regress long differences on the start of treatment, horizon by horizon, among starters and clean comparisons.

    Assumes parallel trends and no anticipation; cohorts may have different effects. With ``variance`` weights all are
    positive but larger where the comparison is larger.

    Notes
    -----
    ``y_{t+h} - y_{t-1} = b_h dD_it + d_t + x_{i,t-1}'c_h + e`` over units that start in t and units untreated through ``max(t, t+h)``. With
    ``equal`` the coefficient is the average of the cohorts' differences, weighted by their treated units. Influence
    under ``variance`` is that of least squares, weights estimated; under ``equal`` weights are taken as known. A pooled estimate has
    the mean of ``y_{t+h}`` over its event times on the left, in one regression, among units untreated through the last of them;
    cohorts and units that are not observed in all of them are left out. Dube, Girardi, Jorda and Taylor (2023), doi:10.3386/w31184.
    """
    matrices = design.matrices
    population = population_of(matrices)
    mass = observation_mass(matrices)
    seen = None if mass is None or (mass > 0).all() else np.ascontiguousarray((mass > 0).T)
    outcome = np.ascontiguousarray(matrices.outcome.T)  # one row per period: a change is a pass over two of them
    names = chosen_covariates(METHOD.name, design, options.covariates)
    regressors = np.zeros((len(names), *outcome.shape))
    there = np.ones_like(outcome, dtype=bool) if seen is None else seen
    for values, name in zip(regressors, names, strict=True):
        values[there] = standardise(matrices.covariates[name].T[there][:, None])[:, 0]
    if options.horizons != "each":
        return _fit_pooled(design, options, (outcome, seen, regressors))
    horizons = np.unique(matrices.event_time)
    psi = np.zeros((len(horizons), matrices.n_units))
    value, reasons = np.full(len(horizons), np.nan), [""] * len(horizons)
    counts = np.zeros((3, len(horizons)), dtype=int)
    for k, horizon in enumerate(horizons.tolist()):
        if horizon == -1 - design.anticipation:
            value[k], reasons[k] = 0.0, REFERENCE
            counts[:, k] = design.n_treated, design.n_never, design.n_treated_clusters
            continue
        blocks = _clean_blocks(matrices, seen, horizon, options.comparison, design.anticipation)
        if not blocks:
            reasons[k] = "no unit is untreated at this horizon and observed in both periods"
            continue
        value[k] = _fit_horizon(outcome, blocks, population.weight, options.weighting, psi[k], regressors)
        reasons[k] = NOT_IDENTIFIED if np.isnan(value[k]) else ""
        entered = np.zeros(len(matrices.cohorts), dtype=bool)
        entered[[block.cohort for block in blocks]] = True
        counts[:, k] = (
            sum(block.n_treated for block in blocks),
            min(block.n_comparison for block in blocks),
            population.count_clusters(entered),
        )
    cells = cell_frame(population, counts[0], counts[1], reasons, event_time=horizons)
    cells[TREATED_CLUSTERS] = counts[2]
    return Effects(
        cells=cells,
        value=value,
        influence=Influence.dense(psi.T),
        population=population,
        size=np.ones(len(horizons)),
        method=METHOD.name,
        estimand=METHOD.estimand,
        scale=scale_of(design),
        convention=Convention("none", "t"),
        aggregation="fixed",
    )


def _fit_pooled(
    design: Design, options: LpDidOptions, data: tuple[Floats, NDArray[np.bool_] | None, Floats]
) -> Effects:
    """Fit the mean outcome over a window of event times at once: one cell without an event time."""
    (outcome, seen, regressors), matrices = data, design.matrices
    population = population_of(matrices)
    window = _window(design, options)
    blocks, means = [], []
    for block in _clean_blocks(matrices, seen, int(window[-1]), options.comparison, design.anticipation):
        columns = np.flatnonzero(np.isin(matrices.event_time[block.cohort], window))
        if len(columns) < len(window):
            continue
        sides = [np.arange(matrices.n_units)[rows] for rows in (block.treated, block.comparison)]
        if seen is not None:
            sides = [rows[seen[np.ix_(columns, rows)].all(axis=0)] for rows in sides]
        if min(map(len, sides)):
            means.append(outcome[columns].mean(axis=0))
            now = len(outcome) + len(means) - 1
            blocks.append(_Block(block.cohort, now, block.base, sides[0], sides[1], len(sides[0]), len(sides[1])))
    psi = np.zeros(matrices.n_units)
    value = np.nan
    if blocks:
        stacked = np.concatenate([outcome, means])
        value = _fit_horizon(stacked, blocks, population.weight, options.weighting, psi, regressors)
    entered = np.isin(np.arange(len(matrices.cohorts)), [block.cohort for block in blocks])
    left = ", ".join(label(matrices.period_kind, int(g)) for g in matrices.cohorts[~entered])
    why = (
        f"without the cohorts {left}: not observed, or without a comparison, throughout these event times"
        if left
        else ""
    )
    reason = why if np.isfinite(value) else (NOT_IDENTIFIED if blocks else why)
    n_comparison = min((block.n_comparison for block in blocks), default=0)
    cells = cell_frame(population, sum(block.n_treated for block in blocks), n_comparison, [reason])
    cells[TREATED_CLUSTERS] = population.count_clusters(entered)
    return Effects(
        cells=cells,
        value=np.array([value]),
        influence=Influence.dense(psi[:, None]),
        population=population,
        size=np.ones(1),
        method=METHOD.name,
        estimand=f"effect on the mean outcome over the event times {window[0]} to {window[-1]}, averaged over cohorts",
        scale=scale_of(design),
        convention=Convention("none", "t"),
        aggregation="fixed",
    )


def _window(design: Design, options: LpDidOptions) -> NDArray[np.int64]:
    """Return the event times of a pooled estimate, ascending."""
    distance, after = design.matrices.event_time, options.horizons == "pooled_post"
    inside = distance >= 0 if after else distance < -1 - design.anticipation
    found = [set(row[there].tolist()) for row, there in zip(distance, inside, strict=True)]
    shared = sorted(set.intersection(*found), key=abs)
    if options.window is not None:
        steps = options.window + after
        if isinstance(options.window, bool) or steps < 1:
            raise EstimationError(
                f"lp_did: window={options.window!r} found; expected a whole number, {int(not after)} or more."
            )
        everything = sorted(set.union(*found), key=abs)[:steps]
        if len(everything) < steps:
            raise EstimationError(
                f"lp_did: window={options.window} found; the cohorts have at most {counted(len(everything), 'event time')} there."
            )
        shared = everything
    if not shared:
        raise EstimationError(
            f"lp_did: no event time {'after' if after else 'before'} the start that every cohort has; name window=..."
        )
    return np.array(sorted(shared), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Block:
    """One cohort at one horizon: the columns of both ends, the rows that start and the clean comparison, their numbers."""

    cohort: int
    now: int
    base: int
    treated: Rows
    comparison: Rows
    n_treated: int
    n_comparison: int


def _clean_blocks(
    matrices: Matrices, seen: NDArray[np.bool_] | None, horizon: int, comparison: str, early: int
) -> list[_Block]:
    """Find, for each cohort, the units that start and those untreated through the horizon, observed at both ends.

    ``seen`` is (T, N), or None when everything is observed.
    """
    blocks = []
    periods, starts = matrices.periods.tolist(), matrices.starts.tolist()
    reacts, cohorts = matrices.reaction(early).tolist(), matrices.cohorts.tolist()
    for number, (times, base) in enumerate(
        zip(matrices.event_time.tolist(), base_columns(matrices, early).tolist(), strict=True)
    ):
        now = bisect_left(times, horizon)
        if now == len(times) or times[now] != horizon or now == base:
            continue
        later = len(cohorts)
        if comparison != "never_treated":
            later = max(bisect_right(reacts, periods[now]), number + 1)
        own, others = slice(starts[number], starts[number + 1]), slice(starts[later], starts[-1])
        treated: Rows = own
        clean: Rows = others
        sizes = starts[number + 1] - starts[number], starts[-1] - starts[later]
        if seen is not None:
            both = seen[now] & seen[base]
            found = [np.flatnonzero(both[rows]) + rows.start for rows in (own, others)]
            sizes = len(found[0]), len(found[1])
            treated, clean = found
        if min(sizes):
            blocks.append(_Block(number, now, base, treated, clean, *sizes))
    return blocks


def _fit_horizon(
    outcome: Floats, blocks: list[_Block], weight: Floats, weighting: str, psi: Floats, covariates: Floats
) -> float:
    """Return the coefficient of one horizon and add the influence of every unit on it to ``psi``.

    ``outcome`` is (T, N), ``covariates`` (p, T, N). Of two groups with masses m1 and m0 the residual of treatment has the sum of squares
    ``m1 m0 / (m1 + m0)``, and the coefficient is their difference in mean changes.
    """
    if len(covariates):
        return _fit_adjusted(outcome, blocks, weight, weighting, psi, covariates)
    parts = []
    for block in blocks:
        sides = []
        for rows in (block.treated, block.comparison):
            mass, change = weight[rows], outcome[block.now][rows] - outcome[block.base][rows]
            total = float(mass.sum())
            sides.append((rows, mass, change, total, float(mass @ change) / total))
        parts.append(sides)
    totals = np.array([[side[3] for side in sides] for sides in parts])
    means = np.array([[side[4] for side in sides] for sides in parts])
    share = totals[:, 0] / totals.sum(axis=1)
    weights = totals[:, 0] * (1 - share if weighting == "variance" else 1.0)
    weights = weights / weights.sum()
    coefficient = float(weights @ (means[:, 0] - means[:, 1]))
    centres = means
    if weighting == "variance":
        # Least squares fits one coefficient: the gap between a cohort's difference and it stays in the residual.
        middle = means[:, 1] + share * (means[:, 0] - means[:, 1])
        centres = np.array([middle + (1 - share) * coefficient, middle - share * coefficient]).T
    for sides, own, centre in zip(parts, weights.tolist(), centres.tolist(), strict=True):
        for (rows, mass, change, total, _), sign, middle_of in zip(sides, (1.0, -1.0), centre, strict=True):
            psi[rows] += (sign * own / total) * (mass * (change - middle_of))
    return coefficient


def _fit_adjusted(
    outcome: Floats, blocks: list[_Block], weight: Floats, weighting: str, psi: Floats, covariates: Floats
) -> float:
    """Fit one horizon with covariates: by least squares, or by the comparison's slopes ("equal"); NaN where not identified."""
    equal = weighting == "equal"
    rows, mass, change, x, treated, number = [], [], [], [], [], []
    everyone = np.arange(outcome.shape[1])
    for k, block in enumerate(blocks):
        for side, on in ((block.treated, 1.0), (block.comparison, 0.0)):
            here = everyone[side]
            rows.append(here)
            mass.append(weight[here])
            change.append(outcome[block.now][here] - outcome[block.base][here])
            x.append(covariates[:, block.base][:, here].T)
            treated.append(np.full(len(here), on))
            number.append(np.full(len(here), k))
    unit, w, y, d, of_block = (np.concatenate(part) for part in (rows, mass, change, treated, number))
    z = np.concatenate(x)
    centred = w * (1 - d) if equal else w
    total = np.bincount(of_block, weights=centred)

    def net(values: Floats) -> Floats:
        return np.asarray(values - (np.bincount(of_block, weights=centred * values) / total)[of_block])

    y, z = net(y), np.column_stack([net(column) for column in z.T])
    if equal:  # slopes among the comparison; the coefficient is the mean of what they leave of treated units
        solve = Solver((z * centred[:, None]).T @ z)
        own = w * d / (w * d).sum()
        loads = own @ z
        if np.abs(loads @ solve.null).max(initial=0.0) > NULL_TOLERANCE:
            return np.nan
        residual = y - z @ solve(z.T @ (centred * y))
        coefficient = float(own @ residual)
        at_risk = np.bincount(of_block, weights=own)[of_block] * centred / total[of_block]
        scores = own * (
            residual - (np.bincount(of_block, weights=own * residual) / np.bincount(of_block, weights=own))[of_block]
        )
        scores -= at_risk * residual + (z @ solve(loads)) * centred * residual
    else:
        solve = Solver((z * w[:, None]).T @ z)
        left = net(d)
        left = left - z @ solve(z.T @ (w * left))
        size = float(w @ left**2)
        if size <= RANK_TOLERANCE * float(w @ net(d) ** 2):
            return np.nan
        coefficient = float((w * left) @ y) / size
        rest = y - coefficient * net(d)
        rest = rest - z @ solve(z.T @ (w * rest))
        scores = w * left * rest / size
    np.add.at(psi, unit, scores)
    return coefficient


METHOD = Method(
    name="lp_did",
    fit=fit_lp_did,
    options=LpDidOptions,
    needs=Needs(comparison="not_yet_treated", weights="analytic"),
    estimand="effect by event time, averaged over cohorts",
    reference="hand-computed differences; Callaway-Sant'Anna cells with the same weights",
    source="Dube, Girardi, Jorda and Taylor (2023), doi:10.3386/w31184",
    test="tests/did/estimators/test_windows.py::test_a_local_projection_is_the_regression_of_long_differences_with_its_cluster_errors",
    tolerance="1e-11 without, 1e-8 with covariates, against dense regression",
    by_cohort=False,
)
