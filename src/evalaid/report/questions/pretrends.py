"""Tests of the estimates before the start: is there a difference, how large could it be, and what would have been missed?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import P_VALUE
from evalaid.base.errors import EvalaidError, reason_of
from evalaid.did.effects.effects import Effects
from evalaid.did.sensitivity.trends.pretrend_power import pretrend_power
from evalaid.did.sensitivity.trends.pretrend_test import pretrend_test
from evalaid.report.questions.analysis import Refusal
from evalaid.report.questions.effect_rows import list_values
from evalaid.report.questions.units import unit_of
from evalaid.study.spec import StudySpec

POWER = 0.8
MADE_BY = "tests of the estimates by event time before units may react; covariance as of the main estimate"


def check_before(effects: Effects | Refusal, spec: StudySpec, reaction: int = 0) -> pd.DataFrame:
    """Test the estimates before units may react: Wald, sup-t and equivalence, and the power against a linear trend.

    ``key``, ``label``, ``value``, ``unit``, ``digits``, ``reason``: why a value is missing; no row where there is nothing to test.
    """
    if isinstance(effects, Refusal):
        return _listed([], "")
    try:
        event = effects.aggregate("event_time") if {"cohort", "period"} <= set(effects.cells) else effects
        found = pretrend_test(event, level=spec.level, anticipation=reaction, seed=spec.seed).table.set_index("test")
    except EvalaidError:
        return _listed([], "")
    unit, factor = unit_of(effects.scale)
    p_value, bound = found[P_VALUE].to_dict(), (found["bound"] * factor).to_dict()
    slope, bias, reason = _missed(event, spec)
    rows = [
        ("wald", "No difference before the start: p of the Wald test", p_value["Wald"], "number", 3),
        ("supremum", "The same: p of the largest t (sup-t)", p_value["sup-t"], "number", 3),
        ("bound", "Smallest bound on every period that the data support", bound["equivalence, every period"], unit, 2),
        ("bound_mean", "Smallest bound on their mean that the data support", bound["equivalence, mean"], unit, 2),
        ("slope", f"Linear trend that is found with a power of {POWER:.0%}, per period", slope * factor, unit, 3),
        ("bias", "Bias of the average effect that such a trend leaves", bias * factor, unit, 2),
    ]
    return _listed(rows, reason, str(found.loc["Wald", "note"]))


def _missed(event: Effects, spec: StudySpec) -> tuple[float, float, str]:
    """Return slope and bias of the linear trend that the test of single periods finds with the stated power."""
    try:
        kept = event.select(~np.isnan(event.value))
        table = pretrend_power(kept, power=POWER, level=spec.level, seed=spec.seed).table
        power = table[table["test"] == "individual"].to_dict("records")[0]
    except EvalaidError as error:
        return np.nan, np.nan, reason_of(error)
    return power["slope"], power["bias"], ""


def _listed(rows: list[tuple[str, str, float, str, int]], trend: str, wald: str = "") -> pd.DataFrame:
    reasons = {"wald": wald, "slope": trend, "bias": trend}
    frame = list_values(rows, MADE_BY)
    return frame.assign(
        reason=[
            reasons.get(key, "") if np.isnan(value) else ""
            for key, value in zip(frame["key"], frame["value"], strict=True)
        ]
    )
