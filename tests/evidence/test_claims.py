"""Published claims: every programme covered, every number traceable, no verdict stronger than its figures."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from evalaid.base.errors import FactsError
from evalaid.evidence.claims.claim_checks import FINDINGS, check_alike, check_dates, list_claims, show_figures
from evalaid.evidence.claims.claim_verdicts import VERDICTS, judge
from evalaid.evidence.claims.published_claims import Claims, raw_change
from evalaid.evidence.claims.remainders import bound_claims, compare_published, decompose, find_breakdown

PUBLISHED = Path(__file__).parents[2] / "data" / "published"
CLAIMS = Claims.read(PUBLISHED)
MANIFEST_KEY = r"[a-z0-9_]+(\.[\w+-]+)*"


def test_every_programme_with_published_figures_has_a_claim():
    covered = {claim.programme for claim in CLAIMS.claims}
    assert covered == set(CLAIMS.facts.registry["programme"]) - {"korea_responsible_hospitals"}
    assert CLAIMS.of("korea_responsible_hospitals").claims == ()
    with pytest.raises(FactsError, match=r"no programme 'liannan_trustee'.*liannan_trusteeship"):
        CLAIMS.of("liannan_trustee")


@pytest.mark.parametrize(
    "function", [list_claims, show_figures, check_alike, check_dates, decompose, bound_claims, find_breakdown,
                 compare_published, judge]
)  # fmt: skip
def test_tables_have_unique_keys_and_the_same_columns_for_any_programme(function):
    table = function(CLAIMS)
    assert table["key"].is_unique
    assert table["key"].str.fullmatch(MANIFEST_KEY).all()
    for programme in CLAIMS.facts.registry["programme"]:
        part = function(CLAIMS.of(programme))
        assert set(part.columns) == set(table.columns)
        assert set(part["key"]) <= set(table["key"])
    if "unit" in table:
        assert set(table["unit"]) <= {"pp", "%", "number"}


def test_figures_are_shown_as_published():
    table = show_figures(CLAIMS).set_index("key")
    assert table.loc["gd_share_2020.change", ["value", "low", "high"]].tolist() == pytest.approx([4.7, 4.65, 4.75])
    assert table.loc["gd_share_2020.change", "made_by"] == "published as F002"
    assert table.loc["liannan_share_2019.change", "note"] == "arithmetic illustration: the figures are unlike"
    assert table.loc["poor_visit_share_2018.claimed", "note"] == "stated as: more than; no baseline"
    assert pd.isna(table.loc["poor_visit_share_2018.claimed", "high"])


def test_only_changes_of_like_figures_are_called_alike():
    table = check_alike(CLAIMS).set_index("key")
    assert set(table.index[table["alike"] == "yes"]) == {
        "gd_share_2020", "tibet_life_expectancy", "xinjiang_surgery_mix", "yangxi_fund_2023", "xinyi_rank_2022",
    }  # fmt: skip
    assert table.loc["doctors_sent_2024", "alike"] == "no comparison"
    assert "unlike periods" in table.loc["liannan_share_2019", "reason"]


@pytest.mark.parametrize(
    ("key", "finding"),
    [
        ("gd_share_2020.date_1", "baseline_treated"),  # the early pairs of 2018
        ("gd_share_2020.date_2", "separates"),
        ("xinyi_rank_2022.date_1", "precedes"),
        ("xinyi_surgery_2023.date_1", "within"),
        ("liannan_share_2019.date_1", "no_before"),
        ("liannan_share_2019.date_3", "baseline_treated"),
        ("liannan_share_2019.date_4", "value_partly"),
        ("liannan_share_2019.date_5", "precedes"),
        ("yangxi_fund_2023.date_1", "latest"),
        ("poor_visit_share_2018.date_1", "no_baseline"),
        ("yunan_share_2019.date_1", "undated"),
    ],
)
def test_dates_are_held_against_the_figures(key, finding):
    row = check_dates(CLAIMS).set_index("key").loc[key]
    assert (row["finding"], row["why"]) == (finding, FINDINGS[finding])


def test_the_raw_change_of_guangdong_holds_its_earlier_trend_and_the_epidemic_year():
    table = decompose(CLAIMS).set_index("key")["value"]
    parts = {
        "raw": 4.7,
        "trend": 2.2,
        "after_trend": 2.5,
        "elsewhere": 2.5,
        "trend_and_elsewhere": 3.6,
        "after_both": 1.1,
    }
    assert {name: table[f"gd_share_2020.{name}"] for name in parts} == pytest.approx(parts)


def test_the_parts_of_a_change_add_up():
    table = decompose(CLAIMS)
    for _, part in table.groupby("claim_id"):
        value = part.assign(name=part["key"].str.rpartition(".")[2]).set_index("name")["value"]
        if "trend" in value:
            assert value["trend"] + value["after_trend"] == pytest.approx(value["raw"])
        if "elsewhere" in value:
            assert value["trend_and_elsewhere"] + value["after_both"] == pytest.approx(value["raw"])


def test_nothing_is_left_when_the_trend_had_doubled():
    table = find_breakdown(CLAIMS).set_index("key")["value"]
    assert table["gd_share_2020.per_period"] == pytest.approx(2.35)
    assert table["gd_share_2020.trend_continued"] == pytest.approx(1.25)
    assert table["gd_share_2020.trend_multiple"] == pytest.approx(4.7 / 2.2)
    bounds = bound_claims(CLAIMS, [1.0, 1.5]).set_index("key")["sign"]
    assert bounds["gd_share_2020.trend_continued.m_1"] == "positive"
    assert bounds["gd_share_2020.trend_continued.m_1_5"] == "open"


def test_liannan_against_the_province_is_an_illustration_with_its_unlike_periods_named():
    table = compare_published(CLAIMS).set_index("key")
    assert table["value"].round(1).tolist() == [9.1, 3.4, 5.7]
    assert table.loc["liannan_share_2019.difference", ["low", "high"]].tolist() == pytest.approx([5.05, 6.35])
    assert set(table["alike"]) == {"no"}
    reasons = table.loc["liannan_share_2019.difference", "reason"]
    for reason in (
        "full year (2018) against cumulative part of a year (2019 January to September)",
        "full year (2018) against half-year (2020 January to June)",
        "cumulative part of a year (2019 January to September) against half-year (2020 January to June)",
        "unlike bases: resident against unstated",
    ):
        assert reason in reasons


def test_a_verdict_is_never_stronger_than_its_figures():
    table = judge(CLAIMS).set_index("key")
    assert set(table["verdict"]) <= set(VERDICTS)
    assert table.index[table["verdict"] == "bounded"].tolist() == ["gd_share_2020"]
    assert table.loc["gd_share_2020", ["lower", "upper"]].tolist() == pytest.approx([0.15, 4.85])
    assert "the figure is from before the partnership" in table.loc["xinyi_rank_2022", "reason"]
    assert "it states what was given, not what came of it" in table.loc["doctors_sent_2024", "reason"]
    assert "the start of the partnership is unknown" in table.loc["yangxi_fund_2023", "reason"]
    assert (table[["reason", "repeat", "settle"]] != "").all(axis=None)
    alike = check_alike(CLAIMS).set_index("key")["alike"]
    assert (alike[table["verdict"] != "not identified"] == "yes").all()


def test_a_like_comparison_would_identify_and_an_unlike_base_does_not(tmp_path):
    """Liannan, had both places full years on one base and the county a start between them."""
    for file in PUBLISHED.glob("*.csv"):
        shutil.copy(file, tmp_path)
    claims = pd.read_csv(tmp_path / "claims.csv", dtype="str", keep_default_na=False)
    claims.loc[claims["claim_id"] == "liannan_share_2019", "dates"] = "2019-01-01=start"
    claims.to_csv(tmp_path / "claims.csv", index=False)
    facts = pd.read_csv(tmp_path / "facts.csv", dtype="str", keep_default_na=False).set_index("fact_id", drop=False)
    names = ["period_start", "period_end", "period_kind"]
    facts.loc[["F038", "F001"], names] = ["2019-01-01", "2019-12-31", "year"]
    facts.loc["F001", "coverage"] = "57 counties"
    facts.loc[["F036", "F038", "F001"], "base"] = "resident"
    for base, verdict in (("resident", "identified"), ("insured", "not identified")):
        facts.loc["F038", "base"] = base
        facts.to_csv(tmp_path / "facts.csv", index=False)
        assert judge(Claims.read(tmp_path)).set_index("key").loc["liannan_share_2019", "verdict"] == verdict


def test_a_claim_without_an_earlier_figure_has_no_change():
    claim = CLAIMS.of("shanghai_departments").claims[0]
    assert raw_change(CLAIMS.facts, claim) is None


def test_claims_that_name_what_is_not_there_are_refused(tmp_path):
    for file in PUBLISHED.glob("*.csv"):
        shutil.copy(file, tmp_path)
    frame = pd.read_csv(tmp_path / "claims.csv", dtype="str", keep_default_na=False)
    frame.loc[0, ["value_fact", "programme"]] = ["F900", "nowhere"]
    frame.to_csv(tmp_path / "claims.csv", index=False)
    with pytest.raises(FactsError) as caught:
        Claims.read(tmp_path)
    assert set(caught.value.rows["fault"]) == {"unknown fact", "unknown programme"}
