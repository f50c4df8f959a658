"""Clustering by two groupings of the units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.panels import counties, diagnose

import evalaid as ea
from evalaid.base.errors import InferenceError
from evalaid.did.effects.effects import Effects

EXACT = 1e-12  # sums of the same terms in another order


@pytest.fixture(scope="module")
def effects() -> Effects:
    return ea.estimate(diagnose(counties()), "sun_abraham").aggregate("event_time")


@pytest.fixture(scope="module")
def groupings(effects) -> tuple[pd.Series, pd.Series]:
    units = effects.population.units
    prefecture = counties().drop_duplicates("county").set_index("county")["prefecture"].reindex(units)
    hospital = pd.Series([f"H{k % 7}" for k in range(len(units))], units, name="hospital")
    return prefecture, hospital


def variance(effects, cluster):
    return ea.infer(effects, vcov="CR0", cluster=cluster)["std_error"] ** 2


def test_it_is_one_plus_the_other_minus_their_pairs(effects, groupings):
    one, other = groupings
    found = ea.infer(effects, vcov="two_way", cluster=groupings)
    by_hand = variance(effects, one) + variance(effects, other) - variance(effects, one + other)
    larger = np.maximum(variance(effects, one), variance(effects, other))
    replaced = found["note"].str.contains("not positive: the larger of the two one-way variances is used")
    n, k = effects.convention.observations, effects.convention.parameters
    expected = np.where(by_hand > 0, by_hand, larger) * 7 / 6 * (n - 1) / (n - k)
    known = found["std_error"].notna()
    assert 0 < replaced[known].sum() < known.sum()  # both cases occur in this panel
    assert (replaced[known] == (by_hand <= 0)[known]).all()
    np.testing.assert_allclose(found["std_error"][known] ** 2, expected[known], rtol=EXACT)
    assert set(found["distribution"]) == {"t(6)"}
    assert set(found["n_clusters"]) == {7}
    assert found["note"][known].str.contains("12 and 7 clusters, t(6)", regex=False).all()


def test_a_grouping_inside_the_other_changes_nothing(effects, groupings):
    prefecture = groupings[0]
    county = pd.Series(effects.population.units, effects.population.units)
    nested = ea.infer(effects, vcov="two_way", cluster=(county, prefecture))
    alone = ea.infer(effects, vcov="CR1", cluster=prefecture)
    np.testing.assert_allclose(nested["std_error"], alone["std_error"], rtol=1e-9)
    twice = ea.infer(effects, vcov="two_way", cluster=[prefecture, prefecture.rename("again")])
    np.testing.assert_allclose(twice["std_error"], alone["std_error"], rtol=1e-9)


def test_neither_order_nor_names_matter(effects, groupings):
    one, other = groupings
    first = ea.infer(effects, vcov="two_way", cluster=(one, other))
    renamed = other.map({label: f"x{k}" for k, label in enumerate(sorted(other.unique(), reverse=True))})
    second = ea.infer(effects, vcov="two_way", cluster=(renamed.sample(frac=1, random_state=1), one))
    np.testing.assert_allclose(first["std_error"], second["std_error"], rtol=EXACT)


def test_a_long_column_is_read_once_a_unit(effects, groupings):
    long = counties().set_index("county")["prefecture"]
    found = ea.infer(effects, vcov="two_way", cluster=(long, groupings[1]))
    np.testing.assert_array_equal(found["std_error"], ea.infer(effects, vcov="two_way", cluster=groupings)["std_error"])


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (
            lambda one, _: one,
            "needs cluster=(one, other), two Series indexed by unit; 1 found. Clustering by period is not",
        ),
        (
            lambda _, other: (pd.Series([1, 2], [1, 2], name="quarter"), other),
            "Grouping 1 ('quarter') names no unit of the design",
        ),
        (
            lambda one, other: (one, pd.concat({1: other}, names=["quarter"])),
            "Grouping 2 ('hospital') is indexed by 2 labels, not by unit. Clustering by period is not possible",
        ),
        (lambda one, other: (one.iloc[1:], other), "1 unit has no cluster label"),
        (
            lambda one, other: (pd.concat([one, one.iloc[:1] + "x"]), other),
            "1 unit has several cluster labels, for example",
        ),
        (lambda one, _: (one, one.map(lambda _: "all")), "Only one cluster"),
    ],
)
def test_what_is_not_two_groupings_of_units_is_refused(effects, groupings, break_it, text):
    with pytest.raises(InferenceError) as caught:
        ea.infer(effects, vcov="two_way", cluster=break_it(*groupings))
    assert text in str(caught.value)


def test_two_groupings_need_the_two_way_method_and_give_no_joint_bands(effects, groupings):
    with pytest.raises(InferenceError, match="cluster is a tuple; one Series of labels indexed by unit is expected"):
        ea.infer(effects, vcov="CR1", cluster=groupings)
    with pytest.raises(InferenceError, match="Simultaneous bands are drawn by clusters"):
        ea.infer(effects, vcov="two_way", cluster=groupings, simultaneous=True)


@pytest.mark.slow
def test_intervals_cover_under_dependence_in_both_directions():
    """150 panels with shocks by row and by column of a 16 x 16 grid of units: near 95%; by unit alone far below."""
    draws, side = 150, 16
    hits = dict.fromkeys(("two_way", "CR1"), 0)
    county = [f"C{k:03d}" for k in range(side * side)]
    row, column = np.divmod(np.arange(side * side), side)
    groupings = pd.Series(row, county), pd.Series(column, county)
    # Each unit of a row or column is as likely treated as any: half of the rows' and columns' combinations.
    treated = (row % 2 + column % 2) > 0
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        after = rng.normal(0, 1, side)[row] * treated + rng.normal(0, 1, side)[column] * treated
        change = after + rng.normal(0, 1, side * side)
        frame = pd.DataFrame({
            "county": np.repeat(county, 2),
            "quarter": np.tile([1, 2], side * side),
            "share": np.stack([np.zeros(side * side), change], axis=1).ravel(),
            "cohort": np.repeat(np.where(treated, 2.0, np.nan), 2),
        })  # fmt: skip
        design = ea.diagnose(frame, "county", "quarter", "share", "cohort", outcome_unit="number")
        found = ea.estimate(design, "twfe")
        for vcov in hits:
            line = ea.infer(found, vcov=vcov, cluster=groupings if vcov == "two_way" else None).iloc[0]
            hits[vcov] += line["conf_low"] <= 0 <= line["conf_high"]
    assert abs(hits["two_way"] / draws - 0.95) < 3 * np.sqrt(0.95 * 0.05 / draws)
    assert hits["CR1"] / draws < 0.75
