"""What a panel must satisfy: rules that are passes over whole columns, and one pandera schema of them that finds the failing rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from evalaid.base.faults import Faults
from evalaid.base.names import (
    CLUSTER,
    EXPOSURE,
    INSIDE,
    OUTCOME,
    PARTIAL,
    PERIOD,
    STRATUM,
    TOTAL,
    TREATED,
    UNIT,
    WEIGHT,
)
from evalaid.base.periods import EXPECTED_PERIODS
from evalaid.did.panel.keys import Keys, varies_within

CELL = "unit and period"
"""Name of the checked column that says which unit x period cell a row belongs to."""

REPEATED = "unit and period occur more than once"
INSIDE_ABOVE = "inside is larger than total"
CLUSTER_VARIES = "cluster changes within a unit"
STRATUM_VARIES = "stratum changes within a unit"
SHOWN = {
    REPEATED: (UNIT, PERIOD),
    INSIDE_ABOVE: (INSIDE, TOTAL),
    CLUSTER_VARIES: (UNIT, CLUSTER),
    STRATUM_VARIES: (UNIT, STRATUM),
}
"""Which columns a fault shows when it is about more than one."""

HIGHEST = {"fraction": 1.0, "percent": 100.0, "number": np.inf}
"""Largest value of an outcome in each unit of measurement; the smallest is 0 for the first two."""


def check_columns(
    found: Mapping[str, pd.Series],
    names: Mapping[str, str],
    numeric: Mapping[str, np.ndarray],
    keys: Keys | None,
    cluster: np.ndarray | None,
    outcome_unit: str,
    declared: str | None,
    faults: Faults,
) -> None:
    """Hold the columns of a panel against the schema and add every failing row to ``faults``.

    Assumes that all columns have the same length and the same index.

    Examples
    --------
    >>> faults = Faults()
    >>> share = pd.Series([0.8, 86.9])
    >>> check_columns({"outcome": share}, {"outcome": "share"}, {"outcome": share.to_numpy()}, None, None,
    ...               "fraction", "fraction", faults)
    >>> faults.frame()[["row", "column", "value", "fault"]]
      row column value                fault
    0   1  share  86.9  share outside 0 to 1
    """
    checked = dict(numeric)
    if keys is not None and not (keys.complete and cluster is None and STRATUM not in checked):
        checked |= {UNIT: keys.unit, PERIOD: keys.period, CELL: keys.cell}
    if cluster is not None:
        checked[CLUSTER] = cluster
    highest = HIGHEST[outcome_unit]
    by_column, wide = _rules(tuple(checked), highest)
    whole = all(rule.holds(checked).all() for rule in wide)
    if whole and all(rule.holds(checked[name]).all() for name, rules in by_column.items() for rule in rules):
        return
    asked = _ask(numeric[OUTCOME]) if OUTCOME in numeric and declared is None else ""
    by_column, wide = _rules(tuple(checked), highest, asked or f"values from 0 to {highest:g}")
    columns = {
        name: pa.Column(checks=[_check(rule, _values) for rule in rules], nullable=True)
        for name, rules in by_column.items()
    }
    schema = pa.DataFrameSchema(columns, checks=[_check(rule, _arrays) for rule in wide])
    try:
        schema.validate(pd.DataFrame(checked, copy=False), lazy=True, inplace=True)
    except pa.errors.SchemaErrors as error:
        for failure in error.schema_errors:
            if failure.check_output is None:
                raise
            _translate(failure, found, names, faults)


def _ask(values: np.ndarray) -> str:
    """Ask what a value above 1 means in a column that is named as a share."""
    above = values[values > 1]
    example = f"{above[0]:g}" if len(above) else "86.9"
    return (
        f"values from 0 to 1 in a column named as a share: declare outcome_unit='percent' if {example} means {example} "
        "per cent, outcome_unit='fraction' if these values are wrong, outcome_unit='number' if this is no share"
    )


def _translate(
    failure: pa.errors.SchemaError, found: Mapping[str, pd.Series], names: Mapping[str, str], faults: Faults
) -> None:
    """Describe in the caller's rows, columns and values what a failed check found."""
    failed = np.flatnonzero(~failure.check_output.to_numpy())
    columns = SHOWN.get(failure.check.name, (failure.schema.name,))
    values = [found[column].iloc[failed].tolist() for column in columns]
    faults.add(
        ", ".join(str(names.get(column, column)) for column in columns),
        failure.check.name,
        failure.check.error,
        rows=found[columns[0]].index[failed],
        values=values[0] if len(values) == 1 else list(zip(*values, strict=True)),
    )


INDICATOR = "0 or 1 (or False and True) in every row; make them of other words first, such as frame[column] == 'yes'"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold in every row: ``holds`` gives one bool per row of a column, or of all columns by name."""

    holds: Callable[[Any], np.ndarray]
    fault: str
    expected: str


def _rules(columns: tuple[str, ...], highest: float, in_range: str = "") -> tuple[dict[str, list[Rule]], list[Rule]]:
    """Write down what each of the named columns must satisfy, and what several of them must together."""
    finite = Rule(_finite, "missing, infinite or not a number", "a finite number in every row")
    count = [finite, Rule(_not_negative, "count below 0", "counts of 0 or more")]
    outcome = [
        Rule(_finite, "missing, infinite or not a number", "a finite number (or no row: a gap is allowed)"),
        Rule(
            _measurable,
            "numbers so large or small that their squares are lost",
            "a unit in which the largest is from 1e-50 to 1e50",
        ),
    ]
    if np.isfinite(highest):
        outcome.append(Rule(partial(_between, highest=highest), f"share outside 0 to {highest:g}", in_range))
    rules = {
        UNIT: [Rule(_not_negative, "unit is missing", "a label in every row")],
        PERIOD: [Rule(_not_negative, "period is missing or not readable", EXPECTED_PERIODS)],
        CELL: [Rule(_unrepeated, REPEATED, "one row for each unit and period")],
        OUTCOME: outcome,
        INSIDE: count,
        TOTAL: count,
        WEIGHT: [Rule(_positive_and_finite, "weight is missing, infinite or not above 0", "finite weights above 0")],
        CLUSTER: [Rule(_not_negative, "cluster is missing", "a label in every row")],
        STRATUM: [Rule(_not_negative, "stratum is missing", "a label in every row")],
        EXPOSURE: [
            Rule(partial(_between, highest=1.0), "exposure outside 0 to 1", "a part of the period, from 0 to 1"),
            finite,
        ],
        PARTIAL: [Rule(_zero_or_one, "partial is neither 0 nor 1", INDICATOR)],
        TREATED: [Rule(_zero_or_one, "treated is neither 0 nor 1", INDICATOR)],
    }
    wide = []
    if {INSIDE, TOTAL} <= set(columns):
        wide.append(Rule(_inside_at_most_total, INSIDE_ABOVE, "inside <= total"))
    if {UNIT, CLUSTER} <= set(columns):
        wide.append(Rule(partial(_constant, role=CLUSTER), CLUSTER_VARIES, "one cluster for each unit"))
    if {UNIT, STRATUM} <= set(columns):
        wide.append(Rule(partial(_constant, role=STRATUM), STRATUM_VARIES, "one stratum for each unit"))
    return {name: rules.get(name, [finite]) for name in columns}, wide


def _check(rule: Rule, read: Callable[[Any], Any]) -> pa.Check:
    """Make a pandera check of a rule; ``read`` gives it arrays."""
    return pa.Check(
        lambda data: pd.Series(rule.holds(read(data))), name=rule.fault, error=rule.expected, ignore_na=False
    )


def _values(column: pd.Series) -> np.ndarray:
    return column.to_numpy()


def _arrays(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    return {str(name): frame[name].to_numpy() for name in frame}


def _finite(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.isfinite(values))


def _measurable(values: np.ndarray) -> np.ndarray:
    size = np.abs(values)
    finite = np.isfinite(size)  # what is not is a fault of its own
    largest = size.max(where=finite, initial=0.0)
    return np.asarray(~finite | (size == 0) | ((size <= 1e50) & (largest >= 1e-50)))


def _positive_and_finite(values: np.ndarray) -> np.ndarray:
    return (values > 0) & (values < np.inf)


def _zero_or_one(values: np.ndarray) -> np.ndarray:
    return np.isin(values, (0.0, 1.0))


def _not_negative(values: np.ndarray) -> np.ndarray:
    return ~(values < 0)


def _between(values: np.ndarray, highest: float) -> np.ndarray:
    return ~((values < 0) | ((values > highest) & (values < np.inf)))


def _unrepeated(codes: np.ndarray) -> np.ndarray:
    """Find which rows have a unit and period of their own; rows without a key fail elsewhere."""
    placed = codes if not len(codes) or codes.min() >= 0 else codes[codes >= 0]
    seen = np.zeros(int(codes.max(initial=0)) + 1, dtype=bool)
    seen[placed] = True
    if np.count_nonzero(seen) == len(placed):
        return np.ones(len(codes), dtype=bool)
    return np.asarray((np.bincount(placed)[codes] == 1) | (codes < 0))


def _inside_at_most_total(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    return ~(columns[INSIDE] > columns[TOTAL])


def _constant(columns: Mapping[str, np.ndarray], role: str) -> np.ndarray:
    unit = columns[UNIT]
    return np.asarray(~varies_within(unit, columns[role])[unit])
