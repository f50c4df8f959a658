"""What the figures of a variable are, by its name and by notes: a share, a rate per so many, a count, money: `measure_of`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from evalaid.reading.words.vocabulary import LANGUAGES, load_words


@cache
def _words(kind: str) -> tuple[str, ...]:
    """The words of all languages for one kind of measure; Latin and Cyrillic ones stand alone."""
    found = [word for language in LANGUAGES for word in load_words(language).get("measures", {}).get(kind, ())]
    return tuple(dict.fromkeys(rf"(?<![^\W\d_]){word}(?![^\W\d_])" if _ALONE.match(word) else word for word in found))


_ALONE = re.compile(r"(?:\(\?:)?[a-zà-ÿа-яžşğıčěřůąćęłńóśźż]", re.IGNORECASE)


@cache
def _pattern(kind: str) -> re.Pattern[str]:
    return re.compile("|".join(_words(kind)))


@cache
def _times() -> Mapping[str, int]:
    return {word: number for language in LANGUAGES for word, number in load_words(language).get("times", {}).items()}


@cache
def _amounts() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Patterns of an amount after "per", and before "per" where the language has it behind."""
    times = "|".join(sorted(_times(), key=len, reverse=True))
    amount = rf"(?P<number>\d{{1,3}}(?:[., _]\d{{3}})+|\d+)?[ _]?(?P<word>{times})?(?![a-z0-9])"
    before = "|".join(word.removesuffix(r"(?![^\W\d_])") for word in _words("per"))
    of, after = "|".join(_words("per_of")), "|".join(_words("per_after"))
    return (
        re.compile(rf"(?:(?:{before})[ _]?|(?<!\d)/ ?){amount}(?P<of>[^\d,;()\[\]]*)"),
        re.compile(rf"(?:인구|人口)? ?{amount} ?(?P<of>{of})? ?(?:{after})"),
    )


@dataclass(frozen=True)
class Measure:
    """What a figure is: its kind, and how its unit is written in a sentence ("per 100,000", "per cent", "days")."""

    kind: str  # "share", "rate", "count", "money", "log"; "unclear" for a rate of unknown base; "" when nothing says it
    unit: str = ""  # as a sentence names it
    per: float | None = None  # of a rate: how many it is given for
    evidence: str = ""


def measure_of(name: object, notes: Iterable[str] = ()) -> Measure:
    """Return what the figures of a variable are, by its name, else by the first note that says it.

    Assumes that words in a name are set off by underscores, blanks or capitals. A "rate" that says no base is "unclear": it may
    be in per cent or per so many, and a person must say it.

    Examples
    --------
    >>> measure_of("infant_mortality_rate_per_1000").unit, measure_of("rate", ["Rate per 100,000 population"]).per
    ('per 1,000', 100000.0)
    >>> measure_of("share_pct").kind, measure_of("mortality_rate").kind, measure_of("length of stay, days per bed").unit
    ('share', 'unclear', 'per bed')
    >>> measure_of("입원율", ["인구 10만명당"]).per, measure_of("beds_per_100k").unit, measure_of("log_cost").kind
    (100000.0, 'per 100,000', 'log')
    """
    weak: list[Measure] = []
    for text in (str(name), *notes):
        found = _measure(text)
        if found.kind not in {"", "unclear", "count", "money"}:
            return found
        weak.append(found)
    clear = [found for found in weak if found.kind not in {"", "unclear"}]
    return next(iter(clear), next((found for found in weak if found.kind), Measure("")))


def _measure(raw: str) -> Measure:
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", unicodedata.normalize("NFKC", raw)).lower().replace("_", " ")
    said = f"{raw!r}"
    if _pattern("log").search(text):
        return Measure("log", "log points", evidence=said)
    if _pattern("per_cent").search(text):
        return Measure("share", "per cent", evidence=said)
    if _pattern("per_mille").search(text):
        return Measure("rate", "per 1,000", 1000.0, said)
    for pattern in _amounts():
        for match in pattern.finditer(text):
            if (rate := _rate(match, said)) is not None:
                return rate
    if _pattern("share").search(text):
        return Measure("share", evidence=said)
    if _pattern("money").search(text):
        return Measure("money", evidence=said)
    if _pattern("count").search(text):
        return Measure("count", evidence=said)
    return Measure(
        "unclear" if _pattern("rate").search(text) else "", evidence=said if _pattern("rate").search(text) else ""
    )


def _rate(match: re.Match[str], said: str) -> Measure | None:
    number, word = match["number"], match["word"]
    of = " ".join((match["of"] or "").split())
    if number or word:
        per = float(re.sub(r"\D", "", number)) if number else 1.0
        per *= _times()[word] if word else 1.0
        return Measure("rate", f"per {per:,.0f}", per, said) if per > 1 else None
    first = of.split(" ")[0] if of else ""
    return Measure("rate", f"per {first}", 1.0, said) if re.fullmatch("|".join(_words("one")), first) else None
