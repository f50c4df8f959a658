"""One self-contained HTML page for a study, made from its executed notebooks, and the index of all studies.

The page holds what the notebooks show, in their order: prose, tables, figures, and the code of each cell folded away.
It loads nothing from outside: style and figures are inside the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from evalaid.report.display.formatted_tables import number_table
from evalaid.report.wording.prose import data_label, format_value

PAGE = "index.html"
_TEMPLATES = Path(__file__).parent / "templates"
_HEADING = re.compile(r"<h([123])>(.*?)</h\1>", re.DOTALL)


@dataclass(frozen=True)
class Heading:
    """An entry of the table of contents: a ``part`` of the page, or a ``section`` of a part."""

    anchor: str
    text: str
    kind: str


def write_page(
    folder: Path,
    notebooks: Sequence[Path],
    spec: Mapping[str, Any],
    numbers: Sequence[Mapping[str, Any]],
    data_files: Mapping[str, str],
) -> Path:
    """Write the HTML page of a study."""
    contents: list[Heading] = []
    blocks: list[str] = []
    stored = [json.loads(path.read_text(encoding="utf-8")) for path in notebooks]
    blocks += _in_short(stored)
    for notebook in stored:
        blocks += _blocks(notebook, contents)
    blocks.append(_sources(spec, data_files, numbers, contents))
    blocks.append(_all_numbers(numbers, contents))
    page = folder / PAGE
    footer = (
        "<p>Made by evalaid. Every number on this page is in <code>numbers.json</code>; "
        f"<code>evalaid verify {escape(str(spec['study']))}</code> computes them again and compares. "
        "<a href='../index.html'>All studies</a></p>"
    )
    _write(page, str(spec["title"]), str(spec["question"]), str(spec["data_kind"]), blocks, contents, footer)
    return page


def write_index(folder: Path, studies: Sequence[Mapping[str, Any]], synthesis: Path | None = None) -> Path:
    """Write ``reports/index.html``, which opens on the synthesis and links the page of every study."""
    page = folder / PAGE
    kinds = {study["data_kind"] for study in studies}
    kind = kinds.pop() if len(kinds) == 1 and synthesis is None else "real and simulated"
    title, question = "Reports", "Hospital partnership programmes and where patients are treated"
    contents: list[Heading] = []
    own = [study for study in studies if study["own"]]
    others = [study for study in studies if not study["own"]]
    blocks = [_anchored("<h1>The studies</h1>", contents)]
    if others or not own:
        blocks.append(_study_table(others, "Studies and their reports"))
    if own:
        apart = "" if synthesis is None else " (not part of what follows)"
        blocks.append(_study_table(own, f"Your own studies and their reports{apart}"))
    if synthesis is not None:
        notebook = json.loads(synthesis.read_text(encoding="utf-8"))
        title = "Hospital partnerships: what may be repeated, and what is known"
        question = "All studies side by side, the published claims, and the literature"
        blocks = [*_in_short([notebook]), *blocks, *_blocks(notebook, contents)]
    footer = "<p>Made by evalaid. <code>evalaid verify</code> computes every number again and compares.</p>"
    _write(page, title, question, kind, blocks, contents, footer)
    return page


def _study_table(studies: Sequence[Mapping[str, Any]], caption: str) -> str:
    """Link the pages of studies."""
    rows = []
    for study in studies:
        changed = f"<br><small>with {escape(study['changed'])}</small>" if study["changed"] else ""
        rows.append(
            f'<tr><th scope="row"><a href="{escape(study["folder"])}/{PAGE}">{escape(study["title"])}</a>{changed}</th>'
            f"<td>{escape(study['data_kind'])}</td>"
            f'<td class="n">{format_value(study["numbers"], "count", 0)}</td></tr>'
        )
    return (
        f'<div class="wide"><table><caption>{caption}</caption><thead><tr><th scope="col">Study</th>'
        '<th scope="col">Data</th><th scope="col" class="n">Reported numbers</th></tr></thead><tbody>'
        + "\n".join(rows)
        + "</tbody></table></div>"
    )


def to_html(markdown: str) -> str:
    """Turn Markdown into HTML (tables allowed, raw HTML not)."""
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown))


def _write(
    page: Path, title: str, question: str, kind: str, blocks: Sequence[str], contents: Sequence[Heading], footer: str
) -> None:
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    templates = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True)
    style = (_TEMPLATES / "page.css").read_text(encoding="utf-8").strip()
    html = templates.get_template("page.html").render(
        title=title,
        question=question,
        data_kind=kind,
        data_label=data_label(kind),
        style=Markup(style),  # noqa: S704 (our own file)
        blocks=[Markup(block) for block in blocks],  # noqa: S704 (escaped where it was made)
        contents=contents,
        footer=Markup(footer),  # noqa: S704
    )
    page.write_text(html.rstrip() + "\n", encoding="utf-8", newline="\n")


def _blocks(notebook: Mapping[str, Any], contents: list[Heading]) -> list[str]:
    blocks = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            blocks.append(_anchored(to_html(source), contents))
        elif cell["cell_type"] == "code":
            number = cell["execution_count"]
            blocks.append(
                f'<details class="code"><summary>Code of cell In [{number}]</summary>'
                f"<pre><code>{escape(source)}</code></pre></details>"
            )
            blocks += [_output(output, contents) for output in cell["outputs"]]
    return blocks


def _in_short(notebooks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Repeat at the top what cells tagged ``headline`` say."""
    said = [
        _output(output, [])
        for notebook in notebooks
        for cell in notebook["cells"]
        if "headline" in cell["metadata"].get("tags", ())
        for output in cell["outputs"]
    ]
    return [f'<section class="short" aria-label="In short"><h2>In short</h2>{"".join(said)}</section>'] if said else []


def _output(output: Mapping[str, Any], contents: list[Heading]) -> str:
    kind = output["output_type"]
    if kind == "stream":
        return f"<pre>{escape(''.join(output['text']))}</pre>"
    if kind == "error":
        return f"<pre>{escape(output['ename'])}: {escape(output['evalue'])}</pre>"
    data = output["data"]
    if "text/markdown" in data:
        return _anchored(to_html("".join(data["text/markdown"])), contents)
    if "text/html" in data:
        return "".join(data["text/html"])
    return f"<pre>{escape(''.join(data.get('text/plain', '')))}</pre>"


def _anchored(html: str, contents: list[Heading]) -> str:
    """Return headings an anchor and note those of the first two levels in the table of contents.

    All go down one level: the title of the page is its only heading of the first.
    """

    def one(match: re.Match[str]) -> str:
        level, text = int(match.group(1)), match.group(2)
        anchor = f"s{len(contents) + 1}"
        if level > 2:
            return f"<h{level + 1}>{text}</h{level + 1}>"
        plain = re.sub(r"<[^>]+>", "", text).replace("&quot;", '"').replace("&amp;", "&")
        contents.append(Heading(anchor, plain, "part" if level == 1 else "section"))
        return f'<h{level + 1} id="{anchor}">{text}</h{level + 1}>'

    return _HEADING.sub(one, html)


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
    head = _anchored("<h1>Data and provenance</h1>", contents)
    spec_hash = numbers[0]["spec_hash"] if numbers else ""
    return (
        f"{head}{sources}"
        '<div class="wide"><table class="small"><caption>Data files as they were read, with the sha256 of their bytes</caption>'
        '<thead><tr><th scope="col">File</th><th scope="col">sha256</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        f'<p class="note">Parameters: hash {escape(spec_hash)}, seed {spec["seed"]}, {spec["draws"]} bootstrap draws, '
        f"level {spec['level']:g}.</p>"
    )


def _all_numbers(numbers: Sequence[Mapping[str, Any]], contents: list[Heading]) -> str:
    head = _anchored("<h1>Every number</h1>", contents)
    return head + number_table([dict(number) for number in numbers])
