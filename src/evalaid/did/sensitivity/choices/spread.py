"""What the spread of many estimates depends on, and what a reader of them must know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.effect_columns import (
    ESTIMATE,
    N_CLUSTERS,
    STD_ERROR,
    TREATED_CLUSTERS,
    VCOV,
    beside_zero,
    with_estimate,
)
from evalaid.did.effects.linear import Solver
from evalaid.did.panel.few import FEW_CLUSTERS, FEW_TREATED

Floats = NDArray[np.float64]

CHOICES = ("method", "covariates", "window", "comparison", "weights", "scale")


def find_drivers(table: pd.DataFrame, covariates: Sequence[tuple[str, ...]]) -> pd.DataFrame:
    """Share out the variance of the estimates among the choices, main effects only."""
    known = table[ESTIMATE].notna().to_numpy()
    value = table[ESTIMATE].to_numpy()[known]
    factors = {choice: table[choice].to_numpy()[known] for choice in CHOICES if choice != "covariates"}
    for name in dict.fromkeys(name for subset in covariates for name in subset):
        member = np.array([name in subset for subset in covariates])
        factors[f"covariate {name}"] = np.where(member, "in", "out")[known]
    coded = {choice: pd.factorize(levels, sort=True) for choice, levels in factors.items()}
    dummies = {choice: np.eye(len(levels))[codes] for choice, (codes, levels) in coded.items() if len(levels) > 1}
    total = float(((value - value.mean()) ** 2).sum()) if len(value) else 0.0
    rows = []
    for choice, own in dummies.items():
        others = [columns for other, columns in dummies.items() if other != choice]
        means = (own.T @ value) / own.sum(axis=0)
        alone = _explained(value, [own])
        beyond = _explained(value, [own, *others]) - _explained(value, others)
        rows.append({
            "choice": choice,
            "levels": own.shape[1],
            "share_alone": alone / total if total > 0 else np.nan,
            "share_beyond_others": max(beyond, 0.0) / total if total > 0 else np.nan,
            "range_of_means": means.max() - means.min(),
        })  # fmt: skip
    names = ["choice", "levels", "share_alone", "share_beyond_others", "range_of_means"]
    return pd.DataFrame(rows, columns=names).sort_values("share_alone", ascending=False, ignore_index=True)


def _explained(value: Floats, dummies: Sequence[Floats]) -> float:
    """Return the sum of squares that the main effects explain beyond the mean."""
    if not dummies:
        return 0.0
    centred = value - value.mean()
    columns = np.concatenate(dummies, axis=1)
    columns = columns - columns.mean(axis=0)
    moment = columns.T @ centred
    return float(moment @ Solver(columns.T @ columns)(moment))


def list_notes(table: pd.DataFrame) -> tuple[str, ...]:
    """Return what a reader of the curve must know, in words."""
    known = with_estimate(table)
    notes = [f"{len(known)} of {len(table)} specifications have an estimate"]
    if len(known) < len(table):
        notes[0] += "; the others are refused with the reason in their row"
    if len(known):
        above, below = beside_zero(known)
        notes.append(
            f"{int((known[ESTIMATE] > 0).sum())} estimates are positive; {above} intervals lie above zero and {below} below; "
            f"the median estimate is {known[ESTIMATE].median():.4g}"
        )
    twins = known.round({ESTIMATE: 12, STD_ERROR: 12}).duplicated([ESTIMATE, STD_ERROR, "window", "comparison"])
    if twins.any():
        notes.append(
            f"{int(twins.sum())} specifications repeat the numbers of another: what they add (such as a covariate that does not "
            "vary within units in a regression with unit effects) changes nothing, and counts are inflated by it"
        )
    if len(set(known["method"])) > 1:
        notes.append(
            "methods average effects with different weights: part of the spread between them is no disagreement"
        )
    plain = known[known[VCOV] == "CR1"]
    clusters, treated = plain[N_CLUSTERS].min(), plain[TREATED_CLUSTERS].min()
    if len(plain) and (clusters < FEW_CLUSTERS or treated < FEW_TREATED):
        notes.append(
            f"down to {clusters} clusters and {treated} treated clusters: CR1 intervals are too short; use a wild bootstrap or "
            "randomisation inference for the specification to be reported"
        )
    notes.append("the rows come from the same data: the share of positive or significant ones is no test")
    return tuple(notes)
