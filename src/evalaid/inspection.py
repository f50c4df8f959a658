"""Is this file a usable panel? Read it, find its columns, and list every fault with its rows or cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import pandas as pd

from evalaid.errors import EvalaidError, PanelError, ReadingError
from evalaid.faults import FAULT_COLUMNS
from evalaid.names import INSIDE, OUTCOME, PERIOD, SHARE, TOTAL, UNIT, names_a_share
from evalaid.panel import Panel, read_panel
from evalaid.periods import PeriodKind, label, recognise_periods
from evalaid.reading.layouts import Layout
from evalaid.reading.tables import LayoutError, Reading, read_table

EXCEL = {".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"}
_SHOWN = 12


@dataclass(frozen=True)
class Inspection:
    """What was found in a file.

    Parameters
    ----------
    file : str
        Its name.
    columns : dict
        Role (unit, period, outcome, ...) -> column.
    found : tuple of str
        Roles whose column was found by its name or content, not named by the caller.
    panel : Panel or None
        The panel, None when there are faults.
    faults : pandas.DataFrame
        Every failing row: ``row`` (line of the file, the header is line 1), ``column``, ``value``, ``fault``, ``expected``.
    message : str
        The faults in words.
    """

    file: str
    columns: dict[str, str]
    found: tuple[str, ...]
    panel: Panel | None
    faults: pd.DataFrame
    message: str = ""

    def text(self) -> str:
        """Say what the file holds, or that it cannot be used and why."""
        roles = ", ".join(
            f"{role} = {column!r}{' (found)' * (role in self.found)}" for role, column in self.columns.items()
        )
        lines = [f"{self.file}: {roles}"]
        if self.panel is None:
            return "\n".join([*lines, self.message])
        keys = self.panel.keys
        span = f"{label(keys.kind, keys.periods[0])} to {label(keys.kind, keys.periods[-1])}"
        measure = "a share, as a fraction" if self.panel.outcome_unit == "fraction" else "a number"
        lines.append(
            f"Usable panel: {len(keys.units):,} units, {len(keys.periods)} periods ({span}), {len(self.panel):,} rows."
        )
        lines.append(
            f"Outcome: {measure}. Gaps: {len(self.panel.gaps):,}. Units seen once only: {len(self.panel.singletons):,}."
        )
        lines += [f"Note: {note}." for note in self.panel.notes]
        return "\n".join([*lines, f"Content hash: {self.panel.content_hash}"])


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
        As in `evalaid.reading.tables.Reading`.
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

    def text(self) -> str:
        """Say what the file holds, or that it cannot be used and why."""
        lines = [f"{self.file}: a table of counties, {len(self.decisions):,} decisions taken."]
        reasons = self.left_out["reason"].value_counts()
        lines += [f"Left out: {count:,} x {reason}." for reason, count in reasons.head(_SHOWN).items()]
        if len(reasons) > _SHOWN:
            lines.append(f"Left out: {len(reasons) - _SHOWN} more reasons.")
        if self.panel is None:
            return "\n".join([*lines, self.message])
        keys = self.panel.keys
        span = f"{label(keys.kind, keys.periods[0])} to {label(keys.kind, keys.periods[-1])}"
        roles = ", ".join(f"{role} = {column!r}" for role, column in table_roles(self.reading).items())
        lines.append(
            f"Usable panel: {len(keys.units):,} counties, {len(keys.periods)} periods ({span}), {len(self.panel):,} rows."
        )
        lines.append(f"Columns: {roles}. Gaps: {len(self.panel.gaps):,}.")
        if len(self.faults):
            lines.append(f"To look at: {len(self.faults):,} (listed below); they do not stop the reading.")
        lines += [f"Note: {note}." for note in self.panel.notes]
        return "\n".join([*lines, f"Content hash: {self.panel.content_hash}"])


def inspect_any(
    path: Path,
    *,
    layout: Path | Layout | None = None,
    sheet: str | None = None,
    encoding: str | None = None,
    **named: str | None,
) -> Inspection | TableInspection:
    """Inspect a file as a tidy panel or as a table of counties, whichever it is.

    A file whose columns or encoding are named is taken as a tidy panel; one with a layout as a table. Otherwise it is a table
    when counties are found in it.

    Parameters
    ----------
    path : Path
    layout : Path or Layout, optional
        Layout of a table.
    sheet : str, optional
    encoding : str, optional
        Of a csv file of a tidy panel; default: UTF-8.
    **named
        As in `inspect_file`.

    Returns
    -------
    Inspection or TableInspection

    Raises
    ------
    EvalaidError
        If the file cannot be read, or a needed column is not clear.
    """
    given = {name: value for name, value in named.items() if value is not None}
    tidy = lambda: inspect_file(path, sheet=sheet, encoding=encoding or "utf-8-sig", **given)  # noqa: E731
    if layout is None and (given or encoding):
        return tidy()
    try:
        return inspect_table(path, layout=layout, sheet=sheet)
    except LayoutError as error:
        refused = error
    except ReadingError:
        if layout is not None or path.suffix.lower() not in {".csv", *EXCEL}:
            raise
        return tidy()
    if layout is None and not refused.n_units:  # no county in it: perhaps a tidy panel of other units
        try:
            return tidy()
        except PanelError as error:
            if _in_plain_words(refused.layout):
                raise
            message = f"{refused}\nAs a tidy panel: {error}"
            return _refuse(path, refused, message)
    return _refuse(path, refused, str(refused))


def _refuse(path: Path, error: LayoutError, message: str) -> TableInspection:
    faults = pd.DataFrame() if error.rows is None else error.rows
    return TableInspection(path.name, error.layout, error.decisions, error.left_out, faults, message=message)


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
        panel, message, faults = read_panel(reading.frame, **table_roles(reading)), "", reading.faults
    except PanelError as error:
        panel, message, faults = None, str(error), _with_cells(error, reading)
    return TableInspection(
        path.name, reading.layout, reading.decisions, reading.left_out, faults, reading, panel, message
    )


def table_roles(reading: Reading | None) -> dict[str, str]:
    """Say which columns of a reading make a panel: the share, else the first variable, with the counts behind it."""
    columns = [] if reading is None else list(reading.frame.columns)
    first = next((name for name in columns if f"{name}_cell" in columns), SHARE)
    outcome = SHARE if SHARE in columns else first
    roles = {UNIT: UNIT, PERIOD: PERIOD, OUTCOME: outcome}
    return roles | ({INSIDE: INSIDE, TOTAL: TOTAL} if {INSIDE, TOTAL} <= set(columns) and outcome == SHARE else {})


def _with_cells(error: EvalaidError, reading: Reading) -> pd.DataFrame:
    """Give the faults of a panel with the cells that its rows come from."""
    rows = pd.DataFrame(columns=FAULT_COLUMNS) if error.rows is None else error.rows
    frame = reading.frame
    places = []
    for row, column in zip(rows["row"], rows["column"], strict=True):
        source = frame.loc[row] if row in frame.index else None
        cell = "" if source is None else source.get(f"{column}_cell", "")
        places.append(("", "", "") if source is None else (source["file"], source["sheet"], cell))
    where = pd.DataFrame(places, columns=["file", "sheet", "cell"], index=rows.index)
    return pd.concat([where, rows[["column", "value", "fault", "expected"]]], axis=1)


def _in_plain_words(layout: Layout) -> bool:
    """Tell whether no header holds anything but ASCII and the header is the first row, as in a tidy file."""
    return all(
        table.header_rows in (None, (1, 1)) and all(column.header.isascii() for column in table.columns)
        for table in layout.tables
    )


def inspect_file(
    path: Path,
    *,
    sheet: str | None = None,
    encoding: str = "utf-8-sig",
    outcome_unit: str | None = None,
    **roles: str | None,
) -> Inspection:
    """Read a csv or Excel file and validate it as a panel.

    Columns that are not named are looked for: the period is the first column that reads as years, quarters or months, the
    outcome the only numeric column whose name says that it is a share, the unit the first text column that names each row
    once a period. What is not clear is asked for, not guessed.

    Parameters
    ----------
    path : Path
    sheet : str, optional
        Sheet of an Excel file; default: the first.
    encoding : str
        Of a csv file.
    outcome_unit : {"fraction", "percent", "number"}, optional
    **roles
        ``unit``, ``period``, ``outcome``, ``inside``, ``total``, ``weight``, ``cluster``: column names.

    Returns
    -------
    Inspection

    Raises
    ------
    PanelError
        If the file cannot be read or a needed column is not clear.
    """
    frame = _read(path, sheet, encoding)
    named = {role: column for role, column in roles.items() if column is not None}
    columns = {**_find(frame, named, path.name), **named}
    found = tuple(role for role in columns if role not in named)
    try:
        panel = read_panel(frame, outcome_unit=outcome_unit, **columns)
    except PanelError as error:
        faults = error.rows if error.rows is not None else pd.DataFrame(columns=FAULT_COLUMNS)
        return Inspection(path.name, columns, found, None, faults, str(error))
    return Inspection(path.name, columns, found, panel, pd.DataFrame(columns=FAULT_COLUMNS))


def _read(path: Path, sheet: str | None, encoding: str) -> pd.DataFrame:
    if not path.is_file():
        raise PanelError(f"There is no file '{path.name}' at this place.")
    try:
        if path.suffix.lower() in EXCEL:
            frame = pd.read_excel(path, sheet_name=sheet if sheet is not None else 0, engine="calamine")
        else:
            frame = pd.read_csv(path, encoding=encoding)
    except UnicodeDecodeError:
        raise PanelError(
            f"{path.name} is not {encoding}. Name its encoding, for example --encoding gb18030 (Chinese) or cp949 (Korean)."
        ) from None
    except (ValueError, KeyError, OSError, BadZipFile, LookupError) as error:
        raise PanelError(f"{path.name} cannot be read as a table: {error}.") from None
    except Exception as error:  # noqa: BLE001 (calamine has errors of its own for files that are no workbooks)
        raise PanelError(f"{path.name} cannot be read as a table: {error}.") from None
    if frame.empty:
        raise PanelError(f"{path.name} has no rows.")
    return frame.set_axis(pd.RangeIndex(2, len(frame) + 2, name="line"))


def _find(frame: pd.DataFrame, named: dict[str, str], file: str) -> dict[str, str]:
    """Find the columns of unit, period and outcome that the caller did not name."""
    found: dict[str, str] = {}
    free = [column for column in frame.columns if column not in named.values()]
    if PERIOD not in named:
        dated = [column for column in free if _is_period(frame[column])]
        found[PERIOD] = _first(dated[:1], PERIOD, "a column of years, quarters or months", frame, file)
    free = [column for column in free if column not in found.values()]
    if OUTCOME not in named:
        shares = [c for c in free if names_a_share(c) and pd.api.types.is_numeric_dtype(frame[c])]
        found[OUTCOME] = _first(shares, OUTCOME, "a numeric column that is named as a share", frame, file)
    free = [column for column in free if column not in found.values()]
    if UNIT not in named:
        period = {**found, **named}[PERIOD]
        text = [column for column in free if not pd.api.types.is_numeric_dtype(frame[column])]
        if period in frame:
            clear = [column for column in text if not frame.duplicated([column, period]).any()]
            text = clear[:1] or text
        found[UNIT] = _first(text, UNIT, "a text column that names each row once a period", frame, file)
    return {role: found[role] for role in (UNIT, PERIOD, OUTCOME) if role in found}


def _first(candidates: list[str], role: str, wanted: str, frame: pd.DataFrame, file: str) -> str:
    """Take the only candidate, else ask."""
    if len(candidates) == 1:
        return candidates[0]
    columns = [str(column) for column in (candidates or frame.columns)]
    listed = ", ".join(columns[:_SHOWN]) + (", ..." if len(columns) > _SHOWN else "")
    what = f"several could be: {listed}" if candidates else f"none is {wanted}; the columns are {listed}"
    raise PanelError(f"{file}: which column is the {role}? Of those not named, {what}. Name it with --{role} COLUMN.")


def _is_period(values: pd.Series) -> bool:
    if pd.api.types.is_float_dtype(values) and not (values.dropna() % 1 == 0).all():
        return False
    periods, unreadable = recognise_periods(values)
    return periods.kind != PeriodKind.NUMBER and not unreadable.any()
