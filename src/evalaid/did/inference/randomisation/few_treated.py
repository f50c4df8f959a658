"""One or few treated units: the estimate held against the residual paths of the comparison units."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.effect_columns import ESTIMATE, INFERRED
from evalaid.base.errors import InferenceError
from evalaid.base.names import TOTAL, UNIT, WEIGHT
from evalaid.base.texts import counted, join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.estimators.estimation import estimate, level_free
from evalaid.did.inference.options import check_options
from evalaid.did.inference.randomisation.assignments import unit_labels
from evalaid.did.inference.randomisation.cohort_paths import agree, apply_contrasts, read_contrasts
from evalaid.did.panel.design import Design, check_design

Floats = NDArray[np.float64]

KINDS = ("conley_taber", "ferman_pinto")
# Two routes to the same number differ by rounding; a tie is a tie.
TIE = 1e-9
# Values tried for the part of a variance that does not fall with size; a hundredth more or less moves no p-value that matters.
SHARES = np.linspace(1.0, 0.0, 101)


def few_treated(
    design: Design,
    method: str = "twfe",
    *,
    kind: Literal["conley_taber", "ferman_pinto"] = "conley_taber",
    size: str | pd.Series | None = None,
    by: Literal["overall", "event_time", "cohort", "calendar"] = "overall",
    level: float = 0.95,
    draws: int = 9999,
    seed: int = 1,
    **options: Any,
) -> pd.DataFrame:
    """Test and bound effects on one or few treated units with the residuals of many comparison units.

    Assumes that the errors of treated units come from the same distribution as those of never-treated units, up to the
    variance that ``ferman_pinto`` lets depend on size; that units are independent; and that comparison units are many:
    the distribution of their residuals stands in for the unknown one. Errors of one unit may be correlated over time in
    any way. With few comparison units use ``randomize``, which assumes that the programme could have been anywhere. With 20
    units ``ferman_pinto`` rejects two to three times too often (at 40 units 1.3 times) when the treated ones are smaller than
    all others, and ``conley_taber`` five times.

    Parameters
    ----------
    design : Design
        Balanced, with never-treated units. Covariates and weights are not used.
    method : str
        A registered method that is linear in the outcome; ``options`` are passed on.
    kind : {"conley_taber", "ferman_pinto"}
        Equal variance; or the variance of each contrast of a unit's path is ``a + b / size`` with a, b >= 0.
    size : str or pandas.Series, optional
        Size of the units (episodes, inhabitants): a numeric column of the design's table, averaged over the periods, or values
        indexed by unit; by default the design's total counts, else its weights. For ``ferman_pinto`` only.
    by : {"overall", "event_time", "cohort", "calendar"}
        Which averages are tested.
    level : float
        Coverage of the intervals, in (0, 1).
    draws : int
        Random tuples of comparison units, one unit for each treated one; all tuples when there are no more.
    seed : int
        Of the random tuples.

    Returns
    -------
    pandas.DataFrame
        The columns of :func:`evalaid.infer`; ``std_error`` is the root mean square of the drawn errors.

    Raises
    ------
    InferenceError
        When the panel has gaps, no or too few never-treated units for the level, clusters of several units, no sizes, or an
        estimator that is not linear; all reasons at once.
    NotIdentifiedError
        When the method does not apply.

    Notes
    -----
    The estimate is ``sum_c k_c' m_c`` over cohort mean paths (see :mod:`evalaid.did.inference.randomisation.cohort_paths`), its error
    ``sum_j k_c(j)' e_j / N_c(j)`` over treated units j plus that of the comparison. The first part is drawn with residual
    paths of comparison units in the place of e_j: ``p = (1 + #{|W| >= |estimate|}) / (draws + 1)``, the interval inverts it.
    For ``twfe`` with one start this is Conley and Taber (2011, proposition 2), doi:10.1162/REST_a_00049. ``W`` is scaled by
    ``sqrt(N0 / (N0 - 1))`` (residuals vary less than errors) and by the error of the comparison, which vanish with many
    comparison units; with one treated unit and one start together ``sqrt((N0 + 1) / (N0 - 1))``. ``ferman_pinto`` multiplies
    a residual of unit l in the place of j by ``sd(size_j) / sd(size_l)``: Ferman and Pinto (2019), doi:10.1162/rest_a_00759.
    They fit the variance by least squares of squared contrasts on 1 and 1/size and draw treated units too, with the null
    imposed. Here it is fitted by normal quasi-likelihood, which weighs the many precise units as they deserve and cannot be
    negative, and comparison units alone are drawn, so that one distribution serves test and interval.

    Examples
    --------
    >>> import evalaid as ea
    >>> frame = pd.DataFrame({
    ...     "county": np.repeat([f"c{i:02d}" for i in range(21)], 2), "year": [2019, 2020] * 21,
    ...     "share": 0.6 + 0.01 * np.sin(np.arange(42.0)), "first_treated": np.repeat([2020] + [np.nan] * 20, 2),
    ... })
    >>> frame.loc[1, "share"] += 0.1
    >>> design = ea.diagnose(frame, "county", "year", "share", "first_treated")
    >>> round(float(ea.few_treated(design)["p_value"].iloc[0]), 4)
    0.0476
    """
    check_design(design)
    check_options(level=level, draws=draws, seed=seed)
    _check(design, kind)
    design = level_free(design, options)
    matrices = design.matrices
    plain = replace(design, matrices=replace(matrices, weight=None, covariates={}), covariates=())

    def estimator(one: Design) -> Effects:
        return estimate(one, method, **options).aggregate(by, "fixed")

    effects = estimator(plain)
    contrasts = read_contrasts(plain, estimator)
    scale = float(np.abs(matrices.outcome).max())
    if contrasts is None or not agree(apply_contrasts(contrasts, matrices), effects.value, scale):
        raise InferenceError(
            f"{method} is not a linear contrast of cohort paths on this panel, and residuals of comparison units say nothing of "
            "its error. Choose twfe, callaway_santanna, sun_abraham, imputation or two_by_two; for synthetic methods use "
            "ea.placebo(kind='space')."
        )
    never, n_comparison = matrices.never, matrices.n_units - matrices.never.start
    treated_cohort = np.repeat(np.arange(len(matrices.cohorts)), np.diff(matrices.starts)[:-1])
    tuples, exact = _draw_tuples(n_comparison, len(treated_cohort), draws, seed)
    if 1 / (1 + len(tuples)) > (1 - level) * (1 + TIE):
        raise InferenceError(
            f"{n_comparison} never-treated units allow {len(tuples)} draws: the smallest reachable p-value is "
            f"{1 / (1 + len(tuples)):.3g}, and at level={level} nothing could be rejected. Use a lower level or more draws."
        )
    residual = matrices.outcome[never] - matrices.outcome[never].mean(axis=0)
    residual = residual * np.sqrt(n_comparison / (n_comparison - 1))
    if size is not None and kind != "ferman_pinto":
        raise InferenceError(
            f"kind={kind!r} uses no sizes; leave size= out, or use kind='ferman_pinto', whose variance depends on it."
        )
    sizes = _sizes(design, size) if kind == "ferman_pinto" else None
    counts = np.diff(matrices.starts)
    rows = []
    for k, value in enumerate(effects.value):
        scores = residual @ (contrasts[k] / np.maximum(counts, 1)[:, None]).T
        placed = _place(scores, treated_cohort, sizes, never.start)
        rows.append(_row(value, placed, float((scores[:, -1] ** 2).sum()), tuples, level))
    said = [
        (
            f"all {len(tuples):,} tuples of comparison residuals"
            if exact
            else f"{len(tuples):,} tuples of comparison residuals, seed {seed}"
        ),
        _compare_sizes(sizes, never.start) if sizes is not None else "",
        "design's weights are not used in the estimate" if matrices.weight is not None else "",
        "design's covariates are not used" if design.covariates else "",
    ]
    note = join_texts(said)
    table = pd.DataFrame(rows, columns=[ESTIMATE, *INFERRED])
    fixed = [reason or note for reason in effects.cells["reason"]]
    frame = effects.cells.drop(columns="reason").reset_index(drop=True).join(table)
    return frame.assign(
        level=level,
        vcov=kind,
        distribution=f"residuals of {n_comparison} comparison units",
        n_clusters=matrices.n_units,
        note=fixed,
    )


def _check(design: Design, kind: str) -> None:
    """Refuse a design to which these methods do not apply, with every reason."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise InferenceError(f"kind={kind!r} is not a choice; choose {' or '.join(KINDS)}.")
    matrices, faults = design.matrices, []
    if matrices.observed is not None:
        faults.append(
            f"{counted(int((~matrices.observed).sum()), 'unit-period is', 'unit-periods are')} not observed and residual paths must be complete; keep the "
            "periods (or units) without gaps"
        )
    if not matrices.clustered_by_unit:
        faults.append(
            f"the design has {matrices.n_clusters} clusters of {matrices.n_units} units and the method draws independent units; "
            "aggregate the panel to one row per cluster and period and diagnose that"
        )
    if design.n_never < 2:
        instead = "; use ea.randomize(design, method, kind='timing')" if len(matrices.cohorts) > 1 else ""
        faults.append(f"there are {design.n_never} never-treated units to take residuals from{instead}")
    if faults:
        raise InferenceError("few_treated does not apply:" + "".join(f"\n  - {fault}" for fault in faults))


def _draw_tuples(n_comparison: int, n_treated: int, draws: int, seed: int) -> tuple[NDArray[np.intp], bool]:
    """Return comparison units for the treated ones, (draws, treated), with replacement; all tuples when few."""
    if n_comparison**n_treated <= draws:
        return np.array(list(product(range(n_comparison), repeat=n_treated))), True
    return np.random.default_rng(seed).integers(0, n_comparison, (draws, n_treated)), False


def _place(scores: Floats, treated_cohort: NDArray[np.intp], sizes: Floats | None, n_treated: int) -> Floats:
    """Return what each comparison unit's residual adds in the place of each treated unit, (comparison, treated)."""
    placed = scores[:, treated_cohort]
    if sizes is None:
        return placed
    own, others = sizes[:n_treated], sizes[n_treated:]
    ratio = np.empty_like(placed)
    for cohort in np.unique(treated_cohort):
        columns = treated_cohort == cohort
        share, typical = _fit_variance(scores[:, cohort], others)
        spread_own, spread_others = (np.sqrt(share + (1 - share) * typical / x) for x in (own[columns], others))
        ratio[:, columns] = spread_own / spread_others[:, None]
    return placed * ratio


def _compare_sizes(sizes: Floats, n_treated: int) -> str:
    """Return a note when treated units are smaller or larger than all comparison units: their variance is then extrapolated."""
    own, others = sizes[:n_treated], sizes[n_treated:]
    outside = int(((own < others.min()) | (own > others.max())).sum())
    return (
        f"{counted(outside, 'treated unit is', 'treated units are')} smaller or larger than every comparison unit"
        if outside
        else ""
    )


def _fit_variance(scores: Floats, sizes: Floats) -> tuple[float, float]:
    """Fit ``variance = c (share + (1 - share) typical / size)`` to comparison units by normal quasi-likelihood."""
    typical = float(1 / (1 / sizes).mean())
    shapes = SHARES[:, None] + (1 - SHARES[:, None]) * typical / sizes
    level = (scores**2 / shapes).mean(axis=1)
    likelihood = -np.log(np.maximum(level, np.finfo(float).tiny)) - np.log(shapes).mean(axis=1)
    return float(SHARES[np.argmax(likelihood)]), typical


def _row(value: float, placed: Floats, comparison: float, tuples: NDArray[np.intp], level: float) -> tuple[float, ...]:
    """Return estimate, error, statistic, p-value and interval of one effect."""
    treated = float((placed**2).mean(axis=0).sum())
    if np.isnan(value) or treated <= 0:
        return (value, *[np.nan] * 5)
    errors = np.zeros(len(tuples))
    for column in range(placed.shape[1]):
        errors += placed[tuples[:, column], column]
    errors *= np.sqrt(1 + comparison / treated)
    distance = np.sort(np.abs(errors))[::-1]
    p_value = (1 + int((distance >= abs(value) * (1 - TIE)).sum())) / (1 + len(distance))
    last = int((1 - level) * (1 + len(distance)) * (1 + TIE))  # so many draws must lie outside to reject
    half = float(distance[last - 1])
    error = float(np.sqrt((errors**2).mean()))
    return value, error, value / error, p_value, value - half, value + half


def _sizes(design: Design, size: str | pd.Series | None) -> Floats:
    """Find the size of every unit in matrix order."""
    names = design.panel.names
    if size is None:
        size = names.get(TOTAL, names.get(WEIGHT))
        if size is None:
            raise InferenceError(
                "ferman_pinto needs the size of every unit, and the design names neither total counts nor weights. Give "
                "size=..., a column of the table or values by unit."
            )
    if isinstance(size, str) and size in design.source:
        column = pd.to_numeric(design.source[size], errors="coerce")
        size = column.groupby(design.source[names[UNIT]]).mean()
    values = pd.to_numeric(unit_labels(design, size, "size"), errors="coerce").to_numpy(dtype=float)
    bad = design.matrices.units[~(values > 0) | ~np.isfinite(values)]
    if len(bad):
        raise InferenceError(
            f"size: {counted(len(bad), 'unit has', 'units have')} a size that is no positive number, for example {', '.join(map(str, bad[:5]))}."
        )
    return values
