"""Which cells an average is made of, with which weights, what stands behind it, and what it leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from evalaid.base.effect_columns import TREATED_CLUSTERS
from evalaid.base.errors import EstimationError
from evalaid.base.texts import noun
from evalaid.did.effects.influence import Block, Influence
from evalaid.did.panel.clock import CALENDAR_STEPS, Clock

Floats = NDArray[np.float64]
Aggregation = Literal["event_time", "cohort", "calendar", "overall"]

GROUP_KEY = {"event_time": "event_time", "cohort": "cohort", "calendar": "period"}
_LABELS = ("cohort", "period", "event_time")


@dataclass(frozen=True)
class Population:
    """The units behind the estimates, in the row order of the influence."""

    units: pd.Index  # Labels, (units,)
    cohort: Floats  # First treated period as ordinal; NaN = never treated. (units,)
    weight: Floats  # Sampling weight of a unit, mean one. (units,)
    cluster: NDArray[np.int64]  # Cluster code 0..G-1. (units,)
    clusters: pd.Index  # Cluster labels, (G,)
    periods: NDArray[np.int64] | None = None  # The periods of the panel as ordinals, (T,)
    clock: Clock = CALENDAR_STEPS  # How event times count them

    @cached_property
    def cohorts(self) -> Floats:
        """The distinct cohorts, ascending, (C,)."""
        return np.unique(self.cohort[~np.isnan(self.cohort)])

    @cached_property
    def shares(self) -> Floats:
        """Weighted share of the units in each of ``cohorts``, (C,)."""
        return self._count(self.weight) / len(self.units)

    @cached_property
    def presence(self) -> NDArray[np.bool_]:
        """Whether a cluster holds a unit of each of ``cohorts``, (C, G)."""
        found = np.zeros((len(self.cohorts), len(self.clusters)), dtype=bool)
        treated = ~np.isnan(self.cohort)
        found[np.searchsorted(self.cohorts, self.cohort[treated]), self.cluster[treated]] = True
        return found

    @cached_property
    def separate(self) -> bool:
        """Whether no cluster holds units of two cohorts."""
        return bool((self.presence.sum(axis=0) <= 1).all())

    def place(self, cohort: ArrayLike) -> NDArray[np.intp]:
        """Return the position in ``cohorts``; that of the next (or last) for a cohort without units: it counts for nothing."""
        position = np.searchsorted(self.cohorts, np.asarray(cohort, dtype=float))
        return np.minimum(position, len(self.cohorts) - 1)

    def count_clusters(self, chosen: NDArray[np.bool_]) -> int:
        """Count the clusters with a unit of the chosen cohorts; ``chosen`` is (C,)."""
        return int(self.presence[chosen].any(axis=0).sum())

    def share_influence(self) -> Floats:
        """Return the influence of each unit on the share of each of ``cohorts``, (units, C)."""
        member = (self.cohort[:, None] == self.cohorts) * self.weight[:, None]
        return np.asarray((member - self.shares) / len(self.units))

    def _count(self, weight: Floats) -> Floats:
        treated = ~np.isnan(self.cohort)
        position = np.searchsorted(self.cohorts, self.cohort[treated])
        return np.bincount(position, weights=weight[treated], minlength=len(self.cohorts)).astype(np.float64)


@dataclass(frozen=True)
class Groups:
    """The averages to form."""

    labels: pd.DataFrame  # One row per average; no column for the overall one
    # (cells, averages) bool: The cells that belong to each average, missing ones included
    members: NDArray[np.bool_]
    used: NDArray[np.bool_]  # (cells, averages) bool: Those with an estimate
    plain: bool  # Whether cells enter with equal weights instead of their sizes


def group_cells(cells: pd.DataFrame, value: Floats, by: str, method: str) -> Groups:
    """Find the averages and their cells."""
    if not isinstance(by, str) or by not in (*GROUP_KEY, "overall"):
        raise EstimationError(f"Cannot aggregate by {by!r}; choose event_time, cohort, calendar or overall.")
    has = {name for name in _LABELS if name in cells}
    treated = cells["event_time"].to_numpy() >= 0 if "event_time" in has else np.ones(len(cells), dtype=bool)
    if by == "overall":
        if "parameter" in cells:
            quantities = ", ".join(map(repr, dict.fromkeys(cells["parameter"])))
            raise EstimationError(
                f"{method} gives {quantities}, which have no average; select one, such as select(parameter={cells['parameter'].iloc[0]!r})."
            )
        if not treated.any():
            raise EstimationError("None of these cells is at or after the start of treatment; nothing to average.")
        labels, members = pd.DataFrame(index=range(1)), treated[:, None]
    elif has != set(_LABELS):
        raise EstimationError(
            f"Aggregating by {by} needs cells by cohort and period; {method} gives cells by "
            f"{', '.join(sorted(has)) or 'nothing: one overall effect'}. Choose a method that estimates by cohort and "
            "period."
        )
    else:
        key = cells[GROUP_KEY[by]].to_numpy()
        inside = np.ones(len(cells), dtype=bool) if by == "event_time" else treated
        levels = np.unique(key[inside])
        labels, members = pd.DataFrame({GROUP_KEY[by]: levels}), (key[:, None] == levels) & inside[:, None]
        # Where one cohort's reference period is an event time that another estimates, its zero is no estimate to average.
        fixed = (value == 0) & (cells["reason"].to_numpy(dtype=object) != "")
        estimated = members & ~(fixed | np.isnan(value))[:, None]
        members = members & ~(fixed[:, None] & estimated.any(axis=0))
    plain = by == "overall" and bool(has) and "cohort" not in has
    return Groups(labels, members, members & ~np.isnan(value)[:, None], plain)


def average_weights(groups: Groups, size: Floats) -> Floats:
    """Return the weights of the averages, (cells, averages); a column of zeros where no cell has an estimate."""
    mass = groups.used * (1.0 if groups.plain else size[:, None])
    total = mass.sum(axis=0)
    return mass / np.where(total > 0, total, 1.0)


def weight_influence(groups: Groups, cells: pd.DataFrame, value: Floats, size: Floats, people: Population) -> Influence:
    """Return the influence of estimated cohort shares on the averages.

    With weights ``s_k / S``, ``S = sum_k s_k`` and sizes proportional to the cohort's share p_c, the derivative with
    respect to p_c is ``sum_{k in c} (a_k / S - (sum_j a_j s_j) / S**2) s_k / p_c``; unit i moves the share of its cohort
    by ``(w_i 1{G_i = c} - p_c) / N`` (Callaway and Sant'Anna 2021, corollary 2, doi:10.1016/j.jeconom.2020.12.001).
    """
    position = people.place(cells["cohort"])
    known = np.where(np.isnan(value), 0.0, value)
    mass = groups.used * size[:, None]
    total = np.where(mass.sum(axis=0) > 0, mass.sum(axis=0), 1.0)
    slope = (known[:, None] / total - (known @ mass) / total**2) * mass / people.shares[position][:, None]
    gradient = np.zeros((len(people.cohorts), mass.shape[1]))
    np.add.at(gradient, position, slope)
    return Influence(len(people.units), mass.shape[1], (Block(slice(None), people.share_influence(), gradient),))


def describe(cells: pd.DataFrame, used: NDArray[np.bool_], people: Population) -> dict[str, Any]:
    """Count what stands behind combinations of cells: treated and comparison units, treated clusters.

    ``n_comparison`` is the smallest number of comparison units of any cell that enters.
    """
    n_treated, n_comparison, clusters = (
        cells[name].to_numpy() for name in ("n_treated", "n_comparison", TREATED_CLUSTERS)
    )
    empty = ~used.any(axis=0)
    fewest = np.where(used, n_comparison[:, None], np.iinfo(np.int64).max).min(axis=0)
    if "cohort" in cells:
        position = people.place(cells["cohort"])
        largest = np.zeros((len(people.cohorts), used.shape[1]), dtype=np.int64)
        np.maximum.at(largest, position, used * n_treated[:, None])
        treated = largest.sum(axis=0)
        entered = (largest > 0).T.astype(np.int64)
        if people.separate:
            behind = entered @ people.presence.sum(axis=1)
        else:
            behind = (entered @ people.presence > 0).sum(axis=1)
    else:
        treated = (used * n_treated[:, None]).max(axis=0, initial=0)
        behind = (used * clusters[:, None]).max(axis=0, initial=0)
    return {
        "n_treated": treated,
        "n_comparison": np.where(empty, 0, fewest),
        TREATED_CLUSTERS: np.asarray(behind, dtype=np.int64),
    }


def explain(cells: pd.DataFrame, groups: Groups) -> list[str]:
    """Explain for each average why it is missing, what it leaves out, or that it is fixed by construction."""
    reason = cells["reason"].to_numpy(dtype=object)
    if not reason.astype(bool).any():
        return [""] * groups.members.shape[1]
    texts = []
    for members, used in zip(groups.members.T, groups.used.T, strict=True):
        lost = members & ~used
        said = [text for text in dict.fromkeys(reason[lost if lost.any() else members]) if text]
        if not used.any():
            texts.append(said[0] if said else "no cell has an estimate")
        elif lost.any():
            each = noun(lost.sum(), "cells has no estimate and is", "cells have no estimate and are")
            texts.append(f"{lost.sum()} of {members.sum()} {each} left out: {said[0]}")
        else:
            texts.append(said[0] if said and (reason[used] != "").all() else "")
    return texts
