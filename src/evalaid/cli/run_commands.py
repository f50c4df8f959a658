"""Commands that run studies: here, on the workers of a cluster, or again to verify their numbers."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from evalaid.base.errors import EvalaidError, StudyError
from evalaid.cli.terminal import near, stop_at_errors, tell_error, told


def _choose_engine(_context: click.Context, _option: click.Parameter, engine: str | None) -> None:
    """Let all processes of the command run notebooks with this engine."""
    if engine:
        os.environ["EVALAID_ENGINE"] = engine


_JOBS = click.option(
    "--jobs", type=click.IntRange(min=1), help="Notebooks at a time (default: the number of processors)."
)
_ENGINE = click.option(
    "--engine",
    type=click.Choice(["forked", "plain"]),
    expose_value=False,
    callback=_choose_engine,
    help="How notebooks run (default: forked on Linux).",
)
_RUNS = click.option(
    "--file", type=click.Path(path_type=Path), help="File of runs, one per line: STUDY -p KEY=VALUE ..."
)


@click.command()
@click.argument("study", nargs=-1)
@click.option(
    "--only", metavar="NOTEBOOK", help="Run one notebook; the others' results are taken from the last report."
)
@click.option(
    "-p", "parameters", metavar="KEY=VALUE", multiple=True, help="Change a parameter of the study for this run."
)
@_JOBS
@click.option("--force", is_flag=True, help="Compute the studies anew, also what is up to date or in the cache.")
@_ENGINE
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
    _end_in_order()
    changes = _parse_parameters(parameters)
    names = [*dict.fromkeys(study)] or [*list_studies()]
    anew = bool(changes or options["only"] or options["force"])
    left = [] if anew else [name for name in names if is_up_to_date(name)]
    names = [name for name in names if name not in left]
    specs, refused = _load_studies(names, changes, options["executor"])
    if not specs and not left:
        stop_at_errors([], refused)
    if options["executor"] == "dask":
        failed = _run_on_dask([*specs], parameters, options)
        specs = {} if changes else {name: spec for name, spec in specs.items() if not is_up_to_date(name)}
        refused += [error for name, error in failed.items() if name not in specs]  # the others run here
    errors = _run_all(specs, changed=bool(changes), named=bool(study), **options)
    for name in left:
        click.echo(f"Up to date: reports/{name}/index.html")
    if not changes:
        _show_answers([*names, *left])
    stop_at_errors(errors, refused)


def _check_executor(executor: str, scheduler: str | None) -> None:
    """Raise unless a cluster is named where one is asked for, and only there."""
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
        tell_error(error)
    return {spec.study: spec for spec in specs}, refused


def _show_answers(names: Sequence[str]) -> None:
    """Print a line per study that has an answer: verdict, number, interval, page."""
    from evalaid.base.project import REPORTS, project_root
    from evalaid.report.site.answer_line import tell_answer

    for name in names:
        folder = project_root() / REPORTS / name
        if said := tell_answer(folder):
            click.echo(f"{name}: {said}: {near(folder / 'index.html')}")


def _run_on_dask(names: Sequence[str], parameters: Sequence[str], options: dict[str, Any]) -> dict[str, EvalaidError]:
    """Let the workers of a cluster run the studies; what fails there is told, and returned by study."""
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
        click.echo(f"All reports: {near(index)}")
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
    click.echo(f"Report: {near(made.page)} ({said})")
    comparison = None if made.spec.changed_fields() else compare_with_expected(made.manifest)
    if comparison is not None:
        click.echo(comparison.text())


@click.command()
@click.argument("study", nargs=-1)
@_JOBS
@_ENGINE
@click.option(
    "--bytes", "by_bytes", is_flag=True, help="Run twice and compare every file that is written, byte by byte."
)
@told
def verify(study: Sequence[str], jobs: int | None, *, by_bytes: bool) -> None:
    """Compute every reported number again and compare it with the committed one (default: all studies and the synthesis).

    Runs into a temporary folder. Exit code 0: all numbers confirmed; 1: a number, a key or a data file differs; 2: could
    not run.
    """
    from evalaid.running.progress import ProgressDisplay
    from evalaid.running.runs import verify_batch

    _end_in_order()
    with ProgressDisplay() as tell:
        outcomes, left_out = verify_batch(study, by_bytes=by_bytes, jobs=jobs, tell=tell)
    results = [outcome.result for outcome in outcomes if outcome.result is not None]
    for text in (*(result.text() for result in results), *left_out):
        click.echo(text)
    confirmed = [result for result in results if result.confirmed]
    if len(outcomes) > 1:
        counted = sum(result.compared for result in confirmed)
        click.echo(f"{len(confirmed)} of {len(outcomes)} confirmed, {counted:,} {'files' if by_bytes else 'numbers'}.")
    stop_at_errors([outcome.error for outcome in outcomes])
    sys.exit(0 if len(confirmed) == len(results) else 1)


@click.command()
@_RUNS
@told
def tasks(file: Path | None) -> None:
    """List the runs of a cluster, numbered: all studies, or those of a file. Each can be repeated, and none needs another."""
    from evalaid.running.task_list import list_runs

    for one in list_runs(file):
        click.echo(one.text())


@click.command()
@click.argument("number", type=int)
@_RUNS
@told
def task(number: int, file: Path | None) -> None:
    """Carry out run NUMBER of the list; one that is done does nothing."""
    from evalaid.running.task_list import pick_run

    run.main([*pick_run(number, file).arguments, "--alone"], prog_name="evalaid run", standalone_mode=False)


@click.command()
@_RUNS
@told
def slurm(file: Path | None) -> None:
    """Print the script of a SLURM job array that carries out every run of the list: evalaid slurm > runs.sh; sbatch runs.sh."""
    from evalaid.running.task_list import write_slurm

    click.echo(write_slurm(file), nl=False)


def _parse_parameters(given: Sequence[str]) -> dict[str, Any]:
    """Turn ``key=value`` into parameters; the value is read as YAML, its type is checked by the study."""
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


def _end_in_order() -> None:
    """Let a request to end (SIGTERM, SIGHUP) do what Ctrl-C does, unless whoever started this process ignores it."""
    import signal

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
