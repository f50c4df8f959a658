"""Efficient timing, treatment paths and triple differences: by hand, against equal quantities, by derivative."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.panels import counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import EstimationError
from evalaid.did.estimators.comparisons.efficient import _cells, _coefficients, _weights

EXACT = 1e-11


# ---- efficient ------------------------------------------------------------------------------------------------------


def parts(panel, estimand):
    matrices = panel.matrices
    sizes = np.diff(matrices.starts).astype(float)
    cohort, period = _cells(matrices)
    weights = _weights(estimand, cohort, period, matrices.periods[period] - matrices.cohorts[cohort], sizes)[1]
    after, before = _coefficients(matrices, cohort, period, weights, sizes)
    means = np.array([matrices.outcome[matrices.block(g)].mean(axis=0) for g in range(len(sizes))])
    return (after * means[:, :, None]).sum(axis=(0, 1)), (before * means[:, :, None]).sum(axis=(0, 1))


@pytest.mark.parametrize("estimand", ["overall", "event_time"])
def test_with_a_multiple_of_one_it_is_callaway_santanna(estimand):
    panel = diagnose(counties())
    after, before = parts(panel, estimand)
    santanna = ea.estimate(panel, "callaway_santanna", adjustment="none").aggregate(estimand)
    post = santanna.select(event_time=range(12)) if estimand == "event_time" else santanna
    np.testing.assert_allclose(after - before, post.value, atol=EXACT)


@pytest.mark.parametrize("estimand", ["overall", "event_time", "cohort", "calendar"])
def test_the_multiple_minimises_the_variance(estimand):
    panel = diagnose(counties())
    effects = ea.estimate(panel, "efficient", estimand=estimand)
    best = ea.infer(effects, vcov="reference")["std_error"]
    by = {"cohort": "cohort", "calendar": "calendar"}.get(estimand)
    santanna = ea.estimate(panel, "callaway_santanna", adjustment="none")
    other = (
        santanna.aggregate(by).aggregate("overall", weights="fixed") if by else santanna.aggregate(estimand, "fixed")
    )
    other = other.select(event_time=range(12)) if estimand == "event_time" else other
    factor = 1.1  # the reference divides by N_g - 1: cohorts of 11 to 21 units
    assert (best <= factor * ea.infer(other, vcov="CR0")["std_error"].to_numpy()).all()


def test_a_random_roll_out_is_estimated_without_bias_and_more_precisely():
    found = {"efficient": [], "callaway_santanna": []}
    rng = np.random.default_rng(1)
    for seed in range(40):
        frame = simulate(seed, n_units=60, effect=0.03)
        starts = rng.permutation(frame.drop_duplicates("county")["cohort"].to_numpy())
        cohort = frame["county"].map(dict(zip(frame["county"].unique(), starts, strict=True)))
        shift = 0.03 * (
            (frame["quarter"] >= cohort).astype(float) - (frame["quarter"] >= frame["cohort"]).astype(float)
        )
        panel = diagnose(frame.assign(cohort=cohort, share=frame["share"] + shift))
        found["efficient"].append(ea.estimate(panel, "efficient", estimand="overall").value[0])
        found["callaway_santanna"].append(ea.estimate(panel, "callaway_santanna").aggregate("overall").value[0])
    assert abs(np.mean(found["efficient"]) - 0.03) < 3 * np.std(found["efficient"]) / np.sqrt(40)
    assert np.std(found["efficient"]) < 1.05 * np.std(found["callaway_santanna"])


def test_a_cohort_of_one_unit_has_a_reason():
    frame = simulate(81, n_units=20, cohorts=(5, None))
    frame.loc[frame["county"] == "C000", "cohort"] = 7.0
    cells = ea.estimate(diagnose(frame), "efficient").tidy()
    assert cells["reason"].str.contains("a cohort of one unit has no variance").any()


# ---- treatment paths --------------------------------------------------------------------------------------------------


def test_a_treatment_that_stays_is_callaway_santanna_with_a_universal_base():
    panel = diagnose(counties())
    santanna = ea.estimate(panel, "callaway_santanna", adjustment="none", base_period="universal")
    np.testing.assert_allclose(ea.estimate(panel, "dcdh").value, santanna.value, atol=EXACT)


def test_three_units_and_an_ended_programme_by_hand():
    frame = pd.DataFrame({
        "county": ["a"] * 4 + ["b"] * 4 + ["c"] * 4, "quarter": [1, 2, 3, 4] * 3,
        "cohort": [2.0] * 4 + [3.0] * 4 + [None] * 4, "experts": [0, 2, 2, 0, 0, 0, 1, 1, 0, 0, 0, 0],
        "share": [0.50, 0.56, 0.58, 0.54, 0.50, 0.51, 0.56, 0.57, 0.50, 0.51, 0.52, 0.53],
    })  # fmt: skip
    panel = diagnose(frame, covariates=("experts",))
    actual = ea.estimate(panel, "dcdh", path="experts").tidy().set_index(["cohort", "period"])["estimate"]
    assert actual[2, 2] == pytest.approx(0.06 - 0.01)
    assert actual[2, 4] == pytest.approx(0.04 - 0.03)
    assert actual[3, 4] == pytest.approx(0.06 - 0.02)
    normalised = ea.estimate(panel, "dcdh", path="experts", effect="normalised")
    by_cell = normalised.tidy().set_index(["cohort", "period"])["estimate"]
    assert by_cell[2, 4] == pytest.approx(0.01 / 4)
    at_one = normalised.aggregate("event_time").tidy().set_index("event_time").loc[1, "estimate"]
    assert at_one == pytest.approx(((0.08 - 0.02) + (0.06 - 0.02)) / (4 + 2))


def test_the_influence_of_normalised_effects_is_the_derivative():
    frame = simulate(82, n_units=18)
    frame["experts"] = np.where(frame["quarter"] >= frame["cohort"], 1.0 + frame["county"].str[-1].astype(int) % 3, 0.0)
    step = 1e-5

    def value(weight):
        weighted = frame.assign(weight=np.where(frame["county"] == "C004", weight, 1.0))
        panel = diagnose(weighted, weight="weight", covariates=("experts",))
        return ea.estimate(panel, "dcdh", path="experts", effect="normalised")

    at_one = value(1.0)
    row = at_one.population.units.get_loc("C004")
    slope = (value(1 + step).value - value(1 - step).value) / (2 * step)
    known = ~np.isnan(slope)
    np.testing.assert_allclose(at_one.influence.matrix()[row][known], slope[known], atol=1e-8)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (lambda f: -1.0, "is negative for"),
        (lambda f: 1.0, "is positive before the start"),
        (lambda f: 0.0, "is zero in the first treated period"),
    ],
)
def test_paths_that_contradict_the_cohorts_are_named(path, text):
    frame = simulate(83)
    frame["experts"] = path(frame)
    with pytest.raises(EstimationError) as caught:
        ea.estimate(diagnose(frame, covariates=("experts",)), "dcdh", path="experts")
    assert text in str(caught.value)


# ---- triple differences ------------------------------------------------------------------------------------------------


def parted(seed, effect=0.03):
    """Simulate two parts of each county that share the county's shocks; only the eligible part responds."""
    frame = simulate(seed, n_units=40, effect=0.0)
    rng = np.random.default_rng(seed)
    both = []
    for eligible in (1.0, 0.0):
        part = frame.assign(eligible=eligible, part=frame["county"] + ("e" if eligible else "n"))
        noise = rng.normal(0, 0.004, len(frame)) + 0.01 * eligible
        drift = 0.02 * (frame["quarter"] >= frame["cohort"])  # a shock of the whole county at the start
        both.append(
            part.assign(
                share=frame["share"] + noise + drift + effect * eligible * (frame["quarter"] >= frame["cohort"])
            )
        )
    return pd.concat(both, ignore_index=True)


def diagnose_parts(frame):
    return ea.diagnose(
        frame,
        unit="part",
        period="quarter",
        outcome="share",
        cohort="cohort",
        covariates=("eligible",),
        cluster="county",
    )


def test_a_shock_of_the_whole_unit_cancels():
    panel = diagnose_parts(parted(84))
    triple = ea.infer(ea.estimate(panel, "triple_difference").aggregate("overall")).iloc[0]
    assert abs(triple["estimate"] - 0.03) < 4 * triple["std_error"]
    eligible = panel.subset(panel.matrices.covariates["eligible"][:, 0] == 1)
    double = ea.infer(ea.estimate(eligible, "callaway_santanna", adjustment="none").aggregate("overall")).iloc[0]
    assert abs(double["estimate"] - 0.03) > 3 * double["std_error"]


def test_a_cell_is_a_difference_of_eight_means():
    frame = parted(85)
    found = ea.estimate(diagnose_parts(frame), "triple_difference", comparison="never_treated")
    cell = found.select(cohort=4, period=6).value[0]
    means = frame.pivot_table(index=["part", "eligible"], columns="quarter", values="share")
    cohort = frame.drop_duplicates("part").set_index("part")["cohort"].reindex(means.index.get_level_values("part"))
    change = (means[6] - means[3]).to_numpy()
    eligible, own, never = (
        means.index.get_level_values("eligible") == 1,
        (cohort == 4).to_numpy(),
        cohort.isna().to_numpy(),
    )
    did = [change[side & own].mean() - change[side & never].mean() for side in (eligible, ~eligible)]
    assert cell == pytest.approx(did[0] - did[1], abs=EXACT)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda f: f.assign(eligible=2.0), "is not 0 or 1 throughout"),
        (lambda f: f.assign(eligible=1.0), "is 1 for every part; both parts are needed"),
        (lambda f: f[~((f["eligible"] == 0) & (f["cohort"] == 4))], "Every cohort needs both parts"),
    ],
)
def test_parts_that_do_not_fit_are_named(change, text):
    with pytest.raises(EstimationError) as caught:
        ea.estimate(diagnose_parts(change(parted(86))), "triple_difference")
    assert text in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["triple_difference", "dcdh"])
def test_intervals_cover_the_known_effect(method):
    """300 simulated panels: bias within three Monte Carlo errors, coverage of 95% intervals within binomial error."""
    draws, found, hits = 300, [], 0
    for seed in range(draws):
        panel = diagnose_parts(parted(seed)) if method == "triple_difference" else diagnose(simulate(seed))
        row = ea.infer(ea.estimate(panel, method).aggregate("overall")).iloc[0]
        found.append(row["estimate"])
        hits += row["conf_low"] <= 0.03 <= row["conf_high"]
    assert abs(np.mean(found) - 0.03) < 3 * np.std(found) / np.sqrt(draws)
    assert abs(hits / draws - 0.95) < 3 * np.sqrt(0.95 * 0.05 / draws)


def ended(seed: int) -> pd.DataFrame:
    """Simulate a programme of two experts that ends after two quarters; its effect of 0.03 ends with it."""
    frame = simulate(seed, effect=0.0)
    on = (frame["quarter"] >= frame["cohort"]) & (frame["quarter"] < frame["cohort"] + 2)
    return frame.assign(experts=2.0 * on, share=frame["share"] + 0.03 * on)


@pytest.mark.slow
def test_intervals_cover_the_effect_of_a_programme_that_ends():
    """300 simulated panels, by event time: 0.03, 0.03, 0, 0; for each expert and quarter received 0.015, 0.0075, 0, 0."""
    draws = 300
    for effect, truth in (("actual", [0.03, 0.03, 0, 0]), ("normalised", [0.015, 0.0075, 0, 0])):
        found, hits = np.empty((draws, 4)), np.zeros(4)
        for seed in range(draws):
            panel = diagnose(ended(seed), covariates=("experts",))
            effects = ea.estimate(panel, "dcdh", path="experts", effect=effect).aggregate("event_time")
            table = ea.infer(effects.select(event_time=range(4)), vcov="CR1")
            found[seed] = table["estimate"]
            hits += (table["conf_low"] <= truth) & (truth <= table["conf_high"])
        assert (np.abs(found.mean(axis=0) - truth) < 4 * found.std(axis=0) / np.sqrt(draws)).all()
        assert (np.abs(hits / draws - 0.95) < 4 * np.sqrt(0.95 * 0.05 / draws)).all()


def test_three_counties_in_two_parts_by_hand():
    """The treated county's eligible part gains 0.06 more than its other part; the same gap is 0.01 in the comparison."""
    frame = pd.DataFrame({
        "part": np.repeat(["ae", "an", "be", "bn", "ce", "cn"], 2), "county": np.repeat(["a", "b", "c"], 4),
        "quarter": [1, 2] * 6, "cohort": [2.0] * 4 + [np.nan] * 8, "eligible": np.tile([1.0, 1, 0, 0], 3),
        "share": [0.50, 0.60, 0.40, 0.44, 0.50, 0.53, 0.40, 0.41, 0.50, 0.51, 0.40, 0.41],
    })  # fmt: skip
    found = ea.estimate(diagnose_parts(frame), "triple_difference")
    assert found.value[0] == pytest.approx((0.10 - 0.04) - ((0.03 + 0.01) / 2 - (0.01 + 0.01) / 2))
