"""The result type: linear combinations, averages, labels and serialisation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.panels import counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import EstimationError
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.influence import PIECE, Block, Influence

# Sums of a few hundred doubles of order one.
EXACT = 1e-12


@pytest.fixture(scope="module")
def effects() -> Effects:
    return ea.estimate(diagnose(counties()), "callaway_santanna")


def test_balanced_event_times_rest_on_the_same_cohorts():
    effects = ea.estimate(diagnose(simulate(11)), "callaway_santanna")
    times = effects.cells.groupby("cohort")["event_time"].max()
    last = int(times.sort_values().iloc[1])
    balanced = effects.aggregate("event_time", balanced_event_times=last)
    kept = times.index[times >= last]
    assert balanced.cells["event_time"].max() == last
    by_hand = effects.select(cohort=list(kept)).aggregate("event_time")
    for time in range(last + 1):
        np.testing.assert_allclose(
            balanced.select(event_time=time).value, by_hand.select(event_time=time).value, rtol=1e-12
        )
    after = balanced.cells[balanced.cells["event_time"].between(0, last)]
    assert set(after["n_treated"]) == {int(after["n_treated"].iloc[0])}
    with pytest.raises(EstimationError, match=r"no cohort has an estimate in each of the event times 0 to 99"):
        effects.aggregate("event_time", balanced_event_times=99)


def test_blocks_add_up_to_the_matrix_and_combine_like_it():
    rng = np.random.default_rng(1)
    blocks = (
        Block(slice(0, 3), rng.normal(size=(3, 2)), rng.normal(size=(2, 4))),
        Block(np.array([1, 4]), rng.normal(size=(2, 1)), rng.normal(size=(1, 4))),
    )
    psi = Influence(5, 4, blocks)
    full = np.zeros((5, 4))
    full[:3] += blocks[0].left @ blocks[0].right
    full[[1, 4]] += blocks[1].left @ blocks[1].right
    weights = rng.normal(size=(4, 2))
    np.testing.assert_allclose(psi.matrix(), full, atol=EXACT)
    np.testing.assert_allclose(psi.combine(weights).matrix(), full @ weights, atol=EXACT)


@pytest.mark.parametrize("n_units", [5, 3 * PIECE + 7])
def test_squares_are_summed_over_overlapping_blocks_as_over_the_matrix(n_units):
    rng = np.random.default_rng(2)
    runs = [slice(0, n_units - 2), slice(1, n_units), slice(None), slice(2, 2)]
    sides = [(len(range(n_units)[rows]), m) for rows, m in zip(runs, (2, 300, 1, 1), strict=True)]
    blocks = [
        Block(rows, rng.normal(size=side), rng.normal(size=(side[1], 4)) * [0, 1, 1, 0])
        for rows, side in zip(runs, sides, strict=True)
    ]
    extra = Block(np.array([3, 1]), np.ones((2, 1)), np.ones((1, 4)))
    for psi in (Influence(n_units, 4, tuple(blocks)), Influence(n_units, 4, (*blocks, extra))):
        full = np.zeros((n_units, 4))
        for block in psi.blocks:
            full[block.rows] += block.left @ block.right
        np.testing.assert_allclose(psi.matrix(), full, atol=1e-10)
        np.testing.assert_allclose(psi.sum_of_squares(), (full**2).sum(axis=0), rtol=1e-10)


def test_what_a_reference_adds_in_error_counts_only_when_asked_for():
    psi = Influence.dense(np.ones((2, 1))).plus(
        Influence(2, 1, (Block(slice(None), np.ones((2, 1)), np.ones((1, 1)), reference_only=True),))
    )
    assert psi.matrix().ravel().tolist() == [1, 1]
    assert psi.matrix(as_reference=True).ravel().tolist() == [2, 2]


@pytest.mark.parametrize(
    "method",
    [
        "two_by_two",
        "twfe",
        "event_study",
        "callaway_santanna",
        "sun_abraham",
        "etwfe",
        "imputation",
        "stacked",
        "lp_did",
    ],
)
@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_influence_is_centred(method, missing):
    found = ea.estimate(diagnose(simulate(3, missing=missing)), method)
    np.testing.assert_allclose(found.influence.matrix().sum(axis=0), 0, atol=1e-10)


def test_the_average_of_one_cell_is_the_cell(effects):
    one = effects.select(cohort=7, event_time=2)
    assert len(one) == 1
    for by in ("event_time", "cohort", "calendar", "overall"):
        average = one.aggregate(by)
        np.testing.assert_allclose(average.value, one.value, atol=EXACT)
        np.testing.assert_allclose(average.influence.matrix(), one.influence.matrix(), atol=EXACT)


def test_overall_is_the_average_over_treated_unit_periods(effects):
    treated = effects.select(effects.cells["event_time"] >= 0)
    weights = treated.cells["n_treated"] / treated.cells["n_treated"].sum()
    np.testing.assert_allclose(effects.aggregate("overall").value, treated.value @ weights, atol=EXACT)


def test_fixed_weights_leave_out_the_influence_of_cohort_sizes(effects):
    treated = effects.cells["event_time"].to_numpy() >= 0
    weights = np.where(treated, effects.cells["n_treated"], 0.0)
    by_hand = effects.combine(weights / weights.sum())
    fixed, estimated = (effects.aggregate("overall", weights=kind) for kind in ("fixed", "estimated"))
    np.testing.assert_allclose(fixed.influence.matrix(), by_hand.influence.matrix(), atol=EXACT)
    np.testing.assert_allclose(fixed.value, estimated.value, atol=EXACT)
    assert np.abs(fixed.influence.matrix() - estimated.influence.matrix()).max() > 1e-6


def test_the_influence_of_estimated_weights_is_the_derivative_with_respect_to_unit_weights():
    frame = simulate(5, n_units=30)
    step = 1e-4
    first = frame["county"] == "C000"

    def overall(weight: float) -> Effects:
        shifted = frame.assign(weight=np.where(first, weight, 1.0))
        return ea.estimate(diagnose(shifted, weight="weight"), "callaway_santanna").aggregate("overall")

    slope = (overall(1 + step).value - overall(1 - step).value) / (2 * step)
    at_one = overall(1.0)
    row = at_one.population.units.get_loc("C000")
    np.testing.assert_allclose(slope, at_one.influence.matrix()[row], rtol=1e-6)


def test_event_time_counts_units_and_clusters_over_cohorts(effects):
    row = effects.aggregate("event_time").tidy().set_index("event_time").loc[0]
    cohorts = counties().drop_duplicates("county")["cohort"].dropna()
    assert row["n_treated"] == len(cohorts)
    assert row["treated_clusters"] == len(cohorts)


def test_json_keeps_every_digit(effects):
    event = effects.aggregate("event_time")
    back = Effects.from_json(event.to_json())
    assert (back.value == event.value).all()
    assert (back.influence.matrix() == event.influence.matrix()).all()
    pd.testing.assert_frame_equal(
        ea.infer(back, vcov="CR1"), ea.infer(event, vcov="CR1"), check_dtype=False, check_exact=True
    )
    assert back.to_json() == event.to_json()


def test_verbs_leave_the_original_alone(effects):
    cells, value = effects.cells.copy(), effects.value.copy()
    effects.aggregate("cohort")
    effects.select(event_time=0)
    table = effects.tidy()
    table.loc[:, "estimate"] = 0
    pd.testing.assert_frame_equal(effects.cells, cells)
    assert (effects.value == value).all()


@pytest.mark.parametrize("by", ["event_time", "cohort", "calendar", "overall"])
def test_averages_that_are_there_already_are_left_as_they_are(effects, by):
    once = effects.aggregate(by)
    again = once.aggregate(by)
    assert again is once


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda e: e.aggregate("week"), "Cannot aggregate by 'week'; choose event_time, cohort, calendar or overall."),
        (lambda e: e.aggregate("cohort", weights="equal"), "weights='equal' is not a choice"),
        (lambda e: e.select(region=1), "No column 'region' in these cells; there are cohort, period"),
        (lambda e: e.select(event_time=99), "No cell has"),
        (lambda e: e.combine([1.0]), "1 weights for 33 cells"),
        (lambda e: e.aggregate("event_time").aggregate("cohort"), "needs cells by cohort and period"),
        (lambda e: e.select(event_time=-1).aggregate("overall"), "None of these cells is at or after the start"),
        (lambda e: Effects.from_json('{"schema": "other"}'), "Schema 'other' found"),
    ],
)
def test_errors_say_what_was_found_and_what_to_do(effects, call, text):
    with pytest.raises(EstimationError, match=r".") as caught:
        call(effects)
    assert text in str(caught.value)
