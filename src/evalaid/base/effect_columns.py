"""The columns of every table of effects, spelt once, and the verbs that all tables share.

A new column gets its name here, its values in :mod:`evalaid.did.inference.intervals` and, if reports show it, its title in
:mod:`evalaid.report.display.formatted_tables`; every list of columns elsewhere is one of the groups below. Where an error
cannot be had the value is missing and ``note`` has the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

ESTIMATE = "estimate"
STD_ERROR = "std_error"
STATISTIC = "statistic"
P_VALUE = "p_value"  # two-sided, of its row alone
CONF_LOW = "conf_low"
CONF_HIGH = "conf_high"
BAND_LOW = "band_low"  # of a simultaneous band over the rows of a table, never of a row by itself
BAND_HIGH = "band_high"
LEVEL = "level"
VCOV = "vcov"
DISTRIBUTION = "distribution"  # of the statistic: normal, t(11), or "" where the degrees of freedom are not known
N_CLUSTERS = "n_clusters"
TREATED_CLUSTERS = "treated_clusters"
NOTE = "note"

ENDS = (CONF_LOW, CONF_HIGH)
BAND_ENDS = (BAND_LOW, BAND_HIGH)
IN_UNIT = (ESTIMATE, STD_ERROR, *ENDS)  # what is in the unit of the outcome, and multiplied when that unit changes
RESULTS = (*IN_UNIT, P_VALUE)
INFERRED = (STD_ERROR, STATISTIC, P_VALUE, *ENDS)  # what inference adds to an estimate
CLUSTERS = (N_CLUSTERS, TREATED_CLUSTERS)


def leaves_out_zero(rows: Any, ends: tuple[str, str] = ENDS) -> Any:
    """Return whether an interval leaves out zero: of a row a truth value, of a frame one for each row; a missing end does not.

    Examples
    --------
    >>> leaves_out_zero({"conf_low": 0.1, "conf_high": 0.3}), leaves_out_zero({"conf_low": np.nan, "conf_high": np.nan})
    (True, False)
    """
    low, high = (rows[end] for end in ends)
    outside = (low > 0) | (high < 0)
    return outside if isinstance(outside, pd.Series) else bool(outside)


def beside_zero(rows: pd.DataFrame) -> tuple[int, int]:
    """Count the intervals that lie above zero and those that lie below it."""
    return int((rows[CONF_LOW] > 0).sum()), int((rows[CONF_HIGH] < 0).sum())


def has_interval(rows: Any) -> Any:
    """Return whether both ends of the interval are there: of a row a truth value, of a frame one for each row."""
    low, high = (pd.notna(rows[end]) for end in ENDS)
    return low & high


def with_estimate(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that have an estimate."""
    return rows[rows[ESTIMATE].notna()]


def no_results(columns: Iterable[str] = RESULTS) -> dict[str, float]:
    """Return the missing results of a row, which a note or reason explains."""
    return dict.fromkeys(columns, np.nan)


def results_of(row: Mapping[str, Any] | pd.Series, columns: Iterable[str] = RESULTS) -> dict[str, float]:
    """Return the results of one row as floats."""
    return {name: float(row[name]) for name in columns}
