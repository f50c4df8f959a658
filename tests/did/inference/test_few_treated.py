"""One or few treated units held against the residuals of comparison units."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import InferenceError


def two_periods(changes, treated, sizes=None) -> pd.DataFrame:
    """Units seen in 2019 and 2020 whose outcome changes by the given numbers; the first ones are treated."""
    count = len(changes)
    level = np.cos(np.arange(count))
    return pd.DataFrame({
        "county": np.repeat([f"u{i:02d}" for i in range(count)], 2), "year": [2019, 2020] * count,
        "y": np.column_stack([level, level + changes]).ravel(),
        "cohort": np.repeat(np.where(np.arange(count) < treated, 2020.0, np.nan), 2),
        "beds": np.repeat(np.ones(count) if sizes is None else sizes, 2),
    })  # fmt: skip


def look(frame, **options) -> ea.Design:
    return ea.diagnose(frame, "county", "year", "y", "cohort", outcome_unit="number", **options)


COMPARISON = [0.3, -0.1, 0.8, -0.6, -0.9, 0.5, 0.2, -0.2, 0.0]


def test_sizes_that_a_kind_does_not_use_are_refused():
    frame = two_periods([1.0, *COMPARISON], 1, sizes=np.arange(1.0, 11.0))
    with pytest.raises(InferenceError, match="kind='conley_taber' uses no sizes"):
        ea.few_treated(look(frame), kind="conley_taber", size="beds", level=0.5)


def test_one_treated_unit_by_hand():
    row = ea.few_treated(look(two_periods([1.2, *COMPARISON], 1)), level=0.8).iloc[0]
    errors = np.abs(np.array(COMPARISON) - np.mean(COMPARISON)) * np.sqrt(10 / 8)
    assert row["estimate"] == pytest.approx(1.2 - np.mean(COMPARISON))
    assert row["p_value"] == pytest.approx((1 + (errors >= row["estimate"]).sum()) / 10)
    # Of ten values one may lie outside at 0.8 (two tenths, the estimate among them): the second largest error.
    assert row["conf_high"] - row["estimate"] == pytest.approx(np.sort(errors)[-2])
    assert row["estimate"] - row["conf_low"] == pytest.approx(np.sort(errors)[-2])
    assert "all 9 tuples of comparison residuals" in row["note"]


def test_two_treated_units_by_hand():
    row = ea.few_treated(look(two_periods([0.9, 0.4, *COMPARISON], 2))).iloc[0]
    residual = (np.array(COMPARISON) - np.mean(COMPARISON)) * np.sqrt(9 / 8)
    errors = np.abs([(a + b) / 2 for a, b in product(residual, residual)]) * np.sqrt(1 + 2 / 9)
    assert row["p_value"] == pytest.approx((1 + (errors >= row["estimate"] * (1 - 1e-9)).sum()) / 82)
    assert row["std_error"] == pytest.approx(np.sqrt((errors**2).mean()))


def test_the_interval_holds_what_the_test_does_not_reject():
    changes = [1.2, *np.linspace(-1, 1, 39)]
    row = ea.few_treated(look(two_periods(changes, 1))).iloc[0]
    for end, inside in ((row["conf_low"], 1e-6), (row["conf_high"], -1e-6)):
        for step, kept in ((inside, True), (-inside, False)):
            moved = look(two_periods([1.2 - end - step, *changes[1:]], 1))
            assert (ea.few_treated(moved)["p_value"].iloc[0] > 0.05) == kept


def test_units_of_one_size_are_the_case_of_equal_variance():
    design = diagnose(simulate(21, n_units=40, cohorts=(4, None, None, None)))
    one = ea.few_treated(design, "callaway_santanna", draws=199)
    other = ea.few_treated(
        design, "callaway_santanna", draws=199, kind="ferman_pinto", size=pd.Series(7.0, index=design.matrices.units)
    )
    pd.testing.assert_frame_equal(one.drop(columns="vcov"), other.drop(columns="vcov"))


def test_residuals_are_scaled_to_the_size_of_the_treated_unit_by_hand():
    sizes = np.array([16.0, *np.repeat([1.0, 4.0, 9.0, 25.0, 100.0], 4)])
    noise = np.tile([1.0, -1.0], 10) / np.sqrt(sizes[1:])
    row = ea.few_treated(look(two_periods([0.3, *noise], 1, sizes)), kind="ferman_pinto", size="beds").iloc[0]
    # All variances are 1/size, so every residual becomes +-1/4 before the two factors for few comparison units.
    residual = 0.25 * np.sqrt(20 / 19)
    own = (noise * np.sqrt(20 / 19) / 20) ** 2
    expected = residual * np.sqrt(1 + own.sum() / residual**2)
    assert row["conf_high"] - row["estimate"] == pytest.approx(expected)
    assert row["p_value"] == pytest.approx(1 / 21 if row["estimate"] > expected else 1.0)


def test_sizes_come_from_total_counts_or_weights_of_the_design():
    frame = two_periods([1.0, *np.linspace(-1, 1, 20)], 1, np.linspace(1, 5, 21))
    found = [
        ea.few_treated(design, kind="ferman_pinto", **options).drop(columns="note")
        for design, options in (
            (look(frame), {"size": "beds"}),
            (look(frame, weight="beds"), {}),
            (look(frame, total="beds"), {}),
            (look(frame), {"size": frame.groupby("county")["beds"].first()}),
        )
    ]
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0], other)
    note = ea.few_treated(look(frame, weight="beds"), kind="ferman_pinto")["note"].iloc[0]
    assert "1 treated unit is smaller or larger than every comparison unit" in note
    assert "design's weights are not used in the estimate" in note


def test_several_cohorts_and_averages():
    design = diagnose(simulate(22, n_units=30, cohorts=(4, 6, None, None, None, None)))
    table = ea.few_treated(design, "callaway_santanna", by="event_time", draws=499, base_period="universal")
    same = ea.infer(ea.estimate(design, "callaway_santanna", base_period="universal").aggregate("event_time"))
    assert list(table) == list(same)
    assert table["estimate"].to_numpy() == pytest.approx(same["estimate"].to_numpy())
    base = table["event_time"] == -1
    assert table.loc[base, "note"].iloc[0] == "base period: zero by construction"
    assert table.loc[base, "p_value"].isna().all()
    assert table.loc[~base, "p_value"].notna().all()


def test_nothing_depends_on_row_order_or_level_and_draws_are_seeded():
    frame = simulate(23, n_units=24, cohorts=(4, None, None, None))
    first = ea.few_treated(diagnose(frame), draws=499)
    shuffled = ea.few_treated(diagnose(frame.sample(frac=1, random_state=1)), draws=499)
    pd.testing.assert_frame_equal(first, shuffled)
    moved = frame.assign(share=frame["share"] * 50 + 3)
    points = ea.few_treated(diagnose(moved, outcome_unit="number"), draws=499)
    assert points["conf_low"].iloc[0] == pytest.approx(50 * first["conf_low"].iloc[0])
    assert points["p_value"].iloc[0] == first["p_value"].iloc[0]


def reject(rng, count, treated, *, treated_size, falling, kinds, runs, level=0.9):
    """Share of simulated panels without an effect that each kind rejects; errors are correlated over time."""
    rejected = dict.fromkeys(kinds, 0)
    unit, quarter = (grid.ravel() for grid in np.mgrid[:count, :6])
    for _ in range(runs):
        sizes = rng.uniform(1, 20, count)
        sizes[:treated] = treated_size
        noise = rng.normal(size=(count, 6))
        noise[:, 1:] += 0.5 * noise[:, :-1]
        noise = noise / np.sqrt(sizes)[:, None] if falling else noise
        frame = pd.DataFrame({
            "unit": unit, "quarter": quarter, "y": noise.ravel(), "size": sizes[unit],
            "cohort": np.where(unit < treated, 4.0, np.nan),
        })  # fmt: skip
        design = ea.diagnose(frame, "unit", "quarter", "y", "cohort", outcome_unit="number")
        for kind in kinds:
            size = {"size": "size"} if kind == "ferman_pinto" else {}
            found = ea.few_treated(design, "two_by_two", kind=kind, draws=999, level=level, **size)
            rejected[kind] += bool(found["p_value"].iloc[0] <= 1 - level)
    return {kind: number / runs for kind, number in rejected.items()}


def test_a_small_treated_unit_needs_its_own_variance():
    found = reject(
        np.random.default_rng(31),
        40,
        1,
        treated_size=1.0,
        falling=True,
        kinds=("conley_taber", "ferman_pinto"),
        runs=60,
    )
    assert found["conley_taber"] > 0.25
    assert found["ferman_pinto"] < 0.1 + 4 * np.sqrt(0.09 / 60)


@pytest.mark.slow
@pytest.mark.parametrize("treated", [1, 2, 3])
@pytest.mark.parametrize("count", [20, 40])
def test_the_size_of_both_kinds(count, treated):
    rng, runs = np.random.default_rng(count + treated), 200
    kinds = ("conley_taber", "ferman_pinto")
    # Residuals of 17 to 39 units stand in for a distribution: size is near its level, not at it (seen: 0.06 to 0.15).
    near = 0.05 + 4 * np.sqrt(0.09 / runs)
    equal = reject(rng, count, treated, treated_size=8.0, falling=False, kinds=kinds, runs=runs)
    assert equal["conley_taber"] == pytest.approx(0.1, abs=near)
    assert equal["ferman_pinto"] == pytest.approx(0.1, abs=near)
    small, large = (
        reject(rng, count, treated, treated_size=size, falling=True, kinds=kinds, runs=runs) for size in (2.0, 20.0)
    )
    assert small["conley_taber"] > 0.17  # seen: 0.21 to 0.4
    assert large["conley_taber"] < 0.06
    assert small["ferman_pinto"] == pytest.approx(0.1, abs=near + (0.05 if count == 20 else 0.0))
    assert large["ferman_pinto"] == pytest.approx(0.1, abs=near)


FAULTS = [
    ({"kind": "wild"}, "kind='wild' is not a choice; choose conley_taber or ferman_pinto."),
    ({"level": 2}, "level=2 found; a coverage between 0 and 1 is expected"),
    ({"draws": -1}, "draws=-1 found; a positive number of draws is expected"),
    ({"seed": -1}, "seed=-1 found; an integer that is not negative"),
    ({"level": 0.95}, "9 never-treated units allow 9 draws: the smallest reachable p-value is 0.1"),
    ({"method": "efficient"}, "efficient is not a linear contrast of cohort paths on this panel"),
    ({"kind": "ferman_pinto"}, "the design names neither total counts nor weights. Give size=..."),
    ({"kind": "ferman_pinto", "size": "nurses"}, "size='nurses': the table has no such column"),
    (
        {"kind": "ferman_pinto", "size": "zero"},
        "size: 10 units have a size that is no positive number, for example u00",
    ),
]


@pytest.mark.parametrize(("options", "text"), FAULTS)
def test_impossible_tests_are_refused(options, text):
    design = look(two_periods([1.2, *COMPARISON], 1).assign(zero=0.0))
    with pytest.raises(InferenceError) as caught:
        ea.few_treated(design, **{"level": 0.8, **options})
    assert text in str(caught.value)


def test_all_that_rules_a_design_out_is_named_at_once():
    frame = simulate(24, n_units=8, cohorts=(4, 6), missing=0.1)
    with pytest.raises(InferenceError) as caught:
        ea.few_treated(diagnose(frame, cluster="prefecture"), "callaway_santanna")
    for text in ("are not observed", "2 clusters of 8 units", "there are 0 never-treated units"):
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("cohorts", "advice"), [((3,), ""), ((3, 4), "; use ea.randomize(design, method, kind='timing')")]
)
def test_without_never_treated_units_start_dates_are_permuted_only_where_they_differ(cohorts, advice):
    with pytest.raises(InferenceError) as caught:
        ea.few_treated(diagnose(simulate(5, n_units=8, n_periods=5, cohorts=cohorts)))
    assert f"there are 0 never-treated units to take residuals from{advice}" in str(caught.value)
    assert bool(advice) == ("timing" in str(caught.value))
