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
from evalaid.report.display.formatted_tables import Column
from evalaid.report.questions.published import AS_A_CHANGE, AS_AN_EFFECT, REPEATS, every_claim, judge_repeats
from evalaid.report.report_folders import report_folder
from evalaid.report.threats.finding import VERDICTS, verdict_key
from evalaid.study.combinations import PUBLISHED as CLAIMS_ONLY
from evalaid.study.combinations import REAL, SIMULATED
from evalaid.study.manifest import NUMBERS_FILE, Number, read_manifest
from evalaid.study.spec import StudySpec

COLUMNS = {
    "data_kind": Column("Data"),
    "design": Column("Main method"),
    "truth": Column("Put in", "outcome", 2, signed=True),
    "compared": Column("Treated periods with a comparison", "count"),
    "treated_periods": Column("Treated periods", "count"),
    "robustness": Column("Other methods and scenarios"),
    "threats": Column("Held against what could be wrong"),
    "recovery": Column("Recovery of a known effect"),
    "may": Column("Verdict"),
    "setting": Column("Setting"),
    "outcome": Column("Outcome"),
    "result": Column("Result"),
    "weakness": Column("Known weaknesses"),
    "uncertainty": Column("Uncertainty"),
}
_NO_DATA = {SIMULATED: "; no real data", REAL: ""}
_MADE_BY = "as reported by the study"


@dataclass(frozen=True)
class Reported:
    """One study with the numbers that it reported."""

    spec: StudySpec
    numbers: Mapping[str, Number]

    def value(self, key: str) -> float:
        """Return a reported number; missing when the study has none of that name."""
        number = self.numbers.get(key)
        return math.nan if number is None or number.value is None else float(number.value)


def collect_studies() -> list[Reported]:
    """Read every study of the project with its numbers, real data first; studies of one's own are left out."""
    specs = [StudySpec(study=name) for name in list_studies(PROJECT)]
    order = {REAL: 0, SIMULATED: 1, CLAIMS_ONLY: 2}
    specs.sort(key=lambda spec: (order[spec.data_kind], spec.study))
    return [Reported(spec, read_manifest(report_folder(spec) / NUMBERS_FILE).numbers) for spec in specs]


def compare_designs(studies: list[Reported]) -> pd.DataFrame:
    """Say what each study identifies, and by which design.

    Returns
    -------
    pandas.DataFrame
        ``key``, ``label``, ``data_kind``, ``verdict``, ``design`` (main method), ``n_units``, ``treated_clusters``,
        ``treated_periods``, ``compared`` (treated periods in which some unit is untreated), ``made_by``.
    """
    rows = []
    for study in studies:
        spec = study.spec
        method = spec.methods[spec.main]["label"] if spec.main else "published figures only"
        counts = [study.value(f"sample.{name}") for name in ("units", TREATED_CLUSTERS)]
        rows.append((spec.study, spec.title, spec.data_kind, _verdict(study), method, *counts, *_periods(study)))
    names = ["key", "label", "data_kind", "verdict", "design", "n_units", TREATED_CLUSTERS]
    return pd.DataFrame(rows, columns=[*names, "treated_periods", "compared"]).assign(made_by=_MADE_BY)


def compare_results(studies: list[Reported]) -> pd.DataFrame:
    """Give each study's main estimate with its interval, the effect that was put in, and how firm it is.

    Returns
    -------
    pandas.DataFrame
        ``key``, ``label``, ``data_kind``, ``verdict``, ``estimate``, ``conf_low``, ``conf_high``, ``truth`` (simulated
        only), ``robustness``, ``threats``, ``recovery``, ``unit``, ``made_by``; studies with outcome data only.
    """
    rows = []
    for study in (one for one in studies if one.spec.main):
        spec = study.spec
        estimate = [study.value(f"overall.main.{name}") for name in (ESTIMATE, *ENDS)]
        truth = _effect_aimed_at(study)
        unit = "number" if spec.outcome_unit == "number" else "pp"
        firm = (_robustness(study), _threats(study), _recovery(study))
        rows.append(
            (spec.study, spec.title, spec.data_kind, _verdict(study), *estimate, truth, *firm, unit, spec.level)
        )
    names = ["key", "label", "data_kind", "verdict", ESTIMATE, *ENDS, "truth"]
    frame = pd.DataFrame(rows, columns=[*names, "robustness", "threats", "recovery", "unit", "level"])
    return frame.assign(made_by=_MADE_BY)


def _effect_aimed_at(study: Reported) -> float:
    """Give the true average that the main method aims at: beyond the lowest dose, or where a unit is untreated, or over all."""
    doses = study.spec.methods[study.spec.main]["method"] == "dose"
    names = (*(["beyond_lowest_dose"] if doses else []), "overall_compared", "overall")
    values = [study.value(f"truth.{name}.effect") for name in names]
    return next((value for value in values if not math.isnan(value)), math.nan)


def only_shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the results in percentage points, which one figure can show."""
    return frame[frame["unit"] == "pp"].reset_index(drop=True)


def list_repeats() -> pd.DataFrame:
    """List the published claims with what a reader may repeat, the firmest first.

    Returns
    -------
    pandas.DataFrame
        As `evalaid.report.questions.published.judge_repeats`, with ``claim`` (as published).
    """
    claims = every_claim()
    said = {claim.claim_id: claim.claim for claim in claims.claims}
    frame = judge_repeats(claims)
    order = frame["may"].map(REPEATS.index).sort_values(kind="stable").index
    return frame.assign(claim=frame["key"].map(said)).drop(columns="note").loc[order]


def count_repeats(frame: pd.DataFrame, studies: list[Reported]) -> pd.DataFrame:
    """Count claims by what may be repeated, and studies by what they can tell.

    Returns
    -------
    pandas.DataFrame
        ``key``, ``label``, ``value``, ``unit``, ``digits``, ``made_by``.
    """
    may = [("claims", "Published claims", len(frame))]
    keys = ("as_effect", "as_change", "as_figure", "not_at_all")
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


def tell_results(studies: list[Reported]) -> tuple[str, ...]:
    """Say the result of every study on real data in a sentence, as a template for `Section.say`."""
    return tuple(
        f"**{study.spec.title} (real data).** With the programme, the {_lower(study.spec.outcome_label)} "
        f"{{results.{study.spec.study}:reading}}."
        for study in studies
        if study.spec.data_kind == REAL
    )


def tell_claims(frame: pd.DataFrame) -> tuple[str, ...]:
    """Say each claim that may be repeated as an effect or as a change, in the sentence that may be said."""
    kept = frame[frame["may"].isin([AS_AN_EFFECT, AS_A_CHANGE])]
    return tuple(f"**{row['label']}** {row['may']}: {row['repeat']}" for row in kept.to_dict("records"))


def list_literature() -> pd.DataFrame:
    """List published evaluations of such programmes with the known weaknesses of each.

    Returns
    -------
    pandas.DataFrame
        ``key``, ``label`` (reference), ``setting``, ``outcome``, ``method``, ``result``, ``uncertainty``, ``weakness``.
    """
    frame = pd.read_csv(project_root() / PUBLISHED / LITERATURE, keep_default_na=False, encoding="utf-8-sig")
    return frame.assign(key=frame["study"], label=frame["reference"])


def _verdict(study: Reported) -> str:
    if not study.spec.main:
        return "not identified: no outcome data are public"
    if math.isnan(study.value("overall.main.estimate")):
        return "not identified: the design has no comparison"
    if study.spec.methods[study.spec.main]["method"] == "dose" and not _periods(study)[1]:
        return "doses can be compared, under a strong assumption" + _NO_DATA[study.spec.data_kind]
    if study.spec.data_kind == SIMULATED:
        return "a comparison exists" + _NO_DATA[SIMULATED]
    return "identified, if trends would have been parallel"


def _periods(study: Reported) -> tuple[int, int]:
    """Count the periods with treated units, and those of them in which some unit is untreated."""
    names = [key.split(".")[1] for key in study.numbers if key.startswith("availability.") and key.endswith(".treated")]
    treated = [name for name in names if study.value(f"availability.{name}.treated") > 0]
    left = [
        name
        for name in treated
        if study.value(f"availability.{name}.never_treated") + study.value(f"availability.{name}.not_yet_treated") > 0
    ]
    return len(treated), len(left)


def _robustness(study: Reported) -> str:
    count, refused = study.value("agreement.estimates"), study.value("agreement.refused")
    if not count > 0:
        return f"no other estimate either; {refused:.0f} refused" if refused > 0 else ""
    above, below = (study.value(f"agreement.{name}") for name in ("above", "below"))
    smallest, largest = study.value("agreement.smallest"), study.value("agreement.largest")
    if smallest < 0 < largest:
        sign = "signs differ"
    elif max(above, below) == count:
        sign = "one sign, no interval holds zero"
    else:
        sign = "one sign, some intervals hold zero or are missing"
    return f"{sign}; {count:.0f} estimates, {refused:.0f} refused"


def _threats(study: Reported) -> str:
    """Count what the main estimate survives, from the verdicts of `4_robustness`."""
    counts = {word: study.value(f"survival.{verdict_key(word)}") for word in VERDICTS}
    if math.isnan(study.value("overall.main.estimate")) or any(math.isnan(count) for count in counts.values()):
        return ""
    return ", ".join(f"{word}: {count:.0f}" for word, count in counts.items() if count)


def _recovery(study: Reported) -> str:
    trials = study.value("recovered.trials")
    if math.isnan(trials):
        return "not possible: the effect is not known" if study.spec.data_kind == REAL else ""
    usable, careful, biased, refused = (
        study.value(f"recovered.{name}") for name in ("usable", "careful", "biased", "refused")
    )
    return (
        f"of {trials:.0f} methods {usable:.0f} find it, {careful:.0f} with reservations, {biased:.0f} miss it, "
        f"{refused:.0f} give no estimate"
    )


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
