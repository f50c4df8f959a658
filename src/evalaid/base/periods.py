"""The time axis: years, half-years, quarters, months or plain numbers, held as whole numbers that can be subtracted.

A period is stored as an *ordinal*: the year itself, the number of half-years, quarters or months since January 1970 (as pandas
counts them), or the plain number. ``label`` gives the readable name back.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.errors import PanelError
from evalaid.base.months import CALENDAR, EPOCH, MONTHS, PeriodKind, first_day_of, month_in, month_of, read_kind

FIRST_YEAR, LAST_YEAR = 1900, 2100
"""Whole numbers that all lie in this range are read as years, others as plain numbers."""

INTEGERS = (PeriodKind.YEAR, PeriodKind.NUMBER)
"""Kinds that are written as whole numbers."""

_HALF = re.compile(r"(\d{4})[ \-_]?[Hh]([12])")
_QUARTER = re.compile(r"(\d{4})[ \-_]?[Qq]([1-4])")
_MONTH = re.compile(r"(\d{4})(?:[-/.]|[Mm])(0?[1-9]|1[0-2])")
_FISCAL = re.compile(r"(\d{4})[-/\u2010-\u2015](\d{2}|\d{4})")
_NUMBER = re.compile(r"[+-]?\d+")
_LARGEST = 10**15  # a period of more digits is a code or a slip


@dataclass(frozen=True)
class Periods:
    """Parsed periods, in the order of the values."""

    kind: PeriodKind
    ordinal: np.ndarray  # (n,) int64


def parse_periods(values: Any, kind: str | None = None) -> Periods:
    """Read a column of periods of one kind.

    Assumes that all values are of one kind. Whole numbers that all lie in 1900..2100 are years; other whole numbers are
    plain numbers. Dates must be the first (or all the last) days of years, half-years, quarters or months; the longest kind that
    fits is taken.

    Returns
    -------
    Periods
        Kind and ordinals, in the order of ``values``.

    Raises
    ------
    PanelError
        When a value is missing, unreadable or of another kind than the rest; ``rows`` lists these.

    Examples
    --------
    >>> parse_periods(["2019Q3", "2020Q1"])
    Periods(kind=<PeriodKind.QUARTER: 'quarter'>, ordinal=array([198, 200]))
    >>> parse_periods([2019, 2021]).kind
    <PeriodKind.YEAR: 'year'>
    """
    series = pd.Series(values)
    periods, unreadable = recognise_periods(series, kind)
    if unreadable.any():
        rows = pd.DataFrame({"row": series.index[unreadable], "value": series[unreadable].to_numpy(dtype=object)})
        found = ", ".join(repr(value)[:60] for value in rows["value"].head(3))
        raise PanelError(
            f"{len(rows)} of {len(series)} periods are not readable as a {periods.kind}, for example {found}. "
            f"Expected {EXPECTED_PERIODS}.",
            rows,
        )
    return periods


EXPECTED_PERIODS = "years (2019), half-years ('2019H1'), quarters ('2019Q3'), months ('2019-09') or whole numbers, one kind in the whole column; a moment with a time of day is no day: convert it to the local date first"


def recognise_periods(values: pd.Series, kind: str | None = None) -> tuple[Periods, np.ndarray]:
    """Read what can be read of a column of periods, and say which rows could not be.

    Returns
    -------
    tuple of Periods and numpy.ndarray
        The periods (ordinal 0 where unreadable) and an (n,) bool array that is true where a value is unreadable.

    Examples
    --------
    >>> periods, unreadable = recognise_periods(pd.Series([2019, None, 2021]))
    >>> periods.ordinal.tolist(), unreadable.tolist()
    ([2019, 0, 2021], [False, True, False])
    """
    wanted = None if kind is None else PeriodKind(kind)
    dtype = values.dtype
    if isinstance(dtype, pd.PeriodDtype):
        return _from_period_dtype(values, wanted)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return _from_dates(values, wanted)
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype):
        return _from_numbers(values, wanted)
    return _from_objects(values, wanted)


def label(kind: str, ordinal: float) -> str:
    """Return the name of one period: ``"2019"``, ``"2019H2"``, ``"2019Q3"``, ``"2019-09"`` or the number itself.

    Examples
    --------
    >>> label("year", 2019), label("half-year", 99), label("quarter", 198), label("month", 596), label("number", 7)
    ('2019', '2019H2', '2019Q3', '2019-09', '7')
    """
    plain, calendar = read_kind(kind)
    return calendar.label(plain, ordinal)


def labels(kind: str, ordinals: Iterable[float]) -> list[str]:
    """Return the names of many periods (see `label`).

    Examples
    --------
    >>> labels("quarter", [198, 199])
    ['2019Q3', '2019Q4']
    """
    return [label(kind, ordinal) for ordinal in ordinals]


def containing_period(kind: str, day: dt.date) -> int:
    """Return the ordinal of the period of a dated kind that a day falls in.

    Examples
    --------
    >>> label("quarter", containing_period("quarter", dt.date(2021, 2, 18)))
    '2021Q1'
    """
    plain, calendar = read_kind(kind)
    return int(calendar.period_of(plain, month_of(day)))


def first_day(kind: str, ordinal: int) -> dt.date:
    """Return the first day of a period of a dated kind.

    Examples
    --------
    >>> first_day("quarter", 198)
    datetime.date(2019, 7, 1)
    """
    plain, calendar = read_kind(kind)
    return first_day_of(calendar.first_month(plain, int(ordinal)))


def _from_numbers(values: pd.Series, wanted: PeriodKind | None) -> tuple[Periods, np.ndarray]:
    if values.dtype.kind in "iu" and isinstance(values.dtype, np.dtype):
        ordinal = values.to_numpy().astype(np.int64, copy=False)
        unreadable = (ordinal > _LARGEST) | (ordinal < (0 if values.dtype.kind == "u" else -_LARGEST))
    else:
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        unreadable = ~(np.abs(numbers) <= _LARGEST) | (numbers != np.round(numbers))
        ordinal = np.where(unreadable, 0, numbers).astype(np.int64)
    kind = wanted or _kind_of_integers(ordinal[~unreadable] if unreadable.any() else ordinal)
    if kind not in INTEGERS:
        unreadable = np.ones(len(ordinal), dtype=bool)
        ordinal = np.zeros_like(ordinal)
    return Periods(kind, ordinal), unreadable


def _kind_of_integers(ordinal: np.ndarray) -> PeriodKind:
    years = len(ordinal) > 0 and ordinal.min() >= FIRST_YEAR and ordinal.max() <= LAST_YEAR
    return PeriodKind.YEAR if years else PeriodKind.NUMBER


def _from_period_dtype(values: pd.Series, wanted: PeriodKind | None) -> tuple[Periods, np.ndarray]:
    kinds = {"period[Y-DEC]": PeriodKind.YEAR, "period[Q-DEC]": PeriodKind.QUARTER, "period[M]": PeriodKind.MONTH}
    kind = kinds.get(str(values.dtype))
    unreadable = values.isna().to_numpy()
    if kind is None or (wanted is not None and kind != wanted):
        return Periods(wanted or PeriodKind.NUMBER, np.zeros(len(values), np.int64)), np.ones(len(values), dtype=bool)
    ordinal = pd.PeriodIndex(values).asi8 + (EPOCH if kind == PeriodKind.YEAR else 0)
    return Periods(kind, np.where(unreadable, 0, ordinal)), unreadable


def _from_dates(values: pd.Series, wanted: PeriodKind | None) -> tuple[Periods, np.ndarray]:
    missing = values.isna().to_numpy()
    days = pd.DatetimeIndex(values)
    year, month = np.asarray(days.year), np.asarray(days.month)
    starts, ends = np.asarray(days.is_month_start), np.asarray(days.is_month_end)
    at_end = bool((ends | missing).all()) and not bool((starts | missing).all())
    edge = (ends if at_end else starts) & _whole_days(days, at_end=at_end)
    step = np.where(missing, 0, (month if at_end else month - 1)).astype(np.int64)  # months from the edge of the year
    readable = edge & ~missing
    kind = wanted
    if kind is None:
        fits = [name for name, months in MONTHS.items() if np.all(step[readable] % months == 0)]
        kind = PeriodKind(fits[0]) if readable.any() else PeriodKind.MONTH
    if kind == PeriodKind.NUMBER:
        return Periods(kind, np.zeros(len(values), np.int64)), np.ones(len(values), dtype=bool)
    readable &= step % MONTHS[kind] == 0
    ordinal = CALENDAR.period_of(
        kind, month_in(np.where(missing, 0, year), np.where(missing, 1, month)).astype(np.int64)
    )
    return Periods(kind, np.where(readable, ordinal, 0)), ~readable


def _whole_days(days: pd.DatetimeIndex, *, at_end: bool) -> np.ndarray:
    """Find the values that are days: midnight, or the last second of a day that ends a period.

    A moment of another time of day may belong to the day before or after elsewhere: midnight in Shanghai is 16:00 UTC.
    """
    midnight = np.asarray((days.hour == 0) & (days.minute == 0) & (days.second == 0) & (days.microsecond == 0))
    last = np.asarray((days.hour == 23) & (days.minute == 59) & (days.second == 59))
    return midnight | last if at_end else midnight


def is_fiscal(values: pd.Series) -> bool:
    """Return whether every value is a fiscal year: 2001-02, 2002-03, ... are no months when every second year follows the first.

    Examples
    --------
    >>> is_fiscal(pd.Series(["2001-02", "2002-03"])), is_fiscal(pd.Series(["2001-02", "2001-03"]))
    (True, False)
    """
    if pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(values.dtype):
        return False
    uniques = values.dropna().unique()
    read = [_fiscal_year(value) for value in uniques]
    in_full = all(isinstance(value, str) and len(value.strip()) == 9 for value in uniques)
    return len(uniques) > (0 if in_full else 1) and None not in read


def _fiscal_year(value: Any) -> int | None:
    """Return the year in which a fiscal year begins: "2001-02" or "2001/2002"."""
    match = _FISCAL.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    first, second = int(match[1]), int(match[2])
    return first if second == (first + 1 if len(match[2]) == 4 else (first + 1) % 100) else None


def _from_objects(values: pd.Series, wanted: PeriodKind | None) -> tuple[Periods, np.ndarray]:
    codes, uniques = pd.factorize(values)
    if len(uniques) and all(isinstance(value, dt.date) for value in uniques):  # one alone does not tell its kind
        return _from_dates(pd.to_datetime(values), wanted)
    read = _read_each(values, uniques, wanted)
    counts = Counter(item[0] for item in read if item is not None)
    kind = wanted or (counts.most_common(1)[0][0] if counts else PeriodKind.NUMBER)
    known = [item[1] if item is not None and item[0] == kind else None for item in read]
    # The last of each is what the code -1 of a missing value finds.
    ordinal = np.array([number or 0 for number in known] + [0], dtype=np.int64)
    return Periods(kind, ordinal[codes]), np.array([number is None for number in known] + [True])[codes]


def _read_each(values: pd.Series, uniques: Any, wanted: PeriodKind | None) -> list[tuple[PeriodKind, int] | None]:
    """Read distinct values; whole numbers are years or plain numbers, all of them the same."""
    fiscal = wanted == PeriodKind.YEAR or (wanted is None and is_fiscal(values))
    read = [(_parse_fiscal(value) if fiscal else None) or _parse_one(value) for value in uniques]
    whole = [item[1] for item in read if item is not None and item[0] == PeriodKind.NUMBER]
    integers = wanted if wanted in INTEGERS else _kind_of_integers(np.array(whole, dtype=np.int64))
    return [(integers, item[1]) if item is not None and item[0] == PeriodKind.NUMBER else item for item in read]


def _parse_fiscal(value: Any) -> tuple[PeriodKind, int] | None:
    """Read one fiscal year as the year in which it begins."""
    year = _fiscal_year(value)
    return None if year is None else (PeriodKind.YEAR, year)


def _parse_one(value: Any) -> tuple[PeriodKind, int] | None:
    """Read one value; whole numbers come back as plain numbers, whether or not they are years."""
    if isinstance(value, (pd.Period, dt.date, np.datetime64)):
        series = pd.Series([value]) if isinstance(value, pd.Period) else pd.Series([pd.Timestamp(value)])
        periods, unreadable = recognise_periods(series)
        return None if unreadable[0] else (periods.kind, int(periods.ordinal[0]))
    if isinstance(value, (bool, np.bool_)):
        return None
    if isinstance(value, (int, float, np.integer, np.floating)):
        return (PeriodKind.NUMBER, int(value)) if abs(float(value)) <= _LARGEST and value == round(value) else None
    text = str(value).strip()
    if match := _HALF.fullmatch(text):
        return _dated(PeriodKind.HALF, match)
    if match := _QUARTER.fullmatch(text):
        return _dated(PeriodKind.QUARTER, match)
    if match := _MONTH.fullmatch(text):
        return _dated(PeriodKind.MONTH, match)
    if _NUMBER.fullmatch(text) and len(text) <= len(str(_LARGEST)):
        return PeriodKind.NUMBER, int(text)
    return None


def _dated(kind: PeriodKind, match: re.Match[str]) -> tuple[PeriodKind, int]:
    """Return the period with a number in a year."""
    first = month_in(int(match[1])) + (int(match[2]) - 1) * MONTHS[kind]
    return kind, CALENDAR.period_of(kind, first)
