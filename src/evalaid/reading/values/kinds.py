"""What stands in a cell: a number, a period, a mark for no value, a note, or a text, and which known header a text is."""

from __future__ import annotations

import datetime as dt
import re
from enum import IntEnum
from functools import cache, lru_cache

import numpy as np

from evalaid.base.periods import FIRST_YEAR, LAST_YEAR
from evalaid.reading.values.calendar_languages import (
    fiscal_part,
    fiscal_year,
    in_digits,
    month_numbers,
    split_words,
    with_eras,
)
from evalaid.reading.values.comparable_names import name_text
from evalaid.reading.values.day_order import is_open
from evalaid.reading.values.script import unify
from evalaid.reading.words.vocabulary import joined, patterns

LONGEST_HEADER = 40
"""A text longer than this is a note or a title, not the header of a column."""

_REMEMBERED = 1 << 16  # texts of a table repeat: names, periods, headers
_FOOTNOTES = re.compile("[\u2460-\u2473\u00b9\u00b2\u00b3\u2070-\u2079\u2020\u2021\u203b]")
_SPACES = re.compile(r"\s+")
_MISSING = re.compile(
    r"[-—–―─－/…．.·*×xX]+|n/?a|null|none|nan|无|缺失|缺|不详|未报|未统计|#n/a|#div/0!|#value!|#ref!", re.IGNORECASE
)
_NUMBER = re.compile(
    r"(约|近|超|逾|≈|~|>|<|≥|≤)?[(（]?[+-]?[¥$]?\d[\d,，'’ ]*(\.\d+)?(e[+-]?\d+)?[)）]?\s*"
    r"(%|‰|％|万|亿|千|百)?(人次|人|例|元|次|张|个)?\s*(左右|余|多)?\s*([①-⑳*#†‡]|\[\d+\]|\(\d\)|注\d?)*",
    re.IGNORECASE,
)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?\s*%?")
_YEAR = r"(?:19|20)\d{2}"
_ONE = r"(?:十[一二]?|[一二三四五六七八九]|1[0-2]|0?[1-9])"
_PART = (
    rf"(?:第?[一二三四1-4]季度?|[前头][二三四2-4]个?季度|第?{_ONE}?[-–—~至到]第?[一二三四1-4]季度|[上下]半年|全年|"
    rf"{_ONE}\s*月?\s*[-–—~至到]\s*{_ONE}\s*月份?|{_ONE}\s*月份?|[Qq][1-4]|[Hh][12])"
)
_PERIOD = re.compile(
    rf"{_YEAR}\s*年?度?\s*[-./]?\s*{_PART}|{_YEAR}[-./](?:1[0-2]|0?[1-9])(?!\d)(?:[-./](?:3[01]|[12]\d|0?[1-9])(?!\d))?|{_YEAR}(?:0[1-9]|1[0-2])(?!\d)|"
    rf"[Qq][1-4]\s*[-/ ]?\s*{_YEAR}|{_YEAR}\s*年?[度末底]?(?!\d)|(?<![A-Za-z0-9]){_PART}(?![A-Za-z0-9])"
)
UNIT_WORDS = (
    r"(?:万|亿|千|百)?(?:人次|人|例次|例|次|张|元|个|名|家|天|日|公里|km)|%|‰|百分比|percent|per ?cent|pct|fraction|10k"
)
_BARE = re.compile(UNIT_WORDS, re.IGNORECASE)


_HAN_DATE = re.compile(r"\d\s*[年月季]|[年月季]\s*\d")
"""Chinese periods have a grammar of their own."""


class CellKind(IntEnum):
    """Kinds of content of a cell."""

    BLANK, TEXT, NUMBER, YEAR, PERIOD, MISSING, NOTE = range(7)


def plain(value: object) -> str:
    r"""Write a cell as text without spaces, in half-width and simplified characters.

    Assumes that spaces, line ends and marks of footnotes carry no meaning, as in Chinese headers and names.

    Examples
    --------
    >>> plain(" 县（市、\n区） "), plain(2019.0), plain(None)
    ('县(市、区)', '2019', '')
    """
    if value is None:
        return ""
    if isinstance(value, (dt.datetime, dt.date)):
        return f"{value.year}-{value.month:02d}-{value.day:02d}"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _plain_text(str(value))


@lru_cache(maxsize=_REMEMBERED)
def _plain_text(text: str) -> str:
    return _SPACES.sub("", unify(_FOOTNOTES.sub("", text)))


def spaced(value: object) -> str:
    """Write a name as it stands, its blanks single and without marks of footnotes.

    Examples
    --------
    >>> spaced(" Alta  Floresta D'Oeste①"), spaced(1001.0), spaced(None)
    ("Alta Floresta D'Oeste", '1001', '')
    """
    return name_text(_FOOTNOTES.sub("", value) if isinstance(value, str) else value).rstrip("*")


def classify(value: object) -> CellKind:
    """Return what stands in a cell.

    Examples
    --------
    >>> [classify(value).name for value in ("86.9%", 2019, "2019年第三季度", "—", "连南县", "注：本表", None)]
    ['NUMBER', 'YEAR', 'PERIOD', 'MISSING', 'TEXT', 'NOTE', 'BLANK']
    """
    if value is None:
        return CellKind.BLANK
    if isinstance(value, bool):
        return CellKind.TEXT
    if isinstance(value, (int, float, np.number)):
        whole = float(value).is_integer() and FIRST_YEAR <= value <= LAST_YEAR
        return CellKind.YEAR if whole else CellKind.NUMBER
    if isinstance(value, (dt.date, dt.datetime)):
        return CellKind.PERIOD
    return _classify_text(str(value))


@lru_cache(maxsize=_REMEMBERED)
def _classify_text(raw: str) -> CellKind:
    text = unify(raw).strip()
    if not text:
        return CellKind.BLANK
    if _MISSING.fullmatch(text):
        return CellKind.MISSING
    if _NUMBER.fullmatch(text) or _GROUPED.fullmatch(text):
        return CellKind.YEAR if re.fullmatch(_YEAR, text) else CellKind.NUMBER
    if (
        _PERIOD.fullmatch(text.removesuffix("累计").strip())
        or in_digits(text)
        or fiscal_year(text)
        or is_open(text)
        or fiscal_part(text)
    ):
        return CellKind.PERIOD
    if _note().match(text) or find_unit_note(text) or len(text) > LONGEST_HEADER:
        return CellKind.NOTE
    return CellKind.TEXT


@cache
def _note() -> re.Pattern[str]:
    return re.compile(rf"[(（]?({joined('note_start')})\s*[\d一二三四]*\s*[)）]?\s*[:：.、]|[*※①]", re.IGNORECASE)


@cache
def _unit_note() -> re.Pattern[str]:
    return re.compile(rf"(?:{joined('unit_note')})[:：]\s*(?P<unit>.+)", re.IGNORECASE)


def find_unit_note(text: str) -> re.Match[str] | None:
    """Find what says the unit of a table (group "unit"); 填报单位 (who filled it in) is an office and no unit."""
    return _unit_note().search(text)


@lru_cache(maxsize=_REMEMBERED)
def find_role(text: str) -> str:
    """Find the role or variable that a header names.

    Assumes that the whole text is the header, without unit and period.

    Examples
    --------
    >>> find_role("县(市、区)"), find_role("县域内住院人次"), find_role("连南县")
    ('name', 'inside', '')
    """
    bare = re.sub(r"[、,·]", "", text).lower()
    return next(
        (
            name
            for name, pattern in (*patterns("variables").items(), *patterns("keys").items())
            if pattern.fullmatch(bare)
        ),
        "",
    )


def split_period(text: str) -> tuple[str, str]:
    """Take the period out of a text.

    Assumes that a text names at most one period.

    Examples
    --------
    >>> split_period("2019年第一季度县域内住院人次"), split_period("床位数"), split_period("1-9月住院率")
    (('2019年第一季度', '县域内住院人次'), ('', '床位数'), ('1-9月', '住院率'))
    """
    if fiscal_year(text) is not None or is_open(text) or fiscal_part(text) is not None:
        return text, ""
    if (month := month_numbers().get(text.lower().rstrip("."))) and not find_role(text):
        return f"{month}月", ""
    text = with_eras(text)
    if (words := split_words(text)) is not None and not _HAN_DATE.search(text):
        return words
    found = _PERIOD.search(text)
    if found is None or len(text) > 4 * LONGEST_HEADER:
        return "", text
    return found[0], text[: found.start()] + text[found.end() :]


def is_unit(text: str) -> bool:
    """Return whether a text is a unit of measurement and nothing else.

    Examples
    --------
    >>> is_unit("万人次"), is_unit("%"), is_unit("始兴县")
    (True, True, False)
    """
    return bool(_BARE.fullmatch(text))
