"""Many studies at once: their notebooks are one list of tasks, and as many run side by side as there are processors.

A study that fails does not stop the others; an interruption ends the notebooks that run and keeps the reports of the studies
that are finished.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evalaid.base.errors import EvalaidError
from evalaid.base.project import OWN, PROJECT, REPORTS, list_studies, project_root
from evalaid.running.checked.expected import expected_file, read_expected
from evalaid.running.checked.repeat import repeat_studies
from evalaid.running.checked.verify import Verification, compare_run, remake
from evalaid.running.kept.freshness import find_synthesis, is_up_to_date
from evalaid.running.notebooks import Making, StudyRun
from evalaid.running.processes.execution import Halt, Tell, call_apart
from evalaid.running.side_by_side import Outcome, outcome_of, run_makings
from evalaid.study.manifest import NUMBERS_FILE
from evalaid.study.spec import StudySpec


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
    return [outcome_of(making, errors, making.result) for making in makings]


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
            *(outcome_of(making, errors, partial(_compare, making)) for making in makings),
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


def run_batch(
    specs: Sequence[StudySpec], synthesis: str | None, *, tell: Tell, **options: Any
) -> list[Outcome[StudyRun]]:
    """Run studies, then the synthesis, if it is asked for, all numbers are there, and it is not up to date.

    ``options`` as in `run_studies`; all studies made ``fresh`` take the synthesis with them.
    """
    outcomes = run_studies(specs, tell=tell, **options)
    anew = options["fresh"] and {spec.study for spec in specs} >= set(list_studies(PROJECT))
    if synthesis and not list_missing() and (anew or not is_up_to_date(synthesis)):
        following, unread = load_studies([synthesis], {})
        outcomes += [*unread, *run_studies(following, tell=tell, **{**options, "only": None})]
    return outcomes


def write_index() -> None:
    """Write the page that leads to all reports, where what it takes is imported already."""
    call_apart("evalaid.running.steps:index", {}, Halt())


def verify_batch(
    names: Sequence[str], *, by_bytes: bool, jobs: int | None, tell: Tell
) -> tuple[list[Outcome[Any]], list[str]]:
    """Verify studies by name, or all and the synthesis; return the outcomes, and why others were left out."""
    new = [] if names or by_bytes else [name for name in list_studies(OWN) if not expected_file(name).is_file()]
    left_out = [
        f"{name}: no expected numbers yet: run it, look at its report, then: evalaid accept {name}" for name in new
    ]
    synthesis, missing = (None if names else find_synthesis()), list_missing()
    chosen = [name for name in names or list_studies() if name not in new]
    if synthesis and missing:
        left_out.append(f"{synthesis}: not verified, because there are no reports of {', '.join(missing)}: evalaid run")
    elif synthesis:
        chosen.append(synthesis)
    specs, outcomes = load_studies(chosen, {})
    verify: Any = repeat_studies if by_bytes else verify_studies
    return [*outcomes, *verify(specs, jobs=jobs, tell=tell)], left_out


def load_studies(names: Sequence[str], changes: Mapping[str, Any]) -> tuple[list[StudySpec], list[Outcome[Any]]]:
    """Load studies, and return those that can be run and the outcomes of those that cannot: one stops none of the others."""
    specs: list[StudySpec] = []
    unread: list[Outcome[Any]] = []
    for name in names:
        try:
            specs.append(StudySpec(study=name).change(changes))
        except EvalaidError as error:
            unread.append(Outcome(name, None, error))
    return specs, unread


def list_missing() -> list[str]:
    """Return the project's studies without numbers: the synthesis needs those of all."""
    return [name for name in list_studies(PROJECT) if not has_numbers(name)]


def has_numbers(name: str) -> bool:
    """Return whether a study was run, so that the synthesis can use its numbers."""
    return (project_root() / REPORTS / name / NUMBERS_FILE).is_file()
