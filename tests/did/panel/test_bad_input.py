"""Bad input: every method gives an estimate or a reason, and never fails in another way."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import EstimationError, EvalaidError, NotIdentifiedError, PanelError
from evalaid.did.estimators.registry import METHODS

# ---- leaving clusters out ------------------------------------------------------------------------------------------------


def lonely_cohorts() -> pd.DataFrame:
    """Two cohorts of one unit each and a large one: leaving a unit out takes a cohort and its event times with it."""
    frame = simulate(1, n_units=18)
    lonely = {"C000": 3.0, "C003": 7.0}
    return frame.assign(cohort=frame["cohort"].where(~frame["county"].isin(lonely), frame["county"].map(lonely)))


@pytest.mark.parametrize("method", ["callaway_santanna", "event_study", "lp_did", "stacked", "twfe"])
def test_the_jackknife_matches_cells_by_label_when_a_cohort_is_lost_with_a_cluster(method):
    frame = lonely_cohorts()
    effects = ea.estimate(diagnose(frame), method)
    keys = [key for key in ("cohort", "period", "event_time") if key in effects.cells]
    full = effects.tidy()
    total, lost = np.zeros(len(full)), np.zeros(len(full), dtype=bool)
    for county in frame["county"].unique():
        without = ea.estimate(diagnose(frame[frame["county"] != county]), method).tidy()
        if keys:
            matched = full[keys].merge(without, on=keys, how="left")["estimate"].to_numpy()
        else:
            matched = without["estimate"].to_numpy()
        lost |= np.isnan(matched) & full["estimate"].notna().to_numpy()
        total += np.nan_to_num((matched - full["estimate"]).to_numpy()) ** 2
    table = ea.infer(effects, vcov="CR3")
    expected = np.sqrt(total * 17 / 18)
    known = table["std_error"].notna().to_numpy()
    assert known.any()
    np.testing.assert_allclose(table["std_error"][known], expected[known], rtol=1e-9)
    assert (~known | ~lost).all()
    said = table.loc[lost & (table["estimate"] != 0), "note"]  # what is zero by construction says that
    assert said.str.contains("no estimate without cluster C0").all()


@pytest.mark.parametrize("by", ["overall", "event_time", "cohort"])
def test_averages_leave_out_the_cohort_that_is_lost_with_a_cluster(by):
    frame = lonely_cohorts()
    average = ea.estimate(diagnose(frame), "callaway_santanna").aggregate(by)
    without = average.refit(average.population.units != "C000")
    expected = ea.estimate(diagnose(frame[frame["county"] != "C000"]), "callaway_santanna").aggregate(by)
    if by == "overall":
        assert without.value[0] == pytest.approx(expected.value[0], abs=1e-12)
        return
    found = without.tidy().set_index(by)["estimate"].dropna()
    np.testing.assert_allclose(found, expected.tidy().set_index(by)["estimate"][found.index], atol=1e-12)
    assert set(average.cells[by]) - set(found.index) == {"cohort": {3}, "event_time": {5}}[by]


def test_as_many_coefficients_as_observations_leave_no_error_and_say_so():
    frame = simulate(2, n_units=2, cohorts=(5, None))
    table = ea.infer(ea.estimate(diagnose(frame), "etwfe", comparison="never_treated"), vcov="CR1")
    estimated = table[~table["note"].str.contains("by construction")]
    assert estimated["estimate"].notna().all()
    assert estimated["std_error"].isna().all()
    assert (
        estimated["note"]
        .str.endswith("as many coefficients as observations: nothing is left to see an error from")
        .all()
    )


# ---- needs ---------------------------------------------------------------------------------------------------------------

BY_NAME = {entry.name: entry for entry in METHODS}


def with_parts(frame: pd.DataFrame) -> pd.DataFrame:
    """Add a dose of treated units, constant within units, and an eligibility of zeros and ones."""
    number = frame.groupby("county").ngroup()
    return frame.assign(
        experts=np.where(frame["cohort"].notna(), 1.0 + number % 5, 0.0), eligible=number // 3 % 2 * 1.0
    )


def meeting(method: str, frame: pd.DataFrame, **columns) -> ea.Design:
    """Diagnose the frame with the covariate that the method needs."""
    needed = {"dose": ("experts",), "triple_difference": ("eligible",)}.get(method, ())
    return diagnose(with_parts(frame), covariates=needed, **columns)


def ended_once():
    """A design in which one unit is untreated again in the last period."""
    frame = simulate(1)
    treated = (frame["quarter"] >= frame["cohort"]).astype(int)
    last = (frame["county"] == "C000") & (frame["quarter"] == frame["quarter"].max())
    columns = {"unit": "county", "period": "quarter", "outcome": "share", "treated": "treated"}
    return ea.diagnose(frame.assign(treated=treated.mask(last, 0)), **columns)


# What each need, as a method declares it, says when a design does not meet it; and such a design.
REFUSALS = {
    ("comparison", "never_treated"): (
        lambda method: meeting(method, simulate(1, cohorts=(4, 6))),
        "there is no never-treated unit in the panel",
    ),
    ("comparison", "not_yet_treated"): (
        lambda method: meeting(method, simulate(1, cohorts=(4,))),
        "all 40 units start in the same period (4), so no unit is untreated while others are treated",
    ),
    ("comparison", "dose"): (  # what remains when no option of the method needs untreated units: somebody must start
        lambda method: meeting(method, simulate(1, cohorts=(None,))),
        "no unit starts treatment between the second and the last period of the panel",
    ),
    ("pre_periods", 1): (
        lambda method: meeting(method, simulate(1), anticipation=5),
        (
            "1 untreated period before treatment is needed and the longest pre-period is 0 (with anticipation of 5); start "
            "the panel earlier"
        ),
    ),
    ("pre_periods", 2): (
        lambda method: meeting(method, simulate(1, cohorts=(2, None))),
        "2 untreated periods before treatment are needed and the longest pre-period is 1; start the panel earlier",
    ),
    ("stays", True): (
        lambda method: ended_once(),
        (
            "1 unit is untreated again after its start, for example C000, and the method takes treatment as lasting; dcdh "
            "follows the actual path, or name the first treated period with cohort=... instead of treated=... to estimate the "
            "effect of having started"
        ),
    ),
    ("balanced", True): (
        lambda method: meeting(method, simulate(1).drop(index=[4, 5, 20])),
        (
            "a balanced panel is needed and 3 unit-periods of 2 units are not observed, for example C000 in 5; supply them, or "
            "leave these units or periods out"
        ),
    ),
    ("covariate", "the dose of each treated unit"): (
        lambda method: diagnose(simulate(1)),
        "a covariate is needed (the dose of each treated unit) and the design names none; name it in diagnose(covariates=...)",
    ),
    ("covariate", "which part of a unit is eligible"): (
        lambda method: diagnose(simulate(1)),
        "a covariate is needed (which part of a unit is eligible) and the design names none; name it in diagnose(covariates=...)",
    ),
    ("weights", "none"): (
        lambda method: meeting(method, simulate(1), weight="weight"),
        "the method has no place for weights and the design is weighted",
    ),
    ("weights", "analytic"): (
        lambda method: meeting(method, simulate(1), weight="weight", weight_kind="precision"),
        (
            "the method has no place for precision weights: it weighs treated and comparison units alike; leave the weights out, or "
            "state weight_kind='analytic' if they say how much a unit counts"
        ),
    ),
    ("strata", False): (
        lambda method: meeting(method, simulate(1).assign(region="all"), stratum="region"),
        "the method does not compare within strata and the design names them; leave stratum= out, or use another",
    ),
    ("exposure", False): (
        lambda method: meeting(
            method, simulate(1).assign(part=lambda f: (f["quarter"] >= f["cohort"]).astype(float)), exposure="part"
        ),
        (
            "the method has no place for a first period that counts by its part; diagnose(partial=...) instead of exposure=... "
            "leaves that period out"
        ),
    ),
}
NOTHING_NEEDED = {
    ("balanced", False),
    ("covariates", 0),
    ("covariates", 1),
    ("covariate", ""),
    ("weights", "any"),
    ("stays", False),
    ("strata", True),
    ("exposure", True),
}
DECLARED = [
    (entry.name, need.name, getattr(entry.needs, need.name))
    for entry in METHODS
    for need in fields(entry.needs)
    if (need.name, getattr(entry.needs, need.name)) not in NOTHING_NEEDED
]


@pytest.mark.parametrize(("method", "need", "value"), DECLARED)
def test_every_need_of_every_method_refuses_with_its_text(method, need, value):
    design_of, text = REFUSALS[need, value]
    with pytest.raises(NotIdentifiedError) as caught:
        ea.estimate(design_of(method), method)
    assert text in caught.value.reasons
    assert str(caught.value).startswith(f"{method} does not apply to this design:\n  - ")
    assert f"\n  - {text}\n" in f"{caught.value}\n"
    assert method not in caught.value.alternatives


@pytest.mark.parametrize("method", BY_NAME)
def test_the_designs_behind_the_refusals_are_taken_once_the_need_is_met(method):
    assert np.isfinite(ea.estimate(meeting(method, simulate(1)), method).value).any()


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (
            simulate(1)[lambda f: f["county"] == "C000"],
            "the panel has 1 usable unit; a comparison needs at least two",
        ),
        (simulate(1, cohorts=(None,)), "no unit starts treatment between the second and the last period of the panel"),
        (
            simulate(1, cohorts=(12, None)),
            "no unit starts treatment between the second and the last period of the panel",
        ),
    ],
)
@pytest.mark.parametrize("method", BY_NAME)
def test_a_panel_with_nothing_to_compare_is_refused_by_every_method(method, frame, text):
    with pytest.raises(NotIdentifiedError) as caught:
        ea.estimate(meeting(method, frame), method)
    assert text in caught.value.reasons


# ---- covariates that cannot adjust ---------------------------------------------------------------------------------------


def separated(unbalanced: float = 0.0) -> pd.DataFrame:
    """Six-unit cohorts whose log_gdp lies above that of all others."""
    frame = simulate(3, n_units=18, missing=unbalanced)
    return frame.assign(log_gdp=0.1 * frame["log_gdp"] + 5.0 * (frame["cohort"] == 4))


@pytest.mark.parametrize("adjustment", ["ipw", "doubly_robust"])
def test_separation_names_the_cohort_the_covariate_and_what_overlap_is_left(adjustment):
    panel = diagnose(separated(), covariates=("log_gdp",))
    table = ea.estimate(panel, "callaway_santanna", adjustment=adjustment, comparison="never_treated").tidy()
    values = separated().drop_duplicates("county").set_index("county")
    own = values.loc[values["cohort"] == 4, "log_gdp"]
    other = values.loc[values["cohort"].isna(), "log_gdp"]
    expected = (
        "no overlap: at some covariate values (almost) all units are treated; cohort 4: 'log_gdp' is "
        f"{own.min():.4g} to {own.max():.4g} for the cohort and {other.min():.4g} to {other.max():.4g} for its comparison; "
        "0 of 6 treated units lie in the range of the comparison and 0 of 6 comparison units in that of the cohort; leave the "
        "covariate out, compare within the common range, or use adjustment='regression' and say that it extrapolates"
    )
    assert table.loc[table["cohort"] == 4, "estimate"].isna().all()
    assert set(table.loc[table["cohort"] == 4, "reason"]) == {expected}
    assert table.loc[table["cohort"] == 6, "estimate"].notna().all()


def test_separation_on_an_unbalanced_panel_counts_observations():
    panel = diagnose(separated(0.1), covariates=("log_gdp",))
    table = ea.estimate(panel, "callaway_santanna", unbalanced="cross_sections").tidy()
    reasons = table.loc[(table["cohort"] == 4) & table["estimate"].isna(), "reason"]
    assert len(reasons)
    assert reasons.str.contains(
        r"cohort 4: .* 0 of \d+ treated observations lie in .* 0 of \d+ comparison observations"
    ).all()


def test_a_combination_that_separates_is_told_from_a_single_covariate():
    frame = simulate(4, n_units=24, cohorts=(5, None))
    rng = np.random.default_rng(1)
    first = pd.Series(rng.normal(size=24), frame["county"].unique())
    treated = frame["cohort"].notna()
    frame = frame.assign(a=frame["county"].map(first), b=lambda f: -f["a"] + np.where(treated, 0.5, -0.5))
    reason = ea.estimate(diagnose(frame, covariates=("a", "b")), "callaway_santanna", adjustment="ipw").cells["reason"]
    assert reason.str.contains("cohort 5: no covariate separates them alone; furthest apart, 'b' is ").all()


@pytest.mark.parametrize(
    ("adjustment", "who"),
    [
        ("regression", "the comparison units"),
        ("doubly_robust", "the comparison units"),
        ("ipw", "the cohort and its comparison"),
    ],
)
@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"x": lambda f: 2 * f["log_gdp"] + 1}, "'x' follows from the others; leave it out"),
        ({"x": 3.0}, "'x' is 3 throughout; leave it out"),
        (
            {"x": 3.0, "z": lambda f: -f["log_gdp"]},
            "'x' is 3 throughout and 'z' follows from the others; leave them out",
        ),
    ],
)
@pytest.mark.parametrize(("missing", "unbalanced"), [(0.0, "same_units"), (0.1, "same_units"), (0.1, "cross_sections")])
def test_collinear_covariates_are_named(columns, said, adjustment, who, missing, unbalanced):
    frame = simulate(5, n_units=30, cohorts=(5, None), missing=missing).assign(**columns)
    panel = diagnose(frame, covariates=("log_gdp", *columns))
    cells = ea.estimate(panel, "callaway_santanna", adjustment=adjustment, unbalanced=unbalanced).tidy()
    assert cells["estimate"].isna().all()
    if unbalanced == "cross_sections" and adjustment == "doubly_robust":
        who = "the cohort and its comparison"  # its logit comes first there
    assert set(cells["reason"]) == {f"cohort 5: covariates are collinear among {who}: {said}"}


def test_more_covariates_than_comparison_units_are_counted():
    frame = simulate(6, n_units=8, cohorts=(5, None))
    rng = np.random.default_rng(2)
    names = [f"x{k}" for k in range(5)]
    frame = frame.assign(**{name: rng.normal(size=8)[frame.groupby("county").ngroup()] for name in names})
    cells = ea.estimate(diagnose(frame, covariates=names), "callaway_santanna", adjustment="regression").cells
    assert (
        cells["reason"]
        .str.contains("5 covariates and a constant need at least 6 of them, and there are 4; use fewer")
        .all()
    )


@pytest.mark.parametrize("method", ["twfe", "event_study", "sun_abraham", "imputation", "synthetic_did"])
@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_a_doubled_covariate_changes_nothing_where_only_its_part_in_the_outcome_matters(method, missing):
    frame = simulate(7, n_units=18, missing=missing if method != "synthetic_did" else 0.0)
    doubled = frame.assign(x=2 * frame["share_65"] - 7)
    found = ea.infer(ea.estimate(diagnose(doubled, covariates=("share_65", "x")), method), vcov="CR0")
    expected = ea.infer(ea.estimate(diagnose(frame, covariates=("share_65",)), method), vcov="CR0")
    # The shortest of all solutions takes half of the digits of the normal equations.
    np.testing.assert_allclose(found["estimate"], expected["estimate"], atol=1e-9)
    np.testing.assert_allclose(found["std_error"], expected["std_error"], rtol=1e-5)


@pytest.mark.parametrize("method", ["twfe", "event_study", "sun_abraham"])
def test_a_covariate_that_is_the_treatment_is_named_beside_the_fixed_effects(method):
    frame = simulate(8, n_units=18, cohorts=(5, None)).assign(on=lambda f: (f["quarter"] >= f["cohort"]) * 1.0)
    cells = ea.estimate(diagnose(frame, covariates=("on",)), method).tidy()
    missing = cells[cells["estimate"].isna()]
    assert len(missing)
    assert set(missing["reason"]) == {"not identified: collinear with the fixed effects and the covariates (on)"}


# ---- cohorts and comparisons ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("callaway_santanna", "no unit is untreated in 6"),
        ("dcdh", "no unit is untreated in 6"),
        ("etwfe", "no unit is untreated in 6"),
        ("imputation", "no untreated observation in 6: its period effect is not identified"),
        ("stacked", "no unit is untreated through the end of the cohort's window"),
        ("triple_difference", "no unit is untreated in 6"),
    ],
)
def test_a_cohort_without_a_comparison_is_missing_with_the_reason(method, text):
    cells = ea.estimate(meeting(method, simulate(9, cohorts=(4, 6))), method).tidy()
    last = cells[(cells["cohort"] == 6) & (cells["period"] == 6)]
    assert last["estimate"].isna().all()
    assert last["reason"].tolist() == [text]
    assert cells.loc[(cells["cohort"] == 4) & (cells["period"] == 4), "estimate"].notna().all()


def test_a_cohort_with_one_untreated_period_is_kept_by_imputation():
    """R didimputation 0.5.0 drops it without a word: its treated units are a third of this average."""
    frame = simulate(10, n_units=30, cohorts=(2, 6, None))
    effects = ea.estimate(diagnose(frame), "imputation")
    cells = effects.tidy()
    assert cells.loc[cells["cohort"] == 2, "estimate"].notna().all()
    wide = frame.pivot_table(index="county", columns="quarter", values="share")
    cohort = frame.drop_duplicates("county").set_index("county")["cohort"].reindex(wide.index)
    others = cohort.isna() | (cohort == 6)
    change = wide[2] - wide[1]
    first = cells[(cells["cohort"] == 2) & (cells["period"] == 2)]["estimate"].iloc[0]
    assert first == pytest.approx(change[cohort == 2].mean() - change[others].mean(), abs=1e-12)
    np.testing.assert_allclose(cells["estimate"], ea.estimate(diagnose(frame), "etwfe").value, atol=1e-11)


def test_with_anticipation_a_cohort_can_lose_its_only_untreated_period():
    cells = ea.estimate(diagnose(simulate(10, n_units=30, cohorts=(2, 6, None))), "imputation", anticipation=1).tidy()
    early = cells[cells["cohort"] == 2]
    assert early["estimate"].isna().all()
    assert set(early["reason"]) == {"cohort 2 has no untreated observation: its unit effects are not identified"}


def test_a_stack_that_nobody_fits_says_why_for_each_cohort():
    with pytest.raises(EstimationError) as caught:
        ea.estimate(diagnose(simulate(11, cohorts=(2, 6))), "stacked")
    assert "(2: the panel does not hold event times -2 to 1 of this cohort; 6: no unit is untreated through" in str(
        caught.value
    )


def test_parts_of_quarters_are_named_as_quarters():
    frame = with_parts(simulate(12)).assign(
        quarter=lambda f: pd.PeriodIndex.from_ordinals(f["quarter"] + 200, freq="Q").astype(str),
        cohort=lambda f: [None if np.isnan(g) else str(pd.Period(ordinal=int(g) + 200, freq="Q")) for g in f["cohort"]],
    )
    frame = frame[~((frame["eligible"] == 0) & (frame["cohort"] == "2021Q1"))]
    with pytest.raises(EstimationError) as caught:
        ea.estimate(diagnose(frame, covariates=("eligible",)), "triple_difference")
    assert "cohorts of the eligible parts: 2021Q1, 2021Q3; of the ineligible parts: 2021Q3" in str(caught.value)


# ---- outcomes and doses --------------------------------------------------------------------------------------------------

OPTIONS = {
    "callaway_santanna": [{"comparison": "never_treated", "base_period": "universal"}, {"adjustment": "ipw"}],
    "etwfe": [{"family": "binomial"}, {"comparison": "never_treated"}],
    "efficient": [{"estimand": "overall"}],
    "dose": [{"comparison": "lowest_dose"}, {"degree": 2, "knots": 1}],
    "dcdh": [{"effect": "normalised"}],
    "imputation": [{"anticipation": 1}],
    "lp_did": [{"weighting": "equal"}],
    "triple_difference": [{"comparison": "never_treated"}],
}


SYNTHETIC = [
    "synthetic_did",
    "synthetic_control",
    "augmented_synthetic_control",
    "matrix_completion",
    "interactive_effects",
]


@pytest.mark.parametrize("method", [name for name in BY_NAME if name not in SYNTHETIC])
def test_an_outcome_without_variation_has_an_effect_of_zero_and_no_error(method):
    table = ea.infer(ea.estimate(meeting(method, simulate(13).assign(share=0.7)), method), vcov="CR1")
    np.testing.assert_allclose(table["estimate"], 0, atol=1e-11)
    assert table["std_error"].isna().all()
    assert table["note"].str.contains("no variation between clusters|by construction").all()


@pytest.mark.parametrize("method", SYNTHETIC)
def test_an_outcome_without_variation_gives_synthetic_weights_nothing_to_choose_by(method):
    table = ea.infer(ea.estimate(meeting(method, simulate(13).assign(share=0.7)), method), vcov="reference")
    np.testing.assert_allclose(table["estimate"], 0, atol=1e-11)
    assert table["std_error"].isna().all()
    assert (table["note"] != "").all()


def test_an_outcome_at_the_edge_says_where_a_logit_has_no_index():
    frame = simulate(14)
    frame.loc[(frame["cohort"] == 4) & (frame["quarter"] == 5), "share"] = 1.0
    with pytest.raises(EstimationError) as caught:
        ea.estimate(diagnose(frame), "etwfe", family="binomial")
    assert str(caught.value) == (
        "etwfe: the binomial fit did not converge; only zeros or only ones are observed for 4 in 5. Use family='gaussian', or "
        "leave these cohorts out."
    )
    with pytest.raises(EstimationError, match=r"needs outcomes of 0 or more; 320 lie outside, for example -"):
        ea.estimate(
            diagnose(frame.assign(share=-frame["share"]), outcome_unit="number"), "etwfe", family="poisson"
        )  # fmt: skip


def test_a_dose_of_zero_for_all_is_no_dose():
    frame = simulate(15).assign(experts=0.0)
    with pytest.raises(EstimationError) as caught:
        ea.estimate(diagnose(frame, covariates=("experts",)), "dose")
    assert str(caught.value).startswith(
        "dose: 'experts' is zero for all 27 treated units, so there are no doses to compare; "
    )


@pytest.mark.parametrize("donors", [0, 1, 2])
@pytest.mark.parametrize("method", ["synthetic_did", "synthetic_control"])
def test_a_small_donor_pool(method, donors):
    frame = simulate(16, n_units=12, cohorts=(5, None))
    never = frame.loc[frame["cohort"].isna(), "county"].unique()
    design = diagnose(frame[~frame["county"].isin(never[donors:])])
    if not donors:
        with pytest.raises(NotIdentifiedError, match="there is no never-treated unit in the panel"):
            ea.estimate(design, method)
        return
    effects = ea.estimate(design, method)
    assert np.isfinite(effects.value).all()
    table = ea.infer(effects.aggregate("overall"), vcov="reference")
    if donors == 1:  # all the weight is on one unit: leaving it out leaves nothing
        assert table["std_error"].isna().all()
        assert "no standard error" in table["note"].iloc[0]
        wide = frame.pivot_table(index="county", columns="quarter", values="share")
        cohort = frame.drop_duplicates("county").set_index("county")["cohort"].reindex(wide.index)
        gap = (wide[cohort == 5].mean() - wide.loc[never[0]]).to_numpy()
        weights = effects.value[4:] - gap[4:]
        np.testing.assert_allclose(
            weights, weights[0], atol=1e-12
        )  # one shift for all periods: none for synthetic control
        assert (weights[0] == pytest.approx(0, abs=1e-12)) == (method == "synthetic_control")


# ---- everything at once --------------------------------------------------------------------------------------------------


def panels_to_break() -> dict[str, tuple[pd.DataFrame, dict]]:
    """Give designs that have broken an estimator somewhere, or might."""
    base = with_parts(simulate(17, n_units=15))
    number = base.groupby("county").ngroup()
    never, four = base["cohort"].isna(), base["cohort"] == 4
    few = base["county"].isin(["C000", "C001", "C002", "C005"])
    gone = {
        "a cohort's period": four & (base["quarter"] == 5),
        "a cohort's base": four & (base["quarter"] == 3),
        "all before a cohort": four & (base["quarter"] < 4),
        "all after a cohort": four & (base["quarter"] >= 4),
        "all of the comparison after": never & (base["quarter"] >= 4),
        "all of the comparison before": never & (base["quarter"] < 4),
        "a period": base["quarter"] == 4,
        "the periods around the starts": base["quarter"].isin([3, 4, 5, 6]),
        "every other observation": base["quarter"] % 2 == number % 2,
        "most of the panel": pd.Series(np.random.default_rng(1).random(len(base)) < 0.85),
    }
    found = {f"without {name}": (base[~rows], {}) for name, rows in gone.items()}
    found |= {
        "lonely cohorts": (with_parts(lonely_cohorts()), {}),
        "four units": (base[few], {}),
        "two units": (base[base["county"].isin(["C000", "C002"])], {}),
        "a cohort for each unit": (base.assign(cohort=2 + number % 6.0), {}),
        "two periods": (with_parts(simulate(18, n_units=18, n_periods=2, cohorts=(2, None))), {}),
        "one period": (with_parts(simulate(18, n_units=18, n_periods=1, cohorts=(2, None))), {}),
        "a start in the last period": (with_parts(simulate(18, n_units=18, cohorts=(8, None))), {}),
        "no variation": (base.assign(share=0.7), {}),
        "all at the ceiling": (base.assign(share=1.0), {}),
        "units that never change": (base.assign(share=number / 20), {}),
        "a large outcome": (base.assign(share=base["share"] * 1e12), {"outcome_unit": "number"}),
        "a small outcome": (base.assign(share=base["share"] * 1e-49), {}),
        "weights of all sizes": (base.assign(weight=10.0 ** (number - 9)), {"weight": "weight"}),
        "anticipation": (base, {"anticipation": 3}),
        "two clusters": (base.assign(prefecture=np.where(never, "P", "Q")), {"cluster": "prefecture"}),
    }
    covariates = {
        "constant": 1.0, "doubled": 2 * base["log_gdp"], "the treatment": (base["quarter"] >= base["cohort"]) * 1.0,
        "ever treated": base["cohort"].notna() * 1.0, "the time": base["quarter"] * 1.0, "the outcome": base["share"],
        "huge": base["log_gdp"] * 1e15, "far from zero": base["log_gdp"] + 1e15, "zero": 0.0,
        "a dose": base["experts"], "a part": base["eligible"],
    }  # fmt: skip
    for name, values in covariates.items():
        found[f"a covariate: {name}"] = (base.assign(x=values), {"covariates": ("x",)})
    found["two covariates"] = (base.assign(x=2 * base["share_65"]), {"covariates": ("share_65", "x")})
    return found


BREAKING = panels_to_break()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", BREAKING)
@pytest.mark.crossed(3)
def test_whatever_the_design_there_is_an_estimate_or_a_reason(name):
    frame, columns = BREAKING[name]
    design = diagnose(frame.reset_index(drop=True), **columns)
    for method in BY_NAME:
        for options in ({}, *OPTIONS.get(method, [])):
            try:
                effects = ea.estimate(design, method, **options)
            except EvalaidError:
                continue
            assert_told(effects, "reference", (method, options))
            if "parameter" in effects.cells:  # of a dose curve: levels and slopes have no average
                continue
            if "event_time" not in effects.cells or (effects.cells["event_time"] >= 0).any():
                assert_told(effects.aggregate("overall"), "reference" if options else "auto", (method, options))


def assert_told(effects: ea.Effects, vcov: str, where: object) -> None:
    """Every missing value has a reason, every missing error a note, and nothing is infinite."""
    assert not np.isinf(effects.value).any(), where
    assert (~np.isnan(effects.value) | (effects.cells["reason"] != "")).all(), where
    try:
        table = ea.infer(effects, vcov=vcov)
    except EvalaidError:
        return
    assert (table["std_error"].notna() | (table["note"] != "")).all(), where
    assert not np.isinf(table["std_error"]).any(), where


@pytest.mark.parametrize("method", ["callaway_santanna", "sun_abraham", "etwfe"])
def test_more_cells_than_memory_holds_are_refused(method):
    frame = simulate(3, n_units=220, n_periods=220, cohorts=(*range(3, 203), *[None] * 20))
    design = diagnose(frame, outcome_unit="number")
    with pytest.raises(
        EstimationError, match=rf"{method}: [\d,]+ effects of 200 cohorts in 220 periods need about \d+ GB of memory"
    ):
        ea.estimate(design, method)


def test_a_refit_without_any_cell_has_no_estimate():
    """Cells of effects in which none is left are missing, in the order asked for."""
    whole = ea.estimate(diagnose(simulate(4)), "etwfe")
    empty = replace(
        whole, cells=whole.cells.iloc[:0], value=whole.value[:0], size=whole.size[:0], contrasts=None,
        influence=whole.influence.combine(np.zeros((len(whole), 0))),
    )  # fmt: skip
    found = empty.align(whole.cells)
    assert np.isnan(found.value).all()
    assert (found.cells["reason"] == "not in the refitted sample").all()


def test_outcomes_that_are_all_zero_are_no_failure_of_a_linear_fit():
    """A quasi-likelihood has no maximum there; least squares has."""
    frame = simulate(5)
    treated = frame["quarter"] >= frame["cohort"]
    frame = frame.assign(share=frame["share"].where(~treated, 0.0))
    found = ea.estimate(diagnose(frame), "etwfe")
    wanted = ea.estimate(diagnose(frame), "imputation").align(found.cells)
    np.testing.assert_allclose(found.value, wanted.value, atol=1e-9)
    with pytest.raises(EstimationError, match=r"poisson fit did not converge; only zeros .* Use family='gaussian'"):
        ea.estimate(diagnose(frame), "etwfe", family="poisson")


@pytest.mark.parametrize("column", ["share", "log_gdp", "weight"])
def test_an_imaginary_part_is_no_number(column):
    frame = simulate(5)
    columns = {"covariates": ["log_gdp"], "weight": "weight"}
    real = diagnose(frame.assign(**{column: frame[column].astype(complex)}), **columns)
    assert ea.estimate(real, "twfe").value == pytest.approx(ea.estimate(diagnose(frame, **columns), "twfe").value)
    with pytest.raises(PanelError, match=rf"(?s)1 kind of fault.*{column}"):
        diagnose(frame.assign(**{column: frame[column] + 1j}), **columns)


def test_etwfe_without_a_treated_observation_is_refused():
    frame = simulate(4)
    with pytest.raises(EstimationError, match="no treated unit is observed in a treated period"):
        ea.estimate(diagnose(frame[~(frame["quarter"] >= frame["cohort"])]), "etwfe")
