"""Does one part of the sample carry the result? The estimate without each cluster, cohort and period in turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ENDS, ESTIMATE, IN_UNIT, VCOV
from evalaid.base.errors import EvalaidError
from evalaid.base.names import NEVER
from evalaid.base.texts import counted, one_line
from evalaid.did.inference.variance.leverage import leverage
from evalaid.did.panel.design import Design
from evalaid.did.sensitivity.sample.leave_out import LeaveOut, leave_out
from evalaid.report.cell_progress import watch
from evalaid.report.display.exclusion_figure import draw_leave_out
from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.display.map_figure import draw_map
from evalaid.report.exhibits import Drawn, Exhibit, Tabled
from evalaid.report.questions.places import map_places
from evalaid.report.questions.units import multiply
from evalaid.report.threats.finding import APPEARS, REVERSED, SIGN_ONLY, UNKNOWN, WEAKENED, Case, Finding, key_of
from evalaid.report.threats.threat import Judged, Threat
from evalaid.report.wording.robustness import EXCLUSIONS
from evalaid.study.surroundings import load_groups

SHOWN = 6
NAMED = 3  # parts that the answer names, more are counted
OTHERWISE = (SIGN_ONLY, WEAKENED, REVERSED, APPEARS)
COLUMNS = {
    "change": ColumnFormat("Change", "outcome", 2, signed=True),
    "influence_share": ColumnFormat("Share of the variance (%)", "%", 1),
}
_NUMBERS = (*IN_UNIT, "change")
_NOTHING = ("key", "label", *_NUMBERS, "reason", "unit", "level", "made_by", "left_out", "first_order", "full", "note")


@dataclass(frozen=True)
class Exclusions:
    """The main estimate without parts of the sample.

    ``every`` has one row per exclusion: clusters, then groups, cohorts and periods, the most influential of each first; ``table``
    the first of each kind, ``figure`` the most influential as they are drawn, ``influence`` the clusters that make up most of the
    variance. ``notes`` say what the exclusions do to sign and significance.
    """

    every: pd.DataFrame
    table: pd.DataFrame
    figure: pd.DataFrame
    influence: pd.DataFrame
    notes: tuple[str, ...]


def examine_exclusions(case: Case) -> Exclusions:
    """Estimate the main effect without each cluster, cohort and period, with the errors of the main estimate.

    Groups (units that share a supporting hospital or an area) are left out, too, where the study's ``robustness`` names them and
    they are not the clusters.
    """
    tables, figures, notes = [], [], []
    groups = load_groups(case.spec, case.design)
    kinds: list[tuple[str | pd.Series, str]] = [("cluster", "cluster"), ("cohort", "cohort"), ("period", "period")]
    if groups is not None and not _are_clusters(groups, case.design):
        kinds.insert(1, (groups, str(case.spec.robustness.groups)))
    for by, word in kinds:
        try:
            found = leave_out(
                case.design, case.method, by, level=case.spec.level, progress=watch("Leave-one-out"), **case.options
            )
        except EvalaidError as error:
            notes.append(f"{word.capitalize()}: " + one_line(error))
            continue
        tables.append(_table(found, word, case))
        scaled = found.most_influential(SHOWN)
        names = (ESTIMATE, *ENDS, "first_order", "full")
        scaled = multiply(scaled, case.unit[1], names)
        figures.append(scaled.assign(truth=case.truth, left_out=[_name(word, name) for name in scaled["left_out"]]))
        said = "; ".join(note for note in found.notes if "of the 0 " not in note)
        notes.append(f"Without each {word}: {said.replace('; None', '; none')}")
    every, table, figure = (
        pd.concat(parts, ignore_index=True) if tables else pd.DataFrame(columns=_NOTHING)
        for parts in (tables, [part.head(SHOWN) for part in tables], figures)
    )
    return Exclusions(every, table, figure, _influence(case), tuple(notes))


def show_exclusions(case: Case, found: Exclusions) -> list[Exhibit]:
    """List the most influential exclusions and clusters, and a map of them where the study has one."""
    caption = "The estimate without each place in turn, beside the outcome and the start."
    return [
        Drawn(draw_map, _map(case, found), "leave_out_map", caption, without=""),
        Drawn(
            draw_leave_out, found.figure, "leave_out",
            "The estimate without each of the most influential clusters, groups, cohorts and periods.",
            without="There is no figure: no part can be left out.",
        ),
        Tabled(
            found.table, "leave_out", ["label", ESTIMATE, CONF_LOW, CONF_HIGH, "change", "reason"],
            "The estimate without the most influential parts of the sample", found.notes, extra=COLUMNS,
        ),
        Tabled(
            found.influence, "influence", ["label", "influence_share"], "Clusters that make most of the variance",
            extra=COLUMNS,
        ),
    ]  # fmt: skip


def _map(case: Case, found: Exclusions) -> pd.DataFrame:
    places = map_places(case.spec, case.design)
    if places.empty or found.every.empty:
        return places.iloc[:0]
    own = found.every[found.every["key"].str.startswith("cluster")]
    without = dict(zip(own["left_out"].astype(str), own[ESTIMATE], strict=True))
    shown = places.assign(leave_out=places["unit"].map(without), full=case.finding.estimate)
    return shown if shown["leave_out"].notna().any() else shown.iloc[:0]


def judge_exclusions(case: Case, found: Exclusions) -> Judged:
    """Compare every exclusion with the full sample."""
    finding, table = case.finding, found.every
    known = table[table[ESTIMATE].notna()]
    if known.empty:
        return Judged("No part can be left out: there is no estimate without it.", UNKNOWN)
    row = known.iloc[int(known["change"].abs().to_numpy().argmax())]
    spread = finding.write_range(known[ESTIMATE].min(), known[ESTIMATE].max())
    said = (
        f"Estimates from {spread}; the largest change, {finding.write(row['change'])}, is {str(row['label']).lower()}."
    )
    lost = int(table[ESTIMATE].isna().sum())
    if lost:
        said += f" Without {counted(lost, 'part')} there is no estimate."
    answer = finding.judge_all(known)
    return Judged(said + _name_parts(finding, known, answer), answer, known)


def _name_parts(finding: Finding, known: pd.DataFrame, answer: str) -> str:
    """Return without which parts the finding is another one; "" where it is without none."""
    if answer not in OTHERWISE:
        return ""
    answers = [finding.judge(*row) for row in known[[ESTIMATE, *ENDS]].to_numpy(dtype=float)]
    parts = [str(name).removeprefix("Without ") for name in known["label"][np.array(answers) == answer]]
    named = ", ".join(parts) if len(parts) <= NAMED else f"{len(parts)} of the {len(known)} parts"
    return f" The answer without {named}: {answer}."


THREAT = Threat("exclusions", EXCLUSIONS, examine_exclusions, show_exclusions, judge_exclusions)


def _table(found: LeaveOut, word: str, case: Case) -> pd.DataFrame:
    unit, factor = case.unit
    table = found.table
    return multiply(table, factor, _NUMBERS).assign(
        key=[key_of(f"{word}.{name}") for name in table["left_out"]],
        label=[f"Without {_name(word, name)}" for name in table["left_out"]],
        reason=table["note"].where(table[ESTIMATE].isna(), ""),
        note="",
        truth=case.truth,
        unit=unit,
        level=case.spec.level,
        made_by=[f"{case.method} estimated again; {vcov}" for vcov in table[VCOV]],
    )


def _are_clusters(groups: pd.Series, design: Design) -> bool:
    """Return whether groups and clusters part the units alike."""
    pairs = pd.DataFrame({"group": groups.to_numpy(), "cluster": design.matrices.cluster}).drop_duplicates()
    return not pairs.isna().to_numpy().any() and not any(pairs[name].duplicated().any() for name in pairs)


def _name(word: str, left_out: object) -> str:
    return f"the {NEVER}" if left_out == NEVER else f"{word} {left_out}"


def _influence(case: Case) -> pd.DataFrame:
    found = leverage(case.overall).head(5)
    return pd.DataFrame(
        {
            "key": [key_of(name) for name in found["cluster"]],
            "label": found["cluster"].astype(str),
            "influence_share": 100 * found["influence_share"],
            "unit": "%",
            "made_by": "squared sums of influence by cluster",
        }
    )
