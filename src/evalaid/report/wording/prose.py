"""Numbers in prose: a key, never a literal.

A template such as ``"{overall.main:reading}"`` is filled in with recorded numbers, so that a sentence cannot
differ from the table. The words follow the interval, not the wish: "higher" is written only when the interval lies above
zero, and of the comparison that the estimate makes: with the programme against without it, not after against before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from evalaid.base.effect_columns import ENDS, ESTIMATE
from evalaid.base.months import PER_YEAR
from evalaid.base.periods import label
from evalaid.report.verdict import SHOWN, TOO_SMALL, judge_interval
from evalaid.study.manifest import UNITS

FORMATS = ("plain", "bare", "counted", "signed", "interval", "effect", "reading")
MINUS = "\N{MINUS SIGN}"
_PLACE = re.compile(r"\{([\w.+-]+)(?::([a-z]+))?\}")


class _Spelt(dict[str, str]):
    """Units as they stand after a number; that of a study's own outcome is its own words."""

    def get(self, unit: str, default: str = "") -> str:  # type: ignore[override]
        """Return a unit with a blank before it; nothing for a plain number."""
        if unit in self or unit in UNITS:
            return super().get(unit, default)
        return f" {unit}"


_UNITS = _Spelt({"pp": " points", "%": "%"})
_SPELT = _Spelt({"pp": " percentage points"})


class RecordedNumber(Protocol):
    """What is needed of a recorded number: its value, unit and digits."""

    @property
    def value(self) -> int | float | None:
        """Full precision, in ``unit``."""

    @property
    def unit(self) -> str:
        """A unit of the manifest."""

    @property
    def digits(self) -> int:
        """Decimals shown."""


Lookup = Callable[[str], RecordedNumber]
Told = tuple[str, tuple[tuple[str, str], ...]]  # a phrase, and the numbers in it: as written, and their keys
Record = list[Told]


def format_value(value: Any, unit: str, digits: int, *, signed: bool = False, with_unit: bool = False) -> str:
    """Write one number.

    Parameters
    ----------
    value : int, float or None
        In ``unit``; None is written as an en dash.
    unit : str
        A unit of the manifest. Years are written without separators, p-values below 0.001 as ``<0.001``.
    digits : int
        Decimals.
    signed : bool
        Whether a positive number gets a plus sign (effects do).
    with_unit : bool
        Whether the unit follows the number.

    Examples
    --------
    >>> format_value(0.4321, "pp", 2, signed=True, with_unit=True)
    '+0.43 points'
    >>> format_value(1234.0, "count", 0)
    '1,234'
    """
    if value is None or math.isnan(value):
        return "\N{EN DASH}"
    if unit in PER_YEAR:
        return label(unit, value)
    smallest = 0.001
    if unit == "p" and value < smallest:
        return "<0.001"
    text = f"{abs(value):,.{digits}f}"
    zero = float(text.replace(",", "")) == 0
    sign = "" if zero else MINUS if value < 0 else "+" if signed else ""
    return sign + text + (_UNITS.get(unit, "") if with_unit else "")


def data_label(kind: str) -> str:
    """Return the name of the data that a table, a figure or a page shows: "real data", "simulated data", "published figures".

    Examples
    --------
    >>> data_label("simulated"), data_label("published")
    ('simulated data', 'published figures')
    """
    return "published figures" if kind == "published" else f"{kind} data"


def fill(
    template: str,
    lookup: Lookup,
    level: float,
    texts: Mapping[str, str] | None = None,
    smallest: float = math.nan,
    told: Record | None = None,
) -> str:
    """Fill a template with recorded numbers.

    Parameters
    ----------
    template : str
        ``{key}`` is a number with its unit, ``{key:bare}`` without, ``{key:signed}`` with a sign,
        ``{key:counted}`` a count with "none" for 0. ``{row:effect}`` is an
        estimate with its interval, ``{row:interval}`` the interval, ``{row:reading}`` a sentence that says what
        the interval allows (`evalaid.report.verdict`), where ``row.estimate``, ``row.conf_low`` and ``row.conf_high`` are recorded numbers.
    lookup : callable
        Finds a recorded number by its key and raises when there is none.
    level : float
        The confidence level that the intervals were computed with.
    texts : mapping, optional
        Words of the study that a template may name like a number: ``{outcome}``, ``{units}``, ``{clusters}``.
    smallest : float
        The smallest effect of interest, in the unit of the report.
    told : list, optional
        Takes, for each place in order, what was written there and the (text, key) of every number in it.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the format after the colon is unknown.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> numbers = {"sample.units": SimpleNamespace(value=135, unit="count", digits=0)}
    >>> fill("Of {sample.units} districts", numbers.__getitem__, 0.95)
    'Of 135 districts'
    """
    texts = texts or {}
    phrases = _Phrases(
        lookup, level, smallest, **{name: texts[name] for name in ("outcome", "programme") if name in texts}
    )

    def one(match: re.Match[str]) -> str:
        key, kind = match.group(1), match.group(2) or "plain"
        if key in texts:
            return texts[key]
        if kind not in FORMATS:
            raise ValueError(f"'{match.group(0)}': unknown format '{kind}', use one of {', '.join(FORMATS)}")
        phrases.written.clear()
        phrase = str(getattr(phrases, kind)(key))
        if told is not None:
            told.append((phrase, tuple(phrases.written)))
        return phrase

    return _PLACE.sub(one, template)


@dataclass(frozen=True)
class _Phrases:
    """One method for each format of a place in a template."""

    lookup: Lookup
    level: float
    smallest: float = math.nan
    outcome: str = "outcome"
    programme: str = "the programme"
    written: list[tuple[str, str]] = field(default_factory=list, init=False)

    def plain(self, key: str) -> str:
        return self._write(key, with_unit=True)

    def bare(self, key: str) -> str:
        return self._write(key)

    def counted(self, key: str) -> str:
        return "none" if self.lookup(key).value == 0 else self._write(key)

    def signed(self, key: str) -> str:
        return self._write(key, signed=True, with_unit=True)

    def interval(self, row: str) -> str:
        low, high = self.lookup(f"{row}.conf_low"), self.lookup(f"{row}.conf_high")
        if low.value is None or high.value is None:
            return "no interval"
        ends = [self._write(f"{row}.{end}", signed=True) for end in ENDS]
        return f"{self.level * 100:g}% interval {ends[0]} to {ends[1]}"

    def effect(self, row: str) -> str:
        if self.lookup(f"{row}.estimate").value is None:
            return "not identified"
        return f"{self.signed(f'{row}.estimate')} ({self.interval(row)})"

    def reading(self, row: str) -> str:
        estimate, low, high = (self.lookup(f"{row}.{name}") for name in (ESTIMATE, *ENDS))
        if estimate.value is None:
            return "There is no estimate: the comparison is not there."
        unit, interval = _SPELT.get(estimate.unit, ""), self.interval(row)
        change = self._write(f"{row}.estimate", signed=True) + unit
        if low.value is None or high.value is None:
            return (
                f"The estimate of the effect on the {self.outcome} is {change}, without an interval: the data do not tell it from "
                "none."
            )
        matters = format_value(self.smallest, estimate.unit, estimate.digits if self.smallest % 1 else 0) + unit
        verdict = judge_interval(estimate.value, low.value, high.value, self.smallest)
        if verdict == SHOWN:
            size = format_value(abs(estimate.value), estimate.unit, estimate.digits) + unit
            side = "higher" if low.value > 0 else "lower"
            less = f", less than the {matters} that would matter" if abs(estimate.value) < self.smallest else ""
            return (
                f"The {self.outcome} is estimated to be {size} {side} than without {self.programme} ({interval}){less}."
            )
        if verdict == TOO_SMALL:
            return (
                f"{self.programme[:1].upper()}{self.programme[1:]} is estimated to have changed the {self.outcome} by less than {matters} "
                f"({interval})."
            )
        ends = " to ".join(self._write(f"{row}.{end}", signed=True) for end in ENDS)
        return (
            f"The data do not tell an effect of {self.programme} on the {self.outcome} from none: effects from {ends}{unit} are not excluded "
            f"({self.level * 100:g}% interval; the estimate is {change})."
        )

    def _write(self, key: str, *, signed: bool = False, with_unit: bool = False) -> str:
        number = self.lookup(key)
        text = format_value(number.value, number.unit, number.digits, signed=signed, with_unit=with_unit)
        self.written.append((text, key))
        return text
