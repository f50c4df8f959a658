"""Units that are totals: by their names in any language, as the nation, by their codes, or by their figures: `find_totals`."""

from __future__ import annotations

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
    others = len(texts) - len(nations) - len(found)
    if len({plain(text).lower() for text in nations}) == 1 and others >= FEW:
        found |= dict.fromkeys(nations, f"the nation beside {others} units of it")
    return found


def find_totals(
    frame: pd.DataFrame, unit: str, period: str, values: Sequence[str], *, codes: str | None = None
) -> Mapping[str, str]:
    """Return the units of a panel that are totals of the others, each with its evidence; empty when there are none.

    A unit is one by its name, as the only nation, when its code begins the code of every other unit, or when its figures are the
    sum or the mean of all others in every period.
    """
    found = totals_by_name(frame[unit])
    keys = [name_text(value) for value in dict.fromkeys(frame[codes or unit])]
    found |= {key: why for key, why in _by_code(keys).items() if codes is None and key not in found}
    names = frame[unit].map(name_text)
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
    digits = [key for key in keys if key.isdigit()]
    if len(digits) != len(keys) or len(keys) <= FEW:
        return {}
    short = [key for key in digits if all(other.startswith(key.rstrip("0") or key) for other in digits)]
    whole = [key for key in short if key.rstrip("0") != key or len(key) < max(map(len, digits))]
    return {key: f"its code begins the codes of all {len(keys) - 1} others" for key in whole} if len(whole) == 1 else {}


def _by_figures(table: pd.DataFrame, column: str) -> dict[str, str]:
    """Find a unit whose figures are the sum, or the mean, of all others in every period where all are known."""
    known = table.loc[:, table.notna().all()]
    if len(table) <= FEW or known.shape[1] < 2:
        return {}
    values = known.to_numpy(dtype=np.float64)
    whole = values.sum(axis=0)
    for name, row in zip(known.index, values, strict=True):
        rest = whole - row
        for what, other in (("sum", rest), ("mean", rest / (len(values) - 1))):
            spread = np.ptp(np.delete(values, known.index.get_loc(name), axis=0), axis=0)
            enough = what == "sum" or len(row) >= ENOUGH_FOR_MEAN
            if enough and np.allclose(row, other, rtol=_ROUNDING, atol=0) and (spread > 0).all() and (row != 0).all():
                return {str(name): f"its {column} is the {what} of the {len(values) - 1} others in every period"}
    return {}
