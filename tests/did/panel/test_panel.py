"""A panel is validated, converted once and hashed; whatever is wrong with a table comes in one error with the rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from evalaid.base.errors import PanelError
from evalaid.did.panel.panel import read_panel

KEYS = {"unit": "county", "period": "year", "outcome": "share"}


def changed(frame, column, value, row=7):
    """Give a copy with one value replaced."""
    copy = frame.copy()
    copy[column] = copy[column].astype(object)
    copy.loc[row, column] = value
    return copy.infer_objects()


def relabelled(frame, order):
    """Give a copy whose counties are renamed by their position in `order`."""
    names = dict(zip(sorted(frame["county"].unique()), order, strict=True))
    return frame.assign(county=frame["county"].map(names))


def test_columns_get_their_canonical_names_and_covariates_keep_theirs(simulated_balanced):
    panel = read_panel(
        simulated_balanced,
        **KEYS,
        inside="inside",
        total="total",
        weight="population",
        cluster="area",
        covariates=["beds"],
    )
    assert panel.frame.columns.tolist() == ["unit", "period", "outcome", "inside", "total", "weight", "cluster", "beds"]
    assert panel.names == {**KEYS, "inside": "inside", "total": "total", "weight": "population", "cluster": "area"}
    assert (panel.period_kind, panel.outcome_unit, panel.notes) == ("year", "fraction", ())
    assert_frame_equal(
        panel.frame[["unit", "period", "outcome", "cluster"]],
        simulated_balanced[["county", "year", "share", "area"]].set_axis(
            ["unit", "period", "outcome", "cluster"], axis=1
        ),
    )


def test_the_callers_frame_is_never_changed(simulated_unbalanced):
    before = simulated_unbalanced.copy(deep=True)
    panel = read_panel(simulated_unbalanced, **KEYS, outcome_unit="percent", covariates=["beds"], weight="population")
    panel.frame["outcome"] = 0.0
    assert_frame_equal(simulated_unbalanced, before)


def test_a_percentage_is_converted_once_and_the_note_says_so(simulated_balanced):
    in_percent = simulated_balanced.assign(share=simulated_balanced["share"] * 100)
    panel = read_panel(in_percent, **KEYS, outcome_unit="percent")
    np.testing.assert_allclose(panel.frame["outcome"], simulated_balanced["share"], rtol=1e-15)
    assert panel.notes == ("outcome 'share' converted once from per cent to a fraction",)
    assert panel.outcome_unit == "fraction"


def test_fractions_declared_as_per_cent_are_taken_at_their_word_with_a_note(simulated_balanced):
    panel = read_panel(simulated_balanced, **KEYS, outcome_unit="percent")
    assert panel.frame["outcome"].max() < 0.01
    assert "declare outcome_unit='fraction' if it is a fraction already" in panel.notes[1]


@pytest.mark.parametrize(
    ("name", "unit"),
    [("inpatient_share_pct", "fraction"), ("InpatientShare", "fraction"), ("县域内住院率", "fraction"), ("관내이용률", "fraction"),
     ("corporate_value", "number"), ("discharges", "number"), ("generated", "number")],
)  # fmt: skip
def test_only_a_name_that_says_so_makes_an_outcome_a_share(simulated_balanced, name, unit):
    frame = simulated_balanced.rename(columns={"share": name})
    assert read_panel(frame, "county", "year", name).outcome_unit == unit


def test_a_share_of_86_9_is_asked_about_and_never_guessed(simulated_balanced):
    frame = changed(simulated_balanced, "share", 86.9)
    with pytest.raises(PanelError) as caught:
        read_panel(frame, **KEYS)
    assert "declare outcome_unit='percent' if 86.9 means 86.9 per cent, outcome_unit='fraction' if" in str(caught.value)
    assert caught.value.rows[["row", "column", "value"]].to_dict("records") == [
        {"row": 7, "column": "share", "value": 86.9}
    ]
    assert read_panel(frame, **KEYS, outcome_unit="number").outcome_unit == "number"


@pytest.mark.parametrize(
    ("column", "value", "options", "fault", "expected"),
    [
        ("share", np.nan, {}, "missing, infinite or not a number", "a finite number"),
        ("share", np.inf, {}, "missing, infinite or not a number", "a finite number"),
        (
            "share",
            1e60,
            {"outcome_unit": "number"},
            "numbers so large or small that their squares are lost",
            "a unit in which the largest is from",
        ),
        ("share", "about 85", {}, "missing, infinite or not a number", "a finite number"),
        ("share", -0.1, {}, "share outside 0 to 1", "declare outcome_unit"),
        ("share", 1.2, {"outcome_unit": "fraction"}, "share outside 0 to 1", "values from 0 to 1"),
        ("share", 120, {"outcome_unit": "percent"}, "share outside 0 to 100", "values from 0 to 100"),
        ("inside", -1, {"inside": "inside"}, "count below 0", "counts of 0 or more"),
        ("total", np.nan, {"total": "total"}, "missing, infinite or not a number", "a finite number"),
        (
            "population",
            0.0,
            {"weight": "population"},
            "weight is missing, infinite or not above 0",
            "finite weights above 0",
        ),
        (
            "population",
            np.inf,
            {"weight": "population"},
            "weight is missing, infinite or not above 0",
            "finite weights above 0",
        ),
        (
            "population",
            np.nan,
            {"weight": "population"},
            "weight is missing, infinite or not above 0",
            "finite weights above 0",
        ),
        ("beds", np.nan, {"covariates": ["beds"]}, "missing, infinite or not a number", "a finite number in every row"),
        ("county", None, {}, "unit is missing", "a label in every row"),
        ("year", None, {}, "period is missing or not readable", "years (2019), half-years ('2019H1'), quarters"),
        ("year", "soon", {}, "period is missing or not readable", "years (2019), half-years ('2019H1'), quarters"),
        ("area", None, {"cluster": "area"}, "cluster is missing", "a label in every row"),
    ],
)
def test_a_bad_value_is_an_error_that_shows_the_row(simulated_balanced, column, value, options, fault, expected):
    with pytest.raises(PanelError) as caught:
        read_panel(changed(simulated_balanced, column, value), **KEYS, **options)
    rows = caught.value.rows
    found = rows[rows["fault"] == fault]
    assert found[["row", "column"]].to_numpy().tolist() == [[7, column]]
    assert found["value"].iloc[0] == value or pd.isna(found["value"].iloc[0])
    assert expected in found["expected"].iloc[0]
    assert f"1 row: {fault} (column '{column}')" in str(caught.value)


def test_a_repeated_unit_and_period_shows_both_rows(simulated_balanced):
    twice = pd.concat([simulated_balanced, simulated_balanced.iloc[[7]].rename(index={7: "again"})])
    with pytest.raises(
        PanelError, match=r"2 rows: unit and period occur more than once \(column 'county, year'\)"
    ) as caught:
        read_panel(twice, **KEYS)
    assert caught.value.rows[["row", "value"]].to_numpy().tolist() == [[7, ("C01", 2016)], ["again", ("C01", 2016)]]


def test_more_inside_than_in_total_shows_both_counts(simulated_balanced):
    frame = changed(simulated_balanced, "inside", 2000)
    with pytest.raises(PanelError, match=r"1 row: inside is larger than total \(column 'inside, total'\)") as caught:
        read_panel(frame, **KEYS, inside="inside", total="total")
    assert caught.value.rows["value"].tolist() == [(2000, simulated_balanced.loc[7, "total"])]


def test_a_cluster_that_changes_within_a_unit_shows_all_rows_of_the_unit(simulated_balanced):
    with pytest.raises(PanelError, match=r"cluster changes within a unit.*one cluster for each unit") as caught:
        read_panel(changed(simulated_balanced, "area", "P05"), **KEYS, cluster="area")
    assert caught.value.rows["row"].tolist() == list(range(6, 12))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"period": "yaer"}, r"the period column is missing \(column 'yaer'\). .*did you mean 'year'\?"),
        ({"covariates": ["bed_count"]}, r"the covariate column is missing \(column 'bed_count'\)"),
        ({"weight": "pop"}, r"the weight column is missing \(column 'pop'\)"),
        ({"covariates": ["county"]}, r"missing, infinite or not a number \(column 'county'\)"),
        ({"covariates": ["share"]}, "the outcome is also a covariate"),
    ],
)
def test_a_wrong_column_is_named_with_what_there_is(simulated_balanced, arguments, message):
    with pytest.raises(PanelError, match=message):
        read_panel(simulated_balanced, **{**KEYS, **arguments})


def test_all_faults_of_a_table_come_at_once(simulated_balanced):
    frame = changed(changed(changed(simulated_balanced, "share", np.nan, 3), "population", np.inf, 5), "inside", -1, 9)
    with pytest.raises(PanelError, match="5 kinds of faults") as caught:
        read_panel(frame, "county", "yaer", "share", weight="population", inside="inside", covariates=["x"])
    assert caught.value.rows["column"].tolist() == ["yaer", "x", "share", "inside", "population"]


def test_a_long_list_of_rows_is_cut_in_the_message_and_whole_in_the_rows(simulated_balanced):
    with pytest.raises(PanelError, match=r"72 rows: .*\n.*row 0: .*; row 2: [\d.]+; \.\.\.$") as caught:
        read_panel(simulated_balanced.assign(share=lambda frame: frame["share"] * 100), **KEYS)
    assert len(caught.value.rows) == 72


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        ([1, 2], {}, "Found a list; expected a data frame with one row per unit and period"),
        (pd.DataFrame({"county": [], "year": [], "share": []}), {}, "the table has no rows"),
        (pd.DataFrame({"county": ["A"], "year": [2019], "share": [0.5]}).set_index("county"), {}, "call reset_index"),
        (
            pd.DataFrame([["A", 2019, 0.5, 0.5]], columns=["county", "year", "share", "share"]),
            {},
            "2 columns have the name",
        ),
        (pd.DataFrame(), {"outcome_unit": "per mille"}, "Found outcome_unit='per mille'; expected one of"),
    ],
)
def test_what_is_no_panel_at_all_says_so(frame, options, message):
    with pytest.raises(PanelError, match=message):
        read_panel(frame, **KEYS, **options)


def test_gaps_and_singletons_are_listed_and_no_fault(simulated_unbalanced):
    panel = read_panel(simulated_unbalanced, **KEYS)
    assert panel.gaps.to_numpy().tolist() == [["C00", 2016], ["C00", 2018]]
    assert panel.singletons.to_numpy().tolist() == [["C05", 2015]]


def test_a_balanced_panel_has_neither(simulated_balanced):
    panel = read_panel(simulated_balanced, **KEYS)
    assert panel.gaps.empty
    assert panel.singletons.empty


def test_a_year_that_nobody_is_observed_in_is_noted(simulated_balanced):
    panel = read_panel(simulated_balanced[simulated_balanced["year"] != 2018], **KEYS)
    assert panel.notes == (
        "no unit is observed in some years of the calendar (after 2017); event times count calendar steps",
    )


def test_dates_written_as_one_number_are_noted(simulated_balanced):
    panel = read_panel(simulated_balanced.assign(year=simulated_balanced["year"] * 100 + 1), **KEYS)
    assert panel.period_kind == "number"
    assert "write 2019-09 or 2019Q3 if they are dates" in panel.notes[0]


def test_a_share_that_is_not_inside_over_total_is_noted(simulated_balanced):
    panel = read_panel(changed(simulated_balanced, "share", 0.1), **KEYS, inside="inside", total="total")
    assert panel.notes[0].startswith("in 1 rows 'share' differs from 'inside' / 'total'")


def test_numbers_held_as_text_are_read_with_a_note(simulated_balanced):
    panel = read_panel(simulated_balanced.assign(share=simulated_balanced["share"].map(repr)), **KEYS)
    assert panel.frame["outcome"].tolist() == simulated_balanced["share"].tolist()
    assert panel.notes == ("column 'share' held numbers as text; they were read as numbers",)


@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_unit_labels_of_any_type_are_sorted_by_label(simulated_balanced, dtype):
    reverse = simulated_balanced.iloc[::-1].assign(county=lambda frame: frame["county"].astype(dtype))
    if dtype == "category":  # categories in an order of their own, one of them unused
        reverse["county"] = reverse["county"].cat.set_categories(["C99", *sorted(set(reverse["county"]), reverse=True)])
    panel = read_panel(reverse, **KEYS)
    assert panel.keys.units.tolist() == sorted(set(simulated_balanced["county"]))
    assert panel.frame["unit"].tolist() == reverse["county"].tolist()


@pytest.mark.parametrize("labels", [[440222, 440224], [440222.0, 440224.0], [-5, 10**12]])
def test_unit_labels_that_are_numbers_stay_whole_numbers(labels):
    frame = pd.DataFrame({"county": np.repeat(labels, 2), "year": [2019, 2020] * 2, "share": 0.5})
    assert read_panel(frame, **KEYS).keys.units.tolist() == [int(value) for value in labels]


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_hash_depends_on_content_and_not_on_the_order_of_rows_or_columns(seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "county": np.repeat(list("ABC"), 3),
            "year": np.tile([2019, 2020, 2021], 3),
            "share": rng.random(9),
            "beds": rng.random(9),
        }
    ).drop(index=rng.integers(9))
    digest = read_panel(frame, **KEYS, covariates=["beds"]).content_hash
    shuffled = frame.sample(frac=1, random_state=seed)[rng.permutation(frame.columns)].rename(
        columns={"county": "district"}
    )
    assert read_panel(shuffled, "district", "year", "share", covariates=["beds"]).content_hash == digest
    assert read_panel(frame, **KEYS).content_hash != digest
    moved = frame.assign(year=frame["year"] + 1)
    assert read_panel(moved, **KEYS, covariates=["beds"]).content_hash != digest
    other = frame.assign(share=np.nextafter(frame["share"], 0))
    assert read_panel(other, **KEYS, covariates=["beds"]).content_hash != digest


def test_the_hash_tells_units_apart_and_sees_the_same_panel_in_per_cent(simulated_balanced):
    digest = read_panel(simulated_balanced, **KEYS).content_hash
    order = sorted(set(simulated_balanced["county"]))
    assert read_panel(relabelled(simulated_balanced, order[::-1]), **KEYS).content_hash != digest
    halves = simulated_balanced.assign(share=np.round(simulated_balanced["share"] * 4) / 4)
    in_percent = halves.assign(share=halves["share"] * 100)
    same = read_panel(in_percent, **KEYS, outcome_unit="percent").content_hash
    assert same == read_panel(halves, **KEYS).content_hash
