"""Standard errors, intervals and what the table says about them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support.panels import counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import InferenceError
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.variance.multiplier import WEIGHTS, draw_weights

EXACT = 1e-12


@pytest.fixture(scope="module")
def event() -> Effects:
    return ea.estimate(diagnose(counties()), "callaway_santanna").aggregate("event_time")


def test_cr0_is_the_sum_of_squared_cluster_sums(event):
    prefecture = counties().drop_duplicates("county").set_index("county")["prefecture"]
    table = ea.infer(event, vcov="CR0", cluster=prefecture)
    sums = pd.DataFrame(event.influence.matrix(), index=event.population.units).groupby(prefecture).sum()
    np.testing.assert_allclose(table["std_error"], np.sqrt((sums**2).sum()), rtol=EXACT)
    assert set(table["n_clusters"]) == {12}


def test_clustering_later_equals_clustering_in_the_design():
    prefecture = counties().drop_duplicates("county").set_index("county")["prefecture"]
    later = ea.infer(ea.estimate(diagnose(counties()), "twfe"), vcov="CR1", cluster=prefecture)
    early = ea.infer(ea.estimate(diagnose(counties(), cluster="prefecture"), "twfe"), vcov="CR1")
    assert later["std_error"].iloc[0] == pytest.approx(early["std_error"].iloc[0], rel=EXACT)


@pytest.mark.parametrize("method", ["twfe", "callaway_santanna", "imputation"])
def test_cr3_is_the_jackknife_over_clusters(method):
    frame = simulate(31, n_units=24)
    effects = ea.estimate(diagnose(frame, cluster="prefecture"), method)
    overall = effects if method == "twfe" else effects.aggregate("overall")
    found = ea.infer(overall, vcov="CR3")["std_error"].iloc[0]
    changes = []
    for prefecture in frame["prefecture"].unique():
        left = ea.estimate(diagnose(frame[frame["prefecture"] != prefecture], cluster="prefecture"), method)
        left = left if method == "twfe" else left.aggregate("overall")
        changes.append(left.value[0] - overall.value[0])
    count = len(changes)
    assert found == pytest.approx(np.sqrt((count - 1) / count * np.sum(np.square(changes))), rel=1e-9)


def test_cr3_follows_selections_and_combinations():
    effects = ea.estimate(diagnose(simulate(32, n_units=24)), "callaway_santanna")
    by_select = ea.infer(effects.select(event_time=[0]).aggregate("overall", weights="fixed"), vcov="CR3")
    weights = np.where(effects.cells["event_time"] == 0, effects.size, 0.0)
    # Fixed weights stay fixed when a cluster is left out, cohort sizes do not: the two differ a little.
    by_combination = ea.infer(effects.combine(weights / weights.sum()), vcov="CR3")
    np.testing.assert_allclose(by_combination["std_error"], by_select["std_error"], rtol=0.05)
    np.testing.assert_allclose(by_combination["estimate"], by_select["estimate"], rtol=EXACT)


def test_cr3_is_missing_with_the_cluster_when_an_estimate_hangs_on_one_cluster():
    frame = simulate(33, n_units=24)
    only = frame["cohort"].eq(4) & ~frame["county"].isin(["C000", "C003"])
    frame = frame[~only]
    effects = ea.estimate(diagnose(frame, cluster="prefecture"), "callaway_santanna")
    table = ea.infer(effects.select(cohort=4), vcov="CR3")
    assert table["std_error"].isna().all()
    assert (table["note"] == "no estimate without cluster P00").all()


def test_intervals_and_p_values_belong_to_the_stated_distribution(event):
    row = ea.infer(event, vcov="CR1", level=0.9).set_index("event_time").loc[2]
    assert row["conf_high"] - row["estimate"] == pytest.approx(stats.t.ppf(0.95, 59) * row["std_error"])
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(abs(row["statistic"]), 59))
    normal = ea.infer(event, vcov="reference").set_index("event_time").loc[2]
    assert normal["distribution"] == "normal"
    assert normal["p_value"] == pytest.approx(2 * stats.norm.sf(abs(normal["statistic"])))


def test_a_cell_fixed_by_construction_has_no_error(event):
    universal = ea.estimate(diagnose(counties()), "callaway_santanna", base_period="universal").aggregate("event_time")
    row = ea.infer(universal).set_index("event_time").loc[-1]
    assert row["estimate"] == 0
    assert np.isnan(row["std_error"])
    assert row["note"].startswith("base period: zero by construction")


@pytest.mark.parametrize("method", ["twfe", "callaway_santanna", "imputation"])
def test_one_treated_cluster_has_no_error_of_its_own(method):
    frame = simulate(34, n_units=20)
    frame = frame.assign(cohort=frame["cohort"].where(frame["county"] == "C000"))
    effects = ea.estimate(diagnose(frame), method)
    table = ea.infer(effects if method == "twfe" else effects.aggregate("overall"))
    assert np.isfinite(table["estimate"].iloc[0])
    assert np.isnan(table["std_error"].iloc[0])
    assert (
        table["note"].iloc[0] == "one treated cluster: no error can be seen from it; placebo in space takes its place"
    )


@pytest.mark.parametrize("vcov", ["CR0", "CR1", "CR2", "multiplier", "two_way"])
def test_errors_asked_for_by_name_are_refused_with_one_treated_cluster(vcov):
    frame = simulate(34, n_units=20)
    frame = frame.assign(cohort=frame["cohort"].where(frame["county"] == "C000"))
    effects = ea.estimate(diagnose(frame), "twfe")
    units = effects.population.units
    both = (pd.Series(units, units), pd.Series(np.arange(20) % 6, units))
    with pytest.raises(InferenceError) as caught:
        ea.infer(effects, vcov=vcov, cluster=both if vcov == "two_way" else None)
    for text in (
        f"{vcov} sees how treated clusters differ, and every estimate here rests on one treated cluster of 20",
        "What applies: placebo in space (evalaid.placebo), randomisation inference (evalaid.randomize)",
        "vcov='reference' repeats what the method's reference implementation would print",
    ):
        assert text in str(caught.value)
    assert ea.infer(effects, vcov="reference")["std_error"].iloc[0] > 0


@pytest.mark.parametrize("vcov", ["CR1", "CR2", "multiplier"])
def test_rows_with_one_treated_cluster_are_left_without_error_beside_others(vcov):
    frame = simulate(35, n_units=24)
    frame.loc[frame["county"] == "C000", "cohort"] = 7.0
    table = ea.infer(ea.estimate(diagnose(frame), "sun_abraham").aggregate("cohort"), vcov=vcov).set_index("cohort")
    assert np.isnan(table.loc[7, "std_error"])
    assert table.loc[7, "note"] == "one treated cluster: no error can be seen from it; placebo in space takes its place"
    assert table.loc[[4, 6], "std_error"].gt(0).all()


def covered_by_auto(draws: int, n_units: int, treated: int) -> float:
    """Share of default intervals that hold the effect of zero."""
    hits = 0
    for seed in range(draws):
        frame = simulate(7000 + seed, n_units=n_units, n_periods=6, cohorts=(None,), effect=0.0)
        frame["cohort"] = np.where(frame["county"].isin([f"C{k:03d}" for k in range(treated)]), 4.0, np.nan)
        row = ea.infer(ea.estimate(diagnose(frame), "twfe")).iloc[0]
        hits += row["conf_low"] <= 0 <= row["conf_high"]
    return hits / draws


def few_effective(kind):
    frame = simulate(75, n_units=40, n_periods=6, cohorts=(4, 5, None))
    if kind == "two treated clusters":
        frame["cohort"] = np.where(frame["county"] <= "C001", 4.0, np.nan)
        return diagnose(frame)
    return diagnose(frame.assign(area=np.where(frame["cohort"].isna(), "rest", frame["county"])), cluster="area")


@pytest.mark.parametrize("kind", ["two treated clusters", "one large comparison cluster"])
@pytest.mark.parametrize("method", ["twfe", "imputation", "callaway_santanna"])
@pytest.mark.parametrize("vcov", ["CR0", "CR1", "CR3", "reference", "multiplier", "two_way", "conley"])
def test_errors_that_count_clusters_say_when_few_of_them_count(kind, method, vcov):
    effects = ea.estimate(few_effective(kind), method)
    effects = effects if method == "twfe" else effects.aggregate("overall")
    units = effects.population.units
    if vcov == "conley":
        pairs = pd.DataFrame({"unit": units[:-1:2], "neighbour": units[1::2]})
        table = ea.infer_spatial(effects, adjacency=pairs)
    else:
        people = effects.population
        clusters = pd.Series(people.clusters[people.cluster], index=units)
        halves = [clusters, pd.Series(np.arange(len(units)) % 20, index=units)] if vcov == "two_way" else None
        table = ea.infer(effects, vcov=vcov, cluster=halves)
    assert table["std_error"].notna().all()
    assert "clusters count as" in table["note"][0]
    assert "likely too short" in table["note"][0]


def test_degrees_of_freedom_that_fit_the_clusters_are_not_called_too_many():
    effects = ea.estimate(diagnose(simulate(76, n_units=32, cohorts=(4, None))), "imputation").aggregate("overall")
    eight = pd.Series(np.arange(32) // 4, index=effects.population.units.sort_values())
    assert ea.infer(effects, vcov="CR1", cluster=eight)["note"].tolist() == [""]
    assert "8 clusters count as 8.0: " in ea.infer(effects, vcov="multiplier", cluster=eight)["note"][0]


def test_errors_that_count_many_equal_clusters_are_silent():
    effects = ea.estimate(diagnose(simulate(75, n_units=60, cohorts=(4, 6, None))), "imputation").aggregate("overall")
    assert ea.infer(effects, vcov="CR1")["note"].tolist() == [""]


def test_auto_covers_with_two_treated_clusters():
    """40 simulated panels of 20 units: t(19) would cover 82%."""
    assert covered_by_auto(40, 20, 2) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("treated", [2, 3, 4, 6])
@pytest.mark.parametrize("n_units", [10, 20, 40])
def test_auto_covers_with_few_treated_clusters(n_units, treated):
    """500 simulated panels."""
    assert covered_by_auto(500, n_units, treated) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 500)


def test_a_cohort_inside_one_coarse_cluster_is_one_treated_cluster():
    """Three counties of one prefecture: three clusters by county, one by prefecture."""
    frame = simulate(36, n_units=24, cohorts=(4, None))
    frame.loc[frame["prefecture"] == "P01", "cohort"] = 7.0
    effects = ea.estimate(diagnose(frame), "callaway_santanna").aggregate("cohort")
    prefecture = frame.drop_duplicates("county").set_index("county")["prefecture"]
    by_county = ea.infer(effects).set_index("cohort")
    by_prefecture = ea.infer(effects, cluster=prefecture).set_index("cohort")
    assert by_county["std_error"].notna().all()
    assert np.isnan(by_prefecture.loc[7, "std_error"])
    assert by_prefecture.loc[7, "note"].startswith("one treated cluster")
    assert by_prefecture.loc[4, "std_error"] > 0


@pytest.mark.parametrize(("count", "smallest"), [(2, "0.5"), (3, "0.25"), (5, "0.0625")])
def test_with_very_few_clusters_the_note_says_what_they_allow(count, smallest):
    frame = simulate(37, n_units=24)
    frame["area"] = "A" + (frame["county"].str[1:].astype(int) % count).astype(str)
    effects = ea.estimate(diagnose(frame, cluster="area"), "twfe")
    said = f"no error is reliable, and the wild bootstrap gives no p-value below {smallest}; randomisation"
    for vcov in ("auto", "CR1", "CR3"):
        row = ea.infer(effects, vcov=vcov).iloc[0]
        assert vcov == "auto" or row["distribution"] == f"t({count - 1})"
        assert f"only {count} clusters" in row["note"]
        assert said in row["note"]


def test_two_clusters_of_which_one_is_treated_give_no_error():
    frame = simulate(38, n_units=24, cohorts=(5, None))
    frame["area"] = np.where(frame["cohort"].notna(), "treated", "other")
    effects = ea.estimate(diagnose(frame, cluster="area"), "twfe")
    row = ea.infer(effects).iloc[0]
    assert np.isnan(row["std_error"])
    assert row["note"].startswith("one treated cluster")
    with pytest.raises(InferenceError, match="rests on one treated cluster of 2"):
        ea.infer(effects, vcov="CR1")


def test_rows_with_one_treated_cluster_do_not_take_the_jackknife_from_the_others():
    frame = simulate(35, n_units=24)
    frame.loc[frame["county"] == "C000", "cohort"] = 7.0
    table = ea.infer(ea.estimate(diagnose(frame), "callaway_santanna").aggregate("cohort")).set_index("cohort")
    assert table["vcov"].unique().tolist() == ["CR3"]
    assert np.isnan(table.loc[7, "std_error"])
    assert table.loc[7, "note"].startswith("one treated cluster")
    assert table.loc[[4, 6], "std_error"].gt(0).all()


def test_a_synthetic_control_gives_its_jackknife_only_on_request():
    frame = counties()
    effects = ea.estimate(diagnose(frame[frame["cohort"].isna() | (frame["cohort"] == 5)]), "synthetic_control")
    overall = effects.aggregate("overall")
    assert np.isnan(ea.infer(overall)["std_error"].iloc[0])
    assert "placebo in space is the better guide" in ea.infer(overall)["note"].iloc[0]
    assert ea.infer(overall, vcov="reference")["std_error"].iloc[0] > 0


@pytest.mark.parametrize("kind", WEIGHTS)
def test_multipliers_have_mean_zero_and_variance_one(kind):
    draws = draw_weights(kind, (2000, 100), np.random.default_rng(1))
    assert abs(draws.mean()) < 0.01
    assert draws.var() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("kind", WEIGHTS)
def test_the_multiplier_bootstrap_agrees_with_the_analytic_error(event, kind):
    analytic = ea.infer(event, vcov="CR0")["std_error"]
    found = ea.infer(event, vcov="multiplier", draws=9999, weights=kind, seed=2)
    # Interquartile ranges of 9,999 draws over 15 to 60 unequal clusters: a tenth is three standard deviations.
    np.testing.assert_allclose(found["std_error"], analytic, rtol=0.1)
    assert found["note"].str.contains(f"9999 {kind.capitalize()} draws, seed 2").all()


def test_seeds_repeat_and_differ(event):
    first, again, other = (ea.infer(event, vcov="multiplier", seed=s)["std_error"] for s in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_simultaneous_bands_are_wider_and_one_row_needs_none(event):
    for vcov in ("CR1", "multiplier"):
        alone, joint = (ea.infer(event, vcov=vcov, simultaneous=s, seed=3, draws=4999) for s in (False, True))
        assert (joint["conf_high"] - joint["conf_low"] > alone["conf_high"] - alone["conf_low"]).all()
        assert joint["note"].str.contains("simultaneous over 15 rows").all()
    one = event.select(event_time=2)
    alone, joint = (ea.infer(one, vcov="CR1", simultaneous=s, seed=3, draws=19_999) for s in (False, True))
    np.testing.assert_allclose(joint["conf_high"], alone["conf_high"], rtol=0.05)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"vcov": "HC3"},
            "vcov='HC3' is not a choice; choose auto, reference, CR0, CR1, CR2, CR3, two_way, multiplier.",
        ),
        ({"level": 95}, "level=95 found; a coverage between 0 and 1 is expected"),
        ({"vcov": "multiplier", "draws": 0}, "draws=0 found"),
        ({"vcov": "multiplier", "weights": "gauss"}, "weights='gauss' is not a choice; choose rademacher, mammen"),
        ({"cluster": pd.Series({"C001": 1})}, "59 units have no cluster label, for example"),
    ],
)
def test_errors_say_what_to_do(event, options, text):
    with pytest.raises(InferenceError) as caught:
        ea.infer(event, **options)
    assert text in str(caught.value)


def test_one_cluster_is_refused(event):
    everyone = pd.Series("all", index=event.population.units)
    with pytest.raises(InferenceError, match="Only one cluster"):
        ea.infer(event, cluster=everyone)


# One step against the estimate made again, in single rows of 2 to 15 treated clusters.
ONE_STEP = 0.15


def test_effects_from_a_file_have_no_jackknife(event):
    back = Effects.from_json(event.to_json())
    with pytest.raises(InferenceError, match="carry no estimator"):
        ea.infer(back, vcov="CR3")
    # The default takes one step for each cluster instead: errors within a few per cent with clusters of at most a tenth.
    ours, theirs = ea.infer(back), ea.infer(event)
    assert set(ours["vcov"]) == {"CR3"}
    np.testing.assert_allclose(ours["std_error"], theirs["std_error"], rtol=ONE_STEP)


@pytest.mark.slow
def test_intervals_cover_the_truth():
    """400 simulated panels of 40 units (26 treated): a 95% interval covers within binomial error of the nominal."""
    draws, effect = 400, 0.02
    hits = dict.fromkeys(("auto", "CR1", "CR3"), 0)
    for seed in range(draws):
        effects = ea.estimate(diagnose(simulate(seed, effect=effect)), "callaway_santanna").aggregate("overall")
        for vcov in hits:
            row = ea.infer(effects, vcov=vcov).iloc[0]
            hits[vcov] += row["conf_low"] <= effect <= row["conf_high"]
    # Three binomial standard deviations; the jackknife may be conservative by another point.
    slack = 3 * np.sqrt(0.95 * 0.05 / draws)
    for vcov, count in hits.items():
        assert 0.95 - slack < count / draws < 0.95 + slack + (0.01 if vcov == "CR3" else 0), vcov


@pytest.mark.slow
def test_simultaneous_bands_cover_all_effects_at_once():
    """300 simulated panels with no effect: the sup-t band holds zero in every row in about 95% of them."""
    draws = 300
    hits = 0
    for seed in range(draws):
        effects = ea.estimate(diagnose(simulate(seed, n_units=60, effect=0.0)), "callaway_santanna")
        table = ea.infer(effects.aggregate("event_time"), vcov="CR3", simultaneous=True, seed=seed)
        hits += bool(((table["conf_low"] <= 0) & (table["conf_high"] >= 0)).all())
    assert hits / draws > 0.95 - 3 * np.sqrt(0.95 * 0.05 / draws)


@pytest.mark.parametrize("vcov", ["auto", "CR1", "CR3", "multiplier"])
def test_what_is_zero_by_construction_has_no_note_on_its_clusters(vcov):
    frame = simulate(77, n_units=16, cohorts=(4, None))
    table = ea.infer(ea.estimate(diagnose(frame, cluster="prefecture"), "event_study"), vcov=vcov)
    fixed = table["estimate"] == 0
    assert table.loc[fixed, "note"].tolist() == ["reference period: zero by construction"]
    assert table.loc[~fixed, "note"].str.contains("clusters").all()
