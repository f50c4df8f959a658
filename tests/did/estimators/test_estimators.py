"""Identities, invariances, refusals and hand-computed cases of the estimators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.panels import counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import EstimationError

METHODS = [
    "two_by_two",
    "twfe",
    "event_study",
    "callaway_santanna",
    "sun_abraham",
    "etwfe",
    "imputation",
    "stacked",
    "lp_did",
    "efficient",
    "dcdh",
]
# These need every unit in every period.
BALANCED = {"efficient"}
# Two ways through the same double-precision sums.
EXACT = 1e-11


def values(frame: pd.DataFrame, method: str, *, options=None, **columns) -> np.ndarray:
    effects = ea.estimate(diagnose(frame, **columns), method, **(options or {}))
    return np.r_[effects.value, np.sqrt((effects.influence.matrix() ** 2).sum(axis=0))]


# ---- identities -----------------------------------------------------------------------------------------------------


def test_one_cohort_balanced_two_by_two_is_the_two_way_coefficient():
    frame = simulate(1, cohorts=(5, None))
    np.testing.assert_allclose(values(frame, "two_by_two"), values(frame, "twfe"), rtol=1e-9)


def test_one_cohort_balanced_every_method_has_the_same_event_study():
    panel = diagnose(simulate(2, cohorts=(5, None)))
    regression = ea.estimate(panel, "event_study").value
    universal = ea.estimate(panel, "callaway_santanna", base_period="universal").aggregate("event_time").value
    np.testing.assert_allclose(regression, universal, atol=EXACT)


@pytest.mark.parametrize("comparison", ["never_treated", "not_yet_treated"])
def test_a_group_time_effect_is_a_difference_of_four_means(comparison):
    frame = counties()
    found = ea.estimate(diagnose(frame), "callaway_santanna", comparison=comparison).select(cohort=7, period=8).value[0]
    means = frame.pivot_table(index="county", columns="quarter", values="share")
    cohort = frame.drop_duplicates("county").set_index("county")["cohort"]
    change = means[8] - means[6]
    others = cohort.isna() if comparison == "never_treated" else cohort.isna() | (cohort > 8)
    assert found == pytest.approx(change[cohort == 7].mean() - change[others].mean(), abs=EXACT)


def test_imputation_is_the_saturated_regression_on_balanced_data():
    frame = counties()
    effects = ea.estimate(diagnose(frame), "imputation")
    shares = frame.pivot_table(index="county", columns="quarter", values="share")
    cohort = frame.drop_duplicates("county").set_index("county")["cohort"].reindex(shares.index).to_numpy()
    periods = shares.columns.to_numpy()
    cells = [(g, t) for g in (5.0, 7.0, 9.0) for t in periods if t >= g]
    dummies = [((cohort == g)[:, None] & (periods == t)).ravel().astype(float) for g, t in cells]
    units, times = np.kron(np.eye(60), np.ones((12, 1))), np.kron(np.ones((60, 1)), np.eye(12)[:, 1:])
    x = np.column_stack([*dummies, units, times])
    saturated = np.linalg.lstsq(x, shares.to_numpy().ravel(), rcond=None)[0][: len(cells)]
    assert list(zip(effects.cells["cohort"], effects.cells["period"], strict=True)) == cells
    np.testing.assert_allclose(effects.value, saturated, atol=EXACT)


def test_on_balanced_data_the_interaction_weighted_cells_are_those_with_a_universal_base():
    panel = diagnose(counties())
    saturated = ea.estimate(panel, "sun_abraham")
    santanna = ea.estimate(panel, "callaway_santanna", comparison="never_treated", base_period="universal")
    np.testing.assert_allclose(saturated.value, santanna.value, atol=EXACT)


def test_the_linear_extended_regression_is_the_imputation_estimator_on_balanced_data():
    panel = diagnose(counties())
    np.testing.assert_allclose(ea.estimate(panel, "etwfe").value, ea.estimate(panel, "imputation").value, atol=EXACT)


@pytest.mark.parametrize("family", ["gaussian", "binomial", "poisson"])
def test_the_influence_of_the_extended_regression_is_the_derivative(family):
    frame = simulate(27, n_units=18)
    step = 1e-4

    def value(weight):
        weighted = frame.assign(weight=np.where(frame["county"] == "C007", weight, 1.0))
        return ea.estimate(diagnose(weighted, weight="weight"), "etwfe", family=family)

    at_one = value(1.0)
    row = at_one.population.units.get_loc("C007")
    slope = (value(1 + step).value - value(1 - step).value) / (2 * step)
    np.testing.assert_allclose(at_one.influence.matrix()[row], slope, atol=1e-8)


def test_a_share_in_per_cent_is_not_a_fraction_for_the_logit():
    frame = simulate(28).assign(rate_like=lambda f: f["share"] * 100)
    panel = ea.diagnose(
        frame, unit="county", period="quarter", outcome="rate_like", cohort="cohort", outcome_unit="number"
    )
    with pytest.raises(EstimationError, match="needs outcomes from 0 to 1"):
        ea.estimate(panel, "etwfe", family="binomial")


def test_without_covariates_all_adjustments_agree():
    panel = diagnose(counties())
    found = [ea.estimate(panel, "callaway_santanna", adjustment=a) for a in ("none", "regression", "ipw")]
    for other in found:
        reference = ea.estimate(panel, "callaway_santanna", adjustment="doubly_robust")
        np.testing.assert_allclose(other.value, reference.value, atol=EXACT)


def test_repeated_sections_equal_the_panel_when_nothing_is_missing():
    frame = simulate(4)
    panel = diagnose(frame)
    matrices = panel.matrices
    object.__setattr__(matrices, "observed", np.ones_like(matrices.outcome, dtype=bool))
    found = ea.estimate(panel, "callaway_santanna")
    expected = ea.estimate(diagnose(frame), "callaway_santanna")
    np.testing.assert_allclose(found.value, expected.value, atol=EXACT)
    np.testing.assert_allclose(found.influence.matrix(), expected.influence.matrix(), atol=EXACT)


def test_two_by_two_averages_the_named_periods():
    frame = simulate(6, cohorts=(5, None))
    found = ea.estimate(diagnose(frame), "two_by_two", before=(4,), after=(8,))
    wide = frame.pivot_table(index="county", columns="quarter", values="share")
    treated = frame.drop_duplicates("county").set_index("county")["cohort"].notna()
    change = wide[8] - wide[4]
    assert found.value[0] == pytest.approx(change[treated].mean() - change[~treated].mean(), abs=EXACT)


def test_a_known_effect_is_found():
    frame = simulate(7, n_units=600, effect=0.05)
    for method in METHODS:
        effects = ea.estimate(diagnose(frame), method)
        overall = effects if method == "twfe" else effects.aggregate("overall")
        table = ea.infer(overall)
        assert abs(table["estimate"].iloc[0] - 0.05) < 4 * table["std_error"].iloc[0], method


# ---- invariances ----------------------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(seed=st.integers(0, 1000), missing=st.sampled_from([0.0, 0.1]))
@pytest.mark.parametrize("method", METHODS)
def test_row_order_and_labels_and_the_calendar_do_not_matter(method, seed, missing):
    frame = simulate(seed, n_units=18, n_periods=7, missing=0.0 if method in BALANCED else missing)
    expected = values(frame, method)
    shuffled = frame.sample(frac=1, random_state=seed)
    np.testing.assert_allclose(values(shuffled, method), expected, atol=EXACT)
    renamed = frame.assign(county=frame["county"].map(lambda name: f"X{999 - int(name[1:]):03d}"))
    np.testing.assert_allclose(values(renamed, method), expected, atol=EXACT)
    later = frame.assign(quarter=frame["quarter"] + 30, cohort=frame["cohort"] + 30)
    np.testing.assert_allclose(values(later, method), expected, atol=EXACT)


@pytest.mark.parametrize("method", ["efficient", "synthetic_did", "synthetic_control"])
def test_methods_without_a_place_for_weights_say_so(method):
    with pytest.raises(ea.NotIdentifiedError, match="the method has no place for weights and the design is weighted"):
        ea.estimate(diagnose(simulate(8), weight="weight"), method)


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("method", [method for method in METHODS if method != "efficient"])
def test_equal_weights_are_no_weights(method, missing):
    frame = simulate(8, missing=0.0 if method in BALANCED else missing).assign(weight=3.0)
    np.testing.assert_allclose(values(frame, method, weight="weight"), values(frame, method), atol=EXACT)


@pytest.mark.parametrize("method", METHODS)
def test_per_cent_and_fraction_give_the_same_effects(method):
    frame = simulate(9)
    per_cent = frame.assign(share=frame["share"] * 100)
    found = values(per_cent, method, outcome_unit="percent")
    np.testing.assert_allclose(found, values(frame, method), atol=EXACT)


@pytest.mark.parametrize("method", METHODS)
def test_always_treated_units_change_nothing(method):
    frame = simulate(10)
    always = frame[frame["county"].isin(["C000", "C001"])].assign(cohort=1.0)
    always["county"] = "Z" + always["county"]
    panel = diagnose(pd.concat([frame, always], ignore_index=True))
    assert len(panel.excluded) == 2
    np.testing.assert_allclose(ea.estimate(panel, method).value, ea.estimate(diagnose(frame), method).value, atol=EXACT)


@pytest.mark.parametrize("code", ["float", "nullable", "object"])
def test_never_treated_is_missing_in_any_type(code):
    frame = simulate(11)
    kinds = {"float": "float64", "nullable": "Int64", "object": "object"}
    coded = frame.assign(cohort=frame["cohort"].astype(kinds[code]))
    np.testing.assert_allclose(values(coded, "callaway_santanna"), values(frame, "callaway_santanna"), atol=EXACT)


@pytest.mark.parametrize("method", METHODS)
def test_the_callers_frame_is_not_changed(method):
    frame = simulate(12)
    before = frame.copy(deep=True)
    ea.infer(ea.estimate(diagnose(frame, covariates=("share_65",)), method))
    pd.testing.assert_frame_equal(frame, before)


# ---- what is not identified -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_everybody_treated_at_once_is_refused_with_what_could_be_done(method):
    with pytest.raises(ea.NotIdentifiedError) as caught:
        ea.estimate(diagnose(simulate(13, cohorts=(4,))), method)
    text = str(caught.value)
    assert method in text
    assert "No registered method applies" in text
    assert "add units that are never treated or treated later" in text
    assert caught.value.alternatives == ()


def test_without_never_treated_units_the_refusal_names_the_methods_that_apply():
    panel = diagnose(simulate(14, cohorts=(4, 6)))
    with pytest.raises(ea.NotIdentifiedError, match="no never-treated unit in the panel") as caught:
        ea.estimate(panel, "event_study")
    assert caught.value.alternatives == (
        "twfe",
        "callaway_santanna",
        "etwfe",
        "imputation",
        "stacked",
        "lp_did",
        "efficient",
        "dcdh",
        "matrix_completion",
    )
    with pytest.raises(ea.NotIdentifiedError):
        ea.estimate(panel, "callaway_santanna", comparison="never_treated")


def test_all_reasons_are_listed_at_once():
    panel = diagnose(simulate(15, cohorts=(4,)))
    with pytest.raises(ea.NotIdentifiedError) as caught:
        ea.estimate(panel, "callaway_santanna", comparison="never_treated", anticipation=5)
    assert len(caught.value.reasons) == 2


def test_after_the_last_cohort_starts_cells_are_missing_with_the_period():
    panel = diagnose(simulate(16, cohorts=(4, 6)))
    for method in ("callaway_santanna", "imputation"):
        cells = ea.estimate(panel, method).tidy()
        late = cells[cells["period"] >= 6]
        assert late["estimate"].isna().all()
        assert late["reason"].str.contains(r"in \d").all()
        assert cells[(cells["cohort"] == 4) & (cells["period"].between(4, 5))]["estimate"].notna().all()


def test_averages_say_what_they_leave_out():
    effects = ea.estimate(diagnose(simulate(16, cohorts=(4, 6))), "callaway_santanna")
    overall = effects.aggregate("overall").tidy()
    assert "cells have no estimate and are left out" in overall["reason"].iloc[0]
    assert np.isfinite(overall["estimate"].iloc[0])


def test_an_event_study_without_the_reference_period_is_refused():
    with pytest.raises(EstimationError, match="no cohort is observed at the reference event time -9"):
        ea.estimate(diagnose(simulate(17)), "event_study", reference=-9)


def test_missing_overlap_names_the_covariate_and_what_is_left():
    frame = simulate(29, cohorts=(5, None))
    frame["log_gdp"] = frame["log_gdp"] * 0.1 + 5.0 * frame["cohort"].notna()
    cells = ea.estimate(diagnose(frame, covariates=("log_gdp",)), "callaway_santanna").tidy()
    assert cells["estimate"].isna().all()
    reason = cells["reason"].iloc[0]
    assert reason.startswith("no overlap: ")
    assert "'log_gdp' is 4." in reason
    assert "for the cohort and -0." in reason


def test_an_outcome_without_variation_has_no_error_and_says_so():
    frame = simulate(30).assign(share=0.7)
    for method in METHODS:
        table = ea.infer(ea.estimate(diagnose(frame), method), vcov="CR1")
        estimated = table[~table["note"].str.contains("by construction")]
        np.testing.assert_allclose(estimated["estimate"], 0, atol=EXACT)
        assert estimated["std_error"].isna().all(), method
        assert estimated["note"].str.contains("no variation between clusters").all(), method


def test_two_comparison_units_carry_a_synthetic_comparison():
    frame = simulate(31, n_units=12, cohorts=(5, None))
    never = frame.loc[frame["cohort"].isna(), "county"].unique()
    effects = ea.estimate(diagnose(frame[~frame["county"].isin(never[2:])]), "synthetic_did")
    assert np.isfinite(effects.value).all()


# ---- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "options", "text"),
    [
        ("callaway", {}, "No method 'callaway'; there are two_by_two, twfe"),
        ("callaway_santana", {}, "Did you mean 'callaway_santanna'?"),
        ("callaway_santanna", {"comparision": "never_treated"}, "(did you mean 'comparison'?)"),
        ("callaway_santanna", {"comparison": "treated"}, "allowed: 'not_yet_treated', 'never_treated'"),
        ("callaway_santanna", {"base_period": "first", "draws": 1}, "unknown option 'draws'"),
        ("twfe", {"covariates": ("gdp",)}, "unknown covariate 'gdp'; the design has 'share_65'"),
        ("callaway_santanna", {"anticipation": -1}, "anticipation=-1 found"),
        ("imputation", {"anticipation": -1}, "anticipation=-1 found"),
        ("two_by_two", {"before": (99,)}, "period 99 is not in the panel, which has 1, 2"),
    ],
)
def test_options_that_do_not_exist_are_named(method, options, text):
    panel = diagnose(simulate(18), covariates=("share_65",))
    with pytest.raises(EstimationError) as caught:
        ea.estimate(panel, method, **options)
    assert text in str(caught.value)


def test_a_dose_applies_where_everybody_is_treated():
    frame = simulate(13, cohorts=(4,))
    frame["experts"] = 1.0 + frame.groupby("county").ngroup()
    with pytest.raises(ea.NotIdentifiedError) as caught:
        ea.estimate(diagnose(frame, covariates=("experts",)), "twfe")
    assert caught.value.alternatives == ("dose",)


def test_the_registry_is_a_table():
    table = ea.methods()
    assert table["method"].tolist() == [
        *METHODS, "synthetic_did", "synthetic_control", "augmented_synthetic_control", "matrix_completion",
        "interactive_effects", "dose", "triple_difference",
    ]  # fmt: skip
    assert table.notna().all().all()
    assert "comparison=not_yet_treated | never_treated" in table.set_index("method").loc["callaway_santanna", "options"]


def test_every_method_has_its_assumption_and_its_covariates():
    table = ea.methods().set_index("method")
    assert (table["assumption"] != "").all()
    taking = set(table.index[table["covariates"] == "yes"])
    assert taking == {
        "two_by_two", "twfe", "event_study", "callaway_santanna", "sun_abraham", "etwfe", "imputation", "lp_did", "dcdh", "synthetic_did",
        "synthetic_control", "triple_difference", "augmented_synthetic_control", "matrix_completion", "interactive_effects",
    }  # fmt: skip


def test_every_method_names_the_test_behind_it():
    for named in ea.methods()["test"]:
        path, name = named.split("::")
        assert f"def {name}(" in (Path(__file__).parents[3] / path).read_text(encoding="utf-8")


def test_anticipation_moves_the_base_period():
    panel = diagnose(simulate(19))
    effects = ea.estimate(panel, "callaway_santanna", anticipation=1, base_period="universal")
    zero = effects.cells[effects.cells["reason"] != ""]
    assert set(zero["event_time"]) == {-2}
    early = ea.estimate(panel, "imputation", anticipation=1)
    assert early.cells["event_time"].min() == -1


@pytest.mark.parametrize("value", [pd.Series([1, 2]), ["overall"], np.array([1, 2]), 2.5, None], ids=repr)
def test_a_choice_that_is_no_word_or_number_is_refused_in_words(value):
    """A column or a list where a word is asked for, such as ``few_treated(by=frame["region"])``."""
    design = diagnose(simulate(17))
    effects = ea.estimate(design, "callaway_santanna")
    asked = {
        "aggregate": lambda: effects.aggregate(value),
        "few_treated by": lambda: ea.few_treated(design, by=value),
        "few_treated kind": lambda: ea.few_treated(design, kind=value),
        "method": lambda: ea.estimate(design, value),
        "scale": lambda: ea.estimate(design, "twfe", scale=value),
        "comparison": lambda: ea.estimate(design, "callaway_santanna", comparison=value),
        "vcov": lambda: ea.infer(effects, vcov=value),
        "placebo": lambda: ea.placebo(design, "twfe", kind=value),
        "before": lambda: ea.estimate(design, "stacked", before=value),
        "select": lambda: effects.select(event_time=value if value is None else "x"),
    }
    if value is not None:
        asked["reference"] = lambda: ea.estimate(design, "event_study", reference=value)
        asked["anticipation"] = lambda: ea.estimate(design, "imputation", anticipation=value)
        asked["weights"] = lambda: effects.aggregate("overall", value)
    for call in asked.values():
        with pytest.raises(ea.EvalaidError):
            call()
