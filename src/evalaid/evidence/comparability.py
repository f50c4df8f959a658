"""Published figures one by one, and whether two of them may be compared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from evalaid.base.partial_dates import earliest_day, latest_day, name_dates, years_between
from evalaid.base.rounding import Figure

KIND_WORDS = {
    "year": "full year",
    "half_year": "half-year",
    "cumulative": "cumulative part of a year",
    "to_date": "count up to a date",
    "point": "point in time",
    "span": "span of several years",
    "unstated": "unstated period",
}
"""How each kind of period is called in a sentence."""

EPIDEMIC = (dt.date(2020, 1, 1), dt.date(2022, 12, 31))
"""When the epidemic kept patients at home (general knowledge, not from the sources)."""

BASE_BREAK = dt.date(2024, 1, 1)
"""From here on the national indicator counts insured persons (monitoring system for county medical communities, 2024)."""

INPATIENT_SHARE = "county_inpatient_share"


@dataclass(frozen=True)
class Fact:
    """One published figure.

    Parameters
    ----------
    fact_id, programme, place, place_name, coverage, indicator, indicator_text, measure, base : str
        As in ``facts.csv``.
    period_start, period_end : str
        Day, month or year; empty when unstated.
    period_kind : str
        "year", "half_year", "cumulative", "to_date", "point", "span" or "unstated".
    value : float
        In ``unit``; NaN for a date.
    unit : str
        As published: %, pp, counties, 10k person-times, ...
    digits : int
        Decimals as published.
    qualifier : str
        "exact", "rounded", "about", "more_than", "at_least", "nearly", "derived" or "date".
    derived : bool
        Whether the figure was computed from others (``arithmetic``) and not published itself.
    confidence, note, source : str
        How firm, what to know, where it stands.
    figure : Figure
        The value with the interval that its rounding leaves open.
    """

    fact_id: str
    programme: str
    place: str
    place_name: str
    coverage: str
    indicator: str
    indicator_text: str
    measure: str
    base: str
    period_start: str
    period_end: str
    period_kind: str
    value: float
    unit: str
    digits: int
    qualifier: str
    derived: bool
    confidence: str
    note: str
    source: str
    figure: Figure

    @property
    def start(self) -> dt.date | None:
        """First day of the period, None when unstated."""
        return earliest_day(self.period_start)

    @property
    def end(self) -> dt.date | None:
        """Last day of the period, None when unstated."""
        return latest_day(self.period_end)

    @property
    def middle(self) -> dt.date | None:
        """Middle of a period whose kind and ends are stated, else None."""
        if self.period_kind == "unstated" or self.start is None or self.end is None:
            return None
        return self.start + (self.end - self.start) / 2

    @property
    def when(self) -> str:
        """The period in words."""
        return name_dates(self.period_start, self.period_end)

    @property
    def one_sided(self) -> bool:
        """Whether only a bound was published ("above 90")."""
        return self.qualifier in {"more_than", "at_least", "nearly"}


@dataclass(frozen=True)
class LikeForLike:
    """Check whether two figures are like for like.

    Parameters
    ----------
    from_fact, to_fact : str
        Ids of the figures.
    alike : bool
        Whether their difference is a change of one thing.
    reasons : tuple of str
        Why not; empty when alike.
    remarks : tuple of str
        What does not forbid the comparison but must be said with it.
    """

    from_fact: str
    to_fact: str
    alike: bool
    reasons: tuple[str, ...]
    remarks: tuple[str, ...]


def compare_facts(one: Fact, other: Fact) -> LikeForLike:
    """Compare two figures: indicator, place, base, period, and how each is stated.

    Assumes that what a source leaves unstated is unknown. Two figures with an unstated base or coverage are taken as alike
    in it only when they come from the same source.

    Examples
    --------
    >>> from evalaid.evidence.published_facts import Facts
    >>> facts = Facts.read("data/published")
    >>> compare_facts(facts["F141"], facts["F142"]).reasons
    ('unlike indicators: county_inpatient_share against county_visit_share',)
    """
    reasons = (
        *_unlike_matter(one, other),
        *_unlike_base(one, other),
        *_unlike_period(one, other),
        *_no_figure(one, other),
    )
    return LikeForLike(one.fact_id, other.fact_id, not reasons, reasons, tuple(_remarks(one, other)))


def years_apart(one: Fact, other: Fact) -> float | None:
    """Measure the time between the middles of two periods.

    Examples
    --------
    >>> from evalaid.evidence.published_facts import Facts
    >>> facts = Facts.read("data/published")
    >>> years_apart(facts["F003"], facts["F001"]), years_apart(facts["F048"], facts["F001"])
    (2.0, None)
    """
    if one.middle is None or other.middle is None:
        return None
    return round(years_between(one.middle, other.middle), 2)


def _unlike_matter(one: Fact, other: Fact) -> Iterator[str]:
    for what, a, b in (
        ("indicators", one.indicator, other.indicator),
        ("measures", one.measure, other.measure),
        ("units", one.unit, other.unit),
        ("places", f"{one.place} {one.place_name}", f"{other.place} {other.place_name}"),
    ):
        if a != b:
            yield f"unlike {what}: {a} against {b}"
    if one.coverage != other.coverage and one.place == other.place:
        yield f"unlike coverage: {one.coverage} against {other.coverage}"
    elif one.coverage == "unstated" and one.source != other.source:
        yield "coverage unstated in two sources: nothing says that the same counties are counted"


def _unlike_base(one: Fact, other: Fact) -> Iterator[str]:
    if one.base != other.base:
        yield f"unlike bases: {one.base} against {other.base}"
    elif one.base == "unstated" and one.source != other.source:
        yield "base unstated in two sources: residents, registered and insured persons give different shares"
    days = [day for day in (one.end or one.start, other.end or other.start) if day is not None]
    national = one.indicator == other.indicator == INPATIENT_SHARE and one.base == other.base == "unstated"
    if national and len(days) == 2 and min(days) < BASE_BREAK <= max(days):
        yield "the national indicator changed its base to insured persons in 2024, between the two figures"


def _unlike_period(one: Fact, other: Fact) -> Iterator[str]:
    if "unstated" in {one.period_kind, other.period_kind}:
        unstated = [fact for fact in (one, other) if fact.period_kind == "unstated"]
        yield "period unstated: " + ", ".join(f"{fact.fact_id} ({fact.when})" for fact in unstated)
    elif one.period_kind != other.period_kind:
        a, b = (f"{KIND_WORDS[fact.period_kind]} ({fact.when})" for fact in (one, other))
        yield f"unlike periods: {a} against {b}"
    elif one.period_kind in {"half_year", "cumulative"} and _season(one) != _season(other):
        yield f"unlike parts of the year: {one.when} against {other.when}"


def _season(fact: Fact) -> tuple[int, ...]:
    return tuple(part for day in (fact.start, fact.end) if day is not None for part in (day.month, day.day))


def _no_figure(one: Fact, other: Fact) -> Iterator[str]:
    for fact in (one, other):
        if fact.measure == "date":
            yield f"{fact.fact_id} is a date, not a figure"
        elif fact.measure == "target":
            yield f"{fact.fact_id} is a target, not an outcome"
        elif fact.one_sided:
            yield f"{fact.fact_id} is a bound ({fact.qualifier.replace('_', ' ')} {fact.value:g}), not a figure"


def _remarks(one: Fact, other: Fact) -> Iterator[str]:
    for fact in (one, other):
        if fact.derived:
            yield f"{fact.fact_id} is derived, not published"
        if fact.confidence != "high":
            yield f"{fact.fact_id} is known with {fact.confidence} confidence"
        if fact.qualifier == "about":
            yield f"{fact.fact_id} is stated as 'about': taken as rounded to its last digit"
        if fact.start is not None and fact.end is not None and fact.end >= EPIDEMIC[0] and fact.start <= EPIDEMIC[1]:
            yield f"{fact.fact_id} ({fact.when}) lies in the epidemic"
    if one.base == other.base == "unstated" and one.source == other.source:
        yield "the base is unstated; both figures come from one source"
