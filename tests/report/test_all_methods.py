"""Every method on a study's design: an estimate or a reason, never a crash."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalaid as ea
from evalaid.report.questions.all_methods import (
    describe_ceiling,
    describe_decomposition,
    describe_weights,
    survey_counts,
    survey_methods,
    survey_scales,
)
from evalaid.report.questions.doses import average_dose_effects, estimate_dose
from evalaid.report.questions.method_paths import trace_methods, trace_synthetic
from evalaid.report.wording.share_and_counts import tell_counts, tell_scales
from evalaid.study.sample import load_design


def test_every_registered_method_has_an_estimate_or_a_reason_on_the_korean_study():
    spec = ea.StudySpec(study="korea_responsible_hospitals")
    design = load_design(spec)
    table = survey_methods(spec, design)
    assert table["key"].tolist() == ea.methods()["method"].tolist()
    assert (table["estimate"].notna() | (table["reason"] != "")).all()
    refused = table[table["estimate"].isna()].set_index("key")["reason"]
    assert set(refused.index) == {"dose", "triple_difference"}
    assert "a covariate is needed" in refused["dose"]


def test_shares_of_zero_have_no_log_odds_and_a_model_of_them_on_the_korean_study():
    spec = ea.StudySpec(study="korea_responsible_hospitals")
    table = survey_scales(spec, load_design(spec)).set_index("key")
    assert np.isfinite(table.loc["share", "estimate"])
    assert np.isfinite(table.loc["log_outflow", "estimate"])
    assert table.loc["log_odds", "label"] == "Log-odds, as a fractional logit"
    assert table.loc["log_odds", "estimate"] == pytest.approx(0.79, abs=0.01)
    ceiling, _ = describe_ceiling(load_design(spec))
    assert ceiling["above_ever"].sum() == 0
    assert ceiling["key"].tolist() == ["2021", "2022", "2024", "never"]


def test_the_decomposition_by_kind_adds_up_to_the_coefficient():
    design = load_design(ea.StudySpec(study="korea_responsible_hospitals"))
    table, _ = describe_decomposition(design)
    assert table["weight"].sum() == pytest.approx(100)
    assert table["weight"] @ table["estimate"] / 100 == pytest.approx(100 * ea.estimate(design, "twfe").value[0])
    assert table["key"].tolist() == ["never", "earlier", "later"]


def test_the_weights_of_both_two_way_regressions_are_shown_in_percentage_points():
    design = load_design(ea.StudySpec(study="korea_responsible_hospitals"))
    table = describe_weights(design)[0].set_index("key")
    found = ea.twfe_weights(design, regression="first_differences")
    row = table.loc["first_differences"]
    assert (row["effects"], row["negative"]) == (found.n_positive + found.n_negative, found.n_negative)
    assert row["sigma_zero"] == pytest.approx(100 * found.sigma_zero)
    assert row["sum_negative"] == pytest.approx(100 * found.sum_negative)
    assert table.loc["fixed_effects", "estimate"] == pytest.approx(100 * ea.estimate(design, "twfe").value[0])
    refused = describe_weights(load_design(ea.StudySpec(study="tibet_cluster")))[0]
    assert refused["estimate"].isna().all()
    assert refused["reason"].str.startswith("treatment does not vary beyond").all()


def test_scales_that_disagree_on_the_sign_are_said_first():
    frame = pd.DataFrame({"key": ["share", "log_odds"], "label": ["Share", "Log-odds"], "estimate": [1.0, -0.5]})
    assert tell_scales(frame).startswith("**The scales disagree on the sign of the effect**")
    assert "have the same sign" in tell_scales(frame.assign(estimate=[1.0, 0.5]))
    assert "Fewer than two scales" in tell_scales(frame.assign(estimate=[1.0, np.nan]))


def test_the_numbers_behind_a_share_are_shown_in_per_cent_beside_it():
    spec = ea.StudySpec(study="xinjiang_cluster")
    design = load_design(spec)
    table = survey_counts(spec, design).set_index("key")
    assert table["unit"].to_dict() == {"share": "pp", "inside": "%", "outside": "%"}
    assert table["label"].tolist() == [
        "Share of level 3-4 operations",
        "Operations of level 3 and 4",
        "Other operations",
    ]
    main = spec.methods[spec.main]
    effects = ea.estimate(design, main.method, scale="log_outside", **main.options).aggregate("overall")
    assert table.loc["outside", "estimate"] == pytest.approx(100 * effects.value[0])
    assert table.loc["outside", "std_error"] == pytest.approx(100 * ea.infer(effects)["std_error"].iloc[0])
    scales = survey_scales(spec, design).set_index("key")
    assert table.loc["share", "estimate"] == scales.loc["share", "estimate"]


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ("korea_responsible_hospitals", "The panel of this study holds shares and no counts."),
        ("tibet_cluster", "The outcome is no share"),
    ],
)
def test_a_study_without_counts_says_so(study, said):
    spec = ea.StudySpec(study=study)
    design = load_design(spec)
    table = survey_counts(spec, design)
    assert table.empty
    assert tell_counts(table, design.outcome_unit).startswith(said)


YES, NO, NONE = (1.0, 2.0), (-1.0, 1.0), (np.nan, np.nan)


@pytest.mark.parametrize(
    ("share", "inside", "outside", "said"),
    [
        (
            YES,
            YES,
            NO,
            "**The share moved, and no change in visits elsewhere is shown, nor that there is none.** A share",
        ),
        (YES, YES, YES, "The share moved with both numbers."),
        (YES, NO, YES, "The share moved with the second number, not the first."),
        (YES, NO, NO, "**The share moved, but neither number by itself can be told from no change.**"),
        (NO, YES, NO, "The interval for the share itself holds zero."),
        (YES, NONE, YES, "There is no interval for visits here, so it cannot be said whether"),
    ],
)
def test_what_moved_with_the_share_is_said(share, inside, outside, said):
    frame = pd.DataFrame([share, inside, outside], columns=["conf_low", "conf_high"]).assign(
        key=["share", "inside", "outside"], label=["Visit share", "Visits here", "Visits elsewhere"]
    )
    design = load_design(ea.StudySpec(study="xinjiang_cluster"))
    found = tell_counts(frame, design.outcome_unit)
    assert said in found
    assert found.startswith("Visits here: {counts.inside:effect}. Visits elsewhere: {counts.outside:effect}. ") != (
        inside is NONE
    )


def test_a_reason_is_about_what_is_missing_not_about_errors_that_were_not_computed():
    spec = ea.StudySpec(study="xinyi_alliance")
    table = survey_methods(spec, load_design(spec)).set_index("key")
    assert table.loc["efficient", "reason"] == "a cohort of one unit has no variance to choose the adjustment by"
    one = "one treated unit: no standard error from variation between units; placebo in space takes its place"
    assert table.loc["synthetic_did", "reason"] == one
    assert table.loc["dose", "reason"].startswith("a covariate is needed (the dose of each treated unit)")


def test_the_doses_of_a_study_are_those_of_its_own_section():
    spec = ea.StudySpec(study="ten_thousand_doctors")
    row = survey_methods(spec, load_design(spec)).set_index("key").loc["dose"]
    own = average_dose_effects(estimate_dose(spec), spec).set_index("key").loc["level"]
    columns = ["estimate", "conf_low", "conf_high"]
    assert row[columns].tolist() == pytest.approx(own[columns].tolist(), rel=1e-12)
    assert row["reason"] == ""
    assert row["made_by"].startswith("dose(column=dose, comparison=lowest_dose, base=mean, degree=1)")


def test_methods_over_time_are_those_of_the_study_on_its_own_sample():
    spec = ea.StudySpec(study="korea_obstetrics")
    frame = trace_methods(spec)
    assert frame["series"].iloc[0] == spec.methods[spec.main].label
    assert frame["series"].nunique() == 5
    main = ea.estimate(load_design(spec), "callaway_santanna", **spec.methods[spec.main].options).aggregate(
        "event_time"
    )
    own = frame[frame["series"] == spec.methods[spec.main].label]
    np.testing.assert_allclose(own["estimate"], 100 * main.value)
    assert trace_methods(spec.change({"methods": {spec.main: spec.methods[spec.main].model_dump()}})).empty


def test_a_synthetic_comparison_is_the_treated_less_their_effect_and_its_weights_add_up():
    spec = ea.StudySpec(study="korea_satellites")
    frame = trace_synthetic(spec)
    assert frame["panel"].unique().tolist() == [
        "Synthetic control for 의정부 alone",
        "Synthetic control for 광명 alone",
    ]
    for name, own in frame.groupby("panel"):
        assert own[own["kind"] == "weight"]["value"].sum() == pytest.approx(100)
        (entry,) = [entry for entry in spec.methods.values() if entry.label == name]
        effects = ea.estimate(load_design(spec.change(entry.changes)), entry.method)
        treated, other = (own[own["kind"] == kind].set_index("label")["value"] for kind in ("treated", "comparison"))
        after = (treated - other)[treated.index >= own["start_label"].iloc[0]]
        assert after.mean() == pytest.approx(100 * effects.aggregate("overall").value[0])
    assert trace_synthetic(ea.StudySpec(study="korea_responsible_hospitals")).empty
