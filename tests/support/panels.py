"""Simulated panels that the tests of estimators, inference and effects share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import evalaid as ea

YEARS = np.arange(2015, 2021)
GOLDEN = Path(__file__).parents[1] / "golden" / "r"


def counties(name: str = "counties_a") -> pd.DataFrame:
    """Read the simulated county panel behind the golden numbers."""
    return pd.read_csv(GOLDEN / f"{name}.csv")


def diagnose(frame: pd.DataFrame, **options) -> ea.Design:
    """Diagnose a simulated county panel."""
    return ea.diagnose(frame, unit="county", period="quarter", outcome="share", cohort="cohort", **options)


def simulate(
    seed: int, n_units: int = 40, n_periods: int = 8, cohorts=(4, 6, None), effect: float = 0.03, missing: float = 0.0
) -> pd.DataFrame:
    """Simulate a staggered panel with unit and period effects, a covariate, weights and serially correlated errors."""
    rng = np.random.default_rng(seed)
    unit, quarter = (grid.ravel() for grid in np.mgrid[:n_units, 1 : n_periods + 1])
    start = np.array([np.nan if c is None else c for c in cohorts])[np.arange(n_units) % len(cohorts)]
    covariate = rng.normal(size=n_units)
    shock = np.cumsum(rng.normal(0, 0.005, (n_units, n_periods)), axis=1) + rng.normal(0, 0.01, (n_units, n_periods))
    untreated = 0.7 + 0.02 * rng.normal(size=n_units)[unit] + 0.004 * quarter + shock.ravel()
    frame = pd.DataFrame({
        "county": [f"C{i:03d}" for i in unit],
        "prefecture": [f"P{i // 4:02d}" for i in unit],
        "quarter": quarter,
        "cohort": start[unit],
        "log_gdp": covariate[unit],
        "share_65": 14 + rng.normal(size=n_units * n_periods),
        "weight": (1 + rng.integers(1, 9, n_units)).astype(float)[unit],
        "share": np.clip(untreated + effect * (quarter >= start[unit]), 0, 1),
    })  # fmt: skip
    return frame[rng.random(len(frame)) >= missing].reset_index(drop=True) if missing else frame


def simulated_panel(cohorts, seed=1):
    """Simulate one unit per entry of `cohorts` over six years, with counts, a covariate, weights and areas of two units."""
    rng = np.random.default_rng(seed)
    n_units, n_years = len(cohorts), len(YEARS)
    total = rng.integers(800, 1200, n_units * n_years)
    inside = rng.binomial(total, 0.75)
    return pd.DataFrame({
        "county": np.repeat([f"C{number:02d}" for number in range(n_units)], n_years),
        "area": np.repeat([f"P{number // 2:02d}" for number in range(n_units)], n_years),
        "year": np.tile(YEARS, n_units),
        "share": inside / total,
        "inside": inside,
        "total": total,
        "beds": rng.normal(4, 1, n_units * n_years),
        "population": np.repeat(rng.uniform(1, 9, n_units), n_years),
        "first_treated": np.repeat(np.array(cohorts, dtype=float), n_years),
    })  # fmt: skip
