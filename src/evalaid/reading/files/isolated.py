"""A workbook's values, read by the library; run as a script, in a process of its own that a damaged file may end.

A workbook that lies about its sizes makes the library ask for more memory than there is, which ends the process at once
and cannot be caught. This file imports nothing of the package, so that the process starts fast.
"""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MEMORY = 4 << 30
"""Bytes that the process of its own may use, where the system can limit it."""
SECONDS = 300


def load(content: bytes, wanted: str | None, skipped: Iterable[str]) -> dict[str, Any]:
    """Read the sheets of a workbook."""
    import python_calamine

    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheets: dict[str, Any] = {}
        for item in book.sheets_metadata:
            rows: list[Any] = []
            merged: list[Any] = []
            if wanted in {None, item.name}:
                try:
                    part = book.get_sheet_by_name(item.name)
                    rows = part.to_python(skip_empty_area=False)
                    merged = list(part.merged_cell_ranges or ())
                except python_calamine.CalamineError:
                    if item.name not in skipped:
                        raise
            sheets[item.name] = (str(item.visible).endswith(".Visible"), rows, merged)
    except python_calamine.PasswordError:
        return {"fault": "password"}
    except MemoryError:
        return {"fault": "it asks for more memory than there is"}
    except Exception as error:  # noqa: BLE001 (whatever stops the library means a damaged workbook)
        return {"fault": str(error)[:200] or type(error).__name__}
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # the library's own way to stop
            raise
        return {"fault": "its structure contradicts itself"}
    return {"sheets": sheets}


def load_apart(content: bytes, wanted: str | None, skipped: Iterable[str]) -> dict[str, Any]:
    """Read the sheets of a workbook in a process of its own."""
    request = pickle.dumps((content, wanted, list(skipped)))
    command = [sys.executable, "-P", str(Path(__file__).resolve())]
    try:
        done = subprocess.run(command, input=request, capture_output=True, timeout=SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return {"fault": f"it could not be read in {SECONDS} seconds"}
    if done.returncode:
        return {"fault": "its structure contradicts itself"}
    answer: dict[str, Any] = pickle.loads(done.stdout)  # noqa: S301 (made by `main` below)
    return answer


def main() -> None:
    """Answer one request on standard input."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (ImportError, OSError, ValueError):
        pass  # Windows has no such limit
    request = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 (made by `load_apart` above)
    sys.stdout.buffer.write(pickle.dumps(load(*request)))


if __name__ == "__main__":
    main()
