"""The command ``evalaid``: parse, call one function, print, exit.

Only click and the standard library are imported here; each command imports what it needs when it runs, so that
``evalaid --help`` answers at once. Exit codes: 0 fine, 1 found a difference or a fault, 2 could not run.
"""

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
            _tell_error(error)
            sys.exit(COULD_NOT_RUN)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read what is printed has enough
                raise
            _tell_error(EvalaidError(f"The system refused: {refused_by_system(error)}."))
            sys.exit(COULD_NOT_RUN)
        except KeyboardInterrupt as interrupt:
            click.secho(str(interrupt) or "Interrupted.", fg="yellow", err=True)
            sys.exit(INTERRUPTED)

    return run


def _print_version(context: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001 (click's signature)
    if asked:
        click.echo(f"evalaid {sys.modules['evalaid'].__version__}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
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


@main.command()
@click.argument("study", nargs=-1)
@click.option(
    "--only", metavar="NOTEBOOK", help="Run one notebook; the others' results are taken from the last report."
)
@click.option(
    "-p", "parameters", metavar="KEY=VALUE", multiple=True, help="Change a parameter of the study for this run."
)
@click.option("--jobs", type=click.IntRange(min=1), help="Notebooks at a time (default: the number of processors).")
@click.option("--force", is_flag=True, help="Compute the studies anew, also what is up to date or in the cache.")
@click.option("--engine", type=click.Choice(["forked", "plain"]), help="How notebooks run (default: forked on Linux).")
@click.option(
    "--alone", is_flag=True, help="Write the reports only: no synthesis, no index (for runs on many machines)."
)
@click.option("--executor", type=click.Choice(["local", "dask"]), default="local", help="Where the studies run.")
@click.option("--scheduler", metavar="ADDRESS", help="Address of the Dask scheduler; its workers see this folder.")
@told
def run(study: Sequence[str], parameters: Sequence[str], **options: Any) -> None:
    """Run studies and write their reports (default: all studies), then the synthesis of all.

    A report that was made from the same parameters, data, notebooks, code and libraries is left as it is; of another one the
    notebooks run that something changed for. A run with changed parameters (-p) gets a report of its own and leaves the
    synthesis alone. The numbers are compared with the committed ones, which `evalaid accept` replaces.
    """
    from evalaid.base.project import list_studies
    from evalaid.running.kept.freshness import is_up_to_date

    _check_executor(options["executor"], options["scheduler"])
    _end_in_order(options["engine"])
    changes = _parse_parameters(parameters)
    names = [*dict.fromkeys(study)] or [*list_studies()]
    anew = bool(changes or options["only"] or options["force"])
    left = [] if anew else [name for name in names if is_up_to_date(name)]
    names = [name for name in names if name not in left]
    specs, refused = _load_studies(names, changes, options["executor"])
    if not specs and not left:
        _stop_at_errors([], refused)
    if options["executor"] == "dask":
        failed = _run_on_dask([*specs], parameters, options)
        specs = {} if changes else {name: spec for name, spec in specs.items() if not is_up_to_date(name)}
        refused += [error for name, error in failed.items() if name not in specs]  # the others run here
    errors = _run_all(specs, changed=bool(changes), named=bool(study), **options)
    for name in left:
        click.echo(f"Up to date: reports/{name}/index.html")
    if not changes:
        _show_answers([*names, *left])
    _stop_at_errors(errors, refused)


def _check_executor(executor: str, scheduler: str | None) -> None:
    """Raise unless a cluster is named where one is asked for, and only there."""
    from evalaid.base.errors import StudyError

    if executor == "dask" and not scheduler:
        raise StudyError("--executor dask needs --scheduler ADDRESS (tcp://HOST:8786, or a scheduler file's path).")
    if scheduler and executor != "dask":
        raise StudyError("--scheduler is for --executor dask: name both, or none.")


def _load_studies(
    names: Sequence[str], changes: dict[str, Any], executor: str
) -> tuple[dict[str, Any], list[EvalaidError]]:
    """Load studies; tell at once why some cannot be run, and return the others by name, and the errors."""
    from evalaid.base.project import study_file

    if not names:
        return {}, []
    if executor == "local" and any(study_file(name).is_file() for name in names):
        from evalaid.running.processes.execution import warm_up

        warm_up()  # while this process imports what shows the run
    from evalaid.running.runs import load_studies

    specs, outcomes = load_studies(names, changes)
    refused = [outcome.error for outcome in outcomes if outcome.error is not None]
    for error in refused:
        _tell_error(error)
    return {spec.study: spec for spec in specs}, refused


def _show_answers(names: Sequence[str]) -> None:
    """Print a line per study that has an answer: verdict, number, interval, page."""
    from evalaid.base.project import REPORTS, project_root
    from evalaid.report.site.answer_line import tell_answer

    for name in names:
        folder = project_root() / REPORTS / name
        if said := tell_answer(folder):
            click.echo(f"{name}: {said}: {_near(folder / 'index.html')}")


def _run_on_dask(names: Sequence[str], parameters: Sequence[str], options: dict[str, Any]) -> dict[str, EvalaidError]:
    """Let the workers of a cluster run the studies; what fails there is told, and returned by study."""
    from evalaid.base.errors import StudyError
    from evalaid.running.task_list import ListedRun, run_on_dask

    given = [word for parameter in parameters for word in ("-p", parameter)]
    given += ["--force"] if options["force"] else []
    given += ["--only", options["only"]] if options["only"] else []
    runs = [ListedRun(number, (name, *given)) for number, name in enumerate(names, start=1)]
    failed: dict[str, EvalaidError] = {}
    for done, code, said in run_on_dask(runs, options["scheduler"]):
        click.echo(f"{done.arguments[0]}: {'done' if code == 0 else said.strip()}")
        if code:
            failed[done.arguments[0]] = StudyError(said)
    return failed


def _run_all(
    specs: dict[str, Any], *, changed: bool, named: bool, alone: bool, **options: Any
) -> list[EvalaidError | None]:
    """Run studies, the synthesis where it follows, and the index; say what came out, and return the errors."""
    from evalaid.base.project import OWN, REPORTS, SYNTHESIS, list_studies, project_root
    from evalaid.running.kept.freshness import find_synthesis, is_up_to_date

    apart = alone or changed or (named and set(specs) <= {SYNTHESIS, *list_studies(OWN)})
    synthesis = None if apart else find_synthesis()
    index = project_root() / REPORTS / "index.html"
    if not specs and (alone or ((synthesis is None or is_up_to_date(synthesis)) and index.is_file())):
        return []
    from evalaid.running.progress import ProgressDisplay
    from evalaid.running.runs import list_missing, run_batch

    if synthesis and synthesis not in specs and set(list_missing()) <= set(specs):
        click.echo("The synthesis of all studies follows them where it is not up to date.")
    try:
        with ProgressDisplay() as tell:
            chosen = {"only": options["only"], "jobs": options["jobs"], "fresh": options["force"], "tell": tell}
            outcomes = run_batch([*specs.values()], synthesis, **chosen)
    finally:
        unwritten = _write_index(alone=alone)
    for outcome in outcomes:
        if outcome.result is not None:
            _show_result(outcome.result)
    missing = list_missing() if synthesis else []
    if missing:
        click.echo(f"No synthesis yet: there are no numbers of {', '.join(missing)}.")
    if not (alone or unwritten):
        click.echo(f"All reports: {_near(index)}")
    return [*(outcome.error for outcome in outcomes), *unwritten]


def _write_index(*, alone: bool) -> list[EvalaidError]:
    """Write the index unless the reports are wanted alone, and return its error, which shall not take the place of another."""
    from evalaid.running.runs import write_index

    try:
        if not alone:
            write_index()
    except EvalaidError as error:
        return [error]
    return []


def _show_result(made: Any) -> None:
    """Print where a report is, what was computed for it, and whether its numbers are the committed ones."""
    from evalaid.running.checked.expected import compare_with_expected

    said = f"{len(made.computed)} of {len(made.notebooks)} notebooks computed"
    click.echo(f"Report: {_near(made.page)} ({said})")
    comparison = None if made.spec.changed_fields() else compare_with_expected(made.manifest)
    if comparison is not None:
        click.echo(comparison.text())


def _end_in_order(engine: str | None = None) -> None:
    """Let a request to end (SIGTERM, SIGHUP) do what Ctrl-C does, unless whoever started this process ignores it."""
    import signal

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    if engine:
        os.environ["EVALAID_ENGINE"] = engine


@main.command()
@click.argument("study", nargs=-1)
@click.option("--jobs", type=click.IntRange(min=1), help="Notebooks at a time (default: the number of processors).")
@click.option("--engine", type=click.Choice(["forked", "plain"]), help="How notebooks run (default: forked on Linux).")
@click.option(
    "--bytes", "by_bytes", is_flag=True, help="Run twice and compare every file that is written, byte by byte."
)
@told
def verify(study: Sequence[str], jobs: int | None, engine: str | None, *, by_bytes: bool) -> None:
    """Compute every reported number again and compare it with the committed one (default: all studies and the synthesis).

    Runs into a temporary folder. Exit code 0: all numbers confirmed; 1: a number, a key or a data file differs; 2: could
    not run.
    """
    from evalaid.running.progress import ProgressDisplay
    from evalaid.running.runs import verify_batch

    _end_in_order(engine)
    with ProgressDisplay() as tell:
        outcomes, left_out = verify_batch(study, by_bytes=by_bytes, jobs=jobs, tell=tell)
    results = [outcome.result for outcome in outcomes if outcome.result is not None]
    for text in (*(result.text() for result in results), *left_out):
        click.echo(text)
    confirmed = [result for result in results if result.confirmed]
    if len(outcomes) > 1:
        counted = sum(result.compared for result in confirmed)
        click.echo(f"{len(confirmed)} of {len(outcomes)} confirmed, {counted:,} {'files' if by_bytes else 'numbers'}.")
    _stop_at_errors([outcome.error for outcome in outcomes])
    sys.exit(0 if len(confirmed) == len(results) else 1)


@main.command()
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
        click.echo(f"Expected numbers: {_near(expected_file(name))}")


@main.command()
@click.option("--file", type=click.Path(path_type=Path), help="File of runs, one per line: STUDY -p KEY=VALUE ...")
@told
def tasks(file: Path | None) -> None:
    """List the runs of a cluster, numbered: all studies, or those of a file. Each can be repeated, and none needs another."""
    from evalaid.running.task_list import list_runs

    for one in list_runs(file):
        click.echo(one.text())


@main.command()
@click.argument("number", type=int)
@click.option("--file", type=click.Path(path_type=Path), help="File of runs, one per line: STUDY -p KEY=VALUE ...")
@told
def task(number: int, file: Path | None) -> None:
    """Carry out run NUMBER of the list; one that is done does nothing."""
    from evalaid.running.task_list import pick_run

    main(["run", *pick_run(number, file).arguments, "--alone"], standalone_mode=False)


@main.command()
@click.option("--file", type=click.Path(path_type=Path), help="File of runs, one per line: STUDY -p KEY=VALUE ...")
@told
def slurm(file: Path | None) -> None:
    """Print the script of a SLURM job array that carries out every run of the list: evalaid slurm > runs.sh; sbatch runs.sh."""
    from evalaid.running.task_list import write_slurm

    click.echo(write_slurm(file), nl=False)


@main.command()
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
        click.echo(f"Paper: {_near(made.paper)}")
        click.echo(f"Tables: {_near(made.tables)}")


@main.command()
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


@main.command()
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
    sys.exit(0 if all(comparison.differences.empty for comparison in comparisons) else 1)


@main.command()
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
    if len(faults):
        _show_frame(faults.head(_SHOWN_ROWS))
        _tell_more(len(faults))
    if len(result.decisions):
        click.echo("\nDecisions:")
        _show_frame(result.decisions)
    if not isinstance(result, Inspection):
        text = result.layout.to_yaml()
        click.echo(f"\n{text}" if write_layout is None else f"Layout: {_write_new(write_layout, text)}")
    if not result.usable:
        sys.exit(1)


@main.command()
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


@main.command()
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
    _show_frame(study.decisions)


@main.command()
@click.argument("study")
@told
def design(study: str) -> None:
    """Print the design of STUDY: cohorts, comparisons, and what is not identified."""
    from evalaid.study.sample import load_design
    from evalaid.study.spec import load_study

    click.echo(load_design(load_study(study)).text())


@main.command()
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
        _show_frame(follow_sample(load_study(study)).steps)


@main.command()
@told
def methods() -> None:
    """Print the methods: what each estimates, needs and takes, its reference, its source, and the test behind it.

    Lines are as wide as the terminal; in a pipe each entry is one line.
    """
    from evalaid.did.estimators.estimation import methods as list_methods

    _show_entries(list_methods())


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
    return _near(path)


def _parse_parameters(given: Sequence[str]) -> dict[str, Any]:
    """Turn ``key=value`` into parameters; the value is read as YAML, its type is checked by the study."""
    from evalaid.base.errors import StudyError
    from evalaid.base.yaml_files import parse_yaml

    changes = {}
    for item in given:
        key, sign, value = item.partition("=")
        if not sign or not key.strip():
            raise StudyError(f"-p {item}: write key=value, for example -p level=0.9.")
        if key.strip() == "study":
            raise StudyError(f"-p {item}: which study is run is no parameter: evalaid run {value.strip() or 'STUDY'}.")
        changes[key.strip()] = parse_yaml(value, f"-p {item}: the value").value
        if changes[key.strip()] is None:
            raise StudyError(f"-p {item}: there is no value, so nothing would be changed. Write one, or leave it out.")
    if len(changes) < len(given):
        raise StudyError(f"-p names a parameter twice ({', '.join(given)}): which value counts? Leave the other out.")
    return changes


def _stop_at_errors(errors: Sequence[EvalaidError | None], said: Sequence[EvalaidError] = ()) -> None:
    """Print every error and exit with 2 if there is one, or was one ``said`` before; the other studies are finished by now."""
    found = [error for error in errors if error is not None]
    for error in found:
        _tell_error(error)
    if found or said:
        sys.exit(COULD_NOT_RUN)


def _tell_error(error: EvalaidError) -> None:
    said = _CONTROL.sub("?", f"{type(error).__name__}: {error}")  # what a file or a notebook says commands no terminal
    click.secho(said, fg="red", err=True)
    _show_rows(error)


def _show_rows(error: EvalaidError) -> None:
    if error.rows is not None and len(error.rows) and not _about_the_file(error.rows):
        _show_frame(error.rows.head(_SHOWN_ROWS))
        _tell_more(len(error.rows))


def _about_the_file(rows: Any) -> bool:
    """Return whether faults name neither row nor cell: then the message has said all."""
    return {"row", "cell"} <= set(rows) and bool(rows["row"].isna().all() and (rows["cell"] == "").all())


def _tell_more(count: int) -> None:
    if count > _SHOWN_ROWS:
        click.echo(f"... and {count - _SHOWN_ROWS} more rows", err=True)


def _show_frame(frame: Any) -> None:
    """Print a frame as a table as wide as the terminal; in a pipe each row is one line."""
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(*(Column(str(column), overflow="fold") for column in frame.columns), show_lines=sys.stdout.isatty())
    for row in frame.astype(object).where(frame.notna(), "").itertuples(index=False):
        table.add_row(*(str(value) for value in row))
    wide = sys.stdout.isatty() or "COLUMNS" in os.environ
    Console(width=None if wide else _PIPED_WIDTH).print(table)


def _show_entries(frame: Any) -> None:
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


def _near(path: Path) -> str:
    """Return a path relative to the working directory where it lies below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
