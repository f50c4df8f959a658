"""Did the programme reach others, or something else reach the treated? Neighbours of treated units, and concurrent programmes."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from typing import Any

import pandas as pd

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE, IN_UNIT, RESULTS, has_interval, with_estimate
from evalaid.base.texts import join_texts
from evalaid.did.sensitivity.sample.overlap import overlap
from evalaid.did.sensitivity.sample.spillover import ALL, Kind, spillover
from evalaid.report.exhibits import Exhibit, Tabled
from evalaid.report.threats.finding import UNKNOWN, UNTRIED, Case, key_of
from evalaid.report.threats.threat import Judged, Threat
from evalaid.report.wording.robustness import NEIGHBOURS, OVERLAP
from evalaid.study.surroundings import load_events, load_groups, load_neighbours

_SHOWN = ("label", *RESULTS, "n_treated", "n_comparison", "reason")
_NAMED = {"indirect": "Effect on untreated neighbours"}
_COLUMNS = ["key", "label", *RESULTS, "n_treated", "n_comparison", "reason", "unit", "level", "note", "made_by"]


def examine_neighbours(case: Case) -> pd.DataFrame | Judged:
    """Estimate the effect without untreated neighbours, and the effect on them.

    Neighbours are those that the study's ``robustness`` names, as pairs, by group (a shared supporting hospital), or both.
    """
    pairs, groups = load_neighbours(case.spec), load_groups(case.spec, case.design)
    if pairs is None and groups is None:
        return Judged("The study names no neighbours.", UNTRIED)
    tables: list[pd.DataFrame] = []
    links: list[tuple[dict[str, Any], str]] = [({"adjacency": pairs}, "")] if pairs is not None else []
    if groups is not None:
        links.append(({"groups": groups}, f" by {case.spec.robustness.groups}" if pairs is not None else ""))
    kinds: tuple[tuple[Kind, str], ...] = (("donut", "Effect, "), ("neighbours", ""))
    for (given, by), (kind, prefix) in product(links, kinds):
        found = spillover(case.design, case.method, **given, kind=kind, level=case.spec.level, **case.options)
        own = found.table[found.table["sample"] != ALL] if by else found.table
        labels = [f"{_NAMED.get(str(sample), f'{prefix}{sample}')}{by}" for sample in own["sample"]]
        tables.append(_table(own, labels, case, f"{case.method}; {kind}{by}"))
        if kind == "neighbours":
            tables[-1]["note"] = [join_texts((text, *found.notes)) for text in tables[-1]["note"]]
    return pd.concat(tables, ignore_index=True)


def show_neighbours(_case: Case, table: pd.DataFrame) -> list[Exhibit]:
    """List the estimates without untreated neighbours, and the effects on them."""
    return [
        Tabled(
            table,
            "neighbours",
            _SHOWN,
            "Without untreated neighbours of treated units, and the effect on these neighbours",
        )
    ]


def judge_neighbours(case: Case, table: pd.DataFrame) -> Judged:
    """Judge by the estimates without untreated neighbours; the effect on them is another effect."""
    reached = table["label"].str.startswith(_NAMED["indirect"])
    judged = _judge(table[~reached].iloc[1:], case)
    return replace(judged, result=judged.result + _tell_reached(table[reached].iloc[0], case))


SPILLOVER = Threat("neighbours", NEIGHBOURS, examine_neighbours, show_neighbours, judge_neighbours)


def examine_overlap(case: Case) -> pd.DataFrame | Judged:
    """Estimate the effect without the units and periods that another programme of the study's events touches."""
    events = load_events(case.spec, case.design)
    if events is None:
        return Judged("The study has no file of other events.", UNTRIED)
    found = overlap(case.design, events, case.method, level=case.spec.level, **case.options)
    # An event of all groups is named by its text: its first words will do.
    labels = [
        re.split(r"[:;(]", str(sample))[0].strip().replace("_", " ").capitalize() for sample in found.table["sample"]
    ]
    return _table(found.table, labels, case, f"{case.method}; events of {case.spec.events}")


def show_overlap(_case: Case, table: pd.DataFrame) -> list[Exhibit]:
    """List the estimates without units and periods of other programmes."""
    return [Tabled(table, "overlap", _SHOWN, "Without units and periods that another programme touches")]


def judge_overlap(case: Case, table: pd.DataFrame) -> Judged:
    """Judge by every estimate without another programme."""
    return _judge(table.iloc[1:], case)


CONCURRENT = Threat("overlap", OVERLAP, examine_overlap, show_overlap, judge_overlap)


def _tell_reached(row: pd.Series, case: Case) -> str:
    """Return what happened to the neighbours themselves, where that is known."""
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


def _judge(table: pd.DataFrame, case: Case) -> Judged:
    finding = case.finding
    known = with_estimate(table)
    if known.empty:
        why = join_texts(dict.fromkeys(table["reason"]))
        return Judged(f"Nothing is left to estimate from: {why}.", UNKNOWN)
    said = f"{finding.write(known['estimate'].iloc[0])}"
    if len(known) > 1:
        said = finding.write_range(known[ESTIMATE].min(), known[ESTIMATE].max())
    lost = len(table) - len(known)
    said = f"{said}, against {finding.write(finding.estimate)}" + (f"; {lost} without an estimate." if lost else ".")
    return Judged(said, finding.judge_all(known), known[ESTIMATE])
