"""Placebo in units: never-treated units pretended treated many times, to see how often an interval misses zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.effect_columns import ENDS, ESTIMATE, STD_ERROR, has_interval, leaves_out_zero
from evalaid.base.errors import DesignError, EvalaidError
from evalaid.base.shared_out import do_parts
from evalaid.base.texts import join_texts
from evalaid.did.estimators.estimation import estimate
from evalaid.did.inference.infer import Vcov, infer
from evalaid.did.inference.randomisation.assignments import list_assignments
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import reassign

Codes = NDArray[np.intp]

# With fewer never-treated blocks than this nothing can be pretended twice and still be compared.
FEWEST = 4


def estimate_pretended(
    design: Design,
    method: str,
    draws: int,
    seed: int,
    level: float,
    vcov: Vcov,
    progress: Callable[[int, int], object] | None,
    options: dict[str, Any],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Estimate with never-treated units in the place of treated ones, each time with its interval."""
    matrices = design.matrices
    if design.n_never < FEWEST:
        raise DesignError(
            f"Placebo in units needs at least {FEWEST} never-treated units; the design has {design.n_never}. Use placebo in "
            "time, or ea.randomize(kind='timing')."
        )
    assignments = list_assignments(design)
    n_cohorts = len(matrices.cohorts)
    what = "clusters" if assignments.by_cluster else "units"
    blocks = np.unique(assignments.block[matrices.never.start :])
    sizes, note = _scale(np.bincount(assignments.actual, minlength=n_cohorts + 1)[:n_cohorts], len(blocks), what)
    untreated = matrices.subset(np.arange(matrices.never.start, matrices.n_units))
    start = np.append(np.repeat(matrices.cohorts.astype(float), sizes), np.full(len(blocks) - sizes.sum(), np.nan))
    position = np.searchsorted(blocks, assignments.block[matrices.units.get_indexer(untreated.units)])
    generator = np.random.default_rng(seed)

    def estimate_one(starts: NDArray[np.float64]) -> pd.DataFrame:
        pretended = replace(design, matrices=reassign(untreated, starts))
        try:
            return infer(estimate(pretended, method, **options).aggregate("overall"), level=level, vcov=vcov)
        except EvalaidError as refusal:
            return pd.DataFrame({ESTIMATE: [np.nan], "note": [str(refusal)]})

    rows = []
    drawn = (generator.permutation(start)[position] for _ in range(draws))
    for draw, row in enumerate(do_parts(estimate_one, drawn)):
        rows.append(row)
        if progress is not None:
            progress(draw + 1, draws)
    table = pd.concat(rows, ignore_index=True)
    return table.assign(rejected=_miss_zero(table)), _summarise(table, level, note)


def _scale(sizes: Codes, available: int, what: str) -> tuple[Codes, str]:
    """Keep the sizes of the cohorts when at most half of the blocks are needed; else shrink them in proportion."""
    if 2 * sizes.sum() <= available:
        return sizes, f"{int(sizes.sum())} of {available} never-treated {what} pretended treated"
    smaller = np.maximum(1, sizes * available // (2 * sizes.sum()))
    if smaller.sum() > available - 2:
        raise DesignError(
            f"Placebo in units needs more never-treated {what}: {len(sizes)} cohorts must be pretended among {available}. Use "
            "placebo in time, or estimate one cohort at a time."
        )
    return smaller, (
        f"{int(smaller.sum())} of {available} never-treated {what} pretended treated, fewer than the {int(sizes.sum())} that "
        "are: the size seen is that of a smaller programme"
    )


def _miss_zero(table: pd.DataFrame) -> pd.Series:
    table = table.reindex(columns=list(ENDS))
    missed = leaves_out_zero(table)
    known: pd.Series = missed.astype("boolean").mask(~has_interval(table))
    return known


def _summarise(table: pd.DataFrame, level: float, note: str) -> pd.DataFrame:
    missed = _miss_zero(table)
    estimates = table[ESTIMATE].dropna()
    known, nominal = int(missed.notna().sum()), 1 - level
    none = len(table) - known
    lost = f"{none} draws without an interval: {table['note'][missed.isna()].iloc[0]}" if none else ""
    row = {
        "draws": known,
        "mean": estimates.mean(),
        "mean_error": estimates.std() / np.sqrt(max(len(estimates), 1)),
        "spread": estimates.std(),
        "mean_std_error": table.get(STD_ERROR, pd.Series(dtype=float)).mean(),
        "rejection_rate": float(missed.dropna().mean()) if known else np.nan,
        "nominal": nominal,
        "rate_error": float(np.sqrt(nominal * level / known)) if known else np.nan,
        "note": join_texts((note, lost)),
    }
    return pd.DataFrame([row])
