"""evalaid: the effect of hospital partnership programmes on county inpatient share, with its origin and its limits.

The names below are the public interface; each is loaded when it is first used, so importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalaid.base.errors import EvalaidError, NotIdentifiedError
    from evalaid.did.effects.effects import Effects
    from evalaid.did.estimators.estimation import estimate, methods
    from evalaid.did.inference.infer import infer
    from evalaid.did.inference.randomisation.few_treated import few_treated
    from evalaid.did.inference.randomisation.permutation import randomize
    from evalaid.did.inference.variance.difference import difference
    from evalaid.did.inference.variance.leverage import leverage
    from evalaid.did.inference.variance.spatial import infer_spatial
    from evalaid.did.inference.wild.wild import wild_bootstrap
    from evalaid.did.panel.design import Design, diagnose
    from evalaid.did.panel.panel import Panel, read_panel
    from evalaid.did.sensitivity.bounds.bounds import bound_effect
    from evalaid.did.sensitivity.choices.decomposition import bacon
    from evalaid.did.sensitivity.choices.joint import joint_test
    from evalaid.did.sensitivity.choices.specifications import specification_curve
    from evalaid.did.sensitivity.placebo.placebo import placebo
    from evalaid.did.sensitivity.power.power import minimum_detectable_effect
    from evalaid.did.sensitivity.sample.leave_out import leave_out
    from evalaid.did.sensitivity.sample.overlap import overlap
    from evalaid.did.sensitivity.sample.spillover import spillover
    from evalaid.did.sensitivity.selection.balance import balance
    from evalaid.did.sensitivity.selection.controls import bad_controls
    from evalaid.did.sensitivity.selection.regression_to_mean import regression_to_mean
    from evalaid.did.sensitivity.trends.coefficients import EventStudy
    from evalaid.did.sensitivity.trends.honest import honest
    from evalaid.did.sensitivity.trends.pretrend_power import pretrend_power
    from evalaid.evidence.published_facts import Facts
    from evalaid.programme.cohorts import assign_cohorts
    from evalaid.programme.roster import Roster, read_roster
    from evalaid.programme.starts import vary_starts
    from evalaid.reading.journal.layouts import Layout
    from evalaid.reading.records.matrix import count_matrix
    from evalaid.reading.records.records import count_records
    from evalaid.reading.records.tallies import RecordCounts
    from evalaid.reading.tables.tables import Reading, read_table, read_tables
    from evalaid.running.notebooks import run_study
    from evalaid.study.spec import StudySpec

__version__ = "0.1.0"

_HOME = {
    "Design": "evalaid.did.panel.design",
    "Effects": "evalaid.did.effects.effects",
    "EvalaidError": "evalaid.base.errors",
    "EventStudy": "evalaid.did.sensitivity.trends.coefficients",
    "Facts": "evalaid.evidence.published_facts",
    "Layout": "evalaid.reading.journal.layouts",
    "NotIdentifiedError": "evalaid.base.errors",
    "Panel": "evalaid.did.panel.panel",
    "Reading": "evalaid.reading.tables.tables",
    "RecordCounts": "evalaid.reading.records.tallies",
    "Roster": "evalaid.programme.roster",
    "StudySpec": "evalaid.study.spec",
    "assign_cohorts": "evalaid.programme.cohorts",
    "balance": "evalaid.did.sensitivity.selection.balance",
    "bound_effect": "evalaid.did.sensitivity.bounds.bounds",
    "bad_controls": "evalaid.did.sensitivity.selection.controls",
    "bacon": "evalaid.did.sensitivity.choices.decomposition",
    "count_matrix": "evalaid.reading.records.matrix",
    "count_records": "evalaid.reading.records.records",
    "diagnose": "evalaid.did.panel.design",
    "difference": "evalaid.did.inference.variance.difference",
    "estimate": "evalaid.did.estimators.estimation",
    "honest": "evalaid.did.sensitivity.trends.honest",
    "infer": "evalaid.did.inference.infer",
    "infer_spatial": "evalaid.did.inference.variance.spatial",
    "leave_out": "evalaid.did.sensitivity.sample.leave_out",
    "leverage": "evalaid.did.inference.variance.leverage",
    "methods": "evalaid.did.estimators.estimation",
    "minimum_detectable_effect": "evalaid.did.sensitivity.power.power",
    "overlap": "evalaid.did.sensitivity.sample.overlap",
    "placebo": "evalaid.did.sensitivity.placebo.placebo",
    "few_treated": "evalaid.did.inference.randomisation.few_treated",
    "pretrend_power": "evalaid.did.sensitivity.trends.pretrend_power",
    "joint_test": "evalaid.did.sensitivity.choices.joint",
    "randomize": "evalaid.did.inference.randomisation.permutation",
    "read_panel": "evalaid.did.panel.panel",
    "read_roster": "evalaid.programme.roster",
    "read_table": "evalaid.reading.tables.tables",
    "read_tables": "evalaid.reading.tables.tables",
    "regression_to_mean": "evalaid.did.sensitivity.selection.regression_to_mean",
    "run_study": "evalaid.running.notebooks",
    "specification_curve": "evalaid.did.sensitivity.choices.specifications",
    "spillover": "evalaid.did.sensitivity.sample.spillover",
    "vary_starts": "evalaid.programme.starts",
    "wild_bootstrap": "evalaid.did.inference.wild.wild",
}

__all__ = [
    "Design",
    "Effects",
    "EvalaidError",
    "EventStudy",
    "Facts",
    "Layout",
    "NotIdentifiedError",
    "Panel",
    "Reading",
    "RecordCounts",
    "Roster",
    "StudySpec",
    "assign_cohorts",
    "bacon",
    "bad_controls",
    "balance",
    "bound_effect",
    "count_matrix",
    "count_records",
    "diagnose",
    "difference",
    "estimate",
    "few_treated",
    "honest",
    "infer",
    "infer_spatial",
    "joint_test",
    "leave_out",
    "leverage",
    "methods",
    "minimum_detectable_effect",
    "overlap",
    "placebo",
    "pretrend_power",
    "randomize",
    "read_panel",
    "read_roster",
    "read_table",
    "read_tables",
    "regression_to_mean",
    "run_study",
    "specification_curve",
    "spillover",
    "vary_starts",
    "wild_bootstrap",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'evalaid' has no attribute {name!r}; it offers {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
