"""Which files of this package a notebook depends on: the modules that it imports, those that they import, and their data.

Imports are read from the source, those inside functions included, so nothing is imported here. Whoever imports the package's
front may use anything, and depends on everything. Templates of pages are no part of what a notebook computes.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from evalaid.base.errors import DAMAGED, NotebookError

# Two threads that parse at once make Python 3.11 raise a SystemError now and then: its parser counts depth for all of them.
_PARSING = threading.Lock()
PACKAGE = Path(__file__).parents[2]
_TOP = PACKAGE.name
_IMPORT = re.compile(rf"^[ \t]*((?:from|import) {_TOP}\b(?:[^\n(]*\([^)]*\)|[^\n]*))", re.MULTILINE)
_OF_PAGES = {".css", ".html", ".js"}
_BYTE_CODE = (".pyc", ".pyo")


def hash_files(paths: Iterable[Path], root: Path) -> str:
    """Return one sha256 of files, by their paths below ``root`` and their bytes."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def package_files() -> list[Path]:
    """Return the files of this package."""
    return [Path(entry.path) for entry in _entries(PACKAGE)]


def package_state() -> dict[str, tuple[int, int]]:
    """Return when each file of this package was last written, and its size: that shows in a moment whether one changed."""
    return {entry.path: (entry.stat().st_mtime_ns, entry.stat().st_size) for entry in _entries(PACKAGE)}


def _entries(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Yield the files below a folder, byte code left out."""
    for entry in os.scandir(folder):
        if not entry.is_dir():
            if not entry.name.endswith(_BYTE_CODE):
                yield entry
        elif entry.name != "__pycache__":
            yield from _entries(entry.path)


def hash_package() -> str:
    """Return one sha256 of this package's files."""
    return hash_files(package_files(), PACKAGE)


def hash_closure(notebook: Path) -> str:
    """Return one sha256 of the files of this package that a notebook depends on."""
    files = {path for path in package_files() if path.suffix != ".py" and path.suffix not in _OF_PAGES}
    modules = modules_of(notebook)
    return hash_files(files | {path for name, path in _modules().items() if name in modules}, PACKAGE)


def modules_of(notebook: Path) -> set[str]:
    """Return the modules of this package that a notebook imports, directly or not, inside functions or not."""
    known, found = _modules(), set[str]()
    waiting = list(imported_by_notebook(notebook))
    if _front_used(waiting, known):
        return set(known)
    while waiting:
        name = waiting.pop()
        if name in found or name not in known:
            continue
        found.add(name)
        if name != _TOP:  # the front loads its names when they are first used
            waiting += [name.rpartition(".")[0], *_imported_by(known[name])]
    return found


def _front_used(names: Iterable[str], known: Mapping[str, Path]) -> bool:
    """Return whether a notebook imports the front, or a name from it that is no module."""
    return any(name == _TOP or (name.count(".") == 1 and name not in known) for name in names)


def _modules() -> Mapping[str, Path]:
    names = {}
    for path in PACKAGE.rglob("*.py"):
        parts = (_TOP, *path.relative_to(PACKAGE).with_suffix("").parts)
        names[".".join(parts).removesuffix(".__init__")] = path
    return names


def imported_by_notebook(notebook: Path) -> set[str]:
    """Return the names of this package that the cells of a notebook import."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except DAMAGED as error:
        raise NotebookError(
            f"{notebook.name} is no notebook ({type(error).__name__}: {error}). Restore the file."
        ) from None
    return set().union(*map(_imported_names, sources))


def _imported_by(module: Path) -> frozenset[str]:
    """Return what a module imports; to parse its imports alone takes a tenth of the time, and its format has each on lines of its own."""
    return _imported_names("\n".join(_IMPORT.findall(module.read_text(encoding="utf-8"))))


@cache
def _imported_names(source: str) -> frozenset[str]:
    """Return the names of this package that a source imports: modules, and names in them that may be modules.

    A source that Python cannot read (a cell with magics) depends on whatever it may import: on everything.
    """
    if _TOP not in source:
        return frozenset()
    try:
        with _PARSING:
            tree = ast.parse(source)
    except SyntaxError:
        return frozenset({_TOP})
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in names if name.split(".")[0] == _TOP)
