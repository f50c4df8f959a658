"""The main estimate of a study under every start that its roster leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evalaid.base.effect_columns import ESTIMATE, RESULTS
from evalaid.did.inference.infer import infer
from evalaid.programme.cohorts import assign_cohorts, possible_cohorts
from evalaid.programme.starts import EARLIEST, LATEST, STATED, StartVariation, try_starts
from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.questions.analysis import estimate_entry, overall
from evalaid.report.questions.units import multiply, unit_of
from evalaid.study.sample import diagnose_frame, load_roster, roster_units, treat
from evalaid.study.sample_rows import load_untreated, period_kind
from evalaid.study.spec import StudySpec

COLUMNS = {
    "stated": ColumnFormat("As stated"),
    "possible": ColumnFormat("May be"),
    "smallest": ColumnFormat("Smallest estimate", "outcome", 2, signed=True),
    "largest": ColumnFormat("Largest estimate", "outcome", 2, signed=True),
    "range": ColumnFormat("Between them", "outcome", 2),
}


@dataclass(frozen=True)
class Starts:
    """The main estimate under other possible starts; no rows when every date is exact enough.

    Parameters
    ----------
    table : pandas.DataFrame
        ``key``, ``label``, ``estimate``, ``std_error``, ``conf_low``, ``conf_high``, ``p_value``, ``shift`` (from the stated starts),
        ``reason``: as stated, all at the earliest and at the latest, the smallest and the largest estimate of all.
    units : pandas.DataFrame
        ``key``, ``label`` (unit), ``stated``, ``possible``, ``smallest``, ``largest``, ``range``: by how far its date alone moves the
        estimate.
    """

    table: pd.DataFrame
    units: pd.DataFrame


def vary_study_starts(spec: StudySpec) -> Starts:
    """Repeat the main estimate of a study over the starts that the dates of its roster leave open.

    Examples
    --------
    >>> vary_study_starts(StudySpec(study="korea_responsible_hospitals")).table.empty
    True
    """
    nothing = Starts(
        pd.DataFrame(columns=["key", "label", *RESULTS, "shift", "reason", "unit", "made_by"]),
        pd.DataFrame(columns=["key", "label", *COLUMNS, "unit", "made_by"]),
    )
    if spec.roster is None:
        return nothing
    frame = load_untreated(spec)
    roster = load_roster(spec, frame)
    assert roster is not None  # noqa: S101 (the study names one)
    kind = period_kind(frame, spec)
    possible = possible_cohorts(roster, kind, spec.start_rule)
    possible = possible[possible["unit"].isin(set(roster_units(frame, spec)))].reset_index(drop=True)
    if possible.empty:
        return nothing
    assigned = assign_cohorts(roster, kind, spec.start_rule)
    names = _names(frame, spec)
    units = {names.get(unit, str(unit)): unit for unit in possible["unit"]}
    scales: set[str] = set()

    def estimate_with(moved: Mapping[Any, Any]) -> pd.Series:
        start = assigned.move({units[name]: cohort for name, cohort in moved.items()})
        design = diagnose_frame(treat(frame, spec, start), spec)
        effects = estimate_entry(spec.methods[spec.main], spec, design)
        scales.add(effects.scale)
        return infer(overall(effects), level=spec.level).iloc[0]

    found = try_starts(possible.assign(unit=list(units)), estimate_with, seed=spec.seed)
    unit, factor = unit_of(next(iter(scales))) if scales else unit_of("share")
    return Starts(_tabulate(found, unit, factor, spec), _tabulate_units(found, unit, factor))


def _names(frame: pd.DataFrame, spec: StudySpec) -> dict[Any, str]:
    """Return what the units of the roster are called, where each is one unit of the panel; else nothing."""
    column = spec.unit if spec.unit != spec.roster_unit or "name" not in frame else "name"
    pairs = pd.DataFrame({"unit": roster_units(frame, spec), "name": frame[column].map(str)}).drop_duplicates()
    alike = pairs["unit"].is_unique and pairs["name"].is_unique
    return dict(zip(pairs["unit"], pairs["name"], strict=True)) if alike else {}


def _tabulate(found: StartVariation, unit: str, factor: float, spec: StudySpec) -> pd.DataFrame:
    table = found.table
    scaled = multiply(table, factor)
    count = len(table)
    of_all = f"of {count:,} assignments of starts, " + (
        "all there are" if found.exact else f"of {found.n_combinations:,} that there are (seed {found.seed})"
    )
    named = [("stated", "As stated", scaled.index[scaled["starts"] == STATED])]
    for key, text in (("all_earliest", EARLIEST), ("all_latest", LATEST)):
        named.append((key, f"{text[:1].upper()}{text[1:]}", scaled.index[scaled["starts"] == text]))
    if scaled[ESTIMATE].notna().any():
        named += [
            ("smallest", "Smallest estimate", pd.Index([scaled[ESTIMATE].idxmin()])),
            ("largest", "Largest estimate", pd.Index([scaled[ESTIMATE].idxmax()])),
        ]
    rows = []
    for key, text, index in named:
        for place in index[:1]:
            row = scaled.loc[place]
            moved = f" ({row['moved']})" if key in {"smallest", "largest"} and 0 < row["n_moved"] <= 3 else ""
            rows.append({"key": key, "label": f"{text}{moved}", **row[list(RESULTS)], "reason": row["reason"]})
    result = pd.DataFrame(rows)
    return result.assign(shift=result[ESTIMATE] - result[ESTIMATE].iloc[0], unit=unit, level=spec.level, made_by=of_all)


def _tabulate_units(found: StartVariation, unit: str, factor: float) -> pd.DataFrame:
    units = found.units
    spans = [f"{first} to {last}" for first, last in zip(units["earliest"], units["latest"], strict=True)]
    return pd.DataFrame(
        {
            "key": [f"unit{place + 1}" for place in range(len(units))],
            "label": units["unit"].map(str).tolist(),
            "stated": [
                f"{cohort} ({precision})"
                for cohort, precision in zip(units["cohort"], units["start_precision"], strict=True)
            ],
            "possible": spans,
            **{name: units[name] * factor for name in ("smallest", "largest", "range")},
            "unit": unit,
            "made_by": "the start of this unit alone is moved",
        }
    )
