"""Effects of a continuous dose: level effects and slopes (Callaway, Goodman-Bacon and Sant'Anna 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from evalaid.base.errors import EstimationError
from evalaid.base.texts import counted
from evalaid.did.effects.effects import Convention, Effects
from evalaid.did.effects.influence import Block, Influence
from evalaid.did.effects.linear import Solver
from evalaid.did.estimators.common.method import (
    Method,
    Needs,
    cell_frame,
    choice,
    chosen_covariates,
    population_of,
    scale_of,
)
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import Matrices

Floats = NDArray[np.float64]

LEVEL = "assumes parallel trends between each dose and the untreated units"
STRONG = "assumes strong parallel trends: units of one dose would have responded to another dose as the units that got it did"
# Dose quantiles at which curves are reported; the tails hold too few units to say anything.
QUANTILES = np.arange(0.1, 0.95, 0.1)


@dataclass(frozen=True)
class DoseOptions:
    """Options of ``dose``."""

    # Covariate of the design with the intensity, constant within units and positive for treated units; None = the
    # design's only covariate
    dose: str | None = None
    # Degree of the polynomial of outcome changes in the dose, or of the pieces of the spline: 1 (default), 2 or 3
    degree: int = 1
    knots: int = 0  # Inner knots of a spline at quantiles of the dose; 0 (default) is a single polynomial
    # Never-treated units, or nobody: all are treated and the curve is relative to the lowest dose
    comparison: str = choice("never_treated", "lowest_dose")
    # What the treated periods are compared with: the last period before units may react, or the mean of all periods
    # before (for quarters and months, where one period holds a season)
    base: str = choice("last", "mean")


def fit_dose(design: Design, options: DoseOptions) -> Effects:
    """Estimate how outcome changes vary with the dose, in levels and in slopes.

    Each treated unit's change is the mean of its treated periods minus its base before the start, net of the mean change of
    the comparison in the same periods. A polynomial or spline of the changes in the dose gives the curve.

    Assumes, for level effects, parallel trends between each dose and untreated units. Assumes for slopes, and for every
    comparison of doses, strong parallel trends: the average effect of a dose on all units is the effect on those that
    got it. Without untreated units only differences between doses exist, under the strong assumption.

    Cells by ``parameter``: "average level" and "average slope" (over the doses of the treated units; slope per unit of
    dose), and "level" and "slope" at deciles of the dose (column ``dose``). ``reason`` is empty; ``estimand`` states
    the assumption.

    Notes
    -----
    ``dY_i = psi(D_i)' b + e_i`` over treated units; level ``psi(d)'b``, slope ``psi'(d)'b`` (their ATT(d|d) and
    ACRT(d)); influence by least squares, including the influence of the comparison's mean change and of the average over
    doses. Callaway, Goodman-Bacon and Sant'Anna (2024), doi:10.3386/w32117.
    """
    matrices = design.matrices
    treated = slice(0, int(matrices.starts[-2]))
    dose = _doses(design, options, treated)
    alone = options.comparison == "lowest_dose"
    change, psi_comparison = _changes(matrices, treated.stop, options.base, design.anticipation, alone=alone)
    population = population_of(matrices)
    mass = population.weight[treated]
    curve = _Curve.over(dose, int(options.degree), int(options.knots), relative=alone)
    grid = np.unique(np.quantile(dose, QUANTILES))

    basis = curve.basis(dose)
    solver = Solver((basis * mass[:, None]).T @ basis)
    coefficients = solver(basis.T @ (mass * change))
    scores = basis * (mass * (change - basis @ coefficients))[:, None] @ solver(np.eye(basis.shape[1]))

    share = mass / mass.sum()
    level_at, slope_at = curve.levels(grid), curve.slopes(grid)
    levels, slopes = curve.levels(dose), curve.slopes(dose)
    targets = np.concatenate([(share @ levels)[None], (share @ slopes)[None], level_at, slope_at]).T
    value = coefficients @ targets
    psi = scores @ targets
    psi[:, 0] += share * (levels @ coefficients - value[0])
    psi[:, 1] += share * (slopes @ coefficients - value[1])
    blocks = [Block(treated, psi, np.eye(len(value)))]
    if not alone:
        # A shift of the comparison's mean change moves the curve as a shift of the change of every unit of the cohort.
        rows = [matrices.block(number) for number in range(len(matrices.cohorts))]
        shift = solver(np.array([mass[r] @ basis[r] for r in rows]).T)
        blocks.append(Block(matrices.never, psi_comparison, -shift.T @ targets))
    parameter = ["average level", "average slope"] + ["level"] * len(grid) + ["slope"] * len(grid)
    cells = cell_frame(
        population,
        treated.stop,
        0 if alone else matrices.n_units - treated.stop,
        parameter=parameter,
        dose=np.concatenate([[np.nan, np.nan], grid, grid]),
    )
    assumption = STRONG if alone else f"level effects: {LEVEL}; slopes: {STRONG}"
    return Effects(
        cells=cells,
        value=value,
        influence=Influence(matrices.n_units, len(value), tuple(blocks)),
        population=population,
        size=np.ones(len(value)),
        method=METHOD.name,
        estimand=f"{METHOD.estimand}; {assumption}",
        scale=scale_of(design),
        convention=Convention("none", "normal"),
        aggregation="fixed",
    )


def _doses(design: Design, options: DoseOptions, treated: slice) -> Floats:
    """Find the dose of each treated unit and check it."""
    matrices = design.matrices
    names = chosen_covariates(METHOD.name, design, options.dose if options.dose is None else (options.dose,))
    if len(names) != 1:
        raise EstimationError(
            f"dose: the design has {len(names)} covariates ({', '.join(map(str, names)) or 'none'}); say which one is the dose with "
            "dose=..., and name it in diagnose(covariates=...)."
        )
    if options.degree not in (1, 2, 3):
        raise EstimationError(f"dose: degree={options.degree!r} found, 1, 2 or 3 expected.")
    values = matrices.covariates[names[0]][treated]
    varying = (values != values[:, :1]).any(axis=1)
    if varying.any():
        units = ", ".join(map(str, matrices.units[treated][varying][:5]))
        raise EstimationError(
            f"dose: {names[0]!r} varies over time in {counted(int(varying.sum()), 'treated unit')}, for example {units}; the dose of a "
            "unit must be one number (for example the mean over its treated periods)."
        )
    dose = values[:, 0]
    if not dose.any():
        raise EstimationError(
            f"dose: {names[0]!r} is zero for all {len(dose)} treated units, so there are no doses to compare; name the covariate "
            "that holds the intensity with dose=..., or estimate the effect of the start with another method."
        )
    if (dose <= 0).any():
        units = ", ".join(map(str, matrices.units[treated][dose <= 0][:5]))
        raise EstimationError(
            f"dose: {(dose <= 0).sum()} of {len(dose)} treated units have a dose of zero or less, for example {units}; a treated "
            "unit has a positive dose, an untreated one a missing cohort."
        )
    never = matrices.never
    stated = design.treatment.stated.reindex(matrices.units[never]).isna().to_numpy()
    dosed = stated & (matrices.covariates[names[0]][never] > 0).any(axis=1)
    if dosed.any() and options.comparison == "never_treated":
        units = ", ".join(map(str, matrices.units[never][dosed][:5]))
        raise EstimationError(
            f"dose: {counted(int(dosed.sum()), 'never-treated unit has', 'never-treated units have')} a positive dose, for example {units}, and would serve as untreated "
            "comparison; a unit with a dose is treated: give it a cohort, set its dose to zero if it had none, or leave it out."
        )
    if not isinstance(options.knots, int) or options.knots < 0:
        raise EstimationError(f"dose: knots={options.knots!r} found, 0 or more inner knots expected.")
    if len(np.unique(dose)) <= options.degree + options.knots:
        raise EstimationError(
            f"dose: {counted(len(np.unique(dose)), 'distinct dose')} cannot carry a curve of degree {options.degree} with "
            f"{counted(options.knots, 'inner knot')}; use fewer, or compare groups of doses as cohorts."
        )
    return dose


def _changes(matrices: Matrices, n_treated: int, base: str, early: int, *, alone: bool) -> tuple[Floats, Floats]:
    """Return each treated unit's change net of the comparison's, and the comparison's influence on each cohort's changes.

    Returns the changes, and psi (n0, C): how each comparison unit moves the comparison's mean change over the periods of each cohort.
    """
    change = np.empty(n_treated)
    never, bases = matrices.never, base_columns(matrices, early)
    psi = np.zeros((never.stop - never.start, len(matrices.cohorts)))
    weight = population_of(matrices).weight[never]
    share = weight / weight.sum()
    for number in range(len(matrices.cohorts)):
        rows, start = matrices.block(number), int(matrices.start_column[number])
        last = int(bases[number])
        before = slice(last if base == "last" else 0, last + 1)
        change[rows] = matrices.outcome[rows, start:].mean(axis=1) - matrices.outcome[rows, before].mean(axis=1)
        if not alone:
            other = matrices.outcome[never, start:].mean(axis=1) - matrices.outcome[never, before].mean(axis=1)
            change[rows] -= share @ other
            psi[:, number] = share * (other - share @ other)
    return change, psi


@dataclass(frozen=True)
class _Curve:
    """Functions of the dose: B-splines of a degree over the range of doses; without inner knots a polynomial.

    ``origin`` is the dose that levels are relative to; None = relative to the untreated.
    """

    knots: Floats
    degree: int
    origin: float | None

    @classmethod
    def over(cls, dose: Floats, degree: int, inner: int, *, relative: bool) -> _Curve:
        """Place the knots."""
        low, high = float(dose.min()), float(dose.max())
        quantiles = np.quantile(dose, np.linspace(0, 1, inner + 2)[1:-1])
        knots = np.concatenate([np.full(degree + 1, low), quantiles, np.full(degree + 1, high)])
        return cls(knots, degree, low if relative else None)

    def basis(self, dose: Floats) -> Floats:
        """Return the basis functions, (n, k); they sum to one."""
        basis: Floats = BSpline.design_matrix(dose, self.knots, self.degree).toarray()
        return basis

    def levels(self, dose: Floats) -> Floats:
        """Return the basis functions relative to the origin, (n, k)."""
        terms = self.basis(dose)
        return terms if self.origin is None else terms - self.basis(np.array([self.origin]))

    def slopes(self, dose: Floats) -> Floats:
        """Return the derivatives of the basis functions, (n, k)."""
        size = len(self.knots) - self.degree - 1
        return np.column_stack([BSpline(self.knots, unit, self.degree)(dose, nu=1) for unit in np.eye(size)])


METHOD = Method(
    name="dose",
    fit=fit_dose,
    options=DoseOptions,
    needs=Needs(
        comparison="dose", balanced=True, covariates=1, covariate="the dose of each treated unit", weights="analytic"
    ),
    estimand="average effect by dose (level) and its derivative (slope per unit of dose)",
    reference="hand-computed cases and simulated panels with a known effect",
    source="Callaway, Goodman-Bacon and Sant'Anna (2024), doi:10.3386/w32117",
    test="tests/did/estimators/test_dose.py::test_three_units_by_hand",
    tolerance="1e-11: two ways through the same sums",
    by_cohort=False,
)
