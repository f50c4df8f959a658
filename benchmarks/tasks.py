"""The panels and our tasks: each starts from the frame and ends with the table of estimates and errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

import evalaid as ea
from evalaid.did.effects.aggregation import Aggregation
from evalaid.did.sensitivity.choices.declared import Specification, all_subsets, declare

SIZES = {"S": (57, 24), "M": (2_800, 40), "L": (100_000, 20)}
SEED = 20_261_122
VARYING = ("v1", "v2", "v3", "v4", "v5")
CURVE, MIXED = "1,000 specifications, linear", "1,000 specifications, 200 Callaway-Sant'Anna"
Task = Callable[[], object]


def simulated_panel(n_units: int, n_periods: int) -> pd.DataFrame:
    """Simulate a balanced panel with six cohorts, never-treated units and one baseline covariate."""
    rng = np.random.default_rng(SEED)
    starts = np.linspace(3, n_periods - 2, 6).round()
    cohort = np.array([*starts, np.nan, np.nan])[rng.integers(0, 8, n_units)]
    unit, period = np.divmod(np.arange(n_units * n_periods), n_periods)
    x = rng.normal(size=n_units)
    noise = rng.normal(size=n_units)[unit] + rng.normal(size=unit.size)
    treated = period + 1 >= cohort[unit]
    outcome = noise + 0.1 * period + 0.3 * x[unit] * period / n_periods + 0.5 * treated
    return pd.DataFrame({
        "unit": unit, "period": period + 1, "y": outcome, "cohort": cohort[unit], "x": x[unit],
        "rate": 1 / (1 + np.exp(-outcome / 4)), "eligible": (rng.random(n_units) < 0.5).astype(float)[unit],
        "dose": np.where(np.isnan(cohort), 0.0, rng.uniform(0.5, 2.0, n_units))[unit],
    })  # fmt: skip


EVENT, NEVER = {"by": "event_time"}, {"comparison": "never_treated"}
SANTANNA = {"method": "callaway_santanna", **EVENT}
WITH_X = {**SANTANNA, "covariates": ("x",)}
# Name of the task: the method, what to average over, covariates, outcome, and the options of the method.
FITS: dict[str, dict[str, Any]] = {
    "two by two": {"method": "two_by_two", "by": "overall"},
    "two-way fixed effects": {"method": "twfe"},
    "event study": {"method": "event_study"},
    "Callaway-Sant'Anna": {**SANTANNA, **NEVER},
    "Callaway-Sant'Anna, regression": {**WITH_X, **NEVER, "adjustment": "regression"},
    "Callaway-Sant'Anna, doubly robust": {**WITH_X, **NEVER},
    "Callaway-Sant'Anna, doubly robust, not yet treated": {**WITH_X, "comparison": "not_yet_treated"},
    "Sun-Abraham": {"method": "sun_abraham", **EVENT},
    "extended two-way fixed effects, linear": {"method": "etwfe", **EVENT},
    "extended two-way fixed effects, logit": {"method": "etwfe", **EVENT, "outcome": "rate", "family": "binomial"},
    "imputation, all horizons": {"method": "imputation", **EVENT},
    "stacked": {"method": "stacked", **EVENT},
    "local projections": {"method": "lp_did"},
    "efficient": {"method": "efficient"},
    "treatment paths (dCDH)": {"method": "dcdh"},
    "dose": {"method": "dose", "covariates": ("dose",)},
    "triple difference": {"method": "triple_difference", **EVENT, "covariates": ("eligible",)},
    "synthetic difference-in-differences": {"method": "synthetic_did"},
    "synthetic control": {"method": "synthetic_control"},
    "augmented synthetic control": {"method": "augmented_synthetic_control"},
    "matrix completion, one penalty": {"method": "matrix_completion", "penalty": 0.1},
    "interactive fixed effects": {"method": "interactive_effects"},
}
DIAGNOSE, BACON = "diagnose", "Goodman-Bacon decomposition"
WILD, WILD_AVERAGE = "wild bootstrap, two-way fixed effects", "wild bootstrap, average of Sun-Abraham"
UNBALANCED, UNBALANCED_AVERAGE = f"{WILD}, unbalanced with a covariate", f"{WILD_AVERAGE}, unbalanced with a covariate"
# Share of the rows that an unbalanced panel lacks.
MISSING = 0.05


def our_tasks(size: str, frame: pd.DataFrame) -> dict[str, Task]:
    """Give our tasks by name."""
    tasks: dict[str, Task] = {DIAGNOSE: lambda: ea.diagnose(frame, "unit", "period", "y", "cohort", covariates=("x",))}
    tasks |= {name: partial(fit, frame, **how) for name, how in FITS.items()}
    tasks[BACON] = lambda: ea.bacon(ea.diagnose(frame, "unit", "period", "y", "cohort"))
    tasks |= wild_tasks(frame)
    return tasks | (unbalanced_tasks(frame) | curve_tasks(frame) if size == "M" else {})


def wild_tasks(frame: pd.DataFrame) -> dict[str, Task]:
    """Give the wild bootstraps by unit, p-value and confidence set from 9,999 draws; the effects are estimated before."""
    design = ea.diagnose(frame, "unit", "period", "y", "cohort")
    average = ea.estimate(design, "sun_abraham").aggregate("overall")
    return {
        WILD: partial(ea.wild_bootstrap, ea.estimate(design, "twfe"), kind="WCR11"),
        WILD_AVERAGE: partial(ea.wild_bootstrap, average, kind="WCR11"),
    }


def unbalanced_tasks(frame: pd.DataFrame) -> dict[str, Task]:
    """Give the same where clusters have nothing in common: rows are missing, a covariate varies; the most demanding kind."""
    rng = np.random.default_rng(SEED + 2)
    varying = frame.assign(v=rng.normal(size=len(frame)) + 0.2 * frame["y"])[rng.random(len(frame)) >= MISSING]
    design = ea.diagnose(varying, "unit", "period", "y", "cohort", covariates=("v",))
    average = ea.estimate(design, "sun_abraham").aggregate("overall")
    return {
        UNBALANCED: partial(ea.wild_bootstrap, ea.estimate(design, "twfe"), kind="WCR33"),
        UNBALANCED_AVERAGE: partial(ea.wild_bootstrap, average, kind="WCR33"),
    }


def fit(
    frame: pd.DataFrame,
    method: str,
    by: Aggregation | None = None,
    covariates: tuple[str, ...] = (),
    outcome: str = "y",
    **options: Any,
) -> pd.DataFrame:
    """Validate the frame, estimate, average and give the table with errors."""
    design = ea.diagnose(frame, "unit", "period", outcome, "cohort", covariates=covariates)
    effects = ea.estimate(design, method, **options)
    return ea.infer(effects.aggregate(by) if by else effects, vcov="reference")


def curve_tasks(frame: pd.DataFrame) -> dict[str, Task]:
    """Give the specification curves: five time-varying covariates; Callaway-Sant'Anna with a baseline one."""
    rng = np.random.default_rng(SEED + 1)
    wide = frame.assign(**{name: rng.normal(size=len(frame)) + 0.2 * frame["y"] for name in VARYING})
    last = int(frame["period"].max())
    windows = [(first, end) for first in (1, 2, 3, 4) for end in (last, last - 1)]
    linear = declare(["twfe", "event_study", "sun_abraham", "imputation"], all_subsets(VARYING), windows)
    adjustments = [
        ("callaway_santanna", {"adjustment": word}) for word in ("none", "regression", "ipw", "doubly_robust")
    ]
    other = declare(adjustments, [(), ("x",)], windows, ["never_treated", "not_yet_treated"])
    anticipating = [(name, {**options, "anticipation": 1}) for name, options in adjustments]
    other += declare(anticipating, [(), ("x",)], windows, ["never_treated", "not_yet_treated"])

    def curve(specifications: tuple[Specification, ...]) -> Task:
        def task() -> object:
            design = ea.diagnose(wide, "unit", "period", "y", "cohort", covariates=("x", *VARYING))
            return ea.specification_curve(design, specifications)

        return task

    return {CURVE: curve(linear[:1000]), MIXED: curve((*linear[:800], *other[:200]))}
