"""Time every estimator on simulated panels, next to the peers that are installed, in one process.

    python run.py bench                      small, medium and large panel
    python run.py bench --sizes S M          some of them
    python run.py bench --repeat 9           more repetitions (default 5)

Each task is run once to warm up, then `--repeat` times; the table shows the median of CPU seconds and the extra peak
memory of one more run. A task starts from the frame (validation included) and ends with the table of estimates and errors.
Peers are measured on the same frame in the same process: `pip install pyfixest diff-diff` into `.venv` to see them. Writes
`reports/bench.json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import tracemalloc
import warnings
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

import evalaid as ea

SIZES = {"S": (57, 24), "M": (2_800, 40), "L": (100_000, 20)}
SEED = 20_261_122
Task = Callable[[], object]


def simulated_panel(n_units: int, n_periods: int) -> pd.DataFrame:
    """Simulate a panel with six cohorts, never-treated units and one baseline covariate."""
    rng = np.random.default_rng(SEED)
    starts = np.linspace(3, n_periods - 2, 6).round()
    cohort = np.array([*starts, np.nan, np.nan])[rng.integers(0, 8, n_units)]
    unit, period = np.divmod(np.arange(n_units * n_periods), n_periods)
    x = rng.normal(size=n_units)
    noise = rng.normal(size=n_units)[unit] + rng.normal(size=unit.size)
    outcome = noise + 0.1 * period + 0.3 * x[unit] * period / n_periods + 0.5 * (period + 1 >= cohort[unit])
    return pd.DataFrame({"unit": unit, "period": period + 1, "y": outcome, "cohort": cohort[unit], "x": x[unit]})


def our_tasks(frame: pd.DataFrame) -> dict[str, Task]:
    """Give our tasks: frame in, table of estimates and errors out."""

    def run(method: str, by: str | None = None, covariates: tuple[str, ...] = (), **options: str) -> Task:
        def task() -> object:
            design = ea.diagnose(frame, "unit", "period", "y", "cohort", covariates=covariates)
            effects = ea.estimate(design, method, **options)
            return ea.infer(effects.aggregate(by) if by else effects, vcov="reference")  # type: ignore[arg-type]

        return task

    santanna = {"method": "callaway_santanna", "by": "event_time"}
    return {
        "diagnose": lambda: ea.diagnose(frame, "unit", "period", "y", "cohort", covariates=("x",)),
        "two by two": run("two_by_two", "overall"),
        "two-way fixed effects": run("twfe"),
        "event study": run("event_study"),
        "Callaway-Sant'Anna": run(**santanna, comparison="never_treated"),
        "Callaway-Sant'Anna, regression": run(
            **santanna, covariates=("x",), adjustment="regression", comparison="never_treated"
        ),
        "Callaway-Sant'Anna, doubly robust": run(**santanna, covariates=("x",), comparison="never_treated"),
        "Callaway-Sant'Anna, doubly robust, not yet treated": run(**santanna, covariates=("x",)),
        "imputation, by event time": run("imputation", "event_time"),
    }


def peer_tasks(frame: pd.DataFrame) -> dict[str, dict[str, Task]]:
    """Give the tasks of the installed peers, by the name of our task."""
    coded = frame.assign(
        g=frame["cohort"].fillna(0).astype(int),
        treated=(frame["period"] >= frame["cohort"]).astype(int),
        relative=(frame["period"] - frame["cohort"]).fillna(-1000).astype(int),
    )
    found: dict[str, dict[str, Task]] = {}
    if find_spec("pyfixest"):
        import pyfixest

        def feols(formula: str) -> Task:
            return lambda: pyfixest.feols(formula, coded, vcov={"CRV1": "unit"}, lean=True).tidy()

        found["pyfixest"] = {
            "two-way fixed effects": feols("y ~ treated | unit + period"),
            "event study": feols("y ~ i(relative, ref=-1) | unit + period"),
        }
    if find_spec("diff_diff"):
        import diff_diff

        def santanna(group: str, kind: str, covariates: list[str] | None) -> Task:
            return lambda: diff_diff.CallawaySantAnna(control_group=group, estimation_method=kind).fit(
                coded, "y", "unit", "period", "g", covariates=covariates, aggregate="event_study"
            )

        found["diff-diff"] = {
            "Callaway-Sant'Anna": santanna("never_treated", "reg", None),
            "Callaway-Sant'Anna, regression": santanna("never_treated", "reg", ["x"]),
            "Callaway-Sant'Anna, doubly robust": santanna("never_treated", "dr", ["x"]),
            "Callaway-Sant'Anna, doubly robust, not yet treated": santanna("not_yet_treated", "dr", ["x"]),
            "imputation, by event time": lambda: diff_diff.ImputationDiD().fit(
                coded, "y", "unit", "period", "g", aggregate="event_study"
            ),
        }
    return found


def measure(task: Task, repeat: int) -> dict[str, float]:
    """Give the median CPU seconds of ``repeat`` runs after a warm-up, and the extra peak memory of one more."""
    task()
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        task()
        seconds.append(time.process_time() - start)
    tracemalloc.start()
    task()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"cpu_seconds": statistics.median(seconds), "peak_megabytes": peak / 1e6}


def compare(sizes: list[str], repeat: int, console: Console) -> list[dict[str, object]]:
    """Measure all tasks on the named panels; ours and the peers' one after the other."""
    rows: list[dict[str, object]] = []
    for size in sizes:
        frame = simulated_panel(*SIZES[size])
        peers = peer_tasks(frame)
        for name, ours in our_tasks(frame).items():
            candidates = {"evalaid": ours} | {peer: tasks[name] for peer, tasks in peers.items() if name in tasks}
            for who, task in candidates.items():
                with console.status(f"{size}: {name} ({who})"), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        measured: dict[str, object] = dict(measure(task, repeat))
                    except Exception as error:
                        if who == "evalaid":
                            raise
                        measured = {"failed": f"{type(error).__name__}: {error}"[:200]}
                rows.append({"panel": size, "task": name, "library": who, **measured})
    return rows


def show(rows: list[dict[str, object]], console: Console) -> None:
    """Print the measurements with each peer's ratio to ours."""
    table = Table("panel", "task", "library", "CPU seconds", "peak MB", "times ours", title="Simulated panels")
    ours = {(row["panel"], row["task"]): row for row in rows if row["library"] == "evalaid"}
    for row in rows:
        if "failed" in row:
            table.add_row(str(row["panel"]), str(row["task"]), str(row["library"]), str(row["failed"]), "", "")
            continue
        base = float(ours[row["panel"], row["task"]]["cpu_seconds"])  # type: ignore[arg-type]
        seconds = float(row["cpu_seconds"])  # type: ignore[arg-type]
        ratio = "" if row["library"] == "evalaid" else f"{seconds / base:.1f}"
        memory = f"{row['peak_megabytes']:.0f}"
        table.add_row(str(row["panel"]), str(row["task"]), str(row["library"]), f"{seconds:.4f}", memory, ratio)
    console.print(table)


def main() -> None:
    """Parse the command line, measure, print and write ``reports/bench.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "reports" / "bench.json")
    options = parser.parse_args()
    console = Console()
    panels = ", ".join(f"{name} = {units:,} units x {periods}" for name, (units, periods) in SIZES.items())
    console.print(f"Panels (simulated): {panels}. Median of {options.repeat} runs after a warm-up.")
    rows = compare(options.sizes, options.repeat, console)
    show(rows, console)
    installed = [name for name in ("pyfixest", "diff-diff") if find_spec(name.replace("-", "_"))]
    missing = [name for name in ("pyfixest", "diff-diff") if name not in installed]
    if missing:
        console.print(f"Not installed, so not compared: {', '.join(missing)}.")
    versions = {name: version(name) for name in ("numpy", "scipy", "pandas", *installed)}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
