"""Units that are totals: by their names in any language, as the nation, by their codes, or by their figures: `find_totals`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from evalaid.reading.values.comparable_names import name_text
from evalaid.reading.values.kinds import plain
from evalaid.reading.words.vocabulary import pattern_of

FEW = 4
"""With fewer other units the name of a nation, or a sum, shows nothing."""

ENOUGH_FOR_MEAN = 4
"""In fewer periods a unit may lie in the middle of all others by chance."""

_ROUNDING = 1e-6


def is_total_word(name: object) -> bool:
    """Return whether a name says that it is a total or an average, in any language.

    Examples
    --------
    >>> [is_total_word(name) for name in ("Total", "Insgesamt", "합계", "All counties", "Totnes")]
    [True, True, True, True, False]
    """
    return bool(pattern_of("total_row").fullmatch(plain(name)))


def is_nation(name: object) -> bool:
    """Return whether a name is that of a nation; among districts it is their total, among nations one of them."""
    return bool(pattern_of("nation").fullmatch(plain(name).replace("_", "")))


def totals_by_name(names: Iterable[object]) -> dict[str, str]:
    """Return the names among others that are totals, each with why: by its words, or as the only nation among many units.

    Examples
    --------
    >>> totals_by_name(["ENGLAND", "Hartlepool", "Halton", "York", "Bath"])
    {'ENGLAND': 'the nation beside 4 units of it'}
    >>> totals_by_name(["England", "Scotland", "Wales", "Northern Ireland"])
    {}
    """
    texts = list(dict.fromkeys(text for name in names if (text := name_text(name))))
    found = {text: "a total or average, by its name" for text in texts if is_total_word(text)}
    nations = [text for text in texts if is_nation(text) and text not in found]
    countries = sum(bool(pattern_of("country").fullmatch(plain(text).lower())) for text in texts)
    others = len(texts) - len(nations) - len(found)
    if len({plain(text).lower() for text in nations}) == 1 and others >= FEW and countries < FEW:
        found |= dict.fromkeys(nations, f"the nation beside {others} units of it")
    return found


def find_totals(
    frame: pd.DataFrame, unit: str, period: str, values: Sequence[str], *, codes: str | None = None
) -> Mapping[str, str]:
    """Return the units of a panel that are totals of the others, each with its evidence; empty when there are none.

    A unit is one by its name, as the only nation, when its code begins the code of every other unit, or when its figures are the
    sum or the mean of all others in every period.
    """
    found = totals_by_name(frame[unit].unique())
    keys = [name_text(value) for value in frame[codes or unit].unique()]
    found |= {key: why for key, why in _by_code(keys).items() if codes is None and key not in found}
    names = frame[unit].map({value: name_text(value) for value in frame[unit].unique()})
    for column in values:
        if column not in frame or not pd.api.types.is_numeric_dtype(frame[column]):
            continue
        table = frame.assign(**{unit: names}).pivot_table(
            index=unit, columns=period, values=column, aggfunc="sum", min_count=1
        )
        table = table.drop(index=[name for name in found if name in table.index])
        for name, why in _by_figures(table, column).items():
            found.setdefault(name, why)
    return found


def _by_code(keys: list[str]) -> dict[str, str]:
    """Find codes of larger places: one that begins all others (01000 of 01001, 01002), or shorter ones that each begin longer ones."""
    if len(keys) <= FEW or not all(map(_CODE.fullmatch, keys)):
        return {}
    return _begins_all(keys) or _begins_some(keys)


def _begins_all(keys: list[str]) -> dict[str, str]:
    short = [key for key in keys if all(other.startswith(key.rstrip("0") or key) for other in keys)]
    whole = [key for key in short if key.endswith("0") or len(key) < max(map(len, keys))]
    alone = len(whole) == 1 and all(map(str.isdigit, keys))
    return {whole[0]: f"its code begins the codes of all {len(keys) - 1} others"} if alone else {}


def _begins_some(keys: list[str]) -> dict[str, str]:
    longest = max(map(len, keys))
    leaves = [key for key in keys if len(key) == longest]
    below = {key: sum(leaf.startswith(key) for leaf in leaves) for key in keys if len(key) < longest}
    covered = all(leaf.startswith(tuple(below)) for leaf in leaves)
    if not below or min(below.values()) < PARTS or not covered or _are_serial(keys):
        return {}
    return {key: f"its code begins the codes of {count} others" for key, count in below.items()}


_CODE = re.compile(r"[^\s]*\d[^\s]*|\w{1,3}")
"""A code has a digit, or is one of a nation (DE, USA)."""


def _are_serial(keys: list[str]) -> bool:
    """Return whether codes are plain numbers in a row (1 to 99, A1 to A40), whose first ones begin others by chance."""
    numbers = [int(match[0]) for key in keys if (match := re.search(r"\d+$", key))]
    return len(numbers) > SERIAL * len(keys) and len(set(numbers)) > SERIAL * (max(numbers) - min(numbers) + 1)


SERIAL = 0.5
"""Codes of which so many follow each other are a count."""
PARTS = 2
"""A larger place has so many parts at least, where its code shows that it is one."""


def _by_figures(table: pd.DataFrame, column: str) -> dict[str, str]:
    """Find a unit whose figures are the sum, or the mean, of all others in every period where all are known."""
    known = table.loc[:, table.notna().all()]
    if len(table) <= FEW or known.shape[1] < 2:
        return {}
    values = known.to_numpy(dtype=np.float64)
    rest = values.sum(axis=0) - values
    for what, other in (("sum", rest), ("mean", rest / (len(values) - 1))):
        if what == "mean" and values.shape[1] < ENOUGH_FOR_MEAN:
            continue
        alike = np.isclose(values, other, rtol=_ROUNDING, atol=0).all(axis=1) & (values != 0).all(axis=1)
        for place in np.flatnonzero(alike).tolist():
            if (np.ptp(np.delete(values, place, axis=0), axis=0) > 0).all():
                return {
                    str(
                        known.index[place]
                    ): f"its {column} is the {what} of the {len(values) - 1} others in every period"
                }
    return {}
