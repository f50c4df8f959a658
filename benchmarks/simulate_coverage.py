"""Simulate how often each type of interval holds the effect, with few clusters and few treated ones among them.

    python run.py coverage                   simulate what is not there yet, then write docs/coverage.csv and docs/coverage.md
    python run.py coverage --families wild   some of the interval types (default: the default, with clusters of unequal sizes)
    python run.py coverage --table           only write the tables anew

The same seeded panels serve all interval types. Parts of 50 replications are kept in `reports/coverage/`, so that a run that was
stopped goes on where it was; about 25 minutes of one core in all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import threads  # noqa: F401  (before numpy)

# isort: split
import coverage_default
import coverage_real
import pandas as pd
from coverage_intervals import FAMILIES
from coverage_panels import SCENARIOS, Cell
from coverage_table import DIGITS, summarise, write

ROOT = Path(__file__).parents[1]
PARTS = ROOT / "reports" / "coverage"
CELLS = ((10, 3), (20, 3), (20, 6), (40, 3), (40, 6), (40, 20))
PART = 50


def simulate(family: str, cell: Cell, replications: range) -> pd.DataFrame:
    """Give one row an interval and replication."""
    found = (
        {"replication": r, **asdict(interval)} for r in replications for interval in FAMILIES[family].find(cell.draw(r))
    )
    return pd.DataFrame(found)


def plan(families: list[str]) -> Iterator[tuple[str, Cell, int, Path]]:
    """List the parts, a few replications of everything first."""
    most = max((FAMILIES[family].replications for family in families), default=0)
    for first in range(0, most, PART):
        for scenario in SCENARIOS:
            for size in CELLS:
                for family in families:
                    if first < FAMILIES[family].replications:
                        name = f"{family}-{scenario.replace(' ', '_')}-{size[0]}-{size[1]}-{first}.csv"
                        yield family, Cell(scenario, *size), first, PARTS / name


def run(families: list[str]) -> None:
    """Simulate the parts that are not there yet."""
    PARTS.mkdir(parents=True, exist_ok=True)
    parts = list(plan(families))
    for number, (family, cell, first, path) in enumerate(parts, 1):
        if path.exists():
            continue
        start = time.process_time()
        rows = simulate(family, cell, range(first, first + PART))
        partial = path.with_suffix(".partial")
        rows.to_csv(partial, index=False)
        partial.replace(path)
        print(f"{number}/{len(parts)} {path.stem}: {time.process_time() - start:.1f} s", flush=True)


def run_default() -> None:
    """Simulate the cells of the default that are not there yet."""
    PARTS.mkdir(parents=True, exist_ok=True)
    for scenario, size, path in plan_default():
        if not path.exists():
            partial = path.with_suffix(".partial")
            coverage_default.simulate(scenario, *size).to_csv(partial, index=False)
            partial.replace(path)
            print(path.stem, flush=True)


def run_real() -> None:
    """Simulate the designs of the studies on real data that are not there yet."""
    PARTS.mkdir(parents=True, exist_ok=True)
    for study, path in plan_real():
        if not path.exists():
            partial = path.with_suffix(".partial")
            coverage_real.simulate(study).to_csv(partial, index=False)
            partial.replace(path)
            print(path.stem, flush=True)


def plan_real() -> Iterator[tuple[str, Path]]:
    """List the designs of the studies on real data."""
    for study in coverage_real.STUDIES:
        yield study, PARTS / f"real-{study}.csv"


def plan_default() -> Iterator[tuple[str, tuple[int, int], Path]]:
    """List the cells of the default."""
    for scenario in coverage_default.SCENARIOS:
        for size in coverage_default.SIZES:
            yield scenario, size, PARTS / f"default-{scenario.replace(' ', '_')}-{size[0]}-{size[1]}.csv"


def gather_parts(paths: Iterable[Path]) -> pd.DataFrame | None:
    """Read the parts that are there; None when none is."""
    found = [pd.read_csv(path) for path in paths if path.exists()]
    return pd.concat(found).round(DIGITS) if found else None


def gather() -> pd.DataFrame | None:
    """Read all parts that are there and summarise them; None when none is."""
    found = []
    for family in FAMILIES:
        for _, cell, _, path in plan([family]):
            if path.exists():
                keys = {"scenario": cell.scenario, "n_clusters": cell.n_clusters, "n_treated": cell.n_treated}
                found.append(pd.read_csv(path).assign(**keys, family=family))
    return summarise(pd.concat(found)) if found else None


def main() -> None:
    """Read the options, simulate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [*FAMILIES, "default", "real"]
    parser.add_argument("--families", nargs="+", choices=every, default=every)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if not options.table:
        run([family for family in options.families if family in FAMILIES])
        if "default" in options.families:
            run_default()
        if "real" in options.families:
            run_real()
    default, real = gather_parts(path for *_, path in plan_default()), gather_parts(path for _, path in plan_real())
    found = gather()
    if found is None and default is None and real is None:
        raise SystemExit("reports/coverage/ is empty: run `python run.py coverage` first.")
    write(found, default, real, ROOT / "docs")


if __name__ == "__main__":
    main()
