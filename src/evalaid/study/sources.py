"""What a study is made from: its files and its simulated panels, each read or made once, hashed, and held against the records.

The data files are only read. A run holds their hashes, before and after, against those that the nearest ``datapackage.json``
above each of them records.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from evalaid.base.errors import DAMAGED, EvalaidError, StudyError
from evalaid.base.project import LAYOUTS, PUBLISHED, PUBLISHED_FILES, REPORTS, project_root
from evalaid.base.texts import noun
from evalaid.evidence.claims.published_claims import Claims
from evalaid.reading.journal.layouts import FileLayout
from evalaid.reading.rosters.rosters import Partnerships, read_partnerships
from evalaid.reading.tables.tables import Reading, read_table
from evalaid.reading.tables.tidy import read_tidy
from evalaid.simulate.generators import simulate
from evalaid.simulate.recovery.trials import choose_trials
from evalaid.simulate.simulated_panel import LABEL, SimulatedPanel
from evalaid.study.manifest import NUMBERS_FILE, hash_file, hash_value, read_manifest
from evalaid.study.spec import StudySpec

DATA_PACKAGE = Path("data") / "datapackage.json"
_TIDY = FileLayout(tidy=True)


def load_simulation(simulation: Mapping[str, Any]) -> SimulatedPanel:
    """Make the simulated panel of a study; the same parameters give the same panel.

    Parameters
    ----------
    simulation : mapping
        ``generator``, ``seed`` and what the generator takes.

    Returns
    -------
    SimulatedPanel

    Raises
    ------
    SimulationError
        For an unknown generator or parameter, and for effects that the published figures rule out.

    Examples
    --------
    >>> load_simulation({"generator": "xinjiang", "seed": 1, "effect_pp": 4.0}).label
    'simulated'
    """
    return _simulate(json.dumps(dict(simulation), sort_keys=True))


def check_sources(spec: StudySpec) -> None:
    """Hold what a study names against what exists, before anything runs: generators, their columns, programmes, trials.

    Raises
    ------
    StudyError
        With all faults at once.
    """
    faults = []
    for simulation in spec.simulations():
        try:
            panel = load_simulation(simulation)
            need_columns(panel.frame, simulated_name(simulation), [spec.unit, spec.period, spec.outcome])
        except EvalaidError as error:
            faults.append(str(error))
    if spec.recovery:
        try:
            choose_trials(str(spec.simulation["generator"]), spec.recovery.methods)
        except EvalaidError as error:
            faults.append(f"recovery.methods: {error}")
    if spec.claims is not None:
        try:
            read_claims().of(spec.claims)
        except EvalaidError as error:
            faults.append(f"claims: {error}")
    if faults:
        raise StudyError(f"The study '{spec.study}' cannot be run: " + " ".join(faults))


def hash_inputs(spec: StudySpec) -> dict[str, str]:
    """Return the sha256 of what a study reads: its data files, and the content of its simulated panels.

    A simulated panel is hashed as csv with nine significant digits, so that the last digits of another processor's
    arithmetic leave the hash alone.
    """
    hashes = hash_data(spec.data_files())
    for simulation in spec.simulations():
        text = load_simulation(simulation).frame.to_csv(index=False, float_format="%.9g", lineterminator="\n")
        hashes[simulated_name(simulation)] = hashlib.sha256(text.encode("utf-8")).hexdigest()
    return hashes


def simulated_name(simulation: Mapping[str, Any]) -> str:
    """Return what a simulated panel is called among the data files: its generator and parameters."""
    given = ", ".join(f"{name}={value}" for name, value in sorted(simulation.items()) if name != "generator")
    return f"{LABEL} {simulation.get('generator')}({given})"


def hash_data(files: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of data files, by their path relative to the project.

    Raises
    ------
    StudyError
        If a file is missing.
    """
    root = project_root()
    files = list(files)
    missing = [name for name in files if not (root / name).is_file()]
    if missing:
        raise StudyError(
            f"{noun(len(missing), 'Data file')} not found: {', '.join(missing)}. Restore them or correct the study's file."
        )
    return {
        name: _hash_numbers(root / name) if name.endswith(NUMBERS_FILE) else hash_file(root / name) for name in files
    }


def _hash_numbers(path: Path) -> str:
    """Hash reported numbers by key and value, with nine significant digits: another processor's last digits do not count."""
    numbers = read_manifest(path).numbers
    return hash_value({key: None if one.value is None else f"{float(one.value):.9g}" for key, one in numbers.items()})


def data_faults(hashes: Mapping[str, str]) -> list[str]:
    """Hold the hashes of data files against the data package that is nearest above each, and name each file that differs.

    That is ``data/datapackage.json``, or that of a study's own folder of data. A file that its data package does not list is a
    fault, too: data without a recorded hash cannot be verified.
    """
    faults = []
    packages: dict[Path, dict[str, str]] = {}
    for name, digest in hashes.items():
        if name.startswith((LABEL, REPORTS.as_posix(), LAYOUTS.as_posix())):  # made by a run, or a choice: not raw data
            continue
        path = _data_package(name)
        if path not in packages:
            packages[path] = _recorded_hashes(path)
        recorded, package = packages[path].get(name), path.as_posix()
        if not (project_root() / path).is_file():
            faults.append(f"{package} is missing: there is no recorded hash to hold {name} against")
        elif recorded is None:
            faults.append(f"{name} is not listed in {package}")
        elif digest != recorded:
            faults.append(f"{name} has changed: sha256 {digest[:12]}... where {package} records {recorded[:12]}...")
    return faults


def _data_package(name: str) -> Path:
    """Find the data package that records a file: the nearest above it, else that of all data."""
    for folder in Path(name).parents:
        if folder.parts and (project_root() / folder / DATA_PACKAGE.name).is_file():
            return folder / DATA_PACKAGE.name
    return DATA_PACKAGE


def _recorded_hashes(path: Path) -> dict[str, str]:
    """Read the hashes that a data package records, by the files' paths relative to the project."""
    if not (project_root() / path).is_file():
        return {}
    try:
        package = json.loads((project_root() / path).read_text(encoding="utf-8"))
        return {
            f"{path.parent.as_posix()}/{one.get('path', '')}": str(one.get("hash", "")).removeprefix("sha256:")
            for one in package.get("resources", [])
        }
    except DAMAGED as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise StudyError(
            f"{path.as_posix()}{line} is no data package ({error}). Restore it: it records the hashes of the data files."
        ) from None


def read_claims() -> Claims:
    """Read the published claims on all programmes, and the figures behind them; the same content is read once."""
    folder = project_root() / PUBLISHED
    return _read_claims(
        str(folder), *(hash_file(folder / name) for name in PUBLISHED_FILES if (folder / name).is_file())
    )


@lru_cache(maxsize=4)
def _read_claims(folder: str, *_: str) -> Claims:
    return Claims.read(folder)


def load_reading(spec: StudySpec) -> Reading:
    """Read the panel of a study that has a layout, with every decision taken about its file.

    Assumes that ``panel`` and ``layout`` are given. The same files give the same reading; it is kept while they do not change.

    Parameters
    ----------
    spec : StudySpec

    Returns
    -------
    Reading

    Raises
    ------
    StudyError
        If a file is missing.
    ReadingError
        With all faults of the file, or of its layout, at once.
    """
    return read_panel_file(str(spec.panel), str(spec.layout))


def read_panel_file(name: str, layout: str | None) -> Reading:
    """Read a table of the project by its layout (None: as detected), by paths relative to it; the same content is read once."""
    return _read_table(*_paths(name, layout))


def read_partnerships_file(name: str, layout: str | None) -> Partnerships:
    """Read a roster of the project by its layout (None: as detected), by paths relative to it; the same content is read once."""
    return _read_partnerships(*_paths(name, layout))


def _paths(name: str, layout: str | None) -> tuple[str, ...]:
    """Return the paths of a file and its layout, and their hashes: what a cached reading depends on."""
    names = [name, *([layout] if layout else [])]
    hashes = hash_data(names)
    root = project_root()
    return (str(root / name), str(root / layout) if layout else "", *hashes.values())


@lru_cache(maxsize=8)
def _read_table(path: str, layout: str, *_: str) -> Reading:
    return read_table(path, layout or None)


@lru_cache(maxsize=8)
def _read_partnerships(path: str, layout: str, *_: str) -> Partnerships:
    return read_partnerships(path, layout or None)


@lru_cache(maxsize=32)
def _simulate(parameters: str) -> SimulatedPanel:
    given = json.loads(parameters)
    return simulate(given.pop("generator"), **given)


def tidy_layout(spec: StudySpec) -> FileLayout | None:
    """Return the layout of a study whose panel is a tidy table, as far as it has one; None for any other."""
    layout = FileLayout.read(project_root() / spec.layout) if spec.layout is not None else _TIDY
    return layout if layout.tidy else None


@lru_cache(maxsize=16)
def _read_tidy(path: str, *_: str) -> pd.DataFrame:
    return read_tidy(path, layout=_TIDY).frame


def read_file(name: str, layout: FileLayout | None = None) -> pd.DataFrame:
    """Read a tidy table of the project (csv, a workbook, Parquet), by its path relative to it; the same content is read once.

    Raises
    ------
    StudyError
        If there is no such file.
    ReadingError
        If it cannot be read.
    """
    path = project_root() / name
    if not path.is_file():
        raise StudyError(
            f"The file {name} does not exist in the project. Correct the study's file or restore the data."
        )
    if layout not in (None, _TIDY):
        return read_tidy(path, layout=layout).frame
    return _read_tidy(*_paths(name, None)).copy()


def need_columns(frame: pd.DataFrame, where: str, columns: Iterable[str]) -> None:
    """Raise a `StudyError` that names all columns which a table lacks."""
    missing = [column for column in dict.fromkeys(columns) if column not in frame]
    if missing:
        raise StudyError(f"{where} has no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}.")
