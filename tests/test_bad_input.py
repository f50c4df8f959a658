"""Bad input: every method gives an estimate or a reason, and never fails in another way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from panels import diagnose, simulate

import evalaid as ea

# ---- leaving clusters out ------------------------------------------------------------------------------------------------


def lonely_cohorts() -> pd.DataFrame:
    """Two cohorts of one unit each and a large one: leaving a unit out takes a cohort and its event times with it."""
    frame = simulate(1, n_units=18)
    lonely = {"C000": 3.0, "C003": 7.0}
    return frame.assign(cohort=frame["cohort"].where(~frame["county"].isin(lonely), frame["county"].map(lonely)))


@pytest.mark.parametrize("method", ["callaway_santanna", "event_study", "lp_did", "stacked", "twfe"])
def test_the_jackknife_matches_cells_by_label_when_a_cohort_is_lost_with_a_cluster(method):
    frame = lonely_cohorts()
    effects = ea.estimate(diagnose(frame), method)
    keys = [key for key in ("cohort", "period", "event_time") if key in effects.cells]
    full = effects.tidy()
    total, lost = np.zeros(len(full)), np.zeros(len(full), dtype=bool)
    for county in frame["county"].unique():
        without = ea.estimate(diagnose(frame[frame["county"] != county]), method).tidy()
        if keys:
            matched = full[keys].merge(without, on=keys, how="left")["estimate"].to_numpy()
        else:
            matched = without["estimate"].to_numpy()
        lost |= np.isnan(matched) & full["estimate"].notna().to_numpy()
        total += np.nan_to_num((matched - full["estimate"]).to_numpy()) ** 2
    table = ea.infer(effects, vcov="CR3")
    expected = np.sqrt(total * 17 / 18)
    known = table["std_error"].notna().to_numpy()
    assert known.any()
    np.testing.assert_allclose(table["std_error"][known], expected[known], rtol=1e-9)
    assert (~known | ~lost).all()
    assert table.loc[lost, "note"].str.contains("no estimate without cluster C0").all()


@pytest.mark.parametrize("by", ["overall", "event_time", "cohort"])
def test_averages_leave_out_the_cohort_that_is_lost_with_a_cluster(by):
    frame = lonely_cohorts()
    average = ea.estimate(diagnose(frame), "callaway_santanna").aggregate(by)
    without = average.refit(average.population.units != "C000")
    expected = ea.estimate(diagnose(frame[frame["county"] != "C000"]), "callaway_santanna").aggregate(by)
    if by == "overall":
        assert without.value[0] == pytest.approx(expected.value[0], abs=1e-12)
        return
    found = without.tidy().set_index(by)["estimate"].dropna()
    np.testing.assert_allclose(found, expected.tidy().set_index(by)["estimate"][found.index], atol=1e-12)
    assert set(average.cells[by]) - set(found.index) == {"cohort": {3}, "event_time": {5}}[by]


def test_as_many_coefficients_as_observations_leave_no_error_and_say_so():
    frame = simulate(2, n_units=2, cohorts=(5, None))
    table = ea.infer(ea.estimate(diagnose(frame), "etwfe", comparison="never_treated"), vcov="CR1")
    estimated = table[~table["note"].str.contains("by construction")]
    assert estimated["estimate"].notna().all()
    assert estimated["std_error"].isna().all()
    assert (estimated["note"] == "as many coefficients as observations: nothing is left to see an error from").all()
