"""Repeated cross-sections: other persons in each period become means by group and period with their counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.columns import as_numbers, find_column
from evalaid.base.errors import PanelError
from evalaid.base.faults import Faults
from evalaid.base.texts import counted
from evalaid.did.panel.panel import read_frame

COUNT = "n_rows"
"""Column of the number of rows behind a mean."""


def cell_means(
    frame: Any, unit: str, period: str, outcome: str, *, same: Sequence[str] = (), weight: str | None = None
) -> pd.DataFrame:
    """Average an outcome of persons by unit and period, with the counts that make regressions on the means those on the persons.

    Assumes that the persons of a period are drawn anew and that what differs between them within a unit and period is noise:
    effects of the unit (county, or county by sex) stand where a panel of persons would have effects of each person.

    Parameters
    ----------
    frame : pandas.DataFrame or any other data frame
        One row per person and period.
    unit, period, outcome : str
        Columns; the unit is the group of persons whose effects enter the regression.
    same : sequence of str
        Columns to keep, such as the cohort, clusters, strata and covariates; each has one value in a unit and period. A
        covariate that differs between persons is refused: a regression on its means is another one.
    weight : str, optional
        Column of sampling weights of persons, > 0.

    Returns
    -------
    pandas.DataFrame
        One row per unit and period: ``unit``, ``period``, the mean under the name of the outcome, ``n_rows`` (the count, or the sum of
        weights), and the columns of ``same``, under the caller's names.

    Raises
    ------
    PanelError
        With all faults at once: columns that are not there, missing or infinite values, weights not above 0, columns of ``same`` that
        differ within a unit and period.

    Notes
    -----
    ``sum_p (y_p - x_gt'b)^2 = sum_gt n_gt (ybar_gt - x_gt'b)^2 + constant``: with ``weight="n_rows"`` coefficients, CR0 and the cluster
    jackknife are those of the persons, for clusters of whole units. CR1 counts cells as observations where a regression on persons
    counts persons. Donald and Lang (2007), doi:10.1162/rest.89.2.221.

    Examples
    --------
    >>> persons = pd.DataFrame({"county": list("AAABBB"), "year": [2019, 2019, 2020] * 2, "stay": [3.0, 5.0, 2.0, 1.0, 2.0, 6.0]})
    >>> cell_means(persons, "county", "year", "stay").values.tolist()
    [['A', 2019, 4.0, 2.0], ['A', 2020, 2.0, 1.0], ['B', 2019, 1.5, 2.0], ['B', 2020, 6.0, 1.0]]
    """
    table, faults = read_frame(frame), Faults()
    same = (same,) if isinstance(same, str) else tuple(same)
    wanted = {"unit": unit, "period": period, "outcome": outcome, **({"weight": weight} if weight else {})}
    looked_up = {role: find_column(table, name, role, faults) for role, name in wanted.items()}
    looked_up_same = {name: find_column(table, name, "same", faults) for name in same}
    found, kept = (
        {key: column for key, column in columns.items() if column is not None}
        for columns in (looked_up, looked_up_same)
    )
    faults.raise_if_any(PanelError, "table of persons")
    values = as_numbers(found["outcome"])
    mass = as_numbers(found["weight"]) if weight else np.ones(len(table))
    for role, wrong, expected in (
        ("unit", found["unit"].isna().to_numpy(), "a label in every row"),
        ("period", found["period"].isna().to_numpy(), "a period in every row"),
        ("outcome", ~np.isfinite(values), "a finite number in every row (leave the others out)"),
        ("weight", ~((mass > 0) & np.isfinite(mass)), "finite weights above 0"),
    ):
        if wrong.any():
            rows = table.index[wrong]
            faults.add(wanted[role], f"{role} cannot be used", expected, rows=rows, values=list(found[role][wrong]))
    groups = pd.DataFrame({unit: found["unit"], period: found["period"]})
    by = groups.assign(**{outcome: values * mass, COUNT: mass}).groupby([unit, period], sort=True)
    made = by[[outcome, COUNT]].sum()
    made[outcome] /= made[COUNT]
    for name, column in kept.items():
        if name in made or name in (unit, period):
            faults.add(name, "a column of same is also the unit, the period, the outcome or the count", "other columns")
            continue
        cells = groups.assign(**{name: column}).groupby([unit, period], sort=True)[name]
        mixed = cells.nunique(dropna=False).gt(1)
        if mixed.any():
            where = " in ".join(map(str, mixed.index[mixed.to_numpy()][0]))
            faults.add(
                name,
                f"differs between rows of one unit and period in {counted(int(mixed.sum()), 'cell')}",
                "one value in each",
                detail=f"for example {where}",
            )
        made[name] = cells.first()
    faults.raise_if_any(PanelError, "table of persons")
    return made.reset_index()
