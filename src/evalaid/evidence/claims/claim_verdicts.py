"""A verdict in one line for every claim: `judge` takes all claims, or those of a programme."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from evalaid.evidence.claims.claim_checks import check_dates
from evalaid.evidence.claims.published_claims import NO_BASELINE, Claim, Claims, claim_row, claim_years, raw_change
from evalaid.evidence.claims.remainders import range_left, tell_left, unlike_between
from evalaid.evidence.published_facts import Change, Facts

VERDICTS = ("identified", "bounded", "not identified")
"""From the strongest to the weakest."""


def judge(claims: Claims) -> pd.DataFrame:
    """Return the verdict on each claim in one line, with the reasons and the data that would settle it.

    ::

        identified      like for like, a date lies between the figures, and a like comparison is published (parallel trends)
        bounded         like for like, a date lies between the figures, and all published figures leave one sign
        not identified  everything else; with bounds where only the sign is open

    Examples
    --------
    >>> table = judge(Claims.read("data/published")).set_index("key")
    >>> table.loc[["gd_share_2020", "xinyi_rank_2022"], "verdict"].tolist()
    ['not identified', 'not identified']
    """
    dates = check_dates(claims)
    rows = []
    for claim in claims.claims:
        findings = dates.loc[dates["claim_id"] == claim.claim_id, "finding"].tolist()
        reasons = tuple(_reasons_against(claims.facts, claim, findings))
        verdict, lower, upper, made_by = "not identified", math.nan, math.nan, ""
        change = raw_change(claims.facts, claim)
        if not reasons and change is not None:
            verdict, reasons, (lower, upper), made_by = _what_is_left(claims.facts, claim, change)
        bounds = {"lower": lower, "upper": upper, "unit": "pp", "digits": 1}
        said = {
            "reason": "; ".join(reasons),
            "repeat": claim.repeat,
            "settle": claim.settle,
            "note": "; ".join(claim.limits),
        }
        rows.append(claim_row(claim, programme=claim.programme, verdict=verdict, **bounds, **said, made_by=made_by))
    names = ["key", "programme", "label", "verdict", "reason", "lower", "upper", "unit", "digits", "repeat", "settle",
             "made_by", "note"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def _reasons_against(facts: Facts, claim: Claim, findings: Sequence[str]) -> Iterator[str]:
    """Return why a claim is not even bounded; nothing when it is."""
    change = raw_change(facts, claim)
    if facts[claim.value_fact].measure == "dose":
        yield "it states what was given, not what came of it"
    if change is None:
        yield NO_BASELINE
    if findings and set(findings) == {"precedes"}:
        yield "the figure is from before the partnership"
    elif not claim.dates or "latest" in findings:
        yield "the start of the partnership is unknown"
    elif change is not None and change.from_fact and "separates" not in findings:
        yield "no date of the partnership lies clearly between the two figures"
    if change is not None:
        yield from change.reasons
        if not claim.trend_fact:
            yield "no published figure says how the outcome moved without the programme"


def _what_is_left(facts: Facts, claim: Claim, change: Change) -> tuple[str, tuple[str, ...], tuple[float, float], str]:
    """Return verdict, reasons, bounds and origin for a claim that nothing speaks against."""
    left = range_left(facts, claim, change)
    years = claim_years(facts, claim)
    made_by = f"{change.made_by}, without the programme between none and twice {claim.trend_fact} for {years:g} years"
    for fact_id in filter(None, (claim.elsewhere_fact, claim.later_after)):
        made_by += f", or as {fact_id} says"
    ends = (left.low, left.high)
    if claim.comparison_before and claim.comparison_after and not unlike_between(facts, claim):
        return "identified", ("like for like, with a like comparison; if both would have changed alike",), ends, made_by
    if left.low < 0 < left.high:
        reason = f"the sign is not identified: published figures leave {tell_left(facts, claim, change)}"
        return "not identified", (reason,), ends, made_by
    reason = "like for like, but no untreated county is published: only assumptions on the trend bound the effect"
    return "bounded", (reason,), ends, made_by
