"""An origin-destination matrix, county of residence by county of the hospital, to the same counts as discharge records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evalaid.errors import ReadingError
from evalaid.faults import Faults
from evalaid.names import (
    BASE_VALUES,
    MATRIX_OUT_OF_PROVINCE,
    MATRIX_TOTALS,
    MATRIX_UNKNOWN,
    RECORD_COLUMNS,
    RESIDENCE_COLUMNS,
    plain_name,
)
from evalaid.periods import recognise_periods
from evalaid.reading.episodes import Fate
from evalaid.reading.stores import read_small
from evalaid.reading.tallies import RecordCounts, account, county_number, make_decisions, make_frame, sort_out

COUNT_COLUMNS = ("count", "n", "episodes", "人次", "人次数", "住院人次", "例数")
PERIOD_COLUMNS = ("period", "统计期", "期间", "时期", "季度", "年份", "year", "quarter", "month")


def count_matrix(
    matrix: Any,
    *,
    base: str,
    period: object = None,
    denominator: str = "country",
    counties: Sequence[object] | None = None,
) -> RecordCounts:
    """Turn an origin-destination matrix of admissions into counts by county and period, inside and outside the county.

    Assumes that the matrix holds all admissions of the residents of each county in it. Long form: a row for each pair of
    counties, with ``residence``, ``hospital_county`` and ``count``; wide form: a row for each residence, a column for each
    county of the hospital, under its six-digit code, and where there are any, columns 省外 (other provinces), 不详 (unknown)
    and 合计 (total, checked and left out). Blank cells of the wide form count as none.

    Parameters
    ----------
    matrix : path, pandas.DataFrame or mapping
        A table (csv, parquet, xlsx, xls, ods), or one for each period: period -> table.
    base : {"residents", "registered", "insured"}
        Whose admissions they are.
    period : optional
        The period of the whole matrix, when it has no column for it ("2019Q1", 2019).
    denominator : {"country", "province"}, optional
        Whether ``total`` includes other provinces.
    counties : sequence, optional
        Codes of the counties of residence wanted. Default: all.

    Returns
    -------
    RecordCounts
        As `evalaid.count_records` gives it.

    Raises
    ------
    ReadingError
        All faults of the matrix at once: cells that are no count, pairs that occur twice, headings that are no county,
        totals that differ from their parts, no period.

    Examples
    --------
    >>> wide = pd.DataFrame({"residence": ["440222", "440281"], "440222": [80, 1], "440281": [5, 60], "省外": [15, 2]})
    >>> count_matrix(wide, base="residents", period=2019).frame[["county", "period", "inside", "total", "share"]]
       county period  inside  total     share
    0  440222   2019      80    100  0.800000
    1  440281   2019      60     63  0.952381
    """
    if base not in BASE_VALUES or denominator not in {"country", "province"}:
        raise ReadingError(
            f"base={base!r}, denominator={denominator!r}: expected a base of {', '.join(BASE_VALUES)} and a denominator of "
            "country, province."
        )
    faults = Faults()
    notes: list[tuple[Any, ...]] = []
    parts = matrix.items() if isinstance(matrix, Mapping) else [(period, matrix)]
    pairs = pd.concat([_pairs(table, when, faults, notes) for when, table in parts], ignore_index=True)
    faults.raise_if_any(ReadingError, "matrix")
    periods, unreadable = recognise_periods(pairs["period"])
    if unreadable.any():
        found = ", ".join(map(repr, pairs.loc[unreadable, "period"].unique()[:3]))
        raise ReadingError(
            f"The matrix has the periods {found}. Expected years, quarters (2019Q3) or months (2019-09), one kind in all, in a "
            "column 'period' or as period=."
        )
    kind = str(periods.kind)
    pairs["period"] = periods.ordinal
    twice = pairs.duplicated(["residence", "place", "period"], keep=False) & pairs["residence"].notna()
    if twice.any():
        shown = pairs[twice].drop_duplicates(["residence", "place", "period"])
        values = [f"{home:06.0f} to {place}" for home, place in zip(shown["residence"], shown["place"], strict=True)]
        faults.add(
            "residence",
            "a pair of counties occurs more than once in a period",
            "one count a pair",
            rows=list(shown.index),
            values=values,
        )
        faults.raise_if_any(ReadingError, "matrix")
    groups = _groups(pairs)
    definition = {"base": base, "period": kind, "dated": "as in the matrix", "denominator": denominator, "transfers": "as in the matrix", "insurance": "all"}  # fmt: skip
    wanted = None if counties is None else {county_number(code) for code in counties}
    sorted_out = sort_out(groups, wanted, None)
    frame = make_frame(sorted_out[sorted_out["left_out"] == ""], kind, denominator)
    return RecordCounts(frame, make_decisions([*notes, *account(sorted_out, definition, {}, kind)]), definition)


def _groups(pairs: pd.DataFrame) -> pd.DataFrame:
    place = pairs["place"].map({"out": -1, "unknown": -2}).fillna(pd.to_numeric(pairs["place"], errors="coerce"))
    home = pairs["residence"]
    fate = np.select(
        [place == -1, place == -2, place == home, place // 10_000 == home // 10_000],
        [Fate.OUT_OF_PROVINCE, Fate.UNKNOWN_HOSPITAL, Fate.INSIDE, Fate.OUTSIDE],
        Fate.OUT_OF_PROVINCE,
    )
    counted = pairs.assign(fate=fate, rows=pairs["count"], episodes=pairs["count"])
    summed = counted.groupby(["residence", "period", "fate"], as_index=False, dropna=False)[["rows", "episodes"]].sum()
    return summed.assign(transfers=0, duplicates=0, weight=np.nan, weighted=0, first=None, last=None)


def _pairs(matrix: Any, when: object, faults: Faults, notes: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Residence (number), place (code, "out" or "unknown"), period and count of every pair."""
    table, file = read_small(matrix)
    roles: dict[str, Any] = {}
    homes = (
        *RECORD_COLUMNS["residence"],
        *(name for names in RESIDENCE_COLUMNS.values() for name in names),
        "county",
        "adcode",
    )
    for role, names in (
        ("residence", homes),
        ("hospital_county", RECORD_COLUMNS["hospital_county"]),
        ("count", COUNT_COLUMNS),
        ("period", PERIOD_COLUMNS),
    ):
        roles[role] = next((column for column in table if plain_name(column) in names), None)
    if roles["residence"] is None:
        faults.add(
            "residence",
            f"no such column among {', '.join(map(str, table.columns[:8]))}",
            "the code of the county of residence",
        )
        return pd.DataFrame(columns=["residence", "place", "period", "count"])
    if roles["period"] is None and when is None:
        faults.add("period", "no period", "a column 'period', or period=")
    plain = table[roles["residence"]].map(plain_name)
    totals = plain.isin(MATRIX_TOTALS)
    if totals.any():
        notes.append((file, "", "", "rows of totals", None, f"{int(totals.sum())} left out", "they are sums of others"))
    table = table[~totals]
    home = table[roles["residence"]].map(county_number)
    if (bad := home.isna()).any():
        faults.add(
            roles["residence"],
            "no county code",
            "six digits",
            rows=list(table.index[bad]),
            values=list(table.loc[bad, roles["residence"]]),
        )
    period = (
        table[roles["period"]] if roles["period"] is not None else pd.Series([when] * len(table), index=table.index)
    )
    if roles["hospital_county"] is not None and roles["count"] is not None:
        place = table[roles["hospital_county"]].map(_place)
        values = _numbers(table[roles["count"]], roles["count"], faults, blank=False)
        if (bad := place.isna()).any():
            faults.add(
                roles["hospital_county"],
                "no county code",
                "six digits, 省外 or 不详",
                rows=list(table.index[bad]),
                values=list(table.loc[bad, roles["hospital_county"]]),
            )
        keep = place != "total"
        return pd.DataFrame({"residence": home, "place": place, "period": period, "count": values})[keep]
    parts, total = [], None
    for column in table.columns.difference([roles["residence"], roles["period"]], sort=False):
        place = _place(column)
        if place is None:
            if pd.api.types.is_numeric_dtype(table[column]):
                faults.add(
                    column, "the heading is no county code", "six digits, 省外, 不详 or 合计; or the column left out"
                )
            continue
        values = _numbers(table[column], column, faults, blank=True)
        if place == "total":
            total = (column, values)
        else:
            parts.append(pd.DataFrame({"residence": home, "place": place, "period": period, "count": values}))
    if not parts:
        faults.add(
            "hospital_county",
            "no column of a county of the hospital",
            "one for each county, under its code; or the long form",
        )
        return pd.DataFrame(columns=["residence", "place", "period", "count"])
    sums = pd.concat([part["count"] for part in parts], axis=1).sum(axis=1)
    if total is not None and (wrong := sums != total[1]).any():
        shown = [f"{b} instead of {a}" for a, b in zip(sums[wrong], total[1][wrong], strict=True)]
        faults.add(
            total[0], "total differs from the sum of its parts", "the sum", rows=list(table.index[wrong]), values=shown
        )
    blank = int(table[[c for c in table if _place(c) not in {None, "total"}]].isna().sum().sum())
    if blank:
        notes.append(
            (file, "", "", "blank cells", None, f"{blank} counted as none", "the wide form has a cell for every pair")
        )
    return pd.concat(parts, ignore_index=True)


def _place(heading: object) -> str | None:
    name = plain_name(heading)
    for words, place in ((MATRIX_TOTALS, "total"), (MATRIX_OUT_OF_PROVINCE, "out"), (MATRIX_UNKNOWN, "unknown")):
        if name in words:
            return place
    number = county_number(heading)
    return None if number is None else f"{number:06d}"


def _numbers(values: pd.Series, name: object, faults: Faults, *, blank: bool) -> pd.Series:
    """Whole numbers >= 0; blank cells are 0 where the caller says so."""
    texts = values.map(lambda value: "" if pd.isna(value) else str(value).replace(",", "").strip())
    numbers = pd.to_numeric(texts, errors="coerce")
    numbers = numbers.mask(texts == "", 0) if blank else numbers
    wrong = numbers.isna() | (numbers < 0) | (numbers != np.round(numbers))
    if wrong.any():
        faults.add(name, "no count", "a whole number >= 0", rows=list(values.index[wrong]), values=list(values[wrong]))
    return numbers.where(~wrong, 0).astype("int64")
