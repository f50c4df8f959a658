"""What estimates are without each cluster: in closed form where there is one, by estimating again where not, or in one step."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError, InferenceError
from evalaid.did.effects.contrasts import Contrasts
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.without import Without
from evalaid.did.inference.shares import Shares, count_units, degrees_behind, effective_clusters, shares_of
from evalaid.did.inference.variance.by_cluster import Group, group_clusters
from evalaid.did.inference.variance.cluster import Clusters, small_sample_factor
from evalaid.did.inference.variance.hat import scores_without
from evalaid.did.inference.variance.net_of_periods import NetOfPeriods, pays

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
JOINT = ("auto", "reference", "CR0", "CR1", "CR3")

# One step stands for the estimate without a cluster where the cluster has no more than this share of it: at most a hundred others.
SMALL_SHARE = 0.02
# A share of one side as a whole, up to rounding.
WHOLE = 1 - 1e-9
# Sizes of cells that differ by no more than rounding follow from the number of units.
SAME = 1e-9


@dataclass(frozen=True)
class Jackknife:
    """Changes d_g of the estimates without each cluster (G, cells), the shares of the clusters, and degrees of freedom (cells,)."""

    changes: Floats
    shares: Shares
    number: Floats
    stepped: NDArray[
        np.bool_
    ]  # (cells,): Whether one step stands for a cluster with more than 2%, as nothing makes the estimate again

    @cached_property
    def variance(self) -> Floats:
        """``(G - 1) / G sum_g d_g^2``, (cells,)."""
        count = len(self.changes)
        return np.asarray((self.changes**2).sum(axis=0) * (count - 1) / count)

    @cached_property
    def degrees_of_freedom(self) -> Floats:
        """``max(1, G* - 1)`` with G* the effective number of clusters, (cells,)."""
        return degrees_behind(self.number)


def careful_jackknife(effects: Effects, clusters: Clusters) -> Jackknife:
    """Compute the jackknife of the default: exact for clusters with a share above 2% of a row, in one step for the others.

    ``d_g = -psi_g / (1 - max(p_g, q_g))`` in one step (Jaeckel's infinitesimal jackknife, with the leverage of the cluster), also where
    the estimate ceases to exist without the cluster or cannot be made again. A row never depends on the other rows of its table.
    """
    shares = shares_of(effects, clusters)
    kind, largest = shares.kind, shares.largest
    changes = clusters.sums(effects.influence.matrix()) / -np.maximum(1.0 - largest, 1e-9)[kind]
    wanted = (largest > SMALL_SHARE) & (largest < WHOLE)  # without all of a side there is no estimate
    chosen = np.flatnonzero(np.take(wanted.any(axis=1), kind))
    stepped: NDArray[np.bool_] = np.zeros(len(effects), dtype=bool)
    if len(chosen):
        exact = exact_changes(effects, clusters, chosen)
        if exact is not None:
            here = wanted[kind[chosen]] & ~np.isnan(exact)
            changes[chosen] = np.where(here, exact, changes[chosen])
        else:
            stepped = np.asarray(wanted.any(axis=0), dtype=bool)
    return Jackknife(changes, shares, effective_clusters(shares, changes), stepped)


def jackknife_changes(effects: Effects, clusters: Clusters) -> tuple[Floats, list[str]]:
    """Compute how each estimate changes without each cluster, (G, cells), and by cell a cluster without which it is lost."""
    changes = exact_changes(effects, clusters, np.arange(len(clusters)))
    if changes is None:
        raise InferenceError(
            "CR3 re-estimates without each cluster, and these effects carry no estimator (they were read from JSON or "
            "built by hand). Estimate them in this session, or use CR1 or multiplier."
        )
    reasons = [""] * len(effects)
    for k in np.flatnonzero((np.isnan(changes) & ~np.isnan(effects.value)).any(axis=0)):
        reasons[k] = f"no estimate without cluster {clusters.labels[int(np.isnan(changes[:, k]).argmax())]}"
    return changes, reasons


def jackknife_variance(effects: Effects, clusters: Clusters) -> tuple[Floats, list[str]]:
    """Compute the CR3 variance, (cells,), NaN where an estimate ceases to exist without some cluster, which the reason names.

    ``(G-1)/G sum_g (estimate_without_g - estimate)^2`` (MacKinnon, Nielsen and Webb 2023,
    doi:10.1016/j.jeconom.2022.04.001, their CV3). Conservative with few or unequal clusters.
    """
    changes, reasons = jackknife_changes(effects, clusters)
    count = len(clusters)
    return (changes**2).sum(axis=0) * (count - 1) / count, reasons


def exact_changes(effects: Effects, clusters: Clusters, chosen: Codes) -> Floats | None:
    """Compute the changes without each of the chosen clusters, (n, cells); None when the effects cannot be made again."""
    # One more group, of no unit: a closed form that does not give the estimates themselves there is not theirs.
    count = len(chosen) + 1
    codes = np.full(len(clusters), count, dtype=np.int64)
    codes[chosen] = np.arange(len(chosen))
    found = None if effects.refit is None else _without(effects, codes[clusters.codes], count)
    if found is not None and np.allclose(found.value[-1], effects.value, rtol=SAME, atol=SAME, equal_nan=True):
        return found.value[:-1] - effects.value
    if effects.refit is None:
        return None
    changes = np.full((len(chosen), len(effects)), np.nan)
    for row, code in enumerate(chosen):
        with suppress(EstimationError):
            changes[row] = effects.refit(clusters.codes != code).value - effects.value
    return changes


def _without(effects: Effects, codes: NDArray[np.int64], count: int) -> Without | None:
    """Carry closed forms of the estimator's own cells to these; ``codes`` are 0 to ``count``, the last a group that stays."""
    if effects.derivation is None:
        return _of_estimator(effects, codes, count)
    found = []
    for parent in effects.derivation.parents:
        own = effects.population.units.get_indexer(parent.population.units)
        one = _without(
            parent, codes[own] if len(own) != len(codes) or (own != np.arange(len(own))).any() else codes, count
        )
        if one is None:
            return None
        found.append(one)
    return effects.derivation.step(*found)


def _of_estimator(effects: Effects, codes: NDArray[np.int64], count: int) -> Without | None:
    people = effects.population
    units = count_units(people, codes, count + 1)[:count]
    total = count_units(people, np.zeros(len(codes), dtype=np.int64), 1)
    kept = 1.0 - units / np.where(total > 0, total, 1.0)
    value: Floats | None = None
    if effects.leave_out is not None:
        value = effects.leave_out(codes, count)
    if value is None and effects.contrasts is not None:
        value = effects.value + _regression_changes(effects, codes, count)
    if value is None:
        return None
    return Without(value, _sizes(effects, kept), kept[:, :-1], codes)


def _sizes(effects: Effects, kept: Floats) -> Floats | None:
    """Compute the sizes of cells without each group where they are in proportion to the cohort's units, in every period."""
    cells, people = effects.cells, effects.population
    if "cohort" not in cells:
        return np.ones((len(kept), len(effects)))
    place = people.place(cells["cohort"])
    ratio = effects.size / people.shares[place]
    units = (people.cohort[:, None] == people.cohorts).sum(axis=0)
    entered = effects.size > 0
    ratio = ratio[entered]
    even = not len(ratio) or ratio.max() - ratio.min() <= SAME * ratio.max()
    by_shares = effects.leave_out is not None and (ratio == 1.0).all()  # whoever of a cohort is observed
    whole = by_shares or (cells["n_treated"].to_numpy() == units[place])[entered].all()
    return effects.size * kept[:, place] if even and whole else None


def _regression_changes(effects: Effects, codes: NDArray[np.int64], count: int) -> Floats:
    """Compute the change of linear combinations of regression coefficients without each group of units: ``-c'(X'MX)^- X_g'M (I-H_g)^-1 e_g``."""
    contrasts = effects.contrasts
    assert contrasts is not None  # noqa: S101
    problem, changes = contrasts.problem, np.zeros((count, len(effects)))
    present, inverse = np.unique(codes, return_inverse=True)
    net = NetOfPeriods(problem, problem.counts(inverse.ravel(), len(present)), contrasts.weights)
    for group in group_clusters(problem, inverse.ravel(), len(present)):
        code = present[group.clusters]
        wanted = code < count
        change = net.changes(group) if pays(problem, group) else _changes_by_group(contrasts, group, wanted)
        changes[code[wanted]] = change[wanted]
    return changes


def _changes_by_group(contrasts: Contrasts, group: Group, wanted: NDArray[np.bool_]) -> Floats:
    """Compute the changes without each wanted cluster of a group, in the coordinates of the group, (n, cells); NaN where one is lost."""
    c, size = group.T @ contrasts.solved, np.einsum("jk,jk->k", contrasts.directions, contrasts.solved)
    own = group.T @ contrasts.problem.inverse @ group.T.T
    changes = np.zeros((len(wanted), c.shape[1]))
    for rows, kernel, gram in group.kernels(own):
        some = np.flatnonzero(wanted[rows])
        if not len(some):
            continue
        which = some if len(kernel) == len(wanted[rows]) > len(some) else slice(None)
        gram_of = partial(_grams_of, group, rows.start + some, None if gram is None else gram[which])
        scores, lost = scores_without(kernel[which], gram_of, own, group.scores[rows][some], c, size)
        changes[rows][some] = np.where(lost, np.nan, -scores @ c)
    return changes


def _grams_of(group: Group, clusters: Codes, known: Floats | None, which: NDArray[np.bool_]) -> Floats:
    """Return the Gram matrices of some clusters, from those of one unit of each cohort where they are not known."""
    if known is not None or group.parts is None:
        assert known is not None  # noqa: S101  (only sums of cohorts are not made at once)
        return known[which]
    counts, each = group.parts
    return np.asarray(np.tensordot(counts[clusters[which]], each, axes=1))


def joint_covariance(effects: Effects, clusters: Clusters, vcov: str) -> Floats:
    """Compute the covariance of the estimates, (cells, cells), whose diagonal is the variance that `infer` uses."""
    if vcov not in JOINT:
        raise InferenceError(f"vcov={vcov!r} gives no covariance between estimates; choose {', '.join(JOINT)}.")
    factor = (len(clusters) - 1) / len(clusters)
    if vcov == "auto":
        sums = careful_jackknife(effects, clusters).changes
    elif vcov == "CR3":
        sums, reasons = jackknife_changes(effects, clusters)
        if any(reasons):
            raise InferenceError(f"CR3 gives no covariance here: {next(filter(None, reasons))}. Use CR1.")
    else:
        reference = vcov == "reference"
        sums = clusters.sums(effects.influence.matrix(as_reference=reference))
        corrected = vcov == "CR1" or (reference and effects.convention.correction == "regression")
        factor = small_sample_factor(effects, len(clusters)) if corrected else 1.0
    return np.asarray(sums.T @ sums * factor)
