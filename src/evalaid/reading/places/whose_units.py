"""Whether the units of a table are counties of China, by its language and its codes, or units of anywhere: `decide_units`."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from evalaid.reading.files.grids import Grid
from evalaid.reading.places.regions import Region, find_region
from evalaid.reading.words.languages import language_of

COUNTIES, AS_WRITTEN = "counties", "as_written"

MOST = 0.6
"""Share of the codes of six digits that must be divisions of China before a table without Chinese words is one of them."""

_SAMPLE = 60
_ROWS = 500
"""So many rows of a sheet show its language."""
_CODE = re.compile(r"(?<!\d)[1-8]\d{5}(?!\d)")


def decide_units(sheets: Iterable[np.ndarray]) -> tuple[str, str]:
    """Return whether the units of all sheets are counties of China or taken as they are written, and why.

    Examples
    --------
    >>> decide_units([np.array([["county", "2019"], ["Dallas", 0.8]], dtype=object)])[0]
    'as_written'
    >>> decide_units([np.array([["county", "2019"], ["440222", 0.8]], dtype=object)])[0]
    'counties'
    """
    texts = list(
        dict.fromkeys(
            str(value) for cells in sheets for value in cells[:_ROWS].flat if isinstance(value, str | int | float)
        )
    )
    language = language_of(text for text in texts if not text.replace(".", "").isdigit())
    if language == "zh":
        return COUNTIES, "its words are Chinese"
    codes = list(dict.fromkeys(code for text in texts if (code := _code(text))))[:_SAMPLE]
    known = sum(isinstance(find_region(code), Region) for code in codes)
    if codes and known >= MOST * len(codes):
        return COUNTIES, f"{known} of {len(codes)} codes are divisions of China"
    return AS_WRITTEN, f"its words are not Chinese ({language}), and no codes are divisions of China"


def language_of_sheet(grid: Grid) -> str:
    """Return the language of the first rows of a sheet."""
    return language_of(value for value in grid.cells[:_ROWS].flat if isinstance(value, str))


def _code(text: str) -> str:
    found = _CODE.search(text.removesuffix(".0"))
    return found[0] if found else ""
