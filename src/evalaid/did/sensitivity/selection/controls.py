"""Bad controls: covariates that respond to the treatment themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import IN_UNIT, leaves_out_zero, results_of
from evalaid.did.estimators.estimation import estimate
from evalaid.did.inference.infer import infer
from evalaid.did.panel.design import Design, check_design


def bad_controls(design: Design, level: float = 0.95) -> pd.DataFrame:
    """Estimate the effect of the treatment on each covariate and flag those that respond.

    A covariate that the programme changes (beds, staff, mean age of those admitted) takes part of the effect with it when it
    is held constant. Assumes parallel trends of the covariate; a covariate that does not respond here may still be a bad one.

    Parameters
    ----------
    design : Design
        With covariates.
    level : float
        Of the interval; a covariate is flagged when it excludes zero.

    Returns
    -------
    pandas.DataFrame
        One row per covariate: ``covariate``, ``kind`` ("baseline" when it is constant within units: it cannot respond, and two-way
        regressions absorb it; "time-varying"), ``estimate`` (imputation, average over treated observations, in the
        covariate's units), ``std_error``, ``conf_low``, ``conf_high``, ``responds`` (bool), ``note``.

    Raises
    ------
    NotIdentifiedError
        When the design holds no comparison.

    Notes
    -----
    Caetano, Callaway, Payne and Sant'Anna Rodrigues (2022), doi:10.48550/arXiv.2202.02903.

    Examples
    --------
    >>> import evalaid as ea
    >>> frame = pd.DataFrame({
    ...     "county": ["a", "a", "b", "b", "c", "c"], "year": [2019, 2020] * 3, "share": [0.8, 0.9, 0.8, 0.8, 0.7, 0.7],
    ...     "beds": [10.0, 20.0, 11.0, 11.0, 9.0, 9.5], "first_treated": [2020.0, 2020.0] + [None] * 4,
    ... })
    >>> design = ea.diagnose(frame, "county", "year", "share", "first_treated", covariates=("beds",))
    >>> bad_controls(design)["kind"].tolist()
    ['time-varying']
    """
    check_design(design)
    matrices = design.matrices
    observed = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
    rows = []
    for name in design.covariates:
        values = matrices.covariates[name]
        first = values[np.arange(matrices.n_units), observed.argmax(axis=1)][:, None]
        if not (observed & (values != first)).any():
            rows.append({"covariate": name, "kind": "baseline", "responds": False, "note": "constant within units"})
            continue
        as_outcome = replace(
            design, matrices=replace(matrices, outcome=values, covariates={}), covariates=(), outcome_unit="number"
        )
        found = infer(estimate(as_outcome, "imputation").aggregate("overall"), level=level).iloc[0]
        responds = leaves_out_zero(found)
        rows.append(
            {
                "covariate": name,
                "kind": "time-varying",
                **results_of(found, IN_UNIT),
                "responds": responds,
                "note": f"{found['note']}; responds to treatment: holding it constant removes part of the effect"
                * responds
                or found["note"],
            }
        )
    columns = ["covariate", "kind", *IN_UNIT, "responds", "note"]
    return pd.DataFrame(rows, columns=columns)
