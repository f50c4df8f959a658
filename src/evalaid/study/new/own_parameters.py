"""The file of a new study: its main method by the design, and its parameters with a comment on each that was decided."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from evalaid.base.errors import EvalaidError, NotIdentifiedError
from evalaid.base.names import (
    CLUSTER,
    COHORT,
    EXPOSURE,
    INSIDE,
    NAME,
    OUTCOME,
    PERIOD,
    SHARE,
    STRATUM,
    TOTAL,
    UNIT,
    WEIGHT,
)
from evalaid.base.project import LAYOUTS, OWN, project_root
from evalaid.base.texts import counted
from evalaid.did.estimators.estimation import estimate
from evalaid.did.panel.design import Design
from evalaid.did.panel.few import SYNTHETIC_FIRST
from evalaid.reading.journal.decisions import show
from evalaid.reading.records.tallies import county_number
from evalaid.reading.rosters.rosters import Partnerships
from evalaid.study.inspection.treatment_columns import TREATED
from evalaid.study.new.own_files import StudyDraft
from evalaid.study.new.unit_words import plural_of
from evalaid.study.schema import HEAD
from evalaid.study.sources import DATA_PACKAGE

DATA = DATA_PACKAGE.parent
_STAGGERED = ("callaway_santanna", {"comparison": "not_yet_treated", "adjustment": "none", "base_period": "universal"})
CHOICES: tuple[tuple[str, dict[str, Any], str], ...] = (
    (*_STAGGERED, "each cohort is compared with units that are not treated by that period, without covariates"),
    (
        "synthetic_did",
        {},
        "one or few units are treated: units and periods are weighted so that the comparison follows them before the start",
    ),
    (
        "imputation",
        {},
        "what the treated would have been without the programme is fitted to all untreated observations",
    ),
    ("two_by_two", {}, "group means before and after the start"),
    (
        "sun_abraham",
        {},
        "a regression with effects of each cohort and period, in which the first treated period counts by its part",
    ),
)
"""Methods in the order in which they are tried for the main one, with their options and what they do."""

WORDS = ("outcome_label", "outcome_measure", "unit_label")
"""Fields with words of the report that `evalaid new` takes."""

ADJACENCY, PAIR = "data/published/guangdong_adjacency.csv", ("adcode_a", "adcode_b")
OTHERS: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    ("never_treated", "Callaway-Sant'Anna, never-treated comparison",
     "Units that start later are left out of the comparison, in case they change before their start.",
     "callaway_santanna", {"comparison": "never_treated", "adjustment": "none", "base_period": "universal"}),
    ("imputation", "Imputation (Borusyak, Jaravel and Spiess)",
     "All untreated observations are used, which is more precise when trends are parallel throughout.", "imputation", {}),
    ("two_by_two", "Before and after, each cohort against the never treated",
     "All periods before and after the start are averaged: what a reader would compute by hand.", "two_by_two", {}),
    ("twfe", "Two-way fixed effects",
     "What most earlier papers report; it compares later with earlier treated units, too, and errs when effects change.", "twfe", {}),
)  # fmt: skip
_LABELS = {
    "callaway_santanna": "Callaway-Sant'Anna, not-yet-treated comparison (main)",
    "synthetic_did": "Synthetic difference-in-differences (main)",
    "imputation": "Imputation (main)",
    "two_by_two": "Before and after against the never treated (main)",
    "sun_abraham": "Sun-Abraham (main)",
}


def choose_method(design: Design) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    """Choose the main method: the first in the order of `CHOICES` that the design admits, with the reasons.

    Returns
    -------
    (str, dict, tuple of str)
        Method (empty when none applies), its options, why it was chosen and why those before it were not.
    """
    order = list(CHOICES)
    if 0 < design.n_treated <= SYNTHETIC_FIRST:
        order.sort(key=lambda choice: choice[0] != "synthetic_did")
    refused: list[str] = []
    for method, options, what in order:
        try:
            estimate(design, method, **options)
        except NotIdentifiedError as error:
            refused += [f"{method}: {reason}" for reason in error.reasons]
        except EvalaidError as error:
            refused.append(f"{method}: {error}")
        else:
            waves = len(design.matrices.cohorts)
            said = (
                f"{counted(design.n_treated, 'treated unit')} in {counted(waves, 'cohort')}, "
                f"{design.n_never} never treated within the panel"
            )
            return method, options, (f"Chosen by the design ({said}): {what}.", *[f"Not {one}" for one in refused])
    return "", {}, tuple(refused)


def write_parameters(
    draft: StudyDraft,
    design: Design,
    partnerships: Partnerships | None,
    start: str,
    data_kind: str,
    chosen: tuple[str, dict[str, Any], tuple[str, ...]],
) -> str:
    """Write the parameters with a comment on each that was decided, and every other field that may be wanted as a comment."""
    units = draft.frame[draft.roles[UNIT]]
    lines = [
        HEAD,
        "# Parameters of one study, written by `evalaid new` from its files. Everything was detected and may be edited; the fields are",
        "# those of evalaid.StudySpec, and an unknown field or a wrong type is an error before anything runs.",
        f"study: {draft.name}",
        f"origin: {OWN}  # yours: run, verified and listed with the others, and not part of the project's synthesis",
        f"title: {_text(f'What changed with the partnerships: {draft.name}')}",
        f"question: {_text('What did the partnerships do to the outcome of the units that they support?')}",
        f"programme: {_text('To be described: who sends what to whom, since when, and why these units.')}",
        f"data_kind: {data_kind}  # real or simulated; shown on every page",
        "",
        *_panel_lines(draft, units),
        "",
        *(_roster_lines(draft, partnerships, start) if partnerships is not None else _column_lines(draft)),
        *(f"# {note}" for note in draft.notes),
        "",
        "# first_period: 2015  # the sample begins (last_period: ends) here",
        *_left_out_lines(draft),
        "# keep: {region: [north, west]}  # values that stay in the sample, by column",
        "# anticipation: 1  # periods before the start in which units may react already",
        "",
        *_method_lines(design, chosen),
        *(_part_lines(design) if draft.starts_inside and EXPOSURE not in draft.roles else []),
    ]
    if partnerships is not None and EXPOSURE not in draft.roles:  # which contradicts any other start
        lines += _scenario_lines(partnerships, start)
    lines += _neighbours(units)
    seed = int(hashlib.sha256(draft.name.encode()).hexdigest()[:7], 16)
    lines += ["", "level: 0.95", f"seed: {seed}  # of every draw", "draws: 999", ""]
    if draft.fiscal:
        lines += [f"data_notes: [{_text(draft.fiscal)}]"]
    lines += ["# Paragraphs for the report: summary, data_notes, caveats, limits, sources (lists of sentences).", ""]
    return "\n".join(lines)


def _panel_lines(draft: StudyDraft, units: pd.Series) -> Iterator[str]:
    """Yield the lines on the panel: its file, its columns, and the words of its outcome."""
    roles, words = draft.roles, draft.words
    named = not draft.tidy and NAME in draft.frame and _one_to_one(units, draft.frame[NAME])
    yield f"panel: {_text(f'{DATA.as_posix()}/{draft.name}/{draft.panel}')}"
    if draft.panel_layout:
        yield f"layout: {LAYOUTS.as_posix()}/{draft.name}_panel.yaml  # how the panel is read: edit it there"
    yield f"unit: {_text(NAME if named else roles[UNIT])}" + "  # how units are called in the report" * named
    yield f"period: {_text(roles[PERIOD])}"
    yield f"outcome: {_text(roles[OUTCOME])}"
    yield f"outcome_unit: {draft.outcome_unit}" + "  # a share from 0 to 1" * (draft.outcome_unit == "fraction")
    if "outcome_measure" in words:
        yield f"outcome_measure: {_text(words['outcome_measure'])}  # its unit, as it stands in a sentence after a figure"
    elif draft.outcome_unit == "number":
        yield "# outcome_measure: per 1,000  # its unit, as it stands in a sentence after a figure"
    called = _plural(draft, units)
    inside = "Share treated inside the county" if called == "counties" else "Share treated inside"
    label = inside if not draft.tidy and roles[OUTCOME] == SHARE else roles[OUTCOME]
    yield f"outcome_label: {_text(words.get('outcome_label', label))}"
    yield f"unit_label: {_text(words.get('unit_label', called))}  # what the units are called"
    if {INSIDE, TOTAL} <= roles.keys():
        yield f"inside: {_text(roles[INSIDE])}  # the counts behind the share: the effect on each is shown beside it"
        yield f"total: {_text(roles[TOTAL])}"
    if CLUSTER in roles:
        yield f"cluster: {_text(roles[CLUSTER])}  # units of one cluster share shocks and the programme"
    else:
        yield "# cluster: a column by which units share shocks, for example the prefecture; default: each unit is one. It stands in"
        yield f"# the panel, or in a csv file named as `link`, with a column '{NAME if named else roles[UNIT]}' to join it by."
    if WEIGHT in roles:
        yield f"weight: {_text(roles[WEIGHT])}"
        yield "weight_kind: analytic  # how much a unit counts; precision: how exactly its outcome is measured"
    else:
        yield "# weight: a column, for example of residents; default: every unit counts the same"
    if STRATUM in roles:
        yield f"stratum: {_text(roles[STRATUM])}  # units are compared within its groups, by methods that can"
    else:
        yield "# stratum: region  # a column of groups within which units are compared"
    if EXPOSURE in roles:
        yield f"exposure: {_text(roles[EXPOSURE])}  # part of each period in which a unit is treated: the first treated one counts by it"
    if draft.covariates:
        yield f"covariates: [{', '.join(map(_text, draft.covariates))}]"
    else:
        yield "# covariates: [log_income, share_65]  # columns by which treated and comparison units may differ"


def _left_out_lines(draft: StudyDraft) -> Iterator[str]:
    """Yield the lines on units that are totals of the others."""
    if draft.totals:
        yield f"leave_out:  # {'; '.join(f'{unit}: {why}' for unit, why in list(draft.totals.items())[:4])}"
        yield f"- {{{_text(draft.roles[UNIT])}: [{', '.join(map(_scalar, draft.totals))}]}}"


def _plural(draft: StudyDraft, units: pd.Series) -> str:
    """Return what the units are called: by the header of their column; counties where the codes are those of China."""
    if draft.tidy:
        return plural_of(draft.roles[UNIT])
    if units.map(show).map(county_number).notna().all():
        return "counties"
    headers = re.findall(r"\{read: (?:name|code)[^}]*\}  # (.+)", draft.panel_layout)
    return next((word for word in map(plural_of, (*reversed(headers), *draft.headings)) if word != "units"), "units")


def _roster_lines(draft: StudyDraft, partnerships: Partnerships, start: str) -> Iterator[str]:
    yield f"roster: {_text(f'{DATA.as_posix()}/{draft.name}/{draft.roster}')}"
    yield f"roster_layout: {LAYOUTS.as_posix()}/{draft.name}_roster.yaml  # how the roster is read: edit it there"
    coded = draft.frame[draft.roles[UNIT]].map(show).map(county_number).notna().all()
    yield (
        f"roster_unit: {_text(draft.roles[UNIT])}  # the panel's column of the roster's units"
        + ": codes of GB/T 2260" * bool(coded)
    )
    yield f"start_column: {start}  # the file has: {', '.join(partnerships.dates)}"
    yield "start_rule: containing_period  # first treated: the period that holds the start; or first_full_period, or part_of_period"
    if draft.absent:
        yield f"not_in_panel: [{', '.join(map(_text, draft.absent))}]  # units of the roster that the panel rightly lacks"


def _column_lines(draft: StudyDraft) -> Iterator[str]:
    """Yield the lines on a column that says when units are treated."""
    if COHORT in draft.roles:
        yield f"cohort: {_text(draft.roles[COHORT])}  # first treated period of each unit; an empty cell: never treated"
        if draft.never:
            yield f"never: [{', '.join(map(_scalar, draft.never))}]  # no period: never treated"
    else:
        yield f"treated: {_text(draft.roles[TREATED])}  # 0 and 1 by period"


def _method_lines(design: Design, chosen: tuple[str, dict[str, Any], tuple[str, ...]]) -> list[str]:
    """Write the main method with the reasons for it, and the others that the design admits."""
    method, options, why = chosen
    lines = ["main: main", "methods:", "  main:"]
    if method:
        lines += _entry(_LABELS[method], method, options, why[0])
        lines += [f"    # {' '.join(reason.split())}" for reason in why[1:]]
    else:
        lines += ["    # No method applies to this design. What is missing:"]
        lines += [f"    # - {' '.join(reason.split())}" for reason in why]
        lines += _entry(
            _LABELS["callaway_santanna"], *_STAGGERED, "No method applies; the report says why and what could be done."
        )
    for key, shown, what, other, given in OTHERS:
        if (other, given) != (method, options) and _admits(design, other, given):
            lines += [f"  {key}:", *_entry(shown, other, given, what)]
    return lines


def _part_lines(design: Design) -> list[str]:
    """Write the method that counts the period of a start by the part of it that is left, where the design admits one."""
    method = next((name for name in ("sun_abraham", "twfe") if _admits(design, name, {})), "")
    if not method:
        return []
    why = "Starts fall inside a period: its effect counts in proportion to the part that is left of it, as the dates of the roster say."
    label = "First period by its part " + {"sun_abraham": "(Sun-Abraham)", "twfe": "(two-way fixed effects)"}[method]
    return ["  by_part:", *_entry(label, method, {}, why), "    changes: {start_rule: part_of_period}"]


def _scenario_lines(partnerships: Partnerships, start: str) -> list[str]:
    """Write the main estimate with other readings of the dates."""
    lines = ["", "scenarios:  # the main estimate with other readings of the dates", "  full_period:"]
    lines += ["    label: Start at the first full period"]
    lines += ["    why: A period in which the programme was there only at its end can hardly show an effect."]
    lines += ["    changes: {start_rule: first_full_period}"]
    for date in partnerships.dates:
        if date != start and _usable(partnerships, date):
            lines += [f"  {date}:", f"    label: {_text(f'Start as {date}')}"]
            lines += ["    why: Announcement, agreement and arrival are different days; the roster has more than one."]
            lines += [f"    changes: {{start_column: {date}}}"]
    return lines


def _one_to_one(units: pd.Series, names: pd.Series) -> bool:
    """Check whether every unit has one name and every name is of one unit."""
    pairs = pd.DataFrame({"unit": units, "name": names}).drop_duplicates()
    return bool(pairs["unit"].is_unique and pairs["name"].is_unique and pairs["name"].notna().all())


def _neighbours(units: pd.Series) -> list[str]:
    """Return the entry of the neighbours when the project has a file of them that knows every unit."""
    path = project_root() / ADJACENCY
    if not path.is_file():
        return []
    pairs = pd.read_csv(path, dtype="str", encoding="utf-8-sig")
    if not set(units.map(str)) <= set(pairs[list(PAIR)].to_numpy().ravel()):
        return []
    return [
        "",
        "robustness:  # counties that touch: those beside treated ones may gain or lose, and serve as comparison",
        f"  neighbours: {{file: {ADJACENCY}, columns: [{', '.join(PAIR)}]}}",
    ]


def _entry(label: str, method: str, options: Mapping[str, Any], why: str) -> list[str]:
    lines = [f"    label: {_text(label)}"] + ([f"    why: {_text(why)}"] if why else [])
    listed = ", ".join(f"{key}: {value}" for key, value in options.items())
    return [*lines, f"    method: {method}", *([f"    options: {{{listed}}}"] if listed else [])]


def _admits(design: Design, method: str, options: Mapping[str, Any]) -> bool:
    try:
        estimate(design, method, **options)
    except EvalaidError:
        return False
    return True


def _usable(partnerships: Partnerships, date: str) -> bool:
    """Check whether a column of dates holds one for every partnership, other than those of the start."""
    column = partnerships.frame[date]
    return bool(column.notna().all()) and not column.equals(partnerships.frame["start"].rename(date))


def _text(value: str) -> str:
    """Quote a text for YAML where it needs it."""
    if value in {"true", "True", "TRUE", "false", "False", "FALSE", "null", "Null", "NULL"}:
        return json.dumps(value)
    return value if re.fullmatch(r"[A-Za-z_][\w/.-]*", value, re.ASCII) else json.dumps(value, ensure_ascii=False)


def _scalar(value: float | str) -> str:
    return _text(value) if isinstance(value, str) else repr(value).replace("inf", ".inf")
