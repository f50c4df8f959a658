"""From standard errors to the tidy frame: tests, intervals, the distribution by row, and what the note says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from evalaid.base.effect_columns import (
    CONF_HIGH,
    CONF_LOW,
    DISTRIBUTION,
    ESTIMATE,
    N_CLUSTERS,
    P_VALUE,
    STATISTIC,
    STD_ERROR,
    VCOV,
)
from evalaid.base.texts import join_texts
from evalaid.did.effects.effects import Effects

Floats = NDArray[np.float64]

# An interval of zero width belongs to a cell that is fixed by construction: of an outcome of size one R did uses the same cut.
FIXED = 1.5e-7 * np.sqrt(np.finfo(float).eps)
NO_FREEDOM = "as many coefficients as observations: nothing is left to see an error from"
NO_PART = "a cell behind it has no standard error"


@dataclass(frozen=True)
class Errors:
    """Standard errors and how they were found.

    ``std_error`` (cells,): NaN where there is none. ``degrees_of_freedom``: of the t distribution, by row where they
    differ; None = normal. ``vcov``: name of the method. ``notes``: one per cell. ``changes`` (G, cells): terms by cluster whose
    squares sum to the variance, where bands are drawn from them.
    """

    std_error: Floats
    degrees_of_freedom: float | Floats | None
    vcov: str
    notes: list[str]
    changes: Floats | None = None


def without_fixed(effects: Effects, std_error: Floats) -> Floats:
    """Return the errors with NaN where there is no estimate or nothing that varies."""
    rounding = FIXED * effects.convention.magnitude
    return np.where((std_error <= rounding) | np.isnan(effects.value), np.nan, std_error)


def pointwise(errors: Errors, level: float) -> Floats:
    """Return the critical value of each row by itself."""
    upper = (1 + level) / 2
    freedom = errors.degrees_of_freedom
    critical = ndtri(upper) if freedom is None else stdtrit(freedom, upper)
    return np.where(np.isnan(errors.std_error), np.nan, critical)


def tabulate(
    effects: Effects, errors: Errors, level: float, n_clusters: int, critical: Floats | None = None, how: str = ""
) -> pd.DataFrame:
    """Write estimates, errors, tests and intervals into the frame that every table reads.

    Shapes: critical (cells,).
    """
    std_error = without_fixed(effects, errors.std_error)
    critical = pointwise(errors, level) if critical is None else critical
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = effects.value / std_error
    size = np.abs(statistic)
    tail = ndtr(-size) if errors.degrees_of_freedom is None else stdtr(errors.degrees_of_freedom, -size)
    still = np.isnan(std_error) & ~np.isnan(effects.value) & ~np.isnan(errors.std_error)
    silent = (effects.cells["reason"] == "").to_numpy()
    flat = np.where(still & silent, "no variation between clusters", "")
    convention = effects.convention
    spent = convention.correction == "regression" and convention.observations <= convention.parameters
    blind = silent & np.isnan(errors.std_error) & ~np.isnan(effects.value)
    unsaid = np.array([spent or not note for note in errors.notes], dtype=bool)
    flat = np.where(blind & unsaid, NO_FREEDOM if spent else NO_PART, flat)
    # What is missing, or zero by construction, has its reason and no error to say more of.
    alone = ~silent & (np.isnan(effects.value) | (np.isnan(std_error) & (effects.value == 0)))
    notes = [
        reason if only else join_texts((reason, *said))
        for reason, only, *said in zip(effects.cells["reason"], alone, errors.notes, flat, strict=True)
    ]
    columns = {
        **{name: column for name, column in effects.cells.items() if name != "reason"},
        ESTIMATE: effects.value,
        STD_ERROR: std_error,
        STATISTIC: statistic,
        P_VALUE: 2 * tail,
        CONF_LOW: effects.value - critical * std_error,
        CONF_HIGH: effects.value + critical * std_error,
        "level": level,
        VCOV: errors.vcov,
        DISTRIBUTION: name_distributions(errors.degrees_of_freedom, len(effects)),
        N_CLUSTERS: n_clusters,
        "note": [join_texts((note, how, convention.remark)) for note in notes],
    }
    return pd.DataFrame(columns, index=effects.cells.index)


def name_distributions(freedom: float | Floats | None, rows: int) -> list[str]:
    """Return the distribution of each row by name: normal, t(11), t(7.99); "" where its degrees of freedom are not known."""
    if freedom is None:
        return ["normal"] * rows
    values = np.broadcast_to(np.asarray(freedom, dtype=float), rows)
    # Whole numbers are counts; the others are approximations, of which two decimals are enough.
    return ["" if np.isnan(v) else f"t({v:.2f})".replace(".00)", ")") for v in values]


def degrees_of(distribution: str) -> float | None:
    """Read the degrees of freedom from the name of a distribution; None = normal.

    Examples
    --------
    >>> degrees_of("t(7.99)"), degrees_of("normal")
    (7.99, None)
    """
    return float(distribution[2:-1]) if distribution.startswith("t(") else None
