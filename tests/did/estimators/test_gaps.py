"""Treatment paths in panels with gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalaid as ea
from evalaid.base.errors import EvalaidError


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


def sparse(seed):
    """A few units of two regions with weights, of which many periods are missing; and the columns that the design names."""
    rng = np.random.default_rng(seed)
    n_units, n_periods = int(rng.integers(4, 14)), int(rng.integers(3, 7))
    start = rng.choice([*range(2, n_periods + 1), np.nan, np.nan], n_units)
    frame = pd.DataFrame({
        "unit": np.repeat(np.arange(n_units), n_periods),
        "year": np.tile(np.arange(1, n_periods + 1), n_units),
        "first": np.repeat(start, n_periods),
        "region": np.repeat(rng.integers(0, 2, n_units), n_periods),
        "y": rng.normal(size=n_units * n_periods),
        "weight": rng.uniform(0.1, 3, n_units * n_periods),
    })  # fmt: skip
    frame = frame[rng.random(len(frame)) > rng.choice([0.1, 0.4, 0.6])]
    return frame, {"weight": "weight"} if seed % 2 else {}


def on_dummies(frame, columns, effects, weighted):
    """Coefficients of columns by least squares beside dummies; missing where the dummies and the others absorb them."""
    x = np.column_stack([columns, *(pd.get_dummies(values).to_numpy(float) for values in effects)])
    root = np.sqrt(frame["weight"].to_numpy()) if weighted else np.ones(len(frame))
    scaled = x * root[:, None]
    size = np.linalg.norm(scaled, axis=0)
    size = np.where(size > 0, size, 1.0)
    _, values, right = np.linalg.svd(scaled / size)
    null = right[(values > 1e-9 * values[0]).sum() :, : columns.shape[1]]
    found = np.linalg.lstsq(scaled / size, frame["y"] * root, rcond=1e-9)[0] / size
    known = (np.abs(null) < 1e-7).all(axis=0) & columns.any(axis=0)
    return np.where(known, found[: columns.shape[1]], np.nan)


def kept(frame, design):
    """The rows of the design, with the first period as the design has it."""
    first = pd.Series(design.matrices.cohort, index=design.matrices.units)
    frame = frame[frame["unit"].isin(first.index) & frame["year"].isin(design.matrices.periods)]
    return frame.assign(first=frame["unit"].map(first))


@pytest.mark.parametrize("seed", [421, 425, 522, 550, 595, *range(40)])
def test_treatment_that_unit_effects_absorb_has_no_coefficient(seed):
    """A unit that is observed in treated periods only says nothing, and rounding of its weights nothing either."""
    frame, columns = sparse(seed)
    try:
        design = ea.diagnose(frame, "unit", "year", "y", "first", **columns)
        found = ea.estimate(design, "twfe").value
    except EvalaidError:
        return  # refused with its reason
    frame = kept(frame, design)
    on = (frame["year"] >= frame["first"]).to_numpy(float)[:, None]
    wanted = on_dummies(frame, on, (frame["unit"], frame["year"]), columns)
    np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-9)
    if np.isnan(wanted).any() or len(design.excluded):
        return
    assert ea.twfe_weights(design).estimate == pytest.approx(wanted[0], rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("comparison", ["not_yet_treated", "never_treated"])
@pytest.mark.parametrize("seed", range(30))
def test_etwfe_within_strata_is_least_squares_on_dummies_of_cohort_and_stratum(seed, comparison):
    frame, columns = sparse(seed)
    try:
        design = ea.diagnose(frame, "unit", "year", "y", "first", stratum="region", **columns)
        effects = ea.estimate(design, "etwfe", comparison=comparison)
    except EvalaidError:
        return  # refused with its reason
    frame = kept(frame, design)
    free = ~effects.cells["reason"].str.startswith("base period").to_numpy()
    cells = effects.cells[free]
    dummies = [(frame["first"] == cell.cohort) & (frame["year"] == cell.period) for cell in cells.itertuples()]
    dummies = np.array(dummies, dtype=float).reshape(len(cells), len(frame)).T
    both = [frame[name].astype(str) + " " + frame["region"].astype(str) for name in ("first", "year")]
    np.testing.assert_allclose(effects.value[free], on_dummies(frame, dummies, both, columns), rtol=1e-7, atol=1e-9)
