"""What carries no information changes no result: the level of outcomes and covariates, units of measurement, the scale of weights, dates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import EvalaidError, NotIdentifiedError
from evalaid.did.estimators.registry import METHODS

# Sums in another order, in standard errors; solutions of the synthetic methods by descent are less exact.
SAME = 1e-8
# Numbers at a level are themselves rounded to its spacing: that of covariates enters once, in standard errors.
SPACED = 1e-3
BY_DESCENT = {
    "synthetic_did",
    "synthetic_control",
    "augmented_synthetic_control",
    "matrix_completion",
    "interactive_effects",
}
DESIGNS = {
    "plain": ({}, 0.0),
    "gaps": ({}, 0.1),
    "weights": ({"weight": "weight", "weight_kind": "analytic"}, 0.0),
    "precision": ({"weight": "weight", "weight_kind": "precision"}, 0.1),
    "clusters": ({"cluster": "prefecture"}, 0.0),
    "strata": ({"stratum": "region"}, 0.1),
    "covariates": ({"covariates": ("x", "z")}, 0.1),
    "anticipation": ({"anticipation": 1}, 0.0),
}


def panel(missing: float) -> pd.DataFrame:
    """Outcomes near zero with a spread of one, numbers throughout."""
    frame = simulate(11, n_units=36, n_periods=7, cohorts=(4, 5, None), missing=missing)
    number = frame["county"].str[1:].astype(int)
    rng = np.random.default_rng(5)
    return frame.assign(
        share=20 * (frame["share"] - frame["share"].mean()),
        x=rng.normal(size=number.max() + 1)[number],
        z=rng.normal(size=len(frame)),
        weight=1.0 + number % 5,
        region=np.where(number % 2, "north", "south"),
        experts=np.where(frame["cohort"].notna(), 1.0 + number % 4, 0.0),
        eligible=number // 3 % 2 * 1.0,
    )


def table(frame: pd.DataFrame, method: str, columns: dict, vcov: str = "CR1") -> pd.DataFrame:
    needed = {"dose": ("experts",), "triple_difference": ("eligible",)}.get(method, ())
    options = {"dose": {"dose": "experts"}, "triple_difference": {"eligible": "eligible"}}.get(method, {})
    columns = columns | {"covariates": needed + tuple(columns.get("covariates", ()))}
    return ea.infer(ea.estimate(diagnose(frame, outcome_unit="number", **columns), method, **options), vcov=vcov)


def assert_same(one: pd.DataFrame, other: pd.DataFrame, tolerance: float, unit: float = 1.0) -> None:
    size = np.nanmax([one["std_error"].median(), 0.1 * one["estimate"].std()])
    for column in ("estimate", "std_error"):
        np.testing.assert_allclose(other[column] / unit, one[column], rtol=0, atol=tolerance * size)


@pytest.mark.parametrize("level", [1e6, 1e12])
@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("method", [entry.name for entry in METHODS])
def test_a_level_that_all_outcomes_share_changes_no_result(method, design, level):
    columns, missing = DESIGNS[design]
    frame = panel(missing)
    near = frame.assign(share=(frame["share"] + level) - level)  # what is left of the outcomes at that level
    try:
        wanted = table(near, method, columns)
    except NotIdentifiedError:
        pytest.skip(f"{method} does not take {design}")
    found = table(near.assign(share=near["share"] + level), method, columns)
    assert_same(wanted, found, 1e-5 if method in BY_DESCENT else SAME)


@pytest.mark.parametrize("vcov", ["auto", "reference", "CR0", "CR3", "multiplier"])
@pytest.mark.parametrize("method", ["callaway_santanna", "etwfe", "imputation", "event_study", "lp_did"])
def test_a_level_changes_no_error(method, vcov):
    frame = panel(0.05)
    near = frame.assign(share=(frame["share"] + 1e12) - 1e12)
    one, other = (table(near.assign(share=near["share"] + level), method, {}, vcov) for level in (0.0, 1e12))
    assert_same(one, other, SAME)
    assert one["note"].tolist() == other["note"].tolist()


CHANGES = {
    "outcome in other units": ({}, lambda f: f.assign(share=f["share"] * 1e9), 1e9, SAME),
    "outcome in tiny units": ({}, lambda f: f.assign(share=f["share"] * 1e-30), 1e-30, SAME),
    "weights in millions": ({"weight": "weight"}, lambda f: f.assign(weight=f["weight"] * 1e6), 1.0, SAME),
    "weights in millionths": ({"weight": "weight"}, lambda f: f.assign(weight=f["weight"] * 1e-6), 1.0, SAME),
    "later": ({}, lambda f: f.assign(quarter=f["quarter"] + 10**6, cohort=f["cohort"] + 10**6), 1.0, SAME),
    "covariates in other units": (
        {"covariates": ("x", "z")},
        lambda f: f.assign(x=f["x"] * 1e9, z=f["z"] * 1e-9),
        1.0,
        SAME,
    ),
    "covariates at a level": (
        {"covariates": ("x", "z")},
        lambda f: f.assign(x=f["x"] + 1e12, z=f["z"] + 1e12),
        1.0,
        SPACED,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("method", [entry.name for entry in METHODS])
def test_units_of_measurement_and_dates_change_no_result(method, change):
    columns, moved, unit, tolerance = CHANGES[change]
    frame = panel(0.0)
    if "level" in change:
        frame = frame.assign(x=(frame["x"] + 1e12) - 1e12, z=(frame["z"] + 1e12) - 1e12)
    try:
        wanted = table(frame, method, columns)
    except NotIdentifiedError:
        pytest.skip(f"{method} does not take {columns}")
    assert_same(wanted, table(moved(frame), method, columns), max(tolerance, 1e-5 * (method in BY_DESCENT)), unit)


TESTS = {
    "bacon": lambda design: ea.bacon(design)["estimate"],
    "bounds": lambda design: ea.bound_effect(design, m=(0, 0.5)).frame[["lower", "upper", "conf_low", "conf_high"]],
    "randomize": lambda design: ea.randomize(design, "callaway_santanna", draws=39, level=0.9).tidy()[
        ["p_value", "conf_low"]
    ],
    "no line": lambda design: ea.randomize(design, "synthetic_control", draws=39, level=0.9).tidy()[
        ["p_value", "conf_low"]
    ],
    "few treated": lambda design: ea.few_treated(design, draws=199)[["p_value", "conf_low"]],
    "power": lambda design: pd.Series([ea.minimum_detectable_effect(design, "twfe", draws=20).effect]),
    "return": lambda design: ea.regression_to_mean(design, draws=4).expected[["expected", "std_error"]],
    "weights of twfe": lambda design: pd.Series([ea.twfe_weights(design).sigma_zero]),
    "wild": lambda design: ea.wild_bootstrap(ea.estimate(design, "twfe"), draws=199)[["p_value", "conf_low"]],
    "balance": lambda design: ea.balance(design).query("kind == 'variability'")["sd_treated"],
    "joint": lambda design: ea.joint_test(design, {"methods": ["twfe", "imputation"]}, draws=39).table[
        ["observed", "p_value"]
    ],
}


@pytest.mark.parametrize("name", TESTS)
def test_a_level_changes_nothing_that_is_made_of_outcomes(name):
    frame = panel(0.0)
    near = frame.assign(share=(frame["share"] + 1e12) - 1e12)
    one, other = (
        TESTS[name](diagnose(near.assign(share=near["share"] + level), outcome_unit="number")) for level in (0.0, 1e12)
    )
    np.testing.assert_allclose(other.to_numpy(float), one.to_numpy(float), rtol=1e-5, atol=1e-9)


def test_means_are_still_those_of_the_outcome():
    near = panel(0.0)
    for level in (0.0, 1e6):
        design = diagnose(near.assign(share=near["share"] + level), outcome_unit="number")
        found = ea.balance(design).query("kind == 'mean level'")["mean_treated"].iloc[0]
        own = near[(near["cohort"] == 4) & (near["quarter"] < 4)]["share"].mean()
        assert found == pytest.approx(own + level, abs=1e-8)
        assert design.cohorts["baseline_mean"].iloc[0] == pytest.approx(own + level, abs=1e-8)


def test_a_scale_or_family_keeps_the_level_that_it_depends_on():
    frame = simulate(3, n_units=24)
    counts = frame.assign(share=1e6 + (1000 * frame["share"]).round())
    for family in ("gaussian", "poisson"):
        try:
            found = ea.estimate(diagnose(counts, outcome_unit="number"), "etwfe", family=family).aggregate("overall")
        except EvalaidError as fault:
            pytest.fail(str(fault))
        assert np.isfinite(found.value).all()
