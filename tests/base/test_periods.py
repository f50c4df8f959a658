"""Periods of every spelling become ordinals that can be subtracted, or an error that names the rows."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalaid.base.errors import PanelError
from evalaid.base.periods import containing_period, first_day, label, labels, parse_periods, recognise_periods

QUARTERS = ["2019Q3", "2019Q4", "2020Q1"]


@pytest.mark.parametrize(
    ("values", "kind", "names"),
    [
        ([2019, 2020], "year", ["2019", "2020"]),
        ([2019.0, 2020.0], "year", ["2019", "2020"]),
        (["2019", "2020"], "year", ["2019", "2020"]),
        (pd.array([2019, 2020], dtype="Int64"), "year", ["2019", "2020"]),
        (pd.PeriodIndex(["2019", "2020"], freq="Y"), "year", ["2019", "2020"]),
        (pd.to_datetime(["2019-01-01", "2020-01-01"]), "year", ["2019", "2020"]),
        (pd.to_datetime(["2019-12-31", "2020-12-31"]), "year", ["2019", "2020"]),
        (QUARTERS, "quarter", QUARTERS),
        (["2019q3", "2019-Q4", "2020 Q1"], "quarter", QUARTERS),
        (pd.Categorical(QUARTERS), "quarter", QUARTERS),
        (pd.PeriodIndex(QUARTERS, freq="Q"), "quarter", QUARTERS),
        (list(pd.PeriodIndex(QUARTERS, freq="Q")), "quarter", QUARTERS),
        (pd.to_datetime(["2019-07-01", "2019-10-01", "2020-01-01"]), "quarter", QUARTERS),
        (pd.to_datetime(["2019-09-30", "2019-12-31", "2020-03-31"]), "quarter", QUARTERS),
        (["2019H2", "2020h1", "2020-H2"], "half-year", ["2019H2", "2020H1", "2020H2"]),
        (pd.to_datetime(["2019-07-01", "2020-01-01"]), "half-year", ["2019H2", "2020H1"]),
        ([dt.date(2019, 1, 1), dt.date(2019, 4, 1)], "quarter", ["2019Q1", "2019Q2"]),
        (["2019-09", "2019/10", "2019M11"], "month", ["2019-09", "2019-10", "2019-11"]),
        (pd.PeriodIndex(["2019-09", "2019-10"], freq="M"), "month", ["2019-09", "2019-10"]),
        (pd.to_datetime(["2019-09-01", "2019-10-01"]), "month", ["2019-09", "2019-10"]),
        ([1, 2, 24], "number", ["1", "2", "24"]),
        ([-1, 0, 2019], "number", ["-1", "0", "2019"]),
        (["1", "2"], "number", ["1", "2"]),
        ([201901, 201902], "number", ["201901", "201902"]),
    ],
)
def test_every_spelling_of_a_period_is_read(values, kind, names):
    periods = parse_periods(pd.Series(values))
    assert periods.kind == kind
    assert periods.ordinal.dtype == np.int64
    assert labels(kind, periods.ordinal) == names


@pytest.mark.parametrize(
    ("values", "row", "value"),
    [
        (["2019Q3", "2019Q5"], 1, "2019Q5"),
        (["2019Q3", "2019Q4", "2019-09"], 2, "2019-09"),
        ([2019.0, np.nan], 1, np.nan),
        ([2019.5, 2020.0], 0, 2019.5),
        ([2019.0, np.inf], 1, np.inf),
        (["2019", "2020", "all years"], 2, "all years"),
        (["2019年第三季度", "2019Q3", "2019Q4"], 0, "2019年第三季度"),
        (pd.to_datetime(["2019-07-01", "2019-10-15"]), 1, pd.Timestamp("2019-10-15")),
        ([True, 2019, 2020], 0, True),
    ],
)
def test_an_unreadable_period_is_an_error_that_names_the_row(values, row, value):
    with pytest.raises(PanelError, match=r"1 of \d periods are not readable as a .*Expected years") as caught:
        parse_periods(pd.Series(values))
    assert caught.value.rows["row"].tolist() == [row]
    assert caught.value.rows["value"].iloc[0] is value or caught.value.rows["value"].iloc[0] == value or pd.isna(value)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([2019, 2020], "quarter"),
        (QUARTERS, "year"),
        (["2019-09"], "quarter"),
        (pd.PeriodIndex(QUARTERS, freq="Q"), "month"),
    ],
)
def test_a_period_of_another_kind_than_asked_for_is_unreadable(values, kind):
    _, unreadable = recognise_periods(pd.Series(values), kind)
    assert unreadable.all()


@given(st.integers(-600, 4000), st.sampled_from(["quarter", "month"]))
def test_a_label_reads_back_as_its_ordinal(ordinal, kind):
    assert parse_periods([label(kind, ordinal)]).ordinal.tolist() == [ordinal]


@given(st.dates(dt.date(1900, 1, 1), dt.date(2100, 12, 31)), st.sampled_from(["year", "quarter", "month"]))
def test_a_day_lies_between_the_first_days_of_its_period_and_of_the_next(day, kind):
    period = containing_period(kind, day)
    assert first_day(kind, period) <= day < first_day(kind, period + 1)


@given(st.lists(st.integers(1900, 2100), min_size=1))
def test_quarters_agree_with_pandas(years):
    quarters = pd.PeriodIndex([f"{year}Q2" for year in years], freq="Q")
    assert parse_periods(quarters.astype(str)).ordinal.tolist() == quarters.asi8.tolist()
