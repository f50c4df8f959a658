"""What a design cannot tell, why, what could be done about it, and what to watch when reading its estimates."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalaid.base.periods import label
from evalaid.base.texts import counted, noun
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.few import FEW_CLUSTERS, FEW_TREATED
from evalaid.did.panel.matrices import Matrices

ADD_UNITS = "add units that are treated later or never (outside the programme)"
OTHER_ROUTES = "use differences in dose between units, or bounds"
LIMIT_COLUMNS = ["what", "where", "why", "what_could_be_done"]


def list_not_identified(matrices: Matrices, anticipation: int = 0) -> pd.DataFrame:
    """List what no comparison inside the panel can tell.

    Assumes that untreated units of other cohorts, or never-treated units, are the only admissible comparison.

    Columns ``what``, ``where``, ``why``, ``what_could_be_done``; no rows when everything is identified.

    Examples
    --------
    >>> from evalaid.did.panel.matrices import arrange
    >>> matrices = arrange(units=pd.Index(["a", "b"]), periods=np.array([2019, 2020]), period_kind="year",
    ...                  outcome=np.zeros((2, 2)), cohort=np.array([2020.0, 2020.0]))
    >>> list_not_identified(matrices)["why"].iloc[0]
    'all 2 units are first treated in 2020, so no unit is untreated while others are treated'
    """
    rows = _nothing_at_all(matrices)
    if not rows:
        rows = [*_without_base(matrices, anticipation), *_without_comparison(matrices, anticipation)]
        rows += [*_single_pre_period(matrices, anticipation), *_unseen(matrices, anticipation)]
    return pd.DataFrame(rows, columns=LIMIT_COLUMNS)


def _nothing_at_all(matrices: Matrices) -> list[tuple[str, str, str, str]]:
    """Return the reasons why not one effect is identified."""
    what, where = "any effect", "the whole panel"
    if matrices.n_units == 0:
        why = "no unit is observed untreated: every unit is treated at or before the first period"
        return [(what, where, why, "start the panel earlier, before the first cohort")]
    if matrices.n_units == 1:
        why = f"the panel has one usable unit ({matrices.units[0]}), and nothing to compare it with"
        return [(what, where, why, ADD_UNITS)]
    if matrices.n_periods == 1:
        return [
            (what, where, "the panel has one period, so there is no before and after", "add periods before the start")
        ]
    if not len(matrices.cohorts):
        why = "no unit starts treatment between the second and the last period"
        return [(what, where, why, "check the cohort column, or add periods around the start of the programme")]
    if len(matrices.cohorts) == 1 and matrices.never.start == matrices.never.stop:
        start = label(matrices.period_kind, matrices.cohorts[0])
        why = f"all {matrices.n_units} units are first treated in {start}, so no unit is untreated while others are treated"
        return [(what, where, why, f"{ADD_UNITS}; {OTHER_ROUTES}")]
    return []


def _without_base(matrices: Matrices, anticipation: int) -> list[tuple[str, str, str, str]]:
    lost = matrices.cohorts[base_columns(matrices, anticipation) < 0]
    return [
        (
            "the effect on a cohort",
            f"cohort {label(matrices.period_kind, cohort)}",
            f"with anticipation of {anticipation} it has no period before it may react",
            "start the panel earlier, or argue for less anticipation",
        )
        for cohort in lost
    ]


def _without_comparison(matrices: Matrices, anticipation: int) -> list[tuple[str, str, str, str]]:
    """Without never-treated units nothing is left to compare with once the last cohort reacts."""
    if matrices.never.start < matrices.never.stop:
        return []
    last = int(matrices.cohorts[-1])
    name = label(matrices.period_kind, last)
    after = matrices.periods[matrices.periods >= matrices.reaction(anticipation)[-1]]
    span = _span(matrices.period_kind, after)
    reacts = f" (or may react: anticipation of {anticipation})" if anticipation else ""
    return [
        (
            "the effect on every cohort",
            span,
            f"from {label(matrices.period_kind, after[0])} on every unit is treated{reacts} and none is never treated",
            f"{ADD_UNITS}; {OTHER_ROUTES}",
        ),
        (
            "the effect on the last cohort",
            f"cohort {name}",
            "it has no untreated comparison in any period after it starts; it serves as comparison for the earlier cohorts",
            f"{ADD_UNITS}; {OTHER_ROUTES}",
        ),
    ]


def _single_pre_period(matrices: Matrices, anticipation: int) -> list[tuple[str, str, str, str]]:
    short = matrices.cohorts[base_columns(matrices, anticipation) == 0]
    if not len(short):
        return []
    names = ", ".join(label(matrices.period_kind, cohort) for cohort in short)
    why = "one period before the start: parallel trends before treatment cannot be checked"
    return [("a test of pre-trends", f"{noun(len(short), 'cohort')} {names}", why, "add earlier periods")]


def _unseen(matrices: Matrices, anticipation: int) -> list[tuple[str, str, str, str]]:
    """Find the cohort-period cells after the start in which no unit of the cohort is observed as well as at its base."""
    if matrices.observed is None:
        return []
    lost = []
    for number, base in enumerate(base_columns(matrices, anticipation)):
        if base >= 0:
            seen = matrices.observed[matrices.block(number)]
            empty = ~(seen & seen[:, [base]]).any(axis=0) & (matrices.periods >= matrices.cohorts[number])
            lost += [(matrices.cohorts[number], period) for period in matrices.periods[empty]]
    if not lost:
        return []
    shown = [
        f"{label(matrices.period_kind, cohort)} in {label(matrices.period_kind, period)}" for cohort, period in lost[:5]
    ]
    where = "cohort " + ", ".join(shown) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
    why = "no unit of the cohort is observed both in this period and in the last one before its start"
    return [("the effect on a cohort in a period", where, why, "supply the missing observations")]


def list_warnings(matrices: Matrices, groups: pd.DataFrame) -> tuple[str, ...]:
    """List what does not stop an estimate but changes how it must be read.

    Examples
    --------
    >>> from evalaid.did.panel.matrices import arrange
    >>> matrices = arrange(units=pd.Index(["a", "b"]), periods=np.array([2019, 2020]), period_kind="year",
    ...                  outcome=np.zeros((2, 2)), cohort=np.array([2020.0, np.nan]))
    >>> list_warnings(matrices, pd.DataFrame(columns=["column", "n_groups"]))[0]
    '2 clusters (fewer than 30): normal intervals are too short; use t with G - 1 degrees of freedom, CR3 or a wild bootstrap'
    """
    clusters, treated, untreated = (
        matrices.n_clusters,
        count_clusters(matrices, treated=True),
        count_clusters(matrices, treated=False),
    )
    warnings = []
    if clusters < FEW_CLUSTERS:
        warnings.append(
            f"{counted(clusters, 'cluster')} (fewer than {FEW_CLUSTERS}): normal intervals are too short; use t with "
            "G - 1 degrees of freedom, CR3 or a wild bootstrap"
        )
    if 0 < treated < FEW_TREATED:
        warnings.append(
            f"{counted(treated, 'treated cluster')} (fewer than {FEW_TREATED}): cluster-robust errors are too "
            "small; randomisation inference is the one to report"
        )
    if 0 < untreated < FEW_TREATED and matrices.never.start < matrices.never.stop:
        warnings.append(
            f"{counted(untreated, 'cluster')} with never-treated units (fewer than {FEW_TREATED}): the "
            "comparison rests on few independent units"
        )
    for column, count in zip(groups["column"], groups["n_groups"], strict=True):
        warnings.append(
            f"the cohort is the same for all units of each {column!r} ({count:,} groups): the programme may be assigned "
            f"there: name cluster={column!r} if so"
        )
    if late := _seen_late(matrices):
        warnings.append(
            f"{counted(late, 'treated unit')} never observed before the start: they add nothing to a before and after"
        )
    if not matrices.clustered_by_unit and (mixed := _mixed_clusters(matrices)):
        warnings.append(f"{mixed:,} of {clusters:,} clusters hold units of more than one cohort")
    return tuple(warnings)


def count_clusters(matrices: Matrices, *, treated: bool) -> int:
    """Count the clusters that hold at least one treated (or one never-treated) unit.

    Examples
    --------
    >>> from evalaid.did.panel.matrices import arrange
    >>> matrices = arrange(units=pd.Index(["a", "b"]), periods=np.array([2019, 2020]), period_kind="year",
    ...                  outcome=np.zeros((2, 2)), cohort=np.array([2020.0, np.nan]))
    >>> count_clusters(matrices, treated=True)
    1
    """
    rows = slice(0, matrices.never.start) if treated else matrices.never
    present = np.zeros(matrices.n_clusters, dtype=bool)
    present[matrices.cluster[rows]] = True
    return int(np.count_nonzero(present))


def find_coarser_groups(
    source: pd.DataFrame, candidates: list[str], unit: np.ndarray, stated: np.ndarray, cluster: np.ndarray
) -> pd.DataFrame:
    """Find columns whose groups hold several clusters each and never mix cohorts.

    Such a column suggests that the programme was assigned to the groups, so that their units are no independent draws.
    Columns that only name the cohort (no more groups than cohorts) are left out; so are numbers that are zero for all
    never-treated units and positive for the others: doses. Where all units have one cohort every column would do: none is
    given.

    Columns ``column``, ``n_groups``.

    Examples
    --------
    >>> table = pd.DataFrame({"area": ["p", "p", "q", "r"]})
    >>> cohort = np.array([2020.0, 2020.0, np.nan, np.nan])
    >>> find_coarser_groups(table, ["area"], np.arange(4), cohort, np.arange(4)).to_dict("records")
    [{'column': 'area', 'n_groups': 3}]
    """
    first = np.zeros(len(stated), dtype=np.int64)
    first[unit[::-1]] = np.arange(len(unit) - 1, -1, -1)
    cohort, _ = pd.factorize(stated, use_na_sentinel=False)
    n_cohorts, n_clusters = int(cohort.max(initial=-1)) + 1, int(cluster.max(initial=-1)) + 1
    found = []
    for column in candidates if n_cohorts > 1 else []:
        values = source[column]
        if pd.api.types.is_float_dtype(values.dtype):
            continue
        group, distinct = pd.factorize(values.iloc[first])
        if not n_cohorts < len(distinct) < n_clusters or (group < 0).any():
            continue
        if _varies(group, cohort) or _varies(cluster, group) or _is_dose(values.iloc[first], np.isnan(stated)):
            continue
        rows, _ = pd.factorize(values)
        if not _varies(unit, rows):
            found.append((column, len(distinct)))
    return pd.DataFrame(found, columns=["column", "n_groups"])


def _is_dose(values: pd.Series, never: np.ndarray) -> bool:
    """Return whether these numbers, one a unit, are zero where nothing was received and positive elsewhere."""
    if not never.any() or not pd.api.types.is_numeric_dtype(values.dtype):
        return False
    received = values.to_numpy()
    return bool((received[never] == 0).all() and (received[~never] > 0).all())


def _varies(group: np.ndarray, value: np.ndarray) -> bool:
    last = np.zeros(int(group.max(initial=-1)) + 1, dtype=np.int64)
    last[group] = value
    return bool((last[group] != value).any())


def _seen_late(matrices: Matrices) -> int:
    """Count the treated units without an observation before their start."""
    if matrices.observed is None:
        return 0
    before = matrices.periods < matrices.cohort[: matrices.never.start, None]
    return int(np.count_nonzero(~(matrices.observed[: matrices.never.start] & before).any(axis=1)))


def _mixed_clusters(matrices: Matrices) -> int:
    number = np.repeat(np.arange(len(matrices.starts) - 1), np.diff(matrices.starts))
    low = np.full(matrices.n_clusters, len(matrices.starts))
    high = np.full(matrices.n_clusters, -1)
    np.minimum.at(low, matrices.cluster, number)
    np.maximum.at(high, matrices.cluster, number)
    return int(np.count_nonzero(low < high))


def _span(kind: str, periods: np.ndarray) -> str:
    first, last = label(kind, periods[0]), label(kind, periods[-1])
    return first if first == last else f"{first} to {last}"
