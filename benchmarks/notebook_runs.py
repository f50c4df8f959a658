"""Time parameterised runs of a notebook: evalaid's engine, side by side, against the `papermill` command, one after the other.

    python run.py bench runs                                   twelve runs of 1_claims
    python run.py bench runs --notebook 2_design --runs 4      another notebook, which computes more
    python run.py bench runs --study tibet_cluster --jobs 4    another study, more processes

Both execute the same notebook with the same parameters (the study, and a level of its own for each run) in a project of its
own. CPU seconds are those of all processes; the kernels are counted with the command that started them. Writes
`reports/bench_runs.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
TARGETS = {"cpu": 6.0, "wall": 8.0}
OURS, THEIRS = "evalaid, side by side", "papermill, in sequence"


def measure(commands: list[list[str]], folder: Path) -> dict[str, float]:
    """Run commands one after the other and return their wall and CPU seconds, all processes below them included."""
    start, cpu = time.monotonic(), 0.0
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    for command in commands:
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                raise SystemExit(f"{' '.join(command)} failed:\n{said.read().decode('utf-8', 'replace')[-2000:]}")
        cpu += used.ru_utime + used.ru_stime
    return {"cpu": cpu, "wall": time.monotonic() - start}


def run_ours(study: str, notebook: str, levels: list[float], jobs: int) -> None:
    """Execute a notebook once for each level, as ``evalaid run`` executes those of its studies."""
    from evalaid.running.processes.execution import Halt, call_apart, execute_notebook, warm_up

    warm_up()
    from evalaid.running.graph import Task, run_tasks
    from evalaid.study.reports import HASHES, PARTS
    from evalaid.study.spec import StudySpec

    arguments = {"study": study, "changes": {}}
    hashes = call_apart("evalaid.running.steps:prepare", arguments, Halt())["hashes"]  # once for all, as in a run

    def work(level: float) -> None:
        folder = Path("made") / f"{level}"
        (folder / PARTS).mkdir(parents=True)
        (folder / PARTS / HASHES).write_text(json.dumps(hashes), encoding="utf-8")
        execute_notebook(Path("notebooks") / f"{notebook}.ipynb", folder, StudySpec(study=study, level=level), _silent)

    errors = run_tasks([Task(str(level), lambda level=level: work(level)) for level in levels], jobs, lambda _: None)
    for error in errors.values():
        raise error


def _silent(*_: Any) -> None:
    pass


def main(arguments: list[str]) -> None:
    """Parse the command line, measure both, print and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="liannan_trusteeship")
    parser.add_argument("--notebook", default="1_claims")
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, default=ROOT / "reports" / "bench_runs.json")
    parser.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    levels = [round(0.80 + 0.01 * number, 2) for number in range(options.runs)]
    if options.ours:
        run_ours(options.study, options.notebook, levels, options.jobs)
        return
    here = [sys.executable, __file__, "--ours"]  # by itself: what the other benchmarks import is no part of a run
    chosen = ["--study", options.study, "--notebook", options.notebook, "--runs", str(options.runs)]
    theirs = [
        [sys.executable, "-m", "papermill", f"notebooks/{options.notebook}.ipynb", f"made/papermill_{level}.ipynb",
         "-k", "python3", "-p", "study", options.study, "-p", "level", str(level)]
        for level in levels
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        for name in ("notebooks", "data"):
            shutil.copytree(ROOT / name, project / name)
        (project / "made").mkdir()
        found = {
            OURS: measure([[*here, *chosen, "--jobs", str(options.jobs)]], project),
            THEIRS: measure(theirs, project),
        }
    ratios = {name: found[THEIRS][name] / found[OURS][name] for name in TARGETS}
    table = Table(
        "", "CPU seconds", "wall seconds", title=f"{options.runs} runs of {options.notebook} ({options.study})"
    )
    for name, seconds in found.items():
        table.add_row(name, f"{seconds['cpu']:.1f}", f"{seconds['wall']:.1f}")
    table.add_row("ratio", f"{ratios['cpu']:.1f}", f"{ratios['wall']:.1f}")
    table.add_row(
        "target", *(f"{TARGETS[name]:g} {'met' if ratios[name] >= TARGETS[name] else 'not met'}" for name in TARGETS)
    )
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    document = {**vars(options), "output": options.output.name, "seconds": found, "ratios": ratios, "targets": TARGETS}
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
