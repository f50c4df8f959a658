"""Who was chosen for treatment, and how strongly by a low baseline: the rule that was seen, and the same rule again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from evalaid.base.periods import label
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import Matrices, arrange

Floats = NDArray[np.float64]


def find_chosen(design: Design) -> tuple[Matrices, NDArray[np.intp]]:
    """Return the panel of what was chosen, units or means of clusters, and the row in it of every unit."""
    matrices = design.matrices
    n_units = matrices.n_units
    if matrices.clustered_by_unit or not _one_cohort_each(matrices):
        return matrices, np.arange(n_units)
    member = np.zeros((matrices.n_clusters, n_units))
    member[matrices.cluster, np.arange(n_units)] = 1.0
    there = np.ones_like(matrices.outcome) if matrices.observed is None else matrices.observed.astype(float)
    counts = member @ there
    means = member @ (matrices.outcome * there) / np.where(counts > 0, counts, 1)
    cohort = np.full(matrices.n_clusters, np.nan)
    cohort[matrices.cluster] = matrices.cohort
    arranged = arrange(
        units=matrices.clusters,
        periods=matrices.periods,
        period_kind=matrices.period_kind,
        outcome=means,
        observed=None if (counts > 0).all() else counts > 0,
        cohort=cohort,
    )
    return arranged, arranged.units.get_indexer(matrices.clusters)[matrices.cluster]


def _one_cohort_each(matrices: Matrices) -> bool:
    start = np.nan_to_num(matrices.cohort, nan=-1.0)
    first = np.zeros(matrices.n_clusters)
    first[matrices.cluster] = start
    return bool((first[matrices.cluster] == start).all())


@dataclass(frozen=True)
class ChosenPanel:
    """The panel of what was chosen as plain arrays, and what is before for every cohort."""

    outcome: Floats
    seen: NDArray[np.bool_]
    periods: NDArray[np.int64]
    cohort: Floats
    cohorts: NDArray[np.int64]
    bases: NDArray[np.intp]
    reacts: Floats  # First period in which a unit may react, infinity = never treated
    event_time: NDArray[np.int64]
    window: int

    @classmethod
    def of(cls, matrices: Matrices, anticipation: int, window: int) -> ChosenPanel:
        """Take a panel apart; the baseline is the mean over ``window`` periods before a cohort reacts."""
        seen = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
        bases = base_columns(matrices, anticipation)
        return cls(
            matrices.outcome,
            seen,
            matrices.periods,
            matrices.cohort,
            matrices.cohorts,
            bases,
            matrices.unit_reaction(anticipation),
            matrices.event_time,
            window,
        )

    def subset(self, keep: NDArray[np.bool_]) -> ChosenPanel:
        """Keep some of what could be chosen."""
        return replace(
            self, outcome=self.outcome[keep], seen=self.seen[keep], cohort=self.cohort[keep], reacts=self.reacts[keep]
        )

    def columns(self, base: int) -> slice:
        """Return the columns of the window that ends with the base period."""
        return slice(max(base + 1 - self.window, 0), base + 1)

    def baseline(self, base: int, outcome: Floats | None = None) -> Floats:
        """Mean outcome over the window, NaN where one of its periods is not observed."""
        columns = self.columns(base)
        values = self.outcome if outcome is None else outcome
        return np.where(self.seen[:, columns].all(axis=1), values[:, columns].mean(axis=1), np.nan)


def describe_selection(data: ChosenPanel, matrices: Matrices) -> pd.DataFrame:
    """Compare the baseline of each cohort with that of all units that could have been chosen."""
    rows = []
    kind = matrices.period_kind
    for cohort, base in zip(data.cohorts, data.bases, strict=True):
        row: dict[str, Any] = {"cohort": int(cohort), "label": label(kind, cohort)}
        if base < 0:
            rows.append(row | {"note": "the cohort has no period before it reacts", "strength": 0.0})
            continue
        baseline = data.baseline(int(base))
        at_risk = ~(data.cohort < cohort) & ~np.isnan(baseline)
        own = at_risk & (data.cohort == cohort)
        share = own.sum() / max(at_risk.sum(), 1)
        spread = float(baseline[at_risk].std(ddof=1)) if at_risk.sum() > 1 else np.nan
        shortfall = float(baseline[at_risk].mean() - baseline[own].mean()) if own.any() else np.nan
        standard = shortfall / spread if spread > 0 else np.nan
        note, strength = "", 0.0
        if share >= 1:
            note = "every unit at risk was chosen: nothing to choose by"
        elif not np.isnan(standard):
            strength = standard * share / (np.exp(-(ndtri(share) ** 2) / 2) / np.sqrt(2 * np.pi))
            if abs(strength) > 1:
                note = "a shortfall beyond what choosing the lowest of a normal distribution gives"
            strength = float(np.clip(strength, -1, 1))
        columns = data.columns(int(base))
        names = [label(kind, data.periods[k]) for k in (columns.start, columns.stop - 1)]
        rows.append(
            row
            | {
                "baseline": names[0] if names[0] == names[1] else f"{names[0]} to {names[1]}",
                "n_treated": int(own.sum()), "n_at_risk": int(at_risk.sum()), "shortfall": shortfall,
                "shortfall_sd": standard, "strength": strength, "note": note,
            }
        )  # fmt: skip
    names = ["cohort", "label", "baseline", "n_treated", "n_at_risk", "shortfall", "shortfall_sd", "strength", "note"]
    return pd.DataFrame(rows, columns=names)


def choose_again(
    outcome: Floats, data: ChosenPanel, sizes: NDArray[np.intp], strength: Floats, generator: np.random.Generator
) -> Floats:
    """Return every unit a cohort: cohort by cohort the lowest of baseline and noise among those not chosen yet."""
    cohort = np.full(len(outcome), np.nan)
    for number, (start, base, size) in enumerate(zip(data.cohorts, data.bases, sizes, strict=True)):
        left = np.flatnonzero(np.isnan(cohort))
        noise = generator.standard_normal(len(left))
        score = noise
        if base >= 0:
            baseline = data.baseline(int(base), outcome)[left]
            known = ~np.isnan(baseline)
            spread = baseline[known].std() if known.any() else 0.0
            standard = (baseline - baseline[known].mean()) / spread if spread > 0 else np.zeros(len(left))
            own = strength[number] * np.nan_to_num(standard, nan=0.0)
            score = own + np.sqrt(1 - strength[number] ** 2) * noise
        cohort[left[np.argsort(score, kind="stable")[:size]]] = start
    return cohort
