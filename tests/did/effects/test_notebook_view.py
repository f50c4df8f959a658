"""A result in a notebook: its words, its facts, its tables; nothing of it can be read as markup."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

import evalaid as ea
from evalaid.did.effects.notebook_view import MOST_ROWS, NotebookView
from evalaid.did.inference.randomisation.permutation import Randomization


@dataclass(frozen=True, eq=False)
class Result(NotebookView):
    name: str
    size: float
    missing: float
    table: pd.DataFrame


def test_facts_and_tables_are_shown_and_escaped():
    html = Result("a<b", 1.23456, np.nan, pd.DataFrame({"unit": ["<x>"], "value": [np.nan]}))._repr_html_()
    assert "name: a&lt;b" in html
    assert "size: 1.235" in html
    assert "missing" not in html
    assert "&lt;x&gt;" in html
    assert "NaN" not in html


def test_a_long_table_says_how_long_it_is():
    html = Result("a", 1.0, 1.0, pd.DataFrame({"unit": range(100)}))._repr_html_()
    assert f"{MOST_ROWS + 2}" not in html
    assert "100 rows" in html


def test_every_result_of_the_package_shows_itself():
    assert all(hasattr(one, "_repr_html_") for one in (ea.Design, ea.Effects, ea.EventStudy, Randomization))
