"""Small files in the styles of many offices, each through what `evalaid check` does: the right figures, or a question that says what settles it."""

import json
import re
import sqlite3

import openpyxl
import pandas as pd
import pyreadstat
import pytest

from evalaid.base.errors import EvalaidError
from evalaid.base.periods import label
from evalaid.reading.journal.layouts import FileLayout
from evalaid.study.inspection.anything import inspect_any

AREAS = {"Adams": 10, "Baker": 17, "Clark": 11, "Dane": 29, "Essex": 14}
YEARS = (2015, 2016, 2017, 2018)


def tidy(period="{year}", value="{figure}", header="county,year,deaths", areas=AREAS, separator=","):
    """A tidy csv; the figure of an area is its own number plus the years since 2015."""
    rows = [
        separator.join((name, period.format(year=year, next=(year + 1) % 100), value.format(figure=base + year - 2015)))
        for name, base in areas.items()
        for year in YEARS
    ]
    return "\n".join([header, *rows]) + "\n"


def wide(headers, header="county", areas=AREAS):
    rows = [",".join([name, *(str(base + at) for at in range(len(headers)))]) for name, base in areas.items()]
    return "\n".join([",".join([header, *headers]), *rows]) + "\n"


def inspected(path, text, encoding="utf-8", **options):
    if isinstance(text, str):
        path.write_bytes(text.encode(encoding))
    return inspect_any(path, **options)


def panel_of(found):
    assert found.panel is not None, found.text()
    keys = found.panel.keys
    frame = found.panel.frame.assign(period=[label(keys.kind, one) for one in found.panel.frame["period"]])
    return frame.set_index(["unit", "period"])["outcome"]


@pytest.mark.parametrize(
    ("text", "encoding", "place", "right"),
    [
        # periods
        (tidy(period="{year}-M01"), "utf-8", ("Adams", "2016-01"), 11),
        (tidy(period="Q1 {next}"), "utf-8", ("Adams", "2017Q1"), 11),
        (wide(["01/02/2017", "01/03/2017", "01/04/2017"]), "utf-8", ("Adams", "2017-03"), 11),
        (wide(["1/31/2017", "2/28/2017", "3/31/2017"]), "utf-8", ("Adams", "2017-02"), 11),
        (wide(["15/16", "16/17", "17/18"]), "utf-8", ("Adams", "2016"), 11),
        (wide(["2015 [r]", "2016 (p)", "2017"]), "utf-8", ("Adams", "2016"), 11),
        ("表,,\n" + wide(["平成30年度", "令和元年度", "令和2年度"], "都道府県"), "cp932", ("Adams", "2019"), 11),
        ("จังหวัด,ปี พ.ศ.,อัตรา\nลำพูน,2558,5\nลำพูน,2559,6\nแพร่,2558,7\nแพร่,2559,8\n", "utf-8", ("ลำพูน", "2016"), 6),
        ("استان,سال,تخت\nفارس,۱۳۹۴,۵٫۵\nفارس,۱۳۹۵,۶\nقم,۱۳۹۴,۷\nقم,۱۳۹۵,۸\n", "utf-8", ("فارس", "2015"), 5.5),
        # numbers
        (tidy(value='"$1,0{figure}.50"'), "utf-8", ("Adams", "2015"), 1010.5),
        (tidy(value="1.0{figure},50 €", separator=";", header="kreis;jahr;kosten"), "utf-8", ("Adams", "2015"), 1010.5),
        (tidy(value="1.0{figure}", separator=";", header="Municipios;Periodo;Total"), "utf-8", ("Adams", "2015"), 1010),
        (tidy(value="10\u202f0{figure},5", separator=";", header="commune;annee;nombre"), "utf-8", ("Adams", "2015"), 10010.5),
        (tidy(value='"$(1,0{figure})"'), "utf-8", ("Adams", "2015"), -1010),
        (tidy(value="{figure}.5%"), "utf-8", ("Adams", "2015"), 0.105),
        (tidy(value="{figure}*"), "utf-8", ("Adams", "2015"), 10),
        (tidy(value="{figure}(a)"), "utf-8", ("Adams", "2015"), 10),
        (tidy(value="{figure}.5 b"), "utf-8", ("Adams", "2015"), 10.5),
        (tidy(value="{figure},5", separator=";", header="Регион;Год;Число случаев, тыс."), "cp1251", ("Adams", "2015"), 10.5),
        (tidy(header="county,year,deaths_rate_per_1000").join(["# exported\n# source\n", ""]), "utf-8", ("Adams", "2015"), 10),
        # rows
        (tidy() + "Source: the office\n", "utf-8", ("Adams", "2015"), 10),
        (tidy() + tidy(areas={"Floyd": 50}), "utf-8", ("Floyd", "2015"), 50),
    ],
)  # fmt: skip
def test_a_file_is_read_by_what_it_says_itself(tmp_path, text, encoding, place, right):
    figures = panel_of(inspected(tmp_path / "file.csv", text, encoding))
    assert figures[place] == pytest.approx(right)


@pytest.mark.parametrize(
    "total",
    ["Ogółem", "Toplam", "Riket", "Koko maa", "Totaal", "Всего", "Celkem", "I alt", "Összesen", "Σύνολο", "Tổng số", "Jumlah", "รวม",
     "المجموع", "कुल", "Total nacional", "Estados Unidos Mexicanos", "Nederland", "Polska", "Российская Федерация"],
)  # fmt: skip
def test_totals_of_other_languages_are_left_out(tmp_path, total):
    figures = panel_of(inspected(tmp_path / "file.csv", tidy(areas={**AREAS, total: 300})))
    assert figures.index.get_level_values("unit").nunique() == len(AREAS)


@pytest.mark.parametrize(
    ("codes", "left"),
    [
        ({"DE": 99, "DE1": 50, "DE11": 10, "DE12": 13, "DE13": 40, "DE14": 21}, {"DE", "DE1"}),
        ({"01": 90, "02": 80, "01001": 11, "01003": 24, "02001": 35, "02005": 47}, {"01", "02"}),
        ({str(number): number**2 for number in range(1, 40)}, set()),
        ({"Angola": 3, "Brazil": 5, "Chile": 4, "Denmark": 9, "Namibia": 2}, set()),
    ],
)
def test_larger_places_are_no_units_and_plain_numbers_are(tmp_path, codes, left):
    found = inspected(tmp_path / "file.csv", tidy(header="code,year,beds_per_1000", areas=codes))
    assert set(map(str, codes)) - set(map(str, found.panel.keys.units)) == left
    assert set(map(str, found.totals)) == left


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (tidy(value='"8,0{figure}"', header="Province,Année,Congés pour 100 000 habitants à l'hôpital"), "decimal: "),
        (tidy(value="1.0{figure}", header="Kabupaten/Kota,Tahun,Jumlah Pasien"), "decimal: "),
        (tidy(period="Q1 {year}/{next}"), "year_begins: 4"),
        (wide(["Q1 2017/18", "Q2 2017/18", "Q3 2017/18"]), "year_begins: 4"),
        (tidy(period="{year}-W01"), "weeks"),
        (tidy(value="({figure})"), "a number in brackets"),
        (tidy(value="{figure},{figure}", header="county,year,rate,rate"), "several columns are named rate"),
        (wide(["2015", "2016", "2017"]).replace("10,11", "10,11 or 12"), "no known unit|more than one number"),
    ],
)
def test_what_a_file_leaves_open_is_asked_with_the_answer(tmp_path, text, asked):
    try:
        said = inspected(tmp_path / "file.csv", text).text()
    except EvalaidError as error:
        said = str(error)
    assert re.search(asked, said), said
    assert "Usable" not in said


def test_small_cells_and_marks_are_gaps_and_are_counted(tmp_path):
    text = (
        tidy()
        .replace("Adams,2015,10", "Adams,2015,<5")
        .replace("Baker,2016,18", "Baker,2016,1-4")
        .replace("29\n", "n.a.\n")
    )
    found = inspected(tmp_path / "file.csv", text)
    assert len(panel_of(found)) == len(AREAS) * len(YEARS) - 3
    said = found.decisions.set_index("decided")["because"]
    assert said["gaps"] == "'deaths' has no value in them"
    assert any("'<5'" in decided and "'1-4'" in decided for decided in said.index)


def test_answers_to_fiscal_quarters_and_years_called_once(tmp_path):
    path = tmp_path / "file.csv"
    found = inspected(path, wide(["Q1 2017/18", "Q2 2017/18", "Q4 2017/18"]), layout=FileLayout(year_begins=4))
    assert panel_of(found)["Adams"].index.tolist() == ["2017Q2", "2017Q3", "2018Q1"]
    once = tidy(period="FY{year}")
    assert panel_of(inspected(path, once))["Adams"].index[0] == "2015"
    assert panel_of(inspected(path, once, layout=FileLayout(year_begins=10)))["Adams"].index[0] == "2014"
    with pytest.raises(EvalaidError, match="year_named: ends"):
        inspected(path, once, layout=FileLayout(year_begins=4))
    stated = FileLayout(year_begins=4, year_named="begins")
    assert panel_of(inspected(path, once, layout=stated))["Adams"].index[0] == "2015"
    assert FileLayout.from_yaml(stated.to_yaml()) == stated


def test_former_names_and_divisions_of_a_tidy_file(tmp_path):
    path = tmp_path / "file.csv"
    rows = [f"{name},{year},{base + year}" for name, base in AREAS.items() for year in YEARS]
    rows += ["Old Town,2015,5", "Old Town,2016,6", "Oldtown City,2017,7", "Oldtown City,2018,8"]
    text = "\n".join(["county,year,deaths", *rows]) + "\n"
    assert "former: {'Old Town': 'Oldtown City'}" in inspected(path, text).text()
    joined = inspected(path, text, layout=FileLayout(former={"Old Town": "Oldtown City"}))
    assert len(panel_of(joined)["Oldtown City"]) == len(YEARS)
    assert panel_of(inspected(path, text, layout=FileLayout(former={})))["Old Town"].size == 2
    listed = tmp_path / "list.csv"
    codes = [f"{number:02d},{name}" for number, name in enumerate([*AREAS, "Old Town"], 1)]
    listed.write_text("\n".join(["code,name", *codes]), encoding="utf-8")
    layout = FileLayout(former={"Oldtown City": "Old Town"}, divisions=str(listed))
    assert set(inspected(path, text, layout=layout).panel.keys.units) == {f"{number:02d}" for number in range(1, 7)}


def test_a_column_that_breaks_totals_down_leaves_the_totals(tmp_path):
    lines = [f"{name},{year},{sex},{base + at}" for name, base in AREAS.items() for year in YEARS for at, sex in enumerate(("Male", "Female", "Total"))]  # fmt: skip
    found = inspected(tmp_path / "file.csv", "\n".join(["county,year,sex,deaths", *lines]))
    assert panel_of(found)["Adams", "2015"] == 12
    assert found.decisions["decided"].eq("rows of 'Total' alone").any()


def test_workbooks_with_hidden_sheets_formats_of_codes_and_months_below_years(tmp_path):
    book = openpyxl.Workbook()
    sheet, old = book.active, book.create_sheet("old")
    for target, shift in ((sheet, 0), (old, 500)):
        target.append(["fips", "year", "deaths"])
        for number, base in zip((1001, 1003, 36061, 36063, 36065), AREAS.values(), strict=True):
            for year in YEARS:
                target.append([number, year, base + shift + year - 2015])
    for row in sheet.iter_rows(min_row=2, max_col=1):
        row[0].number_format = "00000"
    old.sheet_state = "hidden"
    book.save(tmp_path / "codes.xlsx")
    figures = panel_of(inspect_any(tmp_path / "codes.xlsx"))
    assert figures["01001", "2015"] == 10
    book = openpyxl.Workbook()
    for row in ([None, 2017, None, 2018, None], ["District", "Jan", "Feb", "Jan", "Feb"], *([name, b, b + 1, b + 2, b + 3] for name, b in AREAS.items())):  # fmt: skip
        book.active.append(row)
    book.active.merge_cells("B1:C1")
    book.active.merge_cells("D1:E1")
    book.save(tmp_path / "months.xlsx")
    assert panel_of(inspect_any(tmp_path / "months.xlsx"))["Adams", "2018-01"] == 12


def test_files_with_types_keep_labels_and_what_they_call_no_value(tmp_path):
    rows = [(f"{at:03d}", year, float(base + year - 2015)) for at, base in enumerate(AREAS.values()) for year in YEARS]
    frame = pd.DataFrame(rows, columns=["code", "year", "deaths"])
    frame.loc[3, "deaths"] = 99
    labels = {"deaths": {99: "not reported"}}
    pyreadstat.write_sav(frame, str(tmp_path / "file.sav"), variable_value_labels=labels)
    assert panel_of(inspect_any(tmp_path / "file.sav")).max() < 99
    lines = [json.dumps({"unit": {"code": code, "name": None}, "year": year, "stats": {"deaths": value}}) for code, year, value in rows]  # fmt: skip
    (tmp_path / "file.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = inspect_any(tmp_path / "file.jsonl")
    assert (found.columns["unit"], panel_of(found)["000", "2015"]) == ("unit_code", 10)
    with sqlite3.connect(tmp_path / "file.sqlite") as connection:
        frame.to_sql("panel", connection, index=False)
    connection.close()
    assert panel_of(inspect_any(tmp_path / "file.sqlite::panel"))["001", "2015"] == 17
    spelt = frame.assign(code=pd.Categorical(frame["code"]), deaths=frame["deaths"].astype("Int64"))
    spelt.to_parquet(tmp_path / "file.parquet")
    assert panel_of(inspect_any(tmp_path / "file.parquet"))["000", "2015"] == 10
