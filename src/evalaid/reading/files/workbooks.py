"""The sheets of a workbook with their values, merged ranges, and what a person should know about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.base.texts import counted, noun
from evalaid.reading.files.cells import cell_address, has_value, make_cells
from evalaid.reading.files.containers import ODS, XLS, XLSX, damaged, protected
from evalaid.reading.files.isolated import load_apart
from evalaid.reading.files.snapshot import FAULT_COLUMNS, Limits, Snapshot, fault
from evalaid.reading.files.workbook_facts import SheetFacts, facts_of_ods, facts_of_xls, facts_of_xlsx

_SHOWN = 5
_FACTS: dict[str, Callable[[Snapshot], dict[str, SheetFacts]]] = {
    XLSX: facts_of_xlsx,
    ODS: facts_of_ods,
    XLS: facts_of_xls,
}


@dataclass(frozen=True, eq=False)
class Sheet:
    """Hold one sheet."""

    name: str  # its name
    cells: np.ndarray  # (rows, columns) object
    merged: tuple[tuple[int, int, int, int], ...]  # (top, left, bottom, right), inclusive, from zero
    notes: tuple[str, ...]  # what a person should know


def read_sheets(snapshot: Snapshot, kind: str, sheet: str | None, limits: Limits) -> tuple[Sheet, ...]:
    """Read the sheets of a workbook.

    Assumes that the values that the spreadsheet program stored beside its formulas are right.
    """
    every = _FACTS[kind](snapshot)
    for name, facts in every.items():
        if sheet in {None, name}:
            _check_reach(snapshot, name, facts, limits)
            _check_formulas(snapshot, name, facts)
    odd = [name for name, facts in every.items() if not facts.rows]
    answer = load_apart(snapshot.content, sheet, odd)
    if "fault" in answer:
        raise protected(snapshot) if answer["fault"] == "password" else damaged(snapshot, answer["fault"])
    names = list(answer["sheets"])
    if sheet is not None and sheet not in names:
        raise _no_sheet(snapshot, sheet, names)
    shown = [name for name, (visible, *_) in answer["sheets"].items() if visible and every.get(name, SheetFacts()).rows]
    hidden = [name for name in names if shown and sheet is None and not answer["sheets"][name][0]]
    found = []
    left = limits.cells
    for name in [name for name in names if name not in hidden] if sheet is None else [sheet]:
        facts = every.get(name, SheetFacts())
        visible, rows, ranges = answer["sheets"].pop(name)
        cells = _as_shown(make_cells(rows), facts)
        if not has_value(cells):
            continue
        merged = {(top, left, bottom, right) for (top, left), (bottom, right) in ranges} | set(facts.merged)
        left -= cells.size
        if left < 0:
            raise _too_many(snapshot, name, f"{limits.cells - left:,} cells on the sheets up to it", limits)
        found.append(Sheet(name, cells, tuple(sorted(merged)), _notes(facts, name, visible=visible)))
    if not found:
        what = f"the sheet {sheet!r} is empty" if sheet is not None else "all sheets are empty"
        text = f"{snapshot.file}: {what}. Expected a table with values: check that the right file and sheet were named."
        raise fault(snapshot.path, text, found=what, expected="a table with values", sheet=sheet or "")
    empty = [name for name in names if sheet is None and name not in {*hidden, *(item.name for item in found)}]
    for left_out, why in ((empty, "are empty"), (hidden, "are hidden (to read one, name it)")):
        note = f"Left out, for they {why}: {', '.join(map(repr, left_out))}."
        found = [replace(item, notes=(*item.notes, note)) for item in found] if left_out else found
    return tuple(found)


def _as_shown(cells: np.ndarray, facts: SheetFacts) -> np.ndarray:
    """Write codes with the zeros that their format shows, and the text of an error where the library leaves nothing."""
    for at, digits in facts.padded.items():
        if isinstance(number := cells[at], int | float) and number == int(number):
            cells[at] = f"{int(number):0{digits}d}"
    if not facts.errors:
        return cells
    height = max(cells.shape[0], *(row + 1 for row, _ in facts.errors))
    width = max(cells.shape[1], *(column + 1 for _, column in facts.errors))
    wider = np.full((height, width), None, dtype=object)
    wider[: cells.shape[0], : cells.shape[1]] = cells
    for at, text in facts.errors.items():
        wider[at] = text
    return wider


def _check_reach(snapshot: Snapshot, name: str, facts: SheetFacts, limits: Limits) -> None:
    if facts.rows * facts.columns > limits.cells:
        raise _too_many(snapshot, name, f"values down to {cell_address(facts.rows - 1, facts.columns - 1)}", limits)


def _too_many(snapshot: Snapshot, name: str, found: str, limits: Limits) -> ReadingError:
    text = (
        f"{snapshot.file}, sheet {name!r}: {found}. Expected at most {limits.cells:,} cells. If a stray cell stands far from the "
        "table, delete its row and column; if there is one row for each discharge, save the sheet as .csv and count it with count_records."
    )
    return fault(snapshot.path, text, found=found, expected=f"at most {limits.cells:,} cells", sheet=name)


def _check_formulas(snapshot: Snapshot, name: str, facts: SheetFacts) -> None:
    if not facts.unvalued:
        return
    cells = [cell_address(*at) for at in facts.unvalued]
    text = (
        f"{snapshot.file}, sheet {name!r}: {counted(len(cells), 'formula')} without a stored value ({_first(cells)}): "
        "the file was written by a program that does not calculate. Expected values: open it in Excel or LibreOffice and save it, or "
        "export values; or name another sheet."
    )
    rows = [
        (snapshot.file, name, at[0] + 1, cell, None, "formula without a value", "a value")
        for at, cell in zip(facts.unvalued, cells, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=FAULT_COLUMNS)
    raise fault(snapshot.path, text, found="formulas without values", expected="values", rows=frame)


def _no_sheet(snapshot: Snapshot, sheet: str, names: list[str]) -> ReadingError:
    text = f"{snapshot.file}: there is no sheet {sheet!r}. Expected one of {', '.join(map(repr, names))}."
    return fault(snapshot.path, text, found="unknown sheet", expected="a sheet of the workbook", sheet=sheet)


def _notes(facts: SheetFacts, name: str, *, visible: bool) -> tuple[str, ...]:
    notes = []
    if not visible:
        notes.append(f"The sheet {name!r} is hidden; it was read all the same.")
    if rows := [str(row + 1) for row in facts.hidden_rows]:
        notes.append(
            f"{counted(len(rows), 'hidden row')} with values {noun(len(rows), 'was', 'were')} read all the same ({_first(rows)})."
        )
    if columns := [cell_address(0, column)[:-1] for column in facts.hidden_columns if column < facts.columns]:
        notes.append(
            f"{counted(len(columns), 'hidden column')} {noun(len(columns), 'was', 'were')} read all the same ({_first(columns)})."
        )
    if errors := [f"{cell_address(*at)} {text}" for at, text in facts.errors.items()]:
        notes.append(
            f"{counted(len(errors), 'cell holds', 'cells hold')} an error in place of a value ({_first(errors)})."
        )
    return tuple(notes)


def _first(found: list[str]) -> str:
    return ", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
