"""How well a method finds a known effect: bias, spread and coverage over simulated draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.effect_columns import (
    CONF_HIGH,
    CONF_LOW,
    ENDS,
    ESTIMATE,
    IN_UNIT,
    STD_ERROR,
    leaves_out_zero,
    results_of,
)
from evalaid.base.errors import EvalaidError, NotIdentifiedError, SimulationError
from evalaid.base.periods import parse_periods
from evalaid.base.shared_out import do_parts
from evalaid.did.effects.effects import Effects
from evalaid.did.estimators.estimation import estimate
from evalaid.did.inference.infer import infer
from evalaid.did.panel.design import Design, diagnose
from evalaid.simulate.generators import simulate
from evalaid.simulate.recovery.trials import Trial, choose_trials
from evalaid.simulate.simulated_panel import LABEL, SimulatedPanel, check_number, check_seed

DRAW_COLUMNS = ("draw", "seed", "trial", "method", "truth", *IN_UNIT, "reason")


def recovery(
    generator: str,
    methods: Sequence[str | Trial] | None = None,
    draws: int = 50,
    seed: int = 1,
    *,
    parameters: Mapping[str, Any] | None = None,
    level: float = 0.95,
    done: pd.DataFrame | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Estimate a known effect over many simulated draws and say how well each method finds it.

    Assumes that the generator's assumptions describe the programme: what recovers the effect here need not do so in
    reality, what fails here has no reason to do better there.

    Examples
    --------
    >>> table = recovery("xinjiang", ["two_by_two"], draws=5, seed=1)
    >>> table[["trial", "draws", "label"]].to_dict("records")
    [{'trial': 'two_by_two', 'draws': 5, 'label': 'simulated'}]
    """
    found = estimate_draws(
        generator, methods, draws, seed, parameters=parameters, level=level, done=done, progress=progress
    )
    return summarise_draws(found, generator, level)


def estimate_draws(
    generator: str,
    methods: Sequence[str | Trial] | None = None,
    draws: int = 50,
    seed: int = 1,
    *,
    parameters: Mapping[str, Any] | None = None,
    level: float = 0.95,
    done: pd.DataFrame | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Estimate a known effect in every simulated draw; can be stopped and taken up again.

    Assumes as `recovery`. Draw k has the same seed however many draws are made (children of one seed sequence).
    """
    trials = choose_trials(generator, methods)
    draws, seed = int(check_number("draws", draws, 1, 1_000_000)), check_seed(seed)
    level = check_number("level", level, 0.01, 0.9999)
    given = dict(parameters or {})
    if "seed" in given:
        raise SimulationError("Found 'seed' among the parameters; the draws' seeds follow from the argument seed.")
    rows = [] if done is None else [tuple(row) for row in done[list(DRAW_COLUMNS)].itertuples(index=False)]
    made = {(int(row[0]), str(row[2])) for row in rows}
    left = [
        (draw, int(child.generate_state(1)[0]), [trial for trial in trials if (draw, trial.name) not in made])
        for draw, child in enumerate(np.random.SeedSequence(seed).spawn(draws))
    ]
    for done_so_far, found in enumerate(do_parts(partial(_run_draw, generator, given, level), left), start=1):
        rows += found
        if progress is not None:
            progress(done_so_far, draws)
    frame = pd.DataFrame(rows, columns=list(DRAW_COLUMNS))
    return frame.sort_values("draw", kind="stable", ignore_index=True)


def summarise_draws(found: pd.DataFrame, generator: str, level: float = 0.95) -> pd.DataFrame:
    """Summarise estimates over draws.

    Examples
    --------
    >>> rows = [(0, 1, "a", "twfe", 0.02, 0.03, 0.01, 0.01, 0.05, "")]
    >>> float(summarise_draws(pd.DataFrame(rows, columns=DRAW_COLUMNS), "guangdong").loc[0, "bias"].round(3))
    0.01
    """
    rows = []
    for (trial, method), part in found.groupby(["trial", "method"], sort=False):
        kept = part[part["reason"] == ""]
        error = kept[ESTIMATE] - kept["truth"]
        known = kept.dropna(subset=list(ENDS))
        inside = known["truth"].between(known[CONF_LOW], known[CONF_HIGH])
        away = leaves_out_zero(known)
        reasons = part.loc[part["reason"] != "", "reason"]
        rows.append({
            "generator": generator,
            "trial": trial,
            "method": method,
            "draws": len(part),
            "estimated": len(kept),
            "truth": kept["truth"].mean(),
            ESTIMATE: kept[ESTIMATE].mean(),
            "bias": error.mean(),
            "bias_error": error.std() / np.sqrt(max(len(kept), 1)),
            "sd": error.std(),
            "rmse": np.sqrt((error**2).mean()),
            STD_ERROR: known[STD_ERROR].mean(),
            "coverage": inside.mean() if len(known) else np.nan,
            "rejects_zero": away.mean() if len(known) else np.nan,
            "refused": len(reasons) / len(part),
            "reason": reasons.mode().iloc[0] if len(reasons) else "",
            "level": level,
            "label": LABEL,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _run_draw(
    generator: str, given: Mapping[str, Any], level: float, left: tuple[int, int, Sequence[Trial]]
) -> list[tuple[Any, ...]]:
    """Return the rows of one draw: its number, its seed, and the trials that are left to do."""
    draw, seed, trials = left
    parameters = {**given, "seed": seed}
    if not trials:
        return []
    try:
        panel = simulate(generator, **parameters)
    except SimulationError as error:
        if draw == 0:  # parameters that no draw can meet
            raise
        missing = (np.nan,) * 5
        return [(draw, parameters["seed"], t.name, t.method, *missing, f"not simulated: {error}") for t in trials]
    designs: dict[tuple[Any, ...], Design] = {}
    rows = []
    for trial in trials:
        key = (trial.covariates, trial.last_period)
        if key not in designs:
            designs[key] = _diagnose(panel, trial)
        values = _estimate(panel, designs[key], trial, level)
        rows.append((draw, parameters["seed"], trial.name, trial.method, *values))
    return rows


def _diagnose(panel: SimulatedPanel, trial: Trial) -> Design:
    frame, roles = panel.frame, dict(panel.roles)
    if trial.covariates is not None:
        roles["covariates"] = list(trial.covariates)
    if trial.last_period is not None:
        periods = parse_periods(frame[roles["period"]])
        last = parse_periods(pd.Series([trial.last_period]), kind=str(periods.kind)).ordinal[0]
        frame = frame[periods.ordinal <= last].reset_index(drop=True)
    return diagnose(frame, **roles)


def _estimate(panel: SimulatedPanel, design: Design, trial: Trial, level: float) -> tuple[Any, ...]:
    """Return truth, estimate, error, interval and "" or, without an estimate, the reason."""
    nothing = (np.nan,) * 5
    try:
        effects = estimate(design, trial.method, **trial.options)
        overall = _overall(effects)
        row = infer(overall, level=level).iloc[0]
    except NotIdentifiedError as error:
        return (*nothing, "; ".join(error.reasons))
    except EvalaidError as error:
        return (*nothing, str(error).splitlines()[0])
    if np.isnan(row[ESTIMATE]):
        return (*nothing, str(overall.cells["reason"].iloc[0]) or "the estimate is missing")
    truth = true_effect_of(effects, design, panel)
    return (truth, *results_of(row, IN_UNIT).values(), "")


def _overall(effects: Effects) -> Effects:
    if "parameter" in effects.cells:
        return effects.select(parameter="average level")
    return effects.aggregate("overall")


def true_effect_of(effects: Effects, design: Design, panel: SimulatedPanel) -> float:
    """Average the true effects as the estimate averages its cells, so that bias is no difference between estimands."""
    true = true_effects(effects, design, panel)
    cells, used = effects.cells, ~np.isnan(true)
    if not {"cohort", "period", "event_time"} & set(cells):
        return float(true[used][0])
    after = used
    if {"cohort", "period"} <= set(cells):
        after = used & (cells["period"].to_numpy() >= cells["cohort"].to_numpy())
    elif "event_time" in cells:
        after = used & (cells["event_time"].to_numpy() >= 0)
    size = effects.size if "cohort" in cells else np.ones(len(cells))
    return float(np.average(true[after], weights=size[after]))


def true_effects(effects: Effects, design: Design, panel: SimulatedPanel) -> NDArray[np.float64]:
    """Return the true effect behind each cell, (cells,): zero before the start, NaN where there is no estimate.

    Assumes that a method with one number targets the plain mean over treated unit-periods of its panel; effects by dose
    without untreated units are effects beyond that of the lowest dose.
    """
    matrices, roles = design.matrices, panel.roles
    table = panel.frame[[roles["unit"], "true_effect"]].assign(at=parse_periods(panel.frame[roles["period"]]).ordinal)
    wide = table.pivot_table(index=roles["unit"], columns="at", values="true_effect")
    true = wide.loc[matrices.units, matrices.periods].to_numpy()
    since = matrices.unit_time
    treated = np.nan_to_num(since, nan=-1.0) >= 0
    cells = effects.cells
    by = [name for name in ("cohort", "period", "event_time") if name in cells]
    if not by:
        lowest = "parameter" in cells and not cells["n_comparison"].any()
        whole = float(true[treated].mean()) - (_at_lowest_dose(design, true, treated) if lowest else 0.0)
        return np.full(len(cells), whole)

    def where(cell: Mapping[Any, Any]) -> NDArray[np.bool_]:
        chosen = treated
        if "cohort" in cell:
            chosen = chosen & (matrices.cohort == cell["cohort"])[:, None]
        if "period" in cell:
            chosen = chosen & (matrices.periods == cell["period"])[None, :]
        if "event_time" in cell:
            chosen = chosen & (since == cell["event_time"])
        return chosen

    masks = [where(cell) for cell in cells[by].to_dict("records")]
    values = np.array([float(true[mask].mean()) if mask.any() else 0.0 for mask in masks])
    return np.where(np.isnan(effects.value), np.nan, values)


def _at_lowest_dose(design: Design, true: NDArray[np.float64], treated: NDArray[np.bool_]) -> float:
    """Average the true effects of the units with the lowest dose; the dose is the design's only covariate."""
    dose = design.matrices.covariates[design.covariates[0]][:, 0]
    rows = treated.any(axis=1)
    rows &= dose == dose[rows].min()
    return float(true[rows[:, None] & treated].mean())
