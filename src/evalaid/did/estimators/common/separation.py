"""Why covariates cannot adjust a comparison: they are collinear, or they separate a cohort from its comparison."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.linear import Solver, standardise

Floats = NDArray[np.float64]

COLLINEAR = "covariates are collinear among the comparison units"
NOT_CONVERGED = "the logit of treatment did not converge: its score is not zero"
NO_OVERLAP = "no overlap: at some covariate values (almost) all units are treated"


def explain_adjustment(
    reason: str, cohort: str, names: tuple[str, ...], treated: Floats, comparison: Floats, noun: str = "units"
) -> str:
    """Find which covariates stand in the way of a cohort's comparison, and what is left.

    Shapes: ``treated``, ``comparison`` (n1, k).
    """
    if reason == NO_OVERLAP and (doubled := _redundant(names, np.concatenate([treated, comparison]))):
        return f"cohort {cohort}: covariates are collinear among the cohort and its comparison: {doubled}"
    if reason == COLLINEAR:
        doubled = _redundant(names, comparison)
        return f"cohort {cohort}: {COLLINEAR}" + (f": {doubled}" if doubled else "")
    if reason == NO_OVERLAP:
        return f"{NO_OVERLAP}; cohort {cohort}: {describe_overlap(names, treated, comparison, noun)}"
    return f"cohort {cohort}: {reason}" if reason == NOT_CONVERGED else reason


def describe_overlap(names: tuple[str, ...], treated: Floats, comparison: Floats, noun: str = "units") -> str:
    """Return the covariate that sets cohort and comparison furthest apart, with both ranges and who lies in the other's.

    Shapes: ``treated``, ``comparison`` (n1, k).
    """
    spread = np.sqrt((treated.var(axis=0) + comparison.var(axis=0)) / 2)
    gap = np.abs(treated.mean(axis=0) - comparison.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    k = int(np.argmax(gap))
    own, other = treated[:, k], comparison[:, k]
    ranges = [f"{side.min():.4g} to {side.max():.4g}" for side in (own, other)]
    inside = [
        int(((side >= range_.min()) & (side <= range_.max())).sum()) for side, range_ in ((own, other), (other, own))
    ]
    alone = "" if 0 in inside or len(names) == 1 else "no covariate separates them alone; furthest apart, "
    return (
        f"{alone}{names[k]!r} is {ranges[0]} for the cohort and {ranges[1]} for its comparison; {inside[0]} of {len(own)} treated "
        f"{noun} lie in the range of the comparison and {inside[1]} of {len(other)} comparison {noun} in that of the cohort; "
        "leave the covariate out, compare within the common range, or use adjustment='regression' and say that it extrapolates"
    )


def _redundant(names: tuple[str, ...], values: Floats) -> str:
    """Return the covariates that are constant or follow from those before them; "" when there is none."""
    constant = (values == values[:1]).all(axis=0)
    if len(values) <= len(names) and not constant.any():
        return (
            f"{len(names)} covariates and a constant need at least {len(names) + 1} of them, and there are {len(values)}; use "
            "fewer covariates"
        )
    columns = np.column_stack([np.ones(len(values)), standardise(values)])
    said, kept = [], [0]
    for k, name in enumerate(names):
        if constant[k]:
            said.append(f"{name!r} is {values[0, k]:.4g} throughout")
            continue
        trial = columns[:, [*kept, k + 1]]
        if Solver(trial.T @ trial).identified.all():
            kept.append(k + 1)
        else:
            said.append(f"{name!r} follows from the others")
    return f"{' and '.join(said)}; leave {'it' if len(said) == 1 else 'them'} out" if said else ""
