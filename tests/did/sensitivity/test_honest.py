"""Intervals under limited violations of parallel trends: reference numbers, identities, coverage, refusals."""

from __future__ import annotations

import json
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog, minimize
from scipy.special import ndtr
from scipy.stats import foldnorm, norm
from support.panels import GOLDEN, counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import InferenceError
from evalaid.did.sensitivity.trends import corners
from evalaid.did.sensitivity.trends.coefficients import gather
from evalaid.did.sensitivity.trends.conditional import SHORTFALL, _search_around, least_favourable, pose, settle
from evalaid.did.sensitivity.trends.corners import find_corners
from evalaid.did.sensitivity.trends.flci import _lasso_path, folded_quantile, shortest, trace
from evalaid.did.sensitivity.trends.inequalities import state
from evalaid.did.sensitivity.trends.restrictions import KINDS, SHAPES, restrict
from evalaid.report.display.canvas import Look
from evalaid.report.display.divergence_figure import draw_honest
from evalaid.report.display.rendered_figure import draw

# R reads ends off a grid: ours lie between its last accepted point and the next one. Its least favourable critical value
# is the quantile of 1,000 draws, which moves an end that is close to a grid point.
GRID_SLACK = 0.15
# R simulates the quantile of the folded normal with a million draws; the length is flat in the centre around its minimum.
LENGTH_RELATIVE, CENTRE_OF_LENGTH = 1.5e-3, 0.01
# R bisects to 3e-4; the test with a simulated critical value is within its sampling error.
BREAKDOWN_EXACT, BREAKDOWN_SIMULATED = 3.5e-4, 4e-3
ROUNDING = 1e-9
# In standard errors: ends are refined between grid points that differ, and critical values follow their draws.
REFINED_ENDS, SIMULATED_ENDS = 1e-3, 0.05

METHODS = {"CLF": "C-LF", "LF": "C-LF", "ARP": "conditional", "Conditional": "conditional", "FLCI": "C-F"}
RESTRICTIONS = {"RM": "relative_magnitude", "SD": "smoothness"}
E1 = {0: 1.0}


def read(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


@cache
def published():
    """Benzarti and Carloni's event study, four years before and after."""
    found = read("honestdid_inputs")["BC"]
    return ea.EventStudy([-5, -4, -3, -2, 0, 1, 2, 3], found["betahat"], found["sigma"])


@cache
def entries():
    every = {entry["id"]: entry for entry in read("honestdid_BC")["entries"]}
    return every | {e["id"]: e for e in read("counties_a")["entries"] if e["id"].startswith("honest.")}


@cache
def ours():
    found = entries()["honest.inputs"]["results"]
    return ea.EventStudy(found["event_time"], found["betahat"], found["sigma"])


def weights(name):
    return E1 if name == "e1" else None


def on_grid(found, lb, ub, step):
    return (
        lb - (1 + GRID_SLACK) * step < found.conf_low < lb + GRID_SLACK * step
        and ub - GRID_SLACK * step < found.conf_high < ub + (1 + GRID_SLACK) * step
    )


@pytest.mark.parametrize("key", [key for key in entries() if "accept" in entries()[key]["results"]])
def test_conditional_intervals_equal_r(key):
    _, kind, method, *size, target = key.split(".")
    m = float(".".join(size).lstrip("Mbar"))
    result, expected = (
        ea.honest(published(), RESTRICTIONS[kind], m, weights=weights(target), method=METHODS[method]),
        entries()[key]["results"],
    )
    step = (expected["grid_ub"] - expected["grid_lb"]) / (expected["n"] - 1)
    assert on_grid(result.table.iloc[0], expected["lb"], expected["ub"], step)


@pytest.mark.parametrize("key", [key for key in entries() if "CLF.M" in key and key.startswith("honest")])
def test_intervals_on_our_panel_equal_r(key):
    expected = entries()[key]["results"]
    found = ea.honest(ours(), m=float(key.split(".M")[1]), weights=E1).table.iloc[0]
    assert on_grid(found, expected["lb"], expected["ub"], expected["step"])


@pytest.mark.parametrize(
    ("study", "m", "key"),
    [(published, float(m), f"BC.optimalFLCI.M{m}.e1") for m in ("0", "0.1")]
    + [(ours, float(m), f"honest.smoothness.flci.M{m}") for m in ("0", "0.005", "0.01")],
)
def test_fixed_length_intervals_equal_r(study, m, key):
    low, high = entries()[key]["results"]["FLCI"]
    found = ea.honest(study(), "smoothness", m, weights=E1).table.iloc[0]
    half = (found.conf_high - found.conf_low) / 2
    assert half == pytest.approx((high - low) / 2, rel=LENGTH_RELATIVE)
    assert (found.conf_low + found.conf_high) / 2 == pytest.approx((low + high) / 2, abs=CENTRE_OF_LENGTH * half)


def test_a_curve_of_fixed_length_intervals_equals_r():
    expected = entries()["BC.SD.FLCI.e1"]["results"]
    found = ea.honest(published(), "smoothness", expected["M"], weights=E1).table
    half = (np.array(expected["ub"]) - expected["lb"]) / 2
    np.testing.assert_allclose((found.conf_high - found.conf_low) / 2, half, rtol=LENGTH_RELATIVE)
    middle = (np.array(expected["ub"]) + expected["lb"]) / 2
    assert (np.abs((found.conf_high + found.conf_low) / 2 - middle) < CENTRE_OF_LENGTH * half).all()


def test_progress_is_told_by_m():
    told = []
    ea.honest(published(), m=[0, 1], points=10, draws=16, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


def test_the_largest_change_of_slope_before_treatment_equals_r():
    found = ea.honest(published(), "smoothness", 0, weights=E1)
    assert found.m_before == pytest.approx(entries()["BC.DeltaSD_Mpre"]["results"]["upper"], rel=ROUNDING)
    assert np.isnan(ea.honest(published(), m=0).m_before)
    assert np.isnan(ea.honest(study_of([-2, 0, 1]), "smoothness", 0).m_before)


@pytest.mark.parametrize("key", [key for key in entries() if ".breakdown." in key])
def test_breakdown_values_equal_r(key):
    _, _, kind, method, target = key.split(".")
    found = ea.honest(published(), RESTRICTIONS[kind], 0, weights=weights(target), method=METHODS[method]).breakdown
    tolerance = BREAKDOWN_EXACT if method == "ARP" else BREAKDOWN_SIMULATED
    assert found.m == pytest.approx(entries()[key]["results"]["breakdown"], abs=tolerance)
    assert found.sign == 1
    assert 0 < found.precision < BREAKDOWN_EXACT


@pytest.mark.parametrize(
    ("study", "target", "key"),
    [
        (published, "e1", "BC.orig.e1"),
        (published, "avg", "BC.orig.avg"),
        (ours, "e1", "honest.original.e1"),
        (ours, "avg", "honest.original.avg"),
    ],
)
def test_the_original_interval_equals_r(study, target, key):
    expected = entries()[key]["results"]
    found = ea.honest(study(), m=0, weights=weights(target)).original.iloc[0]
    np.testing.assert_allclose([found.conf_low, found.conf_high], [np.ravel(expected[x])[0] for x in ("lb", "ub")])


# Corners and paths against general solvers


@pytest.mark.parametrize(("kind", "shape"), list(product(KINDS, (None, *SHAPES))))
def test_corners_give_the_value_of_the_linear_programme(kind, shape):
    rng = np.random.default_rng(7)
    for n_pre, n_post in ((2, 1), (3, 4)):
        weights_ = rng.normal(size=n_post)
        root = rng.normal(size=(n_pre + n_post,) * 2)
        covariance, estimate = root @ root.T + np.eye(len(root)), rng.normal(size=len(root))
        limits = restrict(kind, shape, n_pre, n_post)
        found = find_corners(limits, weights_)
        for m, effect in ((0.0, 0.3), (0.7, -1.2), (2.0, 4.0)):
            problem = pose(state(limits, m, 0, covariance, weights_), found, estimate)
            rows, right = limits.rows(m, 0)
            spread = np.sqrt(np.diag(rows @ covariance @ rows.T))
            solved = linprog(
                np.append(np.zeros(n_post), 1),
                np.column_stack([-rows[:, -n_post:], -spread]), right - rows @ estimate,
                np.append(weights_, 0)[None], [effect], (None, None),
            )  # fmt: skip
            assert (problem.value - problem.slope * effect).max() == pytest.approx(solved.fun, abs=ROUNDING)


SHAPED = [("relative_magnitude", "positive"), ("smoothness", "increasing"), ("relative_smoothness", "negative")]


def many_periods(n_pre=3, n_post=12):
    """Made-up estimates over so many periods that their corners cannot be enumerated with a shape."""
    rng = np.random.default_rng(n_post)
    root = rng.normal(size=(n_pre + n_post,) * 2) / 10
    estimate = np.append(rng.normal(size=n_pre) / 20, 0.5 + rng.normal(size=n_post) / 20)
    times = [*range(-n_pre - 1, -1), *range(n_post)]
    return ea.EventStudy(times, estimate, root @ root.T / n_post + np.eye(n_pre + n_post) / 100 + 0.01)


@pytest.mark.parametrize("method", ["conditional", "C-LF"])
@pytest.mark.parametrize(("kind", "shape"), SHAPED)
@pytest.mark.crossed(2)
def test_corners_found_at_the_data_give_the_intervals_of_all_corners(kind, shape, method, monkeypatch):
    study = many_periods(n_post=5)
    m, std_error = (0.02 if kind == "smoothness" else 0.8), float(np.sqrt(study.covariance[3:, 3:].mean()))
    every = ea.honest(study, kind, m, shape=shape, method=method)
    monkeypatch.setattr(corners, "ENUMERABLE_PERIODS", 0)
    found = ea.honest(study, kind, m, shape=shape, method=method)
    apart = SIMULATED_ENDS if method == "C-LF" else REFINED_ENDS
    np.testing.assert_allclose(found.table[ENDS], every.table[ENDS], atol=apart * std_error)
    assert found.breakdown.m == pytest.approx(every.breakdown.m, rel=BREAKDOWN_SIMULATED, nan_ok=True)


@pytest.mark.parametrize(("kind", "shape"), SHAPED)
def test_corners_found_at_some_draws_are_the_largest_at_others(kind, shape, monkeypatch):
    study = many_periods(n_post=6)
    limits, weights_ = restrict(kind, shape, 3, 6), study.weigh(None)
    rng = np.random.default_rng(3)
    draws, others = rng.multivariate_normal(np.zeros(9), study.covariance, (2, 2000))
    given = state(limits, 1.0, 0, study.covariance, weights_)
    every = pose(given, find_corners(limits, weights_), study.estimate)
    monkeypatch.setattr(corners, "ENUMERABLE_PERIODS", 0)
    some = _search_around(pose(given, find_corners(limits, weights_), study.estimate), draws)
    assert every.corners.complete
    assert not some.corners.complete
    assert len(some.slope) < len(every.slope)
    largest, reached = ((problem.loading @ others.T).max(axis=0) for problem in (every, some))
    assert (reached <= largest + ROUNDING).all()
    assert (1 - reached / largest).mean() < 2 * SHORTFALL


@pytest.mark.parametrize(("kind", "shape"), SHAPED)
def test_with_many_periods_the_test_decides_as_with_linear_programmes(kind, shape):
    """Statistic and truncation from three programmes at each effect, without corners."""
    study, size = many_periods(), 0.05
    m, weights_ = (0.02 if kind == "smoothness" else 0.8), study.weigh(None)
    limits = restrict(kind, shape, 3, 12)
    given = state(limits, m, 1 if kind != "smoothness" else 0, study.covariance, weights_)
    problem = pose(given, find_corners(limits, weights_), study.estimate)
    effects = np.linspace(-6, 6, 41)
    accepted, _ = settle(problem, effects, size)
    expected = [accepts_by_programmes(given, study.estimate, effect, size) for effect in effects]
    assert accepted.tolist() == expected
    assert 0 < sum(expected) < len(expected)


def accepts_by_programmes(given, estimate, effect, size):
    n_post, spread = len(given.weights), given.spread
    moments = given.rows @ estimate - given.right
    fixed = {"A_eq": np.append(given.weights, 0)[None], "b_eq": [effect], "bounds": (None, None)}
    cost = np.append(np.zeros(n_post), 1)
    nuisance = given.rows[:, -n_post:]
    solved = linprog(cost, np.column_stack([-nuisance, -spread]), -moments, **fixed)
    corner = -solved.ineqlin.marginals
    along = given.rows @ given.covariance @ given.rows.T @ corner
    variance = corner @ along
    rest = moments - along / variance * solved.fun
    rows = np.column_stack([-nuisance, along / variance - spread])
    low, high = (linprog(sign * cost, rows, -rest, **fixed) for sign in (1, -1))
    low, high = (-np.inf if low.status == 3 else low.fun), (np.inf if high.status == 3 else -high.fun)
    statistic, low, high = (value / np.sqrt(variance) for value in (solved.fun, low, high))
    beyond = (norm.sf(statistic) - norm.sf(high)) / (norm.sf(low) - norm.sf(high))
    return not (statistic > 0 and beyond < size)


@pytest.mark.parametrize(("kind", "shape"), list(product(KINDS, (None, "positive", "decreasing"))))
def test_the_identified_set_is_the_range_over_all_violations(kind, shape):
    """Against programmes over the whole path of the violation, with the part before treatment fixed at the estimates."""
    estimate = np.array([0.02, 0.05, 0.01, 0.6, 0.9, 0.7])
    study = ea.EventStudy([-4, -3, -2, 0, 1, 2], estimate, np.eye(6) * 1e-4)
    m = 0.1 if kind == "smoothness" else 0.8
    found = ea.honest(study, kind, m, shape=shape, points=10, draws=16).table.iloc[0]
    order = 1 if kind == "relative_magnitude" else 2
    path = np.delete(np.diff(np.eye(7), n=order, axis=0), 3, axis=1)
    before, after = path[:-3], path[-3:]
    limit = m if kind == "smoothness" else m * np.abs(before[:, :3] @ estimate[:3]).max()
    shapes = {
        None: np.zeros((0, 6)),
        "positive": -np.eye(6)[3:],
        "decreasing": np.delete(np.diff(np.eye(7), axis=0), 3, 1)[3:],
    }
    rows = np.concatenate([after, -after, shapes[shape]])
    right = np.concatenate([np.full(6, limit), np.zeros(len(shapes[shape]))])
    ends = [
        linprog(sign * np.array([0, 0, 0, 1, 1, 1]) / 3, rows, right, np.eye(6)[:3], estimate[:3], (None, None)).fun
        for sign in (1, -1)
    ]
    mean = estimate[3:].mean()
    np.testing.assert_allclose(
        [found.identified_low, found.identified_high], [mean + ends[1], mean - ends[0]], atol=1e-9
    )


def test_no_violation_as_smooth_as_m_equals_these_estimates():
    found = ea.honest(published(), "smoothness", [0, 0.5]).table
    assert np.isnan(found["identified_low"].iloc[0])
    assert "no violation in this set equals the estimates before treatment" in found["note"].iloc[0]
    assert found["note"].iloc[1] == ""


@pytest.mark.parametrize("m", [0.0, 0.003, 0.02, 0.3])
@pytest.mark.parametrize("target", [None, {2: 1.0}, {0: 1.0, 3: -1.0}])
def test_no_linear_estimator_has_a_shorter_interval(target, m):
    """Against a general minimiser over all weights before treatment that leave out a linear trend."""
    study = published()
    weights_ = study.weigh(target)
    covariance = study.covariance
    found = shortest(trace(4, weights_, covariance), study.estimate, covariance, m, 0.95)
    times = np.array([-4, -3, -2, -1, 1, 2, 3, 4])  # periods from the reference
    basis = np.linalg.svd(times[None, :4].astype(float))[2][1:]
    trend = float(weights_ @ times[4:])
    start = np.concatenate([-trend * times[:4] / (times[:4] @ times[:4]), weights_])
    kinks = np.arange(-3, 4)
    hinges = np.where(
        kinks[:, None] < 0, np.maximum(kinks[:, None] - times, 0), np.maximum(times - kinks[:, None], 0)
    )  # fmt: skip
    hinges[kinks < 0][:, times > 0] = 0

    def length(free):
        full = start + np.concatenate([free @ basis, np.zeros(4)])
        on_side = np.where((kinks[:, None] < 0) == (times < 0), hinges, 0)
        spread = np.sqrt(full @ covariance @ full)
        return float(folded_quantile(0.95, m * np.abs(on_side @ full).sum() / spread) * spread)

    best = min(
        minimize(length, first, method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-9, "fatol": 1e-12}).fun
        for first in (np.zeros(3), (found.weights - start)[:4] @ basis.T)
    )
    assert length((found.weights - start)[:4] @ basis.T) == pytest.approx(found.half_length, rel=1e-7)
    assert found.half_length == pytest.approx(best, rel=1e-5)
    assert found.weights[:4] @ times[:4] == pytest.approx(-trend, abs=1e-12)


def test_every_corner_of_the_path_is_a_solution_of_its_lasso():
    """Of min u'Hu/2 + g'u + penalty sum|u|: no gradient above the penalty, and equal to it against the sign of u."""
    left = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        root, gradient = rng.normal(size=(6, 6)), rng.normal(size=6)
        gram = root @ root.T + 0.01 * np.eye(6)
        corners = _lasso_path(gram, gradient)
        residual = gradient + corners @ gram
        penalty = np.abs(residual).max(axis=1)
        assert (corners[0] == 0).all()
        assert (np.diff(penalty) < 0).all()
        np.testing.assert_allclose(corners[-1], -np.linalg.solve(gram, gradient), rtol=1e-6)
        used = np.abs(corners) > ROUNDING
        np.testing.assert_allclose(
            residual[used], (-np.sign(corners) * penalty[:, None])[used], atol=ROUNDING * penalty[0]
        )
        left += int((used[:-1] & ~used[1:]).sum())
    assert left > 10  # coordinates that leave the path again are part of what is tested


@pytest.mark.parametrize("level", [0.9, 0.95, 0.995])
def test_the_folded_normal_quantile_is_exact(level):
    means = np.array([0.0, 1e-6, 0.3, 1, 5, 40, 4000])
    found = folded_quantile(level, means)
    np.testing.assert_allclose(ndtr(found - means) - ndtr(-found - means), level, rtol=1e-12)
    assert found[2] == pytest.approx(foldnorm(0.3).ppf(level))


def test_the_least_favourable_value_is_the_simulated_quantile():
    study, draws = published(), 400_000
    limits = restrict("relative_magnitude", None, 4, 4)
    problem = pose(
        state(limits, 1.0, 3, study.covariance, study.weigh(None)),
        find_corners(limits, study.weigh(None)),
        study.estimate,
    )
    rng = np.random.default_rng(3)
    normal = rng.multivariate_normal(np.zeros(8), study.covariance, draws)
    largest = (normal @ problem.loading.T).max(axis=1)
    found = least_favourable(problem, 0.05, normal[:4000], rng.random((4000, 2)))
    # 4 standard errors of a share of 0.05 in the simulation.
    assert (largest > found).mean() == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / draws) + 2e-3)


# Identities


# The covariance of the coefficients leaves a cluster out where it has more than 2% of a coefficient, the error of their average where it
# has more than 2% of the average; elsewhere one step stands for it.
ONE_STEP = 0.02


@pytest.mark.parametrize("method", ["C-LF", "conditional"])
def test_without_violations_the_interval_is_the_usual_one(method):
    """With m = 0 all rows but the effect's own are slack or known: both stages together have the usual size."""
    for study in (published(), ours(), panel_study("event_study")):
        result = ea.honest(study, m=0, method=method)
        usual = result.original.iloc[0]
        found = result.table.iloc[0]
        np.testing.assert_allclose(
            [found.conf_low, found.conf_high], [usual.conf_low, usual.conf_high], atol=ONE_STEP * usual.std_error
        )


def test_a_linear_trend_is_extrapolated_when_second_differences_are_zero():
    """The weights at m = 0 are those of generalised least squares of the coefficients before treatment on a line."""
    study = published()
    line = np.array([-4, -3, -2, -1, 1, 2, 3, 4.0])
    inverse = np.linalg.inv(study.covariance)
    design = np.column_stack([line, np.eye(8)[:, 4:]])
    solved = np.linalg.solve(design.T @ inverse @ design, design.T @ inverse @ study.estimate)
    found = ea.honest(study, "smoothness", 0).table.iloc[0]
    assert (found.conf_low + found.conf_high) / 2 == pytest.approx(solved[1:].mean(), rel=1e-9)


def test_a_trend_is_removed_whatever_its_slope():
    study = published()
    tilted = replace_estimate(study, study.estimate + 0.3 * np.array([-4, -3, -2, -1, 1, 2, 3, 4]))
    for method in ("FLCI", "C-LF", "C-F"):
        first, second = (ea.honest(s, "smoothness", 0.1, method=method).table for s in (study, tilted))
        np.testing.assert_allclose(first[ENDS], second[ENDS], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_widen_with_m(kind):
    table = ea.honest(published(), kind, np.linspace(0.0, 0.6, 7)).table
    for low, high in (("identified_low", "identified_high"), ("conf_low", "conf_high")):
        inside = table[[low, high]].dropna()
        assert len(inside) > 3
        assert (inside[low].diff().dropna() <= ROUNDING).all()
        assert (inside[high].diff().dropna() >= -ROUNDING).all()


ENDS = ["conf_low", "conf_high", "identified_low", "identified_high"]


def replace_estimate(study, estimate, factor=1.0):
    return ea.EventStudy(study.event_time, estimate, study.covariance * factor**2)


CASES = [(kind, None) for kind in KINDS] + [("relative_magnitude", "increasing"), ("smoothness", "negative")]


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_units_of_the_outcome_only_scale_the_bounds(kind, shape):
    study, m = published(), 0.2
    hundred = replace_estimate(study, study.estimate * 100, 100)
    first = ea.honest(study, kind, m, shape=shape)
    second = ea.honest(hundred, kind, m * 100 if kind == "smoothness" else m, shape=shape)
    np.testing.assert_allclose(second.table[ENDS], first.table[ENDS] * 100, rtol=1e-6)
    assert second.breakdown.m == pytest.approx(first.breakdown.m * (100 if kind == "smoothness" else 1), rel=1e-3)


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_a_change_of_sign_mirrors_the_bounds(kind, shape):
    opposite = {None: None, "increasing": "decreasing", "negative": "positive"}[shape]
    study, turned = published(), replace_estimate(published(), -published().estimate)
    first = ea.honest(study, kind, 0.3, shape=shape)
    second = ea.honest(turned, kind, 0.3, shape=opposite)
    # The simulated critical value of the mirrored problem has other draws.
    scale = 0.02 * float(first.original["std_error"].iloc[0])
    np.testing.assert_allclose(-second.table[ENDS].to_numpy()[:, [1, 0, 3, 2]], first.table[ENDS], atol=scale)
    assert second.breakdown.sign == -first.breakdown.sign


def test_a_shape_never_widens_the_identified_set():
    plain = ea.honest(published(), m=0.5).table.iloc[0]
    for shape in SHAPES:
        found = ea.honest(published(), m=0.5, shape=shape).table.iloc[0]
        assert found.identified_low >= plain.identified_low - ROUNDING
        assert found.identified_high <= plain.identified_high + ROUNDING
        assert found.identified_high - found.identified_low < 0.9 * (plain.identified_high - plain.identified_low)


def test_the_breakdown_is_where_the_interval_reaches_zero():
    for kind in KINDS:
        result = ea.honest(published(), kind)
        at = ea.honest(published(), kind, [result.breakdown.m * 0.999, result.breakdown.m * 1.001]).table["conf_low"]
        assert at.iloc[0] > 0 > at.iloc[1]


def test_there_may_be_no_breakdown():
    study = published()
    none = ea.honest(replace_estimate(study, study.estimate * [1, 1, 1, 1, 0, 0, 0, 0])).breakdown
    assert np.isnan(none.m)
    assert none.note == "zero is inside at m = 0 already"
    # A violation known to be negative only hides part of a positive effect.
    never = ea.honest(study, "smoothness", 0.1, shape="negative").breakdown
    assert np.isinf(never.m)
    assert "zero is still outside" in never.note


def test_the_draws_are_seeded():
    first, again, other = (ea.honest(published(), m=1, draws=200, seed=s).table for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert (first["conf_low"] != other["conf_low"]).all()


# From effects


@cache
def panel_study(method, **options):
    effects = ea.estimate(diagnose(counties()), method, **options)
    return effects if method == "event_study" else effects.aggregate("event_time")


@pytest.mark.parametrize("method", ["event_study", "sun_abraham", "callaway_santanna", "dcdh", "stacked"])
def test_effects_bring_coefficients_covariance_and_the_usual_row(method):
    event = panel_study(method, **({"base_period": "universal"} if method == "callaway_santanna" else {}))
    result = ea.honest(event, m=[0.5])
    table = ea.infer(event).set_index("event_time").drop(index=-1)
    study = result.study
    assert study.event_time.tolist() == table.index.tolist()
    np.testing.assert_allclose(study.estimate, table["estimate"])
    np.testing.assert_allclose(np.sqrt(np.diag(study.covariance)), table["std_error"])
    treated = event.cells["event_time"].to_numpy() >= 0
    own = ea.infer(event.combine(treated / treated.sum()))
    np.testing.assert_allclose(
        result.original[["estimate", "std_error", "conf_low"]], own[["estimate", "std_error", "conf_low"]]
    )
    assert result.table["vcov"].tolist() == own["vcov"].tolist()
    assert result.table["distribution"].tolist() == own["distribution"].tolist()


def test_the_order_of_cells_and_rows_changes_nothing():
    event = panel_study("event_study")
    order = np.random.default_rng(1).permutation(len(event))
    shuffled = event.combine(np.eye(len(event))[:, order], event.cells.iloc[order])
    frame = counties().sample(frac=1, random_state=2)
    again = ea.estimate(diagnose(frame), "event_study")
    first = ea.honest(event, m=[0.3])
    for other in (shuffled, again):
        found = ea.honest(other, m=[0.3])
        np.testing.assert_allclose(found.table[ENDS], first.table[ENDS], rtol=1e-6)


def test_covariances_follow_the_named_convention():
    event = panel_study("event_study").select(event_time=range(-4, 4))
    prefecture = counties().drop_duplicates("county").set_index("county")["prefecture"]
    for vcov in ("CR0", "CR1", "CR3", "reference"):
        result = ea.honest(event, m=0.5, vcov=vcov, cluster=prefecture)
        expected = ea.infer(event, vcov=vcov, cluster=prefecture)["std_error"].dropna()
        np.testing.assert_allclose(np.sqrt(np.diag(result.study.covariance)), expected)
        assert result.study.n_clusters == 12
    changed = event.select(event_time=range(-4, 4))
    assert ea.honest(changed, m=0.5, vcov="CR1").study.n_clusters == 60


def test_periods_of_anticipation_are_no_effects():
    event = panel_study("event_study", reference=-2)
    result = ea.honest(event, m=[0])
    assert result.weights.loc[-1] == 0
    np.testing.assert_allclose(result.weights.loc[0:], 1 / len(result.weights.loc[0:]))


def test_weights_pick_the_effect():
    event = panel_study("event_study")
    by_list = ea.honest(event, m=0.2, weights=[0, 1, 0, 0, 0, 0, 0, 0])
    for named in ({1: 1.0}, pd.Series({1: 1.0})):
        pd.testing.assert_frame_equal(ea.honest(event, m=0.2, weights=named).table, by_list.table)
    row = ea.infer(event).set_index("event_time").loc[1]
    assert by_list.original["conf_low"].iloc[0] == pytest.approx(row["conf_low"])


def test_effects_read_from_a_file_give_the_same():
    event = panel_study("event_study")
    again = ea.Effects.from_json(event.to_json())
    ours, theirs = (ea.honest(one, m=0.2, vcov="CR1").table for one in (again, event))
    pd.testing.assert_frame_equal(ours, theirs)


def test_the_caller_keeps_what_was_passed():
    estimate, covariance = np.array([0.1, 0.5]), np.eye(2)
    study = ea.EventStudy([-2, 0], estimate, covariance)
    estimate[:] = 9
    covariance[:] = 9
    assert study.estimate.tolist() == [0.1, 0.5]
    assert study.covariance.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("kind", ["relative_magnitude", "smoothness"])
def test_the_curve_is_the_usual_interval_and_the_table_in_the_unit_asked_for(kind):
    result = ea.honest(published(), kind, [0.0, 0.2])
    curve = result.curve(100)
    assert curve["kind"].tolist() == ["usual", "bounds", "bounds"]
    np.testing.assert_allclose(curve["conf_low"].iloc[1:], 100 * result.table["conf_low"])
    assert curve["conf_high"].iloc[0] == pytest.approx(100 * result.original["conf_high"].iloc[0])
    # m multiplies what was seen before treatment, or is itself in the unit of the outcome.
    factor = 100 if kind == "smoothness" else 1
    assert curve["m"].iloc[2] == pytest.approx(0.2 * factor)
    np.testing.assert_allclose(curve["breakdown"], factor * result.breakdown.m)


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (0.25, "Zero is reached once trends diverge by M = 0.25."),
        (np.nan, "Zero is inside the interval even"),
        (np.inf, "not reached"),
    ],
)
def test_the_figure_says_where_the_effect_loses_its_sign(limit, text):
    frame = ea.honest(published(), m=[0, 1]).curve(100).assign(breakdown=limit)
    made = draw(draw_honest, frame, Look("real", "Share", 0.95), name="x", caption="")
    assert text in made.alt
    assert "Under parallel trends: +18.38 to +25.30. M = 0: +18.38 to +25.30; M = 1: " in made.alt


# Refusals


def study_of(times, covariance=None, reference=-1):
    size = len(times)
    return ea.EventStudy(times, np.ones(size), np.eye(size) if covariance is None else covariance, reference)


REFUSED = {
    "m negative": (lambda: ea.honest(published(), m=[0.5, -1]), r"m=\[0.5, -1\] found; .* 0 or above"),
    "no m": (lambda: ea.honest(published(), m=[]), "one or more finite numbers"),
    "words": (
        lambda: ea.honest(published(), "smooth", shape="up"),
        "restriction='smooth' is not a choice; choose relative_magnitude.*; shape='up' is not a choice",
    ),
    "method": (lambda: ea.honest(published(), method="LP"), "method='LP' is not a choice; choose FLCI, C-LF"),
    "FLCI of magnitudes": (lambda: ea.honest(published(), method="FLCI"), "infinite length under relative_magnitude"),
    "FLCI with shape": (
        lambda: ea.honest(published(), "smoothness", shape="positive", method="FLCI"),
        "as long as without the shape",
    ),
    "C-F": (lambda: ea.honest(published(), method="C-F"), "starts from an FLCI, which relative_magnitude has not"),
    "level": (lambda: ea.honest(published(), level=95), "level=95 found; a coverage between 0.5 and 1"),
    "draws": (lambda: ea.honest(published(), draws=0), "draws=0 found; at least 2 points and 16 draws"),
    "one period before": (
        lambda: ea.honest(study_of([-2, 0, 1]), "relative_smoothness"),
        "relative_smoothness needs two coefficient.*finds 1: nothing before treatment",
    ),
    "gap": (
        lambda: study_of([-5, -2, 0, 1]),
        r"event times are not consecutive \(missing: -4, -3\).*one period apart; keep a run without gaps",
    ),
    "no period before": (
        lambda: study_of([0, 1]),
        "no coefficient before the reference period -1.*estimate periods before",
    ),
    "no period after": (lambda: study_of([-3, -2]), "no coefficient after the reference period -1"),
    "reference among them": (lambda: study_of([-2, -1, 0]), "the reference period -1 is among the coefficients"),
    "order": (lambda: study_of([0, -2]), "event times are not ascending"),
    "only errors": (lambda: study_of([-2, 0], [0.1, 0.2]), "standard errors alone do not say how"),
    "not symmetric": (lambda: study_of([-2, 0], [[1, 0.5], [0, 1]]), "covariance is not symmetric"),
    "missing": (lambda: study_of([-2, 0], [[1, 0], [0, np.nan]]), "missing or infinite numbers; leave out"),
    "no variance": (lambda: study_of([-2, 0], [[1, 0], [0, 0]]), r"no variance at event time 0"),
    "several": (lambda: study_of([-4, 2], [[1, 0.5], [0, 1]]), "not consecutive .*; the covariance is not symmetric"),
    "no covariance": (lambda: study_of([-2, 0], [[1, 2], [2, 1]]), "negative eigenvalues: it is no covariance"),
    "singular": (
        lambda: study_of([-3, -2, 0], np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]])),
        "3 coefficients has rank 2:.*Keep at most 2 coefficients.*event times -2 to 0",
    ),
    "few clusters": (
        lambda: ea.honest(panel_study("event_study"), cluster=prefectures(), vcov="CR1"),
        "15 coefficients has rank 11 with 12 clusters, too few for so many.*Keep at most 11",
    ),
    "weights": (
        lambda: ea.honest(published(), weights=[1, 2]),
        r"weights has shape \(2,\); one weight for each of the event times 0, 1, 2, 3",
    ),
    "unknown weight": (lambda: ea.honest(published(), weights={7: 1.0}), r"weights name event time 7"),
    "no weight": (lambda: ea.honest(published(), weights=[0, 0, 0, 0]), "only zeros"),
    "varying base": (
        lambda: ea.honest(panel_study("callaway_santanna")),
        "base_period='varying' an estimate before treatment is the change from the period before it.*universal",
    ),
    "no pre-periods": (lambda: ea.honest(panel_study("imputation")), "imputation gives no estimates before treatment"),
    "no reference": (
        lambda: ea.honest(panel_study("event_study").select(event_time=[-3, -2, 0, 1])),
        "none of the cells is a reference period",
    ),
    "cells": (
        lambda: ea.honest(ea.estimate(diagnose(counties()), "sun_abraham")),
        r"Cells by cohort, period, event_time found; .*aggregate\('event_time'\)",
    ),
    "gap in effects": (
        lambda: ea.honest(panel_study("event_study").select(event_time=[-4, -2, -1, 0])),
        r"not consecutive \(missing: -3\)",
    ),
    "no joint covariance": (lambda: ea.honest(panel_study("event_study"), vcov="multiplier"), "no covariance between"),
    "something else": (lambda: ea.honest(counties()), "DataFrame found; Effects by event time or an EventStudy"),
}


def prefectures():
    return counties().drop_duplicates("county").set_index("county")["prefecture"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_with_the_reason(name):
    call, text = REFUSED[name]
    with pytest.raises(InferenceError, match=text):
        call()


def test_one_treated_cluster_has_no_bounds():
    frame = counties()
    first = frame.loc[frame["cohort"].notna(), "county"].iloc[0]
    single = frame[frame["cohort"].isna() | (frame["county"] == first)]
    with pytest.raises(InferenceError, match="no covariance to work with: one treated cluster"):
        ea.honest(ea.estimate(diagnose(single), "event_study"))


def test_with_few_clusters_the_default_does_not_fit_weights_to_their_noise():
    event = panel_study("event_study").select(event_time=range(-3, 3))
    result = ea.honest(event, "smoothness", 0.01, cluster=prefectures())
    assert result.method == "C-LF"
    assert (
        "weights of an FLCI would follow the noise of a covariance from 12 clusters, " in result.table["note"].iloc[0]
    )
    asked = ea.honest(event, "smoothness", 0.01, cluster=prefectures(), method="FLCI")
    assert "covers less than stated: weights fitted to a covariance from 12 clusters" in asked.table["note"].iloc[0]
    assert ea.honest(event, "smoothness", 0.01).method == "FLCI"


def test_few_clusters_are_named_in_the_result():
    event = panel_study("event_study").select(event_time=range(-3, 3))
    note = ea.honest(event, m=0.5, cluster=prefectures()).table["note"].iloc[0]
    assert "5 coefficients from 12 clusters is imprecise" in note
    assert "event times rest on" not in note
    assert (
        "event times rest on 11 to 39 treated units"
        in ea.honest(panel_study("event_study"), m=0.5).table["note"].iloc[0]
    )


def test_with_two_treated_clusters_the_usual_interval_has_their_degrees_of_freedom():
    frame = simulate(91, n_units=24, cohorts=(None,))
    frame["cohort"] = np.where(frame["county"].isin(["C000", "C001"]), 5.0, np.nan)
    event = ea.estimate(diagnose(frame), "event_study")
    found = gather(event, None, 0.95)
    assert 1 <= found.study.degrees_of_freedom < 2
    assert set(found.original["distribution"]) == {f"t({found.study.degrees_of_freedom:.2f})"}
