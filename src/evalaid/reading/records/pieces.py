"""The files of a source of records: which are read and which are not, what each holds, and that none counts twice or changes."""

from __future__ import annotations

import csv
import gzip
import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalaid.base.errors import ReadingError
from evalaid.base.faults import Faults
from evalaid.reading.files.encodings import decode
from evalaid.reading.files.snapshot import fault

ENDINGS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".txt": "csv", ".tsv": "csv"}
ZIPPED = ".gz"
HEAD = 1 << 20
LISTED = 20
"""So many files that are not read are named one by one."""
TEXT, NUMBER, DECIMAL, MOMENT = (
    "text",
    "whole numbers",
    "numbers with a decimal point",
    "moments (INT96, or with a time zone)",
)
Line = tuple[Any, ...]
"""A row of the decisions frame."""


def find_pieces(source: Any) -> tuple[tuple[Path, ...], list[Line]]:
    """Find the files of a source in order of their names; of folders everything below them."""
    given = [source] if isinstance(source, str | os.PathLike) else source
    if not isinstance(given, Sequence) or not all(isinstance(item, str | os.PathLike) for item in given):
        raise ReadingError(
            f"The records are a {type(source).__name__}. Expected a path, a sequence of paths, a pandas.DataFrame or an ibis table."
        )
    files: list[Path] = []
    others: list[Path] = []
    for item in given:
        path = Path(item)
        if _is(path, Path.is_dir):
            there = [p for p in sorted(path.rglob("*")) if not _hidden(p.relative_to(path)) and p.is_file()]
            inside = [p for p in there if kind_of_one(p) in ENDINGS.values()]
            if not inside:
                raise fault(
                    path,
                    f"{path.name}: the folder holds no file that ends in {', '.join(ENDINGS)}. Expected Parquet or CSV files "
                    "of records.",
                    found="no records in the folder",
                    expected="Parquet or CSV files",
                )
            files += inside
            others += [p for p in there if p not in set(inside)]
        elif _is(path, Path.is_file):
            files.append(path)
        else:
            name = str(path) if len(str(path)) < HEAD >> 10 else path.name[:60] + "..."
            raise fault(
                path,
                f"{name}: there is no such file or folder. Expected Parquet or CSV files of records: check the name.",
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
    _refuse_twins([path.resolve() for path in files], files, "is named twice")
    decided = ("not read", f"a name of records ends in {', '.join(ENDINGS)}")
    notes: list[Line] = [(path.name, "", "", "file", None, *decided) for path in others[:LISTED]]
    if more := len(others) - LISTED:
        notes += [("", "", "", f"{more} more files", None, *decided)] if more > 0 else []
    return tuple(files), notes


def kind_of_one(path: Path) -> str:
    """Return the kind of a file by its name: "parquet", "csv", or its ending.

    Examples
    --------
    >>> kind_of_one(Path("a.CSV.gz")), kind_of_one(Path("a.tar.gz"))
    ('csv', '.gz')
    """
    ending = path.suffix.lower()
    if ending == ZIPPED and ENDINGS.get(Path(path.stem).suffix.lower()) == "csv":
        return "csv"
    return ENDINGS.get(ending, ending)


def kind_of(files: Sequence[Path]) -> str:
    """Return the one kind of all files, "parquet" or "csv"."""
    kinds = {kind_of_one(path) for path in files}
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


def mark(path: Path) -> tuple[str, int]:
    """Return a fingerprint that costs no reading of the whole file (size, first and last megabyte), and the time of its last change."""
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


def refuse_copies(marks: Mapping[Path, tuple[str, int]]) -> None:
    """Refuse files with the same content: every record in them would count twice. Files without a record may be alike."""
    times = Counter(found for found, _ in marks.values())
    alike = [path for path, (found, _) in marks.items() if times[found] > 1 and not _without_records(path)]
    _refuse_twins([marks[path][0] for path in alike], alike, "is a copy of another")


def encoding_of(path: Path) -> str:
    """Return the encoding of a CSV file from its first megabyte."""
    with _opener(path)(path, "rb") as stream:
        head = stream.read(HEAD)
    if len(head) == HEAD and b"\0" not in head:  # of UTF-16 a whole number of characters is there
        head = head[: head.rfind(b"\n") + 1] or head
    try:
        return decode(path, head).encoding
    except ReadingError as error:
        telling = {"undecodable bytes", "two encodings fit"}  # their messages show what stands there
        if error.rows is not None and telling & set(error.rows["fault"]):
            raise fault(
                path,
                f"{path.name}: the text fits none, or two, of the encodings UTF-8 and GB18030. Expected one: save the file again "
                "as .csv (UTF-8).",
                found="encoding unknown",
                expected="UTF-8 or GB18030",
            ) from None
        raise


def header_of(path: Path, encoding: str) -> tuple[list[str], str]:
    """Read the names in the first row of a CSV file, and what separates them."""
    with _opener(path)(path, "rt", encoding=encoding, newline="") as stream:
        first = stream.readline()
        separator = max(",\t;|", key=first.count)
        stream.seek(0)
        return [name.strip() for name in next(csv.reader(stream, delimiter=separator), [])], separator


def parquet_kinds(path: Path) -> dict[str, str]:
    """Return what each column of a Parquet file holds, from its last bytes: no record is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    flat = pq.read_metadata(path).schema
    old = {flat.column(i).name for i in range(len(flat)) if flat.column(i).physical_type == "INT96"}
    kinds = {}
    for item in schema:
        kind = item.type.value_type if pa.types.is_dictionary(item.type) else item.type
        words = (
            (pa.types.is_string, TEXT), (pa.types.is_large_string, TEXT), (pa.types.is_integer, NUMBER),
            (pa.types.is_floating, DECIMAL), (pa.types.is_decimal, DECIMAL),
        )  # fmt: skip
        moment = item.name in old or (pa.types.is_timestamp(kind) and kind.tz is not None)
        kinds[item.name] = MOMENT if moment else next((word for is_, word in words if is_(kind)), str(kind))
    return kinds


def check_pieces(kinds: Mapping[Path, Mapping[str, str]], used: Mapping[str, str], faults: Faults) -> None:
    """Record the files that lack a column that is needed, and columns whose values cannot be told to be equal across files."""
    for role, name in used.items():
        held = {
            path: {k.casefold(): v for k, v in columns.items()}.get(name.casefold()) for path, columns in kinds.items()
        }
        if without := [path.name for path, kind in held.items() if kind is None]:
            faults.add(
                name,
                f"{', '.join(without[:3])}{' and others' if len(without) > 3 else ''}: no such column (read as {role})",
                "files with the same columns: put other files elsewhere, or give the column one name in all",
            )
        several = {kind: path.name for path, kind in held.items() if kind is not None}
        if len(several) > 1 and (MOMENT in several or (DECIMAL in several and role in {"person", "hospital"})):
            found = ", ".join(f"{kind} in {file}" for kind, file in several.items())
            faults.add(name, f"{found} (read as {role})", "one type in all files")


def looks_like_a_record(names: Sequence[str]) -> bool:
    """Return whether what stands in the first row are values, not names of columns.

    Examples
    --------
    >>> looks_like_a_record(["440222", "A", "2019-03-30"]), looks_like_a_record(["residence", "icd10", "p22"])
    (True, False)
    """
    return any(re.fullmatch(r"\d{4}[-/.年]\d{1,2}([-/.月].*)?|\d{6,}[\dXx]?(\.0)?", name.strip()) for name in names)


def _without_records(path: Path) -> bool:
    if kind_of_one(path) == "parquet":
        import pyarrow.parquet as pq

        return pq.read_metadata(path).num_rows == 0
    with _opener(path)(path, "rb") as stream:
        return stream.read(HEAD).strip().count(b"\n") == 0


def _opener(path: Path) -> Callable[..., Any]:
    return gzip.open if path.suffix.lower() == ZIPPED else open


def _is(path: Path, what: Callable[[Path], bool]) -> bool:
    try:
        return what(path)
    except (OSError, ValueError):  # a name that no file can have
        return False


def _hidden(inside: Path) -> bool:
    return any(part[0] in "._~" for part in inside.parts)


def _refuse_twins(keys: Sequence[object], files: Sequence[Path], what: str) -> None:
    first: dict[object, Path] = {}
    for key, path in zip(keys, files, strict=True):
        other = first.setdefault(key, path)
        if other is not path:
            both = f" ({other.name})" if other.name != path.name else ""
            raise fault(
                path,
                f"{path.name}: {what}{both}. Its records would count twice. Expected every file once: take one away, or name "
                "the files.",
                found=f"the file {what}",
                expected="every file once",
            )
