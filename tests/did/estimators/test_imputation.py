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
