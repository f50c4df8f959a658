"""Does one part of the sample carry the result? The estimate without each cluster, cohort and period in turn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from evalaid.base.effect_columns import ENDS, ESTIMATE, IN_UNIT, with_estimate
from evalaid.base.errors import EvalaidError
from evalaid.base.names import NEVER
from evalaid.base.texts import one_line
from evalaid.did.inference.variance.leverage import leverage
from evalaid.did.sensitivity.sample.leave_out import LeaveOut, leave_out
from evalaid.report.display.formatted_tables import Column
from evalaid.report.questions.analysis import Refusal
from evalaid.report.questions.units import multiply
from evalaid.report.threats.finding import UNKNOWN, Case, Finding, key_of, verdict_row, why_not
from evalaid.study.surroundings import load_groups

SHOWN = 6
THREAT = "One part of the sample carries the result"
TRIED = "The estimate without each cluster, group, cohort and period in turn"
COLUMNS = {
    "change": Column("Change", "outcome", 2, signed=True),
    "influence_share": Column("Share of the variance (%)", "%", 1),
}
_NUMBERS = (*IN_UNIT, "change")


@dataclass(frozen=True)
class Parts:
    """The main estimate without parts of the sample.

    Parameters
    ----------
    table : pandas.DataFrame
        One row an exclusion, clusters, then groups, cohorts and periods, the most influential of each: ``key``, ``label``, ``estimate``,
        ``std_error``, ``conf_low``, ``conf_high``, ``change``, ``reason``, ``unit``, ``level``, ``made_by``.
    figure : pandas.DataFrame
        The most influential exclusions of all kinds, as `evalaid.report.display.exclusion_figure.draw_leave_out` draws them.
    influence : pandas.DataFrame
        The clusters that make up most of the variance: ``key``, ``label``, ``influence_share`` (per cent), ``unit``,
        ``made_by``.
    notes : tuple of str
        What the exclusions do to sign and significance, for every kind.
    verdict : pandas.DataFrame
        One row.
    """

    table: pd.DataFrame
    figure: pd.DataFrame
    influence: pd.DataFrame
    notes: tuple[str, ...]
    verdict: pd.DataFrame


def examine_parts(case: Case | Refusal) -> Parts:
    """Estimate the main effect without each cluster, cohort and period, with CR1 errors throughout.

    Groups (units that share a supporting hospital or an area) are left out, too, where the study's ``robustness`` names them.
    """
    columns = [
        "key",
        "label",
        *_NUMBERS,
        "reason",
        "unit",
        "level",
        "made_by",
        "left_out",
        "first_order",
        "full",
        "note",
    ]
    empty = pd.DataFrame(columns=columns)
    shares = pd.DataFrame(columns=["key", "label", "influence_share", "unit", "made_by"])
    if isinstance(case, Refusal) or not case.by_cohort_and_period:
        row = verdict_row("parts", THREAT, TRIED, f"Not possible: {why_not(case)}.", UNKNOWN)
        return Parts(empty, empty, shares, (), row)
    tables, figures, notes = [], [], []
    reference = case.finding
    groups = load_groups(case.spec, case.design)
    kinds: list[tuple[str | pd.Series, str]] = [("cluster", "cluster"), ("cohort", "cohort"), ("period", "period")]
    if groups is not None:
        kinds.insert(1, (groups, str(case.spec.robustness["groups"])))
    for by, word in kinds:
        try:
            found = leave_out(case.design, case.method, by, level=case.spec.level, **case.options)
        except EvalaidError as error:
            notes.append(f"{word.capitalize()}: " + one_line(error))
            continue
        tables.append(_table(found, word, case))
        estimate, low, high = (float(found.full[name].iloc[0]) * case.unit[1] for name in (ESTIMATE, *ENDS))
        reference = replace(case.finding, estimate=estimate, conf_low=low, conf_high=high)
        scaled = found.most_influential(SHOWN)
        names = (ESTIMATE, *ENDS, "first_order", "full")
        scaled = multiply(scaled, case.unit[1], names)
        figures.append(scaled.assign(left_out=[_name(word, name) for name in scaled["left_out"]]))
        said = "; ".join(note for note in found.notes if "of the 0 " not in note)
        notes.append(f"Without each {word}: {said.replace('; None', '; none')}")
    every = pd.concat(tables, ignore_index=True) if tables else empty
    table = pd.concat([part.head(SHOWN) for part in tables], ignore_index=True) if tables else empty
    figure = pd.concat(figures, ignore_index=True) if figures else empty
    return Parts(table, figure, _influence(case), tuple(notes), _verdict(reference, every))


def _table(found: LeaveOut, word: str, case: Case) -> pd.DataFrame:
    unit, factor = case.unit
    table = found.table
    return multiply(table, factor, _NUMBERS).assign(
        key=[key_of(f"{word}.{name}") for name in table["left_out"]],
        label=[f"Without {_name(word, name)}" for name in table["left_out"]],
        reason=table["note"].where(table[ESTIMATE].isna(), ""),
        note="",
        unit=unit,
        level=case.spec.level,
        made_by=f"{case.method} estimated again; {found.vcov}",
    )


def _name(word: str, left_out: object) -> str:
    return f"the {NEVER}" if left_out == NEVER else f"{word} {left_out}"


def _influence(case: Case) -> pd.DataFrame:
    found = leverage(case.overall).head(5)
    return pd.DataFrame(
        {
            "key": [key_of(name) for name in found["cluster"]],
            "label": found["cluster"].astype(str),
            "influence_share": 100 * found["influence_share"],
            "unit": "%",
            "made_by": "squared sums of influence by cluster",
        }
    )


def _verdict(finding: Finding, table: pd.DataFrame) -> pd.DataFrame:
    """Hold the exclusions against the full sample with the same kind of error: the reported interval may be of another."""
    known = with_estimate(table)
    if known.empty:
        return verdict_row("parts", THREAT, TRIED, "No part can be left out: there is no estimate without it.", UNKNOWN)
    row = known.iloc[int(known["change"].abs().to_numpy().argmax())]
    spread = finding.write_range(known[ESTIMATE].min(), known[ESTIMATE].max())
    said = (
        f"Estimates from {spread}; the largest change, {finding.write(row['change'])}, is {str(row['label']).lower()}."
    )
    lost = int(table[ESTIMATE].isna().sum())
    if lost:
        said += f" Without {lost} part(s) there is no estimate."
    return verdict_row("parts", THREAT, TRIED, said, finding.judge_all(known), finding, known[ESTIMATE])
