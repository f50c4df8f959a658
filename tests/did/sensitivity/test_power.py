"""The serial process of untreated outcomes and the smallest effect that a design would have found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import DesignError, EstimationError
from evalaid.did.sensitivity.power import power as power_module
from evalaid.did.sensitivity.power.process import Process, Semivariogram, deviations, fit_process, moments_of, untreated
from evalaid.did.sensitivity.power.residuals import fit_residual_process, residual_source

ROUNDING = 1e-8  # exact up to float64 in sums of a few hundred terms
BINOMIAL = 4  # binomial standard errors within which a simulated share has to lie
T_QUANTILES = 1.984 + 0.845  # t(199) at 0.975 and 0.8: the usual 2.8 standard errors


def moments(process: Process, lags: np.ndarray) -> Semivariogram:
    half = process.fading * (1 - process.rho**lags) + process.transitory
    return Semivariogram(lags, half, np.ones(len(lags)), process.variance)


def noise(n_units=200, n_periods=2, sd=1.0, seed=1, start=1.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    unit, period = (grid.ravel() for grid in np.mgrid[:n_units, :n_periods])
    return pd.DataFrame({
        "county": unit, "quarter": period, "cohort": np.where(unit % 2 == 0, start, np.nan),
        "share": sd * rng.normal(size=n_units * n_periods) + 10 * rng.normal(size=n_units)[unit] + period,
    })  # fmt: skip


def plain(frame: pd.DataFrame, **options) -> ea.Design:
    return diagnose(frame, outcome_unit="number", **options)


@pytest.mark.parametrize(
    ("process", "periods"),
    [
        (Process(3.0, 2.0, 0.5, 1.0), 4),
        (Process(3.0, 2.0, 0.5, 1.0), 12),
        (Process(0.0, 1.0, 0.9, 0.0), 6),
        (Process(1.0, 0.0, 0.0, 2.0), 2),
        (Process(1.0, 0.0, 0.0, 2.0), 6),
        (Process(4.0, 1.0, 0.3, 0.0), 3),
    ],
)
def test_a_process_is_found_again_from_its_own_moments(process, periods):
    found = fit_process(moments(process, np.arange(1.0, periods)))
    assert [found.level, found.fading, found.rho, found.transitory] == pytest.approx(
        [process.level, process.fading, process.rho, process.transitory], abs=1e-6
    )


def test_trends_of_units_are_told_from_shocks_that_stay():
    lags = np.arange(1.0, 9.0)
    half = 0.4 + 2.0 * (1 - 0.6**lags) + 0.3 * lags**2 / 2
    found = fit_process(Semivariogram(lags, half, np.ones(8), np.nan), trends=True)
    assert [found.fading, found.rho, found.transitory, found.slope] == pytest.approx([2.0, 0.6, 0.4, 0.3], abs=1e-6)
    assert [found.half_square(lag) for lag in lags] == pytest.approx(half.tolist())
    paths = found.draw(np.random.default_rng(1), 5000, np.arange(5))
    drawn = moments_of(paths - paths.mean(axis=0), np.ones_like(paths, dtype=bool), np.arange(5), np.arange(5000))
    assert drawn.half_squares == pytest.approx(half[:4], rel=0.06)
    assert fit_process(Semivariogram(lags, half, np.ones(8), np.nan)).slope == 0


def test_moments_computed_by_hand_and_without_levels():
    values = np.array([[1.0, 3.0, -1.0], [-1.0, -3.0, 1.0]])
    seen, periods, group = np.ones((2, 3), dtype=bool), np.array([2015, 2016, 2018]), np.arange(2)
    found = moments_of(values, seen, periods, group)
    assert found.lags.tolist() == [1, 2, 3]  # 2015-2016, 2016-2018, 2015-2018
    # mean squared differences 4, 16 and 4; halved; times G / (G - 1) = 2
    assert found.half_squares.tolist() == pytest.approx([4, 16, 4])
    assert found.variance == pytest.approx(2 * 22 / 6)
    moved = moments_of(values + np.array([[7.0], [-2.0]]), seen, periods, group)
    assert moved.half_squares == pytest.approx(found.half_squares)


def test_a_process_is_recovered_from_draws():
    true, periods = Process(3.0, 2.0, 0.6, 1.0), np.arange(8)
    paths = true.draw(np.random.default_rng(5), 4000, periods)
    assert np.cov(paths, rowvar=False) == pytest.approx(
        true.covariance(periods), abs=0.5
    )  # variances are known to 0.13
    found = fit_process(moments_of(paths, np.ones_like(paths, dtype=bool), periods, np.arange(4000)))
    for lag in (1, 3, 7):
        assert found.reliability(lag) == pytest.approx(true.reliability(lag), abs=0.03)


def test_one_period_tells_nothing_of_the_process():
    with pytest.raises(DesignError, match=r"at least two periods; there are none\. Add earlier periods"):
        moments_of(np.ones((3, 1)), np.ones((3, 1), dtype=bool), np.array([1]), np.arange(3))


def test_what_units_of_a_cluster_share_is_told_from_their_own():
    rng = np.random.default_rng(2)
    own, shared = Process(1.0, 0.0, 0.0, 1.0), Process(0.0, 0.0, 0.0, 2.0)
    clusters, unit = np.arange(1600) // 4, np.arange(1600)
    y = own.draw(rng, 1600, np.arange(6)) + shared.draw(rng, 400, np.arange(6))[clusters]
    frame = pd.DataFrame({
        "county": np.repeat(unit, 6), "prefecture": np.repeat(clusters, 6), "quarter": np.tile(np.arange(6), 1600),
        "cohort": np.repeat(np.where(clusters % 2 == 0, 4.0, np.nan), 6), "share": y.ravel(),
    })  # fmt: skip
    one, two = fit_residual_process(plain(frame, cluster="prefecture"))
    alone, nothing = fit_residual_process(plain(frame))
    assert nothing is None
    for lag in (1, 3):
        assert one.half_square(lag) == pytest.approx(1.0, abs=0.15)
        assert two.half_square(lag) == pytest.approx(2.0, abs=0.5)
        assert alone.half_square(lag) == pytest.approx(3.0, abs=0.5)


def test_the_parts_never_exceed_the_variance():
    walk = np.cumsum(np.random.default_rng(3).normal(size=(500, 6)), axis=1)
    walk -= walk.mean(axis=0)
    found = fit_process(moments_of(walk, np.ones_like(walk, dtype=bool), np.arange(6), np.arange(500)))
    assert found.variance == pytest.approx((walk**2).mean() * 500 / 499)
    against = fit_process(Semivariogram(np.array([1.0]), np.array([3.0]), np.ones(1), 2.0))
    assert (against.level, against.transitory, against.reliability(1)) == (0.0, 2.0, 0.0)


def test_drawn_residuals_have_the_covariance_of_those_seen():
    frame = simulate(81, n_units=300, cohorts=(6, None, None))
    design = diagnose(frame, cluster="prefecture")
    values = deviations(design.matrices)
    seen = untreated(design.matrices)
    rng = np.random.default_rng(1)
    for kind in ("paths", "model"):
        source, words = residual_source(diagnose(frame), kind)
        drawn = np.concatenate([source(rng) for _ in range(40)])
        group = np.arange(len(drawn))
        found = moments_of(drawn - drawn.mean(axis=0), np.ones_like(drawn, dtype=bool), design.matrices.periods, group)
        actual = moments_of(values, seen, design.matrices.periods, np.arange(300))
        assert found.half_squares == pytest.approx(actual.half_squares, rel=0.15), words


@pytest.mark.parametrize("residuals", ["paths", "model"])
def test_without_serial_correlation_it_is_the_formula(residuals):
    found = ea.minimum_detectable_effect(plain(noise()), "two_by_two", draws=500, residuals=residuals)
    standard_error = np.sqrt(2) * np.sqrt(1 / 100 + 1 / 100)  # two periods, a hundred units on either side, sd 1
    # The residuals are one sample of 100 or 200: their standard deviation is known to about 7 per cent.
    assert found.effect == pytest.approx(T_QUANTILES * standard_error, rel=0.2)
    assert found.analytic == pytest.approx(T_QUANTILES * standard_error, rel=0.2)
    assert found.monte_carlo_error < 0.1 * found.effect
    assert abs(found.size - 0.05) < BINOMIAL * np.sqrt(0.05 * 0.95 / 500)
    assert found.corrected == pytest.approx(found.effect, rel=0.15)


def test_one_pass_gives_what_simulating_every_effect_gives(monkeypatch):
    design = diagnose(simulate(82, n_units=60))
    effects = [0.002, 0.005, 0.01]
    once = ea.minimum_detectable_effect(design, "callaway_santanna", draws=40, effects=effects)
    monkeypatch.setattr(power_module._Simulation, "linear", lambda *_: False)
    again = ea.minimum_detectable_effect(design, "callaway_santanna", draws=40, effects=effects)
    pd.testing.assert_frame_equal(once.table, again.table)
    assert "simulated again at each effect" in again.note
    assert np.isnan(again.corrected)


def test_another_scale_is_not_linear_and_is_said_to_be_so():
    design = diagnose(simulate(83, n_units=60))
    found = ea.minimum_detectable_effect(design, "twfe", draws=30, scale="log_odds")
    assert "not linear in the outcome" in found.note
    assert 0 < found.effect < 0.05


def test_power_follows_units_seeds_and_the_number_of_units():
    frame = simulate(84, n_units=60)
    small, same = (ea.minimum_detectable_effect(diagnose(frame), "imputation", draws=60) for _ in range(2))
    pd.testing.assert_frame_equal(small.table, same.table)
    points = ea.minimum_detectable_effect(plain(frame.assign(share=100 * frame["share"])), "imputation", draws=60)
    assert points.effect == pytest.approx(100 * small.effect, rel=ROUNDING)
    assert points.table["power"].tolist() == small.table["power"].tolist()
    large = ea.minimum_detectable_effect(diagnose(simulate(84, n_units=240)), "imputation", draws=60)
    assert large.effect < 0.75 * small.effect  # four times the units: about half
    assert small.text().startswith("With imputation, an effect of ")
    other = ea.minimum_detectable_effect(diagnose(frame), "imputation", draws=60, seed=2)
    assert other.effect != small.effect
    frame = frame.sample(frac=1, random_state=3)
    assert ea.minimum_detectable_effect(diagnose(frame), "imputation", draws=60).effect == pytest.approx(small.effect)


def test_designs_with_gaps_and_without_never_treated_units_work():
    for frame in (simulate(85, missing=0.1), simulate(86, cohorts=(4, 6))):
        found = ea.minimum_detectable_effect(diagnose(frame, cluster="prefecture"), "imputation", draws=25)
        assert found.effect > 0
        assert found.process.startswith("fitted process: per unit")


def test_one_treated_cluster_has_no_interval_and_hence_no_power():
    frame = simulate(87, n_units=20, cohorts=(None,))
    frame.loc[frame["county"] == "C003", "cohort"] = 5.0
    found = ea.minimum_detectable_effect(diagnose(frame), "callaway_santanna", draws=20)
    assert np.isnan(found.effect)
    assert found.table.empty
    assert found.note.startswith("20 of 20 draws have no interval (one treated cluster")
    assert found.text().startswith("No minimum detectable effect of callaway_santanna: 20 of 20")


def test_few_treated_clusters_are_judged_by_the_jackknife_that_infer_takes():
    frame = simulate(88, n_units=20, cohorts=(None,), effect=0.0)
    frame.loc[frame["county"].isin(["C003", "C007", "C011"]), "cohort"] = 5.0
    design = diagnose(frame)
    found = ea.minimum_detectable_effect(design, "twfe", draws=20)
    row = ea.infer(ea.estimate(design, "twfe")).iloc[0]
    assert row["vcov"] == "CR3"
    degrees = float(row["distribution"][2:-1])
    shares = np.array([1 / 3, 1 / 17]) / (
        1 / 3 + 1 / 17
    )  # of the variance, by the three treated and the seventeen others
    assert degrees == pytest.approx(1 / (shares**2 / [3, 17]).sum() - 1, abs=0.005)  # stated with two decimals
    assert found.analytic == pytest.approx(t.ppf([0.975, 0.8], degrees).sum() * row["std_error"], rel=1e-3)


def test_progress_counts_the_draws():
    seen: list[tuple[int, int]] = []
    design = diagnose(simulate(89))
    ea.minimum_detectable_effect(design, "twfe", draws=20, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k, 20) for k in range(1, 21)]


def test_all_faults_are_named_at_once():
    design = diagnose(simulate(90))
    with pytest.raises(EstimationError) as caught:
        ea.minimum_detectable_effect(design, "twfe", power=1.2, level=0, draws=3)
    for text in ("power=1.2 found", "level=0 found", "draws=3 found; at least 20 are expected"):
        assert text in str(caught.value)
    with pytest.raises(EstimationError, match="residuals='bootstrap' is not a choice; choose auto, paths, model"):
        ea.minimum_detectable_effect(design, "twfe", residuals="bootstrap")
    everyone = diagnose(simulate(86, cohorts=(4, 6)))
    with pytest.raises(EstimationError, match=r"there are 0\. Use residuals='model'"):
        ea.minimum_detectable_effect(everyone, "imputation", residuals="paths")
    flat = plain(noise().assign(share=1.0))
    with pytest.raises(EstimationError, match="does not move the overall estimate"):
        ea.minimum_detectable_effect(flat, "two_by_two", draws=20)


def clustered(seed: int, effect: float = 0.0) -> ea.Design:
    """Simulate 160 units in 40 clusters; half of the clusters start in quarter 5; shocks fade, some are shared."""
    rng, periods, cluster = np.random.default_rng(seed), np.arange(8), np.arange(160) // 4
    y = Process(4.0, 1.0, 0.7, 0.5).draw(rng, 160, periods)
    y += Process(0.0, 0.5, 0.5, 0.2).draw(rng, 40, periods)[cluster]
    start = np.where(cluster % 2 == 0, 5.0, np.nan)
    y += effect * (periods >= start[:, None])
    frame = pd.DataFrame({
        "county": np.repeat(np.arange(160), 8), "prefecture": np.repeat(cluster, 8), "quarter": np.tile(periods, 160),
        "cohort": np.repeat(start, 8), "share": y.ravel(),
    })  # fmt: skip
    return plain(frame, cluster="prefecture")


@pytest.mark.slow
@pytest.mark.parametrize("residuals", ["paths", "model"])
def test_the_effect_is_found_as_often_as_it_says(residuals):
    """Averaged over five samples, the detectable effect is found in 80 per cent of new samples from the true process."""
    told = [
        ea.minimum_detectable_effect(clustered(seed), "imputation", draws=100, residuals=residuals).effect
        for seed in range(5)
    ]
    found = 0
    for seed in range(100, 300):
        row = ea.infer(ea.estimate(clustered(seed, np.mean(told)), "imputation").aggregate("overall")).iloc[0]
        found += row["conf_low"] > 0 or row["conf_high"] < 0
    # Beside the 200 new samples the five effects vary by a tenth, which moves the power by about 0.05.
    assert found / 200 == pytest.approx(0.8, abs=BINOMIAL * np.sqrt(0.8 * 0.2 / 200) + 0.05)
