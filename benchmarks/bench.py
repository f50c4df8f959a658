"""Time every estimator on simulated panels, next to the peers that are installed, in one process.

    python run.py bench                      small, medium and large panel
    python run.py bench --sizes S M          some of them
    python run.py bench --repeat 9           more repetitions (default 5)
    python run.py bench records              discharge records instead (benchmarks/discharge.py)
    python run.py bench runs                 runs of notebooks instead, against papermill (benchmarks/notebook_runs.py)

Each task is run once to warm up, then `--repeat` times (fewer when one run takes seconds); the table shows the median of CPU
seconds of all threads and the peak of memory that numpy and Python allocate in one more run. Linear algebra uses one thread.
A task starts from the frame (validation included) and ends with the table of estimates and errors. Peers are measured on the
same frame in the same process: `pip install pyfixest diff-diff csdid moderndid` into `.venv` to see them. A peer that would need more
than a minute or 8 GB at a size, judged by the size before, is left out and named; one that takes longer than two
minutes of the clock all the same is stopped. R is measured when Rscript is on PATH; when it is not, the last lines say so. Writes `reports/bench.json` and
`reports/bench.png`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import platform
import signal
import statistics
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import discharge
import notebook_runs
import threads
from peers import NO_PEER, PEERS, installed, measure_r, peer_tasks
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from targets import judge, plot
from tasks import SIZES, Task, our_tasks, simulated_panel

SECONDS, MEGABYTES = 60, 8_000
ENOUGH = 5
# All runs of one peer together may take this many seconds of the clock.
PATIENCE = 120
Row = dict[str, Any]


def measure(task: Task, repeat: int) -> Row:
    """Give the median CPU seconds of some runs after a warm-up, and the extra peak memory of one more."""
    start = time.process_time()
    task()
    first = time.process_time() - start
    seconds = []
    for _ in range(max(1, min(repeat, int(ENOUGH / max(first, 1e-9)))) if first < ENOUGH else 0):
        start = time.process_time()
        task()
        seconds.append(time.process_time() - start)
    row: Row = {"cpu_seconds": statistics.median(seconds or [first]), "runs": len(seconds) or 1}
    if first < ENOUGH:
        tracemalloc.start()
        task()
        row["peak_megabytes"] = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
    return row


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Stop what takes longer (0: never), where the system has a timer for that (not on Windows)."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError(f"stopped after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def foreseen(rows: list[Row], who: str, name: str, observations: int) -> str:
    """Say why a peer is left out at this size, from what it needed on the largest panel before; "" when it is not."""
    before = [row for row in rows if (row["library"], row["task"]) == (who, name)]
    if not before or "cpu_seconds" not in before[-1]:
        return "left out: failed or left out on a smaller panel" if before else ""
    units, periods = SIZES[before[-1]["panel"]]
    growth = observations / (units * periods)
    seconds = before[-1]["cpu_seconds"] * growth
    megabytes = before[-1].get("peak_megabytes", 0) * growth
    if seconds > SECONDS or megabytes > MEGABYTES:
        return (
            f"left out: about {seconds:.0f} s and {megabytes / 1000:.0f} GB by its needs on panel {before[-1]['panel']}"
        )
    return ""


def compare(sizes: list[str], repeat: int, console: Console) -> tuple[list[Row], set[str]]:
    """Measure all tasks on the named panels; ours and the peers' one after the other."""
    rows: list[Row] = []
    sentences = set()
    for size in sizes:
        frame = simulated_panel(*SIZES[size])
        peers = peer_tasks(frame)
        in_r, sentence = measure_r(frame, repeat, SECONDS)
        sentences |= {sentence} - {""}
        for name, ours in our_tasks(size, frame).items():
            candidates = {"evalaid": ours} | {peer: tasks[name] for peer, tasks in peers.items() if name in tasks}
            for who, task in candidates.items():
                row: Row = {"panel": size, "task": name, "library": who}
                silent = contextlib.redirect_stdout(io.StringIO())  # csdid prints its tables
                with console.status(f"{size}: {name} ({who})"), warnings.catch_warnings(), silent:
                    warnings.simplefilter("ignore")
                    reason = "" if who == "evalaid" else foreseen(rows, who, name, len(frame))
                    try:
                        with at_most(PATIENCE if who != "evalaid" else 0):
                            row |= {"failed": reason} if reason else measure(task, repeat)
                    except Exception as error:
                        if who == "evalaid":
                            raise
                        tracemalloc.stop()
                        row["failed"] = f"{type(error).__name__}: {error}".split("\n")[0][:160]
                rows.append(row)
            rows += [{"panel": size, **row} for row in in_r if row["task"] == name]
            if not any(row["library"] != "evalaid" for row in rows if (row["panel"], row["task"]) == (size, name)):
                rows.append(
                    {"panel": size, "task": name, "library": "", "failed": NO_PEER.get(name, "no peer installed")}
                )
    return rows, sentences


def ratios(rows: list[Row]) -> list[Row]:
    """List for each panel, task and peer how many times our CPU seconds it took."""
    ours = {(row["panel"], row["task"]): row["cpu_seconds"] for row in rows if row["library"] == "evalaid"}
    return [
        {
            "panel": row["panel"], "task": row["task"], "library": row["library"],
            "times_ours": row["cpu_seconds"] / ours[row["panel"], row["task"]],
        }
        for row in rows
        if "cpu_seconds" in row and row["library"] != "evalaid"
    ]  # fmt: skip


def processor() -> str:
    """Give the name of the processor, as Linux and macOS tell it, else its family."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=True, timeout=5
        )
        return told.stdout.strip()
    return platform.processor() or platform.machine()


def show(rows: list[Row], console: Console) -> None:
    """Print the measurements with each peer's ratio to ours."""
    table = Table("panel", "task", "library", "CPU seconds", "peak MB", "times ours", title="Simulated panels")
    ours = {(row["panel"], row["task"]): row for row in rows if row["library"] == "evalaid"}
    for row in rows:
        where = (row["panel"], row["task"], row["library"])
        if "failed" in row:
            table.add_row(*where, row["failed"], "", "")
            continue
        ratio = row["cpu_seconds"] / ours[row["panel"], row["task"]]["cpu_seconds"]
        memory = f"{row['peak_megabytes']:.0f}" if "peak_megabytes" in row else ""
        table.add_row(
            *where, f"{row['cpu_seconds']:.4f}", memory, "" if row["library"] == "evalaid" else f"{ratio:.1f}"
        )
    console.print(table)


def main() -> None:
    """Parse the command line, measure, print and write ``reports/bench.json`` and ``reports/bench.png``."""
    if sys.argv[1:2] == ["records"]:
        discharge.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["runs"]:
        notebook_runs.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "reports" / "bench.json")
    options = parser.parse_args()
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 140)
    panels = ", ".join(f"{name} = {units:,} units x {periods}" for name, (units, periods) in SIZES.items())
    console.print(f"Panels (simulated): {panels}. Median of {options.repeat} runs after a warm-up.")
    sizes = [size for size in SIZES if size in options.sizes]
    rows, sentences = compare(sizes, options.repeat, console)
    show(rows, console)
    judged = judge(rows)
    verdicts = Table("panel", "target", "found", "met", title="Targets")
    for verdict in judged:
        verdicts.add_row(verdict["panel"], verdict["target"], verdict["found"], verdict["met"])
    console.print(verdicts)
    missing = [name for name in PEERS if name not in installed()]
    if missing:
        sentences.add(f"Not installed: not measured: {', '.join(missing)}.")
    met = Counter(verdict["met"] for verdict in judged)
    console.print(f"Targets: {', '.join(f'{count} {word}' for word, count in sorted(met.items()))}.")
    for sentence in sorted(sentences):
        console.print(Panel(sentence, style="bold"))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    caption = plot(rows, options.output.with_suffix(".png"))
    document = {
        "processor": processor(),
        "versions": {name: version(name) for name in ("numpy", "scipy", "pandas", *installed())},
        "threads": threads.THREADS,
        "panels": panels,
        "not_measured": sorted(sentences),
        "caption": caption,
        "rows": rows,
        "ratios": ratios(rows),
        "targets": judged,
    }
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
