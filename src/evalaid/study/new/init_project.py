"""A project of one's own in a folder: the notebooks, an example on simulated files, and what a repository needs."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from evalaid.base.errors import StudyError
from evalaid.base.project import LAYOUTS, STUDIES, in_project, shipped_root
from evalaid.simulate.office import write_office_files
from evalaid.study.new.own_data import begin_study
from evalaid.study.new.own_parameters import DATA
from evalaid.study.schema import SCHEMA

EXAMPLE = "example"
README = """\
# {name}

Studies of hospital partnership programmes, made with evalaid.

    evalaid check FILE                                   is this file usable, and what is in it?
    evalaid new NAME --panel FILE --roster FILE          make a study of a panel and a roster of starts
    evalaid new NAME --panel FILE --cohort COLUMN        ... or of a panel with the first treated period in a column
    evalaid run NAME                                     write its report: reports/NAME/index.html
    evalaid accept NAME                                  take the numbers of the last report as the expected ones
    evalaid verify NAME                                  compute every reported number again and compare
    evalaid why NAME UNIT                                why a unit is in the sample, or which rule leaves it out

They work in this folder and below it; from elsewhere say `evalaid --project FOLDER ...`. The study `example` is on simulated files;
remove notebooks/studies/example.yaml, its layouts and data/example when you no longer need it.

| folder | what it holds |
|---|---|
| `notebooks/studies` | one file per study; editors complete its fields by `schema.json` |
| `notebooks` | the notebooks that every study runs through |
| `data` | the files as they were given, with their hashes |
| `reports` | what a run writes; only `reports/expected`, the numbers you accepted, belongs in a repository |

Data stay on this machine. Only published aggregates belong in a repository, never records of patients.
"""
IGNORED = """\
# what a run writes and remembers; the expected numbers are no part of it
/reports/*
!/reports/expected/
/.evalaid/

# what `evalaid new` leaves when it is killed
/.new-*/

.ipynb_checkpoints/
__pycache__/
"""


def make_project(folder: Path, *, example: bool = True) -> tuple[Path, ...]:
    """Make a project in a folder that is new or empty, and return its files.

    Raises
    ------
    StudyError
        If the folder holds something already, or cannot be written to.
    """
    if folder.exists() and (not folder.is_dir() or any(path.name != ".git" for path in folder.iterdir())):
        raise StudyError(f"'{folder}' is there already and not empty. Name a new folder; nothing was written.")
    try:
        _fill(folder)
    except OSError as error:
        raise StudyError(f"The project cannot be made in '{folder}': {error.strerror}.") from None
    if example:
        with in_project(folder), tempfile.TemporaryDirectory() as work:
            files = write_office_files(work)
            begin_study(EXAMPLE, files.panel, files.roster, data_kind="simulated")
    return tuple(sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file()))


def make_practice_project() -> Path:
    """Make an empty project in a temporary folder, to practise in; it is left to the operating system to delete."""
    folder = Path(tempfile.mkdtemp(prefix="evalaid-practice-"))
    _fill(folder)
    return folder


def _fill(folder: Path) -> None:
    """Write the folders of a project, its notebooks and its two texts."""
    (folder / LAYOUTS).mkdir(parents=True)
    (folder / DATA).mkdir()
    notebooks = sorted((shipped_root() / STUDIES.parent).glob("[0-4]_*.ipynb"))
    if not notebooks:
        raise StudyError("This installation of evalaid has no notebooks: it is not whole. Install it again.")
    for path in [*notebooks, shipped_root() / SCHEMA]:
        shutil.copyfile(path, folder / path.relative_to(shipped_root()))
    (folder / "README.md").write_text(README.format(name=folder.resolve().name), encoding="utf-8", newline="\n")
    (folder / ".gitignore").write_text(IGNORED, encoding="utf-8", newline="\n")
