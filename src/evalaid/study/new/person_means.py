"""A panel from a file with one row per person: means by unit and period, weighted by the number of rows, small cells left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from evalaid.base.errors import PanelError

N_ROWS = "n_rows"
SMALLEST = 5
"""A mean over fewer persons says something about each of them: it is left out."""


@dataclass(frozen=True)
class AggregatedRows:
    """The means, and what was left out in words."""

    frame: pd.DataFrame  # unit, period, means, ``n_rows``, and what is the same within a cell
    text: str


def aggregate_rows(
    table: pd.DataFrame, unit: str, period: str, means: Sequence[str], same: Sequence[str] = ()
) -> AggregatedRows:
    """Return means of columns by unit and period; columns in ``same`` must have one value in each cell.

    Rows without the first of ``means`` (the outcome) count in no cell.

    Examples
    --------
    >>> rows = pd.DataFrame({"area": list("AAAAAAB"), "year": [2019] * 7, "ill": [0, 1, 0, 1, 1, 0, 1]})
    >>> made = aggregate_rows(rows, "area", "year", ["ill"])
    >>> made.frame.values.tolist(), made.text
    ([['A', 2019, 0.5, 6]], '7 rows became 1 observations, means by area and year; 1 cells with fewer than 5 rows left out')
    """
    columns = [unit, period, *means, *same]
    missing = [name for name in columns if name not in table]
    if missing:
        raise PanelError(f"The file has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}.")
    texts = [name for name in means if not pd.api.types.is_numeric_dtype(table[name])]
    if texts:
        raise PanelError(f"Of {', '.join(texts)} no mean can be taken: expected numbers.")
    known = table.dropna(subset=[unit, period, means[0]])
    cells = known.groupby([unit, period], sort=True)
    mixed = [name for name in same if cells[name].nunique(dropna=False).max() > 1]
    if mixed:
        raise PanelError(f"{', '.join(mixed)} differs between rows of one unit and period; expected one value in each.")
    made = cells[list(means)].mean().assign(**{N_ROWS: cells.size()})
    made = made.join(cells[list(same)].first()) if same else made
    small = made[N_ROWS] < SMALLEST
    text = f"{len(table):,} rows became {int((~small).sum()):,} observations, means by {unit} and {period}"
    if gone := len(table) - len(known):
        text += f"; {gone:,} rows without unit, period or {means[0]} left out"
    if small.any():
        text += f"; {int(small.sum()):,} cells with fewer than {SMALLEST} rows left out"
    return AggregatedRows(made[~small].reset_index(), text)
