"""One estimate on a changed design, as a row: with its interval, its change from the main one, or the reason there is none."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE, STD_ERROR
from evalaid.base.errors import EstimationError, InferenceError, NotIdentifiedError
from evalaid.base.texts import join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.estimators.estimation import estimate
from evalaid.did.inference.infer import infer
from evalaid.did.inference.variance.difference import difference
from evalaid.did.panel.design import Design

# Methods whose estimates come from means of a cohort in a period, over the units that are observed in it.
BY_MEANS = ("two_by_two", "etwfe")


@dataclass(frozen=True)
class Variant:
    """An overall estimate.

    ``row``: one row: ``sample`` and the columns of `evalaid.infer`; with ``change`` and ``change_std_error`` where
    there is a main estimate to subtract. Where there is no estimate, ``note`` has the reason. ``effects``: what the
    estimate was averaged from.
    """

    row: pd.DataFrame
    effects: Effects | None


def estimate_variant(
    design: Design,
    method: str,
    options: Mapping[str, Any],
    level: float,
    sample: str,
    note: str = "",
    main: Effects | None = None,
) -> Variant:
    """Estimate the overall effect on a changed design and hold it against the main one."""
    try:
        effects = estimate(design, method, **options)
        overall = effects.aggregate("overall")
        row = infer(overall, level=level)
    except NotIdentifiedError as refusal:
        return no_estimate(sample, join_texts((note, "; ".join(refusal.reasons))))
    except (EstimationError, InferenceError) as refusal:
        return no_estimate(sample, join_texts((note, str(refusal).split("\n")[0])))
    row = row.assign(note=[join_texts((text, note)) for text in row["note"]])
    if main is not None:
        change, error = measure_change(overall, main, level)
        row = row.assign(change=change, change_std_error=error)
    return Variant(name_row(row, sample), effects)


def why_not_by_unit(method: str) -> str:
    """Return why a method cannot be run where observations are left out unit by unit; "" when it can.

    Examples
    --------
    >>> why_not_by_unit("imputation"), why_not_by_unit("etwfe")[:37]
    ('', 'etwfe compares means of whole cohorts')
    """
    if method not in BY_MEANS:
        return ""
    return (
        f"{method} compares means of whole cohorts: with observations left out unit by unit these are means of other units, whose "
        "levels differ; use a method that compares units with themselves, such as imputation or callaway_santanna"
    )


def measure_change(overall: Effects, main: Effects, level: float = 0.95) -> tuple[float, float]:
    """Return the difference of two overall estimates and its standard error; NaN where there is none."""
    try:
        row = infer(difference(overall, main), level=level).iloc[0]
    except InferenceError:
        return float(overall.value[0] - main.value[0]), np.nan
    return float(row[ESTIMATE]), float(row[STD_ERROR])


def no_estimate(sample: str, reason: str) -> Variant:
    """Return the row of an estimate that there is not."""
    return Variant(pd.DataFrame({"sample": [sample], ESTIMATE: [np.nan], "note": [reason]}), None)


def name_row(row: pd.DataFrame, sample: str) -> pd.DataFrame:
    """Put the name of the sample first."""
    return row.assign(sample=sample)[["sample", *row.columns]]


def say_row(row: Mapping[Hashable, Any], name: str) -> str:
    """Describe the estimate of a row, its interval and its change in one sentence, or why there is none."""
    head = f"{name[0].upper()}{name[1:]}"
    if np.isnan(row[ESTIMATE]):
        return f"{head}: no estimate ({row['note']})."
    change = row.get("change", np.nan)
    moved = "" if np.isnan(change) else f", a change of {change:.4g} (standard error {row['change_std_error']:.2g})"
    return f"{head}: {row[ESTIMATE]:.4g} ({row[CONF_LOW]:.4g} to {row[CONF_HIGH]:.4g}){moved}."
