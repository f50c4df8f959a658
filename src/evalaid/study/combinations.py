"""Faults of a study that concern several fields at once: what excludes what, and what needs what."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evalaid.reading.tables.tidy import KINDS

REAL, SIMULATED, PUBLISHED, MIXED = "real", "simulated", "published", "real and simulated"
DATA_KINDS = (REAL, SIMULATED, PUBLISHED, MIXED)
NEEDED_WITH_DATA = ("unit", "period", "outcome", "main", "methods")
# A notebook that shows an optional field, and nothing without it.
SHOWN_BY = {"claims": "1_claims", "dose": "4_dose", "recovery": "4_recovery"}
_DOSE = {"column", "label", "comparison", "degree", "base", "changes"}
_PLACEBO = {"label", "kind", "method", "shifts", "draws", "outcome", "outcome_unit", "why"}
_RECOVERY = {"methods", "draws", "seed"}
_KINDS = ("time", "space", "outcome", "units")
_ROBUSTNESS = {"strata", "neighbours", "groups"}


def faults_between(values: Mapping[str, Any], known: set[str], *, synthesis: bool = False) -> list[str]:
    """Find the faults of a study's fields taken together.

    Parameters
    ----------
    values : mapping
        Every field with its checked value.
    known : set of str
        Names of the fields.
    synthesis : bool
        Whether this is the synthesis of all studies, which has no data of its own.

    Returns
    -------
    list of str
        One sentence a fault; empty when the fields fit.
    """
    if synthesis:
        return ["the synthesis takes no data of its own"] * bool(values["panel"] or values["simulation"])
    found = [*_data(values), *_notebooks(values)]
    if values["panel"] or values["simulation"]:
        found += [*_starts(values), *_entries(values, known), *_dose(values, known), *_placebo(values)]
        found += _robustness(values)
    return [*found, *_recovery(values)]


def unknown_field(name: Any, known: Iterable[str]) -> str:
    """Say that a field is unknown, and which one may be meant."""
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f"unknown parameter '{name}'" + (f" (did you mean '{near[0]}'?)" if near else "")


def _data(values: Mapping[str, Any]) -> Iterator[str]:
    panel, simulation, kind = values["panel"], values["simulation"], values["data_kind"]
    if (values["inside"] is None) != (values["total"] is None):
        yield "give both inside and total (columns of counts), or neither"
    if values["weight_kind"] is not None and values["weight"] is None:
        yield f"weight_kind is '{values['weight_kind']}', but weight is missing"
    if panel and simulation:
        yield "give either panel (a file) or simulation (a generator), not both"
    if values["layout"] and not panel:
        yield "layout says how a panel is read, but panel (a file) is missing"
    if panel and not values["layout"] and not str(panel).lower().endswith(tuple(KINDS)):
        yield f"panel is '{panel}': a tidy panel is a file that ends in {', '.join(sorted(KINDS))}; any other needs a layout"
    if values["roster_layout"] and not values["roster"]:
        yield "roster_layout says how a roster is read, but roster (a file) is missing"
    if simulation:
        yield from (f"simulation has no {name}" for name in ("generator", "seed") if name not in simulation)
        if kind != SIMULATED:
            yield f"data_kind is '{kind}', but the panel is made by a simulation: say 'simulated'"
    elif panel:
        if kind not in {REAL, SIMULATED}:
            yield f"data_kind is '{kind}', but there is a panel: say 'real' or 'simulated'"
    else:
        if kind != PUBLISHED:
            yield f"data_kind is '{kind}', but there is neither panel nor simulation: say 'published', or name a panel"
        if not values["claims"]:
            yield "give panel, simulation or claims: there is nothing to examine"
        for name in ("main", "methods", "scenarios", "dose", "placebo", "robustness", "roster", "cohort"):
            if values[name]:
                yield f"{name} needs a panel or a simulation"
        return
    yield from (f"{name} is missing" for name in NEEDED_WITH_DATA if not values[name])


def _notebooks(values: Mapping[str, Any]) -> Iterator[str]:
    chosen = values["notebooks"]
    for name, notebook in SHOWN_BY.items():
        if values[name] and chosen and notebook not in chosen:
            yield f"{name} is given, but notebooks leaves out {notebook}, which shows it"
        if not values[name] and notebook in chosen:
            yield f"notebooks names {notebook}, which needs {name}"
    if not (values["panel"] or values["simulation"]):
        for notebook in chosen:
            if notebook not in SHOWN_BY.values():
                yield f"notebooks names {notebook}, which needs a panel or a simulation"
    twice = {name for name in chosen if chosen.count(name) > 1}
    yield from (f"notebooks names {name} twice" for name in sorted(twice))


def _starts(values: Mapping[str, Any]) -> Iterator[str]:
    if (values["roster"] is None) == (values["cohort"] is None):
        yield "give either roster (with roster_unit, start_column) or cohort"
    if values["roster"] is not None:
        for name in ("roster_unit", "start_column"):
            if not values[name]:
                yield f"{name} is missing (roster is given)"


def _entries(values: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    if values["methods"] and values["main"] and values["main"] not in values["methods"]:
        yield f"main is '{values['main']}', methods has {', '.join(values['methods'])}"
    for kind in ("methods", "scenarios"):
        allowed = {"label", "why", "changes"} | ({"method", "options"} if kind == "methods" else set())
        for name, entry in values[kind].items():
            yield from (f"{kind}.{name} has an unknown entry '{item}'" for item in entry if item not in allowed)
            if "label" not in entry:
                yield f"{kind}.{name} has no label"
            if kind == "methods" and "method" not in entry:
                yield f"methods.{name} has no method"
            if entry.get("method") == "dose" and not values["dose"]:
                yield f"methods.{name} estimates by dose, but dose (with its column) is missing"
            yield from _changes(f"{kind}.{name}", entry, known)


def _dose(values: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    entry = values["dose"]
    if not entry:
        return
    yield from (f"dose has an unknown entry '{item}'" for item in entry if item not in _DOSE)
    yield from (f"dose has no {item}" for item in ("column", "label") if not isinstance(entry.get(item), str))
    yield from _changes("dose", entry, known)


def _placebo(values: Mapping[str, Any]) -> Iterator[str]:
    for name, entry in values["placebo"].items():
        yield from (f"placebo.{name} has an unknown entry '{item}'" for item in entry if item not in _PLACEBO)
        if "label" not in entry:
            yield f"placebo.{name} has no label"
        if entry.get("kind") not in _KINDS:
            yield f"placebo.{name}.kind must be one of {', '.join(_KINDS)}, found {entry.get('kind')!r}"
        if entry.get("kind") == "outcome" and not isinstance(entry.get("outcome"), (str, list, tuple)):
            yield f"placebo.{name} must name its outcome: a column, or several"
        if entry.get("method", values["main"]) not in values["methods"]:
            yield f"placebo.{name}.method is '{entry['method']}', methods has {', '.join(values['methods'])}"


def _robustness(values: Mapping[str, Any]) -> Iterator[str]:
    entry = values["robustness"]
    yield from (f"robustness has an unknown entry '{item}'" for item in entry if item not in _ROBUSTNESS)
    for name in ("strata", "groups"):
        if name in entry and not isinstance(entry[name], str):
            yield f"robustness.{name} must be the name of a column, found {entry[name]!r}"
    pairs = entry.get("neighbours")
    if pairs is None:
        return
    if not isinstance(pairs, Mapping) or set(pairs) != {"file", "columns"} or not isinstance(pairs["file"], str):
        yield "robustness.neighbours must have file (a csv) and columns (two names: a unit and its neighbour)"
    elif not isinstance(pairs["columns"], (list, tuple)) or len(pairs["columns"]) != 2:
        yield f"robustness.neighbours.columns must be two names, found {pairs['columns']!r}"


def _recovery(values: Mapping[str, Any]) -> Iterator[str]:
    entry = values["recovery"]
    if not entry:
        return
    if not values["simulation"]:
        yield "recovery needs a simulation: on a real panel the effect is not known"
    yield from (f"recovery has an unknown entry '{item}'" for item in entry if item not in _RECOVERY)
    if not isinstance(entry.get("methods", []), (list, tuple)):
        yield f"recovery.methods must be a list of names, found {entry['methods']!r}"
    draws = entry.get("draws", 1)
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 1:
        yield f"recovery.draws must be a whole number above 0, found {draws!r}"


def _changes(where: str, entry: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    changes = entry.get("changes", {})
    if not isinstance(changes, Mapping):
        yield f"{where}.changes must be a mapping from a field to its value"
        return
    yield from (f"{where}.changes: {unknown_field(name, known)}" for name in changes if name not in known)
