"""The progress of a run on the terminal: study, notebook, cell and time, one line a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class ProgressDisplay:
    """Show the events of `evalaid.notebooks.run_study`; a context manager that is called with each event.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to show it. Default: standard error, so that standard output stays free for results.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]ok[/green]"),
            TextColumn("{task.fields[study]}"),
            TextColumn("[bold]{task.fields[notebook]}[/bold]"),
            BarColumn(bar_width=24),
            TextColumn("cell {task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            console=console or Console(stderr=True),
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, study: str, notebook: str, event: Mapping[str, Any]) -> None:
        """Take one event: ``start`` (cells), ``cell`` (index), ``done``; others leave the line as it is."""
        if event["event"] == "launch":
            # Known before the kernel is up, so that the first seconds do not look like nothing.
            self._tasks[study, notebook] = self._progress.add_task("", total=1, study=study, notebook=notebook)
            return
        task = self._tasks[study, notebook]
        if event["event"] == "start":
            self._progress.update(task, total=event["cells"])
        elif event["event"] == "cell":
            self._progress.update(task, completed=event["cell"])
        elif event["event"] == "done":
            total = next(item.total for item in self._progress.tasks if item.id == task)
            self._progress.update(task, completed=total)
        else:
            self._progress.stop_task(task)
