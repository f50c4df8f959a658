"""Discharge records: counts with known answers, every record accounted for, the same on every engine and in any pieces."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import RECORD_ANSWERS_SQL, RECORDS_SQL, Recipe, answers, hospital_table, records, write_records

import evalaid as ea
from evalaid.errors import ReadingError
from evalaid.reading.episodes import TAKEN
from evalaid.reading.records import count_records
from evalaid.reading.stores import Store

RECIPE = Recipe(people=600)
SEATS = hospital_table(RECIPE)
COUNTS = ["inside", "outside", "out_of_province", "unknown_hospital"]


@pytest.fixture(scope="module")
def frame():
    return records(RECIPE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("records")
    list(write_records(RECIPE, place, people_a_file=200))
    return place


def rows_of(counts, *whats):
    decisions = counts.decisions.set_index("what")["rows"]
    return [int(decisions[what]) for what in whats]


def fates(counts):
    """Everything that records became, without the first line (those read) and the lines about no records."""
    decided = counts.decisions[counts.decisions["rows"].notna()]
    return decided[decided["what"] != "records"]


@pytest.mark.parametrize("taken", TAKEN)
@pytest.mark.parametrize("seed", [1, 2])
def test_episodes_of_people_are_the_known_answers(taken, seed):
    recipe = Recipe(people=1500, seed=seed)
    counts = count_records(records(recipe), hospital_table(recipe), base="residents", transfer_days=1, transfers=taken)
    expected = answers(recipe, taken)
    pd.testing.assert_frame_equal(counts.frame[expected.columns], expected)
    np.testing.assert_array_equal(counts.frame["total"], expected[["inside", "outside", "out_of_province"]].sum(axis=1))


def test_records_without_a_pseudonym_are_counted_as_they_are(frame):
    import duckdb

    with duckdb.connect() as con:
        con.register("hospitals", SEATS)
        sql = RECIPE.sql(RECORDS_SQL)
        expected = (
            con.sql(RECORD_ANSWERS_SQL.format(records=sql)).df().sort_values(["county", "period"], ignore_index=True)
        )
    counts = count_records(frame.drop(columns="person"), SEATS, base="residents")
    pd.testing.assert_frame_equal(counts.frame[expected.columns], expected)


@pytest.mark.parametrize("days", [None, 0, 1, 3])
def test_every_record_has_one_fate(frame, days):
    counts = count_records(
        frame, SEATS, base="residents", transfer_days=days, insurance=["employees"], counties=["440121", "440122"],
        within=("2016Q2", "2018Q4"),
    )  # fmt: skip
    assert rows_of(counts, "records") == [len(frame)]
    assert fates(counts)["rows"].sum() == len(frame)
    assert {"another insurance type", "resident of a county that was not asked for"} <= set(fates(counts)["what"])
    counted = counts.frame[COUNTS].sum()
    assert rows_of(counts, "inside", "outside", "out of province", "unknown hospital") == counted.tolist()


def test_a_longer_limit_merges_no_less(frame):
    merged = [
        rows_of(count_records(frame, SEATS, base="residents", transfer_days=n), "transfers")[0] for n in (0, 1, 2)
    ]
    assert merged[0] < merged[1] < merged[2]


def twin(frame, seats, days):
    """The rule in plain Python, one person after the other."""
    place = dict(zip(seats["hospital"], seats["county"], strict=True))
    rank = {"inside": 0, "unknown_hospital": 1, "outside": 2, "out_of_province": 3}
    cells = {}
    for _, stays in frame.groupby("person"):
        latest, last, episode, episodes = None, None, None, []
        for stay in stays.sort_values(["admission", "discharge", "hospital"]).itertuples():
            seat = place.get(stay.hospital)
            fate = "unknown_hospital" if seat is None else "inside" if seat == stay.residence else "outside"
            fate = "out_of_province" if fate == "outside" and seat[:2] != stay.residence[:2] else fate
            same = last is not None and last[1:] == (stay.hospital, stay.admission, stay.discharge)
            moved = last is not None and last[1] != stay.hospital and (stay.admission - latest).days <= days
            if same or moved:
                episode["fate"] = max(episode["fate"], fate, key=rank.get)
                episode["end"] = max(episode["end"], stay.discharge)
            else:
                episode = {"residence": stay.residence, "fate": fate, "end": stay.discharge}
                episodes.append(episode)
            latest = stay.discharge if latest is None else max(latest, stay.discharge)
            last = (None, stay.hospital, stay.admission, stay.discharge)
        for one in episodes:
            key = (one["residence"], str(pd.Period(one["end"], "Q")), one["fate"])
            cells[key] = cells.get(key, 0) + 1
    return cells


some_stays = st.lists(
    st.tuples(
        st.sampled_from(["p", "q", "r"]),
        st.sampled_from(["440222", "440224"]),
        st.sampled_from(["A", "B", "C", "D", "E"]),
        st.integers(0, 200),
        st.integers(0, 20),
    ),
    min_size=1,
    max_size=25,
)
PLACES = pd.DataFrame({"hospital": list("ABCD"), "county": ["440222", "440224", "440204", "430103"]})


def make(drawn):
    start = pd.Timestamp("2019-01-20")
    rows = [
        (person, home, hospital, start + pd.Timedelta(days=day), start + pd.Timedelta(days=day + length))
        for person, home, hospital, day, length in drawn
    ]
    return pd.DataFrame(rows, columns=["person", "residence", "hospital", "admission", "discharge"])


def cells_of(counts):
    long = counts.frame.melt(["county", "period"], COUNTS)
    return {key: n for *key_parts, n in long[long["value"] > 0].itertuples(index=False) for key in [tuple(key_parts)]}


@settings(max_examples=25, deadline=None)
@given(some_stays, st.integers(0, 30))
def test_equal_to_a_loop_over_people(drawn, days):
    frame = make(drawn)
    counts = count_records(frame, PLACES, base="residents", transfer_days=days)
    assert cells_of(counts) == twin(frame, PLACES, days)
    assert fates(counts)["rows"].sum() == len(frame)


@settings(max_examples=10, deadline=None)
@given(some_stays, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(drawn, chance):
    frame = make(drawn)
    order = list(range(len(frame)))
    chance.shuffle(order)
    one, other = (count_records(f, PLACES, base="residents", transfer_days=2) for f in (frame, frame.iloc[order]))
    assert one.content_hash == other.content_hash


@pytest.mark.parametrize("days", [None, 1])
def test_files_in_any_pieces_and_formats_give_the_same(frame, folder, tmp_path, days):
    def count(source):
        return count_records(source, SEATS, base="residents", transfer_days=days)

    expected = count(frame)
    whole, gb = tmp_path / "whole.csv", tmp_path / "gb.csv"
    text = frame.assign(insurance=frame["insurance"].replace({"employees": "职工", "residents": "居民"}))
    text.to_csv(whole, index=False)
    text.to_csv(gb, index=False, encoding="gb18030")
    parts = tmp_path / "parts" / "2019"
    parts.mkdir(parents=True)
    shuffled = text.sample(frac=1, random_state=1)[text.columns[::-1]]
    shuffled.iloc[:700].to_csv(parts / "a.csv", index=False, encoding="utf-8-sig", date_format="%Y/%m/%d")
    shuffled.iloc[700:].to_csv(parts.parent / "b.csv", index=False, date_format="%Y%m%d")
    for source in (folder, sorted(folder.glob("*.parquet")), whole, gb, parts.parent, str(whole)):
        found = count(source)
        pd.testing.assert_frame_equal(found.frame, expected.frame)
        assert found.content_hash == expected.content_hash
        assert fates(found)["rows"].tolist() == fates(expected)["rows"].tolist()
    assert "GB18030 (which includes GBK and GB2312)" in set(count(gb).decisions["decided"])


def test_identifiers_are_not_read_unless_needed(folder, tmp_path):
    """The pages of the pseudonym are overwritten: who reads them fails."""
    good = min(folder.glob("*.parquet"))
    broken = tmp_path / "broken.parquet"
    shutil.copy(good, broken)
    metadata = pq.ParquetFile(good).metadata
    index = metadata.schema.to_arrow_schema().get_field_index("person")
    with broken.open("r+b") as stream:
        for group in range(metadata.num_row_groups):
            column = metadata.row_group(group).column(index)
            start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
            stream.seek(start)
            stream.write(b"\xff" * column.total_compressed_size)
    expected = count_records(good, SEATS, base="residents")
    pd.testing.assert_frame_equal(count_records(broken, SEATS, base="residents").frame, expected.frame)
    with pytest.raises(ReadingError, match=r"broken\.parquet: the records could not be counted"):
        count_records(broken, SEATS, base="residents", transfer_days=1)


def test_nothing_about_a_person_is_in_the_result(frame):
    counts = count_records(frame, SEATS, base="residents", transfer_days=1)
    written = counts.frame.to_csv() + counts.decisions.to_csv() + json.dumps(dict(counts.definition))
    assert not any(person in written for person in frame["person"])


def test_scratch_files_are_gone_afterwards(frame, tmp_path):
    count_records(frame, SEATS, base="residents", transfer_days=1, scratch=tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_the_frame_is_ready_for_a_design(frame):
    counts = ea.count_records(frame, SEATS, base="residents", period="year")
    panel = counts.frame.assign(
        cohort=np.where(counts.frame["county"] < "440150", "2018", None), period=lambda f: f["period"].astype(int)
    )
    panel["cohort"] = pd.to_numeric(panel["cohort"])
    design = ea.diagnose(panel, "county", "period", "share", "cohort", inside="inside", total="total")
    assert design.panel.columns["total"].sum() == counts.frame["total"].sum()


def stay(**changes):
    row = {"residence": "440222", "hospital": "A", "admission": "2019-03-30", "discharge": "2019-04-02", "person": "p"}
    return pd.DataFrame([row | changes])


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"residence": None}, "residence missing or no county code"),
        ({"residence": "连南县"}, "residence missing or no county code"),
        ({"residence": "991234"}, "residence missing or no county code"),
        ({"residence": "440200"}, "residence known to the city or province only"),
        ({"discharge": None}, "no date"),
        ({"discharge": " "}, "no date"),
        ({"discharge": "30 Feb"}, "unreadable date"),
        ({"discharge": "2019-02-30"}, "unreadable date"),
        ({"discharge": "2019-03-01"}, "admitted after discharge"),
        ({"hospital": "Z"}, "unknown hospital"),
        ({"hospital": None}, "unknown hospital"),
        ({"hospital": "D"}, "out of province"),
        ({"hospital": " A "}, "inside"),
        ({"residence": "440222001002"}, "inside"),
        ({"residence": 440222}, "inside"),
        ({"residence": 440222.0}, "inside"),
        ({"residence": "440222.0"}, "inside"),
        ({"residence": "441900"}, "outside"),
        ({"admission": None}, "inside"),
        ({"person": None}, "inside"),
        ({"discharge": "2019-04-02 23:59:59"}, "inside"),
        ({"discharge": "2019年4月2日"}, "inside"),
        ({"discharge": pd.Timestamp("2019-04-02 12:00"), "admission": pd.Timestamp("2019-03-30")}, "inside"),
    ],
)
@pytest.mark.parametrize("days", [None, 1])
def test_what_becomes_of_one_record(changes, what, days):
    counts = count_records(stay(**changes), PLACES, base="residents", transfer_days=days)
    assert fates(counts)[lambda f: f["rows"] > 0]["what"].tolist() == [what]
    if what == "inside":
        assert counts.frame[["county", "period", "inside", "share"]].to_numpy().tolist() == [
            ["440222", "2019Q2", 1, 1.0]
        ]


def test_the_period_is_that_of_the_date_that_decides():
    found = {
        (dated, period): count_records(stay(), PLACES, base="residents", dated=dated, period=period)
        .frame["period"]
        .item()
        for dated in ("admission", "discharge")
        for period in ("year", "quarter", "month")
    }
    assert found == {
        ("admission", "year"): "2019", ("discharge", "year"): "2019", ("admission", "quarter"): "2019Q1",
        ("discharge", "quarter"): "2019Q2", ("admission", "month"): "2019-03", ("discharge", "month"): "2019-04",
    }  # fmt: skip


def test_records_of_nobody_are_never_merged():
    two = pd.concat([stay(person=None), stay(person=None, hospital="B", admission="2019-04-02")])
    empty = two.assign(person="")
    for frame in (two, empty):
        assert count_records(frame, PLACES, base="residents", transfer_days=1).frame["total"].sum() == 2


def test_only_the_base_is_counted():
    frame = pd.concat([stay(), stay(), stay()]).assign(base=["常住", "户籍", None])
    counts = count_records(frame, PLACES, base="residents")
    assert rows_of(counts, "inside", "another base", "no base") == [1, 1, 1]
    assert count_records(frame, PLACES, base="residents", base_values=["常住", "户籍"]).frame["total"].sum() == 2


def test_the_base_decides_which_residence_is_read():
    frame = stay().rename(columns={"residence": "现住址行政区划代码"}).assign(户籍地行政区划代码="440204")
    frame = frame.rename(columns={"hospital": "组织机构代码", "admission": "RYSJ", "discharge": "CYSJ"})
    assert count_records(frame, PLACES, base="residents").frame["county"].tolist() == ["440222"]
    assert count_records(frame, PLACES, base="registered").frame["county"].tolist() == ["440204"]


def test_another_province_is_in_the_total_or_not():
    frame = pd.concat([stay(), stay(hospital="D")])
    shares = {
        word: count_records(frame, PLACES, base="residents", denominator=word).frame["share"].item()
        for word in ("country", "province")
    }
    assert shares == {"country": 0.5, "province": 1.0}


def test_weights_are_means_inside_and_outside_and_of_the_heaviest_stay():
    frame = pd.concat([stay(), stay(hospital="B", admission="2019-04-02"), stay(person="q")]).assign(
        cmi=[1.0, 3.0, 2.0]
    )
    options = {"base": "residents", "columns": {"weight": "cmi"}}
    alone = count_records(frame, PLACES, **options).frame
    merged = count_records(frame, PLACES, **options, transfer_days=1, transfers="first").frame
    assert "weight_inside" not in count_records(frame, PLACES, base="residents").frame
    assert alone[["weight_inside", "weight_outside"]].to_numpy().tolist() == [[1.5, 3.0]]
    assert merged["weight_inside"].tolist() == [2.5]


def test_periods_that_seem_incomplete_and_cells_without_records_are_said():
    frame = pd.concat([stay(), stay(residence="440204", discharge="2019-08-15")])
    decisions = count_records(frame, PLACES, base="residents").decisions.set_index("what")["decided"]
    assert decisions["period 2019Q3"] == "kept, seems incomplete"
    assert decisions["county x period cells without a record"] == "2 left out, not counted as zero"


def test_progress_ends_at_a_hundred(folder):
    seen = []
    count_records(folder, SEATS, base="residents", progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 100)
    assert seen[-1] == (100, 100)
    assert seen == sorted(seen)


class StoppedError(Exception):
    pass


def test_a_caller_can_stop_in_the_middle(folder):
    def stop(done, total):
        raise StoppedError

    with pytest.raises(StoppedError):
        count_records(folder, SEATS, base="residents", progress=stop)


def test_the_callers_frame_is_not_changed(frame):
    before = frame.copy()
    count_records(frame, SEATS, base="residents", transfer_days=1)
    pd.testing.assert_frame_equal(frame, before)


def fails(source, hospitals=PLACES, **options):
    with pytest.raises(ReadingError) as caught:
        count_records(source, hospitals, **{"base": "residents", **options})
    return str(caught.value)


def test_options_that_do_not_exist_are_named_all_at_once():
    text = fails(stay(), base="everyone", period="week", transfers="nearest", dated="birth", denominator="world")
    for word in (
        "base='everyone'",
        "period='week'",
        "transfers='nearest'",
        "dated='birth'",
        "denominator='world'",
        "'insured'",
    ):
        assert word in text
    assert "transfer_days is -1" in fails(stay(), transfer_days=-1)


def test_missing_columns_are_named_with_candidates():
    frame = stay().rename(columns={"residence": "resid", "hospital": "clinic"})
    text = fails(frame, columns={"residence": "resdi", "ward": "clinic"}, transfer_days=1)
    assert "no such column (named as residence) (column 'resdi'). Expected one of resid" in text
    assert "'ward' is no role of a column" in text
    assert "no column was recognised as hospital" in text
    assert "there are resid, clinic, admission" in text
    assert "person" in fails(stay().drop(columns="person"), transfer_days=1)


def test_columns_that_could_both_be_meant_are_asked_about():
    text = fails(stay().assign(出院日期="2019-04-03"))
    assert "several columns may be the discharge: discharge, 出院日期" in text


def test_dates_of_another_type_are_refused():
    assert "holds int64, read as discharge" in fails(stay(discharge=43557))


def test_a_hospital_in_two_counties_is_refused():
    twice = pd.concat([PLACES, PLACES.assign(county="440281").head(1)])
    assert "one hospital in several counties" in fails(stay(), twice)
    assert "no county code" in fails(stay(), PLACES.assign(county=["x", *PLACES["county"][1:]]))
    assert "The hospital table has the columns a, b" in fails(stay(), pd.DataFrame({"a": [1], "b": [2]}))


def test_places_without_records_are_refused(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    assert "the folder holds no file that ends in .parquet" in fails(tmp_path / "empty")
    assert "no such file or folder" in fails(tmp_path / "nothing.csv")
    (tmp_path / "none.csv").touch()
    assert "none.csv: empty (0 bytes)" in fails(tmp_path / "none.csv")
    (tmp_path / "a.parquet").write_bytes(b"no parquet" * 99)
    assert "a.parquet: cannot be opened as records" in fails(tmp_path / "a.parquet")
    assert "files of the kinds csv, parquet" in fails([tmp_path / "a.parquet", _csv(tmp_path)])
    assert "No file of records was named" in fails([])


def _csv(folder):
    stay().to_csv(folder / "b.csv", index=False)
    return folder / "b.csv"


def test_a_file_that_changes_meanwhile_is_refused(tmp_path, monkeypatch):
    path = _csv(tmp_path)
    run = Store.run

    def late(self, expression, progress):
        result = run(self, expression, progress)
        os.utime(path, ns=(1, 1))
        return result

    monkeypatch.setattr(Store, "run", late)
    assert "b.csv: changed while the records were read" in fails(path)


def test_an_engine_that_is_not_there_is_refused():
    text = fails(stay(), backend="nowhere://user:secret@host")
    assert "The engine 'host' cannot be reached" in text
    assert "secret" not in text


def test_an_ibis_table_is_a_source(folder):
    import ibis

    con = ibis.duckdb.connect()
    table = con.read_parquet(f"{folder}/*.parquet", table_name="records")
    expected = count_records(folder, SEATS, base="residents", transfer_days=1)
    for source, backend in ((table, None), (table, con), ("records", con)):
        assert (
            count_records(source, SEATS, base="residents", transfer_days=1, backend=backend).content_hash
            == expected.content_hash
        )


@pytest.fixture(scope="module")
def spark():
    pyspark = pytest.importorskip(
        "pyspark", reason="SPARK NOT TESTED: pyspark is not installed (pip install 'evalaid[spark]')"
    )
    if shutil.which("java") is None:
        pytest.skip("SPARK NOT TESTED: there is no java on PATH")
    import ibis
    from pyspark.sql import SparkSession

    assert int(pyspark.__version__.split(".")[0]) >= 4
    options = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2", "spark.driver.host": "127.0.0.1"}
    builder = SparkSession.builder.master("local[1]")
    for name, value in options.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield ibis.pyspark.connect(session)
    session.stop()


@pytest.mark.parametrize("days", [None, 1])
def test_spark_gives_the_same(spark, folder, tmp_path, days):
    expected = count_records(folder, SEATS, base="residents", transfer_days=days)
    records(RECIPE).to_csv(tmp_path / "all.csv", index=False)
    for source in (folder, Path(tmp_path / "all.csv")):
        found = count_records(source, SEATS, base="residents", transfer_days=days, backend=spark)
        pd.testing.assert_frame_equal(found.frame, expected.frame)
        assert found.content_hash == expected.content_hash
        assert fates(found)["rows"].tolist() == fates(expected)["rows"].tolist()
