"""Files that are read only if they are files, and written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from evalaid.base.errors import StudyError


def need_file(path: Path, shown: str) -> Path:
    """Return the path of a file; a pipe or a device would be read without an end.

    Raises
    ------
    StudyError
        If something else than a file is there.
    """
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a pipe or a device"
        raise StudyError(f"{shown} is {kind}, not a file. Replace it by a file or remove it.")
    return path


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file whole or not at all, also when another process writes the same one, and return its path."""
    aside = path.with_name(f".{path.name}.{os.urandom(4).hex()}.new")
    try:
        aside.write_bytes(content if isinstance(content, bytes) else content.encode())
        return aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
