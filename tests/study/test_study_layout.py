"""A study whose panel is a table as it was sent: read with its layout, joined by codes, every decision in the report."""

import hashlib
import json

import pytest
from support import tables
from support.projects import EFFECT, SAMPLE, TOY, make_project, write_study

from evalaid.base.errors import ReadingError, StudyError
from evalaid.reading.tables.tables import read_table
from evalaid.report.questions import describe
from evalaid.running.notebooks import run_study
from evalaid.study.provenance import gather_decisions
from evalaid.study.sample import load_design, load_frame
from evalaid.study.sources import hash_inputs
from evalaid.study.spec import StudySpec

LISTED = "section.table_if_any(*describe.list_decisions(spec))\nsection.table_if_any(*describe.list_left_out(spec))"
STUDY = {
    "panel": "data/三表头.xlsx",
    "layout": "data/三表头.layout.yaml",
    "unit": "unit",
    "period": "period",
    "outcome": "share",
    "inside": "inside",
    "total": "total",
    "cohort": None,
    "roster": "data/roster.csv",
    "roster_unit": "unit",
    "start_column": "start",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    make_project(tmp_path, [SAMPLE, LISTED, EFFECT])
    data = tmp_path / "data"
    path = tables.write_xlsx(data / "三表头.xlsx", {"表1": tables.three_headers(tables.quarters())})
    (data / "三表头.layout.yaml").write_text(read_table(path).layout.to_yaml(), encoding="utf-8")
    (data / "roster.csv").write_text("unit,start\n440222,2019-02\n441826,2019-05\n441881,2019-02\n", encoding="utf-8")
    files = ["三表头.xlsx", "三表头.layout.yaml", "roster.csv"]
    package = [
        {"path": name, "hash": f"sha256:{hashlib.sha256((data / name).read_bytes()).hexdigest()}"} for name in files
    ]
    (data / "datapackage.json").write_text(json.dumps({"resources": package}), encoding="utf-8")
    write_study(tmp_path, "toy", {name: value for name, value in {**TOY, **STUDY}.items() if value is not None})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_panel_is_read_with_its_layout_and_joined_by_codes(project):
    spec = StudySpec(study="toy")
    design = load_design(spec)
    assert (design.n_units, design.n_periods, design.n_treated) == (6, 8, 3)
    assert set(hash_inputs(spec)) == {STUDY["panel"], STUDY["layout"], STUDY["roster"]}
    first = load_frame(spec)
    first.loc[:, "share"] = 0.0
    assert load_frame(spec)["share"].min() > 0.5


def test_the_report_lists_every_decision_and_what_was_left_out(project):
    folder = run_study(StudySpec(study="toy"), folder=project / "reports" / "toy").folder
    page = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.html")))
    reading = read_table(project / STUDY["panel"], project / STUDY["layout"])
    frame = gather_decisions(StudySpec(study="toy")).decisions
    # The reasons are those of the detection, which may need one decision more than a layout that is given.
    assert len(frame) >= len(reading.decisions)
    assert set(reading.decisions["file"]) == set(frame["file"])
    assert "the layout says so" not in set(frame["because"])
    for words in (
        "Every decision taken about the files",
        "inside / total",
        "a total or average, by its name",
        "韶关市",
    ):
        assert words in page


def test_a_study_without_a_layout_lists_nothing(project):
    spec = StudySpec(study="toy").change({"panel": "data/toy.csv", "layout": None})
    assert [
        len(listing(spec)[0]) for listing in (describe.list_decisions, describe.list_left_out, describe.list_findings)
    ] == [0] * 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layout": None, "panel": "data/tables"}, "needs a layout"),
        (
            {"panel": None, "simulation": {"generator": "xinjiang", "seed": 1}, "data_kind": "simulated"},
            "panel .a file. is missing",
        ),
    ],
)
def test_a_layout_and_its_panel_belong_together(project, changes, words):
    with pytest.raises(StudyError, match=words):
        StudySpec(study="toy").change(changes)


def test_a_panel_that_no_longer_fits_its_layout_is_refused_with_cells(project):
    rows, merged = tables.three_headers(tables.quarters())
    rows[-3][3] = "many"
    tables.write_xlsx(project / STUDY["panel"], {"表1": (rows, merged)})
    with pytest.raises(ReadingError, match="D15"):
        load_frame(StudySpec(study="toy"))
