"""What a method is: a fit, the options it takes, what it needs of a design, and what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import TREATED_CLUSTERS
from evalaid.base.errors import EstimationError
from evalaid.base.names import PATH
from evalaid.base.periods import label
from evalaid.base.texts import counted, noun
from evalaid.did.effects.aggregation import Population
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.subsets import Subsets
from evalaid.did.estimators.common.cohort_kernel import CohortKernel
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import PART, STRATA, Matrices

# What the cells of one estimate may take.
MOST_GIGABYTES = 4.0


def choice(default: str, *others: str) -> Any:
    """Declare an option that takes one of a few words; the first is the default."""
    return field(default=default, metadata={"choices": (default, *others)})


@dataclass(frozen=True)
class Needs:
    """What a method needs of a design, as data."""

    # The weakest comparison that identifies the estimand: never-treated units, units that start later, or treated units
    # with another dose; an option ``comparison`` of the method overrides it
    comparison: Literal["never_treated", "not_yet_treated", "dose"] = "not_yet_treated"
    pre_periods: int = 1  # Untreated periods that at least one cohort must have
    balanced: bool = False  # Whether every unit must be observed in every period
    covariates: int = 0  # Covariates that the design must name
    covariate: str = ""  # What such a covariate holds, in words
    stays: bool = True  # Whether treatment must stay once it has started
    # Which weights the method has a place for: both kinds, only those that say how much a unit counts, or none
    weights: Literal["any", "analytic", "none"] = "any"
    strata: bool = False  # Whether it compares within the strata that a design names
    exposure: bool = False  # Whether the first treated period can count by the part in which units are treated


@dataclass(frozen=True)
class Method:
    """One entry of the registry."""

    name: str  # What ``estimate`` is asked for
    # ``fit(design, options) -> Effects``; called only when the design meets the needs
    fit: Callable[[Design, Any], Effects]
    options: type  # Frozen dataclass of the options with their defaults
    needs: Needs  # Held against the design before the fit
    estimand: str  # The quantity in words
    reference: str  # Reference implementation whose numbers it equals
    source: str  # The paper, with DOI
    test: str  # The test that holds it against the reference
    tolerance: str  # How far that test lets the two differ
    # ``subsets(design, options) -> Subsets``: the same fit for every subset of the covariates at once; None where
    # covariates do not enter by least squares
    subsets: Callable[[Design, Any], Subsets] | None = None
    # ``kernel(design, options) -> CohortKernel``: the same cells from sums by cohort, for many samples of the units at once; None
    # where there are none
    kernel: Callable[[Design, Any], CohortKernel | None] | None = None
    # Whether the estimates are by cohort, so that one without a period before its units may react is missing with the
    # reason; otherwise its units are left out of the sample
    by_cohort: bool = True

    def parse(self, given: dict[str, Any]) -> Any:
        """Turn keyword arguments into options, naming every unknown or impossible one at once."""
        known = {entry.name: entry for entry in fields(self.options)}
        faults = []
        for name, value in given.items():
            if name not in known:
                close = get_close_matches(name, known, n=1)
                hint = f" (did you mean {close[0]!r}?)" if close else ""
                faults.append(f"unknown option {name!r}{hint}; allowed: {', '.join(known) or 'none'}")
                continue
            choices = known[name].metadata.get("choices")
            if choices and not (isinstance(value, str) and value in choices):
                faults.append(f"{name}={value!r} is not a choice; allowed: {', '.join(map(repr, choices))}")
            elif str(known[name].type).split(" ")[0] == "int" and not _whole(value, known[name].default):
                faults.append(f"{name}={value!r} is no whole number")
        if faults:
            raise EstimationError(f"{self.name}: " + "; ".join(faults) + ".")
        return self.options(**given)


def _whole(value: Any, default: Any) -> bool:
    """Return whether an option is a whole number, or left open where it may be."""
    if value is None:
        return default is None
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def unmet(needs: Needs, design: Design, options: Any = None) -> tuple[str, ...]:
    """List every need that the design does not meet, in words; empty when the method applies."""
    matrices = design.matrices
    comparison = getattr(options, "comparison", needs.comparison)
    anticipation = effective_anticipation(design, options)
    reasons = []
    if len(matrices.units) < 2:
        reasons.append(f"the panel has {counted(len(matrices.units), 'usable unit')}; a comparison needs at least two")
    if not matrices.cohorts.size:
        return (*reasons, "no unit starts treatment between the second and the last period of the panel")
    n_never = int(np.isnan(matrices.cohort).sum())
    if comparison == "never_treated" and n_never == 0:
        reasons.append("there is no never-treated unit in the panel")
    if comparison == "not_yet_treated" and n_never == 0 and matrices.cohorts.size == 1:
        reasons.append(
            f"all {len(matrices.units)} units start in the same period "
            f"({label(matrices.period_kind, int(matrices.cohorts[0]))}), so no unit is untreated while others are treated"
        )
    if len(design.covariates) < needs.covariates:
        some = "a covariate is" if needs.covariates == 1 else f"{needs.covariates} covariates are"
        reasons.append(
            f"{some} needed{f' ({needs.covariate})' if needs.covariate else ''} and the design names "
            f"{len(design.covariates) or 'none'}; name {'it' if needs.covariates == 1 else 'them'} in diagnose(covariates=...)"
        )
    if needs.weights == "none" and matrices.weight is not None:
        reasons.append("the method has no place for weights and the design is weighted")
    if needs.weights == "analytic" and matrices.weight is not None and matrices.weight_kind == "precision":
        reasons.append(
            "the method has no place for precision weights: it weighs treated and comparison units alike; leave the weights out, "
            "or state weight_kind='analytic' if they say how much a unit counts"
        )
    if STRATA in matrices.covariates and not needs.strata:
        reasons.append(
            "the method does not compare within strata and the design names them; leave stratum= out, or use another"
        )
    if PART in matrices.covariates and not needs.exposure:
        reasons.append(
            "the method has no place for a first period that counts by its part; diagnose(partial=...) instead of exposure=... leaves "
            "that period out"
        )
    if needs.balanced and matrices.observed is not None:
        gaps = np.argwhere(~matrices.observed)
        row, column = gaps[0]
        reasons.append(
            f"a balanced panel is needed and {counted(len(gaps), 'unit-period')} of {counted(len(np.unique(gaps[:, 0])), 'unit')} {noun(len(gaps), 'is', 'are')} not observed, "
            f"for example {matrices.units[row]} in {label(matrices.period_kind, int(matrices.periods[column]))}; supply them, or leave "
            "these units or periods out"
        )
    ended = (
        np.isin(matrices.units, design.reversals["unit"])
        if needs.stays and len(design.reversals)
        else np.zeros(0, bool)
    )
    if ended.any():
        reasons.append(
            f"{counted(int(ended.sum()), 'unit is', 'units are')} untreated again after {noun(int(ended.sum()), 'its', 'their')} start, for example {matrices.units[ended][0]}, and the "
            "method takes treatment as lasting; dcdh follows the actual path, or name the first treated period with cohort=... "
            "instead of treated=... to estimate the effect of having started"
        )
    if needs.stays and PATH in design.panel.names:
        reasons.append(
            "the cohorts are first changes of a treatment path, from baselines that may differ, and the method takes them for first "
            "treatments that last; dcdh follows the path, or name cohort=... or treated=... instead of path=..."
        )
    starts = matrices.reaction(anticipation)
    longest = max(int((matrices.periods < start).sum()) for start in starts)
    if longest < needs.pre_periods:
        reasons.append(
            f"{counted(needs.pre_periods, 'untreated period')} before treatment {noun(needs.pre_periods, 'is', 'are')} needed and the longest pre-period is "
            f"{longest}"
            + (f" (with anticipation of {anticipation})" if anticipation else "")
            + "; start the panel earlier"
        )
    return tuple(reasons)


def effective_anticipation(design: Design, options: Any) -> int:
    """Return the option's anticipation, or the design's where the option leaves it open."""
    anticipation = getattr(options, "anticipation", None)
    return design.anticipation if anticipation is None else int(anticipation)


def chosen_covariates(method: str, design: Design, names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the covariates to use: all of the design's when ``names`` is None, else the named ones."""
    if names is None:
        return tuple(design.covariates)
    if not isinstance(names, Iterable):
        raise EstimationError(f"{method}: covariates={names!r} found; names of columns are expected.")
    names = (names,) if isinstance(names, str) else tuple(names)
    unknown = [name for name in names if name not in design.covariates]
    if unknown:
        raise EstimationError(
            f"{method}: unknown {noun(len(unknown), 'covariate')} {', '.join(map(repr, unknown))}; the design has "
            f"{', '.join(map(repr, design.covariates)) or 'none'}. Name covariates in diagnose(covariates=...)."
        )
    return names


def check_cells(method: str, n_cells: int, matrices: Matrices) -> None:
    """Refuse cells of cohorts and periods of which there are none, or that need more memory than most machines have.

    Raises
    ------
    EstimationError
        With the memory, and what makes the cells fewer.
    """
    if not n_cells:
        raise EstimationError(f"{method}: no treated unit is observed in a treated period; supply these observations.")
    cohorts, periods = len(matrices.cohorts), matrices.n_periods
    needed = 8e-9 * (cohorts + 1) * periods * n_cells
    if needed > MOST_GIGABYTES:
        raise EstimationError(
            f"{method}: {n_cells:,} effects of {cohorts} cohorts in {periods} periods need about {needed:.0f} GB of memory. Count time in "
            "longer periods (months for days), put cohorts that start close to each other together, or use stacked, lp_did or "
            "efficient."
        )


def population_of(matrices: Matrices) -> Population:
    """Return labels, cohorts, unit weights (scaled to mean one) and clusters.

    A unit's weight is that of its first period, as in R ``did``; on an unbalanced panel the mean over its observations.
    With precision weights every unit counts once.
    """
    importance = matrices.importance
    if importance is None:
        weight = np.ones(len(matrices.units))
    else:
        if matrices.observed is None:
            weight = importance[:, 0]
        else:
            weight = (importance * matrices.observed).sum(axis=1) / matrices.observed.sum(axis=1)
        weight = weight / weight.mean()
    return Population(
        matrices.units, matrices.cohort, weight, matrices.cluster, matrices.clusters, matrices.periods, matrices.clock
    )


def cell_frame(
    population: Population, n_treated: Any, n_comparison: Any, reason: Any = "", **keys: Any
) -> pd.DataFrame:
    """Build the cells of an Effects: keys, counts, treated clusters and reasons, in the fixed column order."""
    if "cohort" in keys:
        by_cohort = population.presence.sum(axis=1)
        clusters: Any = by_cohort[np.searchsorted(population.cohorts, np.asarray(keys["cohort"], dtype=float))]
    else:
        clusters = population.count_clusters(np.ones(len(population.cohorts), dtype=bool))
    counts = {"n_treated": n_treated, "n_comparison": n_comparison, TREATED_CLUSTERS: clusters, "reason": reason}
    n_cells = len(next(iter(keys.values()))) if keys else 1
    # One call: a frame to which columns are added one by one costs more than most fits.
    return pd.DataFrame({**keys, **counts}, index=range(n_cells))


def scale_of(design: Design) -> str:
    """Return the scale of the effects: a share when the outcome is a fraction, else plain numbers."""
    return "share" if design.outcome_unit == "fraction" else "number"


def cohort_slices(matrices: Matrices) -> tuple[slice, ...]:
    """Return the rows of each cohort, never-treated last."""
    return tuple(matrices.block(number) for number in range(len(matrices.cohorts) + 1))


def observation_mass(matrices: Matrices) -> np.ndarray | None:
    """Return the weight of each observation in a fit, zero where nothing is observed; None when balanced and unweighted."""
    return _where_observed(matrices.weight, matrices)


def averaging_mass(matrices: Matrices) -> np.ndarray:
    """Return the weight of each observation in an average, zero where nothing is observed: precision weights are none."""
    mass = _where_observed(matrices.importance, matrices)
    return np.ones_like(matrices.outcome) if mass is None else mass


def _where_observed(weight: np.ndarray | None, matrices: Matrices) -> np.ndarray | None:
    if weight is None:
        return None if matrices.observed is None else matrices.observed.astype(float)
    return weight if matrices.observed is None else weight * matrices.observed
