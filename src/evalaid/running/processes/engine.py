"""Execute one notebook with Papermill, in this process, and report its progress line by line.

Every notebook has a process of its own, so nothing leaks from one notebook to the next: a fork of a process that has the
libraries imported (`evalaid.running.processes.nursery`), or a fresh one: ``python -m evalaid.running.processes.engine < job.json``. What differs
between two runs of the same notebook (times, random cell ids, paths, addresses) is removed from the executed notebook.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

FORKED, PLAIN = "forked", "plain"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# A name begins where a word does: looked for from every character, a long word would take time by its length squared.
_CELL_FILE = re.compile(r"(?<![^\s\"'<>])[^\s\"'<>]*ipykernel_\d+[/\\]\d+\.py|<ipython-input-\d+-[0-9a-f]+>")
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,16}\b")

_SECONDS_BETWEEN_SAVES = 1.0  # so much is lost at most of a notebook whose process is killed
_QUICK = 0.01  # CPU seconds of a save: small notebooks lose nothing

Tell = Callable[..., None]


@dataclass(frozen=True)
class Job:
    """One notebook to execute: where it is and goes, its parameters, the kernel's working folder and variables, its time-outs.

    Or, with ``call`` (``module:function``), a function to call with the parameters, whose result is plain.
    """

    source: str = ""
    output: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    folder: str = "."
    variables: dict[str, str] = field(default_factory=dict)
    engine: str = FORKED
    cell_seconds: float = 300
    start_seconds: int = 60
    call: str = ""

    def to_json(self) -> str:
        """Return the job as JSON."""
        return json.dumps(asdict(self))


def prepare_imports() -> None:
    """Spare the building of the parsers that take most of the import time of nbformat; no Jupyter schema uses them."""
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]


def carry_out(job: Job, tell: Tell) -> None:
    """Execute the notebook or call the function of a job."""
    os.environ.update(job.variables)
    (call_function if job.call else execute)(job, tell)


def call_function(job: Job, tell: Tell) -> None:
    """Call a function; the events are ``result`` (value), ``refused`` (type, message) for errors of the package, and ``broken``."""
    import importlib

    from evalaid.base.errors import EvalaidError, StudyError, refused_by_system

    module, _, name = job.call.partition(":")
    os.chdir(job.folder)
    try:
        value = getattr(importlib.import_module(module), name)(**job.parameters)
    except EvalaidError as error:
        rows = None if error.rows is None else error.rows.to_json(orient="split", default_handler=str)
        tell(event="refused", type=type(error).__name__, message=str(error), rows=rows)
    except OSError as error:
        said = f"The system refused: {refused_by_system(error)}."
        tell(event="refused", type=StudyError.__name__, message=said, rows=None)
    except Exception:  # noqa: BLE001 (whatever is raised goes to the parent process)
        tell(event="broken", error=traceback.format_exc())
    else:
        tell(event="result", value=value)


def execute(job: Job, tell: Tell) -> None:
    """Execute a notebook with Papermill and report its progress by calls of ``tell``.

    The events are ``start`` (cells), ``cell`` (index), ``done``, ``failed`` (cell index, number, source, error, last line of the
    traceback), ``timeout`` and ``broken`` (the notebook could not be executed at all).
    """
    prepare_imports()
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    _register(job.engine, tell)
    try:
        executed = papermill.execute_notebook(
            job.source,
            job.output,
            parameters=job.parameters,
            engine_name=f"evalaid-{job.engine}",
            kernel_name="python3",
            language="python",
            progress_bar=False,
            cwd=job.folder,
            start_timeout=job.start_seconds,
            execution_timeout=job.cell_seconds,
        )
    except PapermillExecutionError as error:
        last = _ANSI.sub("", "".join(error.traceback[-1:])).strip().splitlines()
        tell(
            event="failed",
            cell=error.cell_index,
            number=error.exec_count,
            source=error.source,
            error=f"{error.ename}: {error.evalue}",
            last=last[-1] if last else "",
        )
    except (CellTimeoutError, TimeoutError):
        tell(event="timeout", seconds=job.cell_seconds)
    except DeadKernelError as error:
        tell(event="broken", error=f"the kernel died ({error})")
    except Exception as error:  # noqa: BLE001 (whatever Papermill raises goes to the parent process)
        tell(event="broken", error=f"{type(error).__name__}: {error}")
    else:
        _tell_end(executed, tell)
    finally:
        tidy_notebook(Path(job.output))


def _tell_end(notebook: Any, tell: Tell) -> None:
    """Report ``done``, or the cell that left the notebook with ``sys.exit()``: for Papermill that is an end like any other."""
    for index, cell in enumerate(notebook.cells):
        if any(output.get("ename") == "SystemExit" for output in cell.get("outputs", ())):
            said = "SystemExit: the notebook ended before its last cell, so its results are not complete."
            tell(event="failed", cell=index, number=cell.execution_count, source=cell.source, error=said, last=said)
            return
    tell(event="done")


def _register(engine: str, tell: Tell) -> None:
    """Register the engine of that name with Papermill, reporting the start of every cell."""
    from papermill.engines import NBClientEngine, papermill_engines

    from evalaid.running.processes.forked_engine import ForkedEngine

    base: Any = ForkedEngine if engine == FORKED else NBClientEngine

    class Telling(base):
        one_blas_thread = True  # as the environment of every process here says

        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
            tell(event="start", cells=len(nb_man.nb.cells))
            started, save = nb_man.cell_start, nb_man.save
            keep = _now_and_then(lambda: _save_as_it_is(nb_man))

            def tell_start(cell: Any, cell_index: int | None = None, **more: Any) -> None:
                tell(event="cell", cell=cell_index)
                started(cell, cell_index, **more)
                if engine == FORKED:
                    keep()

            nb_man.cell_start = tell_start
            if (
                engine == FORKED
            ):  # Papermill saves three times for every cell; this engine looks in several times a second
                nb_man.save, nb_man.autosave_cell = (lambda **_: None), keep
            try:
                return super().execute_managed_notebook(nb_man, kernel_name, **options, **_this_interpreter())
            finally:
                nb_man.save = save  # for the last time, when Papermill ends the notebook

    papermill_engines.register(f"evalaid-{engine}", Telling)


def _now_and_then(save: Callable[[], None]) -> Callable[..., None]:
    """Return a function that saves whenever that is quick, else when it has not saved for a second."""
    saved = seconds = 0.0

    def save_when_due(**_: Any) -> None:
        nonlocal saved, seconds
        if seconds < _QUICK or time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
            start = time.process_time()
            save()
            saved, seconds = time.monotonic(), time.process_time() - start

    return save_when_due


def _save_as_it_is(nb_man: Any) -> None:
    """Write a notebook that still runs, without what its last form takes."""
    Path(nb_man.output_path).write_text(json.dumps(nb_man.nb), encoding="utf-8")


def _this_interpreter() -> dict[str, Any]:
    """Return the options by which nbclient takes the current interpreter as kernel, registered or not."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class CurrentInterpreter(AsyncKernelManager):
        _kernel_spec = KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
        )

    return {"kernel_manager_class": CurrentInterpreter, "shutdown_kernel": "immediate"}


def tidy_notebook(path: Path) -> None:
    """Remove from an executed notebook what differs between two runs: times, paths, random ids, addresses, split streams."""
    if not path.is_file():
        return
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"].pop("papermill", None)
    for index, cell in enumerate(notebook["cells"]):
        cell["metadata"].pop("papermill", None)
        cell["metadata"].pop("execution", None)
        cell["id"] = cell_id(index, cell["cell_type"], _joined(cell["source"]))
        if "outputs" in cell:
            cell["outputs"] = [_settled(output) for output in _merged_streams(cell["outputs"])]
    text = json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8", newline="\n", errors="backslashreplace")


def cell_id(index: int, kind: str, source: str) -> str:
    """Return the identifier of a cell: twelve hexadecimal digits that depend on its place, type and text only."""
    return hashlib.sha256(f"{index}\n{kind}\n{source}".encode()).hexdigest()[:12]


def _settled(output: dict[str, Any]) -> dict[str, Any]:
    """Replace names of temporary files and addresses of objects in an output's text."""
    texts = {name: settle(_joined(output[name])) for name in ("text",) if name in output}
    if "traceback" in output:
        texts["traceback"] = [settle(line) for line in output["traceback"]]  # type: ignore[assignment]
    plain = output.get("data", {}).get("text/plain")
    if plain is not None:
        texts["data"] = {**output["data"], "text/plain": settle(_joined(plain))}  # type: ignore[assignment]
    return {**output, **texts}


def settle(text: str) -> str:
    """Replace what names a cell's temporary file or an object's address in a text.

    Examples
    --------
    >>> settle("<Line at 0x7f8d69dc6a50> in <ipython-input-6-fd59b97c3fcf>:1")
    '<Line at 0x...> in <cell>:1'
    """
    return _ADDRESS.sub("at 0x...", _CELL_FILE.sub("<cell>", text))


def _merged_streams(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join what is written between two other outputs, standard output first: when a kernel sends which of both is chance."""
    merged: list[dict[str, Any]] = []
    for is_stream, run in groupby(outputs, lambda output: output["output_type"] == "stream"):
        if not is_stream:
            merged += run
            continue
        texts: dict[str, str] = {}
        for output in run:
            texts[output["name"]] = texts.get(output["name"], "") + _joined(output["text"])
        merged += [{"name": name, "output_type": "stream", "text": texts[name]} for name in sorted(texts, reverse=True)]
    return merged


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def teller(stream: int) -> Tell:
    """Return a function that writes each event as a line of JSON to an open file."""

    def tell(**event: Any) -> None:
        os.write(stream, json.dumps(event).encode() + b"\n")

    return tell


def leave_on_request() -> None:
    """Turn a request to end (SIGTERM, SIGHUP) into an orderly exit: the notebook so far is saved, its kernel ended."""

    def leave(*_: Any) -> None:
        raise SystemExit(143)

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), leave)


def main(text: str) -> None:
    """Execute the job, with events alone on standard output: what a kernel writes to it goes to standard error."""
    events = os.dup(1)
    os.dup2(2, 1)
    leave_on_request()
    job: Mapping[str, Any] = json.loads(text)
    carry_out(Job(**job), teller(events))


if __name__ == "__main__":
    main(sys.stdin.read())
