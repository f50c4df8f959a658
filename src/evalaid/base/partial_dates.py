"""Dates that are known to the day, the month or the year only, written ``2023-02-08``, ``2018-12`` or ``2014``."""

from __future__ import annotations

import calendar
import datetime as dt
import re

PATTERN = r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?"
"""What such a date looks like."""


def earliest_day(text: str) -> dt.date | None:
    """Return the first day that a year, month or day can mean; None for an empty text. Raises ValueError for what is no date.

    Examples
    --------
    >>> earliest_day("2018-12"), earliest_day("")
    (datetime.date(2018, 12, 1), None)
    """
    if not text:
        return None
    year, month, day = (*_parts(text), 1, 1)[:3]
    return dt.date(year, month, day)


def latest_day(text: str) -> dt.date | None:
    """Return the last day that a date can mean; takes what `earliest_day` takes.

    Examples
    --------
    >>> latest_day("2020-02"), latest_day("2014")
    (datetime.date(2020, 2, 29), datetime.date(2014, 12, 31))
    """
    if not text:
        return None
    parts = _parts(text)
    year = parts[0]
    month = parts[1] if len(parts) > 1 else 12
    return dt.date(year, month, parts[2] if len(parts) > 2 else calendar.monthrange(year, month)[1])


def years_between(start: dt.date, end: dt.date) -> float:
    """Return the time between two days in years of 365.25 days; negative when ``end`` is the earlier one.

    Examples
    --------
    >>> round(years_between(dt.date(2018, 1, 1), dt.date(2020, 1, 1)), 2)
    2.0
    """
    return (end - start).days / 365.25


def name_dates(start: str, end: str) -> str:
    """Return the time from one stated date to another as shortly as it can be said; an empty date is unknown.

    Examples
    --------
    >>> name_dates("2018-01-01", "2018-12-31"), name_dates("2020-01-01", "2020-06-30"), name_dates("", "2025-04")
    ('2018', '2020 January to June', 'until 2025-04')
    """
    if not start or not end:
        return f"from {start} on" if start else f"until {end}" if end else "at an unstated time"
    if start == end:
        return start
    if start.endswith("-01-01") and end.endswith("-12-31") and start[:4] != end[:4]:
        return f"{start[:4]} to {end[:4]}"
    first, last = earliest_day(start), latest_day(end)
    whole_months = first is not None and last is not None and first.day == 1 and last == latest_day(f"{last:%Y-%m}")
    if first is None or last is None or first.year != last.year or not whole_months or len(start) != 10:
        return f"{start} to {end}"
    if (first.month, last.month) == (1, 12):
        return str(first.year)
    return f"{first.year} {calendar.month_name[first.month]} to {calendar.month_name[last.month]}"


def _parts(text: str) -> tuple[int, ...]:
    if not re.fullmatch(PATTERN, text):
        raise ValueError(f"{text!r} is no date; expected a year (2014), a month (2018-12) or a day (2023-02-08)")
    return tuple(int(part) for part in text.split("-"))
