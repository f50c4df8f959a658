"""Where records lie: files of any size behind an embedded DuckDB, or a table of another engine. Only names of files go out."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.reading.files.encodings import NAMES
from evalaid.reading.files.grids import open_grids
from evalaid.reading.files.snapshot import fault
from evalaid.reading.records.pieces import (
    ENDINGS,
    MOMENT,
    TEXT,
    encoding_of,
    find_pieces,
    header_of,
    kind_of,
    kind_of_one,
    mark,
    parquet_kinds,
    refuse_copies,
)
from evalaid.reading.records.record_columns import plain_name
from evalaid.reading.records.tallies import plain_code

if TYPE_CHECKING:
    import ibis.expr.types as ir

Progress = Callable[[int, int], object]
POLL_SECONDS = 0.2


@dataclass
class Store:
    """Hold an open source of records: its table, its engine, and the marks of its files."""

    table: ir.Table  # the records
    connection: Any  # what runs expressions on it
    embedded: bool = False  # whether the connection is a DuckDB of our own
    files: tuple[Path, ...] = ()  # files that are read here; empty for tables of another engine
    notes: list[tuple[Any, ...]] = field(default_factory=list)  # rows for the decisions frame
    marks: dict[Path, tuple[str, int]] = field(default_factory=dict)  # file -> its mark when it was opened
    # file -> column -> what it holds; empty for tables of another engine
    kinds: Mapping[Path, Mapping[str, str]] = field(default_factory=dict)

    @property
    def engine(self) -> str:
        """Name of the Ibis backend."""
        return str(self.connection.name)

    def small_table(self, name: str, frame: pd.DataFrame) -> ir.Table:
        """Bring a small frame to the engine."""
        import ibis

        if not self.embedded:
            return ibis.memtable(frame)
        # A table of its own: with a frame in the plan, DuckDB cannot say how far it is.
        self.connection.con.register("small_frame", frame)
        self.connection.con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM small_frame")
        self.connection.con.unregister("small_frame")
        return self.connection.table(name, database="temp.main")

    def run(self, expression: ir.Table, progress: Progress | None) -> pd.DataFrame:
        """Run an expression and give its result; errors of the engine become `ReadingError`."""
        if self.embedded and progress is not None:
            return self._run_watched(expression, progress)
        return self._run(expression)

    def finish(self) -> list[tuple[Any, ...]]:
        """Check that no file changed, and give the rows of the decisions frame about the files."""
        self._check_unchanged()
        rows = [(path.name, "", "", "file", None, "read", f"fingerprint {self.marks[path][0]}") for path in self.files]
        return [*rows, *self.notes]

    def _run(self, expression: ir.Table) -> pd.DataFrame:
        try:
            return self.connection.to_pyarrow(expression).to_pandas()
        except Exception as error:  # noqa: BLE001 (every engine has errors of its own)
            self._check_unchanged()
            names = ", ".join(path.name for path in self.files[:3]) or "the table"
            reason = _reason(error)
            raise fault(
                self.files[0] if self.files else "records",
                f"{names}: the records could not be counted by {self.engine} ({type(error).__name__}: {reason}). Expected "
                "complete files with the same columns of the same type in each: check the file that is named, or give "
                "more memory (memory=) or room (scratch=).",
                found=reason,
                expected="complete files with the same columns",
            ) from None  # what the engine says may hold a value of a record

    def _run_watched(self, expression: ir.Table, progress: Progress) -> pd.DataFrame:
        """Run in a thread of its own while this one tells how far it is; stop it when this one is interrupted."""
        with suppress(Exception):  # in a notebook without ipywidgets DuckDB refuses to count how far it is
            self.connection.raw_sql("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
        with ThreadPoolExecutor(1) as pool:
            result = pool.submit(self._run, expression)
            shown = 0
            progress(0, 100)
            try:
                while not result.done():
                    wait([result], POLL_SECONDS)
                    done = min(int(self.connection.con.query_progress()), 99)
                    if done > shown:
                        shown = done
                        progress(done, 100)
            except BaseException:
                self.connection.con.interrupt()
                raise
        progress(100, 100)
        return result.result()

    def _check_unchanged(self) -> None:
        changed = [path.name for path in self.files if mark(path) != self.marks[path]]
        if changed:
            raise fault(
                changed[0],
                f"{', '.join(changed[:3])}: changed while the records were read. Expected files that stand still: wait until "
                "they are complete, then count again.",
                found="file changed while it was read",
                expected="a file that stands still",
            )


@contextmanager
def open_store(
    source: Any,
    *,
    backend: Any = None,
    memory: str = "1500MB",
    threads: int | None = None,
    scratch: Path | str | None = None,
) -> Iterator[Store]:
    """Open records for reading."""
    import ibis

    if backend is not None:
        yield _elsewhere(source, backend)
        return
    if isinstance(source, ibis.expr.types.Table):
        yield Store(source, source.get_backend())
        return
    files, notes = ((), []) if isinstance(source, pd.DataFrame) else find_pieces(source)
    if scratch is not None:
        Path(scratch).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="evalaid-", dir=scratch) as folder:
        connection = _embedded(memory, threads, folder)
        try:
            if isinstance(source, pd.DataFrame):
                yield Store(ibis.memtable(_one_kind_each(source)), connection, embedded=True)
            else:
                marks = {path: mark(path) for path in files}
                table, kinds, more = _open_files(connection, files, marks)
                yield Store(
                    table, connection, embedded=True, files=files, notes=[*notes, *more], marks=marks, kinds=kinds
                )
        finally:
            connection.disconnect()


def read_small(source: Any, headings: Collection[str] = ()) -> tuple[pd.DataFrame, str]:
    """Read a small table beside the records: a frame, a csv or parquet file, or the first sheet of a workbook.

    Assumes of a workbook that the first row is the header, unless one of ``headings`` (as `plain_name` writes them) stands in a
    later row: what is above it are titles.
    """
    if isinstance(source, pd.DataFrame):
        return source, ""
    if not isinstance(source, str | Path):
        raise ReadingError(f"The table is a {type(source).__name__}. Expected a path or a pandas.DataFrame.")
    path = Path(source)
    if kind_of_one(path) in ENDINGS.values() or not path.is_file():
        with open_store(path) as store:
            return store.run(store.table, None), path.name
    grid = open_grids(path)[0]
    named = [at for at, row in enumerate(grid.cells) if any(plain_name(cell) in headings for cell in row)]
    top = named[0] if named else 0
    below = pd.DataFrame(grid.cells[top + 1 :], columns=["" if cell is None else str(cell) for cell in grid.cells[top]])
    return below.dropna(how="all").reset_index(drop=True), path.name


def _embedded(memory: str, threads: int | None, folder: str) -> Any:
    import ibis

    settings: dict[str, Any] = {
        "memory_limit": memory, "temp_directory": folder, "preserve_insertion_order": False,
        **({} if threads is None else {"threads": threads}),
    }  # fmt: skip
    try:
        connection = ibis.duckdb.connect(**settings)
    except Exception as error:
        raise ReadingError(
            f"memory={memory!r}, threads={threads!r}: {_reason(error)} Expected memory as '1500MB' or '2GB', and at least one thread."
        ) from error
    connection.raw_sql("SET TimeZone = 'UTC'")
    return connection


def _one_kind_each(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with names that are text, and columns of one kind: what is mixed becomes text."""
    named = frame.set_axis([str(name) for name in frame.columns], axis=1)
    if twice := sorted({str(name) for name in named.columns[named.columns.duplicated()]}):
        raise ReadingError(f"The frame has several columns {', '.join(map(repr, twice))}. Expected every name once.")
    for name in named:
        column = named[name]
        periods = isinstance(column.dtype, pd.PeriodDtype)
        if periods or (column.dtype == object and pd.api.types.infer_dtype(column).startswith("mixed")):
            named[name] = column.map(plain_code)
    return named


def _elsewhere(source: Any, backend: Any) -> Store:
    import ibis

    try:
        connection = ibis.connect(backend) if isinstance(backend, str) else backend
    except Exception as error:
        raise ReadingError(
            f"The engine {str(backend).split('@')[-1]!r} cannot be reached ({type(error).__name__}). Expected an "
            "address that Ibis knows, and its package installed (for Spark: pip install 'evalaid[spark]', and Java 17)."
        ) from error
    if isinstance(source, pd.DataFrame):
        return Store(ibis.memtable(source), connection)
    if isinstance(source, ibis.expr.types.Table):
        return Store(source, connection)
    if isinstance(source, str) and "/" not in source and not Path(source).exists():
        try:
            return Store(connection.table(source), connection)
        except Exception as error:
            raise ReadingError(
                f"{connection.name} has no table {source!r} ({_reason(error)}), and there is no file or folder of that name. "
                "Expected the name of a table there, or a path."
            ) from error
    if isinstance(source, str) and "://" in source:  # a place that only the engine can see
        with _opening((Path(source),)):
            if source.endswith(".csv"):
                return Store(connection.read_csv(source, **_spark_options(connection, "utf-8", ",")), connection)
            return Store(connection.read_parquet(source), connection)
    files, notes = find_pieces(source)
    marks = {path: mark(path) for path in files}
    kind = kind_of(files)
    refuse_copies(marks)
    with _opening(files):
        if kind == "parquet":
            kinds = {path: parquet_kinds(path) for path in files}
            tables = [connection.read_parquet(_named(connection, path)) for path in files]
        else:
            forms = {path: (encoding_of(path), *header_of(path, encoding_of(path))) for path in files}
            kinds = {path: dict.fromkeys(names, TEXT) for path, (_, names, _) in forms.items()}
            if foreign := [path for path, (encoding, _, _) in forms.items() if not encoding.startswith("utf-")]:
                raise fault(
                    foreign[0],
                    f"{', '.join(path.name for path in foreign[:3])}: {NAMES[forms[foreign[0]][0]]}. {connection.name} reads CSV in "
                    "UTF-8 only: save the files as UTF-8 or Parquet, or count them without backend=.",
                    found="not UTF-8",
                    expected="UTF-8",
                )
            tables = [
                connection.read_csv(_named(connection, path), **_spark_options(connection, encoding, separator))
                for path, (encoding, _, separator) in forms.items()
            ]
        table = _with_moments(_stack(tables), kinds)
    return Store(table, connection, files=files, notes=notes, marks=marks, kinds=kinds)


def _spark_options(connection: Any, encoding: str, separator: str) -> dict[str, Any]:
    """Read CSV as everybody writes it: line breaks and doubled quotes inside quotes, and no row that does not fit."""
    if connection.name != "pyspark":
        return {}
    return {
        "header": True, "inferSchema": False, "multiLine": True, "escape": '"', "mode": "FAILFAST", "sep": separator,
        "encoding": encoding.removesuffix("-sig"),
    }  # fmt: skip


def _named(connection: Any, path: Path) -> str:
    """The path as an engine takes it; one whose wildcards it would follow is refused."""
    if connection.name == "duckdb":
        return _literal(path.absolute())
    if re.search(r"[\[\]{}*?]", str(path.absolute())):
        raise fault(
            path,
            f"{path.name}: {connection.name} takes brackets, braces, * and ? in a name or folder for wildcards. Expected a path "
            "without them: rename it, or count without backend=.",
            found="wildcards in the name",
            expected="a name without brackets, braces, * and ?",
        )
    return path.absolute().as_posix()


def _with_moments(table: ir.Table, kinds: Mapping[Path, Mapping[str, str]]) -> ir.Table:
    """The table with a zone for times that are moments: Spark and Hive write UTC, and no mark of it that is read."""
    names = [name for name in table.columns if any(columns.get(name) == MOMENT for columns in kinds.values())]
    return table.mutate(**{name: table[name].cast("timestamp('UTC')") for name in names}) if names else table


def _stack(tables: list[ir.Table]) -> ir.Table:
    """Tables one above the other: the columns that all have; as text where they are not of one type."""
    import ibis

    if len(tables) == 1:
        return tables[0]
    shared = [name for name in tables[0].columns if all(name in table.columns for table in tables)]
    mixed = {name for name in shared if len({table[name].type() for table in tables}) > 1}
    return ibis.union(
        *[
            table.select(*[table[n].cast("string").name(n) if n in mixed else table[n] for n in shared])
            for table in tables
        ]
    )


def _open_files(
    connection: Any, files: tuple[Path, ...], marks: Mapping[Path, tuple[str, int]]
) -> tuple[ir.Table, Mapping[Path, Mapping[str, str]], list[tuple[Any, ...]]]:
    paths = [_literal(path) for path in files]
    with _opening(files):
        kind = kind_of(files)
        refuse_copies(marks)
        if kind == "parquet":
            found: Mapping[Path, Mapping[str, str]] = {path: parquet_kinds(path) for path in files}
            return _with_moments(connection.read_parquet(paths, union_by_name=True), found), found, []
        encodings = {path: encoding_of(path) for path in files}
        notes = [
            (path.name, "", "", "encoding", None, NAMES.get(encoding, encoding), "the first megabyte fits")
            for path, encoding in encodings.items()
        ]
        if set(encodings.values()) <= {"utf-8", "utf-8-sig"}:
            each = {path: _open_text(connection, [name]).columns for path, name in zip(files, paths, strict=True)}
            return (
                _open_text(connection, paths),
                {path: dict.fromkeys(names, TEXT) for path, names in each.items()},
                notes,
            )
        return *_transcoded(connection, encodings), notes


@contextmanager
def _opening(files: tuple[Path, ...]) -> Iterator[None]:
    """Turn the errors of engines at the opening of files into `ReadingError`."""
    try:
        yield
    except ReadingError:
        raise
    except Exception as error:  # noqa: BLE001 (every engine has errors of its own)
        reason = _reason(error)
        raise fault(
            files[0],
            f"{', '.join(path.name for path in files[:3])}: cannot be opened as records ({type(error).__name__}: {reason}). Expected "
            "complete Parquet files, or CSV files with one header row.",
            found=reason,
            expected="complete Parquet or CSV files",
        ) from None  # what the engine says may hold a record


def _open_text(connection: Any, paths: list[str]) -> ir.Table:
    return connection.read_csv(paths, all_varchar=True, header=True, union_by_name=len(paths) > 1)


def _literal(path: Path) -> str:
    """The path with its wildcards taken literally."""
    return re.sub(r"[\[*?]", lambda found: f"[{found[0]}]", str(path))


def _transcoded(connection: Any, encodings: dict[Path, str]) -> tuple[ir.Table, Mapping[Path, Mapping[str, str]]]:
    """Read CSV in other encodings through Arrow, which converts while it reads; nothing is written."""
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.dataset as ds

    parts, kinds = [], {}
    for path, encoding in encodings.items():
        names, separator = header_of(path, encoding)
        schema = pa.schema([(name, pa.string()) for name in names])
        layout = ds.CsvFileFormat(
            read_options=pacsv.ReadOptions(encoding=encoding.removesuffix("-sig")),
            parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(column_types=schema, strings_can_be_null=True),
        )
        parts.append(ds.dataset(str(path), format=layout, schema=schema))
        kinds[path] = dict.fromkeys(names, TEXT)
    whole = parts[0] if len(parts) == 1 else ds.dataset(parts)
    connection.con.register("records_in_another_encoding", whole)
    return connection.table("records_in_another_encoding"), kinds


def _reason(error: Exception) -> str:
    """The first line of an engine's message, without folders, and without what may be a value of a record."""
    line = str(error).strip().split("\n")[0][:300]
    line = re.sub(r"(?:[\w.+-]*/)+(?=[\w.+-])", "", line)
    line = re.sub(r"'[^']*'?|\"[^\"]*\"?", "'...'", line)
    return re.sub(r"\b(?=\w*\d)\w{8,}", "...", line)
