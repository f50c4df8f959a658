"""A tidy table of any file (one header row, then one row per observation) as a frame: `read_tidy`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evalaid.reading.files.grids import TEXTS, WORKBOOKS, open_grids
from evalaid.reading.files.snapshot import Limits, fault, readable_name, take
from evalaid.reading.journal.decisions import DECISION_COLUMNS

PARQUET = frozenset({".parquet", ".pq"})
MOST_ROWS = 2_000_000
"""A Parquet file with more rows holds no units by periods."""
KINDS = TEXTS | WORKBOOKS | PARQUET
"""How the names of files end that may hold a tidy table."""


@dataclass(frozen=True, eq=False)
class TidyTable:
    """Hold a tidy table and how its file was opened."""

    frame: pd.DataFrame  # one row for each row of the file; columns of numbers are numeric
    decisions: pd.DataFrame  # ``file``, ``sheet``, ``cell``, ``what``, ``decided``, ``because``
    first_line: int = 2  # number of the first row of data as a spreadsheet or an editor shows it


def read_tidy(path: Path | str, *, sheet: str | None = None, encoding: str | None = None) -> TidyTable:
    r"""Read a tidy table from a text file, a workbook or a Parquet file.

    Assumes that the first row holds the names of the columns and every other row an observation.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "panel.csv"
    ...     _ = file.write_text("地区,年,率\n甲,2019,0.8\n", encoding="gb18030")
    ...     table = read_tidy(file)
    >>> table.frame.to_dict("records"), table.decisions["what"].tolist()
    ([{'地区': '甲', '年': 2019, '率': 0.8}], ['opening', 'opening'])
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if path.is_file() and suffix not in PARQUET and path.stat().st_size > Limits().file_bytes:
        take(path, Limits())  # refuses it, with advice
    if suffix in PARQUET:
        table = _from_parquet(path)
    elif suffix == ".csv" and encoding is None and path.is_file() and (frame := _plain_csv(path)) is not None:
        table = TidyTable(frame, pd.DataFrame(columns=DECISION_COLUMNS))
    else:
        table = _from_grid(path, sheet, encoding)
    if table.frame.empty:
        message = f"{readable_name(path.name)} has no rows. Expected a row of column names and at least one below it."
        raise fault(path, message, found="no rows", expected="a header and rows")
    return table


def _plain_csv(path: Path) -> pd.DataFrame | None:
    """Read csv as it mostly is, in UTF-8 with commas; None when it is not."""
    try:
        frame = pd.read_csv(path, encoding="utf-8-sig")
    except ValueError:  # not UTF-8, or rows of unlike length
        return None
    return frame if frame.shape[1] > 1 else None


def _from_parquet(path: Path) -> TidyTable:
    from evalaid.reading.records.stores import open_store  # DuckDB and Ibis take a second to import

    with open_store(path) as store:
        store.connection.raw_sql("SET preserve_insertion_order = true")
        rows = int(store.table.count().execute())
        if rows > MOST_ROWS:
            message = (
                f"{readable_name(path.name)} has {rows:,} rows; a tidy panel is read up to {MOST_ROWS:,}. If it holds one row for "
                "each discharge, count it with evalaid.count_records, which needs little memory."
            )
            raise fault(path, message, found="too many rows", expected=f"at most {MOST_ROWS:,} rows")
        frame = store.run(store.table, None)
        store.finish()
    row = (readable_name(path.name), "", "", "file", "read", "it is a Parquet file")
    return TidyTable(frame, pd.DataFrame([row], columns=DECISION_COLUMNS), 1)


def _from_grid(path: Path, sheet: str | None, encoding: str | None) -> TidyTable:
    grids = open_grids(path, sheet, encoding=encoding)
    grid = grids[0]
    header = ["" if cell is None else str(cell).strip() for cell in grid.cells[0]]
    named = [place for place, name in enumerate(header) if name]
    names = [header[place] for place in named]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"{grid.file}: several columns are named {', '.join(twice)}. Expected a name of its own for each."
        raise fault(path, message, found="columns of one name", expected="unlike names", sheet=grid.sheet)
    values = {header[place]: _typed(grid.cells[1:, place]) for place in named}
    frame = pd.DataFrame(values)
    frame = frame[frame.notna().any(axis=1)] if len(frame.columns) else frame
    rows = [(grid.file, grid.sheet, "", "opening", note, "found while the file was opened") for note in grid.notes]
    rows += [
        (other.file, other.sheet, "", "sheet", "not read", "a tidy panel is the first sheet; --sheet names another")
        for other in grids[1:]
    ]
    return TidyTable(frame.reset_index(drop=True), pd.DataFrame(rows, columns=DECISION_COLUMNS))


def _typed(cells: object) -> pd.Series:
    """Return a column as numbers where every value is one, else as it stands; blanks are missing."""
    values = pd.Series(cells, dtype=object)
    values = values.map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
    values = values.mask(values.map(lambda cell: cell is None or cell == ""))
    try:
        numbers = pd.to_numeric(values)
    except (ValueError, TypeError):
        return values.infer_objects()
    whole = pd.api.types.is_float_dtype(numbers) and bool((numbers % 1 == 0).all())  # a workbook holds 2019 as 2019.0
    return numbers.astype("int64") if whole else numbers
