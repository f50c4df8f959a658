"""The wheel is whole: built from the sources, installed elsewhere, it makes a project and runs a study to its report."""

import os
import subprocess
import sys
import zipfile

import pytest
from support.projects import ROOT

INTAKE = ROOT / "tests" / "reading" / "intake"
BUILD = "import sys; sys.path[:0] = ['tools']; import wheel_backend; print(wheel_backend.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the installed wheel; dependencies come from this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    wheel = folder / built.stdout.split()[-1]
    assert not (ROOT / "src" / "evalaid" / "shipped").exists()
    names = set(zipfile.ZipFile(wheel).namelist())
    for part in ("data/regions/divisions.csv", "notebooks/2_design.ipynb", "notebooks/studies/schema.json"):
        assert f"evalaid/shipped/{part}" in names
    assert "evalaid/reading/words/zh.yaml" in names
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(folder / "site"),
        str(wheel),
    ]
    subprocess.run([sys.executable, *install], check=True, capture_output=True)
    return folder / "site"


def call(site, folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}
    environment.pop("EVALAID_PROJECT", None)
    command = [sys.executable, "-m", "evalaid", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_installed_package_makes_a_project_and_runs_a_study_to_its_report(site, tmp_path):
    where = subprocess.run(
        [sys.executable, "-c", "import evalaid; print(evalaid.__file__)"], cwd=tmp_path, check=True, capture_output=True,
        text=True, env={**os.environ, "PYTHONPATH": str(site)},
    )  # fmt: skip
    assert where.stdout.startswith(str(site))
    lost = call(site, tmp_path, "run", "us")
    assert (lost.returncode, "evalaid init FOLDER" in lost.stderr) == (2, True)
    made = call(site, tmp_path, "init", tmp_path / "mine")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "mine" / "notebooks" / "studies" / "example.yaml").is_file()
    below = tmp_path / "mine" / "data"
    new = call(site, below, "new", "us", "--panel", INTAKE / "us_panel.csv", "--roster", INTAKE / "us_roster.csv")
    assert new.returncode == 0, new.stderr
    done = call(site, tmp_path, "--project", tmp_path / "mine", "run", "us")  # from elsewhere
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "mine" / "reports" / "us" / "index.html").read_text(encoding="utf-8")
    assert "2.2" in page
    assert call(site, below, "accept", "us").returncode == 0
    confirmed = call(site, below, "verify", "us")
    assert confirmed.returncode == 0, confirmed.stdout + confirmed.stderr
    assert "us: all " in confirmed.stdout


def test_a_folder_that_is_not_empty_is_no_new_project(tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    refused = call(ROOT / "src", tmp_path, "init", tmp_path)
    assert (refused.returncode, "not empty" in refused.stderr) == (2, True)


def test_a_project_without_notebooks_says_so(tmp_path):
    made = call(ROOT / "src", tmp_path, "init", tmp_path / "mine", "--no-example")
    assert made.returncode == 0, made.stderr
    project = tmp_path / "mine"
    assert (
        call(ROOT / "src", project, "new", "us", "--panel", INTAKE / "imr.csv", "--cohort", "first_treat").returncode
        == 0
    )
    for path in (project / "notebooks").glob("*.ipynb"):
        path.unlink()
    empty = call(ROOT / "src", project, "run", "us")
    assert empty.returncode == 2
    assert "no notebook" in empty.stderr
