"""Published claims: every programme covered, every number traceable, no verdict stronger than its figures."""

import re
import shutil
from difflib import SequenceMatcher
from pathlib import Path

import pandas as pd
import pytest

from evalaid.base.errors import FactsError
from evalaid.base.project import list_studies
from evalaid.evidence.claims.claim_checks import FINDINGS, check_alike, check_dates, list_claims, show_figures
from evalaid.evidence.claims.claim_verdicts import VERDICTS, judge
from evalaid.evidence.claims.published_claims import Claims, raw_change
from evalaid.evidence.claims.remainders import bound_claims, compare_published, decompose, find_breakdown

PUBLISHED = Path(__file__).parents[2] / "data" / "published"
CLAIMS = Claims.read(PUBLISHED)
LIKE = 0.8  # a claim with one word changed is above it, a sentence that says what is missing below
MANIFEST_KEY = r"[a-z0-9_]+(\.[\w+-]+)*"


def test_every_programme_with_published_figures_has_a_claim():
    covered = {claim.programme for claim in CLAIMS.claims}
    figures = {name for cell in CLAIMS.facts.frame["programme"] for name in cell.split(";") if name}
    assert covered == figures
    assert set(CLAIMS.facts.registry["programme"]) - covered == {
        "korea_responsible_hospitals", "korea_obstetrics", "korea_satellites",  # have panels
        "chief_experts", "qinghai_aid",  # have no figure
    }  # fmt: skip
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
        "gd_share_2020", "xinjiang_surgery_mix", "yangxi_fund_2023", "xinyi_rank_2022", "pilot_share_2020", "pilot_visits_2020",
    }  # fmt: skip
    assert table.loc["doctors_sent_2024", "alike"] == "no comparison"
    assert "unlike periods" in table.loc["liannan_share_2019", "reason"]
    assert "period unstated" in table.loc["tibet_life_expectancy", "reason"]


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
        ("liannan_share_2019.date_5", "value_partly"),
        ("liannan_share_2019.date_6", "precedes"),
        ("yangxi_fund_2023.date_1", "latest"),
        ("poor_visit_share_2018.date_1", "no_baseline"),
        ("yunan_share_2019.date_1", "undated"),
    ],
)
def test_dates_are_held_against_the_figures(key, finding):
    row = check_dates(CLAIMS).set_index("key").loc[key]
    assert (row["finding"], row["why"]) == (finding, FINDINGS[finding])


def test_the_raw_change_of_guangdong_holds_its_earlier_trend_the_epidemic_year_and_the_later_level():
    table = decompose(CLAIMS).set_index("key")["value"]
    parts = {
        "raw": 4.7,
        "trend": 2.2,
        "after_trend": 2.5,
        "elsewhere": 2.5,
        "trend_and_elsewhere": 3.6,
        "after_both": 1.1,
        "later": 1.5,
        "later_trend": 4.4,
        "after_later": -2.9,
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
        if "later" in value:
            assert value["later_trend"] + value["after_later"] == pytest.approx(value["later"])


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
    assert table.index[table["lower"].notna()].tolist() == ["gd_share_2020"]
    assert table.loc["gd_share_2020", ["lower", "upper"]].tolist() == pytest.approx([-3.65, 4.75])
    for figure in ("the sign is not identified", "+2.5", "+1.1", "\N{MINUS SIGN}2.9"):
        assert figure in table.loc["gd_share_2020", "reason"]
    assert (
        table["lower"].isna() | (table["lower"] * table["upper"] < 0) | (table["verdict"] != "not identified")
    ).all()
    assert "the figure is from before the partnership" in table.loc["xinyi_rank_2022", "reason"]
    assert "it states what was given, not what came of it" in table.loc["doctors_sent_2024", "reason"]
    assert "the start of the partnership is unknown" in table.loc["yangxi_fund_2023", "reason"]
    assert (table[["reason", "repeat", "settle"]] != "").all(axis=None)
    alike = check_alike(CLAIMS).set_index("key")["alike"]
    assert (alike[table["lower"].notna()] == "yes").all()


@pytest.fixture
def edited(tmp_path):
    """Give a function that changes cells of one claim in a copy of the claims and reads the copy."""
    for file in PUBLISHED.glob("*.csv"):
        shutil.copy(file, tmp_path)

    def edit(claim_id, **cells):
        claims = pd.read_csv(tmp_path / "claims.csv", dtype="str", keep_default_na=False)
        claims.loc[claims["claim_id"] == claim_id, list(cells)] = list(cells.values())
        claims.to_csv(tmp_path / "claims.csv", index=False)
        return Claims.read(tmp_path)

    return edit


def test_bounds_are_widened_by_every_objection_that_has_a_figure(edited):
    """Without the later level the trend bounds the claim, roundings included: 4.65 less twice two years of 1.15, to 4.75."""
    claims = edited("gd_share_2020", later_before="", later_after="")
    row = judge(claims).set_index("key").loc["gd_share_2020"]
    assert row["verdict"] == "bounded"
    assert [row["lower"], row["upper"]] == pytest.approx([0.05, 4.75])
    bounds = bound_claims(CLAIMS, [1.0]).set_index("key")
    every = bounds.loc["gd_share_2020.every_figure"]
    assert [every["lower"], every["upper"], every["sign"]] == [pytest.approx(-3.65), pytest.approx(4.75), "open"]
    parts = decompose(CLAIMS).set_index("key")
    left = parts.loc[[f"gd_share_2020.{name}" for name in ("raw", "after_trend", "after_both", "after_later")]]
    assert every["lower"] <= left["low"].min()
    assert every["upper"] >= left["high"].max()


def test_half_of_a_later_change_is_refused(edited):
    with pytest.raises(FactsError, match="one of two figures of a later change"):
        edited("gd_share_2020", later_before="")


def words(text):
    return re.findall(r"[a-z0-9.,%]+", text.lower())


@pytest.mark.parametrize("claim", CLAIMS.claims, ids=lambda claim: claim.claim_id)
def test_the_sentence_offered_is_not_the_claim(claim):
    """None of the claims is identified, so none may be offered as it was made."""
    offered, made = words(claim.repeat), words(claim.claim)
    assert SequenceMatcher(None, offered, made, autojunk=False).ratio() < LIKE
    if claim.change_fact and not claim.baseline_fact:
        assert re.search(r"\b(report|reported|reports|says|talk)\b", claim.repeat), "a growth is told with who said it"


def test_a_programme_without_a_study_says_why_and_what_it_would_take(tmp_path):
    registry = CLAIMS.facts.registry.set_index("programme")
    assert set(registry.index[registry["refusal"] == ""]) == set(list_studies("project"))
    assert (registry.loc[registry["study"] != "", "study"] == registry.index[registry["study"] != ""]).all()
    assert registry.loc[registry["study"] == "", "refusal"].str.startswith("No study: ").all()
    for file in PUBLISHED.glob("*.csv"):
        shutil.copy(file, tmp_path)
    registry.assign(refusal="").reset_index().to_csv(tmp_path / "programmes.csv", index=False)
    with pytest.raises(FactsError, match="neither a study nor the reason"):
        Claims.read(tmp_path)


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
