"""Compare two sets of reported numbers: counts and words exactly, estimates within a tolerance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from evalaid.base.errors import ManifestError
from evalaid.base.months import PER_YEAR
from evalaid.study.manifest import NUMBERS_FILE, Number, read_manifest

# The same program on another processor or another build of the linear algebra adds in another order: sums of some
# thousand terms then agree to about 1e-12 relative. 1e-8 leaves room and is far below the digits shown. The absolute
# part is for numbers that are zero up to rounding.
RELATIVE_TOLERANCE = 1e-8
ABSOLUTE_TOLERANCE = 1e-10
EXACT_UNITS = {"count", "episodes", *PER_YEAR}
_SHOWN = 30


class Difference(NamedTuple):
    """A number that differs, is missing or is extra."""

    key: str
    fault: str
    expected: float | None
    found: float | None
    difference: float | None
    notebook: str
    cell: str


@dataclass(frozen=True)
class ReportComparison:
    """The numbers of one study before and after: how many, those that differ, and the largest relative difference of all."""

    study: str
    compared: int
    differences: Sequence[Difference]
    largest: float

    def text(self) -> str:
        """Return one line if all numbers agree, else a table of those that do not."""
        if not self.differences:
            return (
                f"{self.study}: {self.compared:,} numbers: all equal (largest relative difference {self.largest:.2g})"
            )
        return f"{self.study}: {show_differences(self.differences, self.compared)}"


def compare_reports(before: Path, after: Path, relative: float = RELATIVE_TOLERANCE) -> list[ReportComparison]:
    """Compare the numbers below two folders of reports, or of two single reports.

    Raises
    ------
    ManifestError
        If there are no numbers, or the folders do not hold the same studies.
    """
    old, new = _manifests(before), _manifests(after)
    if set(old) != set(new):
        alone = ", ".join(sorted(set(old) ^ set(new)))
        raise ManifestError(
            f"Only one of '{before.name}' and '{after.name}' has numbers of {alone}: compare like with like."
        )
    comparisons = []
    for study in old:
        one, two = read_manifest(old[study]).numbers, read_manifest(new[study]).numbers
        differences = compare_numbers(one, two, relative)
        comparisons.append(ReportComparison(study, len(one), differences, largest_difference(one, two)))
    return comparisons


def compare_numbers(
    expected: Mapping[str, Number], found: Mapping[str, Number], relative: float = RELATIVE_TOLERANCE
) -> list[Difference]:
    """Return the numbers that differ, are missing or extra, in the order of notebook and cell."""
    differences = []
    for key in sorted(set(expected) | set(found)):
        before, now = expected.get(key), found.get(key)
        fault = _fault(before, now, relative)
        if fault:
            there = now or before
            assert there is not None  # noqa: S101
            values = (before.value if before else None, now.value if now else None)
            change = None if values[0] is None or values[1] is None else values[1] - values[0]
            differences.append(Difference(key, fault, *values, change, there.notebook, there.cell))
    return sorted(differences, key=lambda one: (one.notebook, number_of(one.cell)))


def largest_difference(expected: Mapping[str, Number], found: Mapping[str, Number]) -> float:
    """Return the largest relative difference of numbers that both sides have (absolute below 1e-2, where ratios mean nothing)."""
    pairs = [(expected[key].value, found[key].value) for key in expected if key in found]
    floor = ABSOLUTE_TOLERANCE / RELATIVE_TOLERANCE
    relative = [abs(a - b) / max(abs(a), abs(b), floor) for a, b in pairs if a is not None and b is not None]
    return max(relative, default=0.0)


def agree(expected: Number, found: Number, relative: float = RELATIVE_TOLERANCE) -> bool:
    """Return whether two values of a number agree: counts exactly, the rest within the tolerances.

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
    absolute = ABSOLUTE_TOLERANCE * relative / RELATIVE_TOLERANCE
    return math.isclose(expected.value, found.value, rel_tol=relative, abs_tol=absolute)


def show_differences(differences: Sequence[Difference], compared: int) -> str:
    """Return how many numbers differ and a table of the first of them."""
    import pandas as pd

    count = len(differences)
    rows = pd.DataFrame(differences[:_SHOWN], columns=list(Difference._fields))
    rows = rows.astype({"expected": object, "found": object})
    table = rows.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.12g}")
    head = f"{count} of {compared} reported numbers differ (first {min(count, _SHOWN)} shown):"
    return "\n".join([head, *(f"    {line}" for line in table.splitlines())])


def number_of(cell: str) -> int:
    """Return the number of a cell: 7 of ``In [7]``."""
    return int("".join(letter for letter in str(cell) if letter.isdigit()) or 0)


def _fault(expected: Number | None, found: Number | None, relative: float) -> str:
    if found is None:
        return "missing in this run"
    if expected is None:
        return "not among the committed"
    if not agree(expected, found, relative):
        return "differs"
    words = ("unit", "digits", "notebook", "cell", "method")
    return "" if all(getattr(expected, name) == getattr(found, name) for name in words) else "described differently"


def _manifests(place: Path) -> dict[str, Path]:
    """Find the files of numbers at a place: that file, those below a folder by the names of their folders."""
    if place.is_file():
        return {place.parent.name: place}
    if (place / NUMBERS_FILE).is_file():
        return {place.name: place / NUMBERS_FILE}
    found = {path.parent.name: path for path in sorted(place.glob(f"*/{NUMBERS_FILE}"))}
    if not found:
        raise ManifestError(f"'{place}' holds no {NUMBERS_FILE}: name a report's folder or the folder of all reports.")
    return found
