"""The joint test of a specification curve under the sharp null."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import EstimationError, InferenceError
from evalaid.did.inference.randomisation.assignments import list_assignments
from evalaid.did.inference.randomisation.reassignment import move
from evalaid.did.sensitivity.choices.declared import Specification, declare
from evalaid.did.sensitivity.choices.joint import estimate_by_paths
from evalaid.did.sensitivity.choices.specifications import cut_design, estimate_specification

CHOICES = {
    "methods": ["twfe", ("callaway_santanna", {"adjustment": "none"})],
    "covariates": [(), ("share_65", "x")],
    "windows": [(None, None), (2, None)],
}


def panel(seed, effect=0.0, n_units=6) -> pd.DataFrame:
    frame = simulate(seed, n_units=n_units, n_periods=6, cohorts=(4, None, 5, None, None, None, None), effect=effect)
    return frame.assign(x=np.random.default_rng(seed).normal(size=len(frame)))


def look(frame) -> ea.Design:
    return diagnose(frame, covariates=("share_65", "x"))


def by_hand(frame, specifications, level):
    """Run the whole curve under every assignment, and count."""
    names = sorted(frame["county"].unique())
    start = frame.groupby("county")["cohort"].first().fillna(-1).tolist()
    orders = [start, *sorted(set(permutations(start)))]
    rows = []
    for order in orders:
        cohort = frame["county"].map(dict(zip(names, order, strict=True))).replace(-1, np.nan)
        table = ea.specification_curve(look(frame.assign(cohort=cohort)), specifications).table
        rows.append(table.sort_values(["method", "covariates", "window"])["estimate"].to_numpy())
    estimates = np.array(rows)
    every = estimates[1:]
    z = estimates / np.sqrt(np.mean((estimates - estimates.mean(axis=0)) ** 2, axis=0))
    p_values = np.array([(np.abs(every) >= np.abs(row) * (1 - 1e-9)).mean(axis=0) for row in estimates])
    sign = np.where((estimates > 0).mean(axis=1) >= 0.5, 1, -1)[:, None]
    statistics = np.column_stack([
        np.abs(np.median(estimates, axis=1)),
        ((p_values <= 1 - level + 1e-9) & (estimates * sign > 0)).mean(axis=1),
        np.abs(z.sum(axis=1)) / np.sqrt(z.shape[1]),
    ])  # fmt: skip
    return statistics, (statistics[1:] >= statistics[0] * (1 - 1e-9)).mean(axis=0)


def test_it_is_the_whole_curve_under_every_assignment():
    frame = panel(3, effect=0.02)
    specifications = declare(**CHOICES)
    found = ea.joint_test(look(frame), specifications, level=0.9)
    statistics, p_values = by_hand(frame, specifications, 0.9)
    assert found.exact
    assert found.n_assignments == len(found.draws) == 30
    assert len(found.specifications) == len(specifications) == 8
    # Contrasts, projections and single fits are three routes to the same numbers.
    assert found.table["observed"].to_numpy() == pytest.approx(statistics[0], rel=1e-8)
    assert np.sort(found.draws.to_numpy(), axis=0) == pytest.approx(np.sort(statistics[1:], axis=0), rel=1e-8)
    assert found.table["p_value"].to_numpy() == pytest.approx(p_values)


def test_one_specification_is_the_randomisation_test_of_its_method():
    design = look(panel(4, effect=0.01, n_units=21))
    joint = ea.joint_test(design, [Specification("twfe")], draws=99, seed=5)
    alone = ea.randomize(design, "twfe", draws=99, seed=5, covariates=())
    assert joint.table["p_value"].iloc[0] == alone.p_value
    assert joint.specifications["p_value"].iloc[0] == pytest.approx(alone.p_value)
    assert sorted(joint.draws["median effect"]) == pytest.approx(sorted(alone.table["estimate"].abs()))


def test_cuts_that_change_who_is_left_are_made_anew_for_every_assignment():
    design = look(simulate(6, n_units=15, n_periods=6, cohorts=(3, 4, 5)).assign(x=1.0))
    one = [
        Specification("twfe", comparison="eventually_treated"),
        Specification("twfe", window=(3, None)),
        Specification("imputation", weights="none"),
    ]
    found = ea.joint_test(design, one, draws=19)
    assert found.draws.notna().all(axis=None)
    assert found.specifications["n_missing"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("cluster", [None, "prefecture"])
def test_a_window_that_ends_before_a_cohort_starts_keeps_the_short_way(cluster):
    frame = simulate(10, n_units=24, n_periods=8, cohorts=(6, 4, None))
    number = frame["county"].str[1:].astype(int)
    frame["prefecture"] = frame["cohort"].map(str) + (number // 3 % 4).map(str)
    design = diagnose(frame, cluster=cluster)
    one = Specification("callaway_santanna", window=(None, 5))
    assignments = list_assignments(design)
    codes = np.concatenate([assignments.actual[None], *assignments.runs(5, 1)])
    cut = cut_design(design, one)
    assert len(cut.matrices.cohorts) == 1
    short = estimate_by_paths(design, one, assignments, codes)
    long = [estimate_specification(cut_design(move(design, assignments, row), one), one).value[0] for row in codes]
    assert short == pytest.approx(long, abs=1e-12)


def test_a_real_effect_is_seen_and_draws_are_seeded():
    design = diagnose(simulate(7, n_units=36, effect=0.05))
    choices = {"methods": ["twfe", "sun_abraham", "stacked"], "windows": [(None, None), (2, None), (None, 7)]}
    seen = []
    found = ea.joint_test(design, choices, draws=99, progress=lambda done, total: seen.append((done, total)))
    assert (found.table["p_value"] <= 0.05).all()
    assert found.table["observed"].iloc[1] == 1.0
    assert seen[-1] == (900, 900)
    again = ea.joint_test(design, choices, draws=99)
    pd.testing.assert_frame_equal(found.draws, again.draws)
    assert not found.draws.equals(ea.joint_test(design, choices, draws=99, seed=2).draws)


def test_the_joint_test_has_its_size():
    rejected = np.zeros(3)
    choices = {"methods": ["twfe", "callaway_santanna"], "windows": [(None, None), (2, None)]}
    for seed in range(30):
        design = diagnose(simulate(100 + seed, n_units=15, n_periods=5, cohorts=(4, None, None), effect=0.0))
        rejected += ea.joint_test(design, choices, draws=19, level=0.8).table["p_value"].to_numpy() <= 0.2
    # Four binomial standard errors of 30 panels; the share of significant ones has ties and rejects less often.
    assert rejected[[0, 2]] / 30 == pytest.approx([0.2, 0.2], abs=4 * np.sqrt(0.16 / 30))
    assert rejected[1] / 30 < 0.2 + 4 * np.sqrt(0.16 / 30)


def test_specifications_without_an_estimate_are_counted_and_left_out():
    design = diagnose(simulate(8, n_units=12, cohorts=(4, 6)))
    found = ea.joint_test(design, {"methods": ["twfe", "sun_abraham"]}, draws=19)
    assert found.specifications["estimate"].isna().tolist() == [False, True]
    assert "1 of 2 specifications have no estimate" in found.note
    assert found.table["observed"].iloc[0] == pytest.approx(abs(found.specifications["estimate"].iloc[0]))


FAULTS = [
    ({"specifications": []}, EstimationError, "No specification is declared"),
    ({"specifications": [Specification("twfe", ("age",))]}, EstimationError, "the design has no covariate 'age'"),
    ({"level": 95}, InferenceError, "level=95 found; a coverage between 0 and 1 is expected"),
    ({"draws": 9}, InferenceError, "Asked for are 9 assignments: the smallest reachable p-value is 0.1"),
    ({"level": 0.99}, InferenceError, "There are only 30 assignments: the smallest reachable p-value is 0.0333"),
    (
        {"specifications": [Specification("synthetic_did", window=(4, None))]},
        InferenceError,
        "No specification has an estimate",
    ),
    ({"strata": "nowhere"}, InferenceError, "the table has no such column"),
]


@pytest.mark.parametrize(("options", "error", "text"), FAULTS)
def test_impossible_joint_tests_are_refused(options, error, text):
    with pytest.raises(error) as caught:
        ea.joint_test(look(panel(9)), **{"specifications": [Specification("twfe")], **options})
    assert text in str(caught.value)
