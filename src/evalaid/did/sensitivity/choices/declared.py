"""What a specification is, and the specifications that are declared: every choice held against the design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import combinations, product
from typing import Any

from evalaid.base.errors import EstimationError
from evalaid.base.periods import label
from evalaid.did.estimators.estimation import find_method
from evalaid.did.estimators.scales import NAMES as SCALES
from evalaid.did.panel.design import Design

Window = tuple[Any, Any]
COMPARISONS = ("own", "never_treated", "not_yet_treated", "eventually_treated")
WEIGHTS = ("design", "none")


@dataclass(frozen=True)
class Specification:
    """One combination of choices.

    ``method``: a registered method whose cells can be averaged. ``covariates``: of the design's; () = none.
    ``window``: labels of the first and last period kept, None = as in the panel. ``comparison``, {"own",
    "never_treated", "not_yet_treated", "eventually_treated"}: ``own``: the method's default; the next two go to
    methods with that option; ``eventually_treated`` leaves never-treated units out of the panel, for any method.
    ``weights``, {"design", "none"}: the design's weights, or none. ``scale``, {"share", "log_odds", "log_outflow"}: as
    in :func:`evalaid.estimate`. ``options``: further options of the method.
    """

    method: str
    covariates: tuple[str, ...] = ()
    window: Window = (None, None)
    comparison: str = "own"
    weights: str = "design"
    scale: str = "share"
    options: Mapping[str, Any] = field(default_factory=dict)

    def describe(self, design: Design) -> dict[str, str]:
        """Return the choices in words."""
        matrices = design.matrices
        first, last = (
            label(matrices.period_kind, int(matrices.periods[k])) if end is None else str(end)
            for end, k in zip(self.window, (0, -1), strict=True)
        )
        settings = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return {
            "method": f"{self.method}({settings})" if settings else self.method,
            "covariates": ", ".join(map(str, self.covariates)) or "none",
            "window": f"{first} to {last}",
            "comparison": self.comparison,
            "weights": self.weights,
            "scale": self.scale,
        }


def read_specifications(
    design: Design, specifications: Sequence[Specification] | Mapping[str, Any]
) -> tuple[Specification, ...]:
    """Return the declared specifications, after holding every choice against the design."""
    declared = declare(**specifications) if isinstance(specifications, Mapping) else tuple(specifications)
    if not declared:
        raise EstimationError("No specification is declared; give at least one, for example {'methods': ['twfe']}.")
    _check(design, declared)
    return declared


def declare(
    methods: Sequence[str | tuple[str, Mapping[str, Any]]],
    covariates: Sequence[Sequence[str]] = ((),),
    windows: Sequence[Window] = ((None, None),),
    comparisons: Sequence[str] = ("own",),
    weights: Sequence[str] = ("design",),
    scales: Sequence[str] = ("share",),
) -> tuple[Specification, ...]:
    """List the specifications of all combinations of some choices.

    Examples
    --------
    >>> len(declare(["twfe", "etwfe"], covariates=all_subsets(("gdp", "age"))))
    8
    """
    found: dict[Any, Specification] = {}
    for entry, names, window, comparison, weight, scale in product(
        methods, covariates, windows, comparisons, weights, scales
    ):
        method, options = (entry, {}) if isinstance(entry, str) else entry
        known = {option.name for option in fields(find_method(method).options)}
        chosen = tuple(names) if "covariates" in known else ()
        passed = comparison in {"never_treated", "not_yet_treated"}
        against = "own" if passed and "comparison" not in known else comparison
        one = Specification(method, chosen, tuple(window), against, weight, scale, options)
        key = (method, repr(sorted(options.items())), chosen, one.window, against, weight, scale)
        found.setdefault(key, one)
    return tuple(found.values())


def all_subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """List all subsets of some names, the empty one first.

    Examples
    --------
    >>> all_subsets(("gdp", "age"))
    [(), ('gdp',), ('age',), ('gdp', 'age')]
    """
    return [subset for size in range(len(names) + 1) for subset in combinations(names, size)]


def method_options(specification: Specification) -> dict[str, Any]:
    """Return the options of the method: those declared, and the comparison where the method has this option."""
    options = dict(specification.options)
    has_comparison = any(option.name == "comparison" for option in fields(find_method(specification.method).options))
    if specification.comparison in {"never_treated", "not_yet_treated"}:
        options["comparison"] = specification.comparison
    elif specification.comparison == "eventually_treated" and has_comparison:
        options["comparison"] = "not_yet_treated"
    return options


def _check(design: Design, declared: Sequence[Specification]) -> None:
    """Refuse choices that do not exist, all at once."""
    faults = []
    for one in declared:
        for name, value, known in (
            ("comparison", one.comparison, COMPARISONS),
            ("weights", one.weights, WEIGHTS),
            ("scale", one.scale, SCALES),
        ):
            if value not in known:
                faults.append(f"{name}={value!r} is not a choice; allowed: {', '.join(known)}")
        faults += [f"the design has no covariate {name!r}" for name in one.covariates if name not in design.covariates]
        find_window(design, one.window)
        entry = find_method(one.method)
        options = method_options(one)
        if one.covariates:
            options["covariates"] = one.covariates
        entry.parse(options)
    if faults:
        raise EstimationError("Specifications: " + "; ".join(dict.fromkeys(faults)) + ".")


def find_window(design: Design, window: Window) -> tuple[int, int]:
    """Turn the labels of a window into ordinals."""
    matrices = design.matrices
    labels = [label(matrices.period_kind, int(period)) for period in matrices.periods]
    ends = []
    for end, default in zip(window, (0, -1), strict=True):
        if end is not None and str(end) not in labels:
            raise EstimationError(
                f"Window {window}: {end!r} is not a period of the panel, which has {', '.join(labels)}."
            )
        ends.append(int(matrices.periods[default if end is None else labels.index(str(end))]))
    if ends[0] >= ends[1]:
        raise EstimationError(f"Window {window}: the first period must come before the last.")
    return ends[0], ends[1]
