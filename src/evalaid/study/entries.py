"""What the fields of a study hold: the kinds of value, and the entries of its methods, scenarios and tests, as typed models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

T = TypeVar("T")
MUST, SAID = "must", "said"  # kinds of fault: "<field> must <words>, found <value>", and a whole sentence


def must(words: str) -> WrapValidator:
    """Annotate what a value must be in words, in place of pydantic's sentence."""

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError(MUST, "must {words}", {"words": words}) from None

    return WrapValidator(check)


def _shape(kind: type | tuple[type, ...], words: str) -> BeforeValidator:
    """Check the outer shape of a value; faults inside it keep their own places."""

    def check(value: Any) -> Any:
        if not isinstance(value, kind):
            raise PydanticCustomError(MUST, "must {words}", {"words": words})
        return value

    return BeforeValidator(check)


def _plain(value: Any) -> Any:
    """Return a value of YAML or JSON with read-only mappings and tuples; what no such file can hold is refused."""
    if isinstance(value, Mapping):
        return MappingProxyType({str(key): _plain(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value))
    whole = value is None or isinstance(value, (bool, int, str))
    if not whole and not (isinstance(value, float) and math.isfinite(value)):
        raise PydanticCustomError(MUST, "must {words}", {"words": "hold text, finite numbers, true and false only"})
    return value


def _frozen(value: Mapping[str, T]) -> Mapping[str, T]:
    return MappingProxyType(dict(value))


def _filled(value: Mapping[str, T]) -> Mapping[str, T]:
    if not all(value.values()):
        raise PydanticCustomError(MUST, "must {words}", {"words": _KEEP})
    return _frozen(value)


def one_of(*words: str, said: str = "") -> tuple[Any, ...]:
    """Annotate a text that is one of a few words."""
    listed = said or "be " + " or ".join(f"'{word}'" for word in words)

    def check(value: Any) -> str:
        if value not in words:
            raise PydanticCustomError(MUST, "must {words}", {"words": listed})
        return str(value)

    return BeforeValidator(check), Field(json_schema_extra={"enum": list(words)})


Kind = Literal["time", "space", "outcome", "units", "control"]
_KEEP = "be a mapping from a column to the list of values that stay in the sample"
Key = Annotated[str, BeforeValidator(str)]
Text = Annotated[StrictStr, StringConstraints(strip_whitespace=True, min_length=1), must("be text")]
Column = Annotated[StrictStr, StringConstraints(strip_whitespace=True, min_length=1), must("be the name of a column")]
Texts = Annotated[
    tuple[Annotated[StrictStr, StringConstraints(strip_whitespace=True)], ...], must("be a list of texts")
]
Whole = Annotated[int, Field(strict=True, ge=0), must("be a whole number, not negative")]
Counted = Annotated[int, Field(strict=True, ge=1), must("be a whole number above 0")]
Size = Annotated[float, Field(gt=0, allow_inf_nan=False), must("be a number above 0")]
Level = Annotated[float, Field(strict=True, ge=0.5, lt=1), must("be a number from 0.5 to below 1, such as 0.95")]
Period = Annotated[StrictInt | StrictStr, must("be a period such as 2023 or '2023Q1'")]
Periods = Annotated[tuple[Period, ...], must("be a list of periods, such as [2021, 2022]")]
Value = Annotated[
    StrictBool | StrictInt | Annotated[float, Field(strict=True, allow_inf_nan=False)] | StrictStr,
    must("be text, a finite number, true or false (a date is text: write it with quotes)"),
]
Kept = Annotated[Mapping[Key, Annotated[tuple[Value, ...], _shape((list, tuple), "be a list of values")]], _shape(Mapping, _KEEP), AfterValidator(_filled)]  # fmt: skip
EventWindow = Annotated[
    tuple[Annotated[StrictInt, Field(lt=0)], Annotated[StrictInt, Field(ge=0)]],
    must("be two whole numbers, the first below 0 and the last 0 or above, such as [-5, 7]"),
]
LeftOut = Annotated[tuple[Kept, ...], must("be a list of mappings from a column to a list of values")]
Parameters = Annotated[
    Mapping[Key, Annotated[Any, AfterValidator(_plain)]],
    _shape(Mapping, "be a mapping from names to values"),
    AfterValidator(_frozen),
]
Changes = Annotated[
    Mapping[Key, Annotated[Any, AfterValidator(_plain)]],
    _shape(Mapping, "be a mapping from a field to its value"),
    AfterValidator(_frozen),
]


def empty_mapping() -> Mapping[str, Any]:
    """Return the mapping of a field that was left out."""
    return MappingProxyType({})


def without_nulls(given: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the entries that have a value."""
    return {str(name): value for name, value in given.items() if value is not None}


def named() -> tuple[Any, ...]:
    """Annotate a mapping from names to entries."""
    return _shape(Mapping, "be a mapping from a name to a mapping"), AfterValidator(_frozen)


class StudyPart(BaseModel):
    """A part of a study's file: frozen, an unknown entry is a fault, and an entry without a value counts as left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        return without_nulls(given) if isinstance(given, Mapping) else given

    def to_dict(self) -> dict[str, Any]:
        """Return the entries that were given as plain lists, dicts and scalars, in the order of the class."""
        names = [name for name in type(self).model_fields if name in self.model_fields_set]
        return {name: to_plain(getattr(self, name)) for name in names}


class NamedEntry(StudyPart):
    """An entry with the words that the report shows."""

    label: Text = Field(description="What it is called in tables and figures.")
    why: Annotated[StrictStr, must("be text")] = Field(
        default="", description="One sentence for the reader: why it is here."
    )


class ScenarioEntry(NamedEntry):
    """The main estimate once more, with some fields of the study changed."""

    changes: Changes = Field(default_factory=empty_mapping, description="Fields of the study, with other values.")


class MethodEntry(ScenarioEntry):
    """One way to estimate the effect."""

    method: Text = Field(description="A registered method: evalaid methods lists them.")
    options: Parameters = Field(
        default_factory=empty_mapping, description="Its options, as evalaid.estimate takes them."
    )


class AmongEntry(StudyPart):
    """Some of the treated units, by whether a file lists them; the others serve as comparison until their own start."""

    file: Text = Field(description="A csv, relative to the project.")
    column: Column = Field(description="Its column with the units that it lists.")
    where: Kept = Field(
        default_factory=empty_mapping, description="Values of its rows that count, by column; default: all rows."
    )
    listed: StrictBool = Field(default=True, description="Whether the listed treated units stay, or the others.")


class EstimandEntry(ScenarioEntry):
    """Another average of the effect: other units, other weights, another population."""

    method: Text | None = Field(default=None, description="A name in methods; default: the main one.")
    level: Annotated[str, *one_of("unit", "cluster")] = Field(
        default="unit", description="What counts once: a unit, or a cluster with the mean of its units."
    )
    weight: Column | None = Field(
        default=None, description="Column by whose first value units count within their cluster; default: all the same."
    )
    among: AmongEntry | None = Field(default=None, description="Treated units whose effect is averaged; default: all.")
    above: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None, description="Units stay whose outcome is above this, in the file's unit, in every period."
    )
    without: Annotated[tuple[Value, ...], must("be a list of units")] = Field(
        default=(), description="Units that are left out."
    )


class PlaceboEntry(NamedEntry):
    """A test of what must not move."""

    kind: Annotated[Kind, *one_of(*get_args(Kind), said=f"be one of {', '.join(get_args(Kind))}")] = Field(
        description="Pretended in another time, for other units, on another outcome, on units that the programme cannot reach, or a control that should show no effect."
    )
    method: Text | None = Field(default=None, description="A name in methods; default: the main one.")
    shifts: Annotated[tuple[Counted, ...], must("be a list of whole numbers above 0")] | None = Field(
        default=None, description="Periods by which the start is moved, for time."
    )
    draws: Counted | None = Field(default=None, description="Re-assignments, for space and units.")
    outcome: Annotated[Column | tuple[Column, ...], must("be a column, or a list of columns")] | None = Field(
        default=None, description="Columns that must not move, for outcome."
    )
    outcome_unit: Annotated[str, *one_of("fraction", "percent", "number")] | None = Field(
        default=None, description="Unit of these columns."
    )
    changes: Changes = Field(
        default_factory=empty_mapping,
        description="Fields of the study with other values, for control: a roster of something else, other units.",
    )

    @model_validator(mode="after")
    def _names_what_is_pretended(self) -> PlaceboEntry:
        if self.kind == "outcome" and not self.outcome:
            raise PydanticCustomError(SAID, "must name its outcome: a column, or several")
        if (self.kind == "control") != bool(self.changes):
            raise PydanticCustomError(SAID, "must name its changes if its kind is control, and only then")
        return self


class DoseEntry(StudyPart):
    """The intensity of the programme."""

    column: Column = Field(description="Column with the dose: positive for treated units, one value per unit.")
    label: Text = Field(description="What it is called, with its unit.")
    comparison: Text | None = Field(default=None, description="never_treated or lowest_dose.")
    base: Text | None = Field(default=None, description="Periods before the start that are the base: last or mean.")
    degree: Whole | None = Field(default=None, description="Degree of the curve, 1 to 3.")
    changes: Changes = Field(default_factory=empty_mapping, description="Fields of the study, with other values.")

    def options(self) -> dict[str, Any]:
        """Return the options of the method that were given."""
        given = self.to_dict()
        return {name: given[name] for name in ("comparison", "base", "degree") if name in given}


class RecoveryEntry(StudyPart):
    """How often the simulation is drawn again, and by what it is estimated."""

    draws: Counted | None = Field(default=None, description="Panels drawn.")
    seed: Whole | None = Field(default=None, description="Default: the seed of the study.")
    methods: Texts | None = Field(
        default=None, description="Trials or registered methods; default: all trials of the generator."
    )


class NeighbourFile(StudyPart):
    """Pairs of units that touch."""

    file: Text = Field(description="A csv, relative to the project, one row per pair.")
    columns: Annotated[
        tuple[Column, Column], must("be two names: of the column of a unit, and of that of its neighbour")
    ] = Field(description="Its two columns: a unit and its neighbour.")


class StartsFile(StudyPart):
    """Starts of units that are not in the sample."""

    file: Text = Field(description="A csv, relative to the project, one row per unit of the roster.")
    start: Column = Field(description="Column of the start; its units stand in the column that roster_unit names.")


class AreaFile(StudyPart):
    """The area and the region of each unit: the two sides of a map of where residents go."""

    file: Text = Field(description="A csv, relative to the project, one row per unit.")
    unit: Column = Field(description="Column of the unit.")
    area: Column = Field(description="Column of the area that units go to.")
    region: Column = Field(description="Column of the region that an area lies in.")


class ExposureFile(StudyPart):
    """Where the residents of a unit go: pairs of units with counts."""

    file: Text = Field(description="A csv, relative to the project, one row per pair of units.")
    home: Column = Field(description="Column of the unit where people live.")
    where: Column = Field(description="Column of the unit where they go.")
    count: Column = Field(description="Column of how many.")
    label: Text = Field(description="What is counted, with its time.")
    limits: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], must("be a list of shares between 0 and 1")] = (
        Field(default=(0.1, 0.2), description="Largest shares in treated units with which a comparison unit stays.")
    )
    areas: AreaFile | None = Field(default=None, description="File of the area of each unit: draws where residents go.")


class RobustnessEntry(StudyPart):
    """What the robustness tests cannot know by themselves; what is left out is not tried, and the report says so."""

    strata: Column | None = Field(
        default=None, description="Column: who was treated is drawn again within its values only."
    )
    size: Column | None = Field(
        default=None,
        description="Column of the size of units (residents, episodes): adds inference for few treated units.",
    )
    neighbours: (
        Annotated[
            NeighbourFile,
            _shape((Mapping, StudyPart), "have file (a csv) and columns (two names: a unit and its neighbour)"),
        ]
        | None
    ) = Field(default=None, description="File of pairs of units that touch.")
    elsewhere: StartsFile | None = Field(
        default=None, description="File of the starts of units that the sample leaves out and the roster does not name."
    )
    exposure: ExposureFile | None = Field(
        default=None,
        description="Shares of the residents' care in treated units: how far a comparison unit is reached.",
    )
    groups: Column | None = Field(
        default=None,
        description="Column of units that share a hospital or an area, whose untreated members may be reached.",
    )


class BaselineEntry(StudyPart):
    """A column of the table of the first period."""

    label: Text | None = Field(default=None, description="Its heading; default: the column's name.")
    unit: Text = Field(default="number", description="Its unit, such as % or number.")
    digits: Whole | None = Field(default=None, description="Decimals.")


def to_plain(value: Any) -> Any:
    """Return lists, dicts and scalars in place of tuples, read-only mappings and models."""
    if isinstance(value, StudyPart):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value
