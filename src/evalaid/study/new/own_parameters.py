"""The file of a new study: its main method by the design, and its parameters with a comment on each that was decided."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from evalaid.base.errors import EvalaidError, NotIdentifiedError
from evalaid.base.few import SYNTHETIC_FIRST
from evalaid.base.names import CLUSTER, INSIDE, NAME, OUTCOME, PERIOD, SHARE, TOTAL, UNIT
from evalaid.base.project import LAYOUTS, OWN, project_root
from evalaid.did.estimators.estimation import estimate
from evalaid.did.panel.design import Design
from evalaid.reading.rosters.rosters import Partnerships
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
)
"""Methods in the order in which they are tried for the main one, with their options and what they do."""

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
}


@dataclass
class StudyDraft:
    """What is known about the study while its files lie in the temporary folder."""

    name: str
    panel: str = ""
    roster: str = ""
    tidy: bool = False
    roles: dict[str, str] = field(default_factory=dict)
    outcome_unit: str = "number"
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)
    panel_layout: str = ""
    roster_layout: str = ""
    panel_text: str = ""
    decisions: list[pd.DataFrame] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


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
            counted = (
                f"{design.n_treated} treated unit{'s' * (design.n_treated > 1)} in {waves} cohort{'s' * (waves > 1)}, "
                f"{design.n_never} never treated within the panel"
            )
            return method, options, (f"Chosen by the design ({counted}): {what}.", *[f"Not {one}" for one in refused])
    return "", {}, tuple(refused)


def write_parameters(
    draft: StudyDraft,
    design: Design,
    partnerships: Partnerships,
    start: str,
    data_kind: str,
    chosen: tuple[str, dict[str, Any], tuple[str, ...]],
) -> str:
    """Write the parameters with a comment on each that was decided."""
    method, options, why = chosen
    name, roles = draft.name, draft.roles
    units = draft.frame[roles[UNIT]]
    named = not draft.tidy and NAME in draft.frame and _one_to_one(units, draft.frame[NAME])
    path = f"{DATA.as_posix()}/{name}"
    inside = not draft.tidy and roles[OUTCOME] == SHARE
    label = "Share treated inside the county" if inside else roles[OUTCOME]
    lines = [
        "# Parameters of one study, written by `evalaid new` from its files. Everything was detected and may be edited; the fields are",
        "# those of evalaid.StudySpec, and an unknown field or a wrong type is an error before anything runs.",
        f"study: {name}",
        f"origin: {OWN}  # yours: run, verified and listed with the others, and not part of the project's synthesis",
        f"title: {_text(f'What changed with the partnerships: {name}')}",
        f"question: {_text('What did the partnerships of the roster do to the outcome of the units that they support?')}",
        f"programme: {_text('To be described: who sends what to whom, since when, and why these counties.')}",
        f"data_kind: {data_kind}  # real or simulated; shown on every page",
        "",
        f"panel: {_text(f'{path}/{draft.panel}')}",
        *(
            [f"layout: {LAYOUTS.as_posix()}/{name}_panel.yaml  # how the panel is read: edit it there"]
            if not draft.tidy
            else []
        ),
        f"unit: {_text(NAME if named else roles[UNIT])}" + ("  # how counties are called in the report" * named),
        f"period: {_text(roles[PERIOD])}",
        f"outcome: {_text(roles[OUTCOME])}",
        f"outcome_unit: {draft.outcome_unit}" + ("  # a share from 0 to 1" if draft.outcome_unit == "fraction" else ""),
        f"outcome_label: {_text(label)}",
        f"unit_label: {'units' if draft.tidy else 'counties'}",
    ]
    if {INSIDE, TOTAL} <= roles.keys():
        lines += [
            f"inside: {_text(roles[INSIDE])}  # the counts behind the share: the effect on each is shown beside it",
            f"total: {_text(roles[TOTAL])}",
        ]
    lines += [
        *(
            [f"cluster: {_text(roles[CLUSTER])}  # units of one cluster share shocks and the programme"]
            if CLUSTER in roles
            else [
                "# cluster: a column by which units share shocks, for example the prefecture; default: each unit is one. It stands in",
                f"# the panel, or in a csv file named as `link`, with a column '{NAME if named else roles[UNIT]}' to join it by.",
            ]
        ),
        "",
        f"roster: {_text(f'{path}/{draft.roster}')}",
        f"roster_layout: {LAYOUTS.as_posix()}/{name}_roster.yaml  # how the roster is read: edit it there",
        f"roster_unit: {_text(roles[UNIT])}  # the panel's column of the roster's units"
        + (": codes of GB/T 2260" * (not draft.tidy)),
        f"start_column: {start}  # the file has: {', '.join(partnerships.dates)}",
        "start_rule: containing_period  # first treated: the period that holds the start; or first_full_period",
    ]
    lines += [f"# {note}" for note in draft.notes]
    lines += ["", "main: main", "methods:", "  main:"]
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
    lines += ["", "scenarios:  # the main estimate with other readings of the dates", "  full_period:"]
    lines += ["    label: Start at the first full period"]
    lines += ["    why: A period in which the programme was there only at its end can hardly show an effect."]
    lines += ["    changes: {start_rule: first_full_period}"]
    lines += [
        line
        for date in partnerships.dates
        if date != start and _usable(partnerships, date)
        for line in (
            f"  {date}:",
            f"    label: {_text(f'Start as {date}')}",
            "    why: Announcement, agreement and arrival are different days; the roster has more than one.",
            f"    changes: {{start_column: {date}}}",
        )
    ]
    lines += _neighbours(units)
    seed = int(hashlib.sha256(name.encode()).hexdigest()[:7], 16)
    lines += ["", "level: 0.95", f"seed: {seed}  # of every draw", "draws: 999", ""]
    lines += ["# Paragraphs for the report: summary, data_notes, caveats, limits, sources (lists of sentences).", ""]
    return "\n".join(lines)


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
    return value if re.fullmatch(r"[A-Za-z_][\w/.-]*", value, re.ASCII) else json.dumps(value, ensure_ascii=False)
