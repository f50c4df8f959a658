"""The regression behind an estimate: the same numbers as a regression on dummies, carried by what is linear, lost by what is not."""

import numpy as np
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.variance.by_cluster import group_clusters

# Two ways to the same least-squares numbers in double precision, relative to the largest of them.
TOLERANCE = 1e-9
REGRESSIONS = ("twfe", "event_study", "sun_abraham", "etwfe")
PANELS = {
    "balanced": ({}, {}),
    "covariate": ({}, {"covariates": ["share_65"]}),
    "weighted": ({}, {"weight": "weight"}),
    "unbalanced": ({"missing": 0.1}, {"covariates": ["share_65"], "weight": "weight"}),
}

every_method = pytest.mark.parametrize("method", REGRESSIONS)
every_panel = pytest.mark.parametrize("panel", PANELS)


def fit(method: str, panel: str, **options) -> Effects:
    drawn, named = PANELS[panel]
    if method == "etwfe":  # with covariates, which interact with every column, it is no regression of this kind
        options = {"covariates": (), **options}
    return ea.estimate(diagnose(simulate(3, n_units=24, n_periods=6, **drawn), **named), method, **options)


def dense(problem):
    """The regression with one dummy a unit: X, weights and outcome of the observed unit-periods."""
    data = problem.data
    n_units, n_periods = data.outcome.shape
    cohort = np.concatenate([np.full(rows.stop - rows.start, c) for c, rows in enumerate(data.slices)])
    mass = np.ones((n_units, n_periods)) if data.mass is None else data.mass
    seen = mass.ravel() > 0
    columns = problem.columns[cohort].reshape(n_units * n_periods, -1)
    covariates = data.covariates.reshape(len(data.covariates), n_units * n_periods).T
    regressors = np.hstack([columns, covariates])
    if problem.absorbed == "unit":
        regressors = np.hstack([regressors, np.kron(np.eye(n_units), np.ones((n_periods, 1)))])
    return regressors[seen], mass.ravel()[seen], data.outcome.ravel()[seen], seen


@every_panel
@every_method
def test_coefficients_and_residuals_are_those_of_a_regression_on_dummies(method, panel):
    effects = fit(method, panel)
    problem = effects.contrasts.problem
    regressors, mass, outcome, seen = dense(problem)
    root = np.sqrt(mass)
    solution = np.linalg.lstsq(regressors * root[:, None], outcome * root, rcond=1e-10)[0]
    np.testing.assert_allclose(problem.residual.ravel()[seen], outcome - regressors @ solution, atol=TOLERANCE)
    assert (problem.residual.ravel()[~seen] == 0).all()
    known = ~np.isnan(effects.value)
    estimates = problem.coefficient @ effects.contrasts.directions
    np.testing.assert_allclose(estimates[known], effects.value[known], atol=TOLERANCE)


@every_panel
@every_method
def test_scores_give_the_influence(method, panel):
    effects = fit(method, panel)
    problem, people = effects.contrasts.problem, effects.population
    prefectures = np.arange(len(people.units)) % 5
    for codes in (people.cluster, prefectures):
        n_clusters = codes.max() + 1
        expected, found = np.zeros((n_clusters, len(effects))), np.zeros((n_clusters, len(effects)))
        np.add.at(expected, codes, effects.influence.matrix())
        for group in group_clusters(problem, codes, n_clusters):
            found[group.clusters] += group.scores @ group.T @ problem.inverse @ effects.contrasts.directions
        np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def test_one_cohort_two_by_two_is_a_regression_and_others_are_not():
    frame = simulate(4, n_units=20, cohorts=(5, None))
    effects = ea.estimate(diagnose(frame), "two_by_two")
    contrasts = effects.contrasts
    np.testing.assert_allclose(contrasts.problem.coefficient @ contrasts.directions, effects.value, atol=TOLERANCE)
    weighted = ea.estimate(diagnose(frame, weight="weight"), "two_by_two")
    windows = ea.estimate(diagnose(frame), "two_by_two", before=(4,), after=(5,))
    two = ea.estimate(diagnose(simulate(4)), "two_by_two")
    assert weighted.contrasts is windows.contrasts is two.contrasts is None


def test_linear_verbs_carry_the_regression():
    effects = fit("sun_abraham", "covariate")
    event = effects.aggregate("event_time")
    derived = [effects.select(event_time=0), event, event.aggregate("overall"), event.combine([1.0] * len(event))]
    for found in derived:
        estimates = found.contrasts.problem.coefficient @ found.contrasts.directions
        np.testing.assert_allclose(estimates, found.value, atol=TOLERANCE)
        assert found.contrasts.problem is effects.contrasts.problem


def test_what_is_not_linear_with_fixed_weights_loses_the_regression():
    frame = simulate(3, n_units=24)
    effects = ea.estimate(diagnose(frame), "sun_abraham")
    assert effects.aggregate("cohort", weights="estimated").contrasts is None
    assert Effects.from_json(effects.to_json()).contrasts is None
    assert ea.estimate(diagnose(frame), "sun_abraham", scale="log_odds").contrasts is None
    assert ea.estimate(diagnose(frame), "etwfe", family="binomial").contrasts is None
    assert ea.estimate(diagnose(frame), "callaway_santanna").contrasts is None


@every_panel
@every_method
def test_gram_matrices_of_clusters_are_those_of_the_regressors_net_of_unit_means(method, panel, monkeypatch):
    monkeypatch.setattr("evalaid.did.inference.variance.by_cluster.BATCH", 500)  # several batches a group
    effects = fit(method, panel)
    problem, n_units = effects.contrasts.problem, len(effects.population.units)
    regressors, mass, _, seen = dense(problem)
    width = len(problem.inverse)
    unit = np.repeat(np.arange(n_units), problem.data.outcome.shape[1])[seen]
    inside = regressors[:, :width]
    if problem.absorbed == "unit":
        dummies = regressors[:, width:]
        total = dummies.T @ mass
        means = (dummies.T @ (inside * mass[:, None])) / np.where(total > 0, total, 1.0)[:, None]
        inside = inside - means[unit]
    for codes in (np.arange(n_units)[::-1], (np.arange(n_units) * 7 + 3) % 5):
        expected = np.zeros((codes.max() + 1, width, width))
        np.add.at(expected, codes[unit], inside[:, :, None] * (inside * mass[:, None])[:, None, :])
        found, times = np.zeros_like(expected), np.zeros(len(expected))
        for group in group_clusters(problem, codes, len(expected)):
            for rows, gram in group.grams():
                found[group.clusters[rows]] += group.T.T @ gram @ group.T
                times[group.clusters[rows]] += 1
        np.testing.assert_allclose(found, expected, atol=TOLERANCE * np.abs(expected).max())
        assert (times == 1).all()
