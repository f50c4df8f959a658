"""Bounds follow from what is assumed, and from nothing else."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import evalaid as ea
from evalaid.base.errors import EstimationError
from evalaid.base.rounding import Figure
from evalaid.did.sensitivity.bounds.bounds import bound_effect

share = st.floats(0, 100)
size = st.floats(0, 20)


def interval(bounds, assumption, m):
    row = bounds.frame[(bounds.frame["assumption"] == assumption) & (bounds.frame["m"] == m)].iloc[0]
    return row["lower"], row["upper"]


def test_the_cases_computed_by_hand():
    bounds = bound_effect(82.2, 86.9, comparison=(80.0, 81.0), trend=1.1, m=[0, 1], periods=2, floor=0, ceiling=100)
    for assumption, m, expected in (
        ("time_variation", 0, (4.7, 4.7)),
        ("time_variation", 1, (2.7, 6.7)),
        ("trend_continued", 0, (2.5, 2.5)),
        ("trend_continued", 1, (0.5, 4.5)),
        ("difference_variation", 0, (3.7, 3.7)),
        ("difference_variation", 1, (1.7, 5.7)),
        ("time_and_difference", 1, (2.7, 5.7)),
    ):
        assert interval(bounds, assumption, m) == pytest.approx(expected), (assumption, m)
    logical = bounds.frame[bounds.frame["assumption"] == "logical"].iloc[0]
    assert (logical["lower"], logical["upper"]) == pytest.approx((-13.1, 86.9))


def test_assumptions_that_exclude_each_other_are_a_result_with_a_reason():
    bounds = bound_effect(70, 80, comparison=5.0, m=0.5)
    row = bounds.frame.set_index("assumption").loc["time_and_difference"]
    assert (row["sign"], row["note"]) == ("contradiction", "the comparison itself changed by more than this M allows")
    assert np.isnan(row["lower"])


def test_nothing_without_the_programme_can_be_above_the_ceiling():
    bounds = bound_effect(98, 97, m=5, ceiling=100)
    assert interval(bounds, "time_variation", 5) == pytest.approx((-3, 4))  # without the ceiling: -6 to 4
    assert "the ceiling binds" in bounds.frame["note"].tolist()


def test_rounding_is_carried_and_a_published_change_narrows_it():
    before, after = Figure.rounded(82.2, 1), Figure.rounded(86.9, 1)
    assert interval(bound_effect(before, after), "time_variation", 0) == pytest.approx((4.6, 4.8))
    known = bound_effect(before, after, change=Figure.rounded(4.7, 1))
    assert interval(known, "time_variation", 0) == pytest.approx((4.65, 4.75))
    with pytest.raises(EstimationError, match="contradict each other; check the figures"):
        bound_effect(before, after, change=Figure.rounded(6.0, 1))


def test_the_breakdown_is_where_the_interval_meets_zero():
    bounds = bound_effect(82.2, 86.9, comparison=1.0, trend=1.1, periods=2)
    found = bounds.breakdown.set_index("key")["value"]
    expected = {"counterfactual_change": 4.7, "per_period": 2.35, "time_variation": 2.35, "trend_continued": 1.25,
                "trend_multiple": 4.7 / 2.2, "difference_variation": 1.85}  # fmt: skip
    assert found.to_dict() == pytest.approx(expected)
    for assumption in ("time_variation", "trend_continued", "difference_variation"):
        at = bound_effect(82.2, 86.9, comparison=1.0, trend=1.1, periods=2, m=found[assumption])
        assert interval(at, assumption, found[assumption])[0] == pytest.approx(0, abs=1e-9)


@given(share, share, st.floats(-5, 5), st.floats(-10, 10), size, st.integers(1, 5))
def test_bounds_contain_the_point_identified_case_and_widen_with_m(before, after, trend, comparison, m, periods):
    at = bound_effect(before, after, trend=trend, comparison=comparison, m=[0, m, m + 1], periods=periods)
    points = {"time_variation": after - before, "trend_continued": after - before - periods * trend,
              "difference_variation": after - before - comparison}  # fmt: skip
    for assumption, point in points.items():
        narrow, wide = interval(at, assumption, m), interval(at, assumption, m + 1)
        assert narrow[0] - 1e-9 <= point <= narrow[1] + 1e-9
        assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]
    both = interval(at, "time_and_difference", m)
    if not np.isnan(both[0]):
        for other in ("time_variation", "difference_variation"):
            assert interval(at, other, m)[0] <= both[0] <= both[1] <= interval(at, other, m)[1]


@given(share, share, st.floats(0, 0.5), st.floats(0, 0.5))
def test_rounding_never_narrows(before, after, wide_a, wide_b):
    exact = bound_effect(before, after, m=1, floor=0, ceiling=100)
    loose = bound_effect(
        Figure(before, before - wide_a, before + wide_a), Figure(after, after - wide_b, after + wide_b),
        m=1, floor=0, ceiling=100,
    )  # fmt: skip
    one, other = interval(exact, "time_variation", 1), interval(loose, "time_variation", 1)
    assert other[0] <= one[0] + 1e-9
    assert other[1] >= one[1] - 1e-9


@pytest.fixture
def design():
    """Two treated units rise by 4, the comparison by 1; the treated rose by 1 a year before."""
    table = pd.DataFrame({
        "unit": np.repeat(["a", "b", "c"], 4),
        "year": [2018, 2019, 2020, 2021] * 3,
        "share_pct": [10, 11, 15, 16, 20, 21, 25, 26, 30, 30, 31, 31],
        "start": np.repeat([2020, 2020, np.nan], 4),
    })  # fmt: skip
    return ea.diagnose(table, "unit", "year", "share_pct", "start", outcome_unit="percent")


def test_a_design_brings_its_own_figures(design):
    bounds = bound_effect(design, m=[0, 0.01], trend="before").scaled(100, "pp")
    cell = bounds.frame[(bounds.frame["cohort"] == "2020") & (bounds.frame["period"] == "2020")]
    at_zero = cell[cell["m"] == 0].set_index("assumption")["lower"]
    assert at_zero[["time_variation", "trend_continued", "difference_variation"]].tolist() == pytest.approx([4, 3, 3])
    later = bounds.frame[bounds.frame["key"] == "2020.2021.time_variation.m_1"]
    assert later.empty  # M is held in the unit of the outcome: 0.01 of a fraction
    later = bounds.frame[bounds.frame["key"] == "2020.2021.time_variation.m_0_01"].iloc[0]
    assert (later["m"], later["lower"], later["upper"]) == pytest.approx((1, 3, 7))  # two years of one point each
    assert set(bounds.frame["unit"]) == {"pp"}


def test_the_average_over_cells_is_the_difference_in_differences_when_m_is_zero(design):
    frame = bound_effect(design).frame.set_index("key")
    estimate = ea.estimate(design, "callaway_santanna").aggregate("overall").value[0]
    row = frame.loc["all.difference_variation.m_0"]
    assert (row["lower"], row["upper"]) == pytest.approx((estimate, estimate))


def test_a_design_without_any_comparison_is_still_bounded_over_time(design):
    bounds = bound_effect(design.subset(design.matrices.units != "c"), m=0.01)
    assert set(bounds.frame["assumption"]) == {"logical", "time_variation"}
    assert bounds.frame["note"].str.contains("no unit is untreated in this period: no comparison").any()


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"source": 1.0}, "Found no change; expected the outcome before and after"),
        ({"source": 1.0, "after": 2.0, "m": -1}, "0 or above"),
        ({"source": 1.0, "after": 2.0, "m": []}, "one or more finite numbers"),
        ({"source": 1.0, "after": 2.0, "periods": 0}, "above 0"),
        ({"source": 1.0, "after": 2.0, "trend": "before"}, "published figures need a number"),
    ],
)
def test_refusals_say_what_was_found_and_what_was_expected(arguments, fault):
    with pytest.raises(EstimationError, match=fault):
        bound_effect(**arguments)


def test_a_design_takes_no_published_figures(design):
    with pytest.raises(EstimationError, match="A design brings its own figures"):
        bound_effect(design, 86.9)


def test_the_average_effect_has_a_breakdown_of_its_own(design):
    """Changes of 5 after one year and 6 after two, comparison 1 and 1, trend 1 a year: averages over both."""
    breakdown = bound_effect(design, trend="before").scaled(100, "pp").breakdown.set_index("key")
    expected = {
        "all.counterfactual_change": 4.5, "all.per_period": 3.0, "all.time_variation": 3.0,
        "all.trend_continued": 2.0, "all.trend_multiple": 3.0, "all.difference_variation": 7 / 3,
    }  # fmt: skip
    assert breakdown.loc[list(expected), "value"].to_dict() == pytest.approx(expected)
    for assumption in ("time_variation", "difference_variation", "trend_continued"):
        at = bound_effect(design, trend="before", m=breakdown.loc[f"all.{assumption}", "value"] / 100).frame
        row = at[(at["cohort"] == "all") & (at["assumption"] == assumption)].iloc[0]
        assert row["lower"] == pytest.approx(0, abs=1e-9)


def test_what_was_seen_before_treatment_is_computed_by_hand():
    table = pd.DataFrame({
        "unit": np.repeat(["a", "b"], 5), "year": [2015, 2016, 2018, 2019, 2020] * 2,
        "y": [1.0, 3.0, 4.0, 8.0, 9.0, 0.0, 1.0, 5.0, 5.0, 5.0], "start": np.repeat([2020, np.nan], 5),
    })  # fmt: skip
    bounds = bound_effect(ea.diagnose(table, "unit", "year", "y", "start"), m="before", trend="before")
    seen = bounds.seen.set_index("assumption")
    # a year: 2, 1/2, 4 for a; 1, 2, 0 for b
    assert seen["largest"].to_dict() == pytest.approx({
        "time_variation": 4, "difference_variation": 4, "time_and_difference": 4, "trend_continued": 4 - 6.5 / 3,
    })  # fmt: skip
    assert seen.loc["difference_variation", "mean"] == pytest.approx((1 + 1.5 + 4) / 3)
    assert seen["changes"].eq(3).all()
    frame = bounds.frame[bounds.frame["cohort"] == "all"]
    used = frame.groupby("assumption")["m"].max()
    assert used["time_variation"] == pytest.approx(4)
    assert used["trend_continued"] == pytest.approx(4 - 6.5 / 3)
    row = bounds.breakdown.set_index("key").loc["all.time_variation"]
    assert (row["value"], row["seen"], row["times_seen"]) == pytest.approx(
        (1, 4, 0.25)
    )  # it has moved four times as far
    scaled = bounds.scaled(100, "x")
    assert scaled.seen["largest"].max() == pytest.approx(400)
    assert scaled.breakdown.set_index("key").loc["all.time_variation", "times_seen"] == pytest.approx(0.25)


def test_the_past_uses_units_that_start_later_where_nobody_is_never_treated():
    table = pd.DataFrame({
        "unit": np.repeat(["a", "b"], 4), "year": [2017, 2018, 2019, 2020] * 2,
        "y": [1.0, 2.0, 9.0, 9.0, 0.0, 3.0, 3.0, 9.0], "start": np.repeat([2019.0, 2020.0], 4),
    })  # fmt: skip
    seen = bound_effect(ea.diagnose(table, "unit", "year", "y", "start")).seen.set_index(["cohort", "assumption"])[
        "largest"
    ]
    assert seen["2019", "difference_variation"] == pytest.approx(2)  # 1 against 3
    assert seen["2020", "time_variation"] == pytest.approx(3)
    assert ("2020", "trend_continued") in seen.index


def test_limits_from_the_past_need_a_past(design):
    alone = pd.DataFrame(
        {"unit": [*"aabb"], "year": [2019, 2020] * 2, "y": [1.0, 2.0, 1.0, 1.0], "start": [2020.0] * 2 + [np.nan] * 2}
    )
    late = ea.diagnose(alone, "unit", "year", "y", "start")
    assert bound_effect(late).seen.empty
    with pytest.raises(EstimationError, match="no cohort has two of them; give numbers for M"):
        bound_effect(late, m="before")
    with pytest.raises(
        EstimationError, match=r"published figures need numbers, for example 0\.5; a design also takes 'before'"
    ):
        bound_effect(1.0, 2.0, m="before")
    with pytest.raises(EstimationError, match="m='after'"):
        bound_effect(design, m="after")
    assert bound_effect(1.0, 2.0).seen.empty
