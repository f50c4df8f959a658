"""The command parses, calls one function, prints and exits: 0 fine, 1 a difference or a fault, 2 could not run."""

import os
import re
import resource
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from support import tables
from support.projects import ROOT, make_project, toy_frame, write_study

from evalaid.cli import main
from evalaid.did.estimators.estimation import methods

COMMANDS = [
    "accept", "archive", "check", "compare", "design", "init", "methods", "new", "paper", "run", "slurm", "task", "tasks", "verify", "why",
]  # fmt: skip


def call(*arguments):
    return CliRunner().invoke(main, [str(part) for part in arguments], catch_exceptions=False)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def test_the_commands_are_these():
    assert sorted(main.commands) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name):
    result = call(name, "--help")
    assert result.exit_code == 0
    assert main.commands[name].help
    for parameter in main.commands[name].params:
        assert getattr(parameter, "help", "argument") or parameter.param_type_name == "argument"


def test_help_answers_at_once():
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "evalaid", "--help"]
    subprocess.run(command, env=environment, check=True, capture_output=True)  # compiles what is not yet compiled
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3
    )  # processor time: others may be busy


def test_the_version_is_told():
    assert re.fullmatch(r"evalaid \d+\.\d+\.\d+\n", call("--version").output)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nobody"], "no study 'nobody'. Known studies: toy"),
        (["verify", "nobody"], "no study 'nobody'"),
        (["design", "../toy"], "cannot be the name of a study"),
        (["run", "a/b"], "cannot be the name of a study"),
        (["run", "toy", "-p", "level"], "write key=value"),
        (["run", "toy", "-p", "study=other"], "which study is run is no parameter: evalaid run other"),
        (["run", "toy", "-p", "level="], "-p level=: there is no value"),
        (["run", "toy", "-p", "level=0.9", "-p", "level=0.8"], "-p names a parameter twice"),
        (["run", "toy", "--scheduler", "tcp://host:1"], "--scheduler is for --executor dask"),
        (["run", "toy", "--executor", "dask", "--scheduler", "nonsense"], "No Dask scheduler answers at nonsense"),
        (["run", "toy", "-p", "levle=0.9"], "unknown parameter 'levle' (did you mean 'level'?)"),
        (["run", "toy", "-p", "level=high"], "level must be a number"),
        (["run", "toy", "-p", "keep=[1"], "not valid YAML"),
        (["run", "toy", "--only", "9"], "no notebook '9'"),
        (["verify", "toy"], "reports/expected/toy.csv is missing"),
        (["check", "none.csv"], "none.csv: there is no such file"),
    ],
)
def test_what_cannot_run_is_a_short_message_and_exit_code_2(project, arguments, words):
    result = call(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_a_malformed_study_stops_before_papermill_starts(project, monkeypatch):
    monkeypatch.setattr("evalaid.running.notebooks.execute_notebook", lambda *_: pytest.fail("a notebook was started"))
    write_study(project, "toy", "- a list")
    result = call("run")
    assert (result.exit_code, "must be a mapping" in result.output) == (2, True)


def test_run_prints_where_the_reports_are_and_verify_confirms_them(project):
    result = call("run", "toy", "-p", "level=0.9")
    assert result.exit_code == 0, result.output
    place = re.search(r"Report: (reports/toy@[0-9a-f]{8}/index.html)", result.output)
    assert (project / place.group(1)).is_file()
    index = (project / "reports" / "index.html").read_text(encoding="utf-8")
    assert place.group(1).removeprefix("reports/") in index

    assert call("run").exit_code == 0
    accepted = call("accept", "toy")
    assert (accepted.exit_code, "Expected numbers: reports/expected/toy.csv" in accepted.output) == (0, True)
    again = call("run", "--force")
    assert "toy: 18 numbers: all equal (largest relative difference 0)" in again.output
    confirmed = call("verify")
    assert (confirmed.exit_code, "toy: all 18 reported numbers confirmed" in confirmed.output) == (0, True)
    numbers = project / "reports" / "expected" / "toy.csv"
    numbers.write_text(numbers.read_text(encoding="utf-8").replace("units,12,", "units,13,", 1), encoding="utf-8")
    differs = call("verify")
    assert differs.exit_code == 1
    assert re.search(r"sample.units\s+differs\s+13\s+12\s+-1\s+2_toy\s+In \[4\]", differs.output)


def test_design_prints_the_design(project):
    assert "12 units x 6 years (2015 to 2020), balanced" in call("design", "toy").output


@pytest.mark.parametrize("columns", [80, 160, None])
def test_methods_prints_the_registry_whole_in_any_width(monkeypatch, columns):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", str(columns))
    output = call("methods").output
    unwrapped = " ".join(output.split())
    for entry in methods().to_dict("records"):
        assert f"\n{entry['method']}\n" in f"\n{output}"
        for name in ("estimand", "needs", "reference", "source", "test"):
            assert f" {name} {entry[name]}" in unwrapped
        assert columns or re.search(rf"reference +{re.escape(entry['reference'])}\n", output)  # one line each in a pipe
    longest = max(len(part) for part in methods()["test"])
    assert not columns or max(map(len, output.splitlines())) <= max(columns, longest + len("  assumption  "))


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_check_finds_the_columns_of_a_panel(project, ending):
    path = project / f"panel.{ending}"
    frame = toy_frame().drop(columns="first_treated")
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_excel(path, index=False)
    result = call("check", path)
    assert result.exit_code == 0, result.output
    assert "unit = 'county' (found), period = 'year' (found), outcome = 'share' (found)" in result.output
    assert "Usable panel: 12 units, 6 periods (2015 to 2020), 72 rows." in result.output


def test_check_shows_all_faults_with_their_lines_and_exits_with_1(project):
    frame = toy_frame()
    frame.loc[0, "share"] = 86.9
    frame = pd.concat([frame, frame.iloc[[5]]])
    frame.to_csv(project / "panel.csv", index=False)
    result = call("check", project / "panel.csv", "--unit", "county", "--period", "year", "--outcome", "share")
    assert result.exit_code == 1
    assert "2 kinds of fault" in result.output
    assert re.search(r"│ 2 +│ share +│ 86.9 +│ share outside 0 to 1", result.output)
    assert re.search(r"│ 74 +│", result.output)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (
            toy_frame().assign(icu_share=0.5),
            "which column is the outcome? Of those not named, several could be: share, icu_share",
        ),
        (toy_frame().drop(columns="year"), "which column is the period?"),
        (toy_frame().drop(columns="share"), "none is a numeric column that is named as a share"),
        (toy_frame()[["county", "year"]], "has no outcome: check it with --unit COLUMN --start COLUMN."),
        (toy_frame().iloc[:0], "has no rows"),
    ],
)
def test_check_asks_for_what_is_not_clear(project, frame, words):
    frame.to_csv(project / "panel.csv", index=False)
    result = call("check", project / "panel.csv")
    assert (result.exit_code, words in " ".join(result.output.split())) == (2, True)


def test_check_finds_encodings_and_names_files_that_are_no_tables(project):
    toy_frame().rename(columns={"county": "县"}).to_csv(project / "panel.csv", index=False, encoding="gb18030")
    found = call("check", project / "panel.csv")
    assert (found.exit_code, "Read as GB18030" in found.output) == (0, True)
    assert call("check", project / "panel.csv", "--encoding", "gb18030").exit_code == 0
    (project / "panel.xlsx").write_bytes(b"no workbook")
    assert call("check", project / "panel.xlsx").exit_code == 2


def test_check_reads_a_table_as_it_was_sent_and_writes_its_layout(project):
    path = tables.write_xlsx(project / "三表头.xlsx", {"表1": tables.three_headers(tables.quarters())})
    result = call("check", path, "--write-layout", project / "layout.yaml")
    assert result.exit_code == 0, result.output
    assert "Usable panel: 6 counties, 8 periods (2018Q1 to 2019Q4), 48 rows." in result.output
    assert "Left out: 1 x a total or average, by its name." in result.output
    text = (project / "layout.yaml").read_text(encoding="utf-8")
    assert '    D: {read: inside, unit: 人次, period: "2018年第一季度"}' in text
    again = call("check", path, "--layout", project / "layout.yaml")
    assert again.exit_code == 0
    assert text in again.output
    assert "exists already" in call("check", path, "--write-layout", project / "layout.yaml").output


def test_check_shows_the_faults_of_a_table_with_cells_and_the_layout_to_edit(project):
    rows = [
        ["2023年第三季度情况"],
        ["县区", "住院总人次", "县域内住院率"],
        ["英德市", 378302, 0.86],
        ["罗丁市", 20, 0.9],
    ]
    path = tables.write_xlsx(project / "q.xlsx", {"s": (rows, ())})
    result = call("check", path)
    assert result.exit_code == 1
    text = " ".join(result.output.split())
    assert "罗丁市: unknown name (nearest: 罗定市 (445381, 云浮市)" in text
    assert "is 378302 the figure of 2023Q3 alone, or of January to its end?" in text
    assert "A4" in text
    assert "cumulative: null" in text
    edited = yaml.safe_load(result.output[result.output.index("# How the files are read") :])
    edited["tables"][0] |= {"cumulative": False, "leave_out": [4]}
    (project / "layout.yaml").write_text(yaml.safe_dump(edited), encoding="utf-8")
    assert call("check", path, "--layout", project / "layout.yaml").exit_code == 0


RECORDS = pd.DataFrame({
    "residence": ["440222", "440222", "440224"], "hospital_county": ["440222", "440204", "440224"],
    "discharge": ["2019-01-05", "2019-02-03", "2019-03-01"],
})  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (RECORDS, "records.csv looks like discharge records, one row per episode. Count them first"),
        (RECORDS.assign(count=[80, 5, 60]).drop(columns="discharge"), "looks like an origin-destination matrix"),
        (pd.DataFrame({"residence": [440222, 440224], "440222": [80, 1], "440224": [5, 60]}), "evalaid.count_matrix("),
    ],
)
def test_check_says_what_to_do_with_what_is_counted_first(project, frame, words):
    frame.to_csv(project / "records.csv", index=False)
    result = call("check", project / "records.csv")
    assert (result.exit_code, words in result.output) == (2, True)


def test_check_reads_a_roster_as_one(project):
    path = tables.write_csv(project / "r.csv", [["受援县", "支援医院", "开始时间"], ["始兴县", "甲", "约2014年"]])
    result = call("check", path)
    assert result.exit_code == 0, result.output
    assert "Usable roster: partnerships: 1; units: 1; dates: start." in result.output
    assert "2013-07-01 to 2015-06-30" in result.output


def test_check_of_a_layout_with_faults_names_them(project):
    path = tables.write_csv(project / "a.csv", tables.long(tables.years()))
    (project / "layout.yaml").write_text(
        "period: year\ntables:\n- sheets: a\n  columns: {3: inside}\n", encoding="utf-8"
    )
    result = call("check", path, "--layout", project / "layout.yaml")
    assert result.exit_code == 2
    for words in ("unknown key 'period' (did you mean 'periods'?)", "unknown key 'sheets'", "found '3'"):
        assert words in " ".join(result.output.split())
