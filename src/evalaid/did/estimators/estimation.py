"""Estimate by name: find the method, hold its needs against the design, fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import EstimationError, NotIdentifiedError
from evalaid.base.months import read_kind
from evalaid.base.periods import label
from evalaid.base.texts import counted, join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.subsets import Subsets
from evalaid.did.estimators.common.cohort_kernel import CohortKernel
from evalaid.did.estimators.common.method import Method, effective_anticipation, unmet
from evalaid.did.estimators.registry import METHODS
from evalaid.did.estimators.scales import on_scale, report_back
from evalaid.did.panel.comparisons import base_columns
from evalaid.did.panel.design import Design, check_design
from evalaid.did.panel.level import without_level
from evalaid.did.panel.matrices import STRATA

WHAT_COULD_BE_DONE = "add units that are never treated or treated later, use differences in dose, or bound the effect under stated assumptions"


def estimate(design: Design, method: str, *, scale: str = "share", **options: Any) -> Effects:
    """Estimate effects with a registered method, or refuse with every reason.

    Parameters
    ----------
    design : Design
        From :func:`evalaid.diagnose`.
    method : str
        Name in :func:`methods`, for example ``"callaway_santanna"``.
    scale : {"share", "log_odds", "log_outflow", "log_inside", "log_outside"}
        On which scale trends are assumed parallel; "share" is the outcome as it is. Effects on a share's log-odds and on its
        log outflow are reported back as differences of shares. The last two are of the counts behind the share
        (``diagnose(inside=..., total=...)``), with effects as relative changes of the episodes inside and outside (times 100 =
        per cent of those without the programme); with methods that are linear in the outcome the share that both together
        imply is that of ``log_odds``.
    **options
        Options of the method, see :func:`methods`.

    Notes
    -----
    With ``diagnose(anticipation=k)`` the k periods before the start count as untreated nowhere: effects are measured from
    the last period before them (the mean of those before them where a method averages), units serve as not-yet-treated
    comparison until k periods before their own start, and fits to untreated observations or to the time before leave them
    out. Estimates for these periods carry their event times -k to -1 and enter no average of effects. A cohort without any
    period before them has no estimate; where a method does not estimate by cohort its units are left out, and ``estimand``
    says so.

    Returns
    -------
    Effects
        Estimates with the influence of every unit; errors and intervals are a later call to :func:`evalaid.infer`.

    Raises
    ------
    EstimationError
        For an unknown method, option or scale; names those that exist. For a scale beside a family that has its own.
    NotIdentifiedError
        When the design does not meet the method's needs; lists all reasons and the methods that apply.

    Examples
    --------
    >>> import evalaid as ea
    >>> import pandas as pd
    >>> frame = pd.DataFrame({
    ...     "county": ["a", "a", "b", "b", "c", "c"], "year": [2019, 2020] * 3,
    ...     "share": [0.80, 0.86, 0.80, 0.82, 0.70, 0.74], "first_treated": [2020, 2020] + [None] * 4,
    ... })
    >>> design = ea.diagnose(frame, unit="county", period="year", outcome="share", cohort="first_treated")
    >>> round(float(ea.estimate(design, "twfe").value[0]), 4)
    0.03
    """
    check_design(design)
    entry, parsed = _admit(design, method, options)
    early = effective_anticipation(design, parsed)
    design, words = _leave_out_early(design, entry, early)
    if not isinstance(scale, str):
        raise EstimationError(f"scale={scale!r} found; the name of a scale is expected, such as 'share'.")
    if scale != "share" and getattr(parsed, "family", "gaussian") != "gaussian":
        raise EstimationError(
            f"{method}: family={parsed.family!r} has a scale of its own, so scale={scale!r} does not apply; use family='gaussian' "
            "with that scale, or leave the scale out."
        )

    fitted = level_free(design, options) if scale == "share" else on_scale(design, scale)
    found = report_back(entry.fit(fitted, parsed), design, scale)
    unused = _unused_covariates(entry, design, parsed)
    left_out = (
        f"{method} uses no covariates: {', '.join(map(repr, unused))} {'is' if len(unused) == 1 else 'are'} left out"
        if unused
        else ""
    )
    clock = design.matrices.clock
    waves = clock.describe(str(read_kind(design.matrices.period_kind)[0])) if clock.observed else ""
    remark = join_texts((found.convention.remark, left_out, waves))
    magnitude = max(map(abs, design.matrices.ends)) if scale == "share" else 1.0
    found = replace(
        found,
        estimand=found.estimand + words + ("; without covariates" if unused else ""),
        convention=replace(found.convention, remark=remark, magnitude=magnitude or 1.0),
    )

    def refit(keep: NDArray[np.bool_]) -> Effects:
        return estimate(design.subset(keep), method, scale=scale, **options).align(found.cells)

    return replace(found, refit=refit)


def _unused_covariates(method: Method, design: Design, options: Any) -> tuple[str, ...]:
    """List the covariates of the design for which the method has no place."""
    if hasattr(options, "covariates"):
        return ()
    named = {getattr(options, entry.name) for entry in fields(method.options)}
    alone = method.needs.covariates == len(design.covariates)
    return () if alone else tuple(name for name in design.covariates if name not in named)


def estimate_subsets(design: Design, method: str, **options: Any) -> Subsets | None:
    """Prepare the estimates with every subset of the covariates, or refuse with every reason."""
    entry, parsed = _admit(design, method, options)
    if entry.subsets is None or STRATA in design.matrices.covariates:
        return None
    usable, words = _leave_out_early(design, entry, effective_anticipation(design, parsed))
    subsets = entry.subsets(level_free(usable, options), parsed)
    return replace(subsets, effects=tuple(replace(part, estimand=part.estimand + words) for part in subsets.effects))


def find_kernel(design: Design, method: str, *, scale: str = "share", **options: Any) -> CohortKernel | None:
    """Return the estimates as a function of sums by cohort, or refuse with every reason; None where there is no such function."""
    entry, parsed = _admit(design, method, options)
    early = effective_anticipation(design, parsed)
    if entry.kernel is None or scale != "share" or _leave_out_early(design, entry, early)[0] is not design:
        return None
    return entry.kernel(level_free(design, options), parsed)


def level_free(design: Design, options: Mapping[str, Any]) -> Design:
    """Take the level that all outcomes share out, unless a scale or family among the options depends on it."""
    plain = options.get("scale", "share") == "share" and options.get("family", "gaussian") == "gaussian"
    return without_level(design) if plain else design


def _admit(design: Design, method: str, options: dict[str, Any]) -> tuple[Method, Any]:
    """Find the method, read its options and hold its needs against the design."""
    entry = find_method(method)
    parsed = entry.parse(options)
    reasons = unmet(entry.needs, design, parsed)
    if reasons:
        alternatives = tuple(other.name for other in METHODS if other is not entry and applies(other, design))
        instead = f"Methods that apply: {', '.join(alternatives)}." if alternatives else "No registered method applies."
        listed = "".join(f"\n  - {reason}" for reason in reasons)
        raise NotIdentifiedError(
            f"{method} does not apply to this design:{listed}\n{instead} What could be done: {WHAT_COULD_BE_DONE}.",
            reasons,
            alternatives,
        )
    return entry, parsed


def _leave_out_early(design: Design, method: Method, early: int) -> tuple[Design, str]:
    """Leave out the units without a period before they may react, unless their cells say so; give the words of the estimand."""
    if early <= 0:
        return design, ""
    words = f"; units may react {counted(early, 'period')} before the start, so these periods do not count as untreated"
    matrices = design.matrices
    lost = matrices.cohorts[base_columns(matrices, early) < 0]
    if method.by_cohort or not lost.size:
        return design, words
    named = ", ".join(label(matrices.period_kind, int(cohort)) for cohort in lost)
    words += f"; without the units that start in {named}: the panel has no period before they may react"
    return design.subset(~np.isin(matrices.cohort, lost)), words


def find_method(name: str) -> Method:
    """Find a registered method by name."""
    known = {entry.name: entry for entry in METHODS}
    if not isinstance(name, str) or name not in known:
        close = get_close_matches(str(name), known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise EstimationError(f"No method {name!r}; there are {', '.join(known)}.{hint}")
    return known[name]


def applies(method: Method, design: Design) -> bool:
    """Return whether the design meets the needs of a method with some choice of its comparison."""
    compared = [entry for entry in fields(method.options) if entry.name == "comparison"]
    choices = [{"comparison": word} for entry in compared for word in entry.metadata["choices"]] or [{}]
    return any(not unmet(method.needs, design, method.parse(options)) for options in choices)


def methods() -> pd.DataFrame:
    """List the registered methods.

    Returns
    -------
    pandas.DataFrame
        Columns ``method``, ``estimand``, ``equation``, ``assumption``, ``needs``, ``covariates`` (yes or no), ``strata`` and ``exposure`` (of `diagnose`: whether it takes them), ``options``
        (name=default, choices), ``reference``, ``tolerance`` (how far its numbers may differ), ``test`` (what holds it against the
        reference), ``source``.

    Examples
    --------
    >>> import evalaid as ea
    >>> "callaway_santanna" in set(ea.methods()["method"])
    True
    """
    rows = [
        {
            "method": entry.name,
            "estimand": entry.estimand,
            "equation": _equation(entry),
            "assumption": _assumption(entry),
            "needs": _describe_needs(entry),
            "covariates": _describe_covariates(entry),
            "strata": "yes" if entry.needs.strata else "no; refused",
            "exposure": "yes" if entry.needs.exposure else "no; refused",
            "options": ", ".join(_describe_option(option) for option in fields(entry.options)) or "none",
            "reference": entry.reference,
            "tolerance": entry.tolerance,
            "test": entry.test,
            "source": entry.source,
        }
        for entry in METHODS
    ]
    return pd.DataFrame(rows)


def _equation(method: Method) -> str:
    """Return the equation of a method: the first formula in the notes of its fit."""
    notes = " ".join((method.fit.__doc__ or "").partition("Notes\n")[2].split())
    return next((text for text in notes.split("``")[1::2] if "=" in text or "-" in text), "")


def _assumption(method: Method) -> str:
    """Return the assumptions of a method: the paragraph of its fit that begins with "Assumes"."""
    paragraphs = (method.fit.__doc__ or "").split("\n\n")
    return next((" ".join(text.split()) for text in paragraphs if text.strip().startswith("Assumes")), "")


def _describe_covariates(method: Method) -> str:
    if any(option.name == "covariates" for option in fields(method.options)):
        return "yes"
    return f"no, but {method.needs.covariate}" if method.needs.covariate else "no; left out with a note"


def _describe_needs(method: Method) -> str:
    needs = method.needs
    comparison = "differences in dose" if needs.comparison == "dose" else f"{needs.comparison.replace('_', '-')} units"
    parts = [comparison, f"{counted(needs.pre_periods, 'pre-period')}"]
    parts += ["a balanced panel"] * needs.balanced + {"none": ["no weights"], "analytic": ["no precision weights"]}.get(
        needs.weights, []
    )
    holds = f" ({needs.covariate})" if needs.covariate else ""
    parts += [f"{counted(needs.covariates, 'covariate')}{holds}"] * (needs.covariates > 0)
    return ", ".join(parts)


def _describe_option(option: Any) -> str:
    choices = option.metadata.get("choices")
    return f"{option.name}={' | '.join(choices)}" if choices else f"{option.name}={option.default}"
