"""Many studies side by side: one that fails does not stop the others; an interrupt keeps those that are finished."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner
from support.projects import EFFECT, ROOT, SAMPLE, TOY, environment, make_project, write_notebook, write_study

from evalaid.cli import main
from evalaid.running.kept import cache, closure
from evalaid.running.kept.freshness import find_synthesis, is_up_to_date
from evalaid.running.processes.execution import count_processors
from evalaid.running.runs import list_missing, run_studies
from evalaid.study.spec import StudySpec

UP_TO_DATE = "Up to date: reports/toy/index.html\n"
ANSWER = "toy: simulated data, an estimate without an interval, −0.55 points: reports/toy/index.html\n"
OVERALL = EFFECT.replace('["label", "estimate"]', '["label", "estimate", "conf_low", "conf_high"]')


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def test_a_study_that_fails_does_not_stop_the_others(project):
    write_study(project, "broken", {**TOY, "keep": {"county": ["nowhere"]}})
    told = []
    outcomes = run_studies(
        [StudySpec(study=name) for name in ("broken", "toy")], jobs=2, tell=lambda *event: told.append(event)
    )
    assert [outcome.study for outcome in outcomes] == ["broken", "toy"]
    assert "county has no value 'nowhere'" in str(outcomes[0].error)
    assert outcomes[1].result.page.is_file()
    last = {study: event["event"] for study, _, event in told}
    assert last == {"broken": "stopped", "toy": "finished"}
    assert count_processors() >= 1

    write_study(project, "broken", {**TOY, "panel": "data/none.csv"})
    result = call("run", "--force", "--jobs", "2")
    assert result.exit_code == 2
    assert "Report: reports/toy/index.html" in result.output
    assert "data/none.csv" in result.output
    assert 'href="toy/index.html"' in (project / "reports" / "index.html").read_text(encoding="utf-8")


def test_a_report_that_is_up_to_date_is_left_and_any_change_makes_it_again(project):
    assert not is_up_to_date("toy")
    assert "Report: reports/toy/index.html (1 of 1 notebooks computed)" in call("run").output
    for arguments in ((), ("toy",)):
        again = call("run", *arguments)
        assert (again.exit_code, again.output) == (0, f"{UP_TO_DATE}{ANSWER}")
    assert "1 of 1 notebooks computed" in call("run", "--force").output

    report = project / "reports" / "toy"
    whole = {path: path.read_bytes() for path in sorted(report.rglob("*")) if path.is_file()}
    kinds = {path.suffix or path.name: path for path in whole}  # one of each is made again by itself
    for path, content in whole.items():  # a damaged output, record included
        path.write_bytes(content + b" {")
        assert not is_up_to_date("toy"), path
        if path in kinds.values():
            assert "0 of 1 notebooks computed" in call("run").output
        path.write_bytes(content)
        assert is_up_to_date("toy")
    for path, content in whole.items():
        path.write_bytes(content + b" {")
    assert "0 of 1 notebooks computed" in call("run").output
    assert {path: path.read_bytes() for path in report.rglob("*") if path.is_file()} == whole
    assert is_up_to_date("toy")
    (report / "stray.txt").touch()
    assert not is_up_to_date("toy")

    call("run")
    notebook = project / "notebooks" / "2_toy.ipynb"
    stored = notebook.read_bytes()
    write_notebook(project, (SAMPLE,))
    assert "1 of 1 notebooks computed" in call("run").output
    notebook.write_bytes(stored)
    assert "0 of 1 notebooks computed" in call("run").output  # the content of before: its results are remembered
    write_notebook(project, (), name="3_more")
    assert "1 of 2 notebooks computed" in call("run").output
    (project / TOY["panel"]).unlink()
    assert not is_up_to_date("toy")


def test_nothing_heavy_is_imported_to_see_that_nothing_changed(project):
    call("run")
    command = [sys.executable, "-X", "importtime", "-m", "evalaid", "run"]
    printed = subprocess.run(command, env=environment(), cwd=project, capture_output=True, text=True, check=True)
    assert printed.stdout == f"{UP_TO_DATE}{ANSWER}"
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in printed.stderr.splitlines()}
    assert not imported & {"numpy", "pandas", "pydantic", "scipy", "matplotlib", "papermill", "rich", "zmq"}


def test_a_report_that_is_gone_comes_back_from_what_is_kept_of_its_notebooks(project):
    for name, cell in (("2_toy", SAMPLE), ("3_more", EFFECT), ("4_last", 'print("done")')):
        write_notebook(project, (cell,), name=name)
    assert "3 of 3 notebooks computed" in call("run").output
    folder = project / "reports" / "toy"
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shutil.rmtree(folder)
    assert "0 of 3 notebooks computed" in call("run").output
    assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_damaged_entry_of_the_cache_is_never_used(project):
    call("run")
    [entry] = (project / ".evalaid" / "cache" / "toy" / "2_toy").glob("*/entry.json")
    whole = {path: path.read_bytes() for path in entry.parent.rglob("*") if path.is_file()}
    written = (project / "reports" / "toy" / "numbers.json").read_bytes()
    kinds = {path.suffix: path for path in whole}
    for path, content in whole.items():
        path.write_bytes(content[: len(content) // 2])
        if path in kinds.values():  # of each kind one is met by a run
            (project / "reports" / "toy" / ".made_from").unlink()
            assert "1 of 1 notebooks computed" in call("run").output, path
            assert (project / "reports" / "toy" / "numbers.json").read_bytes() == written
        else:
            assert not cache.restore("toy", "2_toy", entry.parent.name, project / "restored"), path
            for one, stored in whole.items():
                one.parent.mkdir(parents=True, exist_ok=True)
                one.write_bytes(stored)
        assert {path: path.read_bytes() for path in entry.parent.rglob("*") if path.is_file()} == whole


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_an_interrupt_keeps_the_studies_that_are_finished(project, start):
    write_notebook(project, ("import time; time.sleep(0 if study == 'toy' else 10**6)",))
    write_study(project, "slow", TOY)
    reports = project / "reports"
    process = start(project, "run", "toy", "slow", "--jobs", "2")
    process.wait_until(
        lambda: (reports / "toy" / "index.html").is_file() and any(reports.glob(".slow-*/.run-*/*.ipynb"))
    )
    code, complained = process.send(signal.SIGINT)
    assert code == 130
    assert "Interrupted. Kept: 2_toy.ipynb in reports/slow.failed" in complained
    assert sorted(path.name for path in reports.iterdir()) == [
        "index.html",
        "index.ko.html",
        "index.zh.html",
        "slow.failed",
        "toy",
    ]


def add_synthesis(project):
    """Give the project the published figures, the synthesis, and a second study on a simulated panel."""
    shutil.copytree(ROOT / "data" / "published", project / "data" / "published")
    resources = [{"name": "toy", "path": "toy.csv"}]
    resources += [
        {"name": path.stem, "path": f"published/{path.name}"} for path in (project / "data/published").glob("*")
    ]
    for resource in resources:
        digest = hashlib.sha256((project / "data" / resource["path"]).read_bytes()).hexdigest()
        resource["hash"] = f"sha256:{digest}"
    (project / "data" / "datapackage.json").write_text(json.dumps({"resources": resources}), encoding="utf-8")
    shutil.copy(ROOT / "notebooks" / "5_synthesis.ipynb", project / "notebooks")
    shutil.copy(ROOT / "notebooks" / "synthesis.yaml", project / "notebooks")
    simulated = {
        "panel": None, "simulation": {"generator": "xinjiang", "seed": 1}, "unit": "hospital", "outcome": "surgery_share",
        "cohort": "cohort",
    }  # fmt: skip
    write_study(project, "drawn", {name: value for name, value in {**TOY, **simulated}.items() if value is not None})
    write_study(project, "toy", {**TOY, "data_kind": "real", "title": "A toy programme"})
    write_notebook(project, (SAMPLE, OVERALL))


def test_the_synthesis_follows_all_studies_but_ones_own_and_opens_the_reports(project):
    add_synthesis(project)
    write_study(project, "mine", {**TOY, "title": "A study of my own", "origin": "own"})
    assert find_synthesis() is not None
    assert list_missing() == ["drawn", "toy"]
    whole = call("run")
    assert whole.exit_code == 0, whole.output
    assert "Report: reports/synthesis/index.html" in whole.output
    index = (project / "reports" / "index.html").read_text(encoding="utf-8")
    assert "what may be repeated" in index
    assert {"drawn/index.html", "toy/index.html", "mine/index.html"} <= set(re.findall(r'href="([^"#]+)"', index))
    listed, own = index.split("<h2>Your own studies</h2>")
    assert "drawn/index.html" in listed
    assert "mine/index.html" not in listed
    assert index.count("A study of my own") == own.count("A study of my own") == 1
    assert "<strong>A toy programme (real data).</strong>" in index
    names = {path.name for path in (project / "reports" / "drawn" / "data").iterdir()}
    assert len(names) == 4
    assert all(name.startswith("simulated_xinjiang_") for name in names)

    numbers = json.loads((project / "reports" / "synthesis" / "numbers.json").read_text(encoding="utf-8"))
    values = {key: entry["value"] for key, entry in numbers["numbers"].items()}
    assert (values["counts.studies"], values["counts.real"], values["counts.simulated"]) == (2, 1, 1)
    own = json.loads((project / "reports" / "toy" / "numbers.json").read_text(encoding="utf-8"))["numbers"]
    assert values["results.toy.estimate"] == own["overall.main.estimate"]["value"]
    assert (
        values["counts.claims"]
        == values["counts.as_effect"]
        + values["counts.as_change"]
        + values["counts.as_figure"]
        + values["counts.as_growth"]
        + values["counts.not_at_all"]
    )
    assert "reports/toy/numbers.json" in numbers["data_files"]
    assert "reports/mine/numbers.json" not in numbers["data_files"]

    write_study(project, "begun", {**TOY, "origin": "own"})
    assert call("accept", "drawn", "toy", "mine", "synthesis").exit_code == 0
    confirmed = call("verify")
    assert confirmed.exit_code == 0, confirmed.output
    assert "4 of 4 confirmed" in confirmed.output
    assert "begun: no expected numbers yet: run it, look at its report, then: evalaid accept begun" in confirmed.output


def test_the_import_lines_of_a_module_name_what_its_whole_source_imports():
    assert len(closure._modules()) > 300
    for module in closure._modules().values():
        assert closure._imported_by(module) == closure._imported_names(module.read_text(encoding="utf-8")), module


def test_threads_may_ask_at_once_what_a_notebook_depends_on(project):
    """Python 3.11 counts the depth of parsing for all threads together, and raises when two parse at once."""
    notebook = project / "notebooks" / "2_toy.ipynb"
    closure._imported_names.cache_clear()
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = list(pool.map(closure.modules_of, [notebook] * 8))
    assert "evalaid.report.section" in found[0]
    assert all(modules == found[0] for modules in found)
