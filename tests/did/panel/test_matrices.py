"""The layout is the same panel whatever the order of its rows, the names of its units or the start of its calendar."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalaid.did.panel.design import diagnose
from evalaid.did.panel.matrices import Layout


def lay_out(frame, **options):
    columns = {"unit": "county", "period": "year", "outcome": "share", "cohort": "first_treated"}
    options = {"covariates": ["beds"], "weight": "population", "cluster": "area", **options}
    return diagnose(frame, **columns, **options).layout


def random_panel(seed, share_missing=0.25):
    """Simulate a panel of random shape in which rows are missing at random and some units are always or late treated."""
    rng = np.random.default_rng(seed)
    n_units, n_years = rng.integers(4, 12), rng.integers(3, 7)
    cohort = rng.choice([2013.0, 2015, 2016, 2017, 2018, 2030, np.nan], n_units)
    frame = pd.DataFrame({
        "county": np.repeat([f"C{number:02d}" for number in range(n_units)], n_years),
        "area": np.repeat([f"P{number // 3}" for number in range(n_units)], n_years),
        "year": np.tile(2015 + np.arange(n_years), n_units),
        "share": rng.random(n_units * n_years),
        "beds": rng.normal(size=n_units * n_years),
        "population": rng.uniform(1, 2, n_units * n_years),
        "first_treated": np.repeat(cohort, n_years),
    })  # fmt: skip
    return frame[rng.random(len(frame)) >= share_missing]


def assert_same(left: Layout, right: Layout, *, but=()):
    for field in dataclasses.fields(Layout):
        if field.name in but:
            continue
        one, other = getattr(left, field.name), getattr(right, field.name)
        if field.name == "covariates":
            assert one.keys() == other.keys()
            one, other = list(one.values()), list(other.values())
        np.testing.assert_array_equal(one, other, err_msg=field.name)


def rows_by_unit(layout):
    """Give what belongs to each unit, so that layouts with another order of units can be compared."""
    observed = np.ones(layout.outcome.shape) if layout.observed is None else layout.observed
    parts = [
        layout.outcome,
        observed,
        layout.weight,
        *layout.covariates.values(),
        np.nan_to_num(layout.cohort, nan=-1)[:, None],
    ]
    return {unit: [part[row].tolist() for part in parts] for row, unit in enumerate(layout.units)}


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_every_observation_stands_in_its_place_and_cohorts_are_blocks(seed):
    frame = random_panel(seed)
    layout = lay_out(frame)
    table = frame.set_index(["county", "year"])
    place = {period: column for column, period in enumerate(layout.periods)}
    seen = set()
    for row, unit in enumerate(layout.units):
        for year in table.loc[unit].index:
            cell = table.loc[(unit, year)]
            assert layout.outcome[row, place[year]] == cell["share"]
            assert layout.weight[row, place[year]] == cell["population"]
            assert layout.covariates["beds"][row, place[year]] == cell["beds"]
            assert layout.clusters[layout.cluster[row]] == cell["area"]
            seen.add((row, place[year]))
    empty = [(r, c) for r in range(layout.n_units) for c in range(layout.n_periods) if (r, c) not in seen]
    assert (layout.observed is None) == (not empty)
    assert not any(layout.observed[cell] or layout.outcome[cell] or layout.weight[cell] for cell in empty)
    for number, cohort in enumerate(layout.cohorts):
        assert (layout.cohort[layout.block(number)] == cohort).all()
    assert np.isnan(layout.cohort[layout.never]).all()
    assert layout.starts[0] == 0
    assert layout.starts[-1] == layout.n_units
    for number in range(len(layout.cohorts) + 1):
        assert layout.units[layout.block(number)].is_monotonic_increasing
    assert (layout.cohorts > layout.periods[0]).all() if layout.n_periods else True


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_row_order_never_matters(seed):
    frame = random_panel(seed)
    assert_same(lay_out(frame.sample(frac=1, random_state=seed)), lay_out(frame))


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_new_names_in_the_same_order_change_the_names_only(seed):
    frame = random_panel(seed)
    renamed = frame.assign(county="X" + frame["county"])
    assert_same(lay_out(renamed), lay_out(frame), but={"units"})


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_new_names_in_another_order_leave_every_unit_its_rows(seed):
    frame = random_panel(seed)
    units = sorted(set(frame["county"]))
    new = dict(zip(units, np.random.default_rng(seed).permutation(units), strict=True))
    before, after = rows_by_unit(lay_out(frame)), rows_by_unit(lay_out(frame.assign(county=frame["county"].map(new))))
    assert after == {new[unit]: rows for unit, rows in before.items()}


@settings(max_examples=25, deadline=None)
@given(seed=seeds, years=st.integers(-50, 50))
def test_a_shifted_calendar_shifts_periods_and_cohorts_only(seed, years):
    frame = random_panel(seed)
    shifted = lay_out(frame.assign(year=frame["year"] + years, first_treated=frame["first_treated"] + years))
    layout = lay_out(frame)
    assert_same(shifted, layout, but={"periods", "cohort", "cohorts"})
    np.testing.assert_array_equal(shifted.periods, layout.periods + years)
    np.testing.assert_array_equal(shifted.cohort, layout.cohort + years)
    np.testing.assert_array_equal(shifted.cohorts, layout.cohorts + years)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, cluster=st.sampled_from([None, "area"]))
def test_a_subset_is_the_layout_of_the_subset(seed, cluster):
    frame = random_panel(seed)
    layout = lay_out(frame, cluster=cluster)
    keep = np.random.default_rng(seed).random(layout.n_units) < 0.6
    if not keep.any():
        return
    part = lay_out(frame[frame["county"].isin(layout.units[keep])], cluster=cluster)
    if not part.n_units:
        assert layout.subset(keep).n_units == 0
        return
    assert_same(layout.subset(keep), part)
    assert_same(layout.subset(np.flatnonzero(keep)), part)


@pytest.mark.parametrize(
    "spell", [str, lambda name: int(name[1:]), lambda name: float(name[1:])], ids=["str", "int", "float"]
)
def test_labels_of_every_type_give_the_same_matrices(simulated_unbalanced, spell):
    frame = simulated_unbalanced.assign(county=simulated_unbalanced["county"].map(spell))
    assert_same(lay_out(frame), lay_out(simulated_unbalanced), but={"units"})


def test_a_balanced_panel_has_no_mask_and_no_weights_unless_named(simulated_balanced):
    layout = lay_out(simulated_balanced, weight=None, covariates=(), cluster=None)
    assert layout.observed is None
    assert layout.weight is None
    assert layout.covariates == {}
    assert layout.clusters.equals(layout.units)
    assert layout.clustered_by_unit
    assert layout.outcome.flags.c_contiguous


def test_a_subset_with_a_mask_of_another_length_is_refused(simulated_balanced):
    with pytest.raises(IndexError):
        lay_out(simulated_balanced).subset(np.ones(3, dtype=bool))


def test_the_layout_does_not_share_memory_with_the_callers_frame(simulated_balanced):
    layout = lay_out(simulated_balanced)
    for matrix in (layout.outcome, layout.weight, *layout.covariates.values()):
        for column in ("share", "population", "beds"):
            assert not np.shares_memory(matrix, simulated_balanced[column].to_numpy())
