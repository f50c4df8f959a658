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
from evalaid.report.questions.analysis import (
    describe_entry,
    estimate_entry,
    overall,
    say_no_estimate,
    true_average,
    with_assumption,
)
from evalaid.report.questions.effect_rows import effect_row, list_values
from evalaid.report.questions.put_in import TRUTH
from evalaid.report.questions.units import in_unit, unit_of_outcome
from evalaid.study.entries import MethodEntry, NamedEntry
from evalaid.study.sample import load_design
from evalaid.study.spec import StudySpec

ANOTHER_AVERAGE = frozenset({"weight", "weight_kind", "unit", "outcome"})  # fields that change what is averaged


def compare_methods(spec: StudySpec) -> pd.DataFrame:
    """Estimate the overall effect with every method of the study.

    One row per method, the main one first; a method that does not apply has its reasons in ``reason``.
    """
    order = [spec.main, *(name for name in spec.methods if name != spec.main)]
    return _with_shift([_one_method(name, spec.methods[name], spec, spec.methods[name].changes) for name in order])


def compare_scenarios(spec: StudySpec) -> pd.DataFrame:
    """Estimate the overall effect with the main method in every scenario of the study that is about the same panel.

    The study itself first (``key`` is ``main``), then one row per scenario, with ``shift``: how far the estimate is from the
    main one.
    """
    main = spec.methods[spec.main]
    rows = [_one_method("main", main.model_copy(update={"label": "As designed (main)"}), spec, {})]
    rows += [
        _one_scenario(name, spec) for name in spec.scenarios if not _on_another_panel(spec.scenarios[name].changes)
    ]
    return _with_shift(rows)


def compare_panels(spec: StudySpec) -> pd.DataFrame:
    """Estimate with the main method on the other panels that the study's scenarios draw: no estimates of its own effect."""
    names = [name for name, scenario in spec.scenarios.items() if _on_another_panel(scenario.changes)]
    return pd.DataFrame([_one_scenario(name, spec) for name in names])


def _on_another_panel(changes: Mapping[str, Any]) -> bool:
    return bool({"simulation", "panel"} & set(changes))


def _one_scenario(name: str, spec: StudySpec) -> dict[str, Any]:
    scenario = spec.scenarios[name]
    entry = spec.methods[spec.main].model_copy(update={"label": scenario.label})
    return _one_method(name, entry, spec, scenario.changes)


def explain(entries: Mapping[str, NamedEntry]) -> list[str]:
    """Return the reason for every method or scenario of a study, as sentences for a list."""
    return [f"**{entry.label}.** {entry.why}" for entry in entries.values() if entry.why]


def count_agreement(*frames: pd.DataFrame) -> pd.DataFrame:
    """Count how many different estimates of the same effect have an interval above, below or around zero.

    Rows that repeat an estimate, that average the effect in another way, or that are made from another panel, are not counted.
    ``key``, ``label``, ``value``, ``unit``, ``digits``: estimates, above, below, around, smallest, largest.
    """
    frame = pd.concat([frames[0], *(other.iloc[1:] for other in frames[1:])], ignore_index=True)
    frame = frame[~frame["apart"].astype(bool)]
    given, frame = len(frame), without_repeats(frame)
    there = with_estimate(frame)
    unit = str(frame["unit"].iloc[0])
    above, below = beside_zero(there)
    without = int(there[CONF_LOW].isna().sum())
    rows = [
        ("estimates", "Different estimates compared", len(there), "count", 0),
        *([("repeats", "Repeats of these, not counted", given - len(frame), "count", 0)] if given > len(frame) else []),
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


def without_repeats(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the first of the rows that have the same estimate: the same number from the same data says nothing new."""
    rounded = frame[ESTIMATE].map(lambda value: f"{value:.9g}")
    return frame[~rounded.duplicated() | frame[ESTIMATE].isna()]


def _one_method(name: str, entry: MethodEntry, spec: StudySpec, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Estimate the overall effect with one method; a refusal is a row with its reason."""
    changed = spec.change(changes)
    made_by = describe_entry(entry)
    columns = (*RESULTS, TREATED_CLUSTERS, N_CLUSTERS)
    apart = bool(ANOTHER_AVERAGE & set(changes)) or _on_another_panel(changes)
    try:
        design = load_design(changed)
        effects = estimate_entry(entry, changed, design)
        frame = in_unit(infer(overall(effects), level=spec.level), effects)
    except EvalaidError as error:
        reason = reason_of(error)
        said = {"unit": unit_of_outcome(spec)[0], "reason": reason, "note": say_no_estimate(reason), "n_units": np.nan}
        said |= {"apart": apart, TRUTH: np.nan}
        return effect_row(name, entry.label, None, columns, level=spec.level, **said, made_by=made_by)
    found = frame.iloc[0]
    note = with_assumption(found["note"], effects)
    said = {"unit": found["unit"], "reason": "", "note": note, "n_units": design.n_units, "apart": apart}
    said[TRUTH] = true_average(effects, changed)
    made_by = f"{made_by}; {found[VCOV]}, {found[DISTRIBUTION]}"
    return effect_row(name, entry.label, found, columns, level=spec.level, **said, made_by=made_by)


def _with_shift(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    return frame.assign(shift=frame[ESTIMATE] - frame[ESTIMATE].iloc[0])
