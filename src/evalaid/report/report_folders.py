"""The pages of reports: one for every study, and the index of all."""

from __future__ import annotations

from pathlib import Path

from evalaid.base.errors import DAMAGED, ManifestError
from evalaid.base.project import OWN, REPORTS, SYNTHESIS, list_studies, project_root
from evalaid.report.site.answer import load_answer
from evalaid.report.site.answer_line import ANSWER_FILE
from evalaid.report.site.index_page import write_index
from evalaid.report.site.pages import PAGE, write_site
from evalaid.study.manifest import NUMBERS_FILE, Manifest, read_manifest
from evalaid.study.spec import StudySpec


def write_report(spec: StudySpec, work: Path, manifest: Manifest) -> Path:
    """Write the pages of a run into its folder."""
    executed = sorted(work.glob("*.ipynb"))
    numbers = [vars(number) for number in manifest.numbers.values()]
    return write_site(work, executed, spec.to_dict(), numbers, dict(manifest.data_files), manifest.data_hash)


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
        if there and not path.parent.name.startswith("."):
            try:
                manifest, answer = read_manifest(path), load_answer(path.parent)
            except (
                ManifestError,
                OSError,
                *DAMAGED,
            ):  # a report that somebody damaged: the next run of its study makes it again
                continue
            changed = path.parent.name.removeprefix(manifest.study).removeprefix("@")
            studies.append(
                {
                    "folder": path.parent.name,
                    "title": manifest.title,
                    "data_kind": manifest.data_kind,
                    "own": manifest.study in own,
                    "changed": f"changed parameters ({changed})" if changed else "",
                    "numbers": len(manifest.numbers),
                    "answer": answer,
                }
            )
    synthesis = next((folder / SYNTHESIS).glob("*.ipynb"), None)
    return write_index(folder, studies, synthesis)
