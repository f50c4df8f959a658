"""From a table and a roster as they were sent to a study: everything is written, or nothing; the report lists every decision."""

import ast
import itertools
import json
import os
import shutil
import sys
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from click.testing import CliRunner
from support.projects import ROOT, toy_frame

from evalaid.base.errors import EvalaidError, ReadingError, StudyError
from evalaid.base.project import list_studies
from evalaid.cli import main
from evalaid.did.estimators.identities import check_identities
from evalaid.report.questions.alternatives import compare_methods
from evalaid.report.questions.analysis import estimate_main
from evalaid.report.questions.dense_check import check_with_dummies
from evalaid.report.questions.describe import describe_sample
from evalaid.report.questions.other_starts import vary_study_starts
from evalaid.simulate import office
from evalaid.study.manifest import read_manifest
from evalaid.study.new.own_data import begin_study
from evalaid.study.new.own_parameters import ADJACENCY
from evalaid.study.provenance import gather_decisions
from evalaid.study.sample import load_design
from evalaid.study.sources import data_faults, hash_inputs
from evalaid.study.spec import load_study
from evalaid.study.surroundings import load_neighbours


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    (folder / "notebooks" / "studies").mkdir(parents=True)
    (folder / "data").mkdir()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copyfile(path, folder / "notebooks" / path.name)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    return folder


@pytest.fixture
def files(tmp_path):
    return office.write_office_files(tmp_path / "given")


def everything(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def call(*arguments):
    return CliRunner().invoke(main, [str(part) for part in arguments], catch_exceptions=False)


def write(path, *rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_two_commands_lead_from_office_files_to_a_report_with_every_decision(project, tmp_path, files):
    """The folder has a name that an archive made on a Chinese system leaves: GB18030 bytes, no UTF-8."""
    folder = tmp_path / os.fsdecode("县域数据".encode("gb18030")) if sys.platform == "linux" else tmp_path / "县域数据"
    folder.mkdir()
    panel = (
        folder / os.fsdecode("县域住院表.xlsx".encode("gb18030"))
        if sys.platform == "linux"
        else folder / "县域住院表.xlsx"
    )
    shutil.copyfile(files.panel, panel)
    shutil.copyfile(files.roster, folder / files.roster.name)
    made = call("new", "mine", "--panel", panel, "--roster", folder / files.roster.name, "--data-kind", "simulated")
    assert made.exit_code == 0, made.output
    assert "then: evalaid run mine" in made.output
    assert (project / "data" / "mine" / "县域住院表.xlsx").is_file()
    done = call("run", "mine", "-p", "notebooks=[2_design, 3_effect]")
    assert done.exit_code == 0, done.output
    (report,) = (project / "reports").glob("mine@*")
    listed = pd.read_csv(report / "tables" / "decisions.csv")
    decided = gather_decisions(load_study("mine"))
    assert len(listed) == len(decided.decisions) > 40
    page = "".join(path.read_text(encoding="utf-8") for path in sorted(report.glob("*.html")))
    for row in decided.decisions.itertuples():
        assert row.because != "the layout says so", row
    for words in (
        "县域住院表.xlsx",
        "约2014年",
        "a convention of this package",
        "short form of 连山壮族瑶族自治县",
        "a total or average",
        "Dates that are not exact.",
        "the year that holds the start &#x27;约2014年&#x27;; it may be 2013 to 2015",
    ):
        assert words in page, words
    numbers = read_manifest(report / "numbers.json").numbers
    assert numbers["starts.smallest.estimate"].value < numbers["starts.stated.estimate"].value
    assert numbers["starts.stated.estimate"].value == numbers["overall.main.estimate"].value
    assert numbers["overall.main.conf_low"].value < 100 * files.effect < numbers["overall.main.conf_high"].value


def test_every_start_is_placed_with_its_cell_and_units_beside_the_panel_are_listed(project, tmp_path, files):
    roster = write(
        tmp_path / "r.xlsx",
        ["受援县", "支援医院", "开始时间"],
        ["连南县", "甲", "2014年前后"],
        ["阳山县", "甲", "2018下半年"],
        ["阳山县", "乙", "2016-03"],
        ["湟中县", "乙", "2016"],
    )
    with pytest.raises(StudyError, match=r"(?s)'湟中区' is not in the panel.*--not-in-panel \"湟中区\""):
        begin_study("mine", files.panel, roster, data_kind="simulated")
    begin_study("mine", files.panel, roster, not_in_panel=["湟中区"], data_kind="simulated")
    found = gather_decisions(load_study("mine"))
    placed = found.decisions[found.decisions["what"].str.startswith("first treated")].set_index("cell")
    assert placed["decided"].to_dict() == {"C2": "2014", "C4": "2016"}
    assert set(placed["file"]) == {"r.xlsx"}
    assert placed.loc["C2", "what"] == "first treated year of 连南瑶族自治县"
    assert "it may be 2013 to 2015" in placed.loc["C2", "because"]
    assert "the earliest of 2 partnerships" in placed.loc["C4", "because"]
    absent = found.left_out[found.left_out["reason"] == "a unit that is not in the panel"]
    assert absent["cell"].tolist() == ["C5"]


def tidy_files(folder):
    """A tidy panel of districts with a share in per cent, and a roster of them."""
    frame = toy_frame().drop(columns="first_treated")
    frame = frame.assign(county=frame["county"].str.replace("C", "区"), share=(100 * frame["share"]).round(2))
    frame = frame.rename(columns={"county": "地区", "year": "年", "share": "本地住院率"})
    rows = [[f"区0{n}", "医院", 2017] for n in range(3)]
    return frame, write(folder / "名单.xlsx", ["地区", "支援医院", "开始时间"], *rows)


@pytest.mark.parametrize(
    ("name", "save", "opened"),
    [
        ("gb.csv", lambda frame, path: frame.to_csv(path, index=False, encoding="gb18030"), "Read as GB18030"),
        ("tab.tsv", lambda frame, path: frame.to_csv(path, index=False, sep="\t"), "separated by tab"),
        ("book.xlsx", lambda frame, path: frame.to_excel(path, index=False), ""),
        ("file.parquet", lambda frame, path: frame.to_parquet(path), "read"),
    ],
)
def test_a_tidy_panel_of_any_file_is_decided_upon_in_the_report(project, tmp_path, name, save, opened):
    frame, roster = tidy_files(tmp_path)
    save(frame, tmp_path / name)
    new = begin_study("mine", tmp_path / name, roster, data_kind="simulated")
    spec = load_study("mine")
    assert (spec.layout, spec.unit, spec.period, spec.outcome, spec.outcome_unit) == (
        None, "地区", "年", "本地住院率", "percent",
    )  # fmt: skip
    design = load_design(spec)
    assert (design.n_units, design.n_treated) == (12, 3)
    assert 0 < design.matrices.outcome.min() < design.matrices.outcome.max() < 1
    decided = gather_decisions(spec).decisions
    assert decided["file"].isin([name, "名单.xlsx"]).all()
    assert {"column '地区'", "column '本地住院率'", "unit of '本地住院率'"} <= set(decided["what"])
    assert decided["decided"].str.contains(opened).any()
    assert new.decisions["because"].str.contains("numbers without a sign").any()


def test_counties_have_their_names_and_the_neighbours_that_the_project_knows(project, files):
    (project / "data" / "published").mkdir()
    shutil.copyfile(ROOT / ADJACENCY, project / ADJACENCY)
    begin_study("mine", files.panel, files.roster, data_kind="simulated")
    spec = load_study("mine")
    assert spec.robustness.neighbours.file == ADJACENCY
    pairs = load_neighbours(spec)
    names = set(load_design(spec).matrices.units)
    assert "连南瑶族自治县" in names
    assert set(pairs["unit"]) | set(pairs["neighbour"]) <= names
    assert {"连南瑶族自治县", "连山壮族瑶族自治县"} in pairs.apply(set, axis=1).tolist()
    assert set(vary_study_starts(spec).units["label"]) == {"连南瑶族自治县", "佛冈县"}


def test_columns_that_are_not_clear_are_asked_for_and_can_be_named(project, tmp_path):
    frame, roster = tidy_files(tmp_path)
    frame.assign(门诊率=0.5).to_csv(tmp_path / "two.csv", index=False)
    asked = call("new", "mine", "--panel", tmp_path / "two.csv", "--roster", roster)
    assert asked.exit_code == 2
    assert "--outcome COLUMN" in asked.output
    assert "Nothing was written." in asked.output
    named = call("new", "mine", "--panel", tmp_path / "two.csv", "--roster", roster, "--outcome", "本地住院率")
    assert named.exit_code == 0, named.output


def test_a_name_in_bytes_of_a_chinese_system_is_shown_as_a_person_reads_it(project, tmp_path, files):
    if sys.platform != "linux":
        pytest.skip("names are text on this system")
    odd = tmp_path / os.fsdecode("名单.xlsx".encode("gb18030"))
    shutil.copyfile(files.roster, odd)
    checked = call("check", odd)
    assert checked.exit_code == 0, checked.output
    assert "名单.xlsx: a roster of partnerships" in checked.output
    assert 'file: "名单.xlsx"' in checked.output


@pytest.mark.slow
def test_the_whole_report_is_made_and_every_number_of_it_confirmed(project, files):
    begin_study("mine", files.panel, files.roster, data_kind="simulated")
    assert call("run", "mine").exit_code == 0
    assert call("accept", "mine").exit_code == 0
    assert "mine: all " in (verified := call("verify", "mine")).output
    assert verified.exit_code == 0


def test_the_study_is_complete_and_commented(project, files):
    new = begin_study("mine", files.panel, files.roster)
    spec = load_study("mine")
    assert list_studies() == ("mine",)
    assert (spec.unit, spec.roster_unit, spec.outcome, spec.inside, spec.total, spec.data_kind) == (
        "name",
        "unit",
        "share",
        "inside",
        "total",
        "real",
    )
    assert spec.methods[spec.main].method == new.method == "callaway_santanna"
    assert "8 treated units in 3 cohorts, 12 never treated" in spec.methods[spec.main].why
    assert load_design(spec).n_units == 20
    assert not data_faults(hash_inputs(spec))
    assert new.parameters == (project / new.file).read_text(encoding="utf-8")
    assert (
        "# 2 units may start in one of several years: the report repeats the estimate over all of them"
        in new.parameters
    )
    package = json.loads((project / "data" / "mine" / "datapackage.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in package["resources"]] == ["mine-panel", "mine-roster"]
    assert not (project / "data" / "datapackage.json").exists()
    assert not list(project.glob(".new-*"))
    layout = (
        project / "notebooks" / "studies" / "layouts" / "mine_panel.yaml"
    )  # a choice of the study: it may be edited
    layout.write_text(layout.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
    assert not data_faults(hash_inputs(spec))
    raw = project / spec.panel
    raw.write_bytes(raw.read_bytes() + b"x")  # raw data may not
    assert data_faults(hash_inputs(spec))


def test_a_study_is_never_overwritten(project, files):
    begin_study("mine", files.panel, files.roster)
    before = everything(project)
    with pytest.raises(StudyError, match=r"a study 'mine' already.*nothing was written"):
        begin_study("mine", files.panel, files.roster)
    assert everything(project) == before
    with pytest.raises(StudyError, match="remove these to begin again"):
        begin_study("mine", files.panel, files.roster)
    (project / "data" / "published").mkdir()
    with pytest.raises(StudyError, match=r"Take another name; nothing"):  # no advice to remove what is the project's
        begin_study("published", files.panel, files.roster)


def test_files_that_were_exchanged_are_told(project, files):
    with pytest.raises(
        StudyError, match=r"is a roster of partnerships.*were --panel and --roster exchanged\? Nothing was"
    ):
        begin_study("mine", files.roster, files.panel)


def test_what_the_system_refuses_is_told_and_leaves_nothing(project, files, monkeypatch):
    before = everything(project)

    def refuse(source, target):
        raise PermissionError(13, "Permission denied", str(target))

    monkeypatch.setattr("evalaid.study.new.own_data.shutil.copyfile", refuse)
    with pytest.raises(StudyError, match=r"Permission denied.*Close the file in other programs.*nothing was written"):
        begin_study("mine", files.panel, files.roster)
    assert everything(project) == before
    assert not list(project.glob(".new-*"))


def test_an_interruption_leaves_nothing(project, files, monkeypatch):
    def interrupt(spec):
        raise KeyboardInterrupt

    before = everything(project)
    monkeypatch.setattr("evalaid.study.new.own_data.load_study", interrupt)
    with pytest.raises(KeyboardInterrupt):
        begin_study("mine", files.panel, files.roster)
    assert everything(project) == before
    assert not list(project.glob(".new-*"))


def _no_overlap(folder):
    return write(folder / "r.xlsx", ["受援县", "支援医院", "开始时间"], ["湟中县", "甲", "2014"])


def _no_date(folder):
    return write(
        folder / "r.xlsx", ["受援县", "支援医院", "开始时间"], ["连南县", "甲", "春节后"], ["阳山县", "乙", None]
    )


def _no_header(folder):
    return write(folder / "r.xlsx", ["a", "b"], [1, 2])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_no_overlap, "No unit of the roster is in the panel"),
        (_no_date, "2 faults"),
        (_no_header, "no roster was found"),
        (lambda folder: folder / "none.xlsx", r"There is no file '.*none.xlsx': check the name"),
        (lambda folder: Path(os.devnull), "is no regular file but a device or a pipe"),
        (lambda folder: folder, "is a folder"),
    ],
)
def test_after_a_fault_nothing_is_left(project, tmp_path, files, make, words):
    begin_study("other", files.panel, files.roster)
    before = everything(project)
    with pytest.raises(EvalaidError, match=words) as caught:
        begin_study("mine", files.panel, make(tmp_path))
    assert "othing was written" in str(caught.value) or "Give one file" in str(caught.value)
    assert everything(project) == before
    assert not list(project.glob(".new-*"))


def test_a_failure_while_files_are_put_in_place_takes_everything_back(project, files, monkeypatch):
    begin_study("other", files.panel, files.roster)
    before = everything(project)

    def fail(spec):
        raise StudyError("no")

    monkeypatch.setattr("evalaid.study.new.own_data.load_study", fail)
    with pytest.raises(StudyError, match="no"):
        begin_study("mine", files.panel, files.roster)
    assert everything(project) == before
    assert not (project / "data" / "mine").exists()


def test_a_panel_that_cannot_be_read_says_where_and_what_to_do(project, tmp_path, files):
    bad = write(
        tmp_path / "bad.xlsx", ["县", "年份", "县域内住院率"], ["连南县", 2019, "86.9%"], ["无名县", 2020, "0.9"]
    )
    with pytest.raises(ReadingError, match=r"--write-layout LAYOUT.*--panel-layout.*Nothing was written") as caught:
        begin_study("mine", bad, files.roster)
    assert len(caught.value.rows)
    result = call("new", "mine", "--panel", bad, "--roster", files.roster)
    assert (result.exit_code, "Traceback" in result.output) == (2, False)


def test_a_tidy_csv_is_a_panel_too_and_units_are_taken_as_written(project, tmp_path):
    toy_frame().drop(columns="first_treated").to_csv(tmp_path / "panel.csv", index=False)
    roster = write(
        tmp_path / "r.xlsx", ["county", "hospital", "start"], *[[f"C0{n}", "H", "about 2017"] for n in range(4)]
    )
    new = begin_study("mine", tmp_path / "panel.csv", roster, data_kind="simulated")
    spec = load_study("mine")
    assert (spec.layout, spec.unit, spec.period, spec.outcome) == (None, "county", "year", "share")
    assert load_design(spec).n_treated == 4
    assert "4 units may start in one of several years" in " ".join(new.notes)


def regional_frame():
    """Nine years of 24 counties in two regions with trends of their own; the first treated year counts by quarters."""
    rows = []
    for number, year in itertools.product(range(24), range(2012, 2021)):
        start = (2016, 2017, None, None)[number // 2 % 4]
        part = 0.0 if start is None or year < start else (number % 4 + 1) / 4 if year == start else 1.0
        share = 0.5 + 0.005 * number + 0.02 * (number % 2) * (year - 2012) + 0.04 * part + 0.001 * (number * year % 7)
        rows.append((f"C{number:02d}", year, share, start, "ns"[number % 2], part))
    frame = pd.DataFrame(rows, columns=["county", "year", "share", "first", "region", "part"])
    return frame.astype({"first": "Int64"})


def test_strata_and_a_first_period_that_counts_by_its_part_are_fields_of_a_study(project, tmp_path):
    """With trends by region and an effect of 4 points in proportion, the study's own main method finds it."""
    regional_frame().to_csv(tmp_path / "panel.csv", index=False)
    given = {"outcome": "share", "cohort": "first"}
    by_region = begin_study("by_region", tmp_path / "panel.csv", columns={**given, "stratum": "region"})
    assert by_region.method == "callaway_santanna"
    assert "\nstratum: region  # units are compared within its groups" in by_region.parameters
    new = begin_study("both", tmp_path / "panel.csv", columns={**given, "stratum": "region", "exposure": "part"})
    spec = load_study("both")
    assert (new.method, spec.stratum, spec.exposure) == ("sun_abraham", "region", "part")
    assert "Not callaway_santanna: the method has no place for a first period that counts by its part" in new.parameters
    design = load_design(spec)
    assert "Compared within strata: 'region'. The first treated period counts by its part: 'part'." in design.text()
    found = estimate_main(spec, design).aggregate("overall").value[0]
    assert found == pytest.approx(0.04, abs=0.002)  # what the last digit of the outcome, 0.001 times 0 to 6, moves
    sample = describe_sample(spec, design).set_index("key")
    assert sample.loc["strata", "label"] == "groups that counties are compared within (region)"
    assert (sample.loc["strata", "value"], sample.loc["partly_treated", "value"]) == (2, 9)
    again = check_with_dummies(design)
    assert again["reason"].eq("").all()
    assert again["largest_gap"].max() < 1e-8
    assert "strata and a first period that counts by its part" in check_identities(design)["reason"][0]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"stratum": "area"}, "area"),
        ({"exposure": "share"}, "exposure contradicts the cohort"),
        ({"stratum": "part"}, "stratum changes within a unit"),
    ],
)
def test_columns_of_strata_and_exposure_that_cannot_be_are_refused(project, tmp_path, columns, words):
    regional_frame().to_csv(tmp_path / "panel.csv", index=False)
    with pytest.raises(EvalaidError, match=words):
        begin_study("mine", tmp_path / "panel.csv", columns={"outcome": "share", "cohort": "first", **columns})
    assert not list_studies()


def test_a_part_of_a_period_that_the_start_rule_leaves_out_is_refused(project, tmp_path):
    regional_frame().to_csv(tmp_path / "panel.csv", index=False)
    begin_study("mine", tmp_path / "panel.csv", columns={"outcome": "share", "cohort": "first", "exposure": "part"})
    with pytest.raises(StudyError, match="exposure counts the period of the start by its part, and start_rule"):
        load_study("mine").change({"start_rule": "first_full_period"})


def test_dates_of_a_roster_say_the_part_of_the_first_year(project, tmp_path):
    """An effect of 4 points in proportion: the method that counts the year of a start by its part finds it, others less."""
    begun = {"C00": (2016, 0.75, "2016-04-01"), "C01": (2016, 0.25, "2016-10-01"), "C02": (2017, 0.5, "2017-07-01")}
    rows = []
    for number, year in itertools.product(range(20), range(2012, 2021)):
        first, part, _ = begun.get(f"C{number:02d}", (9999, 0.0, ""))
        treated = part if year == first else float(year > first)
        rows.append((f"C{number:02d}", year, 0.5 + 0.01 * number + 0.005 * (year - 2012) + 0.04 * treated))
    pd.DataFrame(rows, columns=["county", "year", "share"]).to_csv(tmp_path / "panel.csv", index=False)
    starts = pd.DataFrame([(unit, date) for unit, (*_, date) in begun.items()], columns=["county", "start"])
    starts.to_csv(tmp_path / "roster.csv", index=False)
    begin_study("mine", tmp_path / "panel.csv", tmp_path / "roster.csv", data_kind="simulated")
    spec = load_study("mine")
    found = compare_methods(spec).set_index("key")["estimate"]
    assert found["by_part"] == pytest.approx(4.0, abs=1e-6)
    assert found["main"] < 3.9
    counted = spec.change({"start_rule": "part_of_period"})
    sample = describe_sample(counted, load_design(counted)).set_index("key")
    assert (sample.loc["partly_treated", "value"], vary_study_starts(counted).table.empty) == (3, True)
    with pytest.raises(StudyError, match="takes the part from the dates of a roster"):
        spec.change({"start_rule": "part_of_period", "exposure": "share"})


@pytest.mark.parametrize(
    ("column", "value"), [("idcard", lambda _: "11010519491231002X"), ("tel", lambda number: 13800138000 + number)]
)
def test_numbers_of_persons_are_not_copied_into_a_project(project, tmp_path, column, value):
    rows = [
        (f"C{number:02d}", year, 0.01 * number, 2016 if number < 3 else None, value(number))
        for number in range(9)
        for year in range(2012, 2019)
    ]
    frame = pd.DataFrame(rows, columns=["county", "year", "share", "first", column])
    frame.to_csv(tmp_path / "panel.csv", index=False)
    with pytest.raises(StudyError, match=f"{column}.*looks like .* numbers.*Nothing was written") as raised:
        begin_study("mine", tmp_path / "panel.csv", columns={"outcome": "share", "cohort": "first"})
    assert str(value(0)) not in str(raised.value)
    assert not list((project / "data").iterdir())
    assert not list_studies()


def test_where_no_method_applies_the_file_says_what_is_missing(project, tmp_path):
    frame = toy_frame().drop(columns="first_treated")
    frame.to_csv(tmp_path / "panel.csv", index=False)
    roster = write(
        tmp_path / "r.xlsx",
        ["county", "hospital", "start"],
        *[[name, "H", 2017] for name in sorted(set(frame["county"]))],
    )
    new = begin_study("mine", tmp_path / "panel.csv", roster, data_kind="simulated")
    assert new.method == ""
    assert "# No method applies to this design. What is missing:" in new.parameters
    assert "Main method: none applies. What is missing:" in new.text()
    assert "  - two_by_two: there is no never-treated unit in the panel" in new.text()
    assert load_study("mine").main == "main"


def test_the_tutorial_runs(project):
    """Its cells run in this process; the project that it makes is a temporary one."""
    names, shown = {}, []
    tutorial = json.loads((ROOT / "notebooks" / "0_your_own_data.ipynb").read_text(encoding="utf-8"))
    for cell in (cell for cell in tutorial["cells"] if cell["cell_type"] == "code"):
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop().value if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "tutorial", "exec"), names)
        if last is not None:
            shown.append(eval(compile(ast.Expression(last), "tutorial", "eval"), names))
    assert not everything(project).keys() & {"notebooks/studies/county_example.yaml"}
    assert len(names["varied"].units) == 2
    assert [value for value in shown if isinstance(value, float)] == [office.EFFECT]
    shutil.rmtree(names["project"])
