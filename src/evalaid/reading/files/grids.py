"""A sheet of any file as a rectangle of cells, exactly as it stands there: `open_grids`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evalaid.reading.files.cells import cell_address, has_value, make_cells
from evalaid.reading.files.containers import HTML, TEXT, kind_of
from evalaid.reading.files.delimited import split
from evalaid.reading.files.encodings import decode
from evalaid.reading.files.endings import TEXTS, WORKBOOKS
from evalaid.reading.files.markup import read_tables
from evalaid.reading.files.snapshot import Limits, Snapshot, fault, take
from evalaid.reading.files.workbooks import read_sheets


@dataclass(frozen=True, eq=False)
class Grid:
    """Hold one sheet, cell by cell, unchanged."""

    file: str  # name of the file without its folder
    sheet: str  # name of the sheet; empty for a text file
    # (rows, columns) object: None, str, int, float, bool, date or datetime. Texts are neither stripped nor
    # changed. Position (0, 0) is cell A1
    cells: np.ndarray
    # merged ranges (top, left, bottom, right), inclusive, counted from zero; the value stands in the top-left
    # cell
    merged: tuple[tuple[int, int, int, int], ...] = ()
    encoding: str = ""  # encoding of a text file, as Python names it; empty for a workbook
    notes: tuple[str, ...] = ()  # what was decided while opening, one sentence each
    sha256: str = ""  # hash of the file
    separator: str = ""  # of the fields of a text file

    def address(self, row: int, column: int) -> str:
        """Return the name of a cell as a spreadsheet does.

        Examples
        --------
        >>> from evalaid.reading.files.cells import make_cells
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
    """
    limits = limits or Limits()
    snapshot = take(path, limits)
    suffix = snapshot.path.suffix.lower()
    if suffix not in WORKBOOKS | TEXTS:
        message = (
            f"{snapshot.file}: files that end in {suffix or 'nothing'!r} are not read. Expected one of "
            f"{', '.join(sorted(WORKBOOKS | TEXTS))}: save the table as .xlsx."
        )
        raise fault(path, message, found="unknown kind of file", expected="a workbook or a text file")
    kind = kind_of(snapshot, limits)
    if kind == HTML:
        grids = _from_page(snapshot, sheet, limits, encoding)
    elif kind == TEXT:
        grids = (_from_text(snapshot, sheet, limits, encoding, separator),)
    else:
        sheets = read_sheets(snapshot, kind, sheet, limits)
        grids = tuple(Grid(snapshot.file, part.name, part.cells, part.merged, "", part.notes) for part in sheets)
    snapshot.check_unchanged()
    named = "xlsx" if suffix == ".xlsm" else suffix[1:] if suffix in WORKBOOKS else TEXT
    odd = () if named == kind else (f"The file is named {suffix} but holds {_HOLDS[kind]}; it was read as that.",)
    return tuple(replace(grid, notes=(*odd, *grid.notes), sha256=snapshot.sha256) for grid in grids)


_HOLDS = {
    "xlsx": "an xlsx workbook",
    "xls": "an xls workbook",
    "ods": "an ods workbook",
    HTML: "a web page with tables",
    TEXT: "text",
}


def _from_text(
    snapshot: Snapshot, sheet: str | None, limits: Limits, encoding: str | None, separator: str | None
) -> Grid:
    if sheet:
        message = f"{snapshot.file}: a text file has no sheets, {sheet!r} was asked for. Leave the sheet out."
        raise fault(snapshot.path, message, found="no sheets", expected="no sheet", sheet=sheet)
    decoded = decode(snapshot.file, snapshot.content, encoding)
    fields = split(snapshot.file, decoded.text, limits, separator)
    cells = make_cells(fields.rows)
    if not has_value(cells):
        message = f"{snapshot.file}: the file has no values, only blanks. Expected a table: export it again."
        raise fault(snapshot.path, message, found="no values", expected="a table with values")
    return Grid(snapshot.file, "", cells, (), decoded.encoding, (decoded.note, fields.note), separator=fields.separator)


def _from_page(snapshot: Snapshot, sheet: str | None, limits: Limits, encoding: str | None) -> tuple[Grid, ...]:
    decoded = decode(snapshot.file, snapshot.content, encoding)
    tables = read_tables(decoded.text, limits.cells)
    if not tables:
        message = (
            f"{snapshot.file}: this is a web page without a table (a page of login or of an error?). Expected a table: "
            "download the file again, or open it in Excel and save it as .xlsx."
        )
        raise fault(snapshot.path, message, found="a web page without a table", expected="a table")
    grids = []
    for at, table in enumerate(tables, start=1):
        if table.rows * table.columns > limits.cells:
            message = f"{snapshot.file}: table {at} of the page has more than {limits.cells:,} cells. Save it as .csv."
            raise fault(snapshot.path, message, found="too many cells", expected=f"at most {limits.cells:,} cells")
        cells = np.full((table.rows, table.columns), None, dtype=object)
        for place, text in table.cells.items():
            cells[place] = text
        name = f"table {at}" if len(tables) > 1 else ""
        merged = tuple((top, left, min(bottom, table.rows - 1), right) for top, left, bottom, right in table.merged)
        grids.append(Grid(snapshot.file, name, cells, merged, decoded.encoding, (decoded.note,)))
    chosen = tuple(grid for grid in grids if sheet in {None, "", grid.sheet})
    if not chosen:
        message = f"{snapshot.file}: the page has no table {sheet!r}. Expected 'table 1' to 'table {len(tables)}'."
        raise fault(snapshot.path, message, found="unknown table", expected="a table of the page", sheet=sheet or "")
    return chosen
