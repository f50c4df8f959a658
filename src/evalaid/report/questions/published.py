"""The published claims on a programme, as frames for a notebook: verdicts counted, bounds laid out, words on them."""

from __future__ import annotations

import pandas as pd

from evalaid.base.errors import StudyError
from evalaid.did.sensitivity.bounds.assumptions import ASSUMPTIONS
from evalaid.evidence.claims.claim_checks import check_alike, check_dates
from evalaid.evidence.claims.claim_verdicts import VERDICTS, judge
from evalaid.evidence.claims.published_claims import Claims
from evalaid.evidence.claims.remainders import EVERY_FIGURE, EVERY_FIGURE_LABEL, bound_claims, find_breakdown
from evalaid.report.questions.effect_rows import list_values
from evalaid.study.sources import read_claims
from evalaid.study.spec import StudySpec

AS_AN_EFFECT = "may be repeated"
AS_A_CHANGE = "may be repeated as a raw change only"
AS_A_GROWTH = "may be repeated as a growth without levels, with who said it"
AS_A_FIGURE = "may be repeated as a figure only"
NOT_AT_ALL = "may not be repeated"
REPEATS = (AS_AN_EFFECT, AS_A_CHANGE, AS_A_GROWTH, AS_A_FIGURE, NOT_AT_ALL)


def claims_of(spec: StudySpec) -> Claims:
    """Return the published claims on the study's programme."""
    if spec.claims is None:
        raise StudyError(f"The study '{spec.study}' names no programme in claims: there are no claims to examine.")
    return read_claims().of(spec.claims)


def bounds_of(claims: Claims) -> pd.DataFrame:
    """Bound the effect behind each claim, with the labels that a figure needs.

    As `evalaid.evidence.claims.remainders.bound_claims`, with ``claim`` and ``assumption_label``; ``label`` is the claim alone.
    """
    frame = bound_claims(claims)
    if frame.empty:
        return frame.assign(claim="", assumption_label="")
    names = frame["claim_id"].map({claim.claim_id: claim.label for claim in claims.claims})
    return frame.assign(
        claim=names,
        label=names,
        assumption_label=frame["assumption"].map({**ASSUMPTIONS, EVERY_FIGURE: EVERY_FIGURE_LABEL}),
    )


def breakdown_of(claims: Claims) -> pd.DataFrame:
    """Return what it takes for nothing to be left of each claim, with the claim and the question in two columns.

    As `evalaid.evidence.claims.remainders.find_breakdown`, with ``what``; ``label`` is the claim alone.
    """
    frame = find_breakdown(claims)
    names = frame["claim_id"].map({claim.claim_id: claim.label for claim in claims.claims})
    return frame.assign(what=[text.partition(": ")[2] for text in frame["label"]], label=names)


def judge_repeats(claims: Claims) -> pd.DataFrame:
    """Judge of each claim whether a reader may repeat it, only as a raw change, only as a figure, or not at all.

    ::

        may be repeated                       the effect is identified
        may be repeated as a raw change only  the two figures are like for like and not from before the partnership
        ... as a growth without levels        only a growth is published: to be repeated with who said it
        may be repeated as a figure only      one figure is published, and no change is claimed
        may not be repeated                   everything else

    As `evalaid.evidence.claims.claim_verdicts.judge`, with ``may`` (one of `REPEATS`).
    """
    frame, alike, dates = judge(claims), check_alike(claims).set_index("key")["alike"], check_dates(claims)
    too_early = set(dates.loc[dates["finding"] == "precedes", "claim_id"])
    alone = [claim for claim in claims.claims if not claim.baseline_fact]
    figures = {claim.claim_id for claim in alone if not claim.change_fact}
    growths = {claim.claim_id for claim in alone if claim.change_fact}

    def judge_one(key: str, verdict: str) -> str:
        if verdict == VERDICTS[0]:
            return AS_AN_EFFECT
        if alike[key] == "yes" and key not in too_early:
            return AS_A_CHANGE
        if key in too_early:
            return NOT_AT_ALL
        return AS_A_GROWTH if key in growths else AS_A_FIGURE if key in figures else NOT_AT_ALL

    return frame.assign(
        may=[judge_one(key, verdict) for key, verdict in zip(frame["key"], frame["verdict"], strict=True)]
    )


def count_verdicts(frame: pd.DataFrame) -> pd.DataFrame:
    """Count the claims by verdict.

    ``key``, ``label``, ``value``, ``unit``, ``digits``, ``made_by``.
    """
    rows = [("claims", "Published claims", len(frame), "count", 0)]
    for verdict in VERDICTS:
        key, number = verdict.replace(" ", "_"), int((frame["verdict"] == verdict).sum())
        rows.append((key, f"of these {verdict}", number, "count", 0))
    return list_values(rows, "count of the verdicts")
