"""All studies of the project side by side, from the numbers that each reported: what is identified, by which design, how firmly.

Nothing is estimated here. Texts come from the studies' files, numbers from their ``numbers.json``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from evalaid.base.effect_columns import ENDS, ESTIMATE, TREATED_CLUSTERS
from evalaid.base.project import LITERATURE, PROJECT, PUBLISHED, list_studies, project_root
from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.questions.published import REPEATS, judge_repeats
from evalaid.report.threats.finding import ANSWERS, answer_key
from evalaid.report.verdict import NOT_IDENTIFIED, judge_interval, smallest_effect
from evalaid.report.wording import overview as words
from evalaid.report.wording.language import load_catalogue
from evalaid.report.wording.prose import format_value
from evalaid.study.manifest import NUMBERS_FILE, Number, read_manifest
from evalaid.study.reports import report_folder
from evalaid.study.sources import read_claims
from evalaid.study.spec import StudySpec
from evalaid.study.study_fields import PUBLISHED as CLAIMS_ONLY
from evalaid.study.study_fields import REAL, SIMULATED

COLUMNS = {
    "data_kind": ColumnFormat("Data"),
    "design": ColumnFormat("Main method"),
    "truth": ColumnFormat("Put in", "outcome", 2, signed=True),
    "compared": ColumnFormat("Treated periods with a comparison", "count"),
    "treated_periods": ColumnFormat("Treated periods", "count"),
    "detectable": ColumnFormat("Smallest effect it would have found", "outcome", 2),
    "robustness": ColumnFormat("Other methods and scenarios"),
    "threats": ColumnFormat("Under what could be wrong"),
    "recovery": ColumnFormat("Recovery of a known effect"),
    "may": ColumnFormat("Verdict"),
    "setting": ColumnFormat("Setting"),
    "outcome": ColumnFormat("Outcome"),
    "result": ColumnFormat("Result"),
    "weakness": ColumnFormat("Known weaknesses"),
    "uncertainty": ColumnFormat("Uncertainty"),
    "possible_comparison": ColumnFormat("Possible comparison"),
    "refusal": ColumnFormat("Why there is no study"),
}
_MADE_BY = "as reported by the study"


@dataclass(frozen=True)
class ReportedStudy:
    """One study with the numbers that it reported."""

    spec: StudySpec
    numbers: Mapping[str, Number]

    def value(self, key: str) -> float:
        """Return a reported number; missing when the study has none of that name."""
        number = self.numbers.get(key)
        return math.nan if number is None or number.value is None else float(number.value)


def collect_studies() -> list[ReportedStudy]:
    """Read every study of the project with its numbers, real data first; studies of one's own are left out."""
    specs = [StudySpec(study=name) for name in list_studies(PROJECT)]
    order = {REAL: 0, SIMULATED: 1, CLAIMS_ONLY: 2}
    specs.sort(key=lambda spec: (order[spec.data_kind], spec.study))
    return [ReportedStudy(spec, read_manifest(report_folder(spec) / NUMBERS_FILE).numbers) for spec in specs]


def compare_designs(studies: list[ReportedStudy]) -> pd.DataFrame:
    """Write what each study identifies, and by which design.

    ``key``, ``label``, ``data_kind``, ``verdict``, ``design`` (main method), ``n_units``, ``treated_clusters``,
    ``treated_periods``, ``compared`` (treated periods in which some unit is untreated), ``made_by``.
    """
    rows = []
    for study in studies:
        spec = study.spec
        method = spec.methods[spec.main].label if spec.main else "published figures only"
        counts = [study.value(f"sample.{name}") for name in ("units", TREATED_CLUSTERS)]
        rows.append((spec.study, spec.title, spec.data_kind, _identified(study), method, *counts, *_periods(study)))
    names = ["key", "label", "data_kind", "verdict", "design", "n_units", TREATED_CLUSTERS]
    return pd.DataFrame(rows, columns=[*names, "treated_periods", "compared"]).assign(made_by=_MADE_BY)


def compare_results(studies: list[ReportedStudy]) -> pd.DataFrame:
    """Return each study's main estimate with its interval, the effect that was put in, and how firm it is.

    ``key``, ``label``, ``data_kind``, ``verdict``, ``estimate``, ``conf_low``, ``conf_high``, ``truth`` (simulated only),
    ``detectable``, ``robustness``, ``threats``, ``recovery``, ``unit``, ``made_by``; studies with outcome data only.
    """
    rows = []
    for study in (one for one in studies if one.spec.main):
        spec = study.spec
        estimate = [study.value(f"overall.main.{name}") for name in (ESTIMATE, *ENDS)]
        truth = _effect_aimed_at(study)
        unit = "number" if spec.outcome_unit == "number" else "pp"
        firm = (study.value("detectable.effect"), _robustness(study), _threats(study), _recovery(study))
        rows.append(
            (
                spec.study,
                spec.title,
                spec.data_kind,
                load_catalogue()(f"verdict.{verdict_of(study)}"),
                *estimate,
                truth,
                *firm,
                unit,
                spec.level,
            )
        )
    names = ["key", "label", "data_kind", "verdict", ESTIMATE, *ENDS, "truth"]
    frame = pd.DataFrame(rows, columns=[*names, "detectable", "robustness", "threats", "recovery", "unit", "level"])
    return frame.assign(made_by=_MADE_BY)


def _effect_aimed_at(study: ReportedStudy) -> float:
    """Return the true average that the main method aims at: beyond the lowest dose, or where a unit is untreated, or over all."""
    doses = study.spec.methods[study.spec.main].method == "dose"
    names = (*(["beyond_lowest_dose"] if doses else []), "overall_compared", "overall")
    values = [study.value(f"truth.{name}.effect") for name in names]
    return next((value for value in values if not math.isnan(value)), math.nan)


def of_kind(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Keep the studies on one kind of data: a simulated number never stands beside a real one."""
    return frame[frame["data_kind"] == kind].reset_index(drop=True)


def only_shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the results in percentage points, which one figure can show."""
    return frame[frame["unit"] == "pp"].reset_index(drop=True)


def list_repeats() -> pd.DataFrame:
    """List the published claims with what a reader may repeat, the firmest first.

    As `evalaid.report.questions.published.judge_repeats`, with ``claim`` (as published).
    """
    claims = read_claims()
    said = {claim.claim_id: claim.claim for claim in claims.claims}
    frame = judge_repeats(claims)
    order = frame["may"].map(REPEATS.index).sort_values(kind="stable").index
    return frame.assign(claim=frame["key"].map(said)).drop(columns="note").loc[order]


def count_repeats(frame: pd.DataFrame, studies: list[ReportedStudy]) -> pd.DataFrame:
    """Count claims by what may be repeated, and studies by what they can tell.

    ``key``, ``label``, ``value``, ``unit``, ``digits``, ``made_by``.
    """
    may = [("claims", "Published claims", len(frame))]
    keys = ("as_effect", "as_change", "as_growth", "as_figure", "not_at_all")
    may += [
        (key, f"of these {word}", int((frame["may"] == word).sum())) for key, word in zip(keys, REPEATS, strict=True)
    ]
    kinds = [study.spec.data_kind for study in studies]
    without = [math.isnan(study.value("overall.main.estimate")) for study in studies if study.spec.main]
    rows = [
        *may,
        ("studies", "Studies", len(studies)),
        ("real", "of these on real outcome data", kinds.count(REAL)),
        ("simulated", "on simulated panels", kinds.count(SIMULATED)),
        ("published", "on published figures only", kinds.count(CLAIMS_ONLY)),
        ("refused", "whose main method the design refuses", sum(without)),
    ]
    result = pd.DataFrame(rows, columns=["key", "label", "value"])
    return result.assign(unit="count", digits=0, made_by="count over claims and studies")


def list_without_study() -> pd.DataFrame:
    """List the programmes of the registry that no study examines, each with the reason and the data that it would take."""
    registry = read_claims().facts.registry
    rows = registry[registry["study"] == ""]
    return rows.assign(key=rows["programme"], label=rows["name_en"])


def list_literature() -> pd.DataFrame:
    """List published evaluations of such programmes with the known weaknesses of each.

    ``key``, ``label`` (reference), ``setting``, ``outcome``, ``method``, ``result``, ``uncertainty``, ``weakness``.
    """
    frame = pd.read_csv(project_root() / PUBLISHED / LITERATURE, keep_default_na=False, encoding="utf-8-sig")
    return frame.assign(key=frame["study"], label=frame["reference"])


def _identified(study: ReportedStudy) -> str:
    """Write what the design identifies, and under which assumption."""
    main, kind = study.spec.main, study.spec.data_kind
    if not main:
        return words.NO_DATA
    if math.isnan(study.value("overall.main.estimate")):
        return words.NO_COMPARISON
    doses_only = study.spec.methods[main].method == "dose" and not _periods(study)[1]
    return words.tell_identified(kind, doses_only=doses_only)


def verdict_of(study: ReportedStudy) -> str:
    """Return the verdict on a study's main estimate, from the numbers that it reported."""
    if not study.spec.main:
        return NOT_IDENTIFIED
    unit = study.numbers["overall.main.estimate"].unit if "overall.main.estimate" in study.numbers else ""
    estimate, low, high = (study.value(f"overall.main.{name}") for name in (ESTIMATE, *ENDS))
    smallest = smallest_effect(study.spec.smallest_effect, unit)
    return judge_interval(estimate, low, high, smallest, fragile=study.value("threat_counts.taking") > 0)


def _periods(study: ReportedStudy) -> tuple[int, int]:
    """Count the periods with treated units, and those of them in which some unit is untreated."""
    names = [key.split(".")[1] for key in study.numbers if key.startswith("availability.") and key.endswith(".treated")]
    treated = [name for name in names if study.value(f"availability.{name}.treated") > 0]
    left = [
        name
        for name in treated
        if study.value(f"availability.{name}.never_treated") + study.value(f"availability.{name}.not_yet_treated") > 0
    ]
    return len(treated), len(left)


def _robustness(study: ReportedStudy) -> str:
    names = ("estimates", "refused", "above", "below", "around")
    unit = "number" if study.spec.outcome_unit == "number" else "pp"
    ends = [format_value(study.value(f"agreement.{end}"), unit, 2, signed=True) for end in ("smallest", "largest")]
    return words.tell_agreement(" to ".join(ends), **{name: study.value(f"agreement.{name}") for name in names})


def _threats(study: ReportedStudy) -> str:
    """Write what the threats do to the main estimate, from the answers of `4_robustness`."""
    counts = {word: study.value(f"threat_counts.{answer_key(word)}") for word in ANSWERS}
    if math.isnan(study.value("overall.main.estimate")) or any(math.isnan(count) for count in counts.values()):
        return ""
    said = "; ".join(f"{word}: {count:.0f}" for word, count in counts.items() if count)
    low, high = (study.numbers.get(f"threat_counts.widest.{end}") for end in ("low", "high"))
    if low is None or high is None or low.value is None or high.value is None:
        return said
    ends = " to ".join(format_value(end.value, end.unit, end.digits, signed=True) for end in (low, high))
    return f"effects from {ends} are not excluded; {said}"


def _recovery(study: ReportedStudy) -> str:
    if math.isnan(study.value("recovered.trials")):
        return words.NO_RECOVERY if study.spec.data_kind == REAL else ""
    names = ("trials", "usable", "careful", "biased", "refused")
    return words.tell_recovery(**{name: study.value(f"recovered.{name}") for name in names})
