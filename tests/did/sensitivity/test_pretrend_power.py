"""What a test for trends before treatment would have found, and what it leaves when it finds nothing."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import chi2, f, multivariate_normal, ncx2, truncnorm
from support.panels import GOLDEN, counties, diagnose

import evalaid as ea
from evalaid.base.errors import InferenceError
from evalaid.did.sensitivity.trends.rectangle import inside_rectangle, uniform_points

# R integrates by quasi-random points to about 1e-3; the likelihood ratio needs no integral.
INTEGRATED, CLOSED_FORM = 1e-3, 1e-8


def read(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


@cache
def published():
    """He and Wang's event study."""
    found = read("pretrends_inputs")
    return ea.EventStudy(found["tVec"], found["betahat"], found["sigma"], found["referencePeriod"])


@cache
def expected(key):
    return next(entry["results"] for entry in read("pretrends")["entries"] if entry["id"] == f"HeWang.{key}")


def individual(result):
    return result.table[result.table["test"] == "individual"].reset_index(drop=True)


@pytest.mark.parametrize("power", [0.5, 0.8])
def test_slopes_equal_r(power):
    found = individual(ea.pretrend_power(published(), power=power)).iloc[0]
    assert found["slope"] == pytest.approx(expected(f"slope_for_power_{power}")["slope"], rel=INTEGRATED)
    assert found["power"] == pytest.approx(power, abs=1e-9)


@pytest.mark.parametrize("slope", [0.02, 0.05])
def test_what_a_slope_does_equals_r(slope):
    result = ea.pretrend_power(published(), power=(), slopes=slope)
    found, reference = individual(result).iloc[0], expected(f"pretrends_delta{slope}")
    assert found["power"] == pytest.approx(reference["df_power"]["Power"][0], abs=INTEGRATED)
    assert found["bayes_factor"] == pytest.approx(reference["df_power"]["Bayes.Factor"][0], rel=INTEGRATED)
    assert found["likelihood_ratio"] == pytest.approx(reference["df_power"]["Likelihood.Ratio"][0], rel=CLOSED_FORM)
    path = result.paths[result.paths["test"] == "individual"].set_index("event_time")
    drawn = pd.DataFrame(reference["df_eventplot"]).set_index("t")
    np.testing.assert_allclose(path["violation"], drawn["deltatrue"], atol=1e-15)
    np.testing.assert_allclose(path["estimate"], drawn["betahat"])
    drawn_error = (path["conf_high"] - path["conf_low"]).fillna(0) / (2 * ndtri(0.975))
    np.testing.assert_allclose(drawn_error, drawn["se"], atol=1e-12)
    np.testing.assert_allclose(path["violation_if_passed"], drawn["meanAfterPretesting"], rtol=INTEGRATED)


# Rectangles


def test_rectangles_of_independent_coordinates_are_products():
    mean, width, spread = (
        np.array([0.3, -1.0, 0.5, 2.0]),
        np.array([1.0, 2.0, 0.5, 1.5]),
        np.array([1.0, 0.5, 2.0, 1.0]),
    )
    low, high = (-width - mean) / spread, (width - mean) / spread
    found = inside_rectangle(mean, np.diag(spread**2), width, uniform_points(3, 4096, 1))
    share = ndtr(high) - ndtr(low)
    assert found.probability == pytest.approx(share.prod(), rel=1e-12)
    density = (np.exp(-(low**2) / 2) - np.exp(-(high**2) / 2)) / np.sqrt(2 * np.pi)
    assert (found.mean_error < 1e-3).all()
    assert (np.abs(found.mean - mean - spread * density / share) < 5 * found.mean_error + 1e-12).all()


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_rectangles_equal_scipy_within_the_stated_error(size, shift):
    rng = np.random.default_rng(size)
    root = rng.normal(size=(size, size))
    covariance = root @ root.T + 0.3 * np.eye(size)
    mean, width = shift * rng.normal(size=size), 1.96 * np.sqrt(np.diag(covariance))
    found = inside_rectangle(mean, covariance, width, uniform_points(size - 1, 8192, 1))
    assert 0 < found.probability_error < 2e-4
    exact = multivariate_normal(mean, covariance, abseps=1e-6, releps=1e-6, maxpts=400_000).cdf(
        width, lower_limit=-width
    )
    assert found.probability == pytest.approx(exact, abs=5 * found.probability_error + 1e-5)


@pytest.mark.parametrize("mean", [[9.0, 8.0], [-9.0, -8.0], [-9.0, 8.0]])
def test_a_rectangle_in_the_tail_keeps_its_digits(mean):
    mean = np.array(mean)
    found = inside_rectangle(mean, np.eye(2), np.array([1.0, 1.0]), uniform_points(1, 1024, 1))
    exact = [truncnorm(-1 - m, 1 - m, loc=m) for m in mean]
    assert found.probability == pytest.approx(np.prod([ndtr(1 - m) - ndtr(-1 - m) for m in np.abs(mean)]), rel=1e-9)
    assert (np.abs(found.mean - [e.mean() for e in exact]) < 5 * found.mean_error + 1e-9).all()


def test_beyond_the_smallest_number_there_is_no_mean():
    found = inside_rectangle(np.array([40.0, 41.0]), np.eye(2), np.ones(2), uniform_points(1, 64, 1))
    assert found.probability == 0
    assert np.isnan(found.mean).all()


# Identities


def simulate_passing(test, slope, draws=400_000):
    study = published()
    line = (study.event_time + 1) * slope
    estimates = np.random.default_rng(9).multivariate_normal(line, study.covariance, draws)
    before = estimates[:, :3]
    if test == "individual":
        passed = (np.abs(before) <= ndtri(0.975) * np.sqrt(np.diag(study.covariance)[:3])).all(axis=1)
    else:
        inverse = np.linalg.inv(study.covariance[:3, :3])
        passed = np.einsum("ij,jk,ik->i", before, inverse, before) <= chi2(3).ppf(0.95)
    return passed.mean(), estimates[passed].mean(axis=0)


@pytest.mark.parametrize("test", ["individual", "joint"])
def test_power_and_means_given_passing_equal_a_simulation(test):
    result = ea.pretrend_power(published(), power=(), slopes=(0.05,))
    row = result.table.set_index("test").loc[test]
    path = result.paths[result.paths["test"] == test]
    share, means = simulate_passing(test, 0.05)
    assert 1 - row["power"] == pytest.approx(share, abs=4 * np.sqrt(0.25 / 400_000))
    # 4 standard errors of a mean of some 200,000 draws with a standard deviation below 0.1.
    np.testing.assert_allclose(
        path["violation_if_passed"].drop(path.index[path["event_time"] == -1]), means, atol=4 * 0.1 / np.sqrt(200_000)
    )
    assert row["conditional_bias"] == pytest.approx(means[3:].mean(), abs=4 * 0.1 / np.sqrt(200_000))


def test_the_joint_test_is_exact():
    study = published()
    table = ea.pretrend_power(study, power=(0.5, 0.8)).table
    joint = table[table["test"] == "joint"]
    before = np.outer(joint["slope"], study.event_time[:3] + 1)
    shift = np.einsum("ij,jk,ik->i", before, np.linalg.inv(study.covariance[:3, :3]), before)
    np.testing.assert_allclose(ncx2(3, shift).sf(chi2(3).ppf(0.95)), [0.5, 0.8], atol=1e-9)
    np.testing.assert_allclose(joint["size"], 0.05)
    assert (joint[["power_error", "conditional_bias_error"]] == 0).all(axis=None)


def test_one_coefficient_before_treatment_has_closed_forms():
    study = ea.EventStudy([-2, 0], [0.1, 0.5], [[0.04, 0.01], [0.01, 0.05]])
    table = ea.pretrend_power(study, power=0.8).table.set_index("test")
    slope = table.loc["individual", "slope"]
    standardised = slope / 0.2
    assert ndtr(-1.959963984540054 - standardised) + ndtr(standardised - 1.959963984540054) == pytest.approx(0.8)
    assert table.loc["joint", "slope"] == pytest.approx(slope, rel=1e-8)
    assert table["power_error"].tolist() == [0, 0]
    np.testing.assert_allclose(table["conditional_bias"], table["conditional_bias"].iloc[0])
    np.testing.assert_allclose(table["bias"], slope)


def test_no_slope_changes_nothing():
    table = ea.pretrend_power(published(), power=(), slopes=0).table
    np.testing.assert_allclose(table["power"], table["size"], atol=1e-12)
    np.testing.assert_allclose(table[["bias", "conditional_bias"]], 0, atol=1e-4)
    np.testing.assert_allclose(table[["likelihood_ratio", "bayes_factor"]], 1)


def test_passing_the_test_makes_the_bias_larger_when_errors_are_positively_correlated():
    """Roth's proposition: with homoskedastic errors the bias given passing exceeds the bias."""
    study = ea.EventStudy([-3, -2, 0, 1], np.zeros(4) + 0.1, 0.01 * (np.eye(4) + 1))
    table = ea.pretrend_power(study).table
    assert (table["conditional_bias"] > table["bias"]).all()


def test_units_scale_slopes_and_biases():
    study = published()
    hundred = ea.EventStudy(study.event_time, study.estimate * 100, study.covariance * 1e4)
    first, second = (ea.pretrend_power(s).table for s in (study, hundred))
    for name in ("slope", "bias", "conditional_bias"):
        np.testing.assert_allclose(second[name], first[name] * 100, rtol=1e-8)
    for name in ("power", "size", "likelihood_ratio", "bayes_factor", "bias_share"):
        np.testing.assert_allclose(second[name], first[name], rtol=1e-8)


def test_slopes_have_the_sign_of_the_effect():
    study = published()
    turned = ea.EventStudy(study.event_time, -study.estimate, study.covariance)
    first, second = (ea.pretrend_power(s).table for s in (study, turned))
    np.testing.assert_allclose(second["slope"], -first["slope"], rtol=1e-8)
    np.testing.assert_allclose(second["conditional_bias"], -first["conditional_bias"], rtol=1e-4)
    np.testing.assert_allclose(second["bias_share"], first["bias_share"], rtol=1e-8)


def test_weights_pick_the_effect_that_is_biased():
    table = ea.pretrend_power(published(), power=0.5, weights={2: 1.0}).table
    np.testing.assert_allclose(table["bias"], 3 * table["slope"])


def test_the_curve_is_one_test_in_the_unit_asked_for():
    result = ea.pretrend_power(published())
    curve, paths = result.curve("joint", 100), result.paths[result.paths["test"] == "joint"]
    assert len(curve) == 2 * 8
    for name in ("slope", "estimate", "conf_high", "violation_if_passed"):
        np.testing.assert_allclose(curve[name], 100 * paths[name])
    np.testing.assert_allclose(curve["power"], paths["power"])


def test_the_points_are_seeded():
    first, again, other = (ea.pretrend_power(published(), power=0.5, points=64, seed=s).table for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert first["slope"].iloc[0] != other["slope"].iloc[0]


def test_effects_bring_their_distribution():
    event = ea.estimate(diagnose(counties()), "event_study").select(event_time=range(-4, 4))
    table = ea.pretrend_power(event, power=0.8).table.set_index("test")
    study = ea.honest(event, m=0).study
    before = table.loc["joint", "slope"] * (study.event_time[:3] + 1)
    shift = before @ np.linalg.inv(study.covariance[:3, :3]) @ before
    assert study.degrees_of_freedom < 59
    assert ncx2(3, shift).sf(3 * f(3, study.degrees_of_freedom).ppf(0.95)) == pytest.approx(0.8, abs=1e-9)
    assert set(table["vcov"]) == {"CR3"}
    assert table.loc["individual", "size"] < 0.15


def test_a_power_that_no_slope_has_is_refused():
    with pytest.raises(InferenceError, match=r"power=0.05, 1 found; numbers between 0.121 and 1 .* individual test"):
        ea.pretrend_power(published(), power=(0.05, 0.5, 1))


def test_an_event_study_without_periods_before_is_refused():
    event = ea.estimate(diagnose(counties()), "imputation").aggregate("event_time")
    with pytest.raises(InferenceError, match="imputation gives no estimates before treatment"):
        ea.pretrend_power(event)
