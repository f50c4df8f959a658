"""The effect that was put into a simulated panel, beside every estimate that is made from it."""

from __future__ import annotations

from dataclasses import replace

from evalaid.did.effects.effects import Effects
from evalaid.simulate.recovery.draws import true_effects
from evalaid.study.sample import load_design
from evalaid.study.sources import load_simulation
from evalaid.study.spec import StudySpec

TRUTH = "truth"


def as_true(effects: Effects, spec: StudySpec) -> Effects | None:
    """Return effects with the true values in place of the estimates, to be averaged as these are; None where no truth is known."""
    if not spec.simulation or effects.scale == "relative":
        return None
    by_dose = "parameter" in effects.cells and spec.dose is not None
    design = load_design(spec.change({"covariates": [spec.dose.column]}) if by_dose and spec.dose else spec)
    return replace(effects, value=true_effects(effects, design, load_simulation(spec.simulation)))
