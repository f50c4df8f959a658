"""What may be written about people: no small counts, and nothing that names one.

Counts of people or episodes (the unit "episodes" of a table's column) below a threshold are hidden, with as many others as are
needed so that none can be computed from what is shown. Counts of counties, hospitals and periods are no counts of people and are
left as they are. A column that looks like an identity number, a telephone number, a pseudonym or a name is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd

from evalaid.errors import ReadingError
from evalaid.names import PERSON_COLUMNS, plain_name

THRESHOLD = 5
"""Counts below this are hidden. It may be raised, never lowered."""
EPISODES = "episodes"
"""Unit of a column that counts people or their episodes."""
NAMES_OF_PLACES = tuple("省市县区州盟旗镇乡村")
SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许邓韩冯曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江"
)
"""The hundred or so surnames of most people in China."""
ENOUGH, MOST = 5, 0.9
"""Values are taken for names or pseudonyms when at least so many differ, and at least this part of them looks so."""
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"
_ID18 = re.compile(r"(?<![0-9A-Za-z.])[1-8]\d{16}[\dXx](?![0-9A-Za-z])")
_ID15 = re.compile(r"(?<![0-9A-Za-z.])[1-8]\d{14}(?![0-9A-Za-z])")
_MOBILE = re.compile(r"(?<![0-9A-Za-z._/-])(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?![0-9A-Za-z])")
_PSEUDONYM = re.compile(r"[0-9a-f]{16,128}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PERSON = re.compile(r"[一-鿿]{2,3}")


def hide_small(
    frame: pd.DataFrame,
    counts: Sequence[str],
    *,
    sums: Mapping[str, Sequence[str]] | None = None,
    totals: Mapping[object, Sequence[object]] | None = None,
    ratios: Mapping[str, Sequence[str]] | None = None,
    threshold: int = THRESHOLD,
) -> pd.DataFrame:
    """Hide counts of people below a threshold, and as many others as are needed to keep them hidden.

    Assumes that whoever reads the table knows that counts are whole numbers >= 0 and which of them add up to which.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table; it is not changed. Its index labels are distinct.
    counts : sequence of str
        Columns that count people or episodes.
    sums : mapping of str to sequence of str, optional
        Column -> columns among ``counts`` that add up to it in each row.
    totals : mapping, optional
        Index label of a row -> labels of the rows that add up to it in each of ``counts``.
    ratios : mapping of str to sequence of str, optional
        Column computed from counts -> these; hidden where one of them is.
    threshold : int, optional
        Counts below it are hidden, zeros included.

    Returns
    -------
    pandas.DataFrame
        With missing values where something is hidden.

    Raises
    ------
    ReadingError
        When the threshold is below `THRESHOLD`, or a sum is not the sum of its parts.

    Notes
    -----
    A hidden count is safe when the sums that are shown neither determine it nor bound it below the threshold. Complementary cells
    are the smallest that are shown in a sum that would tell (Willenborg and de Waal, 2001, Elements of Statistical Disclosure
    Control, chapter 4, doi:10.1007/978-1-4613-0121-9); what the sums together determine is found from the null space of the system.

    Examples
    --------
    >>> table = pd.DataFrame({"inside": [90, 40], "outside": [3, 20], "total": [93, 60], "share": [0.97, 0.67]}, ["A", "B"])
    >>> hide_small(table, ["inside", "outside", "total"], sums={"total": ["inside", "outside"]},
    ...            ratios={"share": ["inside", "total"]})
       inside  outside  total  share
    A     NaN      NaN   93.0    NaN
    B    40.0     20.0   60.0   0.67
    """
    if threshold < THRESHOLD:
        raise ReadingError(
            f"The threshold for small counts is {threshold}. Expected at least {THRESHOLD}: it may be raised only."
        )
    values = frame[list(counts)].to_numpy(dtype=np.float64)
    row, column = {label: i for i, label in enumerate(frame.index)}, {name: j for j, name in enumerate(counts)}
    width = len(column)
    equations = [
        (i * width + column[whole], [i * width + column[part] for part in parts])
        for whole, parts in (sums or {}).items()
        for i in range(len(frame))
    ]
    equations += [
        (row[whole] * width + j, [row[part] * width + j for part in parts])
        for whole, parts in (totals or {}).items()
        for j in range(width)
    ]
    cells = values.ravel()
    for whole, parts in equations:
        known = ~np.isnan(cells[[whole, *parts]])
        if known.all() and cells[whole] != cells[parts].sum():
            place = f"row {frame.index[whole // width]!r}, column {counts[whole % width]!r}"
            raise ReadingError(
                f"{place} is {cells[whole]:g}, its parts add up to {cells[parts].sum():g}. Expected a sum: say which add up."
            )
    hidden = _protect(cells, equations, threshold).reshape(values.shape)
    result = frame.copy()
    for name, j in column.items():
        result[name] = result[name].astype("float64").mask(hidden[:, j])
    for name, of in (ratios or {}).items():
        gone = hidden[:, np.array([column[part] for part in of])].any(axis=1)
        result[name] = result[name].mask(pd.Series(gone, index=result.index))
    return result


def publishable(
    frame: pd.DataFrame, columns: Sequence[str], counts: Sequence[str], where: str, threshold: int = THRESHOLD
) -> pd.DataFrame:
    """Make a table fit to be written: refuse identifiers, hide small counts of people.

    Assumes nothing about which counts add up: a column that is the sum of all other counts in every row, and a row that is the sum
    of all others in every count, are found by adding.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    columns : sequence of str
        Columns that are written.
    counts : sequence of str
        Those that count people or episodes; shares (``share``) beside them are hidden with them.
    where : str
        What the table is called in messages.
    threshold : int, optional
        See `hide_small`.

    Returns
    -------
    pandas.DataFrame
        The same frame when nothing had to be hidden.

    Raises
    ------
    ReadingError
        For columns about persons.

    Examples
    --------
    >>> table = pd.DataFrame({"key": ["a", "b", "all"], "n": [3, 40, 43]})
    >>> publishable(table, ["key", "n"], ["n"], "the table")["n"].isna().tolist()
    [True, True, False]
    """
    refuse_identifiers(frame, columns, where)
    if not counts or not len(frame):
        return frame
    plain = frame.reset_index(drop=True)
    values = plain[list(counts)].astype("float64")
    sums, totals = {}, {}
    for name in counts:
        parts = [other for other in counts if other != name]
        if parts and (values[name] == values[parts].sum(axis=1)).all():
            sums[name] = parts
    for label in plain.index:
        others = [other for other in plain.index if other != label]
        if len(others) > 1 and (values.loc[label] == values.loc[others].sum()).all():
            totals[label] = others
    ratios = {name: list(counts) for name in columns if name == "share"}
    hidden = hide_small(plain, counts, sums=sums, totals=totals, ratios=ratios, threshold=threshold)
    hidden.index = frame.index
    return hidden if hidden[list(counts)].isna().to_numpy().sum() > values.isna().to_numpy().sum() else frame


def refuse_identifiers(frame: pd.DataFrame, columns: Iterable[str] | None = None, where: str = "the table") -> None:
    """Refuse a table with a column that looks like an identity or telephone number, a pseudonym or a name.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    columns : iterable of str, optional
        Which columns are written. Default: all.
    where : str, optional
        What the table is called in the message.

    Raises
    ------
    ReadingError
        Names each column, what it looks like, and an example with most of it masked.

    Examples
    --------
    >>> refuse_identifiers(pd.DataFrame({"who": ["11010519491231002X"]}))
    Traceback (most recent call last):
    evalaid.errors.ReadingError: Nothing about a person is written: column 'who' of the table looks like identity numbers
    (11**************2X). Leave it out, or give counts instead.
    """
    found = []
    for name in frame.columns if columns is None else columns:
        looks = looks_like(frame[name], name)
        if looks is not None:
            found.append(
                f"column {str(name)!r} of {where} looks like {looks[0]}" + (f" ({mask(looks[1])})" if looks[1] else "")
            )
    if found:
        raise ReadingError(
            f"Nothing about a person is written: {'; '.join(found)}. Leave it out, or give counts instead."
        )


def looks_like(values: pd.Series, name: object = "") -> tuple[str, str] | None:
    """Say what a column seems to tell about persons.

    Parameters
    ----------
    values : pandas.Series
        The column.
    name : object, optional
        Its heading.

    Returns
    -------
    tuple of str or None
        What it looks like, and an example; None when it tells nothing about persons.

    Examples
    --------
    >>> looks_like(pd.Series(["联系 13800138000"])), looks_like(pd.Series([440222, 440224]))
    (('telephone numbers', '13800138000'), None)
    """
    if plain_name(name) in PERSON_COLUMNS:
        return "data about persons, by its heading", ""
    whole = pd.api.types.is_integer_dtype(values.dtype)
    if not whole and (
        pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(values.dtype)
    ):
        return None
    texts = [str(value).strip() for value in pd.unique(values.dropna())]
    for text in texts:
        for pattern, test, what in (
            (_ID18, _is_id18, "identity numbers"),
            (_ID15, _is_id15, "identity numbers of 15 digits"),
            (_MOBILE, None if whole and len(texts) < ENOUGH else _always, "telephone numbers"),
        ):
            match = pattern.search(text)
            if (
                match
                and test is not None
                and test(match[0])
                and (not whole or what != "telephone numbers" or _all_match(texts, pattern))
            ):
                return what, match[0]
    if whole:
        return None
    for pattern, test, what in ((_PSEUDONYM, _mixed, "pseudonyms"), (_PERSON, _named, "names of persons")):
        alike = [text for text in texts if pattern.fullmatch(text) and test(text)]
        if len(alike) >= ENOUGH and len(alike) >= MOST * len(texts):
            return what, alike[0]
    return None


def mask(text: str) -> str:
    """Hide most of a text: its first two and last two characters stay, of a short one the first only.

    Parameters
    ----------
    text : str
        What may not be shown.

    Returns
    -------
    str
        The same length.

    Examples
    --------
    >>> mask("13800138000"), mask("李小明")
    ('13*******00', '李**')
    """
    if len(text) < 8:
        return text[:1] + "*" * (len(text) - 1)
    return text[:2] + "*" * (len(text) - 4) + text[-2:]


def _protect(cells: np.ndarray, equations: list[tuple[int, list[int]]], threshold: int) -> np.ndarray:
    """Which cells are hidden so that the equations neither determine a small one nor bound it below the threshold."""
    hidden = cells < threshold
    small = hidden.copy()
    while True:
        more = _too_telling(cells, hidden, small, equations, threshold)
        if more is None:
            more = _determined(cells, hidden, equations)
        if more is None:
            return hidden
        hidden[more] = True


def _too_telling(
    cells: np.ndarray, hidden: np.ndarray, small: np.ndarray, equations: list[tuple[int, list[int]]], threshold: int
) -> int | None:
    """The next cell to hide in an equation that alone tells a small count, or a bound below the threshold."""
    for whole, parts in equations:
        among = [cell for cell in (whole, *parts) if hidden[cell]]
        if not any(small[cell] for cell in among):
            continue
        inside = [cell for cell in parts if hidden[cell]]
        bounded = not hidden[whole] and cells[inside].sum() < threshold
        if len(among) == 1 or bounded:
            shown = [cell for cell in parts if not hidden[cell]] or [cell for cell in (whole,) if not hidden[cell]]
            if shown:
                return min(shown, key=lambda cell: cells[cell])
    return None


def _determined(cells: np.ndarray, hidden: np.ndarray, equations: list[tuple[int, list[int]]]) -> int | None:
    """The smallest shown neighbour of a hidden cell that all equations together determine; None when there is none."""
    from scipy.linalg import null_space

    places = np.flatnonzero(hidden)
    used = [(whole, parts) for whole, parts in equations if hidden[[whole, *parts]].any()]
    if not len(places) or not used:
        return None
    position = {int(cell): number for number, cell in enumerate(places)}
    for component in _components(places, used):
        system = np.zeros((len(component), len(places)))
        for number, (whole, parts) in enumerate(component):
            for cell, sign in ((whole, -1.0), *((part, 1.0) for part in parts)):
                if hidden[cell]:
                    system[number, position[cell]] += sign
        there = np.flatnonzero(np.abs(system).sum(axis=0))
        free = np.abs(null_space(system[:, there])).max(axis=1, initial=0.0) > 1e-9
        for cell in places[there[~free]]:
            near = [
                c for whole, parts in component if cell in (whole, *parts) for c in (*parts, whole) if not hidden[c]
            ]
            if near:
                return min(near, key=lambda c: cells[c])
    return None


def _components(places: np.ndarray, equations: list[tuple[int, list[int]]]) -> list[list[tuple[int, list[int]]]]:
    """Equations that share hidden cells, together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    position = {int(cell): number for number, cell in enumerate(places)}
    pairs = [
        (n, position[cell])
        for n, (whole, parts) in enumerate(equations)
        for cell in (whole, *parts)
        if cell in position
    ]
    rows, columns = np.array(pairs).T
    size = len(equations) + len(places)
    graph = coo_array((np.ones(len(pairs)), (rows, columns + len(equations))), shape=(size, size))
    _, group = connected_components(graph, directed=False)
    return [
        [equations[n] for n in np.flatnonzero(group[: len(equations)] == g)] for g in np.unique(group[: len(equations)])
    ]


def _is_id18(text: str) -> bool:
    """The check digit of GB 11643-1999 (ISO 7064 MOD 11-2), and a birthday that exists."""
    digits = text[:17]
    check = _CHECK[sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=True)) % 11]
    return check == text[17].upper() and _is_day(text[6:14])


def _is_id15(text: str) -> bool:
    return _is_day("19" + text[6:12])


def _is_day(digits: str) -> bool:
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return day.year >= 1900


def _always(text: str) -> bool:
    return bool(text)


def _all_match(texts: list[str], pattern: re.Pattern[str]) -> bool:
    return all(pattern.fullmatch(text) for text in texts)


def _mixed(text: str) -> bool:
    """Letters and digits: a long number alone is no pseudonym."""
    return any(c.isdigit() for c in text) and any(c.isalpha() for c in text)


def _named(text: str) -> bool:
    return text[0] in SURNAMES and text[-1] not in NAMES_OF_PLACES
