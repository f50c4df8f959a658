"""Triple differences: the eligible against the ineligible part of a unit, in treated against comparison units."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evalaid.base.errors import EstimationError
from evalaid.base.periods import label
from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Influence
from evalaid.did.estimators.common.method import Method, Needs, choice, chosen_covariates, population_of
from evalaid.did.estimators.comparisons.callaway_santanna import CallawaySantannaOptions, fit_callaway_santanna
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import Matrices


@dataclass(frozen=True)
class TripleDifferenceOptions:
    """Options of ``triple_difference``."""

    # Covariate of the design: 1 for the part that the programme can reach, 0 for the other part, constant within units;
    # None = the design's only covariate
    eligible: str | None = None
    # Comparison units, within each part
    comparison: str = choice("not_yet_treated", "never_treated")
    base_period: str = choice("varying", "universal")  # As for ``callaway_santanna``


def fit_triple_difference(design: Design, options: TripleDifferenceOptions) -> Effects:
    """Subtract the difference-in-differences of the ineligible part from that of the eligible part.

    Assumes that, without the programme, the eligible and the ineligible part of treated units would have drifted apart as they
    did in comparison units. Shocks that hit a whole unit (a new road, a closed ward) cancel. Each row of the panel is one
    part of a unit (a county's eligible episodes, a department); both parts carry the unit's cohort, and the units are the
    clusters.

    Notes
    -----
    ``ATT(g, t) = DID(g, t | eligible) - DID(g, t | ineligible)`` with each difference-in-differences among its own part's
    comparison units. Olden and Moen (2022), doi:10.1093/ectj/utac010; Ortiz-Villavicencio and Sant'Anna (2025),
    doi:10.48550/arXiv.2505.09942.
    """
    eligible = _eligibility(design, options)
    choices = CallawaySantannaOptions(
        comparison=options.comparison, adjustment="none", base_period=options.base_period, anticipation=None
    )
    sides = [fit_callaway_santanna(design.subset(side), choices) for side in (eligible, ~eligible)]
    keys = ["cohort", "period", "event_time"]
    if not sides[0].cells[keys].equals(sides[1].cells[keys]):
        kind = design.matrices.period_kind
        found = [", ".join(label(kind, int(g)) for g in sorted(set(side.cells["cohort"]))) or "none" for side in sides]
        raise EstimationError(
            f"triple_difference: cohorts of the eligible parts: {found[0]}; of the ineligible parts: {found[1]}. Every cohort "
            "needs both parts: add the missing ones, or leave these cohorts out."
        )
    matrices = design.matrices
    blocks = []
    for side, sign in zip(sides, (1.0, -1.0), strict=True):
        rows = matrices.units.get_indexer(side.population.units)
        blocks += [replace(block, rows=rows[block.rows], right=sign * block.right) for block in side.influence.blocks]
    reason = [a or b for a, b in zip(sides[0].cells["reason"], sides[1].cells["reason"], strict=True)]
    cells = sides[0].cells.assign(
        reason=reason, n_comparison=np.minimum(sides[0].cells["n_comparison"], sides[1].cells["n_comparison"])
    )
    return replace(
        sides[0],
        cells=cells,
        value=sides[0].value - sides[1].value,
        influence=Influence(matrices.n_units, len(cells), tuple(blocks)),
        population=population_of(matrices),
        leave_out=None,
        method=METHOD.name,
        estimand=METHOD.estimand,
        convention=Convention("none", "normal"),
        aggregation="fixed",
    )


def _eligibility(design: Design, options: TripleDifferenceOptions) -> np.ndarray:
    """Find which parts are eligible and check that the covariate says so."""
    matrices: Matrices = design.matrices
    names = chosen_covariates(METHOD.name, design, None if options.eligible is None else (options.eligible,))
    if len(names) != 1:
        raise EstimationError(
            f"triple_difference: the design has {len(names)} covariates ({', '.join(names) or 'none'}); say which one is 1 for "
            "eligible parts with eligible=..., and name it in diagnose(covariates=...)."
        )
    values = matrices.covariates[names[0]]
    first = values[:, 0] if matrices.observed is None else values.max(axis=1)
    seen = np.ones_like(values, dtype=bool) if matrices.observed is None else matrices.observed
    wrong = (seen & (values != first[:, None])).any(axis=1) | ~np.isin(first, (0.0, 1.0))
    if wrong.any():
        units = ", ".join(map(str, matrices.units[wrong][:5]))
        raise EstimationError(
            f"triple_difference: {names[0]!r} is not 0 or 1 throughout for {int(wrong.sum())} part(s), for example {units}."
        )
    eligible = first == 1
    if eligible.all() or not eligible.any():
        raise EstimationError(
            f"triple_difference: {names[0]!r} is {'1' if eligible.all() else '0'} for every part; both parts are needed."
        )
    return np.asarray(eligible)


METHOD = Method(
    name="triple_difference",
    fit=fit_triple_difference,
    options=TripleDifferenceOptions,
    needs=Needs(comparison="not_yet_treated", covariates=1, covariate="which part of a unit is eligible"),
    estimand="average effect on the eligible part of each cohort in each period, beyond that on the ineligible part",
    reference="hand-computed differences of means",
    source="Olden and Moen (2022), doi:10.1093/ectj/utac010",
    test="tests/did/estimators/test_paths.py::test_a_cell_is_a_difference_of_eight_means",
    tolerance="1e-11: two ways through the same sums",
)
