"""An independent check: the two-way regressions again with a dummy for every unit and period, by statsmodels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from statsmodels.regression.linear_model import WLS
from statsmodels.tools.sm_exceptions import SingularMatrixWarning

from evalaid.base.effect_columns import ESTIMATE, STD_ERROR
from evalaid.base.errors import EvalaidError, reason_of
from evalaid.did.estimators.common.strata import stratum_of
from evalaid.did.estimators.estimation import estimate
from evalaid.did.inference.infer import infer
from evalaid.did.panel.design import Design
from evalaid.did.panel.matrices import PART

Floats = NDArray[np.float64]

# Dense regressions take observations times columns squared: with more numbers than this in the table of regressors, seconds.
LARGEST = 2_000_000
# The seed of the clusters that stand for a panel too large for dummies.
SEED = 1
MADE_BY = "estimate by the package minus statsmodels, least squares with dummies and errors clustered (CR0)"
METHODS = {
    "twfe": "Two-way fixed effects",
    "event_study": "Event-study regression",
}


def check_with_dummies(design: Design) -> pd.DataFrame:
    """Compare the two-way regressions and their clustered errors with those that statsmodels gives for dummies.

    Nothing of the package's engine is used for the other side: the table of regressors holds a column for every unit, period and
    effect. On a panel too large for that both sides use some of the clusters, drawn once; the label says so. The covariates and
    weights of the design take part, anticipation does not.

    ``key``, ``label``, ``cells`` (numbers compared), ``largest_gap`` (largest absolute difference, percentage points for a share),
    ``unit``, ``reason``, ``made_by``.
    """
    unit = "pp" if design.outcome_unit == "fraction" else "number"
    part, said = _fitting(replace(design, anticipation=0))
    rows = []
    for method, name in METHODS.items():
        try:
            for kind, ours, theirs in _both_sides(part, method):
                gap = float(np.abs(ours - theirs).max()) * (100 if unit == "pp" else 1)
                rows.append((f"{method}_{kind.split()[-1]}", f"{name}: {kind}{said}", len(ours), gap, ""))
        except EvalaidError as error:
            rows.append((method, name, 0, np.nan, reason_of(error)))
    frame = pd.DataFrame(rows, columns=["key", "label", "cells", "largest_gap", "reason"])
    return frame.assign(unit=unit, made_by=MADE_BY)


def _both_sides(design: Design, method: str) -> Iterator[tuple[str, Floats, Floats]]:
    """Yield estimates and clustered errors of the package and of statsmodels, for the coefficients that both identify."""
    effects = estimate(design, method)
    moved = effects.cells["reason"].eq("").to_numpy() & ~np.isnan(effects.value)
    table = infer(effects, vcov="reference")[moved]
    matrices = design.matrices
    seen = np.ones_like(matrices.outcome, dtype=bool) if matrices.observed is None else matrices.observed
    unit, column = np.nonzero(seen)
    time = matrices.unit_time[unit, column]
    wanted = effects.cells["event_time"].to_numpy()[moved] if "event_time" in effects.cells else None
    if wanted is None:
        effect = (time[:, None] >= 0).astype(float)
    else:  # a cohort is measured from its last observed period before the start, in a panel with gaps not always -1
        before = pd.Series(np.where(time < 0, time, np.nan)).groupby(matrices.cohort[unit]).transform("max").to_numpy()
        effect = ((time[:, None] == wanted) & (time != before)[:, None]).astype(float)
    if PART in matrices.covariates:
        effect *= np.where(time == 0, matrices.covariates[PART][seen], 1.0)[:, None]
    codes = np.unique(stratum_of(matrices), return_inverse=True)[1].ravel()
    by_period = column[:, None] == np.arange(1, matrices.n_periods)
    dummies = np.concatenate(
        [unit[:, None] == np.arange(matrices.n_units)]
        + [by_period & (codes[unit] == code)[:, None] for code in range(codes.max() + 1)],
        axis=1,
    )
    covariates = [matrices.covariates[name][seen][:, None] for name in design.covariates]
    x = np.concatenate(
        [effect, *(values / max(float(np.abs(values).max()), 1e-300) for values in covariates), dummies], axis=1
    )
    weight = np.ones(len(unit)) if matrices.weight is None else matrices.weight[seen]
    with warnings.catch_warnings():  # dummies that nothing tells apart are not compared: the others are what they are
        warnings.simplefilter("ignore", SingularMatrixWarning)
        fitted = WLS(matrices.outcome[seen], x, weights=weight).fit(
            cov_type="cluster", cov_kwds={"groups": matrices.cluster[unit], "use_correction": False}
        )
    width = effect.shape[1]
    yield "estimates", table[ESTIMATE].to_numpy(), np.asarray(fitted.params[:width])
    convention, count = effects.convention, len(np.unique(matrices.cluster))
    ours = table[STD_ERROR].to_numpy() / np.sqrt(_factor(convention.observations, convention.parameters, count))
    yield "clustered errors", ours, np.asarray(fitted.bse[:width])


def _factor(observations: int, parameters: int, clusters: int) -> float:
    """Return the small-sample factor of the package, which statsmodels leaves out."""
    return clusters / (clusters - 1) * (observations - 1) / (observations - parameters)


def _fitting(design: Design) -> tuple[Design, str]:
    """Return the design, or as many of its clusters as a dense regression can hold, and the words that say so."""
    matrices = design.matrices
    limit = _most_units(matrices.n_periods)
    if matrices.n_units <= limit:
        return design, ""
    rng = np.random.default_rng(SEED)
    size = np.bincount(matrices.cluster, minlength=matrices.n_clusters)
    order = rng.permutation(matrices.n_clusters)
    chosen = order[size[order].cumsum() <= limit]
    part = design.subset(np.isin(matrices.cluster, chosen))
    return part, f" (of {len(chosen):,} of {matrices.n_clusters:,} clusters, drawn: too many units for dummies)"


def _most_units(periods: int) -> int:
    """Return how many units a table of regressors of the largest size can hold."""
    return int((np.sqrt(periods**2 + 4 * LARGEST / periods) - periods) / 2)
