"""What names a person: identity and telephone numbers, pseudonyms, names, and headings that say so. None of it is written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import date

import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.reading.records.record_columns import plain_name
from evalaid.reading.words.vocabulary import load_words

_PERSONS = load_words("records")["persons"]
NAMES_OF_PLACES = tuple("省市县区州盟旗镇乡村")
SURNAMES = frozenset("".join(load_words("characters")["surnames"].split()))
"""The hundred or so surnames of six in seven people in China."""
TWO_SURNAMES: tuple[str, ...] = tuple(load_words("characters")["two_surnames"])
TITLES = re.compile(r"(副?(主任)?(医师|医生|护师|护士|教授|主任|院长|科长)|先生|女士|同志)+$")
ENOUGH, MOST = 5, 0.9
"""Values are taken for pseudonyms when at least so many differ, and at least this part of them looks so."""
MOST_NAMES = 0.65
"""Names of persons: fewer than seven in ten of any that are drawn begin with one of the surnames now and then; of the short names of the
counties of a prefecture or a province 43 % at most do."""
LONG = 10**14
"""A number with a decimal point that is whole and as large is one that was none to calculate with."""
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"
_ID18 = re.compile(r"(?<![\d.])[1-8]\d{16}[\dXx](?!\d)")
_ID15 = re.compile(r"(?<![0-9A-Za-z.])[1-8]\d{14}(?![0-9A-Za-z])")
_MOBILE = re.compile(r"(?<![0-9A-Za-z._/-])(?:(?:\+|00)?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?![0-9A-Za-z])")
_LANDLINE = re.compile(r"(?<![0-9A-Za-z._/-])[(]?0[1-9]\d{1,2}[)]?-\d{7,8}(?![0-9A-Za-z])")
_PSEUDONYM = re.compile(r"[0-9a-f]{16,128}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PERSON = re.compile(r"[一-鿿]{2,3}")
_LONG_NAME = re.compile(r"[一-鿿]{1,8}·[一-鿿·]{1,12}")
_BETWEEN = re.compile(r"(?<=\d)[ -](?=[\dXx])")


def refuse_identifiers(frame: pd.DataFrame, columns: Iterable[str] | None = None, where: str = "the table") -> None:
    """Refuse a table with a column that looks like an identity or telephone number, a pseudonym or a name.

    Examples
    --------
    >>> refuse_identifiers(pd.DataFrame({"who": ["11010519491231002X"]}))
    Traceback (most recent call last):
    evalaid.base.errors.ReadingError: Nothing about a person is written: column 'who' of the table looks like identity numbers
    (11**************2X). Leave it out, or give counts instead.
    """
    found = []
    for name in frame.columns if columns is None else columns:
        looks = looks_like(frame[name], name)
        if looks is not None:
            found.append(
                f"column {str(name)!r} of {where} looks like {looks[0]}" + (f" ({mask(looks[1])})" if looks[1] else "")
            )
    if found:
        raise ReadingError(
            f"Nothing about a person is written: {'; '.join(found)}. Leave it out, or give counts instead."
        )


def looks_like(values: pd.Series, name: object = "") -> tuple[str, str] | None:
    """Return what a column seems to tell about persons.

    Examples
    --------
    >>> looks_like(pd.Series(["联系 13800138000"])), looks_like(pd.Series([440222, 440224]))
    (('telephone numbers', '13800138000'), None)
    """
    heading = plain_name(name)
    if heading in _PERSONS["columns"] or any(part in heading for part in _PERSONS["parts"]):
        return "data about persons, by its heading", ""
    if pd.api.types.is_float_dtype(values.dtype):
        return _long_floats(values.dropna())
    whole = pd.api.types.is_integer_dtype(values.dtype)
    if not whole and (
        pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(values.dtype)
    ):
        return None
    texts = [unicodedata.normalize("NFKC", str(value)).strip() for value in pd.unique(values.dropna())]
    for text in texts:
        if (found := _number_in(text, whole=whole)) is not None:
            return found
    if whole:
        phones = len(texts) >= ENOUGH and all(_MOBILE.fullmatch(text) for text in texts)
        return ("telephone numbers", texts[0]) if phones else None
    for like, most, what in ((_pseudonym, MOST, "pseudonyms"), (_named, MOST_NAMES, "names of persons")):
        alike = [text for text in texts if like(text)]
        if len(alike) >= ENOUGH and len(alike) >= most * len(texts):
            return what, alike[0]
    return None


def _number_in(text: str, *, whole: bool) -> tuple[str, str] | None:
    """The number of a person in a text; in a column of whole numbers telephone numbers are judged all together."""
    for tried in (text, _BETWEEN.sub("", text)):
        for match in _ID18.finditer(tried):
            if _is_id18(match[0]):
                return "identity numbers", match[0]
    for pattern, test, what in (
        (_ID15, _is_id15, "identity numbers of 15 digits"),
        (_MOBILE, None, "telephone numbers"),
        (_LANDLINE, None, "telephone numbers"),
    ):
        found = pattern.search(text)
        if found and (test(found[0]) if test else not whole):
            return what, found[0]
    return None


def _long_floats(values: pd.Series) -> tuple[str, str] | None:
    """Identity numbers that became numbers with a decimal point: the last digits are lost, the birthdays are there."""
    if not len(values) or not ((values >= LONG) & (values % 1 == 0)).all():
        return None
    texts = [f"{value:.0f}" for value in pd.unique(values)]
    if all(len(text) == 18 and _is_day(text[6:14]) for text in texts):
        return "identity numbers", texts[0]
    if all(len(text) == 15 and _is_id15(text) for text in texts):
        return "identity numbers of 15 digits", texts[0]
    return None


def mask(text: str) -> str:
    """Hide most of a text: its first two and last two characters stay, of a short one the first only.

    Examples
    --------
    >>> mask("13800138000"), mask("李小明")
    ('13*******00', '李**')
    """
    if len(text) < 8:
        return text[:1] + "*" * (len(text) - 1)
    return text[:2] + "*" * (len(text) - 4) + text[-2:]


def _is_id18(text: str) -> bool:
    """The check digit of GB 11643-1999 (ISO 7064 MOD 11-2), and a birthday that exists."""
    digits = text[:17]
    check = _CHECK[sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=True)) % 11]
    return check == text[17].upper() and _is_day(text[6:14])


def _is_id15(text: str) -> bool:
    return _is_day("19" + text[6:12])


def _is_day(digits: str) -> bool:
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return day.year >= 1900


def _pseudonym(text: str) -> bool:
    """Letters and digits: a long number alone is no pseudonym."""
    return bool(_PSEUDONYM.fullmatch(text)) and any(c.isdigit() for c in text) and any(c.isalpha() for c in text)


def _named(text: str) -> bool:
    name = TITLES.sub("", text)
    if _LONG_NAME.fullmatch(name):
        return True
    if name.startswith(TWO_SURNAMES):
        return 3 <= len(name) <= 4 and name[-1] not in NAMES_OF_PLACES
    return bool(_PERSON.fullmatch(name)) and name[0] in SURNAMES and name[-1] not in NAMES_OF_PLACES
