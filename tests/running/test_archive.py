"""The crate of a report and the folder to deposit: what ran on what, checksums, and the points that data editors ask for."""

import hashlib
import json
import shutil

import pytest
from click.testing import CliRunner
from support.projects import EFFECT, ROOT, SAMPLE, TOY, make_project, write_notebook, write_study

from evalaid.cli import main
from evalaid.running.archive import write_archive
from evalaid.running.crate import CRATE


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(make_project(folder))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("LICENSE", "README.md", "requirements.lock", "requirements-dev.lock", "run.py"):
        shutil.copy(ROOT / name, folder)
    package = json.loads((folder / "data" / "datapackage.json").read_text(encoding="utf-8"))
    package["resources"][0] |= {"sources": [{"title": "simulated"}], "licenses": [{"name": "CC0-1.0"}]}
    (folder / "data" / "datapackage.json").write_text(json.dumps(package), encoding="utf-8")
    (folder / "data" / "README.md").write_text("Simulated.", encoding="utf-8")
    return folder


def call(*arguments):
    return CliRunner().invoke(main, [str(part) for part in arguments], catch_exceptions=False)


def test_a_crate_holds_one_action_per_notebook_and_names_every_file(project):
    write_notebook(project, (EFFECT,), name="3_more")
    write_notebook(project, (SAMPLE,))
    assert call("run", "toy", "-p", "level=0.9").exit_code == 0
    [report] = (project / "reports").glob("toy@*")
    graph = json.loads((report / CRATE).read_text(encoding="utf-8"))["@graph"]
    by_id = {entity["@id"]: entity for entity in graph}
    assert len(by_id) == len(graph)
    actions = [entity for entity in graph if entity["@type"] == "CreateAction"]
    assert [action["name"] for action in actions] == ["2_toy.ipynb", "3_more.ipynb", "the page and its numbers"]
    for action in actions:
        assert action["actionStatus"]["@id"].endswith("CompletedActionStatus")
        for part in (action["instrument"], *action["object"], *action["result"]):
            assert part["@id"] in by_id
    made = [result["@id"] for action in actions for result in action["result"]]
    there = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()} - {
        CRATE,
        ".made_from",
    }
    assert sorted(made) == sorted(there)
    assert {"@id": "tables/overall.csv"} in actions[1]["result"]
    for name in there:
        assert by_id[name]["sha256"] == hashlib.sha256((report / name).read_bytes()).hexdigest()
    assert by_id["#parameter-level"]["value"] == 0.9
    assert by_id["#input-data/toy.csv"]["sha256"] == hashlib.sha256((project / "data/toy.csv").read_bytes()).hexdigest()
    text = (report / CRATE).read_text(encoding="utf-8")
    assert str(project) not in text
    assert "startTime" not in text


def test_an_archive_passes_every_point_and_its_checksums_hold(project):
    call("run")
    call("accept", "toy")
    result = call("archive", project.parent / "deposit")
    assert result.exit_code == 0, result.output
    assert "failed" not in result.output
    deposit = project.parent / "deposit"
    lines = (deposit / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    files = {path.relative_to(deposit).as_posix() for path in deposit.rglob("*") if path.is_file()}
    assert {line.partition("  ")[2] for line in lines} == files - {"SHA256SUMS"}
    for line in lines:
        digest, _, name = line.partition("  ")
        assert hashlib.sha256((deposit / name).read_bytes()).hexdigest() == digest
    assert {
        "data/toy.csv",
        "reports/toy/index.html",
        "reports/expected/toy.csv",
        "run.py",
        "EXHIBITS.csv",
        "CHECK.md",
    } <= files
    exhibits = (deposit / "EXHIBITS.csv").read_text(encoding="utf-8")
    assert "toy,tables/overall.csv,2_toy.ipynb," in exhibits
    assert "toy,number sample.units,2_toy.ipynb,In [4]" in exhibits
    assert "is there already" in call("archive", deposit).output


def test_an_archive_says_which_point_fails_and_leaves_closed_data_out(project):
    (project / "data" / "mine").mkdir()
    (project / "data" / "mine" / "panel.csv").write_text("county,share\nA,0.5\n", encoding="utf-8")
    package = {"resources": [{"name": "p", "path": "panel.csv", "hash": "", "licenses": [{"name": "other-closed"}]}]}
    (project / "data" / "mine" / "datapackage.json").write_text(json.dumps(package), encoding="utf-8")
    write_study(project, "mine", {**TOY, "origin": "own"})
    call("run")
    (project / "reports" / "toy" / "tables" / "sample.csv").write_text("telephone\n13912345678\n", encoding="utf-8")
    deposit = write_archive(project.parent / "deposit")
    failed = {point: reason for point, reason in deposit.points if reason}
    assert set(failed) == {
        "every report is the one that this code and these data make", "every reported number is the expected one",
        "no personal data",
    }  # fmt: skip
    assert "toy" in failed["every reported number is the expected one"]
    assert "reports/toy/tables/sample.csv" in failed["no personal data"]
    names = {path.relative_to(deposit.folder).as_posix() for path in deposit.folder.rglob("*")}
    assert not any("mine" in name for name in names), sorted(name for name in names if "mine" in name)


@pytest.mark.parametrize(
    "resource",
    [{"path": "../../secret"}, {"path": "/etc/passwd"}, {"licenses": []}, {"path": "a", "licenses": ["x"]}, 3],
)
def test_what_leads_out_of_the_project_is_not_archived_and_half_an_archive_goes(project, resource):
    (project.parent / "secret").write_text("secret", encoding="utf-8")
    (project / "data" / "datapackage.json").write_text(json.dumps({"resources": [resource]}), encoding="utf-8")
    assert call("archive", project / "deposit").output.startswith(
        "StudyError: data/datapackage.json is no data package"
    )
    assert not (project / "deposit").exists()
