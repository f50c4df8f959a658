"""Columns of texts as numbers, periods or names, each decided after all its rows are seen: `type_columns`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.base.months import PeriodKind
from evalaid.base.periods import recognise_periods
from evalaid.reading.values.calendar_words import read_period
from evalaid.reading.values.comparable_names import looks_like_code, name_text
from evalaid.reading.values.day_order import is_open
from evalaid.reading.values.kinds import LONGEST_HEADER
from evalaid.reading.values.number_formats import NumberFormat, decide_format
from evalaid.reading.values.numbers import read_numbers
from evalaid.reading.values.numerals import MISSING_WORDS, Numeral, read_numeral
from evalaid.reading.values.spans import STEPS, Reckoning, read_spans
from evalaid.reading.words.languages import era, has_decimal_commas, language_of, marks

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]\d{1,3})?|[+-]?\d+\.\d+[eE]\d{1,3}")
"""A number in a text; 5E1 is none, for codes look like that."""

_DIGIT = re.compile(r"\d")
TEXT = "text"
"""What a column that is nearly one of numbers is, as the decisions say it."""
_MOST_NUMBERS = 0.7
"""A column of which so many texts are numbers is one of numbers with some that cannot be read, and that is said."""
_LIKE_CODE = re.compile(r"\d+[eE]\d+")
_FIRST = 5
_EXACT = 2**53  # whole numbers beyond it are not exact as floats
_LONG = re.compile(r"[+-]?0*[1-9]\d{15,}")
_MOST_MARKS = 0.9
"""A column whose different texts are mostly marks for no value holds no numbers."""


@dataclass(frozen=True)
class FileFacts:
    """What a whole file says about the columns in it."""

    separator: str = ""
    decimal: str | None = None  # as the layout states it
    thousands: str | None = None
    reckoning: Reckoning = field(default_factory=Reckoning)  # what the layout says about periods


def type_columns(raw: pd.DataFrame, facts: FileFacts) -> tuple[pd.DataFrame, list[tuple[str, str, str]]]:
    """Return a table with a type for each column, and (column, what was decided, why) where it is not plain.

    Assumes that every cell stands as in the file. A column is one of numbers where every value is a number or a mark for no value
    and no text is a code with leading zeros; one of periods where every value reads as one; else its values are names, kept as
    they are ("NA" and "None" are names there).

    Raises
    ------
    ReadingError
        When numbers of a column can be read in two ways.
    """
    texts = {column: _texts(raw[column]) for column in raw.columns}
    language = language_of([*map(str, raw.columns), *(text for found in texts.values() for text in found[:50])])
    given = None
    if facts.decimal is not None:
        other = "." if facts.decimal == "," else ","
        given = NumberFormat(facts.decimal, facts.thousands or other, "the layout says so")
    typed: dict[str, pd.Series] = {}
    decisions: list[tuple[str, str, str]] = []
    hint: NumberFormat | None = given
    waiting = []
    for column in raw.columns:  # columns that show their format first: they decide for the others
        if not texts[column]:
            typed[column] = _numbers_as_they_are(raw[column])
        elif (
            (found := _format_of(texts[column], facts, language, None)) is not None and found.evidence and given is None
        ):
            hint = hint or found
            waiting.append(column)
        else:
            waiting.append(column)
    for column in waiting:
        typed[column], said = _type_column(
            raw[column], texts[column], facts, language, hint if given is None else given
        )
        decisions += [(column, *entry) for entry in said]
    decisions += _in_common_years(typed, language)
    return pd.DataFrame(typed, columns=raw.columns), decisions


def _in_common_years(typed: dict[str, pd.Series], language: str) -> list[tuple[str, str, str]]:
    """Write the years of another era (2558, 1394), in place, as years of the common era, and say so."""
    first, last, shift = era(language) or (0, 0, 0)
    said = []
    for column, values in typed.items():
        if shift and len(values) and pd.api.types.is_integer_dtype(values) and values.between(first, last).all():
            typed[column] = values + shift
            why = f"{values.iloc[0]} is {typed[column].iloc[0]} of the common era, and called by the year in which it begins"
            said.append((column, "years", why))
    return said


def _texts(values: pd.Series) -> list[str]:
    """The different texts of a column, in their order, blanks aside."""
    if pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(values.dtype):
        return []
    return [text for value in pd.unique(values) if isinstance(value, str) and (text := value.strip())]


def _numbers_as_they_are(values: pd.Series) -> pd.Series:
    """A column without texts: whole floats are whole numbers, as a workbook holds 2019 as 2019.0."""
    if pd.api.types.is_object_dtype(values.dtype):
        blank = values.map(lambda cell: cell is None or (isinstance(cell, str) and not cell.strip()))
        values = values.mask(blank).infer_objects()
        try:
            values = pd.to_numeric(values)
        except (ValueError, TypeError):
            return values
    exact = pd.api.types.is_float_dtype(values) and len(values) and bool((values.abs() <= _EXACT).all())
    if exact and bool((values % 1 == 0).all()):
        return values.astype("int64")
    return values


def _format_of(texts: list[str], facts: FileFacts, language: str, hint: NumberFormat | None) -> NumberFormat | None:
    """How the numbers of a column are written; None where that cannot be told."""
    numeric = [text for text in texts if re.fullmatch(r"[^\w]*\d[\d.,'’ \u00a0\u202f]*[^\w]*", text)]
    if len(numeric) < len(texts) * (1 - _MOST_MARKS):
        return None
    try:
        return decide_format(numeric, separator=facts.separator, comma_language=has_decimal_commas(language), hint=hint)
    except ReadingError:
        return None


def _type_column(
    values: pd.Series, texts: list[str], facts: FileFacts, language: str, hint: NumberFormat | None
) -> tuple[pd.Series, list[tuple[str, str]]]:
    if any(map(looks_like_code, texts)):
        return _names(values), []
    periods = _periods(values, texts, language, facts.reckoning)
    if periods is not None:
        return periods
    numbers = _numbers(values, texts, facts, language, hint)
    return numbers or (_names(values), [])


def _map(values: pd.Series, of: Callable[[str], Any]) -> pd.Series:
    """Replace every text, each looked at once; other values stay."""
    codes, uniques = pd.factorize(values)
    mapped = [of(value.strip()) if isinstance(value, str) else value for value in uniques]
    blank = None if pd.api.types.is_object_dtype(values.dtype) else np.nan
    pool = np.empty(len(mapped) + 1, dtype=object)
    pool[:] = [*mapped, blank]
    return pd.Series(pool[codes], index=values.index, dtype=object)


def _names(values: pd.Series) -> pd.Series:
    """A column of names: texts without outer blanks, numbers among them as the texts they show; blanks are missing."""
    named = _map(values.map(_name) if _has_numbers(values) else values, lambda text: text or None)
    return named.where(named.notna(), None).infer_objects()


def _has_numbers(values: pd.Series) -> bool:
    return pd.api.types.infer_dtype(values, skipna=True) != "string"


def _name(value: object) -> object:
    return (
        name_text(value) or None
        if isinstance(value, int | float | np.number) and not isinstance(value, bool)
        else value
    )


@dataclass(frozen=True)
class _Marked:
    """The different texts of a column by what they are."""

    numeric: list[str]
    none: list[str]  # marks for no value
    nought: list[str]  # marks for none, in the language of the table

    @classmethod
    def of(cls, texts: list[str], language: str) -> _Marked:
        missing, zero = marks(language)
        others = [text for text in texts if not _NUMBER.fullmatch(text)]
        none = [text for text in others if text.lower() in MISSING_WORDS or missing.fullmatch(text)]
        nought = [text for text in others if zero.fullmatch(text) and text not in none]
        marked = {*none, *nought}
        return cls([text for text in texts if text not in marked] if marked else texts, none, nought)


_TRUTHS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}


def _numbers(
    values: pd.Series, texts: list[str], facts: FileFacts, language: str, hint: NumberFormat | None
) -> tuple[pd.Series, list[tuple[str, str]]] | None:
    """A column of numbers; None where its texts are none, or it has nothing but marks for no value."""
    truths = {text.lower() for text in texts}
    if truths in ({"true", "false"}, {"yes", "no"}):
        ones = _map(values, lambda text: _TRUTHS.get(text.lower()))
        return _numbers_as_they_are(ones), [("1 and 0", f"it holds {' and '.join(sorted(texts)[:2])}")]
    found = _Marked.of(texts, language)
    if not all(map(_DIGIT.search, found.numeric)) or not (found.numeric or _has_numbers(values)):
        return None
    plain, said = _plain_texts(found.numeric, facts, language, hint)
    if any(map(_LONG.fullmatch, map(str, plain.values()))):  # a code: as a number it would lose its last digits
        return None
    read, unlike = _read_each(plain)
    if unlike:
        return _nearly_numbers(values, read, unlike)
    zeros = _read_marks(found, plain.values(), language, said)
    if any(numeral.unit for numeral in read.values()):
        return _with_units(values, plain, zeros, said)
    known = {text: float(numeral.value) for text, numeral in read.items() if numeral.value is not None} | zeros
    if remarks := {text: numeral.remark for text, numeral in read.items() if numeral.remark}:
        text, remark = next(iter(remarks.items()))
        said.append(
            (
                f"{len(remarks):,} numbers without their remarks",
                f"{text!r} is {read[text].value} with {remark.strip()!r}",
            )
        )
    numbers = pd.to_numeric(_map(values, lambda text: known.get(text, np.nan)), errors="coerce").astype("float64")
    return _numbers_as_they_are(numbers), said


def _nearly_numbers(
    values: pd.Series, read: Mapping[str, Numeral], unlike: Mapping[str, str]
) -> tuple[pd.Series, list[tuple[str, str]]] | None:
    """A column of texts of which most are numbers, or all in brackets, with what they are not; None for any other."""
    brackets = all("brackets" in why for why in unlike.values())
    if len(unlike) > (1 - _MOST_NUMBERS) * (len(read) + len(unlike)) and not brackets:
        return None
    shown = ", ".join(repr(text) for text in list(unlike)[:3])
    why = f"{len(read):,} of its {len(read) + len(unlike):,} different values are numbers; {shown}: {next(iter(unlike.values()))}"
    return _names(values), [(TEXT, why)]


def _plain_texts(
    numeric: list[str], facts: FileFacts, language: str, hint: NumberFormat | None
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Write every number with a decimal point and nothing between thousands, and say how they were written."""
    try:
        how = decide_format(numeric, separator=facts.separator, comma_language=has_decimal_commas(language), hint=hint)
    except ReadingError:
        if all(re.fullmatch(r"[+-]?[\d.,'’ \u00a0\u202f]+", text) for text in numeric):
            raise
        return dict(zip(numeric, numeric, strict=True)), []
    said = [(f"decimal {how.decimal!r}, thousands {how.thousands!r}", how.evidence)] if how.evidence else []
    if how.decimal == "." and all(map(_NUMBER.fullmatch, numeric)):
        return dict(zip(numeric, numeric, strict=True)), said
    forms = (unicodedata.normalize("NFKC", text).replace("\u2212", "-") for text in numeric)
    return {text: str(how.rewrite(form)) for text, form in zip(numeric, forms, strict=True)}, said


def _read_each(plain: Mapping[str, str]) -> tuple[dict[str, Numeral], dict[str, str]]:
    """Read texts as numbers, and say why where one is none."""
    read, unlike = {}, {}
    for text, form in plain.items():
        numeral = Numeral(float(form)) if _NUMBER.fullmatch(form) else read_numeral(form)  # type: ignore[arg-type]
        if numeral.value is None or _LIKE_CODE.fullmatch(form):
            unlike[text] = numeral.fault or "it stands for no value"
        else:
            read[text] = numeral
    return read, unlike


def _with_units(
    values: pd.Series, plain: Mapping[str, str], known: Mapping[str, float], said: list[tuple[str, str]]
) -> tuple[pd.Series, list[tuple[str, str]]]:
    """Read a column whose cells say their unit (68.1%, 1.2万): per cent as fractions."""
    cells = _map(values, lambda text: None if text in known else plain.get(text, text)).tolist()
    column = read_numbers(cells, name=str(values.name))
    numbers = pd.Series(column.values, index=values.index)
    said.append((column.unit, column.evidence))
    zeros = [text for text, value in known.items() if value == 0]
    return numbers.mask(values.isin(zeros), 0.0) if zeros else numbers, said


def _read_marks(found: _Marked, numbers: Iterable[str], language: str, said: list[tuple[str, str]]) -> dict[str, float]:
    """Read marks for no value as missing; those for none as zero among whole numbers, and say so."""
    whole = bool(found.nought) and all(re.fullmatch(r"[+-]?\d+", text) for text in numbers)
    zeros = found.nought if whole else []
    if zeros:
        why = f"in tables of this language ({language}) it stands for none, and the column is one of counts"
        said.append((f"{zeros[0]!r} is 0", why))
    none = [*found.none, *(text for text in found.nought if text not in zeros)]
    if marked := [text for text in none if text.lower() not in {"na", "nan", "."}]:
        said.append((f"{', '.join(map(repr, marked[:5]))}: no value", "a mark for no value beside numbers"))
    return dict.fromkeys(none, np.nan) | dict.fromkeys(zeros, 0.0)


def _periods(
    values: pd.Series, texts: list[str], language: str, reckoning: Reckoning
) -> tuple[pd.Series, list[tuple[str, str]]] | None:
    """A column of periods in words, or of fiscal years, in the plain form of its kind; None where it holds none, or plain ones."""
    if not _may_be_periods(values, texts):
        return None
    try:
        if any(item.fault for item in map(read_period, texts[:_FIRST]) if not is_open(item.text)):
            return None  # names with numbers in them are seen to be none at once
        read = read_spans(texts, language=language, reckoning=reckoning)
    except ReadingError as error:
        return _names(values), [(TEXT, str(error))]
    spans = [span for span in read.spans if span is not None]
    steps = {span.step for span in spans}
    if len(spans) < len(texts) or len(steps) != 1 or not steps <= set(STEPS) or any(span.cumulative for span in spans):
        return None
    if not read.fiscal:
        plain, unreadable = recognise_periods(pd.Series(texts))
        if plain.kind != PeriodKind.NUMBER and not unreadable.any():
            return None
    kind = next(iter(steps))
    written = {text: span.year if kind == "year" else str(span) for text, span in zip(texts, spans, strict=True)}
    filled = _map(values, written.get)
    return _numbers_as_they_are(filled) if kind == "year" else filled, [(f"periods: {kind}", read.evidence)]


def _may_be_periods(values: pd.Series, texts: list[str]) -> bool:
    """Return whether a column has nothing but short texts with digits that are no plain numbers."""
    short = max(map(len, texts)) <= LONGEST_HEADER and all(re.search(r"\d", text) for text in texts)
    others = values.head(1000).map(lambda value: None if isinstance(value, str) else value)
    return short and not any(map(_NUMBER.fullmatch, texts)) and not others.notna().any()
