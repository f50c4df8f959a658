"""YAML 1.2 with the line of every value: what a person wrote is taken as it stands, or asked about, never guessed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from evalaid.base.errors import StudyError
from evalaid.base.texts import counted

Path = tuple[str | int, ...]

LARGEST = 20_000
"""Values that a file may hold after its aliases are written out; the largest study has about 400."""
LONGEST, LONGEST_NUMBER = 1 << 20, 300
"""Characters of a file, and of a number in it."""

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Mapping[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **{f"{sign}{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
}
# What one YAML reader takes for text and another for a number or a date.
_ASKED = (
    (re.compile(r"[-+]?0[0-9]+"), "a code or a number"),
    (re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?"), "a text or a time"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"), "a text or a date"),
    (re.compile(r"[-+]?[0-9]+(_[0-9]+)+"), "a text or a number"),
)
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge")}  # fmt: skip


@dataclass(frozen=True)
class YamlFile:
    """What a YAML text says: its value, and the line (from 1) on which each value stands, by the path to it."""

    value: Any
    lines: Mapping[Path, int]

    def line_of(self, path: Path) -> int | None:
        """Return the line of a value, else that of the nearest value around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path) if path else None


@lru_cache(maxsize=64)
def parse_yaml(text: str, shown: str) -> YamlFile:
    """Read a YAML 1.2 text; its value is shared between callers and must not be changed.

    Raises
    ------
    StudyError
        With all faults at once: no YAML, keys that stand twice, values that YAML readers disagree about, too many values.
    """
    if len(text) > LONGEST:
        raise StudyError(f"{shown} has {len(text):,} characters: more than {LONGEST:,} are not read.")
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        where = f" (line {mark.line + 1})" if mark is not None else ""
        raise StudyError(f"{shown} is not valid YAML{where}: {getattr(error, 'problem', error)}.") from None
    except (RecursionError, ValueError) as error:
        raise StudyError(f"{shown} is not valid YAML: {type(error).__name__}, {error}.") from None
    reader = _Reader()
    try:
        value = None if root is None else reader.read(root, ())
    except RecursionError:
        raise StudyError(f"{shown} is nested too deeply.") from None
    if reader.faults:
        listed = "; ".join(reader.faults)
        raise StudyError(f"{shown} has {counted(len(reader.faults), 'fault')}: {listed}.")
    return YamlFile(value, MappingProxyType(reader.lines))


class _Reader:
    """Turn composed nodes into values; faults and lines are gathered on the way."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.lines: dict[Path, int] = {}
        self._open: set[int] = set()

    def read(self, node: Any, path: Path) -> Any:
        """Return the value of a node."""
        line = node.start_mark.line + 1
        if len(self.lines) > LARGEST:
            return self._stop(f"more than {LARGEST:,} values once its aliases are written out")
        self.lines[path] = line
        if str(node.tag) not in _TAGS:
            return self._stop(f"line {line}: the tag {node.tag} is not read; write the value without it")
        if id(node) in self._open:
            return self._stop(f"line {line}: an alias stands inside what it names")
        if isinstance(node.value, str):
            return self._scalar(node, line)
        self._open.add(id(node))
        try:
            if not _is_mapping(node):
                return [self.read(item, (*path, place)) for place, item in enumerate(node.value)]
            return {key: self.read(item, (*path, str(key))) for key, item in self._pairs(node)}
        finally:
            self._open.discard(id(node))

    def _pairs(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the keys of a mapping with their nodes, merged ones first; a key that stands twice is a fault."""
        own: dict[Any, Any] = {}
        for name, item in node.value:
            line = name.start_mark.line + 1
            if name.value == "<<" and name.style is None:
                yield from self._merged(item)
                continue
            key = self._scalar(name, line) if isinstance(name.value, str) else None
            if key is None:
                self._stop(f"line {line}: a key must be text or a number")
            elif key in own:
                self._stop(f"'{key}' stands twice: line {own[key]} and line {line}")
            else:
                own[key] = line
                yield key, item

    def _merged(self, item: Any) -> Iterator[tuple[Any, Any]]:
        several = item.value if not _is_mapping(item) and isinstance(item.value, list) else [item]
        for one in reversed(several):
            if not _is_mapping(one) or id(one) in self._open:
                self._stop(f"line {one.start_mark.line + 1}: '<<' takes a mapping, or a list of mappings")
                continue
            yield from self._pairs(one)

    def _scalar(self, node: Any, line: int) -> Any:
        text = node.value
        if node.style is not None or (str(node.tag).endswith(":str") and _plain_number(text)):
            return text
        if text in _WORDS:
            return _WORDS[text]
        if len(text) > LONGEST_NUMBER and (_INT.fullmatch(text) or _FLOAT.fullmatch(text)):
            return self._stop(f"line {line}: a number of {len(text):,} characters")
        if _INT.fullmatch(text):
            return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        for pattern, what in _ASKED:
            if pattern.fullmatch(text):
                return self._stop(f'line {line}: is {text} {what}? As text write "{text}", with quotes')
        return text

    def _stop(self, fault: str) -> None:
        if fault not in self.faults:
            self.faults.append(fault)


def _plain_number(text: str) -> bool:
    """Whether a text would be a number without its tag ``!!str``."""
    return text in _WORDS or bool(_INT.fullmatch(text) or _FLOAT.fullmatch(text) or _ASKED[0][0].fullmatch(text))


def _is_mapping(node: Any) -> bool:
    return type(node).__name__ == "MappingNode"
