"""Treatment paths from baselines that differ: by hand, with a known effect, by derivative, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalaid as ea
from evalaid.base.errors import DesignError, EstimationError, NotIdentifiedError

KEYS = {"unit": "county", "period": "year", "outcome": "y", "outcome_unit": "number"}
EXACT = 1e-9
# A central difference with step 1e-5 keeps about ten digits.
DERIVATIVE = 1e-7
EFFECT = 2.0
YEARS = np.arange(2010, 2018)


def paths(seed=1, n_units=60, levels=(0.0, 1.0, 2.0)) -> pd.DataFrame:
    """Simulate treatments that change at different times, up or down, from several baselines; trends differ by baseline."""
    rng = np.random.default_rng(seed)
    rows = []
    for unit in range(n_units):
        baseline = levels[unit % len(levels)]
        start = [2013, 2014, 9999, 9999][rng.integers(4)]
        step = (1.0 if baseline == 0 else -1.0) if unit % 2 else (1.0 if baseline < 2 else -2.0)
        trend = rng.normal(size=1) + (1 + baseline) * (YEARS - 2010) + 0.3 * np.sin(YEARS) * baseline
        path = np.where(start <= YEARS, baseline + step, baseline)
        outcome = trend + EFFECT * (path - baseline)
        rows += [(f"C{unit:02d}", *row, float(1 + unit % 3)) for row in zip(YEARS, path, outcome, strict=True)]
    return pd.DataFrame(rows, columns=["county", "year", "d", "y", "weight"])


def by_hand(frame: pd.DataFrame, wanted=(1.0, -1.0)) -> pd.DataFrame:
    """Compute every cell unit by unit from dictionaries, slowly."""
    treatment = frame.pivot_table(index="county", columns="year", values="d")
    outcome = frame.dropna(subset="y").pivot_table(index="county", columns="year", values="y").reindex(treatment.index)
    baseline = treatment.apply(lambda row: row.dropna().iloc[0], axis=1)
    first = {}
    for unit, row in treatment.iterrows():
        changed = [year for year in treatment.columns if not np.isnan(row[year]) and row[year] != baseline[unit]]
        first[unit] = changed[0] if changed else np.inf
    cells = []
    for start in sorted({when for when in first.values() if np.isfinite(when)}):
        for year in outcome.columns:
            base, values = start - 1, []
            if year == base:
                continue
            for unit in (u for u in first if first[u] == start):
                sign = np.sign(treatment.loc[unit, start] - baseline[unit])
                change = outcome.loc[unit, year] - outcome.loc[unit, base]
                so_far = treatment.loc[unit, [y for y in treatment.columns if y <= year]].dropna() - baseline[unit]
                if np.isnan(change) or sign not in wanted or ((so_far > 0).any() and (so_far < 0).any()):
                    continue
                others = [
                    outcome.loc[other, year] - outcome.loc[other, base]
                    for other in first
                    if first[other] > max(year, base) and first[other] != start and baseline[other] == baseline[unit]
                ]
                others = [value for value in others if not np.isnan(value)]
                if others:
                    values.append(sign * (change - np.mean(others)))
            cells.append((start, year, np.mean(values) if values else np.nan, len(values)))
    return pd.DataFrame(cells, columns=["cohort", "period", "by_hand", "n"]).set_index(["cohort", "period"])


def noisy(seed: int) -> pd.DataFrame:
    """Add noise, leave outcomes and whole rows out at random."""
    frame = paths(seed)
    rng = np.random.default_rng(seed + 100)
    frame["y"] += rng.normal(size=len(frame))
    frame.loc[rng.random(len(frame)) < 0.04, "y"] = np.nan
    keep = (rng.random(len(frame)) > 0.04) | frame["year"].isin([2010, 2012, 2013, 2014])
    return frame[keep]


def test_four_units_by_hand():
    """a goes from 0 to 1, b from 1 to 0; c stays at 0 and e at 1: each is compared with its own kind."""
    frame = pd.DataFrame({
        "county": np.repeat(["a", "b", "c", "e"], 3), "year": [2019, 2020, 2021] * 4,
        "d": [0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1],
        "y": [1.0, 4.0, 6.0, 5.0, 6.0, 4.0, 1.0, 2.0, 3.0, 5.0, 6.5, 8.0],
    })  # fmt: skip
    design = ea.diagnose(frame, **KEYS, path="d")
    cells = ea.estimate(design, "dcdh").tidy().set_index(["cohort", "period"])["estimate"]
    assert cells[2020, 2020] == pytest.approx((4 - 1) - (2 - 1))
    assert cells[2020, 2021] == pytest.approx((6 - 1) - (3 - 1))
    assert cells[2021, 2021] == pytest.approx(-((4 - 6) - (8 - 6.5)))
    normalised = ea.estimate(design, "dcdh", effect="normalised").tidy().set_index(["cohort", "period"])["estimate"]
    assert normalised[2020, 2021] == pytest.approx(3 / 2)
    assert "cohorts are first changes of 'd': raised first in 1 unit, lowered in 1" in design.notes[0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("switchers", ["all", "on", "off"])
def test_cells_are_differences_of_means_within_baselines(seed, switchers):
    frame = noisy(seed)
    found = ea.estimate(ea.diagnose(frame, **KEYS, path="d"), "dcdh", switchers=switchers)
    cells = found.tidy().set_index(["cohort", "period"])
    expected = by_hand(frame, {"all": (1.0, -1.0), "on": (1.0,), "off": (-1.0,)}[switchers])
    np.testing.assert_allclose(cells.loc[expected.index, "estimate"], expected["by_hand"], rtol=EXACT, atol=EXACT)
    known = expected["n"] > 0
    assert (cells.loc[expected.index, "n_treated"][known] == expected["n"][known]).all()
    at_one = expected[expected.index.get_level_values("period") == expected.index.get_level_values("cohort") + 1]
    average = found.aggregate("event_time").tidy().set_index("event_time").loc[1, "estimate"]
    assert average == pytest.approx(np.average(at_one["by_hand"], weights=at_one["n"]), abs=EXACT)


def test_the_effect_of_one_unit_of_treatment_is_found_whatever_the_baseline_and_direction():
    design = ea.diagnose(paths(), **KEYS, path="d")
    actual = ea.estimate(design, "dcdh").tidy()
    before = actual[actual["event_time"] < -1]["estimate"].dropna()
    np.testing.assert_allclose(before, 0, atol=EXACT)
    # Some change by two units: the effect for each unit of treatment received in the period itself is 2.
    at_start = ea.estimate(design, "dcdh", effect="normalised").aggregate("event_time").select(event_time=0)
    assert at_start.value[0] == pytest.approx(EFFECT, abs=EXACT)
    up = ea.estimate(design, "dcdh", effect="normalised", switchers="on").select(event_time=0)
    down = ea.estimate(design, "dcdh", effect="normalised", switchers="off").select(event_time=0)
    np.testing.assert_allclose(np.concatenate([up.value, down.value]), EFFECT, atol=EXACT)


@pytest.mark.parametrize("effect", ["actual", "normalised"])
def test_the_influence_is_the_derivative(effect):
    frame = paths(n_units=24)
    frame["y"] += np.random.default_rng(3).normal(size=len(frame))
    step = 1e-5

    def value(weight):
        weighted = frame.assign(weight=np.where(frame["county"] == "C04", weight, 1.0))
        return ea.estimate(ea.diagnose(weighted, **KEYS, path="d", weight="weight"), "dcdh", effect=effect)

    at_one = value(1.0)
    row = at_one.population.units.get_loc("C04")
    slope = (value(1 + step).value - value(1 - step).value) / (2 * step)
    known = ~np.isnan(slope)
    np.testing.assert_allclose(at_one.influence.matrix()[row][known], slope[known], atol=DERIVATIVE)
    assert np.abs(slope[known]).max() > 0


def test_a_path_that_only_starts_is_the_plain_estimate():
    frame = noisy(5).dropna(subset="y")
    frame = frame[frame.groupby("county")["year"].transform("size") == len(YEARS)]
    frame["d"] = (frame["d"] != frame.groupby("county")["d"].transform("first")).astype(float)
    first = frame[frame["d"] > 0].groupby("county")["year"].min()
    plain = ea.estimate(ea.diagnose(frame.assign(first=frame["county"].map(first)), **KEYS, cohort="first"), "dcdh")
    path = ea.estimate(ea.diagnose(frame, **KEYS, path="d"), "dcdh")
    np.testing.assert_allclose(path.value, plain.value, rtol=EXACT, atol=EXACT)
    np.testing.assert_allclose(path.influence.matrix(), plain.influence.matrix(), atol=EXACT)


def test_a_unit_is_left_out_once_its_treatment_has_crossed_its_baseline():
    frame = paths()
    frame.loc[(frame["county"] == "C01") & (frame["year"] >= 2013), "d"] = 2.0
    frame.loc[(frame["county"] == "C01") & (frame["year"] >= 2016), "d"] = -1.0
    found = ea.estimate(ea.diagnose(frame, **KEYS, path="d"), "dcdh").tidy().set_index(["cohort", "period"])
    assert found.loc[(2013, 2016), "n_treated"] == found.loc[(2013, 2015), "n_treated"] - 1


def test_switchers_without_a_stayer_of_their_baseline_are_told():
    frame = paths()
    frame.loc[frame["county"] == "C00", "d"] = np.where(YEARS >= 2014, 0.9, 0.7)
    effects = ea.estimate(ea.diagnose(frame, **KEYS, path="d"), "dcdh")
    notes = ea.infer(effects.aggregate("overall"))["note"]
    assert "1 of " in notes[0]
    assert "no unchanged unit with their baseline treatment" in notes[0]
    different = frame.assign(d=frame["d"] + 0.001 * frame["county"].str[1:].astype(int))
    with pytest.raises(EstimationError, match="no unchanged unit with the same baseline treatment is observed in"):
        ea.estimate(ea.diagnose(different, **KEYS, path="d"), "dcdh")
    with pytest.raises(EstimationError, match=r"no unit whose treatment changes \(off\) can be compared"):
        ea.estimate(ea.diagnose(paths(levels=(0.0,)), **KEYS, path="d"), "dcdh", switchers="off")


@pytest.mark.parametrize("method", ["twfe", "callaway_santanna", "imputation", "event_study", "stacked"])
def test_other_methods_do_not_take_first_changes_for_first_treatments(method):
    design = ea.diagnose(paths(), **KEYS, path="d")
    with pytest.raises(NotIdentifiedError, match=r"first changes of a treatment path.*dcdh follows the path"):
        ea.estimate(design, method)


def test_path_stands_alone():
    with pytest.raises(DesignError, match="Found path= beside cohort= or treated="):
        ea.diagnose(paths().assign(first=2013), **KEYS, path="d", cohort="first")


def test_the_two_way_weights_of_a_path_are_those_of_its_treatment():
    frame = paths()
    by_path = ea.twfe_weights(ea.diagnose(frame, **KEYS, path="d"))
    by_column = ea.twfe_weights(ea.diagnose(frame, **KEYS, path="d", covariates=("d",)), "d")
    assert by_path.estimate == pytest.approx(by_column.estimate, abs=EXACT)
    assert by_path.n_negative == by_column.n_negative > 0
