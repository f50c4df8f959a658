"""Methods that take the design's covariates equal dense regressions; the others say that they take none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import evalaid as ea

GOLDEN = Path(__file__).parents[2] / "golden"
MPDTA = pd.read_csv(GOLDEN / "r" / "mpdta.csv")
CENT = 5e-3  # of printed dollars
# Two ways through the same least squares in double precision, one of them through dummies.
DENSE = 1e-8
# Likelihoods that two optimisers stop at, and derivatives by differences of 1e-6.
OPTIMISED = 1e-5
FAMILIES = {"gaussian": sm.families.Gaussian(), "binomial": sm.families.Binomial(), "poisson": sm.families.Poisson()}


def mpdta():
    frame = MPDTA.assign(first=MPDTA["first.treat"].replace(0, np.nan))
    return ea.diagnose(frame, "countyreal", "year", "lemp", "first", covariates=["lpop"])


def test_the_effect_on_employment_with_population_is_that_of_the_vignette():
    """R etwfe 0.4.0: ``etwfe(lemp ~ lpop, tvar = year, gvar = first.treat, data = mpdta) |> emfx()`` gives -0.0506."""
    overall = ea.infer(ea.estimate(mpdta(), "etwfe").aggregate("overall"), vcov="reference")
    assert round(float(overall["estimate"][0]), 4) == -0.0506


@pytest.mark.parametrize(
    ("adjustment", "estimate", "std_error"), [("ipw", -1021.61, 397.52), ("doubly_robust", -871.33, 396.02)]
)
def test_earnings_of_those_like_the_trained_are_those_of_the_manual(adjustment, estimate, std_error):
    """80% of the experimental persons are black, 7% of the 15,992 others: a logit that Newton's method overshoots."""
    persons = pd.read_csv(GOLDEN / "lalonde" / "lalonde.csv.gz").reset_index(names="person")
    covariates = ("age", "educ", "black", "married", "nodegree", "hisp", "re74")
    earnings = persons.melt(["person", "experimental", *covariates], ["re75", "re78"], "year", "earnings")
    frame = earnings.assign(
        year=1900 + earnings["year"].str[2:].astype(int), start=np.where(earnings["experimental"] == 1, 1978, np.nan)
    )
    design = ea.diagnose(frame, "person", "year", "earnings", "start", covariates=covariates, outcome_unit="number")
    effect = ea.estimate(design, "callaway_santanna", adjustment=adjustment).aggregate("overall")
    row = ea.infer(effect, vcov="reference").iloc[0]
    assert (row["estimate"], row["std_error"]) == pytest.approx((estimate, std_error), abs=CENT)


def panel(seed=0, n=60, periods=5, gaps=False):
    rng = np.random.default_rng(seed)
    start = np.array([2002, 2003, np.nan])[np.arange(n) % 3]
    x = np.repeat(rng.normal(size=n), periods) * 100 + 1e4
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), periods),
            "year": np.tile(np.arange(2000, 2000 + periods), n),
            "first": np.repeat(start, periods),
            "x": x,
            "size": np.repeat(rng.uniform(0.5, 2, n), periods),
        }
    )
    index = 0.002 * (x - 1e4) * (frame["year"] - 2000) / 4 + 0.1 * (frame["year"] >= frame["first"]) - 0.5
    frame["y"] = 1 / (1 + np.exp(-index - rng.normal(0, 0.3, len(frame))))
    return frame.sample(frac=0.9, random_state=1).sort_values(["unit", "year"]) if gaps else frame


def dense(frame, family, weights):
    """Regress on dummies of cohorts, periods and treated cells, each alone and times x; average effects over the cells."""
    x = (frame["x"] - frame["x"].mean()) / frame["x"].std()
    cohort, year = frame["first"].fillna(0), frame["year"]
    treated = sorted({(g, t) for g, t in zip(cohort, year, strict=True) if 0 < g <= t})
    plain = [(cohort == g).astype(float) for g in sorted(cohort.unique())]
    plain += [(year == t).astype(float) for t in sorted(year.unique())[1:]]
    dummies = [((cohort == g) & (year == t)).astype(float) for g, t in treated]
    columns = np.column_stack([c for d in dummies + plain for c in (d, d * x)])
    fit = sm.GLM(frame["y"].to_numpy(), columns, family=FAMILIES[family], freq_weights=weights).fit(
        tol=1e-13, maxiter=200
    )

    def effects(b):
        link = FAMILIES[family].link.inverse
        with_, found = link(columns @ b), []
        for k, (g, t) in enumerate(treated):
            rows = ((cohort == g) & (year == t)).to_numpy()
            without = b.copy()
            without[2 * k : 2 * k + 2] = 0
            found.append(
                np.average((with_ - link(columns @ without))[rows], weights=weights[rows] if analytic else None)
            )
        return np.array(found)

    analytic = weights is not None and frame.attrs.get("analytic", False)
    value = effects(fit.params)
    gradient = np.array(
        [(effects(fit.params + h) - effects(fit.params - h)) / 2e-6 for h in 1e-6 * np.eye(len(fit.params))]
    )
    scores = columns * np.asarray(weights * (frame["y"].to_numpy() - fit.fittedvalues))[:, None]
    bread = np.linalg.pinv(
        (columns * np.asarray(weights * FAMILIES[family].variance(fit.fittedvalues))[:, None]).T @ columns
    )
    meat = pd.DataFrame(scores).groupby(frame["unit"].to_numpy()).sum().to_numpy() @ bread @ gradient
    groups, n, k = frame["unit"].nunique(), len(frame), np.linalg.matrix_rank(columns)
    return value, np.sqrt((meat**2).sum(axis=0) * groups / (groups - 1) * (n - 1) / (n - k))


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("weighted", [None, "precision", "analytic"])
@pytest.mark.parametrize("gaps", [False, True])
def test_extended_two_way_effects_with_a_covariate_equal_dense_regression(family, weighted, gaps):
    frame = panel(gaps=gaps)
    frame.attrs["analytic"] = weighted == "analytic"
    design = ea.diagnose(
        frame, "unit", "year", "y", "first", covariates=["x"], weight="size" if weighted else None, weight_kind=weighted
    )
    table = ea.infer(ea.estimate(design, "etwfe", family=family), vcov="reference")
    value, error = dense(frame, family, frame["size"].to_numpy() if weighted else np.ones(len(frame)))
    near = {"gaussian": DENSE}.get(family, OPTIMISED)
    np.testing.assert_allclose(table["estimate"], value, rtol=near, atol=near)
    np.testing.assert_allclose(table["std_error"], error, rtol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_influence_of_effects_with_covariates_is_the_change_when_a_unit_leaves(weighted):
    """The jackknife of a smooth estimator: influence and leaving out agree up to terms of order one over the units."""
    frame = panel(n=240)
    design = ea.diagnose(frame, "unit", "year", "y", "first", covariates=["x"], weight="size" if weighted else None)
    overall = ea.estimate(design, "etwfe", family="binomial").aggregate("overall")
    psi = overall.influence.matrix()[:, 0]
    for row in (0, 100, 200):
        left = overall.refit(np.arange(240) != row)
        assert abs((overall.value[0] - left.value[0]) - psi[row]) < 0.1 * np.abs(psi).max()


@pytest.mark.parametrize("weighting", ["variance", "equal"])
def test_a_local_projection_with_a_covariate_is_the_dense_regression(weighting):
    frame = panel()
    effects = ea.estimate(
        ea.diagnose(frame, "unit", "year", "y", "first", covariates=["x"]), "lp_did", weighting=weighting
    )
    table = ea.infer(effects, vcov="CR0").set_index("event_time")
    wide, x, start = (
        frame.pivot_table(index="unit", columns="year", values="y"),
        frame.groupby("unit")["x"].first(),
        frame.groupby("unit")["first"].first(),
    )
    for horizon in (0, 1, -2):
        rows = []
        for cohort in (2002, 2003):
            now, base = cohort + horizon, cohort - 1
            if now not in wide.columns:
                continue
            clean = start.isna() | (start > max(now, cohort))
            rows += [
                (
                    unit,
                    float(start[unit] == cohort),
                    cohort,
                    wide.loc[unit, now] - wide.loc[unit, base],
                    (x[unit] - 1e4) / 100,
                )
                for unit in start.index[(start == cohort) | clean]
            ]
        data = pd.DataFrame(rows, columns=["unit", "d", "cohort", "y", "x"])
        blocks = pd.get_dummies(data["cohort"]).astype(float).to_numpy()
        if weighting == "variance":
            fit = sm.OLS(data["y"], np.column_stack([data["d"], data["x"], blocks])).fit(
                cov_type="cluster", cov_kwds={"groups": data["unit"], "use_correction": False}
            )
            np.testing.assert_allclose(table.loc[horizon, "estimate"], fit.params.iloc[0], rtol=DENSE)
            np.testing.assert_allclose(table.loc[horizon, "std_error"], fit.bse.iloc[0], rtol=DENSE)
        else:
            other = data["d"] == 0
            fit = sm.OLS(data["y"][other], np.column_stack([data["x"], blocks])[other.to_numpy()]).fit()
            gap = data["y"] - np.column_stack([data["x"], blocks]) @ fit.params.to_numpy()
            np.testing.assert_allclose(table.loc[horizon, "estimate"], gap[data["d"] == 1].mean(), rtol=DENSE)


@pytest.mark.parametrize("weighting", ["variance", "equal"])
def test_a_covariate_without_part_in_the_outcome_leaves_the_projection(weighting):
    frame = panel()
    frame["y"] = np.random.default_rng(3).normal(size=len(frame))
    frame["x"] = 7.0
    one = ea.infer(ea.estimate(ea.diagnose(frame, "unit", "year", "y", "first"), "lp_did", weighting=weighting))
    other = ea.infer(
        ea.estimate(ea.diagnose(frame, "unit", "year", "y", "first", covariates=["x"]), "lp_did", weighting=weighting)
    )
    np.testing.assert_allclose(one[["estimate", "std_error"]], other[["estimate", "std_error"]], rtol=DENSE)


@pytest.mark.parametrize("adjustment", ["doubly_robust", "regression", "ipw"])
def test_before_and_after_with_covariates_is_the_cell_of_two_periods(adjustment):
    frame = panel()
    frame = frame[frame["year"].isin([2001, 2003]) & (frame["first"] != 2002)]
    design = ea.diagnose(frame, "unit", "year", "y", "first", covariates=["x"])
    one = ea.infer(ea.estimate(design, "two_by_two", adjustment=adjustment))
    other = ea.infer(ea.estimate(design, "callaway_santanna", adjustment=adjustment))
    np.testing.assert_allclose(one[["estimate", "std_error"]], other[["estimate", "std_error"]], rtol=1e-10)


@pytest.mark.parametrize("method", ["efficient", "stacked"])
def test_a_method_without_covariates_says_so_beside_every_number(method):
    effects = ea.estimate(ea.diagnose(panel(), "unit", "year", "y", "first", covariates=["x"]), method)
    assert effects.estimand.endswith("without covariates")
    table = ea.infer(effects.aggregate("overall") if "event_time" in effects.cells else effects)
    assert table["note"].str.contains(f"{method} uses no covariates: 'x' is left out").all()
    plain = ea.infer(ea.estimate(ea.diagnose(panel(), "unit", "year", "y", "first"), method))
    assert not plain["note"].str.contains("covariates").any()


@pytest.mark.parametrize(
    "method",
    ["twfe", "callaway_santanna", "imputation", "etwfe", "lp_did", "two_by_two", "sun_abraham", "synthetic_did"],
)
@pytest.mark.parametrize("size", [1e-15, 1e-12, 1e12])
@pytest.mark.crossed(3)
def test_an_outcome_of_any_size_keeps_its_errors(method, size):
    frame = panel()
    one, other = (
        ea.infer(ea.estimate(ea.diagnose(f, "unit", "year", "y", "first"), method))
        for f in (frame, frame.assign(y=frame["y"] * size))
    )
    np.testing.assert_allclose(other["std_error"] / size, one["std_error"], rtol=1e-6)
    assert one["std_error"].notna().any()
