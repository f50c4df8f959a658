"""Notebooks are thin and stored clean; they are executed one process each, and a failure says where."""

import ast
import json
import re
import signal
import sys
import time

import pytest
from support.projects import EFFECT, ROOT, SAMPLE, make_project, write_notebook

from evalaid.base.errors import ManifestError, NotebookError, StudyError
from evalaid.report.section import open_section
from evalaid.running import notebooks
from evalaid.running.notebooks import run_study
from evalaid.running.processes import execution
from evalaid.study.manifest import read_manifest
from evalaid.study.spec import StudySpec, field_names

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONGEST_CELL = 8
FORBIDDEN = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.If, ast.Try, ast.With,
    ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
)  # fmt: skip
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path, kind):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == kind:
            yield cell, "".join(cell["source"])


def is_parameters(cell):
    return "parameters" in cell["metadata"].get("tags", [])


def numbers_typed(text):
    """Numbers typed in prose: digits that are no part of a name (CR1, COVID-19), a place, a link or inline code."""
    left = re.sub(r"\{[^}]*\}|`[^`]*`|\]\([^)]*\)|COVID-19|\(\d{4}\)", "", text)
    return re.findall(r"(?<![\w-])\d[\d.,%]*", left)


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == [
        "0_your_own_data", "1_claims", "2_design", "3_effect", "4_dose", "4_recovery", "4_robustness", "5_synthesis",
    ]  # fmt: skip


@every_notebook
def test_a_notebook_is_stored_without_outputs_and_with_distinct_ids(path):
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell, _ in cells(path, "code"))
    names = [cell["id"] for cell in stored["cells"]]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[0-9a-f]{12}", name) for name in names)
    assert not {"papermill", "widgets"} & set(stored["metadata"])


@every_notebook
def test_the_parameters_cell_names_parameters_of_a_study(path):
    tagged = [source for cell, source in cells(path, "code") if is_parameters(cell)]
    assert len(tagged) == 1
    names = [node.targets[0].id for node in ast.parse(tagged[0]).body]
    assert "study" in names
    assert set(names) <= set(field_names())


@every_notebook
def test_a_code_cell_is_thin(path):
    for cell, source in cells(path, "code"):
        assert len(source.splitlines()) <= LONGEST_CELL, source
        for node in ast.walk(ast.parse(source)):
            assert not isinstance(node, FORBIDDEN), source
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                assert not name.startswith(("read_", "open")) or name == "open_section", source
            if isinstance(node, ast.Constant) and not is_parameters(cell):
                assert isinstance(node.value, (str, bool, type(None))), f"a number is typed: {source}"


@every_notebook
def test_a_number_in_prose_is_a_key(path):
    for _, source in cells(path, "markdown"):
        assert not numbers_typed(source), source
    for _, source in cells(path, "code"):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
                assert not numbers_typed(node.value), source


@every_notebook
def test_every_section_has_words_before_its_code(path):
    kinds = [cell["cell_type"] for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    assert kinds[0] == "markdown"
    assert kinds.count("markdown") >= kinds.count("code") / 3


# What follows runs notebooks: each takes some seconds, so one run serves several questions.


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    return tmp_path


def left_over(project):
    return sorted(path.name for path in (project / "reports").iterdir())


def test_a_run_leaves_a_whole_report_and_tells_its_progress(project):
    told = []
    run = run_study(StudySpec(study="toy"), tell=lambda *event: told.append(event))
    assert run.page == project / "reports" / "toy" / "index.html"
    assert left_over(project) == ["toy"]
    assert {path.name for path in run.folder.iterdir()} >= {
        ".made_from",
        "2_toy.ipynb",
        "exhibits.csv",
        "index.html",
        "numbers.json",
        "ro-crate-metadata.json",
        "tables",
    }
    numbers = run.numbers().set_index("key")
    assert numbers.loc["sample.units", ["value", "unit", "notebook", "cell"]].tolist() == [
        12,
        "count",
        "2_toy",
        "In [4]",
    ]
    assert numbers.loc["overall.main.estimate", "cell"] == "In [5]"
    assert read_manifest(run.folder / "numbers.json") == run.manifest
    assert [event["event"] for *_, event in told] == ["launch", "start", *["cell"] * 5, "done", "finished"]
    assert told[0][:2] == ("toy", "2_toy")
    executed = (run.folder / "2_toy.ipynb").read_text(encoding="utf-8")
    assert str(project) not in executed + (run.folder / "index.html").read_text(encoding="utf-8")
    assert not re.search(r'"(start_time|duration|iopub|papermill)"', executed)

    # A second run with other parameters has a report of its own; the same run again gives the same bytes.
    changed = run_study(StudySpec(study="toy", level=0.9))
    assert changed.folder.name.startswith("toy@")
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    run_study(StudySpec(study="toy"))
    assert before == {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}


def test_a_failed_cell_is_named_with_its_source_and_the_last_report_stays(project):
    (project / "reports" / "toy").mkdir(parents=True)
    (project / "reports" / "toy" / "index.html").write_text("the last report", encoding="utf-8")
    write_notebook(project, (SAMPLE, "missing = spec.no_such_thing", EFFECT))
    with pytest.raises(NotebookError) as error:
        run_study(StudySpec(study="toy"))
    message = str(error.value)
    assert "2_toy.ipynb, cell 5 (In [5]) failed:\n    missing = spec.no_such_thing" in message
    assert "AttributeError: 'StudySpec' object has no attribute 'no_such_thing'" in message
    assert "Kept: 2_toy.ipynb in reports/toy.failed" in message
    assert left_over(project) == ["toy", "toy.failed"]
    assert (project / "reports" / "toy" / "index.html").read_text(encoding="utf-8") == "the last report"
    assert "AttributeError" in (project / "reports" / "toy.failed" / "2_toy.ipynb").read_text(encoding="utf-8")


NEVER_ENDS = "import time; time.sleep(10**6)"


def test_a_cell_runs_out_of_time(project, monkeypatch):
    write_notebook(project, (NEVER_ENDS,), opening="")
    monkeypatch.setattr(execution, "CELL_SECONDS", 5)
    with pytest.raises(NotebookError, match=r"2_toy.ipynb, cell \d ran longer than 5 seconds and was stopped"):
        run_study(StudySpec(study="toy"))


def test_a_notebook_runs_out_of_time(project):
    write_notebook(project, (NEVER_ENDS,))
    notebook, spec = project / "notebooks" / "2_toy.ipynb", StudySpec(study="toy")
    with pytest.raises(NotebookError, match=r"the notebook ran longer than 2 seconds and was stopped"):
        execution.execute_notebook(notebook, project / "data", spec, lambda *_: None, seconds=2)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the forked engine")
def test_a_notebook_that_does_not_hear_the_request_to_end_is_killed(project, monkeypatch):
    """Its process is stopped, as a debugger does; what a cell left running does not keep anybody waiting either."""
    monkeypatch.setattr(execution, "_SECONDS_TO_LEAVE", 0.5)
    deaf = "import os, signal, subprocess; subprocess.Popen(['sleep', '60'], close_fds=False); os.kill(os.getppid(), signal.SIGSTOP)"
    write_notebook(project, (f"{deaf}\n{NEVER_ENDS}",))
    notebook, spec = project / "notebooks" / "2_toy.ipynb", StudySpec(study="toy")
    begun = time.monotonic()
    with pytest.raises(NotebookError, match=r"the notebook ran longer than 4 seconds and was stopped"):
        execution.execute_notebook(notebook, project / "data", spec, lambda *_: None, seconds=4)
    assert time.monotonic() - begun < 60  # as long as what was left running; without it the end comes after 5 seconds


def test_data_that_change_during_a_run_are_not_accepted(project):
    write_notebook(project, (SAMPLE, 'print("", file=open("data/toy.csv", "a"))'))
    with pytest.raises(
        StudyError, match=r"Data file changed on disk during the run: data/toy.csv. The run is not accepted"
    ):
        run_study(StudySpec(study="toy"))
    assert left_over(project) == ["toy.failed"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_an_interrupt_keeps_the_last_report_and_says_what_was_kept(project, start):
    (project / "reports" / "toy").mkdir(parents=True)
    write_notebook(project, ('print("here")', NEVER_ENDS))
    process = start(project, "run", "toy")
    process.wait_until(
        lambda: any(
            '"here\\n"' in path.read_text(encoding="utf-8") for path in project.glob("reports/.toy-*/.run-*/*.ipynb")
        )
    )
    code, complained = process.send(signal.SIGINT)
    assert code == 130
    assert "Interrupted. Kept: 2_toy.ipynb in reports/toy.failed" in complained
    assert left_over(project) == ["index.html", "index.ko.html", "index.zh.html", "toy", "toy.failed"]


# What stops a run before anything starts.


@pytest.mark.parametrize("place", ["reports", "reports/toy"])
def test_a_read_only_reports_folder_stops_the_run_before_it_starts(project, place, monkeypatch):
    monkeypatch.setattr(notebooks, "execute_notebook", lambda *_: pytest.fail("a notebook was started"))
    folder = project / place
    folder.mkdir(parents=True)
    folder.chmod(0o555)
    try:
        with pytest.raises(StudyError, match=r"the folder '.*' is read-only.*nothing was started"):
            run_study(StudySpec(study="toy"))
    finally:
        folder.chmod(0o755)


def test_a_reports_folder_that_is_a_file_stops_the_run(project):
    (project / "reports").write_text("", encoding="utf-8")
    with pytest.raises(StudyError, match="'reports' is a file"):
        run_study(StudySpec(study="toy"))


def test_changed_data_stop_the_run(project):
    with (project / "data" / "toy.csv").open("a", encoding="utf-8") as stream:
        stream.write("\n")
    with pytest.raises(StudyError, match=r"not those that the project records: data/toy.csv has changed"):
        run_study(StudySpec(study="toy"))


def test_only_needs_a_notebook_that_exists_and_a_last_report(project):
    with pytest.raises(StudyError, match=r"no notebook '9_x'. Notebooks: 2_toy"):
        run_study(StudySpec(study="toy"), only="9_x")
    write_notebook(project, (), name="3_more")
    with pytest.raises(StudyError, match=r"results of 2_toy are missing.*evalaid run toy"):
        run_study(StudySpec(study="toy"), only="3")


def test_only_takes_the_other_results_from_the_last_report(project):
    cells = ('section.say("Of {sample.units:bare} units.")', EFFECT.replace('"overall", [', '"again", ['))
    write_notebook(project, cells, name="3_more")
    whole = run_study(StudySpec(study="toy"))
    made = {path: path.read_bytes() for path in whole.folder.rglob("*") if path.is_file()}
    again = run_study(StudySpec(study="toy"), only="3")
    assert made == {path: path.read_bytes() for path in whole.folder.rglob("*") if path.is_file()}
    assert again.manifest == whole.manifest
    assert {"sample.units", "overall.main.estimate", "again.main.estimate"} <= set(again.manifest.numbers)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (
            '# Parameters\nstuddy = "toy"\n',
            "'studdy' is no parameter of a study, so it would change nothing. Did you mean 'study'?",
        ),
        ("# Parameters\nlevel = 0.9\nzz = 1\n", "'zz' is no parameter"),
    ],
)
def test_a_misspelt_parameter_given_to_papermill_by_hand_is_refused(project, cell, words):
    with pytest.raises(StudyError, match=re.escape(words)):
        open_section({"study": "toy", "In": ["", 'study = "toy"', cell]}, notebook="2_toy")
    assert open_section({"study": "toy", "In": ["", "# Parameters\nlevel = 0.9", "x = 1"]}, notebook="2_toy")


def test_a_notebook_read_by_hand_knows_the_numbers_of_the_last_run_and_writes_nothing(project):
    def text():
        return open_section({"study": "toy"}, notebook="3_more").say("Of {sample.units:bare} units.").text

    with pytest.raises(ManifestError, match=r"no recorded number 'sample.units'.*run the study once"):
        text()
    run_study(StudySpec(study="toy"))
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert text() == "Of 12 units."
    assert before == {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}


HIDDEN = {("4_robustness", "threat_counts")}  # recorded for the synthesis


@every_notebook
def test_nothing_that_is_made_to_be_seen_is_lost_before_the_end_of_its_cell(path):
    """A notebook shows the last expression of a cell; what is made earlier must go through `section.show`."""
    for _, source in cells(path, "code"):
        for statement in ast.parse(source).body[:-1]:
            call = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(call, ast.Call) and ast.unparse(call.func) in {
                f"section.{name}" for name in ("table", "figure", "say", "list")
            }:
                named = {argument.value for argument in call.args if isinstance(argument, ast.Constant)}
                assert any((path.stem, name) in HIDDEN for name in named), ast.unparse(call)
