"""The placebo tests of a study, as tidy frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import DISTRIBUTION, ESTIMATE, P_VALUE, RESULTS, VCOV
from evalaid.base.errors import EvalaidError, NotIdentifiedError
from evalaid.did.inference.infer import infer
from evalaid.did.panel.design import Design
from evalaid.did.sensitivity.placebo.placebo import Placebo, placebo
from evalaid.report.cell_progress import watch
from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.questions.analysis import describe_entry, estimate_entry, overall
from evalaid.report.questions.other_averages import COLUMNS as OTHER
from evalaid.report.questions.other_averages import spread_of
from evalaid.report.questions.units import OTHER_OUTCOME, in_unit, multiply, unit_of_outcome
from evalaid.study.entries import PlaceboEntry
from evalaid.study.sample import load_design
from evalaid.study.spec import StudySpec

DRAWS, SHIFTS = 100, (1, 2)
# What is pretended when the study's file names no placebo test.
EARLIER = MappingProxyType({"earlier": PlaceboEntry(label="An earlier start", kind="time")})
COLUMNS = {
    "in_sd": OTHER["in_sd"],
    "placebos": ColumnFormat("Placebos", "count"),
    "ratio_p_value": ColumnFormat("p of the fit ratio", "p", 3),
    "largest": ColumnFormat("Largest placebo, without its sign", "outcome", 2),
    "shift": ColumnFormat("Periods earlier", "count"),
    "mean": ColumnFormat("Mean estimate", "outcome", 2, signed=True),
    "rejection_rate": ColumnFormat("Intervals that miss zero (%)", "%", 1),
    "nominal": ColumnFormat("as they should (%)", "%", 1),
}


def entries(spec: StudySpec) -> Mapping[str, PlaceboEntry]:
    """Return the placebo tests of a study's file; an earlier start when it names none."""
    return spec.placebo or EARLIER


@dataclass(frozen=True)
class Control:
    """The estimate of a negative control, in the unit of the report: one row, with the number of treated units."""

    table: pd.DataFrame
    made_by: str


Tested = Placebo | Control | str


def run_placebos(spec: StudySpec, design: Design) -> dict[str, Tested]:
    """Run the placebo tests that the study's file asks for, or an earlier start; of one that is refused the reasons."""
    return {name: _run(entry, spec, design) for name, entry in entries(spec).items()}


def list_placebos(found: Mapping[str, Tested], spec: StudySpec) -> pd.DataFrame:
    """List the placebos in time: effects of starts that did not happen, each beside the true start.

    ``key``, ``label``, ``shift``, the effect columns of `evalaid.report.questions.analysis`; no row when no test in time was
    asked for.
    """
    tables = []
    unit, scale = unit_of_outcome(spec)
    for name, result in found.items():
        if isinstance(result, Placebo) and result.kind == "time":
            both = pd.concat([result.actual, result.table], ignore_index=True)
            several = sum(entry.kind == "time" for entry in entries(spec).values()) > 1
            of = f"{entries(spec)[name].label}: " if several else ""
            names = [f"{of}true start", *(f"{of}{shift} earlier" for shift in result.table["shift"])]
            names = [f"{text[0].upper()}{text[1:]}" for text in names]
            keys = [f"{name}.{shift}" for shift in both["shift"]]
            made_by = f"placebo in time, {result.method}"
            tables.append(multiply(both, scale).assign(key=keys, label=names, unit=unit, made_by=made_by))
    columns = ["key", "label", "shift", *RESULTS, "level", "unit"]
    columns += ["note", "made_by"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def list_other_outcomes(found: Mapping[str, Tested], spec: StudySpec) -> pd.DataFrame:
    """List the effects on outcomes that the programme must not move.

    ``key``, ``label``, ``estimate``, ``std_error``, ``conf_low``, ``conf_high``, ``p_value``, ``unit`` (that of the column:
    "number", or "pp" for a share), ``in_sd`` (in standard deviations of the column), ``level``, ``note``, ``made_by``; no row when no such test was asked for.
    """
    columns = ["key", "label", *RESULTS, "in_sd", "unit", "level", "note", "made_by", OTHER_OUTCOME]
    tables = []
    for name, result in found.items():
        if isinstance(result, Placebo) and result.kind == "outcome":
            share = entries(spec)[name].outcome_unit in {"percent", "fraction"}
            table, factor = result.table, 100.0 if share else 1.0
            alone = entries(spec)[name].label if len(table) == 1 else ""
            labels = [_label_of(str(c), spec) or alone or str(c) for c in table["outcome"]]
            spread = np.array([spread_of(spec, str(column)) for column in table["outcome"]])
            percent = entries(spec)[name].outcome_unit == "percent"
            table = multiply(table, factor).assign(
                in_sd=table[ESTIMATE] * (100.0 if percent else 1.0) / spread, **{OTHER_OUTCOME: True}
            )
            keys = [f"{name}.{column}" for column in table["outcome"]]
            made_by = f"placebo in outcome, {result.method}"
            tables.append(table.assign(key=keys, label=labels, unit="pp" if share else "number", made_by=made_by))
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def list_controls(found: Mapping[str, Tested], spec: StudySpec) -> pd.DataFrame:
    """List the negative controls: the main method where something else was given, or to units that should show nothing.

    ``key``, ``label``, the effect columns, ``n_treated``, ``unit``, ``level``, ``note``, ``made_by``; no row when none was asked for.
    """
    columns = ["key", "label", *RESULTS, "n_treated", "unit", "level", "note", "made_by"]
    tables = [
        result.table.assign(key=name, label=entries(spec)[name].label, made_by=result.made_by)
        for name, result in found.items()
        if isinstance(result, Control)
    ]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def list_pretended(found: Mapping[str, Tested], spec: StudySpec) -> pd.DataFrame:
    """Return how often intervals miss zero when never-treated units are pretended treated.

    ``key``, ``label``, ``placebos``, ``mean``, ``rejection_rate``, ``nominal`` (per cent), ``unit``, ``note``, ``made_by``.
    """
    unit, scale = unit_of_outcome(spec)
    columns = ["key", "label", "placebos", "mean", "rejection_rate", "nominal", "unit", "note", "made_by"]
    rows = [
        {
            "key": name,
            "label": entries(spec)[name].label,
            "placebos": int(row["draws"]),
            "mean": scale * row["mean"],
            "rejection_rate": 100 * row["rejection_rate"],
            "nominal": 100 * row["nominal"],
            "unit": unit,
            "note": row["note"],
            "made_by": f"placebo among never-treated units, {result.method}, seed {result.seed}",
        }
        for name, result in found.items()
        if isinstance(result, Placebo) and result.kind == "units"
        for row in result.summary.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=columns)


def rank_placebos(found: Mapping[str, Tested], spec: StudySpec) -> pd.DataFrame:
    """Rank the true assignment among pretended ones, for every placebo test in space.

    ``key``, ``label``, ``estimate``, ``placebos``, ``largest``, ``p_value``, ``ratio_p_value``, ``unit``, ``note``,
    ``made_by``; no row when no test in space was asked for.
    """
    rows = []
    unit, scale = unit_of_outcome(spec)
    for name, result in found.items():
        if isinstance(result, Placebo) and result.kind == "space":
            largest = result.table[ESTIMATE].abs().max()
            how = "every untreated unit in turn" if result.exact else f"random assignments, seed {result.seed}"
            row = (result.actual[ESTIMATE].iloc[0] * scale, len(result.table), largest * scale, result.p_value)
            rows.append((name, entries(spec)[name].label, *row, result.ratio_p_value, unit, how, result.method))
    names = ["key", "label", ESTIMATE, "placebos", "largest", P_VALUE, "ratio_p_value", "unit", "note", "made_by"]
    frame = pd.DataFrame(rows, columns=names)
    return frame.assign(made_by="placebo in space, " + frame["made_by"].astype(str))


def spread_placebos(found: Mapping[str, Tested], spec: StudySpec) -> pd.DataFrame:
    """Return every placebo estimate in space beside the true one, for a figure.

    ``test``, ``label`` (pretended units), ``estimate``, ``actual`` (true assignment), ``unit``.
    """
    unit, scale = unit_of_outcome(spec)
    tables = [
        pd.DataFrame(
            {
                "test": entries(spec)[name].label,
                "label": [*result.table["units"], "true"],
                ESTIMATE: np.append(result.table[ESTIMATE], result.actual[ESTIMATE]) * scale,
                "actual": [False] * len(result.table) + [True],
                "unit": unit,
            }
        )
        for name, result in found.items()
        if isinstance(result, Placebo) and result.kind == "space"
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["test", "label", ESTIMATE])


def list_refused(found: Mapping[str, Tested], spec: StudySpec) -> pd.DataFrame:
    """List the placebo tests that the design does not admit: ``key``, ``what``, ``why``."""
    rows = [(name, entries(spec)[name].label, why) for name, why in found.items() if isinstance(why, str)]
    return pd.DataFrame(rows, columns=["key", "what", "why"])


def _label_of(column: str, spec: StudySpec) -> str | None:
    return spec.baseline[column].label if column in spec.baseline else None


def _control(entry: PlaceboEntry, spec: StudySpec) -> Control:
    method = spec.methods[entry.method or spec.main]
    changed = spec.change({**method.changes, **entry.changes})
    effects = estimate_entry(method, changed, load_design(changed))
    table = in_unit(infer(overall(effects), level=spec.level), effects)
    return Control(
        table, f"negative control, {describe_entry(method)}; {table[VCOV].iloc[0]}, {table[DISTRIBUTION].iloc[0]}"
    )


def _run(entry: PlaceboEntry, spec: StudySpec, design: Design) -> Tested:
    method = spec.methods[entry.method or spec.main]
    try:
        if entry.kind == "control":
            return _control(entry, spec)
        if method.changes:
            design = load_design(spec.change(method.changes))
        return placebo(
            design,
            method.method,
            entry.kind,
            shifts=entry.shifts or SHIFTS,
            draws=entry.draws or DRAWS,
            seed=spec.seed,
            level=spec.level,
            outcome=entry.outcome,
            outcome_unit=entry.outcome_unit,
            progress=watch("Placebos"),
            **method.options,
        )
    except NotIdentifiedError as refusal:
        return "; ".join(refusal.reasons)
    except EvalaidError as refusal:
        return str(refusal)
