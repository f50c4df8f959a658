"""Exposure of units to the treatment of their neighbours: who, from when, and to what share of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from evalaid.base.errors import DesignError
from evalaid.base.periods import label
from evalaid.base.texts import counted, noun
from evalaid.did.panel.by_unit import fault_of_index
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import Matrices

Floats = NDArray[np.float64]

CATEGORIES = {
    "neither": "untreated, no treated neighbour",
    "indirect": "untreated, a treated neighbour",
    "direct": "treated, no treated neighbour",
    "both": "treated, a treated neighbour",
}
"""The exposures that are told apart, and what they mean."""


@dataclass(frozen=True)
class Exposure:
    """What the neighbours of each unit of a panel do.

    ``count`` (N, T): treated neighbours in each period. ``degree`` (N,): neighbours whose treatment is known.
    ``since`` (N,): ordinal of the first period in which a neighbour is treated (it may lie before the panel begins);
    NaN = never. ``notes``: what was left out.
    """

    count: Floats
    degree: Floats
    since: Floats
    notes: tuple[str, ...]

    def by_period(self, matrices: Matrices) -> pd.DataFrame:
        """Count observed units by period and category."""
        treated = matrices.periods >= np.where(np.isnan(matrices.cohort), np.inf, matrices.cohort)[:, None]
        exposed = self.count > 0
        seen = np.ones_like(treated) if matrices.observed is None else matrices.observed
        share = self.count / np.maximum(self.degree, 1)[:, None]
        parts = []
        for name, which in (
            ("neither", ~treated & ~exposed),
            ("indirect", ~treated & exposed),
            ("direct", treated & ~exposed),
            ("both", treated & exposed),
        ):
            number = (which & seen).sum(axis=0)
            mean = np.where(number > 0, (share * (which & seen)).sum(axis=0) / np.maximum(number, 1), np.nan)
            parts.append(
                pd.DataFrame({
                    "period": matrices.periods,
                    "label": [label(matrices.period_kind, period) for period in matrices.periods],
                    "category": name,
                    "n_units": number,
                    "treated_neighbours": mean,
                })
            )  # fmt: skip
        return pd.concat(parts).sort_values("period", kind="stable", ignore_index=True)


def map_exposure(
    design: Design,
    adjacency: pd.DataFrame | None = None,
    groups: pd.Series | None = None,
    elsewhere: pd.Series | None = None,
) -> Exposure:
    """Find the treated neighbours of every unit in every period.

    Assumes that a unit reacts to its direct neighbours only, from the period in which the first of them is treated. Units of
    the panel that were treated before it began count as treated neighbours throughout, and so do units outside the panel from
    their start on (``elsewhere``: its ordinal by unit).
    """
    if (adjacency is None) == (groups is None):
        raise DesignError("Give either adjacency (a frame of pairs: unit, neighbour) or groups (a Series by unit).")
    matrices, stated = design.matrices, design.treatment.stated
    if elsewhere is not None:
        stated = pd.concat([stated, elsewhere[~elsewhere.index.isin(stated.index)].astype(float)])
    start = np.where(stated.isna(), np.inf, stated.to_numpy(dtype=float, na_value=np.nan))
    treated = (matrices.periods >= start[:, None]).astype(float)
    if adjacency is not None:
        links, notes = _read_pairs(adjacency, matrices.units, stated.index)
        count, degree = np.asarray(links @ treated), np.asarray(links.sum(axis=1)).ravel()
        since = _earliest(links, start)
    else:
        count, degree, since, notes = _within_groups(groups, matrices, stated.index, start, treated)
    lonely = int((degree == 0).sum())
    if lonely:
        notes = (
            *notes,
            f"{counted(lonely, 'unit has', 'units have')} no neighbour in the panel and {noun(lonely, 'counts', 'count')} as not exposed",
        )
    return Exposure(count, degree, np.where(np.isfinite(since), since, np.nan), notes)


def _read_pairs(adjacency: pd.DataFrame, units: pd.Index, known: pd.Index) -> tuple[csr_array, tuple[str, ...]]:
    """Return the (units, known units) links, each once, none of a unit with itself."""
    missing = [name for name in ("unit", "neighbour") if name not in adjacency]
    if missing:
        held = ", ".join(map(repr, adjacency.columns)) or "none"
        raise DesignError(
            f"The list of neighbours has no column {' and '.join(map(repr, missing))}; its columns are {held}. Rename them."
        )
    pairs = adjacency[["unit", "neighbour"]].dropna()
    both = pd.concat([pairs, pairs.rename(columns={"unit": "neighbour", "neighbour": "unit"})], ignore_index=True)
    if not both["unit"].isin(units).any():
        shown = both["unit"].tolist()[0] if len(both) else "nothing"
        raise DesignError(
            f"No unit of the design is in the list of neighbours: it names for example {shown!r}, the design "
            f"{units.tolist()[0]!r}. Write the labels as in the panel, numbers as numbers."
        )
    both = both[both["unit"] != both["neighbour"]].drop_duplicates()
    mine = both[both["unit"].isin(units)]
    kept = mine[mine["neighbour"].isin(known)]
    outside = mine.loc[~mine["neighbour"].isin(known), "neighbour"].nunique()
    ends = units.get_indexer(pd.Index(kept["unit"])), known.get_indexer(pd.Index(kept["neighbour"]))
    links = csr_array(coo_array((np.ones(len(kept)), ends), shape=(len(units), len(known))))
    return links, (
        f"{counted(outside, 'neighbouring place is', 'neighbouring places are')} not in the panel and left out",
    ) * (outside > 0)


def _earliest(links: csr_array, start: Floats) -> Floats:
    """Return the earliest start among the neighbours of each unit; infinite without one."""
    since = np.full(links.shape[0], np.inf)
    rows = np.repeat(np.arange(links.shape[0]), np.diff(links.indptr))
    np.minimum.at(since, rows, start[links.indices])
    return since


def _within_groups(
    groups: pd.Series | None, matrices: Matrices, known: pd.Index, start: Floats, treated: Floats
) -> tuple[Floats, Floats, Floats, tuple[str, ...]]:
    """Count the other members of each unit's group; no list of pairs is made."""
    series = pd.Series(groups)
    if series.index.has_duplicates:
        twice = series.index[series.index.duplicated()][0]
        raise DesignError(
            f"The groups have several rows for a unit, for example {twice!r}; give each unit one, or list pairs in adjacency."
        )
    if fault := fault_of_index(series.index, known):
        raise DesignError(f"groups is not a Series by unit: {fault}.")
    codes, labels = pd.factorize(series.reindex(known))
    place = known.get_indexer(matrices.units)
    if not len(labels) or (codes[place] < 0).all():
        raise DesignError("No unit of the design has a group; pass a Series indexed by unit, labels as in the panel.")
    member = codes >= 0
    treated_in, size = np.zeros((len(labels), treated.shape[1])), np.bincount(codes[member], minlength=len(labels))
    np.add.at(treated_in, codes[member], treated[member])
    # The earliest start among the others: the group's earliest, or its second earliest for the unit that is first itself.
    order = np.lexsort((start, codes))
    order = order[codes[order] >= 0]
    first = np.searchsorted(codes[order], np.arange(len(labels)))
    ranked = np.append(start[order], np.inf)
    second = np.where(size > 1, ranked[np.minimum(first + 1, len(order))], np.inf)
    own = codes[place]
    has = own >= 0
    leader = np.zeros(len(known), dtype=bool)
    leader[order[first]] = True
    count = np.where(has[:, None], treated_in[own] - treated[place], 0.0)
    degree = np.where(has, size[own] - 1, 0).astype(float)
    since = np.where(has, np.where(leader[place], second[own], ranked[first[own]]), np.inf)
    without = int((~has).sum())
    return count, degree, since, (f"{counted(without, 'unit has', 'units have')} no group",) * (without > 0)
