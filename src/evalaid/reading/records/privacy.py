"""What may be written about people: no small counts, and nothing that names one.

Counts of people or episodes (the unit "episodes" of a table's column) below a threshold are hidden, with as many others as are
needed so that none can be computed from what is shown. Counts of counties, hospitals and periods are no counts of people and are
left as they are. Columns about persons are refused (`evalaid.reading.records.identifiers`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.reading.records.identifiers import refuse_identifiers

THRESHOLD = 5
"""Counts below this are hidden. It may be raised, never lowered."""
EPISODES = "episodes"
"""Unit of a column that counts people or their episodes."""
ADDENDS, SEARCHED = 6, 2_000
"""Sums of so many columns, and subtotals among so many rows, are searched for."""
EXACT = 1e-6
"""How near a share is to the ratio of two counts that it is."""


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
    row, column = {label: i for i, label in enumerate(frame.index)}, {name: j for j, name in enumerate(counts)}
    by_column = [(column[whole], [column[part] for part in parts]) for whole, parts in (sums or {}).items()]
    by_row = [(row[whole], [row[part] for part in parts]) for whole, parts in (totals or {}).items()]
    equations = _equations(by_column, by_row, frame[list(counts)].shape)
    cells = frame[list(counts)].to_numpy(dtype=np.float64).ravel()
    for whole, parts in equations:
        if not _holds(cells, whole, parts):
            place = f"row {frame.index[whole // len(column)]!r}, column {counts[whole % len(column)]!r}"
            raise ReadingError(
                f"{place} is {cells[whole]:g}, its parts add up to {cells[parts].sum():g}. Expected a sum: say which add up."
            )
    return _hide(frame, counts, equations, ratios or {}, threshold)


def publishable(
    frame: pd.DataFrame, columns: Sequence[str], counts: Sequence[str], where: str, threshold: int = THRESHOLD
) -> pd.DataFrame:
    """Make a table fit to be written: refuse identifiers, hide small counts of people.

    Assumes nothing about which counts add up: columns that are the sum of others in every row, rows that are the sum of the rows
    above or below them, or of all others, and shares that are the ratio of two counts, are found by trying. A share of a count
    that is shown tells the count that it is a share of, also when that one has no column: both parts are held against the
    threshold.

    Examples
    --------
    >>> table = pd.DataFrame({"key": ["a", "b", "all"], "n": [3, 40, 43]})
    >>> publishable(table, ["key", "n"], ["n"], "the table")["n"].isna().tolist()
    [True, True, False]
    >>> table = pd.DataFrame({"key": ["a", "b"], "total": [50, 80], "share": [0.98, 0.75]})
    >>> publishable(table, ["key", "total", "share"], ["total"], "the table")["share"].tolist()
    [nan, 0.75]
    """
    refuse_identifiers(frame, columns, where)
    if not counts or not len(frame):
        return frame
    plain = frame.reset_index(drop=True)
    plain = plain.assign(**{name: plain[name].astype("float64") for name in counts})
    shown, sums = list(counts), _sums_of_columns(plain, counts)
    ratios = {name: list(counts) for name in columns if name == "share"}
    for name in [c for c in columns if c not in counts and pd.api.types.is_numeric_dtype(frame[c])]:
        for whole in counts:
            part = _part_of(plain[name], plain[whole])
            if part is not None:
                new = [f"{name} of {whole}", f"{whole} without {name}"]
                plain = plain.assign(**{new[0]: part, new[1]: plain[whole] - part})
                same = [(c, [made]) for made in new for c in counts if plain[c].equals(plain[made])]
                sums += [(whole, new), *same]
                ratios[name] = [*ratios.get(name, []), new[0]]
                shown += new
    column = {name: j for j, name in enumerate(shown)}
    by_column = [(column[whole], [column[part] for part in parts]) for whole, parts in sums]
    equations = _equations(by_column, list(_sums_of_rows(plain[list(counts)])), plain[shown].shape)
    cells = plain[shown].to_numpy(dtype=np.float64).ravel()
    hidden = _hide(plain, shown, [one for one in equations if _holds(cells, *one)], ratios, threshold)
    hidden = hidden[[*frame.columns]]
    hidden.index = frame.index
    changed = [*counts, *ratios]
    return hidden if hidden[changed].isna().to_numpy().sum() > frame[changed].isna().to_numpy().sum() else frame


def _sums_of_columns(plain: pd.DataFrame, counts: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Columns that are the sum of two or more others in every row."""
    found = []
    for whole in counts:
        others = [name for name in counts if name != whole and plain[name].gt(0).any()]
        for size in range(2, min(ADDENDS, len(others)) + 1):
            for parts in combinations(others, size):
                known = plain[[whole, *parts]].dropna()
                if len(known) and (known[whole] == known[list(parts)].sum(axis=1)).all():
                    found.append((whole, list(parts)))
    return found


def _sums_of_rows(values: pd.DataFrame) -> Iterator[tuple[int, list[int]]]:
    """Rows that are the sum of those just above or below them, of all others, or of all others that are no sums."""
    numbers = values.to_numpy()
    rows = len(numbers)
    if rows > SEARCHED:
        return
    wholes = set()
    for row in range(rows):
        for side in (range(row - 1, -1, -1), range(row + 1, rows)):
            run = list(side)
            sums = np.cumsum(numbers[run], axis=0)
            for length in np.flatnonzero((sums == numbers[row]).all(axis=1)) + 1:
                if length > 1:
                    wholes.add(row)
                    yield row, run[:length]
    for row in range(rows):
        for left_out in ({row}, {row} | wholes):
            others = [other for other in range(rows) if other not in left_out]
            if len(others) > 1 and (numbers[others].sum(axis=0) == numbers[row]).all():
                yield row, others
        if row in wholes and len(wholes) > 2:
            others = sorted(wholes - {row})
            if (numbers[others].sum(axis=0) == numbers[row]).all():
                yield row, others


def _part_of(share: pd.Series, whole: pd.Series) -> pd.Series | None:
    """The count that is this share of another, as a fraction or in per cent; None when the column is no share of it."""
    known = share.notna() & whole.notna() & (whole > 0)
    for unit in (1, 100):
        part = share / unit * whole
        whole_number = (part - part.round()).abs() <= EXACT * (1 + whole)
        if known.any() and (whole_number & part.between(-EXACT, whole + EXACT))[known].all():
            return part.round()
    return None


def _equations(
    by_column: Sequence[tuple[int, list[int]]], by_row: Sequence[tuple[int, list[int]]], shape: tuple[int, ...]
) -> list[tuple[int, list[int]]]:
    """Which cell is the sum of which, by their number row after row."""
    rows, width = shape
    return [
        (i * width + whole, [i * width + part for part in parts]) for whole, parts in by_column for i in range(rows)
    ] + [(whole * width + j, [part * width + j for part in parts]) for whole, parts in by_row for j in range(width)]


def _holds(cells: np.ndarray, whole: int, parts: list[int]) -> bool:
    """Whether a sum is one, as far as its cells are known."""
    return bool(np.isnan(cells[[whole, *parts]]).any() or cells[whole] == cells[parts].sum())


def _hide(
    frame: pd.DataFrame,
    counts: Sequence[str],
    equations: list[tuple[int, list[int]]],
    ratios: Mapping[str, Sequence[str]],
    threshold: int,
) -> pd.DataFrame:
    """See `hide_small`."""
    values = frame[list(counts)].to_numpy(dtype=np.float64)
    column = {name: j for j, name in enumerate(counts)}
    hidden = _protect(values.ravel(), equations, threshold).reshape(values.shape)
    result = frame.copy()
    for name, j in column.items():
        result[name] = result[name].astype("float64").mask(hidden[:, j])
    for name, of in ratios.items():
        gone = hidden[:, np.array([column[part] for part in of])].any(axis=1)
        result[name] = result[name].mask(pd.Series(gone, index=result.index))
    return result


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
