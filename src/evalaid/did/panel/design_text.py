"""A design in plain words: what the panel holds, who is treated when, who serves as comparison, and what cannot be told."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from evalaid.base import names
from evalaid.base.effect_columns import N_CLUSTERS
from evalaid.base.periods import label
from evalaid.base.texts import counted
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.limits import count_clusters
from evalaid.did.panel.matrices import Matrices
from evalaid.did.panel.panel import WEIGHT_KINDS, Panel

_SHOWN_COHORTS = 12


def tell_panel(matrices: Matrices, panel: Panel, outcome_unit: str, covariates: Sequence[str]) -> list[str]:
    """Describe how large the panel is and what its columns are; the first line is the whole in short."""
    kind, periods = matrices.period_kind, matrices.periods
    span = f" ({label(kind, periods[0])} to {label(kind, periods[-1])})" if len(periods) else ""
    measure = "a share, held as a fraction" if outcome_unit == "fraction" else "a number"
    size = f"{counted(matrices.n_units, 'unit')} x {counted(matrices.n_periods, 'period' if kind == 'number' else kind)}{span}"
    balance = "balanced" if matrices.observed is None else "unbalanced"
    columns = [f"Outcome: {panel.names[names.OUTCOME]!r}, {measure}."]
    if names.WEIGHT in panel.names:
        columns.append(f"Weights: {panel.names[names.WEIGHT]!r} ({_tell_weights(matrices.weight_kind)}).")
    if covariates:
        columns.append(f"Covariates: {', '.join(map(repr, covariates))}.")
    if names.STRATUM in panel.names:
        columns.append(f"Compared within strata: {panel.names[names.STRATUM]!r}.")
    if names.EXPOSURE in panel.names:
        columns.append(f"The first treated period counts by its part: {panel.names[names.EXPOSURE]!r}.")
    lines = [f"{size}, {balance}: {counted(matrices.n_observations, 'observation')}.", " ".join(columns)]
    if len(panel.gaps) or len(panel.singletons):
        lines.append(
            f"{counted(len(panel.gaps), 'missing period')} inside the span of a unit; "
            f"{counted(len(panel.singletons), 'unit')} observed once only."
        )
    return lines


def tell_treatment(matrices: Matrices, panel: Panel, cohorts: pd.DataFrame, n_excluded: int) -> list[str]:
    """Describe how many units are treated, and give each cohort a line."""
    by = repr(panel.names[names.CLUSTER]) if names.CLUSTER in panel.names else "each unit is one"
    period = "period" if matrices.period_kind == "number" else matrices.period_kind
    n_treated = int(matrices.never.start)
    lines = [
        (
            f"{counted(n_treated, 'unit')} treated in {counted(len(matrices.cohorts), 'cohort')}, "
            f"{counted(matrices.n_units - n_treated, 'unit')} never treated within the panel. "
            f"{counted(matrices.n_clusters, 'cluster')} ({by}), {count_clusters(matrices, treated=True):,} with treated units."
        )
    ]
    shown = cohorts.iloc[:-1]
    for row in shown.head(_SHOWN_COHORTS).to_dict("records"):
        size = f"{counted(row['n_units'], 'unit')}, {counted(row[N_CLUSTERS], 'cluster')}"
        span = f"{counted(row['pre_periods'], period)} before, {counted(row['post_periods'], period)} from the start on"
        lines.append(f"  {row['label']}: {size}, {span}")
    if len(shown) > _SHOWN_COHORTS:
        lines.append(f"  ... and {len(shown) - _SHOWN_COHORTS} more cohorts (see .cohorts)")
    if n_excluded:
        lines.append(f"{counted(n_excluded, 'unit')} kept out (see .excluded).")
    return lines


def tell_comparison(matrices: Matrices, cells: pd.DataFrame, availability: pd.DataFrame, anticipation: int) -> str:
    """Describe who serves as comparison, and until when."""
    if not len(matrices.cohorts) or not cells["admissible"].any():
        return "Comparison: none."
    parts = []
    if matrices.n_units > matrices.never.start:
        seen = int((availability["never_treated"] > 0).sum())
        when = "every period" if seen == matrices.n_periods else f"{seen} of {matrices.n_periods} periods"
        parts.append(f"never-treated units in {when}")
    last = int(base_columns(matrices, anticipation)[-1])
    if len(matrices.cohorts) > 1 and last >= 0:
        parts.append(f"not-yet-treated units until {label(matrices.period_kind, matrices.periods[last])}")
    return f"Comparison: {'; '.join(parts)}."


def tell_limits(not_identified: pd.DataFrame, warnings: Sequence[str], notes: Sequence[str]) -> list[str]:
    """List what cannot be told, what to keep in mind, and what was done to the table; nothing where there is nothing."""
    limits = [
        f"{row.what} ({row.where}): {row.why}. What could be done: {row.what_could_be_done}"
        for row in not_identified.itertuples()
    ]
    lines = []
    for head, sentences in (("Not identified:", limits), ("Keep in mind:", warnings), ("Notes:", notes)):
        if sentences:
            lines += [head, *(f"  - {sentence}." for sentence in sentences)]
    return lines


def _tell_weights(kind: str | None) -> str:
    if kind is None:
        return "kind not stated: analytic, in etwfe precision"
    return f"{kind}: {WEIGHT_KINDS[kind]}"
