"""Whose average is it? The effect under other weights, other units and other populations, each an estimand of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import CLUSTERS, DISTRIBUTION, ESTIMATE, RESULTS, VCOV
from evalaid.base.errors import EvalaidError, StudyError, reason_of
from evalaid.base.names import FIRST_TREATED
from evalaid.base.periods import parse_periods
from evalaid.base.texts import counted
from evalaid.did.inference.infer import infer
from evalaid.did.panel.design import Design
from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.questions.analysis import describe_entry, estimate_entry, overall
from evalaid.report.questions.effect_rows import effect_row
from evalaid.report.questions.units import OTHER_OUTCOME, in_unit, unit_of_outcome
from evalaid.report.wording.prose import format_value
from evalaid.study.entries import EstimandEntry
from evalaid.study.sample import diagnose_frame, load_frame
from evalaid.study.sources import need_columns, read_file
from evalaid.study.spec import StudySpec

COLUMNS = {
    "counts": ColumnFormat("What counts once"),
    "in_sd": ColumnFormat("In standard deviations", "number", 3, signed=True),
}


def compare_estimands(spec: StudySpec) -> pd.DataFrame:
    """Estimate the main effect under each average that the study's file names, the main one first.

    One row per estimand: ``key``, ``label``, ``counts`` (what counts once), the effect columns of
    `evalaid.report.questions.analysis`, ``n_units``, ``reason``; they are different quantities, so nothing is counted over them.
    """
    main = EstimandEntry(label="As in the main estimate")
    return pd.DataFrame([_one_estimand(key, one, spec) for key, one in {"main": main, **spec.estimands}.items()])


def compare_outcomes(spec: StudySpec) -> pd.DataFrame:
    """Estimate the main effect on each other outcome that the study's file names, as `compare_estimands`, with ``in_sd``.

    ``in_sd`` is the estimate in standard deviations of the outcome over the observations of its sample.
    """
    rows = []
    for key, entry in spec.outcomes.items():
        row = _one_estimand(key, entry, spec)
        rows.append(row | {"in_sd": row[ESTIMATE] / spread_of(spec.change(entry.changes))})
    return pd.DataFrame(rows, columns=None if rows else ["key", "label", *RESULTS, "in_sd"]).assign(
        **{OTHER_OUTCOME: True}
    )


def trace_outcomes(spec: StudySpec) -> pd.DataFrame:
    """Estimate the effect on each other outcome by the time since the start; no rows of a method that does not give it."""
    tables = []
    for key, entry in spec.outcomes.items():
        method = spec.methods[entry.method or spec.main]
        changed = spec.change({**method.changes, **entry.changes})
        try:
            effects = estimate_entry(method, changed, load_estimand(entry, changed))
            event = in_unit(infer(effects.aggregate("event_time"), level=spec.level), effects)
        except EvalaidError:
            continue
        times = [format_value(time, "number", 0, signed=True) for time in event["event_time"]]
        labels = [f"{entry.label}, {time}" for time in times]
        keys = [f"{key}.{int(time)}" for time in event["event_time"]]
        made_by = f"{describe_entry(method)}; aggregate event_time"
        # The time is in the label: rows of several outcomes do not stand in the order of time.
        shown = event.drop(columns="event_time").assign(key=keys, label=labels, made_by=made_by)
        tables.append(shown.assign(**{OTHER_OUTCOME: True}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["key", "label", *RESULTS])


def spread_of(spec: StudySpec, column: str = "") -> float:
    """Return the standard deviation over the observations of a sample, of the outcome in the unit of the report or of a column."""
    values = load_frame(spec)[column or spec.outcome].astype(float)
    return float(values.std()) * (100.0 if not column and spec.outcome_unit == "fraction" else 1.0)


def _one_estimand(key: str, entry: EstimandEntry, spec: StudySpec) -> dict[str, Any]:
    method = spec.methods[entry.method or spec.main]
    changed = spec.change({**method.changes, **entry.changes})
    counts = spec.unit_label if entry.level == "unit" else spec.cluster_label
    said: dict[str, Any] = {"level": spec.level, "counts": counts, "made_by": describe_entry(method)}
    columns = (*RESULTS, *CLUSTERS)
    try:
        design = load_estimand(entry, changed)
        effects = estimate_entry(method, changed, design)
        found = in_unit(infer(overall(effects), level=spec.level), effects).iloc[0]
    except EvalaidError as error:
        said |= {"unit": unit_of_outcome(spec)[0], "reason": reason_of(error), "n_units": np.nan, "note": ""}
        return effect_row(key, entry.label, None, columns, **said)
    said |= {"unit": found["unit"], "reason": "", "n_units": design.n_units, "note": str(found["note"])}
    said["made_by"] = f"{said['made_by']}; {found[VCOV]}, {found[DISTRIBUTION]}"
    return effect_row(key, entry.label, found, columns, **said)


def load_estimand(entry: EstimandEntry, spec: StudySpec) -> Design:
    """Return the design whose average is the estimand: some treated units only, or clusters in place of their units."""
    frame = load_frame(spec)
    if entry.without or entry.above is not None:
        low = frame.groupby(spec.unit)[spec.outcome].min()
        left_out = {*entry.without, *([] if entry.above is None else low.index[low <= entry.above])}
        frame = frame[~frame[spec.unit].isin(left_out)].reset_index(drop=True)
    if entry.among is not None:
        listed = set(_listed(entry, spec))
        frame = _of_some(frame, frame[spec.unit].isin(listed) == entry.among.listed, spec)
    if entry.level == "unit":
        return diagnose_frame(frame, spec)
    return diagnose_frame(_by_cluster(frame, entry, spec), spec.change({"unit": str(spec.cluster), "covariates": []}))


def _of_some(frame: pd.DataFrame, some: pd.Series, spec: StudySpec) -> pd.DataFrame:
    """Keep the treatment of some treated units; the others serve as comparison until their own start, as in the main estimate."""
    others = ~some & frame[FIRST_TREATED].notna()
    starts = frame.loc[others, FIRST_TREATED]
    periods = parse_periods(frame.loc[others, spec.period])
    treated = periods.ordinal >= parse_periods(starts, kind=str(periods.kind)).ordinal
    cohort = frame[FIRST_TREATED].mask(others)
    return frame.assign(**{FIRST_TREATED: cohort}).drop(index=starts.index[treated]).reset_index(drop=True)


def _listed(entry: EstimandEntry, spec: StudySpec) -> pd.Series:
    """Return the units that the file of an estimand lists."""
    assert entry.among is not None  # noqa: S101 (checked by the caller)
    table = read_file(entry.among.file)
    need_columns(table, entry.among.file, [entry.among.column, *entry.among.where])
    for column, values in entry.among.where.items():
        table = table[table[column].isin(values)]
    units = table[entry.among.column].dropna()
    if not units.isin(load_frame(spec)[spec.unit]).any():
        raise StudyError(f"{entry.among.file}: no unit of the sample is in '{entry.among.column}'.")
    return units


def _by_cluster(frame: pd.DataFrame, entry: EstimandEntry, spec: StudySpec) -> pd.DataFrame:
    """Average the outcome over the units of each cluster, weighted by the first value of a column or all the same."""
    if spec.cluster is None:
        raise StudyError("An estimand by cluster needs cluster, the column that says which units belong together.")
    several = frame.groupby(spec.cluster)[FIRST_TREATED].nunique(dropna=False)
    if (several > 1).any():
        raise StudyError(
            f"{counted(int((several > 1).sum()), 'cluster holds', 'clusters hold')} units of several cohorts and cannot count as one unit."
        )
    weight = pd.Series(1.0, index=frame.index)
    if entry.weight is not None:
        need_columns(frame, "the joined panel", [entry.weight])
        first = frame.sort_values(spec.period).groupby(spec.unit)[entry.weight].first()
        weight = frame[spec.unit].map(first).astype(float)
    known = frame[frame[spec.outcome].notna()]
    weight = weight[known.index]
    total = (known[spec.outcome] * weight).groupby([known[spec.cluster], known[spec.period]]).sum()
    mean = total / weight.groupby([known[spec.cluster], known[spec.period]]).sum()
    cohort = known.groupby(spec.cluster)[FIRST_TREATED].first()
    table = mean.rename(spec.outcome).reset_index()
    return table.assign(**{FIRST_TREATED: table[spec.cluster].map(cohort)})
