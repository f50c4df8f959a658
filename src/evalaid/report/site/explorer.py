"""The explorer of the answer page: the declared choices, and where each combination lies on the curve of distinct estimates.

Everything was computed when the study ran; the page only looks it up. Without JavaScript the curve stands still.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE
from evalaid.report.site.answer import Answer, read_rows
from evalaid.report.wording.language import Catalogue

CHOSEN = ("method", "comparison", "covariates", "window", "scale")
CURVE_FILE, DECLARED_FILE, ESTIMANDS_FILE = "specifications.csv", "declared.csv", "tables/estimands.csv"


@dataclass(frozen=True)
class Explorer:
    """What can be chosen (one list of labels per choice, ``CHOSEN`` first, then estimands) and what each choice gives.

    ``combinations`` maps positions in the lists, joined by commas, to a place on the curve, or to the reason why there is none:
    -1 is the first of ``reasons``, -2 the second.
    ``start`` is the main combination, or, where the main estimate is not on the curve, that in its middle. ``others`` are estimates of other estimands, which belong to the main combination alone.
    """

    choices: tuple[tuple[str, tuple[str, ...]], ...]
    combinations: dict[str, int]
    reasons: tuple[str, ...]
    start: str
    has_main: bool
    points: tuple[tuple[float, float | None, float | None], ...]
    others: tuple[tuple[str, float | None, float | None, float | None, str], ...]

    def to_data(self) -> dict[str, Any]:
        """Return it for the script of the page."""
        return asdict(self)


def read_explorer(folder: Path, answer: Answer, words: Catalogue, say: Callable[[str], str] = str) -> Explorer | None:
    """Read what a run declared, in the language of the words; None where no specification has an estimate."""
    rows = read_rows(folder / DECLARED_FILE)
    if not rows or not answer.choices:
        return None
    mains = [place for place, row in enumerate(answer.choices) if row.is_main]
    start = mains[0] if mains else len(answer.choices) // 2
    levels = {name: list(dict.fromkeys(row[name] for row in rows)) for name in CHOSEN}
    reasons = list(dict.fromkeys(row["reason"] for row in rows if not row["place"]))
    combinations: dict[str, int] = {}
    for row in rows:
        place = int(float(row["place"])) if row["place"] else -1 - reasons.index(row["reason"])
        combinations.setdefault(_name(row, levels), place)
    first = _name(read_rows(folder / CURVE_FILE)[start], levels)
    if len(combinations) == 1 or combinations.get(first) != start:
        return None
    listed = [
        (name, tuple(say(value) if name == "method" else say(_word(words, value)) for value in levels[name]))
        for name in CHOSEN
    ]
    points = tuple((row.estimate, *(row.ends or (None, None))) for row in answer.choices)
    return Explorer(
        tuple(listed),
        combinations,
        tuple(map(say, reasons)),
        first,
        bool(mains),
        points,
        tuple(_others(folder, say)) if mains else (),
    )


def _name(row: Mapping[str, str], levels: Mapping[str, list[str]]) -> str:
    return ",".join(str(levels[name].index(row[name])) if row[name] in levels[name] else "" for name in CHOSEN)


def _others(folder: Path, say: Callable[[str], str]) -> list[tuple[str, float | None, float | None, float | None, str]]:
    def number(text: str) -> float | None:
        return float(text) if text else None

    return [
        (
            say(row["label"]),
            number(row[ESTIMATE]),
            number(row[CONF_LOW]),
            number(row[CONF_HIGH]),
            say(row.get("reason", "")),
        )
        for row in read_rows(folder / ESTIMANDS_FILE)
        if row["key"] != "main"
    ]


def _word(words: Catalogue, value: str) -> str:
    first, between, last = value.partition(" to ")
    if between:
        return words("explorer.range", first=first, last=last)
    key = f"explorer.value.{value}"
    return words(key) if words.has(key) else value
