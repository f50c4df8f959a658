"""Every registered method on one design, and one method on three scales: what applies, what does not and why."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalaid.analysis import in_unit, overall
from evalaid.design import Design
from evalaid.errors import EstimationError, EvalaidError, NotIdentifiedError
from evalaid.estimation import estimate
from evalaid.estimators.table import METHODS
from evalaid.inference.table import infer
from evalaid.scales import NAMES, SCALES, diagnose_ceiling
from evalaid.study import StudySpec

_NUMBERS = ("estimate", "std_error", "conf_low", "conf_high", "p_value")
_SCALE_LABELS = {
    "share": "Share (percentage points)",
    "log_odds": "Log-odds of the share",
    "log_outflow": "Log of outflow",
}


def survey_methods(spec: StudySpec, design: Design) -> pd.DataFrame:
    """Estimate the overall effect with every registered method at its defaults, or say why it does not apply.

    Parameters
    ----------
    spec : StudySpec
        Level of the intervals.
    design : Design
        The study's design.

    Returns
    -------
    pandas.DataFrame
        One row a method: ``key``, ``label``, ``estimate``, ``std_error``, ``conf_low``, ``conf_high``, ``p_value`` (in
        percentage points for a share), ``reason`` (why there is no estimate or no interval), ``unit``, ``made_by``.
    """
    rows = [_row(design, spec, entry.name, entry.name.replace("_", " "), entry.name, "share") for entry in METHODS]
    return pd.DataFrame(rows)


def survey_scales(spec: StudySpec, design: Design) -> pd.DataFrame:
    """Estimate the overall effect with parallel trends assumed on the share, its log-odds and the log of outflow.

    Parameters
    ----------
    spec : StudySpec
        Level; the main method if it takes a scale, else imputation.
    design : Design
        The study's design.

    Returns
    -------
    pandas.DataFrame
        One row a scale, columns as `survey_methods`; no row when the outcome is no share. Effects are differences of
        shares in every row.
    """
    if design.outcome_unit != "fraction":
        return pd.DataFrame(columns=["key", "label", *_NUMBERS, "reason", "unit", "made_by"])
    main = spec.methods[spec.main]
    method = str(main["method"])
    options = dict(main.get("options", {}))
    if method in ("dose", "etwfe"):
        method, options = "imputation", {}
    rows = [_row(design, spec, scale, _SCALE_LABELS[scale], method, scale, **options) for scale in NAMES]
    return pd.DataFrame(rows)


def describe_ceiling(design: Design) -> pd.DataFrame:
    """Count units near the ceiling of the share, by cohort, ready for a table; empty when the outcome is no share.

    Returns
    -------
    pandas.DataFrame
        ``key``, ``cohort_label``, ``n_units``, ``above_before``, ``above_ever``, ``room_pp``.
    """
    if design.outcome_unit != "fraction":
        return pd.DataFrame(columns=["key", "cohort_label", "n_units", "above_before", "above_ever", "room_pp"])
    frame = diagnose_ceiling(design)
    names = [*design.cohorts["label"].iloc[: len(frame) - 1].astype(str), "never treated"]
    keys = [*names[:-1], "never"]
    return frame.assign(key=keys, cohort_label=names)[frame["n_units"] > 0]


def _row(design: Design, spec: StudySpec, key: str, label: str, method: str, scale: str, **options: object) -> dict:
    unit = "pp" if design.outcome_unit == "fraction" else "number"
    words = SCALES[scale].words if scale in SCALES else ""
    made_by = (
        f"{method} at its defaults" if not options else f"{method}({', '.join(f'{k}={v}' for k, v in options.items())})"
    )
    row = {"key": key, "label": label, "unit": unit, "made_by": f"{made_by}; {words}" if words else made_by}
    missing = dict.fromkeys(_NUMBERS, np.nan)
    try:
        effects = estimate(design, method, scale=scale, **options)
        found = in_unit(infer(overall(effects), level=spec.level), effects).iloc[0]
    except NotIdentifiedError as refusal:
        return row | missing | {"reason": "; ".join(refusal.reasons)}
    except (EstimationError, EvalaidError) as error:
        return row | missing | {"reason": " ".join(str(error).split())}
    unknown = np.isnan(found["estimate"]) or np.isnan(found["std_error"])
    return row | {name: found[name] for name in _NUMBERS} | {"reason": str(found["note"]) if unknown else ""}
