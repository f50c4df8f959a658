"""Where the parts of a table stand in its sheet: notes above, header rows, rows of data, notes below."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalaid.base.names import KEY_ROLES
from evalaid.reading.files.grids import Grid
from evalaid.reading.places.regions import Region, find_region
from evalaid.reading.values.kinds import CellKind, classify, find_role, find_unit_note, is_unit, plain

_PLACE = re.compile(r".{1,}(县|市|区|旗|州|盟|地区|林区|特区)")


@dataclass(frozen=True)
class Note:
    """Hold a title or a note and where it stands, from zero."""

    row: int
    column: int
    text: str


@dataclass(frozen=True)
class TableBlock:
    """Hold where the parts of a table stand; rows count from zero."""

    header: tuple[int, int]  # first and last row of the header
    data: tuple[int, int]  # first and last row below the header that may hold data
    # the header of every column, from the top row to the bottom row, each text once
    paths: tuple[tuple[str, ...], ...]
    above: tuple[Note, ...]  # titles and notes
    below: tuple[Note, ...]  # titles and notes
    # cells of the header that stand blank and were taken to belong to the cell on their left
    filled: tuple[str, ...] = ()


def find_unit(notes: Sequence[Note]) -> Note | None:
    """Find the note that says the unit of the table (``单位：万人次``).

    Examples
    --------
    >>> find_unit([Note(0, 0, "表1"), Note(1, 3, "单位：万人次")])
    Note(row=1, column=3, text='万人次')
    >>> find_unit([Note(0, 0, "填报单位：科技处"), Note(0, 3, "单位：人次")]).text
    '人次'
    """
    for note in notes:
        text = plain(note.text)
        if found := find_unit_note(text):
            return Note(note.row, note.column, found["unit"].rstrip(")。"))
        if is_unit(bare := text.strip("()[]")):
            return Note(note.row, note.column, bare)
    return None


def find_block(
    grid: Grid, header: tuple[int, int] | None = None, data: tuple[int, int] | None = None
) -> TableBlock | None:
    """Find the header and the rows of data of a sheet.

    Assumes one table per sheet, its header above its rows. The first row of data is the first with a number, or with the name of
    a place under a header; the header is the row of texts above it with the rows that stand on it.
    """
    cells = fill_down(grid)
    kinds = np.array([[classify(value) for value in row] for row in cells], dtype=np.int8).reshape(cells.shape)
    if header is None:
        header = _find_header(cells, kinds, data)
    if header is None:
        return None
    body = _find_body(kinds, header[1]) if data is None else data
    if body is None:
        return None
    paths, filled = _read_paths(grid, cells, header)
    above = _notes(cells, range(header[0]))
    below = _notes(cells, range(body[1] + 1, len(cells)))
    return TableBlock(header, body, paths, above, below, filled)


def fill_down(grid: Grid) -> np.ndarray:
    """Return the cells with every value repeated over its merged range."""
    cells = grid.cells.copy()
    for top, left, bottom, right in grid.merged:
        if top < cells.shape[0] and left < cells.shape[1]:
            cells[top : bottom + 1, left : right + 1] = cells[top, left]
    return cells


def is_numbering(cells: np.ndarray) -> bool:
    """Return whether a row numbers the columns (甲, 乙, 1, 2, 3).

    Examples
    --------
    >>> is_numbering(np.array(["甲", "乙", 1, 2], dtype=object)), is_numbering(np.array(["始兴县", 1, 2], dtype=object))
    (True, False)
    """
    texts = [text.strip("()") for value in cells if (text := plain(value))]
    if any(len(text) > 3 for text in texts):
        return False
    numbers = [int(text) for text in texts if text.isdigit()]
    others = [text for text in texts if not text.isdigit()]
    return (
        len(numbers) > 1
        and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        and numbers[0] <= 3
        and all(text in "甲乙丙丁ABCD" or text == "栏次" for text in others)
    )


def _find_header(cells: np.ndarray, kinds: np.ndarray, data: tuple[int, int] | None) -> tuple[int, int] | None:
    first = _first_data(cells, kinds) if data is None else data[0]
    if first is None:
        return None
    last = next((row for row in range(first - 1, -1, -1) if is_header(cells[row], kinds[row])), None)
    if last is None:
        return None
    same = [plain(value) for value in cells[last]]
    last = next(row for row in range(last + 1) if [plain(value) for value in cells[row]] == same)  # it may be repeated
    top = last
    while (
        top > 0
        and (is_header(cells[top - 1], kinds[top - 1]) or _is_dates(kinds[top - 1]))
        and not _is_title(cells[top - 1], cells[top])
    ):
        top -= 1
    return top, last


def _first_data(cells: np.ndarray, kinds: np.ndarray) -> int | None:
    for row in range(len(cells)):
        if is_numbering(cells[row]) or (kinds[row] == CellKind.NOTE).any():
            continue
        filled = int((kinds[row] != CellKind.BLANK).sum())
        figures = np.isin(kinds[row], [CellKind.NUMBER, CellKind.MISSING]).any()
        names = [plain(cells[row, column]) for column in np.flatnonzero(kinds[row] == CellKind.TEXT)]
        place = bool(names) and _PLACE.fullmatch(names[0]) and not find_role(names[0])
        if filled > 1 and (figures or (place and np.isin(kinds[row], [CellKind.YEAR, CellKind.PERIOD]).any())):
            return row
    return None


def is_header(cells: np.ndarray, kinds: np.ndarray) -> bool:
    """Return whether a row holds several headers and no figure (a row that numbers the columns is part of the header)."""
    if (kinds == CellKind.NOTE).any():
        return False
    if is_numbering(cells):
        return True
    texts = list(dict.fromkeys(plain(cells[column]) for column in np.flatnonzero(kinds != CellKind.BLANK)))
    return (
        len(texts) > 1
        and not _is_unreadable(texts, kinds)
        and not np.isin(kinds, [CellKind.NUMBER, CellKind.MISSING]).any()
    )


def _is_unreadable(texts: Sequence[str], kinds: np.ndarray) -> bool:
    """Return whether a row is one of data whose figures are words: it begins with a county's name and no other stands in it."""
    if not _PLACE.fullmatch(texts[0]) or find_role(texts[0]) or np.isin(kinds, [CellKind.YEAR, CellKind.PERIOD]).any():
        return False
    places = [isinstance(find_region(text), Region) for text in texts]
    return places[0] and not any(places[1:]) and not any(map(find_role, texts))


def _is_dates(kinds: np.ndarray) -> bool:
    filled = kinds[kinds != CellKind.BLANK]
    return len(filled) > 0 and bool(np.isin(filled, [CellKind.YEAR, CellKind.PERIOD]).all())


def _is_title(row: np.ndarray, below: np.ndarray) -> bool:
    """Return whether a row is a title over the first column or left of it, alone or with a unit at the side."""
    first, *others = [column for column, value in enumerate(row) if plain(value)]
    above_first = first <= next((at for at, value in enumerate(below) if plain(value)), -1)
    side = [plain(row[column]).strip("()") for column in others]
    return above_first and len(side) < 2 and all(map(is_unit, side)) and find_role(plain(row[first])) not in KEY_ROLES


def _find_body(kinds: np.ndarray, header: int) -> tuple[int, int] | None:
    figures = np.isin(kinds, [CellKind.NUMBER, CellKind.MISSING, CellKind.YEAR, CellKind.PERIOD]).any(axis=1)
    figures &= (kinds != CellKind.BLANK).sum(axis=1) > 1
    rows = np.flatnonzero(figures)
    rows = rows[rows > header]
    return (header + 1, int(rows[-1])) if len(rows) else None


def _read_paths(
    grid: Grid, cells: np.ndarray, header: tuple[int, int]
) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    rows = [row for row in range(header[0], header[1] + 1) if not is_numbering(cells[row])]
    texts = [[plain(value) for value in cells[row]] for row in rows]
    merged = any(top <= header[1] and bottom >= header[0] for top, _, bottom, _ in grid.merged)
    filled = []
    if not merged:  # a text file, or a sheet whose author left blank what belongs to the cell on its left
        for place, row in enumerate(texts[:-1]):
            for column in range(1, len(row)):
                same = all(above[column] == above[column - 1] for above in texts[:place])
                if not row[column] and row[column - 1] and same and texts[-1][column]:
                    left = row[column - 1]
                    if find_role(left) and not texts[-1][column - 1]:
                        continue  # the left one is the header of its own column alone
                    row[column] = left
                    filled.append(grid.address(rows[place], column))
    paths = []
    for column in range(cells.shape[1]):
        path: list[str] = []
        for row in texts:
            if row[column] and (not path or path[-1] != row[column]):
                path.append(row[column])
        paths.append(tuple(path))
    return tuple(paths), tuple(filled)


def _notes(cells: np.ndarray, rows: range) -> tuple[Note, ...]:
    notes = []
    for row in rows:
        before = ""
        for column, value in enumerate(cells[row]):
            text = "" if value is None else str(value).strip()
            if text and text != before:
                notes.append(Note(row, column, text))
                before = text
    return tuple(notes)
