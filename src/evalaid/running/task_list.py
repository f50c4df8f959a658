"""Runs as a numbered list: each is one command, can be repeated without harm, and needs no other.

For a cluster whose machines see the same folder: a job array runs task N on machine N, a Dask cluster takes tasks as workers are
free. A task that is interrupted is run again and goes on where it was; one that is done does nothing.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from evalaid.base.errors import StudyError
from evalaid.base.files import need_file
from evalaid.base.project import list_studies, project_root
from evalaid.base.shared_out import SCHEDULER
from evalaid.running.processes.mortal import die_with

SLURM = """\
#!/bin/sh
#SBATCH --job-name=evalaid
#SBATCH --array=1-{count}
#SBATCH --cpus-per-task=1
#SBATCH --mem=2G
#SBATCH --time=01:00:00
#SBATCH --requeue
# One study per element of the array. An element that is run again goes on where it was, so none depends on another.
# Afterwards, once: {python} -m evalaid run    (the synthesis and the index; what is done is left as it is)
cd {root} || exit 2
exec {python} -m evalaid task "$SLURM_ARRAY_TASK_ID"{file}
"""


@dataclass(frozen=True)
class ListedRun:
    """One run: its number from 1, and the arguments of ``evalaid run``."""

    number: int
    arguments: tuple[str, ...]

    def text(self) -> str:
        """Return the run as a command."""
        return f"{self.number}\t{shlex.join(self.arguments)}"


def list_runs(file: Path | None = None) -> list[ListedRun]:
    """Return the runs of a file, one per line (``STUDY -p KEY=VALUE ...``; ``#`` begins a comment), or of all studies.

    Raises
    ------
    StudyError
        If the file cannot be read, or a line is no run.
    """
    if file is None:
        return [ListedRun(number, (study,)) for number, study in enumerate(list_studies(), start=1)]
    try:
        lines = need_file(file, file.name).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(
            f"{file.name} cannot be read: {getattr(error, 'strerror', None) or 'it is no UTF-8 text'}."
        ) from None
    runs: list[ListedRun] = []
    for place, line in enumerate(lines, start=1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise StudyError(f"{file.name}, line {place}: {error}. Write: STUDY -p KEY=VALUE ...") from None
        if words and words[0].startswith("-"):
            raise StudyError(f"{file.name}, line {place} begins with '{words[0]}'. Write: STUDY -p KEY=VALUE ...")
        if words:
            runs.append(ListedRun(len(runs) + 1, tuple(words)))
    if not runs:
        raise StudyError(f"{file.name} lists no run. Write one per line: STUDY -p KEY=VALUE ...")
    return runs


def pick_run(number: int, file: Path | None = None) -> ListedRun:
    """Return one run of the list.

    Raises
    ------
    StudyError
        If there is none of that number.
    """
    runs = list_runs(file)
    if not 1 <= number <= len(runs):
        raise StudyError(f"There is no task {number}: the tasks are 1 to {len(runs)} (evalaid tasks).")
    return runs[number - 1]


def write_slurm(file: Path | None = None) -> str:
    """Return the script of a job array that runs every task of the list."""
    python, root = shlex.quote(sys.executable), shlex.quote(str(project_root()))
    listed = f" --file {shlex.quote(str(file.resolve()))}" if file else ""
    return SLURM.format(count=len(list_runs(file)), python=python, root=root, file=listed)


def carry_out_run(arguments: Sequence[str], root: str, scheduler: str = "") -> tuple[int, str]:
    """Carry out one run in a process of its own and return its exit code and what it said; repeated, it does nothing twice.

    On a worker of the cluster with this ``scheduler`` it leaves its place to the parts that the run shares out, and ends with the
    worker.
    """
    environment = {**os.environ, SCHEDULER: scheduler}
    if scheduler:
        from distributed import secede

        secede()
    command = [sys.executable, "-m", "evalaid", "run", *arguments, "--alone", "--jobs", "1"]
    done = subprocess.run(  # noqa: S603 (our own command)
        command, cwd=root, env=environment, capture_output=True, text=True, encoding="utf-8", errors="replace",
        check=False, preexec_fn=partial(die_with, os.getpid()) if sys.platform.startswith("linux") else None,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def run_on_dask(runs: Sequence[ListedRun], scheduler: str) -> list[tuple[ListedRun, int, str]]:
    """Carry out runs on the workers of a Dask cluster that see the project's folder; a run whose worker dies is repeated.

    As many runs are at work as the workers have threads; what their notebooks share out (`evalaid.base.shared_out`) goes to the
    same workers.

    Raises
    ------
    StudyError
        If ``distributed`` is not installed or the scheduler does not answer.
    """
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise StudyError("--executor dask needs the package distributed: pip install 'evalaid[dask]'.") from None
    try:
        client = Client(scheduler, timeout="30s")
    except (OSError, ValueError) as error:  # nobody is there, or it is no address
        raise StudyError(f"No Dask scheduler answers at {scheduler}: {error}.") from None
    root = str(project_root())
    results, waiting = {}, list(reversed(runs))

    def submit() -> Any:
        run = waiting.pop()
        address = client.scheduler.address
        future = client.submit(
            carry_out_run, run.arguments, root, address, key=f"evalaid-{run.number}", pure=False, retries=3
        )
        at_work[future] = run
        return future

    with client:
        at_work: dict[Any, ListedRun] = {}
        places = max(1, sum(client.nthreads().values()))
        queue = as_completed([submit() for _ in range(min(places, len(waiting)))])
        for future in queue:
            try:
                results[at_work[future]] = future.result()
            except Exception as error:  # noqa: BLE001 (what a cluster does to a task is told as that task's failure)
                results[at_work[future]] = (2, f"{type(error).__name__}: {error}")
            if waiting:
                queue.add(submit())
    return [(run, *results[run]) for run in runs]
