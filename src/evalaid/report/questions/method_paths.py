"""The methods of a study over time: their effects side by side, and what a synthetic method compares with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE, TREATED_CLUSTERS
from evalaid.base.errors import EvalaidError
from evalaid.base.periods import label
from evalaid.did.effects.effects import Effects
from evalaid.did.estimators.synthetic.synthetic import SYNTHETIC_CONTROL, SYNTHETIC_DID, synthetic_weights
from evalaid.did.inference.infer import infer
from evalaid.did.panel.design import Design
from evalaid.report.display.event_figure import SERIES_COLUMN, TRUTH, draw_event_study
from evalaid.report.display.synthetic_figure import COMPARISON, OTHERS, TREATED, WEIGHT, draw_synthetic
from evalaid.report.exhibits import Drawn, Exhibit
from evalaid.report.questions.analysis import estimate_entry, estimate_main, report_effects
from evalaid.report.questions.units import in_unit
from evalaid.study.entries import MethodEntry
from evalaid.study.sample import load_design
from evalaid.study.spec import StudySpec

SYNTHETIC = frozenset({SYNTHETIC_DID.name, SYNTHETIC_CONTROL.name})
MOST_METHODS = 6  # whose dots stay apart at one event time
MOST_PANELS = 3  # of a figure that a phone can show
HEAVIEST = 6  # comparison units with a bar of their own
_SAME_SAMPLE = {"covariates"}  # what a method may change and still be about the same units and periods


def show_paths(spec: StudySpec) -> list[Exhibit]:
    """Draw the study's methods over time: event studies side by side, and synthetic comparisons with their weights."""
    return [
        Drawn(
            draw_event_study, trace_methods(spec), "event_studies",
            f"Effect by periods since the start, by method on the study's own sample (the main one first, at most {MOST_METHODS}).",
            without="",
        ),
        Drawn(
            draw_synthetic, trace_synthetic(spec), "synthetic",
            f"Treated units beside their weighted comparison, and the units that carry it (at most {MOST_PANELS} cohorts, large ones first).",
            without="",
        ),
    ]  # fmt: skip


def trace_methods(spec: StudySpec) -> pd.DataFrame:
    """Estimate effects by event time with the study's methods that give them; no rows unless two do.

    ``series`` (the method), ``event_time``, ``estimate``, ``conf_low``, ``conf_high`` (pointwise, in the unit of the report),
    ``treated_clusters``, ``in_window``, ``truth`` where one is known.
    """
    columns = ["event_time", ESTIMATE, CONF_LOW, CONF_HIGH, TREATED_CLUSTERS]
    main = estimate_main(spec, load_design(spec))
    first, last = spec.event_window or (-np.inf, np.inf)
    own = report_effects(main, "event_time", spec)
    parts = [] if own.empty else [own[[*columns, TRUTH]].assign(**{SERIES_COLUMN: spec.methods[spec.main].label})]
    for name, entry in spec.methods.items():
        if name == spec.main or not set(entry.changes) <= _SAME_SAMPLE or len(parts) == MOST_METHODS:
            continue
        found = _estimate(entry, spec)
        if found is None or not {"cohort", "period", "event_time"} <= set(found[1].cells):
            continue
        table = in_unit(infer(found[1].aggregate("event_time"), level=spec.level), found[1])
        if table[CONF_LOW].notna().any():
            parts.append(table[columns].assign(**{SERIES_COLUMN: entry.label}))
    if len(parts) < 2:
        return pd.DataFrame(columns=[SERIES_COLUMN, *columns])
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(in_window=frame["event_time"].between(first, last))


def trace_synthetic(spec: StudySpec) -> pd.DataFrame:
    """Trace the treated and their weighted comparison by cohort, for every synthetic method of the study that applies.

    ``panel`` (method and cohort), ``kind`` (treated, comparison or weight), ``label`` (period or comparison unit), ``value`` (of
    a share per cent; weights in per cent), ``start_label``, ``more`` (units that the last weight sums). No rows without such a
    method.
    """
    found: list[tuple[int, pd.DataFrame]] = []
    for entry in spec.methods.values():
        estimated = _estimate(entry, spec) if entry.method in SYNTHETIC else None
        if estimated is not None:
            found += list(_trace(*estimated, entry))
    parts = [frame for _, frame in sorted(found, key=lambda pair: -pair[0])[:MOST_PANELS]]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["panel", "kind", "label", "value"])


def _estimate(entry: MethodEntry, spec: StudySpec) -> tuple[Design, Effects] | None:
    """Return the design and the effects of an entry, or None where it is refused; the table of methods has the reason."""
    changed = spec.change(entry.changes)
    try:
        design = load_design(changed)
        return design, estimate_entry(entry, changed, design)
    except EvalaidError:
        return None


def _trace(design: Design, effects: Effects, entry: MethodEntry) -> Iterator[tuple[int, pd.DataFrame]]:
    """Return the size and the rows of each cohort that has an estimate."""
    matrices = design.matrices
    factor = 100.0 if design.outcome_unit == "fraction" else 1.0
    weights = synthetic_weights(design, entry.method)
    names = [label(matrices.period_kind, int(period)) for period in matrices.periods]
    for number, cohort in enumerate(matrices.cohorts):
        own = effects.cells["cohort"].to_numpy() == cohort
        rows = matrices.block(number)
        gap = effects.value[own]
        if not np.isfinite(gap).any():
            continue
        mean = matrices.outcome[rows].mean(axis=0)
        start = label(matrices.period_kind, int(cohort))
        size = rows.stop - rows.start
        panel = entry.label if len(matrices.cohorts) == 1 else f"{entry.label}, cohort {start}"
        told: list[dict[str, Any]] = [
            {"kind": kind, "label": name, "value": factor * value, "more": 0}
            for kind, path in ((TREATED, mean), (COMPARISON, mean - gap))
            for name, value in zip(names, path, strict=True)
        ]
        heavy = weights[(weights["cohort"] == cohort) & (weights["kind"] == "unit")].sort_values(
            "weight", ascending=False, kind="stable"
        )
        heavy = heavy[heavy["weight"] > 0]
        told += [
            {"kind": WEIGHT, "label": str(row["label"]), "value": 100 * row["weight"], "more": 0}
            for _, row in heavy[:HEAVIEST].iterrows()
        ]
        rest = heavy[HEAVIEST:]
        if len(rest):
            told.append({"kind": WEIGHT, "label": OTHERS, "value": 100 * rest["weight"].sum(), "more": len(rest)})
        yield size, pd.DataFrame(told).assign(panel=panel, start_label=start)
