"""The table of verdicts: what could be wrong with a finding, what was tried, what survives."""

from __future__ import annotations

import math

import pandas as pd

from evalaid.report.display.formatted_tables import Column
from evalaid.report.questions.analysis import Refusal
from evalaid.report.questions.effect_rows import list_values
from evalaid.report.threats import choices, clusters, exclusions, neighbours, placebos, targeting, trends
from evalaid.report.threats.finding import (
    APPEARS,
    REVERSED,
    SIGN_ONLY,
    SIZE_KEPT,
    SURVIVES,
    UNKNOWN,
    UNTRIED,
    VERDICTS,
    WEAKENED,
    Case,
    verdict_key,
)

COLUMNS = {
    "threat": Column("What could be wrong"),
    "tried": Column("What was tried"),
    "result": Column("Result"),
    "moved": Column("Moves it by", "outcome", 2, signed=True),
    "moved_share": Column("Of it (%)", "%", 0, signed=True),
    "verdict": Column("The finding"),
}
THREATS = (
    ("trends", trends.THREAT, trends.TRIED),
    ("clusters", clusters.THREAT, clusters.TRIED),
    ("placebo", placebos.THREAT, placebos.TRIED),
    ("parts", exclusions.THREAT, exclusions.TRIED),
    ("selection", targeting.THREAT, targeting.TRIED),
    ("choices", choices.THREAT, choices.TRIED),
    ("neighbours", neighbours.SPILLOVER, neighbours.DONUT),
    ("overlap", neighbours.OVERLAP, neighbours.WITHOUT),
)
_WORDS = {
    SURVIVES: "survives",
    SIGN_ONLY: "keeps its sign, not its size, under",
    WEAKENED: "is weakened by",
    APPEARS: "changes under",
    REVERSED: "does not survive",
    UNKNOWN: "cannot be held against",
    UNTRIED: "was not held against",
}


def list_threats() -> pd.DataFrame:
    """List what could be wrong and what is tried against it, before any result: ``key``, ``threat``, ``tried``."""
    return pd.DataFrame(THREATS, columns=["key", "threat", "tried"])


def gather_verdicts(*rows: pd.DataFrame) -> pd.DataFrame:
    """Put the verdicts into one table, in the order of `list_threats`.

    Returns
    -------
    pandas.DataFrame
        ``key``, ``label``, ``threat``, ``tried``, ``result``, ``moved``, ``moved_share``, ``verdict`` (one of
        `evalaid.report.threats.finding.VERDICTS`), ``unit``, ``made_by``.
    """
    table = pd.concat(rows, ignore_index=True)
    order = [key for key, _, _ in THREATS]
    table = table.sort_values("key", key=lambda keys: keys.map(order.index), kind="stable").reset_index(drop=True)
    units = [unit for unit in table["unit"] if unit]
    made_by = "the worst of the other estimates less the main one"
    return table.assign(label=table["threat"], unit=units[0] if units else "number", made_by=made_by)


def count_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Count the verdicts, for the synthesis: ``key``, ``label``, ``value``, ``unit``, ``digits``, ``made_by``."""
    rows = [
        (verdict_key(word), f"Finding: {word}", int((table["verdict"] == word).sum()), "count", 0) for word in VERDICTS
    ]
    return list_values(rows, "count over threats")


def tell_finding(case: Case | Refusal) -> tuple[str, ...]:
    """Say which finding is put to the test: a template for `Section.say`."""
    if isinstance(case, Refusal):
        said = (
            f"**There is no finding to put to the test.** The main method ({case.method}) gives no estimate on this design: "
            + "; ".join(case.reasons)
        )
        return (f"{said}. What can still be said stands in the sections on the design and on the claims.",)
    if math.isnan(case.finding.conf_low):
        kind = (
            "The design gives no interval: the estimate can be compared, not tested, and most verdicts cannot be told"
        )
    elif case.finding.shows_an_effect:
        kind = (
            "An effect is shown: the interval lies on one side of zero. It survives a test when that stays so and at least "
            f"{SIZE_KEPT:.0%} of it is left"
        )
    else:
        kind = "No effect is shown: the interval holds zero. The finding survives a test when that stays so"
    return (f"**The finding.** {{overall.main:effect}}. {kind}.",)


def tell_verdicts(table: pd.DataFrame, case: Case | Refusal) -> tuple[str, ...]:
    """Say what survives, in one sentence a verdict: templates for `Section.say`."""
    if isinstance(case, Refusal):
        return ("Nothing was tested, because there is no estimate.",)
    said = []
    for word in VERDICTS:
        own = table[table["verdict"] == word]
        if len(own):
            listed = "; ".join(str(threat)[0].lower() + str(threat)[1:] for threat in own["threat"])
            said.append(f"**The finding {_WORDS[word]}** ({len(own)} of {len(table)}): {listed}.")
    return tuple(said)
