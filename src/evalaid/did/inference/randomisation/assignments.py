"""Other assignments of treatment that could have happened: who may change places with whom, how many, and which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from math import comb, prod

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import InferenceError
from evalaid.base.names import UNIT
from evalaid.base.texts import counted
from evalaid.did.panel.by_unit import fault_of_index, stated_units
from evalaid.did.panel.design import Design

Codes = NDArray[np.intp]

KINDS = ("assignment", "timing")
# Assignments are drawn in runs of about this many labels, so that memory does not grow with draws x units.
RUN = 4_000_000


@dataclass(frozen=True, eq=False)
class Assignments:
    """The assignments of cohorts to blocks (units, or whole clusters) that are as likely as the true one.

    ``block`` (units,): the block of each unit, in matrix order. ``actual`` (blocks,): cohort number of each block; the
    number of cohorts itself = never treated. ``strata``: blocks that change places with each other only; blocks in
    none keep their cohort. ``by_cluster``: whether blocks are clusters of several units. ``count``: number of distinct
    assignments, the true one included. ``note``: what was permuted, and which strata add nothing.
    """

    block: Codes
    actual: Codes
    strata: tuple[Codes, ...]
    by_cluster: bool
    count: int
    note: str

    def runs(self, draws: int, seed: int | np.random.Generator) -> Iterator[Codes]:
        """Return all assignments, one per row, when there are at most ``draws``; else that many random ones.

        All assignments hold the true one, random ones need not. Rows come in runs of limited size.
        """
        if self.count <= draws:
            return self._all()
        return self._random(draws, np.random.default_rng(seed))

    def _random(self, draws: int, generator: np.random.Generator) -> Iterator[Codes]:
        size = max(1, RUN // len(self.actual))
        for start in range(0, draws, size):
            codes = np.tile(self.actual, (min(size, draws - start), 1))
            for rows in self.strata:
                codes[:, rows] = generator.permuted(codes[:, rows], axis=1)
            yield codes

    def _all(self) -> Iterator[Codes]:
        orders = [np.array(list(_orders(self.actual[rows]))) for rows in self.strata]
        codes = np.tile(self.actual, (self.count, 1))
        chosen = np.array(list(product(*(range(len(order)) for order in orders))))
        for column, (rows, order) in enumerate(zip(self.strata, orders, strict=True)):
            codes[:, rows] = order[chosen[:, column]]
        yield codes


def list_assignments(design: Design, kind: str = "assignment", strata: str | pd.Series | None = None) -> Assignments:
    """Find who may change places with whom.

    When every cluster of the design is treated as a whole, treatment was assigned by cluster and clusters change places;
    otherwise units do.
    """
    if kind not in KINDS:
        raise InferenceError(f"kind={kind!r} is not a choice; choose {' or '.join(KINDS)}.")
    matrices = design.matrices
    cohort = np.repeat(np.arange(len(matrices.starts) - 1), np.diff(matrices.starts))
    whole = _whole_clusters(cohort, matrices.cluster, matrices.n_clusters)
    by_cluster = whole and not matrices.clustered_by_unit
    block = matrices.cluster if by_cluster else np.arange(matrices.n_units)
    n_blocks = int(block.max()) + 1
    actual = np.empty(n_blocks, dtype=np.intp)
    actual[block] = cohort
    labels = _strata_of_blocks(design, strata, block, n_blocks)
    never = len(matrices.cohorts)
    movable = actual < never if kind == "timing" else np.ones(n_blocks, dtype=bool)
    groups = [np.flatnonzero(movable & (labels == label)) for label in pd.unique(labels)]
    names = [str(label) for label in pd.unique(labels)]
    useful = [len(np.unique(actual[rows])) > 1 for rows in groups]
    what = "clusters" if by_cluster else "units"
    notes = [f"{what} re-assigned" if kind == "assignment" else f"start dates of treated {what} re-assigned"]
    if not whole:
        notes.append("units although a cluster holds several cohorts")
    if by_cluster and len(np.unique(np.bincount(block))) > 1:
        notes.append("clusters differ in size, so the number of treated units differs between assignments")
    if strata is not None:
        notes.append(f"within {len(names)} strata")
    idle = [name for name, use in zip(names, useful, strict=True) if not use]
    if not any(useful):
        raise InferenceError(_explain_idle(kind, what, idle if strata is not None else []))
    if idle:
        notes.append(f"{len(idle)} strata add nothing, all of their {what} are of one cohort: {_shorten(idle)}")
    kept = tuple(rows for rows, use in zip(groups, useful, strict=True) if use)
    count = prod(_count_orders(actual[rows]) for rows in kept)
    return Assignments(block, actual, kept, by_cluster, count, "; ".join(notes))


def _whole_clusters(cohort: Codes, cluster: Codes, n_clusters: int) -> bool:
    """Return whether every cluster holds one cohort only."""
    low = np.full(n_clusters, cohort.max(initial=0) + 1)
    high = np.full(n_clusters, -1)
    np.minimum.at(low, cluster, cohort)
    np.maximum.at(high, cluster, cohort)
    return bool((low == high).all())


def _strata_of_blocks(
    design: Design, strata: str | pd.Series | None, block: Codes, n_blocks: int
) -> NDArray[np.object_]:
    """Return the stratum of every block."""
    if strata is None:
        return np.zeros(n_blocks, dtype=object)
    series = unit_labels(design, strata, "strata")
    labels = np.empty(n_blocks, dtype=object)
    labels[block] = series.to_numpy()
    cut = labels[block] != series.to_numpy()
    if cut.any():
        inside = [str(name) for name in design.matrices.clusters[np.unique(block[cut])]]
        raise InferenceError(
            f"strata: {counted(len(inside), 'cluster lies', 'clusters lie')} in several strata, for example {_shorten(inside)}. Treatment was assigned "
            "by cluster, so whole clusters change places; give strata that hold whole clusters."
        )
    return labels


def unit_labels(design: Design, given: str | pd.Series, name: str) -> pd.Series:
    """Return one label for each unit of the matrices from a column of the design's table or a Series by unit."""
    units = design.matrices.units
    if isinstance(given, str):
        if given not in design.source:
            raise InferenceError(
                f"{name}={given!r}: the table has no such column; it has {', '.join(map(str, design.source))}."
            )
        series = design.source.set_index(design.panel.names[UNIT], drop=False)[given]
    else:
        if fault := fault_of_index(given.index, stated_units(design)):
            raise InferenceError(f"{name} is not a Series by unit: {fault}.")
        series = given
    series = series[series.index.isin(units)]
    pairs = pd.DataFrame({"unit": series.index, "label": series.to_numpy()}).drop_duplicates()
    twice = pairs["unit"][pairs["unit"].duplicated()].unique()
    if len(twice):
        said = f"{name}={given!r}" if isinstance(given, str) else name
        raise InferenceError(
            f"{said} varies within {counted(len(twice), 'unit')}, for example {_shorten(list(map(str, twice)))}; one value per unit is "
            "expected."
        )
    series = pairs.set_index("unit")["label"]
    aligned = series.reindex(units)
    missing = [str(unit) for unit in units[aligned.isna().to_numpy()]]
    if missing:
        raise InferenceError(
            f"{name}: {counted(len(missing), 'unit has', 'units have')} no label, for example {_shorten(missing)}; one is needed for every unit of "
            "the design."
        )
    return aligned


def _explain_idle(kind: str, what: str, idle: list[str]) -> str:
    instead = "Use coarser strata, or none" if idle else "There is nothing to permute"
    if kind == "timing":
        where = f"in no stratum do treated {what} start" if idle else f"no treated {what} start"
        return f"Re-timing is impossible: {where} at different dates. {instead}; kind='assignment' permutes who is treated."
    named = f" ({_shorten(idle)})" if idle else ""
    return (
        f"Re-assignment is impossible: all {what} of {'every stratum' if idle else 'the design'}{named} are of one cohort. "
        f"{instead}."
    )


def _shorten(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _count_orders(labels: Codes) -> int:
    """Count the distinct orders of labels, a multinomial coefficient."""
    left, count = len(labels), 1
    for size in np.unique(labels, return_counts=True)[1].tolist():
        count *= comb(left, size)
        left -= size
    return count


def _orders(labels: Codes) -> Iterator[Codes]:
    """Return every distinct order of some labels."""
    first, *others = np.unique(labels)
    if not others:
        yield labels.copy()
        return
    remaining = labels[labels != first]
    places = np.arange(len(labels))
    for chosen in combinations(range(len(labels)), len(labels) - len(remaining)):
        free = np.setdiff1d(places, chosen, assume_unique=True)
        for rest in _orders(remaining):
            order = np.full(len(labels), first)
            order[free] = rest
            yield order
