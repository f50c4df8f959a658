"""What was decided while a file was read, and why: the provenance of a reading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from typing import Any

import pandas as pd

from evalaid.reading.files.grids import Grid

DECISION_COLUMNS = ["file", "sheet", "cell", "what", "decided", "because"]
LEFT_OUT_COLUMNS = ["file", "sheet", "row", "cell", "value", "reason"]


@dataclass(frozen=True)
class Decision:
    """Say one thing that was decided about a file.

    Parameters
    ----------
    file, sheet, cell : str
        Where; empty when it is about the whole sheet, file or reading.
    what : str
        What was in question.
    decided : str
        The answer.
    because : str
        The evidence.
    """

    file: str
    sheet: str
    cell: str
    what: str
    decided: str
    because: str


@dataclass(frozen=True)
class Finding:
    """Say one thing that is wrong in a file, or that a person should look at.

    Parameters
    ----------
    file, sheet : str
        Where.
    row : int or None
        Number of the row as a spreadsheet shows it; None when the finding is about more than a row.
    cell : str
        Cell or cells; empty when it is about more than cells.
    value : str
        What stands there.
    fault : str
        What was found, without a full stop.
    expected : str
        What was expected and what settles it, without a full stop.
    """

    file: str
    sheet: str
    row: int | None
    cell: str
    value: str
    fault: str
    expected: str


@dataclass(frozen=True)
class LeftOut:
    """Say one row or value that was not read as data.

    Parameters
    ----------
    file, sheet : str
        Where.
    row : int or None
        Number of the row as a spreadsheet shows it.
    cell : str
        Cell, when it is one value and not the row.
    value : str
        What stands there.
    reason : str
        Why it is no data.
    """

    file: str
    sheet: str
    row: int | None
    cell: str
    value: str
    reason: str


@dataclass
class Journal:
    """Collect what was decided, found and left out while one sheet is read."""

    grid: Grid
    decisions: list[Decision] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def decide(self, cell: str, what: str, decided: str, because: str) -> None:
        """Note a decision about this sheet."""
        self.decisions.append(Decision(self.grid.file, self.grid.sheet, cell, what, decided, because))

    def find(self, row: int | None, cell: str, value: object, fault: str, expected: str) -> None:
        """Note a fault; ``row`` counts from zero."""
        number = None if row is None else row + 1
        self.findings.append(Finding(self.grid.file, self.grid.sheet, number, cell, show(value), fault, expected))

    def leave(self, row: int, cell: str, value: object, reason: str) -> None:
        """Note a row or a cell that is not read; ``row`` counts from zero."""
        self.left_out.append(LeftOut(self.grid.file, self.grid.sheet, row + 1, cell, show(value), reason))


def leave(record: Any, reason: str) -> LeftOut:
    """Leave out a figure.

    Parameters
    ----------
    record : row
        With ``file``, ``sheet``, ``row``, ``cell``, ``text`` (a row of `evalaid.reading.tables.sheet_values.RECORD_COLUMNS`).
    reason : str
        Why.

    Returns
    -------
    LeftOut
    """
    return LeftOut(record.file, record.sheet, int(record.row), record.cell, str(record.text), reason)


def find(record: Any, fault: str, expected: str) -> Finding:
    """Say what is wrong with a figure.

    Parameters
    ----------
    record : row
        As for `leave`.
    fault, expected : str
        As in `Finding`.

    Returns
    -------
    Finding
    """
    return Finding(record.file, record.sheet, int(record.row), record.cell, str(record.text), fault, expected)


def show(value: object) -> str:
    """Write a cell as a person sees it.

    Parameters
    ----------
    value : object
        A cell.

    Returns
    -------
    str
        Whole numbers without decimals; empty for a blank cell.

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


def tabulate(entries: Iterable[Decision | Finding | LeftOut], columns: list[str]) -> pd.DataFrame:
    """Lay decisions, findings or what was left out as a frame, in their order.

    Parameters
    ----------
    entries : iterable
        Of one kind.
    columns : list of str
        The fields of that kind.

    Returns
    -------
    pandas.DataFrame
        One row an entry; row numbers are nullable integers.

    Examples
    --------
    >>> tabulate([LeftOut("a.xlsx", "2019", 7, "", "合计", "a total")], LEFT_OUT_COLUMNS)["row"].tolist()
    [7]
    """
    frame = pd.DataFrame([astuple(entry) for entry in entries], columns=columns, dtype=object)
    return frame.astype({"row": "Int64"}) if "row" in columns else frame
