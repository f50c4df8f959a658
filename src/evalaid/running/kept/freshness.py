"""Whether a report is up to date: made from the same files, code and libraries, and still what came out.

A run leaves a record beside the report: the sha256 of every file that it was made from and of every file that it wrote. To
look at a record costs a few milliseconds per study, and nothing heavy is imported. `evalaid verify` looks at none and computes
everything.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalaid.base.errors import DAMAGED, StudyError
from evalaid.base.files import need_file
from evalaid.base.project import (
    PROJECT,
    PUBLISHED,
    REPORTS,
    SYNTHESIS,
    WORDS,
    find_words,
    list_studies,
    project_root,
    study_file,
)
from evalaid.base.shared_out import SCHEDULER
from evalaid.running.kept.closure import hash_package

if TYPE_CHECKING:
    from evalaid.study.spec import StudySpec

MARK = ".made_from"
LOCK = ".run.lock"  # of a run that is being made
SYNTHESIS_NOTEBOOK = "5_synthesis"
_PINS = "requirements.lock"
_LIBRARIES = ("ipython", "matplotlib", "nbclient", "numpy", "pandas", "papermill", "scipy", "seaborn", "statsmodels")


def find_synthesis() -> str | None:
    """Return the name of the synthesis of all studies, if the project has one."""
    notebook = project_root() / "notebooks" / f"{SYNTHESIS_NOTEBOOK}.ipynb"
    return SYNTHESIS if study_file(SYNTHESIS).is_file() and notebook.is_file() else None


def mark(spec: StudySpec, folder: Path, inputs: Iterable[str], notebooks: Sequence[Path]) -> None:
    """Write the record of a finished report into its folder."""
    record = {
        "files": _hash_all(project_root(), _sources(spec, inputs, notebooks)),
        "surroundings": surroundings(),
        "written": _hash_all(folder, _written(folder)),
    }
    text = json.dumps(record, indent=1, sort_keys=True)
    (folder / MARK).write_text(text + "\n", encoding="utf-8", newline="\n")


def mark_again(folder: Path) -> None:
    """Record what is in the folder of a report now, as made from what its record names."""
    record = json.loads((folder / MARK).read_text(encoding="utf-8"))
    record["written"] = _hash_all(folder, _written(folder))
    (folder / MARK).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def is_up_to_date(study: str) -> bool:
    """Return whether the report of a study was made from what is there now, and is what came out."""
    folder = project_root() / REPORTS / study
    try:
        record: dict[str, dict[str, Any]] = json.loads(need_file(folder / MARK, MARK).read_text(encoding="utf-8"))
        return (
            record["surroundings"] == surroundings()
            and set(record["written"]) == set(_written(folder))
            and _agree(folder, record["written"])
            and _agree(project_root(), record["files"])
        )
    except (OSError, StudyError, *DAMAGED):  # no record, or one that somebody damaged
        return False


def surroundings() -> dict[str, str]:
    """Return what a report depends on beside its files: package, interpreter, libraries, machine, and the environment's choices."""
    import os

    chosen = {
        name: value for name, value in sorted(os.environ.items()) if name.startswith("EVALAID_") and name != SCHEDULER
    }
    return {**libraries(), "package": _package(), "machine": platform.machine(), "chosen": json.dumps(chosen)}


def libraries() -> dict[str, str]:
    """Return the versions of interpreter and libraries, and the hash of the project's lock."""
    lock = project_root() / _PINS
    return {**_versions(), _PINS: _hash(lock) if lock.is_file() else ""}


@cache
def _package() -> str:
    return hash_package()


@cache
def _versions() -> dict[str, str]:
    from importlib.metadata import distributions

    names = {re.sub(r"[-_.]+", "-", name).lower() for name in _LIBRARIES}
    found = {}
    for one in distributions():
        name = re.sub(r"[-_.]+", "-", str(one.name)).lower()
        if name in names:
            found[name] = one.version
    return {"python": platform.python_version(), **dict(sorted(found.items()))}


def _sources(spec: StudySpec, inputs: Iterable[str], notebooks: Sequence[Path]) -> list[str]:
    """Return the files that decide on a report, relative to the project: those that may come are listed, too."""
    root = project_root()
    files = {name for name in inputs if (root / name).is_file()}
    packages = {
        (folder / "datapackage.json").as_posix() for name in files for folder in Path(name).parents if folder.parts
    }
    files |= {name for name in packages if name.startswith("data/")}
    files |= {path.relative_to(root).as_posix() for path in (study_file(spec.study), *notebooks)}
    files |= {f"{PUBLISHED.as_posix()}/{path.name}" for path in (root / PUBLISHED).glob("*.csv")}
    if spec.study == SYNTHESIS:
        files |= {study_file(name).relative_to(root).as_posix() for name in list_studies(PROJECT)}
    files |= {path.relative_to(root).as_posix() for name in (spec.study, PUBLISHED.name) for path in find_words(name)}
    words = f"{WORDS.as_posix()}/*/{spec.study}.yaml"
    return [*sorted(files), words, "notebooks/*.ipynb", "notebooks/studies/*.yaml" if spec.study == SYNTHESIS else ""]


def _agree(root: Path, recorded: Mapping[str, str]) -> bool:
    return all(_hash_of(root, name) == digest for name, digest in recorded.items())


def _hash_all(root: Path, names: Iterable[str]) -> dict[str, str]:
    return {name: _hash_of(root, name) for name in names if name}


def _hash_of(root: Path, name: str) -> str:
    """Return the sha256 of a file, of the names that a pattern finds, or nothing for what is not there."""
    if "*" in name:
        return hashlib.sha256("\n".join(sorted(path.name for path in root.glob(name))).encode()).hexdigest()
    path = root / name
    return _hash(path) if path.is_file() else ""


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _written(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(name for path in paths if (name := path.relative_to(folder).as_posix()) not in (MARK, LOCK))
