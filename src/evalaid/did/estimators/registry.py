"""The registry: every method that ``estimate`` knows, in the order in which a report shows them."""

from __future__ import annotations

from evalaid.did.estimators.common.method import Method
from evalaid.did.estimators.comparisons import callaway_santanna, dcdh, dose, efficient, triple_difference, two_by_two
from evalaid.did.estimators.regressions import etwfe, event_study, imputation, lp_did, stacked, sun_abraham, twfe
from evalaid.did.estimators.synthetic import augmented, factor_models, synthetic

METHODS: tuple[Method, ...] = (
    two_by_two.METHOD,
    twfe.METHOD,
    event_study.METHOD,
    callaway_santanna.METHOD,
    sun_abraham.METHOD,
    etwfe.METHOD,
    imputation.METHOD,
    stacked.METHOD,
    lp_did.METHOD,
    efficient.METHOD,
    dcdh.METHOD,
    synthetic.SYNTHETIC_DID,
    synthetic.SYNTHETIC_CONTROL,
    augmented.AUGMENTED,
    factor_models.COMPLETION,
    factor_models.INTERACTIVE,
    dose.METHOD,
    triple_difference.METHOD,
)
