"""Randomisation inference: other assignments, the estimates they give, and the sets that follow."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import permutation_test
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import InferenceError, NotIdentifiedError
from evalaid.did.estimators.estimation import estimate
from evalaid.did.inference.randomisation.assignments import list_assignments
from evalaid.did.inference.randomisation.confidence_sets import SEARCH_PRECISION, invert, search
from evalaid.did.inference.randomisation.reassignment import (
    AssignmentMoments,
    by_refits,
    estimate_all,
    overall,
    refits_at,
)

# Two routes to the same number: sums in another order.
ROUNDING = 1e-10


def small(changes, treated, cohort=2020.0) -> pd.DataFrame:
    """Units observed in 2019 and 2020 whose outcome changes by the given numbers; the first ones are treated."""
    units = [f"u{i}" for i in range(len(changes))]
    return pd.DataFrame({
        "county": np.repeat(units, 2), "year": [2019, 2020] * len(units),
        "share": np.column_stack([np.linspace(1, 2, len(units)), np.linspace(1, 2, len(units)) + changes]).ravel(),
        "cohort": np.repeat([cohort if k < treated else np.nan for k in range(len(units))], 2),
        "region": np.repeat(["n" if k % 2 else "s" for k in range(len(units))], 2),
        "own": np.repeat(units, 2),
    })  # fmt: skip


def look(frame: pd.DataFrame, **options) -> ea.Design:
    return ea.diagnose(frame, "county", "year", "share", "cohort", outcome_unit="number", **options)


CHANGES = [5.0, 4.0, 1.0, 2.0, 0.0, -1.0, 0.5, 1.5]


def test_eight_units_by_hand():
    found = ea.randomize(look(small(CHANGES, 2)), "twfe", level=0.9)
    differences = [
        np.mean(np.take(CHANGES, pair)) - np.mean(np.delete(CHANGES, pair))
        for pair in [(i, j) for i in range(8) for j in range(i)]
    ]
    assert found.exact
    assert found.n_assignments == len(found.table) == 28
    assert sorted(found.table["estimate"]) == pytest.approx(sorted(differences))
    own = np.mean(CHANGES[:2]) - np.mean(CHANGES[2:])
    assert found.p_value == pytest.approx(np.mean(np.abs(differences) >= own - ROUNDING))
    assert found.smallest_p == pytest.approx(1 / 28)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_scipy_gives_the_same_exact_p_value(seed):
    changes = np.random.default_rng(seed).normal(size=11)
    changes[:4] += 0.8
    found = ea.randomize(look(small(changes, 4)), "two_by_two")
    outside = permutation_test(
        (changes[:4], changes[4:]), lambda x, y: np.mean(x) - np.mean(y), n_resamples=np.inf, alternative="two-sided"
    )
    # scipy doubles the smaller tail; the absolute value of the estimate is compared here.
    distances = np.abs(outside.null_distribution)
    assert found.n_assignments == len(distances) == 330
    assert np.sort(found.table["estimate"]) == pytest.approx(np.sort(outside.null_distribution), abs=ROUNDING)
    assert found.p_value == pytest.approx((distances >= abs(outside.statistic) - ROUNDING).mean())


def test_strata_confine_who_changes_places():
    found = ea.randomize(look(small(CHANGES, 2)), "twfe", strata="region", level=0.9)
    south, north = CHANGES[::2], CHANGES[1::2]
    pairs = [(a + b) / 2 - (sum(CHANGES) - a - b) / 6 for a in south for b in north]
    assert sorted(found.table["estimate"]) == pytest.approx(sorted(pairs))
    assert found.n_assignments == 16
    by_unit = pd.Series({f"u{k}": k % 2 for k in range(8)})
    again = ea.randomize(look(small(CHANGES, 2)), "twfe", strata=by_unit, level=0.9)
    assert again.p_value == found.p_value


def test_whole_clusters_change_places_and_unit_counts_follow():
    frame = small([*CHANGES, 3.0], 3)
    frame["prefecture"] = frame["county"].map(dict(zip([f"u{k}" for k in range(9)], "aaabbcddd", strict=True)))
    found = ea.randomize(look(frame, cluster="prefecture"), "twfe", level=0.5)
    groups = [(0, 1, 2), (3, 4), (5,), (6, 7, 8)]
    changes = np.array([*CHANGES, 3.0])
    by_hand = [changes[list(g)].mean() - np.delete(changes, g).mean() for g in groups]
    assert sorted(found.table["estimate"]) == pytest.approx(sorted(by_hand))
    assert "clusters re-assigned" in found.note
    assert "clusters differ in size" in found.note
    assert found.tidy()["n_clusters"].iloc[0] == 4


def test_start_dates_change_places_among_treated_units_only():
    frame = simulate(3, n_units=6, n_periods=6, cohorts=(3, 5, 4), effect=0.05)
    found = ea.randomize(diagnose(frame), "imputation", kind="timing", level=0.9)
    units = sorted(frame["county"].unique())
    start = frame.groupby("county")["cohort"].first()
    by_hand = []
    for order in sorted(set(permutations(start.tolist()))):
        moved = frame.assign(cohort=frame["county"].map(dict(zip(units, order, strict=True))))
        by_hand.append(estimate(diagnose(moved), "imputation").aggregate("overall").value[0])
    assert found.n_assignments == 90 == len(by_hand)
    assert sorted(found.table["estimate"]) == pytest.approx(sorted(by_hand))


@pytest.mark.parametrize("cohorts", [(4, 6, None), (5, None)])
@pytest.mark.parametrize(
    "method",
    [
        "two_by_two",
        "twfe",
        "event_study",
        "callaway_santanna",
        "sun_abraham",
        "imputation",
        "stacked",
        "lp_did",
        "dcdh",
    ],
)
@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.crossed(3)
def test_contrasts_give_what_estimating_again_gives(method, cohorts, clustered):
    frame = simulate(5, n_units=36, cohorts=cohorts)
    if clustered:  # three prefectures of equal size in each cohort
        number = frame["county"].str[1:].astype(int) // len(cohorts) % 3
        frame["prefecture"] = frame["cohort"].map(str) + number.map(str)
    design = diagnose(frame, **({"cluster": "prefecture"} if clustered else {}))
    assignments = list_assignments(design)

    def estimator(one):
        return overall(estimate(one, method))

    assert assignments.by_cluster == clustered
    quick, slow = (way(design, estimator, assignments, 6, 7) for way in (estimate_all, by_refits))
    assert (quick[1].how, slow[1].how) == ("contrasts", "refits")
    for one, other in zip(quick, slow, strict=True):
        assert one.outcome == pytest.approx(other.outcome, abs=ROUNDING)
        assert one.treatment == pytest.approx(other.treatment, abs=ROUNDING)
        assert one.covariance == pytest.approx(other.covariance, rel=1e-6, abs=1e-13)


def test_a_constant_effect_is_one_for_every_linear_estimator():
    design = diagnose(simulate(5))
    for method in ("twfe", "callaway_santanna", "imputation"):
        actual, _ = estimate_all(
            design, lambda one, m=method: overall(estimate(one, m)), list_assignments(design), 3, 1
        )
        assert actual.treatment == pytest.approx([1.0])


def test_covariates_weights_and_gaps_are_estimated_again():
    frame = simulate(6, n_units=20, missing=0.05)
    found = ea.randomize(diagnose(frame, weight="weight"), "callaway_santanna", draws=19, seed=4, kind="timing")
    pooled = ea.randomize(diagnose(frame.assign(x=frame["share_65"]), covariates=("x",)), "twfe", draws=19, seed=4)
    for one in (found, pooled):
        assert one.table["estimate"].notna().all()
        assert one.conf_low <= one.actual["estimate"].iloc[0] <= one.conf_high


@pytest.mark.parametrize("statistic", ["estimate", "studentised"])
@pytest.mark.parametrize("draws", [49, 10_000])
def test_the_ends_of_the_set_are_where_the_test_starts_to_reject(statistic, draws):
    frame = simulate(8, n_units=9, cohorts=(4, 4, None), effect=0.0)
    frame["share"] += 0.03 * (frame["quarter"] >= frame["cohort"])
    frame = frame[frame["quarter"] < 7]

    def test_less(effect):
        treated = frame["quarter"] >= frame["cohort"]
        moved = frame.assign(share=frame["share"] - effect * treated)
        return ea.randomize(diagnose(moved), "callaway_santanna", draws=draws, statistic=statistic, level=0.9)

    found = test_less(0.0)
    assert found.exact == (draws > 49)
    assert found.conf_low < found.actual["estimate"].iloc[0] < found.conf_high
    step = 1e-4 * (found.conf_high - found.conf_low)
    for end, outwards in ((found.conf_low, -step), (found.conf_high, step)):
        assert test_less(end - outwards).p_value > 0.1 + ROUNDING
        assert test_less(end + outwards).p_value <= 0.1 + ROUNDING


def test_nothing_depends_on_row_order_level_or_unit_of_measurement():
    frame = simulate(9, n_units=16)
    first = ea.randomize(diagnose(frame, outcome_unit="number"), "callaway_santanna", draws=199)
    shuffled = ea.randomize(
        diagnose(frame.sample(frac=1, random_state=3), outcome_unit="number"), "callaway_santanna", draws=199
    )
    pd.testing.assert_frame_equal(first.tidy(), shuffled.tidy())
    points = frame.assign(share=100 * frame["share"] + 7)
    scaled = ea.randomize(diagnose(points, outcome_unit="number"), "callaway_santanna", draws=199)
    assert scaled.p_value == first.p_value
    assert scaled.conf_low == pytest.approx(100 * first.conf_low)
    assert (ea.randomize(diagnose(frame), "twfe", draws=99, seed=2).table["estimate"]).equals(
        ea.randomize(diagnose(frame), "twfe", draws=99, seed=2).table["estimate"]
    )


def test_a_nonlinear_estimator_has_a_p_value_and_no_set():
    found = ea.randomize(diagnose(simulate(10, n_units=12, cohorts=(5, None, None))), "synthetic_did", draws=19)
    assert found.p_value >= 0.05
    assert np.isnan(found.conf_low)
    assert "not linear in the outcome" in found.note
    assert "confidence_set='search'" in found.note


@pytest.mark.parametrize("studentised", [False, True])
def test_searching_for_the_ends_gives_those_of_a_linear_estimator(studentised):
    design = look(small([1.0, 0.6, -0.1, 0.4, 0.0, -0.3], 2))
    assignments = list_assignments(design)

    def estimator(one):
        return overall(ea.estimate(one, "twfe"))

    actual, drawn = estimate_all(design, estimator, assignments, 99, 1)
    options = {"level": 0.85, "studentised": studentised, "exact": True}
    known = invert(actual, drawn, **options)
    seen = []
    found = search(
        lambda effect: refits_at(design, estimator, assignments, 99, 1, effect),
        actual.outcome[0], np.std(drawn.outcome), len(drawn.outcome), progress=lambda *at: seen.append(at), **options,
    )  # fmt: skip
    reach = np.abs(np.array(known[:2]) - actual.outcome[0])
    np.testing.assert_array_less(np.abs(np.array(found[:2]) - known[:2]), 1.01 * SEARCH_PRECISION * reach)
    assert f"by {len(seen):,} further estimates" in found[2]
    assert all(done <= most for done, most in seen)


def test_a_set_of_a_nonlinear_estimator_is_searched_for_on_request():
    frame = simulate(10, n_units=9, cohorts=(3, None, None), n_periods=4)
    found = ea.randomize(diagnose(frame), "etwfe", family="binomial", draws=19, level=0.9, confidence_set="search")
    assert found.conf_low < found.actual["estimate"][0] < found.conf_high
    assert (found.p_value > 0.1) == (found.conf_low < 0 < found.conf_high)
    assert "further estimates, to 0.01 of their distance" in found.note


def test_effects_that_leave_no_outcome_to_estimate_from_end_the_set_and_are_said():
    def refits(effect):
        for _ in range(11):
            value = np.array([np.nan if effect > 1.5 else 0.0])
            yield AssignmentMoments(value, None, np.ones((1, 3)), "refits")

    low, high, note = search(refits, 1.0, 1.0, 10, 0.9, studentised=False, exact=False)
    assert low == -np.inf
    assert high == pytest.approx(1.5, abs=0.01)
    assert note.endswith("cut where the outcome less the effect is none that the method takes")


def test_progress_counts_to_the_number_of_draws():
    seen = []
    design = diagnose(simulate(11, n_units=12, missing=0.02))
    ea.randomize(design, "imputation", draws=19, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (19, 19)


def test_the_row_has_the_columns_of_infer():
    design = diagnose(simulate(12))
    row = ea.randomize(design, "twfe", draws=99).tidy()
    assert list(row) == list(ea.infer(ea.estimate(design, "twfe").aggregate("overall")))


def draw_panel(rng, n_units, n_treated, spread, effect=0.0):
    changes = rng.normal(size=n_units) * np.where(np.arange(n_units) < n_treated, spread, 1.0)
    return small(changes + effect * (np.arange(n_units) < n_treated), n_treated)


def test_the_p_value_has_its_size_and_the_set_its_coverage():
    rng = np.random.default_rng(5)
    found = [ea.randomize(look(draw_panel(rng, 10, 3, 1.0, 2.0)), "twfe", level=0.9) for _ in range(60)]
    covered = np.mean([one.conf_low <= 2.0 <= one.conf_high for one in found])
    # 12 of 120 assignments may be rejected: exact coverage is 0.9; four binomial standard errors of 60 panels.
    assert covered == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / 60))


@pytest.mark.slow
@pytest.mark.parametrize(("n_units", "n_treated"), [(10, 3), (10, 6), (20, 3), (20, 6), (40, 3), (40, 6), (40, 20)])
@pytest.mark.parametrize("statistic", ["estimate", "studentised"])
def test_the_coverage_of_both_sets(n_units, n_treated, statistic):
    rng, runs = np.random.default_rng(n_units + n_treated), 400
    covered = 0
    for _ in range(runs):
        design = look(draw_panel(rng, n_units, n_treated, 1.0, 2.0))
        found = ea.randomize(design, "two_by_two", draws=199, level=0.9, statistic=statistic)
        covered += found.conf_low <= 2.0 <= found.conf_high
    assert covered / runs == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / runs))


def test_studentising_keeps_the_size_when_only_the_average_effect_is_zero():
    rng = np.random.default_rng(6)
    rejected = {"estimate": 0, "studentised": 0}
    for _ in range(60):
        design = look(draw_panel(rng, 40, 8, 4.0))
        for kind in rejected:
            rejected[kind] += ea.randomize(design, "twfe", draws=99, statistic=kind).p_value <= 0.05
    # With few, variable treated units the plain test rejects some 40% of the time; Neyman's variance repairs most of it.
    assert rejected["estimate"] / 60 > 0.25
    assert rejected["studentised"] / 60 < 0.16


FAULTS = [
    ({"kind": "place"}, "kind='place' is not a choice; choose assignment or timing."),
    ({"statistic": "t"}, "statistic='t' is not a choice; choose estimate or studentised."),
    ({"confidence_set": "exact"}, "confidence_set='exact' is not a choice; choose if_linear or search."),
    ({"draws": 0}, "draws=0 found; a positive number of draws is expected"),
    ({"seed": -1}, "seed=-1 found; an integer that is not negative"),
    ({"level": 95}, "level=95 found; a coverage between 0 and 1 is expected"),
    ({"strata": "province"}, "strata='province': the table has no such column; it has county, year"),
    ({"strata": "year"}, "strata='year' varies within 8 units, for example u0, u1"),
    ({"strata": pd.Series([1, 2], ["u0", "u0"])}, "strata varies within 1 unit, for example u0; one value per unit"),
    ({"strata": "county"}, "Re-assignment is impossible: all units of every stratum (u0, u1, u2"),
    ({"strata": pd.Series({"u0": 1})}, "strata: 7 units have no label, for example u1, u2"),
    (
        {"strata": "own"},
        "Re-assignment is impossible: all units of every stratum (u0, u1, u2, u3, u4, ...) are of one cohort",
    ),
    ({"kind": "timing"}, "Re-timing is impossible: no treated units start at different dates."),
    ({"draws": 8}, "These are too few random assignments: the smallest reachable p-value is 0.111"),
    ({"level": 0.99}, "There are only 28 distinct assignments: the smallest reachable p-value is 0.0357"),
]


@pytest.mark.parametrize(("options", "text"), FAULTS)
def test_impossible_tests_are_refused(options, text):
    with pytest.raises(InferenceError) as caught:
        ea.randomize(look(small(CHANGES, 2)), "twfe", **options)
    assert text in str(caught.value)


def test_strata_of_one_cohort_are_named_and_strata_through_clusters_refused():
    frame = small(CHANGES, 2)
    frame["zone"] = frame["county"].isin(["u6", "u7"]).map({True: "far", False: "near"})
    found = ea.randomize(look(frame), "twfe", strata="zone", level=0.9)
    assert "1 strata add nothing, all of their units are of one cohort: far" in found.note
    assert found.n_assignments == 15
    frame["prefecture"] = np.repeat(["a", "a", "b", "b", "c", "c", "d", "d"], 2)
    with pytest.raises(InferenceError, match=r"4 clusters lie in several strata, for example a, b"):
        ea.randomize(look(frame, cluster="prefecture"), "twfe", strata="region")


def test_strata_may_come_row_by_row():
    frame = small(CHANGES, 2)
    by_row = ea.randomize(look(frame), "twfe", strata=frame.set_index("county")["region"], level=0.8)
    assert by_row.p_value == ea.randomize(look(frame), "twfe", strata="region", level=0.8).p_value


def test_units_change_places_when_clusters_hold_several_cohorts():
    frame = small(CHANGES, 2)
    frame["prefecture"] = np.repeat(["a", "b"] * 4, 2)
    found = ea.randomize(look(frame, cluster="prefecture"), "twfe", level=0.9)
    assert "units although a cluster holds several cohorts" in found.note


def test_what_would_stay_behind_when_starts_change_places_is_refused():
    frame = simulate(14, n_units=12, cohorts=(5, None))
    treated = frame["quarter"] >= frame["cohort"]
    design = diagnose(frame.assign(path=1.0 * treated), covariates=("path",))
    with pytest.raises(InferenceError, match="no estimate under any other assignment"):
        ea.randomize(design, "dcdh", draws=19, path="path")
    with pytest.raises(InferenceError, match="dose reads the dose of each unit, which would stay behind"):
        ea.randomize(design, "dose", draws=19)


def test_the_method_must_apply_to_the_true_design():
    with pytest.raises(NotIdentifiedError):
        ea.randomize(diagnose(simulate(13, cohorts=(4, 6))), "sun_abraham", draws=99)


def test_studentising_needs_variation_within_cohorts():
    frame = small([1.0, 0.0, 0.0, 0.0], 1)
    with pytest.raises(InferenceError, match="no variation"):
        ea.randomize(look(frame), "twfe", statistic="studentised", level=0.5)


def test_an_event_time_that_other_assignments_would_show_is_in_their_regression():
    """Only the unit that starts last is not observed in the first period: any other in its place would be, two periods before."""
    rng = np.random.default_rng(3)
    start = np.array([2.0, 2, 3, *[np.nan] * 5])
    frame = pd.DataFrame({
        "unit": np.repeat(np.arange(8), 3), "period": np.tile([1, 2, 3], 8), "cohort": np.repeat(start, 3),
        "y": rng.normal(size=24), "weight": np.repeat(rng.uniform(1, 3, 8), 3),
    })  # fmt: skip
    frame = frame[(frame["unit"] != 2) | (frame["period"] > 1)]
    design = ea.diagnose(frame, "unit", "period", "y", "cohort", weight="weight", outcome_unit="number")
    found = ea.randomize(design, "event_study", draws=200, level=0.9)
    assert found.exact
    by_hand = []
    for chosen in permutations(range(8), 3):
        if chosen[0] < chosen[1]:
            first = dict(zip(chosen, (2.0, 2.0, 3.0), strict=True))
            moved = frame.assign(cohort=frame["unit"].map(first))
            again = ea.diagnose(moved, "unit", "period", "y", "cohort", weight="weight", outcome_unit="number")
            by_hand.append(ea.estimate(again, "event_study").aggregate("overall", "fixed").value[0])
    np.testing.assert_allclose(np.sort(found.table["estimate"]), np.sort(by_hand), atol=1e-9)
