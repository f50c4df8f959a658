"""From single intervals to the table in the documents."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from coverage_panels import SCENARIOS
from coverage_real import show as show_real

KEYS = ["scenario", "n_clusters", "n_treated", "family", "estimator", "interval"]
# The length of an interval is shown as a share of that of a normal one with the true standard deviation of the estimate.
NORMAL = 2 * 1.959964
# Below this coverage a method is marked as broken.
BROKEN = 0.90
# Below this coverage the default misses its target.
TARGET = 0.93
DIGITS = 4
MARKS = "<!-- {}: written by python run.py coverage -->", "<!-- end -->"
NAMES = {
    "twfe": "two-way fixed effects",
    "imputation": "imputation",
    "event_study": "event study",
    "callaway_santanna": "Callaway-Sant'Anna",
    "difference": "Callaway-Sant'Anna less two-way",
    "sun_abraham": "Sun-Abraham",
    "etwfe": "extended two-way",
    "twfe by cluster": "two-way, one row per cluster",
    "twfe, crossed": "two-way, crossed shocks",
}


def summarise(intervals: pd.DataFrame) -> pd.DataFrame:
    """Count how many intervals of each type and cell hold the effect.

    Returns
    -------
    pandas.DataFrame
        The keys, ``replications``, ``missing`` (without an interval), ``held`` (of the others), ``coverage`` (share of the
        others), ``length`` (median of these, relative to the normal interval with the true standard deviation).
    """
    rows = []
    for key, group in intervals.groupby(KEYS, sort=False):
        shown = group[~group["missing"]]
        spread = group["estimate"].std()
        held, count = int(shown["held"].sum()), len(shown)
        length = float(shown["length"].median() / (NORMAL * spread)) if count else np.nan
        share = held / count if count else np.nan
        rows.append((*key, len(group), len(group) - count, held, round(share, DIGITS), round(length, DIGITS)))
    return pd.DataFrame(rows, columns=[*KEYS, "replications", "missing", "held", "coverage", "length"])


def show(summary: pd.DataFrame, scenario: str) -> str:
    """Write one scenario as a table in Markdown."""
    part = summary[summary["scenario"] == scenario]
    cells = list(dict.fromkeys(zip(part["n_clusters"], part["n_treated"], strict=True)))
    head = ["estimator", "interval", "n", *(f"{clusters}, {treated}" for clusters, treated in cells)]
    lines = [_line(head), _line("---" for _ in head)]
    for (_, estimator, interval), group in part.groupby(["family", "estimator", "interval"], sort=False):
        entries = {(row.n_clusters, row.n_treated): _entry(row) for row in group.itertuples()}
        counts = sorted(set(group["replications"]))
        lines.append(
            _line(
                [
                    NAMES[str(estimator)],
                    str(interval),
                    "/".join(map(str, counts)),
                    *(entries.get(cell, "") for cell in cells),
                ]
            )
        )
    return "\n".join(lines)


def _line(words: Iterable[str]) -> str:
    return f"| {' | '.join(words)} |"


def _entry(row: object) -> str:
    """Give coverage in per cent, bold where it is broken, the relative length, and the share without interval."""
    share, length, missing = (getattr(row, name) for name in ("coverage", "length", "missing"))
    if np.isnan(share):
        return "none"
    percent = f"{100 * share:.1f}"
    words = f"**{percent}**" if share < BROKEN else percent
    reach = "unbounded" if np.isinf(length) else f"{length:.2f}"
    none = f"; none in {100 * missing / getattr(row, 'replications'):.0f}%" if missing else ""  # noqa: B009
    return f"{words} ({reach}{none})"


def insert(text: str, summary: pd.DataFrame) -> str:
    """Put the tables between their marks."""
    for scenario in SCENARIOS:
        first, last = MARKS[0].format(scenario), MARKS[1]
        before, _, rest = text.partition(first)
        _, _, after = rest.partition(last)
        text = f"{before}{first}\n\n{show(summary, scenario)}\n\n{last}{after}"
    return text


def show_default(summary: pd.DataFrame, scenario: str) -> str:
    """Write one scenario of the default as a table in Markdown."""
    part = summary[summary["scenario"] == scenario]
    cells = list(dict.fromkeys(zip(part["n_clusters"], part["n_treated"], strict=True)))
    head = ["estimator", "interval", *(f"{clusters}, {treated}" for clusters, treated in cells)]
    lines = [_line(head), _line("---" for _ in head)]
    for (estimator, interval), group in part.groupby(["estimator", "interval"], sort=False):
        own = group.set_index(["n_clusters", "n_treated"])
        limit = 0.0 if "CR1" in interval else TARGET
        entries = [_entry_default(own.loc[cell], limit) for cell in cells]
        lines.append(_line([NAMES[str(estimator)], str(interval), *entries]))
    return "\n".join(lines)


def _entry_default(row: pd.Series, limit: float) -> str:
    """Give coverage in per cent, bold below the target, and the relative length."""
    share = row["held"] / row["intervals"]
    percent = f"{100 * share:.1f}"
    return f"{f'**{percent}**' if share < limit else percent} ({row['length']:.2f})"


def insert_default(text: str, summary: pd.DataFrame) -> str:
    """Put the tables of the default between their marks."""
    for scenario in dict.fromkeys(summary["scenario"]):
        first, last = MARKS[0].format(scenario), MARKS[1]
        before, _, rest = text.partition(first)
        _, _, after = rest.partition(last)
        text = f"{before}{first}\n\n{show_default(summary, scenario)}\n\n{last}{after}"
    return text


def insert_real(text: str, table: pd.DataFrame) -> str:
    """Put the table of the studies on real data between its marks."""
    first, last = MARKS[0].format("real studies"), MARKS[1]
    before, _, rest = text.partition(first)
    _, _, after = rest.partition(last)
    return f"{before}{first}\n\n{show_real(table)}\n\n{last}{after}"


def write(summary: pd.DataFrame | None, default: pd.DataFrame | None, real: pd.DataFrame | None, folder: Path) -> None:
    """Write the figures and, in the text, the tables; what was not simulated stays."""
    document = folder / "coverage.md"
    text = document.read_text(encoding="utf-8")
    if summary is not None:
        summary.to_csv(folder / "coverage.csv", index=False)
        text = insert(text, summary)
    if default is not None:
        default.to_csv(folder / "coverage_default.csv", index=False)
        text = insert_default(text, default)
    if real is not None:
        real.to_csv(folder / "coverage_real.csv", index=False)
        text = insert_real(text, real)
    document.write_text(text, encoding="utf-8")
