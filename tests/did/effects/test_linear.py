"""The least-squares engine equals dense dummies; the logit equals statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from evalaid.did.effects.likelihood import fit_logits
from evalaid.did.effects.linear import PanelData, fit_panel, inverse_gram

# Normal equations lose half the digits against the orthogonal decomposition that the dense twin uses.
DENSE = 1e-8


def dense_twin(data: PanelData, design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Regress with one dummy a unit and a period, slowly: coefficients and unit scores of CR0."""
    n_units, n_periods = data.outcome.shape
    mass = np.ones_like(data.outcome) if data.mass is None else data.mass
    seen = mass.ravel() > 0
    cohort = np.concatenate([np.full(rows.stop - rows.start, c) for c, rows in enumerate(data.slices)])
    treatment = design[cohort].reshape(n_units * n_periods, -1)
    units = np.kron(np.eye(n_units), np.ones((n_periods, 1)))
    periods = np.kron(np.ones((n_units, 1)), np.eye(n_periods)[:, 1:])
    x = np.column_stack([treatment, *[c.ravel() for c in data.covariates], units, periods])[seen]
    root = np.sqrt(mass.ravel()[seen])
    solution = np.linalg.lstsq(x * root[:, None], data.outcome.ravel()[seen] * root, rcond=None)[0]
    residual = data.outcome.ravel()[seen] - x @ solution
    scores = x * (residual * mass.ravel()[seen])[:, None]
    bread = np.linalg.pinv((x * mass.ravel()[seen][:, None]).T @ x)
    of_unit = np.repeat(np.arange(n_units), n_periods)[seen]
    sums = np.array([scores[of_unit == i].sum(axis=0) for i in range(n_units)])
    width = design.shape[2]
    return solution[: width + len(data.covariates)], (sums @ bread)[:, :width]


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), weighted=st.booleans(), missing=st.booleans(), n_covariates=st.integers(0, 2))
def test_the_engine_equals_dense_dummies(seed, weighted, missing, n_covariates):
    rng = np.random.default_rng(seed)
    n_units, n_periods = 12, 6
    slices = (slice(0, 4), slice(4, 7), slice(7, 12))
    starts = [2, 4, 99]
    mass = rng.uniform(0.5, 2, (n_units, n_periods)) if weighted else np.ones((n_units, n_periods))
    if missing:
        mass = mass * (rng.random(mass.shape) > 0.15)
    data = PanelData(
        outcome=rng.normal(size=(n_units, n_periods)) * (mass > 0),
        mass=mass if weighted or missing else None,
        covariates=rng.normal(size=(n_covariates, n_units, n_periods)) * (mass > 0),
        slices=slices,
    )
    periods = np.arange(n_periods)
    design = np.array([[periods >= s, (periods >= s + 1)] for s in starts], dtype=float).transpose(0, 2, 1)
    fit = fit_panel(data, design)
    coefficients, influence = dense_twin(data, design)
    found = np.r_[fit.value, fit.covariate_value]
    if np.isnan(found).any():
        return  # a draw that lost identification is tested below, by construction
    np.testing.assert_allclose(found, coefficients, rtol=DENSE, atol=DENSE)
    np.testing.assert_allclose(fit.influence.matrix(), influence, rtol=DENSE, atol=DENSE)


def test_what_is_collinear_is_missing_and_the_rest_is_kept():
    rng = np.random.default_rng(1)
    outcome = rng.normal(size=(6, 4))
    constant = np.repeat(rng.normal(size=(6, 1)), 4, axis=1)[None]
    slices = (slice(0, 3), slice(3, 6))
    once = (np.arange(4) >= 2).astype(float)
    design = np.array([np.column_stack([once, once]), np.zeros((4, 2))])
    fit = fit_panel(PanelData(outcome, None, constant, slices), design)
    assert np.isnan(fit.value).all()
    assert np.isnan(fit.covariate_value).all()
    single = fit_panel(PanelData(outcome, None, constant, slices), design[:, :, :1])
    without = fit_panel(PanelData(outcome, None, np.empty((0, 6, 4)), slices), design[:, :, :1])
    np.testing.assert_allclose(single.value, without.value, atol=1e-12)
    assert single.parameters == without.parameters


def test_the_logit_equals_statsmodels():
    rng = np.random.default_rng(2)
    x = sm.add_constant(rng.normal(size=(200, 2)))
    treated = rng.random(200) < 1 / (1 + np.exp(-x @ [0.2, 1.0, -0.5]))
    weights = rng.uniform(0.5, 2, 200)
    model = sm.GLM(treated.astype(float), x, family=sm.families.Binomial(), freq_weights=weights).fit(tol=1e-14)
    fits = fit_logits(x.T[None], treated[None].astype(float), weights[None])
    (probability,), (inverse,) = fits.probability, fits.inverse
    np.testing.assert_allclose(probability, model.fittedvalues, rtol=1e-9)
    np.testing.assert_allclose(inverse, model.cov_params(), rtol=1e-7)


@pytest.mark.parametrize("kind", ["separated", "collinear", "all treated"])
def test_a_logit_that_does_not_exist_is_missing_or_certain(kind):
    x = np.column_stack([np.ones(20), np.linspace(-1, 1, 20)])
    treated = x[:, 1] > 0
    if kind == "collinear":
        x, treated = np.column_stack([x, 2 * x[:, 1]]), np.arange(20) % 3 == 0
    if kind == "all treated":
        treated = np.ones(20, dtype=bool)
    probability = fit_logits(x.T[None], treated[None].astype(float), np.ones((1, 20))).probability
    assert np.isnan(probability).all() or probability.max() > 0.999


def test_collinear_regressors_have_no_inverse():
    x = np.column_stack([np.ones(5), np.arange(5), 2 * np.arange(5)])
    assert inverse_gram(x, np.ones(5)) is None
