"""Which columns of a tidy table hold the units, the periods, the outcome and the counts behind it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from evalaid.base.errors import PanelError
from evalaid.base.months import PeriodKind
from evalaid.base.names import CODE, INSIDE, KEY_ROLES, NAME, OUTCOME, PERIOD, TOTAL, UNIT, YEAR, names_a_share
from evalaid.base.periods import recognise_periods
from evalaid.reading.values.kinds import find_role, plain
from evalaid.reading.values.measures import measure_of
from evalaid.reading.words.vocabulary import pattern_of
from evalaid.study.inspection.treatment_columns import find_treatment

_SHOWN = 12
_CODE = re.compile(
    r"(?:^|[_ ])(?:id|code|fips|geoid|nuts\d?|ags|county|district|unit|state|region)(?:$|[_ ])", re.IGNORECASE
)
ROUNDING = 0.006
"""A share in whole per cent is off by half a point."""


def find_panel_columns(frame: pd.DataFrame, named: dict[str, str], file: str) -> dict[str, str]:
    """Find the columns of unit, period and outcome that the caller did not name, and the counts behind a share."""
    known = dict(named)
    for role, wanted, candidates in (
        (PERIOD, "a column of years, quarters or months", _dated),
        (UNIT, "a column of names or codes that names each row once a period", _names),
        (OUTCOME, "a numeric column that is named as a share, or the only one with numbers", _outcomes),
    ):
        if role not in known:
            free = [column for column in frame.columns if column not in known.values()]
            known[role] = _first(candidates(frame[free], known, frame), role, wanted, frame, file)
    known |= _counts(frame, known)
    return {role: known[role] for role in (UNIT, PERIOD, OUTCOME, INSIDE, TOTAL) if role in known and role not in named}


def _dated(free: pd.DataFrame, *_: Any) -> list[str]:
    """Return the column of periods: the first that is named so, else the first that reads as one."""
    dated = [column for column in free.columns if _is_period(free[column])]
    return [column for column in dated if find_role(str(column)) in {PERIOD, YEAR}][:1] or dated[:1]


def _outcomes(free: pd.DataFrame, known: Mapping[str, str], frame: pd.DataFrame) -> list[str]:
    """Return the columns of shares, else those of other figures that do not say when units are treated."""
    numeric = [column for column in free.columns if pd.api.types.is_numeric_dtype(free[column])]
    shares = [column for column in numeric if names_a_share(column)]
    if shares or not {known[UNIT], known[PERIOD]} <= set(frame):
        return shares
    about = frame[[known[UNIT], known[PERIOD], *numeric]]
    starts = {found.column for found in find_treatment(about, known[UNIT], known[PERIOD])}
    left = [
        column for column in numeric if column not in starts and find_role(str(column)) not in {*KEY_ROLES} - {NAME}
    ]
    varied = [
        column for column in left if len(frame[column].dropna().drop_duplicates()) > 1 and not _is_period(frame[column])
    ]
    named = [column for column in varied if measure_of(column).kind in _FIGURES or _is_figure(str(column))]
    return named if len(named) == 1 else varied or left


_FIGURES = {"share", "rate", "unclear"}


def _is_figure(column: str) -> bool:
    return bool(pattern_of("figure").fullmatch(column.lower()))


def _names(free: pd.DataFrame, known: Mapping[str, str], frame: pd.DataFrame) -> list[str]:
    """Return the first column of names or codes that stands once a period, else all of them."""
    text = [column for column in free.columns if not pd.api.types.is_numeric_dtype(free[column])]
    whole = [column for column in free.columns if column not in text and (free[column].dropna() % 1 == 0).all()]
    codes = [column for column in whole if find_role(str(column)) in {NAME, CODE} or _CODE.search(str(column))]
    if known[PERIOD] not in frame:
        return text or codes
    clear = [column for column in [*text, *codes] if not frame.duplicated([column, known[PERIOD]]).any()]
    return clear[:1] or text or codes


def _counts(frame: pd.DataFrame, known: Mapping[str, str]) -> dict[str, str]:
    """Return the columns of the counts behind a share: one of each, whose ratio it is."""
    if {INSIDE, TOTAL} & set(known) or not names_a_share(known[OUTCOME]):
        return {}
    counts = {role: [column for column in frame.columns if find_role(str(column)) == role] for role in (INSIDE, TOTAL)}
    if any(len(columns) != 1 for columns in counts.values()):
        return {}
    both = {role: column for role, (column,) in counts.items()}
    return both if _is_ratio(frame, both, known[OUTCOME]) else {}


def _is_ratio(frame: pd.DataFrame, counts: Mapping[str, str], outcome: str) -> bool:
    """Check whether a share is that of two counts, up to the rounding of published shares."""
    if outcome not in frame:
        return False
    numbers = [pd.to_numeric(frame[column], errors="coerce") for column in (counts[INSIDE], counts[TOTAL], outcome)]
    inside, total, share = (values.where(values >= 0) for values in numbers)
    ratio = inside / total.where(total > 0)
    known = ratio.notna() & share.notna()
    off = pd.concat([(ratio - share / factor).abs() for factor in (1, 100)], axis=1)[known].max()
    return bool(known.any() and off.min() < ROUNDING)


def _first(candidates: list[str], role: str, wanted: str, frame: pd.DataFrame, file: str) -> str:
    """Take the only candidate, else ask."""
    if len(candidates) == 1:
        return candidates[0]
    columns = [str(column) for column in (candidates or frame.columns)]
    listed = ", ".join(columns[:_SHOWN]) + (", ..." if len(columns) > _SHOWN else "")
    what = f"several could be: {listed}" if candidates else f"none is {wanted}; the columns are {listed}"
    called = (
        [column for column in frame.columns if find_role(plain(column)) in {PERIOD, YEAR}] if role == PERIOD else []
    )
    held = "".join(
        f" {str(column)!r} holds {', '.join(map(repr, frame[column].dropna().unique()[:2].tolist()))}: expected years (2019), half-years, "
        "quarters (2019Q3), months (2019-09) or dates that begin or end them; add weeks and other steps up to these first."
        for column in called
    )
    starts = role == OUTCOME and not candidates
    roster = " A roster of starts has no outcome: check it with --unit COLUMN --start COLUMN." if starts else ""
    raise PanelError(
        f"{file}: which column is the {role}? Of those not named, {what}. Name it with --{role} COLUMN.{held}{roster}"
    )


def _is_period(values: pd.Series) -> bool:
    if values.isna().any():
        return False
    if pd.api.types.is_float_dtype(values) and not (values.dropna() % 1 == 0).all():
        return False
    periods, unreadable = recognise_periods(values)
    return periods.kind != PeriodKind.NUMBER and not unreadable.any()
