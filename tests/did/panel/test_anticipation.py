"""Units that react before the start: the same periods count as untreated nowhere, whatever the method."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.panels import counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import EstimationError, NotIdentifiedError
from evalaid.did.estimators.estimation import estimate_subsets
from evalaid.did.estimators.registry import METHODS
from evalaid.did.estimators.synthetic.synthetic import synthetic_weights

EARLY, EFFECT, REACTION = 2, 0.05, 0.03
NAMES = [entry.name for entry in METHODS]
# Two ways through the same double-precision sums.
EXACT = 1e-11
# The penalty that makes the weights of a synthetic control unique keeps them this far from an exact fit.
PENALTY = 1e-5
# The smallest bias of a method that knows nothing of the reaction is 2/7 of it (two of seven periods before).
BIASED = 0.005


def react(cohorts=(8, 10, None)) -> pd.DataFrame:
    """Exactly parallel shares; units react two periods before they start. Half of each cohort is one part, half the other."""
    generator = np.random.default_rng(5)
    periods, n_units = np.arange(1, 13), 24
    start = np.array([np.nan if g is None else float(g) for g in cohorts])[np.arange(n_units) % len(cohorts)]
    level = generator.uniform(0.5, 0.6, n_units)
    level[np.isnan(start)] = generator.uniform(0.4, 0.7, int(np.isnan(start).sum()))
    event_time = periods - start[:, None]
    dose = np.where(np.isnan(start), 0.0, 1.0 + np.arange(n_units) % 5)
    moved = EFFECT * (event_time >= 0) + REACTION * ((event_time < 0) & (event_time >= -EARLY))
    trend = np.cumsum(generator.normal(0, 0.01, len(periods)))
    frame = pd.DataFrame({
        "county": np.repeat([f"C{i:02d}" for i in range(n_units)], len(periods)), "quarter": np.tile(periods, n_units),
        "cohort": np.repeat(start, len(periods)), "eligible": np.repeat((np.arange(n_units) // 3) % 2, len(periods)).astype(float),
        "dose": np.repeat(dose, len(periods)), "prefecture": np.repeat(np.arange(n_units) // 2, len(periods)),
        "share": (level[:, None] + trend + moved).ravel(),
    })  # fmt: skip
    treated_part = moved.ravel() * frame["eligible"]
    return frame.assign(
        part=frame["share"] - moved.ravel() + treated_part,
        graded=frame["share"] + moved.ravel() * (frame["dose"] - 1.0),
    )


@pytest.mark.parametrize("comparison", ["not_yet_treated", "never_treated"])
def test_cells_inside_the_window_are_measured_from_before_it(comparison):
    design = study("callaway_santanna", anticipation=EARLY)
    varying, universal = (
        ea.estimate(design, "callaway_santanna", comparison=comparison, base_period=base)
        for base in ("varying", "universal")
    )
    keys = ["cohort", "period"]
    both = varying.tidy().merge(universal.tidy(), on=keys, suffixes=("", "_universal"))
    window = both[both["event_time"].between(-EARLY, -1)]
    assert set(window["event_time"]) == {-2, -1}
    np.testing.assert_allclose(window["estimate"], REACTION, atol=EXACT)
    np.testing.assert_allclose(window["estimate"], window["estimate_universal"], atol=EXACT)
    before = both[both["event_time"] < -EARLY]
    np.testing.assert_allclose(before["estimate"], 0, atol=EXACT)


def study(method: str, frame: pd.DataFrame | None = None, **changes):
    """Give the design that a method needs of the panel above."""
    frame = react() if frame is None else frame
    own = {
        "dose": {"outcome": "graded", "covariates": ["dose"]},
        "triple_difference": {"outcome": "part", "covariates": ["eligible"]},
    }
    keys = {"unit": "county", "period": "quarter", "outcome": "share", "cohort": "cohort"}
    return ea.diagnose(frame, **{**keys, **own.get(method, {}), **changes})


def overall(effects) -> float:
    if effects.method == "dose":
        return float(effects.select(parameter="average level").value[0])
    return float(effects.aggregate("overall").value[0])


def truth(method: str) -> float:
    frame = react()
    treated = frame[frame["cohort"].notna()].drop_duplicates("county")
    return EFFECT * float(treated["dose"].mean()) if method == "dose" else EFFECT


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.crossed(2)
def test_the_effect_is_found_when_the_reaction_is_stated_and_missed_when_it_is_not(method):
    tolerance = PENALTY if method == "synthetic_control" else EXACT
    stated = ea.estimate(study(method, anticipation=EARLY), method)
    assert overall(stated) == pytest.approx(truth(method), abs=tolerance)
    assert abs(overall(ea.estimate(study(method), method)) - truth(method)) > BIASED
    assert "units may react 2 periods before the start" in stated.estimand


@pytest.mark.parametrize("method", sorted(set(NAMES) - {"two_by_two", "twfe", "dose"}))
@pytest.mark.crossed(2)
def test_the_reaction_has_its_own_event_times_and_enters_no_average(method):
    options = {"base_period": "universal"} if method in {"callaway_santanna", "triple_difference"} else {}
    effects = ea.estimate(study(method, anticipation=EARLY), method, **options)
    cells = effects.tidy()
    tolerance = PENALTY if method == "synthetic_control" else EXACT
    for first, last, expected in ((-EARLY, -1, REACTION), (0, 9, EFFECT), (-9, -EARLY - 1, 0.0)):
        found = cells.loc[cells["event_time"].between(first, last), "estimate"].dropna()
        assert len(found) or last < -EARLY
        np.testing.assert_allclose(found, expected, atol=tolerance)
    if "cohort" in cells:
        for by in ("cohort", "calendar"):
            np.testing.assert_allclose(effects.aggregate(by).value, EFFECT, atol=tolerance)


@pytest.mark.parametrize("estimand", ["overall", "cohort", "calendar"])
def test_averages_made_within_the_fit_leave_the_reaction_out(estimand):
    effects = ea.estimate(study("efficient", anticipation=EARLY), "efficient", estimand=estimand)
    np.testing.assert_allclose(effects.value, EFFECT, atol=EXACT)


def test_an_effect_per_period_received_has_none_before_the_start():
    cells = (
        ea.estimate(study("dcdh", anticipation=EARLY), "dcdh", effect="normalised")
        .tidy()
        .set_index(["cohort", "event_time"])
    )
    assert cells.loc[(8, 1), "estimate"] == pytest.approx(EFFECT / 2, abs=EXACT)
    assert cells.loc[(8, -1), "reason"] == "no treatment received so far"


# ---- what it is the same as ----------------------------------------------------------------------------------------------


def results(effects) -> pd.DataFrame:
    keys = [name for name in ("cohort", "period", "event_time", "parameter", "dose") if name in effects.cells]
    table = ea.infer(effects, vcov="CR0")
    return table[[*keys, "estimate", "std_error"]]


@pytest.mark.parametrize("method", ["two_by_two", "twfe", "synthetic_did", "synthetic_control", "dose"])
def test_with_one_cohort_the_periods_of_the_reaction_might_as_well_not_be_there(method):
    frame = simulate(31, cohorts=(6, None)).assign(dose=lambda f: f["county"].str[1:].astype(int) % 5 + 1.0)
    frame["dose"] = frame["dose"].where(frame["cohort"].notna(), 0.0)
    covariates = {"covariates": ["dose"]} if method == "dose" else {}
    stated = ea.estimate(diagnose(frame, anticipation=EARLY, **covariates), method)
    without = ea.estimate(diagnose(frame[~frame["quarter"].isin([4, 5])], **covariates), method)
    one, other = results(stated), results(without)
    if "period" in one:
        one = one[~one["period"].isin([4, 5])].reset_index(drop=True)
    pd.testing.assert_frame_equal(one, other, rtol=1e-9, atol=1e-10)


def test_with_one_cohort_weights_of_a_synthetic_method_are_those_without_the_reaction():
    frame = simulate(31, cohorts=(6, None))
    stated = synthetic_weights(diagnose(frame, anticipation=EARLY))
    pd.testing.assert_frame_equal(stated, synthetic_weights(diagnose(frame[~frame["quarter"].isin([4, 5])])))


def test_a_wild_bootstrap_of_the_comparison_of_means_sees_the_same_periods():
    frame = simulate(31, cohorts=(6, None))
    found = [
        ea.wild_bootstrap(ea.estimate(design, "two_by_two"), draws=99)[["estimate", "p_value", "conf_low"]]
        for design in (diagnose(frame, anticipation=EARLY), diagnose(frame[~frame["quarter"].isin([4, 5])]))
    ]
    pd.testing.assert_frame_equal(*found)


@pytest.mark.parametrize("method", ["event_study", "sun_abraham"])
def test_the_reference_of_an_event_study_moves_before_the_reaction(method):
    frame = counties()
    stated = ea.estimate(diagnose(frame, anticipation=EARLY), method)
    named = ea.estimate(diagnose(frame), method, reference=-1 - EARLY)
    pd.testing.assert_frame_equal(ea.infer(stated), ea.infer(named))
    assert stated.cells.loc[stated.cells["event_time"] == -1 - EARLY, "reason"].str.startswith("reference period").all()


@pytest.mark.parametrize("method", ["sun_abraham", "dcdh"])
def test_cells_are_those_of_callaway_santanna_with_its_own_option(method):
    comparison = "never_treated" if method == "sun_abraham" else "not_yet_treated"
    found = ea.estimate(diagnose(counties(), anticipation=EARLY), method)
    option = ea.estimate(
        diagnose(counties()), "callaway_santanna", anticipation=EARLY, base_period="universal", comparison=comparison
    )
    np.testing.assert_allclose(found.align(option.cells).value, option.value, atol=EXACT)


def test_the_linear_extended_regression_stays_the_imputation_estimator():
    panel = diagnose(counties(), anticipation=EARLY)
    one, other = ea.estimate(panel, "etwfe"), ea.estimate(panel, "imputation")
    assert (one.cells["event_time"].min(), one.cells["event_time"].tolist()) == (
        -EARLY,
        other.cells["event_time"].tolist(),
    )
    np.testing.assert_allclose(one.value, other.value, atol=EXACT)


def test_local_projections_average_callaway_santanna_cells():
    panel = diagnose(counties(), anticipation=EARLY)
    found = ea.estimate(panel, "lp_did", weighting="equal").tidy().set_index("event_time")["estimate"]
    santanna = ea.estimate(panel, "callaway_santanna", base_period="universal").aggregate("event_time").tidy()
    expected = santanna.set_index("event_time")["estimate"]
    np.testing.assert_allclose(found.loc[-EARLY:3], expected.loc[-EARLY:3], atol=EXACT)


@pytest.mark.parametrize("method", ["callaway_santanna", "imputation"])
def test_the_design_and_the_option_of_a_method_say_the_same(method):
    stated = ea.estimate(diagnose(counties(), anticipation=EARLY), method)
    option = ea.estimate(diagnose(counties()), method, anticipation=EARLY)
    pd.testing.assert_frame_equal(ea.infer(stated), ea.infer(option))
    assert stated.estimand == option.estimand
    none = ea.estimate(diagnose(counties(), anticipation=EARLY), method, anticipation=0)
    pd.testing.assert_frame_equal(ea.infer(none), ea.infer(ea.estimate(diagnose(counties()), method)))


def test_a_stack_keeps_its_window_and_its_comparison_clear_of_the_reaction():
    frame = counties()
    cells = ea.estimate(diagnose(frame, anticipation=1), "stacked", before=2, after=1).tidy()
    by_cell = cells.set_index(["cohort", "event_time"])
    means = frame.pivot_table(index="county", columns="quarter", values="share")
    cohort = frame.drop_duplicates("county").set_index("county")["cohort"]
    # Cohort 5 in the window from 2 to 6: cohort 7 may react in 6, so that 9 and the never-treated are left.
    others = cohort.isna() | (cohort > 7)
    change = means[6] - means[3]
    assert by_cell.loc[(5, 1), "estimate"] == pytest.approx(
        change[cohort == 5].mean() - change[others].mean(), abs=EXACT
    )
    assert by_cell.loc[(5, -2), "reason"] == "base period: zero by construction"
    assert by_cell.loc[(5, 1), "n_comparison"] == others.sum()
    assert sorted(set(cells["event_time"])) == [-3, -2, -1, 0, 1]


def test_subsets_of_covariates_leave_the_same_observations_out():
    frame = counties()
    for method in ("twfe", "event_study", "imputation"):
        design = diagnose(frame, covariates=["log_gdp"], anticipation=EARLY)
        subsets = estimate_subsets(design, method)
        ((_, found),) = list(subsets.overall([[0]]))
        direct = ea.estimate(design, method).aggregate("overall")
        np.testing.assert_allclose(found.value, direct.value, atol=EXACT)
        assert found.estimand == direct.estimand


def test_on_an_unbalanced_panel_least_squares_without_the_reaction_by_hand():
    frame = simulate(8, n_units=12, cohorts=(4, 6, None)).drop(index=[3, 17, 40])
    found = ea.estimate(diagnose(frame, anticipation=1), "twfe").value[0]
    kept = frame[~(frame["quarter"] == frame["cohort"] - 1)]
    treated = (kept["quarter"] >= kept["cohort"]).to_numpy(float)
    dummies = pd.get_dummies(kept["county"], dtype=float), pd.get_dummies(kept["quarter"], dtype=float).iloc[:, 1:]
    x = np.column_stack([treated, *dummies])
    assert found == pytest.approx(np.linalg.lstsq(x, kept["share"].to_numpy(), rcond=None)[0][0], abs=EXACT)


# ---- what cannot be ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["twfe", "event_study", "lp_did", "efficient", "dose"])
def test_units_without_a_period_before_their_reaction_are_left_out_and_named(method):
    frame = simulate(32, cohorts=(3, 6, None)).assign(dose=lambda f: f["county"].str[1:].astype(int) % 5 + 1.0)
    frame["dose"] = frame["dose"].where(frame["cohort"].notna(), 0.0)
    keys = {"anticipation": EARLY, **({"covariates": ["dose"]} if method == "dose" else {})}
    found = ea.estimate(diagnose(frame, **keys), method)
    kept = ea.estimate(diagnose(frame[frame["cohort"] != 3], **keys), method)
    pd.testing.assert_frame_equal(ea.infer(found, vcov="CR0"), ea.infer(kept, vcov="CR0"))
    assert found.estimand.endswith("; without the units that start in 3: the panel has no period before they may react")
    pd.testing.assert_frame_equal(ea.infer(found, vcov="CR3"), ea.infer(kept, vcov="CR3"))


@pytest.mark.parametrize(
    "method", sorted(set(NAMES) - {"twfe", "event_study", "lp_did", "efficient", "dose", "triple_difference"})
)
@pytest.mark.crossed(2)
def test_a_cohort_without_a_period_before_its_reaction_is_missing_with_the_reason(method):
    frame = react(cohorts=(3, 8, None))
    cells = ea.estimate(study(method, frame, anticipation=EARLY), method).tidy()
    lost = cells[(cells["cohort"] == 3) & (cells.get("event_time", pd.Series(0, cells.index)) >= 0)]
    assert len(lost)
    assert lost["estimate"].isna().all()
    assert (lost["reason"] != "").all()
    assert cells.loc[cells["cohort"] == 8, "estimate"].notna().any()


@pytest.mark.parametrize("method", ["event_study", "sun_abraham"])
def test_a_reference_in_which_units_may_react_is_refused(method):
    with pytest.raises(
        EstimationError, match=r"reference=-1 is one of the 2 periods before the start.*choose -3 or earlier"
    ):
        ea.estimate(diagnose(counties(), anticipation=EARLY), method, reference=-1)
    earlier = ea.estimate(diagnose(counties(), anticipation=EARLY), method, reference=-4)
    assert (earlier.value[(earlier.cells["event_time"] == -4).to_numpy()] == 0).all()


def test_a_named_period_in_which_units_may_react_is_refused():
    with pytest.raises(
        EstimationError, match=r"before=\.\.\. names 6, in which units may already react \(anticipation of 2"
    ):
        ea.estimate(study("two_by_two", anticipation=EARLY), "two_by_two", before=(5, 6))
    named = ea.estimate(study("two_by_two", anticipation=EARLY), "two_by_two", before=(4, 5))
    np.testing.assert_allclose(named.value, EFFECT, atol=EXACT)


def test_a_placebo_in_time_does_not_take_the_reaction_for_an_effect():
    for method, options in (("imputation", {}), ("callaway_santanna", {"base_period": "universal"})):
        found = ea.placebo(study(method, anticipation=EARLY), method, kind="time", shifts=(1, 2), **options)
        np.testing.assert_allclose(found.table["estimate"], 0.0, atol=EXACT)
        unstated = ea.placebo(study(method), method, kind="time", shifts=(2,), **options)
        assert (unstated.table["estimate"] > BIASED).all()
        option = ea.placebo(study(method), method, kind="time", shifts=(1, 2), anticipation=EARLY, **options)
        pd.testing.assert_frame_equal(option.table, found.table)


def test_a_placebo_in_space_judges_the_fit_before_the_reaction():
    frame = react(cohorts=(8, None, None))
    for options in ({"anticipation": EARLY}, {}):
        design = study("imputation", frame, **({} if options else {"anticipation": EARLY}))
        found = ea.placebo(design, "callaway_santanna", draws=3, base_period="universal", **options).actual
        assert found["fit_before"].iloc[0] == pytest.approx(0, abs=EXACT)
        assert found["gap_after"].iloc[0] == pytest.approx(EFFECT, abs=EXACT)


def test_the_two_way_coefficient_without_the_reaction_has_no_decomposition():
    with pytest.raises(
        NotIdentifiedError, match=r"units may react 2 periods before the start: twfe leaves these observations out"
    ):
        ea.bacon(diagnose(counties(), anticipation=EARLY))
