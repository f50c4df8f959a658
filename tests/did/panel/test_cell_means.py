"""Regressions on cell means with counts are those on persons."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import PanelError

# Sums over persons and over cells differ by rounding.
PERSONS = 1e-10


def persons(seed=6, weighted=False):
    """Draw one to nine other persons of each county and quarter."""
    rng = np.random.default_rng(seed)
    cells = simulate(seed, n_units=30)
    frame = cells.loc[np.repeat(cells.index, rng.integers(1, 10, len(cells)))].reset_index(drop=True)
    frame["stay"] = 10 * frame["share"] + rng.normal(size=len(frame))
    return frame.assign(w=rng.uniform(0.5, 2, len(frame)) if weighted else 1.0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", ["twfe", "event_study", "sun_abraham"])
def test_a_regression_on_cells_is_the_one_on_persons(method, weighted):
    frame = persons(weighted=weighted)
    event = frame["quarter"] - frame["cohort"]
    columns = {
        "twfe": lambda: [event >= 0],
        "event_study": lambda: [event == e for e in sorted(event.dropna().unique()) if e != -1],
        "sun_abraham": lambda: [
            (frame["cohort"] == g) & (frame["quarter"] == t) for g in (4, 6) for t in range(1, 9) if t != g - 1
        ],
    }[method]()
    dummies = [
        pd.get_dummies(frame[name], drop_first=name == "quarter").to_numpy(float) for name in ("county", "quarter")
    ]
    x = np.column_stack([np.array(columns, dtype=float).T, *dummies])
    dense = sm.WLS(frame["stay"].to_numpy(), x, weights=frame["w"]).fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(frame["county"])[0], "use_correction": False}
    )
    cells = ea.cell_means(frame, "county", "quarter", "stay", same=["cohort"], weight="w" if weighted else None)
    design = ea.diagnose(cells, "county", "quarter", "stay", "cohort", weight="n_rows")
    found = ea.estimate(design, method)
    found = found.select(found.cells["reason"].eq("").to_numpy())
    np.testing.assert_allclose(found.value, dense.params[: len(columns)], atol=PERSONS)
    np.testing.assert_allclose(ea.infer(found, vcov="CR0")["std_error"], dense.bse[: len(columns)], atol=PERSONS)


def test_one_person_per_cell_is_the_panel():
    frame = simulate(1)
    cells = ea.cell_means(frame, "county", "quarter", "share", same=["cohort"])
    assert (cells["n_rows"] == 1).all()
    wanted = ea.estimate(diagnose(frame), "twfe").value
    np.testing.assert_allclose(ea.estimate(diagnose(cells), "twfe").value, wanted, atol=PERSONS)


def test_faults_come_at_once():
    frame = persons()
    frame.loc[[0, 1], "stay"] = np.nan
    frame.loc[2, "county"] = None
    with pytest.raises(PanelError) as caught:
        ea.cell_means(frame, "county", "quarter", "stay", same=["w", "cohort", "stay"], weight="w")
    text = str(caught.value)
    assert "2 rows: outcome cannot be used (column 'stay')" in text
    assert "1 row: unit cannot be used (column 'county')" in text
    assert "a column of same is also the unit, the period, the outcome or the count (column 'stay')" in text


def test_a_covariate_of_persons_is_refused():
    frame = persons(weighted=True)
    with pytest.raises(PanelError, match="differs between rows of one unit and period") as caught:
        ea.cell_means(frame, "county", "quarter", "stay", same=["w"])
    assert "for example C000 in 1" in str(caught.value)


def test_the_frame_is_left_as_it_is():
    frame = persons()
    before = frame.copy()
    ea.cell_means(frame, "county", "quarter", "stay", same=["cohort"])
    pd.testing.assert_frame_equal(frame, before)
