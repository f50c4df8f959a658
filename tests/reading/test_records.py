"""Discharge records: counts with known answers, every record accounted for, the same on every engine and in any pieces."""

import json
import os
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.records import RECORD_ANSWERS_SQL, RECORDS_SQL, Recipe, answers, hospital_table, records, write_records

import evalaid as ea
from evalaid.base.errors import ReadingError
from evalaid.reading.records.episodes import TAKEN
from evalaid.reading.records.records import count_records
from evalaid.reading.records.stores import Store

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
@pytest.mark.crossed(2)
def test_episodes_of_people_are_the_known_answers(taken, seed):
    recipe = Recipe(people=1500, seed=seed)
    counts = count_records(records(recipe), hospital_table(recipe), base="residents", transfer_days=1, transfers=taken)
    expected = answers(recipe, taken)
    pd.testing.assert_frame_equal(counts.frame[expected.columns], expected)
    np.testing.assert_array_equal(counts.frame["total"], expected[["inside", "outside", "out_of_province"]].sum(axis=1))


def test_records_without_a_pseudonym_are_counted_as_they_are(frame):
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
        frame, SEATS, base="residents", transfer_days=days, insurance=["employees"], counties=["440141", "440142"],
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


RANK = ("inside", "unknown_hospital", "outside", "out_of_province")
SEAT = {"A": "440222", "B": "440224", "C": "440204", "D": "430103", "E": None, "F": "440222"}


HASH = dict(duckdb.sql(f"SELECT code, hash(0::BIGINT, code) FROM (SELECT unnest({list(SEAT)}) AS code)").fetchall())
"""Orders hospitals that are equally far where a person is in two of them on the same days."""


def distance(home, hospital):
    seat = SEAT[hospital]
    if seat is None:
        return 1
    return 0 if seat == home else 2 if seat[:2] == home[:2] else 3


def episodes_of(stays):
    """The stays of one person in order, those that belong together in one list: (what it is, stay)."""

    def place(s):
        return distance(s["home"], s["at"]), s["home"], HASH[s["at"]]

    ordered = sorted(stays, key=lambda s: (s["in"], s["out"], *place(s)))
    episodes, before, latest = [], None, None
    for stay in ordered:
        what = "start"
        if before is not None and stay["at"] != before["at"] and stay["in"] - latest <= stay["limit"]:
            what = "transfer"
        elif before is not None and all(stay[name] == before[name] for name in ("at", "in", "out")):
            what = "duplicate"
        if what == "start":
            episodes.append([])
        episodes[-1].append((what, stay))
        before, latest = stay, stay["out"] if latest is None else max(latest, stay["out"])
    return episodes


def twin(stays, days, taken="furthest", dated="discharge"):
    """The rule in plain Python, one person after the other: (residence, period, fate) -> episodes, transfers, copies, weights."""
    people = {}
    for number, stay in enumerate(stays):
        people.setdefault(stay["person"] or ("nobody", number), []).append(stay | {"limit": days})
    cells = {}
    for person in people.values():
        for episode in episodes_of(person):
            parts = [stay for _, stay in episode]
            home = parts[0]["home"]
            far = [distance(home, part["at"]) for part in parts]
            fate = {"furthest": max(far), "first": far[0], "last": far[-1]}[taken]
            day = max(p["out"] for p in parts) if dated == "discharge" else min(p["in"] for p in parts)
            found = cells.setdefault(
                (home, str(pd.Period(FIRST + pd.Timedelta(days=day), "Q")), RANK[fate]), [0, 0, 0, 0.0]
            )
            found[0] += 1
            for at, word in ((1, "transfer"), (2, "duplicate")):
                found[at] += sum(what == word for what, _ in episode)
            found[3] += max(part["weight"] for part in parts)
    return cells


FIRST = pd.Timestamp("2019-01-20")


def draw_stays(rng, people, span, longest):
    """Stays of many people, close together: chains, overlaps, nested stays, copies, moves."""
    stays = []
    for person in range(people):
        homes = rng.choice(["440222", "440224"], 2)
        for _ in range(rng.integers(1, 8)):
            start = int(rng.integers(0, span))
            stays.append({
                "person": f"p{person}" if person % 50 else "", "home": homes[int(rng.random() < 0.1)], "at": str(rng.choice(list(SEAT))),
                "in": start, "out": start + int(rng.integers(0, longest)), "weight": int(rng.integers(1, 40)) / 8,
            })  # fmt: skip
            if rng.random() < 0.15:
                stays.append(stays[-1] | ({} if rng.random() < 0.7 else {"home": "440281"}))
    return [stays[i] for i in rng.permutation(len(stays))]


def frame_of(stays):
    days = [[FIRST + pd.Timedelta(days=stay[name]) for stay in stays] for name in ("in", "out")]
    plain = {
        name: [stay[key] for stay in stays]
        for name, key in (("person", "person"), ("residence", "home"), ("hospital", "at"), ("weight", "weight"))
    }
    return pd.DataFrame(plain | {"admission": days[0], "discharge": days[1]})


@pytest.mark.parametrize(
    ("days", "taken", "dated", "span", "longest"),
    [
        (1, "furthest", "discharge", 30, 4),
        (0, "first", "discharge", 8, 3),
        (3, "last", "admission", 150, 40),
        (30, "furthest", "admission", 400, 90),
        (2, "last", "discharge", 60, 1),
        (1, "first", "admission", 40, 12),
    ],
)
@pytest.mark.crossed(2)
def test_equal_to_a_loop_over_people(days, taken, dated, span, longest):
    stays = draw_stays(np.random.default_rng(days), 1500, span, longest)
    counts = count_records(
        frame_of(stays), SEAT_TABLE, base="residents", transfer_days=days, transfers=taken, dated=dated,
        columns={"weight": "weight"},
    )  # fmt: skip
    expected = twin(stays, days, taken, dated)
    assert cells_of(counts) == {key: found[0] for key, found in expected.items()}
    assert rows_of(counts, "transfers", "duplicates") == [
        sum(found[at] for found in expected.values()) for at in (1, 2)
    ]
    assert fates(counts)["rows"].sum() == len(stays)
    weights = {key[:2]: found[3] / found[0] for key, found in expected.items() if key[2] == "inside"}
    shown = counts.frame.dropna(subset=["weight_inside"]).set_index(["county", "period"])["weight_inside"]
    assert shown.to_dict() == pytest.approx(weights, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    frame = frame_of(draw_stays(rng, 300, 20, 4))
    one, other = (
        count_records(f, SEAT_TABLE, base="residents", transfer_days=2, transfers="last")
        for f in (frame, frame.iloc[rng.permutation(len(frame))])
    )
    assert one.content_hash == other.content_hash


PLACES = pd.DataFrame({"hospital": list("ABCD"), "county": ["440222", "440224", "440204", "430103"]})


SEAT_TABLE = pd.DataFrame([pair for pair in SEAT.items() if pair[1]], columns=["hospital", "county"])


def cells_of(counts):
    long = counts.frame.melt(["county", "period"], COUNTS)
    return {key: n for *key_parts, n in long[long["value"] > 0].itertuples(index=False) for key in [tuple(key_parts)]}


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
    for source in (folder, sorted(folder.glob("*.parquet")), whole, parts.parent, str(whole), gb):
        found = count(source)
        pd.testing.assert_frame_equal(found.frame, expected.frame)
        assert found.content_hash == expected.content_hash
        assert fates(found)["rows"].tolist() == fates(expected)["rows"].tolist()
    assert "GB18030 (which includes GBK and GB2312)" in set(found.decisions["decided"])


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
        ({"discharge": "7/1/2019"}, "unreadable date"),
        ({"discharge": 43557}, "unreadable date"),  # a serial number of Excel
        ({"discharge": "9999-12-31"}, "placeholder for a date"),
        ({"discharge": "1900-01-01", "admission": "1900-01-01"}, "placeholder for a date"),
        ({"discharge": "0001-01-01"}, "placeholder for a date"),
        ({"residence": "4402"}, "residence missing or no county code"),
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
        ({"admission": "1900-01-01"}, "inside"),
        ({"residence": "４４０２２２"}, "residence missing or no county code"),
        ({"discharge": "2019-04-02 23:59:59"}, "inside"),
        ({"discharge": "2019-04-02 23:59:59.000"}, "inside"),
        ({"discharge": "2019年4月2日"}, "inside"),
        ({"discharge": "2019年4月2日8时30分"}, "inside"),
        ({"discharge": "2019/4/2 8:05"}, "inside"),
        ({"discharge": "2019.4.2"}, "inside"),
        ({"discharge": "20190402083000"}, "inside"),
        ({"discharge": "20190402.0"}, "inside"),
        ({"discharge": 20190402}, "inside"),
        ({"discharge": 20190402.0}, "inside"),
        ({"discharge": pd.Period("2019-04-02", "D")}, "inside"),
        ({"discharge": pd.Timestamp("2019-04-02 12:00"), "admission": pd.Timestamp("2019-03-30")}, "inside"),
    ],
)
@pytest.mark.parametrize("days", [None, 1])
@pytest.mark.crossed(3)
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


@pytest.mark.parametrize(
    "nobody", [None, "", " ", "\u3000", "0", "000000000000000000", "-", "/", "NULL", "nan", "N/A", "无", "不详"]
)
@pytest.mark.crossed(3)
def test_records_of_nobody_are_never_merged(nobody):
    """Whoever has no pseudonym, or a word in its place, is not one and the same person."""
    frame = pd.concat([stay(), stay(hospital="B", admission="2019-04-02")]).assign(person=nobody)
    assert count_records(frame, PLACES, base="residents", transfer_days=1).frame["total"].sum() == 2


@pytest.mark.parametrize("pair", [("p", "p"), ("p ", " p"), ("10", "10"), (10, 10), (10, "10"), ("0012", "0012")])
@pytest.mark.crossed(2)
def test_the_same_pseudonym_is_one_person(pair):
    frame = pd.concat([stay(), stay(hospital="B", admission="2019-04-02")]).assign(person=list(pair))
    assert count_records(frame, PLACES, base="residents", transfer_days=1).frame["total"].sum() == 1


def test_a_placeholder_swallows_no_later_stay():
    """A stay "until 9999" would otherwise last on, and every other hospital after it be a transfer; so would one "from 1900"."""
    for first in (stay(discharge="9999-12-31"), stay(admission="1900-01-01", discharge="2019-09-20")):
        frame = pd.concat([first, stay(hospital="B", admission="2019-09-01", discharge="2019-09-09")])
        counts = count_records(frame, PLACES, base="residents", transfer_days=1)
        assert rows_of(counts, "transfers", "outside") == [0, 1]


@pytest.mark.parametrize(("second", "fate"), [({"residence": "440224"}, "outside"), ({"residence": None}, "outside")])
def test_who_moves_between_stays_is_at_home_where_the_episode_began(second, fate):
    """The second hospital is in the county of the new residence, and not in that of the episode."""
    frame = pd.concat([stay(), stay(hospital="B", admission="2019-04-02", discharge="2019-04-09", **second)])
    counts = count_records(frame, PLACES, base="residents", transfer_days=1)
    assert counts.frame[["county", fate, "total"]].to_numpy().tolist() == [["440222", 1, 1]]


@pytest.mark.parametrize("shift", ["UTC", "Asia/Shanghai", "America/New_York"])
def test_a_moment_belongs_to_the_day_that_it_is_in_china(shift, tmp_path):
    """Half past midnight on the first of July in China, whatever the zone in which it is written."""
    moment = pd.Timestamp("2019-07-01 00:30", tz="Asia/Shanghai").tz_convert(shift)
    frame = stay(discharge=moment)
    frame.to_parquet(tmp_path / "a.parquet")
    old = frame.assign(discharge=moment.tz_convert("UTC").tz_localize(None))
    pq.write_table(pa.Table.from_pandas(old), tmp_path / "old.parquet", use_deprecated_int96_timestamps=True)
    written = frame.assign(discharge=moment.isoformat())
    for source in (frame, tmp_path / "a.parquet", tmp_path / "old.parquet", written):
        assert count_records(source, PLACES, base="residents").frame["period"].tolist() == ["2019Q3"]


def test_a_former_code_is_the_county_of_today():
    """增城市 (440183) is 增城区 (440118) today: its residents are at home in hospitals under either code."""
    places = pd.DataFrame({"hospital": ["A", "B"], "county": ["440183", "440118"]})
    frame = pd.concat([stay(residence="440183"), stay(residence="440118"), stay(residence="440183", hospital="B")])
    for hospitals in (places, None):
        named = frame if hospitals is not None else frame.assign(hospital_county=["440183", "440118", "440118"])
        counts = count_records(named, hospitals, base="residents", counties=["440183"])
        assert counts.frame[["county", "inside", "total"]].to_numpy().tolist() == [["440118", 3, 3]]
        decided = counts.decisions.set_index("what")
        assert decided.loc["code 440183", "decided"] == "counted as 440118"
        assert "增城区 (440118) took its name" in decided.loc["code 440183", "because"]


def test_hospitals_known_to_the_city_only_are_said():
    counts = count_records(
        stay(), pd.concat([PLACES, pd.DataFrame({"hospital": ["X"], "county": ["440200"]})]), base="residents"
    )
    decided = counts.decisions.set_index("what")["decided"]
    assert decided["hospitals known to the city only"] == "1 counted as outside of every county"


@pytest.mark.parametrize("word", ["", "-", "x", np.nan])
def test_a_weight_that_is_none_is_left_out_of_the_mean(word):
    frame = pd.concat([stay(), stay(person="q")]).assign(w=pd.Series([1.5, word], dtype=object).to_numpy())
    counts = count_records(frame, PLACES, base="residents", columns={"weight": "w"})
    assert counts.frame[["inside", "weight_inside"]].to_numpy().tolist() == [[2, 1.5]]


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
    for days in (-1, 1.5, "1", True):
        assert f"transfer_days is {days!r}" in fails(stay(), transfer_days=days)
    assert "memory='lots', threads=None" in fails(stay(), memory="lots")
    assert "memory='1500MB', threads=0" in fails(stay(), threads=0)
    assert "counties= holds '连南县'. Expected a sequence of codes" in fails(stay(), counties=["连南县"])
    assert "counties= holds '440222'" in fails(stay(), counties="440222")
    assert "The records are a NoneType. Expected a path" in fails(None)


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


def test_columns_of_another_type_are_refused():
    assert "holds boolean, read as discharge" in fails(stay(discharge=True))
    assert "read as residence (column 'residence'). Expected text or numbers" in fails(
        stay(residence=pd.Timedelta(1, "D"))
    )
    assert rows_of(count_records(stay().assign(residence=[["440222", 1]]), PLACES, base="residents"), "inside") == [0]
    text = fails(stay(person=1.2345678901234567e17), transfer_days=1)
    assert (
        "holds float64, read as person (column 'person'). Expected text or whole numbers: long ones lose digits" in text
    )


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


MESSY = (
    "2019-04-02", "2019/4/2 8:05", "2019年4月2日8时", "20190402083000", "2019-04-01T16:30:00Z", "2019-04-02 00:30:00+08:00",
    "2019-04", "7/1/2019", "43557", "2019-02-30", "9999-12-31", "1900-01-01", "", " ", "2019-04-02 23:59:59.000",
)  # fmt: skip


def test_spark_reads_messy_files_the_same(spark, tmp_path):
    """Dates, codes, pseudonyms and former codes as people write them, and files with other columns and separators."""
    rows = [stay(discharge=day, person=f"p{n}") for n, day in enumerate(MESSY)]
    rows += [stay(person=word) for word in ("0", "无", " p1 ")] + [
        stay(residence=code) for code in ("440222001002", "4402", "440923", "x")
    ]
    rows += [
        stay(hospital="B", admission="2019-04-02", discharge="2019-04-05", person="p0", residence="440224"),
        stay(hospital="Z"),
    ]
    pd.concat(rows).to_csv(tmp_path / "a.csv", index=False)
    pd.concat(rows[:3]).assign(person="q", 备注='行\n"行",').to_csv(tmp_path / "b.csv", index=False, sep=";")
    stays = draw_stays(np.random.default_rng(9), 150, 20, 4)
    frame_of(stays).astype(str)[["hospital", "residence", "person", "admission", "discharge"]].to_csv(
        tmp_path / "c.csv", index=False
    )
    for days in (None, 1):
        options = {"hospitals": PLACES, "base": "residents", "transfer_days": days}
        expected, found = count_records(tmp_path, **options), count_records(tmp_path, **options, backend=spark)
        pd.testing.assert_frame_equal(found.frame, expected.frame)
        assert fates(found)["rows"].tolist() == fates(expected)["rows"].tolist()


def test_spark_refuses_what_it_cannot_read(spark, tmp_path):
    stay().to_csv(tmp_path / "a[1].csv", index=False)
    assert "a[1].csv: pyspark takes brackets" in fails(tmp_path / "a[1].csv", backend=spark)
    stay().assign(备注="行").to_csv(tmp_path / "gb.csv", index=False, encoding="gb18030")
    text = fails(tmp_path / "gb.csv", backend=spark)
    assert "gb.csv: GB18030 (which includes GBK and GB2312). pyspark reads CSV in UTF-8 only" in text


def test_spark_reads_moments_the_same(spark, tmp_path):
    moments = pd.to_datetime(["2019-06-30 15:59", "2019-06-30 16:01", "2019-06-30 23:00"])
    frame = pd.concat([stay()] * 3).assign(discharge=moments)
    frame.to_parquet(tmp_path / "local.parquet")
    frame.assign(discharge=moments.tz_localize("UTC")).to_parquet(tmp_path / "zone.parquet")
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "old.parquet", use_deprecated_int96_timestamps=True)
    for name, inside in (("local", [3]), ("zone", [1, 2]), ("old", [1, 2])):
        for backend in (None, spark):
            counts = count_records(tmp_path / f"{name}.parquet", PLACES, base="residents", backend=backend)
            assert counts.frame["inside"].tolist() == inside


@pytest.mark.parametrize(
    ("homes", "seats", "county", "inside"),
    [
        (["Dallas", "dallas ", "El Paso"], {"A": "DALLAS", "B": "El Paso"}, ["Dallas", "El Paso"], [2, 0]),
        (["01001", "01001", "01003"], {"A": "01001", "B": "01003"}, ["01001", "01003"], [2, 0]),
        (["2A", "2A", "2B"], {"A": "2A", "B": "2B"}, ["2A", "2B"], [2, 0]),
    ],
)
def test_units_of_any_code_system_are_compared_as_they_are_written(homes, seats, county, inside):
    records = pd.DataFrame({"residence": homes, "hospital": ["A"] * 3, "discharge": ["2019-05-01"] * 3})
    frame = count_records(records, seats, base="residents", codes="as_written", period="year").frame
    assert frame["county"].tolist() == county
    assert frame["inside"].tolist() == inside
    assert frame["total"].sum() == 3


def test_transfers_are_merged_between_units_as_they_are_written():
    records = pd.DataFrame({
        "residence": ["Dallas", "Dallas"], "hospital": ["A", "B"], "person": ["p1", "p1"],
        "admission": ["2019-05-01", "2019-05-04"], "discharge": ["2019-05-04", "2019-05-09"],
    })  # fmt: skip
    seats = {"A": "Dallas", "B": "El Paso"}
    frame = count_records(records, seats, base="residents", codes="as_written", transfer_days=1).frame
    assert frame[["inside", "outside"]].values.tolist() == [[0, 1]]


def test_records_of_which_most_have_no_county_are_refused_with_the_way_out():
    records = pd.DataFrame({"residence": "01001", "hospital_county": "01001", "discharge": ["2019-05-01"] * 20})
    with pytest.raises(ReadingError, match=r"20 of 20 records would be left out.*codes='as_written'"):
        count_records(records, base="residents")
