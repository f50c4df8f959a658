"""What a report says of robustness: the question behind each threat, what is tried against it, and the verdicts in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalaid.report.verdict import FRAGILE
from evalaid.report.wording.language import load_catalogue


@dataclass(frozen=True)
class Asked:
    """A threat in words: the heading of its part, what could be wrong, what is tried, and what stands above the results."""

    title: str
    ask: str
    tried: str
    about: str


TRENDS = Asked(
    "Trends that were not parallel",
    "Trends would not have been parallel",
    "Let the trends diverge after the start by up to M times the largest divergence between two periods before it",
    "After the start, treated and comparison units may diverge. The violation between two periods is allowed to be up to M times "
    "the largest one before the start; at M = 1 the future is as disturbed as the past was. The second table lets a line bend "
    "instead: its slope may change by so much from one period to the next.",
)
PRETRENDS = (
    "Estimates before the start that are not significant are no proof: a divergence may be there and not be found. The table says "
    "which straight line would be found how often, what bias it leaves in the estimate, and what bias is left once the test has "
    "passed."
)
FEW_CLUSTERS = Asked(
    "Few clusters, few treated",
    "Few clusters, or few treated ones: the interval may be too short",
    "Cluster-robust errors of several kinds, the wild cluster bootstrap and randomisation inference",
    "Intervals are too short when few clusters, or few treated ones, carry the estimate. The wild cluster bootstrap and CR2 are for "
    "regressions; where the main method is none they take the extended two-way regression, whose estimate differs a little. "
    "Randomisation draws again who was treated, and when.",
)
PLACEBO = Asked(
    "Placebo tests",
    "The design finds effects where there can be none",
    "Starts, treated units and outcomes that were pretended, as far as the design admits them",
    "A start, treated units or an outcome are pretended. What is found then is not the programme. Small placebos do not prove the "
    "estimate right.",
)
EXCLUSIONS = Asked(
    "Leave-one-out",
    "One part of the sample carries the result",
    "The estimate without each cluster, group, cohort and period in turn",
    "The most influential exclusions of each kind are shown; the answer looks at all of them.",
)
TARGETING = Asked(
    "Chosen for low outcomes",
    "Units were chosen for low outcomes, and low outcomes return to the mean",
    "The rise that choosing by the last baseline alone would give this design, from the outcome's own history",
    "Programmes go where outcomes are low, and what is low by chance rises again. The first table shows who was chosen; the second "
    "what choosing by the last value before the start alone would give, from how the outcome itself moves; the third what the main "
    "method shows on panels in which nothing else happens.",
)
OTHER_CHOICES = Asked(
    "Other choices",
    "Other defensible choices would have given another answer",
    "Every combination of the study's methods, covariates, windows, comparisons and scales; repeats merged",
    "Every combination of what the study's file names: methods, covariates, windows, comparisons, scales. Specifications that give "
    "the same number stand as one. The estimates share their data and are no independent confirmations; how many lie on one side "
    "of zero depends on the list. Other averages of the effect stand in the table of estimands.",
)
NEIGHBOURS = Asked(
    "Neighbours",
    "Neighbours of treated units gained or lost, and serve as comparison",
    "The estimate without untreated neighbours of treated units, and the effect on these neighbours",
    "A programme may draw patients from next door, and neighbours then are no comparison.",
)
OVERLAP = Asked(
    "Other programmes",
    "Something else happened to the treated units at the same time",
    "The estimate without units, and without periods, that another programme touches",
    "Other things happened to the same units.",
)

_ANSWERS = {
    "leaves the effect": "The effect is left by",
    "leaves the sign, not the size": "The sign is left, not the size, by",
    "reaches zero": "The interval comes to hold zero under",
    "turns the sign": "The sign turns under",
    "excludes as much": "As much is excluded under",
    "excludes less": "Less is excluded under",
    "an effect appears": "An effect appears under",
    "cannot be told": "Cannot be told",
    "not tried": "Not tried",
}


def tell_no_finding(method: str, reasons: Iterable[str]) -> str:
    """Write that there is nothing to put to the test, and why."""
    return (
        f"**There is no finding to put to the test.** The main method ({method}) gives no estimate on this design: "
        f"{'; '.join(reasons)}. What can still be said stands in the sections on the design and on the claims."
    )


def tell_finding(*, shows_an_effect: bool | None, size_kept: float) -> str:
    """Write which finding is put to the test, and what a threat can do to it; None: the design gives no interval."""
    if shows_an_effect is None:
        kind = "The design gives no interval: the estimate can be compared, not tested, and most answers cannot be told"
    elif shows_an_effect:
        kind = (
            "An effect is shown: the interval lies on one side of zero. A threat leaves it when that stays so and at least "
            f"{size_kept:.0%} of it is left; it is fragile when a threat takes the sign or most of the size"
        )
    else:
        kind = (
            "No effect is shown, and none is ruled out: the interval holds zero and everything else that lies in it. No test "
            "can confirm that there is no effect, so each threat is asked which effects are not excluded once it is allowed for"
        )
    return f"**The finding.** {{overall.main:effect}}. {kind}."


def tell_no_main(label: str) -> str:
    """Write why the main estimate is no row of the specification curve."""
    return (
        f"**The main estimate is no row of this curve.** {label} is not among the methods that are repeated over all choices, or it "
        "is made from another sample; the curve is about other methods on the same panel."
    )


def tell_steps(count: int, of: int) -> str:
    """Write for how many estimates of the curve the error leaves large clusters out in one step."""
    return (
        f"The errors of {count} of the {of} estimates, which are made for all sets of covariates at once, leave each cluster out in one step; the "
        "main one leaves large clusters out by estimating again. The two differ by about 1%."
    )


def tell_verdict(verdict: str, taking: Sequence[str]) -> str:
    """Write the verdict, and which threats make an effect fragile."""
    but = f": {_listed(taking)}" if verdict == FRAGILE else ""
    words = load_catalogue()(f"verdict.{verdict}")
    return f"**Verdict: {words[:1].lower()}{words[1:]}**{but}. {{overall.main:effect}}."


def tell_widest(threat: str, limit: float, low: float, high: float) -> str:
    """Write the widest range of effects that a threat leaves open; ``limit`` is how far the outcome can move at all."""
    sides = {(True, True): "on either side", (True, False): "below zero", (False, True): "above zero"}
    side = sides.get((low <= -limit, high >= limit))
    beyond = f" A share moves by {limit:g} points at most, so nothing is excluded {side}." if side else ""
    return (
        "**What is not excluded.** Once every threat is allowed for, effects from {threat_counts.widest.low:signed} to "
        f"{{threat_counts.widest.high:signed}} are not excluded. Widest under: {threat[:1].lower()}{threat[1:]}.{beyond}"
    )


def tell_answer(word: str, threats: Sequence[str], of: int) -> str:
    """Write which threats do the same to a finding, in one sentence."""
    return f"**{_ANSWERS[word]}** ({len(threats)} of {of}): {_listed(threats)}."


def _listed(threats: Sequence[str]) -> str:
    return "; ".join(threat[:1].lower() + threat[1:] for threat in threats)
