"""The tables of one sheet, beside or below each other: each as a grid of its own, with what stands outside all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from evalaid.base.names import CITY, CODE, NAME, PROVINCE, SERIAL
from evalaid.reading.files.cells import cell_address, cell_place
from evalaid.reading.files.grids import Grid
from evalaid.reading.journal.layouts import FileLayout, TableLayout
from evalaid.reading.tables.column_roles import is_value, read_header
from evalaid.reading.tables.headers import TableBlock, fill_down, find_block, is_header
from evalaid.reading.values.kinds import LONGEST_HEADER, CellKind, classify, find_role, plain, split_period

_KEYS = {NAME, CODE, CITY, PROVINCE, SERIAL}


@dataclass(frozen=True)
class SheetArea:
    """Hold one table of a sheet."""

    grid: Grid  # the sheet with the cells of its other tables blank; addresses are those of the sheet
    table: TableLayout | None  # what the layout says about it; with its ``area`` where the sheet has several
    because: str = ""  # why the sheet was taken apart; empty when it has one table or the layout says it


@dataclass(frozen=True)
class CellArea:
    """Hold where a table stands, inclusive, from zero."""

    top: int
    left: int
    bottom: int
    right: int

    def __str__(self) -> str:
        return f"{cell_address(self.top, self.left)}:{cell_address(self.bottom, self.right)}"

    @classmethod
    def of(cls, text: str) -> CellArea:
        """Read an area such as ``A2:C14``."""
        one, other = (cell_place(corner) for corner in text.split(":"))
        return cls(one[0], one[1], other[0], other[1])


def split_sheet(grid: Grid, layout: FileLayout) -> list[SheetArea]:
    """Take a sheet apart into its tables.

    Assumes that tables below each other have headers of their own, with another title or other columns, and that tables beside
    each other have columns of counties of their own. Titles and notes outside all tables belong to each of them. A sheet whose
    rows or columns the layout names is taken as it says.
    """
    given = [table for table in layout.tables if table.file in (None, grid.file) and table.sheet in (None, grid.sheet)]
    if any(table.area for table in given):
        stated = [table for table in given if table.area]
        areas = [CellArea.of(str(table.area)) for table in stated]
        return [SheetArea(_mask(grid, area, areas), table) for area, table in zip(areas, stated, strict=True)]
    table = given[0] if given else None
    if table is not None and (not table.read or table.header_rows or table.data_rows or table.columns):
        return [SheetArea(grid, table)]
    areas, because = _find_areas(grid)
    if len(areas) < 2:
        return [SheetArea(grid, table)]
    said = f"{because}; tables stand in {', '.join(map(str, areas))}"
    return [
        SheetArea(
            replace(_mask(grid, area, areas), notes=() if place else grid.notes),
            replace(table or TableLayout(), area=str(area)),
            said,
        )
        for place, area in enumerate(areas)
    ]


def _mask(grid: Grid, area: CellArea, areas: Sequence[CellArea]) -> Grid:
    """Blank the cells of all other tables, and what stands beside this one."""
    cells = grid.cells.copy()
    beside = cells[area.top : area.bottom + 1]
    beside[:, : area.left] = None
    beside[:, area.right + 1 :] = None
    for other in areas:
        if other != area:
            cells[other.top : other.bottom + 1, other.left : other.right + 1] = None
    merged = tuple(
        (top, left, bottom, right)
        for top, left, bottom, right in grid.merged
        if not any(
            other != area and other.top <= top <= other.bottom and other.left <= left <= other.right for other in areas
        )
    )
    return replace(grid, cells=cells, merged=merged)


def _find_areas(grid: Grid) -> tuple[list[CellArea], str]:
    """Find the tables below each other, and in each those beside each other."""
    bands = _find_bands(grid) if _headers_below(grid) else [(0, len(grid.cells) - 1)]
    whole = [CellArea(top, 0, bottom, grid.cells.shape[1] - 1) for top, bottom in bands]
    areas: list[CellArea] = []
    because = ["a header stands below figures"] if len(bands) > 1 else []
    for place, band in enumerate(whole):
        own = _mask(grid, band, whole)
        head = find_block(
            replace(own, cells=own.cells[band.top : band.top + _HEAD] if place else own.cells[:_HEAD], merged=())
        )
        beside = [] if head is None else _find_beside(head)
        block = find_block(own) if beside else None
        if block is None:
            areas.append(band)
            continue
        if not because or because[-1] != _BESIDE:
            because.append(_BESIDE)
        top = block.header[0]
        edges = [*beside, grid.cells.shape[1]]
        areas += [CellArea(top, left, block.data[1], right - 1) for left, right in pairwise(edges)]
    return areas, " and ".join(because)


_HEAD = 300
"""The header of a table stands within so many rows from its top."""
_BESIDE = "the header names counties several times, each with figures beside it"


def _headers_below(grid: Grid) -> bool:
    """Return quickly whether several rows name a column of counties."""
    texts = {value for value in grid.cells.flat if isinstance(value, str)}
    names = {text for text in texts if len(text) <= LONGEST_HEADER and find_role(plain(text)) in {NAME, CODE}}
    return (
        sum(any(value in names for value in row if isinstance(value, str)) for row in grid.cells) > 1
        if names
        else False
    )


def _find_bands(grid: Grid) -> list[tuple[int, int]]:
    """Find the rows of each of several tables below each other; empty title rows above the first belong to all."""
    block = find_block(grid)
    if block is None:
        return [(0, len(grid.cells) - 1)]
    cells = fill_down(grid)
    kinds = np.array([[classify(value) for value in row] for row in cells], dtype=np.int8).reshape(cells.shape)
    figures = np.isin(kinds, [CellKind.NUMBER, CellKind.MISSING]).any(axis=1) & (
        (kinds != CellKind.BLANK).sum(axis=1) > 1
    )
    first = {_row_texts(cells[row]) for row in range(block.header[0], block.header[1] + 1)}
    starts: list[int] = []
    dated_below = False
    for row, last in _further_headers(block, cells, kinds):
        before = [at for at in range(block.header[1] + 1, row) if figures[at]]
        if not before or not any(figures[last + 1 : block.data[1] + 1]):
            continue
        begin = before[-1] + 1
        dated = any(split_period(text)[0] for at in range(begin, row) for text in _row_texts(cells[at]) if text)
        if dated or any(_row_texts(cells[at]) not in first for at in range(row, last + 1)):
            dated_below |= dated
            starts.append(next((at for at in range(begin, row) if any(_row_texts(cells[at]))), row))
    if not starts:
        return [(0, len(cells) - 1)]
    top = block.header[0]
    if dated_below:  # the lowest title with a period is the first table's own
        dates = [at for at in range(top) if any(split_period(text)[0] for text in _row_texts(cells[at]) if text)]
        top = dates[-1] if dates else top
    edges = [top, *starts, block.data[1] + 1]
    return [(begin, end - 1) for begin, end in pairwise(edges)]


def _row_texts(cells: np.ndarray) -> tuple[str, ...]:
    return tuple(plain(value) for value in cells)


def _further_headers(block: TableBlock, cells: np.ndarray, kinds: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield first and last row of every header below the first that names a column of counties."""
    row = block.data[0]
    while row <= block.data[1]:
        if is_header(cells[row], kinds[row]) and any(
            find_role(text) in {NAME, CODE} for text in _row_texts(cells[row])
        ):
            last = row
            while last < block.data[1] and is_header(cells[last + 1], kinds[last + 1]):
                last += 1
            yield row, last
            row = last
        row += 1


def _find_beside(block: TableBlock) -> list[int]:
    """Find the first column of each of several tables beside each other; empty when there is one."""
    reads = [read_header(path) for path in block.paths]
    names = [column for column, header in enumerate(reads) if header.read == NAME]
    names = names or [column for column, header in enumerate(reads) if header.read == CODE]
    starts = []
    for name in names:
        start = name
        while start and reads[start - 1].read in _KEYS - {NAME}:
            start -= 1
        starts.append(start)
    edges = [*starts, len(reads)]
    for left, right in pairwise(edges):
        if not any(is_value(header.read) or (header.period and not header.words) for header in reads[left:right]):
            return []
    return starts if len(starts) > 1 else []
