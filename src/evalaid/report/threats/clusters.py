"""Are the intervals too short? The main estimate under every kind of inference that the design admits, side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import (
    CLUSTERS,
    CONF_HIGH,
    CONF_LOW,
    DISTRIBUTION,
    ENDS,
    ESTIMATE,
    P_VALUE,
    RESULTS,
    STD_ERROR,
    VCOV,
)
from evalaid.base.errors import EvalaidError, reason_of
from evalaid.did.effects.effects import Effects
from evalaid.did.estimators.estimation import estimate
from evalaid.did.inference.infer import Vcov, infer
from evalaid.did.inference.randomisation.few_treated import few_treated
from evalaid.did.inference.randomisation.permutation import Randomization, randomize
from evalaid.did.inference.wild.wild import wild_bootstrap
from evalaid.did.panel.design import Design
from evalaid.report.cell_progress import watch
from evalaid.report.display.curves import draw_permutations
from evalaid.report.exhibits import Drawn, Exhibit, Tabled
from evalaid.report.questions.analysis import overall
from evalaid.report.questions.effect_rows import effect_row
from evalaid.report.questions.put_in import TRUTH
from evalaid.report.questions.units import in_unit
from evalaid.report.threats.finding import APPEARS, UNKNOWN, Case, write_p
from evalaid.report.threats.threat import Judged, Threat
from evalaid.report.wording.robustness import FEW_CLUSTERS
from evalaid.study.sample import diagnose_frame, load_frame

WILD_DRAWS, ASSIGNMENTS = 9999, 999
# Leaving out each of more clusters may take minutes, and changes nothing beside what is reported.
JACKKNIFE_LIMIT = 300
# The regression that takes part when the main method is none: saturated by cohort and period, so no comparison of treated
# units with treated units enters it.
REGRESSION = "etwfe"
# With few clusters these cover less than they say; what is reported is more careful where that matters.
TOO_SHORT = ("CR1", "multiplier")
# For one or few treated units, with the residuals of many others; asked for by the column of their size.
FewTreated = Literal["conley_taber", "ferman_pinto"]
FEW_TREATED_KINDS: dict[FewTreated, str] = {
    "conley_taber": "Conley and Taber: residuals of untreated units",
    "ferman_pinto": "Ferman and Pinto: the same, by the size of units",
}
_KEPT = (*RESULTS, *CLUSTERS)


@dataclass(frozen=True)
class Inferred:
    """The main estimate by kind of inference, and its estimates under assignments drawn again (no rows without any)."""

    table: pd.DataFrame
    permutations: pd.DataFrame


def examine_clusters(case: Case) -> Inferred:
    """Repeat the inference for the main estimate with everything that holds with few clusters or few treated ones.

    Kinds that need a regression use the extended two-way regression where the main method is none; its estimate differs then
    from the main one. ``strata`` of the study's ``robustness`` limits which units may change places in the randomisation.
    One row per kind; ``reason`` says why there is none.
    """
    main, level = case.overall, case.spec.level
    kinds: tuple[tuple[str, str, Vcov], ...] = (
        ("auto", "As reported", "auto"),
        ("CR1", "CR1: clusters as they are, t quantiles", "CR1"),
        ("CR3", "CR3: leaving out each cluster in turn", "CR3"),
        ("multiplier", "Multiplier bootstrap of the influence", "multiplier"),
    )
    few = case.design.n_clusters <= JACKKNIFE_LIMIT
    rows = [
        _row(case, key, label, case.method, partial(infer, main, level, vcov))
        if few or vcov != "CR3"
        else _missing(
            case, key, label, f"more than {JACKKNIFE_LIMIT} clusters: the interval as reported serves as well"
        )
        for key, label, vcov in kinds
    ]
    regression, name = _regression(case)
    if regression is None:
        rows += [_missing(case, key, label, name) for key, label in (("CR2", _CR2), ("wild", _WILD))]
    else:
        of = "" if name == case.method else f" (of {name})"
        rows.append(_row(case, "CR2", f"{_CR2}{of}", name, partial(infer, regression, level, "CR2")))
        rows.append(_row(case, "wild", f"{_WILD}{of}", name, partial(_wild, case, regression)))
    label = "Randomisation: who was treated, drawn again"
    drawn: Randomization | None = None
    try:
        drawn = _drawn(case)
        rows.append(_row(case, "randomisation", label, case.method, drawn.tidy))
    except EvalaidError as error:
        rows.append(_missing(case, "randomisation", label, reason_of(error)))
    if case.spec.robustness.size is not None:
        design, of = _complete(case)
        for kind, name in FEW_TREATED_KINDS.items():
            rows.append(_row(case, kind, f"{name}{of}", case.method, partial(_residuals, case, design, kind)))
    return Inferred(pd.DataFrame(rows), _permutations(case, drawn))


def show_clusters(_case: Case, found: Inferred) -> list[Exhibit]:
    """List the main estimate by kind of inference, and draw its distribution over assignments."""
    columns = ["label", ESTIMATE, STD_ERROR, CONF_LOW, CONF_HIGH, P_VALUE, "reason"]
    return [
        Tabled(found.table, "inference", columns, "The main estimate by kind of inference"),
        Drawn(
            draw_permutations, found.permutations, "permutations",
            "The main estimate among those under assignments drawn again: the randomisation of the table above.",
            without="",
        ),
    ]  # fmt: skip


def judge_clusters(case: Case, found: Inferred) -> Judged:
    """Judge by the p-values of all kinds: an interval that is known to be too short makes no effect appear."""
    finding, table = case.finding, found.table
    known = table[table[P_VALUE].notna()]
    if known.empty:
        return Judged("No kind of inference gives an interval on this design.", UNKNOWN)
    low, high = known[P_VALUE].min(), known[P_VALUE].max()
    said = f"{len(known)} kinds of inference; p from {write_p(low)} to {write_p(high)}."
    if len(known) == 1:
        said = f"Only one kind of inference applies ({known['label'].iloc[0]}): p = {write_p(low)}."
    if finding.shows_an_effect:
        return Judged(said, finding.judge_tests(table))
    careful = table[~table["key"].isin(TOO_SHORT)]
    appears = finding.judge_tests(careful) == APPEARS
    return Judged(said, APPEARS if appears else finding.judge_all(careful), careful)


THREAT = Threat("clusters", FEW_CLUSTERS, examine_clusters, show_clusters, judge_clusters, needs_cells=False)


_CR2 = "CR2 with its own degrees of freedom"
_WILD = "Wild cluster bootstrap, null imposed"


def _regression(case: Case) -> tuple[Effects | None, str]:
    """Return the overall effect of a regression: the main method's, or that of the saturated one; else the reason."""
    main = case.overall
    if main.contrasts is not None:
        return main, case.method
    try:
        other = overall(estimate(case.design, REGRESSION))
    except EvalaidError as error:
        return None, reason_of(error)
    return (other, REGRESSION) if other.contrasts is not None else (None, f"{case.method} is no regression")


def _wild(case: Case, effects: Effects) -> pd.DataFrame:
    """Run the wild bootstrap; without its jackknife where a cohort is one cluster, whose coefficients that would leave out."""
    matrices = case.design.matrices
    alone = any(len(np.unique(matrices.cluster[matrices.block(at)])) == 1 for at in range(len(matrices.cohorts)))
    kind = "WCR11" if alone else "WCR31"
    return wild_bootstrap(effects, draws=WILD_DRAWS, level=case.spec.level, seed=case.spec.seed, kind=kind)


def _drawn(case: Case) -> Randomization:
    return randomize(
        case.design,
        case.method,
        draws=ASSIGNMENTS,
        seed=case.spec.seed,
        strata=case.spec.robustness.strata,
        level=case.spec.level,
        progress=watch("Assignments"),
        **case.options,
    )


def _permutations(case: Case, drawn: Randomization | None) -> pd.DataFrame:
    """List the estimate of each assignment beside the true one, in the unit of the report."""
    if drawn is None:
        return pd.DataFrame(columns=[ESTIMATE, "actual", P_VALUE, TRUTH])
    factor = case.unit[1]
    said = {"actual": factor * float(drawn.actual[ESTIMATE].iloc[0]), P_VALUE: drawn.p_value, TRUTH: case.truth}
    return pd.DataFrame({ESTIMATE: factor * drawn.table[ESTIMATE].to_numpy(dtype=float)}).assign(**said)


def _complete(case: Case) -> tuple[Design, str]:
    """Return the design by units, and by the periods that every unit is observed in where the panel has gaps."""
    spec = case.spec.change({"cluster": None})
    frame = load_frame(spec)
    periods = frame.groupby(spec.period)[spec.unit].nunique()
    gaps = periods.index[periods < case.design.n_units]
    if not len(gaps):
        return diagnose_frame(frame, spec), ""
    kept = frame[~frame[spec.period].isin(gaps)].reset_index(drop=True)
    return diagnose_frame(kept, spec), f" (without {', '.join(map(str, gaps))}, in which the panel has gaps)"


def _residuals(case: Case, design: Design, kind: FewTreated) -> pd.DataFrame:
    size = case.spec.robustness.size if kind == "ferman_pinto" else None
    return few_treated(
        design, case.method, kind=kind, size=size, level=case.spec.level, seed=case.spec.seed, **case.options
    )


def _row(case: Case, key: str, label: str, method: str, make: Callable[[], pd.DataFrame]) -> dict[str, Any]:
    try:
        frame = make()
    except EvalaidError as error:
        return _missing(case, key, label, reason_of(error))
    found = in_unit(frame, case.overall).iloc[0]
    reason = str(found["note"]) if np.isnan(found[CONF_LOW]) else ""
    if np.isinf(found[list(ENDS)].to_numpy(dtype=float)).any():  # no interval that a table can show
        reason = f"the interval has no end: {found['note']}"
        found = found.mask(found.index.isin(ENDS))
    made_by = f"{method}; {found[VCOV]}, {found[DISTRIBUTION]}"
    return _shared(case, key, label, found, reason, "" if reason else str(found["note"]), made_by)


def _missing(case: Case, key: str, label: str, reason: str) -> dict[str, Any]:
    return _shared(case, key, label, None, reason)


def _shared(
    case: Case, key: str, label: str, found: pd.Series | None, reason: str, note: str = "", made_by: str = ""
) -> dict[str, Any]:
    said = {
        TRUTH: case.truth,
        "reason": reason,
        "unit": case.unit[0],
        "level": case.spec.level,
        "note": note,
        "made_by": made_by,
    }
    return effect_row(key, label, found, _KEPT, **said)
