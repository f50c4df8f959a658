"""Balance: how treated and comparison units differed before the treatment, in covariates and in the outcome's history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import DesignError
from evalaid.base.periods import label
from evalaid.base.texts import counted
from evalaid.did.effects.linear import CONSTANT_TOLERANCE
from evalaid.did.estimators.common.method import chosen_covariates, population_of
from evalaid.did.panel.by_unit import fault_of_index, stated_units
from evalaid.did.panel.comparisons import NEVER_TREATED, NOT_YET_TREATED, base_columns
from evalaid.did.panel.design import Design, check_design
from evalaid.did.panel.level import common_level
from evalaid.did.panel.matrices import Matrices

Floats = NDArray[np.float64]

# Differences above a quarter of a standard deviation make regression adjustment sensitive to its form (Imbens and Rubin 2015).
LARGE = 0.25
COLUMNS = [
    "cohort", "label", "comparison", "kind", "variable", "n_treated", "n_comparison", "mean_treated", "sd_treated",
    "mean_comparison", "sd_comparison", "difference", "normalised_difference", "variance_ratio", "flag", "note",
]  # fmt: skip


def balance(
    design: Design,
    covariates: Sequence[str] | None = None,
    strata: pd.Series | None = None,
    *,
    threshold: float = LARGE,
) -> pd.DataFrame:
    """Compare each cohort with its comparison units in what was known before it was treated.

    Assumes nothing: it describes. Units that differ in levels may still move in parallel; units that differ in trend or in
    what drives the trend hardly will. A normalised difference does not grow with the number of units, as t statistics do.

    Parameters
    ----------
    design : Design
        From `evalaid.diagnose`; its weights are used.
    covariates : sequence of str, optional
        Of the design's, taken in the last period before the cohort reacts; None = all.
    strata : pandas.Series, optional
        Groups by unit (a prefecture, a region) within which to compare: the comparison units are weighted to the treated
        units' distribution over the groups; groups without both are left out and counted in ``note``.
    threshold : float
        Absolute normalised difference above which ``flag`` is set.

    Returns
    -------
    pandas.DataFrame
        One row for each cohort, comparison ("never_treated"; "not_yet_treated": starts later or never) and variable:
        ``cohort`` (ordinal), ``label``, ``comparison``, ``kind`` ("covariate"; of the outcome before treatment "last
        level", "mean level", "trend" (least-squares slope per period), "variability" (standard deviation about that line),
        "level" (in each earlier period)), ``variable``, ``n_treated``, ``n_comparison``, means and standard deviations,
        ``difference``, ``normalised_difference``, ``variance_ratio`` (treated / comparison), ``flag``, ``note``. In the
        variables' own units (fractions for a share). A comparison without units is one row with the reason.

    Raises
    ------
    DesignError
        When units have no stratum or several, or the threshold is not positive.
    EstimationError
        When a covariate is unknown.

    Notes
    -----
    ``(mean_1 - mean_0) / sqrt((s_1^2 + s_0^2) / 2)``. Imbens and Rubin (2015), chapter 14, doi:10.1017/CBO9781139025751.

    Examples
    --------
    >>> import evalaid as ea
    >>> frame = pd.DataFrame({
    ...     "county": np.repeat(list("abcd"), 2), "year": [2019, 2020] * 4,
    ...     "share": [0.6, 0.7, 0.7, 0.8, 0.8, 0.8, 0.9, 0.9], "first_treated": [2020.0] * 4 + [None] * 4,
    ... })
    >>> table = balance(ea.diagnose(frame, "county", "year", "share", "first_treated"))
    >>> table.loc[table["kind"] == "last level", ["comparison", "normalised_difference"]].round(2).values.tolist()
    [['never_treated', -2.83], ['not_yet_treated', -2.83]]
    """
    check_design(design)
    if not threshold > 0:
        raise DesignError(f"threshold={threshold!r} found; a positive number is expected, for example {LARGE}.")
    names = chosen_covariates("balance", design, covariates)
    matrices = design.matrices
    codes = None if strata is None else _read_strata(strata, design)
    weight = population_of(matrices).weight
    bases = base_columns(matrices, design.anticipation)
    rows: list[dict[str, Any]] = []
    for number, base in enumerate(bases):
        variables = None if base < 0 else describe_history(matrices, int(base), names)
        treated = np.arange(matrices.n_units)[matrices.block(number)]
        where = {
            "cohort": int(matrices.cohorts[number]),
            "label": label(matrices.period_kind, matrices.cohorts[number]),
        }
        for comparison, others in _comparisons(matrices, number, design.anticipation):
            here = where | {"comparison": comparison}
            reason = "" if len(others) else "no unit is never treated"
            if not len(others) and comparison == NOT_YET_TREATED:
                reason = "no other unit is untreated when this cohort starts"
            if variables is None:
                reason = "the cohort has no period before it reacts"
            if reason or variables is None:
                empty = {"n_treated": len(treated), "n_comparison": len(others), "flag": False, "note": reason}
                rows.append(here | {"kind": "none", "variable": ""} | empty)
                continue
            rows += [here | row for row in _compare(variables, treated, others, weight, codes, threshold)]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"flag": bool})


@dataclass(frozen=True)
class History:
    """What is known of every unit before a cohort reacts.

    ``kind``, ``variable``: (V,) as in `balance`. ``values`` (N, V): naN where a unit's observations do not tell.
    """

    kind: tuple[str, ...]
    variable: tuple[str, ...]
    values: Floats


def describe_history(matrices: Matrices, base: int, covariates: Sequence[str] = ()) -> History:
    """Return covariates in the base period and level, trend and variability of the outcome up to it, for every unit."""
    seen = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
    seen = seen[:, : base + 1]
    outcome = np.where(seen, matrices.outcome[:, : base + 1], np.nan)
    count = seen.sum(axis=1)
    time = np.where(seen, matrices.periods[: base + 1].astype(float), 0.0)
    safe = np.where(count > 0, count, 1)
    common = common_level(matrices)
    filled = np.where(seen, outcome - common, 0.0)
    mean = filled.sum(axis=1) / safe
    centred = np.where(seen, time - (time.sum(axis=1) / safe)[:, None], 0.0)
    spread = (centred**2).sum(axis=1)
    slope = np.where(spread > 0, (centred * filled).sum(axis=1) / np.where(spread > 0, spread, 1.0), np.nan)
    line = mean[:, None] + np.where(spread > 0, slope, 0.0)[:, None] * centred
    rest = (np.where(seen, filled - line, 0.0) ** 2).sum(axis=1)
    about = np.where(count > 2, np.sqrt(rest / np.where(count > 2, count - 2, 1)), np.nan)
    names = [label(matrices.period_kind, period) for period in matrices.periods[: base + 1]]
    columns: list[tuple[str, str, Floats]] = [
        ("covariate", name, np.where(seen[:, base], matrices.covariates[name][:, base], np.nan)) for name in covariates
    ]
    columns += [
        ("last level", f"outcome in {names[base]}", outcome[:, base]),
        ("mean level", f"outcome, mean to {names[base]}", np.where(count > 0, mean + common, np.nan)),
        ("trend", f"outcome, change per period to {names[base]}", slope),
        ("variability", f"outcome, spread about the trend to {names[base]}", about),
    ]
    columns += [("level", f"outcome in {names[k]}", outcome[:, k]) for k in range(base)]
    kinds, variables, values = zip(*columns, strict=True)
    return History(tuple(kinds), tuple(variables), np.column_stack(values))


def _read_strata(strata: pd.Series, design: Design) -> NDArray[np.int64]:
    """Return the code of each unit's stratum."""
    series, matrices = pd.Series(strata), design.matrices
    if fault := fault_of_index(series.index, stated_units(design)):
        raise DesignError(f"strata is not a Series by unit: {fault}.")
    if series.index.has_duplicates:
        twice = series.index[series.index.duplicated()][0]
        raise DesignError(f"The strata have several rows for a unit, for example {twice!r}; give each unit one.")
    aligned = series.reindex(matrices.units)
    missing = matrices.units[aligned.isna().to_numpy()]
    if len(missing):
        raise DesignError(
            f"{counted(len(missing), 'unit has', 'units have')} no stratum, for example {', '.join(map(str, missing[:5]))}; pass a Series indexed "
            "by unit that covers all units of the design."
        )
    return pd.factorize(aligned, sort=True)[0].astype(np.int64)


def _comparisons(matrices: Matrices, number: int, anticipation: int) -> Iterator[tuple[str, NDArray[np.intp]]]:
    yield NEVER_TREATED, np.flatnonzero(np.isnan(matrices.cohort))
    yield NOT_YET_TREATED, np.flatnonzero(matrices.unit_reaction(anticipation) > matrices.cohorts[number])


def _compare(
    variables: History,
    treated: NDArray[np.intp],
    others: NDArray[np.intp],
    weight: Floats,
    codes: NDArray[np.int64] | None,
    threshold: float,
) -> Iterator[dict[str, Any]]:
    """Compare two groups of units in every variable."""
    for k, (kind, variable) in enumerate(zip(variables.kind, variables.variable, strict=True)):
        values = variables.values[:, k]
        one, two = (rows[~np.isnan(values[rows])] for rows in (treated, others))
        lost = len(treated) + len(others) - len(one) - len(two)
        notes = [f"{counted(lost, 'unit')} with too few observations left out"] * (lost > 0)
        weight_two = weight[two]
        if codes is not None:
            one, two, weight_two, note = _within_strata(one, two, weight, codes)
            notes += [note] * bool(note)
        mean_1, sd_1 = _moments(values[one], weight[one])
        mean_0, sd_0 = _moments(values[two], weight_two)
        difference = mean_1 - mean_0
        scale = np.sqrt((sd_1**2 + sd_0**2) / 2)
        if len(one) == 1 and len(two) > 1:
            scale = sd_0
            notes.append("one treated unit: in standard deviations of the comparison units")
        elif min(len(one), len(two)) < 2:
            notes.append("too few units for a standard deviation")
        elif scale == 0:
            notes.append("no variation within either group")
        normalised = difference / scale if scale > 0 else np.nan
        if abs(normalised) > threshold:
            notes.append(f"differs by more than {threshold:g} standard deviations")
        yield {
            "kind": kind, "variable": variable, "n_treated": len(one), "n_comparison": len(two),
            "mean_treated": mean_1, "sd_treated": sd_1, "mean_comparison": mean_0, "sd_comparison": sd_0,
            "difference": difference, "normalised_difference": normalised,
            "variance_ratio": sd_1**2 / sd_0**2 if sd_0 > 0 else np.nan,
            "flag": bool(abs(normalised) > threshold), "note": "; ".join(notes),
        }  # fmt: skip


def _within_strata(
    one: NDArray[np.intp], two: NDArray[np.intp], weight: Floats, codes: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats, str]:
    """Keep strata with both groups and weight the comparison units to the treated units' distribution over them."""
    size = int(codes.max(initial=-1)) + 1
    mass_1, mass_0 = (np.bincount(codes[rows], weights=weight[rows], minlength=size) for rows in (one, two))
    both = (mass_1 > 0) & (mass_0 > 0)
    kept_1, kept_0 = one[both[codes[one]]], two[both[codes[two]]]
    factor = mass_1 / np.where(mass_0 > 0, mass_0, 1.0)
    lost = len(one) - len(kept_1)
    note = f"{counted(lost, 'treated unit')} in strata without a comparison unit left out" if lost else ""
    return kept_1, kept_0, weight[kept_0] * factor[codes[kept_0]], note


def _moments(values: Floats, weight: Floats) -> tuple[float, float]:
    """Return the weighted mean and standard deviation (n - 1 when weights are equal)."""
    if not len(values):
        return np.nan, np.nan
    mean = float(np.average(values, weights=weight))
    if len(values) < 2:
        return mean, np.nan
    variance = float(np.average((values - mean) ** 2, weights=weight)) * len(values) / (len(values) - 1)
    tiny = CONSTANT_TOLERANCE * max(float(np.abs(values).max()), 1e-300)
    return mean, np.sqrt(variance) if variance > tiny**2 else 0.0
