"""Treatment paths in panels with gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd

import evalaid as ea


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


def test_what_is_received_is_counted_where_the_path_is_seen_since_the_start():
    """Intensity one throughout: the effect per unit received is the actual one by years so far, of units without a gap since their start."""
    frame = panel()
    design = ea.diagnose(frame, "unit", "year", "y", "first", covariates=["on"])
    found = ea.estimate(design, "dcdh", path="on", effect="normalised").tidy()
    wide, start = frame.pivot_table(index="unit", columns="year", values="y"), frame.groupby("unit")["first"].first()
    for row in found[found["event_time"] >= 0].itertuples():
        change = (wide[row.period] - wide[row.cohort - 1]).dropna()
        when = start.reindex(change.index)
        seen = wide.loc[change.index, row.cohort : row.period].notna().all(axis=1)
        treated = change[(when == row.cohort) & seen]
        gap = treated.mean() - change[when.isna() | (when > row.period)].mean()
        np.testing.assert_allclose(row.estimate, gap / (row.event_time + 1), rtol=1e-12)
        assert row.n_treated == len(treated)
