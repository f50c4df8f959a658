"""Files in the styles of many offices, read by what they say themselves or by one answer: the right figures, never others in silence."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import yaml

from evalaid.base.errors import ReadingError
from evalaid.did.estimators.estimation import estimate
from evalaid.did.inference.infer import infer
from evalaid.did.panel.design import diagnose
from evalaid.programme.cohorts import assign_cohorts
from evalaid.programme.roster import roster_of
from evalaid.reading.files.data_files import READERS
from evalaid.reading.files.endings import DATA_FILES, KINDS
from evalaid.reading.journal.layouts import ColumnLayout, FileLayout, TableLayout
from evalaid.reading.rosters.rosters import read_partnerships
from evalaid.reading.tables.tables import read_table
from evalaid.reading.tables.tidy import read_tidy
from evalaid.reading.values.comparable_names import match_names
from evalaid.reading.words.vocabulary import LANGUAGES

FILES = Path(__file__).parent / "intake"
FOUR_DIGITS = 5e-5
"""The right values are known to four digits behind the point."""


def overall(panel, unit, period, outcome, roster, unit_of_outcome="number"):
    """The effect on the treated against units not yet treated, and how many units are treated."""
    starts = assign_cohorts(roster_of(roster), "month" if "-" in str(panel[period].iloc[0]) else "year").cohort_by_unit
    match = match_names(starts.index, panel[unit].unique())
    assert not match.unknown
    starts.index = [match.found[name] for name in starts.index]
    frame = panel.assign(start=panel[unit].map(starts)).dropna(subset=[outcome])
    design = diagnose(frame, unit=unit, period=period, outcome=outcome, cohort="start", outcome_unit=unit_of_outcome)
    effects = estimate(design, "callaway_santanna", comparison="not_yet_treated").aggregate("overall")
    return infer(effects)["estimate"].item(), len(starts)


@pytest.mark.parametrize(
    ("panel", "roster", "unit", "outcome", "measured", "right", "treated"),
    [
        ("us_panel.csv", "us_roster.csv", "county", "inpatient_share", "percent", 0.022242, 16),
        ("imr.csv", "imr_roster.csv", "county", "infant_mortality_rate_per_1000", "number", 0.3725, 16),
    ],
)
def test_a_tidy_panel_and_its_roster_give_the_right_effect(panel, roster, unit, outcome, measured, right, treated):
    frame = read_tidy(FILES / panel).frame
    value, count = overall(frame, unit, "year", outcome, read_partnerships(FILES / roster), measured)
    assert count == treated
    assert value == pytest.approx(right, abs=FOUR_DIGITS)


@pytest.mark.parametrize(
    ("panel", "roster", "layout", "outcome", "measured", "units", "right"),
    [
        ("kr_share.xlsx", "kr_roster.xlsx", FileLayout(), "share", "fraction", 18, 0.03040),
        ("br_internacoes.csv", "br_adesao.csv", FileLayout(), "value", "number", 20, 5.0972),
        ("nhs_table1.xlsx", "nhs_golive.xlsx", FileLayout(year_begins=4), "value", "number", 24, -50.284),
    ],
)
def test_an_office_table_and_its_roster_give_the_right_effect(panel, roster, layout, outcome, measured, units, right):
    reading = read_table(FILES / panel)
    assert reading.frame["unit"].nunique() == units
    partnerships = read_partnerships(FILES / roster, layout)
    value, _ = overall(reading.frame, "unit", "period", outcome, partnerships, measured)
    assert value == pytest.approx(right, rel=FOUR_DIGITS, abs=FOUR_DIGITS)


def test_a_fiscal_year_in_a_roster_asks_for_its_first_month():
    with pytest.raises(ReadingError, match="year_begins: 4") as caught:
        read_partnerships(FILES / "nhs_golive.xlsx")
    assert set(caught.value.rows["fault"]) == {"start: a fiscal year: the month in which it begins is not known"}


def test_a_nation_is_left_out_with_its_evidence_and_suppressed_cells_are_missing():
    reading = read_table(FILES / "nhs_table1.xlsx")
    left = reading.left_out.set_index("value")["reason"]
    assert left["ENGLAND"] == "a total or average, by its name"
    assert (reading.left_out["value"] == "*").sum() == 2
    assert reading.frame["period"].min() == 2012
    assert reading.decisions["because"].str.contains("the nation beside 24 units").any() or (
        reading.decisions["because"].eq("the nation beside 24 units of it").any()
    )


def test_larger_places_that_are_named_once_belong_to_the_rows_below_them():
    units = set(read_table(FILES / "kr_share.xlsx").frame["unit"])
    assert {"강원도 고성군", "경상남도 고성군", "부산광역시 중구", "대구광역시 중구"} <= units


def test_months_marks_and_totals_are_read_in_the_language_of_the_file():
    reading = read_table(FILES / "br_internacoes.csv")
    assert "2018-10" in set(reading.frame["period"])
    assert reading.frame["value"].notna().all()
    assert (reading.frame["value"] == 0).sum() > 0
    assert reading.decisions.query("decided == '0'")["because"].str.contains(r"\(pt\)").any()


def test_a_comma_in_every_number_of_a_semicolon_file_is_decimal():
    reading = read_table(FILES / "de_rates3.csv", FILES / "de_rates3_layout.yaml")
    assert reading.frame["cases_per_1000"].between(160, 240).all()
    assert reading.frame["unit"].str.startswith("01").all()
    stated = FileLayout.from_yaml(reading.layout.to_yaml())
    assert read_table(FILES / "de_rates3.csv", stated).frame.equals(reading.frame)


def test_genesis_in_latin_1_with_a_preamble_two_header_rows_and_secret_cells():
    reading = read_table(FILES / "de_genesis.csv")
    frame = reading.frame.set_index(["unit", "period"])
    assert frame.loc[("01001", 2017), "insgesamt"] == 9000
    assert frame.loc[("01053", 2017), "männlich"] == 0
    assert np.isnan(frame.loc[("01003", 2018), "männlich"])
    assert "Lübeck, kreisfreie Stadt" in set(frame["name"])
    assert "Deutschland" in set(reading.left_out["value"])


def test_india_has_fiscal_years_lakhs_and_two_districts_of_one_name():
    reading = read_table(FILES / "in_hmis.csv")
    frame = reading.frame
    assert {"Maharashtra Aurangabad", "Bihar Aurangabad"} <= set(frame["unit"])
    assert sorted(frame["period"].unique()) == [2011, 2012, 2013, 2014, 2015]
    assert frame["value"].min() > 50_000
    assert "All India" in set(reading.left_out["value"])
    starts = assign_cohorts(roster_of(read_partnerships(FILES / "in_roster.csv", FileLayout(year_begins=4))), "year")
    assert starts.cohort_by_unit.to_dict() == {"Maharashtra Aurangabad": 2013, "Bihar Gaya": 2014}


def test_a_french_tidy_file_keeps_its_codes_and_leaves_the_nation_out():
    table = read_tidy(FILES / "fr_ght.csv")
    assert {"01", "2A", "974"} <= set(table.frame["dep"])
    assert set(table.left_out["value"]) == {"France entière"}
    assert set(table.frame["ght"]) == {0, 1}
    assert table.frame["taux_recours"].between(55, 80).all()


def test_three_header_rows_of_cumulative_counts_with_of_which_in_the_county(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    rng = np.random.default_rng(5)
    counties = {"连南县": "441826", "仁化县": "440224", "始兴县": "440222"}
    known, rows = {}, {}
    for name, code in counties.items():
        totals = rng.integers(3000, 5000, 4)
        inside = (totals * rng.uniform(0.7, 0.9, 4)).astype(int)
        known[code] = (totals, inside)
        rows[name] = [int(figure) for pair in zip(np.cumsum(totals), np.cumsum(inside), strict=True) for figure in pair]
    spans = ["1-3月", "1-6月", "1-9月", "1-12月"]
    sheet.append(["各县（市、区）住院情况", *[None] * 8])
    sheet.append(["县区", "2019年", *[None] * 7])
    sheet.append([None, *(part for span in spans for part in (f"{span}累计", None))])
    sheet.append([None, *("住院总人次", "其中：县域内") * 4])
    for name, figures in rows.items():
        sheet.append([name, *figures])
    sheet.append(["合计", *np.sum(list(rows.values()), axis=0).tolist()])
    sheet.merge_cells("B2:I2")
    sheet.merge_cells("A2:A4")
    for left, right in ("BC", "DE", "FG", "HI"):
        sheet.merge_cells(f"{left}3:{right}3")
    book.save(tmp_path / "cumulative.xlsx")
    frame = read_table(tmp_path / "cumulative.xlsx").frame.set_index(["unit", "period"])
    for code, (totals, inside) in known.items():
        quarters = frame.loc[code]
        assert quarters["total"].tolist() == totals.tolist()
        assert quarters["inside"].tolist() == inside.tolist()


@pytest.mark.parametrize(
    ("text", "column", "values"),
    [
        ("fips,year,y\n01001,2010,1\n36061,2010,2\n", "fips", ["01001", "36061"]),
        ("code,y\n5E1,1\n501,2\n", "code", ["5E1", "501"]),
        ("name,y\nNA,1\nNone,2\nNULL,3\n", "name", ["NA", "None", "NULL"]),
        ('unit,beds\nA,"7,161"\nB,950\n', "beds", [7161, 950]),
        ("unit;v\nA;1.234,5\nB;12,5\n", "v", [1234.5, 12.5]),
        ("unit,v\nA,1'234.5\nB,12.5\n", "v", [1234.5, 12.5]),
        ("unit;v\nA;1 234,5\nB;12,5\n", "v", [1234.5, 12.5]),
        ('unit,v\nA,"12,34,567"\nB,"1,23,456"\n', "v", [1234567, 123456]),
        ("unit,fy,v\nA,FY2015,1\nA,FY2016,2\n", "fy", [2015, 2016]),
        ("unit,m,v\nA,Jan 2018,1\nA,Feb 2018,2\n", "m", ["2018-01", "2018-02"]),
        ("unit,v\nA,\u22121.5\nB,２.5\n", "v", [-1.5, 2.5]),
        ("unit,v\nA,NA\nB,1.5e-05\n", "v", [np.nan, 1.5e-05]),
    ],
)
def test_each_column_is_typed_after_all_its_rows_are_seen(tmp_path, text, column, values):
    path = tmp_path / "panel.csv"
    path.write_text(text, encoding="utf-8")
    found = read_tidy(path).frame[column].tolist()
    assert all(a == b or (pd.isna(a) and pd.isna(b)) for a, b in zip(found, values, strict=True)), found


def written(decimal):
    """A layout that says how the numbers of a file are written and nothing else."""
    return FileLayout(tables=(TableLayout(decimal=decimal),))


def test_a_number_that_can_be_read_in_two_ways_is_asked_about(tmp_path):
    path = tmp_path / "panel.csv"
    path.write_text("unit;v\nA;191,597\nB;7\nC;12\n", encoding="utf-8")
    with pytest.raises(ReadingError, match="decimal: "):
        read_tidy(path)
    assert read_tidy(path, layout=written(",")).frame["v"].tolist() == [191.597, 7, 12]
    assert read_tidy(path, layout=written(".")).frame["v"].tolist() == [191597, 7, 12]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("latin-1", "Município;2019\nSão José;3\nJundiaí;4\n"),
        ("cp1252", "Commune;2019\nÉvreux;3\nLa Réole;4\n"),
        ("cp949", "시도,시군구,이용률\n강원도,강릉시,48.9\n경상남도,거창군,51\n"),
        ("cp932", "都道府県,市区町村,患者数\n北海道,札幌市,100\n東京都,新宿区,50\n"),
        ("big5", "縣市,年,住院人次\n臺北市,2019,100\n高雄市,2019,20\n"),
        ("gb18030", "县区,年,住院人次\n连南县,2019,100\n始兴县,2019,20\n"),
        ("cp1250", "Nazwa;2015\nBolesławiec;1\nDzierżoniów;2\nŁódź;3\n"),
        ("cp1251", "Регион;2015\nМосква;12\nТверь;11\n"),
        ("utf-16", "Município;2019\nSão José;3\n"),
    ],
)
def test_an_encoding_is_decided_by_the_language_that_it_gives(tmp_path, encoding, text):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    frame = read_tidy(path).frame
    assert list(frame.columns) == text.splitlines()[0].replace(";", ",").split(",")
    assert frame.iloc[0, 0] == text.splitlines()[1].replace(";", ",").split(",")[0]


def changed_codes(path):
    rows = ["Deaths by area,,,,", "code,2020,2021,2022,2023"]
    rows += [f"A{at},{at},{at + 1},{at + 2},{at + 3}" for at in range(9)]
    path.write_text("\n".join([*rows, "E07,50,51,,", "E08,70,71,,", "F91,,,52,53", "F77,,,72,73"]), encoding="utf-8")
    return path


def test_codes_that_end_where_others_begin_are_asked_about_with_the_likely_pairs(tmp_path):
    path = changed_codes(tmp_path / "areas.csv")
    with pytest.raises(
        ReadingError, match=r"2 units end in 2021 and 2 others begin in 2022.*'E07': 'F91', 'E08': 'F77'"
    ):
        read_table(path)
    reading = read_table(path, FileLayout.from_yaml("former: {E07: F91, E08: F77}"))
    assert reading.frame.groupby("unit").size().loc[["F91", "F77"]].tolist() == [4, 4]
    assert FileLayout.from_yaml(reading.layout.to_yaml()) == reading.layout
    others = read_table(path, FileLayout.from_yaml("former: {}"))
    assert others.frame["unit"].nunique() == 13


def test_a_row_that_is_the_sum_of_the_others_is_left_out_whatever_it_is_called(tmp_path):
    path = tmp_path / "areas.csv"
    rows = [
        "Deaths by area,,,",
        "Area,2010,2011,2012",
        "North,1,2,3",
        "South,4,5,6",
        "East,7,8,9",
        "West,2,2,2",
        "Mid,1,1,1",
    ]
    path.write_text("\n".join([*rows, "Whole region,15,18,21"]), encoding="utf-8")
    reading = read_table(path)
    assert "Whole region" not in set(reading.frame["unit"])
    assert reading.left_out["reason"].tolist() == ["its value is the sum of the 5 others in every period"]


def test_many_faults_of_one_kind_are_told_once_with_three_examples(tmp_path):
    path = tmp_path / "areas.csv"
    rows = ["Deaths by area,,,", "Area,2010,2011,2012", *(f"N{at},1,{at},x1" for at in range(30))]
    path.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(ReadingError, match="30 faults of one kind") as caught:
        read_table(path)
    assert str(caught.value).count("a number with a text that is no known unit") == 3
    assert len(caught.value.rows) == 30


def test_units_are_looked_up_in_a_list_of_divisions_that_the_layout_names(tmp_path):
    listed = tmp_path / "divisions.csv"
    listed.write_text(
        "code,name,parent,valid_from,valid_to\n01,North,,,\n02,South,,,\n0101,Ashby,01,,\n0201,Ashby,02,,\n0102,Bray,01,1990,2015\n0109,Bray,01,2016,\n",
        encoding="utf-8",
    )
    path = tmp_path / "areas.csv"
    lines = ["Deaths by area,,,", "State,District,2010,2011", "North,Ashby,1,2", "South,ashby,3,4", ",{name},5,7"]
    path.write_text("\n".join(lines).format(name="Bray").replace(",Bray", "North,Bray"), encoding="utf-8")
    layout = FileLayout(divisions=str(listed))
    frame = read_table(path, layout).frame
    assert list(dict.fromkeys(frame["unit"])) == ["0101", "0109", "0201"]
    path.write_text("\n".join(lines).format(name="Brey").replace(",Brey", "North,Brey"), encoding="utf-8")
    with pytest.raises(ReadingError, match=r"'North Brey' is not in divisions.csv \(nearest: Bray \(010\d\)"):
        read_table(path, layout)
    roster = tmp_path / "roster.csv"
    roster.write_text("State,District,Start\nSouth,Ashby,2011\n", encoding="utf-8")
    assert read_partnerships(roster, layout).frame["unit"].tolist() == ["0201"]


DOCS = Path(__file__).parents[2] / "docs" / "own-data.md"


def test_the_documentation_lists_every_word_of_a_layout_in_an_example_that_is_read():
    text = DOCS.read_text(encoding="utf-8")
    example = text.partition("```yaml\n")[2].partition("```")[0]
    layout = FileLayout.from_yaml(example)
    stored = yaml.safe_load(example)
    columns = {name for column in stored["tables"][0]["columns"].values() for name in column}
    assert set(stored) == {field.name for field in fields(FileLayout)}
    assert set(stored["tables"][0]) == {field.name for field in fields(TableLayout)}
    assert columns == {field.name for field in fields(ColumnLayout)} - {"column", "header"}
    assert layout.year_begins == 4


def test_the_documentation_lists_every_kind_of_file_and_language():
    text = DOCS.read_text(encoding="utf-8")
    assert set(READERS) == DATA_FILES
    assert not [ending for ending in KINDS if f"`{ending}`" not in text]
    assert not [language for language in LANGUAGES if f"`{language}`" not in text]


def test_letters_that_fit_two_alphabets_are_asked_about(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes("Obec;x\nČeské Budějovice;3\nPlzeň;1\nÚstí;3\n".encode("cp1250"))
    with pytest.raises(ReadingError, match="'encoding: cp1252' or 'encoding: cp1250'"):
        read_tidy(path)
    assert read_tidy(path, encoding="cp1250").frame["Obec"].tolist() == ["České Budějovice", "Plzeň", "Ústí"]


@pytest.mark.parametrize(
    ("dates", "layout", "right"),
    [
        (["3/15/2018", "12/1/2019"], FileLayout(), ["2018-03-15", "2019-12-01"]),
        (["15/3/2018", "1/12/2019"], FileLayout(), ["2018-03-15", "2019-12-01"]),
        (["3/4/2018", "5/6/2019"], FileLayout(day_first=True), ["2018-04-03", "2019-06-05"]),
        (["3/4/2018", "5/6/2019"], FileLayout(day_first=False), ["2018-03-04", "2019-05-06"]),
    ],
)
def test_the_order_of_day_and_month_is_that_of_the_whole_column(tmp_path, dates, layout, right):
    path = tmp_path / "roster.csv"
    path.write_text("county,start\n" + "".join(f"C{at},{date}\n" for at, date in enumerate(dates)), encoding="utf-8")
    assert read_partnerships(path, layout).frame["start"].tolist() == right
    if layout != FileLayout():
        with pytest.raises(ReadingError, match=r"the day or the month first.*day_first: true"):
            read_partnerships(path)


def test_a_japanese_table_has_fiscal_years_zeros_and_prefectures_named_once(tmp_path):
    path = tmp_path / "hospitals.csv"
    lines = [
        "病院報告,,,",
        "単位：人,,,",
        "都道府県,市区町村,2018年度,2019年度",
        '北海道,札幌市,"12,345","12,400"',
        ',函館市,"2,345","2,400"',
    ]
    lines += [
        '東京都,新宿区,"5,000","5,100"',
        ",渋谷区,-,…",
        '神奈川県,横浜市,"9,000","9,100"',
        '全国,,"99,000","99,900"',
        "出典：厚生労働省,,,",
    ]
    path.write_bytes("\n".join(lines).encode("cp932"))
    reading = read_table(path)
    frame = reading.frame.set_index(["unit", "period"])["value"]
    assert frame["北海道 函館市", 2018] == 2345
    assert frame["東京都 渋谷区", 2018] == 0
    assert ("東京都 渋谷区", 2019) not in frame.index
    assert reading.decisions["decided"].str.contains("Fiscal years: '2018年度'").any()
