"""What all commands say on the terminal: errors in words, frames as tables, paths from where the user stands."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from evalaid.base.errors import EvalaidError, refused_by_system

COULD_NOT_RUN = 2
INTERRUPTED = 130
_SHOWN_ROWS = 20
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PIPED_WIDTH = 10_000  # in a pipe lines are not folded


def told(command: Callable[..., Any]) -> Callable[..., Any]:
    """Print an error of the package as a short message instead of a traceback, and exit with 2."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except EvalaidError as error:
            tell_error(error)
            sys.exit(COULD_NOT_RUN)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read what is printed has enough
                raise
            tell_error(EvalaidError(f"The system refused: {refused_by_system(error)}."))
            sys.exit(COULD_NOT_RUN)
        except KeyboardInterrupt as interrupt:
            click.secho(str(interrupt) or "Interrupted.", fg="yellow", err=True)
            sys.exit(INTERRUPTED)

    return run


def stop_at_errors(errors: Sequence[EvalaidError | None], said: Sequence[EvalaidError] = ()) -> None:
    """Print every error and exit with 2 if there is one, or was one ``said`` before; the other studies are finished by now."""
    found = [error for error in errors if error is not None]
    for error in found:
        tell_error(error)
    if found or said:
        sys.exit(COULD_NOT_RUN)


def tell_error(error: EvalaidError) -> None:
    """Print an error, and the rows that it is about."""
    said = _CONTROL.sub("?", f"{type(error).__name__}: {error}")  # what a file or a notebook says commands no terminal
    click.secho(said, fg="red", err=True)
    if error.rows is not None and not _about_the_file(error.rows):
        show_faults(error.rows)


def _about_the_file(rows: Any) -> bool:
    """Return whether faults name neither row nor cell: then the message has said all."""
    return {"row", "cell"} <= set(rows) and bool(rows["row"].isna().all() and (rows["cell"] == "").all())


def show_faults(rows: Any) -> None:
    """Print the first rows of a table of faults, and how many more there are."""
    if len(rows):
        show_frame(rows.head(_SHOWN_ROWS))
    if len(rows) > _SHOWN_ROWS:
        click.echo(f"... and {len(rows) - _SHOWN_ROWS} more rows", err=True)


def show_frame(frame: Any) -> None:
    """Print a frame as a table as wide as the terminal; in a pipe each row is one line."""
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(*(Column(str(column), overflow="fold") for column in frame.columns), show_lines=sys.stdout.isatty())
    for row in frame.astype(object).where(frame.notna(), "").itertuples(index=False):
        table.add_row(*(str(value) for value in row))
    wide = sys.stdout.isatty() or "COLUMNS" in os.environ
    Console(width=None if wide else _PIPED_WIDTH).print(table)


def show_entries(frame: Any) -> None:
    """Print each row as a heading (its first column) with the other columns below it, one a line, wrapped to the terminal."""
    import shutil
    import textwrap

    wide = sys.stdout.isatty() or "COLUMNS" in os.environ
    names = list(frame.columns[1:])
    indent = 2 + max(map(len, names)) + 2
    for row in frame.itertuples(index=False):
        click.echo(str(row[0]))
        for name, value in zip(names, row[1:], strict=True):
            start = f"  {name}".ljust(indent)
            width = shutil.get_terminal_size().columns if wide else indent + len(str(value)) + 1
            lines = textwrap.wrap(
                str(value), max(width - indent, 20), break_long_words=False, break_on_hyphens=False
            )  # fmt: skip
            click.echo((start + ("\n" + " " * indent).join(lines or ["none"])).rstrip())
        click.echo()


def near(path: Path) -> str:
    """Return a path relative to the working directory where it lies below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
