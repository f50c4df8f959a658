"""Faults of a study's file in words: of single fields, and of fields taken together (what excludes what, what needs what)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from evalaid.base.errors import StudyError
from evalaid.base.texts import counted
from evalaid.base.yaml_files import Path, YamlFile
from evalaid.reading.files.endings import KINDS
from evalaid.study.entries import MUST, SAID
from evalaid.study.study_fields import PUBLISHED, REAL, SIMULATED, StudyFields

Fault = tuple[Path, str]  # where in the file, and one sentence
NEEDED_WITH_DATA = ("unit", "period", "outcome", "main", "methods")
# A notebook that shows an optional field, and nothing without it.
SHOWN_BY = {"claims": "1_claims", "dose": "4_dose", "recovery": "4_recovery"}


class FaultyStudyError(StudyError):
    """The faults of a study, each with its line where it stands in the study's file."""

    def __init__(self, study: str, faults: Sequence[Fault], file: YamlFile, shown: str) -> None:
        self.faults = tuple(faults)
        listed = []
        for path, text in faults:
            line = file.line_of(path)
            listed.append(f"{text} ({shown}, line {line})" if line else text)
        super().__init__(f"The study '{study}' has {counted(len(listed), 'fault')}: " + "; ".join(listed) + ".")


def explain(error: ValidationError, model: type[BaseModel]) -> list[Fault]:
    """Turn pydantic's faults into sentences: what must be, what was found, and which name may be meant."""
    return [_explain(one, model) for one in error.errors(include_url=False)]


def _explain(one: Any, model: type[BaseModel]) -> Fault:
    path: Path = tuple(part for part in one["loc"] if part != "[key]")
    shown, parent, kind = write_path(path), write_path(path[:-1]), one["type"]
    if kind == "missing":
        return path[:-1], f"{parent} has no {path[-1]}" if parent else f"{path[-1]} is missing"
    if kind == "extra_forbidden":
        if not parent:
            return path, unknown_field(path[-1], model.model_fields)
        return path, f"{parent} has an unknown entry '{path[-1]}'" + _nearest(path[-1], _known(path[:-1], model))
    if kind in {MUST, SAID}:
        return path, f"{shown} {one['msg']}" + (f", found {one['input']!r}" if kind == MUST else "")
    must = "be a mapping" if kind in {"model_type", "dict_type", "mapping_type"} else f"be valid ({one['msg']})"
    return path, f"{shown} must {must}, found {one['input']!r}"


def write_path(path: Path) -> str:
    """Write a place in a study's file: ``methods.main.options``, ``keep.year[0]``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def unknown_field(name: Any, known: Iterable[str]) -> str:
    """Write that a field is unknown, and which one may be meant."""
    return f"unknown parameter '{name}'" + _nearest(name, known)


def _nearest(name: Any, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""


def _known(path: Path, model: type[BaseModel]) -> list[str]:
    """Return the names of the entries that may stand at a place: those of the models that its field is made of."""
    found: list[str] = []
    fields = [model.model_fields[str(path[0])].annotation] if path[0] in model.model_fields else []
    while fields:
        annotation = fields.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found += annotation.model_fields
            fields += [field.annotation for field in annotation.model_fields.values()]
        fields += getattr(annotation, "__args__", ())
    return found


def faults_between(spec: StudyFields, *, synthesis: bool = False) -> list[Fault]:
    """Find the faults of a study's fields taken together; the synthesis of all studies has no data of its own."""
    if synthesis:
        return [((), "the synthesis takes no data of its own")] * bool(spec.panel or spec.simulation)
    found = [*_files(spec), *_data(spec), *_notebooks(spec)]
    if spec.panel or spec.simulation:
        found += [*_starts(spec), *_entries(spec)]
    if spec.recovery and not spec.simulation:
        found.append((("recovery",), "recovery needs a simulation: on a real panel the effect is not known"))
    return found


def _files(spec: StudyFields) -> Iterator[Fault]:
    if (spec.inside is None) != (spec.total is None):
        yield ("inside",), "give both inside and total (columns of counts), or neither"
    if spec.weight_kind is not None and spec.weight is None:
        yield ("weight_kind",), f"weight_kind is '{spec.weight_kind}', but weight is missing"
    if spec.exposure is not None and spec.start_rule == "first_full_period":
        yield (
            ("exposure",),
            "exposure counts the period of the start by its part, and start_rule 'first_full_period' leaves it out: give one of the two",
        )
    if spec.panel and spec.simulation:
        yield ("simulation",), "give either panel (a file) or simulation (a generator), not both"
    if spec.layout and not spec.panel:
        yield ("layout",), "layout says how a panel is read, but panel (a file) is missing"
    if spec.panel and not spec.layout and not spec.panel.lower().endswith(tuple(KINDS)):
        ends = ", ".join(sorted(KINDS))
        yield (
            ("panel",),
            f"panel is '{spec.panel}': a tidy panel is a file that ends in {ends}; any other needs a layout",
        )
    if spec.roster_keep and (spec.roster_layout or not spec.roster):
        yield ("roster_keep",), "roster_keep needs a roster that is a tidy table: give roster, without roster_layout"
    if spec.roster_layout and not spec.roster:
        yield ("roster_layout",), "roster_layout says how a roster is read, but roster (a file) is missing"


def _data(spec: StudyFields) -> Iterator[Fault]:
    kind = spec.data_kind
    if spec.simulation:
        missing = [name for name in ("generator", "seed") if name not in spec.simulation]
        yield from ((("simulation",), f"simulation has no {name}") for name in missing)
        if kind != SIMULATED:
            yield ("data_kind",), f"data_kind is '{kind}', but the panel is made by a simulation: say 'simulated'"
    elif spec.panel:
        if kind not in {REAL, SIMULATED}:
            yield ("data_kind",), f"data_kind is '{kind}', but there is a panel: say 'real' or 'simulated'"
    else:
        if kind != PUBLISHED:
            text = f"data_kind is '{kind}', but there is neither panel nor simulation: say 'published', or name a panel"
            yield ("data_kind",), text
        if not spec.claims:
            yield (), "give panel, simulation or claims: there is nothing to examine"
        for name in (
            "main",
            "methods",
            "scenarios",
            "estimands",
            "outcomes",
            "dose",
            "placebo",
            "robustness",
            "roster",
            "cohort",
            "treated",
        ):
            if name in spec.model_fields_set:
                yield (name,), f"{name} needs a panel or a simulation"
        return
    yield from (((), f"{name} is missing") for name in NEEDED_WITH_DATA if not getattr(spec, name))


def _notebooks(spec: StudyFields) -> Iterator[Fault]:
    chosen = spec.notebooks
    for name, notebook in SHOWN_BY.items():
        given = getattr(spec, name) is not None
        if given and chosen and notebook not in chosen:
            yield ("notebooks",), f"{name} is given, but notebooks leaves out {notebook}, which shows it"
        if not given and notebook in chosen:
            yield ("notebooks",), f"notebooks names {notebook}, which needs {name}"
    if not (spec.panel or spec.simulation):
        others = [notebook for notebook in chosen if notebook not in SHOWN_BY.values()]
        yield from ((("notebooks",), f"notebooks names {name}, which needs a panel or a simulation") for name in others)
    twice = {name for name in chosen if chosen.count(name) > 1}
    yield from ((("notebooks",), f"notebooks names {name} twice") for name in sorted(twice))


def _starts(spec: StudyFields) -> Iterator[Fault]:
    given = [name for name in ("roster", "cohort", "treated") if getattr(spec, name) is not None]
    if len(given) != 1:
        found = f", found {' and '.join(given)}" if given else ""
        yield ("cohort",), f"give either roster (with roster_unit, start_column), or cohort, or treated{found}"
    if spec.start_rule == "part_of_period" and (spec.exposure is not None or spec.roster is None):
        yield (
            ("start_rule",),
            "start_rule 'part_of_period' takes the part from the dates of a roster: give it with roster and without exposure",
        )
    if spec.never and spec.cohort is None:
        yield ("never",), "never lists values of cohort, but cohort is missing"
    if spec.roster is not None:
        missing = [name for name in ("roster_unit", "start_column") if not getattr(spec, name)]
        yield from ((("roster",), f"{name} is missing (roster is given)") for name in missing)


def _entries(spec: StudyFields) -> Iterator[Fault]:
    listed = ", ".join(spec.methods)
    if spec.methods and spec.main and spec.main not in spec.methods:
        yield ("main",), f"main is '{spec.main}', methods has {listed}"
    for name, entry in spec.methods.items():
        if entry.method == "dose" and not spec.dose:
            yield ("methods", name), f"methods.{name} estimates by dose, but dose (with its column) is missing"
    for name, test in spec.placebo.items():
        if (test.method or spec.main) not in spec.methods:
            yield ("placebo", name), f"placebo.{name}.method is '{test.method}', methods has {listed}"
