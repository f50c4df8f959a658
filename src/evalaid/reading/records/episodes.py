"""The one expression that turns discharge records into counts; it runs on every engine that Ibis speaks to.

It needs no identifier unless transfers are merged, passes over the records once, and gives a table that is small
whatever the number of records: one row for each residence, period and fate of a record.
"""

from __future__ import annotations

import secrets
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from evalaid.base.months import EPOCH, PER_YEAR, PeriodKind, month_in

if TYPE_CHECKING:
    import ibis.expr.types as ir


class Fate(IntEnum):
    """What becomes of a record; the first four are counted, in the order of distance from home."""

    INSIDE = 0
    UNKNOWN_HOSPITAL = 1
    OUTSIDE = 2
    OUT_OF_PROVINCE = 3
    OTHER_BASE = 4
    UNKNOWN_BASE = 5
    OTHER_INSURANCE = 6
    NO_DATE = 7
    UNREADABLE_DATE = 8
    IMPLAUSIBLE_DATE = 9
    BACKWARDS = 10


COUNTED = (Fate.INSIDE, Fate.UNKNOWN_HOSPITAL, Fate.OUTSIDE, Fate.OUT_OF_PROVINCE)
"""Columns of the result."""
TAKEN = ("furthest", "first", "last")
"""Where an episode with transfers counts: at the hospital furthest from home, the first, or the last."""
YEARS = (1980, 2079)
"""First and last year of a date that is one; others (1900-01-01, 9999-12-31) stand for "not known" or "not yet"."""
NOBODY = (
    "",
    "0",
    "-",
    "--",
    "/",
    "\\",
    ".",
    "?",
    "*",
    "nan",
    "none",
    "null",
    "na",
    "n/a",
    "<na>",
    "无",
    "空",
    "不详",
    "未知",
    "unknown",
    "\u3000",
)
"""What stands for a pseudonym that is missing, in small letters; so does any number of zeros."""
_DASHED = r"^\d{4}-\d{1,2}-\d{1,2}"
_SOLID = r"^(\d{8})(\d{4}|\d{6}|\d{9})?([.T ].*)?$"
_ZONED = r":\d\d([.,]\d+)?\s*(Z|[+-]\d\d(:?\d\d)?)$"
_HASHES = {"duckdb": ("hash", "uint64"), "pyspark": ("xxhash64", "int64")}


def stays(
    table: ir.Table,
    hospitals: ir.Table | None,
    heirs: ir.Table | None,
    units: ir.Table | None,
    columns: dict[str, str],
    *,
    period: str,
    dated: str,
    base_values: tuple[str, ...],
    insurance: tuple[str, ...],
) -> ir.Table:
    """Bring records to one form: residence, seat (county of the hospital), dates, period, fate, weight, hospital, person.

    ``units`` numbers the units where their codes are taken as they are written (`unit_text`, `unit_number`); else codes are of GB/T 2260.
    A date outside of `YEARS` is missing; a time with a zone belongs to the day that it is in China.
    """
    import ibis

    code = _county if units is None else _text
    picked = {"residence": code(table[columns["residence"]])}
    if "hospital" in columns:
        picked["hospital"] = _text(table[columns["hospital"]])
    else:
        picked["hospital"] = code(table[columns["hospital_county"]]).cast("string")
    if hospitals is None:
        picked["seat"] = code(table[columns["hospital_county"]])
    for role in ("admission", "discharge"):
        written = _day(table[columns[role]]) if role in columns else ibis.null("date")
        plausible = written.between(ibis.date(YEARS[0], 1, 1), ibis.date(YEARS[1], 12, 31))
        picked[role] = plausible.ifelse(written, ibis.null("date"))
        if role == dated:
            raw = table[columns[role]]
            picked["written"] = written
            picked["unreadable"] = (
                ibis.literal(value=False)
                if raw.type().is_date()
                else written.isnull() & ((raw.strip() != "") if raw.type().is_string() else raw.notnull())
            )
    for role, kept in (("base", base_values), ("insurance", insurance)):
        value = _text(table[columns[role]]) if kept else None
        picked[f"{role}_kept"] = ibis.literal(value=True) if value is None else value.nullif("").isin(kept)
    picked["weight"] = _number(table[columns["weight"]]) if "weight" in columns else ibis.null("float64")
    if "person" in columns:
        picked["person"] = _person(table[columns["person"]])
    rows = table.select(**picked)
    if hospitals is not None:
        rows = rows.left_join(hospitals, rows.hospital == hospitals.code).drop("code").rename(seat="county")
    if units is not None:
        rows = _numbered(rows, units, "residence")
        rows = rows if hospitals is not None else _numbered(rows, units, "seat")
    if heirs is not None:
        rows = _today(rows, heirs, "residence")
        rows = rows if hospitals is not None else _today(rows, heirs, "seat")
    day = rows[dated]
    fate = ibis.cases(
        (rows.base_kept.isnull(), int(Fate.UNKNOWN_BASE)),
        (~rows.base_kept, int(Fate.OTHER_BASE)),
        (~rows.insurance_kept.fill_null(False), int(Fate.OTHER_INSURANCE)),
        (rows.unreadable.fill_null(False), int(Fate.UNREADABLE_DATE)),
        (rows.written.notnull() & day.isnull(), int(Fate.IMPLAUSIBLE_DATE)),
        (day.isnull(), int(Fate.NO_DATE)),
        (rows.admission > rows.discharge, int(Fate.BACKWARDS)),
        else_=_distance(rows.seat, rows.residence, provinces=units is None),
    )
    return rows.mutate(day=day, period=_ordinal(day, period), fate=fate.cast("int8"))


def count_stays(rows: ir.Table) -> ir.Table:
    """Count records as they are, each an episode."""
    return rows.group_by("residence", "period", "fate").aggregate(
        rows=rows.count(),
        episodes=rows.count(),
        transfers=rows.count() * 0,
        duplicates=rows.count() * 0,
        weight=rows.weight.sum(),
        weighted=rows.weight.count(),
        first=rows.day.min(),
        last=rows.day.max(),
    )


def count_episodes(
    rows: ir.Table, engine: str, *, days: int, dated: str, taken: str, provinces: bool = True
) -> ir.Table:
    """Count episodes: a stay that follows another of the same person is merged into it when it is a transfer.

    A transfer begins in another hospital at most ``days`` after the latest discharge so far; a record equal to the one
    before it in person, hospital and dates is a duplicate. Both join the episode before them. A stay in the same
    hospital, however soon, is a readmission and begins an episode of its own. An episode has the residence of its
    first stay, from which its hospitals are near or far, the period of its first admission or last discharge, and the weight
    of its heaviest stay.

    Stays that stand alone, nearly all, are counted before the rest is put into episodes, so the second pass is small.
    """
    import ibis

    dated_both = rows.admission.notnull() & rows.discharge.notnull()
    mergeable = rows.person.notnull() & dated_both & rows.hospital.notnull() & (rows.fate <= int(Fate.OUT_OF_PROVINCE))
    # Records that belong to nobody are spread over the partitions, or one of them would hold all.
    spread = ibis.literal("?") + rows.hospital.fill_null("") + rows.day.cast("string").fill_null("")
    # Short columns of fixed length: all records are sorted by them.
    named = rows.select(
        "residence", "seat", "period", "fate", "admission", "discharge", "weight",
        mergeable=mergeable,
        key=_short(mergeable.ifelse(rows.person, spread), engine, secrets.randbits(62)),
        hospital=_short(rows.hospital, engine, 0),
    )  # fmt: skip
    # Down to the last column that counts, so that the order of the records decides nothing. Two hospitals, equally far, on the
    # same days come in an order of the engine's own.
    order = [named.admission, named.discharge, named.fate, named.residence, named.hospital]
    beside = ibis.window(group_by=named.key, order_by=order)
    placed = named.mutate(
        seq=ibis.row_number().over(beside),
        left=named.discharge.max().over(ibis.window(group_by=named.key, order_by=order, rows=(None, -1))),
        hospital_before=named.hospital.lag().over(beside),
        admission_before=named.admission.lag().over(beside),
        discharge_before=named.discharge.lag().over(beside),
        hospital_after=named.hospital.lead().over(beside),
        admission_after=named.admission.lead().over(beside),
        discharge_after=named.discharge.lead().over(beside),
    )
    latest = ibis.greatest(placed.left.coalesce(placed.discharge), placed.discharge)
    transfer, again = _follows(placed, "before", placed.left, days)
    transfer_next, again_next = _follows(placed, "after", latest, days)
    marked = placed.mutate(
        day=placed[dated], transfer=transfer, again=again, lone=~(transfer | again | transfer_next | again_next)
    )
    chain = marked.mutate(
        key=marked.lone.ifelse(ibis.null(marked.key.type()), marked.key),
        seq=marked.lone.ifelse(0, marked.seq),
        seat=marked.lone.ifelse(ibis.null("int32"), marked.seat),
    )
    parts = chain.group_by("key", "seq", "lone", "residence", "seat", "period", "fate", "transfer", "again").aggregate(
        rows=chain.count(),
        weight=chain.weight.sum(),
        weighted=chain.weight.count(),
        first=chain.day.min(),
        last=chain.day.max(),
    )
    starts = ~(parts.transfer | parts.again)
    numbered = parts.mutate(
        starts=starts,
        episode=starts.cast("int64").sum().over(ibis.cumulative_window(group_by=parts.key, order_by=parts.seq)),
    )
    home = numbered.residence.max(where=numbered.starts).over(ibis.window(group_by=[numbered.key, numbered.episode]))
    numbered = numbered.mutate(
        fate=numbered.lone.ifelse(numbered.fate, _distance(numbered.seat, home, provinces=provinces)).cast("int8")
    )
    own = numbered.starts
    fate = {
        "furthest": numbered.fate.max(),
        "first": numbered.fate.max(where=own),
        "last": numbered.fate.argmax(numbered.seq),
    }[taken]
    one = numbered.group_by("key", "episode").aggregate(
        residence=numbered.residence.max(where=own),
        period=numbered.period.max() if dated == "discharge" else numbered.period.min(),
        fate=fate,
        rows=numbered.rows.sum(),
        episodes=numbered.rows.sum(where=own),
        transfers=numbered.rows.sum(where=numbered.transfer),
        duplicates=numbered.rows.sum(where=numbered.again),
        weight=numbered.weight.max(),
        weighted=numbered.weighted.max(),
        first=numbered["first"].min(),
        last=numbered["last"].max(),
    )
    return one.group_by("residence", "period", "fate").aggregate(
        **{name: one[name].sum() for name in ("rows", "episodes", "transfers", "duplicates", "weight", "weighted")},
        first=one["first"].min(),
        last=one["last"].max(),
    )


def _follows(rows: ir.Table, side: str, left: Any, days: int) -> tuple[Any, Any]:
    """Whether the later of two neighbouring stays is a transfer from, or a copy of, the earlier one."""
    hospital, admission, discharge = (rows[f"{name}_{side}"] for name in ("hospital", "admission", "discharge"))
    later = rows.admission if side == "before" else admission
    near = later.delta(left, unit="day") <= days
    other = hospital != rows.hospital
    same = (hospital == rows.hospital) & (admission == rows.admission) & (discharge == rows.discharge)
    return (rows.mergeable & other & near).fill_null(False), (rows.mergeable & same).fill_null(False)


def _short(text: Any, engine: str, salt: int) -> Any:
    """A stand-in for a pseudonym or a code: 64 bits where the engine has a hash of that length, else the text itself.

    Two of a hundred million people share one with a probability of 0.0003, and only their stays could be mixed up. What
    does not fit into memory is written to scratch files with the stand-in only; its salt is in memory only.
    """
    import ibis

    if engine not in _HASHES:
        return text
    name, dtype = _HASHES[engine]

    def shorten(salt: Any, text: Any) -> None: ...

    return ibis.udf.scalar.builtin(shorten, name=name, signature=(("int64", "string"), dtype))(salt, text)


def _distance(seat: Any, home: Any, *, provinces: bool) -> Any:
    """How far from home a hospital is; units without provinces have only inside and outside."""
    import ibis

    if not provinces:
        return ibis.cases(
            (seat.isnull(), int(Fate.UNKNOWN_HOSPITAL)),
            (seat == home, int(Fate.INSIDE)),
            else_=int(Fate.OUTSIDE),
        )

    return ibis.cases(
        (seat.isnull(), int(Fate.UNKNOWN_HOSPITAL)),
        (seat == home, int(Fate.INSIDE)),
        (seat // 10_000 == home // 10_000, int(Fate.OUTSIDE)),
        else_=int(Fate.OUT_OF_PROVINCE),
    )


def _numbered(rows: ir.Table, units: ir.Table, column: str) -> ir.Table:
    """The rows with units as they are written replaced by their numbers; null where none is written."""
    units = units.view()
    joined = rows.left_join(units, rows[column] == units.unit_text)
    return joined.mutate(**{column: joined.unit_number}).drop("unit_text", "unit_number")


def written_units(table: ir.Table, columns: dict[str, str], roles: tuple[str, ...]) -> ir.Table:
    """The different units that the columns of these roles name, as they are written: ``unit_text``."""
    parts = [table.select(unit_text=_text(table[columns[role]])).distinct() for role in roles if role in columns]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.union(part, distinct=True)
    return whole


def _today(rows: ir.Table, heirs: ir.Table, column: str) -> ir.Table:
    """The rows with former codes replaced by those of today."""
    heirs = heirs.view()
    joined = rows.left_join(heirs, rows[column] == heirs.was)
    return joined.mutate(**{column: joined.now.coalesce(joined[column])}).drop("was", "now")


def _text(column: Any) -> Any:
    dtype = column.type()
    if dtype.is_floating() or dtype.is_decimal():
        return column.try_cast("int64").cast("string")
    return column.strip() if dtype.is_string() else column.cast("string")


def _person(column: Any) -> Any:
    """The pseudonym; missing when a word or zeros stand in its place: whoever has none is not one and the same person."""
    import ibis

    text = _text(column)
    if column.type().is_string():  # to look is a tenth of the work of stripping
        padded = (column.left(1) <= " ") | (column.right(1) <= " ")
        text = padded.ifelse(text, column)
    # Long ones, nearly all, are not compared with the words.
    zeros = (text.left(2) == "00").ifelse(text.replace("0", "") == "", False)
    nobody = (text.length() < 9).ifelse(text.lower().isin(NOBODY), False) | zeros
    return nobody.ifelse(ibis.null("string"), text)


def _number(column: Any) -> Any:
    value = column.try_cast("float64")
    return value.isnan().ifelse(value.nullif(value), value)


def _county(column: Any) -> Any:
    """The first six digits of an administrative code, as an integer; codes of 9 or 12 digits name a town or a village."""
    import ibis

    # What Ibis writes for ``left`` keeps DuckDB from computing once for each distinct text.
    def cut(text: Any, start: Any, length: Any) -> None: ...

    front = ibis.udf.scalar.builtin(cut, name="substring", signature=(("string", "int64", "int64"), "string"))
    return front(_text(column), 1, 6).try_cast("int32")


def _day(column: Any) -> Any:
    """The day of a date, a time or a text (2019-07-01, 2019/7/1, 2019.7.1, 2019年7月1日, 20190701, each with a time behind it or not)."""
    dtype = column.type()
    if dtype.is_date():
        return column
    if dtype.is_timestamp():
        return column.date() if dtype.timezone is None else _day_in_china(column)
    text = _text(column).strip()
    dashed = text.left(11)
    for mark in "/.年月":
        dashed = dashed.replace(mark, "-")
    solid = text.re_extract(_SOLID, 1)
    solid = solid.left(4) + "-" + solid.substr(4, 2) + "-" + solid.substr(6, 2)
    # Nothing else is given to the engine: Spark takes 2019-04 for its first day, DuckDB 19-04-02 for the year 19.
    day = dashed.re_extract(_DASHED, 0).try_cast("date").coalesce(solid.try_cast("date"))
    zoned = (text.length() > 16).ifelse(text.re_search(_ZONED), False)
    return zoned.ifelse(_day_in_china(text.try_cast("timestamp('UTC')")), day)


def _day_in_china(moment: Any) -> Any:
    """The day that it is in China, which has one zone, eight hours before UTC, at a moment."""
    import ibis

    seconds = moment.delta(ibis.timestamp("1970-01-01 00:00:00", timezone="UTC"), unit="second")
    return (ibis.timestamp("1970-01-01 08:00:00") + seconds.as_interval("s")).date()


def _ordinal(day: Any, period: str) -> Any:
    """The number of the period as `evalaid.base.periods` counts it."""
    if period == "year":
        return day.year().cast("int32")
    if period == "quarter":
        return ((day.year() - EPOCH) * PER_YEAR[PeriodKind.QUARTER] + day.quarter() - 1).cast("int32")
    return month_in(day.year(), day.month()).cast("int32")
