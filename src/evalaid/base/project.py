"""Where a project keeps what: its root, its studies, its published figures and its reports."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evalaid.base.errors import StudyError
from evalaid.base.files import need_file
from evalaid.base.yaml_files import YamlFile, parse_yaml

STUDIES = Path("notebooks") / "studies"
LAYOUTS = STUDIES / "layouts"
WORDS = (
    STUDIES.parent / "words"
)  # words of studies in other languages: WORDS/zh/STUDY.yaml has the shape of the study's file
PROJECT, OWN = "project", "own"  # whose study it is
_STATED = re.compile(
    r"""(^|[{,])\s*["']?origin["']?\s*:""", re.MULTILINE
)  # only files that may say so are parsed to see
SYNTHESIS = "synthesis"  # the study of all studies: its file lies beside the folder of the others
PUBLISHED = Path("data") / "published"
PUBLISHED_FILES = ("claims.csv", "facts.csv", "programmes.csv")
LITERATURE = "literature.csv"
REPORTS = Path("reports")


VARIABLE = "EVALAID_PROJECT"  # names the project for a command that is called from elsewhere


def project_root() -> Path:
    """Return the project: the one that is named, else the nearest upward of the working directory, else of the package.

    Raises
    ------
    StudyError
        If none of them has a folder of studies.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if (Path(named) / STUDIES).is_dir():
            return Path(named).resolve()
        raise StudyError(
            f"'{named}' is no project: it has no folder '{STUDIES.as_posix()}'. Make one: evalaid init FOLDER"
        )
    for start in (Path.cwd(), Path(__file__).resolve().parent):
        for folder in (start, *start.parents):
            if (folder / STUDIES).is_dir():
                return folder
    raise StudyError(
        f"No project found: no folder above the working directory holds '{STUDIES.as_posix()}'. "
        "Change into the project's folder, name it with --project FOLDER, or make one: evalaid init FOLDER"
    )


@contextmanager
def in_project(folder: Path) -> Iterator[Path]:
    """Take a folder for the project as long as the block runs."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(folder)
    try:
        yield folder
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def shipped_root() -> Path:
    """Return the folder of the notebooks and lists that come with the package: its own sources, else those of the wheel."""
    package = Path(__file__).resolve().parents[1]
    sources = package.parents[1]
    return sources if (sources / "pyproject.toml").is_file() and (sources / STUDIES).is_dir() else package / "shipped"


def study_file(name: str) -> Path:
    """Return the path of a study's file, whether or not it is there."""
    folder = project_root() / (STUDIES.parent if name == SYNTHESIS else STUDIES)
    return folder / f"{name}.yaml"


def find_words(name: str, language: str = "*") -> list[Path]:
    """List the files with the words of a study, or of the published figures, in a language or in all of them."""
    return sorted((project_root() / WORDS).glob(f"{language}/{name}.yaml"))


def list_studies(origin: str | None = None) -> tuple[str, ...]:
    """Return the names of the studies, sorted; the synthesis is none of them.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> "korea_responsible_hospitals" in list_studies("project")
    True
    """
    paths = sorted((project_root() / STUDIES).glob("*.yaml"))
    return tuple(path.stem for path in paths if origin is None or _origin(path) == origin)


def read_study_file(path: Path) -> YamlFile:
    """Read what a study's file says, as it stands, with the line of every value.

    Raises
    ------
    StudyError
        If it is no file, no YAML, no mapping, or names another study.
    """
    shown = path.relative_to(project_root()).as_posix()
    try:
        stored = parse_yaml(need_file(path, shown).read_text(encoding="utf-8-sig"), shown)
    except UnicodeDecodeError as error:
        raise StudyError(f"{shown} is not UTF-8 (byte {error.start}): save it as UTF-8.") from None
    except OSError as error:
        raise StudyError(f"{shown} cannot be read: {error.strerror}. Make it readable or remove it.") from None
    if not isinstance(stored.value, dict):
        raise StudyError(
            f"{shown} must be a mapping 'parameter: value', found {type(stored.value).__name__}. "
            "Compare it with another study's file."
        )
    named = stored.value.get("study", path.stem)
    if named != path.stem:
        raise StudyError(f"study is '{named}' but the file is named '{path.stem}.yaml': make them the same.")
    return stored


def _origin(path: Path) -> str:
    """Read whose study it is; a file with faults tells them when its study is loaded, not when studies are listed."""
    try:
        text = need_file(path, path.name).read_text(encoding="utf-8-sig")
        return str(read_study_file(path).value.get("origin", PROJECT)) if _STATED.search(text) else PROJECT
    except (StudyError, OSError, UnicodeDecodeError):
        return PROJECT
