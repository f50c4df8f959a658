"""One column as numbers, with the unit decided for the whole column and the evidence said: `read_numbers`."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.base.names import names_a_share
from evalaid.base.texts import counted
from evalaid.reading.files.snapshot import FAULT_COLUMNS
from evalaid.reading.values.measures import measure_of
from evalaid.reading.values.numerals import COUNTED, MULTIPLIERS, Numeral, read_numeral

SHARES = {"fraction": Decimal(1), "percent": Decimal("0.01"), "per mille": Decimal("0.001")}
"""Units of shares, and what a plain number in this unit is multiplied by."""

_MARKS = {"%": Decimal("0.01"), "\u2030": Decimal("0.001"), "\u2031": Decimal("0.0001")}
_SYNONYMS = {
    "%": "percent",
    "pct": "percent",
    "percentage": "percent",
    "per cent": "percent",
    "\u2030": "per mille",
    "permille": "per mille",
}
_MULTIPLIED = re.compile(rf"({'|'.join(sorted(MULTIPLIERS, key=len, reverse=True))})({COUNTED})?")
_BRACKETED = re.compile(r"[(\[【〔]([^()\[\]【】〔〕]*)[)\]】〕]")
_STATED = re.compile(r"单位[::]?\s*([^\s,;,;()()]+)")
_TRAILING = re.compile(rf"(?<!每)((?:十|百|千)?万|亿)({COUNTED})$")
_COUNT_NAME = re.compile(r"人次|例次|人数|床日|例数|count|episodes|admissions|discharges", re.IGNORECASE)
_SHOWN = 3

LOW = Decimal(10)
"""A small number is plausible as a percentage beside larger ones down to a tenth of the smallest of them."""
NEAR = Decimal("1.25")
"""A small number is plausible as a fraction when, times 100, it lies in their range widened by a quarter."""
TYPICAL_FRACTION = 0.5
"""Numbers between 0 and 1 with a median from here on are fractions: no percentages of a share of care are below 1."""
FINE_DIGITS = 3
"""Numbers between 0 and 1 of which most have this many decimals are fractions: percentages have one or two."""


@dataclass(frozen=True, eq=False)
class NumberColumn:
    """Hold a column of numbers."""

    # (n,) float64 in the basic unit: fractions for shares, single persons, episodes or yuan for counts. NaN: no
    # value
    values: np.ndarray
    # the unit that plain numbers of the column are written in: "fraction", "percent", "per mille", "count"
    # (whole numbers), "number", or a multiplier with what is counted ("万人次")
    unit: str
    factor: float  # what plain numbers were multiplied by: 0.01 for percentages, 10,000 for 万人次, else 1
    evidence: str  # how the unit was decided
    faults: list[tuple[int, str, str]]  # (position, text, why) of every cell that could not be read
    # (position, text, decided) of every cell that was read after leaving something out, or in another unit
    notes: list[tuple[int, str, str]]
    missing: dict[str, int]  # how often each mark for no value occurs ("empty" for an empty cell)


def read_numbers(cells: Sequence[object], *, name: str, unit: str | None = None) -> NumberColumn:
    """Read the cells of one column as numbers.

    Assumes that plain numbers of one column are written in one unit; a cell with a mark of its own (%, 万) keeps it. A
    share whose numbers are partly percentages, partly fractions is read only when just one reading of the small numbers
    lies near the others.

    Examples
    --------
    >>> read_numbers(["86.9%", 86.9, "８６．９％", 0.869, "—"], name="县域内住院率").values.round(3).tolist()
    [0.869, 0.869, 0.869, 0.869, nan]
    >>> read_numbers(["2.4", 3.15], name="住院人次（万）").values.tolist()
    [24000.0, 31500.0]
    """
    numerals = _read_all(cells)
    column = _Draft(cells, numerals, name)
    chosen = _decide_stated(column, unit) if unit is not None else _decide(column)
    return _build(column, chosen)


@dataclass(frozen=True)
class _Unit:
    name: str
    factor: Decimal
    evidence: str
    fractions: frozenset[int] = frozenset()
    """Positions of plain numbers that are fractions in a column of percentages."""


@dataclass(frozen=True)
class _Draft:
    cells: Sequence[object]
    numerals: list[Numeral]
    name: str

    def plain(self) -> list[tuple[int, Decimal]]:
        """Positions and values of the numbers without a mark of their own."""
        found = ((at, numeral) for at, numeral in enumerate(self.numerals) if numeral.value is not None)
        return [(at, n.value) for at, n in found if n.value is not None and _own_factor(n.unit) is None]

    def marked(self, marks: Callable[[str], bool]) -> list[Decimal]:
        return [n.value for n in self.numerals if n.value is not None and marks(n.unit)]

    def refuse(self, why: str, do: str, positions: Sequence[int]) -> ReadingError:
        rows = [("", "", at, "", self.cells[at], why, do) for at in positions]
        return ReadingError(f"Column {self.name!r}: {why}. {do}", pd.DataFrame(rows, columns=FAULT_COLUMNS))


def _read_all(cells: Sequence[object]) -> list[Numeral]:
    known: dict[tuple[type, object], Numeral] = {}
    numerals = []
    for cell in cells:
        key = (type(cell), cell)
        if key not in known:
            known[key] = read_numeral(cell)
        numerals.append(known[key])
    return numerals


def _own_factor(unit: str) -> Decimal | None:
    """What a cell's own mark multiplies by; None when it has none that changes the number."""
    if unit in _MARKS:
        return _MARKS[unit]
    match = _MULTIPLIED.fullmatch(unit)
    return Decimal(MULTIPLIERS[match.group(1)]) if match and match.group(1) else None


def unit_in_heading(name: str) -> str:
    """Find the unit that a heading states.

    Assumes that a unit stands in brackets, after 单位, or at the end as 万人次, 万元 and the like; "每千人" is none.

    Examples
    --------
    >>> unit_in_heading("县域内住院率（％）"), unit_in_heading("人次（万）"), unit_in_heading("每千人医师")
    ('percent', '万', '')
    """
    text = unicodedata.normalize("NFKC", name)
    stated = [*_BRACKETED.findall(text), *_STATED.findall(text)]
    if match := _TRAILING.search(text.strip()):
        stated.append(match.group())
    for part in stated:
        plain = re.sub(r"^单位[::]?", "", part.strip()).strip().lower()
        word = _SYNONYMS.get(plain, plain)
        if word in SHARES:
            return word
        match = _MULTIPLIED.fullmatch(plain)
        if match and match.group():
            return plain
    words = re.findall(r"[a-z%]+", text.lower())
    return "percent" if {"pct", "percent", "%"} & set(words) else ""


def _decide_stated(column: _Draft, unit: str) -> _Unit:
    word = _SYNONYMS.get(unit.strip().lower(), unit.strip().lower())
    if word in SHARES:
        return _Unit(word, SHARES[word], f"The unit was given: {word}.")
    if word in {"count", "number"}:
        return _Unit(word, Decimal(1), f"The unit was given: {word}.")
    match = _MULTIPLIED.fullmatch(word)
    if not match or not match.group():
        allowed = ", ".join([*SHARES, "count", "number", "万", "万人次", "亿元"])
        message = f"Column {column.name!r}: the unit {unit!r} is unknown. Expected one of {allowed} (or the like)."
        raise ReadingError(message)
    return _Unit(word, Decimal(MULTIPLIERS[match.group(1)]), f"The unit was given: {word}.")


def _decide(column: _Draft) -> _Unit:
    heading = unit_in_heading(column.name)
    percents = column.marked(lambda unit: unit in _MARKS)
    plain = column.plain()
    if heading and heading not in SHARES:
        factor = Decimal(MULTIPLIERS[_MULTIPLIED.fullmatch(heading).group(1)])  # type: ignore[union-attr]
        return _check_multiplied(column, _Unit(heading, factor, f"The heading says {heading}."))
    if heading == "per mille":
        return _Unit(heading, SHARES[heading], "The heading says per mille.")
    if not heading and not percents and any(abs(value) > 1 for _, value in plain) and is_unclear_rate(column.name):
        why = f"per cent, per 1,000, per 100,000 or another number? The name says a rate and no base: {counted(len(plain), 'number')} ({_range([abs(value) for _, value in plain])})"
        raise column.refuse(
            why, "Expected one unit: say unit='percent' or unit='number' for this column.", [plain[0][0]]
        )
    if heading == "percent" or percents or names_a_share(column.name):
        return _decide_share(column, heading, plain)
    return _decide_count(column, plain)


def is_unclear_rate(name: str) -> bool:
    """Return whether a name says "rate", in letters of the West, and not of what; Chinese rates of care are shares."""
    return name.isascii() and measure_of(name).kind == "unclear"


def _decide_share(column: _Draft, heading: str, plain: list[tuple[int, Decimal]]) -> _Unit:
    signed = [abs(value) for value in column.marked(lambda unit: unit == "%") if value]
    large = [abs(value) for _, value in plain if abs(value) > 1]
    small = [(at, abs(value)) for at, value in plain if 0 < abs(value) <= 1]
    sure = signed + large
    said = [f"{counted(len(signed), 'number')} with a percent sign ({_range(signed)})"] if signed else []
    if heading:
        said.insert(0, "the heading says per cent")
    if large:
        said.append(f"{counted(len(large), 'number')} without a sign ({_range(large)})")
    if not small:
        if not plain or (not large and not heading and not signed):
            what = "; ".join(said) or "no number tells the unit"
            return _Unit("percent", SHARES["percent"], f"Percentages: {what}.")
        return _Unit("percent", SHARES["percent"], f"Percentages: {'; '.join(said) or 'all numbers are 0'}.")
    found = f"{counted(len(small), 'number')} from 0 to 1 ({_range([value for _, value in small])})"
    if not sure:
        return _decide_small(column, heading, small, found)
    low, high = min(sure), max(sure)
    as_percent = all(value >= low / LOW for _, value in small)
    as_fraction = all(low / NEAR <= 100 * value <= min(Decimal(100), high * NEAR) for _, value in small)
    if as_percent and not as_fraction:
        return _Unit(
            "percent", SHARES["percent"], f"Percentages: {'; '.join([*said, found])}, near the others as they stand."
        )
    if as_fraction and not as_percent:
        evidence = f"Percentages: {'; '.join(said)}; but {found} are fractions: times 100 they lie among the others."
        return _Unit("percent", SHARES["percent"], evidence, frozenset(at for at, _ in small))
    why = f"percentages or fractions? {'; '.join([*said, found])}; the small numbers fit {'both' if as_percent else 'neither'}"
    raise column.refuse(why, _DO_SHARE, [at for at, _ in small])


_DO_SHARE = (
    "Expected one unit: say unit='percent' or unit='fraction' for this column, or put a percent sign in these cells."
)


def _decide_small(column: _Draft, heading: str, small: list[tuple[int, Decimal]], found: str) -> _Unit:
    """Decide when every plain number lies from 0 to 1 and nothing else tells the unit."""
    values = [value for _, value in small]
    fine = sum(_decimals(value) >= FINE_DIGITS for value in values) * 2 >= len(values)
    typical = float(np.median([float(value) for value in values])) >= TYPICAL_FRACTION
    if heading:
        why = f"percentages or fractions? the heading says per cent, but all numbers lie from 0 to 1: {found}"
        raise column.refuse(why, _DO_SHARE, [at for at, _ in small])
    if typical or fine:
        because = f"their median is {TYPICAL_FRACTION} or more" if typical else "most have three decimals or more"
        return _Unit("fraction", SHARES["fraction"], f"Fractions: {found}; {because}.")
    why = f"percentages or fractions? {found}, and they may be small percentages"
    raise column.refuse(why, _DO_SHARE, [at for at, _ in small])


def _decide_count(column: _Draft, plain: list[tuple[int, Decimal]]) -> _Unit:
    broken = [(at, value) for at, value in plain if value != value.to_integral_value()]
    if broken and _COUNT_NAME.search(column.name):
        whole = [value for _, value in plain if value == value.to_integral_value()]
        why = (
            f"a count with decimals: {counted(len(broken), 'number')} ({_range([value for _, value in broken])}) beside {counted(len(whole), 'number')} without "
            f"({_range(whole)}); they may be in 万 (ten thousands)"
        )
        do = "Expected one unit: say unit='万人次', unit='count' or unit='number' for this column, or write 万 into these cells."
        raise column.refuse(why, do, [at for at, _ in broken])
    own = column.marked(lambda unit: bool(_own_factor(unit)))
    said = f"; {counted(len(own), 'number')} with 万 or another multiplier, taken by cell" if own else ""
    if not plain and not own:
        return _Unit("number", Decimal(1), "No number stands in the column.")
    if broken or any(value < 0 for _, value in plain):
        return _Unit("number", Decimal(1), f"Numbers as they stand: no unit in the heading, no marks{said}.")
    return _Unit("count", Decimal(1), f"Counts: whole numbers without a unit in the heading{said}.")


def _check_multiplied(column: _Draft, unit: _Unit) -> _Unit:
    """Refuse a heading in 万 over numbers that are partly ten thousand times as large as the rest."""
    plain = [(at, abs(value)) for at, value in column.plain() if value]
    if unit.factor < 1000 or not plain:
        return unit
    large = [(at, value) for at, value in plain if value == value.to_integral_value() and value >= unit.factor / 10]
    others = [value for at, value in plain if value < unit.factor / 10]
    if large and others and min(value for _, value in large) >= 100 * max(others):
        why = (
            f"in {unit.name} or not? the heading says {unit.name} for {counted(len(others), 'number')} ({_range(others)}) and for "
            f"{counted(len(large), 'number')} more than a hundred times as large ({_range([value for _, value in large])})"
        )
        do = "Expected one unit: correct these cells, or say unit=... for this column."
        raise column.refuse(why, do, [at for at, _ in large])
    return unit


def _build(column: _Draft, unit: _Unit) -> NumberColumn:
    values = np.full(len(column.numerals), np.nan)
    faults, notes = [], []
    missing: Counter[str] = Counter()
    share = unit.name in SHARES
    for at, numeral in enumerate(column.numerals):
        text = str(column.cells[at])
        if numeral.fault:
            faults.append((at, text, numeral.fault))
            continue
        if numeral.value is None:
            missing[numeral.missing] += 1
            continue
        own = _own_factor(numeral.unit)
        if own is not None and unit.name != "number" and share != (numeral.unit in _MARKS):
            faults.append((at, text, f"the cell is in {numeral.unit}, the column in {unit.name}"))
            continue
        factor = own if own is not None else Decimal(1) if at in unit.fractions else unit.factor
        values[at] = float(numeral.value * factor)
        if numeral.remark:
            notes.append((at, text, f"read as {numeral.value}{numeral.unit}; left out: {numeral.remark}"))
        if at in unit.fractions:
            notes.append((at, text, "read as a fraction in a column of percentages"))
        elif own is not None and own != unit.factor:
            notes.append((at, text, f"read in {numeral.unit}, the mark of the cell"))
    marks = "; ".join(
        f"{mark!r} {count}" if mark != "empty" else f"empty {count}" for mark, count in missing.most_common()
    )
    evidence = unit.evidence + (f" No value: {marks}." if marks else "")
    return NumberColumn(values, unit.name, float(unit.factor), evidence, faults, notes, dict(missing))


def _decimals(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _range(values: Sequence[Decimal]) -> str:
    if not values:
        return "none"
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"
