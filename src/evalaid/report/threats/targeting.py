"""Were the treated units chosen for what would have changed anyway? Balance, and the return of low shares to their mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE
from evalaid.base.errors import EvalaidError
from evalaid.base.texts import one_line
from evalaid.did.panel.comparisons import NOT_YET_TREATED
from evalaid.did.sensitivity.selection.balance import balance
from evalaid.did.sensitivity.selection.regression_to_mean import RegressionToMean, regression_to_mean
from evalaid.report.cell_progress import watch
from evalaid.report.display.formatted_tables import ColumnFormat
from evalaid.report.exhibits import Exhibit, Tabled
from evalaid.report.questions.effect_rows import list_values
from evalaid.report.threats.finding import UNKNOWN, Case, key_of
from evalaid.report.threats.threat import Judged, Threat
from evalaid.report.wording.robustness import TARGETING
from evalaid.study.entries import BaselineEntry
from evalaid.study.sample import load_design

DRAWS = 200
COLUMNS = {
    "variable": ColumnFormat("Before the start"),
    "mean_treated": ColumnFormat("Mean, treated", "number", None),
    "mean_comparison": ColumnFormat("Mean, comparison", "number", None),
    "normalised_difference": ColumnFormat("Difference (standard deviations)", "number", 2, signed=True),
    "variance_ratio": ColumnFormat("Ratio of variances", "number", 2),
    "shortfall_sd": ColumnFormat("Began lower by (standard deviations)", "number", 2, signed=True),
    "expected": ColumnFormat("Rise without any effect", "outcome", 2, signed=True),
    "expected_regression": ColumnFormat("The same from the comparison units", "outcome", 2, signed=True),
}
# Beyond this many standard deviations results hang on how levels are allowed for (Imbens and Wooldridge 2009, doi:10.1257/jel.47.1.5).
ALIKE = 0.25
_SHOWN = ("covariate", "last level", "trend", "variability")


@dataclass(frozen=True)
class Targeting:
    """What is known of the choice of the treated units.

    ``balance`` has one row per cohort and variable, ``expected`` one per cohort and one for "all", ``bias`` what the main method
    shows without an effect and the estimate less that; ``reason`` says why the last two are empty.
    """

    balance: pd.DataFrame
    expected: pd.DataFrame
    bias: pd.DataFrame
    reason: str = ""


def examine_targeting(case: Case) -> Targeting:
    """Describe who was chosen, and compute what choosing low baselines alone would have produced."""
    shown = _balance(case)
    try:
        found = regression_to_mean(
            case.design,
            case.method,
            draws=DRAWS,
            seed=case.spec.seed,
            level=case.spec.level,
            progress=watch("Simulated panels"),
            **case.options,
        )
        reason = found.reason
    except EvalaidError as error:
        reason = one_line(error)
    if reason:
        return Targeting(shown, pd.DataFrame(), pd.DataFrame(), reason)
    return Targeting(shown, _expected(case, found), _bias(case, found))


def show_targeting(_case: Case, found: Targeting) -> list[Exhibit]:
    """List who was chosen, what a low baseline alone lets expect, and what the main method shows where there is no effect."""
    balanced = ["variable", "mean_treated", "mean_comparison", "normalised_difference", "variance_ratio"]
    return [
        Tabled(
            found.balance, "balance", ["cohort_label", *balanced],
            "Treated units before their start, and units that start later or never", extra=COLUMNS,
        ),
        Tabled(
            found.expected, "regression_to_mean", ["label", "shortfall_sd", "expected", "expected_regression"],
            "The rise that a low baseline alone lets expect", extra=COLUMNS,
        ),
        Tabled(
            found.bias, "without_effect", ["label", "value"],
            "The main method where there is no effect and low baselines are chosen",
        ),
    ]  # fmt: skip


def judge_targeting(case: Case, found: Targeting) -> Judged:
    """Judge the estimate and its interval less what a low baseline alone shows, by the worst of the ways to tell that."""
    if found.reason:
        return Judged(f"Not possible: {found.reason}.", UNKNOWN)
    finding, expected, bias = case.finding, found.expected, found.bias
    rises = expected[expected["key"] == "all"][["expected", "expected_regression"]].to_numpy(dtype=float).ravel()
    simulated = bias[bias["key"].str.endswith(".bias")]["value"].to_numpy(dtype=float)
    known = np.concatenate([rises, simulated])
    known = known[~np.isnan(known)]
    if not known.size:
        return Judged("No panel could be simulated.", UNKNOWN)
    low, high = known.min(), known.max()
    alone = finding.write(low) if low == high else finding.write_range(low, high)
    left = pd.DataFrame({name: getattr(finding, name) - known for name in (ESTIMATE, CONF_LOW, CONF_HIGH)})
    moved, _ = finding.measure(left[ESTIMATE])
    said = (
        f"{_tell_levels(found.balance)}Low baselines alone let expect {alone} without an effect; at worst "
        f"{finding.write(finding.estimate + moved)} of {finding.write(finding.estimate)} is left."
    )
    return Judged(said, finding.judge_all(left), left)


THREAT = Threat("selection", TARGETING, examine_targeting, show_targeting, judge_targeting)


def _digits(entry: BaselineEntry | None) -> int:
    return 2 if entry is None or entry.digits is None else entry.digits


def _balance(case: Case) -> pd.DataFrame:
    """Compare each cohort with units that start later or never: baseline columns of the study and the outcome's history."""
    spec = case.spec
    try:
        names = tuple(spec.baseline)
        frame = balance(load_design(spec.change({"covariates": list(names)})) if names else case.design)
    except EvalaidError:
        frame = balance(case.design)
    frame = frame[(frame["comparison"] == NOT_YET_TREATED) & frame["kind"].isin([*_SHOWN, "none"])].reset_index(
        drop=True
    )
    percent = np.where((frame["kind"] != "covariate") & (case.design.outcome_unit == "fraction"), 100.0, 1.0)
    named = {name: entry.label or name for name, entry in spec.baseline.items()}
    label = frame["variable"].map(lambda text: named.get(text, text.replace("outcome", spec.outcome_label)))
    digits = frame["variable"].map(lambda text: _digits(spec.baseline.get(text)))
    note = [text if row == "none" else "" for row, text in zip(frame["kind"], frame["note"], strict=True)]
    return frame.assign(
        key=[f"{cohort}.{place + 1}" for place, cohort in enumerate(frame["label"])],
        cohort_label=frame["label"].astype(str),
        variable=label + np.where((percent == 100.0) & (frame["kind"] != "none"), " (%)", ""),
        mean_treated=frame["mean_treated"] * percent,
        mean_comparison=frame["mean_comparison"] * percent,
        label=frame["label"].astype(str),
        digits=digits,
        note=note,
        made_by="means over units; normalised differences as Imbens and Rubin (2015)",
    )


def _expected(case: Case, found: RegressionToMean) -> pd.DataFrame:
    """Put the shortfall and the expected rise of each cohort into one table, averaged over its periods from the start on."""
    factor = case.unit[1]
    rows = []
    for label, own in found.expected.groupby("label", sort=False):
        chosen = found.selection[found.selection["label"] == label]
        weight = own["n_treated"].to_numpy(dtype=float)
        row: dict[str, Any] = {"key": key_of(label), "label": "All cohorts" if label == "all" else f"Cohort {label}"}
        row["shortfall_sd"] = float(chosen["shortfall_sd"].iloc[0]) if len(chosen) else np.nan
        for name in ("expected", "expected_regression"):
            values = own[name].to_numpy(dtype=float)
            known = ~np.isnan(values)
            row[name] = factor * float(np.average(values[known], weights=weight[known])) if known.any() else np.nan
        said = [part for text in (*chosen["note"], *own["note"]) if text for part in str(text).split("; ")]
        if not np.isnan(row["expected_regression"]):  # then the missing ones are periods without a comparison
            said = [part for part in said if not part.endswith("no regression")]
        short = ["later periods: extrapolated" if part.endswith("extrapolated") else part for part in said]
        rows.append(row | {"note": "; ".join(dict.fromkeys(short))})
    made_by = (
        "correlation of the outcome over time before any treatment; regression of the comparison units' own change"
    )
    return pd.DataFrame(rows).assign(unit=case.unit[0], made_by=made_by)


def _bias(case: Case, found: RegressionToMean) -> pd.DataFrame:
    """Return what the main method shows where there is no effect and low baselines are chosen, and what is left of the estimate."""
    finding = case.finding
    unit, factor = case.unit
    simulated = found.simulated.dropna(subset="bias")
    rows = []
    words = {"process": "panels drawn from its history", "never_treated": "never-treated units"}
    for row in simulated.to_dict("records"):
        bias, source = factor * row["bias"], row["source"]
        rows += [
            (f"{source}.bias", f"Shown without an effect, {words[source]}", bias, unit, 2),
            (f"{source}.error", "its simulation error", factor * row["monte_carlo_error"], unit, 2),
            (f"{source}.left", "Main estimate less this", finding.estimate - bias, unit, 2),
        ]
    return list_values(rows, f"{case.method} on {found.draws} panels without an effect, seed {found.seed}")


def _tell_levels(shown: pd.DataFrame) -> str:
    """Return how far the cohort that was least alike began from its comparison, where that is far."""
    levels = shown[(shown["kind"] == "last level") & (shown["normalised_difference"].abs() > ALIKE)]
    if levels.empty:
        return ""
    worst = levels.iloc[int(levels["normalised_difference"].abs().to_numpy().argmax())]
    gap = worst["normalised_difference"]
    side = "below" if gap < 0 else "above"
    return f"Cohort {worst['label']} began {abs(gap):.2f} standard deviations {side} its comparison. "
