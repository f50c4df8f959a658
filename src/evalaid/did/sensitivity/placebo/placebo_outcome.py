"""Placebo in outcome: the same estimate on another column that the programme must not move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import ESTIMATE
from evalaid.base.errors import DesignError, NotIdentifiedError
from evalaid.base.names import CLUSTER, EXPOSURE, OUTCOME, PARTIAL, PATH, PERIOD, STRATUM, TREATED, UNIT, WEIGHT
from evalaid.did.estimators.estimation import estimate
from evalaid.did.inference.infer import infer
from evalaid.did.panel.design import Design, diagnose
from evalaid.did.panel.matrices import mask, reassign

# A column that is the outcome in other units (percent, a shifted level) correlates with it to rounding.
COPY = 1e-12


def estimate_outcomes(
    design: Design,
    method: str,
    outcome: str | Sequence[str] | None,
    outcome_unit: str | None,
    level: float,
    options: dict[str, Any],
) -> pd.DataFrame:
    """Estimate the overall effect on each placebo outcome."""
    columns = (outcome,) if isinstance(outcome, str) else tuple(outcome or ())
    _check(design, columns)
    rows = []
    for column in columns:
        try:
            effects = estimate(with_outcome(design, column, outcome_unit), method, **options).aggregate("overall")
            row = infer(effects, level=level)
        except NotIdentifiedError as refusal:
            row = pd.DataFrame({ESTIMATE: [np.nan], "note": ["; ".join(refusal.reasons)]})
        if column in design.covariates:
            row["note"] = [f"{text}; {column} is no covariate here" for text in row["note"]]
        rows.append(row.assign(outcome=column))
    table = pd.concat(rows, ignore_index=True)
    return table[["outcome", *table.columns.drop("outcome")]]


def with_outcome(design: Design, column: str, outcome_unit: str | None = None) -> Design:
    """Return the design with another column of its table as outcome: the same units, periods, cohorts and roles."""
    names, matrices = design.panel.names, design.matrices
    other = diagnose(
        design.source,
        names[UNIT],
        names[PERIOD],
        column,
        None
        if design.treatment.stated.name in (names.get(TREATED), names.get(PATH))
        else str(design.treatment.stated.name),
        covariates=tuple(name for name in design.covariates if name != column),
        treated=names.get(TREATED),
        path=names.get(PATH),
        weight=names.get(WEIGHT),
        cluster=names.get(CLUSTER),
        partial=names.get(PARTIAL),
        exposure=names.get(EXPOSURE),
        stratum=names.get(STRATUM),
        weight_kind=design.panel.weight_kind,
        outcome_unit=outcome_unit,
        anticipation=design.anticipation,
    )
    found = other.matrices.subset(other.matrices.units.isin(matrices.units))
    if len(found.periods) != len(matrices.periods):
        found = mask(found, np.broadcast_to(np.isin(found.periods, matrices.periods), found.outcome.shape))
    found = reassign(found, matrices.cohort[matrices.units.get_indexer(found.units)])
    return replace(other, matrices=found if matrices.weight is not None else replace(found, weight=None))


def _check(design: Design, columns: Sequence[str]) -> None:
    """Refuse columns that cannot be a placebo outcome, all at once."""
    table, own = design.source, design.panel.names[OUTCOME]
    if not columns:
        raise DesignError(
            "A placebo in outcome needs outcome=..., the name of a column that the programme must not move."
        )
    faults = []
    for column in columns:
        if column not in table:
            faults.append(f"the table has no column {column!r}; it has {', '.join(map(str, table))}")
        elif column == own:
            faults.append(f"{column!r} is the outcome itself; name a column that the programme must not move")
        elif not pd.api.types.is_numeric_dtype(table[column]):
            faults.append(f"{column!r} is not numeric")
        elif _is_copy(table[column], table[own]):
            faults.append(f"{column!r} is the outcome {own!r} in other units; name a column that is another quantity")
    if faults:
        raise DesignError("Placebo in outcome: " + "; ".join(faults) + ".")


def _is_copy(one: pd.Series, other: pd.Series) -> bool:
    both = pd.DataFrame({"one": one, "other": pd.to_numeric(other, errors="coerce")}).dropna().to_numpy(dtype=float)
    centred = both - both.mean(axis=0) if len(both) else both
    size = np.sqrt((centred**2).sum(axis=0))
    return bool((size > 0).all() and abs(centred[:, 0] @ centred[:, 1]) >= (1 - COPY) * size.prod())
