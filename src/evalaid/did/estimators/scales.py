"""Three readings of parallel trends for a share: in points, in log-odds, in the logarithm of outflow.

A share has a ceiling. That two groups would have moved in parallel in percentage points, in log-odds, or in the logarithm of
those who leave are three different assumptions, and near the ceiling at most one can hold. Each is estimated on its own
scale and the effects are reported back as differences of shares. The counts behind the share are in `evalaid.did.estimators.count_effects`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError
from evalaid.base.periods import label
from evalaid.base.texts import counted
from evalaid.did.effects.effects import Derivation, Effects
from evalaid.did.effects.influence import Block, Influence
from evalaid.did.effects.without import Step, Without
from evalaid.did.estimators.count_effects import COUNTS, as_change, on_count
from evalaid.did.panel.design import Design

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """A transformation of a share: forward, back, and the derivative of back."""

    name: str
    words: str
    forward: Callable[[Floats], Floats]
    back: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]


def _logistic(index: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-index))


SCALES = {
    scale.name: scale
    for scale in (
        Scale(
            "log_odds",
            "parallel trends in the log-odds of the share",
            lambda share: np.log(share / (1 - share)),
            _logistic,
            lambda index: _logistic(index) * (1 - _logistic(index)),
        ),
        Scale(
            "log_outflow",
            "parallel trends in the logarithm of outflow (1 - share)",
            lambda share: np.log(1 - share),
            lambda index: 1 - np.exp(index),
            lambda index: -np.exp(index),
        ),
    )
}
NAMES = ("share", *SCALES)
"""Scales whose effects are differences of shares."""


def on_scale(design: Design, name: str) -> Design:
    """Return the design with its outcome on another scale."""
    if name not in (*NAMES, *COUNTS):
        raise EstimationError(f"scale={name!r} is not a choice; choose {', '.join((*NAMES, *COUNTS))}.")
    if name == "share":
        return design
    if name in COUNTS:
        return on_count(design, name)
    if design.outcome_unit != "fraction":
        raise EstimationError(f"scale={name!r} is for shares; this outcome is a plain number.")
    matrices = design.matrices
    observed = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
    impossible = observed & ((matrices.outcome >= 1) | ((matrices.outcome <= 0) & (name == "log_odds")))
    if impossible.any():
        row, column = np.argwhere(impossible)[0]
        where = f"{matrices.units[row]} in {label(matrices.period_kind, int(matrices.periods[column]))}"
        ends = "0 or 1" if name == "log_odds" else "1"
        raise EstimationError(
            f"scale={name!r} has no value at shares of {ends}; {counted(int(impossible.sum()), 'observation is', 'observations are')} there, for example "
            f"{where}. Leave these units out, or use etwfe with family='binomial', which takes them."
        )
    shares = np.where(observed, matrices.outcome, 0.5)
    moved = np.where(observed, SCALES[name].forward(shares), 0.0)
    return replace(design, matrices=replace(matrices, outcome=moved))


def report_back(effects: Effects, design: Design, name: str) -> Effects:
    """Turn effects on another scale into differences of shares for the treated observations behind each cell.

    Assumes that the effect on the scale is the same for the observations of a cell: each observed share is compared with
    the one that the scale gives without the effect, ``y - h(g(y) - b)``, and averaged. Effects on counts become relative
    changes (`evalaid.did.estimators.count_effects.as_change`).

    In the scale of the share; the influence holds that of the estimate (delta method) and of the average over treated
    observations. Of counts: in the scale ``relative``.
    """
    if name == "share":
        return effects
    if name in COUNTS:
        return as_change(effects, name)
    scale, parts = SCALES[name], _treated_parts(effects, design, SCALES[name])
    value, slope = np.full(len(effects), np.nan), np.zeros(len(effects))
    own = np.zeros((len(effects.population.units), len(effects)))
    for part in parts:
        without = part.index - effects.value[part.cell]
        gap = part.outcome - scale.back(without)
        every = np.zeros(design.matrices.outcome.shape)
        every[part.rows, part.periods] = part.share * gap
        value[part.cell] = every.sum()
        slope[part.cell] = (part.share * scale.slope(without)).sum()
        own[part.rows, part.cell] = (part.share * (gap - value[part.cell])).sum(axis=1)
    own_block = Block(slice(None), own, np.eye(len(effects)))
    influence = effects.influence.combine(np.diag(slope)).plus(Influence(*own.shape, (own_block,)))
    return replace(
        effects,
        value=value,
        influence=influence,
        estimand=f"{effects.estimand}; {scale.words}",
        contrasts=None,
        leave_out=None,
        derivation=Derivation((effects,), (np.eye(len(effects)),), _reported(scale, parts)),
    )


@dataclass(frozen=True)
class _Part:
    """The treated observations behind a cell: units in ``rows``, and by unit and period their weight in it and outcome, also on the scale."""

    cell: int
    rows: slice
    periods: NDArray[np.intp]
    share: Floats
    outcome: Floats
    index: Floats


def _treated_parts(effects: Effects, design: Design, scale: Scale) -> list[_Part]:
    """Find the treated observations behind each cell that has an estimate and any."""
    matrices, cells = design.matrices, effects.cells
    labels = {name: cells[name].to_numpy() for name in ("cohort", "period", "event_time") if name in cells}
    position = effects.population.place(labels["cohort"]) if "cohort" in labels else None
    event_time = matrices.unit_time
    parts = []
    for k in np.flatnonzero(~np.isnan(effects.value)):
        rows = slice(0, matrices.never.start) if position is None else matrices.block(int(position[k]))
        time = event_time[rows]
        chosen = time == labels["event_time"][k] if "event_time" in labels else time >= 0
        if matrices.observed is not None:
            chosen = chosen & matrices.observed[rows]
        if "period" in labels:
            chosen = chosen & (matrices.periods == labels["period"][k])
        periods = np.flatnonzero(chosen.any(axis=0))
        every = np.zeros(matrices.outcome.shape)
        every[rows] = effects.population.weight[rows, None] * chosen
        mass = every[rows][:, periods]
        if not mass.any():
            continue
        outcome = matrices.outcome[rows][:, periods]
        index = scale.forward(np.where(chosen[:, periods], outcome, 0.5))
        parts.append(_Part(int(k), rows, periods, mass / every.sum(), outcome, index))
    return parts


def _reported(scale: Scale, parts: list[_Part]) -> Step:
    """Return the step from estimates on the scale without some units to differences of shares of the units that are left."""

    def step(one: Without) -> Without:
        value = np.full_like(one.value, np.nan)
        for part in parts:
            here, mass = one.codes[part.rows], part.share.sum(axis=1)
            for group, estimate in enumerate(one.value[:, part.cell]):
                gap = (part.share * (part.outcome - scale.back(part.index - estimate))).sum(axis=1)
                left = here != group
                total = mass[left].sum()
                value[group, part.cell] = gap[left].sum() / total if total > 0 else np.nan
        return replace(one, value=value)

    return step


def diagnose_ceiling(design: Design, threshold: float = 0.95) -> pd.DataFrame:
    """Count the units near the ceiling of a share, by cohort.

    ``cohort`` (ordinal; missing = never treated), ``n_units``, ``above_before`` and ``above_ever`` (units whose share
    reaches the threshold in some period before any unit may react, and in any period), ``room_pp`` (mean distance to
    100% before, in percentage points). Before means: before the first cohort starts, and before the periods in which
    the design says that units may react to it.
    """
    if design.outcome_unit != "fraction":
        raise EstimationError("A ceiling is diagnosed for shares; this outcome is a plain number.")
    matrices = design.matrices
    observed = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
    reacts = matrices.reaction(design.anticipation)[0] if len(matrices.cohorts) else np.inf
    before = observed & (matrices.periods < reacts)
    rows = []
    for number in range(len(matrices.cohorts) + 1):
        block = matrices.block(number)
        above = (matrices.outcome[block] >= threshold) & observed[block]
        here = matrices.outcome[block][before[block]]
        rows.append((
            matrices.cohorts[number] if number < len(matrices.cohorts) else None,
            block.stop - block.start,
            int((above & before[block]).any(axis=1).sum()),
            int(above.any(axis=1).sum()),
            100 * (1 - float(here.mean())) if here.size else np.nan,
        ))  # fmt: skip
    columns = ["cohort", "n_units", "above_before", "above_ever", "room_pp"]
    return pd.DataFrame(rows, columns=columns).astype({"cohort": "Int64"})
