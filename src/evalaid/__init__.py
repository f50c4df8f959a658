"""evalaid: the effect of hospital partnership programmes on county inpatient share, with its origin and its limits.

The names below are the public interface; each is loaded when it is first used, so importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalaid.base.errors import EvalaidError, NotIdentifiedError
    from evalaid.cohorts import assign_cohorts
    from evalaid.design import Design, diagnose
    from evalaid.effects import Effects
    from evalaid.estimation import estimate, methods
    from evalaid.facts.table import Facts
    from evalaid.inference.difference import difference
    from evalaid.inference.few_treated import few_treated
    from evalaid.inference.leverage import leverage
    from evalaid.inference.permutation import randomize
    from evalaid.inference.spatial import infer_spatial
    from evalaid.inference.table import infer
    from evalaid.inference.wild import wild_bootstrap
    from evalaid.panel import Panel, read_panel
    from evalaid.reading.layouts import Layout
    from evalaid.reading.matrix import count_matrix
    from evalaid.reading.records import count_records
    from evalaid.reading.tables import Reading, read_table, read_tables
    from evalaid.reading.tallies import RecordCounts
    from evalaid.roster import Roster, read_roster
    from evalaid.running.notebooks import run_study
    from evalaid.sensitivity.balance import balance
    from evalaid.sensitivity.bounds import bound_effect
    from evalaid.sensitivity.coefficients import EventStudy
    from evalaid.sensitivity.controls import bad_controls
    from evalaid.sensitivity.decomposition import bacon
    from evalaid.sensitivity.honest import honest
    from evalaid.sensitivity.joint import joint_test
    from evalaid.sensitivity.leave_out import leave_out
    from evalaid.sensitivity.overlap import overlap
    from evalaid.sensitivity.placebo import placebo
    from evalaid.sensitivity.power import minimum_detectable_effect
    from evalaid.sensitivity.pretrend_power import pretrend_power
    from evalaid.sensitivity.regression_to_mean import regression_to_mean
    from evalaid.sensitivity.specifications import specification_curve
    from evalaid.sensitivity.spillover import spillover
    from evalaid.sensitivity.starts import vary_starts
    from evalaid.study.spec import StudySpec

__version__ = "0.1.0"

_HOME = {
    "Design": "evalaid.design",
    "Effects": "evalaid.effects",
    "EvalaidError": "evalaid.base.errors",
    "EventStudy": "evalaid.sensitivity.coefficients",
    "Facts": "evalaid.facts.table",
    "Layout": "evalaid.reading.layouts",
    "NotIdentifiedError": "evalaid.base.errors",
    "Panel": "evalaid.panel",
    "Reading": "evalaid.reading.tables",
    "RecordCounts": "evalaid.reading.tallies",
    "Roster": "evalaid.roster",
    "StudySpec": "evalaid.study.spec",
    "assign_cohorts": "evalaid.cohorts",
    "balance": "evalaid.sensitivity.balance",
    "bound_effect": "evalaid.sensitivity.bounds",
    "bad_controls": "evalaid.sensitivity.controls",
    "bacon": "evalaid.sensitivity.decomposition",
    "count_matrix": "evalaid.reading.matrix",
    "count_records": "evalaid.reading.records",
    "diagnose": "evalaid.design",
    "difference": "evalaid.inference.difference",
    "estimate": "evalaid.estimation",
    "honest": "evalaid.sensitivity.honest",
    "infer": "evalaid.inference.table",
    "infer_spatial": "evalaid.inference.spatial",
    "leave_out": "evalaid.sensitivity.leave_out",
    "leverage": "evalaid.inference.leverage",
    "methods": "evalaid.estimation",
    "minimum_detectable_effect": "evalaid.sensitivity.power",
    "overlap": "evalaid.sensitivity.overlap",
    "placebo": "evalaid.sensitivity.placebo",
    "few_treated": "evalaid.inference.few_treated",
    "pretrend_power": "evalaid.sensitivity.pretrend_power",
    "joint_test": "evalaid.sensitivity.joint",
    "randomize": "evalaid.inference.permutation",
    "read_panel": "evalaid.panel",
    "read_roster": "evalaid.roster",
    "read_table": "evalaid.reading.tables",
    "read_tables": "evalaid.reading.tables",
    "regression_to_mean": "evalaid.sensitivity.regression_to_mean",
    "run_study": "evalaid.running.notebooks",
    "specification_curve": "evalaid.sensitivity.specifications",
    "spillover": "evalaid.sensitivity.spillover",
    "vary_starts": "evalaid.sensitivity.starts",
    "wild_bootstrap": "evalaid.inference.wild",
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
