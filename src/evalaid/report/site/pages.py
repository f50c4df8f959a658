"""The pages of a study, made from its executed notebooks, its numbers and its tables.

The answer stands alone on the first page; the others hold what the notebooks show, in their order, each on the page that its tag
names. No page loads anything from outside: style, script and figures are inside the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from markupsafe import Markup

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE
from evalaid.base.project import SYNTHESIS, list_studies
from evalaid.report.site.answer import MAIN, TRUTHS, Answer, ThreatRow, read_answer, read_rows, save_answer
from evalaid.report.site.answer_sentences import (
    list_facts,
    tell_briefly,
    tell_event,
    tell_finding,
    write_numbers,
    write_unit,
)
from evalaid.report.site.blocks import PageBlock, name_heading, show_headlines, show_notebook, to_html
from evalaid.report.site.chapters import Chapter, lay_out, locate
from evalaid.report.site.editions import Edition, open_editions, turn_html
from evalaid.report.site.explorer import Explorer, read_explorer
from evalaid.report.site.marks import (
    cut_of,
    cut_of_curve,
    draw_choices,
    draw_event_study,
    draw_reach,
    draw_strip,
    say_cut,
    signed,
)
from evalaid.report.site.notes import Notes, anchor_of
from evalaid.report.site.rendering import Site
from evalaid.report.wording.language import ENGLISH, Catalogue
from evalaid.report.wording.prose import format_value
from evalaid.study.reports import DOCUMENTS
from evalaid.study.study_fields import MIXED

PAGE = "index.html"
EVIDENCE, DETAILS, CLAIMS, ROBUSTNESS, TESTS, METHODS = (
    "evidence",
    "details",
    "claims",
    "robustness",
    "tests",
    "methods",
)
PAGES = (
    EVIDENCE,
    DETAILS,
    CLAIMS,
    ROBUSTNESS,
    TESTS,
    METHODS,
)  # that show what notebooks show, in the order of the menu
HOMES = {
    "1_": CLAIMS,
    "2_": EVIDENCE,
    "3_": EVIDENCE,
    "4_dose": EVIDENCE,
    "4_": ROBUSTNESS,
}  # beginning of a notebook's name -> page
FOLDERS = {
    "documents": DOCUMENTS,
    "notebooks": ("*.ipynb",),
    "figures": ("figures/*",),
    "tables": ("tables/*",),
    "data": ("*.[jc]s*",),
}
OVERTURN = 3  # threats on the answer page
NUMBERS_BYTES = 330_000  # of the rows of a page of numbers
PHONE, DESK = (350, 250), (560, 330)  # width and height that pictures are laid out for


def write_site(
    folder: Path,
    notebooks: Sequence[Path],
    spec: Mapping[str, Any],
    numbers: Sequence[Mapping[str, Any]],
    data_files: Mapping[str, str],
    data_hash: str = "",
) -> Path:
    """Write the pages of a study and return the first.

    Parameters
    ----------
    folder : Path
        The report's folder, with what the notebooks wrote.
    notebooks : sequence of Path
        Executed notebooks, in order.
    spec : mapping
        The study's parameters (`StudySpec.to_dict`).
    numbers : sequence of mapping
        Every reported number, as the manifest has it.
    data_files : mapping
        Data file -> sha256.
    data_hash : str
        Hash of all data files together, for the notes at numbers.
    """
    stored = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in notebooks}
    recorded = {str(number["key"]): number for number in numbers}
    answer = read_answer(folder, spec, recorded)
    save_answer(folder, answer)
    run = _Run(folder, stored, spec, numbers, answer, data_hash)
    for path in folder.glob("*.html"):
        path.unlink()  # pages of an earlier run, which may have had more
    sources = _sources(spec, data_files, numbers)
    laid = [
        _lay(run, edition, recorded, sources)
        for edition in open_editions(_about(str(spec["study"])), str(spec.get("language", ENGLISH)))
    ]
    editions = [site.edition for site, _ in laid]
    menu = next(site.menu for site, _ in laid if site.edition.covers(EVIDENCE))  # of all pages, in whatever language
    for site, chapters in laid:
        _write_edition(run, replace(site, editions=editions, menu=menu), chapters)
    return folder / PAGE


@dataclass(frozen=True)
class _Run:
    """What a run left, from which its pages are made in every language."""

    folder: Path
    stored: Mapping[str, Mapping[str, Any]]
    spec: Mapping[str, Any]
    numbers: Sequence[Mapping[str, Any]]
    answer: Answer
    data_hash: str

    @cached_property
    def lists(self) -> dict[str, list[dict[str, str]]]:
        """Rows of the pages of numbers by file."""
        return _cut_numbers(self.numbers)


def _lay(
    run: _Run, edition: Edition, recorded: Mapping[str, Mapping[str, Any]], sources: PageBlock
) -> tuple[Site, list[Chapter]]:
    """Put what a run shows on the pages of an edition."""
    words, spec = edition.words, edition.spec(run.spec)
    notes = Notes(recorded, spec["cluster_label"], run.folder)
    share = spec.get("outcome_unit") != "number"
    blocks = [
        block
        for name, notebook in (run.stored if edition.covers(EVIDENCE) else {}).items()
        for block in show_notebook(name, notebook, _home(name), PAGES, notes, edition.turn, share=share)
    ]
    if edition.covers(METHODS):
        blocks.append(sources if edition.turn is None else replace(sources, html=turn_html(sources.html, edition.turn)))
    chapters = lay_out(blocks, PAGES, words("nav.more"))
    menu = tuple(dict.fromkeys(["answer", *(chapter.page for chapter in chapters), "numbers", "downloads"]))
    files = frozenset([chapter.file for chapter in chapters])
    kind = "mixed" if spec["data_kind"] == MIXED else str(spec["data_kind"])
    shared = {"spec": spec, "footer": words("footer", study=spec["study"]), "study_title": str(spec["title"])}
    edition = replace(edition, files=files)
    return Site(run.folder, edition, kind, locate(chapters), notes, run.data_hash, shared, menu), chapters


def _write_edition(run: _Run, site: Site, chapters: Sequence[Chapter]) -> None:
    """Write the pages of a run in one language."""
    words, edition = site.edition.words, site.edition
    answer = edition.answer(run.answer)
    explorer = read_explorer(run.folder, answer, words, edition.say)
    shown = _answer(answer, edition, site.shared["spec"], run.stored, site.notes, explorer)
    site.write("answer", "answer.html", explorer=explorer, **shown)
    for chapter in chapters:
        turns = [one.file for one in chapters if one.page == chapter.page]
        values = _threats(answer, words, chapters, site.notes) if chapter.file == ROBUSTNESS else {}
        contents = chapter.contents
        site.write(
            chapter.page, "chapter.html", chapter.file, blocks=chapter.html, contents=contents, turns=turns, **values
        )
    if not edition.covers("numbers"):
        return
    lists = run.lists
    for file, rows in lists.items():
        site.write(
            "numbers", "numbers.html", file, rows=rows, turns=[(name, own[0]["key"]) for name, own in lists.items() if own],
            lead=to_html(words("numbers.lead", count=format_value(len(run.numbers), "count", 0))),
        )  # fmt: skip
    files = {
        name: sorted(path.relative_to(run.folder).as_posix() for one in found for path in run.folder.glob(one))
        for name, found in FOLDERS.items()
    }
    asked = str(run.spec["study"]) + ("" if edition.language == edition.plain else f" --language {edition.language}")
    how = (
        ""
        if f"{edition.file('paper')}.pdf" in files["documents"]
        else to_html(words("downloads.documents_how", study=asked))
    )
    site.write("downloads", "downloads.html", files=files, how=how)


def _about(study: str) -> list[str]:
    """Return the studies that the pages of a study speak of: those of the synthesis of all."""
    return [study, *(list_studies() if study == SYNTHESIS else ())]


def _home(notebook: str) -> str:
    return next((page for beginning, page in HOMES.items() if notebook.startswith(beginning)), METHODS)


def _cut_numbers(numbers: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, str]]]:
    """Return the rows of the pages of numbers by file."""
    lists: list[list[dict[str, str]]] = [[]]
    size = 0
    for number in numbers:
        row = {name: str(number[name]) for name in ("key", "unit", "notebook", "cell", "method")}
        row |= {"text": format_value(number["value"], number["unit"], number["digits"]), "anchor": anchor_of(number)}
        size += 2 * len(row["notebook"]) + sum(len(escape(text).encode()) for text in row.values()) + 120
        if size > NUMBERS_BYTES:
            lists.append([])
            size = 0
        lists[-1].append(row)
    return {"numbers" if turn == 1 else f"numbers_{turn}": rows for turn, rows in enumerate(lists, start=1)}


def _said(text: str, row: ThreatRow, notes: Notes) -> Markup:
    """Return a sentence about a threat, its numbers as links to the cell that examined it; escaped."""
    return Markup(notes.in_sentence(escape(text, quote=False), f"answers.{row.key}.", "answers."))  # noqa: S704


def _threats(answer: Answer, words: Catalogue, chapters: Sequence[Chapter], notes: Notes) -> dict[str, Any]:
    """Return the rows of threats, in their own order, each with its result, its picture and the name of its tests."""
    tests = [
        entry.anchor
        for chapter in chapters
        if chapter.page == TESTS
        for entry in chapter.contents
        if entry.kind == "section" and not entry.anchor.endswith(f"-{TESTS}")
    ]
    rows = sorted(answer.threats, key=lambda row: row.place)
    places = tests if len(tests) == len(rows) else [""] * len(rows)
    write = [
        draw_reach(answer, row.reach, words("threats.alt", low=signed(row.reach[0]), high=signed(row.reach[1])))
        if row.reach
        else ""
        for row in rows
    ]
    note = words("threats.note") if any(write) else ""
    said = [_said(row.result, row, notes) for row in rows]
    return {"threats": list(zip(rows, said, write, places, strict=True)), "threats_note": note}


def _answer(
    answer: Answer,
    edition: Edition,
    spec: Mapping[str, Any],
    stored: Mapping[str, Mapping[str, Any]],
    notes: Notes,
    explorer: Explorer | None,
) -> dict[str, Any]:
    words, outcome = edition.words, str(spec["outcome_label"])
    outcome = outcome[:1].lower() + outcome[1:]
    plain = {**write_numbers(answer, words), "outcome": outcome, "clusters": str(spec["cluster_label"])}
    names = _note_numbers(plain, answer, notes)
    unit = words(f"unit_name.{answer.unit}") if words.has(f"unit_name.{answer.unit}") else answer.unit
    axis = words(
        "event.axis_plain" if answer.unit == "number" else "event.axis", outcome=spec["outcome_label"], unit=unit
    )
    return {
        "answer": answer,
        **tell_finding(answer, words, names),
        "names": plain,
        "strip": draw_strip(answer, words, plain, linked=names),
        "cut": say_cut(cut_of(answer), words),
        "event_title": tell_event(answer, words),
        "event": [
            (name, draw_event_study(answer, words, axis, *size)) for name, size in (("phone", PHONE), ("desk", DESK))
        ],
        "choices_cut": say_cut(cut_of_curve(answer), words),
        "choices": [(name, draw_choices(answer, words, *size)) for name, size in (("phone", PHONE), ("desk", DESK))],
        "explored": None if explorer is None else _explored(explorer, answer, words),
        "overturn": [  # without an estimate there is nothing to overturn
            (row, _said(tell_briefly(row, words), row, notes))
            for row in answer.threats[:OVERTURN]
            if answer.estimate is not None
        ],
        "distinct": Markup(notes.link("specifications.estimates", str(len(answer.choices)), named=False)),  # noqa: S704
        "reasons": [
            {name: edition.say(text) for name, text in row.items()}
            for row in read_rows(notes.folder / "tables" / "refusal.csv")
        ],
        "short": show_headlines(stored, notes, edition.turn) if edition.covers(EVIDENCE) else "",
        "facts": [
            (name, Markup(notes.in_sentence(escape(text, quote=False), "sample.")) if place == 1 else text)  # noqa: S704
            for place, (name, text) in enumerate(list_facts(answer, words, spec))
        ],
    }


def _note_numbers(plain: Mapping[str, str], answer: Answer, notes: Notes) -> dict[str, Markup]:
    """Return the words of an answer's sentences, each number as a link to its cell; escaped."""
    low, high = answer.ends or (0.0, 0.0)
    keys = {
        "estimate": MAIN + ESTIMATE, "size": MAIN + ESTIMATE, "low": MAIN + CONF_LOW, "high": MAIN + CONF_HIGH,
        "far": MAIN + (CONF_HIGH if abs(high) >= abs(low) else CONF_LOW), "findable": "detectable.effect",
        "truth": next((key for key in TRUTHS if key in notes.numbers), ""),
    }  # fmt: skip
    return {name: Markup(notes.link(keys.get(name, ""), escape(text, quote=False))) for name, text in plain.items()}  # noqa: S704


def _explored(explorer: Explorer, answer: Answer, words: Catalogue) -> dict[str, Any]:
    """Return the explorer with its words, for the script of the page."""
    unit = write_unit(answer, words, "{value}")
    said = {name: text for name, text in words.part("explorer").items() if not name.startswith("value.")}
    return {**explorer.to_data(), "unit": unit, "level": f"{answer.level:.0%}", "words": said}


def _sources(spec: Mapping[str, Any], data_files: Mapping[str, str], numbers: Sequence[Mapping[str, Any]]) -> PageBlock:
    rows = "".join(
        f'<tr><th scope="row"><code>{escape(name)}</code></th><td><code>{digest}</code></td></tr>'
        for name, digest in sorted(data_files.items())
    )
    sources = to_html("\n".join(f"- {source}" for source in spec["sources"]))
    heading, head = name_heading(1, "Data and provenance", "s-sources")
    spec_hash = numbers[0]["spec_hash"] if numbers else ""
    html = (
        f"{head}{sources}"
        '<div class="wide"><table class="small"><caption>Data files as they were read, with the sha256 of their bytes</caption>'
        '<thead><tr><th scope="col">File</th><th scope="col">sha256</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        f'<p class="note">Parameters: hash {escape(spec_hash)}, seed {spec["seed"]}, {spec["draws"]} bootstrap draws, '
        f"level {spec['level']:g}.</p>"
    )
    return PageBlock(html, METHODS, METHODS, heading=1, part=heading)
