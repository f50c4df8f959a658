"""Every published figure is met whatever the effect is, the effect is known, and nothing hides that it is simulated."""

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalaid as ea
from evalaid.base.errors import SimulationError
from evalaid.simulate import county, levels, solve
from evalaid.simulate.generators import GENERATORS, simulate
from evalaid.simulate.noise import condition, correlate, draw_ar1, draw_from, round_to_total
from evalaid.simulate.programme_figures import read_figures
from evalaid.simulate.target import Target, hold_against
from evalaid.simulate.truth import summarise_truth, unfold

ROOT = Path(__file__).parents[2]
SEEDS = (1, 2, 3)
EFFECTS = (0.0, 2.0, 4.0)
NAMED = ["高州市", "阳春市", "连州市", "罗定市", "普宁市", "信宜市", "台山市", "新兴县", "龙川县"]
YEAR = {year: [f"{year}Q{quarter}" for quarter in range(1, 5)] for year in range(2016, 2026)}

every_seed = pytest.mark.parametrize("seed", SEEDS)
every_effect = pytest.mark.parametrize("effect", EFFECTS)
every_generator = pytest.mark.parametrize("generator", GENERATORS)


@cache
def panel(generator="guangdong", **parameters):
    return simulate(generator, **{"seed": 1, **parameters})


def share(frame, quarters):
    """Aggregate share in per cent, from the counts in the table that a user sees."""
    rows = frame[frame["quarter"].isin(quarters)]
    return 100 * rows["n_inside"].sum() / rows["n_total"].sum()


def by_county(frame, quarters):
    rows = frame[frame["quarter"].isin(quarters)].groupby("county")[["n_inside", "n_total"]].sum()
    return 100 * rows["n_inside"] / rows["n_total"]


# Calibration: each published figure is computed here again from the counts, not read from the calibration table.


@every_seed
@every_effect
def test_the_aggregates_are_those_published(seed, effect):
    frame = panel(seed=seed, effect_pp=effect).frame
    in_2018 = frame[frame["quarter"].isin(YEAR[2018])]
    assert in_2018["n_total"].sum() == 5_631_000
    assert (in_2018["n_total"] - in_2018["n_inside"]).sum() == 927_000
    assert round(share(frame, YEAR[2018]), 2) == 83.54
    assert round(share(frame, YEAR[2017]), 1) == 82.4
    assert round(share(frame, YEAR[2018][:2]), 1) == 82.2
    assert round(share(frame, YEAR[2020][:2]), 1) == 86.9
    assert all(round(share(frame, YEAR[year])) == 85 for year in (2022, 2024, 2025))


@every_seed
@every_effect
def test_the_distribution_of_2018_is_the_published_one(seed, effect):
    shares = by_county(panel(seed=seed, effect_pp=effect).frame, YEAR[2018])
    tiers = np.histogram(shares, bins=[0, 70, 80, 85, 90, 100])[0]
    assert tiers.tolist() == [10, 18, 14, 6, 9]
    assert set(shares.index[shares > 90]) == set(NAMED)
    assert round(shares["连南瑶族自治县"]) == 71
    assert (shares > shares["连南瑶族自治县"]).sum() == 45
    assert round(shares["郁南县"], 1) == 77.7


@every_seed
@every_effect
def test_forty_seven_counties_rise_and_nine_fall_in_2018(seed, effect):
    frame = panel(seed=seed, effect_pp=effect).frame
    change = by_county(frame, YEAR[2018]) - by_county(frame, YEAR[2017])
    assert ((change >= 0.02).sum(), (change <= -0.02).sum(), (change.abs() < 0.02).sum()) == (47, 9, 1)


@every_seed
@every_effect
def test_named_counties_have_their_published_figures(seed, effect):
    frame = panel(seed=seed, effect_pp=effect).frame
    counted = by_county(frame, YEAR[2019][:3])
    assert round(counted["连南瑶族自治县"], 1) == 80.1
    assert (counted > counted["连南瑶族自治县"]).sum() == 28
    assert round(by_county(frame, YEAR[2019])["郁南县"], 1) == 83.3
    assert all(abs(by_county(frame, YEAR[year])["高州市"] - 95) <= 0.5 for year in (2016, 2017, 2018))
    assert all(by_county(frame, YEAR[year])["连州市"] > 90 for year in YEAR)
    assert round(by_county(frame, YEAR[2025][:2])["连州市"], 1) == 92.0


@every_generator
@every_seed
def test_every_generator_meets_its_calibration(generator, seed):
    table = panel(generator, seed=seed).calibration
    assert (table["difference"].abs() <= table["tolerance"] + 1e-9).all()
    assert len(table)
    assert table["facts"].str.len().all()


@every_generator
def test_every_target_is_a_published_figure(generator):
    table = pd.read_csv(ROOT / "data" / "published" / "facts.csv", dtype="str").set_index("fact_id")
    values = pd.to_numeric(table["value"]) * np.where(table["unit"].str.startswith("10k"), 1e4, 1)
    for target in panel(generator).calibration.itertuples():
        cited = values.loc[target.facts.split()]
        if target.unit != "yes" and not target.target.startswith("recipient hospitals"):
            assert np.isclose(cited, target.published, atol=0.05).any(), target.target


@pytest.mark.parametrize("shape", ["gradual", "none", "dose"])
def test_the_calibration_holds_for_every_shape(shape):
    assert len(panel(shape=shape, effect_pp=3.0).calibration) == 29


def test_a_miss_is_an_error_that_names_the_figure():
    with pytest.raises(
        SimulationError, match=r"1 of 2 published figures.*share in 2018: 83\.700 where 83\.5 %"
    ) as caught:
        hold_against([Target("share in 2018", "%", 83.5, 83.7, 0.05), Target("counties", "counties", 57, 57, 0)])
    assert caught.value.rows["target"].tolist() == ["share in 2018"]


# The known effect.


@every_effect
def test_the_effect_moves_the_truth_and_not_the_published_aggregates(effect):
    made = panel(effect_pp=effect)
    size = made.frame.query("quarter >= cohort")["true_effect"]
    assert size.max() == pytest.approx(effect / 100)
    assert (made.frame.query("quarter < cohort")["true_effect"] == 0).all()
    compared = made.truth.set_index("estimand").loc["overall_compared", "effect"]
    assert effect / 100 * 0.85 <= compared <= effect / 100
    reference = panel(effect_pp=0.0).calibration.set_index("target")["published"]
    assert made.calibration.set_index("target")["published"].equals(reference)


def test_the_truth_is_the_average_of_the_effects_in_the_panel():
    made = panel(shape="gradual", effect_pp=3.0)
    treated = made.frame[made.frame["quarter"] >= made.frame["cohort"]]
    truth = made.truth
    assert truth.set_index("estimand").loc["overall", "effect"] == pytest.approx(treated["true_effect"].mean())
    cells = truth[truth["estimand"] == "cohort_period"].set_index(["cohort", "period"])["effect"].sort_index()
    expected = treated.groupby(["cohort", "quarter"])["true_effect"].mean().sort_index()
    np.testing.assert_allclose(cells, expected)
    weighted = np.average(treated["true_effect"], weights=treated["population"])
    assert truth.set_index("estimand").loc["overall_weighted", "effect"] == pytest.approx(weighted)
    clean = treated[treated["quarter"] < "2020Q1"]["true_effect"].mean()
    assert truth.set_index("estimand").loc["overall_compared", "effect"] == pytest.approx(clean)


def test_effects_unfold_as_named():
    since = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 5.0, np.nan])
    assert unfold("constant", since, 3).tolist() == [0, 0, 1, 1, 1, 1, 0]
    assert unfold("gradual", since, 2).tolist() == [0, 0, 0.5, 1, 1, 1, 0]
    assert unfold("none", since, 3).tolist() == [0] * 7


def test_the_effect_follows_the_dose_when_asked_to():
    rows = panel(shape="dose", effect_pp=3.0).frame.query("quarter == '2023Q1'")
    room = np.minimum(1, (100 - by_county(panel(shape="dose", effect_pp=3.0).frame, YEAR[2018])) / 12)
    ratio = rows["true_effect"].to_numpy() / rows["dose"].to_numpy() / room.loc[rows["county"]].to_numpy()
    np.testing.assert_allclose(ratio, 0.03 / rows["dose"].mean(), rtol=1e-3)


def test_truth_without_treated_units_is_empty():
    assert summarise_truth(np.zeros((2, 2)), np.full(2, np.nan), np.array([1, 2]), "year").empty


def test_the_early_effect_is_found_on_average():
    errors = []
    for seed in range(12):
        made = simulate(
            "guangdong", effect_pp=3.0, seed=seed, named="free", concurrent_pp=0.0, spillover=0.0, targeting=0
        )
        effects = ea.estimate(ea.diagnose(made.frame, **made.roles), "callaway_santanna")
        truth = made.truth.set_index("estimand").loc["overall_compared", "effect"]
        errors.append(float(effects.aggregate("overall").value[0]) - truth)
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(len(errors)) + 0.002


# Realism.


def residual(frame):
    wide = frame.assign(untreated=frame["share"] - frame["true_effect"]).pivot_table(
        index="county", columns="quarter", values="untreated"
    )
    wide = wide.sub(wide.mean(axis=1), axis=0)
    return wide - wide.mean(axis=0)


@every_seed
def test_county_shocks_dominate_binomial_noise(seed):
    frame = panel(seed=seed).frame
    binomial = np.sqrt((frame["share"] * (1 - frame["share"]) / frame["n_total"]).mean())
    change = residual(frame).diff(axis=1).to_numpy()[:, 1:] / np.sqrt(2)
    assert change.std() > 1.5 * binomial


@every_seed
def test_county_shocks_are_serially_correlated(seed):
    gaps = residual(panel(seed=seed).frame).to_numpy()
    assert np.corrcoef(gaps[:, 1:].ravel(), gaps[:, :-1].ravel())[0, 1] > 0.4


def test_low_shares_are_paired_first_and_revert_to_the_mean():
    gap, revert = [], []
    for seed in range(12):
        made = panel(seed=seed, effect_pp=0.0, named="free", concurrent_pp=0.0)
        rows = made.frame.drop_duplicates("county").set_index("county")
        early = rows["cohort"] < "2020Q1"
        assert early.sum() == 14
        assert early["郁南县"]
        before, after = (by_county(made.frame, YEAR[year]) for year in (2017, 2019))
        gap.append(before[~early].mean() - before[early].mean())
        revert.append((after - before)[early].mean() - (after - before)[~early & (before < 88)].mean())
    assert np.mean(gap) > 4
    assert np.mean(revert) > -0.2


def test_without_targeting_early_counties_are_like_the_others():
    gap = []
    for seed in range(12):
        frame = panel(seed=seed, effect_pp=0.0, targeting=0.0).frame
        early = frame.drop_duplicates("county").set_index("county")["cohort"] < "2020Q1"
        before = by_county(frame, YEAR[2017])
        gap.append(before[~early].mean() - before[early].mean())
    assert abs(np.mean(gap)) < 4


def test_the_lockdown_cuts_volume_and_lifts_the_share():
    frame = panel().frame
    volume = frame.groupby("quarter")["n_total"].sum()
    assert volume["2020Q1"] < 0.8 * volume["2019Q1"]
    assert share(frame, ["2020Q1"]) > share(frame, ["2019Q1"]) + 2


def test_the_base_changes_in_2024_and_counties_shift_apart():
    frame = panel(break_pp=3.0).frame
    assert frame.groupby("quarter")["base"].first()[["2023Q4", "2024Q1"]].tolist() == ["resident", "insured"]
    volume = frame.groupby("quarter")["n_total"].sum()
    assert volume["2024Q1"] < volume["2023Q1"]
    shift = by_county(frame, YEAR[2024]) - by_county(frame, YEAR[2023])
    usual = by_county(frame, YEAR[2023]) - by_county(frame, YEAR[2022])
    assert shift.std() > 1.5 * usual.std()


def test_the_concurrent_programmes_come_with_the_treatment():
    frame = panel(targeting=2.0).frame
    early = frame["cohort"] < "2020Q1"
    built = frame[frame["quarter"] == "2018Q4"].groupby(early)["new_building"].mean()
    assert built[True] > built[False]
    assert frame[frame["quarter"] == "2019Q3"]["tight_community"].sum() == 15
    assert frame[frame["quarter"] == "2023Q1"][["new_building", "tight_community"]].all().all()


def test_neighbours_of_treated_counties_lose_patients():
    frame = panel(effect_pp=4.0, spillover=0.2).frame.query("quarter == '2019Q1'")
    touched = frame["neighbours_treated"] > 0
    assert (frame.loc[touched, "true_spillover"] < 0).all()
    assert (frame.loc[~touched, "true_spillover"] == 0).all()
    assert frame.loc[frame["county"] == "南澳县", "neighbours"].eq("").all()


def test_patients_who_stay_are_missing_in_the_prefecture_cities():
    low, high = (panel(effect_pp=effect, named="free").frame for effect in (0.0, 4.0))
    for frame in (low, high):
        assert (frame["n_inside"] + frame["n_city"] <= frame["n_total"]).all()
    city = [1 - f["n_city"].sum() / f["n_total"].sum() for f in (low, high)]
    assert city[1] > city[0] - 0.02


def test_counties_with_low_shares_move_more_when_trends_are_parallel_in_log_odds():
    gap = {"share": [], "log_odds": []}
    for trend, found in gap.items():
        for seed in range(8):
            frame = panel(seed=seed, trend=trend, effect_pp=0.0, named="free").frame
            before, after = (by_county(frame, YEAR[year]) for year in (2017, 2022))
            low, middle = before < 72, before.between(78, 86)
            found.append((after - before)[low].mean() - (after - before)[middle].mean())
    assert np.mean(gap["log_odds"]) > np.mean(gap["share"]) + 0.4


def test_pairs_and_supporters_are_as_many_as_published():
    rows = panel().frame.drop_duplicates("county")
    assert rows["hospitals"].value_counts().to_dict() == {1: 36, 2: 21}
    listed = rows["supporters"].str.split("; ").explode()
    assert listed.str.startswith("general").sum() == 57
    assert listed[listed.str.startswith("general")].nunique() == 37
    assert listed[listed.str.startswith("TCM")].nunique() == 17
    assert rows["adcode"].map(type).eq(str).all()


# The other programmes.


@every_generator
def test_every_panel_makes_a_design(generator):
    made = panel(generator)
    assert ea.diagnose(made.frame, **made.roles).n_units == made.frame[made.roles["unit"]].nunique()
    assert made.label == "simulated"
    assert made.notes[0].startswith("Simulated.")


def test_second_round_counts_hospitals():
    made = panel("second_round")
    count = made.frame.groupby("quarter")["hospitals"].sum()
    assert (count["2020Q1"], count["2022Q2"], count["2022Q3"]) == (78, 78, 113)
    assert made.frame.drop_duplicates("county")["cohort"].notna().sum() == 35


def test_ten_thousand_doctors_are_twelve_thousand_person_times():
    rows = panel("ten_thousand_doctors").frame.drop_duplicates("county")
    assert rows["person_times"].sum() == 12_000
    assert ((rows["dose"] > 0) == rows["cohort"].notna()).all()
    assert rows["dose"].eq(0).sum() == 8


def test_poor_counties_catch_up_by_themselves_and_covariates_explain_it():
    made = panel("national_pairing", effect_pp=0.0)
    plain = ea.diagnose(made.frame, **{**made.roles, "covariates": ()})
    explained = ea.diagnose(made.frame, **made.roles)
    naive, adjusted = (
        float(ea.estimate(design, "callaway_santanna", adjustment=how).aggregate("overall").value[0])
        for design, how in ((plain, "none"), (explained, "regression"))
    )
    assert naive > 0.008
    assert abs(adjusted) < 0.003


def test_tibet_has_no_comparison():
    made = panel("tibet")
    with pytest.raises(ea.NotIdentifiedError, match="all 8 units start in the same period"):
        ea.estimate(ea.diagnose(made.frame, **made.roles), "callaway_santanna")


@pytest.mark.parametrize(("date", "start"), [("2017-07", "2017Q3"), ("2018-12", "2018Q4"), ("2020-01", "2020Q1")])
def test_liannan_is_the_only_treated_county(date, start):
    rows = panel("liannan", date=date).frame.drop_duplicates("adcode").set_index("adcode")
    assert rows["cohort"].dropna().to_dict() == {levels.LIANNAN: start}
    assert rows.loc[levels.LIANNAN, ["cohort_2017_07", "cohort_2018_12", "cohort_2020_01"]].notna().all()


def test_a_start_before_the_panel_is_refused():
    with pytest.raises(SimulationError, match="panel begins in 2016Q1"):
        simulate("liannan", date="2014")


@pytest.mark.parametrize("effect", [0.0, 5.0, 15.0])
def test_yangxi_has_its_two_published_values(effect):
    rows = panel("yangxi", effect_pp=effect).frame.query("county == '阳西县'").set_index("year")["fund_balance"]
    assert rows[[2018, 2023]].round(2).tolist() == [-10.26, 6.68]


def test_departments_that_were_not_taken_lose_some():
    frame = panel("shanghai_departments").frame.query("year == 2019")
    assert frame["cohort"].notna().sum() == 20
    assert (frame.loc[frame["cohort"].isna(), "true_spillover"] < 0).all()


# Made again, written, refused.


@every_generator
def test_the_same_parameters_make_the_same_panel(generator):
    made = panel(generator, seed=7)
    again = simulate(generator, **made.parameters)
    pd.testing.assert_frame_equal(again.frame, made.frame)
    assert again.parameters == made.parameters
    assert not simulate(generator, **{**made.parameters, "seed": 8}).frame.equals(made.frame)


@every_generator
def test_every_file_says_that_it_is_simulated(generator, tmp_path):
    made = panel(generator)
    paths = made.write(tmp_path / "deep")
    assert len(paths) == 4
    assert all("simulated" in path.name for path in paths)
    assert all("simulated" in path.read_text(encoding="utf-8") for path in paths)
    stored = json.loads(paths[-1].read_text(encoding="utf-8"))
    assert stored["parameters"] == made.parameters
    assert len(stored["truth"]) == len(made.truth)
    back = pd.read_csv(paths[0], dtype={"adcode": "str"})
    assert (back["data_kind"] == "simulated").all()
    assert len(back) == len(made.frame)


def test_an_unknown_generator_names_the_known_ones():
    with pytest.raises(SimulationError, match=r"No generator 'guandong'; there are guangdong, .*xinyi\. Did you mean"):
        simulate("guandong")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"effect": 1}, r"unknown parameter 'effect' \(did you mean 'effect_pp'\?\); there are effect_pp, seed"),
        ({"spilover": 1}, r"did you mean 'spillover'"),
        ({"effect_pp": 50}, "effect_pp=50; expected a number from -10 to 10"),
        ({"effect_pp": float("nan")}, "effect_pp=nan"),
        ({"effect_pp": "2"}, "effect_pp='2'"),
        ({"seed": None}, "seed=None; expected a whole number"),
        ({"seed": -1}, "seed=-1"),
        ({"shape": "linear"}, "shape='linear'; expected one of 'constant'"),
        ({"early_start": "2019Q1"}, "early_start='2019Q1'"),
        ({"trend": "logit"}, "trend='logit'"),
        ({"spillover": 2}, "spillover=2"),
    ],
)
def test_impossible_parameters_are_named(parameters, message):
    with pytest.raises(SimulationError, match=message):
        simulate("guangdong", **parameters)


def test_an_effect_that_the_published_figures_rule_out_is_refused():
    with pytest.raises(SimulationError, match=r"None of 60 draws meets the published figures.*smaller effect"):
        simulate("guangdong", effect_pp=-10.0, early_start="2018Q1")


def test_the_background_refuses_what_it_does_not_know():
    with pytest.raises(SimulationError, match=r"Unknown parameter 'ro'.*'rho'"):
        county.Background.read({"ro": 0.5})


# Parts.


def test_conditioning_meets_its_constraints():
    rng = np.random.default_rng(1)
    rows = np.array([[0.5, 0.5, 0, 0], [0, 0, 0, 1.0]])
    path = condition(draw_ar1(rng, 1, 4, 0.6)[0], correlate(4, 0.6), rows, np.array([2.0, -1.0]))
    np.testing.assert_allclose(rows @ path, [2, -1])


def test_autoregressive_paths_have_the_stated_correlation():
    path = draw_ar1(np.random.default_rng(1), 4000, 6, 0.7)
    assert path.std() == pytest.approx(1, abs=0.03)
    assert np.corrcoef(path[:, 2], path[:, 3])[0, 1] == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("total", [9, 10, 11])
def test_rounding_reaches_the_total(total):
    rounded = round_to_total(np.array([1.2, 3.5, 5.4]), total)
    assert rounded.sum() == total
    assert np.abs(rounded - [1.2, 3.5, 5.4]).max() < 1.5


def test_draws_follow_their_chances():
    rng = np.random.default_rng(1)
    first = [draw_from(rng, np.array([0.0, np.log(3.0)]), 1)[0] for _ in range(2000)]
    assert np.mean(first) == pytest.approx(0.75, abs=0.04)


def test_no_scale_of_shocks_is_an_error():
    episodes = np.full((57, 8), 100)
    years = np.repeat([2017, 2018], 4)
    with pytest.raises(SimulationError, match="47 rising and 9 falling"):
        solve.find_shock_scale(episodes, np.zeros((57, 8)), np.zeros((57, 8)), years)


@pytest.mark.parametrize("name", ["guangdong", "hospitals", "pairings", "funds"])
def test_published_figures_of_the_panels_are_those_of_the_register(name):
    facts, figures = ea.Facts.read("data/published"), read_figures(name)
    by_fact = {}
    for figure in figures.published.values():
        if figure["unit"] != "yes" and " " not in figure["facts"]:
            by_fact.setdefault(figure["facts"], set()).add(figure["value"])
    assert by_fact
    for fact_id, values in by_fact.items():  # a sentence can hold further numbers: 20 hospitals for 2
        value = facts[fact_id].value
        assert math.isnan(value) or values & {value, value * 10_000, -value}, fact_id


def test_the_share_of_2018_is_the_one_of_the_counts():
    figures = read_figures("guangdong")
    episodes, outside = figures.value("episodes"), figures.value("outside")
    assert figures.value("share_2018") == 100 * (episodes - outside) / episodes
