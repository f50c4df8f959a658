"""Periods of offices: any way of writing a span of months is read back; what counts from January is said."""

import datetime as dt

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalaid.base.errors import ReadingError
from evalaid.reading.files.snapshot import FAULT_COLUMNS
from evalaid.reading.values.calendar_words import FIRST_YEAR, LAST_YEAR, read_period
from evalaid.reading.values.spans import Span, read_spans

CHINESE = "〇一二三四五六七八九"
FULL_WIDTH = str.maketrans("0123456789-.Q", "０１２３４５６７８９－．Ｑ")


def months(year, first, last):
    return (year - 1970) * 12 + first - 1, (year - 1970) * 12 + last - 1


def shown(cells, **options):
    return [None if span is None else str(span) for span in read_spans(cells, **options).spans]


QUARTER = "2019Q3"
NINE = "2019-01 to 2019-09 (cumulative)"
WAYS = {
    QUARTER: "2019年第三季度|2019Q3|2019年三季度|2019年3季度|2019 Q3|2019-Q3|2019q3|2019年Q3|Q3 2019|3Q2019|2019年Ⅲ季度|2019年第3季度|2019年7-9月|2019年７－９月|２０１９年第三季度|二〇一九年第三季度|2019年7月至9月|2019.07-2019.09|2019年7月—2019年9月|2019年三季度（初步数）| 2019年 三季度 ",
    NINE: "2019年三季度累计|2019年1-9月|2019年1—9月|2019年1至9月|2019年一至九月|2019年1~9月|2019年前三季度|2019年1-3季度|2019年前9个月|2019年前九个月|截至2019年9月底|2019年三季度(累计)|2019年1-9月累计|2019.01-2019.09|2019年1月-9月|２０１９年１－９月份|2019年9月累计|2019.1-9",
    "2019-09": "2019-09|2019.9|2019.09|201909|2019/9|2019年9月|2019年09月份|2019年九月|2019M9|2019_09|2019年9月（修订数）|2019年9月末",
    "2019-10": "2019.10|2019年十月|201910|2019-10",
    "2019-11": "2019年十一月|2019-11",
    "2019-01": "2019.1|2019年1月|201901",
    "2019": "2019|2019年|2019年度|2019年全年|2019全年|2019年1-12月|2019.0|二〇一九年",
    "2019H2": "2019年下半年|2019H2|2019年7-12月",
    "2019-01 to 2019-06 (cumulative)": "2019年上半年|2019年上半年度|2019H1|2019年1-6月|2019年前两个季度|2019年二季度累计",
    "2018-10 to 2019-09": "2018年10月-2019年9月|2018.10-2019.09",
}  # fmt: skip


@pytest.mark.parametrize(("cell", "span"), [(cell, span) for span, cells in WAYS.items() for cell in cells.split("|")])
def test_one_span_in_many_ways(cell, span):
    found = read_spans([cell])
    assert [str(one) for one in found.spans] == [span]
    assert found.faults == []


@pytest.mark.parametrize(
    ("cell", "span"),
    [
        (2019, "2019"),
        (2019.0, "2019"),
        (201909, "2019-09"),
        (2019.9, "2019-09"),
        (2019.11, "2019-11"),
        (dt.date(2019, 8, 1), "2019-08"),
        (dt.datetime.fromisoformat("2019-08-31"), "2019-08"),
        (pd.Timestamp("2019-08-01"), "2019-08"),
        ("2019-08-01 00:00:00", "2019-08"),
    ],
)
def test_numbers_and_dates(cell, span):
    assert shown([cell]) == [span]


@pytest.mark.parametrize("cell", [None, "", "　", "—", float("nan"), "/", "…"])
def test_a_cell_without_a_period_is_none_and_no_fault(cell):
    found = read_spans([cell, "2019Q1"])
    assert (found.spans[0], found.faults) == (None, [])


FAULTS = [
    ("9月", "no year: it stands elsewhere"),
    ("三季度", "no year: it stands elsewhere"),
    (3, "no year: it stands elsewhere"),
    (2019.1, "a number, not a text: January or October?"),
    ("2019年13月", "no period"),
    ("2019年第5季度", "no period"),
    ("2019年9-7月", "it ends before it begins"),
    ("2019-09-15", "a day inside a month, not a period"),
    ("2019-02-30", "no day of the calendar"),
    ("1901年", "a year out of range"),
    ("合计", "no period"),
    ("2019年半年", "no period"),
    (True, "true or false, not a period"),
    (dt.datetime.fromisoformat("2019-09-01T08:00"), "a time of day, not a period"),
    (float("inf"), "not finite"),
]


@pytest.mark.parametrize(("cell", "why"), FAULTS)
def test_what_is_no_period_is_a_fault_with_its_place(cell, why):
    found = read_spans(["2019年8月", cell])
    assert found.spans[1] is None
    assert [(position, said) for position, _, said in found.faults] == [(1, why)]


@pytest.mark.parametrize("year", [2019, "2019", "2019年", 2019.0, "２０１９年度", dt.date(2019, 1, 1)])
def test_the_year_may_stand_elsewhere(year):
    assert shown(["9月", "三季度", "1-9月", "全年"], year=[year] * 4) == ["2019-09", QUARTER, NINE, "2019"]
    found = read_spans(["9月"], year=[year])
    assert found.notes == [(0, "9月", "the year 2019 stands elsewhere")]


def test_the_year_of_a_cell_goes_before_the_one_beside_it():
    assert shown(["2018年9月", "9月"], year=2019) == ["2018-09", "2019-09"]


def test_every_cell_has_a_year():
    with pytest.raises(ReadingError, match="1 years were given for 2 periods"):
        read_spans(["1月", "2月"], year=[2019])


def test_two_digits_of_a_year_are_noted():
    assert read_spans(["19年三季度"]).notes == [(0, "19年三季度", "the year is taken as 2019")]


def test_a_remark_is_noted():
    assert read_spans(["2019年1-9月（修订数）"]).notes == [(0, "2019年1-9月（修订数）", "left out: (修订数)")]


def test_a_series_from_january_is_cumulative_as_a_whole():
    found = read_spans(["2019年一季度", "2019年上半年", "2019年前三季度", "2019年全年"])
    assert all(span.cumulative for span in found.spans)
    assert "one series counted from the start of the year" in found.evidence


def test_quarters_beside_a_cumulative_span_stay_quarters():
    found = read_spans(["2019年一季度", "2019年二季度", "2019年1-9月"])
    assert [span.cumulative for span in found.spans] == [False, False, True]


def test_halves_are_halves_beside_second_halves():
    found = read_spans(["2019年上半年", "2019年下半年"])
    assert [str(span) for span in found.spans] == ["2019H1", "2019H2"]
    assert "second halves stand beside them" in found.evidence


def test_a_bare_quarter_says_that_it_may_be_cumulative():
    assert "'2019年三季度' is taken as the quarter itself: nothing says 累计" in read_spans(["2019年三季度"]).evidence
    assert "taken as the quarter" not in read_spans(["2019年第三季度"]).evidence


STARTS = [dt.date(2019, month, 1) for month in (1, 4, 7, 10)]
ENDS = [dt.date(2019, 3, 31), dt.date(2019, 6, 30), dt.date(2019, 9, 30)]


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (STARTS, ["2019Q1", "2019Q2", "2019Q3", "2019Q4"]),
        (ENDS, ["2019Q1", "2019Q2", "2019Q3"]),
        ([dt.date(2019, 1, 1), dt.date(2019, 2, 1)], ["2019-01", "2019-02"]),
        ([dt.date(year, 1, 1) for year in (2017, 2018, 2019)], ["2017", "2018", "2019"]),
    ],
)
def test_dates_stand_for_the_step_that_all_of_them_show(dates, expected):
    found = read_spans(dates)
    assert [str(span) for span in found.spans] == expected
    assert "Dates stand for the" in found.evidence


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        (STARTS[:2], {}),
        (ENDS[:1], {}),
        (["2019-09-30"], {}),
        ([1, 2, 3, 4], {"year": 2019}),
        (["1", "2"], {"year": 2019}),
    ],
)
def test_dates_and_numbers_that_may_be_months_or_quarters_are_refused(cells, options):
    with pytest.raises(
        ReadingError, match=r"may be months, quarters.* or .*say step='month' or 'quarter' or 'half-year' or 'year'"
    ) as caught:
        read_spans(cells, **options)
    assert list(caught.value.rows.columns) == FAULT_COLUMNS
    assert caught.value.rows["row"].tolist() == list(range(len(cells)))


def test_a_step_decides():
    assert shown(STARTS[:2], step="month") == ["2019-01", "2019-04"]
    assert shown(STARTS[:2], step="quarter") == ["2019Q1", "2019Q2"]
    assert shown([1, 2], year=2019, step="half-year") == ["2019H1", "2019H2"]
    assert read_spans([5], year=2019, step="quarter").faults == [(0, "5", "5 is no quarter of a year")]
    with pytest.raises(ReadingError, match=r"step='week' is unknown. Expected one of month, quarter, half-year, year"):
        read_spans([1], step="week")


def test_plain_numbers_beyond_four_are_months():
    assert shown([1, 12], year=2019) == ["2019-01", "2019-12"]


def test_a_span_knows_its_year_its_length_and_its_step():
    span = Span(*months(2019, 1, 9), True)
    assert (span.year, span.months, span.step) == (2019, 9, "months")
    assert Span(*months(2019, 7, 9), False).step == "quarter"
    assert Span(*months(2019, 2, 4), False).step == "months"


def chinese_year(year):
    return "".join(CHINESE[int(digit)] for digit in str(year))


def chinese_number(number):
    return CHINESE[number] if number < 10 else "十" + (CHINESE[number - 10] if number > 10 else "")


YEARS = st.integers(FIRST_YEAR, 2099)
RANGES = st.tuples(st.integers(1, 12), st.integers(1, 12)).map(sorted)


@given(
    YEARS,
    RANGES,
    st.sampled_from(["-", "—", "－", "~", "至", "到", "–"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "份", "累计", "（初步数）"]),
)
def test_a_range_of_months_in_any_style_is_read_back(year, limits, dash, words, wide, tail):
    first, last = limits
    text = (
        f"{chinese_year(year)}年{chinese_number(first)}{dash}{chinese_number(last)}月"
        if words
        else f"{year}年{first}{dash}{last}月"
    )
    text = (text.translate(FULL_WIDTH) if wide else text) + tail
    said = read_period(text)
    assert said.span == months(year, 1 if tail == "累计" else first, last)
    assert said.fault == ""


@given(
    YEARS,
    st.integers(1, 12),
    st.sampled_from(["{y}年{m}月", "{y}-{m:02d}", "{y}.{m}", "{y}/{m}", "{y}{m:02d}", "{y}年{m:02d}月份", "{y}M{m}"]),
    st.booleans(),
)
def test_a_month_in_any_style_is_read_back(year, month, style, wide):
    text = style.format(y=year, m=month)
    assert read_period(text.translate(FULL_WIDTH) if wide else text).span == months(year, month, month)


@given(
    YEARS,
    st.integers(1, 4),
    st.sampled_from(
        [
            "{y}Q{q}",
            "{y}年第{c}季度",
            "{y}年{c}季度",
            "{y}年{q}季度",
            "{y}-Q{q}",
            "Q{q} {y}",
            "{q}Q{y}",
            "{y} 年 第 {q} 季度",
        ]
    ),
)
def test_a_quarter_in_any_style_is_read_back(year, quarter, style):
    text = style.format(y=year, q=quarter, c=CHINESE[quarter])
    assert read_period(text).span == months(year, 3 * quarter - 2, 3 * quarter)


@given(
    st.one_of(
        st.text(max_size=12),
        st.text("0123456789年月季度第前上下半累计-.Qq至 一二三四十", max_size=10),
        st.floats(),
        st.integers(),
        st.dates(),
        st.datetimes(),
    ),
    st.one_of(st.none(), st.integers(), st.text(max_size=5)),
)
def test_any_cell_is_a_span_empty_or_a_fault(cell, year):
    found = read_spans([cell], year=[year], step="month")
    (span,) = found.spans
    assert span is None or not found.faults
    if span is not None:
        assert span.first_month <= span.last_month
        assert FIRST_YEAR <= span.year <= LAST_YEAR
