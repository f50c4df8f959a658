"""The overall estimate under every start that the roster leaves open: `vary_starts`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.columns import find_column
from evalaid.base.effect_columns import ESTIMATE, RESULTS, no_results, results_of
from evalaid.base.errors import DesignError, EvalaidError, reason_of
from evalaid.base.faults import Faults
from evalaid.base.names import FIRST_TREATED, PARTLY_TREATED, TREATED_PART
from evalaid.base.periods import parse_periods
from evalaid.did.effects.effects import Effects
from evalaid.did.estimators.estimation import estimate
from evalaid.did.inference.infer import Vcov, infer
from evalaid.did.panel.design import diagnose
from evalaid.programme.cohorts import assign_cohorts, possible_cohorts
from evalaid.programme.roster import Roster

LIMIT = 64
DRAWS = 49
STATED, EARLIEST, LATEST, ONE, COMBINED, DRAWN = (
    "as stated",
    "all at the earliest",
    "all at the latest",
    "one moved",
    "combination",
    "drawn",
)

Estimator = Callable[[Mapping[Any, Any]], pd.Series]
"""From the cohorts of units that are moved to one row of `evalaid.infer`."""


@dataclass(frozen=True)
class StartVariation:
    """The overall estimate under the starts that a roster leaves open.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per assignment of starts, the stated one first: ``starts`` (as stated, all at the earliest, all at the latest, one
        moved, combination, drawn), ``moved`` (units with another cohort than the stated one, with that cohort), ``n_moved``,
        ``estimate``, ``std_error``, ``p_value``, ``conf_low``, ``conf_high``, ``reason`` (why there is no estimate).
    units : pandas.DataFrame
        One row per unit whose start is not exact, by how far its date alone moves the estimate: ``unit``, ``cohort`` (stated),
        ``earliest``, ``latest``, ``possible`` (tuple of cohorts), ``start_precision``, ``smallest``, ``largest`` (estimates when only
        this unit's start is moved), ``range``.
    exact : bool
        Whether every combination of possible starts was taken.
    n_combinations : int
        How many there are.
    seed : int
        Of the draws, where not all were taken.
    """

    table: pd.DataFrame
    units: pd.DataFrame
    exact: bool
    n_combinations: int
    seed: int

    @property
    def smallest(self) -> float:
        """The smallest estimate."""
        return float(self.table[ESTIMATE].min())

    @property
    def largest(self) -> float:
        """The largest estimate."""
        return float(self.table[ESTIMATE].max())


def vary_starts(
    frame: pd.DataFrame,
    roster: Roster,
    method: str,
    *,
    unit: str,
    period: str,
    outcome: str,
    group: str | None = None,
    rule: str = "containing_period",
    limit: int = LIMIT,
    draws: int = DRAWS,
    seed: int = 1,
    vcov: Vcov = "auto",
    level: float = 0.95,
    design_options: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> StartVariation:
    """Repeat the overall estimate over the starts that imprecise dates leave open.

    Assumes that every period a start can fall into is possible, none more than another: the range is no interval, and draws are
    no sample from a belief.

    Parameters
    ----------
    frame : pandas.DataFrame
        Long table of the panel, without cohorts.
    roster : Roster
        The partnerships, with the precision of their dates.
    method : str
        A registered method; ``options`` are passed to :func:`evalaid.estimate`.
    unit, period, outcome : str
        Columns of the panel.
    group : str, optional
        Column of the panel with the roster's units, when these are groups of the panel's. Default: ``unit``.
    rule : {"containing_period", "first_full_period", "part_of_period"}
        As in :func:`evalaid.assign_cohorts`.
    limit : int
        Up to so many combinations all are taken. Beyond: all at the earliest, all at the latest, each unit alone at every period
        it can start in, and ``draws`` combinations drawn with ``seed``.
    draws, seed : int
        See ``limit``.
    vcov, level
        As in :func:`evalaid.infer`.
    design_options : mapping, optional
        Further arguments of :func:`evalaid.diagnose` (covariates, cluster, ...).
    progress : callable, optional
        Called with the number of estimates done and their total.

    Returns
    -------
    StartVariation
        With the stated starts alone when no date is open. Starts that give no estimate are rows with the reason.

    Raises
    ------
    PanelError, RosterError
        As :func:`evalaid.diagnose` and :func:`evalaid.assign_cohorts`.
    DesignError
        When a column is missing.

    Examples
    --------
    >>> panel = pd.DataFrame({
    ...     "county": [*"aaaabbbbccccdddd"], "year": [2012, 2013, 2014, 2015] * 4,
    ...     "share": [0.70, 0.71, 0.75, 0.76, 0.60, 0.61, 0.62, 0.66, 0.80, 0.81, 0.82, 0.83, 0.50, 0.52, 0.53, 0.53]})
    >>> roster = Roster.read(pd.DataFrame({"county": ["a", "b"], "start": ["about 2014", "2015-02-01"]}), "county", "start")
    >>> found = vary_starts(panel, roster, "imputation", unit="county", period="year", outcome="share")
    >>> found.table[["starts", "n_moved"]].values.tolist()
    [['as stated', 0], ['one moved', 1], ['one moved', 1]]
    >>> found.units[["unit", "possible"]].values.tolist()
    [['a', (2013, 2014, 2015)]]
    """
    group = unit if group is None else group
    faults = Faults()
    for name, role in ((unit, "unit"), (period, "period"), (outcome, "outcome"), (group, "group")):
        find_column(frame, name, role, faults)
    faults.raise_if_any(DesignError, "panel")
    kind = str(parse_periods(frame[period]).kind)
    stated = assign_cohorts(roster, kind, rule)
    possible = possible_cohorts(roster, kind, rule)
    possible = possible[possible["unit"].isin(set(frame[group]))].reset_index(drop=True)

    def estimate_with(moved: Mapping[Any, Any]) -> pd.Series:
        start = stated.move(moved)
        table = frame.assign(**{FIRST_TREATED: frame[group].map(start.cohort_by_unit)})
        given = dict(design_options or {})
        if rule == "first_full_period":
            table, given = (
                table.assign(**{PARTLY_TREATED: start.partial(frame[group], frame[period])}),
                given | {"partial": PARTLY_TREATED},
            )
        if rule == "part_of_period":
            table, given = (
                table.assign(**{TREATED_PART: start.exposure(frame[group], frame[period])}),
                given | {"exposure": TREATED_PART},
            )
        design = diagnose(table, unit=unit, period=period, outcome=outcome, cohort=FIRST_TREATED, **given)
        effects = estimate(design, method, **options)
        return infer(_overall(effects), vcov=vcov, level=level).iloc[0]

    return try_starts(possible, estimate_with, limit=limit, draws=draws, seed=seed, progress=progress)


def try_starts(
    possible: pd.DataFrame,
    estimate_with: Estimator,
    *,
    limit: int = LIMIT,
    draws: int = DRAWS,
    seed: int = 1,
    progress: Callable[[int, int], object] | None = None,
) -> StartVariation:
    """Estimate under the stated and the other possible starts."""
    assignments, total = _list_assignments(possible, limit, draws, np.random.default_rng(seed))
    rows = []
    for done, (starts, moved) in enumerate(assignments, start=1):
        text = "; ".join(f"{name}: {cohort}" for name, cohort in moved.items())
        row: dict[str, Any] = {"starts": starts, "moved": text, "n_moved": len(moved), "reason": ""}
        try:
            found = estimate_with(moved)
            row |= results_of(found)
        except EvalaidError as error:
            row |= {**no_results(), "reason": reason_of(error)}
        rows.append(row)
        if progress is not None:
            progress(done, len(assignments))
    table = pd.DataFrame(rows, columns=["starts", "moved", "n_moved", *RESULTS, "reason"])
    units = _by_unit(possible, [moved for _, moved in assignments], table[ESTIMATE].to_numpy())
    return StartVariation(table, units, total <= limit, total, seed)


def _list_assignments(
    possible: pd.DataFrame, limit: int, draws: int, rng: np.random.Generator
) -> tuple[list[tuple[str, dict[Any, Any]]], int]:
    """List (what it is, cohorts of the units that are moved), the stated starts first, each once."""
    names, stated = list(possible["unit"]), list(possible["cohort"])
    choices = [list(span) for span in possible["possible"]]
    total = prod(len(span) for span in choices)
    listed: list[tuple[str, tuple[Any, ...]]] = [(STATED, tuple(stated))]
    if len(names) > 1:
        listed += [(EARLIEST, tuple(possible["earliest"])), (LATEST, tuple(possible["latest"]))]
    for place, span in enumerate(choices):
        listed += [(ONE, (*stated[:place], cohort, *stated[place + 1 :])) for cohort in span]
    if total <= limit:
        listed += [(COMBINED, combination) for combination in product(*choices)]
    else:
        picks = np.column_stack([rng.integers(len(span), size=draws) for span in choices])
        listed += [(DRAWN, tuple(span[at] for span, at in zip(choices, row, strict=True))) for row in picks]
    seen: dict[tuple[Any, ...], str] = {}
    for what, combination in listed:
        seen.setdefault(combination, what)
    return [
        (what, {n: c for n, c, s in zip(names, combination, stated, strict=True) if c != s})
        for combination, what in seen.items()
    ], total


def _by_unit(possible: pd.DataFrame, assignments: list[dict[Any, Any]], estimates: np.ndarray) -> pd.DataFrame:
    """Compute how far the estimate moves with each unit's own date, the others as stated."""
    alone: dict[Any, list[float]] = {name: [float(estimates[0])] for name in possible["unit"]}
    for moved, value in zip(assignments[1:], estimates[1:], strict=True):
        if len(moved) == 1:
            alone[next(iter(moved))].append(float(value))
    known = {name: [value for value in values if not np.isnan(value)] or [np.nan] for name, values in alone.items()}
    smallest = [min(known[name]) for name in possible["unit"]]
    largest = [max(known[name]) for name in possible["unit"]]
    units = possible.assign(smallest=smallest, largest=largest, range=np.subtract(largest, smallest))
    return units.sort_values("range", ascending=False, kind="stable", ignore_index=True)


def _overall(effects: Effects) -> Effects:
    return effects.aggregate("overall") if {"cohort", "period"} <= set(effects.cells) else effects
