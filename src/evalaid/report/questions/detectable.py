"""What could the design have found? By simulation from its own residuals, before anything is read into an interval."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalaid.base.errors import EvalaidError
from evalaid.did.effects.effects import Effects
from evalaid.did.panel.design import Design
from evalaid.did.sensitivity.power.power import DetectableEffect, minimum_detectable_effect
from evalaid.report.cell_progress import watch
from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.exhibits import Exhibit, Tabled
from evalaid.report.questions.analysis import Refusal
from evalaid.report.questions.effect_rows import list_values
from evalaid.report.questions.units import multiply, unit_of
from evalaid.study.spec import StudySpec

POWER = 0.8
DRAWS = 199
COLUMNS = {
    "effect": ColumnFormat("Effect put in", "outcome", 2),
    "power": ColumnFormat("Found in (%)", "%", 0),
    "monte_carlo_error": ColumnFormat("Simulation error (%)", "%", 1),
}


def examine_power(effects: Effects | Refusal, spec: StudySpec, design: Design) -> list[Exhibit]:
    """Simulate which effects the reported interval would have found on this design, and how often it finds one where none is.

    Nothing is shown where it cannot be known: without an estimate, or of a method that gives one number only.
    """
    if isinstance(effects, Refusal) or not {"cohort", "period", "event_time"} <= set(effects.cells):
        return []
    entry = spec.methods[spec.main]
    try:
        found = minimum_detectable_effect(
            design,
            entry.method,
            power=POWER,
            level=spec.level,
            draws=DRAWS,
            seed=spec.seed,
            progress=watch("Simulated panels"),
            **entry.options,
        )
    except EvalaidError:
        return []
    unit, factor = unit_of(effects.scale)
    made_by = f"{entry.method}; {found.process}; {found.draws} draws, seed {found.seed}"
    curve = multiply(multiply(found.table, factor, ["effect"]), 100, ["power", "monte_carlo_error"])
    names = [f"{effect:.3g}" for effect in curve["effect"]]
    curve = curve.assign(key=names, label=names, unit=unit, made_by=made_by)
    return [
        Tabled(
            _summarise(found, unit, factor, made_by), "detectable", ["label", "value"],
            "The smallest effect that the reported interval would find, by simulation on this design",
        ),
        Tabled(
            curve[["key", "label", *COLUMNS, "unit", "made_by"]], "power", [*COLUMNS], "How often an effect is found",
            extra=COLUMNS,
        ),
    ]  # fmt: skip


def _summarise(found: DetectableEffect, unit: str, factor: float, made_by: str) -> pd.DataFrame:
    rows = [
        ("effect", f"Effect found in {found.power:.0%} of samples", found.effect * factor, unit, 2),
        ("error", "Its simulation error", found.monte_carlo_error * factor, unit, 2),
        ("size", "Intervals that leave out zero where there is no effect", 100 * found.size, "%", 1),
        (
            "corrected",
            f"Effect found in {found.power:.0%} with intervals of the right size",
            found.corrected * factor,
            unit,
            2,
        ),
    ]
    frame = list_values(rows, made_by)
    frame["value"] = frame["value"].replace(np.inf, np.nan)
    return frame
