"""Precision weights make a fit more exact; analytic weights change which average effect is meant."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.panels import counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import NotIdentifiedError, PanelError

# Sums of a few hundred products in double precision.
EXACT = 1e-10
BOTH = ["twfe", "event_study", "callaway_santanna", "sun_abraham", "imputation", "etwfe", "dcdh"]
ANALYTIC_ONLY = ["two_by_two", "stacked", "lp_did"]
NONE = [
    "efficient", "synthetic_did", "synthetic_control", "augmented_synthetic_control", "matrix_completion", "interactive_effects",
]  # fmt: skip


def overall(frame: pd.DataFrame, method: str, kind: str | None, **options) -> ea.Effects:
    effects = ea.estimate(diagnose(frame, weight="weight", weight_kind=kind), method, **options)
    return effects if method == "twfe" else effects.aggregate("overall")


@pytest.fixture
def four() -> pd.DataFrame:
    """Two treated counties with unlike effects and sizes, two comparison counties with unlike trends, two periods."""
    return pd.DataFrame({
        "county": np.repeat(["a", "b", "c", "d"], 2), "quarter": [1, 2] * 4, "cohort": [2.0] * 4 + [np.nan] * 4,
        "share": [0.50, 0.60, 0.40, 0.44, 0.50, 0.51, 0.60, 0.64], "weight": np.repeat([1.0, 3.0, 1.0, 2.0], 2),
    })  # fmt: skip


TREND = (0.01 + 2 * 0.04) / 3


@pytest.mark.parametrize(
    ("method", "kind", "expected"),
    [
        ("imputation", "analytic", (0.10 + 3 * 0.04) / 4 - TREND),
        ("imputation", "precision", (0.10 + 0.04) / 2 - TREND),
        ("callaway_santanna", "analytic", (0.10 + 3 * 0.04) / 4 - TREND),
        ("callaway_santanna", "precision", (0.10 + 0.04) / 2 - TREND),
        ("twfe", "analytic", (0.10 + 3 * 0.04) / 4 - TREND),
        ("twfe", "precision", (0.10 + 3 * 0.04) / 4 - TREND),  # one effect is assumed, so both are one regression
    ],
)
def test_four_units_by_hand(four, method, kind, expected):
    assert overall(four, method, kind).value[0] == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("kind", ["analytic", "precision"])
@pytest.mark.parametrize("method", BOTH)
def test_equal_weights_of_either_kind_are_none(method, kind):
    frame = simulate(8).assign(weight=250.0)
    found, plain = overall(frame, method, kind), ea.estimate(diagnose(frame), method)
    plain = plain if method == "twfe" else plain.aggregate("overall")
    np.testing.assert_allclose(found.value, plain.value, atol=EXACT)
    np.testing.assert_allclose(found.influence.matrix(), plain.influence.matrix(), atol=EXACT)


@settings(max_examples=10)
@given(factor=st.floats(0.001, 1e5), seed=st.integers(0, 1000))
@pytest.mark.parametrize("kind", ["analytic", "precision"])
@pytest.mark.parametrize("adjustment", ["none", "doubly_robust"])
def test_the_unit_of_the_weights_and_the_order_of_rows_do_not_matter(kind, adjustment, factor, seed):
    frame = simulate(9, n_units=30)
    other = frame.assign(weight=frame["weight"] * factor).sample(frac=1, random_state=seed)
    for method, options in (("callaway_santanna", {"adjustment": adjustment}), ("imputation", {}), ("etwfe", {})):
        found = []
        for one in (frame, other):
            panel = diagnose(one, weight="weight", weight_kind=kind, covariates=("log_gdp",))
            found.append(ea.estimate(panel, method, **options).aggregate("overall").value)
        np.testing.assert_allclose(found[0], found[1], atol=1e-7)


@pytest.mark.parametrize("method", [method for method in BOTH if method != "etwfe"])
def test_weights_of_a_kind_that_is_not_stated_are_analytic(method):
    frame = simulate(10)
    assert overall(frame, method, None).value[0] == overall(frame, method, "analytic").value[0]


def test_in_etwfe_weights_of_a_kind_that_is_not_stated_are_precision_as_in_its_reference():
    frame = simulate(10)
    values = {kind: overall(frame, "etwfe", kind).value[0] for kind in (None, "precision", "analytic")}
    assert values[None] == values["precision"]
    assert abs(values["analytic"] - values["precision"]) > 1e-5


def test_on_a_balanced_panel_etwfe_with_analytic_weights_is_imputation():
    frame = simulate(11)
    one, other = (overall(frame, method, "analytic") for method in ("etwfe", "imputation"))
    assert one.value[0] == pytest.approx(other.value[0], abs=EXACT)


@pytest.mark.parametrize("missing", [0.0, 0.05])
@pytest.mark.parametrize("adjustment", ["none", "regression", "ipw", "doubly_robust"])
def test_precision_in_a_group_time_effect_weighs_the_comparison_only(adjustment, missing):
    """With never-treated comparisons it is the analytic estimate with weight one in every treated unit."""
    frame = simulate(12, n_units=60, missing=missing)
    options = {"comparison": "never_treated", "adjustment": adjustment}
    even = frame["weight"].mean()
    once = frame.assign(weight=np.where(frame["cohort"].notna(), 1.0, frame["weight"] / even))
    for by in ("overall", "event_time"):
        found, same = (
            ea.estimate(
                diagnose(one, weight="weight", weight_kind=kind, covariates=("log_gdp",)),
                "callaway_santanna",
                **options,
            ).aggregate(by)
            for one, kind in ((frame, "precision"), (once, "analytic"))
        )
        np.testing.assert_allclose(found.value, same.value, atol=1e-9)
        np.testing.assert_allclose(found.influence.matrix(), same.influence.matrix(), atol=1e-9)


@pytest.mark.parametrize("missing", [0.0, 0.08])
@pytest.mark.parametrize("kind", ["analytic", "precision"])
def test_influence_of_imputation_is_the_derivative_with_respect_to_outcomes_times_residuals(kind, missing):
    """Untreated units: the estimate is linear in outcomes with weights v, and their influence is sum_t v_it e_it."""
    frame = simulate(13, n_units=15, missing=missing)
    panel = diagnose(frame, weight="weight", weight_kind=kind)
    effects = ea.estimate(panel, "imputation").aggregate("overall")
    matrices = panel.matrices
    seen = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
    rows = [row for row in range(matrices.n_units) if np.isnan(matrices.cohort[row])]
    fitted = _gaps(matrices, seen)
    for row in rows:
        derivative = np.zeros(matrices.n_periods)
        for column in np.flatnonzero(seen[row]):
            bumped = frame["county"].eq(matrices.units[row]) & frame["quarter"].eq(matrices.periods[column])
            moved = frame.assign(share=frame["share"] + 0.01 * bumped)
            derivative[column] = (overall(moved, "imputation", kind).value[0] - effects.value[0]) / 0.01
        assert effects.influence.matrix()[row, 0] == pytest.approx(derivative @ fitted[row], abs=EXACT)


def _gaps(matrices, seen):
    """Residuals of a weighted regression on unit and period dummies, untreated observations only; by plain least squares."""
    untreated = seen & ~(matrices.periods >= matrices.cohort[:, None])
    unit, period = np.nonzero(untreated)
    dummies = np.hstack([np.eye(matrices.n_units)[unit], np.eye(matrices.n_periods)[period]])
    root = np.sqrt(matrices.weight[untreated])
    coefficients, *_ = np.linalg.lstsq(dummies * root[:, None], matrices.outcome[untreated] * root, rcond=None)
    gap = np.zeros_like(matrices.outcome)
    gap[untreated] = matrices.outcome[untreated] - dummies @ coefficients
    return gap


@pytest.mark.parametrize("method", ["callaway_santanna", "imputation", "sun_abraham", "etwfe"])
def test_precision_weights_keep_the_size_of_cohorts_and_analytic_weights_do_not(method):
    frame = simulate(14)
    frame["weight"] = np.where(
        frame["cohort"] == 4, 9.0, 1.0
    )  # constant within cohorts: cells do not depend on the kind
    cells = {kind: ea.estimate(diagnose(frame, weight="weight", weight_kind=kind), method) for kind in KINDS}
    shares = {}
    for kind, effects in cells.items():
        treated = effects.select(effects.cells["event_time"] >= 0)
        np.testing.assert_allclose(
            treated.value, cells["analytic"].select(effects.cells["event_time"] >= 0).value, atol=EXACT
        )
        early = (treated.cells["cohort"] == 4).to_numpy()
        average = treated.aggregate("overall").value[0]
        means = [np.average(treated.value[side], weights=treated.size[side]) for side in (early, ~early)]
        shares[kind] = (average - means[1]) / (means[0] - means[1])
    n_early, n_late = 14 * 5, 13 * 3  # units x treated periods
    assert shares["precision"] == pytest.approx(n_early / (n_early + n_late), abs=1e-6)
    assert shares["analytic"] == pytest.approx(9 * n_early / (9 * n_early + n_late), abs=1e-6)


KINDS = ("analytic", "precision")


@pytest.mark.parametrize("method", ANALYTIC_ONLY)
def test_methods_without_a_place_for_precision_weights_say_so(method):
    with pytest.raises(NotIdentifiedError) as caught:
        overall(simulate(15), method, "precision")
    text = "the method has no place for precision weights: it weighs treated and comparison units alike; leave the weights out, or"
    assert text in str(caught.value)
    assert "imputation" in caught.value.alternatives
    assert overall(simulate(15), method, "analytic").value.size
    needs = ea.methods().set_index("method")["needs"]
    assert "no precision weights" in needs[method]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", NONE)
def test_methods_without_a_place_for_any_weights_say_so(method, kind):
    with pytest.raises(NotIdentifiedError, match="has no place for weights and the design is weighted"):
        overall(simulate(15), method, kind)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"weight": "weight", "weight_kind": "frequency"},
            "Found weight_kind='frequency'; expected one of ('analytic', 'precision')",
        ),
        ({"weight_kind": "precision"}, "Found weight_kind='precision' and no weight; name the column with weight=...."),
    ],
)
def test_a_kind_that_does_not_exist_or_weighs_nothing_is_refused(options, text):
    with pytest.raises(PanelError) as caught:
        diagnose(simulate(16), **options)
    assert text in str(caught.value)


def test_the_kind_is_said_and_kept_and_part_of_the_content():
    frame = simulate(17)
    designs = {kind: diagnose(frame, weight="weight", weight_kind=kind) for kind in (*KINDS, None)}
    assert "Weights: 'weight' (analytic: they say how much a unit counts, in every" in designs["analytic"].text()
    assert "Weights: 'weight' (precision: they say how exactly an outcome is measured; " in designs["precision"].text()
    assert len({design.panel.content_hash for design in designs.values()}) == 3
    kept = designs["precision"].subset(np.arange(designs["precision"].n_units) > 2)
    assert kept.matrices.weight_kind == "precision"
    means = designs["precision"].cohorts["baseline_mean"]
    np.testing.assert_array_equal(means, diagnose(frame).cohorts["baseline_mean"])


def test_episodes_as_precision_weights_narrow_the_interval_where_small_counties_are_noisy():
    frame = counties()
    rng = np.random.default_rng(18)
    size = frame["county"].map(dict(zip(frame["county"].unique(), np.tile([30, 3_000], 30), strict=True)))
    noisy = frame.assign(weight=size, share=np.clip(0.6 + 0.2 * rng.normal(size=len(frame)) / np.sqrt(size), 0, 1))
    plain = ea.infer(ea.estimate(diagnose(noisy), "imputation").aggregate("overall"))["std_error"].iloc[0]
    found = ea.infer(overall(noisy, "imputation", "precision"))["std_error"].iloc[0]
    assert found < 0.95 * plain


# Methods whose estimates weigh a unit as so many units; the covariance by which the triple difference and dose pool or lay out do not.
REPEATABLE = [
    "two_by_two",
    "twfe",
    "event_study",
    "callaway_santanna",
    "sun_abraham",
    "etwfe",
    "imputation",
    "stacked",
    "lp_did",
]


@pytest.mark.parametrize("columns", [{}, {"covariates": ["log_gdp"]}, {"stratum": "region"}, {"anticipation": 1}])
@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("method", REPEATABLE)
def test_a_weight_of_three_is_three_units_of_one_cluster(method, missing, columns):
    """Estimates and their errors by clusters; those of imputation are centred by squared weights, on purpose."""
    frame = simulate(9, n_units=32, missing=missing)
    number = frame["county"].str[1:].astype(int)
    frame = frame.assign(weight=1.0 + number % 3, region=number % 2)
    repeated = pd.concat(
        [frame[frame["weight"] > k].assign(county=lambda rows, k=k: rows["county"] + f"-{k}") for k in range(3)]
    )
    try:
        weighted = ea.estimate(
            diagnose(frame, weight="weight", weight_kind="analytic", cluster="prefecture", **columns), method
        )
    except NotIdentifiedError:
        return  # refused with its reason
    counted = ea.estimate(diagnose(repeated, cluster="prefecture", **columns), method).align(weighted.cells)
    np.testing.assert_allclose(weighted.value, counted.value, rtol=1e-8, atol=1e-10)
    if method != "imputation":
        errors = [ea.infer(effects, vcov="CR0")["std_error"] for effects in (weighted, counted)]
        np.testing.assert_allclose(*errors, rtol=1e-7)
