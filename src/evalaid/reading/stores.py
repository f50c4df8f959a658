"""Where records lie: files of any size behind an embedded DuckDB, or a table of another engine. Only names of files go out."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from evalaid.errors import ReadingError
from evalaid.reading.encodings import NAMES, decode
from evalaid.reading.snapshot import fault

if TYPE_CHECKING:
    import ibis.expr.types as ir

Progress = Callable[[int, int], object]
ENDINGS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".txt": "csv", ".tsv": "csv", ".gz": "csv"}
HEAD = 1 << 20
POLL_SECONDS = 0.2


@dataclass
class Store:
    """Hold an open source of records: its table, its engine, and the marks of its files.

    Parameters
    ----------
    table : ibis table
        The records.
    connection : ibis backend
        What runs expressions on it.
    embedded : bool
        Whether the connection is a DuckDB of our own.
    files : tuple of Path
        Files that are read here; empty for tables of another engine.
    notes : list of tuple
        Rows for the decisions frame.
    """

    table: ir.Table
    connection: Any
    embedded: bool = False
    files: tuple[Path, ...] = ()
    notes: list[tuple[Any, ...]] = field(default_factory=list)
    marks: dict[Path, tuple[str, int]] = field(default_factory=dict)

    @property
    def engine(self) -> str:
        """Name of the Ibis backend."""
        return str(self.connection.name)

    def small_table(self, frame: pd.DataFrame) -> ir.Table:
        """Bring a small frame to the engine."""
        import ibis

        if not self.embedded:
            return ibis.memtable(frame)
        # A table of its own: with a frame in the plan, DuckDB cannot say how far it is.
        self.connection.con.register("small_frame", frame)
        self.connection.con.execute("CREATE OR REPLACE TEMP TABLE small_table AS FROM small_frame")
        self.connection.con.unregister("small_frame")
        return self.connection.table("small_table", database="temp.main")

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
        except Exception as error:
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
            ) from error

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
        changed = [path.name for path in self.files if _mark(path) != self.marks[path]]
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
    """Open records for reading.

    Parameters
    ----------
    source : path, sequence of paths, pandas.DataFrame, ibis table or str
        See `evalaid.reading.records.count_records`.
    backend : str or ibis backend, optional
        Address or connection of another engine.
    memory, threads, scratch
        Limits of the embedded DuckDB.

    Yields
    ------
    Store
        Closed, and its scratch files deleted, at the end.

    Raises
    ------
    ReadingError
        When nothing readable is there.
    """
    import ibis

    if backend is not None:
        yield _elsewhere(source, backend)
        return
    if isinstance(source, ibis.expr.types.Table):
        yield Store(source, source.get_backend())
        return
    files = () if isinstance(source, pd.DataFrame) else _list_files(source)
    if scratch is not None:
        Path(scratch).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="evalaid-", dir=scratch) as folder:
        settings: dict[str, Any] = {
            "memory_limit": memory, "temp_directory": folder, "preserve_insertion_order": False,
            **({} if threads is None else {"threads": threads}),
        }  # fmt: skip
        connection = ibis.duckdb.connect(**settings)
        try:
            if isinstance(source, pd.DataFrame):
                yield Store(ibis.memtable(source), connection, embedded=True)
            else:
                marks = {path: _mark(path) for path in files}
                table, notes = _open_files(connection, files)
                yield Store(table, connection, embedded=True, files=files, notes=notes, marks=marks)
        finally:
            connection.disconnect()


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
        return Store(_read(connection, source, "csv" if source.endswith(".csv") else "parquet"), connection)
    files = _list_files(source)
    marks = {path: _mark(path) for path in files}
    kind = _kind(files)
    tables = [_read(connection, path.absolute().as_posix(), kind) for path in files]
    return Store(tables[0] if len(tables) == 1 else ibis.union(*tables), connection, files=files, marks=marks)


def _read(connection: Any, path: str, kind: str) -> ir.Table:
    if kind == "parquet":
        return connection.read_parquet(path)
    options = {"header": True, "inferSchema": False} if connection.name == "pyspark" else {}
    return connection.read_csv(path, **options)


def _list_files(source: Any) -> tuple[Path, ...]:
    """The files of a source in order of their names; folders with everything below them."""
    given = [source] if isinstance(source, str | Path) else list(source)
    files: list[Path] = []
    for item in given:
        path = Path(item)
        if path.is_dir():
            inside = sorted(
                p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in ENDINGS and p.name[0] not in "._"
            )
            if not inside:
                raise fault(
                    path,
                    f"{path.name}: the folder holds no file that ends in {', '.join(ENDINGS)}. Expected Parquet or CSV files "
                    "of records.",
                    found="no records in the folder",
                    expected="Parquet or CSV files",
                )
            files += inside
        elif path.is_file():
            files.append(path)
        else:
            raise fault(
                path,
                f"{path}: there is no such file or folder. Expected Parquet or CSV files of records: check the name.",
                found="no such file",
                expected="a file or folder",
            )
    if not files:
        raise ReadingError("No file of records was named. Expected a Parquet or CSV file, or a folder of them.")
    if empty := [path for path in files if path.stat().st_size == 0]:
        raise fault(
            empty[0],
            f"{', '.join(path.name for path in empty[:3])}: empty (0 bytes). Expected records: export it again.",
            found="empty file",
            expected="records",
        )
    return tuple(files)


def _kind(files: Sequence[Path]) -> str:
    kinds = {ENDINGS.get(path.suffix.lower(), path.suffix) for path in files}
    if len(kinds) > 1 or not kinds <= set(ENDINGS.values()):
        shown = ", ".join(sorted(path.name for path in files)[:3])
        raise fault(
            files[0],
            f"{shown}: files of the kinds {', '.join(sorted(kinds))}. Expected all Parquet or all CSV: put others elsewhere, or "
            "name the files.",
            found="files of several or unknown kinds",
            expected="all Parquet or all CSV",
        )
    return kinds.pop()


def _open_files(connection: Any, files: tuple[Path, ...]) -> tuple[ir.Table, list[tuple[Any, ...]]]:
    paths = [str(path) for path in files]
    try:
        if _kind(files) == "parquet":
            return connection.read_parquet(paths, union_by_name=True), []
        encodings = {path: _encoding(path) for path in files}
        notes = [
            (path.name, "", "", "encoding", None, NAMES.get(encoding, encoding), "the first megabyte fits")
            for path, encoding in encodings.items()
        ]
        if set(encodings.values()) <= {"utf-8", "utf-8-sig"}:
            table = connection.read_csv(paths, all_varchar=True, header=True, union_by_name=len(paths) > 1)
            return table, notes
        return _transcoded(connection, encodings), notes
    except ReadingError:
        raise
    except Exception as error:
        reason = _reason(error)
        raise fault(
            files[0],
            f"{', '.join(path.name for path in files[:3])}: cannot be opened as records ({type(error).__name__}: {reason}). Expected "
            "complete Parquet files, or CSV files with one header row.",
            found=reason,
            expected="complete Parquet or CSV files",
        ) from error


def _transcoded(connection: Any, encodings: dict[Path, str]) -> ir.Table:
    """Read CSV in other encodings through Arrow, which converts while it reads; nothing is written."""
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.dataset as ds

    parts = []
    for path, encoding in encodings.items():
        with path.open(encoding=encoding, newline="") as stream:
            header = stream.readline()
        separator = max(",\t;|", key=header.count)
        names = [name.strip().strip('"') for name in header.rstrip("\r\n").split(separator)]
        layout = ds.CsvFileFormat(
            read_options=pacsv.ReadOptions(encoding=encoding.removesuffix("-sig")),
            parse_options=pacsv.ParseOptions(delimiter=separator),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True
            ),
        )
        parts.append(ds.dataset(str(path), format=layout, schema=pa.schema([(name, pa.string()) for name in names])))
    whole = parts[0] if len(parts) == 1 else ds.dataset(parts)
    connection.con.register("records_in_another_encoding", whole)
    return connection.table("records_in_another_encoding")


def _encoding(path: Path) -> str:
    if path.suffix.lower() == ".gz":
        return "utf-8"
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    if len(head) == HEAD:
        head = head[: head.rfind(b"\n") + 1] or head
    return decode(path, head).encoding


def _reason(error: Exception) -> str:
    """The first line of an engine's message, without folders."""
    line = str(error).strip().split("\n")[0][:300]
    return re.sub(r"(?:[\w.+-]*/)+(?=[\w.+-])", "", line)


def _mark(path: Path) -> tuple[str, int]:
    """A fingerprint that costs no reading of the whole file (size, first and last megabyte), and the time of its last change."""
    try:
        status = path.stat()
        digest = hashlib.sha256(f"{status.st_size}".encode())
        with path.open("rb") as stream:
            digest.update(stream.read(HEAD))
            stream.seek(max(0, status.st_size - HEAD))
            digest.update(stream.read(HEAD))
    except OSError:
        return "gone", 0
    return digest.hexdigest()[:16], status.st_mtime_ns
