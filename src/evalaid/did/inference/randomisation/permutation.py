"""Randomisation inference: the estimate held against what other assignments of the same programme would have given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import (
    CONF_HIGH,
    CONF_LOW,
    DISTRIBUTION,
    ESTIMATE,
    N_CLUSTERS,
    P_VALUE,
    STATISTIC,
    STD_ERROR,
    TREATED_CLUSTERS,
    VCOV,
)
from evalaid.base.errors import InferenceError
from evalaid.base.texts import join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.notebook_view import NotebookView
from evalaid.did.estimators.common.cohort_kernel import CohortKernel
from evalaid.did.estimators.estimation import estimate, find_kernel, find_method, level_free
from evalaid.did.inference.options import check_options
from evalaid.did.inference.randomisation.assignments import Assignments, list_assignments
from evalaid.did.inference.randomisation.confidence_sets import invert, p_value_at, search
from evalaid.did.inference.randomisation.confidence_sets import statistic as statistic_at
from evalaid.did.inference.randomisation.reassignment import AssignmentMoments, estimate_all, overall, refits_at
from evalaid.did.panel.design import Design, check_design

STATISTICS = ("estimate", "studentised")
SETS = ("if_linear", "search")
NOT_LINEAR = (
    "no confidence set: the estimator is not linear in the outcome, so each effect needs all estimates anew; "
    "confidence_set='search' does that, in some ten to twenty times the time"
)


@dataclass(frozen=True, eq=False)
class Randomization(NotebookView):
    """The result of a randomisation test.

    Parameters
    ----------
    method, kind, statistic : str
        What was estimated, permuted and compared.
    table : pandas.DataFrame
        One row per assignment: ``estimate``, ``statistic`` (the same, or studentised); missing where none exists.
    actual : pandas.DataFrame
        The true assignment, one row: ``estimate``, ``statistic``, ``n_treated``, ``n_comparison``, ``treated_clusters``.
    p_value : float
        Two-sided, of the sharp null that no unit's outcome was changed.
    conf_low, conf_high : float
        Constant effects that are not rejected; infinite where unbounded, NaN where ``note`` says why there is no set.
    exact : bool
        Whether the table holds all distinct assignments.
    smallest_p : float
        Smallest p-value that this test can give.
    n_assignments : int
        Distinct assignments, the true one included.
    level : float
        Of the confidence set.
    seed : int
        Of the random assignments.
    n_blocks : int
        Units or clusters that could change places.
    note : str
        What was permuted and what to keep in mind.
    """

    method: str
    kind: str
    statistic: str
    table: pd.DataFrame = field(repr=False)
    actual: pd.DataFrame = field(repr=False)
    p_value: float
    conf_low: float
    conf_high: float
    exact: bool
    smallest_p: float
    n_assignments: int
    level: float
    seed: int
    n_blocks: int
    note: str

    def tidy(self) -> pd.DataFrame:
        """Return the test as one row with the columns of :func:`evalaid.infer`.

        ``std_error`` is the standard deviation of the estimates over the assignments.
        """
        row = self.actual.iloc[0]
        how = f"all {len(self.table):,} assignments" if self.exact else f"{len(self.table):,} random assignments"
        return pd.DataFrame(
            {
                **{name: [row[name]] for name in ("n_treated", "n_comparison", TREATED_CLUSTERS, ESTIMATE)},
                STD_ERROR: [float(self.table[ESTIMATE].std(ddof=0))],
                STATISTIC: [row[STATISTIC]],
                P_VALUE: [self.p_value],
                CONF_LOW: [self.conf_low],
                CONF_HIGH: [self.conf_high],
                "level": [self.level],
                VCOV: ["randomisation"],
                DISTRIBUTION: [how],
                N_CLUSTERS: [self.n_blocks],
                "note": [self.note],
            }
        ).astype({"n_treated": np.int64, "n_comparison": np.int64, TREATED_CLUSTERS: np.int64})


def randomize(
    design: Design,
    method: str,
    *,
    draws: int = 999,
    seed: int = 1,
    strata: str | pd.Series | None = None,
    kind: Literal["assignment", "timing"] = "assignment",
    statistic: Literal["estimate", "studentised"] = "estimate",
    level: float = 0.95,
    confidence_set: Literal["if_linear", "search"] = "if_linear",
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> Randomization:
    """Test the sharp null of no effect by re-assigning the programme, and invert the test.

    Assumes that within each stratum every unit (or cluster) could as well have had the cohort of any other. No assumption
    is made on errors. When every cluster of the design is treated as a whole, whole clusters change places; otherwise units.

    Parameters
    ----------
    design : Design
        The true design.
    method : str
        A registered method; its overall effect is tested. ``options`` are passed on.
    draws : int
        Random assignments; all distinct ones are used when there are no more than this.
    seed : int
        Of the random assignments.
    strata : str or pandas.Series, optional
        Column of the design's table, or labels indexed by unit: change places within a stratum only.
    kind : {"assignment", "timing"}
        ``timing`` permutes start dates among ever-treated units only, and needs no never-treated ones.
    statistic : {"estimate", "studentised"}
        ``studentised`` divides by Neyman's standard error; the test is then valid in large samples for a zero average effect
        too, not for the sharp null only.
    level : float
        Of the confidence set, in (0, 1).
    confidence_set : {"if_linear", "search"}
        For an estimator that is linear in the outcome the set follows from the same draws. For any other each effect that is
        tried needs all estimates anew: ``search`` does that, about 20 times, to a hundredth of the distance from the estimate.
    progress : callable, optional
        Called with the number of assignments done and their total; a search counts anew, up to the most it can take.

    Returns
    -------
    Randomization

    Raises
    ------
    InferenceError
        For unknown choices, strata that do not fit (see :func:`list_assignments`), methods that read doses or paths of
        treatment, and when there are so few assignments or draws that no p-value can reach ``1 - level``.
    NotIdentifiedError
        When the method does not apply to the true design.

    Notes
    -----
    ``p = #{|T_b| >= |T|} / n`` over all n assignments, ``(1 + #) / (draws + 1)`` over random ones. On a balanced panel
    without weights and covariates a linear estimator is a set of contrasts of cohort paths (see
    :mod:`evalaid.did.inference.randomisation.cohort_paths`): every unit is scored once under every cohort, and an assignment is a sum of scores.
    This is used when it reproduces the method for the true and another assignment; else the method is run anew for each.
    Fisher (1935); Wu and Ding (2021), doi:10.1080/01621459.2020.1750415.

    Examples
    --------
    >>> import evalaid as ea
    >>> frame = pd.DataFrame({
    ...     "county": np.repeat(list("abcdefgh"), 2), "year": [2019, 2020] * 8,
    ...     "share": [0.7, 0.79, 0.6, 0.68, 0.8, 0.81, 0.7, 0.72, 0.6, 0.63, 0.5, 0.51, 0.8, 0.8, 0.7, 0.71],
    ...     "first_treated": np.repeat([2020, 2020] + [np.nan] * 6, 2),
    ... })
    >>> design = ea.diagnose(frame, "county", "year", "share", "first_treated")
    >>> test = ea.randomize(design, "twfe", level=0.9)
    >>> test.exact, test.n_assignments, round(test.p_value, 4)
    (True, 28, 0.0357)
    """
    check_design(design)
    _check(statistic, confidence_set)
    check_options(level=level, draws=draws, seed=seed)
    if find_method(method).needs.comparison == "dose":
        raise InferenceError(
            f"{method} reads the dose of each unit, which would stay behind when start dates change places. Permute doses in "
            "the table, or test with a method that compares starts."
        )
    assignments = list_assignments(design, kind, strata)
    design = level_free(design, options)
    exact = assignments.count <= draws
    smallest = 1 / assignments.count if exact else 1 / (draws + 1)
    if smallest > 1 - level + 1e-12:
        raise InferenceError(_explain_smallest(assignments, smallest, level, exact=exact))
    kept: dict[str, Effects] = {}

    def estimator(one: Design) -> Effects:
        effects = overall(estimate(one, method, **options))
        kept.setdefault("actual", effects)  # the true design comes first
        return effects

    studentised = statistic == "studentised"

    def sums(one: Design) -> CohortKernel | None:
        return None if studentised else find_kernel(one, method, **options)

    actual, drawn = estimate_all(design, estimator, assignments, draws, seed, progress, sums)
    missing = int(np.isnan(drawn.outcome).sum())
    if missing == len(drawn.outcome):
        raise InferenceError(
            f"{method} gives no estimate under any other assignment: something it reads (a covariate with the path of "
            "treatment, for example) belongs to the true one. Choose options that read starts only."
        )
    if studentised and not actual.covariance[0, 0] > 0:
        raise InferenceError(
            "statistic='studentised' needs a cohort (or comparison) of two units or more whose outcomes differ; no variation "
            "is left within cohorts. Use statistic='estimate'."
        )
    p_value = p_value_at(actual, drawn, 0.0, studentised=studentised, exact=exact)
    if actual.treatment is None and confidence_set == "search":
        low, high, about = search(
            lambda effect: refits_at(design, estimator, assignments, draws, seed, effect),
            centre=float(actual.outcome[0]),
            spread=float(np.nanstd(drawn.outcome)) or 1.0,
            total=len(drawn.outcome),
            level=level,
            studentised=studentised,
            exact=exact,
            progress=progress,
        )
        about = _say_unbounded(low, high, about)
    else:
        low, high, about = _confidence_set(actual, drawn, level, studentised=studentised, exact=exact)
    lost = f"{missing} assignments admit no estimate and count as at least as large" if missing else ""
    how = f"all {assignments.count:,} distinct assignments" if exact else f"{draws:,} random assignments, seed {seed}"
    return Randomization(
        method=method,
        kind=kind,
        statistic=statistic,
        table=_tabulate(drawn, studentised=studentised),
        actual=_tabulate(actual, studentised=studentised).join(
            kept["actual"].cells[["n_treated", "n_comparison", TREATED_CLUSTERS]]
        ),
        p_value=p_value,
        conf_low=low,
        conf_high=high,
        exact=exact,
        smallest_p=smallest,
        n_assignments=assignments.count,
        level=level,
        seed=seed,
        n_blocks=sum(len(rows) for rows in assignments.strata),
        note=join_texts((how, assignments.note, lost, about)),
    )


def _check(wanted: str, found: str) -> None:
    for name, value, choices in (("statistic", wanted, STATISTICS), ("confidence_set", found, SETS)):
        if value not in choices:
            raise InferenceError(f"{name}={value!r} is not a choice; choose {' or '.join(choices)}.")


def _explain_smallest(assignments: Assignments, smallest: float, level: float, *, exact: bool) -> str:
    what = (
        f"There are only {assignments.count} distinct assignments" if exact else "These are too few random assignments"
    )
    advice = (
        "Use coarser strata, a lower level, or inference that models the errors (few_treated, placebo in space)"
        if exact
        else "Ask for more draws"
    )
    return (
        f"{what}: the smallest reachable p-value is {smallest:.3g}, and at level={level} nothing could ever be rejected. "
        f"{advice}."
    )


def _confidence_set(
    actual: AssignmentMoments, drawn: AssignmentMoments, level: float, *, studentised: bool, exact: bool
) -> tuple[float, float, str]:
    if actual.treatment is None or drawn.treatment is None:
        return np.nan, np.nan, NOT_LINEAR
    if abs(float(actual.treatment[0])) < 1e-6:
        return np.nan, np.nan, "no confidence set: a constant effect does not move this estimate"
    low, high, note = invert(actual, drawn, level, studentised=studentised, exact=exact)
    return low, high, _say_unbounded(low, high, note)


def _say_unbounded(low: float, high: float, note: str) -> str:
    unbounded = np.isinf(low) or np.isinf(high)
    return join_texts((note, "unbounded: no large effect is rejected on that side" if unbounded else ""))


def _tabulate(moments: AssignmentMoments, *, studentised: bool) -> pd.DataFrame:
    return pd.DataFrame({ESTIMATE: moments.outcome, STATISTIC: statistic_at(moments, 0.0, studentised=studentised)})
