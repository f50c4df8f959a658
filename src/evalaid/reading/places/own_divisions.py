"""A list of divisions of any country that a user names: units by code or name, followed from former to present: `OwnDivisions`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from evalaid.base.errors import ReadingError
from evalaid.reading.files.grids import open_grids
from evalaid.reading.values.comparable_names import comparable, name_text, nearest_names
from evalaid.reading.values.kinds import plain

COLUMNS = ("code", "name", "parent", "valid_from", "valid_to")
"""Columns of the list; the first two are needed, ``parent`` is the code or the name of the larger division."""


@dataclass(frozen=True)
class OwnDivision:
    """One division of a list: its code and name as they are written, the name of what it lies in, and when it ended."""

    code: str
    name: str
    parent: str
    valid_to: str


@dataclass(frozen=True, eq=False)
class OwnDivisions:
    """A list of divisions, findable by code, by name, and by the name of the larger division with its own."""

    file: str
    by_key: Mapping[str, tuple[OwnDivision, ...]]

    @classmethod
    def read(cls, path: Path | str) -> OwnDivisions:
        """Read a list from a csv file or a workbook with the columns of `COLUMNS`; codes are text.

        Raises
        ------
        ReadingError
            If it cannot be opened, or has no codes and names.
        """
        return _read(str(path))

    def find(self, unit: str, name: str) -> OwnDivision | str:
        """Return the division that a unit is today, or why there is none."""
        for text in (unit, name):
            found = self.by_key.get(comparable(text), ())
            present = [division for division in found if not division.valid_to] or list(found)
            if len({division.code for division in present}) == 1:
                return self._today(present[0])
            if present:
                shown = ", ".join(f"{division.name} ({division.code}, {division.parent})" for division in present[:4])
                return f"{text!r} is several divisions of {self.file}: {shown}"
        shown_names = {key: [f"{found[0].name} ({found[0].code})"] for key, found in self.by_key.items()}
        near = nearest_names(name or unit, shown_names)
        return f"{unit!r} is not in {self.file}" + (f" (nearest: {', '.join(near)})" if near else "")

    def _today(self, division: OwnDivision) -> OwnDivision:
        """The division that has the name of a former one now, in the same larger one; a former one that has none stays."""
        if not division.valid_to:
            return division
        heirs = [
            other
            for other in self.by_key[comparable(division.name)]
            if not other.valid_to and other.parent == division.parent
        ]
        return heirs[0] if len(heirs) == 1 else division


@cache
def _read(path: str) -> OwnDivisions:
    grid = open_grids(path)[0]
    header = [plain(value).lower() for value in grid.cells[0]]
    place = {name: header.index(name) for name in COLUMNS if name in header}
    if not {"code", "name"} <= place.keys():
        raise ReadingError(
            f"{grid.file}: the list of divisions has the columns {', '.join(header)}. Expected code and name, and if there are any "
            "parent, valid_from and valid_to."
        )
    rows = [{name: name_text(row[at]) for name, at in place.items()} for row in grid.cells[1:]]
    names = {row["code"]: row["name"] for row in rows}
    found: dict[str, list[OwnDivision]] = defaultdict(list)
    for row in rows:
        if not row["code"] or not row["name"]:
            continue
        above = row.get("parent", "")
        division = OwnDivision(row["code"], row["name"], names.get(above, above), row.get("valid_to", ""))
        for key in dict.fromkeys(map(comparable, (division.code, division.name, f"{division.parent} {division.name}"))):
            found[key].append(division)
    return OwnDivisions(grid.file, {key: tuple(divisions) for key, divisions in found.items()})
