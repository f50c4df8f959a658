"""From records to a long frame: editions, the kind of period, counts and shares held against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.months import CALENDAR, MONTHS
from evalaid.base.names import COUNTS, INSIDE, OUTSIDE, PERIOD, SHARE, SHARES, TOTAL, UNIT
from evalaid.base.periods import labels
from evalaid.base.texts import counted
from evalaid.reading.journal.decisions import Decision, Fault, LeftOut, fault_of, leave

_CELL = ["unit", "variable", "first", "last", "cumulative"]
UNNAMED = 5.0
"""Where figures whose edition is not named stand among the editions of `evalaid.reading.tables.table_rows.rank_edition`."""

SLACK = 1e-9
"""Room for the last digit of floating-point arithmetic beside the rounding of the written figures."""


def keep_last_editions(records: pd.DataFrame) -> tuple[pd.DataFrame, list[Fault], list[LeftOut]]:
    """Keep one figure of each unit, variable and period: the latest edition.

    Assumes that ``edition`` orders figures that are given more than once; a figure whose edition is not named counts as later
    than a preliminary one and earlier than an official or revised one.
    """
    twice = records.duplicated(_CELL, keep=False)
    if not twice.any():
        return records, [], []
    ranked = records[twice].assign(edition=records["edition"].astype(float).fillna(UNNAMED))
    ranked = ranked.sort_values([*_CELL, "edition"], kind="stable")
    group = ranked.groupby(_CELL, sort=False).ngroup()
    is_last = ~ranked.duplicated(_CELL, keep="last")
    best = ranked[is_last].set_index(group[is_last]).add_suffix("_kept")
    rest = ranked[~is_last]
    rest = pd.concat([rest, best.loc[group[~is_last]].set_axis(rest.index)], axis=1)
    rest["same"] = np.isclose(rest["value"], rest["value_kept"], rtol=0, atol=SLACK)
    faults: list[Fault] = []
    left: list[LeftOut] = []
    row: Any
    for row in rest.itertuples():
        where = row.cell_kept
        where += f" of sheet {row.sheet_kept!r}" if row.sheet_kept != row.sheet else ""
        where += f" of {row.file_kept}" if row.file_kept != row.file else ""
        if row.edition < row.edition_kept:
            left.append(leave(row, f"replaced by the later edition in {where} ({row.text_kept})"))
        elif row.same:
            left.append(leave(row, f"the same figure as in {where}"))
        else:
            span = CALENDAR.name_span(int(row.first), int(row.last))
            faults.append(
                fault_of(
                    row,
                    f"{row.variable} of {row.name} in {span} stands twice: {row.text} here, {row.text_kept} in {where}",
                    "one figure, or words or a line 'edition: 1' that say which is later, or the row in leave_out",
                )
            )
    return records.drop(index=rest.index), faults, left


def check_shares(records: pd.DataFrame) -> list[Fault]:
    """Hold every share against inside / total of the same unit and span, and counts against each other.

    Assumes that figures are rounded to the digits they are written with; a difference beyond what rounding allows is listed.
    """
    key = ["unit", "first", "last", "cumulative"]
    parts = {name: group.drop_duplicates(key).set_index(key) for name, group in records.groupby("variable")}
    faults = _check_ranges(records)
    if {SHARE, INSIDE, TOTAL} <= parts.keys():
        joined = parts[SHARE].join(parts[INSIDE][["value", "resolution", "cell"]].add_suffix("_in"), how="inner")
        joined = joined.join(parts[TOTAL][["value", "resolution", "cell"]].add_suffix("_all"), how="inner")
        joined = joined[joined["value_all"] > 0]
        ratio = joined["value_in"] / joined["value_all"]
        room = (
            joined["resolution"]
            + (joined["resolution_in"] + ratio * joined["resolution_all"]) / joined["value_all"]
            + SLACK
        )
        unlike = (joined["value"] - ratio).abs() > room
        for row, quotient in zip(joined[unlike].itertuples(), ratio[unlike], strict=True):
            faults.append(
                fault_of(
                    row,
                    f"the share of {row.name} is written as {row.text}, but {row.cell_in} / {row.cell_all} is {quotient:.4f}",
                    "numerator and denominator of the same base and period as the share",
                )
            )
    if {INSIDE, TOTAL} <= parts.keys():
        joined = parts[INSIDE].join(
            parts[TOTAL][["value", "resolution", "cell", "text"]].add_suffix("_all"), how="inner"
        )
        more = joined["value"] > joined["value_all"] + joined["resolution"] + joined["resolution_all"] + SLACK
        faults += [
            fault_of(row,
                f"more episodes of {row.name} inside ({row.text}) than in total ({row.text_all} in {row.cell_all})",
                "a total that holds the episodes inside",
            )
            for row in joined[more].itertuples()
        ]  # fmt: skip
    return faults


def _check_ranges(records: pd.DataFrame) -> list[Fault]:
    """List shares outside 0 to 1 and counts below zero."""
    value, variable = records["value"], records["variable"]
    share = variable.isin(SHARES) & ((value < 0) | (value > 1 + SLACK))
    count = variable.isin(COUNTS) & (value < 0)
    return [
        fault_of(row, f"{row.variable} of {row.name} is {row.text}", "a share from 0 to 100 per cent; check its unit")
        for row in records[share].itertuples()
    ] + [
        fault_of(row, f"{row.variable} of {row.name} is {row.text}", "a count that is not negative")
        for row in records[count].itertuples()
    ]


def check_sums(chosen: pd.DataFrame, others: pd.DataFrame, kind: str) -> list[Fault]:
    """Hold counts of longer spans against the sum of their periods.

    Assumes that figures are rounded to the digits they are written with; spans of which a period is missing are left alone.
    """
    others = others[others["variable"].isin(COUNTS)]
    if not len(others):
        return []
    key = ["unit", "variable", "first"]
    parts = {tuple(row[:3]): row[3:] for row in chosen[[*key, "value", "resolution"]].itertuples(index=False)}
    faults = []
    row: Any
    for row in others.itertuples():
        found = [parts.get((row.unit, row.variable, month)) for month in range(row.first, row.last + 1, MONTHS[kind])]
        if None in found:
            continue
        total, room = (sum(part[place] for part in found if part is not None) for place in (0, 1))
        if abs(total - row.value) > room + row.resolution + SLACK:
            fault = f"{row.variable} of {row.name} in {CALENDAR.name_span(row.first, row.last)} is {row.text}, its {kind}s add up to {total:g}"
            faults.append(fault_of(row, fault, "a sum of its parts, or the reason why they differ"))
    return faults


def choose_kind(
    records: pd.DataFrame, periods: str | None
) -> tuple[str, pd.DataFrame, list[Decision], list[Fault], list[LeftOut]]:
    """Choose the kind of period of the panel and leave out figures of other spans.

    Assumes differenced records. Without a word in the layout it is the shortest kind, when the longer spans are sums of
    periods that are there; otherwise a person must say it.
    """
    kinds = np.array(
        [CALENDAR.kind_of(first, last) for first, last in zip(records["first"], records["last"], strict=True)],
        dtype=object,
    )
    there = [str(kind) for kind in MONTHS if (kinds == kind).any()]
    faults: list[Fault] = []
    kind = periods or (there[-1] if there else "")
    if not kind or kind not in there:
        spans = sorted(
            {
                CALENDAR.name_span(int(first), int(last))
                for first, last in zip(records["first"], records["last"], strict=True)
            }
        )
        what = f"no figure of a whole {', '.join(reversed(MONTHS))}" if not kind else f"no figure of a {kind}"
        one = records.iloc[0]
        faults.append(
            Fault(
                one["file"],
                one["sheet"],
                None,
                "",
                ", ".join(spans[:4]),
                f"{what}: the spans are {', '.join(spans[:4])}",
                "the other parts of the year, so that counts can be differenced, or another kind in 'periods' of the layout",
            )
        )
        return "", records.assign(ordinal=0), [], faults, []
    picked = kinds == kind
    chosen = records[picked]
    others = records[~picked]
    decisions = [
        Decision(
            "",
            "",
            "",
            "kind of period",
            kind,
            "the layout says so" if periods else f"the files hold {', '.join(there)}",
        )
    ]
    if not periods and len(others):
        there_are = set(zip(chosen["variable"], chosen["first"], strict=True))
        alone = [
            row
            for row in others.itertuples()
            if not all((row.variable, month) in there_are for month in range(row.first, row.last + 1, MONTHS[kind]))
        ]
        if alone:
            span = CALENDAR.name_span(alone[0].first, alone[0].last)
            faults.append(
                fault_of(
                    alone[0],
                    f"the files mix spans: {counted(len(chosen), 'figure')} of a {kind}, and {counted(len(alone), 'figure')} of others, such as {span}, "
                    f"of which not every {kind} is there",
                    f"a line 'periods: {kind}' (the others are left out) or another kind in the layout",
                )
            )
    left = [
        leave(
            row,
            f"a figure of {CALENDAR.name_span(row.first, row.last)}; the panel is by {kind}",
        )
        for row in others.itertuples()
    ]
    ordinal = CALENDAR.period_of(kind, chosen["first"].to_numpy(dtype=np.int64))
    return kind, chosen.assign(ordinal=ordinal), decisions, faults, left


def spread(records: pd.DataFrame, timeless: pd.DataFrame, kind: str) -> tuple[pd.DataFrame, list[Decision]]:
    """Lay records out with one row for each unit and period, and compute what follows from counts."""
    decisions = []
    keys = [UNIT, "ordinal"]
    records = records.sort_values(keys, kind="stable")
    values = records.pivot(  # noqa: PD010 (nothing to aggregate: each occurs once)
        index=keys, columns="variable", values="value"
    )
    cells = records.pivot(  # noqa: PD010 (as above)
        index=keys, columns="variable", values="origin"
    )
    first = records.groupby(keys, sort=True)
    frame = first.agg(
        name=("name", "first"),
        cumulative=("was_cumulative", "any"),
        file=("file", "first"),
        sheet=("sheet", "first"),
        row=("row", "first"),
    )
    for variable, group in timeless.groupby("variable", sort=False):
        if variable not in values:
            once = group.drop_duplicates(UNIT).set_index(UNIT)
            units = values.index.get_level_values(UNIT)
            values[variable] = once["value"].reindex(units).to_numpy()
            cells[variable] = once["cell"].reindex(units).to_numpy()
    for result, how, parts, compute in _DERIVED:
        if result not in values and set(parts) <= set(values.columns):
            values[result] = compute(*(values[part] for part in parts))
            cells[result] = "(" + how + ")"
            decisions.append(Decision("", "", "", result, how, f"no column gives {result}"))
    if SHARE in values and {INSIDE, TOTAL} <= set(values.columns):
        gap = values[SHARE].isna() & values[INSIDE].notna() & (values[TOTAL] > 0)
        if gap.any():
            values.loc[gap, SHARE] = (values[INSIDE] / values[TOTAL])[gap]
            cells.loc[gap, SHARE] = "(inside / total)"
            decisions.append(
                Decision(
                    "",
                    "",
                    "",
                    SHARE,
                    "inside / total",
                    f"{int(gap.sum()):,} units and periods have both counts and no share of the period",
                )
            )
    order = [name for name in (INSIDE, OUTSIDE, TOTAL, SHARE) if name in values]
    order += [name for name in values.columns if name not in order]
    origin = cells[order].add_suffix("_cell")
    frame = pd.concat(
        [frame[["name"]], values[order], frame[["cumulative", "file", "sheet", "row"]], origin], axis=1
    ).reset_index()
    ordinals = frame.pop("ordinal").to_numpy()
    frame.insert(2, PERIOD, ordinals if kind == "year" else labels(kind, ordinals))
    frame.columns.name = None
    return frame, decisions


_DERIVED = (
    (TOTAL, "inside + outside", (INSIDE, OUTSIDE), lambda inside, outside: inside + outside),
    (INSIDE, "total - outside", (TOTAL, OUTSIDE), lambda total, outside: total - outside),
    (SHARE, "inside / total", (INSIDE, TOTAL), lambda inside, total: inside / total.where(total > 0)),
)
