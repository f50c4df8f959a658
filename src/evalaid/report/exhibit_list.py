"""The list of exhibits of a report: every table and figure with the notebook, the cell and the files that it came from."""

from __future__ import annotations

import csv
import re
from pathlib import Path

EXHIBITS_FILE = "exhibits.csv"
COLUMNS = ("exhibit", "caption", "notebook", "cell", "files")


def add_exhibit(folder: Path, notebook: str, cell: str, files: tuple[str, ...], caption: str) -> None:
    """Add one exhibit to the list in a run's folder; one of the same files is replaced (a notebook that runs again alone)."""
    path = folder / EXHIBITS_FILE
    rows = []
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as stored:
            rows = [row for row in csv.DictReader(stored) if row["files"] != "; ".join(files)]
    kind = "figure" if files[0].startswith("figures") else "table"
    rows.append(dict(zip(COLUMNS, (kind, caption, notebook, cell, "; ".join(files)), strict=True)))
    rows.sort(key=lambda row: (row["notebook"], int(re.sub(r"\D", "", row["cell"]) or 0)))
    with path.open("w", encoding="utf-8", newline="") as written:
        writer = csv.DictWriter(written, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
