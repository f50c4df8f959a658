"""Execute one notebook with Papermill, in this process: ``python -m evalaid.running.engine < job.json``.

Every notebook has a process of its own (and its kernel is a child of it), so nothing leaks from one notebook to the
next. The job comes on standard input, progress goes to standard output, one JSON object per line. What differs between
two runs of the same notebook (times, random cell ids, paths) is removed from the executed notebook.
"""

from __future__ import annotations

import hashlib
import json
import re
import signal
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Job:
    """One notebook to execute: where it is and goes, its parameters, the kernel's working folder, its time-outs in seconds."""

    source: str
    output: str
    parameters: dict[str, Any] = field(default_factory=dict)
    folder: str = "."
    cell_seconds: int = 300
    start_seconds: int = 60

    def to_json(self) -> str:
        """Return the job as JSON."""
        return json.dumps(asdict(self))


def execute(job: Job) -> None:
    """Execute a notebook with Papermill and report its progress on standard output.

    The kernel is the current interpreter, whether or not a kernel specification is registered for it. The events are
    ``start`` (cells), ``cell`` (index), ``done``, ``failed`` (cell index, number, source, error, last line of the
    traceback), ``timeout`` and ``broken`` (the notebook could not be executed at all).
    """
    # Building the parsers of this module takes most of the import time of nbformat; no Jupyter schema uses them.
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    import papermill
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.exceptions import PapermillExecutionError

    class CurrentInterpreter(AsyncKernelManager):
        _kernel_spec = KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
        )

    class Telling(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
            _tell(event="start", cells=len(nb_man.nb.cells))
            started = nb_man.cell_start

            def tell_start(cell: Any, cell_index: int | None = None, **more: Any) -> None:
                _tell(event="cell", cell=cell_index)
                started(cell, cell_index, **more)

            nb_man.cell_start = tell_start
            return super().execute_managed_notebook(nb_man, kernel_name, **options)

    papermill_engines.register("evalaid", Telling)
    try:
        papermill.execute_notebook(
            job.source,
            job.output,
            parameters=job.parameters,
            engine_name="evalaid",
            kernel_name="python3",
            language="python",
            progress_bar=False,
            cwd=job.folder,
            start_timeout=job.start_seconds,
            execution_timeout=job.cell_seconds,
            kernel_manager_class=CurrentInterpreter,
            shutdown_kernel="immediate",
        )
    except PapermillExecutionError as error:
        last = _ANSI.sub("", "".join(error.traceback[-1:])).strip().splitlines()
        _tell(
            event="failed",
            cell=error.cell_index,
            number=error.exec_count,
            source=error.source,
            error=f"{error.ename}: {error.evalue}",
            last=last[-1] if last else "",
        )
    except (CellTimeoutError, TimeoutError):
        _tell(event="timeout", seconds=job.cell_seconds)
    except DeadKernelError as error:
        _tell(event="broken", error=f"the kernel died ({error})")
    except Exception as error:  # noqa: BLE001 (whatever Papermill raises goes to the parent process)
        _tell(event="broken", error=f"{type(error).__name__}: {error}")
    else:
        _tell(event="done")
    finally:
        tidy_notebook(Path(job.output))


def tidy_notebook(path: Path) -> None:
    """Remove from an executed notebook what differs between two runs: times, paths, random ids, split streams."""
    if not path.is_file():
        return
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"].pop("papermill", None)
    for index, cell in enumerate(notebook["cells"]):
        cell["metadata"].pop("papermill", None)
        cell["metadata"].pop("execution", None)
        cell["id"] = cell_id(index, cell["cell_type"], _joined(cell["source"]))
        if "outputs" in cell:
            cell["outputs"] = _merged_streams(cell["outputs"])
    text = json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def cell_id(index: int, kind: str, source: str) -> str:
    """Return the identifier of a cell: twelve hexadecimal digits that depend on its place, type and text only."""
    return hashlib.sha256(f"{index}\n{kind}\n{source}".encode()).hexdigest()[:12]


def _merged_streams(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    merged: list[dict[str, Any]] = []
    for output in outputs:
        if output["output_type"] == "stream" and merged and merged[-1].get("name") == output["name"]:
            merged[-1]["text"] = _joined(merged[-1]["text"]) + _joined(output["text"])
        else:
            merged.append(output)
    return merged


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def _tell(**event: Any) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _leave(*_: Any) -> None:
    raise SystemExit(143)  # lets nbclient stop the kernel on the way out


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _leave)
    execute(Job(**json.loads(sys.stdin.read())))
