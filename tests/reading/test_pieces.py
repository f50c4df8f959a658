"""Files of records: what is there is read once, whole, and as it is named; errors show nothing of a record."""

import gzip
import json
import traceback

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalaid.base.errors import ReadingError
from evalaid.reading.records.records import count_records

PLACES = {"A": "440222", "B": "440224"}
ID = "11010519491231002X"
WHO = f"{ID}李小明"
HEADER = "residence,hospital,admission,discharge,person,note\n"
ROW = "440222,A,2019-03-30,2019-04-02,{},x\n"


def frame(people=("p", "q"), **changes):
    row = {"residence": "440222", "hospital": "A", "admission": "2019-03-30", "discharge": "2019-04-02"}
    return pd.DataFrame([row | {"person": person} | changes for person in people])


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pd.DataFrame):
        content.to_parquet(path) if path.suffix == ".parquet" else content.to_csv(path, index=False)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def inside(source, **options):
    return int(count_records(source, PLACES, base="residents", **options).frame["inside"].sum())


def fails(source, hospitals=PLACES, **options):
    with pytest.raises(ReadingError) as caught:
        count_records(source, hospitals, **{"base": "residents", **options})
    return str(caught.value)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(("name", "other"), [("a[1]", "a1"), ("a*", "ab"), ("a?", "ab"), ("[2019]/a", "2/a")])
def test_a_name_with_wildcards_is_that_file_and_no_other(tmp_path, ending, name, other):
    named = write(tmp_path / f"{name}.{ending}", frame())
    write(tmp_path / f"{other}.{ending}", frame("r"))
    assert inside(named) == 2
    assert inside(named.parent if "/" in name else [named]) == 2


def test_what_programs_hide_in_a_folder_is_not_counted(tmp_path):
    write(tmp_path / "a.csv", frame())
    for copy in (".ipynb_checkpoints/a-checkpoint.csv", "_temporary/0/a.csv", "__MACOSX/a.csv", "._a.csv", "~$a.csv"):
        write(tmp_path / copy, frame())
    assert inside(tmp_path) == 2


def test_files_that_are_not_read_are_named(tmp_path):
    write(tmp_path / "a.csv", frame())
    for name in ("b.xlsx", "c.tar.gz"):
        write(tmp_path / name, "x")
    decisions = count_records(tmp_path, PLACES, base="residents").decisions
    assert decisions.loc[decisions["decided"] == "not read", "file"].tolist() == ["b.xlsx", "c.tar.gz"]


def test_no_record_counts_twice(tmp_path):
    one = write(tmp_path / "a.csv", frame())
    assert "a.csv: is named twice" in fails([one, one])
    assert "a.csv: is named twice" in fails([tmp_path, one])
    write(tmp_path / "a (1).csv", frame())
    assert "a.csv: is a copy of another (a (1).csv). Its records would count twice" in fails(tmp_path)
    packed = [write(tmp_path / "p" / f"{n}.parquet", frame()) for n in (1, 2)]
    assert "2.parquet: is a copy of another (1.parquet)" in fails(packed)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_without_a_record_may_be_alike(tmp_path, ending):
    for n, content in enumerate((frame(), frame()[:0], frame()[:0])):
        write(tmp_path / f"{n}.{ending}", content)
    assert inside(tmp_path) == 2
    assert inside([tmp_path / f"1.{ending}"]) == 0


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_every_file_has_the_columns_that_are_needed(tmp_path, ending):
    write(tmp_path / f"a.{ending}", frame())
    write(tmp_path / f"b.{ending}", frame().rename(columns={"discharge": "left"}))
    assert f"b.{ending}: no such column (read as discharge) (column 'discharge')" in fails(tmp_path)
    write(tmp_path / f"b.{ending}", frame("r").drop(columns="person"))
    assert inside(tmp_path) == 3
    assert f"b.{ending}: no such column (read as person)" in fails(tmp_path, transfer_days=1)


def test_a_table_of_hospitals_beside_the_records_is_no_record(tmp_path):
    write(tmp_path / "a.csv", frame())
    write(tmp_path / "hospitals.csv", "hospital,county\nA,440222\n")
    write(tmp_path / "readme.txt", "All records of 2019\nas sent\n")
    text = fails(tmp_path)
    assert "hospitals.csv, readme.txt: no such column (read as residence)" in text


def test_types_that_differ_between_files(tmp_path):
    """A whole number and its text are one code; a number with a decimal point and a text cannot be told to be."""
    write(tmp_path / "a.parquet", frame(["11", "12"]))
    other = frame(["11", "12"], hospital="B", admission="2019-04-02", discharge="2019-04-05")
    write(tmp_path / "b.parquet", other.astype({"person": "int64", "residence": "int64"}))
    counts = count_records(tmp_path, PLACES, base="residents", transfer_days=1)
    assert counts.frame[["inside", "outside"]].to_numpy().tolist() == [[0, 2]]
    write(tmp_path / "b.parquet", other.astype({"person": "float64"}))
    text = fails(tmp_path, transfer_days=1)
    assert "text in a.parquet, numbers with a decimal point in b.parquet (read as person)" in text
    write(tmp_path / "b.parquet", frame(["r"]).assign(discharge=pd.Timestamp("2019-04-02 10:00")))
    assert inside(tmp_path) == 3


def test_numbers_that_are_none_are_missing_codes(tmp_path):
    """NaN is a value in Parquet."""
    table = pa.table({
        "residence": [440222.0, float("nan"), 440222.0], "hospital": [1.0, 1.0, float("nan")], "discharge": ["2019-04-02"] * 3,
    })  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    counts = count_records(tmp_path / "a.parquet", {1: "440222"}, base="residents")
    assert counts.frame[["inside", "unknown_hospital"]].to_numpy().tolist() == [[1, 1]]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_packed_files(tmp_path, encoding):
    text = HEADER.replace("note", "备注") + ROW.format("p") + ROW.format("q")
    assert inside(write(tmp_path / "a.csv.gz", gzip.compress(text.encode(encoding)))) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_line_breaks_inside_quotes(tmp_path, encoding):
    """Also where a block of a large file ends."""
    note = '"备注, ""一""\n' + "行\n" * 200_000 + '"'
    text = HEADER.replace("note", '"备注, 二"') + ROW.format("q") * 20_000 + ROW.format("p").replace(",x", "," + note)
    assert inside(write(tmp_path / "a.csv", (text + ROW.format("q")).encode(encoding))) == 20_002


def test_a_header_that_is_missing_or_repeats_itself(tmp_path):
    text = fails(write(tmp_path / "a.csv", ROW.format(WHO) * 2))
    assert "The first row of the records holds values, not names of columns" in text
    assert ID not in text
    double = write(tmp_path / "b.csv", HEADER.replace("note", "person") + ROW.format("p"))
    assert "the header has this name more than once (column 'person')" in fails(double, transfer_days=1)
    both = frame()
    assert "The frame has several columns 'person'" in fails(pd.concat([both, both[["person"]]], axis=1))


def test_names_that_no_file_can_have():
    for name in ("a\0b.csv", "a" * 5000 + ".csv", "nowhere/*.csv"):
        assert "there is no such file or folder" in fails(name)


def bad_files(folder):
    """Files that stop the engine at a row about somebody, with the options that make it meet the row."""
    rows = HEADER + ROW.format("p") * 30_000
    yield write(folder / "short.csv", rows + ROW.format(WHO)[:-3] + "\n"), {}
    yield write(folder / "long.csv", rows + ROW.format(WHO)[:-1] + ",y,z\n"), {}
    yield write(folder / "late.csv", (rows * 2 + ROW.format(WHO)).encode("gb18030") + b"\xff\xff\n"), {}
    yield write(folder / "two.csv", (HEADER + ROW.format(ID + "é")).encode() + b"\xa3\n"), {}
    yield write(folder / "headless.csv", ROW.format(WHO)), {}
    mixed = folder / "mixed"
    write(mixed / "a.parquet", frame([1, 2]))
    table = pa.Table.from_pandas(frame([WHO, WHO]).assign(discharge=pd.Timestamp("2019-04-02").date()))
    pq.write_table(table.set_column(0, "residence", pa.array([[WHO], [WHO]])), mixed / "b.parquet")
    yield mixed, {"transfer_days": 1}


def test_errors_show_nothing_of_a_record(tmp_path):
    """Neither in the message nor in what is chained to it, which a notebook prints."""
    stopped = 0
    for source, options in bad_files(tmp_path):
        try:
            count_records(source, PLACES, base="residents", **options)
        except ReadingError as error:
            stopped += 1
            told = "".join(traceback.format_exception(error)) + ("" if error.rows is None else error.rows.to_csv())
            assert ID not in told
            assert "李小明" not in told
            assert ID.encode().hex(" ")[:20] not in told
    assert stopped >= 5


def test_a_weight_that_is_somebody_is_not_told(tmp_path):
    counts = count_records(
        write(tmp_path / "a.csv", frame([WHO])), PLACES, base="residents", columns={"weight": "person"}
    )
    told = counts.frame.to_csv() + counts.decisions.to_csv() + json.dumps(dict(counts.definition))
    assert ID not in told


def test_a_table_of_hospitals_may_be_a_workbook(tmp_path):
    table = pd.DataFrame({"医疗机构代码": ["A"], "医疗机构行政区划代码": ["440222"]})
    table.to_excel(tmp_path / "hospitals.xlsx", index=False)
    assert count_records(frame(), tmp_path / "hospitals.xlsx", base="residents").frame["inside"].tolist() == [2]
