"""The design lists who can be compared with whom, and says what no comparison can tell."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from evalaid.base.errors import DesignError, PanelError
from evalaid.did.panel.comparisons import NEVER_TREATED, list_cells
from evalaid.did.panel.design import diagnose
from evalaid.did.panel.matrices import arrange

KEYS = {"unit": "county", "period": "year", "outcome": "share", "cohort": "first_treated"}


def random_matrices(seed, share_missing):
    rng = np.random.default_rng(seed)
    n_units, n_periods = rng.integers(2, 14), rng.integers(2, 7)
    periods = np.sort(rng.choice(np.arange(2015, 2024), n_periods, replace=False))
    observed = rng.random((n_units, n_periods)) >= share_missing
    return arrange(
        units=pd.Index([f"C{number:02d}" for number in range(n_units)]),
        periods=periods,
        period_kind="year",
        outcome=rng.random((n_units, n_periods)),
        observed=None if observed.all() else observed,
        cohort=rng.choice([*periods[1:], np.nan], n_units),
        cluster=rng.integers(0, 4, n_units),
        clusters=pd.Index(list("abcd")),
    )


def count_slowly(matrices, anticipation):
    """Count every cell by going through the units one by one, as the definition says."""
    observed = np.ones(matrices.outcome.shape, dtype=bool) if matrices.observed is None else matrices.observed
    rows = []
    for cohort in matrices.cohorts:
        earlier = [column for column, period in enumerate(matrices.periods) if period < cohort - anticipation]
        for comparison in ("never_treated", "not_yet_treated"):
            for column, period in enumerate(matrices.periods):
                base = earlier[-1] if earlier else None
                treated, others = set(), set()
                for unit, own in enumerate(matrices.cohort):
                    if not observed[unit, column] or (base is not None and not observed[unit, base]):
                        continue
                    if own == cohort:
                        treated.add(unit)
                    elif np.isnan(own):
                        others.add(unit)
                    elif comparison == "not_yet_treated":
                        latest = max(period, matrices.periods[base or 0]) + anticipation
                        others |= {unit} if own > latest else set()
                clusters = [len({matrices.cluster[unit] for unit in group}) for group in (treated, others)]
                usable = base is not None and column != base and bool(treated) and bool(others)
                rows.append((cohort, period, period - cohort, comparison, len(treated), len(others), *clusters, usable))
    return rows


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), share_missing=st.sampled_from([0, 0.1, 0.5]), anticipation=st.integers(0, 2))
def test_cells_equal_a_count_unit_by_unit(seed, share_missing, anticipation):
    matrices = random_matrices(seed, share_missing)
    cells = list_cells(matrices, anticipation)
    assert list(cells.drop(columns="reason").itertuples(index=False, name=None)) == count_slowly(matrices, anticipation)
    assert ((cells["reason"] == "") == cells["admissible"]).all()


def test_counts_of_the_simulated_panel(simulated_balanced):
    design = diagnose(simulated_balanced, **KEYS, cluster="area", covariates=["beds"], weight="population")
    assert (design.n_units, design.n_periods, design.n_observations) == (12, 6, 72)
    assert (design.n_treated, design.n_never, design.n_clusters, design.n_treated_clusters) == (8, 4, 6, 4)
    assert (design.staggered, design.balanced, design.outcome_unit, design.covariates) == (
        True,
        True,
        "fraction",
        ("beds",),
    )
    assert repr(design) == "<Design: 12 units x 6 years (2015 to 2020), balanced: 72 observations.>"
    described = design.describe().set_index("key")["value"]
    assert described["n_units_cohort_2017"] == 4
    assert described["n_excluded"] == 0


def test_availability_and_cohorts_of_the_simulated_panel(simulated_balanced):
    design = diagnose(simulated_balanced, **KEYS)
    assert design.availability["not_yet_treated"].tolist() == [8, 8, 4, 4, 0, 0]
    assert design.availability["treated"].tolist() == [0, 0, 4, 4, 8, 8]
    assert design.cohorts[["pre_periods", "post_periods"]].to_numpy().tolist() == [[2, 4], [4, 2], [6, 0]]
    early = simulated_balanced[simulated_balanced["year"] < 2017]
    expected = early.groupby(early["first_treated"].fillna(9999))["share"].mean()
    np.testing.assert_allclose(design.cohorts["baseline_mean"], expected, rtol=1e-14)


def test_baseline_means_are_weighted_where_weights_are_named(simulated_unbalanced):
    design = diagnose(simulated_unbalanced, **KEYS, weight="population")
    early = simulated_unbalanced[simulated_unbalanced["year"] < 2017]
    never = early[early["first_treated"].isna()]
    expected = np.average(never["share"], weights=never["population"])
    np.testing.assert_allclose(design.cohorts["baseline_mean"].iloc[-1], expected, rtol=1e-14)


def test_the_text_says_what_the_design_holds(simulated_balanced):
    frame = simulated_balanced.assign(share=simulated_balanced["share"] * 100)
    design = diagnose(frame, **KEYS, cluster="area", outcome_unit="percent", weight="population", covariates=["beds"])
    assert design.text().splitlines() == [
        "12 units x 6 years (2015 to 2020), balanced: 72 observations.",
        "Outcome: 'share', a share, held as a fraction. Weights: 'population' (kind not stated: analytic, in etwfe precision). Covariates: 'beds'.",
        "8 units treated in 2 cohorts, 4 units never treated within the panel. 6 clusters ('area'), 4 with treated units.",
        "  2017: 4 units, 2 clusters, 2 years before, 4 years from the start on",
        "  2019: 4 units, 2 clusters, 4 years before, 2 years from the start on",
        "Comparison: never-treated units in every period; not-yet-treated units until 2018.",
        "Keep in mind:",
        (
            "  - 6 clusters (fewer than 30): normal intervals are too short; use t with G - 1 degrees of freedom, CR3 or a wild "
            "bootstrap."
        ),
        (
            "  - 4 treated clusters (fewer than 10): cluster-robust errors are too small; randomisation inference is the one to "
            "report."
        ),
        "  - 2 clusters with never-treated units (fewer than 10): the comparison rests on few independent units.",
        "Notes:",
        "  - outcome 'share' converted once from per cent to a fraction.",
    ]


def test_gaps_and_late_units_are_in_the_text(simulated_unbalanced):
    late = simulated_unbalanced[~((simulated_unbalanced["county"] == "C01") & (simulated_unbalanced["year"] < 2018))]
    text = diagnose(late, **KEYS).text()
    assert "unbalanced: 60 observations" in text
    assert "2 missing periods inside the span of a unit; 1 unit observed once only." in text
    assert "1 treated unit never observed before the start" in text


def test_no_comparison_is_left_once_every_unit_is_treated(simulated_all_treated):
    design = diagnose(simulated_all_treated, **KEYS)
    lost = design.not_identified.set_index("what")
    assert lost.loc["the effect on every cohort", "where"] == "2019 to 2020"
    assert (
        lost.loc["the effect on every cohort", "why"] == "from 2019 on every unit is treated and none is never treated"
    )
    assert lost.loc["the effect on the last cohort", "where"] == "cohort 2019"
    cells = design.cells[design.cells["admissible"]]
    assert set(cells["cohort"]) == {2017}
    assert cells["period"].max() == 2018
    assert (design.cells.loc[design.cells["comparison"] == NEVER_TREATED, "n_comparison"] == 0).all()
    assert "Comparison: not-yet-treated units until 2018." in design.text()


def test_anticipation_takes_periods_from_the_comparison(simulated_all_treated):
    design = diagnose(simulated_all_treated, **KEYS, anticipation=1)
    lost = design.not_identified.set_index("what")
    assert lost.loc["the effect on every cohort", "where"] == "2018 to 2020"
    assert "or may react: anticipation of 1" in lost.loc["the effect on every cohort", "why"]
    assert lost.loc["a test of pre-trends", "where"] == "cohort 2017"
    assert "Comparison: not-yet-treated units until 2017." in design.text()
    without_base = diagnose(simulated_all_treated, **KEYS, anticipation=2).not_identified
    assert without_base.loc[0, "why"] == "with anticipation of 2 it has no period before it may react"


@pytest.mark.parametrize(
    ("change", "why", "remedy"),
    [
        (
            lambda frame: frame.assign(first_treated=2018),
            "all 12 units are first treated in 2018",
            "dose between units, or bounds",
        ),
        (
            lambda frame: frame[frame["county"] == "C00"],
            "the panel has one usable unit (C00)",
            "add units that are treated later",
        ),
        (lambda frame: frame[frame["year"] == 2015], "the panel has one period", "add periods before the start"),
        (lambda frame: frame.assign(first_treated=None), "no unit starts treatment between", "check the cohort column"),
        (
            lambda frame: frame.assign(first_treated=2015),
            "every unit is treated at or before the first",
            "start the panel earlier",
        ),
    ],
    ids=["one cohort", "one unit", "one period", "none treated", "always treated"],
)
def test_a_panel_without_any_comparison_says_why_and_what_could_be_done(simulated_balanced, change, why, remedy):
    design = diagnose(change(simulated_balanced), **KEYS)
    assert design.not_identified["what"].tolist() == ["any effect"]
    assert why in design.not_identified["why"].iloc[0]
    assert remedy in design.not_identified["what_could_be_done"].iloc[0]
    assert not design.cells["admissible"].any()
    assert "Comparison: none." in design.text()
    assert f"Not identified:\n  - any effect (the whole panel): {design.not_identified['why'].iloc[0]}" in design.text()
    assert design.cohorts["n_units"].sum() == design.n_units
    assert len(design.availability) == design.n_periods


def test_a_single_cohort_names_the_period(simulated_single_cohort):
    why = diagnose(simulated_single_cohort, **KEYS).not_identified["why"].iloc[0]
    assert why == "all 6 units are first treated in 2018, so no unit is untreated while others are treated"


def test_a_cohort_with_one_pre_period_has_no_test_of_pre_trends(simulated_balanced):
    lost = diagnose(simulated_balanced[simulated_balanced["year"] > 2015], **KEYS).not_identified
    assert lost[["what", "where"]].to_numpy().tolist() == [["a test of pre-trends", "cohort 2017"]]


def test_a_cohort_without_observations_in_a_period_is_listed(simulated_balanced):
    gone = (simulated_balanced["first_treated"] == 2017) & (simulated_balanced["year"] == 2018)
    lost = diagnose(simulated_balanced[~gone], **KEYS).not_identified
    assert lost[["what", "where"]].to_numpy().tolist() == [
        ["the effect on a cohort in a period", "cohort 2017 in 2018"]
    ]


def test_always_treated_units_are_kept_out_with_a_reason(simulated_balanced):
    frame = simulated_balanced.assign(
        first_treated=simulated_balanced["first_treated"].where(lambda year: year != 2017, 2015)
    )
    design = diagnose(frame, **KEYS)
    assert design.excluded["unit"].tolist() == ["C00", "C01", "C02", "C03"]
    assert design.excluded["reason"].unique().tolist() == [
        "always treated: the cohort is at or before the first year (2015)"
    ]
    assert design.n_units == 8
    assert "4 units kept out (see .excluded)." in design.text()
    assert len(design.panel) == 72


def test_where_all_have_one_cohort_no_column_says_how_it_was_assigned(simulated_balanced):
    frame = simulated_balanced.assign(first_treated=2018, experts=pd.factorize(simulated_balanced["county"])[0] // 2)
    design = diagnose(frame, **KEYS)
    assert len(design.matrices.cohorts) == 1
    assert design.coarser_groups.empty


def test_a_column_whose_groups_never_mix_cohorts_is_pointed_out(simulated_balanced):
    frame = simulated_balanced.assign(
        province=simulated_balanced["county"].map(lambda name: int(name[1:]) // 6),
        status=simulated_balanced["first_treated"].map(str),
    )
    design = diagnose(frame, **KEYS)
    assert design.coarser_groups.to_dict("records") == [{"column": "area", "n_groups": 6}]
    assert "the cohort is the same for all units of each 'area' (6 groups)" in design.text()
    assert diagnose(frame, **KEYS, cluster="area").coarser_groups.empty
    number = pd.factorize(frame["county"])[0]
    experts = frame.assign(experts=np.where(frame["first_treated"].isna(), 0, 1 + number // 2))
    assert "experts" not in set(diagnose(experts, **KEYS).coarser_groups["column"])
    assert "2 clusters hold units of more than one cohort" in diagnose(frame, **KEYS, cluster="province").text()


def test_a_subset_counts_its_own_units(simulated_balanced):
    design = diagnose(simulated_balanced, **KEYS)
    part = design.subset(design.matrices.cohort != 2017)
    assert (part.n_units, part.n_treated, part.staggered) == (8, 4, False)
    alone = diagnose(simulated_balanced[simulated_balanced["first_treated"] != 2017], **KEYS)
    for name in ("cells", "availability", "cohorts", "not_identified"):
        assert_frame_equal(getattr(part, name), getattr(alone, name))
    assert part.notes == ("8 of 12 units kept",)
    assert design.n_units == 12


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_row_order_and_new_names_change_no_count(seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"county": np.repeat(np.arange(8), 5), "year": np.tile(np.arange(2015, 2020), 8)})
    frame["share"] = rng.random(40)
    frame["first_treated"] = np.repeat(rng.choice([2016, 2018, np.nan], 8), 5)
    frame = frame[rng.random(40) < 0.9]
    renamed = frame.assign(county=frame["county"].map(dict(enumerate(rng.permutation(8))))).sample(
        frac=1, random_state=seed
    )
    one, other = diagnose(frame, **KEYS), diagnose(renamed, **KEYS)
    for name in ("cells", "availability", "not_identified"):
        assert_frame_equal(getattr(one, name), getattr(other, name))
    assert one.text() == other.text()


def test_faults_of_panel_and_cohort_come_in_one_error(simulated_balanced):
    frame = simulated_balanced.assign(first_treated=simulated_balanced["first_treated"].fillna(0))
    frame.loc[3, "share"] = np.nan
    with pytest.raises(PanelError, match="2 kinds of faults") as caught:
        diagnose(frame, **KEYS)
    assert set(caught.value.rows["column"]) == {"share", "first_treated"}
    with pytest.raises(PanelError, match=r"the cohort column is missing .*did you mean 'first_treated'\?"):
        diagnose(frame, **{**KEYS, "cohort": "first_treatd"})


@pytest.mark.parametrize("anticipation", [-1, 1.5, True, "1"])
def test_anticipation_is_a_whole_number_of_periods(simulated_balanced, anticipation):
    with pytest.raises(DesignError, match=r"Found anticipation=.*expected a whole number of periods, 0 or more"):
        diagnose(simulated_balanced, **KEYS, anticipation=anticipation)


def test_the_callers_frame_is_never_changed_and_the_design_does_not_follow_it(simulated_unbalanced):
    before = simulated_unbalanced.copy(deep=True)
    design = diagnose(simulated_unbalanced, **KEYS)
    text = design.text()
    assert_frame_equal(simulated_unbalanced, before)
    later = diagnose(simulated_unbalanced, **KEYS)
    simulated_unbalanced["share"] = 0.0
    simulated_unbalanced["area"] = "none"
    assert later.text() == text
    assert later.panel.content_hash == design.panel.content_hash
