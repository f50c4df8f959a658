"""One programme, evaluated with one set of parameters: `StudySpec`, read from ``notebooks/studies/<study>.yaml``.

The specification is the set of notebook parameters. It is checked here, before any notebook starts: an unknown
parameter, a wrong type or an unknown study stops the run with all faults in one message.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from evalaid.base.errors import StudyError
from evalaid.base.project import (
    LITERATURE,
    OWN,
    PROJECT,
    PUBLISHED,
    PUBLISHED_FILES,
    REPORTS,
    STUDIES,
    SYNTHESIS,
    list_studies,
    read_study_file,
    study_file,
)
from evalaid.study import fields
from evalaid.study.combinations import DATA_KINDS, faults_between, unknown_field
from evalaid.study.manifest import NUMBERS_FILE, hash_value

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
_FROM_FILE: Any = None  # a field left out is read from the study's file

_REQUIRED: Any = object()


def _field(check: Callable[[Any], Any], default: Any = _REQUIRED, *, prose: bool = False, added: bool = False) -> Any:
    """Declare a field: its check, its value when the file does not name it, whether it is prose (left out of the hash).

    A field that was added after studies had been published is left out of the hash as long as it has its default: the
    hashes of studies that do not use it stay what they were.
    """
    metadata = {"check": check, "default": default, "prose": prose, "added": added}
    return dataclasses.field(default=_FROM_FILE, metadata=metadata)


@dataclass(frozen=True)
class StudySpec:
    """Say what one study reads, compares and reports: the parameters of its notebooks.

    Every field left out is read from ``notebooks/studies/<study>.yaml`` of the project, so
    ``StudySpec(study="korea_responsible_hospitals")`` is complete and
    ``StudySpec(study="korea_responsible_hospitals", level=0.9)`` changes one parameter.

    Parameters
    ----------
    study : str
        Name of the study, also the name of its file and of its folder in ``reports``: letters, digits, ``_`` and ``-``.
    title, question, programme, outcome_label, unit_label, cluster_label : str
        Words for the report; the labels of units and clusters are plurals (counties, prefectures).
    data_kind : {"real", "simulated", "published"}
        Shown on every page, table and figure. A study with ``simulation`` is "simulated", one with neither panel nor
        simulation, which can only examine published claims, is "published".
    origin : {"project", "own"}
        Whose study it is. One of your own (`evalaid new` writes it so) is run, verified and listed with the others, and stays out
        of the synthesis of the project's studies.
    panel : str, optional
        File of the panel, relative to the project: a tidy table (csv, a workbook, Parquet) with one row for each unit and
        period, or, with ``layout``, any table that `evalaid.read_table` reads.
    layout : str, optional
        YAML file that says how ``panel`` is read (``evalaid check FILE --write-layout``); its columns are then those of a reading:
        ``unit`` (codes, as text), ``name``, ``period``, ``inside``, ``total``, ``share`` (a fraction) and so on.
    roster_layout : str, optional
        YAML file that says how ``roster`` is read, when it is a file as an office keeps it.
    simulation : mapping, optional
        In place of ``panel``: ``generator`` (a name in `evalaid.simulate.generators.GENERATORS`), ``seed``, and what the
        generator takes (``effect_pp``, ``shape``, ...). The panel, its true effect and its calibration are written to
        ``reports/<study>/data``.
    unit, period, outcome : str
        Columns of the panel; for a simulated panel those that the generator gives (``roles`` of its result).
    outcome_unit : {"fraction", "percent", "number"}
        Unit of the outcome in the file; a percentage is converted once, to a fraction.
    inside, total : str, optional
        Columns of the counts behind a share: those treated inside (its numerator) and all. With both, ``3_effect`` shows the
        effect on each count; ``inside_label`` and ``outside_label`` are what they are called.
    link : str, optional
        File that gives each unit its group (the level of the programme) and its status; joined by ``unit``.
    cluster : str, optional
        Column by which units share shocks and treatment (a column of the panel or of the link file). Default: the unit.
    roster : str, optional
        File of partnerships; ``roster_unit`` is its column with the treated unit or group, ``roster_hospital`` the
        hospital. With ``roster_layout`` a file as an office keeps it (`evalaid.read_roster`), and ``roster_unit`` is the column of
        the panel that holds its units.
    start_column : str
        Column of the roster with the start; text after the date is ignored (``"2021-05 (teams set up)"``). With
        ``roster_layout`` one of start, announced, agreed, arrived.
    start_rule : {"containing_period", "first_full_period"}
        Whether the first treated period is the one that contains the start or the first one treated from its first day.
    cohort : str, optional
        Column of the panel with the first treated period, for panels without a roster.
    only_cohorts : list of periods
        Cohorts that stay in the sample beside the never treated; empty: all.
    keep : mapping
        Column -> values that stay in the sample.
    events, leave_out_events : str, list of str
        File of other events by group, and the kinds of event whose groups are left out.
    first_period, last_period : period, optional
        The panel's limits.
    covariates : list of str
        Covariates of the design.
    baseline : mapping
        Further columns that the table of the first period shows: column -> ``label``, ``unit``, ``digits``.
    weight : str, optional
        Column of weights. Default: every unit counts the same.
    weight_kind : {"analytic", "precision"}, optional
        Whether the weights say how much a unit counts or how exactly its outcome is measured (see `evalaid.diagnose`).
    anticipation : int
        Periods before the start in which the programme may already act.
    main : str
        The name, in ``methods``, of the estimate that the report leads with.
    methods, scenarios : mapping
        Name -> ``label``, ``why``; methods also ``method``, ``options``; both ``changes`` (fields of this class).
    dose : mapping, optional
        ``column`` (positive for treated units, one value a unit), ``label`` (with its unit), and, when wanted,
        ``comparison`` (never_treated, lowest_dose), ``degree`` (1 to 3), ``base`` (last, mean), ``changes`` (fields).
        Methods named "dose" take their column from here. Shown by the notebook ``4_dose``.
    placebo : mapping, optional
        Name -> ``label``, ``kind`` (time, space, outcome, units), and, when wanted, ``method`` (a name in ``methods``; default
        the main one), ``shifts`` (periods, for time), ``draws`` (for space and units), ``outcome`` and ``outcome_unit`` (columns
        that must not move). Shown by ``4_robustness``, which pretends an earlier start when there is none.
    recovery : mapping, optional
        For simulated studies: ``draws`` (panels drawn, 40 when left out), ``seed``, ``methods`` (trials of
        `evalaid.simulate.recovery.trials.TRIALS` or registered methods; default: all trials of the generator). Shown by ``4_recovery``.
    robustness : mapping, optional
        What ``4_robustness`` cannot know by itself: ``strata`` (column; who was treated is drawn again within these only),
        ``neighbours`` (``file`` with ``columns``, a pair of units a row), ``groups`` (column: units that share a supporting
        hospital or an area, whose untreated members may be reached). What is left out is not tried, and the page says so.
    claims : str, optional
        Key of the programme in ``data/published/programmes.csv``, whose published claims ``1_claims`` examines.
    notebooks : list of str
        The notebooks of the study, for example ``[1_claims, 2_design]``. Default: ``2_design`` and ``3_effect`` when
        there is a panel or a simulation, and the notebooks of the optional fields that are given.
    level : float
        Confidence level.
    seed, draws : int
        Seed and number of bootstrap draws of the simultaneous bands.
    summary, data_notes, caveats, limits, sources : list of str
        Paragraphs for the report (Markdown); ``{key}`` stands for a recorded number.

    Raises
    ------
    StudyError
        For an unknown study, a file that is no mapping, an unknown or missing field, a wrong type: all at once.

    Examples
    --------
    >>> StudySpec(study="korea_responsible_hospitals", level=0.9).level
    0.9
    """

    study: str
    title: str = _field(fields.text, prose=True)
    question: str = _field(fields.text, prose=True)
    programme: str = _field(fields.text, prose=True)
    data_kind: str = _field(fields.one_of(*DATA_KINDS))
    origin: str = _field(fields.one_of(PROJECT, OWN), PROJECT, prose=True)  # no number depends on it
    panel: str | None = _field(fields.text, None)
    layout: str | None = _field(fields.text, None, added=True)
    simulation: Mapping[str, Any] = _field(fields.parameters, MappingProxyType({}), added=True)
    unit: str = _field(fields.text, "")
    period: str = _field(fields.text, "")
    outcome: str = _field(fields.text, "")
    outcome_unit: str = _field(fields.one_of("fraction", "percent", "number"), "number")
    outcome_label: str = _field(fields.text, "outcome", prose=True)
    inside: str | None = _field(fields.text, None, added=True)
    total: str | None = _field(fields.text, None, added=True)
    inside_label: str = _field(fields.text, "Episodes inside", prose=True)
    outside_label: str = _field(fields.text, "Episodes outside", prose=True)
    unit_label: str = _field(fields.text, "units", prose=True)
    cluster_label: str = _field(fields.text, "clusters", prose=True)
    link: str | None = _field(fields.text, None)
    cluster: str | None = _field(fields.text, None)
    roster: str | None = _field(fields.text, None)
    roster_unit: str | None = _field(fields.text, None)
    roster_hospital: str | None = _field(fields.text, None)
    start_column: str | None = _field(fields.text, None)
    start_rule: str = _field(fields.one_of("containing_period", "first_full_period"), "containing_period")
    cohort: str | None = _field(fields.text, None)
    only_cohorts: tuple[int | str, ...] = _field(fields.periods, ())
    keep: Mapping[str, tuple[Any, ...]] = _field(fields.kept, MappingProxyType({}))
    events: str | None = _field(fields.text, None)
    leave_out_events: tuple[str, ...] = _field(fields.texts, ())
    first_period: int | str | None = _field(fields.period, None)
    last_period: int | str | None = _field(fields.period, None)
    covariates: tuple[str, ...] = _field(fields.texts, ())
    baseline: Mapping[str, Mapping[str, Any]] = _field(fields.specifications, MappingProxyType({}))
    weight: str | None = _field(fields.text, None)
    weight_kind: str | None = _field(fields.one_of("analytic", "precision"), None, added=True)
    anticipation: int = _field(fields.whole, 0)
    main: str = _field(fields.text, "")
    methods: Mapping[str, Mapping[str, Any]] = _field(fields.specifications, MappingProxyType({}))
    scenarios: Mapping[str, Mapping[str, Any]] = _field(fields.specifications, MappingProxyType({}))
    dose: Mapping[str, Any] = _field(fields.parameters, MappingProxyType({}), added=True)
    placebo: Mapping[str, Mapping[str, Any]] = _field(fields.specifications, MappingProxyType({}), added=True)
    recovery: Mapping[str, Any] = _field(fields.parameters, MappingProxyType({}), added=True)
    robustness: Mapping[str, Any] = _field(fields.parameters, MappingProxyType({}), added=True)
    claims: str | None = _field(fields.text, None, added=True)
    roster_layout: str | None = _field(fields.text, None, added=True)
    notebooks: tuple[str, ...] = _field(fields.texts, (), added=True)
    level: float = _field(fields.level, 0.95)
    seed: int = _field(fields.whole, 1)
    draws: int = _field(fields.whole, 999)
    summary: tuple[str, ...] = _field(fields.texts, (), prose=True)
    data_notes: tuple[str, ...] = _field(fields.texts, (), prose=True)
    caveats: tuple[str, ...] = _field(fields.texts, (), prose=True)
    limits: tuple[str, ...] = _field(fields.texts, (), prose=True)
    sources: tuple[str, ...] = _field(fields.texts, (), prose=True)

    def __post_init__(self) -> None:
        check_name(self.study)
        given = {name: value for name in field_names() if (value := getattr(self, name)) is not None}
        path = study_file(self.study)
        stored = read_study_file(path) if path.is_file() else {}
        if not stored and not _required().issubset(given):
            raise StudyError(_unknown_study(self.study))
        values = complete(self.study, {**stored, **given})
        for name, value in values.items():
            object.__setattr__(self, name, value)

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
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        checked = complete(self.study, {**values, **dict(changes)})
        other = object.__new__(type(self))
        for name, value in checked.items():
            object.__setattr__(other, name, value)
        return other

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain lists, dicts and scalars, in the order of the class."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    def hash(self) -> str:
        """Return the sha256 of every field that can change a number (prose is left out)."""
        left_out = {"study"}
        for f in dataclasses.fields(self):
            untouched = f.metadata.get("added") and getattr(self, f.name) == f.metadata["default"]
            if f.metadata.get("prose") or untouched:
                left_out.add(f.name)
        return hash_value({name: value for name, value in self.to_dict().items() if name not in left_out})

    def changed_fields(self) -> dict[str, Any]:
        """Return the fields that differ from the study's file: empty for the study as committed."""
        path = study_file(self.study)
        if not path.is_file():
            return {}
        stored = {name: _plain(value) for name, value in complete(self.study, read_study_file(path)).items()}
        return {name: value for name, value in self.to_dict().items() if value != stored[name]}

    def data_files(self) -> tuple[str, ...]:
        """Return the data files that this study and its scenarios read, relative to the project, sorted."""
        variants = self._variants()
        roles = ("panel", "layout", "link", "roster", "roster_layout", "events")
        files = {name for spec in variants for role in roles if (name := getattr(spec, role))}
        if self.study == SYNTHESIS:
            files |= {(REPORTS / name / NUMBERS_FILE).as_posix() for name in list_studies(PROJECT)}
            files |= {(PUBLISHED / LITERATURE).as_posix()}
        if "neighbours" in self.robustness:
            files |= {str(self.robustness["neighbours"]["file"])}
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

    def _variants(self) -> list[Self]:
        entries = [*self.methods.values(), *self.scenarios.values(), self.dose]
        return [self, *(self.change(entry["changes"]) for entry in entries if entry.get("changes"))]


def field_names() -> tuple[str, ...]:
    """Return the names of the parameters of a study."""
    return tuple(f.name for f in dataclasses.fields(StudySpec))


def _required() -> set[str]:
    return {f.name for f in dataclasses.fields(StudySpec) if f.metadata.get("default") is _REQUIRED}


def check_name(name: Any) -> str:
    """Return the name of a study if it can be a file name, else raise (``..`` and ``/`` never reach the disk)."""
    if not isinstance(name, str) or not _NAME.match(name):
        raise StudyError(
            f"'{name}' cannot be the name of a study: use the letters a to z, digits, '_' and '-' only (no '/', no '..', no "
            "spaces). The title in its file may be in any language."
        )
    return name


def complete(study: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check the fields of a study and fill in the defaults; all faults in one error."""
    known = {f.name: f for f in dataclasses.fields(StudySpec)}
    faults = [unknown_field(name, known) for name in values if name not in known]
    complete_values: dict[str, Any] = {"study": study}
    for name, declared in known.items():
        if name == "study":
            continue
        value, default = values.get(name), declared.metadata["default"]
        if value is None or (type(value) is type(default) and value == default):
            faults += [f"{name} is missing"] * (default is _REQUIRED)
            complete_values[name] = default
            continue
        try:
            complete_values[name] = declared.metadata["check"](value)
        except fields.UnfitError as error:
            faults.append(f"{name} must be {error}, found {value!r}")
    if not faults:
        faults = faults_between(complete_values, set(known), synthesis=study == SYNTHESIS)
    if faults:
        raise StudyError(f"The study '{study}' has {len(faults)} fault(s): " + "; ".join(faults) + ".")
    return complete_values


def load_study(name: str) -> StudySpec:
    """Read a study's file.

    Parameters
    ----------
    name : str
        Name of a file in ``notebooks/studies`` without ``.yaml``.

    Returns
    -------
    StudySpec

    Raises
    ------
    StudyError
        If the study is unknown (the error names the known ones) or its file has faults.

    Examples
    --------
    >>> load_study("korea_responsible_hospitals").data_kind
    'real'
    """
    return StudySpec(study=name)


def _unknown_study(name: str) -> str:
    known = list_studies()
    return f"There is no study '{name}'. Known studies: {', '.join(known) or 'none'} (files in {STUDIES.as_posix()})."


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
