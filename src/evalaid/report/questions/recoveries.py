"""Which methods recover the effect that was put into a study's simulated panels, as tidy frames and advice."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import ESTIMATE
from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.questions.all_methods import title_of
from evalaid.report.questions.analysis import dose_effects
from evalaid.report.questions.effect_rows import list_values
from evalaid.report.questions.kept_recovery import draw_recovery, read_kept
from evalaid.report.questions.units import unit_of_outcome
from evalaid.simulate.recovery.draws import true_effect_of
from evalaid.study.sample import load_design
from evalaid.study.sources import load_simulation
from evalaid.study.spec import StudySpec

# What counts as off: a bias beyond simulation error that is a quarter of the spread leans, one as large as the spread misses.
LEANS, MISSES = 0.25, 1.0
# Intervals that hold the truth this much less often than they say are too short; by the second they do not hold it.
TOO_SHORT, FAR_TOO_SHORT = 0.05, 0.15
COLUMNS = {
    "effect": ColumnFormat("True effect", "outcome", 2, signed=True),
    "bias": ColumnFormat("Bias", "outcome", 2, signed=True),
    "bias_error": ColumnFormat("Its simulation error", "outcome", 2),
    "sd": ColumnFormat("Spread", "outcome", 2),
    "rmse": ColumnFormat("Typical miss", "outcome", 2),
    "coverage": ColumnFormat("Intervals that hold the truth", "%", 0),
    "rejects_zero": ColumnFormat("Intervals without zero", "%", 0),
    "draws": ColumnFormat("Panels", "count"),
    "estimated": ColumnFormat("With an estimate", "count"),
    "advice": ColumnFormat("What to do"),
}


def describe_truth(spec: StudySpec) -> pd.DataFrame:
    """Return the effect that was put into the study's panel, averaged as methods average.

    Where the study compares doses without untreated units, that is the effect beyond the lowest dose; it has a row of its own.

    ``key``, ``label``, ``effect`` (percentage points for a share), ``n_units``, ``unit``, ``made_by``.
    """
    panel = load_simulation(spec.simulation)
    truth = panel.truth.drop_duplicates("estimand", keep="last").set_index("estimand")
    names = {
        "overall": "All treated units and periods",
        "overall_compared": "Those in periods with an untreated unit",
        "overall_weighted": "All, weighted by episodes or residents",
    }
    effect, units = truth["effect"].to_dict(), truth["n_units"].to_dict()
    rows = [
        (key, name, effect[key] * unit_of_outcome(spec)[1], units[key]) for key, name in names.items() if key in effect
    ]
    if spec.dose is not None and spec.dose.comparison == "lowest_dose":
        dosed = spec.change({"covariates": [spec.dose.column]})
        design = load_design(dosed)
        beyond = true_effect_of(dose_effects(spec), design, panel)
        name = "Beyond the lowest dose: all that comparing doses can find where everybody is treated"
        rows.append(("beyond_lowest_dose", name, beyond * unit_of_outcome(spec)[1], design.n_treated))
    frame = pd.DataFrame(rows, columns=["key", "label", "effect", "n_units"])
    return frame.assign(
        unit=unit_of_outcome(spec)[0], made_by=f"put in by the generator {spec.simulation['generator']}"
    )


def describe_calibration(spec: StudySpec) -> pd.DataFrame:
    """Count the published figures that the panel reproduces.

    ``key``, ``label``, ``value``, ``unit``, ``digits``, ``made_by``.
    """
    targets = load_simulation(spec.simulation).calibration
    missed = int((targets["difference"].abs() > targets["tolerance"] * (1 + 1e-9)).sum())
    rows = [
        ("targets", "Published figures held against the panel", len(targets), "count", 0),
        ("missed", "of these not reproduced within rounding", missed, "count", 0),
    ]
    return list_values(rows, "of the calibration targets")


def recover(spec: StudySpec) -> pd.DataFrame:
    """Draw panels of the study's programme again and again and see how well each method finds the effect.

    Assumes that the generator describes the programme: what fails here has no reason to do better on a real panel.

    One row per trial: ``key``, ``label``, ``draws``, ``estimated``, ``bias``, ``bias_error``, ``sd``, ``rmse`` (percentage
    points for a share), ``coverage``, ``rejects_zero`` (per cent), ``advice``, ``unit``, ``note``, ``made_by``.
    """
    kept = read_kept(spec)
    found = draw_recovery(spec) if kept is None else kept
    scale = {
        name: found[name] * unit_of_outcome(spec)[1] for name in ("bias", "bias_error", "sd", "rmse", "truth", ESTIMATE)
    }
    shares = {name: found[name] * 100 for name in ("coverage", "rejects_zero")}
    return found.assign(
        **scale,
        **shares,
        key=[_key(name) for name in found["trial"]],
        label=[_title(row["trial"], row["method"]) for _, row in found.iterrows()],
        advice=[_advise(row) for _, row in found.iterrows()],
        unit=unit_of_outcome(spec)[0],
        note=[
            "; ".join(f"no estimate: {part}" for part in text.split("; ")) if text else "" for text in found["reason"]
        ],
        made_by=[f"{row['draws']} simulated panels, {row['method']}" for _, row in found.iterrows()],
    ).drop(columns="level")


def _title(trial: str, method: str) -> str:
    """Return the name of a trial as a report does: the title of its method, and what is added to it."""
    return title_of(method) + trial.removeprefix(method) if trial.startswith(method) else trial


def count_recovered(frame: pd.DataFrame) -> pd.DataFrame:
    """Count the methods that are advised, those that miss, and those that are refused.

    ``key``, ``label``, ``value``, ``unit``, ``digits``, ``made_by``.
    """
    kinds = frame["advice"].str.split(":").str[0]
    rows = [
        ("trials", "Methods tried", len(frame), "count", 0),
        ("usable", "of these find the effect", int((kinds == "use").sum()), "count", 0),
        (
            "careful",
            "find it with reservations (lean, or intervals missing or too short)",
            int((kinds == "careful").sum()),
            "count",
            0,
        ),
        ("biased", "miss it", int((kinds == "avoid").sum()), "count", 0),
        ("refused", "give no estimate", int((kinds == "not possible").sum()), "count", 0),
        ("smallest_miss", "Typical miss of the best method", frame["rmse"].min(), frame["unit"].iloc[0], 2),
    ]
    return list_values(rows, "of the methods over all simulated panels")


def _advise(row: pd.Series) -> str:
    if row["estimated"] == 0:
        return "not possible: the design has no comparison"
    bias, spread = abs(row["bias"]), row["sd"] if row["estimated"] > 1 else 0.0
    chance = np.sqrt(row["level"] * (1 - row["level"]) / row["estimated"])
    short = row["level"] - chance - row["coverage"]  # missing without intervals
    off = bias > 2 * row["bias_error"]
    if off and (bias > MISSES * spread or short > FAR_TOO_SHORT):
        return "avoid: misses the effect"
    if off and bias > LEANS * spread:
        return "careful: leans to one side"
    if np.isnan(row["coverage"]):
        return "careful: no interval of its own"
    if short > TOO_SHORT:
        return "careful: intervals too short"
    return "use: finds the effect"


def _key(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name.lower()).strip("_").replace("__", "_")
