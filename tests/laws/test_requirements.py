"""What the project asks for, what the lock pins, and why each dependency is there."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FILES = ("requirements", "requirements-dev")
ASKED_BY = {
    name: [line for line in (ROOT / f"{name}.in").read_text(encoding="utf-8").splitlines() if line[:1].isalpha()]
    for name in FILES
}
ASKED = [line for name in FILES for line in ASKED_BY[name]]
LOCKS = {name: (ROOT / f"{name}.lock").read_text(encoding="utf-8") for name in FILES}
LOCK = "\n".join(text.strip() for text in LOCKS.values())
PINS = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", LOCK, re.MULTILINE))


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_has_a_reason():
    without = {line.strip() for line in ASKED if "#" not in line}
    assert without <= {"pytest"}, "write the reason behind the name"


def test_every_requirement_is_pinned_once():
    named = {canonical(Requirement(line.split("#")[0]).name) for line in ASKED}
    assert named <= set(PINS)
    versions = set(
        re.findall(r"^([\w.-]+)==([^\s;]+)", LOCK, re.MULTILINE)
    )  # both locks may hold one, for other platforms
    assert len(versions) == len(PINS), "one version for every Python and platform"


def test_every_pin_has_hashes_and_no_address():
    for pin in re.split(r"\n(?=\w)", LOCK.strip()):
        assert "--hash=sha256:" in pin, pin.splitlines()[0]
    assert "://" not in LOCK


def test_the_lock_satisfies_what_the_package_asks_for():
    build = PROJECT["build-system"]["requires"]
    for requirement in map(Requirement, (*PROJECT["project"]["dependencies"], *build)):
        assert requirement.specifier.contains(PINS[canonical(requirement.name)]), requirement


def test_what_the_package_asks_for_is_asked_for_with_a_reason():
    named = {canonical(Requirement(line.split("#")[0]).name) for line in ASKED}
    assert {canonical(Requirement(line).name) for line in PROJECT["project"]["dependencies"]} <= named


def test_what_a_reader_installs_holds_nothing_for_tests():
    for name in FILES:
        asked = {canonical(Requirement(line.split("#")[0]).name) for line in ASKED_BY[name]}
        assert asked <= set(re.findall(r"^([\w.-]+)==", LOCKS[name], re.MULTILINE)), name


def test_every_action_of_a_workflow_is_pinned_by_its_commit():
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    used = re.findall(r"uses:\s*(\S+)", "\n".join(path.read_text(encoding="utf-8") for path in workflows))
    assert used
    assert all(re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action) for action in used), used
