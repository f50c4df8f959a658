"""One calendar: periods of every kind are made of months, whatever month the year begins with."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalaid.base.months import MONTHS, Calendar, first_day_of, last_day_of, month_in, month_of, read_kind
from evalaid.base.periods import containing_period, first_day, label

calendars = st.builds(Calendar, st.integers(1, 12))
months = st.integers(month_in(1900), month_in(2100, 12))
kinds = st.sampled_from([str(kind) for kind in MONTHS])


@given(calendars, kinds, months)
def test_a_month_lies_in_the_period_that_it_belongs_to(calendar, kind, month):
    ordinal = calendar.period_of(kind, month)
    first = calendar.first_month(kind, ordinal)
    assert first <= month < first + MONTHS[kind]
    assert calendar.first_month(kind, ordinal + 1) == first + MONTHS[kind]
    assert calendar.kind_of(first, first + MONTHS[kind] - 1) == kind


@given(calendars, kinds, st.lists(months, min_size=1, max_size=5))
def test_a_column_of_months_is_read_as_its_months_are(calendar, kind, several):
    column = calendar.period_of(kind, np.array(several))
    assert column.tolist() == [calendar.period_of(kind, month) for month in several]


@given(st.dates(dt.date(1900, 1, 1), dt.date(2100, 12, 31)))
def test_a_day_lies_in_its_month(day):
    month = month_of(day)
    assert first_day_of(month) <= day <= last_day_of(month)
    assert (first_day_of(month).year, first_day_of(month).month) == (day.year, day.month)


@pytest.mark.parametrize(
    ("begins", "day", "year", "quarter", "half"),
    [
        (1, dt.date(2018, 2, 3), "2018", "2018Q1", "2018H1"),
        (4, dt.date(2018, 2, 3), "2017/18", "2017/18Q4", "2017/18H2"),
        (4, dt.date(2018, 4, 1), "2018/19", "2018/19Q1", "2018/19H1"),
        (10, dt.date(1999, 12, 31), "1999/00", "1999/00Q1", "1999/00H1"),
        (7, dt.date(2020, 6, 30), "2019/20", "2019/20Q4", "2019/20H2"),
    ],
)
def test_a_year_may_begin_in_any_month(begins, day, year, quarter, half):
    calendar = Calendar(begins)
    said = [calendar.label(kind, calendar.period_of(kind, month_of(day))) for kind in ("year", "quarter", "half-year")]
    assert said == [year, quarter, half]


@given(st.integers(1, 12), kinds, months)
def test_a_kind_carries_its_calendar(begins, kind, month):
    named = Calendar(begins).named(kind)
    plain, calendar = read_kind(named)
    assert plain == kind
    ordinal = containing_period(named, first_day_of(month))
    assert ordinal == Calendar(begins).period_of(kind, month)
    assert first_day(named, ordinal) <= first_day_of(month)
    assert label(named, ordinal) == calendar.label(kind, ordinal)


def test_a_year_begins_with_a_month():
    with pytest.raises(ValueError, match=r"year_begins is 13; expected the number of a month, 1 to 12"):
        Calendar(13)
