"""Would other choices have given another answer? All declared specifications at once, and the methods held against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import (
    CONF_LOW,
    DISTRIBUTION,
    ESTIMATE,
    P_VALUE,
    RESULTS,
    STD_ERROR,
    VCOV,
    beside_zero,
    leaves_out_zero,
    with_estimate,
)
from evalaid.base.errors import EvalaidError, reason_of
from evalaid.did.estimators.scales import NAMES as SCALES
from evalaid.did.inference.infer import infer
from evalaid.did.inference.variance.difference import difference
from evalaid.did.panel.design import Design
from evalaid.did.sensitivity.choices.declared import WEIGHTS, Specification, declare
from evalaid.did.sensitivity.choices.joint import joint_test
from evalaid.did.sensitivity.choices.specifications import SpecificationCurve, specification_curve
from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.display.specification_figure import draw_specifications
from evalaid.report.exhibits import Drawn, Exhibit, Tabled
from evalaid.report.questions.analysis import estimate_entry, overall
from evalaid.report.questions.effect_rows import effect_row, list_values
from evalaid.report.questions.units import in_unit, multiply
from evalaid.report.threats.finding import APPEARS, REVERSED, SIGN_ONLY, SURVIVES, UNKNOWN, WEAKENED, Case
from evalaid.report.threats.threat import Judged, Threat
from evalaid.report.wording.robustness import CHOICES
from evalaid.study.sample import load_design

# Methods whose estimates are no average over cells, or that take minutes over hundreds of combinations.
ASSIGNMENTS = 199
LEFT_OUT = ("dose", "synthetic_did", "synthetic_control")
COLUMNS = {
    "choice": ColumnFormat("Choice"),
    "levels": ColumnFormat("Values", "count"),
    "share_alone": ColumnFormat("Of the spread, alone (%)", "%", 0),
    "share_beyond_others": ColumnFormat("Beyond the others (%)", "%", 0),
    "range_of_means": ColumnFormat("Between its means", "outcome", 2),
    "observed": ColumnFormat("As it was", "number", 2),
    "expected": ColumnFormat("Mean over assignments", "number", 2),
}


@dataclass(frozen=True)
class Choices:
    """The estimates under other choices.

    ``curve`` has one row per specification with an estimate, sorted; ``counts`` how many there are and where they lie; ``drivers``
    which choice the spread depends on; ``joint`` the test of all at once; ``differences`` one row per other method of the study,
    its estimate minus the main one with the error of the difference.
    """

    curve: pd.DataFrame
    counts: pd.DataFrame
    drivers: pd.DataFrame
    joint: pd.DataFrame
    differences: pd.DataFrame


def examine_choices(case: Case) -> Choices:
    """Estimate every combination of the choices that the study's file names, and compare its methods pair by pair."""
    covariates = sorted({name for entry in case.spec.methods.values() for name in entry.changes.get("covariates", ())})
    design = case.design if not covariates else load_design(case.spec.change({"covariates": covariates}))
    declared = _declare(case, covariates)
    found = specification_curve(design, declared, level=case.spec.level, vcov="auto")
    unit, factor = case.unit
    curve = with_estimate(found.table).reset_index(drop=True)
    named = _labels(case)
    curve = multiply(curve, factor).assign(
        unit=unit, level=case.spec.level, method=curve["method"].map(lambda text: named[text])
    )
    counts = _count(case, found, curve)
    drivers = found.drivers.assign(
        key=[f"choice{place + 1}" for place in range(len(found.drivers))],
        label=found.drivers["choice"],
        share_alone=100 * found.drivers["share_alone"],
        share_beyond_others=100 * found.drivers["share_beyond_others"],
        range_of_means=factor * found.drivers["range_of_means"],
        unit=unit,
        made_by="main effects of the choices on the estimates",
    )
    return Choices(curve, counts, drivers, _test_jointly(case, design, declared), compare_with_main(case))


def show_choices(_case: Case, found: Choices) -> list[Exhibit]:
    """List the specification curve, its counts, what its spread depends on, and the study's methods against the main one."""
    return [
        Drawn(
            draw_specifications, found.curve, "specifications",
            "All specifications, sorted by their estimate, and the choices behind each.",
            without="There is no figure: no specification gives an estimate.",
        ),
        Tabled(found.counts, "specifications", ["label", "value"], "The specifications, counted"),
        Tabled(
            found.drivers, "drivers", ["choice", "levels", "share_alone", "share_beyond_others", "range_of_means"],
            "Which choice the spread depends on", extra=COLUMNS,
        ),
        Tabled(
            found.joint, "joint", ["label", "observed", "expected", P_VALUE],
            "All specifications at once: the true assignment among assignments drawn again", extra=COLUMNS,
        ),
        Tabled(
            found.differences, "differences", ["label", *RESULTS, "reason"],
            "Other methods less the main one, with the error of the difference",
        ),
    ]  # fmt: skip


def judge_choices(case: Case, found: Choices) -> Judged:
    """Judge by the whole curve, not by its ends: the median estimate, and how many intervals lie on one side of zero."""
    finding, curve, drivers = case.finding, found.curve, found.drivers
    known = curve[curve[CONF_LOW].notna()]
    if known.empty or np.isnan(finding.conf_low):
        return Judged("No specification gives an interval.", UNKNOWN)
    side = np.sign(finding.estimate)
    same = float((np.sign(curve[ESTIMATE]) == side).mean())
    outside = float(leaves_out_zero(known).mean())
    middle = float(curve[ESTIMATE].median())
    said = (
        f"{len(curve)} estimates from {finding.write_range(curve['estimate'].min(), curve['estimate'].max())}, median "
        f"{finding.write(middle)}; {same:.0%} have the sign of the main one, {outside:.0%} of the intervals leave out zero."
    )
    known_drivers = drivers[drivers["share_alone"].notna()]
    if len(known_drivers):
        first = known_drivers.iloc[0]
        said += f" The spread depends most on the {first['label']} ({first['share_alone']:.0f}%)."
    if not finding.shows_an_effect:
        word = APPEARS if outside > 0.5 else SURVIVES
    elif np.sign(middle) != side:
        word = REVERSED
    elif same < 1.0 or outside < 0.5:
        word = WEAKENED
    else:
        word = SURVIVES if finding.keeps_size(middle) else SIGN_ONLY
    return Judged(said, word, [middle])


THREAT = Threat("choices", CHOICES, examine_choices, show_choices, judge_choices)


def _test_jointly(case: Case, design: Design, declared: Sequence[Specification]) -> pd.DataFrame:
    """Test the sharp null of no effect with those specifications whose re-assignment is cheap: no covariates, share scale."""
    columns = ["key", "label", "observed", "expected", P_VALUE, "note", "made_by"]
    cheap = [one for one in declared if not one.covariates and one.scale == "share" and one.window == (None, None)]
    strata = case.spec.robustness.strata
    try:
        found = joint_test(design, cheap, draws=ASSIGNMENTS, seed=case.spec.seed, strata=strata, level=case.spec.level)
    except EvalaidError:
        return pd.DataFrame(columns=columns)
    factor = np.where(found.table["statistic"] == "median effect", case.unit[1], 1.0)
    made_by = f"{len(cheap)} specifications, {len(found.draws)} assignments; Simonsohn, Simmons and Nelson (2020)"
    named = {"median effect": f"Median effect ({case.unit[0]})", "Stouffer z": "Stouffer z"}
    return found.table.assign(
        key=["median", "share", "stouffer"],
        label=[named.get(name, name.capitalize()) for name in found.table["statistic"]],
        observed=found.table["observed"] * factor,
        expected=found.table["expected"] * factor,
        note=found.note,
        made_by=made_by,
    )[columns]


def compare_with_main(case: Case) -> pd.DataFrame:
    """Subtract the main estimate from that of each other method, with the error of the difference."""
    main, spec, rows = case.overall, case.spec, []
    for name, entry in spec.methods.items():
        if name == spec.main or entry.method == "dose":
            continue
        shared = {"unit": case.unit[0], "level": spec.level}
        try:
            changed = spec.change(entry.changes)
            other = overall(estimate_entry(entry, changed, load_design(changed) if entry.changes else case.design))
            gap = in_unit(infer(difference(other, main), level=spec.level), main).iloc[0]
        except EvalaidError as error:
            rows.append(effect_row(name, entry.label, None, **shared, reason=reason_of(error), note="", made_by=""))
            continue
        made_by = f"{entry.method} minus {case.method}; {gap[VCOV]}, {gap[DISTRIBUTION]}"
        note = str(gap["note"])
        said = {"reason": note, "note": ""} if np.isnan(gap[STD_ERROR]) else {"reason": "", "note": note}
        rows.append(effect_row(name, entry.label, gap, **shared, **said, made_by=made_by))
    return pd.DataFrame(rows, columns=["key", "label", *RESULTS, "reason", "unit", "level", "note", "made_by"])


def _declare(case: Case, covariates: list[str]) -> tuple[Specification, ...]:
    """List the combinations of what the study's file names."""
    spec, matrices = case.spec, case.design.matrices
    entries = [entry for entry in spec.methods.values() if entry.method not in LEFT_OUT]
    methods = list({repr(pair): pair for pair in ((e.method, dict(e.options)) for e in entries)}.values())
    windows = {(None, None)}
    for scenario in spec.scenarios.values():
        changes = scenario.changes
        if set(changes) <= {"first_period", "last_period"} and changes:
            windows.add((changes.get("first_period"), changes.get("last_period")))
    return declare(
        methods,
        covariates=[(), *([tuple(covariates)] if covariates else [])],
        windows=sorted(windows, key=str),
        comparisons=("own", "eventually_treated") if len(matrices.cohorts) > 1 and case.design.n_never else ("own",),
        weights=WEIGHTS if matrices.weight is not None else ("design",),
        scales=SCALES if case.design.outcome_unit == "fraction" else ("share",),
    )


def _labels(case: Case) -> dict[str, str]:
    """Return the study's label of every method with its options, the first where entries differ in something else."""
    labels: dict[str, str] = {}
    for entry in case.spec.methods.values():
        one = Specification(entry.method, options=dict(entry.options))
        labels.setdefault(one.describe(case.design)["method"], entry.label)
    return labels


def _count(case: Case, found: SpecificationCurve, curve: pd.DataFrame) -> pd.DataFrame:
    unit = case.unit[0]
    above, below = beside_zero(curve)
    rows = [
        ("all", "Specifications declared", len(found.table), "count", 0),
        ("estimates", "of these with an estimate", len(curve), "count", 0),
        ("positive", "Estimates above zero", int((curve[ESTIMATE] > 0).sum()), "count", 0),
        ("above", "Intervals above zero", above, "count", 0),
        ("below", "Intervals below zero", below, "count", 0),
        ("smallest", "Smallest estimate", curve[ESTIMATE].min(), unit, 2),
        ("median", "Median estimate", curve[ESTIMATE].median(), unit, 2),
        ("largest", "Largest estimate", curve[ESTIMATE].max(), unit, 2),
    ]
    errors = " or ".join(sorted(set(curve[VCOV]) - {"none"})) or "no"
    return list_values(rows, f"specification curve; {errors} intervals, by the rule of the main one")
