"""Studies on their way to reports side by side, and what becomes of each: its result, or the error that stopped it alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from evalaid.base.errors import EvalaidError, StudyError, refused_by_system
from evalaid.running.graph import run_tasks
from evalaid.running.notebooks import Making
from evalaid.running.processes.execution import Tell, count_processors

Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of one study: its result, or the error that stopped it."""

    study: str
    result: Result | None
    error: EvalaidError | None


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


def outcome_of(making: Making, errors: Mapping[str, BaseException], result: Callable[[], Result]) -> Outcome[Result]:
    """Return what became of one study after all have run."""
    error = errors.get(making.spec.study)
    if error is None:
        return Outcome(making.spec.study, result(), None)
    return Outcome(making.spec.study, None, as_told(making.explain(error)))


def as_told(error: BaseException) -> EvalaidError:
    """Return the error of a study as one of the package: what the system refuses stops that study and no other."""
    if isinstance(error, EvalaidError):
        return error
    if isinstance(error, OSError):
        return StudyError(f"The report cannot be written: {refused_by_system(error)}. Make room, then run again.")
    raise error
