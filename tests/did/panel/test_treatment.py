"""A cohort is the first treated period, missing means never, and everything else is asked about."""

import numpy as np
import pandas as pd
import pytest

from evalaid.base.errors import PanelError
from evalaid.base.faults import Faults
from evalaid.did.panel.panel import read_panel
from evalaid.did.panel.treatment import gather_treatment


def treated(frame, cohort=None):
    column = frame["first_treated"] if cohort is None else cohort
    faults = Faults()
    found = gather_treatment(read_panel(frame, "county", "year", "share").keys, column, faults)
    faults.raise_if_any(PanelError, "cohort column")
    return found


def by_unit(frame, mapping):
    """Give a cohort column with these values for some counties and missing for the others."""
    return (
        frame["county"].map(mapping).astype(object).where(lambda column: column.notna(), None).rename("first_treated")
    )


def periods(years):
    return pd.PeriodIndex([None if np.isnan(year) else f"{year:.0f}" for year in years], freq="Y")


@pytest.mark.parametrize(
    "spell",
    [
        lambda column: column,
        lambda column: column.astype("Int64"),
        lambda column: column.astype("float32"),
        lambda column: column.astype(object).where(column.notna(), None),
        lambda column: pd.Series(periods(column), index=column.index),
        lambda column: pd.to_datetime(column.map(lambda year: None if np.isnan(year) else f"{year:.0f}-01-01")),
    ],
    ids=["float", "Int64", "float32", "object", "Period", "date"],
)
def test_every_type_of_cohort_column_gives_the_same_cohorts(simulated_balanced, spell):
    treatment = treated(simulated_balanced, spell(simulated_balanced["first_treated"]))
    np.testing.assert_array_equal(treatment.stated, [2017.0] * 4 + [2019.0] * 4 + [np.nan] * 4)
    assert treatment.stated.index.tolist() == sorted(set(simulated_balanced["county"]))
    assert treatment.notes == ()
    assert treatment.excluded.empty


def test_whole_numbers_work_where_every_unit_is_treated(simulated_all_treated):
    treatment = treated(simulated_all_treated, simulated_all_treated["first_treated"].astype(int))
    assert treatment.cohort.tolist() == [2017] * 4 + [2019] * 4


def test_text_cohorts_are_read_where_the_periods_are_text(simulated_balanced):
    frame = simulated_balanced.assign(year=simulated_balanced["year"].astype(str) + "Q1")
    treatment = treated(frame, by_unit(frame, {"C00": "2017Q1"}))
    assert treatment.cohort[0] == 4 * 47
    with pytest.raises(PanelError, match="cohort 'first_treated' is not readable as a quarter"):
        treated(frame, by_unit(frame, {"C00": "2017"}))


@pytest.mark.parametrize(
    ("cohort", "fault", "expected"),
    [
        ("2017", "cohorts are text while the periods are numbers", "numbers like the periods"),
        ("never", "cohorts are text while the periods are numbers", "a missing value"),
        (0, "a number stands for 'never treated'", "a missing value (NaN, None) for units that are never treated"),
        (-1, "a number stands for 'never treated'", "never 0, -1, 9999 or infinity"),
        (9999, "a number stands for 'never treated'", "never 0, -1, 9999 or infinity"),
        (np.inf, "a number stands for 'never treated'", "never 0, -1, 9999 or infinity"),
        (2017.5, "cohort 'first_treated' is not readable as a year", "first treated years written like the periods"),
        (
            pd.Period("2017Q1"),
            "cohort 'first_treated' is not readable as a year",
            "first treated years written like the periods",
        ),
    ],
)
def test_a_cohort_that_is_no_period_is_an_error_with_its_rows(simulated_balanced, cohort, fault, expected):
    column = by_unit(simulated_balanced, {"C00": cohort, "C04": 2018})
    with pytest.raises(PanelError) as caught:
        treated(simulated_balanced, column)
    rows = caught.value.rows
    assert rows["fault"].str.startswith(fault).all()
    assert expected in rows["expected"].iloc[0]
    assert set(range(6)) <= set(rows["row"])
    assert rows["value"].iloc[0] == cohort


@pytest.mark.parametrize("code", [0.0, -1.0, np.inf])
def test_a_code_for_never_is_found_beside_numbered_periods(simulated_balanced, code):
    frame = simulated_balanced.assign(year=simulated_balanced["year"] - 2014)
    with pytest.raises(
        PanelError, match=r"24 rows: a number stands for 'never treated'.*never 0, -1, 9999 or infinity"
    ):
        treated(frame, (frame["first_treated"] - 2014).fillna(code))


def test_zero_is_a_cohort_where_it_is_a_period(simulated_balanced):
    frame = simulated_balanced.assign(year=simulated_balanced["year"] - 2017)
    treatment = treated(frame, frame["first_treated"] - 2017)
    assert treatment.cohort[:8].tolist() == [0] * 4 + [2] * 4


def test_a_date_inside_a_period_is_sent_to_assign_cohorts(simulated_balanced):
    dates = pd.to_datetime(by_unit(simulated_balanced, {"C00": "2017-02-18"}))
    with pytest.raises(PanelError, match="for dates inside a period use assign_cohorts"):
        treated(simulated_balanced, dates)


def test_a_unit_whose_cohort_changes_is_listed_with_its_values(simulated_balanced):
    column = simulated_balanced["first_treated"].copy()
    column[[1, 30]] = [2018, np.nan]
    with pytest.raises(PanelError) as caught:
        treated(simulated_balanced, column)
    assert "12 rows: the cohort changes within 2 units (column 'first_treated')" in str(caught.value)
    assert "C00: 2017.0, 2018.0; C05: missing, 2019.0" in str(caught.value)
    assert caught.value.rows["row"].tolist() == [*range(6), *range(30, 36)]


@pytest.mark.parametrize("year", [2015, 2014, 1999])
def test_a_unit_treated_at_or_before_the_first_period_is_set_aside_with_a_reason(simulated_balanced, year):
    treatment = treated(simulated_balanced, by_unit(simulated_balanced, {"C03": year, "C04": 2018}))
    assert treatment.excluded.to_dict("records") == [
        {"unit": "C03", "cohort": year, "reason": "always treated: the cohort is at or before the first year (2015)"}
    ]
    assert treatment.notes == (
        "1 unit is treated at or before the first year (2015); they have no untreated period and are kept out of every comparison",
    )


def test_a_unit_treated_after_the_last_period_counts_as_never_treated_with_a_note(simulated_balanced):
    treatment = treated(simulated_balanced, by_unit(simulated_balanced, {"C03": 2021, "C04": 2018}))
    assert np.isnan(treatment.cohort[3])
    assert treatment.stated["C03"] == 2021
    assert treatment.notes[0].startswith("1 unit is first treated after the last year (2020)")


def test_a_start_in_an_unobserved_period_moves_to_the_next_observed_one_with_a_note(simulated_balanced):
    frame = simulated_balanced[simulated_balanced["year"] != 2017]
    treatment = treated(frame)
    assert treatment.cohort[:4].tolist() == [2018] * 4
    assert treatment.stated["C00"] == 2017
    assert "the cohort is the next observed year (2017 -> 2018)" in treatment.notes[0]


def numbered(frame):
    """Give the panel with whole numbers for units, sorted by unit and year: the form that is read from its edges."""
    codes = pd.factorize(frame["county"], sort=True)[0]
    return frame.assign(county=codes * 10).sort_values(["county", "year"], ignore_index=True)


def test_a_panel_in_order_is_read_as_one_whose_rows_are_mixed(simulated_balanced):
    in_order = numbered(simulated_balanced)
    mixed = in_order.sample(frac=1, random_state=3)
    one, other = (read_panel(frame, "county", "year", "share") for frame in (in_order, mixed))
    assert one.keys.codes is None
    assert other.keys.codes is not None
    assert one.content_hash == other.content_hash
    assert one.keys.unit.tolist() == np.repeat(np.arange(len(one.keys.units)), len(one.keys.periods)).tolist()
    assert treated(in_order).cohort.tolist() == pytest.approx(treated(mixed).cohort.tolist(), nan_ok=True)


@pytest.mark.parametrize("value", [2019.5, 0.0])
def test_a_faulty_cohort_of_a_panel_in_order_is_named_with_all_its_rows(simulated_balanced, value):
    frame = numbered(simulated_balanced)
    here = frame["county"] == 10
    frame.loc[here, "first_treated"] = value
    with pytest.raises(PanelError) as error:
        treated(frame)
    assert error.value.rows["row"].tolist() == np.flatnonzero(here).tolist()


def test_one_row_of_a_panel_in_order_that_says_another_cohort_is_found(simulated_balanced):
    frame = numbered(simulated_balanced)
    frame.loc[frame.index[frame["county"] == 10][-1], "first_treated"] = 1999
    with pytest.raises(PanelError, match="changes within 1 unit"):
        treated(frame)
