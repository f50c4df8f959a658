"""Comparison units of similar outcome history, and the estimate with these alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from evalaid.base.texts import counted
from evalaid.did.effects.effects import Effects
from evalaid.did.estimators.estimation import find_method
from evalaid.did.inference.infer import infer
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import Matrices
from evalaid.did.sensitivity.sample.variants import estimate_variant, name_row, no_estimate

Floats = NDArray[np.float64]

# Periods before the start that are matched on: recent history is what a selector sees.
PERIODS = 3
MATCHED = "matched on history"


def match_on_history(
    design: Design, method: str, whole: Effects, *, neighbours: int = 5, level: float = 0.95, **options: Any
) -> pd.DataFrame:
    """Estimate with the never-treated units whose outcomes before treatment were closest to those of treated units.

    Assumes that units with the same recent outcomes would have gone on alike. Where treated and comparison units differ for
    good, this makes regression to the mean instead of removing it (Daw and Hatfield 2018, doi:10.1111/1475-6773.12993).
    """
    rows = [name_row(infer(whole, level=level), "all comparison units")]
    counts, reason = count_matches(design.matrices, design.anticipation, neighbours)
    if reason:
        rows.append(no_estimate(MATCHED, reason).row)
    else:
        matched, said = _weigh(design, counts, weighted=_takes_weights(design, method))
        rows.append(estimate_variant(matched, method, options, level, MATCHED, said, whole).row)
    return pd.concat(rows, ignore_index=True)


def count_matches(matrices: Matrices, anticipation: int, neighbours: int) -> tuple[NDArray[np.int64], str]:
    """Count how often each unit is among the closest never-treated units of a treated one.

    Shape: counts (N,).
    """
    never = np.flatnonzero(np.isnan(matrices.cohort))
    counts = np.zeros(matrices.n_units, dtype=np.int64)
    if len(never) < 2:
        return counts, f"{counted(len(never), 'never-treated unit')}: nobody to match with over the whole panel"
    seen = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
    for number, base in enumerate(base_columns(matrices, anticipation)):
        columns = np.arange(max(base + 1 - PERIODS, 0), base + 1)
        treated = np.arange(matrices.n_units)[matrices.block(number)]
        one, two = (rows[seen[np.ix_(rows, columns)].all(axis=1)] for rows in (treated, never))
        if base < 0 or not len(one) or not len(two):
            continue
        taken = min(neighbours, len(two))
        _, found = cKDTree(matrices.outcome[np.ix_(two, columns)]).query(
            matrices.outcome[np.ix_(one, columns)], k=taken
        )
        counts += np.bincount(two[np.ravel(found)], minlength=matrices.n_units)
    return (
        counts,
        "" if counts.any() else "no treated unit and never-treated unit are observed in the same periods before",
    )


def _takes_weights(design: Design, method: str) -> bool:
    """Return whether weights for how often a unit counts can be added: not to weights of precision."""
    precision = design.matrices.weight is not None and design.matrices.weight_kind == "precision"
    return find_method(method).needs.weights != "none" and not precision


def _weigh(design: Design, counts: NDArray[np.int64], *, weighted: bool) -> tuple[Design, str]:
    matrices = design.matrices
    treated = ~np.isnan(matrices.cohort)
    taken = int((counts > 0).sum())
    said = f"{taken} of {design.n_never} never-treated units"
    if weighted:
        factor = np.where(treated, 1.0, counts * treated.sum() / counts.sum())[:, None]
        base = np.ones_like(matrices.outcome) if matrices.weight is None else matrices.weight
        weight = base * factor if matrices.observed is None else base * factor * matrices.observed
        design = replace(design, matrices=replace(matrices, weight=weight, weight_kind="analytic"))
        said += ", weighted by how often each is taken"
    return design.subset(treated | (counts > 0)), said
