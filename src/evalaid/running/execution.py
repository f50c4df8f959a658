"""Execute one notebook in a process of its own, follow it, end it when it is late or nobody waits for it any more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evalaid.base.errors import NotebookError
from evalaid.base.project import project_root
from evalaid.report.section import NOTEBOOK, RUN_FOLDER
from evalaid.running.engine import Job
from evalaid.study.spec import StudySpec

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


class Halt:
    """Interrupt notebooks from another thread: those that run are ended, those to come do not start."""

    def __init__(self) -> None:
        self.asked = False
        self._processes: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()

    def ask(self) -> None:
        """End every notebook that runs."""
        with self._lock:
            self.asked = True
            for process in self._processes:
                process.terminate()

    def watch(self, process: subprocess.Popen[str]) -> None:
        """Add a process that started."""
        with self._lock:
            self._processes.add(process)
            if self.asked:
                process.terminate()

    def forget(self, process: subprocess.Popen[str]) -> None:
        """Remove a process that ended."""
        with self._lock:
            self._processes.discard(process)


def execute_notebook(
    notebook: Path,
    work: Path,
    spec: StudySpec,
    tell: Tell,
    seconds: float = NOTEBOOK_SECONDS,
    halt: Halt | None = None,
) -> Path:
    """Execute one notebook of a study, in a process of its own, into the run's folder, and return the executed notebook.

    ``tell`` is called with (study, notebook, event); ``seconds`` is the time-out of the whole notebook; ``halt`` lets another
    thread interrupt it.

    Raises
    ------
    NotebookError
        If a cell fails, the notebook runs out of time or cannot be executed.
    """
    output, halt = work / notebook.name, halt or Halt()
    # Prose is read from the study's file by the notebook itself; only what was changed is passed on.
    parameters = {"study": spec.study, **spec.changed_fields()}
    job = Job(str(notebook), str(output), parameters, folder=str(project_root()), cell_seconds=CELL_SECONDS)
    with tempfile.TemporaryDirectory() as ipython:
        environment = _environment(work, notebook.stem, ipython)
        process = subprocess.Popen(
            [sys.executable, "-m", "evalaid.running.engine"],
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
        halt.watch(process)
        tell(spec.study, notebook.stem, {"event": "launch"})
        try:
            last = _follow(process, job, lambda event: tell(spec.study, notebook.stem, event))
        finally:
            timer.cancel()
            halt.forget(process)
            _stop(process)
    if halt.asked:
        raise KeyboardInterrupt
    if overtime.is_set():
        last = {**last, "event": "overtime", "seconds": seconds}
    if last.get("event") != "done":
        raise NotebookError(_failure(notebook, last))
    return output


def _environment(work: Path, notebook: str, ipython: str) -> dict[str, str]:
    source = str(Path(__file__).resolve().parents[2])
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
    """Send the job to the process, pass on its progress and return its last event (with the cell it was in)."""
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
    """Return what failed where, with the cell's source."""
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
