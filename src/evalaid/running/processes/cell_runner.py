"""The inside of a forked kernel: run the cells that arrive on a connection with IPython, send back what they show.

It stands in for ipykernel without sockets, threads or an event loop: `evalaid.running.processes.forked_engine` forks a process that has its
libraries imported already and calls `serve` in the child. Messages are JSON: ``{"source", "raises"}`` comes, outputs in the
notebook format go, then ``{"end": execution count, "failed": bool}``.
"""

from __future__ import annotations

import base64
import builtins
import fcntl
import io
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

Send = Callable[[dict[str, Any]], None]
INLINE = "module://matplotlib_inline.backend_inline"
LONGEST_RAW = 1 << 16  # bytes kept of what one cell writes past Python to the process's own output
LONGEST_TEXT = 1 << 20  # characters kept of what one cell prints
_FLUSH_BYTES, _FLUSH_SECONDS = 1 << 13, 0.1


class _Text(io.TextIOBase):
    """``sys.stdout`` or ``sys.stderr`` of the cells: collects what is written and sends it as stream outputs."""

    other: _Text

    def __init__(self, name: str, number: int, send: Send) -> None:
        self.name = name
        self._number, self._send = number, send
        self._parts: list[str] = []
        self._size, self._last = 0, time.monotonic()
        self._room, self._left_out = LONGEST_TEXT, 0

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self.other.flush()  # what was written first is shown first
        self._parts.append(text)
        self._size += len(text)
        if self._size > _FLUSH_BYTES or time.monotonic() - self._last > _FLUSH_SECONDS:
            self.flush()
        return len(text)

    def flush(self) -> None:
        text, self._parts, self._size, self._last = "".join(self._parts), [], 0, time.monotonic()
        shown, self._left_out = text[: self._room], self._left_out + max(len(text) - self._room, 0)
        self._room -= len(shown)
        if shown:
            self._send({"output_type": "stream", "name": self.name, "text": shown})

    def end_cell(self) -> None:
        """Send what is left, and how much was too long to be kept."""
        self.flush()
        more, self._room, self._left_out = self._left_out, LONGEST_TEXT, 0
        if more:
            self._send({"output_type": "stream", "name": self.name, "text": f"\n... and {more:,} characters more\n"})

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number


class _Hook(DisplayHook):
    """Sends the value of a cell's last expression."""

    send: Send

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: Mapping[str, Any], md_dict: Mapping[str, Any] | None = None) -> None:
        self.send({
            "output_type": "execute_result", "execution_count": self.prompt_count, "data": _encoded(format_dict),
            "metadata": dict(md_dict or {}),
        })  # fmt: skip

    def finish_displayhook(self) -> None:
        pass


class _Publisher(DisplayPublisher):
    """Sends what a cell displays."""

    send: Send

    def publish(
        self,
        data: Any,
        metadata: Any = None,
        source: Any = None,  # noqa: ARG002 (IPython's signature)
        *,
        transient: Any = None,
        update: bool = False,
        **_: Any,
    ) -> None:
        output = {"output_type": "display_data", "data": _encoded(data), "metadata": dict(metadata or {})}
        identifier = (transient or {}).get("display_id")
        self.send({**output, "display_id": identifier, "update": update} if identifier else output)

    def clear_output(self, wait: bool = False) -> None:  # noqa: FBT001, FBT002 (IPython's signature)
        self.send({"output_type": "clear", "wait": wait})


class Shell(InteractiveShell):
    """IPython without a terminal: tracebacks are outputs, windows of plots do not exist."""

    send: Send

    def enable_gui(self, gui: Any = None) -> None:
        """Do nothing: figures are inline."""

    def _showtraceback(self, etype: type[BaseException], evalue: BaseException, stb: list[str]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.send(
            {
                "output_type": "error",
                "ename": etype.__name__,
                "evalue": str(evalue),
                "traceback": [str(part) for part in stb],
            }
        )


def serve(connection: Any, raw: IO[bytes], home: str) -> None:
    """Run cells until the connection closes; what bypasses Python's own streams goes to ``raw``, IPython's own files to the folder ``home``."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    owner, one_at_a_time = os.getpid(), threading.RLock()  # cells may fork, and start threads that print

    def to_parent(message: dict[str, Any]) -> None:
        if os.getpid() != owner:  # what a fork says is what any process says that a cell starts
            said = message.get("text") or "\n".join(message.get("traceback", ()))
            os.write(1, said.encode("utf-8", "replace"))
            return
        with one_at_a_time:
            connection.send_bytes(json.dumps(message, default=str, ensure_ascii=False).encode("utf-8", "replace"))

    streams = [_Text("stdout", 1, to_parent), _Text("stderr", 2, to_parent)]
    streams[0].other, streams[1].other = streams[1], streams[0]

    def send(message: dict[str, Any]) -> None:
        for stream in streams:
            stream.flush()
        to_parent(message)

    fcntl.fcntl(raw, fcntl.F_SETFL, fcntl.fcntl(raw, fcntl.F_GETFL) | os.O_APPEND)  # it is emptied after every cell
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for number in (1, 2):
        os.dup2(raw.fileno(), number)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = streams  # type: ignore[assignment,misc]
    reseed()
    shell = _open_shell(home, send)
    _start_figures(shell)
    while True:
        try:
            cell = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return
        result = shell.run_cell(cell["source"], store_history=True)
        if os.getpid() == owner:
            shell.events.trigger("post_execute")
        for stream in streams:
            stream.end_cell()
        if os.getpid() != owner:  # the cells that follow are not for a fork
            os._exit(0 if result.success else 1)
        written = _take_raw(raw)
        if written:
            to_parent({"output_type": "stream", "name": "stdout", "text": written})
        to_parent({"end": shell.execution_count - 1, "failed": not result.success})


def reseed() -> None:
    """Seed the generators of this process afresh: a fork inherits the state of its parent's."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # the legacy generator has no other way


def _open_shell(home: str, send: Send) -> Shell:
    from traitlets.config import Config

    InteractiveShell.clear_instance()
    config = Config()
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    shell = Shell.instance(
        config=config, ipython_dir=home, displayhook_class=_Hook, display_pub_class=_Publisher, colors="nocolor"
    )
    for sender in (shell, shell.displayhook, shell.display_pub):
        vars(sender)["send"] = send
    shell.set_hook("show_in_pager", lambda *_: None, 0)
    for name in ("input", "raw_input"):
        setattr(builtins, name, _no_input)
    sys.displayhook = shell.displayhook
    return shell


def _start_figures(shell: Shell) -> None:
    """Show figures below their cell, as ipykernel does, unless the environment names another backend."""
    if os.environ.get("MPLBACKEND", INLINE) == INLINE:
        os.environ["MPLBACKEND"] = INLINE
        if "matplotlib" in sys.modules:
            shell.run_line_magic("matplotlib", "inline")


def _no_input(*_: Any) -> str:
    raise EOFError("a notebook that runs by itself cannot ask for input")


def _take_raw(raw: IO[bytes]) -> str:
    """Return what was written to the process's own output during a cell, and forget it."""
    size = os.fstat(raw.fileno()).st_size
    if not size:
        return ""
    text = os.pread(raw.fileno(), LONGEST_RAW, 0).decode("utf-8", "replace")
    os.ftruncate(raw.fileno(), 0)
    return text if size <= LONGEST_RAW else f"{text}\n... and {size - LONGEST_RAW:,} bytes more\n"


def _encoded(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        kind: base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value
        for kind, value in data.items()
    }
