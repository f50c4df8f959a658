"""The administrative divisions of China from 2002 on: their codes, names, short forms, and what became of former ones."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from evalaid.base.errors import ReadingError
from evalaid.base.project import shipped_root
from evalaid.reading.words.vocabulary import load_words

DIVISIONS = Path("data") / "regions" / "divisions.csv"
LATEST = 2023
"""Year of the newest list; a division that is in it is current."""

_PEOPLES: list[str] = load_words("characters")["peoples"]
"""Peoples in the names of autonomous divisions, with the shorter forms that occur."""

_AUTONOMOUS = {"自治区": "区", "自治州": "州", "自治县": "县", "自治旗": "旗"}
_ENDINGS = ("特别行政区", "地区", "林区", "特区", "省", "市", "县", "区", "旗", "州", "盟")
_GENERIC = ("矿区", "郊区", "城区", "新区")
"""Districts named by what they are; without the ending nothing of the name is left that is theirs."""


@dataclass(frozen=True)
class Division:
    """Hold one name of one code."""

    code: str  # GB/T 2260 code, six digits
    name: str  # name as listed
    first_listed: int  # years of the first and the last list with this code and name
    last_listed: int  # years of the first and the last list with this code and name

    @property
    def current(self) -> bool:
        """Whether it is in the newest list (Taiwan, Hong Kong and Macao are in no list after 2014)."""
        return self.last_listed == LATEST or self.code[:2] in {"71", "81", "82"}

    @property
    def level(self) -> str:
        """Its level: "province", "prefecture" or "county"."""
        return "province" if self.code.endswith("0000") else "prefecture" if self.code.endswith("00") else "county"


@dataclass(frozen=True, eq=False)
class Divisions:
    """Hold all divisions, findable by code and by any form of the name."""

    by_code: dict[str, tuple[Division, ...]]  # code -> its divisions, the latest name last
    # form of a name -> (rank, division) pairs: 0 current name, 1 current name without its peoples, 2 former
    # name, 3 former without peoples, 4 current without its ending, 5 former without its ending
    by_form: dict[str, tuple[tuple[int, Division], ...]]

    def current(self, code: str) -> Division | None:
        """Return the division that has a code today, if there is one."""
        found = self.by_code.get(code, ())
        return found[-1] if found and found[-1].current else None

    def successor(self, former: Division) -> Division | None:
        """Find what a former division is called today.

        Assumes that one name is borne once in a prefecture; that a division that took the name, with the same or another ending, in the same prefecture (else in the
        same province), first listed in or after the last year of the former name, continues it. Whether its land is the same is in no list.
        """
        namesakes = [d for _, d in self.by_form.get(former.name, ()) if d.current and d.name == former.name]
        by_province = former.code[2] == "9"  # administered by the province: such codes were given anew more than once
        same = [d for d in namesakes if d.code[: 2 if by_province else 4] == former.code[: 2 if by_province else 4]]
        if len(same) == 1:
            return same[0]
        forms = {former.name, stem(former.name)}
        rivals = {
            division
            for form in forms
            for _, division in self.by_form.get(form, ())
            if division.current
            and division.level == former.level
            and division.first_listed >= former.last_listed
            and forms & {division.name, stem(division.name)}
        }
        for digits in (4, 2):
            near = [division for division in rivals if division.code[:digits] == former.code[:digits]]
            if near:
                return near[0] if len(near) == 1 else None
        return self.current(former.code)


def load_divisions(path: Path | str | None = None) -> Divisions:
    """Read the list of divisions.

    Examples
    --------
    >>> load_divisions().current("441826").name
    '连南瑶族自治县'
    """
    return _load(Path(path) if path is not None else _find())


def stem(name: str) -> str:
    """Take a name without its peoples and its ending.

    Assumes a name as listed. What would leave less than two characters, or nothing that is the division's own, stays.

    Examples
    --------
    >>> stem("连南瑶族自治县"), stem("梅县"), stem("鄂温克族自治旗"), stem("始兴县"), stem("内蒙古自治区")
    ('连南', '梅县', '鄂温克', '始兴', '内蒙古')
    """
    for ending in _AUTONOMOUS:
        if name.endswith(ending):
            return _without_peoples(name.removesuffix(ending))
    if name in _GENERIC:
        return name
    for ending in _ENDINGS:
        if name.endswith(ending):
            rest = name.removesuffix(ending)
            return rest if len(rest) > 1 else name
    return name


def short_forms(name: str) -> tuple[str, ...]:
    """List the forms of an autonomous division's name without its peoples.

    Examples
    --------
    >>> short_forms("连南瑶族自治县"), short_forms("始兴县")
    (('连南县', '连南自治县'), ())
    """
    for ending, short in _AUTONOMOUS.items():
        if name.endswith(ending):
            rest = _without_peoples(name.removesuffix(ending))
            return (rest + short, rest + ending)
    return ()


def _without_peoples(name: str) -> str:
    shorter = True
    while shorter:
        shorter = False
        for people in _PEOPLES:
            if name.endswith(people) and len(name) - len(people) >= 2:
                name, shorter = name.removesuffix(people), True
    return name.removesuffix("族") if name in _PEOPLES else name


def _find() -> Path:
    for start in (Path.cwd(), shipped_root()):
        for folder in (start, *start.parents):
            if (folder / DIVISIONS).is_file():
                return folder / DIVISIONS
    raise ReadingError(
        f"The list of administrative divisions ({DIVISIONS.as_posix()}) was not found in any folder above the working "
        "directory. Change into the project's folder, or say where the list is."
    )


@cache
def _load(path: Path) -> Divisions:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            divisions = [
                Division(row["code"], row["name"], int(row["first_listed"]), int(row["last_listed"]))
                for row in csv.DictReader(stream)
            ]
    except (OSError, UnicodeError, KeyError, ValueError, TypeError) as error:
        message = f"{path.name}: the list of divisions cannot be read ({error}). Expected columns code, name, first_listed, last_listed."
        raise ReadingError(message) from error
    by_code: dict[str, list[Division]] = defaultdict(list)
    by_form: dict[str, dict[Division, int]] = defaultdict(dict)
    for division in sorted(divisions, key=lambda division: (division.code, division.last_listed)):
        by_code[division.code].append(division)
        former = 0 if division.current else 2
        forms = [(former, division.name)]
        forms += [(former + 1, form) for form in short_forms(division.name)]
        forms += [(4 + former // 2, stem(division.name))]
        for rank, form in forms:
            by_form[form].setdefault(division, rank)
    return Divisions(
        {code: tuple(found) for code, found in by_code.items()},
        {form: _ranked(found) for form, found in by_form.items()},
    )


def _ranked(found: dict[Division, int]) -> tuple[tuple[int, Division], ...]:
    return tuple(
        sorted(((rank, division) for division, rank in found.items()), key=lambda pair: (pair[0], pair[1].code))
    )
