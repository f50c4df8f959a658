"""Treatment paths in panels with gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalaid as ea
from evalaid.base.errors import EstimationError


def panel():
    rng = np.random.default_rng(0)
    start = np.array([2003.0, 2004.0, np.nan])[np.arange(24) % 3]
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(24), 6),
            "year": np.tile(np.arange(2000, 2006), 24),
            "first": np.repeat(start, 6),
            "y": rng.normal(size=144),
        }
    )
    frame["on"] = (frame["year"] >= frame["first"]).astype(float)
    return frame.sample(frac=0.95, random_state=2)


def test_treatment_that_stays_is_compared_among_units_seen_twice():
    frame = panel()
    design = ea.diagnose(frame, "unit", "year", "y", "first")
    found = ea.estimate(design, "dcdh").tidy()
    wide, start = frame.pivot_table(index="unit", columns="year", values="y"), frame.groupby("unit")["first"].first()
    for row in found[found["event_time"] >= 0].itertuples():
        change = (wide[row.period] - wide[row.cohort - 1]).dropna()
        when = start.reindex(change.index)
        by_hand = change[when == row.cohort].mean() - change[when.isna() | (when > row.period)].mean()
        np.testing.assert_allclose(row.estimate, by_hand, rtol=1e-12)


def test_a_path_that_is_not_seen_throughout_is_refused():
    design = ea.diagnose(panel(), "unit", "year", "y", "first", covariates=["on"])
    with pytest.raises(EstimationError, match="what a unit received in a period that is not observed is not known"):
        ea.estimate(design, "dcdh", path="on", effect="normalised")
