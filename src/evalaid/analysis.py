"""The estimates of a study, as tidy frames: main estimate, event study, other methods, scenarios, identities.

Every frame has a ``key`` for each row and, for effects, ``estimate``, ``std_error``, ``conf_low``, ``conf_high``,
``p_value`` in percentage points (or in the outcome's own unit), ``unit``, ``note`` and ``made_by``. A comparison that
does not exist is a row with a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from evalaid.design import Design
from evalaid.effects import Effects
from evalaid.errors import EvalaidError
from evalaid.estimation import estimate
from evalaid.inference.table import infer
from evalaid.periods import label
from evalaid.sample import load_design
from evalaid.study import StudySpec

POWER = 0.8
_IN_UNIT = ("estimate", "std_error", "conf_low", "conf_high")


def estimate_main(spec: StudySpec, design: Design) -> Effects:
    """Estimate the study's main method on its design: effects by cohort and period.

    Raises
    ------
    NotIdentifiedError
        If the design does not admit the main method; lists every reason.
    """
    entry = spec.methods[spec.main]
    return estimate(design, str(entry["method"]), **dict(entry.get("options", {})))


def report_effects(effects: Effects, by: str, spec: StudySpec) -> pd.DataFrame:
    """Aggregate effects and put intervals around them.

    Parameters
    ----------
    effects : Effects
        By cohort and period.
    by : {"overall", "event_time", "cohort", "calendar"}
        What to average over.
    spec : StudySpec
        Level, seed and draws; with ``event_time`` a simultaneous band is added.

    Returns
    -------
    pandas.DataFrame
        One row an effect, with ``key``, ``label``, the effect columns of this module, counts and, by event time,
        ``band_low``, ``band_high``.

    Examples
    --------
    >>> spec = StudySpec(study="korea_responsible_hospitals")
    >>> effects = estimate_main(spec, load_design(spec))
    >>> report_effects(effects, "overall", spec)[["key", "unit", "n_clusters"]].values.tolist()
    [['main', 'pp', 41]]
    """
    aggregate = effects.aggregate(by)  # type: ignore[arg-type]
    frame = _in_unit(infer(aggregate, level=spec.level), effects)
    if by == "event_time":
        joint = infer(aggregate, level=spec.level, simultaneous=True, draws=spec.draws, seed=spec.seed)
        scale = _scale(effects)
        frame = frame.assign(band_low=joint["conf_low"] * scale, band_high=joint["conf_high"] * scale)
        frame["note"] = joint["note"]  # says all that the pointwise note says
    return _labelled(frame, by, spec)


def detectable_effects(effects: Effects, spec: StudySpec) -> pd.DataFrame:
    """Say which effect the design would have found in four of five samples, before any estimate is shown.

    Assumes the standard errors of the main method and t quantiles with the degrees of freedom of its intervals:
    ``(t(1 - alpha / 2) + t(0.8)) * standard error``, about 2.8 standard errors.

    Returns
    -------
    pandas.DataFrame
        ``key``, ``label``, ``std_error``, ``detectable``, counts; the overall effect first, then each cohort.

    Examples
    --------
    >>> spec = StudySpec(study="korea_responsible_hospitals")
    >>> detectable_effects(estimate_main(spec, load_design(spec)), spec)["key"].tolist()
    ['main', '2021', '2022', '2024']
    """
    rows = pd.concat([report_effects(effects, by, spec) for by in ("overall", "cohort")], ignore_index=True)
    freedom = rows["n_clusters"].to_numpy(dtype=float) - 1
    factor = stdtrit(freedom, (1 + spec.level) / 2) + stdtrit(freedom, POWER)
    made_by = f"(t quantiles of {(1 + spec.level) / 2:g} and {POWER:g}) x standard error; " + rows["made_by"]
    return rows.assign(detectable=factor * rows["std_error"], made_by=made_by)


def compare_methods(spec: StudySpec) -> pd.DataFrame:
    """Estimate the overall effect with every method of the study.

    Returns
    -------
    pandas.DataFrame
        One row a method, the main one first; a method that does not apply has its reasons in ``reason``.
    """
    order = [spec.main, *(name for name in spec.methods if name != spec.main)]
    rows = [_one_method(name, spec.methods[name], spec) for name in order]
    return _with_shift(pd.DataFrame(rows))


def compare_scenarios(spec: StudySpec) -> pd.DataFrame:
    """Estimate the overall effect with the main method in every scenario of the study.

    Returns
    -------
    pandas.DataFrame
        The study itself first (``key`` is ``main``), then one row a scenario, with ``shift``: how far the estimate is from
        the main one.
    """
    main = spec.methods[spec.main]
    rows = [_one_method("main", {**main, "label": "As designed (main)"}, spec)]
    for name, scenario in spec.scenarios.items():
        entry = {**main, "label": scenario["label"]}
        rows.append(_one_method(name, entry, spec.change(scenario.get("changes", {}))))
    return _with_shift(pd.DataFrame(rows))


def explain(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Give the reason for every method or scenario of a study, as sentences for a list."""
    return [f"**{entry['label']}.** {entry['why']}" for entry in entries.values() if entry.get("why")]


def describe_before(event: pd.DataFrame, effects: Effects) -> pd.DataFrame:
    """Describe the estimates before the start: how large they are and how large they could be.

    Small estimates before the start do not show that trends are parallel; the ends of the bands say which differences the
    data cannot exclude.

    Parameters
    ----------
    event : pandas.DataFrame
        From `report_effects` by event time.

    Returns
    -------
    pandas.DataFrame
        ``key``, ``label``, ``value``, ``unit``, ``digits``.
    """
    before = event[(event["event_time"] < 0) & event["std_error"].notna()]
    unit = "pp" if effects.scale == "share" else "number"
    rows = [  # of no estimate at all these are missing values
        ("periods", "Periods before the start with an estimate", len(before), "count", 0),
        ("excluding", "Bands that exclude zero", _excluding(before), "count", 0),
        ("largest", "Largest estimate, without its sign", before["estimate"].abs().max(), unit, 2),
        ("band_low", "Lowest end of a band", before["band_low"].min(), unit, 2),
        ("band_high", "Highest end of a band", before["band_high"].max(), unit, 2),
    ]
    frame = pd.DataFrame(rows, columns=["key", "label", "value", "unit", "digits"])
    return frame.assign(made_by="of the event-time estimates before the start")


def count_agreement(*frames: pd.DataFrame) -> pd.DataFrame:
    """Count how many of the estimates have an interval above, below or around zero.

    Returns
    -------
    pandas.DataFrame
        ``key``, ``label``, ``value``, ``unit``, ``digits``: estimates, above, below, around, smallest, largest.
    """
    frame = pd.concat([frames[0], *(other.iloc[1:] for other in frames[1:])], ignore_index=True)
    there = frame[frame["estimate"].notna()]
    unit = str(frame["unit"].iloc[0])
    above, below = int((there["conf_low"] > 0).sum()), int((there["conf_high"] < 0).sum())
    rows = [
        ("estimates", "Estimates compared", len(there), "count", 0),
        ("positive", "of these positive", int((there["estimate"] > 0).sum()), "count", 0),
        ("above", "with an interval above zero", above, "count", 0),
        ("below", "with an interval below zero", below, "count", 0),
        ("around", "with an interval that holds zero", len(there) - above - below, "count", 0),
        ("refused", "Methods and scenarios without an estimate", len(frame) - len(there), "count", 0),
        ("smallest", "Smallest estimate", there["estimate"].min(), unit, 2),
        ("largest", "Largest estimate", there["estimate"].max(), unit, 2),
        ("lowest", "Lowest end of an interval", there["conf_low"].min(), unit, 2),
        ("highest", "Highest end of an interval", there["conf_high"].max(), unit, 2),
    ]
    result = pd.DataFrame(rows, columns=["key", "label", "value", "unit", "digits"])
    return result.assign(made_by="of the estimates of all methods and scenarios")


def _excluding(frame: pd.DataFrame) -> int:
    return int(((frame["band_low"] > 0) | (frame["band_high"] < 0)).sum())


def _one_method(name: str, entry: Mapping[str, Any], spec: StudySpec) -> dict[str, Any]:
    """Estimate the overall effect with one method; a refusal is a row with its reason."""
    changed = spec.change(entry.get("changes", {}))
    options = dict(entry.get("options", {}))
    made_by = _describe(str(entry["method"]), options, entry.get("changes", {}))
    row: dict[str, Any] = {"key": name, "label": entry["label"], "level": spec.level, "reason": "", "note": ""}
    try:
        design = load_design(changed)
        effects = estimate(design, str(entry["method"]), **options)
        frame = _in_unit(infer(effects.aggregate("overall"), level=spec.level), effects)
    except EvalaidError as error:
        missing = dict.fromkeys((*_IN_UNIT, "p_value", "n_units", "n_clusters", "treated_clusters"), np.nan)
        reason = " ".join(str(error).split())
        unit = "number" if spec.outcome_unit == "number" else "pp"
        return {**row, **missing, "unit": unit, "reason": reason, "note": f"no estimate: {reason}", "made_by": made_by}
    found = frame.iloc[0]
    columns = (*_IN_UNIT, "p_value", "unit", "treated_clusters", "n_clusters")
    return {
        **row,
        **{column: found[column] for column in columns},
        "n_units": design.n_units,
        "note": found["note"],
        "made_by": f"{made_by}; {found['vcov']}, {found['distribution']}",
    }


def _with_shift(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(shift=frame["estimate"] - frame["estimate"].iloc[0])


def _scale(effects: Effects) -> float:
    return 100.0 if effects.scale == "share" else 1.0


def _in_unit(frame: pd.DataFrame, effects: Effects) -> pd.DataFrame:
    """Turn fractions into percentage points, once."""
    scaled = {column: frame[column] * _scale(effects) for column in _IN_UNIT}
    return frame.assign(**scaled, unit="pp" if effects.scale == "share" else "number")


def _labelled(frame: pd.DataFrame, by: str, spec: StudySpec) -> pd.DataFrame:
    """Add the key, the label and the origin of every row."""
    kind = _period_kind(spec)
    if by == "overall":
        keys, names = ["main"], ["All treated units and periods"]
    elif by == "event_time":
        keys = [str(int(time)) for time in frame["event_time"]]
        names = keys
    else:
        column = "cohort" if by == "cohort" else "period"
        names = [label(kind, value) for value in frame[column]]
        keys = names
        names = [f"Cohort {name}" if by == "cohort" else name for name in names]
    entry = spec.methods[spec.main]
    made_by = _describe(str(entry["method"]), entry.get("options", {}), entry.get("changes", {}))
    origin = [f"{made_by}; aggregate {by}; {row['vcov']}, {row['distribution']}" for _, row in frame.iterrows()]
    return frame.assign(key=keys, label=names, made_by=origin)


def _period_kind(spec: StudySpec) -> str:
    return load_design(spec).layout.period_kind


def _describe(method: str, options: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
    listed = ", ".join(f"{name}={value}" for name, value in [*options.items(), *changes.items()])
    return f"{method}({listed})"
