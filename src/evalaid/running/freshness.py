"""Whether a report is up to date: made from the same parameters, data, notebooks, code and libraries.

A report that is up to date need not be made again. The mark lies beside the report and is never committed; `evalaid verify`
does not look at it and computes everything.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evalaid.base.errors import EvalaidError
from evalaid.report.report_folders import report_folder
from evalaid.report.site.pages import PAGE
from evalaid.study.manifest import NUMBERS_FILE, hash_file, hash_value
from evalaid.study.sources import hash_inputs
from evalaid.study.spec import StudySpec

MARK = ".made_from"
LIBRARIES = ("matplotlib", "numpy", "pandas", "papermill", "scipy", "seaborn")


def describe_making(spec: StudySpec, inputs: Mapping[str, str], notebooks: Sequence[Path]) -> str:
    """Return one sha256 of all that a report is made from: parameters and prose, data (by hash), notebooks, code, libraries."""
    package = Path(__file__).parents[1]
    code = sorted(path for path in package.rglob("*") if path.suffix in {".py", ".yaml", ".html", ".css", ".mplstyle"})
    digest = hashlib.sha256()
    for path in code:
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    sources = {path.name: hash_file(path) for path in notebooks}
    libraries = {"python": platform.python_version()} | {name: _version(name) for name in LIBRARIES}
    return hash_value([spec.to_dict(), dict(inputs), sources, libraries, digest.hexdigest()])


def mark(spec: StudySpec, folder: Path, inputs: Mapping[str, str], notebooks: Sequence[Path]) -> None:
    """Write the mark into a finished report: what it was made from, and the numbers that came out."""
    text = f"{describe_making(spec, inputs, notebooks)} {hash_file(folder / NUMBERS_FILE)}\n"
    (folder / MARK).write_text(text, encoding="utf-8")


def is_up_to_date(spec: StudySpec, notebooks: Sequence[Path]) -> bool:
    """Return whether a study's report was made from what is there now, and its numbers are still those that came out."""
    folder = report_folder(spec)
    if not all((folder / name).is_file() for name in (MARK, PAGE, NUMBERS_FILE)):
        return False
    found = (folder / MARK).read_text(encoding="utf-8").split()
    try:
        return found == [describe_making(spec, hash_inputs(spec), notebooks), hash_file(folder / NUMBERS_FILE)]
    except (EvalaidError, OSError):  # the run itself reports a missing file
        return False


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
