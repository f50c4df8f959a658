"""Every row of a specification curve is the estimate that the same choices give by themselves."""

import re

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import EstimationError
from evalaid.did.sensitivity.choices.declared import Specification, all_subsets, declare

# Both routes solve the same equations in double precision.
TOLERANCE = 1e-10
LINEAR = ("twfe", "event_study", "sun_abraham", "imputation")


def panel(seed=3, **options) -> pd.DataFrame:
    frame = simulate(seed, **options)
    rng = np.random.default_rng(seed + 1)
    trend = frame["quarter"] * frame["log_gdp"] / 50
    return frame.assign(
        beds=trend + rng.normal(size=len(frame)), doctors=0.5 * frame["share"] + rng.normal(size=len(frame))
    )


def by_itself(frame, one, weight, cluster):
    """The same choices through the public functions, from the rows of the frame that they keep."""
    first, last = (default if end is None else end for end, default in zip(one.window, (1, 99), strict=True))
    kept = frame[frame["quarter"].between(first, last)]
    options = dict(one.options)
    if one.comparison == "eventually_treated":
        kept = kept[kept["cohort"].notna()]
        if one.method == "callaway_santanna":
            options["comparison"] = "not_yet_treated"
    elif one.comparison != "own":
        options["comparison"] = one.comparison
    weight = weight if one.weights == "design" else None
    design = diagnose(kept, covariates=one.covariates, weight=weight, cluster=cluster)
    if one.scale != "share":
        options["scale"] = one.scale
    return ea.infer(ea.estimate(design, one.method, **options).aggregate("overall"), vcov="CR1")


@pytest.mark.parametrize(
    ("seed", "missing", "weight", "cluster"),
    [(3, 0.0, None, None), (4, 0.0, "weight", "prefecture"), (5, 0.1, None, "prefecture"), (6, 0.1, "weight", None)],
)
@pytest.mark.crossed(2)
def test_every_row_equals_the_same_choices_by_themselves(seed, missing, weight, cluster):
    frame = panel(seed, missing=missing)
    names = ("share_65", "beds", "log_gdp")
    design = diagnose(frame, covariates=names, weight=weight, cluster=cluster)
    declared = declare(
        [*LINEAR, "etwfe", ("callaway_santanna", {"adjustment": "regression"})],
        all_subsets(names),
        windows=[(None, None), (2, 7)],
        comparisons=["own", "never_treated", "eventually_treated"],
        weights=["design", "none"],
    )
    curve = ea.specification_curve(design, declared, vcov="CR1")
    assert len(curve.table) == len(declared)
    rows = {tuple(row[:6]): row for row in curve.table.itertuples(index=False)}
    rng = np.random.default_rng(seed)
    checked = 0
    for k in rng.permutation(len(declared))[:24]:
        one = declared[k]
        row = rows[tuple(one.describe(design).values())]
        if np.isnan(row.estimate):
            with pytest.raises(ea.NotIdentifiedError, match=re.escape(row.note.split("; ")[0])):
                by_itself(frame, one, weight, cluster)
            continue
        expected = by_itself(frame, one, weight, cluster).iloc[0]
        names_of = ["estimate", "std_error", "conf_low", "conf_high"]
        found = np.array([getattr(row, name) for name in names_of])
        np.testing.assert_allclose(
            found, expected[names_of].to_numpy(float), rtol=1e-9, atol=TOLERANCE, err_msg=str(one)
        )
        assert (row.n_treated, row.treated_clusters, row.n_clusters) == tuple(
            expected[["n_treated", "treated_clusters", "n_clusters"]]
        )
        checked += 1
    assert checked > 8


@pytest.mark.parametrize("method", LINEAR)
def test_all_subsets_at_once_equal_each_by_itself(method):
    names = ("share_65", "beds", "doctors")
    design = diagnose(panel(8, missing=0.05), covariates=names, cluster="prefecture")
    curve = ea.specification_curve(design, {"methods": [method], "covariates": all_subsets(names)}, vcov="CR1")
    for row in curve.table.itertuples():
        covariates = () if row.covariates == "none" else tuple(row.covariates.split(", "))
        one = ea.infer(ea.estimate(design, method, covariates=covariates).aggregate("overall"), vcov="CR1").iloc[0]
        assert row.estimate == pytest.approx(one["estimate"], abs=TOLERANCE)
        assert row.std_error == pytest.approx(one["std_error"], abs=TOLERANCE)


def test_intervals_by_the_rule_of_a_single_estimate_leave_out_each_cluster_where_few_are_treated():
    frame = panel(8)
    design = diagnose(frame, covariates=("share_65", "beds"), cluster="prefecture")
    choices = {"methods": ["imputation", "callaway_santanna"], "covariates": [(), ("beds",)]}
    curve = ea.specification_curve(design, choices)
    plain = ea.specification_curve(design, choices | {"methods": ["imputation"]}, vcov="CR1")
    assert set(curve.table["vcov"]) == {"CR3"}
    assert set(plain.table["vcov"]) == {"CR1"}
    assert any("CR1 intervals are too short" in note for note in plain.notes)
    assert not any("CR1" in note for note in curve.notes)
    for row in curve.table.itertuples():
        covariates = () if row.covariates == "none" else (row.covariates,)
        one = ea.infer(ea.estimate(design, row.method, covariates=covariates).aggregate("overall")).iloc[0]
        found = (row.estimate, row.std_error, row.conf_low, row.conf_high)
        assert found == pytest.approx(tuple(one[["estimate", "std_error", "conf_low", "conf_high"]]), abs=TOLERANCE)


def test_errors_of_estimates_that_are_made_together_say_that_one_step_stands_for_large_clusters():
    """36 clusters of 2.8% each: a single estimate leaves each out, all subsets at once cannot; the two differ by about 1%."""
    frame = simulate(5, n_units=36)
    design = diagnose(frame.assign(beds=frame["share_65"] ** 2), covariates=("share_65", "beds"))
    choices = {"methods": ["imputation"], "covariates": [(), ("beds",), ("share_65", "beds")]}
    curve = ea.specification_curve(design, choices).table
    assert curve["note"].str.contains("in one step for large clusters").all()
    for row in curve.itertuples():
        covariates = () if row.covariates == "none" else tuple(row.covariates.split(", "))
        one = ea.infer(ea.estimate(design, "imputation", covariates=covariates).aggregate("overall")).iloc[0]
        assert "in one step" not in one["note"]
        assert row.std_error == pytest.approx(one["std_error"], rel=0.03)
    quick = ea.specification_curve(design, choices, vcov="CR1").table
    assert not quick["note"].str.contains("in one step").any()


def test_errors_that_the_curve_does_not_offer_are_named():
    with pytest.raises(EstimationError, match=re.escape("vcov='CR2' is not a choice; choose auto, CR1.")):
        ea.specification_curve(diagnose(panel()), {"methods": ["twfe"]}, vcov="CR2")


def test_scales_go_through_the_same_door():
    frame = panel(9)
    design = diagnose(frame, covariates=("beds",))
    declared = declare(["twfe", "sun_abraham"], [(), ("beds",)], scales=["share", "log_odds"])
    curve = ea.specification_curve(design, declared)
    for one in declared:
        row = curve.table.set_index(["method", "covariates", "scale"]).loc[
            one.method, ", ".join(one.covariates) or "none", one.scale
        ]
        assert row["estimate"] == pytest.approx(by_itself(frame, one, None, None)["estimate"].iloc[0], abs=TOLERANCE)


def test_rows_are_sorted_and_refusals_come_last_with_their_reasons():
    design = diagnose(panel())
    curve = ea.specification_curve(
        design, {"methods": ["twfe", "event_study"], "comparisons": ["own", "eventually_treated"]}
    )
    estimates = curve.table["estimate"].to_numpy()
    assert (np.diff(estimates[:-1]) >= 0).all()
    assert np.isnan(estimates[-1])
    assert curve.table["note"].iloc[-1] == "there is no never-treated unit in the panel"
    assert (
        curve.notes[0] == "3 of 4 specifications have an estimate; the others are refused with the reason in their row"
    )


def test_a_covariate_that_is_collinear_with_treatment_is_not_averaged_away():
    frame = panel()
    frame["treated"] = (frame["quarter"] >= frame["cohort"]).astype(float)
    design = diagnose(frame, covariates=("treated", "beds"))
    curve = ea.specification_curve(design, {"methods": ["twfe"], "covariates": all_subsets(("treated", "beds"))})
    known = curve.table.set_index("covariates")
    assert known.loc[["none", "beds"], "estimate"].notna().all()
    assert known.loc[["treated", "treated, beds"], "estimate"].isna().all()
    assert (
        known.loc["treated", "note"] == "not identified: collinear with the fixed effects and the covariates (treated)"
    )


def test_the_shares_of_a_full_factorial_add_up_and_find_the_choice_that_matters():
    frame = panel(11, n_units=60)
    effect = (frame["quarter"] >= frame["cohort"]).astype(float)
    frame["beds"] = 10 * effect + np.random.default_rng(1).normal(size=len(frame))  # takes the effect away
    design = diagnose(frame, covariates=("beds", "share_65"))
    curve = ea.specification_curve(
        design, {"methods": ["twfe", "sun_abraham"], "covariates": all_subsets(("beds", "share_65"))}
    )
    drivers = curve.drivers.set_index("choice")
    assert drivers.index[0] == "covariate beds"
    np.testing.assert_allclose(drivers["share_alone"], drivers["share_beyond_others"], atol=1e-8)
    assert 0 < drivers["share_alone"].sum() <= 1


def test_one_treated_cluster_gives_no_error():
    frame = simulate(2, n_units=30, cohorts=(4, *[None] * 29))
    curve = ea.specification_curve(diagnose(frame), {"methods": ["twfe", "imputation"]})
    assert curve.table["estimate"].notna().all()
    assert curve.table["std_error"].isna().all()
    assert (curve.table["note"].str.contains("one treated cluster")).all()


def test_a_repetition_is_counted_as_one():
    design = diagnose(panel(), covariates=("log_gdp",))  # does not vary within counties
    curve = ea.specification_curve(design, {"methods": ["twfe"], "covariates": [(), ("log_gdp",)]})
    assert len(set(curve.table["estimate"])) == 1
    assert any("1 specifications repeat the numbers" in note for note in curve.notes)


def test_declaring_leaves_out_what_a_method_does_not_have():
    methods = ("twfe", "callaway_santanna", "etwfe", "efficient")
    declared = declare([*methods], [(), ("x",)], comparisons=["never_treated", "own"])
    count = {method: sum(one.method == method for one in declared) for method in methods}
    assert count == {"twfe": 2, "callaway_santanna": 4, "etwfe": 4, "efficient": 1}


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ([], "No specification is declared"),
        ([Specification("twfee")], "Did you mean 'twfe'"),
        ([Specification("twfe", ("gdp",))], "no covariate 'gdp'"),
        ([Specification("twfe", window=(3, 77))], "77 is not a period of the panel"),
        ([Specification("twfe", window=(5, 3))], "must come before the last"),
        ([Specification("twfe", comparison="all")], "comparison='all' is not a choice; allowed: own"),
        ([Specification("twfe", weights="some")], "weights='some' is not a choice"),
        ([Specification("efficient", ("beds",))], "unknown option 'covariates'"),
        ([Specification("sun_abraham", options={"referenc": -2})], "did you mean 'reference'"),
    ],
)
def test_a_choice_that_does_not_exist_is_named(declared, text):
    with pytest.raises(EstimationError, match=text):
        ea.specification_curve(diagnose(panel(), covariates=("beds",)), declared)


def test_progress_counts_every_specification():
    seen = []
    design = diagnose(panel(), covariates=("beds",))
    ea.specification_curve(
        design, {"methods": ["twfe", "etwfe"], "covariates": [(), ("beds",)]}, progress=lambda *step: seen.append(step)
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
