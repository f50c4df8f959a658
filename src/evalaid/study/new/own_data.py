"""A study of one's own from two files, a panel and a roster: `begin_study`.

Files are copied and read in a temporary folder and put in their places at the end, the study's file last: a fault on the way
leaves the project as it was.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evalaid.base.errors import EvalaidError, StudyError
from evalaid.base.names import COHORT
from evalaid.base.project import LAYOUTS, OWN, list_studies, project_root, study_file
from evalaid.reading.files.data_files import open_data_file, split_source
from evalaid.reading.files.endings import DUCKDB, SQLITE
from evalaid.reading.files.snapshot import readable_name
from evalaid.reading.records.identifiers import looks_like, mask
from evalaid.study.inspection.treatment_columns import TREATED
from evalaid.study.new.own_files import (
    StudyDraft,
    aggregate_file,
    ask_for_starts,
    diagnose_draft,
    read_own_panel,
    read_own_roster,
)
from evalaid.study.new.own_parameters import DATA, WORDS, choose_method, write_parameters
from evalaid.study.sources import DATA_PACKAGE
from evalaid.study.spec import check_name, load_study


@dataclass(frozen=True)
class NewStudy:
    """What was decided about a new study, and where it lies.

    Parameters
    ----------
    name : str
        Its name.
    file : Path
        Its parameters, commented.
    files : tuple of Path
        Its data and layouts, relative to the project.
    decisions : pandas.DataFrame
        Everything that was decided about the files.
    parameters : str
        The text of its file.
    panel_text, design_text : str
        The panel and the design in words.
    notes : tuple of str
        What a person should know before running it.
    method : str
        The main method; empty when the design admits none.
    missing : tuple of str
        What is missing for every method that was tried, when it admits none.
    """

    name: str
    file: Path
    files: tuple[Path, ...]
    decisions: pd.DataFrame
    parameters: str
    panel_text: str
    design_text: str
    notes: tuple[str, ...]
    method: str
    missing: tuple[str, ...] = ()

    def text(self) -> str:
        """Describe what was found and decided, and the next command."""
        lines = [self.panel_text, "", self.design_text, ""]
        lines += [f"Note: {note}." for note in self.notes]
        lines += [f"Main method: {self.method or 'none applies. What is missing'}{':' if self.missing else '.'}"]
        lines += [f"  - {' '.join(reason.split())}" for reason in self.missing]
        lines += [f"Wrote {self.file.as_posix()} and {', '.join(path.as_posix() for path in self.files)}."]
        lines += [
            f"Read and edit {self.file.as_posix()}, then: evalaid run {self.name}  (or: python run.py run {self.name})"
        ]
        return "\n".join(lines)


def begin_study(
    name: str,
    panel: Path | str,
    roster: Path | str | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    covariates: Sequence[str] = (),
    not_in_panel: Sequence[str] = (),
    start: str = "start",
    roster_columns: tuple[str | None, str | None] = (None, None),
    year_begins: int | None = None,
    aggregate: str | None = None,
    panel_layout: Path | str | None = None,
    roster_layout: Path | str | None = None,
    data_kind: str = "real",
) -> NewStudy:
    """Make a study of a panel, and of a roster or a column that says when units start: its file, its layouts and its data.

    Assumes that the panel is what `evalaid.read_table` reads, or a tidy table of any file that `evalaid check` lists, and the roster
    what `evalaid.read_roster` reads. The given files are not changed.

    Parameters
    ----------
    name : str
        Name of the study: letters, digits, ``_`` and ``-``.
    panel : Path or str
        File of the panel.
    roster : Path or str, optional
        File of the starts; in its place a column of a tidy panel: ``cohort`` or ``treated`` in ``columns``.
    columns : mapping of str to str, optional
        ``outcome``, column or variable (default: the share); of a tidy panel also ``unit``, ``period``, ``inside``, ``total``,
        ``cluster``, ``weight``, ``stratum``, ``exposure``, ``cohort`` (first treated period) or ``treated`` (0/1 by period), ``outcome_unit`` (fraction,
        percent, number). Of any: ``outcome_label``, ``outcome_measure``, ``unit_label``, words of the report.
    covariates : sequence of str
        Columns of covariates, of a tidy panel.
    not_in_panel : sequence of str
        Units of the roster that are known not to be in the panel; any other stops.
    start : {"start", "announced", "agreed", "arrived"}
        Which of the roster's dates is the start.
    roster_columns : (str, str), optional
        Headers of the roster's columns of units and of starts, in its first row, where they are not recognised.
    year_begins : int, optional
        The month in which fiscal years begin (4: April), where the files have any.
    aggregate : {"mean"}, optional
        Make a panel of a file with one row per person: means by unit and period, weighted by the number of rows.
    panel_layout, roster_layout : Path or str, optional
        Layouts (YAML) of files that do not tell everything themselves.
    data_kind : {"real", "simulated"}
        Shown on every page.

    Raises
    ------
    StudyError
        If the name is taken or cannot be one, nothing says when units start, or a unit of the roster is not in the panel; nothing
        is written.
    ReadingError, PanelError, RosterError
        With all faults of a file and their places; nothing is written.
    """
    root = project_root()
    _refuse_taken(name, root)
    given = dict(columns or {})
    if roster is not None and {COHORT, TREATED} & given.keys():
        raise StudyError("Give --roster, --cohort or --treated: each says when units start. Nothing was written.")
    with _workshop(root) as work:
        data = work / DATA / name
        data.mkdir(parents=True)
        draft = StudyDraft(name, covariates=tuple(covariates), not_in_panel=tuple(not_in_panel))
        draft.words = {word: given.pop(word) for word in WORDS if word in given}
        if aggregate is None:
            draft.panel = _copy(Path(panel), data)
        else:
            draft.panel, given, notes = aggregate_file(Path(panel), data, given, covariates)
            draft.notes += notes
        read_own_panel(
            draft, data / draft.panel, panel_layout, given, of_whom=Path(panel).name, year_begins=year_begins
        )
        if draft.tidy and aggregate is None:
            _refuse_persons(draft.frame, Path(panel).name)
        partnerships = None
        if roster is not None:
            draft.roster = _copy(Path(roster), data)
            partnerships = read_own_roster(draft, data / draft.roster, roster_layout, year_begins, roster_columns)
        elif not {COHORT, TREATED} & draft.roles.keys():
            raise StudyError(ask_for_starts(draft))
        design = diagnose_draft(draft, partnerships, start)
        chosen = choose_method(design)
        layouts = work / LAYOUTS
        layouts.mkdir(parents=True)
        for what, text in (("panel", draft.panel_layout), ("roster", draft.roster_layout)):
            if text:
                (layouts / f"{name}_{what}.yaml").write_text(text, encoding="utf-8")
        (data / DATA_PACKAGE.name).write_text(_package(draft, data), encoding="utf-8")
        text = write_parameters(draft, design, partnerships, start, data_kind, chosen)
        (work / study_file(name).relative_to(root)).write_text(text, encoding="utf-8")
        files = _put_in_place(work, root, name)
    own = study_file(name).relative_to(root)
    decisions = pd.concat(draft.decisions, ignore_index=True)
    others = tuple(path for path in files if path != own)
    method, _, why = chosen
    return NewStudy(
        name,
        own,
        others,
        decisions,
        text,
        draft.panel_text,
        design.text(),
        tuple(draft.notes),
        method,
        () if method else why,
    )


def _refuse_taken(name: str, root: Path) -> None:
    """Raise when there is a study of this name, or anything of it."""
    check_name(name)
    layouts = (root / LAYOUTS / f"{name}_{what}.yaml" for what in ("panel", "roster"))
    taken = [
        path.relative_to(root).as_posix() for path in (study_file(name), root / DATA / name, *layouts) if path.exists()
    ]
    if taken or name in list_studies():
        again = ", or remove these to begin again" if name in list_studies(OWN) else ""
        raise StudyError(
            f"There is a study '{name}' already ({', '.join(taken)}). Take another name{again}; nothing was written."
        )


def _refuse_persons(frame: pd.DataFrame, file: str) -> None:
    """Raise when a panel that would be copied into the project has a column of identity or telephone numbers."""
    looks = {name: looks_like(frame[name]) for name in frame.columns}
    found = [
        f"{name!r} looks like {what[0]} ({mask(what[1])})"
        for name, what in looks.items()
        if what is not None and what[0].startswith(("identity", "telephone"))
    ]
    if found:
        raise StudyError(
            f"{file}: column {'; '.join(found)}, and the file would be copied into data/, which is published with the study. Leave such "
            "columns out of the file, or make a panel of means of its persons (--aggregate mean). Nothing was written."
        )


@contextmanager
def _workshop(root: Path) -> Iterator[Path]:
    """Open a temporary folder in the project, so that finished files only have to be moved; raise what the system refuses."""
    try:
        with tempfile.TemporaryDirectory(prefix=".new-", dir=root) as folder:
            yield Path(folder)
    except EvalaidError as error:
        if "othing was written" not in str(error):
            error.args = (f"{error} Nothing was written.", *error.args[1:])
        raise
    except OSError as error:
        place = readable_name(Path(error.filename).name) if isinstance(error.filename, str) else root.name
        raise StudyError(
            f"The study cannot be made: {error.strerror} ('{place}'). Close the file in other programs, or make the folder writable, "
            "or work in a copy of the project; nothing was written."
        ) from None


def _copy(path: Path, folder: Path) -> str:
    """Copy a file under a name that every system can write, and return it; of a database its one table is written."""
    path, table = split_source(path)
    if path.suffix.lower() in SQLITE | DUCKDB and path.is_file():
        opened = open_data_file(path, table)
        name = f"{readable_name(path.stem)}_{table}".rstrip("_") + ".parquet"
        opened.frame.to_parquet(folder / name)
        return name
    if path.is_dir():
        raise StudyError(
            f"'{readable_name(path.name)}' is a folder. Give one file: put the tables into the sheets of one workbook."
        )
    if not path.is_file():
        named = f"'{readable_name(str(path))}'"
        raise StudyError(
            f"{named} is no regular file but a device or a pipe: save what it holds to a file. Nothing was written."
            if path.exists()
            else f"There is no file {named}: check the name and the folder. Nothing was written."
        )
    name = re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", readable_name(path.name))
    if (folder / name).exists():
        name = f"roster_{name}"
    shutil.copyfile(path, folder / name)
    return name


def _package(draft: StudyDraft, data: Path) -> str:
    """Write the data package that records the two files."""
    slug = re.sub(r"[^a-z0-9.-]", "-", draft.name.lower())
    package: dict[str, Any] = {"profile": "data-package", "name": slug, "resources": []}
    for what, file in [("panel", draft.panel), *([("roster", draft.roster)] if draft.roster else [])]:
        content = (data / file).read_bytes()
        package["resources"].append({
            "name": f"{slug}-{what}", "path": file, "title": f"{what} of the study {draft.name}",
            "profile": "data-resource", "format": Path(file).suffix.lower().lstrip("."), "bytes": len(content),
            "hash": f"sha256:{hashlib.sha256(content).hexdigest()}", "sources": [{"title": f"file given to the study {draft.name}"}],
            "licenses": [{"name": "other-closed", "title": "to be passed on only with its owner's consent"}],
        })  # fmt: skip
    return json.dumps(package, indent=2, ensure_ascii=False) + "\n"


def _put_in_place(work: Path, root: Path, name: str) -> tuple[Path, ...]:
    """Move the files into the project, the study's own last; a failure takes back what was moved."""
    files = sorted(path.relative_to(work) for path in work.rglob("*") if path.is_file())
    files.sort(key=lambda path: path.parent.name == "studies")
    moved: list[Path] = []
    try:
        for path in files:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).replace(root / path)
            moved.append(path)
        load_study(name)
    except BaseException:
        _undo(root, moved)
        raise
    return tuple(files)


def _undo(root: Path, files: list[Path]) -> None:
    for path in files:
        (root / path).unlink(missing_ok=True)
    for folder in {path.parent for path in files}:
        if (
            (folder == LAYOUTS or folder.parts[:1] == DATA.parts)
            and (root / folder).is_dir()
            and not any((root / folder).iterdir())
        ):
            (root / folder).rmdir()
