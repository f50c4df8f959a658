"""Which language a table is written in, and what its marks for no value mean there."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache

from evalaid.reading.words.vocabulary import LANGUAGES, load_words

_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_KANA = re.compile(r"[\u3041-\u30ff\uff66-\uff9d]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[^\W\d_]+")
_JAPANESE = re.compile(r"都道府県|市区町村|市町村|二次医療圏|北海道|東京都|大阪府|京都府|総数|単位")
_SCRIPTS = {
    "th": re.compile(r"[\u0e01-\u0e5b]"),
    "fa": re.compile(r"[\u067e\u0686\u0698\u06a9\u06af\u06cc]"),
    "ar": re.compile(r"[\u0621-\u064a]"),
    "ru": re.compile(r"[\u0400-\u04ff]"),
    "hi": re.compile(r"[\u0900-\u097f\u05d0-\u05ea]"),
    "hu": re.compile(r"[\u0370-\u03ff]"),
}
"""Letters of one language, or of few, in the order in which they are looked for."""
_SURE = 2
"""So many more words of one language than of any other show it."""


def language_of(texts: Iterable[str]) -> str:
    """Return the language of the words of a table ("zh", "ko", "ja", "de", ...); English where nothing shows another.

    Examples
    --------
    >>> language_of(["시군구", "2016년"]), language_of(["Município", "Internações por mês"]), language_of(["county", "year"])
    ('ko', 'pt', 'en')
    """
    joined = " ".join(dict.fromkeys(texts))
    if _HANGUL.search(joined):
        return "ko"
    if _KANA.search(joined) or _JAPANESE.search(joined):
        return "ja"
    if _HAN.search(joined):
        return "zh"
    if script := next((name for name, letters in _SCRIPTS.items() if len(letters.findall(joined)) > _SURE), None):
        persian = load_words("fa")["common"]
        return "fa" if script == "ar" and any(word in persian for word in _WORD.findall(joined)) else script
    words = Counter(word.casefold() for word in _WORD.findall(unicodedata.normalize("NFKC", joined)))
    letters = Counter(character for character in joined.casefold() if ord(character) > 127)
    points = {
        name: sum(words[word] > 0 for word in common) + 2 * any(letters[c] for c in special)
        for name, (common, special) in _latin().items()
    }
    best, *others = sorted(points, key=lambda name: -points[name])
    return best if points[best] >= _SURE and points[best] > points[others[0]] else "en"


@cache
def era(language: str) -> tuple[int, int, int] | None:
    """Return the first and last year of the era in which tables of a language count years, and what to add; None: the common one.

    Examples
    --------
    >>> era("th"), era("en")
    ((2480, 2620, -543), None)
    """
    years = load_words(language).get("era")
    return tuple(years) if years else None


@cache
def _latin() -> dict[str, tuple[frozenset[str], str]]:
    found = {}
    for language in LANGUAGES:
        words = load_words(language)
        if isinstance(words.get("common"), list):
            found[language] = frozenset(map(str, words["common"])), str(words.get("letters", ""))
    return found


def has_decimal_commas(language: str) -> bool:
    """Return whether numbers of a language are written with a decimal comma."""
    return bool(load_words(language).get("comma", False))


@cache
def marks(language: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what stands for no value (suppressed, unknown) and what stands for none (zero) in tables of a language.

    Examples
    --------
    >>> [bool(pattern.fullmatch("-")) for pattern in marks("pt")], [bool(pattern.fullmatch("-")) for pattern in marks("en")]
    ([False, True], [True, False])
    """
    words = {name: [*load_words(name).get("missing", [])] for name in {language, "en"}}
    zero = load_words(language).get("zero", [])
    missing = [entry for entries in words.values() for entry in entries if entry not in zero]
    return re.compile("|".join(missing), re.IGNORECASE), re.compile("|".join(zero) or r"(?!)")
