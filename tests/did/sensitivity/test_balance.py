"""Balance of covariates and outcome history."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import DesignError, EstimationError

ROUNDING = 1e-10  # two routes to the same number in float64


def by_hand() -> pd.DataFrame:
    """Two counties start in 2021, one in 2022, two never; three years of 2019-2021 come before the second start."""
    share = {
        "a": [0.50, 0.52, 0.60, 0.61],
        "b": [0.60, 0.66, 0.70, 0.71],
        "c": [0.70, 0.70, 0.73, 0.80],
        "d": [0.80, 0.80, 0.80, 0.80],
        "e": [0.90, 0.92, 0.94, 0.96],
    }
    return pd.DataFrame({
        "county": np.repeat(list(share), 4),
        "year": np.tile(np.arange(2019, 2023), 5),
        "share": np.concatenate(list(share.values())),
        "beds": np.repeat([1.0, 3.0, 5.0, 2.0, 2.0], 4),
        "region": np.repeat(["n", "s", "s", "n", "s"], 4),
        "start": np.repeat([2021, 2021, 2022, np.nan, np.nan], 4),
    })  # fmt: skip


def design_of(frame: pd.DataFrame, **options) -> ea.Design:
    return ea.diagnose(frame, "county", "year", "share", "start", **options)


def pick(table, cohort, comparison, kind, variable=None):
    chosen = (table["cohort"] == cohort) & (table["comparison"] == comparison) & (table["kind"] == kind)
    found = table[chosen if variable is None else chosen & (table["variable"] == variable)]
    assert len(found) == 1
    return found.iloc[0]


def test_the_case_computed_by_hand():
    table = ea.balance(design_of(by_hand(), covariates=("beds",)))
    level = pick(table, 2021, "never_treated", "last level")  # 2020: treated 0.52, 0.66; never 0.80, 0.92
    assert (level["n_treated"], level["n_comparison"]) == (2, 2)
    assert (level["mean_treated"], level["mean_comparison"], level["difference"]) == pytest.approx((0.59, 0.86, -0.27))
    assert (level["sd_treated"] ** 2, level["sd_comparison"] ** 2) == pytest.approx((0.0098, 0.0072))
    assert level["normalised_difference"] == pytest.approx(-0.27 / np.sqrt(0.0085))
    assert level["variance_ratio"] == pytest.approx(0.0098 / 0.0072)
    assert level["flag"]
    trend = pick(table, 2021, "never_treated", "trend")  # 2019 to 2020: 0.02 and 0.06 against 0.00 and 0.02
    assert (trend["mean_treated"], trend["mean_comparison"]) == pytest.approx((0.04, 0.01))
    beds = pick(table, 2021, "never_treated", "covariate")
    assert beds["difference"] == pytest.approx(0, abs=ROUNDING)
    assert not beds["flag"]
    waiting = pick(table, 2021, "not_yet_treated", "last level")  # c, d and e
    assert (waiting["n_comparison"], waiting["mean_comparison"]) == (3, pytest.approx(2.42 / 3))
    single = pick(table, 2022, "never_treated", "last level")  # c alone: in standard deviations of d and e in 2021
    assert single["normalised_difference"] == pytest.approx((0.73 - 0.87) / np.std([0.80, 0.94], ddof=1))
    assert "one treated unit: in standard deviations of the comparison units" in single["note"]
    spread = pick(
        table, 2022, "never_treated", "variability"
    )  # c: 0.70, 0.70, 0.73 about its line; one degree of freedom
    assert spread["mean_treated"] == pytest.approx(np.sqrt(((np.array([0.005, -0.01, 0.005])) ** 2).sum()))
    assert spread["mean_comparison"] == pytest.approx(0, abs=1e-9)
    assert "too few observations" in pick(table, 2021, "never_treated", "variability")["note"]


def test_nobody_untreated_is_a_row_with_the_reason():
    frame = by_hand()
    table = ea.balance(design_of(frame[frame["start"].notna()]))
    reasons = table[table["kind"] == "none"].set_index(["cohort", "comparison"])["note"].to_dict()
    assert reasons == {
        (2021, "never_treated"): "no unit is never treated",
        (2022, "never_treated"): "no unit is never treated",
        (2022, "not_yet_treated"): "no other unit is untreated when this cohort starts",
    }
    assert pick(table, 2021, "not_yet_treated", "last level")["n_comparison"] == 1


def test_anticipation_moves_the_base_and_can_leave_nothing_before():
    table = ea.balance(design_of(by_hand(), anticipation=2))
    assert "the cohort has no period before it reacts" in set(table.loc[table["cohort"] == 2021, "note"])
    assert pick(table, 2022, "never_treated", "last level")["variable"] == "outcome in 2019"


def test_strata_weigh_the_comparison_to_the_treated():
    frame = by_hand()
    strata = frame.groupby("county")["region"].first()
    row = pick(ea.balance(design_of(frame), strata=strata), 2021, "never_treated", "last level")
    assert row["mean_comparison"] == pytest.approx((0.80 + 0.92) / 2)  # one treated county in each region
    alone = strata.replace({"n": "north"}).where(strata.index != "d", "elsewhere")
    row = pick(ea.balance(design_of(frame), strata=alone), 2021, "never_treated", "last level")
    assert (row["n_treated"], row["n_comparison"], row["mean_treated"]) == (1, 1, pytest.approx(0.66))
    assert "1 treated unit in strata without a comparison unit left out" in row["note"]
    one = ea.balance(design_of(frame), strata=pd.Series("x", index=strata.index))
    pd.testing.assert_frame_equal(one, ea.balance(design_of(frame)), rtol=1e-12)


def test_order_units_and_constant_weights_change_nothing():
    frame = simulate(71, missing=0.1)
    table = ea.balance(diagnose(frame, covariates=("share_65",)))
    shuffled = frame.sample(frac=1, random_state=1).assign(one=3.0)
    for other in (
        ea.balance(diagnose(shuffled, covariates=("share_65",))),
        ea.balance(diagnose(shuffled, covariates=("share_65",), weight="one")),
    ):
        pd.testing.assert_frame_equal(table, other, rtol=1e-9)
    scaled = frame.assign(share=frame["share"] * 100, share_65=frame["share_65"] * 7)
    scaled = ea.diagnose(
        scaled, "county", "quarter", "share", "cohort", covariates=("share_65",), outcome_unit="number"
    )
    same = ["normalised_difference", "variance_ratio", "flag", "n_treated", "n_comparison"]
    pd.testing.assert_frame_equal(table[same], ea.balance(scaled)[same], rtol=1e-8)


def test_the_frame_of_the_caller_is_left_alone():
    frame = simulate(72)
    before = frame.copy(deep=True)
    ea.balance(diagnose(frame))
    pd.testing.assert_frame_equal(frame, before)


def test_what_cannot_be_asked_is_refused_in_words():
    design = design_of(by_hand())
    with pytest.raises(DesignError, match=r"threshold=0 found; a positive number is expected, for example 0\.25"):
        ea.balance(design, threshold=0)
    with pytest.raises(DesignError, match="4 units have no stratum, for example b, c, d, e; pass a Series"):
        ea.balance(design, strata=pd.Series({"a": "x"}))
    with pytest.raises(EstimationError, match="unknown covariate 'beds'"):
        ea.balance(design, covariates=("beds",))
    with pytest.raises(DesignError, match="several rows for a unit, for example 'a'; give each unit one"):
        ea.balance(design, strata=pd.Series(["x", "y"], index=["a", "a"]))


def test_strata_whose_index_are_rows_are_no_strata_of_units():
    frame = by_hand()
    frame["county"] = frame["county"].map({"a": 0, "b": 1, "c": 2, "d": 3, "e": 4})
    with pytest.raises(DesignError, match="strata is not a Series by unit"):
        ea.balance(design_of(frame), strata=frame["region"])
