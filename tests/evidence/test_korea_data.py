"""What is compiled from the Korean files follows from them, and what the README says of them holds."""

from pathlib import Path

import pandas as pd

KOREA = Path(__file__).parents[2] / "data" / "korea"
GRANTS = pd.read_csv(KOREA / "obstetrics_grants.csv", dtype="str")
DELIVERIES = pd.read_csv(KOREA / "delivery_district_year.csv")
DISTRICTS = pd.read_csv(KOREA / "obstetrics_districts.csv").set_index("district_key")


def test_the_kind_of_a_district_is_the_end_of_its_name():
    name = DISTRICTS.index.to_series().str.partition("_")[2]
    ending = name.str[-1].map({"군": "county", "시": "city", "구": "metropolitan district"})
    ward = name.str.contains(" ")
    assert (DISTRICTS["district_kind"] == ending.mask(ward, "ward of a city")).all()


def test_the_grant_of_a_district_is_that_of_the_roster():
    given = GRANTS.groupby("district_key")["type"].agg(set).reindex(DISTRICTS.index)
    started = set(GRANTS.loc[GRANTS["first_full_year"].notna(), "district_key"])

    def grant(key, types):
        if key in started:
            return "set-up 2013-2022"
        if not isinstance(types, set):
            return "none"
        return (
            "set-up before 2013"
            if "set-up" in types
            else "operation"
            if "operation" in types
            else "outpatient or mobile"
        )

    assert [grant(*pair) for pair in given.items()] == DISTRICTS["grant"].tolist()
    assert (GRANTS["year_after_selection"].astype(int) == GRANTS["selected"].astype(int) + 1).all()


def test_a_start_is_the_year_after_what_it_rests_on():
    starts = GRANTS[GRANTS["first_full_year"].notna()].set_index("district_key")
    named = starts["first_full_year_basis"].map({"opening": "opening known", "selection + 1": "year after selection"})
    assert (DISTRICTS.loc[starts.index, "start_known_by"] == named).all()
    assert (DISTRICTS["start_known_by"] != "no start in the panel").sum() == len(starts) == 17
    chosen = starts[starts["first_full_year_basis"] == "selection + 1"]
    assert (chosen["first_full_year"] == chosen["year_after_selection"]).all()
    # Opened in January it is a full year, as 해남; 양구 was planned for 2020.
    opened = starts.loc[starts["first_full_year_basis"] == "opening", "service_opened"]
    early = opened.str.fullmatch(r"\d{4}-01(-01)?")
    year = opened.str[:4].astype(int) + (~early).astype(int)
    assert (year == starts.loc[opened.index, "first_full_year"].astype(int)).all()


def test_the_classes_of_a_district_follow_from_the_panel():
    share = DELIVERIES[DELIVERIES["year"] == 2013].set_index("district_key")["delivery_within_60min_pct"]
    share = share.reindex(DISTRICTS.index)
    named = share.lt(60).map({True: "below 60%", False: "60% and above"}).mask(share.isna(), "not published")
    assert (DISTRICTS["share_2013"] == named).all()
    counts = (
        DELIVERIES[DELIVERIES["year"] == 2023]
        .set_index("district_key")["deliveries_of_residents"]
        .reindex(DISTRICTS.index)
    )
    assert (DISTRICTS["deliveries_2023"] == counts).all()
    assert (DISTRICTS["deliveries_2023_group"] == counts.lt(50).map({True: "under 50", False: "50 and more"})).all()
    published = DELIVERIES.dropna(subset=["delivery_within_60min_pct"]).groupby("district_key").size()
    assert (DISTRICTS["years_published"] == published.reindex(DISTRICTS.index)).all()


def test_births_add_up_to_the_figures_of_the_country():
    births = DELIVERIES.groupby("year")["births_of_residents"].sum()
    assert births[[2014, 2016, 2017, 2018]].tolist() == [435_435, 406_243, 357_771, 326_822]
    deliveries = DELIVERIES[DELIVERIES["year"] == 2023]["deliveries_of_residents"]
    assert ((deliveries < 50).sum(), (deliveries < 100).sum()) == (7, 41)


def test_the_flows_are_those_of_the_pairs_and_near_the_acute_share():
    flows = pd.read_csv(KOREA / "inpatient_sums_2023.csv").set_index("district_key")
    pairs = pd.read_csv(KOREA / "inpatient_flows_2023.csv")
    assert flows["episodes_of_residents"].sum() == 12_242_463
    assert round(pairs["episodes"].sum() / 12_242_463, 3) == 0.966
    home = pairs[pairs["home_district"] == pairs["hospital_district"]].set_index("home_district")["episodes"]
    assert (home == flows.loc[home.index, "inside_district"]).all()
    share = pd.read_csv(KOREA / "district_year.csv").query("year == 2023").set_index("district_key")
    own = 100 * flows["inside_district"] / flows["episodes_of_residents"]
    assert round(own.corr(share["acute_inpatient_share_pct"]), 3) == 0.973


def test_every_host_district_says_what_it_rests_on():
    waves = pd.read_csv(KOREA / "all_waves.csv", keep_default_na=False)
    named = waves[waves["host_district"] != ""]
    assert (waves.loc[waves["host_district"] == "", "host_source"] == "").all()
    assert len(named) == 26
    for row in named.to_dict("records"):
        district = row["host_district"].split("_")[1].split()[-1]
        source = row["host_source"]
        if source.startswith("address "):
            assert f" {district} " in source, row
        elif source == "the hospital's name":
            city = row["host_district"].split("_")[1].split()[0]
            assert city[:-1] in row["hospital"], row
        else:
            assert source == "source not kept", row
