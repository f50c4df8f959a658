"""Differences between two sets of estimates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.panels import counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import InferenceError
from evalaid.did.effects.effects import Effects

EXACT = 1e-12  # sums of the same terms in another order


@pytest.fixture(scope="module")
def pair() -> tuple[Effects, Effects]:
    design = diagnose(counties())
    return tuple(ea.estimate(design, method).aggregate("event_time") for method in ("callaway_santanna", "sun_abraham"))


def test_the_error_of_a_difference_holds_the_covariance(pair):
    a, b = pair
    gap = ea.infer(ea.difference(a, b), vcov="CR0").set_index("event_time")
    psi = {}
    for name, effects in (("a", a), ("b", b)):
        psi[name] = pd.DataFrame(
            effects.influence.matrix(), index=effects.population.units, columns=effects.cells["event_time"]
        )
    by_hand = np.sqrt(((psi["a"] - psi["b"].reindex(psi["a"].index)) ** 2).sum())
    value_a, value_b = (pd.Series(e.value, index=e.cells["event_time"]) for e in pair)
    # Only one of them has event time -8; at 6 and 7 both are the same comparison, so that their difference is rounding.
    assert gap.index[gap["std_error"].isna()].tolist() == by_hand.index[by_hand < EXACT].tolist() == [-8, 6, 7]
    np.testing.assert_allclose(gap["std_error"].dropna(), by_hand[by_hand >= EXACT], rtol=EXACT)
    np.testing.assert_allclose(gap["estimate"], (value_a - value_b)[gap.index], atol=EXACT)


def test_an_estimate_does_not_differ_from_itself_and_order_is_the_sign(pair):
    a, b = pair
    none = ea.infer(ea.difference(a, a))
    assert (none["estimate"] == 0).all()
    assert none["note"].str.endswith("no variation between clusters").sum() >= 12
    there, back = ea.infer(ea.difference(a, b), vcov="CR1"), ea.infer(ea.difference(b, a), vcov="CR1")
    np.testing.assert_allclose(there["estimate"], -back["estimate"], atol=EXACT)
    np.testing.assert_allclose(there["std_error"], back["std_error"], rtol=EXACT)


def test_a_difference_of_two_samples_is_the_same_from_either_row_order():
    frame = simulate(5, n_units=24)
    shuffled = frame.sample(frac=1, random_state=1)
    part = frame[~frame["county"].isin(["C000", "C005"])]
    first = ea.difference(*(ea.estimate(diagnose(f), "twfe") for f in (frame, part)))
    other = ea.difference(*(ea.estimate(diagnose(f), "twfe") for f in (shuffled, part)))
    assert "22 units in both samples, 2 only in the first, 0 only in the second" in first.estimand
    for vcov in ("CR0", "CR3"):
        one, two = (ea.infer(effects, vcov=vcov)["std_error"].iloc[0] for effects in (first, other))
        assert one == pytest.approx(two, rel=1e-9)


def test_units_that_one_sample_lacks_keep_their_influence_on_the_other():
    frame = simulate(6, n_units=30)
    county = np.array(sorted(frame["county"].unique()))
    samples = [ea.estimate(diagnose(frame[frame["county"].isin(half)]), "twfe") for half in (county[:15], county[15:])]
    gap = ea.difference(*samples)
    both = sum(ea.infer(effects, vcov="CR0")["std_error"].iloc[0] ** 2 for effects in samples)
    assert ea.infer(gap, vcov="CR0")["std_error"].iloc[0] == pytest.approx(np.sqrt(both), rel=EXACT)
    assert gap.influence.shape == (30, 1)


def test_the_jackknife_of_a_difference_re_estimates_both():
    frame = simulate(7, n_units=24)
    part = frame[~frame["county"].isin(["C001", "C006"])]
    design, smaller = (diagnose(f, cluster="prefecture") for f in (frame, part))
    gap = ea.difference(ea.estimate(design, "callaway_santanna").aggregate("overall"), ea.estimate(smaller, "twfe"))
    changes = []
    for prefecture in frame["prefecture"].unique():
        full, rest = (diagnose(f[f["prefecture"] != prefecture], cluster="prefecture") for f in (frame, part))
        left = ea.estimate(full, "callaway_santanna").aggregate("overall").value[0] - ea.estimate(rest, "twfe").value[0]
        changes.append(left - gap.value[0])
    by_hand = np.sqrt((1 - 1 / len(changes)) * np.sum(np.square(changes)))
    assert ea.infer(gap, vcov="CR3")["std_error"].iloc[0] == pytest.approx(by_hand, rel=1e-9)


def test_a_difference_within_one_regression_is_a_combination_of_its_coefficients():
    design = diagnose(simulate(8, n_units=24, cohorts=(4, 6, None)))
    first, again = (ea.estimate(design, "sun_abraham") for _ in range(2))
    one, other = (e.select(cohort=c).aggregate("overall") for e, c in ((first, 4), (again, 6)))
    gap = ea.difference(one, other)
    matrix = np.zeros((len(first), 1))
    for cohort, sign in ((4, 1.0), (6, -1.0)):
        own = np.flatnonzero((first.cells["cohort"] == cohort) & (first.cells["event_time"] >= 0))
        matrix[own, 0] = sign / len(own)
    by_hand = first.combine(matrix)
    for infer in (
        lambda effects: ea.infer(effects, vcov="CR2"),
        lambda effects: ea.wild_bootstrap(effects, draws=199),
        lambda effects: ea.wild_bootstrap(effects, draws=199, kind="WCU33"),
    ):
        names = ["estimate", "std_error", "p_value", "conf_low", "conf_high"]
        found, expected = (infer(effects)[names].to_numpy() for effects in (gap, by_hand))
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(ea.leverage(gap)["change"], ea.leverage(by_hand)["change"], rtol=1e-9)


def test_a_difference_of_two_regressions_is_none_and_says_what_applies():
    frame = simulate(8, n_units=24, cohorts=(4, 6, None))
    design = diagnose(frame)
    saturated, plain = ea.estimate(design, "sun_abraham").aggregate("overall"), ea.estimate(design, "twfe")
    later = ea.estimate(diagnose(frame[frame["quarter"] > 1]), "twfe")
    weighted = ea.estimate(diagnose(frame, weight="weight"), "twfe")
    for one, other in ((saturated, plain), (plain, later), (plain, weighted)):
        gap = ea.difference(one, other)
        with pytest.raises(InferenceError, match=r"differences between two regressions.*CR3"):
            ea.wild_bootstrap(gap)
        with pytest.raises(InferenceError, match=r"subtracted from those of another regression.*CR3"):
            ea.infer(gap, vcov="CR2")
        assert ea.infer(gap, vcov="CR3")["std_error"].notna().all()


def test_the_average_of_a_difference_is_the_difference_of_the_averages():
    design = diagnose(counties())
    a = ea.estimate(design, "callaway_santanna")
    b = ea.estimate(design, "callaway_santanna", comparison="not_yet_treated")
    before, after = (
        ea.difference(a, b).aggregate("overall"),
        ea.difference(a.aggregate("overall"), b.aggregate("overall")),
    )
    assert before.value[0] == pytest.approx(after.value[0], abs=EXACT)
    np.testing.assert_allclose(before.influence.matrix(), after.influence.matrix(), atol=EXACT)


def test_a_label_that_one_of_them_lacks_is_a_row_with_the_reason(pair):
    a, b = pair
    table = ea.infer(ea.difference(a, b.select(event_time=range(3)))).set_index("event_time")
    assert table.index.is_monotonic_increasing
    assert table.loc[3, "note"].startswith("no such cell in sun_abraham")
    assert table["estimate"].notna().sum() == 3


def test_effects_from_files_have_no_jackknife_and_the_same_error(pair):
    back = ea.difference(*(Effects.from_json(effects.to_json()) for effects in pair))
    assert back.refit is None
    np.testing.assert_allclose(
        ea.infer(back, vcov="CR1")["std_error"], ea.infer(ea.difference(*pair), vcov="CR1")["std_error"], rtol=EXACT
    )


def test_what_cannot_be_subtracted_is_said_all_at_once(pair):
    a = pair[0]
    frame = counties()
    coarser = ea.estimate(diagnose(frame, cluster="prefecture"), "sun_abraham").aggregate("cohort")
    with pytest.raises(InferenceError) as caught:
        ea.difference(a, replace(coarser, scale="number"))
    for text in (
        "the first is in the scale 'share', the second in 'number'; estimate both on one scale",
        "60 units are in other clusters, for example C",
        "the cells have no label in common (15 cells by event_time; 3 cells by cohort); aggregate both in the same way",
    ):
        assert text in str(caught.value)


def test_cells_that_the_shared_labels_do_not_tell_apart_are_refused(pair):
    with pytest.raises(InferenceError, match="event_time does not tell the cells of the first set apart"):
        ea.difference(ea.estimate(diagnose(counties()), "callaway_santanna"), pair[1])


def test_labels_of_another_type_are_not_taken_for_other_units():
    frame = simulate(8, n_units=12).assign(county=lambda f: f["county"].str[1:].astype(int))
    effects = ea.estimate(diagnose(frame), "twfe")
    with pytest.raises(InferenceError, match="the unit labels are of another type"):
        ea.difference(effects, Effects.from_json(effects.to_json()))


@pytest.mark.slow
def test_the_difference_covers_zero_when_both_estimate_the_same():
    """120 simulated panels with one effect for all: a 95% interval of the difference holds zero within binomial error."""
    draws, hits = 120, 0
    for seed in range(draws):
        design = diagnose(simulate(1000 + seed, n_units=40, effect=0.02))
        gap = ea.difference(
            ea.estimate(design, "callaway_santanna").aggregate("overall"),
            ea.estimate(design, "imputation").aggregate("overall"),
        )
        row = ea.infer(gap, vcov="CR1").iloc[0]
        hits += row["conf_low"] <= 0 <= row["conf_high"]
    assert abs(hits / draws - 0.95) < 3 * np.sqrt(0.95 * 0.05 / draws)
