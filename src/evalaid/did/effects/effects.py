"""The one result type: estimates by cell, with the influence of every unit on each of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from evalaid.base.effect_columns import TREATED_CLUSTERS
from evalaid.base.errors import EstimationError
from evalaid.base.texts import counted
from evalaid.did.effects.aggregation import (
    GROUP_KEY,
    Aggregation,
    Population,
    average_weights,
    describe,
    explain,
    group_cells,
    weight_influence,
)
from evalaid.did.effects.contrasts import Contrasts
from evalaid.did.effects.influence import Influence
from evalaid.did.effects.without import Step, averaged, combined
from evalaid.did.panel.clock import CALENDAR_STEPS, Clock

AggregationWeights = Literal["estimated", "fixed"]

SHOWN_CELLS = 12
"""Cells that the text of a result shows; a notebook shows twice as many."""
CELL_KEYS = ("cohort", "period", "event_time", "parameter", "dose")


@dataclass(frozen=True)
class Convention:
    """How the reference implementation of a method turns influence into errors and p-values."""

    # ``regression`` multiplies the variance by ``G/(G-1) * (n-1)/(n-k)`` (fixest's default), ``none`` by one
    correction: Literal["none", "regression"]
    distribution: Literal["normal", "t"]  # Reference distribution; ``t`` has G-1 degrees of freedom
    # n and k of the correction; absorbed effects that are nested in the clusters are not counted in k
    observations: int = 0
    parameters: int = 0
    caution: str = ""  # Why errors from this influence should not be relied on; "" when they may be
    remark: str = ""  # What was not used as the design asks; stands beside every number
    magnitude: float = 1.0  # Largest outcome in absolute value: an error far below it is rounding


@dataclass(frozen=True, eq=False)
class Derivation:
    """How estimates follow from others: ``weights`` (cells of a parent, cells) of each parent, and the step from what the parents
    are without some units to what these are.
    """

    parents: tuple[Effects, ...]
    weights: tuple[NDArray[np.float64], ...]
    step: Step


@dataclass(frozen=True, repr=False)
class Effects:
    """Estimates by cell with their influence; frozen, and free of standard errors, plots and printing.

    Parameters
    ----------
    cells : pandas.DataFrame
        One row per estimate: those of ``cohort``, ``period`` (ordinals), ``event_time``, ``parameter``, ``dose`` that apply, and
        ``n_treated``, ``n_comparison`` (units), ``treated_clusters``, ``reason`` (why a value is missing or fixed).
    value : numpy.ndarray
        The estimates, (cells,); NaN where ``reason`` says why.
    influence : Influence
        Contribution of each unit to each estimate, see :mod:`evalaid.did.effects.influence`.
    population : Population
        Labels, cohorts, weights and clusters of the units.
    size : numpy.ndarray
        Weight of a cell when cells are averaged: cohort share or treated observations. (cells,)
    method, estimand : str
        Registered name and the quantity in words.
    scale : {"share", "relative", "number"}
        ``share``: effects are fractions (times 100 = percentage points); ``relative``: changes as fractions of the number
        without the programme (times 100 = per cent).
    convention : Convention
        How the method's reference implementation computes errors.
    aggregation : {"estimated", "fixed"}
        Whether averages over cells carry the influence of estimated cohort sizes by default.
    refit : callable, optional
        ``refit(keep)`` gives the same Effects estimated on the units in the boolean mask ``keep``; used by the
        jackknife (CR3). Lost by serialisation.
    contrasts : Contrasts, optional
        The regression of whose coefficients the estimates are linear combinations, for inference that fits it again (wild
        bootstrap, CR2); None for other methods, and lost by serialisation.
    derivation : Derivation, optional
        The estimates that these are combinations of; None for an estimator's own cells, and lost by serialisation.
    leave_out : callable, optional
        ``leave_out(codes, n)`` gives the values (n, cells) without each of the groups 0 to n of the units, without a refit
        (None where it cannot); only beside an estimator's own cells.
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
    contrasts: Contrasts | None = field(default=None, repr=False, compare=False)
    derivation: Derivation | None = field(default=None, repr=False, compare=False)
    leave_out: Callable[[NDArray[np.int64], int], NDArray[np.float64] | None] | None = field(
        default=None, repr=False, compare=False
    )

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

    def __repr__(self) -> str:
        shown = self._shown()
        left = f"\n... and {len(shown) - SHOWN_CELLS} more cells (see .tidy())" if len(shown) > SHOWN_CELLS else ""
        return f"<Effects: {self._heading()}>\n{shown.head(SHOWN_CELLS).to_string(index=False, max_colwidth=40)}{left}"

    def _repr_html_(self) -> str:
        table = self._shown().to_html(index=False, border=0, max_rows=2 * SHOWN_CELLS, na_rep="")
        return f"<p>{escape(self._heading())}</p>{table}"

    def _heading(self) -> str:
        return f"{self.method}, {counted(len(self), 'cell')}, {len(self.population.units):,} units in {len(self.population.clusters):,} clusters; {self.estimand}"

    def _shown(self) -> pd.DataFrame:
        """Return the cells as a reader wants them: shares in percentage points, changes in per cent."""
        unit = {"share": "estimate, pp", "relative": "estimate, %"}.get(self.scale, "estimate")
        times = 1.0 if unit == "estimate" else 100.0
        table = self.tidy().drop(columns=["n_comparison", TREATED_CLUSTERS])
        return table.assign(estimate=[f"{times * value:.4g}" for value in self.value]).rename(
            columns={"estimate": unit}
        )

    def tidy(self) -> pd.DataFrame:
        """Return the cells with their estimates, one row each, in the scale of the outcome.

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
            One entry per cell.
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
                raise EstimationError(
                    f"No column {column!r} in these cells; there are {', '.join(map(str, self.cells))}."
                )
            keep &= (
                self.cells[column].isin([wanted] if wanted is None or np.isscalar(wanted) else list(wanted)).to_numpy()
            )
        if not keep.any():
            raise EstimationError(f"No cell has {labels or 'the given mask'}; the cells are:\n{self.cells.to_string()}")
        cells = self.cells[keep].reset_index(drop=True)
        source = self.cells
        return self._derive(cells, np.eye(len(self))[:, keep], lambda other: other.align(source).select(keep))

    def combine(self, weights: ArrayLike, cells: pd.DataFrame | None = None) -> Effects:
        """Return linear combinations of the estimates with fixed weights.

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
            One cell per combination; missing where a missing cell has weight.
        """
        matrix = np.asarray(weights, dtype=float)
        matrix = matrix[:, None] if matrix.ndim == 1 else matrix
        if matrix.shape[0] != len(self):
            raise EstimationError(f"{matrix.shape[0]} weights for {len(self)} cells; expected one weight per cell.")
        labels = pd.DataFrame(index=range(matrix.shape[1])) if cells is None else cells.reset_index(drop=True)
        counts = describe(self.cells, matrix != 0, self.population)
        described = labels.assign(**{key: column for key, column in counts.items() if key not in labels})
        described = described.assign(reason=labels.get("reason", ""))
        source = self.cells

        def again(other: Effects) -> Effects:
            return other.align(source).combine(matrix, cells)

        return self._derive(described, matrix, again)

    def aggregate(
        self, by: Aggregation, weights: AggregationWeights | None = None, *, balanced_event_times: int | None = None
    ) -> Effects:
        """Average the treated cells by event time, cohort, calendar period or over all.

        Cells by cohort and period are weighted by their size (share of the cohort among the units, or number of
        treated observations, as the method defines it), also within ``cohort``.
        ``overall`` on cells by cohort and period is the average over treated unit-periods; on event-time or calendar
        averages it is their plain mean over treated periods; on cohort averages it is weighted by cohort size.
        ``event_time`` keeps the periods before treatment, too; all others use ``event_time >= 0`` only.

        Parameters
        ----------
        by : {"event_time", "cohort", "calendar", "overall"}
            What to average over; effects that are given by this already are left as they are.
        weights : {"estimated", "fixed"}, optional
            ``estimated`` adds the influence of cohort shares estimated from the same sample (the default of R
            ``did``); ``fixed`` takes them as known. The default is the method's.
        balanced_event_times : int, optional
            Average only cohorts with an estimate in each of the event times 0 to k, and these event times only (and those before
            the start), so that the same cohorts stand behind every one of them (``balance_e`` of R ``did``).

        Returns
        -------
        Effects
            One cell per value of ``by``; cells without an estimate are left out of the averages and named in
            ``reason``.

        Raises
        ------
        EstimationError
            When ``by`` is unknown or the cells lack the labels it needs, or no cohort has all the event times.

        Notes
        -----
        Callaway and Sant'Anna (2021), section 3.2, doi:10.1016/j.jeconom.2020.12.001.
        """
        if not isinstance(weights, str | None) or weights not in (None, "estimated", "fixed"):
            raise EstimationError(f"weights={weights!r} is not a choice; choose estimated or fixed.")
        if balanced_event_times is not None:
            return self._balanced(balanced_event_times).aggregate(by, weights)
        labels = {"cohort", "period", "event_time"} & set(self.cells)
        if isinstance(by, str) and (
            (by == "overall" and len(self) == 1 and not labels) or labels == {GROUP_KEY.get(by)}
        ):
            return self
        groups = group_cells(self.cells, self.value, by, self.method)
        matrix = average_weights(groups, self.size)
        counts = describe(self.cells, groups.used, self.population)
        columns = {**groups.labels, **counts, "reason": explain(self.cells, groups)}
        cells = pd.DataFrame(columns, index=groups.labels.index)
        result = self._derive(
            cells,
            matrix,
            lambda other: other.aggregate(by, weights).align(cells),
        )
        influence, contrasts = result.influence, result.contrasts
        if (weights or self.aggregation) == "estimated" and not groups.plain:
            added = weight_influence(groups, self.cells, self.value, self.size, self.population)
            influence, contrasts = influence.plus(added), None
        people = self.population
        size = people.shares[people.place(cells["cohort"])] if by == "cohort" else np.ones(len(cells))
        value = np.where(groups.used.any(axis=0), result.value, np.nan)
        place = people.place(cells["cohort"]) if by == "cohort" else None
        derivation = Derivation((self,), (matrix,), averaged(groups, place))
        return replace(result, value=value, size=size, influence=influence, contrasts=contrasts, derivation=derivation)

    def _balanced(self, last: int) -> Effects:
        """Keep the cohorts with an estimate in every event time from 0 to ``last``, without the later event times."""
        if not {"cohort", "event_time"} <= set(self.cells):
            raise EstimationError(
                f"balanced_event_times needs cells by cohort and event time; {self.method} gives none."
            )
        cohort, time = self.cells["cohort"].to_numpy(), self.cells["event_time"].to_numpy()
        there = ~np.isnan(self.value) & (time >= 0) & (time <= last)
        kept = [group for group in np.unique(cohort) if len(set(time[there & (cohort == group)])) == last + 1]
        if last < 0 or not kept:
            raise EstimationError(
                f"balanced_event_times={last!r}: no cohort has an estimate in each of the event times 0 to {last}; choose a smaller "
                "number, 0 or more."
            )
        return self.select(np.isin(cohort, kept) & (time <= last))

    def to_json(self) -> str:
        """Write the effects with the full influence matrix as JSON; floats keep every digit.

        The result holds no clock, host or path. ``refit`` and
        ``contrasts`` are lost.
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
                "periods": None if population.periods is None else population.periods.tolist(),
                "clock": vars(population.clock),
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
                periods=np.array(people["periods"], dtype=np.int64) if people.get("periods") else None,
                clock=Clock(**people["clock"] | {"observed": tuple(people["clock"]["observed"])})
                if people.get("clock")
                else CALENDAR_STEPS,
            ),
            size=floats["size"],
            convention=Convention(**document["convention"]),
            **{name: document[name] for name in ("method", "estimand", "scale", "aggregation")},
        )

    def _derive(self, cells: pd.DataFrame, matrix: NDArray[np.float64], again: Callable[[Effects], Effects]) -> Effects:
        """Return the combinations in the columns of ``matrix``; ``again`` repeats the step on a refitted twin."""
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
            contrasts=None if self.contrasts is None else self.contrasts.combine(matrix),
            derivation=Derivation((self,), (matrix,), combined(matrix)),
            leave_out=None,
        )

    def align(self, cells: pd.DataFrame) -> Effects:
        """Put the same estimates, made on other units, in the order of ``cells``; absent ones become missing.

        Cells are matched by their labels. A curve by dose is reported at quantiles, which move with the units: its cells
        are matched by their place on the curve.

        Parameters
        ----------
        cells : pandas.DataFrame
            The cells to match.

        Returns
        -------
        Effects
            One cell per row of ``cells``.
        """
        keys = [key for key in CELL_KEYS if key in cells]
        if all(_same(self.cells[key], cells[key]) for key in keys):
            return self
        position = _labels(self.cells, keys).get_indexer(_labels(cells, keys))
        absent = position < 0
        matrix = np.zeros((len(self), len(cells)))
        matrix[position[~absent], np.flatnonzero(~absent)] = 1.0
        counts = {
            name: np.where(absent, 0, np.append(self.cells[name], 0)[position])
            for name in ("n_treated", "n_comparison", TREATED_CLUSTERS)
        }
        reason = np.where(absent, "not in the refitted sample", np.append(self.cells["reason"], "")[position])
        described = cells.assign(**counts, reason=reason)
        twin = self._derive(described, matrix, lambda other: other.align(cells))
        return replace(twin, value=np.where(absent, np.nan, twin.value))


def _same(one: pd.Series, other: pd.Series) -> bool:
    """Return whether two columns of labels are equal; a frame of columns costs more to compare than a fit."""
    left, right = one.to_numpy(), other.to_numpy()
    if left.dtype.kind != "f" or right.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    return bool(np.array_equal(left, right, equal_nan=True))


def _labels(cells: pd.DataFrame, keys: list[str]) -> pd.MultiIndex:
    """Return what identifies each cell; a dose by its place among those of the same parameter."""
    labels = cells[keys]
    if "dose" in labels:
        labels = labels.assign(dose=cells.groupby("parameter").cumcount())
    return pd.MultiIndex.from_frame(labels)


def _plain(values: Any) -> list[Any]:
    """Turn a column into JSON values; missing becomes null."""
    return [None if isinstance(v, float) and np.isnan(v) else v for v in np.asarray(values).tolist()]
