"""Callaway-Sant'Anna where units are not observed in every period: changes of the same units, not of whoever is there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea

ROUNDING = 1e-12  # sums of some hundred numbers near one


def additive(seed: int) -> pd.DataFrame:
    """A county's own level plus a common path, no noise and no effect; low counties are seldom observed early."""
    rng = np.random.default_rng(seed)
    frame = simulate(seed, n_units=60)
    level = pd.Series(rng.uniform(0.3, 0.9, 60), frame["county"].unique())
    frame["share"] = frame["county"].map(level) + 0.01 * np.sin(frame["quarter"])
    seen = (frame["county"].map(level) > 0.5) | (frame["quarter"] > 4) | (rng.random(len(frame)) < 0.3)
    return frame[seen].reset_index(drop=True)


@pytest.mark.parametrize("comparison", ["not_yet_treated", "never_treated"])
@pytest.mark.parametrize("base_period", ["varying", "universal"])
def test_who_is_observed_is_no_effect(comparison, base_period):
    design = diagnose(additive(3))
    options = {"comparison": comparison, "base_period": base_period}
    value = ea.estimate(design, "callaway_santanna", **options).value
    assert np.nanmax(np.abs(value)) < ROUNDING
    sections = ea.estimate(design, "callaway_santanna", unbalanced="cross_sections", **options).value
    assert np.nanmax(np.abs(sections)) > 0.05


@pytest.mark.parametrize("adjustment", ["none", "regression", "ipw", "doubly_robust"])
@pytest.mark.parametrize("weight", [None, "weight"])
def test_a_cell_is_the_cell_of_a_panel_of_the_units_seen_in_both_of_its_periods(adjustment, weight):
    frame = simulate(5, n_units=90, missing=0.15)
    options = {"covariates": ("log_gdp",), "weight": weight}
    effects = ea.estimate(diagnose(frame, **options), "callaway_santanna", adjustment=adjustment)
    table = ea.infer(effects, vcov="CR0").set_index(["cohort", "period"])
    for cohort, period in ((4, 3), (4, 6), (6, 7)):
        base = cohort - 1 if period >= cohort else period - 1
        two = frame[frame["quarter"].isin([base, period])]
        two = two[two.groupby("county")["quarter"].transform("size") == 2]
        two = two[(two["cohort"] == cohort) | two["cohort"].isna() | (two["cohort"] > max(base, period))]
        now = period if period >= cohort else period + 100  # a start between the two periods, whichever they are
        plain = two.assign(quarter=two["quarter"].where(two["quarter"] == base, now))
        plain["cohort"] = np.where(plain["cohort"] == cohort, now, np.nan)
        alone = ea.estimate(diagnose(plain, **options), "callaway_santanna", adjustment=adjustment)
        expected = ea.infer(alone, vcov="CR0").set_index("period").loc[now]
        found = table.loc[(cohort, period)]
        for column in ("estimate", "std_error"):
            assert found[column] == pytest.approx(expected[column], rel=1e-9)
        assert found[["n_treated", "n_comparison"]].tolist() == expected[["n_treated", "n_comparison"]].tolist()


def test_a_cell_without_anybody_seen_twice_says_so():
    frame = simulate(7, n_units=12, n_periods=6, cohorts=(4, None))
    gone = frame["cohort"].notna() & (frame["quarter"] == 3)
    frame["one"] = frame["county"] == "C000"
    kept = frame[~gone | frame["one"]]
    kept = kept[~(kept["one"] & (kept["quarter"] == 5))]
    cells = ea.estimate(diagnose(kept), "callaway_santanna").tidy().set_index("period")
    assert cells.loc[5, "reason"] == "no unit of the cohort is observed in both 3 and 5"
    assert cells.loc[4, ["n_treated", "n_comparison"]].tolist() == [1, 6]


def test_gaps_that_other_programmes_leave_are_no_effect():
    frame = additive(9)
    full = frame.groupby("county")["quarter"].transform("size") == 8
    low = frame.loc[full, "county"].unique()[::3]
    events = pd.DataFrame({"unit": low, "start": 5, "end": 6, "programme": "another"})
    table = ea.overlap(diagnose(frame[full]), events, "callaway_santanna").table.set_index("sample")
    assert table.loc["without overlapping periods", "estimate"] == pytest.approx(0.0, abs=ROUNDING)
