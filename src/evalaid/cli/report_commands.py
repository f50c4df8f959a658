"""Commands for reports that are there: accept and compare their numbers, write the paper, prepare a deposit."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from evalaid.cli.terminal import near, told


@click.command()
@click.argument("study", nargs=-1, required=True)
@told
def accept(study: Sequence[str]) -> None:
    """Take the numbers of the last report of STUDY as the expected ones (reports/expected), and print what moved.

    For a change that was meant: commit the file with the change that moved the numbers.
    """
    from evalaid.running.checked.expected import accept, expected_file

    for name in study:
        comparison = accept(name)
        click.echo(comparison.text())
        click.echo(f"Expected numbers: {near(expected_file(name))}")


@click.command()
@click.argument("study", nargs=-1, required=True)
@click.option("--language", metavar="LANGUAGE", help="Language of both, en or zh (default: that of the study).")
@told
def paper(study: Sequence[str], language: str | None) -> None:
    """Write the finished report of STUDY as a paper in PDF, and all its tables as one Word file (needs evalaid[paper]).

    Both go into the report's folder and onto its page of downloads. `evalaid run` makes neither, and takes them away when it makes
    the report again.
    """
    from evalaid.running.documents import make_documents

    for name in study:
        made = make_documents(name, language)
        click.echo(f"Paper: {near(made.paper)}")
        click.echo(f"Tables: {near(made.tables)}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@told
def archive(folder: Path) -> None:
    """Write FOLDER, ready to deposit: code, data that may be published, reports, lock, checksums; check what data editors ask.

    Exit code 0: every point passed; 1: a point failed, and it says which.
    """
    from evalaid.running.archive import write_archive

    deposit = write_archive(folder)
    click.echo(deposit.text())
    sys.exit(0 if deposit.passed else 1)


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--tolerance", type=click.FloatRange(min=0), default=1e-8, show_default=True, help="Relative tolerance.")
@told
def compare(before: Path, after: Path, tolerance: float) -> None:
    """Compare the numbers of two reports, or of two folders of reports, by study.

    Counts and words must be equal, estimates within the tolerance. Exit code 0: all agree; 1: a number differs; 2: there is
    nothing to compare.
    """
    from evalaid.running.checked.comparison import compare_reports

    comparisons = compare_reports(before, after, tolerance)
    for comparison in comparisons:
        click.echo(comparison.text())
    sys.exit(1 if any(comparison.differences for comparison in comparisons) else 0)
