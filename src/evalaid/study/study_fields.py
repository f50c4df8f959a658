"""The fields of a study, as they stand in its file: what each is, its kind of value, and its value when left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from evalaid.base.project import OWN, PROJECT
from evalaid.study.entries import (
    BaselineEntry,
    Column,
    DoseEntry,
    EstimandEntry,
    EventWindow,
    Kept,
    Key,
    LeftOut,
    Level,
    MethodEntry,
    Parameters,
    Period,
    Periods,
    PlaceboEntry,
    RecoveryEntry,
    RobustnessEntry,
    ScenarioEntry,
    Size,
    StudyPart,
    Text,
    Texts,
    Value,
    Whole,
    empty_mapping,
    must,
    named,
    one_of,
)

REAL, SIMULATED, PUBLISHED, MIXED = "real", "simulated", "published", "real and simulated"
DATA_KINDS = (REAL, SIMULATED, PUBLISHED, MIXED)


def _field(default: Any, description: str) -> Any:
    """Declare a field that may be left out."""
    if default is empty_mapping:
        return Field(default_factory=empty_mapping, description=description)
    return Field(default=default, description=description)


class StudyFields(StudyPart):
    """The parameters of one study."""

    study: str = Field(
        description="Name of the study, of its file and of its folder in reports: letters, digits, _ and -."
    )
    # Words for the report.
    title: Text = _field(..., "Title of the report.")
    language: Annotated[str, *one_of("en", "zh")] = _field("en", "Language of the report: en or zh.")
    question: Text = _field(..., "What the study asks.")
    programme: Text = _field(..., "Who sends what to whom, since when, and why these units.")
    caution: Text | None = _field(
        None, "One sentence under the finding on the first page: what it must not be taken for."
    )
    data_kind: Annotated[str, *one_of(*DATA_KINDS)] = _field(
        ...,
        "Shown on every page; a study with a simulation is simulated, one with neither panel nor simulation published.",
    )
    origin: Annotated[str, *one_of(PROJECT, OWN)] = _field(
        PROJECT,
        "Whose study it is; one of your own is run and verified with the others and stays out of the synthesis.",
    )
    # What is read.
    panel: Text | None = _field(
        None,
        "File of the panel, relative to the project: a tidy table, one row per unit and period; with layout, any table.",
    )
    layout: Text | None = _field(
        None,
        "YAML file that says how the panel is read; its columns are then unit, name, period, inside, total, share, ...",
    )
    simulation: Parameters = _field(
        empty_mapping, "In place of panel: generator (its name), seed, and what the generator takes."
    )
    unit: Text = _field("", "Column of the unit.")
    period: Text = _field("", "Column of the period.")
    outcome: Text = _field("", "Column of the outcome.")
    outcome_unit: Annotated[str, *one_of("fraction", "percent", "number")] = _field(
        "number", "Unit of the outcome in the file; a percentage is converted once, to a fraction."
    )
    outcome_measure: Text | None = _field(
        None,
        "Unit of an outcome that is no share, as it stands in a sentence after the figure: per 1,000, admissions per 100,000, days.",
    )
    outcome_label: Text = _field("outcome", "What the outcome is called.")
    inside: Column | None = _field(None, "Column of the episodes inside, the numerator of a share.")
    total: Column | None = _field(None, "Column of all episodes, the denominator of a share.")
    inside_label: Text = _field("Episodes inside", "What the episodes inside are called.")
    outside_label: Text = _field("Episodes outside", "What the other episodes are called.")
    unit_label: Text = _field("units", "What the units are called, in the plural.")
    cluster_label: Text = _field("clusters", "What the clusters are called, in the plural.")
    link: Text | None = _field(None, "File with one row per unit, joined by the unit: its group, its status.")
    cluster: Column | None = _field(None, "Column by which units share shocks and treatment; default: the unit.")
    # When units are treated.
    roster: Text | None = _field(None, "File of the partnerships.")
    roster_layout: Text | None = _field(None, "YAML file that says how the roster is read, as an office keeps it.")
    roster_unit: Column | None = _field(
        None,
        "Column of the roster with the treated unit or group; with roster_layout, the panel's column of these units.",
    )
    roster_hospital: Column | None = _field(None, "Column of the roster with the hospital.")
    roster_keep: Kept = _field(empty_mapping, "Values of the roster whose partnerships stay, by column of its table.")
    start_column: Column | None = _field(
        None, "Column of the roster with the start; with roster_layout: start, announced, agreed or arrived."
    )
    start_rule: Annotated[str, *one_of("containing_period", "first_full_period", "part_of_period")] = _field(
        "containing_period",
        "Whether the first treated period contains the start, is treated from its first day, or contains the start and counts by the part that is left.",
    )
    cohort: Column | None = _field(None, "Column of the panel with the first treated period, in place of a roster.")
    never: Annotated[tuple[Value, ...], must("be a list of values")] = _field(
        (), "Values of cohort that are no period and mean never treated, such as 0; an empty cell means it always."
    )
    treated: Column | None = _field(
        None, "Column of the panel with 0 and 1 by period: whether the unit is treated; in place of roster and cohort."
    )
    not_in_panel: Texts = _field((), "Units of the roster that are known not to be in the panel.")
    # Who stays in the sample.
    only_cohorts: Periods = _field((), "Cohorts that stay beside the never treated; empty: all.")
    keep: Kept = _field(empty_mapping, "Values that stay in the sample, by column.")
    leave_out: LeftOut = _field(
        (),
        "Rows that are left out: each entry lists values by column, and a row that has one of them in every column goes.",
    )
    events: Text | None = _field(None, "File of other events, by cluster.")
    leave_out_events: Texts = _field((), "Kinds of event whose clusters are left out.")
    first_period: Period | None = _field(None, "First period of the sample.")
    last_period: Period | None = _field(None, "Last period of the sample.")
    # How it is estimated.
    covariates: Texts = _field((), "Covariates of the design.")
    baseline: Annotated[Mapping[Key, BaselineEntry], *named()] = _field(
        empty_mapping, "Further columns of the table of the first period, with label, unit and digits."
    )
    weight: Column | None = _field(None, "Column of weights; default: every unit counts the same.")
    weight_kind: Annotated[str, *one_of("analytic", "precision")] | None = _field(
        None, "Whether weights say how much a unit counts, or how exactly its outcome is measured."
    )
    stratum: Column | None = _field(
        None, "Column of groups of units, such as the region: units are compared within them, by methods that can."
    )
    exposure: Column | None = _field(
        None,
        "Column of the part of each period in which a unit is treated, 0 to 1: 0.75 in the year of a start in April; the first treated period counts by it.",
    )
    anticipation: Whole = _field(0, "Periods before the start in which the programme may already act.")
    event_window: EventWindow | None = _field(
        None,
        "First and last period since the start that figures draw and tests of trends use, such as [-5, 7]; the table has all.",
    )
    main: Text = _field("", "The method, by its name in methods, that the report leads with.")
    methods: Annotated[Mapping[Key, MethodEntry], *named()] = _field(empty_mapping, "Methods that are compared.")
    scenarios: Annotated[Mapping[Key, ScenarioEntry], *named()] = _field(
        empty_mapping, "The main estimate with other fields, for example another sample."
    )
    estimands: Annotated[Mapping[Key, EstimandEntry], *named()] = _field(
        empty_mapping,
        "Other averages of the effect: other weights, units or populations; never counted with the methods.",
    )
    outcomes: Annotated[Mapping[Key, EstimandEntry], *named()] = _field(
        empty_mapping, "Other outcomes that the programme may move: changes names outcome and outcome_unit."
    )
    smallest_effect: Size | None = _field(
        None,
        "Smallest effect that would matter, in the unit of the report; default: two percentage points of a share.",
    )
    dose: DoseEntry | None = _field(None, "Intensity of the programme; shown by 4_dose.")
    placebo: Annotated[Mapping[Key, PlaceboEntry], *named()] = _field(
        empty_mapping, "Placebo tests of 4_robustness; default: an earlier start."
    )
    recovery: RecoveryEntry | None = _field(
        None, "For simulated studies: how well methods find the effect; shown by 4_recovery."
    )
    robustness: RobustnessEntry = _field(RobustnessEntry(), "What 4_robustness cannot know by itself.")
    map: Text | None = _field(
        None,
        "File of the places of a map: the unit or cluster, name, name_zh, shape (polygons, or row and column of a tile).",
    )
    claims: Text | None = _field(None, "The programme in data/published/programmes.csv whose claims 1_claims examines.")
    notebooks: Texts = _field((), "Notebooks of the study; default: those that its fields need.")
    level: Level = _field(0.95, "Confidence level.")
    seed: Whole = _field(1, "Seed of every draw.")
    draws: Whole = _field(999, "Bootstrap draws of the simultaneous bands.")
    # Paragraphs for the report (Markdown); {key} stands for a recorded number.
    summary: Texts = _field((), "Paragraphs: what was found.")
    data_notes: Texts = _field((), "Paragraphs: about the data.")
    caveats: Texts = _field((), "Paragraphs: what may be wrong.")
    limits: Texts = _field((), "Paragraphs: what the study cannot say.")
    sources: Texts = _field((), "Paragraphs: where the data come from.")
