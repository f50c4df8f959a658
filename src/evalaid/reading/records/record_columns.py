"""Which column of discharge records is which, by the names that home pages and claims give them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

from evalaid.reading.words.vocabulary import load_words

RECORD_COLUMNS: Mapping[str, tuple[str, ...]] = {k: tuple(v) for k, v in load_words("records")["columns"].items()}
"""Role of a column -> names it goes by, in small letters; a weight is read only when it is named."""

RESIDENCE_COLUMNS: Mapping[str, tuple[str, ...]] = {k: tuple(v) for k, v in load_words("records")["residence"].items()}
"""Base -> names of the residence that belongs to it; a home page has several, and they must not be mixed."""

BASE_VALUES: Mapping[str, tuple[str, ...]] = {k: tuple(v) for k, v in load_words("records")["bases"].items()}
"""Base -> what a column of kinds of people calls it."""


def plain_name(column: object) -> str:
    """Write a column name the way it is compared: full-width to half-width, small letters, no spaces.

    Examples
    --------
    >>> plain_name(" ＣＭＩ "), plain_name("出院 时间")
    ('cmi', '出院时间')
    """
    return "".join(unicodedata.normalize("NFKC", str(column)).split()).lower()


def find_record_columns(
    columns: Iterable[str], base: str, given: Mapping[str, str] | None = None
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Find role -> column of discharge records where one fits, and role -> columns where several do.

    Examples
    --------
    >>> find_record_columns(["参保地医保区划", "现住址行政区划代码", "CYSJ"], "insured")
    ({'residence': '参保地医保区划', 'discharge': 'CYSJ'}, {})
    """
    plain = {column: plain_name(column) for column in columns}
    found, several = dict(given or {}), {}
    for role, names in RECORD_COLUMNS.items():
        if role in found:
            continue
        known = (*names, *RESIDENCE_COLUMNS[base]) if role == "residence" else names
        candidates = [column for column, name in plain.items() if name in known and column not in found.values()]
        if len(candidates) == 1:
            found[role] = candidates[0]
        elif candidates:
            several[role] = candidates
    return found, several
