"""A sheet of any file as a rectangle of cells, exactly as it stands there: `open_grids`."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evalaid.reading.delimited import split
from evalaid.reading.encodings import decode
from evalaid.reading.snapshot import Limits, Snapshot, fault, take

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""What a text may not begin with in a file that a spreadsheet will open: it would be taken for a formula."""


WORKBOOKS = frozenset({".xlsx", ".xlsm", ".xls", ".ods"})
TEXTS = frozenset({".csv", ".tsv", ".txt"})


@dataclass(frozen=True, eq=False)
class Grid:
    """Hold one sheet, cell by cell, unchanged.

    Parameters
    ----------
    file : str
        Name of the file without its folder.
    sheet : str
        Name of the sheet; empty for a text file.
    cells : numpy.ndarray
        (rows, columns) object: None, str, int, float, bool, date or datetime. Texts are neither stripped nor changed.
        Position (0, 0) is cell A1.
    merged : tuple of tuples
        Merged ranges (top, left, bottom, right), inclusive, counted from zero; the value stands in the top-left cell.
    encoding : str
        Encoding of a text file, as Python names it; empty for a workbook.
    notes : tuple of str
        What was decided while opening, one sentence each.
    sha256 : str
        Hash of the file.
    """

    file: str
    sheet: str
    cells: np.ndarray
    merged: tuple[tuple[int, int, int, int], ...] = ()
    encoding: str = ""
    notes: tuple[str, ...] = ()
    sha256: str = ""

    def address(self, row: int, column: int) -> str:
        """Name a cell as a spreadsheet does.

        Parameters
        ----------
        row, column : int
            Position in ``cells``, from zero.

        Returns
        -------
        str
            For example ``"B7"``.

        Examples
        --------
        >>> Grid("a.csv", "", make_cells([["x"]])).address(6, 1)
        'B7'
        """
        return cell_address(row, column)


def open_grids(
    path: Path | str,
    sheet: str | None = None,
    *,
    limits: Limits | None = None,
    encoding: str | None = None,
    separator: str | None = None,
) -> tuple[Grid, ...]:
    """Open a workbook or a text file, one grid for each sheet.

    Assumes nothing about what the sheets hold; cells are given as they stand.

    Parameters
    ----------
    path : Path or str
        A file: xlsx, xlsm, xls, ods, csv, tsv or txt.
    sheet : str, optional
        Only this sheet. Default: all sheets with at least one value, in the order of the workbook.
    limits : Limits, optional
        How large a file may be.
    encoding, separator : str, optional
        Of a text file, when they are known. Default: detected, with the evidence in ``notes``.

    Returns
    -------
    tuple of Grid
        At least one.

    Raises
    ------
    ReadingError
        When the file cannot be opened, is no table, is larger than the limits, or changed while it was read.
    """
    limits = limits or Limits()
    snapshot = take(path, limits)
    kind = snapshot.path.suffix.lower()
    if kind in WORKBOOKS:
        grids = _from_workbook(snapshot, sheet, limits)
    elif kind in TEXTS:
        grids = (_from_text(snapshot, limits, encoding, separator),)
    else:
        message = (
            f"{snapshot.file}: files that end in {kind or 'nothing'!r} are not read. Expected one of "
            f"{', '.join(sorted(WORKBOOKS | TEXTS))}: save the table as .xlsx."
        )
        raise fault(path, message, found="unknown kind of file", expected="a workbook or a text file")
    snapshot.check_unchanged()
    return tuple(replace(grid, sha256=snapshot.sha256) for grid in grids)


def _from_text(snapshot: Snapshot, limits: Limits, encoding: str | None, separator: str | None) -> Grid:
    decoded = decode(snapshot.path, snapshot.content, encoding)
    fields = split(snapshot.path, decoded.text, limits, separator)
    cells = make_cells(fields.rows)
    return Grid(snapshot.file, "", cells, (), decoded.encoding, (decoded.note, fields.note))


def _from_workbook(snapshot: Snapshot, sheet: str | None, limits: Limits) -> tuple[Grid, ...]:
    import io

    import python_calamine

    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(snapshot.content))
    grids = []
    for name in book.sheet_names if sheet is None else [sheet]:
        part = book.get_sheet_by_name(name)
        cells = make_cells(part.to_python(skip_empty_area=False))
        merged = tuple((top, left, bottom, right) for (top, left), (bottom, right) in part.merged_cell_ranges or ())
        if cells.size:
            grids.append(Grid(snapshot.file, name, cells, merged))
    return tuple(grids)


def cell_address(row: int, column: int) -> str:
    """Name a cell as a spreadsheet does.

    Parameters
    ----------
    row, column : int
        Position, from zero.

    Returns
    -------
    str
        Letters of the column, number of the row.

    Examples
    --------
    >>> cell_address(0, 0), cell_address(6, 27), cell_address(1048575, 16383)
    ('A1', 'AB7', 'XFD1048576')
    """
    letters = ""
    number = column + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row + 1}"


def make_cells(rows: Sequence[Sequence[Any]]) -> np.ndarray:
    """Make a rectangle from rows of any length; an empty text is no value.

    Parameters
    ----------
    rows : sequence of sequences
        Values of each row.

    Returns
    -------
    numpy.ndarray
        (rows, longest row) object, None where nothing stands.

    Examples
    --------
    >>> make_cells([["a", ""], [1, 2, 3]]).tolist()
    [['a', None, None], [1, 2, 3]]
    """
    cells = np.full((len(rows), max(map(len, rows), default=0)), None, dtype=object)
    for at, row in enumerate(rows):
        cells[at, : len(row)] = [
            None if value is None or (isinstance(value, str) and not value) else value for value in row
        ]
    return cells


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
    plain = unicodedata.normalize("NFKC", text).lstrip(" ")
    return f"'{text}" if plain.startswith(FORMULA_SIGNS) else text
