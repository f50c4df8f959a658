"""The estimate without each unit, cluster, cohort, period or group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import DesignError, EstimationError
from evalaid.did.sensitivity.sample import leave_out
from evalaid.did.sensitivity.sample.leave_out import FIRST_ORDER_ONLY

EXACT = 1e-10  # the same estimator on the same rows
COLUMNS = ["left_out", "n_units", "estimate", "change", "first_order", "std_error", "conf_low", "conf_high", "p_value"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return simulate(11, n_units=24)


def overall(frame: pd.DataFrame, method: str, **columns) -> pd.Series:
    effects = ea.estimate(diagnose(frame, **columns), method).aggregate("overall")
    return ea.infer(effects).iloc[0]


@pytest.mark.parametrize("method", ["twfe", "callaway_santanna", "imputation"])
@pytest.mark.parametrize(("by", "column"), [("unit", "county"), ("cluster", "prefecture"), ("hospital", "hospital")])
def test_each_row_is_the_estimate_without_it(frame, method, by, column):
    frame = frame.assign(hospital="H" + (frame["county"].str[1:].astype(int) % 7).astype(str))
    groups = frame.drop_duplicates("county").set_index("county")["hospital"] if by == "hospital" else by
    found = ea.leave_out(diagnose(frame, cluster="prefecture"), method, groups)
    assert found.by == by
    assert list(found.table)[: len(COLUMNS)] == COLUMNS
    assert set(found.table["left_out"]) == set(frame[column])
    assert found.table["change"].abs().is_monotonic_decreasing
    whole = overall(frame, method, cluster="prefecture")
    for row in found.table.iloc[[0, 3, -1]].to_dict("records"):
        left = overall(frame[frame[column] != row["left_out"]], method, cluster="prefecture")
        assert row["estimate"] == pytest.approx(left["estimate"], rel=EXACT)
        assert row["change"] == pytest.approx(left["estimate"] - whole["estimate"], abs=EXACT)
        for name in ("std_error", "p_value", "conf_low", "conf_high"):
            assert row[name] == pytest.approx(left[name], rel=1e-8)
        assert row["n_units"] == frame.loc[frame[column] == row["left_out"], "county"].nunique()


def test_first_order_is_the_influence_and_close_for_one_of_many():
    design = diagnose(simulate(12, n_units=200))
    found = ea.leave_out(design, "callaway_santanna").table
    effects = ea.estimate(design, "callaway_santanna").aggregate("overall")
    influence = pd.Series(effects.influence.matrix()[:, 0], effects.population.units)
    np.testing.assert_allclose(found["first_order"], -influence[found["left_out"]], rtol=EXACT)
    # An exact change is the influence times about one over one minus leverage: here a few percent.
    np.testing.assert_allclose(found["change"], found["first_order"], rtol=0.1, atol=2e-5)


def test_leaving_out_clusters_makes_the_jackknife(frame):
    found = ea.leave_out(diagnose(frame, cluster="prefecture"), "imputation", "cluster").table
    by_hand = np.sqrt(5 / 6 * (found["change"] ** 2).sum())
    effects = ea.estimate(diagnose(frame, cluster="prefecture"), "imputation").aggregate("overall")
    assert by_hand == pytest.approx(ea.infer(effects, vcov="CR3")["std_error"].iloc[0], rel=1e-9)


def test_cohorts_and_the_never_treated_are_left_out_whole(frame):
    found = ea.leave_out(diagnose(frame), "callaway_santanna", "cohort").table.set_index("left_out")
    assert set(found.index) == {"4", "6", "never treated"}
    left = overall(frame[frame["cohort"] != 4], "callaway_santanna")
    assert found.loc["4", "estimate"] == pytest.approx(left["estimate"], rel=EXACT)
    note = found.loc["never treated", "note"]
    assert note.startswith("6 of 8 cells have no estimate and are left out: no unit is untreated in 6")
    only = ea.leave_out(diagnose(frame), "callaway_santanna", "cohort", comparison="never_treated").table
    assert only["left_out"].iloc[0] == "never treated"  # what takes the estimate away comes first
    assert only["note"].iloc[0] == "no estimate: there is no never-treated unit in the panel"


def test_the_only_cohort_is_a_row_with_the_reason():
    found = ea.leave_out(diagnose(simulate(13, n_units=20, cohorts=(5, None))), "twfe", "cohort")
    assert found.table[["estimate", "change", "first_order"]].isna().all(axis=None)
    assert found.table["note"].str.startswith("no estimate: ").all()
    assert found.table["note"].str.contains("no unit starts treatment between the second and the last period").any()
    assert found.notes[-1] == "There is no estimate without 5, never treated"


def test_periods_are_hidden(frame):
    found = ea.leave_out(diagnose(frame), "twfe", "period").table.set_index("left_out")
    assert set(found.index) == {str(quarter) for quarter in range(1, 9)}
    assert found["first_order"].isna().all()
    left = overall(frame[frame["quarter"] != 8], "twfe")
    assert found.loc["8", "estimate"] == pytest.approx(left["estimate"], rel=EXACT)
    later = frame.assign(cohort=frame["cohort"].replace(4, 5))[frame["quarter"] != 4]
    assert found.loc["4", "estimate"] == pytest.approx(overall(later, "twfe")["estimate"], rel=EXACT)
    assert found["note"].str.contains("the cohort that starts in it starts in the next period instead").sum() == 2
    assert found.loc["4", "note"].endswith("the cohort that starts in it starts in the next period instead")


def test_a_period_without_which_nothing_is_before_is_a_row_with_the_reason():
    frame = simulate(14, n_units=20, n_periods=4, cohorts=(2, None))
    found = ea.leave_out(diagnose(frame), "twfe", "period").table
    assert found["left_out"].iloc[0] == "1"
    assert np.isnan(found["estimate"].iloc[0])
    assert found["note"].iloc[0].startswith("no estimate: ")


def test_units_without_a_group_are_never_left_out(frame):
    hospitals = pd.Series({"C000": "H1", "C001": "H1", "C003": "H2"}, name="hospital")
    found = ea.leave_out(diagnose(frame), "twfe", hospitals).table.set_index("left_out")
    assert found["n_units"].to_dict() == {"H1": 2, "H2": 1}
    left = overall(frame[frame["county"] != "C003"], "twfe")
    assert found.loc["H2", "estimate"] == pytest.approx(left["estimate"], rel=EXACT)


def test_one_unit_that_makes_the_result_is_found_with_what_it_does():
    frame = simulate(15, n_units=30, effect=-0.01)
    treated = (frame["county"] == "C000") & (frame["quarter"] >= 4)
    frame.loc[treated, "share"] += 0.25
    found = ea.leave_out(diagnose(frame), "twfe")
    first = found.table.iloc[0]
    assert first["left_out"] == "C000"
    assert first["sign"] == "opposite"
    assert found.notes[0] == "1 of the 30 exclusions changes the sign of the estimate: C000"
    assert found.full["conf_low"].iloc[0] < 0 < found.full["conf_high"].iloc[0]
    assert first["conf_high"] < 0
    assert found.notes[2] == "1 of the 30 exclusions makes it significant: C000"
    calm = ea.leave_out(diagnose(simulate(16, n_units=30)), "twfe")
    assert calm.notes == (
        "None of the 30 exclusions changes the sign of the estimate",
        "None of the 30 exclusions takes its significance away",
        "None of the 30 exclusions makes it significant",
    )


def test_significance_is_lost_and_gained_against_the_full_sample():
    frame = simulate(17, n_units=12, effect=0.012)
    table = ea.leave_out(diagnose(frame), "twfe").table
    full = ea.leave_out(diagnose(frame), "twfe", exact=0).full.iloc[0]
    significant = full["conf_low"] > 0 or full["conf_high"] < 0
    now = (table["conf_low"] > 0) | (table["conf_high"] < 0)
    expected = np.where(now == significant, "same", np.where(now, "gained", "lost"))
    assert table["significance"].tolist() == expected.tolist()
    assert len(set(expected)) == 2  # this panel is near the edge


def test_only_the_most_influential_are_estimated_again_and_the_rest_is_said():
    design = diagnose(simulate(18, n_units=60))
    every, some = ea.leave_out(design, "twfe"), ea.leave_out(design, "twfe", exact=10)
    known = some.table[some.table["estimate"].notna()]
    assert len(known) == 10
    assert set(known["left_out"]) == set(
        every.table.loc[every.table["first_order"].abs().nlargest(10).index, "left_out"]
    )
    rest = some.table[some.table["estimate"].isna()]
    assert (rest["note"] == FIRST_ORDER_ONLY).all()
    assert rest["first_order"].notna().all()
    assert some.notes[-1] == "50 less influential exclusions were not estimated again"


def test_progress_is_told_and_the_callers_frame_stays(frame):
    seen, before = [], frame.copy()
    ea.leave_out(diagnose(frame), "twfe", "cohort", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    pd.testing.assert_frame_equal(frame, before)


def test_one_treated_unit_has_changes_and_no_significance():
    frame = simulate(19, n_units=12)
    frame = frame.assign(cohort=frame["cohort"].where(frame["county"] == "C000"))
    found = ea.leave_out(diagnose(frame), "twfe")
    assert found.table["left_out"].iloc[0] == "C000"
    assert found.table["estimate"].notna().sum() == 11
    assert found.table["std_error"].isna().all()
    assert "one treated cluster" in found.table["note"].iloc[-1]
    assert "nothing can be said of significance" in found.notes[1]


def test_the_figure_frame_is_in_the_scale_of_the_estimates(frame):
    found = ea.leave_out(diagnose(frame), "twfe")
    shown = found.most_influential(5)
    assert len(shown) == 5
    assert (shown["full"] == found.full["estimate"].iloc[0]).all()
    np.testing.assert_allclose(shown["first_order"] - shown["full"], found.table["first_order"].head(5), atol=EXACT)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"by": "province"},
            "by='province' is not a choice; choose unit, cluster, cohort, period, or give a Series indexed by unit.",
        ),
        ({"by": pd.Series(["H1"], ["C000"])}, "by names 1 group of the units of the design"),
        ({"by": pd.Series([1, 2], [17, 18])}, "by names 0 groups of the units of the design"),
        ({"exact": -1}, "exact=-1 found"),
    ],
)
def test_what_cannot_be_left_out_is_refused(frame, options, text):
    with pytest.raises(DesignError) as caught:
        ea.leave_out(diagnose(frame), "twfe", **options)
    assert text in str(caught.value)


def test_a_design_without_an_estimate_is_refused_with_the_reasons():
    with pytest.raises(EstimationError, match="does not apply to this design"):
        ea.leave_out(diagnose(simulate(20, n_units=8, cohorts=(5,))), "twfe")


@pytest.mark.slow
def test_only_those_that_are_asked_for_are_estimated_again_among_two_thousand_eight_hundred(monkeypatch):
    calls = []

    def counted(*arguments, **options):
        calls.append(arguments)
        return ea.estimate(*arguments, **options)

    monkeypatch.setattr(leave_out, "estimate", counted)
    design = diagnose(simulate(21, n_units=2800, n_periods=40, cohorts=(10, 20, 30, None)))
    found = ea.leave_out(design, "callaway_santanna", exact=20)
    assert len(calls) == 21  # the whole sample, and without each of the twenty most influential units
    assert len(found.table) == 2800


def test_two_groups_of_one_unit_are_refused(frame):
    groups = frame.assign(group=np.where(frame["quarter"] < 5, "early", "late")).set_index("county")["group"]
    with pytest.raises(DesignError, match=r"by names more than one group for 24 units"):
        ea.leave_out(diagnose(frame), "twfe", by=groups)
