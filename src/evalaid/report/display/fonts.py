"""Labels in Korean and Chinese: the package's own font, or one of this machine, that has the glyphs; else Latin letters.

The package's font holds the letters of its catalogues and data (``tools/subset_font.py``), so a figure of its studies is the same on
every machine.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path

OWN = "Evalaid CJK"
OWN_FILE = Path(__file__).parent / "font" / "evalaid-cjk.otf"
# Families that hold Hangul and Han, in the order of preference.
FAMILIES = (
    OWN,
    "Noto Sans CJK KR",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans KR",
    "Source Han Sans K",
    "NanumGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "Arial Unicode MS",
)
# Revised Romanization, syllable by syllable (sound changes between syllables are left out).
_LEADS = "g,kk,n,d,tt,r,m,b,pp,s,ss,,j,jj,ch,k,t,p,h"
_VOWELS = "a,ae,ya,yae,eo,e,yeo,ye,o,wa,wae,oe,yo,u,wo,we,wi,yu,eu,ui,i"
_TAILS = ",k,k,k,n,n,n,t,l,k,m,l,l,l,p,l,m,p,p,t,t,ng,t,t,k,t,p,t"
_FIRST_SYLLABLE, _LAST_SYLLABLE = 0xAC00, 0xD7A3
_WORDS = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]|[^\s\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]+\s*|\s+")
_NOT_FIRST = frozenset("，。；：、）】》”’！？%")  # marks that begin no line
_LATIN_END = 0x24F  # Latin letters with and without marks; matplotlib's own font has them


@cache
def find_family(text: str) -> str | None:
    """Return the name of an installed font family that has every letter of the text, or None."""
    letters = {letter for letter in text if not letter.isspace()}
    return next((family for family in FAMILIES if family in _files() and not _lacks(family, letters)), None)


def file_of(family: str) -> Path:
    """Return the file of an installed font family."""
    return Path(_files()[family])


def lacking_letters(text: str) -> str:
    """Return the letters of a text that the package's own font does not have."""
    return "".join(letter for letter in text if _lacks(OWN, {letter}))


@cache
def _files() -> dict[str, str]:
    from matplotlib import font_manager

    if all(font.name != OWN for font in font_manager.fontManager.ttflist):
        font_manager.fontManager.addfont(OWN_FILE)
    files: dict[str, str] = {OWN: str(OWN_FILE)}
    for font in font_manager.fontManager.ttflist:
        files.setdefault(font.name, font.fname)
    return files


def _lacks(family: str, letters: set[str]) -> bool:
    from matplotlib.ft2font import FT2Font

    try:
        face = FT2Font(_files()[family])
    except (OSError, RuntimeError):  # listed in matplotlib's cache, but no longer there
        return True
    return not all(face.get_char_index(ord(letter)) for letter in letters)


def families(labels: Iterable[str]) -> list[str]:
    """Return the font families for a figure with these labels: the usual one, then one for Korean and Chinese."""
    foreign = "".join(sorted(filter(is_foreign, set("".join(labels)))))
    extra = find_family(foreign) if foreign else None
    return ["DejaVu Sans", *([extra] if extra else [])]


def drawable(labels: Iterable[str]) -> list[str]:
    """Return labels that this machine can draw.

    The labels themselves when an installed font has their letters; else Korean in Latin letters, and other letters as ``?``
    followed by the label's place in the list, so that two labels stay apart.

    Examples
    --------
    >>> romanise("\N{HANGUL SYLLABLE SEO}\N{HANGUL SYLLABLE UL}")
    'Seoul'
    """
    given = list(labels)
    foreign = "".join(sorted(filter(is_foreign, set("".join(given)))))
    if not foreign or find_family(foreign):
        return given
    drawn = []
    for place, label in enumerate(given):
        latin = romanise(label)
        drawn.append(latin if not any(is_foreign(letter) for letter in latin) else f"no. {place + 1}")
    return drawn


def fold(text: str, width: int) -> str:
    r"""Break a text into lines of so many letters; a Han or Hangul letter counts for two, and Han may break anywhere.

    Examples
    --------
    >>> fold("one two three", 8)
    'one two\nthree'
    """
    lines, line, used = [], "", 0
    for word in _WORDS.findall(text):
        size = count_columns(word.rstrip())
        if line and used + size > width and word.strip() not in _NOT_FIRST:
            lines.append(line.rstrip())
            line, used = "", 0
        line += word
        used += size + len(word) - len(word.rstrip())
    return "\n".join([*lines, line.rstrip()])


def count_columns(text: str) -> int:
    """Return how many letters wide a text is; a Han or Hangul letter counts for two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def romanise(text: str) -> str:
    """Write Hangul in Latin letters, by syllable; other letters are left as they are."""
    leads, vowels, tails = (letters.split(",") for letters in (_LEADS, _VOWELS, _TAILS))
    parts = []
    for letter in unicodedata.normalize("NFC", text):
        code = ord(letter)
        if _FIRST_SYLLABLE <= code <= _LAST_SYLLABLE:
            lead, rest = divmod(code - _FIRST_SYLLABLE, 588)
            vowel, tail = divmod(rest, 28)
            parts.append(leads[lead] + vowels[vowel] + tails[tail])
        else:
            parts.append(letter)
    latin = "".join(parts)
    return latin[:1].upper() + latin[1:] if latin != text else latin


def is_foreign(text: str) -> bool:
    """Return whether a text has letters that are not Latin."""
    return any(ord(letter) > _LATIN_END and unicodedata.category(letter).startswith("L") for letter in text)
