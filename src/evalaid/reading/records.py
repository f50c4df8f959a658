"""Discharge records, one row an episode, to counts by county of residence and period."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from evalaid.errors import ReadingError
from evalaid.faults import Faults
from evalaid.names import BASE_VALUES, RECORD_COLUMNS, find_record_columns, plain_name
from evalaid.periods import parse_periods
from evalaid.reading.episodes import TAKEN, count_episodes, count_stays, stays
from evalaid.reading.stores import Progress, Store, open_store
from evalaid.reading.tallies import (
    RecordCounts,
    account,
    county_number,
    make_decisions,
    make_frame,
    plain_code,
    sort_out,
)

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
        type, hospitals that are listed twice, and options that do not exist.

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
    )  # fmt: skip
    if transfer_days is not None and transfer_days < 0:
        raise ReadingError(f"transfer_days is {transfer_days}. Expected None (merge nothing) or a number of days >= 0.")
    seats = None if hospitals is None else _read_hospitals(hospitals)
    with open_store(source, backend=backend, memory=memory, threads=threads, scratch=scratch) as store:
        needed = ["residence", "hospital_county" if seats is None else "hospital", dated]
        needed += ["person", "admission", "discharge"] if transfer_days is not None else []
        needed += ["insurance"] if insurance else []
        found, remarks = _assign_columns(store, columns, base, list(dict.fromkeys(needed)))
        kept = tuple(base_values or BASE_VALUES[base]) if "base" in found else ()
        lookup = None if seats is None else store.small_table(seats)
        rows = stays(
            store.table, lookup, found, period=period, dated=dated, base_values=kept, insurance=tuple(insurance)
        )
        if transfer_days is None:
            expression = count_stays(rows)
        else:
            expression = count_episodes(rows, store.engine, days=transfer_days, dated=dated, taken=transfers)
        summary = store.run(expression, progress)
        files = store.finish()
    definition = {
        "base": base, "period": period, "dated": dated, "denominator": denominator,
        "transfers": "not merged" if transfer_days is None else f"merged within {transfer_days} days, {transfers}",
        "insurance": ", ".join(insurance) or "all",
    }  # fmt: skip
    wanted = None if counties is None else {county_number(code) for code in counties}
    sorted_out = sort_out(summary, wanted, _window(within, period))
    frame = make_frame(sorted_out[sorted_out["left_out"] == ""], period, denominator, weighted="weight" in found)
    return RecordCounts(
        frame, make_decisions([*files, *remarks, *account(sorted_out, definition, found, period)]), definition
    )


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
    optional = ["admission", "discharge", "base", "weight", *(["hospital"] if "person" in needed else [])]
    for role in needed:
        if role not in found and role not in several and not any(role == str(row) for row in faults.frame()["row"]):
            do = f"a column for it: columns={{{role!r}: ...}}; there are {', '.join(there[:12])}"
            faults.add(role, f"no column was recognised as {role}", do)
    for role in [role for role in several if role in {*needed, *optional}]:
        faults.add(role, f"several columns may be the {role}: {', '.join(several[role])}", f"columns={{{role!r}: ...}}")
    for role in [role for role in ("admission", "discharge") if role in found]:
        dtype = store.table[found[role]].type()
        if not (dtype.is_date() or dtype.is_timestamp() or dtype.is_string() or dtype.is_null()):
            faults.add(found[role], f"holds {dtype}, read as {role}", "dates, or dates as text (2019-07-01, 20190701)")
    faults.raise_if_any(ReadingError, "records")
    used = {role: found[role] for role in (*RECORD_COLUMNS,) if role in found and role in {*needed, *optional}}
    remarks = [
        (
            "",
            "",
            "",
            f"column {name!r}",
            None,
            f"read as {role}",
            "named by the caller" if role in given else "by its name",
        )
        for role, name in used.items()
    ]
    unread = len(there) - len(set(used.values()))
    remarks.append(("", "", "", "other columns", None, f"{unread} not read", "they are not needed"))
    return used, remarks


def _read_hospitals(hospitals: Any) -> pd.DataFrame:
    """Code and county of each hospital; every fault of the table at once."""
    if isinstance(hospitals, Mapping):
        table = pd.DataFrame({"hospital": list(hospitals), "county": list(hospitals.values())})
    elif isinstance(hospitals, pd.DataFrame):
        table = hospitals
    else:
        with open_store(hospitals) as store:
            table = store.table.execute()
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
    number = table[roles["county"]].map(county_number)
    faults = Faults()
    if (bad := number.isna()).any():
        faults.add(
            roles["county"],
            "no county code",
            "six digits",
            rows=list(table.index[bad]),
            values=list(table.loc[bad, roles["county"]]),
        )
    seats = pd.DataFrame({"code": code, "county": number}).dropna().drop_duplicates()
    if (twice := seats["code"].duplicated(keep=False)).any():
        rows = seats[twice]
        faults.add(
            roles["code"], "one hospital in several counties", "one county a hospital",
            rows=list(rows.index), values=[f"{a} in {b}" for a, b in zip(rows["code"], rows["county"], strict=True)],
        )  # fmt: skip
    faults.raise_if_any(ReadingError, "hospital table")
    return seats.astype({"code": "str", "county": "int32"}).reset_index(drop=True)


def _window(within: tuple[object, object] | None, period: str) -> tuple[int, int] | None:
    if within is None:
        return None
    ordinal = parse_periods(list(within), period).ordinal
    return int(ordinal[0]), int(ordinal[1])
