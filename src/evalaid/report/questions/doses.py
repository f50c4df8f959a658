"""Effects by dose, as tidy frames: the average level, the average slope, and the curve."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import DISTRIBUTION, VCOV
from evalaid.base.errors import NotIdentifiedError
from evalaid.base.names import FIRST_TREATED
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.infer import infer
from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.questions.analysis import (
    Refusal,
    change_for_dose,
    describe_dose,
    dose_effects,
    dose_of,
    no_estimate,
    true_average,
)
from evalaid.report.questions.effect_rows import list_values
from evalaid.report.questions.units import in_unit
from evalaid.study.sample import load_frame
from evalaid.study.spec import StudySpec

COLUMNS = {"dose": ColumnFormat("Dose", "number", 1)}


def estimate_dose(spec: StudySpec) -> Effects | Refusal:
    """Estimate the study's effects by dose, with the entries of its ``dose``; refused with all reasons when not possible."""
    changed = change_for_dose(spec)
    try:
        return dose_effects(changed)
    except NotIdentifiedError as error:
        return Refusal("By dose", error.reasons, error.alternatives, "share", 0, 0, 0)


def describe_doses(spec: StudySpec) -> pd.DataFrame:
    """Describe the dose over the treated units.

    ``key``, ``label``, ``value``, ``unit``, ``digits``, ``made_by``.
    """
    frame = load_frame(change_for_dose(spec))
    treated = frame[frame[FIRST_TREATED].notna()]
    dose = treated.groupby(spec.unit, sort=False)[dose_of(spec).column].mean()
    rows: list[tuple[str, str, float, str, int]] = [
        ("units", f"Treated {spec.unit_label} with a dose", len(dose), "count", 0)
    ]
    for key, name, value in (
        ("smallest", "Smallest", dose.min()),
        ("median", "Median", dose.median()),
        ("mean", "Mean", dose.mean()),
        ("largest", "Largest", dose.max()),
    ):
        rows.append((key, name, value, "number", 2))
    return list_values(rows, f"mean of {dose_of(spec).column} by unit, over treated units")


def average_dose_effects(effects: Effects | Refusal, spec: StudySpec) -> pd.DataFrame:
    """Return the average level and the average slope with their intervals.

    ``key`` (level, slope), ``label`` and the effect columns of `evalaid.report.questions.analysis`; one row without numbers
    when refused.
    """
    if isinstance(effects, Refusal):
        return no_estimate(effects, spec, "level", "By dose")
    frame = _reported(effects, spec)
    frame = frame[frame["parameter"].str.startswith("average")]
    alone = "lowest" if dose_of(spec).comparison == "lowest_dose" else "no"
    names = {
        "average level": f"Average level: mean dose against {alone} dose",
        "average slope": "Average slope: one unit of dose more",
    }
    true = np.where(frame["parameter"] == "average level", true_average(effects, spec), np.nan)
    return frame.assign(truth=true, key=frame["parameter"].str.split().str[-1], label=frame["parameter"].map(names))


def trace_curve(effects: Effects | Refusal, spec: StudySpec) -> pd.DataFrame:
    """Return the level at deciles of the dose.

    ``key``, ``label``, ``dose``, ``dose_label`` (of the study) and the effect columns of `evalaid.report.questions.analysis`;
    no row when refused.
    """
    if isinstance(effects, Refusal):
        return no_estimate(effects, spec, "level", "By dose").iloc[:0].assign(dose=np.nan, dose_label="")
    frame = _reported(effects, spec)
    frame = frame[frame["parameter"] == "level"].reset_index(drop=True)
    return frame.assign(
        key=[f"level{place + 1}" for place in frame.index],
        label=[f"{dose:.2f}" for dose in frame["dose"]],
        dose_label=dose_of(spec).label,
    )


def state_assumption(effects: Effects | Refusal) -> str:
    """Return what the effects by dose assume, in the words of the method."""
    if isinstance(effects, Refusal):
        return "There is no estimate by dose: " + "; ".join(effects.reasons) + "."
    return "\n".join(f"- {part[:1].upper()}{part[1:]}." for part in effects.estimand.split("; ")[1:])


def _reported(effects: Effects, spec: StudySpec) -> pd.DataFrame:
    frame = in_unit(infer(effects, level=spec.level), effects)
    made_by = describe_dose(dose_of(spec))
    return frame.assign(made_by=[f"{made_by}; {row}" for row in frame[VCOV] + ", " + frame[DISTRIBUTION]])
