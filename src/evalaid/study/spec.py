"""One programme, evaluated with one set of parameters: `StudySpec`, read from ``notebooks/studies/<study>.yaml``.

The specification is the set of notebook parameters. It is checked here, before any notebook starts: an unknown
parameter, a wrong type or an unknown study stops the run with all faults in one message.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Self

from pydantic import ModelWrapValidatorHandler, ValidationError, ValidationInfo, model_validator

from evalaid.base.errors import StudyError
from evalaid.base.project import (
    LITERATURE,
    PROJECT,
    PUBLISHED,
    PUBLISHED_FILES,
    REPORTS,
    STUDIES,
    SYNTHESIS,
    list_studies,
    project_root,
    read_study_file,
    study_file,
)
from evalaid.base.yaml_files import Path, YamlFile
from evalaid.study.entries import DoseEntry, MethodEntry, PlaceboEntry, ScenarioEntry, to_plain, without_nulls
from evalaid.study.manifest import NUMBERS_FILE, hash_value
from evalaid.study.study_faults import Fault, FaultyStudyError, explain, faults_between, write_path
from evalaid.study.study_fields import StudyFields

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)  # devices of Windows, with any ending
RECOVERY_FILE = "data/recovery.csv"  # how methods find a known effect, by study: takes hours, so it is kept
_ALONE = "alone"  # context of a check in which nothing is read from the study's file
_PROSE = {"title", "language", "map", "question", "programme", "caution", "origin", "outcome_label", "outcome_measure", "not_in_panel", "inside_label", "outside_label", "unit_label", "cluster_label", "summary", "data_notes", "caveats", "limits", "sources"}  # fmt: skip
"""No number depends on these: they are left out of the hash."""
_ADDED = {"layout", "simulation", "inside", "total", "weight_kind", "dose", "placebo", "recovery", "robustness", "claims", "roster_layout", "notebooks", "never", "treated", "estimands", "outcomes", "smallest_effect", "leave_out", "roster_keep", "event_window", "stratum", "exposure"}  # fmt: skip
"""Added after studies had been published: left out of the hash while not used, so that the hashes of older studies stay."""


class StudySpec(StudyFields):
    """Describe what one study reads, compares and reports: the parameters of its notebooks.

    Every field left out is read from ``notebooks/studies/<study>.yaml`` of the project, so
    ``StudySpec(study="korea_responsible_hospitals")`` is complete and
    ``StudySpec(study="korea_responsible_hospitals", level=0.9)`` changes one parameter.

    Raises
    ------
    StudyError
        For an unknown study, a file that is no mapping, an unknown or missing field, a wrong type: all at once.

    Examples
    --------
    >>> StudySpec(study="korea_responsible_hospitals", level=0.9).level
    0.9
    """

    @model_validator(mode="wrap")
    @classmethod
    def _complete(cls, given: Any, check: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        """Fill in what the study's file says, check every field, and raise all faults at once."""
        check_name(given.get("study"))
        values, lines, shown = without_nulls(given), YamlFile({}, {}), ""
        if info.context != _ALONE:
            values, lines, shown = _read_beside(values)
        faults: list[Fault] = []
        try:
            spec = check({name: value for name, value in values.items() if not _is_default(name, value)})
        except ValidationError as error:
            faults = explain(error, cls)
        else:
            faults = faults_between(spec, synthesis=spec.study == SYNTHESIS)
            if not faults and info.context != _ALONE:
                faults = _faults_of_changes(spec)
        if faults:
            raise FaultyStudyError(values["study"], faults, lines, shown)
        return spec

    @classmethod
    def from_names(cls, names: Mapping[str, Any]) -> Self:
        """Take the parameters from a notebook's variables (``globals()``); names that are no parameters are left alone."""
        return cls(**{name: names[name] for name in field_names() if names.get(name) is not None})

    def change(self, changes: Mapping[str, Any]) -> Self:
        """Return the same study with some fields changed (how scenarios and method variants are made).

        Raises
        ------
        StudyError
            If a field is unknown or has the wrong type.
        """
        values = {name: getattr(self, name) for name in self.model_fields_set}
        return self.model_validate({**values, **changes, "study": self.study}, context=_ALONE)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain lists, dicts and scalars, in the order of the class."""
        return {name: to_plain(getattr(self, name)) for name in field_names()}

    def hash(self) -> str:
        """Return the sha256 of every field that can change a number (prose is left out)."""
        unused = {name for name in _ADDED if getattr(self, name) == _default(name)}
        left_out = {"study", *_PROSE, *unused}
        return hash_value({name: value for name, value in self.to_dict().items() if name not in left_out})

    def changed_fields(self) -> dict[str, Any]:
        """Return the fields that differ from the study's file: empty for the study as committed."""
        if not study_file(self.study).is_file():
            return {}
        stored = type(self)(study=self.study).to_dict()
        return {name: value for name, value in self.to_dict().items() if value != stored[name]}

    def data_files(self) -> tuple[str, ...]:
        """Return the data files that this study and its scenarios read, relative to the project, sorted."""
        roles = ("panel", "layout", "link", "roster", "roster_layout", "events", "map")
        files = {name for spec in self._variants() for role in roles if (name := getattr(spec, role))}
        if self.study == SYNTHESIS:
            files |= {(REPORTS / name / NUMBERS_FILE).as_posix() for name in list_studies(PROJECT)}
            files |= {(PUBLISHED / LITERATURE).as_posix()}
        if self.robustness.neighbours is not None:
            files |= {self.robustness.neighbours.file}
        for beside in (self.robustness.exposure, self.robustness.elsewhere):
            files |= {beside.file} if beside is not None else set()
        if self.robustness.exposure is not None and self.robustness.exposure.areas is not None:
            files |= {self.robustness.exposure.areas.file}
        files |= {entry.among.file for entry in self.estimands.values() if entry.among is not None}
        if self.recovery is not None and (project_root() / RECOVERY_FILE).is_file():
            files |= {RECOVERY_FILE}
        if self.claims is not None or self.study == SYNTHESIS:
            files |= {(PUBLISHED / name).as_posix() for name in PUBLISHED_FILES}
        return tuple(sorted(files))

    def simulations(self) -> tuple[Mapping[str, Any], ...]:
        """Return the simulations that this study and its scenarios ask for, each once, its own first."""
        found: list[Mapping[str, Any]] = []
        for spec in self._variants():
            if spec.simulation and spec.simulation not in found:
                found.append(spec.simulation)
        return tuple(found)

    def changes(self) -> dict[Path, Mapping[str, Any]]:
        """Return the changes that methods, scenarios, controls and the dose make, by their places in the study's file."""
        entries: dict[Path, MethodEntry | ScenarioEntry | PlaceboEntry | DoseEntry] = {
            **{("methods", name): entry for name, entry in self.methods.items()},
            **{("scenarios", name): entry for name, entry in self.scenarios.items()},
            **{("estimands", name): entry for name, entry in self.estimands.items()},
            **{("outcomes", name): entry for name, entry in self.outcomes.items()},
            **{("placebo", name): entry for name, entry in self.placebo.items()},
        }
        if self.dose is not None:
            entries["dose",] = self.dose
        return {(*place, "changes"): entry.changes for place, entry in entries.items() if entry.changes}

    def _variants(self) -> list[Self]:
        return [self, *map(self.change, self.changes().values())]


def _read_beside(given: Mapping[str, Any]) -> tuple[dict[str, Any], YamlFile, str]:
    """Return the values that are given and, of the others, those of the study's file with their lines, and its name."""
    path = study_file(given["study"])
    if not path.exists():
        if not _required() <= set(given):
            raise StudyError(_unknown_study(given["study"]))
        return dict(given), YamlFile({}, {}), ""
    stored = read_study_file(path)
    lines = {place: line for place, line in stored.lines.items() if place and place[0] not in given}
    return {**without_nulls(stored.value), **given}, YamlFile(stored.value, lines), path.name


def _faults_of_changes(spec: StudySpec) -> list[Fault]:
    found: list[Fault] = []
    for place, changes in spec.changes().items():
        try:
            spec.change(changes)
        except FaultyStudyError as error:
            found += [((*place, *path), f"{write_path(place)}: {text}") for path, text in error.faults]
    return found


def field_names() -> tuple[str, ...]:
    """Return the names of the parameters of a study."""
    return tuple(StudySpec.model_fields)


@cache
def _default(name: str) -> Any:
    return StudySpec.model_fields[name].get_default(call_default_factory=True)


def _is_default(name: str, value: Any) -> bool:
    """Check whether a value is that of a field left out; of another type it is none, although True == 1."""
    if name not in StudySpec.model_fields or name in _required():
        return False
    return type(value) is type(_default(name)) and bool(value == _default(name))


@cache
def _required() -> frozenset[str]:
    return frozenset(name for name, field in StudySpec.model_fields.items() if field.is_required())


def check_name(name: Any) -> str:
    """Return the name of a study if it can be a file name, else raise (``..`` and ``/`` never reach the disk)."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
        shown = f"{name[:40]}..." if isinstance(name, str) and len(name) > 40 else name
        raise StudyError(
            f"{shown!r} cannot be the name of a study: use the letters a to z, digits, '_' and '-' only, 100 at most (no '/', no "
            "'..', no spaces, no device of Windows such as aux or com1). The title in its file may be in any language."
        )
    return name


def load_study(name: str) -> StudySpec:
    """Read the file of a study; the error for an unknown one names those that are known.

    Examples
    --------
    >>> load_study("korea_responsible_hospitals").data_kind
    'real'
    """
    return StudySpec(study=name)


def _unknown_study(name: str) -> str:
    known = list_studies()
    near = difflib.get_close_matches(name, known, n=1)
    meant = f" Did you mean '{near[0]}'?" if near else ""
    return f"There is no study '{name}'. Known studies: {', '.join(known) or 'none'} (files in {STUDIES.as_posix()}).{meant}"


def _document_fields(text: str) -> str:
    """Put the fields, with what each is, into the class's docstring, before what it raises."""
    fields = "\n".join(f"{name}\n    {field.description}" for name, field in StudySpec.model_fields.items())
    before, raises, after = inspect.cleandoc(text).partition("Raises\n")
    return f"{before}Parameters\n----------\n{fields}\n\n{raises}{after}"


StudySpec.__doc__ = _document_fields(StudySpec.__doc__ or "")
