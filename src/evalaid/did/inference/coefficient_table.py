"""Estimates with their errors in the form in which table makers of co-authors (maketables, and by it great_tables) ask a model for its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE, LEVEL, N_CLUSTERS, P_VALUE, STATISTIC, STD_ERROR
from evalaid.base.errors import InferenceError
from evalaid.did.effects.effects import CELL_KEYS

_ASKED = {ESTIMATE: "b", STD_ERROR: "se", STATISTIC: "t", P_VALUE: "p"}


@dataclass(frozen=True)
class CoefficientTable:
    """Estimates with errors as a model that maketables takes: ``maketables.ETable([ea.CoefficientTable(table), ...])``.

    Nothing is computed: the errors are those that :func:`evalaid.infer` was asked for.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`evalaid.infer` returns.
    outcome : str
        What the head of the column says.

    Raises
    ------
    InferenceError
        For a table that lacks columns of :func:`evalaid.infer`, or has none of its rows.

    Examples
    --------
    >>> import evalaid as ea
    >>> rows = [(f"c{i}", year, 0.7 + 0.01 * (i * year % 5) + 0.05 * (i < 5 and year == 2020), 2020 if i < 5 else None)
    ...         for i in range(12) for year in (2018, 2019, 2020)]
    >>> frame = pd.DataFrame(rows, columns=["county", "year", "share", "first_treated"])
    >>> design = ea.diagnose(frame, "county", "year", "share", "first_treated")
    >>> model = ea.CoefficientTable(ea.infer(ea.estimate(design, "twfe")), outcome="share")
    >>> model.__maketables_coef_table__.columns.tolist()
    ['b', 'se', 't', 'p', 'ci95l', 'ci95u']
    """

    table: pd.DataFrame
    outcome: str = "outcome"

    def __post_init__(self) -> None:
        """Check that the table is one of estimates with errors."""
        asked = (*_ASKED, CONF_LOW, CONF_HIGH, LEVEL, N_CLUSTERS)
        if missing := [name for name in asked if name not in self.table]:
            raise InferenceError(f"The table lacks {', '.join(missing)}; a table of infer(effects) has them.")
        if self.table.empty:
            raise InferenceError("The table has no rows, so there is nothing to show.")

    @property
    def __maketables_coef_table__(self) -> pd.DataFrame:
        """One row per effect: ``b``, ``se``, ``t``, ``p`` and the ends of the interval."""
        level = f"{100 * float(self.table[LEVEL].iloc[0]):g}"
        names = {**_ASKED, CONF_LOW: f"ci{level}l", CONF_HIGH: f"ci{level}u"}
        return self.table[list(names)].rename(columns=names).set_axis(pd.Index(_names(self.table), name="Coefficient"))

    def __maketables_stat__(self, key: str) -> Any:
        """Return the number of clusters, the kind of error or the method; None for what is not known."""
        return self.table[key].iloc[0] if key in self.__maketables_default_stat_keys__ else None

    @property
    def __maketables_depvar__(self) -> str:
        return self.outcome

    @property
    def __maketables_default_stat_keys__(self) -> list[str]:
        return [key for key in (N_CLUSTERS, "vcov", "method") if key in self.table]


def _names(table: pd.DataFrame) -> list[str]:
    """Return how each effect is called: by what tells the rows apart, "ATT" for a single one."""
    if len(table) == 1:
        return ["ATT"]
    keys = [key for key in CELL_KEYS if key in table and len(set(table[key])) > 1]
    if not keys:
        return [f"ATT {row + 1}" for row in range(len(table))]
    return [
        ", ".join(
            f"{str(key).replace('_', ' ')} {value:g}" if isinstance(value, float | int) else f"{str(key).replace('_', ' ')} {value}"
            for key, value in row.items()
        )
        for row in table[keys].to_dict("records")
    ]  # fmt: skip
