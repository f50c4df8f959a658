"""A name stands once: a file name and a public class name mean one thing in the whole package."""

import ast
from collections import defaultdict
from pathlib import Path

SRC = Path(__file__).parents[2] / "src" / "evalaid"

# Class names that still stand for two things. The list only shrinks: rename one, take its line away.
TWICE: set[str] = set()


def test_a_file_name_stands_once():
    places = defaultdict(list)
    for path in sorted(SRC.rglob("*.py")):
        if path.name != "__init__.py":
            places[path.name].append(path.relative_to(SRC).as_posix())
    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_a_public_class_name_stands_once():
    places = defaultdict(list)
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(SRC).as_posix())
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert not {name: found for name, found in twice.items() if name not in TWICE}
    assert not TWICE - set(twice), "these stand once by now: take them from the list"
