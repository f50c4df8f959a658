"""What each row of a table is: data of one unit, a total, a heading, a repeated header, a note."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evalaid.base.errors import ReadingError
from evalaid.base.names import BASE, CITY, CODE, EDITION, INDICATOR, MEASURE, NAME, PERIOD, PROVINCE, YEAR
from evalaid.reading.files.grids import Grid
from evalaid.reading.journal.decisions import Journal, show
from evalaid.reading.journal.layouts import TableLayout
from evalaid.reading.places.counties import PlacedUnit, is_total, place_unit, read_heading
from evalaid.reading.tables.headers import TableBlock, fill_down, is_numbering
from evalaid.reading.values.calendar_words import NO_YEAR
from evalaid.reading.values.kinds import CellKind, classify, plain, split_period
from evalaid.reading.values.spans import Span, read_spans
from evalaid.reading.words.vocabulary import pattern_of, patterns


@dataclass
class Rows:
    """Hold the rows of data of a table, in their order."""

    position: list[int] = field(default_factory=list)  # row in the grid, from zero
    unit: list[str] = field(default_factory=list)  # code and name of the unit
    name: list[str] = field(default_factory=list)  # code and name of the unit
    span: list[Span | None] = field(default_factory=list)  # period of the row; None when columns or the table have it
    period: list[str] = field(default_factory=list)  # the period as written
    indicator: list[str] = field(default_factory=list)  # variable of the row, where rows hold indicators; else empty
    edition: list[int | None] = field(default_factory=list)  # order of the edition that the row says it is


_IN_HEADER = PlacedUnit("in the header")


def read_rows(
    block: TableBlock,
    table: TableLayout,
    roles: Mapping[str, Sequence[int]],
    journal: Journal,
    *,
    year: int | None,
    within: str | None,
    units: str,
    across: bool = False,
) -> Rows:
    """Separate data from what is not, and find unit, period, indicator and edition of every row.

    Assumes that every row of data says its unit by code or name; a blank name below a name belongs to it when the row has a
    period of its own.
    """
    grid = journal.grid
    cells = fill_down(grid)
    headers = {plain(value) for row in range(block.header[0], block.header[1] + 1) for value in cells[row]} - {""}
    keys = [column for role in (NAME, CODE) for column in roles.get(role, ())]
    rows = Rows()
    seen: dict[tuple[str, str, str], PlacedUnit] = {}
    heading: str | None = None
    last = PlacedUnit()
    blanks: list[int] = []
    bases: dict[str, int] = {}
    follows: list[int] = []

    def place(row: int, code: str, name: str, near: str) -> PlacedUnit:
        if (code, name, near) not in seen:
            seen[code, name, near] = place_unit(row, code, name, near, within, units, table, journal)
        return seen[code, name, near]

    for row in range(block.data[0], block.data[1] + 1):
        filled = np.flatnonzero([classify(value) != CellKind.BLANK for value in cells[row]])
        if not len(filled):
            continue
        texts = [plain(cells[row, column]) for column in filled]
        shown = "; ".join(show(cells[row, column]) for column in filled[:3])
        if row + 1 in table.leave_out:
            journal.leave(row, "", shown, "the layout leaves it out")
            continue
        if len(filled) > 1 and set(texts) <= headers:
            journal.leave(row, "", shown, "the header again")
            continue
        if is_numbering(cells[row]):
            journal.leave(row, "", shown, "numbers of the columns")
            continue
        if len(set(texts)) == 1:
            other = split_period(texts[0])[0]
            noted = classify(cells[row, filled[0]]) == CellKind.NOTE
            elsewhere = bool(roles.get(PERIOD) or roles.get(YEAR)) or noted or texts[0] in headers
            if re.search(r"\d{4}", other) and not elsewhere and other not in plain(table.period):
                journal.fault(
                    row,
                    grid.address(row, int(filled[0])),
                    texts[0],
                    f"a title inside the table names {other}: figures below it would get the period of the header or the title above",
                    "one table per sheet: the rows below it on a sheet of their own, or a column of periods",
                )
            heading = read_heading(row, texts[0], heading, within, units, journal)
            continue
        code = next((plain(cells[row, column]) for column in roles.get(CODE, ()) if plain(cells[row, column])), "")
        name = next((plain(cells[row, column]) for column in roles.get(NAME, ()) if plain(cells[row, column])), "")
        city = next(
            (plain(cells[row, c]) for role in (CITY, PROVINCE) for c in roles.get(role, ()) if plain(cells[row, c])), ""
        )
        keyed = pattern_of("of_which").sub("", name or code)
        if any(is_total(text, table) for text in (name, code, city) if text) and keyed not in table.keep:
            last = PlacedUnit(left_out="a total or average, by its name")
            journal.leave(row, "", name or code or city, last.left_out)
            continue
        dates = [plain(cells[row, column]) for role in (PERIOD, YEAR) for column in roles.get(role, ())]
        if any(pattern_of("total_row").fullmatch(text) for text in dates if text):
            journal.leave(row, "", "; ".join(text for text in (name or code, *dates) if text), "a total over periods")
            last = last if not keyed else place(row, code, name, city or heading or "")
            continue
        said = "".join(plain(cells[row, column]) for column in roles.get(BASE, ())[:1])
        if said and table.base is not None and said != plain(table.base):
            journal.leave(row, "", said, f"another base than the layout's {table.base}")
            last = last if not keyed else place(row, code, name, city or heading or "")
            continue
        if said:
            bases.setdefault(said, row)
        told = any(plain(cells[row, c]) for r in (PERIOD, YEAR, INDICATOR) for c in roles.get(r, ()))
        if across and told:
            unit = _IN_HEADER
        elif not keyed and last != PlacedUnit() and told:
            unit = last
            blanks.append(row)
        elif not keyed:
            if any(classify(cells[row, column]) == CellKind.NUMBER for column in filled):
                journal.fault(
                    row,
                    _address(grid, row, keys),
                    shown,
                    "a row with figures and without a period or an indicator"
                    if across
                    else "a row with figures and without a unit",
                    "a period or an indicator, or the row in leave_out"
                    if across
                    else "a county's name or code, or the row in leave_out",
                )
            else:
                journal.leave(row, "", shown, "a note: no unit and no figure")
            continue
        else:
            unit = last = place(row, code, name, city or heading or "")
        if unit.fault:
            journal.fault(
                row,
                _address(grid, row, keys),
                name or code,
                unit.fault,
                "a county's name or code, the row in leave_out, or in the layout 'within: 广东省' where several have the name, or 'units: as_written' where "
                "units are no counties of China",
            )
        if unit.left_out:
            journal.leave(row, "", name or code, unit.left_out)
        if not unit.code:
            continue
        rows.position.append(row)
        rows.unit.append("" if across else unit.code)
        rows.name.append(unit.name)
        indicator = "".join(plain(cells[row, column]) for column in roles.get(INDICATOR, ())[:1])
        measure = "".join(plain(cells[row, column]) for column in roles.get(MEASURE, ())[:1])
        if not indicator and rows.indicator and rows.indicator[-1] and rows.unit[-1] == rows.unit[-2]:
            indicator = rows.indicator[-1]
            follows.append(row)
        elif indicator and measure:
            indicator += f"({measure})"
        rows.indicator.append(indicator)
        rows.edition.append(rank_edition(" ".join(plain(cells[row, column]) for column in roles.get(EDITION, ()))))
    if len(bases) > 1:
        listed = ", ".join(bases)
        first = min(bases.values())
        journal.fault(
            first,
            _address(grid, first, roles[BASE]),
            next(iter(bases)),
            f"the rows have several bases: {listed}; figures of two populations make no share",
            f"a line 'base: {next(iter(bases))}' in this table of the layout",
        )
    if blanks:
        where = f"{grid.address(blanks[0], keys[0])} and below" if keys else ""
        journal.decide(
            where, "blank names", "the unit above them", f"{len(blanks)} rows have a period or an indicator and no name"
        )
    if follows:
        where = f"{grid.address(follows[0], roles[INDICATOR][0])} and below"
        journal.decide(where, "blank indicators", "the indicator above them", f"{len(follows)} rows of data have none")
    step = table.step or _step_of_header(block, [*roles.get(PERIOD, ()), *roles.get(YEAR, ())])
    _read_periods(cells, rows, roles, year, step, journal)
    return rows


def rank_edition(text: str) -> int | None:
    """Return the order of an edition of a figure by its words.

    Assumes that preliminary figures come before official ones, these before revised and final ones.

    Examples
    --------
    >>> rank_edition("初步数"), rank_edition("修订数"), rank_edition("二次修订"), rank_edition("2019年")
    (0, 20, 22, None)
    """
    found = [rank for rank, words in patterns("editions").items() if words.search(text)]
    if not found:
        return None
    again = re.search(r"第?([二三四五2-5])次", text)
    return 10 * max(found) + (
        "二三四五".find(again[1]) % 10 + 2 if again and not again[1].isdigit() else int(again[1]) if again else 0
    )


def _address(grid: Grid, row: int, columns: Sequence[int]) -> str:
    return grid.address(row, columns[0]) if columns else ""


def _read_periods(
    cells: np.ndarray,
    rows: Rows,
    roles: Mapping[str, Sequence[int]],
    year: int | None,
    step: str | None,
    journal: Journal,
) -> None:
    """Read the periods of all rows together: a column is one series."""
    part, whole = roles.get(PERIOD, ()), roles.get(YEAR, ())
    if not part and not whole:
        rows.span = [None] * len(rows.position)
        rows.period = [""] * len(rows.position)
        return
    column = (part or whole)[0]
    filled = _fill(cells, rows.position, column, journal)
    years = _fill(cells, rows.position, whole[0], journal) if part and whole else None
    pairs = [(repr(value), plain(of)) for value, of in zip(filled, years or [None] * len(filled), strict=True)]
    places: dict[tuple[str, str], int] = {}
    for at, pair in enumerate(pairs):
        places.setdefault(pair, at)  # every period once: a column has few
    firsts = list(places.values())
    each = [None] * len(firsts) if years is None else [years[at] for at in firsts]
    try:
        read = read_spans([filled[at] for at in firsts], year=year if years is None else each, step=step)
    except ReadingError as error:
        journal.fault(rows.position[0], journal.grid.address(rows.position[0], column), filled[0], *ask_for_step(error))
        rows.span, rows.period = [None] * len(filled), [str(value).strip() for value in filled]
        return
    number = {pair: place for place, pair in enumerate(places)}
    wrong = {at: (text, why) for at, text, why in read.faults}
    for row, pair in zip(rows.position, pairs, strict=True):
        if number[pair] in wrong:
            text, why = wrong[number[pair]]
            journal.fault(
                row,
                journal.grid.address(row, column),
                text,
                why,
                _dated(why, "2019年第三季度, 2019Q3, 2019年1-9月 or 2019"),
            )
    top = rows.position[0] if rows.position else 0
    journal.decide(journal.grid.address(top, column), "periods of the rows", read.evidence, "read as one column")
    rows.span = [read.spans[number[pair]] for pair in pairs]
    rows.period = [str(value).strip() for value in filled]


def _step_of_header(block: TableBlock, columns: Sequence[int]) -> str | None:
    """Decide by its header what dates or plain numbers in a column of periods stand for (季度, 月份)."""
    header = "".join(block.paths[columns[0]]).lower() if columns else ""
    found = [step for step, words in patterns("steps").items() if words.search(header)]
    return found[0] if len(found) == 1 else None


def ask_for_step(error: ReadingError) -> tuple[str, str]:
    """Return what is wrong with periods that may be several things, and what settles it."""
    return str(error).partition(" Expected one:")[0].rstrip(
        "."
    ), "a line 'step: quarter' (or month, half-year, year) in this table of the layout"


def _dated(why: str, examples: str) -> str:
    year = ", or a line 'period: 2019' in this table of the layout, which gives the year" if why == NO_YEAR else ""
    return f"a period such as {examples}{year}"


def _fill(cells: np.ndarray, position: Sequence[int], column: int, journal: Journal) -> list[object]:
    """Return the periods of all rows; a blank one is that of the row above."""
    filled: list[object] = []
    blank = []
    for row in position:
        if plain(cells[row, column]):
            filled.append(cells[row, column])
        else:
            filled.append(filled[-1] if filled else None)
            blank.append(row)
    if blank:
        where = f"{journal.grid.address(blank[0], column)} and below"
        journal.decide(where, "blank periods", "the period above them", f"{len(blank)} rows of data have none")
    return filled
