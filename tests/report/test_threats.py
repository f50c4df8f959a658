"""Threats to a finding: verdict rules by hand, identities with the functions behind them, and nothing tested where nothing is estimated."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from support.panels import simulated_panel

from evalaid.did.estimators.estimation import estimate
from evalaid.did.inference.infer import infer
from evalaid.did.panel.design import diagnose
from evalaid.report.questions.analysis import Refusal
from evalaid.report.questions.placebo_tests import list_other_outcomes
from evalaid.report.threats import (
    choices,
    clusters,
    exclusions,
    neighbours,
    placebos,
    targeting,
    trends,
    verdicts,
)
from evalaid.report.threats.finding import (
    ANSWERS,
    APPEARS,
    AS_MUCH,
    EXCLUDES_LESS,
    HOLDS,
    NO_CELLS,
    NO_ESTIMATE,
    REVERSED,
    SIGN_ONLY,
    SIZE_KEPT,
    UNKNOWN,
    UNTRIED,
    WEAKENED,
    Case,
    Finding,
    answer_key,
    key_of,
    put_to_test,
)
from evalaid.report.threats.threat import Judged, Threat
from evalaid.report.wording.robustness import Asked
from evalaid.study.sample import load_design
from evalaid.study.spec import StudySpec
from evalaid.study.surroundings import load_events, load_groups, load_neighbours

KOREA = "korea_responsible_hospitals"
SHANGHAI, TIBET, DOCTORS, GUANGDONG = (
    "shanghai_departments",
    "tibet_cluster",
    "ten_thousand_doctors",
    "guangdong_cluster",
)
ANSWER_KEYS = [answer_key(word) for word in ANSWERS]
ROUNDING = 1e-9  # the same number by two routes of floating-point sums


def faced_with(judged, finding):
    """A threat that always gives this judgement, put to a case with this finding."""
    threat = Threat(
        "a", Asked("A", "b", "c", "d"), lambda _: judged, lambda *_: [], lambda *_: judged, needs_cells=False
    )
    return threat.face(SimpleNamespace(finding=finding))


def judged(threat, case):
    """The row of a threat in the table of verdicts."""
    return threat.face(case).row.iloc[0]


@pytest.fixture(scope="module")
def shanghai():
    """Twenty departments of two hospitals, simulated: the quickest study with an effect."""
    spec = StudySpec(study=SHANGHAI)
    return put_to_test(spec, load_design(spec))


@pytest.fixture(scope="module")
def refused():
    spec = StudySpec(study=TIBET)
    return put_to_test(spec, load_design(spec))


@pytest.mark.parametrize(
    ("estimate", "low", "high", "verdict"),
    [
        (2.5, 0.5, 4.5, HOLDS),
        (2.0 * SIZE_KEPT, 0.5, 1.9, HOLDS),
        (1.5, 0.5, 2.5, SIGN_ONLY),
        (1.5, -0.2, 3.2, WEAKENED),
        (-0.1, -1.0, 0.8, REVERSED),
        (-2.0, -3.0, -1.0, REVERSED),
        (1.0, np.nan, np.nan, UNKNOWN),
        (np.nan, np.nan, np.nan, UNKNOWN),
    ],
)
def test_an_effect_is_left_reaches_zero_or_turns(estimate, low, high, verdict):
    assert Finding(2.0, 1.0, 3.0, "pp", 0.95).judge(estimate, low, high) == verdict
    # The mirror image is judged alike.
    assert Finding(-2.0, -3.0, -1.0, "pp", 0.95).judge(-estimate, -high, -low) == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.5, 2.0, AS_MUCH),
        (-0.5, 2.5, EXCLUDES_LESS),
        (-0.7, 2.0, EXCLUDES_LESS),
        (0.1, 2.0, APPEARS),
        (-2.0, -0.1, APPEARS),
    ],
)
def test_no_effect_shown_is_never_confirmed_only_more_or_less_is_excluded(low, high, verdict):
    assert Finding(0.8, -0.6, 2.2, "pp", 0.95).judge((low + high) / 2, low, high) == verdict


def test_the_worst_of_several_rows_counts_and_rows_without_an_interval_do_not():
    finding = Finding(2.0, 1.0, 3.0, "pp", 0.95)
    rows = pd.DataFrame(
        {
            "estimate": [1.8, 1.0, 1.0, np.nan],
            "conf_low": [0.5, 0.5, -0.5, np.nan],
            "conf_high": [1.5, 1.5, 2.5, np.nan],
        }
    )
    assert finding.judge_all(rows) == WEAKENED
    assert finding.judge_all(rows.head(2)) == SIGN_ONLY
    assert finding.judge_all(rows.head(1)) == HOLDS
    assert finding.judge_all(rows.tail(1)) == UNKNOWN
    assert Finding(2.0, np.nan, np.nan, "pp", 0.95).judge_all(rows) == UNKNOWN


@pytest.mark.parametrize(
    ("others", "moved", "share"),
    [([1.5, 2.5], -0.5, -0.25), ([2.5, 3.5], 0.5, 0.25), ([-1.0, 9.0], -3.0, -1.5), ([np.nan], np.nan, np.nan)],
)
def test_how_far_the_finding_moves_is_told_of_what_leaves_least_of_it(others, moved, share):
    assert Finding(2.0, 1.0, 3.0, "pp", 0.95).measure(others) == pytest.approx((moved, share), nan_ok=True)
    mirrored = Finding(-2.0, -3.0, -1.0, "pp", 0.95).measure(-np.array(others))
    assert mirrored == pytest.approx((-moved, share), nan_ok=True)
    row = faced_with(
        Judged("", HOLDS, pd.DataFrame({"estimate": others})), Finding(2.0, 1.0, 3.0, "pp", 0.95)
    ).row.iloc[0]
    assert (row["moved"], row["moved_share"], row["unit"]) == pytest.approx((moved, 100 * share, "pp"), nan_ok=True)


def test_a_finding_that_no_effect_is_shown_moves_by_the_farthest_and_has_no_share():
    moved, share = Finding(0.8, -0.6, 2.2, "pp", 0.95).measure([0.2, 1.8])
    assert moved == pytest.approx(1.0)
    assert np.isnan(share)


def test_low_shares_that_rise_again_are_a_problem_of_size_in_simulated_guangdong(guangdong):
    """The effect that was put in is 2 points, the estimate 3.2: low shares were chosen first."""
    row = judged(targeting.THREAT, guangdong)
    assert row["answer"] == SIGN_ONLY
    assert 100 * (SIZE_KEPT - 1) > row["moved_share"] == pytest.approx(100 * row["moved"] / guangdong.finding.estimate)
    assert row["result"].startswith("Cohort 2018Q3 began 1.71 standard deviations below its comparison.")


@pytest.mark.parametrize(
    ("estimates", "p_values", "shown", "not_shown"),
    [
        ([2.0, 2.0], [0.01, 0.04], HOLDS, APPEARS),
        ([2.0, 2.0], [0.01, 0.20], WEAKENED, APPEARS),
        ([2.0, -0.1], [0.01, 0.90], REVERSED, APPEARS),
        ([2.0], [1 - 0.95], HOLDS, APPEARS),
        ([2.0, np.nan], [0.3, 0.01], WEAKENED, AS_MUCH),
        ([2.0], [np.nan], UNKNOWN, UNKNOWN),
    ],
)
def test_tests_without_intervals_are_judged_by_their_p_values(estimates, p_values, shown, not_shown):
    rows = pd.DataFrame({"estimate": estimates, "p_value": p_values})
    assert Finding(2.0, 1.0, 3.0, "pp", 0.95).judge_tests(rows) == shown
    assert Finding(2.0, -1.0, 5.0, "pp", 0.95).judge_tests(rows) == not_shown
    assert Finding(2.0, np.nan, np.nan, "pp", 0.95).judge_tests(rows) == UNKNOWN


def with_finding(case, estimate, low, high):
    """The same case with another main finding."""
    changed = replace(case)
    changed.__dict__["finding"] = Finding(estimate, low, high, "number", 0.95)
    return changed


def test_an_interval_that_is_known_to_be_too_short_makes_no_effect_appear(shanghai):
    rows = pd.DataFrame(
        {
            "key": ["auto", "CR1", "CR3"],
            "label": "",
            "estimate": 1.0,
            "p_value": [0.20, 0.01, 0.20],
            "conf_low": -0.5,
            "conf_high": 2.5,
        }
    )
    none, some = with_finding(shanghai, 1.0, -0.5, 2.5), with_finding(shanghai, 1.0, 0.1, 1.9)
    assert clusters.judge_clusters(none, clusters.Inferred(rows, rows[:0])).answer == AS_MUCH
    assert clusters.judge_clusters(some, clusters.Inferred(rows, rows[:0])).answer == WEAKENED
    careful = rows.assign(p_value=[0.20, 0.20, 0.01])
    assert clusters.judge_clusters(none, clusters.Inferred(careful, rows[:0])).answer == APPEARS


@pytest.mark.parametrize(
    ("ends", "finding", "word"),
    [
        ((-1.0, 2.0), (1.0, -0.5, 2.5), EXCLUDES_LESS),
        ((0.2, 2.0), (1.0, -0.5, 2.5), APPEARS),
        ((np.nan, np.nan), (1.0, 0.5, 1.5), UNKNOWN),
        ((0.9, 1.1), (1.0, 0.5, 1.5), HOLDS),
        ((0.2, 2.0), (1.0, 0.5, 1.5), SIGN_ONLY),
        ((-2.0, -0.2), (1.0, 0.5, 1.5), REVERSED),
    ],
)
def test_diverging_trends_are_judged_at_one(shanghai, ends, finding, word):
    low, high = ends
    frame = pd.DataFrame(
        {"m": [1.0], "conf_low": low, "conf_high": high, "identified_low": low, "identified_high": high}
    ).assign(note="nothing fits")
    found = SimpleNamespace(relative=frame, curve=pd.DataFrame({"breakdown": [1.2]}), lone="")
    row = trends.judge_trends(with_finding(shanghai, *finding), found)
    assert row.answer == word
    if word == UNKNOWN:
        assert row.result == "At M = 1 there is no interval: nothing fits."


PLACEBOS = {
    "an interval": ({"outside": 1}, (1.0, 0.5, 1.5), WEAKENED),
    "none": ({"outside": 0}, (1.0, 0.5, 1.5), HOLDS),
    "pretended units, not rare": ({"p": 0.3, "placebos": 40}, (1.0, 0.5, 1.5), WEAKENED),
    "pretended units, rare": ({"p": 0.02, "placebos": 99}, (1.0, 0.5, 1.5), HOLDS),
    "rare without an effect": ({"p": 0.02, "placebos": 99}, (1.0, -0.5, 2.5), APPEARS),
    "none without an effect": ({"outside": 0}, (1.0, -0.5, 2.5), EXCLUDES_LESS),
    "too few to tell": ({"p": 0.125, "placebos": 7}, (1.0, 0.5, 1.5), UNKNOWN),
    "too few, and an interval": ({"p": 0.125, "placebos": 7, "outside": 1}, (1.0, 0.5, 1.5), WEAKENED),
    "misses too often": ({"rate": 11.0}, (1.0, 0.5, 1.5), WEAKENED),
    "misses as often as it should": ({"rate": 8.0}, (1.0, 0.5, 1.5), HOLDS),
}


@pytest.mark.parametrize("name", PLACEBOS)
def test_placebos_are_judged_by_what_they_can_show(shanghai, monkeypatch, name):
    said, finding, word = PLACEBOS[name]
    low = [0.1 if said["outside"] else -0.1] if "outside" in said else []
    time = pd.DataFrame({"shift": [1] * len(low), "estimate": 0.2, "conf_low": low, "conf_high": [0.3] * len(low)})
    space = pd.DataFrame({"estimate": [1.0], "p_value": [said.get("p")], "placebos": [said.get("placebos")]})
    units = pd.DataFrame({"rejection_rate": [said.get("rate")], "nominal": [5.0]})
    for function, table in (
        ("list_placebos", time),
        ("list_other_outcomes", time.iloc[:0]),
        ("rank_placebos", space if "p" in said else space.iloc[:0]),
        ("list_pretended", units if "rate" in said else units.iloc[:0]),
    ):
        monkeypatch.setattr(placebos, function, lambda *_, table=table: table)
    row = placebos.judge_placebos(with_finding(shanghai, *finding), {})
    assert row.answer == word
    if said.get("outside"):
        assert "1 leave out zero; chance alone gives 0.05" in row.result


def test_a_bias_on_either_side_is_judged(shanghai):
    bias = pd.DataFrame({"key": ["process.bias", "never_treated.bias", "process.left"], "value": [0.1, -0.7, 0.9]})
    rises = pd.DataFrame({"key": ["2020", "all"], "expected": [9.0, 0.1], "expected_regression": [9.0, np.nan]})
    alike = pd.DataFrame({"kind": ["last level"], "normalised_difference": [0.1], "label": ["2020"]})

    def judge(*finding, rises=rises, alike=alike):
        return targeting.judge_targeting(with_finding(shanghai, *finding), targeting.Targeting(alike, rises, bias))

    assert judge(1.0, 0.5, 1.5).answer == HOLDS
    assert judge(1.0, -0.5, 2.5).answer == APPEARS
    # What the comparison units' own change lets expect counts like the simulations.
    worse = judge(1.0, 0.5, 1.5, rises=rises.assign(expected_regression=0.3))
    assert (worse.answer, worse.rows["estimate"].min()) == (SIGN_ONLY, pytest.approx(0.7))
    assert "began" not in worse.result
    assert (
        "Cohort 2020 began 0.40 standard deviations below"
        in judge(1.0, 0.5, 1.5, alike=alike.assign(normalised_difference=-0.4)).result
    )


def test_a_finding_is_written_with_its_unit_and_keys_name_no_spaces():
    finding = Finding(2.0, 1.0, 3.0, "pp", 0.95)
    assert finding.write(-1.234) == "\N{MINUS SIGN}1.23 points"
    assert finding.write_range(-1, 2) == "\N{MINUS SIGN}1.00 to +2.00 points"
    assert key_of("Without units of hospital, opens") == "without_units_of_hospital_opens"


every_threat = pytest.mark.parametrize("threat", verdicts.THREATS, ids=lambda threat: threat.key)


@every_threat
def test_without_an_estimate_nothing_is_tested_and_the_reason_is_said(refused, threat):
    assert isinstance(refused, Refusal)
    faced = threat.face(refused)
    row = faced.row.iloc[0]
    assert (row["key"], row["answer"], faced.exhibits) == (threat.key, UNKNOWN, ())
    assert row["result"] == f"Not possible: {NO_ESTIMATE}."


def test_effects_by_dose_are_not_put_to_tests_of_effects_by_cohort():
    spec = StudySpec(study=DOCTORS)
    case = put_to_test(spec, load_design(spec))
    about_cells = [threat for threat in verdicts.THREATS if threat.needs_cells]
    assert len(about_cells) == len(verdicts.THREATS) - 2
    for threat in about_cells:
        row = judged(threat, case)
        assert (row["answer"], row["result"]) == (UNKNOWN, f"Not possible: {NO_CELLS}.")
    assert clusters.examine_clusters(case).table["estimate"].notna().sum() >= 3


def test_bounds_without_divergence_are_the_estimate_of_the_study(shanghai):
    """Event times weigh by their treated units, so that their average is the main estimate."""
    found = trends.examine_trends(shanghai)
    first = found.relative.iloc[0]
    assert first["m"] == 0
    assert found.curve["estimate"].iloc[0] == pytest.approx(shanghai.finding.estimate, abs=ROUNDING)
    assert first["identified_low"] == pytest.approx(shanghai.finding.estimate, abs=1e-6)
    assert (np.diff(found.relative["conf_high"] - found.relative["conf_low"]) > 0).all()
    limit = found.breakdown.set_index("key").loc["relative", "value"]
    assert trends.judge_trends(shanghai, found).answer == (HOLDS if limit >= 1 else WEAKENED)


def test_event_times_with_one_treated_cluster_are_left_out_of_the_bounds_and_named():
    design = diagnose(simulated_panel([2017] + [2019] * 4 + [np.nan] * 6), "county", "year", "share", "first_treated")
    effects = estimate(design, "callaway_santanna", adjustment="none", base_period="universal")
    event = effects.aggregate("event_time")
    kept, said = trends._with_errors(event, 0.95)
    assert kept.cells["event_time"].tolist() == [-4, -3, -2, -1, 0, 1]
    assert said == " Left out, with one treated cluster: event time +2, +3."
    assert trends._with_errors(kept, 0.95) == (kept, "")


def test_every_kind_of_inference_has_the_same_estimate_but_those_of_the_regression(shanghai):
    found = clusters.examine_clusters(shanghai)
    table = found.table.set_index("key")
    own = table.drop(index=["CR2", "wild"])
    assert np.ptp(own["estimate"]) < ROUNDING
    assert table.loc["CR2", "estimate"] == pytest.approx(table.loc["wild", "estimate"], abs=ROUNDING)
    assert table.loc["auto", "conf_low"] == pytest.approx(shanghai.finding.conf_low, abs=ROUNDING)
    assert (table["conf_low"] <= table["estimate"]).all()
    assert (table["p_value"].between(0, 1)).all()
    drawn = found.permutations
    assert drawn["actual"].unique() == pytest.approx([table.loc["randomisation", "estimate"]])
    far = (drawn["estimate"].abs() >= drawn["actual"].abs() - ROUNDING).sum()
    p = far / len(drawn) if len(drawn) != clusters.ASSIGNMENTS else (1 + far) / (1 + clusters.ASSIGNMENTS)
    assert p == pytest.approx(table.loc["randomisation", "p_value"])


def test_changes_without_a_part_are_estimates_less_the_main_one(shanghai):
    found = exclusions.examine_exclusions(shanghai)
    known = found.table[found.table["estimate"].notna()]
    gap = known["estimate"] - known["change"] - shanghai.finding.estimate
    assert np.abs(gap).max() < ROUNDING
    assert not found.table["key"].duplicated().any()
    assert set(found.table["key"].str.split(".").str[0]) == {"cluster", "cohort", "period"}


def test_estimates_without_a_part_have_the_errors_of_the_main_one(shanghai):
    found = exclusions.examine_exclusions(shanghai)
    row = found.every[found.every["key"].str.startswith("cluster.")].iloc[0]
    without = shanghai.design.matrices.clusters[shanghai.design.matrices.cluster] != row["left_out"]
    left = estimate(shanghai.design.subset(without), shanghai.method, **shanghai.options).aggregate("overall")
    alone = shanghai.unit[1] * infer(left, level=shanghai.spec.level).iloc[0][["conf_low", "conf_high"]].to_numpy(
        dtype=float
    )
    assert row[["conf_low", "conf_high"]].to_numpy(dtype=float) == pytest.approx(alone, abs=ROUNDING)
    assert row["made_by"] == f"{shanghai.method} estimated again; CR3"


@pytest.mark.parametrize(
    ("intervals", "said"),
    [
        ([(1.0, 3.0)] * 5, ""),
        (
            [(1.0, 3.0), (-0.1, 3.9), (1.0, 3.0), (-0.2, 4.0), (1.0, 3.0)],
            " The answer without period 1, period 3: reaches zero.",
        ),
        ([(-0.1, 3.9)] * 4 + [(1.0, 3.0)], " The answer without 4 of the 5 parts: reaches zero."),
    ],
)
def test_parts_behind_the_answer_are_named(shanghai, intervals, said):
    case = SimpleNamespace(finding=Finding(2.0, 1.0, 3.0, "pp", 0.95))
    every = pd.DataFrame(intervals, columns=["conf_low", "conf_high"]).assign(
        estimate=2.0, change=0.0, label=[f"Without period {number}" for number in range(5)]
    )
    found = replace(exclusions.examine_exclusions(shanghai), every=every)
    assert exclusions.judge_exclusions(case, found).result == (
        "Estimates from +2.00 to +2.00 points; the largest change, 0.00 points, is without period 0." + said
    )


def test_groups_that_are_the_clusters_are_left_out_once(guangdong):
    assert {"cluster", "supporter"} <= {
        key.split(".")[0] for key in exclusions.examine_exclusions(guangdong).every["key"]
    }
    matrices = guangdong.design.matrices
    supporter = pd.factorize(load_groups(guangdong.spec, guangdong.design))[0]
    alike = replace(guangdong.design, matrices=replace(matrices, cluster=supporter, clusters=np.unique(supporter)))
    found = exclusions.examine_exclusions(replace(guangdong, design=alike)).every["key"]
    assert {key.split(".")[0] for key in found} == {"cluster", "cohort", "period"}


def test_what_is_left_of_the_estimate_is_the_estimate_less_the_bias(shanghai):
    bias = targeting.examine_targeting(shanghai).bias.set_index("key")["value"]
    assert bias["process.left"] == pytest.approx(shanghai.finding.estimate - bias["process.bias"], abs=ROUNDING)


def test_the_curve_holds_the_main_estimate_and_differences_are_those_of_the_estimates(shanghai):
    found = choices.examine_choices(shanghai)
    (nearest,) = (row for _, row in found.curve[found.curve["is_main"]].iterrows())
    finding = shanghai.finding
    for name in (
        "estimate",
        "conf_low",
        "conf_high",
    ):  # like is held against like: intervals by the rule of the reported one
        assert nearest[name] == pytest.approx(getattr(finding, name), abs=ROUNDING)
    counts = found.counts.set_index("key")["value"]
    assert counts["estimates"] == len(found.curve) <= counts["all"]
    main, other = (shanghai.spec.methods[name] for name in ("main", "imputation"))
    given_by = found.curve["given_by"].str.split("; ")
    assert {main.label, other.label} <= set(given_by.explode())
    alone = found.curve[[other.label in methods for methods in given_by]]["estimate"]
    gap = found.differences.set_index("key").loc["imputation", "estimate"]
    assert np.abs(alone - shanghai.finding.estimate - gap).min() < ROUNDING


def test_verdicts_come_in_the_order_of_the_threats_and_are_counted_once(refused):
    table = verdicts.gather_answers(verdicts.face_threats(refused))
    assert table["key"].tolist() == verdicts.list_threats()["key"].tolist()
    assert table["key"].is_unique
    counts = verdicts.count_answers(table).set_index("key")["value"]
    assert counts[ANSWER_KEYS].sum() == len(verdicts.THREATS) == counts["cannot_be_told"]


def test_a_study_without_neighbours_or_events_says_so(shanghai):
    for threat, words in ((neighbours.SPILLOVER, "no neighbours"), (neighbours.CONCURRENT, "no file")):
        row = judged(threat, shanghai)
        assert row["answer"] == UNTRIED
        assert words in row["result"]


def test_surroundings_are_in_the_labels_of_the_panel():
    spec = StudySpec(study=GUANGDONG)
    pairs = load_neighbours(spec)
    known = set(load_design(spec).matrices.units)
    assert pairs["unit"].isin(known).sum() > 50
    korea = StudySpec(study=KOREA)
    design = load_design(korea)
    assert load_neighbours(korea) is None
    assert load_groups(korea, design).notna().all()
    events = load_events(korea, design)
    assert set(events["unit"].dropna()) <= set(design.matrices.clusters)
    assert events["unit"].isna().any()  # a strike concerns every area


def test_a_case_knows_its_method_and_options(shanghai):
    assert isinstance(shanghai, Case)
    assert shanghai.finding.unit == shanghai.unit[0] == "number"
    assert shanghai.method == shanghai.spec.methods[shanghai.spec.main].method


@pytest.fixture(scope="module")
def guangdong():
    spec = StudySpec(study=GUANGDONG)
    return put_to_test(spec, load_design(spec))


def test_supporting_hospitals_are_left_out_and_neighbours_by_them_are_looked_at(guangdong):
    """All counties of a hospital at once: the exclusion equals the estimate on the others."""
    found = exclusions.examine_exclusions(guangdong)
    rows = found.table[found.table["key"].str.startswith("supporter.")]
    assert len(rows) == exclusions.SHOWN
    hospital = rows["label"].iloc[0].removeprefix("Without supporter ")
    served = load_groups(guangdong.spec, guangdong.design) == hospital
    others = estimate(guangdong.design.subset(~served.to_numpy()), guangdong.method, **guangdong.options)
    assert rows["estimate"].iloc[0] == pytest.approx(100 * others.aggregate("overall").value[0], abs=ROUNDING)
    near = neighbours.examine_neighbours(guangdong)
    by = near["label"].str.contains("sharing supporter with a treated unit")
    assert by.sum() >= 2
    assert near["key"].is_unique
    assert "The effect on these units themselves is" in neighbours.judge_neighbours(guangdong, near).result


def test_the_share_inside_the_city_moves_with_low_shares_that_rise_again(guangdong):
    """One in five of those who stay would have left the city: 0.4 of 2 points; more is not the programme."""
    found = placebos.examine_placebos(guangdong)
    row = list_other_outcomes(found, guangdong.spec).set_index("key").loc["city.share_city"]
    assert row["label"] == "Share treated inside the prefecture-level city"
    assert row["unit"] == "pp"
    assert row["conf_low"] > 0
    assert placebos.judge_placebos(guangdong, found).answer == WEAKENED


def test_the_verdict_on_parts_looks_at_every_exclusion_and_the_table_at_the_largest(guangdong, monkeypatch):
    whole = judged(exclusions.THREAT, guangdong)
    monkeypatch.setattr(exclusions, "SHOWN", 1)
    assert len(exclusions.examine_exclusions(guangdong).table) == 4
    assert judged(exclusions.THREAT, guangdong).equals(whole)


def test_the_choice_behind_most_of_the_spread_is_named(shanghai):
    found = choices.examine_choices(shanghai)
    first = found.drivers.iloc[0]
    assert (
        f"The spread depends most on the {first['label']} ({first['share_alone']:.0f}%)."
        in choices.judge_choices(shanghai, found).result
    )


def test_means_before_the_start_are_shown_with_the_digits_of_the_study():
    spec = StudySpec(study="guangdong_cluster")
    found = targeting.examine_targeting(put_to_test(spec, load_design(spec))).balance.set_index("variable")
    assert found.loc["Residents (10,000)", "digits"] == 0
    assert found.loc["Beds per 1000", "digits"] == 1
    assert found.loc["County inpatient share in 2018Q2 (%)", "digits"] == 2
