"""What each rule of a study leaves out adds up from the file to the design, and of every unit it is said why."""

import pandas as pd
import pytest
from click.testing import CliRunner
from support.projects import TOY, make_project, toy_frame, write_study

from evalaid.base.errors import StudyError
from evalaid.base.project import list_studies
from evalaid.cli import main
from evalaid.study.sample import load_design
from evalaid.study.sample_flow import DESIGN, FILE, explain_unit, follow_sample
from evalaid.study.spec import load_study


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    return tmp_path


def adds_up(flow, spec):
    steps, design = flow.steps, load_design(spec)
    for left, out in (("units", "units_out"), ("observations", "observations_out")):
        assert (steps[left].shift(1).iloc[1:] - steps[out].iloc[1:] == steps[left].iloc[1:]).all()
    assert (steps["units"].iloc[-1], steps["observations"].iloc[-1]) == (design.n_units, design.n_observations)
    assert len(flow.left_out) == steps["units"].iloc[0] - design.n_units == steps["units_out"].sum()
    return True


@pytest.mark.parametrize("name", [name for name in list_studies("project") if load_study(name).data_kind == "real"])
def test_the_flow_of_every_real_study_adds_up(name):
    assert adds_up(follow_sample(load_study(name)), load_study(name))


def test_every_rule_names_the_units_that_it_leaves_out(project):
    frame = toy_frame()
    frame.loc[frame["county"] == "C03", "first_treated"] = 2015  # treated throughout: no period before
    frame = frame.assign(region=frame["county"].map(lambda county: "east" if county < "C09" else "west"))
    frame.to_csv(project / "data" / "toy.csv", index=False)
    events = pd.DataFrame({"kind": ["strike"], "county": ["C02; C05"]})
    events.to_csv(project / "data" / "events.csv", index=False)
    changes = {
        "first_period": 2016, "keep": {"region": ["east"]}, "events": "data/events.csv", "leave_out_events": ["strike"],
        "cluster": "county", "only_cohorts": [2015, 2019],
    }  # fmt: skip
    write_study(project, "toy", {**TOY, **changes})
    spec = load_study("toy")
    flow = follow_sample(spec)
    assert adds_up(flow, spec)
    steps = flow.steps.set_index("step")
    assert steps.index[0] == FILE
    assert steps.index[-1] == DESIGN
    assert steps["names"].to_dict() == {
        FILE: "", "first_period: 2016": "", "keep: region is east": "C09; C10; C11",
        "leave_out_events: strike": "C02; C05", "only_cohorts: 2015, 2019, and the never treated": "C00; C01",
        steps.index[5]: "C03", DESIGN: "",
    }  # fmt: skip
    assert steps["observations_out"].tolist() == [0, 12, 15, 10, 10, 5, 0]
    assert "Left out by keep: region is east. Its region is west." in explain_unit(spec, "C10")
    assert "Left out by leave_out_events: strike." in explain_unit(spec, "C05")
    assert "In the design: first treated 2019." in explain_unit(spec, "c04 ")
    with pytest.raises(StudyError, match=r"no unit 'C1O' .*nearest are '"):
        explain_unit(spec, "C1O")
    with pytest.raises(StudyError, match="'west' is 3 units"):
        explain_unit(spec, "west")


def test_the_command_explains_a_unit_and_lists_the_rules(project):
    said = CliRunner().invoke(main, ["why", "toy", "C00"], catch_exceptions=False)
    assert said.exit_code == 0
    assert said.output.startswith("C00: 6 observations in the file (2015 to 2020).\nIn the design: first treated 2017.")
    assert FILE in CliRunner().invoke(main, ["why", "toy"], catch_exceptions=False).output
