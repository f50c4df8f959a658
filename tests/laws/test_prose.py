"""English of code and docs: the field's words, the trade's verbs. The counts of what is left only shrink."""

import ast
import re
from collections import Counter
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
VERB = re.compile(r"(?:Give|Say|Tell|Name)s?\b")

VERBS_LEFT = {
    "cli.py": 3,
    "did": 247,
    "evidence": 14,
    "programme": 1,
    "reading": 74,
    "report": 60,
    "simulate": 11,
    "base": 8,
}
PHRASES_LEFT = {
    "cli.py": 1,
    "did": 53,
    "evidence": 5,
    "programme": 2,
    "reading": 17,
    "report": 23,
    "simulate": 1,
    "study": 4,
}


def wing(path):
    """The first part of a module's path below the package."""
    return path.relative_to(SRC).parts[0]


def count_verbs():
    """Docstrings by wing that begin with a verb of talking."""
    found = Counter()
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
                found[wing(path)] += bool(VERB.match(ast.get_docstring(node) or ""))
    return found


def count_phrases():
    """Phrases like "one row a figure" by wing, and in the documentation."""
    found = Counter({wing(path): 0 for path in SRC.rglob("*.py")})
    for path in SRC.rglob("*.py"):
        found[wing(path)] += len(PER.findall(path.read_text(encoding="utf-8")))
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        found["docs"] += len(PER.findall(path.read_text(encoding="utf-8")))
    return found


@pytest.mark.parametrize(
    "text", ["One row a figure", "one weight a cell", "one line a\n    study", "One row an effect"]
)
def test_the_phrase_is_recognised(text):
    assert PER.search(text)
    assert not PER.search(text.replace(" a ", " per ").replace(" an ", " per ").replace(" a\n", " per\n"))


@pytest.mark.parametrize(
    ("count", "left"), [(count_verbs, VERBS_LEFT), (count_phrases, PHRASES_LEFT)], ids=["verbs", "phrases"]
)
def test_the_prose_gets_no_worse(count, left):
    found = count()
    assert not {name: number for name, number in found.items() if number > left.get(name, 0)}
