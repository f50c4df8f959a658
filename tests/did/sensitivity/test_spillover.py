"""Exposure to treated neighbours, and what it does to estimates."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import DesignError
from evalaid.did.estimators.registry import METHODS
from evalaid.did.sensitivity.sample.exposure import map_exposure
from evalaid.did.sensitivity.sample.spillover import ALL, DONUT, WIDER
from evalaid.did.sensitivity.sample.variants import BY_MEANS

ROUNDING = 1e-9
ADJACENCY = Path(__file__).parents[3] / "data" / "published" / "guangdong_adjacency.csv"


def line_of(n_units: int) -> pd.DataFrame:
    """Units in a line: each is the neighbour of the next."""
    names = [f"C{i:03d}" for i in range(n_units)]
    return pd.DataFrame({"unit": names[:-1], "neighbour": names[1:]})


def spilling(seed: int, loss: float = 0.02, effect: float = 0.05, noise: float = 0.003) -> pd.DataFrame:
    """Sixty units in a line; every sixth is treated from quarter 5 on, and its two neighbours lose."""
    rng = np.random.default_rng(seed)
    unit, quarter = (grid.ravel() for grid in np.mgrid[:60, 1:9])
    treated, beside = unit % 6 == 2, np.isin(unit % 6, (1, 3))
    after = quarter >= 5
    share = 0.6 + 0.1 * rng.random(60)[unit] + 0.005 * quarter + noise * rng.normal(size=480)
    return pd.DataFrame({
        "county": [f"C{i:03d}" for i in unit], "quarter": quarter, "cohort": np.where(treated, 5.0, np.nan),
        "share": share + effect * (treated & after) - loss * (beside & after),
    })  # fmt: skip


def by_hand() -> tuple[pd.DataFrame, pd.DataFrame]:
    """a starts in 2019, b in 2021; c borders a, d borders b, e borders c only; a and b border each other."""
    share = {
        "a": [1.0, 5.0, 5.0, 5.0], "b": [2.0, 1.0, 1.0, 8.0], "c": [3.0, 2.5, 2.5, 2.5],
        "d": [4.0, 4.0, 4.0, 3.0], "e": [5.0, 5.0, 5.0, 5.0],
    }  # fmt: skip
    frame = pd.DataFrame({
        "county": np.repeat(list(share), 4), "quarter": np.tile(np.arange(2018, 2022), 5),
        "share": np.concatenate(list(share.values())), "cohort": np.repeat([2019, 2021, np.nan, np.nan, np.nan], 4),
    })  # fmt: skip
    return frame, pd.DataFrame({"unit": ["a", "b", "c", "a"], "neighbour": ["c", "d", "e", "b"]})


def plain(frame, **options):
    return diagnose(frame, outcome_unit="number", **options)


def levels_only():
    """Forty units of unlike levels that move alike, ten treated in 2018, fifteen in 2021; neighbours, and other programmes."""
    level = 5 * np.random.default_rng(1).normal(size=40)
    unit, year = (grid.ravel() for grid in np.mgrid[:40, 2015:2023])
    start = np.repeat([2018, 2021, np.nan], [10, 15, 15])
    frame = pd.DataFrame(
        {"county": unit, "quarter": year, "share": level[unit] + np.sin(1.3 * year), "cohort": start[unit]}
    )
    pairs = pd.DataFrame({"unit": [*range(10), *range(5)], "neighbour": [*range(12, 22), *range(30, 35)]})
    events = pd.DataFrame({"unit": [2, 3, 12, 13, 26, 27, 35], "start": 2019, "end": 2020, "programme": "building"})
    return plain(frame), pairs, events


def test_exposure_computed_by_hand():
    frame, pairs = by_hand()
    design = plain(frame)
    found = ea.spillover(design, "imputation", adjacency=pairs)
    units = found.units.set_index("unit")
    assert units["neighbours"].to_dict() == {"a": 2, "b": 2, "c": 2, "d": 1, "e": 1}
    assert units["exposed_since"].dropna().to_dict() == {"a": 2021, "b": 2019, "c": 2019, "d": 2021}
    assert units["largest_share"].to_dict() == {"a": 0.5, "b": 0.5, "c": 0.5, "d": 1.0, "e": 0.0}
    counts = found.exposure.pivot_table(index="label", columns="category", values="n_units")
    assert counts.loc["2018"].to_dict() == {"both": 0, "direct": 0, "indirect": 0, "neither": 5}
    assert counts.loc["2019"].to_dict() == {"both": 0, "direct": 1, "indirect": 2, "neither": 2}
    assert counts.loc["2021"].to_dict() == {"both": 2, "direct": 0, "indirect": 2, "neither": 1}


def test_effects_by_exposure_computed_by_hand():
    """Every unit is flat without treatment, so each effect is a plain average of what happens in its category."""
    frame, pairs = by_hand()
    table = ea.spillover(plain(frame), "imputation", adjacency=pairs, kind="exposure").table.set_index("sample")
    # a in 2019 and 2020: +4; a treated neighbour only from 2021 on
    assert table.loc["direct", "estimate"] == pytest.approx(4.0)
    # b in 2019, 2020: -1 each; c in 2019, 2020, 2021: -0.5 each; d in 2021: -1
    assert table.loc["indirect", "estimate"] == pytest.approx((-1 - 1 - 0.5 * 3 - 1) / 6)
    # in 2021 a: +4, b: +6
    assert table.loc["both", "estimate"] == pytest.approx(5.0)
    assert "untreated, a treated neighbour (3 units)" in table.loc["indirect", "note"]


def test_neighbours_that_lose_are_found_and_leaving_them_out_removes_the_bias():
    frame = spilling(1)
    design, pairs = diagnose(frame), line_of(60)
    beside = ea.spillover(design, "callaway_santanna", adjacency=pairs).table.iloc[0]
    assert beside["estimate"] == pytest.approx(-0.02, abs=4 * 0.003)
    assert beside["conf_high"] < 0
    table = ea.spillover(design, "callaway_santanna", adjacency=pairs, kind="donut").table.set_index("sample")
    everyone, without = table.loc["all comparison units"], table.loc["without exposed comparison units"]
    # 20 of the 50 comparison units lose 0.02
    assert everyone["estimate"] - without["estimate"] == pytest.approx(0.02 * 20 / 50, abs=0.003)
    assert without["change"] == pytest.approx(without["estimate"] - everyone["estimate"], abs=ROUNDING)
    assert abs(without["change"]) > 4 * without["change_std_error"] > 0
    assert "20 of 50 never-treated units left out" in without["note"]


def test_the_wider_donut_leaves_out_units_that_wait_beside_treated_ones_computed_by_hand():
    """c and d border treated units, b waits beside a: what is left is a (+4) against e (0)."""
    frame, pairs = by_hand()
    table = ea.spillover(plain(frame), "callaway_santanna", adjacency=pairs, kind="donut").table.set_index("sample")
    assert table.index.tolist() == [ALL, DONUT, WIDER]
    assert table.loc[WIDER, "estimate"] == pytest.approx(4.0)
    assert table.loc[WIDER, "change"] == pytest.approx(4.0 - table.loc[ALL, "estimate"])
    assert (
        "2 of 3 never-treated units left out; 1 of 2 treated units left out, with their own effects"
        in (table.loc[WIDER, "note"])
    )
    alone = ea.spillover(plain(frame), "callaway_santanna", adjacency=pairs.head(1), kind="donut").table
    assert WIDER not in alone["sample"].tolist()


@pytest.mark.slow
def test_intervals_for_neighbours_hold_no_effect_when_there_is_none():
    """Over 40 panels without spillovers the 95 per cent interval excludes zero as rarely as it says."""
    hits = 0
    for seed in range(40):
        row = ea.spillover(diagnose(spilling(seed, loss=0.0)), "callaway_santanna", adjacency=line_of(60)).table.iloc[0]
        hits += not row["conf_low"] <= 0 <= row["conf_high"]
    assert hits <= 40 * 0.05 + 4 * np.sqrt(40 * 0.05 * 0.95)


def test_the_donut_is_the_estimate_without_these_units():
    frame = simulate(31, n_units=30)
    pairs = line_of(30)
    # Every third unit is never treated, and both its neighbours are treated: nobody is left over.
    found = ea.spillover(
        diagnose(frame), "callaway_santanna", adjacency=pairs, kind="donut", comparison="never_treated"
    ).table
    assert "there is no never-treated unit in the panel" in found["note"].iloc[1]
    assert (
        "10 of 10 never-treated units left out; 10 units treated later and exposed before stay" in found["note"].iloc[1]
    )
    assert np.isnan(found["estimate"].iloc[1])
    few = pairs.iloc[:3]
    one = ea.spillover(diagnose(frame), "callaway_santanna", adjacency=few, kind="donut").table["estimate"].iloc[1]
    kept = frame[~frame["county"].isin(["C002"])]  # C002 is never treated and borders C001
    again = ea.estimate(diagnose(kept), "callaway_santanna").aggregate("overall").value[0]
    assert one == pytest.approx(again, abs=ROUNDING)


def test_groups_are_lists_of_all_pairs():
    frame = simulate(32, n_units=24, cohorts=(4, 6, None, None))
    design = diagnose(frame)
    names = sorted(set(frame["county"]))
    groups = pd.Series([i // 3 if i < 20 else None for i in range(24)], index=names)
    pairs = [pair for _, members in groups.groupby(groups) for pair in combinations(members.index, 2)]
    pairs = pd.DataFrame(pairs, columns=["unit", "neighbour"])
    for kind in ("neighbours", "donut", "exposure"):
        one = ea.spillover(design, "imputation", groups=groups, kind=kind)
        two = ea.spillover(design, "imputation", adjacency=pairs, kind=kind)
        pd.testing.assert_frame_equal(one.table, two.table)
        pd.testing.assert_frame_equal(one.units, two.units)
        pd.testing.assert_frame_equal(one.exposure, two.exposure)
    assert "4 units have no group" in one.notes
    assert "4 units have no neighbour in the panel and count as not exposed" in two.notes


def test_direction_order_doubles_and_strangers_change_nothing():
    frame = spilling(2)
    pairs = line_of(60)
    plain_table = ea.spillover(diagnose(frame), "twfe", adjacency=pairs).table
    turned = pd.DataFrame({"unit": pairs["neighbour"], "neighbour": pairs["unit"]})
    strange = pd.DataFrame({"unit": ["C001", "C007", "C007"], "neighbour": ["elsewhere", "elsewhere", "C007"]})
    many = pd.concat([turned, pairs.sample(frac=1, random_state=1), strange])
    found = ea.spillover(diagnose(frame.sample(frac=1, random_state=2)), "twfe", adjacency=many)
    pd.testing.assert_frame_equal(found.table, plain_table)
    assert "1 neighbouring place is not in the panel and left out" in found.notes


def test_units_treated_before_the_panel_expose_their_neighbours_throughout():
    frame = spilling(3)
    frame.loc[frame["county"] == "C000", "cohort"] = 1.0
    design = diagnose(frame)
    exposure = map_exposure(design, line_of(60))
    place = list(design.matrices.units).index("C001")
    assert exposure.since[place] == 1
    assert exposure.count[place].min() == 1
    note = ea.spillover(design, "twfe", adjacency=line_of(60)).table["note"].iloc[0]
    assert "1 unit exposed or treated from the first period on left out" in note


def test_the_published_list_of_neighbours_fits_the_simulated_counties():
    from evalaid.simulate.generators import simulate as simulate_programme

    frame = simulate_programme("guangdong", effect_pp=2.0, seed=1).frame
    frame = frame[frame["quarter"].astype(str) <= "2019Q4"]
    design = ea.diagnose(frame, "adcode", "quarter", "share", "cohort")
    pairs = pd.read_csv(ADJACENCY, dtype=str).set_axis(["unit", "neighbour"], axis=1)
    found = ea.spillover(design, "imputation", adjacency=pairs)
    stated = frame.drop_duplicates("adcode").set_index("adcode")["neighbours"].str.split()
    counted = found.units.set_index("unit")["neighbours"]
    assert counted.to_dict() == {unit: len(names) for unit, names in stated.items()}
    assert "neighbouring places are not in the panel" in found.notes[0]  # urban districts
    assert found.table["n_treated"].iloc[0] > 5


@pytest.mark.parametrize(("kind", "expected"), [
    ("neighbours", "untreated, a treated neighbour: no unit is seen both before and in it"),
    ("donut", "no never-treated unit has a treated neighbour"),
])  # fmt: skip
def test_nobody_exposed_is_a_result_with_a_reason(kind, expected):
    frame = spilling(4)
    apart = pd.DataFrame({"unit": ["C000"], "neighbour": ["C005"]})
    found = ea.spillover(diagnose(frame), "twfe", adjacency=apart, kind=kind)
    assert found.table["note"].iloc[-1] == expected
    assert np.isnan(found.table["estimate"].iloc[-1])


def test_what_cannot_be_read_is_refused_in_words():
    design = diagnose(spilling(5))
    pairs = line_of(60)
    for arguments, text in (
        ({"adjacency": pairs, "kind": "ring"}, "kind='ring' is not a choice; choose neighbours, donut, exposure."),
        ({}, "Give either adjacency (a frame of pairs: unit, neighbour) or groups (a Series by unit)."),
        ({"adjacency": pairs, "groups": pd.Series({"C000": 1})}, "Give either adjacency"),
        (
            {"adjacency": pairs.rename(columns={"unit": "adcode_a"})},
            "has no column 'unit'; its columns are 'adcode_a', 'neigh",
        ),
        ({"adjacency": pd.DataFrame({"unit": [1], "neighbour": [2]})}, "it names for example 1, the design 'C0"),
        (
            {"groups": pd.Series(["a", "b"], index=["C000"] * 2)},
            "several rows for a unit, for example 'C000'; give each",
        ),
        ({"groups": pd.Series({1: "a"})}, "No unit of the design has a group"),
    ):
        with pytest.raises(DesignError) as caught:
            ea.spillover(design, "twfe", **arguments)
        assert text in str(caught.value)


def test_neighbours_are_one_of_the_exposures_and_effects_come_with_the_rows():
    design, pairs = diagnose(spilling(6)), line_of(60)
    beside = ea.spillover(design, "imputation", adjacency=pairs)
    every = ea.spillover(design, "imputation", adjacency=pairs, kind="exposure")
    one, other = beside.table.iloc[0], every.table.iloc[1]
    assert other[one.index].to_dict() == pytest.approx(one.to_dict())
    event = beside.effects["indirect"].aggregate("event_time").tidy()
    assert event["estimate"].to_numpy() == pytest.approx(-0.02, abs=0.01)
    assert every.table["sample"].tolist() == ["direct", "indirect", "both"]
    assert "treated, a treated neighbour: no unit" in every.table["note"].iloc[2]


def test_the_words_hold_the_numbers_or_the_reason():
    design, pairs = diagnose(spilling(7)), line_of(60)
    found = ea.spillover(design, "twfe", adjacency=pairs, kind="donut")
    row = found.table.iloc[1]
    assert f"Without exposed comparison units: {row['estimate']:.4g} ({row['conf_low']:.4g} to" in found.text()
    assert f"a change of {row['change']:.4g}" in found.text()
    apart = pd.DataFrame({"unit": ["C000"], "neighbour": ["C005"]})
    said = ea.spillover(design, "twfe", adjacency=apart).text()
    assert said.startswith(
        "Untreated, a treated neighbour: no estimate (untreated, a treated neighbour: no unit is seen"
    )
    assert said.endswith("units have no neighbour in the panel and count as not exposed.")


@pytest.mark.parametrize("method", [entry.name for entry in METHODS])
@pytest.mark.parametrize("kind", ["neighbours", "exposure"])
@pytest.mark.crossed(3)
def test_units_that_leave_the_comparison_take_no_level_with_them(method, kind):
    """Levels differ, all move alike: whatever is left out, there is no effect, or a reason why none is told."""
    design, pairs, _ = levels_only()
    table = ea.spillover(design, method, adjacency=pairs, kind=kind).table
    known = table["estimate"].notna()
    assert table.loc[known, "estimate"].abs().max() < ROUNDING or not known.any()
    assert (table.loc[~known, "note"] != "").all()
    if method in BY_MEANS:
        assert not known.any()
        assert table["note"].str.contains(f"{method} compares means of whole cohorts").all()
    if method in {"callaway_santanna", "imputation", "twfe"}:
        assert known.any()


@pytest.mark.parametrize("method", ["callaway_santanna", "etwfe", "imputation", "two_by_two"])
def test_periods_that_are_left_out_take_no_level_with_them(method):
    design, _, events = levels_only()
    table = ea.overlap(design, events, method).table.set_index("sample")
    row = table.loc["without overlapping periods"]
    if method in BY_MEANS:
        assert np.isnan(row["estimate"])
        assert row["note"].startswith(f"{method} compares means of whole cohorts")
    else:
        assert row["estimate"] == pytest.approx(0, abs=ROUNDING)
