"""The roster of partnerships: who supports which unit from when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from evalaid.base.columns import find_column
from evalaid.base.errors import RosterError
from evalaid.base.faults import Faults
from evalaid.reading.journal.layouts import Layout
from evalaid.reading.rosters.rosters import Partnerships, read_partnerships
from evalaid.reading.values.dates import EXPECTED as EXPECTED_DATE
from evalaid.reading.values.dates import StatedDate, read_date

_PERIODS = {"Y": "year", "Q": "quarter", "M": "month", "D": "day"}


@dataclass(frozen=True, eq=False)
class Roster:
    """The partnerships of a programme, one row each.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns ``unit``, ``hospital`` (None when no column was named), ``start`` (datetime64, first day of the stated
        time), ``start_precision`` ("day", "month", "quarter", "half", "year", "part", "about", "range"), ``start_earliest`` and
        ``start_latest`` (first and last day that the start can mean), ``end`` (datetime64, last day of the stated time, NaT =
        open), ``end_precision`` and ``mechanism``; in the caller's row order.
    year_begins : int
        The month in which the years of the panel begin (4: April, of fiscal years 2012/13).

    Examples
    --------
    See `Roster.read`.
    """

    frame: pd.DataFrame
    year_begins: int = 1

    @classmethod
    def read(
        cls,
        frame: pd.DataFrame,
        unit: str,
        start: str,
        *,
        hospital: str | None = None,
        end: str | None = None,
        mechanism: str | None = None,
    ) -> Self:
        """Validate a table of partnerships.

        Assumes one row for each partnership. Dates may be imprecise; what they leave open is kept as their precision. The
        caller's frame is not changed.

        Parameters
        ----------
        frame : pandas.DataFrame
            Table of partnerships.
        unit : str
            Column of the supported unit (county, district or care area).
        start : str
            Column of the start: dates, or text such as ``"2021-02-18"``, ``"2021-05 (teams set up)"``, ``"2021"``,
            ``"about 2014"``, ``"2018年下半年"``, ``"2013-2015"`` (some day within; see `evalaid.reading.values.dates.read_date`).
        hospital, mechanism : str, optional
            Columns of the supporting hospital and of the kind of partnership.
        end : str, optional
            Column of the end, written like the start; missing = still running.

        Returns
        -------
        Roster
            The validated partnerships.

        Raises
        ------
        RosterError
            With all faults of the table at once; ``rows`` has the columns row, column, value, fault, expected.

        Examples
        --------
        >>> table = pd.DataFrame({"area": ["P", "P"], "hospital": ["H1", "H2"], "begun": ["2021-05 (teams)", "2022-04-22"]})
        >>> roster = Roster.read(table, "area", "begun", hospital="hospital")
        >>> roster.frame["start_precision"].tolist()
        ['month', 'day']
        >>> roster.several_hospitals[["unit", "hospitals"]].to_dict("records")
        [{'unit': 'P', 'hospitals': 'H1; H2'}]
        """
        if not isinstance(frame, pd.DataFrame):
            raise RosterError(
                f"Found a {type(frame).__name__}; expected a pandas DataFrame with one row per partnership."
            )
        faults = Faults()
        wanted = {"unit": unit, "start": start, "hospital": hospital, "end": end, "mechanism": mechanism}
        found = {role: find_column(frame, name, role, faults) for role, name in wanted.items() if name is not None}
        if not len(frame):
            faults.add(unit, "the roster has no rows", "one row for each partnership")
        data: dict[str, Any] = {role: found.get(role) for role in ("unit", "hospital")}
        data |= _read_dates("start", found.get("start"), len(frame), faults, required=True)
        data |= _read_dates("end", found.get("end"), len(frame), faults, required=False)
        data["mechanism"] = found.get("mechanism")
        table = pd.DataFrame(
            {name: None if column is None else np.asarray(column) for name, column in data.items()},
            index=range(len(frame)),
        )
        _check_rows(table, frame.index, wanted, faults)
        faults.raise_if_any(RosterError, "roster")
        return cls(table)

    @cached_property
    def several_hospitals(self) -> pd.DataFrame:
        """Units with more than one partnership: ``unit``, ``n_partnerships``, ``hospitals``, ``first_start``, ``last_start``."""
        ordered = self.frame.sort_values(["unit", "start"], kind="stable")
        report = ordered.groupby("unit", as_index=False).agg(
            n_partnerships=("start", "size"),
            hospitals=("hospital", lambda names: "; ".join(str(name) for name in names if not pd.isna(name))),
            first_start=("start", "min"),
            last_start=("start", "max"),
        )
        return report[report["n_partnerships"] > 1].reset_index(drop=True)

    @cached_property
    def overlapping(self) -> pd.DataFrame:
        """Pairs of partnerships of one unit that run at the same time: ``unit``, ``first``, ``second`` (hospitals), ``start``
        and ``end`` of the overlap (NaT = open).
        """
        rows = self.frame.assign(row=range(len(self.frame)))
        pairs = rows.merge(rows, on="unit", suffixes=("", "_other"))
        pairs = pairs[pairs["row"] < pairs["row_other"]]
        begin = pairs[["start", "start_other"]].max(axis=1)
        stop = pairs[["end", "end_other"]].min(axis=1)  # NaT (open) is skipped
        together = (begin <= stop) | stop.isna()
        report = pd.DataFrame(
            {
                "unit": pairs["unit"],
                "first": pairs["hospital"],
                "second": pairs["hospital_other"],
                "start": begin,
                "end": stop,
            }
        )
        return report[together].reset_index(drop=True)

    @cached_property
    def ended(self) -> pd.DataFrame:
        """Partnerships with an end: ``unit``, ``hospital``, ``start``, ``end``, ``mechanism``. Cohorts count them as treated
        from the start on, the time after the end included.
        """
        columns = ["unit", "hospital", "start", "end", "mechanism"]
        return self.frame.loc[self.frame["end"].notna(), columns].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class RosterReading:
    """The roster of a file, with everything that was decided about it.

    Parameters
    ----------
    roster : Roster
        The partnerships.
    partnerships : Partnerships
        What was read: ``frame`` (with announced, agreed, arrived dates, departments, experts, and the cell of every start),
        ``decisions``, ``left_out``, ``faults``, ``layout``, ``files``.
    """

    roster: Roster
    partnerships: Partnerships


def read_roster(path: Path | str, layout: Layout | Path | str | None = None, *, start: str = "start") -> RosterReading:
    r"""Read a roster of partnerships from a file as an office keeps it.

    Assumes what `evalaid.reading.rosters.rosters.read_partnerships` assumes. Dates keep their precision.

    Parameters
    ----------
    path : Path or str
        A workbook or a text file.
    layout : Layout, Path or str, optional
        What is known about the file, or the YAML file that says it.
    start : {"start", "announced", "agreed", "arrived"}
        Which of the file's dates is the start.

    Returns
    -------
    RosterReading

    Raises
    ------
    ReadingError
        When the file cannot be read; with all faults and their cells.
    RosterError
        When the file has no such dates, or not for every partnership.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "roster.csv"
    ...     _ = file.write_text("受援县,支援医院,开始时间\n连南县,省人民医院,约2014年\n连山县,省中医院,2018年下半年\n", encoding="utf-8")
    ...     roster = read_roster(file).roster
    >>> roster.frame[["unit", "start_precision"]].values.tolist()
    [['441826', 'about'], ['441825', 'half']]
    """
    partnerships = read_partnerships(path, layout)
    return RosterReading(roster_of(partnerships, start), partnerships)


def roster_of(partnerships: Partnerships, start: str = "start") -> Roster:
    """Make the roster of partnerships that were read from a file."""
    if start not in partnerships.dates:
        raise RosterError(f"The roster has no dates {start!r}; it has {', '.join(partnerships.dates)}.")
    frame = partnerships.frame.set_index("cell")
    roster = Roster.read(frame, "unit", start, hospital="hospital", end="end", mechanism="mechanism")
    return replace(roster, year_begins=partnerships.layout.year_begins or 1)


def _read_dates(role: str, values: pd.Series | None, length: int, faults: Faults, *, required: bool) -> dict[str, Any]:
    """Read a column of dates into days and precisions; a start is the first day of what is stated, an end the last."""
    none = np.datetime64("NaT", "s")
    read = [StatedDate("")] * length if values is None else [_read_date(value) for value in values]
    faulty = np.array([bool(item.fault) for item in read], dtype=bool)
    there = np.array([item.earliest is not None for item in read], dtype=bool)
    if values is not None and required and not (there | faulty).all():
        rows = values[~(there | faulty)]
        faults.add(values.name, f"{role} is missing", EXPECTED_DATE, rows=rows.index, values=rows.tolist())
    if values is not None and faulty.any():
        rows = values[faulty]
        faults.add(
            values.name, f"{role} is not readable as a date", EXPECTED_DATE, rows=rows.index, values=rows.tolist()
        )

    def days(which: str) -> np.ndarray:
        found = [getattr(item, which) for item in read]
        return np.array([none if day is None else np.datetime64(day, "s") for day in found], dtype="datetime64[s]")

    data: dict[str, Any] = {
        role: days("last" if role == "end" else "first"),
        f"{role}_precision": np.array([item.precision or None for item in read], dtype=object),
    }
    if role == "start":
        data |= {"start_earliest": days("earliest"), "start_latest": days("latest")}
    return data


def _read_date(value: Any) -> StatedDate:
    if isinstance(value, pd.Period):
        known = value.freqstr[0] in _PERIODS
        return read_date(str(value)) if known else StatedDate(str(value), fault="a period of an unknown kind")
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return StatedDate("")
    return read_date(pd.Timestamp(value) if isinstance(value, np.datetime64) else value)


def _check_rows(table: pd.DataFrame, index: pd.Index, names: dict[str, str | None], faults: Faults) -> None:
    """Check what needs more than one cell: a unit in every row, and no end before its start."""
    missing = table["unit"].isna().to_numpy()
    if names["unit"] is not None and missing.any() and not missing.all():
        faults.add(
            names["unit"], "unit is missing", "a label in every row", rows=index[missing], values=table["unit"][missing]
        )
    reversed_ = (table["end"] < table["start"]).to_numpy()
    if reversed_.any():
        pairs = [
            f"{a.date()} to {b.date()}" for a, b in zip(table["start"][reversed_], table["end"][reversed_], strict=True)
        ]
        columns = f"{names['start']}, {names['end']}"
        faults.add(columns, "the end is before the start", "start <= end", rows=index[reversed_], values=pairs)
