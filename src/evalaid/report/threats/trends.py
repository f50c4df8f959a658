"""Would trends have been parallel? How far they may diverge before the finding falls, and what the pre-test would have missed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ENDS, STD_ERROR
from evalaid.base.errors import EvalaidError
from evalaid.base.texts import one_line
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.infer import infer
from evalaid.did.sensitivity.trends.honest import HonestBounds, honest
from evalaid.did.sensitivity.trends.pretrend_power import pretrend_power
from evalaid.report.display.formatted_tables import Column
from evalaid.report.questions.analysis import Refusal
from evalaid.report.questions.effect_rows import list_values
from evalaid.report.questions.units import multiply
from evalaid.report.threats.finding import REVERSED, SIGN_ONLY, SURVIVES, UNKNOWN, WEAKENED, Case, verdict_row, why_not

M = (0.0, 0.5, 1.0, 1.5, 2.0)
POWERS = (0.5, 0.8)
THREAT = "Trends would not have been parallel"
TRIED = "Let the trends diverge after the start by up to M times the largest divergence between two periods before it"
TOO_STRAIGHT = "without sampling error nothing is left: the estimates before the start bend more than this"
COLUMNS = {
    "m": Column("M", "number", 1),
    "identified_low": Column("Without sampling error, from", "outcome", 2, signed=True),
    "identified_high": Column("to", "outcome", 2, signed=True),
    "slope": Column("Slope per period", "outcome", 3, signed=True),
    "bias": Column("Bias it leaves", "outcome", 2, signed=True),
    "conditional_bias": Column("Bias once the test has passed", "outcome", 2, signed=True),
}
SMOOTH = {**COLUMNS, "m": Column("Largest change of slope", "outcome", 2)}


@dataclass(frozen=True)
class Trends:
    """What was tried against the assumption of parallel trends; frames without rows where it cannot be tried.

    Parameters
    ----------
    relative, smooth : pandas.DataFrame
        One row an M, or a largest change of slope: ``key``, ``m``, ``conf_low``, ``conf_high``, ``identified_low``,
        ``identified_high``, ``unit``, ``level``, ``note``, ``made_by``.
    curve : pandas.DataFrame
        The first as `evalaid.report.display.divergence_figure.draw_honest` draws it.
    breakdown : pandas.DataFrame
        ``key``, ``label``, ``value``, ``unit``, ``digits``, ``made_by``: where zero enters the intervals.
    power : pandas.DataFrame
        One row a power of the test of pre-trends: ``key``, ``label``, ``slope``, ``bias``, ``conditional_bias``, ``unit``,
        ``note``, ``made_by``.
    verdict : pandas.DataFrame
        One row, see `evalaid.report.threats.finding.verdict_row`.
    """

    relative: pd.DataFrame
    smooth: pd.DataFrame
    curve: pd.DataFrame
    breakdown: pd.DataFrame
    power: pd.DataFrame
    verdict: pd.DataFrame


def examine_trends(case: Case | Refusal) -> Trends:
    """Bound the main estimate when trends may diverge, and say which divergence the periods before would not have shown.

    The average over treated observations is bounded: event times weigh by their treated units, as in the main estimate.
    """
    if isinstance(case, Refusal) or not case.by_cohort_and_period:
        return _nothing(why_not(case))
    event = case.effects.aggregate("event_time")
    event = event.select(~np.isnan(event.value))  # event times without a comparison are at the ends; gaps are refused
    event, lone = _with_errors(event, case.spec.level)
    weights, level, seed = _observation_weights(event), case.spec.level, case.spec.seed
    factor = case.unit[1]
    try:
        relative = honest(event, "relative_magnitude", M, weights=weights, level=level, seed=seed)
        smooth = honest(event, "smoothness", weights=weights, level=level, seed=seed)
        found = pretrend_power(event, power=POWERS, level=level, weights=weights, seed=seed)
    except EvalaidError as error:
        return _nothing(one_line(error))
    frame = _frame(relative, 1.0, case)
    return Trends(
        relative=frame,
        smooth=_frame(smooth, factor, case, TOO_STRAIGHT),
        curve=relative.curve(factor),
        breakdown=_breakdown(relative, smooth, case),
        power=_power(found.table[found.table["test"] == "individual"], case),
        verdict=_verdict(case, relative, frame, lone),
    )


def _with_errors(event: Effects, level: float) -> tuple[Effects, str]:
    """Leave out event times with one treated cluster, which have no error, and say which; not when none would be left.

    These are the ends of the panel, which only the earliest or the latest cohort reaches.
    """
    known = infer(event, level=level)[STD_ERROR].notna().to_numpy() | (event.value == 0)  # zero: the reference
    time = event.cells["event_time"].to_numpy()
    if known.all() or not (known & (time >= 0)).any() or not (known & (time < 0) & (event.value != 0)).any():
        return event, ""
    times = ", ".join(f"{value:+d}" for value in time[~known].tolist())
    return event.select(known), f" Left out, with one treated cluster: event time {times}."


def _observation_weights(event: Effects) -> pd.Series:
    """Weigh event times by their treated units, which gives the average over treated observations."""
    time = event.cells["event_time"].to_numpy()
    after = (time >= 0) & ~np.isnan(event.value)
    count = event.cells["n_treated"].to_numpy(dtype=float)[after]
    return pd.Series(count / count.sum(), index=time[after])


def _frame(bounds: HonestBounds, factor: float, case: Case, empty: str = "") -> pd.DataFrame:
    """Put bounds in the unit of the report; ``empty`` says why a set without sampling error may hold nothing."""
    unit, scale = case.unit
    table = bounds.table
    if empty:
        common = [part for part in "; ".join(bounds.study.notes).split("; ") if part]
        table = table.assign(
            note=["; ".join([empty] * bool(np.isnan(low)) + common) for low in table["identified_low"]]
        )
    columns = (*ENDS, "identified_low", "identified_high")
    m = table["m"] * factor
    return multiply(table, scale, columns).assign(
        m=m,
        key=[f"{value:.3g}" for value in m],
        label=[f"M = {value:.3g}" for value in m],
        unit=unit,
        made_by=f"{case.method}; {bounds.restriction}, {bounds.method}; Rambachan and Roth (2023)",
    )


def _breakdown(relative: HonestBounds, smooth: HonestBounds, case: Case) -> pd.DataFrame:
    unit, factor = case.unit
    rows = [
        ("relative", "M at which zero enters the interval", relative.breakdown.m, "number", 2),
        ("smooth", "Change of slope at which zero enters it", smooth.breakdown.m * factor, unit, 2),
    ]
    frame = list_values(rows, "Rambachan and Roth (2023)")
    frame["value"] = frame["value"].replace(np.inf, np.nan)
    return frame.assign(note=[bounds.breakdown.note for bounds in (relative, smooth)])


def _power(table: pd.DataFrame, case: Case) -> pd.DataFrame:
    unit, factor = case.unit
    return multiply(table, factor, ("slope", "bias", "conditional_bias")).assign(
        key=[f"{share:g}" for share in table["power"]],
        label=[f"Found in {share:.0%} of samples" for share in table["power"]],
        unit=unit,
        made_by="linear divergence, found when any estimate before the start is significant; Roth (2022)",
    )


def _verdict(case: Case, relative: HonestBounds, frame: pd.DataFrame, lone: str) -> pd.DataFrame:
    """Judge sign by where zero enters the interval, and size by what is left at M = 1 without sampling error."""
    finding = case.finding
    at_one = frame[frame["m"] == 1.0].iloc[0]
    ends = at_one[["identified_low", "identified_high"]].to_numpy(dtype=float)
    spread = finding.write_range(at_one[CONF_LOW], at_one[CONF_HIGH])
    found = relative.breakdown.m
    if np.isnan(at_one[CONF_LOW]):
        said = f"At M = 1 there is no interval: {at_one['note']}.{lone}"
        return verdict_row("trends", THREAT, TRIED, said, UNKNOWN)
    if not finding.shows_an_effect:
        word = finding.judge(finding.estimate, at_one[CONF_LOW], at_one[CONF_HIGH])
        return verdict_row("trends", THREAT, TRIED, f"At M = 1 the interval is {spread}.{lone}", word, finding, ends)
    if np.isnan(found):
        word, said = WEAKENED, "Zero is inside under parallel trends already when event times are tested jointly."
    else:
        word = WEAKENED if found < 1 else SURVIVES if all(map(finding.keeps_size, ends)) else SIGN_ONLY
        where = "at no M that was tried" if np.isinf(found) else f"at M = {found:.2f}"
        said = f"Zero enters the interval {where}; at M = 1 it is {spread}."
    if at_one[CONF_LOW] * at_one[CONF_HIGH] > 0 and np.sign(at_one[CONF_LOW]) != np.sign(finding.estimate):
        word = REVERSED
    return verdict_row("trends", THREAT, TRIED, said + lone, word, finding, ends)


def _nothing(reason: str) -> Trends:
    columns = ["key", "label", "unit", "level", "note", "made_by", *ENDS, *COLUMNS]
    empty = pd.DataFrame(columns=columns)
    values = list_values([], "").assign(note="")
    verdict = verdict_row("trends", THREAT, TRIED, f"Not possible: {reason}.", UNKNOWN)
    return Trends(empty, empty, empty, values, empty, verdict)
