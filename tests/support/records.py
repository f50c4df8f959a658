"""Discharge records made up with known answers: small for the tests, a hundred million for the benchmark.

The codes of the counties are those of none (GB/T 2260), so that none has another code today. Everything follows from the number of the person, the number of the slot and the seed through a hash, so the same rows come
out in any order, on any number of threads, and in pieces. The answers are counted from what was meant to happen in a slot,
not from the records, so they know nothing of the code that is tested.

A person has three slots, a year or more apart. In a slot there is one of: a plain stay; a transfer (a second hospital takes
over on the same or the next day), sometimes with a third stay; a transfer that comes a day too late to be one; a
readmission to the same hospital within a day; the same record twice; a record with an unknown hospital, without a
residence, with its dates in the wrong order, or without a discharge date. Some people move before their last slot. Some
discharges fall on the last day of a quarter and some stays begin before and end after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd

FIRST_DAY = "2016-01-01"
SLOT_DAYS = 480
SLOTS = 3
RECORDS_A_PERSON = 3.0 * 1.127
"""How many records a person has on average; see the shares in `SLOTS_SQL`."""

SLOTS_SQL = """
WITH people AS (
    SELECT range AS person, hash(range, {seed}, 1) % 1000 AS place, hash(range, {seed}, 2) % 100 < 3 AS moves
    FROM range({first}, {last})
), slots AS (
    SELECT person, slot, hash(person, slot, {seed}, 3) AS luck, hash(person, slot, {seed}, 4) AS more,
        hash(person, slot, {seed}, 5) AS third, hash(person, slot, {seed}, 6) % 1000 AS kind,
        CASE WHEN moves AND slot = 2 THEN (place * 7 + 13) % 1000 ELSE place END AS place
    FROM people, range({slots}) AS s(slot)
    WHERE slot >= {first_slot} AND slot < {last_slot}
), days AS (
    SELECT *, (place * place // 1000) % {counties} AS home,
        DATE '{day}' + CAST(slot * {slot_days} + 30 + luck % ({slot_days} - 200) AS INTEGER) AS drawn,
        CAST(1 + more % 14 AS INTEGER) AS length
    FROM slots
), placed AS (
    SELECT person, slot, home, kind, length,
        -- one in fifty ends on the last day of a quarter
        CASE WHEN more // 16 % 50 = 0
            THEN CAST(date_trunc('quarter', drawn) AS DATE) + INTERVAL 3 MONTH - INTERVAL 1 DAY - to_days(length)
            ELSE drawn END::DATE AS admitted,
        -- 81 % at home, 16 % elsewhere in the province, 3 % in another province
        CASE WHEN luck // 512 % 100 < 81 THEN home
            WHEN luck // 512 % 100 < 97 THEN (home + 1 + third % ({counties} - 1)) % {counties}
            ELSE {counties} + third % 5 END AS where_first,
        CASE WHEN third // 4096 % 100 < 75 THEN (home + 1 + more // 64 % ({counties} - 1)) % {counties}
            WHEN third // 4096 % 100 < 90 THEN home ELSE {counties} + more % 5 END AS where_next,
        luck // 65536 % {hospitals} AS ward, third // 262144 % 2 AS gap, more // 1024 % 9 AS length_next
    FROM days
), slot_rows AS (
    SELECT *, (admitted + to_days(length))::DATE AS discharged,
        kind < 60 AS transfer, kind < 6 AS twice_moved,             -- 6 %, and 0.6 % with a third stay
        kind >= 60 AND kind < 80 AS late_transfer,                  -- 2 %: a day too late
        kind >= 80 AND kind < 110 AS readmission,                   -- 3 %: same hospital
        kind >= 110 AND kind < 121 AS twice,                        -- 1.1 %: the same record twice
        kind >= 121 AND kind < 126 AS hospital_unknown, kind >= 126 AND kind < 129 AS home_unknown,
        kind >= 129 AND kind < 131 AS backwards, kind = 131 AS undated
    FROM placed
)
"""

RECORDS_SQL = """, stays AS (
    SELECT *, 0 AS step, where_first AS site, ward AS room, admitted AS enters, discharged AS leaves FROM slot_rows
    UNION ALL  -- the second hospital, or the late one; its ward differs from the first
    SELECT *, 1, where_next, ward + {hospitals},
        (discharged + to_days(CAST(CASE WHEN transfer THEN gap ELSE 2 END AS INTEGER)))::DATE,
        (discharged + to_days(CAST(CASE WHEN transfer THEN gap ELSE 2 END + length_next AS INTEGER)))::DATE
    FROM slot_rows WHERE transfer OR late_transfer
    UNION ALL  -- back to the first hospital on the day the second lets go
    SELECT *, 2, where_first, ward, (discharged + to_days(CAST(gap + length_next AS INTEGER)))::DATE,
        (discharged + to_days(CAST(gap + length_next + 3 AS INTEGER)))::DATE
    FROM slot_rows WHERE twice_moved
    UNION ALL
    SELECT *, 3, where_first, ward, (discharged + to_days(CAST(gap AS INTEGER)))::DATE,
        (discharged + to_days(CAST(gap + 2 AS INTEGER)))::DATE
    FROM slot_rows WHERE readmission
    UNION ALL
    SELECT *, 4, where_first, ward, admitted, discharged FROM slot_rows WHERE twice
)
SELECT substr(md5(concat(person, '-', {seed})), 1, 16) AS person,
    CASE WHEN home_unknown THEN NULL ELSE concat('44', lpad(CAST(1 + home // 20 AS VARCHAR), 2, '0'), 41 + home % 20) END AS residence,
    CASE WHEN hospital_unknown THEN concat('X', room) ELSE concat('H', site, '-', room) END AS hospital,
    CASE WHEN backwards THEN leaves ELSE enters END AS admission,
    CASE WHEN backwards THEN enters WHEN undated THEN NULL ELSE leaves END AS discharge,
    CAST(0.5 + (person * 31 + slot * 7 + step) % 100 / 50.0 AS DOUBLE) AS drg_weight,
    CASE WHEN person % 4 = 0 THEN 'employees' ELSE 'residents' END AS insurance
FROM stays
"""

# One row an episode, by what was meant: 0 inside, 1 outside in the province, 2 in another province, 3 unknown hospital.
ANSWERS_SQL = """, fates AS (
    SELECT *, CASE WHEN where_first >= {counties} THEN 2 WHEN where_first = home THEN 0 ELSE 1 END AS fate_first,
        CASE WHEN where_next >= {counties} THEN 2 WHEN where_next = home THEN 0 ELSE 1 END AS fate_next,
        (discharged + to_days(CAST(gap + length_next AS INTEGER)))::DATE AS handed,
    FROM slot_rows WHERE NOT home_unknown AND NOT backwards AND NOT undated
), episodes AS (
    SELECT home, CASE WHEN twice_moved THEN (handed + to_days(3))::DATE WHEN transfer THEN handed ELSE discharged END AS ended,
        CASE WHEN hospital_unknown THEN 3 WHEN NOT transfer THEN fate_first
            WHEN '{taken}' = 'furthest' THEN greatest(fate_first, fate_next)
            WHEN '{taken}' = 'first' OR twice_moved THEN fate_first ELSE fate_next END AS fate
    FROM fates
    UNION ALL SELECT home, (discharged + to_days(CAST(2 + length_next AS INTEGER)))::DATE, fate_next FROM fates WHERE late_transfer
    UNION ALL SELECT home, (discharged + to_days(CAST(gap + 2 AS INTEGER)))::DATE, fate_first FROM fates WHERE readmission
)
SELECT concat('44', lpad(CAST(1 + home // 20 AS VARCHAR), 2, '0'), 41 + home % 20) AS county,
    concat(year(ended), 'Q', quarter(ended)) AS period, CAST(count(*) FILTER (fate = 0) AS BIGINT) AS inside,
    CAST(count(*) FILTER (fate = 1) AS BIGINT) AS outside, CAST(count(*) FILTER (fate = 2) AS BIGINT) AS out_of_province,
    CAST(count(*) FILTER (fate = 3) AS BIGINT) AS unknown_hospital
FROM episodes GROUP BY ALL
"""

# The same without regard to persons: every record counts.
RECORD_ANSWERS_SQL = """
SELECT residence AS county, concat(year(discharge), 'Q', quarter(discharge)) AS period,
    CAST(count(*) FILTER (seat = residence) AS BIGINT) AS inside,
    CAST(count(*) FILTER (seat <> residence AND left(seat, 2) = left(residence, 2)) AS BIGINT) AS outside,
    CAST(count(*) FILTER (left(seat, 2) <> left(residence, 2)) AS BIGINT) AS out_of_province,
    CAST(count(*) FILTER (seat IS NULL) AS BIGINT) AS unknown_hospital
FROM ({records}) LEFT JOIN (SELECT hospital, county AS seat FROM hospitals) USING (hospital)
WHERE residence IS NOT NULL AND admission <= discharge GROUP BY ALL
"""


@dataclass(frozen=True)
class Recipe:
    """What to make: as many people, of as many counties, with as many hospitals a county."""

    people: int = 1000
    seed: int = 1
    counties: int = 57
    hospitals: int = 10

    def sql(
        self, query: str, first: int = 0, last: int | None = None, slots: tuple[int, int] = (0, SLOTS), **more
    ) -> str:
        return (SLOTS_SQL + query).format(
            seed=self.seed, first=first, last=self.people if last is None else last, slots=SLOTS, day=FIRST_DAY,
            first_slot=slots[0], last_slot=slots[1], counties=self.counties, hospitals=self.hospitals,
            slot_days=SLOT_DAYS, **more,
        )  # fmt: skip


def hospital_table(recipe: Recipe) -> pd.DataFrame:
    """The county of every hospital: five of another province at the end."""
    counties = [f"44{1 + n // 20:02d}{41 + n % 20}" for n in range(recipe.counties)] + [
        f"4310{21 + n}" for n in range(5)
    ]
    wards = 2 * recipe.hospitals
    return pd.DataFrame(
        [(f"H{at}-{ward}", county) for at, county in enumerate(counties) for ward in range(wards)],
        columns=["hospital", "county"],
    )


def records(recipe: Recipe) -> pd.DataFrame:
    """All records as one frame; for small recipes."""
    with duckdb.connect() as con:
        return con.sql(recipe.sql(RECORDS_SQL)).df()


def answers(recipe: Recipe, taken: str = "furthest") -> pd.DataFrame:
    """The counts that are right when transfers within a day are merged: county, period (quarter of discharge), counts."""
    with duckdb.connect() as con:
        return con.sql(recipe.sql(ANSWERS_SQL, taken=taken)).df().sort_values(["county", "period"], ignore_index=True)


def write_records(recipe: Recipe, folder: Path, people_a_file: int = 2_000_000) -> Iterator[tuple[int, int]]:
    """Write the records of each slot into Parquet files of their own, a part of the people at a time; give (done, total).

    So the stays of one person are in several files, and no more than one file's rows are in memory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pieces = [
        (first, min(first + people_a_file, recipe.people), slot)
        for slot in range(SLOTS)
        for first in range(0, recipe.people, people_a_file)
    ]
    with duckdb.connect(config={"preserve_insertion_order": "false"}) as con:
        for number, (first, last, slot) in enumerate(pieces):
            rows = recipe.sql(RECORDS_SQL, first, last, (slot, slot + 1))
            con.execute(f"COPY ({rows}) TO '{folder / f'part-{number:04d}.parquet'}' (FORMAT parquet)")
            yield number + 1, len(pieces)
