"""Tables as yearbooks, monthly reports and insurance bureaus print them: the figures in them, or the line that is missing."""

import openpyxl
import pytest
from openpyxl.utils import column_index_from_string as column_index
from support.tables import name, quarters, write_xlsx

from evalaid.base.errors import ReadingError
from evalaid.reading.journal.layouts import Layout
from evalaid.reading.tables.tables import read_table

HALVES = ["2019年上半年", "2019年下半年", "2020年上半年"]


@pytest.fixture
def read(tmp_path):
    """Write rows (and merged ranges) as a workbook and read it; what was read must be read again by its own layout."""

    def go(rows, *merged, stem="table", layout=None):
        path = write_xlsx(tmp_path / f"{stem}.xlsx", {"Sheet1": (rows, merged)})
        reading = read_table(path, None if layout is None else Layout.from_yaml(layout))
        again = read_table(path, Layout.from_yaml(reading.layout.to_yaml()))
        assert again.frame.equals(reading.frame)
        return reading

    return go


def cells(reading, *columns):
    """Rows of a frame as lists, shares rounded."""
    return reading.frame[list(columns)].round(4).values.tolist()


def test_halves_of_years_are_a_panel_of_half_years(read):
    rows = [["县", "时期", "县域内住院人次", "住院总人次"]]
    rows += [["始兴县", half, 4000 + 10 * place, 5000] for place, half in enumerate(HALVES)]
    assert cells(read(rows), "period", "inside", "share") == [
        ["2019H1", 4000, 0.8], ["2019H2", 4010, 0.802], ["2020H1", 4020, 0.804],
    ]  # fmt: skip


def test_rates_of_first_halves_are_what_they_are(read):
    rows = [["县", "2018年上半年", "2019年上半年"], ["始兴县", "80.1%", "81.2%"]]
    assert cells(read(rows, stem="县域内住院率"), "period", "share") == [["2018H1", 0.801], ["2019H1", 0.812]]


def test_rates_of_first_halves_beside_years_are_asked_about(read):
    rows = [["县", "2018年上半年", "2018年", "2019年上半年"], ["始兴县", "80.1%", "81.2%", "82.1%"]]
    with pytest.raises(ReadingError, match=r"such as 2018, of which not every half-year is there.*periods: half-year"):
        read(rows, stem="县域内住院率")
    assert cells(read(rows, stem="县域内住院率", layout="periods: year"), "period", "share") == [[2018, 0.812]]
    halves = read(rows, stem="县域内住院率", layout="periods: half-year")
    assert cells(halves, "period", "share") == [["2018H1", 0.801], ["2019H1", 0.821]]


def test_cumulative_counts_become_the_periods_that_the_layout_names(read):
    spans = ["2019年一季度", "2019年上半年", "2019年前三季度", "2019年全年"]
    rows = [["县", *spans], ["始兴县", 2000, 4100, 6200, 8300]]
    halves = read(rows, stem="住院总人次", layout="periods: half-year")
    assert cells(halves, "period", "total", "total_cell") == [["2019H1", 4100, "C2"], ["2019H2", 4200, "E2-C2"]]
    assert halves.left_out["cell"].tolist() == ["B2", "D2"]
    assert cells(read(rows, stem="住院总人次"), "total") == [[2000], [2100], [2100], [2100]]


def test_one_quarter_and_its_year_are_asked_about(read):
    rows = [["县", "2018年第一季度", "2018年"], ["始兴县", "80.1%", "81.2%"]]
    with pytest.raises(ReadingError, match="1 figure of a quarter, and 1 figure of others, such as 2018"):
        read(rows, stem="县域内住院率")


def test_a_month_s_rate_stands_beside_the_cumulative_one(read):
    rows = [
        ["2023年9月份全县医疗机构工作量"],
        ["县区", "本月", None, "本年累计", None],
        [None, "出院人次", "县域内住院率", "出院人次", "县域内住院率"],
        ["始兴县", 1000, "80.1%", 9000, "80.4%"],
    ]
    reading = read(rows, "A2:A3", "B2:C2", "D2:E2")
    assert cells(reading, "period", "total", "share") == [["2023-09", 1000, 0.801]]
    assert set(reading.left_out["cell"]) == {"D4", "E4"}


def test_one_figure_in_merged_cells_is_never_read_for_two_counties_or_periods(read):
    rows = [["县", "2018年", "2019年"], ["始兴县", 1000, None], ["仁化县", None, 1000]]
    with pytest.raises(ReadingError, match=r"B2:B3: one figure in merged cells would be read 2 times \(of total\)"):
        read(rows, "B2:B3", stem="住院总人次")
    with pytest.raises(ReadingError, match="B2:C2: one figure in merged cells"):
        read(rows, "B2:C2", stem="住院总人次")


def test_what_holds_for_a_city_or_for_a_county_s_rows_may_be_merged(read):
    rows = [
        ["县", "年份", "住院总人次", "距离(km)", "市域内住院率"],
        ["始兴县", 2018, 1000, 20, "95%"],
        [None, 2019, 900, None, None],
    ]
    rows += [["仁化县", 2018, 800, 30, None]]
    reading = read(rows, "A2:A3", "D2:D3", "E2:E4")
    assert cells(reading, "distance_km", "city_share") == [[20, 0.95], [20, 0.95], [30, 0.95]]


def test_the_day_on_which_a_table_was_sent_is_no_period(read):
    rows = [["各县住院情况"], ["填报单位：卫健局  填报日期：2020年1月15日"], ["县", "住院总人次"], ["始兴县", 300]]
    assert cells(read(rows, stem="2019年"), "period", "total") == [[2019, 300]]
    with pytest.raises(ReadingError, match="no period: neither rows nor columns"):
        read(rows)
    rows[1] = ["统计时间：2019年1月1日至2019年12月31日  填报日期：2020年1月15日"]
    assert cells(read(rows), "period") == [[2019]]


def test_a_title_and_a_sheet_of_two_years_are_asked_about(tmp_path):
    rows = [["2017年各县住院情况"], ["县", "住院总人次"], ["始兴县", 300]]
    path = write_xlsx(tmp_path / "统计年鉴2020.xlsx", {"2018": (rows, ())})
    with pytest.raises(
        ReadingError,
        match="the titles and the sheet name several years: A1: '2017年各县住院情况'; name of the sheet: '2018'",
    ):
        read_table(path)
    path = write_xlsx(tmp_path / "统计年鉴2020.xlsx", {"表3": (rows, ())})
    assert read_table(path).frame["period"].tolist() == [2017]  # the file's name is the year of print
    rows = [["2017年"], ["县", "一季度", "二季度"], ["始兴县", 300, 302]]
    path = write_xlsx(tmp_path / "住院总人次.xlsx", {"2018": (rows, ["A1:C1"])})
    assert read_table(path).frame["period"].tolist() == ["2017Q1", "2017Q2"]  # it stands over the columns
    rows[0] = ["2017年各县"]
    path = write_xlsx(tmp_path / "住院总人次.xlsx", {"2018": (rows, ())})
    with pytest.raises(ReadingError, match="'period: 2019' for the table, which gives the year"):
        read_table(path)
    given = Layout.from_yaml("tables: [{period: 2018}]")
    assert read_table(path, given).frame["period"].tolist() == ["2018Q1", "2018Q2"]


def test_a_title_of_one_period_and_columns_of_last_year(read):
    rows = [
        ["2019年第三季度"],
        ["县", "住院总人次", None, None],
        [None, "本期", "上年同期", "增长%"],
        ["始兴县", 2500, 2400, 4.2],
    ]
    assert cells(read(rows, "B2:D2"), "period", "total") == [["2019Q3", 2500]]


@pytest.mark.parametrize("parts", [("男", "女"), ("其中：县级医院", "其中：乡镇卫生院"), ("职工医保", "城乡居民医保")])
def test_parts_of_a_count_are_not_the_count(read, parts):
    rows = [
        ["2019年各县住院情况"],
        ["县", "住院人次", None, None],
        [None, "合计", *parts],
        ["始兴县", 2500, 1400, 1100],
    ]
    assert cells(read(rows, "A2:A3", "B2:D2"), "total") == [[2500]]
    rows = [["2019年各县住院情况"], ["县", "住院人次", None], [None, *parts], ["始兴县", 1400, 1100]]
    with pytest.raises(ReadingError, match="no column of figures was found"):
        read(rows, "A2:A3", "B2:C2")


def test_figures_that_cannot_be_are_listed_with_their_cells(read):
    rows = [["2019年"], ["县", "一季度", "二季度", "三季度", "四季度", "全年"], ["始兴县", 10, -11, 12, 13, 99]]
    reading = read(rows, "A1:F1", stem="住院总人次")
    assert reading.faults[["cell", "fault"]].values.tolist() == [
        ["C3", "total of 始兴县 is -11"], ["F3", "total of 始兴县 in 2019 is 99, its quarters add up to 24"],
    ]  # fmt: skip
    rows = [["县", "2018年", "2019年"], ["始兴县", 101.2, 81]]
    assert read(rows, stem="县域内住院率(%)").faults["cell"].tolist() == ["B2"]


def test_dates_and_numbers_that_stand_for_quarters(read):
    rows = [["县", "日期", "住院总人次"], ["始兴县", "2019/3/31", 2500], ["始兴县", "2019/6/30", 2400]]
    with pytest.raises(ReadingError, match=r"B2: The periods are dates.*a line 'step: quarter'"):
        read(rows)
    assert cells(read(rows, layout="tables: [{step: quarter}]"), "period") == [["2019Q1"], ["2019Q2"]]
    rows = [["县", "年份", "季度", "住院总人次"], ["始兴县", 2019, 1, 2500], ["始兴县", 2019, 2, 2400]]
    assert cells(read(rows), "period") == [["2019Q1"], ["2019Q2"]]  # the header says what the numbers are


def test_headers_of_counties_and_ends_of_years(read):
    for header in ("县（区）", "区（县）", "县（市、区）", "旗县"):
        rows = [[header, "2018年末", "2019年底"], ["始兴县", 1000, 810]]
        assert cells(read(rows, stem="床位数"), "period", "beds") == [[2018, 1000], [2019, 810]]


def test_a_column_for_each_county_and_a_row_for_each_period(read):
    rows = [["县域内住院率（%）"], ["时间", "始兴县", "仁化县", "全省"]]
    rows += [["2019年第一季度", 80.1, 81.2, 83], ["2019年第二季度", 80.5, 81.9, 83.4]]
    reading = read(rows)
    assert cells(reading, "unit", "period", "share", "share_cell") == [
        ["440222", "2019Q1", 0.801, "B3"], ["440222", "2019Q2", 0.805, "B4"],
        ["440224", "2019Q1", 0.812, "C3"], ["440224", "2019Q2", 0.819, "C4"],
    ]  # fmt: skip
    assert reading.left_out[["cell", "value"]].values.tolist() == [["D2", "全省"]]
    assert "B: {read: share, place: 始兴县, unit: percent}" in reading.layout.to_yaml()


def test_cumulative_counts_below_each_other_are_differenced_in_each_column(read):
    rows = [
        ["2019年住院总人次"],
        ["时间", "始兴县", "仁化县"],
        ["一季度", 10, 20],
        ["上半年", 21, 41],
        ["全年", 42, 80],
    ]
    halves = read(rows, layout="periods: half-year")
    assert cells(halves, "name", "total", "total_cell") == [
        ["始兴县", 21, "B4"], ["始兴县", 21, "B5-B4"], ["仁化县", 41, "C4"], ["仁化县", 39, "C5-C4"],
    ]  # fmt: skip


def test_counties_in_the_header_under_their_cities_over_their_variables(read):
    rows = [
        ["年份\\地区", "韶关市", None, None, None, "清远市", None],
        [None, "小计", None, "始兴县", None, "连南县", None],
        [None, "县域内住院人次", "住院总人次", "县域内住院人次", "住院总人次", "县域内住院人次", "住院总人次"],
        ["2018年", 9, 10, 8000, 10000, 7000, 9000],
    ]
    reading = read(rows, "A1:A3", "B1:E1", "F1:G1", "B2:C2", "D2:E2", "F2:G2")
    assert cells(reading, "unit", "inside", "total") == [["440222", 8000, 10000], ["441826", 7000, 9000]]
    assert reading.left_out["cell"].tolist() == ["B1", "C1"]


@pytest.mark.parametrize("corner", [None, "指标", "地区", "指标\\县"])
def test_a_row_for_each_indicator_and_a_column_for_each_county(read, corner):
    rows = [["2019年主要指标"], [corner, "单位", "始兴县", "仁化县"]]
    rows += [["住院总人次", "万人次", 1.5, 0.9], ["县域内住院率", "%", 80, 77.8], ["床位数", "张", 900, 800]]
    assert cells(read(rows), "period", "total", "share", "beds") == [
        [2019, 15000, 0.8, 900], [2019, 9000, 0.778, 800],
    ]  # fmt: skip


def test_a_name_in_the_header_that_is_no_county_is_asked_about(read):
    rows = [["县域内住院率（%）"], ["年份", "始新县", "始兴县", "仁化县"], ["2018年", 80, 81, 82]]
    with pytest.raises(ReadingError, match=r"B2: 始新县: unknown name \(nearest: .*'place: 440222' there"):
        read(rows)
    given = "tables: [{columns: {B: {read: share, place: 441826}}}]"
    assert cells(read(rows, layout=given), "unit", "share") == [["440222", 0.81], ["440224", 0.82], ["441826", 0.8]]


def test_a_matrix_of_residence_and_hospital_is_no_panel(read):
    rows = [["2019年"], ["参保地", "始兴县", "仁化县"], ["始兴县", 100, 5], ["仁化县", 5, 100]]
    with pytest.raises(
        ReadingError, match=r"1 fault.*\n.*A2: counties stand in the rows and in the columns.*count_matrix"
    ):
        read(rows)


def test_a_sheet_for_each_county(tmp_path):
    rows = [
        ["主要指标"],
        ["指标", "单位", "2018年", "2019年"],
        ["住院总人次", "人次", 100, 110],
        ["县域内住院率", "%", 80, 81],
    ]
    path = write_xlsx(tmp_path / "a.xlsx", {"始兴县": (rows, ()), "仁化县": (rows, ())})
    reading = read_table(path)
    assert cells(reading, "unit", "period", "total", "share") == [
        ["440222", 2018, 100, 0.8], ["440222", 2019, 110, 0.81], ["440224", 2018, 100, 0.8], ["440224", 2019, 110, 0.81],
    ]  # fmt: skip
    assert read_table(path, Layout.from_yaml(reading.layout.to_yaml())).frame.equals(reading.frame)
    path = write_xlsx(tmp_path / "b.xlsx", {"Sheet1": (rows, ())})
    with pytest.raises(ReadingError, match="a line 'place: 440222' for a table of one county"):
        read_table(path)
    assert set(read_table(path, Layout.from_yaml("tables: [{place: 英德市}]")).frame["unit"]) == {"441881"}


def test_units_as_written_have_columns_by_the_layout(read):
    rows = [["Year", "Shixing", "Renhua"], [2018, 80.5, 81]]
    given = "units: as_written\ntables:\n- columns: {A: year, B: {read: share, place: Shixing}, C: {read: share, place: Renhua}}"
    assert cells(read(rows, layout=given), "unit", "share") == [["Renhua", 0.81], ["Shixing", 0.805]]


def test_two_tables_beside_each_other(read):
    header = ["序号", "县", "住院总人次", "县域内住院率(%)"]
    rows = [["表1 2019年各县住院情况"], [*header, None, *header]]
    rows += [
        [1, "始兴县", 10000, 80.1, None, 3, "英德市", 30000, 88.2],
        [2, "仁化县", 9000, 81.1, None, None, "合计", 49000, 84],
    ]
    rows += [["注：率为百分数"]]
    reading = read(rows)
    assert cells(reading, "unit", "total", "share", "share_cell") == [
        ["440222", 10000, 0.801, "D3"], ["440224", 9000, 0.811, "D4"], ["441881", 30000, 0.882, "I3"],
    ]  # fmt: skip
    assert [table.area for table in reading.layout.tables] == ["A2:E4", "F2:I4"]
    assert "several tables" in " ".join(reading.decisions["what"])


def test_two_tables_below_each_other_with_a_year_each(read):
    header = ["县", "住院总人次", "县域内住院人次"]
    rows = [["各县住院情况"], ["单位：万人次"], ["2018年"], header, ["始兴县", 15, 12], ["合计", 15, 12], []]
    rows += [["2019年"], header, ["始兴县", 16, 13], ["合计", 16, 13], ["注：不含区"]]
    reading = read(rows)
    assert cells(reading, "period", "total", "inside", "total_cell") == [
        [2018, 150_000, 120_000, "B5"], [2019, 160_000, 130_000, "B10"],
    ]  # fmt: skip
    assert len(reading.left_out[reading.left_out["value"] == "合计"]) == 2


def test_a_header_again_after_a_page_or_a_city_is_one_table(read):
    header = ["县", "住院总人次"]
    rows = [
        ["2019年各县住院情况"],
        header,
        ["韶关市"],
        ["始兴县", 10],
        header,
        ["仁化县", 11],
        ["清远市"],
        header,
        ["英德市", 20],
    ]
    reading = read(rows)
    assert cells(reading, "total") == [[10], [11], [20]]
    assert [table.area for table in reading.layout.tables] == [None]


def test_other_variables_below_have_the_title_s_year(read):
    rows = [["2019年各县住院情况"], ["县", "住院总人次"], ["始兴县", 10], [], ["县", "县域内住院人次"], ["始兴县", 8]]
    assert cells(read(rows), "period", "inside", "total") == [[2019, 8, 10]]


def test_a_layout_says_where_several_tables_stand(read):
    rows = [["县", "2018年", "x", "县", "2018年"], ["始兴县", 10, 1, "仁化县", 12]]
    given = "tables: [{area: A1:B2, variable: total}, {area: D1:E2, variable: total}]"
    assert cells(read(rows, layout=given), "unit", "total") == [["440222", 10], ["440224", 12]]
    with pytest.raises(
        ReadingError, match=r"tables\[1\].area must be two cells such as A2:C14, the upper left one first, found 'B2'"
    ):
        Layout.from_yaml("tables: [{area: B2}]")


def test_a_row_for_each_county_indicator_and_year(read):
    rows = [["县", "指标", "年份", "数值"], ["始兴县", "住院总人次", 2018, 100], ["始兴县", None, 2019, 110]]
    rows += [["始兴县", "县域内住院人次", 2018, 80], ["始兴县", None, 2019, 90]]
    reading = read(rows)
    assert cells(reading, "period", "inside", "total", "inside_cell") == [[2018, 80, 100, "D4"], [2019, 90, 110, "D5"]]
    assert "blank indicators" in set(reading.decisions["what"])


@pytest.mark.parametrize(
    "title", [["住院总人次（万人次）"], ["住院总人次", "（万人次）"], ["住院总人次", "单位:万人次"]]
)
def test_the_unit_in_a_title_holds_for_whole_numbers_too(read, title):
    rows = [title, ["县", "2018年", "2019年"], ["始兴县", 12, 13]]
    assert cells(read(rows), "total") == [[120_000], [130_000]]
    rows = [title, ["年份", "始兴县", "仁化县"], ["2018年", 12, 13]]
    assert cells(read(rows), "total") == [[120_000], [130_000]]


def test_encoding_and_separator_of_a_text_file_stand_in_the_layout(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("縣,年份,住院總人次\n始興縣,2018,100\n".encode("big5"))
    found = read_table(path)
    assert found.decisions["decided"].str.contains("Read as Big5").any()
    assert cells(found, "unit", "total") == [["440222", 100]]
    reading = read_table(path, Layout.from_yaml("tables: [{encoding: big5}]"))
    assert cells(reading, "unit", "total") == [["440222", 100]]
    assert read_table(path, Layout.from_yaml(reading.layout.to_yaml())).frame.equals(reading.frame)
    path.write_text("县;床位数,2018年\n始兴县;80,1\n仁化县;81,2\n", encoding="utf-8")
    with pytest.raises(
        ReadingError, match=r"two separators fit the first 3 rows alike.*'separator: \",\"' in the layout"
    ):
        read_table(path)
    with pytest.raises(ReadingError, match="separator must be one character"):
        Layout.from_yaml("tables: [{separator: comma}]")


def test_traditional_characters_and_pinyin_left_by_recognition(read):
    rows = [
        ["縣（市、區）", "年份", "住院(yuàn)總人次", "距離（km）"],
        ["連南瑤族自治縣", 2018, 100, 20],
        ["總計", 2018, 100, 20],
    ]
    assert cells(read(rows), "unit", "total", "distance_km") == [["441826", 100, 20]]


SMALL = [["2019年各县"], ["县", "住院总人次", "县域内住院率"], ["始兴县", 2500, 80.1], ["合计", 2500, 80.1]]


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (
            "tables: [{columns: {Z: {read: total}}}]",
            "the layout's columns names column Z, outside the sheet.*within A1:C4",
        ),
        ("tables: [{header_rows: [9, 9]}]", "the layout's header_rows names row 9, outside the sheet"),
        ("tables: [{header_rows: [2, 2], data_rows: [3, 99]}]", "the layout's data_rows names row 99"),
        ("tables: [{leave_out: [77]}]", "the layout's leave_out names row 77"),
        ("tables: [{area: A9:C20}]", r"A9:C20: the table that was found \(rows 2 to 4\) is not within its area"),
        ("tables: [{columns: {C: {read: share, unit: percnt}}}]", "C3: share: the unit 'percnt' is unknown"),
        (
            "tables: [{sheet: Sheet2}]",
            "Sheet2: the layout describes a sheet that is not there.*one of table.xlsx Sheet1",
        ),
        ("tables: [{period: 2019Q5}]", "no period. Expected a line 'period: 2019Q3'"),
        ("periods: quarter", "no figure of a quarter: the spans are 2019"),
        ("within: 火星", "within='火星' is no province or prefecture"),
        (
            "tables: [{columns: {B: {read: total, period: 2018}}}]",
            "C2: a column of share without a period beside columns with one",
        ),
    ],
)
def test_a_layout_that_does_not_fit_says_where(read, layout, words):
    with pytest.raises(ReadingError, match=words):
        read(SMALL, layout=layout)


def test_a_share_without_a_period_is_not_spread_over_all_of_them(read):
    rows = [
        ["县", "2018年住院总人次", "2019年住院总人次", "县域内住院率(%)", "支援距离"],
        ["始兴县", 100, 110, 80, 300],
    ]
    with pytest.raises(ReadingError, match=r"D1: a column of share without a period"):
        read(rows)
    rows = [row[:3] + row[4:] for row in rows]
    assert cells(read(rows), "total", "distance_km") == [[100, 300], [110, 300]]


def arrange(panel, how):
    """Lay a panel of counts by quarter out as offices do: counties in the header, tables below or beside each other."""
    units, periods = list(dict.fromkeys(panel["unit"])), list(dict.fromkeys(panel["period"]))
    at = panel.set_index(["unit", "period"])
    of = {key: (int(row["inside"]), int(row["total"])) for key, row in at.iterrows()}
    pair = ["县域内住院人次", "住院总人次"]
    if how == "counties in the header":
        rows = [["时间", *(part for unit in units for part in (name(unit), None))], [None, *pair * len(units)]]
        rows += [[period, *(n for unit in units for n in of[unit, period])] for period in periods]
        letters = [openpyxl.utils.get_column_letter(2 + 2 * place) for place in range(len(units))]
        return rows, ["A1:A2", *(f"{a}1:{openpyxl.utils.get_column_letter(column_index(a) + 1)}1" for a in letters)]
    if how == "indicators below each other":
        rows = [["指标", "时间", *map(name, units)]]
        rows += [
            [word if place == 0 else None, period, *(of[unit, period][which] for unit in units)]
            for which, word in enumerate(pair)
            for place, period in enumerate(periods)
        ]
        return rows, []
    if how == "a table for each quarter":
        rows = [["各县住院情况"]]
        for period in periods:
            rows += [
                [f"{period[:4]}年第{period[5]}季度"],
                ["县", *pair],
                *([name(u), *of[u, period]] for u in units),
                [],
            ]
        return rows, []
    half = len(units) // 2
    blocks = [[(u, p) for u in part for p in periods] for part in (units[:half], units[half:])]
    rows = [["县", "时间", *pair, None, "县", "时间", *pair]]
    rows += [[name(a[0]), a[1], *of[a], None, name(b[0]), b[1], *of[b]] for a, b in zip(*blocks, strict=True)]
    return rows, []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "how",
    ["counties in the header", "indicators below each other", "a table for each quarter", "two tables side by side"],
)
@pytest.mark.crossed(2)
def test_a_panel_in_any_arrangement_is_read_back(read, how, seed):
    panel = quarters(2018, 2019, seed=seed)
    rows, merged = arrange(panel, how)
    found = read(rows, *merged, layout="tables: [{cumulative: false}]").frame
    expected = panel.sort_values(["unit", "period"])[["unit", "period", "inside", "total"]]
    assert found[["unit", "period", "inside", "total"]].values.tolist() == expected.values.tolist()


@pytest.mark.parametrize("first", ["'1234", "待补", "1.2千"])
def test_a_first_row_whose_figures_are_words_is_no_header(read, first):
    rows = [["2019年各县"], ["县", "住院总人次"], ["始兴县", first], ["仁化县", 900]]
    if first == "待补":
        with pytest.raises(ReadingError, match="B3: a text, not a number"):
            read(rows)
    else:
        assert cells(read(rows), "total") == [[1234 if first == "'1234" else 1200], [900]]


def test_remarks_that_are_editions_order_figures_that_stand_twice(read):
    rows = [
        ["县", "年份", "住院总人次", "备注"],
        ["始兴县", 2018, 110, "修订数"],
        ["始兴县", 2018, 100, "初步数"],
        ["始兴县", 2019, 90, None],
    ]
    reading = read(rows)
    assert cells(reading, "period", "total", "total_cell") == [[2018, 110, "C2"], [2019, 90, "C4"]]
    assert reading.left_out["cell"].tolist() == ["C3"]


def test_two_tables_beside_each_other_below_a_bare_year(read):
    rows = [["2018年"], ["县", "住院总人次", None, "县", "住院总人次"], ["始兴县", 10, None, "英德市", 30]]
    assert cells(read(rows), "period", "total") == [[2018, 10], [2018, 30]]


def test_shares_of_a_province_s_total_are_no_counts(read):
    rows = [["2019年"], ["县", "住院总人次", None], [None, "人次", "构成比(%)"], ["始兴县", 100, 12.5]]
    assert cells(read(rows, "A2:A3", "B2:C2"), "total") == [[100]]


@pytest.mark.parametrize(
    ("title", "header", "decided", "because"),
    [
        ("各县医疗机构工作量", "出院人数", "residents', wherever they were treated: to be checked", "'各县医疗机构工作量' speaks of hospitals"),
        ("各县情况", "住院总人次", "residents', wherever they were treated: to be checked", "no header or title says it"),
        ("各县医院", "参保人住院总人次", "residents'", "参保人住院总人次"),
    ],
)  # fmt: skip
def test_whose_episodes_a_total_counts_is_told_where_nothing_inside_stands_beside_it(
    read, title, header, decided, because
):
    told = read([[title, None, None], ["县", "年份", header], ["始兴县", 2019, 5000]]).decisions
    row = told[told["what"] == "whose episodes the total counts"].iloc[0]
    assert row["decided"] == decided
    assert because in row["because"]


def test_a_total_beside_a_count_inside_is_of_the_same_people(read):
    told = read([["县", "年份", "县域内住院人次", "住院总人次"], ["始兴县", 2019, 4000, 5000]]).decisions
    assert not (told["what"] == "whose episodes the total counts").any()
