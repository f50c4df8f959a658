"""Effects of actual treatment paths, for programmes that end or change (de Chaisemartin and D'Haultfoeuille 2024)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError
from evalaid.base.names import STRATUM
from evalaid.base.texts import counted, join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.estimators.common.method import Method, Needs, choice, chosen_covariates, scale_of
from evalaid.did.estimators.common.unbalanced import BASE_PERIOD
from evalaid.did.estimators.comparisons.callaway_santanna import CallawaySantannaOptions, fit_callaway_santanna
from evalaid.did.estimators.comparisons.switchers import Switching, Treatments, compare_switchers
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import BASELINE, KNOWN, PATH, STRATA, Matrices
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
    # Time-varying covariates, whose changes explain changes of untreated outcomes; None = all of the design's but the path
    covariates: tuple[str, ...] | None = None
    # Whether untreated outcomes move in parallel, or may also have a linear trend of each unit
    trends: str = choice("parallel", "linear")


def fit_dcdh(design: Design, options: DcdhOptions) -> Effects:
    """Compare units whose treatment has changed with units of the same baseline treatment that has not changed yet.

    Assumes parallel trends, without any change, among units with the same treatment in the first period (and in the same stratum, where
    the design names strata), given the changes of covariates and, with linear trends, up to a linear trend of each unit; and no anticipation.
    Nothing is assumed about how effects build up, last or fade, so the programme may end or change its intensity after the start.

    One cell per cohort (first change) and period against the last period before the change; a cell averages the units that are compared
    in it. With ``diagnose(path=)`` units may be treated from the first period on: a first change down counts with the other sign, so
    that effects are those of more treatment, and who has no unchanged unit of its baseline is named in the note of every number. A unit is
    left out once its treatment has been above and below its baseline. ``normalised`` effects average, by event time or overall, as a ratio
    of sums: units with more treatment received weigh more. Cells without treatment received so far (placebos before the start) are then
    missing, and so is an outcome by which it is not known what the unit has received (a gap since its change, unless treatment stays).

    Notes
    -----
    ``DID_gl = S_g [Y_g,F+l - Y_g,F-1 - (the same over units with D_1 = D_g,1, unchanged through F+l)]``, ``S_g`` the sign of the first change;
    normalised: ``sum_g DID_gl / sum_g sum_{k<=l} |D_g,F+k - D_g,1|``. With covariates Y is net of ``X' theta_d``, theta_d from first differences
    of unchanged units with that baseline (``controls`` of ``did_multiplegt_dyn``); with linear trends DID_gl is the sum over k = 0..l of
    that of ``Y_t - Y_t-1`` (``trends_lin``; its placebos carry the other sign and stand one period later: here F-2 is zero by construction,
    too); strata are its ``trends_nonparam``. With a treatment that stays the actual effects are those of Callaway
    and Sant'Anna with not-yet-treated comparisons and a universal base; in a panel with gaps each cell compares the units observed in
    all its periods. De Chaisemartin and D'Haultfoeuille (2024), doi:10.1162/rest_a_01414.
    """
    matrices = design.matrices
    names = tuple(name for name in chosen_covariates(METHOD.name, design, options.covariates) if name != options.path)
    asked = Switching(
        anticipation=design.anticipation,
        switchers=options.switchers,
        normalised=options.effect == "normalised",
        linear=options.trends == "linear",
        covariates=tuple(name for name in names if _varies(matrices, name)),
    )
    constant = tuple(name for name in names if name not in asked.covariates)
    treatments = _treatments(design, options)
    remarks: tuple[str, ...] = ()
    if _is_plain(matrices, options, asked):
        plain = CallawaySantannaOptions(adjustment="none", base_period="universal", anticipation=None)
        found = fit_callaway_santanna(design, plain)
    else:
        found, remarks = compare_switchers(matrices, treatments, asked)
        if np.isnan(found.value[found.cells["event_time"].to_numpy() >= 0]).all():
            reasons = dict.fromkeys(reason for reason in found.cells["reason"] if reason and reason != BASE_PERIOD)
            raise EstimationError(
                f"dcdh: no unit whose treatment changes ({options.switchers}) can be compared: {'; '.join(reasons) or 'none'}."
            )
        found = replace(found, scale=scale_of(design), aggregation="fixed" if asked.normalised else "estimated")
    said = (*remarks, _tell_constant(constant)) if constant else remarks
    return replace(
        found,
        method=METHOD.name,
        estimand=_estimand(design, options, asked, without=bool(constant) and not asked.covariates),
        convention=replace(found.convention, remark=join_texts((found.convention.remark, *said))),
    )


def _is_plain(matrices: Matrices, options: DcdhOptions, asked: Switching) -> bool:
    """Return whether the effects are those of Callaway and Sant'Anna."""
    given = options.path is not None or PATH in matrices.covariates
    other = asked.normalised or asked.linear or asked.covariates or asked.switchers == "off"
    return matrices.observed is None and not given and STRATA not in matrices.covariates and not other


def _tell_constant(names: tuple[str, ...]) -> str:
    does = "does" if len(names) == 1 else "do"
    return f"{', '.join(map(repr, names))} {does} not change over time: dcdh adjusts for changes of covariates, so nothing is adjusted for"


def _estimand(design: Design, options: DcdhOptions, asked: Switching, *, without: bool) -> str:
    """Return which effect is estimated, given what, in words."""
    parts = [f"{METHOD.estimand} ({options.effect})"]
    if asked.switchers != "all":
        parts.append(f"first changes {'up' if asked.switchers == 'on' else 'down'} only")
    if asked.covariates:
        parts.append(f"given changes of {', '.join(map(str, asked.covariates))}")
    if asked.linear:
        parts.append("up to a linear trend of each unit")
    if STRATA in design.matrices.covariates:
        parts.append(f"compared within strata ({design.panel.names[STRATUM]})")
    if without:
        parts.append("without covariates")
    return "; ".join(parts)


def _varies(matrices: Matrices, name: str) -> bool:
    """Return whether a covariate changes within some unit."""
    values = matrices.covariates[name]
    seen = np.ones_like(values, dtype=bool) if matrices.observed is None else matrices.observed
    highest, lowest = np.where(seen, values, -np.inf).max(axis=1), np.where(seen, values, np.inf).min(axis=1)
    return bool((highest > lowest).any())


def _treatments(design: Design, options: DcdhOptions) -> Treatments:
    """Find the intensity of every unit and period, (N, T), and of its first, (N,), and hold them against the cohorts."""
    matrices = design.matrices
    treated = matrices.periods >= np.where(np.isnan(matrices.cohort), np.inf, matrices.cohort)[:, None]
    nothing, every = np.zeros(matrices.n_units), np.ones_like(treated)
    if options.path is None and BASELINE in matrices.covariates:
        known = matrices.covariates[KNOWN] > 0 if KNOWN in matrices.covariates else every
        return Treatments(matrices.covariates[PATH], matrices.covariates[BASELINE][:, 0], known)
    if options.path is None and PATH not in matrices.covariates:
        return Treatments(treated.astype(float), nothing, every)
    (name,) = (PATH,) if options.path is None else chosen_covariates(METHOD.name, design, (options.path,))
    known = every if matrices.observed is None else matrices.observed
    path = fill_forward(matrices.covariates[name], known, nothing)
    first = known & (matrices.periods == matrices.cohort[:, None])
    faults = {
        "is negative": (path < 0).any(axis=1),
        "is positive before the start (or for a unit without one)": ((path > 0) & ~treated).any(axis=1),
        "is zero in the first treated period": (first & (path <= 0)).any(axis=1),
    }
    for fault, rows in faults.items():
        if rows.any():
            units = ", ".join(map(str, matrices.units[rows][:5]))
            raise EstimationError(
                f"dcdh: the path {name.removeprefix(chr(0))!r} {fault} for {counted(int(rows.sum()), 'unit')}, for example {units}. The cohort must be the "
                "first period with a positive intensity; a programme that ended has zeros after its end."
            )
    return Treatments(path, nothing, known)


METHOD = Method(
    name="dcdh",
    fit=fit_dcdh,
    options=DcdhOptions,
    needs=Needs(comparison="not_yet_treated", stays=False, strata=True),
    estimand="average effect of the treatment path followed so far",
    reference="py-did-multiplegt-dyn 0.1.9: effects, controls, trends_nonparam, trends_lin, normalized; hand-computed cases; Callaway-Sant'Anna where treatment stays",
    source="de Chaisemartin and D'Haultfoeuille (2024), doi:10.1162/rest_a_01414",
    test="tests/did/estimators/test_dcdh_controls.py::test_effects_equal_those_of_the_reference",
    tolerance="relative 1e-9: two ways through the same sums",
)
