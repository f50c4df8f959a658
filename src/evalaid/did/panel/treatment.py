"""From a column of first treated periods to one cohort for each unit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evalaid.base.faults import SHOWN, Faults
from evalaid.base.months import PeriodKind
from evalaid.base.periods import FIRST_YEAR, LAST_YEAR, label, recognise_periods
from evalaid.base.texts import counted
from evalaid.did.panel.keys import Keys, code_labels, is_text, varies_within

NO_COHORT = np.iinfo(np.int64).min
"""Stands for "missing" among whole numbers inside this module; outside it, never treated is a missing cohort."""

LARGEST_ITEM = 8
"""Bytes of a number that can be compared bit by bit."""

_INDICATORS = ({"0", "1"}, {"0.0", "1.0"}, {"false", "true"})

_ZERO_DATES = (
    "1970-01-01",
    "1899-12-30",
    "1899-12-31",
    "1900-01-01",
)  # what 0 becomes as a date, here and in workbooks

SAY_MISSING = "a missing value (NaN, None) for units that are never treated, else the first treated period"


@dataclass(frozen=True, eq=False)
class Treatment:
    """Hold when each unit is first treated."""

    stated: pd.Series  # (N,) float64 ordinal of the stated cohort by unit label, NaN = never treated
    # (N,) float64 ordinal of the first observed treated period, units in label order; NaN = not treated within the
    # panel
    cohort: np.ndarray
    always: np.ndarray  # (N,) bool, treated at or before the first period
    excluded: pd.DataFrame  # The always-treated units: columns ``unit``, ``cohort`` (ordinal), ``reason``
    notes: tuple[str, ...]  # What was moved or set aside
    # Where cohorts are first changes of a treatment: (N,) what it was in a unit's first period, and (N, T) by period, as last known
    baseline: np.ndarray | None = None
    path: np.ndarray | None = None
    known: np.ndarray | None = None  # (N, T) bool, where the path is stated; None = everywhere


def gather_treatment(keys: Keys, cohort: pd.Series, faults: Faults) -> Treatment | None:
    """Read the cohort of every unit, and add what is wrong with the column to ``faults``.

    Assumes that the cohort is the first treated period, written like the panel's periods, the same in all rows of a
    unit, and missing for units that are never treated (never 0, 9999 or inf). Treatment is absorbing.

    Examples
    --------
    >>> from evalaid.did.panel.panel import read_panel
    >>> table = pd.DataFrame({"county": list("AABB"), "year": [2019, 2020] * 2, "share": [0.8, 0.9, 0.7, 0.7],
    ...                       "first_treated": [2020, 2020, None, None]})
    >>> panel = read_panel(table, "county", "year", "share")
    >>> gather_treatment(panel.keys, table["first_treated"], Faults()).stated.to_dict()
    {'A': 2020.0, 'B': nan}
    """
    if (by_unit := _read_once(keys, cohort)) is not None and not faults and len(keys.units):
        return _place(keys, _stated(keys, by_unit, cohort))
    ordinal, faulty = _read_ordinals(keys, cohort, faults)
    if not faulty.any():
        varies = varies_within(keys.unit, ordinal)
        if varies.any():
            _report_changes(keys, cohort, varies, faults)
    if faults or not len(keys.units):
        return None
    by_unit = np.full(len(keys.units), NO_COHORT, dtype=np.int64)
    by_unit[keys.unit] = ordinal
    return _place(keys, _stated(keys, by_unit, cohort))


def _stated(keys: Keys, by_unit: np.ndarray, cohort: pd.Series) -> pd.Series:
    values = np.where(by_unit == NO_COHORT, np.nan, by_unit.astype(np.float64))
    return pd.Series(values, index=keys.units, name=cohort.name)


def _read_once(keys: Keys, cohort: pd.Series) -> np.ndarray | None:
    """Read the ordinal of each unit from one of its rows, (N,); None where rows of a unit differ, or to find the faulty ones."""
    if not isinstance(cohort.dtype, np.dtype) or cohort.dtype.kind not in "iuf" or cohort.dtype.itemsize > LARGEST_ITEM:
        return None
    if not keys.complete or not len(keys.units):
        return None
    values = cohort.to_numpy().reshape(len(keys.units), -1)
    bits = values.view(f"i{values.itemsize}")  # where a missing value equals another
    if not (bits == bits[:, :1]).all():
        return None
    units, found = np.arange(len(keys.units)), Faults()
    once = pd.Series(values[:, 0], name=cohort.name)
    ordinal, _ = _read_ordinals(replace(keys, codes=(units, np.zeros_like(units))), once, found)
    return None if found else ordinal


def gather_first_treated(
    keys: Keys, treated: np.ndarray, name: str, stated: pd.Series | None, faults: Faults
) -> Treatment:
    """Read cohorts from a 0/1 column by period: the first period with a 1; hold them against stated ones if there are any.

    Assumes that ``treated`` (n,) holds zeros and ones only.
    """
    first = np.full(len(keys.units), np.iinfo(np.int64).max)
    on = treated == 1
    np.minimum.at(first, keys.unit[on], keys.period[on])
    never = first == np.iinfo(np.int64).max
    found = np.where(never, np.nan, keys.periods[np.where(never, 0, first)].astype(np.float64))
    treatment = _place(keys, pd.Series(found, index=keys.units, name=name))
    if stated is not None and (other := gather_treatment(keys, stated, faults)) is not None:
        _report_disagreement(keys, treatment, other, faults)
        return other
    late = np.zeros(len(keys.units), dtype=bool)
    np.logical_or.at(late, keys.unit[~on & (keys.period < first[keys.unit])], True)
    unseen = ~never & ~late & ~treatment.always
    before = np.full(len(keys.units), -1)
    earlier = ~on & (keys.period < first[keys.unit])
    np.maximum.at(before, keys.unit[earlier], keys.period[earlier])
    gap = np.flatnonzero(late & ~never & (before < first - 1))
    notes = []
    if unseen.any():
        notes.append(
            f"{counted(unseen.sum(), 'unit is', 'units are')} treated in the first period in which they are observed: they may have started before it"
        )
    if len(gap):
        some = ", ".join(
            f"{keys.units[unit]} between {label(keys.kind, keys.periods[before[unit]])} and {label(keys.kind, keys.periods[first[unit]])}"
            for unit in gap[:SHOWN]
        )
        notes.append(
            f"{counted(len(gap), 'unit is', 'units are')} not observed right before the first 1 of {name!r} ({some}{', ...' if len(gap) > SHOWN else ''}): the start "
            "may lie in the gap; name it with cohort=..."
        )
    return replace(treatment, notes=(*treatment.notes, *notes)) if notes else treatment


def gather_first_change(panel: Keys, keys: Keys, path: np.ndarray, name: str) -> Treatment:
    """Read cohorts of a panel's units from a treatment by period: the first period in which it is not what it was in the unit's first.

    ``keys`` and ``path`` (n,) may hold more rows than the panel, those without an outcome: treatment is known there, too.
    """
    order = np.lexsort((keys.period, keys.unit))
    unit, period, value = keys.unit[order], keys.period[order], path[order]
    first = np.flatnonzero(np.append(True, unit[1:] != unit[:-1]))
    baseline = value[first]
    changed = np.flatnonzero(value != baseline[np.searchsorted(unit[first], unit)])
    who, at = np.unique(unit[changed], return_index=True)
    cohort = np.full(len(keys.units), np.nan)
    cohort[who] = keys.periods[period[changed][at]]
    up = np.zeros(len(keys.units), dtype=bool)
    up[who] = (value[changed] > baseline[np.searchsorted(unit[first], unit[changed])])[at]
    place = keys.units.get_indexer(panel.units)
    treatment = _place(panel, pd.Series(cohort[place], index=panel.units, name=name))
    rises, changes = int(up[place].sum()), int((~np.isnan(cohort[place])).sum())
    note = (
        f"cohorts are first changes of {name!r}: raised first in {counted(rises, 'unit')}, lowered in {changes - rises:,}; units without a change "
        "count as never treated, whatever their treatment"
    )
    starting, followed = np.zeros(len(keys.units)), np.full((len(keys.units), len(keys.periods)), np.nan)
    starting[unit[first]] = baseline
    followed[unit, period] = value
    within = np.searchsorted(keys.periods, panel.periods)
    known = ~np.isnan(followed)
    filled, known = (each[place][:, within] for each in (fill_forward(followed, known, starting), known))
    return replace(
        treatment,
        baseline=starting[place],
        path=filled,
        known=None if known.all() else known,
        notes=(*treatment.notes, note),
    )


def fill_forward(values: np.ndarray, known: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Put the last known value where none is known, (N, T), and ``before`` (N,) where none was known yet."""
    last = np.maximum.accumulate(np.where(known, np.arange(values.shape[1]), -1), axis=1)
    found = np.take_along_axis(values, np.maximum(last, 0), axis=1)
    return np.where(last < 0, before[:, None], found)


def _report_disagreement(keys: Keys, found: Treatment, stated: Treatment, faults: Faults) -> None:
    """Add the units whose first treated row is not the first row from their stated cohort on."""
    start = np.where(np.isnan(stated.stated), np.inf, stated.stated)
    row_at = keys.periods[keys.period] >= start[keys.unit]
    expected = np.full(len(keys.units), np.inf)
    np.minimum.at(expected, keys.unit[row_at], keys.periods[keys.period[row_at]].astype(np.float64))
    seen = np.where(np.isnan(found.stated), np.inf, found.stated)
    unlike = np.flatnonzero(expected != seen)
    if len(unlike):

        def shown(value: float) -> str:
            return "never" if not np.isfinite(value) else label(keys.kind, value)

        parts = [
            f"{keys.units[unit]}: cohort {shown(start[unit])}, first treated row {shown(seen[unit])}"
            for unit in unlike[:SHOWN]
        ]
        faults.add(
            f"{stated.stated.name}, {found.stated.name}",
            f"cohort and treated disagree for {counted(len(unlike), 'unit')}",
            "the first period with a 1 to be the first observed period from the cohort on; give only one of the two, or correct them",
            detail="; ".join(parts) + ("; ..." if len(unlike) > SHOWN else ""),
        )


def list_reversals(keys: Keys, treated: np.ndarray) -> pd.DataFrame:
    """List the units that are treated in one period and not in a later one: ``unit``, ``first_treated``, ``untreated_again`` (ordinals)."""
    order = np.lexsort((keys.period, keys.unit))
    unit, period, on = keys.unit[order], keys.period[order], treated[order] == 1
    ends = np.flatnonzero(on[:-1] & ~on[1:] & (unit[1:] == unit[:-1])) + 1
    first_end = ends[np.unique(unit[ends], return_index=True)[1]]
    units, first = np.unique(unit[on], return_index=True)
    start = dict(zip(units.tolist(), keys.periods[period[on][first]].tolist(), strict=True))
    return pd.DataFrame(
        {
            "unit": keys.units[unit[first_end]],
            "first_treated": [start[each] for each in unit[first_end].tolist()],
            "untreated_again": keys.periods[period[first_end]],
        }
    )


def report_exposure(keys: Keys, stated: pd.Series, part: np.ndarray, column: pd.Series, faults: Faults) -> None:
    """Add the rows whose part of the period contradicts the cohort: 0 before, above 0 in its first period, 1 after."""
    start = np.where(np.isnan(stated), np.inf, stated)[keys.unit]
    period = keys.periods[keys.period]
    wrong = np.where(period < start, part != 0, np.where(period == start, part == 0, part != 1))
    if wrong.any():
        expected = (
            "0 before the cohort (and for units never treated), above 0 in its first period, 1 in every later one"
        )
        _add(faults, column, np.flatnonzero(wrong), "exposure contradicts the cohort", expected)


def _read_ordinals(keys: Keys, cohort: pd.Series, faults: Faults) -> tuple[np.ndarray, np.ndarray]:
    """Read the column row by row: (n,) int64 ordinals (NO_COHORT where missing), and which rows are faulty."""
    name, kind = cohort.name, keys.kind
    missing = cohort.isna().to_numpy()
    if _is_indicator(keys, cohort, missing):
        fault = "the column holds only 0 and 1: it tells whether a unit is treated, not since when"
        expected = (
            f"the first treated period: name a 0/1 column by period as treated={name!r} instead of cohort={name!r}"
        )
        _add(faults, cohort, np.flatnonzero(~missing), fault, expected)
        return np.full(len(cohort), NO_COHORT), ~missing
    if kind in {PeriodKind.YEAR, PeriodKind.NUMBER} and not keys.from_text and is_text(cohort):
        rows = np.flatnonzero(~missing)
        _add(
            faults,
            cohort,
            rows,
            "cohorts are text while the periods are numbers",
            f"numbers like the periods; {SAY_MISSING}",
        )
        return np.full(len(cohort), NO_COHORT), ~missing
    parsed, unreadable = recognise_periods(cohort, kind)
    ordinal = parsed.ordinal
    if missing.any():
        unreadable = unreadable & ~missing
        ordinal = np.where(missing, NO_COHORT, ordinal)
    coded = _codes_for_never(keys, cohort, ordinal, missing, unreadable)
    if coded.any():
        fault = "a number stands for 'never treated' (or is no period)"
        _add(faults, cohort, np.flatnonzero(coded), fault, f"{SAY_MISSING}: never 0, -1, 9999 or infinity")
    unreadable = unreadable & ~coded
    if unreadable.any():
        expected = f"first treated {kind}s written like the periods, {SAY_MISSING}"
        if pd.api.types.is_datetime64_any_dtype(cohort.dtype):
            expected += "; for dates inside a period use assign_cohorts, whose rule says which period counts"
        _add(faults, cohort, np.flatnonzero(unreadable), f"cohort {name!r} is not readable as a {kind}", expected)
    return ordinal, coded | unreadable


def _is_indicator(keys: Keys, cohort: pd.Series, missing: np.ndarray) -> bool:
    """Return whether the column says in which rows a unit is treated: zeros and ones, and neither is a period."""
    if pd.api.types.is_numeric_dtype(cohort.dtype) and cohort.max() > 1:
        return False
    values = pd.unique(cohort[~missing].astype(object))
    if len(values) != 2 or {str(value).strip().lower() for value in values} not in _INDICATORS:
        return False
    if keys.kind != PeriodKind.NUMBER or keys.periods[0] > 0:
        return True
    _, codes = code_labels(cohort)
    return bool(varies_within(keys.unit, codes).any())


def _codes_for_never(
    keys: Keys, cohort: pd.Series, ordinal: np.ndarray, missing: np.ndarray, unreadable: np.ndarray
) -> np.ndarray:
    """Find which values are a code for "never": infinity, no year at all, or 0 and less before the first period."""
    coded = np.zeros(len(cohort), dtype=bool)
    if pd.api.types.is_datetime64_any_dtype(cohort.dtype) and len(keys.periods):
        days = cohort.dt.tz_localize(None).isin(pd.to_datetime(_ZERO_DATES)).to_numpy()
        return np.asarray(days & ~missing & (ordinal < keys.periods[0]))
    if isinstance(cohort.dtype, pd.PeriodDtype):
        return coded
    if unreadable.any() or keys.kind in {PeriodKind.HALF, PeriodKind.QUARTER, PeriodKind.MONTH}:
        numbers = pd.to_numeric(cohort.astype(object), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        coded |= np.isinf(numbers) | (numbers == 0) | (numbers == -1)
    readable = ~(missing | unreadable)
    if keys.kind == PeriodKind.YEAR:
        coded |= readable & ((ordinal < FIRST_YEAR) | (ordinal > LAST_YEAR))
    elif keys.kind == PeriodKind.NUMBER and len(keys.periods) and keys.periods[0] > 0:
        coded |= readable & (ordinal <= 0)
    return coded


def _report_changes(keys: Keys, cohort: pd.Series, varies: np.ndarray, faults: Faults) -> None:
    """List the units whose rows disagree about the cohort."""
    rows = np.flatnonzero(varies[keys.unit])
    units = np.flatnonzero(varies)
    parts = []
    for unit in units[:SHOWN]:
        values = pd.unique(cohort[keys.unit == unit].astype(object))
        parts.append(
            f"{keys.units[unit]}: {', '.join('missing' if pd.isna(value) else str(value) for value in values)}"
        )
    count = len(units)
    _add(
        faults,
        cohort,
        rows,
        f"the cohort changes within {counted(count, 'unit')}",
        "one first treated period for each unit, in all its rows (a programme that ends or returns is not a cohort)",
        detail="; ".join(parts) + ("; ..." if count > SHOWN else ""),
    )


def _add(faults: Faults, cohort: pd.Series, rows: np.ndarray, fault: str, expected: str, detail: str = "") -> None:
    failing = cohort.iloc[rows]
    faults.add(cohort.name, fault, expected, rows=failing.index, values=failing.tolist(), detail=detail)


def _place(keys: Keys, stated: pd.Series) -> Treatment:
    """Move the cohorts to observed periods and set the always-treated units aside."""
    cohort = stated.to_numpy(copy=True)
    first, last = keys.periods[0], keys.periods[-1]
    always, beyond = cohort <= first, cohort > last
    notes = []
    within = ~np.isnan(cohort) & ~always & ~beyond
    following = keys.periods[np.searchsorted(keys.periods, cohort[within])]
    moved = np.flatnonzero(following != cohort[within])
    if len(moved):
        cohort[within] = following
        old = np.unique(stated.to_numpy()[within][moved])
        pairs = [
            f"{label(keys.kind, a)} -> {label(keys.kind, keys.periods[np.searchsorted(keys.periods, a)])}" for a in old
        ]
        notes.append(
            f"{counted(len(moved), 'unit is', 'units are')} first treated in a {keys.kind} that no unit is observed in; the cohort is the next observed "
            f"{keys.kind} ({', '.join(pairs)})"
        )
    if beyond.any():
        cohort[beyond] = np.nan
        notes.append(
            f"{counted(beyond.sum(), 'unit is', 'units are')} first treated after the last {keys.kind} ({label(keys.kind, last)}); within this "
            "panel they count as never treated"
        )
    named = label(keys.kind, first)
    if always.any():
        notes.append(
            f"{counted(always.sum(), 'unit is', 'units are')} treated at or before the first {keys.kind} ({named}); they have no untreated "
            "period and are kept out of every comparison"
        )
    reason = f"always treated: the cohort is at or before the first {keys.kind} ({named})"
    excluded = pd.DataFrame(
        {
            "unit": keys.units[always],
            "cohort": stated.to_numpy()[always].astype(np.int64),
            "reason": pd.array([reason] * int(always.sum()), dtype="str"),
        }
    )
    return Treatment(stated, cohort, always, excluded, tuple(notes))
