"""What a study's sample holds, as tidy frames: counts, treatment status, means. No estimate is made here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import N_CLUSTERS, TREATED_CLUSTERS
from evalaid.base.periods import label
from evalaid.did.estimators.common.strata import stratum_of
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import PART
from evalaid.report.display.figures import STATUS
from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.display.map_figure import draw_map
from evalaid.report.exhibits import Drawn, Exhibit
from evalaid.report.questions.effect_rows import list_values
from evalaid.report.questions.places import map_places
from evalaid.study.provenance import gather_decisions
from evalaid.study.sample import load_frame
from evalaid.study.sample_flow import follow_sample, in_words
from evalaid.study.spec import StudySpec

Listing = tuple[pd.DataFrame, str, Sequence[str], str, Sequence[str], Mapping[str, ColumnFormat]]
"""A table of texts as `evalaid.report.section.Section.table_if_any` takes it."""

_NEVER_KEY = "never"
MOST_CLUSTERS = 80  # lines of a figure that can still be read
ASSIGNMENT = ["cluster", "cohort_label", "period_label", "status", "n_units"]
NAMED = 12
"""So many units left out are named in a row; `evalaid why` lists all of them."""

FLOW_COLUMNS = {
    "step": ColumnFormat("Rule"),
    "units_out": ColumnFormat("Units out", "count"),
    "observations_out": ColumnFormat("Observations out", "count"),
    "units": ColumnFormat("Units left", "count"),
    "observations": ColumnFormat("Observations left", "count"),
    "who": ColumnFormat("Left out"),
}


def describe_sample(spec: StudySpec, design: Design) -> pd.DataFrame:
    """Count what the sample holds.

    Columns ``key``, ``label``, ``value``, ``unit``, ``digits``. Shares are in per cent.
    """
    matrices = design.matrices
    seen = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
    share = design.outcome_unit == "fraction"
    outcome = np.where(seen, matrices.outcome * (100 if share else 1), np.nan)
    zero = (outcome == 0) & seen
    unit, digits = ("%", 1) if share else ("number", 2)
    units, groups = spec.unit_label, spec.cluster_label
    rows = [
        ("units", f"{units} in the comparison", design.n_units, "count", 0),
        ("treated_units", f"{units} treated within the panel", design.n_treated, "count", 0),
        ("never_units", f"{units} never treated within the panel", design.n_never, "count", 0),
        ("clusters", f"{groups}", design.n_clusters, "count", 0),
        (TREATED_CLUSTERS, f"{groups} with treated {units}", design.n_treated_clusters, "count", 0),
        ("never_clusters", f"{groups} without", design.n_clusters - design.n_treated_clusters, "count", 0),
        ("cohorts", "cohorts (waves)", len(matrices.cohorts), "count", 0),
        ("periods", "periods", design.n_periods, "count", 0),
        ("first_period", "first period", matrices.periods[0], _period_unit(design), 0),
        ("last_period", "last period", matrices.periods[-1], _period_unit(design), 0),
        ("observations", "observations", int(seen.sum()), "count", 0),
        *_special(spec, design),
        ("excluded_units", "units kept out (treated from the first period on)", len(design.excluded), "count", 0),
        ("mean", f"mean of {_lower(spec.outcome_label)}", np.nanmean(outcome), unit, digits),
        ("smallest", "smallest value", np.nanmin(outcome), unit, digits),
        ("largest", "largest value", np.nanmax(outcome), unit, digits),
        ("zero_rows", "observations that are exactly 0", int(zero.sum()), "count", 0),
        ("always_zero_units", f"{units} with 0 in every period", int((zero | ~seen).all(axis=1).sum()), "count", 0),
    ]
    return list_values(rows, "of the sample")


def _special(spec: StudySpec, design: Design) -> list[tuple[str, str, float, str, int]]:
    """List what units are compared within, and which first periods count by their part, where the study names it."""
    rows: list[tuple[str, str, float, str, int]] = []
    if spec.stratum is not None:
        count = len(np.unique(stratum_of(design.matrices)))
        rows.append(
            ("strata", f"groups that {spec.unit_label} are compared within ({spec.stratum})", count, "count", 0)
        )
    if PART in design.matrices.covariates:
        part = design.matrices.covariates[PART]
        count = int(((part > 0) & (part < 1)).any(axis=1).sum())
        label = (
            f"{spec.unit_label} whose first treated period counts by its part ({spec.exposure or spec.start_column})"
        )
        rows.append(("partly_treated", label, count, "count", 0))
    return rows


def describe_flow(spec: StudySpec) -> pd.DataFrame:
    """Count what each rule of the study leaves out, one row per rule, the file first and the design last.

    ``key``, ``step``, ``units_out``, ``observations_out``, ``units``, ``observations``, ``who``, ``made_by``.
    """
    steps = follow_sample(spec).steps
    names = [text.split("; ") if text else [] for text in steps["names"]]
    who = [
        "; ".join(some[:NAMED])
        + (f"; and {len(some) - NAMED} more: evalaid why {spec.study}" if len(some) > NAMED else "")
        for some in names
    ]
    keys = [f"step{place}" for place in range(len(steps))]
    words = [in_words(step, spec.unit) for step in steps["step"]]
    return steps.assign(key=keys, step=words, who=who, made_by="units and observations before and after the rule").drop(
        columns="names"
    )


def show_map(spec: StudySpec, design: Design) -> list[Exhibit]:
    """List the map of the study's places; nothing without one."""
    caption = (
        "The places of the study: the outcome in the first period, the start, and neighbours that started earlier."
    )
    return [Drawn(draw_map, map_places(spec, design), "map", caption, without="")]


def describe_baseline(spec: StudySpec, design: Design) -> tuple[pd.DataFrame, dict[str, ColumnFormat]]:
    """Average the outcome and the study's baseline columns in the first period, by cohort.

    One row per cohort: ``key``, ``cohort_label``, ``n_units``, ``n_clusters``, ``outcome`` (per cent for a share) and the
    baseline columns; and how the columns beyond the fixed ones are shown.
    """
    matrices = design.matrices
    share = design.outcome_unit == "fraction"
    seen = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
    raw = load_frame(spec)
    first = raw[raw[spec.period] == raw[spec.period].min()].set_index(spec.unit)
    rows = []
    for key, name, members in _cohorts(design):
        own = first.reindex(matrices.units[members])
        rows.append(
            {
                "key": key,
                "cohort_label": name,
                "n_units": members.stop - members.start,
                N_CLUSTERS: len(np.unique(matrices.cluster[members])),
                "outcome": _mean_of(matrices.outcome[members, 0], seen[members, 0]) * (100 if share else 1),
                **{column: own[column].mean() for column in spec.baseline},
                "made_by": "mean over units in the first period",
            }
        )
    outcome = ColumnFormat(f"{spec.outcome_label} (%)" if share else spec.outcome_label, "%" if share else "number", 1)
    extra = {"outcome": outcome}
    for column, entry in spec.baseline.items():
        extra[column] = ColumnFormat(entry.label or column, entry.unit, 1 if entry.digits is None else entry.digits)
    return pd.DataFrame(rows), extra


def _mean_of(values: np.ndarray, seen: np.ndarray) -> float:
    """Average what is observed; missing where nothing is."""
    return float(values[seen].mean()) if seen.any() else math.nan


def describe_cohorts(design: Design) -> pd.DataFrame:
    """List the cohorts with their sizes and the periods before and from the start on.

    ``key``, ``cohort_label``, ``n_units``, ``n_clusters``, ``pre_periods``, ``post_periods``.
    """
    frame = design.cohorts.rename(columns={"label": "cohort_label"})
    frame = frame[frame["n_units"] > 0]
    return frame.assign(key=[key for key, *_ in _cohorts(design)], made_by="count of the design")


def describe_availability(design: Design) -> pd.DataFrame:
    """Count treated, not-yet-treated and never-treated units by period.

    ``key``, ``label`` (period), ``never_treated``, ``not_yet_treated``, ``treated``.
    """
    return design.availability.assign(key=design.availability["label"], made_by="count of the design")


def describe_limits(design: Design) -> pd.DataFrame:
    """List what no comparison in the panel can tell: ``key``, ``what``, ``where``, ``why``, ``what_could_be_done``."""
    frame = design.not_identified
    return frame.assign(key=[f"limit{place + 1}" for place in range(len(frame))])


def list_decisions(spec: StudySpec) -> Listing:
    """List every decision taken while the study's panel and roster were read; empty when neither has a layout."""
    columns = {
        "file": "File",
        "sheet": "Sheet",
        "cell": "Cell",
        "what": "What",
        "decided": "Decided",
        "because": "Because",
    }
    frame = gather_decisions(spec).decisions
    return _listing(
        frame,
        "decisions",
        columns,
        "Every decision taken about the files of the panel and the roster while they were read",
    )


def list_left_out(spec: StudySpec) -> Listing:
    """List every row and figure of the study's files that is not in the panel (see `list_decisions`)."""
    columns = {
        "file": "File",
        "sheet": "Sheet",
        "row": "Row",
        "cell": "Cell",
        "value": "What stands there",
        "reason": "Why",
    }
    frame = gather_decisions(spec).left_out
    return _listing(frame, "left_out", columns, "Rows and figures of the files that are not used")


def list_findings(spec: StudySpec) -> Listing:
    """List what a person should look at in the study's files although they could be read (see `list_decisions`)."""
    columns = {
        "file": "File",
        "sheet": "Sheet",
        "cell": "Cell",
        "value": "What stands there",
        "fault": "What was found",
    }
    frame = gather_decisions(spec).faults
    return _listing(frame, "findings", columns, "To look at in the files: figures that do not fit each other")


def _listing(frame: pd.DataFrame, name: str, columns: Mapping[str, str], caption: str) -> Listing:
    """Make a table of texts: its columns get names of their own, so that no text is taken for a number."""
    own = {column: f"of_{column}" for column in columns}
    shown = frame[list(columns)].astype(object).where(frame[list(columns)].notna(), "").astype(str).rename(columns=own)
    shown = shown.assign(key=[f"{name}{place}" for place in range(1, len(frame) + 1)])
    headings = {own[column]: ColumnFormat(heading) for column, heading in columns.items()}
    return shown, name, tuple(headings), caption, (), headings


def map_status(design: Design) -> pd.DataFrame:
    """Return the treatment status of every cohort in every period.

    ``cohort_label``, ``period_label``, ``status`` (never treated, not yet treated, treated), ``n_units``, ``n_clusters``.
    """
    matrices = design.matrices
    rows = [
        (
            f"Cohort {name}" if key != _NEVER_KEY else "Never treated",
            when,
            status,
            members.stop - members.start,
            n_clusters,
        )
        for key, name, members in _cohorts(design)
        for n_clusters in [len(np.unique(matrices.cluster[members]))]
        for when, status in _statuses(design, matrices.cohort[members.start])
    ]
    return pd.DataFrame(rows, columns=["cohort_label", "period_label", "status", "n_units", N_CLUSTERS])


def map_assignment(design: Design) -> pd.DataFrame:
    """Return the treatment status of every cluster in every period, early cohorts first.

    A cluster whose units belong to several cohorts has one row for each. Of more clusters than fit on a page there are no
    rows.

    ``cluster``, ``cohort_label``, ``period_label``, ``status``, ``n_units``.
    """
    matrices = design.matrices
    rows: list[tuple[str, str, str, str, int]] = []
    if len(matrices.clusters) > MOST_CLUSTERS:
        return pd.DataFrame(rows, columns=ASSIGNMENT)
    taken: set[str] = set()
    for key, name, members in _cohorts(design):
        codes, counts = np.unique(matrices.cluster[members], return_counts=True)
        for code, count in zip(codes, counts, strict=True):
            cluster = str(matrices.clusters[code])
            shown = cluster if cluster not in taken else f"{cluster} ({name})"
            taken.add(cluster)
            cohort = f"cohort {name}" if key != _NEVER_KEY else "never treated"
            rows += [(shown, cohort, *pair, int(count)) for pair in _statuses(design, matrices.cohort[members.start])]
    return pd.DataFrame(rows, columns=ASSIGNMENT)


def average_outcome(design: Design) -> pd.DataFrame:
    """Average the outcome by cohort and period, every unit counting the same.

    ``key``, ``label``, ``cohort_label``, ``period_label``, ``start_label``, ``n_units``, ``unit``, ``mean`` (per cent for a
    share).
    """
    matrices = design.matrices
    scale = 100 if design.outcome_unit == "fraction" else 1
    rows = []
    for key, name, members in _cohorts(design):
        start = "" if key == _NEVER_KEY else name
        shown = "Never treated" if key == _NEVER_KEY else f"Cohort {name}"
        for column, period in enumerate(matrices.periods):
            seen = slice(None) if matrices.observed is None else matrices.observed[members, column]
            values = matrices.outcome[members, column][seen]
            when = label(matrices.period_kind, period)
            mean = values.mean() * scale if len(values) else np.nan
            rows.append((f"{key}.{when}", f"{shown}, {when}", shown, when, start, len(values), mean))
    columns = ["key", "label", "cohort_label", "period_label", "start_label", "n_units", "mean"]
    unit = "%" if design.outcome_unit == "fraction" else "number"
    return pd.DataFrame(rows, columns=columns).assign(unit=unit, made_by="mean over units")


def spread_means(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, ColumnFormat]]:
    """Lay the means out with a row for each cohort and a column for each period, for a table.

    ``key``, ``cohort_label`` and a column for each period; and how these columns are shown.
    """
    wide = frame.pivot_table("mean", index="cohort_label", columns="period_label", sort=False)
    wide = wide.loc[list(dict.fromkeys(frame["cohort_label"])), list(dict.fromkeys(frame["period_label"]))]
    keys = frame.drop_duplicates("cohort_label").set_index("cohort_label")["key"].str.split(".").str[0]
    per_cent = bool((frame["unit"] == "%").all())
    extra = {
        period: ColumnFormat(f"{period} (%)" if per_cent else str(period), "%" if per_cent else "number", 1)
        for period in wide.columns
    }
    return wide.reset_index().assign(key=keys.loc[wide.index].to_numpy(), made_by="mean over units"), extra


def _cohorts(design: Design) -> Iterator[tuple[str, str, slice]]:
    """Yield (key, label, rows) of every cohort with units, never treated last."""
    matrices = design.matrices
    for number, cohort in enumerate(matrices.cohorts):
        name = label(matrices.period_kind, cohort)
        yield name, name, matrices.block(number)
    if matrices.never.stop > matrices.never.start:
        yield _NEVER_KEY, "never treated", matrices.never


def _statuses(design: Design, cohort: float) -> list[tuple[str, str]]:
    matrices = design.matrices
    names = [label(matrices.period_kind, period) for period in matrices.periods]
    if np.isnan(cohort):
        return [(name, STATUS[0]) for name in names]
    return [(name, STATUS[2 if period >= cohort else 1]) for name, period in zip(names, matrices.periods, strict=True)]


def _period_unit(design: Design) -> str:
    return str(design.matrices.period_kind)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
