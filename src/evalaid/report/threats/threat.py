"""What a threat to a finding is: a question, what is computed to answer it, what is shown of that, and the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import ENDS, ESTIMATE, no_results
from evalaid.base.errors import EvalaidError
from evalaid.base.texts import one_line
from evalaid.report.exhibits import Exhibit
from evalaid.report.questions.analysis import Refusal
from evalaid.report.threats.finding import NO_CELLS, NO_ESTIMATE, ON_NO_EFFECT, UNKNOWN, Case
from evalaid.report.wording.robustness import Asked

REACH = ("reach_low", "reach_high")


@dataclass(frozen=True)
class Judged:
    """What a threat does to the finding: the result in words, the answer, and other estimates of the same effect.

    ``rows`` has ``estimate`` and, where they are known, ``conf_low`` and ``conf_high``.
    """

    result: str
    answer: str
    rows: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=[ESTIMATE, *ENDS]))


@dataclass(frozen=True)
class Threat:
    """One way in which a finding can be wrong, and what is done about it.

    Parameters
    ----------
    key : str
    asked : Asked
        The threat in words.
    examine : callable
        Case -> what was found, or at once a `Judged` when there is nothing to compute.
    show : callable
        Case and what was found -> the exhibits.
    judge : callable
        Case and what was found -> the answer.
    needs_cells : bool
        Whether it is about effects by cohort and period.
    """

    key: str
    asked: Asked
    examine: Callable[[Case], Any]
    show: Callable[[Case, Any], Sequence[Exhibit]]
    judge: Callable[[Case, Any], Judged]
    needs_cells: bool = True

    def face(self, case: Case | Refusal) -> Faced:
        """Examine a case; what is not possible is an answer with its reason."""
        if isinstance(case, Refusal):
            return self._not_possible(NO_ESTIMATE)
        if self.needs_cells and not case.by_cohort_and_period:
            return self._not_possible(NO_CELLS)
        try:
            found = self.examine(case)
        except EvalaidError as error:
            return self._not_possible(one_line(error))
        if isinstance(found, Judged):
            return self._face((), found, case)
        return self._face(self.show(case, found), self.judge(case, found), case)

    def _not_possible(self, reason: str) -> Faced:
        return self._face((), Judged(f"Not possible: {reason.removesuffix('.')}.", UNKNOWN))

    def _face(self, exhibits: Sequence[Exhibit], judged: Judged, case: Case | None = None) -> Faced:
        row: dict[str, Any] = {
            "key": self.key,
            "threat": self.asked.ask,
            "tried": self.asked.tried,
            "result": judged.result,
        }
        row |= {"answer": judged.answer, "moved": np.nan, "moved_share": np.nan, "unit": "", **no_results(REACH)}
        if case is not None:
            finding = case.finding
            moved, share = finding.measure(judged.rows[ESTIMATE])
            row |= {"moved": moved, "moved_share": 100 * share, "unit": finding.unit}
            if not finding.shows_an_effect and judged.answer in ON_NO_EFFECT:
                row |= dict(zip(REACH, finding.reach(judged.rows), strict=True))
        return Faced(self, tuple(exhibits), pd.DataFrame([row]))


@dataclass(frozen=True)
class Faced:
    """A threat that a case was put to: what is shown, and one row of the table of verdicts.

    The row has ``key``, ``threat``, ``tried``, ``result``, ``answer``; of an effect that is shown ``moved`` (by how far the worst of
    the other estimates moves it, in ``unit``) and ``moved_share`` (per cent of it); of a finding that shows none ``reach_low`` and
    ``reach_high``, the effects that are not excluded when the other estimates are allowed for.
    """

    threat: Threat
    exhibits: tuple[Exhibit, ...]
    row: pd.DataFrame
