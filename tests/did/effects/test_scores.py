"""Influence of the two-period comparisons is a row's weight times the derivative with respect to that weight."""

from __future__ import annotations

import numpy as np
import pytest

from evalaid.did.estimators.common.two_by_two_scores import (
    COLLINEAR,
    NO_OVERLAP,
    PanelSample,
    adjusted_scores,
    panel_scores,
    section_scores,
)

ADJUSTMENTS = ["none", "regression", "ipw", "doubly_robust"]
STEP = 1e-5
# Central differences with this step: error of order STEP**2 plus rounding over STEP.
NUMERICAL = 1e-8


def sample(seed=0, n=120):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 1))
    treated = rng.random(n) < 1 / (1 + np.exp(-x[:, 0]))
    post = rng.random(n) < 0.5
    y = x[:, 0] * (1 + post) + 0.5 * post * treated + rng.normal(0, 0.5, n)
    return y, x, treated, post


def derivative(value, mass, rows):
    slopes = []
    for row in rows:
        up, down = mass.copy(), mass.copy()
        up[row] += STEP
        down[row] -= STEP
        slopes.append((value(up) - value(down)) / (2 * STEP))
    return np.array(slopes) * mass[list(rows)]


@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
@pytest.mark.parametrize("weighted", [False, True])
def test_influence_of_sections_is_the_derivative(adjustment, weighted):
    y, x, treated, post = sample()
    mass = np.random.default_rng(1).uniform(0.5, 2, len(y)) if weighted else np.ones(len(y))
    scores = section_scores(y, x, mass, treated, post, adjustment)
    rows = range(0, len(y), 9)
    slopes = derivative(lambda m: section_scores(y, x, m, treated, post, adjustment).value, mass, rows)
    np.testing.assert_allclose(scores.rows[list(rows)], slopes, atol=NUMERICAL)


@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
@pytest.mark.parametrize("weighted", [False, True])
def test_influence_of_panels_is_the_derivative(adjustment, weighted):
    y, x, treated, _ = sample(3)
    mass = np.random.default_rng(1).uniform(0.5, 2, len(y)) if weighted else np.ones(len(y))

    def scores(m):
        parts = [(y[side, None], x[side], m[side]) for side in (treated, ~treated)]
        return panel_scores(*parts[0], *parts[1], adjustment)

    psi = np.empty(len(y))
    psi[treated], psi[~treated] = scores(mass).treated[:, 0], scores(mass).comparison[:, 0]
    rows = list(range(0, len(y), 9))
    np.testing.assert_allclose(psi[rows], derivative(lambda m: scores(m).value[0], mass, rows), atol=NUMERICAL)


def test_the_sign_error_of_the_reference_is_not_a_derivative():
    y, x, treated, post = sample()
    mass = np.ones(len(y))
    scores = section_scores(y, x, mass, treated, post, "doubly_robust")
    rows = list(range(0, len(y), 9))
    slopes = derivative(lambda m: section_scores(y, x, m, treated, post, "doubly_robust").value, mass, rows)
    assert np.abs((scores.rows + scores.slip)[rows] - slopes).max() > 1e-4


def test_four_means_by_hand():
    y = np.array([1.0, 3.0, 2.0, 7.0])
    treated, post = np.array([0, 0, 1, 1], bool), np.array([0, 1, 0, 1], bool)
    scores = section_scores(y, np.empty((4, 0)), np.ones(4), treated, post, "none")
    assert scores.value == (7 - 2) - (3 - 1)


@pytest.mark.parametrize("adjustment", ["ipw", "doubly_robust"])
def test_no_overlap_is_a_reason(adjustment):
    x = np.linspace(-1, 1, 40)[:, None]
    treated = x[:, 0] > 0
    scores = panel_scores(x[treated], x[treated], np.ones(20), x[~treated], x[~treated], np.ones(20), adjustment)
    assert scores.reason == NO_OVERLAP


def test_collinear_covariates_are_a_reason():
    x = np.repeat(np.linspace(-1, 1, 10)[:, None], 2, axis=1)
    y = np.arange(10.0)[:, None]
    assert panel_scores(y[:5], x[:5], np.ones(5), y[5:], x[5:], np.ones(5), "regression").reason == COLLINEAR


@pytest.mark.parametrize("adjustment", ["regression", "ipw", "doubly_robust"])
def test_samples_fitted_together_give_what_each_gives_alone(adjustment):
    samples = []
    for seed, n in enumerate((40, 90, 30, 60)):
        y, x, treated, _ = sample(seed, n)
        if seed == 2:
            x = np.where(treated, 9.0, -9.0)[:, None]  # separated: the others must not notice
        order = np.argsort(~treated, kind="stable")
        mass = np.random.default_rng(seed).uniform(0.5, 2, n) if seed == 3 else np.ones(n)
        regressors = np.array([np.ones(n), x[order, 0]])
        samples.append(PanelSample(y[order, None], regressors, mass, int(treated.sum())))
    together = adjusted_scores(samples, adjustment)
    for one, found in zip(samples, together, strict=True):
        (alone,) = adjusted_scores([one], adjustment)
        assert found.reason == alone.reason
        for name in ("value", "treated", "comparison"):
            np.testing.assert_allclose(getattr(found, name), getattr(alone, name), atol=1e-12)
    assert [each.reason != "" for each in together] == [False, False, True, False]
