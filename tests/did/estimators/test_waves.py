"""Panels in waves: event times count waves; a panel every second year is the panel of its renumbered periods."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalaid as ea
from evalaid.base.errors import EvalaidError

KEYS = {"unit": "county", "period": "wave", "outcome": "y", "cohort": "first"}
EFFECT = 3.0
# Two ways through the same sums, periods written otherwise.
SAME = 1e-12
EXACT = 1e-9

BIENNIAL = 2000 + 2 * np.arange(8)
UNEQUAL = np.array([2003, 2006, 2008, 2009, 2012, 2015, 2017, 2018])
ONLY_THREE = np.array([2015, 2017, 2018])
METHODS = {
    "event_study": {},
    "sun_abraham": {},
    "callaway_santanna": {"base_period": "universal"},
    "imputation": {"pretrends": "leads"},
    "stacked": {"before": 2, "after": 1},
    "lp_did": {},
    "etwfe": {"comparison": "never_treated"},
    "dcdh": {},
    "efficient": {},
    "synthetic_did": {},
    "twfe": {},
    "two_by_two": {},
    "synthetic_control": {},
    "augmented_synthetic_control": {},
    "matrix_completion": {"penalty": 0.9},
    "interactive_effects": {"factors": 0},
    "dose": {"dose": "dose"},
    "triple_difference": {"eligible": "eligible"},
}
# A covariate that is part of what these estimate.
OWN = {"dose": ["dose"], "triple_difference": ["eligible"]}
SHRUNK = {"matrix_completion", "synthetic_control"}  # weights and penalties leave something of level differences
WITH_TIME_BEFORE = ["event_study", "sun_abraham", "callaway_santanna", "imputation", "stacked", "lp_did", "dcdh"]


def panel(years, *, starts=(4, 5, None), noise=0.0, n_units=30, seed=1) -> pd.DataFrame:
    """Simulate units, a third of which starts with each wave of ``starts``; the effect is the same in all waves."""
    rng = np.random.default_rng(seed)
    place = np.array([np.nan if s is None else s for s in starts])[np.arange(n_units) % len(starts)]
    treated = np.arange(len(years)) >= place[:, None]
    outcome = rng.normal(size=(n_units, 1)) + np.cumsum(rng.normal(size=len(years))) + EFFECT * treated
    outcome = outcome + noise * rng.normal(size=outcome.shape)
    first = np.where(np.isnan(place), np.nan, np.asarray(years, dtype=float)[np.nan_to_num(place).astype(int)])
    return pd.DataFrame({
        "county": np.repeat(np.arange(n_units), len(years)), "wave": np.tile(years, n_units), "y": outcome.ravel(),
        "first": np.repeat(first, len(years)),
        "dose": np.repeat(np.where(np.isnan(place), 0.0, 1.0 + np.arange(n_units) % 5), len(years)),
        "eligible": np.repeat(np.arange(n_units) // len(starts) % 2, len(years)),
    })  # fmt: skip


def on_calendar(years, ordinals):
    """Return renumbered periods (1 to T) as the years they stand for."""
    return [years[int(k) - 1] for k in ordinals]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("years", [BIENNIAL, UNEQUAL], ids=["biennial", "unequal"])
@pytest.mark.parametrize("early", [0, 1])
@pytest.mark.crossed(5)
def test_a_panel_in_waves_is_the_panel_of_its_renumbered_periods(method, years, early):
    frame = panel(years, noise=1.0)
    number = {year: k + 1.0 for k, year in enumerate(years)}
    plain = frame.assign(wave=frame["wave"].map(number), first=frame["first"].map(number))
    waves, numbers = (
        ea.estimate(
            ea.diagnose(table, **KEYS, anticipation=early, covariates=OWN.get(method, [])), method, **METHODS[method]
        )
        for table in (frame, plain)
    )
    np.testing.assert_allclose(waves.value, numbers.value, rtol=SAME, atol=SAME)
    np.testing.assert_allclose(waves.influence.matrix(), numbers.influence.matrix(), rtol=SAME, atol=SAME)
    columns = ["std_error", "conf_low", "conf_high"]
    tables = [ea.infer(effects)[columns].to_numpy(dtype=float) for effects in (waves, numbers)]
    np.testing.assert_allclose(*tables, rtol=EXACT, atol=EXACT)
    if "event_time" in waves.cells:
        assert waves.cells["event_time"].tolist() == numbers.cells["event_time"].tolist()
    known = ~np.isnan(numbers.value)
    for key in {"cohort", "period"} & set(waves.cells):
        assert waves.cells[key][known].tolist() == on_calendar(years, numbers.cells[key][known])


def test_every_method_is_tried_on_waves():
    assert set(METHODS) == set(ea.methods()["method"])


@pytest.mark.parametrize("method", [name for name in METHODS if name not in OWN and name not in SHRUNK])
@pytest.mark.parametrize("years", [BIENNIAL, UNEQUAL], ids=["biennial", "unequal"])
def test_a_known_effect_is_found_in_every_wave(method, years):
    effects = ea.estimate(ea.diagnose(panel(years), **KEYS), method, **METHODS[method])
    np.testing.assert_allclose(effects.aggregate("overall").value, EFFECT, atol=EXACT)
    if method in WITH_TIME_BEFORE:
        event = effects.aggregate("event_time")
        time, seen = event.cells["event_time"].to_numpy(), ~np.isnan(event.value)
        np.testing.assert_allclose(event.value[seen], np.where(time[seen] >= 0, EFFECT, 0.0), atol=EXACT)


@pytest.mark.parametrize("method", ["event_study", "sun_abraham", "callaway_santanna", "lp_did", "imputation"])
def test_three_waves_with_unequal_steps(method):
    frame = panel(ONLY_THREE, starts=(1, 2, None))
    design = ea.diagnose(frame, **KEYS)
    said = "steps between the observed years are unequal (2015, 2017, 2018): event times and anticipation count observed years"
    assert any(said in note for note in design.notes)
    effects = ea.estimate(design, method, **METHODS[method])
    event = effects.aggregate("event_time")
    by_time = event.tidy().set_index("event_time")["estimate"]
    assert sorted(by_time.index) == [-2, -1, 0, 1]
    np.testing.assert_allclose(by_time[[0, 1]], EFFECT, atol=EXACT)
    assert ea.infer(effects.aggregate("overall"))["note"].str.contains("count observed years", regex=False).all()


def test_a_stack_of_unequal_waves_says_so():
    effects = ea.estimate(ea.diagnose(panel(UNEQUAL, noise=1.0), **KEYS), "stacked")
    assert (
        ea.infer(effects.aggregate("overall"))["note"]
        .str.contains("unequal (2003, 2006, 2008, 2009, ...)", regex=False)
        .all()
    )


@pytest.mark.parametrize("method", WITH_TIME_BEFORE)
@pytest.mark.parametrize("years", [BIENNIAL, UNEQUAL], ids=["biennial", "unequal"])
@pytest.mark.crossed(3)
def test_sensitivity_to_trends_counts_waves(method, years):
    frame = panel(years, noise=0.05, n_units=24)
    number = {year: k + 1.0 for k, year in enumerate(years)}
    plain = frame.assign(wave=frame["wave"].map(number), first=frame["first"].map(number))
    found = []
    for table in (frame, plain):
        event = ea.estimate(ea.diagnose(table, **KEYS), method, **METHODS[method]).aggregate("event_time")
        window = event.select(event_time=range(-2, 2))
        bounds = ea.honest(window, m=[0, 1], method="conditional", points=40, vcov="CR1")
        power = ea.pretrend_power(window, points=256, vcov="CR1")
        found.append((bounds, power, ea.pretrend_test(window, draws=199, vcov="CR1")))
    (bounds, power, test), (same_bounds, same_power, same_test) = found
    ends = ["conf_low", "conf_high"]
    np.testing.assert_allclose(bounds.table[ends], same_bounds.table[ends], rtol=EXACT)
    np.testing.assert_allclose(power.table["slope"], same_power.table["slope"], rtol=EXACT)
    np.testing.assert_allclose(test.table["bound"], same_test.table["bound"], rtol=EXACT)
    np.testing.assert_allclose(bounds.table.loc[0, ends].astype(float), EFFECT, atol=0.1)
    if years is UNEQUAL:
        for note in (bounds.table["note"], power.table["note"], test.table["note"]):
            assert note.str.contains("event times and anticipation count observed years", regex=False).all()


def test_placebo_starts_move_by_waves():
    found = ea.placebo(ea.diagnose(panel(BIENNIAL, noise=1.0), **KEYS), "callaway_santanna", kind="time", shifts=(1, 2))
    number = {year: k + 1.0 for k, year in enumerate(BIENNIAL)}
    frame = panel(BIENNIAL, noise=1.0)
    plain = frame.assign(wave=frame["wave"].map(number), first=frame["first"].map(number))
    same = ea.placebo(ea.diagnose(plain, **KEYS), "callaway_santanna", kind="time", shifts=(1, 2))
    np.testing.assert_allclose(found.table["estimate"], same.table["estimate"], rtol=EXACT)


def test_notes_name_the_step_and_missing_waves():
    assert (
        "waves are 2 years apart: event times and anticipation count waves"
        in ea.diagnose(panel(BIENNIAL), **KEYS).notes
    )
    notes = ea.diagnose(panel(np.delete(BIENNIAL, 6)), **KEYS).notes
    assert any(
        "no unit is observed in some years of the calendar (after 2010); event times count the missing waves, too"
        in text
        for text in notes
    )


@pytest.mark.parametrize("method", ["event_study", "lp_did", "callaway_santanna", "sun_abraham"])
def test_a_hole_just_before_a_start_is_no_reference_of_the_others(method):
    """Yearly, 2013 is missing and one cohort starts in 2014: its base is 2012, at event time -2, which others estimate."""
    years = np.delete(np.arange(2008, 2018), 5)
    frame = panel(years, starts=(5, 7, None))
    frame["y"] += 0.5 * ((frame["first"] == 2016) & (frame["wave"] == 2014))
    event = ea.estimate(ea.diagnose(frame, **KEYS), method, **METHODS[method]).aggregate("event_time")
    by_time = event.tidy().set_index("event_time")["estimate"]
    np.testing.assert_allclose(by_time[-2], 0.5, atol=0.3)
    assert by_time[-2] > 0.2
    if method != "event_study":
        np.testing.assert_allclose(by_time[-2], 0.5, atol=EXACT)


def test_a_hole_that_no_cohort_is_observed_in_is_closed_and_told():
    years = np.delete(np.arange(2008, 2018), 7)
    event = ea.estimate(ea.diagnose(panel(years, starts=(6, None), noise=1.0), **KEYS), "event_study")
    assert 1 not in event.cells["event_time"].tolist()
    bounds = ea.honest(event.select(event_time=range(-3, 3)), m=0, method="conditional", points=40)
    assert "no cohort is observed at event time 1: the neighbours count as one step apart" in bounds.table["note"][0]
    with pytest.raises(EvalaidError, match="not consecutive"):
        ea.honest(event.select(event_time=[-3, -1, 0]), m=0)
