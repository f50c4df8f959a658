"""Commands for projects, data and studies: begin them, check them, and explain their design."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from evalaid.cli.terminal import near, show_entries, show_faults, show_frame, told


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--unit", help="Column of the unit (county, district).")
@click.option("--period", help="Column of the period (year, quarter, month).")
@click.option("--outcome", help="Column of the outcome.")
@click.option("--outcome-unit", type=click.Choice(["fraction", "percent", "number"]), help="Unit of the outcome.")
@click.option("--inside", help="Column with the episodes inside the unit.")
@click.option("--total", help="Column with all episodes.")
@click.option("--weight", help="Column of weights.")
@click.option("--cluster", help="Column of clusters.")
@click.option("--cohort", help="Column with the first treated period of each unit.")
@click.option("--treated", help="Column with 0 and 1 by period: whether the unit is treated.")
@click.option("--start", help="Of a roster: header of its column of starts; --unit names that of its units.")
@click.option("--sheet", help="Sheet of an Excel file (default: the first).")
@click.option("--encoding", help="Encoding of a text file with a tidy panel (default: detected).")
@click.option(
    "--layout", type=click.Path(path_type=Path), help="YAML file that says how a table is read (see --write-layout)."
)
@click.option("--write-layout", type=click.Path(path_type=Path), help="Write the layout that was used to this file.")
@told
def check(file: Path, write_layout: Path | None, **options: Any) -> None:
    """Check whether FILE is a usable panel or roster; show its faults as a table.

    FILE is a workbook (xlsx, xls, ods), text (csv, tsv), a file of Stata, SPSS, SAS, Parquet, Feather or JSON lines, a table of a
    database (file.duckdb::table), or a folder. A tidy panel has one row for each unit and period and one header row; its columns are
    looked for where they are not named, those that say when units are treated, too. Any other table of units and periods, and a
    roster of partnerships, is read as it was sent: the verdict is followed by every decision and by the layout that was detected, as
    YAML. Exit code 0: usable; 1: faults; 2: not readable, or a column is not clear.
    """
    from evalaid.study.inspection.anything import inspect_any
    from evalaid.study.inspection.tidy_panel import Inspection

    result = inspect_any(file, **options)
    click.echo(result.text())
    said = isinstance(result, Inspection)  # what is expected is part of its text
    faults = result.faults.drop(columns="expected") if said else result.faults
    show_faults(faults)
    if len(result.decisions):
        click.echo("\nDecisions:")
        show_frame(result.decisions)
    if not isinstance(result, Inspection):
        text = result.layout.to_yaml()
        click.echo(f"\n{text}" if write_layout is None else f"Layout: {_write_new(write_layout, text)}")
    if not result.usable:
        sys.exit(1)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--no-example", is_flag=True, help="Without the example on simulated files.")
@told
def init(folder: Path, *, no_example: bool) -> None:
    """Make a project in the new FOLDER: the notebooks, folders for data and studies, an example on simulated files.

    The other commands work in it and below it, or from anywhere with --project FOLDER.
    """
    from evalaid.study.new.init_project import EXAMPLE, make_project

    files = make_project(folder, example=not no_example)
    click.echo(f"Made a project in {folder}: {len(files)} files, described in {folder / 'README.md'}.")
    run = "" if no_example else f"evalaid run {EXAMPLE}, or "
    click.echo(
        f"Next: cd {folder}, then {run}evalaid new NAME --panel FILE (--roster FILE | --cohort COLUMN | --treated COLUMN)"
    )


@click.command()
@click.argument("name")
@click.option("--panel", type=click.Path(path_type=Path), required=True, help="File of the panel, as `check` reads it.")
@click.option("--roster", type=click.Path(path_type=Path), help="File of the starts: units and dates.")
@click.option(
    "--cohort", help="In place of a roster: column with the first treated period of each unit (empty: never)."
)
@click.option("--treated", help="In place of a roster: column with 0 and 1 by period.")
@click.option(
    "--outcome", help="Variable or column of the outcome (default: the share, else the only one with numbers)."
)
@click.option("--outcome-unit", type=click.Choice(["fraction", "percent", "number"]), help="Unit of the outcome.")
@click.option("--outcome-label", help="What the report calls the outcome.")
@click.option(
    "--outcome-measure", help="Unit of an outcome that is no share, as in a sentence: per 1,000, days, admissions."
)
@click.option("--unit", help="Column of the unit, of a tidy panel where it is not clear.")
@click.option("--unit-label", help="What the report calls the units, in the plural.")
@click.option("--period", help="Column of the period, of a tidy panel where it is not clear.")
@click.option("--inside", help="Column with the episodes inside the unit, of a tidy panel.")
@click.option("--total", help="Column with all episodes, of a tidy panel.")
@click.option("--covariates", help="Columns of covariates, with commas between them, of a tidy panel.")
@click.option("--weight", help="Column of weights, of a tidy panel.")
@click.option("--cluster", help="Column of clusters, of a tidy panel.")
@click.option("--stratum", help="Column of groups within which units are compared (region), of a tidy panel.")
@click.option(
    "--exposure", help="Column of the part of each period in which a unit is treated, 0 to 1, of a tidy panel."
)
@click.option(
    "--start",
    type=click.Choice(["start", "announced", "agreed", "arrived"]),
    default="start",
    help="Which date of the roster is the start.",
)
@click.option("--roster-unit", help="Header of the roster's column of units, where it is not recognised.")
@click.option("--roster-start", help="Header of the roster's column of starts, where it is not recognised.")
@click.option(
    "--year-begins", type=click.IntRange(1, 12), help="Month in which fiscal years begin (4: April to March)."
)
@click.option("--not-in-panel", multiple=True, metavar="UNIT", help="Unit of the roster that the panel rightly lacks.")
@click.option(
    "--aggregate", type=click.Choice(["mean"]), help="Make means by unit and period of a file with one row per person."
)
@click.option("--panel-layout", type=click.Path(path_type=Path), help="YAML file that says how the panel is read.")
@click.option("--roster-layout", type=click.Path(path_type=Path), help="YAML file that says how the roster is read.")
@click.option("--data-kind", type=click.Choice(["real", "simulated"]), default="real", help="Shown on every page.")
@told
def new(name: str, panel: Path, roster: Path | None, covariates: str | None, **options: Any) -> None:
    """Make the study NAME from a panel and from what says when its units start: a roster, or a column of the panel.

    Copies the files to data/NAME with their hashes, writes notebooks/studies/NAME.yaml with everything that was detected, and
    prints what was decided, the design, and the next command. A study that is there is not overwritten; after a fault nothing
    is left behind.
    """
    from evalaid.study.new.own_data import begin_study

    others = ("start", "year_begins", "not_in_panel", "aggregate", "panel_layout", "roster_layout", "data_kind")
    given = {key: options.pop(key) for key in others}
    given["roster_columns"] = (options.pop("roster_unit"), options.pop("roster_start"))
    columns = {role: column for role, column in options.items() if column is not None}
    listed = [name.strip() for name in (covariates or "").split(",") if name.strip()]
    study = begin_study(name, panel, roster, columns=columns, covariates=listed, **given)
    click.echo(study.text())
    click.echo("\nDecisions:")
    show_frame(study.decisions)


@click.command()
@click.argument("study")
@told
def design(study: str) -> None:
    """Print the design of STUDY: cohorts, comparisons, and what is not identified."""
    from evalaid.study.sample import load_design
    from evalaid.study.spec import load_study

    click.echo(load_design(load_study(study)).text())


@click.command()
@click.argument("study")
@click.argument("unit", required=False)
@told
def why(study: str, unit: str | None) -> None:
    """Explain why UNIT is in the design of STUDY, or which rule leaves it out; without UNIT, what every rule leaves out."""
    from evalaid.study.sample_flow import explain_unit, follow_sample
    from evalaid.study.spec import load_study

    if unit is not None:
        click.echo(explain_unit(load_study(study), unit))
    else:
        show_frame(follow_sample(load_study(study)).steps)


@click.command()
@told
def methods() -> None:
    """Print the methods: what each estimates, needs and takes, its reference, its source, and the test behind it.

    Lines are as wide as the terminal; in a pipe each entry is one line.
    """
    from evalaid.did.estimators.estimation import methods as list_methods

    show_entries(list_methods())


def _write_new(path: Path, text: str) -> str:
    """Write a text to a file that is not there yet."""
    from evalaid.base.errors import ReadingError

    try:
        with path.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except FileExistsError:
        raise ReadingError(f"{path.name} exists already: name another file, or remove it.") from None
    except OSError as error:
        raise ReadingError(f"{path.name} cannot be written: {error.strerror}.") from None
    return near(path)
