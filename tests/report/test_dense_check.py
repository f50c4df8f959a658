"""The independent check with statsmodels agrees with the package, and would not if the package were wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.panels import counties, diagnose, simulate

from evalaid.did.estimators.estimation import estimate as real_estimate
from evalaid.report.questions import dense_check
from evalaid.report.questions.dense_check import check_with_dummies

# Percentage points: dense least squares in double precision.
ROUNDING = 1e-8


def without_a_period(frame):
    """Drop the period before the first start: that cohort is then measured from an earlier one than the others."""
    periods = sorted(frame["quarter"].unique())
    return frame[frame["quarter"] != periods[periods.index(frame["cohort"].dropna().min()) - 1]].reset_index(drop=True)


def in_waves(frame, periods):
    """Write consecutive periods as other ones, the starts with them."""
    seen = sorted(frame["quarter"].unique())
    number = dict(zip(seen, periods[: len(seen)], strict=True))
    return frame.assign(quarter=frame["quarter"].map(number), cohort=frame["cohort"].map(number))


@pytest.mark.parametrize(
    ("frame", "options"),
    [
        (counties(), {}),
        (counties(), {"cluster": "prefecture"}),
        (counties("counties_a_unbalanced"), {"cluster": "prefecture"}),
        (without_a_period(counties()), {}),
        (simulate(5), {"weight": "weight", "covariates": ("share_65",)}),
        (in_waves(simulate(5), list(range(2000, 2016, 2))), {}),
        (in_waves(simulate(5), [2003, 2006, 2008, 2009, 2012, 2015, 2017, 2018]), {}),
    ],
    ids=[
        "balanced",
        "clustered",
        "unbalanced",
        "a period not published",
        "weighted with a covariate",
        "waves",
        "unequal waves",
    ],
)
def test_dummies_give_the_same_numbers(frame, options):
    found = check_with_dummies(diagnose(frame, **options))
    assert found["key"].tolist() == [
        f"{method}_{kind}" for method in ("twfe", "event_study") for kind in ("estimates", "errors")
    ]
    assert (found["largest_gap"] < ROUNDING).all(), found
    assert (found["cells"] > 0).all()
    assert (found["unit"] == "pp").all()


def test_a_wrong_estimate_is_seen(monkeypatch):
    def wrong(design, method):
        found = real_estimate(design, method)
        return replace(found, value=found.value + 1e-6)

    monkeypatch.setattr(dense_check, "estimate", wrong)
    found = check_with_dummies(diagnose(counties())).set_index("key")
    assert found.loc["twfe_estimates", "largest_gap"] == pytest.approx(1e-4, rel=1e-3)


def test_a_panel_too_large_for_dummies_is_checked_on_some_clusters(monkeypatch):
    monkeypatch.setattr(dense_check, "LARGEST", 20_000)
    found = check_with_dummies(diagnose(counties(), cluster="prefecture"))
    assert (found["largest_gap"] < ROUNDING).all()
    assert found["label"].str.contains(r"\(of \d+ of 12 clusters, drawn: too many units for dummies\)").all()


def test_a_design_without_these_regressions_says_why():
    frame = pd.DataFrame({
        "county": np.repeat(["a", "b"], 3), "quarter": [1, 2, 3] * 2, "share": [0.5, 0.6, 0.7, 0.5, 0.5, 0.6],
        "cohort": 2.0,
    })  # fmt: skip
    found = check_with_dummies(diagnose(frame))
    assert found["largest_gap"].isna().all()
    assert found["reason"].str.len().gt(0).all()
