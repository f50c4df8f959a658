"""Effects on the counts behind a share: episodes treated inside the county, and outside it.

A share can rise because more residents are admitted at home while as many as before leave. The share, its log-odds and its
outflow cannot tell that; the two counts can, each with trends that are parallel in its logarithm.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError
from evalaid.base.names import INSIDE, TOTAL
from evalaid.base.periods import label
from evalaid.base.texts import counted
from evalaid.did.effects.effects import Derivation, Effects
from evalaid.did.panel.design import Design

COUNTS = {"log_inside": "inside", "log_outside": "outside"}
"""Scale -> which episodes it counts."""


def has_counts(design: Design) -> bool:
    """Return whether the design names the counts inside and in total."""
    return {INSIDE, TOTAL} <= set(design.panel.columns)


def count_episodes(design: Design, name: str) -> NDArray[np.float64]:
    """Return the episodes inside or outside by unit and period of the matrices.

    Assumes nothing. Counts are looked up in the panel by the labels of units and periods, so that designs pay for them only
    when they are asked for.

    (N, T) episodes; outside is total minus inside; zero where nothing is observed.

    Examples
    --------
    >>> import evalaid as ea
    >>> import pandas as pd
    >>> frame = pd.DataFrame({
    ...     "county": ["a", "a", "b", "b"], "year": [2019, 2020] * 2, "share": [0.8, 0.9, 0.5, 0.5],
    ...     "inside": [80, 90, 50, 60], "total": [100, 100, 100, 120], "first_treated": [2020, 2020, None, None],
    ... })
    >>> design = ea.diagnose(frame, "county", "year", "share", "first_treated", inside="inside", total="total")
    >>> count_episodes(design, "log_outside").tolist()
    [[20.0, 10.0], [50.0, 60.0]]
    """
    panel, matrices = design.panel, design.matrices
    if not has_counts(design):
        missing = " and ".join(role for role in (INSIDE, TOTAL) if role not in panel.columns)
        raise EstimationError(
            f"scale={name!r} needs the counts behind the share, and the design names no {missing}; name their columns in "
            "diagnose(inside=..., total=...)."
        )
    counts = panel.columns[INSIDE] if COUNTS[name] == "inside" else panel.columns[TOTAL] - panel.columns[INSIDE]
    keys = panel.keys
    everywhere = np.zeros((len(keys.units), len(keys.periods)))
    everywhere[keys.unit, keys.period] = counts
    rows, columns = keys.units.get_indexer(matrices.units), np.searchsorted(keys.periods, matrices.periods)
    found = everywhere[np.ix_(rows, columns)]
    return found if matrices.observed is None else np.where(matrices.observed, found, 0.0)


def on_count(design: Design, name: str) -> Design:
    """Return the design with the logarithm of a count as its outcome."""
    counts, matrices = count_episodes(design, name), design.matrices
    observed = np.ones_like(counts, dtype=bool) if matrices.observed is None else matrices.observed
    empty = observed & (counts <= 0)
    if empty.any():
        row, column = np.argwhere(empty)[0]
        where = f"{matrices.units[row]} in {label(matrices.period_kind, int(matrices.periods[column]))}"
        raise EstimationError(
            f"scale={name!r} has no value where nobody is treated {COUNTS[name]}; {counted(int(empty.sum()), 'observation is', 'observations are')} there, "
            f"for example {where}. Leave these units out, or take the count as the outcome and use etwfe with "
            "family='poisson', which takes zeros."
        )
    logarithm = np.log(np.where(observed, counts, 1.0))
    return replace(design, matrices=replace(matrices, outcome=logarithm), outcome_unit="number")


def as_change(effects: Effects, name: str) -> Effects:
    """Turn effects on the logarithm of a count into changes relative to the count without the programme.

    Assumes that the effect on the logarithm is the same for the observations of a cell. Then observed episodes over those that
    there would have been are ``exp(b)`` in every observation and in their sum, whatever the sizes of the units, so there is no
    average over observations and no influence of one.

    ``scale="relative"``: ``exp(b) - 1``, fractions (times 100 = per cent of the episodes without the programme).
    Averages over cells weigh changes as the method weighs cells, not by episodes.
    """
    value = np.expm1(effects.value)
    slope = np.where(np.isnan(effects.value), 0.0, np.exp(effects.value))
    said = f"relative change of episodes {COUNTS[name]}, parallel trends of their logarithm"
    return replace(
        effects,
        value=value,
        influence=effects.influence.combine(np.diag(slope)),
        contrasts=None,  # the regression is linear in the logarithm, the change is not
        leave_out=None,
        derivation=Derivation((effects,), (np.eye(len(effects)),), lambda one: replace(one, value=np.expm1(one.value))),
        scale="relative",
        estimand=f"{effects.estimand}; {said}",
    )
