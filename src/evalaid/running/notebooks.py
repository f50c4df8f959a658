"""Run the notebooks of a study and put its report in place: `run_study`.

The notebooks run one after the other, each in a process of its own (`evalaid.running.engine`), into a temporary folder beside
the report. Only a complete run replaces the previous report; a failed or interrupted one is kept beside it as
``<study>.failed``. The data files are hashed before and after, and a run whose data changed on the way is not accepted.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalaid.base.errors import NotebookError, StudyError
from evalaid.base.project import project_root
from evalaid.report.report_folders import check_writable, keep_partial, put_in_place, report_folder, write_report
from evalaid.report.section import PARTS
from evalaid.running.execution import Halt, Tell, execute_notebook
from evalaid.running.freshness import mark
from evalaid.study.manifest import NUMBERS_FILE, Manifest, Number, hash_value, read_manifest, read_parts, write_manifest
from evalaid.study.sources import check_sources, data_faults, hash_inputs, load_simulation
from evalaid.study.spec import StudySpec, load_study
from evalaid.study.study_faults import SHOWN_BY

if TYPE_CHECKING:
    import pandas as pd

NOTEBOOKS = Path("notebooks")
SYNTHESIS_NOTEBOOK = "5_synthesis"
SIMULATED_DATA = "data"


@dataclass(frozen=True)
class StudyRun:
    """What a run of a study left on disk: the report's folder and page, the executed notebooks, every reported number."""

    spec: StudySpec
    folder: Path
    page: Path
    notebooks: tuple[Path, ...]
    manifest: Manifest

    def numbers(self) -> pd.DataFrame:
        """Return every reported number as a frame: key, value, unit, digits, notebook, cell, method, hashes, seed."""
        import pandas as pd

        return pd.DataFrame([vars(number) for number in self.manifest.numbers.values()])


def run_study(
    spec: StudySpec | str,
    *,
    folder: Path | str | None = None,
    only: str | None = None,
    tell: Tell | None = None,
    changed_data: str = "refuse",
    halt: Halt | None = None,
) -> StudyRun:
    """Execute a study's notebooks and write its report.

    Parameters
    ----------
    spec : StudySpec or str
        The study, or its name; a study with changed parameters gets a report of its own, beside the committed one.
    folder : path, optional
        Where the report goes. Default: ``reports/<study>`` of the project.
    only : str, optional
        The name of one notebook (``"3_effect"`` or ``"3"``); the results of the others are taken from the previous
        report, which must have been made from the same parameters and data.
    tell : callable, optional
        Called with (study, notebook, event) while the notebooks run, for a progress display.
    halt : Halt, optional
        Through which another thread can interrupt the run.
    changed_data : {"refuse", "run"}
        What to do when a data file differs from the hash that the data package records: refuse, or run all the same
        (as `evalaid.running.verify` does, which reports the fault and the numbers that diverge).

    Returns
    -------
    StudyRun

    Raises
    ------
    StudyError
        If the reports folder cannot be written to, a data file is missing or has changed, or ``only`` is unknown.
    NotebookError
        If a cell fails or runs out of time: names the notebook, the cell and its source. The partial notebook is kept.

    Examples
    --------
    >>> run_study(StudySpec(study="korea_responsible_hospitals")).page.name  # doctest: +SKIP
    'index.html'
    """
    spec = load_study(spec) if isinstance(spec, str) else spec
    tell = tell or (lambda *_: None)
    target = Path(folder).absolute() if folder is not None else report_folder(spec)
    notebooks = _chosen(only, spec)
    check_writable(target)
    check_sources(spec)
    before = hash_inputs(spec)
    faults = data_faults(before) if changed_data == "refuse" else []
    if faults:
        raise StudyError(
            "The data are not those that the project records: " + "; ".join(faults) + ". Raw data are never changed: "
            "restore the file, or, for new data, update data/datapackage.json and data/README.md first."
        )
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        kept = _take_over(spec, target, work, notebooks, before) if only else {}
        for notebook in notebooks:
            execute_notebook(notebook, work, spec, tell, halt=halt)
        _refuse_changed(before, hash_inputs(spec))
        if spec.simulation:
            load_simulation(spec.simulation).write(work / SIMULATED_DATA)
        manifest = _merge(spec, work, before, kept)
        page = write_report(spec, work, manifest)
        mark(spec, work, before, list_notebooks(spec))
        put_in_place(work, target)
    except BaseException as error:
        where = keep_partial(work, target)
        note = f"{where} The previous report, if there is one, is untouched."
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"Interrupted. {note}") from None
        if isinstance(error, NotebookError):
            raise NotebookError(f"{error} {note}", rows=error.rows) from None
        raise
    done = tuple(sorted(target.glob("*.ipynb")))
    return StudyRun(spec, target, target / page.name, done, manifest)


def list_notebooks(spec: StudySpec) -> tuple[Path, ...]:
    """Return the notebooks of a study in the order in which they run.

    Those that its file names; else all of the project but the tutorial (0), the synthesis, and those that show a field which
    the study does not have.

    Raises
    ------
    StudyError
        If the file names a notebook that does not exist.
    """
    stored = {path.stem: path for path in sorted((project_root() / NOTEBOOKS).glob("[1-9]*_*.ipynb"))}
    if not stored:
        raise StudyError(
            f"There is no notebook in {NOTEBOOKS.as_posix()}, so there is nothing to run. `evalaid init FOLDER` makes a project that "
            "has them: copy its notebooks here."
        )
    unknown = [name for name in spec.notebooks if name not in stored]
    if unknown:
        raise StudyError(f"There is no notebook '{unknown[0]}'. Notebooks: {', '.join(stored)}.")
    if spec.notebooks:
        return tuple(path for name, path in stored.items() if name in spec.notebooks)
    shown_by = {notebook: field for field, notebook in SHOWN_BY.items()}
    with_data = bool(spec.panel or spec.simulation)
    return tuple(
        path
        for name, path in stored.items()
        if (bool(getattr(spec, shown_by[name])) if name in shown_by else with_data and name != SYNTHESIS_NOTEBOOK)
    )


def data_hash(data: Mapping[str, str]) -> str:
    """Return one hash for all data files of a study."""
    return hash_value(dict(data))


def _chosen(only: str | None, spec: StudySpec) -> tuple[Path, ...]:
    notebooks = list_notebooks(spec)
    if only is None:
        return notebooks
    chosen = tuple(path for path in notebooks if only.removesuffix(".ipynb") in (path.stem, path.stem.split("_")[0]))
    if not chosen:
        known = ", ".join(path.stem for path in notebooks)
        raise StudyError(f"There is no notebook '{only}'. Notebooks: {known}.")
    return chosen


def _refuse_changed(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        raise StudyError(
            f"Data file changed on disk during the run: {', '.join(changed)}. The run is not accepted, because its "
            "numbers come from more than one state of the data. Restore the file and run again."
        )


def _take_over(
    spec: StudySpec, target: Path, work: Path, again: Sequence[Path], data: Mapping[str, str]
) -> dict[str, Number]:
    """Copy the other notebooks' results from the previous report into the run's folder and return their numbers."""
    names = {path.stem for path in again}
    others = [path for path in list_notebooks(spec) if path.stem not in names]
    if not others:
        return {}
    advice = f"Run the whole study first: evalaid run {spec.study}"
    if not all((target / path.name).is_file() for path in others):
        raise StudyError(
            f"The results of {', '.join(p.stem for p in others)} are missing in the previous report. {advice}"
        )
    previous = read_manifest(target / NUMBERS_FILE)
    if (previous.spec_hash, previous.data_hash) != (spec.hash(), data_hash(data)):
        raise StudyError(f"The previous report was made from other parameters or other data. {advice}")
    shutil.copytree(target, work, dirs_exist_ok=True)
    kept = {key: number for key, number in previous.numbers.items() if number.notebook not in names}
    parts = work / PARTS
    parts.mkdir(exist_ok=True)
    for path in others:
        numbers = [vars(number) for number in kept.values() if number.notebook == path.stem]
        (parts / f"{path.stem}.json").write_text(json.dumps(numbers), encoding="utf-8")
    return kept


def _merge(spec: StudySpec, work: Path, data: Mapping[str, str], kept: Mapping[str, Number]) -> Manifest:
    numbers = read_parts(sorted((work / PARTS).glob("*.json")))
    shutil.rmtree(work / PARTS, ignore_errors=True)
    manifest = Manifest(
        study=spec.study,
        title=spec.title,
        data_kind=spec.data_kind,
        spec_hash=spec.hash(),
        data_hash=data_hash(data),
        data_files=dict(data),
        seed=spec.seed,
        numbers={**kept, **numbers},
    )
    write_manifest(manifest, work / NUMBERS_FILE)
    return manifest
