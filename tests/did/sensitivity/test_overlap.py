"""Concurrent programmes, and estimates with them left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import DesignError, NotIdentifiedError
from evalaid.did.sensitivity.sample.events import read_events

ROUNDING = 1e-9
KOREA = Path(__file__).parents[3] / "data" / "korea" / "events.csv"


def yearly() -> pd.DataFrame:
    """a and b start in 2020; c and d never; flat but for a (+2), b (+4) from 2020 on, and c (-1) in 2021."""
    share = {"a": [1, 1, 3, 3], "b": [1, 1, 5, 5], "c": [2, 2, 2, 1], "d": [3, 3, 3, 3]}
    return pd.DataFrame({
        "county": np.repeat(list(share), 4), "quarter": np.tile(np.arange(2018, 2022), 4),
        "share": np.concatenate(list(share.values())).astype(float), "area": np.repeat(["x", "y", "z", "w"], 4),
        "cohort": np.repeat([2020, 2020, np.nan, np.nan], 4),
    })  # fmt: skip


def events(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["unit", "start", "end", "programme"])


def plain(frame, **options):
    return diagnose(frame, outcome_unit="number", **options)


def test_the_case_computed_by_hand():
    others = events(("b", "2020-06", None, "building"), ("c", 2021, 2021, "closure"))
    found = ea.overlap(plain(yearly()), others, "imputation")
    table = found.table.set_index("sample")
    # comparison moves by 0 in 2020 and -1/2 in 2021: (2 + 4 + 2.5 + 4.5) / 4
    assert table.loc["all units", "estimate"] == pytest.approx(3.25)
    assert table.loc["without overlapping units", "estimate"] == pytest.approx(2)  # a against d
    assert table.loc["without units of building", "estimate"] == pytest.approx((2 + 2.5) / 2)
    assert table.loc["without units of closure", "estimate"] == pytest.approx(3)
    assert table.loc["without overlapping periods", "estimate"] == pytest.approx(
        2
    )  # b only before 2020, c without 2021
    assert table["change"].tolist()[1:] == pytest.approx((table["estimate"] - 3.25).tolist()[1:])
    assert "1 treated and 1 never-treated units left out" in table.loc["without overlapping units", "note"]
    assert "3 of 16 observations left out" in table.loc["without overlapping periods", "note"]
    assert found.free["n_free"].tolist() == [1, 1]
    counts = found.counts.set_index(["programme", "label", "period"])["n_overlapping"]
    assert counts["any", "2020"].tolist() == [0, 0, 1, 1]
    assert counts["any", "never treated"].tolist() == [0, 0, 0, 1]
    assert counts["closure", "2020"].sum() == 0
    assert found.text().startswith("2020: 1 of 2 units are free of overlap. never treated: 1 of 2 units")
    assert "Without overlapping units: 2 (" in found.text()
    programmes = found.programmes.set_index("programme")
    assert programmes.loc["building", ["first", "last"]].tolist() == ["2020", "2021"]
    assert programmes[["units_treated", "units_never", "changes_within"]].to_numpy().tolist() == [[1, 0, 1], [0, 1, 1]]


def test_the_estimate_without_units_is_the_estimate_on_the_others():
    frame = simulate(41, n_units=60)
    others = events(*((f"C{i:03d}", 3, 5, "reform") for i in range(0, 60, 7)))
    found = ea.overlap(diagnose(frame), others, "callaway_santanna").table.set_index("sample")
    kept = frame[~frame["county"].isin(others["unit"])]
    again = ea.infer(ea.estimate(diagnose(kept), "callaway_santanna").aggregate("overall")).iloc[0]
    for column in ("estimate", "std_error", "conf_low"):
        assert found.loc["without overlapping units", column] == pytest.approx(again[column], abs=ROUNDING)
    assert found.loc["without overlapping units", "change_std_error"] > 0
    hidden = frame[~(frame["county"].isin(others["unit"]) & frame["quarter"].between(3, 5))]
    again = ea.estimate(diagnose(hidden), "callaway_santanna").aggregate("overall").value[0]
    assert found.loc["without overlapping periods", "estimate"] == pytest.approx(again, abs=ROUNDING)


def test_a_programme_that_moves_the_outcome_is_removed():
    frame = simulate(42, n_units=80, effect=0.03)
    touched = frame["county"].isin([f"C{i:03d}" for i in range(0, 80, 6)]) & frame["cohort"].notna()
    frame.loc[touched & (frame["quarter"] >= 5), "share"] += 0.1
    others = events(*((unit, 5, None, "payment reform") for unit in frame.loc[touched, "county"].unique()))
    table = ea.overlap(diagnose(frame), others, "imputation").table.set_index("sample")
    assert table.loc["all units", "estimate"] > 0.04
    for sample in ("without overlapping units", "without overlapping periods"):
        assert table.loc[sample, "estimate"] == pytest.approx(0.03, abs=4 * table.loc[sample, "std_error"])
        assert table.loc[sample, "change"] < -2 * table.loc[sample, "change_std_error"]


def test_what_runs_throughout_or_reaches_everybody_is_no_overlap():
    others = events(("b", None, None, "old reform"), (None, 2020, None, "strike"), ("c", 2030, None, "later"))
    found = ea.overlap(plain(yearly()), others, "two_by_two")
    notes = found.programmes.set_index("programme")["note"]
    assert notes["old reform"] == "runs throughout wherever it runs: it cancels in differences over time"
    assert notes["strike"].startswith("reaches every unit at once: it cannot be told from the period")
    assert notes["later"] == "does not run within the panel"
    rows = found.table.set_index("sample")["note"]
    assert rows["without overlapping units"] == "no unit overlaps: nothing to leave out"
    assert rows["without overlapping periods"] == "no period overlaps: nothing to leave out"
    assert rows["without units of strike"] == notes["strike"]


def test_nothing_left_is_a_result_with_a_reason():
    everyone = events(("a", 2020, None, "reform"), ("b", 2021, None, "reform"))
    row = ea.overlap(plain(yearly()), everyone, "two_by_two").table.set_index("sample").loc["without overlapping units"]
    assert np.isnan(row["estimate"])
    assert row["note"].endswith("every treated unit overlaps: nobody is left to be evaluated")
    nobody = events(("c", 2020, None, "reform"), ("d", 2021, None, "reform"))
    table = ea.overlap(plain(yearly()), nobody, "callaway_santanna").table.set_index("sample")
    assert np.isnan(table.loc["without overlapping units", "estimate"])
    assert "never-treated" in table.loc["without overlapping units", "note"]


def test_events_may_name_clusters():
    by_area = ea.overlap(plain(yearly(), cluster="area"), events(("y", 2020, None, "building")), "two_by_two")
    by_unit = ea.overlap(plain(yearly(), cluster="area"), events(("b", 2020, None, "building")), "two_by_two")
    pd.testing.assert_frame_equal(by_area.table, by_unit.table)
    assert (by_area.notes, by_unit.notes) == (("events name clusters",), ("events name units",))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2019-12-31", "2020-01-01", [0, 1, 1, 0]),
        ("2019", "2019", [0, 1, 0, 0]),
        (2019, None, [0, 1, 1, 1]),
        (None, "2019-02", [1, 1, 0, 0]),
        (pd.Timestamp("2020-05-04"), pd.Timestamp("2020-06-04"), [0, 0, 1, 0]),
        ("2010", "2012", [0, 0, 0, 0]),
        ("2025", None, [0, 0, 0, 0]),
    ],
)
def test_a_period_counts_when_a_day_of_it_is_touched(start, end, expected):
    matrices = plain(yearly()).matrices
    found = read_events(events(("a", start, end, "p")), matrices).running["p"]
    assert found[list(matrices.units).index("a")].astype(int).tolist() == expected
    assert found.sum() == sum(expected)


def test_quarters_are_read_from_quarters_months_and_days():
    frame = yearly().assign(quarter=np.tile(["2019Q3", "2019Q4", "2020Q1", "2020Q2"], 4))
    frame["cohort"] = frame["cohort"].map({2020.0: "2020Q1"})
    matrices = plain(frame).matrices
    rows = events(("a", "2019Q4", "2020Q1", "p"), ("b", "2019-11", "2020-01-15", "p"))
    assert read_events(rows, matrices).running["p"][:2].astype(int).tolist() == [[0, 1, 1, 0], [0, 1, 1, 0]]


def test_order_and_doubles_change_nothing_and_the_frames_are_left_alone():
    frame, others = simulate(43), events(("C001", 2, 4, "a"), ("C004", 3, 9, "b"), ("C002", 5, None, "a"))
    before, events_before = frame.copy(deep=True), others.copy(deep=True)
    one = ea.overlap(diagnose(frame), others, "twfe").table
    doubled = pd.concat([others, others]).sort_values("unit", ascending=True)
    two = ea.overlap(diagnose(frame.sample(frac=1, random_state=1)), doubled, "twfe").table
    pd.testing.assert_frame_equal(one.set_index("sample").sort_index(), two.set_index("sample").sort_index())
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(others, events_before)


def test_the_published_events_of_korea_are_read():
    from evalaid.study.sample import load_design
    from evalaid.study.spec import StudySpec

    design = load_design(StudySpec(study="korea_responsible_hospitals"))
    table = pd.read_csv(KOREA, dtype=str)
    table = table.assign(care_area=table["care_area"].str.split(";")).explode("care_area")
    table["care_area"] = table["care_area"].where(table["care_area"] != "all")
    table = table.rename(columns={"care_area": "unit", "date": "start", "kind": "programme"})
    found = ea.overlap(design, table, "callaway_santanna")
    rows = found.table.set_index("sample")
    assert "36 treated and 4 never-treated units left out" in rows.loc["without units of covid_dedicated", "note"]
    assert rows.loc["without units of strike", "note"].startswith("reaches every unit at once")
    assert abs(rows.loc["without units of covid_dedicated", "change"]) < 0.02
    assert found.free["n_free"].sum() < design.n_units


def test_all_faults_of_the_events_are_named_with_their_rows():
    bad = events(("a", "soon", None, "p"), ("b", 2021, 2019, "p"), ("b", 2020, None, None), ("c", 2019, None, "p"))
    with pytest.raises(DesignError) as caught:
        ea.overlap(plain(yearly()), bad, "two_by_two")
    for text in (
        "1 date in 'start' cannot be read, for example 'soon'",
        "1 event ends before it starts",
        "1 event has no programme",
    ):
        assert text in str(caught.value)
    assert caught.value.rows.index.tolist() == [0, 1, 2]
    with pytest.raises(DesignError, match="no unit or cluster of the design is named; the table names for example 'q'"):
        ea.overlap(plain(yearly()), events(("q", 2019, None, "p")), "two_by_two")
    with pytest.raises(DesignError, match="has no column 'end', 'programme'; its columns are 'unit', 'start'"):
        ea.overlap(plain(yearly()), bad[["unit", "start"]], "two_by_two")
    treated = yearly().query("cohort == 2020")
    with pytest.raises(NotIdentifiedError):
        ea.overlap(plain(treated), events(("a", 2020, None, "p")), "callaway_santanna")
