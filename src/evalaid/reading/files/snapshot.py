"""One look at a file: its bytes, read once within a limit, with proof that it did not change meanwhile."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evalaid.base.errors import ReadingError

FAULT_COLUMNS = ["file", "sheet", "row", "cell", "value", "fault", "expected"]
"""Columns of ``ReadingError.rows``: ``row`` is the number that a spreadsheet or an editor shows, from 1."""

_BLOCK = 1 << 20


def readable_name(name: str) -> str:
    """Return the name of a file as a person would read it.

    Assumes that a name whose bytes are no UTF-8 (from an archive made on a Chinese system) is GB18030.

    Examples
    --------
    >>> readable_name("名单.xlsx")
    '名单.xlsx'
    """
    raw = os.fsencode(name)
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("ascii", errors="replace").replace("\ufffd", "_")


@dataclass(frozen=True)
class Limits:
    """Describe how large a file may be before it is refused unread."""

    file_bytes: int = 100_000_000  # largest file that is opened
    # largest size, unpacked, of all parts of a workbook together (a workbook is a zip archive)
    unpacked_bytes: int = 1_000_000_000
    ratio: float = 200.0  # largest ratio of unpacked to packed size of one part of more than a megabyte
    cells: int = 5_000_000  # largest rectangle around what stands on one sheet, in cells


@dataclass(frozen=True)
class Snapshot:
    """Hold the bytes of a file as they were at one moment."""

    path: Path  # where the file lies
    content: bytes  # all of it
    sha256: str  # hash of ``content``

    @property
    def file(self) -> str:
        """Name of the file without its folder."""
        return readable_name(self.path.name)

    def check_unchanged(self) -> None:
        """Raise when the file is no longer what was read."""
        digest = hashlib.sha256()
        try:
            with self.path.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
        except OSError as error:
            raise _changed(self.path) from error
        if digest.hexdigest() != self.sha256:
            raise _changed(self.path)


def fault(
    path: Path | str, message: str, *, found: str, expected: str, sheet: str = "", rows: pd.DataFrame | None = None
) -> ReadingError:
    """Make the error for one fault of a file.

    Examples
    --------
    >>> fault("a.csv", "a.csv: the file is empty. Expected a table.", found="empty", expected="a table").rows.shape
    (1, 7)
    """
    if rows is None:
        values = [readable_name(Path(path).name), sheet, None, "", None, found, expected]
        rows = pd.DataFrame([values], columns=FAULT_COLUMNS).astype({"row": object, "value": object})
    return ReadingError(message, rows)


def take(path: Path | str, limits: Limits) -> Snapshot:
    """Read a file once, whole, within a limit."""
    path = Path(path)
    try:
        before = path.stat()
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        if not path.is_file():
            text = f"{readable_name(path.name)}: this is a pipe or a device, not a file. Expected a file on disk: save the table to one."
            raise fault(path, text, found="no regular file", expected="a file on disk")
        if before.st_size > limits.file_bytes:
            raise _too_large(path, before.st_size, limits)
        with path.open("rb") as stream:
            content = stream.read(limits.file_bytes + 1)
            after = os.fstat(stream.fileno())
    except (OSError, ValueError) as error:
        raise _not_opened(path, error) from error
    if len(content) > limits.file_bytes:
        raise _too_large(path, len(content), limits)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(content) != after.st_size:
        raise _changed(path)
    if not content:
        text = (
            f"{readable_name(path.name)}: the file is empty (0 bytes). Expected a table: export or download it again."
        )
        raise fault(path, text, found="empty file", expected="a table")
    return Snapshot(path, content, hashlib.sha256(content).hexdigest())


def _not_opened(path: Path, error: Exception) -> ReadingError:
    why, do = "it cannot be opened", "check that it can be opened with another program"
    if isinstance(error, FileNotFoundError):
        why, do = "there is no such file", "check the name and the folder"
    elif isinstance(error, IsADirectoryError):
        why, do = "this is a folder", "name one file in it"
    elif isinstance(error, PermissionError):
        why, do = "reading it is not permitted", "close it in other programs, or ask its owner for the right to read it"
    elif isinstance(error, ValueError):
        why, do = "this is no valid path", "check the name"
    detail = "" if isinstance(error, FileNotFoundError | IsADirectoryError) else f" ({_reason(error)})"
    return fault(
        path,
        f"{readable_name(str(path))}: {why}{detail}. Expected a readable file: {do}.",
        found=why,
        expected="a readable file",
    )


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _too_large(path: Path, size: int, limits: Limits) -> ReadingError:
    text = (
        f"{readable_name(path.name)}: the file has {size / 1e6:,.0f} MB; a table of counties and periods is read up to "
        f"{limits.file_bytes / 1e6:,.0f} MB. Nothing was read. If it holds one row for each discharge, count it with "
        "count_records, which needs little memory; if it is a table, leave out what is not needed or split it by year."
    )
    return fault(path, text, found="file too large", expected=f"at most {limits.file_bytes:,} bytes")


def _changed(path: Path) -> ReadingError:
    text = (
        f"{readable_name(path.name)}: the file changed while it was read (is it being saved, copied or synchronised?). Expected a file "
        "that stands still: wait until it is complete, then read it again."
    )
    return fault(path, text, found="file changed while it was read", expected="a file that stands still")
