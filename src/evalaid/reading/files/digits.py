"""Digits of other scripts, written as those of all others: `in_western_digits`."""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np

_FULL_WIDTH = range(0xFF10, 0xFF1A)
"""Full-width digits stay as they are written; every reader of numbers knows them."""


@cache
def _table() -> dict[int, str]:
    digits = (code for code in range(0x0660, 0xFFFF) if chr(code).isdecimal() and code not in _FULL_WIDTH)
    return {code: str(unicodedata.decimal(chr(code))) for code in digits} | {0x066B: ".", 0x066C: ","}


def in_western_digits(text: str) -> str:
    """Write Arabic, Persian, Thai, Devanagari and other decimal digits, and the marks between them, as 0 to 9.

    Examples
    --------
    >>> in_western_digits("۱۳۹۴"), in_western_digits("١٢٫٥"), in_western_digits("８６")
    ('1394', '12.5', '８６')
    """
    return text if text.isascii() else text.translate(_table())


def cells_in_western_digits(cells: np.ndarray) -> np.ndarray:
    """Return cells whose texts have no digits of other scripts; the same cells where none has."""
    foreign = [at for at, cell in np.ndenumerate(cells) if isinstance(cell, str) and in_western_digits(cell) != cell]
    if foreign:
        cells = cells.copy()
        for at in foreign:
            cells[at] = in_western_digits(str(cells[at]))
    return cells
