"""What a page of a report shows, as parts of a document: headings, paragraphs, lists, tables and figures instead of HTML.

A part is a dict with ``kind``; a piece of text a dict with ``text`` and, where it has one, ``style`` (``strong``, ``em``, ``code``) and
``to`` (an address outside the report; links between pages lead nowhere on paper).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

Part = dict[str, Any]

_VOID = frozenset({"br", "hr", "img", "input", "meta", "link"})
_LEFT_OUT = frozenset({"svg", "details", "script", "style", "nav"})
_STYLES = {"strong": "strong", "b": "strong", "em": "em", "i": "em", "code": "code"}
_OUTSIDE = re.compile(r"https?://")
_BLOCKS = frozenset(
    {"p", "ul", "ol", "table", "figure", "pre", "blockquote", "div", "section", *(f"h{n}" for n in range(1, 7))}
)


@dataclass
class Element:
    """An element of a page with what stands in it."""

    tag: str
    attributes: dict[str, str]
    inside: list[Element | str] = field(default_factory=list)

    def find(self, *tags: str) -> Iterator[Element]:
        """Yield the elements below this one that have one of these tags, in order, none inside another of them."""
        for one in self.inside:
            if isinstance(one, Element):
                if one.tag in tags:
                    yield one
                else:
                    yield from one.find(*tags)

    @property
    def text(self) -> str:
        """What the element says, in one line."""
        return " ".join("".join(one if isinstance(one, str) else one.text for one in self.inside).split())

    def is_a(self, name: str) -> bool:
        """Return whether the element has a class of this name."""
        return name in self.attributes.get("class", "").split()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].inside.append(made)
        if tag not in _VOID:
            self._open.append(made)

    def handle_endtag(self, tag: str) -> None:
        for at in range(len(self._open) - 1, 0, -1):
            if self._open[at].tag == tag:
                del self._open[at:]
                return

    def handle_data(self, data: str) -> None:
        self._open[-1].inside.append(data)


def read_parts(html: str) -> list[Part]:
    """Return the parts of a piece of a page, in order.

    Examples
    --------
    >>> read_parts("<p>One <strong>&lt;two&gt;</strong></p>")
    [{'kind': 'text', 'says': [{'text': 'One '}, {'text': '<two>', 'style': 'strong'}]}]
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return list(_parts(reader.root))


def _parts(above: Element) -> Iterator[Part]:
    loose: list[Element | str] = []  # text that stands in no paragraph
    for one in above.inside:
        if isinstance(one, str) or one.tag not in _BLOCKS | _LEFT_OUT:
            loose.append(one)
            continue
        yield from _paragraph(loose)
        loose = []
        if one.tag not in _LEFT_OUT and not one.is_a("files"):
            yield from _part(one)
    yield from _paragraph(loose)


def _paragraph(inside: Sequence[Element | str]) -> Iterator[Part]:
    says = _pieces(inside)
    if any(piece["text"].strip() for piece in says):
        yield {"kind": "text", "says": says}


def _part(one: Element) -> Iterator[Part]:
    if re.fullmatch(r"h[1-6]", one.tag):
        yield {"kind": "heading", "level": int(one.tag[1]) - 1, "says": _pieces(one.inside)}
    elif one.tag == "p":
        yield from _paragraph(one.inside)
    elif one.tag in ("ul", "ol"):
        items = [list(_parts(item)) for item in one.find("li")]
        yield {"kind": "list", "numbered": one.tag == "ol", "items": items}
    elif one.tag == "pre":
        text = "".join(piece["text"] for piece in _pieces(one.inside, whole=True))
        yield {"kind": "verbatim", "text": text.strip("\n")}
    elif one.tag == "blockquote":
        yield {"kind": "quote", "parts": list(_parts(one))}
    elif one.tag == "table":
        yield _table(one, "", ())
    elif one.tag == "figure":
        yield _figure(one)
    elif one.is_a("table"):
        below = tuple(note.text for note in one.find("p") if note.is_a("note"))
        name = one.attributes.get("id", "").removeprefix("table-")
        yield from (_table(table, name, below) for table in one.find("table"))
    else:
        yield from _parts(one)


def _table(table: Element, name: str, notes: Sequence[str]) -> Part:
    rows = [[cell for cell in row.inside if isinstance(cell, Element)] for row in table.find("tr")]
    in_head = sum(1 for head in table.find("thead") for _ in head.find("tr"))
    heads = rows[0] if in_head and rows else []
    caption = next(iter(table.find("caption")), None)
    body = rows[in_head:]
    width = max([len(heads), *(len(row) for row in body)], default=0)
    numeric = [any(len(row) > at and row[at].is_a("n") for row in [heads, *body]) for at in range(width)]
    return {
        "kind": "table",
        "name": name,
        "caption": "" if caption is None else caption.text,
        "heads": [cell.text for cell in heads] + [""] * (width - len(heads)),
        "columns": [cell.attributes.get("data-column", "") for cell in heads] + [""] * (width - len(heads)),
        "rows": [[cell.text for cell in row] + [""] * (width - len(row)) for row in body],
        "numeric": numeric,
        "notes": list(notes),
    }


def _figure(figure: Element) -> Part:
    caption = next(iter(figure.find("figcaption")), None)
    picture = next(iter(figure.find("svg", "img")), None)
    said = {} if picture is None else picture.attributes
    return {
        "kind": "figure",
        "name": figure.attributes.get("id", "").removeprefix("figure-"),
        "caption": "" if caption is None else caption.text,
        "alt": said.get("aria-label") or said.get("alt", ""),
    }


def _pieces(inside: Sequence[Element | str], *, whole: bool = False) -> list[dict[str, str]]:
    """Return the pieces of a text; spaces and ends of lines count as one space each, unless ``whole``."""
    pieces = list(_walk(inside, {}, whole))
    joined: list[dict[str, str]] = []
    for piece in pieces:
        if joined and {**joined[-1], "text": ""} == {**piece, "text": ""}:
            joined[-1] = {**piece, "text": joined[-1]["text"] + piece["text"]}
        else:
            joined.append(piece)
    if joined and not whole:
        joined[0] = {**joined[0], "text": joined[0]["text"].lstrip()}
        joined[-1] = {**joined[-1], "text": joined[-1]["text"].rstrip()}
    return [piece for piece in joined if piece["text"]]


def _walk(inside: Sequence[Element | str], style: dict[str, str], whole: bool) -> Iterator[dict[str, str]]:  # noqa: FBT001
    for one in inside:
        if isinstance(one, str):
            yield {"text": one if whole else re.sub(r"\s+", " ", one), **style}
        elif one.tag == "br":
            yield {"text": "\n" if whole else " ", **style}
        elif one.tag not in _LEFT_OUT:
            own = {"style": _STYLES[one.tag]} if one.tag in _STYLES else {}
            there = one.attributes.get("href", "")
            own |= {"to": there} if one.tag == "a" and _OUTSIDE.match(there) else {}
            yield from _walk(one.inside, style | own, whole)
