"""Notebooks of a study that run side by side: one waits for the number of another, runs once, and is kept with what it used."""

import threading
import time

import pytest
from click.testing import CliRunner
from support.projects import SAMPLE, make_project, write_notebook

from evalaid.cli import main
from evalaid.running.graph import Task, run_tasks
from evalaid.running.notebooks import run_study
from evalaid.study import earlier
from evalaid.study.earlier import EarlierNumbers, expect_earlier
from evalaid.study.manifest import EarlierNumbersError, Recorder
from evalaid.study.spec import StudySpec

SECOND = 'section.record("second.value", 2, unit="count", digits=0)'
ASK = 'print(section.value("second.value"), section.has("second.none"))\n' + SECOND.replace("second", "third")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path, (SAMPLE, "import time; time.sleep(0.3)", SECOND)))
    write_notebook(tmp_path, (ASK,), name="3_more")
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False).output


def text_of(project):
    return (project / "reports" / "toy" / "3_more.ipynb").read_text(encoding="utf-8")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_notebook_that_needs_an_earlier_number_runs_once(project, jobs):
    told = []
    run_study(StudySpec(study="toy"), jobs=jobs, tell=lambda _, name, event: told.append((name, event["event"])))
    assert [told.count((name, "launch")) for name in ("2_toy", "3_more")] == [1, 1]
    assert "2 False" in text_of(project)
    assert not list((project / "reports" / "toy").rglob("waits"))


def test_one_that_would_wait_too_long_runs_again_after_the_others(project, monkeypatch):
    write_notebook(project, (f"import evalaid.study.earlier as e\ne.LONGEST_WAIT = 0\n{ASK}",), name="3_more")
    told = []
    run_study(StudySpec(study="toy"), jobs=2, tell=lambda _, name, event: told.append((name, event["event"])))
    assert told.count(("3_more", "launch")) in (1, 2)  # one, where the first was done already
    assert "2 False" in text_of(project)


def test_what_used_earlier_numbers_is_kept_as_long_as_these_are_the_same(project):
    assert "2 of 2 notebooks computed" in call("run")
    before = text_of(project)
    write_notebook(project, (SAMPLE, "pass", SECOND), name="2_toy")  # another source, the same number
    assert "1 of 2 notebooks computed" in call("run")
    assert text_of(project) == before
    write_notebook(project, (SAMPLE, SECOND.replace("2,", "5,")), name="2_toy")
    assert "2 of 2 notebooks computed" in call("run")
    assert "5 False" in text_of(project)
    none = 'section.record("second.none", 1, unit="count", digits=0)'
    write_notebook(project, (SAMPLE, SECOND.replace("2,", "5,"), none), name="2_toy")
    assert "2 of 2 notebooks computed" in call("run")
    assert "5 True" in text_of(project)


def test_a_task_that_waits_makes_room_for_another():
    begun, done = [], threading.Event()
    waits = threading.Event()

    def first():
        begun.append("first")
        done.wait()

    def second():
        begun.append("second")
        waits.set()
        done.wait()
        waits.clear()

    def third():
        begun.append("third")
        done.set()

    one = Task("a", first, weight=9)
    two = Task("a", second, weight=5, follows=[one], waits=waits.is_set)
    assert run_tasks([Task("b", third, weight=1), two, one], 2, lambda _: None) == {}
    assert begun == ["first", "second", "third"]  # with two jobs, the third only since the second waits


def test_numbers_are_seen_as_they_are_recorded_and_their_absence_at_the_end(tmp_path, monkeypatch):
    parts = {}
    for name in ("2_toy", "3_more"):
        own = tmp_path / f".run-{name}"
        expect_earlier(own, ["2_toy"] if name == "3_more" else [])
        parts[name] = own / ".parts"
    (tmp_path / ".parts").mkdir()
    writes = Recorder("2_toy", "0", "0", 1, parts["2_toy"] / "2_toy.json")
    reads = EarlierNumbers(parts["3_more"].parent, "3_more")
    monkeypatch.setattr(earlier, "LONGEST_WAIT", 0.1)
    with pytest.raises(EarlierNumbersError, match=r"'a.b' may be a number of 2_toy, which has not ended yet"):
        reads.wait_for("a.b")
    monkeypatch.setattr(earlier, "LONGEST_WAIT", 60)

    def work():
        time.sleep(0.1)
        writes.record("a.b", 1, unit="count", digits=0, cell="In [1]")
        writes.save()

    thread = threading.Thread(target=work)
    thread.start()
    reads.wait_for("a.b")
    thread.join()
    assert reads.numbers["a.b"].value == 1
    (parts["2_toy"] / "2_toy.json").replace(tmp_path / ".parts" / "2_toy.json")
    reads.wait_for("a.c")
    assert "a.c" not in reads.numbers
    assert not (parts["3_more"] / "waits").exists()
