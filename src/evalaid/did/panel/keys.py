"""Which unit and which period each row of a long table belongs to, as small whole numbers."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.periods import recognise_periods

LARGEST = np.iinfo(np.int64).max
# Above this, neighbouring whole numbers are one float: an identifier that was a float is not its own any more.
WHOLE = 2.0**53
# A panel with more periods is read row by row.
LONGEST = 100_000
_SPACE_AROUND = re.compile(r"\A\s|\s\Z|\s\x00|\x00\s|\s\s")
_WHOLE_AS_TEXT = re.compile(
    r"(?<![^\0])([+-]?\d+)\.0+(?![^\0])"
)  # 1.0, as a whole number is written by a column of floats


@dataclass(frozen=True, eq=False)
class Keys:
    """Hold which unit and period each row belongs to."""

    units: pd.Index  # (N,) distinct unit labels, sorted
    periods: np.ndarray  # (T,) int64 distinct ordinals, ascending
    # (n,) int64 codes of the unit and of the period of each row, -1 where the label is missing or unreadable; None where rows are
    # the units one after another, each in all periods
    codes: tuple[np.ndarray, np.ndarray] | None
    kind: str  # "year", "quarter", "month" or "number"
    from_text: bool  # Whether the periods were written as text

    @cached_property
    def unit(self) -> np.ndarray:
        """(n,) int64 code of the unit of each row, -1 where the label is missing."""
        return np.repeat(np.arange(len(self.units)), len(self.periods)) if self.codes is None else self.codes[0]

    @cached_property
    def period(self) -> np.ndarray:
        """(n,) int64 code of the period of each row, -1 where unreadable."""
        return np.tile(np.arange(len(self.periods)), len(self.units)) if self.codes is None else self.codes[1]

    @cached_property
    def cell(self) -> np.ndarray:
        """(n,) position of each row in the unit x period matrix, row by row; negative where a key is missing."""
        if self.codes is None:
            return np.arange(len(self.units) * len(self.periods))
        cell = self.unit * len(self.periods)
        cell += self.period
        if len(cell) and (self.unit.min() < 0 or self.period.min() < 0):
            cell[(self.unit < 0) | (self.period < 0)] = -1
        return cell

    @cached_property
    def complete(self) -> bool:
        """Whether rows are the units one after another, each in all periods."""
        size = len(self.units) * len(self.periods)
        return self.codes is None or (len(self.unit) == size and bool((self.cell == np.arange(size)).all()))


def read_keys(units: pd.Series, periods: pd.Series) -> Keys:
    """Number the units and the periods of a table's rows.

    Examples
    --------
    >>> keys = read_keys(pd.Series(["B", "A", "A"]), pd.Series([2019, 2019, 2020]))
    >>> keys.units.tolist(), keys.unit.tolist(), keys.cell.tolist()
    (['A', 'B'], [1, 0, 0], [2, 0, 1])
    """
    if (keys := _read_grid(units, periods)) is not None:
        return keys
    labels, unit = code_labels(units)
    parsed, unreadable = recognise_periods(periods)
    if unreadable.any():
        ordinals, inverse = np.unique(parsed.ordinal[~unreadable], return_inverse=True)
        period = np.full(len(periods), -1, dtype=np.int64)
        period[~unreadable] = inverse
    else:
        ordinals, period = _code_integers(parsed.ordinal)
    return Keys(labels, ordinals, (unit, period), str(parsed.kind), is_text(periods))


def _read_grid(units: pd.Series, periods: pd.Series) -> Keys | None:
    """Read whole numbers that are a grid in order, the most common form of a large panel, from its edges; None where they are not."""
    columns = [values.to_numpy() for values in (units, periods) if isinstance(values.dtype, np.dtype)]
    if len(columns) < 2 or any(values.dtype.kind not in "iu" for values in columns):
        return None
    unit, period = columns
    later = np.flatnonzero(unit[:LONGEST] != unit[:1])
    length = int(later[0]) if len(later) else len(unit)
    if not length or len(unit) % length:
        return None
    by_unit, by_period = unit.reshape(-1, length), period.reshape(-1, length)
    first, steps = by_unit[:, 0], by_period[0]
    if not ((first[1:] > first[:-1]).all() and (steps[1:] > steps[:-1]).all() and first[-1] <= LARGEST):
        return None
    if not ((by_period == steps).all() and (by_unit == first[:, None]).all()):
        return None
    parsed, unreadable = recognise_periods(pd.Series(steps))
    labels = pd.Index(first.astype(np.int64))
    return None if unreadable.any() else Keys(labels, parsed.ordinal, None, str(parsed.kind), from_text=False)


def code_labels(values: pd.Series) -> tuple[pd.Index, np.ndarray]:
    """Number the distinct labels of a column in sorted order.

    Assumes that the labels can be compared with each other. Floats that are all whole numbers (an administrative code
    that passed through a spreadsheet) become integers.

    Sorted distinct labels, and the (n,) int64 code of every row (-1 where missing).

    Examples
    --------
    >>> code_labels(pd.Series([440222.0, None, 440114.0]))
    (Index([440114, 440222], dtype='int64'), array([ 1, -1,  0]))
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        categories, position = code_labels(pd.Series(values.cat.categories))
        raw = values.cat.codes.to_numpy()
        if not len(categories):
            return categories, raw.astype(np.int64)
        used, compact = _code_integers(np.where(raw < 0, -1, position[raw]))
        missing = int(len(used) > 0 and used[0] < 0)
        return categories[used[missing:]], compact - missing
    if pd.api.types.is_integer_dtype(values.dtype) and not values.hasnans and values.max() <= LARGEST:
        labels, codes = _code_integers(values.to_numpy(dtype=np.int64))
        return pd.Index(labels), codes
    codes, distinct = pd.factorize(values, sort=True)
    labels = pd.Index(distinct)
    if pd.api.types.is_float_dtype(labels.dtype) and len(labels) and float(np.abs(labels).max()) <= WHOLE:
        whole = labels.astype(np.int64)
        labels = whole if bool((labels == whole).all()) else labels
    return labels, codes.astype(np.int64, copy=False)


def spelt_twice(labels: pd.Index) -> list[list[Any]]:
    """List the labels that are one label in several spellings: spaces around, full-width digits, accents in two parts, 1, "1" and "1.0".

    Labels are compared after Unicode's NFKC and without characters that nobody sees (a zero-width space, a soft hyphen, a byte-order
    mark), which is how they look to a reader.

    Examples
    --------
    >>> spelt_twice(pd.Index(["A", "A ", "B"]))
    [['A', 'A ']]
    """
    if pd.api.types.is_numeric_dtype(labels.dtype) or not len(labels):
        return []
    if pd.api.types.infer_dtype(labels) == "string":
        joined = "\0".join(labels)
        if joined.isascii() and not _SPACE_AROUND.search(joined) and not _WHOLE_AS_TEXT.search(joined):
            return []
    spellings: dict[str, list[Any]] = {}
    for label in labels:
        whole = isinstance(label, (float, np.floating)) and np.isfinite(label) and label == round(label)
        shown = unicodedata.normalize("NFKC", str(int(label) if whole else label))
        if not shown.isascii():
            shown = "".join(letter for letter in shown if unicodedata.category(letter) != "Cf")
        shown = _WHOLE_AS_TEXT.sub(r"\1", shown)
        spellings.setdefault(" ".join(shown.split()), []).append(label)
    return [found for found in spellings.values() if len(found) > 1]


def is_text(values: pd.Series) -> bool:
    """Return whether a column holds text.

    Examples
    --------
    >>> is_text(pd.Series(["2019Q3", None])), is_text(pd.Series([2019, None]))
    (True, False)
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        return is_text(pd.Series(values.cat.categories))
    if isinstance(values.dtype, pd.StringDtype) or getattr(values.dtype, "type", None) is str:  # Arrow's strings, too
        return True
    return values.dtype == object and any(isinstance(value, str) for value in pd.unique(values))


def varies_within(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Find which groups hold more than one value.

    Examples
    --------
    >>> varies_within(np.array([0, 0, 1, 1]), np.array([5, 5, 5, 6]))
    array([False,  True, False])
    """
    size = int(group.max(initial=-1)) + 2
    last = np.zeros(size, dtype=np.int64)
    last[group] = value
    varies = np.zeros(size, dtype=bool)
    differs = last[group] != value
    if differs.any():
        varies[group[differs]] = True
        varies[-1] = False
    return varies


def _code_integers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number distinct integers in ascending order; by a look-up table when their range is short, else by sorting."""
    if not len(values):
        return values.astype(np.int64), values.astype(np.int64)
    low, high = int(values.min()), int(values.max())
    if high - low >= 4 * len(values) + 1000:
        distinct, codes = np.unique(values, return_inverse=True)
        return distinct.astype(np.int64), codes.astype(np.int64)
    offset = values - low
    present = np.zeros(high - low + 1, dtype=bool)
    present[offset] = True
    distinct = np.flatnonzero(present) + low
    codes = offset if len(distinct) == len(present) else (np.cumsum(present) - 1)[offset]
    return distinct.astype(np.int64, copy=False), codes.astype(np.int64, copy=False)
