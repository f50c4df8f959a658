"""Names and codes of units as text, compared in one way: `name_text`, `comparable`, `match_names`."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from evalaid.base.texts import counted

NEAREST = 3
"""So many of the nearest names stand in a message."""

_ALIKE = 0.6


def name_text(value: object) -> str:
    """Write a name or a code as the text it is shown as: a code that a workbook holds as a number without decimals.

    Examples
    --------
    >>> name_text(1001.0), name_text("01001"), name_text(" Santa  Clara "), name_text(None)
    ('1001', '01001', 'Santa Clara', '')
    """
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return " ".join(str(value).split())


@lru_cache(maxsize=1 << 16)
def _key(text: str) -> str:
    parts: list[str] = []
    gap = False
    for character in unicodedata.normalize("NFKC", text).casefold():
        kind = unicodedata.category(character)[0]
        if kind in "LNM" or character in "+%#":
            if gap and parts and parts[-1].isdigit() and character.isdigit():
                parts.append(" ")
            parts.append(character)
            gap = False
        else:
            gap = True
    return "".join(parts)


def comparable(name: object) -> str:
    """Write a name the one way in which names are compared: NFKC, case, blanks and punctuation aside.

    What stands between two digits still sets them apart, so that "1.1" is not "11".

    Examples
    --------
    >>> comparable("Santa  Clara") == comparable("SANTA CLARA "), comparable("Prince George’s") == comparable("Prince George's")
    (True, True)
    >>> comparable("01001") == comparable("1001"), comparable("1.1") == comparable("11"), comparable("-")
    (False, False, '-')
    """
    text = name_text(name)
    return _key(text) or text


@dataclass(frozen=True)
class NameMatch:
    """Hold which names of one table are which of another."""

    found: Mapping[str, str]  # wanted name -> the known name as it is shown there
    unknown: Mapping[str, tuple[str, ...]]  # wanted name -> the nearest known names
    ambiguous: Mapping[str, tuple[str, ...]]  # wanted name -> known names that are written alike

    def message(self, wanted: str, known: str) -> str:
        """Describe the names that were not found, each with the nearest ("of the roster", "the panel")."""
        lines = []
        for name, near in [*self.unknown.items()][:8]:
            hint = f" (nearest: {', '.join(map(repr, near))})" if near else ""
            lines.append(f"- {name!r} is not in {known}{hint}")
        lines += [
            f"- {name!r} is written alike as {', '.join(map(repr, all_))}" for name, all_ in self.ambiguous.items()
        ]
        more = len(self.unknown) - 8
        if more > 0:
            lines.append(f"... and {more} more.")
        count = len(self.unknown) + len(self.ambiguous)
        return "\n".join([f"{counted(count, 'unit')} {wanted} cannot be found in {known}:", *lines])


def match_names(wanted: Iterable[object], known: Iterable[object]) -> NameMatch:
    """Find every wanted name among the known ones, compared by `comparable`, with the nearest where there is none.

    Examples
    --------
    >>> match = match_names(["santa clara", "El Pazo"], ["Santa Clara", "El Paso", "Dallas"])
    >>> match.found, match.unknown
    ({'santa clara': 'Santa Clara'}, {'El Pazo': ('El Paso',)})
    """
    shown: dict[str, list[str]] = defaultdict(list)
    for text in dict.fromkeys(map(name_text, known)):
        shown[comparable(text)].append(text)
    found, unknown, ambiguous = {}, {}, {}
    for text in dict.fromkeys(map(name_text, wanted)):
        same = shown.get(comparable(text), [])
        if text in same or len(same) == 1:
            found[text] = text if text in same else same[0]
        elif same:
            ambiguous[text] = tuple(same)
        else:
            unknown[text] = nearest_names(text, shown)
    return NameMatch(found, unknown, ambiguous)


def nearest_names(name: object, shown: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Return the known names (by their comparable form) that are most like a name; a code of the same number first."""
    key = comparable(name)
    if key.isdigit():
        number = key.lstrip("0")
        same = [
            text for other, texts in shown.items() if other.isdigit() and other.lstrip("0") == number for text in texts
        ]
        if same:
            return tuple(same[:NEAREST])
    close = difflib.get_close_matches(key, list(shown), NEAREST, _ALIKE)
    return tuple(shown[other][0] for other in close)


_DIGITS_ONLY = re.compile(r"0\d+")


def looks_like_code(text: str) -> bool:
    """Return whether a text of digits is a code and no number: it begins with a zero that a number does not have.

    Examples
    --------
    >>> looks_like_code("01001"), looks_like_code("0"), looks_like_code("0.5")
    (True, False, False)
    """
    return _DIGITS_ONLY.fullmatch(text) is not None
