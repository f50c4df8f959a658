"""Comparisons within strata and a first period that counts by its part, against dense regressions and identities."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import EstimationError, PanelError

# Two ways through the same least squares in double precision, one of them through dummies.
DENSE = 1e-9
pytestmark = pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")
REGRESSIONS = ["twfe", "event_study", "sun_abraham", "etwfe"]


def panel(seed=3, missing=0.0, **options):
    """Three regions with period effects of their own; the never-treated are unevenly spread over them."""
    frame = simulate(seed, n_units=45, missing=missing, **options)
    number = frame["county"].str[1:].astype(int)
    region = np.where(number % 7 < 3, "north", np.where(number % 7 < 5, "south", "west"))
    slope = pd.Series(region).map({"north": 0.0, "south": 0.01, "west": -0.02}).to_numpy()
    return frame.assign(region=region, share=frame["share"] + slope * frame["quarter"] / 4)


def treatment_columns(frame, method):
    """Build the columns of the treatment of each regression, by name of the cell, from the frame alone."""
    event = frame["quarter"] - frame["cohort"]
    if method == "twfe":
        return {"": (event >= 0).astype(float)}
    if method == "event_study":
        return {e: (event == e).astype(float) for e in sorted(event.dropna().unique()) if e != -1}
    cells = [(g, t) for g in sorted(frame["cohort"].dropna().unique()) for t in sorted(frame["quarter"].unique())]
    wanted = [(g, t) for g, t in cells if (t != g - 1 if method == "sun_abraham" else t >= g)]
    return {c: ((frame["cohort"] == c[0]) & (frame["quarter"] == c[1])).astype(float) for c in wanted}


def dense(frame, columns, unit, weights=None):
    """Least squares with a dummy for every unit (or kind of unit) and every region and period, errors clustered by county."""
    dummies = [pd.get_dummies(frame[unit]), pd.get_dummies(frame["region"] + frame["quarter"].astype(str))]
    x = np.column_stack([*columns.values(), *(d.to_numpy(float) for d in dummies)])
    fit = sm.WLS(frame["share"].to_numpy(), x, weights=np.ones(len(frame)) if weights is None else weights)
    robust = fit.fit(method="pinv", cov_type="cluster", cov_kwds={"groups": frame["county"], "use_correction": False})
    return robust.params[: len(columns)], robust.bse[: len(columns)]


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("method", REGRESSIONS)
def test_regressions_have_period_effects_of_each_stratum(method, missing):
    frame = panel(missing=missing)
    columns = treatment_columns(frame, method)
    frame["kind"] = frame["region"] + frame["cohort"].astype(str)
    wanted, errors = dense(frame, columns, "kind" if method == "etwfe" else "county")
    effects = ea.estimate(diagnose(frame, stratum="region"), method)
    assert "period effects of each stratum (region)" in effects.estimand
    effects = effects.select(effects.cells["reason"].eq("").to_numpy())
    np.testing.assert_allclose(effects.value, wanted, atol=DENSE)
    np.testing.assert_allclose(ea.infer(effects, vcov="CR0")["std_error"], errors, atol=DENSE)


def test_a_regression_with_strata_covariates_and_weights_is_the_dense_one():
    frame = panel(missing=0.05)
    columns = treatment_columns(frame, "event_study") | {"x": frame["share_65"]}
    wanted, errors = dense(frame, columns, "county", frame["weight"])
    effects = ea.estimate(diagnose(frame, stratum="region", weight="weight", covariates=["share_65"]), "event_study")
    effects = effects.select(effects.cells["reason"].eq("").to_numpy())
    np.testing.assert_allclose(effects.value, wanted[:-1], atol=DENSE)
    np.testing.assert_allclose(ea.infer(effects, vcov="CR0")["std_error"], errors[:-1], atol=DENSE)


@pytest.mark.parametrize("method", [*REGRESSIONS, "callaway_santanna", "imputation"])
def test_the_jackknife_is_that_of_refits(method):
    effects = ea.estimate(diagnose(panel(), stratum="region", cluster="prefecture"), method)
    effects = effects if method == "twfe" else effects.aggregate("overall")
    design = diagnose(panel(), stratum="region", cluster="prefecture").matrices
    changes = [effects.refit(design.cluster != g).value[0] - effects.value[0] for g in range(len(design.clusters))]
    g = len(changes)
    by_hand = np.sqrt((g - 1) / g * np.sum(np.square(changes)))
    assert ea.infer(effects, vcov="CR3")["std_error"][0] == pytest.approx(by_hand, rel=1e-7)


@pytest.mark.parametrize("method", [*REGRESSIONS, "callaway_santanna", "imputation"])
def test_one_stratum_is_none(method):
    frame = panel().assign(region="all")
    one, none = (ea.estimate(diagnose(frame, **options), method) for options in ({"stratum": "region"}, {}))
    np.testing.assert_allclose(one.value, none.value, atol=DENSE)
    np.testing.assert_allclose(one.influence.matrix(), none.influence.matrix(), atol=DENSE)


def test_callaway_santanna_within_strata_is_a_regression_on_their_dummies():
    """Covariates that are saturated: outcome regression on dummies of the regions compares within them."""
    frame = panel()
    dummies = pd.get_dummies(frame["region"], drop_first=True).astype(float)
    frame[["south", "west"]] = dummies
    design = diagnose(frame, covariates=("south", "west"))
    wanted = ea.estimate(design, "callaway_santanna", adjustment="regression")
    found = ea.estimate(diagnose(frame, stratum="region"), "callaway_santanna")
    np.testing.assert_allclose(found.value, wanted.value, atol=DENSE)
    np.testing.assert_allclose(found.influence.matrix(), wanted.influence.matrix(), atol=DENSE)


@pytest.mark.parametrize("weight", [None, "weight"])
def test_strata_count_by_the_weight_of_the_treated_units_that_are_compared(weight):
    frame = panel(missing=0.15)
    frame["weight"] = frame["county"].str[1:].astype(int) % 9 + 1.0
    share, unit = frame.pivot_table("share", "county", "quarter"), frame.groupby("county").first()
    mass = unit["weight"] if weight else unit["weight"] * 0 + 1
    effects = ea.estimate(
        diagnose(frame, stratum="region", weight=weight), "callaway_santanna", comparison="never_treated"
    )
    for g, t, found in zip(effects.cells["cohort"], effects.cells["period"], effects.value, strict=True):
        moved = (share[t] - share[g - 1 if t >= g else t - 1]).dropna()
        one = unit.loc[moved.index].assign(moved=moved, mass=mass)
        control = (
            one[one["cohort"].isna()]
            .groupby("region")[["moved", "mass"]]
            .apply(lambda r: np.average(r["moved"], weights=r["mass"]))
        )
        own = one[(one["cohort"] == g) & one["region"].isin(control.index)]
        wanted = np.average(own["moved"] - own["region"].map(control), weights=own["mass"])
        assert found == pytest.approx(wanted, abs=DENSE)


def test_the_influence_of_strata_with_gaps_is_the_derivative():
    frame = panel(missing=0.15)
    frame["weight"] = frame["county"].str[1:].astype(int) % 9 + 1.0

    def fit(step):
        weight = frame["weight"] * np.where(frame["county"] == "C003", 1 + step, 1.0)
        return ea.estimate(
            diagnose(frame.assign(weight=weight), stratum="region", weight="weight"), "callaway_santanna"
        )

    plain, step = fit(0.0), 1e-5
    psi = plain.influence.matrix()[plain.population.units.get_loc("C003")]
    np.testing.assert_allclose((fit(step).value - fit(-step).value) / (2 * step), psi, atol=1e-9)


def test_imputation_within_strata_is_least_squares_on_untreated_rows():
    frame = panel(missing=0.05)
    untreated = ~(frame["quarter"] >= frame["cohort"])
    period = frame["region"] + frame["quarter"].astype(str)
    x = pd.get_dummies(pd.concat([frame["county"], period], axis=1), prefix=["u", "p"]).to_numpy(float)
    coefficient = np.linalg.lstsq(x[untreated], frame.loc[untreated, "share"], rcond=None)[0]
    gap = frame["share"] - x @ coefficient
    wanted = gap[~untreated].groupby([frame["cohort"], frame["quarter"]]).mean()
    found = ea.estimate(diagnose(frame, stratum="region"), "imputation")
    np.testing.assert_allclose(found.value, wanted.to_numpy(), atol=DENSE)


def test_leads_before_an_imputation_have_period_effects_of_each_stratum():
    frame = panel()
    untreated = frame[~(frame["quarter"] >= frame["cohort"])]
    wanted, errors = dense(untreated, treatment_columns(untreated, "event_study"), "county")
    found = ea.estimate(diagnose(frame, stratum="region"), "imputation", pretrends="leads").aggregate("event_time")
    leads = found.select((found.cells["event_time"] < -1).to_numpy())
    np.testing.assert_allclose(leads.value, wanted, atol=DENSE)
    np.testing.assert_allclose(ea.infer(leads, vcov="CR0")["std_error"], errors, atol=DENSE)


@pytest.mark.parametrize("method", ["callaway_santanna", "imputation"])
def test_treated_units_without_comparison_in_their_stratum_are_named(method):
    frame = panel()
    alone = (frame["region"] == "west") & frame["cohort"].ne(4)
    found = ea.estimate(diagnose(frame[~alone], stratum="region"), method)
    reasons = found.select(cohort=4, period=5).cells["reason"]
    assert "treated units in those of the 3 strata that have no comparison" in reasons[0]
    rest = ea.estimate(diagnose(frame[frame["region"] != "west"], stratum="region"), method)
    np.testing.assert_allclose(found.select(cohort=4).value, rest.select(cohort=4).value, atol=DENSE)


@pytest.mark.parametrize("method", ["two_by_two", "stacked", "lp_did", "efficient", "synthetic_did"])
def test_methods_that_do_not_compare_within_strata_refuse(method):
    with pytest.raises(ea.NotIdentifiedError, match="does not compare within strata"):
        ea.estimate(diagnose(panel(), stratum="region"), method)


FAMILIES = {"gaussian": sm.families.Gaussian(), "binomial": sm.families.Binomial(), "poisson": sm.families.Poisson()}


def dense_etwfe(frame, family, covariate):
    """Effects of cohort and region, of region and quarter, of cells; a covariate times cohorts, quarters and cells; average effects."""
    cohort, quarter, x = frame["cohort"].fillna(0), frame["quarter"], frame["share_65"].to_numpy() * 10
    treated = [(g, t) for g in sorted(set(cohort) - {0}) for t in sorted(quarter.unique()) if t >= g]
    cells = [((cohort == g) & (quarter == t)).to_numpy(float) for g, t in treated]
    plain = [pd.get_dummies(frame["region"] + each.astype(str)).to_numpy(float) for each in (cohort, quarter)]
    slopes = [pd.get_dummies(each).to_numpy(float) * x[:, None] for each in (cohort, quarter)] if covariate else []
    own = [(cell, cell * x) if covariate else (cell,) for cell in cells]
    columns = np.column_stack([column for group in own for column in group] + plain + slopes)
    link, width, y = FAMILIES[family].link.inverse, 2 if covariate else 1, frame["share"].to_numpy()
    best = sm.GLM(y, columns, family=FAMILIES[family]).fit().params
    for _ in range(5):  # where statsmodels stops the effects have five digits only
        bread = np.linalg.pinv((columns * FAMILIES[family].variance(link(columns @ best))[:, None]).T @ columns)
        best = best + bread @ columns.T @ (y - link(columns @ best))

    def effects(b):
        found = []
        for k, cell in enumerate(cells):
            without = b.copy()
            without[width * k : width * (k + 1)] = 0
            found.append((link(columns @ b) - link(columns @ without))[cell > 0].mean())
        return np.array(found)

    if family != "gaussian" or covariate:
        return effects(best), None
    steps = 1e-6 * np.eye(len(best))
    gradient = np.array([(effects(best + h) - effects(best - h)) / 2e-6 for h in steps])
    scores = (columns * (y - link(columns @ best))[:, None]) @ bread @ gradient
    by_unit = pd.DataFrame(scores).groupby(frame["county"].to_numpy()).sum().to_numpy()
    return effects(best), np.sqrt((by_unit**2).sum(axis=0))


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("covariate", [False, True])
@pytest.mark.parametrize("family", list(FAMILIES))
def test_extended_two_way_effects_of_every_family_have_period_effects_of_each_stratum(family, covariate, missing):
    frame = panel(missing=missing)
    options = {"covariates": ["share_65"]} if covariate else {}
    effects = ea.estimate(diagnose(frame, stratum="region", **options), "etwfe", family=family)
    effects = effects.select((effects.cells["event_time"] >= 0).to_numpy())
    wanted, errors = dense_etwfe(frame, family, covariate)
    np.testing.assert_allclose(effects.value, wanted, atol=DENSE)
    if (
        family == "gaussian" and not covariate
    ):  # else the average over units has influence of its own: the derivative below
        np.testing.assert_allclose(ea.infer(effects, vcov="CR0")["std_error"], errors, atol=DENSE)
    assert "period effects of each stratum (region)" in effects.estimand


@pytest.mark.parametrize("family", ["binomial", "gaussian"])
def test_the_influence_of_extended_effects_within_strata_is_the_derivative(family):
    frame, step = panel(), 1e-5

    def value(weight):
        weighted = frame.assign(w=np.where(frame["county"] == "C004", weight, 1.0))
        design = diagnose(weighted, stratum="region", covariates=["share_65"], weight="w", weight_kind="analytic")
        return ea.estimate(design, "etwfe", family=family)

    at_one = value(1.0)
    row = at_one.population.units.get_loc("C004")
    slope = (value(1 + step).value - value(1 - step).value) / (2 * step)
    found = at_one.influence.matrix()[row]
    known = ~np.isnan(slope)
    np.testing.assert_allclose(found[known], slope[known], atol=1e-7)
    assert np.abs(slope[known]).max() > 0


def test_a_stratum_in_which_a_family_has_only_zeros_is_refused():
    frame = panel()
    zero = (frame["region"] == "west") & (frame["quarter"] == 2)
    with pytest.raises(EstimationError, match=r"did not converge.*name larger strata"):
        ea.estimate(
            diagnose(frame.assign(share=frame["share"].mask(zero, 0.0)), stratum="region"), "etwfe", family="poisson"
        )


def test_a_stratum_that_changes_is_named():
    frame = panel()
    frame.loc[3, "region"] = "elsewhere"
    with pytest.raises(PanelError, match="stratum changes within a unit"):
        diagnose(frame, stratum="region")


# ---- a first period that counts by its part --------------------------------------------------------------------------


def exposed(seed=4, effect=0.04, noise=True):
    """Starts spread over the first treated quarter; an effect in proportion to the part of it."""
    frame = simulate(seed, effect=0.0) if noise else simulate(seed, effect=0.0).assign(share=0.5)
    event = frame["quarter"] - frame["cohort"]
    part = (1 + frame["county"].str[1:].astype(int) % 4) / 4
    exposure = np.where(event > 0, 1.0, np.where(event == 0, part, 0.0))
    return frame.assign(part=exposure, share=frame["share"] + effect * exposure)


@pytest.mark.parametrize("method", ["twfe", "event_study", "sun_abraham"])
def test_the_first_period_counts_by_its_part(method):
    frame = exposed().assign(region="all")
    columns = {
        key: column * np.where(frame["quarter"] == frame["cohort"], frame["part"], 1.0)
        for key, column in treatment_columns(frame, method).items()
    }
    wanted, errors = dense(frame, columns, "county")
    effects = ea.estimate(diagnose(frame, exposure="part"), method)
    assert "the first treated period counts by its part (part)" in effects.estimand
    effects = effects.select(effects.cells["reason"].eq("").to_numpy())
    np.testing.assert_allclose(effects.value, wanted, atol=DENSE)
    np.testing.assert_allclose(ea.infer(effects, vcov="CR0")["std_error"], errors, atol=DENSE)


@pytest.mark.parametrize("method", ["twfe", "event_study", "sun_abraham"])
def test_an_effect_in_proportion_is_found_at_every_event_time(method):
    effects = ea.estimate(diagnose(exposed(noise=False), exposure="part"), method)
    late = effects.value if method == "twfe" else effects.value[effects.cells["event_time"] >= 0]
    np.testing.assert_allclose(late, 0.04, atol=DENSE)


def test_whole_periods_are_the_plain_regression():
    frame = exposed().assign(part=lambda f: (f["quarter"] >= f["cohort"]).astype(float))
    for method in ("twfe", "event_study"):
        one, none = (ea.estimate(diagnose(frame, **options), method) for options in ({"exposure": "part"}, {}))
        np.testing.assert_allclose(one.value, none.value, atol=DENSE)


def test_other_methods_say_that_they_have_no_place_for_a_part():
    with pytest.raises(
        ea.NotIdentifiedError, match=r"diagnose\(partial=...\) instead of exposure=... leaves that period out"
    ):
        ea.estimate(diagnose(exposed(), exposure="part"), "callaway_santanna")


@pytest.mark.parametrize(("row", "value"), [(0, 0.3), (4, 0.0), (5, 0.5)])
def test_a_part_that_contradicts_the_cohort_is_named(row, value):
    frame = exposed().sort_values(["county", "quarter"]).reset_index(drop=True)
    first = frame.index[frame["cohort"].eq(4)][0]
    frame.loc[first + row - (row > 0), "part"] = value
    with pytest.raises(PanelError, match="1 row: exposure contradicts the cohort"):
        diagnose(frame, exposure="part")


def test_an_exposure_above_one_is_refused():
    with pytest.raises(PanelError, match="exposure outside 0 to 1"):
        diagnose(exposed().assign(part=2.0), exposure="part")


@pytest.mark.parametrize("method", ["callaway_santanna", "imputation"])
def test_a_stratum_that_is_seen_in_treated_periods_only_counts_for_nothing(method):
    """Its treated units have no period before; the estimate is that of the other strata, and says so."""
    frame = panel()
    late = frame["region"] == frame["region"].iloc[0]
    first = frame.loc[late, "cohort"].min()
    kept = frame[~late | ((frame["quarter"] >= frame["cohort"].max()) & ~(frame["cohort"] > first))]
    found = ea.estimate(diagnose(kept, stratum="region"), method)
    wanted = ea.estimate(diagnose(frame[~late], stratum="region"), method).align(found.cells)
    np.testing.assert_allclose(found.value, wanted.value, atol=DENSE)
    assert found.cells["reason"].str.contains("strata that have no comparison").any()
    assert ea.infer(found, vcov="CR1")["std_error"].notna().any()
