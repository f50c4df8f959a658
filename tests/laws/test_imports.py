"""Imports point down, nothing reaches into a neighbour, and starting up stays light."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"

# The wings from the ground up: a module may import from its own wing and from the wings before it. `did` knows no file and
# `reading` knows no estimate, although both stand side by side on `base`.
WINGS = ("base", "did", "reading", "programme", "evidence", "simulate", "study", "report", "running", "cli", "__main__")
STRANGERS = {("reading", "did"), ("simulate", "report")}
HEAVY = {"duckdb", "matplotlib", "numpy", "pandas", "papermill", "scipy", "seaborn", "statsmodels"}

FILES = {
    ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SRC.glob("evalaid/**/*.py"))
}
MODULES = sorted(set(FILES) - {"evalaid"})  # evalaid/__init__.py is the table of contents: it may name everything


@functools.cache
def tree(module):
    return ast.parse(FILES[module].read_text(encoding="utf-8"), str(FILES[module]))


@functools.cache
def nodes_of(module):
    return tuple(ast.walk(tree(module)))


def imports(nodes):
    """What these nodes import, as (module, name or None): `from a.b import c` gives ("a.b", "c")."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            yield from ((node.module, alias.name) for alias in node.names)


def own_imports(module):
    """The modules of this package that a module imports anywhere, functions and type checking included."""
    for source, name in imports(nodes_of(module)):
        if source.split(".")[0] == "evalaid":
            deeper = f"{source}.{name}"
            yield deeper if deeper in FILES else source


def at_import_time(nodes):
    """Import statements that run when the module is imported."""
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from at_import_time(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from at_import_time(ast.iter_child_nodes(node))


def wing(module):
    """The wing of a module: the first part of its name below the package."""
    first = module.split(".")[1]
    assert first in WINGS, f"{module} stands in no wing: a wing is one of {', '.join(WINGS)}"
    return first


def test_imports_point_down():
    pairs = [(module, imported) for module in MODULES for imported in own_imports(module)]
    assert [pair for pair in pairs if pair[1] == "evalaid"] == [], "a module imports the package's front door"
    wings = {pair: tuple(map(wing, pair)) for pair in pairs}
    up = [pair for pair, (here, there) in wings.items() if WINGS.index(there) > WINGS.index(here)]
    assert up == [], "a module imports one that stands above it"
    assert [pair for pair, both in wings.items() if both in STRANGERS] == [], "a wing knows nothing of the other"


def test_there_is_no_circle_not_even_a_lazy_one():
    graph = {module: set(own_imports(module)) for module in MODULES}
    done, path = set(), []

    def visit(module):
        assert module not in path, " -> ".join([*path, module])
        if module in done:
            return
        path.append(module)
        for imported in graph.get(module, ()):
            visit(imported)
        path.pop()
        done.add(module)

    for module in MODULES:
        visit(module)


def test_no_module_uses_a_private_name_of_another():
    assert [used for module in MODULES for used in private_names(module)] == []


def private_names(module):
    """What a module imports or takes from another of this package that is private there."""
    nodes = nodes_of(module)
    for source, name in imports(nodes):
        if source != "__future__" and any(re.match(r"_[^_]", part) for part in (*source.split("."), name or "")):
            yield f"{module} imports {source}.{name}"
    modules = {name or source.split(".")[-1] for source, name in imports(nodes) if source.startswith("evalaid")}
    for node in nodes:
        if not isinstance(node, ast.Attribute) or not re.match(r"_[^_]", node.attr):
            continue
        if isinstance(node.value, ast.Name) and node.value.id in modules:
            yield f"{module} uses {node.value.id}.{node.attr}"


def test_the_command_line_is_light_by_construction():
    seen, waiting, foreign = set(), ["evalaid.cli"], set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        waiting += [part for part in ("evalaid", module.rpartition(".")[0]) if part in FILES]
        for source, name in imports(at_import_time(tree(module).body)):
            if source.split(".")[0] == "evalaid":
                waiting.append(f"{source}.{name}" if f"{source}.{name}" in FILES else source)
            else:
                foreign.add(source.split(".")[0])
    assert foreign - set(sys.stdlib_module_names) <= {"click", "lazy_loader"}


@pytest.mark.parametrize("module", ["evalaid", "evalaid.running.runs"])
def test_neither_the_package_nor_what_starts_and_follows_runs_imports_anything_heavy(module):
    code = f"import sys; sys.path.insert(0, sys.argv[1]); import {module}"
    command = [sys.executable, "-X", "importtime", "-c", code, str(SRC)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in printed.splitlines()}
    assert "evalaid" in imported
    assert not imported & HEAVY
