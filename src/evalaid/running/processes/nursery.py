"""A process that has the libraries imported, and forks one child per notebook.

The driver (`evalaid.running.processes.execution`) starts it once, ``python -m evalaid.running.processes.nursery``, with a socket as its standard
input. A message is JSON; one that starts a job carries the file that its events go to. The process has one thread and starts
none. When the driver is gone, however it ended, the socket closes, and every child is ended.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import time
from functools import cache
from pathlib import Path

from evalaid.running.processes.engine import Job, carry_out, leave_on_request, prepare_imports, teller
from evalaid.running.processes.mortal import adopt_orphans, die_with, list_children

LONGEST = 1 << 17  # bytes of a message
READY = b"ready"
FINISH = "evalaid.running.steps:finish"
_OF_CLAIMS = "evalaid.report.published"  # what a notebook names that has published figures and no panel
# Heavy and used by every notebook; a library that is missing here is imported by the first that needs it.
WARM = (
    "papermill", "nbclient", "IPython.core.application", "IPython.core.completer", "IPython.core.completerlib", "IPython.core.interactiveshell",
    "IPython.core.magics", "IPython.core.oinspect",
    "matplotlib_inline.backend_inline", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg",
    "matplotlib.pyplot", "numpy", "pandas", "scipy.linalg", "scipy.optimize", "scipy.sparse.linalg", "scipy.stats", "ruamel.yaml", "seaborn",
    "evalaid.running.processes.cell_runner", "evalaid.running.processes.forked_engine",
)  # fmt: skip
_SECONDS_TO_LEAVE = 10


class Nursery:
    """The children that run, by the number of their job."""

    def __init__(self, driver: socket.socket) -> None:
        self._driver = driver
        self._children: dict[int, tuple[int, int]] = {}  # job -> process, file of events

    def serve(self, wake: int) -> None:
        """Start, end and bury children until the driver is gone; ``wake`` becomes readable when a child has ended."""
        poller = select.poll()
        poller.register(self._driver, select.POLLIN)
        poller.register(wake, select.POLLIN)
        while True:
            for number, _ in poller.poll():
                if number == wake:
                    os.read(wake, 4096)
                elif not self._take_message():
                    return
            self._bury()

    def end_all(self) -> None:
        """End the children in order; kill those that do not leave in time."""
        end = time.monotonic() + _SECONDS_TO_LEAVE
        for process, _ in self._children.values():
            _signal(process, signal.SIGTERM)
        while self._children and time.monotonic() < end:
            time.sleep(0.02)
            self._bury()
        for process, _ in self._children.values():
            _signal(process, signal.SIGKILL)
        while list_children() and time.monotonic() < end + 1:
            self._bury()
            time.sleep(0.02)

    def _take_message(self) -> bool:
        text, files, *_ = socket.recv_fds(self._driver, LONGEST, 1)
        if not text:
            return False
        message = json.loads(text)
        if "signal" in message:
            process, _ = self._children.get(message["number"], (0, 0))
            if process:
                _signal(process, message["signal"])
        else:
            os.set_inheritable(files[0], False)  # what a cell leaves running must not keep the events open
            self._start(message["number"], Job(**message["job"]), files[0])
        return True

    def _start(self, number: int, job: Job, events: int) -> None:
        _make_ready(job)
        parent = os.getpid()
        process = os.fork()
        if process:
            self._children[number] = (process, events)
            return
        code = 1
        try:
            _become_child(parent)
            for _, others in self._children.values():
                os.close(others)
            self._driver.close()
            carry_out(job, teller(events))
            code = 0
        except SystemExit as leave:
            code = leave.code if isinstance(leave.code, int) else 1
        finally:
            os._exit(code)

    def _bury(self) -> None:
        """Report the exit code of every child that has ended, and end what it left running."""
        for number, (process, events) in list(self._children.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                _signal(process, signal.SIGKILL)
                with contextlib.suppress(OSError):
                    teller(events)(event="exit", code=os.waitstatus_to_exitcode(status))
                os.close(events)
                del self._children[number]
        for left in set(list_children()) - {process for process, _ in self._children.values()}:
            os.kill(left, signal.SIGKILL)  # what a notebook that has ended detached from itself
            os.waitpid(left, os.WNOHANG)


def _make_ready(job: Job) -> None:
    """Do, once for all, what this job and others like it would each do: import what it names, read its study and the claims on it.

    What is wrong with any of it the job itself says.
    """
    from evalaid.base.project import in_project, read_study_file, study_file
    from evalaid.running.kept.closure import imported_by_notebook

    with contextlib.suppress(Exception):
        names = {job.call} if job.call else imported_by_notebook(Path(job.source))
        for name in names:
            pkgutil.resolve_name(name)
        if not names & {job.call, _OF_CLAIMS}:
            _check_a_frame()
    with contextlib.suppress(Exception), in_project(Path(job.folder)):
        if read_study_file(study_file(job.parameters["study"])).value.get("claims"):
            importlib.import_module("evalaid.study.sources").read_claims()
    if job.call == FINISH:
        _prepare_pages()
    gc.freeze()  # pages that are never written to stay shared


def _become_child(parent: int) -> None:
    from evalaid.running.processes.cell_runner import reseed

    os.setsid()
    die_with(parent)
    adopt_orphans()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides who is interrupted
    leave_on_request()
    reseed()


def _signal(process: int, number: int) -> None:
    """Send a signal to a child and to what it started in its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        (os.killpg if number == signal.SIGKILL else os.kill)(process, number)


def warm() -> None:
    """Import what children need, as far as it is there, without the search for garbage that a thousand imports would repeat."""
    gc.disable()
    prepare_imports()
    for name in WARM:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    _rehearse()
    gc.freeze()
    gc.enable()


def _rehearse() -> None:
    """Do once what libraries put off until it is first asked for: a compiled schema of notebooks, the words."""
    with contextlib.suppress(Exception):
        import nbformat

        from evalaid.report.wording.language import ENGLISH, load_catalogue

        load_catalogue(ENGLISH)
        nbformat.validate(nbformat.v4.new_notebook())


@cache
def _check_a_frame() -> None:
    """Do what the checks of every panel put off."""
    import pandas as pd
    import pandera.pandas as pandera

    pandera.DataFrameSchema({}).validate(pd.DataFrame())


@cache
def _prepare_pages() -> None:
    """Do what every report would wait for."""
    with contextlib.suppress(Exception):
        from evalaid.report.site.rendering import prepare_pages

        prepare_pages()


def main() -> None:
    """Import, say that all is ready, and serve the driver."""
    driver = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    adopt_orphans()
    warm()
    driver.send(READY)
    nursery = Nursery(driver)
    try:
        nursery.serve(wake)
    finally:
        nursery.end_all()
    os._exit(0)  # nothing is left to be put in order but memory


if __name__ == "__main__":
    main()
