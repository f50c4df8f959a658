"""One cell as a number: digits in any width, separators of thousands, marks, multipliers, and what stands for no value."""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np

from evalaid.reading.words.vocabulary import load_words

_ZH = load_words("zh")
MULTIPLIERS: Mapping[str, int] = {"": 1, **_ZH["multipliers"]}
"""Chinese words before a unit of counting, and how many they mean."""

COUNTED = "|".join(_ZH["counted"])
"""Words that may follow a number without changing it."""

MISSING_WORDS = frozenset([*_ZH["absent"], *load_words("en")["absent"]])
"""Words that stand for no value, in lower case; runs of dashes and of dots do as well. Zero is a value."""

_MULTIPLIER = "|".join(sorted(filter(None, MULTIPLIERS), key=len, reverse=True))
_MISSING_RUN = re.compile(
    r"[-\u2010-\u2015\u2500\u2212_~\u30fc]+|[.\u2026\u22ef\u3002]{2,}|[\u2026\u22ef]|\*+|[×xX]{2,}"
)
_FOOTNOTE = re.compile(
    r"(?:(?<=[\d%])[ \u00a0]+[bdefnprsu]{1,3}$|[\u2460-\u249b\u24ea-\u24ff\u2776-\u2793\u00b9\u00b2\u00b3\u2070-\u2079*\uff0a※†‡#\uff03△▲☆★]|注\d{0,2}|\[\w{1,3}\]|[((]\d{1,2}[))])+$"
)
_REMARK = re.compile(r"[((]([^()()\d]*[\u4e00-\u9fffA-Za-z][^()()\d]*)[))]$")
_ABOUT = re.compile(r"^(?:大约|约为|约|大概|近似|≈|~|ca\.?|about)|(?:左右|上下)$", re.IGNORECASE)
_BOUND = re.compile(
    r"^(?:[<>≤≥⩽⩾]=?|超过|超|近|不到|不足|低于|高于|大于|小于|至少|至多|逾|达)|(?:以上|以下|以内|余|多)$"
)
_CURRENCY = re.compile(
    r"^([+-]?)\s*(?:[A-Z]{0,3}[$€£¥₩₹₺₽]|R\$|CHF|EUR|USD|GBP|kr\.?)\s*(?=[\d(.-])|(?<=[\d)])\s*(?:[$€£¥₩₹₺₽]|CHF|EUR|USD|GBP|kr\.?|zł|Kč|Ft|lei|руб\.?)$"
)
_PER_CENT = re.compile(r"^百分之(.+)$")
_NUMBER = re.compile(
    rf"(?P<number>[+-]?(?:\d{{1,3}}(?:[, ']\d{{3}})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d{{1,3}})?|[+-]?\.\d+)"
    rf"\s*(?P<unit>%|\u2030|\u2031|(?:{_MULTIPLIER})?(?:{COUNTED})?)"
)
_BRACKETED = re.compile(r"\(([\d., ']+)\)")
_ERROR = re.compile(r"#(?:REF!|DIV/0!|VALUE!|NAME\?|N/A|NUM!|NULL!|SPILL!|CALC!|GETTING_DATA)|Err:\d+", re.IGNORECASE)
_LONGEST = 200


@dataclass(frozen=True)
class Numeral:
    """Hold what one cell says."""

    value: Decimal | None = None  # the number as written, before any unit. None: no value, or unreadable
    # "%", "‰", "‱", a multiplier with or without what is counted ("万人次"), what is counted ("人次"), or ""
    unit: str = ""
    missing: str = ""  # the mark that stands for no value; empty when there is a value
    fault: str = ""  # why it is unreadable; empty when it is readable
    remark: str = ""  # what was left out beside the number (a footnote mark, "约", a note in brackets)


def read_numeral(cell: object) -> Numeral:
    """Read one cell.

    Assumes a point as decimal mark and, between thousands, commas, spaces or apostrophes in groups of three.

    Examples
    --------
    >>> read_numeral("８６．９％").value, read_numeral("1.2万人次").unit, read_numeral("——").missing
    (Decimal('86.9'), '万人次', '——')
    >>> read_numeral("86,9").fault
    'a comma that sets off no three digits: a decimal mark or a slip'
    """
    if cell is None:
        return Numeral(missing="empty")
    if isinstance(cell, bool | np.bool_):
        return Numeral(fault="true or false, not a number")
    if isinstance(cell, int | float | np.integer | np.floating | Decimal):
        return _from_number(cell)
    if isinstance(cell, dt.date | dt.time | dt.timedelta):
        return Numeral(fault="a date or time: the spreadsheet may have turned a number into a date")
    return _from_text(str(cell))


def _from_number(cell: float | np.integer | np.floating | Decimal) -> Numeral:
    if isinstance(cell, int | np.integer):
        return Numeral(Decimal(int(cell)))
    number = float(cell)
    if math.isnan(number):
        return Numeral(missing="empty")
    return Numeral(fault="not finite") if math.isinf(number) else Numeral(Decimal(repr(number)))


def _from_text(cell: str) -> Numeral:
    text = cell.strip().strip("\u200b\ufeff\u3000 \t\n'")
    if not text:
        return Numeral(missing="empty")
    if len(text) > _LONGEST:
        return Numeral(fault="a text, not a number")
    if _ERROR.fullmatch(text) and text.upper() != "#N/A":
        return Numeral(fault="an error of the spreadsheet: its formula failed")
    if text.lower() in MISSING_WORDS or text.upper() == "#N/A" or _MISSING_RUN.fullmatch(text):
        return Numeral(missing=text)
    kept, remarks = text, []
    if (match := _FOOTNOTE.search(kept)) and match.start():
        remarks.append(match.group())
        kept = kept[: match.start()]
    kept = unicodedata.normalize("NFKC", kept).replace("\u2212", "-").strip()
    if match := _REMARK.search(kept):
        remarks.append(match.group())
        kept = kept[: match.start()].strip()
    if match := _ABOUT.search(kept):
        remarks.append(match.group())
        kept = _ABOUT.sub("", kept, count=1).strip()
    if kept.lower() in MISSING_WORDS or _MISSING_RUN.fullmatch(kept):
        return Numeral(missing=text)
    kept, paid = _CURRENCY.subn(r"\1", kept)
    if paid and (match := _BRACKETED.fullmatch(kept)):  # as bookkeepers write losses
        remarks.append("brackets of a negative amount")
        kept = f"-{match[1]}"
    if match := _PER_CENT.match(kept):
        kept = f"{match.group(1)}%"
    match = _NUMBER.fullmatch(kept)
    if match is None:
        return Numeral(fault=_why(kept))
    digits = re.sub(r"[, ']", "", match["number"])
    try:
        value = Decimal(digits)
    except InvalidOperation:
        return Numeral(fault="a text, not a number")
    if not math.isfinite(float(value)):
        return Numeral(fault="not finite")
    return Numeral(value, match["unit"], remark=" ".join(remarks))


def _why(text: str) -> str:
    inner = re.fullmatch(r"\(([\d.,]+)\)", text)
    if inner:
        return f"a number in brackets: -{inner.group(1)} or {inner.group(1)}?"
    if _BOUND.search(text) and re.search(r"\d", text):
        return "a bound, not a value"
    if re.fullmatch(r"[+-]?\d+,\d+", text) or re.fullmatch(r"[+-]?[\d,]+(\.\d+)?", text):
        return "a comma that sets off no three digits: a decimal mark or a slip"
    if len(re.findall(r"\d+(?:\.\d+)?", text)) > 1:
        return "more than one number"
    if re.search(r"\d", text):
        return "a number with a text that is no known unit"
    return "a text, not a number"
