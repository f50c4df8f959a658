"""Which characters stand for the decimal point and between thousands, decided by column and file with evidence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from evalaid.base.errors import ReadingError

_CORE = re.compile(r"\d(?:[\d.,'’ \u00a0\u202f\u2009]*\d)?")
_BLANKS = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "’": "'"})
_GROUPS = re.compile(r"\d{1,3}(?:([., '])\d{3})(?:\1\d{3})*|\d{1,2}(?:,\d{2})+,\d{3}")
_DATE = re.compile(r"\d{1,4}[.]\s?\d{1,2}[.]\s?\d{1,4}")
DECIMALS = (".", ",")
THOUSANDS = (",", ".", " ", "'")


@dataclass(frozen=True)
class NumberFormat:
    """How a column writes its numbers."""

    decimal: str = "."
    thousands: str = ","
    evidence: str = ""

    def rewrite(self, cell: object) -> object:
        """Write a text with a decimal point and no separators of thousands; anything else is returned as it is.

        Examples
        --------
        >>> NumberFormat(",", ".").rewrite("1.234,5 %"), NumberFormat().rewrite("12,34,567"), NumberFormat(",", ".").rewrite(7)
        ('1234.5 %', '1234567', 7)
        """
        if not isinstance(cell, str):
            return cell
        return _CORE.sub(lambda match: self._plain(match[0]), cell, count=1)

    def _plain(self, text: str) -> str:
        core = text.translate(_BLANKS)
        whole, point, tail = core.partition(self.decimal)
        if tail and not tail.isdigit():
            return text
        if not whole.isdigit():
            found = _GROUPS.fullmatch(whole)
            if found is None or self.decimal in whole:
                return text
            whole = re.sub(r"\D", "", whole)
        return whole + ("." + tail if point else "")


def decide_format(
    texts: Iterable[object], *, separator: str = "", comma_language: bool = False, hint: NumberFormat | None = None
) -> NumberFormat:
    """Decide how the numbers of one column are written.

    Assumes one way in one column. A mark that occurs twice in a number, or before another mark, stands between thousands; one
    that is followed by other than three digits is decimal. Where neither occurs, what other columns of the file show decides
    (``hint``), then the file: where fields are set apart by semicolons, or the words are of a language with decimal commas
    (``comma_language``), and every number has a comma, it is decimal.

    Raises
    ------
    ReadingError
        When a mark stands for both, or nothing decides; the message names the lines of the layout that do.

    Examples
    --------
    >>> decide_format(["191,597", "224,073"], separator=";").decimal, decide_format(["7,161", "950"]).decimal
    (',', '.')
    >>> decide_format(["1.234,5", "12,5"]).thousands, decide_format(["1'234.5"]).thousands, decide_format(["0.5"]).evidence
    ('.', "'", '')
    """
    seen = _Marks.of(texts)
    if both := sorted(set(seen.decimal) & set(seen.thousands)):
        raise _doubt(
            f"{both[0]!r} is decimal in {seen.decimal[both[0]]!r} and stands between thousands in {seen.thousands[both[0]]!r}"
        )
    if len(seen.decimal) > 1:
        one, other = (repr(text) for text in list(seen.decimal.values())[:2])
        raise _doubt(f"{one} has another decimal mark than {other}")
    if seen.decimal:
        mark, text = next(iter(seen.decimal.items()))
        return _complete(mark, seen, f"{text!r} has a decimal {_NAMES[mark]}" if mark == "," or seen.thousands else "")
    if "," in seen.thousands or "." in seen.thousands:
        mark = "," if "," in seen.thousands else "."
        decimal = "." if mark == "," else ","
        return _complete(decimal, seen, f"{seen.thousands[mark]!r} has {_NAMES[mark]}s between thousands")
    return _decide_open(seen, separator=separator, comma_language=comma_language, hint=hint)


_NAMES = {",": "comma", ".": "point", " ": "blank", "'": "apostrophe"}


def _decide_open(seen: _Marks, *, separator: str, comma_language: bool, hint: NumberFormat | None) -> NumberFormat:
    """Decide where every mark is followed by just three digits."""
    if "," not in seen.open and "." not in seen.open:
        return _complete("." if hint is None else hint.decimal, seen, "")
    if hint is not None:
        return NumberFormat(hint.decimal, hint.thousands, f"as in the other columns of the file: {hint.evidence}")
    mark = "," if "," in seen.open else "."
    text, other = seen.open[mark], "." if mark == "," else ","
    semicolons = separator == ";"
    grouped = NumberFormat(other, mark, f"{text!r} and the like have a {_NAMES[mark]} before three digits")
    if mark == ".":  # a decimal point, unless the words are of a language that sets thousands apart by points
        if not comma_language:
            return NumberFormat()
        if any(number >= 1000 for number in seen.plain):
            return NumberFormat(
                evidence=f"{max(seen.plain)} has no point between its thousands, so {text!r} has decimals"
            )
        if semicolons:
            return replace(grouped, evidence=f"{grouped.evidence}, in words of a language with decimal commas")
        raise _doubt(f"{text!r} may be {text} or {text.replace('.', '')}")
    if not semicolons and not comma_language:
        return grouped
    if semicolons and not seen.plain:
        return NumberFormat(
            ",",
            ".",
            f"every number has a comma before three digits, such as {text!r}, and fields are set apart by semicolons",
        )
    if seen.plain and min(seen.plain) >= 1000:
        return NumberFormat(",", ".", f"{text!r} has a comma, and {max(seen.plain)} none between its thousands")
    raise _doubt(f"{text!r} may be {text.replace(',', '')} or {text.replace(',', '.')}")


_ENOUGH_DIGITS = 18
_SHAPE = str.maketrans("23456789", "11111111")  # numbers that differ in these digits alone have the same marks


@dataclass(frozen=True)
class _Marks:
    decimal: dict[str, str]  # mark that is surely decimal -> a text that shows it
    thousands: dict[str, str]
    open: dict[str, str]
    plain: list[int]  # whole numbers without any mark

    @classmethod
    def of(cls, texts: Iterable[object]) -> _Marks:
        decimal: dict[str, str] = {}
        thousands: dict[str, str] = {}
        open_: dict[str, str] = {}
        plain = []
        shapes = set[str]()
        for text in dict.fromkeys(value for value in texts if isinstance(value, str)):
            match = _CORE.search(text)
            if match is None or _DATE.fullmatch(text.strip()):
                continue
            core = match[0].translate(_BLANKS)
            if core.isdigit():
                plain.append(int(core[:_ENOUGH_DIGITS]))  # only whether there are thousands counts
                continue
            if (shape := core.translate(_SHAPE)) in shapes:
                continue
            shapes.add(shape)
            marks = Counter(character for character in core if not character.isdigit())
            kind, mark, others = _read_marks_of(core, marks)
            {"decimal": decimal, "thousands": thousands, "open": open_}[kind].setdefault(mark, text)
            for other in others:
                thousands.setdefault(other, text)
        return cls(decimal, thousands, open_, plain)


def _read_marks_of(core: str, marks: Counter[str]) -> tuple[str, str, list[str]]:
    """Return what the last mark of a number is (decimal, thousands, open), the mark, and the marks between thousands before it."""
    last = next(character for character in reversed(core) if not character.isdigit())
    before, _, tail = core.rpartition(last)
    if len(marks) > 1 and marks[last] == 1 and last in DECIMALS:
        return "decimal", last, [mark for mark in marks if mark != last]
    if marks[last] > 1 or last in " '":
        return "thousands", last, []
    plain = len(tail) != 3 or len(before) > 3 or before.startswith("0")
    return ("decimal" if plain else "open"), last, []


def _complete(decimal: str, seen: _Marks, evidence: str) -> NumberFormat:
    others = [mark for mark in seen.thousands if mark != decimal]
    return NumberFormat(decimal, others[0] if others else "." if decimal == "," else ",", evidence)


def _doubt(why: str) -> ReadingError:
    return ReadingError(
        f"How are the numbers written? {why}. Expected one way: a line 'decimal: \",\"' or 'decimal: \".\"' "
        "(and 'thousands: \".\"' or the like) in this table of the layout."
    )
