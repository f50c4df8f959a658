"""A page from its template: style, script and figures are inside the file, and only its own script may run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from evalaid.base.files import write_whole
from evalaid.report.site.blocks import to_html
from evalaid.report.site.chapters import resolve
from evalaid.report.site.editions import FRONT, Edition, open_editions
from evalaid.report.site.notes import Notes
from evalaid.report.wording.language import ENGLISH

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Site:
    """Where the pages of an edition go and what they share."""

    folder: Path
    edition: Edition
    kind: str
    places: Mapping[str, str]
    notes: Notes
    data_hash: str
    shared: Mapping[str, Any]
    menu: tuple[str, ...]
    editions: Sequence[Edition] = ()

    def write(self, page: str, template: str, file: str = "", **values: Any) -> Path:
        """Write a page from its template, and return its path."""
        name, words = "index" if page in FRONT else file or page, self.edition.words
        noted = (
            {**self.notes.to_data(), "hash": self.data_hash, "words": words.part("note")} if self.notes.made else None
        )
        html = (
            _environment()
            .get_template(template)
            .render(
                page=page, here=name, title=self.shared["study_title"], kind=self.kind, words=words, style=_text("site.css"),
                script=_text("site.js"), script_hash=_script_hash(), noted=noted, menu=self.menu, at=self.edition.link,
                switch=self.edition.switch(self.editions, page, name), top=replace(self.edition, plain=ENGLISH).file("index"), **self.shared, **values,
            )
        )  # fmt: skip
        resolved = resolve(html, self.places, name, self.edition.link).rstrip() + "\n"
        return write_whole(self.folder / f"{self.edition.file(name)}.html", resolved)  # two runs may write the index


def prepare_pages() -> None:
    """Do what the first pages of a process would wait for: compile the templates, read the words of every language."""
    for path in _TEMPLATES.glob("*.html"):
        _environment().get_template(path.name)
    open_editions(())
    to_html("")


@cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader

    return Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)


@cache
def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8").strip()


@cache
def _script_hash() -> str:
    """Return the name by which the content security policy knows the only script that may run."""
    return base64.b64encode(hashlib.sha256(f"\n{_text('site.js')}\n".encode()).digest()).decode("ascii")
