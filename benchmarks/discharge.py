"""Time the counting of discharge records: rows a second, CPU seconds and peak memory, next to hand-written DuckDB SQL.

    python run.py bench records                          1 and 10 million made-up records
    python run.py bench records --millions 10 30 100     as many as you like; 100 million need about 5 GB of disk while it runs
    python run.py bench records --transfers              with transfers merged by pseudonym, too

Records are made by tests/records.py, with known answers, and deleted afterwards. Every measurement is a process of its own with
two threads and a memory limit of 1.5 GB for DuckDB; peak memory is that of the whole process, Python and its libraries included
(about 180 MB), from its start on.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

BY_HAND = """
SELECT residence AS home, year(discharge) * 4 + quarter(discharge) AS period,
    CASE WHEN discharge IS NULL THEN 7 WHEN admission > discharge THEN 9 WHEN county IS NULL THEN 1 WHEN county = residence THEN 0
        WHEN left(county, 2) = left(residence, 2) THEN 2 ELSE 3 END AS fate,
    count(*), min(discharge), max(discharge)
FROM '{folder}/*.parquet' LEFT JOIN hospitals USING (hospital) GROUP BY ALL
"""


def measure(kind: str, folder: Path) -> dict[str, Any]:
    """Count once in this process."""
    import duckdb
    import ibis
    from records import Recipe, answers, hospital_table

    from evalaid.reading.records.records import count_records

    ibis.duckdb.connect().disconnect()
    seats, recipe = hospital_table(Recipe()), Recipe(people=int((folder.parent / "people").read_text()))
    wall, cpu = time.perf_counter(), time.process_time()
    right = None
    if kind == "by hand":
        con = duckdb.connect(config={"threads": 2, "memory_limit": "1500MB", "preserve_insertion_order": "false"})
        con.register("seats", seats)
        con.execute("CREATE TABLE hospitals AS FROM seats")
        con.execute(BY_HAND.format(folder=folder)).fetchall()
    else:
        days = 1 if kind == "transfers merged" else None
        counts = count_records(
            folder, seats, base="residents", transfer_days=days, threads=2, scratch=folder.parent / "scratch"
        )
    row = {"kind": kind, "wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    row["peak_megabytes"] = peak_megabytes()
    if kind == "transfers merged":
        expected = answers(recipe)
        right = bool(counts.frame[expected.columns].equals(expected))
    return {**row, "known_answers_met": right}


def peak_megabytes() -> float:
    """Most memory of this process since it began.

    Linux keeps the largest resident size (ru_maxrss) over the start of another program: it would be that of the process that made
    the records. The high-water mark (VmHWM) begins anew.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: list[str]) -> None:
    """Make records, measure, print, delete."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", nargs="+", type=float, default=[1, 10])
    parser.add_argument("--transfers", action="store_true")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(measure(options.measure[0], Path(options.measure[1]))))
        return
    from records import RECORDS_A_PERSON, Recipe, write_records

    kinds = ["by hand", "counted", *(["transfers merged"] if options.transfers else [])]
    for millions in options.millions:
        with tempfile.TemporaryDirectory(prefix="evalaid-records-") as place:
            folder = Path(place) / "records"
            recipe = Recipe(people=int(millions * 1e6 / RECORDS_A_PERSON))
            for _ in write_records(recipe, folder):
                pass
            (folder.parent / "people").write_text(str(recipe.people))
            for kind in kinds:
                command = [sys.executable, str(Path(__file__)), "--measure", kind, str(folder)]
                row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
                met = {None: "", True: ", known answers met", False: ", KNOWN ANSWERS NOT MET"}[
                    row["known_answers_met"]
                ]
                print(
                    f"{millions:6g} million, {kind:17s} {row['wall_seconds']:7.1f} s, {row['cpu_seconds']:7.1f} CPU s, "
                    f"{row['peak_megabytes']:6.0f} MB{met}",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])
