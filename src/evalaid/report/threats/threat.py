"""What a threat to a finding is: a question, what is computed to answer it, what is shown of that, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from evalaid.base.errors import EvalaidError
from evalaid.base.texts import one_line
from evalaid.report.exhibits import Exhibit
from evalaid.report.questions.analysis import Refusal
from evalaid.report.threats.finding import NO_CELLS, NO_ESTIMATE, UNKNOWN, Case
from evalaid.report.wording.robustness import Asked


@dataclass(frozen=True)
class Judged:
    """What a threat does to the finding: the result in words, the verdict, and other estimates of the same effect."""

    result: str
    verdict: str
    others: ArrayLike = ()


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
        Case and what was found -> the verdict.
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
        """Examine a case; what is not possible is a verdict with its reason."""
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
        moved, share = (np.nan, np.nan) if case is None else case.finding.measure(judged.others)
        unit = "" if case is None else case.finding.unit
        row: dict[str, Any] = {
            "key": self.key,
            "threat": self.asked.ask,
            "tried": self.asked.tried,
            "result": judged.result,
        }
        row |= {"verdict": judged.verdict, "moved": moved, "moved_share": 100 * share, "unit": unit}
        return Faced(self, tuple(exhibits), pd.DataFrame([row]))


@dataclass(frozen=True)
class Faced:
    """A threat that a case was put to: what is shown, and one row of the table of verdicts.

    The row has ``key``, ``threat``, ``tried``, ``result``, ``verdict``, ``moved`` (by how far the worst of the other estimates
    moves the finding, in ``unit``) and ``moved_share`` (per cent of the estimate); both are missing without other estimates.
    """

    threat: Threat
    exhibits: tuple[Exhibit, ...]
    row: pd.DataFrame
