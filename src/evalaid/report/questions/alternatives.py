"""The main estimate beside others: every method and every scenario of a study, and how many of them agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import (
    CONF_HIGH,
    CONF_LOW,
    DISTRIBUTION,
    ESTIMATE,
    N_CLUSTERS,
    RESULTS,
    TREATED_CLUSTERS,
    VCOV,
    beside_zero,
    with_estimate,
)
from evalaid.base.errors import EvalaidError, reason_of
from evalaid.did.inference.infer import infer
from evalaid.report.questions.analysis import describe_entry, estimate_entry, overall, say_no_estimate, with_assumption
from evalaid.report.questions.effect_rows import effect_row, list_values
from evalaid.report.questions.units import in_unit, unit_of_outcome
from evalaid.study.entries import MethodEntry, NamedEntry
from evalaid.study.sample import load_design
from evalaid.study.spec import StudySpec


def compare_methods(spec: StudySpec) -> pd.DataFrame:
    """Estimate the overall effect with every method of the study.

    One row per method, the main one first; a method that does not apply has its reasons in ``reason``.
    """
    order = [spec.main, *(name for name in spec.methods if name != spec.main)]
    rows = [_one_method(name, spec.methods[name], spec) for name in order]
    return _with_shift(pd.DataFrame(rows))


def compare_scenarios(spec: StudySpec) -> pd.DataFrame:
    """Estimate the overall effect with the main method in every scenario of the study.

    The study itself first (``key`` is ``main``), then one row per scenario, with ``shift``: how far the estimate is from the
    main one.
    """
    main = spec.methods[spec.main]
    rows = [_one_method("main", main.model_copy(update={"label": "As designed (main)"}), spec)]
    for name, scenario in spec.scenarios.items():
        entry = main.model_copy(update={"label": scenario.label})
        rows.append(_one_method(name, entry, spec.change(scenario.changes)))
    return _with_shift(pd.DataFrame(rows))


def explain(entries: Mapping[str, NamedEntry]) -> list[str]:
    """Return the reason for every method or scenario of a study, as sentences for a list."""
    return [f"**{entry.label}.** {entry.why}" for entry in entries.values() if entry.why]


def count_agreement(*frames: pd.DataFrame) -> pd.DataFrame:
    """Count how many of the estimates have an interval above, below or around zero.

    ``key``, ``label``, ``value``, ``unit``, ``digits``: estimates, above, below, around, smallest, largest.
    """
    frame = pd.concat([frames[0], *(other.iloc[1:] for other in frames[1:])], ignore_index=True)
    there = with_estimate(frame)
    unit = str(frame["unit"].iloc[0])
    above, below = beside_zero(there)
    without = int(there[CONF_LOW].isna().sum())
    rows = [
        ("estimates", "Estimates compared", len(there), "count", 0),
        ("positive", "of these positive", int((there[ESTIMATE] > 0).sum()), "count", 0),
        ("above", "with an interval above zero", above, "count", 0),
        ("below", "with an interval below zero", below, "count", 0),
        ("around", "with an interval that holds zero", len(there) - above - below - without, "count", 0),
        *([("without", "without an interval", without, "count", 0)] if without else []),
        ("refused", "Methods and scenarios without an estimate", len(frame) - len(there), "count", 0),
        ("smallest", "Smallest estimate", there[ESTIMATE].min(), unit, 2),
        ("largest", "Largest estimate", there[ESTIMATE].max(), unit, 2),
        ("lowest", "Lowest end of an interval", there[CONF_LOW].min(), unit, 2),
        ("highest", "Highest end of an interval", there[CONF_HIGH].max(), unit, 2),
    ]
    return list_values(rows, "of the estimates of all methods and scenarios")


def _one_method(name: str, entry: MethodEntry, spec: StudySpec) -> dict[str, Any]:
    """Estimate the overall effect with one method; a refusal is a row with its reason."""
    changed = spec.change(entry.changes)
    made_by = describe_entry(entry)
    columns = (*RESULTS, TREATED_CLUSTERS, N_CLUSTERS)
    try:
        design = load_design(changed)
        effects = estimate_entry(entry, changed, design)
        frame = in_unit(infer(overall(effects), level=spec.level), effects)
    except EvalaidError as error:
        reason = reason_of(error)
        said = {"unit": unit_of_outcome(spec)[0], "reason": reason, "note": say_no_estimate(reason), "n_units": np.nan}
        return effect_row(name, entry.label, None, columns, level=spec.level, **said, made_by=made_by)
    found = frame.iloc[0]
    note = with_assumption(found["note"], effects)
    said = {"unit": found["unit"], "reason": "", "note": note, "n_units": design.n_units}
    made_by = f"{made_by}; {found[VCOV]}, {found[DISTRIBUTION]}"
    return effect_row(name, entry.label, found, columns, level=spec.level, **said, made_by=made_by)


def _with_shift(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(shift=frame[ESTIMATE] - frame[ESTIMATE].iloc[0])
