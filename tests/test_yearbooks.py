"""Tables as yearbooks, monthly reports and insurance bureaus print them: the figures in them, or the line that is missing."""

import pytest

from evalaid.errors import ReadingError
from evalaid.reading.layouts import Layout
from evalaid.reading.tables import read_table
from tests.tables import write_xlsx

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
