"""Compute every reported number of a study again and compare it with the committed one.

The study runs into a temporary folder; the report on disk is not touched. Counts, keys and hashes must be equal, estimates
equal within a tolerance. A difference names the number, both values, and the notebook cell that reports it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evalaid.running.checked.comparison import Difference, compare_numbers, number_of, show_differences
from evalaid.running.checked.expected import read_expected
from evalaid.running.notebooks import Making, StudyRun
from evalaid.running.processes.execution import Tell
from evalaid.study.manifest import Manifest
from evalaid.study.spec import StudySpec


@dataclass(frozen=True)
class Verification:
    """What a verification found: numbers that differ, other faults, and the first diverging cell."""

    study: str
    compared: int
    differences: Sequence[Difference]
    faults: tuple[str, ...]
    first_cell: str

    @property
    def confirmed(self) -> bool:
        """Whether every number, key, parameter and data file agrees."""
        return not self.faults and not self.differences

    def text(self) -> str:
        """Return what agrees and what differs, with a table of the numbers that differ."""
        if self.confirmed:
            return f"{self.study}: all {self.compared} reported numbers confirmed; data and parameters unchanged."
        lines = [f"{self.study}: NOT confirmed."]
        lines += [f"  {fault}." for fault in self.faults]
        if self.differences:
            lines.append(f"  {show_differences(self.differences, self.compared)}")
        if self.first_cell:
            lines.append(f"  First diverging cell: {self.first_cell}")
        return "\n".join(lines)


def remake(spec: StudySpec, folder: Path, tell: Tell | None) -> Making:
    """Return the making of a study into a folder of its own, everything computed anew, changed data or not."""
    return Making(spec, folder=folder / spec.study, tell=tell, changed_data="run", fresh=True)


def compare_run(run: StudyRun) -> Verification:
    """Compare the numbers of a run with the committed ones."""
    from evalaid.study.sources import data_faults  # which imports every simulation

    expected, found = read_expected(run.spec.study), run.manifest
    differences = compare_numbers(expected.numbers, found.numbers)
    faults = (*data_faults(found.data_files), *_head_faults(expected, found))
    return Verification(
        run.spec.study, len(expected.numbers), differences, faults, _first_cell(differences, run.folder)
    )


def _head_faults(expected: Manifest, found: Manifest) -> list[str]:
    """Return what differs in the head of the manifest; hashes are compared exactly."""
    faults = [
        f"{name} is '{getattr(found, name)}' where the committed numbers have '{getattr(expected, name)}'"
        for name in ("study", "title", "data_kind")
        if getattr(expected, name) != getattr(found, name)
    ]
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
    return faults


def _first_cell(differences: Sequence[Difference], folder: Path) -> str:
    """Return the first diverging cell with its source, as executed."""
    if not differences:
        return ""
    first = differences[0]
    place = f"{first.notebook}, {first.cell} (number {first.key})"
    path = folder / f"{first.notebook}.ipynb"
    if not path.is_file():
        return place
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code" and cell["execution_count"] == number_of(first.cell):
            source = "".join(cell["source"])
            return f"{place}\n" + "\n".join(f"    {line}" for line in source.splitlines())
    return place
