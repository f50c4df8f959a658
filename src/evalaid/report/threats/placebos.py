"""Does the design find effects where there are none? What the placebo tests of a study say of its main estimate."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from evalaid.base.effect_columns import CONF_LOW, ESTIMATE, P_VALUE, has_interval, leaves_out_zero
from evalaid.did.sensitivity.placebo.placebo import Placebo
from evalaid.report.questions.analysis import Refusal
from evalaid.report.questions.placebo_tests import (
    list_other_outcomes,
    list_placebos,
    list_pretended,
    list_refused,
    rank_placebos,
)
from evalaid.report.questions.placebo_tests import run_placebos as run
from evalaid.report.threats.finding import (
    APPEARS,
    NO_ESTIMATE,
    SURVIVES,
    TIE,
    UNKNOWN,
    WEAKENED,
    Case,
    verdict_row,
    write_p,
)

THREAT = "The design finds effects where there can be none"
TRIED = "Starts, treated units and outcomes that were pretended, as far as the design admits them"


def run_placebos(case: Case | Refusal) -> Mapping[str, Placebo | str]:
    """Run the placebo tests of the study; none when the main method gives no estimate."""
    return {} if isinstance(case, Refusal) else run(case.spec, case.design)


def judge_placebos(case: Case | Refusal, found: Mapping[str, Placebo | str]) -> pd.DataFrame:
    """Say what the placebo tests do to the finding.

    It is weakened when an interval of a pretended start or outcome leaves out zero, when the estimate is no larger than
    chance makes those of pretended units (if there are enough of them to tell), or when intervals among untreated units miss
    zero more than twice as often as they should. Where no effect is shown, one appears when the estimate is larger than chance
    makes those of pretended units.

    Returns
    -------
    pandas.DataFrame
        One row, see `evalaid.report.threats.finding.verdict_row`.
    """
    if isinstance(case, Refusal):
        return verdict_row("placebo", THREAT, TRIED, f"Not possible: {NO_ESTIMATE}.", UNKNOWN)
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
        return verdict_row("placebo", THREAT, TRIED, f"Not possible: {why}.", UNKNOWN)
    able = space[1 / (1 + space["placebos"]) <= (1 - spec.level) * (1 + TIE)]
    if len(space) and able.empty:
        said.append("These are too few to reject at this level.")
    drawn = case.finding.judge_tests(able)
    too_often = bool((units["rejection_rate"] > 2 * units["nominal"]).any())
    weakened = outside or too_often or drawn == WEAKENED
    word = drawn if drawn == APPEARS else WEAKENED if weakened else SURVIVES
    if word == SURVIVES and not len(pretended) and not len(units) and able.empty:
        word = UNKNOWN
    return verdict_row("placebo", THREAT, TRIED, " ".join(said), word)
