"""The index of all reports: a card for each study, then the synthesis."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalaid.base.project import SYNTHESIS
from evalaid.report.site.answer import Answer
from evalaid.report.site.answer_sentences import tell_verdict, write_numbers
from evalaid.report.site.blocks import show_headlines, show_notebook
from evalaid.report.site.editions import Edition, language_of, open_editions
from evalaid.report.site.marks import draw_strip
from evalaid.report.site.notes import Notes
from evalaid.report.site.pages import EVIDENCE, PAGE
from evalaid.report.site.rendering import Site
from evalaid.report.wording.language import Catalogue


def write_index(folder: Path, studies: Sequence[Mapping[str, Any]], synthesis: Path | None = None) -> Path:
    """Write ``reports/index.html``: a card per study, real data first, then the synthesis.

    Parameters
    ----------
    folder : Path
        The reports folder.
    studies : sequence of mapping
        ``folder`` (name of the study's folder), ``title``, ``data_kind``, ``own`` (whether it is one's own, listed apart),
        ``changed`` (parameters that differ from the study's file, as text), ``numbers`` (how many), ``answer`` (`Answer`).
    synthesis : Path, optional
        The executed notebook of the synthesis.
    """
    kinds = {str(study["data_kind"]) for study in studies}
    kind = kinds.pop() if len(kinds) == 1 and synthesis is None else "mixed"
    stored = {} if synthesis is None else {synthesis.stem: json.loads(synthesis.read_text(encoding="utf-8"))}
    editions = open_editions([SYNTHESIS, *(_name(study) for study in studies)])
    for edition in editions:
        words, notes = edition.words, Notes({}, "", folder)
        groups: dict[str, list[dict[str, Any]]] = {"real": [], "simulated": [], "own": []}
        for study in studies:
            group = "own" if study["own"] else "real" if study["data_kind"] == "real" else "simulated"
            title = edition.say(str(study["title"]))
            groups[group].append(
                {**study, **_card(study["answer"], words), "title": title, "file": _front(study, edition)}
            )
        shown = stored if edition.covers(EVIDENCE) else {}
        blocks = [
            block for name, one in shown.items() for block in show_notebook(name, one, "index", (), notes, edition.turn)
        ]
        site = Site(
            folder, edition, kind, {}, notes, "", {"footer": words("footer_all"), "study_title": words("index.title")}, (), editions
        )  # fmt: skip
        site.write(
            "index", "index.html", groups=groups, blocks=[block.html for block in blocks],
            contents=[entry for block in blocks if (entry := block.opens)], short=show_headlines(shown, notes, edition.turn),
            elsewhere=bool(stored) and not shown,
        )  # fmt: skip
    return folder / PAGE


def _name(study: Mapping[str, Any]) -> str:
    return str(study["folder"]).partition("@")[0]  # what follows are changed parameters


def _front(study: Mapping[str, Any], edition: Edition) -> str:
    """Return the first page of a study in the language of an edition; its own language has the plain name."""
    return replace(edition, plain=language_of(_name(study))).file("index")


def _card(answer: Answer, words: Catalogue) -> dict[str, Any]:
    names = write_numbers(answer, words)
    return {
        "verdict_key": answer.verdict,
        **tell_verdict(answer, words, names),
        "strip": draw_strip(answer, words, names),
    }
