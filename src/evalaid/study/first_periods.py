"""What was decided between the files of a study and its design: what its columns are, and when each unit counts as treated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from evalaid.base.names import INSIDE, OUTCOME, PERIOD, TOTAL, UNIT
from evalaid.base.project import project_root
from evalaid.programme.cohorts import assign_cohorts, possible_cohorts
from evalaid.programme.roster import roster_of
from evalaid.reading.journal.decisions import DECISION_COLUMNS, LEFT_OUT_COLUMNS
from evalaid.reading.rosters.rosters import Partnerships
from evalaid.reading.tables.tidy import read_tidy
from evalaid.study.sample import roster_units, spell_as
from evalaid.study.sample_rows import load_untreated, period_kind
from evalaid.study.spec import StudySpec

_CLUSTER = "cluster"
_NOT_THERE = "a unit that is not in the panel"


def decide_columns(spec: StudySpec) -> pd.DataFrame:
    """List how a tidy panel was opened and what its columns were taken for.

    Returns
    -------
    pandas.DataFrame
        ``file``, ``sheet``, ``cell``, ``what``, ``decided``, ``because``.
    """
    file = str(spec.panel).rpartition("/")[2]
    roles = {UNIT: spec.unit, PERIOD: spec.period, OUTCOME: spec.outcome, INSIDE: spec.inside, TOTAL: spec.total}
    named = [(role, column) for role, column in {**roles, _CLUSTER: spec.cluster}.items() if column]
    rows = [(file, "", "", f"column {column!r}", role, "the study's file says so") for role, column in named]
    unit = "percent; divided by 100" if spec.outcome_unit == "percent" else spec.outcome_unit
    rows.append((file, "", "", f"unit of {spec.outcome!r}", unit, "the study's file says so"))
    opened = read_tidy(project_root() / str(spec.panel)).decisions
    return pd.concat([opened, pd.DataFrame(rows, columns=DECISION_COLUMNS)], ignore_index=True)


def decide_starts(spec: StudySpec, partnerships: Partnerships) -> tuple[pd.DataFrame, pd.DataFrame]:
    """List from which period on each unit of a roster counts as treated, with the reason, and the units that the panel lacks.

    Parameters
    ----------
    spec : StudySpec
    partnerships : Partnerships
        Its roster.

    Returns
    -------
    (pandas.DataFrame, pandas.DataFrame)
        Decisions, and what is left out (``file``, ``sheet``, ``row``, ``cell``, ``value``, ``reason``).
    """
    frame = load_untreated(spec)
    kind, there = period_kind(frame, spec), set(roster_units(frame, spec))
    roster = spell_as(roster_of(partnerships, str(spec.start_column)), roster_units(frame, spec))
    spans = possible_cohorts(roster, kind, spec.start_rule).set_index("unit")["possible"].to_dict()
    # rows of the roster stand in the order of the partnerships
    first = roster.frame.assign(place=range(len(roster.frame))).sort_values(["unit", "start"], kind="stable")
    places = first.drop_duplicates("unit").set_index("unit")["place"]
    decided, absent = [], []
    assigned = assign_cohorts(roster, kind, spec.start_rule).frame
    assigned = assigned.assign(place=assigned["unit"].map(places)).sort_values("place")  # as the roster lists them
    for row in assigned.to_dict("records"):
        source = partnerships.frame.iloc[int(row["place"])].to_dict()
        if row["unit"] not in there:
            absent.append((source["file"], source["sheet"], source["row"], source["cell"], source["name"], _NOT_THERE))
            continue
        what = f"first treated {kind} of {source['name']}"
        because = _because(row, source, spans.get(row["unit"]), kind, spec)
        decided.append((source["file"], source["sheet"], source["cell"], what, str(row["cohort"]), because))
    left_out = pd.DataFrame(absent, columns=LEFT_OUT_COLUMNS)
    return pd.DataFrame(decided, columns=DECISION_COLUMNS), left_out


def _because(
    row: Mapping[Any, Any], source: Mapping[Any, Any], span: tuple[Any, ...] | None, kind: str, spec: StudySpec
) -> str:
    stated = source[str(spec.start_column)]
    text = stated if isinstance(stated, str) else str(stated)[:10]
    rule = f"the first full {kind} from" if spec.start_rule == "first_full_period" else f"the {kind} that holds"
    because = f"{rule} the start {text!r}"
    if row["part"] < 1:
        because += f", of which {row['part']:.2f} is left"
    if span is not None:
        because += f"; it may be {span[0]} to {span[-1]}: what is stated is taken, and the estimate is repeated over all of these"
    if row["n_partnerships"] > 1:
        because += f"; the earliest of {row['n_partnerships']} partnerships"
    return because
