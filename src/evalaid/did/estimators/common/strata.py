"""Comparisons within strata: period effects of each stratum in a regression, or estimates of each stratum, averaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError
from evalaid.base.names import STRATUM
from evalaid.base.texts import counted
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.influence import Block, Influence, Rows
from evalaid.did.estimators.common.cohort_sums import constant_weights
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import PART, STRATA, Matrices

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

# Columns of a regression by part, period and stratum may hold this many numbers: two gigabytes.
LARGEST = 250_000_000
_Fit = tuple[
    int, Codes, Effects, Codes
]  # Of a stratum: its code, its units, their estimates, and the places of these among all
LeaveOut = Callable[[Codes, int], Floats | None]


@dataclass(frozen=True)
class Parts:
    """Units whose rows of a regression are the same: of one cohort, one stratum and one exposure in the first treated period."""

    rows: tuple[Rows, ...]  # Units of each of P parts
    cohort: Codes  # (P,): Position of the cohort; never-treated units come last
    stratum: Codes  # (P,): Position of the stratum
    exposure: Floats  # (P,): Part of the first treated period in which they are treated


def divide_units(matrices: Matrices) -> Parts:
    """Divide the units into parts, never-treated units last."""
    cohort = np.repeat(np.arange(len(matrices.cohorts) + 1), np.diff(matrices.starts))
    exposure = np.ones(matrices.n_units)
    if PART in matrices.covariates and len(matrices.cohorts):
        first = np.append(matrices.start_column, 0)[cohort]
        found = matrices.covariates[PART][np.arange(matrices.n_units), first]
        exposure = np.where((cohort < len(matrices.cohorts)) & (found > 0), found, 1.0)
    keys = np.column_stack([cohort, stratum_of(matrices), exposure])
    distinct, part = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(part.ravel(), kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(part.ravel()[order])) + 1)
    stratum = np.unique(distinct[:, 1], return_inverse=True)[1].ravel()
    return Parts(tuple(rows), distinct[:, 0].astype(np.intp), stratum, distinct[:, 2])


def stratum_of(matrices: Matrices) -> NDArray[np.int64]:
    """Return the code of each unit's stratum, (N,); zero where the design names none."""
    if STRATA not in matrices.covariates:
        return np.zeros(matrices.n_units, dtype=np.int64)
    return np.asarray(matrices.covariates[STRATA].max(axis=1).astype(np.int64))


def columns_by_part(matrices: Matrices, parts: Parts, columns: Floats, among: Floats | None = None) -> Floats:
    """Return columns by cohort, (C + 1, T, K), as columns by part with the period effects of all strata but the first behind them.

    ``(P, T, K + (S - 1)(T - 1))``; the first treated period counts by its part. ``among`` (P, T, M) stands between the two.
    """
    n_strata, n_periods = int(parts.stratum.max()) + 1, matrices.n_periods
    width = (n_strata - 1) * (n_periods - 1)
    if len(parts.rows) * n_periods * (columns.shape[2] + width) > LARGEST:
        raise EstimationError(
            f"Period effects of {n_strata} strata in {n_periods} periods take a regression of {width:,} columns for {len(parts.rows):,} "
            "kinds of units, more than fits; name larger strata in diagnose(stratum=...), or use callaway_santanna, which "
            "estimates in each."
        )
    own = columns[parts.cohort].copy()
    treated = np.flatnonzero(parts.cohort < len(matrices.cohorts))
    first = matrices.start_column[parts.cohort[treated]]
    own[treated, first] *= parts.exposure[treated, None]
    effects = np.zeros((len(own), n_periods, n_strata, n_periods - 1))
    effects[np.arange(len(own)), :, parts.stratum] = np.eye(n_periods)[:, 1:]
    behind = effects[:, :, 1:].reshape(len(own), n_periods, width)
    return np.concatenate([own, behind] if among is None else [own, among, behind], axis=2)


def average_strata(
    design: Design,
    fit: Callable[[Design], Effects],
    behind: Callable[[Matrices], NDArray[np.bool_]] | None = None,
) -> Effects:
    """Estimate in each stratum and average every cell over its treated units.

    ``behind`` says which treated units are behind each cell, (N, cells); None = those observed in its period, by the sizes of the
    cells. The weights are estimated and have influence of their own. Treated units in a stratum without a comparison are left out,
    and the cell says so.
    """
    matrices = design.matrices
    code = stratum_of(matrices)
    whole = fit(_without_strata(design, np.ones(matrices.n_units, dtype=bool)))
    keys = pd.MultiIndex.from_frame(whole.cells[["cohort", "period"]])
    n_cells = len(keys)
    weight, value = np.zeros((2, code.max() + 1, n_cells))
    compared, lost = np.zeros((2, n_cells), dtype=np.int64)
    treated = _observed(matrices, keys) if behind is None else np.zeros((matrices.n_units, n_cells), dtype=bool)
    fits: list[_Fit] = []
    for stratum in np.unique(code[~np.isnan(matrices.cohort)]):
        inside = _without_strata(design, code == stratum)
        if not len(inside.matrices.cohorts):  # its treated units are seen in treated periods of the stratum only
            there = matrices.cohort[code == stratum, None] == keys.get_level_values("cohort").to_numpy()
            lost += there.sum(axis=0)
            continue
        rows = matrices.units.get_indexer(inside.matrices.units)
        if not np.array_equal(inside.matrices.cohort, matrices.cohort[rows], equal_nan=True):
            raise EstimationError(
                f"{whole.method}: the first treated period of a cohort is not observed in the stratum of {matrices.units[rows[0]]}; "
                "leave this stratum out, or name larger strata in diagnose(stratum=...)."
            )
        found = fit(inside)
        place = keys.get_indexer(pd.MultiIndex.from_frame(found.cells[["cohort", "period"]]))
        known = ~np.isnan(found.value)
        own = inside.matrices.cohort[:, None] == found.cells["cohort"].to_numpy()
        mass = found.size
        if behind is not None:
            treated[np.ix_(rows, place)] = behind(inside.matrices)
            mass = whole.population.weight[rows] @ treated[np.ix_(rows, place)]
        weight[stratum, place] = np.where(known, mass, 0.0)
        value[stratum, place] = np.where(known, found.value, 0.0)
        compared[place[known]] += found.cells["n_comparison"].to_numpy()[known]
        lost[place[~known]] += own.sum(axis=0)[~known]
        fits.append((int(stratum), rows, found, place))
    total = weight.sum(axis=0)
    share = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    average = np.where(total > 0, (share * value).sum(axis=0), np.nan)
    blocks = []
    for stratum, rows, found, place in fits:
        right = np.zeros((len(place), n_cells))
        right[np.arange(len(place)), place] = share[stratum, place]
        right[np.isnan(found.value)] = 0.0
        blocks += [replace(block, rows=rows[block.rows], right=block.right @ right) for block in found.influence.blocks]
    blocks.append(_weights_influence(code, share * (value - average), whole.population.weight[:, None] * treated))
    reasons = [
        _reason(stated, missing=bool(none), lost=int(gone), strata=len(np.unique(code)))
        for stated, none, gone in zip(whole.cells["reason"], np.isnan(average), lost, strict=True)
    ]
    covariates = ", slopes of covariates of each" if design.covariates else ""
    return replace(
        whole,
        cells=whole.cells.assign(reason=reasons, n_comparison=compared),
        value=average,
        influence=Influence(matrices.n_units, n_cells, tuple(blocks)),
        estimand=f"{whole.estimand}; compared within strata ({design.panel.names[STRATUM]}{covariates})",
        leave_out=_leave_out(matrices, fits, n_cells, whole.population.weight),
        contrasts=None,
    )


def _leave_out(matrices: Matrices, fits: list[_Fit], n_cells: int, weight: Floats) -> LeaveOut | None:
    """Return the averages without some units from those of each stratum; None where these have none, or gaps and weights change sizes."""
    if matrices.observed is not None or not constant_weights(matrices):
        return None

    def leave_out(codes: Codes, count: int) -> Floats | None:
        total, summed = np.zeros((2, count, n_cells))
        for _, rows, found, place in fits:
            value = None if found.leave_out is None else found.leave_out(codes[rows], count)
            if value is None:
                return None
            own = weight[rows, None] * (matrices.cohort[rows, None] == found.cells["cohort"].to_numpy())
            gone, leaves = np.zeros((count, len(place))), codes[rows] < count
            np.add.at(gone, codes[rows][leaves], own[leaves])
            mass = np.where(np.isnan(value), 0.0, own.sum(axis=0) - gone)
            total[:, place] += mass
            summed[:, place] += mass * np.nan_to_num(value)
        return np.where(total > 0, summed / np.where(total > 0, total, 1.0), np.nan)

    return leave_out


def _without_strata(design: Design, keep: NDArray[np.bool_]) -> Design:
    """Keep some of the units, compared with all others of them."""
    inside = design if keep.all() else design.subset(keep)
    covariates = {name: values for name, values in inside.matrices.covariates.items() if name != STRATA}
    return replace(inside, matrices=replace(inside.matrices, covariates=covariates))


def _observed(matrices: Matrices, keys: pd.MultiIndex) -> NDArray[np.bool_]:
    """Return which units of the cohort of each cell are observed in its period, (N, cells)."""
    own = matrices.cohort[:, None] == keys.get_level_values("cohort").to_numpy()
    if matrices.observed is None:
        return np.asarray(own)
    period = np.searchsorted(matrices.periods, keys.get_level_values("period").to_numpy())
    return np.asarray(own & matrices.observed[:, period])


def _weights_influence(code: NDArray[np.int64], gap: Floats, own: Floats) -> Block:
    """Return the influence of which treated units are in which stratum: each moves the average towards its own stratum's."""
    psi = np.zeros_like(own)
    for stratum in np.unique(code):
        rows = code == stratum
        size = own[rows].sum(axis=0)
        psi[rows] = own[rows] * np.divide(gap[stratum], size, out=np.zeros_like(size), where=size > 0)
    return Block(slice(None), psi, np.eye(own.shape[1]))


def _reason(stated: str, *, missing: bool, lost: int, strata: int) -> str:
    if missing:
        return stated or "no stratum has both treated and comparison units observed here"
    if lost and not stated:
        return f"without {counted(lost, 'treated unit')} in those of the {strata} strata that have no comparison"
    return stated
