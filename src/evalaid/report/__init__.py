"""Present numbers: sections of notebooks, the questions and threats they show, words, tables, figures and pages.

What a notebook needs is offered here by name and loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalaid.report import draw, synthesis
    from evalaid.report.display import curves, figures
    from evalaid.report.questions import (
        all_methods,
        alternatives,
        analysis,
        dense_check,
        describe,
        detectable,
        doses,
        method_paths,
        other_averages,
        other_starts,
        pretrends,
        published,
        recoveries,
    )
    from evalaid.report.section import open_section
    from evalaid.report.threats import finding, verdicts
    from evalaid.report.wording import advice, claim_sentences, overview, results, share_and_counts

_ROOMS = {
    "display": ("curves", "figures"),
    "questions": (
        "all_methods",
        "alternatives",
        "analysis",
        "dense_check",
        "describe",
        "detectable",
        "doses",
        "method_paths",
        "other_averages",
        "other_starts",
        "pretrends",
        "published",
        "recoveries",
    ),
    "threats": ("finding", "verdicts"),
    "wording": ("advice", "claim_sentences", "overview", "results", "share_and_counts"),
}
_HOME = {name: f"evalaid.report.{room}.{name}" for room, names in _ROOMS.items() for name in names}

__all__ = [
    "advice",
    "all_methods",
    "alternatives",
    "analysis",
    "claim_sentences",
    "curves",
    "dense_check",
    "describe",
    "detectable",
    "doses",
    "draw",
    "figures",
    "finding",
    "method_paths",
    "open_section",
    "other_averages",
    "other_starts",
    "overview",
    "pretrends",
    "published",
    "recoveries",
    "results",
    "share_and_counts",
    "synthesis",
    "verdicts",
]


def __getattr__(name: str) -> Any:
    if name == "open_section":
        return import_module("evalaid.report.section").open_section
    if name in _HOME or name in {"draw", "synthesis"}:
        return import_module(_HOME.get(name, f"evalaid.report.{name}"))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
