"""What the answer page shows, read from the numbers and tables of a run: nothing is computed from data here."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalaid.base.effect_columns import BAND_HIGH, BAND_LOW, CONF_HIGH, CONF_LOW, ESTIMATE, TREATED_CLUSTERS
from evalaid.report.display.safe_text import unguarded
from evalaid.report.questions.put_in import TRUTH
from evalaid.report.site.answer_line import ANSWER_FILE
from evalaid.report.threats.finding import (
    APPEARS,
    AS_MUCH,
    EXCLUDES_LESS,
    HOLDS,
    REVERSED,
    SIGN_ONLY,
    UNKNOWN,
    UNTRIED,
    WEAKENED,
)
from evalaid.report.verdict import judge_interval, smallest_effect

MAIN = "overall.main."
TRUTHS = (MAIN + TRUTH, "truth.overall_compared.effect", "truth.overall.effect")  # the first that was recorded
SERIOUS = (
    REVERSED,
    APPEARS,
    WEAKENED,
    SIGN_ONLY,
    EXCLUDES_LESS,
    UNKNOWN,
    AS_MUCH,
    HOLDS,
    UNTRIED,
)  # most serious first


@dataclass(frozen=True)
class Point:
    """One estimate of the event study, with its interval, its band and the clusters behind it; None where there is none."""

    time: int
    estimate: float
    ends: tuple[float, float] | None
    band: tuple[float, float] | None
    clusters: int | None


@dataclass(frozen=True)
class ThreatRow:
    """A threat as its table has it, with its place there and the effects that it does not exclude (None where an effect is shown)."""

    threat: str
    tried: str
    result: str
    answer: str
    reach: tuple[float, float] | None
    place: int
    key: str = ""


@dataclass(frozen=True)
class Choice:
    """A distinct specification: what was chosen, and what it gives."""

    label: str
    estimate: float
    ends: tuple[float, float] | None
    is_main: bool


@dataclass(frozen=True)
class Answer:
    """The main finding of a study with what stands beside it; estimates in ``unit``."""

    verdict: str
    simulated: bool
    unit: str
    level: float
    smallest: float | None
    estimate: float | None
    ends: tuple[float, float] | None
    findable: float | None
    truth: float | None
    counts: Mapping[str, int]
    event: tuple[Point, ...]
    threats: tuple[ThreatRow, ...]
    choices: tuple[Choice, ...]


def read_answer(folder: Path, spec: Mapping[str, Any], numbers: Mapping[str, Mapping[str, Any]]) -> Answer:
    """Read the answer of a run from its numbers and from the tables that it wrote.

    Parameters
    ----------
    folder : Path
        The run's folder, with ``tables/``.
    spec : mapping
        The study's parameters.
    numbers : mapping
        Key -> recorded number (``value``, ``unit``).
    """

    def value(key: str) -> float | None:
        found = numbers.get(key, {}).get("value")
        return None if found is None else float(found)

    estimate, ends = value(MAIN + ESTIMATE), _ends(value(MAIN + CONF_LOW), value(MAIN + CONF_HIGH))
    unit = str(numbers.get(MAIN + ESTIMATE, {}).get("unit", "pp"))
    smallest = smallest_effect(spec.get("smallest_effect"), unit)
    low, high = (math.nan, math.nan) if ends is None else ends
    threats = tuple(
        ThreatRow(
            row["threat"],
            row.get("tried", ""),
            row["result"],
            row["answer"],
            _ends(_number(row.get("reach_low")), _number(row.get("reach_high"))),
            place,
            row.get("key", ""),
        )
        for place, row in enumerate(read_rows(folder / "tables" / "answers.csv"))
    )
    fragile = (value("threat_counts.taking") or 0) > 0
    return Answer(
        verdict=judge_interval(math.nan if estimate is None else estimate, low, high, smallest, fragile=fragile),
        simulated=spec["data_kind"] == "simulated",
        unit=unit,
        level=float(spec["level"]),
        smallest=None if math.isnan(smallest) else smallest,
        estimate=estimate,
        ends=ends,
        findable=value("detectable.effect"),
        truth=next((v for key in TRUTHS if (v := value(key)) is not None), None),
        counts={
            name: int(found)
            for name in ("units", "clusters", "treated_units", TREATED_CLUSTERS, "first_period", "last_period")
            if (found := value(f"sample.{name}")) is not None
        },
        event=tuple(_points(folder / "tables" / "event_study.csv", spec.get("event_window"))),
        threats=tuple(sorted(threats, key=lambda row: SERIOUS.index(row.answer))),
        choices=tuple(_choices(folder / "specifications.csv")),
    )


def save_answer(folder: Path, answer: Answer) -> None:
    """Write the answer beside its page, for the index and for other programs."""
    text = json.dumps(asdict(answer), indent=1, ensure_ascii=False)
    (folder / ANSWER_FILE).write_text(text + "\n", encoding="utf-8", newline="\n")


def load_answer(folder: Path) -> Answer:
    """Read the answer of a report."""
    found = json.loads((folder / ANSWER_FILE).read_text(encoding="utf-8"))
    return Answer(
        **{
            **found,
            "ends": _pair(found["ends"]),
            "event": tuple(
                Point(**{**row, "ends": _pair(row["ends"]), "band": _pair(row["band"])}) for row in found["event"]
            ),
            "threats": tuple(ThreatRow(**{**row, "reach": _pair(row["reach"])}) for row in found["threats"]),
            "choices": tuple(Choice(**{**row, "ends": _pair(row["ends"])}) for row in found["choices"]),
        }
    )


def _points(path: Path, window: Sequence[int] | None) -> list[Point]:
    first, last = window or (-math.inf, math.inf)
    return [
        Point(
            int(float(row["key"])),
            estimate,
            _ends(_number(row.get(CONF_LOW)), _number(row.get(CONF_HIGH))),
            _ends(_number(row.get(BAND_LOW)), _number(row.get(BAND_HIGH))),
            None if (clusters := _number(row.get(TREATED_CLUSTERS))) is None else int(clusters),
        )
        for row in read_rows(path)
        if (estimate := _number(row[ESTIMATE])) is not None and first <= float(row["key"]) <= last
    ]


def _choices(path: Path) -> list[Choice]:
    return [
        Choice(row["label"], estimate, _ends(_number(row[CONF_LOW]), _number(row[CONF_HIGH])), row["is_main"] == "True")
        for row in read_rows(path)
        if (estimate := _number(row[ESTIMATE])) is not None
    ]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a table of a report as `csv_text` was given it; without rows where there is none."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [{name: unguarded(text or "") for name, text in row.items()} for row in csv.DictReader(stream)]


def _number(text: str | None) -> float | None:
    return float(text) if text else None


def _pair(ends: Sequence[float] | None) -> tuple[float, float] | None:
    return None if ends is None else (ends[0], ends[1])


def _ends(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)
