"""Runs as a numbered list: for a job array, for a Dask cluster; repeated without harm, the same bytes."""

import os
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner
from support.projects import EFFECT, ROOT, SAMPLE, TOY, environment, make_project, write_notebook, write_study

from evalaid.base.errors import StudyError
from evalaid.cli import main
from evalaid.running.task_list import ListedRun, list_runs, pick_run, run_on_dask


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    write_study(tmp_path, "other", TOY)
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(main, [str(part) for part in arguments], catch_exceptions=False)


def test_the_list_is_that_of_all_studies_or_of_a_file(project):
    assert call("tasks").output == "1\tother\n2\ttoy\n"
    file = project / "runs.txt"
    file.write_text("\ufeff# levels\ntoy -p level=0.9\n\ntoy -p 'title=\"A b\"'  # quoted\n", encoding="utf-8")
    assert [run.arguments for run in list_runs(file)] == [("toy", "-p", "level=0.9"), ("toy", "-p", 'title="A b"')]
    assert pick_run(2, file).number == 2
    assert shlex.split(pick_run(2, file).text().partition("\t")[2]) == list(pick_run(2, file).arguments)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-p level=1", "runs.txt, line 1 begins with '-p'"),
        ("toy\ntoy 'x", "runs.txt, line 2: No closing quotation"),
        ("# nothing", "runs.txt lists no run"),
    ],
)
def test_a_list_with_faults_names_them(project, text, words):
    (project / "runs.txt").write_text(text, encoding="utf-8")
    with pytest.raises(StudyError) as error:
        list_runs(project / "runs.txt")
    with pytest.raises(StudyError, match="data is a folder, not a file"):
        list_runs(project / "data")
    assert words in str(error.value)


def test_a_run_that_fails_on_a_cluster_fails_here(project, monkeypatch):
    def fail(runs, _):
        return [(run, 2, "no room") for run in runs]

    monkeypatch.setattr("evalaid.running.task_list.run_on_dask", fail)
    said = call("run", "toy", "-p", "level=0.8", "--executor", "dask", "--scheduler", "tcp://host:1")
    assert (said.exit_code, said.output.splitlines()[0]) == (2, "toy: no room")


def test_there_is_no_task_beyond_the_list(project):
    for number in (0, 3):
        assert f"There is no task {number}: the tasks are 1 to 2" in call("task", number).output


def test_a_task_runs_once_and_writes_its_report_alone(project):
    assert "Report: reports/toy/index.html" in call("task", 2).output
    assert sorted(path.name for path in (project / "reports").iterdir()) == ["toy"]
    assert call("task", 2).output.startswith("Up to date: reports/toy/index.html\n")


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_the_script_of_a_job_array_runs_the_task_of_its_number(project):
    script = project / "runs.sh"
    script.write_text(call("slurm").output, encoding="utf-8")
    assert "#SBATCH --array=1-2\n" in script.read_text(encoding="utf-8")
    done = subprocess.run(
        ["sh", script], env=environment(SLURM_ARRAY_TASK_ID="1"), cwd="/", capture_output=True, text=True, check=True
    )
    assert "Report: reports/other/index.html" in done.stdout


def test_dask_that_is_missing_is_told(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(StudyError, match=r"needs the package distributed: pip install 'evalaid\[dask\]'"):
        run_on_dask([ListedRun(1, ("toy",))], "tcp://127.0.0.1:1")
    assert "--executor dask needs --scheduler ADDRESS" in call("run", "--executor", "dask").output


WAITS_ONCE = """
import pathlib, time
begun, go, times = pathlib.Path("begun"), pathlib.Path("go"), pathlib.Path("times")
times.open("a").write(study[0])
if study == "toy" and not begun.exists():
    begun.touch()
    while not go.exists(): time.sleep(0.05)
"""


def test_a_dask_cluster_gives_the_same_bytes_also_when_a_worker_dies(project, monkeypatch):
    """Two workers; the one that runs a task is killed in the middle of it: the task is repeated by the other, nothing is lost.

    One notebook alone is run there, too, and takes the results of the others from the last report.
    """
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(
        "evalaid.cli.run_commands._end_in_order", lambda *_: None
    )  # signals are the main thread's, and the test needs it
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    write_notebook(project, (WAITS_ONCE, SAMPLE))
    write_notebook(project, (EFFECT,), name="3_more")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with ThreadPoolExecutor() as pool, distributed.Client(cluster) as client:
            result = pool.submit(call, "run", "--executor", "dask", "--scheduler", cluster.scheduler_address)
            while not (project / "begun").exists():
                assert not result.done(), result.result().output
                time.sleep(0.05)
            workers = client.run(os.getpid)
            busy = next(address for address, tasks in client.processing().items() if "evalaid-2" in map(str, tasks))
            os.kill(workers[busy], signal.SIGKILL)
            (project / "go").touch()
        assert result.result().exit_code == 0, result.result().output
        times = (project / "times").read_text()
        for only, words in (("3", "toy: done\n"), ("9", "There is no notebook '9'")):
            alone = ("--only", only, "--executor", "dask", "--scheduler", cluster.scheduler_address)
            assert words in call("run", "toy", *alone).output
        assert (project / "times").read_text() == times
        assert sorted(times) == ["o", "t", "t"]
    assert "other: done\ntoy: done\n" in result.result().output
    made = {path: path.read_bytes() for path in (project / "reports").rglob("*") if path.is_file()}
    assert call("run", "--force").exit_code == 0
    assert made == {path: path.read_bytes() for path in (project / "reports").rglob("*") if path.is_file()}
