"""The first treated period of every unit, from the starts of its partnerships."""

from __future__ import annotations

import datetime as dt
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.errors import RosterError
from evalaid.base.months import MONTHS, PER_YEAR, Calendar, PeriodKind, read_kind
from evalaid.base.periods import containing_period, first_day, label, parse_periods
from evalaid.base.texts import counted
from evalaid.programme.roster import Roster

RULES = ("containing_period", "first_full_period", "part_of_period")
"""The first treated period: the one that a start falls in, the first that begins on or after it, or the one it falls in, counted by its part."""
_MONTHS = {str(kind).removesuffix("-year"): months for kind, months in MONTHS.items()}


@dataclass(frozen=True, eq=False)
class Assignment:
    """The first treated period of each unit of a roster.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row for each unit: ``unit``, ``cohort`` (a year as int, else text such as "2021Q1"), ``ordinal``, ``contains`` (ordinal of the
        period that holds the start), ``part`` (of the first treated period that counts as treated: below one for ``part_of_period`` only), ``start``,
        ``start_precision``, ``hospital`` of the partnership that decides, ``n_partnerships``.
    kind : str
        "year", "quarter" or "month".
    rule : str
        "containing_period", "first_full_period" or "part_of_period".
    notes : tuple of str
        What was assumed.
    """

    frame: pd.DataFrame
    kind: str
    rule: str
    notes: tuple[str, ...]

    @property
    def cohort_by_unit(self) -> pd.Series:
        """Cohort by unit label, written as `evalaid.diagnose` reads it; ``frame[unit].map(...)`` makes the cohort column."""
        return self.frame.set_index("unit")["cohort"]

    @property
    def partial_by_unit(self) -> pd.Series:
        """Ordinal of the period in which the start of a unit falls, where it is treated in a part of that period only.

        Empty for the other rules, which count that period as treated.
        """
        return self.frame.loc[self.frame["ordinal"] > self.frame["contains"], ["unit", "contains"]].set_index("unit")[
            "contains"
        ]

    def partial(self, units: pd.Series, periods: pd.Series) -> pd.Series:
        """Return 1 for the rows of a panel in which a unit's start falls inside a period that does not count, else 0: `diagnose(partial=...)`."""
        ordinal = parse_periods(periods, self.kind).ordinal
        return (units.map(self.partial_by_unit) == ordinal).astype(int)

    def exposure(self, units: pd.Series, periods: pd.Series) -> pd.Series:
        """Return the part of each row's period in which its unit is treated, by the dates of the roster: `diagnose(exposure=...)`.

        0 before the start and for units that are not in the roster, 1 after its period; in that period the months and days that are left
        of it, a month by its days.

        Examples
        --------
        >>> roster = Roster.read(pd.DataFrame({"area": ["P"], "begun": ["2021-04-01"]}), "area", "begun")
        >>> table = pd.DataFrame({"area": [*"PPPQ"], "year": [2020, 2021, 2022, 2021]})
        >>> assign_cohorts(roster, "year", "part_of_period").exposure(table["area"], table["year"]).tolist()
        [0.0, 0.75, 1.0, 0.0]
        """
        ordinal = pd.Series(parse_periods(periods, self.kind).ordinal, index=periods.index)
        by_unit = self.frame.set_index("unit")
        first, part = units.map(by_unit["ordinal"]), units.map(by_unit["part"])
        return part.where(ordinal == first, (ordinal > first).astype(float)).fillna(0.0).astype(float)

    def move(self, cohorts: Mapping[Any, Any]) -> Assignment:
        """Return the assignment with other cohorts of some units, of which nothing is known but the period.

        A moved start may fall inside the period before (``first_full_period``), and counts from the first day of its own otherwise.
        """
        frame = self.frame.set_index("unit")
        for unit, cohort in cohorts.items():
            ordinal = int(parse_periods(pd.Series([cohort]), self.kind).ordinal[0])
            contains = ordinal - (self.rule == "first_full_period")
            frame.loc[unit, ["ordinal", "contains", "part"]] = ordinal, contains, 1.0
        named = frame["cohort"].astype(object)
        named.loc[list(cohorts)] = list(cohorts.values())
        whole = frame.astype({"ordinal": np.int64, "contains": np.int64})
        return replace(self, frame=whole.assign(cohort=named).reset_index()[list(self.frame)])


def assign_cohorts(roster: Roster, kind: str, rule: str = "containing_period") -> Assignment:
    """Turn the starts of partnerships into the first treated period of each unit.

    Assumes that a unit counts as treated from its earliest partnership on, and stays so when the partnership ends. A start that
    is known to the month, quarter or year only is taken as the first day of that time; a note says so.

    Parameters
    ----------
    roster : Roster
        The partnerships.
    kind : {"year", "quarter", "month"}
        What one period of the panel is.
    rule : {"containing_period", "first_full_period", "part_of_period"}
        The period that the start falls in, the first period that begins on or after the start, or the period that the start falls in,
        counted by the part of it that is left (see ``exposure`` of the result).

    Returns
    -------
    Assignment
        Cohorts by unit, with notes on imprecise dates, units with several partnerships, and ended ones.

    Raises
    ------
    RosterError
        When the rule is unknown or the periods have no dates (plain numbers).

    Examples
    --------
    >>> table = pd.DataFrame({"area": ["P", "Q"], "begun": ["2021-02-18", "2022-01-01"]})
    >>> roster = Roster.read(table, "area", "begun")
    >>> assign_cohorts(roster, "quarter").cohort_by_unit.to_dict()
    {'P': '2021Q1', 'Q': '2022Q1'}
    >>> assign_cohorts(roster, "quarter", rule="first_full_period").cohort_by_unit.to_dict()
    {'P': '2021Q2', 'Q': '2022Q1'}
    """
    if rule not in RULES:
        raise RosterError(f"Found rule={rule!r}; expected one of {', '.join(map(repr, RULES))}.")
    if kind not in set(PER_YEAR):
        allowed = ", ".join(repr(str(name)) for name in PER_YEAR)
        raise RosterError(
            f"Found periods of kind {kind!r}; dates can be placed in periods of kind {allowed} only. Give the panel dated "
            "periods, or a cohort column in its own numbers."
        )
    ordered = roster.frame.sort_values(["unit", "start"], kind="stable")
    first = ordered.drop_duplicates("unit").reset_index(drop=True)
    dated = Calendar(roster.year_begins).named(kind)
    ordinal = np.array([_period_of(dated, start.date(), rule) for start in first["start"]], dtype=np.int64)
    cohort = ordinal if kind == PeriodKind.YEAR else [label(kind, number) for number in ordinal]
    frame = pd.DataFrame(
        {
            "unit": first["unit"],
            "cohort": cohort,
            "ordinal": ordinal,
            "contains": [containing_period(dated, start.date()) for start in first["start"]],
            "part": [_part_left(dated, start.date()) if rule == "part_of_period" else 1.0 for start in first["start"]],
            "start": first["start"],
            "start_precision": first["start_precision"],
            "hospital": first["hospital"],
            "n_partnerships": ordered.groupby("unit").size().loc[first["unit"]].to_numpy(),
        }
    )
    return Assignment(frame, str(kind), rule, _list_notes(roster, first, str(kind)))


def possible_cohorts(roster: Roster, kind: str, rule: str = "containing_period") -> pd.DataFrame:
    """List the units whose first treated period depends on a date that is not exact, with every period it can be.

    Assumes that a unit counts as treated from its earliest partnership on; with several, the earliest day is the first on which
    any of them can have begun and the latest the first by which one of them must have.

    Examples
    --------
    >>> table = pd.DataFrame({"area": ["P", "Q"], "begun": ["about 2014", "2015-03-01"]})
    >>> possible_cohorts(Roster.read(table, "area", "begun"), "year")[["unit", "cohort", "possible"]].values.tolist()
    [['P', 2014, (2013, 2014, 2015)]]
    """
    stated = assign_cohorts(roster, kind, rule).frame
    limits = roster.frame.groupby("unit")[["start_earliest", "start_latest"]].min().loc[stated["unit"]]
    rows = []
    for row, earliest, latest in zip(
        stated.itertuples(), limits["start_earliest"], limits["start_latest"], strict=True
    ):
        dated = Calendar(roster.year_begins).named(kind)
        first, last = (_period_of(dated, day.date(), rule) for day in (earliest, latest))
        if first < last:
            span = tuple(n if kind == PeriodKind.YEAR else label(kind, n) for n in range(first, last + 1))
            rows.append((row.unit, row.cohort, span[0], span[-1], span, row.start_precision))
    return pd.DataFrame(rows, columns=["unit", "cohort", "earliest", "latest", "possible", "start_precision"])


def _period_of(kind: str, day: dt.date, rule: str) -> int:
    period = containing_period(kind, day)
    return period if rule != "first_full_period" or first_day(kind, period) == day else period + 1


def _part_left(kind: str, day: dt.date) -> float:
    """Return the part of its period that is left on a day, in months, the day's own month by its days."""
    following = first_day(kind, containing_period(kind, day) + 1)
    months = (following.year - day.year) * 12 + following.month - day.month
    return (months - (day.day - 1) / monthrange(day.year, day.month)[1]) / MONTHS[read_kind(kind)[0]]


def _list_notes(roster: Roster, first: pd.DataFrame, kind: str) -> tuple[str, ...]:
    notes = []
    imprecise = first["start_precision"].value_counts().drop("day", errors="ignore")
    for precision, count in imprecise.items():
        known = f"{counted(count, 'unit')} with a start"
        if precision not in _MONTHS:
            said = {"about": "stated as about a time", "range": "stated as a range of time"}.get(
                str(precision), "known to a part of a year or month only"
            )
            notes.append(f"{known} {said}: the first day of that time was taken, though it may lie in another {kind}")
            continue
        assumed = f"the first day of that {precision} was taken"
        if _MONTHS[str(precision)] > MONTHS[PeriodKind(kind)]:
            assumed += f", though the start may lie in a later {kind}"
        notes.append(f"{known} known to the {precision} only: {assumed}")
    if len(several := roster.several_hospitals):
        notes.append(f"{counted(len(several), 'unit')} with more than one partnership: the earliest start counts")
    if len(ended := roster.ended):
        notes.append(
            f"{counted(len(ended), 'partnership')} ended: the units count as treated after the end, too (see .ended)"
        )
    return tuple(notes)
