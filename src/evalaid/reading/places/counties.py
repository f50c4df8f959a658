"""Which county a row or a column is of, or why it is none: totals, prefectures, unknown names."""

from __future__ import annotations

from dataclasses import dataclass

from evalaid.reading.journal.decisions import Journal
from evalaid.reading.journal.layouts import TableLayout
from evalaid.reading.places.regions import Region, find_region, read_regions
from evalaid.reading.values.kinds import plain
from evalaid.reading.words.vocabulary import pattern_of


@dataclass(frozen=True)
class PlacedUnit:
    """Code and name of a row's unit, or why the row is left out, or what is wrong with it."""

    code: str = ""
    name: str = ""
    left_out: str = ""
    fault: str = ""


def bare(text: str) -> str:
    """Take the words "of which" from the front of a name."""
    return pattern_of("of_which").sub("", text)


def is_total(text: str, table: TableLayout) -> bool:
    """Return whether a name is that of a total or an average, by its words or by the layout."""
    text = plain(text)
    return bool(pattern_of("total_row").fullmatch(text)) or text in {plain(total) for total in table.totals}


def read_heading(
    row: int, text: str, heading: str | None, within: str | None, units: str, journal: Journal
) -> str | None:
    """Take a row with one text as a heading: a prefecture's name says where the rows below it lie."""
    if units == "counties" and not pattern_of("total_row").fullmatch(text) and (place := _larger(text, within)):
        journal.leave(row, "", text, "a heading; the rows below it lie in it")
        return place
    journal.leave(row, "", text, "a heading or a note: one text and nothing else")
    return heading


def _larger(text: str, within: str | None) -> str | None:
    """Return the code of a prefecture or province; None for anything else."""
    found = find_region(text, within=within)
    return found.code if isinstance(found, Region) and found.level != "county" else None


def place_unit(
    row: int, code: str, name: str, near: str, within: str | None, units: str, table: TableLayout, journal: Journal
) -> PlacedUnit:
    """Find code and name of a row's unit, or why it has none."""
    name = bare(name)
    if units == "as_written":
        return PlacedUnit(code or " ".join(part for part in (near, name) if part), name or code)
    return _find_county(row, code, name, near, within, table, journal)


def _find_county(
    row: int, code: str, name: str, near: str, within: str | None, table: TableLayout, journal: Journal
) -> PlacedUnit:
    """Find the county of China that a row's code or name means."""
    place = (_larger(near, within) if near else None) or within
    codes = [code] if code and name else None
    read = read_regions([name or code], codes=codes, within=place)
    found = read.regions[0]
    if not isinstance(found, Region) and place != within:  # the heading above may have ended without a word
        wider = read_regions([name or code], codes=codes, within=within)
        read = wider if isinstance(wider.regions[0], Region) else read
        found = read.regions[0]
    if not isinstance(found, Region):
        _, text, why = read.faults[0]
        return PlacedUnit(fault=f"{text}: {why}")
    kept = {plain(text) for text in table.keep}
    if found.level != "county" and not {name, code, found.name, found.code} & kept:
        return PlacedUnit(left_out=f"a {found.level} ({found.code}), no county: a subtotal")
    for _, text, decided in read.notes:
        journal.decide(f"row {row + 1}", f"unit {text!r}", decided, "the list of administrative divisions")
    return PlacedUnit(found.code, found.name)
