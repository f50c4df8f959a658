"""Set evalaid up and run it, from any directory: `python run.py` reproduces the studies, `python run.py --help` lists the rest.

Standard library only. The file must stay readable for Python 3.7, so that an old interpreter can say what is missing.
"""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while this imports ends it without a word

import concurrent.futures
import contextlib
import difflib
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
LOCK = os.path.join(ROOT, "requirements.lock")
DEV_LOCK = os.path.join(ROOT, "requirements-dev.lock")  # what tests, style and types need beside it
PROJECT = os.path.join(ROOT, "pyproject.toml")
STAMP = os.path.join(VENV, "evalaid-setup.json")  # written last: no stamp, no environment
UNFINISHED = os.path.join(VENV, "evalaid-unfinished")  # written first
OLDEST = (3, 11)
LOOK_FOR = ("3.13", "3.12", "3.11", "3.14")  # the tested ones first
RECIPE = 2  # raise it when the steps below change, and every environment is made again
WINDOWS = os.name == "nt"

HELP = """\
python run.py [COMMAND] [ARGUMENTS]

  run [STUDY ...]     run the studies and write reports/ (the default; arguments go to `evalaid run`)
  verify [STUDY ...]  run again in a temporary folder and hold every number against the committed ones
  test [NAME ...]     pytest, then ruff (rules and format) and mypy; with names only the tests of these wings, folders or files:
                      `test roster`, `test did -k wild`; --slow adds the slow tests, other options go to pytest
  lab                 JupyterLab on notebooks/ with the project's kernel
  bench               time the estimators (benchmarks/bench.py)
  docs                build the documentation site in site/; `docs --serve` shows it while pages are written
  coverage            simulate how often each interval holds the effect (writes docs/coverage.md)
  lock                refresh both locks from requirements.in and requirements-dev.in; --upgrade takes the newest versions
  new NAME --panel FILE --roster FILE
                      make a study of your own files
  accept | archive | check | compare | design | init | methods | slurm | task | tasks | why
  --version
                      the other commands of `evalaid`
  exec PROGRAM ...    any program of the environment
  setup               only make the environment
  --rebuild           make .venv again from nothing, before the command if there is one
  --help              this text

The first call makes .venv beside run.py from requirements.lock (with uv when it is on PATH, else with pip);
later calls start at once; `test` adds what is in requirements-dev.lock. Needs Python 3.11 or newer and about 1.2 GB of disk."""

EVALAID_COMMANDS = (
    "run", "verify", "accept", "archive", "check", "compare", "design", "init", "methods", "new", "slurm", "task",
    "tasks", "why", "--version",
)  # fmt: skip
# Their files are looked for there.
WHERE_THE_CALLER_STANDS = ("archive", "check", "compare", "new", "slurm", "task", "tasks")

# What a study imports: the sciences in one process, notebooks, pages and tables in another.
USED = (
    "statsmodels.api, seaborn, scipy.interpolate, scipy.sparse.linalg",
    "sys; sys.modules['rfc3987_syntax'] = None; import papermill, nbclient, ipykernel.kernelapp, nbconvert, duckdb, pandera, rich, pydantic",
)

NO_NETWORK = (
    "could not connect",
    "connection refused",
    "connection reset",
    "connect timeout",
    "dns error",
    "error sending request",
    "failed to establish a new connection",
    "getaddrinfo failed",
    "max retries exceeded",
    "name or service not known",
    "network is unreachable",
    "network connectivity is disabled",
    "nodename nor servname",
    "proxyerror",
    "read timed out",
    "temporary failure in name resolution",
    "tunnel connection failed",
)
WRONG_HASH = ("do not match the hashes", "hash mismatch")
NO_SPACE = ("no space left", "not enough space", "disk quota exceeded")


class SetupError(Exception):
    """Something a person has to do before evalaid can run; the message says what."""


# ---------------------------------------------------------------- which Python


def version_of(command: Sequence[str]) -> Optional[Tuple[int, int]]:
    """Return (major, minor) of the interpreter that `command` starts, or None when it does not start."""
    try:
        printed = subprocess.run(
            [*command, "-c", "import sys; print(*sys.version_info[:2])"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=30,
        ).stdout
        major, minor = printed.split()
        return int(major), int(minor)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def find_python() -> List[str]:
    """Return the command of a Python that is new enough, or raise with what was tried and what to do."""
    tried = []
    for version in LOOK_FOR:
        name = "python" + version
        tried.append(name)
        path = shutil.which(name)
        if path and (version_of([path]) or (0, 0)) >= OLDEST:
            return [path]
        if WINDOWS and shutil.which("py"):
            tried.append("py -" + version)
            if (version_of(["py", "-" + version]) or (0, 0)) >= OLDEST:
                return ["py", "-" + version]
    message = (
        "evalaid needs Python 3.11 or newer. This is Python {} ({}), and none of {} works here.\n"
        "What to do: install Python 3.13 from python.org, your system's packages or conda, then `python3.13 run.py`."
    ).format(".".join(map(str, sys.version_info[:3])), sys.executable, ", ".join(tried))
    if shutil.which("uv"):
        message += "\nuv is here and can bring one: `uv run --no-project --python 3.13 run.py`."
    raise SetupError(message)


def start_again(command: List[str], arguments: List[str]) -> int:
    """Run this file with another interpreter."""
    say("Python {} is too old; going on with {}.".format(".".join(map(str, sys.version_info[:2])), " ".join(command)))
    return hand_over([*command, os.path.abspath(__file__), *arguments], os.environ.copy(), os.getcwd())


# ---------------------------------------------------------------- what there is


def venv_python(venv: Optional[str] = None) -> str:
    """Return the path of the environment's interpreter."""
    return os.path.join(venv or VENV, *(("Scripts", "python.exe") if WINDOWS else ("bin", "python")))


def site_packages(venv: str, python: str) -> str:
    """Return where the environment of Python `python` ("3.11") keeps its packages."""
    return os.path.join(venv, "Lib" if WINDOWS else os.path.join("lib", "python" + python), "site-packages")


def sha256(path: str) -> str:
    """Return the sha256 of a file as hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def this_python() -> str:
    """Return the running version as "3.11"."""
    return ".".join(map(str, sys.version_info[:2]))


def distributions(folder: str) -> List[str]:
    """Return the names of the installed distributions, with versions."""
    try:
        return sorted(name[: -len(".dist-info")] for name in os.listdir(folder) if name.endswith(".dist-info"))
    except OSError:
        return []


def inspect() -> Tuple[str, str]:
    """Return the state of .venv and the reason.

    "ready", "absent", "unfinished" (a set-up was interrupted), "outdated" (the lock, the Python or the folder changed),
    "project" (only pyproject.toml changed) or "broken" (nothing that run.py did explains it).
    """
    if not os.path.lexists(VENV):
        return "absent", "there is no .venv yet"
    if os.path.exists(UNFINISHED):
        return "unfinished", "the last set-up was interrupted"
    try:
        with open(STAMP, encoding="utf-8") as stream:
            stamp = json.load(stream)
        made_from = stamp["recipe"], stamp["root"], stamp["python"], stamp["lock"]
        project, installed = stamp["project"], stamp["distributions"]
    except (OSError, ValueError, KeyError, TypeError):
        return "broken", ".venv was not made by run.py, or its stamp is damaged"
    if made_from[2] != this_python():
        return "outdated", f"it was made with Python {made_from[2]}, this is {this_python()}"
    if made_from[3] != sha256(LOCK):
        return "outdated", "requirements.lock has changed"
    if made_from != (RECIPE, ROOT, this_python(), sha256(LOCK)):
        return "outdated", "the folder was moved or run.py has changed"
    if not os.path.isfile(venv_python()):
        return "broken", f"its Python is gone ({os.path.relpath(venv_python(), ROOT)})"
    missing = sorted(set(installed) - set(distributions(site_packages(VENV, made_from[2]))))
    if missing:
        return "broken", "packages are missing: " + ", ".join(missing[:5]) + (" ..." if missing[5:] else "")
    if project != sha256(PROJECT):
        return "project", "pyproject.toml has changed"
    return "ready", ""


# ---------------------------------------------------------------- make the environment


def say(text: str) -> None:
    """Tell the person at the terminal; standard output is left to the command."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Say what is being done and how long it took."""
    sys.stderr.write(f"  {text} ... ")
    sys.stderr.flush()
    start = time.monotonic()
    try:
        yield
    except BaseException:
        sys.stderr.write(f"stopped after {time.monotonic() - start:.1f} s\n")
        raise
    say(f"{time.monotonic() - start:.1f} s")


def environment(venv: Optional[str] = None) -> Dict[str, str]:
    """Return the variables for everything that runs in the environment.

    One thread for linear algebra and a fixed hash seed: the same machine gives the same bytes twice. Byte code is
    written, since imports without it take three times as long in every kernel.
    """
    variables = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "PIP_PREFIX", "PIP_TARGET")
    }
    variables.update(
        PYTHONHASHSEED="0",
        PYTHONUTF8="1",
        PIP_USER="0",
        MPLBACKEND="Agg",
        OPENBLAS_NUM_THREADS="1",
        MKL_NUM_THREADS="1",
        OMP_NUM_THREADS="1",
        VIRTUAL_ENV=venv or VENV,
        PATH=os.path.dirname(venv_python(venv)) + os.pathsep + os.environ.get("PATH", os.defpath),
    )
    return variables


def call(command: Sequence[str], venv: Optional[str] = None) -> str:
    """Run a program quietly and return what it printed; raise with the reason when it fails."""
    try:
        done = subprocess.run(
            list(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment(venv),
            check=False,
        )
    except OSError as error:
        raise SetupError(f"{command[0]} does not start: {error}.") from error
    printed = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        raise SetupError(explain(command, printed))
    return printed


def explain(command: Sequence[str], printed: str) -> str:
    """Return what went wrong in an installer's output, what was tried, and what to do."""
    lower = printed.lower()
    tail = "\n".join("    " + line for line in printed.strip().splitlines()[-12:])
    tried = "Tried: {}\nIt said:\n{}".format(" ".join(command), tail or "    (nothing)")
    if any(sign in lower for sign in WRONG_HASH):
        return (
            "A downloaded package is not the one that requirements.lock was made with, so it was not installed.\n"
            "What to do: try again on another network or without a package mirror; never switch the check off.\n"
        ) + tried
    if any(sign in lower for sign in NO_SPACE):
        return "The disk is full: .venv needs about 1.2 GB.\nWhat to do: make room, then run again.\n" + tried
    if any(sign in lower for sign in NO_NETWORK):
        return (
            "The package index cannot be reached: no network, or a proxy or mirror that is not set up.\n"
            "What to do: connect, or set HTTPS_PROXY, or name your mirror in PIP_INDEX_URL (pip) or UV_DEFAULT_INDEX\n"
            "(uv), then run the same command again. Once .venv is made, no network is needed.\n"
        ) + tried
    return "A step of the set-up failed.\nWhat to do: see below; `python run.py --rebuild` starts afresh.\n" + tried


def add_packages(uv: Optional[str]) -> None:
    """Install exactly what requirements.lock names, hashes checked, and the project itself without a network."""
    if uv:
        with step("{} packages with uv".format(pins(LOCK))):
            call([uv, "pip", "sync", "--require-hashes", "--python", venv_python(), LOCK])
    else:
        with step("pip"):
            add_pip()
        with step("{} packages with pip (no uv on PATH: a minute or two)".format(pins(LOCK))):
            install_with_pip(LOCK)


def add_dev_packages(uv: Optional[str]) -> None:
    """Install what requirements-dev.lock names, beside what is there."""
    with step("{} packages for tests, style and types".format(pins(DEV_LOCK))):
        if uv:
            call([uv, "pip", "install", "--require-hashes", "--no-deps", "--python", venv_python(), "-r", DEV_LOCK])
        else:
            if not os.path.isdir(os.path.join(site_packages(VENV, this_python()), "pip")):
                add_pip()
            install_with_pip(DEV_LOCK)


def install_with_pip(path: str) -> None:
    """Install exactly what a lock names, hashes checked."""
    options = ["--require-hashes", "--no-deps", "--no-compile", "--progress-bar", "off"]
    call([venv_python(), "-m", "pip", "install", *options, "-r", path])


def pins(path: str) -> int:
    """Return how many packages a lock names; some are for other systems."""
    with open(path, encoding="utf-8") as stream:
        return sum("==" in line and not line.startswith((" ", "#")) for line in stream)


def add_project(uv: Optional[str]) -> None:
    """Put src/ on the environment's path and the `evalaid` command beside its Python."""
    python = venv_python()
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--editable", ROOT]
    if uv:
        call([uv, "pip", "install", "--python", python, *options])
    else:
        if not os.path.isdir(os.path.join(site_packages(VENV, this_python()), "pip")):
            add_pip()
        call([python, "-m", "pip", "install", *options])
    # Up to Python 3.12 an absolute path with letters outside the Windows code page is misread; a relative one has none.
    folder = site_packages(VENV, this_python())
    with open(os.path.join(folder, "evalaid-source.pth"), "w", encoding="ascii") as stream:
        stream.write(os.path.relpath(os.path.join(ROOT, "src"), folder) + "\n")


def add_pip() -> None:
    """Put pip into the environment from the copy that Python brings along."""
    try:
        call([venv_python(), "-m", "ensurepip", "--default-pip"])
    except SetupError as error:
        raise SetupError(
            "This Python comes without pip, and uv is not on PATH.\n"
            "What to do: install one of them (on Debian and Ubuntu: `apt install python3-venv`), then run again.\n"
            + str(error)
        ) from error


def add_kernel() -> None:
    """Register the project's Jupyter kernel inside the environment, nowhere else on the machine."""
    folder = os.path.join(VENV, "share", "jupyter", "kernels", "evalaid")
    os.makedirs(folder, exist_ok=True)
    names = ("PYTHONHASHSEED", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    kernel = {
        "argv": [venv_python(), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "evalaid",
        "language": "python",
        "env": {name: environment()[name] for name in names},
        "metadata": {"debugger": True},
    }
    with open(os.path.join(folder, "kernel.json"), "w", encoding="utf-8") as stream:
        json.dump(kernel, stream, indent=1)


def compile_packages() -> None:
    """Import what a study imports, in two processes: that writes the byte code of what is used, and of nothing else."""
    with contextlib.suppress(SetupError), concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(call, [[venv_python(), "-c", "import " + names] for names in USED]))


def build(why: str) -> None:
    """Make .venv from nothing. Interrupted at any point, it leaves a mark and the next call begins again."""
    start = time.monotonic()
    say(f"Making .venv with Python {this_python()}: {why}.")
    with contextlib.suppress(OSError):
        os.remove(STAMP)
    if os.path.lexists(VENV):
        with step("removing the old one"):
            remove(VENV)
    os.makedirs(VENV)
    with open(UNFINISHED, "w", encoding="ascii") as stream:
        stream.write("run.py was making this environment\n")
    with step("environment"):
        # The base interpreter: run.py may have been started with the very .venv that is being made again.
        base = str(getattr(sys, "_base_executable", "") or sys.executable)
        call([base, "-m", "venv", "--without-pip", VENV])
    uv = shutil.which("uv")
    try:
        add_packages(uv)
    except SetupError as error:
        known = any(sign in str(error).lower() for sign in (*NO_NETWORK, *WRONG_HASH, *NO_SPACE))
        if not uv or known:
            raise
        say("  uv did not manage (too old?); trying pip.")
        uv = None
        add_packages(uv)
    with step("evalaid itself"):
        add_project(uv)
        add_kernel()
    with step("byte code"):
        compile_packages()
    write_stamp()
    os.remove(UNFINISHED)
    say(f"Ready after {time.monotonic() - start:.0f} s.")


def remove(path: str) -> None:
    """Delete an environment, or say who holds it."""
    try:
        if os.path.islink(path) or os.path.isfile(path):
            os.remove(path)
        else:
            shutil.rmtree(path)
    except OSError as error:
        raise SetupError(
            f"The old .venv cannot be removed: {error}.\n"
            "What to do: close what uses it (JupyterLab, an editor, a terminal), delete .venv, run again."
        ) from error


def write_stamp(dev: str = "") -> None:
    """Record what the environment was made from; the file appears whole or not at all."""
    stamp: Dict[str, Any] = {
        "recipe": RECIPE,
        "root": ROOT,
        "python": this_python(),
        "lock": sha256(LOCK),
        "dev": dev,
        "project": sha256(PROJECT),
        "distributions": distributions(site_packages(VENV, this_python())),
    }
    with open(STAMP + ".new", "w", encoding="utf-8") as stream:
        json.dump(stamp, stream, indent=1)
    os.replace(STAMP + ".new", STAMP)


def recorded_dev() -> str:
    """Return the hash of the lock that the packages for tests were installed from; empty when they were not."""
    try:
        with open(STAMP, encoding="utf-8") as stream:
            return str(json.load(stream)["dev"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def set_up_dev() -> None:
    """Leave what tests, style and types need in a working .venv."""
    if recorded_dev() == sha256(DEV_LOCK):
        return
    with only_one():
        add_dev_packages(shutil.which("uv"))
        write_stamp(sha256(DEV_LOCK))


def grab(handle: Any) -> bool:
    """Take the operating system's lock on an open file; it is released when the process ends, however it ends."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
    else:
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Let one run.py at a time make the environment; the others wait."""
    try:
        handle = open(VENV + ".lock", "a+b")  # noqa: SIM115
    except OSError as error:
        raise SetupError(f"Cannot write beside run.py ({error}). Copy the project to a folder of your own.") from error
    with handle:
        told = False
        while not grab(handle):
            if not told:
                say("Another run.py is making .venv in this folder; waiting for it.")
                told = True
            time.sleep(0.2)
        yield


def agreed(question: str) -> bool:
    """Ask, when there is somebody to ask."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()) or os.environ.get("CI"):
        return False
    sys.stderr.write(question + " [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def check_inputs() -> None:
    """Raise when a file that the environment is made from is missing."""
    for path, other in ((LOCK, ", or `python run.py lock`"), (DEV_LOCK, ", or `python run.py lock`"), (PROJECT, "")):
        if not os.path.isfile(path):
            name = os.path.basename(path)
            raise SetupError(
                f"{name} is missing beside run.py, so the environment cannot be made as published.\n"
                f"What to do: `git checkout {name}`{other}."
            )


def set_up() -> None:
    """Leave a working .venv behind, or raise with what to do. Costs a few milliseconds when there is one."""
    check_inputs()
    state, why = inspect()
    if state == "ready":
        return
    if state == "broken":
        if not agreed(f"The environment is broken: {why}. Make .venv again?"):
            raise SetupError(f"The environment is broken: {why}.\nWhat to do: `python run.py --rebuild`.")
        rebuild()
        return
    with only_one():
        state, why = inspect()  # another run.py may have made it meanwhile
        if state == "project":
            with step(f"evalaid itself ({why})"):
                add_project(shutil.which("uv"))
                write_stamp(recorded_dev())
        elif state != "ready":
            build(why)


def rebuild() -> None:
    """Make .venv again from nothing."""
    check_inputs()
    with only_one():
        build("asked to make it again")


# ---------------------------------------------------------------- commands


def hand_over(command: List[str], variables: Dict[str, str], folder: str) -> int:
    """Become another program (so that signals reach it), or on Windows wait for it."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if not WINDOWS:
            os.chdir(folder)
            os.execve(command[0], command, variables)
        return subprocess.call(command, env=variables, cwd=folder)
    except OSError as error:
        raise SetupError(
            f"The environment is broken: {command[0]} does not start ({error}).\nWhat to do: `python run.py --rebuild`."
        ) from error


def evalaid(arguments: List[str]) -> int:
    """Hand over to the `evalaid` command; the file that `check` is given is looked for where the caller stands."""
    folder = os.getcwd() if arguments[0] in WHERE_THE_CALLER_STANDS else ROOT
    return hand_over([venv_python(), "-m", "evalaid", *arguments], environment(), folder)


def test(arguments: List[str]) -> int:
    """Run the tests that are named; without a name run all of them, ruff (rules, then format) and mypy, whichever fails."""
    set_up_dev()
    chosen = [argument for argument in arguments if argument != "--slow"]
    names = list(itertools.takewhile(lambda argument: not argument.startswith("-"), chosen))
    paths = [path for name in names for path in find_tests(name)]
    options = ["-m", "slow or not slow"] if "--slow" in arguments else []
    if not chosen or any(os.path.isdir(os.path.join(ROOT, path)) for path in paths):
        # one worker a core; a test file stays together: its fixtures are made once
        options += ["-n", str(min(4, os.cpu_count() or 1)), "--dist", "loadfile"]
    checks = [("pytest", ["pytest", *options, *dict.fromkeys(paths), *chosen[len(names) :]])]
    if not names:
        checks += [("ruff", ["ruff", "check"]), ("format", ["ruff", "format", "--check"]), ("mypy", ["mypy"])]
    verdicts = []
    for name, command in checks:
        start = time.monotonic()
        code = subprocess.call([venv_python(), "-m", *command], env=environment(), cwd=ROOT)
        verdicts.append((name, code, time.monotonic() - start))
    say("  ".join("{} {} ({:.0f} s)".format(name, "failed" if code else "ok", took) for name, code, took in verdicts))
    return max(abs(code) for _, code, _ in verdicts)


def find_tests(name: str) -> List[str]:
    """Return what a name stands for: the folders, test files and modules (for their examples) of tests/ and src/ that bear it.

    A name is the end of a path without `test_` and `.py`: "roster", "inference", "did/inference", "tests/did/panel/test_design.py".
    A module without a test file of its own brings the tests of the folder that mirrors its own. One test ("FILE::NAME") is left
    as it is.
    """
    if "::" in name:
        return [name]
    tests, modules = nameable("tests"), nameable(os.path.join("src", "evalaid"))
    wanted = plain(os.path.normpath(name))
    found = [[path for path in paths if ("/" + plain(path)).endswith("/" + wanted)] for paths in (tests, modules)]
    if not any(found):
        known = sorted({plain(path).rpartition("/")[2] for path in tests + modules})
        near = difflib.get_close_matches(wanted.rpartition("/")[2], known, 3)
        wings = ", ".join(sorted(path.split(os.sep)[1] for path in tests if path.count(os.sep) == 1))
        raise SetupError(
            "There are no tests of {!r}.{} A name is a wing ({}), a folder, or a file of tests or src.".format(
                name, " Nearest: " + ", ".join(near) + "." if near else "", wings
            )
        )
    if not found[0]:
        found[0] = [mirror(path, tests) for path in found[1]]
    return found[0] + found[1]


def nameable(top: str) -> List[str]:
    """Return the folders and Python files below a folder of the project whose tests can be asked for by name."""
    paths = [top]
    for folder, folders, files in os.walk(os.path.join(ROOT, top)):
        folders[:] = sorted(set(folders) - {"__pycache__", "golden", "support"})
        wanted = [file for file in sorted(files) if file.endswith(".py") and file not in ("__init__.py", "conftest.py")]
        paths += [os.path.relpath(os.path.join(folder, file), ROOT) for file in [*folders, *wanted]]
    return paths


def plain(path: str) -> str:
    """Return a path as people name it: "tests/programme/test_roster.py" is "tests/programme/roster"."""
    folder, _, file = path.replace(os.sep, "/").rstrip("/").rpartition("/")
    file = file[: -len(".py")] if file.endswith(".py") else file
    file = file[len("test_") :] if file.startswith("test_") else file
    return folder + "/" + file if folder else file


def mirror(path: str, tests: Sequence[str]) -> str:
    """Return the deepest folder of tests that mirrors where a module lies."""
    parts = path.split(os.sep)[2:-1]
    while parts and os.path.join("tests", *parts) not in tests:
        parts.pop()
    return os.path.join("tests", *parts)


def lab(arguments: List[str]) -> int:
    """Open JupyterLab at notebooks/; figures appear in the notebook, so the backend is left to the kernel."""
    variables = environment()
    del variables["MPLBACKEND"]
    options = ["--ServerApp.root_dir=" + ROOT, "--LabApp.default_url=/lab/tree/notebooks"]
    options.append("--MultiKernelManager.default_kernel_name=evalaid")
    return hand_over([venv_python(), "-m", "jupyterlab", *options, *arguments], variables, ROOT)


def docs(arguments: List[str]) -> int:
    """Build the documentation site; a broken link or an example that fails stops it. With --serve show it as it is written."""
    set_up_dev()
    variables = dict(environment(), NO_MKDOCS_2_WARNING="1")
    serve = "--serve" in arguments
    command = ["serve"] if serve else ["build", "--strict", "--quiet"]
    others = [argument for argument in arguments if argument != "--serve"]
    if serve or others:
        return hand_over([venv_python(), "-m", "mkdocs", *command, *others], variables, ROOT)
    with step("building the documentation"):
        code = subprocess.call([venv_python(), "-m", "mkdocs", *command], env=variables, cwd=ROOT)
    say("The documentation failed." if code else "Documentation: site/index.html")
    return code


def bench(arguments: List[str]) -> int:
    """Run the benchmarks."""
    return run_script("bench.py", arguments)


def coverage(arguments: List[str]) -> int:
    """Run the simulation of intervals."""
    return run_script("simulate_coverage.py", arguments)


def run_script(name: str, arguments: List[str]) -> int:
    """Run one of the scripts beside the project."""
    script = os.path.join(ROOT, "benchmarks", name)
    if not os.path.isfile(script):
        raise SetupError("benchmarks/{} is missing.\nWhat to do: `git checkout benchmarks`.".format(name))
    return hand_over([venv_python(), script, *arguments], environment(), ROOT)


def run_program(arguments: List[str]) -> int:
    """Run any program of the environment."""
    if not arguments:
        raise SetupError("exec needs a program: `python run.py exec ruff check`.")
    path = shutil.which(arguments[0], path=environment()["PATH"])
    if not path:
        raise SetupError(f"There is no program {arguments[0]!r} in .venv or on PATH.")
    return hand_over([path, *arguments[1:]], environment(), ROOT)


def lock(arguments: List[str]) -> int:
    """Write both locks: every version and hash, for all platforms, and no address of a package index."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="evalaid-lock-") as folder:
        uv = shutil.which("uv")
        if not uv:
            with step("uv, for this once"):
                call([sys.executable, "-m", "venv", folder], venv=folder)
                call([venv_python(folder), "-m", "pip", "install", "--quiet", "uv"], venv=folder)
            uv = os.path.join(os.path.dirname(venv_python(folder)), "uv.exe" if WINDOWS else "uv")
        options = "--generate-hashes --no-emit-index-url --no-annotate --no-header --universal --fork-strategy fewest"
        command = [uv, "pip", "compile", "--quiet", *options.split(), *arguments, "--python-version", "3.11"]
        with step("resolving"):
            call([*command, "requirements.in", "-o", LOCK], venv=folder)
            both = os.path.join(folder, "both.lock")
            call([*command, "requirements.in", "requirements-dev.in", "-c", LOCK, "-o", both], venv=folder)
        write_rest(both, LOCK, DEV_LOCK)
    say("requirements.lock: {} pins; requirements-dev.lock: {} more.".format(pins(LOCK), pins(DEV_LOCK)))
    return 0


def write_rest(both: str, part: str, rest: str) -> None:
    """Write the pins of one lock that another does not have."""
    with open(both, encoding="utf-8") as one, open(part, encoding="utf-8") as two:
        blocks, known = blocks_of(one.read()), set(blocks_of(two.read()))
    with open(rest, "w", encoding="utf-8") as stream:
        stream.write("".join(block + "\n" for block in blocks if block not in known))


def blocks_of(text: str) -> List[str]:
    """Return the pins of a lock, each with its hashes."""
    lines: List[str] = []
    for line in text.splitlines():
        if line.startswith((" ", "\t")) and lines:
            lines[-1] += "\n" + line
        elif line and not line.startswith("#"):
            lines.append(line)
    return lines


COMMANDS = {"test": test, "lab": lab, "docs": docs, "bench": bench, "coverage": coverage, "exec": run_program}


def main(arguments: List[str]) -> int:
    """Carry out one command and return its exit code; 2 means that the set-up needs a person."""
    try:
        if any(word in ("--help", "-h", "help") for word in arguments[:1]):
            print(HELP)
            return 0
        if sys.version_info[:2] < OLDEST:
            return start_again(find_python(), arguments)
        again = arguments[:1] == ["--rebuild"]
        given = arguments[1:] if again else arguments
        command = given[0] if given else ("setup" if again else "run")
        if command.startswith("-") and command not in EVALAID_COMMANDS:
            command, given = "run", ["run", *given]  # options alone are options of the main job
        if command == "lock":
            return lock(given[1:])
        if command not in (*EVALAID_COMMANDS, *COMMANDS, "setup"):
            raise SetupError(f"There is no command {command!r}.\n\n{HELP}")
        if again:
            rebuild()
        else:
            set_up()
        if command == "setup":
            say(f"The environment is ready: {os.path.relpath(VENV)}")
            return 0
        return COMMANDS[command](given[1:]) if command in COMMANDS else evalaid(given or ["run"])
    except SetupError as error:
        say(f"run.py: {error}")
        return 2
    except KeyboardInterrupt:
        say("\nStopped. Run the same command again; a half-made .venv is made anew.")
        return 130


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
