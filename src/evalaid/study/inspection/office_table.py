"""Is this table, as an office sends it, a usable panel? Its layout, every decision, and every fault with its cell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evalaid.base.errors import EvalaidError, PanelError
from evalaid.base.faults import FAULT_COLUMNS
from evalaid.base.names import INSIDE, OUTCOME, PERIOD, SHARE, TOTAL, UNIT
from evalaid.base.periods import label
from evalaid.did.panel.panel import Panel, read_panel
from evalaid.reading.files.snapshot import readable_name
from evalaid.reading.journal.layouts import Layout
from evalaid.reading.tables.tables import LayoutError, Reading, read_table
from evalaid.study.inspection.tidy_panel import without_gaps

_SHOWN = 12


@dataclass(frozen=True)
class TableInspection:
    """What was found in a table as an office sends it.

    Parameters
    ----------
    file : str
        Its name.
    layout : Layout
        The layout that was used, or as far as it was detected.
    decisions, left_out : pandas.DataFrame
        As in `evalaid.reading.tables.tables.Reading`.
    faults : pandas.DataFrame
        Every fault with its cell; those that stop the reading, or those to look at.
    reading : Reading or None
        What was read, None when faults stop it.
    panel : Panel or None
        The panel, None when there are faults that stop it.
    message : str
        The faults in words.
    """

    file: str
    layout: Layout
    decisions: pd.DataFrame
    left_out: pd.DataFrame
    faults: pd.DataFrame
    reading: Reading | None = None
    panel: Panel | None = None
    message: str = ""

    @property
    def units(self) -> str:
        """What its units are called: counties where they are looked up among those of China."""
        return "counties" if self.layout.units == "counties" else "units"

    @property
    def usable(self) -> bool:
        """Whether there is a panel."""
        return self.panel is not None

    def text(self) -> str:
        """Describe what the file holds, or why it cannot be used."""
        reasons = self.left_out["reason"].value_counts()
        left = [f"Left out: {count:,} x {reason}." for reason, count in reasons.head(_SHOWN).items()]
        if len(reasons) > _SHOWN:
            left.append(f"Left out: {len(reasons) - _SHOWN} more reasons.")
        head = f"{self.file}: a table of {self.units}, {len(self.decisions):,} decisions taken."
        if self.panel is None:
            return "\n".join([head.replace(":", ": not usable as it stands,", 1), *left, self.message])
        keys = self.panel.keys
        span = f"{label(keys.kind, keys.periods[0])} to {label(keys.kind, keys.periods[-1])}"
        roles = ", ".join(f"{role} = {column!r}" for role, column in table_roles(self.reading).items())
        lines = [
            f"Usable panel: {len(keys.units):,} {self.units}, {len(keys.periods)} periods ({span}), {len(self.panel):,} rows.",
            head,
            *left,
        ]
        lines.append(f"Columns: {roles}. Gaps: {len(self.panel.gaps):,}.")
        if len(self.faults):
            lines.append(f"To look at: {len(self.faults):,} (listed below); they do not stop the reading.")
        lines += [f"Note: {note}." for note in self.panel.notes]
        return "\n".join([*lines, f"Content hash: {self.panel.content_hash}"])


def inspect_table(path: Path, *, layout: Path | Layout | None = None, sheet: str | None = None) -> TableInspection:
    """Read a table of counties as an office sends it, and validate it as a panel.

    Parameters
    ----------
    path : Path
        A file, or a folder of files.
    layout : Path or Layout, optional
        Default: everything is detected.
    sheet : str, optional
        Default: all sheets.

    Returns
    -------
    TableInspection

    Raises
    ------
    ReadingError
        If the file cannot be read; with its layout if it can be opened.
    """
    reading = read_table(path, layout, sheet=sheet)
    try:
        roles = table_roles(reading)
        observed, _ = without_gaps(reading.frame, roles[OUTCOME])
        panel, message, faults = read_panel(observed, **roles), "", reading.faults
    except PanelError as error:
        panel, message, faults = None, str(error), _with_cells(error, reading)
    return TableInspection(
        readable_name(path.name), reading.layout, reading.decisions, reading.left_out, faults, reading, panel, message
    )


def table_roles(reading: Reading | None) -> dict[str, str]:
    """Return the columns of a reading that make a panel: the share, else the first variable, with the counts behind it."""
    columns = [] if reading is None else list(reading.frame.columns)
    first = next((name for name in columns if f"{name}_cell" in columns), SHARE)
    outcome = SHARE if SHARE in columns else first
    roles = {UNIT: UNIT, PERIOD: PERIOD, OUTCOME: outcome}
    return roles | ({INSIDE: INSIDE, TOTAL: TOTAL} if {INSIDE, TOTAL} <= set(columns) and outcome == SHARE else {})


def refuse(path: Path, error: LayoutError, message: str) -> TableInspection:
    """Describe a table that cannot be read as it stands."""
    faults = pd.DataFrame() if error.rows is None else error.rows
    return TableInspection(
        readable_name(path.name), error.layout, error.decisions, error.left_out, faults, message=message
    )


def _with_cells(error: EvalaidError, reading: Reading) -> pd.DataFrame:
    """Return the faults of a panel with the cells that its rows come from."""
    rows = pd.DataFrame(columns=FAULT_COLUMNS) if error.rows is None else error.rows
    frame = reading.frame
    places = []
    for row, column in zip(rows["row"], rows["column"], strict=True):
        source = frame.loc[row] if row in frame.index else None
        cell = "" if source is None else source.get(f"{column}_cell", "")
        places.append(("", "", "") if source is None else (source["file"], source["sheet"], cell))
    where = pd.DataFrame(places, columns=["file", "sheet", "cell"], index=rows.index)
    return pd.concat([where, rows[["column", "value", "fault", "expected"]]], axis=1)
