"""Every estimator and option equals its reference implementation on the simulated county panels.

The calls, versions and full-precision results stand in tests/golden/r; see its README.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalaid as ea

GOLDEN = Path(__file__).parents[2] / "golden" / "r"

# Both sides solve the same equations in double precision; R's logit stops at 1e-8 of the deviance, hence the absolute part.
ESTIMATE_RELATIVE, ESTIMATE_ABSOLUTE = 1e-8, 1e-9
# didimputation stands on fixest's iterated fixed effects, which stop at 1e-6: absolute, in units of the outcome.
IMPUTATION_RELATIVE, IMPUTATION_ABSOLUTE = 1e-6, 2e-7
ERROR_RELATIVE = 1e-6

COMPARISON = {"nevertreated": "never_treated", "notyettreated": "not_yet_treated"}
ADJUSTMENT = {"reg": "regression", "ipw": "ipw", "dr": "doubly_robust"}
AGGREGATE = {"group": "cohort", "dynamic": "event_time", "calendar": "calendar"}


@cache
def frame(name: str, *, complete_only: bool = False) -> pd.DataFrame:
    table = pd.read_csv(GOLDEN / f"{name}.csv")
    counts = table.groupby("county")["quarter"].transform("size")
    return table[counts == counts.max()] if complete_only else table


@cache
def design(name, covariates=(), weight=None, cluster=None, complete_only=False):
    return ea.diagnose(
        frame(name, complete_only=complete_only),
        unit="county", period="quarter", outcome="share", cohort="cohort",
        covariates=covariates, weight=weight, cluster=cluster,
    )  # fmt: skip


@cache
def entries() -> dict[str, tuple[str, dict]]:
    found = {}
    for name in ("counties_a", "counties_a_unbalanced"):
        for entry in json.loads((GOLDEN / f"{name}.json").read_text())["entries"]:
            found[f"{name}:{entry['id']}"] = (name, entry)
    return found


def ids(*methods: str) -> list[str]:
    return [key for key, (_, entry) in entries().items() if entry["id"].split(".")[0] in methods]


def floats(values) -> np.ndarray:
    return np.array(values, dtype=float)


def assert_estimates(found, expected, relative=ESTIMATE_RELATIVE, absolute=ESTIMATE_ABSOLUTE) -> None:
    np.testing.assert_allclose(floats(found), floats(expected), rtol=relative, atol=absolute)


def assert_errors(found, expected) -> None:
    np.testing.assert_allclose(floats(found), floats(expected), rtol=ERROR_RELATIVE)


@pytest.mark.parametrize("key", ids("twfe", "twfe_cr0", "twfe_x", "event_study"))
def test_two_way_regressions_equal_fixest(key):
    name, entry = entries()[key]
    kind, weighting, cluster = entry["id"].split(".")
    panel = design(
        name,
        ("share_65",) if kind == "twfe_x" else (),
        "weight" if weighting == "weighted" else None,
        "prefecture" if cluster == "pf" else None,
    )
    effects = ea.estimate(panel, "event_study" if kind == "event_study" else "twfe")
    table = ea.infer(effects, vcov="CR0" if kind == "twfe_cr0" else "reference")
    table = table[table["std_error"].notna()]
    expected = entry["results"]
    assert_estimates(table["estimate"], expected["coef"][: len(table)])
    assert_errors(table["std_error"], expected["se"][: len(table)])
    np.testing.assert_allclose(floats(table["p_value"]), expected["p"][: len(table)], rtol=ERROR_RELATIVE)
    assert set(table["distribution"]) == {f"t({expected['df_t']})"}
    assert effects.convention.observations == expected["nobs"]


@pytest.mark.parametrize("key", ids("sunab", "sunab_x"))
def test_interaction_weighted_effects_equal_fixest(key):
    name, entry = entries()[key]
    kind, weighting, cluster = entry["id"].split(".")
    panel = design(
        name,
        ("share_65",) if kind == "sunab_x" else (),
        "weight" if weighting == "weighted" else None,
        "prefecture" if cluster == "pf" else None,
    )
    effects, expected = ea.estimate(panel, "sun_abraham"), entry["results"]
    for by, (coefficients, errors) in {
        "event_time": (expected["coef"], expected["se"]),
        "cohort": (expected["cohort"]["coef"], expected["cohort"]["se"]),
        "overall": ([expected["att"]["est"]], [expected["att"]["se"]]),
    }.items():
        table = ea.infer(effects.aggregate(by), vcov="reference")
        table = table[table["std_error"].notna()]
        assert_estimates(table["estimate"], coefficients[-len(table) :])
        assert_errors(table["std_error"], errors[-len(table) :])


@pytest.mark.parametrize("key", ids("callaway_santanna"))
def test_group_time_effects_and_their_aggregates_equal_did(key):
    name, entry = entries()[key]
    _, variant, comparison, adjustment, covariates, base_period = entry["id"].split(".")
    dropped_by_r = name.endswith("unbalanced") and "allow_unbalanced_panel" not in entry["call"]
    panel = design(
        name,
        ("log_gdp",) if covariates == "x" else (),
        "weight" if variant == "weighted" else None,
        "prefecture" if variant == "cluster_pf" else None,
        dropped_by_r,
    )
    effects = ea.estimate(
        panel, "callaway_santanna",
        comparison=COMPARISON[comparison], adjustment=ADJUSTMENT[adjustment], base_period=base_period,
        anticipation=1 if variant == "anticipation1" else 0,
        unbalanced="cross_sections" if "allow_unbalanced_panel" in entry["call"] else "same_units",
    )  # fmt: skip
    table, expected = ea.infer(effects, vcov="reference"), entry["results"]
    assert table["cohort"].tolist() == expected["group"]
    assert table["period"].tolist() == expected["t"]
    assert_estimates(table["estimate"], expected["att"])
    assert_errors(table["std_error"], expected["se"])
    if "aggregate_simple" in expected:
        overall = ea.infer(effects.aggregate("overall"), vcov="reference")
        assert_estimates(overall["estimate"], [expected["aggregate_simple"]["overall_att"]])
        assert_errors(overall["std_error"], [expected["aggregate_simple"]["overall_se"]])
    for r_name, by in AGGREGATE.items():
        if (reference := expected.get(f"aggregate_{r_name}")) is None:
            continue
        averages = effects.aggregate(by)
        rows = ea.infer(averages, vcov="reference")
        assert_estimates(rows["estimate"], reference["att_egt"])
        assert_errors(rows["std_error"], reference["se_egt"])
        overall = ea.infer(averages.aggregate("overall"), vcov="reference")
        assert_estimates(overall["estimate"], [reference["overall_att"]])
        assert_errors(overall["std_error"], [reference["overall_se"]])


# etwfe::emfx differentiates numerically (marginaleffects): its errors carry five digits.
NUMERICAL_ERROR = 5e-5


def etwfe_of(name, entry_id):
    _, family, comparison, weighting, *_ = entry_id.split(".")
    panel = design(name, (), "n_total" if weighting == "n_total" else None)
    family = "binomial" if family.startswith("logit") else "gaussian"
    return ea.estimate(panel, "etwfe", family=family, comparison=COMPARISON[f"{comparison}treated"])


@pytest.mark.parametrize("key", [key for key in ids("etwfe") if "gaussian" in key])
def test_extended_two_way_coefficients_equal_etwfe(key):
    name, entry = entries()[key]
    table = ea.infer(etwfe_of(name, entry["id"]), vcov="reference")
    table = table[table["std_error"].notna()]
    named = [f".Dtreat:g::{row.cohort}:t::{row.period}" for row in table.itertuples()]
    assert named == entry["results"]["terms"]
    assert_estimates(table["estimate"], entry["results"]["coef"])
    assert_errors(table["std_error"], entry["results"]["se"])


@pytest.mark.parametrize("key", [key for key in ids("etwfe") if "logit" in key])
def test_extended_two_way_logit_coefficients_equal_etwfe(key):
    """A cell's dummy is its log-odds minus those without the effect; treated cells are fitted exactly.

    Errors of dummies are held through the averages on the share scale, which need all of their covariances.
    """
    name, entry = entries()[key]
    table = etwfe_of(name, entry["id"]).tidy()
    table = table[~table["reason"].str.contains("by construction")]
    panel = frame(name).assign(w=lambda f: f["n_total"] if entry["id"].endswith("n_total") else 1.0)
    mean = panel.assign(wy=panel["w"] * panel["share"]).groupby(["cohort", "quarter"])[["wy", "w"]].sum()
    cells = list(zip(table["cohort"], table["period"], strict=True))
    share = floats([mean.loc[cell, "wy"] / mean.loc[cell, "w"] for cell in cells])
    without = share - floats(table["estimate"])
    found = np.log(share / (1 - share)) - np.log(without / (1 - without))
    expected = dict(zip(entry["results"]["terms"], entry["results"]["coef"], strict=True))
    assert_estimates(found, [expected[f".Dtreat:g::{g}:t::{t}"] for g, t in cells])
    assert len(found) == sum(term.startswith(".Dtreat:") for term in expected)


@pytest.mark.parametrize("key", ids("etwfe_emfx"))
def test_average_effects_on_the_share_scale_equal_emfx(key):
    name, entry = entries()[key]
    by = "overall" if entry["id"].endswith("simple") else "event_time"
    table = ea.infer(etwfe_of(name, entry["id"]).aggregate(by), vcov="reference")
    expected = pd.DataFrame({k: entry["results"][k] for k in ("estimate", "std.error")})
    table, expected = table[table["estimate"].to_numpy() != 0], expected[expected["estimate"] != 0]
    assert_estimates(table["estimate"], expected["estimate"])
    np.testing.assert_allclose(floats(table["std_error"]), floats(expected["std.error"]), rtol=NUMERICAL_ERROR)


@pytest.mark.parametrize("key", ids("imputation"))
def test_imputation_equals_didimputation(key):
    name, entry = entries()[key]
    _, kind, weighting = entry["id"].split(".")
    weighted = weighting == "weighted"
    panel = design(name, ("share_65",) if kind == "static_x" else (), "weight" if weighted else None)
    effects = ea.estimate(panel, "imputation").aggregate("event_time" if kind == "horizon" else "overall")
    table = ea.infer(effects, vcov="reference")
    assert_estimates(table["estimate"], entry["results"]["estimate"], IMPUTATION_RELATIVE, IMPUTATION_ABSOLUTE)
    if weighted:
        # R applies the weights twice in this standard error; test_imputation.py holds ours against the derivative.
        ratio = floats(table["std_error"]) / floats(entry["results"]["se"])
        assert np.abs(ratio - 1).max() < 0.12
        assert not np.allclose(ratio, 1, rtol=ERROR_RELATIVE)
    else:
        assert_errors(table["std_error"], entry["results"]["se"])


# Where the entries of each kind are used: all of them, by prefix, unless named one by one below.
HELD = {
    "twfe": "did/estimators/test_golden.py::test_two_way_regressions_equal_fixest",
    "twfe_cr0": "did/estimators/test_golden.py::test_two_way_regressions_equal_fixest",
    "twfe_x": "did/estimators/test_golden.py::test_two_way_regressions_equal_fixest",
    "event_study": "did/estimators/test_golden.py::test_two_way_regressions_equal_fixest",
    "sunab": "did/estimators/test_golden.py::test_interaction_weighted_effects_equal_fixest",
    "sunab_x": "did/estimators/test_golden.py::test_interaction_weighted_effects_equal_fixest",
    "callaway_santanna": "did/estimators/test_golden.py::test_group_time_effects_and_their_aggregates_equal_did",
    "etwfe_emfx": "did/estimators/test_golden.py::test_average_effects_on_the_share_scale_equal_emfx",
    "imputation": "did/estimators/test_golden.py::test_imputation_equals_didimputation",
}
ONE_BY_ONE = {
    "etwfe.gaussian": "did/estimators/test_golden.py::test_extended_two_way_coefficients_equal_etwfe",
    "etwfe.logit": "did/estimators/test_golden.py::test_extended_two_way_logit_coefficients_equal_etwfe",
    "etwfe.logit_no_fe": "did/estimators/test_golden.py::test_extended_two_way_logit_coefficients_equal_etwfe",
    "bacon": "did/sensitivity/test_decomposition.py::test_the_decomposition_equals_bacondecomp",
    "block.synthdid_estimate": "did/estimators/test_synthetic.py::test_a_block_equals_the_default_reference_as_far_as_that_converged",
    "block.sc_estimate": "did/estimators/test_synthetic.py::test_synthetic_control_fits_better_than_the_reference_that_stopped_early",
    "block.did_estimate": "did/estimators/test_synthetic.py::test_the_jackknife_with_the_references_weights_is_the_references_error",
    "single.synthdid_estimate": "did/estimators/test_synthetic.py::test_one_county_equals_the_converged_reference",
    "single.sc_estimate": "did/estimators/test_synthetic.py::test_synthetic_control_fits_better_than_the_reference_that_stopped_early",
}
# Bounds and the wild bootstrap are no estimators: the whole id, as a pattern, and where it is used.
BOUNDS = {
    r"honest\.inputs": "did/sensitivity/test_honest.py::ours",
    r"(honest\.original|BC\.orig)\.(e1|avg)": "did/sensitivity/test_honest.py::test_the_original_interval_equals_r",
    r"honest\.smoothness\.flci\.M(0|0\.005|0\.01)": "did/sensitivity/test_honest.py::test_fixed_length_intervals_equal_r",
    r"honest\.relative_magnitude\.CLF\.M[\d.]+": "did/sensitivity/test_honest.py::test_intervals_on_our_panel_equal_r",
    r"boottest\.pf\.rademacher\.(fnw11|31)\.null_(TRUE|FALSE)": "did/inference/test_wild.py::test_enumerated_p_values_equal_r",
    r"BC\.optimalFLCI\.M(0|0\.1)\.e1": "did/sensitivity/test_honest.py::test_fixed_length_intervals_equal_r",
    r"BC\.SD\.FLCI\.e1": "did/sensitivity/test_honest.py::test_a_curve_of_fixed_length_intervals_equals_r",
    r"BC\.DeltaSD_Mpre": "did/sensitivity/test_honest.py::test_the_largest_change_of_slope_before_treatment_equals_r",
    r"BC\.breakdown\.(RM|SD)\.(LF|ARP)\.(e1|avg)": "did/sensitivity/test_honest.py::test_breakdown_values_equal_r",
    r"BC\.(RM|SD)\.(CLF|Conditional|ARP|LF|FLCI)\.(Mbar|M)[\d.]+\.(e1|avg)": "did/sensitivity/test_honest.py::test_conditional_intervals_equal_r",
    r"HeWang\.slope_for_power_0\.[58]": "did/sensitivity/test_pretrend_power.py::test_slopes_equal_r",
    r"HeWang\.pretrends_delta0\.0[25]": "did/sensitivity/test_pretrend_power.py::test_what_a_slope_does_equals_r",
}
NO_ESTIMATORS = {"honest", "boottest"}


def test_no_entry_of_an_estimator_is_left_unused():
    unused = [
        key
        for key, (_, entry) in entries().items()
        if (kind := entry["id"].split(".")[0]) not in HELD | dict.fromkeys(NO_ESTIMATORS)
        and ".".join(entry["id"].split(".")[: 1 if kind == "bacon" else 2]) not in ONE_BY_ONE
    ]
    assert unused == []
    assert all("results" in entry for _, entry in entries().values())


def test_every_entry_of_bounds_and_of_the_bootstrap_is_used_once():
    named = [entry["id"] for _, entry in entries().values() if entry["id"].split(".")[0] in NO_ESTIMATORS]
    for name in ("honestdid_BC", "pretrends"):
        named += [entry["id"] for entry in json.loads((GOLDEN / f"{name}.json").read_text())["entries"]]
    used = {name: sum(re.fullmatch(pattern, name) is not None for pattern in BOUNDS) for name in named}
    assert {name: times for name, times in used.items() if times != 1} == {}
    assert [pattern for pattern in BOUNDS if not any(re.fullmatch(pattern, name) for name in named)] == []


@pytest.mark.parametrize("place", sorted({*HELD.values(), *ONE_BY_ONE.values(), *BOUNDS.values()}))
def test_the_tests_that_hold_the_entries_exist(place):
    file, name = place.split("::")
    text = (Path(__file__).parents[2] / file).read_text(encoding="utf-8")
    assert f"def {name}(" in text


def test_every_kind_of_entry_is_run_as_often_as_the_references_gave_it():
    counted = {
        name: len(ids(*methods))
        for name, methods in {
            "fixest": ("twfe", "twfe_cr0", "twfe_x", "event_study"),
            "sunab": ("sunab", "sunab_x"),
            "did": ("callaway_santanna",),
            "didimputation": ("imputation",),
            "etwfe": ("etwfe", "etwfe_emfx"),
            "synthdid": ("block", "single"),
        }.items()
    }
    assert counted == {"fixest": 32, "sunab": 16, "did": 68, "didimputation": 12, "etwfe": 28, "synthdid": 8}
