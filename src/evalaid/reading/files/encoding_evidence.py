"""Which of several encodings that fit the bytes gives words of a language: `weigh`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from evalaid.reading.words.languages import language_of
from evalaid.reading.words.vocabulary import load_words

CODECS: Mapping[str, str] = {
    "gb18030": "zh",
    "cp949": "ko",
    "cp932": "ja",
    "big5": "zh",
    "cp1252": "",
    "cp1250": "",
    "cp1254": "",
    "cp1251": "ru",
    "latin-1": "",
}
"""Encoding -> the language whose common characters show it; none for those of Latin letters."""

SURE = 0.8
"""Share of the foreign letters that stand inside words of Latin letters from which on the text is in a Latin alphabet."""
LIKELY = 0.25
"""Share of common characters of its language from which on a text is in that language: wrongly decoded text has a few in a hundred."""
CLEARLY = 2.0
"""So many times the common characters of the next best reading has the best."""

ALPHABETS: Mapping[str, tuple[str, ...]] = {
    "cp1252": (
        "äöüßé",
        "éèêëàâçîïôûùüœæ",
        "ñáéíóúü",
        "ãõçáéíóúâêôàü",
        "àèéìíòóùú",
        "åäöéæøü",
        "éëïóöüèê",
        "ðþæöáéíóúý",
        "çàéèíóòúïü",
    ),
    "cp1250": ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "čćđšž", "ăâîşţ"),
    "cp1254": ("çğıöşüâî",),
}
"""Letters beyond ASCII of the alphabets that are written in encodings which differ in these letters only."""

_RUN = re.compile(r"[^\x00-\x7f]+")
_NEUTRAL = frozenset("’‘“”„–—€°ºª«»§©®·…•\u00a0\u202f²³µ±×")
_HAN = re.compile(r"[\u3400-\u9fff]")
_KANA = re.compile(r"[\u3041-\u30ff]")
_CYRILLIC = re.compile(r"[А-ЯЁІЇЄа-яёіїє][а-яёіїє]+|[А-ЯЁ]{2,}")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")


@dataclass(frozen=True)
class Weighed:
    """The text in one encoding, and how much of it looks like a language (from 0 to 1)."""

    encoding: str
    text: str
    score: float


def weigh(content: bytes) -> list[Weighed]:
    """Decode bytes in every encoding that fits, the most plausible first."""
    found: list[Weighed] = []
    for encoding, language in CODECS.items():
        if encoding == "latin-1" and any(one.encoding == "cp1252" for one in found):
            continue
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if any(unicodedata.category(character) in {"Cn", "Co"} for character in set(text)):
            continue
        found.append(Weighed(encoding, text, score(text, language)))
    return sorted(found, key=lambda one: (-one.score, -in_one_alphabet(one)))


def score(text: str, language: str) -> float:
    """Return the share of the letters beyond ASCII that fit a language; of Latin letters those inside words."""
    return _latin(text) if not language else _common(text, language)


def _latin(text: str) -> float:
    good = total = 0
    for match in _RUN.finditer(text):
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        between = before.isascii() and before.isalpha() and after.isascii() and after.isalpha()
        letters = [c for c in match[0] if c not in _NEUTRAL or (between and c not in "’‘·–")]
        if not letters:
            continue
        total += len(letters)
        inside = (before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha())
        latin = all("LATIN" in unicodedata.name(character, "") for character in letters)
        lower = sum(character.islower() for character in letters) >= len(letters) - 1
        good += len(letters) * (inside and latin and lower and len(letters) <= 2)
    return good / total if total else 0.0


def in_one_alphabet(one: Weighed) -> float:
    """Return the largest share of the different letters beyond ASCII that belong to one alphabet of an encoding."""
    letters = {
        c
        for char in one.text
        if ord(char) > 127
        for c in char.lower()
        if ord(c) > 127 and unicodedata.category(c)[0] == "L"
    }
    alphabets = ALPHABETS.get(one.encoding, ())
    return max((len(letters & set(alphabet)) / len(letters) for alphabet in alphabets), default=0.0) if letters else 0.0


def rival_alphabet(best: Weighed, others: Iterable[Weighed]) -> Weighed | None:
    """Return another encoding whose letters fit an alphabet as well, where no word shows the language."""
    if best.encoding not in ALPHABETS or language_of(best.text.split()) != "en":
        return None
    share = in_one_alphabet(best)
    alike = (one for one in others if one.encoding in ALPHABETS and one.text != best.text)
    return next((one for one in alike if one.score >= best.score and in_one_alphabet(one) >= share), None)


def _cyrillic(text: str) -> float:
    """The share of letters beyond ASCII in words of Cyrillic letters, small ones behind the first; each word counts once."""
    runs = (run.strip("".join(_NEUTRAL)) for run in dict.fromkeys(_RUN.findall(text)))
    words = [word for word in runs if len(word) > 2]  # two letters of it are one Chinese character
    good = [word for word in words if _CYRILLIC.fullmatch(word)]
    return sum(map(len, good)) / sum(map(len, words)) if words else 0.0


def _common(text: str, language: str) -> float:
    letters = [character for character in text if ord(character) > 127 and unicodedata.category(character)[0] == "L"]
    if language == "ru" or not letters:
        return _cyrillic(text) if letters else 0.0
    common = _common_characters(language)
    if language == "ko":
        return sum(map(bool, map(_HANGUL.match, letters))) / len(letters) * _share(letters, common)
    if language == "ja":
        kana = sum(map(bool, map(_KANA.match, letters))) / len(letters)
        return min(1.0, _share(letters, common) + kana)
    return _share(letters, common) * (1 - _beside_ascii(text))


def _share(letters: list[str], common: frozenset[str]) -> float:
    return sum(character in common for character in letters) / len(letters)


def _beside_ascii(text: str) -> float:
    """The share of Chinese characters that stand inside a word of Latin letters, as in a wrongly decoded Munic韕io."""
    places = [match.start() for match in _HAN.finditer(text)]
    if not places:
        return 0.0

    def letter(at: int) -> bool:
        return 0 <= at < len(text) and text[at].isascii() and text[at].isalpha()

    return sum(letter(at - 1) or letter(at + 1) for at in places) / len(places)


def inside_words(text: str) -> bool:
    """Return whether most Chinese characters stand inside words of Latin letters."""
    return _beside_ascii(text) > 0.5


@cache
def _common_characters(language: str) -> frozenset[str]:
    simple = str(load_words(language)["common"])
    if language != "zh":
        return frozenset(simple)
    pairs = "".join(load_words("characters")["traditional"].split())
    traditional = {pairs[at + 1]: pairs[at] for at in range(0, len(pairs), 2)}
    return frozenset(simple) | {traditional[character] for character in simple if character in traditional}
