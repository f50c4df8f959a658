"""Methods against a known effect: refusals are results, draws can be taken up again, good designs are recovered."""

import pandas as pd
import pytest

from evalaid.base.errors import EstimationError, SimulationError
from evalaid.report.questions.recoveries import describe_truth
from evalaid.simulate.generators import GENERATORS
from evalaid.simulate.recovery.draws import estimate_draws, recovery, summarise_draws
from evalaid.simulate.recovery.trials import TRIALS, Trial, choose_trials
from evalaid.study.sources import load_simulation
from evalaid.study.spec import load_study


def test_every_generator_has_trials():
    assert list(TRIALS) == [name for name in TRIALS if name in GENERATORS]
    assert set(TRIALS) == set(GENERATORS)
    assert all(len({trial.name for trial in trials}) == len(trials) for trials in TRIALS.values())


def test_a_clean_design_is_recovered():
    table = recovery("zhejiang_guizhou", ["callaway_santanna"], draws=40, seed=3).iloc[0]
    assert abs(table["bias"]) < 3 * table["bias_error"]
    assert table["coverage"] > 0.85
    assert table["std_error"] == pytest.approx(table["sd"], rel=0.4)
    assert table["label"] == "simulated"


def test_selection_on_poverty_biases_what_ignores_it():
    wanted = ["callaway_santanna", "callaway_santanna, regression on both"]
    table = recovery("national_pairing", wanted, draws=3).set_index("trial")
    assert table.loc[wanted[0], "bias"] > 0.01
    assert abs(table.loc[wanted[1], "bias"]) < 0.003


def test_a_refusal_is_counted_with_its_reason():
    table = recovery("tibet", draws=2)
    assert (table["refused"] == 1).all()
    assert table["estimate"].isna().all()
    assert (
        table.set_index("trial").loc["callaway_santanna", "reason"].startswith("all 8 units start in the same period")
    )


def test_draws_are_the_same_however_many_are_made_and_can_be_taken_up_again():
    whole = estimate_draws("xinjiang", ["two_by_two", "twfe"], draws=4, seed=5)
    part = estimate_draws("xinjiang", ["two_by_two", "twfe"], draws=2, seed=5)
    pd.testing.assert_frame_equal(whole[whole["draw"] < 2], part)
    seen = []
    resumed = estimate_draws(
        "xinjiang", ["two_by_two", "twfe"], draws=4, seed=5, done=part, progress=lambda at, of: seen.append((at, of))
    )
    pd.testing.assert_frame_equal(resumed, whole)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert whole["seed"].nunique() == 4


def test_the_truth_is_that_of_the_periods_used():
    trials = [Trial("until 2019", "callaway_santanna", {}, None, "2019Q4"), Trial("all", "twfe")]
    found = estimate_draws("guangdong", trials, draws=1, parameters={"effect_pp": 3.0, "shape": "gradual"})
    truth = found.set_index("trial")["truth"]
    assert 0.01 < truth["until 2019"] < truth["all"] < 0.03


def test_parameters_reach_the_generator():
    found = estimate_draws("xinjiang", ["two_by_two"], draws=1, parameters={"effect_pp": 0.0})
    assert found.loc[0, "truth"] == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: recovery("guandong", draws=1), SimulationError, "No generator 'guandong'; there are guangdong"),
        (lambda: recovery("tibet", ["twf"], draws=1), EstimationError, "No method 'twf'"),
        (lambda: recovery("tibet", draws=0), SimulationError, "draws=0"),
        (lambda: recovery("tibet", draws=1, level=1.5), SimulationError, "level=1.5"),
        (lambda: recovery("tibet", draws=1, parameters={"seed": 1}), SimulationError, "'seed' among the parameters"),
    ],
)
def test_impossible_calls_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_method_without_a_trial_runs_with_its_defaults():
    assert choose_trials("tibet", ["twfe"]) == (Trial("twfe", "twfe"),)


def test_a_summary_of_refusals_only_has_no_numbers():
    rows = [(0, 1, "a", "twfe", None, None, None, None, None, "no comparison")]
    columns = ["draw", "seed", "trial", "method", "truth", "estimate", "std_error", "conf_low", "conf_high", "reason"]
    table = summarise_draws(pd.DataFrame(rows, columns=columns), "tibet")
    assert table.loc[0, ["estimated", "refused", "reason"]].tolist() == [0, 1.0, "no comparison"]


@pytest.mark.slow
@pytest.mark.parametrize("generator", TRIALS)
def test_every_design_runs_through(generator):
    table = recovery(generator, draws=30 if generator != "national_pairing" else 6, seed=11)
    assert (table["draws"] > 0).all()
    assert (table["label"] == "simulated").all()


def test_a_dose_against_the_lowest_dose_is_held_against_what_exceeds_the_lowest_dose():
    wanted = "dose, against the lowest dose"
    table = recovery("ten_thousand_doctors", [wanted], draws=8, parameters={"effect_pp": 1.5, "without": 0}).iloc[0]
    assert table["truth"] < 0.0145  # the mean effect is 1.5 points, less headroom; the lowest dose takes its part away
    assert abs(table["bias"]) < 0.003


def test_the_truth_behind_a_comparison_of_doses_stands_beside_the_whole_effect():
    spec = load_study("ten_thousand_doctors")
    table = describe_truth(spec).set_index("key")["effect"]
    panel = load_simulation(spec.simulation).frame
    treated = panel[panel["quarter"] >= panel["cohort"]]  # quarters written alike sort as text
    lowest = treated.loc[treated["dose"] == treated["dose"].min(), "true_effect"]
    assert table["beyond_lowest_dose"] == pytest.approx(100 * (treated["true_effect"].mean() - lowest.mean()))
    assert table["overall"] == pytest.approx(100 * treated["true_effect"].mean())
    assert "beyond_lowest_dose" not in set(describe_truth(load_study("xinjiang_cluster"))["key"])
