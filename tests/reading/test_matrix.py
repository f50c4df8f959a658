"""Origin-destination matrices: long and wide forms agree with each other and with the records they come from."""

import numpy as np
import pandas as pd
import pytest
from support.records import Recipe, hospital_table, records

from evalaid.base.errors import ReadingError
from evalaid.reading.records.matrix import count_matrix
from evalaid.reading.records.records import count_records

WIDE = pd.DataFrame(
    {"residence": ["440222", "440281"], "440222": [80, 1], "440281": [5, 60], "省外": [15, 2], "不详": [1, 0]}
)


def long_form(recipe):
    seats = hospital_table(recipe).set_index("hospital")["county"]
    frame = records(recipe).dropna(subset=["residence", "discharge"])
    frame = frame[frame["admission"] <= frame["discharge"]]
    frame = frame.assign(
        hospital_county=frame["hospital"].map(seats).fillna("不详"),
        period=frame["discharge"].dt.to_period("Q").astype(str),
    )
    return (
        frame.groupby(["residence", "hospital_county", "period"], as_index=False)
        .size()
        .rename(columns={"size": "count"})
    )


def test_a_matrix_of_records_gives_the_counts_of_the_records():
    recipe = Recipe(people=400)
    counts = count_records(records(recipe), hospital_table(recipe), base="residents")
    pairs = long_form(recipe)
    pd.testing.assert_frame_equal(count_matrix(pairs, base="residents").frame, counts.frame)
    wide = {
        when: part.pivot_table(index="residence", columns="hospital_county", values="count").reset_index()
        for when, part in pairs.groupby("period")
    }
    pd.testing.assert_frame_equal(count_matrix(wide, base="residents").frame, counts.frame)


def test_totals_are_checked_and_left_out(tmp_path):
    whole = WIDE.assign(合计=WIDE.drop(columns="residence").sum(axis=1))
    whole.loc[2] = ["合计", *whole.drop(columns="residence").sum()]
    expected = count_matrix(WIDE, base="residents", period="2019Q1")
    for matrix in (whole, _file(whole, tmp_path / "m.csv"), _file(whole, tmp_path / "m.xlsx")):
        found = count_matrix(matrix, base="residents", period="2019Q1")
        pd.testing.assert_frame_equal(found.frame, expected.frame)
        assert "1 left out" in set(found.decisions["decided"])
    assert expected.frame["unknown_hospital"].tolist() == [1, 0]
    whole.loc[0, "合计"] += 1
    assert "total differs from the sum of its parts" in fails(whole)


def _file(frame, path):
    if path.suffix == ".csv":
        frame.to_csv(path, index=False, encoding="gb18030")
    else:
        frame.to_excel(path, index=False)
    return path


def test_other_provinces_are_in_the_total_or_not():
    shares = [
        count_matrix(WIDE, base="residents", period=2019, denominator=word).frame["share"]
        for word in ("country", "province")
    ]
    np.testing.assert_allclose(shares[0], [80 / 100, 60 / 63], rtol=1e-15)
    np.testing.assert_allclose(shares[1], [80 / 85, 60 / 61], rtol=1e-15)


def fails(matrix, **options):
    with pytest.raises(ReadingError) as caught:
        count_matrix(matrix, **{"base": "residents", "period": 2019, **options})
    return str(caught.value)


def test_all_faults_are_named():
    text = fails(WIDE.assign(residence=["440222", "某县"], 人口=[1, 2], **{"440281": [-5, 60.5]}), period=None)
    for part in (
        "no county code (column 'residence')",
        "the heading is no county code (column '人口')",
        "no count (column '440281')",
        "no period",
    ):
        assert part in text
    assert "a pair of counties occurs more than once" in fails(pd.concat([WIDE, WIDE]))
    assert "440222 to 440222" in fails(pd.concat([WIDE, WIDE]))
    assert "no such column among a" in fails(pd.DataFrame({"a": [1]}))
    assert "no column of a county of the hospital" in fails(WIDE[["residence"]])
    assert "The matrix has the periods 'spring'" in fails(WIDE, period="spring")
    assert "base='all'" in fails(WIDE, base="all")


def test_counties_by_name_or_with_their_name():
    expected = count_matrix(WIDE, base="residents", period=2019).frame
    names = {"440222": "始兴县", "440281": "乐昌市"}
    for headings in (names, {code: f"{code} {name}" for code, name in names.items()}):
        named = WIDE.assign(residence=list(headings.values())).rename(columns={"residence": "居住地", **headings})
        pd.testing.assert_frame_equal(count_matrix(named, base="residents", period=2019).frame, expected)


def test_former_codes_count_as_those_of_today():
    """增城市 (440183) is 增城区 (440118): both headings are its hospitals."""
    old = pd.DataFrame({"residence": ["440183"], "440118": [5], "440183": [7], "440222": [1]})
    frame = count_matrix(old, base="residents", period=2019, counties=["440183"]).frame
    assert frame[["county", "inside", "outside"]].to_numpy().tolist() == [["440118", 12, 1]]


@pytest.mark.parametrize(("place", "counts"), [("440200", [85, 61]), ("440000", [85, 61]), ("韶关市", [85, 61])])
def test_a_city_beside_its_counties_does_not_count_twice(place, counts):
    expected = count_matrix(WIDE, base="residents", period=2019).frame
    found = count_matrix(WIDE.assign(**{place: counts}), base="residents", period=2019)
    pd.testing.assert_frame_equal(found.frame, expected)
    assert "it is the sum of 2 counties" in set(found.decisions["because"])
    assert "a city or a province beside its counties, and not their sum" in fails(WIDE.assign(**{place: [90, 61]}))


def test_totals_of_columns_and_rows_are_held_against_their_parts():
    expected = count_matrix(WIDE, base="residents", period=2019).frame
    whole = WIDE.assign(合计=[101, 63], 省内合计=[85, 61])
    pd.testing.assert_frame_equal(count_matrix(whole, base="residents", period=2019).frame, expected)
    wrong = pd.concat([WIDE, pd.DataFrame([{"residence": "全省", "440222": 82, "440281": 65, "省外": 17, "不详": 1}])])
    assert "the row of totals differs from the sum of its parts (column '440222')" in fails(wrong)


def test_cells_as_offices_write_them():
    plain = count_matrix(WIDE.assign(**{"440281": [0, 1060]}), base="residents", period=2019).frame
    messy = WIDE.astype(object).assign(**{"440281": ["—", "１，０６０"]})
    pd.testing.assert_frame_equal(count_matrix(messy, base="residents", period=2019).frame, plain)
    for cell in ("inf", "1e30", "<5", "15%", "0.5万", "*"):
        assert "no count (column '440281')" in fails(WIDE.astype(object).assign(**{"440281": [cell, 1]}))


def test_a_title_above_the_header_of_a_workbook(tmp_path):
    with pd.ExcelWriter(tmp_path / "m.xlsx") as book:
        WIDE.rename(columns={"residence": "居住地"}).to_excel(book, index=False, startrow=2)
        book.sheets["Sheet1"]["A1"] = "2019年住院患者流向"
    expected = count_matrix(WIDE, base="residents", period=2019).frame
    pd.testing.assert_frame_equal(count_matrix(tmp_path / "m.xlsx", base="residents", period=2019).frame, expected)


def test_periods_in_words_and_those_that_count_from_january():
    pairs = pd.DataFrame({"residence": ["440222"] * 2, "hospital_county": ["440222"] * 2, "count": [5, 6]})
    named = pairs.assign(统计期=["2019年第一季度", "2019年二季度"])
    assert count_matrix(named, base="residents").frame["period"].tolist() == ["2019Q1", "2019Q2"]
    assert "The matrix has the periods" in fails(pairs.assign(统计期=["2019年1-3月", "2019年1-6月"]))


def test_what_is_no_matrix_is_refused():
    assert "No matrix was given" in fails({})
    assert "The table is a int" in fails(5)
    assert "has no row of a county" in fails(WIDE[:0])
    assert "several columns are called '440222'" in fails(pd.concat([WIDE, WIDE[["440222"]]], axis=1))
