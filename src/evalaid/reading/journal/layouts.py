"""The layout of a file: which sheet, rows and columns hold what. Detected, written as YAML, corrected by hand, read back."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from evalaid.base.errors import ReadingError
from evalaid.base.names import FIGURE, KEY_ROLES, NOTHING
from evalaid.base.texts import counted
from evalaid.reading.files.cells import cell_place
from evalaid.reading.values.number_formats import DECIMALS, THOUSANDS
from evalaid.reading.values.spans import Reckoning
from evalaid.reading.words.vocabulary import patterns

PERIODS = ("year", "half-year", "quarter", "month")
UNITS = ("counties", "as_written")
DECREASES = ("keep", "missing")
NAMED = ("begins", "ends")
ROLES = (NOTHING, FIGURE, *KEY_ROLES)
_AREA = re.compile(r"[A-Z]{1,3}[1-9]\d{0,6}:[A-Z]{1,3}[1-9]\d{0,6}")
_LETTERS = re.compile(r"[A-Z]{1,3}")


@dataclass(frozen=True)
class ColumnLayout:
    """Return what one column holds.

    Parameters
    ----------
    column : str
        Its letters, as a spreadsheet shows them.
    read : str
        ``nothing``, what it says about a row (``name``, ``code``, ``city``, ``period``, ``year``, ``indicator``, ``edition``,
        ...), or the variable of its figures (``inside``, ``total``, ``share``, ...; any other name is kept as it is).
    unit : str, optional
        Unit of its figures (percent, fraction, 万人次, ...).
    period : str, optional
        The period of its figures, in a table with a column for each period.
    cumulative : bool, optional
        Whether its figures count from the start of the year.
    place : str, optional
        The county of its figures, in a table with a column for each county.
    header : str
        What the header says; a comment, it decides nothing.
    """

    column: str
    read: str
    unit: str | None = None
    period: str | None = None
    cumulative: bool | None = None
    place: str | None = None
    header: str = field(default="", compare=False)


@dataclass(frozen=True)
class TableLayout:
    """Describe how one sheet is read. What is None is detected.

    Parameters
    ----------
    file : str, optional
        File name; None = any file.
    sheet : str, optional
        Sheet; None = any sheet, empty = a text file.
    area : str, optional
        Where the table stands, as ``A2:C14``, on a sheet with several; None = the whole sheet.
    encoding, separator : str, optional
        Of a text file.
    read : bool
        Whether the sheet holds a table at all.
    header_rows, data_rows : tuple of int, optional
        First and last row, numbered as a spreadsheet shows them.
    columns : tuple of ColumnLayout
        What its columns hold; columns that are not named are detected.
    variable : str, optional
        The variable of a table whose columns are periods.
    place : str, optional
        The county of the whole table, when neither rows nor columns name any.
    period : str, optional
        The period of the whole table, when neither rows nor columns have one.
    step : {"month", "quarter", "half-year", "year"}, optional
        What dates, or plain numbers 1, 2, 3, 4 beside a year, stand for as periods.
    cumulative : bool, optional
        Whether its counts add up from the start of the year where no header says so.
    edition : int, optional
        Order among repeated figures of one unit and period: the highest stays.
    base : str, optional
        The population that is read, as the column of bases writes it, where a table holds several.
    decimal, thousands : str, optional
        What stands before the decimals of its numbers, and between their thousands.
    totals : tuple of str
        Further texts that mark a row of totals.
    leave_out : tuple of int
        Rows that are left out.
    keep : tuple of str
        Units that are kept although they look like totals (a prefecture that has no counties).
    """

    file: str | None = None
    sheet: str | None = None
    area: str | None = None
    encoding: str | None = None
    separator: str | None = None
    read: bool = True
    header_rows: tuple[int, int] | None = None
    data_rows: tuple[int, int] | None = None
    columns: tuple[ColumnLayout, ...] = ()
    variable: str | None = None
    place: str | None = None
    period: str | None = None
    step: str | None = None
    cumulative: bool | None = None
    edition: int | None = None
    base: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    totals: tuple[str, ...] = ()
    leave_out: tuple[int, ...] = ()
    keep: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileLayout:
    r"""Describe how the files of a panel are read.

    Parameters
    ----------
    tables : tuple of TableLayout
        One for each sheet.
    periods : {"year", "half-year", "quarter", "month"}, optional
        The kind of period of the panel. None = the only one that the files hold.
    within : str, optional
        Province or prefecture (name or code) that all units lie in.
    units : {"counties", "as_written"}
        Whether units are looked up among the administrative divisions, or taken as the text that stands there.
    decreases : {"keep", "missing"}
        What becomes of a count that falls within a year although it is cumulative. Both list it; it is never set to zero.
    year_begins : int, optional
        The month in which fiscal years begin (4: April), of periods such as 2012/13 and of dates that fall into them.
    former : mapping of str to str, optional
        Former code or name of a unit -> its present one; empty when units that end and others that begin are no successors.
    divisions : str, optional
        A file with the divisions that units are looked up in (columns code, name, parent, valid_from, valid_to), for units that are
        taken as they are written.
    day_first : bool, optional
        Whether 3/4/2019 is 3 April. None: decided where a number above 12 shows it.
    year_named : {"begins", "ends"}, optional
        Whether a fiscal year that is called by one year (FY2015) begins or ends in it.
    tidy : bool, optional
        Whether the files are tidy tables, whose columns the study names. None: decided by what they hold.

    Examples
    --------
    >>> FileLayout.from_yaml("periods: quarter\ntables:\n- sheet: 表1\n  header_rows: [2, 3]\n").tables[0].header_rows
    (2, 3)
    """

    tables: tuple[TableLayout, ...] = ()
    periods: str | None = None
    within: str | None = None
    units: str = "counties"
    decreases: str = "keep"
    year_begins: int | None = None
    former: Mapping[str, str] | None = None
    divisions: str | None = None
    day_first: bool | None = None
    year_named: str | None = None
    tidy: bool | None = None

    @property
    def reckoning(self) -> Reckoning:
        """What it says about periods."""
        return Reckoning(self.year_begins, self.year_named, self.day_first)

    @property
    def open(self) -> bool:
        """Whether it leaves open where tables and columns stand, so that it may be of a tidy table."""
        placed = (
            table.header_rows or table.data_rows or table.columns or table.area or not table.read
            for table in self.tables
        )
        return self.tidy is not False and not any(placed)

    def find(self, file: str, sheet: str) -> TableLayout | None:
        """Return what the layout says about a sheet, None when it says nothing."""
        for table in self.tables:
            if table.file in (None, file) and table.sheet in (None, sheet):
                return table
        return None

    def text_options(self, file: str) -> dict[str, Any]:
        """Return encoding and separator of a text file, as far as they are stated."""
        tables = [table for table in self.tables if table.file in (None, file)]
        return {
            name: next((value for table in tables if (value := getattr(table, name)) is not None), None)
            for name in ("encoding", "separator")
        }

    def to_yaml(self) -> str:
        """Write the layout, with the header of every column as a comment."""
        return "\n".join(_write(self)) + "\n"

    @classmethod
    def from_yaml(cls, text: str, name: str = "layout") -> FileLayout:
        """Read a layout."""
        try:
            stored = yaml.safe_load(text)
        except yaml.YAMLError as error:
            where = getattr(error, "problem_mark", None)
            line = f" (line {where.line + 1})" if where else ""
            raise ReadingError(f"{name} is not valid YAML{line}: {getattr(error, 'problem', error)}.") from None
        if stored is not None and not isinstance(stored, dict):
            raise ReadingError(f"{name} must be a mapping with the key 'tables', found {type(stored).__name__}.")
        reader = _Reader()
        layout = reader.layout(stored or {})
        if reader.faults:
            raise ReadingError(f"{name} has {counted(len(reader.faults), 'fault')}: {'; '.join(reader.faults)}.")
        return layout

    @classmethod
    def read(cls, path: Path | str) -> FileLayout:
        """Read a layout file."""
        path = Path(path)
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ReadingError(f"The layout {path.name} cannot be read: it is a pipe or a device. Save it to a file.")
        try:
            return cls.from_yaml(path.read_text(encoding="utf-8-sig"), path.name)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ReadingError(f"The layout {path.name} cannot be read: {reason}.") from None


Layout = FileLayout
"""The public name of `FileLayout`."""


_OPTIONAL = {
    "year_begins": "the month in which fiscal years (2012/13) begin",
    "year_named": "whether FY2015 begins or ends in 2015",
    "divisions": "a list that units are looked up in: code, name, parent, valid_from, valid_to",
    "day_first": "whether 3/4/2019 is 3 April",
    "tidy": "one header row, and one row for each unit and period",
}


def _write(layout: FileLayout) -> Iterator[str]:
    yield "# How the files are read. Rows and columns are named as a spreadsheet shows them; null = detect."
    yield f"periods: {_scalar(layout.periods)}  # {', '.join(PERIODS)}: the kind of period of the panel"
    yield f"within: {_scalar(layout.within)}  # province or prefecture that all units lie in"
    yield f"units: {layout.units}  # counties: names and codes are looked up; as_written: taken as they stand"
    yield f"decreases: {layout.decreases}  # a cumulative count that falls: keep or missing; it is listed"
    for name, said in _OPTIONAL.items():
        if (value := getattr(layout, name)) is not None:
            yield f"{name}: {_scalar(value)}  # {said}"
    if layout.former is not None:
        pairs = ", ".join(f"{_scalar(old)}: {_scalar(new)}" for old, new in layout.former.items())
        yield f"former: {{{pairs}}}  # former code or name of a unit: its present one"
    yield "tables:" if layout.tables else "tables: []"
    for table in layout.tables:
        yield f"- file: {_scalar(table.file)}"
        yield f"  sheet: {_scalar(table.sheet)}"
        for name in ("encoding", "separator"):
            if getattr(table, name) is not None:
                yield f"  {name}: {_scalar(getattr(table, name))}"
        if table.area is not None:
            yield f"  area: {_scalar(table.area)}  # of this table, on a sheet with several"
        if not table.read:
            yield "  read: false  # the sheet holds no table of the panel"
            continue
        yield f"  header_rows: {_scalar(table.header_rows)}  # first and last"
        yield f"  data_rows: {_scalar(table.data_rows)}"
        yield f"  variable: {_scalar(table.variable)}  # of the figures, when the columns are periods and no title names it"
        yield f"  place: {_scalar(table.place)}  # the county of the whole table, when neither rows nor columns name any"
        yield f"  period: {_scalar(table.period)}  # of the whole table, when neither rows nor columns have one"
        yield f"  step: {_scalar(table.step)}  # {', '.join(PERIODS)}: what dates or plain numbers stand for as periods"
        yield f"  cumulative: {_scalar(table.cumulative)}  # true: counts add up from January; false: each period alone"
        yield f"  edition: {_scalar(table.edition)}  # of repeated figures the highest edition stays"
        yield f"  base: {_scalar(table.base)}  # the population that is read, where a column gives several"
        for name in ("decimal", "thousands"):
            if getattr(table, name) is not None:
                yield f"  {name}: {_scalar(getattr(table, name))}  # as numbers are written"
        yield f"  totals: {_scalar(table.totals)}  # further texts that mark a row of totals"
        yield f"  leave_out: {_scalar(table.leave_out)}  # rows"
        yield f"  keep: {_scalar(table.keep)}  # units that look like totals and are none"
        yield "  columns:" if table.columns else "  columns: {}"
        for column in table.columns:
            given = {name: getattr(column, name) for name in ("read", "place", "unit", "period", "cumulative")}
            entry = ", ".join(f"{key}: {_scalar(value)}" for key, value in given.items() if value is not None)
            comment = " ".join(column.header.split())
            yield f"    {_scalar(column.column)}: {{{entry}}}" + (f"  # {comment}" if comment else "")


def _scalar(value: Any) -> str:
    """Write a value on one line; texts are quoted where YAML would read them as something else."""
    if isinstance(value, tuple):
        return "[" + ", ".join(_scalar(item) for item in value) + "]"
    if isinstance(value, str):
        if re.fullmatch(r"[^\W\d][\w ]*\w|[^\W\d]", value) and yaml.safe_load(value) == value:
            return value
        escaped = yaml.safe_dump(value, allow_unicode=True, default_style='"', width=float("inf"))
        return escaped.strip()
    return "null" if value is None else str(value).lower()


class _Reader:
    """Turn plain YAML into a layout and collect what does not fit."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def layout(self, stored: Mapping[str, Any]) -> FileLayout:
        self._known(stored, [f.name for f in fields(FileLayout)], "the layout")
        tables = stored.get("tables") or []
        if not isinstance(tables, list):
            self.faults.append(f"tables must be a list, found {tables!r}")
            tables = []
        return FileLayout(
            tables=tuple(self._table(entry, f"tables[{place}]") for place, entry in enumerate(tables, start=1)),
            periods=self._one_of(stored.get("periods"), PERIODS, "periods"),
            within=self._text(stored.get("within"), "within"),
            units=self._one_of(stored.get("units"), UNITS, "units") or "counties",
            decreases=self._one_of(stored.get("decreases"), DECREASES, "decreases") or "keep",
            year_begins=self._month(stored.get("year_begins")),
            former=self._pairs(stored.get("former")),
            divisions=self._text(stored.get("divisions"), "divisions"),
            day_first=self._flag(stored.get("day_first"), "day_first"),
            year_named=self._one_of(stored.get("year_named"), NAMED, "year_named"),
            tidy=self._flag(stored.get("tidy"), "tidy"),
        )

    def _table(self, entry: Any, where: str) -> TableLayout:
        if not isinstance(entry, dict):
            self.faults.append(f"{where} must be a mapping, found {entry!r}")
            return TableLayout()
        self._known(entry, [f.name for f in fields(TableLayout)], where)
        columns = entry.get("columns") or {}
        if not isinstance(columns, dict):
            self.faults.append(f"{where}.columns must be a mapping from letters to what they hold, found {columns!r}")
            columns = {}
        flag = self._flag(entry.get("read"), f"{where}.read")
        return TableLayout(
            file=self._text(entry.get("file"), f"{where}.file"),
            sheet=self._text(entry.get("sheet"), f"{where}.sheet"),
            encoding=self._text(entry.get("encoding"), f"{where}.encoding"),
            separator=self._separator(entry.get("separator"), f"{where}.separator"),
            area=self._area(entry.get("area"), f"{where}.area"),
            read=True if flag is None else flag,
            header_rows=self._rows(entry.get("header_rows"), f"{where}.header_rows"),
            data_rows=self._rows(entry.get("data_rows"), f"{where}.data_rows"),
            columns=tuple(self._column(str(name), value, f"{where}.columns.{name}") for name, value in columns.items()),
            variable=self._text(entry.get("variable"), f"{where}.variable"),
            place=self._text(entry.get("place"), f"{where}.place"),
            period=self._text(entry.get("period"), f"{where}.period"),
            step=self._one_of(entry.get("step"), PERIODS, f"{where}.step"),
            cumulative=self._flag(entry.get("cumulative"), f"{where}.cumulative"),
            edition=self._whole(entry.get("edition"), f"{where}.edition"),
            base=self._text(entry.get("base"), f"{where}.base"),
            decimal=self._one_of(entry.get("decimal"), DECIMALS, f"{where}.decimal"),
            thousands=self._one_of(entry.get("thousands"), THOUSANDS, f"{where}.thousands"),
            totals=self._texts(entry.get("totals"), f"{where}.totals"),
            leave_out=self._numbers(entry.get("leave_out"), f"{where}.leave_out"),
            keep=self._texts(entry.get("keep"), f"{where}.keep"),
        )

    def _month(self, value: Any) -> int | None:
        number = int(value) if isinstance(value, str) and value.isdigit() else value
        if number is None or (type(number) is int and 1 <= number <= 12):
            return number
        self.faults.append(f"year_begins must be a month from 1 to 12, found {value!r}")
        return None

    def _pairs(self, value: Any) -> dict[str, str] | None:
        if value is None:
            return None
        if isinstance(value, dict):
            return {str(old): str(new) for old, new in value.items()}
        self.faults.append(f"former must map former codes or names to present ones, found {value!r}")
        return None

    def _separator(self, value: Any, where: str) -> str | None:
        if value is None or (isinstance(value, str) and len(value) == 1):
            return value
        self.faults.append(f"{where} must be one character such as ',' or '\\t' in double quotes, found {value!r}")
        return None

    def _area(self, value: Any, where: str) -> str | None:
        if value is None:
            return None
        if isinstance(value, str) and _AREA.fullmatch(value):
            (top, left), (bottom, right) = (cell_place(corner) for corner in value.split(":"))
            if top <= bottom and left <= right:
                return value
        self.faults.append(f"{where} must be two cells such as A2:C14, the upper left one first, found {value!r}")
        return None

    def _column(self, name: str, value: Any, where: str) -> ColumnLayout:
        if not _LETTERS.fullmatch(name):
            self.faults.append(f"{where}: a column is named by its letters (A, B, ..., AA), found {name!r}")
        if isinstance(value, str):
            value = {"read": value}
        if not isinstance(value, dict) or not isinstance(value.get("read"), str):
            self.faults.append(f"{where} must say what to read, for example {{read: inside}}, found {value!r}")
            return ColumnLayout(name, NOTHING)
        self._known(value, [f.name for f in fields(ColumnLayout) if f.name not in ("column", "header")], where)
        read = value["read"]
        if not re.fullmatch(r"[^\W\d]\w*", read):
            self.faults.append(f"{where}.read must be a name of letters, digits and _, found {read!r}")
        elif read not in (known := [*ROLES, *patterns("variables")]):
            near = difflib.get_close_matches(read, known, n=1, cutoff=0.8)
            if near:
                self.faults.append(f"{where}.read is {read!r}: did you mean {near[0]!r}?")
        return ColumnLayout(
            name,
            read,
            self._text(value.get("unit"), f"{where}.unit"),
            self._text(value.get("period"), f"{where}.period"),
            self._flag(value.get("cumulative"), f"{where}.cumulative"),
            self._text(value.get("place"), f"{where}.place"),
        )

    def _known(self, entry: Mapping[str, Any], known: Sequence[str], where: str) -> None:
        for name in entry:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f" (did you mean '{near[0]}'?)" if near else f" (known: {', '.join(known)})"
                self.faults.append(f"{where} has an unknown key '{name}'{hint}")

    def _one_of(self, value: Any, allowed: Sequence[str], where: str) -> str | None:
        if value is not None and value not in allowed:
            self.faults.append(f"{where} must be one of {', '.join(allowed)}, found {value!r}")
            return None
        return value

    def _text(self, value: Any, where: str) -> str | None:
        if value is None or (isinstance(value, (str, int)) and not isinstance(value, bool)):
            return None if value is None else str(value)
        self.faults.append(f"{where} must be a text, found {value!r}")
        return None

    def _texts(self, value: Any, where: str) -> tuple[str, ...]:
        if value is None:
            return ()
        if isinstance(value, list):
            return tuple(text for item in value if (text := self._text(item, where)) is not None)
        self.faults.append(f"{where} must be a list of texts, found {value!r}")
        return ()

    def _flag(self, value: Any, where: str) -> bool | None:
        if value is None or isinstance(value, bool):
            return value
        self.faults.append(f"{where} must be true or false, found {value!r}")
        return None

    def _whole(self, value: Any, where: str) -> int | None:
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        self.faults.append(f"{where} must be a whole number, found {value!r}")
        return None

    def _numbers(self, value: Any, where: str) -> tuple[int, ...]:
        if value is None:
            return ()
        if isinstance(value, list) and all(type(item) is int and item > 0 for item in value):
            return tuple(value)
        self.faults.append(f"{where} must be a list of row numbers, found {value!r}")
        return ()

    def _rows(self, value: Any, where: str) -> tuple[int, int] | None:
        if value is None:
            return None
        if isinstance(value, list) and len(value) == 2 and all(type(item) is int for item in value):
            first, last = value
            if 1 <= first <= last:
                return first, last
        self.faults.append(f"{where} must be the first and the last row, for example [2, 3], found {value!r}")
        return None
