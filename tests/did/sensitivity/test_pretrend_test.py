"""Tests of the periods before treatment: Wald, sup-t and equivalence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support.panels import counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import InferenceError

# Draws of a p-value: four standard errors of 9,999 draws.
MONTE_CARLO = 0.02


def study(estimate=(0.1, -0.2, 0.05, 1.0, 1.4), degrees=None, correlation=0.3):
    spread = np.array([0.1, 0.12, 0.08, 0.2, 0.3])
    matrix = np.full((5, 5), correlation) + (1 - correlation) * np.eye(5)
    return ea.EventStudy([-4, -3, -2, 0, 1], estimate, matrix * np.outer(spread, spread), degrees_of_freedom=degrees)


def row(found, test):
    return found.table.set_index("test").loc[test]


def test_the_wald_test_is_chi2_without_degrees_and_hotelling_with_them():
    one = study()
    b, v = one.estimate[:3], one.covariance[:3, :3]
    wald = b @ np.linalg.solve(v, b)
    normal, small = row(ea.pretrend_test(one), "Wald"), row(ea.pretrend_test(study(degrees=9)), "Wald")
    assert (normal["statistic"], normal["distribution"]) == (pytest.approx(wald), "chi2(3)")
    assert normal["p_value"] == pytest.approx(stats.chi2.sf(wald, 3))
    assert small["distribution"] == "F(3, 7)"
    assert small["p_value"] == pytest.approx(stats.f.sf(wald * 7 / 27, 3, 7))


def test_the_convention_of_r_did_tests_all_cells_before_treatment_by_chi2():
    """As `att_gt` does; on mpdta of R did 2.5.1 it gives p = 0.16812, its printed value."""
    effects = ea.estimate(diagnose(counties()), "callaway_santanna")
    found = row(ea.pretrend_test(effects, vcov="reference"), "Wald")
    before = effects.select(effects.cells["event_time"].to_numpy() < 0)
    psi = before.influence.matrix(as_reference=True)
    wald = before.value @ np.linalg.solve(psi.T @ psi, before.value)
    assert found["distribution"] == f"chi2({len(before)})"
    assert found["statistic"] == pytest.approx(wald, rel=1e-8)


def test_the_reference_period_and_what_is_anticipated_are_not_tested():
    effects = ea.estimate(diagnose(counties()), "callaway_santanna", base_period="universal").aggregate("event_time")
    times = effects.cells["event_time"]
    found = ea.pretrend_test(effects)
    assert found.coefficients["event_time"].tolist() == [t for t in times if t < -1]
    assert ea.pretrend_test(effects, anticipation=3).coefficients["event_time"].max() == -4


def test_one_coefficient_makes_all_tests_one():
    one = ea.EventStudy([-2, 0], [0.15, 1.0], np.diag([0.01, 0.04]), degrees_of_freedom=12)
    found = ea.pretrend_test(one, draws=99_999)
    p = 2 * stats.t.sf(1.5, 12)
    assert row(found, "Wald")["p_value"] == pytest.approx(p)
    assert row(found, "sup-t")["p_value"] == pytest.approx(p, abs=MONTE_CARLO)


@pytest.mark.parametrize("vcov", ["auto", "CR1", "reference"])
def test_the_supremum_rejects_exactly_when_a_band_leaves_out_zero(vcov):
    for seed in range(12):
        frame = simulate(seed, n_units=24, cohorts=(5, None))
        frame["share"] += np.where(frame["cohort"].notna(), 0.002 * seed * (frame["quarter"] - 4), 0)
        event = ea.estimate(diagnose(frame), "event_study")
        before = event.select(event.cells["event_time"].to_numpy() < -1)
        p = row(ea.pretrend_test(event, vcov=vcov), "sup-t")["p_value"]
        band = ea.infer(before, vcov=vcov, simultaneous=True, draws=9999)
        outside = bool(((band["conf_low"] > 0) | (band["conf_high"] < 0)).any())
        assert abs(p - 0.05) < MONTE_CARLO or outside == (p < 0.05), (seed, p)


def test_the_bound_of_every_period_is_that_of_two_one_sided_tests():
    one = study(degrees=9)
    found = row(ea.pretrend_test(one, level=0.9), "equivalence, every period")
    error = np.sqrt(np.diag(one.covariance))[:3]
    assert found["bound"] == pytest.approx((np.abs(one.estimate[:3]) + stats.t.ppf(0.9, 9) * error).max())


def test_the_bound_of_the_maximum_is_where_the_folded_distribution_rejects():
    one = study()
    bound = row(ea.pretrend_test(one), "equivalence, maximum")["bound"]
    error = np.sqrt(np.diag(one.covariance))[:3]
    below = stats.foldnorm.cdf(np.abs(one.estimate[:3]) / error, bound / error)
    assert below.max() == pytest.approx(0.05, rel=1e-6)


def test_equivalence_keeps_its_level():
    """At a true difference of 0.3, the bound is below 0.3 in 5% of samples at most."""
    rng = np.random.default_rng(3)
    spread = np.array([0.1, 0.12, 0.08])
    false = 0
    for _ in range(400):
        estimate = np.append(rng.normal([0.3, 0, 0], spread), 1.0)
        one = ea.EventStudy([-4, -3, -2, 0], estimate, np.diag(np.append(spread, 0.2) ** 2))
        table = ea.pretrend_test(one, draws=99).table.set_index("test")["bound"]
        false += table["equivalence, every period"] < 0.3
    assert false / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_too_few_clusters_for_a_wald_test_are_named():
    frame = simulate(3, n_units=40, n_periods=10, cohorts=(8, None))
    event = ea.estimate(diagnose(frame, cluster="prefecture"), "event_study")
    found = row(ea.pretrend_test(event, cluster=pd.Series({f"C{i:03d}": i // 7 for i in range(40)})), "Wald")
    assert np.isnan(found["p_value"])
    assert "test fewer periods" in found["note"]


@pytest.mark.parametrize(
    ("method", "by", "text"),
    [
        ("twfe", None, "gives no estimates by event time"),
        ("imputation", "overall", "gives no estimates by event time"),
    ],
)
def test_effects_without_periods_before_treatment_are_refused(method, by, text):
    effects = ea.estimate(diagnose(counties()), method)
    with pytest.raises(InferenceError, match=text):
        ea.pretrend_test(effects if by is None else effects.aggregate(by))
