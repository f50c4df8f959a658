"""The main finding of a study, and whether it stands when it is looked at in another way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from evalaid.base.effect_columns import CONF_LOW, ENDS, ESTIMATE, P_VALUE
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.infer import infer
from evalaid.did.panel.design import Design
from evalaid.report.questions.analysis import Refusal, estimate_main, overall, true_average
from evalaid.report.questions.units import in_own_unit, in_unit, unit_of
from evalaid.report.wording.prose import format_value
from evalaid.study.spec import StudySpec

# What a threat does to an effect that is shown, the mildest first.
HOLDS = "leaves the effect"
SIGN_ONLY = "leaves the sign, not the size"
WEAKENED = "reaches zero"
REVERSED = "turns the sign"
# What it does to a finding that shows no effect: that is never confirmed, only more or less is excluded.
AS_MUCH = "excludes as much"
EXCLUDES_LESS = "excludes less"
APPEARS = "an effect appears"
UNKNOWN = "cannot be told"
UNTRIED = "not tried"
ON_AN_EFFECT = (HOLDS, SIGN_ONLY, WEAKENED, REVERSED)
ON_NO_EFFECT = (AS_MUCH, EXCLUDES_LESS, APPEARS)
ANSWERS = (*ON_AN_EFFECT, *ON_NO_EFFECT, UNKNOWN, UNTRIED)
NO_ESTIMATE = "the main method gives no estimate"
NO_CELLS = "the main method gives one number, not effects by cohort and period"
# The size of an effect is left while this share of it is: the lower limit at which two means count as alike in tests of
# equivalence (Schuirmann 1987, doi:10.1007/BF01068419).
SIZE_KEPT = 0.8
# An effect is fragile when a threat leaves less than this share of it.
MOST_OF_IT = 0.5
# A p-value that is a count of assignments can be the error rate itself, up to rounding.
TIE = 1e-9


@dataclass(frozen=True)
class Finding:
    """The main estimate with its interval (ends NaN when the design shows no error), in the unit of the report ("pp", "%", "number")."""

    estimate: float
    conf_low: float
    conf_high: float
    unit: str
    level: float

    @property
    def shows_an_effect(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.conf_low > 0 or self.conf_high < 0

    def judge(self, estimate: float, conf_low: float, conf_high: float) -> str:
        """Return what another estimate of the same effect does to the finding, one of `ANSWERS`.

        Of an effect that is shown: "leaves the effect" when the other interval lies on the same side of zero and at least
        `SIZE_KEPT` of the estimate is left, "leaves the sign, not the size" when less is, "reaches zero" when the sign stays and
        the interval holds zero, "turns the sign" when it changes. Of a finding that shows none: "excludes less" when the other
        interval reaches farther, "an effect appears" when it leaves out zero. "cannot be told" without both intervals.

        Examples
        --------
        >>> shown, not_shown = Finding(2.0, 1.0, 3.0, "pp", 0.95), Finding(0.8, -0.6, 2.2, "pp", 0.95)
        >>> shown.judge(1.0, 0.2, 1.8), shown.judge(1.0, -0.2, 2.2), shown.judge(-0.1, -1.0, 0.8)
        ('leaves the sign, not the size', 'reaches zero', 'turns the sign')
        >>> not_shown.judge(1.3, 0.2, 2.4), not_shown.judge(1.3, -0.2, 2.8)
        ('an effect appears', 'excludes less')
        """
        if np.isnan([self.conf_low, self.conf_high, estimate, conf_low, conf_high]).any():
            return UNKNOWN
        word = self._compare(estimate, shown=conf_low > 0 or conf_high < 0)
        if word == AS_MUCH and (conf_low < self.conf_low - self._slack or conf_high > self.conf_high + self._slack):
            return EXCLUDES_LESS
        return SIGN_ONLY if word == HOLDS and not self.keeps_size(estimate) else word

    def reach(self, rows: pd.DataFrame) -> tuple[float, float]:
        """Return the effects that are not excluded when other estimates of the same effect are allowed for: all intervals joined."""
        low, high = (rows[name].to_numpy(dtype=float) if name in rows else np.array([]) for name in ENDS)
        known = np.isfinite(low) & np.isfinite(high)
        return min([self.conf_low, *low[known]]), max([self.conf_high, *high[known]])

    @property
    def _slack(self) -> float:
        """What two computations of the same interval may differ by."""
        return TIE * (self.conf_high - self.conf_low)

    def keeps_size(self, estimate: float) -> bool:
        """Return whether another estimate leaves at least `SIZE_KEPT` of an effect that is shown; nothing is lost where none is."""
        return not self.shows_an_effect or bool(estimate / self.estimate >= SIZE_KEPT)

    def measure(self, estimates: ArrayLike) -> tuple[float, float]:
        """Return how far the worst of other estimates moves the finding: in its unit, and as a share of it.

        The worst is the one that leaves least of an effect that is shown, else the one farthest from the estimate. The share is
        missing where no effect is shown: a share of what is not told from zero says nothing.

        Examples
        --------
        >>> Finding(2.0, 1.0, 3.0, "pp", 0.95).measure([1.5, 2.5]), Finding(0.8, -0.6, 2.2, "pp", 0.95).measure([1.0])[1]
        ((-0.5, -0.25), nan)
        """
        change = np.asarray(estimates, dtype=float) - self.estimate
        change = change[~np.isnan(change)]
        if not change.size:
            return np.nan, np.nan
        if not self.shows_an_effect:
            return float(change[np.abs(change).argmax()]), np.nan
        moved = float(change[(change * np.sign(self.estimate)).argmin()])
        return moved, moved / self.estimate

    def _compare(self, estimate: float, *, shown: bool) -> str:
        """Return the answer of an estimate that is, or is not, told from zero, whatever its size."""
        if not self.shows_an_effect:
            return APPEARS if shown else AS_MUCH
        if np.sign(estimate) != np.sign(self.estimate):
            return REVERSED
        return HOLDS if shown else WEAKENED

    def judge_all(self, frame: pd.DataFrame) -> str:
        """Return the worst answer over rows of ``estimate``, ``conf_low``, ``conf_high``; rows without an estimate do not count."""
        known = frame[frame[ESTIMATE].notna() & frame[CONF_LOW].notna()]
        if known.empty or np.isnan(self.conf_low):
            return UNKNOWN
        rows = known[[ESTIMATE, *ENDS]].to_numpy(dtype=float)
        return _worst({self.judge(*row) for row in rows})

    def judge_tests(self, frame: pd.DataFrame) -> str:
        """Return the worst answer over rows of ``estimate`` and ``p_value``: a test may have no interval, or one without end.

        Tests of one estimate say nothing of its size.
        """
        known = frame[frame[ESTIMATE].notna() & frame[P_VALUE].notna()]
        if known.empty or np.isnan(self.conf_low):
            return UNKNOWN
        shown = known[P_VALUE] <= (1 - self.level) * (1 + TIE)
        return _worst({self._compare(value, shown=told) for value, told in zip(known[ESTIMATE], shown, strict=True)})

    def write(self, value: float, *, signed: bool = True) -> str:
        """Write a value of the same kind with its unit."""
        return format_value(value, self.unit, 2, signed=signed, with_unit=True)

    def write_range(self, low: float, high: float) -> str:
        """Write two values of the same kind as a range."""
        return f"{format_value(low, self.unit, 2, signed=True)} to {self.write(high)}"


def _worst(words: set[str]) -> str:
    return next(word for word in (*reversed(ON_NO_EFFECT), *reversed(ON_AN_EFFECT)) if word in words)


@dataclass(frozen=True)
class Case:
    """A study whose main estimate is put to the test; ``effects`` are the main method's, by cohort and period as it gives them."""

    spec: StudySpec
    design: Design
    effects: Effects

    @cached_property
    def overall(self) -> Effects:
        """The main estimate."""
        return overall(self.effects)

    @cached_property
    def finding(self) -> Finding:
        """The main estimate with the interval that the study reports."""
        row = in_own_unit(in_unit(infer(self.overall, level=self.spec.level), self.overall), self.spec).iloc[0]
        estimate, low, high = (float(row[name]) for name in (ESTIMATE, *ENDS))
        return Finding(estimate, low, high, str(row["unit"]), self.spec.level)

    @cached_property
    def truth(self) -> float:
        """The effect that was put in and that the main estimate aims at; NaN where none is known."""
        return true_average(self.effects, self.spec)

    @property
    def method(self) -> str:
        """Registered name of the main method."""
        return self.spec.methods[self.spec.main].method

    @property
    def options(self) -> dict[str, Any]:
        """Options of the main method."""
        return dict(self.spec.methods[self.spec.main].options)

    @property
    def by_cohort_and_period(self) -> bool:
        """Whether the main method gives effects by cohort and period, which most tests are about."""
        return {"cohort", "period", "event_time"} <= set(self.effects.cells)

    @property
    def unit(self) -> tuple[str, float]:
        """The unit of the report, and what effects are multiplied with."""
        return unit_of(self.effects.scale)


def put_to_test(spec: StudySpec, design: Design) -> Case | Refusal:
    """Estimate the main method of a study, to put it to the test; a refusal stays one.

    Examples
    --------
    >>> from evalaid.study.sample import load_design
    >>> spec = StudySpec(study="korea_responsible_hospitals")
    >>> case = put_to_test(spec, load_design(spec))
    >>> assert isinstance(case, Case)
    >>> case.finding.shows_an_effect, case.method
    (False, 'callaway_santanna')
    """
    effects = estimate_main(spec, design)
    return effects if isinstance(effects, Refusal) else Case(spec, design, effects)


def key_of(text: object) -> str:
    """Return a label as a part of the key of a number.

    Examples
    --------
    >>> key_of("cohort.never treated"), key_of("서울동북")
    ('cohort.never_treated', '서울동북')
    """
    return re.sub(r"[^\w.+-]+", "_", str(text)).strip("_.").lower()


def answer_key(word: str) -> str:
    """Return an answer as the key of its count."""
    return word.replace(",", "").replace(" ", "_")


def write_p(value: float) -> str:
    """Write a p-value; what rounds to nothing is said to be small.

    Examples
    --------
    >>> write_p(0.0312), write_p(0.0)
    ('0.031', 'below 0.001')
    """
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
