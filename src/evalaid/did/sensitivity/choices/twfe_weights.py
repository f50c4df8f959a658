"""Which effects a two-way regression coefficient weighs, some of them negatively (de Chaisemartin and D'Haultfoeuille 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.columns import covariate_key
from evalaid.base.errors import EstimationError
from evalaid.base.names import EXPOSURE, OUTCOME, PARTIAL, PATH, STRATUM, TREATED, WEIGHT
from evalaid.did.effects.linear import PanelData, Solver, project
from evalaid.did.effects.notebook_view import NotebookView
from evalaid.did.estimators.common.method import chosen_covariates
from evalaid.did.panel.design import Design, check_design

Floats = NDArray[np.float64]
Regression = Literal["fixed_effects", "first_differences"]
# Weights below it are zero up to rounding (the limit of the reference).
ROUNDING = 1e-10


@dataclass(frozen=True, eq=False, repr=False)
class TwoWayWeights(NotebookView):
    """The weights of a two-way coefficient: of the fixed-effects or of the first-difference regression.

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
    design: Design,
    treatment: str | None = None,
    *,
    covariates: Sequence[str] | None = None,
    regression: Regression = "fixed_effects",
) -> TwoWayWeights:
    """Return the weights with which a two-way regression coefficient averages effects, and the heterogeneity that they allow.

    Assumes parallel trends without treatment; effects may differ by unit and period. Uses all units of the panel, units that are
    treated from the first period on included (which ``twfe`` leaves out), as the regression of the literature does; rows that ``twfe`` leaves
    out (treated in part, or within the window of anticipation) are left out, and strata of the design have period effects of their own.

    Parameters
    ----------
    design : Design
        From :func:`evalaid.diagnose`; may be unbalanced, weighted, and with treatment that ends.
    treatment : str, optional
        Covariate with the treatment of each unit and period, 0/1 or an intensity. Default: the column ``path=``, ``exposure=`` or ``treated=`` of the design,
        or one from the cohort on.
    covariates : sequence of str, optional
        Controls of the regression; default: the design's, without ``treatment``.
    regression : {"fixed_effects", "first_differences"}
        Of the outcome on treatment with unit and period effects, or of its change on the change of treatment (and of covariates) with period
        effects, over the rows whose period before is observed, too.

    Returns
    -------
    TwoWayWeights

    Raises
    ------
    EstimationError
        When nobody is treated, treatment is negative, it does not vary beyond unit and period effects and covariates, or the
        regression is none of the two.

    Notes
    -----
    With eps the residual of D on unit effects, period effects and covariates, m the observation weights: ``beta = sum_it w_it
    effect_it``, ``w_it = m_it eps_it D_it / sum_it m_it eps_it D_it``. With natural shares ``p_it = m_it D_it / sum m D`` and ``W = w / p``:
    ``sigma_zero = |beta| / sd_p(W)`` (with their factor n / (n - 1)), and ``sigma_opposite = |beta| / (T_s + S_s^2 / (1 - P_s))^(1/2)``, W ordered
    downwards, P, S, T the sums of p, w, p W^2 from s on, s the first with ``W_s < -S_s / (1 - P_s)``. With first differences eps is the
    residual of the change of D, and ``w_it`` has ``m_it eps_it - m_i,t+1 eps_i,t+1`` in place of ``m_it eps_it``. De Chaisemartin and D'Haultfoeuille
    (2020), theorem 1 and corollary 1, doi:10.1257/aer.20181169; as R ``TwoWayFEWeights`` with ``type = "feTR"`` and ``"fdTR"``.

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
    check_design(design)
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
    elif {PATH, EXPOSURE, TREATED} & set(panel.columns):
        given = panel.columns[next(role for role in (PATH, EXPOSURE, TREATED) if role in panel.columns)]
    else:
        start = design.treatment.stated.to_numpy()[keys.unit]
        given = (keys.periods[keys.period] >= start).astype(float)
    if (given < 0).any() or not (given > 0).any():
        raise EstimationError(
            f"twfe_weights: {'treatment is negative in some rows' if (given < 0).any() else 'no row is treated'}; a treatment of 0 or "
            "more that somebody receives is expected."
        )
    if regression not in _SCORES:
        raise EstimationError(
            f"twfe_weights: regression={regression!r} is not a choice; choose {' or '.join(map(repr, _SCORES))}."
        )
    controls = chosen_covariates("twfe_weights", design, covariates)
    controls = tuple(one for one in controls if one != treatment)
    counted = panel.columns[WEIGHT] if WEIGHT in panel.columns else np.ones(len(given))
    mass = matrix(np.where(_left_out(design), 0.0, counted))
    outcome, treated = matrix(panel.columns[OUTCOME]), matrix(given)
    regressors = np.array([treated, *(matrix(panel.columns[covariate_key(one)]) for one in controls)])
    scores = _SCORES[regression](mass, regressors, _strata(design))
    total = float((scores * treated).sum())
    if total <= ROUNDING * float((mass * treated**2).sum()):
        raise EstimationError(
            f"twfe_weights: treatment does not vary beyond {_BEYOND[regression]}; there is no coefficient."
        )
    # Scores sum to zero, up to rounding: the level that all outcomes share is taken out first.
    estimate = float((scores * (outcome - panel.columns[OUTCOME].mean())).sum()) / total
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


def _left_out(design: Design) -> NDArray[np.bool_]:
    """Return which rows the regression leaves out: those treated in part, and those in which units may react before the start."""
    keys, columns = design.panel.keys, design.panel.columns
    partly = columns[PARTIAL] == 1 if PARTIAL in columns else np.zeros(len(keys.unit), dtype=bool)
    if not design.anticipation:
        return partly
    start, clock = design.treatment.stated.to_numpy()[keys.unit], design.matrices.clock
    until = clock.count(start) - clock.count(keys.periods[keys.period])
    return np.asarray(partly | ((until > 0) & (until <= design.anticipation)))


def _strata(design: Design) -> tuple[NDArray[np.intp], ...]:
    """Return the units of each stratum, one where the design names none."""
    code = np.zeros(len(design.panel.keys.units), dtype=np.int64)
    if STRATUM in design.panel.columns:
        code[design.panel.keys.unit] = design.panel.columns[STRATUM]
    return tuple(np.flatnonzero(code == value) for value in np.unique(code))


def _score_levels(mass: Floats, regressors: Floats, strata: tuple[NDArray[np.intp], ...]) -> Floats:
    """Return the weighted residual of treatment, the first regressor, on unit effects, period effects and the others, (N, T)."""
    n_strata, n_periods = len(strata), mass.shape[1]
    by_stratum = np.zeros((n_strata, n_periods, n_strata, n_periods - 1))
    by_stratum[np.arange(n_strata), :, np.arange(n_strata)] = np.eye(n_periods)[:, 1:]
    data = PanelData(regressors[0], mass, regressors[1:], strata)
    columns = by_stratum[:, :, 1:].reshape(n_strata, n_periods, -1)
    return project(data, columns).fit(0, range(1, len(regressors))).residual


def _score_changes(mass: Floats, regressors: Floats, strata: tuple[NDArray[np.intp], ...]) -> Floats:
    """Return what each outcome counts with in the coefficient of first differences, (N, T): once in its change, once in the next."""
    weight = mass[:, 1:] * (mass[:, :-1] > 0)
    net = np.diff(regressors, axis=2) * (weight > 0)
    for rows in strata:
        total = weight[rows].sum(axis=0)
        mean = np.einsum("pit,it->pt", net[:, rows], weight[rows]) / np.where(total > 0, total, 1.0)
        net[:, rows] = (net[:, rows] - mean[:, None, :]) * (weight[rows] > 0)
    slope = Solver(np.einsum("pit,qit,it->pq", net[1:], net[1:], weight))(
        np.einsum("pit,it->p", net[1:], weight * net[0])
    )
    residual = weight * (net[0] - np.einsum("p,pit->it", slope, net[1:]))
    return np.asarray(np.pad(residual, ((0, 0), (1, 0))) - np.pad(residual, ((0, 0), (0, 1))))


_SCORES = {"fixed_effects": _score_levels, "first_differences": _score_changes}
_BEYOND = {
    "fixed_effects": "unit effects, period effects and covariates",
    "first_differences": "period effects and changes of covariates between periods that follow one another",
}


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
