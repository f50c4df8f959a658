"""Effects of actual treatment paths, for programmes that end or change (de Chaisemartin and D'Haultfoeuille 2024)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.influence import Block, Influence
from evalaid.did.estimators.common.method import Method, Needs, choice, chosen_covariates
from evalaid.did.estimators.comparisons.callaway_santanna import CallawaySantannaOptions, fit_callaway_santanna
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import PATH, Matrices

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DcdhOptions:
    """Options of ``dcdh``."""

    # Covariate of the design with each unit's treatment intensity by period (zero before the start, possibly back to
    # zero after an end); None = treated for good with intensity one
    path: str | None = None
    # Effect of having had the path rather than none; or that effect for each unit of intensity and period received so
    # far
    effect: str = choice("actual", "normalised")


def fit_dcdh(design: Design, options: DcdhOptions) -> Effects:
    """Compare units whose treatment has changed with units whose treatment has not changed yet.

    Assumes parallel trends of the outcome without any change and no anticipation. Nothing is assumed about how effects
    build up, last or fade, so the programme may end or change its intensity after the start.

    One cell per cohort and period against the last period before the start. ``normalised`` effects average, by event time
    or overall, as a ratio of sums: units with more treatment received weigh more. Cells without treatment received so
    far (placebos before the start) are then missing.

    Notes
    -----
    ``DID_gl = Y_g,F+l - Y_g,F-1 - (the same over units untreated through F+l)``; normalised: ``sum_g DID_gl / sum_g
    sum_{k<=l} D_g,F+k``. With a treatment that stays the actual effects are those of Callaway and Sant'Anna with
    not-yet-treated comparisons and a universal base; in a panel with gaps each cell compares the units observed in both its periods. De Chaisemartin and D'Haultfoeuille (2024), doi:10.1162/rest_a_01414.
    """
    plain = fit_callaway_santanna(
        design, CallawaySantannaOptions(adjustment="none", base_period="universal", anticipation=None)
    )
    if design.matrices.observed is not None and (options.path is not None or PATH in design.matrices.covariates):
        raise EstimationError(
            "dcdh: the panel has gaps, and what a unit received in a period that is not observed is not known; leave these units or "
            "periods out, or leave path out if treatment stays once it has started."
        )
    path = _path(design, options)
    named = replace(plain, method=METHOD.name, estimand=f"{METHOD.estimand} ({options.effect})")
    if options.effect == "actual":
        return named
    return _normalise(named, design.matrices, path)


def _path(design: Design, options: DcdhOptions) -> Floats:
    """Find the intensity of every unit and period and hold it against the cohorts."""
    matrices = design.matrices
    treated = matrices.periods >= np.where(np.isnan(matrices.cohort), np.inf, matrices.cohort)[:, None]
    if options.path is None and PATH not in matrices.covariates:
        return treated.astype(float)
    (name,) = (PATH,) if options.path is None else chosen_covariates(METHOD.name, design, (options.path,))
    path = matrices.covariates[name]
    start = np.arange(matrices.n_units) < matrices.never.start
    at_start = np.zeros(matrices.n_units)
    columns = np.searchsorted(matrices.periods, matrices.cohort[start])
    at_start[start] = path[np.flatnonzero(start), columns]
    faults = {
        "is negative": (path < 0).any(axis=1),
        "is positive before the start (or for a unit without one)": ((path > 0) & ~treated).any(axis=1),
        "is zero in the first treated period": start & (at_start <= 0),
    }
    for fault, rows in faults.items():
        if rows.any():
            units = ", ".join(map(str, matrices.units[rows][:5]))
            raise EstimationError(
                f"dcdh: the path {name!r} {fault} for {int(rows.sum())} unit(s), for example {units}. The cohort must be the "
                "first period with a positive intensity; a programme that ended has zeros after its end."
            )
    return path


def _normalise(effects: Effects, matrices: Matrices, path: Floats) -> Effects:
    """Divide each cell by the mean intensity received so far; its influence enters by the delta method."""
    received = np.cumsum(path, axis=1)
    value, size = np.full(len(effects), np.nan), np.zeros(len(effects))
    reason = effects.cells["reason"].to_numpy(dtype=object).copy()
    inverse, own = np.zeros(len(effects)), np.zeros((matrices.n_units, len(effects)))
    weight = effects.population.weight
    for k, (cohort, period) in enumerate(zip(effects.cells["cohort"], effects.cells["period"], strict=True)):
        rows = matrices.cohort == cohort
        share = weight * rows / weight[rows].sum()
        mean = float(share @ received[:, np.searchsorted(matrices.periods, period)])
        if mean <= 0 or np.isnan(effects.value[k]):
            reason[k] = reason[k] or "no treatment received so far"
            continue
        value[k], size[k], inverse[k] = effects.value[k] / mean, effects.size[k] * mean, 1 / mean
        deviation = received[:, np.searchsorted(matrices.periods, period)] - mean
        own[:, k] = -value[k] / mean * share * deviation
    extra = Influence(matrices.n_units, len(effects), (Block(slice(None), own, np.eye(len(effects))),))
    influence = effects.influence.combine(np.diag(inverse)).plus(extra)
    cells = effects.cells.assign(reason=reason)
    return replace(effects, cells=cells, value=value, size=size, influence=influence, aggregation="fixed")


METHOD = Method(
    name="dcdh",
    fit=fit_dcdh,
    options=DcdhOptions,
    needs=Needs(comparison="not_yet_treated", stays=False),
    estimand="average effect of the treatment path followed so far",
    reference="hand-computed cases; Callaway-Sant'Anna where treatment stays",
    source="de Chaisemartin and D'Haultfoeuille (2024), doi:10.1162/rest_a_01414",
    test="tests/did/estimators/test_paths.py::test_three_units_and_an_ended_programme_by_hand",
    tolerance="1e-11: two ways through the same sums",
)
