"""A paper as PDF by typst: the same bytes for the same report on every machine that has the fonts.

Latin letters are those of typst itself (Libertinus, DejaVu Sans Mono) and of matplotlib (DejaVu Sans, in figures); Chinese and Korean
ones are the package's own subset. No clock and no font of the system goes in, except where the text has a letter that none of
these holds.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from evalaid.base.errors import EvalaidError
from evalaid.report.display import fonts
from evalaid.report.display.fonts import count_columns
from evalaid.report.paper.paper_contents import Paper

_TEMPLATE = Path(__file__).parent / "paper.typ"
_SERIF, _MONO, _SANS = "Libertinus Serif", "DejaVu Sans Mono", "DejaVu Sans"
_FAMILY = re.compile(r"font-family=\"[^\"]*\"")
_BOX = re.compile(r'viewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"')
_LONG = re.compile(r"\S{40,}")
_UNBROKEN = re.compile(r"[^\s\u3000-\uffef]+|[\u3000-\uffef]{1,4}")  # parts of a head between which a line may break
_EVERY = 20  # letters of a word without a break after which a line may be broken
LINE = 105  # letters of a row that fit side by side; a longer one breaks its columns of prose
PROSE = 24  # letters of a cell from which its column is prose


def typeset(paper: Paper) -> bytes:
    """Return the paper as PDF.

    Raises
    ------
    EvalaidError
        If typst is not installed, or no font holds the letters of the text.
    """
    try:
        import typst
    except ImportError as error:
        raise EvalaidError("A paper in PDF needs typst: install evalaid[paper].") from error
    text = "".join(sorted(set(_texts(paper.content)) | set("".join(_texts_of(paper.pictures)))))
    family, folders = _find_fonts(text)
    extra = [family] if family else []
    content = {
        **_prepare(paper.content, {name: _ratio(svg) for name, svg in paper.pictures.items()}),
        "fonts": [_SERIF, *extra, _SANS],
        "fonts_of_code": [_MONO, *extra, _SANS],
    }
    named = ", ".join([f"'{_SANS}'", *(f"'{one}'" for one in extra)])
    inputs = {
        f"picture-{name}": _FAMILY.sub(f'font-family="{named}"', _clean(svg.decode("utf-8")))
        for name, svg in paper.pictures.items()
    }
    return typst.compile(
        _TEMPLATE,
        font_paths=folders,
        ignore_system_fonts=True,
        format="pdf",
        sys_inputs={**inputs, "content": json.dumps(content, ensure_ascii=False)},
    )


def _find_fonts(text: str) -> tuple[str | None, list[Path]]:
    """Return the family for what Latin fonts lack, and the folders of the fonts that are needed beside typst's own.

    Raises
    ------
    EvalaidError
        If no installed font holds these letters: which ones, and what was looked for.
    """
    import matplotlib as mpl

    folders = [Path(mpl.get_data_path()) / "fonts" / "ttf", fonts.OWN_FILE.parent]
    lacking = "".join(letter for letter in text if not _is_blank(letter) and letter not in _latin_letters())
    if not lacking:
        return None, folders
    family = fonts.find_family(lacking)
    if family is None:
        shown = ", ".join(f"{letter} (U+{ord(letter):04X})" for letter in fonts.lacking_letters(lacking)[:12])
        raise EvalaidError(
            f"No font for these letters of the paper: {shown}. {fonts.OWN}, which comes with the package, does not have them, and "
            f"none of {', '.join(fonts.FAMILIES[1:])} is installed with all of them. Install one of these, "
            "for example Noto Sans CJK (Debian: fonts-noto-cjk), and call again."
        )
    place = fonts.file_of(family)
    return family, folders if place.parent in folders else [*folders, place.parent]


@cache
def _latin_letters() -> frozenset[str]:
    """Return the letters of DejaVu Sans: what Libertinus lacks is taken from it."""
    import matplotlib as mpl
    from matplotlib.ft2font import FT2Font

    face = FT2Font(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"))
    return frozenset(map(chr, face.get_charmap()))


def _is_blank(letter: str) -> bool:
    return letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf", "Mn")


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield from content
    elif isinstance(content, Mapping):
        for one in content.values():
            yield from _texts(one)
    elif isinstance(content, Sequence):
        for one in content:
            yield from _texts(one)


def _texts_of(pictures: Mapping[str, bytes]) -> list[str]:
    from html import unescape

    return [unescape(re.sub(r"<[^>]*>", "", svg.decode("utf-8"))) for svg in pictures.values()]


def _prepare(content: Any, ratios: Mapping[str, float]) -> Any:
    """Return the content without letters that nothing prints, with places to break long words, and with sizes."""
    if isinstance(content, str):
        return _LONG.sub(_breakable, _clean(content))
    if isinstance(content, Mapping):
        made = {name: _prepare(one, ratios) for name, one in content.items()}
        if made.get("kind") == "table":
            made["widths"] = _widths(made)
        if made.get("kind") == "figure":
            made["ratio"] = ratios[str(content["name"])]
        return made | {name: content[name] for name in ("doi", "to") if name in content}
    if isinstance(content, Sequence):
        return [_prepare(one, ratios) for one in content]
    return content


def _clean(text: str) -> str:
    return "".join(letter for letter in text if letter in "\n\t" or unicodedata.category(letter) != "Cc")


def _breakable(found: re.Match[str]) -> str:
    word = found.group()
    return "\u200b".join(word[at : at + _EVERY] for at in range(0, len(word), _EVERY))


def _widths(table: Mapping[str, Any]) -> list[int]:
    """Return for each column its part of the line, 0 for as wide as it is: columns of prose share what the others leave."""
    heads, rows = table["heads"], table["rows"]
    longest = [max((count_columns(row[at]) for row in rows), default=0) for at in range(len(heads))]
    if sum(map(max, longest, map(count_columns, heads))) <= LINE:
        return [0] * len(heads)
    words = [max((count_columns(word) for word in _UNBROKEN.findall(head)), default=0) for head in heads]
    prose = [not number and letters >= PROSE for number, letters in zip(table["numeric"], longest, strict=True)]
    needs = [0 if long else max(letters, word) + 3 for long, letters, word in zip(prose, longest, words, strict=True)]
    shared = [min(letters, 5 * PROSE) if long else 0 for long, letters in zip(prose, longest, strict=True)]
    room = max(LINE - sum(needs), PROSE * sum(prose))
    return [need or 1 + room * part // max(sum(shared), 1) for need, part in zip(needs, shared, strict=True)]


def _ratio(svg: bytes) -> float:
    found = _BOX.search(svg.decode("utf-8"))
    return 1.5 if found is None else float(found.group(1)) / float(found.group(2))
