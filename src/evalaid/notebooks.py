"""Run the notebooks of a study and put its report in place: `run_study`.

The notebooks run one after the other, each in a process of its own (`evalaid.engine`), into a temporary folder beside
the report. Only a complete run replaces the previous report; a failed or interrupted one is kept beside it as
``<study>.failed``. The data files are hashed before and after, and a run whose data changed on the way is not accepted.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalaid.engine import Job
from evalaid.errors import NotebookError, StudyError
from evalaid.manifest import NUMBERS_FILE, Manifest, Number, hash_value, read_manifest, read_parts, write_manifest
from evalaid.reports import check_writable, keep_partial, put_in_place, report_folder, write_report
from evalaid.sample import data_faults, hash_data
from evalaid.section import NOTEBOOK, PARTS, RUN_FOLDER
from evalaid.study import StudySpec, project_root

if TYPE_CHECKING:
    import pandas as pd

NOTEBOOKS = Path("notebooks")
CELL_SECONDS = 300
NOTEBOOK_SECONDS = 900
_SECONDS_TO_LEAVE = 10
# One thread for linear algebra: two threads change the last digits of some factorisations.
_FIXED = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
}

Tell = Callable[[str, str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class StudyRun:
    """What a run of a study left on disk.

    Parameters
    ----------
    spec : StudySpec
    folder, page : Path
        The report's folder and its HTML page.
    notebooks : tuple of Path
        The executed notebooks.
    manifest : Manifest
        Every reported number.
    """

    spec: StudySpec
    folder: Path
    page: Path
    notebooks: tuple[Path, ...]
    manifest: Manifest

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
    changed_data : {"refuse", "run"}
        What to do when a data file differs from the hash that the data package records: refuse, or run all the same
        (as `evalaid.verify` does, which reports the fault and the numbers that diverge).

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
    tell = tell or (lambda *_: None)
    target = Path(folder).absolute() if folder is not None else report_folder(spec)
    notebooks = _chosen(only)
    check_writable(target)
    before = hash_data(spec.data_files())
    faults = data_faults(before) if changed_data == "refuse" else []
    if faults:
        raise StudyError(
            "The data are not those that the project records: " + "; ".join(faults) + ". Raw data are never changed: "
            "restore the file, or, for new data, update data/datapackage.json and data/README.md first."
        )
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        kept = _take_over(spec, target, work, notebooks, before) if only else {}
        for notebook in notebooks:
            execute_notebook(notebook, work, spec, tell)
        _refuse_changed(before, hash_data(spec.data_files()))
        manifest = _merge(spec, work, before, kept)
        page = write_report(spec, work, manifest)
        put_in_place(work, target)
    except BaseException as error:
        where = keep_partial(work, target)
        note = f"{where} The previous report, if there is one, is untouched."
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"Interrupted. {note}") from None
        if isinstance(error, NotebookError):
            raise NotebookError(f"{error} {note}", rows=error.rows) from None
        raise
    done = tuple(sorted(target.glob("*.ipynb")))
    return StudyRun(spec, target, target / page.name, done, manifest)


def execute_notebook(
    notebook: Path, work: Path, spec: StudySpec, tell: Tell, seconds: float = NOTEBOOK_SECONDS
) -> Path:
    """Execute one notebook of a study, in a process of its own, into the run's folder.

    Parameters
    ----------
    notebook : Path
        The notebook as stored in the project.
    work : Path
        The run's folder; the notebook's figures, tables and numbers go there, too.
    spec : StudySpec
    tell : callable
        Called with (study, notebook, event).
    seconds : float
        Time-out for the whole notebook.

    Returns
    -------
    Path
        The executed notebook.

    Raises
    ------
    NotebookError
        If a cell fails, the notebook runs out of time or cannot be executed.
    """
    output = work / notebook.name
    # Prose is read from the study's file by the notebook itself; only what was changed is passed on.
    parameters = {"study": spec.study, **spec.changed_fields()}
    job = Job(str(notebook), str(output), parameters, folder=str(project_root()), cell_seconds=CELL_SECONDS)
    with tempfile.TemporaryDirectory() as ipython:
        environment = _environment(work, notebook.stem, ipython)
        process = subprocess.Popen(
            [sys.executable, "-m", "evalaid.engine"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
            start_new_session=True,
        )
        overtime = threading.Event()

        def end() -> None:
            overtime.set()
            process.terminate()

        timer = threading.Timer(seconds, end)
        timer.start()
        tell(spec.study, notebook.stem, {"event": "launch"})
        try:
            last = _follow(process, job, lambda event: tell(spec.study, notebook.stem, event))
        finally:
            timer.cancel()
            _stop(process)
    if overtime.is_set():
        last = {**last, "event": "overtime", "seconds": seconds}
    if last.get("event") != "done":
        raise NotebookError(_failure(notebook, last))
    return output


def list_notebooks() -> tuple[Path, ...]:
    """Return the project's notebooks in the order in which they run."""
    return tuple(sorted((project_root() / NOTEBOOKS).glob("[0-9]*_*.ipynb")))


def data_hash(data: Mapping[str, str]) -> str:
    """Return one hash for all data files of a study."""
    return hash_value(dict(data))


def _chosen(only: str | None) -> tuple[Path, ...]:
    notebooks = list_notebooks()
    if only is None:
        return notebooks
    chosen = tuple(path for path in notebooks if only.removesuffix(".ipynb") in (path.stem, path.stem.split("_")[0]))
    if not chosen:
        known = ", ".join(path.stem for path in notebooks)
        raise StudyError(f"There is no notebook '{only}'. Notebooks: {known}.")
    return chosen


def _environment(work: Path, notebook: str, ipython: str) -> dict[str, str]:
    source = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH", "")]))
    run = {
        RUN_FOLDER: str(work),
        NOTEBOOK: notebook,
        "IPYTHONDIR": ipython,
        "PYTHONPATH": path,
    }
    # Byte code must be written: without it every kernel compiles its imports anew.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **_FIXED, **run}


def _follow(process: subprocess.Popen[str], job: Job, tell: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Hand the job to the process, pass on its progress and return its last event (with the cell it was in)."""
    given, told, complained = process.stdin, process.stdout, process.stderr
    assert given is not None  # noqa: S101 (for the type checker: all three are pipes)
    assert told is not None  # noqa: S101
    assert complained is not None  # noqa: S101
    errors: list[str] = []
    reader = threading.Thread(target=errors.extend, args=(complained,), daemon=True)
    reader.start()
    given.write(job.to_json())
    given.close()
    last: dict[str, Any] = {"event": "broken", "error": "its process ended without a word"}
    cell = None
    for line in told:
        last = json.loads(line)
        cell = last.get("cell", cell)
        tell(last)
    process.wait()
    reader.join(timeout=1)
    if last["event"] in {"start", "cell"}:
        last = {"event": "broken", "error": f"its process ended early: {''.join(errors[-3:]).strip()}"}
    return {"cell": cell, **last}


def _stop(process: subprocess.Popen[str]) -> None:
    """End the notebook's process, which stops its kernel, when it is still there."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=_SECONDS_TO_LEAVE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _failure(notebook: Path, event: Mapping[str, Any]) -> str:
    """Say what failed where, with the cell's source."""
    kind, index = event["event"], event.get("cell")
    place = f"{notebook.name}" + (f", cell {index + 1}" if index is not None else "")
    if kind == "failed":
        source = "\n    ".join(str(event["source"]).splitlines())
        return f"{place} (In [{event['number']}]) failed:\n    {source}\n{event['last'] or event['error']}\n"
    if kind == "timeout":
        return f"{place} ran longer than {event['seconds']} seconds and was stopped."
    if kind == "overtime":
        return f"{place}: the notebook ran longer than {event['seconds']:g} seconds and was stopped."
    return f"{place} could not be executed: {event.get('error', 'unknown reason')}."


def _refuse_changed(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        raise StudyError(
            f"Data file changed on disk during the run: {', '.join(changed)}. The run is not accepted, because its "
            "numbers come from more than one state of the data. Restore the file and run again."
        )


def _take_over(
    spec: StudySpec, target: Path, work: Path, again: Sequence[Path], data: Mapping[str, str]
) -> dict[str, Number]:
    """Copy the other notebooks' results from the previous report into the run's folder and return their numbers."""
    names = {path.stem for path in again}
    others = [path for path in list_notebooks() if path.stem not in names]
    if not others:
        return {}
    advice = f"Run the whole study first: evalaid run {spec.study}"
    if not all((target / path.name).is_file() for path in others):
        raise StudyError(
            f"The results of {', '.join(p.stem for p in others)} are missing in the previous report. {advice}"
        )
    previous = read_manifest(target / NUMBERS_FILE)
    if (previous.spec_hash, previous.data_hash) != (spec.hash(), data_hash(data)):
        raise StudyError(f"The previous report was made from other parameters or other data. {advice}")
    shutil.copytree(target, work, dirs_exist_ok=True)
    kept = {key: number for key, number in previous.numbers.items() if number.notebook not in names}
    parts = work / PARTS
    parts.mkdir(exist_ok=True)
    for path in others:
        numbers = [vars(number) for number in kept.values() if number.notebook == path.stem]
        (parts / f"{path.stem}.json").write_text(json.dumps(numbers), encoding="utf-8")
    return kept


def _merge(spec: StudySpec, work: Path, data: Mapping[str, str], kept: Mapping[str, Number]) -> Manifest:
    numbers = read_parts(sorted((work / PARTS).glob("*.json")))
    shutil.rmtree(work / PARTS, ignore_errors=True)
    manifest = Manifest(
        study=spec.study,
        title=spec.title,
        data_kind=spec.data_kind,
        spec_hash=spec.hash(),
        data_hash=data_hash(data),
        data_files=dict(data),
        seed=spec.seed,
        numbers={**kept, **numbers},
    )
    write_manifest(manifest, work / NUMBERS_FILE)
    return manifest
