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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evalaid.base.errors import EvalaidError, ReadingError, StudyError
from evalaid.base.names import CLUSTER, FIRST_TREATED, INSIDE, NAME, OUTCOME, PERIOD, TOTAL, UNIT, names_a_share
from evalaid.base.periods import parse_periods
from evalaid.base.project import LAYOUTS, OWN, list_studies, project_root, study_file
from evalaid.did.panel.design import Design, diagnose
from evalaid.programme.cohorts import assign_cohorts, possible_cohorts
from evalaid.programme.roster import roster_of
from evalaid.reading.files.snapshot import readable_name
from evalaid.reading.journal.decisions import show
from evalaid.reading.journal.layouts import Layout
from evalaid.reading.records.tallies import county_number
from evalaid.reading.rosters.rosters import Partnerships, read_partnerships
from evalaid.study.inspection.anything import inspect_any
from evalaid.study.inspection.office_roster import RosterInspection
from evalaid.study.inspection.office_table import TableInspection, table_roles
from evalaid.study.inspection.tidy_panel import Inspection
from evalaid.study.new.own_parameters import DATA, StudyDraft, choose_method, write_parameters
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


def make_practice_project() -> Path:
    """Make an empty project in a temporary folder, to practise in: the notebooks of this one, no studies, no data.

    Returns
    -------
    Path
        Its folder, which is left to the operating system to delete.
    """
    target = Path(tempfile.mkdtemp(prefix="evalaid-practice-"))
    (target / LAYOUTS).mkdir(parents=True)
    (target / DATA).mkdir()
    for path in sorted((project_root() / LAYOUTS.parent.parent).glob("[1-4]*_*.ipynb")):
        shutil.copyfile(path, target / LAYOUTS.parent.parent / path.name)
    return target


def begin_study(
    name: str,
    panel: Path | str,
    roster: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    start: str = "start",
    panel_layout: Path | str | None = None,
    roster_layout: Path | str | None = None,
    data_kind: str = "real",
) -> NewStudy:
    """Make a study of a panel and a roster: its file, its layouts and a copy of its data.

    Assumes that the panel is what `evalaid.read_table` reads, or a tidy table (csv, a workbook, Parquet), and the roster what
    `evalaid.read_roster` reads. The given files are not changed.

    Parameters
    ----------
    name : str
        Name of the study: letters, digits, ``_`` and ``-``.
    panel, roster : Path or str
        The files.
    columns : mapping of str to str, optional
        ``outcome``, column or variable (default: the share); of a tidy panel whose columns are not clear also ``unit``,
        ``period``, ``inside``, ``total``, ``cluster`` (columns) and ``outcome_unit`` (fraction, percent, number).
    start : {"start", "announced", "agreed", "arrived"}
        Which of the roster's dates is the start.
    panel_layout, roster_layout : Path or str, optional
        Layouts (YAML) of files that do not tell everything themselves.
    data_kind : {"real", "simulated"}
        Shown on every page.

    Returns
    -------
    NewStudy

    Raises
    ------
    StudyError
        If the name is taken or cannot be one, or the roster and the panel have no unit in common; nothing is written.
    ReadingError, PanelError, RosterError
        With all faults of a file and their places; nothing is written.
    """
    check_name(name)
    root = project_root()
    places = [
        study_file(name),
        root / DATA / name,
        *(root / LAYOUTS / f"{name}_{what}.yaml" for what in ("panel", "roster")),
    ]
    taken = [path.relative_to(root).as_posix() for path in places if path.exists()]
    if taken or name in list_studies():
        again = ", or remove these to begin again" if name in list_studies(OWN) else ""
        raise StudyError(
            f"There is a study '{name}' already ({', '.join(taken)}). Take another name{again}; nothing was written."
        )
    with _workshop(root) as work:
        data = work / DATA / name
        data.mkdir(parents=True)
        draft = StudyDraft(name, _copy(Path(panel), data), _copy(Path(roster), data))
        _read_panel(draft, data / draft.panel, panel_layout, dict(columns or {}))
        partnerships = _read_roster(draft, data / draft.roster, roster_layout)
        design = _diagnose(draft, partnerships, start)
        method, options, why = choose_method(design)
        layouts = work / LAYOUTS
        layouts.mkdir(parents=True)
        if draft.panel_layout:
            (layouts / f"{name}_panel.yaml").write_text(draft.panel_layout, encoding="utf-8")
        (layouts / f"{name}_roster.yaml").write_text(draft.roster_layout, encoding="utf-8")
        (data / DATA_PACKAGE.name).write_text(_package(draft, data), encoding="utf-8")
        text = write_parameters(draft, design, partnerships, start, data_kind, (method, options, why))
        (work / study_file(name).relative_to(root)).write_text(text, encoding="utf-8")
        files = _put_in_place(work, root, name)
    own = study_file(name).relative_to(root)
    decisions = pd.concat(draft.decisions, ignore_index=True)
    return NewStudy(
        name, own, tuple(path for path in files if path != own), decisions, text, draft.panel_text, design.text(), tuple(draft.notes), method, () if method else why,
    )  # fmt: skip


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
    """Copy a file under a name that every system can write, and return it."""
    if path.is_dir():
        raise StudyError(
            f"'{readable_name(path.name)}' is a folder. Give one file: put the tables into the sheets of one workbook."
        )
    if not path.is_file():
        raise StudyError(
            f"There is no file '{readable_name(str(path))}': check the name and the folder. Nothing was written."
        )
    name = re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", readable_name(path.name))
    if (folder / name).exists():
        name = f"roster_{name}"
    shutil.copyfile(path, folder / name)
    return name


def _read_panel(draft: StudyDraft, path: Path, layout: Path | str | None, named: Mapping[str, Any]) -> None:
    """Read the panel as a table of counties, or as a tidy panel."""
    found = _inspect(path, layout, named)
    if isinstance(found, RosterInspection):
        raise StudyError(
            f"{found.file} is a roster of partnerships, not a panel: were --panel and --roster exchanged? Nothing was written."
        )
    if found.panel is None:
        raise ReadingError(f"{found.message}\n{_advice(found, path)} Nothing was written.", found.faults)
    draft.panel_text = found.text()
    draft.decisions.append(found.decisions)
    if isinstance(found, Inspection):
        draft.tidy, draft.frame, draft.outcome_unit = True, found.frame, found.outcome_unit
        draft.roles = dict(found.columns)
        return
    assert found.reading is not None  # noqa: S101 (there is a panel)
    draft.frame, draft.panel_layout = found.reading.frame, found.layout.to_yaml()
    draft.roles = table_roles(found.reading)
    outcome = named.get(OUTCOME, draft.roles[OUTCOME])
    if outcome != draft.roles[OUTCOME]:
        if outcome not in (variables := _variables(draft.frame)):
            raise StudyError(
                f"The panel has no variable '{outcome}'; it has {', '.join(variables)}. Nothing was written."
            )
        draft.roles = {UNIT: UNIT, PERIOD: PERIOD, OUTCOME: outcome}
    draft.notes += _to_look_at(found.faults, "panel")
    # a reading holds shares as fractions
    draft.outcome_unit = "fraction" if names_a_share(outcome) else "number"


def _inspect(
    path: Path, layout: Path | str | None, named: Mapping[str, Any]
) -> Inspection | TableInspection | RosterInspection:
    """Inspect the panel as it is, with its columns named only where it is no table that has the outcome."""
    if layout is not None:
        return inspect_any(path, layout=Path(layout))
    if named.keys() <= {OUTCOME}:
        try:
            found = inspect_any(path)
        except EvalaidError:
            if not named:
                raise
        else:
            if not named or (isinstance(found, TableInspection) and found.reading is not None):
                return found
    return inspect_any(path, **named)


def _variables(frame: pd.DataFrame) -> list[str]:
    return [name.removesuffix("_cell") for name in map(str, frame) if name.endswith("_cell")]


def _advice(found: Inspection | TableInspection, path: Path) -> str:
    """Return what to do about a panel with faults."""
    if isinstance(found, Inspection):
        return "Correct the file, or name its columns: --unit, --period, --outcome, --outcome-unit, --inside, --total."
    return (
        f"Correct the file, or what is read: evalaid check {path.name} --write-layout LAYOUT, edit LAYOUT, and give it with "
        "--panel-layout."
    )


def _to_look_at(faults: pd.DataFrame, what: str) -> list[str]:
    return [f"{len(faults)} things to look at in the {what}'s file, listed in the report"] if len(faults) else []


def _read_roster(draft: StudyDraft, path: Path, layout: Path | str | None) -> Partnerships:
    units = draft.frame[draft.roles[UNIT]].map(show)
    coded = units.map(county_number).notna().all()
    given = Layout.read(layout) if layout is not None else Layout(units="counties" if coded else "as_written")
    try:
        found = read_partnerships(path, given)
    except ReadingError as error:
        advice = "Correct the file, or give a layout with --roster-layout. Nothing was written."
        raise ReadingError(f"{error}\n{advice}", error.rows) from None
    draft.roster_layout = found.layout.to_yaml()
    draft.decisions.append(found.decisions)
    there = set(units)
    outside = [name for unit, name in zip(found.frame["unit"], found.frame["name"], strict=True) if unit not in there]
    if len(outside) == len(found.frame):
        labels = draft.frame[NAME if NAME in draft.frame and not draft.tidy else draft.roles[UNIT]]
        here = ", ".join(sorted(set(map(str, labels)))[:3])
        raise StudyError(
            f"No unit of the roster is in the panel: the roster has {', '.join(map(str, outside[:3]))}, the panel {here}. "
            "Write them alike; nothing was written."
        )
    if outside:
        some = ", ".join(dict.fromkeys(map(str, outside[:5])))
        draft.notes.append(f"{len(set(outside))} units of the roster are not in the panel: {some}")
    draft.notes += _to_look_at(found.faults, "roster")
    return found


def _diagnose(draft: StudyDraft, partnerships: Partnerships, start: str) -> Design:
    roster = roster_of(partnerships, start)
    kind = str(parse_periods(draft.frame[draft.roles[PERIOD]]).kind)
    assigned = assign_cohorts(roster, kind)
    draft.notes += assigned.notes
    open_starts = possible_cohorts(roster, kind)
    if len(open_starts):
        draft.notes.append(
            f"{len(open_starts)} unit{'s' * (len(open_starts) > 1)} may start in one of several {kind}s: the report repeats the "
            "estimate over all of them"
        )
    units = draft.frame[draft.roles[UNIT]].map(show)
    cohort = units.map(assigned.cohort_by_unit)
    counts = {role: draft.roles.get(role) for role in (INSIDE, TOTAL)}
    return diagnose(
        draft.frame.assign(**{FIRST_TREATED: cohort}), unit=draft.roles[UNIT], period=draft.roles[PERIOD], outcome=draft.roles[OUTCOME],
        cohort=FIRST_TREATED, outcome_unit=draft.outcome_unit, inside=counts[INSIDE], total=counts[TOTAL],
        cluster=draft.roles.get(CLUSTER),
    )  # fmt: skip


def _package(draft: StudyDraft, data: Path) -> str:
    """Write the data package that records the two files."""
    slug = re.sub(r"[^a-z0-9.-]", "-", draft.name.lower())
    package: dict[str, Any] = {"profile": "data-package", "name": slug, "resources": []}
    for what, file in (("panel", draft.panel), ("roster", draft.roster)):
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
