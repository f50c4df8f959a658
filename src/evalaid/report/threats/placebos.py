"""Does the design find effects where there are none? What the placebo tests of a study say of its main estimate."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE, P_VALUE, RESULTS, has_interval, leaves_out_zero
from evalaid.base.texts import counted
from evalaid.report.display.curves import draw_placebos
from evalaid.report.exhibits import NOTHING_NOTED, Drawn, Exhibit, Tabled, Told
from evalaid.report.questions.alternatives import explain
from evalaid.report.questions.other_averages import spread_of
from evalaid.report.questions.placebo_tests import (
    COLUMNS,
    Tested,
    list_controls,
    list_other_outcomes,
    list_placebos,
    list_pretended,
    list_refused,
    rank_placebos,
    run_placebos,
    spread_placebos,
)
from evalaid.report.threats.finding import (
    APPEARS,
    AS_MUCH,
    EXCLUDES_LESS,
    HOLDS,
    TIE,
    UNKNOWN,
    WEAKENED,
    Case,
    Finding,
    write_p,
)
from evalaid.report.threats.threat import Judged, Threat
from evalaid.report.wording.robustness import PLACEBO

Found = Mapping[str, Tested]


def examine_placebos(case: Case) -> Found:
    """Run the placebo tests of the study."""
    return run_placebos(case.spec, case.design)


def show_placebos(case: Case, found: Found) -> list[Exhibit]:
    """List the placebos in time, in space, in outcome and among untreated units, and those that were refused."""
    spec, time = case.spec, list_placebos(found, case.spec)
    space = rank_placebos(found, spec).assign(truth=case.truth)
    return [
        Told("\n".join(f"- {why}" for why in explain(spec.placebo)) or NOTHING_NOTED),
        Tabled(
            time.assign(truth=case.truth * (time["shift"] == 0)), "placebo_time", ["label", "shift", *RESULTS],
            "Estimates at the true start and at earlier ones", extra=COLUMNS,
        ),
        Drawn(
            draw_placebos, spread_placebos(found, spec).assign(truth=case.truth), "placebos",
            "Placebo estimates in space, and the estimate for the units that were treated.",
            without="",
        ),
        Tabled(
            space, "placebo_space",
            ["label", ESTIMATE, "placebos", "largest", P_VALUE, "ratio_p_value"],
            "The true estimate among the placebos in space", extra=COLUMNS,
        ),
        Tabled(
            list_other_outcomes(found, spec), "placebo_outcome", ["label", *RESULTS, "in_sd"],
            "Outcomes that the programme must not move", extra=COLUMNS,
        ),
        Tabled(
            list_controls(found, spec), "placebo_control", ["label", *RESULTS, "n_treated"],
            "Negative controls: where the programme was not, and no effect is expected",
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

    An effect reaches zero when an interval of a pretended start or outcome leaves out zero, when the estimate is no larger than
    chance makes those of pretended units (if there are enough of them to tell), or when intervals among untreated units miss
    zero more than twice as often as they should. Where none is shown, one appears when the estimate is larger than chance makes
    those of pretended units; else a bias as large as the largest estimate at a pretended start is allowed for on both sides.
    """
    spec = case.spec
    time, moved = list_placebos(found, spec), list_other_outcomes(found, spec)
    starts = time[(time["shift"] != 0) & time[CONF_LOW].notna()][ESTIMATE]
    controls = list_controls(found, spec)
    pretended = pd.concat([time[time["shift"] != 0], moved, controls], ignore_index=True)
    pretended = pretended[has_interval(pretended)]
    space, units = rank_placebos(found, spec), list_pretended(found, spec)
    said = [*_tell_intervals(case, pretended, starts), *_tell_others(case, moved, space, units)]
    if not said:
        why = "; ".join(dict.fromkeys(list_refused(found, spec)["why"])) or "no pretended start gives an interval"
        return Judged(f"Not possible: {why}.", UNKNOWN)
    able = space[1 / (1 + space["placebos"]) <= (1 - spec.level) * (1 + TIE)]
    if len(space) and able.empty:
        said.append("These are too few to reject at this level.")
    drawn = case.finding.judge_tests(able)
    too_often = bool((units["rejection_rate"] > 2 * units["nominal"]).any())
    if not len(pretended) and not len(units) and able.empty:
        return Judged(" ".join(said), UNKNOWN)
    if not case.finding.shows_an_effect:
        rows = _allow_for(case.finding, float(starts.abs().max()) if len(starts) else 0.0)
        return Judged(" ".join(said), APPEARS if drawn == APPEARS else EXCLUDES_LESS if len(starts) else AS_MUCH, rows)
    return Judged(
        " ".join(said), WEAKENED if leaves_out_zero(pretended).any() or too_often or drawn == WEAKENED else HOLDS
    )


def _tell_intervals(case: Case, pretended: pd.DataFrame, starts: pd.Series) -> list[str]:
    """Write how many intervals of pretended starts or outcomes leave out zero, and the largest estimate at such a start."""
    said = []
    if len(pretended):
        what = "starts, outcomes or controls" if pretended["n_treated"].notna().any() else "starts or outcomes"
        outside, chance = int(leaves_out_zero(pretended).sum()), len(pretended) * (1 - case.spec.level)
        said.append(
            f"Of {counted(len(pretended), 'interval')} of pretended {what} {outside} leave out zero; chance alone gives "
            f"{chance:.2g}."
        )
    if len(starts):
        largest = starts.iloc[int(starts.abs().to_numpy().argmax())]
        said.append(f"The largest at a pretended start is {case.finding.write(largest)}.")
    return said


def _tell_others(case: Case, moved: pd.DataFrame, space: pd.DataFrame, units: pd.DataFrame) -> list[str]:
    """Write what other outcomes, pretended units and untreated units show."""
    said = []
    if len(moved):
        own = case.finding.estimate / spread_of(case.spec)
        named = ", ".join(f"{row.label} {row.in_sd:+.3f}" for row in moved.itertuples())
        said.append(f"In standard deviations: {named}, the outcome itself {own:+.3f}.")
    if len(space):
        said.append(f"Among pretended units p = {', '.join(write_p(p) for p in space[P_VALUE])}.")
    if len(units):
        rate = ", ".join(f"{rate:.1f}%" for rate in units["rejection_rate"])
        said.append(f"Among untreated units {rate} of the intervals miss zero.")
    return said


def _allow_for(finding: Finding, bias: float) -> pd.DataFrame:
    """Return the finding with an interval that allows for a bias of this size on either side."""
    return pd.DataFrame(
        {ESTIMATE: [finding.estimate], CONF_LOW: finding.conf_low - bias, CONF_HIGH: finding.conf_high + bias}
    )


THREAT = Threat("placebo", PLACEBO, examine_placebos, show_placebos, judge_placebos, needs_cells=False)
