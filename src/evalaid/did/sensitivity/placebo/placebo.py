"""Placebo tests: effects where there are none, in time, in space, in another outcome, among untreated units.

In time and in space are here; the other two have files of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.effect_columns import ESTIMATE, P_VALUE
from evalaid.base.errors import DesignError, NotIdentifiedError
from evalaid.base.names import OUTCOME
from evalaid.base.texts import counted
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.notebook_view import NotebookView
from evalaid.did.estimators.estimation import estimate
from evalaid.did.inference.infer import Vcov, infer
from evalaid.did.panel.design import Design, check_design
from evalaid.did.panel.matrices import Matrices, mask, reassign
from evalaid.did.sensitivity.placebo.placebo_outcome import estimate_outcomes
from evalaid.did.sensitivity.placebo.placebo_units import estimate_pretended

Floats = NDArray[np.float64]

# Multiples of the mean square gap before the start at which Abadie, Diamond and Hainmueller (2010) leave placebos out.
POOR_FITS = (np.inf, 20.0, 5.0, 2.0)


@dataclass(frozen=True)
class Placebo(NotebookView):
    """The outcome of a placebo test.

    Parameters
    ----------
    kind : {"time", "space", "outcome", "units"}
        What was pretended.
    method : str
        The estimator.
    table : pandas.DataFrame
        One row per placebo. In time: ``shift``, the columns of `infer`, ``note``. In space: ``units`` (the pretended
        treated units), ``estimate``, ``fit_before``, ``gap_after``, ``ratio``. In outcome: ``outcome``, the columns of
        `infer`. In units: the columns of `infer`, ``rejected`` (the interval misses zero).
    actual : pandas.DataFrame
        The true assignment and outcome, one row, same columns.
    p_value, ratio_p_value : float
        In space: share of assignments (the true one included) whose absolute estimate, or ratio of root mean square gaps
        after to before, is at least that of the true one; NaN in time.
    exact : bool
        Whether all assignments were used rather than a random sample.
    seed : int
        Of the random sample.
    by_fit : pandas.DataFrame
        In space: both p-values when placebos that fitted worse before the start are left out. ``limit`` (times the mean square
        gap before the start of the true assignment; inf = all), ``placebos``, ``p_value``, ``ratio_p_value``.
    summary : pandas.DataFrame
        In units: one row with ``draws``, ``mean``, ``mean_error``, ``spread``, ``mean_std_error``, ``rejection_rate``,
        ``nominal``, ``rate_error``, ``note``.
    """

    kind: str
    method: str
    table: pd.DataFrame
    actual: pd.DataFrame
    p_value: float
    ratio_p_value: float
    exact: bool
    seed: int
    by_fit: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    summary: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)


def placebo(
    design: Design,
    method: str,
    kind: Literal["time", "space", "outcome", "units"] = "space",
    *,
    shifts: Sequence[int] = (1, 2),
    outcome: str | Sequence[str] | None = None,
    outcome_unit: str | None = None,
    draws: int = 200,
    seed: int = 1,
    level: float = 0.95,
    vcov: Vcov = "auto",
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> Placebo:
    """Estimate effects where there are none, and hold the estimate against them.

    In time: every cohort's start is moved earlier by each of ``shifts`` periods and its treated periods are dropped; an
    effect found there was there before the programme. Where units may react before the start (the design's anticipation), the
    periods of the reaction are dropped, too, and starts are moved from there. In space: never-treated units take the
    place of the treated ones, cohort by cohort, and the treated ones are left out; assumes that units are exchangeable
    under the sharp null of no effect. In outcome: the same estimate on columns that the programme must not move; an effect
    there is what the comparison gets wrong, as far as that outcome shares the confounding of the true one. In units:
    never-treated units alone, pretended treated at random many times with the true starts; estimates should centre on zero
    and intervals miss zero with probability ``1 - level``, which checks the inference on this very panel.

    Parameters
    ----------
    design : Design
        The true design.
    method : str
        A registered method with cells that can be averaged; ``options`` are passed on.
    kind : {"time", "space", "outcome", "units"}
        What is pretended.
    shifts : sequence of int
        In time: periods by which the start is moved earlier, positive.
    outcome, outcome_unit : str
        In outcome: numeric columns of the design's table (one or several) and their unit, as in :func:`evalaid.diagnose`.
    draws : int
        In space: random assignments, unless one treated unit allows all never-treated units in turn. In units: their number.
    seed : int
        Of the random assignments.
    level : float
        Of the intervals.
    vcov : str
        In units: the inference that is checked, as in :func:`evalaid.infer`.
    progress : callable, optional
        In space and in units: called with the number of assignments done and their total.

    Returns
    -------
    Placebo

    Raises
    ------
    DesignError
        For an unknown kind, shifts that are not positive, too few never-treated units to pretend with, or placebo outcomes that
        do not exist, are not numeric, or are the outcome.
    NotIdentifiedError
        When the method does not apply to the true design.

    Notes
    -----
    ``p = #{|placebo| >= |estimate|} / (placebos + 1)`` with the true assignment counted among both; with 20 never-treated
    units and one treated unit the smallest possible value is 1/21. The ratio test compares root mean square gaps after the
    start with those before it, so that no placebo need be dropped for its fit; p-values without badly fitting ones (20, 5
    and 2 times the mean square gap of the true one) stand beside it in ``by_fit``. Abadie, Diamond and Hainmueller (2010),
    doi:10.1198/jasa.2009.ap08746. In units the draws share the same units, so that the rejection rate is less certain than
    its simulation error says.

    Examples
    --------
    >>> import evalaid as ea
    >>> changes = [0.09, 0.01, 0.02, -0.01, 0.0]  # of one treated and four never-treated counties
    >>> frame = pd.DataFrame([(f"c{i}", year, 0.7 + change * (year == 2020), 2020 if i == 0 else None)
    ...                       for i, change in enumerate(changes) for year in (2018, 2019, 2020)],
    ...                      columns=["county", "year", "share", "first_treated"])
    >>> design = ea.diagnose(frame, "county", "year", "share", "first_treated")
    >>> found = ea.placebo(design, "twfe", kind="space")
    >>> len(found.table), found.p_value  # the largest of five: no smaller p-value is possible
    (4, 0.2)
    """
    check_design(design)
    if not isinstance(kind, str):
        raise DesignError(f"kind={kind!r} is not a choice; choose time, space, outcome or units.")
    if kind == "time":
        return _in_time(design, method, shifts, level, options)
    if kind == "space":
        return _in_space(design, method, draws, seed, progress, options)
    if kind not in {"outcome", "units"}:
        raise DesignError(f"kind={kind!r} is not a choice; choose time, space, outcome or units.")
    summary = pd.DataFrame()
    if kind == "outcome":
        table = estimate_outcomes(design, method, outcome, outcome_unit, level, options)
    else:
        table, summary = estimate_pretended(design, method, draws, seed, level, vcov, progress, options)
    actual = infer(_overall(estimate(design, method, **options)), level=level, vcov=vcov)
    if kind == "outcome":
        actual = actual.assign(outcome=design.panel.names[OUTCOME]).reindex(columns=table.columns)
    used = seed if kind == "units" else 0
    return Placebo(kind, method, table, actual, np.nan, np.nan, exact=kind == "outcome", seed=used, summary=summary)


def _in_time(design: Design, method: str, shifts: Sequence[int], level: float, options: dict[str, Any]) -> Placebo:
    if not len(shifts) or any(int(shift) < 1 for shift in shifts):
        raise DesignError(
            f"shifts={tuple(shifts)} found; positive numbers of periods are expected, for example (1, 2)."
        )
    early = _anticipation(design, options)
    without = {**options, "anticipation": 0} if "anticipation" in options else options
    before = _before_treatment(design.matrices, early)
    clock = design.matrices.clock
    start = pd.Series(clock.count(design.matrices.cohort) - early, index=design.matrices.units)
    rows = []
    for shift in shifts:
        pretended = clock.ordinal(start.reindex(before.units).to_numpy() - int(shift))
        usable = ~(pretended <= before.periods[0])
        matrices = before.subset(usable)
        matrices = reassign(matrices, clock.ordinal(start.reindex(matrices.units).to_numpy() - int(shift)))
        try:
            table = infer(
                _overall(estimate(replace(design, matrices=matrices, anticipation=0), method, **without)), level=level
            )
            lost = int((~usable).sum())
            if lost:
                note = f"{counted(lost, 'unit')} left out: no period before the pretended start"
                table["note"] = [f"{text}; {note}" if text else note for text in table["note"]]
        except NotIdentifiedError as refusal:
            table = pd.DataFrame({ESTIMATE: [np.nan], "note": ["; ".join(refusal.reasons)]})
        rows.append(table.assign(shift=int(shift)))
    actual = infer(_overall(estimate(design, method, **options)), level=level).assign(shift=0)
    table = pd.concat(rows, ignore_index=True).reindex(columns=["shift", *actual.columns.drop("shift")])
    return Placebo("time", method, table, actual, np.nan, np.nan, exact=True, seed=0)


def _before_treatment(matrices: Matrices, anticipation: int) -> Matrices:
    """Keep what was observed before units may react to the treatment; with one cohort also cut the comparison's later periods."""
    start = matrices.unit_reaction(anticipation)
    if len(matrices.cohorts) == 1:
        start = np.full_like(start, start[0])
    return mask(matrices, matrices.periods < start[:, None])


def _in_space(
    design: Design,
    method: str,
    draws: int,
    seed: int,
    progress: Callable[[int, int], object] | None,
    options: dict[str, Any],
) -> Placebo:
    matrices = design.matrices
    never = np.arange(matrices.never.start, matrices.never.stop)
    sizes = np.diff(matrices.starts)[:-1]
    n_treated = int(sizes.sum())
    if len(never) <= n_treated:
        raise DesignError(
            f"Placebo in space needs more never-treated units than treated ones to pretend with; the design has "
            f"{len(never)} and {n_treated}. Use placebo in time, or a permutation of all units."
        )
    early = _anticipation(design, options)
    actual = _summarise(estimate(design, method, **options), "treated units", early)
    untreated = matrices.subset(never)
    starts = np.repeat(matrices.cohorts, sizes).astype(float)
    exact = n_treated == 1
    generator = np.random.default_rng(seed)
    chosen = never[:, None] if exact else np.array([generator.permutation(never)[:n_treated] for _ in range(draws)])
    rows = []
    for units in chosen:
        cohort = np.full(matrices.n_units, np.nan)
        cohort[units] = starts
        pretended = replace(design, matrices=reassign(untreated, cohort[never]))
        names = ", ".join(map(str, matrices.units[units]))
        rows.append(_summarise(estimate(pretended, method, **options), names, early))
        if progress is not None:
            progress(len(rows), len(chosen))
    table = pd.concat(rows, ignore_index=True)
    return Placebo(
        "space",
        method,
        table,
        actual,
        _share_at_least(table[ESTIMATE], actual[ESTIMATE]),
        _share_at_least(table["ratio"], actual["ratio"]),
        exact=exact,
        seed=seed,
        by_fit=_compare_fits(table, actual),
    )


def _compare_fits(table: pd.DataFrame, actual: pd.DataFrame) -> pd.DataFrame:
    """Return both p-values without the placebos whose gaps before the start exceed some multiples of the true one's."""
    rows = []
    for limit in POOR_FITS:
        kept = table
        if np.isfinite(limit):
            kept = table[~(table["fit_before"] ** 2 > limit * actual["fit_before"].iloc[0] ** 2)]
        both = (_share_at_least(kept[name], actual[name]) for name in (ESTIMATE, "ratio"))
        rows.append((limit, len(kept), *both))
    return pd.DataFrame(rows, columns=["limit", "placebos", P_VALUE, "ratio_p_value"])


def _overall(effects: Effects) -> Effects:
    return effects.aggregate("overall")


def _anticipation(design: Design, options: dict[str, Any]) -> int:
    """Return the periods of reaction before the start: the method's option, or the design's."""
    given = options.get("anticipation")
    return design.anticipation if given is None else int(given)


def _summarise(effects: Effects, units: str, early: int) -> pd.DataFrame:
    """Return the overall estimate and the root mean square gaps before units may react and from the start on."""
    cells = effects.cells
    before = after = np.nan
    if {"cohort", "period", "event_time"} <= set(cells):
        by_time = effects.aggregate("event_time")
        time = by_time.cells["event_time"].to_numpy()
        known = ~np.isnan(by_time.value)
        before, after = (_root_mean_square(by_time.value[known & side]) for side in (time < -early, time >= 0))
    ratio = after / before if before > 0 else np.nan
    estimate_ = float(_overall(effects).value[0])
    return pd.DataFrame(
        {"units": [units], ESTIMATE: [estimate_], "fit_before": [before], "gap_after": [after], "ratio": [ratio]}
    )


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt((values**2).mean())) if values.size else np.nan


def _share_at_least(placebos: pd.Series, actual: pd.Series) -> float:
    """Count the true assignment among the placebos; ties count as at least as large."""
    own = abs(float(actual.iloc[0]))
    others = placebos.dropna().abs()
    if np.isnan(own) or others.empty:
        return np.nan
    # Two routes to the same number differ by rounding; a tie is a tie.
    return float((1 + (others >= own * (1 - 1e-9)).sum()) / (1 + len(others)))
