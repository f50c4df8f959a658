"""Names and codes of counties as offices write them, to codes of GB/T 2260: `find_region`, `read_regions`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.reading.places.divisions import Divisions, load_divisions
from evalaid.reading.places.lookup import AS_CODE, AS_NAME, Candidates, Region, agree, is_blank, look_up

__all__ = ["Candidates", "Region", "Regions", "find_region", "former_counties", "read_regions"]


@dataclass(frozen=True)
class Regions:
    """Hold the divisions of a column."""

    regions: tuple[Region | Candidates | None, ...]  # one for each cell; None for an empty cell
    evidence: str  # how many were found, and how
    faults: list[tuple[int, str, str]]  # (position, text, why) of every cell that is no single division
    # (position, text, decided) of every cell that is not simply the code or the name as listed
    notes: list[tuple[int, str, str]]


def find_region(
    value: object, *, within: str | None = None, level: str | None = None, path: Path | str | None = None
) -> Region | Candidates:
    """Find the division that a name or a code means.

    Assumes the lists of 2002 to 2014 and 2023 (``data/regions/divisions.csv``). A former name is followed to the division
    that took it; a name that several divisions have is not decided without ``within`` or a code beside it.

    Examples
    --------
    >>> find_region("连南县").code, find_region("湟中县").how
    ('441826', '湟中县 (630122) was last listed in 2014; 湟中区 (630106) took its name')
    >>> find_region("鼓楼区").reason
    'several divisions have this name'
    >>> find_region("鼓楼区", within="福建省").code
    '350102'
    """
    divisions = load_divisions(path)
    return look_up(divisions, value, _inside(divisions, within), level)


def read_regions(
    cells: Sequence[object],
    *,
    codes: Sequence[object] | None = None,
    within: str | None = None,
    level: str | None = None,
    path: Path | str | None = None,
) -> Regions:
    """Find the divisions that a column of names or codes means.

    Examples
    --------
    >>> found = read_regions(["始兴县", "仁化县"], codes=[440222, 440229])
    >>> found.regions[0].code, found.faults
    ('440222', [(1, '仁化县', 'the code 440229 is 翁源县, the name is another (nearest: 仁化县 (440224, 韶关市), 翁源县 (440229, 韶关市))')])
    """
    if codes is not None and len(codes) != len(cells):
        raise ReadingError(f"{len(codes)} codes stand beside {len(cells)} names. Expected one code for each name.")
    divisions = load_divisions(path)
    prefix = _inside(divisions, within)
    known: dict[tuple[str, str], Region | Candidates | None] = {}
    found: list[Region | Candidates | None] = []
    for at, cell in enumerate(cells):
        code = None if codes is None else codes[at]
        key = (repr(cell), repr(code))
        if key not in known:
            known[key] = _find_pair(divisions, cell, code, prefix, level)
        found.append(known[key])
    faults, notes = [], []
    for at, region in enumerate(found):
        text = str(cells[at]) if not is_blank(cells[at]) or codes is None else str(codes[at])
        if isinstance(region, Candidates):
            near = ", ".join(map(str, region.regions))
            faults.append((at, text, region.reason + (f" (nearest: {near})" if near else "")))
        elif region is not None and region.how not in {AS_CODE, AS_NAME}:
            notes.append((at, text, f"{region}: {region.how}"))
    right = [region for region in found if isinstance(region, Region)]
    evidence = f"{len(right)} of {len(found)} cells are divisions ({len({region.code for region in right})} different)."
    return Regions(tuple(found), evidence, faults, notes)


def former_counties(path: Path | str | None = None) -> pd.DataFrame:
    """List the codes of former counties whose land goes under another code today, because another division took the name.

    Examples
    --------
    >>> former = former_counties().set_index("was")
    >>> former.loc[440183, "now"], former.loc[440183, "how"]
    (np.int32(440118), '增城市 (440183) was last listed in 2013; 增城区 (440118) took its name')
    """
    return _former(load_divisions(path)).copy()


@cache
def _former(divisions: Divisions) -> pd.DataFrame:
    gone = [code for code, known in divisions.by_code.items() if not known[-1].current and known[-1].level == "county"]
    found = [(code, look_up(divisions, code, "", "county")) for code in gone]
    rows = [(int(code), int(region.code), region.how) for code, region in found if isinstance(region, Region)]
    table = pd.DataFrame(rows, columns=["was", "now", "how"]).astype({"was": "int32", "now": "int32"})
    return table[table["was"] != table["now"]].reset_index(drop=True)


def _inside(divisions: Divisions, within: str | None) -> str:
    """The leading digits of every code inside ``within``."""
    if within is None:
        return ""
    found = look_up(divisions, within, "", None)
    if isinstance(found, Candidates) and {region.level for region in found.regions} == {"prefecture", "province"}:
        found = next(region for region in found.regions if region.level == "province")
    if isinstance(found, Candidates) or found.level == "county":
        why = found if isinstance(found, Candidates) else f"{found} is a county"
        raise ReadingError(f"within={within!r} is no province or prefecture: {why}. Expected one, as a name or a code.")
    return found.code[:2] if found.level == "province" else found.code[:4]


def _find_pair(
    divisions: Divisions, cell: object, code: object, prefix: str, level: str | None
) -> Region | Candidates | None:
    if is_blank(cell):
        return None if is_blank(code) else look_up(divisions, code, prefix, level)
    if is_blank(code):
        return look_up(divisions, cell, prefix, level)
    by_code = look_up(divisions, code, prefix, level)
    if isinstance(by_code, Candidates):
        return by_code
    by_name = look_up(divisions, cell, prefix, level)
    return agree(by_code, by_name, cell)
