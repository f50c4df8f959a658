"""Which block stands on which page: pages of bounded size, and links between them.

What a page cannot hold is never dropped: a section goes to a page behind it, and a table that stands elsewhere leaves its title
as a link.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from evalaid.report.site.blocks import Heading, PageBlock

TABLES = 12  # of a page
BYTES = 320_000  # of what a page shows, so that a whole page stays below 400 kB
_NAME = re.compile(r'\bid="([^"]+)"')
_LINK = re.compile(r'href="@([^"]+)"')
_EXHIBIT = re.compile(r'id="((?:table|figure)-[^"]+)".*?<(caption|figcaption)>(.*?)</\2>', re.DOTALL)


@dataclass(frozen=True)
class Chapter:
    """A page of a report: its file, the page that it is or goes on with, what it shows and its table of contents."""

    file: str
    page: str
    turn: int
    html: tuple[str, ...]
    contents: tuple[Heading, ...]


def lay_out(blocks: Sequence[PageBlock], pages: Sequence[str], more: str) -> list[Chapter]:
    """Put blocks on pages, those of the page's own notebooks first; ``more`` introduces what of a page stands elsewhere."""
    chapters: list[Chapter] = []
    for page in pages:
        own = [block for block in blocks if page in (block.page, block.home)]
        own.sort(key=lambda block: block.home != page)  # stable: what comes from other pages follows
        shown = _with_references(own, page, more)
        chapters += [
            _chapter(page, turn, run) for turn, run in enumerate(_cut(_with_headings(shown, page)), start=1) if run
        ]
    return chapters


def _with_references(blocks: Iterable[PageBlock], page: str, more: str) -> list[PageBlock]:
    """Leave out what stands on another page; its title stays: of a table at its place, of a section at the end."""
    shown: list[PageBlock] = []
    elsewhere: list[str] = []
    for block in blocks:
        if block.page == page:
            shown.append(block)
        elif shown and block.heading == 0 and block.section and _names(shown, block.section):
            links = [
                f'<a href="@{name}">{text}</a>'
                for name, _, text in (match.groups() for match in _EXHIBIT.finditer(block.html))
            ]
            if links:
                moved = f'<p class="moved">{"; ".join(links)}</p>'
                shown.append(PageBlock(moved, page, page, part=block.part, section=block.section))
        elif block.heading and block.section:
            elsewhere.append(f'<li><a href="@{block.section.anchor}">{escape(block.section.text)}</a></li>')
    if shown and elsewhere:
        last = shown[-1]
        text = f'<p class="moved">{escape(more)}</p><ul class="moved">{"".join(dict.fromkeys(elsewhere))}</ul>'
        shown.append(PageBlock(text, page, page, part=last.part, section=last.section))
    return shown


def _names(blocks: Sequence[PageBlock], section: Heading) -> bool:
    return any(block.section == section and block.heading for block in blocks)


def _with_headings(blocks: Iterable[PageBlock], page: str) -> list[list[PageBlock]]:
    """Group blocks by section, and put the headings over those that came without them."""
    groups: list[list[PageBlock]] = []
    seen: set[str] = set()
    before: tuple[Heading | None, Heading | None] = (None, None)
    for block in blocks:
        above = block.part, block.section
        if above != before or not groups:
            groups.append([])
            before = above
        for level, heading in enumerate(above, start=1):
            if heading and heading.anchor not in seen:
                seen.add(heading.anchor)
                if block.heading != level:
                    own = block.home == page
                    moved = heading if own else Heading(f"{heading.anchor}-{page}", heading.text, heading.kind)
                    groups[-1].append(_heading_block(moved, level, block))
        groups[-1].append(block)
    return groups


def _heading_block(heading: Heading, level: int, block: PageBlock) -> PageBlock:
    html = f'<h{level + 1} id="{heading.anchor}">{escape(heading.text)}</h{level + 1}>'
    own = {"part": heading} if level == 1 else {"part": block.part, "section": heading}
    return PageBlock(html, block.page, block.home, heading=level, **own)


def _cut(groups: Sequence[Sequence[PageBlock]]) -> list[list[PageBlock]]:
    """Cut sections into pages at their beginnings, and inside where one alone is too large."""
    runs: list[list[PageBlock]] = [[]]
    for group in groups:
        if not _fit([*runs[-1], *group]) and _fit(group):
            runs.append([])
        for block in group:
            if runs[-1] and not _fit([*runs[-1], block]):
                runs.append([])
            runs[-1].append(block)
    return runs


def _fit(blocks: Sequence[PageBlock]) -> bool:
    size = sum(len(block.html.encode()) for block in blocks)
    return size <= BYTES and sum(block.tables for block in blocks) <= TABLES


def _chapter(page: str, turn: int, blocks: Sequence[PageBlock]) -> Chapter:
    contents: list[Heading] = []
    html = [block.html for block in blocks]
    first = blocks[0]
    if turn > 1 and first.heading != 1 and first.part:  # a page begins with the part that it goes on with
        again = Heading(f"{first.part.anchor}-{turn}", first.part.text, "part")
        contents.append(again)
        html.insert(0, f'<h2 id="{again.anchor}">{escape(again.text)}</h2>')
    contents += [heading for block in blocks if (heading := block.opens)]
    return Chapter(page if turn == 1 else f"{page}_{turn}", page, turn, tuple(html), tuple(contents))


def locate(chapters: Sequence[Chapter]) -> dict[str, str]:
    """Return the file of every named thing, the first where a name stands twice."""
    places: dict[str, str] = {}
    for chapter in chapters:
        for name in _NAME.findall("".join(chapter.html)):
            places.setdefault(name, chapter.file)
    return places


def resolve(html: str, places: Mapping[str, str], file: str, called: Callable[[str], str] = str) -> str:
    """Write out the links to named things, as seen from a file; a name that stands nowhere leads to the list of numbers.

    ``called`` gives the name of a file in the language of the page.
    """

    def one(match: re.Match[str]) -> str:
        name = match.group(1)
        there = places.get(name)
        if there is None:
            return f'href="{called("numbers")}.html"'
        return f'href="#{name}"' if there == file else f'href="{called(there)}.html#{name}"'

    return _LINK.sub(one, html)
