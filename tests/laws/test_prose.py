"""English of code and docs: the field's words, the trade's verbs."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "evalaid"

# "one row a figure" is no English: one row per figure, or for each figure.
UNITS = (
    "band|cell|column|count|county|entry|file|figure|header|label|letter|line|list|matrix|name|number|page|panel|row|sentence|table|"
    "thread|value|weight"
)
PER = re.compile(rf"\bone\s+(?:{UNITS})\s+an?\s+\w+", re.IGNORECASE)
# A docstring begins with what the function does to its values, not with how it talks: Return, Compute, Read, Check, Raise, Build.
VERB = re.compile(r"(?:Gives?|Says?|Tells?|Names?(?! of))\b")


def docstrings():
    """Every docstring of the package, with the name of what it documents."""
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield f"{path.relative_to(SRC).as_posix()}: {node.name}", ast.get_docstring(node) or ""


def texts():
    """Every module of the package and every page of the documentation, with its name."""
    for path in (*sorted(SRC.rglob("*.py")), *sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text", ["One row a figure", "one weight a cell", "one line a\n    study", "One row an effect"]
)
def test_the_phrase_is_recognised(text):
    assert PER.search(text)
    assert not PER.search(text.replace(" a ", " per ").replace(" an ", " per ").replace(" a\n", " per\n"))


def test_a_docstring_begins_with_what_is_done():
    assert VERB.match("Give the rows.")
    assert VERB.match("Names the unit.")
    assert not VERB.match("Name of the file.")
    assert not [name for name, text in docstrings() if VERB.match(text)]


def test_a_figure_has_one_row_per_figure():
    assert not [f"{name}: {found}" for name, text in texts() for found in PER.findall(text)]


def test_a_number_agrees_with_its_noun():
    both = re.compile(r"\w\((?:s|es|ies)\)")
    assert not [name for name, text in texts() if name.startswith("src/") and both.search(text)]
