"""No file that git tracks knows a machine or a package index."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tracked_texts():
    """Every tracked text file of the project, with its content."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode("utf-8").split("\0"):
        path = ROOT / name
        if name and path.is_file():
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def test_no_tracked_file_knows_a_machine():
    places = "work|home|Users|root|tmp|opt|mnt"
    absolute = re.compile(rf"""(?:^|[\s"'`(=:])/(?:{places})/|\b[A-Z]:\\{{1,2}}Users\b""", re.MULTILINE)
    found = [f"{name}: {match.group().strip()}" for name, text in tracked_texts() for match in absolute.finditer(text)]
    assert not found, "\n".join(found)


def test_no_tracked_file_holds_the_address_of_a_package_index():
    address = re.compile(r"(?:pypi|pythonhosted)\.(?:org|io)/(?:simple|packages)|--(?:extra-)?index-url[ =]\S")
    found = [name for name, text in tracked_texts() if address.search(text)]
    assert not found
