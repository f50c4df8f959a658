"""What a notebook shows, as blocks of HTML with anchored headings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape
from typing import Any

_HEADING = re.compile(r"<h([123])>(.*?)</h\1>", re.DOTALL)


@dataclass(frozen=True)
class Heading:
    """An entry of the table of contents: a ``part`` of the page, or a ``section`` of a part."""

    anchor: str
    text: str
    kind: str


def to_html(markdown: str) -> str:
    """Turn Markdown into HTML (tables allowed, raw HTML not)."""
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown))


def show_notebook(notebook: Mapping[str, Any], contents: list[Heading], *, share: bool = True) -> list[str]:
    """Return the cells of an executed notebook as blocks, and add their headings to the contents.

    Cells tagged ``share`` are about the outcome as a share, and are left out where it is none.
    """
    blocks = []
    for cell in notebook["cells"]:
        if not share and "share" in cell["metadata"].get("tags", ()):
            continue
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            blocks.append(anchor(to_html(source), contents))
        elif cell["cell_type"] == "code":
            number = cell["execution_count"]
            blocks.append(
                f'<details class="code" id="in-{number}"><summary>Code of cell In [{number}]</summary>'
                f"<pre><code>{escape(source)}</code></pre></details>"
            )
            blocks += [show_output(output, contents) for output in cell["outputs"]]
    return blocks


def show_headlines(notebooks: Sequence[Mapping[str, Any]]) -> str:
    """Return what the cells tagged ``headline`` show."""
    return "".join(
        show_output(output, [])
        for notebook in notebooks
        for cell in notebook["cells"]
        if "headline" in cell["metadata"].get("tags", ())
        for output in cell["outputs"]
    )


def show_output(output: Mapping[str, Any], contents: list[Heading]) -> str:
    """Return one output of a cell as HTML."""
    kind = output["output_type"]
    if kind == "stream":
        return f"<pre>{escape(''.join(output['text']))}</pre>"
    if kind == "error":
        return f"<pre>{escape(output['ename'])}: {escape(output['evalue'])}</pre>"
    data = output["data"]
    if "text/markdown" in data:
        return anchor(to_html("".join(data["text/markdown"])), contents)
    if "text/html" in data:
        return "".join(data["text/html"])
    return f"<pre>{escape(''.join(data.get('text/plain', '')))}</pre>"


def anchor(html: str, contents: list[Heading]) -> str:
    """Anchor the headings and add those of the first two levels to the contents; all go down one level below the title."""

    def one(match: re.Match[str]) -> str:
        level, text = int(match.group(1)), match.group(2)
        name = f"s{len(contents) + 1}"
        if level > 2:
            return f"<h{level + 1}>{text}</h{level + 1}>"
        plain = unescape(re.sub(r"<[^>]+>", "", text))
        contents.append(Heading(name, plain, "part" if level == 1 else "section"))
        return f'<h{level + 1} id="{name}">{text}</h{level + 1}>'

    return _HEADING.sub(one, html)
