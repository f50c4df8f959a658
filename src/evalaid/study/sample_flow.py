"""From the rows of the file to the design: what each rule of a study leaves out, by name, and why one unit is in or out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalaid.base.errors import StudyError
from evalaid.base.names import FIRST_TREATED, NAME
from evalaid.reading.values.comparable_names import match_names, name_text
from evalaid.study.sample import load_cohorts, load_design, only_cohorts, place_cohorts, roster_units
from evalaid.study.sample_rows import list_steps
from evalaid.study.spec import StudySpec

COLUMNS = ["step", "units_out", "observations_out", "units", "observations", "names"]
FILE, DESIGN, MISSING = "in the file", "in the design", "no outcome in any period that is left"
PARTLY = "periods in which a start falls"


@dataclass(frozen=True)
class SampleFlow:
    """How many units and observations each rule leaves out, from the file to the design.

    Parameters
    ----------
    steps : pandas.DataFrame
        One row per rule: ``step``, ``units_out``, ``observations_out``, ``units``, ``observations`` (what is left), ``names`` (of the
        units left out). The first row is the file, the last the design; what is left is what was before minus what is out.
    left_out : pandas.DataFrame
        One row per unit that is not in the design: ``unit``, ``step``.
    """

    steps: pd.DataFrame
    left_out: pd.DataFrame


def follow_sample(spec: StudySpec) -> SampleFlow:
    """Follow the sample of a study from its file to its design.

    Examples
    --------
    >>> flow = follow_sample(StudySpec(study="korea_responsible_hospitals"))
    >>> flow.steps["units"].iloc[[0, -1]].tolist(), len(flow.left_out)
    ([250, 135], 115)
    """
    rows: list[tuple[object, ...]] = []
    gone: list[tuple[object, str]] = []
    before: tuple[set[object], int] | None = None
    for step, units, observations in _counted(spec):
        out = [] if before is None else sorted(before[0] - units, key=str)
        fewer = 0 if before is None else before[1] - observations
        gone += [(unit, step) for unit in out]
        rows.append((step, len(out), fewer, len(units), observations, "; ".join(map(str, out))))
        before = units, observations
    return SampleFlow(pd.DataFrame(rows, columns=COLUMNS), pd.DataFrame(gone, columns=["unit", "step"]))


def in_words(step: str, unit: str) -> str:
    """Return a rule of a study's file in plain words; what is no rule stays as it is.

    Examples
    --------
    >>> in_words("leave_out: district_key is 경기도_부천시", "district_key"), in_words("keep: district_kind is city, county", "district_key")
    ('without 경기도 부천시', 'district kind: city, county')
    """
    rule, found, rest = step.partition(": ")
    if not found or rule not in _RULES:
        return step
    column, _, values = rest.partition(" is ")
    if rule == "leave_out" and column == unit and ";" not in rest:
        rest = values
    return _RULES[rule].format(rest.replace(" is ", ": ").replace("_", " "))


_RULES = {
    "gaps": "with a value: {}",
    "leave_out": "without {}",
    "keep": "{}",
    "first_period": "from {} on",
    "last_period": "up to {}",
    "leave_out_events": "without those that saw: {}",
    "only_cohorts": "cohorts {}",
}


def _counted(spec: StudySpec) -> Iterator[tuple[str, set[object], int]]:
    """Yield each rule with the units and the number of observations that are left after it."""
    frame = pd.DataFrame()
    for step, frame in list_steps(spec):
        yield step or FILE, set(frame[spec.unit]), len(frame)
    frame = place_cohorts(frame, spec, load_cohorts(frame, spec))
    if spec.only_cohorts:
        frame = only_cohorts(frame, spec)
        named = ", ".join(map(str, spec.only_cohorts))
        yield f"only_cohorts: {named}, and the never treated", set(frame[spec.unit]), len(frame)
    design = load_design(spec)
    keys = design.panel.keys
    units, observations = set(keys.units), len(design.panel)
    if observations < len(frame):
        yield MISSING, units, observations
    rows_of = pd.Series(np.bincount(keys.unit, minlength=len(keys.units)), index=keys.units)
    for reason, excluded in design.excluded.groupby("reason", sort=False):
        units = units - set(excluded["unit"])
        observations -= int(rows_of.reindex(excluded["unit"]).sum())
        yield str(reason), units, observations
    if observations > design.n_observations:
        yield PARTLY, units, design.n_observations
    yield DESIGN, set(design.matrices.units), design.n_observations


def explain_unit(spec: StudySpec, unit: str) -> str:
    """Explain in words why a unit is in the design of a study, or which rule leaves it out.

    Raises
    ------
    StudyError
        If the file has no such unit; with the names that are most like it.
    """
    _, frame = next(list_steps(spec))
    key = _find_unit(frame, spec, unit)
    rows = frame[frame[spec.unit] == key]
    lines = [f"{_called(rows, spec)}: {len(rows)} observations in the file ({_span(rows, spec)})."]
    flow = follow_sample(spec)
    out = flow.left_out[flow.left_out["unit"] == key]
    lines += [f"Left out by {step}.{_own_value(rows, step)}" for step in out["step"]]
    cohorts = load_cohorts(frame, spec)
    cohort = place_cohorts(rows, spec, cohorts)[FIRST_TREATED].iloc[0]
    start = "never treated within the roster" if cohorts is not None else "never treated"
    if not pd.isna(cohort):
        start = f"first treated {cohort:g}" if isinstance(cohort, float) else f"first treated {cohort}"
        if cohorts is not None:
            start += f", by the roster's {spec.roster_unit} '{roster_units(rows, spec).iloc[0]}'"
    if out.empty:
        lines.append(f"In the design: {start}.")
    else:
        lines.append(f"It would be {start}.")
    if spec.cluster is not None:
        lines.append(f"Its {spec.cluster} is {name_text(rows[spec.cluster].iloc[0])}.")
    return "\n".join(lines)


def _find_unit(frame: pd.DataFrame, spec: StudySpec, wanted: str) -> object:
    """Return the unit that a person names by its label, or by another column with names."""
    labels = {name_text(unit): unit for unit in frame[spec.unit].unique()}
    match = match_names([wanted], labels)
    for shown in match.found.values():
        return labels[shown]
    near = list(next(iter(match.unknown.values()), ()))
    several: list[object] = []
    for column in frame.columns.drop(spec.unit):
        if pd.api.types.is_numeric_dtype(frame[column]):
            continue
        named = match_names([wanted], frame[column].dropna().unique())
        units = frame.loc[frame[column].map(name_text).isin(named.found.values()), spec.unit].unique().tolist()
        if len(units) == 1:
            return units[0]
        several = min(several, units, key=len) if several and units else several or units
        near += next(iter(named.unknown.values()), ())
    if several:
        listed = ", ".join(map(str, several[:12])) + (", ..." if len(several) > 12 else "")
        raise StudyError(
            f"'{wanted}' is {len(several)} units of '{spec.study}': name one by its {spec.unit}: {listed}."
        )
    hint = f" The nearest are {', '.join(map(repr, dict.fromkeys(near)))}." if near else ""
    raise StudyError(f"The file of '{spec.study}' has no unit '{wanted}' in its column {spec.unit}.{hint}")


def _called(rows: pd.DataFrame, spec: StudySpec) -> str:
    key = name_text(rows[spec.unit].iloc[0])
    names = [name_text(rows[column].iloc[0]) for column in rows if column == NAME or str(column).endswith("name")]
    return " ".join(dict.fromkeys([key, *(f"({name})" for name in names[:1] if name != key)]))


def _span(rows: pd.DataFrame, spec: StudySpec) -> str:
    ordered = rows[spec.period].sort_values()
    return f"{name_text(ordered.iloc[0])} to {name_text(ordered.iloc[-1])}"


def _own_value(rows: pd.DataFrame, step: str) -> str:
    """Return the unit's own value of the column that a rule is about."""
    if not step.startswith("keep: "):
        return ""
    column = next((name for name in rows.columns if step.startswith(f"keep: {name} is ")), None)
    return "" if column is None else f" Its {column} is {', '.join(map(name_text, rows[column].unique()))}."
