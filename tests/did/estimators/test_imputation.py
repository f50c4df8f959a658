"""The imputation estimator where no reference runs: weights, gaps in the data, what is not identified."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.panels import counties, diagnose, simulate

import evalaid as ea

STEP = 1e-4


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_weighted_influence_follows_the_estimator_not_the_double_weights_of_the_reference(missing):
    """The static influence, before recentring, is the derivative of the estimate with respect to each outcome times the
    residual; the weighted estimate is linear in outcomes with weights v, so ``sum_t v_it e_it`` is checked through v."""
    frame = simulate(21, n_units=18, n_periods=6, missing=missing)
    panel = diagnose(frame, weight="weight")
    effects = ea.estimate(panel, "imputation").aggregate("overall")
    units = panel.matrices.units

    def overall(table: pd.DataFrame) -> float:
        return float(ea.estimate(diagnose(table, weight="weight"), "imputation").aggregate("overall").value[0])

    slope = np.zeros((len(units), len(panel.matrices.periods)))
    for row, (county, quarter) in enumerate(zip(frame["county"], frame["quarter"], strict=True)):
        moved = [frame.assign(share=frame["share"] + sign * STEP * (frame.index == row)) for sign in (1, -1)]
        at = units.get_loc(county), np.searchsorted(panel.matrices.periods, quarter)
        slope[at] = (overall(moved[0]) - overall(moved[1])) / (2 * STEP)

    gap = residuals(frame, panel)
    treated = (
        panel.matrices.periods >= np.where(np.isnan(panel.matrices.cohort), np.inf, panel.matrices.cohort)[:, None]
    )
    centred = gap.copy()
    for cohort in panel.matrices.cohorts:
        rows = panel.matrices.cohort == cohort
        for column in np.flatnonzero(panel.matrices.periods >= cohort):
            mass = slope[rows, column] ** 2
            centred[rows, column] -= (mass @ gap[rows, column]) / mass.sum()
    assert treated.any()
    expected = (slope * centred).sum(axis=1)
    np.testing.assert_allclose(effects.influence.matrix()[:, 0], expected, atol=1e-9)


def residuals(frame: pd.DataFrame, panel: ea.Design) -> np.ndarray:
    """Impute untreated outcomes with dense dummies, slowly."""
    untreated = ~(frame["quarter"] >= frame["cohort"])
    dummies = pd.get_dummies(frame[["county", "quarter"]].astype(str)).to_numpy(dtype=float)
    root = np.sqrt(frame["weight"].to_numpy())[untreated]
    solution = np.linalg.lstsq(dummies[untreated] * root[:, None], frame["share"][untreated] * root, rcond=None)[0]
    gap = np.zeros((len(panel.matrices.units), len(panel.matrices.periods)))
    rows = panel.matrices.units.get_indexer(frame["county"])
    gap[rows, np.searchsorted(panel.matrices.periods, frame["quarter"])] = frame["share"] - dummies @ solution
    return gap


def test_a_cohort_with_one_untreated_period_is_kept():
    frame = simulate(22, cohorts=(2, 5, None))
    cells = ea.estimate(diagnose(frame), "imputation").tidy()
    assert cells.loc[cells["cohort"] == 2, "estimate"].notna().all()


def test_a_period_without_untreated_observations_has_no_effect_and_a_reason():
    frame = simulate(23, cohorts=(4, 6))
    cells = ea.estimate(diagnose(frame), "imputation").tidy()
    late = cells[cells["period"] >= 6]
    assert late["estimate"].isna().all()
    assert late["reason"].str.startswith("no untreated observation in").all()


def test_a_unit_without_untreated_observations_is_left_out_of_the_average():
    frame = simulate(24, cohorts=(4, None), n_units=12)
    lost = (frame["county"] == "C000") & (frame["quarter"] < 4)
    found = ea.estimate(diagnose(frame[~lost]), "imputation")
    without = ea.estimate(diagnose(frame[frame["county"] != "C000"]), "imputation")
    np.testing.assert_allclose(found.value, without.value, atol=1e-12)
    assert (found.cells["n_treated"] == 5).all()


def test_units_that_never_share_a_period_with_the_comparison_are_not_compared():
    frame = simulate(25, cohorts=(6, None), n_units=8)
    treated = frame["cohort"].notna()
    apart = frame[(treated & (frame["quarter"] >= 4)) | (~treated & ~frame["quarter"].isin([4, 5]))]
    cells = ea.estimate(diagnose(apart), "imputation").tidy()
    assert cells["estimate"].isna().all()
    assert cells["reason"].str.contains("no untreated observation connects").all()


def test_a_covariate_without_untreated_variation_blocks_what_loads_on_it():
    frame = simulate(26, cohorts=(5, None))
    treated = frame["quarter"] >= frame["cohort"]
    frame["beds"] = np.where(treated, np.arange(len(frame)) % 7, 0).astype(float)
    cells = ea.estimate(diagnose(frame, covariates=("beds",)), "imputation").tidy()
    assert cells["estimate"].isna().all()
    assert cells["reason"].str.startswith("no slope of 'beds' among untreated observations").all()


def test_a_baseline_covariate_is_absorbed():
    frame = counties()
    found = ea.estimate(diagnose(frame, covariates=("log_gdp",)), "imputation")
    np.testing.assert_allclose(found.value, ea.estimate(diagnose(frame), "imputation").value, atol=1e-10)


# ---- coefficients before treatment ----------------------------------------------------------------------------------

# Two ways through the same least squares; errors of the reference are relative.
DENSE = 1e-9


def dense_leads(frame: pd.DataFrame, early: int, weight: str | None, covariate: str | None):
    """Regress untreated outcomes on all leads but the last with dense dummies; CR1 as fixest, unit effects nested in clusters."""
    kept = frame[~(frame["quarter"] >= frame["cohort"] - early)].copy()
    time = kept["quarter"] - kept["cohort"]
    leads = sorted(time[time < -1 - early].unique())
    x = np.column_stack([(time == e).astype(float) for e in leads])
    if covariate:
        x = np.column_stack([x, kept[covariate]])
    units, quarters = pd.get_dummies(kept["county"]), pd.get_dummies(kept["quarter"]).iloc[:, 1:]
    full = np.column_stack([x, units, quarters]).astype(float)
    mass = kept[weight].to_numpy() if weight else np.ones(len(kept))
    inverse = np.linalg.pinv(full.T @ (full * mass[:, None]))
    solution = inverse @ full.T @ (mass * kept["share"].to_numpy())
    scores = full * (mass * (kept["share"].to_numpy() - full @ solution))[:, None]
    sums = pd.DataFrame(scores).groupby(kept["county"].to_numpy()).sum().to_numpy()
    clusters, n = frame["county"].nunique(), len(kept)
    k = x.shape[1] + quarters.shape[1] + 1
    variance = inverse @ (sums.T @ sums) @ inverse * clusters / (clusters - 1) * (n - 1) / (n - k)
    size = len(leads)
    return leads, solution[:size], np.sqrt(np.diag(variance)[:size])


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("early", [0, 1])
@pytest.mark.parametrize("weight", [None, "weight"])
@pytest.mark.parametrize("covariate", [None, "share_65"])
def test_leads_are_the_regression_on_untreated_observations(missing, early, weight, covariate):
    frame = simulate(31, n_units=30, n_periods=9, cohorts=(5, 7, None), missing=missing)
    panel = diagnose(frame, weight=weight, covariates=(covariate,) if covariate else (), anticipation=early)
    event = ea.estimate(panel, "imputation", pretrends="leads").aggregate("event_time")
    table = ea.infer(event, vcov="reference").set_index("event_time")
    leads, value, error = dense_leads(frame, early, weight, covariate)
    np.testing.assert_allclose(table.loc[leads, "estimate"], value, rtol=DENSE, atol=DENSE)
    np.testing.assert_allclose(table.loc[leads, "std_error"], error, rtol=DENSE)
    reference = event.cells.set_index("event_time").loc[-1 - early]
    assert reference["reason"] == "reference period: zero by construction"
    assert table.loc[-1 - early, "estimate"] == 0


@pytest.mark.parametrize("by", ["overall", "event_time", "cohort", "calendar"])
def test_leads_move_no_effect(by):
    panel = diagnose(simulate(32, missing=0.05))
    plain, both = (ea.estimate(panel, "imputation", pretrends=choice) for choice in ("none", "leads"))
    one, other = (ea.infer(effects.aggregate(by), vcov="reference") for effects in (plain, both))
    other = other[other["event_time"] >= 0].reset_index(drop=True) if by == "event_time" else other
    columns = ["n_treated", "n_comparison", "estimate", "std_error"]
    pd.testing.assert_frame_equal(one[columns], other[columns], rtol=DENSE)


def test_the_jackknife_fits_leads_again():
    panel = diagnose(simulate(33, n_units=21))
    event = ea.estimate(panel, "imputation", pretrends="leads").aggregate("event_time")
    found = ea.infer(event, vcov="CR3").set_index("event_time").loc[-3, "std_error"]
    without = []
    for unit in range(panel.n_units):
        again = ea.estimate(panel.subset(np.arange(panel.n_units) != unit), "imputation", pretrends="leads")
        without.append(again.aggregate("event_time").tidy().set_index("event_time").loc[-3, "estimate"])
    deviations = np.array(without) - np.mean(without)
    by_hand = np.sqrt((panel.n_units - 1) / panel.n_units * (deviations**2).sum())
    full = event.tidy().set_index("event_time").loc[-3, "estimate"]
    about_full = np.sqrt((panel.n_units - 1) / panel.n_units * ((np.array(without) - full) ** 2).sum())
    assert min(abs(found - by_hand), abs(found - about_full)) < DENSE


def test_leads_find_a_trend_and_bound_the_effect():
    frame = simulate(34, n_units=120, effect=0.03)
    drift = 0.02 * (frame["quarter"] - 4) * frame["cohort"].notna()
    calm, drifting = (
        ea.estimate(diagnose(table), "imputation", pretrends="leads").aggregate("event_time")
        for table in (frame, frame.assign(share=frame["share"] - 0.2 + drift))
    )
    p_value = [ea.pretrend_test(event).table.set_index("test").loc["Wald", "p_value"] for event in (calm, drifting)]
    assert p_value[0] > 0.05 > 1e-6 > p_value[1]
    window = calm.select(event_time=range(-3, 2))
    bounds = ea.honest(window, m=[0, 1], points=50, draws=64)
    assert bounds.table["conf_low"].iloc[1] < bounds.table["conf_low"].iloc[0]
    assert "effects from all periods before it" in bounds.table["note"].iloc[0]
    assert (ea.pretrend_power(window).table["slope"] > 0).all()


def test_leads_without_a_never_treated_unit_are_known_up_to_a_line():
    frame = simulate(35, cohorts=(4, 6, 8))
    event = ea.estimate(diagnose(frame), "imputation", pretrends="leads").aggregate("event_time")
    lost = event.cells["reason"].str.contains("collinear with the fixed effects")
    assert lost.any()
    assert np.isnan(event.value[lost.to_numpy()]).all()


def test_a_test_of_the_time_before_names_the_option():
    event = ea.estimate(diagnose(simulate(36)), "imputation").aggregate("event_time")
    with pytest.raises(ea.EvalaidError, match="imputation with pretrends='leads'"):
        ea.pretrend_test(event)
    with pytest.raises(ea.EvalaidError, match="imputation with pretrends='leads'"):
        ea.honest(event)
