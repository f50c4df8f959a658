"""The table of threats: what could be wrong with a finding, what was tried, what is left. A new threat is a line of `THREATS`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.exhibits import Exhibit, Told
from evalaid.report.questions.analysis import Refusal
from evalaid.report.questions.effect_rows import list_values
from evalaid.report.threats import choices, clusters, exclusions, neighbours, placebos, targeting, trends
from evalaid.report.threats.finding import ANSWERS, MOST_OF_IT, REVERSED, SIZE_KEPT, WEAKENED, Case, answer_key
from evalaid.report.threats.threat import REACH, Faced
from evalaid.report.verdict import NOT_IDENTIFIED, judge_interval, smallest_effect
from evalaid.report.wording.robustness import tell_answer, tell_finding, tell_no_finding, tell_verdict, tell_widest

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
    "reach_low": ColumnFormat("Not excluded, from", "outcome", 2, signed=True),
    "reach_high": ColumnFormat("to", "outcome", 2, signed=True),
    "moved": ColumnFormat("Moves it by", "outcome", 2, signed=True),
    "moved_share": ColumnFormat("Of it (%)", "%", 0, signed=True),
    "answer": ColumnFormat("What it does to the finding"),
}

WHOLE_SHARE = 100  # points that a share can move by at most


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


def gather_answers(faced: Sequence[Faced]) -> pd.DataFrame:
    """Put the answers into one table, a row per threat (`evalaid.report.threats.threat.Faced`), with ``label`` and ``made_by``."""
    table = pd.concat([one.row for one in faced], ignore_index=True)
    units = [unit for unit in table["unit"] if unit]
    made_by = "the other estimates of the threat beside the main one"
    return table.assign(label=table["threat"], unit=units[0] if units else "number", made_by=made_by)


def columns_of(table: pd.DataFrame) -> list[str]:
    """Return the columns to show: how far an effect moves, or, of a finding that shows none, what is not excluded."""
    measured = ["moved", "moved_share"] if table[REACH[0]].isna().all() else [*REACH]
    return ["threat", "tried", "result", *measured, "answer"]


def takes_it(table: pd.DataFrame) -> pd.Series:
    """Return of each threat whether it takes the sign of an effect that is shown, or most of its size."""
    return table["answer"].isin([WEAKENED, REVERSED]) | (table["moved_share"] < -100 * (1 - MOST_OF_IT))


def count_answers(table: pd.DataFrame) -> pd.DataFrame:
    """Count the answers, for the synthesis, and find the effects that are not excluded under any threat."""
    rows = [
        (answer_key(word), word[:1].upper() + word[1:], int((table["answer"] == word).sum()), "count", 0)
        for word in ANSWERS
    ]
    rows.append(("taking", "Threats that take the sign or most of the size", int(takes_it(table).sum()), "count", 0))
    widest = [
        (f"widest.{end}", f"{word} effect not excluded under any threat", value, str(table["unit"].iloc[0]), 2)
        for end, word, value in (
            ("low", "Lowest", table[REACH[0]].min()),
            ("high", "Highest", table[REACH[1]].max()),
        )
    ]
    return list_values([*rows, *widest], "over threats")


def verdict_on(case: Case | Refusal, table: pd.DataFrame) -> str:
    """Return the verdict on the main estimate after all threats (`evalaid.report.verdict`)."""
    if isinstance(case, Refusal):
        return NOT_IDENTIFIED
    finding = case.finding
    smallest = smallest_effect(case.spec.smallest_effect, finding.unit)
    return judge_interval(
        finding.estimate, finding.conf_low, finding.conf_high, smallest, fragile=bool(takes_it(table).any())
    )


def introduce(case: Case | Refusal) -> str:
    """Return which finding is put to the test: a template for `Section.say`."""
    if isinstance(case, Refusal):
        return tell_no_finding(case.method, case.reasons)
    known = not math.isnan(case.finding.conf_low)
    return tell_finding(shows_an_effect=case.finding.shows_an_effect if known else None, size_kept=SIZE_KEPT)


def sum_up_threats(table: pd.DataFrame, case: Case | Refusal) -> tuple[str, ...]:
    """Sum up the verdict and what the threats do to it: templates for `Section.say`."""
    if isinstance(case, Refusal):
        return ("Nothing was tested, because there is no estimate.",)
    found = [(word, list(table.loc[table["answer"] == word, "threat"])) for word in ANSWERS]
    said = [tell_answer(word, own, len(table)) for word, own in found if len(own)]
    widest = table[REACH[1]] - table[REACH[0]]
    if widest.notna().any():
        ends = table[REACH[0]].min(), table[REACH[1]].max()
        limit = WHOLE_SHARE if case.finding.unit == "pp" else math.inf
        said.insert(0, tell_widest(str(table["threat"].iloc[int(widest.argmax())]), limit, *ends))
    taking = list(table.loc[takes_it(table), "threat"])
    return (tell_verdict(verdict_on(case, table), taking), *said)
