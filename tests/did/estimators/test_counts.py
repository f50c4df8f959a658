"""Effects on the episodes inside and outside: relative changes, their influence, and what they say about the share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.panels import counties, simulate

import evalaid as ea
from evalaid.base.errors import EstimationError
from evalaid.did.estimators.scales import SCALES

COUNTS = ["log_inside", "log_outside"]
LINEAR = ["two_by_two", "twfe", "event_study", "callaway_santanna", "sun_abraham", "imputation", "stacked", "lp_did"]
# Arithmetic of logarithms and exponentials in double precision.
EXACT = 1e-11
KEYS = {"unit": "county", "period": "quarter", "outcome": "share", "cohort": "cohort"}


def with_counts(seed: int, **options) -> pd.DataFrame:
    """A simulated panel with whole episodes: sizes differ between units and grow."""
    frame = simulate(seed, **options)
    rng = np.random.default_rng(seed)
    size = frame["county"].map(dict(zip(frame["county"].unique(), rng.integers(2_000, 90_000, 400), strict=False)))
    total = np.round(size * (1 + 0.01 * frame["quarter"])).astype(int)
    inside = np.round(frame["share"] * total).astype(int)
    return frame.assign(n_inside=inside, n_total=total, share=inside / total)


def diagnose(frame: pd.DataFrame, **options) -> ea.Design:
    return ea.diagnose(frame, **KEYS, inside="n_inside", total="n_total", **options)


@pytest.fixture
def three() -> pd.DataFrame:
    """One treated and two comparison counties, before and after."""
    return pd.DataFrame({
        "county": ["a", "a", "b", "b", "c", "c"], "quarter": [1, 2] * 3, "cohort": [2.0, 2.0] + [np.nan] * 4,
        "n_inside": [100, 150, 400, 440, 50, 60], "n_total": [200, 250, 500, 560, 150, 150],
    }).assign(share=lambda f: f["n_inside"] / f["n_total"])  # fmt: skip


@pytest.mark.parametrize("method", ["two_by_two", "twfe", "callaway_santanna", "imputation"])
def test_three_units_by_hand(three, method):
    inside = 1.5 / np.sqrt(1.1 * 1.2) - 1  # 150/100 against the geometric mean of 440/400 and 60/50
    outside = 1.0 / np.sqrt(1.2 * 0.9) - 1
    found = [ea.estimate(diagnose(three), method, scale=scale) for scale in COUNTS]
    kept = [effects.value[effects.cells["reason"] == ""] for effects in found]
    np.testing.assert_allclose(np.concatenate(kept), [inside, outside], atol=EXACT)
    assert {effects.scale for effects in found} == {"relative"}
    assert "relative change of episodes outside" in found[1].estimand
    assert found[0].contrasts is None  # a change is no linear combination of regression coefficients


def test_a_cell_is_the_change_of_the_sum_of_episodes():
    frame = with_counts(81, cohorts=(5, None))
    effects = ea.estimate(diagnose(frame), "callaway_santanna", scale="log_inside").select(period=6)
    wide = np.log(frame.pivot_table(index="county", columns="quarter", values="n_inside"))
    treated = frame.drop_duplicates("county").set_index("county")["cohort"].notna().reindex(wide.index)
    effect = (wide[6] - wide[4])[treated].mean() - (wide[6] - wide[4])[~treated].mean()
    observed = np.exp(wide.loc[treated, 6])
    without = np.exp(wide.loc[treated, 6] - effect)
    assert effects.value[0] == pytest.approx((observed.sum() - without.sum()) / without.sum(), abs=EXACT)


@pytest.mark.parametrize("method", LINEAR)
@pytest.mark.parametrize("missing", [0.0, 0.06])
def test_with_linear_methods_both_counts_imply_the_share_of_the_log_odds(method, missing):
    """log(inside) - log(outside) is the log-odds of the share, so no third model of the counts is needed."""
    panel = diagnose(with_counts(82, missing=missing))
    inside, outside = (np.log1p(ea.estimate(panel, method, scale=scale).value) for scale in COUNTS)
    share = SCALES["log_odds"]
    matrices = panel.matrices
    odds = share.forward(np.where(matrices.outcome > 0, matrices.outcome, 0.5))
    both = ea.estimate(panel, method, scale="log_odds")
    keys = both.cells.to_dict("records")
    for k, cell in enumerate(keys):
        if np.isnan(both.value[k]):
            continue
        chosen = (matrices.outcome > 0) & ~np.isnan(matrices.cohort)[:, None]
        event_time = matrices.periods - matrices.cohort[:, None]
        chosen &= (matrices.cohort == cell["cohort"])[:, None] if "cohort" in cell else True
        chosen &= matrices.periods == cell["period"] if "period" in cell else True
        chosen &= event_time == cell["event_time"] if "event_time" in cell else event_time >= 0
        if chosen.any():
            without = share.back(odds - (inside[k] - outside[k]))
            assert both.value[k] == pytest.approx((matrices.outcome - without)[chosen].mean(), abs=EXACT)


@pytest.mark.parametrize("scale", COUNTS)
@pytest.mark.parametrize("aggregate", ["overall", "event_time"])
def test_influence_is_the_derivative_with_respect_to_unit_weights(scale, aggregate):
    frame = with_counts(83, n_units=18)
    step = 1e-5

    def value(weight):
        weighted = frame.assign(weight=np.where(frame["county"] == "C003", weight, 1.0))
        return ea.estimate(diagnose(weighted, weight="weight"), "callaway_santanna", scale=scale).aggregate(aggregate)

    at_one = value(1.0)
    row = at_one.population.units.get_loc("C003")
    slope = (value(1 + step).value - value(1 - step).value) / (2 * step)
    np.testing.assert_allclose(at_one.influence.matrix()[row], slope, atol=1e-8)


def test_a_share_that_rises_without_less_outflow_is_told_apart():
    """Residents are admitted more often at home; as many as before leave."""
    frame = with_counts(84, n_units=120, effect=0.0)
    more = np.round(frame["n_inside"] * np.where(frame["quarter"] >= frame["cohort"], 1.2, 1.0)).astype(int)
    frame = frame.assign(n_total=frame["n_total"] - frame["n_inside"] + more, n_inside=more)
    panel = diagnose(frame.assign(share=frame["n_inside"] / frame["n_total"]))
    share, inside, outside = (
        ea.infer(ea.estimate(panel, "imputation", scale=scale).aggregate("overall")).iloc[0]
        for scale in ("share", *COUNTS)
    )
    assert share["conf_low"] > 0.02
    assert abs(inside["estimate"] - 0.2) < 4 * inside["std_error"] < 0.1
    assert outside["conf_low"] < 0 < outside["conf_high"]


def test_the_jackknife_subsets_and_a_file_keep_the_scale():
    panel = diagnose(with_counts(85, n_units=20))
    effects = ea.estimate(panel, "imputation", scale="log_outside").aggregate("overall")
    assert 0 < ea.infer(effects, vcov="CR3")["std_error"].iloc[0] < 0.1
    assert ea.Effects.from_json(effects.to_json()).scale == "relative"
    keep = np.arange(panel.n_units) % 5 > 0
    part = ea.estimate(panel.subset(keep), "imputation", scale="log_outside").aggregate("overall")
    direct = with_counts(85, n_units=20)
    direct = diagnose(direct[direct["county"].isin(panel.matrices.units[keep])])
    again = ea.estimate(direct, "imputation", scale="log_outside").aggregate("overall")
    np.testing.assert_allclose(part.value, again.value, atol=EXACT)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), factor=st.floats(0.01, 100), missing=st.sampled_from([0.0, 0.08]))
def test_sizes_row_order_and_labels_change_nothing(seed, factor, missing):
    frame = with_counts(86, n_units=12, missing=missing)
    rng = np.random.default_rng(seed)
    sizes = dict(zip(frame["county"].unique(), factor * rng.integers(1, 50, 12), strict=True))
    by = frame["county"].map(sizes)
    other = frame.assign(n_inside=frame["n_inside"] * by, n_total=frame["n_total"] * by)
    names = dict(zip(frame["county"].unique(), rng.permutation(12), strict=True))
    other = other.assign(county=other["county"].map(names)).sample(frac=1, random_state=seed)
    for scale in COUNTS:
        found = [ea.estimate(diagnose(f), "imputation", scale=scale).value for f in (frame, other)]
        np.testing.assert_allclose(found[0], found[1], atol=1e-10)


def test_inside_and_outside_swap_when_the_counts_do():
    frame = counties()
    swapped = frame.assign(n_inside=frame["n_total"] - frame["n_inside"], share=1 - frame["share"])
    found = ea.estimate(diagnose(frame), "twfe", scale="log_inside").value
    np.testing.assert_allclose(ea.estimate(diagnose(swapped), "twfe", scale="log_outside").value, found, atol=EXACT)


ZERO = (
    "has no value where nobody is treated {where}; 1 observation is there, for example C000 in 1. Leave these units out, or "
    "take the count as the outcome and use etwfe with family='poisson', which takes zeros."
)


@pytest.mark.parametrize(("scale", "to", "where"), [("log_inside", 0, "inside"), ("log_outside", "n_total", "outside")])
def test_counts_of_zero_are_refused_with_the_unit_and_the_period(scale, to, where):
    frame = with_counts(87)
    frame.loc[0, "n_inside"] = frame.loc[0, to] if isinstance(to, str) else to
    with pytest.raises(EstimationError) as caught:
        ea.estimate(diagnose(frame), "twfe", scale=scale)
    assert str(caught.value) == f"scale={scale!r} {ZERO.format(where=where)}"


@pytest.mark.parametrize(
    ("named", "missing"),
    [({}, "inside and total"), ({"inside": "n_inside"}, "total"), ({"total": "n_total"}, "inside")],
)
def test_a_design_without_counts_says_which_are_missing(named, missing):
    with pytest.raises(EstimationError) as caught:
        ea.estimate(ea.diagnose(with_counts(88), **KEYS, **named), "twfe", scale="log_outside")
    assert f"the design names no {missing}; name their columns in diagnose(inside=..., total=...)." in str(caught.value)


@pytest.mark.parametrize("family", ["poisson", "binomial"])
def test_a_family_with_its_own_scale_takes_no_other(family):
    with pytest.raises(
        EstimationError, match=f"family='{family}' has a scale of its own, so scale='log_inside' does not"
    ):
        ea.estimate(diagnose(with_counts(89)), "etwfe", family=family, scale="log_inside")
