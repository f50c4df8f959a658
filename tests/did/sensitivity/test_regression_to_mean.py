"""Regression to the mean: what choosing units with a low baseline produces by itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import DesignError, NotIdentifiedError
from evalaid.did.sensitivity.power.process import Process
from evalaid.did.sensitivity.sample.similar_history import count_matches

ROUNDING = 1e-9
LASTING = Process(1.0, 1.0, 0.5, 1.0)  # a third permanent, a third fading, a third gone a period later


def frame_of(outcome: np.ndarray, cohort: np.ndarray) -> pd.DataFrame:
    n_units, n_periods = outcome.shape
    return pd.DataFrame({
        "county": np.repeat([f"C{i:04d}" for i in range(n_units)], n_periods),
        "quarter": np.tile(np.arange(n_periods), n_units),
        "cohort": np.repeat(cohort, n_periods), "share": outcome.ravel(),
    })  # fmt: skip


def chosen_low(seed: int, n_units=200, n_periods=6, start=4, process=LASTING, strength=1.0, share=0.25) -> pd.DataFrame:
    """Simulate a panel without any effect whose treated units had low outcomes in the last period before."""
    rng = np.random.default_rng(seed)
    outcome = process.draw(rng, n_units, np.arange(n_periods))
    standard = (outcome[:, start - 1] - outcome[:, start - 1].mean()) / outcome[:, start - 1].std()
    score = strength * standard + np.sqrt(1 - strength**2) * rng.normal(size=n_units)
    low = np.argsort(score)[: int(share * n_units)]
    cohort = np.full(n_units, np.nan)
    cohort[low] = start
    return frame_of(outcome, cohort)


def plain(frame: pd.DataFrame, **options) -> ea.Design:
    return diagnose(frame, outcome_unit="number", **options)


def test_the_case_computed_by_hand():
    """Two periods before, one after; a and b are chosen, c to g compared; all of a deviation is gone a period later."""
    outcome = np.array([
        [1.0, -2.0, 0.5], [0.0, -1.0, 0.0],
        [-1.0, 1.0, 0.0], [0.0, 2.0, 1.0], [1.0, 3.0, 1.0], [-1.0, 0.0, -1.0], [0.0, -1.0, 0.0],
    ])  # fmt: skip
    found = ea.regression_to_mean(plain(frame_of(outcome, np.array([2, 2] + [np.nan] * 5))), draws=2)
    row = found.selection.iloc[0]
    assert (row["baseline"], row["n_treated"], row["n_at_risk"]) == ("1", 2, 7)
    assert row["shortfall"] == pytest.approx(2 / 7 + 1.5)  # mean of the seven 2 / 7, of the two -1.5
    assert row["shortfall_sd"] == pytest.approx((2 / 7 + 1.5) / outcome[:, 1].std(ddof=1))
    cell = found.expected.iloc[0]
    assert cell["baseline_gap"] == pytest.approx(-1.5 - 1.0)
    # change of c to g -1, -1, -2, -1, 1 on baselines 1, 2, 3, 0, -1: slope -6 / 10
    assert cell["expected_regression"] == pytest.approx(-2.5 * -0.6)
    # deviations from period means do not last at all here: half the mean squared change exceeds their variance
    assert found.process.reliability(1) == pytest.approx(0, abs=ROUNDING)
    assert cell["expected"] == pytest.approx(2.5)
    assert found.expected["label"].tolist() == ["2", "all"]


@pytest.mark.parametrize(
    ("process", "lasting"), [(Process(1.0, 0.0, 0.0, 0.0), 1.0), (Process(0.0, 0.0, 0.0, 1.0), 0.0)]
)
def test_what_lasts_for_good_does_not_return_and_what_passes_returns_in_full(process, lasting):
    found = ea.regression_to_mean(plain(chosen_low(1, process=process)), draws=20)
    cells = found.expected.dropna(subset="cohort")
    assert cells["reliability"].to_numpy() == pytest.approx(lasting, abs=0.12)
    assert cells["expected"].to_numpy() == pytest.approx(
        -(1 - cells["reliability"]) * cells["baseline_gap"], abs=ROUNDING
    )
    assert found.simulated["bias"].iloc[0] == pytest.approx(-(1 - lasting) * cells["baseline_gap"].mean(), abs=0.3)


def test_the_rise_expected_is_the_rise_that_comes_without_any_effect():
    """Over panels without an effect the estimate, the formula, the regression and the simulation agree on average."""
    seen = []
    for seed in range(16):
        found = ea.regression_to_mean(plain(chosen_low(seed, strength=0.6)), draws=4, seed=seed)
        overall = found.expected.iloc[-1]
        seen.append((
            found.matched["estimate"].iloc[0], overall["expected"], overall["expected_regression"],
            found.simulated["bias"].iloc[0], found.matched["estimate"].iloc[1],
        ))  # fmt: skip
    mean, error = np.mean(seen, axis=0), np.std(seen, axis=0) / np.sqrt(len(seen))
    assert mean[0] > 10 * error[0]  # the bias is there
    for k in (1, 2, 3):
        assert abs(mean[k] - mean[0]) < 4 * np.hypot(error[k], error[0])
    # Matching on the last three periods leaves little of it: only the noise in the matches.
    assert abs(mean[4]) < 0.35 * mean[0]


def test_the_rule_behind_the_choice_is_found_again():
    for strength in (0.0, 0.5, 1.0):
        found = ea.regression_to_mean(plain(chosen_low(7, n_units=2000, strength=strength)), draws=2)
        assert found.selection["strength"].iloc[0] == pytest.approx(strength, abs=0.1)


def test_a_method_that_compares_with_more_periods_is_biased_less():
    design = plain(chosen_low(3))
    last, every = (ea.regression_to_mean(design, method, draws=30) for method in ("callaway_santanna", "imputation"))
    pd.testing.assert_frame_equal(last.expected, every.expected)  # the formula is about the last period before
    for k in (0, 1):
        difference = last.simulated["bias"][k] - every.simulated["bias"][k]
        assert difference > 4 * np.hypot(
            last.simulated["monte_carlo_error"][k], every.simulated["monte_carlo_error"][k]
        )


def test_a_longer_window_is_averaged():
    design = plain(chosen_low(4))
    found = ea.regression_to_mean(design, window=3, draws=2)
    assert found.selection["baseline"].iloc[0] == "1 to 3"
    matrices = design.matrices
    baseline = matrices.outcome[:, 1:4].mean(axis=1)
    treated = ~np.isnan(matrices.cohort)
    gap = baseline[treated].mean() - baseline[~treated].mean()
    assert found.expected["baseline_gap"].iloc[0] == pytest.approx(gap)
    covariance = found.process.covariance(matrices.periods)
    weight = np.array([0, 1, 1, 1, 0, 0]) / 3
    slope = (covariance[4] - covariance[3]) @ weight / (weight @ covariance @ weight)
    assert found.expected["expected"].iloc[0] == pytest.approx(gap * slope)


def test_one_period_before_is_a_result_with_a_reason():
    found = ea.regression_to_mean(plain(chosen_low(5, start=1)), draws=3)
    assert found.process is None
    assert found.reason == (
        "1 period comes before the first cohort reacts, and the process needs two in which nobody is treated"
    )
    assert found.expected["expected"].isna().all()
    assert found.expected["expected_regression"].notna().all()  # comparison units still show it
    assert found.simulated.loc[0, "note"] == found.reason
    assert found.simulated.loc[1, "bias"] > 0
    assert found.text().endswith(f"No process: {found.reason}.")


def test_clusters_that_were_chosen_as_a_whole_are_the_units():
    frame = chosen_low(6, n_units=40)
    twice = pd.concat([frame, frame.assign(county="D" + frame["county"])]).assign(
        area=lambda table: table["county"].str[-4:]
    )
    by_area = ea.regression_to_mean(plain(twice, cluster="area"), draws=3)
    alone = ea.regression_to_mean(plain(frame), draws=3)
    assert (by_area.unit, alone.unit) == ("cluster", "unit")
    pd.testing.assert_frame_equal(by_area.selection, alone.selection)
    pd.testing.assert_frame_equal(by_area.expected, alone.expected)


def test_without_never_treated_units_there_is_nobody_to_match_with():
    frame = simulate(91, cohorts=(4, 6))
    found = ea.regression_to_mean(diagnose(frame), "imputation", draws=3)
    assert found.matched["note"].iloc[1] == "0 never-treated units: nobody to match with over the whole panel"
    assert found.simulated["note"].iloc[1] == "0 never-treated units are too few to choose among"
    assert found.simulated["bias"].notna().tolist() == [True, False]
    assert found.selection["n_at_risk"].tolist() == [40, 20]
    assert "every unit at risk was chosen" in found.selection["note"].iloc[1]
    with pytest.raises(NotIdentifiedError):
        ea.regression_to_mean(diagnose(frame), "callaway_santanna", comparison="never_treated")


def test_matches_are_the_closest_histories():
    outcome = np.array([[0.0, 0.0, 5.0], [1.0, 1.0, 5.0], [0.1, 0.0, 0.0], [1.1, 1.0, 1.0], [9.0, 9.0, 9.0]])
    matrices = plain(frame_of(outcome, np.array([2, 2, np.nan, np.nan, np.nan]))).matrices
    counts, note = count_matches(matrices, 0, 1)
    assert (counts.tolist(), note) == ([0, 0, 1, 1, 0], "")
    assert count_matches(matrices, 0, 9)[0].tolist() == [0, 0, 2, 2, 2]


def test_all_never_treated_units_as_matches_is_the_estimate_itself():
    design = plain(chosen_low(8, n_units=40))
    table = ea.regression_to_mean(design, draws=2, neighbours=1000).matched
    assert table["sample"].tolist() == ["all comparison units", "matched on history"]
    assert table["estimate"].iloc[1] == pytest.approx(table["estimate"].iloc[0], abs=ROUNDING)
    assert table["change"].iloc[1] == pytest.approx(0, abs=ROUNDING)
    assert "30 of 30 never-treated units, weighted" in table["note"].iloc[1]


def test_a_method_without_weights_takes_the_matched_units_as_they_are():
    frame = chosen_low(9, n_units=24, share=0.2)
    table = ea.regression_to_mean(plain(frame), "synthetic_did", draws=2, neighbours=1).matched
    assert "weighted" not in str(table["note"].iloc[1])
    assert np.isfinite(table["estimate"].iloc[1])


def test_order_units_and_seeds():
    frame = chosen_low(10, n_units=60)
    design = plain(frame)
    found, same = (ea.regression_to_mean(design, draws=5, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(found.simulated, same.simulated)
    shuffled = ea.regression_to_mean(plain(frame.sample(frac=1, random_state=1)), draws=5, seed=3)
    pd.testing.assert_frame_equal(found.expected, shuffled.expected)
    scaled = ea.regression_to_mean(plain(frame.assign(share=100 * frame["share"])), draws=5, seed=3)
    for table, column in (("expected", "expected"), ("expected", "std_error"), ("simulated", "bias")):
        one, other = getattr(found, table)[column], getattr(scaled, table)[column]
        assert other.to_numpy() == pytest.approx(100 * one.to_numpy(), rel=1e-6)
    assert found.expected["reliability"].dropna().to_numpy() == pytest.approx(
        scaled.expected["reliability"].dropna().to_numpy()
    )


@pytest.mark.slow
def test_the_jackknife_error_is_the_spread_over_panels():
    """Over repeated panels the rise by the comparison units' regression varies as its error says, within two fifths."""
    rows = [
        ea.regression_to_mean(plain(chosen_low(seed, n_units=120)), draws=2).expected.iloc[-1] for seed in range(40)
    ]
    table = pd.DataFrame(rows)
    for column, error in (("expected", "std_error"), ("expected_regression", "std_error_regression")):
        assert table[error].mean() == pytest.approx(table[column].std(), rel=0.4)


def test_gaps_in_the_panel_are_left_out_and_progress_is_told():
    seen: list[tuple[int, int]] = []
    found = ea.regression_to_mean(
        diagnose(simulate(92, missing=0.1)), draws=3, progress=lambda done, total: seen.append((done, total))
    )
    assert found.expected["expected"].notna().any()
    assert found.text()
    assert seen[-1] == (len(seen), len(seen))


def test_what_cannot_be_asked_is_refused_with_all_faults():
    with pytest.raises(DesignError) as caught:
        ea.regression_to_mean(plain(chosen_low(1, n_units=20)), window=0, neighbours=0, draws=1)
    for text in ("window=0 found", "neighbours=0 found", "draws=1 found; a whole number of at least 2"):
        assert text in str(caught.value)
    with pytest.raises(DesignError, match="there is no baseline"):
        ea.regression_to_mean(plain(chosen_low(1, n_units=20), anticipation=4))


def test_targeting_in_the_simulated_counties_is_seen_and_no_targeting_is_not():
    """Counties chosen for a low share of the quarters before rise by some tenths of a point without any effect."""
    from evalaid.simulate.generators import simulate as simulate_programme

    means = {}
    for targeting in (0.0, 2.0):
        rows = []
        for seed in range(2):
            frame = simulate_programme(
                "guangdong", effect_pp=0.0, seed=seed, concurrent_pp=0.0, spillover=0.0, targeting=targeting
            ).frame
            frame = frame[frame["quarter"].astype(str) <= "2019Q4"]
            design = ea.diagnose(frame, "adcode", "quarter", "share", "cohort")
            found = ea.regression_to_mean(design, draws=2)
            rows.append((found.selection["shortfall_sd"].iloc[0], 100 * found.expected["expected"].iloc[-1]))
        means[targeting] = np.mean(rows, axis=0)
    assert means[2.0][0] > 1 > 0.6 > abs(means[0.0][0])
    assert 0.2 < means[2.0][1] < 0.6
    assert abs(means[0.0][1]) < 0.5 * means[2.0][1]
