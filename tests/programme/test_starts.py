"""An estimate is repeated over the starts that inexact dates leave open."""

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import evalaid as ea
from evalaid.base.errors import DesignError
from evalaid.programme.starts import try_starts

EXACT = 1e-12  # the same arithmetic on the same numbers


def panel(seed=1, units=10, first=2010, last=2018):
    rng = np.random.default_rng(seed)
    years = np.arange(first, last + 1)
    return pd.DataFrame({
        "county": np.repeat([f"C{number}" for number in range(units)], len(years)),
        "year": np.tile(years, units),
        "share": rng.normal(0.6, 0.02, units * len(years)),
    })  # fmt: skip


def roster(*starts):
    table = pd.DataFrame({"county": [f"C{place}" for place in range(len(starts))], "start": starts})
    return ea.Roster.read(table, "county", "start")


def vary(starts, method="imputation", **options):
    return ea.vary_starts(panel(), roster(*starts), method, unit="county", period="year", outcome="share", **options)


def overall(cohorts, method="imputation", **options):
    frame = panel()
    frame["first"] = frame["county"].map(cohorts)
    design = ea.diagnose(frame, unit="county", period="year", outcome="share", cohort="first")
    return ea.infer(ea.estimate(design, method, **options).aggregate("overall"))["estimate"].iloc[0]


def test_exact_dates_leave_one_estimate():
    found = vary(["2014-05-01", "2015", "2016Q2"])
    assert found.table["starts"].tolist() == ["as stated"]
    assert found.units.empty
    assert found.exact
    assert found.smallest == found.largest


def test_every_combination_is_the_estimate_with_these_cohorts():
    found = vary(["about 2014", "2013-2014", "2016"])
    assert (found.n_combinations, found.exact, len(found.table)) == (6, True, 6)
    by_moved = found.table.set_index("moved")["estimate"]
    assert by_moved[""] == pytest.approx(overall({"C0": 2014, "C1": 2013, "C2": 2016}), abs=EXACT)
    assert by_moved["C0: 2013"] == pytest.approx(overall({"C0": 2013, "C1": 2013, "C2": 2016}), abs=EXACT)
    assert by_moved["C0: 2015; C1: 2014"] == pytest.approx(overall({"C0": 2015, "C1": 2014, "C2": 2016}), abs=EXACT)
    assert found.smallest == by_moved.min()
    units = found.units.set_index("unit")
    alone = by_moved[["", "C0: 2013", "C0: 2015"]]
    assert units.loc["C0", "range"] == pytest.approx(alone.max() - alone.min(), abs=EXACT)
    assert units["range"].is_monotonic_decreasing


def test_beyond_the_limit_ends_single_moves_and_seeded_draws_are_taken():
    starts = ["about 2013", "about 2014", "about 2015"]
    found = vary(starts, limit=10, draws=7, seed=3)
    kinds = found.table["starts"].value_counts()
    assert (found.n_combinations, found.exact) == (27, False)
    assert (kinds["as stated"], kinds["all at the earliest"], kinds["all at the latest"], kinds["one moved"]) == (
        1,
        1,
        1,
        6,
    )
    assert 0 < kinds["drawn"] <= 7
    assert_frame_equal(found.table, vary(starts, limit=10, draws=7, seed=3).table)
    everything = vary(starts)
    assert everything.smallest <= found.smallest <= found.largest <= everything.largest
    assert_frame_equal(everything.units, found.units)


def test_a_start_that_gives_no_estimate_is_a_row_with_the_reason():
    found = vary(["2009-2012"])
    first = found.table[found.table["moved"] == ""].iloc[0]
    assert np.isnan(first["estimate"])
    assert first["reason"]
    assert found.table["estimate"].notna().any()


def test_units_of_the_roster_may_be_groups_of_the_panel_and_others_are_left_alone():
    frame = panel().assign(area=lambda table: table["county"].str[1].astype(int) // 2)
    table = pd.DataFrame({"area": [0, 1, 99], "start": ["about 2014", "2015", "about 2012"]})
    found = ea.vary_starts(
        frame,
        ea.Roster.read(table, "area", "start"),
        "imputation",
        unit="county",
        period="year",
        outcome="share",
        group="area",
    )
    assert found.units["unit"].tolist() == [0]
    assert len(found.table) == 3


def test_the_order_of_rows_and_of_partnerships_changes_nothing_and_the_frame_is_left_alone():
    frame, starts = panel(), ["about 2014", "2018年上半年", "2016"]
    kept = frame.copy()
    shuffled = frame.sample(frac=1, random_state=1)
    same = [
        ea.vary_starts(one, roster(*starts), "imputation", unit="county", period="year", outcome="share").table
        for one in (frame, shuffled)
    ]
    assert_frame_equal(*same, rtol=1e-9)
    assert_frame_equal(frame, kept)


def test_a_missing_column_is_named():
    with pytest.raises(DesignError, match="'region'"):
        vary(["about 2014"], group="region")


def test_progress_counts_every_estimate():
    told = []
    vary(["about 2014"], progress=lambda *pair: told.append(pair))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_no_open_start_asks_for_the_stated_estimate_only():
    empty = pd.DataFrame(columns=["unit", "cohort", "earliest", "latest", "possible", "start_precision"])
    asked = []
    row = pd.Series({"estimate": 1.0, "std_error": 0.1, "p_value": 0.0, "conf_low": 0.8, "conf_high": 1.2})
    found = try_starts(empty, lambda moved: asked.append(moved) or row)
    assert asked == [{}]
    assert found.largest == 1.0


@pytest.mark.parametrize(
    ("start", "kind", "part"),
    [
        ("2014-04-01", "year", 0.75),
        ("2014-01-01", "year", 1.0),
        ("2014-04-16", "year", (8 + 15 / 30) / 12),
        ("2014-12-31", "year", 1 / 31 / 12),
        ("2014-02", "year", 11 / 12),  # known to the month: its first day
        ("2014-02-15", "quarter", 0.5),
        ("2014-02-15", "month", 0.5),
        ("2016-02-15", "month", 15 / 29),
    ],
)
def test_the_part_of_a_period_that_is_left_after_a_start(start, kind, part):
    assigned = ea.assign_cohorts(roster(start), kind, "part_of_period")
    first = assigned.cohort_by_unit["C0"]
    later = "2018" + {"year": "", "quarter": "Q1", "month": "-01"}[kind]
    earlier = later.replace("2018", "2010")
    periods = pd.Series([earlier, str(first), later, str(first)])
    found = assigned.exposure(pd.Series(["C0", "C0", "C0", "never"]), periods)
    assert found.tolist() == pytest.approx([0.0, part, 1.0, 0.0], abs=EXACT)
    whole = ea.assign_cohorts(roster(start), kind).exposure(pd.Series(["C0"]), pd.Series([str(first)]))
    assert whole.tolist() == [1.0]


@pytest.mark.parametrize("method", ["twfe", "sun_abraham"])
def test_an_effect_in_proportion_to_the_part_of_the_first_year_is_found(method):
    starts = {"C0": "2014-04-01", "C1": "2014-10-01", "C2": "2015-07-01"}
    part = {"C0": (2014, 0.75), "C1": (2014, 0.25), "C2": (2015, 0.5)}
    frame = panel()
    rng = np.random.default_rng(3)
    level = frame["county"].map(dict(zip(frame["county"].unique(), rng.normal(size=10), strict=True)))
    treated = [
        0.0 if unit not in part or year < part[unit][0] else part[unit][1] if year == part[unit][0] else 1.0
        for unit, year in zip(frame["county"], frame["year"], strict=True)
    ]
    frame["y"] = level + 0.1 * frame["year"] + 2.0 * np.array(treated)
    given = {"unit": "county", "period": "year", "outcome": "y", "rule": "part_of_period"}
    found = ea.vary_starts(frame, roster(*starts.values()), method, **given)
    assert found.table["estimate"].tolist() == pytest.approx([2.0], abs=1e-9)
    about = ea.vary_starts(frame, roster("2014-04-01", "2014-10-01", "about 2015"), method, **given)
    assert about.table["reason"].eq("").all()


def test_a_period_in_which_a_start_falls_is_no_base():
    """First full periods: the year of the start is left out for its unit, with the stated and with moved starts."""
    frame = panel()
    frame["share"] = 0.1 + 0.01 * (frame["year"] - 2010)
    inside = (frame["county"] == "C0") & (frame["year"] == 2014)
    frame["share"] += 0.2 * ((frame["county"] == "C0") & (frame["year"] > 2014)) + 0.5 * inside
    given = {"unit": "county", "period": "year", "outcome": "share", "rule": "first_full_period"}
    found = ea.vary_starts(frame, roster("2014-05-01"), "callaway_santanna", **given, adjustment="none")
    assert found.table["estimate"].tolist() == pytest.approx([0.2], abs=1e-9)


def test_moved_starts_keep_the_others():
    assigned = ea.assign_cohorts(roster("2014-04-01", "2015-07-01"), "year", "part_of_period").move({"C1": 2016})
    assert assigned.cohort_by_unit.to_dict() == {"C0": 2014, "C1": 2016}
    assert assigned.frame["part"].tolist() == [0.75, 1.0]
    full = ea.assign_cohorts(roster("2014-04-01"), "year", "first_full_period")
    assert full.partial_by_unit.to_dict() == {"C0": 2014}
    assert full.move({"C0": 2017}).partial_by_unit.to_dict() == {"C0": 2016}
