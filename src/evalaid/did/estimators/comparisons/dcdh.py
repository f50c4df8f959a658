"""Effects of actual treatment paths, for programmes that end or change (de Chaisemartin and D'Haultfoeuille 2024)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError
from evalaid.did.effects.effects import Effects
from evalaid.did.estimators.common.method import Method, Needs, choice, chosen_covariates, scale_of
from evalaid.did.estimators.common.unbalanced import BASE_PERIOD
from evalaid.did.estimators.comparisons.callaway_santanna import CallawaySantannaOptions, fit_callaway_santanna
from evalaid.did.estimators.comparisons.switchers import compare_switchers
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import BASELINE, PATH
from evalaid.did.panel.treatment import fill_forward

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DcdhOptions:
    """Options of ``dcdh``."""

    # Covariate of the design with each unit's treatment intensity by period (zero before the start, possibly back to
    # zero after an end); None = treated for good with intensity one
    path: str | None = None
    # Units by the direction of their first change: all, up from the baseline (on), or down from it (off)
    switchers: str = choice("all", "on", "off")
    # Effect of having had the path rather than none; or that effect for each unit of intensity and period received so
    # far
    effect: str = choice("actual", "normalised")


def fit_dcdh(design: Design, options: DcdhOptions) -> Effects:
    """Compare units whose treatment has changed with units of the same baseline treatment that has not changed yet.

    Assumes parallel trends, without any change, among units with the same treatment in the first period, and no anticipation.
    Nothing is assumed about how effects build up, last or fade, so the programme may end or change its intensity after the start.

    One cell per cohort (first change) and period against the last period before the change; a cell averages the units that are compared
    in it. With ``diagnose(path=)`` units may be treated from the first period on: a first change down counts with the other sign, so
    that effects are those of more treatment, and who has no unchanged unit of its baseline is named in the note of every number. A unit is
    left out once its treatment has been above and below its baseline. ``normalised`` effects average, by event time or overall, as a ratio
    of sums: units with more treatment received weigh more. Cells without treatment received so far (placebos before the start) are then
    missing.

    Notes
    -----
    ``DID_gl = S_g [Y_g,F+l - Y_g,F-1 - (the same over units with D_1 = D_g,1, unchanged through F+l)]``, ``S_g`` the sign of the first change;
    normalised: ``sum_g DID_gl / sum_g sum_{k<=l} |D_g,F+k - D_g,1|``. With a treatment that stays the actual effects are those of Callaway
    and Sant'Anna with not-yet-treated comparisons and a universal base; in a panel with gaps each cell compares the units observed in
    both its periods. De Chaisemartin and D'Haultfoeuille (2024), doi:10.1162/rest_a_01414.
    """
    matrices = design.matrices
    given = options.path is not None or PATH in matrices.covariates
    if options.effect == "normalised" and matrices.observed is not None and given:
        raise EstimationError(
            "dcdh: the panel has gaps, and what a unit received in a period that is not observed is not known; leave these units or "
            "periods out, or leave path out if treatment stays once it has started."
        )
    path, baseline = _path(design, options)
    if matrices.observed is None and not given and options.effect == "actual" and options.switchers != "off":
        plain = CallawaySantannaOptions(adjustment="none", base_period="universal", anticipation=None)
        return replace(
            fit_callaway_santanna(design, plain), method=METHOD.name, estimand=f"{METHOD.estimand} ({options.effect})"
        )
    found, remark = compare_switchers(
        matrices,
        path,
        baseline,
        anticipation=design.anticipation,
        switchers=options.switchers,
        normalised=options.effect == "normalised",
    )
    if np.isnan(found.value[found.cells["event_time"].to_numpy() >= 0]).all():
        reasons = dict.fromkeys(reason for reason in found.cells["reason"] if reason and reason != BASE_PERIOD)
        raise EstimationError(
            f"dcdh: no unit whose treatment changes ({options.switchers}) can be compared: {'; '.join(reasons) or 'none'}."
        )
    words = (
        "" if options.switchers == "all" else f"; first changes {'up' if options.switchers == 'on' else 'down'} only"
    )
    return replace(
        found,
        method=METHOD.name,
        estimand=f"{METHOD.estimand} ({options.effect}){words}",
        scale=scale_of(design),
        aggregation="estimated" if options.effect == "actual" else "fixed",
        convention=replace(found.convention, remark=remark),
    )


def _path(design: Design, options: DcdhOptions) -> tuple[Floats, Floats]:
    """Find the intensity of every unit and period, (N, T), and of its first, (N,), and hold them against the cohorts."""
    matrices = design.matrices
    treated = matrices.periods >= np.where(np.isnan(matrices.cohort), np.inf, matrices.cohort)[:, None]
    nothing = np.zeros(matrices.n_units)
    if options.path is None and BASELINE in matrices.covariates:
        return matrices.covariates[PATH], matrices.covariates[BASELINE][:, 0]
    if options.path is None and PATH not in matrices.covariates:
        return treated.astype(float), nothing
    (name,) = (PATH,) if options.path is None else chosen_covariates(METHOD.name, design, (options.path,))
    path = matrices.covariates[name]
    if matrices.observed is not None:
        path = fill_forward(path, matrices.observed, nothing)
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
    return path, nothing


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
