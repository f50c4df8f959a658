"""Partnerships with dates of every precision become one first treated period for each unit."""

import datetime as dt

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from evalaid.base.errors import RosterError
from evalaid.base.periods import first_day, label, parse_periods
from evalaid.programme.cohorts import assign_cohorts
from evalaid.programme.roster import Roster

PARTNERSHIPS = pd.DataFrame({
    "area": ["P", "P", "Q", "R", "R"],
    "hospital": ["H1", "H2", "H3", "H4", "H5"],
    "begun": ["2022-04-22", "2021-05 (teams set up)", "2021", "2019-01-01", "2021-03-01"],
    "ended": [None, None, None, "2020", None],
    "kind": ["trusteeship", "alliance", "alliance", "alliance", "alliance"],
})  # fmt: skip


def roster(frame=PARTNERSHIPS, **columns):
    return Roster.read(
        frame, "area", "begun", **{"hospital": "hospital", "end": "ended", "mechanism": "kind", **columns}
    )


def one(start):
    return Roster.read(pd.DataFrame({"area": ["P"], "begun": [start]}), "area", "begun")


@pytest.mark.parametrize(
    ("start", "day", "precision"),
    [
        ("2021-02-18", "2021-02-18", "day"),
        ("2021/2/18", "2021-02-18", "day"),
        (dt.date(2021, 2, 18), "2021-02-18", "day"),
        (pd.Timestamp("2021-02-18 09:30"), "2021-02-18", "day"),
        ("2021-05 (teams set up)", "2021-05-01", "month"),
        ("2021-05（筹建）", "2021-05-01", "month"),
        (pd.Period("2021-05"), "2021-05-01", "month"),
        ("2021Q2", "2021-04-01", "quarter"),
        ("2021", "2021-01-01", "year"),
        (2021, "2021-01-01", "year"),
        (2021.0, "2021-01-01", "year"),
    ],
)
def test_a_start_is_read_with_its_precision(start, day, precision):
    row = one(start).frame.iloc[0]
    assert (str(row["start"].date()), row["start_precision"]) == (day, precision)


@pytest.mark.parametrize("start", ["by 2022-07-05", "2021-13-01", "2021-02-30", "spring 2021", "21-02-18", "0000"])
def test_an_unreadable_start_is_an_error_with_its_row(start):
    with pytest.raises(
        RosterError, match=r"start is not readable as a date \(column 'begun'\).*Expected a date"
    ) as caught:
        one(start)
    assert caught.value.rows[["row", "value"]].to_numpy().tolist() == [[0, start]]


@pytest.mark.parametrize(
    ("rule", "kind", "start", "cohort"),
    [
        ("containing_period", "year", "2021-02-18", 2021),
        ("first_full_period", "year", "2021-02-18", 2022),
        ("first_full_period", "year", "2021-01-01", 2021),
        ("containing_period", "quarter", "2021-02-18", "2021Q1"),
        ("first_full_period", "quarter", "2021-02-18", "2021Q2"),
        ("first_full_period", "quarter", "2021Q2", "2021Q2"),
        ("containing_period", "month", "2021-05 (teams set up)", "2021-05"),
        ("first_full_period", "month", "2021-05 (teams set up)", "2021-05"),
        ("first_full_period", "month", "2021-12-02", "2022-01"),
    ],
)
def test_the_rule_decides_which_period_a_start_belongs_to(rule, kind, start, cohort):
    assert assign_cohorts(one(start), kind, rule).cohort_by_unit.to_dict() == {"P": cohort}


@given(st.dates(dt.date(1950, 1, 1), dt.date(2090, 1, 1)), st.sampled_from(["year", "quarter", "month"]))
def test_the_first_full_period_is_the_first_that_begins_on_or_after_the_start(day, kind):
    period = int(assign_cohorts(one(day), kind, "first_full_period").frame["ordinal"].iloc[0])
    assert first_day(kind, period - 1) < day <= first_day(kind, period)


@pytest.mark.parametrize("kind", ["year", "quarter", "month"])
def test_a_cohort_is_written_as_the_panel_reads_it(kind):
    frame = assign_cohorts(one("2021-02-18"), kind).frame
    assert parse_periods(frame["cohort"]).ordinal.tolist() == frame["ordinal"].tolist()
    assert str(frame["cohort"].iloc[0]) == label(kind, frame["ordinal"].iloc[0])


def test_the_earliest_of_several_partnerships_counts_and_the_others_are_reported():
    assigned = assign_cohorts(roster(), "year")
    assert assigned.cohort_by_unit.to_dict() == {"P": 2021, "Q": 2021, "R": 2019}
    assert assigned.frame[["hospital", "start_precision", "n_partnerships"]].to_numpy().tolist() == [
        ["H2", "month", 2], ["H3", "year", 1], ["H4", "day", 2],
    ]  # fmt: skip
    several = roster().several_hospitals
    assert several[["unit", "n_partnerships", "hospitals"]].to_numpy().tolist() == [
        ["P", 2, "H2; H1"],
        ["R", 2, "H4; H5"],
    ]


def test_overlapping_and_ended_partnerships_are_reported():
    overlap = roster().overlapping
    assert overlap[["unit", "first", "second"]].to_numpy().tolist() == [["P", "H1", "H2"]]
    assert str(overlap["start"].iloc[0].date()) == "2022-04-22"
    assert pd.isna(overlap["end"].iloc[0])
    ended = roster().ended
    assert ended[["unit", "hospital", "mechanism"]].to_numpy().tolist() == [["R", "H4", "alliance"]]
    assert str(ended["end"].iloc[0].date()) == "2020-12-31"


def test_the_notes_say_what_was_assumed():
    assert assign_cohorts(roster(), "quarter").notes == (
        "1 unit with a start known to the month only: the first day of that month was taken",
        (
            "1 unit with a start known to the year only: the first day of that year was taken, though the start may lie in a later "
            "quarter"
        ),
        "2 units with more than one partnership: the earliest start counts",
        "1 partnership ended: the units count as treated after the end, too (see .ended)",
    )


def test_all_faults_of_a_roster_come_at_once():
    frame = PARTNERSHIPS.assign(
        area=["P", None, "Q", "R", "R"],
        begun=["soon", None, "2021", "2022", "2021"],
        ended=[None, None, "?", "2020", None],
    )
    with pytest.raises(RosterError, match="5 kinds of faults") as caught:
        roster(frame)
    assert caught.value.rows[["row", "fault"]].to_numpy().tolist() == [
        [1, "start is missing"],
        [0, "start is not readable as a date"],
        [2, "end is not readable as a date"],
        [1, "unit is missing"],
        [3, "the end is before the start"],
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Roster.read([], "area", "begun"), "Found a list; expected a pandas DataFrame"),
        (lambda: Roster.read(PARTNERSHIPS, "area", "begin"), r"the start column is missing .*did you mean 'begun'\?"),
        (lambda: Roster.read(PARTNERSHIPS.head(0), "area", "begun"), "the roster has no rows"),
        (
            lambda: assign_cohorts(roster(), "year", "nearest"),
            "Found rule='nearest'; expected one of 'containing_period', 'first_f",
        ),
        (
            lambda: assign_cohorts(roster(), "number"),
            "Found periods of kind 'number'; dates can be placed in periods of kind",
        ),
    ],
)
def test_a_wrong_call_says_what_was_found_and_what_is_expected(call, message):
    with pytest.raises(RosterError, match=message):
        call()


def test_the_callers_frame_is_never_changed():
    before = PARTNERSHIPS.copy(deep=True)
    assign_cohorts(roster(), "year")
    assert_frame_equal(PARTNERSHIPS, before)
