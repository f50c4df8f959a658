"""Run the notebooks of a study and put its report in place: `run_study`.

The notebooks of a study run side by side, each in a process and a folder of its own; one that asks for a number of an earlier
notebook waits until that has recorded it. What has been computed before from the same content comes from the cache. Only a complete run
replaces the previous report; a failed or interrupted one is kept beside it as ``<study>.failed``. The data files are hashed
before and after, and a run whose data changed on the way is not accepted.
"""

from __future__ import annotations

import json
import platform
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evalaid.base.errors import NotebookError, StudyError
from evalaid.base.project import project_root
from evalaid.report.exhibit_list import EXHIBITS_FILE
from evalaid.running.crate import CRATE, read_outputs
from evalaid.running.graph import Task, run_tasks
from evalaid.running.kept import cache
from evalaid.running.kept.freshness import SYNTHESIS_NOTEBOOK, libraries, mark
from evalaid.running.kept.workshop import Workshop
from evalaid.running.processes.execution import (
    Halt,
    Tell,
    call_apart,
    chosen_engine,
    count_processors,
    execute_notebook,
)
from evalaid.running.processes.nursery import FINISH
from evalaid.study.earlier import expect_earlier, have_ended, is_waiting, same_as_used
from evalaid.study.manifest import NUMBERS_FILE, USED, EarlierNumbersError, Manifest, hash_value, read_manifest
from evalaid.study.reports import HASHES, OWN_FOLDER, PARTS, report_folder
from evalaid.study.spec import StudySpec
from evalaid.study.study_faults import SHOWN_BY

if TYPE_CHECKING:
    import pandas as pd

NOTEBOOKS = Path("notebooks")
PAGE = "index.html"


@dataclass(frozen=True)
class StudyRun:
    """What a run of a study left on disk: the report's folder and page, the executed notebooks, every reported number."""

    spec: StudySpec
    folder: Path
    page: Path
    notebooks: tuple[Path, ...]
    manifest: Manifest
    computed: tuple[str, ...]

    def numbers(self) -> pd.DataFrame:
        """Return every reported number as a frame: key, value, unit, digits, notebook, cell, method, hashes, seed."""
        import pandas as pd

        return pd.DataFrame([vars(number) for number in self.manifest.numbers.values()])


def run_study(
    spec: StudySpec,
    *,
    folder: Path | str | None = None,
    only: str | None = None,
    tell: Tell | None = None,
    changed_data: str = "refuse",
    halt: Halt | None = None,
    jobs: int | None = None,
    fresh: bool = False,
) -> StudyRun:
    """Execute a study's notebooks and write its report.

    Parameters
    ----------
    spec : StudySpec
        The study; a study with changed parameters gets a report of its own, beside the committed one.
    folder : path, optional
        Where the report goes. Default: ``reports/<study>`` of the project.
    only : str, optional
        The name of one notebook (``"3_effect"`` or ``"3"``); the results of the others are taken from the previous
        report, which must have been made from the same parameters and data.
    tell : callable, optional
        Called with (study, notebook, event) while the notebooks run, for a progress display.
    halt : Halt, optional
        Through which another thread can interrupt the run.
    changed_data : {"refuse", "run"}
        What to do when a data file differs from the hash that the data package records: refuse, or run all the same
        (as `evalaid.running.checked.verify` does, which reports the fault and the numbers that diverge).
    jobs : int, optional
        How many notebooks run at a time. Default: as many as there are processors.
    fresh : bool
        Compute everything, even what the cache holds.

    Returns
    -------
    StudyRun

    Raises
    ------
    StudyError
        If the reports folder cannot be written to, a data file is missing or has changed, or ``only`` is unknown.
    NotebookError
        If a cell fails or runs out of time: names the notebook, the cell and its source. The partial notebook is kept.

    Examples
    --------
    >>> run_study(StudySpec(study="korea_responsible_hospitals")).page.name  # doctest: +SKIP
    'index.html'
    """
    halt = halt or Halt()
    making = Making(spec, folder=folder, only=only, tell=tell, changed_data=changed_data, halt=halt, fresh=fresh)
    try:
        errors = run_tasks([making.first_task()], jobs or count_processors(), lambda _: halt.ask())
    except KeyboardInterrupt:
        raise KeyboardInterrupt(making.give_up(KeyboardInterrupt())) from None
    if errors:
        raise making.explain(errors[spec.study])
    return making.result()


class Making:
    """One study on its way to a report: its tasks, in the order in which they need one another."""

    def __init__(
        self,
        spec: StudySpec,
        *,
        folder: Path | str | None = None,
        only: str | None = None,
        tell: Tell | None = None,
        changed_data: str = "refuse",
        halt: Halt | None = None,
        fresh: bool = False,
    ) -> None:
        self.spec, self.halt = spec, halt or Halt()
        self.target = Path(folder).absolute() if folder is not None else report_folder(spec)
        self.computed: list[str] = []
        self.finished = False
        self._tell: Tell = tell or (lambda *_: None)
        self._only, self._refuse_changed, self._fresh = only, changed_data == "refuse", fresh
        self._hashes: dict[str, str] = {}
        self._outputs: dict[str, list[str]] = {}  # what each notebook wrote, relative to the report
        self._workshop: Workshop | None = None
        self._name = {"study": spec.study, "changes": spec.changed_fields()}
        self._lock = threading.Lock()

    def first_task(self) -> Task:
        """Return the task that everything else follows from."""
        return Task(self.spec.study, self._begin, weight=1e6)  # what decides on further tasks goes first

    def result(self) -> StudyRun:
        """Return what a finished run left."""
        manifest = read_manifest(self.target / NUMBERS_FILE)
        done = tuple(sorted(self.target.glob("*.ipynb")))
        return StudyRun(self.spec, self.target, self.target / PAGE, done, manifest, tuple(sorted(self.computed)))

    def explain(self, error: BaseException) -> BaseException:
        """Return the error that stopped the run, with what was kept of it."""
        note = self.give_up(error)
        if isinstance(error, NotebookError):
            return NotebookError(f"{error} {note}", rows=error.rows)
        return error

    def give_up(self, error: BaseException) -> str:
        """Keep what there is and return what was kept."""
        if self.finished or self._workshop is None:
            return ""
        for own in sorted(self._work.glob(f"{OWN_FOLDER}*")):
            for notebook in own.glob("*.ipynb"):
                notebook.replace(self._work / notebook.name)
            shutil.rmtree(own, ignore_errors=True)
        where = self._workshop.keep_partial()
        start = "Interrupted. " if isinstance(error, KeyboardInterrupt) else ""
        return f"{start}{where} The previous report, if there is one, is untouched."

    @property
    def _work(self) -> Path:
        assert self._workshop is not None  # noqa: S101
        return self._workshop.folder

    def _begin(self) -> list[Task]:
        """Check what the study is made from, and plan its notebooks."""
        notebooks = list_notebooks(self.spec)
        chosen = _chosen(self._only, notebooks)
        workshop = Workshop(self.target)
        try:
            ready = call_apart("evalaid.running.steps:prepare", self._name, self.halt)
            self._hashes = ready["hashes"]
            if ready["faults"] and self._refuse_changed:
                raise StudyError(
                    "The data are not those that the project records: " + "; ".join(ready["faults"]) + ". Raw data are "
                    "never changed: restore the file, or, for new data, update data/datapackage.json and data/README.md first."
                )
        except BaseException:
            workshop.release()
            shutil.rmtree(workshop.folder, ignore_errors=True)
            raise
        self._workshop = workshop
        (self._work / PARTS).mkdir()
        if self._only:
            self._take_over([path for path in notebooks if path not in chosen], chosen)
        names = [path.stem for path in notebooks]
        tasks: list[Task] = []
        for path in chosen:
            seconds = sum(cache.expected_seconds(self.spec.study, one.stem) for one in chosen if one.stem >= path.stem)
            work = partial(self._run, path, names[: names.index(path.stem)], tuple(tasks))
            waits = partial(is_waiting, self._own(path))
            tasks.append(Task(self.spec.study, work, [], seconds, list(tasks), waits))
        return [*tasks, Task(self.spec.study, self._finish, list(tasks), 1e3)]

    def _run(
        self, notebook: Path, before: Sequence[str], tasks: Sequence[Task], *, again: bool = False
    ) -> list[Task] | None:
        """Run one notebook, or take its results from the cache; what depends on earlier ones that do not end comes after those."""
        own, key = self._own(notebook), self._key(notebook)
        later = [Task(self.spec.study, partial(self._run, notebook, before, tasks, again=True), list(tasks), 1.0)]
        if not (self._fresh or self._only) and cache.restore(self.spec.study, notebook.stem, key, own):
            used = own / PARTS / f"{notebook.stem}{USED}"
            if not used.is_file() or (have_ended(self._work, before) and same_as_used(self._work, before, used)):
                self._gather(own)
                return None
            shutil.rmtree(own)
            if not have_ended(self._work, before):
                return later
        expect_earlier(own, before)
        (own / PARTS / HASHES).write_text(json.dumps(self._hashes), encoding="utf-8")
        start = time.monotonic()
        try:
            execute_notebook(notebook, own, self.spec, self._tell, halt=self.halt)
        except NotebookError as error:
            if EarlierNumbersError.__name__ not in str(error) or again:
                raise
            shutil.rmtree(own)
            return later
        self._forget_notes(own, notebook)
        cache.remember_seconds(self.spec.study, notebook.stem, time.monotonic() - start)
        cache.store(self.spec.study, notebook.stem, key, own)
        with self._lock:
            self.computed.append(notebook.stem)
        self._gather(own)
        return None

    def _own(self, notebook: Path) -> Path:
        return self._work / f"{OWN_FOLDER}{notebook.stem}"

    def _finish(self) -> None:
        """Make the report and put it in place."""
        notebooks = list_notebooks(self.spec)
        arguments = {
            **self._name,
            "folder": str(self._work),
            "hashes": self._hashes,
            "parts": str(self._work / PARTS),
            "sources": [str(path) for path in notebooks],
            "outputs": self._outputs,
        }
        changed = call_apart(FINISH, arguments, self.halt)
        if changed:
            raise StudyError(
                f"Data file changed on disk during the run: {', '.join(changed)}. The run is not accepted, because its "
                "numbers come from more than one state of the data. Restore the file and run again."
            )
        shutil.rmtree(self._work / PARTS)
        mark(self.spec, self._work, self._hashes, notebooks)
        assert self._workshop is not None  # noqa: S101
        self._workshop.put_in_place()
        self.finished = True
        self._tell(self.spec.study, "", {"event": "finished"})

    def _key(self, notebook: Path) -> str:
        parameters = {**self.spec.to_dict(), "changed": self._name["changes"], "data": self._hashes}
        surroundings = {**libraries(), "engine": chosen_engine(), "machine": platform.machine()}
        return cache.key_of(notebook, parameters, surroundings)

    def _forget_notes(self, own: Path, notebook: Path) -> None:
        """Leave of a notebook's notes its numbers, be they none, and those that it used."""
        (own / PARTS).mkdir(exist_ok=True)
        for path in (own / PARTS).iterdir():
            if path.name not in (f"{notebook.stem}.json", f"{notebook.stem}{USED}"):
                path.unlink()
        if not (own / PARTS / f"{notebook.stem}.json").is_file():
            (own / PARTS / f"{notebook.stem}.json").write_text("[]", encoding="utf-8")

    def _gather(self, own: Path) -> None:
        """Move what a notebook wrote from its own folder to the run's, its numbers last: with these it has ended."""
        with self._lock:
            self._gather_alone(own)

    def _gather_alone(self, own: Path) -> None:
        name = own.name.removeprefix(OWN_FOLDER)
        paths = sorted(
            (path for path in own.rglob("*") if path.is_file()), key=lambda path: (PARTS in path.parts, path)
        )
        if (own / EXHIBITS_FILE).is_file():  # one list for all notebooks: joined at the end
            paths.remove(own / EXHIBITS_FILE)
            (own / EXHIBITS_FILE).replace(self._work / PARTS / f"{name}.{EXHIBITS_FILE}")
        self._outputs[name] = [path.relative_to(own).as_posix() for path in paths if PARTS not in path.parts]
        for path in paths:
            place = self._work / path.relative_to(own)
            if place.exists() and not self._only:
                raise NotebookError(
                    f"{name} wrote {path.relative_to(own).as_posix()}, which another notebook of "
                    "the study wrote, too: give one of them another name."
                )
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
        shutil.rmtree(own)

    def _take_over(self, others: Sequence[Path], again: Sequence[Path]) -> None:
        """Copy the other notebooks' results from the previous report."""
        if not others:
            return
        advice = f"Run the whole study first: evalaid run {self.spec.study}"
        missing = [path.stem for path in others if not (self.target / path.name).is_file()]
        if missing:
            raise StudyError(f"The results of {', '.join(missing)} are missing in the previous report. {advice}")
        previous = read_manifest(self.target / NUMBERS_FILE)
        if (previous.spec_hash, previous.data_hash) != (self.spec.hash(), hash_value(dict(self._hashes))):
            raise StudyError(f"The previous report was made from other parameters or other data. {advice}")
        shutil.copytree(self.target, self._work, dirs_exist_ok=True)
        self._outputs = read_outputs(self._work)
        (self._work / CRATE).unlink(missing_ok=True)  # it is written after the page that lists what there is
        names = {path.stem for path in again}
        for path in others:
            numbers = [
                vars(one)
                for one in previous.numbers.values()
                if one.notebook == path.stem and one.notebook not in names
            ]
            (self._work / PARTS / f"{path.stem}.json").write_text(json.dumps(numbers), encoding="utf-8")


def list_notebooks(spec: StudySpec) -> tuple[Path, ...]:
    """Return the notebooks of a study in the order in which they run.

    Those that its file names; else all of the project but the tutorial (0), the synthesis, and those that show a field which
    the study does not have.

    Raises
    ------
    StudyError
        If the file names a notebook that does not exist, or there is none to run.
    """
    stored = {path.stem: path for path in sorted((project_root() / NOTEBOOKS).glob("[1-9]*_*.ipynb"))}
    if not stored:
        raise StudyError(
            f"There is no notebook in {NOTEBOOKS.as_posix()}, so there is nothing to run. `evalaid init FOLDER` makes a project that "
            "has them: copy its notebooks here."
        )
    unknown = [name for name in spec.notebooks if name not in stored]
    if unknown:
        raise StudyError(f"There is no notebook '{unknown[0]}'. Notebooks: {', '.join(stored)}.")
    shown_by = {notebook: field for field, notebook in SHOWN_BY.items()}
    with_data = bool(spec.panel or spec.simulation)
    found = tuple(
        path
        for name, path in stored.items()
        if (
            name in spec.notebooks
            if spec.notebooks
            else (bool(getattr(spec, shown_by[name])) if name in shown_by else with_data and name != SYNTHESIS_NOTEBOOK)
        )
    )
    if not found:
        raise StudyError(
            f"The study '{spec.study}' has no notebook to run: notebooks/ holds {', '.join(stored) or 'none'}, and the study has "
            "neither data nor claims that one of them shows. Restore notebooks/, or name some under 'notebooks' in its file."
        )
    return found


def _chosen(only: str | None, notebooks: Sequence[Path]) -> tuple[Path, ...]:
    if only is None:
        return tuple(notebooks)
    chosen = tuple(path for path in notebooks if only.removesuffix(".ipynb") in (path.stem, path.stem.split("_")[0]))
    if not chosen:
        known = ", ".join(path.stem for path in notebooks)
        raise StudyError(f"There is no notebook '{only}'. Notebooks: {known}.")
    return chosen
