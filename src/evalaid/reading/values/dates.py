"""Dates as rosters state them, with the first and the last day that they can mean: `read_date`, `read_spell`."""

from __future__ import annotations

import calendar
import datetime as dt
import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from evalaid.base.errors import ReadingError
from evalaid.base.months import IN_YEAR, Calendar, first_day_of, last_day_of, month_of
from evalaid.reading.values.calendar_languages import fiscal_year
from evalaid.reading.values.calendar_words import FIRST_YEAR, LAST_YEAR, Said, read_period
from evalaid.reading.values.spans import Reckoning

EXPECTED = (
    "a date: 2019-12-17, 2019年12月, 2018Q3, 2018年下半年, 2014, about 2014 (约2014, 2014年前后), early 2014 (2014年初), "
    "or a range of them"
)
"""What a date may look like, for messages."""

MARGIN_MONTHS = {"year": 6, "half": 3, "quarter": 2, "month": 1}
MARGIN_DAYS = 15
"""How far "about" reaches on either side: half the length of what is stated, whole months at least, half a month for a day.

A convention of this package: "about 2014" means July 2013 to June 2015. Nobody who writes it says what it means; a wider or
narrower reading is written as a range (2013-2015).
"""

_STEPS = {1: "month", 3: "quarter", 6: "half", 12: "year"}
_REMARK = re.compile(r"\s*\((.*)$", re.DOTALL)
_ABOUT = re.compile(
    r"^(?:大约|大概|大致|约莫|约|估计|around|about|approximately|approx\.?|roughly|circa|ca\.?|c\.|~|≈|±)\s*(?=\d|early|mid|late|二)",
    re.IGNORECASE,
)
_ABOUT_AFTER = re.compile(r"(?:前后|左右|上下|\s+or so|\s*\?)$", re.IGNORECASE)
_ABOUT_WORD = re.compile(r"约|左右|前后|about|approx|circa|估计|大概", re.IGNORECASE)
_FILLER = re.compile(
    r"(?:正式)?(?:开始|以来|至今|迄今|启动|签约|签署|签订|挂牌|揭牌|进驻|到位|起|始|间)+$|^(?:自|从|since|from)\s*",
    re.IGNORECASE,
)
_BOUND = re.compile(
    r"^(?:by|before|until|no later than|不晚于|截至|截止)|(?:以前|之前|前|以后|之后|后)$|^after\b", re.IGNORECASE
)
_PART_AFTER = re.compile(r"(年初|年中|年底|年末|初|中旬|上旬|下旬|中期|中|底|末)$")
_PART_BEFORE = re.compile(
    r"^(?:the\s+)?(early|beginning of|start of|mid|middle of|late|end of)[\s-]+(?:in\s+)?", re.IGNORECASE
)
_THIRD = {"early": 0, "beginning of": 0, "start of": 0, "mid": 1, "middle of": 1, "late": 2, "end of": 2}
_THIRD |= dict.fromkeys(("初", "年初", "上旬"), 0) | dict.fromkeys(("中", "年中", "中旬", "中期"), 1)
_THIRD |= dict.fromkeys(("底", "末", "年底", "年末", "下旬"), 2)
_MONTHS = {name.lower(): at for at, name in enumerate(calendar.month_abbr) if name}
_ENGLISH = (
    re.compile(r"(?P<month>[a-z]{3,9})\.?\s+(?:(?P<day>\d{1,2}),?\s+)?(?P<year>\d{4})", re.IGNORECASE),
    re.compile(r"(?P<day>\d{1,2})\s+(?P<month>[a-z]{3,9})\.?,?\s+(?P<year>\d{4})", re.IGNORECASE),
)
_STRONG = re.compile(r"\s*(?:至|到|—+|--+|~|–|\bto\b|\buntil\b|\btill\b)\s*", re.IGNORECASE)
_WEAK = re.compile(r"\s*-\s*")
_OPEN = re.compile(
    r"(?:\s*(?:至|到|-|—|–|~|to|until)?\s*(?:今|现在|目前|present|now|ongoing|date)|\s*(?:-|—|–|~|至))$", re.IGNORECASE
)
_NO_END = re.compile(
    r"至今|长期|持续|进行中|在帮|仍在.*|未结束|今|现在|目前|ongoing|present|open|now|running|-+|—+|/|…+|无",
    re.IGNORECASE,
)
_PLANS = {
    f"十{number}五": (2001 + 5 * place, 2005 + 5 * place)
    for place, number in enumerate(["", "一", "二", "三", "四", "五"])
}
_PLAN = re.compile(rf"[“\"']?({'|'.join(sorted(_PLANS, key=len, reverse=True))})[”\"']?(?:规划)?(?:时期|期间|期)?")
_TERM = re.compile(
    r"(.+?)(?:起,?(?:为期|共|期限为?|连续)?|,?(?:为期|共|期限为?))([一二两三四五六七八九十]|\d{1,2})年(?:期|整)?"
)
_YEARS = "一二三四五六七八九十"
_SERIAL = (20_000, 60_000)
"""Day numbers of a spreadsheet from 1954 to 2064."""


@dataclass(frozen=True)
class StatedDate:
    """Hold a date as it is stated."""

    text: str  # as written; empty when nothing is
    # first and last day that it can mean; None when nothing or nothing readable is stated
    earliest: dt.date | None = None
    # first and last day that it can mean; None when nothing or nothing readable is stated
    latest: dt.date | None = None
    # "day", "month", "quarter", "half", "year", "part" (a third of a year or month), "about" or "range"
    precision: str = ""
    note: str = ""  # what was left out or supplied
    fault: str = ""  # why it is unreadable; empty when it is not
    first: dt.date | None = None  # first and last day of what is stated, "about" aside: of "about 2014" those of 2014
    last: dt.date | None = None  # first and last day of what is stated, "about" aside: of "about 2014" those of 2014

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", self.first or self.earliest)
        object.__setattr__(self, "last", self.last or self.latest)


@dataclass(frozen=True)
class StatedSpell:
    """Hold a start and an end that stand in one cell."""

    start: StatedDate  # the end is empty when none is stated
    end: StatedDate  # the end is empty when none is stated


FISCAL = "a fiscal year: the month in which it begins is not known"
FISCAL_YEAR = "fiscal year"
NAMED_ONCE = "a fiscal year called by one year: it may begin or end in it"
ASK_NAMED = "a line 'year_named: ends' or 'year_named: begins' in the layout"


def read_date(cell: object, reckoning: Reckoning | None = None) -> StatedDate:
    """Read one date.

    Assumes that a range means one day somewhere within it; `read_spell` takes it as a start and an end.

    Notes
    -----
    "About" widens what is stated by `MARGIN_MONTHS` (`MARGIN_DAYS` for a day) on either side; early, middle and late are thirds
    of a year (January to April, May to August, September to December) or of a month (1 to 10, 11 to 20, 21 to its end). Both
    are conventions of this package.

    Examples
    --------
    >>> about = read_date("约2014年")
    >>> str(about.earliest), str(about.latest), about.precision
    ('2013-07-01', '2015-06-30', 'about')
    >>> half = read_date("2018年下半年")
    >>> str(half.earliest), str(half.latest), half.precision
    ('2018-07-01', '2018-12-31', 'half')
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return StatedDate("")
    if isinstance(cell, bool | np.bool_):
        return StatedDate(str(cell), fault="true or false, not a date")
    if isinstance(cell, dt.date):  # a datetime is one, too
        day = cell.date() if isinstance(cell, dt.datetime) else cell
        return _day(str(day), day)
    if isinstance(cell, int | float | np.integer | np.floating):
        return _from_number(float(cell))
    text = " ".join(unicodedata.normalize("NFKC", str(cell)).split())
    fiscal = fiscal_year(text)
    dated = reckoning is not None and reckoning.year_begins is not None
    if fiscal is not None and (fiscal[1] or dated):
        return _fiscal(str(cell).strip(), fiscal[0], reckoning)
    return replace(_from_text(text), text=str(cell).strip())


def _fiscal(text: str, year: int, reckoning: Reckoning | None) -> StatedDate:
    """Read a fiscal year, from the first month in which it begins."""
    if reckoning is None or reckoning.year_begins is None:
        return StatedDate(text, fault=FISCAL)
    try:
        year = reckoning.first_year(Said(text, fiscal=year), "")
    except ReadingError:
        return StatedDate(text, fault=NAMED_ONCE)
    first = int(Calendar(reckoning.year_begins).first_month("year", year))
    return StatedDate(text, first_day_of(first), last_day_of(first + IN_YEAR - 1), FISCAL_YEAR)


def read_spell(cell: object, reckoning: Reckoning | None = None) -> StatedSpell:
    """Read a start and an end from one cell.

    Assumes that one date alone is the start.

    Examples
    --------
    >>> spell = read_spell("2018-2020")
    >>> spell.start.text, str(spell.start.latest), spell.end.text, str(spell.end.latest)
    ('2018', '2018-12-31', '2020', '2020-12-31')
    >>> read_spell("2019年12月17日至今").end.text
    ''
    """
    none = StatedDate("")
    if not isinstance(cell, str) or ((fiscal := fiscal_year(cell)) is not None and fiscal[1]):
        return StatedSpell(read_date(cell, reckoning), none)
    text = " ".join(unicodedata.normalize("NFKC", cell).split())
    if (term := _TERM.fullmatch(text.replace(" ", ""))) and (spell := _read_term(cell.strip(), *term.groups())):
        return spell
    remark = _REMARK.search(text)
    bare = text[: remark.start()] if remark else text
    opened = _OPEN.sub("", bare)
    alone = read_date(opened if opened != bare else text)
    if not alone.fault and alone.precision != "range":
        return StatedSpell(replace(alone, text=cell.strip()), none)
    pair = next(_split(bare), None)
    if pair is not None:
        return StatedSpell(*pair)
    if alone.fault or alone.earliest is None or alone.latest is None:
        return StatedSpell(replace(alone, text=cell.strip()), none)
    ends = [_step(first, first) for first in (alone.earliest, alone.latest.replace(day=1))]
    return StatedSpell(replace(ends[0], text=cell.strip()), replace(ends[1], text=cell.strip()))


def _read_term(cell: str, begin: str, length: str) -> StatedSpell | None:
    """Read a start and how many years from it (2019年12月17日起三年): it ends on the day before, as exact as the start."""
    start = read_date(begin)
    years = int(length) if length.isdigit() else 2 if length == "两" else _YEARS.find(length) + 1
    if start.earliest is None or start.latest is None or start.precision not in {"day", "month", "year"}:
        return None
    first, last = (
        first_day_of(month_of(day) + IN_YEAR * years) + dt.timedelta(days=day.day - 2)
        for day in (start.earliest, start.latest)
    )
    precision = "day" if start.precision == "day" else "range"
    text = str(first) if precision == "day" else f"{first} to {last}"
    return StatedSpell(
        replace(start, text=cell), StatedDate(text, first, last, precision, f"{years} years from {begin}")
    )


def says_no_end(cell: object) -> bool:
    """Return whether a cell of ends says that there is none (至今, ongoing, a dash).

    Examples
    --------
    >>> says_no_end("至今"), says_no_end(None), says_no_end("2020")
    (True, True, False)
    """
    text = "" if cell is None else unicodedata.normalize("NFKC", str(cell)).strip()
    return not text or _NO_END.fullmatch(text) is not None


def _from_number(number: float) -> StatedDate:
    text = f"{number:g}" if number < 1e6 else f"{number:.0f}"
    if number.is_integer() and _SERIAL[0] <= number <= _SERIAL[1]:
        day = dt.date(1899, 12, 30) + dt.timedelta(days=int(number))
        return replace(_day(text, day), note=f"the day number of a spreadsheet: {day}")
    return _from_period(text, int(number) if number.is_integer() else number)


def _from_text(text: str) -> StatedDate:
    notes = []
    about = False
    if remark := _REMARK.search(text):
        text, said = text[: remark.start()], remark.group(1).rstrip(")")
        about = _ABOUT_WORD.search(said) is not None
        notes.append(f"left out: ({said})")
    if not text.strip() or re.fullmatch(r"[-—–/.…]+|无|不详|未知|unknown|n/?a", text.strip(), re.IGNORECASE):
        return StatedDate("")
    if plan := _PLAN.fullmatch(text):
        years = _PLANS[plan[1]]
        notes.append(f"{text!r} is the plan of {years[0]} to {years[1]}")
        return StatedDate(text, dt.date(years[0], 1, 1), dt.date(years[1], 12, 31), "range", "; ".join(notes))
    if _BOUND.search(_ABOUT_AFTER.sub("", text)) and not _ABOUT_AFTER.search(text):
        return StatedDate(text, fault="a limit, not a date: its first or last day is open")
    bare = _FILLER.sub("", _FILLER.sub("", text))
    if bare != text:
        notes.append(f"{text!r} is read as {bare!r}")
    stripped = _ABOUT_AFTER.sub("", _ABOUT.sub("", bare)).strip()
    about = about or stripped != bare
    found = _single(stripped)
    if found.fault and (pair := next(_split(stripped), None)) is not None:
        start, end = pair
        found = StatedDate(text, start.earliest, end.latest, "range")
    if found.fault:
        return replace(found, text=text)
    notes += [found.note] if found.note else []
    return replace(_widen(found) if about else found, text=text, note="; ".join(notes))


def _single(text: str) -> StatedDate:
    """Read what is no range and says nothing about how exact it is."""
    for pattern in _ENGLISH:
        if (match := pattern.fullmatch(text)) and match["month"][:3].lower() in _MONTHS:
            month = f"{match['year']}-{_MONTHS[match['month'][:3].lower()]:02d}"
            return _from_period(text, f"{month}-{int(match['day']):02d}" if match["day"] else month)
    before, after = _PART_BEFORE.match(text), _PART_AFTER.search(text)
    if before or after:
        rest = text[before.end() :] if before else text[: after.start()] if after else text
        rest += "年" * bool(after and not before and after.group(1).startswith("年"))
        word = before.group(1).lower() if before else after.group(1) if after else ""
        whole = _single(rest)
        if whole.precision in {"year", "month"}:
            return _third(whole, _THIRD[word], text)
    return _from_period(text, text)


def _from_period(text: str, cell: object) -> StatedDate:
    said = read_period(cell)
    if said.day is not None:
        return replace(_day(text, said.day), note=said.note)
    if said.span is None:
        return StatedDate(text, fault="not readable as a date" if said.fault in {"", "no period"} else said.fault)
    first, last = said.span
    months = last - first + 1
    precision = _STEPS.get(months, "range") if first % months == 0 else "range"
    return StatedDate(text, first_day_of(first), last_day_of(last), precision, said.note)


def _split(text: str) -> Iterator[tuple[StatedDate, StatedDate]]:
    """Return the pairs of dates that a text can be taken apart into, the surest first."""
    for separator in (_STRONG, _WEAK):
        for match in separator.finditer(text):
            left, right = text[: match.start()].strip(), text[match.end() :].strip()
            if not left or not right:
                continue
            start = _from_text(left)
            end = _from_text(right)
            if end.fault and start.earliest is not None:
                said = read_period(right, start.earliest.year)
                if said.span is not None:
                    end = StatedDate(right, first_day_of(said.span[0]), last_day_of(said.span[1]), "month", said.note)
            if start.earliest is None or end.latest is None or start.fault or end.fault:
                continue
            if "range" not in {start.precision, end.precision} and start.earliest <= end.latest:
                yield start, end


def _widen(date: StatedDate) -> StatedDate:
    if date.earliest is None or date.latest is None or date.precision == "range":
        return date
    if date.precision in {"day", "part"}:
        margin = dt.timedelta(days=MARGIN_DAYS)
        return replace(
            date, earliest=date.earliest - margin, latest=date.latest + margin, precision="about"
        )  # first and last stay
    months = MARGIN_MONTHS[date.precision]
    return replace(
        date,
        earliest=first_day_of(month_of(date.earliest) - months),
        latest=last_day_of(month_of(date.latest) + months),
        precision="about",
    )


def _third(whole: StatedDate, third: int, text: str) -> StatedDate:
    assert whole.earliest is not None  # noqa: S101 (it has a precision)
    if whole.precision == "year":
        first = month_of(whole.earliest) + 4 * third
        return StatedDate(text, first_day_of(first), last_day_of(first + 3), "part")
    start = whole.earliest.replace(day=1 + 10 * third)
    return StatedDate(text, start, whole.latest if third == 2 else start + dt.timedelta(days=9), "part")


def _step(first: dt.date, last: dt.date) -> StatedDate:
    return StatedDate("", first, last_day_of(month_of(last)), "month")


def _day(text: str, day: dt.date) -> StatedDate:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        return StatedDate(text, fault="a year out of range")
    return StatedDate(text, day, day, "day")
