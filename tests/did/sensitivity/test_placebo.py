"""Placebo tests in time and in space."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import DesignError


@pytest.fixture(scope="module")
def single() -> pd.DataFrame:
    """One treated county with a large effect, and 19 that are never treated (simulated)."""
    frame = simulate(51, n_units=20, cohorts=(None,), effect=0.0)
    treated = frame["county"] == "C004"
    frame["cohort"] = np.where(treated, 5.0, np.nan)
    frame.loc[treated & (frame["quarter"] >= 5), "share"] += 0.2
    return frame


def test_one_treated_unit_is_held_against_every_never_treated_unit(single):
    found = ea.placebo(diagnose(single), "synthetic_control")
    assert found.exact
    assert len(found.table) == 19
    assert found.p_value == pytest.approx(1 / 20)
    assert found.actual["estimate"].iloc[0] == pytest.approx(0.2, abs=0.05)


def test_a_placebo_in_space_is_the_estimate_without_the_treated_unit(single):
    found = ea.placebo(diagnose(single), "synthetic_did").table.set_index("units")["estimate"]
    pretended = single[single["county"] != "C004"].copy()
    pretended["cohort"] = np.where(pretended["county"] == "C011", 5.0, np.nan)
    by_hand = ea.estimate(diagnose(pretended), "synthetic_did").aggregate("overall").value[0]
    assert found["C011"] == pytest.approx(by_hand, abs=1e-12)


def test_many_treated_units_are_drawn_with_a_seed():
    frame = simulate(52, n_units=30, cohorts=(5, None, None, None))
    panel = diagnose(frame)
    first, again, other = (
        ea.placebo(panel, "callaway_santanna", draws=20, seed=s).table["estimate"] for s in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("cohorts", [(6, None), (5, 7, None)])
def test_a_placebo_in_time_uses_nothing_from_treated_periods(cohorts):
    frame = simulate(53, cohorts=cohorts)
    treated = frame["quarter"] >= frame["cohort"]
    spoiled = frame.assign(share=np.where(treated, 0.0, frame["share"]))
    for method in ("callaway_santanna", "imputation"):
        found, other = (ea.placebo(diagnose(f), method, "time", shifts=(1, 2)).table for f in (frame, spoiled))
        pd.testing.assert_frame_equal(found, other)
        assert found["estimate"].notna().all()
        assert found["std_error"].gt(0).all()


def test_a_placebo_in_time_is_the_estimate_on_the_cut_panel():
    frame = simulate(54, cohorts=(6, None))
    found = ea.placebo(diagnose(frame), "two_by_two", "time", shifts=(2,)).table["estimate"].iloc[0]
    cut = frame[frame["quarter"] < 6].assign(cohort=frame["cohort"] - 2)
    assert found == pytest.approx(ea.estimate(diagnose(cut), "two_by_two").aggregate("overall").value[0], abs=1e-12)


def test_units_without_a_period_before_the_pretended_start_are_left_out_and_named():
    found = ea.placebo(diagnose(simulate(55, cohorts=(3, 6, None))), "callaway_santanna", "time", shifts=(2,)).table
    assert "left out: no period before the pretended start" in found["note"].iloc[0]


def test_a_pretended_start_that_leaves_nothing_is_a_row_with_the_reason():
    found = ea.placebo(diagnose(simulate(56, cohorts=(3, None))), "callaway_santanna", "time", shifts=(1, 2)).table
    assert found["estimate"].notna().tolist() == [True, False]
    assert "no unit starts treatment" in found["note"].iloc[1]


def test_placebos_that_fit_badly_are_reported_not_dropped(single):
    found = ea.placebo(diagnose(single), "synthetic_control")
    by_fit, table = found.by_fit.set_index("limit"), found.table
    assert by_fit.index.tolist() == [np.inf, 20.0, 5.0, 2.0]
    assert by_fit.loc[np.inf].tolist() == [19, found.p_value, found.ratio_p_value]
    for limit in (20.0, 5.0, 2.0):
        kept = table[table["fit_before"] ** 2 <= limit * found.actual["fit_before"].iloc[0] ** 2]
        larger = (kept["ratio"] >= found.actual["ratio"].iloc[0]).sum()
        assert by_fit.loc[limit, "placebos"] == len(kept)
        assert by_fit.loc[limit, "ratio_p_value"] == pytest.approx((1 + larger) / (1 + len(kept)))
    assert by_fit["placebos"].is_monotonic_decreasing
    assert by_fit.loc[2.0, "placebos"] < 19


def other_outcomes(seed: int, **options) -> pd.DataFrame:
    frame = simulate(seed, **options)
    rng = np.random.default_rng(seed)
    return frame.assign(city=0.4 + 0.02 * rng.normal(size=len(frame)), copy=100 * frame["share"] + 3, name="x")


@pytest.mark.parametrize(("missing", "weight", "cluster"), [(0.0, None, None), (0.05, "weight", "prefecture")])
def test_a_placebo_outcome_is_the_estimate_on_that_column(missing, weight, cluster):
    frame = other_outcomes(61, missing=missing)
    design = diagnose(frame, covariates=("share_65",), weight=weight, cluster=cluster)
    found = ea.placebo(design, "callaway_santanna", "outcome", outcome=("city", "log_gdp"))
    for row, column in zip(found.table.to_dict("records"), ("city", "log_gdp"), strict=True):
        swapped = frame.assign(share=frame[column])
        by_hand = diagnose(swapped, covariates=("share_65",), weight=weight, cluster=cluster, outcome_unit="number")
        expected = ea.infer(ea.estimate(by_hand, "callaway_santanna").aggregate("overall")).iloc[0]
        assert row["outcome"] == column
        assert row["estimate"] == pytest.approx(expected["estimate"], abs=1e-12)
        if column == "city":  # a column that never changes has no error
            assert row["std_error"] == pytest.approx(expected["std_error"], rel=1e-9)
    assert found.actual["outcome"].iloc[0] == "share"
    assert list(found.actual) == list(found.table)


def test_a_placebo_outcome_keeps_the_units_and_periods_of_the_design():
    frame = other_outcomes(62)
    design = diagnose(frame)
    kept = np.arange(design.n_units) % 3 > 0
    smaller = design.subset(kept)
    found = ea.placebo(smaller, "twfe", "outcome", outcome="city").table["estimate"].iloc[0]
    part = frame[frame["county"].isin(design.matrices.units[kept])].assign(share=frame["city"])
    assert found == pytest.approx(ea.estimate(diagnose(part), "twfe").value[0], abs=1e-12)


def test_a_covariate_that_becomes_the_outcome_is_no_covariate():
    design = diagnose(other_outcomes(63), covariates=("share_65",))
    found = ea.placebo(design, "twfe", "outcome", outcome="share_65", outcome_unit="number").table
    assert "share_65 is no covariate here" in found["note"].iloc[0]
    assert abs(found["estimate"].iloc[0]) > 1e-6


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (None, "A placebo in outcome needs outcome=..."),
        ("share", "'share' is the outcome itself"),
        ("copy", "'copy' is the outcome 'share' in other units"),
        ("beds", "the table has no column 'beds'; it has county"),
        ("name", "'name' is not numeric"),
    ],
)
def test_placebo_outcomes_that_are_none_are_refused(outcome, text):
    with pytest.raises(DesignError) as caught:
        ea.placebo(diagnose(other_outcomes(64)), "twfe", "outcome", outcome=outcome)
    assert text in str(caught.value)


def test_untreated_units_pretended_treated_centre_on_zero_and_reject_as_often_as_they_should():
    design = diagnose(simulate(65, n_units=60, cohorts=(4, 6, None, None, None, None), effect=0.5))
    seen = []
    found = ea.placebo(
        design,
        "callaway_santanna",
        "units",
        draws=150,
        level=0.8,
        vcov="CR1",
        progress=lambda done, total: seen.append((done, total)),
    )
    row = found.summary.iloc[0]
    # The treated units' large effect enters nowhere: the mean stays within four simulation errors of zero.
    assert abs(row["mean"]) < 4 * row["mean_error"]
    # Ten pretended cohorts of units give intervals that are somewhat short: 0.2 plus 0.05 and four binomial errors.
    assert row["rejection_rate"] == pytest.approx(0.2, abs=0.05 + 4 * row["rate_error"])
    assert row["rejection_rate"] == found.table["rejected"].mean()
    assert row["draws"] == 150
    assert "20 of 40 never-treated units pretended treated" in row["note"]
    assert found.table["n_treated"].eq(20).all()
    assert seen[-1] == (150, 150)
    again = ea.placebo(design, "callaway_santanna", "units", draws=5, level=0.8, vcov="CR1").table
    pd.testing.assert_frame_equal(again, found.table.head(5))


def test_whole_clusters_are_pretended_treated_and_a_smaller_programme_is_said():
    frame = simulate(66, n_units=48, cohorts=(4, None))
    number = frame["county"].str[1:].astype(int)
    frame["prefecture"] = "P" + (number // 8).map(str) + np.where(frame["cohort"].isna(), "n", "t")
    found = ea.placebo(diagnose(frame, cluster="prefecture"), "twfe", "units", draws=10)
    assert "3 of 6 never-treated clusters pretended treated, fewer than the 6 that are" in found.summary["note"].iloc[0]
    assert found.table["n_treated"].eq(12).all()
    assert found.table["treated_clusters"].eq(3).all()


def test_draws_without_an_interval_are_counted_out():
    found = ea.placebo(diagnose(simulate(67, n_units=12, cohorts=(4,) + (None,) * 11)), "twfe", "units", draws=5)
    assert found.summary["draws"].iloc[0] == 0
    assert "5 draws without an interval: one treated cluster" in found.summary["note"].iloc[0]
    assert found.table["rejected"].isna().all()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "place"}, "kind='place' is not a choice; choose time, space, outcome or units."),
        ({"kind": "time", "shifts": (0,)}, "shifts=(0,) found; positive numbers of periods"),
        ({"kind": "space"}, "needs more never-treated units than treated ones"),
        ({"kind": "units", "cohorts": (4, 6)}, "needs at least 4 never-treated units; the design has 0"),
        ({"kind": "units", "cohorts": (3, 4, 5, 6, None)}, "4 cohorts must be pretended among 4"),
    ],
)
def test_impossible_placebos_are_refused(options, text):
    panel = {"cohorts": options["cohorts"], "n_units": 20} if "cohorts" in options else {}
    passed = {name: value for name, value in options.items() if name != "cohorts"}
    with pytest.raises(DesignError) as caught:
        ea.placebo(diagnose(simulate(57, **panel)), "callaway_santanna", **passed)
    assert text in str(caught.value)
