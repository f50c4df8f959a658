"""Intervals around bounds from a panel: identities, a case by hand, and how often they hold the effect."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import InferenceError
from evalaid.did.sensitivity.bounds.bound_errors import CENTRES, centres, widen
from evalaid.did.sensitivity.bounds.bounds import bound_effect

ROUNDING = 1e-9
LEVEL = 0.95
UNITS, TREATED, DRAWS, MORE = 40, 20, 120, 600
START, PERIODS = 2, 4
EFFECT, M, NOISE = 3.0, 0.5, 1.0


@pytest.mark.parametrize("freedom", [None, 5.0])
@pytest.mark.parametrize("apart", [0.0, 0.1, 1.0, 3.0, 40.0])
def test_the_critical_value_solves_its_equation(freedom, apart):
    low, high = widen(0.0, apart, 1.0, LEVEL, freedom)
    below = norm.cdf if freedom is None else lambda x: t.cdf(x, freedom)
    assert -low == pytest.approx(high - apart)
    assert below(-low + apart) - below(low) == pytest.approx(LEVEL, abs=1e-8)


def test_the_interval_is_two_sided_where_bounds_meet_and_one_sided_where_they_lie_apart():
    assert widen(1.0, 1.0, 2.0, LEVEL)[1] == pytest.approx(1 + 2 * norm.ppf(0.975))
    assert widen(0.0, 100.0, 2.0, LEVEL)[0] == pytest.approx(-2 * norm.ppf(0.95))
    assert widen(0.0, 1.0, 0.0, LEVEL) == (0.0, 1.0)
    assert np.isnan(widen(0.0, 1.0, np.nan, LEVEL)).all()


def panel(rng, drift=M, comparison_drift=0.0):
    """Twenty of forty units treated in the third of four periods; without the programme they drift away by ``drift`` a period."""
    treated = np.arange(UNITS) < TREATED
    steps = np.arange(PERIODS)
    after = np.maximum(steps - (START - 1), 0)
    y = 5 * rng.normal(size=(UNITS, 1)) + NOISE * rng.normal(size=(UNITS, PERIODS))
    y = y + (comparison_drift + drift * treated[:, None]) * after + EFFECT * (treated[:, None] & (steps >= START))
    unit, period = (grid.ravel() for grid in np.mgrid[:UNITS, :PERIODS])
    return pd.DataFrame(
        {"unit": unit, "year": 2018 + period, "y": y.ravel(), "start": np.where(treated[unit], 2018.0 + START, np.nan)}
    )


def of(frame, **options):
    return ea.diagnose(frame, "unit", "year", "y", "start", **options)


def test_without_any_deviation_the_interval_is_that_of_the_estimate():
    design = of(panel(np.random.default_rng(1)))
    frame = bound_effect(design).frame.set_index("key")
    table = ea.infer(ea.estimate(design, "callaway_santanna", base_period="universal"))
    table = table[table["period"] >= 2020].set_index("period")
    overall = ea.infer(ea.estimate(design, "callaway_santanna").aggregate("overall")).iloc[0]
    for period, row in [*((str(p), table.loc[p]) for p in table.index), ("all", overall)]:
        key = f"2020.{period}" if period != "all" else "all"
        found = frame.loc[f"{key}.difference_variation.m_0"]
        assert found["lower"] == pytest.approx(row["estimate"])
        assert (found["conf_low"], found["conf_high"]) == pytest.approx((row["conf_low"], row["conf_high"]), abs=1e-7)
        assert found["vcov"] == row["vcov"]


@pytest.mark.parametrize("options", [{}, {"cluster": "prefecture"}, {"weight": "weight"}])
def test_with_few_treated_clusters_the_errors_leave_out_each_cluster(options):
    """CR3 by hand: the centres estimated again without each cluster."""
    design = diagnose(simulate(5, n_units=16, cohorts=(4, None)), **options)
    whole = centres(design)
    table = ea.infer(whole)
    assert set(table["vcov"]) == {"CR3"}
    matrices = design.matrices
    again = [centres(design.subset(matrices.cluster != g)).value for g in range(matrices.n_clusters)]
    count = matrices.n_clusters
    expected = np.sqrt((count - 1) / count * ((np.array(again) - whole.value) ** 2).sum(axis=0))
    np.testing.assert_allclose(table["std_error"], expected, rtol=1e-6)
    assert whole.cells["parameter"].tolist()[: len(CENTRES)] == list(CENTRES)


@pytest.mark.parametrize("options", [{}, {"cluster": "prefecture"}, {"weight": "weight"}])
@pytest.mark.parametrize(("missing", "cohorts"), [(0.0, (4, 6, None)), (0.15, (4, 6, None)), (0.0, (4, 6))])
def test_the_centres_without_a_cluster_are_those_of_the_others(options, missing, cohorts):
    design = diagnose(simulate(9, n_units=24, missing=missing, cohorts=cohorts), **options)
    whole, codes = centres(design), design.matrices.cluster
    count = design.matrices.n_clusters
    found = whole.leave_out(codes, count)
    again = [whole.refit(codes != g).value for g in range(count)]
    np.testing.assert_allclose(found, again, atol=ROUNDING)
    assert np.isfinite(found).any()


def test_without_all_that_there_is_of_a_mean_there_is_no_closed_form():
    design = diagnose(simulate(9, n_units=12, cohorts=(4, *[None] * 11)))
    whole = centres(design)
    assert whole.leave_out(np.arange(12), 12) is None


def test_the_influence_sums_to_zero_and_moves_the_centres():
    design = diagnose(simulate(6, n_units=20, missing=0.1), weight="weight")
    influence = centres(design).influence.matrix()
    assert np.abs(influence.sum(axis=0)).max() < ROUNDING


def test_intervals_widen_with_m_and_hold_the_bounds():
    frame = bound_effect(of(panel(np.random.default_rng(2))), m=[0, 0.5, 1, 2], trend="before").frame
    known = frame[frame["lower"].notna()]
    assert (known["conf_low"] <= known["lower"] + ROUNDING).all()
    assert (known["conf_high"] >= known["upper"] - ROUNDING).all()
    for _, group in known[known["assumption"] != "logical"].groupby(["cohort", "period", "assumption"]):
        assert (np.diff(group.sort_values("m")["conf_low"]) < 0).all()
    both = frame[frame["assumption"] == "time_and_difference"]["conf_high"].to_numpy()
    half = bound_effect(of(panel(np.random.default_rng(2))), m=[0, 0.5, 1, 2], level=1 - (1 - LEVEL) / 2).frame
    ends = [
        half[half["assumption"] == name]["conf_high"].to_numpy() for name in ("time_variation", "difference_variation")
    ]
    np.testing.assert_allclose(both, np.minimum(*ends))  # each with half of the error


def test_a_share_is_scaled_with_its_intervals():
    design = diagnose(simulate(7, n_units=30))
    one, other = bound_effect(design, m=[0.01]), bound_effect(design, m=[0.01]).scaled(100, "pp")
    for name in ("conf_low", "conf_high"):
        np.testing.assert_allclose(100 * one.frame[name], other.frame[name])
    logical = one.frame[(one.frame["assumption"] == "logical") & (one.frame["cohort"] == "all")].iloc[0]
    assert logical["conf_low"] < logical["lower"]


def test_one_treated_unit_shows_no_error_and_published_figures_have_none():
    frame = simulate(8, n_units=12, cohorts=(4, *[None] * 11))
    found = bound_effect(diagnose(frame), m=[0.01]).frame
    assert found["conf_low"].isna().all()
    assert found["note"].str.contains("no error can be seen|no variation between clusters").all()
    assert "conf_low" not in bound_effect(82.2, 86.9, m=1).frame
    with pytest.raises(InferenceError, match="a coverage between 0 and 1"):
        bound_effect(diagnose(frame), level=95)


def count_hits(
    draws: int, *, drift: float, seed: int, assumption: str = "difference_variation", **options
) -> tuple[int, int]:
    """Count the panels in which the interval, and the bounds alone, hold the effect in the second period after the start."""
    rng = np.random.default_rng(seed)
    inside = alone = 0
    for _ in range(draws):
        frame = bound_effect(of(panel(rng, drift, **options)), m=[M]).frame.set_index("key")
        row = frame.loc[f"2020.2021.{assumption}.m_0_5"]
        inside += row["conf_low"] <= EFFECT <= row["conf_high"]
        alone += row["lower"] <= EFFECT <= row["upper"]
    return inside, alone


@pytest.mark.slow
def test_the_interval_holds_the_effect_at_the_edge_of_its_bounds_and_the_bounds_alone_do_not():
    """The drift is the largest that M allows: bounds without sampling error miss the effect in half of the panels."""
    inside, alone = count_hits(DRAWS, drift=M, seed=20)
    error = np.sqrt(DRAWS * LEVEL * (1 - LEVEL))
    assert abs(inside - LEVEL * DRAWS) < 4 * error
    assert alone < 0.65 * DRAWS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("drift", "assumption", "options", "exact"),
    [
        (M, "difference_variation", {}, True),
        (-M, "difference_variation", {}, True),
        (0.0, "difference_variation", {}, False),
        (M, "time_variation", {}, True),
        (M, "time_and_difference", {}, False),
        (0.0, "time_and_difference", {"comparison_drift": M}, False),
    ],
)
def test_intervals_hold_the_effect_as_often_as_they_say(drift, assumption, options, exact):
    """At an edge exactly, inside the bounds and with two limits at least."""
    inside, _ = count_hits(MORE, drift=drift, seed=21, assumption=assumption, **options)
    error = np.sqrt(MORE * LEVEL * (1 - LEVEL))
    assert inside > LEVEL * MORE - 4 * error
    if exact:
        assert inside < LEVEL * MORE + 4 * error
