"""Periods and dates in the words of any language, written in digits: `in_digits`, `split_words`, `fiscal_year`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache, lru_cache

from evalaid.reading.words.vocabulary import LANGUAGES, load_words

_Y = r"(?P<y>(?:19|20)\d\d)"
_S = r"[\s./_,-]*"
_OF = r"(?:de|del|of|d['’])?"
_D = r"(?P<d>3[01]|[12]\d|0?[1-9])"
_MM = r"(?P<mm>1[0-2]|0?[1-9])"
_Q = r"(?P<q>[1-4]|IV|I{1,3})(?:[.ºª°]|er|e|ère|st|nd|rd|th|o|a)?"
_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "R": 2018, "H": 1988, "民國": 1911, "民国": 1911, "": 1911}
_ERA = re.compile(r"(令和|平成|昭和|民[國国]|(?<![A-Za-z])[RH](?=\d{1,2}年)|(?<!\d)(?=1[0-2]\d年))(\d{1,3}|元)(?=年)")
_ROMAN = {"I": "1", "II": "2", "III": "3", "IV": "4"}
_FISCAL = re.compile(
    r"(?P<fy>(?:FY|F\.Y\.|fiscal ?(?:year)?|financial ?(?:year)?)\s*)?(?P<first>(?:19|20)\d\d)\s?(?P<sep>[-/–—_])\s?(?P<second>(?:19|20)?\d\d)(?!\d)",
    re.IGNORECASE,
)
_SHORT = re.compile(r"(\d\d)/(\d\d)")
_FY = re.compile(
    r"(?:FY|F\.Y\.|fiscal ?year|financial ?year)\s*['’]?(?P<year>(?:19|20)?\d\d)(?![\d/–-])",
    re.IGNORECASE,
)


@cache
def month_numbers() -> Mapping[str, int]:
    """Return month word -> its number, over all languages; no word means two months."""
    found: dict[str, int] = {}
    for language in LANGUAGES:
        for number, words in load_words(language).get("months", {}).items():
            for word in words:
                if found.setdefault(word, number) != number:
                    raise ValueError(word)
    return found


def _alternatives(topic: str) -> str:
    words = {word for language in LANGUAGES for word in load_words(language).get(topic, [])}
    return "|".join(sorted(words, key=len, reverse=True))


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    months = "|".join(sorted(map(re.escape, month_numbers()), key=len, reverse=True))
    month, quarter, half = rf"(?P<m>{months})\.?", _alternatives("quarter"), _alternatives("half")
    kinds = (
        ("day", rf"{_D}\.?{_S}{_OF}{_S}{month}{_S}{_OF}{_S}{_Y}"),
        ("day", rf"{month}{_S}{_D}(?:st|nd|rd|th)?{_S}(?<!\d){_Y}"),
        ("day", rf"{_Y}{_S}{month}{_S}{_D}(?!\d)"),
        ("day", rf"{_Y}년{_S}{_MM}월{_S}{_D}일"),
        ("day", rf"{_Y}\. ?{_MM}\. ?{_D}\.?(?!\d)"),
        ("day", rf"(?<!\d){_D}\. ?{_MM}\. ?{_Y}"),
        ("month", rf"{_Y}{_S}{_OF}{_S}{month}"),
        ("month", rf"{month}{_S}{_OF}{_S}{_Y}"),
        ("month", rf"{month}[\s./_’'-]*(?P<short>\d\d)(?!\d)"),
        ("month", rf"{_Y}년(?:도)?{_S}{_MM}월(?:분|말|중)?"),
        ("month", rf"{_Y}\. ?{_MM}\.(?! ?\d)"),
        ("month", rf"(?<![\d./-]){_MM}[/.-]{_Y}"),
        ("month", rf"{_Y}[-_ ]M{_MM}(?!\d)"),
        ("quarter", r"Q(?P<q>[1-4])[-/ ’']?(?P<short>\d\d)(?!\d)"),
        ("quarter", rf"{_Y}[. ]{{1,2}}(?P<q>[1-4])/4"),
        ("quarter", rf"{_Y}년(?:도)?{_S}(?:제)?(?P<q>[1-4])(?:/4)?{_S}분기"),
        ("quarter", rf"{_Y}年?度?第?(?P<q>[1-4])四半期"),
        ("quarter", rf"{_Q}{_S}(?:{quarter})\.?{_S}{_OF}{_S}{_Y}"),
        ("quarter", rf"{_Y}{_S}{_Q}{_S}(?:{quarter})(?![a-z])"),
        ("quarter", rf"(?:{quarter})\.?{_S}(?P<q>[1-4]){_S}{_OF}{_S}{_Y}"),
        ("quarter", rf"{_Y}{_S}(?:{quarter})\.?{_S}(?P<q>[1-4])(?!\d)"),
        ("half", rf"{_Y}년(?:도)?{_S}(?P<h>[상하])반기"),
        ("half", rf"(?P<h>[12])[.ºª°]?{_S}(?:er|e|st|nd|o|a)?{_S}(?:{half})\.?{_S}{_OF}{_S}{_Y}"),
        ("half", rf"{_Y}{_S}(?:{half})\.?{_S}(?P<h>[12])(?!\d)"),
        ("year", rf"{_Y}년(?:도)?(?!\s?\d)"),
        ("year", rf"(?:jahr|année|año|ano|anno|year)\s?{_Y}"),
    )
    return tuple(
        (kind, re.compile(rf"(?<![A-Za-zÀ-ÿ]){pattern}(?![a-zA-Z])", re.IGNORECASE)) for kind, pattern in kinds
    )


_WRITE: Mapping[str, Callable[[Mapping[str, str | None]], str]] = {
    "day": lambda part: f"{part['y']}-{_month(part):02d}-{int(part['d'] or 0):02d}",
    "month": lambda part: f"{_year(part)}-{_month(part):02d}",
    "quarter": lambda part: f"{_year(part)}Q{_ROMAN.get((part['q'] or '').upper(), part['q'])}",
    "half": lambda part: f"{part['y']}H{ {'상': 1, '하': 2}.get(part['h'] or '', part['h']) }",
    "year": lambda part: str(part["y"]),
}


def _month(part: Mapping[str, str | None]) -> int:
    return month_numbers()[(part["m"] or "").lower()] if part.get("m") else int(part["mm"] or 0)


def _year(part: Mapping[str, str | None]) -> str:
    return part.get("y") or f"20{part['short']}"


def with_eras(text: str) -> str:
    """Write the years of Japanese eras and of the Republic, which alone have three digits, as years of the common era.

    Examples
    --------
    >>> with_eras("令和2年3月"), with_eras("H30年度"), with_eras("平成元年"), with_eras("民國104年"), with_eras("104年")
    ('2020年3月', '2018年度', '1989年', '2015年', '2015年')
    """
    return _ERA.sub(lambda match: str(_ERAS[match[1]] + (1 if match[2] == "元" else int(match[2]))), text)


@lru_cache(maxsize=1 << 15)
def split_words(text: str) -> tuple[str, str] | None:
    """Take the period that words of any language name out of a text, written in digits; None when there is none.

    Examples
    --------
    >>> split_words("2018/Out"), split_words("관내이용률2016년"), split_words("April 2017"), split_words("始兴县")
    (('2018-10', ''), ('2016', '관내이용률'), ('2017-04', ''), None)
    """
    plain = with_eras(unicodedata.normalize("NFKC", text))
    if not any(character.isdigit() for character in plain) or len(plain) > _LONGEST:
        return None
    dated = _HAS_YEAR.search(plain) is not None
    for kind, pattern in _patterns():
        if (dated or "y" not in pattern.groupindex) and (match := pattern.search(plain)):
            return _WRITE[kind](match.groupdict()), (plain[: match.start()] + plain[match.end() :]).strip()
    return None


_HAS_YEAR = re.compile(r"(?:19|20)\d\d")
_LONGEST = 120


def in_digits(text: str) -> str | None:
    """Write a text that is a period or a date in words of any language in digits; None when it is more, or none.

    Examples
    --------
    >>> [in_digits(text) for text in ("03/2019", "2020. 3. 5.", "1º trim 2018", "2018년 하반기", "Oct-18", "März 2018", "5 de março de 2018", "令和2年3月")]
    ['2019-03', '2020-03-05', '2018Q1', '2018H2', '2018-10', '2018-03', '2018-03-05', None]
    """
    found = split_words(text.strip())
    return found[0] if found is not None and not found[1].strip("()[] .,") else None


def fiscal_year(text: str) -> tuple[int, bool] | None:
    """Return the year by which a fiscal year is called (2012 of 2012/13, 2015 of FY2015), and whether it can be nothing else.

    "2011-12" may be December 2011 as well; what stands beside it decides.

    Examples
    --------
    >>> fiscal_year("2012/13"), fiscal_year("2011-12"), fiscal_year("FY2015"), fiscal_year("2012-2013"), fiscal_year("2012/15")
    ((2012, True), (2011, False), (2015, True), (2012, False), None)
    """
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    if match := _FISCAL.fullmatch(text):
        first, second = int(match["first"]), match["second"]
        if int(second[-2:]) != (first + 1) % 100 or (len(second) == 4 and int(second) != first + 1):
            return None
        return first, bool(match["fy"]) or (match["sep"] == "/" if len(second) == 4 else not 1 <= int(second) <= 12)
    if (match := _SHORT.fullmatch(text)) and int(match[2]) == (int(match[1]) + 1) % 100:
        return 2000 + int(match[1]), True
    if match := _FY.fullmatch(text):
        year = match["year"]
        return int(year) if len(year) == 4 else 2000 + int(year), True
    return None


_FISCAL_PART = re.compile(
    r"(?:(?P<one>Q[1-4]|H[12])[ ,/-]*(?P<before>.+)|(?P<after>.+?)[ ,/-]*(?P<other>Q[1-4]|H[12]))", re.IGNORECASE
)


def names_one_year(text: str) -> bool:
    """Return whether a fiscal year is called by one year (FY2015, 2015年度), which may be that in which it begins or ends.

    Examples
    --------
    >>> names_one_year("FY2015"), names_one_year("FY2015-16"), names_one_year("2015/16")
    (True, False, False)
    """
    plain = " ".join(text.split())
    part = _FISCAL_PART.fullmatch(plain)
    return _FY.fullmatch(plain if part is None else part["before"] or part["after"]) is not None


def fiscal_part(text: str) -> tuple[int, str] | None:
    """Return the year and the part of a quarter or half of a fiscal year (Q1 2017/18); None for any other text.

    Examples
    --------
    >>> fiscal_part("Q1 2017/18"), fiscal_part("2017-18 Q4"), fiscal_part("2017Q4"), fiscal_part("FY2018 Q2")
    ((2017, 'Q1'), (2017, 'Q4'), None, (2018, 'Q2'))
    """
    match = _FISCAL_PART.fullmatch(" ".join(text.split())) if text[-1:].isdigit() else None
    if match is None or (year := fiscal_year(match["before"] or match["after"])) is None:
        return None
    return year[0], (match["one"] or match["other"]).upper()
