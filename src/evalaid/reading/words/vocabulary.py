"""The words of all languages as patterns: header words, marks, what totals and notes are called (see the YAML files)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

LANGUAGES = (
    *("zh", "en", "de", "fr", "es", "pt", "it", "ko", "ja"),
    *("nl", "pl", "tr", "sv", "cs", "ru", "id", "hu", "ar", "fa", "th", "hi"),
)
"""Languages with a file of words; the order of the roles of a header is that of the first file that has them."""

_FRAGMENT = re.compile(r"<(\w+)>")


@cache
def load_words(name: str) -> Mapping[str, Any]:
    """Read one data file of words, once."""
    text = files("evalaid.reading.words").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    loaded: Mapping[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (safe)
    return loaded


@cache
def patterns(topic: str) -> Mapping[Any, re.Pattern[str]]:
    """Return name -> pattern of a topic ("variables", "keys", "roster", ...) over all languages, case aside."""
    found: dict[Any, list[str]] = {}
    for language in LANGUAGES:
        words = load_words(language)
        fragments = words.get("fragments", {})
        for name, entries in words.get(topic, {}).items():
            for entry in entries:
                for fragment in _FRAGMENT.findall(entry):
                    entry = entry.replace(f"<{fragment}>", fragments[fragment])  # noqa: PLW2901
                found.setdefault(name, []).append(entry)
    return {name: re.compile("|".join(entries), re.IGNORECASE) for name, entries in found.items()}


def pattern_of(name: str) -> re.Pattern[str]:
    """Return the pattern of one kind of words that are no header ("total_row", "cumulative", "change", ...).

    Examples
    --------
    >>> [bool(pattern_of("total_row").fullmatch(text)) for text in ("合计", "Total", "连南县")]
    [True, True, False]
    """
    return patterns("words")[name]


@cache
def joined(*names: str) -> str:
    """Return the entries of several kinds of words as one alternation, to be part of a longer pattern."""
    return "|".join(patterns("words")[name].pattern for name in names)
