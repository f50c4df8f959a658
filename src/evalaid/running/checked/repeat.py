"""Whether a study gives the same bytes twice: run it two times from nothing and compare every file that is written."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from evalaid.base.project import REPORTS, SYNTHESIS, project_root
from evalaid.running.crate import CRATE
from evalaid.running.kept.freshness import LOCK, MARK
from evalaid.running.notebooks import Making
from evalaid.running.processes.execution import Tell
from evalaid.running.side_by_side import Outcome, as_told, run_makings
from evalaid.study.manifest import hash_file
from evalaid.study.reports import DOCUMENTS
from evalaid.study.spec import StudySpec

_UNSEEN = {MARK, LOCK}


@dataclass(frozen=True)
class Repetition:
    """Two runs of a study: how many files they wrote, those that differ, and the first cell that diverges."""

    study: str
    compared: int
    differing: tuple[str, ...]
    first_cell: str
    stale: tuple[str, ...] = ()

    @property
    def confirmed(self) -> bool:
        """Whether every file is the same, byte by byte."""
        return not self.differing and not self.stale

    def text(self) -> str:
        """Return what agrees and what differs."""
        lines = [] if self.differing else [f"{self.study}: {self.compared} files, twice the same bytes."]
        if self.differing:
            lines += [f"{self.study}: NOT the same bytes twice: {', '.join(self.differing[:10])}."]
            lines += [f"  First diverging cell: {self.first_cell}"] if self.first_cell else []
        if self.stale:
            lines += [f"  The report on disk is not the one that is made now: {', '.join(self.stale[:10])}."]
        return "\n".join(lines)


def repeat_studies(
    specs: Sequence[StudySpec], *, jobs: int | None = None, tell: Tell | None = None
) -> list[Outcome[Repetition]]:
    """Run studies twice, from nothing and into temporary folders, and compare the files of both runs and of the report on disk."""
    with tempfile.TemporaryDirectory() as folder:
        both = [Path(folder) / name for name in ("first", "second")]
        makings = [[_anew(spec, place, tell) for spec in specs] for place in both]
        errors = run_makings(makings[0], jobs, tell)
        errors = {**run_makings([one for one in makings[1] if one.spec.study not in errors], jobs, tell), **errors}
        outcomes = []
        for spec, first, second in zip(specs, *makings, strict=True):
            error = errors.get(spec.study)
            if error is None:
                outcomes.append(Outcome(spec.study, compare_folders(spec.study, first.target, second.target), None))
                continue
            outcomes.append(Outcome(spec.study, None, as_told(error)))
    return outcomes


def _anew(spec: StudySpec, place: Path, tell: Tell | None) -> Making:
    place.mkdir(exist_ok=True)
    return Making(spec, folder=place / spec.study, tell=tell, changed_data="run", fresh=True)


def compare_folders(study: str, first: Path, second: Path) -> Repetition:
    """Compare the files of two runs by their bytes, and with the report on disk, if there is one."""
    one, two = _hashes(first), _hashes(second)
    differing = tuple(sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name)))
    report = project_root() / REPORTS / study
    there = _hashes(report) if report.is_dir() and study != SYNTHESIS else one
    # The crate names the commit that a report was made at, which may have changed since.
    asked = {name for name in there if _is_one_of(name, DOCUMENTS)}  # on request, and linked from the downloads
    asked |= {name for name in there if asked and _is_one_of(name, ("downloads*.html",))}
    stale = tuple(sorted(n for n in (one.keys() | there.keys()) - {CRATE, *asked} if one.get(n) != there.get(n)))
    return Repetition(study, len(one), differing, _first_diverging(differing, first, second), stale)


def _is_one_of(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _hashes(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name not in _UNSEEN)
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in paths}


def _first_diverging(differing: Sequence[str], first: Path, second: Path) -> str:
    """Return the first cell, in the order of notebooks, whose source or output differs."""
    for name in sorted(name for name in differing if name.endswith(".ipynb")):
        try:
            cells = [json.loads((folder / name).read_text(encoding="utf-8"))["cells"] for folder in (first, second)]
        except (OSError, ValueError, KeyError):
            return f"{name} (one of the two is missing or unreadable)"
        for index, (one, two) in enumerate(zip(*cells, strict=False)):
            if one != two:
                source = "\n".join(f"    {line}" for line in "".join(one["source"]).splitlines())
                return f"{name}, cell {index + 1}\n{source}"
    return ""
