"""The two Korean studies beside the first, held against means that pandas takes from the files alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evalaid.base.errors import StudyError
from evalaid.did.inference.infer import infer
from evalaid.report.questions.alternatives import compare_methods, compare_scenarios
from evalaid.report.questions.analysis import estimate_main, overall, report_effects
from evalaid.report.questions.other_averages import compare_estimands, compare_outcomes
from evalaid.report.questions.placebo_tests import list_controls, run_placebos
from evalaid.report.threats.finding import put_to_test
from evalaid.report.threats.neighbours import examine_neighbours
from evalaid.study.sample import load_design
from evalaid.study.spec import StudySpec
from evalaid.study.surroundings import map_flows

KOREA = Path(__file__).parents[2] / "data" / "korea"
SAME = 1e-9  # points; two ways to the same mean differ by rounding alone


def cells(frame, outcome):
    """Changes of each cohort since its last year before the start, less those of who is untreated in that year, by hand.

    One row per treated cohort and year: units of the cohort, effect in points.
    """
    wide = frame.pivot_table(outcome, "district_key", "year")
    start = frame.groupby("district_key")["start"].first()
    rows = []
    for cohort in sorted(start.dropna().unique()):
        own = wide[(start == cohort).reindex(wide.index)]
        base = max(year for year in wide if year < cohort and own[year].notna().any())
        for year in (year for year in wide if year >= cohort):
            change = (wide[year] - wide[base]).dropna()
            treated = change[start[change.index] == cohort]
            others = change[start[change.index].isna() | (start[change.index] > year)]
            if len(treated):  # a cell counts as its cohort does, also where a unit is not observed in it
                rows.append((cohort, year, int((start == cohort).sum()), treated.mean() - others.mean()))
    return pd.DataFrame(rows, columns=["cohort", "year", "treated", "effect"])


def by_hand(frame, outcome):
    found = cells(frame, outcome)
    return float(np.average(found["effect"], weights=found["treated"]))


@pytest.fixture(scope="module")
def deliveries():
    """Cities and counties with what is known of their grants; `start` and the sample are left to each test."""
    panel = pd.read_csv(KOREA / "delivery_district_year.csv")
    districts = pd.read_csv(KOREA / "obstetrics_districts.csv")
    grants = pd.read_csv(KOREA / "obstetrics_grants.csv")
    set_up = grants[grants["first_full_year"].notna()].set_index("district_key")
    frame = panel.merge(districts, on="district_key")
    frame = frame[frame["district_kind"].isin(["city", "county"]) & (frame["years_published"] == 10)]
    return frame.assign(
        opening=frame["district_key"].map(set_up["first_full_year"]),
        selected=frame["district_key"].map(set_up["selected"]).astype(float),
    )


MAIN = ["set-up 2013-2022", "outpatient or mobile", "none"]
THREE = ["경상남도_밀양시", "전라남도_영광군", "제주특별자치도_서귀포시"]
SHARE = "delivery_within_60min_pct"


def test_every_scenario_of_the_obstetrics_study_is_a_mean_that_pandas_takes(deliveries):
    main = deliveries[deliveries["grant"].isin(MAIN)].assign(start=lambda frame: frame["opening"])
    always = main["selected"] <= main["year"].min()
    samples = {
        "main": main,
        "selection": main[~always].assign(start=main["selected"]),
        "opening_known": main[main["start_known_by"] != "year after selection"],
        "comparison_below_60": main[main["share_2013"] == "below 60%"],
        "first_source": main[main["year"] <= 2018].assign(
            start=lambda frame: frame["start"].where(frame["start"] <= 2018)
        ),
        "second_source": main[(main["year"] >= 2019) & ~(main["start"] <= 2019)],
        "without_the_three_largest": main[~main["district_key"].isin(THREE)],
        "fifty_deliveries": main[main["deliveries_2023"] >= 50],
        "without_the_planned": main[main["district_key"] != "강원도_양구군"],
        "with_operation": deliveries[deliveries["grant"].isin([*MAIN, "operation"])].assign(
            start=lambda frame: frame["opening"]
        ),
    }
    found = compare_scenarios(StudySpec(study="korea_obstetrics")).set_index("key")["estimate"]
    assert set(found.index) == set(samples)
    for name, sample in samples.items():
        assert found[name] == pytest.approx(by_hand(sample, SHARE), abs=SAME), name


def test_the_effects_of_the_cohorts_are_means_that_pandas_takes(deliveries):
    main = deliveries[deliveries["grant"].isin(MAIN)].assign(start=lambda frame: frame["opening"])
    hand = cells(main, SHARE)
    # 영주 starts in 2015, which was not published: its first treated year in the panel is 2016.
    hand["cohort"] = hand["cohort"].where(hand["cohort"] != 2015, 2016).astype(int).astype(str)
    mean = hand.groupby("cohort").apply(lambda rows: np.average(rows["effect"], weights=rows["treated"]))
    spec = StudySpec(study="korea_obstetrics")
    found = report_effects(estimate_main(spec, load_design(spec)), "cohort", spec).set_index("key")["estimate"]
    assert list(found.index) == list(mean.index)
    assert found.to_numpy() == pytest.approx(mean.to_numpy(), abs=SAME)


def test_negative_controls_are_estimated_on_their_own_roster(deliveries):
    grants = pd.read_csv(KOREA / "obstetrics_grants.csv")
    spec = StudySpec(study="korea_obstetrics")
    kept = {name: entry for name, entry in spec.placebo.items() if entry.kind == "control"}
    spec = spec.change({"placebo": {name: entry.to_dict() for name, entry in kept.items()}})
    found = list_controls(run_placebos(spec, load_design(spec)), spec).set_index("key")
    for name, types, groups in (
        ("outpatient_mobile", ["outpatient", "mobile"], ["outpatient or mobile", "none"]),
        ("operation", ["operation"], ["operation", "outpatient or mobile", "none"]),
    ):
        first = grants[grants["type"].isin(types)].groupby("district_key")["year_after_selection"].min()
        sample = deliveries[deliveries["grant"].isin(groups)]
        start = sample["district_key"].map(first).astype(float)
        sample = sample.assign(start=start.where(start <= sample["year"].max()))
        assert found.loc[name, "estimate"] == pytest.approx(by_hand(sample, SHARE), abs=SAME)
        assert found.loc[name, "unit"] == "pp"


def test_each_type_of_grant_has_its_own_effect(deliveries):
    """The dose by type of grant: money for a unit that exists, for outpatient care, for a bus."""
    grants = pd.read_csv(KOREA / "obstetrics_grants.csv")
    found = compare_estimands(StudySpec(study="korea_obstetrics")).set_index("key")["estimate"]
    for name, kind, groups in (
        ("type_operation", "operation", ["operation", "outpatient or mobile", "none"]),
        ("type_outpatient", "outpatient", ["outpatient or mobile", "none"]),
        ("type_mobile", "mobile", ["outpatient or mobile", "none"]),
    ):
        first = grants[grants["type"] == kind].groupby("district_key")["year_after_selection"].min()
        sample = deliveries[deliveries["grant"].isin(groups)]
        start = sample["district_key"].map(first).astype(float)
        sample = sample.assign(start=start.where(start <= sample["year"].max()))
        assert found[name] == pytest.approx(by_hand(sample, SHARE), abs=SAME), name


def test_controls_from_other_files_are_means_that_pandas_takes(deliveries):
    """Dialysis and mortality of 2019 to 2024; the four counties whose mortality is off in the source are left out."""
    found = compare_outcomes(StudySpec(study="korea_obstetrics")).set_index("key")["estimate"]
    starts = deliveries[deliveries["grant"].isin(MAIN)].groupby("district_key")["opening"].first()
    off = ["충청북도_증평군", "충청북도_괴산군", "충청북도_음성군", "충청북도_단양군"]
    for name, file, outcome in (
        ("dialysis", "district_year.csv", "dialysis_share_pct"),
        ("in_district_map", "district_year.csv", "delivery_share_pct"),
        ("stroke", "stroke_heart_mortality.csv", "stroke_mortality_per_100k"),
        ("heart", "stroke_heart_mortality.csv", "heart_mortality_per_100k"),
    ):
        panel = pd.read_csv(KOREA / file)
        panel = panel[panel["district_key"].isin(starts.index)]
        panel = panel.assign(start=panel["district_key"].map(starts))
        panel = panel[~(panel["start"] <= panel["year"].min())]
        if name in {"stroke", "heart"}:
            panel = panel[~panel["district_key"].isin(off)]
        assert found[name] == pytest.approx(by_hand(panel, outcome), abs=SAME), name


def test_the_districts_next_to_a_branch_are_those_whose_residents_go_there():
    """More than a tenth of their inpatient care of 2023 in one of the four; their own share did not rise."""
    spec = StudySpec(study="korea_satellites")
    table = examine_neighbours(put_to_test(spec, load_design(spec)))
    row = table[table["label"].str.startswith("Effect on untreated units")].iloc[0]
    panel = pd.read_csv(KOREA / "district_year.csv")
    roster = pd.read_csv(KOREA / "satellite_roster.csv").set_index("district_key")
    opened = roster.loc[roster["use"] == "treated", "opened"].str[:4].astype(float)
    flows = pd.read_csv(KOREA / "inpatient_flows_2023.csv")
    flows["share"] = flows["episodes"] / flows.groupby("home_district")["episodes"].transform("sum")
    near = flows[flows["hospital_district"].isin(opened.index) & (flows["share"] > 0.1)]
    since = (
        near["hospital_district"].map(opened).groupby(near["home_district"]).min().drop(opened.index, errors="ignore")
    )
    two = ["경기도_용인시 기흥구", "경기도_용인시 처인구"]
    panel = panel[~panel["district_key"].isin(roster.index[roster["use"] == "leave out"])]
    panel = panel[~(panel["district_key"].isin(two) & (panel["year"] == 2020))]
    panel = panel[~(panel["year"] >= panel["district_key"].map(opened))]  # the four compare until they open
    panel = panel.assign(start=panel["district_key"].map(since))
    assert int(row["n_treated"]) == panel.groupby("district_key")["start"].first().notna().sum() == 8
    assert row["estimate"] == pytest.approx(by_hand(panel, "acute_inpatient_share_pct"), abs=SAME)


def test_where_residents_go_adds_up_and_follows_the_areas():
    found = map_flows(StudySpec(study="korea_satellites"))
    sums = pd.read_csv(KOREA / "inpatient_flows_2023.csv").groupby("home_district")["episodes"].sum()
    assert (found.groupby("home")["count"].sum() == sums).all()
    assert found.groupby("home")["share"].sum().to_numpy() == pytest.approx(100.0)
    assert found["home_area"].nunique() == 70
    own = found.loc[found["home_area"] == found["area"], "count"].sum() / found["count"].sum()
    assert own == pytest.approx(0.619, abs=0.0005)  # 59.8% of all; pairs below 50 episodes are not in the file
    assert map_flows(StudySpec(study="guangdong_cluster")) is None


def test_every_scenario_of_the_study_of_branches_is_a_mean_that_pandas_takes():
    panel = pd.read_csv(KOREA / "district_year.csv")
    roster = pd.read_csv(KOREA / "satellite_roster.csv").set_index("district_key")
    opened = roster.loc[roster["use"] == "treated", "opened"]
    years = opened.str[:4].astype(float)
    out = list(roster.index[roster["use"] == "leave out"])
    two = ["경기도_용인시 기흥구", "경기도_용인시 처인구"]
    plain = panel[~panel["district_key"].isin(out)].assign(start=panel["district_key"].map(years))
    main = plain[~(plain["district_key"].isin(two) & (plain["year"] == 2020))]
    later = main["district_key"].map(years + 1)
    samples = {
        "main": main,
        "with_2020": plain,
        "without_giheung": plain[~plain["district_key"].isin(two)],
        "until_2023": main[main["year"] <= 2023],
        # The year of the opening is neither before nor after: it is left out of its own district.
        "first_full_year": main.assign(start=later)[main["year"] != main["district_key"].map(years)],
        "capital": main[main["province"].isin(["경기도", "인천광역시", "서울특별시", "세종특별자치시"])],
        "by_district": main,
    }
    found = compare_scenarios(StudySpec(study="korea_satellites")).set_index("key")["estimate"]
    assert set(found.index) == set(samples)
    for name, sample in samples.items():
        assert found[name] == pytest.approx(by_hand(sample, "acute_inpatient_share_pct"), abs=SAME), name


def test_with_four_treated_the_study_of_branches_shows_every_inference_for_few():
    spec = StudySpec(study="korea_satellites")
    design = load_design(spec)
    assert (design.n_treated, design.n_units, design.n_observations) == (4, 245, 1468)
    table = infer(overall(estimate_main(spec, design)))
    assert table["vcov"][0] == "CR3"
    assert "fewer than 10 effective clusters" in table["note"][0]
    assert table["conf_low"][0] < 0 < table["estimate"][0]  # so few cannot tell by their own differences
    alone = compare_methods(spec).set_index("key").filter(like="synthetic_", axis=0)
    assert alone["conf_low"].isna().all()  # one treated unit shows nothing of its error


def test_a_row_is_left_out_by_all_columns_of_an_entry_and_a_slip_is_named():
    spec = StudySpec(study="korea_satellites")
    wrong = {"leave_out": [{"district_key": ["경기도_용인시 기흥"], "year": [2020]}]}
    with pytest.raises(
        StudyError,
        match=r"leave_out: district_key has no value '경기도_용인시 기흥'.*Did you mean '경기도_용인시 기흥구'\?",
    ):
        load_design(spec.change(wrong))
    only = spec.change(
        {"leave_out": [{"district_key": ["경기도_용인시 기흥구", "경기도_용인시 처인구"], "year": [2020, 2021]}]}
    )
    assert load_design(only).n_observations == 250 * 6 - 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"roster_keep": {"use": ["treatd"]}},
            r"roster_keep: use has no value 'treatd'; its values are leave out, treated",
        ),
        ({"roster_keep": {"type": ["treated"]}}, r"satellite_roster.csv has no column type"),
        ({"event_window": [0, 3]}, r"event_window must be two whole numbers, the first below 0"),
        ({"placebo": {"a": {"label": "A", "kind": "control"}}}, r"placebo.a must name its changes"),
        (
            {"placebo": {"a": {"label": "A", "kind": "time", "changes": {"level": 0.9}}}},
            r"placebo.a must name its changes",
        ),
        (
            {"placebo": {"a": {"label": "A", "kind": "control", "changes": {"levle": 0.9}}}},
            r"unknown parameter 'levle'",
        ),
    ],
)
def test_what_cannot_be_asked_of_a_study_is_said(changes, said):
    with pytest.raises(StudyError, match=said):
        load_design(StudySpec(study="korea_satellites", **changes))


def test_a_roster_is_kept_in_part_only_if_it_is_a_table():
    with pytest.raises(StudyError, match=r"roster_keep needs a roster that is a tidy table"):
        StudySpec(study="korea_satellites", roster_layout="notebooks/studies/layouts/any.yaml")
