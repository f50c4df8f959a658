"""Runs under attack: noise, kills, full disks, secrets, clocks; the report on disk stays whole, and what is done is kept."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.projects import EFFECT, SAMPLE, TOY, make_project, write_notebook, write_study

from evalaid.base.errors import NotebookError, StudyError
from evalaid.base.files import write_whole
from evalaid.cli import main
from evalaid.report.report_folders import index_reports
from evalaid.report.site.answer_line import tell_answer
from evalaid.running.crate import CRATE, read_outputs
from evalaid.running.kept import workshop
from evalaid.running.kept.freshness import is_up_to_date
from evalaid.running.notebooks import run_study
from evalaid.running.runs import run_studies
from evalaid.study.spec import StudySpec

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the forked engine and /proc")
NEVER_ENDS = "import time; time.sleep(10**6)"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def outputs(path):
    """The text of all stream outputs of an executed notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    streams = [output for cell in cells for output in cell.get("outputs", ()) if output["output_type"] == "stream"]
    return "".join(output["text"] if isinstance(output["text"], str) else "".join(output["text"]) for output in streams)


@linux
def test_what_is_written_past_python_is_an_output_of_its_cell(project):
    noise = "import os, sys\nfor _ in range(100): os.write(1, b'x' * 10**6)\nos.system('echo; echo hi')\nos.write(2, b'\\xff\\xfe')"
    write_notebook(project, (noise, 'os.system("echo {}")', SAMPLE))
    run = run_study(StudySpec(study="toy"))
    text = outputs(run.notebooks[0])
    assert "bytes more" in text
    assert text.endswith("{}\n")
    assert len(text) < 2**18
    assert run.manifest["sample.units"].value == 12


THREADS = """import threading
def tell():
    for _ in range(10):
        print("t" * 50_000, flush=True)
thread = threading.Thread(target=tell)
thread.start()
tell()
thread.join()"""


@linux
def test_forks_threads_and_endless_words_of_a_cell_disturb_no_other(project):
    """A fork ends with its cell instead of taking the next one; what is printed is kept up to a length, and read in no time."""
    fork = 'import os\nif os.fork() == 0:\n    raise ValueError("below")\nprint(os.wait()[1])'
    write_notebook(project, (fork, THREADS, 'print("\\ud800" + "x" * 10**7)', SAMPLE))
    run = run_study(StudySpec(study="toy"))
    text = outputs(run.notebooks[0])
    assert "256\n" in text
    assert "ValueError: below" in text
    assert text.count("t" * 50_000) == 20
    assert "?xxx" in text
    assert "... and 8,951,426 characters more" in text
    assert run.manifest["sample.units"].value == 12


@linux
@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("import sys; sys.exit(0)", "SystemExit: the notebook ended before its last cell"),
        ("import os; os._exit(3)", "the kernel exited with code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL, perhaps because memory ran out"),
        ("import faulthandler; faulthandler._sigsegv()", "ended by SIGSEGV"),
        ("import os, signal; os.kill(os.getppid(), signal.SIGKILL); import time; time.sleep(10**6)", "ended early"),
        (
            "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31)); x = bytearray(2**33)",
            "MemoryError",
        ),
    ],
)
def test_a_notebook_that_ends_its_process_is_told_and_loses_nothing_else(project, cell, words):
    write_notebook(project, ('print("kept")', f"None if study == 'toy' else exec({cell!r})", SAMPLE))
    write_study(project, "deadly", TOY)
    outcomes = run_studies([StudySpec(study=name) for name in ("deadly", "toy")], jobs=2)
    assert words in str(outcomes[0].error)
    assert "2_toy.ipynb, cell 5" in str(outcomes[0].error)
    assert "Kept: 2_toy.ipynb in reports/deadly.failed" in str(outcomes[0].error)
    assert "kept" in outputs(project / "reports" / "deadly.failed" / "2_toy.ipynb")
    assert outcomes[1].result.page.is_file()


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_is_an_interrupt(project, start, number):
    write_notebook(project, ('print("here")', NEVER_ENDS))
    process = start(project, "run", "toy")
    process.wait_until(lambda: any(project.glob("reports/.toy-*/.run-2_toy/2_toy.ipynb")))
    code, complained = process.send(number)
    assert code == 130
    assert "Kept: 2_toy.ipynb in reports/toy.failed" in complained


def descendants(pid):
    """The processes below one, from /proc."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, waiting = [], [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@linux
def test_killed_in_the_middle_it_leaves_no_process_and_goes_on_where_it_was(project, start):
    """The driver is killed while the second notebook runs: the first is kept, and the same bytes come out as without a kill."""
    flag = project / "go"
    write_notebook(project, (SAMPLE,), name="2_toy")
    wait = f"import time, pathlib\nwhile not pathlib.Path({str(flag)!r}).exists(): time.sleep(0.05)"
    write_notebook(project, (wait, EFFECT), name="3_more")
    process = start(project, "run", "--jobs", "1")
    process.wait_until(lambda: any(project.glob(".evalaid/cache/toy/2_toy/*/entry.json")))
    process.wait_until(lambda: any(project.glob("reports/.toy-*/.run-3_more/3_more.ipynb")))
    process.wait_until(lambda: len(descendants(process.pid)) >= 3)  # the warm process, the notebook's, the kernel
    below = descendants(process.pid)
    code, _ = process.send(signal.SIGKILL)
    assert code == -signal.SIGKILL
    while any(map(alive, below)):
        time.sleep(0.05)
    assert not (project / "reports" / "toy").exists()
    assert any(project.glob("reports/.toy-*"))

    flag.touch()
    again = call("run")
    assert "Report: reports/toy/index.html (1 of 2 notebooks computed)" in again.output
    assert sorted(path.name for path in (project / "reports").iterdir()) == [
        "index.html",
        "index.ko.html",
        "index.zh.html",
        "toy",
    ]
    kept = {path.name: path.read_bytes() for path in (project / "reports" / "toy").iterdir() if path.is_file()}
    call("run", "--force")
    assert kept == {path.name: path.read_bytes() for path in (project / "reports" / "toy").iterdir() if path.is_file()}


@pytest.mark.parametrize("exchange", [True, False])
def test_a_report_is_put_in_place_in_one_step_or_healed_at_the_next_start(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(workshop, "_exchange", lambda *_: False)
    target = tmp_path / "reports" / "toy"
    for number in ("1", "2"):
        made = workshop.Workshop(target)
        (made.folder / "page").write_text(number, encoding="utf-8")
        made.put_in_place()
        assert (target / "page").read_text(encoding="utf-8") == number
        assert [path.name for path in target.parent.iterdir()] == ["toy"]

    # Killed when the new report is there and the old one not yet removed, or only in part.
    with monkeypatch.context() as killed:
        killed.setattr(workshop, "_remove", lambda _: None)
        killed.setattr(workshop.shutil, "rmtree", lambda *_, **__: None)
        made = workshop.Workshop(target)
        (made.folder / "page").write_text("2", encoding="utf-8")
        made.put_in_place()
    assert len([*target.parent.iterdir()]) == 2
    workshop.sweep(target.parent)
    assert [path.name for path in target.parent.iterdir()] == ["toy"]
    assert [path.name for path in target.iterdir()] == ["page"]

    # A report that a link leads to is replaced where it is.
    link = tmp_path / "linked" / "toy"
    link.parent.mkdir()
    link.symlink_to(target)
    workshop.Workshop(link).put_in_place()
    assert link.is_symlink()
    assert [path.name for path in (*link.parent.iterdir(), *target.parent.iterdir())] == ["toy", "toy"]
    (target / "page").write_text("2", encoding="utf-8")

    # Killed between the two steps that some systems need: the old report lies aside, the new one beside it.
    aside = target.parent / ".toy-abc"
    aside.mkdir()
    target.rename(aside / "previous")
    other = workshop.Workshop(target.with_name("other"))
    assert (target / "page").read_text(encoding="utf-8") == "2"
    assert not aside.exists()

    # The folder of a run that lives is left alone; that of a dead one goes.
    workshop.sweep(target.parent)
    assert other.folder.is_dir()
    other._lock.close()
    workshop.sweep(target.parent)
    assert not other.folder.exists()


@linux
def test_what_a_notebook_detaches_and_its_own_folder_end_with_it(project):
    detach = "import subprocess, sys\nprint(subprocess.Popen(['sleep', '7777'], start_new_session=True).pid)"
    write_notebook(project, (f"{detach}\nprint(get_ipython().ipython_dir)", SAMPLE))
    pid, home = outputs(run_study(StudySpec(study="toy")).notebooks[0]).split()
    assert not Path(home).exists()
    pid = int(pid)
    end = time.monotonic() + 30
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(pid)


def raise_full(*_, **__):
    raise OSError(28, "No space left on device", "toy.csv")


def test_no_room_on_the_disk_is_a_clear_error(project, monkeypatch):
    monkeypatch.setattr(workshop.tempfile, "mkdtemp", raise_full)
    [outcome] = run_studies([StudySpec(study="toy")])
    assert "The report cannot be written: No space left on device" in str(outcome.error)
    monkeypatch.undo()
    monkeypatch.chdir(project)
    monkeypatch.setattr("evalaid.running.notebooks.mark", raise_full)
    [outcome] = run_studies([StudySpec(study="toy")])
    assert "No space left on device" in str(outcome.error)
    assert not (project / "reports" / "toy").exists()


def test_reports_that_is_a_link_to_nothing_is_told(project):
    (project / "reports").symlink_to(project / "nowhere")
    with pytest.raises(StudyError, match="'reports' is a link to nothing"):
        run_study(StudySpec(study="toy"))


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    write_whole(tmp_path / "page", "whole")
    with monkeypatch.context() as refused:
        refused.setattr(Path, "replace", raise_full)
        with pytest.raises(OSError, match="No space"):
            write_whole(tmp_path / "page", "half")
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [("page", "whole")]

    # Another process that writes the same file at the same time disturbs none.
    write = Path.write_bytes
    with monkeypatch.context() as at_once:
        at_once.setattr(
            Path,
            "write_bytes",
            lambda path, content: (write(path, content), at_once.undo(), write_whole(tmp_path / "page", "other")),
        )
        write_whole(tmp_path / "page", "mine")
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [("page", "mine")]


def test_an_index_that_cannot_be_written_hides_neither_reports_nor_other_errors(project, monkeypatch):
    def refuse():
        raise StudyError("no room for the index")

    monkeypatch.setattr("evalaid.running.runs.write_index", refuse)
    write_study(project, "broken", {**TOY, "panel": "data/none.csv"})
    said = call("run")
    assert said.exit_code == 2
    for words in ("Report: reports/toy/index.html", "data/none.csv", "no room for the index"):
        assert words in said.output


def test_what_the_system_refuses_is_told_in_words(project, monkeypatch):
    monkeypatch.setattr("evalaid.running.checked.expected.accept", raise_full)
    said = call("accept", "toy")
    assert (said.exit_code, said.output) == (
        2,
        "EvalaidError: The system refused: No space left on device ('toy.csv').\n",
    )
    write_study(project, "long", {**TOY, "panel": f"data/{'x' * 300}.csv"})
    [outcome] = run_studies([StudySpec(study="long")])
    assert str(outcome.error).startswith("The system refused: File name too long ('xxx")


def test_a_message_commands_no_terminal(project):
    assert (
        call("run", "-p", "\x1b]0;\x07").output == "StudyError: -p ?]0;?: write key=value, for example -p level=0.9.\n"
    )


def test_a_secret_of_the_environment_reaches_no_output(project, monkeypatch):
    monkeypatch.setenv("DATABASE_PASSWORD", "correct horse")
    write_notebook(project, ("import os\nprint(sorted(os.environ.values()))", SAMPLE))
    run = run_study(StudySpec(study="toy"))
    assert "EVALAID" not in outputs(run.notebooks[0])
    write_notebook(project, ("import os\nraise RuntimeError(str(os.environ))",))
    with pytest.raises(NotebookError, match="RuntimeError: environ") as told:
        run_study(StudySpec(study="toy"))
    assert "correct horse" not in str(told.value)
    for path in (path for path in project.rglob("*") if path.is_file()):
        assert b"correct horse" not in path.read_bytes(), path


def test_generators_are_seeded_afresh_in_every_notebook(project):
    cell = "import random, numpy as np\nprint(random.random(), np.random.random())"
    for name in ("2_toy", "3_more"):
        write_notebook(project, (cell,), name=name)
    run = run_study(StudySpec(study="toy"))
    drawn = [number for path in run.notebooks for number in outputs(path).split()]
    assert len(set(drawn)) == 4


def test_a_clock_that_was_set_back_changes_nothing(project):
    call("run")
    for path in (path for path in project.rglob("*") if path.is_file()):
        os.utime(path, (1, 1))
    assert call("run").output.startswith("Up to date: reports/toy/index.html\n")
    with (project / "data" / "toy.csv").open("a", encoding="utf-8") as stream:
        stream.write("\n")
    os.utime(project / "data" / "toy.csv", (1, 1))
    assert "data/toy.csv has changed" in call("run").output


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"title: \xd6\xd0\xb9\xfa\n", "broken.yaml"),
        (b"title: [\n", "broken.yaml"),
        (b"", "broken.yaml"),
        (b"seed: " + b"9" * 5000, "line 1: a number of 5,000 characters"),
        (b"#" * 2**21, "broken.yaml has 2,097,152 characters"),
        (b"title: a\ntitle: b\n", "broken.yaml"),
        (
            b"a: &a [x, x, x]\n" + b"".join(b"b%d: &b%d [*%s, *%s]\n" % (i, i, p, p) for i, p in enumerate([b"a"] * 3)),
            "broken",
        ),
    ],
)
def test_a_broken_study_file_stops_that_study_alone(project, content, words):
    (project / "notebooks" / "studies" / "broken.yaml").write_bytes(content)
    result = call("run")
    assert result.exit_code == 2
    assert words in result.output
    assert "Report: reports/toy/index.html" in result.output
    assert "Traceback" not in result.output


def make_pipe(path):
    os.mkfifo(path)


def make_device(path):
    path.symlink_to("/dev/zero")


@linux
@pytest.mark.parametrize(
    ("make", "kind"), [(make_pipe, "a pipe or a device"), (make_device, "a pipe or a device"), (Path.mkdir, "a folder")]
)
@pytest.mark.parametrize("place", ["notebooks/studies/odd.yaml", "notebooks/3_odd.ipynb", "reports/toy/.made_from"])
def test_what_is_no_file_is_told_at_once_and_stops_that_study_alone(project, make, kind, place):
    """A pipe is waited for without an end, a device is read without one: `signal.alarm` ends a test that would hang."""
    (project / "reports" / "toy").mkdir(parents=True)
    make(project / place)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(120)
    try:
        said = call("run")
    finally:
        signal.alarm(0)
    if place.endswith("made_from"):  # no record of a report: it is made
        assert "1 of 1 notebooks computed" in said.output
        return
    assert said.exit_code == 2
    assert f"{place if place.endswith('yaml') else '3_odd.ipynb'} is {kind}, not a file. Replace it" in said.output
    assert ("Report: reports/toy/index.html" in said.output) == place.endswith("yaml")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"resources": 3}', b"\xd6\xd0", b"[" * 10**5])
def test_a_broken_data_package_is_told_with_its_name(project, content):
    (project / "data" / "datapackage.json").write_bytes(content)
    [outcome] = run_studies([StudySpec(study="toy")])
    assert "data/datapackage.json" in str(outcome.error)
    assert "Traceback" not in str(outcome.error)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xd6\xd0", b"[" * 10**5, b'{"unit": 1, "verdict": [], "simulated": 1}']
)
def test_records_that_somebody_damaged_count_as_none(project, content):
    folder = project / "reports" / "toy"
    folder.mkdir(parents=True)
    for name in (".made_from", "answer.json", "numbers.json", "index.html", CRATE):
        (folder / name).write_bytes(content)
    assert not is_up_to_date("toy")
    assert tell_answer(folder) == ""
    assert read_outputs(folder) == {}
    assert "toy/index.html" not in index_reports().read_text(encoding="utf-8")


def test_a_study_without_a_notebook_to_run_is_an_error(project):
    (project / "notebooks" / "2_toy.ipynb").unlink()
    with pytest.raises(StudyError, match="There is no notebook in notebooks, so there is nothing to run"):
        run_study(StudySpec(study="toy"))


def test_two_runs_at_once_do_not_disturb_each_other(project, start):
    first, second = start(project, "run", "--force"), start(project, "run", "--force")
    assert [process.end()[0] for process in (first, second)] == [0, 0]
    assert sorted(path.name for path in (project / "reports").iterdir()) == [
        "index.html",
        "index.ko.html",
        "index.zh.html",
        "toy",
    ]
    assert call("run").output.startswith("Up to date: reports/toy/index.html\n")


def test_a_broken_notebook_file_is_told(project):
    (project / "notebooks" / "2_toy.ipynb").write_text("{", encoding="utf-8")
    with pytest.raises((NotebookError, StudyError), match=r"2_toy\.ipynb"):
        run_study(StudySpec(study="toy"))
