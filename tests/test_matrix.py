"""Origin-destination matrices: long and wide forms agree with each other and with the records they come from."""

import numpy as np
import pandas as pd
import pytest
from records import Recipe, hospital_table, records

from evalaid.errors import ReadingError
from evalaid.reading.matrix import count_matrix
from evalaid.reading.records import count_records

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
    text = fails(WIDE.assign(residence=["440222", "韶关"], 人口=[1, 2], **{"440281": [-5, 60.5]}), period=None)
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
