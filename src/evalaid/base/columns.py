"""Look up the columns of a caller's table, and say which are not there."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.faults import Faults
from evalaid.base.names import OUTCOME, UNIT


def find_column(frame: pd.DataFrame, name: Any, role: str, faults: Faults) -> pd.Series | None:
    """Return one column, or add to ``faults`` that the column of this role is not there.

    Returns
    -------
    pandas.Series or None
        The column.

    Examples
    --------
    >>> faults = Faults()
    >>> find_column(pd.DataFrame({"year": [2019]}), "yaer", "period", faults)
    >>> print(faults.message("panel"))
    The panel cannot be used: 1 kind of fault.
    - the period column is missing (column 'yaer'). Expected one of 'year' (did you mean 'year'?).
    """
    if not isinstance(name, Hashable):
        faults.add(type(name).__name__, f"the {role} is a {type(name).__name__}", "the name of one column of the frame")
        return None
    count = 0
    if name in frame.columns:
        count = 1 if frame.columns.is_unique else int((frame.columns == name).sum())
    if count == 1:
        return frame[name]
    if count > 1:
        faults.add(name, f"{count} columns have the name of the {role} column", "one column of that name")
        return None
    columns = [repr(column) for column in frame.columns]
    expected = "one of " + ", ".join(columns[:20]) + (", ..." if len(columns) > 20 else "")
    if close := difflib.get_close_matches(str(name), [str(column) for column in frame.columns], n=1):
        expected += f" (did you mean {close[0]!r}?)"
    elif name in frame.index.names:
        expected = f"a column, but {name!r} is an index level: call reset_index() first"
    faults.add(name, f"the {role} column is missing", expected)
    return None


def find_columns(
    frame: pd.DataFrame, names: Mapping[str, str], covariates: Sequence[str], faults: Faults
) -> dict[str, pd.Series]:
    """Look up every column under its role, covariates under `covariate_key`: a covariate may bear any name."""
    wanted = {role: (name, role) for role, name in names.items()}
    for name in covariates:
        if name == names[OUTCOME]:
            faults.add(name, "the outcome is also a covariate", "covariates other than the outcome")
        else:
            wanted[covariate_key(name)] = (name, "covariate")
    looked_up = {key: find_column(frame, name, role, faults) for key, (name, role) in wanted.items()}
    if not len(frame):
        faults.add(names[UNIT], "the table has no rows", "one row for each unit and period")
    return {key: column for key, column in looked_up.items() if column is not None}


def covariate_key(name: str) -> str:
    """Return the key of a covariate beside the roles of columns, none of which holds a colon."""
    return f"covariate: {name}"


def as_numbers(values: pd.Series) -> np.ndarray:
    """Return a column as float64; what is missing or no number becomes NaN. Never the caller's own memory."""
    if not pd.api.types.is_numeric_dtype(values.dtype):
        values = pd.to_numeric(values.astype(object), errors="coerce")
    if pd.api.types.is_complex_dtype(values.dtype):
        found = values.to_numpy()
        return np.where(found.imag == 0, found.real, np.nan)
    return np.array(values.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def as_indicator(values: pd.Series) -> np.ndarray:
    """Return a column of zeros and ones, or of False and True in any type, as float64; what is neither becomes NaN or stays itself.

    Examples
    --------
    >>> as_indicator(pd.Series(["TRUE", "false", " 1", "yes"])).tolist()
    [1.0, 0.0, 1.0, nan]
    """
    if pd.api.types.is_numeric_dtype(values.dtype):
        return as_numbers(values)
    words = {
        text: unicodedata.normalize("NFKC", text).strip().casefold()
        for text in values.dropna().unique()
        if isinstance(text, str)
    }
    known = {text: {"false": 0, "true": 1}.get(word, word) for text, word in words.items()}
    return as_numbers(values.astype(object).replace(known) if known else values)
