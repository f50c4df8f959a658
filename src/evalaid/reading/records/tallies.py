"""Counts by county of residence and period, and the account of what became of every record."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from evalaid.base.periods import first_day, labels
from evalaid.reading.records.episodes import COUNTED, YEARS, Fate

COUNTS = ("inside", "outside", "out_of_province", "unknown_hospital")
DECISION_COLUMNS = ["file", "sheet", "cell", "what", "rows", "decided", "because"]
CITIES_WITHOUT_COUNTIES = frozenset({441900, 442000, 460400, 620200})
"""Codes that end in 00 and still are the smallest unit that a residence can name (GB/T 2260)."""
SLACK_DAYS = 7
"""A first or last period whose first or last day is missed by more than this many days is called incomplete."""


@dataclass(frozen=True, eq=False, repr=False)
class RecordCounts:
    """Hold counts of episodes by county of residence and period, and how they came about.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``county`` (six-digit code as text), ``period`` (label), ``inside`` (treated in the county of residence),
        ``outside`` (elsewhere in its province), ``out_of_province``, ``total``, ``share`` (inside / total, a
        fraction), ``unknown_hospital`` (not in ``total``), and mean weights ``weight_inside`` and ``weight_outside``
        when the records have weights. Sorted by county and period.
    decisions : pandas.DataFrame
        ``file``, ``sheet``, ``cell``, ``what``, ``rows``, ``decided``, ``because``: one row for each decision and for
        each thing that can become of a record; these add up to the records read.
    definition : mapping of str to str
        Base, dating, merging and denominator, as they were asked for.
    """

    frame: pd.DataFrame
    decisions: pd.DataFrame
    definition: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        counties, periods = self.frame["county"].nunique(), self.frame["period"].nunique()
        episodes = int(self.frame["total"].sum())
        return f"<RecordCounts: {episodes:,} episodes of {counties} counties in {periods} periods>"

    @cached_property
    def content_hash(self) -> str:
        """sha256 of the counts and their definition; the same for the same records in any order and any partition."""
        digest = hashlib.sha256()
        digest.update(repr(sorted(self.definition.items())).encode())
        counts = self.frame.drop(columns=[name for name in self.frame if str(name).startswith("weight_")])
        digest.update(counts.to_csv(index=False, lineterminator="\n").encode())
        return digest.hexdigest()


def make_frame(
    groups: pd.DataFrame, period: str, denominator: str, *, weighted: bool = False, units: Sequence[str] | None = None
) -> pd.DataFrame:
    """Turn counts by residence, period and fate into one row for each county and period."""
    names = {
        Fate.INSIDE: COUNTS[0],
        Fate.OUTSIDE: COUNTS[1],
        Fate.OUT_OF_PROVINCE: COUNTS[2],
        Fate.UNKNOWN_HOSPITAL: COUNTS[3],
    }
    keyed = groups.assign(count=groups["fate"].map({int(fate): name for fate, name in names.items()}))
    index = ["residence", "period"]
    wide = keyed.pivot_table(index=index, columns="count", values="episodes", aggfunc="sum", fill_value=0)
    wide = wide.reindex(columns=list(COUNTS), fill_value=0).astype("int64").sort_index()
    total = wide["inside"] + wide["outside"] + (wide["out_of_province"] if denominator == "country" else 0)
    wide.insert(3, "total", total)
    wide.insert(4, "share", wide["inside"] / total.where(total > 0))
    if weighted:
        away = keyed["fate"].isin([int(Fate.OUTSIDE), int(Fate.OUT_OF_PROVINCE)])
        for name, mask in (("weight_inside", keyed["fate"] == int(Fate.INSIDE)), ("weight_outside", away)):
            sums = keyed[mask].groupby(index)[["weight", "weighted"]].sum()
            wide[name] = (sums["weight"] / sums["weighted"].where(sums["weighted"] > 0)).reindex(wide.index)
    wide = wide.reset_index()

    numbers = wide["residence"].astype("int64")
    shown = [f"{number:06d}" if units is None else units[number] for number in numbers]
    county = pd.Series(shown, index=wide.index, dtype="str")
    table = wide.drop(columns="residence").assign(period=labels(period, wide["period"]))
    table.insert(0, "county", county)
    table.columns.name = None
    return table


def make_decisions(lines: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    """Make the decisions frame from its rows (see `RecordCounts`)."""
    return pd.DataFrame(lines, columns=DECISION_COLUMNS).astype({"rows": "Int64"})


def sort_out(
    summary: pd.DataFrame, wanted: set[int | None] | None, window: tuple[int, int] | None, *, provinces: bool = True
) -> pd.DataFrame:
    """Return why a group of records is not counted, in the order in which the reasons are asked."""
    residence, period = summary["residence"], summary["period"]
    fate = summary["fate"].astype("int64")
    province = residence // 10_000
    unknown = residence.isna() | (provinces & ~province.between(11, 82))
    coarse = provinces & ~unknown & (residence % 100 == 0) & ~residence.isin(CITIES_WITHOUT_COUNTIES)
    reasons = [
        (fate == Fate.UNKNOWN_BASE, "no base"),
        (fate == Fate.OTHER_BASE, "another base"),
        (fate == Fate.OTHER_INSURANCE, "another insurance type"),
        (unknown, "residence missing or no county code"),
        (coarse, "residence known to the city or province only"),
        (fate == Fate.NO_DATE, "no date"),
        (fate == Fate.UNREADABLE_DATE, "unreadable date"),
        (fate == Fate.IMPLAUSIBLE_DATE, "placeholder for a date"),
        (fate == Fate.BACKWARDS, "admitted after discharge"),
    ]
    if wanted is not None:
        reasons.append((~residence.isin(wanted), "resident of a county that was not asked for"))
    if window is not None:
        reasons.append((~period.between(*window), "outside the periods asked for"))
    left_out = pd.Series("", index=summary.index)
    for mask, reason in reversed(reasons):
        left_out = left_out.mask(mask.fillna(value=False).astype(bool), reason)
    return summary.assign(left_out=left_out)


WHY = {
    "no base": "whether they belong to the base cannot be said",
    "another base": "bases are never mixed",
    "another insurance type": "they were not asked for",
    "residence missing or no county code": "they belong to no county; the share of none is changed knowingly",
    "residence known to the city or province only": "they belong to no county; the share of none is changed knowingly",
    "no date": "they belong to no period",
    "unreadable date": "they belong to no period; dates are read as 2019-07-01, 2019/7/1, 2019年7月1日 or 20190701",
    "placeholder for a date": f"they belong to no period; its year is before {YEARS[0]} or after {YEARS[1]}",
    "admitted after discharge": "one of the dates is wrong, and which cannot be said",
    "resident of a county that was not asked for": "counties= lists others",
    "outside the periods asked for": "within= says so",
}


def account(
    groups: pd.DataFrame, definition: Mapping[str, str], found: Mapping[str, str], period: str
) -> list[tuple[Any, ...]]:
    """Return what became of the records; ``rows`` of all lines after the first add up to those read."""
    lines: list[tuple[Any, ...]] = []

    def say(what: str, rows: int | None, decided: str, because: str) -> None:
        lines.append(("", "", "", what, rows, decided, because))

    say("records", int(groups["rows"].sum()), "read", "all of the source")
    for reason, why in WHY.items():
        rows = int(groups.loc[groups["left_out"] == reason, "rows"].sum())
        if rows:
            say(reason, rows, "left out", why)
    kept = groups[groups["left_out"] == ""]
    if definition["transfers"] == "not merged":
        note = "a patient who is moved counts once for each hospital" + (
            "" if "person" in found else "; duplicates cannot be seen"
        )
        say("transfers", None, "not merged", note)
    elif definition["transfers"] == "as in the matrix":
        say("transfers", None, "as in the matrix", "it does not say whether they are merged")
    else:
        say(
            "duplicates",
            int(kept["duplicates"].sum()),
            "counted once",
            "same person, hospital, admission and discharge",
        )
        say("transfers", int(kept["transfers"].sum()), "merged into the stay before", definition["transfers"])
    texts = {
        Fate.INSIDE: ("inside", "counted", "county of the hospital = county of residence"),
        Fate.OUTSIDE: ("outside", "counted", "another county of the province"),
        Fate.OUT_OF_PROVINCE: (
            "out of province", "counted apart",
            "part of the total" if definition["denominator"] == "country" else "not part of the total",
        ),
        Fate.UNKNOWN_HOSPITAL: ("unknown hospital", "counted apart, not in the total", "its county is not in the hospital table"),
    }  # fmt: skip
    for fate in COUNTED:
        what, decided, because = texts[fate]
        say(what, int(kept.loc[kept["fate"] == fate, "episodes"].sum()), decided, because)
    if "base" not in found:
        say("base", None, f"taken to be {definition['base']}", "the records have no such column; the caller says so")
    if len(kept):
        first, last = kept["period"].min(), kept["period"].max()
        begin, end = pd.Timestamp(kept["first"].min()), pd.Timestamp(kept["last"].max())
        opens, closes = pd.Timestamp(first_day(period, int(first))), pd.Timestamp(first_day(period, int(last) + 1))
        slack = pd.Timedelta(days=SLACK_DAYS)
        for label, short in ((first, begin - opens > slack), (last, closes - end > slack + pd.Timedelta(days=1))):
            if short:
                name = labels(period, [label])[0]
                say(
                    f"period {name}",
                    None,
                    "kept, seems incomplete",
                    f"days run from {begin:%Y-%m-%d} to {end:%Y-%m-%d}",
                )
        cells = kept.groupby("residence")["period"].nunique()
        if missing := int((kept["period"].nunique() - cells).sum()):
            say(
                "county x period cells without a record",
                None,
                f"{missing} left out, not counted as zero",
                "no record is not no patient",
            )
    return lines


def plain_code(value: object) -> str | None:
    """Write a code as text: no spaces, no decimals; None when it is missing."""
    if not pd.api.types.is_scalar(value) or pd.isna(value):  # type: ignore[call-overload]
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def county_number(value: object) -> int | None:
    """Read a six-digit administrative code, also from the front of a longer one; None when it is none."""
    digits = re.fullmatch(r"(\d{6})\d*(?:\.0)?", plain_code(value) or "")
    return int(digits[1]) if digits else None
