"""What a notebook shows, as blocks of HTML: each knows its page, its section and the cell that it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape, unescape
from typing import Any

from evalaid.report.site.editions import turn_html
from evalaid.report.site.notes import Notes
from evalaid.report.wording.translation import Translation, cut_blocks

_HEADING = re.compile(r"<h([123])>(.*?)</h\1>", re.DOTALL)
PAPER = "paper:"  # beginning of the tag of a cell that stands elsewhere in the paper
_FOLDERS = re.compile(r'^(\s*(?:File ")?)[^"\n]*[\\/](?=evalaid[\\/])', re.MULTILINE)  # of the package on this machine
PARTS = 1  # the level of a heading that opens a part of a page; sections are one below


@dataclass(frozen=True)
class Heading:
    """An entry of the table of contents: a ``part`` of the page, or a ``section`` of a part."""

    anchor: str
    text: str
    kind: str


@dataclass(frozen=True)
class PageBlock:
    """A piece of a page.

    ``page`` is where it stands, ``home`` where its notebook stands. ``heading`` is its level where it is one. ``part`` and
    ``section`` are the headings above it, which go with it to another page. ``chapter`` is the section of the paper that it
    belongs to, where that is not its notebook's.
    """

    html: str
    page: str
    home: str
    heading: int = 0
    part: Heading | None = None
    section: Heading | None = None
    chapter: str = ""

    @property
    def opens(self) -> Heading | None:
        """The heading that it is, for the contents; those below a section are left out of them."""
        return {PARTS: self.part, PARTS + 1: self.section}.get(self.heading)

    @property
    def tables(self) -> int:
        """How many tables it holds."""
        return self.html.count("<table")


def to_html(markdown: str) -> str:
    """Turn Markdown into HTML (tables allowed, raw HTML not)."""
    return str(_markdown().render(markdown))


@cache
def _markdown() -> Any:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table")


def show_notebook(
    name: str,
    notebook: Mapping[str, Any],
    home: str,
    pages: Sequence[str],
    notes: Notes,
    turn: Translation | None = None,
    *,
    share: bool = True,
) -> list[PageBlock]:
    """Return the cells of an executed notebook as blocks, in the language that ``turn`` turns them into.

    A cell tagged with the name of one of ``pages`` stands there, and a tagged heading takes its section along; the tag
    ``page:exhibit`` is about one table or figure of a cell, and ``paper:chapter`` says where it stands in the paper. Cells tagged
    ``share`` are about the outcome as a share, and are left out where it is none.
    """
    blocks: list[PageBlock] = []
    above = PageBlock("", home, home)
    for place, cell in enumerate(notebook["cells"]):
        tags = cell["metadata"].get("tags", ())
        if not share and "share" in tags:
            continue
        own = next((tag for tag in tags if tag in pages), None)
        chapter = next((tag.removeprefix(PAPER) for tag in tags if tag.startswith(PAPER)), "")
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            if source.startswith("#"):
                above = replace(above, page=own or home, chapter=chapter)
            shown = _anchored(_in_words(source, turn), f"{name}-{place}", above)
            blocks += shown
            above = replace(shown[-1], heading=0)
        elif cell["cell_type"] == "code":
            number = cell["execution_count"]
            here = replace(above, page=own or above.page, chapter=chapter or above.chapter)
            code = (
                f'<details class="code" id="in-{name}-{number}"><summary>{name}, In [{number}]</summary>'
                f'<pre tabindex="0"><code>{escape(source)}</code></pre></details>'
            )
            blocks.append(replace(here, html=code))
            for nth, output in enumerate(cell["outputs"]):
                html = show_output(output, notes, turn)
                apart = [tag.split(":") for tag in tags if ":" in tag]
                moved = next((page for page, exhibit in apart if page in pages and f'-{exhibit}">' in html), here.page)
                shown = _anchored(html, f"{name}-{place}-{nth}", replace(here, page=moved))
                blocks += shown
                here = replace(shown[-1], heading=0, page=here.page)
    return blocks


def show_headlines(stored: Mapping[str, Mapping[str, Any]], notes: Notes, turn: Translation | None = None) -> str:
    """Return what the cells tagged ``headline`` show."""
    return "".join(
        show_output(output, notes, turn)
        for notebook in stored.values()
        for cell in notebook["cells"]
        if "headline" in cell["metadata"].get("tags", ())
        for output in cell["outputs"]
    )


def show_output(output: Mapping[str, Any], notes: Notes, turn: Translation | None = None) -> str:
    """Return one output of a cell as HTML, with a note at every number."""
    kind = output["output_type"]
    if kind == "stream":
        return _verbatim(_FOLDERS.sub(r"\1", "".join(output["text"])))
    if kind == "error":
        return _verbatim(f"{output['ename']}: {output['evalue']}")
    data = output["data"]
    if "text/markdown" in data:
        text = "".join(data["text/markdown"])
        told = output.get("metadata", {}).get("text/markdown", output.get("metadata", {})).get("numbers", ())
        return notes.in_prose(to_html(text), told) if turn is None else _in_turn(text, told, notes, turn)
    if "text/html" in data:
        html = "".join(data["text/html"])
        return notes.in_exhibits(html if turn is None else turn_html(html, turn))
    return _verbatim("".join(data.get("text/plain", "")))


def _verbatim(text: str) -> str:
    return f'<pre tabindex="0">{escape(text)}</pre>'  # a long line is scrolled, by keyboard, too


def _in_words(markdown: str, turn: Translation | None) -> str:
    return to_html(markdown if turn is None else turn.markdown(markdown))


def _in_turn(text: str, told: Sequence[Any], notes: Notes, turn: Translation) -> str:
    """Return prose in another language: the numbers of a paragraph are linked in whatever order its sentences have them now."""
    done, left = [], list(told)
    for block in cut_blocks(text):
        here = [one for one in left if one[0] in block]
        left = left[left.index(here[-1]) + 1 :] if here else left
        numbers = [pair for _, own in here for pair in own]
        written = [(turn(text), key) for text, key in numbers] + [(text.split(" ")[0], key) for text, key in numbers]
        done.append(notes.in_phrase(_in_words(block, turn), written))
    return "".join(done).replace("</ul>\n<ul>\n", "")


def name_heading(level: int, html: str, anchor: str) -> tuple[Heading, str]:
    """Return a heading for the contents and as HTML, one level below the page's title."""
    plain = unescape(re.sub(r"<[^>]+>", "", html))
    return (
        Heading(anchor, plain, "part" if level == PARTS else "section"),
        f'<h{level + 1} id="{anchor}">{html}</h{level + 1}>',
    )


def _anchored(html: str, name: str, above: PageBlock) -> list[PageBlock]:
    """Cut HTML at its headings into blocks, and give each heading a name of its own."""
    blocks: list[PageBlock] = []
    here, end = replace(above, html="", heading=0), 0
    for turn, match in enumerate(_HEADING.finditer(html)):
        if html[end : match.start()].strip():
            blocks.append(replace(here, html=html[end : match.start()]))
        level = int(match.group(1))
        heading, text = name_heading(level, match.group(2), f"s-{name}-{turn}")
        if level == PARTS:
            here = replace(here, part=heading, section=None)
        elif level == PARTS + 1:
            here = replace(here, section=heading)
        blocks.append(replace(here, html=text, heading=level))
        end = match.end()
    if html[end:].strip() or not blocks:
        blocks.append(replace(here, html=html[end:]))
    return blocks
