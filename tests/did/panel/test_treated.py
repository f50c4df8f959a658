"""A 0/1 column by period says who is treated when; labels, codes and data frames of every kind."""

from __future__ import annotations

import unicodedata

import duckdb
import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import evalaid as ea
from evalaid.base.errors import DesignError, NotIdentifiedError, PanelError
from evalaid.did.panel.any_frame import as_frame

KEYS = {"unit": "county", "period": "year", "outcome": "share"}
TEXTS = ["str", "category", "string[pyarrow]", object, pd.ArrowDtype(pa.string())]


def table(n=20, periods=6, seed=0):
    rng = np.random.default_rng(seed)
    start = np.where(np.arange(n) < 5, 2002, np.where(np.arange(n) < 8, 2003, np.nan))
    frame = pd.DataFrame(
        {
            "county": np.repeat([f"c{i:02d}" for i in range(n)], periods),
            "year": np.tile(np.arange(2000, 2000 + periods), n),
            "share": rng.uniform(0.2, 0.8, n * periods),
            "first": np.repeat(start, periods),
        }
    )
    return frame.assign(treated=(frame["year"] >= frame["first"]).astype(int))


def overall(design, method="callaway_santanna", **options):
    return ea.estimate(design, method, **options).aggregate("overall").value[0]


@pytest.mark.parametrize("dtype", [int, float, bool, "str", "boolean", "Int64"])
def test_the_cohort_is_the_first_one_of_a_column_of_zeros_and_ones(dtype):
    frame = table()
    stated = ea.diagnose(frame, **KEYS, cohort="first")
    read = ea.diagnose(
        frame.astype({"treated": int if dtype == "str" else dtype}).astype({"treated": dtype}),
        **KEYS,
        treated="treated",
    )
    np.testing.assert_array_equal(read.matrices.cohort, stated.matrices.cohort)
    assert overall(read) == overall(stated)
    assert ea.diagnose(frame, **KEYS, cohort="first", treated="treated").matrices.cohorts.tolist() == [2002, 2003]


@given(st.integers(0, 1000))
def test_rows_in_any_order_and_with_gaps_have_the_same_cohorts(seed):
    frame = table().sample(frac=0.8, random_state=seed)
    frame = frame[frame["year"] != frame["first"].fillna(0)]  # nobody is observed in the first treated year
    both = ea.diagnose(frame, **KEYS, cohort="first", treated="treated")
    assert both.treatment.stated.dropna().isin([2002.0, 2003.0]).all()


def test_a_cohort_that_disagrees_with_the_column_is_a_fault():
    frame = table()
    frame["first"] = frame["first"].where(frame["county"] != "c01", 2004)
    with pytest.raises(
        PanelError, match=r"cohort and treated disagree for 1 unit.*\n.*c01: cohort 2004, first treated row 2002"
    ):
        ea.diagnose(frame, **KEYS, cohort="first", treated="treated")


def test_neither_cohort_nor_treated_is_an_error():
    with pytest.raises(DesignError, match="neither cohort= nor treated="):
        ea.diagnose(table(), **KEYS)


def test_other_values_than_zero_and_one_are_faults():
    with pytest.raises(PanelError, match=r"treated is neither 0 nor 1.*Expected 0 or 1"):
        ea.diagnose(table().assign(treated=2), **KEYS, treated="treated")


@pytest.mark.parametrize("words", [("FALSE", "TRUE"), (" false", "True "), ("０", "１"), ("0.0", "1")])
@pytest.mark.parametrize("dtype", TEXTS)
def test_false_and_true_as_text_are_zeros_and_ones(words, dtype):
    frame = table()
    frame["treated"] = pd.Series([words[k] for k in frame["treated"]], dtype=dtype)
    assert overall(ea.diagnose(frame, **KEYS, treated="treated")) == overall(ea.diagnose(frame, **KEYS, cohort="first"))


@pytest.mark.parametrize("words", [("no", "yes"), ("否", "是"), ("", "1"), ("control", "treated")])
@pytest.mark.parametrize("dtype", TEXTS)
def test_other_words_say_what_to_do(words, dtype):
    frame = table()
    frame["treated"] = pd.Series([words[k] for k in frame["treated"]], dtype=dtype)
    with pytest.raises(PanelError, match=r"neither 0 nor 1.*make them of other words first"):
        ea.diagnose(frame, **KEYS, treated="treated")


def test_a_gap_right_before_the_first_one_is_told():
    """c00 starts in 2002 and has no row for it: the first 1 is in 2003, and nobody knows from the column since when."""
    frame = table()
    kept = frame[~((frame["county"] == "c00") & (frame["year"] == 2002))]
    notes = ea.diagnose(kept, **KEYS, treated="treated").notes
    assert any(
        "not observed right before the first 1" in note and "c00 between 2001 and 2003" in note for note in notes
    )
    later = frame[~((frame["county"] == "c00") & (frame["year"] == 2003))]
    assert not any("right before" in note for note in ea.diagnose(later, **KEYS, treated="treated").notes)


@pytest.mark.parametrize("role", ["unit", "outcome", "treated", "weight", "cluster", "covariates"])
@pytest.mark.parametrize("name", [["year"], pd.Series([1.0])], ids=["list", "column itself"])
def test_what_is_no_name_of_a_column_is_a_fault(role, name):
    named = KEYS | {"treated": "treated"} | {role: [name] if role == "covariates" else name}
    with pytest.raises(PanelError, match=f"{type(name).__name__}.*xpected"):
        ea.diagnose(table(), **named)


def test_a_programme_that_ends_leads_to_the_method_for_paths():
    frame = table()
    frame.loc[(frame["county"] == "c02") & (frame["year"] >= 2004), "treated"] = 0
    design = ea.diagnose(frame, **KEYS, treated="treated")
    assert design.reversals.to_dict("records") == [{"unit": "c02", "first_treated": 2002, "untreated_again": 2004}]
    assert any("dcdh is the method for that" in text for text in design.warnings)
    with pytest.raises(NotIdentifiedError, match=r"untreated again after its start, for example c02.*dcdh"):
        ea.estimate(design, "callaway_santanna")
    # Years since 2002 in the five counties of that cohort, of which one is treated twice, and since 2003 in three.
    received = {2002: [1, 2, (4 * 3 + 2) / 5, (4 * 4 + 2) / 5], 2003: [1, 2, 3]}
    plain = ea.estimate(ea.diagnose(table(), **KEYS, cohort="first"), "dcdh").tidy()
    scaled = ea.estimate(design, "dcdh", effect="normalised").tidy()
    after = plain["event_time"] >= 0
    by = np.concatenate([received[2002], received[2003]])
    np.testing.assert_allclose(scaled.loc[after, "estimate"] * by, plain.loc[after, "estimate"], atol=1e-12)


def test_zeros_and_ones_as_cohort_say_how_a_cohort_comes_from_them():
    for column in (table()["treated"], table()["treated"] == 1, (table()["first"] > 0).astype(int)):
        with pytest.raises(PanelError, match=r"holds only 0 and 1.*as treated='first' instead of cohort='first'"):
            ea.diagnose(table().assign(first=column), **KEYS, cohort="first")


@pytest.mark.parametrize("dtype", TEXTS)
@pytest.mark.parametrize("code", ["0", "-1", "9999", "inf", "0.0"])
def test_a_code_for_never_is_refused_in_any_type(code, dtype):
    frame = table().astype({"year": "str"})
    frame["first"] = frame["first"].map(lambda year: code if np.isnan(year) else str(int(year))).astype(dtype)
    with pytest.raises(PanelError, match="a number stands for 'never treated'"):
        ea.diagnose(frame, **KEYS, cohort="first")


@pytest.mark.parametrize("zero", ["1970-01-01", "1899-12-30", "1900-01-01"])
def test_zero_as_a_date_is_a_code_for_never(zero):
    """What ``pd.to_datetime`` and a workbook make of 0; before, such units were always treated."""
    frame = table()
    frame["first"] = pd.to_datetime(frame["first"].map(lambda year: zero if np.isnan(year) else f"{int(year)}-01-01"))
    frame["year"] = pd.to_datetime(frame["year"].astype(str) + "-01-01")
    with pytest.raises(PanelError, match="a number stands for 'never treated'"):
        ea.diagnose(frame, **KEYS, cohort="first")


@pytest.mark.parametrize(
    "other", ["c00 ", " c00", "c00\u00a0", "ｃ００", "c00\t", "c00\u200b", "\ufeffc00", "c\u00ad00"]
)
@pytest.mark.parametrize("role", ["county", "group"])
def test_two_spellings_of_one_label_are_refused_with_both(other, role):
    frame = table().assign(group=lambda each: each["county"])
    frame.loc[frame["county"] == "c01", "group"] = other
    if role == "county":
        frame.loc[:2, "county"] = other
    with pytest.raises(PanelError, match="1 label in more than one spelling") as caught:
        ea.diagnose(frame, **KEYS, cohort="first", cluster="group" if role == "group" else None)
    assert repr("c00") in str(caught.value)
    assert repr(other) in str(caught.value)


def test_accents_in_two_parts_and_numbers_as_text_are_spellings():
    frame = table().astype({"county": object})
    composed = "Évreux"
    frame.loc[frame.index[:6], "county"] = [composed] * 3 + [unicodedata.normalize("NFD", composed)] * 3
    with pytest.raises(PanelError, match="more than one spelling"):
        ea.diagnose(frame, **KEYS, cohort="first")
    frame.loc[frame.index[:6], "county"] = pd.Series([1, 1, 1, "1", "1", "1"], dtype=object).to_numpy()
    with pytest.raises(PanelError, match=r"1 and '1'"):
        ea.diagnose(frame, **KEYS, cohort="first")
    frame.loc[frame.index[:6], "county"] = pd.Series(["1", "1", "1", "1.0", "1.0", "1.0"], dtype=object).to_numpy()
    with pytest.raises(PanelError, match=r"'1' and '1\.0'"):
        ea.diagnose(frame, **KEYS, cohort="first")


def test_large_identifiers_stay_what_they_are():
    codes = np.repeat(np.arange(20, dtype=np.uint64) + np.uint64(2**63), 6)
    design = ea.diagnose(table().assign(county=codes), **KEYS, cohort="first")
    assert design.matrices.units.min() == 2**63
    assert overall(design) == overall(ea.diagnose(table(), **KEYS, cohort="first"))


def test_a_moment_of_another_time_of_day_is_no_day():
    frame = table()
    local = pd.to_datetime(frame["year"].astype(str) + "-01-01").dt.tz_localize("Asia/Shanghai")
    first = pd.to_datetime(frame["first"].map(lambda year: None if np.isnan(year) else f"{int(year)}-01-01"))
    kept = ea.diagnose(frame.assign(year=local, first=first), **KEYS, cohort="first")
    assert kept.matrices.periods.tolist() == list(range(2000, 2006))
    with pytest.raises(PanelError, match="a moment with a time of day is no day"):
        ea.diagnose(frame.assign(year=local.dt.tz_convert("UTC"), first=first), **KEYS, cohort="first")


def test_fiscal_years_are_years():
    frame = table()
    fiscal = lambda year: None if np.isnan(year) else f"{int(year)}-{int(year + 1) % 100:02d}"
    design = ea.diagnose(
        frame.assign(year=frame["year"].map(fiscal), first=frame["first"].map(fiscal)), **KEYS, cohort="first"
    )
    assert design.matrices.period_kind == "year"
    assert design.matrices.periods.tolist() == list(range(2000, 2006))
    assert any("fiscal years" in note for note in design.notes)
    assert overall(design) == overall(ea.diagnose(frame, **KEYS, cohort="first"))


@pytest.mark.parametrize("kind", ["pyarrow", "duckdb", "ibis", "stream", "interchange"])
def test_any_data_frame_gives_the_same_design(kind):
    frame = table().assign(county=lambda each: each["county"].str.replace("c", "0"))

    class Stream:
        """Only what the Arrow protocol asks for."""

        def __arrow_c_stream__(self, requested_schema=None):
            return pa.Table.from_pandas(frame).__arrow_c_stream__(requested_schema)

    class Interchange:
        """Only what the interchange protocol asks for."""

        def __dataframe__(self, *args, **kwargs):
            return pa.Table.from_pandas(frame).__dataframe__(*args, **kwargs)

    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    given_as = {
        "pyarrow": lambda: arrow,
        "duckdb": lambda: duckdb.from_arrow(arrow),
        "ibis": lambda: ibis.memtable(frame),
        "stream": Stream,
        "interchange": Interchange,
    }[kind]()
    design = ea.diagnose(given_as, **KEYS, cohort="first")
    assert design.matrices.units[0] == "000"  # text codes stay text
    assert overall(design) == overall(ea.diagnose(frame, **KEYS, cohort="first"))
    assert design.panel.content_hash == ea.read_panel(frame, "county", "year", "share").content_hash


def test_whole_numbers_with_gaps_stay_whole():
    codes = pa.table({"code": pa.array([2**60 + 1, None], pa.int64()), "text": ["01", None]})
    frame = as_frame(codes)
    assert frame["code"].iloc[0] == 2**60 + 1
    assert frame["text"].iloc[0] == "01"


def test_one_column_is_no_table():
    with pytest.raises(PanelError, match="Found a Series; expected a data frame"):
        ea.diagnose(table()["share"], **KEYS, treated="treated")


def test_what_is_no_table_is_refused():
    with pytest.raises(PanelError, match="Found a dict; expected a data frame"):
        ea.diagnose({"county": []}, **KEYS, cohort="first")


def test_covariates_may_bear_the_names_of_roles():
    frame = table().assign(
        x=lambda each: np.sin(each["share"].groupby(each["county"]).transform("first") * 9), size=2.0
    )
    wanted = overall(ea.diagnose(frame, **KEYS, cohort="first", covariates=["x"]))
    for name in ("weight", "cluster", "outcome", "unit", "period", "inside", "total", "treated", "cohort"):
        named = ea.diagnose(
            frame.rename(columns={"treated": "d"}).rename(columns={"x": name}),
            **KEYS,
            cohort="first",
            covariates=[name],
        )
        assert named.matrices.weight is None
        assert overall(named) == wanted
    own_keys = ("path: treated", "path: baseline", "partly treated", "stratum: code", "exposure: part of the period", 7)
    for name in own_keys:  # what the package calls its own columns, and a number
        named = ea.diagnose(frame.rename(columns={"x": name}), **KEYS, cohort="first", covariates=[name])
        assert overall(named) == wanted
        ea.estimate(named, "twfe")
        ea.estimate(named, "dcdh")
    both = ea.diagnose(
        frame.rename(columns={"x": "weight"}), **KEYS, cohort="first", covariates=["weight"], weight="size"
    )
    assert (both.matrices.weight == 2).all()
    np.testing.assert_allclose(overall(both), wanted, rtol=1e-12)


def test_what_a_notebook_shows_is_short_and_in_percentage_points():
    design = ea.diagnose(table(60, 30), **KEYS, cohort="first")
    effects = ea.estimate(design, "callaway_santanna")
    assert len(repr(effects)) < 2000
    assert "estimate, pp" in repr(effects)
    event = effects.aggregate("event_time").select(event_time=0)
    assert f"{100 * event.value[0]:.4g}" in event._repr_html_()
    assert "baseline mean, %" in design._repr_html_()
    assert len(repr(design)) < 200
