"""Standard errors that allow neighbours to depend on each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.panels import counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import InferenceError
from evalaid.did.effects.effects import Effects

ADJACENCY = Path(__file__).parents[3] / "data" / "published" / "guangdong_adjacency.csv"
EXACT = 1e-12  # sums of the same terms in another order
GREAT_CIRCLE = 1e-6  # a distance from a chord of the sphere against one from angles, relative


@pytest.fixture(scope="module")
def effects() -> Effects:
    return ea.estimate(diagnose(counties()), "callaway_santanna").aggregate("event_time")


@pytest.fixture(scope="module")
def coordinates(effects) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    units = effects.population.units
    return pd.DataFrame({"lat": rng.uniform(21, 25, len(units)), "lon": rng.uniform(110, 117, len(units))}, units)


def haversine(frame: pd.DataFrame) -> np.ndarray:
    """Give all distances in km by the haversine formula."""
    lat, lon = np.radians(frame.to_numpy()).T
    half = (
        np.sin((lat[:, None] - lat) / 2) ** 2
        + np.cos(lat[:, None]) * np.cos(lat) * np.sin((lon[:, None] - lon) / 2) ** 2
    )
    return 2 * 6371.0088 * np.arcsin(np.sqrt(half))


@pytest.mark.parametrize("kernel", ["bartlett", "uniform"])
@pytest.mark.parametrize("cutoff", [30.0, 120.0, 400.0])
def test_the_variance_is_the_weighted_sum_over_all_pairs(effects, coordinates, kernel, cutoff):
    table = ea.infer_spatial(effects, coordinates, cutoff_km=cutoff, kernel=kernel)
    distance = haversine(coordinates)
    weight = (distance <= cutoff) * (1.0 if kernel == "uniform" else 1 - distance / cutoff)
    psi = effects.influence.matrix()
    by_hand = np.einsum("ik,ij,jk->k", psi, weight, psi)
    known = by_hand > 0
    np.testing.assert_allclose(table["std_error"][known] ** 2, by_hand[known], rtol=GREAT_CIRCLE)
    assert table["std_error"][~known].isna().all()
    assert table["note"][~known].str.contains("variance not positive, take a shorter cutoff").all()
    assert set(table["vcov"]) == {"conley"}
    assert set(table["n_clusters"]) == {60}
    mean = (distance <= cutoff).sum() / 60 - 1
    assert table["note"].str.contains(f"{kernel} kernel, {cutoff:g} km; {mean:.1f} other units").all()


@pytest.mark.parametrize("kernel", ["bartlett", "uniform"])
def test_a_cutoff_of_zero_is_clustering_by_unit(effects, coordinates, kernel):
    alone = ea.infer(effects, vcov="CR0")["std_error"]
    found = [
        ea.infer_spatial(effects, coordinates, cutoff_km=0, kernel=kernel),
        ea.infer_spatial(effects, adjacency=neighbours(effects), steps=0, kernel=kernel),
    ]
    for table in found:
        np.testing.assert_allclose(table["std_error"], alone, rtol=EXACT)


@pytest.mark.parametrize("cutoff", [0, 50.0])
def test_separate_groups_are_clusters(effects, cutoff):
    """Units at the place of their prefecture, prefectures far apart."""
    units = effects.population.units
    prefecture = counties().drop_duplicates("county").set_index("county")["prefecture"].reindex(units)
    code = pd.factorize(prefecture)[0]
    places = pd.DataFrame({"lat": -60 + 10.0 * code, "lon": 15.0 * code - 170}, units)
    found = ea.infer_spatial(effects, places, cutoff_km=cutoff, kernel="uniform")["std_error"]
    np.testing.assert_allclose(found, ea.infer(effects, vcov="CR0", cluster=prefecture)["std_error"], rtol=1e-9)
    pairs = pd.DataFrame({"unit": units, "neighbour": prefecture.to_numpy()})  # over the prefecture it is two steps
    over = ea.infer_spatial(effects, adjacency=pairs, steps=2, kernel="uniform")["std_error"]
    np.testing.assert_allclose(over, found, rtol=1e-9)


def neighbours(effects: Effects) -> pd.DataFrame:
    """The units on a line, each beside the next."""
    units = effects.population.units.sort_values()
    return pd.DataFrame({"unit": units[:-1], "neighbour": units[1:]})


@pytest.mark.parametrize("steps", [1, 3])
def test_steps_between_neighbours_are_distances_on_a_line(effects, steps):
    units = effects.population.units
    place = pd.Series(np.arange(len(units)), units.sort_values()).reindex(units)
    # On the equator, one km apart; the bartlett kernel of k steps falls to zero at k + 1.
    degrees = np.degrees(place / 6371.0088)
    line = pd.DataFrame({"lat": 0.0, "lon": degrees}, units)
    for kernel, cutoff in (("uniform", steps), ("bartlett", steps + 1)):
        by_steps = ea.infer_spatial(effects, adjacency=neighbours(effects), steps=steps, kernel=kernel)["std_error"]
        by_km = ea.infer_spatial(effects, line, cutoff_km=cutoff, kernel=kernel)["std_error"]
        np.testing.assert_allclose(by_steps, by_km, rtol=GREAT_CIRCLE)


def test_order_direction_and_repetition_of_pairs_do_not_matter(effects):
    pairs = neighbours(effects)
    both = pd.concat([pairs, pairs.set_axis(["neighbour", "unit"], axis=1), pairs]).sample(frac=1, random_state=1)
    for kernel in ("uniform", "bartlett"):
        first, second = (ea.infer_spatial(effects, adjacency=p, steps=2, kernel=kernel) for p in (pairs, both))
        pd.testing.assert_frame_equal(first, second, check_exact=False, rtol=EXACT)


def test_pairs_that_meet_across_the_date_line_or_the_pole_are_near(effects):
    units = effects.population.units
    places = pd.DataFrame({"lat": np.linspace(-80, 80, len(units)), "lon": 0.0}, units)
    places.iloc[0], places.iloc[1] = (0.0, 179.99), (0.0, -179.99)
    table = ea.infer_spatial(effects, places, cutoff_km=5, kernel="uniform")
    assert table["note"].str.contains("0.0 other units").all()  # two of 60 have one other: 0.03
    psi = effects.influence.matrix()
    by_hand = (psi**2).sum(axis=0) + 2 * psi[0] * psi[1]
    np.testing.assert_allclose(table["std_error"] ** 2, by_hand, rtol=1e-9)


def test_when_every_unit_is_near_every_other_there_is_no_error(effects, coordinates):
    table = ea.infer_spatial(effects, coordinates, cutoff_km=30_000, kernel="uniform")
    assert table["std_error"].isna().all()
    assert table["note"].str.contains("every unit is within 30000 km of every other: no variance between units").all()


def test_the_published_neighbours_of_guangdong_serve_as_they_are():
    pairs = pd.read_csv(ADJACENCY).set_axis(["unit", "neighbour"], axis=1)
    codes = np.unique(pairs.to_numpy())[:57]
    frame = simulate(9, n_units=57)
    frame["county"] = codes[frame["county"].str[1:].astype(int)]
    found = ea.estimate(diagnose(frame), "twfe")
    table = ea.infer_spatial(found, adjacency=pairs, kernel="uniform")
    beside = np.eye(57, dtype=bool)
    units = found.population.units
    for one, other in pairs.to_numpy():
        if one in units and other in units:
            beside[units.get_loc(one), units.get_loc(other)] = beside[units.get_loc(other), units.get_loc(one)] = True
    psi = found.influence.matrix()[:, 0]
    assert table["std_error"].iloc[0] == pytest.approx(np.sqrt(psi @ beside @ psi), rel=EXACT)


def test_runs_of_pairs_give_the_same_as_all_at_once(effects, coordinates, monkeypatch):
    whole = ea.infer_spatial(effects, coordinates, cutoff_km=200)
    monkeypatch.setattr("evalaid.did.inference.variance.spatial.PAIRS_AT_A_TIME", 100)
    pd.testing.assert_frame_equal(whole, ea.infer_spatial(effects, coordinates, cutoff_km=200), rtol=EXACT)


def faulty(coordinates: pd.DataFrame, **changes) -> pd.DataFrame:
    """The coordinates with some values of some units changed."""
    changed = coordinates.copy()
    for column, (row, value) in changes.items():
        changed.iloc[row, changed.columns.get_loc(column)] = value
    return changed


@pytest.mark.parametrize(
    ("break_it", "options", "text"),
    [
        (lambda c: c.iloc[2:], {}, "2 units have no lat or lon, for example"),
        (lambda c: faulty(c, lon=(3, np.nan)), {}, "1 unit has no lat or lon"),
        (lambda c: pd.concat([c, c.iloc[:1]]), {}, "1 unit has several rows"),
        (lambda c: c.set_axis(["lon", "lat"], axis=1), {}, "lat and lon look swapped"),
        (lambda c: c * 10_000, {}, "degrees are expected, not projected coordinates"),
        (lambda c: faulty(c, lon=(5, 200.0)), {}, "1 unit is at no place on the globe"),
        (lambda c: c.rename(columns={"lon": "lng"}), {}, "no column 'lon'; the columns are 'lat', 'lng'"),
        (lambda c: c, {"cutoff_km": None}, "cutoff_km=None found; a distance in km of 0 or more"),
        (lambda c: c, {"cutoff_km": -1}, "cutoff_km=-1 found"),
        (lambda c: c, {"kernel": "gauss"}, "kernel='gauss' is not a choice; choose bartlett, uniform."),
        (lambda _: None, {}, "Give either coordinates (lat, lon by unit) or adjacency"),
        (lambda c: c, {"level": 95}, "level=95 found"),
    ],
)
def test_coordinates_that_cannot_be_used_are_refused(effects, coordinates, break_it, options, text):
    with pytest.raises(InferenceError) as caught:
        ea.infer_spatial(effects, break_it(coordinates), **{"cutoff_km": 50, **options})
    assert text in str(caught.value)


def test_all_faults_of_the_coordinates_are_said_at_once_with_their_rows(effects, coordinates):
    broken = faulty(coordinates.iloc[1:], lat=(4, 120.0))
    with pytest.raises(InferenceError) as caught:
        ea.infer_spatial(effects, broken)
    for text in ("cutoff_km=None", "1 unit has no lat", "at no place on the globe"):
        assert text in str(caught.value)
    assert len(caught.value.rows) == 2


@pytest.mark.parametrize(
    ("break_it", "options", "text"),
    [
        (lambda p: p.set_axis(["a", "b"], axis=1), {}, "no column 'unit' and 'neighbour'; the columns are 'a', 'b'"),
        (lambda p: p.assign(neighbour=None), {}, "59 pairs lack a place"),
        (
            lambda p: p.map(lambda name: int(name[1:])),
            {},
            "no unit of the design is in it: the list names for example 1",
        ),
        (lambda p: p, {"steps": -1}, "steps=-1 found; a whole number of 0 or more"),
    ],
)
def test_neighbours_that_cannot_be_used_are_refused(effects, break_it, options, text):
    with pytest.raises(InferenceError) as caught:
        ea.infer_spatial(effects, adjacency=break_it(neighbours(effects)), **options)
    assert text in str(caught.value)


def test_one_treated_unit_is_refused_with_what_applies():
    frame = simulate(10, n_units=20)
    frame = frame.assign(cohort=frame["cohort"].where(frame["county"] == "C000"))
    found = ea.estimate(diagnose(frame), "twfe")
    with pytest.raises(
        InferenceError, match="conley sees how treated clusters differ, and every estimate here rests on one"
    ):
        ea.infer_spatial(found, adjacency=neighbours(found))


@pytest.mark.slow
def test_intervals_cover_when_shocks_are_shared_by_neighbours():
    """120 panels of 200 units on a line whose shocks are moving averages of five: near 95%; by unit alone below."""
    draws, n_units = 120, 200
    hits = dict.fromkeys(("conley", "CR1"), 0)
    county = [f"C{k:03d}" for k in range(n_units)]
    line = pd.DataFrame({"lat": 0.0, "lon": np.arange(n_units) * 0.1}, county)  # 11.1 km apart
    treated = np.arange(n_units) // 10 % 2 == 1
    for seed in range(draws):
        noise = np.convolve(np.random.default_rng(seed).normal(size=n_units + 4), np.ones(5), "valid")
        frame = pd.DataFrame({
            "county": np.repeat(county, 2),
            "quarter": np.tile([1, 2], n_units),
            "share": np.stack([np.zeros(n_units), noise], axis=1).ravel(),
            "cohort": np.repeat(np.where(treated, 2.0, np.nan), 2),
        })  # fmt: skip
        found = ea.estimate(ea.diagnose(frame, "county", "quarter", "share", "cohort", outcome_unit="number"), "twfe")
        for name, table in (
            ("conley", ea.infer_spatial(found, line, cutoff_km=100, kernel="bartlett")),
            ("CR1", ea.infer(found, vcov="CR1")),
        ):
            hits[name] += table["conf_low"].iloc[0] <= 0 <= table["conf_high"].iloc[0]
    # The bartlett kernel takes part of the dependence away: a few points below the nominal are expected.
    assert 0.86 < hits["conley"] / draws <= 0.99
    assert hits["CR1"] / draws < 0.75
