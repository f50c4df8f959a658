"""Group-time effects with covariates, and what they are without each of some groups of units, from fits that are made many at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from evalaid.base.periods import label
from evalaid.did.effects.influence import Block, Influence
from evalaid.did.estimators.common.method import cohort_slices
from evalaid.did.estimators.common.separation import explain_adjustment
from evalaid.did.estimators.common.two_by_two_scores import BATCH, PanelSample, adjusted_scores, values_without
from evalaid.did.estimators.common.unbalanced import BASE_PERIOD
from evalaid.did.estimators.comparisons.group_times import GroupTime, comparison_rows, comparison_size
from evalaid.did.panel.matrices import Matrices

Floats = NDArray[np.float64]


def adjust_changes(
    matrices: Matrices, cells: list[GroupTime], covariates: tuple[str, ...], adjustment: str
) -> tuple[Floats, Influence, list[str]]:
    """Estimate all cells of one cohort with one comparison group (and covariate period) together.

    The fits depend on the cohort, its comparison units and the period in which covariates and weights are read; cells
    that share these are columns of one matrix of outcome changes.
    """
    value, reasons = _start(cells), [cell.reason for cell in cells]
    samples = _Samples(matrices, covariates, cells)
    blocks: list[Block] = []
    for batch in _batches(matrices, cells, samples.groups):
        made = [samples.make(group, members) for group, members in batch]
        found = adjusted_scores([sample for sample, _ in made], adjustment)
        for (_, members), (sample, runs), scores in zip(batch, made, found, strict=True):
            if scores.reason:
                x, n = sample.regressors[1:].T, sample.n_treated
                named = label(matrices.period_kind, int(matrices.cohorts[cells[members[0]].cohort]))
                reason = explain_adjustment(scores.reason, named, covariates, x[:n], x[n:])
                for k in members:
                    reasons[k] = reason
                continue
            value[members] = scores.value
            pick = np.zeros((len(members), len(cells)))
            pick[np.arange(len(members)), members] = 1.0
            blocks.append(Block(runs[0], scores.treated, pick))
            done = 0
            for rows in runs[1:]:
                blocks.append(Block(rows, scores.comparison[done : done + _length(rows)], pick))
                done += _length(rows)
    return value, Influence(matrices.n_units, len(cells), tuple(blocks)), reasons


def adjust_without(
    matrices: Matrices,
    cells: list[GroupTime],
    covariates: tuple[str, ...],
    adjustment: str,
    codes: NDArray[np.int64],
    count: int,
) -> Floats:
    """Estimate all cells without each of the groups 0 to ``count`` of the units, (count, cells); NaN where there is none."""
    value = np.repeat(_start(cells)[None], count, axis=0)
    samples = _Samples(matrices, covariates, cells)
    for group, members in samples.groups.items():
        whole, runs = samples.make(group, members)
        own = np.concatenate([codes[rows] for rows in runs])
        value[:, members] = values_without(whole, own, count, adjustment)
    return value


class _Samples:
    """What the cells that share fits are made from, by cohort, comparison and period of the covariates (``groups``)."""

    def __init__(self, matrices: Matrices, covariates: tuple[str, ...], cells: list[GroupTime]) -> None:
        self._matrices, self._cells, self._weights = matrices, cells, weights_by_side(matrices)
        chosen = [matrices.covariates[name] for name in covariates]
        constant = all(map(is_constant, (*chosen, *(weight for weight in self._weights if weight is not None))))
        self.groups: dict[tuple[int, int, int], list[int]] = {}
        for number, cell in enumerate(cells):
            if not cell.reason:
                period = 0 if constant else min(cell.now, cell.base)
                self.groups.setdefault((cell.cohort, cell.comparison_from, period), []).append(number)
        self._rows_of, self._ones = cohort_slices(matrices), np.ones(matrices.n_units)
        self._regressors = {
            period: np.array([self._ones, *(x[:, period] for x in chosen)]) for *_, period in self.groups
        }

    def make(self, group: tuple[int, int, int], members: list[int]) -> tuple[PanelSample, tuple[slice, ...]]:
        """Return the sample of cells that share their fits, and the rows of its units, treated first."""
        (cohort, _, period), outcome, cells = group, self._matrices.outcome, self._cells
        now, base = [cells[k].now for k in members], [cells[k].base for k in members]
        runs = (self._rows_of[cohort], *comparison_rows(self._matrices, cells[members[0]]))
        of_treated, of_others = (self._ones if weight is None else weight[:, period] for weight in self._weights)
        change = np.concatenate([outcome[rows][:, now] - outcome[rows][:, base] for rows in runs])
        x = np.concatenate([self._regressors[period][:, rows] for rows in runs], axis=1)
        mass = np.concatenate([of_treated[runs[0]], *(of_others[rows] for rows in runs[1:])])
        return PanelSample(change, x, mass, _length(runs[0])), runs


def _start(cells: list[GroupTime]) -> Floats:
    """Return what is known beforehand: zero in the base period."""
    return np.array([0.0 if cell.reason == BASE_PERIOD else np.nan for cell in cells])


def _batches(
    matrices: Matrices, cells: list[GroupTime], groups: dict[tuple[int, int, int], list[int]]
) -> Iterator[list[tuple[tuple[int, int, int], list[int]]]]:
    """Put groups of about the same size together, until they hold many rows: their small fits are made at once."""
    starts = matrices.starts.tolist()

    def size(item: tuple[tuple[int, int, int], list[int]]) -> int:
        cell = cells[item[1][0]]
        return int(comparison_size(starts, cell) + starts[cell.cohort + 1] - starts[cell.cohort])

    batch: list[tuple[tuple[int, int, int], list[int]]] = []
    for item in sorted(groups.items(), key=size):
        if batch and size(item) * (len(batch) + 1) > BATCH:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _length(rows: slice) -> int:
    return int(rows.stop - rows.start)


def weights_by_side(matrices: Matrices) -> tuple[Floats | None, Floats | None]:
    """Return the weights of treated and of comparison units; precision has mean one, so that its unit does not matter."""
    if matrices.weight is None or matrices.weight_kind != "precision":
        return matrices.weight, matrices.weight
    seen = matrices.weight.size if matrices.observed is None else np.count_nonzero(matrices.observed)
    return None, matrices.weight * (seen / matrices.weight.sum())


def is_constant(matrix: Floats) -> bool:
    """Return whether nothing changes within units."""
    return bool((matrix == matrix[:, :1]).all())
