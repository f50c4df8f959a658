"""No file that git tracks knows a machine or a package index, and none is large or a package."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


LARGEST = 1_000_000  # bytes of a tracked file


def tracked_files():
    """Every tracked file of the project."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [name for name in listed.decode("utf-8").split("\0") if name and (ROOT / name).is_file()]


def tracked_texts():
    """Every tracked text file of the project, with its content."""
    for name in tracked_files():
        try:
            yield name, (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_no_tracked_file_is_large_or_a_package():
    assert [
        name for name in tracked_files() if (ROOT / name).stat().st_size > LARGEST or name.endswith((".whl", ".tar.gz"))
    ] == []


def test_no_tracked_file_knows_a_machine():
    places = "work|home|Users|root|tmp|opt|mnt"
    absolute = re.compile(rf"""(?:^|[\s"'`(=:])/(?:{places})/|\b[A-Z]:\\{{1,2}}Users\b""", re.MULTILINE)
    found = [f"{name}: {match.group().strip()}" for name, text in tracked_texts() for match in absolute.finditer(text)]
    assert not found, "\n".join(found)


def test_no_tracked_file_holds_the_address_of_a_package_index():
    address = re.compile(r"(?:pypi|pythonhosted)\.(?:org|io)/(?:simple|packages)|--(?:extra-)?index-url[ =]\S")
    found = [name for name, text in tracked_texts() if address.search(text)]
    assert not found
