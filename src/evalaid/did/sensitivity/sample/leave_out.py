"""Leaving out each unit, cluster, cohort, period or group in turn: who carries the estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.effect_columns import (
    CONF_LOW,
    ENDS,
    ESTIMATE,
    INFERRED,
    RESULTS,
    VCOV,
    has_interval,
    leaves_out_zero,
    no_results,
    results_of,
)
from evalaid.base.errors import DesignError, EstimationError, InferenceError, NotIdentifiedError
from evalaid.base.names import NEVER
from evalaid.base.periods import labels
from evalaid.base.texts import counted, join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.notebook_view import NotebookView
from evalaid.did.estimators.estimation import estimate
from evalaid.did.inference.infer import Vcov, infer
from evalaid.did.inference.options import check_options
from evalaid.did.panel.by_unit import fault_of_index, stated_units
from evalaid.did.panel.design import Design, check_design
from evalaid.did.panel.matrices import mask

Floats = NDArray[np.float64]

BY = ("unit", "cluster", "cohort", "period")
FIRST_ORDER_ONLY = "first order only: not estimated again"
_NAMED = 5  # exclusions that a note names


@dataclass(frozen=True)
class LeaveOut(NotebookView):
    """The overall estimate without each part of the sample in turn.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per exclusion, by size of the change, those without any estimate first: ``left_out``; ``n_units`` (left out);
        ``estimate``, ``change`` (from the full sample), ``std_error``, ``p_value``, ``conf_low``, ``conf_high`` estimated again,
        ``vcov`` (the error behind them);
        ``first_order`` (the change by the influence of those left out; missing for periods and without an estimate); ``sign`` (same, opposite) and
        ``significance`` (same, lost, gained) against the full sample, "" where not known; ``note`` (why something is missing).
    full : pandas.DataFrame
        The estimate on the full sample, one row of `infer`.
    by, method, vcov : str
        What was left out, the estimator, the errors.
    level : float
        Coverage of the intervals, and of the significance.
    notes : tuple of str
        What the exclusions do to the sign and to significance, in words.
    """

    table: pd.DataFrame
    full: pd.DataFrame
    by: str
    method: str
    vcov: str
    level: float
    notes: tuple[str, ...]

    def most_influential(self, count: int = 15) -> pd.DataFrame:
        """Return the first rows as a figure draws them."""
        rows = self.table.head(count)
        whole = float(self.full[ESTIMATE].iloc[0])
        columns = ["left_out", ESTIMATE, *ENDS, "note"]
        return rows[columns].assign(first_order=whole + rows["first_order"], full=whole)


@dataclass(frozen=True)
class _Groups:
    """What is left out in turn: a name, a label for each, and the code of each unit (-1 = never left out)."""

    by: str
    labels: list[str]
    codes: NDArray[np.intp]


def leave_out(
    design: Design,
    method: str,
    by: str | pd.Series = "unit",
    *,
    exact: int = 200,
    vcov: Vcov = "auto",
    level: float = 0.95,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> LeaveOut:
    """Estimate the overall effect without each part of the sample in turn.

    Assumes of each smaller sample what the method assumes of the full one.

    Parameters
    ----------
    design : Design
        The full sample.
    method : str
        A registered method; ``options`` are passed to :func:`evalaid.estimate`.
    by : {"unit", "cluster", "cohort", "period"} or pandas.Series
        What is left out; a Series indexed by unit holds groups, for example the supporting hospital, and units without a label
        are never left out. Without a period a cohort that started in it starts in the next one.
    exact : int
        Exclusions that are estimated again: all of them up to this number, else the most influential; the rest is first order.
    vcov : str
        Errors, as in :func:`evalaid.infer`; the same for all samples.
    level : float
        Coverage of the intervals; an estimate is significant when its interval leaves out zero.
    progress : callable, optional
        Called with the number of samples done and their total.

    Returns
    -------
    LeaveOut
        A sample in which the effect is not identified is a row with the reason.

    Raises
    ------
    DesignError
        When ``by`` is not a choice, the Series names no unit or a single group, or ``exact`` is negative.
    EstimationError
        When the full sample gives no estimate.

    Notes
    -----
    The first-order change is ``-sum_{i left out} psi_i``. It is close for one of many units and poor for a cohort; ``table`` holds
    both. An exclusion that changes the sign is no reason to make it, only to say so. MacKinnon, Nielsen and Webb (2023),
    doi:10.1177/1536867X231212433.

    Examples
    --------
    >>> import evalaid as ea
    >>> import pandas as pd
    >>> frame = pd.DataFrame({
    ...     "county": [*"aabbccdd"], "year": [2019, 2020] * 4,
    ...     "share": [0.80, 0.86, 0.80, 0.82, 0.70, 0.74, 0.70, 0.79], "first_treated": [2020] * 2 + [None] * 4 + [2020] * 2,
    ... })
    >>> design = ea.diagnose(frame, unit="county", period="year", outcome="share", cohort="first_treated")
    >>> found = ea.leave_out(design, "twfe")
    >>> found.table[["left_out", "change", "sign"]].round(3).to_dict("records")[0]
    {'left_out': 'a', 'change': 0.015, 'sign': 'same'}
    >>> found.notes[0]
    'None of the 4 exclusions changes the sign of the estimate'
    """
    check_design(design)
    check_options(level=level)
    if isinstance(exact, bool) or exact < 0:
        raise DesignError(f"exact={exact!r} found; the number of exclusions to estimate again is expected, 0 or more.")
    groups = _group(design, by)
    overall = estimate(design, method, **options).aggregate("overall")
    if np.isnan(overall.value[0]):
        raise EstimationError(
            f"{method} gives no overall estimate on the full sample: {overall.cells['reason'].iloc[0]}."
        )
    full = _summarise(overall, vcov, level)
    first_order = _first_order(overall, groups)
    chosen = (
        np.argsort(-np.abs(first_order), kind="stable")[:exact]
        if groups.by != "period"
        else np.arange(len(first_order))
    )
    rows = [{"note": FIRST_ORDER_ONLY} for _ in groups.labels]
    for done, number in enumerate(chosen.tolist(), start=1):
        rows[number] = _estimate_without(design, groups, number, method, options, vcov, level)
        if progress is not None:
            progress(done, len(chosen))
    table = _tabulate(groups, rows, first_order, full, chosen)
    return LeaveOut(
        table=table,
        full=_infer(overall, vcov, level),
        by=groups.by,
        method=method,
        vcov=vcov,
        level=level,
        notes=_summary(table, full),
    )


def _group(design: Design, by: str | pd.Series) -> _Groups:
    """Find what is left out in turn."""
    matrices = design.matrices
    if isinstance(by, pd.Series):
        if fault := fault_of_index(by.index, stated_units(design)):
            raise DesignError(f"by is not a Series by unit: {fault}.")
        pairs = by[~pd.MultiIndex.from_arrays([by.index, by]).duplicated()]
        if (twice := pairs.index[pairs.index.duplicated()]).size:
            raise DesignError(
                f"by names more than one group for {counted(len(twice), 'unit')}, for example {twice[0]}; one is expected."
            )
        known = pairs.reindex(matrices.units)
        codes, found = pd.factorize(known, sort=True)
        if len(found) < 2:
            raise DesignError(
                f"by names {counted(len(found), 'group')} of the units of the design; a Series indexed by unit with two or more is "
                f"expected. Its index holds for example {by.index[:1].tolist()}, the design {matrices.units[:1].tolist()}."
            )
        return _Groups(
            "group" if by.name is None else str(by.name), [str(name) for name in found], codes.astype(np.intp)
        )
    if by not in BY:
        raise DesignError(f"by={by!r} is not a choice; choose {', '.join(BY)}, or give a Series indexed by unit.")
    if by == "unit":
        return _Groups(by, [str(unit) for unit in matrices.units], np.arange(matrices.n_units))
    if by == "cluster":
        return _Groups(by, [str(name) for name in matrices.clusters], matrices.cluster.astype(np.intp))
    if by == "period":
        return _Groups(by, labels(matrices.period_kind, matrices.periods), np.full(matrices.n_units, -1))
    codes = np.searchsorted(matrices.cohorts, np.where(np.isnan(matrices.cohort), np.inf, matrices.cohort))
    names = labels(matrices.period_kind, matrices.cohorts)
    return _Groups(by, names + [NEVER] * bool(np.isnan(matrices.cohort).any()), codes.astype(np.intp))


def _first_order(overall: Effects, groups: _Groups) -> Floats:
    """Return the change that influence foretells, (groups,)."""
    if groups.by == "period":
        return np.full(len(groups.labels), np.nan)
    left = groups.codes >= 0
    psi = overall.influence.matrix()[:, 0]
    return -np.bincount(groups.codes[left], weights=psi[left], minlength=len(groups.labels)).astype(np.float64)


def _estimate_without(
    design: Design,
    groups: _Groups,
    number: int,
    method: str,
    options: dict[str, Any],
    vcov: Vcov,
    level: float,
) -> dict[str, Any]:
    """Estimate on the sample without one group, or say why that cannot be."""
    try:
        if groups.by == "period":
            matrices = design.matrices
            kept = np.broadcast_to(np.arange(matrices.n_periods) != number, matrices.outcome.shape)
            smaller = replace(design, matrices=mask(matrices, kept))
            left = estimate(smaller, method, **options).aggregate("overall")
        else:
            keep = groups.codes != number
            left = estimate(design.subset(keep), method, **options).aggregate("overall")
    except NotIdentifiedError as refusal:
        return {"note": f"no estimate: {'; '.join(refusal.reasons)}"}
    except (EstimationError, DesignError) as refusal:
        return {"note": f"no estimate: {refusal}"}
    found = _summarise(left, vcov, level)
    if np.isnan(found[ESTIMATE]):
        found["note"] = f"no estimate: {found['note']}"
    if groups.by == "period" and int(matrices.periods[number]) in matrices.cohorts:
        found["note"] = join_texts((found["note"], "the cohort that starts in it starts in the next period instead"))
    return found


def _summarise(effects: Effects, vcov: Vcov, level: float) -> dict[str, Any]:
    """Return the one estimate with its interval, or why there is none."""
    row = _infer(effects, vcov, level).iloc[0]
    return {**results_of(row), VCOV: row[VCOV], "note": str(row["note"])}


def _infer(effects: Effects, vcov: Vcov, level: float) -> pd.DataFrame:
    """Return the table of `infer`, or the estimates without errors and the reason as note."""
    why = effects.convention.caution
    if not why:
        try:
            return infer(effects, level, vcov=vcov)
        except InferenceError as refusal:
            why = str(refusal)
    missing = no_results(INFERRED)
    notes = [join_texts((reason, why)) for reason in effects.cells["reason"]]
    bare = effects.tidy().drop(columns="reason")
    return bare.assign(
        **missing, level=level, vcov="none", distribution="", n_clusters=len(effects.population.clusters), note=notes
    )


def _tabulate(
    groups: _Groups, rows: list[dict[str, Any]], first_order: Floats, full: dict[str, Any], chosen: NDArray[np.intp]
) -> pd.DataFrame:
    found = pd.DataFrame([{VCOV: "none"} | row for row in rows], columns=[*RESULTS, VCOV, "note"])
    counts = np.bincount(groups.codes[groups.codes >= 0], minlength=len(groups.labels))
    change = found[ESTIMATE] - full[ESTIMATE]
    impossible = change.isna() & np.isin(np.arange(len(change)), chosen)
    table = pd.DataFrame({
        "left_out": groups.labels,
        "n_units": counts,
        ESTIMATE: found[ESTIMATE],
        "change": change,
        "first_order": np.where(impossible, np.nan, first_order),
        **{name: found[name] for name in (*RESULTS[1:], VCOV)},
        "sign": _compare_signs(found[ESTIMATE].to_numpy(), full[ESTIMATE]),
        "significance": _compare_significance(found, full),
        "note": found["note"],
    })  # fmt: skip
    size = change.abs().fillna(pd.Series(np.abs(first_order)))
    order = size.mask(impossible, np.inf).sort_values(ascending=False, kind="stable", na_position="last").index
    ordered: pd.DataFrame = table.loc[order].reset_index(drop=True)
    return ordered


def _compare_signs(values: Floats, full: float) -> list[str]:
    return ["" if np.isnan(value) else "same" if np.sign(value) == np.sign(full) else "opposite" for value in values]


def _compare_significance(found: pd.DataFrame, full: dict[str, Any]) -> list[str]:
    """Return whether the interval leaves out zero as that of the full sample does."""
    words = []
    before = leaves_out_zero(full)
    known = has_interval(found) & has_interval(full)
    for now, there in zip(leaves_out_zero(found), known, strict=True):
        words.append("" if not there else "same" if now == before else "gained" if now else "lost")
    return words


def _summary(table: pd.DataFrame, full: dict[str, Any]) -> tuple[str, ...]:
    """Describe in words what the exclusions do."""
    known = table[ESTIMATE].notna()
    total = int(known.sum())
    said = [
        _count_exclusions(table[table["sign"] == "opposite"], total, "change{s} the sign of the estimate"),
    ]
    if np.isnan(full[CONF_LOW]):
        said.append("The full sample shows no error of the estimate: nothing can be said of significance")
    else:
        said.append(_count_exclusions(table[table["significance"] == "lost"], total, "take{s} its significance away"))
        said.append(_count_exclusions(table[table["significance"] == "gained"], total, "make{s} it significant"))
    gone = table[~known & (table["note"] != FIRST_ORDER_ONLY)]
    if len(gone):
        said.append(f"There is no estimate without {_name(gone)}")
    rest = int((table["note"] == FIRST_ORDER_ONLY).sum())
    if rest:
        said.append(f"{rest:,} less influential exclusions were not estimated again")
    return tuple(said)


def _count_exclusions(rows: pd.DataFrame, total: int, what: str) -> str:
    if rows.empty:
        return f"None of the {total:,} exclusions {what.format(s='s')}"
    return f"{len(rows):,} of the {total:,} exclusions {what.format(s='s' * (len(rows) == 1))}: {_name(rows)}"


def _name(rows: pd.DataFrame) -> str:
    more = len(rows) - _NAMED
    return ", ".join(rows["left_out"].head(_NAMED)) + (f" and {more:,} more" if more > 0 else "")
