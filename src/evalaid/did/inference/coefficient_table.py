"""Effects in the form in which table makers of co-authors (maketables, and by it great_tables) ask any model for its numbers."""

from __future__ import annotations

from typing import Any

import pandas as pd

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE, LEVEL, N_CLUSTERS, P_VALUE, STATISTIC, STD_ERROR
from evalaid.did.effects.effects import CELL_KEYS, Effects
from evalaid.did.inference.infer import infer

_ASKED = {ESTIMATE: "b", STD_ERROR: "se", STATISTIC: "t", P_VALUE: "p"}


def coefficient_table(effects: Effects) -> pd.DataFrame:
    """Return one row per effect with ``b``, ``se``, ``t``, ``p`` and the ends of the interval, by the default inference."""
    table = infer(effects)
    level = f"{100 * float(table[LEVEL].iloc[0]):g}%"
    ends = {CONF_LOW: f"ci{level[:-1]}l", CONF_HIGH: f"ci{level[:-1]}u"}
    found = table.rename(columns={**_ASKED, **ends})[[*_ASKED.values(), *ends.values()]]
    return found.set_axis(pd.Index(_names(table), name="Coefficient"))


def model_statistic(effects: Effects, key: str) -> Any:
    """Return a statistic of the model by the key that table makers use; None where there is none."""
    table = infer(effects)
    known = {"N": effects.influence.n_units, N_CLUSTERS: int(table[N_CLUSTERS].max()), "method": effects.method}
    return known.get(key)


def _names(table: pd.DataFrame) -> list[str]:
    """Return how each effect is called: by what tells the rows apart, "ATT" for a single one."""
    keys = [key for key in CELL_KEYS if key in table and len(set(table[key])) > 1]
    if len(table) == 1 or not keys:
        return ["ATT"] if len(table) == 1 else [f"ATT {row + 1}" for row in range(len(table))]
    words = {key: key.replace("_", " ") for key in keys}
    return [
        ", ".join(f"{words[str(key)]} {value:g}" if isinstance(value, float | int) else f"{words[str(key)]} {value}" for key, value in row.items())
        for row in table[keys].to_dict("records")
    ]  # fmt: skip
