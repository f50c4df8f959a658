"""Triple differences with covariates: the published estimator by its reference, and the three comparisons by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalaid as ea
from evalaid.did.estimators.common.two_by_two_scores import panel_scores

GOLDEN = Path(__file__).parents[2] / "golden" / "moderndid"
FRAME = pd.read_csv(GOLDEN / "triple_difference.csv")
RESULTS = json.loads((GOLDEN / "triple_difference.json").read_text())["results"]
# Two ways through the same sums in double precision.
EXACT = 1e-11
# The reference stops its logit at 1e-8 of the deviance.
LOGIT = 1e-7
# The reference divides by n - 1, in the sample of the cell: one in 150 of the variance.
DEGREES = 0.005
COMPARISONS = {"nevertreated": "never_treated", "notyettreated": "not_yet_treated"}
ADJUSTMENTS = {"dr": "doubly_robust", "reg": "regression", "ipw": "ipw"}


def diagnose(frame, covariates=("x", "z")):
    frame = frame.assign(start=frame["start"].replace(0, np.nan))
    return ea.diagnose(frame, "part", "year", "y", "start", covariates=("eligible", *covariates))


@pytest.mark.parametrize(
    "entry", RESULTS, ids=lambda e: f"{e['xformla']} {e['control_group']} {e['base_period']} {e['est_method']}"
)
def test_cells_equal_the_reference(entry):
    """``moderndid.ddd`` 0.2.0, the port of R ``triplediff``, on the same file."""
    found = ea.estimate(
        diagnose(FRAME, ("x", "z") if entry["xformla"] else ()),
        "triple_difference",
        eligible="eligible",
        comparison=COMPARISONS[entry["control_group"]],
        base_period=entry["base_period"],
        adjustment=ADJUSTMENTS[entry["est_method"]],
    )
    cells = pd.MultiIndex.from_frame(found.cells[["cohort", "period"]])
    wanted = pd.MultiIndex.from_arrays([entry["group"], entry["time"]])
    place = cells.get_indexer(wanted)
    assert (place >= 0).all()
    np.testing.assert_allclose(found.value[place], entry["att"], atol=LOGIT)
    errors = np.sqrt(found.influence.sum_of_squares())[place]
    wanted_errors = np.array([np.nan if error is None else error for error in entry["se"]])
    known = np.isfinite(wanted_errors)
    np.testing.assert_allclose(errors[known], wanted_errors[known], rtol=DEGREES)


def test_a_cell_is_three_doubly_robust_comparisons():
    found = ea.estimate(diagnose(FRAME), "triple_difference", eligible="eligible", comparison="never_treated")
    wide = FRAME.pivot_table(index="part", columns="year", values="y")
    units = FRAME.drop_duplicates("part").set_index("part")
    change, x = (wide[2006] - wide[2002]).to_numpy()[:, None], units[["x", "z"]].to_numpy(float)

    def side(start, eligible):
        rows = ((units["start"] == start) & (units["eligible"] == eligible)).to_numpy()
        return change[rows], x[rows], np.ones(rows.sum())

    own = side(2003, 1)
    hand = [panel_scores(*own, *side(*other), "doubly_robust").value[0] for other in ((2003, 0), (0, 1), (0, 0))]
    cell = found.select(cohort=2003, period=2006).value[0]
    assert cell == pytest.approx(hand[0] + hand[1] - hand[2], abs=EXACT)


def test_pooled_comparisons_of_unlike_proportions_would_be_biased():
    """The parts drift apart by cohort; pooled over later cohorts, unlike numbers of parts would show that drift as an effect."""
    rows = []
    for cohort, n_eligible, n_other in ((2003, 6, 6), (2005, 12, 3), (np.nan, 3, 12)):
        drift = 0.0 if np.isnan(cohort) else 0.5
        for k in range(n_eligible + n_other):
            name = f"{cohort}-{k}"
            part = int(k < n_eligible)
            rows += [
                (name, t, cohort, part, drift * (t - 2001) + part * (t - 2001) + 0.001 * k * t)
                for t in range(2001, 2006)
            ]
    frame = pd.DataFrame(rows, columns=["part", "year", "start", "eligible", "y"])
    frame["y"] -= 0.001 * frame["year"] * frame["part"].str.split("-").str[-1].astype(int)
    design = ea.diagnose(frame, "part", "year", "y", "start", covariates=("eligible",))
    found = ea.estimate(design, "triple_difference")
    assert "one by one" in found.estimand
    np.testing.assert_allclose(found.select(cohort=2003).value, 0, atol=1e-9)


def test_influence_is_the_derivative_of_the_estimate():
    frame = FRAME.assign(weight=1.0)
    frame = frame.assign(start=frame["start"].replace(0, np.nan))
    step = 1e-5

    def value(weight):
        weighted = frame.assign(weight=np.where(frame["part"] == 7, weight, 1.0))
        design = ea.diagnose(weighted, "part", "year", "y", "start", covariates=("eligible", "x"), weight="weight")
        return ea.estimate(design, "triple_difference", eligible="eligible", comparison="never_treated")

    at_one = value(1.0)
    row = at_one.population.units.get_loc(7)
    slope = (value(1 + step).value - value(1 - step).value) / (2 * step)
    np.testing.assert_allclose(at_one.influence.matrix()[row], slope, atol=1e-7)


def test_a_comparison_cohort_that_cannot_be_used_is_named():
    few = FRAME.drop_duplicates("part").query("start == 2005 and eligible == 0")["part"].iloc[1:]
    found = ea.estimate(diagnose(FRAME[~FRAME["part"].isin(few)]), "triple_difference", eligible="eligible")
    reason = found.select(cohort=2003, period=2004).cells["reason"][0]
    assert "1 of 2 comparison cohorts not used: fewer than 2 units in a part of a cohort" in reason
    assert np.isfinite(found.select(cohort=2003, period=2004).value[0])
