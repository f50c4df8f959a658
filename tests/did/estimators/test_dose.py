"""Level effects and slopes by dose: by hand, by derivative, by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose

import evalaid as ea
from evalaid.base.errors import EstimationError


def dosed(seed: int, n_units: int = 90, curve=lambda d: 0.01 * d, untreated: float = 1 / 3) -> pd.DataFrame:
    """Simulate a panel of 6 quarters in which treated counties get 1 to 9 experts from quarter 4 (or 5) on."""
    rng = np.random.default_rng(seed)
    unit, quarter = (grid.ravel() for grid in np.mgrid[:n_units, 1:7])
    treated = np.arange(n_units) >= untreated * n_units
    experts = np.where(treated, rng.integers(1, 10, n_units), 0).astype(float)
    cohort = np.where(treated, np.where(np.arange(n_units) % 2, 4, 5), np.nan)
    share = 0.6 + rng.normal(0, 0.03, n_units)[unit] + 0.005 * quarter + rng.normal(0, 0.01, unit.size)
    share = share + curve(experts[unit]) * (quarter >= cohort[unit])
    return pd.DataFrame({
        "county": [f"C{i:03d}" for i in unit], "quarter": quarter, "share": share,
        "cohort": cohort[unit], "experts": experts[unit],
    })  # fmt: skip


def cells(effects) -> pd.Series:
    table = effects.tidy()
    return table.set_index(["parameter", "dose"])["estimate"]


def test_three_units_by_hand():
    frame = pd.DataFrame({
        "county": ["a", "a", "b", "b", "c", "c"], "quarter": [1, 2] * 3, "cohort": [2.0, 2, 2, 2, None, None],
        "share": [0.50, 0.56, 0.50, 0.60, 0.50, 0.52], "experts": [1.0, 1, 3, 3, 0, 0],
    })  # fmt: skip
    found = ea.estimate(diagnose(frame, covariates=("experts",)), "dose").tidy().set_index("parameter")["estimate"]
    # Net changes 0.04 at dose 1 and 0.08 at dose 3: a line with slope 0.02 and mean 0.06.
    assert found["average level"] == pytest.approx(0.06)
    assert found["average slope"] == pytest.approx(0.02)
    assert found["slope"].to_numpy() == pytest.approx(0.02)


def test_the_average_level_is_the_average_net_change():
    panel = diagnose(dosed(1), covariates=("experts",))
    found = [ea.estimate(panel, "dose", degree=d).value[0] for d in (1, 2, 3)]
    santanna = ea.estimate(panel, "callaway_santanna", comparison="never_treated", adjustment="none")
    by_cohort = santanna.aggregate("cohort")
    sizes = by_cohort.cells["n_treated"].to_numpy()
    np.testing.assert_allclose(found, by_cohort.value @ sizes / sizes.sum(), atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"degree": 2}, {"comparison": "lowest_dose"}, {"degree": 2, "knots": 1}])
def test_influence_is_the_derivative_with_respect_to_unit_weights(options):
    frame = dosed(2, n_units=30)
    step = 1e-5
    for county in ("C003", "C020"):

        def value(weight, county=county):
            weighted = frame.assign(w=np.where(frame["county"] == county, weight, 1.0))
            return ea.estimate(diagnose(weighted, covariates=("experts",), weight="w"), "dose", **options)

        slope = (value(1 + step).value - value(1 - step).value) / (2 * step)
        at_one = value(1.0)
        row = at_one.population.units.get_loc(county)
        np.testing.assert_allclose(at_one.influence.matrix()[row], slope, atol=1e-8)


def test_a_spline_finds_a_curve_that_bends():
    panel = diagnose(dosed(8, n_units=900, curve=lambda d: 0.01 * np.minimum(d, 5)), covariates=("experts",))
    table = ea.infer(ea.estimate(panel, "dose", degree=1, knots=1))
    slopes = table[table["parameter"] == "slope"].set_index("dose")
    assert abs(slopes.loc[2.0, "estimate"] - 0.01) < 4 * slopes.loc[2.0, "std_error"]
    assert abs(slopes.loc[8.0, "estimate"]) < 4 * slopes.loc[8.0, "std_error"]


def test_a_spline_without_knots_is_the_polynomial():
    panel = diagnose(dosed(9), covariates=("experts",))
    table = ea.estimate(panel, "dose", degree=3).tidy()
    change = panel.matrices.outcome
    experts = panel.matrices.covariates["experts"][:, 0]
    treated = ~np.isnan(panel.matrices.cohort)
    start = panel.matrices.cohort[treated].astype(int) - 1
    own = np.array([row[s:].mean() - row[s - 1] for row, s in zip(change[treated], start, strict=True)])
    other = {s: (change[~treated][:, s:].mean(axis=1) - change[~treated][:, s - 1]).mean() for s in set(start)}
    fit = np.polyfit(experts[treated], own - np.array([other[s] for s in start]), 3)
    levels = table[table["parameter"] == "level"]
    np.testing.assert_allclose(levels["estimate"], np.polyval(fit, levels["dose"]), atol=1e-9)


def test_a_mean_base_takes_out_a_season_that_differs_by_dose():
    frame = dosed(7, n_units=300, curve=lambda d: 0.0 * d)
    season = np.where(frame["quarter"] == 3, 0.01 * frame["experts"], 0.0)
    balanced = np.where(frame["quarter"] == 2, -0.01 * frame["experts"], 0.0)
    frame = frame.assign(share=frame["share"] + season + balanced, cohort=frame["cohort"].replace(5, 4))
    panel = diagnose(frame, covariates=("experts",))
    last, mean = (ea.estimate(panel, "dose", base=base).value[1] for base in ("last", "mean"))
    assert abs(last) > 0.008
    assert abs(mean) < 0.001


def test_everybody_treated_gives_slopes_and_levels_relative_to_the_lowest_dose():
    panel = diagnose(dosed(3, untreated=0.0).assign(cohort=4.0), covariates=("experts",))
    effects = ea.estimate(panel, "dose", comparison="lowest_dose")
    assert "strong parallel trends" in effects.estimand
    table = effects.tidy()
    levels = table[table["parameter"] == "level"]
    lowest = panel.matrices.covariates["experts"].min()
    slope = table.loc[table["parameter"] == "average slope", "estimate"].iloc[0]
    np.testing.assert_allclose(levels["estimate"], slope * (levels["dose"] - lowest), atol=1e-12)


def test_a_known_curve_is_found():
    panel = diagnose(dosed(4, n_units=900, curve=lambda d: 0.02 * d - 0.001 * d**2), covariates=("experts",))
    table = ea.infer(ea.estimate(panel, "dose", degree=2))
    truth = np.where(
        table["parameter"] == "level", 0.02 * table["dose"] - 0.001 * table["dose"] ** 2, 0.02 - 0.002 * table["dose"]
    )
    named = table["parameter"].isin(["level", "slope"])
    assert (np.abs(table["estimate"] - truth)[named] < 4 * table["std_error"][named]).all()


@pytest.mark.slow
def test_slopes_are_unbiased_and_intervals_cover():
    """500 simulated panels: bias within three Monte Carlo errors, coverage of 95% intervals within binomial error."""
    draws, found, hits = 500, [], 0
    for seed in range(draws):
        table = ea.infer(ea.estimate(diagnose(dosed(seed), covariates=("experts",)), "dose")).set_index("parameter")
        row = table.loc["average slope"]
        found.append(row["estimate"])
        hits += row["conf_low"] <= 0.01 <= row["conf_high"]
    assert abs(np.mean(found) - 0.01) < 3 * np.std(found) / np.sqrt(draws)
    assert abs(hits / draws - 0.95) < 3 * np.sqrt(0.95 * 0.05 / draws)


@pytest.mark.parametrize(
    ("change", "options", "text"),
    [
        (lambda f: f.assign(experts=f["experts"] + f["quarter"]), {}, "varies over time in 60 treated units"),
        (lambda f: f.assign(experts=0.0), {}, "is zero for all 60 treated units, so there are no doses to compare"),
        (
            lambda f: f.assign(experts=f["experts"].where(f["county"] != "C040", 0.0)),
            {},
            "1 of 60 treated units have a dose of zero or less, for example C040",
        ),
        (
            lambda f: f.assign(experts=f["experts"].clip(upper=1)),
            {},
            "1 distinct dose cannot carry a curve of degree 1",
        ),
        (
            lambda f: f.assign(experts=f["experts"].where(~f["county"].isin(["C003", "C007"]), 2.0)),
            {},
            "2 never-treated units have a positive dose, for example C003, C007, and would serve as untreated comparison",
        ),
        (lambda f: f, {"degree": 9}, "degree=9 found, 1, 2 or 3 expected"),
        (lambda f: f, {"dose": "beds"}, "unknown covariate 'beds'"),
    ],
)
def test_doses_that_cannot_be_used_are_named(change, options, text):
    with pytest.raises(EstimationError) as caught:
        ea.estimate(diagnose(change(dosed(5)), covariates=("experts",)), "dose", **options)
    assert text in str(caught.value)


def test_a_dose_that_begins_after_the_panel_is_no_contradiction():
    frame = dosed(5)
    later = frame["county"] == "C003"
    changed = frame.assign(experts=frame["experts"].where(~later, 2.0), cohort=frame["cohort"].where(~later, 9.0))
    panels = [diagnose(table, covariates=("experts",)) for table in (changed, frame)]
    np.testing.assert_array_equal(*(ea.estimate(panel, "dose").value for panel in panels))


def test_a_dose_must_be_named_among_several_covariates():
    frame = dosed(6).assign(beds=1.0)
    with pytest.raises(EstimationError, match="say which one is the dose"):
        ea.estimate(diagnose(frame, covariates=("experts", "beds")), "dose")


def test_a_curve_has_no_average():
    """The mean of levels and slopes at all doses would be no effect of anything."""
    effects = ea.estimate(diagnose(dosed(1), covariates=("experts",)), "dose")
    with pytest.raises(
        EstimationError, match=r"which have no average; select one, such as select\(parameter='average level'\)"
    ):
        effects.aggregate("overall")
    one = effects.select(parameter="average level")
    assert one.aggregate("overall").value == one.value
