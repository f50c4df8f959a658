"""Names are compared in one way: what a person takes for the same name is, and codes keep every digit."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalaid.reading.values.comparable_names import comparable, match_names, name_text
from evalaid.reading.values.total_words import find_totals, totals_by_name

NAMES = st.text(st.characters(categories=["Lu", "Ll", "Lo", "Nd"]), min_size=1, max_size=12)


@given(NAMES)
def test_case_blanks_and_outer_punctuation_change_nothing(name):
    key = comparable(name)
    assert comparable(f"  {name}\u3000") == key
    assert comparable(f"{name}.") == key
    assert comparable(key) == key


@given(st.from_regex(r"[0-9]{1,8}", fullmatch=True), st.from_regex(r"[0-9]{1,8}", fullmatch=True))
def test_codes_are_the_same_only_when_every_digit_is(one, other):
    assert (comparable(one) == comparable(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Santa Clara", "SANTA  CLARA", True),
        ("Prince George's", "Prince George’s", True),
        ("ＣＯＵＮＴＹ１", "County1", True),
        ("St. Mary", "St Mary", True),
        ("1.1", "11", False),
        ("01001", "1001", False),
        ("A+", "A", False),
    ],
)
def test_what_a_person_takes_for_one_name_is_one(one, other, same):
    assert (comparable(one) == comparable(other)) is same


def test_a_code_that_lost_its_zero_is_shown_as_the_nearest():
    match = match_names(["01001", "Dalas"], [1001, "Dallas", "El Paso"])
    assert match.unknown == {"01001": ("1001",), "Dalas": ("Dallas",)}
    assert "'Dalas' is not in the panel (nearest: 'Dallas')" in match.message("of the roster", "the panel")


def test_names_of_workbooks_and_texts_are_written_alike():
    assert [name_text(value) for value in (1001.0, 1001, "1001", 1.5)] == ["1001", "1001", "1001", "1.5"]


@pytest.mark.parametrize(
    "name", ["Total", "Insgesamt", "Ensemble", "Totale", "合计", "합계", "総数", "Total general", "Todos"]
)
def test_a_total_is_known_in_every_language(name):
    assert name in totals_by_name([name, "North", "South"])


@pytest.mark.parametrize("name", ["England", "All India", "Deutschland", "France entière", "Brasil", "Italia", "전국"])
def test_a_nation_among_its_units_is_their_total_and_among_nations_a_unit(name):
    assert name in totals_by_name([name, "North", "South", "East", "West"])
    assert name not in totals_by_name([name, "Scotland", "Wales"])


def test_a_mean_and_a_code_that_begins_all_others_are_totals():
    rng = np.random.default_rng(3)
    rows = [(unit, year, rng.uniform(10, 90)) for unit in "abcde" for year in range(2000, 2005)]
    frame = pd.DataFrame(rows, columns=["unit", "year", "y"])
    mean = frame.groupby("year")["y"].mean().rename("y").reset_index().assign(unit="m")
    assert set(find_totals(pd.concat([frame, mean]), "unit", "year", ["y"])) == {"m"}
    assert not find_totals(frame, "unit", "year", ["y"])
    codes = pd.DataFrame(
        {"unit": ["0100", "0101", "0102", "0103", "0104", "0105"], "year": 2000, "y": [9, 1, 2, 3, 1, 4]}
    )
    assert set(find_totals(codes, "unit", "year", ["y"])) == {"0100"}
