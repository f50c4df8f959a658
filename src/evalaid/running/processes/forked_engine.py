"""A Papermill engine that forks its kernel: no sockets, no start-up, imports of the parent are there at once.

Registered as the entry point ``evalaid`` of ``papermill.engine`` (``papermill --engine evalaid``). The process that holds the
notebook forks a child for the cells (`evalaid.running.processes.cell_runner`), takes its outputs and saves the notebook; so it outlives a
child that is killed, exits or runs out of time, and what the child showed before is kept. Where there is no safe fork (macOS,
Windows, a process with threads) Papermill's own engine does the work.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe
from typing import IO, Any, ClassVar, Self

from nbformat import NotebookNode
from papermill.engines import Engine, NBClientEngine

from evalaid.base.shared_out import use_one_blas_thread
from evalaid.running.processes.mortal import die_with

_SECONDS_BETWEEN_LOOKS = 0.25
_TAIL = 2000  # bytes of a dead kernel's own output that its error names


class KernelDiedError(RuntimeError):
    """The process that ran the cells ended in the middle of one."""


class CellTookTooLongError(TimeoutError):
    """A cell ran longer than it may."""


def can_fork() -> bool:
    """Return whether this process can be forked safely: Linux, and no other thread of Python.

    The pools of OpenBLAS and of Arrow's allocator have fork handlers of their own.
    """
    return sys.platform.startswith("linux") and threading.active_count() == 1


class ForkedEngine(Engine):
    """Run the cells of a notebook in a forked child of this process."""

    one_blas_thread: ClassVar[bool] = False  # whether linear algebra runs on one thread already

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, execution_timeout: float | None = None, **options: Any
    ) -> Any:
        """Run the cells one after the other, up to the first that fails."""
        if not can_fork():
            return NBClientEngine.execute_managed_notebook(
                nb_man, kernel_name, execution_timeout=execution_timeout, **options
            )
        if not cls.one_blas_thread:
            use_one_blas_thread()
        seconds = execution_timeout or options.get("timeout") or float("inf")
        with _Kernel() as kernel:
            for index, cell in enumerate(nb_man.nb.cells):
                nb_man.cell_start(cell, index)
                try:
                    failed = cell.cell_type == "code" and _run_cell(kernel, cell, nb_man, seconds)
                except (KernelDiedError, CellTookTooLongError):
                    nb_man.cell_exception(cell, cell_index=index)
                    raise
                finally:
                    nb_man.cell_complete(cell, cell_index=index)
                if failed:
                    nb_man.cell_exception(cell, cell_index=index)
                    break
        nb_man.nb.metadata["language_info"] = NotebookNode(_language())
        return nb_man.nb


class _Kernel:
    """The forked child; leaving the context ends it and whatever it started."""

    def __enter__(self) -> Self:
        self._raw: IO[bytes] = tempfile.TemporaryFile(buffering=0)
        self._home = tempfile.TemporaryDirectory(
            ignore_cleanup_errors=True
        )  # not the child's own: it is killed, and would leave it
        self.connection, child = Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        self.pid = os.fork()
        if not self.pid:
            self._become_child(parent, child)
        child.close()
        return self

    def _become_child(self, parent: int, connection: Connection) -> None:
        code = 1
        try:
            os.setsid()
            die_with(parent)
            self.connection.close()
            from evalaid.running.processes.cell_runner import serve

            serve(connection, self._raw, self._home.name)
            code = 0
        except SystemExit as leave:
            code = leave.code if isinstance(leave.code, int) else 1
        except BaseException as error:  # noqa: BLE001 (the last words of a process; its parent reads them)
            os.write(self._raw.fileno(), "".join(traceback.format_exception_only(error)).encode("utf-8", "replace"))
        finally:
            os._exit(code)

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        self._home.cleanup()
        self._raw.close()

    def messages(self, seconds: float) -> Iterator[dict[str, Any] | None]:
        """Yield what arrives until a cell has ended, and None now and then.

        Raises
        ------
        CellTookTooLongError, KernelDiedError
        """
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise CellTookTooLongError
            try:
                if not self.connection.poll(min(left, _SECONDS_BETWEEN_LOOKS)):
                    self._need_life()
                    yield None
                    continue
                message = json.loads(self.connection.recv_bytes())
            except (EOFError, OSError):
                self._need_life(wait=True)
                raise KernelDiedError("its kernel closed the connection") from None
            yield message
            if "end" in message:
                return

    def _need_life(self, *, wait: bool = False) -> None:
        pid, status = os.waitpid(self.pid, 0 if wait else os.WNOHANG)
        if pid:
            text = os.pread(self._raw.fileno(), _TAIL, max(os.fstat(self._raw.fileno()).st_size - _TAIL, 0))
            said = text.decode("utf-8", "replace").strip()
            raise KernelDiedError(
                how_it_ended(os.waitstatus_to_exitcode(status)) + (f"; it wrote: {said}" if said else "")
            )


def how_it_ended(code: int) -> str:
    """Return in words how a process ended, from its exit code (negative: minus the signal).

    Examples
    --------
    >>> how_it_ended(3), how_it_ended(-11)
    ('the kernel exited with code 3', 'the kernel was ended by SIGSEGV')
    """
    if code >= 0:
        return f"the kernel exited with code {code}"
    name = signal.Signals(-code).name
    return f"the kernel was ended by {name}" + (", perhaps because memory ran out" if name == "SIGKILL" else "")


def _run_cell(kernel: _Kernel, cell: NotebookNode, nb_man: Any, seconds: float) -> bool:
    """Run one code cell, fill in its outputs, and return whether it failed."""
    source = cell.source
    if not source.strip():
        return False
    kernel.connection.send_bytes(json.dumps({"source": source}).encode())
    clear, failed = False, False
    shown: dict[str, NotebookNode] = nb_man.__dict__.setdefault("displays", {})
    for message in kernel.messages(seconds):
        if message is None:
            nb_man.autosave_cell()
        elif "end" in message:
            cell.execution_count, failed = message["end"], message["failed"]
        elif message["output_type"] == "clear":
            clear = message["wait"]
            if not clear:
                cell.outputs = []
        else:
            if clear:
                cell.outputs, clear = [], False
            _add_output(cell.outputs, message, shown)
    return failed and "raises-exception" not in cell.metadata.get("tags", [])


def _add_output(outputs: list[NotebookNode], message: dict[str, Any], shown: dict[str, NotebookNode]) -> None:
    """Append an output; a stream continues the last one, an update of a display replaces the first showing of it."""
    identifier, update = message.pop("display_id", None), message.pop("update", False)
    if update and identifier in shown:
        shown[identifier].update(data=NotebookNode(message["data"]), metadata=NotebookNode(message["metadata"]))
        return
    last = outputs[-1] if outputs else {}
    if message["output_type"] == "stream" and last.get("name") == message["name"]:
        outputs[-1].text += message["text"]
        return
    outputs.append(NotebookNode({name: _node(value) for name, value in message.items()}))
    if identifier:
        shown[identifier] = outputs[-1]


def _node(value: Any) -> Any:
    return NotebookNode(value) if isinstance(value, dict) else value


def _language() -> dict[str, Any]:
    """Return what ipykernel says of itself."""
    return {
        "name": "python",
        "version": platform.python_version(),
        "mimetype": "text/x-python",
        "codemirror_mode": NotebookNode({"name": "ipython", "version": 3}),
        "pygments_lexer": "ipython3",
        "nbconvert_exporter": "python",
        "file_extension": ".py",
    }
