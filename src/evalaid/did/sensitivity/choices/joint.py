"""The joint test of a specification curve: could all its estimates together come from no effect at all?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.effect_columns import P_VALUE
from evalaid.base.errors import EvalaidError, InferenceError
from evalaid.base.shared_out import do_parts
from evalaid.base.texts import join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.notebook_view import NotebookView
from evalaid.did.estimators.estimation import find_kernel, level_free
from evalaid.did.inference.options import check_options
from evalaid.did.inference.randomisation.assignments import Assignments, list_assignments
from evalaid.did.inference.randomisation.confidence_sets import TIE
from evalaid.did.inference.randomisation.reassignment import by_contrasts, by_sums, move
from evalaid.did.panel.design import Design, check_design
from evalaid.did.sensitivity.choices.declared import Specification, read_specifications
from evalaid.did.sensitivity.choices.specifications import (
    cut_design,
    estimate_block,
    estimate_specification,
    fit_options,
    group_blocks,
)
from evalaid.did.sensitivity.choices.spread import CHOICES

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

STATISTICS = ("median effect", "share significant with the dominant sign", "Stouffer z")


@dataclass(frozen=True, eq=False)
class JointTest(NotebookView):
    """The result of the joint test.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per statistic: ``statistic``, ``observed``, ``expected`` (its mean over the assignments), ``p_value``.
    specifications : pandas.DataFrame
        One row per specification, in the declared order: its choices, ``estimate``, ``p_value`` (its own, from the same
        assignments), ``n_missing`` (assignments without an estimate: all where the true one has none).
    draws : pandas.DataFrame
        One row per assignment, one column per statistic.
    exact : bool
        Whether all distinct assignments were used.
    n_assignments : int
        Distinct assignments, the true one included.
    seed : int
        Of the random assignments.
    level : float
        A specification counts as significant when its own p-value is at most ``1 - level``.
    note : str
        What was permuted, and what is left out.
    """

    table: pd.DataFrame
    specifications: pd.DataFrame = field(repr=False)
    draws: pd.DataFrame = field(repr=False)
    exact: bool
    n_assignments: int
    seed: int
    level: float
    note: str


def joint_test(
    design: Design,
    specifications: Sequence[Specification] | Mapping[str, Any],
    *,
    draws: int = 199,
    seed: int = 1,
    strata: str | pd.Series | None = None,
    kind: Literal["assignment", "timing"] = "assignment",
    level: float = 0.95,
    progress: Callable[[int, int], object] | None = None,
) -> JointTest:
    """Test the sharp null of no effect with all specifications at once, by re-assigning the programme.

    Assumes what :func:`evalaid.randomize` assumes. All specifications are estimated under the same assignments, so that
    their dependence is kept. The test says whether there is an effect, not which specification is right.

    Parameters
    ----------
    design, specifications
        As in :func:`evalaid.specification_curve`.
    draws : int
        Random assignments; all distinct ones when there are no more than this.
    seed, strata, kind
        As in :func:`evalaid.randomize`.
    level : float
        ``1 - level`` is the p-value up to which a specification counts as significant.
    progress : callable, optional
        Called with the number of estimates done (specifications times assignments) and their total.

    Returns
    -------
    JointTest

    Raises
    ------
    EstimationError
        When nothing is declared or a choice does not exist.
    InferenceError
        When no specification has an estimate, nothing can be re-assigned, or draws are too few for the level.

    Notes
    -----
    Statistics: the absolute median of the estimates; the share of specifications that are significant with the dominant sign
    (that of most estimates); ``|sum_s z_s| / sqrt(S)``. A specification's z is its estimate over its standard deviation over
    the assignments, and its p-value the share of assignments with an estimate at least as large: both come from the
    assignments alone, in which no standard error enters. ``p = (1 + #{at least the true one}) / (draws + 1)``, over all
    assignments without the ones. Specifications without covariates on a balanced, unweighted cut are contrasts of cohort
    paths, of which all assignments are one matrix product. Simonsohn, Simmons and Nelson (2020),
    doi:10.1038/s41562-020-0912-z, whose p-values of specifications come from standard errors instead.

    Examples
    --------
    >>> import evalaid as ea
    >>> frame = pd.DataFrame({
    ...     "county": np.repeat(list("abcdefghij"), 3), "year": [2019, 2020, 2021] * 10,
    ...     "share": 0.5 + 0.1 * np.sin(np.arange(30.0) ** 2), "first_treated": np.repeat([2021] * 3 + [np.nan] * 7, 3),
    ... })
    >>> design = ea.diagnose(frame, "county", "year", "share", "first_treated")
    >>> found = ea.joint_test(design, {"methods": ["twfe", "callaway_santanna"]})
    >>> found.exact, found.n_assignments, len(found.table)
    (True, 120, 3)
    """
    check_design(design)
    declared = read_specifications(design, specifications)
    check_options(level=level)
    assignments = list_assignments(design, kind, strata)
    exact = assignments.count <= draws
    smallest = 1 / assignments.count if exact else 1 / (draws + 1)
    if smallest > (1 - level) * (1 + TIE):
        raise InferenceError(
            f"{'There are only' if exact else 'Asked for are'} {min(draws, assignments.count)} assignments: the smallest "
            f"reachable p-value is {smallest:.3g}, and at level={level} no specification can be significant. Use a lower "
            "level, coarser strata or more draws."
        )
    codes = np.concatenate([assignments.actual[None], *assignments.runs(draws, seed)])
    estimates = _estimate_all(design, declared, assignments, codes, progress)
    known = ~np.isnan(estimates[0])
    if not known.any():
        raise InferenceError(
            "No specification has an estimate under the true assignment; see specification_curve for why."
        )
    listed = pd.DataFrame([one.describe(design) for one in declared], columns=list(CHOICES))
    own = _own_p_values(estimates, exact=exact)
    listed = listed.assign(estimate=estimates[0], p_value=own[0], n_missing=np.isnan(estimates[1:]).sum(axis=0))
    statistics = _summarise(estimates[:, known], own[:, known], level)
    drawn = statistics[1:]
    reached = (drawn >= statistics[0] * (1 - TIE)).sum(axis=0)
    table = pd.DataFrame(
        {
            "statistic": STATISTICS,
            "observed": statistics[0],
            "expected": drawn.mean(axis=0),
            P_VALUE: reached / len(drawn) if exact else (1 + reached) / (1 + len(drawn)),
        }
    )
    how = f"all {assignments.count:,} distinct assignments" if exact else f"{draws:,} random assignments, seed {seed}"
    lost = f"{int((~known).sum())} of {len(known)} specifications have no estimate" if not known.all() else ""
    note = join_texts((how, assignments.note, lost))
    return JointTest(
        table, listed, pd.DataFrame(drawn, columns=STATISTICS), exact, assignments.count, seed, level, note
    )


def _estimate_all(
    design: Design,
    declared: Sequence[Specification],
    assignments: Assignments,
    codes: Codes,
    progress: Callable[[int, int], object] | None,
) -> Floats:
    """Estimate every specification under every assignment, (assignments, specifications)."""
    estimates = np.full((len(codes), len(declared)), np.nan)
    total, done = estimates.size, 0
    slow: dict[tuple[Any, ...], list[int]] = {}
    for key, block in group_blocks(declared).items():
        together = []
        for k in block:
            column = estimate_by_paths(design, declared[k], assignments, codes)
            if column is None:
                together.append(k)
                continue
            estimates[:, k] = column
            done += len(codes)
            if progress is not None:
                progress(done, total)
        if together:
            slow[key] = together
    if not slow:
        return estimates
    first = _estimate_blocks(design, declared, assignments, slow, codes[0])
    slow = {key: [k for k in block if not np.isnan(first[k])] for key, block in slow.items()}
    columns = [k for block in slow.values() for k in block]
    done = (estimates.shape[1] - len(columns)) * len(codes)
    work = partial(_estimate_blocks, design, declared, assignments, {key: own for key, own in slow.items() if own})
    for row, values in enumerate(do_parts(work, codes if columns else ())):
        estimates[row, columns] = values[columns]
        done += len(columns)
        if progress is not None:
            progress(done, total)
    return estimates


def _estimate_blocks(
    design: Design,
    declared: Sequence[Specification],
    assignments: Assignments,
    blocks: Mapping[tuple[Any, ...], list[int]],
    assigned: Codes,
) -> Floats:
    """Estimate the specifications of some blocks under one assignment; the others are missing."""
    moved = move(design, assignments, assigned)
    values = np.full(len(declared), np.nan)
    cuts: dict[Any, Design] = {}
    for (cut, *_), block in blocks.items():
        if cut not in cuts:
            cuts[cut] = cut_design(moved, declared[block[0]])
        for positions, found in estimate_block(cuts[cut], [declared[k] for k in block]):
            if isinstance(found, Effects):
                values[[block[position] for position in positions]] = found.value
    return values


def estimate_by_paths(design: Design, one: Specification, assignments: Assignments, codes: Codes) -> Floats | None:
    """Return the estimates of all assignments as sums of scores, or from sums by cohort; None where that is not the estimator."""
    cut = level_free(cut_design(design, replace(one, comparison="own")), fit_options(one))
    matrices = cut.matrices
    if matrices.n_units != design.n_units:  # who is left depends on the assignment
        return None
    position = design.matrices.units.get_indexer(matrices.units)
    number = np.full(len(design.matrices.cohorts) + 1, len(matrices.cohorts))
    cohort = np.repeat(np.arange(len(number)), np.diff(design.matrices.starts))
    number[cohort[position]] = np.repeat(np.arange(len(matrices.starts) - 1), np.diff(matrices.starts))
    inside = replace(assignments, block=assignments.block[position], actual=number[assignments.actual])
    only_treated = one.comparison == "eventually_treated"

    def estimator(moved: Design) -> Effects:
        return estimate_specification(cut_design(moved, one) if only_treated else moved, one)

    try:
        if not one.covariates and not only_treated:
            found = by_contrasts(cut, estimator, inside, [number[codes]], len(codes))
            if found is not None:
                return found[1].outcome
        kernel = find_kernel(cut_design(cut, one) if only_treated else cut, one.method, **fit_options(one))
        everyone = find_kernel(cut, one.method, **fit_options(one)) if only_treated else kernel
        if kernel is None or everyone is None or kernel.features.shape[1] != everyone.features.shape[1]:
            return None
        kernel = replace(kernel, features=everyone.features)
        estimates = by_sums(cut, estimator, kernel, inside, [number[codes]], without=only_treated)
    except EvalaidError:
        return None
    return None if estimates is None else estimates[1:]


def _own_p_values(estimates: Floats, *, exact: bool) -> Floats:
    """Return each estimate's place among those of its specification; the true assignment is the first row.

    Counted over the assignments without the first row when they are all, which hold it; else with it.
    """
    size = np.abs(np.where(np.isnan(estimates), np.inf, estimates))
    reference = np.sort(size[1:] if exact else size, axis=0)
    own = np.empty_like(size)
    for k in range(size.shape[1]):
        below = np.searchsorted(reference[:, k], size[:, k] * (1 - TIE), side="left")
        own[:, k] = (len(reference) - below) / len(reference)
    return np.where(np.isnan(estimates), np.nan, own)


def _summarise(estimates: Floats, own: Floats, level: float) -> Floats:
    """Return the three statistics of each row, (assignments, 3)."""
    spread = np.sqrt(np.nanmean((estimates - np.nanmean(estimates, axis=0)) ** 2, axis=0))
    z = np.where(np.isnan(estimates), 0.0, estimates) / np.where(spread > 0, spread, 1.0)
    positive, negative = ((estimates * side > 0) for side in (1, -1))
    dominant = np.where(positive.sum(axis=1) >= negative.sum(axis=1), 1.0, -1.0)[:, None]
    significant = (estimates * dominant > 0) & (own <= (1 - level) * (1 + TIE))
    empty = (~np.isnan(estimates)).sum(axis=1) == 0
    median = np.abs(np.nanmedian(np.where(empty[:, None], np.inf, estimates), axis=1))
    statistics = np.column_stack([median, significant.mean(axis=1), np.abs(z.sum(axis=1)) / np.sqrt(z.shape[1])])
    statistics[empty] = np.inf  # an assignment without any estimate counts as at least as large
    return statistics
