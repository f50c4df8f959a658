"""What a parameter of a study may be: one check for each kind of value, which returns the value in its frozen form.

Each takes a value from a YAML file or from the command line and raises `UnfitError` with what was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any


class UnfitError(Exception):
    """What a value should have been; becomes one line of a `StudyError`."""


def text(value: Any) -> str:
    """Accept text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise UnfitError("text")
    return value.strip()


def whole(value: Any) -> int:
    """Accept a whole number, not negative."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UnfitError("a whole number, not negative")
    return value


def level(value: Any) -> float:
    """Accept a confidence level."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.5 <= value < 1:
        raise UnfitError("a number from 0.5 to below 1, such as 0.95")
    return float(value)


def period(value: Any) -> int | str:
    """Accept one period."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise UnfitError("a period such as 2023 or '2023Q1'")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """Accept a list of texts."""
    if isinstance(value, str) or not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
        raise UnfitError("a list of texts")
    return tuple(item.strip() for item in value)


def periods(value: Any) -> tuple[int | str, ...]:
    """Accept a list of periods."""
    if not isinstance(value, (list, tuple)):
        raise UnfitError("a list of periods, such as [2021, 2022]")
    return tuple(period(item) for item in value)


def kept(value: Any) -> Mapping[str, tuple[Any, ...]]:
    """Accept the values that stay in the sample, by column."""
    if not isinstance(value, Mapping) or not all(isinstance(v, (list, tuple)) and v for v in value.values()):
        raise UnfitError("a mapping from a column to the list of values that stay in the sample")
    return MappingProxyType({str(column): tuple(allowed) for column, allowed in value.items()})


def specifications(value: Any) -> Mapping[str, Mapping[str, Any]]:
    """Accept named mappings, such as the methods of a study."""
    if not isinstance(value, Mapping) or not all(isinstance(v, Mapping) for v in value.values()):
        raise UnfitError("a mapping from a name to a mapping")
    return MappingProxyType({str(name): MappingProxyType(dict(entry)) for name, entry in value.items()})


def parameters(value: Any) -> Mapping[str, Any]:
    """Accept one mapping from names to values, such as the parameters of a generator."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise UnfitError("a mapping from names to values")
    return MappingProxyType(dict(value))


def one_of(*allowed: str) -> Callable[[Any], str]:
    """Accept one of a few words."""

    def check(value: Any) -> str:
        if value not in allowed:
            raise UnfitError(" or ".join(f"'{item}'" for item in allowed))
        return str(value)

    return check
