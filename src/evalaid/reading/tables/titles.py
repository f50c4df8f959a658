"""What titles, notes and the names of sheet and file say about a whole table: its period, variable, edition, counts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from evalaid.base.names import INSIDE, OUTSIDE, PERIOD, SHARE, TOTAL, YEAR
from evalaid.reading.journal.decisions import Journal
from evalaid.reading.journal.layouts import ColumnLayout, TableLayout
from evalaid.reading.places.regions import Region, find_region
from evalaid.reading.tables.column_roles import is_value, read_header
from evalaid.reading.tables.headers import TableBlock
from evalaid.reading.tables.table_rows import rank_edition
from evalaid.reading.values.calendar_words import write_months
from evalaid.reading.values.kinds import LONGEST_HEADER, CellKind, classify, plain, split_period
from evalaid.reading.words.vocabulary import joined, pattern_of

_YEAR = re.compile(r"(?:19|20)\d{2}")
_COUNTY = re.compile(r"^.{1,11}?(?:自治县|县|市|区|旗)")
_DAY = re.compile(r"[(（]?截?至?(?:19|20)\d{2}年\d{1,2}月\d{1,2}日[^,，;；]*")
SHEET, FILE = "name of the sheet", "name of the file"


def _without_day_of_filing(text: str) -> str:
    """Leave out when a table was made or sent: it is no period of its figures."""
    return _DAY.sub("", re.sub(rf"[(（]?({joined('filed')})[^,，;；]*", "", text))


def find_variable(block: TableBlock, journal: Journal) -> tuple[str, str]:
    """Find the variable, and its unit, of a table whose columns are periods in its titles, its sheet's name or its file's name."""
    texts = [note.text for note in block.above] + [journal.grid.sheet, Path(journal.grid.file).stem]
    for text in texts:
        _, rest = split_period(plain(text))
        pieces = pattern_of("title").split(rest)
        for piece in [rest, *pieces]:
            if is_value(read := read_header([piece]).read if piece else ""):
                return read, read_header([rest]).unit
    return "", ""


def find_place(block: TableBlock, journal: Journal, within: str | None) -> tuple[str, str]:
    """Find the one county that titles, the sheet's or the file's name give the whole table, and where it stands."""
    texts = [(note.text, journal.grid.address(note.row, note.column)) for note in block.above]
    texts += [(journal.grid.sheet, SHEET), (Path(journal.grid.file).stem, FILE)]
    found: dict[str, tuple[str, str]] = {}
    for text, where in texts:
        rest = split_period(plain(text))[1]
        for piece in (rest, *(match[0] for match in _COUNTY.finditer(rest))):
            region = find_region(piece, within=within) if piece else None
            if isinstance(region, Region) and region.level == "county":
                found.setdefault(region.code, (piece, where))
                break
    return next(iter(found.values())) if len(found) == 1 else ("", "")


def find_period(
    given: TableLayout, block: TableBlock, columns: list[ColumnLayout], journal: Journal
) -> tuple[str, int | None]:
    """Find the period, or only the year, that a title, the sheet or the file gives the whole table."""
    own = {column.read for column in columns}
    by_column = any(column.period for column in columns if is_value(column.read))
    needs_period = PERIOD not in own and YEAR not in own and not by_column
    nearest = (
        [_TitlePeriod(given.period, given.period, "layout")] if given.period else _periods_of_titles(block, journal)
    )
    years = list(dict.fromkeys(entry.year for entry in nearest if entry.year))
    year = int(years[0]) if len(years) == 1 else None
    said = "; ".join(f"{entry.where}: {entry.text!r}" for entry in nearest)
    if len(years) > 1:
        journal.decide("", "year of periods that have none", "none", f"titles and sheet name several years ({said})")
    if not needs_period:
        return (given.period or ""), year
    if not years and not any(is_value(read) for read in own):
        return "", year  # without figures there is nothing to date
    if len(years) != 1:
        fault = (
            f"the titles and the sheet name several years: {said}"
            if years
            else "no period: neither rows nor columns, title, sheet or file name one"
        )
        expected = "a line 'period: 2019Q3' in this table of the layout, or a column of periods"
        journal.fault(block.header[0], "", "", fault, expected)
        return "", None
    period, where = _most_exact(nearest)
    address = where.partition(":")[0]
    cell = address if re.fullmatch(r"[A-Z]+\d+", address) else ""
    journal.decide(cell, "period of the whole table", period, where)
    return period, year


@dataclass(frozen=True)
class _TitlePeriod:
    """A period in a title, or in the name of the sheet or the file."""

    period: str
    text: str
    where: str

    @property
    def year(self) -> str:
        found = _YEAR.search(self.period)
        return found[0] if found else ""


def _periods_of_titles(block: TableBlock, journal: Journal) -> list[_TitlePeriod]:
    """List the periods that titles, sheet and file name; the file's only where no other does, for it may tell when it was sent."""
    texts = [
        (note.text, journal.grid.address(note.row, note.column))
        for note in block.above
        if classify(note.text) != CellKind.NOTE or len(note.text) > LONGEST_HEADER
    ]
    texts += [(journal.grid.sheet, SHEET), (Path(journal.grid.file).stem, FILE)]
    read = [(_without_day_of_filing(write_months(plain(text))), where) for text, where in texts if text]
    found = [
        _TitlePeriod(period, text, where)
        for text, where in read
        if (period := split_period(text)[0])
        and not pattern_of("several_years").search(text)  # 2018-2021年 is the span of the panel
    ]
    return [entry for entry in found if entry.where != FILE] or found


def _most_exact(nearest: list[_TitlePeriod]) -> tuple[str, str]:
    """Return the period that says most (a quarter says more than a year), put together from two titles if need be, and its evidence."""
    best = max((entry for entry in nearest if entry.year), key=lambda entry: len(entry.period) > 5)
    period = best.period
    part = next((entry.period for entry in nearest if not entry.year), "")
    if part and len(period) <= 5 and not split_period(period)[1]:
        period = f"{period.rstrip('年')}年{part}"
    if pattern_of("cumulative").search(best.text):
        period += "累计"
    return period, f"{best.where}: {best.text!r}"


def say_cumulative(block: TableBlock, journal: Journal) -> bool | None:
    """Find a note that says that figures are cumulative, or that they are not."""
    for note in block.above + block.below:
        text = plain(note.text)
        if pattern_of("single").search(text) or pattern_of("cumulative").search(text):
            answer = not pattern_of("single").search(text)
            journal.decide(
                journal.grid.address(note.row, note.column),
                "figures that say neither",
                "cumulative" if answer else "each period alone",
                f"the note {text!r}",
            )
            return answer
    return None


def say_whose(block: TableBlock, columns: list[ColumnLayout], journal: Journal) -> None:
    """Record whose episodes a total counts that stands without a count inside or outside: residents', or the hospitals' own.

    The share needs residents', wherever they were treated. A table of the work of hospitals has the same headers.
    """
    totals = [column for column in columns if column.read == TOTAL]
    if not totals or {column.read for column in columns} & {INSIDE, OUTSIDE, SHARE}:
        return
    texts = [column.header for column in totals]
    texts += [plain(note.text) for note in block.above] + [journal.grid.sheet, Path(journal.grid.file).stem]
    said = next((text for text in texts if pattern_of("of_residents").search(text)), "")
    work = next((text for text in texts if pattern_of("of_hospitals").search(text)), "")
    if said:
        journal.decide("", "whose episodes the total counts", "residents'", f"{said!r}")
        return
    why = f"{work!r} speaks of hospitals" if work else "no header or title says it"
    journal.decide(
        "",
        "whose episodes the total counts",
        "residents', wherever they were treated: to be checked",
        f"{why}; the patients of the county's own hospitals would give another share",
    )


def find_edition(block: TableBlock, journal: Journal) -> int | None:
    """Find the edition that a title, the sheet or the file gives all figures of the table (初步数, 修订数)."""
    texts = [(note.text, journal.grid.address(note.row, note.column)) for note in block.above]
    texts += [(journal.grid.sheet, ""), (Path(journal.grid.file).stem, "")]
    for text, where in texts:
        if (rank := rank_edition(plain(text))) is not None:
            journal.decide(
                where,
                "edition of the whole table",
                str(rank),
                f"{plain(text)!r}; the highest edition of a figure stays",
            )
            return rank
    return None
