"""The main estimate of a study, as tidy frames: overall, by time since the start, by cohort, by period; or why there is none.

Every frame has a ``key`` for each row and, for effects, ``estimate``, ``std_error``, ``conf_low``, ``conf_high``,
``p_value`` in percentage points (or in the outcome's own unit), ``unit``, ``note`` and ``made_by``. A comparison that
does not exist is a row with a reason; a main method that the design does not admit is a `Refusal`, not a crash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.effect_columns import (
    BAND_ENDS,
    BAND_HIGH,
    BAND_LOW,
    DISTRIBUTION,
    ENDS,
    ESTIMATE,
    IN_UNIT,
    N_CLUSTERS,
    P_VALUE,
    STD_ERROR,
    TREATED_CLUSTERS,
    VCOV,
    leaves_out_zero,
    no_results,
)
from evalaid.base.errors import NotIdentifiedError, StudyError
from evalaid.base.periods import label
from evalaid.base.texts import join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.estimators.common.method import effective_anticipation
from evalaid.did.estimators.estimation import WHAT_COULD_BE_DONE, estimate, find_method
from evalaid.did.inference.infer import infer
from evalaid.did.panel.design import Design
from evalaid.report.questions.effect_rows import list_values
from evalaid.report.questions.put_in import TRUTH, as_true
from evalaid.report.questions.units import in_unit, unit_of
from evalaid.report.wording.prose import format_value
from evalaid.study.entries import DoseEntry, MethodEntry, to_plain
from evalaid.study.sample import load_design
from evalaid.study.spec import StudySpec

_LABELS = {"event_time": "event_time", "cohort": "cohort", "calendar": "period"}
_EFFECT = (*IN_UNIT, *BAND_ENDS, P_VALUE)
_COUNTS = ("n_treated", TREATED_CLUSTERS, N_CLUSTERS)


@dataclass(frozen=True)
class Refusal:
    """The result of a main method that does not apply to the design: every reason, and what could be done.

    Parameters
    ----------
    method : str
        What the study's file calls the method.
    reasons, alternatives : tuple of str
        Every unmet need, and the registered methods that do apply.
    scale : str
        "share" or "number", as the effects would have had (see `unit_of`).
    n_treated, treated_clusters, n_clusters : int
        Counts of the design.
    """

    method: str
    reasons: tuple[str, ...]
    alternatives: tuple[str, ...]
    scale: str
    n_treated: int
    treated_clusters: int
    n_clusters: int


def estimate_main(spec: StudySpec, design: Design) -> Effects | Refusal:
    """Estimate the study's main method on its design, or say why it cannot be."""
    entry = spec.methods[spec.main]
    try:
        return estimate_entry(entry, spec, design)
    except NotIdentifiedError as error:
        scale = "share" if design.outcome_unit == "fraction" else "number"
        counts = (design.n_treated, design.n_treated_clusters, design.n_clusters)
        return Refusal(entry.label, error.reasons, error.alternatives, scale, *counts)


def estimate_entry(entry: MethodEntry, spec: StudySpec, design: Design) -> Effects:
    """Estimate with one entry of a study's ``methods``; a dose is taken from the study's ``dose``."""
    if entry.method == "dose":
        return dose_effects(spec, **entry.options)
    return estimate(design, entry.method, **entry.options)


def dose_effects(spec: StudySpec, **options: Any) -> Effects:
    """Estimate by dose, with the column and the options of the study's ``dose``; further options replace these."""
    dose = dose_of(spec)
    return estimate(load_design(spec.change({"covariates": [dose.column]})), "dose", **{**dose.options(), **options})


def dose_of(spec: StudySpec) -> DoseEntry:
    """Return the dose of a study that has one."""
    if spec.dose is None:
        raise StudyError(f"The study '{spec.study}' has no dose: name its column in the study's file.")
    return spec.dose


def change_for_dose(spec: StudySpec) -> StudySpec:
    """Return the study with the fields that its dose changes."""
    return spec.change(dose_of(spec).changes)


def describe_dose(dose: DoseEntry) -> str:
    """Write a dose as a call, with its column and options."""
    return f"dose({', '.join(f'{name}={value}' for name, value in {'column': dose.column, **dose.options()}.items())})"


def overall(effects: Effects) -> Effects:
    """Average over all treated units and periods; of effects by dose, take the average level."""
    if "parameter" in effects.cells:
        return effects.select(parameter="average level")
    return effects.aggregate("overall")


def list_reasons(effects: Effects | Refusal) -> pd.DataFrame:
    """List why the main method gives no estimate.

    ``key``, ``what``, ``why``, ``what_could_be_done``: one row per reason; no row when there is an estimate.
    """
    reasons, other = (effects.reasons, effects.alternatives) if isinstance(effects, Refusal) else ((), ())
    advice = (f"other methods that apply: {', '.join(other)}; or " if other else "") + WHAT_COULD_BE_DONE
    what = effects.method if isinstance(effects, Refusal) else ""
    rows = [(f"reason{place + 1}", what, why, advice) for place, why in enumerate(reasons)]
    return pd.DataFrame(rows, columns=["key", "what", "why", "what_could_be_done"])


def report_effects(effects: Effects | Refusal, by: str, spec: StudySpec) -> pd.DataFrame:
    """Aggregate effects and put intervals around them.

    One row per effect, with ``key``, ``label``, the effect columns of this module, counts and, by event time, ``band_low``,
    ``band_high``.

    Examples
    --------
    >>> spec = StudySpec(study="korea_responsible_hospitals")
    >>> effects = estimate_main(spec, load_design(spec))
    >>> report_effects(effects, "overall", spec)[["key", "unit", "n_clusters"]].values.tolist()
    [['main', 'pp', 41]]
    """
    if isinstance(effects, Refusal):
        return no_estimate(effects, spec, "main", "All treated units and periods") if by == "overall" else _no_rows()
    aggregate = _averaged(effects, by)
    if aggregate is None:
        return _no_rows()
    frame = in_unit(infer(aggregate, level=spec.level), effects)
    frame[TRUTH] = _true_values(effects, by, spec)
    if by == "event_time":
        joint = infer(aggregate, level=spec.level, simultaneous=True, draws=spec.draws, seed=spec.seed)
        _, scale = unit_of(effects.scale)
        frame = frame.assign(**{band: joint[end] * scale for band, end in zip(BAND_ENDS, ENDS, strict=True)})
        frame["note"] = joint["note"]  # says all that the pointwise note says
        first, last = spec.event_window or (-np.inf, np.inf)
        frame = frame.assign(in_window=frame["event_time"].between(first, last))
    return _labelled(frame, by, spec, effects)


def report_cells(effects: Effects | Refusal, spec: StudySpec) -> pd.DataFrame:
    """Report the effect on each cohort in each period from its start on; no rows of a method that does not give it."""
    if isinstance(effects, Refusal) or not {"cohort", "period", "event_time"} <= set(effects.cells):
        return _no_rows()
    kind, entry = _period_kind(spec), spec.methods[spec.main]
    true = as_true(effects, spec)
    frame = in_unit(infer(effects, level=spec.level), effects)
    frame[TRUTH] = np.nan if true is None else true.value * unit_of(effects.scale)[1]
    frame = frame[frame["event_time"] >= 0].drop(columns="event_time").reset_index(drop=True)
    names = [(label(kind, row["cohort"]), label(kind, row["period"])) for _, row in frame.iterrows()]
    return frame.assign(
        key=[f"{cohort}.{period}" for cohort, period in names],
        label=[f"Cohort {cohort} in {period}" for cohort, period in names],
        made_by=[f"{describe_entry(entry)}; {row[VCOV]}, {row[DISTRIBUTION]}" for _, row in frame.iterrows()],
    ).drop(columns="period")


def reaction_periods(spec: StudySpec, design: Design) -> int:
    """Return the periods before the start in which units may react already, as the main method counts them."""
    entry = spec.methods[spec.main]
    options = find_method(entry.method).parse(dict(entry.options))
    return effective_anticipation(design, options)


def describe_before(event: pd.DataFrame, effects: Effects | Refusal, reaction: int = 0) -> pd.DataFrame:
    """Describe the estimates before units may react: how large they are and how large they could be.

    Small estimates before the start do not show that trends are parallel; the ends of the bands say which differences the
    data cannot exclude.

    ``key``, ``label``, ``value``, ``unit``, ``digits``; a row ``reaction`` where periods are left out for it.
    """
    before = event[(event["event_time"] < -reaction) & event[STD_ERROR].notna()]
    unit, _ = unit_of(effects.scale)
    start = "units may react" if reaction else "the start"
    left_out = [("reaction", "Periods left out, in which units may react before the start", reaction, "count", 0)]
    rows = [  # of no estimate at all these are missing values
        ("periods", f"Periods before {start} with an estimate", len(before), "count", 0),
        *(left_out if reaction else []),
        ("excluding", "Bands that exclude zero", int(leaves_out_zero(before, BAND_ENDS).sum()), "count", 0),
        ("largest", "Largest estimate, without its sign", before[ESTIMATE].abs().max(), unit, 2),
        (BAND_LOW, "Lowest end of a band", before[BAND_LOW].min(), unit, 2),
        (BAND_HIGH, "Highest end of a band", before[BAND_HIGH].max(), unit, 2),
    ]
    return list_values(rows, f"of the event-time estimates before {start}")


def no_estimate(refusal: Refusal, spec: StudySpec, key: str, name: str) -> pd.DataFrame:
    """Return one row without numbers that says why there are none, in the columns of `report_effects`."""
    entry = spec.methods[spec.main]
    row = {
        "key": key,
        "label": name,
        **no_results(_EFFECT),
        **{column: getattr(refusal, column) for column in _COUNTS},
        "unit": unit_of(refusal.scale)[0],
        "level": spec.level,
        "note": say_no_estimate("; ".join(refusal.reasons)),
        "made_by": describe_entry(entry) + "; refused",
    }
    return pd.DataFrame([row])


def true_average(effects: Effects, spec: StudySpec) -> float:
    """Return the true effect that an overall estimate aims at, in the unit of the report; NaN where no truth is known."""
    return float(np.ravel(_true_values(effects, "overall", spec))[0])


def _true_values(effects: Effects, by: str, spec: StudySpec) -> NDArray[np.float64] | float:
    """Return the true effects, averaged as the estimates are; NaN where no truth is known."""
    true = as_true(effects, spec)
    averaged = None if true is None else _averaged(true, by)
    return np.nan if averaged is None else averaged.value * unit_of(effects.scale)[1]


def _averaged(effects: Effects, by: str) -> Effects | None:
    """Average effects by cohort and period; those that a method gives by this label alone stay; None when it does not."""
    if by == "overall":
        return overall(effects)
    known = {name for name in _LABELS.values() if name in effects.cells}
    if known == set(_LABELS.values()):
        return effects.aggregate(by)  # type: ignore[arg-type]
    return effects if known == {_LABELS[by]} else None


def _no_rows() -> pd.DataFrame:
    """Return the columns of `report_effects` without a row."""
    texts = ["key", "label", "unit", "note", "made_by"]
    numbers = [*_EFFECT, *_COUNTS, "n_comparison", "event_time", "level"]
    return pd.DataFrame(columns=[*texts, *numbers]).astype(dict.fromkeys(numbers, float))


def say_no_estimate(reason: str) -> str:
    """Turn the reasons for a refusal into notes."""
    return "; ".join(f"no estimate: {part}" for part in reason.split("; "))


def with_assumption(note: str, effects: Effects) -> str:
    """Add to the note of effects by dose what they assume."""
    return join_texts((note, *effects.estimand.split("; ")[1:])) if "parameter" in effects.cells else note


def _labelled(frame: pd.DataFrame, by: str, spec: StudySpec, effects: Effects) -> pd.DataFrame:
    """Add the key, the label and the origin of every row."""
    kind = _period_kind(spec)
    if by == "overall":
        keys, names = ["main"], ["All treated units and periods"]
    elif by == "event_time":
        keys = [str(int(time)) for time in frame["event_time"]]
        names = [format_value(time, "number", 0, signed=True) for time in frame["event_time"]]
    else:
        column = "cohort" if by == "cohort" else "period"
        names = [label(kind, value) for value in frame[column]]
        keys = names
        names = [f"Cohort {name}" if by == "cohort" else name for name in names]
    entry = spec.methods[spec.main]
    made_by = describe_entry(entry)
    origin = [f"{made_by}; aggregate {by}; {row[VCOV]}, {row[DISTRIBUTION]}" for _, row in frame.iterrows()]
    if "parameter" in frame:
        frame = frame.assign(note=[with_assumption(note, effects) for note in frame["note"]])
    return frame.assign(key=keys, label=names, made_by=origin)


def _period_kind(spec: StudySpec) -> str:
    return load_design(spec).matrices.period_kind


def describe_entry(entry: MethodEntry) -> str:
    """Write an entry of a study's ``methods`` as a call, with its options and what it changes in the study."""
    given = [*to_plain(entry.options).items(), *to_plain(entry.changes).items()]
    return f"{entry.method}({', '.join(f'{name}={value}' for name, value in given)})"
