"""Where reports lie: their names, whether they can be written, and putting a finished run in the place of the last one.

A run is made beside its place and moved there when it is complete, so that a report is never half old and half new.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from evalaid.base.errors import StudyError
from evalaid.base.project import OWN, REPORTS, SYNTHESIS, list_studies, project_root
from evalaid.report.site.answer import ANSWER_FILE, load_answer
from evalaid.report.site.pages import PAGE, write_index, write_site
from evalaid.study.manifest import NUMBERS_FILE, Manifest, read_manifest
from evalaid.study.spec import StudySpec

FAILED = ".failed"
_READABLE = 0o755  # temporary folders are private; a report is meant to be read


def report_folder(spec: StudySpec) -> Path:
    """Return the folder of a study's report; changed parameters give a folder of their own.

    ``reports/<study>``, or ``reports/<study>-<first 8 digits of the parameters' hash>``.
    """
    name = f"{spec.study}-{spec.hash()[:8]}" if spec.changed_fields() else spec.study
    return project_root() / REPORTS / name


def check_writable(target: Path) -> None:
    """Raise before anything starts if a report cannot be written to this folder."""
    advice = "Make it writable or move it away, then run again; nothing was started."
    for folder in (target.parent, target):
        if folder.exists() and not folder.is_dir():
            raise StudyError(f"The report cannot be written: '{folder.name}' is a file, not a folder. {advice}")
        # The mode is read, too: an administrator may write anywhere, but a folder marked read-only is meant to stay.
        if folder.is_dir() and not (os.access(folder, os.W_OK) and folder.stat().st_mode & stat.S_IWUSR):
            raise StudyError(f"The report cannot be written: the folder '{folder.name}' is read-only. {advice}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(f"The report cannot be written: {error.strerror} ('{target.parent.name}'). {advice}") from None


def write_report(spec: StudySpec, work: Path, manifest: Manifest) -> Path:
    """Write the pages of a run into its folder."""
    executed = sorted(work.glob("*.ipynb"))
    numbers = [vars(number) for number in manifest.numbers.values()]
    return write_site(work, executed, spec.to_dict(), numbers, dict(manifest.data_files))


def put_in_place(work: Path, target: Path) -> None:
    """Put the finished run in the place of the previous report."""
    work.chmod(_READABLE)
    old = None
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent)) / "previous"
        target.rename(old)
    try:
        work.rename(target)
    except BaseException:  # an interrupt in between, too, must not lose the previous report
        if old is not None and not target.exists():
            old.rename(target)
        raise
    if old is not None:
        shutil.rmtree(old.parent, ignore_errors=True)


def keep_partial(work: Path, target: Path) -> str:
    """Move what an unfinished run left to ``<study>.failed`` and say what is there."""
    kept = target.with_name(f"{target.name}{FAILED}")
    shutil.rmtree(kept, ignore_errors=True)
    if not work.is_dir():
        return "Nothing was kept of the run."
    partial = sorted(path.name for path in work.glob("*.ipynb"))
    if not partial:
        shutil.rmtree(work, ignore_errors=True)
        return "Nothing was kept of the run."
    work.chmod(_READABLE)
    work.rename(kept)
    return f"Kept: {', '.join(partial)} in {kept.parent.name}/{kept.name}."


def index_reports() -> Path:
    """Write ``reports/index.html``: the synthesis, if there is one, and a link to every report that is there; one's own apart."""
    folder = project_root() / REPORTS
    folder.mkdir(exist_ok=True)
    studies = []
    own = list_studies(OWN)
    for path in sorted(folder.glob(f"*/{NUMBERS_FILE}")):
        there = (
            (path.parent / PAGE).is_file() and (path.parent / ANSWER_FILE).is_file() and path.parent.name != SYNTHESIS
        )
        if there and not path.parent.name.startswith(".") and path.parent.suffix != FAILED:
            manifest = read_manifest(path)
            changed = path.parent.name.removeprefix(manifest.study).removeprefix("-")
            studies.append(
                {
                    "folder": path.parent.name,
                    "title": manifest.title,
                    "data_kind": manifest.data_kind,
                    "own": manifest.study in own,
                    "changed": f"changed parameters ({changed})" if changed else "",
                    "numbers": len(manifest.numbers),
                    "answer": load_answer(path.parent),
                }
            )
    synthesis = next((folder / SYNTHESIS).glob("*.ipynb"), None)
    return write_index(folder, studies, synthesis)
