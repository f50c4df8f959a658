"""Rows that the tables of a study share: an effect, or the reason why there is none; and single values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import RESULTS

VALUE = ("key", "label", "value", "unit", "digits")


def effect_row(
    key: str,
    label: str,
    found: pd.Series | None,
    columns: Sequence[str] = RESULTS,
    /,
    **said: Any,
) -> dict[str, Any]:
    """Return the row of an effect: its numbers, or none where nothing was found; and what else is said of it.

    Examples
    --------
    >>> effect_row("main", "Main estimate", None, ["estimate"], reason="one cluster")
    {'key': 'main', 'label': 'Main estimate', 'estimate': nan, 'reason': 'one cluster'}
    """
    numbers = {name: np.nan if found is None else found[name] for name in columns}
    return {"key": key, "label": label, **numbers, **said}


def list_values(rows: Iterable[tuple[str, str, Any, str, int]], made_by: str) -> pd.DataFrame:
    """Return a table of single values: ``key``, ``label``, ``value``, ``unit``, ``digits``, ``made_by``."""
    return pd.DataFrame(list(rows), columns=list(VALUE)).assign(made_by=made_by)
