# The public names: the one list, for type checkers and for loading on first use. The wings' own stubs say where each lives.

from .base.errors import EvalaidError as EvalaidError, NotIdentifiedError as NotIdentifiedError
from .did import (
    CoefficientTable as CoefficientTable,
    Design as Design,
    Effects as Effects,
    EventStudy as EventStudy,
    Panel as Panel,
    bacon as bacon,
    bad_controls as bad_controls,
    balance as balance,
    bound_effect as bound_effect,
    cell_means as cell_means,
    diagnose as diagnose,
    difference as difference,
    estimate as estimate,
    few_treated as few_treated,
    honest as honest,
    infer as infer,
    infer_spatial as infer_spatial,
    joint_test as joint_test,
    leave_out as leave_out,
    leverage as leverage,
    methods as methods,
    minimum_detectable_effect as minimum_detectable_effect,
    overlap as overlap,
    placebo as placebo,
    pretrend_power as pretrend_power,
    pretrend_test as pretrend_test,
    randomize as randomize,
    read_panel as read_panel,
    regression_to_mean as regression_to_mean,
    specification_curve as specification_curve,
    spillover as spillover,
    twfe_weights as twfe_weights,
    wild_bootstrap as wild_bootstrap,
)
from .evidence.published_facts import Facts as Facts
from .programme import (
    Roster as Roster,
    assign_cohorts as assign_cohorts,
    read_roster as read_roster,
    vary_starts as vary_starts,
)
from .reading import (
    Layout as Layout,
    Reading as Reading,
    RecordCounts as RecordCounts,
    count_matrix as count_matrix,
    count_records as count_records,
    read_table as read_table,
    read_tables as read_tables,
)
from .report import draw as draw
from .running.notebooks import run_study as run_study
from .study.spec import StudySpec as StudySpec

__version__: str
