"""Many studies at once: their notebooks are one list of tasks, and as many run side by side as there are processors.

A study that fails does not stop the others; an interruption ends the notebooks that run and keeps the reports of the studies
that are finished.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from evalaid.base.errors import EvalaidError, StudyError
from evalaid.base.project import PROJECT, REPORTS, list_studies, project_root
from evalaid.running.execution import Tell, count_processors
from evalaid.running.expected import read_expected
from evalaid.running.graph import run_tasks
from evalaid.running.notebooks import Making, StudyRun
from evalaid.running.verify import Verification, compare_run, remake
from evalaid.study.manifest import NUMBERS_FILE
from evalaid.study.spec import StudySpec

Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of one study: its result, or the error that stopped it."""

    study: str
    result: Result | None
    error: EvalaidError | None


def run_studies(
    specs: Sequence[StudySpec],
    *,
    jobs: int | None = None,
    only: str | None = None,
    tell: Tell | None = None,
    fresh: bool = False,
) -> list[Outcome[StudyRun]]:
    """Run studies, ``jobs`` notebooks at a time (default: as many as there are processors), and write their reports.

    ``only``, ``tell`` and ``fresh`` as in `evalaid.running.notebooks.run_study`; a finished study sends the event ``finished``,
    one that could not be run ``stopped``. Outcomes come in the order of ``specs``.

    Raises
    ------
    KeyboardInterrupt
        When interrupted; names what was kept of every study that was running.
    """
    makings = [Making(spec, only=only, tell=tell, fresh=fresh) for spec in specs]
    errors = run_makings(makings, jobs, tell)
    return [_outcome(making, errors, making.result) for making in makings]


def verify_studies(
    specs: Sequence[StudySpec], *, jobs: int | None = None, tell: Tell | None = None
) -> list[Outcome[Verification]]:
    """Verify studies side by side; parameters, result and errors as `run_studies`."""
    unread = _without_expected(specs)
    with tempfile.TemporaryDirectory() as folder:
        makings = [remake(spec, Path(folder), tell) for spec in specs if spec.study not in unread]
        errors = run_makings(makings, jobs, tell)
        return [
            *(Outcome(study, None, error) for study, error in unread.items()),
            *(_outcome(making, errors, partial(_compare, making)) for making in makings),
        ]


def _without_expected(specs: Sequence[StudySpec]) -> dict[str, EvalaidError]:
    """Return why there is nothing to compare with, for the studies of which that is so: known before anything runs."""
    unread: dict[str, EvalaidError] = {}
    for spec in specs:
        try:
            read_expected(spec.study)
        except EvalaidError as error:
            unread[spec.study] = error
    return unread


def _compare(making: Making) -> Verification:
    return compare_run(making.result())


def list_missing() -> list[str]:
    """Return the project's studies without numbers: the synthesis needs those of all."""
    return [name for name in list_studies(PROJECT) if not has_numbers(name)]


def has_numbers(name: str) -> bool:
    """Return whether a study was run, so that the synthesis can use its numbers."""
    return (project_root() / REPORTS / name / NUMBERS_FILE).is_file()


def run_makings(makings: Sequence[Making], jobs: int | None, tell: Tell | None) -> dict[str, BaseException]:
    """Run the tasks of all studies and return the errors of those that have one; a broken study tells ``stopped``."""
    told: Tell = tell or (lambda *_: None)
    by_study = {making.spec.study: making for making in makings}

    def stop(study: str | None) -> None:
        for making in makings if study is None else [by_study[study]]:
            making.halt.ask()
            if study is not None:
                told(study, "", {"event": "stopped"})

    try:
        return run_tasks([making.first_task() for making in makings], jobs or count_processors(), stop)
    except KeyboardInterrupt as interrupt:
        kept = [making.give_up(interrupt) for making in makings]
        raise KeyboardInterrupt("\n".join(filter(None, kept)) or "Interrupted.") from None


def _outcome(making: Making, errors: Mapping[str, BaseException], result: Callable[[], Result]) -> Outcome[Result]:
    error = errors.get(making.spec.study)
    if error is None:
        return Outcome(making.spec.study, result(), None)
    return Outcome(making.spec.study, None, as_told(making.explain(error)))


def as_told(error: BaseException) -> EvalaidError:
    """Return the error of a study as one of the package: what the system refuses stops that study and no other."""
    if isinstance(error, EvalaidError):
        return error
    if isinstance(error, OSError):
        where = f" ('{Path(str(error.filename)).name}')" if error.filename else ""
        return StudyError(f"The report cannot be written: {error.strerror or error}{where}. Make room, then run again.")
    raise error
