"""One calendar: months since January 1970, and the years, half-years, quarters and spans of months that they make up.

A month is a whole number, January 1970 is 0; day and year are read off it and nothing else counts months. A period is a kind and
an ordinal: the year in which it begins, or the number of half-years, quarters or months since January 1970. Years that do not
begin in January are another `Calendar`, not another kind of arithmetic. Functions of months take arrays and columns, too.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

EPOCH = 1970
"""The year whose January is month 0, as pandas counts."""

IN_YEAR = 12


class PeriodKind(StrEnum):
    """What one step on the time axis is.

    Examples
    --------
    >>> PeriodKind.QUARTER == "quarter"
    True
    """

    YEAR = "year"
    HALF = "half-year"
    QUARTER = "quarter"
    MONTH = "month"
    NUMBER = "number"


MONTHS: dict[str, int] = {PeriodKind.YEAR: 12, PeriodKind.HALF: 6, PeriodKind.QUARTER: 3, PeriodKind.MONTH: 1}
"""Months of each dated kind of period, longest first."""

PER_YEAR: dict[str, int] = {kind: IN_YEAR // months for kind, months in MONTHS.items()}
"""Periods of each dated kind in one year."""


def month_in(year: Any, number: Any = 1) -> Any:
    """Return the month of a year, January by default; of whole numbers, arrays or expressions of them.

    Examples
    --------
    >>> month_in(2019, 9)
    596
    """
    return (year - EPOCH) * IN_YEAR + number - 1


def month_of(day: dt.date) -> int:
    """Return the month that a day lies in."""
    return int(month_in(day.year, day.month))


def first_day_of(month: int) -> dt.date:
    """Return the first day of a month.

    Examples
    --------
    >>> first_day_of(596), last_day_of(596)
    (datetime.date(2019, 9, 1), datetime.date(2019, 9, 30))
    """
    return dt.date(EPOCH + month // IN_YEAR, month % IN_YEAR + 1, 1)


def last_day_of(month: int) -> dt.date:
    """Return the last day of a month."""
    return first_day_of(month + 1) - dt.timedelta(days=1)


@dataclass(frozen=True)
class Calendar:
    """Years that begin with one month, and their halves and quarters.

    A year is called by the calendar year in which it begins: April 2017 to March 2018 is 2017, written "2017/18". Half-years and
    quarters of such a year are numbered from its first month; months are months in any calendar.

    Examples
    --------
    >>> fiscal = Calendar(year_begins=4)
    >>> fiscal.label("year", fiscal.period_of("year", month_in(2018, 2))), fiscal.label("quarter", 188)
    ('2017/18', '2017/18Q1')
    """

    year_begins: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.year_begins <= IN_YEAR:
            raise ValueError(f"year_begins is {self.year_begins}; expected the number of a month, 1 to {IN_YEAR}")

    def year_of(self, month: Any) -> Any:
        """Return the year that a month lies in."""
        return EPOCH + (month - self.year_begins + 1) // IN_YEAR

    def within(self, month: Any) -> Any:
        """Return the months since the year began: 0 for its first month."""
        return (month - self.year_begins + 1) % IN_YEAR

    def period_of(self, kind: str, month: Any) -> Any:
        """Return the ordinal of the period of a kind that a month lies in."""
        months = MONTHS[kind]
        if kind == PeriodKind.MONTH:
            return month
        if kind == PeriodKind.YEAR:
            return self.year_of(month)
        return (month - self.year_begins + 1) // months

    def first_month(self, kind: str, ordinal: Any) -> Any:
        """Return the first month of a period.

        Examples
        --------
        >>> Calendar().first_month("quarter", 198), Calendar(4).first_month("year", 2017)
        (594, 567)
        """
        if kind == PeriodKind.MONTH:
            return ordinal
        if kind == PeriodKind.YEAR:
            return month_in(ordinal, self.year_begins)
        return ordinal * MONTHS[kind] + self.year_begins - 1

    def label(self, kind: str, ordinal: float) -> str:
        """Return the readable name of a period; of a plain number the number itself."""
        number = int(ordinal)
        if kind == PeriodKind.NUMBER:
            return str(number)
        first = self.first_month(kind, number)
        if kind == PeriodKind.MONTH:
            return f"{EPOCH + first // IN_YEAR}-{first % IN_YEAR + 1:02d}"
        year = self.year_of(first)
        name = str(year) if self.year_begins == 1 else f"{year}/{(year + 1) % 100:02d}"
        letter = {PeriodKind.YEAR: "", PeriodKind.HALF: "H", PeriodKind.QUARTER: "Q"}[PeriodKind(kind)]
        return f"{name}{letter}{number % PER_YEAR[kind] + 1}" if letter else name

    def named(self, kind: str) -> str:
        """Return the kind with its calendar, as a panel carries it: "year", or "year from 04"; `read_kind` takes it apart.

        Examples
        --------
        >>> Calendar(4).named("year"), Calendar(4).named("month"), Calendar().named("year")
        ('year from 04', 'month', 'year')
        """
        plain = self.year_begins == 1 or kind in (PeriodKind.MONTH, PeriodKind.NUMBER)
        return str(kind) if plain else f"{kind} from {self.year_begins:02d}"

    def kind_of(self, first: int, last: int) -> str | None:
        """Return the kind of period that a span of months is; None when it is none.

        Examples
        --------
        >>> [str(Calendar().kind_of(588, last)) for last in (599, 590, 593, 596)]
        ['year', 'quarter', 'half-year', 'None']
        """
        length = last - first + 1
        return next((kind for kind, n in MONTHS.items() if n == length and self.within(first) % n == 0), None)

    def name_span(self, first: int, last: int) -> str:
        """Return the name of a span of months, as short as it can be.

        Examples
        --------
        >>> [Calendar().name_span(*span) for span in ((588, 596), (594, 596), (588, 599), (590, 590))]
        ['2019-01 to 2019-09', '2019Q3', '2019', '2019-03']
        """
        if kind := self.kind_of(first, last):
            return self.label(kind, self.period_of(kind, first))
        return f"{self.label(PeriodKind.MONTH, first)} to {self.label(PeriodKind.MONTH, last)}"


CALENDAR = Calendar()
"""Years from January: the calendar of everything that does not name another."""


def read_kind(name: str) -> tuple[PeriodKind, Calendar]:
    """Return the kind and the calendar behind a name from `Calendar.named`.

    Examples
    --------
    >>> kind, calendar = read_kind("year from 04")
    >>> calendar.label(kind, 2017)
    '2017/18'
    """
    kind, _, begins = str(name).partition(" from ")
    return PeriodKind(kind), Calendar(int(begins)) if begins else CALENDAR
