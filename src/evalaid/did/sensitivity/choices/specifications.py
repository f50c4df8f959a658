"""The specification curve: the overall effect under every declared choice of method, covariates, window and comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import repeat
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import CLUSTERS, ENDS, ESTIMATE, IN_UNIT, STD_ERROR, TREATED_CLUSTERS, VCOV, no_results
from evalaid.base.errors import EstimationError, NotIdentifiedError
from evalaid.base.shared_out import do_parts
from evalaid.base.texts import join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.notebook_view import NotebookView
from evalaid.did.estimators.estimation import estimate, estimate_subsets, find_method
from evalaid.did.inference.cluster_counts import ONE_TREATED
from evalaid.did.inference.infer import infer
from evalaid.did.panel.design import Design, check_design
from evalaid.did.panel.few import FEW_CLUSTERS, FEW_TREATED
from evalaid.did.panel.matrices import mask
from evalaid.did.sensitivity.choices.declared import Specification, find_window, method_options, read_specifications
from evalaid.did.sensitivity.choices.spread import CHOICES, find_drivers, list_notes

CurveVcov = Literal["auto", "CR1"]
COUNTS = ("n_units", "n_treated", *CLUSTERS)


@dataclass(frozen=True)
class SpecificationCurve(NotebookView):
    """The estimates of all specifications, and which choices they depend on.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per specification, sorted by estimate, those without one last: ``method`` (with its options), ``covariates``,
        ``window``, ``comparison``, ``weights``, ``scale``, ``estimate``, ``std_error``, ``conf_low``, ``conf_high`` (in the
        scale of the outcome: fractions for a share), ``n_units``, ``n_treated``, ``n_clusters``, ``treated_clusters``,
        ``vcov`` (the error behind the interval), ``note`` (why there is no estimate or no error).
    drivers : pandas.DataFrame
        One row per choice that varies among the estimates (each covariate, in or out, is one): ``choice``, ``levels``,
        ``share_alone`` (share of the variance of the estimates between its levels), ``share_beyond_others`` (what it adds
        to the main effects of all other choices; the two agree when every combination was estimated), ``range_of_means``
        (largest minus smallest mean estimate of a level).
    notes : tuple of str
        What to keep in mind.
    level : float
        Coverage of the intervals.
    """

    table: pd.DataFrame
    drivers: pd.DataFrame
    notes: tuple[str, ...]
    level: float


def specification_curve(
    design: Design,
    specifications: Sequence[Specification] | Mapping[str, Any],
    *,
    level: float = 0.95,
    vcov: CurveVcov = "auto",
    progress: Callable[[int, int], object] | None = None,
) -> SpecificationCurve:
    """Estimate the overall effect under every declared specification.

    Assumes of each specification what its method assumes. The estimates come from the same data and are not independent
    evidence; methods differ in their estimand, so that part of the spread is no disagreement.

    Parameters
    ----------
    design : Design
        With all covariates that any specification uses.
    specifications : sequence of Specification, or mapping
        The list, or the arguments of :func:`evalaid.did.sensitivity.choices.declared.declare`.
    level : float
        Coverage of each interval by itself.
    vcov : {"auto", "CR1"}
        Errors, as in :func:`evalaid.infer`; ``CR1`` is quick, and too short with few clusters or few treated ones.
    progress : callable, optional
        Called with the number of specifications done and their total.

    Returns
    -------
    SpecificationCurve
        Each row equals ``estimate(...).aggregate("overall")`` with ``infer(vcov=...)`` of the same choices. Errors are left
        out where a single treated cluster (or the method) does not show any.

    Raises
    ------
    EstimationError
        When nothing is declared, or a choice does not exist (an unknown method, covariate, period, option, ``vcov``).

    Notes
    -----
    How the work is shared. The panel is cut once a window, comparison, weighting and scale. Where covariates enter by least
    squares (``twfe``, ``event_study``, ``sun_abraham``, ``imputation``, on the scale of the outcome) the outcome and each of
    the p covariates are residualised once a method and cut; every subset of covariates then follows from (1 + p) x (1 + p)
    products a unit, all subsets in one matrix product (see :mod:`evalaid.did.effects.subsets`). All other specifications, those of
    Callaway and Sant'Anna among them, share the cut panel only; so do all where clusters or treated clusters are few: there
    ``auto`` must leave clusters out, which needs an estimate that can be repeated; elsewhere one step stands for it (errors
    within about 1%; ``note`` says so where clusters are large). Simonsohn, Simmons and Nelson (2020),
    doi:10.1038/s41562-020-0912-z; their joint test is :func:`evalaid.joint_test`.

    Examples
    --------
    >>> import evalaid as ea
    >>> frame = pd.DataFrame({
    ...     "county": np.repeat(list("abcdef"), 3), "year": [2019, 2020, 2021] * 6,
    ...     "share": np.linspace(0.7, 0.9, 18) ** 2, "gdp": np.cos(np.arange(18.0)),
    ...     "first_treated": np.repeat([2020, 2020, 2021, 2021, np.nan, np.nan], 3),
    ... })
    >>> design = ea.diagnose(frame, "county", "year", "share", "first_treated", covariates=("gdp",))
    >>> curve = ea.specification_curve(design, {"methods": ["twfe", "imputation"], "covariates": [(), ("gdp",)]})
    >>> len(curve.table), sorted(curve.drivers["choice"])
    (4, ['covariate gdp', 'method'])
    """
    check_design(design)
    declared = read_specifications(design, specifications)
    if vcov not in get_args(CurveVcov):
        raise EstimationError(f"vcov={vcov!r} is not a choice; choose {', '.join(get_args(CurveVcov))}.")
    rows: dict[int, dict[str, Any]] = {}
    cuts: dict[Any, Design] = {}

    def estimate_rows(named: tuple[Any, list[int]]) -> list[tuple[int, dict[str, Any]]]:
        cut, block = named
        if cut not in cuts:
            cuts[cut] = cut_design(design, declared[block[0]])
        here, made = cuts[cut], list[tuple[int, dict[str, Any]]]()
        few = here.n_clusters < FEW_CLUSTERS or here.n_treated_clusters < FEW_TREATED
        repeatable = vcov == "auto" and few
        for positions, found in estimate_block(here, [declared[k] for k in block], together=not repeatable):
            made += zip([block[position] for position in positions], _rows(here, found, level, vcov), strict=False)
        return made

    for made in do_parts(estimate_rows, [(cut, block) for (cut, *_), block in group_blocks(declared).items()]):
        for position, row in made:
            rows[position] = row
            if progress is not None:
                progress(len(rows), len(declared))
    listed = [{**one.describe(design), **rows[k]} for k, one in enumerate(declared)]
    table = pd.DataFrame(listed, columns=[*CHOICES, *IN_UNIT, *COUNTS, VCOV, "note"])
    order = table[ESTIMATE].argsort(kind="stable")  # missing ones last
    drivers = find_drivers(table, [one.covariates for one in declared])
    return SpecificationCurve(table.iloc[order].reset_index(drop=True), drivers, list_notes(table), level)


def group_blocks(declared: Sequence[Specification]) -> dict[tuple[Any, ...], list[int]]:
    """Group specifications that differ in their covariates only; the first entry of a key names the cut of the panel."""
    blocks: dict[tuple[Any, ...], list[int]] = {}
    for position, one in enumerate(declared):
        options = tuple(sorted((name, repr(value)) for name, value in one.options.items()))
        block = (one.window, one.comparison, one.weights), one.scale, one.method, options
        blocks.setdefault(block, []).append(position)
    return blocks


def cut_design(design: Design, specification: Specification) -> Design:
    """Keep the window, the comparison units and the weights of a specification."""
    matrices = design.matrices
    if specification.comparison == "eventually_treated":
        matrices = matrices.subset(~np.isnan(matrices.cohort))
    if specification.weights == "none":
        matrices = replace(matrices, weight=None)
    first, last = find_window(design, specification.window)
    inside = (matrices.periods >= first) & (matrices.periods <= last)
    if not inside.all():
        matrices = mask(matrices, np.broadcast_to(inside, matrices.outcome.shape))
    return replace(design, matrices=matrices)


def estimate_specification(design: Design, specification: Specification) -> Effects:
    """Estimate one specification by itself, on a design already cut to it: the overall effect, one cell."""
    return estimate(design, specification.method, **fit_options(specification)).aggregate("overall")


def fit_options(specification: Specification) -> dict[str, Any]:
    """Return what `estimate` is asked for, beside the method."""
    options = {"scale": specification.scale, **method_options(specification)}
    if "covariates" in {option.name for option in fields(find_method(specification.method).options)}:
        options["covariates"] = specification.covariates
    return options


def estimate_block(
    design: Design, block: Sequence[Specification], *, together: bool = True
) -> Iterator[tuple[list[int], Effects | EstimationError]]:
    """Estimate specifications that differ in their covariates only, ``together`` where the method allows it.

    Estimates that were made together cannot be repeated on part of the units (they have no ``refit``).
    """
    left = set(range(len(block)))
    first = block[0]
    names = tuple(dict.fromkeys(name for one in block for name in one.covariates))
    if together and names and first.scale == "share" and len(block) > 1:
        try:
            subsets = estimate_subsets(design, first.method, covariates=names, **method_options(first))
        except EstimationError as refusal:
            yield sorted(left), refusal
            return
        if subsets is not None:
            for positions, effects in subsets.overall(
                [[names.index(name) for name in one.covariates] for one in block]
            ):
                yield positions, effects
                left -= set(positions)
    for position in sorted(left):
        try:
            yield [position], estimate_specification(design, block[position])
        except EstimationError as refusal:
            yield [position], refusal


def _rows(
    design: Design, effects: Effects | EstimationError, level: float, vcov: CurveVcov
) -> Iterator[dict[str, Any]]:
    """Yield a row for each estimate; the same row without end for a refusal."""
    if isinstance(effects, EstimationError):
        yield from repeat(_refused(design, effects))
        return
    hidden = effects.convention.caution
    alone = bool((effects.cells[TREATED_CLUSTERS] == 1).all())
    if design.n_clusters < 2 or alone:
        table = effects.tidy().assign(std_error=np.nan, conf_low=np.nan, conf_high=np.nan, n_clusters=design.n_clusters)
        table[VCOV] = "none"
        why = "one cluster: no error can be seen from it" if design.n_clusters < 2 else hidden or ONE_TREATED
        missing = np.isnan(effects.value)
        table["note"] = [
            join_texts((reason, "" if reason and absent else why))
            for reason, absent in zip(effects.cells["reason"], missing, strict=True)
        ]
    else:
        table = infer(effects, level, vcov=vcov)
    for row in table.to_dict("records"):
        why = hidden or (ONE_TREATED if row[TREATED_CLUSTERS] == 1 else "")
        if why and not np.isnan(row[STD_ERROR]):
            row.update(no_results((STD_ERROR, *ENDS)) | {VCOV: "none"})
            row["note"] = f"{row['note']}; {why}" if row["note"] else why
        kept = {name: row[name] for name in (*IN_UNIT, "n_treated", *CLUSTERS, VCOV, "note")}
        yield {**kept, "n_units": design.n_units}


def _refused(design: Design, refusal: EstimationError) -> dict[str, Any]:
    reasons = refusal.reasons if isinstance(refusal, NotIdentifiedError) else (str(refusal),)
    counts = (design.n_units, design.n_treated, design.n_clusters, design.n_treated_clusters)
    return {
        **no_results(IN_UNIT),
        **dict(zip(COUNTS, counts, strict=True)),
        VCOV: "none",
        "note": "; ".join(reasons),
    }
