"""A start inside a period: the period is neither before nor after, and never a base."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalaid as ea
from evalaid.did.panel.comparisons import base_columns
from evalaid.programme.cohorts import assign_cohorts
from evalaid.programme.roster import Roster

# Exactly parallel outcomes: what is left is rounding.
EXACT = 1e-10
EFFECT, PART = 2.22, 1.11
KEYS = {"unit": "county", "period": "year", "outcome": "y", "cohort": "first"}
ANY_GAP = ["two_by_two", "twfe", "event_study", "callaway_santanna", "sun_abraham", "etwfe", "imputation", "lp_did"]


def panel(cohorts=(2015, 2017, None), mixed=False, n=30):
    """Starts in the middle of the year before the first full one, when half of the effect shows."""
    rng = np.random.default_rng(4)
    years = np.arange(2010, 2022)
    first = np.array([np.nan if g is None else float(g) for g in cohorts])[np.arange(n) % len(cohorts)]
    inside = ~np.isnan(first) & (np.arange(n) % 2 == 0 if mixed else True)
    partly = inside[:, None] & (years == first[:, None] - 1)
    effect = EFFECT * (years >= first[:, None]) + PART * partly
    outcome = rng.normal(size=n)[:, None] + np.cumsum(rng.normal(size=len(years))) + effect
    return pd.DataFrame(
        {
            "county": np.repeat(np.arange(n), len(years)),
            "year": np.tile(years, n),
            "y": outcome.ravel(),
            "first": np.repeat(first, len(years)),
            "part": partly.ravel().astype(int),
        }
    )


@pytest.mark.parametrize("method", ANY_GAP)
@pytest.mark.parametrize("mixed", [False, True])
def test_the_effect_is_found_by_every_method_that_takes_gaps(method, mixed):
    if mixed and method == "etwfe":
        pytest.skip("etwfe has cohort effects, not unit effects: it takes who is observed in a period for the cohort")
    design = ea.diagnose(panel(mixed=mixed), **KEYS, partial="part")
    assert any("treated in a part of the period" in note for note in design.notes)
    effects = ea.estimate(design, method)
    effects = effects.aggregate("overall") if "cohort" in effects.cells or "event_time" in effects.cells else effects
    np.testing.assert_allclose(effects.value, EFFECT, atol=EXACT)


@pytest.mark.parametrize("method", ["etwfe", "two_by_two"])
def test_where_gaps_change_who_is_compared_the_estimand_says_so(method):
    whole, gaps = panel(), panel().drop(index=[1, 8])
    assert "observations are missing" not in ea.estimate(ea.diagnose(whole, **KEYS), method).estimand
    assert "; where observations are missing, " in ea.estimate(ea.diagnose(gaps, **KEYS), method).estimand


@pytest.mark.parametrize("method", ["callaway_santanna", "sun_abraham", "event_study"])
def test_without_the_column_half_of_the_effect_is_taken_for_the_time_before(method):
    found = ea.estimate(ea.diagnose(panel(), **KEYS), method).aggregate("overall").value[0]
    assert found < EFFECT - 0.5


def test_no_base_is_partly_treated():
    design = ea.diagnose(panel(mixed=True), **KEYS, partial="part")
    assert design.matrices.periods[base_columns(design.matrices)].tolist() == [2013, 2015]
    subset = design.subset(design.matrices.cohort != 2015)
    assert subset.matrices.periods[base_columns(subset.matrices)].tolist() == [2015]


def test_other_values_than_zero_and_one_are_faults():
    with pytest.raises(ea.EvalaidError, match="partial is neither 0 nor 1"):
        ea.diagnose(panel().assign(part=0.75), **KEYS, partial="part")


def test_a_roster_says_which_period_a_start_falls_in():
    roster = Roster.read(pd.DataFrame({"area": ["P", "Q"], "begun": ["2021-02-18", "2022-01-01"]}), "area", "begun")
    assert assign_cohorts(roster, "year", "first_full_period").partial_by_unit.to_dict() == {"P": 2021}
    assert assign_cohorts(roster, "year").partial_by_unit.empty


@pytest.mark.parametrize("method", ["event_study", "sun_abraham", "callaway_santanna", "imputation", "lp_did", "etwfe"])
@pytest.mark.parametrize("years", [range(2000, 2022, 2), [2010, 2011, 2013, 2015, 2017, 2018, 2020]])
def test_waves_are_measured_from_the_last_one_before_the_start(method, years):
    rng = np.random.default_rng(1)
    years = np.array(list(years))
    first = np.where(np.arange(30) % 3 == 0, years[4], np.where(np.arange(30) % 3 == 1, years[5], np.nan)).astype(float)
    outcome = rng.normal(size=30)[:, None] + np.cumsum(rng.normal(size=len(years))) + EFFECT * (years >= first[:, None])
    frame = pd.DataFrame(
        {
            "county": np.repeat(np.arange(30), len(years)),
            "year": np.tile(years, 30),
            "y": outcome.ravel(),
            "first": np.repeat(first, len(years)),
        }
    )
    effects = ea.estimate(ea.diagnose(frame, **KEYS), method)
    np.testing.assert_allclose(effects.aggregate("overall").value, EFFECT, atol=EXACT)
