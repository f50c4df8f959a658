"""Where the report of a study lies, and what a notebook that runs for it is told by its environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evalaid.base.project import REPORTS, project_root

if TYPE_CHECKING:
    from evalaid.study.spec import StudySpec

RUN_FOLDER = "EVALAID_RUN_FOLDER"  # where a notebook writes, when it runs for a report
NOTEBOOK = "EVALAID_NOTEBOOK"  # what it is called there
PARTS = ".parts"  # the numbers that single notebooks recorded, in the run's folder
DOCUMENTS = ("paper*.pdf", "tables*.docx")  # of a report, made on request, in one language or several
OWN_FOLDER = ".run-"  # begins the name of a notebook's own folder in the run's folder, until it has ended
HASHES = "hashes"  # those of the data that the run is made from, in that folder


def report_folder(spec: StudySpec) -> Path:
    """Return the folder of a study's report, ``reports/STUDY``; changed parameters give a folder of their own."""
    changed = f"@{spec.hash()[:8]}" if spec.changed_fields() else ""
    return project_root() / REPORTS / f"{spec.study}{changed}"
