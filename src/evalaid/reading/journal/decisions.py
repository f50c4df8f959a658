"""What was decided while a file was read, and why: the provenance of a reading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from typing import Any

import pandas as pd

from evalaid.reading.files.grids import Grid
from evalaid.reading.values.spans import Reckoning

DECISION_COLUMNS = ["file", "sheet", "cell", "what", "decided", "because"]
LEFT_OUT_COLUMNS = ["file", "sheet", "row", "cell", "value", "reason"]


@dataclass(frozen=True)
class Decision:
    """Hold one thing that was decided about a file."""

    file: str  # where; empty when it is about the whole sheet, file or reading
    sheet: str  # where; empty when it is about the whole sheet, file or reading
    cell: str  # where; empty when it is about the whole sheet, file or reading
    what: str  # what was in question
    decided: str  # the answer
    because: str  # the evidence


@dataclass(frozen=True)
class Fault:
    """Hold one thing that is wrong in a file, or that a person should look at."""

    file: str  # where
    sheet: str  # where
    row: int | None  # number of the row as a spreadsheet shows it; None when the fault is about more than a row
    cell: str  # cell or cells; empty when it is about more than cells
    value: str  # what stands there
    fault: str  # what was found, without a full stop
    expected: str  # what was expected and what settles it, without a full stop


@dataclass(frozen=True)
class LeftOut:
    """Hold one row or value that was not read as data."""

    file: str  # where
    sheet: str  # where
    row: int | None  # number of the row as a spreadsheet shows it
    cell: str  # cell, when it is one value and not the row
    value: str  # what stands there
    reason: str  # why it is no data


@dataclass
class Journal:
    """Collect what was decided, found and left out while one sheet is read."""

    grid: Grid
    decisions: list[Decision] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    reckoning: Reckoning = field(default_factory=Reckoning)  # what the layout says about periods

    def decide(self, cell: str, what: str, decided: str, because: str) -> None:
        """Record a decision about this sheet."""
        self.decisions.append(Decision(self.grid.file, self.grid.sheet, cell, what, decided, because))

    def fault(self, row: int | None, cell: str, value: object, fault: str, expected: str) -> None:
        """Record a fault; ``row`` counts from zero."""
        number = None if row is None else row + 1
        self.faults.append(Fault(self.grid.file, self.grid.sheet, number, cell, show(value), fault, expected))

    def leave(self, row: int, cell: str, value: object, reason: str) -> None:
        """Record a row or a cell that is not read; ``row`` counts from zero."""
        self.left_out.append(LeftOut(self.grid.file, self.grid.sheet, row + 1, cell, show(value), reason))


def leave(record: Any, reason: str) -> LeftOut:
    """Leave out a figure."""
    return LeftOut(record.file, record.sheet, int(record.row), record.cell, str(record.text), reason)


def fault_of(record: Any, fault: str, expected: str) -> Fault:
    """Return what is wrong with a figure."""
    return Fault(record.file, record.sheet, int(record.row), record.cell, str(record.text), fault, expected)


def show(value: object) -> str:
    """Write a cell as a person sees it.

    Examples
    --------
    >>> show(378302.0), show(0.869), show(" 连南县"), show(None)
    ('378302', '0.869', '连南县', '')
    """
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def tabulate(entries: Iterable[Decision | Fault | LeftOut], columns: list[str]) -> pd.DataFrame:
    """Lay decisions, faults or what was left out as a frame, in their order.

    Examples
    --------
    >>> tabulate([LeftOut("a.xlsx", "2019", 7, "", "合计", "a total")], LEFT_OUT_COLUMNS)["row"].tolist()
    [7]
    """
    frame = pd.DataFrame([astuple(entry) for entry in entries], columns=columns, dtype=object)
    return frame.astype({"row": "Int64"}) if "row" in columns else frame
