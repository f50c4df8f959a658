"""A tidy table of any file (one header row, then one row per observation) as a frame: `read_tidy`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from evalaid.reading.files.data_files import DATA_FILES, open_data_file, split_source
from evalaid.reading.files.grids import TEXTS, WORKBOOKS, open_grids
from evalaid.reading.files.snapshot import Limits, fault, readable_name, take
from evalaid.reading.journal.decisions import DECISION_COLUMNS, LEFT_OUT_COLUMNS
from evalaid.reading.tables.typed_columns import FileFacts, type_columns
from evalaid.reading.values.kinds import find_role, plain
from evalaid.reading.values.total_words import FEW, totals_by_name

PARQUET = frozenset({".parquet", ".pq"})
KINDS = TEXTS | WORKBOOKS | DATA_FILES
"""How the names of files end that may hold a tidy table."""


@dataclass(frozen=True, eq=False)
class TidyTable:
    """Hold a tidy table and how its file was opened.

    Columns of numbers are numeric; names and codes are text as it stands in the file ("01001" keeps its zero, "NA" is a name);
    fiscal years and periods in words are in the plain form of `evalaid.base.periods`. Rows of totals are in ``left_out``.
    """

    frame: (
        pd.DataFrame
    )  # one row for each row of the file that is no total; its index counts the rows of the file from zero
    decisions: pd.DataFrame  # ``file``, ``sheet``, ``cell``, ``what``, ``decided``, ``because``
    first_line: int = 2  # number of the first row of data as a spreadsheet or an editor shows it
    left_out: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=LEFT_OUT_COLUMNS))
    labels: Mapping[str, str] = field(
        default_factory=dict
    )  # column -> what the file says that it is (Stata, SPSS, SAS)


def read_tidy(
    path: Path | str,
    *,
    sheet: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
) -> TidyTable:
    r"""Read a tidy table from a text file, a workbook, or a file of Stata, SPSS, SAS, Parquet, Feather, JSON, SQLite or DuckDB.

    Assumes that the first row holds the names of the columns and every other row an observation; a table of a database is named
    as ``file.duckdb::table``.

    Raises
    ------
    ReadingError
        If the file cannot be opened or has no rows, no sheet of that name, two columns of one name, or numbers that can be read in
        two ways.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "panel.csv"
    ...     _ = file.write_text("code;année;taux\n01001;2019;68,1\n2A;2019;70,2\nEnsemble;2019;69,0\n", encoding="cp1252")
    ...     table = read_tidy(file)
    >>> table.frame.to_dict("records")
    [{'code': '01001', 'année': 2019, 'taux': 68.1}, {'code': '2A', 'année': 2019, 'taux': 70.2}]
    """
    path, table = split_source(path)
    suffix = path.suffix.lower()
    if suffix in DATA_FILES:
        return _checked(_from_data_file(path, table), path)
    if path.is_file() and path.stat().st_size > Limits().file_bytes:
        take(path, Limits())  # refuses it, with advice
    facts = FileFacts(decimal=decimal, thousands=thousands)
    if suffix == ".csv" and encoding is None and path.is_file() and (raw := _plain_csv(path)) is not None:
        return _checked(_typed(raw, FileFacts(",", decimal, thousands), (readable_name(path.name), "")), path)
    return _checked(_from_grid(path, sheet, encoding, facts), path)


def _checked(table: TidyTable, path: Path) -> TidyTable:
    if table.frame.empty:
        message = f"{readable_name(path.name)} has no rows. Expected a row of column names and at least one below it."
        raise fault(path, message, found="no rows", expected="a header and rows")
    return table


def _plain_csv(path: Path) -> pd.DataFrame | None:
    """Read the texts of csv as it mostly is, in UTF-8 with commas; None when it is not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            raw = pd.read_csv(
                path, encoding="utf-8-sig", dtype=str, keep_default_na=False, na_filter=False, index_col=False
            )
    except (ValueError, pd.errors.ParserWarning):  # not UTF-8, or rows of unlike length
        return None
    named = [name for name in map(str, raw.columns) if not name.startswith("Unnamed: ")]
    return raw if len(named) == raw.shape[1] > 1 and ";" not in raw.columns[0] else None


def _from_data_file(path: Path, table: str) -> TidyTable:
    found = open_data_file(path, table)
    name = readable_name(path.name)
    typed = _typed(found.frame, FileFacts(), (name, ""))
    rows = [(name, "", "", "file", "read", f"it is {found.kind}")]
    rows += [
        (name, "", "", f"column {column!r}", text, "the label in the file") for column, text in found.labels.items()
    ]
    decisions = pd.concat([pd.DataFrame(rows, columns=DECISION_COLUMNS), typed.decisions], ignore_index=True)
    return TidyTable(typed.frame, decisions, 1, typed.left_out, dict(found.labels))


def _from_grid(path: Path, sheet: str | None, encoding: str | None, facts: FileFacts) -> TidyTable:
    grids = open_grids(path, sheet, encoding=encoding)
    grid = grids[0]
    header = ["" if cell is None else str(cell).strip() for cell in grid.cells[0]]
    named = [place for place, name in enumerate(header) if name]
    names = [header[place] for place in named]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"{grid.file}: several columns are named {', '.join(twice)}. Expected a name of its own for each."
        raise fault(path, message, found="columns of one name", expected="unlike names", sheet=grid.sheet)
    raw = pd.DataFrame({header[place]: pd.Series(grid.cells[1:, place], dtype=object) for place in named})
    filled = raw.map(lambda cell: cell is not None and (not isinstance(cell, str) or bool(cell.strip()))).any(axis=1)
    facts = FileFacts(grid.separator, facts.decimal, facts.thousands)
    typed = _typed(raw[filled] if len(raw.columns) else raw, facts, (grid.file, grid.sheet))
    rows = [(grid.file, grid.sheet, "", "opening", note, "found while the file was opened") for note in grid.notes]
    rows += [
        (other.file, other.sheet, "", "sheet", "not read", "a tidy panel is the first sheet; --sheet names another")
        for other in grids[1:]
    ]
    decisions = pd.concat([pd.DataFrame(rows, columns=DECISION_COLUMNS), typed.decisions], ignore_index=True)
    return TidyTable(typed.frame, decisions, 2, typed.left_out)


def _typed(raw: pd.DataFrame, facts: FileFacts, where: tuple[str, str]) -> TidyTable:
    """Read every column in its type, and leave out rows whose unit is a total by its name."""
    frame, said = type_columns(raw, facts)
    rows = [(*where, "", f"column {column!r}", decided, because) for column, decided, because in said]
    left: list[tuple[object, ...]] = []
    for column in _columns_of_units(frame):
        totals = totals_by_name(frame[column].dropna().unique())
        is_total = frame[column].isin(list(totals))
        others = frame.loc[~is_total, column].nunique()
        if is_total.any() and others >= min(2, FEW):
            shown = {int(str(row)): str(value) for row, value in frame.loc[is_total, column].items()}
            left += [(*where, row + 2, "", name, totals[name]) for row, name in shown.items()]
            rows += [(*where, "", f"unit {name!r}", "left out", totals[name]) for name in dict.fromkeys(shown.values())]
            frame = frame[~is_total]
    left_out = pd.DataFrame(left, columns=LEFT_OUT_COLUMNS).astype({"row": "Int64"})
    return TidyTable(frame.reset_index(drop=True), pd.DataFrame(rows, columns=DECISION_COLUMNS), 2, left_out)


def _columns_of_units(frame: pd.DataFrame) -> list[str]:
    """The columns of names and codes by their headers, else the first column of texts."""
    texts = [
        column
        for column in frame.columns
        if not pd.api.types.is_numeric_dtype(frame[column])
        and frame[column].map(lambda value: isinstance(value, str)).any()
    ]
    named = [column for column in texts if find_role(plain(column)) in {"name", "code"}]
    return named or texts[:1]
