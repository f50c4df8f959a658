"""What stands before and after the notebooks of a study: reading what it is made from, and making the report.

Each step is a function of plain values, because it runs in a process of its own (`evalaid.running.processes.execution.call_apart`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalaid.report.exhibit_list import EXHIBITS_FILE, join_exhibits
from evalaid.report.report_folders import index_reports, write_report
from evalaid.running.crate import write_crate
from evalaid.study.manifest import NUMBERS_FILE, Manifest, hash_value, read_parts, write_manifest
from evalaid.study.sources import check_sources, data_faults, hash_data, hash_inputs, load_simulation
from evalaid.study.spec import StudySpec

SIMULATED_DATA = "data"


def prepare(study: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Check what a study names, and return the ``hashes`` of its data and the ``faults`` of data files against their records."""
    spec = StudySpec(study=study, **changes)
    check_sources(spec)
    hashes = hash_inputs(spec)
    return {"hashes": hashes, "faults": data_faults(hashes)}


def finish(
    study: str,
    changes: Mapping[str, Any],
    folder: str,
    hashes: Mapping[str, str],
    parts: str,
    sources: Sequence[str],
    outputs: Mapping[str, Sequence[str]],
) -> list[str]:
    """Write the simulated data, the numbers, the page and the crate of a study whose notebooks (``sources``) have run.

    Returns
    -------
    list of str
        The data files that changed since they were hashed; then nothing is written.
    """
    spec, work = StudySpec(study=study, **changes), Path(folder)
    after = hash_data(spec.data_files())  # simulated panels cannot change
    changed = [name for name in after if hashes[name] != after[name]]
    if changed:
        return changed
    join_exhibits(work, sorted(Path(parts).glob(f"*.{EXHIBITS_FILE}")))
    if spec.simulation:
        load_simulation(spec.simulation).write(work / SIMULATED_DATA)
    manifest = Manifest(
        study=spec.study,
        title=spec.title,
        data_kind=spec.data_kind,
        spec_hash=spec.hash(),
        data_hash=hash_value(dict(hashes)),
        data_files=dict(hashes),
        seed=spec.seed,
        numbers=read_parts(sorted(Path(parts).glob("*.json"))),
    )
    write_manifest(manifest, work / NUMBERS_FILE)
    write_report(spec, work, manifest)
    write_crate(spec, work, manifest, [Path(source) for source in sources], outputs)
    return []


def index() -> None:
    """Write the page that leads to all reports."""
    index_reports()
