"""Files that hold a table with types: Stata, SPSS, SAS, Parquet, Feather, JSON and tables of SQLite and DuckDB: `open_data_file`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.reading.files.endings import DUCKDB, SQLITE
from evalaid.reading.files.snapshot import fault, readable_name
from evalaid.reading.words.vocabulary import pattern_of

MOST_ROWS = 2_000_000
"""A file with more rows holds no units by periods."""

TABLE_OF = "::"
"""What stands between the name of a database and that of its table: ``file.duckdb::table``."""


@dataclass(frozen=True, eq=False)
class DataFile:
    """Hold the table of a file with types; labelled values are their labels."""

    frame: pd.DataFrame
    kind: str
    labels: Mapping[str, str] = field(default_factory=dict)  # column -> what the file says it is


def split_source(path: Path | str) -> tuple[Path, str]:
    """Take ``file.duckdb::table`` apart; the table is empty where none is named.

    Examples
    --------
    >>> split_source("data/own.duckdb::panel")[1], split_source("panel.csv")
    ('panel', (PosixPath('panel.csv'), ''))
    """
    file, _, table = str(path).partition(TABLE_OF)
    return Path(file), table


def open_data_file(path: Path | str, table: str = "") -> DataFile:
    """Read a file with types, whole.

    Raises
    ------
    ReadingError
        If it cannot be opened, has no table of that name, or has too many rows.
    """
    path = Path(path)
    if not path.is_file():
        message = f"{readable_name(str(path))}: there is no such file. Expected a readable file: check the name and the folder."
        raise fault(path, message, found="there is no such file", expected="a readable file")
    read = READERS[path.suffix.lower()]
    try:
        found = read(path, table)
    except ReadingError:
        raise
    except Exception as error:  # whatever the libraries raise for a damaged file
        why = " ".join(str(error).split())[:200]
        message = (
            f"{readable_name(path.name)}: it cannot be read as {path.suffix.lower()} ({why}). Expected a whole file: save it again, or "
            "export the table as .csv."
        )
        raise fault(path, message, found="damaged or another kind of file", expected="a whole file") from error
    if len(found.frame) > MOST_ROWS:
        message = (
            f"{readable_name(path.name)} has {len(found.frame):,} rows; a tidy panel is read up to {MOST_ROWS:,}. If it holds one row for "
            "each discharge, count it with evalaid.count_records, which needs little memory."
        )
        raise fault(path, message, found="too many rows", expected=f"at most {MOST_ROWS:,} rows")
    if nested := [str(name) for name, values in found.frame.items() if _is_nested(values)]:
        message = (
            f"{readable_name(path.name)}: a cell of column {', '.join(map(repr, nested[:5]))} holds a list or a table of its own. "
            "Expected one value per cell: save each of its parts as a column."
        )
        raise fault(path, message, found="nested columns", expected="one value per cell")
    return found


def _is_nested(values: pd.Series) -> bool:
    return values.dtype == object and any(isinstance(value, (dict, list, tuple, set, np.ndarray)) for value in values)


def _stata(path: Path, _: str) -> DataFile:
    opened: Any = pd.read_stata(path, iterator=True, convert_categoricals=False)
    with opened as reader:
        labels = {name: text for name, text in reader.variable_labels().items() if text}
        raw = reader.read()
        values = reader.value_labels()
        named = _stata_label_names(reader)
    return _with_labels(raw, {column: values.get(name, {}) for column, name in named.items()}, "a Stata file", labels)


def _stata_label_names(reader: Any) -> dict[str, str]:
    """Column -> name of its value labels, as the reader of pandas keeps them."""
    names = getattr(reader, "_lbllist", None) or []
    columns = getattr(reader, "_varlist", None) or []
    return {column: name for column, name in zip(columns, names, strict=False) if name}


def _with_labels(
    frame: pd.DataFrame, every: Mapping[str, Mapping[Any, str]], kind: str, said: dict[str, str]
) -> DataFile:
    """Write the label of every value where all have one; else a label that says "no value" (99: not reported) makes it missing."""
    for column, labels in every.items():
        there = frame[column].dropna().unique() if column in frame and labels else ()
        if len(there) and all(value in labels for value in there):
            frame[column] = (
                frame[column].map(lambda value, of=labels: None if pd.isna(value) else of[value]).astype(object)
            )
        elif none := [value for value in there if pattern_of("no_value").search(str(labels.get(value, "")))]:
            frame[column] = frame[column].mask(frame[column].isin(none))
            marks = ", ".join(f"{value:g} ({labels[value]})" for value in none)
            said[column] = f"{said.get(column, column)}; no value: {marks}"
    return DataFile(frame, kind, said)


def _readstat(reader: str, kind: str) -> Callable[[Path, str], DataFile]:
    def read(path: Path, _: str) -> DataFile:
        import pyreadstat

        frame, meta = getattr(pyreadstat, reader)(str(path))
        said = {name: text for name, text in (meta.column_names_to_labels or {}).items() if text}
        return _with_labels(frame, getattr(meta, "variable_value_labels", {}), kind, said)

    return read


def _arrow(reader: Callable[[Path], Any], kind: str) -> Callable[[Path, str], DataFile]:
    return lambda path, _: DataFile(_plain_types(reader(path).to_pandas()), kind)


def _plain_types(frame: pd.DataFrame) -> pd.DataFrame:
    """Categories as the texts they stand for, and an index with a name as a column."""
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    for column in frame.columns[[isinstance(dtype, pd.CategoricalDtype) for dtype in frame.dtypes]]:
        frame[column] = frame[column].astype(object)
    return frame


def _read_parquet(path: Path) -> Any:
    import pyarrow.parquet

    rows = pyarrow.parquet.ParquetFile(path).metadata.num_rows
    if rows > MOST_ROWS:
        message = (
            f"{readable_name(path.name)} has {rows:,} rows; a tidy panel is read up to {MOST_ROWS:,}. If it holds one row for "
            "each discharge, count it with evalaid.count_records, which needs little memory."
        )
        raise fault(path, message, found="too many rows", expected=f"at most {MOST_ROWS:,} rows")
    return pyarrow.parquet.ParquetFile(path).read()


def _read_feather(path: Path) -> Any:
    import pyarrow.feather

    return pyarrow.feather.read_table(path, memory_map=False)


def _json(path: Path, _: str) -> DataFile:
    text = path.read_text(encoding="utf-8-sig")
    try:
        stored = json.loads(text)
    except json.JSONDecodeError:
        stored = [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(stored, dict):
        lists = [value for value in stored.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
        stored = lists[0] if len(lists) == 1 else [stored]
    if not isinstance(stored, list) or not all(isinstance(row, dict) for row in stored):
        message = f"{readable_name(path.name)}: the JSON holds no table. Expected a list of objects, one per row, or one object on each line."
        raise fault(path, message, found="no table", expected="a list of objects")
    return DataFile(pd.json_normalize(stored, sep="_"), "a JSON file")


def _sqlite(path: Path, table: str) -> DataFile:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        names = [
            row[0]
            for row in connection.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
            )
        ]
        name = _choose_table(path, table, names)
        frame = pd.read_sql_query(f'SELECT * FROM "{name}" LIMIT {MOST_ROWS + 1}', connection)  # noqa: S608 (a name of the file)
    return DataFile(frame, f"table {name!r} of a SQLite file")


def _duckdb(path: Path, table: str) -> DataFile:
    import duckdb

    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        names = [
            row[0]
            for row in connection.execute("SELECT table_name FROM information_schema.tables ORDER BY 1").fetchall()
        ]
        name = _choose_table(path, table, names)
        frame = connection.execute(f'SELECT * FROM "{name}" LIMIT {MOST_ROWS + 1}').df()  # noqa: S608 (a name of the file)
    return DataFile(frame, f"table {name!r} of a DuckDB file")


def _choose_table(path: Path, table: str, names: list[str]) -> str:
    if table in names or (not table and len(names) == 1):
        return table or names[0]
    file = readable_name(path.name)
    what = f"there is no table {table!r}" if table else f"it holds {len(names)} tables"
    example = f" as {file}{TABLE_OF}{names[0]}" if names else ""
    message = f"{file}: {what}. Expected one of {', '.join(names[:12]) or 'none'}: name it{example}."
    raise fault(path, message, found=what, expected="one table")


READERS: Mapping[str, Callable[[Path, str], DataFile]] = {
    ".dta": _stata,
    ".sav": _readstat("read_sav", "an SPSS file"),
    ".zsav": _readstat("read_sav", "an SPSS file"),
    ".por": _readstat("read_por", "an SPSS file"),
    ".sas7bdat": _readstat("read_sas7bdat", "a SAS file"),
    ".xpt": _readstat("read_xport", "a SAS transport file"),
    ".parquet": _arrow(_read_parquet, "a Parquet file"),
    ".pq": _arrow(_read_parquet, "a Parquet file"),
    ".feather": _arrow(_read_feather, "a Feather file"),
    ".arrow": _arrow(_read_feather, "an Arrow file"),
    ".json": _json,
    ".jsonl": _json,
    ".ndjson": _json,
    **dict.fromkeys(SQLITE, _sqlite),
    **dict.fromkeys(DUCKDB, _duckdb),
}
"""How a file's name ends -> how it is read."""
