"""Results of notebooks by the content that they were made from: an entry is found again only when nothing changed.

An entry is a folder of files with their hashes. It is made aside and put in place in one step; one that is damaged counts as
none and is removed; two runs at once may store the same entry, and both have the same content. The folder may be deleted.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalaid.base.errors import DAMAGED
from evalaid.base.project import project_root
from evalaid.running.kept.closure import hash_closure
from evalaid.study.manifest import hash_file, hash_value

CACHE = Path(".evalaid") / "cache"
_ENTRY = "entry.json"
_KEPT = 4  # entries of one notebook of one study


def key_of(notebook: Path, parameters: Mapping[str, Any], surroundings: Mapping[str, str]) -> str:
    """Return the key of a notebook's results: its source, its parameters, data and surroundings, the modules that it imports."""
    return hash_value(
        [notebook.stem, hash_file(notebook), dict(parameters), dict(surroundings), hash_closure(notebook)]
    )


def restore(study: str, notebook: str, key: str, folder: Path) -> bool:
    """Copy an entry into a folder and return whether there was a sound one."""
    entry = _place(study, notebook) / key
    try:
        files: dict[str, str] = json.loads((entry / _ENTRY).read_text(encoding="utf-8"))
        if set(files) != set(_files(entry)) - {_ENTRY} or any(hash_file(entry / f) != h for f, h in files.items()):
            raise ValueError
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(entry / name, folder / name)
        os.utime(entry)
    except (OSError, *DAMAGED):  # none, damaged, or being removed by another run
        shutil.rmtree(entry, ignore_errors=True)
        return False
    return True


def store(study: str, notebook: str, key: str, folder: Path) -> None:
    """Store the files of a folder; without room or right to write there is no entry, and no error."""
    place = _place(study, notebook)
    aside = None
    try:
        place.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=place))
        files = {}
        for name in _files(folder):
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, aside / name)
            files[name] = hash_file(aside / name)
        (aside / _ENTRY).write_text(json.dumps(files, sort_keys=True), encoding="utf-8")
        aside.rename(place / key)
        _forget_old(place)
    except OSError:  # no room, no right, or another run stored the same entry
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)


def remember_seconds(study: str, notebook: str, seconds: float) -> None:
    """Note how long a notebook took, so that the slowest goes first next time."""
    try:
        _place(study, notebook).mkdir(parents=True, exist_ok=True)
        (_place(study, notebook) / ".seconds").write_text(f"{seconds:.1f}\n", encoding="utf-8")
    except OSError:
        return


def expected_seconds(study: str, notebook: str) -> float:
    """Return how long a notebook took last time; for one that never ran a guess: what looks for weaknesses takes longest."""
    try:
        return float((_place(study, notebook) / ".seconds").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"4_robustness": 40.0, "4_recovery": 30.0, "3_effect": 5.0}.get(notebook, 2.0)


def _place(study: str, notebook: str) -> Path:
    return project_root() / CACHE / study / notebook


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _forget_old(place: Path) -> None:
    entries = sorted(
        (path for path in place.iterdir() if (path / _ENTRY).is_file()), key=lambda path: path.stat().st_mtime
    )
    for path in entries[:-_KEPT]:
        shutil.rmtree(path, ignore_errors=True)
