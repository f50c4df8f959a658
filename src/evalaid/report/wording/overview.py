"""What the synthesis says of all studies together: verdicts on designs, agreement, recovery, and the results in sentences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from evalaid.report.questions.published import AS_A_CHANGE, AS_AN_EFFECT
from evalaid.study.spec import StudySpec
from evalaid.study.study_fields import REAL, SIMULATED

if TYPE_CHECKING:
    import pandas as pd

NO_DATA = "not identified: no outcome data are public"
NO_COMPARISON = "not identified: the design has no comparison"
NO_RECOVERY = "not possible: the effect is not known"


def tell_identified(data_kind: str, *, doses_only: bool) -> str:
    """Write what a design with an estimate identifies."""
    without_data = "; no real data" if data_kind == SIMULATED else ""
    if doses_only:
        return f"doses can be compared, under a strong assumption{without_data}"
    return f"a comparison exists{without_data}" if without_data else "identified, if trends would have been parallel"


def tell_agreement(spread: str, *, estimates: float, refused: float, above: float, below: float, around: float) -> str:
    """Write how far the other methods and scenarios of a study spread, and where their intervals lie."""
    if not estimates > 0:
        return f"no other estimate either; {refused:.0f} refused" if refused > 0 else ""
    counts = {"above zero": above, "below zero": below, "with zero inside": around}
    where = [f"{count:.0f} {name}" for name, count in counts.items() if count > 0]
    intervals = f"intervals: {', '.join(where)}" if where else "no interval"
    return f"{estimates:.0f} estimates from {spread}; {intervals}; {refused:.0f} refused"


def tell_recovery(*, trials: float, usable: float, careful: float, biased: float, refused: float) -> str:
    """Write how many methods find an effect that is known."""
    return (
        f"of {trials:.0f} methods {usable:.0f} find it, {careful:.0f} with reservations, {biased:.0f} miss it, "
        f"{refused:.0f} give no estimate"
    )


class HasSpec(Protocol):
    """A study that reported."""

    @property
    def spec(self) -> StudySpec:
        """Its parameters."""


def tell_results(studies: Iterable[HasSpec]) -> tuple[str, ...]:
    """Write the result of every study on real data in a sentence, as a template for `Section.say`."""
    return tuple(
        f"**{spec.title} (real data).** {{results.{spec.study}:reading}}"
        for spec in (study.spec for study in studies)
        if spec.data_kind == REAL
    )


def tell_repeats(frame: pd.DataFrame) -> tuple[str, ...]:
    """Write each claim that may be repeated as an effect or as a change, in the sentence that may be said."""
    kept = frame[frame["may"].isin([AS_AN_EFFECT, AS_A_CHANGE])]
    return tuple(f"**{row['label']}** {row['may']}: {row['repeat']}" for row in kept.to_dict("records"))
