"""The wild cluster bootstrap: R's exact p-values, a twin on dense dummies, identities, invariances, size and refusals."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.panels import GOLDEN, counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import InferenceError
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.variance.by_cluster import group_clusters
from evalaid.did.inference.wild.wild_columns import DrawnColumns
from evalaid.did.inference.wild.wild_draws import Plan
from evalaid.did.inference.wild.wild_inversion import Draws, describe_set
from evalaid.did.inference.wild.wild_scores import KINDS, wild_scores

# Bootstrap t statistics against least squares on dense dummies: both in double precision, t statistics of order one.
TOLERANCE = 1e-10
# Two ways to the same number in double precision, relative.
ROUNDING = 1e-9

R_KINDS = {"fnw11.null_TRUE": "WCR11", "fnw11.null_FALSE": "WCU11", "31.null_TRUE": "WCR31", "31.null_FALSE": "WCU31"}


def prefectures() -> pd.Series:
    return counties().drop_duplicates("county").set_index("county")["prefecture"]


@pytest.fixture(scope="module")
def golden() -> dict[str, dict]:
    entries = json.loads((GOLDEN / "counties_a.json").read_text())["entries"]
    return {entry["id"]: entry["results"] for entry in entries if entry["id"].startswith("boottest")}


@pytest.mark.parametrize(("named", "kind"), R_KINDS.items())
def test_enumerated_p_values_equal_r(golden, named, kind):
    effects = ea.estimate(diagnose(counties()), "twfe")
    row = ea.wild_bootstrap(effects, kind=kind, cluster=prefectures()).iloc[0]
    expected = golden[f"boottest.pf.rademacher.{named}"]
    assert row["p_value"] == expected["p"]
    assert row["estimate"] == pytest.approx(expected["point"], rel=ROUNDING)
    # R counts all dummies in the small-sample factor, fixest only those that are not nested in the clusters
    n, k = effects.convention.observations, effects.convention.parameters
    dummies = len(effects.population.units) - 1
    assert row["statistic"] * np.sqrt((n - k - dummies) / (n - k)) == pytest.approx(expected["t"], rel=ROUNDING)


# A twin that builds every dummy, refits for every draw, and leaves out every cluster.

PANELS = {
    "balanced": ({}, {}),
    "covariate": ({}, {"covariates": ["share_65"]}),
    "weighted": ({}, {"weight": "weight"}),
    "unbalanced": ({"missing": 0.08}, {"covariates": ["share_65"], "weight": "weight"}),
}
ROWS = {
    "twfe": ("twfe", None),
    "event study": ("event_study", None),
    "Sun-Abraham": ("sun_abraham", "overall"),
    "Sun-Abraham, events": ("sun_abraham", "event_time"),
    "extended": ("etwfe", "overall"),
}


def fit(row: str, panel: str) -> Effects:
    drawn, named = PANELS[panel]
    frame = simulate(5, n_units=15, n_periods=5, cohorts=(3, 4, None), **drawn)
    method, by = ROWS[row]
    effects = ea.estimate(diagnose(frame, **named), method, **({"covariates": ()} if method == "etwfe" else {}))
    return effects if by is None else effects.aggregate(by)


class Dense:
    """A weighted regression on explicit dummies; every estimate is a matrix product, nothing is shared with the package."""

    def __init__(self, effects: Effects, row: int, codes: np.ndarray) -> None:
        problem = effects.contrasts.problem
        data = problem.data
        n_units, n_periods = data.outcome.shape
        cohort = np.concatenate([np.full(rows.stop - rows.start, c) for c, rows in enumerate(data.slices)])
        parts = [problem.columns[cohort].reshape(n_units * n_periods, -1)]
        parts += [x.reshape(-1, 1) for x in data.covariates]
        if problem.absorbed == "unit":
            parts.append(np.kron(np.eye(n_units), np.ones((n_periods, 1))))
        mass = np.ones(n_units * n_periods) if data.mass is None else data.mass.ravel()
        seen, root = mass > 0, np.sqrt(mass[mass > 0])
        self.x = np.hstack(parts)[seen] * root[:, None]
        self.y = data.outcome.ravel()[seen] * root
        self.r = np.zeros(self.x.shape[1])
        self.r[: len(effects.contrasts.directions)] = effects.contrasts.directions[:, row]
        self.cluster = np.repeat(codes, n_periods)[seen]
        self.g = codes.max() + 1

    def solve(self, y: np.ndarray, keep: np.ndarray) -> np.ndarray:
        return np.linalg.pinv(self.x[keep], rcond=1e-10) @ y[keep]

    def residuals(self, theta: float, *, restricted: bool, left_out: bool) -> tuple[np.ndarray, np.ndarray]:
        """The fitted values that the draws start from, and the residuals that they multiply."""

        def coefficients(keep: np.ndarray) -> np.ndarray:
            free = self.solve(self.y, keep)
            if not restricted:
                return free
            slope = np.linalg.pinv(self.x[keep].T @ self.x[keep], rcond=1e-10) @ self.r
            return free - slope * (self.r @ free - theta) / (self.r @ slope)

        fitted = self.x @ coefficients(np.ones(len(self.y), dtype=bool))
        if not left_out:
            return fitted, self.y - fitted
        residual = np.empty_like(self.y)
        for g in range(self.g):
            own = self.cluster == g
            residual[own] = (self.y - self.x @ coefficients(~own))[own]
        return fitted, residual

    def statistics(self, theta: float, multipliers: np.ndarray, name: str) -> np.ndarray:
        kind = KINDS[name]
        fitted, residual = self.residuals(theta, restricted=kind.restricted, left_out=kind.residual == "3")
        drawn = fitted[:, None] + residual[:, None] * multipliers.T[self.cluster]
        everything = np.ones(len(self.y), dtype=bool)
        inverse = np.linalg.pinv(self.x.T @ self.x, rcond=1e-10)
        b = self.solve(drawn, everything)
        centre = theta if kind.restricted else self.r @ self.solve(self.y, everything)
        variance = np.zeros(drawn.shape[1])
        for g in range(self.g):
            own = self.cluster == g
            if kind.variance == "3":
                variance += (self.r @ self.solve(drawn, ~own) - self.r @ b) ** 2
            else:
                variance += (self.r @ inverse @ self.x[own].T @ (drawn - self.x @ b)[own]) ** 2
        return (self.r @ b - centre) / np.sqrt(variance)


def ours(effects: Effects, row: int, codes: np.ndarray, name: str, plan: Plan) -> Draws:
    contrasts, n_clusters = effects.contrasts, int(codes.max()) + 1
    groups = group_clusters(contrasts.problem, codes, n_clusters)
    scores = wild_scores(contrasts.problem, groups, contrasts.directions[:, row], n_clusters, KINDS[name])
    return Draws.of(scores, plan, float(effects.value[row]), "symmetric")


def multipliers_of(plan: Plan) -> np.ndarray:
    return np.concatenate(list(plan._multipliers()))


@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.crossed(3)
def test_every_bootstrap_t_equals_the_one_from_dense_dummies(name, row, panel, monkeypatch):
    effects = fit(row, panel)
    n_units = len(effects.population.units)
    chosen = int(np.flatnonzero(effects.contrasts.weights.any(axis=0))[-1])
    for codes in (np.arange(n_units), (np.arange(n_units) * 5 + 2) % 8):
        n_clusters = int(codes.max()) + 1
        dense = Dense(effects, chosen, codes)
        plans = [
            Plan(256 if n_clusters == 8 else 10, weights, n_clusters, 3) for weights in ("rademacher", "webb", "mammen")
        ]
        multipliers = [multipliers_of(plan)[:10] for plan in plans]
        # what takes less work decides how; both ways are held to the same numbers
        found = [ours(effects, chosen, codes, name, plan) for plan in plans]
        with monkeypatch.context() as other:
            other.setattr(
                "evalaid.did.inference.wild.wild_columns.GATHERED",
                np.inf if found[0].scores.sums.project is not None else -np.inf,
            )
            other.setattr("evalaid.did.inference.variance.hat.REGULAR", 0.0)
            again = [ours(effects, chosen, codes, name, plan) for plan in plans]
        assert {draws.scores.sums.project is None for draws in (found[0], again[0])} == {True, False}
        for theta in (0.0, 0.05):
            expected = dense.statistics(theta, np.concatenate(multipliers), name)
            for way in (found, again):
                drawn = [draws.drawn(theta)[:10] for draws in way]
                np.testing.assert_allclose(np.concatenate(drawn), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_where_a_cell_needs_a_cluster_residuals_are_those_of_the_generalised_inverse():
    frame = simulate(5, n_units=13, n_periods=5, cohorts=(3, None))
    alone = frame["county"] == "C000"
    frame.loc[alone, "cohort"] = 4  # a cohort of one county: without it, its cells have no coefficient
    effects = ea.estimate(diagnose(frame), "sun_abraham").aggregate("overall")
    codes = effects.population.cluster
    dense = Dense(effects, 0, codes)
    x, r = dense.x, dense.r
    slope = np.linalg.pinv(x.T @ x, rcond=1e-10) @ r
    column = x @ slope / np.sqrt(r @ slope)
    hat = x @ np.linalg.pinv(x, rcond=1e-10) - np.outer(column, column)
    residual = dense.y - x @ (np.linalg.pinv(x, rcond=1e-10) @ dense.y) + column * (column @ dense.y)
    modified = np.empty_like(residual)
    for g in range(dense.g):
        own = dense.cluster == g
        modified[own] = np.linalg.pinv(np.eye(own.sum()) - hat[np.ix_(own, own)], rcond=1e-8) @ residual[own]
    plan = Plan(60, "rademacher", dense.g, 1)
    multipliers = multipliers_of(plan)
    drawn = (modified[:, None] * multipliers.T[dense.cluster]) + (dense.y - residual)[:, None]
    b = np.linalg.pinv(x, rcond=1e-10) @ drawn
    scores = np.array([slope @ x[dense.cluster == g].T @ (drawn - x @ b)[dense.cluster == g] for g in range(dense.g)])
    expected = (r @ b) / np.sqrt((scores**2).sum(axis=0))
    np.testing.assert_allclose(ours(effects, 0, codes, "WCR31", plan).drawn(0.0), expected, rtol=1e-8)
    table = ea.wild_bootstrap(effects, kind="WCR13")
    assert "no estimate without cluster C000, so no jackknife variance; use WCR31 or WCR11" in table["note"][0]
    assert np.isnan(table["p_value"][0])


def test_a_saturated_aggregate_has_the_closed_form():
    effects = ea.estimate(diagnose(simulate(8, n_units=24, n_periods=6)), "sun_abraham").aggregate("overall")
    problem = effects.contrasts.problem
    slope = problem.inverse @ effects.contrasts.directions[:, 0]
    omega = problem.fitted(slope)
    restricted = problem.residual + omega * effects.value[0] / (slope @ effects.contrasts.directions[:, 0])
    own = (omega * restricted).sum(axis=1)
    plan = Plan(300, "rademacher", 24, 1)
    signs = multipliers_of(plan)
    cohort = np.concatenate([np.full(r.stop - r.start, c) for c, r in enumerate(problem.data.slices)])
    sums = np.stack([(signs * own)[:, cohort == c].sum(axis=1) for c in np.unique(cohort)], axis=1)
    expected = sums.sum(axis=1) / np.sqrt((own**2).sum() - (sums**2 / np.bincount(cohort)).sum(axis=1))
    draws = ours(effects, 0, effects.population.cluster, "WCR11", plan)
    np.testing.assert_allclose(draws.drawn(0.0), expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize(("name", "vcov"), [("WCR31", "CR1"), ("WCR33", "CR3"), ("WCU11", "CR1"), ("WCU13", "CR3")])
@pytest.mark.parametrize("panel", PANELS)
def test_the_error_behind_the_statistic_is_that_of_infer(name, vcov, panel):
    effects = fit("event study", panel)
    table, known = ea.wild_bootstrap(effects, kind=name, draws=99), ea.infer(effects, vcov=vcov)
    for column in ("estimate", "std_error", "statistic"):
        np.testing.assert_allclose(table[column], known[column], rtol=1e-8)
    assert [*table] == [*known]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("tail", ["symmetric", "equal"])
def test_the_set_holds_the_values_that_are_not_rejected(name, tail):
    effects = fit("twfe", "covariate")
    codes = effects.population.cluster
    draws = ours(effects, 0, codes, name, Plan(999, "webb", 15, 1))
    draws = Draws(draws.moments, draws.estimate, draws.scores, tail)
    (part,) = draws.confidence_set(0.9)
    step = 1e-6 * draws.scores.std_error
    for end, inward in zip(part, (step, -step), strict=True):
        assert draws.p_value(end + inward) > 0.1 >= draws.p_value(end - inward)
    assert draws.p_value(draws.estimate) > 0.9


def test_all_rows_share_the_draws_and_each_has_its_own_null():
    effects = fit("Sun-Abraham, events", "unbalanced")
    table = ea.wild_bootstrap(effects, draws=499)
    for k in np.flatnonzero(effects.contrasts.weights.any(axis=0)):
        mask = np.arange(len(effects)) == k
        alone = ea.wild_bootstrap(effects.select(mask), draws=499)
        pd.testing.assert_frame_equal(alone, table[mask].reset_index(drop=True), rtol=ROUNDING)
    fixed = table[table["event_time"] == -1].iloc[0]
    assert np.isnan(fixed["p_value"])
    assert "zero by construction" in fixed["note"]


def test_tables_and_products_sum_with_the_same_signs():
    plan = Plan(50, "rademacher", 21, 4)
    columns = np.random.default_rng(0).normal(size=(21, 5))
    signs = multipliers_of(plan)
    assert signs.shape == (50, 21)
    assert set(signs.ravel()) == {-1.0, 1.0}
    ((found, _),) = plan.sums([DrawnColumns(slice(None), columns, slice(None))], columns)
    np.testing.assert_allclose(found, signs @ columns, atol=TOLERANCE)
    halves = [DrawnColumns(np.arange(21)[k::2], columns[k::2], np.arange(5) + 5 * (1 - k)) for k in (0, 1)]
    ((apart, _),) = plan.sums(halves, columns)
    np.testing.assert_allclose(apart[:, :5] + apart[:, 5:], found, atol=TOLERANCE)
    np.testing.assert_allclose(apart[:, 5:], signs[:, ::2] @ columns[::2], atol=TOLERANCE)


def test_memory_grows_neither_with_draws_times_clusters_nor_with_dummies():
    frame = simulate(1, n_units=2800, n_periods=40, cohorts=(10, 20, 30, None))
    effects = ea.estimate(diagnose(frame), "sun_abraham").aggregate("overall")
    tracemalloc.start()
    ea.wild_bootstrap(effects)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    # the signs alone would be 224 MB, the dummies 2,500 MB; the panel itself is 0.9 MB
    assert peak < 60


COMPARED = ["p_value", "conf_low", "conf_high", "std_error"]


@pytest.fixture(scope="module")
def by_prefecture() -> pd.DataFrame:
    frame = simulate(9, n_units=40, missing=0.05)
    return ea.wild_bootstrap(ea.estimate(diagnose(frame, cluster="prefecture"), "twfe"))[COMPARED]


def test_p_values_do_not_depend_on_order_labels_units_or_equal_weights(by_prefecture):
    frame = simulate(9, n_units=40, missing=0.05)

    def again(changed: pd.DataFrame, **named) -> pd.DataFrame:
        return ea.wild_bootstrap(ea.estimate(diagnose(changed, cluster="prefecture", **named), "twfe"))[COMPARED]

    shuffled = again(frame.sample(frac=1, random_state=0))
    names = {name: f"Q{(7 * k + 3) % 10}" for k, name in enumerate(sorted(set(frame["prefecture"])))}
    relabelled = again(frame.assign(prefecture=frame["prefecture"].map(names)))
    weighted = again(frame.assign(weight=1.0), weight="weight")
    for found in (shuffled, relabelled, weighted):
        pd.testing.assert_frame_equal(found, by_prefecture, rtol=ROUNDING)
    scaled = again(frame.assign(share=100 * frame["share"]), outcome_unit="number")
    pd.testing.assert_series_equal(scaled["p_value"], by_prefecture["p_value"])


def test_the_same_seed_gives_the_same_draws_and_is_recorded():
    effects = fit("twfe", "balanced")
    first, again = (ea.wild_bootstrap(effects, draws=499, seed=7) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert first["note"][0].startswith("WCR31, 499 Rademacher draws, seed 7;")
    other = ea.wild_bootstrap(effects, draws=499, seed=np.random.default_rng(7))
    assert other["note"][0].startswith("WCR31, 499 Rademacher draws;")


def test_equal_tails_are_twice_the_rarer_side():
    effects = few(5, 6)
    exact = [ea.wild_bootstrap(effects, tail=tail) for tail in ("symmetric", "equal")]
    pd.testing.assert_frame_equal(*exact)
    draws = ours(effects, 0, np.arange(11), "WCR31", Plan(999, "mammen", 11, 1))
    own = draws.estimate / draws.scores.std_error
    above, below = np.mean(draws.drawn(0.0) > own), np.mean(draws.drawn(0.0) < own)
    found = ea.wild_bootstrap(effects, draws=999, weights="mammen", tail="equal")["p_value"][0]
    assert found == pytest.approx(2 * min(above, below))
    assert abs(above - below) > 0.01


def test_random_signs_agree_with_all_of_them():
    effects = ea.estimate(diagnose(counties()), "twfe")
    all_signs = ea.wild_bootstrap(effects, cluster=prefectures())["p_value"][0]
    some = ea.wild_bootstrap(effects, cluster=prefectures(), draws=4000)["p_value"][0]
    assert abs(some - all_signs) < 4 * np.sqrt(all_signs * (1 - all_signs) / 4000)


def rejections(repetitions: int, seed: int) -> int:
    """How often WCR31 rejects a true null at 5% with 12 unlike clusters, half of them treated."""
    rng = np.random.default_rng(seed)
    size = np.array([1, 1, 2, 2, 3, 3] * 2)
    cluster = np.repeat(np.arange(12), size)
    unit, year = np.divmod(np.arange(len(cluster) * 6), 6)
    start = np.where(cluster < 6, 4.0, np.nan)
    frame = pd.DataFrame({"unit": unit, "year": year + 1, "cohort": start[unit], "cluster": cluster[unit]})
    count = 0
    for _ in range(repetitions):
        common = np.cumsum(rng.normal(size=(12, 6)), axis=1)
        frame["y"] = common[cluster].ravel() + rng.normal(size=len(frame))
        design = ea.diagnose(frame, "unit", "year", "y", "cohort", cluster="cluster")
        count += ea.wild_bootstrap(ea.estimate(design, "twfe"))["p_value"][0] <= 0.05
    return count


def test_a_true_null_is_rejected_about_as_often_as_said():
    # binomial(100, .05): between 1 and 12 with probability .995
    assert 1 <= rejections(100, seed=1) <= 12


@pytest.mark.slow
def test_the_size_is_within_two_points_of_five_per_cent():
    # 4 binomial standard errors of 2,000 repetitions are 1.9 points
    assert 0.03 <= rejections(2000, seed=2) / 2000 <= 0.07


def few(n_treated: int, n_others: int) -> Effects:
    frame = simulate(2, n_units=n_treated + n_others, n_periods=5, cohorts=(None,))
    treated = frame["county"].isin(sorted(set(frame["county"]))[:n_treated])
    return ea.estimate(diagnose(frame.assign(cohort=np.where(treated, 3.0, np.nan))), "twfe")


def test_one_treated_cluster_is_a_result_with_a_reason():
    row = ea.wild_bootstrap(few(1, 9)).iloc[0]
    assert np.isnan(row["p_value"])
    assert not np.isnan(row["estimate"])
    assert row["note"].startswith("one treated cluster: the p-value of a wild bootstrap means nothing")
    assert "randomisation inference (evalaid.randomize)" in row["note"]


def test_one_comparison_cluster_is_a_result_with_a_reason():
    row = ea.wild_bootstrap(few(9, 1)).iloc[0]
    assert np.isnan(row["p_value"])
    assert row["note"].startswith("one comparison cluster: the p-value of a wild bootstrap means nothing")
    assert "bounds (evalaid.bound_effect)" in row["note"]


def test_an_estimate_that_rests_on_one_cluster_says_so():
    effects = few(5, 5)
    areas = pd.Series(["own", *["most"] * 8, "other"], index=sorted(effects.population.units))
    note = ea.wild_bootstrap(effects, cluster=areas)["note"][0]
    assert "cluster most makes up 80% of the variation behind the estimate" in note
    assert "makes up" not in ea.wild_bootstrap(few(8, 2))["note"][0]


def test_few_clusters_and_few_treated_are_said():
    note = ea.wild_bootstrap(few(3, 3))["note"][0]
    assert "all 64 sign vectors: exact p" in note
    assert "|t| takes 32 values at most, and the smallest p-value that they can show is 0.0312; weights='webb'" in note
    assert "3 treated clusters: a wild bootstrap may be far from its level" in note
    five = ea.wild_bootstrap(few(2, 3)).iloc[0]
    assert "no 95% set: p cannot be told from 0.0625" in five["note"]
    assert np.isnan(five["conf_low"])
    assert not np.isnan(five["p_value"])
    assert "webb' is finer" not in ea.wild_bootstrap(few(2, 3), weights="webb")["note"][0]


@pytest.mark.parametrize(("kind", "n_clusters"), [("WCR11", 3), ("WCR13", 4), ("WCR33", 6), ("WCU11", 6)])
def test_no_p_value_is_below_what_the_clusters_can_show(kind, n_clusters):
    effects = few(4, 8)
    cluster = pd.Series(np.arange(12) % n_clusters, effects.population.units)
    row = ea.wild_bootstrap(effects, kind=kind, cluster=cluster).iloc[0]
    assert row["p_value"] == 2 / 2**n_clusters
    assert f"no draw is more extreme: p is at most {2 / 2**n_clusters:.3g}" in row["note"]


def test_sets_that_are_no_bounded_interval_are_found_and_said():
    scores = ours(few(4, 8), 0, np.arange(12), "WCR11", Plan(99, "rademacher", 12, 1)).scores
    scores = replace(scores, scale=1.0, std_error=1.0)

    def found(*moments: float) -> list[tuple[float, float]]:
        return Draws(np.array([moments]).T, 0.0, scores, "symmetric").confidence_set(0.95)

    # one draw with t* = (a + b shift) / sqrt(c + d shift^2), and t = shift = -theta: rejected where |t| >= |t*|
    np.testing.assert_allclose(found(2.0, 0.0, 1.0, 0.0, 0.0), [(-2.0, 2.0)], atol=1e-6)
    np.testing.assert_allclose(found(1.0, 2.0, 1.0, 0.0, 0.0), [(-np.inf, 1 / 3), (1.0, np.inf)], atol=1e-6)
    assert describe_set([(-2.0, 2.0)], 0.95) == ""
    assert describe_set([(-np.inf, np.inf)], 0.95) == "the 95% set is the whole line"
    assert describe_set([(-1.0, np.inf)], 0.999) == "the 99.9% set has no upper end"
    assert describe_set([], 0.95) == "the 95% set is empty"
    assert describe_set([(-1.0, 0.5), (2.0, np.inf)], 0.95) == "the 95% set is not an interval: [-1, 0.5] and [2, inf]"


def test_a_perfect_fit_has_nothing_to_draw_from():
    frame = simulate(2, n_units=12, n_periods=5, cohorts=(3, None))
    for effect in (0.02, 0.0):
        flat = frame.assign(share=0.5 + 0.01 * frame["quarter"] + effect * (frame["quarter"] >= frame["cohort"]))
        for kind in ("WCR31", "WCU13"):
            row = ea.wild_bootstrap(ea.estimate(diagnose(flat), "twfe"), draws=99, kind=kind).iloc[0]
            assert np.isnan(row["p_value"])
            assert "no variation between clusters" in row["note"]
    constant = ea.estimate(diagnose(frame.assign(share=0.5)), "twfe")
    assert "no variation" in ea.wild_bootstrap(constant, draws=99, kind="WCU11")["note"][0]


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        ({"kind": "WCR21"}, ["kind='WCR21' is not a choice; choose WCR11, WCR13, WCR31, WCR33, WCU11"]),
        (
            {"weights": "normal", "level": 95, "draws": 0, "tail": "left", "seed": None},
            [
                "weights='normal' is not a choice; choose rademacher, mammen, webb",
                "level=95 found; a coverage between 0 and 1",
                "draws=0 found",
                "seed=None found; an integer that is not negative, or a numpy Generator",
                "tail='left' is not a choice; choose symmetric, equal",
            ],
        ),
        (
            {"draws": 99.5, "level": "95", "seed": -1, "kind": ["WCR31"]},
            [
                "kind=['WCR31'] is not a choice",
                "level='95' found",
                "draws=99.5 found; a positive number of draws is expected",
                "seed=-1 found; an integer that is not negative",
            ],
        ),
        (
            {"cluster": "prefecture"},
            ["cluster is a str; one Series of labels indexed by unit", "diagnose(..., cluster=...)"],
        ),
    ],
)
def test_unknown_options_are_named_at_once(options, texts):
    with pytest.raises(InferenceError) as caught:
        ea.wild_bootstrap(few(4, 8), **options)
    for text in texts:
        assert text in str(caught.value)


def test_effects_that_are_no_regression_are_told_what_applies():
    frame = simulate(3)
    for method, options in (("callaway_santanna", {}), ("etwfe", {"family": "binomial"})):
        effects = ea.estimate(diagnose(frame), method, **options)
        with pytest.raises(InferenceError, match=f"these effects of {method} carry none") as caught:
            ea.wild_bootstrap(effects)
        assert "infer(effects, vcov='multiplier')" in str(caught.value)
        assert "randomize(design, method)" in str(caught.value)
    read = Effects.from_json(ea.estimate(diagnose(frame), "twfe").to_json())
    with pytest.raises(InferenceError, match="effects read from a file"):
        ea.wild_bootstrap(read)


@pytest.mark.parametrize("function", [ea.wild_bootstrap, ea.infer, ea.leverage, ea.infer_spatial])
def test_a_table_of_estimates_is_no_effects(function):
    with pytest.raises(InferenceError, match="DataFrame found where Effects are expected: what"):
        function(ea.infer(few(4, 8)))


def test_two_clusters_are_refused():
    effects = few(4, 8)
    halves = pd.Series(np.arange(12) % 2, index=effects.population.units)
    with pytest.raises(InferenceError, match=r"2 clusters: .* randomisation inference"):
        ea.wild_bootstrap(effects, cluster=halves)


def test_clusters_that_split_a_unit_are_refused():
    effects = few(4, 8)
    units = effects.population.units
    twice = pd.Series(np.arange(24) % 5, index=units.append(units))
    with pytest.raises(InferenceError, match=r"12 units have several cluster labels, for example C000"):
        ea.wild_bootstrap(effects, cluster=twice)


@pytest.mark.parametrize("kind", ["WCR11", "WCR31"])
def test_base_periods_of_etwfe_are_not_tested(kind):
    effects = ea.estimate(diagnose(simulate(3, n_units=16), cluster="prefecture"), "etwfe", comparison="never_treated")
    table = ea.wild_bootstrap(effects, draws=99, kind=kind)
    base = table["estimate"] == 0
    assert table.loc[base, "note"].eq("base period: zero by construction").all()
    assert base.sum() == 2
    assert table.loc[~base, "p_value"].notna().all()
