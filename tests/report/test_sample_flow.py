"""The sample flow of a report adds up; what concerns shares alone is left out where the outcome is none."""

import json

import pytest
from support.projects import ROOT

import evalaid as ea
from evalaid.report import describe, figures
from evalaid.report.display.canvas import Look
from evalaid.report.display.rendered_figure import draw
from evalaid.report.site.blocks import show_notebook
from evalaid.report.site.notes import Notes

KOREA = "korea_responsible_hospitals"


def test_the_flow_goes_from_the_file_to_the_design_and_names_who_is_left_out():
    frame = describe.describe_flow(ea.StudySpec(study=KOREA))
    assert frame["units"].iloc[0] - frame["units_out"].sum() == frame["units"].iloc[-1]
    assert set(describe.FLOW_COLUMNS) <= set(frame.columns)
    (row,) = frame[frame["units_out"] > 0].to_dict("records")
    assert row["who"].endswith(f"; and {row['units_out'] - describe.NAMED} more: evalaid why {KOREA}")
    figure = draw(figures.draw_flow, frame, Look("real", "Share", 0.95, units="districts"), name="flow", caption="Flow")
    assert f"{row['step']}: {row['units']} left  ({row['units_out']} out)" in figure.alt


def test_cells_about_shares_are_shown_for_shares_alone():
    notebook = json.loads((ROOT / "notebooks" / "3_effect.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if "share" in cell["metadata"].get("tags", ())]
    assert {"markdown", "code"} == {cell["cell_type"] for cell in cells}
    notes = Notes({}, "areas", ROOT)
    with_share, without = (
        "".join(block.html for block in show_notebook("3_effect", notebook, "evidence", (), notes, share=share))
        for share in (True, False)
    )
    for words in ("ceiling", "log-odds", "percentage points"):
        assert words in with_share
        assert words not in without


def test_a_unit_not_observed_in_the_first_period_is_no_zero_in_the_baseline(tmp_path, monkeypatch):
    from support.projects import make_project, toy_frame

    monkeypatch.chdir(make_project(tmp_path))
    frame = toy_frame().drop(index=0)
    frame.to_csv(tmp_path / "data" / "toy.csv", index=False)
    spec = ea.StudySpec(study="toy")
    from evalaid.study.sample import load_design

    table, _ = describe.describe_baseline(spec, load_design(spec))
    first = frame[(frame["year"] == 2015) & (frame["first_treated"] == 2017)]["share"]
    assert table["outcome"].iloc[0] == pytest.approx(100 * first.mean())


def test_an_outcome_that_is_no_share_has_its_unit_in_sentences_and_axes(tmp_path, monkeypatch):
    from support.projects import TOY, make_project, toy_frame, write_study

    from evalaid.report.questions.analysis import estimate_main, report_effects
    from evalaid.report.section import open_section
    from evalaid.report.threats.finding import put_to_test
    from evalaid.study.sample import load_design

    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    toy_frame().assign(share=lambda frame: 1000 * frame["share"]).to_csv(tmp_path / "data" / "toy.csv", index=False)
    write_study(tmp_path, "toy", {**TOY, "outcome_unit": "number", "outcome_measure": "per 100,000"})
    section = open_section({"study": "toy"}, notebook="3_effect")
    effects = estimate_main(section.spec, load_design(section.spec))
    columns = ["label", "estimate", "conf_low", "conf_high"]
    section.table(report_effects(effects, "overall", section.spec), "overall", columns, "Effect")
    number = section.recorder.numbers["overall.main.estimate"]
    assert number.unit == "per 100,000"
    assert section.words("{overall.main.estimate:signed}").endswith(" per 100,000")
    assert "per 100,000" in section.words("The outcome {overall.main:reading}")
    assert section.look.in_points == " (per 100,000)"
    case = put_to_test(section.spec, load_design(section.spec))
    assert case.finding.write(-49.0) == "−49.00 per 100,000"
    assert "per 100,000" not in section.words("{overall.main.estimate:bare}")
