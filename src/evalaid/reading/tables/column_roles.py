"""What each column of a table holds, read from its header: its role or variable, its unit, its period."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from evalaid.base.names import KEY_ROLES, NOTHING, names_a_share
from evalaid.reading.values.kinds import UNIT_WORDS, find_role, is_unit, split_period
from evalaid.reading.words.vocabulary import pattern_of, patterns

_BRACKET = re.compile(rf"[(\[](?:单位[:：])?((?:{UNIT_WORDS})(?:[、,/](?:{UNIT_WORDS}))*)[)\]]", re.IGNORECASE)
_MARKS = re.compile(r"([①-⑳*#※†]|\[\d+\]|[(\[](?:[a-z]{1,2}|prov\w*|rev\w*|est\w*)\.?[)\]]|注\d?)+$", re.IGNORECASE)
_NUMBERED = re.compile(r"^(?:\d+(?:\.\d+)*|[一二三四五六七八九十]+)[、.]|^其中[:：]?")
_YEAR = re.compile(r"(?:19|20)\d{2}")


@dataclass(frozen=True)
class Header:
    """Hold what the header of a column says."""

    read: str  # role or variable; empty when the words are not known
    unit: str  # unit as written; empty when there is none
    period: str  # period as written, year first; empty when there is none
    # whether the header says that figures count from the start of the year; None when it says nothing
    cumulative: bool | None
    words: str  # the header without unit and period
    part: str = field(
        default="", repr=False
    )  # what "of which" says that it is of the column before it: inside or outside; else empty


def read_header(path: Sequence[str]) -> Header:
    """Read the header of a column.

    Assumes texts as `evalaid.reading.tables.headers.plain` gives them, from the top row to the bottom row; a variable may be told by
    one of the texts or by several together.

    Examples
    --------
    >>> read_header(["2019年", "第一季度", "县域内住院人次(万人次)"])
    Header(read='inside', unit='万人次', period='2019年第一季度', cumulative=None, words='县域内住院人次')
    >>> read_header(["县域内住院率", "同比增减(百分点)"]).read
    ''
    >>> read_header(["县(市、区)"]).read, read_header(["住院率", "2019年1-9月累计"]).cumulative
    ('name', True)
    """
    unit = ""
    cumulative: bool | None = None
    years: list[str] = []
    parts: list[str] = []
    words: list[str] = []
    for place, whole in enumerate(path):
        if find_role(whole) in KEY_ROLES:
            words.append(whole)
            continue
        found = _BRACKET.search(whole)
        text = whole if found is None else whole[: found.start()] + whole[found.end() :]
        unit = unit if found is None else found[1]
        if place and is_unit(text) and not find_role("".join([*words, text])):
            unit = text
            continue
        if pattern_of("single").search(text) or pattern_of("cumulative").search(text):
            cumulative = not pattern_of("single").search(text)
        bare = pattern_of("cumulative").sub("", pattern_of("single").sub("", text))
        period, rest = split_period(bare)
        if period and not (rest and find_role(bare)):
            bare = rest
            (years if _YEAR.search(period) else parts).append(period)
        if word := _NUMBERED.sub("", _MARKS.sub("", bare.replace("()", ""))).strip("-_/、,:. "):
            words.append(word)
    if not unit and words and words[-1][-1] in "%‰":
        unit, words[-1] = words[-1][-1], words[-1][:-1]
    period = "".join(_in_order(years, parts))
    read = "" if pattern_of("change").search("\n".join(path)) else _match(words)
    return Header(read, unit, period, cumulative, "/".join(words), "" if read else _part_of_total(path[-1:]))


def _part_of_total(last: Sequence[str]) -> str:
    """Which part of the total before it a column is, where its last header says "of which" and no more (其中：县域内)."""
    whole = "".join(last)
    rest = pattern_of("of_which").sub("", whole)
    found = (name for name, pattern in patterns("of_which").items() if pattern.fullmatch(rest))
    return next(found, "") if rest != whole else ""


def choose_unit(unit: str, read: str) -> str:
    """Choose among the units of a note (``万人次、%``) the one that fits a variable.

    Examples
    --------
    >>> choose_unit("万人次、%", "share"), choose_unit("万人次", "share"), choose_unit("人次", "inside")
    ('%', '', '人次')
    """
    parts = [part.strip() for part in re.split(r"[、,，;；/]", unit) if part.strip()]
    of_shares = [part for part in parts if re.search(r"%|‰|百分|percent|pct|fraction", part, re.IGNORECASE)]
    others = [part for part in parts if part not in of_shares]
    fit = of_shares if names_a_share(read) else others
    return fit[0] if len(fit) == 1 else ""


def is_value(read: str) -> bool:
    """Return whether a column holds figures."""
    return bool(read) and read != NOTHING and read not in KEY_ROLES


def _match(words: Sequence[str]) -> str:
    """Find the role that the texts of a header name: together, from any row down, upside down, or one alone beside no part."""
    together = ["".join(words[start:]) for start in range(len(words))] + ["".join(reversed(words))]
    alone = (
        [] if len(words) > 1 and any(pattern_of("part").fullmatch(text) for text in words) else list(reversed(words))
    )
    for start, text in enumerate([*together, *alone]):
        role = find_role(text)
        if role and not (start < len(words) and any(pattern_of("part").fullmatch(word) for word in words[:start])):
            return role
    return ""


def _in_order(years: Sequence[str], parts: Sequence[str]) -> list[str]:
    """Put the year before the part of the year; a bare year gets its character, so that the two can be told apart."""
    if parts and years and re.fullmatch(r"\d{4}", years[-1]):
        years = [*years[:-1], f"{years[-1]}年"]
    return [*years[-1:], *parts[-1:]]
