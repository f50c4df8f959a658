"""Columns of a tidy panel that say when its units are treated: the first treated period, or zeros and ones by period."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalaid.base.columns import as_indicator
from evalaid.base.months import PeriodKind
from evalaid.base.names import COHORT
from evalaid.base.periods import recognise_periods

TREATED = "treated"
FAR = 1000
"""A number so far from every period of the panel is no period: 0, -1, 9999 and infinity stand for never in many files."""

_WORDS = re.compile(
    r"treat|cohort|gvar|adopt|start|first|begin|launch|go.?live|implement|enter|event|since|beginn|début|inicio|início|inizio|"
    r"首|起|始|入组|批次|시작|개시|開始",
    re.IGNORECASE,
)
_NEVER = re.compile(r"never.*|none|no|nie|jamais|nunca|mai|从未|未.*|없음|なし|[-–—.]|n/?a", re.IGNORECASE)


@dataclass(frozen=True)
class TreatmentColumn:
    """A column that says when units are treated, and how it is known.

    ``role`` is "cohort" or "treated"; ``never`` are the values of a cohort that are no period and mean never treated.
    """

    column: str
    role: str
    evidence: str
    never: tuple[int | float | str, ...] = ()

    def text(self) -> str:
        """Describe the column."""
        return f"{self.column!r} looks like {_CALLED[self.role]} ({self.evidence})"


_CALLED = {
    COHORT: "the first treated period of each unit",
    TREATED: "zeros and ones by period: whether a unit is treated",
}


def find_treatment(frame: pd.DataFrame, unit: str, period: str) -> tuple[TreatmentColumn, ...]:
    """Find the columns that say when units are treated; columns of unit and period are none."""
    if unit not in frame or period not in frame:
        return ()
    found = []
    for column in frame.columns.drop([unit, period]):
        for read in (read_cohorts, read_treated):
            try:
                found.append(read(frame, str(column), unit, period, strict=True))
            except ValueError:
                continue
    return tuple(found)


def read_cohorts(frame: pd.DataFrame, column: str, unit: str, period: str, *, strict: bool = False) -> TreatmentColumn:
    """Read a column as first treated periods; ``strict``: only one that can hardly be anything else.

    Raises
    ------
    ValueError
        If it cannot be one: not constant within units, or no value is like a period of the panel.
    """
    values, periods = frame[column], frame[period]
    if values.groupby(frame[unit], sort=False).nunique(dropna=False).max() > 1:
        raise ValueError(f"{column!r} changes within units: the first treated period of a unit is one")
    kind = recognise_periods(periods)[0].kind
    distinct = values.dropna().drop_duplicates()
    never = tuple(value for value in distinct.tolist() if is_never(value, periods))
    dated = distinct[~distinct.isin(never)]
    cohorts, unreadable = recognise_periods(dated) if len(dated) else (None, np.array([True]))
    if cohorts is None or unreadable.any() or kind not in (cohorts.kind, PeriodKind.NUMBER):
        shown = ", ".join(map(str, dated.tolist()[:3])) or "no value"
        raise ValueError(f"{column!r} holds {shown}: expected {kind}s, written like the panel's periods")
    inside = np.isin(cohorts.ordinal, recognise_periods(periods)[0].ordinal)
    open_ = bool(never) or bool(values.isna().any())
    if strict and not (inside.any() and (_WORDS.search(column) or (open_ and inside.all()))):
        raise ValueError(f"{column!r} may be any year of a unit")
    shown = ", ".join(_number(value) for value in dated.sort_values().tolist()[:4]) + (
        ", ..." if len(dated) > 4 else ""
    )
    evidence = f"one value per unit: {shown}"
    untreated = frame.loc[values.isna() | values.isin(never), unit].nunique()
    if untreated:
        how = " or ".join([*map(_number, never), *(["empty"] if values.isna().any() else [])])
        evidence += f"; {how} for {untreated} units, never treated"
    return TreatmentColumn(column, COHORT, evidence, tuple(_plain(value) for value in never))


def read_treated(frame: pd.DataFrame, column: str, unit: str, period: str, *, strict: bool = False) -> TreatmentColumn:
    """Read a column as zeros and ones by period; ``strict``: it must change within a unit, and never back.

    Raises
    ------
    ValueError
        If it holds anything else, or a unit is treated and later not.
    """
    numbers = pd.Series(as_indicator(frame[column]), index=frame.index)
    if not numbers.isin([0, 1]).all():
        other = frame.loc[~numbers.isin([0, 1]), column]
        shown = ", ".join("empty" if pd.isna(value) else str(value) for value in other.drop_duplicates().tolist()[:3])
        raise ValueError(f"{column!r} holds {shown}: expected 0 and 1")
    order = recognise_periods(frame[period])[0].ordinal
    sorted_ = pd.DataFrame({"unit": frame[unit], "order": order, "on": numbers}).sort_values(["unit", "order"])
    change = sorted_.groupby("unit", sort=False)["on"].diff()
    back = sorted_.loc[change < 0, "unit"].drop_duplicates()
    if len(back):
        raise ValueError(
            f"{column!r} returns to 0 for {len(back)} units ({', '.join(map(str, back.tolist()[:3]))}): a programme that ends has no cohort"
        )
    started = int((change > 0).sum())
    if strict and not started:
        raise ValueError(f"{column!r} never changes within a unit")
    ever = sorted_.groupby("unit", sort=False)["on"].max()
    return TreatmentColumn(
        column, TREATED, f"0 and 1; {int(ever.sum())} of {len(ever)} units change to 1 and stay there"
    )


def first_treated(frame: pd.DataFrame, treated: str, unit: str, period: str) -> pd.Series:
    """Return the first period with a one of each row's unit, as the panel writes it; missing for units without one."""
    order = pd.Series(recognise_periods(frame[period])[0].ordinal, index=frame.index)
    on = frame[as_indicator(frame[treated]) == 1].assign(_order=order)
    first = on.sort_values("_order", kind="stable").drop_duplicates(unit).set_index(unit)[period]
    return frame[unit].map(first)


def is_never(value: object, periods: Iterable[object]) -> bool:
    """Return whether a value in a column of cohorts is no period: a number far from all of them, or a word for never."""
    if isinstance(value, str):
        return bool(_NEVER.fullmatch(value.strip()))
    if not isinstance(value, int | float | np.number):
        return False
    number = float(value)
    if not math.isfinite(number):
        return True
    numbers = pd.to_numeric(pd.Series(list(periods)), errors="coerce").dropna()
    if numbers.empty:
        return number <= 0
    return bool(number <= 0 < numbers.min() or number - numbers.max() >= FAR)


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain(value: object) -> int | float | str:
    if isinstance(value, str):
        return value
    number = float(str(value))
    return int(number) if number.is_integer() else number
