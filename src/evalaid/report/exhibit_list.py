"""The list of exhibits of a report: every table and figure with the notebook, the cell and the files that it came from."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path

EXHIBITS_FILE = "exhibits.csv"
COLUMNS = ("exhibit", "caption", "notebook", "cell", "files")


def add_exhibit(folder: Path, notebook: str, cell: str, files: tuple[str, ...], caption: str) -> None:
    """Add one exhibit to the list in a run's folder; one of the same files is replaced (a notebook that runs again alone)."""
    rows = [row for row in _read(folder / EXHIBITS_FILE) if row["files"] != "; ".join(files)]
    kind = "figure" if files[0].startswith("figures") else "table"
    rows.append(dict(zip(COLUMNS, (kind, caption, notebook, cell, "; ".join(files)), strict=True)))
    _write(folder / EXHIBITS_FILE, rows)


def join_exhibits(folder: Path, lists: Iterable[Path]) -> None:
    """Join the lists of single notebooks to that of a run; they replace what is there of the same notebooks."""
    rows = [row for path in lists for row in _read(path)]
    again = {row["notebook"] for row in rows}
    rows += [row for row in _read(folder / EXHIBITS_FILE) if row["notebook"] not in again]
    if rows:
        _write(folder / EXHIBITS_FILE, rows)


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stored:
        return list(csv.DictReader(stored))


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    rows.sort(key=lambda row: (row["notebook"], int(re.sub(r"\D", "", row["cell"]) or 0)))
    with path.open("w", encoding="utf-8", newline="") as written:
        writer = csv.DictWriter(written, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
