"""The units in which effects are reported, and the one place where a fraction becomes percentage points."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from evalaid.base.effect_columns import ESTIMATE, IN_UNIT, STD_ERROR
from evalaid.did.effects.effects import Effects
from evalaid.study.spec import StudySpec

OTHER_OUTCOME = "other_outcome"
"""A column of frames whose effects are on other outcomes than the study's."""

_UNITS = {"share": ("pp", 100.0), "relative": ("%", 100.0), "number": ("number", 1.0)}


def unit_of(scale: str) -> tuple[str, float]:
    """Return the unit in which effects of a scale are reported, and what they are multiplied with.

    Examples
    --------
    >>> unit_of("share"), unit_of("relative")
    (('pp', 100.0), ('%', 100.0))
    """
    return _UNITS[scale]


def unit_of_outcome(spec: StudySpec) -> tuple[str, float]:
    """Return the unit and the factor of a study's outcome, where there are no effects to ask.

    Examples
    --------
    >>> unit_of_outcome(StudySpec(study="korea_responsible_hospitals"))
    ('pp', 100.0)
    """
    return unit_of("number" if spec.outcome_unit == "number" else "share")


def in_own_unit(frame: pd.DataFrame, spec: StudySpec) -> pd.DataFrame:
    """Put the words of an outcome's unit ("per 1,000") in place of "number" where rows are effects on that outcome."""
    own = spec.outcome_measure if spec.outcome_unit == "number" else None
    if own is None or OTHER_OUTCOME in frame or "unit" not in frame or not {ESTIMATE, STD_ERROR} & set(frame):
        return frame
    return frame.assign(unit=frame["unit"].replace("number", own))


def in_unit(frame: pd.DataFrame, effects: Effects) -> pd.DataFrame:
    """Turn the effect columns of an inference table into percentage points or per cent, once."""
    unit, factor = unit_of(effects.scale)
    return multiply(frame, factor).assign(unit=unit)


def multiply(frame: pd.DataFrame, factor: float, columns: Iterable[str] = IN_UNIT) -> pd.DataFrame:
    """Multiply some columns, which turns them into the unit of the report."""
    return frame.assign(**{column: frame[column] * factor for column in columns})
