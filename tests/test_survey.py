"""Every method on a study's design: an estimate or a reason, never a crash."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalaid as ea
from evalaid.sample import load_design
from evalaid.survey import describe_ceiling, describe_decomposition, survey_methods, survey_scales, tell_scales


def test_every_registered_method_has_an_estimate_or_a_reason_on_the_korean_study():
    spec = ea.StudySpec(study="korea_responsible_hospitals")
    design = load_design(spec)
    table = survey_methods(spec, design)
    assert table["key"].tolist() == ea.methods()["method"].tolist()
    assert (table["estimate"].notna() | (table["reason"] != "")).all()
    refused = table[table["estimate"].isna()].set_index("key")["reason"]
    assert set(refused.index) == {"dose", "triple_difference"}
    assert "covariate(s) are needed" in refused["dose"]


def test_scales_without_a_value_say_why_on_the_korean_study():
    spec = ea.StudySpec(study="korea_responsible_hospitals")
    table = survey_scales(spec, load_design(spec)).set_index("key")
    assert np.isfinite(table.loc["share", "estimate"])
    assert np.isfinite(table.loc["log_outflow", "estimate"])
    assert "28 observation(s) are there" in table.loc["log_odds", "reason"]
    ceiling, _ = describe_ceiling(load_design(spec))
    assert ceiling["above_ever"].sum() == 0
    assert ceiling["key"].tolist() == ["2021", "2022", "2024", "never"]


def test_the_decomposition_by_kind_adds_up_to_the_coefficient():
    design = load_design(ea.StudySpec(study="korea_responsible_hospitals"))
    table, _ = describe_decomposition(design)
    assert table["weight"].sum() == pytest.approx(100)
    assert table["weight"] @ table["estimate"] / 100 == pytest.approx(100 * ea.estimate(design, "twfe").value[0])
    assert table["key"].tolist() == ["never", "earlier", "later"]


def test_scales_that_disagree_on_the_sign_are_said_first():
    frame = pd.DataFrame({"key": ["share", "log_odds"], "label": ["Share", "Log-odds"], "estimate": [1.0, -0.5]})
    assert tell_scales(frame).startswith("**The scales disagree on the sign of the effect**")
    assert "have the same sign" in tell_scales(frame.assign(estimate=[1.0, 0.5]))
    assert "Fewer than two scales" in tell_scales(frame.assign(estimate=[1.0, np.nan]))
