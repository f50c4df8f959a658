"""run.py: which Python, what state .venv is in, what is done about it, and what a person is told. Nothing is downloaded."""

import ast
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYOUT = {"posix": ("bin/python", "lib/python{}/site-packages"), "nt": ("Scripts/python.exe", "Lib/site-packages")}


@pytest.fixture
def run():
    """A fresh copy of run.py as a module, so that a test may change its settings."""
    spec = importlib.util.spec_from_file_location("run_under_test", ROOT / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(run, tmp_path):
    """A project in a folder with a space and letters outside ASCII, and run.py's settings pointing at it."""
    root = tmp_path / "Krankenhäuser 병원 (copy)"
    root.mkdir()
    run.ROOT, run.VENV = str(root), str(root / ".venv")
    run.LOCK, run.PROJECT = str(root / "requirements.lock"), str(root / "pyproject.toml")
    run.DEV_LOCK = str(root / "requirements-dev.lock")
    run.STAMP, run.UNFINISHED = (str(root / ".venv" / name) for name in ("evalaid-setup.json", "evalaid-unfinished"))
    assert Path(run.venv_python()).is_relative_to(root), "a test must never touch the project's own .venv"
    (root / "requirements.lock").write_text("numpy==1.0\n", encoding="utf-8")
    (root / "requirements-dev.lock").write_text("pytest==1.0\nruff==1.0\n", encoding="utf-8")
    (root / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    return root


@pytest.fixture
def environment(run, project):
    """A .venv as a finished set-up leaves it."""
    packages = Path(run.site_packages(run.VENV, run.this_python()))
    for name in ("numpy-1.0", "pandas-3.0"):
        (packages / f"{name}.dist-info").mkdir(parents=True)
    python = Path(run.venv_python())
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text("", encoding="utf-8")
    run.write_stamp()
    return project / ".venv"


@pytest.fixture
def calls(run, monkeypatch):
    """Instead of starting programs: the list of those that would have been started."""
    started = []

    def call(command, venv=None):
        started.append([str(part) for part in command])
        if "venv" in command:
            Path(run.site_packages(run.VENV, run.this_python())).mkdir(parents=True)
            Path(run.venv_python()).parent.mkdir(parents=True, exist_ok=True)
            Path(run.venv_python()).write_text("", encoding="utf-8")
        return ""

    monkeypatch.setattr(run, "call", call)
    return started


def without_uv(run, monkeypatch):
    monkeypatch.setattr(run.shutil, "which", lambda name, **_: None)


def with_uv(run, monkeypatch):
    monkeypatch.setattr(run.shutil, "which", lambda name, **_: "uv-here" if name == "uv" else None)


# ------------------------------------------------------------------------------------------------ the file itself


def test_an_old_python_can_read_it_and_nothing_is_needed_but_the_standard_library():
    source = (ROOT / "run.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 7))
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported <= set(sys.stdlib_module_names)


def test_help_from_another_directory_names_every_command(run, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "run.py", "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    for command in (*run.COMMANDS, *run.EVALAID_COMMANDS, "lock", "setup", "--rebuild", "--slow"):
        assert command in done.stdout
    assert not done.stderr


def test_every_make_target_is_a_command(run):
    known = {"", "lock", *run.COMMANDS, *run.EVALAID_COMMANDS}
    recipes = [line for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines() if "run.py" in line]
    assert {line.partition("$(PYTHON) run.py")[2].strip() for line in recipes if ";" in line} <= known


@pytest.mark.parametrize(("system", "python", "packages"), [(name, *paths) for name, paths in LAYOUT.items()])
def test_paths_follow_the_operating_system(run, system, python, packages):
    run.WINDOWS = system == "nt"
    assert Path(run.venv_python("x")) == Path("x", python)
    assert Path(run.site_packages("x", "3.12")) == Path("x", packages.format("3.12"))


# ------------------------------------------------------------------------------------------------ which Python


def test_the_running_interpreter_says_its_version(run):
    assert run.version_of([sys.executable]) == sys.version_info[:2]


@pytest.mark.parametrize("program", ["no-such-python", os.devnull])
def test_what_is_no_interpreter_has_no_version(run, program):
    assert run.version_of([program]) is None


@pytest.mark.parametrize(
    ("on_path", "expected"),
    [
        ({"python3.13": (3, 13), "python3.11": (3, 11)}, ["python3.13"]),
        ({"python3.13": None, "python3.12": (3, 12)}, ["python3.12"]),  # a version manager's shim without a version
        ({"python3.14": (3, 14)}, ["python3.14"]),
    ],
)
def test_a_new_enough_python_is_found(run, monkeypatch, on_path, expected):
    monkeypatch.setattr(run.shutil, "which", lambda name: name if name in on_path else None)
    monkeypatch.setattr(run, "version_of", lambda command: on_path[command[0]])
    assert run.find_python() == expected


def test_the_windows_launcher_is_asked(run, monkeypatch):
    run.WINDOWS = True
    monkeypatch.setattr(run.shutil, "which", lambda name: name if name == "py" else None)
    monkeypatch.setattr(run, "version_of", lambda command: (3, 12) if command == ["py", "-3.12"] else None)
    assert run.find_python() == ["py", "-3.12"]


@pytest.mark.parametrize("uv", [True, False])
def test_no_new_enough_python_is_explained(run, monkeypatch, uv):
    (with_uv if uv else without_uv)(run, monkeypatch)
    with pytest.raises(run.SetupError) as caught:
        run.find_python()
    text = str(caught.value)
    assert "needs Python 3.11 or newer" in text
    assert sys.executable in text
    assert "python3.13, python3.12, python3.11, python3.14" in text
    assert "What to do" in text
    assert ("uv run --no-project" in text) == uv


def test_an_old_python_hands_over_with_the_same_arguments(run, monkeypatch, capsys):
    run.OLDEST = (99, 0)
    handed = []
    monkeypatch.setattr(run, "find_python", lambda: ["python99"])
    monkeypatch.setattr(run, "hand_over", lambda command, *_: handed.append(command) or 7)
    assert run.main(["test", "-x"]) == 7
    assert handed == [["python99", str(ROOT / "run.py"), "test", "-x"]]
    assert "too old; going on with python99" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ the state of .venv


def test_a_finished_environment_is_ready(run, environment):
    assert run.inspect() == ("ready", "")


def test_a_new_clone_has_none(run, project):
    assert run.inspect()[0] == "absent"


def test_an_interrupted_set_up_is_seen(run, environment):
    Path(run.UNFINISHED).touch()
    assert run.inspect()[0] == "unfinished"


@pytest.mark.parametrize(
    ("key", "value", "state", "reason"),
    [
        ("lock", "0", "outdated", "requirements.lock has changed"),
        ("python", "3.0", "outdated", "made with Python 3.0"),
        ("root", "elsewhere", "outdated", "moved"),
        ("recipe", 0, "outdated", "run.py has changed"),
        ("project", "0", "project", "pyproject.toml has changed"),
        ("distributions", ["numpy-1.0", "scipy-1.0"], "broken", "packages are missing: scipy-1.0"),
    ],
)
def test_what_changed_since_the_set_up_decides(run, environment, key, value, state, reason):
    stamp = json.loads(Path(run.STAMP).read_text(encoding="utf-8"))
    Path(run.STAMP).write_text(json.dumps({**stamp, key: value}), encoding="utf-8")
    found, why = run.inspect()
    assert found == state
    assert reason in why


def test_a_package_that_somebody_added_does_no_harm(run, environment):
    (Path(run.site_packages(run.VENV, run.this_python())) / "dask-1.0.dist-info").mkdir()
    assert run.inspect()[0] == "ready"


@pytest.mark.parametrize("damage", ["no python", "no stamp", "half a stamp", "a file"])
def test_what_run_py_did_not_do_is_called_broken(run, environment, damage):
    if damage == "no python":
        Path(run.venv_python()).unlink()
    elif damage == "no stamp":
        Path(run.STAMP).unlink()
    elif damage == "half a stamp":
        Path(run.STAMP).write_text('{"recipe": 1', encoding="utf-8")
    else:
        Path(run.STAMP).write_text('["not", "a", "mapping"]', encoding="utf-8")
    assert run.inspect()[0] == "broken"


# ------------------------------------------------------------------------------------------------ set-up


def test_a_ready_environment_starts_nothing(run, environment, calls):
    run.set_up()
    assert calls == []


@pytest.mark.parametrize("uv", [True, False])
def test_a_new_environment_is_made_from_the_lock_with_hashes(run, project, calls, monkeypatch, capsys, uv):
    (with_uv if uv else without_uv)(run, monkeypatch)
    run.set_up()
    assert run.inspect() == ("ready", "")
    packages = next(command for command in calls if "--require-hashes" in command)
    assert run.LOCK in packages
    assert (packages[0] == "uv-here") == uv
    itself = next(command for command in calls if "--editable" in command)
    assert {"--no-deps", "--no-index", "--no-build-isolation", run.ROOT} <= set(itself)
    assert [command[2] for command in calls if "-c" in command] == [f"import {names}" for names in run.USED]
    told = capsys.readouterr()
    assert "Ready after" in told.err
    assert not told.out, "standard output belongs to the command"


def test_the_source_folder_is_found_without_its_letters(run, project, calls, monkeypatch):
    with_uv(run, monkeypatch)
    run.set_up()
    folder = Path(run.site_packages(run.VENV, run.this_python()))
    relative = (folder / "evalaid-source.pth").read_bytes().decode("ascii").strip()
    assert (folder / relative).resolve() == (project / "src").resolve()


def test_the_kernel_stays_in_the_environment_and_is_reproducible(run, project, calls, monkeypatch):
    with_uv(run, monkeypatch)
    run.set_up()
    kernel = json.loads((project / ".venv/share/jupyter/kernels/evalaid/kernel.json").read_text(encoding="utf-8"))
    assert kernel["argv"][0] == run.venv_python()
    assert kernel["env"]["PYTHONHASHSEED"] == "0"


@pytest.mark.parametrize("moment", ["venv", "--require-hashes", "--editable", "-c"])
def test_interrupted_at_any_moment_it_is_made_again(run, project, calls, monkeypatch, moment):
    with_uv(run, monkeypatch)
    complete = run.call

    def interrupted(command, venv=None):
        if moment in command:
            raise KeyboardInterrupt
        return complete(command)

    monkeypatch.setattr(run, "call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.set_up()
    assert run.inspect()[0] == "unfinished"
    monkeypatch.setattr(run, "call", complete)
    run.set_up()
    assert run.inspect()[0] == "ready"


@pytest.mark.parametrize(
    ("said", "tries"),
    [("error: unexpected argument '--require-hashes'", ["uv-here", "pip"]), ("dns error", ["uv-here"])],
)
def test_pip_is_tried_when_uv_itself_is_at_fault(run, project, calls, monkeypatch, said, tries):
    with_uv(run, monkeypatch)
    complete, tried = run.call, []

    def failing(command, venv=None):
        if "--require-hashes" in command:
            tried.append("uv-here" if command[0] == "uv-here" else "pip")
            if command[0] == "uv-here":
                raise run.SetupError(run.explain(command, said))
        return complete(command)

    monkeypatch.setattr(run, "call", failing)
    if "pip" in tries:
        run.set_up()
    else:
        with pytest.raises(run.SetupError, match="cannot be reached"):
            run.set_up()
    assert tried == tries


def test_only_the_project_is_installed_again_when_only_it_changed(run, environment, calls, monkeypatch):
    with_uv(run, monkeypatch)
    Path(run.PROJECT).write_text("[project]\nname = 'x'\n", encoding="utf-8")
    run.set_up()
    assert [command for command in calls if "--require-hashes" in command] == []
    assert run.inspect()[0] == "ready"


@pytest.mark.parametrize("missing", ["requirements.lock", "requirements-dev.lock", "pyproject.toml"])
def test_a_missing_file_is_named(run, project, missing):
    (project / missing).unlink()
    with pytest.raises(run.SetupError, match=f"{missing} is missing beside run.py") as caught:
        run.set_up()
    assert f"git checkout {missing}" in str(caught.value)


@pytest.mark.parametrize("uv", [True, False])
def test_what_tests_need_is_added_when_they_are_run_and_only_then(run, environment, calls, monkeypatch, uv):
    (with_uv if uv else without_uv)(run, monkeypatch)
    run.set_up_dev()
    [packages] = [command for command in calls if "--require-hashes" in command]
    assert {"--no-deps", run.DEV_LOCK} <= set(packages)
    assert run.LOCK not in packages
    assert (packages[0] == "uv-here") == uv
    assert run.inspect() == ("ready", "")
    calls.clear()
    run.set_up_dev()
    assert calls == []
    Path(run.PROJECT).write_text("[project]\nname = 'x'\n", encoding="utf-8")
    run.set_up()
    run.set_up_dev()
    assert not any("--require-hashes" in command for command in calls)
    Path(run.DEV_LOCK).write_text("pytest==2.0\n", encoding="utf-8")
    assert run.inspect() == ("ready", "")  # whoever only runs the studies is not concerned
    run.set_up_dev()
    assert any(run.DEV_LOCK in command for command in calls)


def test_a_lock_for_tests_holds_what_the_other_does_not(run, tmp_path):
    one, other = (
        "a==1 ; python_version < '4' \\\n    --hash=sha256:0\n",
        "b==2 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n",
    )
    for name, text in (("both", "# head\n" + one + other), ("part", one)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    run.write_rest(str(tmp_path / "both"), str(tmp_path / "part"), str(tmp_path / "rest"))
    assert (tmp_path / "rest").read_text(encoding="utf-8") == other
    assert run.pins(str(tmp_path / "both")) == 2


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("answer", "rebuilt"), [("y\n", True), ("\n", False), (None, False)])
def test_a_broken_environment_is_made_again_only_when_somebody_agrees(run, environment, monkeypatch, answer, rebuilt):
    Path(run.STAMP).unlink()
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO() if answer is None else Terminal(answer))
    monkeypatch.setattr(sys, "stderr", Terminal())
    built = []
    monkeypatch.setattr(run, "build", built.append)
    if rebuilt:
        run.set_up()
    else:
        with pytest.raises(run.SetupError, match=r"environment is broken: .*\n.*python run\.py --rebuild"):
            run.set_up()
    assert bool(built) == rebuilt


def test_an_environment_that_does_not_start_is_called_broken(run, environment, capsys, monkeypatch):
    monkeypatch.chdir(environment)  # undone at the end: handing over changes the directory
    assert run.main(["methods"]) == 2
    assert "does not start" in (told := capsys.readouterr().err)
    assert "--rebuild" in told


def test_two_at_once_wait_for_each_other(run, project):
    lock = project / ".venv.lock"
    with lock.open("a+b") as first, lock.open("a+b") as second:
        assert run.grab(first)
        assert not run.grab(second)
        first.close()
        assert run.grab(second)


# ------------------------------------------------------------------------------------------------ what is said


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Failed to establish a new connection: [Errno 101] Network is unreachable", "package index cannot be reached"),
        ("error: Request failed\n  cause: dns error", "package index cannot be reached"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "never switch the check off"),
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("Segmentation fault", "A step of the set-up failed"),
    ],
)
def test_a_failure_says_what_was_tried_and_what_to_do(run, said, told):
    text = run.explain(["pip", "install"], said)
    assert told in text
    assert "What to do" in text
    assert "Tried: pip install" in text
    assert said.splitlines()[-1] in text


def test_a_failing_program_is_explained(run, project):
    with pytest.raises(run.SetupError, match="No space left"):
        run.call([sys.executable, "-c", "raise SystemExit('No space left')"])


def test_children_get_the_same_world_on_every_machine(run, monkeypatch):
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME"):
        monkeypatch.setenv(name, "x")
    variables = run.environment()
    assert not {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME"} & set(variables)
    assert variables["PYTHONHASHSEED"] == "0"
    assert variables["OPENBLAS_NUM_THREADS"] == variables["OMP_NUM_THREADS"] == variables["MKL_NUM_THREADS"] == "1"
    assert variables["PATH"].split(os.pathsep)[0] == str(Path(run.venv_python()).parent)


# ------------------------------------------------------------------------------------------------ commands


@pytest.mark.parametrize(
    ("given", "started"),
    [
        ([], ["run"]),
        (["run", "--only", "3_effect"], ["run", "--only", "3_effect"]),
        (["-p", "level=0.9"], ["run", "-p", "level=0.9"]),
        (["verify"], ["verify"]),
        (["--version"], ["--version"]),
        (["--rebuild", "run"], ["run"]),
    ],
)
def test_arguments_reach_the_command(run, monkeypatch, given, started):
    handed = []
    monkeypatch.setattr(run, "set_up", lambda: None)
    monkeypatch.setattr(run, "rebuild", lambda: None)
    monkeypatch.setattr(run, "hand_over", lambda command, *_: handed.append(command) or 0)
    assert run.main(given) == 0
    assert handed == [[run.venv_python(), "-m", "evalaid", *started]]


@pytest.mark.parametrize("given", [["setup"], ["--rebuild"]])
def test_set_up_alone_runs_nothing(run, monkeypatch, given):
    monkeypatch.setattr(run, "set_up", lambda: None)
    monkeypatch.setattr(run, "rebuild", lambda: None)
    monkeypatch.setattr(run, "hand_over", lambda *_: pytest.fail("started something"))
    assert run.main(given) == 0


def test_an_unknown_command_names_the_known_ones(run, capsys):
    assert run.main(["tset"]) == 2
    told = capsys.readouterr().err
    assert "no command 'tset'" in told
    assert "verify" in told


def test_a_file_to_check_is_looked_for_where_the_caller_stands(run, monkeypatch, tmp_path):
    folders = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "hand_over", lambda command, variables, folder: folders.append(folder) or 0)
    run.evalaid(["check", "panel.csv"])
    run.evalaid(["run"])
    assert folders == [str(tmp_path), run.ROOT]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [((0, 0, 0, 0), 0), ((1, 0, 0, 0), 1), ((0, 1, 0, 0), 1), ((0, 0, 1, 0), 1), ((0, 0, 0, 2), 2)],
)
def test_the_tests_style_and_types_are_all_run_and_any_failure_counts(run, monkeypatch, codes, expected):
    started = []
    monkeypatch.setattr(run, "set_up_dev", lambda: None)
    monkeypatch.setattr(
        run.subprocess, "call", lambda command, **_: started.append(command[2:]) or codes[len(started) - 1]
    )
    assert run.test([]) == expected
    assert [command[0] for command in started] == ["pytest", "ruff", "ruff", "mypy"]
    assert started[1:3] == [["ruff", "check"], ["ruff", "format", "--check"]]


@pytest.fixture
def tree(run, project):
    """Tests and modules as they lie in the project: a wing, a folder in it, a file with and one without tests of its own."""
    for path in (
        "tests/did/wild/test_draws.py", "tests/did/test_panel.py", "tests/reading/test_panel.py", "tests/support/makers.py",
        "src/evalaid/did/__init__.py", "src/evalaid/did/panel.py", "src/evalaid/did/wild/ties.py",
    ):  # fmt: skip
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).touch()


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("did", ["tests/did", "src/evalaid/did"]),
        ("wild", ["tests/did/wild", "src/evalaid/did/wild"]),
        ("draws", ["tests/did/wild/test_draws.py"]),
        ("ties", ["tests/did/wild", "src/evalaid/did/wild/ties.py"]),  # no test file of its own: those of its folder
        ("panel", ["tests/did/test_panel.py", "tests/reading/test_panel.py", "src/evalaid/did/panel.py"]),
        ("did/panel", ["tests/did/test_panel.py", "src/evalaid/did/panel.py"]),
        ("./tests/reading/", ["tests/reading"]),
        ("test_draws.py", ["tests/did/wild/test_draws.py"]),
        ("tests/did/test_panel.py", ["tests/did/test_panel.py"]),
        ("tests/did/test_panel.py::test_x", ["tests/did/test_panel.py::test_x"]),
    ],
)
def test_a_name_stands_for_a_wing_a_folder_or_a_file(run, tree, name, paths):
    assert [path.replace(os.sep, "/") for path in run.find_tests(name)] == paths


@pytest.mark.parametrize(
    ("name", "near"), [("panle", " Nearest: panel."), ("xyzxyz", ""), ("support", ""), ("id", " Nearest: did, wild.")]
)
def test_an_unknown_name_names_the_nearest_and_starts_nothing(run, tree, monkeypatch, name, near):
    monkeypatch.setattr(run, "set_up_dev", lambda: None)
    monkeypatch.setattr(run.subprocess, "call", lambda *_, **__: pytest.fail("started something"))
    with pytest.raises(run.SetupError) as caught:
        run.test(["did", name])
    assert f"There are no tests of '{name}'.{near} A name is a wing (did, reading), a folder, or a file" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["draws"], ["tests/did/wild/test_draws.py"]),
        (["draws", "draws", "-k", "wild"], ["tests/did/wild/test_draws.py", "-k", "wild"]),
        (["-k", "did"], ["-k", "did"]),
        (["reading", "-x"], ["-n", "4", "--dist", "loadfile", "tests/reading", "-x"]),
    ],
)
def test_named_tests_are_run_alone(run, tree, monkeypatch, given, expected):
    started = []
    monkeypatch.setattr(run, "set_up_dev", lambda: None)
    monkeypatch.setattr(run.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(run.subprocess, "call", lambda command, **_: started.append(command[2:]) or 0)
    assert run.test(given) == 0
    assert [part.replace(os.sep, "/") for part in started[0]] == ["pytest", *expected]
    assert len(started) == (4 if given[0].startswith("-") else 1)


@pytest.mark.parametrize(("given", "marker"), [(["--slow"], True), ([], False)])
def test_slow_tests_are_asked_for(run, monkeypatch, given, marker):
    started = []
    monkeypatch.setattr(run, "set_up_dev", lambda: None)
    monkeypatch.setattr(run.subprocess, "call", lambda command, **_: started.append(command) or 0)
    run.test(given)
    assert ("slow or not slow" in started[0]) == marker


def test_figures_appear_in_the_lab(run, monkeypatch):
    seen = []
    monkeypatch.setattr(run, "hand_over", lambda command, variables, folder: seen.append(variables) or 0)
    run.lab([])
    assert "MPLBACKEND" not in seen[0]
    assert "MPLBACKEND" in run.environment()


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("command", "module"), [([str(ROOT / "run.py")], "difflib"), (["-m", "evalaid"], "click")])
def test_ctrl_c_while_it_imports_ends_it_without_a_word(tmp_path, command, module):
    (tmp_path / f"{module}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, *command, "--help"], env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_ctrl_c_ends_quietly(run, monkeypatch, capsys):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "set_up", stop)
    assert run.main([]) == 130
    assert "Stopped" in capsys.readouterr().err
