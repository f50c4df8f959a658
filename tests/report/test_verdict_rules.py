"""What may be said follows from the data by rule: no null is confirmed, no repeat is counted, no other truth is an estimate."""

import math
import re
from functools import partial

import numpy as np
import pandas as pd
import pytest

from evalaid.did.inference.infer import infer
from evalaid.report import verdict
from evalaid.report.questions import alternatives, other_averages
from evalaid.report.questions.analysis import estimate_main, report_cells, report_effects
from evalaid.report.questions.detectable import examine_power
from evalaid.report.threats import choices, verdicts
from evalaid.report.threats.finding import ON_NO_EFFECT, Finding, put_to_test
from evalaid.report.wording.language import list_languages, load_catalogue
from evalaid.report.wording.prose import fill
from evalaid.report.wording.robustness import tell_widest
from evalaid.study.sample import load_design
from evalaid.study.spec import StudySpec
from evalaid.study.surroundings import load_flows, load_starts_elsewhere

KOREA, SHANGHAI, XINJIANG, PAIRING = (
    "korea_responsible_hospitals",
    "shanghai_departments",
    "xinjiang_cluster",
    "national_pairing",
)
SAME = 1e-9  # one estimate by two routes


@pytest.fixture(scope="module")
def korea():
    return StudySpec(study=KOREA)


@pytest.fixture(scope="module")
def shanghai():
    spec = StudySpec(study=SHANGHAI)
    return put_to_test(spec, load_design(spec))


@pytest.mark.parametrize(
    ("estimate", "low", "high", "smallest", "fragile", "word"),
    [
        (3.0, 1.8, 4.2, 2.0, False, verdict.SHOWN),
        (3.0, 1.8, 4.2, 2.0, True, verdict.FRAGILE),
        (0.5, 0.1, 0.9, 2.0, False, verdict.SHOWN),
        (0.2, -1.1, 1.5, 2.0, False, verdict.TOO_SMALL),
        (0.2, -1.1, 1.5, 2.0, True, verdict.TOO_SMALL),
        (0.2, -2.0, 1.5, 2.0, False, verdict.NOT_TOLD),  # an end at the limit is not inside it
        (0.8, -0.6, 2.2, 2.0, False, verdict.NOT_TOLD),
        (0.2, -1.1, 1.5, math.nan, False, verdict.NOT_TOLD),  # nothing is too small where no size matters
        (0.8, math.nan, math.nan, 2.0, False, verdict.NO_INTERVAL),
        (math.nan, math.nan, math.nan, 2.0, False, verdict.NOT_IDENTIFIED),
    ],
)
def test_the_verdict_follows_from_the_interval_and_the_smallest_effect_of_interest(
    estimate, low, high, smallest, fragile, word
):
    assert verdict.judge_interval(estimate, low, high, smallest, fragile=fragile) == word
    assert verdict.judge_interval(-estimate, -high, -low, smallest, fragile=fragile) == word  # the sign decides nothing


@pytest.mark.parametrize("language", list_languages())
def test_every_verdict_has_words(language):
    words = [value for name, value in vars(verdict).items() if name.isupper() and isinstance(value, str)]
    assert len(words) == 6
    assert all(load_catalogue(language).has(f"verdict.{word}") for word in words)


def test_the_first_sentences_claim_no_more_than_the_design_carries():
    """A number of a simulated panel never stands without that word; of real data no sentence says that the programme did it."""
    words = load_catalogue().words

    def group(name):
        return {key.removeprefix(name): text for key, text in words.items() if key.startswith(name)}

    assert all(text.startswith("A rehearsal on simulated data: ") for text in group("simulated_finding.").values())
    for key, text in group("simulated_sentence.").items():
        assert "simulated" in text or not re.search(r"{(estimate|low|high)}", text), key
    for key, text in group("finding.").items():
        assert not re.search(r"\b(raised|lowered|changed|increased|reduced|proved)\b", text), key
        assert key.endswith(("_up", "_down")) == ("{size}" in text), key
        assert "{size}" not in text or "is estimated to be" in text, key


def test_the_smallest_effect_of_interest_is_two_points_of_a_share_unless_the_study_says_otherwise():
    assert verdict.smallest_effect(None, "pp") == 2.0
    assert verdict.smallest_effect(0.5, "pp") == 0.5
    assert math.isnan(verdict.smallest_effect(None, "number"))


@pytest.mark.parametrize("rows", [[(0.8, -0.6, 2.2)], [(0.1, -0.1, 0.3)], [(0.8, -6.75, 8.21)], [(1.3, 0.2, 2.4)]])
def test_a_null_is_never_confirmed_and_says_what_is_not_excluded(rows):
    finding = Finding(0.8, -0.6, 2.2, "pp", 0.95)
    frame = pd.DataFrame(rows, columns=["estimate", "conf_low", "conf_high"])
    assert finding.judge_all(frame) in ON_NO_EFFECT
    low, high = finding.reach(frame)
    # A narrower interval of another sample excludes nothing that the reported one leaves open.
    assert (low, high) == (min(-0.6, rows[0][1]), max(2.2, rows[0][2]))


def number(value, unit="pp", digits=2):
    return type("Number", (), {"value": value, "unit": unit, "digits": digits})()


@pytest.mark.parametrize(
    ("estimate", "low", "high", "said"),
    [
        (
            0.8,
            -0.6,
            2.2,
            "The data do not tell an effect of the programme on the share from none: effects from −0.60 to \\+2.20",
        ),
        (0.1, -0.6, 0.8, "is estimated to have changed the share by less than 2 percentage points"),
        (3.0, 1.8, 4.2, "is estimated to be 3.00 percentage points higher than without the programme"),
        (-1.0, -1.8, -0.2, "1.00 percentage points lower .* less than the 2 percentage points that would matter"),
        (None, None, None, "There is no estimate"),
        (0.8, None, None, "without an interval: the data do not tell it from none"),
    ],
)
def test_the_sentence_says_no_more_than_the_verdict(estimate, low, high, said):
    numbers = {
        f"overall.main.{name}": number(value)
        for name, value in (("estimate", estimate), ("conf_low", low), ("conf_high", high))
    }
    text = fill("{overall.main:reading}", numbers.__getitem__, 0.95, {"outcome": "share"}, 2.0)
    assert re.search(said, text), text
    assert not re.search(r"surviv|robust|no effect|signific", text)


def test_the_main_estimate_is_a_row_of_its_curve_and_no_row_repeats_another(shanghai):
    found = choices.examine_choices(shanghai)
    assert found.has_main
    assert found.curve["is_main"].sum() == 1
    main = found.curve[found.curve["is_main"]].iloc[0]
    finding = shanghai.finding
    assert main[["estimate", "conf_low", "conf_high"]].tolist() == pytest.approx(
        [finding.estimate, finding.conf_low, finding.conf_high], abs=SAME
    )
    pairs = found.curve[["estimate", "std_error"]].round(9)
    assert not pairs.duplicated().any()
    counts = found.counts.set_index("key")["value"]
    assert counts["estimates"] == len(found.curve)
    assert counts["all"] == counts["estimates"] + counts["repeats"] + counts["refused"]
    assert found.curve["repeats"].sum() == counts["repeats"]


def test_the_covariates_of_the_study_are_in_its_curve():
    """Regression on two covariates is the main method: without them its row would be another estimate."""
    spec = StudySpec(study=PAIRING)
    one = type(
        "Case", (), {"spec": spec, "method": "callaway_santanna", "options": dict(spec.methods["main"].options)}
    )()
    assert choices._main_specification(one).covariates == spec.covariates == ("poverty", "share_2013")
    plain = {**spec.methods["main"].options, "adjustment": "none"}
    assert choices._main_specification(type("Case", (), {**vars(type(one)), "options": plain})()).covariates == ()


def test_a_panel_with_another_truth_is_no_estimate_and_enters_no_count():
    spec = StudySpec(study=XINJIANG)
    other = {name for name, entry in spec.scenarios.items() if "simulation" in entry.changes}
    assert "no_effect" in other
    assert not other & set(alternatives.compare_scenarios(spec)["key"])
    panels = alternatives.compare_panels(spec).set_index("key")
    assert set(panels.index) == other
    assert panels.loc["no_effect", "truth"] == 0.0
    assert panels["apart"].all()
    rows = pd.DataFrame(
        {
            "estimate": [1.0, 1.0, 5.0, -2.0],
            "conf_low": 0.5,
            "conf_high": 6.0,
            "unit": "pp",
            "apart": [False, False, False, True],
        }
    )
    counts = alternatives.count_agreement(rows).set_index("key")["value"]
    assert (counts["estimates"], counts["repeats"], counts["smallest"]) == (2, 1, 1.0)


def test_averages_of_the_effect_are_quantities_of_their_own(korea, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(other_averages, "infer", partial(infer, vcov="CR1"))
        table = other_averages.compare_estimands(korea).set_index("key")
    # Recomputed by hand from the file, with CR1 errors.
    for key, estimate, error in (
        ("main", 0.813, 0.682),
        ("by_area", -0.075, 0.813),
        ("by_area_residents", -0.459, 0.907),
        ("four_waves", -0.266, 0.670),
        ("first_wave", -0.660, 0.751),
        ("first_wave_never", -0.989, 0.896),
        ("hosts", 0.093, 1.223),
        ("others_of_area", 1.088, 0.741),
        ("some_care", 0.504, 0.643),
    ):
        assert table.loc[key, ["estimate", "std_error"]].tolist() == pytest.approx([estimate, error], abs=5e-4), key
    assert table.loc[["first_wave", "first_wave_never"], "treated_clusters"].tolist() == [29, 29]
    assert table.loc[["first_wave", "first_wave_never"], "n_units"].tolist() == [250, 162]
    assert table.loc["by_area", "n_units"] == table.loc["by_area", "n_clusters"] == 41
    assert "residents" not in alternatives.compare_methods(korea).set_index("key").index
    outcomes = other_averages.compare_outcomes(korea).set_index("key")
    assert outcomes.loc["emergency", "estimate"] == pytest.approx(-0.103, abs=5e-4)
    assert outcomes.loc["mortality", "n_units"] == 134


def test_exposure_knows_the_starts_of_units_that_the_sample_leaves_out(korea):
    design = load_design(korea)
    starts = load_starts_elsewhere(korea, design)
    assert len(starts) == 115
    assert len(set(starts)) == 1

    def leaving(spec):  # the share of each unit's residents that goes to treated units
        return load_flows(spec, design).groupby("unit")["share"].sum().reindex(design.matrices.units)

    shares = leaving(korea)
    assert shares.between(0, 1).all()
    never = np.isnan(design.matrices.cohort)
    without = leaving(korea.change({"robustness": {**korea.robustness.to_dict(), "elsewhere": None}}))
    assert (shares[never] >= without[never]).all()
    assert (shares[never] > without[never]).any()


def test_the_truth_stands_beside_every_estimate_of_a_simulated_study(shanghai):
    spec, effects = shanghai.spec, shanghai.effects
    event = report_effects(effects, "event_time", spec).set_index("event_time")["truth"]
    assert (event[event.index < 0] == 0).all()
    assert (event[event.index > 0] == 12.0).all()
    assert shanghai.truth == pytest.approx(10.5)
    assert report_effects(effects, "overall", spec)["truth"].tolist() == pytest.approx([10.5])
    assert report_cells(effects, spec)["truth"].tolist() == [6.0, 12.0, 12.0, 12.0]


def test_there_is_no_truth_beside_estimates_on_real_data(korea):
    effects = estimate_main(korea, load_design(korea))
    assert report_effects(effects, "overall", korea)["truth"].isna().all()


def test_power_comes_with_its_rate_of_false_positives(shanghai):
    table = examine_power(shanghai.effects, shanghai.spec, shanghai.design)[0].frame.set_index("key")["value"]
    assert list(table.index) == ["effect", "error", "size", "corrected"]
    assert 0 <= table["size"] <= 100


def test_an_effect_is_fragile_when_a_threat_takes_its_sign_or_most_of_it():
    table = pd.DataFrame(
        {"answer": ["leaves the effect", "leaves the sign, not the size"], "moved_share": [-5.0, -40.0]}
    )
    assert not verdicts.takes_it(table).any()
    assert verdicts.takes_it(table.assign(moved_share=[-5.0, -60.0])).tolist() == [False, True]
    assert verdicts.takes_it(table.assign(answer=["reaches zero", "turns the sign"])).all()


@pytest.mark.parametrize(
    ("limit", "low", "high", "said"),
    [
        (100, -193, 204, "on either side"),
        (100, -193, 20, "below zero"),
        (100, -3, 100, "above zero"),
        (100, -99, 99, ""),
        (math.inf, -193, 204, ""),
    ],
)
def test_of_a_share_it_is_said_where_nothing_is_excluded(limit, low, high, said):
    told = tell_widest("Trends", limit, low, high)
    assert ("so nothing is excluded" in told) == bool(said)
    assert told.endswith(f" A share moves by 100 points at most, so nothing is excluded {said}." if said else "trends.")
