"""One cell as a period: the words and figures in which offices write years, halves, quarters, months and ranges of them."""

from __future__ import annotations

import calendar
import datetime as dt
import math
import re
import unicodedata
from dataclasses import dataclass, replace

import numpy as np

from evalaid.base.months import CALENDAR, month_in
from evalaid.reading.values.calendar_languages import fiscal_part, fiscal_year, in_digits, with_eras

FIRST_YEAR, LAST_YEAR = 1949, 2100
"""Years outside these are taken for slips."""

_LATEST_SHORT = 2050
NO_YEAR = "no year: it stands elsewhere"
_DIGITS = {"〇": "0", "零": "0", "○": "0", "两": "2"} | {
    c: str(at) for at, c in enumerate("一二三四五六七八九", start=1)
}
_DASHES = re.compile(r"[-\u2010-\u2015\u2500\u2212~\u301c\u30fc]+|至|到")
_ROMAN = {"IV": "4", "III": "3", "II": "2", "I": "1"}
_TOTAL = re.compile(r"累计数?|累积|合计")
_UNTIL = re.compile(r"^(?:截至|截止到?|截-)")
_REMARK = re.compile(r"\(([^()]*)\)$")

_DAYS = re.compile(
    r"((?:19|20)\d\d)[年./-](\d{1,2})[月./-]0?1日?[-—–~至到]((?:19|20)\d\d)?[年./-]?(\d{1,2})[月./-](\d{1,2})日?"
)
_Y = r"(?P<year>(?:19|20)\d\d)(?:年度?|[-./_])?|(?P<short>\d\d)年"
_M = r"(?:0?[1-9]|1[0-2])"
_PATTERNS = tuple(
    (kind, re.compile(pattern.replace("{Y}", f"(?:{_Y})?").replace("{M}", _M)))
    for kind, pattern in (
        ("quarter", r"{Y}(?P<bare>第?)(?P<one>[1-4])(?:季度?|刻度)(?:份|末|底)?"),
        ("quarter", r"{Y}[Qq](?P<one>[1-4])"),
        ("quarter", r"(?:[Qq](?P<one>[1-4])|(?P<other>[1-4])[Qq])[-/]?(?P<year>(?:19|20)\d\d)年?"),
        ("quarters", r"{Y}第?(?P<from>[1-4])-第?(?P<to>[1-4])季度?"),
        ("quarters", r"{Y}前(?P<to>[1-4])个?季度?"),
        ("half", r"{Y}(?P<which>[上下])半年度?"),
        ("half", r"{Y}[Hh](?P<one>[12])"),
        ("months", r"{Y}(?P<from>{M})月?份?-(?P<to>{M})月(?:份|底|末)?"),
        ("months", r"(?P<year>(?:19|20)\d\d)[./年](?P<from>{M})-(?P<to>{M})"),
        (
            "months",
            r"(?P<year>(?:19|20)\d\d)[-./年]?(?P<from>{M})月?-(?P<until>(?:19|20)\d\d)[-./年]?(?P<to>{M})月?(?:份|底|末)?",
        ),
        ("months", r"{Y}前(?P<to>{M})个?月"),
        ("month", r"{Y}(?P<one>{M})月(?:份|底|末)?"),
        ("month", r"(?P<year>(?:19|20)\d\d)[-./_](?P<one>{M})"),
        ("month", r"(?P<year>(?:19|20)\d\d)[Mm](?P<one>{M})"),
        ("month", r"(?P<year>(?:19|20)\d\d)(?P<one>0[1-9]|1[0-2])"),
        ("day", r"(?P<year>(?:19|20)\d\d)[-./年](?P<month>{M})[-./月](?P<day>[0-3]?\d)日?(?:T?00:00(?::00)?)?"),
        ("day", r"(?P<year>(?:19|20)\d\d)(?P<month>0[1-9]|1[0-2])(?P<day>[0-3]\d)"),
        ("year", r"(?P<year>(?:19|20)\d\d)(?:\.0|年度?|全年|年全年|年年度|年?[末底])?"),
        ("year", r"(?P<short>\d\d)年(?:度|全年)?"),
        ("year", r"全年|年度"),
    )
)


@dataclass(frozen=True)
class Said:
    """Hold what one cell says about a period."""

    text: str  # the cell
    span: tuple[int, int] | None = None  # months since January 1970
    cumulative: bool = False  # whether the cell itself says that it counts from January (累计, 前三季度, 截至)
    day: dt.date | None = None  # A date, whose step only the column tells
    number: int | None = None  # A plain number from 1 to 12 in a column with years, whose step only the column tells
    year: int | None = None  # the year of ``number``
    fiscal: int | None = None  # the year by which a fiscal year is called; beside a span, which it may be as well
    part: str = ""  # of that year: Q1 to Q4, H1 or H2
    bare_quarter: bool = False  # A quarter written without 第 or Q, as it is in cumulative reports too
    note: str = ""  # what was left out or supplied
    fault: str = ""  # why it is unreadable


def write_months(text: str) -> str:
    """Write days from the first of a month to the last of another as months (2019年1月1日至9月30日 as 2019年1-9月).

    Assumes half-width characters without spaces. Days inside a month stay as they are.

    Examples
    --------
    >>> write_months("2019年1月1日至2019年9月30日"), write_months("2019年1月1日-9月29日")
    ('2019年1-9月', '2019年1月1日-9月29日')
    """
    return _DAYS.sub(_as_months, text)


def _as_months(match: re.Match[str]) -> str:
    year, first, until, last, day = (None if part is None else int(part) for part in match.groups())
    if None in (year, first, last, day) or not (1 <= first <= last <= 12) or until not in (None, year):  # type: ignore[operator]
        return match.group()
    ends = calendar.monthrange(year, last)[1] == day  # type: ignore[arg-type]
    return f"{year}年{first}-{last}月" if ends else match.group()


def read_period(cell: object, year: object = None) -> Said:
    """Read one cell.

    Examples
    --------
    >>> read_period("2019年三季度累计").span, read_period("2019年三季度累计").cumulative
    ((588, 596), True)
    >>> read_period("9月").fault
    'no year: it stands elsewhere'
    """
    known = _year(year)
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return Said("")
    if isinstance(cell, bool | np.bool_):
        return Said(str(cell), fault="true or false, not a period")
    if isinstance(cell, dt.datetime):
        late = cell.time() != dt.time()
        return Said(str(cell), fault="a time of day, not a period") if late else _day(str(cell), cell.date())
    if isinstance(cell, dt.date):
        return _day(str(cell), cell)
    if isinstance(cell, int | float | np.integer | np.floating):
        return _number(float(cell), known)
    return _text(str(cell), known)


def _year(year: object) -> int | None:
    """The year that a person or a column of years gives; None when there is none."""
    if isinstance(year, dt.date):
        return year.year
    match = re.fullmatch(r"((?:19|20)\d\d)(?:\.0)?年?度?", _plain(str(year)))
    return int(match.group(1)) if match else None


def _plain(text: str) -> str:
    text = with_eras(re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).strip("'\u200b\ufeff"))
    text = re.sub(r"十([一二])", r"1\1", text).replace("十", "10")
    for word, digit in _DIGITS.items():
        text = text.replace(word, digit)
    text = re.sub(r"(?<![A-Za-z])(IV|III|II|I)(?=季)", lambda match: _ROMAN[match.group()], text)
    return _DASHES.sub("-", text)


def _number(number: float, year: int | None) -> Said:
    text = f"{number:g}" if number < 1e6 else f"{number:.0f}"
    if math.isinf(number):
        return Said(text, fault="not finite")
    if number == round(number):
        whole = int(number)
        if FIRST_YEAR <= whole <= LAST_YEAR:
            return Said(text, (month_in(whole), month_in(whole, 12)))
        if 1 <= whole <= 12:
            return Said(text, number=whole, year=year) if year else Said(text, fault=NO_YEAR)
        return _text(str(whole), year)
    tenths = repr(number).partition(".")[2]
    if FIRST_YEAR <= number < LAST_YEAR and tenths == "1":
        return Said(text, fault="a number, not a text: January or October?")
    if FIRST_YEAR <= number < LAST_YEAR and re.fullmatch(_M, tenths):
        return replace(_text(repr(number), year), note="a number read as year and month")
    return Said(text, fault="no period")


def _day(text: str, day: dt.date) -> Said:
    return Said(text, day=day) if FIRST_YEAR <= day.year <= LAST_YEAR else Said(text, fault="a year out of range")


def _text(cell: str, year: int | None) -> Said:
    if part := fiscal_part(cell):
        return Said(cell, fiscal=part[0], part=part[1])
    fiscal = fiscal_year(cell)
    if fiscal is not None and fiscal[1]:
        return Said(cell, fiscal=fiscal[0])
    said = _text_in_digits(in_digits(cell) or cell, cell, year)
    return said if fiscal is None else replace(said, fiscal=fiscal[0])


def _text_in_digits(text: str, cell: str, year: int | None) -> Said:
    text = write_months(_plain(text))
    if not text or re.fullmatch(r"-+|[.…/]+|无|不详", text):
        return Said("")
    notes = []
    total = bool(_TOTAL.search(text))
    text = _TOTAL.sub("", text).replace("()", "")
    if match := _REMARK.search(text):
        notes.append(f"left out: ({match.group(1)})")
        text = text[: match.start()]
    if _UNTIL.search(text):
        text, total = _UNTIL.sub("", text), True
        notes.append("read as counted from January")
    for kind, pattern in _PATTERNS:
        match = pattern.fullmatch(text)
        if match:
            return _from_match(cell, kind, match.groupdict(), total=total, year=year, notes=notes)
    number = re.fullmatch(r"\d{1,2}(?:\.0)?", text)
    if number and 1 <= float(text) <= 12:
        return _number(float(text), year)
    return Said(cell, fault="no period")


def _from_match(
    cell: str, kind: str, part: dict[str, str | None], *, total: bool, year: int | None, notes: list[str]
) -> Said:
    own = int(part.get("year") or 0) or None
    if short := part.get("short"):
        own = 2000 + int(short)
        if own > _LATEST_SHORT:
            return Said(cell, fault="a year of two digits, of which century or era?")
        notes.append(f"the year is taken as {own}")
    if own is None and year is not None:
        notes.append(f"the year {year} stands elsewhere")
    own = own or year
    if own is None:
        return Said(cell, fault=NO_YEAR)
    if not FIRST_YEAR <= own <= LAST_YEAR:
        return Said(cell, fault="a year out of range")
    if kind == "day":
        try:
            return _day(cell, dt.date(own, int(part["month"] or 0), int(part["day"] or 0)))
        except ValueError:
            return Said(cell, fault="no day of the calendar")
    first, last = _limits(kind, part)
    until = int(part.get("until") or own)
    span = (month_in(own, first), month_in(until, last))
    if span[0] > span[1]:
        return Said(cell, fault="it ends before it begins")
    if total:
        span = (month_in(until), span[1]) if CALENDAR.year_of(span[0]) == CALENDAR.year_of(span[1]) else span
    cumulative = total or (kind in {"months", "quarters"} and not part.get("from"))  # 前三季度, 前9个月
    bare = kind == "quarter" and part.get("bare") == "" and not total
    return Said(cell, span, cumulative, bare_quarter=bare, note="; ".join(notes))


def _limits(kind: str, part: dict[str, str | None]) -> tuple[int, int]:
    one = int(part.get("one") or part.get("other") or {"上": 1, "下": 2}.get(part.get("which") or "", 0))
    begin, end = int(part.get("from") or 1), int(part.get("to") or 0)
    limits = {
        "year": (1, 12),
        "half": (6 * one - 5, 6 * one),
        "quarter": (3 * one - 2, 3 * one),
        "quarters": (3 * begin - 2, 3 * end),
        "month": (one, one),
        "months": (begin, end),
    }
    return limits[kind]
