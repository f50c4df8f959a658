"""The committed numbers of a study, ``reports/expected/STUDY.csv``: one line per number, what they were made from in the head.

A run never writes them. `accept` does, when a change was meant.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalaid.base.errors import DAMAGED, ManifestError
from evalaid.base.files import write_whole
from evalaid.base.project import REPORTS, project_root
from evalaid.report.display.safe_text import guarded, unguarded
from evalaid.running.checked.comparison import ReportComparison, compare_numbers, largest_difference
from evalaid.study.manifest import NUMBERS_FILE, Manifest, Number, need_sound, read_manifest, short

EXPECTED = REPORTS / "expected"
_COLUMNS = ("key", "value", "unit", "digits", "method", "notebook", "cell")
_HEAD = ("study", "title", "data_kind", "spec_hash", "data_hash", "seed")
_FILE = "data_file"


def expected_file(study: str) -> Path:
    """Return the path of a study's committed numbers, whether or not they are there."""
    return project_root() / EXPECTED / f"{study}.csv"


def accept(study: str) -> ReportComparison:
    """Take the numbers of a study's last report as the expected ones, and return what moved.

    Raises
    ------
    ManifestError
        If there is no report.
    """
    made = read_manifest(project_root() / REPORTS / study / NUMBERS_FILE)
    old = read_expected(study).numbers if expected_file(study).is_file() else {}
    differences = compare_numbers(old, made.numbers, relative=0.0)
    write_expected(made, expected_file(study))
    return ReportComparison(study, len(made.numbers), differences, largest_difference(old, made.numbers))


def compare_with_expected(made: Manifest) -> ReportComparison | None:
    """Compare the numbers of a run with the committed ones; None for a study without."""
    if not expected_file(made.study).is_file():
        return None
    expected = read_expected(made.study).numbers
    differences = compare_numbers(expected, made.numbers)
    return ReportComparison(made.study, len(expected), differences, largest_difference(expected, made.numbers))


def write_expected(manifest: Manifest, path: Path) -> None:
    """Write committed numbers: sorted by key, values at full precision, no clock, host or path."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerows([f"# {name}", guarded(getattr(manifest, name))] for name in _HEAD)
    rows.writerows([f"# {_FILE}", guarded(name), digest] for name, digest in sorted(manifest.data_files.items()))
    rows.writerow(_COLUMNS)
    for key, one in sorted(manifest.numbers.items()):
        value = "" if one.value is None else repr(one.value)
        rows.writerow(map(guarded, (key, value, one.unit, one.digits, one.method, one.notebook, one.cell)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.getvalue())


def read_expected(study: str) -> Manifest:
    """Read the committed numbers of a study.

    Raises
    ------
    ManifestError
        If there are none, or a line is not what it should be; it is named.
    """
    path = expected_file(study)
    shown = f"{EXPECTED.as_posix()}/{path.name}"
    if not path.is_file():
        raise ManifestError(
            f"{shown} is missing: there are no expected numbers of '{study}'. Run the study, look at its report, "
            f"then: evalaid accept {study}"
        )
    line = 0
    head: dict[str, Any] = {"data_files": {}}
    numbers: dict[str, Number] = {}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream, strict=True)
            for written in rows:
                row = list(map(unguarded, written))
                line = rows.line_num
                if row[0].startswith("# "):
                    _read_head(row, head)
                elif tuple(row) != _COLUMNS:
                    number = need_sound(_read_number(row, head))
                    if number.key in numbers:
                        raise ValueError(f"the key '{number.key}' stands there twice")
                    numbers[number.key] = number
        manifest = Manifest(numbers=numbers, **head)
    except (*DAMAGED, csv.Error) as error:
        raise ManifestError(
            f"{shown}, line {line}, is not as evalaid writes it ({error}). Restore the committed file."
        ) from error
    if not numbers:
        raise ManifestError(
            f"{shown} holds no number. Restore the committed file, or run the study and accept its numbers."
        )
    return manifest


def _read_head(row: list[str], head: dict[str, Any]) -> None:
    name = row[0].removeprefix("# ")
    if name == _FILE:
        head["data_files"][row[1]] = row[2]
    elif name in _HEAD and name not in head:
        head[name] = int(row[1]) if name == "seed" else row[1]
    else:
        raise ValueError(f"'{row[0]}' is not expected here")


def _read_number(row: list[str], head: Mapping[str, Any]) -> Number:
    key, text, unit, digits, method, notebook, cell = row
    if not unit:
        raise ValueError("a unit is missing")
    hashes = short(head["spec_hash"]), short(head["data_hash"])
    return Number(key, _value(text), unit, int(digits), notebook, cell, method, *hashes, head["seed"])


def _value(text: str) -> int | float | None:
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        return float(text)
