"""Matrix completion, interactive fixed effects and the augmented synthetic control: California, and panels of known rank."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.did.estimators.synthetic.factor_models import complete

GOLDEN = Path(__file__).parents[2] / "golden" / "california"
METHODS = ["augmented_synthetic_control", "matrix_completion", "interactive_effects"]
# The reference's optimiser (SLSQP) stops at 1e-12 of the objective: 1e-3 packs of 20 to 130.
OPTIMISER = 1e-3
# Folds differ: over 40 draws of them the converged estimate is -19.83 to -20.00.
CHOSEN = 0.1
# Two solvers of one problem, in packs of 20; and where the estimator itself stops.
EXACT, STOPPED = 1e-8, 1e-3
# Two ways through the same least squares.
DENSE = 1e-9


@pytest.fixture(scope="module")
def california():
    frame = pd.read_csv(GOLDEN / "california_prop99.csv", sep=";")
    frame["first"] = np.where(frame["State"] == "California", 1989, np.nan)
    return ea.diagnose(frame, "State", "Year", "PacksPerCapita", "first")


@pytest.mark.parametrize("penalty", ["None", "1000.0", "10.0"])
def test_california_by_augmented_synthetic_control_equals_the_reference(california, penalty):
    """``pysyncon.AugSynth`` 1.7.0, without covariates; None is the penalty by cross-validation."""
    wanted = json.loads((GOLDEN / "augmented_synthetic_control.json").read_text())["results"][penalty]
    found = ea.estimate(
        california, "augmented_synthetic_control", penalty=None if penalty == "None" else float(penalty)
    )
    np.testing.assert_allclose(found.value, wanted["gap"], atol=OPTIMISER)
    assert found.aggregate("overall").value[0] == pytest.approx(wanted["att"], abs=OPTIMISER)


def bernoulli(chance: float, size: tuple[int, int]):
    """Draw zeros and ones as the default engine of libstdc++ does from its default seed, one matrix after another."""
    state, span = 1, 2**31 - 2

    def draw() -> float:
        nonlocal state
        words = []
        for _ in range(2):
            state = 16807 * state % (span + 1)
            words.append(state - 1)
        return (words[0] + words[1] * span) / span**2

    while True:
        yield np.array([[draw() < chance for _ in range(size[1])] for _ in range(size[0])]).astype(float)


def descend(outcome, mask, penalty, start, tolerance):
    """Minimise ``|Y - a - l - L|^2 / n + penalty |L|_*`` by turns until a step gains less than this share of the objective."""
    low, unit, period = start
    count, before = mask.sum(), np.inf
    for _ in range(400):
        unit = ((outcome - low - period) * mask).sum(axis=1) / mask.sum(axis=1)
        period = ((outcome - low - unit[:, None]) * mask).sum(axis=0) / mask.sum(axis=0)
        left, values, right = np.linalg.svd((outcome - low - unit[:, None] - period) * mask + low, full_matrices=False)
        values = np.maximum(values - penalty * count / 2, 0)
        low = (left * values) @ right
        now = (((outcome - low - unit[:, None] - period) * mask) ** 2).sum() / count + penalty * values.sum()
        if before - now < tolerance * before < np.inf:
            break
        before = now
    return low, unit, period


def two_way(outcome, mask):
    """Fit unit and period effects alone; give the start of the path and the smallest penalty that leaves no factor."""
    start = descend(outcome, mask, 1e9, (np.zeros(mask.shape), np.zeros(len(mask)), np.zeros(mask.shape[1])), 0.0)
    return start, 2 * np.linalg.norm((outcome - start[1][:, None] - start[2]) * mask, 2) / mask.sum()


def follow(outcome, mask, penalties):
    fits = [two_way(outcome, mask)[0]]
    for penalty in penalties:
        fits.append(descend(outcome, mask, penalty, fits[-1], 1e-5))
    return fits[1:]


def gaps(outcome, fit):
    return outcome - fit[0] - fit[1][:, None] - fit[2]


@pytest.fixture(scope="module")
def published(california):
    """Penalty, as a share of the largest, and estimate by ``MCPanel::mcnnm_cv(Y, 1 - W, num_lam_L = 20)``, done again here."""
    outcome = np.roll(california.matrices.outcome, -1, axis=0)  # California last
    mask = np.ones_like(outcome)
    mask[-1, 19:] = 0
    drawn = bernoulli(0.8, mask.shape)
    folds = [mask * next(drawn) for _ in range(5)]
    penalties = max(two_way(outcome, fold)[1] for fold in folds) * np.append(np.logspace(0, -3, 19), 0.0)
    errors = np.zeros(20)
    for fold in folds:
        left = mask * (1 - fold)
        errors += [(gaps(outcome, fit) ** 2 * left).sum() / left.sum() for fit in follow(outcome, fold, penalties)]
    best = int(errors.argmin())
    fit = follow(outcome, mask, penalties[: best + 1])[-1]
    return penalties[best] / two_way(outcome, mask)[1], gaps(outcome, fit)[-1, 19:].mean()


def test_the_published_estimate_for_california_is_of_this_penalty_left_before_it_has_converged(california, published):
    """-20.2 in Arkhangelsky et al. (2021), table 1: folds are drawn from a fixed seed; converged it is -19.94."""
    share, estimate = published
    assert (round(share, 4), round(estimate, 3)) == (0.0346, -20.218)
    found = ea.estimate(california, "matrix_completion", penalty=share).aggregate("overall").value[0]
    assert found == pytest.approx(-19.935, abs=5e-4)
    chosen = ea.estimate(california, "matrix_completion").aggregate("overall").value[0]
    assert chosen == pytest.approx(found, abs=CHOSEN)


@pytest.mark.parametrize("penalty", [0.3, 0.0346])
def test_the_completed_matrix_is_that_of_dummies_and_plain_proximal_steps(california, penalty):
    """Unit and period effects by their projection on dummies, no momentum, from zero: the same matrix, at the same objective."""
    outcome, first = california.matrices.outcome, california.matrices.cohort[:, None]
    observed = ~(california.matrices.periods >= first)
    n_units, n_periods = outcome.shape
    unit, period = np.nonzero(observed)
    dummies = np.concatenate([np.eye(n_units)[unit], np.eye(n_periods)[period, 1:]], axis=1)
    inverse = np.linalg.pinv(dummies)

    def left_by(low):
        effects = inverse @ (outcome - low)[observed]
        return outcome - low - effects[:n_units, None] - np.append(0.0, effects[n_units:])

    threshold = penalty * np.linalg.norm(left_by(np.zeros_like(outcome)) * observed, 2)
    low, moved = np.zeros_like(outcome), np.inf
    while moved > 1e-12 * np.linalg.norm(outcome):
        left, values, right = np.linalg.svd(low + left_by(low) * observed, full_matrices=False)
        new = (left * np.maximum(values - threshold, 0)) @ right
        low, moved = new, np.linalg.norm(new - low)
    gap = complete(outcome, observed, np.array([1.0, penalty]), 1e-13)[1]
    np.testing.assert_allclose(gap, left_by(low), atol=EXACT)
    found = ea.estimate(california, "matrix_completion", penalty=penalty)
    np.testing.assert_allclose(found.value, left_by(low)[0], atol=STOPPED)

    effects = outcome - low - left_by(low)
    objectives = [
        (one[observed] ** 2).sum() / 2 + threshold * np.linalg.norm(outcome - one - effects, "nuc")
        for one in (gap, left_by(low))
    ]
    assert objectives[0] == pytest.approx(objectives[1], rel=1e-9)  # rounding of the gap adds singular values


@pytest.mark.parametrize("penalty", [0.3, 0.05])
def test_the_completed_matrix_is_optimal(california, penalty):
    """The residual is the subgradient: singular vectors of L times the penalty, and no singular value above it."""
    matrices = california.matrices
    observed = ~(matrices.periods >= matrices.cohort[:, None])
    none, gap = complete(matrices.outcome, observed, np.array([1.0, penalty]), 1e-12)
    largest = np.linalg.norm(none * observed, 2)
    residual = gap * observed
    np.testing.assert_allclose(residual.sum(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(residual.sum(axis=1), 0, atol=1e-6)
    left, values, _ = np.linalg.svd(residual)
    rank = int((values > penalty * largest * (1 - 1e-9)).sum())
    np.testing.assert_allclose(values[:rank], penalty * largest, rtol=1e-9)
    # What is left of the outcome is effects and a part whose singular vectors are the leading ones of the residual.
    net = matrices.outcome - gap
    low = net - net.mean(axis=0) - net.mean(axis=1, keepdims=True) + net.mean()
    basis = np.linalg.svd(np.column_stack([left[:, :rank], np.ones(len(low))]), full_matrices=False)[0]
    np.testing.assert_allclose(low - basis @ (basis.T @ low), 0, atol=1e-6)


def test_without_factors_the_models_are_two_way_fixed_effects():
    design = diagnose(simulate(5, cohorts=(5, 7, None)))
    imputed = ea.estimate(design, "imputation")
    alone = ea.estimate(design, "matrix_completion", penalty=1.0)
    np.testing.assert_allclose(alone.align(imputed.cells).value, imputed.value, atol=DENSE)
    one = diagnose(simulate(5, cohorts=(5, None)))
    plain = ea.estimate(one, "two_by_two").aggregate("overall").value
    found = ea.estimate(one, "interactive_effects", factors=0).aggregate("overall").value
    np.testing.assert_allclose(found, plain, atol=DENSE)


def factor_panel(noise, seed=2, n=40, periods=20, effect=1.0):
    """Two factors with loadings that are higher among the treated: two-way fixed effects are biased."""
    rng = np.random.default_rng(seed)
    time = np.arange(1, periods + 1)
    start = np.array([12, 15, np.nan, np.nan])[np.arange(n) % 4]
    factors = np.column_stack([np.sin(time / 2.0), (time / periods) ** 2])
    loadings = rng.normal(size=(n, 2)) + 1.5 * ~np.isnan(start)[:, None]
    outcome = rng.normal(size=(n, 1)) + rng.normal(size=periods) + loadings @ factors.T
    outcome += rng.normal(0, noise, (n, periods)) + effect * (time >= start[:, None])
    return pd.DataFrame({
        "unit": np.repeat(np.arange(n), periods), "time": np.tile(time, n), "first": np.repeat(start, periods),
        "y": outcome.ravel(),
    })  # fmt: skip


@pytest.fixture(scope="module")
def turnout():
    frame = pd.read_csv(GOLDEN.parent / "turnout" / "turnout.csv")
    first = frame[frame["policy_edr"] == 1].groupby("abb")["year"].min()
    return frame.assign(first=frame["abb"].map(first))


def diagnose_turnout(frame, **options):
    return ea.diagnose(frame, "abb", "year", "turnout", "first", outcome_unit="number", **options)


# Slopes of covariates are estimated before the factors, not with them.
APART = 0.2


def test_turnout_with_covariates_is_near_the_published_effect_of_election_day_registration(turnout):
    """R gsynth: ``turnout ~ policy_edr + policy_mail_in + policy_motor``, two-way effects, gives 4.90 with the two factors that it chooses."""
    design = diagnose_turnout(turnout, covariates=["policy_mail_in", "policy_motor"])
    found = ea.estimate(design, "interactive_effects").aggregate("overall").value[0]
    assert found == pytest.approx(4.90, abs=APART)
    two = ea.estimate(design, "interactive_effects", factors=2).aggregate("overall").value[0]
    assert found == pytest.approx(two, abs=DENSE)


def test_turnout_without_covariates_is_that_of_alternating_least_squares(turnout):
    """Factors of states without the reform by Bai's iteration; each other state regressed on them over the elections before its reform."""
    wide = turnout.pivot_table(index="abb", columns="year", values="turnout")
    first = turnout.groupby("abb")["first"].first()
    other = wide[first.isna()].to_numpy()
    period = other.mean(axis=0)
    net = other - period - other.mean(axis=1, keepdims=True) + period.mean()
    factors = np.random.default_rng(1).normal(size=(net.shape[1], 2))
    for _ in range(3_000):
        loadings = np.linalg.lstsq(factors, net.T, rcond=None)[0].T
        factors = np.linalg.qr(np.linalg.lstsq(loadings, net, rcond=None)[0].T)[0]
    x = np.column_stack([np.ones(len(factors)), factors])
    gaps = []
    for state, start in first.dropna().items():
        before = (wide.columns < start).astype(bool)
        own = wide.loc[state].to_numpy() - period
        gaps += list((own - x @ np.linalg.lstsq(x[before], own[before], rcond=None)[0])[~before])
    found = ea.estimate(diagnose_turnout(turnout), "interactive_effects").aggregate("overall").value[0]
    assert found == pytest.approx(np.mean(gaps), abs=1e-6)  # where the iteration stops
    assert found == pytest.approx(5.13, abs=0.005)


@pytest.mark.parametrize("factors", [1, 2, 3])
def test_california_by_interactive_effects_is_that_of_alternating_least_squares(california, factors):
    """Loadings and factors of the other states by turns, from random factors; California on them over the years before 1989."""
    matrices = california.matrices
    other, own = matrices.outcome[matrices.never], matrices.outcome[0]
    period = other.mean(axis=0)
    net = other - period - other.mean(axis=1, keepdims=True) + period.mean()
    space = np.random.default_rng(factors).normal(size=(net.shape[1], factors))
    for _ in range(500):
        loadings = np.linalg.lstsq(space, net.T, rcond=None)[0].T
        space = np.linalg.qr(np.linalg.lstsq(loadings, net, rcond=None)[0].T)[0]
    x, before = np.column_stack([np.ones(len(space)), space]), matrices.periods < 1989
    gap = own - period - x @ np.linalg.lstsq(x[before], (own - period)[before], rcond=None)[0]
    found = ea.estimate(california, "interactive_effects", factors=factors)
    np.testing.assert_allclose(found.value, gap, atol=EXACT)


def test_a_cohort_with_few_periods_before_has_as_many_factors_as_can_be_told_apart():
    """Two periods before the first cohort's start take no factor, five before the other's up to three."""
    frame = factor_panel(0.02)
    design = diagnose_factors(frame[frame["time"] >= 10])
    chosen, *by_number = (ea.estimate(design, "interactive_effects", factors=r) for r in (None, 0, 1, 2, 3))
    first = (chosen.cells["cohort"] == 12).to_numpy()
    np.testing.assert_allclose(chosen.value[first], by_number[0].value[first], atol=DENSE)
    same = [np.allclose(chosen.value[~first], one.value[~first], atol=DENSE) for one in by_number]
    assert same.index(True) > 0


def diagnose_factors(frame):
    return ea.diagnose(frame, "unit", "time", "y", "first")


def test_factors_without_noise_are_recovered_exactly():
    found = ea.estimate(diagnose_factors(factor_panel(0.0)), "interactive_effects", factors=2)
    late = (found.cells["event_time"] >= 0).to_numpy()
    np.testing.assert_allclose(found.value, np.where(late, 1.0, 0.0), atol=DENSE)


@pytest.mark.parametrize("method", METHODS)
def test_an_effect_behind_factors_is_nearer_than_by_two_way_effects(method):
    design = diagnose_factors(factor_panel(0.05))
    found = ea.estimate(design, method).aggregate("overall").value[0]
    plain = ea.estimate(design, "imputation").aggregate("overall").value[0]
    assert abs(plain - 1) > 0.9
    # The penalties of the other two shrink what the factors should take off
    assert abs(found - 1) < (0.15 if method == "interactive_effects" else 0.65) * abs(plain - 1)


def test_the_number_of_factors_is_found():
    design = diagnose_factors(factor_panel(0.05))
    chosen, two = (ea.estimate(design, "interactive_effects", factors=r) for r in (None, 2))
    np.testing.assert_allclose(chosen.aggregate("overall").value, two.aggregate("overall").value, atol=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_inference_is_by_placebo_and_says_so(california, method):
    found = ea.estimate(california, method).aggregate("overall")
    row = ea.infer(found).iloc[0]
    assert np.isnan(row["std_error"])
    assert "placebo in space" in row["note"]


def test_a_placebo_in_space_ranks_california(california):
    """38 states take California's place: the smallest p-value there is would be 1 / 39."""
    found = ea.placebo(california, "augmented_synthetic_control", "space", penalty=1000.0)
    assert found.exact
    assert found.actual["estimate"].iloc[0] == pytest.approx(-16.756, abs=OPTIMISER)
    assert 1 / 39 <= found.ratio_p_value <= 0.2


def test_too_many_factors_are_refused_with_the_number_that_can_be_told_apart(california):
    frame = factor_panel(0.1)
    found = ea.estimate(diagnose_factors(frame[frame["time"] >= 9]), "interactive_effects", factors=3)
    assert "3 factors found, at most 1 can be told apart with 3 periods before the start" in found.cells["reason"][0]
    assert np.isnan(found.value[0])
