"""The sentences that an answer is told in, chosen by its verdict, with its numbers written as a reader reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from markupsafe import Markup

from evalaid.base.effect_columns import TREATED_CLUSTERS
from evalaid.report.site.answer import Answer, Point, ThreatRow
from evalaid.report.verdict import SHOWN
from evalaid.report.wording.language import Catalogue
from evalaid.report.wording.prose import format_value

_SENTENCE = re.compile(r".*?(?:[.!?](?=\s+[^\sa-z])|[\u3002\uff01\uff1f])", re.DOTALL)


def write_numbers(answer: Answer, words: Catalogue) -> dict[str, str]:
    """Return the numbers of an answer as they stand in sentences."""

    def write(value: float | None, digits: int = 1, *, sign: bool = True) -> str:
        if value is None:
            return ""
        return write_unit(answer, words, format_value(value, "number", digits, signed=sign))

    low, high = answer.ends or (None, None)
    far = None if low is None or high is None else (high if abs(high) >= abs(low) else low)
    return {
        "estimate": write(answer.estimate),
        "size": write(None if answer.estimate is None else abs(answer.estimate), sign=False),
        "low": ""
        if low is None
        else format_value(low, "number", 1, signed=True),  # the unit stands behind the upper end
        "high": write(high),
        "far": write(far),
        "smallest": write(answer.smallest, sign=False),
        "findable": write(answer.findable, sign=False),
        "truth": write(answer.truth),
        "level": f"{answer.level:.0%}",
    }


def write_unit(answer: Answer, words: Catalogue, value: str) -> str:
    """Return a number as text with the unit of an answer; that of an index is none."""
    if words.has(f"unit.{answer.unit}"):
        return words(f"unit.{answer.unit}", value=value)
    return value if answer.unit == "number" else f"{value} {answer.unit}"


def tell_verdict(answer: Answer, words: Catalogue, names: Mapping[str, str]) -> dict[str, str]:
    """Return the verdict, its sentence, and the truth that was put in; no number of a simulated panel stands without that word."""
    truth = answer.simulated and answer.truth is not None
    return {
        "verdict": words(f"verdict.{answer.verdict}"),
        "sentence": _choose("simulated_sentence" if answer.simulated else "sentence", answer, words, names),
        "truth": _fill("sentence.truth", words, names) if truth else "",
    }


def tell_finding(answer: Answer, words: Catalogue, names: Mapping[str, str]) -> dict[str, str]:
    """Return all sentences of an answer: the finding, its verdict, and what may and may not be said; ``names`` knows the outcome.

    Numbers may be links already (`Markup`); everything else is escaped.
    """
    if answer.simulated and answer.truth is not None:
        may = _fill("may.simulated" if answer.estimate is not None else "may.simulated_none", words, names)
    else:
        may = _choose("may", answer, words, names)
    return {
        **tell_verdict(answer, words, names),
        "finding": _choose("simulated_finding" if answer.simulated else "finding", answer, words, names),
        "may": may,
        "may_not": words("may_not.simulated") if answer.simulated else _choose("may_not", answer, words, names),
    }


def list_facts(answer: Answer, words: Catalogue, spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return who was compared with whom, and from what."""
    counts = answer.counts
    rows = [(words("facts.programme"), first_sentence(str(spec["programme"])))]
    if {"units", "clusters", TREATED_CLUSTERS} <= set(counts):
        compared = words(
            "facts.units_alone" if counts["units"] == counts["clusters"] else "facts.units",
            n_units=counts["units"],
            units=spec["unit_label"],
            n_clusters=counts["clusters"],
            clusters=spec["cluster_label"],
            n_treated=counts[TREATED_CLUSTERS],
        )
        rows.append((words("facts.compared"), compared))
    if spec["data_notes"]:
        rows.append((words("facts.data"), "; ".join(str(source) for source in spec["sources"][:1])))
    return rows


def tell_event(answer: Answer, words: Catalogue) -> str:
    """Return what the event study shows: the range after the start, and which intervals leave out zero after and before it.

    Parameters
    ----------
    answer : Answer
        With its estimates by periods since the start.
    """
    after, before = ([point for point in answer.event if (point.time >= 0) is side] for side in (True, False))
    if not after:
        return words("event.none_after")
    ends = [format_value(at(point.estimate for point in after), "number", 1, signed=True) for at in (min, max)]

    def count(points: list[Point]) -> tuple[int, int]:
        found = [point.ends for point in points if point.ends is not None]
        return sum(low > 0 or high < 0 for low, high in found), len(found)

    (k, n), (before_k, before_n) = count(after), count(before)
    kind = "event.seen_plain" if not n else "event.seen" if before_n else "event.seen_after"
    far = write_unit(answer, words, ends[1])
    return words(kind, low=ends[0], high=far, k=k, n=n, before_k=before_k, before_n=before_n)


def tell_briefly(row: ThreatRow, words: Catalogue) -> str:
    """Return in few words what a threat does: the effects that it leaves open, or the first sentence of its result."""
    if row.reach is None:
        return first_sentence(row.result)
    low, high = (format_value(end, "number", 1, signed=True) for end in row.reach)
    return words("threats.alt", low=low, high=high)


def first_sentence(text: str) -> str:
    """Return a text up to the end of its first sentence.

    Examples
    --------
    >>> first_sentence("Trends, e.g. of 1.5 points, differ. More."), first_sentence("一句。两句。")
    ('Trends, e.g. of 1.5 points, differ.', '一句。')
    """
    found = _SENTENCE.match(" ".join(text.split()))
    return found.group() if found else text


def _choose(kind: str, answer: Answer, words: Catalogue, names: Mapping[str, str]) -> Markup:
    """Return a sentence of the answer's verdict, by its direction where the catalogue has one for each."""
    way = "down" if (answer.estimate or 0) < 0 else "up"
    for verdict in (answer.verdict, SHOWN):
        for key in (f"{kind}.{verdict}_{way}", f"{kind}.{verdict}"):
            if words.has(key):
                return _fill(key, words, names)
    raise KeyError(kind)


def _fill(key: str, words: Catalogue, names: Mapping[str, str]) -> Markup:
    return Markup(escape(words.words[key], quote=False)).format(**names)  # noqa: S704 (escaped here)
