"""From gaps between cohorts and what they would have been to effects whose inference is by placebo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Influence
from evalaid.did.estimators.common.method import Method, cell_frame, cohort_slices, population_of, scale_of
from evalaid.did.panel.design import Design

SHORT = "fewer than two periods before units may react: no factor, and no weight, can be fitted"
BY_PLACEBO = "no standard error from a formula: placebo in space takes its place"


def measure_gaps(design: Design, method: Method, gaps: NDArray[np.float64], reasons: Sequence[str]) -> Effects:
    """Return the gaps of each cohort in each period, (C, T), as effects; ``reasons`` (C,) say why a cohort has none."""
    matrices = design.matrices
    n_cohorts, n_periods = gaps.shape
    seen = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
    count = np.array([seen[rows].sum(axis=0) for rows in cohort_slices(matrices)[:-1]]).ravel()
    value = gaps.ravel()
    stated = np.repeat(np.array(reasons, dtype=object), n_periods)
    missing = np.where(count == 0, "no observation of the cohort in this period", "no unit is untreated in this period")
    periods = np.tile(matrices.periods, n_cohorts)
    cohorts = np.repeat(matrices.cohorts, n_periods)
    cells = cell_frame(
        population_of(matrices),
        count,
        design.n_never,
        np.where(stated != "", stated, np.where(np.isnan(value), missing, BY_PLACEBO)),
        cohort=cohorts,
        period=periods,
        event_time=matrices.event_time.ravel(),
    )
    return Effects(
        cells=cells,
        value=value,
        influence=Influence.dense(np.full((matrices.n_units, len(value)), np.nan)),
        population=population_of(matrices),
        size=count.astype(float),
        method=method.name,
        estimand=method.estimand,
        scale=scale_of(design),
        convention=Convention("none", "normal", caution=BY_PLACEBO),
        aggregation="fixed",
    )
