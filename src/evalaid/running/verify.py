"""Compute every reported number of a study again and hold it against the committed one.

The study runs into a temporary folder; the report on disk is not touched. Counts, keys and hashes must be equal, estimates
equal within a tolerance. A difference names the number, both values, and the notebook cell that reports it.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalaid.base.periods import PER_YEAR
from evalaid.report.report_folders import report_folder
from evalaid.running.execution import Halt, Tell
from evalaid.running.notebooks import run_study
from evalaid.study.manifest import NUMBERS_FILE, Manifest, Number, read_manifest, short
from evalaid.study.sources import data_faults
from evalaid.study.spec import StudySpec

if TYPE_CHECKING:
    import pandas as pd

# The same program on another processor or another build of the linear algebra adds in another order: sums of some
# thousand terms then agree to about 1e-12 relative. 1e-8 leaves room and is far below the digits shown. The absolute
# part is for numbers that are zero up to rounding.
RELATIVE_TOLERANCE = 1e-8
ABSOLUTE_TOLERANCE = 1e-10
EXACT_UNITS = {"count", "episodes", *PER_YEAR}
_SHOWN = 30
COLUMNS = ("key", "fault", "expected", "found", "difference", "notebook", "cell")


@dataclass(frozen=True)
class Verification:
    """The outcome of a verification.

    Parameters
    ----------
    study : str
    compared : int
        Numbers compared.
    differences : pandas.DataFrame
        One row a number that differs, in the order of the notebooks: ``key``, ``fault`` (differs, missing, extra),
        ``expected``, ``found``, ``difference``, ``notebook``, ``cell``.
    faults : tuple of str
        What differs beside single numbers: data files, parameters, seed.
    first_cell : str
        The first diverging notebook cell with its source; empty when nothing diverges.
    """

    study: str
    compared: int
    differences: pd.DataFrame
    faults: tuple[str, ...]
    first_cell: str

    @property
    def confirmed(self) -> bool:
        """Whether every number, key, parameter and data file agrees."""
        return not self.faults and self.differences.empty

    def text(self) -> str:
        """Say what agrees and what differs, with a table of the numbers that differ."""
        if self.confirmed:
            return f"{self.study}: all {self.compared} reported numbers confirmed; data and parameters unchanged."
        lines = [f"{self.study}: NOT confirmed."]
        lines += [f"  {fault}." for fault in self.faults]
        count = len(self.differences)
        if count:
            lines.append(f"  {count} of {self.compared} reported numbers differ (first {min(count, _SHOWN)} shown):")
            table = self.differences.head(_SHOWN).to_string(
                index=False, na_rep="", float_format=lambda value: f"{value:.12g}"
            )
            lines += [f"    {line}" for line in table.splitlines()]
        if self.first_cell:
            lines.append(f"  First diverging cell: {self.first_cell}")
        return "\n".join(lines)


def verify_study(spec: StudySpec, *, tell: Tell | None = None, halt: Halt | None = None) -> Verification:
    """Run a study again and compare it with its committed numbers.

    A data file that differs from the recorded hash is a fault by itself; the study is run all the same, so that the
    numbers that the change moves are named, too.

    Parameters
    ----------
    spec : StudySpec
    tell : callable, optional
        Progress, as in `run_study`.
    halt : Halt, optional
        Interruption, as in `run_study`.

    Returns
    -------
    Verification

    Raises
    ------
    ManifestError
        If there are no committed numbers or they cannot be read.
    StudyError, NotebookError
        If the study cannot be run.

    Examples
    --------
    >>> verify_study(StudySpec(study="korea_responsible_hospitals")).confirmed  # doctest: +SKIP
    True
    """
    expected = read_manifest(report_folder(spec) / NUMBERS_FILE)
    with tempfile.TemporaryDirectory() as folder:
        run = run_study(spec, folder=Path(folder) / spec.study, tell=tell, changed_data="run", halt=halt)
        found = run.manifest
        differences = compare_numbers(expected.numbers, found.numbers)
        first = _first_cell(differences, run.folder)
    faults = (*data_faults(found.data_files), *_head_faults(expected, found))
    return Verification(spec.study, len(expected.numbers), differences, faults, first)


def compare_numbers(expected: Mapping[str, Number], found: Mapping[str, Number]) -> pd.DataFrame:
    """Compare two sets of numbers by key.

    Parameters
    ----------
    expected, found : mapping of str to Number

    Returns
    -------
    pandas.DataFrame
        One row a number that differs, is missing or is extra (see `Verification`), in the order of notebook and cell.
    """
    import pandas as pd

    rows = []
    for key in sorted(set(expected) | set(found)):
        before, now = expected.get(key), found.get(key)
        fault = _fault(before, now)
        if fault:
            there = now or before
            assert there is not None  # noqa: S101
            difference = None
            if before and now and before.value is not None and now.value is not None:
                difference = now.value - before.value
            values = (before.value if before else None, now.value if now else None)
            rows.append((key, fault, *values, difference, there.notebook, there.cell))
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"expected": object, "found": object})
    order = sorted(range(len(frame)), key=lambda row: (frame["notebook"][row], _number_of(frame["cell"][row]), row))
    return frame.iloc[order].reset_index(drop=True)


def agree(expected: Number, found: Number) -> bool:
    """Say whether two values of a number agree: counts exactly, the rest within the tolerances.

    Examples
    --------
    >>> from dataclasses import replace
    >>> one = Number("a.b", 1.0, "pp", 2, "3_effect", "In [5]", "twfe()", "", "", 1)
    >>> agree(one, replace(one, value=1.0 + 1e-12)), agree(one, replace(one, value=1.001))
    (True, False)
    """
    if expected.value is None or found.value is None:
        return expected.value is found.value
    if expected.unit in EXACT_UNITS:
        return expected.value == found.value
    return math.isclose(expected.value, found.value, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)


def _fault(expected: Number | None, found: Number | None) -> str:
    if found is None:
        return "missing in this run"
    if expected is None:
        return "not among the committed"
    if not agree(expected, found):
        return "differs"
    same = all(
        getattr(expected, name) == getattr(found, name) for name in ("unit", "digits", "notebook", "cell", "method")
    )
    return "" if same else "described differently"


def _head_faults(expected: Manifest, found: Manifest) -> list[str]:
    """Name what differs in the head of the manifest; hashes are compared exactly."""
    faults = []
    if expected.spec_hash != found.spec_hash:
        faults.append("the study's parameters are not those of the committed numbers (spec hash differs)")
    faults += [
        f"data file {name} is not the one behind the committed numbers (sha256 differs)"
        for name in sorted(set(expected.data_files) | set(found.data_files))
        if expected.data_files.get(name) != found.data_files.get(name)
    ]
    if not faults and expected.data_hash != found.data_hash:
        faults.append("the data hash of the committed numbers differs from that of their data files")
    if expected.seed != found.seed:
        faults.append(f"seed {found.seed} where the committed numbers have {expected.seed}")
    head = (short(expected.spec_hash), short(expected.data_hash), expected.seed)
    if any((number.spec_hash, number.data_hash, number.seed) != head for number in expected.numbers.values()):
        faults.append("committed numbers carry another hash or seed than their file: edited, or from different runs")
    return faults


def _first_cell(differences: pd.DataFrame, folder: Path) -> str:
    """Find the first diverging cell and give its source, as executed."""
    if differences.empty:
        return ""
    first = differences.iloc[0]
    place = f"{first['notebook']}, {first['cell']} (number {first['key']})"
    path = folder / f"{first['notebook']}.ipynb"
    if not path.is_file():
        return place
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code" and cell["execution_count"] == _number_of(first["cell"]):
            source = "".join(cell["source"])
            return f"{place}\n" + "\n".join(f"    {line}" for line in source.splitlines())
    return place


def _number_of(cell: str) -> int:
    digits = "".join(letter for letter in str(cell) if letter.isdigit())
    return int(digits or 0)
