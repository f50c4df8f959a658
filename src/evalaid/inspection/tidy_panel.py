"""Is this file a usable tidy panel? Read it, find its columns, and list every fault with its rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evalaid.errors import PanelError, ReadingError
from evalaid.faults import FAULT_COLUMNS
from evalaid.names import OUTCOME, PERIOD, UNIT, names_a_share
from evalaid.panel import Panel, read_panel
from evalaid.periods import PeriodKind, label, recognise_periods
from evalaid.reading.decisions import DECISION_COLUMNS
from evalaid.reading.numbers import read_numbers
from evalaid.reading.snapshot import readable_name
from evalaid.reading.tidy import read_tidy

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
    columns = {**_find(frame, named, readable_name(path.name)), **named}
    found = tuple(role for role in columns if role not in named)
    try:
        panel = read_panel(frame, outcome_unit=outcome_unit, **columns)
    except PanelError as error:
        faults = error.rows if error.rows is not None else pd.DataFrame(columns=FAULT_COLUMNS)
        return Inspection(readable_name(path.name), columns, found, None, faults, str(error))
    return Inspection(readable_name(path.name), columns, found, panel, pd.DataFrame(columns=FAULT_COLUMNS))


def _read(path: Path, sheet: str | None, encoding: str) -> pd.DataFrame:
    if not path.is_file():
        raise PanelError(f"There is no file '{readable_name(path.name)}' at this place.")
    try:
        if path.suffix.lower() in EXCEL:
            frame = pd.read_excel(path, sheet_name=sheet if sheet is not None else 0, engine="calamine")
        else:
            frame = pd.read_csv(path, encoding=encoding)
    except UnicodeDecodeError:
        raise PanelError(
            f"{readable_name(path.name)} is not {encoding}. Name its encoding, for example --encoding gb18030 (Chinese) or cp949 (Korean)."
        ) from None
    except (ValueError, KeyError, OSError, BadZipFile, LookupError) as error:
        raise PanelError(f"{readable_name(path.name)} cannot be read as a table: {error}.") from None
    except Exception as error:  # noqa: BLE001 (calamine has errors of its own for files that are no workbooks)
        raise PanelError(f"{readable_name(path.name)} cannot be read as a table: {error}.") from None
    if frame.empty:
        raise PanelError(f"{readable_name(path.name)} has no rows.")
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
