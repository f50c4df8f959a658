"""What an office sends is read as the panel behind it, and every decision is told."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tables
from support.tables import long, quarters, three_headers, write_csv, write_xlsx, years

from evalaid.base.errors import EvalaidError, ReadingError
from evalaid.did.panel.design import diagnose
from evalaid.reading.files.cells import make_cells
from evalaid.reading.files.grids import Grid
from evalaid.reading.journal.layouts import ColumnLayout, Layout, TableLayout
from evalaid.reading.tables.tables import read_table

WRITTEN = 1e-12
"""Shares and counts are read from their decimal digits: only the last binary digit may differ."""

SHOWN_DIGITS = 1e-9
"""Beside half of the last digit that a share is written with, room for the arithmetic of decimal numbers."""


def expect(reading, panel, columns=("inside", "total", "share"), atol=WRITTEN):
    """Hold a reading against the panel that it was written from."""
    found = reading.frame.set_index(["unit", "period"]).sort_index()
    known = panel.set_index(["unit", "period"]).sort_index()
    assert found.index.tolist() == known.index.tolist()
    for column in columns:
        np.testing.assert_allclose(found[column], known[column], rtol=0, atol=atol * max(1, known[column].max()))


def reread(path, reading, tmp_path):
    """The layout that was detected reads the same file to the same frame."""
    text = reading.layout.to_yaml()
    file = tmp_path / "layout.yaml"
    file.write_text(text, encoding="utf-8")
    again = read_table(path, file)
    pd.testing.assert_frame_equal(again.frame, reading.frame)
    assert again.layout == reading.layout
    assert Layout.from_yaml(text) == reading.layout


def test_three_merged_header_rows_with_totals_city_rows_and_notes(tmp_path):
    panel = quarters()
    path = write_xlsx(tmp_path / "三表头.xlsx", {"表1": three_headers(panel)})
    reading = read_table(path)
    expect(reading, panel)
    reasons = reading.left_out.set_index("value")["reason"]
    assert reasons["合计"] == "a total or average, by its name"
    assert "prefecture" in reasons["清远市"]
    first = reading.frame.iloc[0]
    assert (first["sheet"], first["row"], first["inside_cell"]) == ("表1", 8, "D8")
    reread(path, reading, tmp_path)


def test_gb18030_csv_with_notes_and_totals(tmp_path):
    panel = quarters()
    rows = [[tables.TITLE], ["单位：人次"], *long(panel)]
    rows += [["", "全省", panel["inside"].sum(), panel["total"].sum()], ["注：2019年为快报，未经审核。"]]
    path = write_csv(tmp_path / "长表.csv", rows)
    reading = read_table(path)
    expect(reading, panel)
    assert reading.decisions["decided"].str.contains("GB18030").any()
    reread(path, reading, tmp_path)


def wide(panel, value, label="{year}Q{quarter}"):
    periods = list(dict.fromkeys(zip(panel["year"], panel["quarter"], strict=True)))
    rows = [["县区", *(label.format(year=year, quarter=quarter) for year, quarter in periods)]]
    return rows + [[tables.name(unit), *group[value].tolist()] for unit, group in panel.groupby("unit", sort=False)]


def test_wide_quarters_of_one_variable_that_the_title_names(tmp_path):
    panel = quarters()
    panel["share"] = panel["share"].round(4)
    path = write_xlsx(tmp_path / "a.xlsx", {"Sheet1": ([["各县（市、区）县域内住院率"], *wide(panel, "share")], ())})
    reading = read_table(path)
    expect(reading, panel, ["share"])
    reread(path, reading, tmp_path)


def test_cumulative_counts_are_differenced_and_the_rate_is_computed_from_them(tmp_path):
    panel = quarters()
    names = {1: "1-3月", 2: "1-6月", 3: "1-9月", 4: "1-12月"}
    rows = long(
        tables.cumulate(panel),
        ("时间", "县区", "县域内住院人次", "住院总人次", "县域内住院率"),
        lambda row: f"{row.year}年{names[row.quarter]}",
        ("inside", "total", "share"),
    )
    path = write_xlsx(tmp_path / "累计.xlsx", {"s": (rows, ())})
    reading = read_table(path)
    expect(reading, panel)
    assert reading.frame["cumulative"].all()
    second = reading.frame[reading.frame["period"] == "2018Q2"].iloc[0]
    assert second["inside_cell"] == "C3-C2"
    subtracted = reading.origins[reading.origins["part"] == "subtracted"]
    assert len(subtracted) == 2 * 6 * 2 * 3
    assert len(reading.faults) == 0
    reread(path, reading, tmp_path)


def test_ten_thousands_in_a_note_apply_to_counts_and_per_cent_to_rates(tmp_path):
    panel = years()
    panel["inside"], panel["total"] = panel["inside"].round(-2), panel["total"].round(-2)
    panel["share"] = (panel["inside"] / panel["total"]).round(3)
    written = panel.assign(
        inside=(panel["inside"] / 10_000).round(2),
        total=(panel["total"] / 10_000).round(2),
        share=(panel["share"] * 100).round(1),
    )
    rows = [[tables.TITLE], ["", "", "", "单位：万人次、%"]]
    rows += long(
        written,
        ("年份", "县（市、区）", "县域内住院人次", "居民住院总人次", "县域内住院率"),
        columns=("inside", "total", "share"),
    )
    path = write_csv(tmp_path / "b.csv", rows, "utf-8-sig")
    reading = read_table(path)
    expect(reading, panel)
    assert not len(reading.faults)
    reread(path, reading, tmp_path)


def test_a_sheet_a_year_with_the_year_in_its_name(tmp_path):
    panel = quarters()
    labels = {"quarter": ["第一季度", "第二季度", "第三季度", "第四季度"]}
    sheets = {}
    for year, group in panel.groupby("year"):
        header = ["地区", *(text for text in labels["quarter"] for _ in range(2))]
        second = ["", *["县域内住院人次", "住院总人次"] * 4]
        rows = [
            [tables.name(unit), *own[["inside", "total"]].to_numpy().ravel().tolist()]
            for unit, own in group.groupby("unit", sort=False)
        ]
        sheets[f"{year}年"] = ([header, second, *rows], ("A1:A2", "B1:C1", "D1:E1", "F1:G1", "H1:I1"))
    path = write_xlsx(tmp_path / "两年.xlsx", sheets)
    reading = read_table(path)
    expect(reading, panel)
    reread(path, reading, tmp_path)


def test_indicators_in_rows_and_years_as_numbers_in_columns(tmp_path):
    panel = years()
    rows = [["县域内住院情况"], ["县（区）", "指标", *sorted(panel["year"].unique())]]
    for unit, group in panel.groupby("unit", sort=False):
        rows.append([tables.name(unit), "县域内住院人次（人次）", *group["inside"].tolist()])
        rows.append([None, "住院总人次（人次）", *group["total"].tolist()])
        rows.append([None, "县域内住院率（%）", *(100 * group["share"]).tolist()])
    path = write_xlsx(tmp_path / "c.xlsx", {"Sheet1": (rows, ())})
    reading = read_table(path)
    expect(reading, panel)
    reread(path, reading, tmp_path)


def test_codes_as_floats_and_twelve_digits_old_names_and_spaces(tmp_path):
    panel = years(2018, 2019)
    keys = {
        "440222": 440222.0,
        "440224": "440224.0",
        "440232": "440232000000",
        "441826": 441826000000,
        "441881": "４４１８８１",
        "445381": " 445381 ",
    }
    rows = [["年度", "adcode", "n_in_county", "n_total_resident"]]
    rows += [[row.year, keys[row.unit], row.inside, row.total] for row in panel.itertuples()]
    path = write_xlsx(tmp_path / "d.xlsx", {"panel": (rows, ())})
    expect(read_table(path), panel)


def test_names_short_and_long_are_one_county_and_a_name_stands_once_for_its_rows(tmp_path):
    panel = quarters(2019, 2019)
    spelled = {"440232": "乳源县", "441826": "连南瑶族 自治县", "440222": "始 兴 县"}
    rows, merged = [["县名", "年份", "季度", "县域内住院人次", "县域外住院人次"]], []
    for number, (unit, group) in enumerate(panel.groupby("unit", sort=False)):
        for place, row in enumerate(group.itertuples()):
            rows.append(
                [
                    spelled.get(unit, tables.name(unit)) if place == 0 else None,
                    2019,
                    f"{row.quarter}季度",
                    row.inside,
                    row.total - row.inside,
                ]
            )
        merged.append(f"A{2 + 4 * number}:A{5 + 4 * number}")
    path = write_xlsx(tmp_path / "e.xlsx", {"s": (rows, merged)})
    reading = read_table(path)
    expect(reading, panel)
    assert (reading.decisions["decided"] == "inside + outside").any()
    reread(path, reading, tmp_path)
    rows = [[row[0], None if place > 1 else row[1], *row[2:]] for place, row in enumerate(rows)]
    blank = write_xlsx(tmp_path / "f.xlsx", {"s": (rows, ())})
    reading = read_table(blank)
    expect(reading, panel)
    assert {"blank names", "blank periods"} <= set(reading.decisions["what"])


def test_header_again_city_headings_numbered_columns_and_blank_columns(tmp_path):
    panel = quarters(2019, 2019)
    header = ["县区", None, "统计期", "县域内住院人次", "住院总人次", None]
    rows = [["附件1"], ["2019年情况"], header, ["甲", None, "乙", 1, 2, None]]
    for city in ("韶关市", "清远市", "云浮市"):
        rows += [[city], header]
        rows += [
            [tables.name(row.unit), None, f"2019年第{'一二三四'[row.quarter - 1]}季度", row.inside, row.total]
            for row in panel.itertuples() if tables.COUNTIES[row.unit][1] == city
        ]  # fmt: skip
        rows += [["小计", None, "", 1, 2], [None]]
    path = write_xlsx(tmp_path / "g.xlsx", {"s": (rows, ())})
    reading = read_table(path)
    expect(reading, panel)
    reasons = reading.left_out["reason"].value_counts()
    assert reasons["the header again"] == 3
    assert reasons["a heading; the rows below it lie in it"] >= 2
    reread(path, reading, tmp_path)


def test_mixed_percent_styles_in_one_column(tmp_path):
    panel = years(2018, 2019)
    panel["share"] = panel["share"].round(3)
    styles = [
        lambda x: f"{100 * x:.1f}%",
        lambda x: round(100 * x, 1),
        lambda x: round(x, 3),
        lambda x: f"{100 * x:.1f}％".translate({ord(c): ord(c) + 0xFEE0 for c in "0123456789."}),
    ]
    rows = [["年", "县", "县域内住院率"]]
    rows += [
        [row.year, tables.name(row.unit), styles[place % 4](row.share)] for place, row in enumerate(panel.itertuples())
    ]
    path = write_xlsx(tmp_path / "h.xlsx", {"s": (rows, ())})
    reading = read_table(path)
    expect(reading, panel, ["share"])
    assert reading.decisions["decided"].str.contains("fraction in a column of percentages").any()
    reread(path, reading, tmp_path)


def test_revised_figures_replace_preliminary_ones_and_are_listed(tmp_path):
    panel = years(2018, 2019)
    early = panel.assign(inside=panel["inside"] - 100)
    rows = [["年份", "县区", "县域内住院人次", "住院总人次", "数据状态"]]
    rows += [[row.year, tables.name(row.unit), row.inside, row.total, "修订数"] for row in panel.itertuples()]
    rows += [[row.year, tables.name(row.unit), row.inside, row.total, "初步数"] for row in early.itertuples()]
    path = write_csv(tmp_path / "i.csv", rows)
    reading = read_table(path)
    expect(reading, panel)
    assert reading.left_out["reason"].str.startswith("replaced by the later edition in C2").sum() == 1
    assert reading.left_out["reason"].str.startswith("replaced").sum() == 2 * len(panel)
    reread(path, reading, tmp_path)


def test_a_figure_that_stands_twice_without_an_order_is_a_fault_with_both_cells(tmp_path):
    rows = [
        ["年份", "县区", "住院总人次"],
        [2019, "英德市", 100],
        [2019, "英德市", 120],
        [2019, "罗定市", 5],
        [2019, "罗定市", 5],
    ]
    with pytest.raises(ReadingError, match="stands twice: 100 here, 120 in C3") as caught:
        read_table(write_csv(tmp_path / "j.csv", rows))
    assert caught.value.rows["cell"].tolist() == ["C2"]


def test_cumulative_rates_without_counts_are_refused_for_quarters_and_kept_for_years(tmp_path):
    panel = tables.cumulate(quarters())
    names = {1: "一季度", 2: "上半年", 3: "前三季度", 4: "全年"}
    rows = long(panel, ("时间", "县区", "县域内住院率"), lambda row: f"{row.year}年{names[row.quarter]}", ("share",))
    path = write_xlsx(tmp_path / "k.xlsx", {"s": (rows, ())})
    with pytest.raises(ReadingError, match="the difference of two cumulative rates is no rate"):
        read_table(path)
    reading = read_table(path, Layout(periods="year"))
    expect(reading, panel[panel["quarter"] == 4].assign(period=lambda frame: frame["year"]), ["share"])
    assert reading.left_out["reason"].str.contains("the panel is by year").sum() == 3 * 2 * 6
    reread(path, reading, tmp_path)


def test_one_quarter_alone_is_asked_about_and_one_line_settles_it(tmp_path):
    rows = [["2023年第三季度医疗服务信息情况一览表"], ["县区", "居民住院总人次"], ["英德市", 378302], ["罗定市", 2000]]
    path = write_xlsx(tmp_path / "l.xlsx", {"s": (rows, ())})
    with pytest.raises(ReadingError, match=r"is 378302 the figure of 2023Q3 alone, or of January to its end") as caught:
        read_table(path)
    assert "cumulative: false" in str(caught.value)
    text = caught.value.layout.to_yaml()
    settled = Layout.from_yaml(text.replace("cumulative: null", "cumulative: false"))
    assert read_table(path, settled).frame["total"].tolist() == [378302, 2000]
    assert read_table(path, settled).frame["period"].tolist() == ["2023Q3"] * 2


def test_counts_that_rise_as_cumulative_ones_contradict_their_words(tmp_path):
    panel = quarters()
    path = write_csv(tmp_path / "m.csv", long(tables.cumulate(panel)))
    with pytest.raises(
        ReadingError,
        match=r"the later is typically 1\.5. times the earlier, and in 0 it is lower; cumulative ones would be 1\.50 times",
    ):
        read_table(path)
    expect(read_table(path, Layout((TableLayout(cumulative=True),))), panel)


def test_the_quarters_own_figures_stand_beside_cumulative_ones(tmp_path):
    panel = quarters(2019, 2019)
    total = tables.cumulate(panel)
    rows = [["县区", "季度", "住院总人次", None, "县域内住院人次", None], [None, None, "本季", "累计", "本季", "累计"]]
    rows += [
        [tables.name(row.unit), f"2019年{row.quarter}季度", row.total, more.total, row.inside, more.inside]
        for row, more in zip(panel.itertuples(), total.itertuples(), strict=True)
    ]
    path = write_xlsx(tmp_path / "n.xlsx", {"s": (rows, ("C1:D1", "E1:F1", "A1:A2", "B1:B2"))})
    reading = read_table(path)
    expect(reading, panel)
    reread(path, reading, tmp_path)


def test_missing_marks_are_no_values_and_are_listed(tmp_path):
    rows = [
        ["年份", "县区", "住院总人次", "县域内住院率"],
        [2019, "英德市", "—", "…"],
        [2019, "罗定市", "1,234", "８６．９％"],
        [2020, "罗定市", "/", "87.1%"],
    ]
    reading = read_table(write_csv(tmp_path / "o.csv", rows))
    assert reading.frame["unit"].tolist() == ["445381"] * 2
    assert reading.frame["share"].tolist() == [0.869, 0.871]
    assert reading.left_out["cell"].tolist() == ["C2", "C4", "D2"]


def test_a_cumulative_count_that_falls_is_a_case_with_both_cells_and_is_not_clipped(tmp_path):
    rows = [["统计期", "县区", "住院总人次"]]
    rows += [
        [f"2019年1-{3 * quarter}月", "英德市", value] for quarter, value in enumerate([100, 210, 205, 400], start=1)
    ]
    path = write_csv(tmp_path / "p.csv", rows)
    reading = read_table(path)
    assert reading.frame["total"].tolist() == [100, 110, -5, 195]
    assert reading.faults[["cell", "value"]].values.tolist() == [["C4-C3", "205 after 210"]]
    kept = read_table(path, Layout(decreases="missing"))
    assert kept.frame["period"].tolist() == ["2019Q1", "2019Q2", "2019Q4"]


def test_shares_that_differ_from_their_counts_beyond_rounding_are_listed(tmp_path):
    rows = [
        ["年份", "县区", "县域内住院人次", "住院总人次", "县域内住院率(%)"],
        [2019, "英德市", 869, 1000, 86.9],
        [2020, "英德市", 869, 1000, 82.2],
        [2021, "英德市", 900, 800, 87],
    ]
    reading = read_table(write_csv(tmp_path / "q.csv", rows))
    assert reading.faults["cell"].tolist() == ["E3", "E4", "C4"]
    assert "C3 / D3 is 0.8690" in reading.faults["fault"][0]


def test_a_folder_of_a_file_a_year(tmp_path):
    panel = years()
    folder = tmp_path / "数据"
    folder.mkdir()
    for year, group in panel.groupby("year"):
        rows = [[f"{year}年县域内住院情况"], ["县区", "县域内住院人次", "住院总人次"]]
        write_csv(
            folder / f"{year}.csv",
            rows + [[tables.name(row.unit), row.inside, row.total] for row in group.itertuples()],
        )
    reading = read_table(folder)
    expect(reading, panel)
    assert len(reading.files) == 4
    reread(folder, reading, tmp_path)


def test_all_faults_of_all_sheets_come_at_once_with_their_cells(tmp_path):
    first = [
        ["年份", "县区", "住院总人次"],
        [2019, "英德县城", 100],
        [2019, "罗定市", "many"],
        ["the year", "始兴县", 3],
    ]
    second = [["英德市", 5]]
    path = write_xlsx(tmp_path / "r.xlsx", {"一": (first, ()), "二": (second, ())})
    with pytest.raises(ReadingError) as caught:
        read_table(path)
    rows = caught.value.rows
    assert rows.columns.tolist() == ["file", "sheet", "row", "cell", "value", "fault", "expected"]
    assert {("一", "B2"), ("一", "C3"), ("一", "A4"), ("二", "")} <= set(zip(rows["sheet"], rows["cell"], strict=True))


@pytest.mark.parametrize("seed", [*range(20), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(20, 120))])
@pytest.mark.crossed(3)
def test_a_panel_written_in_any_style_is_read_back(tmp_path, seed):
    rng = np.random.default_rng(seed)
    panel = quarters(2018, 2019, seed=seed)
    how = tables.style(rng)
    path = tables.write_random(tmp_path / "any", panel, how, rng)
    reading = read_table(path, Layout((TableLayout(cumulative=how["cumulative"]),)))
    expect(reading, panel, ["inside", "total"])
    rounding = 0.0005 + SHOWN_DIGITS if not how["cumulative"] else None
    if rounding:
        expect(reading, panel, ["share"], atol=rounding)
    reread(path, reading, tmp_path)


def test_changes_ranks_and_targets_are_no_levels(tmp_path):
    rows = [
        ["县区", "县域内住院率", None, None, None, "排名"],
        [None, "2019年", "2020年", "同比增减(百分点)", "目标", None],
        ["英德市", "86.9%", "87.1%", 0.2, 90, 1],
        ["罗定市", "82.2%", "82.0%", -0.2, 90, 2],
    ]
    reading = read_table(write_xlsx(tmp_path / "s.xlsx", {"s": (rows, ("B1:E1", "A1:A2", "F1:F2"))}))
    assert reading.frame["share"].tolist() == [0.869, 0.871, 0.822, 0.82]
    assert reading.layout.tables[0].columns[3].read == "nothing"


def test_two_bases_in_one_table_are_asked_about(tmp_path):
    rows = [["年份", "县区", "口径", "住院总人次"]]
    rows += [[2019, "英德市", "常住人口", 100], [2019, "英德市", "参保人口", 90]]
    path = write_csv(tmp_path / "t.csv", rows)
    with pytest.raises(ReadingError, match="several bases: 常住人口, 参保人口"):
        read_table(path)
    reading = read_table(path, Layout((TableLayout(base="参保人口"),)))
    assert reading.frame["total"].tolist() == [90]
    assert reading.left_out["reason"].tolist() == ["another base than the layout's 参保人口"]
    reread(path, reading, tmp_path)


def test_totals_over_periods_and_blank_names_below_a_total_are_left_out(tmp_path):
    panel = quarters(2019, 2019)
    rows = [["县区", "季度", "县域内住院人次", "住院总人次"]]
    for label, group in [
        ("全市", panel.head(4)),
        *((tables.name(unit), group) for unit, group in panel.groupby("unit", sort=False)),
    ]:
        rows += [
            [label if row.quarter == 1 else None, f"2019年{row.quarter}季度", row.inside, row.total]
            for row in group.itertuples()
        ]
        rows.append([None, "合计", 1, 2])
    path = write_xlsx(tmp_path / "u.xlsx", {"s": (rows, ())})
    reading = read_table(path)
    expect(reading, panel)
    assert (reading.left_out["reason"] == "a total over periods").sum() == 7
    assert (reading.left_out["reason"] == "a total or average, by its name").sum() == 4
    reread(path, reading, tmp_path)


def test_a_sheet_of_instructions_is_not_read_and_noted(tmp_path):
    panel = years()
    sheets = {
        "填表说明": ([["本表由县级卫生健康局填报"], ["一", "统计范围"], ["二", "统计口径"]], ()),
        "数据": (long(panel, ("年份", "县区", "县域内住院人次", "住院总人次")), ()),
    }
    path = write_xlsx(tmp_path / "v.xlsx", sheets)
    reading = read_table(path)
    expect(reading, panel)
    assert not reading.layout.tables[0].read
    reread(path, reading, tmp_path)


def test_dates_at_the_ends_of_quarters_are_quarters_in_rows_and_in_headers(tmp_path):
    panel = quarters()
    ends = {1: (3, 31), 2: (6, 30), 3: (9, 30), 4: (12, 31)}
    day = lambda row: dt.date(row.year, *ends[row.quarter])
    path = write_xlsx(tmp_path / "w.xlsx", {"s": (long(panel, period=day), ())})
    expect(read_table(path), panel)
    header = ["县区", *(day(row) for row in panel.drop_duplicates("period").itertuples())]
    rows = [
        header,
        *([tables.name(unit), *group["total"].tolist()] for unit, group in panel.groupby("unit", sort=False)),
    ]
    path = write_xlsx(tmp_path / "住院总人次.xlsx", {"s": (rows, ())})
    reading = read_table(path)
    expect(reading, panel, ["total"])
    reread(path, reading, tmp_path)


def test_one_county_under_its_old_and_new_name_and_code_is_one_unit(tmp_path):
    rows = [
        ["年份", "行政区划代码", "县区", "住院总人次"],
        [2018, "630122", "湟中县", 100],
        [2021, "630106", "湟中区", 110],
    ]
    reading = read_table(write_csv(tmp_path / "x.csv", rows))
    assert reading.frame[["unit", "name", "period"]].values.tolist() == [
        ["630106", "湟中区", 2018],
        ["630106", "湟中区", 2021],
    ]
    assert reading.decisions["decided"].str.contains("湟中区.*took its name").any()


def test_units_that_are_no_counties_are_taken_as_written(tmp_path):
    rows = [["年份", "单位名称", "住院总人次"], [2019, "第一医院", 100], [2019, "第二医院", 50], [2019, "合计", 150]]
    path = write_csv(tmp_path / "y.csv", rows)
    with pytest.raises(ReadingError, match="unknown name"):
        read_table(path)
    reading = read_table(path, Layout(units="as_written"))
    assert reading.frame["unit"].tolist() == ["第一医院", "第二医院"]
    reread(path, reading, tmp_path)


def test_a_year_beside_its_quarters_is_left_out_and_years_without_quarters_are_asked_about(tmp_path):
    panel = quarters(2019, 2019)
    rows = wide(panel, "total")
    rows[0].append("2019年")
    rows = [[*row, sum(row[1:])] if place else row for place, row in enumerate(rows)]
    path = write_xlsx(tmp_path / "住院总人次.xlsx", {"s": (rows, ())})
    reading = read_table(path)
    expect(reading, panel, ["total"])
    assert (reading.left_out["reason"] == "a figure of 2019; the panel is by quarter").sum() == 6
    rows[0][-1] = "2018年"
    (tmp_path / "other").mkdir()
    path = write_xlsx(tmp_path / "other" / "住院总人次.xlsx", {"s": (rows, ())})
    with pytest.raises(ReadingError, match="the files mix spans"):
        read_table(path)
    assert read_table(path, Layout(periods="year")).frame["period"].unique().tolist() == [2018]


def test_the_frame_is_ready_for_a_design(tmp_path):
    panel = quarters()
    path = write_xlsx(tmp_path / "z.xlsx", {"表1": three_headers(panel)})
    frame = read_table(path).frame
    frame["first_treated"] = frame["unit"].map({"440222": "2019Q1", "441826": "2019Q2"})
    design = diagnose(
        frame, unit="unit", period="period", outcome="share", cohort="first_treated", inside="inside", total="total"
    )
    assert (design.n_units, design.n_treated, design.n_periods) == (6, 2, 8)


def test_a_county_without_an_answer_names_the_nearest_and_what_settles_it(tmp_path):
    rows = [["年份", "县区", "住院总人次"], [2019, "鼓楼区", 100], [2019, "罗丁市", 5]]
    with pytest.raises(ReadingError, match="several divisions have this name") as caught:
        read_table(write_csv(tmp_path / "aa.csv", rows))
    assert "罗定市 (445381" in str(caught.value)
    assert "within: 广东省" in str(caught.value)
    ok = read_table(write_csv(tmp_path / "ab.csv", rows[:2]), Layout(within="福建省"))
    assert ok.frame["unit"].tolist() == ["350102"]


def test_periods_in_columns_of_a_variable_that_nothing_names_are_asked_about(tmp_path):
    path = write_csv(tmp_path / "ac.csv", wide(quarters(), "total"))
    with pytest.raises(
        ReadingError, match="the columns are periods or counties, and nothing names their variable"
    ) as caught:
        read_table(path)
    assert len(caught.value.rows) == 1
    reading = read_table(path, Layout((TableLayout(variable="total"),)))
    expect(reading, quarters(), ["total"])
    reread(path, reading, tmp_path)


def test_numbers_headers_and_names_that_are_hostile_stay_text(tmp_path):
    rows = [
        ["年份", "县区", "住院总人次", "<script>alert(1)</script>"],
        [2019, "=cmd()", 5, "x"],
        [2019, "<b>英德市</b>", 5, "x"],
    ]
    with pytest.raises(ReadingError) as caught:
        read_table(write_csv(tmp_path / "ad.csv", rows))
    assert caught.value.rows["value"].tolist() == ["=cmd()", "<b>英德市</b>"]
    text = caught.value.layout.to_yaml()
    assert Layout.from_yaml(text) == caught.value.layout


@given(
    st.lists(
        st.builds(
            TableLayout,
            file=st.none() | st.text(max_size=8),
            sheet=st.none() | st.text(max_size=8),
            header_rows=st.none() | st.tuples(st.integers(1, 3), st.integers(3, 6)),
            period=st.none()
            | st.sampled_from(["2019Q1", "2019", "null", "2019-09", "yes", "'", '"', "#", "2019年1-9月: x"]),
            variable=st.none() | st.sampled_from(["total", "share"]),
            cumulative=st.none() | st.booleans(),
            edition=st.none() | st.integers(0, 40),
            totals=st.lists(st.text(max_size=5), max_size=3).map(tuple),
            leave_out=st.lists(st.integers(1, 99), max_size=3).map(tuple),
            columns=st.just(
                (ColumnLayout("B", "share", "%", "2019", True, "a # b"), ColumnLayout("AB", "nothing", header=chr(10)))
            ),
        ),
        max_size=3,
    ).map(tuple)
)
def test_a_layout_written_as_yaml_is_read_back(tables_of):
    layout = Layout(tables_of, periods="quarter", within="广东省")
    assert Layout.from_yaml(layout.to_yaml()) == layout


def test_a_folder_of_cumulative_files_a_quarter_each_is_differenced_across_them(tmp_path):
    panel = quarters()
    folder = tmp_path / "季报"
    folder.mkdir()
    for (year, quarter), group in tables.cumulate(panel).groupby(["year", "quarter"]):
        rows = [[f"{year}年1-{3 * quarter}月各县住院情况"], ["县区", "县域内住院人次", "住院总人次"]]
        rows += [[tables.name(row.unit), row.inside, row.total] for row in group.itertuples()]
        write_csv(folder / f"{year}年第{quarter}期.csv", rows)
    reading = read_table(folder)
    expect(reading, panel)
    second = reading.frame[reading.frame["period"] == "2018Q2"].iloc[0]
    assert second["inside_cell"] == "B3-2018年第1期.csv!B3"
    reread(folder, reading, tmp_path)


def test_months_from_january_on_are_cumulative_by_their_words(tmp_path):
    spans = {"2019年1月": 10, "2019年1-2月": 22, "2019年1-3月": 33, "2019年1-4月": 40}
    rows = [["时间", "县区①", "住院总人次②"], *([span, "英德市", value] for span, value in spans.items())]
    reading = read_table(write_csv(tmp_path / "ae.csv", rows, "utf-8"))
    assert reading.frame["total"].tolist() == [10, 12, 11, 7]
    assert reading.frame["period"].tolist() == ["2019-01", "2019-02", "2019-03", "2019-04"]


def test_a_first_half_and_its_year_are_two_halves_and_full_years_can_be_taken(tmp_path):
    rows = [["时间", "县区", "住院总人次"], ["2019年1-6月", "英德市", 10], ["2019年1-12月", "英德市", 22]]
    path = write_csv(tmp_path / "af.csv", rows)
    halves = read_table(path).frame
    assert halves[["period", "total", "total_cell"]].values.tolist() == [["2019H1", 10, "C2"], ["2019H2", 12, "C3-C2"]]
    assert read_table(path, Layout(periods="year")).frame["total"].tolist() == [22]


def test_spans_that_are_no_periods_are_named(tmp_path):
    rows = [["时间", "县区", "住院总人次"], ["2019年1-9月", "英德市", 10], ["2020年1-9月", "英德市", 22]]
    with pytest.raises(
        ReadingError, match="no figure of a whole month, quarter, half-year, year: the spans are 2019-01 to 2019-09"
    ):
        read_table(write_csv(tmp_path / "ag.csv", rows))


@pytest.mark.parametrize("title", ["2019年", "2019年各县住院情况"])
def test_a_second_period_inside_a_table_is_never_read_as_the_first(tmp_path, title):
    header, later = ["县区", "住院总人次"], title.replace("19", "20")
    rows = [[title], header, ["英德市", 10], [later], header, ["罗定市", 6]]
    assert read_table(write_csv(tmp_path / "ag.csv", rows)).frame["period"].tolist() == [2019, 2020]
    del rows[4]  # without a header of its own
    with pytest.raises(ReadingError, match="a title inside the table names 2020年") as caught:
        read_table(write_csv(tmp_path / "ah.csv", rows))
    assert caught.value.rows["cell"].tolist() == ["A4"]


def test_a_rate_of_a_full_year_that_a_note_calls_cumulative_is_the_year_s(tmp_path):
    rows = [["2019年县域内住院率（%）"], ["县区", "县域内住院率"], ["英德市", 86.9], ["注：本表为累计数"]]
    reading = read_table(write_xlsx(tmp_path / "ah.xlsx", {"s": (rows, ())}))
    assert reading.frame[["period", "share"]].values.tolist() == [[2019, 0.869]]


PIECES = st.sampled_from(
    [None, "县区", "年份", "季度", "统计期", "指标", "口径", "住院总人次", "县域内住院率(%)", "县域内住院人次（万人次）", "2019年", "2019Q3", "1-9月累计",
     "上半年", "英德市", "罗定市", "清远市", "合计", "城区", "441881", 441881.0, 2019, 2020, 12, 86.9, 0.86, "86.9%", "—", "注：累计", "单位：%",
     "2018-2020年", "初步数", "修订数", "", "<b>", True, dt.date(2019, 3, 31)]
)  # fmt: skip


FITTING = {
    "县区": ["英德市", "罗定市", "连南县", "合计", "清远市", None],
    "统计期": ["2019Q1", "2019年二季度", "2019年1-9月", "2019年", "合计", None],
    "年份": [2019, "2020年", 2020.0, None],
    "住院总人次": [12, 30, "1,200", "—", None, 7.0],
    "县域内住院人次": [3, 10, 11.0, "…", "2"],
    "县域内住院率": [0.86, "86.9%", 86.9, None],
    "数据状态": ["初步数", "修订数", None],
    "口径": ["常住", "参保"],
}


@st.composite
def sheets(draw):
    """A table whose columns mostly hold what their headers say, with anything else now and then."""
    header = draw(st.lists(st.sampled_from(list(FITTING)), min_size=2, max_size=6, unique=True))
    body = []
    for _ in range(draw(st.integers(1, 8))):
        row = [draw(st.sampled_from(FITTING[name])) for name in header]
        if draw(st.integers(0, 5)) == 0:
            row[draw(st.integers(0, len(row) - 1))] = draw(PIECES)
        body.append(row)
    above = draw(st.lists(st.lists(PIECES, min_size=1, max_size=1), max_size=2))
    return [*above, header, *body]


@st.composite
def arrangements(draw):
    """Tables below or beside each other, or turned so that counties stand in the header."""
    one, other = draw(sheets()), draw(sheets())
    width = max(map(len, one))
    padded = [row + [None] * (width - len(row)) for row in one]
    blank: list = [None] * (max(map(len, other)))
    beside = [
        (padded[at] if at < len(padded) else [None] * width) + [None] + (other[at] if at < len(other) else blank)
        for at in range(max(len(padded), len(other)))
    ]
    turned = [list(row) for row in zip(*padded, strict=True)]
    return draw(st.sampled_from([[*one, [], *other], one + other, beside, turned]))


def refused(error):
    """Tell whether a refusal says what is wrong, with rows that are not empty."""
    return bool(str(error)) and (error.rows is None or len(error.rows) > 0)


@settings(max_examples=120)
@given(sheets() | arrangements() | st.lists(st.lists(PIECES, min_size=1, max_size=6), min_size=1, max_size=9))
def test_whatever_stands_in_a_sheet_it_is_read_or_refused_with_reasons(rows):
    grid = Grid("any.xlsx", "s", make_cells(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evalaid.reading.tables.tables.open_grids", lambda *_, **__: (grid,))
        try:
            reading = read_table("any.xlsx")
        except EvalaidError as error:
            reading, reasons = None, refused(error)
        if reading is None:
            assert reasons
            return
        again = read_table("any.xlsx", Layout.from_yaml(reading.layout.to_yaml()))
    pd.testing.assert_frame_equal(again.frame, reading.frame)
    assert not reading.frame.duplicated(["unit", "period"]).any()
