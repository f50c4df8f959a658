"""Covariates that respond to the treatment are flagged."""

from __future__ import annotations

import numpy as np
from support.panels import counties, diagnose, simulate

import evalaid as ea


def test_a_covariate_that_responds_is_flagged_and_the_others_are_not():
    frame = simulate(91, n_units=60)
    rng = np.random.default_rng(1)
    frame["beds"] = rng.normal(0, 1, len(frame)) + 2.0 * (frame["quarter"] >= frame["cohort"])
    table = ea.bad_controls(diagnose(frame, covariates=("beds", "share_65", "log_gdp"))).set_index("covariate")
    assert table["responds"].to_dict() == {"beds": True, "share_65": False, "log_gdp": False}
    assert abs(table.loc["beds", "estimate"] - 2) < 4 * table.loc["beds", "std_error"]
    assert "holding it constant removes part of the effect" in table.loc["beds", "note"]
    assert table.loc["log_gdp", "kind"] == "baseline"


def test_on_an_unbalanced_panel_a_baseline_covariate_is_still_one():
    table = ea.bad_controls(diagnose(counties("counties_a_unbalanced"), covariates=("log_gdp",)))
    assert table["kind"].tolist() == ["baseline"]


def test_without_covariates_the_table_is_empty():
    assert ea.bad_controls(diagnose(simulate(92))).empty
