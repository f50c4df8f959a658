"""The one result type: estimates by cell, with the influence of every unit on each of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from evalaid.errors import EstimationError
from evalaid.influence import Block, Influence

Aggregation = Literal["event_time", "cohort", "calendar", "overall"]
AggregationWeights = Literal["estimated", "fixed"]

CELL_KEYS = ("cohort", "period", "event_time", "dose")
_GROUP_KEY = {"event_time": "event_time", "cohort": "cohort", "calendar": "period"}


@dataclass(frozen=True)
class Population:
    """The units behind the estimates, in the row order of the influence.

    Parameters
    ----------
    units : pandas.Index
        Labels, (units,).
    cohort : numpy.ndarray
        First treated period as ordinal; NaN = never treated. (units,)
    weight : numpy.ndarray
        Sampling weight of a unit, mean one. (units,)
    cluster : numpy.ndarray
        Cluster code 0..G-1. (units,)
    clusters : pandas.Index
        Cluster labels, (G,).
    """

    units: pd.Index
    cohort: NDArray[np.float64]
    weight: NDArray[np.float64]
    cluster: NDArray[np.int64]
    clusters: pd.Index

    def shares(self, cohorts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the weighted share of the units that belongs to each of ``cohorts``."""
        return np.array([self.weight[self.cohort == cohort].sum() for cohort in cohorts]) / len(self.units)

    def count_clusters(self, cohorts: NDArray[np.float64]) -> int:
        """Count the clusters that hold at least one unit of ``cohorts``."""
        return len(np.unique(self.cluster[np.isin(self.cohort, cohorts)]))


@dataclass(frozen=True)
class Convention:
    """How the reference implementation of a method turns influence into errors and p-values.

    Parameters
    ----------
    correction : {"none", "regression"}
        ``regression`` multiplies the variance by ``G/(G-1) * (n-1)/(n-k)`` (fixest's default), ``none`` by one.
    distribution : {"normal", "t"}
        Reference distribution; ``t`` has G-1 degrees of freedom.
    observations, parameters : int
        n and k of the correction; absorbed effects that are nested in the clusters are not counted in k.
    """

    correction: Literal["none", "regression"]
    distribution: Literal["normal", "t"]
    observations: int = 0
    parameters: int = 0


@dataclass(frozen=True)
class Effects:
    """Estimates by cell with their influence; frozen, and free of standard errors, plots and printing.

    Parameters
    ----------
    cells : pandas.DataFrame
        One row an estimate: those of ``cohort``, ``period`` (ordinals), ``event_time``, ``dose`` that apply, and
        ``n_treated``, ``n_comparison`` (units), ``treated_clusters``, ``reason`` (why a value is missing or fixed).
    value : numpy.ndarray
        The estimates, (cells,); NaN where ``reason`` says why.
    influence : Influence
        Contribution of each unit to each estimate, see :mod:`evalaid.influence`.
    population : Population
        Labels, cohorts, weights and clusters of the units.
    size : numpy.ndarray
        Weight of a cell when cells are averaged: cohort share or treated observations. (cells,)
    method, estimand : str
        Registered name and the quantity in words.
    scale : {"share", "number"}
        ``share``: effects are fractions (times 100 = percentage points).
    convention : Convention
        How the method's reference implementation computes errors.
    aggregation : {"estimated", "fixed"}
        Whether averages over cells carry the influence of estimated cohort sizes by default.
    refit : callable, optional
        ``refit(keep)`` gives the same Effects estimated on the units in the boolean mask ``keep``; used by the
        jackknife (CR3). Lost by serialisation.
    """

    cells: pd.DataFrame
    value: NDArray[np.float64]
    influence: Influence
    population: Population
    size: NDArray[np.float64]
    method: str
    estimand: str
    scale: str
    convention: Convention
    aggregation: AggregationWeights = "estimated"
    refit: Callable[[NDArray[np.bool_]], Effects] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        n_units, n_cells = self.influence.shape
        shapes = {len(self.cells), len(self.value), len(self.size), n_cells}
        if len(shapes) != 1 or n_units != len(self.population.units):
            raise EstimationError(
                f"Effects do not fit together: {len(self.cells)} cells, {len(self.value)} values, influence of "
                f"{n_units} units on {n_cells} cells, {len(self.population.units)} units in the population."
            )

    def __len__(self) -> int:
        return len(self.value)

    def tidy(self) -> pd.DataFrame:
        """Give the cells with their estimates, one row each, in the scale of the outcome.

        Returns
        -------
        pandas.DataFrame
            The columns of ``cells`` with ``estimate`` before ``reason``.
        """
        table = self.cells.drop(columns="reason").assign(estimate=self.value)
        return table.assign(reason=self.cells["reason"])

    def select(self, mask: ArrayLike | None = None, /, **labels: Any) -> Effects:
        """Keep the cells of a boolean mask, or those whose labels equal (or are in) the given values.

        Parameters
        ----------
        mask : array of bool, optional
            One entry a cell.
        **labels
            Column of ``cells`` = a value or a collection of values.

        Raises
        ------
        EstimationError
            When a column does not exist or nothing is left.

        Examples
        --------
        ``effects.select(event_time=range(0, 3))`` keeps the first three treated periods.
        """
        keep = np.ones(len(self), dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
        for column, wanted in labels.items():
            if column not in self.cells:
                raise EstimationError(f"No column {column!r} in these cells; there are {', '.join(self.cells)}.")
            wanted = [wanted] if np.isscalar(wanted) else list(wanted)
            keep &= self.cells[column].isin(wanted).to_numpy()
        if not keep.any():
            raise EstimationError(f"No cell has {labels or 'the given mask'}; the cells are:\n{self.cells.to_string()}")
        cells = self.cells[keep].reset_index(drop=True)
        return self._derive(cells, np.eye(len(self))[:, keep], lambda other: _aligned(other, cells))

    def combine(self, weights: ArrayLike, cells: pd.DataFrame | None = None) -> Effects:
        """Give linear combinations of the estimates with fixed weights.

        Parameters
        ----------
        weights : array
            (cells,) for one combination or (cells, combinations).
        cells : pandas.DataFrame, optional
            Labels of the combinations; columns ``n_treated``, ``n_comparison``, ``treated_clusters``, ``reason``
            are added where missing.

        Returns
        -------
        Effects
            One cell a combination; missing where a missing cell has weight.
        """
        matrix = np.asarray(weights, dtype=float)
        matrix = matrix[:, None] if matrix.ndim == 1 else matrix
        if matrix.shape[0] != len(self):
            raise EstimationError(f"{matrix.shape[0]} weights for {len(self)} cells; give one weight a cell.")
        labels = pd.DataFrame(index=range(matrix.shape[1])) if cells is None else cells.reset_index(drop=True)
        described = labels.assign(**{key: column for key, column in self._describe(matrix).items() if key not in labels})
        source = self.cells

        def again(other: Effects) -> Effects:
            return _aligned(other, source).combine(matrix, cells)

        return self._derive(described, matrix, again)

    def aggregate(self, by: Aggregation, weights: AggregationWeights | None = None) -> Effects:
        """Average the treated cells by event time, cohort, calendar period or over all.

        Cells by cohort and period are weighted by their size (share of the cohort among the units, or number of
        treated observations, as the method defines it). ``cohort`` averages a cohort's treated periods equally.
        ``overall`` on cells by cohort and period is the average over treated unit-periods; on event-time or calendar
        averages it is their plain mean over treated periods; on cohort averages it is weighted by cohort size.
        ``event_time`` keeps the periods before treatment, too; all others use ``event_time >= 0`` only.

        Parameters
        ----------
        by : {"event_time", "cohort", "calendar", "overall"}
            What to average over.
        weights : {"estimated", "fixed"}, optional
            ``estimated`` adds the influence of cohort shares estimated from the same sample (the default of R
            ``did``); ``fixed`` takes them as known. The default is the method's.

        Returns
        -------
        Effects
            One cell a value of ``by``; cells without an estimate are left out of the averages and named in
            ``reason``.

        Raises
        ------
        EstimationError
            When ``by`` is unknown or the cells lack the labels it needs.

        Notes
        -----
        Callaway and Sant'Anna (2021), section 3.2, doi:10.1016/j.jeconom.2020.12.001.
        """
        if by not in (*_GROUP_KEY, "overall"):
            raise EstimationError(f"Cannot aggregate by {by!r}; choose event_time, cohort, calendar or overall.")
        if by == "overall" and len(self) == 1 and not {"cohort", "period", "event_time"} & set(self.cells):
            return self
        if weights not in (None, "estimated", "fixed"):
            raise EstimationError(f"weights={weights!r} is not a choice; choose estimated or fixed.")
        labels, groups, plain = self._groups(by)
        matrix = np.zeros((len(self), len(groups)))
        for column, members in enumerate(groups):
            mass = np.ones(len(members)) if plain else self.size[members]
            if members.size and mass.sum() > 0:
                matrix[members, column] = mass / mass.sum()
        empty = ~matrix.any(axis=0)
        described = labels.assign(**self._describe(matrix))
        described["reason"] = self._missing(by, labels, groups, empty)
        result = self._derive(described, matrix, lambda other: other.aggregate(by, weights))
        size = self._group_sizes(by, labels, result)
        value = np.where(empty, np.nan, result.value)
        influence = result.influence
        if (weights or self.aggregation) == "estimated" and not plain:
            influence = influence.combine(np.eye(len(groups))).plus(self._weight_influence(groups))
        return replace(result, value=value, size=size, influence=influence)

    def to_json(self) -> str:
        """Write the effects with the full influence matrix as JSON; floats keep every digit.

        The result holds no clock, host or path. ``refit`` is lost.
        """
        population = self.population
        document = {
            "schema": "evalaid-effects-1",
            "method": self.method,
            "estimand": self.estimand,
            "scale": self.scale,
            "aggregation": self.aggregation,
            "convention": vars(self.convention),
            "cells": [[name, _plain(column)] for name, column in self.cells.items()],
            "value": _plain(self.value),
            "size": _plain(self.size),
            "influence": [_plain(row) for row in self.influence.matrix()],
            "population": {
                "units": [str(unit) for unit in population.units],
                "cohort": _plain(population.cohort),
                "weight": _plain(population.weight),
                "cluster": population.cluster.tolist(),
                "clusters": [str(cluster) for cluster in population.clusters],
            },
        }
        return json.dumps(document, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote; unit and cluster labels come back as text."""
        document = json.loads(text)
        if document.get("schema") != "evalaid-effects-1":
            raise EstimationError(f"Schema {document.get('schema')!r} found where 'evalaid-effects-1' was expected.")
        people = document["population"]
        floats = {name: np.array(document[name], dtype=float) for name in ("value", "size", "influence")}
        return cls(
            cells=pd.DataFrame(dict(document["cells"])),
            value=floats["value"],
            influence=Influence.dense(floats["influence"].reshape(len(people["units"]), -1)),
            population=Population(
                units=pd.Index(people["units"]),
                cohort=np.array(people["cohort"], dtype=float),
                weight=np.array(people["weight"], dtype=float),
                cluster=np.array(people["cluster"], dtype=np.int64),
                clusters=pd.Index(people["clusters"]),
            ),
            size=floats["size"],
            convention=Convention(**document["convention"]),
            **{name: document[name] for name in ("method", "estimand", "scale", "aggregation")},
        )

    def _derive(self, cells: pd.DataFrame, matrix: NDArray[np.float64], again: Callable[[Effects], Effects]) -> Effects:
        """Give the combinations in the columns of ``matrix``; ``again`` repeats the step on a refitted twin."""
        touched = np.isnan(self.value) & matrix.any(axis=1)
        value = np.where(np.isnan(self.value), 0.0, self.value) @ matrix
        value[(matrix[touched] != 0).any(axis=0)] = np.nan
        refit = self.refit
        return replace(
            self,
            cells=cells,
            value=value,
            influence=self.influence.combine(matrix),
            size=np.abs(self.size @ matrix),
            refit=None if refit is None else lambda keep: again(refit(keep)),
        )

    def _describe(self, matrix: NDArray[np.float64]) -> dict[str, list[Any]]:
        """Count what stands behind each combination: treated and comparison units, treated clusters."""
        used = [np.flatnonzero(column) for column in matrix.T]
        cells = self.cells
        if "cohort" in cells:
            first = [cells.iloc[members].drop_duplicates("cohort") for members in used]
            treated = [int(rows["n_treated"].sum()) for rows in first]
            clusters = [self.population.count_clusters(rows["cohort"].to_numpy(dtype=float)) for rows in first]
        else:
            treated = [int(cells["n_treated"].iloc[members].max()) if members.size else 0 for members in used]
            clusters = [int(cells["treated_clusters"].iloc[members].max()) if members.size else 0 for members in used]
        return {
            "n_treated": treated,
            "n_comparison": [int(cells["n_comparison"].iloc[rows].min()) if rows.size else 0 for rows in used],
            "treated_clusters": clusters,
            "reason": [next((text for text in cells["reason"].iloc[rows] if rows.size == 1), "") for rows in used],
        }

    def _groups(self, by: str) -> tuple[pd.DataFrame, list[NDArray[np.intp]], bool]:
        """Find the labels of the averages, the cells that enter each, and whether they enter with equal weight."""
        cells, known = self.cells, ~np.isnan(self.value)
        has = {name for name in ("cohort", "period", "event_time") if name in cells}
        if by == "overall":
            treated = cells["event_time"].to_numpy() >= 0 if "event_time" in has else np.ones(len(self), dtype=bool)
            if not treated.any():
                raise EstimationError("None of these cells is at or after the start of treatment; nothing to average.")
            plain = bool(has) and "cohort" not in has
            return pd.DataFrame(index=range(1)), [np.flatnonzero(treated & known)], plain
        if not {"cohort", "period", "event_time"} <= has:
            raise EstimationError(
                f"Aggregating by {by} needs cells by cohort and period; {self.method} gives "
                f"{', '.join(sorted(has)) or 'one overall effect'}. Choose a method that estimates by cohort and period."
            )
        inside = np.ones(len(self), dtype=bool) if by == "event_time" else cells["event_time"].to_numpy() >= 0
        key = cells[_GROUP_KEY[by]].to_numpy()
        levels = np.unique(key[inside])
        groups = [np.flatnonzero(inside & known & (key == level)) for level in levels]
        return pd.DataFrame({_GROUP_KEY[by]: levels}), groups, by == "cohort"

    def _missing(
        self, by: str, labels: pd.DataFrame, groups: list[NDArray[np.intp]], empty: NDArray[np.bool_]
    ) -> list[str]:
        """Say for each average why it is missing or what it leaves out."""
        if by == "overall":
            lost = int(np.isnan(self.value).sum())
            members = [np.arange(len(self))]
        else:
            key = self.cells[_GROUP_KEY[by]].to_numpy()
            post = np.ones(len(self), dtype=bool) if by == "event_time" else self.cells["event_time"].to_numpy() >= 0
            members = [np.flatnonzero(post & (key == level)) for level in labels.iloc[:, 0]]
        reasons = []
        for all_cells, used, nothing in zip(members, groups, empty, strict=True):
            lost = int(np.isnan(self.value[all_cells]).sum())
            texts = [text for text in dict.fromkeys(self.cells["reason"].iloc[all_cells]) if text]
            if nothing:
                reasons.append(texts[0] if texts else "no cell has an estimate")
            elif lost:
                reasons.append(f"{lost} of {lost + len(used)} cells have no estimate and are left out: {texts[0]}")
            else:
                fixed = texts[0] if texts and all(self.cells["reason"].iloc[used] != "") else ""
                reasons.append(fixed)
        return reasons

    def _group_sizes(self, by: str, labels: pd.DataFrame, result: Effects) -> NDArray[np.float64]:
        if by == "cohort":
            return self.population.shares(labels["cohort"].to_numpy(dtype=float))
        return np.ones(len(result))

    def _weight_influence(self, groups: list[NDArray[np.intp]]) -> Influence:
        """Give the influence of estimated cohort shares on the averages.

        With weights ``s_k / S``, ``S = sum_k s_k`` and sizes proportional to the cohort's share p_c, the derivative
        with respect to p_c is ``sum_{k in c} (a_k / S - (sum_j a_j s_j) / S**2) s_k / p_c``; unit i moves the share of
        its cohort by ``(w_i 1{G_i = c} - p_c) / N`` (Callaway and Sant'Anna 2021, corollary 2).
        """
        population = self.population
        cohorts = np.unique(self.cells["cohort"].to_numpy(dtype=float))
        share = population.shares(cohorts)
        gradient = np.zeros((len(cohorts), len(groups)))
        for column, members in enumerate(groups):
            total = self.size[members].sum()
            if not members.size or total <= 0:
                continue
            values, size = self.value[members], self.size[members]
            position = np.searchsorted(cohorts, self.cells["cohort"].to_numpy(dtype=float)[members])
            slope = values / total - (values @ size) / total**2
            np.add.at(gradient[:, column], position, slope * size / share[position])
        n_units = len(population.units)
        member = (population.cohort[:, None] == cohorts) * population.weight[:, None] - share
        return Influence(n_units, len(groups), (Block(slice(None), member / n_units, gradient),))


def _aligned(effects: Effects, cells: pd.DataFrame) -> Effects:
    """Put the cells of a refitted twin in the order of ``cells``; absent ones become missing."""
    keys = [key for key in CELL_KEYS if key in cells]
    if not keys or effects.cells[keys].equals(cells[keys]):
        return effects
    wanted = pd.MultiIndex.from_frame(cells[keys])
    position = pd.MultiIndex.from_frame(effects.cells[keys]).get_indexer(wanted)
    absent = position < 0
    matrix = np.zeros((len(effects), len(cells)))
    matrix[position[~absent], np.flatnonzero(~absent)] = 1.0
    described = cells.assign(reason=np.where(absent, "not in the refitted sample", cells["reason"]))
    twin = effects._derive(described, matrix, lambda other: _aligned(other, cells))
    return replace(twin, value=np.where(absent, np.nan, twin.value))


def _plain(values: Any) -> list[Any]:
    """Turn a column into JSON values; missing becomes null."""
    return [None if isinstance(v, float) and np.isnan(v) else v for v in np.asarray(values).tolist()]
