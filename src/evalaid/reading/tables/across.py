"""Tables with a column for each county: which county each column is of, and what the columns beside them hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from evalaid.base.names import CITY, CODE, EDITION, INDICATOR, MEASURE, NAME, NOTHING, PERIOD
from evalaid.reading.files.cells import column_number
from evalaid.reading.journal.decisions import Journal
from evalaid.reading.journal.layouts import ColumnLayout, FileLayout, TableLayout
from evalaid.reading.places.counties import PlacedUnit, is_total, place_unit
from evalaid.reading.places.lookup import SEVERAL, Candidates
from evalaid.reading.places.regions import find_region
from evalaid.reading.tables.column_roles import is_value, read_header
from evalaid.reading.tables.headers import TableBlock
from evalaid.reading.tables.table_rows import rank_edition
from evalaid.reading.tables.titles import find_place
from evalaid.reading.values.kinds import CellKind, classify, is_unit, plain
from evalaid.reading.words.vocabulary import pattern_of

ENOUGH = 2
"""So many counties in different columns of a header make a table with a column for each county."""

MOST = 0.6
"""Share of the texts of a column that must be of one kind before the column is taken to hold it."""

SAMPLE = 40

_NAME = re.compile(r"[\u4e00-\u9fff]{1,12}[县市区旗]")


def find_places(paths: Mapping[int, Sequence[str]], within: str | None) -> dict[int, str]:
    """Find the columns whose header names a place.

    Assumes texts as `evalaid.reading.values.kinds.plain` gives them. Fewer than `ENOUGH` counties are none: a header may name one by
    chance.

    Examples
    --------
    >>> find_places({0: ["时间"], 1: ["始兴县", "住院率"], 2: ["仁化县", "住院率"], 3: ["合计", "住院率"]}, None)
    {1: '始兴县', 2: '仁化县', 3: '合计'}
    """
    counties = {column: text for column, path in paths.items() if (text := _county(path, within))}
    if len(set(counties.values())) < ENOUGH:
        return {}
    others = {column: text for column, path in paths.items() if column not in counties and (text := _larger(path))}
    return dict(sorted((others | counties).items()))


def _county(path: Sequence[str], within: str | None) -> str:
    return next((text for text in reversed(path) if _level(text, within) == "county"), "")


def _larger(path: Sequence[str]) -> str:
    """The text of a total or a larger division, or of what looks like the name of one and is none."""
    return next((text for text in path if is_other(text)), "") or next(
        (text for text in reversed(path) if _NAME.fullmatch(text) and not read_header([text]).read), ""
    )


def is_other(text: str) -> bool:
    """Return whether a text of a header names a total, an average, a prefecture or a province."""
    return bool(pattern_of("total_row").fullmatch(text)) or _level(text, None) in {"prefecture", "province"}


def _level(text: str, within: str | None) -> str:
    """Level of the division that a text names, also where several have the name; empty for anything else."""
    if not re.search(r"[\u4e00-\u9fff]{2}|\d{6}", text) or read_header([text]).read:
        return ""
    found = find_region(text, within=within)
    if isinstance(found, Candidates):
        return found.regions[0].level if found.reason == SEVERAL else ""
    return found.level


def find_content(body: np.ndarray, *, counties: bool) -> str:
    """Decide by what stands in a column what it holds.

    Examples
    --------
    >>> find_content(np.array(["2019年第一季度", "2019年第二季度"], dtype=object), counties=True)
    'period'
    >>> find_content(np.array(["住院总人次", "县域内住院率(%)"], dtype=object), counties=True)
    'indicator'
    """
    cells = [value for value in body if plain(value)][:SAMPLE]
    texts = [plain(value) for value in cells]
    if not texts:
        return ""

    def most(hits: Sequence[bool]) -> bool:
        return sum(hits) >= MOST * len(texts)

    if most([classify(value) in {CellKind.PERIOD, CellKind.YEAR} for value in cells]):
        return PERIOD
    if most([rank_edition(text) is not None for text in texts]):
        return EDITION
    if most([is_unit(text) for text in texts]):
        return MEASURE
    if most([is_value(read_header([text]).read) for text in texts]):
        return INDICATOR
    levels = [_level(text, None) for text in texts] if counties else []
    if counties and most([bool(level) for level in levels]):
        larger = most([level in {"prefecture", "province"} for level in levels])
        return CITY if larger else CODE if most([text.isdigit() for text in texts]) else NAME
    return ""


def stated_places(given: TableLayout, block: TableBlock, layout: FileLayout) -> dict[int, str]:
    """Find the columns of counties: as the layout names them, else by their headers."""
    stated = {column_number(column.column): column.place for column in given.columns if column.place is not None}
    if layout.units != "counties":
        return stated
    known = {column_number(column.column) for column in given.columns if not is_value(column.read)}
    paths = {column: path for column, path in enumerate(block.paths) if column not in known}
    return find_places(paths, layout.within) | stated


def place_table(
    given: TableLayout, columns: list[ColumnLayout], block: TableBlock, layout: FileLayout, journal: Journal
) -> tuple[list[ColumnLayout], str | None]:
    """Find the county of a table of one county, where neither rows nor columns name any; all its figures are of it."""
    if {NAME, CODE} & {column.read for column in columns} or any(column.place for column in columns):
        return columns, None
    place, where = (given.place, "layout") if given.place else find_place(block, journal, layout.within)
    if not place:
        return columns, None
    cell = where if re.fullmatch(r"[A-Z]+\d+", where) else ""
    journal.decide(cell, "county of the whole table", place, f"no row or column names a county; {where}")
    return [replace(column, place=place) if is_value(column.read) else column for column in columns], place


def place_columns(
    columns: list[ColumnLayout], block: TableBlock, layout: FileLayout, given: TableLayout, journal: Journal
) -> tuple[list[ColumnLayout], dict[str, PlacedUnit]]:
    """Find the county of every column that names one; columns of totals and prefectures are left out."""
    placed: dict[str, PlacedUnit] = {}
    result = []
    for column in columns:
        if column.place is None or not is_value(column.read):
            result.append(replace(column, place=None))
            continue
        top = block.header[0]
        where = f"{column.column}{top + 1}"
        name = plain(column.place)
        near = next((text for text in block.paths[column_number(column.column)] if text != name and is_other(text)), "")
        unit = (
            PlacedUnit(left_out="a total or average, by its name")
            if is_total(name, given)
            else place_unit(top, "", name, near, layout.within, layout.units, given, journal)
        )
        if unit.fault:
            journal.fault(
                top,
                where,
                column.place,
                unit.fault,
                f"'{column.column}: {{read: nothing}}' in the layout, or 'place: 440222' there",
            )
        if unit.left_out:
            journal.leave(top, where, column.place, unit.left_out)
        placed[column.column] = unit
        result.append(column if unit.code or unit.fault else replace(column, read=NOTHING, place=None))
    return result, placed
