"""Published claims held against themselves: figures as printed, like for like or not, before or after the partnership.

Every function takes all claims, or those of a programme.
"""

from __future__ import annotations

import datetime as dt
import math

import pandas as pd

from evalaid.base.partial_dates import earliest_day, latest_day, years_between
from evalaid.base.texts import join_texts
from evalaid.evidence.claims.published_claims import NO_BASELINE, Claim, Claims, claim_row, raw_change, shown
from evalaid.evidence.comparability import Fact
from evalaid.evidence.published_facts import Change, Facts

FINDINGS = {
    "precedes": "the figure is from before this date and cannot follow from it",
    "no_before": "both figures are from after this date: neither shows the time before",
    "baseline_treated": "the period of the earlier figure contains this date: it is partly treated",
    "value_partly": "the period of the claimed figure contains this date: it is only partly treated",
    "separates": "the date lies between the two figures",
    "within": "the change is measured over a time that contains this date",
    "no_baseline": NO_BASELINE,
    "latest": "the start is unknown, only that it was before this date: no figure is known to be untreated",
    "undated": "the period of a figure is unstated: it cannot be held against the date",
}
"""What the dates check can find."""


def list_claims(claims: Claims) -> pd.DataFrame:
    """List the claims in words.

    Examples
    --------
    >>> list_claims(Claims.read("data/published").of("yangxi_community"))["label"].tolist()
    ['Yangxi, fund balance']
    """
    names = ["key", "programme", "label", "claim", "indicator_zh", "limits", "source"]
    rows = [
        claim_row(
            claim,
            programme=claim.programme,
            claim=claim.claim,
            indicator_zh=claim.indicator_zh,
            limits="; ".join(claim.limits),
            source=claims.facts[claim.value_fact].source,
        )
        for claim in claims.claims
    ]
    return pd.DataFrame(rows, columns=names)


def show_figures(claims: Claims) -> pd.DataFrame:
    """Show the figures of each claim as published: the earlier one, the claimed one, the change.

    Examples
    --------
    >>> show_figures(Claims.read("data/published").of("guangdong_cluster"))["value"].round(1).tolist()[:3]
    [82.2, 86.9, 4.7]
    """
    rows = []
    for claim in claims.claims:
        for what, fact_id in (("earlier", claim.baseline_fact), ("claimed", claim.value_fact)):
            if fact_id and fact_id != claim.change_fact:
                rows.append(_figure_row(claim, what, claims.facts[fact_id]))
        change = raw_change(claims.facts, claim)
        if change is not None:
            rows.append(_change_row(claims.facts, claim, change))
    names = ["key", "claim_id", "label", "what", "value", "low", "high", "unit", "unit_text", "digits", "when", "base",
             "place", "fact_id", "made_by", "source", "note"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def check_alike(claims: Claims) -> pd.DataFrame:
    """Check for each claim whether the two figures behind it are like for like.

    Examples
    --------
    >>> check_alike(Claims.read("data/published").of("liannan_trusteeship"))["alike"].tolist()
    ['no', 'no']
    """
    rows = []
    for claim in claims.claims:
        value, change = claims.facts[claim.value_fact], raw_change(claims.facts, claim)
        earlier = _in_words(claims.facts[claim.baseline_fact]) if claim.baseline_fact else ""
        alike = "no comparison" if change is None else "yes" if change.alike else "no"
        reasons = (NO_BASELINE,) if change is None else change.reasons
        remarks = () if change is None else change.remarks
        said = {"earlier": earlier, "claimed": _in_words(value), "alike": alike}
        rows.append(claim_row(claim, **said, reason="; ".join(reasons), remark="; ".join(remarks)))
    return pd.DataFrame(rows, columns=["key", "label", "earlier", "claimed", "alike", "reason", "remark"])


def check_dates(claims: Claims) -> pd.DataFrame:
    """Compare the periods of each claim's figures with every date of its partnership.

    Assumes that a date known to the month or the year can be any day of it. An effect cannot precede its cause: a claimed
    figure that ends before the date is not an effect of what happened then.

    Examples
    --------
    >>> check_dates(Claims.read("data/published").of("xinyi_alliance"))["finding"].tolist()
    ['precedes', 'undated', 'within']
    """
    rows = []
    for claim in claims.claims:
        value = claims.facts[claim.value_fact]
        if claim.change_fact and not claim.baseline_fact:
            value = claims.facts[claim.change_fact]
        earlier = claims.facts[claim.baseline_fact] if claim.baseline_fact else None
        seen = "" if earlier is None else earlier.when
        periods = {"earlier": seen, "claimed": value.when}
        if not claim.dates:
            why = "no date of the partnership is published"
            rows.append(
                claim_row(claim, "none", **periods, date="", what="unknown", finding="undated", why=why, note="")
            )
        for number, milestone in enumerate(claim.dates, start=1):
            date = milestone.date
            finding = "latest" if milestone.latest else _find(date, earlier, value)
            after = math.nan
            start = earliest_day(date)
            if value.middle is not None and start is not None and value.measure not in {"growth", "change"}:
                after = round(years_between(start, value.middle), 1)
            note = "; ".join(
                f"{fact.fact_id}: {fact.note}" for fact in (value, earlier) if fact is not None and fact.note
            )
            said = {"date": date, "what": milestone.what, "finding": finding, "why": FINDINGS[finding]}
            rows.append(claim_row(claim, f"date_{number}", **periods, **said, years_after=after, note=note))
    names = ["key", "claim_id", "label", "date", "what", "earlier", "claimed", "finding", "why", "years_after", "note"]
    return pd.DataFrame(rows, columns=names)


def _figure_row(claim: Claim, what: str, fact: Fact) -> dict[str, object]:
    stated = fact.qualifier.replace("_", " ")
    note = join_texts(("" if stated in {"exact", "rounded"} else f"stated as: {stated}", fact.note))
    return claim_row(
        claim,
        what,
        what=what,
        **shown(fact.figure, fact.unit, fact.digits),
        **_origin(fact),
        unit_text=fact.unit,
        when=fact.when,
        fact_id=fact.fact_id,
        made_by=f"published figure {fact.fact_id}",
        note=note,
    )


def _change_row(facts: Facts, claim: Claim, change: Change) -> dict[str, object]:
    fact = facts[claim.change_fact or claim.value_fact]
    note, when = "", fact.when
    if change.from_fact:
        note = "" if change.alike else "arithmetic illustration: the figures are unlike"
        when = f"{facts[change.to_fact].when} against {facts[change.from_fact].when}"
    return claim_row(
        claim,
        "change",
        what="change",
        **shown(change.figure, change.unit, change.digits),
        **_origin(fact),
        unit_text=change.unit,
        when=when,
        fact_id=claim.change_fact,
        made_by=change.made_by,
        note=note,
    )


def _origin(fact: Fact) -> dict[str, object]:
    return {"base": fact.base, "place": fact.place_name, "source": fact.source}


def _in_words(fact: Fact) -> str:
    base = "" if fact.base == "not applicable" else f", base {fact.base}"
    return f"{fact.when}, {fact.place_name}{base}"


def _find(date: str, earlier: Fact | None, value: Fact) -> str:
    first, last = earliest_day(date), latest_day(date)
    if first is None or last is None:
        return "undated"
    if value.end is not None and value.end < first:
        return "precedes"
    grown = value.measure in {"growth", "change"}
    if earlier is None and not grown:
        return "no_baseline"
    if value.start is None or value.end is None or value.period_kind == "unstated":
        return "undated"
    if earlier is None or grown:
        return "within" if value.start <= last else "no_before"
    return _between(first, last, earlier, value.start)


def _between(first: dt.date, last: dt.date, earlier: Fact, start: dt.date) -> str:
    if earlier.start is None or earlier.end is None or earlier.period_kind == "unstated":
        return "undated"
    if earlier.start > last:
        return "no_before"
    if earlier.end >= first:
        return "baseline_treated"
    return "separates" if last <= start else "value_partly"
