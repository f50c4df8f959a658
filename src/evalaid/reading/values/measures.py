"""What the figures of a variable are, by its name and by notes: a share, a rate per so many, a count, money: `measure_of`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

_WORDS_OF_THOUSANDS = {
    "k": 1e3, "mil": 1e3, "mila": 1e3, "mille": 1e3, "tsd": 1e3, "thousand": 1e3, "천": 1e3, "千": 1e3, "만": 1e4, "万": 1e4, "萬": 1e4,
    "lakh": 1e5, "m": 1e6, "million": 1e6, "millions": 1e6, "mio": 1e6, "백만": 1e6, "百万": 1e6,
}  # fmt: skip
_AMOUNT = (
    r"(?P<number>\d{1,3}(?:[., _]\d{3})+|\d+)?[ _]?(?P<word>"
    + "|".join(sorted(_WORDS_OF_THOUSANDS, key=len, reverse=True))
    + r")?(?![a-z0-9])"
)
_PER = re.compile(
    rf"(?:(?<![a-z])(?:per|je|pro|pour|par|por(?:[ _]cada)?|cada)[ _]?|每|(?<!\d)/ ?){_AMOUNT}(?P<of>[^\d,;()\[\]]*)"
)
_AFTER = re.compile(rf"(?:인구|人口)? ?{_AMOUNT} ?(?P<of>명|인|人|床|병상)? ?(?:당|当たり|あたり|対)")
_PER_CENT = re.compile(
    r"%|(?<![a-z])(?:pct|per[ _]?cent|percentage|prozent|vom hundert|pour cent|pourcentage|por ?cento|por ciento|porcentaje|percentuale?|per ?cento)"
    r"(?![a-z])|百分|퍼센트|パーセント"
)
_PER_MILLE = re.compile(r"‰|(?<![a-z])(?:per ?mille|promille)(?![a-z])")
_SHARE = re.compile(
    r"(?<![a-z])(?:shares?|proportions?|fractions?|anteile?|quote|parts?|parte|proporción|proporção|quota)(?![a-z])|占比|比例|(?:住院|就诊|转诊|外转|留治)率|비율|비중|이용률|割合|構成比"
)
_RATE = re.compile(r"(?<![a-z])(?:rates?|raten?|taux|tasas?|taxas?|tass[oi])(?![a-z])|率|율$|률$")
_LOG = re.compile(r"(?<![a-z])(?:log|ln)(?:arithm)?(?![a-z])|对数|로그")
_MONEY = re.compile(
    r"[$€£¥₩₹]|(?<![a-z])(?:eur|euros?|usd|dollars?|gbp|pounds?|krw|won|jpy|yen|inr|rupees?|brl|reais|chf|cny|rmb|yuan|costs?|expenditures?|spending|kosten|"
    r"ausgaben|coûts?|dépenses|gastos?|custos?|spesa)(?![a-z])|费用|支出|금액|비용|費用|[万亿]?元|円"
)
_COUNT = re.compile(
    r"(?<![a-z])(?:n|number|counts?|cases|admissions|discharges|episodes|deaths|visits|beds|fälle|anzahl|nombre|número|numero|casos|internações|ricoveri)(?![a-z])|"
    r"人次|例数|人数|건수|환자수|件数|人員"
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
    if _LOG.search(text):
        return Measure("log", "log points", evidence=said)
    if _PER_CENT.search(text):
        return Measure("share", "per cent", evidence=said)
    if _PER_MILLE.search(text):
        return Measure("rate", "per 1,000", 1000.0, said)
    for pattern in (_PER, _AFTER):
        for match in pattern.finditer(text):
            if (rate := _rate(match, said)) is not None:
                return rate
    if _SHARE.search(text):
        return Measure("share", evidence=said)
    if _MONEY.search(text):
        return Measure("money", evidence=said)
    if _COUNT.search(text):
        return Measure("count", evidence=said)
    return Measure("unclear" if _RATE.search(text) else "", evidence=said if _RATE.search(text) else "")


def _rate(match: re.Match[str], said: str) -> Measure | None:
    number, word = match["number"], match["word"]
    of = " ".join((match["of"] or "").split())
    if number or word:
        per = float(re.sub(r"\D", "", number)) if number else 1.0
        per *= _WORDS_OF_THOUSANDS[word] if word else 1.0
        return Measure("rate", f"per {per:,.0f}", per, said) if per > 1 else None
    first = of.split(" ")[0] if of else ""
    return Measure("rate", f"per {first}", 1.0, said) if first in _ONES else None


_ONES = {"day", "bed", "capita", "head", "person", "patient", "resident", "month", "year", "week", "case", "stay", "admission", "visit", "hospital",
         "doctor", "nurse", "kopf", "tag", "bett", "einwohner", "habitant", "habitante", "lit", "jour", "letto", "giorno", "abitante", "cama", "leito"}  # fmt: skip
