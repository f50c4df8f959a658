"""One estimate under many assignments: by contrasts or from sums by cohort where the estimator has them, else by estimating again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import EvalaidError, InferenceError
from evalaid.base.shared_out import do_parts
from evalaid.base.texts import join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.estimators.common.cohort_kernel import CohortKernel
from evalaid.did.inference.randomisation.assignments import Assignments
from evalaid.did.inference.randomisation.cohort_paths import SAME, Estimator, agree, read_contrasts, score_paths
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import reassign

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
Progress = Callable[[int, int], object]

# Contrasts are read once for each vector of cohort sizes; with more of them than this share of the draws, estimate again.
MANY_SIZES = 0.25
# Memberships of so many units are worked on at once.
MEMBERSHIPS = 4_000_000
# So many random assignments, beside the true one, are estimated again to see that contrasts give the same numbers.
CHECKED = 1


@dataclass(frozen=True, eq=False)
class AssignmentMoments:
    """Estimates on the outcome and on the true treatment indicator, one row per assignment.

    ``outcome`` (draws,): estimates; NaN where the assignment admits none. ``treatment`` (draws,): the same estimator
    on the indicator of true treatment; None when it is not linear. ``covariance`` (draws, 3): variance of ``outcome``,
    covariance with ``treatment``, variance of ``treatment``, each the sum over cohorts of ``n/(n-1) sum (psi - mean
    psi)^2`` over the n blocks of a cohort (Neyman's); a cohort of one block adds nothing; NaN where ``how`` is "sums".
    ``how``: "contrasts", "sums" or "refits".
    """

    outcome: Floats
    treatment: Floats | None
    covariance: Floats
    how: str


def overall(effects: Effects) -> Effects:
    """Return the one overall estimate, cohort sizes taken as known: an assignment fixes them."""
    return effects.aggregate("overall", "fixed")


def move(design: Design, assignments: Assignments, codes: Codes) -> Design:
    """Return the design under another assignment of cohorts to blocks."""
    cohorts = np.append(design.matrices.cohorts.astype(float), np.nan)
    return replace(design, matrices=reassign(design.matrices, cohorts[codes[assignments.block]]))


def estimate_all(
    design: Design,
    estimator: Estimator,
    assignments: Assignments,
    draws: int,
    seed: int,
    progress: Progress | None = None,
    sums: Callable[[Design], CohortKernel | None] | None = None,
) -> tuple[AssignmentMoments, AssignmentMoments]:
    """Estimate under the true assignment and under all others that are drawn; from ``sums`` by cohort where covariances are not needed."""
    effects = estimator(design)
    if len(effects) != 1 or np.isnan(effects.value).any():
        reason = join_texts(effects.cells["reason"])
        raise InferenceError(f"There is no estimate to hold against other assignments: {reason or 'it is missing'}.")
    total = min(draws, assignments.count)
    found = by_contrasts(design, estimator, assignments, assignments.runs(draws, seed), total, progress)
    if found is None and sums is not None:
        found = _from_sums(design, estimator, sums, assignments, draws, seed)
        if found is not None and progress is not None:
            progress(total, total)
    return found or by_refits(design, estimator, assignments, draws, seed, progress)


def _from_sums(
    design: Design,
    estimator: Estimator,
    sums: Callable[[Design], CohortKernel | None],
    assignments: Assignments,
    draws: int,
    seed: int,
) -> tuple[AssignmentMoments, AssignmentMoments] | None:
    """Estimate on the outcome and on the indicator of true treatment from sums by cohort; None where one has no estimate."""
    runs = list(assignments.runs(draws, seed))
    columns = []
    for one in (design, _with_outcome(design, _treatment(design, design))):
        kernel = sums(one)
        found = None if kernel is None else by_sums(one, estimator, kernel, assignments, runs)
        if found is None:
            return None
        columns.append(found)
    outcome, treatment = columns
    unknown = np.full((len(outcome), 3), np.nan)
    return (
        AssignmentMoments(outcome[:1], treatment[:1], unknown[:1], "sums"),
        AssignmentMoments(outcome[1:], treatment[1:], unknown[1:], "sums"),
    )


def by_sums(
    design: Design,
    estimator: Estimator,
    kernel: CohortKernel,
    assignments: Assignments,
    runs: Iterable[Codes],
    *,
    without: bool = False,
) -> Floats | None:
    """Estimate under the true assignment and all of ``runs`` (draws, blocks) from sums by cohort, (1 + draws,).

    ``without`` leaves out the units that are never treated under an assignment.
    None where an assignment has no estimate, or the estimator itself finds another number for the true or the first assignment.
    """
    groups = np.arange(len(design.matrices.starts) - 1)
    if without:
        groups[-1] = -1
    blocks = np.zeros((len(assignments.actual), kernel.features.shape[1]))
    np.add.at(blocks, assignments.block, kernel.features)
    runs, found = list(runs), []
    for run in (assignments.actual[None], *runs):
        step = max(1, MEMBERSHIPS // (run.shape[1] * len(groups)))
        pieces = (run[at : at + step, None, :] == groups[:, None] for at in range(0, len(run), step))
        found += [kernel.average(member.astype(float) @ blocks) for member in pieces]
    estimates = np.concatenate(found)
    size = float(np.abs(design.matrices.outcome).max())
    checked = np.concatenate([assignments.actual[None], runs[0][:CHECKED]])
    for codes, quick in zip(checked, estimates[: len(checked)], strict=True):
        try:
            slow = estimator(move(design, assignments, codes))
        except EvalaidError:  # an assignment without an estimate counts; that is for refits to tell
            return None
        if len(slow) != 1 or not agree(quick, float(slow.value[0]), size):
            return None
    return None if np.isnan(estimates).any() else estimates


def by_refits(
    design: Design,
    estimator: Estimator,
    assignments: Assignments,
    draws: int,
    seed: int,
    progress: Progress | None = None,
) -> tuple[AssignmentMoments, AssignmentMoments]:
    """Estimate under each assignment anew; see :func:`estimate_all`."""
    linear = _is_linear(design, estimator)
    total = min(draws, assignments.count)
    actual = _refit(design, design, estimator, assignments, assignments.actual, linear=linear)

    def refit(codes: Codes) -> tuple[float, float, Floats]:
        return _refit(design, move(design, assignments, codes), estimator, assignments, codes, linear=linear)

    rows: list[tuple[float, float, Floats]] = []
    for row in do_parts(refit, chain.from_iterable(assignments.runs(draws, seed))):
        rows.append(row)
        if progress is not None:
            progress(len(rows), total)
    return _gather([actual], linear=linear), _gather(rows, linear=linear)


def refits_at(
    design: Design,
    estimator: Estimator,
    assignments: Assignments,
    draws: int,
    seed: int,
    effect: float,
) -> Iterator[AssignmentMoments]:
    """Estimate on the outcome less a constant effect of the true treatment, one assignment at a time, the true one first."""
    shifted = _with_outcome(design, design.matrices.outcome - effect * _treatment(design, design))
    every = chain([assignments.actual[None]], assignments.runs(draws, seed))
    for codes in chain.from_iterable(every):
        moved = move(shifted, assignments, codes)
        yield _gather([_refit(shifted, moved, estimator, assignments, codes, linear=False)], linear=False)


def _gather(rows: list[tuple[float, float, Floats]], *, linear: bool) -> AssignmentMoments:
    outcome, treatment, covariance = (np.array(column) for column in zip(*rows, strict=True))
    return AssignmentMoments(outcome, treatment if linear else None, covariance, "refits")


def _refit(
    true: Design, design: Design, estimator: Estimator, assignments: Assignments, codes: Codes, *, linear: bool
) -> tuple[float, float, Floats]:
    """Estimate on the outcome and, for a linear estimator, on the indicator of true treatment."""
    try:
        effects = [estimator(design)]
        if linear:
            effects.append(estimator(_with_outcome(design, _treatment(true, design))))
    except EvalaidError:
        return np.nan, np.nan, np.full(3, np.nan)
    rows = assignments.block[true.matrices.units.get_indexer(effects[0].population.units)]
    psi = [np.bincount(rows, one.influence.matrix()[:, 0], len(codes)).astype(np.float64) for one in effects]
    y, d = psi[0], psi[-1]
    products = np.array([_spread(y, y, codes), _spread(y, d, codes), _spread(d, d, codes)])
    return float(effects[0].value[0]), float(effects[-1].value[0]), products


def _spread(one: Floats, other: Floats, codes: Codes) -> float:
    """Sum ``n/(n-1) sum (a - mean a)(b - mean b)`` over cohorts with two blocks or more."""
    count = np.bincount(codes).astype(float)
    means = [np.bincount(codes, values) / np.maximum(count, 1.0) for values in (one, other)]
    products = np.bincount(codes, (one - means[0][codes]) * (other - means[1][codes]))
    return float((products * count / np.maximum(count - 1, 1.0))[count > 1].sum())


def _treatment(true: Design, design: Design) -> Floats:
    """Return the indicator of true treatment in the row order of another matrices of the same units."""
    matrices = true.matrices
    treated = (matrices.periods >= np.where(np.isnan(matrices.cohort), np.inf, matrices.cohort)[:, None]).astype(float)
    return treated if design is true else treated[matrices.units.get_indexer(design.matrices.units)]


def _with_outcome(design: Design, outcome: Floats) -> Design:
    matrices = design.matrices
    seen = outcome if matrices.observed is None else np.where(matrices.observed, outcome, 0.0)
    return replace(design, matrices=replace(matrices, outcome=np.ascontiguousarray(seen)))


def _is_linear(design: Design, estimator: Estimator) -> bool:
    """Return whether the estimate of a sum of two outcomes is the sum of their estimates.

    The second outcome is arbitrary numbers: weights that are fitted to untreated outcomes would not move with a treatment.
    """
    outcome = design.matrices.outcome
    other = np.random.default_rng(0).normal(0.0, float(outcome.std()) or 1.0, outcome.shape)
    try:
        whole, one, two = (
            estimator(_with_outcome(design, values)).value[0] for values in (outcome + other, outcome, other)
        )
    except EvalaidError:
        return False
    return agree(whole, one + two, float(np.abs(outcome).max()))


def by_contrasts(
    design: Design,
    estimator: Estimator,
    assignments: Assignments,
    runs: Iterable[Codes],
    total: int,
    progress: Progress | None = None,
) -> tuple[AssignmentMoments, AssignmentMoments] | None:
    """Score every block under every cohort once; an assignment is then a sum of entries.

    Shapes: runs (draws, blocks).
    """
    if design.matrices.observed is not None or design.matrices.weight is not None:
        return None
    scores = _Scores(design, estimator, assignments)
    done: list[tuple[Floats, Floats, Floats]] = []
    count = 0
    for run in runs:
        if not done and not _holds(design, estimator, assignments, scores, run):
            return None
        moments = scores(run)
        if moments is None:
            return None
        done.append(moments)
        count += len(run)
        if progress is not None:
            progress(count, total)
    actual = scores(assignments.actual[None])
    assert actual is not None  # noqa: S101  (it was held against the refit)
    outcome, treatment, covariance = (np.concatenate(column) for column in zip(*done, strict=True))
    return AssignmentMoments(*actual, "contrasts"), AssignmentMoments(outcome, treatment, covariance, "contrasts")


def _holds(design: Design, estimator: Estimator, assignments: Assignments, scores: _Scores, run: Codes) -> bool:
    """Compare contrasts with the estimator itself for the true assignment and for some of the others."""
    if len(np.unique(scores.sizes(run), axis=0)) > max(1.0, MANY_SIZES * len(run)):
        return False
    checked = np.vstack([assignments.actual[None], run[:CHECKED]])
    by_scores = scores(checked)
    if by_scores is None:
        return False
    size = float(np.abs(design.matrices.outcome).max())
    error = float(np.sqrt(max(by_scores[2][0, 0], 0.0)))
    spread = max(error, SAME * size)
    for codes, *quick in zip(checked, *by_scores, strict=True):
        slow = _refit(design, move(design, assignments, codes), estimator, assignments, codes, linear=True)
        same = agree(quick[0], slow[0], size) and agree(quick[1], slow[1], 1.0)
        if not same or not agree(quick[2] / spread**2, slow[2] / spread**2, 1.0):
            return False
    return True


class _Scores:
    """What each block adds to the estimate in each cohort; contrasts are kept for each vector of cohort sizes."""

    def __init__(self, design: Design, estimator: Estimator, assignments: Assignments) -> None:
        self._design, self._estimator, self._assignments = design, estimator, assignments
        self._block_size = np.bincount(assignments.block).astype(float)
        self._treatment = _treatment(design, design)
        self._known: dict[bytes, tuple[Floats, Floats] | None] = {}

    def sizes(self, run: Codes) -> Floats:
        """Count the units of each cohort under each assignment, (draws, C + 1)."""
        groups = range(len(self._design.matrices.starts) - 1)
        return np.stack([(run == number) @ self._block_size for number in groups], axis=1)

    def __call__(self, run: Codes) -> tuple[Floats, Floats, Floats] | None:
        """Return the moments of some assignments: estimates, (draws,) twice, and covariances, (draws, 3)."""
        every, place = np.unique(self.sizes(run), axis=0, return_inverse=True)
        place = place.ravel()
        outcome, treatment, covariance = np.empty(len(run)), np.empty(len(run)), np.empty((len(run), 3))
        for number, sizes in enumerate(every):
            found = self._read(sizes)
            if found is None:
                return None
            chosen = slice(None) if len(every) == 1 else place == number
            outcome[chosen], treatment[chosen], covariance[chosen] = _add_up(run[chosen], *found)
        return outcome, treatment, covariance

    def _read(self, sizes: Floats) -> tuple[Floats, Floats] | None:
        key = sizes.tobytes()
        if key not in self._known:
            contrasts = read_contrasts(self._design, self._estimator, sizes)
            self._known[key] = contrasts if contrasts is None else self._score(contrasts[0], sizes)
        return self._known[key]

    def _score(self, contrasts: Floats, sizes: Floats) -> tuple[Floats, Floats]:
        block = self._assignments.block
        y, d = (score_paths(contrasts, values, sizes) for values in (self._design.matrices.outcome, self._treatment))
        if (block != np.arange(len(block))).any():  # clusters, or units in another order than the blocks
            y, d = (
                np.stack([np.bincount(block, column).astype(np.float64) for column in scores.T], axis=1)
                for scores in (y, d)
            )
        return y, d


def _add_up(run: Codes, y: Floats, d: Floats) -> tuple[Floats, Floats, Floats]:
    """Sum scores (blocks, C + 1) over the cohorts of each assignment, and their products about the cohort means."""
    middle = y.mean(axis=0), d.mean(axis=0)  # taken out first: variances must not be differences of large numbers
    outcome, treatment, covariance = np.zeros(len(run)), np.zeros(len(run)), np.zeros((len(run), 3))
    for number in range(y.shape[1]):
        member = (run == number).astype(float)
        one, other = y[:, number] - middle[0][number], d[:, number] - middle[1][number]
        count = member.sum(axis=1)
        sums = member @ np.stack([one, other, one * one, one * other, other * other], axis=1)
        outcome += sums[:, 0] + count * middle[0][number]
        treatment += sums[:, 1] + count * middle[1][number]
        squares = np.stack([sums[:, 0] ** 2, sums[:, 0] * sums[:, 1], sums[:, 1] ** 2], axis=1)
        about = sums[:, 2:] - squares / np.maximum(count, 1.0)[:, None]
        covariance += about * (np.where(count > 1, count, 0.0) / np.maximum(count - 1, 1.0))[:, None]
    return outcome, treatment, covariance
