"""Does the design find effects where there are none? What the placebo tests of a study say of its main estimate."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from evalaid.base.effect_columns import CONF_LOW, ESTIMATE, P_VALUE, RESULTS, has_interval, leaves_out_zero
from evalaid.did.sensitivity.placebo.placebo import Placebo
from evalaid.report.display.curves import draw_placebos
from evalaid.report.exhibits import NOTHING_NOTED, Drawn, Exhibit, Tabled, Told
from evalaid.report.questions.alternatives import explain
from evalaid.report.questions.placebo_tests import (
    COLUMNS,
    list_other_outcomes,
    list_placebos,
    list_pretended,
    list_refused,
    rank_placebos,
    run_placebos,
    spread_placebos,
)
from evalaid.report.threats.finding import APPEARS, SURVIVES, TIE, UNKNOWN, WEAKENED, Case, write_p
from evalaid.report.threats.threat import Judged, Threat
from evalaid.report.wording.robustness import PLACEBO

Found = Mapping[str, Placebo | str]


def examine_placebos(case: Case) -> Found:
    """Run the placebo tests of the study."""
    return run_placebos(case.spec, case.design)


def show_placebos(case: Case, found: Found) -> list[Exhibit]:
    """List the placebos in time, in space, in outcome and among untreated units, and those that were refused."""
    spec = case.spec
    return [
        Told("\n".join(f"- {why}" for why in explain(spec.placebo)) or NOTHING_NOTED),
        Tabled(
            list_placebos(found, spec), "placebo_time", ["label", "shift", *RESULTS],
            "Estimates at the true start and at earlier ones", extra=COLUMNS,
        ),
        Drawn(
            draw_placebos, spread_placebos(found, spec), "placebos",
            "Placebo estimates in space, and the estimate for the units that were treated.",
            without="No test in space was asked for, or none could be run.",
        ),
        Tabled(
            rank_placebos(found, spec), "placebo_space",
            ["label", ESTIMATE, "placebos", "largest", P_VALUE, "ratio_p_value"],
            "The true estimate among the placebos in space", extra=COLUMNS,
        ),
        Tabled(
            list_other_outcomes(found, spec), "placebo_outcome", ["label", *RESULTS],
            "Outcomes that the programme must not move",
        ),
        Tabled(
            list_pretended(found, spec), "placebo_units", ["label", "placebos", "mean", "rejection_rate", "nominal"],
            "Never-treated units pretended treated: how often intervals miss zero", extra=COLUMNS,
        ),
        Tabled(
            list_refused(found, spec), "placebo_refused", ["what", "why"],
            "Placebo tests that this design does not admit",
        ),
    ]  # fmt: skip


def judge_placebos(case: Case, found: Found) -> Judged:
    """Judge by what the placebo tests can show.

    It is weakened when an interval of a pretended start or outcome leaves out zero, when the estimate is no larger than
    chance makes those of pretended units (if there are enough of them to tell), or when intervals among untreated units miss
    zero more than twice as often as they should. Where no effect is shown, one appears when the estimate is larger than chance
    makes those of pretended units.
    """
    spec = case.spec
    time = list_placebos(found, spec)
    starts = time[(time["shift"] != 0) & time[CONF_LOW].notna()][ESTIMATE]
    pretended = pd.concat([time[time["shift"] != 0], list_other_outcomes(found, spec)], ignore_index=True)
    pretended = pretended[has_interval(pretended)]
    outside = int(leaves_out_zero(pretended).sum())
    space, units = rank_placebos(found, spec), list_pretended(found, spec)
    said = []
    if len(pretended):
        chance = len(pretended) * (1 - spec.level)
        said.append(
            f"Of {len(pretended)} intervals of pretended starts or outcomes {outside} leave out zero; chance alone gives "
            f"{chance:.2g}."
        )
    if len(starts):
        largest = starts.iloc[int(starts.abs().to_numpy().argmax())]
        said.append(f"The largest at a pretended start is {case.finding.write(largest)}.")
    if len(space):
        said.append(f"Among pretended units p = {', '.join(write_p(p) for p in space[P_VALUE])}.")
    if len(units):
        rate = ", ".join(f"{rate:.0f}%" for rate in units["rejection_rate"])
        said.append(f"Among untreated units {rate} of the intervals miss zero.")
    if not said:
        why = "; ".join(dict.fromkeys(list_refused(found, spec)["why"])) or "no pretended start gives an interval"
        return Judged(f"Not possible: {why}.", UNKNOWN)
    able = space[1 / (1 + space["placebos"]) <= (1 - spec.level) * (1 + TIE)]
    if len(space) and able.empty:
        said.append("These are too few to reject at this level.")
    drawn = case.finding.judge_tests(able)
    too_often = bool((units["rejection_rate"] > 2 * units["nominal"]).any())
    weakened = outside or too_often or drawn == WEAKENED
    word = drawn if drawn == APPEARS else WEAKENED if weakened else SURVIVES
    if word == SURVIVES and not len(pretended) and not len(units) and able.empty:
        word = UNKNOWN
    return Judged(" ".join(said), word)


THREAT = Threat("placebo", PLACEBO, examine_placebos, show_placebos, judge_placebos, needs_cells=False)
