"""Rosters as offices keep them: dates with their precision, several hospitals a county, merged cells, all faults with cells."""

import datetime as dt

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalaid.base.errors import ReadingError, RosterError
from evalaid.programme.cohorts import assign_cohorts, possible_cohorts
from evalaid.programme.roster import read_roster, roster_of
from evalaid.reading.journal.layouts import Layout
from evalaid.reading.rosters.roster_rows import find_mechanism, split_names
from evalaid.reading.rosters.rosters import read_partnerships
from evalaid.reading.values.dates import read_date, read_spell

HEADER = [
    ["广东省组团式帮扶名单（2023年）", None, None, None, None, None, None, None],
    ["序号", "受援县", "支援医院", "帮扶时间", None, "帮扶方式", "派驻专家人数（人）", "帮扶科室"],
    [None, None, None, "开始", "结束", None, None, None],
]
ROWS = [
    [1, "连南县", "广东省人民医院、南方医院", "约2014年", "至今", "组团式帮扶", "12人", "心内科、骨科、普外科"],
    [2, "连山县", "省中医院", "2018年下半年", None, "托管", 5, "3个"],
    [None, None, "中山一院", dt.date(2020, 3, 1), dt.date(2022, 12, 31), "紧密型医共体", "约8名", None],
    [3, "阳山县", "中山三院", 43816, "2022年", "对口支援", 6, 2],
    ["合计", None, None, None, None, None, 31, None],
    ["注：数据截至2023年6月", None, None, None, None, None, None, None],
]
MERGED = ["A1:H1", "D2:E2", "A2:A3", "B2:B3", "C2:C3", "F2:F3", "G2:G3", "H2:H3"]


@pytest.fixture
def write(tmp_path):
    def _write(rows, merged=(), name="名单.xlsx"):
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        for span in merged:
            book.active.merge_cells(span)
        path = tmp_path / name
        book.save(path)
        return path

    return _write


@pytest.mark.parametrize(
    ("cell", "earliest", "latest", "precision"),
    [
        ("约2014", "2013-07-01", "2015-06-30", "about"),
        ("about 2014", "2013-07-01", "2015-06-30", "about"),
        ("2014年前后", "2013-07-01", "2015-06-30", "about"),
        ("2021-05（约）", "2021-04-01", "2021-06-30", "about"),
        ("约2019年12月17日", "2019-12-02", "2020-01-01", "about"),
        ("2018年下半年", "2018-07-01", "2018-12-31", "half"),
        ("2018Q3", "2018-07-01", "2018-09-30", "quarter"),
        ("2019年12月17日", "2019-12-17", "2019-12-17", "day"),
        (dt.date(2019, 12, 17), "2019-12-17", "2019-12-17", "day"),
        (43816, "2019-12-17", "2019-12-17", "day"),
        ("20191217", "2019-12-17", "2019-12-17", "day"),
        ("2018-2020", "2018-01-01", "2020-12-31", "range"),
        ("2014年初", "2014-01-01", "2014-04-30", "part"),
        ("late 2014", "2014-09-01", "2014-12-31", "part"),
        ("2019年9月中旬", "2019-09-11", "2019-09-20", "part"),
        ("12 March 2014", "2014-03-12", "2014-03-12", "day"),
        ("2014年起", "2014-01-01", "2014-12-31", "year"),
        (2014.0, "2014-01-01", "2014-12-31", "year"),
    ],
)
def test_a_date_keeps_the_days_that_it_can_mean(cell, earliest, latest, precision):
    date = read_date(cell)
    assert (str(date.earliest), str(date.latest), date.precision, date.fault) == (earliest, latest, precision, "")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("2014年以前", "a limit"),
        ("by 2022-07-05", "a limit"),
        ("春节", "not readable"),
        ("2021-02-30", "no day of the calendar"),
        (2019.1, "January or October"),
        (True, "true or false"),
    ],
)
def test_what_is_no_date_says_why(cell, words):
    assert words in read_date(cell).fault
    assert read_date(cell).earliest is None


@pytest.mark.parametrize(
    ("cell", "start", "end"),
    [
        ("2018-2020", "2018-01-01", "2020-12-31"),
        ("2019年12月至2022年12月", "2019-12-01", "2022-12-31"),
        ("2019-12-17—2022-12-16", "2019-12-17", "2022-12-16"),
        ("2019年3-9月", "2019-03-01", "2019-09-30"),
        ("2018年至今", "2018-01-01", "None"),
        ("2019-12", "2019-12-01", "None"),
        ("约2014-2018", "2013-07-01", "2018-12-31"),
    ],
)
def test_a_start_and_an_end_in_one_cell(cell, start, end):
    spell = read_spell(cell)
    assert (str(spell.start.earliest), str(spell.end.latest)) == (start, end)


@given(
    st.dates(dt.date(1980, 1, 1), dt.date(2090, 12, 31)),
    st.sampled_from(["%Y-%m-%d", "%Y年%m月%d日", "%Y/%m/%d", "%Y%m%d"]),
)
def test_every_exact_day_is_read_back(day, form):
    read = read_date(day.strftime(form))
    assert (read.earliest, read.latest, read.precision) == (day, day, "day")


@given(st.integers(1980, 2090), st.integers(1, 12))
def test_about_holds_what_is_stated_and_is_symmetric(year, month):
    for exact, about in ((f"{year}年", f"约{year}年"), (f"{year}年{month}月", f"{year}年{month}月前后")):
        inner, outer = read_date(exact), read_date(about)
        assert outer.earliest < inner.earliest <= inner.latest < outer.latest
        assert (outer.first, outer.last) == (inner.earliest, inner.latest)
        assert (
            abs((inner.earliest - outer.earliest).days - (outer.latest - inner.latest).days) <= 4
        )  # months differ in length


def test_a_messy_roster_is_read_with_every_decision(write):
    found = read_partnerships(write([*HEADER, *ROWS], MERGED))
    frame = found.frame
    assert frame["name"].tolist() == [
        "连南瑶族自治县",
        "连南瑶族自治县",
        "连山壮族瑶族自治县",
        "连山壮族瑶族自治县",
        "阳山县",
    ]
    assert frame["hospital"].tolist() == ["广东省人民医院", "南方医院", "省中医院", "中山一院", "中山三院"]
    assert frame["start"].tolist() == ["约2014年", "约2014年", "2018年下半年", "2020-03-01", "2019-12-17"]
    assert frame["end"].tolist() == [None, None, None, "2022-12-31", "2022年"]
    assert frame["experts"].tolist() == [12, 12, 5, 8, 6]
    assert frame["departments"].fillna(-1).tolist() == [3, 3, 3, -1, 2]
    assert frame["mechanism"].tolist() == [
        "cluster assistance", "cluster assistance", "trusteeship", "tight county medical community", "one-to-one pairing",
    ]  # fmt: skip
    assert frame["cell"].tolist() == ["D4", "D4", "D5", "D6", "D7"]
    decided = {(row.cell, row.what) for row in found.decisions.itertuples()}
    assert {
        ("A3", "header"),
        ("B6", "blank county"),
        ("C4", "several hospitals in one cell"),
        ("D4", "start '约2014年'"),
        ("D7", "start '43816'"),
        ("H4", "departments given by name"),
    } <= decided
    assert found.left_out[["row", "reason"]].to_numpy().tolist() == [[8, "a total, by its name"]]
    again = read_partnerships(write([*HEADER, *ROWS], MERGED), Layout.from_yaml(found.layout.to_yaml()))
    assert again.frame.equals(frame)


def test_merged_counties_and_hospitals_with_their_own_dates(write):
    rows = [
        ["县（市、区）", "帮扶医院", "起始时间"],
        ["连南县", "甲医院；乙医院", "2014年；2016年"],
        [None, "丙医院", "2019"],
        ["连山县、阳山县", "丁医院", "2020Q1"],
    ]
    found = read_partnerships(write(rows, ["A2:A3"]))
    assert found.frame[["name", "hospital", "start"]].to_numpy().tolist() == [
        ["连南瑶族自治县", "甲医院", "2014年"],
        ["连南瑶族自治县", "乙医院", "2016年"],
        ["连南瑶族自治县", "丙医院", "2019"],
        ["连山壮族瑶族自治县", "丁医院", "2020Q1"],
        ["阳山县", "丁医院", "2020Q1"],
    ]
    assert "merged county cells" in set(found.decisions["what"])
    assert "several counties in one cell" in set(found.decisions["what"])


def test_three_kinds_of_date_are_kept_and_one_is_the_start(write):
    rows = [
        ["county", "supporting hospital", "announced", "signed", "arrived"],
        ["连南县", "甲", "2019-12-17", "2020-01", "2020Q2"],
    ]
    path = write(rows)
    found = read_partnerships(path)
    assert found.frame[["start", "announced", "agreed", "arrived"]].to_numpy().tolist() == [
        ["2020Q2", "2019-12-17", "2020-01", "2020Q2"]
    ]
    assert found.dates == ("start", "announced", "agreed", "arrived")
    assert "arrived" in found.decisions.set_index("what").loc["start", "decided"]
    cohorts = {
        name: assign_cohorts(roster_of(found, name), "year").frame["cohort"].iloc[0]
        for name in ("announced", "arrived")
    }
    assert cohorts == {"announced": 2019, "arrived": 2020}
    with pytest.raises(RosterError, match="has no dates 'ended'; it has start, announced, agreed, arrived"):
        read_roster(path, start="ended")


def test_all_faults_come_at_once_with_their_cells(write):
    rows = [
        ["受援县", "支援医院", "开始时间", "结束时间"],
        ["连南县", "甲", "春节后", None],
        ["不存在县", "乙", "2019", None],
        ["连山县", "丙", None, None],
        ["阳山县", "丁", "2020", "2018"],
        ["清新区", "戊", "2020", "不久"],
    ]
    with pytest.raises(ReadingError, match="The rows of the roster cannot be read as they stand: 5 faults") as caught:
        read_partnerships(write(rows))
    assert caught.value.rows["cell"].tolist() == ["A3", "C2", "C4", "C5", "D6"]
    assert {"the start is missing", "the end is before the start"} <= set(caught.value.rows["fault"])
    assert caught.value.layout.tables[0].header_rows == (1, 1)


def test_a_file_without_a_roster_says_so(write):
    with pytest.raises(ReadingError, match=r"no roster was found.*header_rows"):
        read_partnerships(write([["a", "b"], [1, 2]]))


def test_a_layout_settles_what_is_not_known(write):
    path = write([["地方", "医院甲方", "何时"], ["连南县", "甲", "2019"]])
    layout = Layout.from_yaml(
        "tables:\n- header_rows: [1, 1]\n  columns:\n    A: name\n    B: hospital\n    C: start\n"
    )
    assert read_partnerships(path, layout).frame[["unit", "hospital", "start"]].to_numpy().tolist() == [
        ["441826", "甲", "2019"]
    ]


def test_units_as_written_are_taken_as_they_stand(write):
    path = write([["unit", "hospital", "start"], ["C01", "H1", "about 2014"], ["C02", "H2", "2016"]])
    found = read_roster(path, Layout(units="as_written"))
    assert found.roster.frame["unit"].tolist() == ["C01", "C02"]
    assert possible_cohorts(found.roster, "year")["possible"].tolist() == [(2013, 2014, 2015)]


def test_the_earliest_of_several_hospitals_bounds_the_start(write):
    rows = [
        ["county", "hospital", "start"],
        ["连南县", "甲", "约2014"],
        ["连南县", "乙", "2014-03-01"],
        ["阳山县", "丙", "2015"],
    ]
    possible = possible_cohorts(read_roster(write(rows)).roster, "year")
    assert possible[["unit", "cohort", "possible"]].to_numpy().tolist() == [["441826", 2014, (2013, 2014)]]


@pytest.mark.parametrize(
    ("text", "parts"), [("甲；乙/丙\n丁", 4), ("省医院（东、西院区）", 1), (None, 0), (" ", 0), ("甲、", 1)]
)
def test_names_in_one_cell_are_set_apart_outside_brackets(text, parts):
    assert len(split_names(text)) == parts


def test_words_of_mechanisms():
    words = ["组团式帮扶", "整体托管", "以院包科", "县域医共体", "专科联盟", "对口支援", "义诊"]
    assert [find_mechanism(word) for word in words] == [
        "cluster assistance", "trusteeship", "one hospital takes one department", "tight county medical community", "alliance",
        "one-to-one pairing", "",
    ]  # fmt: skip


def test_without_a_column_of_counties_the_helped_hospital_says_where_it_lies(write):
    rows = [
        ["受援医院", "支援医院", "开始时间"],
        ["韶关市始兴县人民医院", "省人民医院", "2019-12-17"],
        ["高州市人民医院", "南方医院", "2018年"],
        ["连南人民医院、连山县中医院", "省中医院", "2019.12"],
    ]
    found = read_partnerships(write(rows))
    assert found.frame["unit"].tolist() == ["440222", "440981", "441826", "441825"]
    assert "by the name of the hospital that is helped" in set(found.decisions["decided"])
    with pytest.raises(ReadingError, match=r"A5: 第三人民医院: its name begins with no county's"):
        read_partnerships(write([*rows, ["第三人民医院", "省中医院", "2020年"]]))


def test_numbers_beside_words_and_marks_for_no_value(write):
    rows = [
        ["县", "支援医院", "开始时间", "专家人数", "帮扶科室"],
        ["始兴县", "甲", "2019年", "5人（含2名主任）", "心内、骨科等5个"],
        ["仁化县", "乙", "2019年", "约10", "—"],
        ["连南县", "丙", "2019年", "3-5人", "心内科、骨科"],
    ]
    found = read_partnerships(write(rows))
    assert found.frame["experts"].fillna(-1).tolist() == [5, 10, -1]
    assert found.frame["departments"].fillna(-1).tolist() == [5, -1, 2]
    assert found.frame["department_names"].tolist() == ["心内、骨科等5个", None, "心内科、骨科"]
    assert found.faults["cell"].tolist() == ["D4"]
    assert "what stands beside the number is left out" in set(found.decisions["because"])


@pytest.mark.parametrize(
    ("cell", "start", "end"),
    [
        ("2019年12月17日起三年", "2019-12-17", "2022-12-16 to 2022-12-16"),
        ("2019年12月，为期3年", "2019-12-01", "2022-11-30 to 2022-12-30"),
        ("2019年起两年", "2019-01-01", "2020-12-31 to 2021-12-30"),
        ("2019年", "2019-01-01", "None to None"),
    ],
)
def test_a_start_and_a_length_give_the_end(cell, start, end):
    spell = read_spell(cell)
    assert str(spell.start.earliest) == start
    assert f"{spell.end.earliest} to {spell.end.latest}" == end


@pytest.mark.parametrize(
    ("cell", "first", "last"),
    [
        ("十三五期间", "2016-01-01", "2020-12-31"),
        ("“十四五”规划时期", "2021-01-01", "2025-12-31"),
        ("19年底", "2019-09-01", "2019-12-31"),
    ],
)
def test_years_in_few_words(cell, first, last):
    date = read_date(cell)
    assert (str(date.earliest), str(date.latest)) == (first, last)
