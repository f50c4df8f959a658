"""Would trends have been parallel? How far they may diverge before the finding falls, and what the pre-test would have missed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ENDS, ESTIMATE, STD_ERROR
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.infer import infer
from evalaid.did.sensitivity.trends.honest import HonestBounds, honest
from evalaid.did.sensitivity.trends.pretrend_power import pretrend_power
from evalaid.report.display.divergence_figure import draw_honest
from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.exhibits import Drawn, Exhibit, Tabled, Told
from evalaid.report.questions.effect_rows import list_values
from evalaid.report.questions.units import multiply
from evalaid.report.threats.finding import HOLDS, REVERSED, SIGN_ONLY, UNKNOWN, WEAKENED, Case
from evalaid.report.threats.threat import Judged, Threat
from evalaid.report.wording.robustness import PRETRENDS, TRENDS

M = (0.0, 0.5, 1.0, 1.5, 2.0)
POWERS = (0.5, 0.8)
TOO_STRAIGHT = "without sampling error nothing is left: the estimates before the start bend more than this"
COLUMNS = {
    "m": ColumnFormat("M", "number", 1),
    "identified_low": ColumnFormat("Without sampling error, from", "outcome", 2, signed=True),
    "identified_high": ColumnFormat("to", "outcome", 2, signed=True),
    "slope": ColumnFormat("Slope per period", "outcome", 3, signed=True),
    "bias": ColumnFormat("Bias it leaves", "outcome", 2, signed=True),
    "conditional_bias": ColumnFormat("Bias once the test has passed", "outcome", 2, signed=True),
}
SMOOTH = {**COLUMNS, "m": ColumnFormat("Largest change of slope", "outcome", 2)}
_BOUNDS = ("m", CONF_LOW, CONF_HIGH, "identified_low", "identified_high")


@dataclass(frozen=True)
class Divergence:
    """What was tried against parallel trends.

    ``relative`` and ``smooth`` have one row per M, or per largest change of slope; ``curve`` is the first as a figure draws it;
    ``breakdown`` holds where zero enters the intervals, ``power`` one row per power of the test of pre-trends; ``lone`` names the
    event times that were left out because they have one treated cluster.
    """

    relative: pd.DataFrame
    smooth: pd.DataFrame
    curve: pd.DataFrame
    breakdown: pd.DataFrame
    power: pd.DataFrame
    lone: str = ""


def examine_trends(case: Case) -> Divergence:
    """Bound the main estimate when trends may diverge, and find which divergence the periods before would not have shown.

    The average over treated observations is bounded: event times weigh by their treated units, as in the main estimate.
    """
    event = case.effects.aggregate("event_time")
    event = event.select(~np.isnan(event.value))  # event times without a comparison are at the ends; gaps are refused
    if case.spec.event_window is not None:
        event = event.select(event.cells["event_time"].between(*case.spec.event_window).to_numpy())
    event, lone = _with_errors(event, case.spec.level)
    weights, level, seed = _observation_weights(event), case.spec.level, case.spec.seed
    factor = case.unit[1]
    relative = honest(event, "relative_magnitude", M, weights=weights, level=level, seed=seed)
    smooth = honest(event, "smoothness", weights=weights, level=level, seed=seed)
    found = pretrend_power(event, power=POWERS, level=level, weights=weights, seed=seed)
    return Divergence(
        relative=_frame(relative, 1.0, case),
        smooth=_frame(smooth, factor, case, TOO_STRAIGHT),
        curve=relative.curve(factor).assign(truth=case.truth),
        breakdown=_breakdown(relative, smooth, case),
        power=_power(found.table[found.table["test"] == "individual"], case),
        lone=lone,
    )


AS_BEFORE = "Where trends may diverge by as much as before the start (M = 1)"


def show_trends(_case: Case, found: Divergence) -> list[Exhibit]:
    """List the bounds, where they reach zero, and what the periods before the start would have shown."""
    return [
        Drawn(
            draw_honest, found.curve, "honest",
            "The main estimate when trends diverge after the start, by the size of the divergence in multiples of the largest "
            "before it.",
        ),
        Tabled(
            found.relative, "honest", _BOUNDS, "The main estimate by the divergence allowed, in multiples", extra=COLUMNS
        ),
        Tabled(found.smooth, "smooth", _BOUNDS, "The same, by the largest change of slope", extra=SMOOTH),
        Tabled(
            found.breakdown, "honest_breakdown", ["label", "value"],
            "Where zero enters the interval (missing: it is inside from the start)",
        ),
        Told(PRETRENDS),
        Tabled(
            found.power, "pretrends", ["label", "slope", "bias", "conditional_bias"],
            "Linear divergence that the test before the start finds, and the bias that it leaves", extra=COLUMNS,
        ),
    ]  # fmt: skip


def judge_trends(case: Case, found: Divergence) -> Judged:
    """Judge the sign by where zero enters the interval, and the size by what is left at M = 1 without sampling error."""
    finding, lone = case.finding, found.lone
    at_one = found.relative[found.relative["m"] == 1.0].iloc[0]
    ends = at_one[["identified_low", "identified_high"]].to_numpy(dtype=float)
    rows = pd.DataFrame({ESTIMATE: ends, **{end: at_one[end] for end in ENDS}})
    spread = finding.write_range(at_one[CONF_LOW], at_one[CONF_HIGH])
    limit = float(found.curve["breakdown"].iloc[0])
    if np.isnan(at_one[CONF_LOW]):
        return Judged(f"At M = 1 there is no interval: {at_one['note']}.{lone}", UNKNOWN)
    if not finding.shows_an_effect:
        word = finding.judge(finding.estimate, at_one[CONF_LOW], at_one[CONF_HIGH])
        return Judged(f"{AS_BEFORE}, the interval is {spread}.{lone}", word, rows)
    if np.isnan(limit):
        word, said = WEAKENED, "Zero is inside under parallel trends already when event times are tested jointly."
    else:
        word = WEAKENED if limit < 1 else HOLDS if all(map(finding.keeps_size, ends)) else SIGN_ONLY
        where = (
            "at no divergence of trends that was tried"
            if np.isinf(limit)
            else f"once trends diverge by {limit:.2f} times the largest divergence before the start (M = {limit:.2f})"
        )
        said = f"Zero enters the interval {where}; at M = 1 it is {spread}."
    if at_one[CONF_LOW] * at_one[CONF_HIGH] > 0 and np.sign(at_one[CONF_LOW]) != np.sign(finding.estimate):
        word = REVERSED
    return Judged(said + lone, word, rows)


THREAT = Threat("trends", TRENDS, examine_trends, show_trends, judge_trends)


def _with_errors(event: Effects, level: float) -> tuple[Effects, str]:
    """Leave out event times with one treated cluster, which have no error, and name them; not when none would be left.

    These are the ends of the panel, which only the earliest or the latest cohort reaches.
    """
    known = infer(event, level=level)[STD_ERROR].notna().to_numpy() | (event.value == 0)  # zero: the reference
    time = event.cells["event_time"].to_numpy()
    if known.all() or not (known & (time >= 0)).any() or not (known & (time < 0) & (event.value != 0)).any():
        return event, ""
    times = ", ".join(f"{value:+d}".replace("-", "\N{MINUS SIGN}") for value in time[~known].tolist())
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
