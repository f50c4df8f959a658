"""Which effects a two-way fixed-effects coefficient weighs, some of them negatively (de Chaisemartin and D'Haultfoeuille 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.columns import covariate_key
from evalaid.base.errors import EstimationError
from evalaid.base.names import OUTCOME, PATH, TREATED, WEIGHT
from evalaid.did.effects.linear import PanelData, project
from evalaid.did.estimators.common.method import chosen_covariates
from evalaid.did.panel.design import Design

Floats = NDArray[np.float64]
# Weights below it are zero up to rounding (the limit of the reference).
ROUNDING = 1e-10


@dataclass(frozen=True, eq=False, repr=False)
class TwoWayWeights:
    """The weights of a two-way fixed-effects coefficient.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per treated unit and period: ``unit``, ``period`` (ordinal), ``treatment``, ``weight`` (of its effect per unit of
        treatment; they sum to one).
    estimate : float
        The coefficient, in the unit of the outcome.
    n_positive, n_negative : int
        Weights above and below zero.
    sum_negative : float
        Sum of the negative ones.
    sigma_zero : float
        Smallest standard deviation of the effects across treated unit-periods at which the average effect could be zero although
        the coefficient is not. Large against a plausible spread of effects: the sign of the coefficient is safe.
    sigma_opposite : float
        Smallest standard deviation at which every single effect could have the other sign; NaN without negative weights, when no
        spread can do that.
    """

    table: pd.DataFrame
    estimate: float
    n_positive: int
    n_negative: int
    sum_negative: float
    sigma_zero: float
    sigma_opposite: float

    def __repr__(self) -> str:
        return f"<TwoWayWeights: {self.describe()}>"

    def describe(self) -> str:
        """Describe the weights in a few sentences, in the unit of the outcome."""
        every = "" if np.isnan(self.sigma_opposite) else f", of every effect at one of {self.sigma_opposite:.4g}"
        return (
            f"The coefficient {self.estimate:.4g} weighs {len(self.table):,} effects, {self.n_negative:,} of them negatively (sum "
            f"{self.sum_negative:.4g}). The average effect could have the other sign if effects have a standard deviation of "
            f"{self.sigma_zero:.4g}{every}."
        )


def twfe_weights(
    design: Design, treatment: str | None = None, *, covariates: Sequence[str] | None = None
) -> TwoWayWeights:
    """Return the weights with which a two-way fixed-effects coefficient averages effects, and the heterogeneity that they allow.

    Assumes parallel trends without treatment; effects may differ by unit and period. Uses all units of the panel, units that are
    treated from the first period on included (which ``twfe`` leaves out), as the regression of the literature does.

    Parameters
    ----------
    design : Design
        From :func:`evalaid.diagnose`; may be unbalanced, weighted, and with treatment that ends.
    treatment : str, optional
        Covariate with the treatment of each unit and period, 0/1 or an intensity. Default: the column ``treated=`` or ``path=`` of the design,
        or one from the cohort on.
    covariates : sequence of str, optional
        Controls of the regression; default: the design's, without ``treatment``.

    Returns
    -------
    TwoWayWeights

    Raises
    ------
    EstimationError
        When nobody is treated, treatment is negative, or it does not vary beyond unit and period effects and covariates.

    Notes
    -----
    With eps the residual of D on unit effects, period effects and covariates, m the observation weights: ``beta = sum_it w_it
    effect_it``, ``w_it = m_it eps_it D_it / sum_it m_it eps_it D_it``. With natural shares ``p_it = m_it D_it / sum m D`` and ``W = w / p``:
    ``sigma_zero = |beta| / sd_p(W)`` (with their factor n / (n - 1)), and ``sigma_opposite = |beta| / (T_s + S_s^2 / (1 - P_s))^(1/2)``, W ordered
    downwards, P, S, T the sums of p, w, p W^2 from s on, s the first with ``W_s < -S_s / (1 - P_s)``. De Chaisemartin and D'Haultfoeuille
    (2020), theorem 1 and corollary 1, doi:10.1257/aer.20181169; as R ``TwoWayFEWeights`` with ``type = "feTR"``.

    Examples
    --------
    >>> import evalaid as ea
    >>> frame = pd.DataFrame({
    ...     "county": ["a"] * 3 + ["b"] * 3, "year": [2019, 2020, 2021] * 2,
    ...     "share": [0.80, 0.84, 0.85, 0.80, 0.81, 0.86], "first_treated": [2020.0] * 3 + [2021.0] * 3,
    ... })
    >>> weights = twfe_weights(ea.diagnose(frame, "county", "year", "share", "first_treated"))
    >>> weights.table["weight"].round(3).tolist(), weights.n_negative
    ([1.0, -0.5, 0.5], 1)
    """
    panel = design.panel
    keys = panel.keys
    shape = (len(keys.units), len(keys.periods))

    def matrix(values: Floats) -> Floats:
        filled = np.zeros(shape[0] * shape[1])
        filled[keys.cell] = values
        return filled.reshape(shape)

    if treatment is not None:
        (name,) = chosen_covariates("twfe_weights", design, (treatment,))
        given = panel.columns[covariate_key(name)]
    elif {PATH, TREATED} & set(panel.columns):
        given = panel.columns[PATH if PATH in panel.columns else TREATED]
    else:
        start = design.treatment.stated.to_numpy()[keys.unit]
        given = (keys.periods[keys.period] >= start).astype(float)
    if (given < 0).any() or not (given > 0).any():
        raise EstimationError(
            f"twfe_weights: {'treatment is negative in some rows' if (given < 0).any() else 'no row is treated'}; a treatment of 0 or "
            "more that somebody receives is expected."
        )
    controls = chosen_covariates("twfe_weights", design, covariates)
    controls = tuple(one for one in controls if one != treatment)
    mass = matrix(panel.columns[WEIGHT] if WEIGHT in panel.columns else np.ones(len(given)))
    outcome, treated = matrix(panel.columns[OUTCOME]), matrix(given)
    regressors = np.array([treated, *(matrix(panel.columns[covariate_key(one)]) for one in controls)])
    projection = project(PanelData(outcome, mass, regressors, (slice(0, shape[0]),)), np.zeros((1, shape[1], 0)))
    scores = projection.fit(1, range(2, 2 + len(controls))).residual
    total = float((scores * treated).sum())
    if total <= ROUNDING * float((mass * treated**2).sum()):
        raise EstimationError(
            "twfe_weights: treatment does not vary beyond unit effects, period effects and covariates; there is no coefficient."
        )
    estimate = float((scores * outcome).sum()) / total
    unit, period = np.nonzero((treated > 0) & (mass > 0))
    weight = (scores * treated)[unit, period] / total
    weight = np.where(np.abs(weight) < ROUNDING, 0.0, weight)
    share = (mass * treated)[unit, period]
    share = share / share.sum()
    table = pd.DataFrame({
        "unit": keys.units.take(unit), "period": keys.periods[period], "treatment": treated[unit, period], "weight": weight,
    })  # fmt: skip
    negative = weight[weight < 0]
    return TwoWayWeights(
        table=table,
        estimate=estimate,
        n_positive=int((weight > 0).sum()),
        n_negative=len(negative),
        sum_negative=float(negative.sum()),
        sigma_zero=_sigma_zero(estimate, weight, share),
        sigma_opposite=_sigma_opposite(estimate, weight, share) if len(negative) else np.nan,
    )


def _sigma_zero(estimate: float, weight: Floats, share: Floats) -> float:
    relative = weight / share
    n = len(share)
    spread = float(np.sqrt((share * (relative - weight.sum()) ** 2).sum() * n / max(n - 1, 1)))
    return abs(estimate) / spread if spread > ROUNDING else np.inf


def _sigma_opposite(estimate: float, weight: Floats, share: Floats) -> float:
    kept = weight != 0
    order = np.argsort(-(weight / share)[kept], kind="stable")
    weight, share = weight[kept][order], share[kept][order]
    relative = weight / share

    def from_here_on(values: Floats) -> Floats:
        return np.asarray(values[::-1].cumsum()[::-1])

    left, rest, squares = from_here_on(share), from_here_on(weight), from_here_on(share * relative**2)
    others = np.maximum(1 - left[1:], ROUNDING)
    first = 1 + int(np.argmax(relative[1:] < -rest[1:] / others))
    return float(abs(estimate) / np.sqrt(squares[first] + rest[first] ** 2 / (1 - left[first])))
