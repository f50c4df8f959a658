"""What could the design have found? By simulation from its own residuals, before anything is read into an interval."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalaid.base.errors import EvalaidError
from evalaid.did.sensitivity.power.power import DetectableEffect, minimum_detectable_effect
from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.exhibits import Exhibit, Tabled
from evalaid.report.questions.analysis import POWER, Refusal
from evalaid.report.questions.effect_rows import list_values
from evalaid.report.questions.units import multiply
from evalaid.report.threats.finding import Case

DRAWS = 199
COLUMNS = {
    "effect": ColumnFormat("Effect put in", "outcome", 2),
    "power": ColumnFormat("Found in (%)", "%", 0),
    "monte_carlo_error": ColumnFormat("Simulation error (%)", "%", 1),
}


def examine_power(case: Case | Refusal) -> list[Exhibit]:
    """Simulate which effects the main method would have found on this design; nothing to show where it cannot be known."""
    if isinstance(case, Refusal) or not case.by_cohort_and_period:
        return []
    try:
        found = minimum_detectable_effect(
            case.design,
            case.method,
            power=POWER,
            level=case.spec.level,
            draws=DRAWS,
            seed=case.spec.seed,
            **case.options,
        )
    except EvalaidError:
        return []
    unit, factor = case.unit
    made_by = f"{case.method}; {found.process}; {found.draws} draws, seed {found.seed}"
    curve = multiply(multiply(found.table, factor, ["effect"]), 100, ["power", "monte_carlo_error"])
    names = [f"{effect:.3g}" for effect in curve["effect"]]
    curve = curve.assign(key=names, label=names, unit=unit, made_by=made_by)
    return [
        Tabled(
            curve[["key", "label", *COLUMNS, "unit", "made_by"]], "power", [*COLUMNS], "How often an effect is found",
            extra=COLUMNS,
        ),
        Tabled(
            _summarise(found, unit, factor, made_by), "detectable_simulated", ["label", "value"],
            "The smallest effect that would be found",
        ),
    ]  # fmt: skip


def _summarise(found: DetectableEffect, unit: str, factor: float, made_by: str) -> pd.DataFrame:
    rows = [
        ("effect", f"Effect found in {found.power:.0%} of samples", found.effect * factor, unit, 2),
        ("error", "Its simulation error", found.monte_carlo_error * factor, unit, 2),
        ("corrected", "The same with intervals of the right size", found.corrected * factor, unit, 2),
        ("analytic", "The same by formula from one standard error", found.analytic * factor, unit, 2),
        ("size", "Effects found where there is none (%)", 100 * found.size, "%", 1),
    ]
    frame = list_values(rows, made_by)
    frame["value"] = frame["value"].replace(np.inf, np.nan)
    return frame
