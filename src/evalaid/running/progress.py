"""The progress of a run on the terminal: study, notebook, cell and time, one line per study."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class ProgressDisplay:
    """Show the events of `evalaid.running.runs`; a context manager that is called with each event, from any thread.

    Default: on standard error, so that standard output stays free for results.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.fields[study]}"),
            TextColumn("[bold]{task.fields[notebook]}[/bold]"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[cell]}"),
            TimeElapsedColumn(),
            console=console or Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}
        self._cells: dict[tuple[str, str], tuple[int, int]] = {}  # (study, notebook) -> cells that have run, all cells
        self._lock = Lock()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, study: str, notebook: str, event: Mapping[str, Any]) -> None:
        """Take one event: ``launch``, ``start`` (cells), ``cell`` (index), ``done``, ``finished``, ``stopped``, or a failure."""
        with self._lock:
            task = self._task(study)
            kind = event["event"]
            if kind == "launch":  # told before the first cell, so that the first seconds do not look like nothing
                self._cells[study, notebook] = (0, 1)
            elif kind == "start":
                self._cells[study, notebook] = (0, event["cells"])
            elif kind == "cell":
                self._cells[study, notebook] = (event["cell"], self._cells[study, notebook][1])
            elif kind == "done":
                total = self._cells[study, notebook][1]
                self._cells[study, notebook] = (total, total)
            if kind == "finished":
                self._progress.update(task, notebook="", completed=1, total=1, cell="[green]ok[/green]")
                self._progress.stop_task(task)
            elif kind == "stopped":
                self._progress.update(task, cell="[red]stopped[/red]")
                self._progress.stop_task(task)
            elif notebook:
                self._show(task, study)

    def _show(self, task: TaskID, study: str) -> None:
        """Show the notebooks of a study that run, and how far all of them are."""
        cells = {name: cell for (one, name), cell in self._cells.items() if one == study}
        at_work = [name for name, (done, total) in cells.items() if done < total]
        done, total = (sum(cell[part] for cell in cells.values()) for part in (0, 1))
        self._progress.update(
            task, notebook=", ".join(at_work), completed=done, total=total, cell=f"cell {done}/{total}"
        )

    def _task(self, study: str) -> TaskID:
        if study not in self._tasks:
            self._tasks[study] = self._progress.add_task("", total=1, study=study, notebook="", cell="")
        return self._tasks[study]
