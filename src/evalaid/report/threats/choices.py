"""Would other choices have given another answer? All declared specifications at once, and the methods held against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from evalaid.did.estimators.estimation import find_method
from evalaid.did.estimators.scales import NAMES as SCALES
from evalaid.did.inference.default_rule import IN_ONE_STEP
from evalaid.did.inference.infer import infer
from evalaid.did.inference.variance.difference import difference
from evalaid.did.panel.design import Design
from evalaid.did.sensitivity.choices.declared import Specification, declare
from evalaid.did.sensitivity.choices.joint import joint_test
from evalaid.did.sensitivity.choices.specifications import specification_curve
from evalaid.did.sensitivity.choices.spread import CHOICES, find_drivers
from evalaid.report.cell_progress import watch
from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.display.specification_figure import draw_specifications
from evalaid.report.exhibits import Drawn, Exhibit, Exported, Tabled, Told
from evalaid.report.questions.analysis import estimate_entry, overall
from evalaid.report.questions.effect_rows import effect_row, list_values
from evalaid.report.questions.units import in_unit, multiply
from evalaid.report.threats.finding import APPEARS, HOLDS, REVERSED, SIGN_ONLY, UNKNOWN, WEAKENED, Case
from evalaid.report.threats.threat import Judged, Threat
from evalaid.report.wording.robustness import OTHER_CHOICES, tell_no_main, tell_steps
from evalaid.study.sample import load_design

# Methods whose estimates are no average over cells, or that take minutes over hundreds of combinations.
ASSIGNMENTS = 199
SAME = 1e-9  # two computations of one estimate
LEFT_OUT = (
    "dose", "synthetic_did", "synthetic_control", "augmented_synthetic_control", "matrix_completion", "interactive_effects",
)  # fmt: skip
COLUMNS = {
    "choice": ColumnFormat("Choice"),
    "levels": ColumnFormat("Values", "count"),
    "share_alone": ColumnFormat("Of the spread, alone (%)", "%", 0),
    "share_beyond_others": ColumnFormat("Beyond the others (%)", "%", 0),
    "range_of_means": ColumnFormat("Between its means", "outcome", 2),
    "observed": ColumnFormat("As it was", "number", 2),
    "expected": ColumnFormat("Mean over assignments", "number", 2),
}
MERGED = "; "  # between the methods that give one estimate


@dataclass(frozen=True)
class Choices:
    """The estimates under other choices.

    ``curve`` has one row per distinct specification with an estimate, sorted, with ``is_main`` (whether it is the study's main
    estimate) and ``repeats`` (specifications that give the same number); ``counts`` how many there are and where they lie;
    ``drivers`` which choice the spread depends on; ``joint`` the test of all at once; ``differences`` one row per other method of
    the study, its estimate minus the main one with the error of the difference.
    """

    curve: pd.DataFrame
    declared: pd.DataFrame
    counts: pd.DataFrame
    drivers: pd.DataFrame
    joint: pd.DataFrame
    differences: pd.DataFrame

    @property
    def has_main(self) -> bool:
        """Whether the main estimate is a row of the curve."""
        return bool(self.curve["is_main"].any())


def examine_choices(case: Case) -> Choices:
    """Estimate every combination of the choices that the study's file names, and compare its methods pair by pair."""
    changed = {name for entry in case.spec.methods.values() for name in entry.changes.get("covariates", ())}
    covariates = tuple(dict.fromkeys([*case.spec.covariates, *sorted(changed)]))
    design = (
        case.design
        if covariates == case.design.covariates
        else load_design(case.spec.change({"covariates": list(covariates)}))
    )
    main = _main_specification(case)
    others = [one for one in _declare(case, covariates) if one != main]
    declared = (main, *others) if main else tuple(others)
    found = specification_curve(design, declared, level=case.spec.level, vcov="auto", progress=watch("Specifications"))
    unit, factor = case.unit
    distinct = _distinct(found.table, design, main)
    curve = multiply(distinct, factor)
    # The row of the main specification is the main estimate, or it is not marked as such.
    curve["is_main"] &= np.isclose(curve[ESTIMATE], case.finding.estimate, rtol=SAME, atol=SAME)
    titles = {name: entry.label or name for name, entry in case.spec.baseline.items()}
    drivers = _drivers(curve, titles, unit)
    counts = _count(case, len(declared), int(found.table[ESTIMATE].notna().sum()), curve)
    named = _labels(case)

    def entitle(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(
            method=table["method"].map(lambda text: named.get(text, text)),
            covariates=[", ".join(titles.get(name, name) for name in text.split(", ")) for text in table["covariates"]],
        )

    curve = entitle(curve).assign(
        truth=case.truth,
        unit=unit,
        level=case.spec.level,
        given_by=[MERGED.join(named.get(text, text) for text in found.split(MERGED)) for found in curve["given_by"]],
    )
    varied = [choice for choice in CHOICES if len(set(curve[choice])) > 1] or ["method"]
    curve.insert(0, "label", curve[varied].agg("; ".join, axis=1) if len(curve) else "")
    placed = entitle(_place(found.table, distinct))
    return Choices(curve, placed, counts, drivers, _test_jointly(case, design, declared), compare_with_main(case))


def _drivers(curve: pd.DataFrame, titles: Mapping[str, str], unit: str) -> pd.DataFrame:
    """Return how much of the spread of a curve each choice explains, in percent; covariates bear their titles."""
    spread = find_drivers(curve, [tuple(text.split(", ")) if text != "none" else () for text in curve["covariates"]])
    spread["choice"] = spread["choice"].replace(
        {f"covariate {name}": f"covariate {title}" for name, title in titles.items()}
    )
    return spread.assign(
        key=[f"choice{place + 1}" for place in range(len(spread))],
        label=spread["choice"],
        share_alone=100 * spread["share_alone"],
        share_beyond_others=100 * spread["share_beyond_others"],
        unit=unit,
        made_by="main effects of the choices on the distinct estimates",
    )


def show_choices(case: Case, found: Choices) -> list[Exhibit]:
    """List the specification curve, its counts, what its spread depends on, and the study's methods against the main one."""
    told = [] if found.has_main else [Told(tell_no_main(case.spec.methods[case.spec.main].label))]
    return [
        *told,
        Drawn(
            draw_specifications, found.curve, "specifications",
            "All distinct specifications, sorted by their estimate, and the choices behind each; the main one is marked.",
            without="There is no figure: no specification gives an estimate.",
        ),
        Exported(found.curve, "specifications.csv"),
        Exported(found.declared, "declared.csv"),
        Tabled(
            found.counts, "specifications", ["label", "value"], "The specifications, counted once each", _tell_steps(found.curve),
        ),
        Tabled(
            found.drivers, "drivers", ["choice", "levels", "share_alone", "share_beyond_others", "range_of_means"],
            "Which choice the spread depends on", extra=COLUMNS,
        ),
        Tabled(
            found.joint, "joint", ["label", "observed", "expected", P_VALUE],
            "Specifications without covariates, on the outcome itself, over the whole window, at once: the true assignment among "
            "assignments drawn again", extra=COLUMNS,
        ),
        Tabled(
            found.differences, "differences", ["label", *RESULTS, "reason"],
            "Other methods less the main one, with the error of the difference",
        ),
    ]  # fmt: skip


def _tell_steps(curve: pd.DataFrame) -> tuple[str, ...]:
    """Write how many intervals follow the rule of the main one in one step, because their estimates are made for all covariates at once."""
    count = int(curve["note"].str.contains(IN_ONE_STEP, regex=False).sum())
    return (tell_steps(count, len(curve)),) if count else ()


def say_part(part: float) -> str:
    """Return a part of all in words; a few of many are not said to be none, nor nearly all to be all.

    Examples
    --------
    >>> say_part(0.0), say_part(0.004), say_part(0.78), say_part(0.999), say_part(1.0)
    ('none', 'under 1%', '78%', 'over 99%', 'all')
    """
    ends = {0.0: "none", 1.0: "all"}
    return ends.get(part) or ("under 1%" if part < 0.005 else "over 99%" if part > 0.995 else f"{part:.0%}")


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
        f"{len(curve)} distinct estimates from {finding.write_range(curve['estimate'].min(), curve['estimate'].max())}, median "
        f"{finding.write(middle)}; {say_part(outside)} of the intervals leave out zero."
    )
    known_drivers = drivers[drivers["share_alone"].notna()]
    if len(known_drivers):
        first = known_drivers.iloc[0]
        said += f" The spread depends most on the {first['label']} ({first['share_alone']:.0f}%)."
    if not finding.shows_an_effect:
        word = APPEARS if outside > 0.5 else finding.judge_all(known[~leaves_out_zero(known)])
        return Judged(said, word, known)
    if np.sign(middle) != side:
        word = REVERSED
    elif same < 1.0 or outside < 0.5:
        word = WEAKENED
    else:
        word = HOLDS if finding.keeps_size(middle) else SIGN_ONLY
    return Judged(said, word, pd.DataFrame({ESTIMATE: [middle]}))


THREAT = Threat("choices", OTHER_CHOICES, examine_choices, show_choices, judge_choices)


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


def _main_specification(case: Case) -> Specification | None:
    """Return the choices behind the main estimate; None when its method is not tried over and over again."""
    if case.method in LEFT_OUT:
        return None
    options = find_method(case.method).parse(case.options)
    adjusts = getattr(options, "adjustment", "") != "none" and hasattr(options, "covariates")
    return Specification(case.method, tuple(case.spec.covariates) if adjusts else (), options=case.options)


def _declare(case: Case, covariates: tuple[str, ...]) -> tuple[Specification, ...]:
    """List the combinations of what the study's file names; other weights average another effect and are no choice here."""
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
        covariates=[(), *([covariates] if covariates else [])],
        windows=sorted(windows, key=str),
        comparisons=("own", "eventually_treated") if len(matrices.cohorts) > 1 and case.design.n_never else ("own",),
        scales=SCALES if case.design.outcome_unit == "fraction" else ("share",),
    )


def _distinct(table: pd.DataFrame, design: Design, main: Specification | None) -> pd.DataFrame:
    """Merge specifications that give the same estimate with the same error, the main one or else the plainest standing for all."""
    curve = with_estimate(table).reset_index(drop=True)
    named = {} if main is None else main.describe(design)
    curve["is_main"] = bool(named) & (curve[list(named)] == pd.Series(named)).all(axis=1)
    plain = curve["covariates"].eq("none").astype(int) + curve["comparison"].eq("own")
    # Of equally plain ones the first by its choices stands, not the one whose last digit is smaller on this processor.
    first = {"is_main": False, "plain": False, **dict.fromkeys(CHOICES, True)}
    curve = curve.assign(plain=plain).sort_values([*first], ascending=[*first.values()], kind="stable")
    same = _written(curve)
    given_by = curve["method"].groupby(same).transform(lambda methods: MERGED.join(dict.fromkeys(methods)))
    curve = curve.assign(repeats=same.map(same.value_counts()) - 1, given_by=given_by)[~same.duplicated()]
    return curve.drop(columns="plain").sort_values(ESTIMATE, kind="stable", ignore_index=True)


def _place(table: pd.DataFrame, distinct: pd.DataFrame) -> pd.DataFrame:
    """Return the choices of every declared specification with its place in the curve; missing, with the reason, without one."""
    places = dict(zip(_written(distinct), range(len(distinct)), strict=True))
    estimated = table[ESTIMATE].notna()
    placed = table[list(CHOICES)].assign(
        place=pd.Series(_written(table).map(places).where(estimated), dtype="Int64"),
        reason=table["note"].where(~estimated, ""),
    )
    return placed.sort_values([*CHOICES], kind="stable", ignore_index=True)


def _written(table: pd.DataFrame) -> pd.Series:
    """Return estimate and error as one text: specifications of the same text are one."""
    pairs = zip(table[ESTIMATE], table[STD_ERROR], strict=True)
    return pd.Series([f"{value:.9g} {error:.9g}" for value, error in pairs], table.index, dtype=object)


def _labels(case: Case) -> dict[str, str]:
    """Return the study's label of every method with its options, the first where entries differ in something else."""
    labels: dict[str, str] = {}
    for entry in case.spec.methods.values():
        one = Specification(entry.method, options=dict(entry.options))
        labels.setdefault(one.describe(case.design)["method"], entry.label)
    return labels


def _count(case: Case, declared: int, estimated: int, curve: pd.DataFrame) -> pd.DataFrame:
    unit = case.unit[0]
    above, below = beside_zero(curve)
    rows = [
        ("all", "Specifications declared", declared, "count", 0),
        ("repeats", "of these repeat the estimate of another one", estimated - len(curve), "count", 0),
        ("refused", "give no estimate", declared - estimated, "count", 0),
        ("estimates", "Distinct estimates", len(curve), "count", 0),
        ("positive", "of these above zero", int((curve[ESTIMATE] > 0).sum()), "count", 0),
        ("above", "with an interval above zero", above, "count", 0),
        ("below", "with an interval below zero", below, "count", 0),
        ("smallest", "Smallest estimate", curve[ESTIMATE].min(), unit, 2),
        ("median", "Median estimate", curve[ESTIMATE].median(), unit, 2),
        ("largest", "Largest estimate", curve[ESTIMATE].max(), unit, 2),
    ]
    errors = " or ".join(sorted(set(curve[VCOV]) - {"none"})) or "no"
    return list_values(rows, f"specification curve; {errors} intervals, by the rule of the main one")
