"""Every method on a study's design: an estimate or a reason, never a crash."""

from __future__ import annotations

import numpy as np

import evalaid as ea
from evalaid.sample import load_design
from evalaid.survey import describe_ceiling, survey_methods, survey_scales


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
    ceiling = describe_ceiling(load_design(spec))
    assert ceiling["above_ever"].sum() == 0
    assert ceiling["key"].tolist() == ["2021", "2022", "2024", "never"]
