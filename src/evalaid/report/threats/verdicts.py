"""The table of threats: what could be wrong with a finding, what was tried, what survives. A new threat is a line of `THREATS`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.exhibits import Exhibit, Told
from evalaid.report.questions.analysis import Refusal
from evalaid.report.questions.effect_rows import list_values
from evalaid.report.threats import choices, clusters, exclusions, neighbours, placebos, targeting, trends
from evalaid.report.threats.finding import SIZE_KEPT, VERDICTS, Case, verdict_key
from evalaid.report.threats.threat import Faced
from evalaid.report.wording.robustness import tell_finding, tell_no_finding, tell_verdict

THREATS = (
    trends.THREAT,
    clusters.THREAT,
    placebos.THREAT,
    exclusions.THREAT,
    targeting.THREAT,
    choices.THREAT,
    neighbours.SPILLOVER,
    neighbours.CONCURRENT,
)
COLUMNS = {
    "threat": ColumnFormat("What could be wrong"),
    "tried": ColumnFormat("What was tried"),
    "result": ColumnFormat("Result"),
    "moved": ColumnFormat("Moves it by", "outcome", 2, signed=True),
    "moved_share": ColumnFormat("Of it (%)", "%", 0, signed=True),
    "verdict": ColumnFormat("The finding"),
}


def list_threats() -> pd.DataFrame:
    """List what could be wrong and what is tried against it, before any result: ``key``, ``threat``, ``tried``."""
    rows = [(threat.key, threat.asked.ask, threat.asked.tried) for threat in THREATS]
    return pd.DataFrame(rows, columns=["key", "threat", "tried"])


def face_threats(case: Case | Refusal) -> tuple[Faced, ...]:
    """Put a case to every threat."""
    return tuple(threat.face(case) for threat in THREATS)


def show_threats(faced: Sequence[Faced]) -> list[Exhibit]:
    """List what each threat shows, under its heading."""
    shown: list[Exhibit] = []
    for one in faced:
        words = one.threat.asked
        shown += [Told(f"## {words.title}\n\n{words.about}"), *(one.exhibits or [Told(str(one.row["result"].iloc[0]))])]
    return shown


def gather_verdicts(faced: Sequence[Faced]) -> pd.DataFrame:
    """Put the verdicts into one table, a row per threat (`evalaid.report.threats.threat.Faced`), with ``label`` and ``made_by``."""
    table = pd.concat([one.row for one in faced], ignore_index=True)
    units = [unit for unit in table["unit"] if unit]
    made_by = "the worst of the other estimates less the main one"
    return table.assign(label=table["threat"], unit=units[0] if units else "number", made_by=made_by)


def count_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Count the verdicts, for the synthesis: ``key``, ``label``, ``value``, ``unit``, ``digits``, ``made_by``."""
    rows = [
        (verdict_key(word), f"Finding: {word}", int((table["verdict"] == word).sum()), "count", 0) for word in VERDICTS
    ]
    return list_values(rows, "count over threats")


def introduce(case: Case | Refusal) -> str:
    """Return the name of the finding that is put to the test: a template for `Section.say`."""
    if isinstance(case, Refusal):
        return tell_no_finding(case.method, case.reasons)
    known = not math.isnan(case.finding.conf_low)
    return tell_finding(shows_an_effect=case.finding.shows_an_effect if known else None, size_kept=SIZE_KEPT)


def sum_up_verdicts(table: pd.DataFrame, case: Case | Refusal) -> tuple[str, ...]:
    """Sum up what survives, in one sentence per verdict: templates for `Section.say`."""
    if isinstance(case, Refusal):
        return ("Nothing was tested, because there is no estimate.",)
    found = {word: table.loc[table["verdict"] == word, "threat"] for word in VERDICTS}
    return tuple(tell_verdict(word, own, len(table)) for word, own in found.items() if len(own))
