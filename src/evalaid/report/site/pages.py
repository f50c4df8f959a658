"""The pages of a study, made from its executed notebooks, its numbers and its tables, and the index of all studies.

The answer stands alone on the first page; evidence and robustness hold what the notebooks show, in their order. No page loads
anything from outside: style and figures are inside the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from evalaid.base.effect_columns import TREATED_CLUSTERS
from evalaid.report.display.formatted_tables import number_table
from evalaid.report.site.answer import Answer, read_answer, save_answer
from evalaid.report.site.blocks import Heading, anchor, show_headlines, show_notebook, to_html
from evalaid.report.site.marks import cut_of, draw_choices, draw_event_study, draw_strip
from evalaid.report.wording.language import Catalogue, load_catalogue
from evalaid.report.wording.prose import format_value
from evalaid.study.study_fields import MIXED

PAGE = "index.html"
CHAPTERS = {
    "evidence": ("1_", "2_", "3_", "4_dose"),
    "robustness": ("4_",),
}  # page -> beginnings of its notebooks' names
FOLDERS = {"notebooks": "*.ipynb", "figures": "figures/*", "tables": "tables/*", "data": "*.json"}
OVERTURN = 3  # threats on the answer page
PHONE, DESK = (350, 250), (560, 330)  # width and height that the event study is laid out for
_TEMPLATES = Path(__file__).parent / "templates"


def write_site(
    folder: Path,
    notebooks: Sequence[Path],
    spec: Mapping[str, Any],
    numbers: Sequence[Mapping[str, Any]],
    data_files: Mapping[str, str],
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
    """
    words = load_catalogue(str(spec.get("language", "en")))
    stored = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in notebooks}
    answer = read_answer(folder, spec, {str(number["key"]): number for number in numbers})
    save_answer(folder, answer)
    shared = {"spec": spec, "footer": words("footer", study=spec["study"])}
    kind = "mixed" if spec["data_kind"] == MIXED else str(spec["data_kind"])
    site = _Site(folder, words, kind, shared)
    page = site.write("answer", "answer.html", str(spec["title"]), **_answer(answer, words, spec, stored))
    left, share = dict(stored), spec.get("outcome_unit") != "number"
    for chapter, beginnings in CHAPTERS.items():
        contents: list[Heading] = []
        chosen = [name for name in left if name.startswith(beginnings)]
        blocks = [block for name in chosen for block in show_notebook(left.pop(name), contents, share=share)]
        site.write(chapter, "chapter.html", str(spec["title"]), blocks=blocks, contents=contents)
    contents = []
    rest = [block for name in left for block in show_notebook(left[name], contents, share=share)]
    blocks = [*rest, _sources(spec, data_files, numbers, contents)]
    site.write("methods", "chapter.html", str(spec["title"]), blocks=blocks, contents=contents)
    site.write(
        "numbers",
        "numbers.html",
        str(spec["title"]),
        lead=to_html(words("numbers.lead", count=format_value(len(numbers), "count", 0))),
        table=number_table([dict(number) for number in numbers]),
    )
    files = {
        name: sorted(p.relative_to(folder).as_posix() for p in folder.glob(found)) for name, found in FOLDERS.items()
    }
    site.write("downloads", "downloads.html", str(spec["title"]), files=files)
    return page


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
    words = load_catalogue()
    kinds = {str(study["data_kind"]) for study in studies}
    kind = kinds.pop() if len(kinds) == 1 and synthesis is None else "mixed"
    groups: dict[str, list[dict[str, Any]]] = {"real": [], "simulated": [], "own": []}
    for study in studies:
        group = "own" if study["own"] else "real" if study["data_kind"] == "real" else "simulated"
        groups[group].append({**study, **_card(study["answer"], words)})
    contents: list[Heading] = []
    notebook = None if synthesis is None else json.loads(synthesis.read_text(encoding="utf-8"))
    blocks = [] if notebook is None else show_notebook(notebook, contents)
    short = "" if notebook is None else show_headlines([notebook])
    site = _Site(folder, words, kind, {"footer": words("footer", study="")})
    return site.write(
        "index", "index.html", words("index.title"), groups=groups, blocks=blocks, contents=contents, short=short
    )


class _Site:
    """Where pages go and what they share."""

    def __init__(self, folder: Path, words: Catalogue, kind: str, shared: Mapping[str, Any]) -> None:
        self.folder, self.words, self.kind, self.shared = folder, words, kind, shared

    def write(self, page: str, template: str, title: str, **values: Any) -> Path:
        path = self.folder / (PAGE if page in ("answer", "index") else f"{page}.html")
        html = (
            _environment()
            .get_template(template)
            .render(page=page, title=title, kind=self.kind, words=self.words, style=_style(), **self.shared, **values)
        )
        aside = path.with_name(f".{path.name}.new")  # whole or not at all: two runs may write the index
        aside.write_text(html.rstrip() + "\n", encoding="utf-8", newline="\n")
        return aside.replace(path)


@cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader

    return Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)


@cache
def _style() -> str:
    return (_TEMPLATES / "site.css").read_text(encoding="utf-8").strip()


def _written(answer: Answer, words: Catalogue) -> dict[str, str]:
    """Return the numbers of an answer as they stand in sentences."""

    def write(value: float | None, digits: int = 1, *, sign: bool = True) -> str:
        if value is None:
            return ""
        text = format_value(value, "number", digits, signed=sign)
        if words.has(f"unit.{answer.unit}"):
            return words(f"unit.{answer.unit}", value=text)
        return text if answer.unit == "number" else f"{text} {answer.unit}"

    low, high = answer.ends or (None, None)
    far = None if low is None or high is None else (high if abs(high) >= abs(low) else low)
    return {
        "estimate": write(answer.estimate),
        "size": write(None if answer.estimate is None else abs(answer.estimate), sign=False),
        "low": write(low),
        "high": write(high),
        "far": write(far),
        "smallest": write(answer.smallest, sign=False),
        "findable": write(answer.findable, sign=False),
        "truth": write(answer.truth),
        "level": f"{answer.level:.0%}",
    }


def _sentence(kind: str, answer: Answer, words: Catalogue, names: Mapping[str, str]) -> str:
    """Return a sentence of the answer's verdict, by its direction where the catalogue has one for each."""
    down = (answer.estimate or 0) < 0
    for key in (f"{kind}.{answer.verdict}_{'down' if down else 'up'}", f"{kind}.{answer.verdict}", f"{kind}.shown"):
        if words.has(key):
            return words(key, **names)
    raise KeyError(kind)


def _sentence_kind(answer: Answer) -> str:
    """Return the group of sentences: no number of a simulated panel stands without that word."""
    return "simulated_sentence" if answer.simulated else "sentence"


def _answer(
    answer: Answer, words: Catalogue, spec: Mapping[str, Any], stored: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    outcome = str(spec["outcome_label"])
    outcome = outcome[:1].lower() + outcome[1:]
    names = {**_written(answer, words), "outcome": outcome, "clusters": str(spec["cluster_label"])}
    finding = "simulated_finding" if answer.simulated else "finding"
    axis = words(
        "event.axis",
        outcome=spec["outcome_label"],
        unit=words("unit_name." + answer.unit) if words.has("unit_name." + answer.unit) else answer.unit,
    )
    may = (
        words("may.simulated" if answer.estimate is not None else "may.simulated_none", **names)
        if answer.simulated and answer.truth is not None
        else _sentence("may", answer, words, names)
    )
    may_not = words("may_not.simulated") if answer.simulated else _sentence("may_not", answer, words, names)
    return {
        "answer": answer,
        "verdict": words(f"verdict.{answer.verdict}"),
        "finding": _sentence(finding, answer, words, names),
        "sentence": _sentence(_sentence_kind(answer), answer, words, names),
        "truth": words("sentence.truth", **names) if answer.simulated and answer.truth is not None else "",
        "names": names,
        "strip": draw_strip(answer, words, names),
        "cut": "" if (cut := cut_of(answer)) is None else words("event.cut", cut=f"{cut:.0f}"),
        "event": [
            (name, draw_event_study(answer, words, axis, *size)) for name, size in (("phone", PHONE), ("desk", DESK))
        ],
        "choices": draw_choices(answer, *DESK),
        "overturn": answer.threats[:OVERTURN],
        "may": may,
        "may_not": may_not,
        "short": show_headlines(list(stored.values())),
        "facts": _facts(answer, words, spec),
    }


def _facts(answer: Answer, words: Catalogue, spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    counts = answer.counts
    rows = [(words("facts.programme"), str(spec["programme"]))]
    if {"units", "clusters", TREATED_CLUSTERS} <= set(counts):
        alone = spec["unit_label"] == spec["cluster_label"] and counts["units"] == counts["clusters"]
        compared = words(
            "facts.units_alone" if alone else "facts.units",
            n_units=counts["units"],
            units=spec["unit_label"],
            n_clusters=counts["clusters"],
            clusters=spec["cluster_label"],
            n_treated=counts[TREATED_CLUSTERS],
        )
        rows.append((words("facts.compared"), compared))
    if spec["data_notes"]:
        rows.append((words("facts.data"), "; ".join(str(source) for source in spec["sources"][:1])))
    return rows


def _card(answer: Answer, words: Catalogue) -> dict[str, Any]:
    names = _written(answer, words)
    return {
        "verdict": words(f"verdict.{answer.verdict}"),
        "verdict_key": answer.verdict,
        "sentence": _sentence(_sentence_kind(answer), answer, words, names),
        "truth": words("sentence.truth", **names) if answer.simulated and answer.truth is not None else "",
        "strip": draw_strip(answer, words, names),
    }


def _sources(
    spec: Mapping[str, Any],
    data_files: Mapping[str, str],
    numbers: Sequence[Mapping[str, Any]],
    contents: list[Heading],
) -> str:
    rows = "".join(
        f'<tr><th scope="row"><code>{escape(name)}</code></th><td><code>{digest}</code></td></tr>'
        for name, digest in sorted(data_files.items())
    )
    sources = to_html("\n".join(f"- {source}" for source in spec["sources"]))
    head = anchor("<h1>Data and provenance</h1>", contents)
    spec_hash = numbers[0]["spec_hash"] if numbers else ""
    return (
        f"{head}{sources}"
        '<div class="wide"><table class="small"><caption>Data files as they were read, with the sha256 of their bytes</caption>'
        '<thead><tr><th scope="col">File</th><th scope="col">sha256</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        f'<p class="note">Parameters: hash {escape(spec_hash)}, seed {spec["seed"]}, {spec["draws"]} bootstrap draws, '
        f"level {spec['level']:g}.</p>"
    )
