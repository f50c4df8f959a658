"""Text files of separated values: which separator, and the fields of every row."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from evalaid.reading.files.snapshot import Limits, fault

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", "，": "full-width comma"}
_RARE = frozenset(";\t|")
"""Separators that hardly stand inside a field, as a comma does."""
_TRIED_ROWS = 200
_REGULAR = 0.8
"""A separator fits when this share of the first rows has the same number of fields; titles and notes are the rest."""


@dataclass(frozen=True)
class Fields:
    """Hold the fields of a text file."""

    # fields of each row; a blank line is an empty row, so that the position is the row's number
    rows: list[list[str]]
    note: str  # which separator, and why
    separator: str = ","


def split(path: Path | str, text: str, limits: Limits, separator: str | None = None) -> Fields:
    r"""Split a text into rows and fields.

    Assumes the usual quoting: a field with separators, quotes or line ends stands in double quotes, quotes doubled.

    Examples
    --------
    >>> split("a.csv", "county;share\n连南县;86,9\n", Limits()).rows[1]
    ['连南县', '86,9']
    """
    chosen, note = (separator, "Separator as was asked for.") if separator else _detect(path, text)
    rows: list[list[str]] = []
    widest = 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=chosen, strict=True)
    try:
        for row in reader:
            rows.append(row)
            widest = max(widest, len(row))
            if len(rows) * widest > limits.cells:
                message = (
                    f"{Path(path).name}: more than {limits.cells:,} cells by line {reader.line_num:,}. If there is one row "
                    "for each discharge, count them with count_records; if it is a table, split it by year."
                )
                raise fault(path, message, found="too many cells", expected=f"at most {limits.cells:,} cells")
    except csv.Error as error:
        raise _broken(path, reader.line_num, str(error)) from error
    return Fields(rows, note, chosen)


def _detect(path: Path | str, text: str) -> tuple[str, str]:
    fits = {}
    for separator in SEPARATORS:
        counts = Counter(_widths(text, separator))
        if counts:
            width, rows = max(counts.items(), key=lambda item: (item[1], item[0]))
            if width > 1:
                fits[separator] = (rows / counts.total(), width, rows, counts.total())
    if not fits:
        return ",", "No separator was found: the file has one column."
    best = max(fits, key=lambda separator: fits[separator][:2])
    share, width, rows, total = fits[best]
    rivals = [name for name in fits if name != best and fits[name][0] >= _REGULAR and fits[name][0] >= share]
    if best in _RARE:  # commas stand inside fields: decimals, or "Lübeck, city"
        rivals = [name for name in rivals if name in _RARE]
    if share >= _REGULAR and rivals:
        shown = "; ".join(
            f"{SEPARATORS[name]}: {fits[name][1]} fields in {fits[name][2]} rows" for name in (best, *rivals)
        )
        message = (
            f"{Path(path).name}: two separators fit the first {total} rows alike ({shown}). Expected one: say which with "
            f"'separator: {json.dumps(best)}' in the layout, or put fields that contain it in double quotes."
        )
        raise fault(path, message, found="two separators fit", expected="one separator")
    return best, f"Fields are separated by {SEPARATORS[best]}: {rows} of the first {total} rows have {width} fields."


def _widths(text: str, separator: str) -> list[int]:
    widths = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for row in reader:
            if any(field.strip() for field in row):
                widths.append(len(row))
            if len(widths) >= _TRIED_ROWS:
                break
    except csv.Error:
        pass
    return widths


def _broken(path: Path | str, line: int, reason: str) -> Exception:
    message = (
        f"{Path(path).name}: the quotes do not fit by line {line:,} ({reason}). Expected every opening double quote to be "
        "closed and quotes inside a field to be doubled: correct the line, or save the table as .xlsx."
    )
    return fault(path, message, found=f"broken quoting by line {line}", expected="closed and doubled quotes")
