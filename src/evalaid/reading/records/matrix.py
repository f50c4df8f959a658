"""An origin-destination matrix, county of residence by county of the hospital, to the same counts as discharge records."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.base.faults import Faults
from evalaid.base.periods import recognise_periods
from evalaid.reading.places.lookup import Region, is_blank
from evalaid.reading.places.regions import find_region, former_counties
from evalaid.reading.records.episodes import Fate
from evalaid.reading.records.record_columns import BASE_VALUES, RECORD_COLUMNS, RESIDENCE_COLUMNS, plain_name
from evalaid.reading.records.stores import read_small
from evalaid.reading.records.tallies import (
    CITIES_WITHOUT_COUNTIES,
    RecordCounts,
    account,
    county_number,
    make_decisions,
    make_frame,
    sort_out,
)
from evalaid.reading.values.spans import read_spans
from evalaid.reading.words.vocabulary import load_words

COUNT_COLUMNS = ("count", "n", "episodes", "人次", "人次数", "住院人次", "例数")
_WORDS = load_words("records")["matrix"]
HOMES = (*RECORD_COLUMNS["residence"], *(n for names in RESIDENCE_COLUMNS.values() for n in names), *_WORDS["homes"])
MOST = 1e12
"""More admissions than there are."""
NONE = ("", "-", "--", "—", "——", "–", "/", "…", "...")
"""What stands in a cell for none."""
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
    county of the hospital, and where there are any, columns 省外 (other provinces), 不详 (unknown) and 合计 (total). Counties are
    six-digit codes, or names that one county has; former ones count as those of today. Totals, of all or of a city or a
    province, are held against their parts and left out. Blank cells of the wide form count as none.

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
    tables = list(matrix.items()) if isinstance(matrix, Mapping) else [(period, matrix)]
    if not tables:
        raise ReadingError("No matrix was given. Expected a table, or one for each period: period -> table.")
    pairs = pd.concat([_pairs(table, when, faults, notes) for when, table in tables], ignore_index=True)
    if not len(pairs) and not faults:
        raise ReadingError("The matrix has no row of a county. Expected a row for each county of residence.")
    faults.raise_if_any(ReadingError, "matrix")
    pairs = _without_subtotals(pairs, faults, notes)
    faults.raise_if_any(ReadingError, "matrix")
    periods, unreadable = recognise_periods(_plain_periods(pairs["period"]))
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
            "one count per pair",
            rows=list(shown.index),
            values=values,
        )
        faults.raise_if_any(ReadingError, "matrix")
    groups = _groups(_of_today(pairs))
    definition = {"base": base, "period": kind, "dated": "as in the matrix", "denominator": denominator, "transfers": "as in the matrix", "insurance": "all"}  # fmt: skip
    heirs = _heirs()
    wanted = None if counties is None else {n if n is None else heirs.get(n, n) for n in map(_county, counties)}
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
    table, file = read_small(matrix, HOMES)
    if table.columns.duplicated().any():
        twice = ", ".join(sorted({repr(str(name)) for name in table.columns[table.columns.duplicated()]}))
        faults.add("columns", f"several columns are called {twice}", "every name once")
        return pd.DataFrame(columns=["residence", "place", "period", "count"])
    roles: dict[str, Any] = {}
    for role, names in (
        ("residence", HOMES),
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
    totals = plain.isin(_WORDS["totals"])
    rows_of_totals = table[totals]
    if totals.any():
        notes.append((file, "", "", "rows of totals", None, f"{int(totals.sum())} left out", "they are sums of others"))
    table = table[~totals]
    home = table[roles["residence"]].map(_county)
    if (bad := home.isna()).any():
        faults.add(
            roles["residence"],
            "no county code",
            "six digits, or a name that one county has; a note below the table left out",
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
    parts, wholes = [], []
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
            wholes.append((column, values))
        else:
            parts.append(pd.DataFrame({"residence": home, "place": place, "period": period, "count": values}))
    if not parts:
        faults.add(
            "hospital_county",
            "no column of a county of the hospital",
            "one for each county, under its code; or the long form",
        )
        return pd.DataFrame(columns=["residence", "place", "period", "count"])
    for column, values in wholes:
        _check_total(column, values, parts, faults)
    if len(rows_of_totals) == 1 and roles["period"] is None and not faults:
        _check_row(rows_of_totals, table[~home.mod(100).eq(0)], faults)
    cells = table[[c for c in table.columns if c not in roles.values() and _place(c) not in {None, "total"}]]
    blank = int(cells.isna().sum().sum())
    if blank:
        notes.append(
            (file, "", "", "blank cells", None, f"{blank} counted as none", "the wide form has a cell for every pair")
        )
    return pd.concat(parts, ignore_index=True)


def _check_total(column: object, values: pd.Series, parts: list[pd.DataFrame], faults: Faults) -> None:
    """A total is the sum of all parts, or of those in the province, with or without those unknown."""
    codes = {str(part["place"].iloc[0]) for part in parts if len(part)} - {"out", "unknown"}
    inside = [p for p in parts if len(p) and (c := str(p["place"].iloc[0])) in codes and not _children(c, codes)]
    others = [p for p in parts if len(p) and p["place"].iloc[0] in {"out", "unknown"}]
    sums = [
        pd.concat([part["count"] for part in chosen], axis=1).sum(axis=1)
        for chosen in ([*inside, *others], inside, *([*inside, other] for other in others))
        if chosen
    ]
    if sums and not any((one == values).all() for one in sums):
        wrong = sums[0] != values
        shown = [f"{a} instead of {b}" for a, b in zip(values[wrong], sums[0][wrong], strict=True)]
        faults.add(
            column, "total differs from the sum of its parts", "the sum", rows=list(values.index[wrong]), values=shown
        )


def _check_row(totals: pd.DataFrame, table: pd.DataFrame, faults: Faults) -> None:
    for column in [c for c in table.columns if _place(c) is not None]:
        whole, parts = (_numbers(rows[column], column, faults, blank=True) for rows in (totals, table))
        if int(whole.iloc[0]) != int(parts.sum()):
            faults.add(
                column,
                "the row of totals differs from the sum of its parts",
                "the sum; or the row left out, when the matrix has only some of the counties",
                rows=list(whole.index),
                values=[f"{whole.iloc[0]} instead of {parts.sum()}"],
            )


def _children(code: str, codes: Collection[str]) -> list[str]:
    """The counties of a city or a province among others; none of a county."""
    if not code.endswith("00") or int(code) in CITIES_WITHOUT_COUNTIES:
        return []
    front = code[:2] if code.endswith("0000") else code[:4]
    below = [other for other in codes if other.startswith(front) and other != code]
    return [other for other in below if not other.endswith("00") or int(other) in CITIES_WITHOUT_COUNTIES]


def _without_subtotals(pairs: pd.DataFrame, faults: Faults, notes: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Without places that are a city or a province whose counties are there too: their counts would count twice."""
    key = ["residence", "period"]
    codes = set(pairs["place"]) - {"out", "unknown"}
    for code in sorted(codes):
        if below := _children(code, codes):
            whole = pairs[pairs["place"] == code].groupby(key)["count"].sum()
            parts = pairs[pairs["place"].isin(below)].groupby(key)["count"].sum().reindex(whole.index, fill_value=0)
            if (whole != parts).any():
                do = f"the sum of its {len(below)} counties, which is left out; what lies elsewhere in it under 不详"
                faults.add(code, "a city or a province beside its counties, and not their sum", do)
            notes.append(("", "", "", f"place {code}", None, "left out", f"it is the sum of {len(below)} counties"))
            pairs = pairs[pairs["place"] != code]
    return pairs.reset_index(drop=True)


def _plain_periods(periods: pd.Series) -> pd.Series:
    """Periods as offices write them (2019年第三季度) in a plain form; as they are where they are none, or count from January."""
    texts = [value for value in pd.unique(periods.dropna()) if isinstance(value, str)]
    spans = dict(zip(texts, read_spans(texts).spans, strict=True)) if texts else {}
    return periods.map(lambda value: str(spans[value]) if spans.get(value) is not None else value)


def _of_today(pairs: pd.DataFrame) -> pd.DataFrame:
    heirs = _heirs()
    place = pairs["place"].map(lambda code: f"{heirs.get(int(code), int(code)):06d}" if code.isdigit() else code)
    return pairs.assign(residence=pairs["residence"].map(lambda code: heirs.get(code, code)), place=place)


def _heirs() -> dict[int, int]:
    former = former_counties()
    return {int(was): int(now) for was, now in zip(former["was"], former["now"], strict=True)}


def _county(value: object) -> int | None:
    """The code in a cell, or that of the county, city or province of that name."""
    number = county_number(value)
    if number is None and not is_blank(value):
        found = find_region(value)
        number = int(found.code) if isinstance(found, Region) else None
    return number


def _place(heading: object) -> str | None:
    name = plain_name(heading)
    for key, place in (("totals", "total"), ("out_of_province", "out"), ("unknown", "unknown")):
        if name in _WORDS[key]:
            return place
    number = _county(heading)
    return None if number is None else f"{number:06d}"


def _numbers(values: pd.Series, name: object, faults: Faults, *, blank: bool) -> pd.Series:
    """Whole numbers >= 0; blank cells are 0 where the caller says so."""
    plain = values.map(lambda value: "" if pd.isna(value) else unicodedata.normalize("NFKC", str(value)))
    texts = plain.astype("object").map(lambda text: text.replace(",", "").strip())
    numbers = pd.to_numeric(texts, errors="coerce").astype("float64")
    numbers = numbers.mask(texts.isin(NONE), 0) if blank else numbers
    wrong = numbers.isna() | (numbers < 0) | (numbers > MOST) | (numbers != np.round(numbers))
    if wrong.any():
        faults.add(name, "no count", "a whole number >= 0", rows=list(values.index[wrong]), values=list(values[wrong]))
    return numbers.where(~wrong, 0).astype("int64")
