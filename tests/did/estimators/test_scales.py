"""Parallel trends on the share, its log-odds and the log of outflow; effects in shares; the ceiling."""

from __future__ import annotations

import numpy as np
import pytest
from support.panels import counties, diagnose, simulate

import evalaid as ea
from evalaid.base.errors import EstimationError
from evalaid.did.estimators.scales import diagnose_ceiling

METHODS = ["two_by_two", "twfe", "event_study", "callaway_santanna", "sun_abraham", "imputation", "stacked", "lp_did"]
FORWARD = {"log_odds": lambda y: np.log(y / (1 - y)), "log_outflow": lambda y: np.log(1 - y)}
BACK = {"log_odds": lambda x: 1 / (1 + np.exp(-x)), "log_outflow": lambda x: 1 - np.exp(x)}


@pytest.mark.parametrize("scale", FORWARD)
def test_one_cell_by_hand(scale):
    frame = simulate(71, cohorts=(5, None))
    found = ea.estimate(diagnose(frame), "callaway_santanna", scale=scale).select(period=6).value[0]
    wide = FORWARD[scale](frame.pivot_table(index="county", columns="quarter", values="share"))
    treated = frame.drop_duplicates("county").set_index("county")["cohort"].notna().reindex(wide.index)
    change = wide[6] - wide[4]
    effect = change[treated].mean() - change[~treated].mean()
    observed = wide.loc[treated, 6]
    assert found == pytest.approx((BACK[scale](observed) - BACK[scale](observed - effect)).mean(), abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", FORWARD)
def test_every_method_reports_back_in_shares_and_finds_the_effect(method, scale):
    panel = diagnose(simulate(72, n_units=300, effect=0.04))
    effects = ea.estimate(panel, method, scale=scale)
    assert effects.scale == "share"
    assert "parallel trends in the log" in effects.estimand
    row = ea.infer(effects if method == "twfe" else effects.aggregate("overall")).iloc[0]
    assert abs(row["estimate"] - 0.04) < 5 * row["std_error"]


@pytest.mark.parametrize("scale", FORWARD)
def test_influence_is_the_derivative_with_respect_to_unit_weights(scale):
    frame = simulate(73, n_units=18)
    step = 1e-5

    def value(weight):
        weighted = frame.assign(weight=np.where(frame["county"] == "C003", weight, 1.0))
        return ea.estimate(diagnose(weighted, weight="weight"), "callaway_santanna", scale=scale)

    at_one = value(1.0)
    row = at_one.population.units.get_loc("C003")
    slope = (value(1 + step).value - value(1 - step).value) / (2 * step)
    np.testing.assert_allclose(at_one.influence.matrix()[row], slope, atol=1e-8)


def test_small_effects_far_from_the_ends_hardly_depend_on_the_scale():
    panel = diagnose(counties())
    found = [ea.estimate(panel, "imputation", scale=s).aggregate("overall").value[0] for s in ("share", *FORWARD)]
    assert np.ptp(found) < 0.005


def test_the_jackknife_follows_the_scale():
    effects = ea.estimate(diagnose(simulate(74, n_units=20)), "imputation", scale="log_odds").aggregate("overall")
    table = ea.infer(effects, vcov="CR3")
    assert 0 < table["std_error"].iloc[0] < 0.05


@pytest.mark.parametrize(
    ("scale", "share", "text"),
    [
        ("logit", 0.5, "scale='logit' is not a choice; choose share, log_odds, log_outflow, log_inside, log_outside."),
        ("log_odds", 0.0, "has no value at shares of 0 or 1; 1 observation is there, for example C000 in 1"),
        ("log_outflow", 1.0, "has no value at shares of 1; 1 observation is there"),
    ],
)
def test_scales_that_do_not_fit_are_refused(scale, share, text):
    frame = simulate(75)
    frame.loc[0, "share"] = share
    with pytest.raises(EstimationError) as caught:
        ea.estimate(diagnose(frame), "twfe", scale=scale)
    assert text in str(caught.value)


def test_an_outcome_that_is_no_share_has_no_log_odds():
    frame = simulate(76).rename(columns={"share": "visits"})
    panel = ea.diagnose(frame, unit="county", period="quarter", outcome="visits", cohort="cohort")
    with pytest.raises(EstimationError, match="is for shares; this outcome is a plain number"):
        ea.estimate(panel, "twfe", scale="log_odds")


def test_the_ceiling_counts_units_by_cohort():
    frame = simulate(77, cohorts=(5, None), n_units=10)
    frame.loc[(frame["county"] == "C000") & (frame["quarter"] == 2), "share"] = 0.96
    frame.loc[(frame["county"] == "C001") & (frame["quarter"] == 7), "share"] = 0.97
    found = diagnose_ceiling(diagnose(frame))
    assert found["n_units"].tolist() == [5, 5]
    assert found["above_before"].tolist() == [1, 0]
    assert found["above_ever"].tolist() == [1, 1]
    assert found["room_pp"].between(20, 40).all()


def test_the_ceiling_before_leaves_out_the_periods_in_which_units_may_react():
    frame = simulate(77, cohorts=(5, None), n_units=10)
    frame.loc[(frame["county"] == "C000") & (frame["quarter"] == 4), "share"] = 0.96
    stated, none = (diagnose_ceiling(diagnose(frame, anticipation=early)) for early in (1, 0))
    assert (stated["above_before"][0], none["above_before"][0]) == (0, 1)
    assert stated["above_ever"].equals(none["above_ever"])
    before = frame[frame["quarter"] < 4].groupby(frame["cohort"].isna())["share"].mean()
    assert stated["room_pp"].to_numpy() == pytest.approx(100 * (1 - before.to_numpy()))
