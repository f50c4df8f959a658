"""The register of published figures: complete, recomputed, and compared only like for like."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalaid.base.errors import FactsError
from evalaid.base.partial_dates import earliest_day, latest_day, name_dates
from evalaid.base.rounding import Figure, evaluate
from evalaid.evidence.published_facts import Facts, recompute

PUBLISHED = Path(__file__).parents[2] / "data" / "published"
FACTS = Facts.read(PUBLISHED)


@pytest.fixture
def edited(tmp_path):
    """Give a function that changes cells of a copy of the register and returns the copy's folder."""
    for file in PUBLISHED.glob("*.csv"):
        shutil.copy(file, tmp_path)

    def edit(**cells):
        frame = pd.read_csv(tmp_path / "facts.csv", dtype="str", keep_default_na=False)
        for place, value in cells.items():
            fact, column = place.split("_", 1)
            frame.loc[frame["fact_id"] == fact, column] = value
        frame.to_csv(tmp_path / "facts.csv", index=False)
        return tmp_path

    return edit


def test_every_fact_of_the_collection_is_kept_under_its_id():
    stems = {fact_id[:4] for fact_id in FACTS.frame["fact_id"]}
    absent = {"F032", "F033", "F165", "F170"}  # never given out
    assert stems == {f"F{number:03d}" for number in range(1, 188)} - absent
    assert stems <= set(FACTS.frame["fact_id"])


def test_every_derived_figure_is_what_its_arithmetic_gives():
    table = recompute(FACTS)
    assert table["agrees"].all(), table[~table["agrees"]].to_string()
    assert set(FACTS.frame.loc[FACTS.frame["derived"] == "yes", "fact_id"]) <= set(table["fact_id"])


@pytest.mark.parametrize(
    ("fact_id", "low", "high"),
    [("F001", 86.85, 86.95), ("F003", 82.1, 82.3), ("F040", 8.55, 9.65), ("F005", 57, 57), ("F101", 90, float("inf"))],
)
def test_a_figure_stands_for_all_that_its_rounding_leaves_open(fact_id, low, high):
    figure = FACTS[fact_id].figure
    assert (figure.low, figure.high) == pytest.approx((low, high))


def test_figures_about_an_indicator_and_a_place_come_in_order_of_time():
    found = FACTS.about("county_inpatient_share", "440000")
    assert found["fact_id"].tolist()[:4] == ["F123", "F131", "F089", "F088b"]  # an unknown start comes first
    assert FACTS.about(place="西藏")["fact_id"].tolist() == FACTS.about(place="540000")["fact_id"].tolist()
    assert "F074" in FACTS.about(programme="xinjiang_cluster")["fact_id"].tolist()
    with pytest.raises(FactsError, match=r"has the indicator 'county_inpatient_shares'.*county_inpatient_share"):
        FACTS.about("county_inpatient_shares")
    with pytest.raises(FactsError, match="no published figure 'F999'"):
        FACTS["F999"]


UNLIKE = [
    ("F003", "F088", "unlike periods: half-year (2018 January to June) against full year (2018)"),
    ("F036", "F038", "unlike periods: full year (2018) against cumulative part of a year (2019 January to September)"),
    ("F001", "F088", "unlike bases: unstated against resident"),
    ("F001", "F088", "unlike coverage: unstated against 57 counties"),
    ("F141", "F142", "unlike indicators: county_inpatient_share against county_visit_share"),
    ("F036", "F088", "unlike places: 441826 连南瑶族自治县 against 440000 广东省"),
    ("F001", "F002", "unlike measures: level against change"),
    ("F001", "F048", "period unstated: F048 (2024 to 2025-04)"),
    ("F001", "F128", "base unstated in two sources: residents, registered and insured persons give different shares"),
    ("F001", "F128", "the national indicator changed its base to insured persons in 2024, between the two figures"),
    ("F101", "F088", "F101 is a bound (more than 90), not a figure"),
    ("F007", "F001", "F007 is a target, not an outcome"),
    ("F034", "F014", "F034 is a date, not a figure"),
]


@pytest.mark.parametrize(("one", "other", "reason"), UNLIKE)
def test_unlike_figures_are_named_as_such_in_either_order(one, other, reason):
    assert reason in FACTS.like_for_like(one, other).reasons
    assert not FACTS.like_for_like(other, one).alike


def test_resident_and_insured_figures_are_never_alike(edited):
    facts = Facts.read(edited(F003_base="insured", F001_base="resident"))
    assert facts.like_for_like("F003", "F001").reasons == ("unlike bases: insured against resident",)


def test_the_second_half_of_a_year_is_not_compared_with_the_first(edited):
    facts = Facts.read(edited(F003_period_start="2018-07-01", F003_period_end="2018-12-31"))
    assert facts.like_for_like("F003", "F001").reasons == (
        "unlike parts of the year: 2018 July to December against 2020 January to June",
    )


def test_like_figures_are_subtracted_with_what_must_be_said_beside_them():
    change = FACTS.change("F003", "F001")
    assert (change.figure.value, change.unit, change.digits, change.alike) == (4.7, "pp", 1, True)
    assert (change.figure.low, change.figure.high) == pytest.approx((4.65, 4.75))  # as published, not 4.55 to 4.85
    assert change.remarks == (
        "F003 is derived, not published",
        "F003 is known with medium confidence",
        "F001 (2020 January to June) lies in the epidemic",
        "the base is unstated; both figures come from one source",
    )


def test_a_change_of_unlike_figures_is_refused_with_the_reasons_and_shown_only_under_its_name():
    with pytest.raises(FactsError) as caught:
        FACTS.change("F036", "F038")
    assert str(caught.value) == (
        "F038 (80.1 %, 2019 January to September) minus F036 (71 %, 2018) is not a change of one thing: unlike periods: "
        "full year (2018) against cumulative part of a year (2019 January to September). Take figures of one kind, or show "
        "the number as an illustration: unlike='show'."
    )
    assert caught.value.reasons == FACTS.like_for_like("F036", "F038").reasons
    assert caught.value.rows["reason"].tolist() == list(caught.value.reasons)
    shown = FACTS.change("F036", "F038", unlike="show")
    assert (round(shown.figure.value, 1), shown.alike, shown.reasons) == (9.1, False, caught.value.reasons)


def test_what_has_no_common_unit_has_no_difference_at_all():
    with pytest.raises(FactsError, match=r"F005 \(57 counties.*unlike units: % against counties"):
        FACTS.change("F001", "F005", unlike="show")
    with pytest.raises(FactsError, match="expected 'refuse' or 'show'"):
        FACTS.change("F003", "F001", unlike="maybe")


def test_all_faults_of_the_register_are_found_at_once(edited):
    folder = edited(F001_base="everybody", F004_value="many", F088_period_start="2018-13-01")
    with pytest.raises(FactsError) as caught:
        Facts.read(folder)
    assert set(caught.value.rows["row"]) == {"F001", "F004", "F088"}
    assert set(caught.value.rows["column"]) == {"base", "value", "period_start"}
    assert str(caught.value).startswith("The register of published figures cannot be used: 3 kinds of faults.")


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        ("F001_programme", "guangdong", "unknown programme"),
        ("F002_from_fact", "F999", "unknown fact"),
        ("F003_arithmetic", "", "a derived fact without arithmetic"),
        ("F003_arithmetic", "F001 - F998", "arithmetic with an unknown fact"),
        ("F001_value", "", "value and measure disagree"),
        ("F001_period_end", "", "a dated kind without its dates"),
        ("F001_period_end", "2019-12-31", "ends before it starts"),
    ],
)
def test_cells_that_contradict_each_other_are_faults(edited, place, value, fault):
    with pytest.raises(FactsError) as caught:
        Facts.read(edited(**{place: value}))
    assert fault in caught.value.rows["fault"].tolist()
    assert caught.value.rows["row"].tolist() == [place.split("_", maxsplit=1)[0]]


def test_arithmetic_that_leads_back_to_itself_is_refused(edited):
    facts = Facts.read(edited(F003_arithmetic="F003 - F002"))
    with pytest.raises(FactsError, match="leads back to itself: F003 -> F003"):
        facts["F003"]


def test_a_missing_file_or_column_is_named(tmp_path, edited):
    with pytest.raises(FactsError, match=r"programmes\.csv is missing"):
        Facts.read(tmp_path / "nowhere")
    folder = edited()
    pd.read_csv(folder / "facts.csv", dtype="str").drop(columns="base").to_csv(folder / "facts.csv", index=False)
    with pytest.raises(FactsError, match="absent: base; unknown: none"):
        Facts.read(folder)


def test_frames_that_are_given_out_can_be_changed_without_harm():
    registry, found = FACTS.programmes(), FACTS.about("county_inpatient_share")
    registry.loc[0, "programme"] = "other"
    found.loc[0, "value"] = 0
    assert FACTS.programmes().loc[0, "programme"] == "guangdong_cluster"
    assert 0 not in FACTS.about("county_inpatient_share")["value"].tolist()


finite = st.floats(-1e6, 1e6)


@given(finite, finite, st.integers(0, 3), st.integers(0, 3))
def test_a_difference_of_rounded_figures_contains_that_of_the_figures_behind_them(a, b, digits_a, digits_b):
    difference = Figure.rounded(round(a, digits_a), digits_a) - Figure.rounded(round(b, digits_b), digits_b)
    assert difference.low - 1e-6 <= a - b <= difference.high + 1e-6


def test_arithmetic_follows_precedence_and_refuses_anything_else():
    figures = {"a": Figure.exact(2), "b": Figure.exact(5)}
    assert evaluate("-a + 3 * (b - 1)", figures).value == 10
    for text, fault in (
        ("a ** 2", "no arithmetic"),
        ("a +", "no arithmetic"),
        ("c", "not there"),
        ("1 / (a - 2)", "zero"),
    ):
        with pytest.raises(FactsError, match=fault):
            evaluate(text, figures)
    with pytest.raises(FactsError, match="outside its own interval"):
        Figure(1, 2, 3)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2017-01-01", "2018-12-31", "2017 to 2018"),
        ("2019-01-01", "2019-09-30", "2019 January to September"),
        ("2023", "", "from 2023 on"),
        ("", "", "at an unstated time"),
        ("2014", "2018", "2014 to 2018"),
    ],
)
def test_periods_are_named_as_shortly_as_they_can_be(start, end, words):
    assert name_dates(start, end) == words


def test_a_date_known_to_the_month_is_any_day_of_it():
    assert (str(earliest_day("2016-04")), str(latest_day("2016-04"))) == ("2016-04-01", "2016-04-30")
    with pytest.raises(ValueError, match="'2016-4' is no date"):
        earliest_day("2016-4")
