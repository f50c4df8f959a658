"""The matrices is the same panel whatever the order of its rows, the names of its units or the start of its calendar."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalaid.did.panel.design import diagnose
from evalaid.did.panel.matrices import Matrices


def build_matrices(frame, **options):
    columns = {"unit": "county", "period": "year", "outcome": "share", "cohort": "first_treated"}
    options = {"covariates": ["beds"], "weight": "population", "cluster": "area", **options}
    return diagnose(frame, **columns, **options).matrices


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


def assert_same(left: Matrices, right: Matrices, *, but=()):
    for field in dataclasses.fields(Matrices):
        if field.name in but:
            continue
        one, other = getattr(left, field.name), getattr(right, field.name)
        if field.name == "covariates":
            assert one.keys() == other.keys()
            one, other = list(one.values()), list(other.values())
        np.testing.assert_array_equal(one, other, err_msg=field.name)


def rows_by_unit(matrices):
    """Give what belongs to each unit, so that matrices with another order of units can be compared."""
    observed = np.ones(matrices.outcome.shape) if matrices.observed is None else matrices.observed
    parts = [
        matrices.outcome,
        observed,
        matrices.weight,
        *matrices.covariates.values(),
        np.nan_to_num(matrices.cohort, nan=-1)[:, None],
    ]
    return {unit: [part[row].tolist() for part in parts] for row, unit in enumerate(matrices.units)}


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40)
@given(seed=seeds)
def test_every_observation_stands_in_its_place_and_cohorts_are_blocks(seed):
    frame = random_panel(seed)
    matrices = build_matrices(frame)
    table = frame.set_index(["county", "year"])
    place = {period: column for column, period in enumerate(matrices.periods)}
    seen = set()
    for row, unit in enumerate(matrices.units):
        for year in table.loc[unit].index:
            cell = table.loc[(unit, year)]
            assert matrices.outcome[row, place[year]] == cell["share"]
            assert matrices.weight[row, place[year]] == cell["population"]
            assert matrices.covariates["beds"][row, place[year]] == cell["beds"]
            assert matrices.clusters[matrices.cluster[row]] == cell["area"]
            seen.add((row, place[year]))
    empty = [(r, c) for r in range(matrices.n_units) for c in range(matrices.n_periods) if (r, c) not in seen]
    assert (matrices.observed is None) == (not empty)
    assert not any(matrices.observed[cell] or matrices.outcome[cell] or matrices.weight[cell] for cell in empty)
    for number, cohort in enumerate(matrices.cohorts):
        assert (matrices.cohort[matrices.block(number)] == cohort).all()
    assert np.isnan(matrices.cohort[matrices.never]).all()
    assert matrices.starts[0] == 0
    assert matrices.starts[-1] == matrices.n_units
    for number in range(len(matrices.cohorts) + 1):
        assert matrices.units[matrices.block(number)].is_monotonic_increasing
    assert (matrices.cohorts > matrices.periods[0]).all() if matrices.n_periods else True


@settings(max_examples=25)
@given(seed=seeds)
def test_row_order_never_matters(seed):
    frame = random_panel(seed)
    assert_same(build_matrices(frame.sample(frac=1, random_state=seed)), build_matrices(frame))


@settings(max_examples=25)
@given(seed=seeds)
def test_new_names_in_the_same_order_change_the_names_only(seed):
    frame = random_panel(seed)
    renamed = frame.assign(county="X" + frame["county"])
    assert_same(build_matrices(renamed), build_matrices(frame), but={"units"})


@settings(max_examples=25)
@given(seed=seeds)
def test_new_names_in_another_order_leave_every_unit_its_rows(seed):
    frame = random_panel(seed)
    units = sorted(set(frame["county"]))
    new = dict(zip(units, np.random.default_rng(seed).permutation(units), strict=True))
    before, after = (
        rows_by_unit(build_matrices(frame)),
        rows_by_unit(build_matrices(frame.assign(county=frame["county"].map(new)))),
    )
    assert after == {new[unit]: rows for unit, rows in before.items()}


@settings(max_examples=25)
@given(seed=seeds, years=st.integers(-50, 50))
def test_a_shifted_calendar_shifts_periods_and_cohorts_only(seed, years):
    frame = random_panel(seed)
    shifted = build_matrices(frame.assign(year=frame["year"] + years, first_treated=frame["first_treated"] + years))
    matrices = build_matrices(frame)
    assert_same(shifted, matrices, but={"periods", "cohort", "cohorts"})
    np.testing.assert_array_equal(shifted.periods, matrices.periods + years)
    np.testing.assert_array_equal(shifted.cohort, matrices.cohort + years)
    np.testing.assert_array_equal(shifted.cohorts, matrices.cohorts + years)


@settings(max_examples=40)
@given(seed=seeds, cluster=st.sampled_from([None, "area"]))
def test_a_subset_is_the_matrices_of_the_subset(seed, cluster):
    frame = random_panel(seed)
    matrices = build_matrices(frame, cluster=cluster)
    keep = np.random.default_rng(seed).random(matrices.n_units) < 0.6
    if not keep.any():
        return
    part = build_matrices(frame[frame["county"].isin(matrices.units[keep])], cluster=cluster)
    if not part.n_units:
        assert matrices.subset(keep).n_units == 0
        return
    # A subset keeps the clock of the whole panel: event times do not depend on who is left.
    assert_same(matrices.subset(keep), part, but={"clock"})
    assert_same(matrices.subset(np.flatnonzero(keep)), part, but={"clock"})


@pytest.mark.parametrize(
    "spell", [str, lambda name: int(name[1:]), lambda name: float(name[1:])], ids=["str", "int", "float"]
)
def test_labels_of_every_type_give_the_same_matrices(simulated_unbalanced, spell):
    frame = simulated_unbalanced.assign(county=simulated_unbalanced["county"].map(spell))
    assert_same(build_matrices(frame), build_matrices(simulated_unbalanced), but={"units"})


def test_a_balanced_panel_has_no_mask_and_no_weights_unless_named(simulated_balanced):
    matrices = build_matrices(simulated_balanced, weight=None, covariates=(), cluster=None)
    assert matrices.observed is None
    assert matrices.weight is None
    assert matrices.covariates == {}
    assert matrices.clusters.equals(matrices.units)
    assert matrices.clustered_by_unit
    assert matrices.outcome.flags.c_contiguous


def test_a_subset_with_a_mask_of_another_length_is_refused(simulated_balanced):
    with pytest.raises(IndexError):
        build_matrices(simulated_balanced).subset(np.ones(3, dtype=bool))


def test_the_matrices_does_not_share_memory_with_the_callers_frame(simulated_balanced):
    matrices = build_matrices(simulated_balanced)
    for matrix in (matrices.outcome, matrices.weight, *matrices.covariates.values()):
        for column in ("share", "population", "beds"):
            assert not np.shares_memory(matrix, simulated_balanced[column].to_numpy())
