"""Synthetic control and synthetic difference-in-differences against R synthdid, and where R does not converge."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.panels import GOLDEN, counties, diagnose, simulate

import evalaid as ea
from evalaid.did.estimators.synthetic.synthetic import SyntheticWeights, _jackknife, solve_simplex, synthetic_weights

# R descends until the objective falls by less than 1e-12 sd in a step ("tight") or 1e-5 sd (its default).
TIGHT_WEIGHTS, TIGHT_ESTIMATE = 1e-5, 1e-6
DEFAULT_WEIGHTS, DEFAULT_ESTIMATE = 1e-4, 1e-5


def entry(name: str) -> dict:
    found = json.loads((GOLDEN / "counties_a.json").read_text())["entries"]
    return next(e["results"] for e in found if e["id"] == name)


@pytest.fixture(scope="module")
def block():
    """The earliest cohort against never-treated counties."""
    frame = counties()
    return diagnose(frame[frame["cohort"].isna() | (frame["cohort"] == 5)])


@pytest.fixture(scope="module")
def single():
    """The first county of the earliest cohort against never-treated counties."""
    frame = counties()
    first = frame.loc[frame["cohort"] == 5, "county"].min()
    return diagnose(frame[frame["cohort"].isna() | (frame["county"] == first)])


def weights_of(design, method):
    table = synthetic_weights(design, method)
    return (table.loc[table["kind"] == kind, "weight"].to_numpy() for kind in ("unit", "period"))


def test_one_county_equals_the_converged_reference(single):
    reference = entry("single.synthdid_estimate.tight")
    units, periods = weights_of(single, "synthetic_did")
    np.testing.assert_allclose(units, reference["omega"], atol=TIGHT_WEIGHTS)
    np.testing.assert_allclose(periods, reference["lambda"], atol=TIGHT_WEIGHTS)
    overall = ea.estimate(single, "synthetic_did").aggregate("overall")
    assert overall.value[0] == pytest.approx(reference["estimate"], abs=TIGHT_ESTIMATE)


def test_a_block_equals_the_default_reference_as_far_as_that_converged(block):
    reference = entry("block.synthdid_estimate")
    units, periods = weights_of(block, "synthetic_did")
    np.testing.assert_allclose(units, reference["omega"], atol=DEFAULT_WEIGHTS)
    np.testing.assert_allclose(periods, reference["lambda"], atol=DEFAULT_WEIGHTS)
    overall = ea.estimate(block, "synthetic_did").aggregate("overall")
    assert overall.value[0] == pytest.approx(reference["estimate"], abs=DEFAULT_ESTIMATE)
    error = ea.infer(overall, vcov="reference")["std_error"].iloc[0]
    assert error == pytest.approx(entry("block.synthdid_estimate.jackknife_se")["se"], rel=1e-4)


@pytest.mark.parametrize("name", ["block.sc_estimate", "single.sc_estimate.tight"])
def test_synthetic_control_fits_better_than_the_reference_that_stopped_early(block, single, name):
    design = block if name.startswith("block") else single
    reference = entry(name)
    matrices = design.matrices
    n_before = int(matrices.start_column[0])
    before = matrices.outcome[matrices.never, :n_before]
    target = matrices.outcome[matrices.block(0), :n_before].mean(axis=0)
    noise = np.std(np.diff(before, axis=1), ddof=1)

    def objective(weights):
        return ((weights @ before - target) ** 2).mean() + (1e-6 * noise) ** 2 * (weights @ weights)

    units, _ = weights_of(design, "synthetic_control")
    assert objective(units) <= objective(np.array(reference["omega"]))
    if name.endswith("tight"):
        overall = ea.estimate(design, "synthetic_control").aggregate("overall")
        assert overall.value[0] == pytest.approx(reference["estimate"], abs=DEFAULT_ESTIMATE)


@pytest.mark.parametrize("kind", ["synthdid", "sc", "did"])
def test_the_jackknife_with_the_references_weights_is_the_references_error(block, kind):
    reference = entry(f"block.{kind}_estimate")
    matrices = block.matrices
    own, comparison = matrices.outcome[matrices.block(0)], matrices.outcome[matrices.never]
    weights = SyntheticWeights(np.array(reference["omega"]), np.array(reference["lambda"]))
    n_before = int(matrices.start_column[0])
    psi = np.concatenate(_jackknife(own, comparison, weights, n_before))[:, n_before:].mean(axis=1)
    expected = entry(f"block.{kind}_estimate.jackknife_se")["se"]
    assert np.sqrt((psi**2).sum()) == pytest.approx(expected, rel=1e-8)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), rows=st.integers(2, 8), columns=st.integers(2, 12), penalty=st.floats(0.01, 2))
def test_the_simplex_solution_meets_its_optimality_conditions(seed, rows, columns, penalty):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(rows, columns)), rng.normal(size=rows)
    w = solve_simplex(a, b, penalty, intercept=False)
    gradient = a.T @ (a @ w - b) / rows + penalty**2 * w
    assert w.min() >= 0
    assert w.sum() == pytest.approx(1)
    assert (gradient >= gradient @ w - 1e-8 * (1 + np.abs(gradient).max())).all()


def test_the_periods_before_show_the_fit_and_average_to_zero_with_period_weights(block):
    cells = ea.estimate(block, "synthetic_did").tidy()
    _, periods = weights_of(block, "synthetic_did")
    before = cells.loc[cells["event_time"] < 0, "estimate"].to_numpy()
    assert periods @ before == pytest.approx(0, abs=1e-12)


def test_a_covariate_that_drives_the_outcome_is_taken_out_first():
    frame = simulate(42, n_units=40, cohorts=(5, None), effect=0.03)
    rng = np.random.default_rng(1)
    frame["beds"] = rng.normal(size=len(frame)) + 2.0 * (frame["quarter"] >= frame["cohort"])
    moved = frame.assign(share=frame["share"] + 0.02 * frame["beds"])
    with_beds = ea.estimate(diagnose(moved, covariates=("beds",)), "synthetic_did").aggregate("overall")
    without = ea.estimate(diagnose(moved), "synthetic_did").aggregate("overall")
    clean = ea.estimate(diagnose(frame), "synthetic_did").aggregate("overall")
    assert abs(without.value[0] - clean.value[0]) > 0.02
    assert abs(with_beds.value[0] - clean.value[0]) < 0.005


def test_a_baseline_covariate_changes_nothing(block):
    frame = counties()
    chosen = frame[frame["cohort"].isna() | (frame["cohort"] == 5)]
    found = ea.estimate(diagnose(chosen, covariates=("log_gdp",)), "synthetic_did")
    np.testing.assert_allclose(found.value, ea.estimate(block, "synthetic_did").value, atol=1e-12)


def test_one_treated_unit_has_no_error_and_says_what_to_use(single):
    table = ea.infer(ea.estimate(single, "synthetic_did").aggregate("overall"))
    assert np.isnan(table["std_error"].iloc[0])
    assert np.isfinite(table["estimate"].iloc[0])
    assert "placebo in space takes its place" in table["note"].iloc[0]


def test_an_unbalanced_panel_and_one_period_before_are_refused_together():
    frame = simulate(41, cohorts=(2, None), missing=0.1)
    with pytest.raises(ea.NotIdentifiedError) as caught:
        ea.estimate(diagnose(frame), "synthetic_did")
    assert any("a balanced panel is needed" in reason for reason in caught.value.reasons)
    assert any("longest pre-period is 1" in reason for reason in caught.value.reasons)


@pytest.mark.parametrize(
    "method", ["synthetic_control", "synthetic_did", "augmented_synthetic_control", "matrix_completion"]
)
def test_a_level_that_all_units_share_changes_nothing(method):
    """Of an outcome near a million with changes of hundredths nine digits of the changes are left."""
    frame = simulate(3, n_units=24, n_periods=8, cohorts=(4, 6, None))
    near, far = (
        ea.estimate(diagnose(frame.assign(share=frame["share"] + level), outcome_unit="number"), method).value
        for level in (0.0, 1e6)
    )
    np.testing.assert_allclose(far, near, atol=1e-7)
