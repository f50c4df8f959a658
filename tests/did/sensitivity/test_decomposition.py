"""The Goodman-Bacon decomposition against R bacondecomp and against the coefficient."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.panels import GOLDEN, counties, diagnose, simulate

import evalaid as ea

KIND = {
    "Treated vs Untreated": "treated vs never treated",
    "Earlier vs Later Treated": "earlier vs later treated",
    "Later vs Earlier Treated": "later vs earlier treated",
}


def test_the_decomposition_equals_bacondecomp():
    entries = json.loads((GOLDEN / "counties_a.json").read_text())["entries"]
    reference = pd.DataFrame(next(e["results"] for e in entries if e["id"] == "bacon"))
    reference["comparison"] = pd.to_numeric(reference["untreated"]).replace(np.inf, np.nan).astype("Int64")
    reference["kind"] = reference["type"].map(KIND)
    keys = ["treated", "comparison", "kind"]
    found = ea.bacon(diagnose(counties())).merge(reference, on=keys, suffixes=("", "_r"), validate="one_to_one")
    assert len(found) == len(reference) == 9
    np.testing.assert_allclose(found["estimate"], found["estimate_r"], rtol=1e-8)
    np.testing.assert_allclose(found["weight"], found["weight_r"], rtol=1e-8)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), cohorts=st.sampled_from([(4, None), (3, 5), (2, 4, 7, None), (3, 6, 8)]))
def test_weights_sum_to_one_and_estimates_to_the_coefficient(seed, cohorts):
    panel = diagnose(simulate(seed, n_units=24, cohorts=cohorts))
    table = ea.bacon(panel)
    assert table["weight"].sum() == pytest.approx(1, abs=1e-12)
    assert table["weight"] @ table["estimate"] == pytest.approx(ea.estimate(panel, "twfe").value[0], abs=1e-12)


def test_what_it_does_not_hold_for_is_refused_with_all_reasons():
    with pytest.raises(ea.NotIdentifiedError) as caught:
        ea.bacon(diagnose(simulate(1, missing=0.1), weight="weight"))
    assert len(caught.value.reasons) == 2
