"""The weights of the two-way coefficient: dense dummies, and the spread of effects by optimisation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from support.panels import counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import EstimationError

# Two ways through the same least squares.
DENSE = 1e-9
# The optimiser stops at 1e-10 of the objective.
OPTIMISED = 1e-4


def by_hand(frame, treatment, weight=None, controls=()):
    """Residual of treatment on dense dummies; weights of treated rows by county and quarter, and the coefficient."""
    dummies = pd.get_dummies(frame[["county", "quarter"]].astype(str)).to_numpy(dtype=float)
    x = np.column_stack([dummies, frame[list(controls)].to_numpy(dtype=float)])
    mass = frame[weight].to_numpy() if weight else np.ones(len(frame))
    root = np.sqrt(mass)
    d, y = treatment.to_numpy(dtype=float), frame["share"].to_numpy()
    left = d - x @ np.linalg.lstsq(x * root[:, None], d * root, rcond=None)[0]
    total = (mass * left * d).sum()
    rows = d > 0
    found = frame[rows].assign(by_hand=(mass * left * d)[rows] / total)
    return found.set_index(["county", "quarter"])["by_hand"], float((mass * left * y).sum() / total)


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, "weight"])
@pytest.mark.parametrize("controls", [(), ("share_65",)])
def test_weights_are_residuals_on_dense_dummies(missing, weight, controls):
    frame = simulate(41, n_units=24, missing=missing)
    weights = ea.twfe_weights(diagnose(frame, weight=weight, covariates=controls))
    expected, coefficient = by_hand(frame, frame["quarter"] >= frame["cohort"], weight, controls)
    found = weights.table.set_index(["unit", "period"])["weight"]
    np.testing.assert_allclose(found, expected.reindex(found.index), rtol=DENSE, atol=DENSE)
    assert len(found) == len(expected)
    assert weights.estimate == pytest.approx(coefficient, abs=DENSE)
    twfe = ea.estimate(diagnose(frame, weight=weight, covariates=controls), "twfe").value[0]
    assert weights.estimate == pytest.approx(twfe, abs=DENSE)
    assert weights.table["weight"].sum() == pytest.approx(1, abs=DENSE)


def test_the_weighted_effects_are_the_coefficient():
    """Without noise the coefficient is the weighted sum of the effects that were put in."""
    frame = simulate(42, n_units=20, effect=0.0)
    frame["share"] = 0.3 + 0.01 * frame["quarter"]
    effect = np.random.default_rng(1).normal(size=len(frame)) * (frame["quarter"] >= frame["cohort"])
    weights = ea.twfe_weights(diagnose(frame.assign(share=frame["share"] + effect), outcome_unit="number"))
    put_in = pd.Series(effect.to_numpy(), index=pd.MultiIndex.from_frame(frame[["county", "quarter"]]))
    known = put_in.reindex(pd.MultiIndex.from_frame(weights.table[["unit", "period"]])).to_numpy()
    assert (weights.table["weight"] * known).sum() == pytest.approx(weights.estimate, abs=DENSE)


def test_treatment_that_ends_and_units_treated_throughout_take_part():
    frame = simulate(43, n_units=20)
    on = ((frame["quarter"] >= frame["cohort"]) & (frame["quarter"] < frame["cohort"] + 2)).astype(float)
    on[frame["county"] == "C000"] = 1.0
    design = ea.diagnose(frame.assign(on=on), "county", "quarter", "share", treated="on")
    weights = ea.twfe_weights(design)
    expected, coefficient = by_hand(frame, on)
    found = weights.table.set_index(["unit", "period"])["weight"]
    np.testing.assert_allclose(found, expected.reindex(found.index), rtol=DENSE, atol=DENSE)
    assert weights.estimate == pytest.approx(coefficient, abs=DENSE)
    assert "C000" in set(weights.table["unit"])


def test_an_intensity_weighs_by_its_dose():
    frame = simulate(44, n_units=20)
    frame["dose"] = np.where(frame["quarter"] >= frame["cohort"], 1.0 + frame["county"].str[-1].astype(int) % 3, 0.0)
    weights = ea.twfe_weights(diagnose(frame, covariates=("dose",)), "dose")
    expected, coefficient = by_hand(frame, frame["dose"])
    found = weights.table.set_index(["unit", "period"])["weight"]
    np.testing.assert_allclose(found, expected.reindex(found.index), rtol=DENSE, atol=DENSE)
    assert weights.estimate == pytest.approx(coefficient, abs=DENSE)


def late() -> ea.TwoWayWeights:
    """Two cohorts and no untreated unit: early units' late periods weigh negatively."""
    frame = pd.DataFrame({
        "county": np.repeat(["a", "b", "c"], 6), "quarter": np.tile(np.arange(1, 7), 3), "cohort": np.repeat([2.0, 6.0, 5.0], 6),
    })  # fmt: skip
    rng = np.random.default_rng(5)
    frame["share"] = rng.normal(size=18) + 2.0 * (frame["quarter"] >= frame["cohort"])
    return ea.twfe_weights(diagnose(frame, outcome_unit="number"))


def test_the_spread_at_which_the_average_can_be_zero_is_the_smallest_one():
    weights = late()
    w, n = weights.table["weight"].to_numpy(), len(weights.table)
    share = np.full(n, 1 / n)
    # Effects with average zero and the coefficient: along the deviation of the weights.
    direction = w / share - 1
    effects = weights.estimate * direction / (share * direction**2).sum()
    assert (share * effects).sum() == pytest.approx(0, abs=DENSE)
    assert (w * effects).sum() == pytest.approx(weights.estimate, abs=DENSE)
    # The reference divides by n - 1.
    assert weights.sigma_zero * np.sqrt(n / (n - 1)) == pytest.approx(np.sqrt((share * effects**2).sum()), rel=DENSE)


def test_the_spread_at_which_every_effect_can_have_the_other_sign_is_the_smallest_one():
    weights = late()
    assert weights.n_negative > 0
    assert weights.sum_negative == weights.table["weight"][weights.table["weight"] < 0].sum()
    w, beta = weights.table["weight"].to_numpy(), abs(weights.estimate)
    share = np.full(len(w), 1 / len(w))
    best = np.inf
    for seed in range(10):
        start = -np.abs(np.random.default_rng(seed).normal(size=len(w)))
        found = minimize(
            lambda e: (share * e**2).sum() - (share @ e) ** 2,
            start,
            jac=lambda e: 2 * share * (e - share @ e),
            bounds=[(None, 0.0)] * len(w),
            constraints={"type": "eq", "fun": lambda e: w @ e - beta, "jac": lambda e: w},
            method="SLSQP",
            options={"maxiter": 1000, "ftol": 1e-14},
        )
        if found.success:
            best = min(best, found.fun)
    assert weights.sigma_opposite == pytest.approx(np.sqrt(best), rel=OPTIMISED)
    assert weights.sigma_opposite > weights.sigma_zero
    assert "of every effect at one of" in weights.describe()


def test_one_cohort_has_no_negative_weight_and_no_limit():
    frame = counties()
    weights = ea.twfe_weights(diagnose(frame[frame["cohort"].isna() | (frame["cohort"] == 7)]))
    assert weights.n_negative == 0
    assert np.isnan(weights.sigma_opposite)
    assert weights.sigma_zero == np.inf


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda f: f.assign(dose=0.0), "no row is treated"),
        (lambda f: f.assign(dose=-1.0), "treatment is negative"),
        (lambda f: f.assign(dose=f["quarter"].astype(float)), "does not vary beyond unit effects"),
    ],
)
def test_treatments_without_a_coefficient_are_refused(change, text):
    with pytest.raises(EstimationError, match=text):
        ea.twfe_weights(diagnose(change(simulate(45)), covariates=("dose",)), "dose")


# What the tests of R TwoWayFEWeights expect of the wage panel (R/inst/tinytest/test_wagepan.R; tolerance there 1e-4):
# ``twowayfeweights(wagepan, "lwage", "nr", "year", "union", type = "feTR", summary_measures = TRUE)``, and "fdTR" with D0.
PUBLISHED = {
    "fixed_effects": (0.10662746641838491, 820, 147, -0.01052899, 0.0968691, 3.175859),
    "first_differences": (0.06009597, 611, 405, -0.04763605, 0.03209515, 0.5799135),
}
# They are printed to seven digits, from wages in single precision.
PRINTED = 1e-6


@pytest.mark.parametrize("regression", list(PUBLISHED))
def test_weights_of_the_wage_panel_are_those_of_the_reference(regression):
    frame = pd.read_csv(Path(__file__).parents[2] / "golden" / "wagepan" / "wagepan.csv")
    design = ea.diagnose(frame, "nr", "year", "lwage", path="union", outcome_unit="number")
    found = ea.twfe_weights(design, regression=regression)
    estimate, positive, negative, total, zero, opposite = PUBLISHED[regression]
    assert (found.n_positive, found.n_negative, len(found.table)) == (positive, negative, 1016)
    assert found.estimate == pytest.approx(estimate, rel=PRINTED)
    assert found.sum_negative == pytest.approx(total, rel=PRINTED)
    assert found.sigma_zero == pytest.approx(zero, rel=PRINTED)
    assert found.sigma_opposite == pytest.approx(opposite, rel=PRINTED)


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, "weight"])
@pytest.mark.parametrize("controls", [(), ("share_65",)])
def test_weights_of_first_differences_are_residuals_of_changes(missing, weight, controls):
    """Changes between quarters that follow one another, regressed on dummies of quarters and on changes of the controls."""
    frame = simulate(46, n_units=24, missing=missing).sort_values(["county", "quarter"]).reset_index(drop=True)
    found = ea.twfe_weights(diagnose(frame, weight=weight, covariates=controls), regression="first_differences")
    frame["d"] = (frame["quarter"] >= frame["cohort"]).astype(float)
    after = frame.groupby("county")["quarter"].diff() == 1
    change = frame.groupby("county")[["share", "d", *controls]].diff()[after]
    mass = frame.loc[after, weight].to_numpy() if weight else np.ones(int(after.sum()))
    x = np.column_stack(
        [pd.get_dummies(frame.loc[after, "quarter"]).to_numpy(float), change[list(controls)].to_numpy()]
    )
    root, d = np.sqrt(mass), change["d"].to_numpy()
    left = mass * (d - x @ np.linalg.lstsq(x * root[:, None], d * root, rcond=None)[0])
    assert found.estimate == pytest.approx(left @ change["share"] / (left @ d), abs=DENSE)
    score = pd.Series(0.0, index=frame.index)
    score[after] += left
    score[frame.index[after] - 1] -= left
    frame["w"] = score * frame["d"] / (left @ d)
    wanted = frame[frame["d"] > 0].set_index(["county", "quarter"])["w"]
    by_cell = found.table.set_index(["unit", "period"])["weight"]
    np.testing.assert_allclose(by_cell, wanted.reindex(by_cell.index), atol=DENSE)
    assert found.table["weight"].sum() == pytest.approx(1, abs=DENSE)


@pytest.mark.parametrize(
    "options", [{"stratum": "region"}, {"exposure": "part"}, {"partial": "hidden"}, {"anticipation": 1}]
)
def test_the_coefficient_is_that_of_twfe_whatever_the_design_names(options):
    frame = simulate(47, n_units=24)
    number = frame["county"].str[1:].astype(int)
    event = frame["quarter"] - frame["cohort"]
    part = np.where(event > 0, 1.0, np.where(event == 0, (1 + number % 4) / 4, 0.0))
    frame = frame.assign(region=number // 6 % 3, part=part, hidden=(event == -1).astype(int))
    design = diagnose(frame, **options)
    weights = ea.twfe_weights(design)
    assert weights.estimate == pytest.approx(ea.estimate(design, "twfe").value[0], abs=DENSE)
    assert weights.table["weight"].sum() == pytest.approx(1, abs=DENSE)
    if (
        not {"partial", "anticipation"} & options.keys()
    ):  # there no change into treatment is between quarters that follow one another
        ea.twfe_weights(design, regression="first_differences")


def test_first_differences_have_period_effects_of_each_stratum():
    frame = simulate(48, n_units=24).sort_values(["county", "quarter"]).reset_index(drop=True)
    frame["region"] = frame["county"].str[1:].astype(int) // 6 % 3
    found = ea.twfe_weights(diagnose(frame, stratum="region"), regression="first_differences")
    frame["d"] = (frame["quarter"] >= frame["cohort"]).astype(float)
    change = frame.groupby("county")[["share", "d"]].diff()
    kept = change["d"].notna()
    x = pd.get_dummies(frame["region"].astype(str) + "q" + frame["quarter"].astype(str))[kept].to_numpy(float)
    d = change.loc[kept, "d"].to_numpy()
    left = d - x @ np.linalg.lstsq(x, d, rcond=None)[0]
    assert found.estimate == pytest.approx(left @ change.loc[kept, "share"] / (left @ d), abs=DENSE)


def test_a_regression_that_is_none_of_the_two_is_refused():
    with pytest.raises(EstimationError, match="choose 'fixed_effects' or 'first_differences'"):
        ea.twfe_weights(diagnose(simulate(45)), regression="long")
