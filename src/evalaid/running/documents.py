"""A finished report as documents to send: a paper in PDF, and all its tables as one Word file. Made on request, never by a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evalaid.base.errors import StudyError
from evalaid.base.files import write_whole
from evalaid.base.project import REPORTS, SYNTHESIS, project_root
from evalaid.report.display.table_files import word_table
from evalaid.report.paper.paper_contents import gather_paper, list_tables
from evalaid.report.paper.typesetting import typeset
from evalaid.report.report_folders import write_report
from evalaid.report.site.editions import Edition, open_editions
from evalaid.running.kept.freshness import is_up_to_date, mark_again
from evalaid.study.manifest import NUMBERS_FILE, read_manifest
from evalaid.study.spec import load_study


@dataclass(frozen=True)
class Documents:
    """The files that were made of a report."""

    paper: Path
    tables: Path


def make_documents(study: str, language: str | None = None) -> Documents:
    """Write the paper and the tables of a finished report into its folder, and link them from its downloads.

    Those in the language of the study (the default) are ``paper.pdf`` and ``tables.docx``; another one stands in their names.

    Raises
    ------
    StudyError
        If the study has no report, or one that was made from other files than are there now, or there is no paper in the language.
    EvalaidError
        If typst or python-docx is not installed, or no font has the letters of the report.
    """
    if study == SYNTHESIS:
        raise StudyError("The synthesis has no paper of its own: evalaid paper STUDY makes that of one study.")
    spec, folder = load_study(study), project_root() / REPORTS / study
    edition = _find_edition(study, str(spec.language), language)
    if not (folder / NUMBERS_FILE).is_file():
        raise StudyError(f"There is no finished report of '{study}' to make a paper of. First: evalaid run {study}")
    if not is_up_to_date(study):
        raise StudyError(
            f"The report of '{study}' was made from other data, parameters, notebooks or code than are there now, so a paper of it "
            f"would be out of date. First: evalaid run {study}"
        )
    manifest, parameters = read_manifest(folder / NUMBERS_FILE), spec.to_dict()
    numbers = {key: vars(number) for key, number in manifest.numbers.items()}
    made = {
        f"{edition.file('paper')}.pdf": typeset(
            gather_paper(folder, parameters, numbers, manifest.data_files, edition)
        ),
        f"{edition.file('tables')}.docx": word_table(*list_tables(folder, parameters, edition)),
    }
    for name, content in made.items():
        write_whole(folder / name, content)
    write_report(spec, folder, manifest)
    mark_again(folder)
    return Documents(*(folder / name for name in made))


def _find_edition(study: str, own: str, language: str | None) -> Edition:
    """Return the report of a study in the language that is asked for, which must have words for every page."""
    editions = {edition.language: edition for edition in open_editions([study], own)}
    whole = sorted(name for name, edition in editions.items() if edition.covers("paper"))
    chosen = language or own
    if chosen not in whole:
        reason = "its catalogue has the words of the first page alone" if chosen in editions else "it has no catalogue"
        raise StudyError(
            f"There is no paper in '{chosen}': {reason}. Languages of papers: {', '.join(whole)} "
            f"(evalaid paper {study} --language {own})."
        )
    return editions[chosen]
