"""Other programmes and events by unit and period, from a table of who, from when, until when."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import DesignError
from evalaid.base.months import PER_YEAR
from evalaid.base.partial_dates import earliest_day, latest_day
from evalaid.base.periods import containing_period, recognise_periods
from evalaid.base.texts import counted
from evalaid.did.panel.matrices import Matrices

Bools = NDArray[np.bool_]
COLUMNS = ("unit", "start", "end", "programme")


@dataclass(frozen=True)
class Events:
    """Which programme runs where and when.

    ``running``: by programme, in matrix order. ``notes``: how the rows were read and what was left out.
    """

    running: dict[str, Bools]
    notes: tuple[str, ...]


def read_events(events: pd.DataFrame, matrices: Matrices) -> Events:
    """Place events on the units and periods of a panel.

    A programme counts as running in a period when any day of the period falls within it.
    """
    missing = [name for name in COLUMNS if name not in events]
    if missing:
        held = ", ".join(map(repr, events.columns)) or "none"
        raise DesignError(f"The table of events has no column {', '.join(map(repr, missing))}; its columns are {held}.")
    table = events[list(COLUMNS)].reset_index(drop=True)
    table = table.assign(
        first=_place_dates(table["start"], matrices, at_end=False),
        last=_place_dates(table["end"], matrices, at_end=True),
    )
    rows, words = _place_units(table["unit"], matrices)
    _raise_faults(events, table, rows)
    programmes = table["programme"].astype(str)
    running = {}
    for name in programmes.unique():
        mine = (programmes == name).to_numpy()
        running[name] = _cover(table[mine], rows.loc[rows["event"].isin(np.flatnonzero(mine))], matrices)
    return Events(running, words)


def _place_dates(values: pd.Series, matrices: Matrices, *, at_end: bool) -> pd.Series:
    """Return ordinals; minus or plus infinity where missing, NaN where unreadable."""
    known = {value: _ordinal(value, matrices.period_kind, at_end=at_end) for value in values.dropna().unique()}
    return values.map(known).astype(float).where(values.notna(), np.inf if at_end else -np.inf)


def _ordinal(value: Any, kind: str, *, at_end: bool) -> float:
    periods, unreadable = recognise_periods(pd.Series([value]), kind)
    if not unreadable[0]:
        return float(periods.ordinal[0])
    if kind not in PER_YEAR:
        return np.nan
    if isinstance(value, (dt.date, np.datetime64)):
        day: dt.date | None = pd.Timestamp(value).date()
    else:
        text = str(int(value)) if isinstance(value, float) and value == int(value) else str(value).strip()
        try:
            day = (latest_day if at_end else earliest_day)(text)
        except ValueError:
            return np.nan
    return np.nan if day is None else float(containing_period(kind, day))


def _place_units(labels: pd.Series, matrices: Matrices) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the rows of the matrices that each event is about: columns ``event``, ``row``."""
    named = labels.dropna()
    by_unit = int(named.isin(matrices.units).sum())
    by_cluster = int(named.isin(matrices.clusters).sum())
    level = "units" if by_unit >= by_cluster else "clusters"
    owner = matrices.units if level == "units" else matrices.clusters[matrices.cluster]
    members = pd.DataFrame({"label": owner, "row": np.arange(matrices.n_units)})
    pairs = (
        pd.DataFrame({"label": named, "event": named.index}).merge(members, on="label")
        if by_unit + by_cluster
        else None
    )
    everyone = pd.MultiIndex.from_product([labels.index[labels.isna()], members["row"]], names=["event", "row"])
    parts = [everyone.to_frame(index=False), *([] if pairs is None else [pairs[["event", "row"]]])]
    strange = int((~named.isin(owner)).sum())
    notes = [f"events name {level}"] if len(named) else []
    notes += [f"{counted(strange, 'event')} of places that are not in the design left out"] * (strange > 0)
    return pd.concat(parts, ignore_index=True), tuple(notes)


def _raise_faults(events: pd.DataFrame, table: pd.DataFrame, rows: pd.DataFrame) -> None:
    faults, bad = [], np.zeros(len(table), dtype=bool)
    for column, place in (("start", "first"), ("end", "last")):
        unread = table[place].isna().to_numpy()
        if unread.any():
            shown = ", ".join(repr(value) for value in table.loc[unread, column].head(3))
            faults.append(f"{counted(int(unread.sum()), 'date')} in {column!r} cannot be read, for example {shown}")
        bad |= unread
    turned = (table["last"] < table["first"]).to_numpy()
    if turned.any():
        faults.append(f"{counted(int(turned.sum()), 'event ends before it starts', 'events end before they start')}")
    nameless = table["programme"].isna().to_numpy()
    if nameless.any():
        faults.append(f"{counted(int(nameless.sum()), 'event has', 'events have')} no programme")
    if rows.empty:
        shown = repr(table["unit"].tolist()[0]) if len(table) else "nothing"
        faults.append(f"no unit or cluster of the design is named; the table names for example {shown}")
    if faults:
        bad |= turned | nameless
        listed = "".join(f"\n  - {fault}." for fault in faults)
        raise DesignError(f"These events cannot be used:{listed}", events[bad] if bad.any() else None)


def _cover(table: pd.DataFrame, rows: pd.DataFrame, matrices: Matrices) -> Bools:
    """Mark the periods between start and end of each event on its units."""
    first = np.searchsorted(matrices.periods, table["first"].to_numpy(), side="left")
    stop = np.searchsorted(matrices.periods, table["last"].to_numpy(), side="right")
    place = pd.Series(np.arange(len(table)), index=table.index)[rows["event"]].to_numpy()
    change = np.zeros((matrices.n_units, matrices.n_periods + 1))
    np.add.at(change, (rows["row"].to_numpy(), first[place]), 1.0)
    np.add.at(change, (rows["row"].to_numpy(), np.maximum(stop, first)[place]), -1.0)
    return np.asarray(np.cumsum(change, axis=1)[:, :-1] > 0)
