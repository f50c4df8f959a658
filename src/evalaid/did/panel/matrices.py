"""The panel as unit x period matrices in which every cohort is one contiguous block of rows.

Estimators work on views of these matrices: a cohort is a slice, the never-treated units are the last slice, and the units
that are not yet treated by a period are one slice that ends at the last row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from evalaid.base.columns import covariate_key
from evalaid.base.names import EXPOSURE, OUTCOME, PARTIAL, STRATUM, TREATED, WEIGHT
from evalaid.did.panel.clock import CALENDAR_STEPS, Clock, read_clock
from evalaid.did.panel.panel import Panel
from evalaid.did.panel.treatment import Treatment

# The NUL keeps these keys apart from the names of covariates, which may be any that a column has.
PATH = "\0path: treated"
"""Key, among the covariates of the matrices, of the treatment from which the cohorts were read; no method adjusts for it."""
BASELINE = "\0path: baseline"
"""Key, among the covariates of the matrices, of each unit's treatment in its first period."""
KNOWN = "\0path: known"
"""Key, among the covariates of the matrices, of the periods in which that treatment is stated, not carried forward from an earlier one."""
PARTLY = "\0partly treated"
"""Key, among the covariates of the matrices, of the periods in which a unit's start falls: hidden, and never a base."""
STRATA = "\0stratum: code"
"""Key, among the covariates of the matrices, of the code of a unit's stratum; no method adjusts for it, some compare within it."""
PART = "\0exposure: part of the period"
"""Key, among the covariates of the matrices, of the part of each period in which a unit is treated; no method adjusts for it."""


@dataclass(frozen=True, eq=False, repr=False)
class Matrices:
    """Hold a panel as matrices whose rows (units) are sorted by cohort, never-treated units last.

    Units of one cohort are sorted by label, so the row order of the caller's frame never matters. Units that are treated
    at or before the first period are not here (see ``Design.excluded``).

    Examples
    --------
    >>> matrices = arrange(
    ...     units=pd.Index(["a", "b", "c"]), periods=np.array([2019, 2020]), period_kind="year",
    ...     outcome=np.arange(6.0).reshape(3, 2), cohort=np.array([np.nan, 2020.0, np.nan]),
    ... )
    >>> list(matrices.units), matrices.cohorts.tolist(), matrices.starts.tolist()
    (['b', 'a', 'c'], [2020], [0, 1, 3])
    >>> matrices.outcome[matrices.never]
    array([[0., 1.],
           [4., 5.]])
    """

    units: pd.Index  # (N,) labels in matrix order
    periods: np.ndarray  # (T,) int64 observed ordinals, ascending
    period_kind: str  # "year", "quarter", "month" or "number"
    outcome: np.ndarray  # (N, T) float64, C order; a share is a fraction; 0.0 where unobserved
    observed: np.ndarray | None  # (N, T) bool, or None when every unit is observed in every period
    weight: np.ndarray | None  # (N, T) float64 (0.0 where unobserved), or None when unweighted
    # (N, T) float64 each, in the units of the caller's columns; 0.0 where unobserved
    covariates: Mapping[str, np.ndarray]
    cohort: np.ndarray  # (N,) float64 ordinal of the first treated period; NaN = never treated within the panel
    cohorts: np.ndarray  # (C,) int64 distinct cohorts, ascending
    # (C + 2,) int64 offsets: units of cohort number c are ``slice(starts[c], starts[c + 1])``, never-treated units are
    # ``slice(starts[C], starts[C + 1])``
    starts: np.ndarray
    cluster: np.ndarray  # (N,) int64 codes 0..G-1 into ``clusters``
    clusters: pd.Index  # (G,) labels of the clusters; the units themselves unless another cluster was named
    # Whether weights say how much a unit counts or how exactly its outcome is measured; None = not stated
    weight_kind: str | None = None
    clock: Clock = CALENDAR_STEPS  # How event time and anticipation count, by the periods of the whole panel

    def __repr__(self) -> str:
        return f"<Matrices: {self.n_units} units x {self.n_periods} periods, {len(self.cohorts)} cohorts>"

    @property
    def n_units(self) -> int:
        """Number of units N."""
        return len(self.units)

    @property
    def n_periods(self) -> int:
        """Number of periods T."""
        return len(self.periods)

    @property
    def n_observations(self) -> int:
        """Number of observed unit x period cells."""
        return self.n_units * self.n_periods if self.observed is None else int(np.count_nonzero(self.observed))

    @property
    def n_clusters(self) -> int:
        """Number of clusters G."""
        return len(self.clusters)

    @property
    def never(self) -> slice:
        """Rows of the units that are never treated within the panel."""
        return slice(int(self.starts[-2]), int(self.starts[-1]))

    def block(self, number: int) -> slice:
        """Return the rows of one cohort."""
        return slice(int(self.starts[number]), int(self.starts[number + 1]))

    @property
    def importance(self) -> np.ndarray | None:
        """(N, T) weights of averages over units; None when unweighted and when weights are precision, not importance."""
        return None if self.weight_kind == "precision" else self.weight

    @cached_property
    def ends(self) -> tuple[float, float]:
        """Smallest and largest outcome that is observed; zeros where none is."""
        seen = self.outcome if self.observed is None else self.outcome[self.observed]
        return (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)

    @cached_property
    def clustered_by_unit(self) -> bool:
        """Whether every unit is a cluster of its own."""
        return len(self.clusters) == len(self.units)

    @cached_property
    def by_label(self) -> np.ndarray:
        """(N,) rows in the order of the units' labels."""
        return np.argsort(pd.factorize(self.units, sort=True)[0])

    @cached_property
    def start_column(self) -> np.ndarray:
        """(C,) column of the first treated period of each cohort (the next observed one when its own is not observed)."""
        return np.searchsorted(self.periods, self.cohorts)

    @cached_property
    def event_time(self) -> np.ndarray:
        """(C, T) periods since the start of each cohort, as the clock counts."""
        return np.asarray(self.clock.count(self.periods) - self.clock.count(self.cohorts)[:, None])

    @cached_property
    def unit_time(self) -> np.ndarray:
        """(N, T) periods since the start of each unit, as the clock counts; NaN = never treated."""
        return np.asarray(self.clock.count(self.periods) - self.clock.count(self.cohort)[:, None])

    def reaction(self, anticipation: int = 0) -> np.ndarray:
        """Return the ordinal of the first period in which each cohort may react, (C,)."""
        return np.asarray(self.clock.ordinal(self.clock.count(self.cohorts) - anticipation))

    def unit_reaction(self, anticipation: int = 0) -> np.ndarray:
        """Return the ordinal of the first period in which each unit may react, (N,); infinity = never treated."""
        found = self.clock.ordinal(self.clock.count(self.cohort) - anticipation)
        return np.where(np.isnan(self.cohort), np.inf, found)

    def subset(self, keep: np.ndarray) -> Matrices:
        """Keep some of the units.

        Periods in which no kept unit is observed are dropped; so are units that then have no untreated period left. A
        cohort whose first period is dropped starts in the next one that is left, or counts as never treated.

        Shapes: ``keep`` (N,).
        """
        rows = np.unique(np.arange(self.n_units)[np.asarray(keep)])
        while True:
            seen = np.ones(self.n_periods, dtype=bool)
            if self.observed is not None and len(rows):
                seen = self.observed[rows].any(axis=0)
            periods = self.periods[seen]
            always = self.cohort[rows] <= (periods[0] if len(periods) else -np.inf)
            if not always.any():
                break
            rows = rows[~always]
        if not seen.all():  # cohorts may merge: start from the order of the labels
            rows = rows[np.argsort(pd.factorize(self.units[rows], sort=True)[0])]
        columns = slice(None) if seen.all() else seen

        def take(matrix: np.ndarray | None) -> np.ndarray | None:
            return None if matrix is None else np.ascontiguousarray(matrix[rows][:, columns])

        kept_observed = take(self.observed)
        return arrange(
            units=self.units[rows],
            periods=periods,
            period_kind=self.period_kind,
            outcome=np.ascontiguousarray(self.outcome[rows][:, columns]),
            observed=None if kept_observed is None or kept_observed.all() else kept_observed,
            weight=take(self.weight),
            covariates={
                name: np.ascontiguousarray(matrix[rows][:, columns]) for name, matrix in self.covariates.items()
            },
            cohort=self.cohort[rows],
            cluster=None if self.clusters is self.units else self.cluster[rows],
            clusters=self.clusters,
            weight_kind=self.weight_kind,
            clock=self.clock,
        )


def reassign(matrices: Matrices, cohort: np.ndarray) -> Matrices:
    """Return the units other cohorts, as placebo and permutation tests do.

    Shapes: ``cohort`` (N,).
    """
    by_label = matrices.by_label

    def take(matrix: np.ndarray | None) -> np.ndarray | None:
        return None if matrix is None else matrix[by_label]

    return arrange(
        units=matrices.units[by_label],
        periods=matrices.periods,
        period_kind=matrices.period_kind,
        outcome=matrices.outcome[by_label],
        observed=take(matrices.observed),
        weight=take(matrices.weight),
        covariates={name: matrix[by_label] for name, matrix in matrices.covariates.items()},
        cohort=np.asarray(cohort, dtype=np.float64)[by_label],
        cluster=None if matrices.clusters is matrices.units else matrices.cluster[by_label],
        clusters=matrices.clusters,
        weight_kind=matrices.weight_kind,
        clock=matrices.clock,
    )


def mask(matrices: Matrices, observed: np.ndarray) -> Matrices:
    """Hide observations; periods and units without any are dropped.

    Shapes: ``observed`` (N, T).

    With ``observed`` None when what is left is balanced.
    """
    seen = observed if matrices.observed is None else observed & matrices.observed
    hidden = replace(matrices, observed=seen, outcome=np.where(seen, matrices.outcome, 0.0))
    return hidden.subset(np.asarray(seen.any(axis=1)))


def build_matrices(panel: Panel, treatment: Treatment, *, keep_path: bool = False) -> Matrices:
    """Write the rows of a panel into unit x period matrices, without the always-treated units.

    Periods in which none of the other units is observed are dropped.
    """
    keys = panel.keys
    shape = (len(keys.units), len(keys.periods))
    keep: slice | np.ndarray = ~treatment.always if treatment.always.any() else slice(None)

    def matrix(values: np.ndarray) -> np.ndarray:
        if keys.complete:
            filled = values
        else:
            filled = np.zeros(shape[0] * shape[1])
            filled[keys.cell] = values
        return filled.reshape(shape)[keep]

    partly = PARTIAL in panel.columns and bool(panel.columns[PARTIAL].any())
    cluster = None
    if panel.cluster is not None:
        cluster = np.zeros(shape[0], dtype=np.int64)
        cluster[keys.unit] = panel.cluster
    observed = None if panel.observed is None else panel.observed[keep]
    matrices = arrange(
        units=keys.units[keep],
        periods=keys.periods,
        period_kind=keys.kind,
        outcome=matrix(panel.columns[OUTCOME]),
        observed=None if observed is None or observed.all() else observed,
        weight=matrix(panel.columns[WEIGHT]) if WEIGHT in panel.columns else None,
        covariates={name: matrix(panel.columns[covariate_key(name)]) for name in panel.covariates}
        | ({PARTLY: matrix(panel.columns[PARTIAL])} if partly else {})
        | _paths(panel, treatment, matrix, keep, keep_path=keep_path)
        | {
            key: matrix(panel.columns[role])
            for key, role in ((STRATA, STRATUM), (PART, EXPOSURE))
            if role in panel.columns
        },
        cohort=treatment.cohort[keep],
        cluster=None if cluster is None else cluster[keep],
        clusters=panel.clusters,
        weight_kind=panel.weight_kind,
        clock=read_clock(keys.periods),
    )
    if partly:
        return mask(matrices, matrices.covariates[PARTLY] == 0)
    if matrices.observed is not None and not matrices.observed.any(axis=0).all():
        return matrices.subset(np.ones(matrices.n_units, dtype=bool))
    return matrices


def _paths(
    panel: Panel,
    treatment: Treatment,
    matrix: Callable[[np.ndarray], np.ndarray],
    keep: slice | np.ndarray,
    *,
    keep_path: bool,
) -> dict[str, np.ndarray]:
    """Return what is known of treatment by period, where a method is to follow it."""
    if treatment.path is not None and treatment.baseline is not None:
        baseline = np.repeat(treatment.baseline[:, None], treatment.path.shape[1], axis=1)
        stated = {} if treatment.known is None else {KNOWN: treatment.known[keep].astype(float)}
        return {PATH: treatment.path[keep], BASELINE: baseline[keep]} | stated
    return {PATH: matrix(panel.columns[TREATED])} if keep_path else {}


def arrange(
    *,
    units: pd.Index,
    periods: np.ndarray,
    period_kind: str,
    outcome: np.ndarray,
    cohort: np.ndarray,
    observed: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    covariates: Mapping[str, np.ndarray] | None = None,
    cluster: np.ndarray | None = None,
    clusters: pd.Index | None = None,
    weight_kind: str | None = None,
    clock: Clock = CALENDAR_STEPS,
) -> Matrices:
    """Sort the rows of unit x period matrices by cohort.

    Assumes that ``units`` are unique and sorted by label within every cohort, that ``periods`` ascend, and that no cohort
    starts at or before the first period. A cohort between two periods moves to the later one; a cohort after the last period is
    set to NaN (never treated within the panel).

    Shapes: ``units`` (N,), ``periods`` (T,), ``outcome``, ``observed``, ``weight`` (N, T), ``cohort`` (N,),
    ``covariates`` (N, T), ``cluster`` (N,).
    """
    # NaN and cohorts after the last period both find the end of the list
    cohort = np.append(periods.astype(np.float64), np.nan)[np.searchsorted(periods, cohort)]
    order = np.argsort(cohort, kind="stable")  # NaN sorts last
    in_order = bool((order[1:] > order[:-1]).all())

    def sort(matrix: np.ndarray) -> np.ndarray:
        return matrix if in_order else matrix[order]

    cohort = sort(cohort)
    treated = int(np.count_nonzero(~np.isnan(cohort)))
    values, first = np.unique(cohort[:treated], return_index=True)
    units = units if in_order else units[order]
    if cluster is None or clusters is None:
        clusters, cluster = units, np.arange(len(units), dtype=np.int64)
    else:
        clusters, cluster = _compact(clusters, sort(cluster))
    return Matrices(
        units=units,
        periods=periods,
        period_kind=str(period_kind),
        outcome=sort(outcome),
        observed=None if observed is None else sort(observed),
        weight=None if weight is None else sort(weight),
        covariates={name: sort(matrix) for name, matrix in (covariates or {}).items()},
        cohort=cohort,
        cohorts=values.astype(np.int64),
        starts=np.concatenate([first, [treated, len(units)]]).astype(np.int64),
        cluster=cluster,
        clusters=clusters,
        weight_kind=weight_kind,
        clock=clock,
    )


def _compact(clusters: pd.Index, cluster: np.ndarray) -> tuple[pd.Index, np.ndarray]:
    """Drop clusters without units and number the others from 0."""
    used = np.zeros(len(clusters), dtype=bool)
    used[cluster] = True
    if used.all():
        return clusters, cluster.astype(np.int64, copy=False)
    return clusters[used], (np.cumsum(used) - 1)[cluster]
