"""Figures that count from the start of a year: are they, and if so their differences. Rates are never differenced."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from evalaid.base.months import CALENDAR, IN_YEAR, MONTHS, PeriodKind
from evalaid.base.names import COUNTS, SHARES
from evalaid.base.texts import counted
from evalaid.reading.journal.decisions import Decision, Fault, LeftOut, fault_of, leave

YES, NO, UNSAID = 1, 0, -1
"""Whether a figure is cumulative: its words say so, they say that it is not, or they leave it open."""

AGREE = 0.8
"""Share of the pairs of periods that must rise, or not rise, as cumulative counts would, before figures speak for themselves."""

FALLS = 0.2
"""Share of these pairs that fall from which on counts cannot be cumulative; corrections alone make few counts fall."""

_SERIES = ["unit", "variable", "year"]


@dataclass(frozen=True)
class Differenced:
    """Hold records without cumulative ones."""

    # with ``was_cumulative`` and ``minus`` (index of the record that was subtracted, -1 = none)
    records: pd.DataFrame
    decisions: list[Decision] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)  # what stops the reading: rates that cannot be taken apart
    falls: list[Fault] = field(default_factory=list)  # cumulative counts that fall
    left_out: list[LeftOut] = field(default_factory=list)


def is_open(records: pd.DataFrame) -> pd.Series:
    """Return for which figures neither words nor the calendar say whether they are cumulative.

    Assumes that a figure from January on is the same either way, and that only single months and quarters are in question.
    """
    months = records["last"] - records["first"] + 1
    return (records["cumulative"] == UNSAID) & (CALENDAR.within(records["first"]) != 0) & months.isin([1, 3])


def settle(records: pd.DataFrame) -> tuple[pd.DataFrame, list[Decision], list[Fault]]:
    """Decide of every figure whether it is cumulative.

    Assumes that the figures of one table and variable are alike. Words decide where there are any. The first quarter or month
    of a year and a full year are the same either way. For the rest the counts of one unit within one year are compared: the
    count of quarter k of a year is about k / j times that of quarter j if they are cumulative, about as large if not. Where the
    counts contradict the words, or there are no two periods of one year to compare, a person must say it.
    """
    records = records.copy()
    months = records["last"] - records["first"] + 1
    open_ = is_open(records)
    decisions: list[Decision] = []
    faults: list[Fault] = []
    if open_.any():
        answer, because, where = _compare(records, open_)
        first = records[open_].iloc[0]
        shown = CALENDAR.name_span(int(first["first"]), int(first["last"]))
        if answer is None and (records["variable"].isin(COUNTS) & open_).any():
            faults.append(
                Fault(
                    first["file"],
                    first["sheet"],
                    None,
                    first["cell"],
                    str(first["text"]),
                    f"is {first['text']} the figure of {shown} alone, or of January to its end? {because}",
                    "a line 'cumulative: false' (each period alone) or 'cumulative: true' in this table of the layout",
                )
            )
        elif answer is None:
            answer = NO
            because = "the words name a single period, and none says cumulative; rates do not show which it is"
        if answer is not None:
            decided = "each period alone" if answer == NO else "cumulative"
            decisions.append(Decision(where[0], where[1], "", f"figures of {shown} and the like", decided, because))
        records.loc[open_, "cumulative"] = NO if answer is None else answer
    unsaid = records["cumulative"] == UNSAID
    by_year = pd.MultiIndex.from_frame(records.assign(year=CALENDAR.year_of(records["first"]))[_SERIES])
    second_half = (CALENDAR.within(records["first"]) == 6) & (months == 6)
    halves = (months == 6) & by_year.isin(by_year[second_half])  # a first half is one where the second stands beside it
    from_january = (CALENDAR.within(records["first"]) == 0) & ~months.isin([1, 3, 12]) & ~halves
    records.loc[unsaid & from_january & (months < 12), "cumulative"] = YES
    keys = records.assign(year=CALENDAR.year_of(records["first"]))[_SERIES]
    yes = records["cumulative"] == YES
    in_series = pd.MultiIndex.from_frame(keys).isin(pd.MultiIndex.from_frame(keys[yes]))
    span = pd.MultiIndex.from_frame(keys.assign(last=records["last"]))
    ends_alone = span.isin(
        span[(months < 12) & (records["cumulative"] != YES)]
    )  # its last quarter or month stands by itself
    joins = (months < 12) | ~ends_alone
    joins &= (CALENDAR.within(records["first"]) == 0) & months.isin([1, 3, 12]) & in_series & ~span.isin(span[yes])
    records.loc[joins, "cumulative"] = YES  # the first part of a year, and the whole, belong to its cumulative figures
    records.loc[records["cumulative"] == UNSAID, "cumulative"] = NO
    return records, decisions, faults


def _compare(records: pd.DataFrame, open_: pd.Series) -> tuple[int | None, str, tuple[str, str]]:
    """Hold counts of one unit and year against each other: do they rise as cumulative ones would?"""
    year = CALENDAR.year_of(records["first"])
    months = records["last"] - records["first"] + 1
    counts = records[
        records["variable"].isin(COUNTS) & (records["value"] > 0) & (months < 12) & records["cumulative"].le(0)
    ]
    counts = counts.assign(year=year).sort_values([*_SERIES, "last"], kind="stable")
    part = CALENDAR.within(counts["last"]) + 1
    same = (counts[_SERIES] == counts[_SERIES].shift()).all(axis=1) & (part > part.shift())
    ratio = (counts["value"] / counts["value"].shift())[same]
    grown = (part / part.shift())[same]
    file, sheet, _ = _place(records[open_])
    if not len(ratio):
        return None, "There are no two periods of one year to compare", (file, sheet)
    flat = float((ratio < (1 + grown) / 2).mean())
    fall = float((ratio < 1).mean())
    evidence = (
        f"of {len(ratio):,} pairs of counts of one unit and year the later is typically {ratio.median():.2f} times the earlier, and in "
        f"{int((ratio < 1).sum()):,} it is lower; cumulative ones would be {grown.median():.2f} times as large and never lower"
    )
    return (NO if flat >= AGREE or fall >= FALLS else None), evidence, (file, sheet)


def difference(records: pd.DataFrame, periods: str | None, decreases: str) -> Differenced:
    """Turn cumulative counts into counts of each period.

    Assumes settled records. Counts are differenced within a unit, variable and year. A cumulative share is not: it is left to be
    computed from the differenced counts, and without these it is a fault that stops, as soon as its span is no period. A
    stock (population, beds) belongs to the last period of its span.
    """
    records = records.assign(was_cumulative=False, minus=-1, year=CALENDAR.year_of(records["first"]))
    is_cumulative = records["cumulative"] == YES
    if not is_cumulative.any():
        return Differenced(records)
    falls: list[Fault] = []
    left: list[LeftOut] = []
    plain, cumulative = records[~is_cumulative], records[is_cumulative].assign(was_cumulative=True)
    if periods:
        ends = CALENDAR.within(cumulative["last"] + 1) % MONTHS[periods] == 0
        left += _leave(cumulative[~ends], f"cumulative, and it ends inside a {periods}; the panel is by {periods}")
        cumulative = cumulative[ends]
    counts = cumulative[cumulative["variable"].isin(COUNTS)].sort_values([*_SERIES, "last"], kind="stable")
    same = (counts[_SERIES] == counts[_SERIES].shift()).all(axis=1).to_numpy()
    before = counts["value"].shift().where(same)
    since = counts["last"].shift().where(same)
    fell = (counts["value"] < before).to_numpy()
    increments = counts.assign(
        value=counts["value"] - before.fillna(0),
        first=np.where(same, since.fillna(0) + 1, counts["first"]).astype(np.int64),
        minus=np.where(same, np.r_[-1, counts.index.to_numpy()[:-1]], -1) if len(counts) else -1,
    )
    for place in np.flatnonzero(fell):
        now, then = counts.iloc[place], counts.iloc[place - 1]
        falls.append(
            Fault(
                now["file"],
                now["sheet"],
                int(now["row"]),
                f"{now['cell']}-{then['cell']}",
                f"{now['value']:g} after {then['value']:g}",
                f"the cumulative count of {now['variable']} of {now['name']} falls from "
                f"{CALENDAR.name_span(int(then['first']), int(then['last']))} to {CALENDAR.name_span(int(now['first']), int(now['last']))}",
                "a cumulative count that does not fall; the negative difference is "
                + ("kept" if decreases == "keep" else "missing in the panel"),
            )
        )
    if decreases == "missing":
        left += _leave(counts[fell], "the cumulative count falls; the layout says decreases: missing")
        increments = increments[~fell]
    others = cumulative[~cumulative["variable"].isin(COUNTS)]
    shares, stocks = others[others["variable"].isin(SHARES)], others[~others["variable"].isin(SHARES)]
    spans = increments[["unit", "year", "first", "last"]].drop_duplicates(["unit", "year", "last"])
    stocks = stocks.merge(spans, on=["unit", "year", "last"], how="left", suffixes=("", "_of_counts"))
    if len(stocks):
        stocks["first"] = stocks["first_of_counts"].fillna(stocks["first"]).astype(np.int64)
    kept, refused, gone = _place_shares(shares, increments, plain, _whole_spans(records, periods))
    left += gone
    decisions = [
        Decision(
            *_place(group),
            f"cumulative counts of {variable}",
            "full years as they stand" if periods == "year" else "differenced within each unit and year",
            f"{len(group):,} figures count from January, by their words or by the layout",
        )
        for variable, group in counts.groupby("variable", sort=False)
    ]
    merged = pd.concat([plain, increments, stocks.drop(columns="first_of_counts", errors="ignore"), kept])
    return Differenced(merged, decisions, refused, falls, left)


def _whole_spans(records: pd.DataFrame, periods: str | None) -> list[int]:
    """Return how many months from January on are a period of the panel: such a rate needs no counts."""
    if periods:
        return [MONTHS[periods]]
    months = records["last"] - records["first"] + 1
    return [1, 3] if (months < MONTHS[PeriodKind.HALF]).any() else [6]


def _place_shares(
    shares: pd.DataFrame, increments: pd.DataFrame, plain: pd.DataFrame, whole: list[int]
) -> tuple[pd.DataFrame, list[Fault], list[LeftOut]]:
    """Keep cumulative shares whose span is a period or the year; others need counts, or the period's own share beside them."""
    if not len(shares):
        return shares, [], []
    own = pd.MultiIndex.from_frame(shares[["unit", "variable", "last"]]).isin(
        pd.MultiIndex.from_frame(plain[["unit", "variable", "last"]])
    )
    inputs = increments[increments["variable"].isin(["inside", "outside", "total"])]
    both = inputs.groupby(["unit", "last"])["variable"].nunique()
    counts = pd.MultiIndex.from_frame(shares[["unit", "last"]]).isin(both[both > 1].index)
    recomputed = counts & (shares["variable"] == "share").to_numpy()
    months = (shares["last"] - shares["first"] + 1).to_numpy()
    starts = (CALENDAR.within(shares["first"]) == 0).to_numpy() & (
        np.isin(months, whole) | ((months == IN_YEAR) & ~recomputed)
    )
    refused = shares[~recomputed & ~starts & ~own]
    faults = []
    for _, group in refused.groupby(["file", "sheet", "variable"], sort=False):
        one = group.iloc[0]
        span = CALENDAR.name_span(int(one["first"]), int(one["last"]))
        faults.append(
            fault_of(
                one,
                f"{counted(len(group), 'cumulative rate')} of {one['variable']}, the first of {span}, cannot be taken apart: the difference of "
                "two cumulative rates is no rate",
                "the counts behind them (inside and total) in the same file, or 'periods: year' (or half-year) in the layout, which "
                "keeps the rates of full years (of first halves), or 'read: nothing' for this column",
            )
        )
    gone = _leave(shares[recomputed & ~starts], "a cumulative rate; the rate is computed from the differenced counts")
    gone += _leave(
        shares[own & ~recomputed & ~starts], "a cumulative rate beside the rate of the period that ends with it"
    )
    return shares[starts], faults, gone


def _leave(records: pd.DataFrame, reason: str) -> list[LeftOut]:
    return [leave(row, reason) for row in records.itertuples(index=False)]


def _place(group: pd.DataFrame) -> tuple[str, str, str]:
    """Return the name of the file and the sheet that all records come from; empty where they come from several."""
    files, sheets = group["file"].unique(), group["sheet"].unique()
    return str(files[0]) if len(files) == 1 else "", str(sheets[0]) if len(sheets) == 1 else "", ""
