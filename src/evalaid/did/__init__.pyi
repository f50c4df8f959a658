# What `evalaid.did` offers: the one list, for type checkers and for loading on first use.

from .effects.effects import Effects as Effects
from .estimators.estimation import estimate as estimate, methods as methods
from .inference.coefficient_table import CoefficientTable as CoefficientTable
from .inference.infer import infer as infer
from .inference.randomisation.few_treated import few_treated as few_treated
from .inference.randomisation.permutation import randomize as randomize
from .inference.variance.difference import difference as difference
from .inference.variance.leverage import leverage as leverage
from .inference.variance.spatial import infer_spatial as infer_spatial
from .inference.wild.wild import wild_bootstrap as wild_bootstrap
from .panel.cell_means import cell_means as cell_means
from .panel.design import Design as Design, diagnose as diagnose
from .panel.panel import Panel as Panel, read_panel as read_panel
from .sensitivity.bounds.bounds import bound_effect as bound_effect
from .sensitivity.choices.decomposition import bacon as bacon
from .sensitivity.choices.joint import joint_test as joint_test
from .sensitivity.choices.specifications import specification_curve as specification_curve
from .sensitivity.choices.twfe_weights import twfe_weights as twfe_weights
from .sensitivity.placebo.placebo import placebo as placebo
from .sensitivity.power.power import minimum_detectable_effect as minimum_detectable_effect
from .sensitivity.sample.leave_out import leave_out as leave_out
from .sensitivity.sample.overlap import overlap as overlap
from .sensitivity.sample.spillover import spillover as spillover
from .sensitivity.selection.balance import balance as balance
from .sensitivity.selection.controls import bad_controls as bad_controls
from .sensitivity.selection.regression_to_mean import regression_to_mean as regression_to_mean
from .sensitivity.trends.coefficients import EventStudy as EventStudy
from .sensitivity.trends.honest import honest as honest
from .sensitivity.trends.pretrend_power import pretrend_power as pretrend_power
from .sensitivity.trends.pretrend_test import pretrend_test as pretrend_test
