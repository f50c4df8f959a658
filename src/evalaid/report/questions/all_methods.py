"""Every registered method on one design, one method on three scales and on the counts: what applies, what does not and why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import ESTIMATE, RESULTS, STD_ERROR
from evalaid.base.errors import EvalaidError, NotIdentifiedError, reason_of
from evalaid.base.texts import join_texts
from evalaid.did.estimators.count_effects import COUNTS, has_counts
from evalaid.did.estimators.estimation import estimate
from evalaid.did.estimators.registry import METHODS
from evalaid.did.estimators.scales import NAMES, SCALES, diagnose_ceiling
from evalaid.did.inference.infer import infer
from evalaid.did.panel.design import Design
from evalaid.did.sensitivity.choices.decomposition import bacon
from evalaid.did.sensitivity.choices.twfe_weights import Regression, twfe_weights
from evalaid.report.display.formatted_tables import OUTCOME, ColumnFormat
from evalaid.report.exhibits import Tabled
from evalaid.report.questions.analysis import dose_effects, overall, true_average
from evalaid.report.questions.effect_rows import effect_row
from evalaid.report.questions.put_in import TRUTH
from evalaid.report.questions.units import in_unit
from evalaid.study.spec import StudySpec

_SCALE_LABELS = {"share": "Share", "log_odds": "Log-odds", "log_outflow": "Log of outflow"}
_COUNT_WORDS = {name: f"parallel trends in the logarithm of episodes {where}" for name, where in COUNTS.items()}
_TITLES = {
    "two_by_two": "Before and after against never treated",
    "twfe": "Two-way fixed effects",
    "event_study": "Two-way fixed effects by event time",
    "callaway_santanna": "Callaway-Sant'Anna",
    "sun_abraham": "Sun-Abraham",
    "etwfe": "Extended two-way fixed effects",
    "lp_did": "Local projections",
    "efficient": "Efficient (random timing)",
    "dcdh": "de Chaisemartin-D'Haultfoeuille",
    "synthetic_did": "Synthetic difference-in-differences",
}

_REGRESSIONS: dict[Regression, str] = {
    "fixed_effects": "Outcome on treatment, with unit and period effects",
    "first_differences": "Change of the outcome on the change of treatment, with period effects",
}


def title_of(method: str) -> str:
    """Return the name of a registered method as a report does.

    Examples
    --------
    >>> title_of("twfe"), title_of("imputation")
    ('Two-way fixed effects', 'Imputation')
    """
    return _TITLES.get(method, method.replace("_", " ").capitalize())


def survey_methods(spec: StudySpec, design: Design) -> pd.DataFrame:
    """Estimate the overall effect with every registered method at its defaults, or say why it does not apply.

    Where the study has doses (``dose``), the method of that name takes their column and options.

    One row per method: ``key``, ``label``, ``estimate``, ``std_error``, ``conf_low``, ``conf_high``, ``p_value`` (in percentage
    points for a share), ``reason`` (why there is no estimate or no interval), ``unit``, ``made_by``.
    """
    rows = [_row(design, spec, entry.name, title_of(entry.name), entry.name, "share") for entry in METHODS]
    return pd.DataFrame(rows)


def survey_scales(spec: StudySpec, design: Design) -> pd.DataFrame:
    """Estimate the overall effect with parallel trends assumed on the share, its log-odds and the log of outflow."""
    if design.outcome_unit != "fraction":
        return pd.DataFrame(columns=["key", "label", *RESULTS, "reason", "unit", "made_by"])
    method, options = _method_with_scales(spec)
    rows = [_row(design, spec, scale, _SCALE_LABELS[scale], method, scale, **options) for scale in NAMES]
    for place, row in enumerate(rows):
        if row["key"] == "log_odds" and np.isnan(
            row[ESTIMATE]
        ):  # shares of 0 or 1 have no log-odds; a model of them has
            model = _row(
                design, spec, "log_odds", "Log-odds, as a fractional logit", "etwfe", "share", family="binomial"
            )
            rows[place] = row if np.isnan(model[ESTIMATE]) else model
    return pd.DataFrame(rows)


def survey_counts(spec: StudySpec, design: Design) -> pd.DataFrame:
    """Estimate the overall effect on the share and on the episodes behind it, inside and outside.

    Rows ``share`` (in percentage points), ``inside`` and ``outside`` (in per cent of the episodes without the programme),
    columns as `survey_methods`; no row when the study names no counts.
    """
    if not has_counts(design):
        return pd.DataFrame(columns=["key", "label", *RESULTS, "reason", "unit", "made_by"])
    method, options = _method_with_scales(spec)
    labels = {"share": spec.outcome_label, "log_inside": spec.inside_label, "log_outside": spec.outside_label}
    rows = [
        _row(design, spec, COUNTS.get(scale, scale), label, method, scale, **options) for scale, label in labels.items()
    ]
    return pd.DataFrame(rows)


def describe_ceiling(design: Design) -> tuple[pd.DataFrame, dict[str, ColumnFormat]]:
    """Count units near the ceiling of the share, by cohort; empty when the outcome is no share.

    ``key``, ``cohort_label``, ``n_units``, ``above_before``, ``above_ever``, ``room_pp``; and how the columns beyond the fixed
    ones are shown.
    """
    extra = {
        "above_before": ColumnFormat("of these at 95% or more before", "count"),
        "above_ever": ColumnFormat("at 95% or more in any period", "count"),
        "room_pp": ColumnFormat("Mean distance to 100% before (pp)", "pp", 1),
    }
    if design.outcome_unit != "fraction":
        return pd.DataFrame(columns=["key", "cohort_label", "n_units", *extra]), extra
    frame = diagnose_ceiling(design)
    names = [*design.cohorts["label"].iloc[: len(frame) - 1].astype(str), "never treated"]
    keys = [*names[:-1], "never"]
    made_by = "counts of units by their observed shares"
    return frame.assign(key=keys, cohort_label=names, made_by=made_by)[frame["n_units"] > 0], extra


def describe_decomposition(design: Design) -> tuple[pd.DataFrame, dict[str, ColumnFormat]]:
    """Sum the weights of the two-way fixed-effects coefficient by kind of comparison; empty where it has no decomposition.

    One row per kind: ``key``, ``label``, ``weight`` (per cent), ``estimate`` (weighted mean of its comparisons), ``unit``; and
    how ``weight`` is shown.
    """
    extra = {"weight": ColumnFormat("Weight (%)", "%", 1)}
    try:
        table = bacon(design)
    except NotIdentifiedError:
        return pd.DataFrame(columns=["key", "label", "weight", ESTIMATE]), extra
    share = design.outcome_unit == "fraction"
    rows = []
    for kind, part in table.groupby("kind", sort=False):
        weights, estimates = (part[name].to_numpy(dtype=float) for name in ("weight", ESTIMATE))
        weight = float(weights.sum())
        mean = float(weights @ estimates) / weight if weight > 0 else np.nan
        rows.append(
            {
                "key": str(kind).split()[0] if "never" not in str(kind) else "never",
                "label": str(kind).capitalize(),
                "weight": 100 * weight,
                ESTIMATE: mean * (100 if share else 1),
                "unit": "pp" if share else "number",
                "made_by": "Goodman-Bacon decomposition of the two-way fixed-effects coefficient",
            }
        )
    return pd.DataFrame(rows), extra


def show_weights(design: Design) -> Tabled:
    """Show which effects two-way regressions weigh negatively, and how unlike effects must be for that to matter."""
    frame, extra = describe_weights(design)
    caption = (
        "How two-way regressions weigh the effects of each unit and period, some of them negatively, and how unlike effects would have to be "
        "(their standard deviation) for that to hide another sign; empty: no spread of effects could"
    )
    return Tabled(frame, "weights", ["label", ESTIMATE, *extra, "reason"], caption, extra=extra)


def describe_weights(design: Design) -> tuple[pd.DataFrame, dict[str, ColumnFormat]]:
    """Count the effects that two-way regressions weigh negatively, and say how unlike effects must be for that to matter.

    One row per regression: ``key``, ``label``, ``estimate``, ``effects`` (weights that are not zero), ``negative`` (of these below
    zero), ``sum_negative`` (per cent), ``sigma_zero``, ``sigma_opposite`` (standard deviations of effects at which the average, and every effect,
    could have the other sign; missing: none can), ``reason``, ``unit``; and how the columns beyond the fixed ones are shown.
    """
    share = design.outcome_unit == "fraction"
    factor, shown = (100, "pp") if share else (1, "number")
    extra = {
        "effects": ColumnFormat("Effects of {units} by period", "count"),
        "negative": ColumnFormat("of these weighed negatively", "count"),
        "sum_negative": ColumnFormat("Sum of negative weights (%)", "%", 1),
        "sigma_zero": ColumnFormat("Spread of effects at which their average could be zero", OUTCOME, 2),
        "sigma_opposite": ColumnFormat("at which every effect could have the other sign", OUTCOME, 2),
    }
    rows = []
    for regression, label in _REGRESSIONS.items():
        row = {"key": regression, "label": label, ESTIMATE: np.nan, **dict.fromkeys(extra, np.nan), "reason": ""}
        try:
            found = twfe_weights(design, regression=regression)
        except EvalaidError as error:
            rows.append({**row, "reason": reason_of(error).removeprefix("twfe_weights: ")})
            continue
        spread = found.sigma_zero if np.isfinite(found.sigma_zero) else np.nan
        rows.append(
            row
            | {
                ESTIMATE: factor * found.estimate,
                "effects": found.n_positive + found.n_negative,
                "negative": found.n_negative,
                "sum_negative": 100 * found.sum_negative,
                "sigma_zero": factor * spread,
                "sigma_opposite": factor * found.sigma_opposite,
            }
        )
    made_by = "weights of the two-way coefficient (twfe_weights)"
    return pd.DataFrame(rows).assign(unit=shown, made_by=made_by), extra


def _method_with_scales(spec: StudySpec) -> tuple[str, dict[str, object]]:
    """Return the main method and its options, or imputation where the main method takes no scale."""
    main = spec.methods[spec.main]
    if main.method in {"dose", "etwfe"}:
        return "imputation", {}
    return main.method, dict(main.options)


def _row(design: Design, spec: StudySpec, key: str, label: str, method: str, scale: str, **options: object) -> dict:
    unit = "%" if scale in COUNTS else "pp" if design.outcome_unit == "fraction" else "number"
    words = SCALES[scale].words if scale in SCALES else _COUNT_WORDS.get(scale, "")
    dose = spec.dose if method == "dose" else None
    if dose is not None:
        options = {"column": dose.column, **dose.options()}
    made_by = (
        f"{method} at its defaults" if not options else f"{method}({', '.join(f'{k}={v}' for k, v in options.items())})"
    )
    said: dict[str, Any] = {"unit": unit, "level": spec.level, "made_by": join_texts((made_by, words)), TRUTH: np.nan}
    try:
        if dose is not None:
            effects = dose_effects(spec.change(dose.changes))
        else:
            effects = estimate(design, method, scale=scale, **options)
        average = overall(effects)
        found = in_unit(infer(average, level=spec.level), effects).iloc[0]
    except EvalaidError as error:
        return effect_row(key, label, None, **said, reason=reason_of(error))
    said[TRUTH] = true_average(effects, spec)
    unknown = np.isnan(found[ESTIMATE]) or np.isnan(found[STD_ERROR])
    reason = (str(average.cells["reason"].iloc[0]) or str(found["note"])) if unknown else ""
    return effect_row(key, label, found, **said, reason=reason)
