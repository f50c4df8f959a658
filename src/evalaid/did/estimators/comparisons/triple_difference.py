"""Triple differences: the eligible against the ineligible part of a unit, in treated against comparison units."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError
from evalaid.base.periods import label
from evalaid.base.texts import counted
from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Block, Influence
from evalaid.did.effects.linear import RANK_TOLERANCE
from evalaid.did.estimators.common.cohort_sums import constant_weights
from evalaid.did.estimators.common.method import (
    Method,
    Needs,
    averaging_mass,
    choice,
    chosen_covariates,
    cohort_slices,
    population_of,
)
from evalaid.did.estimators.common.separation import explain_adjustment
from evalaid.did.estimators.common.two_by_two_scores import panel_scores
from evalaid.did.estimators.common.unbalanced import BASE_PERIOD
from evalaid.did.estimators.comparisons.adjusted_changes import weights_by_side
from evalaid.did.estimators.comparisons.callaway_santanna import CallawaySantannaOptions, fit_callaway_santanna
from evalaid.did.estimators.comparisons.group_times import GroupTime, list_group_times
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import Matrices

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]

# Shares of the eligible part that differ by no more are the same: rounding of sums of weights.
SAME_PROPORTION = 1e-12
# A comparison cohort with fewer units in a part shows no variance of its own and would take all the weight.
LEAST = 2
TOO_FEW = "fewer than {} units in a part of a cohort are observed in both periods"
NOT_USED = "{} of {} comparison cohorts not used: {}"


@dataclass(frozen=True)
class TripleDifferenceOptions:
    """Options of ``triple_difference``."""

    # Covariate of the design: 1 for the part that the programme can reach, 0 for the other part, constant within units;
    # None = the design's only covariate
    eligible: str | None = None
    # Comparison units, within each part
    comparison: str = choice("not_yet_treated", "never_treated")
    base_period: str = choice("varying", "universal")  # As for ``callaway_santanna``
    # How covariates enter each of the three comparisons, as for ``callaway_santanna``
    adjustment: str = choice("doubly_robust", "regression", "ipw", "none")
    # Baseline covariates, read in the earlier period of each comparison; None = all of the design's but ``eligible``
    covariates: tuple[str, ...] | None = None


def fit_triple_difference(design: Design, options: TripleDifferenceOptions) -> Effects:
    """Subtract the difference-in-differences of the ineligible part from that of the eligible part.

    Assumes that, without the programme, the eligible and the ineligible part of treated units would have drifted apart as they
    did in comparison units (with the same covariates, when there are any). Shocks that hit a whole unit (a new road, a closed
    ward) cancel. Each row of the panel is one part of a unit (a county's eligible episodes, a department); both parts carry the
    unit's cohort, and the units are the clusters.

    Notes
    -----
    ``ATT(g, t) = DID(g, t | eligible) - DID(g, t | ineligible)`` with each difference-in-differences among its own part's
    comparison units. With covariates it is, for each comparison cohort c, ``DR(g1 : g0) + DR(g1 : c1) - DR(g1 : c0)``: the doubly
    robust comparisons of the eligible part of g with its ineligible part and with both parts of c; the difference of two
    adjusted differences-in-differences would average each over its own covariates. Comparison cohorts that are treated later
    are pooled only where every cohort holds the parts in the same proportion and there are no covariates: else the pooled
    difference is biased, each cohort is a comparison of its own, and these are combined with the weights of the least
    variance (GMM, over clusters, taken as known). Olden and Moen (2022), doi:10.1093/ectj/utac010; Ortiz-Villavicencio and
    Sant'Anna (2025), doi:10.48550/arXiv.2505.09942.
    """
    eligible, names = _read_parts(design, options)
    choices = CallawaySantannaOptions(
        comparison=options.comparison, adjustment="none", base_period=options.base_period, anticipation=None
    )
    sides = [fit_callaway_santanna(design.subset(side), choices) for side in (eligible, ~eligible)]
    keys = ["cohort", "period", "event_time"]
    if not sides[0].cells[keys].equals(sides[1].cells[keys]):
        kind = design.matrices.period_kind
        found = [", ".join(label(kind, int(g)) for g in sorted(set(side.cells["cohort"]))) or "none" for side in sides]
        raise EstimationError(
            f"triple_difference: cohorts of the eligible parts: {found[0]}; of the ineligible parts: {found[1]}. Every cohort "
            "needs both parts: add the missing ones, or leave these cohorts out."
        )
    matrices = design.matrices
    cells = sides[0].cells.assign(
        reason=[a or b for a, b in zip(sides[0].cells["reason"], sides[1].cells["reason"], strict=True)],
        n_comparison=np.minimum(sides[0].cells["n_comparison"], sides[1].cells["n_comparison"]),
    )
    estimand = METHOD.estimand
    if not names and (options.comparison == "never_treated" or _proportional(matrices, eligible)):
        value = sides[0].value - sides[1].value
        blocks = []
        for side, sign in zip(sides, (1.0, -1.0), strict=True):
            rows = matrices.units.get_indexer(side.population.units)
            blocks += [
                replace(block, rows=rows[block.rows], right=sign * block.right) for block in side.influence.blocks
            ]
        influence = Influence(matrices.n_units, len(cells), tuple(blocks))
    else:
        if not names and _paths_suffice(matrices):
            value, influence, reasons = _compare_paths(design, eligible, options)
        else:
            value, influence, reasons = _compare_cohorts(design, eligible, names, options)
        cells = cells.assign(reason=reasons)
        if options.comparison != "never_treated":
            estimand += "; comparison cohorts one by one, combined with the weights of the least variance"
    return replace(
        sides[0],
        cells=cells,
        value=value,
        influence=influence,
        population=population_of(matrices),
        leave_out=None,
        method=METHOD.name,
        estimand=estimand,
        convention=Convention("none", "normal"),
        aggregation="fixed",
    )


def _proportional(matrices: Matrices, eligible: Bools) -> bool:
    """Return whether every cohort holds the two parts in the same proportion, in every period."""
    mass = averaging_mass(matrices)
    counts = np.array(
        [[mass[rows][side[rows]].sum(axis=0) for side in (eligible, ~eligible)] for rows in _all(matrices)]
    )
    share = counts[:, 0] / np.maximum(counts.sum(axis=1), np.finfo(float).tiny)
    return matrices.observed is None and bool(np.ptp(share) <= SAME_PROPORTION)


def _all(matrices: Matrices) -> list[slice]:
    return [rows for rows in cohort_slices(matrices) if rows.stop > rows.start]


def _compare_cohorts(
    design: Design, eligible: Bools, names: tuple[str, ...], options: TripleDifferenceOptions
) -> tuple[Floats, Influence, list[str]]:
    """Estimate each cell against each comparison cohort with the three comparisons, and combine these."""
    matrices = design.matrices
    times = list(list_group_times(matrices, options.comparison, options.base_period, design.anticipation))
    value = np.array([0.0 if time.reason == BASE_PERIOD else np.nan for time in times])
    reasons = [time.reason for time in times]
    psi = np.zeros((matrices.n_units, len(times)))
    slices = cohort_slices(matrices)
    for k, time in enumerate(times):
        if time.reason:
            continue
        others = [c for c in range(time.comparison_from, len(slices)) if c != time.cohort]
        parts = [_parts(matrices, eligible, slices[c], time) for c in (time.cohort, *others)]
        found, refused = [], []
        for other in parts[1:]:
            one, reason = _three_comparisons(matrices, parts[0], other, names, options.adjustment, time)
            found += [] if reason else [one]
            refused += [reason] if reason else []
        if not found:
            reasons[k] = refused[0]
            continue
        each = np.array([estimate for estimate, _ in found])
        influence = np.column_stack([column for _, column in found])
        sums = np.zeros((matrices.n_clusters, len(found)))
        np.add.at(sums, matrices.cluster, influence)
        weights = _generalised_weights(sums.T @ sums)
        value[k], psi[:, k] = weights @ each, influence @ weights
        if refused:
            reasons[k] = NOT_USED.format(len(refused), len(parts) - 1, refused[0])
    return value, Influence.dense(psi), reasons


def _least_variance(variance: Floats, common: Floats) -> Floats:
    """Return the weights (n, m) of the least variance of estimates with variances ``common + variance`` and covariances ``common``."""
    size = 10 * RANK_TOLERANCE * (len(variance) * common + variance.max(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = 1 / variance / (1 / variance).sum(axis=0)
    for k in np.flatnonzero(~(variance.min(axis=0) > size)):
        weights[:, k] = _generalised_weights(common[k] + np.diag(variance[:, k]))
    return np.asarray(weights)


def _generalised_weights(covariance: Floats) -> Floats:
    inverse = np.linalg.pinv(covariance, rcond=RANK_TOLERANCE, hermitian=True)
    total = inverse.sum()
    return np.asarray(inverse.sum(axis=0) / total if total > 0 else np.full(len(inverse), 1 / len(inverse)))


def _paths_suffice(matrices: Matrices) -> bool:
    """Return whether all units are observed throughout with weights that do not change, and clusters hold units of one cohort."""
    return constant_weights(matrices) and matrices.importance is matrices.weight and population_of(matrices).separate


@dataclass(frozen=True)
class _Paths:
    """Mean outcomes of the eligible less those of the ineligible part by cohort, their influence and covariance, and the smaller part."""

    mean: Floats  # (C + 1, T)
    influence: Floats  # (N, T): Of a unit on the path of its cohort
    covariance: Floats  # (C + 1, T, T): Over clusters
    smallest: NDArray[np.intp]  # (C + 1,)


def _read_paths(matrices: Matrices, eligible: Bools) -> _Paths:
    width, n_periods = len(matrices.starts) - 1, matrices.n_periods
    mass = np.ones(matrices.n_units) if matrices.weight is None else matrices.weight[:, 0]
    mean, covariance = np.zeros((width, n_periods)), np.zeros((width, n_periods, n_periods))
    influence, smallest = np.zeros((matrices.n_units, n_periods)), np.zeros(width, dtype=np.intp)
    for c, rows in enumerate(cohort_slices(matrices)):
        units = np.arange(rows.start, rows.stop)
        parts = units[eligible[rows]], units[~eligible[rows]]
        smallest[c] = min(map(len, parts))
        for part, sign in zip(parts, (1.0, -1.0), strict=True):
            share = sign * mass[part] / (mass[part].sum() or 1.0)
            own = sign * share @ matrices.outcome[part]
            mean[c] += sign * own
            influence[part] = share[:, None] * (matrices.outcome[part] - own)
        sums = influence[rows]
        if not matrices.clustered_by_unit:
            sums = np.zeros((matrices.n_clusters, n_periods))
            np.add.at(sums, matrices.cluster[rows], influence[rows])
        covariance[c] = sums.T @ sums
    return _Paths(mean, influence, covariance, smallest)


def _compare_paths(
    design: Design, eligible: Bools, options: TripleDifferenceOptions
) -> tuple[Floats, Influence, list[str]]:
    """Do the same without covariates from the paths of cohorts.

    Clusters of a comparison cohort share nothing with those of another, and all share the cohort itself: the weights of the least
    variance are in proportion to ``1 / v_c``, v_c the variance of the change in the path of comparison cohort c.
    """
    matrices = design.matrices
    times = list(list_group_times(matrices, options.comparison, options.base_period, design.anticipation))
    value = np.array([0.0 if time.reason == BASE_PERIOD else np.nan for time in times])
    reasons = [time.reason for time in times]
    paths, width = _read_paths(matrices, eligible), len(matrices.starts) - 1
    groups: dict[tuple[int, int], list[int]] = {}
    for k, time in enumerate(times):
        if not time.reason:
            groups.setdefault((time.cohort, time.comparison_from), []).append(k)
    diagonal = np.einsum("ctt->ct", paths.covariance)
    right = np.zeros((width, matrices.n_periods, len(times)))
    for (own, first), members in groups.items():
        used, why = _usable(paths.smallest, own, first)
        for k in members:
            reasons[k] = why
        if not used:
            continue
        now, base = (np.array([getattr(times[k], name) for k in members]) for name in ("now", "base"))
        variance = diagonal[:, now] + diagonal[:, base] - 2 * paths.covariance[:, now, base]
        weights = _least_variance(variance[used], variance[own])
        change = paths.mean[:, now] - paths.mean[:, base]
        value[members] = change[own] - (weights * change[used]).sum(axis=0)
        for column, sign in ((now, 1.0), (base, -1.0)):
            right[own, column, members] = sign
            for weight, c in zip(weights, used, strict=True):
                right[c, column, members] = -sign * weight
    blocks = [Block(rows, paths.influence[rows], right[c]) for c, rows in enumerate(cohort_slices(matrices))]
    return value, Influence(matrices.n_units, len(times), tuple(blocks)), reasons


def _usable(smallest: NDArray[np.intp], own: int, first: int) -> tuple[list[int], str]:
    """Return the comparison cohorts from ``first`` on whose parts have enough units, and what is to be said of the others."""
    others = [c for c in range(first, len(smallest)) if c != own]
    least = LEAST if first < len(smallest) - 1 else 1
    used = [c for c in others if smallest[c] >= least and smallest[own]]
    refused = [c for c in others if c not in used]
    if not refused:
        return used, ""
    why = TOO_FEW.format(LEAST if min(smallest[refused[0]], smallest[own]) else 1)
    return used, NOT_USED.format(len(refused), len(others), why) if used else why


def _parts(matrices: Matrices, eligible: Bools, rows: slice, time: GroupTime) -> tuple[Rows, Rows]:
    """Return the eligible and the ineligible units of a cohort that are observed in both periods."""
    units = np.arange(rows.start, rows.stop)
    if matrices.observed is not None:
        units = units[matrices.observed[units, time.now] & matrices.observed[units, time.base]]
    return units[eligible[units]], units[~eligible[units]]


def _three_comparisons(
    matrices: Matrices,
    own: tuple[Rows, Rows],
    other: tuple[Rows, Rows],
    names: tuple[str, ...],
    adjustment: str,
    time: GroupTime,
) -> tuple[tuple[float, Floats], str]:
    """Compare the eligible part of a cohort with its other part and with both of another: estimate, influence, reason."""
    value, psi = 0.0, np.zeros(matrices.n_units)
    few = min(map(len, (*own, *other)))
    if not few or (time.comparison_from < len(matrices.cohorts) and min(map(len, other)) < LEAST):
        return (value, psi), TOO_FEW.format(LEAST if few else 1)
    earlier = min(time.now, time.base)
    of_treated, of_others = (
        np.ones(matrices.n_units) if weight is None else weight[:, earlier] for weight in weights_by_side(matrices)
    )
    change = matrices.outcome[:, time.now] - matrices.outcome[:, time.base]
    x = np.array([matrices.covariates[name][:, earlier] for name in names]).reshape(-1, matrices.n_units).T
    for rows, sign in ((own[1], 1.0), (other[0], 1.0), (other[1], -1.0)):
        sides = [(change[side, None], x[side], w[side]) for side, w in ((own[0], of_treated), (rows, of_others))]
        scores = panel_scores(*sides[0], *sides[1], adjustment if names else "none")
        if scores.reason:
            named = label(matrices.period_kind, int(matrices.cohorts[time.cohort]))
            return (value, psi), explain_adjustment(scores.reason, named, names, x[own[0]], x[rows])
        value += sign * float(scores.value[0])
        psi[own[0]] += sign * scores.treated[:, 0]
        psi[rows] += sign * scores.comparison[:, 0]
    return (value, psi), ""


def _read_parts(design: Design, options: TripleDifferenceOptions) -> tuple[Bools, tuple[str, ...]]:
    """Find which parts are eligible, check that the covariate says so, and name the covariates to adjust for."""
    matrices: Matrices = design.matrices
    names = chosen_covariates(METHOD.name, design, None if options.eligible is None else (options.eligible,))
    if len(names) != 1:
        raise EstimationError(
            f"triple_difference: the design has {len(names)} covariates ({', '.join(map(str, names)) or 'none'}); say which one is 1 for "
            "eligible parts with eligible=..., and name it in diagnose(covariates=...)."
        )
    values = matrices.covariates[names[0]]
    first = values[:, 0] if matrices.observed is None else values.max(axis=1)
    seen = np.ones_like(values, dtype=bool) if matrices.observed is None else matrices.observed
    wrong = (seen & (values != first[:, None])).any(axis=1) | ~np.isin(first, (0.0, 1.0))
    if wrong.any():
        units = ", ".join(map(str, matrices.units[wrong][:5]))
        raise EstimationError(
            f"triple_difference: {names[0]!r} is not 0 or 1 throughout for {counted(int(wrong.sum()), 'part')}, for example {units}."
        )
    eligible = first == 1
    if eligible.all() or not eligible.any():
        raise EstimationError(
            f"triple_difference: {names[0]!r} is {'1' if eligible.all() else '0'} for every part; both parts are needed."
        )
    others = tuple(name for name in chosen_covariates(METHOD.name, design, options.covariates) if name != names[0])
    return np.asarray(eligible), () if options.adjustment == "none" else others


METHOD = Method(
    name="triple_difference",
    fit=fit_triple_difference,
    options=TripleDifferenceOptions,
    needs=Needs(comparison="not_yet_treated", covariates=1, covariate="which part of a unit is eligible"),
    estimand="average effect on the eligible part of each cohort in each period, beyond that on the ineligible part",
    reference="moderndid 0.2.0, ddd() (the port of R triplediff); hand-computed differences of means",
    source="Ortiz-Villavicencio and Sant'Anna (2025), doi:10.48550/arXiv.2505.09942",
    test="tests/did/estimators/test_triple_difference.py::test_cells_equal_the_reference",
    tolerance="1e-7, where the reference's logit stops; without covariates 1e-11: two ways through the same sums",
)
