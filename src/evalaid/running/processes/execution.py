"""Execute one notebook in a process of its own, follow it, end it when it is late or nobody waits for it any more."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Protocol

from evalaid.base import errors
from evalaid.base.errors import EvalaidError, NotebookError
from evalaid.base.project import project_root
from evalaid.running.kept.closure import package_state
from evalaid.running.processes.engine import FORKED, PLAIN, Job
from evalaid.running.processes.nursery import READY
from evalaid.study.reports import NOTEBOOK, RUN_FOLDER

if TYPE_CHECKING:
    from evalaid.study.spec import StudySpec

CELL_SECONDS = 300
NOTEBOOK_SECONDS = 900
ENGINE = "EVALAID_ENGINE"
_SECONDS_TO_LEAVE = 10
# One thread for linear algebra: two threads change the last digits of some factorisations. The allocator of Arrow has no
# thread of its own, since a process with threads is not forked.
_FIXED = {
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "SOURCE_DATE_EPOCH": "0",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
}
# What a notebook may know of the machine. A password or a token in another variable cannot reach an output.
_INHERITED = {
    "APPDATA", "COMSPEC", "CONDA_PREFIX", "HOME", "LD_LIBRARY_PATH", "LOCALAPPDATA", "MPLCONFIGDIR", "PATH", "PATHEXT",
    "PROGRAMDATA", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "USERPROFILE",
    "VIRTUAL_ENV", "WINDIR",
}  # fmt: skip
_INHERITED_GROUPS = ("EVALAID_",)

Tell = Callable[[str, str, Mapping[str, Any]], None]


class Child(Protocol):
    """A process that executes a notebook."""

    events: IO[bytes]

    def terminate(self) -> None:
        """Ask it to save what there is and leave, and kill it when it has not left in time."""

    def stop(self) -> str:
        """End it if it is still there, and return what it complained of."""


class Halt:
    """Interrupt notebooks from another thread: those that run are ended, those to come do not start."""

    def __init__(self) -> None:
        self.asked = False
        self._children: set[Child] = set()
        self._lock = threading.Lock()

    def ask(self) -> None:
        """End every notebook that runs."""
        with self._lock:
            self.asked = True
            for child in self._children:
                child.terminate()

    def watch(self, child: Child) -> None:
        """Add a process that started."""
        with self._lock:
            self._children.add(child)
            if self.asked:
                child.terminate()

    def forget(self, child: Child) -> None:
        """Remove a process that ended."""
        with self._lock:
            self._children.discard(child)


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
    output, halt, engine = work / notebook.name, halt or Halt(), chosen_engine()
    # Prose is read from the study's file by the notebook itself; only what was changed is passed on.
    parameters = {"study": spec.study, **spec.changed_fields()}
    with tempfile.TemporaryDirectory() as ipython:
        variables = {RUN_FOLDER: str(work), NOTEBOOK: notebook.stem, "IPYTHONDIR": ipython}
        job = Job(str(notebook), str(output), parameters, str(project_root()), variables, engine, CELL_SECONDS)
        last = _carry_out(job, seconds, halt, lambda event: tell(spec.study, notebook.stem, event))
    if last["event"] != "done":
        raise NotebookError(_failure(notebook, last))
    return output


def call_apart(function: str, arguments: Mapping[str, Any], halt: Halt) -> Any:
    """Call a function of plain values, ``module:function``, in a process of its own where forks are safe, else in this one.

    Raises
    ------
    EvalaidError
        The error that the function raised.
    """
    job = Job(call=function, parameters=dict(arguments), folder=str(project_root()))
    if chosen_engine() == PLAIN:
        module, _, name = function.partition(":")
        return getattr(importlib.import_module(module), name)(**arguments)
    last = _carry_out(job, NOTEBOOK_SECONDS, halt, lambda _: None)
    if last["event"] == "result":
        return last["value"]
    if last["event"] == "refused":
        kind = getattr(errors, last["type"], EvalaidError)
        rows = None if last["rows"] is None else _frame(last["rows"])
        raise (kind if issubclass(kind, EvalaidError) else EvalaidError)(last["message"], rows)
    raise NotebookError(f"{function} did not end: {last.get('error') or last['event']}")


def _frame(text: str) -> Any:
    import io

    import pandas as pd

    return pd.read_json(io.StringIO(text), orient="split", dtype=False, convert_dates=False)


def _carry_out(job: Job, seconds: float, halt: Halt, tell: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Carry out a job in a process of its own and return its last event."""
    if halt.asked:
        raise KeyboardInterrupt
    child: Child = _Forked(job) if job.engine == FORKED else _Fresh(job)
    overtime = threading.Event()

    def end() -> None:
        overtime.set()
        child.terminate()

    timer = threading.Timer(seconds, end)
    timer.start()
    halt.watch(child)
    tell({"event": "launch"})
    try:
        last = _follow(child, tell)
    finally:
        timer.cancel()
        halt.forget(child)
        complaint = child.stop()
    if halt.asked:
        raise KeyboardInterrupt
    if overtime.is_set():
        return {**last, "event": "overtime", "seconds": seconds}
    if last["event"] in {"start", "cell", "none"}:
        return {**last, "event": "broken", "error": f"its process ended early. {complaint}".strip()}
    return last


def count_processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def warm_up() -> None:
    """Start the process that has the libraries imported, so that it is ready when the first notebook is."""
    if chosen_engine() == FORKED:
        _Warm.find()


def chosen_engine() -> str:
    """Return how notebooks are executed: forked where that is safe (Linux), else, or where the environment says so, plain."""
    asked = os.environ.get(ENGINE, "")
    return PLAIN if asked == PLAIN or not sys.platform.startswith("linux") else FORKED


def _environment() -> dict[str, str]:
    """Return the variables of every process that executes notebooks."""
    source = str(Path(__file__).resolve().parents[3])
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _INHERITED or name.startswith(_INHERITED_GROUPS)
    }
    return {**kept, **_FIXED, "PYTHONPATH": os.pathsep.join(filter(None, [source, kept.get("PYTHONPATH", "")]))}


class _Fresh:
    """A fresh interpreter, with a kernel of its own below it."""

    def __init__(self, job: Job) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "evalaid.running.processes.engine"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=_environment(),
            start_new_session=True,
        )
        assert self._process.stdin is not None  # noqa: S101 (for the type checker: both are pipes)
        assert self._process.stdout is not None  # noqa: S101
        self.events: IO[bytes] = self._process.stdout
        self._process.stdin.write(job.to_json().encode())
        self._process.stdin.close()
        self._killer = threading.Timer(_SECONDS_TO_LEAVE, self._process.kill)

    def terminate(self) -> None:
        self._process.terminate()
        _start_once(self._killer)

    def stop(self) -> str:
        if self._process.poll() is None:
            self.terminate()
            self._process.wait()
        self._killer.cancel()
        self.events.close()
        with self._complaints as stream:
            stream.seek(0)
            return b" ".join(stream.read().splitlines()[-3:]).decode("utf-8", "replace")


class _Forked:
    """A fork of the warm process."""

    def __init__(self, job: Job) -> None:
        reading, writing = os.pipe()
        self.events: IO[bytes] = os.fdopen(reading, "rb")
        self._warm, self._number = _Warm.start(job, writing)
        kill = {"number": self._number, "signal": signal.SIGKILL}
        self._killer = threading.Timer(_SECONDS_TO_LEAVE, self._warm.send, [kill])

    def terminate(self) -> None:
        self._warm.send({"number": self._number, "signal": signal.SIGTERM})
        _start_once(self._killer)

    def stop(self) -> str:
        # The events end when the child has ended, or the warm process.
        self.terminate()
        rest = self.events.read()
        self._killer.cancel()
        self.events.close()
        return rest.decode("utf-8", "replace")


def _start_once(timer: threading.Timer) -> None:
    with contextlib.suppress(RuntimeError):  # it was started by another thread
        timer.start()


class _Warm:
    """The process that has the libraries imported: one for all notebooks of this process, and a new one when the package changed."""

    _current: _Warm | None = None
    _retired: ClassVar[list[_Warm]] = []  # of a package that changed: what they run goes on
    _lock = threading.Lock()

    def __init__(self, package: Mapping[str, tuple[int, int]]) -> None:
        self.package, self._jobs = package, 0
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "evalaid.running.processes.nursery"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._complaints,
                env=_environment(),
                start_new_session=True,
            )
        self._ready = False

    @classmethod
    def find(cls) -> _Warm:
        """Return the current warm process, or a new one."""
        package, current = package_state(), cls._current
        if current is None or current.package != package or not current.alive():
            if current is not None:
                cls._retired.append(current)
            current = cls._current = cls(package)
        return current

    @classmethod
    def start(cls, job: Job, events: int) -> tuple[_Warm, int]:
        """Start a job in the current warm process, or in a new one."""
        with cls._lock:
            current = cls.find()
            return current, current.take(job, events)

    def take(self, job: Job, events: int) -> int:
        """Start a job as soon as this process is ready, and return its number."""
        try:
            if not self._ready and self._socket.recv(len(READY)) != READY:
                self._complaints.seek(0)
                said = self._complaints.read().decode("utf-8", "replace").strip()
                raise NotebookError(f"The process that forks notebooks did not start: {said}")
            self._ready = True
            self._jobs += 1
            message = {"number": self._jobs, "job": json.loads(job.to_json())}
            socket.send_fds(self._socket, [json.dumps(message).encode()], [events])
        finally:
            os.close(events)
        return self._jobs

    @classmethod
    def leave_current(cls) -> None:
        """End the warm process, if there is one, and those before it."""
        for warm in filter(None, (*cls._retired, cls._current)):
            warm.leave()

    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; a process that is gone needs none."""
        with contextlib.suppress(OSError):
            self._socket.send(json.dumps(message).encode())

    def leave(self) -> None:
        """Let the process end its children and leave; one that has none need not first become ready."""
        self._socket.close()
        if not self._ready:
            self._process.kill()
        self._process.wait()
        self._complaints.close()


atexit.register(_Warm.leave_current)


def _follow(child: Child, tell: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Pass on the progress of a notebook and return its last event (with the cell it was in)."""
    last: dict[str, Any] = {"event": "none"}
    cell = None
    for line in child.events:
        event = json.loads(line)
        if event["event"] == "exit":
            break
        last = event
        cell = last.get("cell", cell)
        tell(last)
    return {"cell": cell, **last}


def _failure(notebook: Path, event: Mapping[str, Any]) -> str:
    """Return what failed where, with the cell's source."""
    kind, index = event["event"], event.get("cell")
    place = f"{notebook.name}" + (f", cell {index + 1}" if index is not None else "")
    if kind == "failed":
        source = "\n    ".join(str(event["source"]).splitlines())
        return f"{place} (In [{event['number']}]) failed:\n    {source}\n{event['last'] or event['error']}\n"
    if kind == "timeout":
        return f"{place} ran longer than {event['seconds']:g} seconds and was stopped."
    if kind == "overtime":
        return f"{place}: the notebook ran longer than {event['seconds']:g} seconds and was stopped."
    return f"{place} could not be executed: {event.get('error', 'unknown reason')}."
