"""Numbers in prose: a key, never a literal.

A template such as ``"The share {overall.main:reading}"`` is filled in with recorded numbers, so that a sentence cannot
differ from the table. The verb follows the interval, not the wish: a rise is written only when the interval lies above
zero.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

MINUS = "\N{MINUS SIGN}"
_PLACE = re.compile(r"\{([\w.+-]+)(?::([a-z]+))?\}")
_UNITS = {"pp": " pp", "%": "%", "count": "", "year": "", "number": "", "p": "", "fraction": ""}
_SPELT = {"pp": " percentage points"}


class Reported(Protocol):
    """What is needed of a recorded number: its value, unit and digits."""

    value: int | float | None
    unit: str
    digits: int


Lookup = Callable[[str], Reported]


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
    '+0.43 pp'
    >>> format_value(1234.0, "count", 0)
    '1,234'
    """
    if value is None or value != value:  # noqa: PLR0124 (NaN is the only number that differs from itself)
        return "\N{EN DASH}"
    if unit == "year":
        return str(int(value))
    smallest = 0.001
    if unit == "p" and value < smallest:
        return "<0.001"
    text = f"{abs(value):,.{digits}f}"
    zero = float(text.replace(",", "")) == 0
    sign = "" if zero else MINUS if value < 0 else "+" if signed else ""
    return sign + text + (_UNITS[unit] if with_unit else "")


def fill(template: str, lookup: Lookup, level: float) -> str:
    """Fill a template with recorded numbers.

    Parameters
    ----------
    template : str
        ``{key}`` is a number with its unit, ``{key:bare}`` without, ``{key:signed}`` with a sign. ``{row:effect}`` is an
        estimate with its interval, ``{row:interval}`` the interval, ``{row:reading}`` a verb phrase that says what the
        interval allows, where ``row.estimate``, ``row.conf_low`` and ``row.conf_high`` are recorded numbers.
    lookup : callable
        Finds a recorded number by its key and raises when there is none.
    level : float
        The confidence level that the intervals were computed with.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the format after the colon is unknown.
    """

    def one(match: re.Match[str]) -> str:
        key, kind = match.group(1), match.group(2) or "plain"
        if kind not in _FORMATS:
            raise ValueError(f"'{match.group(0)}': unknown format '{kind}', use one of {', '.join(_FORMATS)}")
        return _FORMATS[kind](key, lookup, level)

    return _PLACE.sub(one, template)


def keys_in(template: str) -> list[str]:
    """Return the keys that a template names, in order."""
    return [match.group(1) for match in _PLACE.finditer(template)]


def _plain(key: str, lookup: Lookup, level: float) -> str:
    number = lookup(key)
    return format_value(number.value, number.unit, number.digits, with_unit=True)


def _bare(key: str, lookup: Lookup, level: float) -> str:
    number = lookup(key)
    return format_value(number.value, number.unit, number.digits)


def _signed(key: str, lookup: Lookup, level: float) -> str:
    number = lookup(key)
    return format_value(number.value, number.unit, number.digits, signed=True, with_unit=True)


def _interval(row: str, lookup: Lookup, level: float) -> str:
    low, high = lookup(f"{row}.conf_low"), lookup(f"{row}.conf_high")
    if low.value is None or high.value is None:
        return "no interval"
    ends = [format_value(end.value, end.unit, end.digits, signed=True) for end in (low, high)]
    return f"{level * 100:g}% interval {ends[0]} to {ends[1]}"


def _effect(row: str, lookup: Lookup, level: float) -> str:
    estimate = lookup(f"{row}.estimate")
    if estimate.value is None:
        return "not identified"
    value = format_value(estimate.value, estimate.unit, estimate.digits, signed=True, with_unit=True)
    return f"{value} ({_interval(row, lookup, level)})"


def _reading(row: str, lookup: Lookup, level: float) -> str:
    estimate, low, high = (lookup(f"{row}.{name}") for name in ("estimate", "conf_low", "conf_high"))
    if estimate.value is None:
        return "has no estimate: the comparison is not there"
    unit = _SPELT.get(estimate.unit, "")
    size = format_value(abs(estimate.value), estimate.unit, estimate.digits) + unit
    interval = _interval(row, lookup, level)
    if low.value is None or high.value is None:
        return f"differs by {_signed(row + '.estimate', lookup, level)}, without an interval"
    if low.value > 0:
        return f"rose by {size} ({interval})"
    if high.value < 0:
        return f"fell by {size} ({interval})"
    value = format_value(estimate.value, estimate.unit, estimate.digits, signed=True) + unit
    fall, rise = (format_value(abs(end.value or 0), end.unit, end.digits) for end in (low, high))
    return (
        f"is estimated to have changed by {value} ({interval}). The interval reaches from a fall of {fall} to a rise of "
        f"{rise}, so the data show neither a rise nor a fall"
    )


_FORMATS: dict[str, Callable[[str, Lookup, float], str]] = {
    "plain": _plain,
    "bare": _bare,
    "signed": _signed,
    "interval": _interval,
    "effect": _effect,
    "reading": _reading,
}
