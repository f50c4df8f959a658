"""What the paper of a finished report holds, in order: everything on its pages, told from the question to what is not identified.

Nothing is computed here: prose, tables and figures are those of the pages, the answer is that of the first page.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE, STD_ERROR
from evalaid.did.estimators.registry import METHODS
from evalaid.report.display.table_files import TableGrid
from evalaid.report.paper.page_parts import Part, read_parts
from evalaid.report.site.answer import load_answer, read_rows
from evalaid.report.site.answer_sentences import list_facts, tell_finding, write_numbers
from evalaid.report.site.blocks import show_notebook
from evalaid.report.site.editions import Edition, turn_html
from evalaid.report.site.notes import Notes
from evalaid.report.site.pages import DETAILS, OVERTURN, PAGES, TESTS
from evalaid.report.verdict import NOT_TOLD
from evalaid.report.wording.language import Catalogue
from evalaid.report.wording.prose import data_label, format_value

_REFERENCES = Path(__file__).parent / "references.yaml"
# Beginning of a notebook's name -> section of the paper that it fills, where its cells name no other ("paper:section").
_SECTIONS = {
    "1_": "claims",
    "2_": "design",
    "3_": "results",
    "4_dose": "results",
    "4_recovery": "recovery",
    "4_": "threats",
}
BODY = ("question", "claims", "data", "design", "results", "robustness", "threats", "limits")
APPENDIX = ("details", "tests", "recovery", "specifications", "origins", "files")
_PAGE_SECTIONS = {DETAILS: "details", TESTS: "tests"}
FIRST = "event_study"  # the figure that stands beside the answer, too
_DOI = re.compile(r"doi:(\S+)")


@dataclass(frozen=True)
class Paper:
    """A paper as data for its template: the parts of every section, and the pictures by name."""

    content: Mapping[str, Any]
    pictures: Mapping[str, bytes]


def gather_paper(
    folder: Path,
    spec: Mapping[str, Any],
    numbers: Mapping[str, Mapping[str, Any]],
    data_files: Mapping[str, str],
    edition: Edition,
) -> Paper:
    """Gather the paper of a finished report in the language of an edition.

    Parameters
    ----------
    folder : Path
        The report's folder.
    spec : mapping
        The study's parameters (`StudySpec.to_dict`).
    numbers : mapping
        Key -> recorded number.
    data_files : mapping
        Data file -> sha256.
    edition : Edition
        The language.
    """
    words, spec = edition.words, edition.spec(spec)
    sections: dict[str, list[Part]] = {name: [] for name in (*BODY, *APPENDIX)}
    for name, part in _shown(folder, spec, edition):
        sections[name].append(part)
    sections["specifications"] = list(_specifications(folder, edition))
    sections["origins"] = [_origins(numbers.values(), edition)]
    sections["files"] = [_texts(str(source) for source in spec["sources"]), _files(data_files, spec, numbers, words)]
    exhibits = {part["name"] for parts in sections.values() for part in parts if part.get("name")}
    drawn = {part["name"]: part for parts in sections.values() for part in parts if part["kind"] == "figure"}
    pictures = {name: _picture(folder / "figures" / f"{name}.svg", edition) for name in drawn}
    kind = str(spec["data_kind"])
    content = {
        "language": words.language,
        "words": words.part("paper"),
        "title": str(spec["title"]),
        "band": words("band." + ("mixed" if kind == "real and simulated" else kind)),
        "stamp": words("paper.stamp") if kind == "simulated" else "",
        **_answer(folder, spec, edition),
        "first": drawn.get(FIRST),
        "body": [_section(name, sections[name], words) for name in BODY if _says(sections[name])],
        "appendix": [_section(name, sections[name], words) for name in APPENDIX if _says(sections[name])],
        "references": list_references(spec, exhibits),
        "note": words("paper.note"),
        "footer": words("footer", study=spec["study"]),
    }
    return Paper(content, pictures)


def list_tables(folder: Path, spec: Mapping[str, Any], edition: Edition) -> list[TableGrid]:
    """Return every table of a finished report that has a name, in the order of the paper and the language of an edition."""
    found: dict[str, list[TableGrid]] = {name: [] for name in (*BODY, *APPENDIX)}
    for name, part in _shown(folder, spec, edition):
        if part["kind"] == "table" and part["name"]:
            found[name].append(_grid(part, str(spec["data_kind"]), edition))
    return [grid for name in (*BODY, *APPENDIX) for grid in found[name]]


def list_references(spec: Mapping[str, Any], exhibits: Iterable[str]) -> list[dict[str, str]]:
    """Return what stands behind a report's methods and exhibits, as text and doi, in the order of authors."""
    shown = set(exhibits)
    used = {str(entry["method"]) for entry in spec.get("methods", {}).values()}
    sources = [method.source for method in METHODS if "survey" in shown or method.name in used]
    cited = {doi.rstrip(".") for source in sources for doi in _DOI.findall(source)}
    return [
        {"text": entry["text"], "doi": str(entry["doi"])}
        for entry in sorted(read_references(), key=lambda entry: str(entry["text"]).casefold())
        if str(entry["doi"]) in cited or shown & set(entry.get("exhibits", ()))
    ]


@cache
def read_references() -> tuple[Mapping[str, Any], ...]:
    """Read all references that papers may cite."""
    return tuple(yaml.safe_load(_REFERENCES.read_text(encoding="utf-8")))


def _picture(path: Path, edition: Edition) -> bytes:
    drawn = path.read_bytes()
    return drawn if edition.turn is None else turn_html(drawn.decode("utf-8"), edition.turn).encode()


def _shown(folder: Path, spec: Mapping[str, Any], edition: Edition) -> Iterator[tuple[str, Part]]:
    """Yield what the notebooks show with the section of the paper that it belongs to."""
    notes = Notes({}, "", folder)
    share = spec.get("outcome_unit") != "number"
    for path in sorted(folder.glob("*.ipynb")):
        own = next((section for start, section in _SECTIONS.items() if path.stem.startswith(start)), "results")
        stored = json.loads(path.read_text(encoding="utf-8"))
        for block in show_notebook(path.stem, stored, "", PAGES, notes, edition.turn, share=share):
            section = block.chapter or _PAGE_SECTIONS.get(block.page, own)
            for part in read_parts(block.html):
                if not (part["kind"] == "heading" and (part["level"] == 1 or section in ("question", "data"))):
                    yield section if section in (*BODY, *APPENDIX) else own, part


def _says(parts: Sequence[Part]) -> bool:
    return any(part["kind"] != "heading" for part in parts)


def _section(name: str, parts: Sequence[Part], words: Catalogue) -> dict[str, Any]:
    """Return a section without the headings under which nothing is left: their tables stand elsewhere."""
    kept: list[Part] = []
    for part in parts:
        while (
            part["kind"] == "heading" and kept and kept[-1]["kind"] == "heading" and kept[-1]["level"] >= part["level"]
        ):
            kept.pop()
        kept.append(part)
    while kept and kept[-1]["kind"] == "heading":
        kept.pop()
    return {"name": name, "title": words(f"paper.section.{name}"), "parts": kept}


def _answer(folder: Path, spec: Mapping[str, Any], edition: Edition) -> dict[str, Any]:
    answer, words = edition.answer(load_answer(folder)), edition.words
    outcome = str(spec["outcome_label"])
    names = {
        **write_numbers(answer, words),
        "outcome": outcome[:1].lower() + outcome[1:],
        "clusters": str(spec["cluster_label"]),
    }
    told = {name: _plain(text) for name, text in tell_finding(answer, words, names).items()}
    threats = () if answer.estimate is None else answer.threats[:OVERTURN]
    plain = "_plain" if answer.verdict == NOT_TOLD and answer.smallest is None else ""
    return {
        **told,
        "verdict_key": answer.verdict,
        "question": edition.say(" ".join(str(spec["question"]).split())),
        "caution": " ".join(str(spec.get("caution") or "").split()),
        "why": words(f"paper.why.{answer.verdict}{plain}", **names),
        "overturn": [{"threat": row.threat, "result": row.result, "answer": row.answer} for row in threats],
        "facts": [list(fact) for fact in list_facts(answer, words, spec)],
    }


def _plain(text: str) -> str:
    from markupsafe import Markup

    return Markup(text).unescape()  # noqa: S704 (goes to a string of the document, not to a page)


def _texts(lines: Iterable[str]) -> Part:
    return {
        "kind": "list",
        "numbered": False,
        "items": [[{"kind": "text", "says": [{"text": line}]}] for line in lines],
    }


def _table(
    name: str,
    caption: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Iterable[int] = (),
    notes: Sequence[str] = (),
) -> Part:
    right = set(numeric)
    return {
        "kind": "table", "name": name, "caption": caption, "heads": list(heads), "columns": [""] * len(heads), "small": True,
        "rows": [list(row) for row in rows], "numeric": [at in right for at in range(len(heads))], "notes": list(notes),
    }  # fmt: skip


def _specifications(folder: Path, edition: Edition) -> Iterator[Part]:
    """Yield every distinct specification with what it gives, and the declared ones that give nothing with the reason."""
    rows, words, say = read_rows(folder / "specifications.csv"), edition.words, edition.say
    chosen = ("method", "covariates", "window", "comparison", "scale")
    heads = [words(f"explorer.{name}") for name in chosen]

    def choices(row: Mapping[str, str]) -> list[str]:
        return [
            words(f"explorer.value.{row[name]}") if words.has(f"explorer.value.{row[name]}") else say(row[name])
            for name in chosen
        ]

    if rows:
        told = []
        for row in rows:
            estimate, low, high = (float(row[name]) if row[name] else None for name in (ESTIMATE, CONF_LOW, CONF_HIGH))
            ends = (
                "" if low is None or high is None else words("explorer.range", first=_signed(low), last=_signed(high))
            )
            told.append(
                [
                    *choices(row),
                    "" if estimate is None else _signed(estimate),
                    ends,
                    "*" if row["is_main"] == "True" else "",
                ]
            )
        unit = {row["unit"] for row in rows}
        own = (
            f" ({words('unit_name.' + one) if words.has('unit_name.' + (one := next(iter(unit)))) else say(one)})"
            if len(unit) == 1
            else ""
        )
        yield _table(
            "", words("paper.specifications"), [*heads, words("figure.effect") + own, words("paper.interval"), ""], told, (5, 6),
            [words("paper.main_marked")],
        )  # fmt: skip
    without = [row for row in read_rows(folder / "declared.csv") if not row["place"]]
    if without:
        reasons = Counter((row["method"], row["scale"], row["reason"]) for row in without)
        told = [
            [say(method), say(scale), format_value(count, "count", 0), say(reason)]
            for (method, scale, reason), count in reasons.items()
        ]
        heads = [words("explorer.method"), words("explorer.scale"), words("paper.count"), words("paper.reason")]
        yield _table("", words("paper.without_estimate"), heads, told, (2,))


def _signed(value: float) -> str:
    return format_value(value, "number", 2, signed=True)


def _origins(numbers: Iterable[Mapping[str, Any]], edition: Edition) -> Part:
    """Return where numbers come from: those of one table, or of one name, stand together."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for number in numbers:
        group = (str(number["key"]).partition(".")[0], str(number["notebook"]), str(number["cell"]))
        groups.setdefault(group, []).append(str(number["method"]))
    rows, words = [], edition.words
    for (name, notebook, cell), methods in groups.items():
        made = [method for method in dict.fromkeys(methods) if method]
        more = words("paper.and_more", n=len(made) - 1) if len(made) > 1 else ""
        rows.append(
            [name, f"{notebook} {cell}", format_value(len(methods), "count", 0), edition.say((made or [""])[0]) + more]
        )
    heads = [words(f"numbers.{name}") for name in ("number", "cell")]
    return _table(
        "",
        words("paper.origins"),
        [*heads, words("paper.count"), words("numbers.made")],
        rows,
        (2,),
        [words("paper.origins_note")],
    )


def _files(
    data_files: Mapping[str, str], spec: Mapping[str, Any], numbers: Mapping[str, Mapping[str, Any]], words: Catalogue
) -> Part:
    spec_hash = next((str(number["spec_hash"]) for number in numbers.values()), "")
    note = words(
        "paper.parameters", hash=spec_hash, seed=spec["seed"], draws=spec["draws"], level=f"{float(spec['level']):g}"
    )
    return _table("", words("paper.files"), [words("paper.file"), "sha256"], sorted(data_files.items()), (), [note])


def _grid(part: Part, kind: str, edition: Edition) -> TableGrid:
    own = [data_label(one).capitalize() for one in (kind, "simulated", "published", "real and simulated")]
    said = next((edition.say(one) for one in own if part["notes"][:1] == [edition.say(f"{one}.")]), "")
    return TableGrid(
        part["name"], part["caption"], said, tuple(part["heads"]), tuple(tuple(row) for row in part["rows"]), tuple(part["numeric"]),
        tuple(column == STD_ERROR for column in part["columns"]), tuple(part["notes"][1 if said else 0 :]),
    )  # fmt: skip
