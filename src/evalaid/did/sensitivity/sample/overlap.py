"""Overlap: what else happened to the same units at the same time, and the estimate without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.periods import label
from evalaid.base.texts import counted, join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.notebook_view import NotebookView
from evalaid.did.estimators.estimation import estimate
from evalaid.did.panel.design import Design, check_design
from evalaid.did.panel.matrices import Matrices, mask
from evalaid.did.sensitivity.sample.events import read_events
from evalaid.did.sensitivity.sample.variants import Variant, estimate_variant, no_estimate, say_row, why_not_by_unit

Bools = NDArray[np.bool_]

ALL, WITHOUT_UNITS, WITHOUT_PERIODS = "all units", "without overlapping units", "without overlapping periods"
ANY = "any"
COMMON = "reaches every unit at once: it cannot be told from the period, and cancels in so far as it acts on all alike"


@dataclass(frozen=True)
class Overlap(NotebookView):
    """Concurrent programmes, and estimates with them left out.

    A unit overlaps when another programme runs in some but not all of its observed periods: what runs all the time is part
    of the unit and cancels in differences over time. A programme that reaches every unit at once is not counted as
    overlapping: it cannot be told from the period, and cancels in so far as it acts on all alike (``note``).

    Parameters
    ----------
    method : str
        The estimator.
    table : pandas.DataFrame
        ``sample``: "all units", "without overlapping units", "without overlapping periods" (unit-periods in which another
        programme runs), and "without units of ..." for each programme; the columns of `evalaid.infer`; ``change`` from all
        units and ``change_std_error``. Where nothing is left, ``note`` has the reason.
    counts : pandas.DataFrame
        Units with a programme running, by ``programme`` (first "any" of those that do not reach every unit at once), ``cohort`` (missing = never treated), ``label``,
        ``event_time`` (of never-treated units: missing, by ``period``), ``period``, ``n_units`` (observed),
        ``n_overlapping``, ``share``.
    programmes : pandas.DataFrame
        One row per programme: ``programme``, ``first`` and ``last`` period in which it runs, ``units_treated``,
        ``units_never``, ``changes_within`` (units of both that it overlaps), ``note``.
    free : pandas.DataFrame
        ``cohort``, ``label``, ``n_units``, ``n_free`` (units that nothing overlaps), ``n_clusters_free``.
    effects : mapping of str to Effects
        The cells behind each row.
    notes : tuple of str
        How the events were read.
    """

    method: str
    table: pd.DataFrame
    counts: pd.DataFrame
    programmes: pd.DataFrame
    free: pd.DataFrame
    effects: Mapping[str, Effects]
    notes: tuple[str, ...]

    def text(self) -> str:
        """Describe it in a few sentences, in the scale of the outcome."""
        said = [
            f"{row['label']}: {row['n_free']} of {row['n_units']} units are free of overlap."
            for row in self.free.to_dict("records")
        ]
        return " ".join([*said, *(say_row(row, row["sample"]) for row in self.table.to_dict("records"))])


def overlap(design: Design, events: pd.DataFrame, method: str, *, level: float = 0.95, **options: Any) -> Overlap:
    """Count concurrent programmes and estimate the effect without the units, or periods, that they touch.

    Assumes that a unit without an entry saw nothing: an absent event is not evidence that nothing happened. Leaving units out
    changes whose effect is estimated, too; a change is not by itself the effect of the other programme.

    Parameters
    ----------
    design : Design
        The true design.
    events : pandas.DataFrame
        ``unit`` (a unit or a cluster of the design; missing = all units), ``start``, ``end`` (periods of the panel, or years,
        months and days such as ``2020-02``; missing start = from before the panel, missing end = still running),
        ``programme``. A programme counts in every period that it touches.
    method : str
        A registered method whose cells can be averaged; ``options`` are passed on.
    level : float
        Of the intervals.

    Returns
    -------
    Overlap

    Raises
    ------
    DesignError
        With all faults of the events at once.
    NotIdentifiedError
        When the method does not apply to the true design: then there is nothing to compare with.

    Examples
    --------
    >>> import evalaid as ea
    >>> frame = pd.DataFrame({
    ...     "county": np.repeat([*"abcdef"], 3), "year": [2018, 2019, 2020] * 6,
    ...     "number": [1, 1, 3, 1, 1, 5, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3.],
    ...     "start": np.repeat([2020, 2020, np.nan, np.nan, np.nan, np.nan], 3),
    ... })
    >>> events = pd.DataFrame({"unit": ["b"], "start": ["2020-03"], "end": [None], "programme": ["new building"]})
    >>> found = overlap(ea.diagnose(frame, "county", "year", "number", "start"), events, "two_by_two")
    >>> found.table[["sample", "estimate"]].head(2).values.tolist()
    [['all units', 3.0], ['without overlapping units', 2.0]]
    """
    check_design(design)
    read = read_events(events, design.matrices)
    matrices = design.matrices
    main = estimate(design, method, **options)  # refused here when it does not apply
    seen = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
    running = {name: where & seen for name, where in read.running.items()}
    common = {name for name, where in running.items() if _reaches_all(where, seen)}
    touched = {name: _comes_or_goes(where, seen) & (name not in common) for name, where in running.items()}
    some = [where for name, where in running.items() if name not in common]
    anything = np.any([*touched.values(), np.zeros(matrices.n_units, dtype=bool)], axis=0)
    nothing = np.zeros_like(seen)
    passing = np.any([nothing, *(where & touched[name][:, None] for name, where in running.items())], axis=0)
    shared = (design, method, options, level, main.aggregate("overall"))
    variants = {ALL: estimate_variant(design, method, options, level, ALL)}
    variants[WITHOUT_UNITS] = _without_units(*shared, WITHOUT_UNITS, anything)
    variants[WITHOUT_PERIODS] = _without_periods(*shared, passing)
    for name, units in touched.items():
        sample = f"without units of {name}"
        variants[sample] = no_estimate(sample, COMMON) if name in common else _without_units(*shared, sample, units)
    return Overlap(
        method=method,
        table=pd.concat([variant.row for variant in variants.values()], ignore_index=True),
        counts=_count({ANY: np.any([nothing, *some], axis=0), **running}, matrices, seen),
        programmes=_describe_programmes(running, touched, common, matrices),
        free=_count_free(anything, matrices),
        effects={name: variant.effects for name, variant in variants.items() if variant.effects is not None},
        notes=read.notes,
    )


def _comes_or_goes(running: Bools, seen: Bools) -> Bools:
    """Return for each unit whether a programme runs in some but not all of its observed periods."""
    return np.asarray(running.any(axis=1) & (seen & ~running).any(axis=1))


def _reaches_all(running: Bools, seen: Bools) -> bool:
    """Return whether a programme comes and goes for all observed units at once."""
    columns = running.any(axis=0)
    return bool(columns.any() and not columns.all() and (running | ~seen)[:, columns].all())


def _without_units(
    design: Design, method: str, options: dict[str, Any], level: float, main: Effects, sample: str, units: Bools
) -> Variant:
    treated = ~np.isnan(design.matrices.cohort)
    said = f"{int((units & treated).sum())} treated and {int((units & ~treated).sum())} never-treated units left out"
    if not units.any():
        return no_estimate(sample, "no unit overlaps: nothing to leave out")
    if units[treated].all():
        return no_estimate(sample, join_texts((said, "every treated unit overlaps: nobody is left to be evaluated")))
    return estimate_variant(design.subset(~units), method, options, level, sample, said, main)


def _without_periods(
    design: Design, method: str, options: dict[str, Any], level: float, main: Effects, passing: Bools
) -> Variant:
    matrices = design.matrices
    if not passing.any():
        return no_estimate(WITHOUT_PERIODS, "no period overlaps: nothing to leave out")
    if reason := why_not_by_unit(method):
        return no_estimate(WITHOUT_PERIODS, reason)
    total = design.n_observations
    said = f"{int(passing.sum())} of {total} observations left out"
    cut = mask(matrices, ~passing)
    lost = matrices.n_units - cut.n_units
    said = join_texts((said, f"{counted(lost, 'unit has', 'units have')} no untreated period left" if lost else ""))
    return estimate_variant(replace(design, matrices=cut), method, options, level, WITHOUT_PERIODS, said, main)


def _count(running: Mapping[str, Bools], matrices: Matrices, seen: Bools) -> pd.DataFrame:
    """Count units with a programme running by cohort and period."""
    parts = []
    names = [label(matrices.period_kind, period) for period in matrices.periods]
    for programme, where in running.items():
        for number in range(len(matrices.cohorts) + 1):
            rows = matrices.block(number)
            never = number == len(matrices.cohorts)
            cohort = np.nan if never else float(matrices.cohorts[number])
            n_units, n_running = seen[rows].sum(axis=0), where[rows].sum(axis=0)
            parts.append(
                pd.DataFrame({
                    "programme": programme,
                    "cohort": cohort,
                    "label": "never treated" if never else label(matrices.period_kind, cohort),
                    "event_time": np.nan if never else matrices.event_time[number],
                    "period": names,
                    "n_units": n_units,
                    "n_overlapping": n_running,
                    "share": np.divide(n_running, n_units, out=np.full(len(n_units), np.nan), where=n_units > 0),
                })
            )  # fmt: skip
    table = pd.concat(parts, ignore_index=True)
    return table[table["n_units"] > 0].reset_index(drop=True).astype({"cohort": "Int64", "event_time": "Int64"})


def _describe_programmes(
    running: Mapping[str, Bools], touched: Mapping[str, Bools], common: set[str], matrices: Matrices
) -> pd.DataFrame:
    rows = []
    treated = ~np.isnan(matrices.cohort)
    for name, where in running.items():
        units, columns = where.any(axis=1), np.flatnonzero(where.any(axis=0))
        note = "" if len(columns) else "does not run within the panel"
        if name in common:
            note = COMMON
        elif len(columns) and not touched[name].any():
            note = "runs throughout wherever it runs: it cancels in differences over time"
        first, last = (
            label(matrices.period_kind, matrices.periods[columns[k]]) if len(columns) else "" for k in (0, -1)
        )
        rows.append((name, first, last, int((units & treated).sum()), int((units & ~treated).sum()),
                     int(touched[name].sum()), note))  # fmt: skip
    names = ["programme", "first", "last", "units_treated", "units_never", "changes_within", "note"]
    return pd.DataFrame(rows, columns=names)


def _count_free(anything: Bools, matrices: Matrices) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for number in range(len(matrices.cohorts) + 1):
        block = matrices.block(number)
        never = number == len(matrices.cohorts)
        free = ~anything[block]
        rows.append({
            "cohort": pd.NA if never else int(matrices.cohorts[number]),
            "label": "never treated" if never else label(matrices.period_kind, matrices.cohorts[number]),
            "n_units": block.stop - block.start,
            "n_free": int(free.sum()),
            "n_clusters_free": len(np.unique(matrices.cluster[block][free])),
        })  # fmt: skip
    return pd.DataFrame(rows).astype({"cohort": "Int64"})
