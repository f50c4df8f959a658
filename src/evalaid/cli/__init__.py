"""The command ``evalaid``: each of its commands parses, calls one function, prints, and exits.

Only click and the standard library are imported here; each command imports what it needs when it runs, so that
``evalaid --help`` answers at once. Exit codes: 0 fine, 1 found a difference or a fault, 2 could not run.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from evalaid.cli.report_commands import accept, archive, compare, paper
from evalaid.cli.run_commands import run, slurm, task, tasks, verify
from evalaid.cli.study_commands import check, design, init, methods, new, why

COMMANDS = [accept, archive, check, compare, design, init, methods, new, paper, run, slurm, task, tasks, verify, why]


@click.group(commands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(sys.modules["evalaid"].__version__, message="evalaid %(version)s")
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the project (default: the one above the working directory).",
)
def main(project: Path | None) -> None:
    """Evaluate hospital partnership programmes by difference-in-differences.

    A study is a file in notebooks/studies. `run` makes its report, `verify` computes every reported number again and
    compares it with the committed one.
    """
    if project is not None:
        from evalaid.base.project import VARIABLE

        os.environ[VARIABLE] = str(project.resolve())
