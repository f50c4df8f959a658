"""Every logit is at the maximum of its likelihood, or says that it is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

import evalaid as ea
from evalaid.did.effects.likelihood import Family, fit_cells, fit_logits
from evalaid.did.effects.linear import standardise
from evalaid.did.estimators.common.separation import NOT_CONVERGED
from evalaid.did.estimators.common.two_by_two_scores import panel_scores

# The optimiser stops at a gradient of 1e-9 per unit, and flat likelihoods near separation turn that into a little more.
OPTIMISER = 1e-5


def independent_maximum(x, treated, weights):
    """Fit a logit with scipy's BFGS from zero."""

    def loss(b):
        index = x @ b
        return (weights * (np.logaddexp(0, index) - treated * index)).sum() / weights.sum()

    def slope(b):
        return x.T @ (weights * (1 / (1 + np.exp(-x @ b)) - treated)) / weights.sum()

    found = minimize(loss, np.zeros(x.shape[1]), jac=slope, method="BFGS", options={"gtol": 1e-9, "maxiter": 5000})
    return 1 / (1 + np.exp(-x @ found.x))


def separates(x, treated):
    """Whether some direction orders the units by treatment, so that the likelihood has no maximum (Albert and Anderson)."""
    signed = x * np.where(treated, 1.0, -1.0)[:, None]
    found = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(x)), bounds=[(-1, 1)] * x.shape[1])
    return -found.fun > 1e-7


@st.composite
def rare_dummies(draw):
    """Treated and comparison counties of which few have a mark, and perhaps a second covariate of any unit."""
    n0, n1 = draw(st.integers(20, 120)), draw(st.integers(6, 30))
    poor0 = draw(st.integers(1, max(1, n0 // 10)))
    poor1 = draw(st.integers(0, n1))
    treated = np.repeat([1.0, 0.0], [n1, n0])
    poor = np.concatenate([np.arange(n1) < poor1, np.arange(n0) < poor0]).astype(float)
    columns = [poor * draw(st.sampled_from([1.0, 1e-6, 1e9])) + draw(st.sampled_from([0.0, 1e5]))]
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        shift = draw(st.floats(0, 2))
        columns.append((rng.normal(size=n0 + n1) + shift * treated) * draw(st.sampled_from([1.0, 1e-9, 1e9])))
    weights = np.ones(n0 + n1)
    if draw(st.booleans()):
        weights = np.random.default_rng(3).uniform(0.2, 3, n0 + n1)
    return np.column_stack(columns), treated, weights


NEARLY_CONSTANT = np.append(np.full(104, 1e5), 1e5 + 1e-6)[:, None], np.repeat([1.0, 0.0], [6, 99]), np.ones(105)


@given(rare_dummies())
@example(NEARLY_CONSTANT)
def test_logits_of_rare_dummies_are_at_their_maximum(case):
    values, treated, weights = case
    x = np.column_stack([np.ones(len(values)), standardise(values, values[treated == 0])])
    assume(not separates(x, treated))
    fits = fit_logits(x.T[None], treated[None], weights[None])
    if not x.any(axis=0).all():  # a column that is constant up to rounding
        assert np.isnan(fits.probability).all()
        return
    assert fits.converged[0]
    np.testing.assert_allclose(fits.probability[0], independent_maximum(x, treated, weights), atol=OPTIMISER)


def smallest_case(n0=60, poor0=4, n1=6, poor1=5):
    poor = np.concatenate([np.arange(n1) < poor1, np.arange(n0) < poor0]).astype(float)
    return poor[:, None], 2 * poor[:, None], np.arange(n0 + n1) < n1


@pytest.mark.parametrize("adjustment", ["ipw", "doubly_robust", "regression"])
@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e12])
@pytest.mark.parametrize("shift", [0.0, 1e5])
def test_a_rare_dummy_that_explains_every_change_leaves_no_effect(adjustment, scale, shift):
    x, change, treated = smallest_case()
    x = (x + shift) * scale
    ones = np.ones(len(x))
    scores = panel_scores(
        change[treated], x[treated], ones[treated], change[~treated], x[~treated], ones[~treated], adjustment
    )
    assert not scores.reason
    assert abs(scores.value[0]) < 1e-8  # exact but for the fit's own tolerance


@given(st.integers(20, 120), st.integers(1, 6), st.integers(6, 30), st.data())
@example(60, 4, 6, None)
def test_weighting_by_a_dummy_is_the_comparison_within_its_levels(n0, poor0, n1, data):
    poor1 = 5 if data is None else data.draw(st.integers(1, n1))
    x, _, treated = smallest_case(n0, poor0, n1, poor1)
    change = np.random.default_rng(n0 + n1).normal(size=(n0 + n1, 1))
    poor = x[:, 0] == 1
    ones = np.ones(len(x))
    scores = panel_scores(
        change[treated], x[treated], ones[treated], change[~treated], x[~treated], ones[~treated], "ipw"
    )
    share = poor[treated].mean()
    within = [change[~treated & (poor == level), 0].mean() for level in (False, True)]
    by_hand = change[treated, 0].mean() - ((1 - share) * within[0] + share * within[1])
    if scores.reason:  # almost all of the poor are treated
        assert poor1 / (poor1 + poor0) > 0.99
    else:
        np.testing.assert_allclose(scores.value[0], by_hand, atol=1e-8)


def test_a_mark_that_no_treated_unit_bears_drops_those_who_bear_it():
    x, _, treated = smallest_case(poor1=0)
    change = np.random.default_rng(0).normal(size=(len(x), 1))
    rest = ~treated & (x[:, 0] == 0)
    ones = np.ones(len(x))
    scores = panel_scores(
        change[treated], x[treated], ones[treated], change[~treated], x[~treated], ones[~treated], "ipw"
    )
    np.testing.assert_allclose(scores.value[0], change[treated].mean() - change[rest].mean(), atol=1e-7)
    plain = panel_scores(change[treated], x[treated], ones[treated], change[rest], x[rest], ones[rest], "none")
    bearing = x[~treated, 0] == 1
    np.testing.assert_allclose(scores.comparison[bearing], 0, atol=1e-7)
    np.testing.assert_allclose(scores.comparison[~bearing], plain.comparison, atol=1e-7)


def test_a_logit_that_did_not_converge_is_a_reason(monkeypatch):
    monkeypatch.setattr("evalaid.did.effects.likelihood.LOGIT_ITERATIONS", 1)
    table = panel_with(np.random.default_rng(1).normal(size=40))
    effects = ea.estimate(diagnosed(table), "callaway_santanna", adjustment="ipw")
    assert np.isnan(effects.value).all()
    assert NOT_CONVERGED in effects.cells["reason"].iloc[0]


def panel_with(x, periods=4):
    """Build a panel in which the first half of the units starts in the third period."""
    n = len(x)
    rng = np.random.default_rng(7)
    outcome = rng.normal(size=(n, periods)) + np.outer(x / np.abs(x).max(), np.arange(periods))
    return pd.DataFrame(
        {
            "county": np.repeat(np.arange(n), periods),
            "year": np.tile(np.arange(2000, 2000 + periods), n),
            "y": outcome.ravel(),
            "first": np.repeat(np.where(np.arange(n) % 2 == 0, 2002.0, np.nan), periods),
            "x": np.repeat(x, periods) * (1 + 0.1 * rng.normal(size=n * periods)),
        }
    )


def diagnosed(table):
    return ea.diagnose(table, "county", "year", "y", "first", covariates=["x"])


@pytest.mark.parametrize("method", ["callaway_santanna", "twfe", "event_study", "sun_abraham", "imputation", "stacked"])
@pytest.mark.parametrize(("scale", "shift"), [(1e12, 0.0), (1e-12, 0.0), (1.0, 1e5), (1e12, 1e17)])
@pytest.mark.crossed(3)
def test_the_unit_of_a_covariate_changes_nothing(method, scale, shift):
    table = panel_with(np.random.default_rng(5).normal(size=40))
    table["z"] = np.random.default_rng(6).normal(size=len(table))
    moved = table.assign(x=table["x"] * scale + shift)
    one, other = (
        ea.infer(ea.estimate(ea.diagnose(each, "county", "year", "y", "first", covariates=["x", "z"]), method))
        for each in (table, moved)
    )
    assert one["estimate"].notna().any()
    # Adding 1e5 to numbers of size one keeps eleven of their digits.
    columns = ["estimate", "std_error"]
    np.testing.assert_allclose(one[columns], other[columns], rtol=1e-7, atol=1e-9)


@given(st.sampled_from(["binomial", "poisson"]), st.integers(0, 10_000), st.floats(1e-4, 0.3))
def test_cell_fits_are_at_their_maximum(name, seed, rare):
    rng = np.random.default_rng(seed)
    columns = np.column_stack([np.ones(12), rng.random(12) < 0.4, rng.normal(size=12) * 3])
    mass = rng.uniform(0.1, 50, 12)
    mean = np.clip(rare * np.exp(rng.normal(size=12) * 2), 1e-9, 0.999)
    family = Family(name)
    fit = fit_cells(columns, mass, mass * mean, family)
    assume(np.linalg.matrix_rank(columns) == 3)
    assert fit is not None
    found = minimize(
        lambda b: -family.likelihood(columns @ b, mass, mass * mean) / mass.sum(),
        fit.coefficients + 0.1,
        method="Nelder-Mead",
        options={"xatol": 1e-10, "fatol": 1e-15, "maxiter": 20_000},
    )
    assert family.likelihood(columns @ fit.coefficients, mass, mass * mean) >= -found.fun * mass.sum() - 1e-9
