"""CR2 errors with Satterthwaite degrees of freedom, against a regression on dummies worked out in full."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support.panels import counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import InferenceError
from evalaid.did.effects.effects import Effects

# Two ways to the same numbers in double precision, through square roots of matrices with eigenvalues near one.
TOLERANCE = 1e-8
PANELS = {
    "balanced": ({}, {}),
    "covariate": ({}, {"covariates": ["share_65"]}),
    "weighted": ({}, {"weight": "weight"}),
    "unbalanced": ({"missing": 0.1}, {"covariates": ["share_65"], "weight": "weight"}),
}


def dense(effects: Effects, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give CR2 variances and degrees of freedom from matrices of observations by observations, dummies included."""
    problem = effects.contrasts.problem
    data = problem.data
    n_units, n_periods = data.outcome.shape
    cohort = np.concatenate([np.full(rows.stop - rows.start, c) for c, rows in enumerate(data.slices)])
    mass = (np.ones((n_units, n_periods)) if data.mass is None else data.mass).ravel()
    seen = mass > 0
    regressors = np.hstack([
        problem.columns[cohort].reshape(n_units * n_periods, -1),
        data.covariates.reshape(len(data.covariates), n_units * n_periods).T,
    ])  # fmt: skip
    width = regressors.shape[1]
    if problem.absorbed == "unit":
        regressors = np.hstack([regressors, np.kron(np.eye(n_units), np.ones((n_periods, 1)))])
    root = np.sqrt(mass)[seen]
    x, y = regressors[seen] * root[:, None], data.outcome.ravel()[seen] * root
    inverse = np.linalg.pinv(x.T @ x, rcond=1e-11, hermitian=True)
    rest = np.eye(len(x)) - x @ inverse @ x.T
    residual = rest @ y
    directions = np.zeros((x.shape[1], len(effects)))
    directions[:width] = effects.contrasts.directions
    weights = x @ inverse @ directions
    cluster = np.repeat(codes, n_periods)[seen]
    variance, rows = np.zeros(len(effects)), []
    for g in range(codes.max() + 1):
        here = np.flatnonzero(cluster == g)
        values, vectors = np.linalg.eigh(rest[np.ix_(here, here)])
        powers = np.where(values > 1e-9, 1 / np.sqrt(np.where(values > 1e-9, values, 1.0)), 0.0)
        a = vectors * powers @ vectors.T @ weights[here]
        variance += (residual[here] @ a) ** 2
        rows.append(rest[:, here] @ a)
    p = np.array(rows)
    products = np.einsum("gnk,hnk->kgh", p, p)
    with np.errstate(invalid="ignore"):  # the reference period
        return variance, np.trace(products, axis1=1, axis2=2) ** 2 / (products**2).sum(axis=(1, 2))


@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("method", ["twfe", "event_study", "sun_abraham", "etwfe"])
@pytest.mark.parametrize("clustering", ["unit", "prefecture", "mixed"])
def test_variance_and_degrees_of_freedom_are_those_of_a_regression_on_dummies(method, panel, clustering):
    drawn, columns = PANELS[panel]
    effects = ea.estimate(
        diagnose(simulate(3, n_units=24, n_periods=6, **drawn), **columns),
        method,
        **({"covariates": ()} if method == "etwfe" else {}),
    )
    if method in ("sun_abraham", "etwfe"):
        effects = effects.aggregate("event_time")
    units = effects.population.units
    number = units.str[1:].astype(int)
    codes = {"unit": np.arange(len(units)), "prefecture": number // 4, "mixed": (number * 7 + 3) % 5}[clustering]
    codes = np.asarray(pd.factorize(codes, sort=True)[0])
    variance, freedom = dense(effects, codes)
    table = ea.infer(effects, vcov="CR2", cluster=pd.Series(codes, units))
    known = table["std_error"].notna().to_numpy()
    assert known.sum() >= len(effects) - 1  # all but the reference period
    np.testing.assert_allclose(table["std_error"][known] ** 2, variance[known], rtol=TOLERANCE)
    expected = stats.t.sf(np.abs(table["statistic"][known]), freedom[known]) * 2
    np.testing.assert_allclose(table["p_value"][known], expected, rtol=1e-6, atol=1e-12)
    half = (table["conf_high"] - table["estimate"])[known]
    np.testing.assert_allclose(half, stats.t.ppf(0.975, freedom[known]) * np.sqrt(variance[known]), rtol=1e-6)
    named = [f"t({v:.2f})".replace(".00)", ")") for v in freedom[known]]
    assert table["distribution"][known].tolist() == named


@pytest.mark.parametrize(("n_treated", "n_never"), [(3, 9), (8, 8), (12, 5)])
def test_two_periods_give_the_two_sample_test_by_hand(n_treated, n_never):
    """Changes of two groups: CR2 is ``s1^2/n1 + s0^2/n0``; its degrees of freedom as in Imbens and Kolesar (2016).

    ``(n0 + n1)^2 (n0 - 1)(n1 - 1) / (n1^2 (n1 - 1) + n0^2 (n0 - 1))``, doi:10.1162/REST_a_00552, section 2.
    """
    rng = np.random.default_rng(n_treated)
    change = rng.normal(size=n_treated + n_never)
    treated = np.arange(len(change)) < n_treated
    frame = pd.DataFrame({
        "county": np.repeat([f"C{k:02d}" for k in range(len(change))], 2),
        "quarter": np.tile([1, 2], len(change)),
        "share": np.stack([np.zeros(len(change)), change], axis=1).ravel(),
        "cohort": np.repeat(np.where(treated, 2.0, np.nan), 2),
    })  # fmt: skip
    effects = ea.estimate(ea.diagnose(frame, "county", "quarter", "share", "cohort", outcome_unit="number"), "twfe")
    row = ea.infer(effects, vcov="CR2").iloc[0]
    n1, n0 = n_treated, n_never
    assert row["std_error"] ** 2 == pytest.approx(
        change[treated].var(ddof=1) / n1 + change[~treated].var(ddof=1) / n0, rel=TOLERANCE
    )
    freedom = (n0 + n1) ** 2 * (n0 - 1) * (n1 - 1) / (n1**2 * (n1 - 1) + n0**2 * (n0 - 1))
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(abs(row["statistic"]), freedom), rel=1e-9)


def test_units_of_the_outcome_and_of_a_covariate_do_not_matter():
    frame = simulate(4, n_units=24)
    scaled = frame.assign(share=frame["share"] * 100, share_65=frame["share_65"] * 1e6)
    first, second = (
        ea.infer(ea.estimate(diagnose(f, covariates=["share_65"], outcome_unit=unit), "twfe"), vcov="CR2")
        for f, unit in ((frame, "fraction"), (scaled, "number"))
    )
    assert second["std_error"].iloc[0] == pytest.approx(100 * first["std_error"].iloc[0], rel=TOLERANCE)
    assert second["p_value"].iloc[0] == pytest.approx(first["p_value"].iloc[0], rel=1e-7)


def test_equal_weights_are_no_weights_and_order_does_not_matter():
    frame = simulate(5, n_units=24, missing=0.05)
    plain = ea.infer(ea.estimate(diagnose(frame), "event_study"), vcov="CR2")
    other = frame.assign(weight=7.0).sample(frac=1, random_state=2)
    weighted = ea.infer(ea.estimate(diagnose(other, weight="weight"), "event_study"), vcov="CR2")
    for column in ("std_error", "p_value"):
        np.testing.assert_allclose(weighted[column], plain[column], rtol=1e-7)


def test_many_units_are_no_different_from_cr1():
    """With 600 units and half of them treated the corrections vanish."""
    frame = simulate(6, n_units=600, n_periods=4, cohorts=(3, None))
    effects = ea.estimate(diagnose(frame), "twfe")
    plain, adjusted = (ea.infer(effects, vcov=vcov).iloc[0] for vcov in ("CR1", "CR2"))
    assert adjusted["std_error"] == pytest.approx(plain["std_error"], rel=0.005)
    assert adjusted["distribution"] == "t(598)"


def test_few_treated_clusters_leave_few_degrees_of_freedom_and_the_note_says_so():
    frame = simulate(7, n_units=24)
    frame = frame.assign(cohort=frame["cohort"].where(frame["county"].isin(["C000", "C004"])))
    row = ea.infer(ea.estimate(diagnose(frame), "twfe"), vcov="CR2").iloc[0]
    assert float(row["distribution"][2:-1]) < 2
    assert "fewer than 4 degrees of freedom: the wild bootstrap" in row["note"]


@pytest.mark.parametrize("method", ["callaway_santanna", "imputation"])
def test_a_method_without_a_regression_is_refused_with_what_applies(method):
    effects = ea.estimate(diagnose(counties()), method)
    with pytest.raises(InferenceError) as caught:
        ea.infer(effects, vcov="CR2")
    assert f"these effects of {method} carry none" in str(caught.value)
    assert "CR3 (vcov='CR3') re-estimates without each cluster" in str(caught.value)


def test_joint_bands_take_the_degrees_of_freedom_of_each_row():
    effects = ea.estimate(diagnose(simulate(8, n_units=24)), "event_study")
    alone, joint = (ea.infer(effects, vcov="CR2", simultaneous=s, seed=1) for s in (False, True))
    known = alone["std_error"].notna()
    assert (joint["conf_high"] - alone["conf_high"])[known].gt(0).all()
    assert joint["distribution"].tolist() == alone["distribution"].tolist()


def covered(draws: int, n_clusters: int, treated: int, vcovs: tuple[str, ...]) -> dict[str, float]:
    """Share of intervals that hold the effect, with the first ``treated`` of some clusters of two units treated."""
    hits = dict.fromkeys(vcovs, 0)
    for seed in range(draws):
        frame = simulate(seed, n_units=2 * n_clusters, n_periods=6, cohorts=(None,), effect=0.0)
        number = frame["county"].str[1:].astype(int) // 2
        frame = frame.assign(area=number, cohort=np.where(number < treated, 4.0, np.nan))
        effects = ea.estimate(diagnose(frame, cluster="area"), "twfe")
        for vcov in hits:
            row = ea.infer(effects, vcov=vcov).iloc[0]
            hits[vcov] += row["conf_low"] <= 0 <= row["conf_high"]
    return {vcov: count / draws for vcov, count in hits.items()}


@pytest.mark.slow
def test_intervals_cover_with_three_of_twelve_clusters_treated():
    """150 simulated panels: near 95% where CR1 with t(11) is below."""
    found = covered(150, 12, 3, ("CR1", "CR2"))
    assert abs(found["CR2"] - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 150)
    assert found["CR1"] < found["CR2"]


@pytest.mark.slow
@pytest.mark.parametrize(("n_clusters", "treated"), [(10, 3), (20, 3), (20, 6), (40, 6), (40, 20)])
def test_intervals_cover_in_the_full_simulation(n_clusters, treated):
    """1,000 simulated panels a design; with three treated clusters the approximation errs on the side of caution."""
    slack = 3 * np.sqrt(0.95 * 0.05 / 1000)
    found = covered(1000, n_clusters, treated, ("CR2",))["CR2"]
    assert 0.95 - slack < found < 0.95 + slack + (0.02 if treated == 3 else 0.0)
