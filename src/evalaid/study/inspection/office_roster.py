"""Is this file a roster of partnerships? Its layout, every decision, and every fault with its cell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.base.names import CODE, HOSPITAL, NAME, START
from evalaid.reading.files.cells import column_letters
from evalaid.reading.files.endings import TEXTS, WORKBOOKS
from evalaid.reading.files.grids import open_grids
from evalaid.reading.files.snapshot import readable_name
from evalaid.reading.journal.decisions import DECISION_COLUMNS
from evalaid.reading.journal.layouts import ColumnLayout, FileLayout, TableLayout
from evalaid.reading.rosters.roster_headers import STARTS
from evalaid.reading.rosters.rosters import Partnerships, read_partnerships
from evalaid.reading.tables.tables import LayoutError


@dataclass(frozen=True)
class RosterInspection:
    """What was found in a roster as an office keeps it.

    Parameters
    ----------
    file : str
        Its name.
    layout : FileLayout
        The layout that was used, or as far as it was detected.
    decisions, left_out, faults : pandas.DataFrame
        As in `evalaid.reading.rosters.rosters.Partnerships`; the faults are those that stop the reading, or those to look at.
    partnerships : Partnerships or None
        What was read, None when faults stop it.
    message : str
        The faults in words.
    """

    file: str
    layout: FileLayout
    decisions: pd.DataFrame
    left_out: pd.DataFrame
    faults: pd.DataFrame
    partnerships: Partnerships | None = None
    message: str = ""

    @property
    def usable(self) -> bool:
        """Whether it can be read."""
        return self.partnerships is not None

    def text(self) -> str:
        """Describe what the file holds, or why it cannot be used."""
        what = f"{self.file}: a roster of partnerships, {len(self.decisions):,} decisions taken."
        if self.partnerships is None:
            return f"Not usable as it stands. {what}\n{self.message}"
        frame = self.partnerships.frame
        verdict = (
            f"Usable roster: partnerships: {len(frame):,}; units: {frame['unit'].nunique():,}; dates: "
            f"{', '.join(self.partnerships.dates)}."
        )
        lines = [verdict, what]
        if len(self.left_out):
            lines.append(f"Left out: {len(self.left_out):,} rows.")
        if len(self.faults):
            lines.append(f"To look at: {len(self.faults):,} (listed below); they do not stop the reading.")
        return "\n".join([*lines, f"With a panel of its units: evalaid new NAME --panel PANEL --roster {self.file}"])


def inspect_roster(path: Path, *, layout: Path | FileLayout | None = None) -> RosterInspection | None:
    """Read a file as a roster of partnerships.

    Parameters
    ----------
    path : Path
    layout : Path or FileLayout, optional
        Default: everything is detected.

    Returns
    -------
    RosterInspection or None
        None when no header names units, the hospitals that support them and their starts.
    """
    if path.suffix.lower() not in WORKBOOKS | TEXTS:
        return None
    file = readable_name(path.name)
    try:
        found = read_partnerships(path, layout)
    except LayoutError as error:
        if layout is None and error.n_units == 0:  # no county among them: perhaps units of another kind
            again = inspect_roster(path, layout=FileLayout(units="as_written"))
            if again is not None and again.usable:
                row = (file, "", "", "units", "taken as they are written", "none of them is a county of GB/T 2260")
                decided = pd.DataFrame([row], columns=DECISION_COLUMNS)
                return replace(again, decisions=pd.concat([decided, again.decisions], ignore_index=True))
        columns = {column.read for table in error.layout.tables for column in table.columns}
        dated = HOSPITAL in columns or "year_begins" in str(error)  # fiscal years are asked about in a column of starts
        if not (columns & {NAME, CODE} and dated and columns & set(STARTS)):
            return None
        faults = pd.DataFrame() if error.rows is None else error.rows
        return RosterInspection(file, error.layout, error.decisions, error.left_out, faults, message=str(error))
    except ReadingError:
        return None
    if not found.dates or (found.frame[HOSPITAL].isna().all() and not found.frame["unit"].is_unique):
        return None  # units that repeat without a hospital are a panel's
    return RosterInspection(file, found.layout, found.decisions, found.left_out, found.faults, found)


def name_columns(path: Path, unit: str | None, start: str | None, given: FileLayout) -> FileLayout:
    """Return a layout in which the columns of the units and of the starts are named by their headers, in the first row.

    Raises
    ------
    ReadingError
        If the first row has no such header; with those that it has.
    """
    grid = open_grids(path)[0]
    headers = [" ".join(str(cell).split()) if cell is not None else "" for cell in grid.cells[0]]
    wanted = {NAME: unit, START: start}
    missing = [header for header in wanted.values() if header is not None and header not in headers]
    if missing:
        listed = ", ".join(filter(None, headers))
        raise ReadingError(f"{grid.file} has no column {', '.join(missing)} in its first row; it has {listed}.")
    columns = tuple(
        ColumnLayout(column_letters(headers.index(header)), role)
        for role, header in wanted.items()
        if header is not None
    )
    table = TableLayout(file=grid.file, sheet=grid.sheet or None, header_rows=(1, 1), columns=columns)
    return replace(given, tables=(table,))
