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
        self._notebooks: dict[str, int] = {}
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
            if kind == "launch":  # told before the kernel is up, so that the first seconds do not look like nothing
                self._progress.update(task, notebook=notebook, completed=0, total=1, cell="starting")
            elif kind == "start":
                self._progress.update(task, total=event["cells"])
            elif kind == "cell":
                self._progress.update(task, completed=event["cell"], cell=f"cell {event['cell']}/{self._total(task)}")
            elif kind == "done":
                self._notebooks[study] = self._notebooks.get(study, 0) + 1
            elif kind == "finished":
                total = self._total(task)
                done = f"{self._notebooks.get(study, 0)} notebook(s)"
                self._progress.update(task, notebook=done, completed=total, total=total, cell="[green]ok[/green]")
            elif kind == "stopped":
                self._progress.update(task, cell="[red]stopped[/red]")
                self._progress.stop_task(task)

    def _task(self, study: str) -> TaskID:
        if study not in self._tasks:
            self._tasks[study] = self._progress.add_task("", total=1, study=study, notebook="", cell="")
        return self._tasks[study]

    def _total(self, task: TaskID) -> int:
        return int(next(item.total or 1 for item in self._progress.tasks if item.id == task))
