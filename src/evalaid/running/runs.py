"""Many studies at once: as many notebooks run side by side, each in processes of its own, as there are processors.

One thread per study waits for that study's processes. A study that fails does not stop the others; an interruption ends the
notebooks that run and keeps the reports of the studies that are finished.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from evalaid.base.errors import EvalaidError
from evalaid.base.project import PROJECT, SYNTHESIS, list_studies, project_root, study_file
from evalaid.report.report_folders import report_folder
from evalaid.running.execution import Halt, Tell
from evalaid.running.freshness import is_up_to_date
from evalaid.running.notebooks import SYNTHESIS_NOTEBOOK, StudyRun, list_notebooks, run_study
from evalaid.running.verify import Verification, verify_study
from evalaid.study.manifest import NUMBERS_FILE
from evalaid.study.spec import StudySpec

Result = TypeVar("Result")
_SECONDS_BETWEEN_LOOKS = 0.5  # a wait without an end cannot be interrupted everywhere


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of one study: its result, or the error that stopped it."""

    study: str
    result: Result | None
    error: EvalaidError | None


def count_processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_studies(
    specs: Sequence[StudySpec], *, jobs: int | None = None, only: str | None = None, tell: Tell | None = None
) -> list[Outcome[StudyRun]]:
    """Run studies side by side, ``jobs`` at a time (default: as many as there are processors), and write their reports.

    ``only`` and ``tell`` as in `evalaid.running.notebooks.run_study`; a finished study sends the event ``finished``, one that
    could not be run ``stopped``. Outcomes come in the order of ``specs``.

    Raises
    ------
    KeyboardInterrupt
        When interrupted; names what was kept of every study that was running.
    """

    def work(spec: StudySpec, halt: Halt) -> StudyRun:
        return run_study(spec, only=only, tell=tell, halt=halt)

    return _side_by_side(work, specs, jobs, tell)


def verify_studies(
    specs: Sequence[StudySpec], *, jobs: int | None = None, tell: Tell | None = None
) -> list[Outcome[Verification]]:
    """Verify studies side by side; parameters, result and errors as `run_studies`."""

    def work(spec: StudySpec, halt: Halt) -> Verification:
        return verify_study(spec, tell=tell, halt=halt)

    return _side_by_side(work, specs, jobs, tell)


def find_synthesis() -> StudySpec | None:
    """Return the synthesis of all studies, if the project has one."""
    notebook = project_root() / "notebooks" / f"{SYNTHESIS_NOTEBOOK}.ipynb"
    return StudySpec(study=SYNTHESIS) if study_file(SYNTHESIS).is_file() and notebook.is_file() else None


def is_done(spec: StudySpec) -> bool:
    """Return whether a study's report is up to date and need not be made again."""
    return is_up_to_date(spec, list_notebooks(spec))


def list_missing() -> list[str]:
    """Return the project's studies without numbers: the synthesis needs those of all."""
    return [name for name in list_studies(PROJECT) if not has_numbers(name)]


def has_numbers(name: str) -> bool:
    """Return whether a study was run, so that there are numbers to compare with."""
    return (report_folder(StudySpec(study=name)) / NUMBERS_FILE).is_file()


def _side_by_side(
    work: Callable[[StudySpec, Halt], Result], specs: Sequence[StudySpec], jobs: int | None, tell: Tell | None
) -> list[Outcome[Result]]:
    halt = Halt()
    told: Tell = tell or (lambda *_: None)

    def one(spec: StudySpec) -> Result:
        event: Mapping[str, Any] = {"event": "stopped"}
        if halt.asked:
            raise CancelledError
        try:
            result = work(spec, halt)
            event = {"event": "finished"}
        finally:
            told(spec.study, "", event)
        return result

    with ThreadPoolExecutor(max_workers=jobs or count_processors()) as pool:
        futures = [pool.submit(one, spec) for spec in specs]
        try:
            _wait_for(futures)
        except KeyboardInterrupt:
            halt.ask()
            pool.shutdown(wait=True, cancel_futures=True)
            raise KeyboardInterrupt(_what_was_kept(futures)) from None
    return [_outcome(spec, future) for spec, future in zip(specs, futures, strict=True)]


def _wait_for(futures: Sequence[Future[Any]]) -> None:
    left = set(futures)
    while left:
        left = wait(left, timeout=_SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED).not_done


def _what_was_kept(futures: Sequence[Future[Any]]) -> str:
    errors = [future.exception() for future in futures if not future.cancelled()]
    said = [str(error) for error in errors if isinstance(error, KeyboardInterrupt) and str(error)]
    return "\n".join(said) or "Interrupted."


def _outcome(spec: StudySpec, future: Future[Result]) -> Outcome[Result]:
    error = future.exception()
    if error is None:
        return Outcome(spec.study, future.result(), None)
    if isinstance(error, EvalaidError):
        return Outcome(spec.study, None, error)
    raise error
