"""The frames behind the report: sizes, signs and units, on simulated panels."""

import numpy as np
import pytest
from support.projects import TOY, make_project, toy_frame, write_study

from evalaid.did.estimators.identities import ROUNDING, check_identities
from evalaid.did.panel.design import diagnose
from evalaid.report.questions.alternatives import compare_methods, compare_scenarios, count_agreement
from evalaid.report.questions.analysis import (
    describe_before,
    estimate_main,
    reaction_periods,
    report_effects,
)
from evalaid.report.questions.describe import (
    average_outcome,
    describe_limits,
    describe_sample,
    map_assignment,
    map_status,
    spread_means,
)
from evalaid.study.sample import load_design
from evalaid.study.spec import StudySpec

MAIN = TOY["methods"]["main"]
MORE = {
    "methods": {
        "other": {"label": "Imputation", "method": "imputation"},
        "main": MAIN,
        "refused": {"label": "One cohort", "method": "two_by_two", "changes": {"keep": {"county": ["C00", "C01"]}}},
    },
    "scenarios": {"short": {"label": "Ends in 2018", "changes": {"last_period": 2018}}},
}


@pytest.fixture
def spec(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path, **MORE))
    return StudySpec(study="toy")


def test_effects_are_in_percentage_points_with_the_level_of_the_study(spec):
    effects = estimate_main(spec, load_design(spec))
    row = report_effects(effects, "overall", spec).iloc[0]
    assert row["estimate"] == pytest.approx(100 * effects.aggregate("overall").value[0])
    assert (row["unit"], row["key"], row["level"]) == ("pp", "main", 0.95)
    narrow = report_effects(effects, "overall", spec.change({"level": 0.5})).iloc[0]
    assert narrow["conf_high"] - narrow["conf_low"] < row["conf_high"] - row["conf_low"]


def test_bands_hold_the_pointwise_intervals_and_come_from_the_seed(spec):
    effects = estimate_main(spec, load_design(spec))
    event = report_effects(effects, "event_time", spec)
    there = event.dropna(subset="std_error")
    assert (there["band_low"] < there["conf_low"]).all()
    assert (there["band_high"] > there["conf_high"]).all()
    assert report_effects(effects, "event_time", spec)["band_low"].equals(event["band_low"])
    assert not report_effects(effects, "event_time", spec.change({"seed": 2}))["band_low"].equals(event["band_low"])
    assert event["key"].tolist() == [str(time) for time in event["event_time"]]


def test_the_main_method_comes_first_and_a_refusal_is_a_row_with_its_reason(spec):
    frame = compare_methods(spec)
    assert frame["key"].tolist() == ["main", "other", "refused"]
    assert frame["shift"].iloc[0] == 0
    refused = frame.iloc[2]
    assert np.isnan(refused["estimate"])
    assert "never-treated" in refused["reason"]
    counts = count_agreement(frame, compare_scenarios(spec)).set_index("key")["value"]
    assert (counts["estimates"], counts["refused"]) == (3, 1)
    assert counts["above"] + counts["below"] + counts["around"] == 3


def test_a_scenario_changes_the_sample_and_says_how_far_it_moves_the_estimate(spec):
    frame = compare_scenarios(spec).set_index("key")
    assert frame.index.tolist() == ["main", "short"]
    assert frame.loc["short", "shift"] == pytest.approx(frame.loc["short", "estimate"] - frame.loc["main", "estimate"])
    assert frame.loc["main", "treated_clusters"] == 8
    assert frame.loc["short", "treated_clusters"] == 4


def test_estimates_before_the_start_are_described(spec):
    effects = estimate_main(spec, load_design(spec))
    event = report_effects(effects, "event_time", spec)
    frame = describe_before(event, effects).set_index("key")["value"]
    before = event[(event["event_time"] < 0) & event["std_error"].notna()]
    assert frame["periods"] == len(before)
    assert frame["largest"] == before["estimate"].abs().max()


@pytest.mark.parametrize("stated", ["design", "option"])
def test_periods_in_which_units_may_react_are_not_before(spec, stated):
    if stated == "design":
        early = spec.change({"anticipation": 1})
    else:
        main = {**MAIN, "options": {**MAIN.get("options", {}), "anticipation": 1}}
        early = spec.change({"methods": {**spec.methods, "main": main}})
    design = load_design(early)
    assert reaction_periods(early, design) == 1
    assert reaction_periods(spec, load_design(spec)) == 0
    effects = estimate_main(early, design)
    event = report_effects(effects, "event_time", early)
    there = event[event["std_error"].notna()].set_index("event_time")["estimate"]
    assert -1 in there.index  # the period of reaction has an estimate
    described = describe_before(event, effects, 1).set_index("key")
    before = there[there.index < -1]
    assert described.loc["periods", "value"] == len(before)
    assert described.loc["largest", "value"] == before.abs().max()
    assert described.loc["reaction", "value"] == 1
    assert described.loc["periods", "label"] == "Periods before units may react with an estimate"
    assert len(describe_before(event, effects)) == len(described) - 1


def test_the_sample_is_counted(spec):
    counts = describe_sample(spec, load_design(spec)).set_index("key")["value"]
    assert (counts["units"], counts["treated_units"], counts["never_units"], counts["observations"]) == (12, 8, 4, 72)
    assert counts["zero_rows"] == 0
    assert 60 < counts["smallest"] < counts["mean"] < counts["largest"] < 90


def test_status_and_means_have_a_row_for_each_cohort_and_period(spec):
    design = load_design(spec)
    status = map_status(design)
    assert len(status) == 18
    treated = status[status["status"] == "treated"].groupby("cohort_label")["period_label"].min()
    assert treated.to_dict() == {"Cohort 2017": "2017", "Cohort 2019": "2019"}
    means = average_outcome(design)
    by_hand = toy_frame().fillna({"first_treated": 0}).groupby(["first_treated", "year"])["share"].mean() * 100
    assert means.loc[means["key"] == "2017.2018", "mean"].item() == pytest.approx(by_hand[2017, 2018])
    wide, columns = spread_means(means)
    assert wide["key"].tolist() == ["2017", "2019", "never"]
    assert list(columns) == [str(year) for year in range(2015, 2021)]
    assert len(map_assignment(design)) == 72
    assert len(describe_limits(design)) == 0


def test_a_cluster_with_two_cohorts_has_a_row_for_each():
    frame = toy_frame().assign(area="P")
    design = diagnose(frame, "county", "year", "share", "first_treated", cluster="area")
    assert set(map_assignment(design)["cluster"]) == {"P", "P (2019)", "P (never treated)"}


def test_identities_hold_on_a_balanced_panel(spec):
    frame = check_identities(load_design(spec))
    assert len(frame) == 6
    assert (frame["largest_gap"] < ROUNDING).all()


def test_identities_are_not_claimed_where_they_do_not_hold(spec):
    frame = toy_frame().drop(index=7)
    row = check_identities(diagnose(frame, "county", "year", "share", "first_treated")).iloc[0]
    assert np.isnan(row["largest_gap"])
    assert "balanced" in row["reason"]


def test_a_number_that_is_no_share_keeps_its_own_unit(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    frame = toy_frame().assign(days=lambda table: table["share"] * 10)
    frame.to_csv(tmp_path / "data" / "toy.csv", index=False)
    write_study(tmp_path, "toy", {**TOY, "outcome": "days", "outcome_unit": "number"})
    spec = StudySpec(study="toy")
    design = load_design(spec)
    row = report_effects(estimate_main(spec, design), "overall", spec).iloc[0]
    assert row["unit"] == "number"
    assert describe_sample(spec, design).set_index("key").loc["mean", "unit"] == "number"
