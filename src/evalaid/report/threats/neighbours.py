"""Did the programme reach others, or something else reach the treated? Neighbours of treated units, and concurrent programmes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import Any

import pandas as pd

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE, IN_UNIT, RESULTS, has_interval, with_estimate
from evalaid.base.errors import EvalaidError
from evalaid.base.texts import join_texts, one_line
from evalaid.did.sensitivity.sample.overlap import overlap
from evalaid.did.sensitivity.sample.spillover import ALL, Kind, spillover
from evalaid.report.questions.analysis import Refusal
from evalaid.report.threats.finding import UNKNOWN, UNTRIED, Case, key_of, verdict_row, why_not
from evalaid.study.surroundings import load_events, load_groups, load_neighbours

SPILLOVER = "Neighbours of treated units gained or lost, and serve as comparison"
DONUT = "The estimate without untreated neighbours of treated units, and the effect on these neighbours"
OVERLAP = "Something else happened to the treated units at the same time"
WITHOUT = "The estimate without units, and without periods, that another programme touches"
_COLUMNS = ["key", "label", *RESULTS, "n_treated", "n_comparison", "reason", "unit", "level", "note", "made_by"]


@dataclass(frozen=True)
class Others:
    """Estimates with some units looked at apart.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a sample: ``key``, ``label``, ``estimate``, ``std_error``, ``conf_low``, ``conf_high``, ``p_value``,
        ``n_treated``, ``n_comparison``, ``reason``, ``unit``, ``level``, ``note``, ``made_by``.
    verdict : pandas.DataFrame
        One row.
    """

    table: pd.DataFrame
    verdict: pd.DataFrame


def examine_neighbours(case: Case | Refusal) -> Others:
    """Estimate the effect without untreated neighbours, and the effect on them.

    Neighbours are those that the study's ``robustness`` names, as pairs, by group (a shared supporting hospital), or both.
    """
    if isinstance(case, Refusal) or not case.by_cohort_and_period:
        return _nothing("neighbours", SPILLOVER, DONUT, f"Not possible: {why_not(case)}.", UNKNOWN)
    pairs, groups = load_neighbours(case.spec), load_groups(case.spec, case.design)
    if pairs is None and groups is None:
        return _nothing("neighbours", SPILLOVER, DONUT, "The study names no neighbours.", UNTRIED)
    tables: list[pd.DataFrame] = []
    named = {"indirect": "Effect on untreated neighbours"}
    links: list[tuple[dict[str, Any], str]] = [({"adjacency": pairs}, "")] if pairs is not None else []
    if groups is not None:
        links.append(({"groups": groups}, f" by {case.spec.robustness['groups']}" if pairs is not None else ""))
    kinds: tuple[tuple[Kind, str], ...] = (("donut", "Effect, "), ("neighbours", ""))
    for (given, by), (kind, prefix) in product(links, kinds):
        try:
            found = spillover(case.design, case.method, **given, kind=kind, level=case.spec.level, **case.options)
        except EvalaidError as error:
            return _nothing("neighbours", SPILLOVER, DONUT, f"Not possible: {one_line(error)}", UNKNOWN)
        own = found.table[found.table["sample"] != ALL] if by else found.table
        labels = [f"{named.get(str(sample), f'{prefix}{sample}')}{by}" for sample in own["sample"]]
        tables.append(_table(own, labels, case, f"{case.method}; {kind}{by}"))
        if kind == "neighbours":
            tables[-1]["note"] = [join_texts((text, *found.notes)) for text in tables[-1]["note"]]
    table = pd.concat(tables, ignore_index=True)
    reached = table["label"].str.startswith(named["indirect"])
    row = _judge("neighbours", SPILLOVER, DONUT, table[~reached].iloc[1:], case)
    return Others(table, row.assign(result=row["result"] + _tell_reached(table[reached].iloc[0], case)))


def examine_overlap(case: Case | Refusal) -> Others:
    """Estimate the effect without the units and periods that another programme of the study's events touches."""
    if isinstance(case, Refusal) or not case.by_cohort_and_period:
        return _nothing("overlap", OVERLAP, WITHOUT, f"Not possible: {why_not(case)}.", UNKNOWN)
    events = load_events(case.spec, case.design)
    if events is None:
        return _nothing("overlap", OVERLAP, WITHOUT, "The study has no file of other events.", UNTRIED)
    try:
        found = overlap(case.design, events, case.method, level=case.spec.level, **case.options)
    except EvalaidError as error:
        return _nothing("overlap", OVERLAP, WITHOUT, f"Not possible: {one_line(error)}", UNKNOWN)
    # An event of all groups is named by its text: its first words will do.
    labels = [
        re.split(r"[:;(]", str(sample))[0].strip().replace("_", " ").capitalize() for sample in found.table["sample"]
    ]
    table = _table(found.table, labels, case, f"{case.method}; events of {case.spec.events}")
    return Others(table, _judge("overlap", OVERLAP, WITHOUT, table.iloc[1:], case))


def _tell_reached(row: pd.Series, case: Case) -> str:
    """Say what happened to the neighbours themselves, where that is known."""
    if pd.isna(row[CONF_LOW]):
        return ""
    spread = case.finding.write_range(row[CONF_LOW], row[CONF_HIGH])
    return f" The effect on untreated neighbours is {case.finding.write(row[ESTIMATE])} ({spread})."


def _table(found: pd.DataFrame, labels: list[str], case: Case, made_by: str) -> pd.DataFrame:
    unit, factor = case.unit
    found = found.reindex(
        columns=list(dict.fromkeys([*found.columns, *RESULTS]))
    )  # where nothing is estimated, none is there
    scaled = {name: found[name].astype(float) * factor for name in IN_UNIT}
    missing = found[ESTIMATE].isna() | ~has_interval(found)
    # How many units are left out, or are looked at, stands in the columns of counts.
    counted = re.compile(r"units left out$|neighbour \(\d+ units\)$")
    note = ["; ".join(part for part in text.split("; ") if not counted.search(part)) for text in found["note"]]
    return found.assign(
        **scaled,
        key=[key_of(label) for label in labels],
        label=labels,
        reason=found["note"].where(missing, ""),
        note=pd.Series(note, index=found.index).where(~missing, ""),
        unit=unit,
        level=case.spec.level,
        made_by=made_by,
    ).reindex(columns=_COLUMNS)


def _judge(key: str, threat: str, tried: str, table: pd.DataFrame, case: Case) -> pd.DataFrame:
    finding = case.finding
    known = with_estimate(table)
    if known.empty:
        why = join_texts(dict.fromkeys(table["reason"]))
        return verdict_row(key, threat, tried, f"Nothing is left to estimate from: {why}.", UNKNOWN)
    said = f"{finding.write(known[ESTIMATE].iloc[0])}"
    if len(known) > 1:
        said = finding.write_range(known[ESTIMATE].min(), known[ESTIMATE].max())
    lost = len(table) - len(known)
    said = f"{said}, against {finding.write(finding.estimate)}" + (f"; {lost} without an estimate." if lost else ".")
    return verdict_row(key, threat, tried, said, finding.judge_all(known), finding, known[ESTIMATE])


def _nothing(key: str, threat: str, tried: str, result: str, verdict: str) -> Others:
    return Others(pd.DataFrame(columns=_COLUMNS), verdict_row(key, threat, tried, result, verdict))
