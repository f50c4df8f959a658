"""Dates of three numbers set apart by slashes or hyphens: whether the day or the month comes first, by the whole column."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Sequence

from evalaid.base.errors import ReadingError

_THREE = re.compile(r"\s*(\d{1,2})([/-])(\d{1,2})\2((?:19|20)\d\d)\s*")

ASK = "a line 'day_first: true' (3/4/2019 is 3 April) or 'day_first: false' in the layout"


def is_day_first(cells: Iterable[object]) -> bool | None:
    """Return whether the day comes first in the dates of a column; None when no date shows it, or there are none.

    Examples
    --------
    >>> is_day_first(["3/15/2018", "12/1/2019"]), is_day_first(["15/3/2018"]), is_day_first(["3/4/2018"])
    (False, True, None)
    """
    found = [match for cell in cells if isinstance(cell, str) and (match := _THREE.fullmatch(cell))]
    first = any(int(match[1]) > 12 for match in found)
    second = any(int(match[3]) > 12 for match in found)
    return None if first == second else first


def settle_days(cells: Sequence[object], *, day_first: bool | None = None) -> tuple[list[object], str]:
    """Write the dates of a column of periods with the year first, and say why so.

    Their order is as stated, as a number above 12 shows, or that in which every date begins or ends a month.

    Raises
    ------
    ReadingError
        When both orders fit.

    Examples
    --------
    >>> settle_days(["01/02/2017", "01/03/2017"])
    (['2017-02-01', '2017-03-01'], "'01/02/2017' has the day first: only so every date begins or ends a month")
    """
    dates = [cell for cell in cells if is_open(cell)]
    if not dates:
        return list(cells), ""
    found, because = (
        (day_first, "the layout says so")
        if day_first is not None
        else (is_day_first(dates), "a number above 12 shows it")
    )
    if found is None:
        fits = [
            order for order in (True, False) if all(map(_is_edge, (in_order(cell, day_first=order) for cell in dates)))
        ]
        alike = all(in_order(cell, day_first=True) == in_order(cell, day_first=False) for cell in dates)
        if len(fits) != 1 and not alike:
            raise ReadingError(f"{dates[0]!r} and the like: the day or the month first? Expected one: {ASK}.")
        found, because = alike or fits[0], "only so every date begins or ends a month"
    return [
        in_order(cell, day_first=found) for cell in cells
    ], f"{dates[0]!r} has the {'day' if found else 'month'} first: {because}"


def _is_edge(text: object) -> bool:
    year, month, day = map(int, str(text).split("-"))
    return 1 <= month <= 12 and day in (1, calendar.monthrange(year, month)[1])


def is_open(cell: object) -> bool:
    """Return whether a cell is a date whose day and month can change places."""
    return isinstance(cell, str) and _THREE.fullmatch(cell) is not None


def in_order(cell: object, *, day_first: bool) -> object:
    """Write such a date as year, month and day; anything else is returned as it is.

    Examples
    --------
    >>> in_order("3/4/2019", day_first=True), in_order("3/4/2019", day_first=False), in_order("2019", day_first=True)
    ('2019-04-03', '2019-03-04', '2019')
    """
    match = _THREE.fullmatch(cell) if isinstance(cell, str) else None
    if match is None:
        return cell
    day, month = (int(match[1]), int(match[3])) if day_first else (int(match[3]), int(match[1]))
    return f"{match[4]}-{month:02d}-{day:02d}"
