"""Did the programme reach others, or something else reach the treated? Neighbours of treated units, and concurrent programmes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE, IN_UNIT, RESULTS, has_interval, with_estimate
from evalaid.base.texts import join_texts
from evalaid.did.sensitivity.sample.overlap import overlap
from evalaid.did.sensitivity.sample.spillover import ALL, DONUT, WIDER, Kind, spillover
from evalaid.did.sensitivity.sample.variants import estimate_variant, no_estimate
from evalaid.report.display.flow_figure import draw_flows
from evalaid.report.exhibits import Drawn, Exhibit, Exported, Tabled
from evalaid.report.threats.finding import UNKNOWN, UNTRIED, Case, key_of
from evalaid.report.threats.threat import Judged, Threat
from evalaid.report.wording.robustness import NEIGHBOURS, OVERLAP
from evalaid.study.surroundings import (
    load_all_groups,
    load_events,
    load_flows,
    load_neighbours,
    load_starts_elsewhere,
    map_flows,
)

_SHOWN = ("label", *RESULTS, "n_treated", "n_comparison", "reason")
_ON_THEM = "Effect on untreated units "
_NEAR = {
    DONUT: "Without untreated units {}",
    WIDER: "Without any unit {} before its own start",
    "indirect": _ON_THEM + "{}",
}
_COLUMNS = [
    "key",
    "label",
    *RESULTS,
    "n_treated",
    "n_comparison",
    "reason",
    "unit",
    "level",
    "note",
    "made_by",
    "truth",
]


def examine_neighbours(case: Case) -> pd.DataFrame | Judged:
    """Estimate the effect without exposed comparison units, and the effect on them.

    Exposed are those that the study's ``robustness`` names: units that touch a treated one, that share a group with one (a
    supporting hospital), or whose residents use treated units by more than a share. Treated units that the sample leaves out
    expose their neighbours, too. Groups say who is near only where nothing more exact is known.
    """
    spec, design = case.spec, case.design
    pairs, flows = load_neighbours(spec), load_flows(spec, design)
    groups = load_all_groups(spec) if flows is None else None
    elsewhere = load_starts_elsewhere(spec, design)
    tables = []
    if pairs is not None:
        tables.append(_near(case, {"adjacency": pairs}, "neighbours of treated units", elsewhere))
    if groups is not None:
        rule = f"sharing {spec.robustness.groups} with a treated unit"
        tables.append(_near(case, {"groups": groups}, rule, elsewhere))
    if flows is not None:
        tables.append(_without_exposed(case, flows))
        near = flows.loc[flows["share"] > _least_limit(case), ["unit", "neighbour"]].dropna()
        rule = f"with more than {_least_limit(case):.0%} in one treated unit"
        tables.append(_near(case, {"adjacency": near}, rule, elsewhere, kinds=("neighbours",)))
    return pd.concat(tables, ignore_index=True) if tables else Judged("The study names no neighbours.", UNTRIED)


def _near(
    case: Case,
    given: dict[str, Any],
    rule: str,
    elsewhere: pd.Series,
    kinds: tuple[Kind, ...] = ("donut", "neighbours"),
) -> pd.DataFrame:
    """Estimate without the untreated units that a rule calls near, and the effect on these."""
    tables = []
    for kind in kinds:
        found = spillover(
            case.design, case.method, **given, elsewhere=elsewhere, kind=kind, level=case.spec.level, **case.options
        )
        own = found.table[found.table["sample"] != ALL]
        labels = [_NEAR[str(sample)].format(rule) for sample in own["sample"]]
        tables.append(_table(own, labels, case, f"{case.method}; {kind}, {rule}"))
    tables[-1]["note"] = [join_texts((text, *found.notes)) for text in tables[-1]["note"]]
    return pd.concat(tables, ignore_index=True)


def _least_limit(case: Case) -> float:
    named = case.spec.robustness.exposure
    assert named is not None  # noqa: S101 (there are flows)
    return min(named.limits)


def _without_exposed(case: Case, flows: pd.DataFrame) -> pd.DataFrame:
    """Estimate without the never-treated units whose residents use treated units by more than each limit."""
    named = case.spec.robustness.exposure
    assert named is not None  # noqa: S101 (there are flows)
    shares = flows.groupby("unit")["share"].sum().reindex(case.design.matrices.units)
    never = np.isnan(case.design.matrices.cohort)
    rows, labels = [], []
    for limit in sorted(named.limits, reverse=True):
        exposed = never & (shares > limit).to_numpy()
        sample = f"Comparison units with at most {limit:.0%} in treated units"
        labels.append(sample)
        if exposed.any():
            rows.append(
                estimate_variant(case.design.subset(~exposed), case.method, case.options, case.spec.level, sample).row
            )
        else:
            rows.append(no_estimate(sample, "no comparison unit is above this share").row)
    largest = shares[never].describe()
    note = (
        f"share of {named.label} that comparison units have in treated units: {largest['50%']:.0%} at the median, "
        f"{largest['max']:.0%} at most"
    )
    table = _table(pd.concat(rows, ignore_index=True), labels, case, f"{case.method}; {named.file}")
    return table.assign(note=[join_texts((text, note)) for text in table["note"]])


def show_neighbours(case: Case, table: pd.DataFrame) -> list[Exhibit]:
    """List where residents go, the estimates without untreated neighbours, and the effects on them."""
    flows = map_flows(case.spec)
    named = case.spec.robustness.exposure
    drawn: list[Exhibit] = []
    if flows is not None and named is not None:
        drawn = [
            Drawn(
                draw_flows,
                flows,
                "flows",
                f"Where residents go: {named.label}. Regions in the order of what they receive.",
            ),
            Exported(flows, "figures/flows.csv"),
        ]
    return [
        *drawn,
        Tabled(
            table,
            "neighbours",
            _SHOWN,
            "Without exposed comparison units, and the effect on them, by the rule that calls them exposed",
        ),
    ]


def judge_neighbours(case: Case, table: pd.DataFrame) -> Judged:
    """Judge by the estimates without untreated neighbours; the effect on them is another effect."""
    reached = table["label"].str.startswith(_ON_THEM)
    judged = _judge(table[~reached], case)
    said = _tell_reached(table[reached].iloc[0], case) if reached.any() else ""
    return replace(judged, result=judged.result + said)


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
    return f" The effect on these units themselves is {case.finding.write(row[ESTIMATE])} ({spread})."


def _table(found: pd.DataFrame, labels: list[str], case: Case, made_by: str) -> pd.DataFrame:
    unit, factor = case.unit
    found = found.reindex(
        columns=list(dict.fromkeys([*found.columns, *RESULTS]))
    )  # where nothing is estimated, none is there
    scaled = {name: found[name].astype(float) * factor for name in IN_UNIT}
    missing = found[ESTIMATE].isna() | ~has_interval(found)
    # How many units are left out, or are looked at, stands in the columns of counts.
    counted = re.compile(r"units left out$|neighbour \([\d,]+ units?\)$")
    note = ["; ".join(part for part in text.split("; ") if not counted.search(part)) for text in found["note"]]
    return found.assign(
        **scaled,
        key=[key_of(label) for label in labels],
        label=labels,
        reason=found["note"].where(missing, ""),
        note=pd.Series(note, index=found.index).where(~missing, ""),
        unit=unit,
        truth=np.where([label.startswith(_ON_THEM) for label in labels], np.nan, case.truth),
        level=case.spec.level,
        made_by=made_by,
    ).reindex(columns=_COLUMNS)


def _judge(table: pd.DataFrame, case: Case) -> Judged:
    finding = case.finding
    known = with_estimate(table)
    if known.empty:
        why = join_texts(table["reason"])
        return Judged(f"Nothing is left to estimate from: {why}.", UNKNOWN)
    said = f"{finding.write(known['estimate'].iloc[0])}"
    if len(known) > 1:
        said = finding.write_range(known[ESTIMATE].min(), known[ESTIMATE].max())
    lost = len(table) - len(known)
    said = f"{said}, against {finding.write(finding.estimate)}" + (f"; {lost} without an estimate." if lost else ".")
    return Judged(said, finding.judge_all(known), known)
