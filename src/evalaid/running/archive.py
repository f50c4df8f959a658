"""One folder to deposit: code, data that may be published, reports with their crates, lock, checksums, and a check of it all.

The check follows what data editors of journals ask for (AEA, World Bank): every point is passed, failed with the reason, or to
be looked at by a person.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from evalaid.base.errors import DAMAGED, EvalaidError, StudyError
from evalaid.base.project import PROJECT, REPORTS, list_studies, project_root, study_file
from evalaid.running.checked.expected import expected_file, read_expected
from evalaid.running.crate import CRATE
from evalaid.running.kept.freshness import find_synthesis, is_up_to_date
from evalaid.study.manifest import NUMBERS_FILE, hash_file, read_manifest

CHECKSUMS, EXHIBITS, CHECK = "SHA256SUMS", "EXHIBITS.csv", "CHECK.md"
_CLOSED = "other-closed"
_CODE = (
    "src", "tests", "tools", "notebooks", "docs", "benchmarks", "mkdocs.yml", "run.py", "pyproject.toml", "requirements*", "README.md", "LICENSE*",
    "CITATION.cff", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "reports/expected",
)  # fmt: skip
_LEFT_OUT = {"__pycache__", ".ipynb_checkpoints"}
_README_SAYS = ("memory", "disk", "cores", "minutes")


@dataclass(frozen=True)
class Deposit:
    """The folder, its files, and what the check found: (point, reason why it failed; empty when it passed)."""

    folder: Path
    files: int
    points: tuple[tuple[str, str], ...]

    @property
    def passed(self) -> bool:
        """Whether every point passed."""
        return not any(reason for _, reason in self.points)

    def text(self) -> str:
        """Return the check, one line per point."""
        lines = [
            f"{'failed' if reason else 'passed'}: {point}{': ' if reason else ''}{reason}"
            for point, reason in self.points
        ]
        return "\n".join([*lines, f"{self.files} files in {self.folder.name}"])


def write_archive(folder: Path) -> Deposit:
    """Write the deposit into a new folder and check it.

    Raises
    ------
    StudyError
        If the folder is there already or cannot be written.
    """
    root = project_root()
    if folder.exists():
        raise StudyError(f"'{folder.name}' is there already: name a new folder.")
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise _refused(error, folder) from None
    try:
        for path in sorted({*_code(root), *_open_data(root), *_reports(root)}):
            place = folder / path.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        _write_exhibits(folder)
        points = tuple(_check(folder))
        text = "\n".join(
            f"- {'**failed**' if reason else 'passed'}: {point}{': ' if reason else ''}{reason}"
            for point, reason in points
        )
        (folder / CHECK).write_text(f"# What a data editor asks\n\n{text}\n", encoding="utf-8", newline="\n")
        files = _files(folder)
        sums = "".join(f"{hash_file(folder / name)}  {name}\n" for name in files)
        (folder / CHECKSUMS).write_text(sums, encoding="utf-8", newline="\n")
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)  # half an archive is none
        if not isinstance(error, OSError):
            raise
        raise _refused(error, folder) from None
    return Deposit(folder, len(files) + 1, points)


def _refused(error: OSError, folder: Path) -> StudyError:
    return StudyError(f"The archive cannot be written: {error.strerror} ('{folder.name}').")


def _code(root: Path) -> Iterator[Path]:
    """Yield what the project tracks, or without version control what a project consists of; studies on closed data stay out."""
    own = {study_file(name) for name in set(list_studies()) - set(list_studies(PROJECT))}
    try:
        listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True, check=True).stdout  # noqa: S603, S607
        paths = [root / name for name in listed.decode("utf-8").split("\0") if name and not name.startswith("data/")]
    except (OSError, subprocess.CalledProcessError):
        found = [path for pattern in _CODE for path in root.glob(pattern)]
        paths = [file for path in found for file in ([path] if path.is_file() else path.rglob("*"))]
    yield from (path for path in paths if path.is_file() and path not in own and not _LEFT_OUT & set(path.parts))


def _open_data(root: Path) -> Iterator[Path]:
    """Yield data files that a data package lists under terms that are not closed, the packages, and the pages about them."""
    for package in sorted((root / "data").rglob("datapackage.json")):
        resources = _resources(package)
        open_files = [
            one for one in resources if not any(term.get("name") == _CLOSED for term in one.get("licenses", ()))
        ]
        yield from (package.parent / one["path"] for one in open_files if (package.parent / one["path"]).is_file())
        if open_files:
            yield from (path for path in package.parent.iterdir() if path.suffix in {".json", ".md"})


def _reports(root: Path) -> Iterator[Path]:
    for name in _reported():
        yield from (path for path in (root / REPORTS / name).rglob("*") if path.is_file())
    index = root / REPORTS / "index.html"
    if index.is_file():
        yield index


def _reported() -> list[str]:
    """Return the project's studies, and the synthesis."""
    return [*list_studies(PROJECT), *filter(None, [find_synthesis()])]


def _resources(package: Path) -> list[dict[str, Any]]:
    try:
        return [_sound(one) for one in json.loads(package.read_text(encoding="utf-8"))["resources"]]
    except DAMAGED:
        raise StudyError(f"{package.parent.name}/{package.name} is no data package: restore it.") from None


def _sound(resource: dict[str, Any]) -> dict[str, Any]:
    """Return a resource whose path stays below its package and whose licences are objects, else raise."""
    place = PurePosixPath(resource["path"])
    if place.is_absolute() or ".." in place.parts:
        raise ValueError(place)
    return {**resource, "licenses": [dict(term) for term in resource.get("licenses", ())]}


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _write_exhibits(folder: Path) -> None:
    """Write which notebook and cell every table, figure and number comes from."""
    rows: list[tuple[str, str, str, str]] = []
    for report in sorted((folder / REPORTS).glob(f"*/{CRATE}")):
        study = report.parent.name
        for entity in json.loads(report.read_text(encoding="utf-8"))["@graph"]:
            if entity["@type"] == "CreateAction" and entity["@id"].startswith("#run-"):
                rows += [(study, result["@id"], entity["name"], "") for result in entity["result"]]
        numbers = read_manifest(report.parent / NUMBERS_FILE).numbers.values()
        rows += [(study, f"number {one.key}", f"{one.notebook}.ipynb", one.cell) for one in numbers]
    with (folder / EXHIBITS).open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([("study", "exhibit", "notebook", "cell"), *rows])


def _check(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield every point with the reason why it failed."""
    studies = _reported()
    yield (
        "every report is the one that this code and these data make",
        _listed(n for n in studies if not is_up_to_date(n)),
    )
    yield "every reported number is the expected one", _listed(n for n in studies if not _as_expected(n))
    yield "a seed is stated for every study", _listed(n for n in studies if not _has(n, "seed"))
    yield (
        "interpreter and packages are pinned, with hashes",
        "" if _pinned(folder) else "requirements.lock has no hashes",
    )
    yield (
        "every table, figure and number names its notebook",
        "" if (folder / EXHIBITS).stat().st_size > 50 else "no report",
    )
    yield "raw data are those recorded (sha256)", _listed(_changed_data(folder))
    yield "source and terms are stated for every data file", _listed(_without_terms(folder))
    yield "no data that their owner closed", _listed(_closed(folder))
    yield (
        "the README states time, memory and disk",
        _listed(word for word in _README_SAYS if word not in _readme(folder)),
    )
    yield "no personal data", _listed(_persons(folder))
    yield (
        "no empty files but marks of packages",
        _listed(
            n for n in _files(folder) if not (folder / n).stat().st_size and not n.endswith(("__init__.py", "py.typed"))
        ),
    )
    yield "no file twice", _listed(_twice(folder))
    yield (
        "every report has a crate of its run",
        _listed(n for n in studies if not (folder / REPORTS / n / CRATE).is_file()),
    )
    yield "the licence of the code is there", "" if (folder / "LICENSE").is_file() else "LICENSE is missing"


def _listed(names: Iterator[str] | list[str]) -> str:
    found = list(names)
    return ", ".join(found[:10]) + (f" and {len(found) - 10} more" if len(found) > 10 else "")


def _as_expected(study: str) -> bool:
    from evalaid.running.checked.comparison import compare_numbers

    try:
        made = read_manifest(project_root() / REPORTS / study / NUMBERS_FILE)
        return expected_file(study).is_file() and not compare_numbers(read_expected(study).numbers, made.numbers)
    except EvalaidError:
        return False


def _has(study: str, field: str) -> bool:
    try:
        return getattr(read_manifest(project_root() / REPORTS / study / NUMBERS_FILE), field, None) is not None
    except EvalaidError:
        return False


def _pinned(folder: Path) -> bool:
    lock = folder / "requirements.lock"
    return lock.is_file() and "--hash=sha256:" in lock.read_text(encoding="utf-8")


def _listed_data(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for package in sorted((folder / "data").rglob("datapackage.json")):
        for one in _resources(package):
            yield (package.parent / one["path"]).relative_to(folder).as_posix(), one


def _changed_data(folder: Path) -> Iterator[str]:
    for name, one in _listed_data(folder):
        path = folder / name
        if not path.is_file() or hash_file(path) != str(one.get("hash", "")).removeprefix("sha256:"):
            yield name


def _without_terms(folder: Path) -> Iterator[str]:
    listed = dict(_listed_data(folder))
    data = [
        name for name in _files(folder) if name.startswith("data/") and not name.endswith((".md", "datapackage.json"))
    ]
    yield from (
        name for name in data if not (listed.get(name, {}).get("sources") and listed.get(name, {}).get("licenses"))
    )


def _closed(folder: Path) -> Iterator[str]:
    for name, one in _listed_data(folder):
        if any(term.get("name") == _CLOSED for term in one.get("licenses", ())):
            yield name


def _readme(folder: Path) -> str:
    path = folder / "README.md"
    return path.read_text(encoding="utf-8").lower() if path.is_file() else ""


def _persons(folder: Path) -> Iterator[str]:
    import pandas as pd

    from evalaid.reading.records.identifiers import refuse_identifiers

    for name in _files(folder):
        if (
            name.endswith(".csv")
            and name.startswith(("data/", "reports/"))
            and not name.startswith("reports/expected/")
        ):
            try:
                refuse_identifiers(pd.read_csv(folder / name, dtype=str, encoding="utf-8-sig"), where=name)
            except (EvalaidError, ValueError) as error:
                yield f"{name} ({error})"


def _twice(folder: Path) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name in _files(folder):
        if name.startswith(("reports/", "tests/")) or not (folder / name).stat().st_size:
            continue  # two studies may well have an equal table, and a test its golden copy
        digest = hash_file(folder / name)
        if digest in seen:
            yield f"{name} = {seen[digest]}"
        seen.setdefault(digest, name)
