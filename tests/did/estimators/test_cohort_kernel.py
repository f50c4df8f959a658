"""Estimates from sums by cohort, and without clusters on other scales, are those of the estimators."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evalaid as ea
from evalaid.base.errors import EvalaidError
from evalaid.did.estimators.comparisons import triple_difference
from evalaid.did.estimators.estimation import find_kernel
from evalaid.did.inference.randomisation.assignments import list_assignments
from evalaid.did.inference.randomisation.reassignment import by_refits, by_sums, move
from evalaid.did.inference.variance.cluster import clusters_of
from evalaid.did.inference.variance.jackknife import exact_changes

# Two ways through the same sums of numbers of size one, and small systems solved by other routes.
SAME = 1e-10
PERIODS = 7
ALONE = {"covariates": ()}
SANTANNA = [
    ("callaway_santanna", {"adjustment": how, "comparison": comparison, "base_period": base})
    for how in ("none", "regression")
    for comparison in ("never_treated", "not_yet_treated")
    for base in ("varying", "universal")
]
METHODS = [
    ("twfe", ALONE),
    ("event_study", ALONE),
    ("sun_abraham", ALONE),
    ("imputation", ALONE),
    ("two_by_two", {"adjustment": "none"}),
    ("two_by_two", {"adjustment": "regression"}),
    *SANTANNA,
]
WITH_GAPS = [
    (method, options)
    for method, options in METHODS
    if method != "sun_abraham" and options.get("adjustment") != "regression"
]


def draw_design(seed, n_units=30, weighted=False, anticipation=0, n_clusters=None, gaps=0.0):
    rng = np.random.default_rng(seed)
    cohort = np.array([2013, 2014, 2016, np.nan, np.nan])[rng.permutation(np.arange(n_units) % 5)]
    frame = pd.DataFrame({
        "unit": np.repeat(np.arange(n_units), PERIODS), "period": np.tile(np.arange(2010, 2010 + PERIODS), n_units),
        "share": rng.uniform(0.2, 0.9, n_units * PERIODS), "cohort": np.repeat(cohort, PERIODS),
        "w": np.repeat(rng.uniform(0.5, 2.0, n_units), PERIODS), "x": np.repeat(100 * rng.normal(size=n_units) + 7, PERIODS),
        "eligible": np.repeat((rng.permutation(n_units) < n_units / 2).astype(float), PERIODS),
        "group": np.repeat(rng.integers(0, n_clusters or 1, n_units), PERIODS),
    })  # fmt: skip
    frame["group"] = frame["cohort"].map("{:.0f}".format) + "-" + frame["group"].astype(str)
    design = ea.diagnose(
        frame[rng.random(len(frame)) >= gaps], "unit", "period", "share", "cohort", covariates=("x", "eligible"),
        weight="w" if weighted else None, cluster="group" if n_clusters else None,
    )  # fmt: skip
    return replace(design, anticipation=anticipation)


def membership(design):
    rows, starts = np.arange(design.n_units), design.matrices.starts[:, None]
    return (rows >= starts[:-1]) & (rows < starts[1:])


@pytest.mark.parametrize(
    ("method", "options", "gaps"), [(*one, 0.0) for one in METHODS] + [(*one, 0.2) for one in WITH_GAPS]
)
@given(seed=st.integers(0, 10_000), weighted=st.booleans(), anticipation=st.integers(0, 1))
@settings(max_examples=8, deadline=None)
def test_cells_from_sums_by_cohort_are_those_of_the_estimator(method, options, gaps, seed, weighted, anticipation):
    by_regression = gaps and method in {"twfe", "event_study"}  # which leave out early observations by cohort
    design = draw_design(seed, weighted=weighted, anticipation=0 if by_regression else anticipation, gaps=gaps)
    effects, kernel = ea.estimate(design, method, **options), find_kernel(design, method, **options)
    member = membership(design).astype(float)[None]
    found = kernel.values(member @ kernel.features)[0]
    there = ~np.isnan(found)
    np.testing.assert_allclose(found[there], effects.value[there], rtol=SAME, atol=SAME)
    assert not effects.value[~there & ~np.isnan(effects.value)].any()  # base periods: zero by construction
    overall = effects.aggregate("overall").value
    np.testing.assert_allclose(kernel.overall(member), overall, rtol=SAME, atol=SAME)


@pytest.mark.parametrize(
    ("method", "options", "gaps"), [(*one, 0.0) for one in METHODS] + [(*one, 0.1) for one in WITH_GAPS]
)
@given(seed=st.integers(0, 10_000), n_clusters=st.sampled_from([None, 3]))
@settings(max_examples=3, deadline=None)
def test_assignments_from_sums_are_those_estimated_again(method, options, gaps, seed, n_clusters):
    design = draw_design(seed, n_clusters=n_clusters, gaps=gaps)
    assignments = list_assignments(design)
    runs = list(assignments.runs(5, seed))

    def estimator(one):
        return ea.estimate(one, method, **options).aggregate("overall")

    found = by_sums(design, estimator, find_kernel(design, method, **options), assignments, runs)
    slow = [estimator(move(design, assignments, codes)).value[0] for codes in (assignments.actual, *runs[0])]
    if np.isnan(slow).any():  # a covariate that is constant among the controls of an assignment
        assert found is None
    else:
        np.testing.assert_allclose(found, slow, rtol=SAME, atol=SAME)


def test_randomisation_of_unequal_clusters_is_that_of_refits():
    design = draw_design(3, n_clusters=4)
    quick = ea.randomize(design, "callaway_santanna", draws=60, seed=2, adjustment="none")
    assignments = list_assignments(design)

    def estimator(one):
        return ea.estimate(one, "callaway_santanna", adjustment="none").aggregate("overall", "fixed")

    actual, drawn = by_refits(design, estimator, assignments, 60, 2)
    np.testing.assert_allclose(quick.table["estimate"], drawn.outcome, rtol=SAME, atol=SAME)
    slow = ea.randomize(design, "callaway_santanna", draws=60, seed=2, adjustment="none", statistic="studentised")
    np.testing.assert_allclose(slow.actual["estimate"], actual.outcome, rtol=SAME)


@pytest.mark.parametrize(
    ("method", "options", "change"),
    [
        ("twfe", {"covariates": ("x",)}, {}),
        ("callaway_santanna", {"adjustment": "doubly_robust"}, {}),
        ("imputation", {"covariates": (), "pretrends": "leads"}, {}),
        ("sun_abraham", ALONE, {"gaps": 0.1}),
        ("callaway_santanna", {"adjustment": "none", "unbalanced": "cross_sections"}, {"gaps": 0.1}),
        ("callaway_santanna", {"adjustment": "regression"}, {"gaps": 0.1}),
    ],
)
def test_what_sums_by_cohort_do_not_tell_has_no_kernel(method, options, change):
    assert find_kernel(draw_design(1, **change), method, **options) is None


def test_a_kernel_that_is_not_the_estimator_is_not_used():
    design, options = draw_design(1), {"adjustment": "none"}
    kernel = find_kernel(design, "callaway_santanna", **options)
    wrong = replace(kernel, averaged=np.ones_like(kernel.averaged))
    assignments = list_assignments(design)

    def estimator(one):
        return ea.estimate(one, "callaway_santanna", **options).aggregate("overall")

    assert by_sums(design, estimator, wrong, assignments, assignments.runs(3, 1)) is None


@pytest.mark.parametrize("scale", ["log_odds", "log_outflow"])
@pytest.mark.parametrize(
    ("method", "options"),
    [("twfe", {}), ("event_study", ALONE), ("sun_abraham", ALONE), ("imputation", ALONE), SANTANNA[1]],
)
@given(seed=st.integers(0, 10_000), weighted=st.booleans(), gaps=st.sampled_from([0.0, 0.1]))
@settings(max_examples=2, deadline=None)
def test_effects_on_a_scale_without_each_cluster_are_those_estimated_again(
    method, options, scale, seed, weighted, gaps
):
    design = draw_design(seed, n_units=20, weighted=weighted, gaps=gaps, n_clusters=3)
    effects = ea.estimate(design, method, scale=scale, **options).aggregate("overall")
    clusters = clusters_of(effects)
    found = exact_changes(effects, clusters, np.arange(len(clusters)))
    for code in range(len(clusters)):
        try:
            again = effects.refit(clusters.codes != code).value - effects.value
        except EvalaidError:
            again = np.array([np.nan])
        np.testing.assert_allclose(found[code], again, rtol=SAME, atol=SAME)


@given(seed=st.integers(0, 10_000), weighted=st.booleans(), n_clusters=st.sampled_from([None, 6]))
@settings(max_examples=6, deadline=None)
def test_triple_differences_from_paths_are_those_of_three_comparisons(seed, weighted, n_clusters):
    design = draw_design(seed, n_units=60, weighted=weighted, n_clusters=n_clusters)
    options = triple_difference.TripleDifferenceOptions(eligible="eligible")
    eligible, _ = triple_difference._read_parts(design, options)
    quick = triple_difference._compare_paths(design, eligible, options)
    slow = triple_difference._compare_cohorts(design, eligible, (), options)
    np.testing.assert_allclose(quick[0], slow[0], rtol=SAME, atol=SAME)
    np.testing.assert_allclose(quick[1].matrix(), slow[1].matrix(), atol=SAME)
    assert quick[2] == slow[2]


@given(seed=st.integers(0, 10_000), weighted=st.booleans(), n_clusters=st.sampled_from([None, 4]))
@settings(max_examples=4, deadline=None)
def test_saturated_effects_without_each_cluster_are_those_estimated_again(seed, weighted, n_clusters):
    design = draw_design(seed, n_units=25, weighted=weighted, n_clusters=n_clusters)
    effects = ea.estimate(design, "sun_abraham", covariates=("x",)[: seed % 2]).aggregate("overall")
    clusters = clusters_of(effects)
    found = exact_changes(effects, clusters, np.arange(len(clusters)))
    by_regression = replace(effects.derivation.parents[0], leave_out=None).aggregate("overall")
    again = exact_changes(by_regression, clusters, np.arange(len(clusters)))
    np.testing.assert_allclose(found, again, rtol=SAME, atol=SAME)
    for code in range(3):
        refitted = effects.refit(clusters.codes != code).value - effects.value
        np.testing.assert_allclose(found[code], refitted, rtol=SAME, atol=SAME)
