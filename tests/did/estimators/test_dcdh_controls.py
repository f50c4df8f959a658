"""Treatment paths given covariates, strata and linear trends: against the authors' own code, by hand, by derivative."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalaid as ea
from evalaid.base.errors import EstimationError

GOLDEN = Path(__file__).parents[2] / "golden" / "multiplegt"
REFERENCE = json.loads((GOLDEN / "paths.json").read_text())
# The same sums in double precision; the reference inverts by pinv.
EXACT = 1e-9
PRINTED = 5e-5  # four printed digits
# A central difference with step 1e-5 keeps about ten digits.
STEP, DERIVATIVE = 1e-5, 1e-7
CONTROLS = ("x", "z")
EVERYTHING = {"covariates": CONTROLS, "stratum": "region"}


@pytest.fixture(scope="module")
def frame():
    return pd.read_csv(GOLDEN / "paths.csv")


def diagnose(frame, **options):
    return ea.diagnose(frame, "unit", "year", "y", path="d", outcome_unit="number", **options)


def by_event_time(design, **options):
    return ea.estimate(design, "dcdh", **options).aggregate("event_time").tidy().set_index("event_time")


@pytest.mark.parametrize("case", list(REFERENCE))
def test_effects_equal_those_of_the_reference(frame, case):
    """Of placebos the first is the same comparison; with linear trends it carries the other sign and stands one period later."""
    wanted, linear = REFERENCE[case], "linear" in case
    design = diagnose(
        frame[frame["gap"] == 0] if "gaps" in case else frame,
        covariates=CONTROLS if "controls" in case else (),
        stratum="region" if "strata" in case else None,
    )
    found = by_event_time(
        design,
        trends="linear" if linear else "parallel",
        effect="normalised" if case == "normalised" else "actual",
    )
    np.testing.assert_allclose(found.loc[range(4), "estimate"], wanted["effects"], rtol=EXACT)
    if not linear:
        assert found.loc[range(4), "n_treated"].tolist() == wanted["switchers"]
    if "gaps" not in case and case != "normalised":
        first = -found.loc[-3, "estimate"] if linear else found.loc[-2, "estimate"]
        assert first == pytest.approx(wanted["placebos"][0], rel=EXACT)


@pytest.mark.parametrize(
    ("effect", "published"),
    [
        ("actual", [0.0435, 0.0387, 0.0813, 0.0706, 0.1476]),
        ("normalised", [0.0197, 0.0088, 0.0123, 0.0080, 0.0134]),
    ],
)
def test_published_effects_of_a_path_with_many_levels_and_gaps(effect, published):
    """Favara and Imbs (2015): 214 of 12,552 outcomes are missing, one county starts above the others."""
    wide = pd.read_csv(GOLDEN.parent / "favara_imbs" / "favara_imbs.csv", dtype={"path": str})
    banks = wide.melt(["county", "path"], var_name="year", value_name="y").astype({"year": int})
    banks["d"] = [path[year - 1994] for path, year in zip(banks["path"], banks["year"], strict=True)]
    banks = banks[banks["d"] != "."].astype({"d": float}).rename(columns={"county": "unit"})
    found = by_event_time(diagnose(banks), effect=effect).loc[range(5)]
    assert (found["n_treated"] == 905).all()
    np.testing.assert_allclose(found["estimate"], published, atol=PRINTED)


def test_in_a_panel_with_gaps_linear_trends_are_from_changes_between_years_that_follow_one_another(frame):
    """Unit by unit: the change since F-1 less that many times the change before, against the same of those unchanged in each year."""
    frame = frame[frame["gap"] == 0]
    wide, path = (frame.pivot_table(index="unit", columns="year", values=name) for name in ("y", "d"))
    step = wide.diff(axis=1)
    baseline = path[2010]
    changed = path.ne(baseline, axis=0) & path.notna()
    first = pd.Series(np.where(changed.any(axis=1), changed.idxmax(axis=1), 9999), index=path.index)
    cells = ea.estimate(diagnose(frame), "dcdh", trends="linear").tidy().set_index(["cohort", "period"])
    checked = 0
    for start, year in [(2013, 2013), (2013, 2015), (2014, 2015), (2016, 2018)]:
        values = []
        for unit in first.index[first == start]:
            sign = np.sign(path.loc[unit, start] - baseline[unit])
            so_far = path.loc[unit, :year].dropna() - baseline[unit]
            total = 0.0
            for now in range(start, year + 1):
                own = step.loc[unit, now] - step.loc[unit, start - 1]
                others = step[now] - step[start - 1]
                others = others[(first > now) & (first != start) & (baseline == baseline[unit])].dropna()
                total += sign * (own - others.mean()) if len(others) else np.nan
            if not np.isnan(total) and not ((so_far > 0).any() and (so_far < 0).any()):
                values.append(total)
        assert cells.loc[(start, year), "estimate"] == pytest.approx(np.mean(values), abs=EXACT)
        assert cells.loc[(start, year), "n_treated"] == len(values)
        checked += len(values)
    assert checked > 30


def test_linear_trends_do_not_bias_it_and_two_periods_before_the_change_are_needed():
    years = np.arange(2010, 2018)
    rows = [(u, t, float(u < 6 and t >= 2012 + u % 2 * 2), 0.7 * u * (t - 2010)) for u in range(12) for t in years]
    frame = pd.DataFrame(rows, columns=["unit", "year", "d", "y"])
    frame["y"] += 2.0 * frame["d"] + 0.3 * np.sin(frame["year"])
    assert abs(by_event_time(diagnose(frame)).loc[0, "estimate"] - 2) > 0.1
    found = by_event_time(diagnose(frame), trends="linear")["estimate"]
    np.testing.assert_allclose(found.loc[range(4)], 2, atol=EXACT)
    np.testing.assert_allclose(found.loc[[-4, -3, -2, -1]], 0, atol=EXACT)
    late = diagnose(frame[frame["year"] >= 2011])
    reasons = ea.estimate(late, "dcdh", trends="linear").tidy().set_index("cohort")["reason"]
    assert (reasons[2012] == "no two periods before the change (with anticipation of 0)").all()


def test_steps_of_unequal_length_bend_no_linear_trend():
    years = np.array([2010, 2011, 2014, 2015, 2018])
    rows = [(u, t, float(u < 6 and t >= 2014), 0.7 * u * (t - 2010)) for u in range(12) for t in years]
    frame = pd.DataFrame(rows, columns=["unit", "year", "d", "y"])
    frame["y"] += 2.0 * frame["d"]
    cells = ea.estimate(diagnose(frame), "dcdh", trends="linear").tidy().set_index("period")["estimate"]
    np.testing.assert_allclose(cells, [0, 0, 2, 2, 2], atol=EXACT)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("options", [{}, {"trends": "linear"}, {"effect": "normalised"}])
def test_the_influence_is_the_derivative(frame, gaps, options):
    frame = frame[frame["gap"] == 0] if gaps else frame

    def value(weight, unit):
        weighted = frame.assign(w=np.where(frame["unit"] == unit, weight, 1.0))
        return ea.estimate(diagnose(weighted, weight="w", **EVERYTHING), "dcdh", **options)

    for unit in (1, 5, 30):
        at_one = value(1.0, unit)
        row = at_one.population.units.get_loc(unit)
        slope = (value(1 + STEP, unit).value - value(1 - STEP, unit).value) / (2 * STEP)
        known = ~np.isnan(slope)
        np.testing.assert_allclose(at_one.influence.matrix()[row][known], slope[known], atol=DERIVATIVE)
        assert np.abs(slope[known]).max() > 0


def test_what_was_received_in_a_gap_is_not_known(frame):
    """Unit 1 changes in 2013 or later; without the row of its first year no normalised effect counts it from then on."""
    path = frame.pivot_table(index="unit", columns="year", values="d")
    changed = path.ne(path[2010], axis=0)
    start = changed.idxmax(axis=1).where(changed.any(axis=1))
    unit = start[start == 2013].index[0]
    cut = frame[~((frame["unit"] == unit) & (frame["year"] == 2014))]
    whole, less = (
        ea.estimate(diagnose(part), "dcdh", effect="normalised").tidy().set_index(["cohort", "period"])
        for part in (frame, cut)
    )
    for year, lost in ((2013, 0), (2014, 1), (2016, 1)):
        assert less.loc[(2013, year), "n_treated"] == whole.loc[(2013, year), "n_treated"] - lost
    others = ea.estimate(diagnose(frame[frame["unit"] != unit]), "dcdh", effect="normalised").tidy()
    others = others.set_index(["cohort", "period"])["estimate"]
    assert less.loc[(2013, 2016), "estimate"] == pytest.approx(others[2013, 2016], abs=EXACT)
    # Treatment that is known although the outcome is not leaves no gap.
    blank = frame.assign(y=frame["y"].mask((frame["unit"] == unit) & (frame["year"] == 2014)))
    known = ea.estimate(diagnose(blank), "dcdh", effect="normalised").tidy().set_index(["cohort", "period"])
    assert known.loc[(2013, 2016), "estimate"] == pytest.approx(whole.loc[(2013, 2016), "estimate"], abs=EXACT)
    note = ea.infer(ea.estimate(diagnose(cut), "dcdh", effect="normalised").aggregate("overall"))["note"][0]
    assert "what the unit has received until then is not known" in note


def test_no_result_depends_on_the_unit_of_a_covariate(frame):
    plain = ea.estimate(diagnose(frame, **EVERYTHING), "dcdh")
    scaled = frame.assign(x=1e9 + 1e6 * frame["x"], z=1e-7 * frame["z"])
    np.testing.assert_allclose(ea.estimate(diagnose(scaled, **EVERYTHING), "dcdh").value, plain.value, rtol=1e-6)


def test_covariates_that_do_not_change_or_cannot_be_told_apart_are_named(frame):
    fixed = frame.assign(size=frame["unit"] % 5, twice=2 * frame["x"])
    effects = ea.estimate(diagnose(fixed, covariates=("size",)), "dcdh")
    np.testing.assert_allclose(effects.value, ea.estimate(diagnose(frame), "dcdh").value, atol=EXACT)
    note = ea.infer(effects.aggregate("overall"))["note"][0]
    assert "'size' does not change over time: dcdh adjusts for changes of covariates" in note
    assert effects.estimand.endswith("(actual); without covariates")
    effects = ea.estimate(diagnose(fixed, covariates=("x", "twice")), "dcdh")
    np.testing.assert_allclose(effects.value, ea.estimate(diagnose(frame, covariates=("x",)), "dcdh").value, atol=EXACT)
    assert "do not tell all covariates apart" in ea.infer(effects.aggregate("overall"))["note"][0]
    assert effects.estimand.endswith("(actual); given changes of x, twice")


def test_a_path_among_the_covariates_is_not_adjusted_for():
    rng = np.random.default_rng(4)
    rows = [(u, t, 2013.0 if u < 8 else np.nan, rng.normal()) for u in range(20) for t in range(2010, 2018)]
    frame = pd.DataFrame(rows, columns=["unit", "year", "first", "y"])
    frame["dose"] = np.where(frame["year"] >= frame["first"], 1.0 + frame["unit"] % 3, 0.0)
    keys = {"unit": "unit", "period": "year", "outcome": "y", "cohort": "first"}
    alone = ea.estimate(ea.diagnose(frame, **keys, covariates=["dose"]), "dcdh", path="dose")
    plain = ea.estimate(ea.diagnose(frame, **keys), "dcdh")
    np.testing.assert_allclose(alone.value, plain.value, atol=EXACT)
    with pytest.raises(EstimationError, match="unknown covariate"):
        ea.estimate(ea.diagnose(frame, **keys), "dcdh", covariates=("dose",))
