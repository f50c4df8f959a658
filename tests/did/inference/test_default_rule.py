"""The default interval: shares of clusters, their effective number, the jackknife behind it, and bands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support.panels import counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import InferenceError
from evalaid.did.inference.shares import Shares, effective_clusters, shares_of
from evalaid.did.inference.variance.cluster import clusters_of
from evalaid.did.inference.variance.jackknife import careful_jackknife, exact_changes, joint_covariance

# Closed forms and estimates made again solve the same equations in another order.
SAME = 1e-9


def number(treated, comparison):
    zeros = np.zeros(len(treated)), np.zeros(len(comparison))
    p, q = np.concatenate([treated, zeros[1]]), np.concatenate([zeros[0], comparison])
    return float(effective_clusters(Shares(p[:, None], q[:, None], np.arange(len(p))))[0])


@pytest.mark.parametrize(
    ("treated", "comparison", "expected"),
    [
        ([1 / 3] * 3, [1 / 3] * 3, 6),
        ([1 / 2] * 2, [1 / 10] * 10, 2.857),
        ([1 / 3] * 3, [1 / 37] * 37, 3.504),
        ([1 / 20] * 20, [1 / 20] * 20, 40),
        ([0.8, 0.1, 0.1], [1 / 37] * 37, 1.642),
    ],
)
def test_the_effective_number_of_clusters(treated, comparison, expected):
    """With m and h equal clusters it is (1/m + 1/h)^2 / (1/m^3 + 1/h^3)."""
    assert number(treated, comparison) == pytest.approx(expected, abs=5e-4)


def test_clusters_that_hold_both_sides_alike_all_count():
    share = np.full((12, 1), 1 / 12)
    assert effective_clusters(Shares(share, share, np.arange(12)))[0] == pytest.approx(12)


def without_closed_forms(effects):
    return replace(effects, derivation=None, contrasts=None, leave_out=None)


@pytest.mark.parametrize("by", [None, "event_time", "cohort", "calendar", "overall"])
@pytest.mark.parametrize("weight", [None, "weight"])
@pytest.mark.parametrize(
    "method", ["twfe", "event_study", "callaway_santanna", "imputation", "sun_abraham", "etwfe", "dcdh"]
)
@pytest.mark.crossed(3)
def test_closed_forms_are_the_estimates_made_again(method, weight, by):
    frame = counties()
    rng = np.random.default_rng(4)
    frame["area"] = frame["county"].map({name: rng.integers(0, 14) for name in frame["county"].unique()})
    frame["weight"] = frame["county"].map({name: rng.uniform(0.5, 2) for name in frame["county"].unique()})
    effects = ea.estimate(diagnose(frame, cluster="area", weight=weight), method)
    if by is not None:
        try:
            effects = effects.aggregate(by)
        except ea.EvalaidError:
            pytest.skip(f"{method} has no estimates by {by}")
    clusters = clusters_of(effects)
    every = np.arange(len(clusters))
    ours, again = (exact_changes(one, clusters, every) for one in (effects, without_closed_forms(effects)))
    assert (np.isnan(ours) == np.isnan(again)).all()
    np.testing.assert_allclose(ours, again, atol=SAME)


def test_without_the_only_cluster_of_a_cohort_its_event_times_are_lost():
    frame = simulate(6, n_units=240, cohorts=(3, 5, 6, None))
    number = frame["county"].map({name: k for k, name in enumerate(frame["county"].unique())})
    frame["area"] = np.where(frame["cohort"] == 3, 0, number**2 % 101 % 25)
    effects = ea.estimate(diagnose(frame, cluster="area"), "event_study")
    clusters = clusters_of(effects)
    every = np.arange(len(clusters))
    ours, again = (exact_changes(one, clusters, every) for one in (effects, without_closed_forms(effects)))
    lost = np.isnan(ours)
    assert lost[0].any()
    assert not lost[0].all()
    assert not lost[1:].any()
    np.testing.assert_array_equal(lost[:, ~np.isnan(effects.value)], np.isnan(again)[:, ~np.isnan(effects.value)])
    np.testing.assert_allclose(ours[~lost], again[~lost], atol=SAME)


@pytest.mark.parametrize("anticipation", [0, 1])
def test_extended_effects_with_leads_are_the_estimates_made_again(anticipation):
    frame = counties()
    rng = np.random.default_rng(4)
    frame["area"] = frame["county"].map({name: rng.integers(0, 14) for name in frame["county"].unique()})
    effects = ea.estimate(
        diagnose(frame, cluster="area", anticipation=anticipation), "etwfe", comparison="never_treated"
    )
    clusters = clusters_of(effects)
    every = np.arange(len(clusters))
    ours, again = (exact_changes(one, clusters, every) for one in (effects, without_closed_forms(effects)))
    assert (np.isnan(ours) == np.isnan(again)).all()
    np.testing.assert_allclose(ours, again, atol=SAME)


@pytest.mark.parametrize("by", [None, "event_time", "overall"])
@pytest.mark.parametrize("weight", [None, "weight"])
@pytest.mark.parametrize("kind", ["doubly_robust", "regression", "ipw", "gaps", "varying", "strata"])
@pytest.mark.crossed(2)
def test_adjusted_effects_and_those_of_panels_with_gaps_have_closed_forms(kind, weight, by):
    frame = counties()
    rng = np.random.default_rng(5)
    for name, draw in (
        ("x", rng.normal),
        ("weight", lambda: rng.uniform(0.5, 2)),
        ("area", lambda: rng.integers(0, 14)),
    ):
        frame[name] = frame["county"].map({county: draw() for county in frame["county"].unique()})
    options = {"covariates": ["x"]}
    if kind == "varying":
        frame["x"] += rng.normal(size=len(frame))
    if kind == "gaps":
        frame, options = frame[rng.uniform(size=len(frame)) > 0.1], {}
    if kind == "strata":
        frame["half"] = frame["county"].map({name: rng.integers(0, 2) for name in frame["county"].unique()})
        options["stratum"] = "half"
    design = diagnose(frame, cluster="area", weight=weight, **options)
    adjustment = kind if kind in ("regression", "ipw") else "doubly_robust"
    effects = ea.estimate(design, "callaway_santanna", adjustment=adjustment)
    effects = effects if by is None else effects.aggregate(by)
    clusters = clusters_of(effects)
    every = np.arange(len(clusters))
    ours = exact_changes(replace(effects, refit=never), clusters, every)
    again = exact_changes(without_closed_forms(effects), clusters, every)
    np.testing.assert_allclose(ours, again, atol=SAME)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("weight", [None, "weight"])
@pytest.mark.parametrize("kind", ["none", "doubly_robust", "regression", "ipw"])
def test_means_before_and_after_have_closed_forms(kind, weight, gaps):
    frame = counties()
    rng = np.random.default_rng(7)
    for name, draw in (("weight", lambda: rng.uniform(0.5, 2)), ("area", lambda: rng.integers(0, 9))):
        frame[name] = frame["county"].map({county: draw() for county in frame["county"].unique()})
    frame["x"] = rng.normal(size=len(frame))
    frame = frame[rng.uniform(size=len(frame)) > 0.3] if gaps else frame
    design = diagnose(frame, cluster="area", weight=weight, covariates=["x"])
    for effects in (cells := ea.estimate(design, "two_by_two", adjustment=kind), cells.aggregate("overall")):
        clusters = clusters_of(effects)
        every = np.arange(len(clusters))
        ours = exact_changes(replace(effects, refit=never), clusters, every)
        again = exact_changes(without_closed_forms(effects), clusters, every)
        np.testing.assert_allclose(ours, again, atol=SAME)


def never(_keep):
    raise AssertionError("estimated again")


def test_a_cluster_with_all_that_was_seen_in_a_period_is_left_out_by_estimating_again():
    frame = simulate(6, n_units=24, cohorts=(4, 6, None))
    frame = frame[(frame["quarter"] != 3) | (frame["prefecture"] == "P00")]
    effects = ea.estimate(diagnose(frame, cluster="prefecture"), "callaway_santanna").aggregate("overall")
    clusters = clusters_of(effects)
    every = np.arange(len(clusters))
    ours, again = (exact_changes(one, clusters, every) for one in (effects, without_closed_forms(effects)))
    np.testing.assert_array_equal(ours, again)


def test_the_shares_are_those_of_the_treated_and_the_comparison_units():
    frame = counties()
    effects = ea.estimate(diagnose(frame, cluster="prefecture"), "callaway_santanna", comparison="never_treated")
    units = frame.drop_duplicates("county").set_index("county")
    cell = effects.select((effects.cells["cohort"] == 5) & (effects.cells["event_time"] == 1))
    shares, labels = shares_of(cell, clusters_of(cell)), clusters_of(cell).labels
    for chosen, found in ((units["cohort"] == 5, shares.treated), (units["cohort"].isna(), shares.comparison)):
        expected = units[chosen]["prefecture"].value_counts(normalize=True).reindex(labels).fillna(0.0)
        np.testing.assert_allclose(found[shares.kind, 0], expected)


def test_a_row_does_not_depend_on_the_other_rows_of_its_table():
    event = ea.estimate(diagnose(counties(), cluster="prefecture"), "callaway_santanna").aggregate("event_time")
    table = ea.infer(event).set_index("event_time")
    alone = ea.infer(event.select(event_time=2)).iloc[0]
    for name in ("std_error", "conf_low", "conf_high", "distribution"):
        assert alone[name] == pytest.approx(table.loc[2, name], rel=SAME) if name != "distribution" else True
    assert alone["note"] == table.loc[2, "note"]


def test_headline_and_tables_have_one_rule():
    effects = ea.estimate(diagnose(counties()), "callaway_santanna")
    tables = [ea.infer(effects.aggregate(by)) for by in ("overall", "event_time", "cohort", "calendar")]
    assert {name for table in tables for name in table["vcov"]} == {"CR3"}


def test_the_interval_says_its_degrees_and_counts():
    row = ea.infer(ea.estimate(diagnose(counties(), cluster="prefecture"), "twfe")).iloc[0]
    clusters = ea.estimate(diagnose(counties(), cluster="prefecture"), "twfe")
    found = careful_jackknife(clusters, clusters_of(clusters))
    degrees = float(found.degrees_of_freedom[0])
    assert row["note"].startswith(f"CR3, t({degrees:.1f}): 12 clusters count as {found.number[0]:.1f}")
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(abs(row["statistic"]), degrees))
    assert row["conf_high"] - row["estimate"] == pytest.approx(stats.t.ppf(0.975, degrees) * row["std_error"])


@pytest.mark.parametrize("treated", [2, 3, 10, 20])
def test_equal_clusters_have_at_most_the_degrees_of_their_counts(treated):
    """Fewer where the changes that are seen come from fewer of them."""
    frame = simulate(39, n_units=40, cohorts=(None,))
    frame["cohort"] = np.where(frame["county"].isin(sorted(frame["county"].unique())[:treated]), 5.0, np.nan)
    row = ea.infer(ea.estimate(diagnose(frame), "twfe")).iloc[0]
    design = number([1 / treated] * treated, [1 / (40 - treated)] * (40 - treated))
    assert max(1, design / 2 - 1) <= float(row["distribution"][2:-1]) <= design - 1 + 0.01


def one_comparison(n_units=12):
    frame = simulate(41, n_units=n_units, cohorts=(5,), effect=0.0)
    frame.loc[frame["county"] == "C000", "cohort"] = np.nan
    return ea.estimate(diagnose(frame), "callaway_santanna").aggregate("overall")


def test_one_comparison_cluster_has_no_error_and_says_so():
    row = ea.infer(one_comparison()).iloc[0]
    assert np.isnan(row["std_error"])
    assert row["note"].startswith("one comparison cluster: no error can be seen from it")
    with pytest.raises(InferenceError, match="every estimate here rests on one comparison cluster of 12"):
        ea.infer(one_comparison(), vcov="CR1")


def test_the_reference_convention_says_what_one_treated_cluster_means():
    frame = simulate(36, n_units=12, cohorts=(None,))
    frame.loc[frame["county"] == "C000", "cohort"] = 5.0
    row = ea.infer(ea.estimate(diagnose(frame), "twfe"), vcov="reference").iloc[0]
    assert row["std_error"] > 0
    assert row["note"].startswith("one treated cluster")


def test_a_dominant_cluster_is_named():
    frame = simulate(42, n_units=40, cohorts=(5, None))
    treated = sorted(frame.loc[frame["cohort"].notna(), "county"].unique())
    frame["area"] = np.where(frame["county"].isin(treated[:16]), "giant", frame["county"])
    row = ea.infer(ea.estimate(diagnose(frame, cluster="area"), "twfe")).iloc[0]
    assert f"cluster giant holds {16 / len(treated):.0%} of the treated units" in row["note"]
    assert float(row["distribution"][2:-1]) < 3


def test_moving_a_unit_changes_no_interval_by_a_jump():
    """Thirty treated counties in ten areas: one area grows by a county at a time."""
    frame = simulate(43, n_units=60, cohorts=(5, None), n_periods=6)
    treated = sorted(frame.loc[frame["cohort"].notna(), "county"].unique())
    lengths = []
    for grown in range(3, len(treated) - 9):
        area = {name: "T0" if k < grown else f"T{1 + k % 9}" for k, name in enumerate(treated)}
        moved = frame.assign(area=frame["county"].map(area).fillna(frame["county"]))
        row = ea.infer(ea.estimate(diagnose(moved, cluster="area"), "twfe")).iloc[0]
        lengths.append(stats.t.ppf(0.975, float(row["distribution"][2:-1])))
    steps = np.diff(np.log(lengths))
    assert np.abs(steps).max() < 0.25
    assert lengths[-1] > 2 * lengths[0]


def test_the_joint_covariance_has_the_squares_of_the_errors():
    event = ea.estimate(diagnose(counties(), cluster="prefecture"), "event_study")
    covariance = joint_covariance(event, clusters_of(event), "auto")
    table = ea.infer(event)
    known = table["std_error"].notna().to_numpy()
    np.testing.assert_allclose(np.sqrt(np.diag(covariance))[known], table["std_error"][known], rtol=SAME)


def test_bands_keep_the_degrees_of_every_row_and_one_row_needs_none():
    event = ea.estimate(diagnose(counties()), "callaway_santanna").aggregate("event_time")
    alone, joint = (ea.infer(event, simultaneous=s, seed=3, draws=4999) for s in (False, True))
    assert (joint["distribution"] == alone["distribution"]).all()
    assert (joint["conf_high"] > alone["conf_high"]).all()
    assert joint["note"].str.contains("simultaneous over 15 rows, 4999 Normal draws, seed 3").all()
    one = event.select(event_time=2)
    alone, joint = (ea.infer(one, simultaneous=s, seed=3, draws=19_999) for s in (False, True))
    # 19,999 draws give the normal quantile to about 1%; a t quantile magnifies that.
    np.testing.assert_allclose(joint["conf_high"], alone["conf_high"], rtol=0.05)


@pytest.mark.parametrize(
    "options", [{"vcov": "multiplier"}, {"simultaneous": True}, {"vcov": "CR1", "simultaneous": True}]
)
def test_random_draws_do_not_depend_on_the_type_of_labels(options):
    frame = counties()
    code = {name: k for k, name in enumerate(sorted(frame["prefecture"].unique()))}
    tables = []
    for as_label in (int, str, lambda k: f"{99 - k}"):
        named = frame.assign(prefecture=[as_label(code[name]) for name in frame["prefecture"]])
        event = ea.estimate(diagnose(named, cluster="prefecture"), "callaway_santanna").aggregate("event_time")
        tables.append(ea.infer(event, **options)[["std_error", "conf_low", "conf_high"]])
    for other in tables[1:]:
        np.testing.assert_allclose(other, tables[0], rtol=1e-12)


def numbered():
    frame = counties()
    code = {name: k for k, name in enumerate(sorted(frame["county"].unique()))}
    return frame.assign(county=frame["county"].map(code)).reset_index(drop=True)


@pytest.mark.parametrize("dropped", [0, 7])
@pytest.mark.parametrize("ask", ["infer", "wild", "randomize", "leave_out", "leverage", "honest"])
def test_a_column_of_the_panel_is_no_series_by_unit(ask, dropped):
    """Its row numbers would be taken for the units that bear the same numbers."""
    frame = numbered()
    column = frame["prefecture"].iloc[dropped:]
    design = diagnose(frame)
    effects = ea.estimate(design, "event_study")
    calls = {
        "infer": lambda: ea.infer(effects, cluster=column),
        "wild": lambda: ea.wild_bootstrap(effects, cluster=column, draws=99),
        "randomize": lambda: ea.randomize(design, "twfe", draws=9, strata=column),
        "leave_out": lambda: ea.leave_out(design, "twfe", by=column),
        "leverage": lambda: ea.leverage(effects, column, row=0),
        "honest": lambda: ea.honest(effects, m=0, cluster=column),
    }
    with pytest.raises(ea.EvalaidError, match=r"is not a Series by unit: its index holds \d+ numbers that are no unit"):
        calls[ask]()


def test_a_series_by_unit_may_know_more_units_than_the_design_by_name():
    frame = counties()
    areas = frame.drop_duplicates("county").set_index("county")["prefecture"]
    more = pd.concat([areas, pd.Series({"elsewhere": "P99"})])
    effects = ea.estimate(diagnose(frame), "twfe")
    pd.testing.assert_frame_equal(ea.infer(effects, cluster=more), ea.infer(effects, cluster=areas))


@pytest.mark.slow
def test_the_default_covers_with_clusters_of_unequal_sizes():
    """300 panels of 40 clusters, 20 treated, with log-normal sizes: overall and bands, through the public functions."""
    hits = dict.fromkeys(("overall", "band"), 0)
    draws = 300
    for seed in range(draws):
        rng = np.random.default_rng([7, seed])
        size = np.clip(np.exp(rng.normal(1, 0.8, 40)).round(), 1, 30).astype(int)
        cluster = np.repeat(np.arange(40), size)
        error = rng.normal(size=(len(cluster), 8)) + rng.normal(size=(40, 8))[cluster]
        unit, period = (grid.ravel() for grid in np.mgrid[: len(cluster), :8])
        start = np.where(cluster < 20, np.where(cluster % 2, 5.0, 3.0), np.nan)[unit]
        frame = pd.DataFrame({"u": unit, "t": period, "y": error.ravel(), "s": start, "g": cluster[unit]})
        design = ea.diagnose(frame, "u", "t", "y", "s", cluster="g", outcome_unit="number")
        effects = ea.estimate(design, "callaway_santanna")
        row = ea.infer(effects.aggregate("overall")).iloc[0]
        hits["overall"] += row["conf_low"] <= 0 <= row["conf_high"]
        table = ea.infer(effects.aggregate("event_time"), simultaneous=True, seed=seed)
        hits["band"] += bool(((table["conf_low"] <= 0) & (table["conf_high"] >= 0)).all())
    assert min(hits.values()) / draws > 0.95 - 3 * np.sqrt(0.95 * 0.05 / draws)
