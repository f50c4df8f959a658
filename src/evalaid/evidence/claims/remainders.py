"""What the raw change behind a claim contains: an earlier trend, the change elsewhere, and what bounds leave of it.

The functions that give a table take all claims, or those of a programme.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from evalaid.base.errors import FactsError
from evalaid.base.partial_dates import years_between
from evalaid.base.rounding import Figure
from evalaid.base.texts import join_texts
from evalaid.did.sensitivity.bounds.bounds import Bounds, bound_effect
from evalaid.evidence.claims.published_claims import (
    Claim,
    Claims,
    claim_row,
    claim_years,
    finite,
    raw_change,
    reported_unit,
    shown,
)
from evalaid.evidence.comparability import Fact, years_apart
from evalaid.evidence.published_facts import Change, Facts

EVERY_FIGURE, EVERY_FIGURE_LABEL = "every_figure", "none to twice the earlier trend, every other published figure"
"""The bounds that every published figure widens, and what they assume of the change without the programme."""

SHARE_RANGE = (0.0, 100.0)
"""Range of a share in per cent."""

_ILLUSTRATION = "arithmetic illustration: the figures are unlike"
_BOUNDS = ["key", "assumption", "label", "m", "lower", "upper", "sign", "unit", "note", "claim_id", "years", "alike", "digits",
           "made_by"]  # fmt: skip
_BREAKDOWN = ["key", "claim_id", "assumption", "label", "value", "low", "high", "unit", "digits", "made_by", "note"]
_PARTS = ["key", "claim_id", "label", "what", "value", "low", "high", "unit", "digits", "made_by", "note"]


def decompose(claims: Claims) -> pd.DataFrame:
    """Split the raw change of each claim into what an earlier trend, or the change elsewhere, would give, and the rest.

    Assumes, row by row, what the row says: that the earlier trend went on at its pace, or that the place changed as others
    did. None of these is an estimate; each is arithmetic with published figures.

    Examples
    --------
    >>> parts = decompose(Claims.read("data/published").of("guangdong_cluster")).set_index("key")["value"]
    >>> parts[["gd_share_2020.raw", "gd_share_2020.trend", "gd_share_2020.after_trend"]].round(1).tolist()
    [4.7, 2.2, 2.5]
    """
    rows = [row for claim, change in _changes(claims) for row in _parts(claims.facts, claim, change)]
    return pd.DataFrame(rows, columns=_PARTS)


def bound_claims(claims: Claims, m: Sequence[float] = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)) -> pd.DataFrame:
    """Bound the effect behind each claim that gives a change in percentage points.

    Assumes what each row says (see `evalaid.did.sensitivity.bounds.bounds.bound_effect`). Where the length of the change is unstated,
    M is for the whole time.

    Examples
    --------
    >>> frame = bound_claims(Claims.read("data/published").of("guangdong_cluster"), m=[1.0]).set_index("key")
    >>> frame.loc["gd_share_2020.trend_continued.m_1", ["lower", "upper"]].round(2).tolist()
    [0.35, 4.65]
    """
    tables = []
    for claim, change in _changes(claims):
        if change.unit == "pp":
            years = claim_years(claims.facts, claim)
            frame = bound_claim(claims.facts, claim, change, m).frame
            note = "" if change.alike else _ILLUSTRATION
            if claim.trend_fact and years is not None:
                frame = pd.concat([frame, _every_figure(claims.facts, claim, change)], ignore_index=True)
            tables.append(
                frame.assign(
                    key=f"{claim.claim_id}." + frame["key"],
                    claim_id=claim.claim_id,
                    label=f"{claim.label}: " + frame["label"],
                    lower=frame["lower"].map(finite),
                    upper=frame["upper"].map(finite),
                    note=[join_texts((text, note)) for text in frame["note"]],
                    years=math.nan if years is None else years,
                    alike="yes" if change.alike else "no",
                    digits=2,
                    made_by=f"bounded variation, {change.made_by}",
                )
            )
    if not tables:
        return pd.DataFrame(columns=_BOUNDS)
    return pd.concat(tables, ignore_index=True)


def find_breakdown(claims: Claims) -> pd.DataFrame:
    """Compute for each claim with a change what would have had to happen without the programme for nothing to be left.

    Examples
    --------
    >>> table = find_breakdown(Claims.read("data/published").of("guangdong_cluster")).set_index("key")["value"]
    >>> table[["gd_share_2020.per_period", "gd_share_2020.trend_multiple"]].round(2).tolist()
    [2.35, 2.14]
    """
    tables = []
    for claim, change in _changes(claims):
        frame = bound_claim(claims.facts, claim, change, (0.0,)).breakdown
        if change.unit != "pp" or claim_years(claims.facts, claim) is None:
            frame = frame[frame["key"] == "counterfactual_change"]
        note = "" if change.alike or not change.from_fact else _ILLUSTRATION
        own = frame["unit"] == change.unit
        tables.append(
            frame.assign(
                key=f"{claim.claim_id}." + frame["key"],
                claim_id=claim.claim_id,
                label=f"{claim.label}: " + frame["label"],
                unit=frame["unit"].where(~own, reported_unit(change.unit)),
                low=frame["low"].map(finite),
                high=frame["high"].map(finite),
                digits=change.digits if change.unit != "pp" else 2,
                made_by=change.made_by,
                note=note,
            )
        )
    return pd.concat(tables, ignore_index=True)[_BREAKDOWN] if tables else pd.DataFrame(columns=_BREAKDOWN)


def compare_published(claims: Claims) -> pd.DataFrame:
    """Difference the change of each claim with that of a published comparison, where there is one.

    Assumes that the place would have changed as its comparison did. Every unlikeness is named: of the two figures of each
    place, and between the places (period, base). With one, the difference is an arithmetic illustration.

    Source
    ------
    The two-by-two comparison of Card and Krueger (1994), American Economic Review 84(4), 772-793;
    https://www.jstor.org/stable/2118030

    Examples
    --------
    >>> table = compare_published(Claims.read("data/published").of("liannan_trusteeship"))
    >>> table["value"].round(1).tolist(), table["alike"].tolist()
    ([9.1, 3.4, 5.7], ['no', 'no', 'no'])
    """
    rows = []
    for claim, own in _changes(claims):
        if not (claim.comparison_before and claim.comparison_after):
            continue
        other = claims.facts.change(claim.comparison_before, claim.comparison_after, unlike="show")
        between = unlike_between(claims.facts, claim)
        every = tuple(dict.fromkeys((*own.reasons, *other.reasons, *between)))
        names = claims.facts[claim.value_fact].place_name, claims.facts[claim.comparison_after].place_name
        for part, what, figure, reasons, made_by in (
            ("own", f"own change ({names[0]})", own.figure, own.reasons, own.made_by),
            ("comparison", f"change of the comparison ({names[1]})", other.figure, other.reasons, other.made_by),
            ("difference", "difference", own.figure - other.figure, every, f"{own.made_by} less {other.made_by}"),
        ):
            note = _ILLUSTRATION if reasons else "an effect only if both would have changed alike"
            columns = shown(figure, own.unit, own.digits)
            alike = {"alike": "no" if reasons else "yes", "reason": "; ".join(reasons)}
            rows.append(claim_row(claim, part, what=what, **columns, **alike, made_by=made_by, note=note))
    return pd.DataFrame(rows, columns=[*_PARTS[:-2], "alike", "reason", *_PARTS[-2:]])


def yearly_trend(facts: Facts, fact_id: str) -> Figure:
    """Compute a published change between two known figures per year, in its own unit.

    Examples
    --------
    >>> from evalaid.evidence.published_facts import Facts
    >>> round(yearly_trend(Facts.read("data/published"), "F088b").value, 2)
    1.1
    """
    return facts[fact_id].figure / Figure.exact(_trend_years(facts, fact_id))


def bound_claim(facts: Facts, claim: Claim, change: Change, m: Sequence[float]) -> Bounds:
    """Bound the effect behind one claim.

    Assumes what each row of the result says (see `evalaid.did.sensitivity.bounds.bounds.bound_effect`).

    Examples
    --------
    See `bound_claims`.
    """
    value = facts[claim.value_fact]
    years = claim_years(facts, claim)
    share = change.unit == "pp" and value.indicator.endswith("_share")
    comparison = None
    if claim.comparison_before and claim.comparison_after:
        comparison = facts.change(claim.comparison_before, claim.comparison_after, unlike="show").figure
    return bound_effect(
        change=change.figure,
        after=value.figure if share else None,
        comparison=comparison,
        trend=yearly_trend(facts, claim.trend_fact) if claim.trend_fact and years is not None else None,
        m=m,
        periods=years or 1.0,
        floor=SHARE_RANGE[0] if share else None,
        ceiling=SHARE_RANGE[1] if share else None,
        unit=change.unit,
    )


def _every_figure(facts: Facts, claim: Claim, change: Change) -> pd.DataFrame:
    """Return the row of `bound_claims` that holds every published figure against the change."""
    left = range_left(facts, claim, change)
    sign = "positive" if left.low > 0 else "negative" if left.high < 0 else "open"
    row = {
        "key": EVERY_FIGURE,
        "assumption": EVERY_FIGURE,
        "label": EVERY_FIGURE_LABEL,
        "m": math.nan,
        "unit": change.unit,
    }
    return pd.DataFrame([{**row, "lower": left.low, "upper": left.high, "sign": sign, "note": ""}])


def unlike_between(facts: Facts, claim: Claim) -> tuple[str, ...]:
    """List what keeps a place and its comparison apart, other than being two places: periods, bases, indicators; each once.

    Examples
    --------
    >>> claims = Claims.read("data/published")
    >>> unlike_between(claims.facts, claims.of("liannan_trusteeship").claims[0])[0]
    'unlike bases: unstated against resident'
    """
    pairs = ((claim.baseline_fact, claim.comparison_before), (claim.value_fact, claim.comparison_after))
    reasons = [reason for one, other in pairs for reason in facts.like_for_like(one, other).reasons]
    return tuple(dict.fromkeys(reason for reason in reasons if not reason.startswith("unlike places")))


def _changes(claims: Claims) -> Iterator[tuple[Claim, Change]]:
    """Go through the claims behind which there is a change."""
    for claim in claims.claims:
        change = raw_change(claims.facts, claim)
        if change is not None:
            yield claim, change


def range_left(facts: Facts, claim: Claim, change: Change) -> Figure:
    """Compute the range of what every published figure that speaks to a claim leaves of its change, roundings included.

    Without the programme: none to twice the earlier trend, the earlier trend and then the change elsewhere, the change of a
    published comparison, and what a later figure leaves.
    """
    years, left = claim_years(facts, claim), [change.figure]
    if claim.trend_fact and years is not None:
        left.append(change.figure - Figure.exact(2 * years) * yearly_trend(facts, claim.trend_fact))
    if claim.comparison_before and claim.comparison_after:
        elsewhere = facts.change(claim.comparison_before, claim.comparison_after, unlike="show")
        left.append(change.figure - elsewhere.figure)
    left += [step.figure for step in _steps(facts, claim, change) if step.left]
    return Figure(change.figure.value, min(figure.low for figure in left), max(figure.high for figure in left))


def tell_left(facts: Facts, claim: Claim, change: Change) -> str:
    """List what each piece of arithmetic with published figures leaves of a change, in words."""
    return ", ".join(
        f"{step.figure.value:+.1f} ".replace("-", "\N{MINUS SIGN}") + f"{step.what.removeprefix('left ')}"
        for step in _steps(facts, claim, change)
        if step.left
    )


@dataclass(frozen=True)
class _Step:
    """One line of the arithmetic on a change; ``left`` says whether it is what remains for the programme."""

    name: str
    what: str
    figure: Figure
    made_by: str
    note: str = ""
    left: bool = False


def _steps(facts: Facts, claim: Claim, change: Change) -> Iterator[_Step]:
    years = claim_years(facts, claim)
    yield _Step("raw", "raw change", change.figure, change.made_by, "before against after, nothing taken off")
    if not claim.trend_fact or years is None:
        return
    trend, fact, place = yearly_trend(facts, claim.trend_fact), facts[claim.trend_fact], facts[claim.value_fact].place
    whose = "" if fact.place == place else f"the trend is that of {fact.place_name}, not of the place itself"
    held = Figure.exact(years) * trend
    by = f"{_years(years)} x {claim.trend_fact}"
    yield _Step("trend", f"earlier trend continued ({fact.when}; {_years(years)})", held, by, whose)
    less = f"{change.made_by} less {by}"
    yield _Step("after_trend", "left beside the earlier trend", change.figure - held, less, whose, left=True)
    if claim.elsewhere_fact:
        yield from _steps_elsewhere(facts, claim, change, trend, years)
    if claim.later_after:
        yield from _steps_later(facts, claim, trend)


def _steps_elsewhere(facts: Facts, claim: Claim, change: Change, trend: Figure, years: float) -> Iterator[_Step]:
    other, span = facts[claim.elsewhere_fact], _trend_years(facts, claim.elsewhere_fact)
    where = f"{other.coverage}, {other.place_name}: other counties and full years"
    yield _Step("elsewhere", f"change elsewhere ({other.when})", other.figure, f"published as {other.fact_id}", where)
    before = max(years - span, 0.0)
    both = Figure.exact(before) * trend + other.figure
    by = f"{_years(before)} x {claim.trend_fact} + {other.fact_id}"
    yield _Step("trend_and_elsewhere", "earlier trend, then the change elsewhere", both, by, where)
    what = "left beside earlier trend and change elsewhere"
    yield _Step("after_both", what, change.figure - both, f"{change.made_by} less ({by})", where, left=True)


def _steps_later(facts: Facts, claim: Claim, trend: Figure) -> Iterator[_Step]:
    one, other = facts[claim.later_before], facts[claim.later_after]
    later = facts.change(one.fact_id, other.fact_id, unlike="show")
    years = _years_until(one, other)
    unlike = _ILLUSTRATION if not later.alike else ""
    yield _Step("later", f"change to a later figure ({one.when} to {other.when})", later.figure, later.made_by, unlike)
    held, by = Figure.exact(years) * trend, f"{_years(years)} x {claim.trend_fact}"
    yield _Step("later_trend", f"earlier trend continued over that time ({_years(years)})", held, by)
    what = "left of the later figure beside the earlier trend"
    yield _Step("after_later", what, later.figure - held, f"{later.made_by} less {by}", unlike, left=True)


def _parts(facts: Facts, claim: Claim, change: Change) -> Iterator[dict[str, object]]:
    unlike = "" if change.alike or not change.from_fact else _ILLUSTRATION
    for step in _steps(facts, claim, change):
        columns = shown(step.figure, change.unit, change.digits)
        note = join_texts((unlike, step.note))
        yield claim_row(claim, step.name, what=step.what, **columns, made_by=step.made_by, note=note)


def _years_until(one: Fact, other: Fact) -> float:
    """Measure whole years from the middle of one period to that of another, or to its end where the period is unstated."""
    end = other.middle or other.end
    if one.middle is None or end is None:
        raise FactsError(
            f"{other.fact_id} ({other.when}) is not later than {one.fact_id} ({one.when}) by a known time."
        )
    return float(round(years_between(one.middle, end)))


def _trend_years(facts: Facts, fact_id: str) -> float:
    ends = facts.frame.loc[facts.frame["fact_id"] == fact_id, ["from_fact", "to_fact"]].iloc[0]
    apart = years_apart(facts[ends["from_fact"]], facts[ends["to_fact"]]) if all(ends) else None
    return apart or 1.0


def _years(number: float) -> str:
    return f"{number:g} year{'' if number == 1 else 's'}"
