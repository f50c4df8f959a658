"""Leverage and influence of clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.panels import counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import InferenceError
from evalaid.did.effects.effects import Effects

TOLERANCE = 1e-9  # two ways to the same least-squares numbers in double precision
PANELS = {
    "balanced": ({}, {}),
    "weighted": ({}, {"weight": "weight", "covariates": ["share_65"]}),
    "unbalanced": ({"missing": 0.1}, {"covariates": ["share_65"]}),
}


def fit(panel: str, method: str = "twfe", **options) -> tuple[pd.DataFrame, dict, Effects]:
    drawn, columns = PANELS[panel]
    frame = simulate(3, n_units=24, n_periods=6, **drawn)
    return frame, columns, ea.estimate(diagnose(frame, **columns, **options), method)


@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("clustering", ["county", "prefecture"])
def test_leverage_is_that_of_a_regression_on_dummies(panel, clustering):
    frame, columns, effects = fit(panel, cluster=None if clustering == "county" else clustering)
    table = ea.leverage(effects).set_index("cluster")
    treated = (frame["quarter"] >= frame["cohort"]).astype(float)
    dummies = [pd.get_dummies(frame["county"]), pd.get_dummies(frame["quarter"]).iloc[:, 1:]]
    x = np.column_stack([treated, *(frame[name] for name in columns.get("covariates", ())), *dummies]).astype(float)
    root = np.sqrt(frame["weight"].to_numpy()) if "weight" in columns else np.ones(len(frame))
    x *= root[:, None]
    hat = np.einsum("ij,jk,ik->i", x, np.linalg.inv(x.T @ x), x)
    expected = pd.Series(hat).groupby(frame[clustering].to_numpy()).sum()
    np.testing.assert_allclose(table["leverage"].reindex(expected.index), expected, rtol=TOLERANCE)
    assert table["leverage"].sum() == pytest.approx(x.shape[1], rel=TOLERANCE)
    others = x[:, 1:]
    rest = x[:, 0] - others @ np.linalg.lstsq(others, x[:, 0], rcond=1e-10)[0]
    partial = pd.Series(rest**2 / (rest @ rest)).groupby(frame[clustering].to_numpy()).sum()
    np.testing.assert_allclose(table["partial_leverage"].reindex(partial.index), partial, rtol=TOLERANCE)
    assert table["effective_clusters"].iloc[0] == pytest.approx(1 / (partial**2).sum(), rel=TOLERANCE)


@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize(
    ("method", "cell"), [("twfe", {}), ("event_study", {"event_time": 1}), ("etwfe", {"period": 5})]
)
def test_the_change_without_a_cluster_is_that_of_estimating_without_it(panel, method, cell):
    if method == "etwfe":
        panel = "balanced"
    frame, columns, effects = fit(panel, method, cluster="prefecture")
    chosen = effects.select(**cell).select([True, *[False] * (len(effects.select(**cell)) - 1)]) if cell else effects
    table = ea.leverage(chosen).set_index("cluster")
    for prefecture, found in table["change"].items():
        rest = diagnose(frame[frame["prefecture"] != prefecture], cluster="prefecture", **columns)
        again = ea.estimate(rest, method)
        again = again.select(**cell) if cell else again
        if method == "etwfe":
            again = again.select(cohort=chosen.cells["cohort"].iloc[0])
        assert found == pytest.approx(again.value[0] - chosen.value[0], rel=1e-6, abs=1e-12)
    jackknife = np.sqrt(5 / 6 * (table["change"] ** 2).sum())
    assert jackknife == pytest.approx(ea.infer(chosen, vcov="CR3")["std_error"].iloc[0], rel=1e-6)


@pytest.mark.parametrize("method", ["twfe", "callaway_santanna", "imputation"])
def test_influence_shares_are_those_of_the_variance(method):
    effects = ea.estimate(diagnose(counties(), cluster="prefecture"), method).aggregate("overall")
    table = ea.leverage(effects)
    assert table["influence_share"].sum() == pytest.approx(1)
    assert table["influence_share"].is_monotonic_decreasing
    assert np.sqrt((table["first_order"] ** 2).sum()) == pytest.approx(
        ea.infer(effects, vcov="CR0")["std_error"].iloc[0]
    )
    assert table["n_units"].sum() == 60


def test_a_method_without_a_regression_has_influence_and_says_what_is_missing():
    table = ea.leverage(ea.estimate(diagnose(counties()), "callaway_santanna").aggregate("overall"))
    assert table[["leverage", "partial_leverage", "change", "effective_clusters"]].isna().all(axis=None)
    assert table["first_order"].notna().all()
    assert (
        table["note"]
        == "callaway_santanna carries no regression here: influence only, see evalaid.leave_out for exact changes"
    ).all()


def test_equal_clusters_are_worth_their_number():
    """Half of 20 units treated at once, balanced: every unit has the same share of the variation."""
    table = ea.leverage(ea.estimate(diagnose(simulate(4, n_units=20, cohorts=(5, None))), "twfe"))
    np.testing.assert_allclose(table["partial_leverage"], 1 / 20, rtol=TOLERANCE)
    assert table["effective_clusters"].iloc[0] == pytest.approx(20)


def test_the_only_treated_unit_carries_half_and_more_and_has_no_estimate_without_it():
    frame = simulate(5, n_units=20)
    frame = frame.assign(cohort=frame["cohort"].where(frame["county"] == "C000"))
    table = ea.leverage(ea.estimate(diagnose(frame), "twfe")).set_index("cluster")
    assert table.loc["C000", "note"] == "no estimate without this cluster"
    assert table.loc["C000", "partial_leverage"] == pytest.approx(0.95)  # 1 - 1/20: the others share one twentieth
    assert table["change"].isna().sum() == 1
    assert table["effective_clusters"].iloc[0] < 1.2


def test_another_cohort_of_one_unit_does_not_take_the_change_from_an_estimate_that_does_not_rest_on_it():
    frame = simulate(6, n_units=20, cohorts=(4, None))
    frame.loc[frame["county"] == "C000", "cohort"] = 7.0
    effects = ea.estimate(diagnose(frame), "sun_abraham")
    other = ea.leverage(effects.select(cohort=4, event_time=0))
    assert other["change"].notna().all()
    own = ea.leverage(effects.select(cohort=7, event_time=0)).set_index("cluster")
    assert own.index[own["change"].isna()].tolist() == ["C000"]


def test_one_estimate_is_chosen():
    effects = ea.estimate(diagnose(simulate(7, n_units=20)), "event_study")
    with pytest.raises(InferenceError, match=r"Leverage belongs to one estimate, and there are 10. Choose one by row"):
        ea.leverage(effects)
    with pytest.raises(InferenceError, match="row=40 found; a position from 0 to 9 is expected"):
        ea.leverage(effects, row=40)
    pd.testing.assert_frame_equal(
        ea.leverage(effects, row=6), ea.leverage(effects.select(event_time=effects.cells["event_time"][6]))
    )
