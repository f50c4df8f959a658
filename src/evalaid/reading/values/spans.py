"""Periods as offices write them, read as spans of months: `read_spans`."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.base.months import CALENDAR, IN_YEAR, MONTHS, month_in, month_of
from evalaid.base.periods import label
from evalaid.reading.files.snapshot import FAULT_COLUMNS
from evalaid.reading.values.calendar_languages import names_one_year
from evalaid.reading.values.calendar_words import Said, read_period
from evalaid.reading.values.day_order import settle_days

STEPS = {str(kind): months for kind, months in reversed(MONTHS.items())}
"""What a plain number or a date may stand for, with its months."""

ASK_YEAR = "a line 'year_begins: 4' (the month in which fiscal years begin) in the layout"
_SHOWN = 4
_ENOUGH_DATES = 3
"""So many different dates, all at edges of quarters, show that the column counts quarters and not months."""


@dataclass(frozen=True)
class Reckoning:
    """What a person says about the periods of a file, where the file leaves it open."""

    year_begins: int | None = None  # the month in which fiscal years begin
    year_named: str | None = None  # whether FY2015 "begins" or "ends" in 2015
    day_first: bool | None = None

    def first_year(self, said: Said, language: str) -> int:
        """Return the calendar year in which a fiscal year begins; one called by a single year (FY2015) may begin or end in it."""
        assert said.fiscal is not None  # noqa: S101
        if self.year_begins in (None, 1) or not names_one_year(said.text):
            return said.fiscal
        named = self.year_named or ("ends" if self.year_begins >= _LATE else "begins" if language == "ja" else None)
        if named is None:
            raise ReadingError(
                f"{said.text!r} may begin or end in {said.fiscal}: the United States, India and Australia call fiscal years by their end, Japan "
                "by their beginning. Expected one: a line 'year_named: ends' or 'year_named: begins' in the layout."
            )
        return said.fiscal - (named == "ends")


_LATE = 7
"""Fiscal years that begin in July or later are called by the year in which they end (United States, Australia)."""


@dataclass(frozen=True)
class Span:
    """Hold a span of whole months."""

    first_month: int  # months since January 1970 (0), both inclusive
    last_month: int  # months since January 1970 (0), both inclusive
    cumulative: bool  # whether it is one of a series that counts from January: January to June, January to September

    @property
    def months(self) -> int:
        """How many months it has."""
        return self.last_month - self.first_month + 1

    @property
    def year(self) -> int:
        """The year of its last month."""
        return int(CALENDAR.year_of(self.last_month))

    @property
    def step(self) -> str:
        """What it is: a whole "month", "quarter", "half-year" or "year", else "months"."""
        return str(CALENDAR.kind_of(self.first_month, self.last_month) or "months")

    def __str__(self) -> str:
        if self.cumulative:
            return f"{label('month', self.first_month)} to {label('month', self.last_month)} (cumulative)"
        return CALENDAR.name_span(self.first_month, self.last_month)


@dataclass(frozen=True)
class Spans:
    """Hold the spans of a column."""

    spans: tuple[Span | None, ...]  # one for each cell; None where it is empty or unreadable
    evidence: str  # what the column holds and what was decided
    faults: list[tuple[int, str, str]]  # (position, text, why) of every cell that could not be read
    # (position, text, decided) where something was left out or supplied (a remark, a year, two digits of a
    # year)
    notes: list[tuple[int, str, str]]
    fiscal: bool = False  # whether they are fiscal years, each called by the year that its name begins with


def read_spans(
    cells: Sequence[object],
    *,
    year: int | Sequence[object] | None = None,
    step: str | None = None,
    language: str = "",
    reckoning: Reckoning | None = None,
) -> Spans:
    """Read a column (or a row of headings) of periods.

    Assumes that "三季度" is the quarter itself unless 累计 stands with it, and that spans from January of more than a
    quarter count from the start of the year (1-9月, 前三季度, 上半年) unless second halves of years stand beside them.

    Examples
    --------
    >>> [str(span) for span in read_spans(["2019年第三季度", "2019Q3", "2019年1-9月", "2019.9"]).spans]
    ['2019Q3', '2019Q3', '2019-01 to 2019-09 (cumulative)', '2019-09']
    >>> [str(span) for span in read_spans(["上半年", "全年"], year=2019).spans]
    ['2019-01 to 2019-06 (cumulative)', '2019-01 to 2019-12 (cumulative)']
    """
    years = _years_of(cells, year, step)
    reckoning = reckoning or Reckoning()
    cells, ordered = settle_days(cells, day_first=reckoning.day_first)
    said = [read_period(cell, own) for cell, own in zip(cells, years, strict=True)]
    said = [_japanese_year(item) for item in said] if language == "ja" else said
    fiscal, called = are_fiscal(said), next((item for item in said if item.fiscal is not None), None)
    said = [_fiscal_as_year(item, reckoning, language) for item in said] if fiscal else said
    dates = _step_of_dates(said, step)
    numbers = _step_of_numbers(said, step)
    found = [_span(item, dates, numbers) for item in said]
    spans, decided = _decide_cumulative(found, said)
    faults, notes = _faults_and_notes(cells, said, [item.fault or _misfit(item, dates, numbers) for item in said])
    evidence = _evidence(spans, decided, said, dates, numbers)
    evidence += f" {ordered}." * bool(ordered)
    if fiscal and called is not None:
        evidence += f" Fiscal years: {_tell_fiscal(called, reckoning, language)}."
    return Spans(spans, evidence, faults, notes, fiscal and not any(item.part for item in said))


def _faults_and_notes(
    cells: Sequence[object], said: Sequence[Said], whys: Sequence[str]
) -> tuple[list[tuple[int, str, str]], list[tuple[int, str, str]]]:
    faults = [(at, str(cells[at]), why) for at, why in enumerate(whys) if why]
    notes = [(at, str(cells[at]), item.note) for at, item in enumerate(said) if item.note and not whys[at]]
    return faults, notes


def _years_of(cells: Sequence[object], year: int | Sequence[object] | None, step: str | None) -> list[object]:
    """Check what was said about a column, and return the year of each cell."""
    if step is not None and step not in STEPS:
        raise ReadingError(
            f"step={step!r} is unknown. Expected one of {', '.join(STEPS)}, or nothing, to have it decided."
        )
    years: list[object] = [year] * len(cells) if year is None or isinstance(year, int) else list(year)
    if len(years) != len(cells):
        raise ReadingError(
            f"{len(years)} years were given for {len(cells)} periods. Expected one year for each period."
        )
    return years


def are_fiscal(said: Sequence[Said]) -> bool:
    """Return whether a column holds fiscal years: one can be nothing else, or all that stand there may be some, of several years."""
    there = [item for item in said if item.span is not None or item.fiscal is not None or item.fault]
    if any(item.fiscal is not None and item.span is None for item in there):
        return True
    years = {item.fiscal for item in there}
    return len(years) > 1 and None not in years


def _japanese_year(item: Said) -> Said:
    """Take a year that is called 年度 as a fiscal one, as it is in Japan; in Chinese the word means the year."""
    if "年度" not in item.text or item.span is None or item.span[1] - item.span[0] + 1 != IN_YEAR:
        return item
    return replace(item, span=None, fiscal=int(CALENDAR.year_of(item.span[0])))


def _fiscal_as_year(item: Said, reckoning: Reckoning, language: str) -> Said:
    """Take a fiscal year as the year in which it begins; a quarter of one (Q1 2017/18) as the months that it has."""
    if item.fiscal is None:
        return item
    year = reckoning.first_year(item, language)
    if not item.part:
        first = month_in(year)
        return replace(item, span=(first, first + 11), bare_quarter=False)
    if reckoning.year_begins is None:
        raise ReadingError(
            f"{item.text!r} is part of a fiscal year: in which month does the year begin? Expected one: {ASK_YEAR}."
        )
    months = 3 if item.part[0] == "Q" else 6
    first = month_in(year, reckoning.year_begins) + (int(item.part[1]) - 1) * months
    return replace(item, span=(first, first + months - 1), bare_quarter=False)


def _tell_fiscal(said: Said, reckoning: Reckoning, language: str) -> str:
    if said.part:
        return f"{said.text!r} is a part of the year that begins in month {reckoning.year_begins}"
    if not names_one_year(said.text):
        return f"{said.text!r} is called by its first year"
    if reckoning.year_begins in (None, 1):
        return f"{said.text!r} is called by the year in its name, whether it begins or ends there"
    year = reckoning.first_year(said, language)
    return f"{said.text!r} begins in month {reckoning.year_begins} of {year}, and is called by that year"


def _step_of_dates(said: Sequence[Said], step: str | None) -> str:
    """Decide what dates stand for: the longest step at whose edges all of them lie, when there are enough of them."""
    days = {item.day for item in said if item.day is not None}
    if step is not None or not days:
        return step or "month"
    starts = all(day.day == 1 for day in days)
    months = {day.month if starts else day.month % 12 + 1 for day in days}
    if not starts and not all(_ends_month(day) for day in days):
        return "month"
    if not all(month % 3 == 1 for month in months):
        return "month"
    if len(days) < _ENOUGH_DATES:
        raise _refuse(said, "dates", sorted(str(day) for day in days), "months, quarters, half-years or years")
    return "year" if months == {1} else "quarter"


def _step_of_numbers(said: Sequence[Said], step: str | None) -> str:
    numbers = {item.number for item in said if item.number is not None}
    if step is not None or not numbers:
        return step or "month"
    if max(numbers) > 4:
        return "month"
    raise _refuse(said, "plain numbers", sorted(map(str, numbers)), "months, quarters or half-years")


def _refuse(said: Sequence[Said], what: str, shown: list[str], choices: str) -> ReadingError:
    positions = [at for at, item in enumerate(said) if item.day is not None or item.number is not None]
    rows = [("", "", at, "", said[at].text, f"{what} may be {choices}", "one step") for at in positions]
    some = ", ".join(shown[:_SHOWN]) + (", ..." if len(shown) > _SHOWN else "")
    message = f"The periods are {what} ({some}) that may be {choices}. Expected one: say step=" + (
        " or ".join(f"'{step}'" for step in STEPS) + "."
    )
    return ReadingError(message, pd.DataFrame(rows, columns=FAULT_COLUMNS))


def _span(item: Said, dates: str, numbers: str) -> tuple[int, int] | None:
    if item.fault or _misfit(item, dates, numbers):
        return None
    if item.day is not None:
        months = STEPS[dates]
        first = month_of(item.day) // months * months
        return first, first + months - 1
    if item.number is not None and item.year is not None:
        months = STEPS[numbers]
        first = month_in(item.year) + (item.number - 1) * months
        return first, first + months - 1
    return item.span


def _misfit(item: Said, dates: str, numbers: str) -> str:
    """Return why a date or a plain number does not fit the column's step."""
    if item.number is not None and item.number > IN_YEAR // STEPS[numbers]:
        return f"{item.number} is no {numbers} of a year"
    if item.day is None:
        return ""
    months = STEPS[dates]
    first = item.day.day == 1 and (item.day.month - 1) % months == 0
    last = _ends_month(item.day) and item.day.month % months == 0
    return "" if first or last else f"a day inside a {dates}, not a period"


def _ends_month(day: dt.date) -> bool:
    return (day + dt.timedelta(days=1)).day == 1


def _decide_cumulative(
    found: Sequence[tuple[int, int] | None], said: Sequence[Said]
) -> tuple[tuple[Span | None, ...], str]:
    """Decide for the column which spans count from January."""
    spans = [span for span in found if span is not None]
    second_half = any(CALENDAR.within(first) == 6 and last - first == 5 for first, last in spans)
    inside = any(CALENDAR.within(first) for first, _ in spans)
    flags = []
    for span, item in zip(found, said, strict=True):
        if span is None or CALENDAR.within(span[0]) or CALENDAR.year_of(span[0]) != CALENDAR.year_of(span[1]):
            flags.append(False)
            continue
        months = span[1] - span[0] + 1
        flags.append(item.cumulative or (3 < months < IN_YEAR and not (months == 6 and second_half)))
    series = any(flags) and not inside
    if series:
        flags = [span is not None for span in found]
    decided = ""
    if series:
        decided = (
            "All begin in January and some are longer than a quarter: one series counted from the start of the year."
        )
    elif second_half and any(
        span is not None and CALENDAR.within(span[0]) == 0 and span[1] - span[0] == 5 for span in found
    ):
        decided = "First halves are halves, not cumulative: second halves stand beside them."
    made = [None if span is None else Span(*span, flag) for span, flag in zip(found, flags, strict=True)]
    return tuple(made), decided


def _evidence(spans: Sequence[Span | None], decided: str, said: Sequence[Said], dates: str, numbers: str) -> str:
    names = Counter(f"{span.step}{', cumulative' if span.cumulative else ''}" for span in spans if span is not None)
    kinds = "; ".join(f"{count} read as a {name}" for name, count in names.most_common()) or "no period"
    text = f"Periods: {kinds}. {decided}".strip()
    if any(item.day is not None for item in said):
        text += f" Dates stand for the {dates} that they begin or end."
    if any(item.number is not None for item in said):
        text += f" Plain numbers are each a {numbers}."
    bare = [item.text for item in said if item.bare_quarter]
    if bare and not any(span is not None and span.cumulative for span in spans):
        text += f" {bare[0]!r} is taken as the quarter itself: nothing says 累计."
    return text
