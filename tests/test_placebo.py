"""Placebo tests in time and in space."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from panels import diagnose, simulate

import evalaid as ea
from evalaid.errors import DesignError


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


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "place"}, "kind='place' is not a choice; choose time or space."),
        ({"kind": "time", "shifts": (0,)}, "shifts=(0,) found; positive numbers of periods"),
        ({"kind": "space"}, "needs more never-treated units than treated ones"),
    ],
)
def test_impossible_placebos_are_refused(options, text):
    with pytest.raises(DesignError) as caught:
        ea.placebo(diagnose(simulate(57)), "callaway_santanna", **options)
    assert text in str(caught.value)
