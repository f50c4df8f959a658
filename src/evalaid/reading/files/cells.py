"""Cells of a table: their names, a rectangle of them, and a text that no spreadsheet takes for a formula."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

FORMULA_SIGNS = ("=", "+", "-", "@")
"""What a text may not begin with in a file that a spreadsheet will open: it would be taken for a formula."""


def cell_address(row: int, column: int) -> str:
    """Return the name of a cell as a spreadsheet does.

    Examples
    --------
    >>> cell_address(0, 0), cell_address(6, 27), cell_address(1048575, 16383)
    ('A1', 'AB7', 'XFD1048576')
    """
    return f"{column_letters(column)}{row + 1}"


def column_letters(column: int) -> str:
    """Return the name of a column, counted from zero, by its letters.

    Examples
    --------
    >>> column_letters(0), column_letters(27)
    ('A', 'AB')
    """
    letters = ""
    number = column + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def column_number(letters: str) -> int:
    """Count a column from zero by its letters.

    Examples
    --------
    >>> column_number("A"), column_number("AB")
    (0, 27)
    """
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number - 1


def cell_place(address: str) -> tuple[int, int]:
    """Find a cell's row and column, from zero, by its name.

    Examples
    --------
    >>> cell_place("A1"), cell_place("AB7")
    ((0, 0), (6, 27))
    """
    letters = address.rstrip("0123456789")
    return int(address[len(letters) :]) - 1, column_number(letters)


def make_cells(rows: Sequence[Sequence[Any]]) -> np.ndarray:
    """Make a rectangle from rows of any length; an empty text is no value.

    Examples
    --------
    >>> make_cells([["a", ""], [1, 2, 3]]).tolist()
    [['a', None, None], [1, 2, 3]]
    """
    import numpy as np

    cells = np.full((len(rows), max(map(len, rows), default=0)), None, dtype=object)
    for at, row in enumerate(rows):
        cells[at, : len(row)] = [
            None if value is None or (isinstance(value, str) and not value) else value for value in row
        ]
    return cells


def has_value(cells: np.ndarray) -> bool:
    """Return whether anything but blanks stands in a rectangle.

    Examples
    --------
    >>> has_value(make_cells([["", None, "　"]])), has_value(make_cells([[0]]))
    (False, True)
    """
    return any(cell is not None and (not isinstance(cell, str) or not cell.isspace()) for cell in cells.flat)


def harmless(text: str) -> str:
    """Write a text so that no spreadsheet takes it for a formula.

    Assumes that the text goes into a csv file or a cell; a text that begins with a formula sign gets an apostrophe before
    it, which spreadsheets show as text. Numbers are written as numbers and do not come here.

    Parameters
    ----------
    text : str
        Text from a file, for example a name.

    Returns
    -------
    str
        The same text, or the text behind an apostrophe.

    Examples
    --------
    >>> harmless("=HYPERLINK(1)"), harmless("连南县"), harmless("\uff1d1+1")
    ("'=HYPERLINK(1)", '连南县', "'\uff1d1+1")
    """
    plain = unicodedata.normalize("NFKC", text).lstrip()
    return f"'{text}" if plain.startswith(FORMULA_SIGNS) or text.startswith(("\t", "\r", "\n")) else text
