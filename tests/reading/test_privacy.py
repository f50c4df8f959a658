"""What is written about people: small counts stay hidden from arithmetic, and columns about persons are refused."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evalaid.report.section
from evalaid.base.errors import ReadingError
from evalaid.reading.records.identifiers import looks_like, mask, refuse_identifiers
from evalaid.reading.records.privacy import THRESHOLD, hide_small, publishable
from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.section import Section
from evalaid.study.manifest import Recorder
from evalaid.study.spec import StudySpec

ID = "11010519491231002X"
PARTS = ["inside", "outside"]


def cube(values):
    """Counties x (inside, outside, total), with a row of totals."""
    frame = pd.DataFrame(values, columns=PARTS, index=[f"c{n}" for n in range(len(values))])
    frame["total"] = frame.sum(axis=1)
    frame.loc["all"] = frame.sum()
    return frame


def hide(frame, **options):
    totals = {"all": [label for label in frame.index if label != "all"]}
    return hide_small(frame, [*PARTS, "total"], sums={"total": PARTS}, totals=totals, **options)


def possible(shown, limit):
    """All tables of two counties of small numbers that agree with what is shown, one a row, in the order of the cells."""
    inside = np.stack(np.meshgrid(*[np.arange(limit)] * 4, indexing="ij"), axis=-1).reshape(-1, 2, 2)
    rows = np.concatenate([inside, inside.sum(axis=1, keepdims=True)], axis=1)
    worlds = np.concatenate([rows, rows.sum(axis=2, keepdims=True)], axis=2)
    told = shown.to_numpy()
    return worlds[((worlds == told) | np.isnan(told)).all(axis=(1, 2))]


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=2, max_size=2))
def test_no_hidden_small_count_can_be_computed(values):
    """By trying every table that agrees with what is shown: a small count could be another, and could be large."""
    truth = cube(values)
    shown = hide(truth)
    worlds = possible(shown, limit=18)
    for (i, row), (j, column) in itertools.product(enumerate(truth.index), enumerate(truth.columns)):
        if truth.loc[row, column] < THRESHOLD:
            assert np.isnan(shown.loc[row, column])
            assert len(np.unique(worlds[:, i, j])) > 1
            assert worlds[:, i, j].max() >= THRESHOLD or truth.loc["all", "total"] < THRESHOLD
        elif not np.isnan(shown.loc[row, column]):
            assert shown.loc[row, column] == truth.loc[row, column]


def test_a_cell_that_only_the_whole_system_tells_is_hidden_too():
    """Two rows and two columns with two hidden cells each, joined by one: the one is determined by all sums together."""
    rows = np.full((4, 4), 50)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (2, 3), (3, 2), (3, 3), (1, 2)):
        rows[row, column] = 2 if (row, column) == (1, 2) else 40
    names = list("abcd")
    frame = pd.DataFrame(rows, columns=names)
    frame["total"] = frame.sum(axis=1)
    frame.loc[9] = frame.sum()
    shown = hide_small(frame, [*names, "total"], sums={"total": names}, totals={9: [0, 1, 2, 3]})
    unknown = shown.isna()
    assert unknown.loc[1, "c"]
    assert unknown.loc[1].sum() > 1
    assert unknown["c"].sum() > 1


def test_nothing_is_hidden_without_need():
    frame = cube([(50, 20), (70, 5)])
    pd.testing.assert_frame_equal(hide(frame), frame, check_dtype=False)


def test_shares_go_with_their_counts():
    frame = pd.DataFrame({"inside": [96, 90], "total": [100, 94], "share": [0.96, 0.957]})
    shown = hide_small(
        frame.assign(outside=[4, 4]),
        ["inside", "outside", "total"],
        sums={"total": PARTS},
        ratios={"share": ["inside", "total"]},
    )
    assert shown["share"].isna().all()
    assert shown[["outside", "inside"]].isna().all(axis=None)


def test_the_threshold_is_raised_only():
    frame = cube([(50, 8), (70, 30)])
    assert hide(frame).notna().all(axis=None)
    assert hide(frame, threshold=10).isna().any(axis=None)
    with pytest.raises(ReadingError, match=r"The threshold for small counts is 4. Expected at least 5"):
        hide(frame, threshold=4)


def test_sums_that_do_not_add_up_are_refused():
    frame = pd.DataFrame({"a": [5], "b": [6], "t": [12]})
    with pytest.raises(ReadingError, match="row 0, column 't' is 12, its parts add up to 11"):
        hide_small(frame, ["a", "b", "t"], sums={"t": ["a", "b"]})


def test_the_callers_frame_is_not_changed():
    frame = cube([(3, 20), (70, 5)])
    before = frame.copy()
    hide(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_totals_are_found_by_adding():
    frame = cube([(90, 3), (70, 30), (60, 20)]).reset_index(names="key")
    shown = publishable(frame, ["key", *PARTS, "total"], [*PARTS, "total"], "the table")
    pd.testing.assert_frame_equal(
        shown.drop(columns="key"), hide(cube([(90, 3), (70, 30), (60, 20)])).reset_index(drop=True)
    )
    assert shown.isna().sum().sum() == 4


def shown(frame, counts):
    columns = [*frame.columns]
    return publishable(frame, columns, counts, "the table")[columns[1:]].isna().to_numpy().tolist()


def test_sums_of_some_of_the_columns_are_found():
    """What is unknown is no part of the total."""
    frame = pd.DataFrame(
        [["a", 90, 3, 7, 100, 6], ["b", 50, 20, 9, 79, 8]],
        columns=["key", *PARTS, "out_of_province", "total", "unknown"],
    )
    hidden = shown(frame, [*frame.columns[1:]])
    assert hidden[0] == [False, True, True, False, False]
    assert hidden[1] == [False] * 5


def test_subtotals_are_found():
    """Counties above their city, cities above all: the one small county takes another of its city with it."""
    frame = pd.DataFrame({"key": ["c1", "c2", "city", "c3", "c4", "city2", "all"], "n": [3, 40, 43, 20, 30, 50, 93]})
    assert [row[0] for row in shown(frame, ["n"])] == [True, True, *[False] * 5]
    assert [row[0] for row in shown(frame[::-1], ["n"])] == [*[False] * 5, True, True]


@pytest.mark.parametrize("unit", [1, 100])
@pytest.mark.parametrize("column", ["share", "in_county"])
def test_a_share_of_a_count_that_is_shown_tells_the_count(column, unit):
    inside, total = np.array([97, 40, 2, 50]), np.array([100, 60, 60, 50])
    frame = pd.DataFrame({"key": list("abcd"), "total": total, column: inside / total * unit})
    assert shown(frame, ["total"]) == [[False, True], [False, False], [False, True], [False, True]]


def test_a_share_does_not_tell_what_is_hidden_to_protect_another():
    """The second county's count is hidden for the sake of the first; its share goes with it, whatever it is called."""
    frame = cube([(90, 3), (70, 30), (60, 40)]).reset_index(names="key")
    frame["quota"] = frame["inside"] / frame["total"]
    hidden = np.array(shown(frame, [*PARTS, "total"]))
    assert (hidden[:, 3] >= hidden[:, 0]).all()
    assert hidden[:, 0].sum() >= 2


def test_means_beside_counts_stay():
    frame = pd.DataFrame({"key": list("ab"), "n": [50, 70], "cost": [6328.17, 5120.4], "mean": [83.71, 90.02]})
    assert shown(frame, ["n"]) == [[False] * 3] * 2


@pytest.mark.parametrize(
    ("name", "values", "what"),
    [
        ("remark", [ID], "identity numbers"),
        ("remark", [f"见{ID}。"], "identity numbers"),
        ("code", [int("110105194912310038")], "identity numbers"),
        ("code", [1.1010519491231003e17, np.nan], "identity numbers"),
        ("code", [110105491231002.0], "identity numbers of 15 digits"),
        ("remark", ["110105 19491231 002X"], "identity numbers"),
        ("remark", ["１１０１０５１９４９１２３１００２ｘ"], "identity numbers"),
        ("remark", ["sfz11010519491231002X"], "identity numbers"),
        ("remark", ["008613800138000"], "telephone numbers"),
        ("remark", ["(0757)-88886666"], "telephone numbers"),
        ("label", ["欧阳小明", "司马光", "王芳医生", "刘洋主任", "扎西·顿珠"], "names of persons"),
        ("label", ["李小明", "王芳", "张伟", "仝洋", "郜静", "陈晨", "刘柳"], "names of persons"),
        ("受试者姓名", ["x"], "data about persons, by its heading"),
        ("身份证件号码", ["x"], "data about persons, by its heading"),
        ("remark", ["110105491231002"], "identity numbers of 15 digits"),
        ("remark", ["电话：138 0013 8000"], "telephone numbers"),
        ("number", [13800138000 + n for n in range(5)], "telephone numbers"),
        ("who", [f"{n:016x}a" for n in range(10**15, 10**15 + 9)], "pseudonyms"),
        ("label", ["李小明", "王芳", "张伟", "刘洋", "陈静"], "names of persons"),
        ("患者 姓名", ["x"], "data about persons, by its heading"),
        ("psn_no", [1], "data about persons, by its heading"),
    ],
)
def test_columns_about_persons_are_seen(name, values, what):
    assert looks_like(pd.Series(values), name)[0] == what


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("code", ["440222", "440224"]),
        ("code", ["440222001002"]),
        ("remark", ["110105194912310021"]),  # wrong check digit
        ("remark", ["110105194913310024"]),  # no such day
        ("money", [13800138000]),
        ("money", [13800138000.0, 13900139000.0]),
        ("county", ["高州市", "连山县", "阳西县", "郁南县", "罗定市", "江门市"]),
        ("source", ["https://example.org/post_13800138000.html"]),
        ("sha256", ["0123456789abcdef" * 4]),
        ("county", ["高州", "连山", "阳西", "郁南", "罗定", "江门", "金平", "海丰", "陆河"]),
        ("hospital", ["高州市人民医院", "罗定市中医院", "江门市中心医院", "黄埔区红十字会医院", "金湾区妇幼保健院"]),
        ("money", [1.1e17, 2.0]),
        ("teleconsultations", [13, 15]),
        ("period", ["2019Q1", "2019Q2", "2019Q3", "2019Q4", "2020Q1"]),
    ],
)
def test_other_columns_are_not(name, values):
    assert looks_like(pd.Series(values), name) is None


def test_the_refusal_names_all_columns_and_shows_no_number():
    frame = pd.DataFrame({"a": [ID], "b": ["13800138000"], "c": [1]})
    with pytest.raises(ReadingError) as caught:
        refuse_identifiers(frame, where="table 'x'")
    text = str(caught.value)
    assert "column 'a' of table 'x' looks like identity numbers (11**************2X)" in text
    assert "column 'b' of table 'x' looks like telephone numbers (13*******00)" in text
    assert ID not in text
    assert mask("王芳") == "王*"


@pytest.fixture
def section(tmp_path):
    spec = StudySpec(study="korea_responsible_hospitals")
    return Section(spec, Recorder("x", "0", "0", 1), tmp_path)


EPISODES = ColumnFormat("Episodes", "episodes")


def test_the_report_hides_small_counts_of_episodes_but_not_of_units(section, tmp_path):
    frame = pd.DataFrame({"key": ["a", "b", "c"], "n": [3, 40, 50], "n_units": [1, 2, 3]})
    table = section.table(
        frame, "small", ["key", "n", "n_units"], "Counts.", extra={"n": EPISODES, "key": ColumnFormat("Key")}
    )
    assert table.frame["n"].isna().tolist() == [True, False, False]
    assert table.frame["n_units"].tolist() == [1, 2, 3]
    written = (tmp_path / "tables" / "small.csv").read_text()
    assert written.splitlines()[1].split(",")[-2:] == ["", "1"]
    assert section.value("small.a.n") is None
    assert section.value("small.b.n") == 40


def test_the_report_refuses_a_column_about_persons(section, tmp_path):
    frame = pd.DataFrame({"key": ["a"], "label": [ID]})
    with pytest.raises(ReadingError, match="column 'label' of table 'who' looks like identity numbers"):
        section.table(frame, "who", ["label"], "People.")
    assert not (tmp_path / "tables").exists()


def test_a_figure_of_persons_is_refused(section, tmp_path):
    frame = pd.DataFrame({"label": [f"{ID} x"], "estimate": [1.0]})
    with pytest.raises(ReadingError, match="column 'label' of figure 'who' looks like identity numbers"):
        section.figure(lambda frame, axes, look: None, frame, "who", "People.")
    assert not (tmp_path / "figures").exists()


def test_a_single_small_number_is_not_written_and_the_threshold_may_be_raised(section, monkeypatch):
    section.record("few", 4, unit="episodes", digits=0)
    section.record("many", 8, unit="episodes", digits=0)
    assert (section.value("few"), section.value("many")) == (None, 8)
    monkeypatch.setenv(evalaid.report.section.SMALLEST, "10")
    section.record("more", 8, unit="episodes", digits=0)
    assert section.value("more") is None
    monkeypatch.setenv(evalaid.report.section.SMALLEST, "1")
    section.record("still_few", 4, unit="episodes", digits=0)
    assert section.value("still_few") is None
