"""Local projections and stacks: clean comparisons in windows, by hand and against equal quantities."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from support.panels import counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import EstimationError

EXACT = 1e-11


@pytest.mark.parametrize("comparison", ["not_yet_treated", "never_treated"])
def test_local_projections_with_equal_weights_average_the_group_time_effects(comparison):
    panel = diagnose(counties())
    found = ea.estimate(panel, "lp_did", weighting="equal", comparison=comparison)
    santanna = ea.estimate(panel, "callaway_santanna", base_period="universal", comparison=comparison)
    np.testing.assert_allclose(found.value, santanna.aggregate("event_time").value, atol=EXACT)


@pytest.mark.parametrize("horizon", [-3, 0, 3])
@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_a_local_projection_is_the_regression_of_long_differences_with_its_cluster_errors(horizon, missing):
    frame = simulate(61, n_units=36, missing=missing)
    wide = frame.pivot_table(index="county", columns="quarter", values="share")
    cohort = frame.drop_duplicates("county").set_index("county")["cohort"].reindex(wide.index)
    pieces = []
    for start in sorted(cohort.dropna().unique()):
        if start + horizon not in wide:
            continue
        clean = cohort.isna() | (cohort > max(start + horizon, start))
        change = (wide[start + horizon] - wide[start - 1])[clean | (cohort == start)].dropna()
        pieces.append(
            change.rename("dy").reset_index().assign(start=start, treated=change.index.map(cohort == start).to_numpy())
        )
    stacked = pd.concat(pieces).assign(treated=lambda f: f["treated"].astype(float))
    codes = stacked["county"].astype("category").cat.codes
    model = smf.ols("dy ~ treated + C(start)", stacked).fit(
        cov_type="cluster", cov_kwds={"groups": codes, "use_correction": False}
    )
    row = ea.infer(ea.estimate(diagnose(frame), "lp_did"), vcov="CR0").set_index("event_time").loc[horizon]
    assert row["estimate"] == pytest.approx(model.params["treated"], abs=EXACT)
    assert row["std_error"] == pytest.approx(model.bse["treated"], rel=1e-8)


def test_a_stack_is_the_size_weighted_difference_of_means_against_clean_units():
    frame = counties()
    found = ea.estimate(diagnose(frame), "stacked", before=3, after=2).aggregate("event_time")
    means = frame.pivot_table(index="county", columns="quarter", values="share")
    cohort = frame.drop_duplicates("county").set_index("county")["cohort"].reindex(means.index)
    total, size = 0.0, 0
    for g in (5, 7, 9):
        change = means[g + 1] - means[g - 1]
        clean = cohort.isna() | (cohort > g + 2)
        total += (cohort == g).sum() * (change[cohort == g].mean() - change[clean].mean())
        size += (cohort == g).sum()
    at_one = found.tidy().set_index("event_time").loc[1, "estimate"]
    assert at_one == pytest.approx(total / size, abs=EXACT)


def test_cohorts_without_the_whole_window_are_missing_with_the_reason():
    cells = ea.estimate(diagnose(counties()), "stacked", before=6, after=2).tidy()
    assert set(cells.loc[cells["estimate"].notna(), "cohort"]) == {7, 9}
    assert (
        cells.loc[cells["cohort"] == 5, "reason"] == "the panel does not hold event times -6 to 2 of this cohort"
    ).all()


def test_a_window_that_no_cohort_has_is_refused():
    with pytest.raises(EstimationError, match="no cohort has the whole window from -9 to 9"):
        ea.estimate(diagnose(counties()), "stacked", before=9, after=9)
    with pytest.raises(EstimationError, match="at least -1 to 0 is expected"):
        ea.estimate(diagnose(counties()), "stacked", before=0)


def test_a_horizon_without_clean_units_has_a_reason():
    cells = ea.estimate(diagnose(simulate(62, cohorts=(4, 6))), "lp_did").tidy().set_index("event_time")
    assert np.isnan(cells.loc[2, "estimate"])
    assert "no unit is untreated at this horizon" in cells.loc[2, "reason"]
    assert np.isfinite(cells.loc[1, "estimate"])


# ---- three units by hand, and a known effect -----------------------------------------------------------------------------


def three_units() -> pd.DataFrame:
    """One county starts in 3, one in 4, one never."""
    return pd.DataFrame({
        "county": np.repeat(["a", "b", "c"], 4), "quarter": [1, 2, 3, 4] * 3, "cohort": [3.0] * 4 + [4.0] * 4 + [np.nan] * 4,
        "share": [0.50, 0.52, 0.60, 0.63, 0.40, 0.41, 0.43, 0.50, 0.70, 0.71, 0.73, 0.74],
    })  # fmt: skip


def test_three_units_in_a_stack_by_hand():
    found = ea.estimate(diagnose(three_units()), "stacked", before=2, after=0).tidy()
    by_cell = found.set_index(["cohort", "event_time"])["estimate"]
    # a in 3 against b and c, which are untreated through 3: 0.08 - (0.02 + 0.02) / 2; before: -0.02 + (0.01 + 0.01) / 2.
    assert by_cell[3, 0] == pytest.approx(0.06)
    assert by_cell[3, -2] == pytest.approx(-0.01)
    # b in 4 against c: 0.07 - 0.01; before: (0.41 - 0.43) - (0.71 - 0.73).
    assert by_cell[4, 0] == pytest.approx(0.06)
    assert by_cell[4, -2] == pytest.approx(0.0, abs=EXACT)


@pytest.mark.parametrize(("weighting", "share"), [("equal", 0.5), ("variance", (2 / 3) / (2 / 3 + 1 / 2))])
def test_three_units_in_local_projections_by_hand(weighting, share):
    found = (
        ea.estimate(diagnose(three_units()), "lp_did", weighting=weighting).tidy().set_index("event_time")["estimate"]
    )
    # At the start: a against b and c, 0.08 - 0.02; b against c, 0.07 - 0.01. One period on: a alone has it, against c.
    assert found[0] == pytest.approx(0.06)
    assert found[1] == pytest.approx((0.63 - 0.52) - (0.74 - 0.71))
    # Two before the start: a -0.02 + (0.01 + 0.01) / 2, b -0.02 + 0.02, weighed by units or by 1 * n / (1 + n), n = 2 and 1.
    assert found[-2] == pytest.approx(share * -0.01 + (1 - share) * 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["stacked", "lp_did"])
def test_intervals_cover_the_known_effect(method):
    """300 simulated panels: bias within four Monte Carlo errors, coverage of 95% intervals within four binomial errors."""
    draws, found, hits = 300, [], 0
    for seed in range(draws):
        row = ea.infer(ea.estimate(diagnose(simulate(seed)), method).aggregate("overall"), vcov="CR1").iloc[0]
        found.append(row["estimate"])
        hits += row["conf_low"] <= 0.03 <= row["conf_high"]
    assert abs(np.mean(found) - 0.03) < 4 * np.std(found) / np.sqrt(draws)
    assert abs(hits / draws - 0.95) < 4 * np.sqrt(0.95 * 0.05 / draws)


def dense_pooled(frame, after, window, covariate=None):
    """Regress the mean over the window minus the base on starting, with a dummy for every start, over units clean throughout."""
    wide = frame.pivot_table(index="county", columns="quarter", values="share")
    first = frame.drop_duplicates("county").set_index("county")["cohort"].reindex(wide.index)
    rows = []
    for start in sorted(first.dropna().unique()):
        times = [int(start) + h for h in window]
        if not set(times) <= set(wide.columns):
            continue
        clean = (first == start) | first.isna() | (first > max(*times, start))
        change = wide.loc[clean, times].mean(axis=1, skipna=False) - wide.loc[clean, int(start) - 1]
        rows.append(pd.DataFrame({"y": change, "d": (first[clean] == start).astype(float), "start": start}))
    table = pd.concat(rows).dropna()
    x = np.column_stack([table["d"], pd.get_dummies(table["start"]).to_numpy(float)])
    if covariate is not None:
        x = np.column_stack([x, covariate.reindex(table.index)])
    fit = sm.OLS(table["y"].to_numpy(), x).fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(table.index)[0], "use_correction": False}
    )
    return fit.params[0], fit.bse[0]


@pytest.mark.parametrize("missing", [0.0, 0.05])
@pytest.mark.parametrize("covariates", [(), ("log_gdp",)])
@pytest.mark.parametrize(("horizons", "window", "times"), [
    ("pooled_post", None, [0, 1, 2]), ("pooled_post", 3, [0, 1, 2, 3]), ("pooled_pre", None, [-3, -2]), ("pooled_pre", 1, [-2]),
])  # fmt: skip
def test_a_pooled_local_projection_is_one_regression_of_the_mean_over_its_window(
    horizons, window, times, covariates, missing
):
    frame = simulate(77, missing=missing)
    gdp = frame.drop_duplicates("county").set_index("county")["log_gdp"] if covariates else None
    wanted, error = dense_pooled(frame, horizons == "pooled_post", times, gdp)
    design = diagnose(frame, covariates=covariates)
    found = ea.estimate(design, "lp_did", horizons=horizons, window=window)
    assert found.value[0] == pytest.approx(wanted, abs=1e-9)
    assert ea.infer(found, vcov="CR0")["std_error"][0] == pytest.approx(error, abs=1e-9)
    assert f"event times {times[0]} to {times[-1]}" in found.estimand


def test_a_pooled_window_that_a_cohort_lacks_leaves_it_out_by_name():
    found = ea.estimate(diagnose(simulate(77)), "lp_did", horizons="pooled_post", window=4)
    assert found.cells["reason"][0].startswith("without the cohorts 6: not observed")
    assert found.cells["n_treated"][0] == 14
    with pytest.raises(EstimationError, match=r"window=9 found; the cohorts have at most 5 event times there"):
        ea.estimate(diagnose(simulate(77)), "lp_did", horizons="pooled_post", window=9)
    with pytest.raises(EstimationError, match="window=0 found; expected a whole number, 1 or more"):
        ea.estimate(diagnose(simulate(77)), "lp_did", horizons="pooled_pre", window=0)
