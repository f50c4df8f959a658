"""Discharge records, one row per episode, to counts by county of residence and period."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.base.faults import Faults
from evalaid.base.periods import parse_periods
from evalaid.reading.places.regions import former_counties
from evalaid.reading.records.episodes import TAKEN, count_episodes, count_stays, stays, written_units
from evalaid.reading.records.pieces import check_pieces, looks_like_a_record
from evalaid.reading.records.record_columns import BASE_VALUES, RECORD_COLUMNS, find_record_columns, plain_name
from evalaid.reading.records.stores import Progress, Store, open_store, read_small
from evalaid.reading.records.tallies import (
    CITIES_WITHOUT_COUNTIES,
    RecordCounts,
    account,
    county_number,
    make_decisions,
    make_frame,
    plain_code,
    sort_out,
)
from evalaid.reading.values.comparable_names import comparable, name_text

PERIODS = ("year", "quarter", "month")


def count_records(
    source: Any,
    hospitals: Any = None,
    *,
    base: str,
    period: str = "quarter",
    columns: Mapping[str, str] | None = None,
    transfer_days: int | None = None,
    transfers: str = "furthest",
    dated: str = "discharge",
    denominator: str = "country",
    counties: Sequence[object] | None = None,
    within: tuple[object, object] | None = None,
    base_values: Sequence[str] | None = None,
    insurance: Sequence[str] = (),
    codes: str = "counties",
    backend: Any = None,
    memory: str = "1500MB",
    threads: int | None = None,
    scratch: Path | str | None = None,
    progress: Progress | None = None,
) -> RecordCounts:
    """Count discharge records (病案首页) or claims by county of residence and period, inside and outside the county.

    Assumes one row for each stay. Only the columns that are needed are read, the pseudonym only when transfers are
    merged; nothing about a person is in the result. No record is dropped silently: what becomes of each is counted in
    ``decisions``.

    Parameters
    ----------
    source : path, sequence of paths, pandas.DataFrame, ibis table or str
        A Parquet or CSV file, a folder of them or several; or, with ``backend``, a table's name or a path there.
    hospitals : path, pandas.DataFrame or mapping, optional
        Hospital code and county code. Default: the records name the county of the hospital themselves.
    base : {"residents", "registered", "insured"}
        Whose episodes the records hold, or, when they have a column ``base``, whose are kept. Decides which residence
        is read from a home page that has several.
    period : {"quarter", "year", "month"}, optional
        What a row of the result covers.
    columns : mapping of str to str, optional
        Role -> column, for those that are not recognised by their names: residence, hospital, hospital_county,
        admission, discharge, person, base, insurance, and weight (of a case, for the mean; read only when named).
    transfer_days : int, optional
        Merge a stay into the one before when it begins in another hospital at most so many days after it (needs a
        pseudonym). A stay in the same hospital is a readmission and stays an episode. Default: merge nothing.
    transfers : {"furthest", "first", "last"}, optional
        Where a merged episode counts: at its hospital furthest from home, its first or its last.
    dated : {"discharge", "admission"}, optional
        Which day decides the period (of a merged episode: the last discharge, the first admission).
    denominator : {"country", "province"}, optional
        Whether ``total`` includes episodes in other provinces. Home pages of one province do not hold them, claims do.
    counties : sequence, optional
        Codes of the counties wanted; residents of others are counted as such and left out. Default: all.
    within : tuple, optional
        First and last period wanted ("2018Q1", "2020Q4").
    base_values : sequence of str, optional
        What the column ``base`` calls the base. Default: the usual words.
    insurance : sequence of str, optional
        Insurance types to keep. Default: all.
    codes : {"counties", "as_written"}, optional
        "counties": residences and hospitals have codes of GB/T 2260. "as_written": any names or codes, compared as they are
        written (blanks, case and punctuation aside); an episode is inside where the two are the same, else outside.
    backend : str or ibis backend, optional
        Address or connection of another engine ("pyspark://", "postgres://..."). Default: DuckDB, embedded.
    memory : str, optional
        Most that DuckDB may use before it writes to ``scratch``.
    threads : int, optional
        Threads of DuckDB. Default: all processors.
    scratch : path, optional
        Folder for what does not fit into memory: dates, codes and a salted number for each person, deleted afterwards.
        Default: the system's temporary folder.
    progress : callable, optional
        Called with (per cent done, 100).

    Returns
    -------
    RecordCounts
        Counts, decisions, definition; ready for ``diagnose(counts.frame, "county", "period", "share", ...,
        inside="inside", total="total")``.

    Raises
    ------
    ReadingError
        For files that are missing, unreadable or change meanwhile, columns that are missing, ambiguous or of the wrong
        type, hospitals that are listed twice, options that do not exist, and when more than half of the records (`MOST_LEFT_OUT`)
        have a residence that is no county.

    Notes
    -----
    Which date, base and place decide is part of the definition of the indicator; no official formula of the national
    indicator (县域内住院人次占比) has been published, so each choice is an argument and stands in ``definition``.

    Examples
    --------
    >>> stays = pd.DataFrame({
    ...     "residence": ["440222", "440222", "440222"], "hospital": ["A", "B", "A"],
    ...     "admission": ["2019-01-02", "2019-01-05", "2019-02-01"],
    ...     "discharge": ["2019-01-05", "2019-01-09", "2019-02-03"], "person": ["x", "x", "y"]})
    >>> places = {"A": "440222", "B": "440204"}
    >>> count_records(stays, places, base="residents").frame[["county", "period", "inside", "outside", "share"]]
       county  period  inside  outside     share
    0  440222  2019Q1       2        1  0.666667
    >>> count_records(stays, places, base="residents", transfer_days=1).frame[["inside", "outside", "share"]]
       inside  outside  share
    0       1        1    0.5
    """
    _check_options(
        base=(base, tuple(BASE_VALUES)), period=(period, PERIODS), transfers=(transfers, TAKEN),
        dated=(dated, ("discharge", "admission")), denominator=(denominator, ("country", "province")),
        codes=(codes, ("counties", "as_written")),
    )  # fmt: skip
    _check_days(transfer_days)
    as_written = codes == "as_written"
    heirs = former_counties()
    seats, notes = (None, []) if hospitals is None else _read_hospitals(hospitals, heirs, as_written=as_written)
    with open_store(source, backend=backend, memory=memory, threads=threads, scratch=scratch) as store:
        needed = dict.fromkeys(("residence", "hospital_county" if seats is None else "hospital", dated))
        needed |= dict.fromkeys(("person", "admission", "discharge") if transfer_days is not None else ())
        needed |= dict.fromkeys(("insurance",) if insurance else ())
        found, remarks = _assign_columns(store, columns, base, list(needed))
        kept = tuple(base_values or BASE_VALUES[base]) if "base" in found else ()
        written = _number_units(store, found, seats) if as_written else None
        seats = seats if written is None or seats is None else written.of_hospitals(seats)
        units = None if written is None else store.small_table("units", written.table)
        lookup = None if seats is None else store.small_table("hospitals", seats)

        def count(former: pd.DataFrame) -> pd.DataFrame:
            today = store.small_table("heirs", former[["was", "now"]]) if len(former) else None
            rows = stays(
                store.table,
                lookup,
                today,
                units,
                found,
                period=period,
                dated=dated,
                base_values=kept,
                insurance=tuple(insurance),
            )
            if transfer_days is None:
                return store.run(count_stays(rows), progress)
            return store.run(
                count_episodes(
                    rows, store.engine, days=transfer_days, dated=dated, taken=transfers, provinces=not as_written
                ),
                progress,
            )

        summary, former = _summarise(count, heirs, looked_up=seats is not None, as_written=as_written)
        files = store.finish()
    definition = {
        "base": base, "period": period, "dated": dated, "denominator": denominator,
        "transfers": "not merged" if transfer_days is None else f"merged within {transfer_days} days, {transfers}",
        "insurance": ", ".join(insurance) or "all",
    }  # fmt: skip
    wanted = _wanted(counties, written, heirs)
    sorted_out = sort_out(summary, wanted, _window(within, period), provinces=not as_written)
    _refuse_empty(sorted_out, found["residence"], as_written=as_written)
    names = None if written is None else written.names
    kept_groups = sorted_out[sorted_out["left_out"] == ""]
    frame = make_frame(kept_groups, period, denominator, weighted="weight" in found, units=names)
    return RecordCounts(
        frame,
        make_decisions(
            [
                *files,
                *remarks,
                *notes,
                *(() if as_written else _renamed(former, frame)),
                *account(sorted_out, definition, found, period),
            ]
        ),
        definition,
    )


MOST_LEFT_OUT = 0.5
"""A larger share of records whose residence is no county is no slip in some records: the codes are of another kind."""

ENOUGH_RECORDS = 20
"""So many records show it."""

MOST_UNITS = 500_000


@dataclass(frozen=True)
class _WrittenUnits:
    """Units as records write them: the names by number, and the number of every way to write one."""

    names: tuple[str, ...]
    table: pd.DataFrame  # ``unit_text``, ``unit_number``
    numbers: Mapping[str, int]  # comparable name -> number

    def of_hospitals(self, seats: pd.DataFrame) -> pd.DataFrame:
        """The table of hospitals with the numbers of their units."""
        return seats.assign(county=seats["county"].map(lambda name: self.numbers[comparable(name)]).astype("int32"))

    def wanted(self, units: Sequence[object]) -> set[int | None]:
        """The numbers of the units that were asked for."""
        return {self.numbers.get(comparable(unit)) for unit in units}


def _check_days(days: int | None) -> None:
    """Refuse a number of days that is none."""
    whole = isinstance(days, int) and not isinstance(days, bool)
    if days is not None and not (whole and days >= 0):
        raise ReadingError(f"transfer_days is {days!r}. Expected None (merge nothing) or a whole number of days >= 0.")


def _summarise(
    count: Callable[[pd.DataFrame], pd.DataFrame], heirs: pd.DataFrame, *, looked_up: bool, as_written: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Count, with the former codes that occur; they are rare, and to look for them costs every record: a second pass if any."""
    if as_written or not looked_up:
        former = heirs[:0] if as_written else heirs
        return count(former), former
    summary = count(heirs[:0])
    former = heirs[heirs["was"].isin(summary["residence"].dropna())]
    return (count(former) if len(former) else summary), former


def _number_units(store: Store, found: Mapping[str, str], seats: pd.DataFrame | None) -> _WrittenUnits:
    """Number the units of records and hospitals by their names, in their order."""
    roles = ("residence",) if seats is not None else ("residence", "hospital_county")
    there = store.run(written_units(store.table, dict(found), roles), None)["unit_text"].dropna()
    texts = sorted({str(text) for text in there if str(text).strip()})
    if len(texts) > MOST_UNITS:
        raise ReadingError(
            f"The residence has {len(texts):,} different values. Expected units such as counties: columns={{'residence': ...}}."
        )
    names: dict[str, str] = {}
    for text in [*texts, *([] if seats is None else sorted(set(map(str, seats["county"]))))]:
        names.setdefault(comparable(text), name_text(text))
    numbers = {key: at for at, key in enumerate(names)}
    table = pd.DataFrame({"unit_text": texts, "unit_number": [numbers[comparable(text)] for text in texts]})
    return _WrittenUnits(tuple(names.values()), table.astype({"unit_text": "str", "unit_number": "int32"}), numbers)


def _refuse_empty(groups: pd.DataFrame, column: str, *, as_written: bool) -> None:
    """Refuse records of which most have no county, or no hospital that is known: the counts of the rest would be of nothing."""
    rows = int(groups["rows"].sum())
    without = int(groups.loc[groups["left_out"] == "residence missing or no county code", "rows"].sum())
    if rows >= ENOUGH_RECORDS and without > MOST_LEFT_OUT * rows:
        other = (
            "a column of units"
            if as_written
            else "codes of GB/T 2260 (six digits), or codes='as_written' for any other names or codes"
        )
        raise ReadingError(
            f"{without:,} of {rows:,} records would be left out: what stands in {column!r} is missing or no county of China. "
            f"Expected {other}."
        )


def _wanted(
    counties: Sequence[object] | None, written: _WrittenUnits | None, heirs: pd.DataFrame
) -> set[int | None] | None:
    """The numbers of the units that were asked for; None for all."""
    if counties is None:
        return None
    return _county_numbers(counties, heirs) if written is None else written.wanted(counties)


def _county_numbers(codes: Sequence[object], heirs: pd.DataFrame) -> set[int | None]:
    """The codes of today of the counties that were asked for."""
    numbers = {code: None if isinstance(codes, str) else county_number(code) for code in codes}
    if wrong := [code for code, number in numbers.items() if number is None]:
        found = repr(codes) if isinstance(codes, str) else ", ".join(map(repr, wrong[:3]))
        raise ReadingError(f"counties= holds {found}. Expected a sequence of codes of six digits ('440222').")
    today = dict(zip(heirs["was"], heirs["now"], strict=True))
    return {today.get(number, number) for number in numbers.values()}


def _renamed(heirs: pd.DataFrame, frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Return which of the counties counted had other codes before."""
    there = heirs[heirs["now"].isin(frame["county"].astype("int64"))]
    return [
        ("", "", "", f"code {was}", None, f"counted as {now}", how)
        for was, now, how in there.sort_values("was").itertuples(index=False)
    ]


def _check_options(**given: tuple[str, Sequence[str]]) -> None:
    wrong = [
        f"{name}={value!r} does not exist; expected {', '.join(map(repr, allowed))}"
        for name, (value, allowed) in given.items()
        if value not in allowed
    ]
    if wrong:
        raise ReadingError("The records cannot be counted as asked: " + "; ".join(wrong) + ".")


def _assign_columns(
    store: Store, given: Mapping[str, str] | None, base: str, needed: list[str]
) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    """Find the columns that are needed, raise for those that are not there, and say which was taken for what."""
    there = list(store.table.columns)
    given = dict(given or {})
    faults = Faults()
    for role in sorted(set(given) - set(RECORD_COLUMNS)):
        faults.add(given.pop(role), f"{role!r} is no role of a column", f"one of {', '.join(RECORD_COLUMNS)}")
    for role, name in list(given.items()):
        if name not in there:
            near = difflib.get_close_matches(name, there, n=3, cutoff=0.5)
            faults.add(given.pop(role), f"no such column (named as {role})", f"one of {', '.join(near or there[:12])}")
    found, several = find_record_columns(there, base, given)
    if not found and not several and looks_like_a_record(there):
        # What stands there is about a person: it is not shown.
        raise ReadingError(
            "The first row of the records holds values, not names of columns. Expected a header row: write the names of the "
            "columns (residence, hospital, admission, discharge) into the first row of every file."
        )
    optional = ["admission", "discharge", "base", "weight", *(["hospital"] if "person" in needed else [])]
    _check_roles(found, several, there, needed, optional, faults)
    used = {role: found[role] for role in RECORD_COLUMNS if role in found and role in {*needed, *optional}}
    for role, name in used.items():
        _check_type(store.table[name].type(), name, role, faults)
    check_pieces(store.kinds, used, faults)
    faults.raise_if_any(ReadingError, "records")
    remarks: list[tuple[Any, ...]] = []
    for role, name in used.items():
        because = "named by the caller" if role in given else "by its name"
        remarks.append(("", "", "", f"column {name!r}", None, f"read as {role}", because))
    unread = len(there) - len(set(used.values()))
    remarks.append(("", "", "", "other columns", None, f"{unread} not read", "they are not needed"))
    return used, remarks


def _check_roles(
    found: Mapping[str, str],
    several: Mapping[str, list[str]],
    there: list[str],
    needed: list[str],
    optional: list[str],
    faults: Faults,
) -> None:
    """Refuse names that occur twice, roles without a column and roles that several columns may have."""
    for name in found.values():
        if f"{name}_1" in there:
            faults.add(name, "the header has this name more than once", "every name once")
    for role in needed:
        if role not in found and role not in several and not any(role == str(row) for row in faults.frame()["row"]):
            do = f"a column for it: columns={{{role!r}: ...}}; there are {', '.join(there[:12])}"
            faults.add(role, f"no column was recognised as {role}", do)
    for role, names in several.items():
        if role in {*needed, *optional}:
            faults.add(role, f"several columns may be the {role}: {', '.join(names)}", f"columns={{{role!r}: ...}}")


def _check_type(dtype: Any, name: str, role: str, faults: Faults) -> None:
    """Refuse a column whose type cannot hold what its role says."""
    plain = dtype.is_string() or dtype.is_numeric() or dtype.is_null()
    day = role in {"admission", "discharge"}
    if dtype.is_boolean() or not (plain or (day and (dtype.is_date() or dtype.is_timestamp()))):
        do = "dates, or dates as text (2019-07-01, 20190701)" if day else "text or numbers"
        faults.add(name, f"holds {dtype}, read as {role}", do)
    if role == "person" and (dtype.is_floating() or dtype.is_decimal()):
        do = "text or whole numbers: long ones lose digits as numbers with a decimal point, and people become one"
        faults.add(name, f"holds {dtype}, read as {role}", do)


def _read_hospitals(
    hospitals: Any, heirs: pd.DataFrame, *, as_written: bool = False
) -> tuple[pd.DataFrame, list[tuple[Any, ...]]]:
    """Code and county of each hospital, and what is to be said about them; every fault of the table at once."""
    if isinstance(hospitals, Mapping):
        table = pd.DataFrame({"hospital": list(hospitals), "county": list(hospitals.values())})
    else:
        table = read_small(hospitals)[0]
    roles: dict[str, Any] = {}
    for role, names in (
        ("code", RECORD_COLUMNS["hospital"]),
        ("county", ("county", "adcode", *RECORD_COLUMNS["hospital_county"])),
    ):
        roles[role] = next((column for column in table if plain_name(column) in names), None)
    if None in roles.values():
        raise ReadingError(
            f"The hospital table has the columns {', '.join(map(str, table))}. Expected one with the hospital's code "
            f"({', '.join(RECORD_COLUMNS['hospital'])}) and one with its county (county, adcode)."
        )
    code = table[roles["code"]].map(plain_code)
    number = table[roles["county"]].map((lambda value: name_text(value) or None) if as_written else county_number)
    faults = Faults()
    if (bad := number.isna()).any():
        faults.add(
            roles["county"],
            "no unit" if as_written else "no county code",
            "its unit" if as_written else "six digits, or codes='as_written' for any other names or codes",
            rows=list(table.index[bad]),
            values=list(table.loc[bad, roles["county"]]),
        )
    seats = pd.DataFrame({"code": code, "county": number}).dropna().drop_duplicates()
    if (twice := seats["code"].duplicated(keep=False)).any():
        rows = seats[twice]
        faults.add(
            roles["code"], "one hospital in several counties", "one county per hospital",
            rows=list(rows.index), values=[f"{a} in {b}" for a, b in zip(rows["code"], rows["county"], strict=True)],
        )  # fmt: skip
    faults.raise_if_any(ReadingError, "hospital table")
    if as_written:
        return seats.astype({"code": "str"}).reset_index(drop=True), []
    seats = seats.astype({"code": "str", "county": "int32"}).reset_index(drop=True)
    today = dict(zip(heirs["was"], heirs["now"], strict=True))
    seats["county"] = seats["county"].map(lambda number: today.get(number, number)).astype("int32")
    city = seats["county"].mod(100).eq(0) & ~seats["county"].isin(CITIES_WITHOUT_COUNTIES)
    count = f"{int(city.sum())} counted as outside of every county"
    return seats, [
        ("", "", "", "hospitals known to the city only", None, count, "their code ends in 00"),
    ] if city.any() else []


def _window(within: tuple[object, object] | None, period: str) -> tuple[int, int] | None:
    if within is None:
        return None
    ordinal = parse_periods(list(within), period).ordinal
    return int(ordinal[0]), int(ordinal[1])
