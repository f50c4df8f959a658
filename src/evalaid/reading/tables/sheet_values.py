"""The figures of one sheet as records: one row per figure, with its unit, period, variable and cell."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.base.names import CITY_SHARE, COUNTS, SHARES
from evalaid.reading.files.cells import column_number
from evalaid.reading.journal.decisions import Journal, show
from evalaid.reading.journal.layouts import ColumnLayout, TableLayout
from evalaid.reading.places.whose_units import language_of_sheet
from evalaid.reading.tables.column_roles import choose_unit, is_value, read_header
from evalaid.reading.tables.cumulative import NO, UNSAID, YES
from evalaid.reading.tables.detection import Detected
from evalaid.reading.tables.headers import fill_down
from evalaid.reading.tables.table_rows import Rows, ask_for_step
from evalaid.reading.values.calendar_words import NO_YEAR
from evalaid.reading.values.kinds import CellKind, classify, plain
from evalaid.reading.values.number_formats import NumberFormat, decide_format
from evalaid.reading.values.numbers import NumberColumn, read_numbers
from evalaid.reading.values.spans import Span, read_spans
from evalaid.reading.words.languages import has_decimal_commas, marks
from evalaid.reading.words.vocabulary import pattern_of

RECORD_COLUMNS = [
    "unit", "name", "first", "last", "cumulative", "variable", "value", "resolution", "edition",
    "file", "sheet", "row", "cell", "text",
]  # fmt: skip


def read_figures(detected: Detected, rows: Rows, journal: Journal) -> tuple[pd.DataFrame, pd.DataFrame, TableLayout]:
    """Read the figures of a table.

    Assumes that the figures of one variable in one table have one unit where no header says otherwise.
    """
    table = detected.table
    values = [column for column in table.columns if is_value(column.read)]
    values = [
        column for column in values if column.column not in detected.placed or detected.placed[column.column].code
    ]
    spans = _column_spans(detected, values, journal)
    cells = fill_down(journal.grid)
    pools: dict[tuple[str, str | None, str], list[tuple[ColumnLayout, np.ndarray]]] = defaultdict(list)
    everyone = np.arange(len(rows.position))
    indicators = [_indicator(text) for text in rows.indicator]
    for column in values:
        if any(rows.indicator):
            for variable, said in dict.fromkeys(indicators):
                if variable:
                    picked = np.flatnonzero([one == (variable, said) for one in indicators])
                    pools[
                        variable,
                        column.unit,
                        said or detected.units.get(column.column) or choose_unit(detected.unit_note, variable),
                    ].append((column, picked))
        else:
            pools[column.read, column.unit, detected.units.get(column.column, "")].append((column, everyone))
    _tell_indicators(rows, indicators, journal)
    _check_merged(values, rows, [variable for variable, _ in indicators], cells, detected, journal)
    frames, decided = [], {}
    first, last = detected.block.data
    facts = _number_facts(
        detected, [cells[first : last + 1, column_number(column.column)] for column in values], journal
    )
    for (variable, unit, stated), members in pools.items():
        frame, found = _read_pool(variable, unit, stated, members, cells, rows, spans, detected, facts, journal)
        frames.append(frame)
        if found is not None and not any(rows.indicator):
            decided.update({column.column: found for column, _ in members})
    records = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=RECORD_COLUMNS)
    _refuse_undated(values, spans, rows, detected, journal)
    columns = tuple(
        replace(column, unit=decided[column.column]) if column.column in decided else column for column in table.columns
    )
    timeless = records["first"].isna()
    whole = records[~timeless].astype({"first": np.int64, "last": np.int64}) if len(records) else records
    return whole, records[timeless], replace(table, columns=columns)


def _check_merged(
    values: list[ColumnLayout],
    rows: Rows,
    indicators: list[str],
    cells: np.ndarray,
    detected: Detected,
    journal: Journal,
) -> None:
    """Find figures in merged cells that would be read for several counties, periods or variables."""
    of_row = {position: place for place, position in enumerate(rows.position)}
    of_column = {column_number(column.column): column for column in values}
    for top, left, bottom, right in journal.grid.merged:
        places = [of_row[row] for row in range(top, bottom + 1) if row in of_row]
        columns = [column for column in range(left, right + 1) if column in of_column]
        if len(places) * len(columns) < 2 or classify(cells[top, left]) not in {CellKind.NUMBER, CellKind.YEAR}:
            continue
        variables = {
            indicators[place] if rows.indicator[place] else of_column[c].read for place in places for c in columns
        }
        units = {_unit(of_column[c], rows, place, detected) for place in places for c in columns}
        where = f"{journal.grid.address(top, left)}:{journal.grid.address(bottom, right)}"
        if len(variables) > 1 or variables & {*COUNTS, *SHARES} - {CITY_SHARE}:
            journal.fault(
                top,
                where,
                cells[top, left],
                f"one figure in merged cells would be read {len(places) * len(columns)} times (of {', '.join(sorted(variables))})",
                "a figure for each county and period: unmerge the cells and write it where it belongs, or the rows in leave_out",
            )
        elif len(units) > 1:
            because = f"the merged cells {where} hold one figure of {', '.join(variables)}"
            journal.decide(where, "one figure of several counties", "read for each of them", because)


def _refuse_undated(
    values: list[ColumnLayout], spans: dict[str, Span | None], rows: Rows, detected: Detected, journal: Journal
) -> None:
    """Find columns without a period beside dated ones: of the same variable, or of counts and shares, which need one."""
    if any(span is not None for span in rows.span):
        return
    dated = {column.read for column in values if spans.get(column.column)}
    for column in values:
        if dated and column.read in {*dated, *COUNTS, *SHARES} and spans.get(column.column) is None:
            top = detected.block.header[0]
            journal.fault(
                top,
                f"{column.column}{top + 1}",
                column.header,
                f"a column of {column.read} without a period beside columns with one",
                f"its period in the layout, '{column.column}: {{read: {column.read}, period: 2019}}', or '{column.column}: {{read: nothing}}'",
            )


def _column_spans(detected: Detected, values: list[ColumnLayout], journal: Journal) -> dict[str, Span | None]:
    """Read the periods of the columns, as one row of periods; the table's own where a column has none."""
    spans: dict[str, Span | None] = {}
    dated = [column for column in values if column.period]
    if dated:
        words = [
            f"{column.period}{'累计' if column.cumulative and '累计' not in str(column.period) else ''}"
            for column in dated
        ]
        place = f"{dated[0].column}{detected.block.header[0] + 1}"
        try:
            read = read_spans(
                words,
                year=detected.year,
                step=detected.table.step,
                language=language_of_sheet(journal.grid),
                reckoning=journal.reckoning,
            )
        except ReadingError as error:
            journal.fault(detected.block.header[0], place, words[0], *ask_for_step(error))
            return dict.fromkeys(spans)
        for at, text, why in read.faults:
            place = f"{dated[at].column}{detected.block.header[0] + 1}"
            journal.fault(
                detected.block.header[0],
                place,
                text,
                why,
                "a period such as 2019年第三季度, 2019Q3 or 2019年1-9月 in the header, or 'period: 2019Q3' for this column in the layout"
                + (", or 'period: 2019' for the table, which gives the year" if why == NO_YEAR else ""),
            )
        journal.decide(
            f"{dated[0].column}{detected.block.header[0] + 1}",
            "periods of the columns",
            read.evidence,
            "read as one row of headers",
        )
        spans = {column.column: span for column, span in zip(dated, read.spans, strict=True)}
    if detected.period:
        read = read_spans([detected.period], step=detected.table.step or "month")
        for _, text, why in read.faults:
            journal.fault(None, "", text, why, "a line 'period: 2019Q3' in this table of the layout")
        spans.update({column.column: read.spans[0] for column in values if not column.period})
    return spans


def _indicator(text: str) -> tuple[str, str]:
    header = read_header([text]) if text else None
    return (header.read, header.unit) if header is not None and is_value(header.read) else ("", "")


def _tell_indicators(rows: Rows, indicators: list[tuple[str, str]], journal: Journal) -> None:
    known: dict[str, tuple[int, str]] = {}
    unknown: dict[str, tuple[int, str]] = {}
    for row, text, (variable, _) in zip(rows.position, rows.indicator, indicators, strict=True):
        if text:
            (known if variable else unknown).setdefault(text, (row, variable))
    for text, (row, variable) in known.items():
        journal.decide(f"row {row + 1}", f"indicator {text!r}", variable, "its words")
    for text, (row, _) in unknown.items():
        journal.leave(row, "", text, "an indicator that is no known variable; so are the other rows that name it")


def _read_pool(
    variable: str,
    unit: str | None,
    stated: str,
    members: list[tuple[ColumnLayout, np.ndarray]],
    cells: np.ndarray,
    rows: Rows,
    spans: dict[str, Span | None],
    detected: Detected,
    facts: NumberFacts,
    journal: Journal,
) -> tuple[pd.DataFrame, str | None]:
    """Read the cells of one variable and unit together, and lay them out as records."""
    position = np.array(rows.position, dtype=np.int64)
    of_row = np.concatenate([picked for _, picked in members])
    owner = np.concatenate([np.full(len(picked), place) for place, (_, picked) in enumerate(members)])
    number = np.array([column_number(column.column) for column, _ in members], dtype=np.int64)[owner]
    at = position[of_row]
    pool = _Pool(
        variable,
        members,
        [cells[row, column] for row, column in zip(at, number, strict=True)],
        [journal.grid.address(row, column) for row, column in zip(at, number, strict=True)],
        at,
        facts,
    )
    read = _read_pool_numbers(pool, unit, stated, journal)
    if read is None:
        return pd.DataFrame(columns=RECORD_COLUMNS), None
    columns = [members[own][0] for own in owner]
    units = [_unit(column, rows, row, detected) for column, row in zip(columns, of_row, strict=True)]
    span = [_combine(spans.get(column.column), rows.span[row]) for column, row in zip(columns, of_row, strict=True)]
    said = [
        _cumulative(one, column, rows.period[row], detected.table)
        for one, column, row in zip(span, columns, of_row, strict=True)
    ]
    frame = pd.DataFrame(
        {
            "unit": [unit for unit, _ in units],
            "name": [name for _, name in units],
            "first": [np.nan if one is None else one.first_month for one in span],
            "last": [np.nan if one is None else one.last_month for one in span],
            "cumulative": said,
            "variable": variable,
            "value": read.values,
            "resolution": [_resolution(text, read.factor) for text in pool.raw],
            "edition": [detected.table.edition if rows.edition[row] is None else rows.edition[row] for row in of_row],
            "file": journal.grid.file,
            "sheet": journal.grid.sheet,
            "row": at + 1,
            "cell": pool.addresses,
            "text": [show(one) for one in pool.raw],
        },
        columns=RECORD_COLUMNS,
    )
    mixed = any("fraction" in decided for _, _, decided in read.notes)
    return frame[frame["value"].notna()], None if mixed else read.unit


def _in_one_form(pool: _Pool, journal: Journal) -> list[Any] | None:
    """Write the numbers of a pool with a decimal point, marks for no value as blanks; None where they can be read in two ways.

    Chinese tables have points and commas of thousands: there another comma is a slip that `read_numbers` lists.
    """
    facts = pool.facts
    if facts.language == "zh" and facts.given is None:
        return pool.raw
    texts = [value for value in dict.fromkeys(v for v in pool.raw if isinstance(v, str)) if re.search(r"\d", value)]
    try:
        how = facts.given or decide_format(
            texts, separator=facts.separator, comma_language=has_decimal_commas(facts.language), hint=facts.hint
        )
    except ReadingError as error:
        why, _, expected = str(error).partition(" Expected one way: ")
        journal.fault(
            int(pool.rows[0]), pool.addresses[0], pool.raw[0], f"{pool.variable}: {why}", expected.rstrip(".")
        )
        return None
    if how.decimal != "." or how.thousands != ",":
        decided = f"decimal {how.decimal!r}, thousands {how.thousands!r}"
        journal.decide(pool.addresses[0], f"how numbers of {pool.variable} are written", decided, how.evidence)
    return _without_marks(pool, [how.rewrite(value) for value in pool.raw], journal)


def _without_marks(pool: _Pool, cells: list[Any], journal: Journal) -> list[Any]:
    """Write marks for no value as blanks, and those for none in the language of the table as zero among whole numbers."""
    missing, zero = marks(pool.facts.language)
    whole = all(re.fullmatch(r"\s*[+-]?\d+(\.0*)?\s*", str(value)) for value in cells if re.search(r"\d", str(value)))
    noughts = [at for at, value in enumerate(cells) if isinstance(value, str) and zero.fullmatch(value.strip())]
    if noughts and whole:
        because = f"in tables of this language ({pool.facts.language}) it stands for none, and the figures are counts: {len(noughts)} cells"
        journal.decide(pool.addresses[noughts[0]], f"figure {str(pool.raw[noughts[0]])!r}", "0", because)
        cells = [0 if at in set(noughts) else value for at, value in enumerate(cells)]
    return [None if isinstance(value, str) and missing.fullmatch(value.strip()) else value for value in cells]


@dataclass(frozen=True)
class NumberFacts:
    """What a sheet says about how its numbers are written."""

    language: str
    separator: str
    given: NumberFormat | None  # as the layout states it
    hint: NumberFormat | None = None  # as other columns of the sheet show it


def _number_facts(detected: Detected, columns: Iterable[Iterable[Any]], journal: Journal) -> NumberFacts:
    table, grid = detected.table, journal.grid
    language = language_of_sheet(grid)
    given = None
    if table.decimal or table.thousands:
        decimal = table.decimal or ("." if table.thousands == "," else ",")
        given = NumberFormat(decimal, table.thousands or ("," if decimal == "." else "."), "the layout says so")
    for raw in () if language == "zh" else columns:
        try:
            shown = decide_format(raw)
        except ReadingError:
            continue
        if shown.evidence and (shown.decimal == "," or " has " in shown.evidence):
            return NumberFacts(language, grid.separator, given, shown)
    return NumberFacts(language, grid.separator, given)


@dataclass(frozen=True)
class _Pool:
    """The cells of one variable and unit that are read together, with where they stand."""

    variable: str
    members: list[tuple[ColumnLayout, np.ndarray]]
    raw: list[Any]
    addresses: list[str]
    rows: np.ndarray  # row of each, from zero
    facts: NumberFacts


def _read_pool_numbers(pool: _Pool, unit: str | None, stated: str, journal: Journal) -> NumberColumn | None:
    """Read the numbers of a pool and record what was decided; None when their unit cannot be told."""
    variable, first = pool.variable, pool.members[0][0]
    label = _heading(variable, first.header)
    plain_cells = _in_one_form(pool, journal)
    if plain_cells is None:
        return None
    try:
        read = read_numbers(plain_cells, name=f"{label}({stated})" if stated else label, unit=_spell(unit))
    except ReadingError as error:
        rows = [] if error.rows is None else [row for row in error.rows["row"] if isinstance(row, int | np.integer)]
        place = rows[0] if rows else 0
        fault = re.sub(r"^Column '.*?': ", "", str(error)).partition(" Expected one unit")[0].rstrip(".")
        one, other = ("percent", "fraction") if variable in SHARES else ("万人次", "人次")
        example = f"'{first.column}: {{read: {variable}, unit: {one}}}' (or {other})"
        journal.fault(
            int(pool.rows[place]),
            pool.addresses[place],
            pool.raw[place],
            f"{variable}: {fault}",
            f"the unit in the layout, for example {example}",
        )
        return None
    for place, text, why in read.faults:
        expected = "a number, or a mark for no value (—, …, blank)"
        journal.fault(int(pool.rows[place]), pool.addresses[place], text, why, expected)
    for place, text, decided in read.notes:
        journal.decide(pool.addresses[place], f"figure {text!r}", decided, "unlike the rest of its column")
    where = ", ".join(dict.fromkeys(column.column for column, _ in pool.members))
    top = pool.addresses[0] if pool.addresses else ""
    journal.decide(top, f"unit of {variable} (columns {where})", read.unit, read.evidence)
    faulty = {place for place, _, _ in read.faults}
    for place in np.flatnonzero(np.isnan(read.values)):
        if place not in faulty:
            journal.leave(int(pool.rows[place]), pool.addresses[place], pool.raw[place], f"no value of {variable}")
    return read


def _unit(column: ColumnLayout, rows: Rows, row: int, detected: Detected) -> tuple[str, str]:
    """Return code and name of the county of a figure: that of its column, else that of its row."""
    placed = detected.placed.get(column.column)
    return (rows.unit[row], rows.name[row]) if placed is None else (placed.code, placed.name)


def _heading(variable: str, header: str) -> str:
    """Return the name of a variable for the reading of its numbers, with its last header."""
    tail = header.rpartition(" / ")[2] if header else ""
    return (
        f"{variable} {'count 人次' if variable in COUNTS else ''} {tail}".strip()
        if variable not in SHARES
        else f"{variable} {tail}".strip()
    )


def _spell(unit: str | None) -> str | None:
    """Return a unit in the words of `read_numbers`; None where it must find it itself."""
    if unit is None:
        return None
    plain_unit = plain(unit).lower()
    words = {"%": "percent", "百分比": "percent", "pct": "percent", "‰": "per mille", "10k": "万"}
    if plain_unit in words:
        return words[plain_unit]
    return plain_unit


def _combine(of_column: Span | None, of_row: Span | None) -> Span | None:
    return of_column if of_column is not None else of_row


def _cumulative(span: Span | None, column: ColumnLayout, period: str, table: TableLayout) -> int:
    """Return whether a figure is cumulative, by its span, its header, its period's words, its table."""
    if span is None:
        return NO
    if span.cumulative or pattern_of("cumulative").search(period) or column.cumulative:
        return YES
    if column.cumulative is False:
        return NO
    return UNSAID if table.cumulative is None else YES if table.cumulative else NO


def _resolution(value: object, factor: float) -> float:
    """Half of the last digit that a figure is written with, in its own unit."""
    text = plain(value).replace(",", "")
    found = re.search(r"\d*\.(\d+)", text)
    own = 0.01 if text.endswith("%") else factor
    return 0.5 * own * 10.0 ** -(len(found[1]) if found else 0)
